"""Columns of cells -> the frame of a sheet: text cells, row numbers and read issues."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from invoca_bulk.errors import UnreadableSheetError
from invoca_bulk.schema import SHEET_RESOURCES, Resource
from invoca_bulk.schema.invisible import is_blank, name_invisible, strip_invisible
from invoca_bulk.schema.issue_catalog import MAX_CELL_CHARACTERS, Problem, add_marker
from invoca_bulk.schema.model import fold_header
from invoca_bulk.sheets import cell_text, scan_problems, workbook_formats, xlsx_scanner
from invoca_bulk.sheets.header_detection import HeaderRow
from invoca_bulk.sheets.model import Grid, ReadIssue, Sheet, WorksheetScan, column_letters
from invoca_bulk.sheets.row_labels import ROW_INDEX_NAME
from invoca_bulk.sheets.scan_problems import TextTable, sendable_indexes

_SECRET_NAMES = {
    fold_header(field.path.rpartition(".")[2])
    for resource in SHEET_RESOURCES.values()
    for field in resource.fields
    if field.secret
}
_ROW_BATCH_SIZE = 1_000


@dataclass(frozen=True, kw_only=True)
class RawTable:
    """The rows below a header."""

    titles: Sequence[str]
    columns: Sequence[Sequence[object]]  # the cells of each column
    row_numbers: Sequence[int]  # as in the spreadsheet
    row_problems: Mapping[int, Problem]  # row number to the problem of the whole row
    date_code: str = "cell_date"  # the issue of a cell that is a date


def extract_table(grid: Grid, header: HeaderRow) -> RawTable:
    """The rows below a header, padded or cut to its width; a longer row is a problem."""
    if grid.scan.far_cell:
        raise workbook_formats.too_many_cells_error(xlsx_scanner.MAX_CELLS, grid.scan.far_cell)
    width, header_row = len(header.titles), header.index + 1
    for row, problem in grid.row_problems.items():
        if row <= header_row:
            raise UnreadableSheetError(f"Row {row}, the header: {problem.message} {problem.fix}")
    body = list(grid.rows[header_row:])
    last_formula = max((row for row, _ in grid.scan.uncached_formulas), default=0)
    body.extend([""] * width for _ in range(last_formula - header_row - len(body)))  # calamine omits them at the end
    problems = dict(grid.row_problems)
    if set(map(len, body)) - {width}:
        problems = _find_too_long_rows(body, width, header_row + 1) | problems  # an unclosed quote makes its row long
        body = [[*row[:width], *[""] * (width - len(row))] for row in body]
    return RawTable(
        titles=header.titles,
        columns=_transpose(body, width),
        row_numbers=range(header_row + 1, header_row + 1 + len(body)),
        row_problems=problems,
    )


def _transpose(body: Sequence[Sequence[object]], width: int) -> list[list[object]]:
    """Rows to columns, in batches: passing over a million rows for each column would overrun the CPU cache."""
    columns: list[list[object]] = [[] for _ in range(width)]
    for start in range(0, len(body), _ROW_BATCH_SIZE):
        column_batches = zip(*body[start : start + _ROW_BATCH_SIZE], strict=True)
        for column, batch in zip(columns, column_batches, strict=True):
            column.extend(batch)
    return columns


def _find_too_long_rows(body: Sequence[Sequence[object]], width: int, first_number: int) -> dict[int, Problem]:
    return {
        number: Problem(code="row_too_long", details={"count": len(row), "expected": width})
        for number, row in enumerate(body, first_number)
        if any(row[width:])
    }


def build_frame(table: RawTable, scan: WorksheetScan, resource: Resource) -> tuple[pd.DataFrame, list[ReadIssue]]:
    """The frame without blank rows, and the read issues of its rows and of the whole.

    The resource tells which columns can be sent; only in these, cells get markers.
    """
    titles = list(map(strip_invisible, table.titles))
    _require_unique_titles(titles)
    columns = [resource.column_for(title) for title in titles]
    texts = _convert_columns(titles, table, sendable_indexes(columns))
    text_table = TextTable(titles=titles, columns=columns, texts=texts, row_numbers=table.row_numbers)
    known = text_table.sendable
    scan_issues, row_problems = _apply_scan(text_table, scan)
    row_problems |= table.row_problems  # cells of a row that is too long may be in wrong columns
    _require_titles(titles, texts)
    for row in row_problems if known else ():  # one marker a row
        position = text_table.positions[row]
        text_table.mark("row_marked", known[0], position, texts[known[0]][position])
    _truncate_long_texts([texts[index] for index in known])
    secrets = [index for index, title in enumerate(titles) if any(texts[index]) and is_secret(title)]
    for index in secrets:
        texts[index][:] = [""] * len(texts[index])
    nonblank = _nonblank_positions(texts, table.row_numbers)
    dropped = (Problem(code="secret_dropped", details={"known": titles[index]}) for index in secrets)
    read_issues = [
        *_report_cleaned_titles(table.titles, titles),
        *(ReadIssue(row=row, problem=problem) for row, problem in row_problems.items()),
        *(ReadIssue(row=None, problem=problem) for problem in dropped),
        *_report_row_counts(table.row_numbers, nonblank, scan),
        *(issue for issue in scan_issues if not is_secret(issue.column)),
    ]
    return _make_frame(titles, texts, table.row_numbers, nonblank), read_issues


def _report_cleaned_titles(titles: Sequence[str], clean_titles: Sequence[str]) -> Iterable[ReadIssue]:
    """A warning for each title that had more than spaces at its ends."""
    for title, clean in zip(titles, clean_titles, strict=True):
        if name_invisible(title) and not name_invisible(clean):
            details = {"value": title, "clean": clean}
            yield ReadIssue(row=None, column=clean, problem=Problem(code="cell_cleaned", details=details))


def report_grid_problems(grid: Grid, header: HeaderRow) -> list[ReadIssue]:
    """The problems of the whole file, and those of cells below the header."""
    return [
        *(ReadIssue(row=None, problem=problem) for problem in grid.problems),
        *(
            ReadIssue(row=row, column=strip_invisible(header.titles[index]), problem=problem)
            for (row, index), problem in grid.cell_problems.items()
            if row > header.index + 1 and index < len(header.titles)
        ),
    ]


def _apply_scan(table: TextTable, scan: WorksheetScan) -> tuple[list[ReadIssue], dict[int, Problem]]:
    """Write what a scan tells into the cells; the warnings, and row number to the problem of the whole row."""
    if not table.row_numbers or scan == WorksheetScan():
        return [], {}
    scan_problems.write_errors_and_formulas(table, scan)
    scan_problems.mark_merged_cells(table, scan)
    warnings = [*scan_problems.mark_shown_texts(table, scan), *scan_problems.report_hidden_columns(table, scan)]
    return warnings, scan_problems.total_row_problems(table, scan.total_rows)


def is_normalized(sheet: Sheet) -> bool:
    """Whether `build_frame` would not change a sheet of text columns, e.g. one that was read before."""
    titles = list(sheet.frame.columns)
    if len(set(titles)) < len(titles) or any(
        title != strip_invisible(title) or not title or is_secret(title) for title in titles
    ):
        return False
    blank = np.ones(len(sheet.frame), dtype=bool)
    for title in titles:
        codes, texts = sheet.encode_column(title)
        if codes.min(initial=0) < 0 or max(map(len, texts), default=0) > MAX_CELL_CHARACTERS:
            return False
        if blank.any():
            blank &= np.array(list(map(is_blank, texts)), dtype=bool)[codes]
    return not blank.any()


def is_secret(title: str) -> bool:
    """Whether the title is, or contains, the name of a secret field; what such a column holds is unknown."""
    return any(name in fold_header(title) for name in _SECRET_NAMES)


def _require_unique_titles(titles: Sequence[str]) -> None:
    first_columns: dict[str, int] = {}
    for index, title in enumerate(titles):
        if title and title in first_columns:
            raise UnreadableSheetError(
                f"The columns {column_letters(first_columns[title])} and {column_letters(index)} "
                f"have the same title, {title!r}. Rename or remove one of them."
            )
        first_columns[title] = index


def _convert_columns(titles: Sequence[str], table: RawTable, known: Collection[int]) -> list[list[str]]:
    """The texts of each column; in the known ones, a value that the spreadsheet program damaged has its marker."""
    texts, damage_codes = [], []
    for index, (title, column) in enumerate(zip(titles, table.columns, strict=True)):
        try:
            text, codes = cell_text.convert_to_texts(column, any_type=index not in known)
        except cell_text.NoTextFormError as error:
            raise UnreadableSheetError(
                f"The column {title!r} holds {error}, which has no text form. "
                "Turn the column into text, e.g. with frame[column].astype(str)."
            ) from None
        texts.append(text)
        damage_codes.append(codes)
    for index in known:
        for position, code in damage_codes[index].items():
            issue_code = table.date_code if code == "cell_date" else code
            texts[index][position] = add_marker(issue_code, texts[index][position])
    return texts


def _require_titles(titles: Sequence[str], texts: Sequence[Sequence[str]]) -> None:
    for index, title in enumerate(titles):
        if not title and "".join(texts[index]).strip():
            raise UnreadableSheetError(
                f"The column {column_letters(index)} has values but no title. Type a title above, or clear the column."
            )


def _truncate_long_texts(texts: Iterable[list[str]]) -> None:
    """Cut the texts that are too long, and add a marker."""
    for column in texts:
        if max(map(len, column), default=0) > MAX_CELL_CHARACTERS:
            column[:] = [
                add_marker("cell_too_long", text) if len(text) > MAX_CELL_CHARACTERS else text for text in column
            ]


def _nonblank_positions(texts: Sequence[Sequence[str]], row_numbers: Sequence[int]) -> Sequence[int]:
    """The positions of the rows that are not blank."""
    blank: Sequence[int] = range(len(row_numbers))
    for column in texts:
        blank_texts = set(filter(is_blank, set(column)))
        blank = [position for position in blank if column[position] in blank_texts] if blank_texts else []
        if not blank:
            return range(len(row_numbers))
    blank_set = set(blank)
    return [position for position in range(len(row_numbers)) if position not in blank_set]


def _make_frame(
    titles: Sequence[str], texts: Sequence[Sequence[str]], row_numbers: Sequence[int], nonblank: Sequence[int]
) -> pd.DataFrame:
    has_blank_rows = len(nonblank) < len(row_numbers)
    columns = {
        title: [column[position] for position in nonblank] if has_blank_rows else column
        for title, column in zip(titles, texts, strict=True)
        if title
    }
    index = pd.Index([row_numbers[position] for position in nonblank], dtype="int64", name=ROW_INDEX_NAME)
    return pd.DataFrame(columns, index=index, dtype=str)


def _report_row_counts(row_numbers: Sequence[int], nonblank: Sequence[int], scan: WorksheetScan) -> Iterable[ReadIssue]:
    """Blank rows between others, and hidden rows that were read."""
    blank_count = nonblank[-1] + 1 - len(nonblank) if nonblank else 0
    rows = (row_numbers[position] for position in nonblank) if scan.hidden_rows else ()
    hidden_count = len(scan.hidden_rows.intersection(rows))
    for code, count in (("blank_rows", blank_count), ("hidden_rows", hidden_count)):
        if count:
            yield ReadIssue(row=None, problem=Problem(code=code, details={"count": count}))
