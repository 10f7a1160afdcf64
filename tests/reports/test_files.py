"""Output files are whole or not there, and never where they do harm."""

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

if TYPE_CHECKING:
    from collections.abc import Callable

posix_only = pytest.mark.skipif(os.name != "posix", reason="links, devices and modes as POSIX has them")


def hello(stream: BinaryIO) -> None:
    stream.write(b"hello")


def failing(error: BaseException, times: int = 100) -> Callable[[BinaryIO], None]:
    """A writer that fails half-way so many times, then writes."""
    left = [error] * times

    def write(stream: BinaryIO) -> None:
        stream.write(b"hel")
        if left:
            raise left.pop()
        stream.write(b"lo")

    return write


def disk_full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, a current folder and a temporary folder of the test's own, below the one that is given back."""
    for name in ("home", "current", "temporary", "asked"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path / "current")
    return tmp_path


def test_content(places: Path) -> None:
    """The file has the content, its path is given back, and nothing else is left in the folder."""
    target = places / "asked" / "out.txt"
    assert files.write_file(target, hello) == target
    assert target.read_bytes() == b"hello"
    assert list(target.parent.iterdir()) == [target]


def test_relative_name() -> None:
    """A bare name is a file in the current folder."""
    files.write_file(Path("out.txt"), hello)
    assert Path("out.txt").read_bytes() == b"hello"


@posix_only
def test_mode(places: Path) -> None:
    """Only the user can read the file, also where it replaces one that others could read."""
    target = places / "asked" / "out.txt"
    target.write_bytes(b"old")
    target.chmod(0o644)
    files.write_file(target, hello)
    assert target.stat().st_mode & 0o777 == 0o600
    assert target.read_bytes() == b"hello"


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        pytest.param(disk_full(), OutputError, id="disk-full"),
        pytest.param(ValueError("a bug"), ValueError, id="other-error"),
        pytest.param(KeyboardInterrupt(), KeyboardInterrupt, id="interrupted"),
    ],
)
def test_failure_leaves_no_trace(places: Path, error: BaseException, raised: type[BaseException]) -> None:
    """When writing fails half-way, the old file is as it was and no temporary file is left."""
    target = places / "asked" / "out.txt"
    target.write_bytes(b"old")
    with pytest.raises(raised):
        files.write_file(target, failing(error))
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]


def _link(places: Path) -> Path:
    link = places / "asked" / "link"
    link.symlink_to(places / "asked" / "elsewhere")
    return link


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(_link, "symbolic link", id="dangling-link", marks=posix_only),
        pytest.param(lambda places: places / "asked", "is a folder", id="folder"),
        pytest.param(lambda places: places / "none" / "out.txt", "does not exist", id="missing-folder"),
        pytest.param(lambda _: Path(os.devnull), "device", id="device", marks=posix_only),
        pytest.param(lambda places: places / "asked" / ("x" * 300), "name is too long", id="long-name"),
    ],
)
def test_refused(places: Path, make: Callable[[Path], Path], words: str) -> None:
    """A place that is no good is refused with a sentence that says what is wrong and one that says what to do."""
    with pytest.raises(OutputError, match=words) as refused:
        files.write_file(make(places), hello)
    assert str(refused.value).count(". ") == 1
    assert str(refused.value).endswith(".")
    assert list((places / "asked").glob("*.tmp")) == []


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
def test_never_over_the_input(places: Path, other_name: Callable[[Path], Path]) -> None:
    """The input is never overwritten, under whatever name it is given."""
    source = places / "asked" / "in.csv"
    source.write_bytes(b"input")
    with pytest.raises(OutputError, match="input"):
        files.write_file(other_name(source), hello, protected_paths=[source])
    assert source.read_bytes() == b"input"


def test_missing_input_is_guarded_too(places: Path) -> None:
    """An input that is not there (any more) does not come back as an output."""
    source = places / "asked" / "in.csv"
    with pytest.raises(OutputError, match="input"):
        files.write_file(_roundabout(source), hello, protected_paths=[source])


@pytest.mark.parametrize(
    ("asked", "removed", "used"),
    [
        pytest.param("asked/out.csv", (), "asked/out.csv", id="as-asked"),
        pytest.param("asked/taken.csv", (), "asked/taken-3.csv", id="next-free-name"),
        pytest.param("none/out.csv", (), "home/out.csv", id="folder-gone"),
        pytest.param("none/out.csv", ("home",), "current/out.csv", id="home-gone"),
    ],
)
def test_elsewhere(places: Path, asked: str, removed: tuple[str, ...], used: str) -> None:
    """Results go to the nearest place that takes them, and never over a file that nobody named."""
    (places / "asked" / "taken.csv").mkdir()
    (places / "asked" / "taken-2.csv").write_bytes(b"earlier results")
    for name in removed:
        (places / name).rmdir()
    written = files.write_with_fallback(places / asked, hello)
    assert written.resolve() == (places / used).resolve()
    assert written.read_bytes() == b"hello"
    assert (places / "asked" / "taken-2.csv").read_bytes() == b"earlier results"


@pytest.mark.parametrize(("failures", "used"), [(1, "home"), (2, "current"), (3, "temporary")])
def test_full_disks(places: Path, failures: int, used: str) -> None:
    """Where one disk is full, the next place is tried, and the file there is whole."""
    written = files.write_with_fallback(places / "asked" / "out.csv", failing(disk_full(), failures))
    assert written.resolve() == (places / used / "out.csv").resolve()
    assert written.read_bytes() == b"hello"
    assert len([path for path in places.rglob("*") if path.is_file()]) == 1


def test_impossible_name(places: Path) -> None:
    """A name that no folder takes is replaced by a plain one; the kind of file stays."""
    written = files.write_with_fallback(places / "asked" / f"{'x' * 300}.csv", hello)
    assert written.parent == places / "temporary"
    assert written.suffix == ".csv"


def test_input_as_output_goes_elsewhere(places: Path) -> None:
    """Results that were meant for the input's own name stand beside it."""
    source = places / "asked" / "in.csv"
    source.write_bytes(b"input")
    assert files.write_with_fallback(source, hello, protected_paths=[source]) == source.with_stem("in-2")
    assert source.read_bytes() == b"input"


def test_nowhere(places: Path) -> None:
    """When no place takes the file, the message is about the one that was asked for."""
    with pytest.raises(OutputError, match=r"asked.*disk is full.*No other folder"):
        files.write_with_fallback(places / "asked" / "out.csv", failing(disk_full()))
    assert [path for path in places.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("error", [ValueError("a bug"), OutputError("too many rows"), KeyboardInterrupt()])
def test_error_in_the_content(places: Path, error: BaseException) -> None:
    """An error of the content itself is not tried again elsewhere."""
    with pytest.raises(type(error)):
        files.write_with_fallback(places / "asked" / "out.csv", failing(error, times=1))
    assert [path for path in places.rglob("*") if path.is_file()] == []


CELLS = st.text(st.characters(exclude_categories=["Cs"]))


@given(rows=st.lists(st.tuples(CELLS, CELLS), max_size=5))
def test_csv_round_trip(rows: list[tuple[str, str]]) -> None:
    """Every text survives a CSV file exactly, line breaks, quotes and formulas included."""
    with tempfile.TemporaryFile() as stream:
        files.write_csv(stream, ["a", "b"], rows)
        stream.seek(0)
        with io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
            read = list(csv.reader(text))
    assert [[unescape_formula(cell) for cell in row] for row in read] == [["a", "b"], *map(list, rows)]


def test_csv_form(places: Path) -> None:
    """CSV is what Excel reads: a byte order mark, CRLF, quotes only where needed, no formulas."""
    target = places / "asked" / "out.csv"
    rows = [["Zoë", "=1+1"], ["00123", 'a "b", c'], ["\ud800", "+18055550100"]]
    files.write_file(target, lambda stream: files.write_csv(stream, ["name", "x"], rows))
    assert target.read_bytes() == (
        b'\xef\xbb\xbfname,x\r\nZo\xc3\xab,\'=1+1\r\n00123,"a ""b"", c"\r\n?,+18055550100\r\n'
    )
