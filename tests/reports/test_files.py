"""Output files are complete or not written, and never overwrite anything they must not."""

from __future__ import annotations

import csv
import errno
import io
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoca_bulk.errors import OutputError
from invoca_bulk.reports import files
from invoca_bulk.sheets.csv_safety import unescape_formula
from tests.systems import posix_only

if TYPE_CHECKING:
    from collections.abc import Callable


def write_hello(stream: BinaryIO) -> None:
    stream.write(b"hello")


def failing_writer(error: BaseException, times: int = 100) -> Callable[[BinaryIO], None]:
    """A writer that fails halfway for the first `times` calls."""
    errors = [error] * times

    def write(stream: BinaryIO) -> None:
        stream.write(b"hel")
        if errors:
            raise errors.pop()
        stream.write(b"lo")

    return write


def disk_full_error() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The parent of the home, current, temporary and output folders of the test."""
    for name in ("home", "current", "temporary", "output"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path / "current")
    return tmp_path


def test_content(folders: Path) -> None:
    """The file has the content, its path is returned, and the folder has no other file."""
    target = folders / "output" / "out.txt"
    assert files.write_file(target, write_hello) == target
    assert target.read_bytes() == b"hello"
    assert list(target.parent.iterdir()) == [target]


def test_relative_name() -> None:
    """A bare name is a file in the current folder."""
    files.write_file(Path("out.txt"), write_hello)
    assert Path("out.txt").read_bytes() == b"hello"


@posix_only
def test_mode(folders: Path) -> None:
    """Only the user can read the file, even if it replaces one that others could read."""
    target = folders / "output" / "out.txt"
    target.write_bytes(b"old")
    target.chmod(0o644)
    files.write_file(target, write_hello)
    assert target.stat().st_mode & 0o777 == 0o600
    assert target.read_bytes() == b"hello"


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        pytest.param(disk_full_error(), OutputError, id="disk-full"),
        pytest.param(ValueError("a bug"), ValueError, id="other-error"),
        pytest.param(KeyboardInterrupt(), KeyboardInterrupt, id="interrupted"),
    ],
)
def test_failure_leaves_no_trace(folders: Path, error: BaseException, raised: type[BaseException]) -> None:
    """When writing fails halfway, the old file is unchanged and no temporary file is left."""
    target = folders / "output" / "out.txt"
    target.write_bytes(b"old")
    with pytest.raises(raised):
        files.write_file(target, failing_writer(error))
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]


def _link(folders: Path) -> Path:
    link = folders / "output" / "link"
    link.symlink_to(folders / "output" / "elsewhere")
    return link


@pytest.mark.parametrize(
    ("make_path", "reason"),
    [
        pytest.param(_link, "symbolic link", id="dangling-link", marks=posix_only),
        pytest.param(lambda folders: folders / "output", "is a folder", id="folder"),
        pytest.param(lambda folders: folders / "none" / "out.txt", "does not exist", id="missing-folder"),
        pytest.param(lambda _: Path(os.devnull), "device", id="device", marks=posix_only),
        pytest.param(lambda folders: folders / "output" / ("x" * 300), "name is too long", id="long-name"),
    ],
)
def test_refused(folders: Path, make_path: Callable[[Path], Path], reason: str) -> None:
    """An unsuitable path is rejected with one sentence on what is wrong and one on what to do."""
    with pytest.raises(OutputError, match=reason) as error:
        files.write_file(make_path(folders), write_hello)
    assert str(error.value).count(". ") == 1
    assert str(error.value).endswith(".")
    assert list((folders / "output").glob("*.tmp")) == []


def _same(path: Path) -> Path:
    return path


def _roundabout(path: Path) -> Path:
    return path.parent / ".." / path.parent.name / path.name


def _hard_link(path: Path) -> Path:
    link = path.with_name("other.csv")
    link.hardlink_to(path)
    return link


def _relative(path: Path) -> Path:
    return Path(os.path.relpath(path))


@pytest.mark.parametrize("other_name", [_same, _roundabout, _hard_link, _relative])
def test_never_over_the_input(folders: Path, other_name: Callable[[Path], Path]) -> None:
    """The input is never overwritten, whatever path names it."""
    source = folders / "output" / "in.csv"
    source.write_bytes(b"input")
    with pytest.raises(OutputError, match="input"):
        files.write_file(other_name(source), write_hello, protected_paths=[source])
    assert source.read_bytes() == b"input"


def test_missing_input_is_protected(folders: Path) -> None:
    """An output never takes the name of an input that no longer exists."""
    source = folders / "output" / "in.csv"
    with pytest.raises(OutputError, match="input"):
        files.write_file(_roundabout(source), write_hello, protected_paths=[source])


@pytest.mark.parametrize(
    ("requested", "removed", "used"),
    [
        pytest.param("output/out.csv", (), "output/out.csv", id="as-requested"),
        pytest.param("output/taken.csv", (), "output/taken-3.csv", id="next-unused-name"),
        pytest.param("none/out.csv", (), "home/out.csv", id="folder-missing"),
        pytest.param("none/out.csv", ("home",), "current/out.csv", id="home-missing"),
    ],
)
def test_fallback_path(folders: Path, requested: str, removed: tuple[str, ...], used: str) -> None:
    """Results go to the first path that works, and never replace another file."""
    (folders / "output" / "taken.csv").mkdir()
    (folders / "output" / "taken-2.csv").write_bytes(b"earlier results")
    for name in removed:
        (folders / name).rmdir()
    written = files.write_with_fallback(folders / requested, write_hello)
    assert written.resolve() == (folders / used).resolve()
    assert written.read_bytes() == b"hello"
    assert (folders / "output" / "taken-2.csv").read_bytes() == b"earlier results"


@pytest.mark.parametrize(("failures", "used"), [(1, "home"), (2, "current"), (3, "temporary")])
def test_full_disks(folders: Path, failures: int, used: str) -> None:
    """If one disk is full, the next folder is tried, and the file there is complete."""
    written = files.write_with_fallback(folders / "output" / "out.csv", failing_writer(disk_full_error(), failures))
    assert written.resolve() == (folders / used / "out.csv").resolve()
    assert written.read_bytes() == b"hello"
    assert len([path for path in folders.rglob("*") if path.is_file()]) == 1


def test_impossible_name(folders: Path) -> None:
    """A name that is invalid in every folder is replaced by a plain one with the same extension."""
    written = files.write_with_fallback(folders / "output" / f"{'x' * 300}.csv", write_hello)
    assert written.parent == folders / "temporary"
    assert written.suffix == ".csv"


def test_fallback_when_output_is_the_input(folders: Path) -> None:
    """Results that would overwrite the input are written next to it."""
    source = folders / "output" / "in.csv"
    source.write_bytes(b"input")
    assert files.write_with_fallback(source, write_hello, protected_paths=[source]) == source.with_stem("in-2")
    assert source.read_bytes() == b"input"


def test_no_path_works(folders: Path) -> None:
    """If no folder is writable, the message is about the requested path."""
    with pytest.raises(OutputError, match=r"output.*disk is full.*another folder failed too"):
        files.write_with_fallback(folders / "output" / "out.csv", failing_writer(disk_full_error()))
    assert [path for path in folders.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("error", [ValueError("a bug"), OutputError("too many rows"), KeyboardInterrupt()])
def test_error_in_the_content(folders: Path, error: BaseException) -> None:
    """An error in the content itself is not retried in another folder."""
    with pytest.raises(type(error)):
        files.write_with_fallback(folders / "output" / "out.csv", failing_writer(error, times=1))
    assert [path for path in folders.rglob("*") if path.is_file()] == []


CELLS = st.text(st.characters(exclude_categories=["Cs"]))


@given(rows=st.lists(st.tuples(CELLS, CELLS), max_size=5))
def test_csv_round_trip(rows: list[tuple[str, str]]) -> None:
    """Every text is read back unchanged from CSV, including line breaks, quotes and formulas."""
    with tempfile.TemporaryFile() as stream:
        files.write_csv(stream, ["a", "b"], rows)
        stream.seek(0)
        with io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
            read = list(csv.reader(text))
    assert [[unescape_formula(cell) for cell in row] for row in read] == [["a", "b"], *map(list, rows)]


def test_csv_form(folders: Path) -> None:
    """CSV has the form that Excel reads: a byte order mark, CRLF, quotes only where needed, no formulas."""
    target = folders / "output" / "out.csv"
    rows = [["Zoë", "=1+1"], ["00123", 'a "b", c'], ["\ud800", "+18055550100"]]
    files.write_file(target, lambda stream: files.write_csv(stream, ["name", "x"], rows))
    assert target.read_bytes() == (
        b'\xef\xbb\xbfname,x\r\nZo\xc3\xab,\'=1+1\r\n00123,"a ""b"", c"\r\n?,+18055550100\r\n'
    )


@pytest.mark.parametrize(
    ("system", "length", "number"),
    [("nt", 300, errno.ENAMETOOLONG), ("nt", 100, errno.ENOENT), ("posix", 300, errno.ENOENT)],
)
def test_a_path_too_long_for_windows(system: str, length: int, number: int) -> None:
    """Windows says of a path that is too long that it does not exist."""
    error = FileNotFoundError(errno.ENOENT, "No such file or directory")
    assert files.error_number(error, Path("/x" * (length // 2)), system) == number
