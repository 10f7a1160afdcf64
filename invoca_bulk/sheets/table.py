"""Columns of cells -> the frame of a sheet: text cells, row numbers, and what was found wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import pandas as pd

from invoca_bulk.errors import SheetUnreadable
from invoca_bulk.issues import Problem
from invoca_bulk.sheets import cells
from invoca_bulk.sheets.model import Finding, column_letters

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from invoca_bulk.sheets.headers import Heading
    from invoca_bulk.sheets.model import Grid, Marks

#: The longest text of a cell, in characters: csv's own limit, and four times what Excel can hold.
MAX_CELL_CHARACTERS = 131_072
INDEX = "row"
_ROWS_AT_A_TIME = 1_000


@dataclass(frozen=True, kw_only=True)
class Table:
    """The rows below a header.

    Attributes:
        titles: the header's cells as text.
        columns: the cells of each column.
        numbers: the row numbers in the spreadsheet.
        row_problems: what is wrong with whole rows, by row number.
    """

    titles: Sequence[str]
    columns: Sequence[Sequence[object]]
    numbers: Sequence[int]
    row_problems: Mapping[int, Problem]


def below(grid: Grid, heading: Heading) -> Table:
    """The rows below a header, all brought to its width; a longer one is a problem.

    Raises:
        SheetUnreadable: the header row itself, or one above it, has a problem.
    """
    width, first = len(heading.titles), heading.index + 1
    for row, problem in grid.problems.items():
        if row <= first:
            raise SheetUnreadable(f"Row {row}, the header: {problem.message} {problem.fix}")
    body = list(grid.rows[first:])
    last_formula = max((row for row, _ in grid.marks.formulas), default=0)
    body.extend([""] * width for _ in range(last_formula - first - len(body)))  # calamine leaves them out at the end
    problems = dict(grid.problems)
    if set(map(len, body)) - {width}:
        problems |= _too_long_rows(body, width, first + 1)
        body = [[*row[:width], *[""] * (width - len(row))] for row in body]
    return Table(
        titles=heading.titles,
        columns=_turned(body, width),
        numbers=range(first + 1, first + 1 + len(body)),
        row_problems=problems,
    )


def _turned(body: Sequence[Sequence[object]], width: int) -> list[list[object]]:
    """Rows to columns, some rows at a time: a pass over a million of them for each column would leave the cache."""
    columns: list[list[object]] = [[] for _ in range(width)]
    for start in range(0, len(body), _ROWS_AT_A_TIME):
        parts = zip(*body[start : start + _ROWS_AT_A_TIME], strict=True)
        for column, part in zip(columns, parts, strict=True):
            column.extend(part)
    return columns


def _too_long_rows(body: Sequence[Sequence[object]], width: int, first: int) -> dict[int, Problem]:
    return {
        number: Problem(code="row_too_long", details={"count": len(row), "expected": width})
        for number, row in enumerate(body, first)
        if any(row[width:])
    }


def build(table: Table, marks: Marks, carried: Sequence[Finding] = ()) -> tuple[pd.DataFrame, list[Finding]]:
    """The frame, and the findings of its cells, rows and whole.

    Args:
        table: header and cells.
        marks: what was found besides the values.
        carried: findings of an earlier reading; their rows are kept even if they are blank.

    Raises:
        SheetUnreadable: two columns have one title, a column with values has none, or a value has no text.
    """
    titles = [title.strip() for title in table.titles]
    _refuse_repeated(titles)
    texts, findings = _texts(titles, table)
    findings += _mark(texts, titles, table.numbers, marks)
    _refuse_untitled(titles, texts)
    findings += _cut(texts, titles, table.numbers)
    kept = {one.row for one in chain(findings, carried)} | table.row_problems.keys()
    filled = _filled(texts, table.numbers, kept)
    frame = _frame(titles, texts, table.numbers, filled)
    rows = [_row_finding(frame, row, problem) for row, problem in table.row_problems.items()]
    findings = [one for one in findings if one.header]
    return frame, [*findings, *rows, *_counts(table.numbers, filled, marks)]


def _refuse_repeated(titles: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for at, title in enumerate(titles):
        if title and title in seen:
            raise SheetUnreadable(
                f"The columns {column_letters(seen[title])} and {column_letters(at)} have the same title, {title!r}. "
                "Rename or remove one of them."
            )
        seen[title] = at


def _texts(titles: Sequence[str], table: Table) -> tuple[list[list[str]], list[Finding]]:
    texts, findings = [], []
    for at, column in enumerate(table.columns):
        try:
            text, problems = cells.texts(column)
        except cells.NoText as error:
            raise SheetUnreadable(
                f"The column {titles[at]!r} holds a value of the type {error}, which has no text form. "
                "Turn the column into text, e.g. with frame[column].astype(str)."
            ) from None
        texts.append(text)
        findings += [_finding(table.numbers[i], titles[at], text[i], one) for i, one in problems.items()]
    return texts, findings


def _finding(row: int, header: str, text: str, problem: Problem) -> Finding:
    return Finding(row=row, header=header, text=text, problem=problem)


def _mark(texts: list[list[str]], titles: Sequence[str], numbers: Sequence[int], marks: Marks) -> list[Finding]:
    """Write errors into their cells, and list them and the formulas without a result."""
    if not (marks.errors or marks.formulas):
        return []
    position = {number: at for at, number in enumerate(numbers)}
    inside = {(row, at) for row, at in {*marks.errors, *marks.formulas} if row in position and at < len(titles)}
    findings = []
    for row, at in sorted(inside):
        if error := marks.errors.get((row, at)):
            texts[at][position[row]] = error
            problem = Problem(code="cell_error", details={"value": error})
        else:
            problem = Problem(code="cell_formula")
        findings.append(_finding(row, titles[at], texts[at][position[row]], problem))
    return findings


def _refuse_untitled(titles: Sequence[str], texts: Sequence[Sequence[str]]) -> None:
    for at, title in enumerate(titles):
        if not title and "".join(texts[at]).strip():
            raise SheetUnreadable(
                f"The column {column_letters(at)} has values but no title. Type a title above, or clear the column."
            )


def _cut(texts: list[list[str]], titles: Sequence[str], numbers: Sequence[int]) -> list[Finding]:
    """Cut the texts that are too long, and list them."""
    findings = []
    for at, column in enumerate(texts):
        if max(map(len, column), default=0) <= MAX_CELL_CHARACTERS:
            continue
        for i, text in enumerate(column):
            if len(text) > MAX_CELL_CHARACTERS:
                details = {"length": f"{len(text):,}", "limit": f"{MAX_CELL_CHARACTERS:,}"}
                column[i] = text[:MAX_CELL_CHARACTERS]
                problem = Problem(code="cell_too_long", details=details)
                findings.append(_finding(numbers[i], titles[at], column[i], problem))
    return findings


def _filled(texts: Sequence[Sequence[str]], numbers: Sequence[int], kept: set[int | None]) -> list[int]:
    """The positions of the rows that are not blank."""
    blank: Sequence[int] = range(len(numbers))
    for column in texts:
        blank = [at for at in blank if not column[at] or column[at].isspace()]
    skipped = {at for at in blank if numbers[at] not in kept}
    return [at for at in range(len(numbers)) if at not in skipped]


def _frame(
    titles: Sequence[str], texts: Sequence[Sequence[str]], numbers: Sequence[int], filled: Sequence[int]
) -> pd.DataFrame:
    every = len(filled) == len(numbers)
    columns = {
        title: column if every else [column[at] for at in filled]
        for title, column in zip(titles, texts, strict=True)
        if title
    }
    index = pd.Index([numbers[at] for at in filled], dtype="int64", name=INDEX)
    return pd.DataFrame(columns, index=index, dtype=str)


def _row_finding(frame: pd.DataFrame, row: int, problem: Problem) -> Finding:
    text = json.dumps(frame.loc[row].to_dict(), ensure_ascii=False)
    return Finding(row=row, header=None, text=text, problem=problem)


def _counts(numbers: Sequence[int], filled: Sequence[int], marks: Marks) -> Iterable[Finding]:
    """Blank rows between others, and hidden rows that were read."""
    blank = filled[-1] + 1 - len(filled) if filled else 0
    hidden = len(marks.hidden.intersection(numbers[at] for at in filled)) if marks.hidden else 0
    for code, count in (("blank_rows", blank), ("hidden_rows", hidden)):
        if count:
            yield Finding(row=None, header=None, text="", problem=Problem(code=code, details={"count": count}))
