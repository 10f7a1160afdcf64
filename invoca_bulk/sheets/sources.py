"""Getting the content of whatever was given: a path, bytes or a file object."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path, PurePath
from typing import Protocol, TypeAlias, runtime_checkable

from invoca_bulk.errors import UnreadableSheetError

#: Files are read into memory whole; a sheet of a million rows has about a tenth of this.
MAX_FILE_BYTES = 1 << 30
_CHUNK_BYTES = 1 << 24
#: What no output takes: bytes of a file name that are no text (Python makes surrogates of them), control characters.
_UNSAFE_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@runtime_checkable
class Readable(Protocol):
    """A file object, binary or text."""

    def read(self, size: int = -1, /) -> bytes | str:
        """So much of the content, or all of it; nothing at its end."""


FileSource: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | Readable


def get_file_name(source: object) -> str:
    """The file's name without its folder, sound; empty where there is none."""
    return sanitize(PurePath(_raw_name(source)).name)


def get_file_path(source: object) -> Path | None:
    """The absolute path of the file that was given, or that a file object was opened from; None where there is none."""
    text = _raw_name(source)
    real = isinstance(source, str | os.PathLike) or os.path.isfile(text)  # noqa: PTH113  it never raises
    return Path(text).absolute() if text and real else None


def sanitize(text: str) -> str:
    """The text with a replacement character for all that some output could not take."""
    return _UNSAFE_CHARACTERS.sub("\ufffd", text)


def _raw_name(source: object) -> str:
    path = source if isinstance(source, str | os.PathLike) else getattr(source, "name", "")
    return os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""


def read_content(source: object) -> bytes | str:
    """The whole content: bytes, or the text of a text file object.

    Raises:
        UnreadableSheetError: there is no such file, it is no file, too large or not readable, or it is no source at
            all.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str | os.PathLike):
        return _read_path(Path(os.fsdecode(source)))
    if isinstance(source, Readable):
        return _read_file_object(source)
    raise UnreadableSheetError(
        f"A sheet cannot be read from a {type(source).__name__}. "
        "Give the path of a file, an open file, bytes or a DataFrame."
    )


def _read_path(path: Path) -> bytes | str:
    try:
        _require_regular_file(path.stat())
        with path.open("rb") as file:
            return _read_limited(file)
    except FileNotFoundError:
        raise UnreadableSheetError(
            f"There is no file at {sanitize(str(path))}. Check the path and its spelling."
        ) from None
    except PermissionError:
        raise UnreadableSheetError(
            "The file may not be read. Close it in other programs, or ask its owner for the right to read it."
        ) from None
    except (OSError, ValueError) as error:
        raise UnreadableSheetError(
            f"The file cannot be read: {error}. Copy it to another folder and try again."
        ) from None


def _require_regular_file(file_stat: os.stat_result) -> None:
    """A device may have no end, and a pipe makes wait; both could be opened."""
    if stat.S_ISDIR(file_stat.st_mode):
        raise UnreadableSheetError("This is a folder, not a file. Give the path of a spreadsheet in it.")
    if not stat.S_ISREG(file_stat.st_mode):
        raise UnreadableSheetError("This is a device or a pipe, not a file. Save its content as a file and give that.")
    if file_stat.st_size > MAX_FILE_BYTES:
        raise _file_too_large_error()


def _read_file_object(file: Readable) -> bytes | str:
    try:
        return _read_limited(file)
    except (OSError, TypeError, ValueError) as error:
        reason = str(error).rstrip(".")
        raise UnreadableSheetError(
            f"The file object cannot be read ({reason}). Open the file again with open(path, 'rb')."
        ) from None


def _read_limited(file: Readable) -> bytes | str:
    """The content, a part at a time: no more is read than the limit and one.

    Raises:
        TypeError: the file object gives neither bytes nor text.
        UnreadableSheetError: there is more than the limit.
    """
    parts: list[bytes | str] = []
    left = MAX_FILE_BYTES + 1
    while part := file.read(min(left, _CHUNK_BYTES)):
        parts.append(part)
        left -= len(part)
        if left <= 0:
            raise _file_too_large_error()
    if not isinstance(part, bytes | str):
        raise TypeError("it gives neither bytes nor text")
    return part.join(parts)  # type: ignore[arg-type]  # the last part, which is empty, is of their type


def _file_too_large_error() -> UnreadableSheetError:
    return UnreadableSheetError(f"The file has more than {MAX_FILE_BYTES >> 30} GiB. Split it into smaller files.")
