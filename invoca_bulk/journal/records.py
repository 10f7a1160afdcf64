"""What is written into a journal, and what is read from it."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeAlias

import sqlalchemy as sa

from invoca_bulk.config.options import Choices
from invoca_bulk.journal.db_schema import STEPS
from invoca_bulk.journal.states import NEXT, RunState, State, outcome
from invoca_bulk.planning import PlannedSheet, Purchase, Step
from invoca_bulk.schema import Action
from invoca_bulk.schema.result_columns import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from invoca_bulk.config.settings import Network
    from invoca_bulk.planning import Plan, PlannedRow


@dataclass(frozen=True, kw_only=True)
class Change:
    """One step goes from one state to the next; or stays, and only its values change.

    Attributes:
        run: the run's id.
        step: the step's number.
        before: the state that it must be in.
        after: the state that it goes to.
        values: other columns of the step that are set with it. Without an `attempt` among them, a step that goes from
            `pending` to `sent` has one attempt more.
    """

    run: str
    step: int
    before: State
    after: State
    values: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.after not in NEXT[self.before] | {self.before}:
            msg = f"A step cannot go from {self.before} to {self.after}."
            raise ValueError(msg)

    @property
    def kind(self) -> Kind:
        """What it has in common with changes that the same statement makes."""
        return (self.before, self.after, tuple(self.values))

    @property
    def parameters(self) -> dict[str, Any]:
        """What the statement is about here."""
        return {"its_run": self.run, "its_step": self.step, **{f"its_{name}": it for name, it in self.values.items()}}


#: State before, state after, and the other columns that are set.
Kind: TypeAlias = "tuple[State, State, tuple[str, ...]]"


@functools.lru_cache(maxsize=64)
def update_of(kind: Kind) -> sa.Update:
    """The statement that makes changes of a kind, each of a step in the state before, and of no other."""
    before, after, names = kind
    values: dict[str, Any] = {"state": after, **{name: sa.bindparam(f"its_{name}") for name in names}}
    if (before, after) == (State.PENDING, State.SENT):
        values.setdefault("attempt", STEPS.c.attempt + 1)
    its = (STEPS.c.run == sa.bindparam("its_run"), STEPS.c.step == sa.bindparam("its_step"))
    return sa.update(STEPS).where(*its, STEPS.c.state == before).values(values)


@dataclass(frozen=True, kw_only=True)
class Start:
    """What is recorded of a run besides its plan.

    Attributes:
        choices: what the user had decided; a run goes on with the same.
        output: where its results are to go, absolute; empty: only a frame is wanted.
        source_path: the sheet's file, absolute; empty: there was none.
        workers: how workers are to do it (see `cluster`); None: the process that begins it does it.
    """

    choices: Choices = field(default_factory=Choices)
    output: str = ""
    source_path: str = ""
    workers: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What the journal knows of a run. Times are seconds since the epoch; `ended_at` None: it has not ended.

    `titles`: resource to path to the sheet's title, as in `planning.Plan`. `stopping`: somebody wants its processes to
    stop. The other attributes are those of `Start`, of the plan, and of the network.
    """

    run: str
    base_url: str
    network_id: str
    api_version: str
    resource: str
    source: str
    source_path: str
    output: str
    fingerprint: str
    choices: Choices
    sheets: tuple[PlannedSheet, ...]
    titles: Mapping[str, Mapping[str, str]]
    state: RunState
    started_at: float
    ended_at: float | None
    note: str
    workers: Mapping[str, Any] | None = None
    stopping: bool = False


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """One step as the journal has it.

    Attributes:
        run: the run that it belongs to.
        step: what was planned; of an update the body and the state before are those that were really sent and found.
        state: where it stands.
        attempt: how often it was sent.
        sent_at: when it was sent last, seconds since the epoch; None: never.
        ended_at: when its state was told last.
        http_status: of the last answer.
        answer: the platform's JSON.
        error: why it is not done.
        fix: what to do about it.
        taken_by: a later run that does it instead; empty: none.
    """

    run: str
    step: Step
    state: State
    attempt: int
    sent_at: float | None
    ended_at: float | None
    http_status: int | None
    answer: Any
    error: str
    fix: str
    taken_by: str


@dataclass(frozen=True, kw_only=True)
class RowRecord:
    """One row of the results as the journal has it.

    `ended_at`: seconds since the epoch. `step` None: there was nothing to do. `step_run`: the run whose step it is.
    `action`: what the row asked for, else what its step does; empty where it has neither. `sheet`: the number of its
    sheet in the plan.
    """

    sheet: int
    row: int
    cells: tuple[str, ...]
    outcome: Outcome
    carried: bool
    error: str
    fix: str
    http_status: int | None
    attempts: int
    ended_at: float | None
    answer: Any
    step_run: str
    step: int | None
    action: str


def run_values(run: str, plan: Plan, network: Network, start: Start, now: float) -> dict[str, Any]:
    """The columns of a run that begins."""
    return {
        "run": run,
        "base_url": network.base_url,
        "network_id": network.network_id,
        "api_version": network.api_version,
        "resource": plan.resource,
        "source": plan.source,
        **vars(start),
        "choices": vars(start.choices),
        "fingerprint": plan.fingerprint,
        "sheets": [vars(one) for one in plan.sheets],
        "titles": plan.titles,
        "state": RunState.RUNNING,
        "started_at": now,
    }


#: Columns of a step that are the plan's own, under the same names.
_PLANNED = (
    "resource",
    "action",
    "verb",
    "path",
    "body",
    "own_id",
    "once",
    "phase",
    "needs",
    "patch",
    "before",
    "destination",
    "identity",
)


def step_values(run: str, plan: Plan) -> list[dict[str, Any]]:
    """The columns of each step, none of them sent."""
    return [
        {"run": run, "step": step.number, "state": State.PENDING, **{name: getattr(step, name) for name in _PLANNED}}
        for step in plan.steps
    ]


def row_values(run: str, plan: Plan) -> list[dict[str, Any]]:
    """The columns of each row."""
    return [
        {
            "run": run,
            "position": position,
            "sheet": row.sheet,
            "row": int(row.row),
            "cells": row.cells,
            "action": "" if row.earlier else row.action,  # of those, what the earlier run did counts
            **_its_step(run, row),
            "carried": row.carried and not row.earlier,
            "found": row.found,
            "error": row.error,
            "fix": row.fix,
        }
        for position, row in enumerate(plan.rows)
    ]


def _its_step(run: str, row: PlannedRow) -> dict[str, Any]:
    """Where the outcome of a row is found; of one that an earlier run did, it is that run's step as it is by then."""
    if row.earlier:
        return {"step_run": row.earlier.run, "step": row.earlier.step, "outcome": None}
    return {"step_run": None if row.step is None else run, "step": row.step, "outcome": row.outcome}


def baseline_values(run: str, plan: Plan) -> list[dict[str, Any]]:
    """The numbers that each scope has."""
    return [
        {"run": run, "scope": json.dumps(scope), "numbers": observed.promo_numbers}
        for scope, observed in plan.observed.items()
    ]


def run_record(one: Mapping[str, Any]) -> RunRecord:
    """A run as it was read."""
    sheets = tuple(PlannedSheet(**{**sheet, "headers": tuple(sheet["headers"])}) for sheet in one["sheets"])
    choices = Choices(**one["choices"])
    return RunRecord(**{**one, "choices": choices, "sheets": sheets, "state": RunState(one["state"])})


def step_record(one: Mapping[Any, Any]) -> StepRecord:
    """A step as it was read."""
    planned = {name: one[name] for name in _PLANNED}
    planned |= {"path": tuple(one["path"]), "destination": tuple(one["destination"]), "action": Action(one["action"])}
    known = (it.name for it in fields(StepRecord) if it.name not in {"step", "state"})
    return StepRecord(
        step=Step(number=one["step"], **planned), state=State(one["state"]), **{name: one[name] for name in known}
    )


def _taken(by: str | None) -> str:
    return f"Run {by} does it instead; see its results." if by else ""


def purchase(one: Mapping[Any, Any], alike: int) -> Purchase:
    """A step that has, or may have, bought something; `alike`: as in `Purchase`."""
    answer = one["answer"] if isinstance(one["answer"], dict) else {}
    known = {name: one[name] for name in ("identity", "run", "step")}
    number = str(answer.get("promo_number") or "") if one["state"] == State.DONE else ""
    return Purchase(**known, outcome=outcome(one["state"], one["action"]), number=number, alike=alike)


def row_record(one: sa.Row[Any]) -> RowRecord:
    """A row and its step as they were read, their columns named `rows_…` and `steps_…`."""
    planned = one.rows_outcome
    action = one.rows_action or one.steps_action or ""
    return RowRecord(
        sheet=one.rows_sheet,
        row=one.rows_row,
        cells=tuple(one.rows_cells),
        outcome=Outcome(planned) if planned else outcome(one.steps_state, action),
        carried=one.rows_carried,
        error=one.rows_error or _taken(one.steps_taken_by) or one.steps_error or "",
        fix=one.rows_fix or (one.steps_fix if not one.steps_taken_by else "") or "",
        http_status=one.steps_http_status,
        attempts=one.steps_attempt or 0,
        ended_at=one.steps_ended_at,
        answer=one.rows_found if one.rows_step is None else one.steps_answer,
        step_run=one.rows_step_run or "",
        step=one.rows_step,
        action=action,
    )
