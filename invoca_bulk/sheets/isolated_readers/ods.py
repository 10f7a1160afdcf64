"""The reader of ods: its XML, read by expat as it unpacks, so that only the cells are held in memory."""

from __future__ import annotations

import datetime as dt
import io
import math
import re
import zipfile
from collections.abc import Callable, Mapping
from xml.parsers import expat

from . import shown_numbers, worksheets
from .worksheets import CellLimit, NotASpreadsheetError, Worksheet

_CONTENT = "content.xml"
_CHUNK_BYTES = 1 << 20
_MAX_COLUMN = 16_384
#: More than a cell may hold; the attribute that counts spaces could name billions.
_MAX_SPACES = 200_000
#: Of all cells together: more than any sheet has, and few enough for the memory.
_MAX_ALL_SPACES, _MAX_MARKS = 20_000_000, 2_000_000

# Names as expat gives them: the namespace, a space, the local name.
_OFFICE = "urn:oasis:names:tc:opendocument:xmlns:office:1.0 "
_STYLE = "urn:oasis:names:tc:opendocument:xmlns:style:1.0 "
_TABLE = "urn:oasis:names:tc:opendocument:xmlns:table:1.0 "
_TEXT = "urn:oasis:names:tc:opendocument:xmlns:text:1.0 "
_DRAWING = "urn:oasis:names:tc:opendocument:xmlns:drawing:1.0 "
_CALC_VALUE_TYPE = "urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0 value-type"
_VALUE_TYPE, _STRING_VALUE = f"{_OFFICE}value-type", f"{_OFFICE}string-value"
_FORMULA, _DISPLAY = f"{_TABLE}formula", f"{_TABLE}display"
_COLUMNS_REPEATED, _ROWS_REPEATED = f"{_TABLE}number-columns-repeated", f"{_TABLE}number-rows-repeated"
_COLUMNS_SPANNED, _ROWS_SPANNED = f"{_TABLE}number-columns-spanned", f"{_TABLE}number-rows-spanned"
_HIDING = frozenset({"collapse", "filter"})

#: Elements that hold texts or tables that are no cells of the sheet: notes, drawings, earlier versions, links.
_SKIPPED = frozenset(
    {
        f"{_OFFICE}annotation",
        f"{_OFFICE}forms",
        f"{_TABLE}dde-links",
        f"{_TABLE}shapes",
        f"{_TABLE}tracked-changes",
        f"{_TEXT}note",
        f"{_TEXT}ruby-text",
    }
)

# Spaces, tabs and line breaks that are elements, until the others are collapsed. XML cannot hold these characters.
_SPACE, _TAB, _BREAK = "\x01", "\x02", "\x03"
_ELEMENT_TEXTS = str.maketrans({_SPACE: " ", _TAB: "\t", _BREAK: "\n"})
_SPECIAL_SPACE = re.compile(r"  |[\t\r\n\x01-\x03]")
_BREAKS_AROUND = re.compile(r"^ *[\r\n]\s*|[ \t]*[\r\n]\s*$")
_SPACES = re.compile(r"[ \t\r\n]+")

_ERROR_TEXT = re.compile(r"#(?:DIV/0!|N/A|NAME\?|NULL!|NUM!|REF!|VALUE!)|Err:[0-9]{3}")
_ERROR_NUMBER = re.compile(r"\w+:([0-9]{3})")  # `Fehler:502`
_UNKNOWN_ERROR = "#ERROR!"
_DURATION = re.compile(r"(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")

Attributes = Mapping[str, str]


def read(data: bytes, limit: CellLimit) -> list[Worksheet]:
    """All sheets, in their order."""
    content = _ContentReader(limit)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = content.start_element
    parser.EndElementHandler = content.end_element
    parser.CharacterDataHandler = content.add_characters
    parser.EntityDeclHandler = worksheets.refuse_entity
    parser.SkippedEntityHandler = worksheets.refuse_entity
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        (member,) = (name for name in archive.namelist() if name.replace("\\", "/").lstrip("/").lower() == _CONTENT)
        with archive.open(member) as file:
            while chunk := file.read(_CHUNK_BYTES):
                parser.Parse(chunk, False)  # noqa: FBT003  not the last one; expat takes no keywords
    parser.Parse(b"", True)  # noqa: FBT003  the last one
    if not content.is_spreadsheet:
        raise NotASpreadsheetError
    return content.worksheets


class _ContentReader:
    """What expat calls at each element; the cells of the worksheet at hand are the last in `worksheets`."""

    def __init__(self, limit: CellLimit) -> None:
        self.limit = limit
        self.worksheets: list[Worksheet] = []
        self.is_spreadsheet = False
        self._skip_depth = 0
        self._style_name = ""
        self._hidden_styles: set[str] = set()
        self._column = 0
        self._row = _RowReader({})
        self._row_number = 1
        self._width = 0
        self._collapsed_groups: list[bool] = []
        self._cell: Attributes | None = None
        self._paragraphs: list[str] = []
        self._characters: list[str] | None = None
        self._spaces_left = _MAX_ALL_SPACES
        self._starts: Mapping[str, Callable[[Attributes], None]] = {
            f"{_OFFICE}spreadsheet": self._start_spreadsheet,
            f"{_STYLE}style": self._start_style,
            f"{_STYLE}table-properties": self._read_table_properties,
            f"{_TABLE}table": self._start_table,
            f"{_TABLE}table-column": self._read_column,
            f"{_TABLE}table-column-group": self._start_group,
            f"{_TABLE}table-row-group": self._start_group,
            f"{_TABLE}table-row": self._start_row,
            f"{_TABLE}table-cell": self._start_cell,
            f"{_TABLE}covered-table-cell": self._start_cell,
            f"{_TEXT}p": self._start_paragraph,
            f"{_TEXT}h": self._start_paragraph,
            f"{_TEXT}s": self._add_spaces,
            f"{_TEXT}tab": lambda _: self.add_characters(_TAB),
            f"{_TEXT}line-break": lambda _: self.add_characters(_BREAK),
        }
        self._ends: Mapping[str, Callable[[], None]] = {
            f"{_TABLE}table": self._end_table,
            f"{_TABLE}table-column-group": self._end_group,
            f"{_TABLE}table-row-group": self._end_group,
            f"{_TABLE}table-row": self._end_row,
            f"{_TABLE}table-cell": self._end_cell,
            f"{_TABLE}covered-table-cell": self._end_cell,
            f"{_TEXT}p": self._end_paragraph,
            f"{_TEXT}h": self._end_paragraph,
        }

    def start_element(self, name: str, attributes: Attributes) -> None:
        """Expat's call."""
        if self._skip_depth:
            self._skip_depth += 1
        elif handler := self._starts.get(name):
            handler(attributes)
        elif name in _SKIPPED or name.startswith(_DRAWING):
            self._skip_depth = 1

    def end_element(self, name: str) -> None:
        """Expat's call."""
        if self._skip_depth:
            self._skip_depth -= 1
        elif handler := self._ends.get(name):
            handler()

    def add_characters(self, text: str) -> None:
        """Expat's call; only the texts of paragraphs matter."""
        if self._characters is not None and not self._skip_depth:
            self._characters.append(text)

    def _start_spreadsheet(self, _attributes: Attributes) -> None:
        self.is_spreadsheet = True

    def _start_style(self, attributes: Attributes) -> None:
        self._style_name = attributes.get(f"{_STYLE}name", "")

    def _read_table_properties(self, attributes: Attributes) -> None:
        if attributes.get(_DISPLAY) == "false":
            self._hidden_styles.add(self._style_name)

    def _start_table(self, attributes: Attributes) -> None:
        if self._cell is not None:  # a table in a cell
            self._skip_depth = 1
            return
        is_hidden = attributes.get(f"{_TABLE}style-name") in self._hidden_styles
        name = attributes.get(f"{_TABLE}name", "")
        self.worksheets.append(Worksheet(name=name, visibility="hidden" if is_hidden else "visible"))
        self._column, self._row_number, self._width = 0, 1, 0
        self._collapsed_groups = []

    def _end_table(self) -> None:
        self.worksheets[-1] = self.limit.close(self.worksheets[-1])

    def _start_group(self, attributes: Attributes) -> None:
        self._collapsed_groups.append(attributes.get(_DISPLAY) == "false")

    def _end_group(self) -> None:
        self._collapsed_groups.pop()

    def _is_hidden(self, attributes: Attributes) -> bool:
        return attributes.get(f"{_TABLE}visibility") in _HIDING or any(self._collapsed_groups)

    def _read_column(self, attributes: Attributes) -> None:
        first = self._column
        self._column += _read_count(attributes, _COLUMNS_REPEATED)
        if self._is_hidden(attributes):
            self.worksheets[-1].hidden_columns.update(range(first, min(self._column, _MAX_COLUMN)))

    def _start_row(self, attributes: Attributes) -> None:
        self._row = _RowReader(attributes)

    def _end_row(self) -> None:
        """Append the row as often as it is repeated, after the blank ones before it; a far-away one only counts."""
        row, worksheet = self._row, self.worksheets[-1]
        first = self._row_number
        self._row_number += _read_count(row.attributes, _ROWS_REPEATED)
        self._width = max(self._width, row.width)
        if not row.width or worksheet.far_cell:
            return
        if (self._row_number - 1) * self._width > self.limit.remaining:
            worksheet.far_cell = (self._row_number - 1, row.width - 1)
            return
        worksheet.rows.extend([[]] * (first - 1 - len(worksheet.rows)))
        numbers = range(first, self._row_number)
        worksheet.rows.extend([row.cells] * len(numbers))
        if self._is_hidden(row.attributes):
            worksheet.hidden_rows.update(numbers)
        row.copy_marks(worksheet, numbers)

    def _start_cell(self, attributes: Attributes) -> None:
        self._cell = attributes
        self._paragraphs = []

    def _end_cell(self) -> None:
        if self._cell is not None:
            self._row.add_cell(self._cell, "\n".join(self._paragraphs), self.limit)
        self._cell = None

    def _start_paragraph(self, _attributes: Attributes) -> None:
        self._characters = [] if self._cell is not None else None

    def _end_paragraph(self) -> None:
        if self._characters is not None:
            self._paragraphs.append(_collapse_spaces("".join(self._characters)))
        self._characters = None

    def _add_spaces(self, attributes: Attributes) -> None:
        spaces = min(_read_count(attributes, f"{_TEXT}c"), _MAX_SPACES)
        self._spaces_left -= spaces
        if self._spaces_left < 0:
            raise MemoryError
        self.add_characters(_SPACE * spaces)


class _RowReader:
    """The cells of one row, and what is to be said about them, by column."""

    def __init__(self, attributes: Attributes) -> None:
        self.attributes = attributes
        self.cells: list[object] = []
        self.width = 0  # up to the last cell with a value or a mark
        self._column = 0
        self._errors: dict[int, str] = {}
        self._formulas: dict[int, str] = {}
        self._shown_texts: dict[int, str] = {}
        self._merges: list[tuple[int, int, int]] = []  # column, rows, columns

    def add_cell(self, attributes: Attributes, shown: str, limit: CellLimit) -> None:
        """Add a cell as often as it is repeated; MemoryError if that cannot be meant."""
        first = self._column
        self._column += _read_count(attributes, _COLUMNS_REPEATED) if attributes else 1
        columns = range(first, self._column)
        if _ROWS_SPANNED in attributes or _COLUMNS_SPANNED in attributes:
            self._add_merge(first, attributes)
        value = self._read_value(attributes, shown, columns)
        if value is None:
            return
        if self._column > limit.remaining:
            raise MemoryError
        self.cells.extend([""] * (first - len(self.cells)))
        self.cells.extend([value] * len(columns))
        self.width = self._column

    def _read_value(self, attributes: Attributes, shown: str, columns: range) -> object:
        """The value, and the marks of its cells; None: a blank cell."""
        if error := _find_error(attributes, shown):
            self._errors.update(dict.fromkeys(columns, error))
            return error
        value = _read_value(attributes, shown)
        if value is None and _FORMULA in attributes:
            self._formulas.update(dict.fromkeys(columns, attributes[_FORMULA].partition(":")[2]))
            return ""
        if (
            isinstance(value, float)
            and attributes[_VALUE_TYPE] == "float"
            and shown_numbers.is_other_text(value, shown)
        ):
            self._shown_texts.update(dict.fromkeys(columns, shown))
        return None if value == "" else value

    def _add_merge(self, first: int, attributes: Attributes) -> None:
        rows, columns = _read_count(attributes, _ROWS_SPANNED), _read_count(attributes, _COLUMNS_SPANNED)
        if rows > 1 or columns > 1:
            self._merges.append((first, rows, columns))

    def copy_marks(self, worksheet: Worksheet, numbers: range) -> None:
        """Note the marks of the cells for each row of the repeated one; MemoryError if that cannot be meant."""
        mark_count = len(self._errors) + len(self._formulas) + len(self._shown_texts) + len(self._merges)
        if not mark_count:
            return
        if worksheet.count_marks() + mark_count * len(numbers) > _MAX_MARKS:
            raise MemoryError
        for number in numbers:
            worksheet.error_cells.update({(number, column): text for column, text in self._errors.items()})
            worksheet.uncached_formulas.update({(number, column): text for column, text in self._formulas.items()})
            worksheet.shown_texts.update({(number, column): text for column, text in self._shown_texts.items()})
            worksheet.merged_ranges.extend(
                (number, column, number + rows - 1, column + columns - 1) for column, rows, columns in self._merges
            )


def _read_count(attributes: Attributes, name: str) -> int:
    return max(1, int(attributes.get(name, 1)))


def _collapse_spaces(text: str) -> str:
    """The text of a paragraph. White space that is no element counts once, and line breaks at the ends not at all."""
    if not _SPECIAL_SPACE.search(text):
        return text
    return _SPACES.sub(" ", _BREAKS_AROUND.sub("", text)).translate(_ELEMENT_TEXTS)


def _find_error(attributes: Attributes, shown: str) -> str:
    """The text of an error cell; empty if it is none. Older programs give errors the type of a number or a text."""
    is_typed = attributes.get(_CALC_VALUE_TYPE) == "error"
    is_possible = _FORMULA in attributes or attributes.get(_VALUE_TYPE, "string") != "string"
    if _ERROR_TEXT.fullmatch(shown):
        return shown if is_typed or is_possible else ""
    if not is_typed:
        return ""
    number = _ERROR_NUMBER.fullmatch(shown)
    return f"Err:{number[1]}" if number else _UNKNOWN_ERROR


def _read_value(attributes: Attributes, shown: str) -> object:
    """The value of a cell; the text that it shows if there is no other; None if there is nothing at all."""
    reader = _VALUE_READERS.get(attributes.get(_VALUE_TYPE, ""))
    try:
        value = reader(attributes) if reader else None
    except (OverflowError, ValueError):  # a date before the year 1, a number that is none
        value = None
    if value is not None and (value != "" or not shown):
        return value
    is_text_formula = attributes.get(_VALUE_TYPE) == "string" and value is not None
    return shown if shown or is_text_formula else None


def _read_number(attributes: Attributes) -> float | None:
    if f"{_OFFICE}value" not in attributes:
        return None
    number = float(attributes[f"{_OFFICE}value"])
    return number if math.isfinite(number) else None


def _read_boolean(attributes: Attributes) -> bool | None:
    return {"true": True, "false": False}.get(attributes.get(f"{_OFFICE}boolean-value", ""))


def _read_date(attributes: Attributes) -> dt.date | None:
    text = attributes.get(f"{_OFFICE}date-value", "")
    return dt.datetime.fromisoformat(text).replace(tzinfo=None) if "T" in text else dt.date.fromisoformat(text)


def _read_duration(attributes: Attributes) -> dt.timedelta | None:
    match = _DURATION.fullmatch(attributes.get(f"{_OFFICE}time-value", ""))
    if not match:
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups()[1:])
    duration = dt.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    return -duration if match[1] else duration


#: The type of a value to its reader, which returns None if the value is not stored.
_VALUE_READERS: Mapping[str, Callable[[Attributes], object]] = {
    "float": _read_number,
    "percentage": _read_number,
    "currency": _read_number,
    "boolean": _read_boolean,
    "date": _read_date,
    "time": _read_duration,
    "string": lambda attributes: attributes.get(_STRING_VALUE),
}
