"""What is written into a journal, and what is read from it."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeAlias

import sqlalchemy as sa

from invoca_bulk.config.options import PlanOptions
from invoca_bulk.journal.db_schema import STEPS, from_stored, to_stored
from invoca_bulk.journal.states import TRANSITIONS, RunState, State, derive_outcome
from invoca_bulk.planning import PlannedSheet, Purchase, Step
from invoca_bulk.schema import Action
from invoca_bulk.schema.result_columns import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from invoca_bulk.config.settings import Network
    from invoca_bulk.planning import PlanData, PlannedRow


@dataclass(frozen=True, kw_only=True)
class StepTransition:
    """One step goes from one state to the next; or stays, and only its values change.

    Attributes:
        run: the run's id.
        step: the step's number.
        from_state: the state that it must be in.
        to_state: the state that it goes to.
        values: other columns of the step that are set with it. Without an `attempt` among them, a step that goes from
            `pending` to `sent` has one attempt more.
    """

    run: str
    step: int
    from_state: State
    to_state: State
    values: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.to_state not in TRANSITIONS[self.from_state] | {self.from_state}:
            msg = f"A step cannot go from {self.from_state} to {self.to_state}."
            raise ValueError(msg)

    @property
    def statement_key(self) -> StatementKey:
        """What it has in common with changes that the same statement makes."""
        return (self.from_state, self.to_state, tuple(self.values))

    @property
    def bind_parameters(self) -> dict[str, Any]:
        """What the statement is about here."""
        return {"its_run": self.run, "its_step": self.step, **{f"its_{name}": it for name, it in self.values.items()}}


#: State before, state after, and the other columns that are set.
StatementKey: TypeAlias = "tuple[State, State, tuple[str, ...]]"


@functools.lru_cache(maxsize=64)
def update_statement(key: StatementKey) -> sa.Update:
    """The statement that makes changes of a kind, each of a step in the state before, and of no other."""
    before, after, names = key
    values: dict[str, Any] = {"state": after, **{name: sa.bindparam(f"its_{name}") for name in names}}
    if (before, after) == (State.PENDING, State.SENT):
        values.setdefault("attempt", STEPS.c.attempt + 1)
    its = (STEPS.c.run == sa.bindparam("its_run"), STEPS.c.step == sa.bindparam("its_step"))
    return sa.update(STEPS).where(*its, STEPS.c.state == before).values(values)


@dataclass(frozen=True, kw_only=True)
class RunMetadata:
    """What is recorded of a run besides its plan.

    Attributes:
        choices: what the user had decided; a run goes on with the same.
        output: where its results are to go, absolute; empty: only a frame is wanted.
        source_path: the sheet's file, absolute; empty: there was none.
        worker_options: how workers are to do it (see `cluster`); None: the process that begins it does it.
    """

    choices: PlanOptions = field(default_factory=PlanOptions)
    output: str = ""
    source_path: str = ""
    worker_options: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What the journal knows of a run. Times are seconds since the epoch; `ended_at` None: it has not ended.

    `titles`: resource to path to the sheet's title, as in `planning.Plan`. `is_stop_requested`: somebody wants its
    processes to stop. The other attributes are those of `RunMetadata`, of the plan, and of the network.
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
    choices: PlanOptions
    sheets: tuple[PlannedSheet, ...]
    titles: Mapping[str, Mapping[str, str]]
    state: RunState
    started_at: float
    ended_at: float | None
    note: str
    worker_options: Mapping[str, Any] | None = None
    is_stop_requested: bool = False


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
        superseded_by: a later run that does it instead; empty: none.
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
    superseded_by: str


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
    from_results: bool
    error: str
    fix: str
    http_status: int | None
    attempts: int
    ended_at: float | None
    answer: Any
    step_run: str
    step: int | None
    action: str


def run_values(run: str, plan: PlanData, network: Network, metadata: RunMetadata, now: float) -> dict[str, Any]:
    """The columns of a run that begins."""
    return {
        "run": run,
        "base_url": network.base_url,
        "network_id": network.network_id,
        "api_version": network.api_version,
        "resource": plan.resource,
        "source": plan.source,
        **to_stored(vars(metadata)),
        "choices": vars(metadata.choices),
        "fingerprint": plan.fingerprint,
        "sheets": [vars(one) for one in plan.sheets],
        "titles": plan.titles,
        "state": RunState.RUNNING,
        "started_at": now,
    }


#: Attributes of a step that the plan has decided.
_PLANNED_ATTRIBUTES = (
    "resource",
    "action",
    "verb",
    "path",
    "body",
    "own_id",
    "non_idempotent",
    "phase",
    "depends_on",
    "patch",
    "snapshot",
    "destination",
    "identity",
)


def step_values(run: str, plan: PlanData) -> list[dict[str, Any]]:
    """The columns of each step, none of them sent."""
    return [
        {
            "run": run,
            "step": step.number,
            "state": State.PENDING,
            **to_stored({name: getattr(step, name) for name in _PLANNED_ATTRIBUTES}),
        }
        for step in plan.steps
    ]


def row_values(run: str, plan: PlanData) -> list[dict[str, Any]]:
    """The columns of each row."""
    return [
        {
            "run": run,
            "position": position,
            "sheet": row.sheet,
            "row": int(row.row),
            "cells": row.cells,
            "action": "" if row.prior_purchase else row.action,  # of those, what the earlier run did counts
            **_step_reference(run, row),
            "carried": row.from_results and not row.prior_purchase,
            "found": row.assigned_values,
            "error": row.error,
            "fix": row.fix,
        }
        for position, row in enumerate(plan.rows)
    ]


def _step_reference(run: str, row: PlannedRow) -> dict[str, Any]:
    """Where the outcome of a row is found; of one that an earlier run did, it is that run's step as it is by then."""
    if row.prior_purchase:
        return {"step_run": row.prior_purchase.run, "step": row.prior_purchase.step, "outcome": None}
    return {"step_run": None if row.step is None else run, "step": row.step, "outcome": row.outcome}


def baseline_values(run: str, plan: PlanData) -> list[dict[str, Any]]:
    """The numbers that each scope has."""
    return [
        {"run": run, "scope": json.dumps(scope), "numbers": observed.promo_numbers}
        for scope, observed in plan.platform_state.items()
    ]


def to_run_record(values: Mapping[str, Any]) -> RunRecord:
    """A run as it was read."""
    sheets = tuple(PlannedSheet(**{**sheet, "headers": tuple(sheet["headers"])}) for sheet in values["sheets"])
    choices = PlanOptions(**values["choices"])
    return RunRecord(
        **{**from_stored(values), "choices": choices, "sheets": sheets, "state": RunState(values["state"])}
    )


def to_step_record(values: Mapping[Any, Any]) -> StepRecord:
    """A step as it was read."""
    attributes = from_stored(values)
    planned = {name: attributes[name] for name in _PLANNED_ATTRIBUTES}
    planned |= {
        "path": tuple(values["path"]),
        "destination": tuple(values["destination"]),
        "action": Action(values["action"]),
    }
    known = (field.name for field in fields(StepRecord) if field.name not in {"step", "state"})
    return StepRecord(
        step=Step(number=values["step"], **planned),
        state=State(values["state"]),
        **{name: attributes[name] for name in known},
    )


def _superseded_message(superseding_run: str | None) -> str:
    return f"Run {superseding_run} does it instead; see its results." if superseding_run else ""


def to_purchase(values: Mapping[Any, Any], identical_count: int) -> Purchase:
    """A step that has, or may have, bought something; `identical_count`: as in `Purchase`."""
    answer = values["answer"] if isinstance(values["answer"], dict) else {}
    known = {name: values[name] for name in ("identity", "run", "step")}
    number = str(answer.get("promo_number") or "") if values["state"] == State.DONE else ""
    return Purchase(
        **known,
        outcome=derive_outcome(values["state"], values["action"]),
        promo_number=number,
        identical_count=identical_count,
    )


def to_row_record(joined_row: sa.Row[Any]) -> RowRecord:
    """A row and its step as they were read, their columns named `rows_…` and `steps_…`."""
    planned = joined_row.rows_outcome
    action = joined_row.rows_action or joined_row.steps_action or ""
    return RowRecord(
        sheet=joined_row.rows_sheet,
        row=joined_row.rows_row,
        cells=tuple(joined_row.rows_cells),
        outcome=Outcome(planned) if planned else derive_outcome(joined_row.steps_state, action),
        from_results=joined_row.rows_carried,
        error=joined_row.rows_error or _superseded_message(joined_row.steps_taken_by) or joined_row.steps_error or "",
        fix=joined_row.rows_fix or (joined_row.steps_fix if not joined_row.steps_taken_by else "") or "",
        http_status=joined_row.steps_http_status,
        attempts=joined_row.steps_attempt or 0,
        ended_at=joined_row.steps_ended_at,
        answer=joined_row.rows_found if joined_row.rows_step is None else joined_row.steps_answer,
        step_run=joined_row.rows_step_run or "",
        step=joined_row.rows_step,
        action=action,
    )
