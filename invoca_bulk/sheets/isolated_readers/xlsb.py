"""The reader of xlsb: the records of BIFF12 ([MS-XLSB]), of which few are needed.

Libraries that read xlsb leave out the errors, the number formats or what is hidden.
"""

from __future__ import annotations

import io
import posixpath
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from . import serial_dates, worksheets
from .worksheets import CellLimit, Worksheet

_WORKBOOK = "xl/workbook.bin"
_RELATIONS = "xl/_rels/workbook.bin.rels"
_STYLES = "xl/styles.bin"
_STRINGS = "xl/sharedstrings.bin"
_VISIBILITIES = {0: "visible", 1: "hidden", 2: "very hidden"}
_ERROR_TEXTS: Mapping[int, str] = {
    0x00: "#NULL!",
    0x07: "#DIV/0!",
    0x0F: "#VALUE!",
    0x17: "#REF!",
    0x1D: "#NAME?",
    0x24: "#NUM!",
    0x2A: "#N/A",
    0x2B: "#GETTING_DATA",
}
_UNKNOWN_ERROR = "#UNKNOWN!"

# The types of the records; of those of a cell see `_VALUE_READERS`.
_ROW, _STRING, _FORMAT, _STYLE, _COLUMNS = 0, 19, 44, 47, 60
_END_OF_CELLS, _WORKBOOK_PROPERTIES, _SHEET, _MERGE = 146, 153, 156, 176
_BEGIN_STYLES, _END_STYLES = 617, 618
_SHARED_STRING, _FORMULA_TEXT = 7, 8

_ALWAYS_CALCULATE = 0x2
_HIDDEN_ROW = 0x10
_HIDDEN_COLUMN = 0x1
_CELL_START = 8  # column, style
_STYLE_MASK = 0xFFFFFF
_NULL_TEXT = 0xFFFFFFFF
_MAX_COLUMN = 16_384


@dataclass(kw_only=True)
class _Workbook:
    """What the cells refer to."""

    strings: list[str] = field(default_factory=list)
    format_codes: list[str] = field(default_factory=list)  # of each style
    is_1904: bool = False


def read(data: bytes, limit: CellLimit) -> list[Worksheet]:
    """All worksheets whose part is there; macro sheets and charts are left out."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name.replace("\\", "/").lstrip("/").lower(): name for name in archive.namelist()}
        parts = {name: archive.read(member) for name, member in members.items() if name.startswith("xl/")}
    targets = _read_targets(parts[_RELATIONS])
    records = list(_iter_records(parts[_WORKBOOK]))
    workbook = _Workbook(
        strings=[
            _read_text(content, 1) for kind, content in _iter_records(parts.get(_STRINGS, b"")) if kind == _STRING
        ],
        format_codes=_read_format_codes(parts.get(_STYLES, b"")),
        is_1904=any(content[0] & 1 for kind, content in records if kind == _WORKBOOK_PROPERTIES),
    )
    sheets = [_read_sheet_entry(content) for kind, content in records if kind == _SHEET]
    found = [(name, state, parts[targets[target]]) for target, name, state in sheets if targets.get(target) in parts]
    if not found:
        raise ValueError
    return [
        limit.close(_WorksheetReader(Worksheet(name=name, visibility=state), workbook, limit).read(part))
        for name, state, part in found
    ]


def _read_targets(relations: bytes) -> dict[str, str]:
    """Id to part of the relations that lead to worksheets."""
    targets = {}

    def read_relation(name: str, attributes: dict[str, str]) -> None:
        if name.endswith("Relationship") and attributes.get("Type", "").endswith("/worksheet"):
            target = posixpath.normpath(posixpath.join("/xl", attributes["Target"].replace("\\", "/")))
            targets[attributes["Id"]] = target.lstrip("/").lower()

    parser = expat.ParserCreate()
    parser.StartElementHandler = read_relation
    parser.EntityDeclHandler = worksheets.refuse_entity
    parser.Parse(relations, True)  # noqa: FBT003  the last part; expat takes no keywords
    return targets


def _read_sheet_entry(content: bytes) -> tuple[str, str, str]:
    """Id of the relation, name and visibility; a sheet without an id has no part."""
    state, _, length = struct.unpack_from("<III", content)
    if length == _NULL_TEXT:
        return "", _read_text(content, 12), _VISIBILITIES.get(state, "hidden")
    return _read_text(content, 8), _read_text(content, 12 + 2 * length), _VISIBILITIES.get(state, "hidden")


def _read_format_codes(styles: bytes) -> list[str]:
    """The code of the number format of each style of a cell."""
    codes = dict(serial_dates.BUILT_IN_CODES)
    style_codes: list[str] = []
    are_of_cells = False
    for kind, content in _iter_records(styles):
        if kind == _FORMAT:
            codes[struct.unpack_from("<H", content)[0]] = _read_text(content, 2)
        elif kind in {_BEGIN_STYLES, _END_STYLES}:
            are_of_cells = kind == _BEGIN_STYLES
        elif kind == _STYLE and are_of_cells:
            style_codes.append(codes.get(struct.unpack_from("<H", content, 2)[0], "General"))
    return style_codes


def _iter_records(part: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and content of each record; both numbers have 7 bits a byte."""
    offset = 0
    while offset < len(part):
        kind = part[offset]
        offset += 1
        if kind & 0x80:
            kind = kind & 0x7F | (part[offset] & 0x7F) << 7
            offset += 1
        size = shift = 0
        while True:
            byte = part[offset]
            offset += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        yield kind, part[offset : offset + size]
        offset += size


def _read_text(content: bytes, offset: int) -> str:
    """A text after its number of UTF-16 units; ValueError if it is cut off."""
    (length,) = struct.unpack_from("<I", content, offset)
    text = content[offset + 4 : offset + 4 + 2 * length]
    if len(text) < 2 * length:
        raise ValueError
    return text.decode("utf-16-le")


def _read_short_number(content: bytes) -> float:
    """The upper 30 bits of a float, or a whole number; perhaps of hundredths."""
    (bits,) = struct.unpack_from("<i", content, _CELL_START)
    number = float(bits >> 2) if bits & 2 else struct.unpack("<d", struct.pack("<Ii", 0, bits & ~3))[0]
    return number / 100 if bits & 1 else number


def _read_number(content: bytes) -> float:
    return float(struct.unpack_from("<d", content, _CELL_START)[0])


def _read_cell_text(content: bytes) -> str:
    return _read_text(content, _CELL_START)


def _read_rich_text(content: bytes) -> str:
    return _read_text(content, _CELL_START + 1)


def _read_boolean(content: bytes) -> bool:
    return content[_CELL_START] != 0


def _read_error(content: bytes) -> _ErrorText:
    return _ErrorText(_ERROR_TEXTS.get(content[_CELL_START], _UNKNOWN_ERROR))


class _ErrorText(str):
    """The text of an error, as against a text that looks like one."""

    __slots__ = ()


#: Record type to the reader of the cell's value. Blank cells (1) and shared strings (7) are read apart.
_VALUE_READERS: Mapping[int, Callable[[bytes], object]] = {
    2: _read_short_number,
    3: _read_error,
    4: _read_boolean,
    5: _read_number,
    6: _read_cell_text,
    _FORMULA_TEXT: _read_cell_text,
    9: _read_number,
    10: _read_boolean,
    11: _read_error,
    62: _read_rich_text,
}


class _WorksheetReader:
    """Reads the records of one worksheet."""

    def __init__(self, worksheet: Worksheet, workbook: _Workbook, limit: CellLimit) -> None:
        self.worksheet = worksheet
        self.workbook = workbook
        self.limit = limit
        self.row_number = 0
        self.cells: dict[int, object] = {}  # of the current row
        self.width = 0
        self.handlers: Mapping[int, Callable[[bytes], None]] = {
            _ROW: self._begin_row,
            _COLUMNS: self._read_columns,
            _MERGE: self._read_merge,
        }

    def read(self, part: bytes) -> Worksheet:
        """The worksheet; ValueError if its end is missing."""
        are_cells_complete = False
        for kind, content in _iter_records(part):
            if kind == _SHARED_STRING:
                self._put(content, self.workbook.strings[struct.unpack_from("<I", content, _CELL_START)[0]])
            elif kind in _VALUE_READERS:
                self._put(content, _VALUE_READERS[kind](content))
                if kind == _FORMULA_TEXT:
                    self._check_formula(content)
            elif kind in self.handlers:
                self.handlers[kind](content)
            elif kind == _END_OF_CELLS:
                self._end_row()
                are_cells_complete = True
        if not are_cells_complete:
            raise ValueError
        return self.worksheet

    def _begin_row(self, content: bytes) -> None:
        self._end_row()
        (index,) = struct.unpack_from("<I", content)
        self.row_number = index + 1
        if content[11] & _HIDDEN_ROW:
            self.worksheet.hidden_rows.add(self.row_number)

    def _end_row(self) -> None:
        """Append the current row, after blank ones if numbers were left out; a far-away one only counts."""
        rows, cells = self.worksheet.rows, self.cells
        if not cells or self.worksheet.far_cell:
            return
        self.cells = {}
        self.width = max(self.width, max(cells) + 1)
        if self.row_number <= len(rows):
            raise ValueError
        if self.row_number * self.width > self.limit.remaining:
            self.worksheet.far_cell = (self.row_number, max(cells))
            return
        rows.extend([] for _ in range(self.row_number - 1 - len(rows)))
        rows.append([cells.get(column, "") for column in range(max(cells) + 1)])

    def _put(self, content: bytes, value: object) -> None:
        """Note the value of a cell, and what its style says about it."""
        column, style = struct.unpack_from("<II", content)
        if isinstance(value, float | str):
            value = self._apply_format(value, style & _STYLE_MASK, column)
        if isinstance(value, _ErrorText):
            value = self.worksheet.error_cells[self.row_number, column] = str(value)
        if value != "":
            self.cells[column] = value

    def _apply_format(self, value: float | str, style: int, column: int) -> object:
        codes = self.workbook.format_codes
        code = codes[style] if style < len(codes) else "General"
        kind = serial_dates.find_kind(code)
        if kind == "number":
            if code not in serial_dates.PLAIN_CODES:
                self.worksheet.format_codes[self.row_number, column] = code
            return value
        return serial_dates.convert(value, kind, is_1904=self.workbook.is_1904) if isinstance(value, float) else value

    def _check_formula(self, content: bytes) -> None:
        """An empty text that is to be calculated when the file is opened is no result."""
        column, _, length = struct.unpack_from("<III", content)
        if not length and struct.unpack_from("<H", content, _CELL_START + 4)[0] & _ALWAYS_CALCULATE:
            self.worksheet.uncached_formulas[self.row_number, column] = ""

    def _read_columns(self, content: bytes) -> None:
        first, last, width, _, flags = struct.unpack_from("<IIIIH", content)
        if flags & _HIDDEN_COLUMN or not width:
            self.worksheet.hidden_columns.update(range(first, min(last + 1, _MAX_COLUMN)))

    def _read_merge(self, content: bytes) -> None:
        top, bottom, left, right = struct.unpack_from("<IIII", content)
        self.worksheet.merged_ranges.append((top + 1, left, bottom + 1, right))
