"""What a workbook file really is, and whether it is safe to unpack; looked at before any parser gets it."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

from invoca_bulk.errors import UnreadableSheetError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The results of a million rows, 20 columns at about 65 bytes a cell, unpack to 1.3 GB.
MAX_UNPACKED_BYTES = 2 << 30
#: XML deflates by 10 to 50, a file made to harm by 1,000. Small parts are let off: blank cells with styles pack well.
MAX_COMPRESSION_RATIO = 300
RATIO_CHECK_MIN_BYTES = 50_000_000

_ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
_OLE_SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_FLAG = 0x1
#: The part that tells a zip container's format.
_FORMAT_BY_MAIN_PART = {"xl/workbook.xml": "xlsx", "xl/workbook.bin": "xlsb", "content.xml": "ods"}
#: Streams of an OLE container, by the names that its directory holds. The first one that is there decides.
_FORMAT_BY_OLE_STREAM = {"EncryptedPackage": "password", "Workbook": "xls", "Book": "xls"}
#: The start of the globals in an xls stream; the record FilePass, if it is there, is among the next few.
_XLS_GLOBALS_START = re.compile(rb"\x09\x08[\x08\x10]\x00\x00[\x05\x06]\x05\x00")
_XLS_FILE_PASS_RECORD = 0x2F
_XLS_MAX_RECORDS_SEARCHED = 8


def detect_format(data: bytes) -> str | None:
    """`xlsx` (also for xlsm), `xlsb`, `ods` or `xls`; None when it is no container, so that it may be text.

    Raises:
        UnreadableSheetError: a container that is protected, corrupt, no spreadsheet, or too large when unpacked.
    """
    if data.startswith(_ZIP_SIGNATURES):
        return _detect_zip_format(data)
    if data.startswith(_OLE_SIGNATURE):
        return _detect_ole_format(data)
    return None


def _detect_zip_format(data: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _reject_zip_bombs(members)
            if _is_protected(archive, members):
                raise password_protected_error()
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError, ValueError, zlib.error):
        raise corrupt_error() from None
    names = {normalize_member_name(one.filename) for one in members}
    if len(names) < len(members):  # one would be looked at, and the other one read
        raise corrupt_error()
    for part, found in _FORMAT_BY_MAIN_PART.items():
        if part in names:
            return found
    raise _not_a_spreadsheet_error("a zip archive")


def normalize_member_name(name: str) -> str:
    """The name of a zip member as it is compared; some programs write backslashes or capitals."""
    return name.replace("\\", "/").lstrip("/").lower()


def _reject_zip_bombs(members: Sequence[zipfile.ZipInfo]) -> None:
    """Sizes are taken on trust here: zipfile and calamine both stop where a member is larger than it says."""
    total = sum(one.file_size for one in members)
    sizes = [(total, sum(one.compress_size for one in members))]  # many parts do what one large part may not
    sizes += [(one.file_size, one.compress_size) for one in members]
    packed = any(size > max(RATIO_CHECK_MIN_BYTES, MAX_COMPRESSION_RATIO * compressed) for size, compressed in sizes)
    if total > MAX_UNPACKED_BYTES or packed:
        raise UnreadableSheetError(
            f"The file unpacks to {total // 1_000_000:,} MB, which no honest sheet of its size does. "
            "Copy the rows into a new workbook, or split it into smaller ones."
        )


def _is_protected(archive: zipfile.ZipFile, members: Sequence[zipfile.ZipInfo]) -> bool:
    """OpenDocument encrypts part by part and says so in its manifest; newer programs pack a container into another."""
    if any(one.flag_bits & _ENCRYPTED_FLAG or one.filename == "encrypted-package" for one in members):
        return True
    manifests = [one for one in members if one.filename == "META-INF/manifest.xml"]
    return any(b"encryption-data" in archive.read(one) for one in manifests)


def _detect_ole_format(data: bytes) -> str:
    for stream, found in _FORMAT_BY_OLE_STREAM.items():
        if f"{stream}\0".encode("utf-16-le") in data:
            if found == "password" or _xls_is_protected(data):
                raise password_protected_error()
            return found
    raise _not_a_spreadsheet_error("an Office document")


def _xls_is_protected(data: bytes) -> bool:
    """Looked up here, since calamine tells it from files that it opens by their path only."""
    start = _XLS_GLOBALS_START.search(data)
    at = start.start() if start else len(data)
    for _ in range(_XLS_MAX_RECORDS_SEARCHED):
        if at + 4 > len(data):
            return False
        kind, size = struct.unpack_from("<HH", data, at)
        if kind == _XLS_FILE_PASS_RECORD:
            return True
        at += 4 + size
    return False


def password_protected_error() -> UnreadableSheetError:
    """The refusal of a file that needs a password."""
    return UnreadableSheetError("The file is protected by a password. Save a copy without one and use that.")


def corrupt_error() -> UnreadableSheetError:
    """The refusal of a file that its parser gave up on."""
    return UnreadableSheetError(
        "The file is damaged or incomplete. Open it in Excel and save it as a new workbook (.xlsx), or fetch it again."
    )


def reader_crashed_error() -> UnreadableSheetError:
    """The refusal of a file that ended the process that read it."""
    return UnreadableSheetError(
        "The file is damaged, or has a cell far away from the others. "
        "Open it in Excel, copy the table into a new workbook and save that as .xlsx."
    )


def too_many_cells_error(limit: int) -> UnreadableSheetError:
    """The refusal of a sheet whose cells lie too far apart."""
    return UnreadableSheetError(
        f"The sheet spans more than {limit // 1_000_000} million cells: there is a cell far away from the others. "
        "Delete the rows and columns beyond the table, or copy the table into a new workbook."
    )


def _not_a_spreadsheet_error(container: str) -> UnreadableSheetError:
    return UnreadableSheetError(
        f"The file is {container}, not a spreadsheet, or it is incomplete. "
        "Give an Excel workbook, an OpenDocument spreadsheet, CSV or TSV."
    )
