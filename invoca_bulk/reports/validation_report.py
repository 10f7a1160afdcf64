"""The validation report: the issues and the annotated rows, as DataFrames, in a notebook and as a workbook."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from invoca_bulk.errors import InvalidSheetError
from invoca_bulk.reports import html, save
from invoca_bulk.reports.html import Html
from invoca_bulk.reports.xlsx import MAX_ROWS, Cell, Style, WorksheetSpec
from invoca_bulk.schema import PROMO_NUMBERS
from invoca_bulk.schema.issue_catalog import WORKSHEET_CHOICE_CODES
from invoca_bulk.schema.result_columns import VALIDATION_FIELDS
from invoca_bulk.sheets.row_labels import RowLabels, format_label
from invoca_bulk.validation import ValidatedBook, ValidatedSheet
from invoca_bulk.wording import count_of, has_remedy, plural_of, word

_ERRORS_COLUMN, _WARNINGS_COLUMN = (field.path for field in VALIDATION_FIELDS)
_LEVEL_STYLES = {"error": Style.ERROR, "warning": Style.WARNING}
_LINE_COLUMNS = ["code", "sheet", "row", "column", "message", "fix"]
_SENTENCE_WIDTH = 90.0  # in characters
_INTEGER_LIMIT = 2**63
#: The codes of edits that are not sent, and how many of them the results name.
_UNSENT_EDITS = frozenset({"row_edited", "unsettled_row_edited"})
_MAX_EDITS_NAMED = 20
_COLUMN_STYLES = {_ERRORS_COLUMN: Style.ERROR, _WARNINGS_COLUMN: Style.WARNING}


class Report:
    """The result of validation.

    Attributes:
        validated_book: the validated sheets, for the next stage.
    """

    def __init__(self, validated_book: ValidatedBook) -> None:
        self.validated_book = validated_book

    @cached_property
    def numbered_issues(self) -> pd.DataFrame:
        """The issues with the rows as `Sheet` numbers them; columns as in `issues`."""
        return word_issues(self.validated_book.issues)

    @cached_property
    def issues(self) -> pd.DataFrame:
        """One row per issue: `sheet`, `row` (missing: the header or the sheet), `column`, `level` (`error`,
        `warning`), `code`, `value`, `message`, `fix`, in the order of rows and columns. All but `row` are texts.

        `row` is the spreadsheet's row number (Int64). Of your own DataFrame it is the label in its index (Int64 for
        whole numbers, else object; tuples for a MultiIndex).
        """  # noqa: D205  the columns are the summary
        return label_rows(self.numbered_issues, self.validated_book)

    @property
    def errors(self) -> pd.DataFrame:
        """The issues that prevent rows from being sent; columns as in `issues`."""
        return self.issues[self.issues["level"] == "error"]

    @property
    def warnings(self) -> pd.DataFrame:
        """The issues that do not prevent it; columns as in `issues`."""
        return self.issues[self.issues["level"] == "warning"]

    @property
    def ok(self) -> bool:
        """Whether every row can be sent."""
        return self.errors.empty

    @property
    def requested_numbers(self) -> int:
        """How many promo numbers the valid rows request; a row with a quantity of 7 requests seven.

        Rows that name an existing number request none. A row with its own `id_from_network` counts as such, although
        planning may find that the number has to be created.
        """
        return sum(_count_requested_numbers(sheet) for _, sheet in self.validated_book.sheets_of(PROMO_NUMBERS))

    @property
    def rows(self) -> int:
        """Number of rows that were checked."""
        return sum(len(sheet.pending) for sheet in self.validated_book.sheets)

    @property
    def invalid_rows(self) -> int:
        """Number of rows that have errors or belong to the same object as a row with errors."""
        return sum(int(sheet.invalid.sum()) for sheet in self.validated_book.sheets)

    @property
    def summary(self) -> str:
        """The counts in one sentence."""
        sheets = self.validated_book.sheets
        sendable = sum(int(sheet.actionable.sum()) for sheet in sheets)
        finished = sum(int((~sheet.pending).sum()) for sheet in sheets)
        numbers = f" and {plural_of(sendable, 'asks', 'ask')} for {count_of(self.requested_numbers, 'number')}"
        has_numbers = any(True for _ in self.validated_book.sheets_of(PROMO_NUMBERS))
        parts = [
            f"{count_of(self.rows, 'row')} checked",
            f"{sendable:,} can be sent{numbers if has_numbers else ''}",
            count_of(self.invalid_rows, "has errors", "have errors"),
        ]
        if finished:
            parts.append(f"{count_of(finished, 'has', 'have')} an outcome from an earlier run")
        return f"{'; '.join(parts)}."

    @property
    def sheet(self) -> pd.DataFrame | dict[str, pd.DataFrame]:
        """The sheet (text cells) with the columns `validation_errors` and `validation_warnings`.

        Its index is `row`, or that of your own DataFrame. For several sheets, a dict with the resource names as keys.
        """
        frames = {
            validated.sheet.resource.name: _with_index(frame, validated.sheet.labels)
            for validated, frame in self.annotated_frames()
        }
        return frames if len(frames) > 1 else next(iter(frames.values()))

    def annotated_frames(self) -> Iterator[tuple[ValidatedSheet, pd.DataFrame]]:
        """Each sheet with its DataFrame as in `sheet`, indexed by row number and with all columns."""
        for validated in self.validated_book.sheets:
            frame = validated.sheet.frame.copy()
            issues = self.numbered_issues[self.numbered_issues["sheet"] == validated.sheet.name]
            for column, level in ((_ERRORS_COLUMN, "error"), (_WARNINGS_COLUMN, "warning")):
                texts = _issue_text_by_row(issues[issues["level"] == level])
                frame[column] = pd.Series([texts.get(row, "") for row in frame.index], index=frame.index, dtype="str")
            yield validated, frame

    def issue_lines(self, limit: int, level: str = "error") -> list[str]:
        """The first `limit` issues of a level as lines of text, and a line with the number of all others."""
        issues = self.numbered_issues[self.numbered_issues["level"] == level]
        shown = issues.head(limit)  # not `limit_lines`: there may be a million issues
        lines = [f"  {line}" for line in self._describe_issues(shown)]
        return [*lines, f"  … and {len(issues) - limit:,} more"] if len(issues) > limit else lines

    def sheet_warnings(self) -> list[str]:
        """What the results say of the sheet: warnings about it as a whole, and the first edits that are not sent.

        Their remedies are not worded: the journal stores them, and any door may show them.
        """
        issues = self.validated_book.issues
        edits = issues[issues["code"].isin(_UNSENT_EDITS)]
        about_sheet = issues[issues["row"].isna() & (issues["level"] == "warning")]
        lines = list(self._describe_issues(pd.concat([about_sheet, edits.head(_MAX_EDITS_NAMED)])))
        unnamed_count = len(edits) - _MAX_EDITS_NAMED
        return [*lines, f"… and {unnamed_count:,} more edits that are not sent"] if unnamed_count > 0 else lines

    def _describe_issues(self, issues: pd.DataFrame) -> Iterator[str]:
        labels = _labels_by_sheet(self.validated_book)
        for code, sheet, row, column, message, fix in _iter_rows(issues[_LINE_COLUMNS]):
            yield f"{_location_text(code, sheet, row, column, labels)}: {_message_with_fix(message, fix)}"

    def to_excel(self, path: str | Path, *, protected_paths: Iterable[Path] = ()) -> Path:
        """Write the annotated sheet: `.xlsx` with coloured cells, notes and a worksheet of issues, or `.csv`.

        An existing file is replaced, but never the sheet that was checked.

        Raises:
            OutputError: the file cannot be written, or the sheet is too large for an `.xlsx`.
        """
        sheets = [validated.sheet for validated in self.validated_book.sheets]
        inputs = [sheet.path for sheet in sheets if sheet.path]
        columns = max(len(sheet.frame.columns) for sheet in sheets) + len(_COLUMN_STYLES)
        save.refuse_too_large(path, "sheet has", rows=max(len(sheet.frame) for sheet in sheets), columns=columns)
        return save.save_worksheets(
            path, partial(build_worksheets, self), protected_paths=[*inputs, *protected_paths], table_count=len(sheets)
        )

    def __repr__(self) -> str:
        return f"<{self.summary} See .issues and .sheet>"

    def _repr_html_(self) -> str:
        """Show the rows with issues and how to fix them, rows with errors first."""
        return html.container(*self.html_parts())

    def html_parts(
        self, overflow_note: str = 'all are in the workbook: `report.to_excel("annotated.xlsx")`'
    ) -> Iterator[Html]:
        """The parts of the notebook display.

        Args:
            overflow_note: where to find the rows that are not shown, as in `html.table`.
        """
        yield html.heading(self.summary)
        yield from render_issues(self, overflow_note=overflow_note)


def _count_requested_numbers(sheet: ValidatedSheet) -> int:
    rows, quantity = sheet.actionable & sheet.is_create, sheet.by_path.get("quantity")
    if quantity is None:
        return int(rows.sum())
    parsed_values = map(quantity.parsed_text, range(len(quantity.texts)))
    quantities = np.array([parsed.value if parsed else 1 for parsed in parsed_values], dtype="int64")
    return int(quantities[quantity.codes][rows].sum())


def word_issues(issues: pd.DataFrame) -> pd.DataFrame:
    """Issues with their remedies in the words of the door; columns as in `Report.issues`."""
    worded = [name for name in ("message", "fix") if any(map(has_remedy, issues[name]))]
    return issues.assign(**{name: issues[name].map(word).astype("str") for name in worded}) if worded else issues


def label_rows(issues: pd.DataFrame, validated_book: ValidatedBook) -> pd.DataFrame:
    """Issues with the labels of DataFrames in place of row numbers."""
    labels_by_sheet = _labels_by_sheet(validated_book)
    if all(labels.is_spreadsheet for labels in labels_by_sheet.values()):
        return issues
    labels: list[Any] = [pd.NA] * len(issues)
    for sheet, sheet_labels in labels_by_sheet.items():
        positions = np.flatnonzero((issues["sheet"] == sheet) & issues["row"].notna())
        selected = sheet_labels.select(pd.Index(issues["row"].iloc[positions], dtype="int64"))
        for position, label in zip(positions, selected, strict=True):
            labels[position] = label
    return issues.assign(row=pd.Series(labels, index=issues.index, dtype="Int64" if all_integers(labels) else object))


def all_integers(labels: Iterable[Any]) -> bool:
    """Whether labels fit a column of whole numbers; missing ones do."""
    return all(label is pd.NA or (pd.api.types.is_integer(label) and int(label) < _INTEGER_LIMIT) for label in labels)


def _labels_by_sheet(validated_book: ValidatedBook) -> dict[str, RowLabels]:
    return {validated.sheet.name: validated.sheet.labels for validated in validated_book.sheets}


def _with_index(frame: pd.DataFrame, labels: RowLabels) -> pd.DataFrame:
    """A sheet's frame with the index of the DataFrame that it was, without the columns that its levels became."""
    return frame.drop(columns=list(labels.columns)).set_axis(labels.select(frame.index), axis="index")


class RowsInvalid(InvalidSheetError):
    """Rows have errors, and `skip_invalid` is not set.

    Attributes:
        report: the validation report.
    """

    def __init__(self, message: str, report: Report) -> None:
        super().__init__(message)
        self.report = report


def build_worksheets(report: Report) -> list[WorksheetSpec]:
    """New worksheets of the annotated workbook: the rows of each sheet, and the issues."""
    specs = [_build_annotated_worksheet(report, validated, frame) for validated, frame in report.annotated_frames()]
    numbered = report.numbered_issues
    row_texts = ["" if row is pd.NA else str(row) for row in numbered["row"]]
    issues = numbered.assign(row=pd.Series(row_texts, dtype="str"))
    if not all(validated.sheet.labels.is_spreadsheet for validated in report.validated_book.sheets):
        index_texts = ["" if row is pd.NA else str(format_label(row)) for row in report.issues["row"]]
        issues.insert(list(issues.columns).index("row") + 1, "index", pd.Series(index_texts, dtype="str"))
    if len(specs) == 1:
        issues = issues.drop(columns="sheet")
    level_column = list(issues.columns).index("level")
    rows = (
        [
            Cell(text=text, style=_LEVEL_STYLES[text]) if column == level_column else text
            for column, text in enumerate(texts)
        ]
        for texts in _iter_rows(issues)
    )
    return [*specs, WorksheetSpec(name="issues", header=list(issues.columns), rows=rows)]


def _build_annotated_worksheet(report: Report, validated: ValidatedSheet, frame: pd.DataFrame) -> WorksheetSpec:
    issues = _IssuesByCell(report.numbered_issues[report.numbered_issues["sheet"] == validated.sheet.name])
    return WorksheetSpec(
        name=validated.sheet.resource.name,
        header=[issues.styled_cell(None, header, header, Style.HEADER) for header in frame.columns],
        rows=_worksheet_rows(frame, issues),
        widths={column: _SENTENCE_WIDTH for column, header in enumerate(frame.columns) if header in _COLUMN_STYLES},
    )


def render_issues(report: Report, *, overflow_note: str) -> Iterator[Html]:
    """The parts of a display of issues: their counts, those of the sheet or its header, and the rows with issues."""
    issues = report.numbered_issues
    has_row = issues["row"].notna()
    counts = {level: int((issues["level"] == level).sum()) for level in _LEVEL_STYLES}
    labels = {level: plural_of(count, level) for level, count in counts.items()}
    yield html.badges(
        {labels[level]: count for level, count in counts.items() if count},
        {labels[level]: style for level, style in _LEVEL_STYLES.items()},
    )
    sheet_report = Report(replace(report.validated_book, issues=issues[~has_row]))
    for level, style in _LEVEL_STYLES.items():
        lines = sheet_report.issue_lines(len(issues), level)
        yield html.bullet_list(f"{level.capitalize()}s of the sheet", list(map(str.strip, lines)), style)
    for validated in report.validated_book.sheets:
        yield _render_rows(validated, issues[has_row & (issues["sheet"] == validated.sheet.name)], overflow_note)


def _render_rows(validated: ValidatedSheet, issues: pd.DataFrame, overflow_note: str) -> Html:
    """The rows with issues, with the cells of the annotated workbook."""
    errors = issues["row"][issues["level"] == "error"]
    numbers = list(dict.fromkeys([*errors, *issues["row"]]))  # errors first, in case not all rows are shown
    shown = numbers[: html.MAX_ROWS_SHOWN]
    shown_issues = _IssuesByCell(issues[issues["row"].isin(shown)])
    frame, labels = validated.sheet.frame.loc[shown], validated.sheet.labels
    headers = list(frame.columns)
    rows = (
        [shown_issues.styled_cell(row, "", str(labels.name(row))), *shown_issues.styled_row(row, headers, texts)]
        for row, texts in zip(frame.index, _iter_rows(frame), strict=True)
    )
    caption = f"{validated.sheet.name} rows with errors or warnings".strip().capitalize()
    return html.table([labels.naming, *headers], rows, caption=caption, total=len(numbers), overflow_note=overflow_note)


class _IssuesByCell:
    """The issues by the cell where they are shown."""

    def __init__(self, issues: pd.DataFrame) -> None:
        #: Row number and column title to the level and text of each issue.
        self._by_cell: dict[tuple[int | None, str], list[tuple[str, str]]] = {}
        for row, column, level, message, fix in _iter_rows(issues[["row", "column", "level", "message", "fix"]]):
            cell = (None if row is pd.NA else int(row), column)
            self._by_cell.setdefault(cell, []).append((level, _message_with_fix(message, fix)))
        self.rows_with_issues = {row for row, _ in self._by_cell}

    def styled_cell(self, row: int | None, header: str, text: str, style: Style = Style.PLAIN) -> str | Cell:
        """A cell with its colour and note; a plain text if it has no issues."""
        if row is not None and text and header in _COLUMN_STYLES:
            return Cell(text=text, style=_COLUMN_STYLES[header])
        issues = self._by_cell.get((row, header))
        if not issues:
            return Cell(text=text, style=style) if style is not Style.PLAIN else text
        worst_level = "error" if any(level == "error" for level, _ in issues) else "warning"
        return Cell(text=text, style=_LEVEL_STYLES[worst_level], note="\n".join(sentence for _, sentence in issues))

    def styled_row(self, row: int, headers: Sequence[str], texts: Sequence[str]) -> list[str | Cell]:
        """The cells of a row."""
        return [self.styled_cell(row, header, text) for header, text in zip(headers, texts, strict=True)]


def _worksheet_rows(frame: pd.DataFrame, issues: _IssuesByCell) -> Iterator[Sequence[str | Cell]]:
    """The rows at their original row numbers, with blank rows, so that the row numbers of the issues still apply."""
    headers = list(frame.columns)
    rows = [int(row) for row in frame.index]
    is_sorted = all(row < next_row for row, next_row in pairwise([1, *rows, MAX_ROWS + 1]))
    for previous, row, texts in zip([1, *rows], rows, _iter_rows(frame), strict=False):
        if is_sorted:
            yield from ([] for _ in range(row - previous - 1))
        yield issues.styled_row(row, headers, texts) if row in issues.rows_with_issues else texts


def _iter_rows(frame: pd.DataFrame) -> Iterator[list[Any]]:
    # As objects, since pandas needs a separate call for each value of a text column.
    return map(list, zip(*(frame[column].to_numpy(dtype=object) for column in frame.columns), strict=True))


def _issue_text_by_row(issues: pd.DataFrame) -> dict[int, str]:
    """Row number to its issues, as one text."""
    texts: dict[int, str] = {}
    for row, column, message, fix in _iter_rows(issues[["row", "column", "message", "fix"]].dropna(subset="row")):
        text = f"{column}: {_message_with_fix(message, fix)}" if column else _message_with_fix(message, fix)
        texts[int(row)] = f"{texts[int(row)]} | {text}" if int(row) in texts else text
    return texts


def _location_text(code: str, sheet: str, row: Any, column: str, labels: Mapping[str, RowLabels]) -> str:  # noqa: ANN401  int or NA
    """Where an issue is: `row 2, description`, with several sheets `users row 2, first_name`."""
    if code in WORKSHEET_CHOICE_CODES:
        return "workbook"
    part = "sheet" if row is pd.NA and not column else "header" if row is pd.NA else labels[sheet].describe(row)
    location = f"{sheet} {part}" if sheet else part
    return f"{location}, {column}" if column else location


def _message_with_fix(message: str, fix: str) -> str:
    return f"{message} {fix}" if fix.endswith(".") else f"{message} Fix: {fix}" if fix else message
