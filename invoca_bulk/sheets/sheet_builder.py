"""Columns of cells -> the frame of a sheet: text cells, row numbers, and what was found wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from invoca_bulk.errors import UnreadableSheetError
from invoca_bulk.schema import SHEET_RESOURCES, Role
from invoca_bulk.schema.issue_catalog import MAX_CELL_CHARACTERS, Problem, add_marker
from invoca_bulk.schema.model import fold_header
from invoca_bulk.sheets import cell_text
from invoca_bulk.sheets.model import ReadIssue, column_letters

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from invoca_bulk.schema import Resource
    from invoca_bulk.sheets.header_detection import HeaderRow
    from invoca_bulk.sheets.model import Grid, Sheet, WorksheetScan

ROW_INDEX_NAME = "row"
_SECRET_NAMES = {
    fold_header(field.path.rpartition(".")[2])
    for one in SHEET_RESOURCES.values()
    for field in one.fields
    if field.secret
}
_ROW_BATCH_SIZE = 1_000


@dataclass(frozen=True, kw_only=True)
class RawTable:
    """The rows below a header.

    Attributes:
        titles: the header's cells as text.
        columns: the cells of each column.
        row_numbers: the row numbers in the spreadsheet.
        row_problems: what is wrong with whole rows, by row number.
    """

    titles: Sequence[str]
    columns: Sequence[Sequence[object]]
    row_numbers: Sequence[int]
    row_problems: Mapping[int, Problem]


def extract_table(grid: Grid, header: HeaderRow) -> RawTable:
    """The rows below a header, all brought to its width; a longer one is a problem.

    Raises:
        UnreadableSheetError: the header row itself, or one above it, has a problem.
    """
    width, first = len(header.titles), header.index + 1
    for row, problem in grid.row_problems.items():
        if row <= first:
            raise UnreadableSheetError(f"Row {row}, the header: {problem.message} {problem.fix}")
    body = list(grid.rows[first:])
    last_formula = max((row for row, _ in grid.scan.uncached_formulas), default=0)
    body.extend([""] * width for _ in range(last_formula - first - len(body)))  # calamine leaves them out at the end
    problems = dict(grid.row_problems)
    if set(map(len, body)) - {width}:
        problems = _find_too_long_rows(body, width, first + 1) | problems  # an open quote is the cause of its long row
        body = [[*row[:width], *[""] * (width - len(row))] for row in body]
    return RawTable(
        titles=header.titles,
        columns=_transpose(body, width),
        row_numbers=range(first + 1, first + 1 + len(body)),
        row_problems=problems,
    )


def _transpose(body: Sequence[Sequence[object]], width: int) -> list[list[object]]:
    """Rows to columns, some rows at a time: a pass over a million of them for each column would leave the cache."""
    columns: list[list[object]] = [[] for _ in range(width)]
    for start in range(0, len(body), _ROW_BATCH_SIZE):
        parts = zip(*body[start : start + _ROW_BATCH_SIZE], strict=True)
        for column, part in zip(columns, parts, strict=True):
            column.extend(part)
    return columns


def _find_too_long_rows(body: Sequence[Sequence[object]], width: int, first: int) -> dict[int, Problem]:
    return {
        number: Problem(code="row_too_long", details={"count": len(row), "expected": width})
        for number, row in enumerate(body, first)
        if any(row[width:])
    }


def build_frame(table: RawTable, scan: WorksheetScan, resource: Resource) -> tuple[pd.DataFrame, list[ReadIssue]]:
    """The frame, and the findings of its rows and of the whole.

    Args:
        table: header and cells.
        scan: what was found besides the values.
        resource: tells the columns that can be sent; only in these a cell can be refused.

    Raises:
        UnreadableSheetError: two columns have one title, a column with values has none, or a value has no text.
    """
    titles = [title.strip() for title in table.titles]
    _require_unique_titles(titles)
    columns = [resource.column_for(title) for title in titles]
    roles = [column.field.role if column else None for column in columns]
    known = [at for at, role in enumerate(roles) if role not in {None, Role.RESULT}]
    texts = _convert_columns(titles, table, known)
    _write_cell_markers(
        texts, table.row_numbers, scan, result_columns=[at for at, role in enumerate(roles) if role is Role.RESULT]
    )
    _require_titles(titles, texts)
    if known:
        _mark_problem_rows(texts[known[0]], table)
    _truncate_long_texts([texts[at] for at in known])
    secrets = [at for at, title in enumerate(titles) if any(texts[at]) and _is_secret(title)]
    for at in secrets:
        texts[at][:] = [""] * len(texts[at])
    filled = _nonblank_positions(texts, table.row_numbers)
    rows = [ReadIssue(row=row, problem=problem) for row, problem in table.row_problems.items()]
    known_as = [{"known": titles[at]} for at in secrets]
    dropped = [ReadIssue(row=None, problem=Problem(code="secret_dropped", details=one)) for one in known_as]
    return _make_frame(titles, texts, table.row_numbers, filled), [
        *rows,
        *dropped,
        *_report_row_counts(table.row_numbers, filled, scan),
    ]


def is_normalized(sheet: Sheet) -> bool:
    """Whether `build_frame` would leave a sheet of text columns as it is, since it was read before."""
    titles = list(sheet.frame.columns)
    if len(set(titles)) < len(titles) or any(
        title != title.strip() or not title or _is_secret(title) for title in titles
    ):
        return False
    blank = np.ones(len(sheet.frame), dtype=bool)
    for title in titles:
        codes, texts = sheet.encode_column(title)
        if codes.min(initial=0) < 0 or max(map(len, texts), default=0) > MAX_CELL_CHARACTERS:
            return False
        if blank.any():
            blank &= np.array([not text or text.isspace() for text in texts], dtype=bool)[codes]
    return not blank.any()


def _is_secret(title: str) -> bool:
    """Whether a column holds a secret, under its title or one that has it as a part: nobody knows what is in those."""
    return any(name in fold_header(title) for name in _SECRET_NAMES)


def _require_unique_titles(titles: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for at, title in enumerate(titles):
        if title and title in seen:
            raise UnreadableSheetError(
                f"The columns {column_letters(seen[title])} and {column_letters(at)} have the same title, {title!r}. "
                "Rename or remove one of them."
            )
        seen[title] = at


def _convert_columns(titles: Sequence[str], table: RawTable, known: Iterable[int]) -> list[list[str]]:
    """The texts of each column; in the known ones, a value that the spreadsheet program spoilt has its mark."""
    texts, spoilt = [], []
    for title, column in zip(titles, table.columns, strict=True):
        try:
            text, codes = cell_text.convert_to_texts(column)
        except cell_text.NoTextFormError as error:
            raise UnreadableSheetError(
                f"The column {title!r} holds {error}, which has no text form. "
                "Turn the column into text, e.g. with frame[column].astype(str)."
            ) from None
        texts.append(text)
        spoilt.append(codes)
    for at in known:
        for row, code in spoilt[at].items():
            texts[at][row] = add_marker(code, texts[at][row])
    return texts


def _write_cell_markers(
    texts: list[list[str]], row_numbers: Sequence[int], scan: WorksheetScan, result_columns: Sequence[int]
) -> None:
    """Write errors and formulas without a result into their cells; the latter not into the columns of our own."""
    if not (scan.error_cells or scan.uncached_formulas):
        return
    written = {
        **{
            place: add_marker("cell_formula", text)
            for place, text in scan.uncached_formulas.items()
            if place[1] not in result_columns
        },
        **scan.error_cells,
    }
    position = {number: at for at, number in enumerate(row_numbers)}
    for (row, at), text in written.items():
        if row in position and at < len(texts):
            texts[at][position[row]] = text


def _require_titles(titles: Sequence[str], texts: Sequence[Sequence[str]]) -> None:
    for at, title in enumerate(titles):
        if not title and "".join(texts[at]).strip():
            raise UnreadableSheetError(
                f"The column {column_letters(at)} has values but no title. Type a title above, or clear the column."
            )


def _truncate_long_texts(texts: Iterable[list[str]]) -> None:
    """Cut the texts that are too long, and mark them."""
    for column in texts:
        if max(map(len, column), default=0) > MAX_CELL_CHARACTERS:
            column[:] = [add_marker("cell_too_long", one) if len(one) > MAX_CELL_CHARACTERS else one for one in column]


def _mark_problem_rows(column: list[str], table: RawTable) -> None:
    """Mark the refused rows in one column: the others hold what belongs elsewhere."""
    for row in table.row_problems:
        at = row - table.row_numbers[0]  # rows are refused in files only, where the numbers have no gaps
        column[at] = add_marker("row_marked", column[at])


def _nonblank_positions(texts: Sequence[Sequence[str]], row_numbers: Sequence[int]) -> Sequence[int]:
    """The positions of the rows that are not blank."""
    blank: Sequence[int] = range(len(row_numbers))
    for column in texts:
        bare = {text for text in set(column) if not text or text.isspace()}
        blank = [at for at in blank if column[at] in bare] if bare else []
        if not blank:
            return range(len(row_numbers))
    skipped = set(blank)
    return [at for at in range(len(row_numbers)) if at not in skipped]


def _make_frame(
    titles: Sequence[str], texts: Sequence[Sequence[str]], row_numbers: Sequence[int], nonblank: Sequence[int]
) -> pd.DataFrame:
    every = len(nonblank) == len(row_numbers)
    columns = {
        title: column if every else [column[at] for at in nonblank]
        for title, column in zip(titles, texts, strict=True)
        if title
    }
    index = pd.Index([row_numbers[at] for at in nonblank], dtype="int64", name=ROW_INDEX_NAME)
    return pd.DataFrame(columns, index=index, dtype=str)


def _report_row_counts(row_numbers: Sequence[int], nonblank: Sequence[int], scan: WorksheetScan) -> Iterable[ReadIssue]:
    """Blank rows between others, and hidden rows that were read."""
    blank = nonblank[-1] + 1 - len(nonblank) if nonblank else 0
    hidden = len(scan.hidden_rows.intersection(row_numbers[at] for at in nonblank)) if scan.hidden_rows else 0
    for code, count in (("blank_rows", blank), ("hidden_rows", hidden)):
        if count:
            yield ReadIssue(row=None, problem=Problem(code=code, details={"count": count}))
