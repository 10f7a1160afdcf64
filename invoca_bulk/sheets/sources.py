"""The content of a source: a path, bytes or a file object."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path, PurePath
from typing import Protocol, TypeAlias, runtime_checkable

from invoca_bulk.errors import UnreadableSheetError

#: Files are read into memory as a whole; a sheet of a million rows has about a tenth of this.
MAX_FILE_BYTES = 1 << 30
_CHUNK_BYTES = 1 << 24
#: Not writable everywhere: control characters, and surrogates (from bytes of a file name that are not text).
_UNSAFE_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@runtime_checkable
class Readable(Protocol):
    """A file object, binary or text."""

    def read(self, size: int = -1, /) -> bytes | str:
        """At most `size` bytes or characters, all if it is -1; empty at the end."""


FileSource: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | Readable


def get_file_name(source: object) -> str:
    """The file's name without its folder, sanitized; empty if there is none."""
    return sanitize(PurePath(_raw_name(source)).name)


def get_file_path(source: object) -> Path | None:
    """The absolute path of the given file, or of the file that a file object was opened from; None if there is none."""
    name = _raw_name(source)
    is_path = isinstance(source, str | os.PathLike) or os.path.isfile(name)  # noqa: PTH113  it never raises
    return Path(name).absolute() if name and is_path else None


def sanitize(text: str) -> str:
    """The text with a replacement character for each character that some output cannot hold."""
    return _UNSAFE_CHARACTERS.sub("\ufffd", text)


def _raw_name(source: object) -> str:
    path = source if isinstance(source, str | os.PathLike) else getattr(source, "name", "")
    return os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""


def read_content(source: object) -> bytes | str:
    """The whole content: bytes, or the text of a text file object."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str | os.PathLike):
        return _read_path(Path(os.fsdecode(source)))
    if isinstance(source, Readable):
        return _read_file_object(source)
    raise UnreadableSheetError(
        f"A sheet cannot be read from a value of the type {type(source).__name__}. "
        "Pass the path of a file, an open file, bytes, a DataFrame or a list of dicts."
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
            "No permission to read the file. Close it in other programs, or ask its owner for read access."
        ) from None
    except (OSError, ValueError) as error:
        raise UnreadableSheetError(
            f"The file cannot be read: {error}. Copy it to another folder and try again."
        ) from None


def _require_regular_file(file_stat: os.stat_result) -> None:
    """Reading a device may never end, and a pipe may block."""
    if stat.S_ISDIR(file_stat.st_mode):
        raise UnreadableSheetError("This is a folder, not a file. Use the path of a spreadsheet in it.")
    if not stat.S_ISREG(file_stat.st_mode):
        raise UnreadableSheetError("This is a device or a pipe, not a file. Save its content as a file and give that.")
    reject_large_content(file_stat.st_size)


def _read_file_object(file: Readable) -> bytes | str:
    try:
        return _read_limited(file)
    except (OSError, TypeError, ValueError) as error:
        reason = str(error).rstrip(".")
        raise UnreadableSheetError(
            f"The file object cannot be read ({reason}). Open the file again with open(path, 'rb')."
        ) from None


def _read_limited(file: Readable) -> bytes | str:
    """The content, read in chunks, at most one byte or character more than the limit; TypeError if it is neither."""
    chunks: list[bytes | str] = []
    remaining = MAX_FILE_BYTES + 1
    while chunk := file.read(min(remaining, _CHUNK_BYTES)):
        chunks.append(chunk)
        remaining -= len(chunk)
        reject_large_content(MAX_FILE_BYTES + 1 - remaining)
    if not isinstance(chunk, bytes | str):
        raise TypeError("it returns neither bytes nor text")
    return chunk.join(chunks)  # type: ignore[arg-type]  # the last chunk is empty and of the same type


def reject_large_content(size: int) -> None:
    """Raise an error if a file, or what was compressed in it, has more bytes or characters than are read."""
    if size > MAX_FILE_BYTES:
        raise UnreadableSheetError(f"The file has more than {MAX_FILE_BYTES >> 30} GiB. Split it into smaller files.")
