"""Output files: written whole or not at all, never over an input, never through a symbolic link; and CSV text."""

from __future__ import annotations

import codecs
import contextlib
import csv
import errno
import os
import tempfile
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from invoca_bulk.errors import OutputError
from invoca_bulk.sheets.csv_safety import escape_formula

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

#: The last name that is tried: one that every file system takes, whatever was wrong with the one that was asked for.
_FALLBACK_NAME = "invoca-bulk-results"

#: What the system's error numbers mean for a user: what is wrong and what to do. All others are told in its own words.
_ERRNO_TEXTS = {
    errno.EACCES: (
        "it is open in another program, or you may not write there",
        "Close it there, or choose another name",
    ),
    errno.EPERM: (
        "it is open in another program, or you may not write there",
        "Close it there, or choose another name",
    ),
    errno.EROFS: ("the disk is read-only", "Choose another folder"),
    errno.ENOSPC: ("the disk is full", "Make room, or choose another disk"),
    errno.EDQUOT: ("your share of the disk is used up", "Make room, or choose another disk"),
    errno.ENAMETOOLONG: ("the name is too long", "Choose a shorter name"),
    errno.ENOENT: ("the folder is gone", "Create it again, or choose another"),
}


def write_file(path: Path, write: Callable[[BinaryIO], None], *, protected_paths: Sequence[Path] = ()) -> Path:
    """Write a file whole or not at all: under a temporary name in the same folder first, then renamed.

    Args:
        path: where to; a file that is there already is replaced. Only the user can read the new one (mode 0600).
        write: writes the content into the stream, which can seek.
        protected_paths: files that must stay as they are: the inputs.

    Returns:
        The path.

    Raises:
        OutputError: the file cannot be written there; whatever was there before is untouched.
    """
    if problem := _try_write(path, write, protected_paths):
        raise problem
    return path


def write_with_fallback(path: Path, write: Callable[[BinaryIO], None], *, protected_paths: Sequence[Path] = ()) -> Path:
    """Write what must not be lost: where it was asked for, or else at the nearest place that takes it.

    The other places are tried in this order, each under a name that is still free (`results-2.xlsx`): the same folder,
    the home folder, the current folder, the folder for temporary files.

    Args:
        path: where to, as in `write_file`.
        write: as in `write_file`, but called once for each try: it must give the whole content each time, so never
            hand in an iterator that was made outside of it.
        protected_paths: as in `write_file`.

    Returns:
        The path of the file that was written; the caller tells the user when it is another one.

    Raises:
        OutputError: no place takes it; the message is about the first one.
    """
    problems = []
    for place in _candidate_paths(path):
        problem = _try_write(place, write, protected_paths)
        if problem is None:
            return place
        problems.append(problem)
    raise OutputError(f"{problems[0]} No other folder that was tried takes it either.") from problems[0]


def write_csv(stream: BinaryIO, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write CSV as Excel reads it: UTF-8 with a byte order mark, CRLF, cells guarded by `safe_csv_text`.

    A half of a surrogate pair, which UTF-8 has no form for, becomes a question mark.
    """
    # Not a TextIOWrapper: that would close the stream when it goes.
    text = codecs.getwriter("utf-8-sig")(stream, "replace")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(map(escape_formula, header))
    writer.writerows(map(escape_formula, row) for row in rows)


def _try_write(path: Path, write: Callable[[BinaryIO], None], protected_paths: Sequence[Path]) -> OutputError | None:
    """Write the file, or give the problem when the place does not take it; what else `write` raises goes through."""
    try:
        if sentence := why_not_writable(path, protected_paths):
            return OutputError(sentence)
        _write_atomically(path, write)
    except OSError as error:
        return _to_output_error(path, error)
    return None


def why_not_writable(path: Path, protected_paths: Sequence[Path]) -> str | None:
    """Why a file must not be written there, or None."""
    objections = (
        (path.is_symlink(), f"{path} is a symbolic link. Give the name of the file that it stands for."),
        (path.is_dir(), f"{path} is a folder. Add the name of a file to it."),
        (not path.parent.is_dir(), f"The folder {path.parent} does not exist. Create it, or choose another."),
        (
            path.exists() and not path.is_file(),
            f"{path} is a device, not a file. Choose the name of a file.",
        ),
        (
            any(_same_file(path, other) for other in protected_paths),
            f"{path} is the input, which is never overwritten. Choose another name for the output.",
        ),
    )
    return next((sentence for applies, sentence in objections if applies), None)


def _same_file(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:  # one of them does not exist (yet)
        return path.resolve() == other.resolve()


def _write_atomically(path: Path, write: Callable[[BinaryIO], None]) -> None:
    # mkstemp makes files of mode 0600.
    descriptor, name = tempfile.mkstemp(prefix=".invoca-bulk-", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself last through a power cut, where the system can."""
    # Windows cannot open folders, and some network drives cannot sync them; the file is there all the same.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _to_output_error(path: Path, error: OSError) -> OutputError:
    words = error.strerror or str(error)
    reason, advice = _ERRNO_TEXTS.get(error.errno or 0, (words, "Choose another name or folder"))
    return OutputError(f"{path} cannot be written: {reason}. {advice}.")


def _candidate_paths(path: Path) -> Iterator[Path]:
    """Where results go when `path` does not take them, nearest first; no place twice."""
    temporary = Path(tempfile.gettempdir())
    places = [path, unused_path(path)]
    places += [unused_path(folder / path.name) for folder in (_home_folder(), Path(), temporary)]
    places.append(unused_path(temporary / f"{_FALLBACK_NAME}{path.suffix}"))
    yield from dict.fromkeys(places)


def _home_folder() -> Path:
    return Path(os.path.expanduser("~"))  # noqa: PTH111  Path.home() raises where there is no home


def unused_path(path: Path) -> Path:
    """The path, or the first of `name-2`, `name-3`, … that nothing stands at."""
    names = (path.with_stem(f"{path.stem}-{number}") if number > 1 else path for number in count(1))
    return next(name for name in names if not os.path.lexists(name))
