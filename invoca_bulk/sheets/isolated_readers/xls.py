"""The reader of xls: xlrd, and a look at the records for what xlrd does not tell.

xlrd gives the same empty text for a formula whose result is empty and for one that was never calculated.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import xlrd
from xlrd.compdoc import CompDoc

from . import serial_dates, worksheets
from .worksheets import CellLimit, Position, UnreadableTextError, Worksheet

_OLE_SIGNATURE = b"\xd0\xcf\x11\xe0"
_STREAM_NAMES = ("Workbook", "Book")  # capitals make no difference
_VISIBILITIES = {0: "visible", 1: "hidden", 2: "very hidden"}
_ERROR_TEXTS: Mapping[int, str] = {**xlrd.error_text_from_code, 0x2B: "#GETTING_DATA"}
_UNKNOWN_ERROR = "#UNKNOWN!"
_FORMATTED_TYPES = frozenset({xlrd.XL_CELL_TEXT, xlrd.XL_CELL_NUMBER, xlrd.XL_CELL_DATE})

_RECORD = struct.Struct("<HH")  # type and size
_BOF, _BOUND_SHEET, _CONTINUE = 0x809, 0x85, 0x3C
_NOTES_AND_NAMES = {0x18, 0x218, 0x1C}
_UNKNOWN_RECORD = b"\xff\xff"
_FORMULAS = {0x06, 0x206, 0x406}
_LABELS = {0x204, 0xD6}  # texts that are stored in the cell itself
#: Row, column, format, the result, flags and the cache of the program that calculated the formula.
_FORMULA = struct.Struct("<HHH8sHI")
_EMPTY_RESULT = struct.Struct("<B5xH").pack(3, 0xFFFF)


def read(data: bytes, limit: CellLimit) -> list[Worksheet]:
    """All worksheets; macro sheets and charts are left out."""
    stream = _find_stream(data)
    uncached = _find_uncached_formulas(stream)
    _blank_out_notes(stream)
    try:
        book = xlrd.open_workbook(file_contents=bytes(stream), logfile=io.StringIO(), formatting_info=True)
    except UnicodeDecodeError:
        raise UnreadableTextError from None
    except xlrd.XLRDError as error:
        raise (worksheets.PasswordError() if "encrypted" in str(error) else error) from None
    return [limit.close(_read_sheet(book, sheet, uncached.get(sheet.number, set()))) for sheet in book.sheets()]


def _read_sheet(book: xlrd.Book, sheet: xlrd.sheet.Sheet, uncached: set[Position]) -> Worksheet:
    worksheet = Worksheet(
        name=sheet.name,
        visibility=_VISIBILITIES.get(sheet.visibility, "hidden"),
        uncached_formulas=dict.fromkeys(uncached, ""),
        hidden_rows=_find_hidden_rows(sheet),
        hidden_columns={index for index, column in sheet.colinfo_map.items() if column.hidden or not column.width},
        merged_ranges=[(top + 1, left, bottom, right - 1) for top, bottom, left, right in sheet.merged_cells],
    )
    codes = _read_format_codes(book)
    for index in range(sheet.nrows):
        worksheet.rows.append(worksheets.trim(_read_row(book, sheet, index, codes, worksheet)))
    return worksheet


def _read_format_codes(book: xlrd.Book) -> dict[int, str]:
    """The code of the number format of each style; a file need not say the built-in ones."""
    return {index: _find_code(book, style.format_key) for index, style in enumerate(book.xf_list)}


def _find_code(book: xlrd.Book, key: int) -> str:
    number_format = book.format_map.get(key)
    code = number_format.format_str if number_format else None
    return code or serial_dates.BUILT_IN_CODES.get(key, "General")


def _read_row(
    book: xlrd.Book, sheet: xlrd.sheet.Sheet, index: int, codes: dict[int, str], worksheet: Worksheet
) -> list[object]:
    cells: list[Any] = sheet.row_values(index)
    for column, cell_type in enumerate(sheet.row_types(index)):
        if cell_type in _FORMATTED_TYPES:
            code = codes.get(sheet.cell_xf_index(index, column), "General")
            kind = serial_dates.find_kind(code)
            if kind != "number" and cell_type != xlrd.XL_CELL_TEXT:
                cells[column] = serial_dates.convert(cells[column], kind, is_1904=bool(book.datemode))
            elif kind == "number" and code not in serial_dates.PLAIN_CODES:
                worksheet.format_codes[index + 1, column] = code
        elif cell_type == xlrd.XL_CELL_BOOLEAN:
            cells[column] = bool(cells[column])
        elif cell_type == xlrd.XL_CELL_ERROR:
            cells[column] = _ERROR_TEXTS.get(cells[column], _UNKNOWN_ERROR)
            worksheet.error_cells[index + 1, column] = cells[column]
    return cells


def _find_hidden_rows(sheet: xlrd.sheet.Sheet) -> set[int]:
    rows = range(sheet.nrows) if sheet.default_row_hidden else ()
    unlisted = {index + 1 for index in rows if index not in sheet.rowinfo_map}
    return unlisted | {index + 1 for index, row in sheet.rowinfo_map.items() if row.hidden}


def _find_uncached_formulas(stream: bytearray) -> dict[int, set[Position]]:
    """Index of the worksheet to the cells whose formula has an empty result, and was not calculated by Excel.

    Excel leaves its cache beside each result; programs that cannot calculate write an empty result and no cache.
    """
    offsets: list[int] = []
    cells: dict[int, set[Position]] = {}
    for offset, record_type, content in _iter_records(stream):
        if record_type == _BOUND_SHEET and content[5:6] == b"\0":
            offsets.append(*struct.unpack_from("<I", content))
        elif record_type == _BOF and offset in offsets:
            current = cells.setdefault(offsets.index(offset), set())
        elif record_type in _FORMULAS and cells and content[6:14] == _EMPTY_RESULT:
            row, column, _, _, _, cache = _FORMULA.unpack_from(content)
            if not cache:
                current.add((row + 1, column))
    return cells


def _blank_out_notes(stream: bytearray) -> None:
    """Turn the records of notes and names into unknown ones: xlrd fails at odd ones, and no cell depends on them."""
    for offset, record_type, _ in _iter_records(stream):
        if record_type in _NOTES_AND_NAMES:
            stream[offset : offset + 2] = _UNKNOWN_RECORD


def _find_stream(data: bytes) -> bytearray:
    """The records of the workbook; before Excel 5 they are the whole file."""
    if not data.startswith(_OLE_SIGNATURE):
        return bytearray(data)
    container = CompDoc(data, logfile=io.StringIO())
    streams = (container.locate_named_stream(name) for name in _STREAM_NAMES)
    return next((bytearray(memory[start : start + size]) for memory, start, size in streams if memory), bytearray())


def _iter_records(stream: bytearray) -> Iterator[tuple[int, int, bytearray]]:
    """Offset, type and content of each record; UnreadableTextError if a cell's text goes on in the next one.

    xlrd would cut it.
    """
    offset = previous_type = 0
    while offset + _RECORD.size <= len(stream):
        record_type, size = _RECORD.unpack_from(stream, offset)
        if record_type == _CONTINUE and previous_type in _LABELS:
            raise UnreadableTextError
        yield offset, record_type, stream[offset + _RECORD.size : offset + _RECORD.size + size]
        previous_type = record_type
        offset += _RECORD.size + size
