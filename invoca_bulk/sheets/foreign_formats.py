"""Files that are no spreadsheet, or one that cannot be read: each kind by its first bytes, with what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from invoca_bulk.errors import UnreadableSheetError

#: How much of a file is looked at.
_HEAD_BYTES = 1 << 16
_CONTAINER_STARTS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")

_SAVE_AS_WORKBOOK = "Open it in Excel and save it as an Excel workbook (.xlsx)."
_SAVE_ANEW = "Open it in its own program, and save it as .xlsx or .ods."
_COPY_TABLE = "Copy the table from it into a new Excel workbook."
_EXPORT = "Export the table from its own program as .xlsx or CSV."
_UNPACK = "Unpack it, and give the spreadsheet in it."
_DOWNLOAD_SHEET = "Open it in the browser and download it as a Microsoft Excel file (.xlsx)."
_DOWNLOAD_AGAIN = "Download or copy the file again."
_GIVE_SPREADSHEET = (
    "Give an Excel workbook (.xlsx, .xlsm, .xlsb, .xls), an OpenDocument spreadsheet (.ods), CSV or TSV."
)


@dataclass(frozen=True)
class _Kind:
    """One kind of file."""

    pattern: re.Pattern[bytes]  # matches at the start of the file
    name: str  # as part of a sentence, with its article
    advice: str = _GIVE_SPREADSHEET


def _kind(pattern: bytes, name: str, advice: str = _GIVE_SPREADSHEET) -> _Kind:
    return _Kind(re.compile(pattern, re.DOTALL), name, advice)


#: The first match decides.
_BINARY_KINDS = (
    _kind(rb"%PDF", "a PDF document", _COPY_TABLE),
    _kind(rb"\{\\rtf", "a text document (RTF)", _COPY_TABLE),
    _kind(
        rb"PK\x03\x04.{26}mimetypeapplication/(?!vnd\.oasis\.opendocument\.spreadsheet)",
        "an OpenDocument file or an electronic book",
        _COPY_TABLE,
    ),
    _kind(rb"PAR1[^ -~]", "a Parquet file", "Read it with pandas.read_parquet, and pass the DataFrame."),
    _kind(rb"ARROW1|FEA1", "a Feather file", "Read it with pandas.read_feather, and pass the DataFrame."),
    _kind(rb"\x80[\x02-\x05][\x95}(\]c]", "a Python pickle", "Save the DataFrame with to_excel or to_csv."),
    _kind(rb"\x89HDF", "an HDF5 file", _EXPORT),
    _kind(rb"Obj\x01", "an Avro file", _EXPORT),
    _kind(rb"SQLite format 3\0", "a SQLite database", _EXPORT),
    _kind(rb"\0\x01\0\0Standard (?:Jet|ACE) DB", "an Access database", _EXPORT),
    _kind(rb"[\x03\x83\x8b\xf5\xfb].[\x01-\x0c][\x01-\x1f].{8}\0\0", "a dBASE table (.dbf)", _SAVE_AS_WORKBOOK),
    _kind(rb"[\x30-\x32].[\x01-\x0c][\x01-\x1f].{8}\0\0", "a FoxPro table (.dbf)", _SAVE_AS_WORKBOOK),
    _kind(rb"\0\0[\x02\x1a]\0", "an old Lotus, Works or Quattro sheet", _SAVE_AS_WORKBOOK),
    _kind(rb"\xff\0\x02\0\x04", "an old Works sheet (.wks)", _SAVE_AS_WORKBOOK),
    _kind(rb"\x09[\0\x02\x04\x08][\x04\x06\x08\x10]\0", "a workbook of Excel 2 to 5", _SAVE_AS_WORKBOOK),
    _kind(rb"\0\x05\x16\x07", "a companion file of macOS", "Choose the file without ._ in front of its name."),
    _kind(rb"bplist0|book\0\0\0\0mark", "a shortcut or a placeholder of macOS", "Open it there, and save a copy."),
    _kind(rb"L\0\0\0\x01\x14\x02\0", "a shortcut of Windows", "Give the spreadsheet that it points to."),
    _kind(rb"\x89PNG|\xff\xd8\xff|GIF8[79]a|RIFF....WEBP|BM....\0\0\0\0|II\*\0|MM\0\*", "a picture"),
    _kind(rb"7z\xbc\xaf|Rar!|BZh[1-9]1AY|\xfd7zXZ|\x28\xb5\x2f\xfd|MSCF", "a compressed archive", _UNPACK),
    _kind(rb".{257}ustar[\0 ]", "a tar archive", _UNPACK),
    _kind(rb"\0+\Z", "nothing but zero bytes: it was not saved or copied completely", _DOWNLOAD_AGAIN),
)
#: Matched without byte order mark, without the zero bytes of UTF-16, and without spaces at the start.
_TEXT_KINDS = (
    _kind(rb"ID;P[^\r\n]*[\r\n]+(?:(?:[BCFOPW]|N[ENU]);[A-Z]|E\s)", "a SYLK file", _SAVE_AS_WORKBOOK),
    _kind(rb"TABLE\r?\n0,1\r?\n", "a DIF file", _SAVE_AS_WORKBOOK),
    _kind(rb'\{.*(?:docs\.google\.com|"doc_id")', "a shortcut to a Google Sheet, not the sheet", _DOWNLOAD_SHEET),
    _kind(rb"(?i)\[InternetShortcut\]|\[Desktop Entry\]", "a shortcut, not the sheet", _DOWNLOAD_SHEET),
    _kind(rb"version https://git-lfs", "a pointer of Git LFS, not the file", "Fetch the file with git lfs pull."),
    _kind(rb'\{\s*["}]|\[\s*[\[{"\]]', "a JSON file", "Read it with pandas.read_json, and pass the DataFrame."),
    _kind(rb"(?i)<\?xml.*<(?:\w+:)?Workbook\b.*schemas-microsoft-com", "an XML Spreadsheet 2003", _SAVE_AS_WORKBOOK),
    _kind(rb"(?i)<\?xml.*<office:document\b", "a flat OpenDocument file (.fods)", _SAVE_ANEW),
    _kind(rb"(?i)<\?xml.*<!doctype plist", "a shortcut or a settings file of macOS", "Open it there, and save a copy."),
    _kind(
        rb"(?i)<(?:!doctype html|html|head|body|table|meta|style|!--)|<\?xml.*<html",
        "a web page (HTML)",
        _SAVE_AS_WORKBOOK,
    ),
    _kind(rb"(?i)<(?:!doctype|\?xml|[a-z][\w-]*[\s>/:])", "an XML document", _SAVE_AS_WORKBOOK),
    _kind(
        rb"(?i)(?:[\w-]+:[^\n]*\n(?:[ \t][^\n]*\n)*)*?mime-version:",
        "a web page or an email in one file",
        _SAVE_AS_WORKBOOK,
    ),
)
#: A lock that Excel keeps beside an open workbook: the length of a name, the name padded to 54 bytes, and both again.
_EXCEL_LOCK = re.compile(rb"[\x01-\x36][^\0]{54}[\x01-\x36]\0.{104,110}", re.DOTALL)
_LOCK_NAME = re.compile(r"~\$|\.~lock\.")


def reject_foreign_file(content: bytes | str, name: str) -> None:
    """Raise an error that names the kind of a file that is no readable spreadsheet."""
    head = content[:_HEAD_BYTES].encode("utf-8", "replace") if isinstance(content, str) else content[:_HEAD_BYTES]
    if (_LOCK_NAME.match(name) and not head.startswith(_CONTAINER_STARTS)) or _EXCEL_LOCK.fullmatch(head):
        raise _foreign_error("a lock that Excel or LibreOffice keeps while the workbook is open", _lock_advice(name))
    for kinds, start in ((_BINARY_KINDS, head), (_TEXT_KINDS, _without_utf16(head))):
        for kind in kinds:
            if kind.pattern.match(start):
                raise _foreign_error(kind.name, kind.advice)
    if not head.startswith(_CONTAINER_STARTS):
        _reject_late_container(head)


def _lock_advice(name: str) -> str:
    workbook = _LOCK_NAME.sub("", name, count=1).removesuffix("#")
    return (
        f"Choose {workbook!r}, the file without ~$ in front of its name."
        if workbook != name
        else ("Choose the workbook itself, the file without ~$ in front of its name.")
    )


def _without_utf16(head: bytes) -> bytes:
    return re.sub(rb"\A(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)", b"", head).replace(b"\0", b"").lstrip()


def _reject_late_container(head: bytes) -> None:
    """A saved HTTP response, or an email, has its headers before the workbook."""
    starts = [position for start in _CONTAINER_STARTS if (position := head.find(start)) > 0]
    if starts:
        raise UnreadableSheetError(
            f"The workbook begins only after {min(starts):,} other bytes, such as those of a saved web response. "
            "Download it again with a browser, or open it in Excel and save it as a new workbook (.xlsx)."
        )


def not_a_spreadsheet_error() -> UnreadableSheetError:
    """The error for a binary file of an unknown kind."""
    return UnreadableSheetError(f"The file is not a spreadsheet. {_GIVE_SPREADSHEET}")


def _foreign_error(name: str, advice: str) -> UnreadableSheetError:
    return UnreadableSheetError(f"The file is {name}; it is not a spreadsheet that can be read. {advice}")


#: Part of a zip container, in lower case, to the kind of file that has it.
_ZIP_KINDS: Mapping[str, tuple[str, str]] = {
    "index/document.iwa": ("an Apple Numbers file", "In Numbers, choose File, Export To, Excel."),
    "index.zip": ("an Apple Numbers file", "In Numbers, choose File, Export To, Excel."),
    "word/document.xml": ("a Word document", _COPY_TABLE),
    "ppt/presentation.xml": ("a PowerPoint file", _COPY_TABLE),
}
#: Stream of an OLE container to the kind of file that has it.
_OLE_KINDS: Mapping[str, tuple[str, str]] = {
    "WordDocument": ("a Word document", _COPY_TABLE),
    "PowerPoint Document": ("a PowerPoint file", _COPY_TABLE),
    "__properties_version1.0": ("an Outlook message", "Save the spreadsheet that is attached to it, and give that."),
    "MatOST": ("a Works document", _SAVE_AS_WORKBOOK),
    "WksSSWorkBook": ("a Works sheet", _SAVE_AS_WORKBOOK),
}


def foreign_zip_error(names: set[str]) -> UnreadableSheetError | None:
    """The error for a zip container that is a document of another program; None: it is a plain archive."""
    return next((_foreign_error(*kind) for part, kind in _ZIP_KINDS.items() if part in names), None)


def foreign_ole_error(data: bytes) -> UnreadableSheetError:
    """The error for an OLE container without a workbook."""
    for stream, kind in _OLE_KINDS.items():
        if f"{stream}\0".encode("utf-16-le") in data:
            return _foreign_error(*kind)
    return UnreadableSheetError(
        f"The file is an Office document, not a spreadsheet, or it is incomplete. {_GIVE_SPREADSHEET}"
    )
