"""A checked sheet as people look at it: the issues beside the rows, as a frame and as a workbook."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from invoca_bulk.errors import InvalidSheetError
from invoca_bulk.reports import html, save
from invoca_bulk.reports.xlsx import MAX_ROWS, Cell, Style, WorksheetSpec
from invoca_bulk.schema import PROMO_NUMBERS
from invoca_bulk.schema.result_columns import VALIDATION_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from invoca_bulk.reports.html import Html
    from invoca_bulk.validation import ValidatedBook, ValidatedSheet

_ERRORS_COLUMN, _WARNINGS_COLUMN = (one.path for one in VALIDATION_FIELDS)
_LEVEL_STYLES = {"error": Style.ERROR, "warning": Style.WARNING}
#: The width of a column of sentences, in characters.
_SENTENCE_WIDTH = 90.0
_COLUMN_STYLES = {_ERRORS_COLUMN: Style.ERROR, _WARNINGS_COLUMN: Style.WARNING}


class Report:
    """What validation found.

    Attributes:
        validated_book: the checked sheet, for the next stage.
    """

    def __init__(self, checked: ValidatedBook) -> None:
        self.validated_book = checked

    @property
    def issues(self) -> pd.DataFrame:
        """One row an issue: `row` (Int64; missing: the header or the sheet), `column`, `level` (`error`, `warning`),
        `code`, `value`, `message`, `fix` (all text), in the order of rows and columns.
        """  # noqa: D205  the columns are the summary
        return self.validated_book.issues

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
    def requested_numbers(self) -> int:
        """How many promo numbers the good rows ask for: a row with a quantity of 7 asks for seven.

        Rows that name a number ask for none; one that names it by its own id may still be found to create it.
        """
        return sum(_count_requested_numbers(sheet) for _, sheet in self.validated_book.sheets_of(PROMO_NUMBERS))

    @property
    def rows(self) -> int:
        """How many rows were checked."""
        return sum(len(one.pending) for one in self.validated_book.sheets)

    @property
    def invalid_rows(self) -> int:
        """How many of them have errors, or share their object with a row that has."""
        return sum(int(one.invalid.sum()) for one in self.validated_book.sheets)

    @property
    def summary(self) -> str:
        """What was found, in a sentence."""
        can = sum(int(one.actionable.sum()) for one in self.validated_book.sheets)
        new = f"{self.requested_numbers:,} number{_word_ending(self.requested_numbers)}"
        asked = (
            f" and ask{_word_ending(can, 's')} for {new}"
            if any(True for _ in self.validated_book.sheets_of(PROMO_NUMBERS))
            else ""
        )
        parts = [
            f"{self.rows:,} row{_word_ending(self.rows)} checked",
            f"{can:,} can be sent{asked}",
            f"{self.invalid_rows:,} {_has_or_have(self.invalid_rows)} errors",
        ]
        left = sum(int((~one.pending).sum()) for one in self.validated_book.sheets)
        return (
            "; ".join([*parts, *([f"{left:,} {_has_or_have(left)} an outcome from an earlier run"] if left else [])])
            + "."
        )

    @property
    def sheet(self) -> pd.DataFrame | dict[str, pd.DataFrame]:
        """The sheet as it was read (text cells, index `row`) with `validation_errors` and `validation_warnings`.

        Where several were read, a dict of them by the name of what they hold.
        """
        frames = {one.sheet.resource.name: frame for one, frame in self.annotated_frames()}
        return frames if len(frames) > 1 else next(iter(frames.values()))

    def annotated_frames(self) -> Iterator[tuple[ValidatedSheet, pd.DataFrame]]:
        """Each sheet with its frame as in `sheet`."""
        for one in self.validated_book.sheets:
            frame = one.sheet.frame.copy()
            own = self.issues[self.issues["sheet"] == one.sheet.name]
            for column, level in ((_ERRORS_COLUMN, "error"), (_WARNINGS_COLUMN, "warning")):
                texts = _issue_text_by_row(own[own["level"] == level])
                frame[column] = pd.Series([texts.get(row, "") for row in frame.index], index=frame.index, dtype="str")
            yield one, frame

    def issue_lines(self, limit: int, level: str = "error") -> list[str]:
        """The first issues of a level as lines of text, and how many more there are."""
        found = self.issues[self.issues["level"] == level]
        shown = found.head(limit)
        lines = [
            f"  {_location_text(sheet, row, column)}: {_message_with_fix(message, fix)}"
            for sheet, row, column, message, fix in zip(
                shown["sheet"], shown["row"], shown["column"], shown["message"], shown["fix"], strict=True
            )
        ]
        return [*lines, f"  … and {len(found) - limit:,} more"] if len(found) > limit else lines

    def ignored_input(self) -> list[str]:
        """What of the sheet as a whole is not heeded: columns that nobody knows, worksheets that were left out."""
        warnings = self.warnings
        whole = Report(replace(self.validated_book, issues=warnings[warnings["row"].isna()]))
        return whole.issue_lines(len(warnings), "warning")

    def save(self, path: str | Path, *, protected_paths: Iterable[Path] = ()) -> Path:
        """Write the annotated sheet: `.xlsx` with coloured cells, notes and a sheet of issues, or `.csv`.

        A file that is there already is replaced, but never the sheet that was checked.

        Raises:
            OutputError: it cannot be written there.
        """
        sheets = [one.sheet for one in self.validated_book.sheets]
        inputs = [one.path for one in sheets if one.path]
        columns = max(len(one.frame.columns) for one in sheets) + len(_COLUMN_STYLES)
        save.refuse_too_large(path, "sheet has", rows=max(len(one.frame) for one in sheets), columns=columns)
        return save.save_worksheets(
            path, partial(build_worksheets, self), protected_paths=[*inputs, *protected_paths], table_count=len(sheets)
        )

    def __repr__(self) -> str:
        return f"<{self.summary} See .issues and .sheet>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the rows with issues, those with errors first, and what to do beside them."""
        return html.container(*self.html_parts())

    def html_parts(
        self, overflow_note: str = 'all are in the workbook: `report.save("annotated.xlsx")`'
    ) -> Iterator[Html]:
        """The parts of it.

        Args:
            overflow_note: where all rows are, if not all can be shown, as `displays.table` takes it.
        """
        yield html.heading(self.summary)
        yield from render_issues(self, overflow_note=overflow_note)


def _count_requested_numbers(sheet: ValidatedSheet) -> int:
    """How many promo numbers the good rows of a sheet ask for."""
    rows, quantity = sheet.actionable & sheet.is_create, sheet.by_path.get("quantity")
    if quantity is None:
        return int(rows.sum())
    readings = map(quantity.parsed_text, range(len(quantity.texts)))
    asked = np.array([reading.value if reading else 1 for reading in readings], dtype="int64")
    return int(asked[quantity.codes][rows].sum())


class RowsInvalid(InvalidSheetError):
    """Rows have errors, and `skip_invalid` was not given.

    Attributes:
        report: what was found.
    """

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report


def build_worksheets(report: Report) -> list[WorksheetSpec]:
    """The worksheets of the annotated workbook, made anew at each call: the rows of each sheet, and the issues."""
    sheets = [_build_annotated_worksheet(report, one, frame) for one, frame in report.annotated_frames()]
    rows = ["" if row is pd.NA else str(row) for row in report.issues["row"]]
    issues = report.issues.assign(row=pd.Series(rows, dtype="str"))
    if len(sheets) == 1:
        issues = issues.drop(columns="sheet")
    level = list(issues.columns).index("level")
    styled = (
        [Cell(text=text, style=_LEVEL_STYLES[text]) if at == level else text for at, text in enumerate(one)]
        for one in _iter_rows(issues)
    )
    return [*sheets, WorksheetSpec(name="issues", header=list(issues.columns), rows=styled)]


def _build_annotated_worksheet(report: Report, one: ValidatedSheet, frame: pd.DataFrame) -> WorksheetSpec:
    found = _IssuesByCell(report.issues[report.issues["sheet"] == one.sheet.name])
    headers = [found.styled_cell(None, header, header, Style.HEADER) for header in frame.columns]
    return WorksheetSpec(
        name=one.sheet.resource.name, header=headers, rows=_worksheet_rows(frame, found), widths=_column_widths(frame)
    )


def render_issues(report: Report, *, overflow_note: str) -> Iterator[Html]:
    """The issues as parts of a display: how many, those of the sheet or its header, and the rows that have any.

    Args:
        report: what was found.
        overflow_note: where all of them are, as `displays.table` takes it.
    """
    issues = report.issues
    level, of_rows = issues["level"], issues["row"].notna()
    found = {one: int((level == one).sum()) for one in _LEVEL_STYLES}
    words = {one: one if count == 1 else f"{one}s" for one, count in found.items()}
    styles = {words[one]: style for one, style in _LEVEL_STYLES.items()}
    yield html.badges({words[one]: count for one, count in found.items() if count}, styles)
    for one, style in _LEVEL_STYLES.items():
        of_sheet = issues[~of_rows & (level == one)]
        lines = Report(replace(report.validated_book, issues=of_sheet)).issue_lines(len(of_sheet), one)
        yield html.bullet_list(f"{one.capitalize()}s of the sheet", [line.strip() for line in lines], style)
    for sheet in report.validated_book.sheets:
        yield _render_rows(sheet, issues[of_rows & (issues["sheet"] == sheet.sheet.name)], overflow_note)


def _render_rows(one: ValidatedSheet, issues: pd.DataFrame, overflow_note: str) -> Html:
    """The rows with issues; the cells are those of the annotated workbook."""
    errors = issues["row"][issues["level"] == "error"]
    numbers = list(dict.fromkeys([*errors, *issues["row"]]))  # if not all can be shown, errors matter more
    shown = numbers[: html.MAX_ROWS_SHOWN]
    found = _IssuesByCell(issues[issues["row"].isin(shown)])
    frame = one.sheet.frame.loc[shown]
    headers = list(frame.columns)
    rows = (
        [
            found.styled_cell(row, "", str(row)),
            *(found.styled_cell(row, *pair) for pair in zip(headers, texts, strict=True)),
        ]
        for row, texts in zip(frame.index, _iter_rows(frame), strict=True)
    )
    caption = f"{one.sheet.name} rows with errors or warnings".strip().capitalize()
    return html.table(["row", *headers], rows, caption=caption, total=len(numbers), overflow_note=overflow_note)


class _IssuesByCell:
    """The issues by the place where they are shown.

    Attributes:
        rows_with_issues: the numbers of the rows that have any; None: the header.
    """

    def __init__(self, issues: pd.DataFrame) -> None:
        self._by_cell: dict[tuple[int | None, str], list[tuple[str, str]]] = {}
        for row, column, level, message, fix in zip(
            issues["row"], issues["column"], issues["level"], issues["message"], issues["fix"], strict=True
        ):
            place = (None if row is pd.NA else int(row), column)
            self._by_cell.setdefault(place, []).append((level, _message_with_fix(message, fix)))
        self.rows_with_issues = {row for row, _ in self._by_cell}

    def styled_cell(self, row: int | None, header: str, text: str, style: Style = Style.PLAIN) -> str | Cell:
        """A cell with its colour and note; a plain text where nothing was found."""
        if row is not None and text and header in _COLUMN_STYLES:
            return Cell(text=text, style=_COLUMN_STYLES[header])
        found = self._by_cell.get((row, header))
        if not found:
            return Cell(text=text, style=style) if style is not Style.PLAIN else text
        worst = "error" if any(level == "error" for level, _ in found) else "warning"
        return Cell(text=text, style=_LEVEL_STYLES[worst], note="\n".join(sentence for _, sentence in found))


def _column_widths(frame: pd.DataFrame) -> dict[int, float]:
    return {
        at: _SENTENCE_WIDTH for at, column in enumerate(frame.columns) if column in {_ERRORS_COLUMN, _WARNINGS_COLUMN}
    }


def _worksheet_rows(frame: pd.DataFrame, found: _IssuesByCell) -> Iterator[Sequence[str | Cell]]:
    """The rows at the row numbers that they had: blank rows stay, so that the issues' numbers hold here too."""
    headers = list(frame.columns)
    rows = [int(row) for row in frame.index]
    in_order = all(first < second for first, second in pairwise([1, *rows, MAX_ROWS + 1]))
    for at, (row, texts) in enumerate(zip(rows, _iter_rows(frame), strict=True)):
        if in_order:
            yield from ([] for _ in range(row - (rows[at - 1] if at else 1) - 1))
        has = row in found.rows_with_issues
        yield [found.styled_cell(row, *pair) for pair in zip(headers, texts, strict=True)] if has else texts


def _iter_rows(frame: pd.DataFrame) -> Iterator[list[str]]:
    # As objects: pandas takes each text out of a column of texts by a call of its own.
    return map(list, zip(*(frame[column].to_numpy(dtype=object) for column in frame.columns), strict=True))


def _issue_text_by_row(issues: pd.DataFrame) -> dict[int, str]:
    """Row to all that is wrong with it, as one text."""
    texts: dict[int, str] = {}
    for row, column, message, fix in zip(
        issues["row"], issues["column"], issues["message"], issues["fix"], strict=True
    ):
        if row is pd.NA:
            continue
        text = f"{column}: {_message_with_fix(message, fix)}" if column else _message_with_fix(message, fix)
        texts[int(row)] = f"{texts[int(row)]} | {text}" if int(row) in texts else text
    return texts


def _location_text(sheet: str, row: int | object, column: str) -> str:
    where = "sheet" if row is pd.NA and not column else "header" if row is pd.NA else f"row {row}"
    place = f"{sheet} {where}" if sheet else where
    return f"{place}, {column}" if column else place


def _word_ending(count: int, singular: str = "") -> str:
    """The end of a word: of a noun in the plural, or, with `singular`, of a verb in the singular."""
    return (singular if count == 1 else "") if singular else ("" if count == 1 else "s")


def _has_or_have(count: int) -> str:
    return "has" if count == 1 else "have"


def _message_with_fix(message: str, fix: str) -> str:
    return f"{message} {fix}" if fix.endswith(".") else f"{message} Fix: {fix}" if fix else message
