"""A plan while it is made: what the planners of the resources share."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from invoca_bulk.planning.model import REFUSED, UNCHANGED, FieldChange, PlannedRow, Removal, Step
from invoca_bulk.schema import OPERATIONS, payloads
from invoca_bulk.schema.issue_catalog import ISSUE_COLUMNS, shortened
from invoca_bulk.schema.result_columns import Outcome, outcome_of
from invoca_bulk.validation import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from invoca_bulk.config.options import Choices
    from invoca_bulk.planning.model import Observed, Purchase, Scope
    from invoca_bulk.planning.prior_purchases import Earlier
    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.schema.issue_catalog import Problem
    from invoca_bulk.validation import Checked, Record


class Draft:
    """A plan while it is made.

    Args:
        checked: the validated sheets.
        observed: the platform's state.
        choices: what the user has decided.
        earlier: what earlier runs have bought.
    """

    def __init__(
        self, checked: Checked, observed: Mapping[Scope, Observed], choices: Choices, earlier: Earlier
    ) -> None:
        self.checked = checked
        self.observed = observed
        self.choices = choices
        self.earlier = earlier
        self.steps: list[Step] = []
        self.changes: list[FieldChange] = []
        self.removals: list[Removal] = []
        self.closes: list[Purchase] = []
        self._rows: dict[Place, list[PlannedRow]] = defaultdict(list)
        self._found: list[tuple[Place, str, Problem]] = []
        self._errors = [_texts_by_row(checked.issues, one.sheet.name) for one in checked.sheets]
        self._cells = [
            list(zip(*(one.sheet.frame[name] for name in one.sheet.frame), strict=True)) for one in checked.sheets
        ]
        self._numbers = [one.sheet.frame.index for one in checked.sheets]

    # What becomes of a row

    def step(self, **about: Any) -> int:  # noqa: ANN401  the attributes of `Step`
        """Add a step; its verb is that of its action unless it is given."""
        verb = OPERATIONS[about["action"]].verb
        self.steps.append(Step(**{"number": len(self.steps), "verb": verb, **about}))
        return len(self.steps) - 1

    def do(self, place: Place, step: int, *, action: str = "", about: str = "") -> None:
        """A row that a step does."""
        self._put(place, action=action or self.steps[step].action.value, about=about, step=step)

    def leave(self, place: Place, about: str = "", found: Mapping[str, Json] | None = None) -> None:
        """A row that asks for what the platform already has; `found`: what it has."""
        told = {name: found[name] for name in payloads.ASSIGNED if name in found} if found else None
        self._put(place, action=UNCHANGED, about=about, outcome=Outcome.UNCHANGED, found=told)

    def carry(self, place: Place) -> None:
        """A row whose outcome of an earlier run stands."""
        one = self.checked.sheets[place.sheet]
        text = one.texts("result_status")[one.by_path["result_status"].codes[place.position]]
        self._put(place, action=UNCHANGED, outcome=outcome_of(text), carried=True)

    def stand(self, place: Place, purchase: Purchase, *, carried: bool = False) -> None:
        """A row that asks for what an earlier run has bought, or may have: that purchase is its outcome.

        Args:
            place: the row.
            purchase: what it stands for.
            carried: whether the row is one of that run's results, and says so itself.
        """
        told = {"outcome": purchase.outcome, "earlier": purchase, "carried": carried}
        self._put(place, action=UNCHANGED, about=purchase.number, **told)

    def invalid(self, place: Place, beside: Problem | None = None, *, about: str = "") -> None:
        """A row that validation refused, or that shares its object with a refused one: `beside` says with which."""
        errors = self._errors[place.sheet]
        texts = errors.get(self.row_number(place)) or (beside and (beside.message, beside.fix)) or errors.get(None)
        error, fix = texts or self._errors_of_headers()
        self._put(place, action=REFUSED, about=about, outcome=Outcome.INVALID, error=error, fix=fix)

    def refuse(self, place: Place, problems: Sequence[tuple[str, Problem]], *, about: str = "") -> None:
        """A row that the platform's state speaks against.

        Args:
            place: the row.
            problems: each with the path of its cell on the row's own sheet; empty: it is about the whole row.
            about: the object.
        """
        self._found += [(place, path, problem) for path, problem in problems]
        error, fix = (one.message for _, one in problems), (one.fix for _, one in problems)
        titles = [self._title(place, path) if len(problems) > 1 else "" for path, _ in problems]
        texts = {"error": _joined(zip(titles, error, strict=True)), "fix": _joined(zip(titles, fix, strict=True))}
        self._put(place, action=REFUSED, about=about, outcome=Outcome.INVALID, **texts)

    def warn(self, place: Place, path: str, problem: Problem) -> None:
        """Something about a row that should be known, and keeps nothing from being done."""
        self._found.append((place, path, problem))

    def change(self, place: Place, path: str, old: str, new: str, *, part: str = "") -> None:
        """A field that a step changes; `path`: that of its cell on the row's own sheet."""
        title, row = self.title(place, path), self.row_number(place)
        self.changes.append(FieldChange(sheet=place.sheet, row=row, column=title, part=part, old=old, new=new))

    def remove(self, place: Place, what: str, of: str) -> None:
        """A user or site that a step takes away."""
        self.removals.append(Removal(sheet=place.sheet, row=self.row_number(place), what=what, of=of))

    def undone(self, record: Record) -> Record:
        """A record with those of its rows that are still to be decided; what an earlier run made of others stands."""
        pending = [place for place in record.places if self.checked.sheets[place.sheet].pending[place.position]]
        for place in record.places:
            if place not in pending:
                self.carry(place)
        return replace(record, places=tuple(pending))

    def has(self, place: Place) -> bool:
        """Whether a row has been decided."""
        return place in self._rows

    def rows_with_errors(self) -> set[Place]:
        """The rows in which validation found errors."""
        return self._with_errors

    @cached_property
    def _with_errors(self) -> set[Place]:
        numbers = [{int(row): at for at, row in enumerate(one)} for one in self._numbers]
        return {
            Place(sheet, numbers[sheet][row])
            for sheet, errors in enumerate(self._errors)
            for row in errors
            if row is not None
        }

    def title(self, place: Place, path: str) -> str:
        """The row's own title of a field."""
        return self.checked.sheets[place.sheet].title(path)

    def cells(self, place: Place) -> tuple[str, ...]:
        """The texts of a row."""
        return self._cells[place.sheet][place.position]

    def row_number(self, place: Place) -> int:
        """The number that the spreadsheet shows for a row."""
        return int(self._numbers[place.sheet][place.position])

    def recent(self, place: Place, cells: tuple[str, ...]) -> None:
        """Give the row that was put last other cells: a `quantity` written out."""
        self._rows[place][-1] = replace(self._rows[place][-1], cells=cells)

    def _put(self, place: Place, **about: Any) -> None:  # noqa: ANN401  the attributes of `PlannedRow`
        row = PlannedRow(sheet=place.sheet, row=self.row_number(place), cells=self.cells(place), **about)
        self._rows[place].append(row)

    def _errors_of_headers(self) -> tuple[str, str]:
        """The first header with errors, on whichever sheet: no row of any can be trusted."""
        return next(errors[None] for errors in self._errors if None in errors)

    # What comes of it

    def rows(self) -> tuple[PlannedRow, ...]:
        """The rows, sheet by sheet in their order."""
        return tuple(row for place in sorted(self._rows) for row in self._rows[place])

    def issues(self) -> pd.DataFrame:
        """Validation's issues, the refusals and the plan's own warnings."""
        if not self._found:
            return self.checked.issues
        found = [self._issue(*one) for one in self._found]
        more = pd.DataFrame(found, columns=list(ISSUE_COLUMNS)).astype(self.checked.issues.dtypes.to_dict())
        both = pd.concat([self.checked.issues, more], ignore_index=True)
        order = {one.sheet.name: at for at, one in enumerate(self.checked.sheets)}
        both["order"] = both["sheet"].map(order)
        both = both.sort_values(["order", "row"], kind="stable", na_position="first", ignore_index=True)
        return both.drop(columns="order")

    def _issue(self, place: Place, path: str, problem: Problem) -> tuple[object, ...]:
        sheet = self.checked.sheets[place.sheet]
        value = shortened(str(problem.details.get("value", "")))
        told = (problem.level, problem.code, value, problem.message, problem.fix)
        return (sheet.sheet.name, self.row_number(place), self._title(place, path), *told)

    def _title(self, place: Place, path: str) -> str:
        return self.title(place, path) if path else ""


def _texts_by_row(issues: pd.DataFrame, sheet: str) -> dict[int | None, tuple[str, str]]:
    """Row of a sheet to (errors, fixes), each as one text; None: the errors of the headers."""
    errors = issues[(issues["level"] == "error") & (issues["sheet"] == sheet)]
    texts: dict[int | None, tuple[str, str]] = {}
    for row, group in errors.groupby(errors["row"].astype("object").where(errors["row"].notna(), -1), sort=False):
        pairs = list(zip(group["column"], group["message"], group["fix"], strict=True))
        key = None if row == -1 else int(row)
        texts[key] = (
            _joined((name, text) for name, text, _ in pairs),
            _joined((name, text) for name, _, text in pairs),
        )
    return texts


def _joined(pairs: Iterable[tuple[str, str]]) -> str:
    return " | ".join(f"{column}: {text}" if column else text for column, text in pairs if text)
