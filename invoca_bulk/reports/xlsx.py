"""Write .xlsx files: `WorksheetSpec`s describe a workbook, and `write_workbook` streams it out.

XlsxWriter runs in `constant_memory` mode: a row is on disk before the next one is requested, so earlier rows cannot be
changed, and tables and automatic widths are not available. Every cell is text, whatever it starts with: no formulas, no
links, no numbers that lose a leading zero.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import io
import re
import tempfile
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import Enum
from itertools import chain, count, islice, zip_longest
from typing import TYPE_CHECKING, BinaryIO
from xml.sax.saxutils import escape

import xlsxwriter
from xlsxwriter.exceptions import FileCreateError
from xlsxwriter.utility import xl_col_to_name
from xlsxwriter.worksheet import Worksheet

from invoca_bulk.errors import OutputError
from invoca_bulk.schema.issue_catalog import add_marker

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format

# Excel's limits; text length is in UTF-16 code units.
MAX_ROWS = 1_048_576
MAX_COLUMNS = 16_384
MAX_CELL_UTF16_UNITS = 32_767
MAX_SHEET_NAME_LENGTH = 31

#: Notes per workbook; more make Excel slow. Later cells are only coloured.
MAX_NOTES = 5_000
NOTES_LIMIT_TEXT = (
    "From here on, cells are coloured but have no note, to keep Excel fast; the issues sheet lists all issues."
)
#: Ends a text that was cut at Excel's limit.
TRUNCATION_MARK = " … [cut: Excel's limit]"
#: The hidden worksheet with the values of the dropdowns.
LISTS_SHEET_NAME = "lists"
#: Shown for a blank value that needs to be visible.
BLANK = "(blank)"

#: Rows below the header that have dropdowns and limits.
_VALIDATED_ROWS = 10_000
#: Rows that column widths are estimated from.
_WIDTH_SAMPLE_ROWS = 100
_MIN_COLUMN_WIDTH, _MAX_COLUMN_WIDTH = 10, 52
#: A fixed date, so that the same worksheets give the same bytes.
_CREATED_AT = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


class Style(Enum):
    """How a cell looks."""

    PLAIN = "plain"
    BOLD = "bold"
    MUTED = "muted"
    WRAP = "wrap"
    TITLE = "title"
    HEADER = "header"
    REQUIRED = "required"
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


_DARK_HEADER_FORMAT = {"bold": True, "font_color": "#FFFFFF", "valign": "vcenter"}

#: Style to XlsxWriter's format properties.
FORMATS: Mapping[Style, Mapping[str, object]] = {
    Style.PLAIN: {},
    Style.BOLD: {"bold": True},
    Style.MUTED: {"italic": True, "font_color": "#7F7F7F"},
    Style.WRAP: {"text_wrap": True, "valign": "top"},
    Style.TITLE: {"bold": True, "font_size": 14},
    Style.HEADER: {**_DARK_HEADER_FORMAT, "bg_color": "#44546A"},
    Style.REQUIRED: {**_DARK_HEADER_FORMAT, "bg_color": "#C55A11"},
    Style.OK: {"bg_color": "#C6EFCE", "font_color": "#006100"},
    Style.WARNING: {"bg_color": "#FFEB9C", "font_color": "#7F6000"},
    Style.ERROR: {"bg_color": "#FFC7CE", "font_color": "#9C0006"},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A cell with a style or a note; a plain cell is just a `str`, which is cheaper."""

    text: str  # may be empty, so that a blank cell can have a colour and a note
    style: Style = Style.PLAIN
    note: str = ""  # shown when the mouse is over the cell; empty: none


@dataclass(frozen=True, kw_only=True)
class Dropdown:
    """A dropdown with the values to choose from."""

    values: tuple[str, ...]
    strict: bool = True  # True: Excel rejects any other text; False: it warns


@dataclass(frozen=True, kw_only=True)
class IntegerRange:
    """Whole numbers from `minimum` to `maximum`, inclusive; `strict` as in `Dropdown`."""

    minimum: int
    maximum: int
    strict: bool = True


@dataclass(frozen=True, kw_only=True)
class WorksheetSpec:
    """One worksheet. Column numbers start at 0."""

    name: str  # characters that Excel does not allow are replaced
    header: Sequence[str | Cell]  # a `str` gets the header style
    rows: Iterable[Sequence[str | Cell]]  # consumed once, one at a time; a row may be shorter or longer than the header
    dropdowns: Mapping[int, Dropdown] = field(default_factory=dict)
    integer_ranges: Mapping[int, IntegerRange] = field(default_factory=dict)
    widths: Mapping[int, float] = field(default_factory=dict)  # in characters; others are estimated from the first rows
    is_table: bool = True  # whether the header is frozen and has filters
    is_hidden: bool = False  # never the first one


def cell_text(cell: str | Cell) -> str:
    """The text of a cell, without style and note."""
    return cell.text if isinstance(cell, Cell) else cell


def write_workbook(target: BinaryIO, worksheets: Sequence[WorksheetSpec]) -> None:
    """Write a workbook, once it is complete; the same worksheets give the same bytes.

    Raises an `OutputError` for too many rows or columns, an `OSError` if the folder for temporary files is full.
    """
    *names, lists_name = sheet_names([*(spec.name for spec in worksheets), LISTS_SHEET_NAME])
    ranges = _assign_dropdown_ranges(worksheets, lists_name)
    # Into memory first (zipped, it is small): if the target fails halfway, the zip file cannot be closed.
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="invoca-bulk-") as folder, contextlib.ExitStack() as exit_stack:
        options = {"constant_memory": True, "tmpdir": folder, "use_zip64": True}
        writer = _WorkbookWriter(xlsxwriter.Workbook(buffer, options), ranges, exit_stack)
        for name, spec in zip(names, worksheets, strict=True):
            writer.add_worksheet(name, spec)
        if ranges:
            writer.add_worksheet(lists_name, _build_lists_worksheet(ranges))
        writer.close()
    target.write(buffer.getbuffer())


def sheet_names(names: Iterable[str]) -> list[str]:
    """The names as Excel allows them: without special characters, at most 31 characters, and unique."""
    allowed: list[str] = []
    for name in names:
        clean = re.sub(r"[\[\]:*?/\\\x00-\x1f]", "_", _sanitize(name)).strip("' ")
        # A name must not be empty, and Excel reserves `History`.
        base = f"{clean}_" if clean.casefold() in {"", "history"} else clean
        taken = {other.casefold() for other in allowed}
        allowed.append(next(name for name in _candidate_names(base) if name.casefold() not in taken))
    return allowed


def _candidate_names(name: str) -> Iterator[str]:
    for number in count(1):
        suffix = f" {number}" if number > 1 else ""
        yield f"{_truncate(name, MAX_SHEET_NAME_LENGTH - len(suffix), mark='').rstrip(chr(39))}{suffix}"


# Text


#: Not valid in XML as is: `_x0041_` would be read as an A, and spaces at either end would be dropped.
_NEEDS_ESCAPING = re.compile(r"[&<>\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]|_x[0-9A-Fa-f]{4}_|\A\s|\s\Z")
_INVALID_CHARACTERS = re.compile(r"[\ud800-\udfff\ufffe\uffff]")
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f]|_(?=x[0-9A-Fa-f]{4}_)")


def _sanitize(text: str) -> str:
    """The text with lone surrogates and non-characters, which no file can hold, replaced by a visible character."""
    return _INVALID_CHARACTERS.sub("\ufffd", text)


def can_round_trip(text: str) -> bool:
    """Whether a cell can hold the text unchanged: not too long, and without characters that no workbook can hold."""
    return _is_within_limit(text) and not _INVALID_CHARACTERS.search(text)


def _is_within_limit(text: str) -> bool:
    return len(text) <= MAX_CELL_UTF16_UNITS // 2 or len(text.encode("utf-16-le")) <= 2 * MAX_CELL_UTF16_UNITS


def _truncate(text: str, limit: int, mark: str = TRUNCATION_MARK) -> str:
    """The text cut to `limit` UTF-16 units, ending with `mark` if it was cut."""
    units = text.encode("utf-16-le")
    if len(units) <= 2 * limit:
        return text
    # Characters beyond U+FFFF have two units; a half one is dropped.
    return units[: 2 * (limit - len(mark))].decode("utf-16-le", "ignore") + mark


def _to_cell_xml(text: str) -> str:
    """The text as XML of a cell; control characters are escaped as Excel does: `_x000D_`."""
    valid = _sanitize(text)
    # The marker keeps a cut text from being taken for the full text when the file is read again.
    cut = valid if _is_within_limit(valid) else _truncate(add_marker("cell_too_long", valid), MAX_CELL_UTF16_UNITS)
    escaped = escape(_CONTROL_CHARACTERS.sub(lambda match: f"_x{ord(match[0]):04X}_", cut))
    return f'<t xml:space="preserve">{escaped}</t>'


# The workbook


class _RowWorksheet(Worksheet):  # type: ignore[misc]  # XlsxWriter has no types
    """A worksheet that is written row by row.

    XlsxWriter's own `write_string` takes ten times as long per cell. The rows go to the file that XlsxWriter uses in
    `constant_memory` mode; `test_xlsx` reads them back, so that a change inside XlsxWriter is noticed.
    """

    def append_row(self, number: int, cells: Sequence[str | Cell], styles: _SharedStyles) -> None:
        """Write a row; `number` is 0-based and must increase."""
        row = number + 1
        plain = styles.style_attributes[Style.PLAIN]
        parts = []
        for letters, cell in zip(_column_letters(), cells, strict=False):
            if type(cell) is not str:
                parts.append(self._styled_cell_xml(f"{letters}{row}", cell, styles))
            elif cell:
                is_safe = len(cell) <= _SAFE_TEXT_LENGTH and not _NEEDS_ESCAPING.search(cell)
                xml = f"<t>{cell}</t>" if is_safe else _to_cell_xml(cell)
                parts.append(f'<c r="{letters}{row}"{plain}{_INLINE_TEXT_OPEN}{xml}{_INLINE_TEXT_CLOSE}')
        self._check_dimensions(number, max(len(cells) - 1, 0))  # updates the size of the worksheet
        self.row_data_fh.write(f'<row r="{row}">{"".join(parts)}</row>')
        self.previous_row = row

    def _styled_cell_xml(self, address: str, cell: str | Cell, styles: _SharedStyles) -> str:
        cell = Cell(text=cell) if isinstance(cell, str) else cell
        if cell.note and (note := styles.take_note(cell.note)):
            lines = sum(1 + len(line) // 45 for line in note.splitlines())
            # In pixels: a box that shows the whole note, up to a maximum.
            self.write_comment(address, note, {"width": 300, "height": min(20 + 17 * lines, 400), "font_size": 9})
        attributes = f' r="{address}"{styles.style_attributes[cell.style]}'
        if not cell.text:
            return f"<c{attributes}/>"
        return f"<c{attributes}{_INLINE_TEXT_OPEN}{_to_cell_xml(cell.text)}{_INLINE_TEXT_CLOSE}"

    def close_rows(self) -> None:
        """Close the temporary file; may be called twice."""
        self.row_data_fh.close()


_INLINE_TEXT_OPEN = ' t="inlineStr"><is>'
_INLINE_TEXT_CLOSE = "</is></c>"
#: Texts up to this length are within Excel's limit even if each character has two units.
_SAFE_TEXT_LENGTH = MAX_CELL_UTF16_UNITS // 2


@functools.cache
def _column_letters() -> tuple[str, ...]:
    """The letters of all columns, A to XFD."""
    return tuple(xl_col_to_name(number) for number in range(MAX_COLUMNS))


@dataclass(kw_only=True)
class _SharedStyles:
    """What all worksheets of a workbook share."""

    formats: Mapping[Style, Format]
    style_attributes: Mapping[Style, str]  # style to the XML attribute of a cell
    notes_left: int = MAX_NOTES  # how many notes may still be written

    def take_note(self, note: str) -> str:
        """The note as it is written; empty once there are too many."""
        if not self.notes_left:
            return ""
        self.notes_left -= 1
        suffix = "" if self.notes_left else f"\n\n{NOTES_LIMIT_TEXT}"
        return _truncate(_sanitize(note), MAX_CELL_UTF16_UNITS - len(suffix)) + suffix


class _WorkbookWriter:
    """A workbook that is being written."""

    def __init__(self, workbook: Workbook, ranges: Mapping[Dropdown, str], exit_stack: ExitStack) -> None:
        self._workbook = workbook
        self._dropdown_ranges = ranges
        self._exit_stack = exit_stack
        formats = {style: workbook.add_format({"num_format": "@", **FORMATS[style]}) for style in Style}
        attributes = {style: f' s="{cell_format._get_xf_index()}"' for style, cell_format in formats.items()}  # noqa: SLF001  see `_RowWorksheet`
        self._shared_styles = _SharedStyles(formats=formats, style_attributes=attributes)
        workbook.set_properties({"created": _CREATED_AT})

    def add_worksheet(self, name: str, spec: WorksheetSpec) -> None:
        """Write one worksheet."""
        sheet = self._workbook.add_worksheet(name, worksheet_class=_RowWorksheet)
        self._exit_stack.callback(sheet.close_rows)
        if spec.is_hidden:
            sheet.hide()
        rows = iter(spec.rows)
        sample = list(islice(rows, _WIDTH_SAMPLE_ROWS))
        for column, width in {**_estimate_widths(spec, sample), **spec.widths}.items():
            # The format is that of the empty cells below, too.
            sheet.set_column(column, column, width, self._shared_styles.formats[Style.PLAIN])
        last_row = self._write_rows(sheet, spec, chain(sample, rows))
        self._add_data_validations(sheet, spec)
        # Without this, codes such as 805 get a green corner: "number stored as text".
        sheet.ignore_errors({"number_stored_as_text": f"A1:{_column_letters()[-1]}{MAX_ROWS}"})
        sheet.set_landscape()
        sheet.fit_to_pages(1, 0)  # all columns on one printed page
        if spec.is_table:
            sheet.freeze_panes(1, 0)
            sheet.autofilter(0, 0, last_row, len(spec.header) - 1)

    def _write_rows(self, sheet: _RowWorksheet, spec: WorksheetSpec, rows: Iterable[Sequence[str | Cell]]) -> int:
        """Write the header and the rows; return the 0-based number of the last row."""
        header = [Cell(text=title, style=Style.HEADER) if isinstance(title, str) else title for title in spec.header]
        number = 0
        for number, cells in enumerate(chain([header], rows)):
            if number >= MAX_ROWS or len(cells) > MAX_COLUMNS:
                raise OutputError(
                    f"The worksheet {spec.name!r} exceeds Excel's limit of {MAX_ROWS:,} rows and {MAX_COLUMNS:,} "
                    "columns. Write it as .csv."
                )
            sheet.append_row(number, cells, self._shared_styles)
        return number

    def _add_data_validations(self, sheet: _RowWorksheet, spec: WorksheetSpec) -> None:
        for column, dropdown in spec.dropdowns.items():
            validation = _dropdown_validation(dropdown, self._dropdown_ranges[dropdown])
            sheet.data_validation(1, column, _VALIDATED_ROWS, column, validation)
        for column, limits in spec.integer_ranges.items():
            validation = _integer_validation(limits, f"{_column_letters()[column]}2")
            sheet.data_validation(1, column, _VALIDATED_ROWS, column, validation)

    def close(self) -> None:
        """Finish the workbook."""
        try:
            self._workbook.close()
        except FileCreateError as error:
            cause: OSError = error.args[0]
            # Releases XlsxWriter's zip file while it can still be closed; later it would print an error to stderr.
            traceback.clear_frames(cause.__traceback__)
            raise cause from None


def _estimate_widths(spec: WorksheetSpec, sample: Sequence[Sequence[str | Cell]]) -> dict[int, float]:
    """Column to estimated width in characters: fits the header with its filter button, and most of the texts."""
    widths = {}
    for column, cells in enumerate(zip_longest(spec.header, *sample, fillvalue="")):
        lengths = [len(cell_text(cell)) for cell in cells]
        lengths[0] += 5 if spec.is_table else 0
        widths[column] = float(min(max(*lengths, _MIN_COLUMN_WIDTH), _MAX_COLUMN_WIDTH))
    return widths


# Dropdowns and limits


def _assign_dropdown_ranges(worksheets: Iterable[WorksheetSpec], name: str) -> dict[Dropdown, str]:
    """Dropdown to the cell range of the lists sheet with its values: an inline list is limited to 255 characters."""
    distinct = dict.fromkeys(dropdown for spec in worksheets for dropdown in spec.dropdowns.values())
    return {
        dropdown: f"='{name}'!${letters}$2:${letters}${len(dropdown.values) + 1}"
        for letters, dropdown in zip(_column_letters(), distinct, strict=False)
    }


def _build_lists_worksheet(dropdowns: Iterable[Dropdown]) -> WorksheetSpec:
    columns = [dropdown.values for dropdown in dropdowns]
    header = [f"choices {number}" for number in range(1, len(columns) + 1)]
    return WorksheetSpec(
        name=LISTS_SHEET_NAME, header=header, rows=zip_longest(*columns, fillvalue=""), is_table=False, is_hidden=True
    )


def _dropdown_validation(dropdown: Dropdown, cell_range: str) -> dict[str, str]:
    return {
        "validate": "list",
        "source": cell_range,
        "error_type": "stop" if dropdown.strict else "warning",
        "error_title": "Not in the list",
        "error_message": "Choose a value from the list: click the arrow next to the cell.",
    }


def _integer_validation(limits: IntegerRange, first_cell: str) -> dict[str, str]:
    """A formula, since Excel's own check for whole numbers rejects every cell that is formatted as text."""
    value = f"VALUE({first_cell})"
    formula = f"AND({value}=INT({value}),{value}>={limits.minimum},{value}<={limits.maximum})"
    return {
        "validate": "custom",
        "value": f"=IFERROR({formula},FALSE)",
        "error_type": "stop" if limits.strict else "warning",
        "error_title": "Not a whole number in range",
        "error_message": f"Type a whole number from {limits.minimum:,} to {limits.maximum:,}.",
    }
