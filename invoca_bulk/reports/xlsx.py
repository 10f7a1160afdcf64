"""Writing xlsx: a workbook is described by `WorksheetSpec`s, and `write_workbook` streams it out.

XlsxWriter makes the workbook, in its `constant_memory` mode: a row is on the disk before the next one is asked for, so
nothing can go back to an earlier row, and tables and automatic widths do not exist. Every cell is text, whatever it
starts with: no formulas, no links, no numbers that lose a zero.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import io
import re
import tempfile
import traceback
from dataclasses import dataclass, field
from enum import Enum
from itertools import chain, count, islice, zip_longest
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO
from xml.sax.saxutils import escape

import xlsxwriter
from xlsxwriter.exceptions import FileCreateError
from xlsxwriter.utility import xl_col_to_name
from xlsxwriter.worksheet import Worksheet

from invoca_bulk.errors import OutputError
from invoca_bulk.schema.issue_catalog import add_marker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import ExitStack

    from xlsxwriter import Workbook
    from xlsxwriter.format import Format

# Excel's limits; text is counted in UTF-16 units.
MAX_ROWS = 1_048_576
MAX_COLUMNS = 16_384
MAX_CELL_UTF16_UNITS = 32_767
MAX_SHEET_NAME_LENGTH = 31

#: So many notes a workbook; Excel gets slow with more. The cells after that are coloured only.
MAX_NOTES = 5_000
NOTES_LIMIT_TEXT = (
    "The cells from here on are coloured without a note, to keep Excel fast: the issues sheet lists all of them."
)
#: Stands at the end of a text that Excel's limit has cut.
TRUNCATION_MARK = " … [cut: Excel's limit]"
#: The hidden sheet with the choices of the dropdowns.
LISTS_SHEET_NAME = "lists"

#: Dropdowns and limits hold for so many rows below the header.
_VALIDATED_ROWS = 10_000
#: Column widths are taken from so many rows.
_WIDTH_SAMPLE_ROWS = 100
_MIN_COLUMN_WIDTH, _MAX_COLUMN_WIDTH = 10, 52
#: A fixed date, so that the same pages give the same bytes.
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
    """A cell that is more than its text; a plain one is just a `str`, which costs least.

    Attributes:
        text: what it shows; it may be empty, so that a blank cell can have a colour and a note.
        style: how it looks.
        note: what pops up when the mouse is over it; empty for none.
    """

    text: str
    style: Style = Style.PLAIN
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Dropdown:
    """A dropdown.

    Attributes:
        values: what it offers.
        strict: whether Excel refuses any other text, or only asks back.
    """

    values: tuple[str, ...]
    strict: bool = True


@dataclass(frozen=True, kw_only=True)
class IntegerRange:
    """Whole numbers from `minimum` to `maximum`, both included; `strict` as in `Dropdown`."""

    minimum: int
    maximum: int
    strict: bool = True


_EMPTY_MAPPING: Mapping[int, Any] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class WorksheetSpec:
    """One worksheet.

    Attributes:
        name: its name; what Excel does not allow in a name is replaced.
        header: the first row; a `str` gets the header's colour.
        rows: all others; consumed once, one row at a time. A row may be shorter or longer than the header.
        dropdowns: column number, from 0, to its dropdown.
        integer_ranges: column number, from 0, to the numbers that it takes.
        widths: column number, from 0, to its width in characters; all others are as wide as the first rows need.
        is_table: whether the header stays in sight and has filters.
        is_hidden: whether the sheet is out of sight; never the first one.
    """

    name: str
    header: Sequence[str | Cell]
    rows: Iterable[Sequence[str | Cell]]
    dropdowns: Mapping[int, Dropdown] = field(default_factory=lambda: _EMPTY_MAPPING)
    integer_ranges: Mapping[int, IntegerRange] = field(default_factory=lambda: _EMPTY_MAPPING)
    widths: Mapping[int, float] = field(default_factory=lambda: _EMPTY_MAPPING)
    is_table: bool = True
    is_hidden: bool = False


def cell_text(cell: str | Cell) -> str:
    """The text of a cell, for the formats that have nothing else."""
    return cell.text if isinstance(cell, Cell) else cell


def write_workbook(target: BinaryIO, worksheets: Sequence[WorksheetSpec]) -> None:
    """Write a workbook; the same pages give the same bytes.

    Args:
        target: where to; nothing is written to it before the workbook is complete (see `files.write_file`).
        worksheets: its worksheets, in order.

    Raises:
        OutputError: a page has more rows or columns than a worksheet can hold.
        OSError: the folder for temporary files is full or cannot be written.
    """
    *names, lists = sheet_names([*(page.name for page in worksheets), LISTS_SHEET_NAME])
    addresses = _assign_dropdown_ranges(worksheets, lists)
    # Into memory first (zipped, it is small): a target that fails halfway leaves a zip file that cannot be closed.
    packed = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="invoca-bulk-") as folder, contextlib.ExitStack() as unclosed:
        options = {"constant_memory": True, "tmpdir": folder, "use_zip64": True}
        book = _WorkbookWriter(xlsxwriter.Workbook(packed, options), addresses, unclosed)
        for name, page in zip(names, worksheets, strict=True):
            book.add_worksheet(name, page)
        if addresses:
            book.add_worksheet(lists, _build_lists_worksheet(addresses))
        book.close()
    target.write(packed.getbuffer())


def sheet_names(names: Iterable[str]) -> list[str]:
    """The names as Excel allows them: without its special characters, at most 31 characters, and each only once."""
    allowed: list[str] = []
    for name in names:
        clean = re.sub(r"[\[\]:*?/\\\x00-\x1f]", "_", _sanitize(name)).strip("' ")
        # An empty name cannot be, and Excel keeps `History` for itself.
        base = f"{clean}_" if clean.casefold() in {"", "history"} else clean
        taken = {one.casefold() for one in allowed}
        allowed.append(next(one for one in _candidate_names(base) if one.casefold() not in taken))
    return allowed


def _candidate_names(name: str) -> Iterator[str]:
    for number in count(1):
        ending = f" {number}" if number > 1 else ""
        yield f"{_truncate(name, MAX_SHEET_NAME_LENGTH - len(ending), mark='').rstrip(chr(39))}{ending}"


# Text


#: What cannot stand in XML as it is: `_x0041_` would be read as an A, and spaces at the ends be dropped.
_NEEDS_ESCAPING = re.compile(r"[&<>\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]|_x[0-9A-Fa-f]{4}_|\A\s|\s\Z")
_INVALID_CHARACTERS = re.compile(r"[\ud800-\udfff\ufffe\uffff]")
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f]|_(?=x[0-9A-Fa-f]{4}_)")


def _sanitize(text: str) -> str:
    """The text without halves of surrogate pairs and non-characters, which no file can hold; each leaves a mark."""
    return _INVALID_CHARACTERS.sub("\ufffd", text)


def can_round_trip(text: str) -> bool:
    """Whether a cell gives a text back as it is: neither cut nor with characters that no workbook can hold."""
    return _is_within_limit(text) and not _INVALID_CHARACTERS.search(text)


def _is_within_limit(text: str) -> bool:
    return len(text) <= MAX_CELL_UTF16_UNITS // 2 or len(text.encode("utf-16-le")) <= 2 * MAX_CELL_UTF16_UNITS


def _truncate(text: str, limit: int, mark: str = TRUNCATION_MARK) -> str:
    """The text cut to so many UTF-16 units, with a mark where that was done."""
    units = text.encode("utf-16-le")
    if len(units) <= 2 * limit:
        return text
    # A character outside of the first 65,536 has two units; half of one is dropped.
    return units[: 2 * (limit - len(mark))].decode("utf-16-le", "ignore") + mark


def _to_cell_xml(text: str) -> str:
    """The text as it stands in a cell's XML; control characters in Excel's own way: `_x000D_`."""
    sound = _sanitize(text)
    # The mark keeps what was cut from being taken for the whole text when the file is read again.
    cut = sound if _is_within_limit(sound) else _truncate(add_marker("cell_too_long", sound), MAX_CELL_UTF16_UNITS)
    escaped = escape(_CONTROL_CHARACTERS.sub(lambda match: f"_x{ord(match[0]):04X}_", cut))
    return f'<t xml:space="preserve">{escaped}</t>'


# The workbook


class _RowWorksheet(Worksheet):  # type: ignore[misc]  # XlsxWriter has no types
    """A worksheet that takes whole rows.

    XlsxWriter's own `write_string` costs ten times as much a cell. The rows go where it writes its own ones in
    `constant_memory` mode; `test_workbook` reads them back, so that a change inside XlsxWriter cannot pass unseen.
    """

    def append_row(self, number: int, cells: Sequence[str | Cell], styles: _SharedStyles) -> None:
        """Write a row; `number` counts from 0 and must grow."""
        row = number + 1
        plain = styles.style_attributes[Style.PLAIN]
        parts = []
        for letters, cell in zip(_column_letters(), cells, strict=False):
            if type(cell) is not str:
                parts.append(self._styled_cell_xml(f"{letters}{row}", cell, styles))
            elif cell:
                xml = (
                    _to_cell_xml(cell)
                    if len(cell) > _SAFE_TEXT_LENGTH or _NEEDS_ESCAPING.search(cell)
                    else f"<t>{cell}</t>"
                )
                parts.append(f'<c r="{letters}{row}"{plain}{_INLINE_TEXT_OPEN}{xml}{_INLINE_TEXT_CLOSE}')
        self._check_dimensions(number, max(len(cells) - 1, 0))  # tells the worksheet how large it is
        self.row_data_fh.write(f'<row r="{row}">{"".join(parts)}</row>')
        self.previous_row = row

    def _styled_cell_xml(self, address: str, cell: str | Cell, styles: _SharedStyles) -> str:
        cell = Cell(text=cell) if isinstance(cell, str) else cell
        if cell.note and (note := styles.take_note(cell.note)):
            self.write_comment(address, note, _note_size(note))
        attributes = f' r="{address}"{styles.style_attributes[cell.style]}'
        return (
            f"<c{attributes}{_INLINE_TEXT_OPEN}{_to_cell_xml(cell.text)}{_INLINE_TEXT_CLOSE}"
            if cell.text
            else f"<c{attributes}/>"
        )

    def close_rows(self) -> None:
        """Close the temporary file, whatever happened before; harmless when it is closed."""
        self.row_data_fh.close()


_INLINE_TEXT_OPEN = ' t="inlineStr"><is>'
_INLINE_TEXT_CLOSE = "</is></c>"
#: Texts up to this length cannot be over Excel's limit, even if each character has two units.
_SAFE_TEXT_LENGTH = MAX_CELL_UTF16_UNITS // 2


@functools.cache
def _column_letters() -> tuple[str, ...]:
    """The letters of all columns: A to XFD."""
    return tuple(xl_col_to_name(number) for number in range(MAX_COLUMNS))


def _note_size(note: str) -> dict[str, int]:
    """A box that shows the whole note, as far as a screen allows; in pixels."""
    lines = sum(1 + len(line) // 45 for line in note.splitlines())
    return {"width": 300, "height": min(20 + 17 * lines, 400), "font_size": 9}


@dataclass(kw_only=True)
class _SharedStyles:
    """What all sheets of a workbook share.

    Attributes:
        formats: style to XlsxWriter's format.
        style_attributes: style to the XML attribute of a cell.
        notes_left: so many notes may still be written.
    """

    formats: Mapping[Style, Format]
    style_attributes: Mapping[Style, str]
    notes_left: int = MAX_NOTES

    def take_note(self, note: str) -> str:
        """The note as it is written; empty when there were too many."""
        if not self.notes_left:
            return ""
        self.notes_left -= 1
        ending = "" if self.notes_left else f"\n\n{NOTES_LIMIT_TEXT}"
        return _truncate(_sanitize(note), MAX_CELL_UTF16_UNITS - len(ending)) + ending


def _make_shared_styles(workbook: Workbook) -> _SharedStyles:
    formats = {style: workbook.add_format({"num_format": "@", **FORMATS[style]}) for style in Style}
    attributes = {style: f' s="{one._get_xf_index()}"' for style, one in formats.items()}  # noqa: SLF001  see `_RowWorksheet`
    return _SharedStyles(formats=formats, style_attributes=attributes)


class _WorkbookWriter:
    """The workbook while it is written."""

    def __init__(self, workbook: Workbook, addresses: Mapping[Dropdown, str], unclosed: ExitStack) -> None:
        self._workbook = workbook
        self._dropdown_ranges = addresses
        self._exit_stack = unclosed
        self._shared_styles = _make_shared_styles(workbook)
        workbook.set_properties({"created": _CREATED_AT})

    def add_worksheet(self, name: str, page: WorksheetSpec) -> None:
        """Write one page."""
        sheet = self._workbook.add_worksheet(name, worksheet_class=_RowWorksheet)
        self._exit_stack.callback(sheet.close_rows)
        if page.is_hidden:
            sheet.hide()
        rows = iter(page.rows)
        sample = list(islice(rows, _WIDTH_SAMPLE_ROWS))
        self._set_column_widths(sheet, page, sample)
        last = self._write_rows(sheet, page, chain(sample, rows))
        self._add_data_validations(sheet, page)
        # Without this, each code such as 805 gets a green corner: "number stored as text".
        sheet.ignore_errors({"number_stored_as_text": f"A1:{_column_letters()[-1]}{MAX_ROWS}"})
        sheet.set_landscape()
        sheet.fit_to_pages(1, 0)  # printed, all columns stand on one page
        if page.is_table:
            sheet.freeze_panes(1, 0)
            sheet.autofilter(0, 0, last, len(page.header) - 1)

    def _set_column_widths(
        self, sheet: _RowWorksheet, page: WorksheetSpec, sample: Sequence[Sequence[str | Cell]]
    ) -> None:
        """Widths, and the text format, which holds for the empty cells below as well."""
        widths = {**_estimate_widths(page, sample), **page.widths}
        for column, width in widths.items():
            sheet.set_column(column, column, width, self._shared_styles.formats[Style.PLAIN])

    def _write_rows(self, sheet: _RowWorksheet, page: WorksheetSpec, rows: Iterable[Sequence[str | Cell]]) -> int:
        """Write the header and the rows; gives the number of the last row, from 0."""
        header = [Cell(text=one, style=Style.HEADER) if isinstance(one, str) else one for one in page.header]
        number = 0
        for number, cells in enumerate(chain([header], rows)):
            if number >= MAX_ROWS or len(cells) > MAX_COLUMNS:
                raise OutputError(
                    f"A worksheet has room for {MAX_ROWS:,} rows and {MAX_COLUMNS:,} columns, and {page.name!r} "
                    "has more. Write it as .csv."
                )
            sheet.append_row(number, cells, self._shared_styles)
        return number

    def _add_data_validations(self, sheet: _RowWorksheet, page: WorksheetSpec) -> None:
        for column, choices in page.dropdowns.items():
            sheet.data_validation(
                1, column, _VALIDATED_ROWS, column, _dropdown_validation(choices, self._dropdown_ranges[choices])
            )
        for column, limits in page.integer_ranges.items():
            sheet.data_validation(
                1, column, _VALIDATED_ROWS, column, _integer_validation(limits, f"{_column_letters()[column]}2")
            )

    def close(self) -> None:
        """Put the workbook together."""
        try:
            self._workbook.close()
        except FileCreateError as error:
            wrapped: OSError = error.args[0]
            # Lets go of XlsxWriter's zip file while it can still be closed; later it would complain on stderr.
            traceback.clear_frames(wrapped.__traceback__)
            raise wrapped from None


def _estimate_widths(page: WorksheetSpec, sample: Sequence[Sequence[str | Cell]]) -> dict[int, float]:
    """Column to width in characters, roughly: the header in full, with room for its filter, and most of the texts."""
    widths = {}
    for column, texts in enumerate(zip_longest(page.header, *sample, fillvalue="")):
        lengths = [len(cell_text(text)) for text in texts]
        lengths[0] += 5 if page.is_table else 0
        widths[column] = float(min(max(*lengths, _MIN_COLUMN_WIDTH), _MAX_COLUMN_WIDTH))
    return widths


# Dropdowns and limits


def _assign_dropdown_ranges(worksheets: Iterable[WorksheetSpec], name: str) -> dict[Dropdown, str]:
    """Choices to the cells of the lists sheet that hold them: a dropdown's own list ends at 255 characters."""
    distinct = dict.fromkeys(choices for page in worksheets for choices in page.dropdowns.values())
    return {
        choices: f"='{name}'!${letters}$2:${letters}${len(choices.values) + 1}"
        for letters, choices in zip(_column_letters(), distinct, strict=False)
    }


def _build_lists_worksheet(addresses: Mapping[Dropdown, str]) -> WorksheetSpec:
    columns = [choices.values for choices in addresses]
    header = [f"choices {number}" for number in range(1, len(columns) + 1)]
    return WorksheetSpec(
        name=LISTS_SHEET_NAME, header=header, rows=zip_longest(*columns, fillvalue=""), is_table=False, is_hidden=True
    )


def _dropdown_validation(choices: Dropdown, address: str) -> dict[str, str]:
    return {
        "validate": "list",
        "source": address,
        "error_type": "stop" if choices.strict else "warning",
        "error_title": "Not in the list",
        "error_message": "Choose a value from the list: click the arrow beside the cell.",
    }


def _integer_validation(limits: IntegerRange, first: str) -> dict[str, str]:
    """A formula, since Excel's own check for whole numbers refuses every cell that is formatted as text."""
    value = f"VALUE({first})"
    formula = f"AND({value}=INT({value}),{value}>={limits.minimum},{value}<={limits.maximum})"
    return {
        "validate": "custom",
        "value": f"=IFERROR({formula},FALSE)",
        "error_type": "stop" if limits.strict else "warning",
        "error_title": "Not a whole number in range",
        "error_message": f"Type a whole number from {limits.minimum:,} to {limits.maximum:,}.",
    }
