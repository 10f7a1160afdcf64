"""What is written into a journal, and what is read from it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from invoca_bulk.journal.states import RunState, State, outcome
from invoca_bulk.planning import PlannedSheet
from invoca_bulk.schema.outputs import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    import sqlalchemy as sa

    from invoca_bulk.planning import Plan
    from invoca_bulk.settings import Network


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


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What the journal knows of a run. Times are seconds since the epoch; `ended_at` None: it has not ended."""

    run: str
    base_url: str
    network_id: str
    api_version: str
    resource: str
    source: str
    fingerprint: str
    sheets: tuple[PlannedSheet, ...]
    state: RunState
    started_at: float
    ended_at: float | None
    note: str


@dataclass(frozen=True, kw_only=True)
class RowRecord:
    """One row of the results as the journal has it.

    `ended_at`: seconds since the epoch. `step` None: there was nothing to do. `action`: what the row asked for, else
    what its step does; empty where it has neither. `sheet`: the number of its sheet in the plan.
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
    step: int | None
    action: str


def run_values(run: str, plan: Plan, network: Network, now: float) -> dict[str, Any]:
    """The columns of a run that begins."""
    return {
        "run": run,
        "base_url": network.base_url,
        "network_id": network.network_id,
        "api_version": network.api_version,
        "resource": plan.resource,
        "source": plan.source,
        "fingerprint": plan.fingerprint,
        "sheets": [vars(one) for one in plan.sheets],
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
            "action": row.action,
            "step": row.step,
            "outcome": row.outcome,
            "carried": row.carried,
            "found": row.found,
            "error": row.error,
            "fix": row.fix,
        }
        for position, row in enumerate(plan.rows)
    ]


def baseline_values(run: str, plan: Plan) -> list[dict[str, Any]]:
    """The numbers that each scope has."""
    return [
        {"run": run, "scope": json.dumps(scope), "numbers": observed.promo_numbers}
        for scope, observed in plan.observed.items()
    ]


def run_record(one: Mapping[str, Any]) -> RunRecord:
    """A run as it was read."""
    sheets = tuple(PlannedSheet(**{**sheet, "headers": tuple(sheet["headers"])}) for sheet in one["sheets"])
    return RunRecord(**{**one, "sheets": sheets, "state": RunState(one["state"])})


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
        error=one.rows_error or one.steps_error or "",
        fix=one.rows_fix or one.steps_fix or "",
        http_status=one.steps_http_status,
        attempts=one.steps_attempt or 0,
        ended_at=one.steps_ended_at,
        answer=one.rows_found if one.rows_step is None else one.steps_answer,
        step=one.rows_step,
        action=action,
    )
