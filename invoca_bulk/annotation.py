"""A checked sheet as people look at it: the issues beside the rows, as a frame and as a workbook."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from invoca_bulk import saving
from invoca_bulk.errors import SheetInvalid
from invoca_bulk.schema.outputs import VALIDATION_FIELDS
from invoca_bulk.workbook import MAX_ROWS, Cell, Page, Style

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from invoca_bulk.validation import Checked

_ERRORS, _WARNINGS = (one.path for one in VALIDATION_FIELDS)
_STYLES = {"error": Style.ERROR, "warning": Style.WARNING}
#: The width of a column of sentences, in characters.
_SENTENCES = 90.0
_COLUMN_STYLES = {_ERRORS: Style.ERROR, _WARNINGS: Style.WARNING}


class Report:
    """What validation found.

    Attributes:
        checked: the checked sheet, for the next stage.
    """

    def __init__(self, checked: Checked) -> None:
        self.checked = checked

    @property
    def issues(self) -> pd.DataFrame:
        """One row an issue: `row` (Int64; missing: the header or the sheet), `column`, `level` (`error`, `warning`),
        `code`, `value`, `message`, `fix` (all text), in the order of rows and columns.
        """  # noqa: D205  the columns are the summary
        return self.checked.issues

    @property
    def errors(self) -> pd.DataFrame:
        """The issues that keep rows from being sent; columns as in `issues`."""
        return self.issues[self.issues["level"] == "error"]

    @property
    def warnings(self) -> pd.DataFrame:
        """The issues that do not; columns as in `issues`."""
        return self.issues[self.issues["level"] == "warning"]

    @property
    def ok(self) -> bool:
        """Whether every row can be sent."""
        return self.errors.empty

    @property
    def wanted(self) -> int:
        """How many objects the good rows ask for: a row with a quantity of 7 asks for seven."""
        checked = self.checked
        return sum(checked.values(at).get("quantity", 1) for at in np.flatnonzero(checked.pending & ~checked.invalid))

    @property
    def summary(self) -> str:
        """What was found, in a sentence."""
        checked = self.checked
        parts = [
            f"{len(checked.pending):,} rows checked",
            f"{int((checked.pending & ~checked.invalid).sum()):,} can be sent and ask for {self.wanted:,} numbers",
            f"{int(checked.invalid.sum()):,} have errors",
        ]
        left = int((~checked.pending).sum())
        return "; ".join([*parts, *([f"{left:,} have an outcome from an earlier run"] if left else [])]) + "."

    @property
    def sheet(self) -> pd.DataFrame:
        """The sheet as it was read (text cells, index `row`) with `validation_errors` and `validation_warnings`."""
        frame = self.checked.sheet.frame.copy()
        for column, level in ((_ERRORS, "error"), (_WARNINGS, "warning")):
            texts = _texts(self.issues[self.issues["level"] == level])
            frame[column] = pd.Series([texts.get(row, "") for row in frame.index], index=frame.index, dtype="str")
        return frame

    def lines(self, most: int, level: str = "error") -> list[str]:
        """The first issues of a level as lines of text, and how many more there are."""
        found = self.issues[self.issues["level"] == level]
        shown = found.head(most)
        lines = [
            f"  {_place(row, column)}: {_sentence(message, fix)}"
            for row, column, message, fix in zip(
                shown["row"], shown["column"], shown["message"], shown["fix"], strict=True
            )
        ]
        return [*lines, f"  … and {len(found) - most:,} more"] if len(found) > most else lines

    def save(self, path: str | Path, *, not_over: Iterable[Path] = ()) -> Path:
        """Write the annotated sheet: `.xlsx` with coloured cells, notes and a sheet of issues, or `.csv`.

        Raises:
            OutputUnwritable: it cannot be written there.
        """
        return saving.save(path, partial(pages, self), not_over=not_over)

    def __repr__(self) -> str:
        return f"<{self.summary} See .issues and .sheet>"


class RowsInvalid(SheetInvalid):
    """Rows have errors, and `skip_invalid` was not given.

    Attributes:
        report: what was found.
    """

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report


def pages(report: Report) -> list[Page]:
    """The worksheets of the annotated workbook, made anew at each call: the rows, and the issues."""
    sheet = report.checked.sheet
    found = _Placed(report.issues)
    frame = report.sheet
    headers = [found.cell(None, header, header, Style.HEADER) for header in frame.columns]
    rows = ["" if row is pd.NA else str(row) for row in report.issues["row"]]
    issues = report.issues.assign(row=pd.Series(rows, dtype="str"))
    return [
        Page(name=sheet.resource.name, header=headers, rows=_rows(frame, found), widths=_widths(frame)),
        Page(
            name="issues",
            header=list(issues.columns),
            rows=(
                [Cell(text=one[0]), one[1], Cell(text=one[2], style=_STYLES[one[2]]), *one[3:]]
                for one in _lists(issues)
            ),
        ),
    ]


class _Placed:
    """The issues by the place where they are shown."""

    def __init__(self, issues: pd.DataFrame) -> None:
        self._by_place: dict[tuple[int | None, str], list[tuple[str, str]]] = {}
        for row, column, level, message, fix in zip(
            issues["row"], issues["column"], issues["level"], issues["message"], issues["fix"], strict=True
        ):
            place = (None if row is pd.NA else int(row), column)
            self._by_place.setdefault(place, []).append((level, _sentence(message, fix)))

    def cell(self, row: int | None, header: str, text: str, style: Style = Style.PLAIN) -> str | Cell:
        """A cell with its colour and note; a plain text where nothing was found."""
        if row is not None and text and header in _COLUMN_STYLES:
            return Cell(text=text, style=_COLUMN_STYLES[header])
        found = self._by_place.get((row, header))
        if not found:
            return Cell(text=text, style=style) if style is not Style.PLAIN else text
        worst = "error" if any(level == "error" for level, _ in found) else "warning"
        return Cell(text=text, style=_STYLES[worst], note="\n".join(sentence for _, sentence in found))


def _widths(frame: pd.DataFrame) -> dict[int, float]:
    return {at: _SENTENCES for at, column in enumerate(frame.columns) if column in {_ERRORS, _WARNINGS}}


def _rows(frame: pd.DataFrame, found: _Placed) -> Iterator[list[str | Cell]]:
    """The rows at the row numbers that they had: blank rows stay, so that the issues' numbers hold here too."""
    headers = list(frame.columns)
    rows = [int(row) for row in frame.index]
    in_order = all(first < second for first, second in pairwise([1, *rows, MAX_ROWS + 1]))
    for at, (row, texts) in enumerate(zip(rows, _lists(frame), strict=True)):
        if in_order:
            yield from ([] for _ in range(row - (rows[at - 1] if at else 1) - 1))
        yield [found.cell(row, header, text) for header, text in zip(headers, texts, strict=True)]


def _lists(frame: pd.DataFrame) -> Iterator[list[str]]:
    return map(list, zip(*(frame[column] for column in frame.columns), strict=True))


def _texts(issues: pd.DataFrame) -> dict[int, str]:
    """Row to all that is wrong with it, as one text."""
    texts: dict[int, str] = {}
    for row, column, message, fix in zip(
        issues["row"], issues["column"], issues["message"], issues["fix"], strict=True
    ):
        if row is pd.NA:
            continue
        text = f"{column}: {_sentence(message, fix)}" if column else _sentence(message, fix)
        texts[int(row)] = f"{texts[int(row)]} | {text}" if int(row) in texts else text
    return texts


def _place(row: int | object, column: str) -> str:
    where = "sheet" if row is pd.NA and not column else "header" if row is pd.NA else f"row {row}"
    return f"{where}, {column}" if column else where


def _sentence(message: str, fix: str) -> str:
    return f"{message} {fix}" if fix.endswith(".") else f"{message} Fix: {fix}" if fix else message
