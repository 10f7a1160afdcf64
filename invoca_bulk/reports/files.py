"""Write output files completely or not at all, never over an input and never through a symbolic link; and CSV text."""

from __future__ import annotations

import codecs
import contextlib
import csv
import errno
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import BinaryIO

from invoca_bulk.errors import OutputError
from invoca_bulk.sheets.csv_safety import escape_formula

#: The last name to try: valid on every file system, whatever is wrong with the requested one.
_FALLBACK_NAME = "invoca-bulk-results"

#: Around the characters that `tempfile` chooses.
_TEMPORARY_PREFIX, _TEMPORARY_SUFFIX = ".invoca-bulk-", ".tmp"
#: Windows refuses paths from this length on, unless it is set up for longer ones.
_MAX_WINDOWS_PATH_CHARS = 260
#: Error number to what is wrong and what to do. For all others, the operating system's own text is shown.
_ERRNO_TEXTS = {
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM),
        (
            "it is open in another program, or you have no permission to write there",
            "Close it there, or choose another name",
        ),
    ),
    errno.EROFS: ("the disk is read-only", "Choose another folder"),
    errno.ENOSPC: ("the disk is full", "Make room, or choose another disk"),
    errno.EDQUOT: ("your disk quota is used up", "Make room, or choose another disk"),
    errno.ENAMETOOLONG: ("the name is too long", "Choose a shorter name or folder"),
    errno.ENOENT: ("the folder no longer exists", "Create it again, or choose another"),
}


def write_file(path: Path, write: Callable[[BinaryIO], None], *, protected_paths: Sequence[Path] = ()) -> Path:
    """Write a file atomically: under a temporary name in the same folder, then renamed.

    An existing file is replaced, or unchanged if that fails. Only the user can read the new one (mode 0600). `write`
    gets a seekable stream.
    """
    if error := _try_write(path, write, protected_paths):
        raise error
    return path


def write_with_fallback(path: Path, write: Callable[[BinaryIO], None], *, protected_paths: Sequence[Path] = ()) -> Path:
    """Write a file that must not be lost: to the requested path, or else to the first fallback that works.

    The fallbacks, each with an unused name (`results-2.xlsx`), are: the same folder, the home folder, the current
    folder, the folder for temporary files. `write` is called once per attempt, and must write the complete content each
    time. If the returned path is not the requested one, the caller tells the user.
    """
    errors = []
    for candidate in _candidate_paths(path):
        error = _try_write(candidate, write, protected_paths)
        if error is None:
            return candidate
        errors.append(error)
    raise OutputError(f"{errors[0]} Writing it to another folder failed too.") from errors[0]


def write_csv(stream: BinaryIO, header: Sequence[str], rows: Iterable[Sequence[str]], *, plain: bool = False) -> None:
    """Write CSV for Excel: UTF-8 with a byte order mark, CRLF, formulas escaped by `escape_formula`.

    A lone surrogate, which UTF-8 cannot encode, becomes a question mark. `plain`: write it for programs, with the cells
    as they are and without the mark.
    """
    # Not a TextIOWrapper, which would close the stream when it is garbage-collected.
    text = codecs.getwriter("utf-8" if plain else "utf-8-sig")(stream, "replace")
    writer = csv.writer(text, lineterminator="\r\n")
    escape = str if plain else escape_formula
    writer.writerow(map(escape, header))
    writer.writerows(map(escape, row) for row in rows)


def _try_write(path: Path, write: Callable[[BinaryIO], None], protected_paths: Sequence[Path]) -> OutputError | None:
    """Write the file; an operating system error is returned, any other error of `write` is raised."""
    try:
        if reason := why_not_writable(path, protected_paths):
            return OutputError(reason)
        _write_atomically(path, write)
    except OSError as error:
        system_text = error.strerror or str(error)
        reason, advice = _ERRNO_TEXTS.get(error_number(error, path), (system_text, "Choose another name or folder"))
        return OutputError(f"{path} cannot be written: {reason}. {advice}.")
    return None


def error_number(error: OSError, path: Path, system: str = os.name) -> int:
    """The number of the error; Windows says of a path that is too long that its folder does not exist."""
    paths = (path.absolute(), path.absolute().with_name(f"{_TEMPORARY_PREFIX}12345678{_TEMPORARY_SUFFIX}"))
    is_too_long = system == "nt" and max(len(str(name)) for name in paths) >= _MAX_WINDOWS_PATH_CHARS
    return errno.ENAMETOOLONG if error.errno == errno.ENOENT and is_too_long else error.errno or 0


def why_not_writable(path: Path, protected_paths: Sequence[Path]) -> str | None:
    """Why the file must not be written to this path, as sentences with the fix; None if it may be."""
    reasons = (
        (path.is_symlink(), f"{path} is a symbolic link. Use the path of the file it points to."),
        (path.is_dir(), f"{path} is a folder. Add a file name."),
        (not path.parent.is_dir(), f"The folder {path.parent} does not exist. Create it, or choose another."),
        (path.exists() and not path.is_file(), f"{path} is a device, not a file. Choose a file name."),
        (
            any(_same_file(path, protected) for protected in protected_paths),
            f"{path} is the input, which is never overwritten. Choose another name for the output.",
        ),
    )
    return next((reason for applies, reason in reasons if applies), None)


def _same_file(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:  # one of the files does not exist
        return path.resolve() == other.resolve()


def _write_atomically(path: Path, write: Callable[[BinaryIO], None]) -> None:
    # mkstemp makes files of mode 0600.
    descriptor, name = tempfile.mkstemp(prefix=_TEMPORARY_PREFIX, suffix=_TEMPORARY_SUFFIX, dir=path.parent)
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
    """Make the rename itself survive a power cut, where the system supports that."""
    # Windows cannot open folders, and some network drives cannot sync them; the file is written all the same.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _candidate_paths(path: Path) -> Iterator[Path]:
    """The requested path, then the fallbacks, without duplicates."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111  Path.home() raises where there is no home
    temporary = Path(tempfile.gettempdir())
    candidates = [path, unused_path(path)]
    candidates += [unused_path(folder / path.name) for folder in (home, Path(), temporary)]
    candidates.append(unused_path(temporary / f"{_FALLBACK_NAME}{path.suffix}"))
    yield from dict.fromkeys(candidates)


def unused_path(path: Path) -> Path:
    """The path, or the first of `name-2`, `name-3`, … that does not exist."""
    candidates = (path.with_stem(f"{path.stem}-{number}") if number > 1 else path for number in count(1))
    return next(candidate for candidate in candidates if not os.path.lexists(candidate))
