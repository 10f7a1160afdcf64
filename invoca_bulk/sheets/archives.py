"""A compressed sheet: a gzip file, or a zip archive with one sheet in it; unpacked under the same limits as others."""

from __future__ import annotations

import gzip
import io
import re
import zipfile
import zlib
from pathlib import PurePosixPath

from invoca_bulk.errors import UnreadableSheetError
from invoca_bulk.sheets import sources, workbook_formats, zip_package
from invoca_bulk.sheets.foreign_formats import foreign_zip_error
from invoca_bulk.wording import join_limited

_SHEET_SUFFIXES = frozenset(
    {".csv", ".tsv", ".txt", ".tab", ".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".gz", ".xltx", ".xltm"}
)
#: What operating systems and office programs put beside the files.
_COMPANION = re.compile(r"(?:.*/)?(?:__MACOSX/.*|\._[^/]*|~\$[^/]*|\.~lock\.[^/]*)", re.DOTALL)
_MAX_NAMES_LISTED = 8
_CHUNK_BYTES = 1 << 24


def unpack(content: bytes) -> bytes:
    """The sheet in a compressed file; other content is returned as it is."""
    container = workbook_formats.detect_format(content)
    if container not in _UNPACKERS:
        return content
    unpacked = _UNPACKERS[container](content)
    if workbook_formats.detect_format(unpacked) in _UNPACKERS:
        raise UnreadableSheetError("The file is an archive within an archive. Unpack it, and give the sheet in it.")
    return unpacked


def _unpack_gzip(content: bytes) -> bytes:
    """In chunks: gzip does not say how large the content is."""
    chunks: list[bytes] = []
    size = 0
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            while chunk := file.read(_CHUNK_BYTES):
                chunks.append(chunk)
                size += len(chunk)
                workbook_formats.reject_bomb(size, len(content))
                sources.reject_large_content(size)
    except (EOFError, OSError, zlib.error):
        raise workbook_formats.corrupt_error() from None
    return b"".join(chunks)


def _unpack_zip(content: bytes) -> bytes:
    """The only sheet of an archive; `workbook_formats` has checked its sizes and that it has no password."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [
            member for member in archive.infolist() if not (member.is_dir() or _COMPANION.fullmatch(member.filename))
        ]
        names = {zip_package.normalize_member_name(member.filename) for member in members}
        if error := foreign_zip_error(names):
            raise error
        sheets = [member for member in members if _is_sheet(member.filename)]
        if len(sheets) != 1:
            raise _wrong_count_error(sheets or members, has_sheets=bool(sheets))
        sources.reject_large_content(sheets[0].file_size)
        try:
            return archive.read(sheets[0])
        except (EOFError, NotImplementedError, OSError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error):
            raise workbook_formats.corrupt_error() from None


def _is_sheet(name: str) -> bool:
    return PurePosixPath(zip_package.normalize_member_name(name)).suffix in _SHEET_SUFFIXES


def _wrong_count_error(members: list[zipfile.ZipInfo], *, has_sheets: bool) -> UnreadableSheetError:
    names = join_limited([repr(sources.sanitize(member.filename)) for member in members], _MAX_NAMES_LISTED)
    if has_sheets:
        return UnreadableSheetError(
            f"The file is a zip archive with {len(members)} sheets: {names}. Unpack it, and give one of them."
        )
    return UnreadableSheetError(
        f"The file is a zip archive, not a spreadsheet, and has no sheet in it, only: {names or 'nothing'}. "
        "Unpack it, and give the sheet that you want."
    )


_UNPACKERS = {"gzip": _unpack_gzip, "zip": _unpack_zip}
