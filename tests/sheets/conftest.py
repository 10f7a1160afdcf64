"""Writers of the same table in every format; they share no code with the readers."""

from __future__ import annotations

import io
import struct
import zipfile
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import odf.opendocument
import odf.table
import odf.teletype
import odf.text
import openpyxl
import pytest
import xlwt  # type: ignore[import-untyped]  # it has no stubs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Rows = list[list[Any]]


def xlsx(rows: Rows, name: str = "Requests", edit: Callable[[Any], object] | None = None) -> bytes:
    """A workbook by openpyxl; `edit` gets its worksheet."""
    workbook = openpyxl.Workbook()
    sheet: Any = workbook.active
    sheet.title = name
    for row in rows:
        sheet.append(row)
    if edit:
        edit(sheet)
    return to_bytes(workbook)


def book(**tables: Rows) -> bytes:
    """A workbook with several worksheets, by openpyxl."""
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.worksheets[0])
    for name, rows in tables.items():
        sheet = workbook.create_sheet(name)
        for row in rows:
            sheet.append(row)
    return to_bytes(workbook)


def to_bytes(workbook: Any) -> bytes:
    file = io.BytesIO()
    workbook.save(file)
    return file.getvalue()


def xls(rows: Rows) -> bytes:
    workbook = xlwt.Workbook(encoding="utf-8")
    sheet = workbook.add_sheet("Requests")
    for index, row in enumerate(rows):
        for column, value in enumerate(row):
            sheet.write(index, column, value)
    return to_bytes(workbook)


def xlsm(rows: Rows) -> bytes:
    """A workbook with the content type of a workbook with macros, as Excel writes it."""
    plain = b"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
    macro = b"application/vnd.ms-excel.sheet.macroEnabled.main+xml"
    return repacked(xlsx(rows), {"[Content_Types].xml": lambda old: old.replace(plain, macro)})


def ods(rows: Rows) -> bytes:
    return ods_book(Requests=rows)


def ods_book(**tables: Rows) -> bytes:
    workbook = odf.opendocument.OpenDocumentSpreadsheet()
    for name, rows in tables.items():
        sheet = odf.table.Table(name=name)
        workbook.spreadsheet.addElement(sheet)
        for row in rows:
            table_row = odf.table.TableRow()
            sheet.addElement(table_row)
            for value in row:
                table_row.addElement(_ods_cell(value))
    return to_bytes(workbook)


def _ods_cell(value: Any) -> Any:
    if isinstance(value, float):
        return odf.table.TableCell(valuetype="float", value=str(value))
    cell = odf.table.TableCell(valuetype="string") if value else odf.table.TableCell()
    for line in value.split("\n") if value else ():
        paragraph = odf.text.P()
        odf.teletype.addTextToElement(paragraph, line)
        cell.addElement(paragraph)
    return cell


def xlsb(rows: Rows) -> bytes:
    """A minimal workbook in BIFF12: records of a type, a length and the data."""
    return _xlsb(rows, b"".join(_xlsb_row(index, row) for index, row in enumerate(rows)))


def far_xlsb(rows: Rows) -> bytes:
    """The same with one more cell, in XFD1048576."""
    far_row = _record(0, struct.pack("<IIHBBBI", 1_048_575, 0, 300, 0, 0, 0, 0)) + _xlsb_cell(16_383, "far")
    return _xlsb(rows, b"".join(_xlsb_row(index, row) for index, row in enumerate(rows)) + far_row)


def xlsb_of(
    cells: bytes,
    *,
    before: bytes = b"",
    after: bytes = b"",
    strings: Sequence[str] = (),
    format_code: str = "General",
    row_flags: int = 0,
    state: int = 0,
) -> bytes:
    """A workbook with these records of cells in its first row; style 1 has the format."""
    row = _record(0, struct.pack("<IIHBBBI", 0, 0, 300, 0, row_flags, 0, 0))
    styles = _record(44, struct.pack("<H", 200) + _wide(format_code)) + _record(617, struct.pack("<I", 2))
    styles += _record(47, struct.pack("<HH", 0xFFFF, 0)) + _record(47, struct.pack("<HH", 0xFFFF, 200)) + _record(618)
    parts = {
        "xl/styles.bin": styles,
        "xl/sharedStrings.bin": b"".join(_record(19, b"\0" + _wide(text)) for text in strings),
    }
    with zipfile.ZipFile(io.BytesIO(_xlsb([["x"]], row + cells, before=before, after=after, state=state))) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    return zipped({**contents, **parts})


def _xlsb(rows: Rows, cells: bytes, *, before: bytes = b"", after: bytes = b"", state: int = 0) -> bytes:
    size = struct.pack("<IIII", 0, len(rows) - 1, 0, max(map(len, rows)) - 1)
    sheet = _record(129) + _record(148, size) + before + _record(145) + cells + _record(146) + after + _record(130)
    name = struct.pack("<II", state, 1) + _wide("rId1") + _wide("Requests")
    workbook = _record(131) + _record(143) + _record(156, name) + _record(144) + _record(132)
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    relations = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="rId1" Type="{office}/worksheet" Target="worksheets/sheet1.bin"/></Relationships>'
    )
    return zipped(
        {"xl/workbook.bin": workbook, "xl/_rels/workbook.bin.rels": relations, "xl/worksheets/sheet1.bin": sheet}
    )


def _xlsb_row(index: int, row: Sequence[Any]) -> bytes:
    cells = b"".join(_xlsb_cell(column, value) for column, value in enumerate(row) if value not in {"", None})
    return _record(0, struct.pack("<IIHBBBI", index, 0, 300, 0, 0, 0, 0)) + cells


def _xlsb_cell(column: int, value: Any) -> bytes:
    start = struct.pack("<II", column, 0)
    return (
        _record(5, start + struct.pack("<d", value)) if isinstance(value, float) else _record(6, start + _wide(value))
    )


def _wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def _record(record_type: int, data: bytes = b"") -> bytes:
    start = bytes([record_type]) if record_type < 128 else bytes([record_type & 0x7F | 0x80, record_type >> 7])
    size, length = len(data), b""
    while size > 127:
        length, size = length + bytes([size & 0x7F | 0x80]), size >> 7
    return start + length + bytes([size]) + data


def zipped(parts: Mapping[str, bytes | str]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def repacked(data: bytes, edits: Mapping[str, Callable[[bytes], bytes]]) -> bytes:
    """The zip container with some parts changed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    return zipped({name: edits.get(name, bytes)(content) for name, content in parts.items()})


def ole(*streams: str) -> bytes:
    """A minimal OLE container: a header, one sector of its table, and a directory of empty streams."""
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    header += struct.pack("<IIIIIIIIII", 0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0, 0)
    header += struct.pack("<I", 0xFFFFFFFF) * ((512 - len(header)) // 4)
    table = struct.pack("<II", 0xFFFFFFFD, 0xFFFFFFFE) + struct.pack("<I", 0xFFFFFFFF) * 126
    entries = [_ole_entry("Root Entry", 5, 1), *(_ole_entry(name, 2, 0xFFFFFFFF) for name in streams)]
    return (header + table + b"".join(entries)).ljust(2048, b"\0")


def _ole_entry(name: str, entry_type: int, child: int) -> bytes:
    text = f"{name}\0".encode("utf-16-le")
    entry = text.ljust(64, b"\0") + struct.pack("<HBBIII", len(text), entry_type, 1, 0xFFFFFFFF, 0xFFFFFFFF, child)
    return entry.ljust(116, b"\0") + struct.pack("<IQ", 0xFFFFFFFE, 0)


def delimited(rows: Rows, *, delimiter: str = ",", end: str = "\r\n", encoding: str = "utf-8") -> bytes:
    """CSV by hand: a cell is quoted if it has to be."""
    special = {delimiter, '"', "\r", "\n"}

    def cell(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if special & set(text) or text != text.strip() else text

    return "".join(delimiter.join(map(cell, row)) + end for row in rows).encode(encoding)


@pytest.fixture(scope="session")
def make() -> Any:
    """All writers above; test folders are not packages, so tests cannot import them."""
    return SimpleNamespace(
        xlsx=xlsx,
        xlsm=xlsm,
        xls=xls,
        xlsb=xlsb,
        ods=ods,
        book=book,
        ods_book=ods_book,
        csv=delimited,
        to_bytes=to_bytes,
        zipped=zipped,
        repacked=repacked,
        ole=ole,
        far_xlsb=far_xlsb,
        xlsb_of=xlsb_of,
        record=_record,
    )
