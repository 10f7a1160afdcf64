"""A plan while it is made: what the planners of the resources share."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from invoca_bulk.planning.model import REFUSED, UNCHANGED, FieldChange, PlannedRow, Removal, Step
from invoca_bulk.schema import OPERATIONS, payloads
from invoca_bulk.schema.issue_catalog import ISSUE_COLUMNS, truncate
from invoca_bulk.schema.result_columns import Outcome, parse_outcome
from invoca_bulk.validation import RowRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from invoca_bulk.config.options import PlanOptions
    from invoca_bulk.planning.model import PlatformState, Purchase, Scope
    from invoca_bulk.planning.prior_purchases import PriorPurchases
    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.schema.issue_catalog import Problem
    from invoca_bulk.validation import Record, ValidatedBook


class PlanBuilder:
    """A plan while it is made.

    Args:
        validated_book: the validated sheets.
        platform_state: the platform's state.
        plan_options: what the user has decided.
        prior_purchases: what earlier runs have bought.
    """

    def __init__(
        self,
        checked: ValidatedBook,
        observed: Mapping[Scope, PlatformState],
        choices: PlanOptions,
        earlier: PriorPurchases,
    ) -> None:
        self.validated_book = checked
        self.platform_state = observed
        self.plan_options = choices
        self.prior_purchases = earlier
        self.steps: list[Step] = []
        self.changes: list[FieldChange] = []
        self.removals: list[Removal] = []
        self.resolved_purchases: list[Purchase] = []
        self._rows: dict[RowRef, list[PlannedRow]] = defaultdict(list)
        self._problems: list[tuple[RowRef, str, Problem]] = []
        self._error_texts = [_error_texts_by_row(checked.issues, one.sheet.name) for one in checked.sheets]
        self._cells = [
            list(zip(*(one.sheet.frame[name] for name in one.sheet.frame), strict=True)) for one in checked.sheets
        ]
        self._row_numbers = [one.sheet.frame.index for one in checked.sheets]

    # What becomes of a row

    def add_step(self, **attributes: Any) -> int:  # noqa: ANN401  the attributes of `Step`
        """Add a step; its verb is that of its action unless it is given."""
        verb = OPERATIONS[attributes["action"]].verb
        self.steps.append(Step(**{"number": len(self.steps), "verb": verb, **attributes}))
        return len(self.steps) - 1

    def assign_step(self, place: RowRef, step: int, *, action: str = "", object_label: str = "") -> None:
        """A row that a step does."""
        self._add_row(place, action=action or self.steps[step].action.value, object_label=object_label, step=step)

    def mark_unchanged(self, place: RowRef, object_label: str = "", current: Mapping[str, Json] | None = None) -> None:
        """A row that asks for what the platform already has; `current`: what it has."""
        told = {name: current[name] for name in payloads.ASSIGNED_FIELDS if name in current} if current else None
        self._add_row(
            place, action=UNCHANGED, object_label=object_label, outcome=Outcome.UNCHANGED, assigned_values=told
        )

    def keep_result(self, place: RowRef) -> None:
        """A row whose outcome of an earlier run stands."""
        one = self.validated_book.sheets[place.sheet_index]
        text = one.distinct_texts("result_status")[one.by_path["result_status"].codes[place.position]]
        self._add_row(place, action=UNCHANGED, outcome=parse_outcome(text), from_results=True)

    def use_purchase(self, place: RowRef, purchase: Purchase, *, from_results: bool = False) -> None:
        """A row that asks for what an earlier run has bought, or may have: that purchase is its outcome.

        Args:
            place: the row.
            purchase: what it stands for.
            from_results: whether the row is one of that run's results, and says so itself.
        """
        told = {"outcome": purchase.outcome, "prior_purchase": purchase, "from_results": from_results}
        self._add_row(place, action=UNCHANGED, object_label=purchase.promo_number, **told)

    def mark_invalid(self, place: RowRef, sibling_problem: Problem | None = None, *, object_label: str = "") -> None:
        """A row that validation refused, or that shares its object with a refused one (`sibling_problem`)."""
        errors = self._error_texts[place.sheet_index]
        texts = (
            errors.get(self.row_number(place))
            or (sibling_problem and (sibling_problem.message, sibling_problem.fix))
            or errors.get(None)
        )
        error, fix = texts or self._header_error_texts()
        self._add_row(place, action=REFUSED, object_label=object_label, outcome=Outcome.INVALID, error=error, fix=fix)

    def mark_refused(self, place: RowRef, problems: Sequence[tuple[str, Problem]], *, object_label: str = "") -> None:
        """A row that the platform's state speaks against.

        Args:
            place: the row.
            problems: each with the path of its cell on the row's own sheet; empty: it is about the whole row.
            object_label: the object.
        """
        self._problems += [(place, path, problem) for path, problem in problems]
        error, fix = (one.message for _, one in problems), (one.fix for _, one in problems)
        titles = [self._title_or_blank(place, path) if len(problems) > 1 else "" for path, _ in problems]
        texts = {
            "error": _join_texts(zip(titles, error, strict=True)),
            "fix": _join_texts(zip(titles, fix, strict=True)),
        }
        self._add_row(place, action=REFUSED, object_label=object_label, outcome=Outcome.INVALID, **texts)

    def add_warning(self, place: RowRef, path: str, problem: Problem) -> None:
        """Something about a row that should be known, and keeps nothing from being done."""
        self._problems.append((place, path, problem))

    def add_change(self, place: RowRef, path: str, old: str, new: str, *, part: str = "") -> None:
        """A field that a step changes; `path`: that of its cell on the row's own sheet."""
        title, row = self.column_title(place, path), self.row_number(place)
        self.changes.append(FieldChange(sheet=place.sheet_index, row=row, column=title, part=part, old=old, new=new))

    def add_removal(self, place: RowRef, part: str, advertiser: str) -> None:
        """A user or site that a step takes away."""
        self.removals.append(
            Removal(sheet=place.sheet_index, row=self.row_number(place), part=part, advertiser=advertiser)
        )

    def with_pending_rows(self, record: Record) -> Record:
        """A record with those of its rows that are still to be decided; what an earlier run made of others stands."""
        pending = [
            place for place in record.row_refs if self.validated_book.sheets[place.sheet_index].pending[place.position]
        ]
        for place in record.row_refs:
            if place not in pending:
                self.keep_result(place)
        return replace(record, row_refs=tuple(pending))

    def is_decided(self, place: RowRef) -> bool:
        """Whether a row has been decided."""
        return place in self._rows

    def rows_with_errors(self) -> set[RowRef]:
        """The rows in which validation found errors."""
        return self._rows_with_errors

    @cached_property
    def _rows_with_errors(self) -> set[RowRef]:
        numbers = [{int(row): at for at, row in enumerate(one)} for one in self._row_numbers]
        return {
            RowRef(sheet, numbers[sheet][row])
            for sheet, errors in enumerate(self._error_texts)
            for row in errors
            if row is not None
        }

    def column_title(self, place: RowRef, path: str) -> str:
        """The row's own title of a field."""
        return self.validated_book.sheets[place.sheet_index].title(path)

    def cells(self, place: RowRef) -> tuple[str, ...]:
        """The texts of a row."""
        return self._cells[place.sheet_index][place.position]

    def row_number(self, place: RowRef) -> int:
        """The number that the spreadsheet shows for a row."""
        return int(self._row_numbers[place.sheet_index][place.position])

    def replace_last_cells(self, place: RowRef, cells: tuple[str, ...]) -> None:
        """Give the row that was put last other cells: a `quantity` written out."""
        self._rows[place][-1] = replace(self._rows[place][-1], cells=cells)

    def _add_row(self, place: RowRef, **attributes: Any) -> None:  # noqa: ANN401  the attributes of `PlannedRow`
        row = PlannedRow(sheet=place.sheet_index, row=self.row_number(place), cells=self.cells(place), **attributes)
        self._rows[place].append(row)

    def _header_error_texts(self) -> tuple[str, str]:
        """The first header with errors, on whichever sheet: no row of any can be trusted."""
        return next(errors[None] for errors in self._error_texts if None in errors)

    # What comes of it

    def rows(self) -> tuple[PlannedRow, ...]:
        """The rows, sheet by sheet in their order."""
        return tuple(row for place in sorted(self._rows) for row in self._rows[place])

    def issues(self) -> pd.DataFrame:
        """Validation's issues, the refusals and the plan's own warnings."""
        if not self._problems:
            return self.validated_book.issues
        found = [self._issue_record(*one) for one in self._problems]
        more = pd.DataFrame(found, columns=list(ISSUE_COLUMNS)).astype(self.validated_book.issues.dtypes.to_dict())
        both = pd.concat([self.validated_book.issues, more], ignore_index=True)
        order = {one.sheet.name: at for at, one in enumerate(self.validated_book.sheets)}
        both["order"] = both["sheet"].map(order)
        both = both.sort_values(["order", "row"], kind="stable", na_position="first", ignore_index=True)
        return both.drop(columns="order")

    def _issue_record(self, place: RowRef, path: str, problem: Problem) -> tuple[object, ...]:
        sheet = self.validated_book.sheets[place.sheet_index]
        value = truncate(str(problem.details.get("value", "")))
        told = (problem.level, problem.code, value, problem.message, problem.fix)
        return (sheet.sheet.name, self.row_number(place), self._title_or_blank(place, path), *told)

    def _title_or_blank(self, place: RowRef, path: str) -> str:
        return self.column_title(place, path) if path else ""


def _error_texts_by_row(issues: pd.DataFrame, sheet: str) -> dict[int | None, tuple[str, str]]:
    """Row of a sheet to (errors, fixes), each as one text; None: the errors of the headers."""
    errors = issues[(issues["level"] == "error") & (issues["sheet"] == sheet)]
    texts: dict[int | None, tuple[str, str]] = {}
    for row, group in errors.groupby(errors["row"].astype("object").where(errors["row"].notna(), -1), sort=False):
        pairs = list(zip(group["column"], group["message"], group["fix"], strict=True))
        key = None if row == -1 else int(row)
        texts[key] = (
            _join_texts((name, text) for name, text, _ in pairs),
            _join_texts((name, text) for name, _, text in pairs),
        )
    return texts


def _join_texts(pairs: Iterable[tuple[str, str]]) -> str:
    return " | ".join(f"{column}: {text}" if column else text for column, text in pairs if text)
