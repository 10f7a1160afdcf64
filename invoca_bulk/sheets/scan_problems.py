"""What the scan of a worksheet tells -> markers in the cells of a table, and warnings.

The same for all formats: a format's reader fills a `WorksheetScan`, and this module decides what it means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from invoca_bulk.schema import Action, Column, Role, field_types
from invoca_bulk.schema.issue_catalog import Problem, add_marker, parse_marker
from invoca_bulk.schema.payloads import SPREADSHEET_ERRORS
from invoca_bulk.sheets import workbook_formats
from invoca_bulk.sheets.model import MergedRange, ReadIssue, WorksheetScan
from invoca_bulk.wording import join_limited

_ID_TYPES = (field_types.ID, field_types.NUMERIC_ID)
_MAX_TITLES_NAMED = 10
_NO_DIGIT = re.compile(r"[^0-9]+|^[^1-9]*")


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """The rows below a header, as texts that this module marks."""

    titles: Sequence[str]
    columns: Sequence[Column | None]  # the known column of each title
    texts: list[list[str]]  # of each column
    row_numbers: Sequence[int]  # as in the spreadsheet

    @cached_property
    def sendable(self) -> list[int]:
        """The indexes of the columns that can be sent; only in these, cells get markers."""
        return sendable_indexes(self.columns)

    @cached_property
    def positions(self) -> dict[int, int]:
        """Row number to position."""
        return {number: position for position, number in enumerate(self.row_numbers)}

    def is_blank_row(self, position: int) -> bool:
        """Whether all cells of a row are blank."""
        return not any(column[position].strip() for column in self.texts)

    def mark(self, code: str, index: int, position: int, text: str) -> None:
        """Replace a cell by the marker of an issue and this text."""
        self.texts[index][position] = add_marker(code, text)


def sendable_indexes(columns: Sequence[Column | None]) -> list[int]:
    """The indexes of the columns that can be sent."""
    return [index for index, column in enumerate(columns) if column and column.field.role is not Role.RESULT]


def write_errors_and_formulas(table: TextTable, scan: WorksheetScan) -> None:
    """Write errors and formulas without a result into their cells; formulas not into result columns.

    A formula that is the text of a cell, as in CSV files, stays as it is in a column that is not sent.
    """
    formulas = {
        (row, index): add_marker("cell_formula", text)
        for (row, index), text in scan.uncached_formulas.items()
        if index < len(table.columns) and not _is_result(table.columns[index])
    }
    errors = {
        cell: text if text in SPREADSHEET_ERRORS else add_marker("cell_error", text)
        for cell, text in scan.error_cells.items()
    }
    for (row, index), text in (formulas | errors).items():
        if row in table.positions and index < len(table.texts):
            position = table.positions[row]
            if index in table.sendable or not table.texts[index][position]:
                table.texts[index][position] = text


def _is_result(column: Column | None) -> bool:
    return column is not None and column.field.role is Role.RESULT


def mark_merged_cells(table: TextTable, scan: WorksheetScan) -> None:
    """Mark the cells below the header that merged cells cover, where another one's value is shown or hides a value."""
    cell_count = 0
    marks = []
    for merged in scan.merged_ranges:
        anchor = (merged.first_row, merged.first_column)
        cells = list(_covered_cells(table, merged))
        cell_count += len(cells)
        if cell_count > len(table.row_numbers) * len(table.titles):  # they overlap, which no program writes
            raise workbook_formats.corrupt_error()
        shown = _shown_text(table, scan, anchor) if cells else ""
        marks += [(cell, shown) for cell in cells if not table.is_blank_row(cell[1])]
    for (index, position), shown in marks:
        value = table.texts[index][position]
        if value.strip():
            text = f"{value} (the spreadsheet shows {shown or 'a blank cell'})"
            table.mark("cell_covered", index, position, text)
        elif shown.strip():
            table.mark("cell_merged", index, position, shown)


def _covered_cells(table: TextTable, merged: MergedRange) -> Iterator[tuple[int, int]]:
    """The column index and position of each cell that can be sent, without the first one."""
    first_row, last_row = table.row_numbers[0], table.row_numbers[-1]
    indexes = [index for index in table.sendable if merged.first_column <= index <= merged.last_column]
    for row in range(max(merged.first_row, first_row), min(merged.last_row, last_row) + 1) if indexes else ():
        for index in indexes:
            if (row, index) != (merged.first_row, merged.first_column):
                yield index, table.positions[row]


def _shown_text(table: TextTable, scan: WorksheetScan, cell: tuple[int, int]) -> str:
    """What the spreadsheet shows for a cell; above the rows it is the title of its column."""
    row, index = cell
    if row not in table.positions:
        return table.titles[index]
    return scan.shown_texts.get(cell, table.texts[index][table.positions[row]])


def mark_shown_texts(table: TextTable, scan: WorksheetScan) -> list[ReadIssue]:
    """Mark the ids for which the spreadsheet shows another text than the file holds; a warning for other cells."""
    warnings = []
    for (row, index), shown in scan.shown_texts.items():
        if row not in table.positions or index not in table.sendable:
            continue
        position, column = table.positions[row], table.columns[index]
        value = table.texts[index][position]
        if not value.strip() or parse_marker(value) or column is None or not _differs(column, shown, value):
            continue
        if column.field.field_type in _ID_TYPES:
            table.mark("id_format", index, position, f"{shown or 'a blank cell'} (the file holds {value})")
        else:
            problem = Problem(code="cell_format", details={"value": value, "shown": shown})
            warnings.append(ReadIssue(row=row, column=table.titles[index], problem=problem))
    return warnings


def _differs(column: Column, shown: str, value: str) -> bool:
    """Whether somebody could take the shown text for another value; of a number, only its digits count."""
    if column.field.field_type.limits:
        return _NO_DIGIT.sub("", shown) != _NO_DIGIT.sub("", value)
    return shown != value.strip()


def total_row_problems(table: TextTable, rows: Iterable[int]) -> dict[int, Problem]:
    """The problem of each of the rows that look like a total, unless it is blank or its action says `create`."""
    actions = [
        texts for column, texts in zip(table.columns, table.texts, strict=True) if column and column.path == "action"
    ]
    return {
        row: Problem(code="row_total")
        for row in sorted(rows)
        if row in table.positions
        and not table.is_blank_row(table.positions[row])
        and not any(_is_create(texts[table.positions[row]]) for texts in actions)
    }


def _is_create(text: str) -> bool:
    return field_types.normalize_text(text).casefold() == Action.CREATE


def report_hidden_columns(table: TextTable, scan: WorksheetScan) -> Iterator[ReadIssue]:
    """A warning that names the hidden columns that are sent."""
    titles = [
        repr(table.titles[index])
        for index in table.sendable
        if index in scan.hidden_columns and any(text.strip() for text in table.texts[index])
    ]
    if titles:
        problem = Problem(code="hidden_columns", details={"columns": join_limited(titles, _MAX_TITLES_NAMED)})
        yield ReadIssue(row=None, problem=problem)
