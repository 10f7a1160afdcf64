"""The real format of a workbook file, and whether it is safe to unpack; checked before any parser reads it."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Sequence

from invoca_bulk.errors import UnreadableSheetError
from invoca_bulk.sheets.foreign_formats import foreign_ole_error
from invoca_bulk.sheets.zip_package import DEFAULT_WORKBOOK_PART, Package, normalize_member_name

#: The results of a million rows, 20 columns at about 65 bytes a cell, unpack to 1.3 GB.
MAX_UNPACKED_BYTES = 2 << 30
#: XML deflates by 10 to 50, a zip bomb by 1,000. Small parts are exempt: blank cells with styles compress well.
MAX_COMPRESSION_RATIO = 300
RATIO_CHECK_MIN_BYTES = 50_000_000

_ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
_GZIP_SIGNATURE = b"\x1f\x8b"
_OLE_SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_FLAG = 0x1
#: The format of a zip container, by its main part.
_FORMAT_BY_MAIN_PART = {DEFAULT_WORKBOOK_PART: "xlsx", "xl/workbook.bin": "xlsb", "content.xml": "ods"}
#: The format of an OLE container, by the names of streams in its directory. The first match decides.
_FORMAT_BY_OLE_STREAM = {"EncryptedPackage": "password", "Workbook": "xls", "Book": "xls"}
_OLE_ENTRY_BYTES, _OLE_NAME_BYTES = 128, 64
#: The first record of an xls without a container: its type, its length, and in the later ones the version.
_BARE_XLS_START = re.compile(
    rb"\x09(?:\x00\x04\x00|\x02\x06\x00|\x04\x06\x00|\x08[\x06-\x10]\x00\x00[\x02-\x06])", re.DOTALL
)


def detect_format(data: bytes) -> str | None:
    """`xlsx` (also for xlsm), `xlsb`, `ods` or `xls`; `zip` or `gzip` for other compressed files; None: maybe text."""
    if data.startswith(_ZIP_SIGNATURES):
        return _detect_zip_format(data)
    if data.startswith(_OLE_SIGNATURE):
        return _detect_ole_format(data)
    if data.startswith(_GZIP_SIGNATURE):
        return "gzip"
    return "xls" if _BARE_XLS_START.match(data) else None


def _detect_zip_format(data: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _reject_zip_bombs(members)
            if _is_protected(archive, members):
                raise password_protected_error()
            has_workbook = Package(archive).find_workbook_part() is not None
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError, ValueError, zlib.error):
        raise corrupt_error() from None
    names = {normalize_member_name(member.filename) for member in members}
    if len(names) < len(members):  # we could check one member, and calamine read the other
        raise corrupt_error()
    for part, file_format in _FORMAT_BY_MAIN_PART.items():
        if part in names:
            return file_format
    return "xlsx" if has_workbook else "zip"


def _reject_zip_bombs(members: Sequence[zipfile.ZipInfo]) -> None:
    """Declared sizes can be trusted: zipfile and calamine both stop where a member is larger than declared."""
    total = sum(member.file_size for member in members)
    sizes = [(total, sum(member.compress_size for member in members))]  # the total, too: a bomb can have many parts
    sizes += [(member.file_size, member.compress_size) for member in members]
    for size, compressed_size in sizes:
        reject_bomb(size, compressed_size, total)


def reject_bomb(size: int, compressed_size: int, total: int = 0) -> None:
    """Raise an error if so small a file cannot be a sheet of this size; `total`: of all parts of the file."""
    limit = min(MAX_UNPACKED_BYTES, max(RATIO_CHECK_MIN_BYTES, MAX_COMPRESSION_RATIO * compressed_size))
    if size > limit or total > MAX_UNPACKED_BYTES:
        raise UnreadableSheetError(
            f"The file unpacks to {max(size, total) // 1_000_000:,} MB, too much for a spreadsheet of its size. "
            "Copy the rows into a new workbook, or split it into smaller ones."
        )


def _is_protected(archive: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo]) -> bool:
    """OpenDocument names encrypted parts in its manifest; newer programs encrypt a whole container as one part."""
    if any(member.flag_bits & _ENCRYPTED_FLAG or member.filename == "encrypted-package" for member in members):
        return True
    manifests = [member for member in members if member.filename == "META-INF/manifest.xml"]
    return any(b"encryption-data" in archive.read(manifest) for manifest in manifests)


def _detect_ole_format(data: bytes) -> str:
    streams = {name for name in _FORMAT_BY_OLE_STREAM if _has_ole_stream(data, name)}
    for stream, file_format in _FORMAT_BY_OLE_STREAM.items():
        if stream in streams:
            if file_format == "password":
                raise password_protected_error()
            return file_format
    raise foreign_ole_error(data)


def _has_ole_stream(data: bytes, name: str) -> bool:
    """Whether the directory has a stream of this name; some programs write it in capitals."""
    stored_name = f"{name}\0".encode("utf-16-le")
    entry = re.compile(re.escape(stored_name), re.IGNORECASE)
    length = struct.pack("<H", len(stored_name))
    return any(
        match.start() % _OLE_ENTRY_BYTES == 0 and data.startswith(length, match.start() + _OLE_NAME_BYTES)
        for match in entry.finditer(data)
    )


def password_protected_error() -> UnreadableSheetError:
    """The error for a file that needs a password."""
    return UnreadableSheetError("The file is protected by a password. Save a copy without a password and use that.")


def corrupt_error() -> UnreadableSheetError:
    """The error for a file that its parser rejects."""
    return UnreadableSheetError(
        "The file is damaged or incomplete. "
        "Open it in Excel and save it as a new workbook (.xlsx), or download it again."
    )


def reader_crashed_error() -> UnreadableSheetError:
    """The error for a file that crashed the process that read it."""
    return UnreadableSheetError(
        "The file is damaged, or has a cell far away from the others. "
        "Open it in Excel, copy the table into a new workbook and save that as .xlsx."
    )


def too_many_cells_error(limit: int, far_cell: str = "") -> UnreadableSheetError:
    """The error for a sheet whose cells are too far apart, or for several sheets."""
    reason = f": the cell {far_cell} is far away from the others" if far_cell else ""
    return UnreadableSheetError(
        f"The sheet spans more than {limit // 1_000_000} million cells{reason}. "
        "Delete the rows and columns beyond the table, or copy the table into a new workbook."
    )


def unreadable_text_error() -> UnreadableSheetError:
    """The error for a file with a text that cannot be decoded, or only in part."""
    return UnreadableSheetError(
        "A text in the file is stored in a way that cannot be read. "
        "Open it in Excel, save it as a new workbook (.xlsx), and check its texts."
    )


def other_document_error() -> UnreadableSheetError:
    """The error for an OpenDocument file of another kind, such as a text."""
    return UnreadableSheetError(
        "The file is an OpenDocument file of another kind, not a spreadsheet. "
        "Give an Excel workbook, an OpenDocument spreadsheet, CSV or TSV."
    )
