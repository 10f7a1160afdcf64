"""Collects the rows, steps and issues of a plan; shared by the planners of both resources."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import pandas as pd

from invoca_bulk.config.options import PlanOptions
from invoca_bulk.planning.model import (
    REFUSED,
    UNCHANGED,
    FieldChange,
    PlannedRow,
    PlatformState,
    PriorWrite,
    Purchase,
    Removal,
    Scope,
    Step,
)
from invoca_bulk.planning.prior_purchases import PriorPurchases
from invoca_bulk.schema import OPERATIONS, payloads
from invoca_bulk.schema.field_types import Json
from invoca_bulk.schema.issue_catalog import ISSUE_COLUMNS, Problem, truncate
from invoca_bulk.schema.outcomes import Outcome, parse_outcome
from invoca_bulk.sheets import Sheet
from invoca_bulk.sheets.row_labels import to_stored_label
from invoca_bulk.validation import NO_SITE_IF_CREATED, Record, RowRef, ValidatedBook


@dataclass(eq=False)
class PlanBuilder:
    """Collects a plan row by row."""

    validated_book: ValidatedBook
    platform_state: Mapping[Scope, PlatformState]
    plan_options: PlanOptions
    prior_purchases: PriorPurchases
    prior_writes: Mapping[str, PriorWrite] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list, init=False)
    changes: list[FieldChange] = field(default_factory=list, init=False)
    removals: list[Removal] = field(default_factory=list, init=False)
    resolved_purchases: list[Purchase] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._rows: dict[RowRef, list[PlannedRow]] = defaultdict(list)
        self._problems: list[tuple[RowRef, str, Problem]] = []
        sheets = [validated_sheet.sheet for validated_sheet in self.validated_book.sheets]
        self._error_texts = [_error_texts_by_row(self.validated_book.issues, sheet.name) for sheet in sheets]
        self._cells = [list(zip(*(sheet.frame[header] for header in sheet.frame), strict=True)) for sheet in sheets]
        self._row_numbers = [sheet.frame.index for sheet in sheets]
        self._stored_labels = [_stored_labels(sheet) for sheet in sheets]

    def add_step(self, **attributes: Any) -> int:  # noqa: ANN401  the attributes of `Step`
        """Add a step, by default with the verb of its action; returns its number."""
        verb = OPERATIONS[attributes["action"]].verb
        self.steps.append(Step(**{"number": len(self.steps), "verb": verb, **attributes}))
        return len(self.steps) - 1

    def assign_step(self, row_ref: RowRef, step: int, *, action: str = "", object_label: str = "") -> None:
        """Give a row a step."""
        self._add_row(row_ref, action=action or self.steps[step].action.value, object_label=object_label, step=step)

    def mark_unchanged(
        self, row_ref: RowRef, object_label: str = "", current: Mapping[str, Json] | None = None
    ) -> None:
        """Mark a row that asks for what the platform already has; `current` is the object on the platform."""
        assigned = {name: current[name] for name in payloads.ASSIGNED_FIELDS if name in current} if current else None
        self._add_row(
            row_ref, action=UNCHANGED, object_label=object_label, outcome=Outcome.UNCHANGED, assigned_values=assigned
        )

    def keep_result(self, row_ref: RowRef) -> None:
        """Keep the outcome that a row has from an earlier run."""
        sheet = self.validated_book.sheets[row_ref.sheet_index]
        text = sheet.distinct_texts("result_status")[sheet.by_path["result_status"].codes[row_ref.position]]
        self._add_row(row_ref, action=UNCHANGED, outcome=parse_outcome(text), from_results=True)

    def use_purchase(self, row_ref: RowRef, purchase: Purchase, *, from_results: bool = False) -> None:
        """Give a row the outcome of an earlier run's purchase; `from_results`: the row is from that run's results."""
        self._add_row(
            row_ref,
            action=UNCHANGED,
            object_label=purchase.promo_number,
            outcome=purchase.outcome,
            prior_purchase=purchase,
            from_results=from_results,
        )

    def mark_invalid(self, row_ref: RowRef, sibling_problem: Problem | None = None, *, object_label: str = "") -> None:
        """Mark a row invalid: it has errors, or shares its object with a row that has (`sibling_problem`)."""
        errors = self._error_texts[row_ref.sheet_index]
        sibling_texts = (sibling_problem.message, sibling_problem.fix) if sibling_problem else None
        texts = errors.get(self.row_number(row_ref)) or sibling_texts or errors.get(None)
        # An error in a header of any sheet invalidates all rows.
        error, fix = texts or next(errors[None] for errors in self._error_texts if None in errors)
        self._add_row(row_ref, action=REFUSED, object_label=object_label, outcome=Outcome.INVALID, error=error, fix=fix)

    def mark_refused(self, row_ref: RowRef, problems: Sequence[tuple[str, Problem]], *, object_label: str = "") -> None:
        """Refuse a row because of the platform's state; each problem has its cell's path, or none for the whole row."""
        self._problems += [(row_ref, path, problem) for path, problem in problems]
        titled = [
            (self._title_or_blank(row_ref, path) if len(problems) > 1 else "", problem) for path, problem in problems
        ]
        error = _join_texts((title, problem.message) for title, problem in titled)
        fix = _join_texts((title, problem.fix) for title, problem in titled)
        self._add_row(row_ref, action=REFUSED, object_label=object_label, outcome=Outcome.INVALID, error=error, fix=fix)

    def add_warning(self, row_ref: RowRef, path: str, problem: Problem) -> None:
        """Add a warning about a row; it does not change the row's plan."""
        self._problems.append((row_ref, path, problem))

    def add_change(self, row_ref: RowRef, path: str, old: str, new: str, *, part: str = "") -> None:
        """Add a field that a step changes; `path` is that of its cell on the row's own sheet."""
        title, row = self.column_title(row_ref, path), self.row_number(row_ref)
        self.changes.append(FieldChange(sheet=row_ref.sheet_index, row=row, column=title, part=part, old=old, new=new))

    def add_removal(self, row_ref: RowRef, part: str, advertiser: str) -> None:
        """Add a user or site that a step removes."""
        sheet, row = row_ref.sheet_index, self.row_number(row_ref)
        self.removals.append(Removal(sheet=sheet, row=row, part=part, advertiser=advertiser))

    def with_pending_rows(self, record: Record) -> Record:
        """The record with its pending rows only; the others keep the outcome of an earlier run."""
        sheets = self.validated_book.sheets
        pending = [row_ref for row_ref in record.row_refs if sheets[row_ref.sheet_index].pending[row_ref.position]]
        for row_ref in record.row_refs:
            if row_ref not in pending:
                self.keep_result(row_ref)
        return replace(record, row_refs=tuple(pending))

    def is_decided(self, row_ref: RowRef) -> bool:
        """Whether a row has been planned."""
        return row_ref in self._rows

    @cached_property
    def rows_with_errors(self) -> set[RowRef]:
        """The rows in which validation found errors."""
        positions = [{int(row): position for position, row in enumerate(rows)} for rows in self._row_numbers]
        return {
            RowRef(sheet_index, positions[sheet_index][row])
            for sheet_index, errors in enumerate(self._error_texts)
            for row in errors
            if row is not None
        }

    def column_title(self, row_ref: RowRef, path: str) -> str:
        """The column title of a field on the row's sheet."""
        return self.validated_book.sheets[row_ref.sheet_index].title(path)

    def cells(self, row_ref: RowRef) -> tuple[str, ...]:
        """The texts of a row."""
        return self._cells[row_ref.sheet_index][row_ref.position]

    def row_number(self, row_ref: RowRef) -> int:
        """The row number in the spreadsheet."""
        return int(self._row_numbers[row_ref.sheet_index][row_ref.position])

    def name_rows(self, *row_refs: RowRef) -> str:
        """Rows of one sheet as the user knows them: `2, 5`."""
        labels = self.validated_book.sheets[row_refs[0].sheet_index].sheet.labels
        return labels.name_all(list(map(self.row_number, row_refs)))

    def replace_last_cells(self, row_ref: RowRef, cells: tuple[str, ...]) -> None:
        """Replace the cells of the planned row that was added last, for one number of a `quantity`."""
        self._rows[row_ref][-1] = replace(self._rows[row_ref][-1], cells=cells)

    def _add_row(self, row_ref: RowRef, **attributes: Any) -> None:  # noqa: ANN401  the attributes of `PlannedRow`
        sheet, row = row_ref.sheet_index, self.row_number(row_ref)
        label = self._stored_labels[sheet][row_ref.position] if self._stored_labels[sheet] else None
        self._rows[row_ref].append(
            PlannedRow(sheet=sheet, row=row, label=label, cells=self.cells(row_ref), **attributes)
        )

    def rows(self) -> tuple[PlannedRow, ...]:
        """The planned rows in the order of the sheets."""
        return tuple(row for row_ref in sorted(self._rows) for row in self._rows[row_ref])

    def issues(self) -> pd.DataFrame:
        """The issues of validation and of the plan, by sheet and row; columns `ISSUE_COLUMNS`."""
        validation_issues = self.validated_book.issues
        # The plan knows which advertisers are new, and warns of them itself.
        is_answered = validation_issues["code"] == NO_SITE_IF_CREATED
        validation_issues = validation_issues[~is_answered].reset_index(drop=True)
        if not self._problems:
            return validation_issues
        records = [self._issue_record(*located_problem) for located_problem in self._problems]
        plan_issues = pd.DataFrame(records, columns=list(ISSUE_COLUMNS)).astype(validation_issues.dtypes.to_dict())
        issues = pd.concat([validation_issues, plan_issues], ignore_index=True)
        sheet_order = {sheet.sheet.name: index for index, sheet in enumerate(self.validated_book.sheets)}
        issues["order"] = issues["sheet"].map(sheet_order)
        issues = issues.sort_values(["order", "row"], kind="stable", na_position="first", ignore_index=True)
        return issues.drop(columns="order")

    def _issue_record(self, row_ref: RowRef, path: str, problem: Problem) -> tuple[object, ...]:
        return (
            self.validated_book.sheets[row_ref.sheet_index].sheet.name,
            self.row_number(row_ref),
            self._title_or_blank(row_ref, path),
            problem.level,
            problem.code,
            truncate(str(problem.details.get("value", ""))),
            problem.message,
            problem.fix,
        )

    def _title_or_blank(self, row_ref: RowRef, path: str) -> str:
        return self.column_title(row_ref, path) if path else ""


def _stored_labels(sheet: Sheet) -> list[Json]:
    """The label of each row of a DataFrame, as the journal keeps it; empty for a spreadsheet."""
    return [to_stored_label(label) for label in sheet.labels.select(sheet.frame.index)] if sheet.own_labels else []


def _error_texts_by_row(issues: pd.DataFrame, sheet: str) -> dict[int | None, tuple[str, str]]:
    """Row number to (errors, fixes), each as one text; the key None holds header errors."""
    errors = issues[(issues["level"] == "error") & (issues["sheet"] == sheet)]
    texts: dict[int | None, tuple[str, str]] = {}
    for row, group in errors.groupby(errors["row"].astype("object").where(errors["row"].notna(), -1), sort=False):
        triples = list(zip(group["column"], group["message"], group["fix"], strict=True))
        key = None if row == -1 else int(row)
        texts[key] = (
            _join_texts((column, message) for column, message, _ in triples),
            _join_texts((column, fix) for column, _, fix in triples),
        )
    return texts


def _join_texts(pairs: Iterable[tuple[str, str]]) -> str:
    return " | ".join(f"{column}: {text}" if column else text for column, text in pairs if text)
