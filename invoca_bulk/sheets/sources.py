"""Getting the content of whatever was given: a path, bytes or a file object."""

from __future__ import annotations

import os
from pathlib import Path, PurePath
from typing import Protocol, TypeAlias, runtime_checkable

from invoca_bulk.errors import SheetUnreadable

#: Files are read into memory whole; a sheet of a million rows has about a tenth of this.
MAX_FILE_BYTES = 1 << 30


@runtime_checkable
class Readable(Protocol):
    """A file object, binary or text."""

    def read(self) -> bytes | str:
        """The rest of the content."""


Source: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | Readable


def name_of(source: object) -> str:
    """The file's name without its folder; empty where there is none."""
    path = source if isinstance(source, str | os.PathLike) else getattr(source, "name", "")
    return PurePath(path).name if isinstance(path, str | os.PathLike) else ""


def content_of(source: object) -> bytes | str:
    """The whole content: bytes, or the text of a text file object.

    Raises:
        SheetUnreadable: there is no such file, it is a folder, too large or not readable, or it is no source at all.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str | os.PathLike):
        return _content_of_path(Path(source))
    if isinstance(source, Readable):
        return _content_of_file(source)
    raise SheetUnreadable(
        f"A sheet cannot be read from a {type(source).__name__}. "
        "Give the path of a file, an open file, bytes or a DataFrame."
    )


def _content_of_path(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise SheetUnreadable("This is a folder, not a file. Give the path of a spreadsheet in it.")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise _too_large()
        return path.read_bytes()
    except FileNotFoundError:
        raise SheetUnreadable(f"There is no file at {path}. Check the path and its spelling.") from None
    except PermissionError:
        raise SheetUnreadable(
            "The file may not be read. Close it in other programs, or ask its owner for the right to read it."
        ) from None
    except (OSError, ValueError) as error:
        raise SheetUnreadable(f"The file cannot be read: {error}. Copy it to another folder and try again.") from None


def _content_of_file(file: Readable) -> bytes | str:
    content = file.read()
    if not isinstance(content, bytes | str):
        raise SheetUnreadable("The file object gives neither bytes nor text. Open the file with open(path, 'rb').")
    if len(content) > MAX_FILE_BYTES:
        raise _too_large()
    return content


def _too_large() -> SheetUnreadable:
    return SheetUnreadable(f"The file has more than {MAX_FILE_BYTES >> 30} GiB. Split it into smaller files.")
