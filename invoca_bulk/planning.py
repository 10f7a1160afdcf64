"""Checked rows + the platform's state, as data -> plan: which calls to make, and what cannot be done.

Nothing here talks to the platform. `needed` says what state is wanted, the pipeline fetches it, `make` decides.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from invoca_bulk import payloads
from invoca_bulk.issues import ISSUE_COLUMNS, Problem, shortened
from invoca_bulk.schema import OPERATIONS, Action
from invoca_bulk.schema.outputs import Outcome, outcome_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from invoca_bulk.schema import Collection
    from invoca_bulk.schema.kinds import Json
    from invoca_bulk.sheets import Sheet
    from invoca_bulk.validation import Checked

#: Path parts of a scope, such as `("advertisers", "A-100", "advertiser_campaigns", "C-100")`.
Scope = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What the platform said of one scope.

    Attributes:
        numbers: the promo numbers that it has, as the platform gave them.
        refusal: why it cannot be used, in the platform's words; empty when it can.
    """

    numbers: tuple[Mapping[str, Json], ...] = ()
    refusal: str = ""

    @property
    def promo_numbers(self) -> list[str]:
        """The numbers themselves."""
        return [str(one["promo_number"]) for one in self.numbers if one.get("promo_number")]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One API call to make.

    Attributes:
        number: counts from 0 within the plan.
        action: what it does.
        verb: the HTTP method.
        path: the parts of the address after the network, not yet percent-encoded.
        body: the JSON object to send; None: no body.
        own_id: the id that the client itself chose for the object; empty: the platform chooses.
    """

    number: int
    action: Action
    verb: str
    path: tuple[str, ...]
    body: Mapping[str, Json] | None
    own_id: str = ""


@dataclass(frozen=True, kw_only=True)
class PlannedRow:
    """One row of the results.

    Attributes:
        row: the row number in the spreadsheet; rows with a `quantity` share it.
        cells: the texts of the row, in the order of the plan's headers.
        step: the number of its step; None: there is nothing to do.
        outcome: where there is no step: `invalid`, or what an earlier run made of it.
        carried: whether the outcome and all result columns are those of an earlier run.
        error: why it is invalid.
        fix: what to do about it.
    """

    row: int
    cells: tuple[str, ...]
    step: int | None = None
    outcome: Outcome | None = None
    carried: bool = False
    error: str = ""
    fix: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run is going to do.

    Attributes:
        resource: `promo_numbers`.
        source: the file's name.
        headers: the titles of `PlannedRow.cells`: the sheet's columns.
        titles: path to title, for what the platform says of a field.
        rows: the rows of the results, in the sheet's order, a `quantity` written out.
        steps: the calls, in the order of the rows.
        issues: validation's issues and those that the platform's state adds; columns `issues.ISSUE_COLUMNS`.
        observed: scope to the platform's state before the run.
        fingerprint: identifies the sheet's content; see `fingerprint_of`.
    """

    resource: str
    source: str
    headers: tuple[str, ...]
    titles: Mapping[str, str]
    rows: tuple[PlannedRow, ...]
    steps: tuple[Step, ...]
    issues: pd.DataFrame
    observed: Mapping[Scope, Observed]
    fingerprint: str

    @property
    def new_numbers(self) -> int:
        """How many numbers will be bought."""
        return sum(step.action is Action.CREATE for step in self.steps) if self.resource == "promo_numbers" else 0


def fingerprint_of(sheet: Sheet) -> str:
    """Identifies a sheet's content: headers and cells as they were read, whatever the file is called.

    The platform's state has no part in it: a sheet is the same one when it is run again a day later.
    """
    digest = hashlib.sha256(json.dumps(list(sheet.frame.columns)).encode())
    for cells in zip(*(sheet.frame[header] for header in sheet.frame.columns), strict=True):
        digest.update(json.dumps(cells).encode())
    return digest.hexdigest()


def needed(checked: Checked) -> list[Scope]:
    """The scopes whose state decides about the sheet's rows, each once, in the sheet's order."""
    resource = checked.sheet.resource
    positions = np.flatnonzero(checked.pending & ~checked.invalid)
    return list(dict.fromkeys(resource.scope(checked.values(position)) for position in positions))


def make(checked: Checked, observed: Mapping[Scope, Observed]) -> Plan:
    """Decide what to do for each row.

    Args:
        checked: the validated sheet.
        observed: the platform's state, for each scope that `needed` gave.

    Returns:
        The plan. Rows that the state speaks against are `invalid` in it, with the reason.
    """
    return _Planner(checked, observed).plan()


class _Planner:
    def __init__(self, checked: Checked, observed: Mapping[Scope, Observed]) -> None:
        self.checked = checked
        self.observed = observed
        self.resource = checked.sheet.resource
        self.headers = tuple(checked.sheet.frame.columns)
        self.header_of = {one.column.path: one.column.header for one in checked.columns}
        self.steps: list[Step] = []
        self.refusals: list[tuple[int, Problem]] = []

    def plan(self) -> Plan:
        rows = tuple(self._rows())
        return Plan(
            resource=self.resource.name,
            source=self.checked.sheet.source,
            headers=self.headers,
            titles=self.header_of,
            rows=rows,
            steps=tuple(self.steps),
            issues=self._issues(),
            observed=self.observed,
            fingerprint=fingerprint_of(self.checked.sheet),
        )

    def _rows(self) -> Iterator[PlannedRow]:
        errors = _texts_by_row(self.checked.issues)
        frame = self.checked.sheet.frame
        texts = zip(*(frame[header] for header in self.headers), strict=True)
        pending, invalid = self.checked.pending, self.checked.invalid
        for position, (row, cells) in enumerate(zip(frame.index, texts, strict=True)):
            if not pending[position]:
                yield PlannedRow(row=row, cells=cells, outcome=self._earlier(cells), carried=True)
            elif invalid[position]:
                error, fix = errors.get(row) or errors[None]
                yield PlannedRow(row=row, cells=cells, outcome=Outcome.INVALID, error=error, fix=fix)
            else:
                yield from self._to_do(position, row, cells)

    def _earlier(self, cells: tuple[str, ...]) -> Outcome | None:
        return outcome_of(cells[self.headers.index(self.header_of["result_status"])])

    def _to_do(self, position: int, row: int, cells: tuple[str, ...]) -> Iterator[PlannedRow]:
        values = self.checked.values(position)
        scope = self.resource.scope(values)
        if problem := self._refusal(values, self.observed[scope]):
            self.refusals.append((row, problem))
            yield PlannedRow(row=row, cells=cells, outcome=Outcome.INVALID, error=problem.message, fix=problem.fix)
            return
        body = payloads.body(self.resource, values)
        own_id = values.get("id_from_network", "")
        path = (*scope, self._collection(own_id).name)
        for _ in range(values.get("quantity", 1)):
            verb = OPERATIONS[Action.CREATE].verb
            step = Step(number=len(self.steps), action=Action.CREATE, verb=verb, path=path, body=body, own_id=own_id)
            self.steps.append(step)
            yield PlannedRow(row=row, cells=self._one_of(cells), step=step.number)

    def _collection(self, own_id: str) -> Collection:
        key = "id_from_network" if own_id else "promo_number"
        (collection,) = (one for one in self.resource.collections if one.key == key)
        return collection

    def _one_of(self, cells: tuple[str, ...]) -> tuple[str, ...]:
        """A row of the results stands for one number: its quantity is 1, or blank where it was."""
        header = self.header_of.get("quantity")
        at = self.headers.index(header) if header is not None else -1
        return cells if at < 0 or not cells[at].strip() else (*cells[:at], "1", *cells[at + 1 :])

    def _refusal(self, values: Mapping[str, Json], observed: Observed) -> Problem | None:
        if observed.refusal:
            return Problem(code="campaign_not_found", details={"text": observed.refusal.rstrip(".")})
        own_id = values.get("id_from_network")
        for number in observed.numbers if own_id else ():
            if str(number.get("id_from_network", "")) == own_id:
                details = {"value": own_id, "number": number.get("promo_number", "")}
                return Problem(code="own_id_exists", column="id_from_network", details=details)
        return None

    def _issues(self) -> pd.DataFrame:
        if not self.refusals:
            return self.checked.issues
        found = [self._issue(row, problem) for row, problem in self.refusals]
        more = pd.DataFrame(found, columns=list(ISSUE_COLUMNS)).astype(self.checked.issues.dtypes.to_dict())
        both = pd.concat([self.checked.issues, more], ignore_index=True)
        return both.sort_values("row", kind="stable", na_position="first", ignore_index=True)

    def _issue(self, row: int, problem: Problem) -> tuple[object, ...]:
        header = self.header_of.get(problem.column or "", "")
        value = shortened(str(problem.details.get("value", "")))
        return (row, header, problem.level, problem.code, value, problem.message, problem.fix)


def _texts_by_row(issues: pd.DataFrame) -> dict[int | None, tuple[str, str]]:
    """Row to (errors, fixes), each as one text; None: the errors of the headers."""
    errors = issues[issues["level"] == "error"]
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
