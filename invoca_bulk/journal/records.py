"""Records of the journal, and their conversion to and from table rows."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias

import sqlalchemy as sa

from invoca_bulk.config.network import Network
from invoca_bulk.config.options import PlanOptions
from invoca_bulk.journal.db_schema import STEPS, from_stored, to_stored
from invoca_bulk.journal.states import TRANSITIONS, RunState, State, derive_outcome
from invoca_bulk.planning import PlanData, PlannedRow, PlannedSheet, Purchase, Step
from invoca_bulk.schema import Action
from invoca_bulk.schema.outcomes import Outcome


@dataclass(frozen=True, kw_only=True)
class StepTransition:
    """A change of a step's state, or only of its values if both states are equal."""

    run: str
    step: int  # the step's number
    from_state: State  # the state that the step must be in
    to_state: State
    #: Other columns to set. Unless they include `attempt`, a change from `pending` to `sent` adds one attempt.
    values: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.to_state not in TRANSITIONS[self.from_state] | {self.from_state}:
            raise ValueError(f"A step cannot go from {self.from_state} to {self.to_state}.")

    @property
    def statement_key(self) -> StatementKey:
        """Equal for transitions that the same statement can make."""
        return (self.from_state, self.to_state, tuple(self.values))

    @property
    def bind_parameters(self) -> dict[str, Any]:
        """Values for the parameters of `update_statement`."""
        new_values = {f"new_{name}": value for name, value in self.values.items()}
        return {"run_key": self.run, "step_key": self.step, **new_values}


#: State before, state after, and the other columns that are set.
StatementKey: TypeAlias = "tuple[State, State, tuple[str, ...]]"


@functools.lru_cache(maxsize=64)
def update_statement(key: StatementKey) -> sa.Update:
    """The statement for transitions with this key; it updates a step only if it is in the state before."""
    before, after, names = key
    values: dict[str, Any] = {"state": after, **{name: sa.bindparam(f"new_{name}") for name in names}}
    if (before, after) == (State.PENDING, State.SENT):
        values.setdefault("attempt", STEPS.c.attempt + 1)
    is_step = (STEPS.c.run == sa.bindparam("run_key"), STEPS.c.step == sa.bindparam("step_key"))
    return sa.update(STEPS).where(*is_step, STEPS.c.state == before).values(values)


@dataclass(frozen=True, kw_only=True)
class RunMetadata:
    """What is recorded about a run in addition to its plan."""

    choices: PlanOptions = field(default_factory=PlanOptions)  # resuming the run uses the same
    output: str = ""  # absolute path of the results file; empty: the results are only a DataFrame
    source_path: str = ""  # absolute path of the sheet's file; empty: there is none
    worker_options: Mapping[str, Any] | None = None  # see `workers.tasks`; None: the client runs it itself
    warnings: tuple[str, ...] = ()  # about the sheets, with remedies that are not worded


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A run as recorded in the journal. Times are seconds since the epoch; `ended_at` None: it has not ended.

    `titles`: resource to column path to the sheet's title, as in `PlanData`. `is_stop_requested`: its processes were
    asked to stop. The other attributes are those of `RunMetadata`, `PlanData` and `Network`.
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
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """A step as recorded in the journal; times are seconds since the epoch."""

    run: str
    step: Step  # for an update, `body` and `snapshot` are those actually sent and found
    state: State
    attempt: int  # how often it was sent
    sent_at: float | None  # the last time; None: never
    ended_at: float | None  # when its outcome was last recorded; None: never
    http_status: int | None  # of the last response
    answer: Any  # JSON of the last response
    error: str  # why it is not done
    fix: str
    superseded_by: str  # the later run that took the step over; empty: none


@dataclass(frozen=True, kw_only=True)
class RowRecord:
    """A row of the results as recorded in the journal.

    `ended_at`: seconds since the epoch. `step` None: there was nothing to do. `step_run`: the run that the step belongs
    to. `action`: the row's action, or else its step's; empty: it has neither. `sheet`: index of its sheet in the plan.
    `label`: of the row of a DataFrame, as JSON.
    """

    sheet: int
    row: int
    label: Any
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

    def is_of_earlier_run(self, run: str) -> bool:
        """Whether the row's outcome is not of this run, whose results contain it."""
        return self.from_results or self.step_run not in {"", run}


#: The name of an undo's sheet, before the run's id.
_UNDO_PREFIX = "undo of "


def undo_source_name(run: str) -> str:
    """The name of the sheet that undoes a run, shown in lists of runs and results."""
    return f"{_UNDO_PREFIX}{run}"


def undone_run_id(source: str) -> str:
    """The run that a sheet with this name undoes; empty: none."""
    return source.removeprefix(_UNDO_PREFIX) if source.startswith(_UNDO_PREFIX) else ""


@dataclass(frozen=True)
class RunTotals:
    """Outcome to number of rows of a run."""

    own: Counter[Outcome] = field(default_factory=Counter)  # of the rows that the run itself did, or tried to
    earlier: Counter[Outcome] = field(default_factory=Counter)  # of the rows that earlier runs had done

    @property
    def all(self) -> Counter[Outcome]:
        """Of all rows of its results."""
        return self.own + self.earlier


def run_values(run: str, plan: PlanData, network: Network, metadata: RunMetadata, now: float) -> dict[str, Any]:
    """Column values of a run that starts at `now`, in seconds since the epoch."""
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
        "sheets": [vars(sheet) for sheet in plan.sheets],
        "titles": plan.titles,
        "state": RunState.RUNNING,
        "started_at": now,
    }


#: Attributes of a step that come from the plan.
_PLANNED_ATTRIBUTES = tuple(field.name for field in fields(Step) if field.name != "number")


def step_values(run: str, plan: PlanData) -> list[dict[str, Any]]:
    """Column values of each step of a new run."""
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
    """Column values of each row of a new run."""
    return [
        {
            "run": run,
            "position": position,
            "sheet": row.sheet,
            "row": int(row.row),
            "label": row.label,
            "cells": row.cells,
            "action": "" if row.prior_purchase else row.action,  # empty: the action of the earlier run's step counts
            **_step_reference(run, row),
            "carried": row.from_results and not row.prior_purchase,
            "found": row.assigned_values,
            "error": row.error,
            "fix": row.fix,
        }
        for position, row in enumerate(plan.rows)
    ]


def _step_reference(run: str, row: PlannedRow) -> dict[str, Any]:
    """The step that decides a row's outcome, or the outcome itself; a prior purchase is a step of an earlier run."""
    if row.prior_purchase:
        return {"step_run": row.prior_purchase.run, "step": row.prior_purchase.step, "outcome": None}
    return {"step_run": None if row.step is None else run, "step": row.step, "outcome": row.outcome}


def baseline_values(run: str, plan: PlanData) -> list[dict[str, Any]]:
    """Column values of the numbers that each scope has before the run."""
    return [
        {"run": run, "scope": json.dumps(scope), "numbers": state.promo_numbers}
        for scope, state in plan.platform_state.items()
    ]


def to_run_record(values: Mapping[str, Any]) -> RunRecord:
    """A run from the values of its columns."""
    sheets = tuple(map(_to_planned_sheet, values["sheets"]))
    converted = {
        "choices": PlanOptions(**values["choices"]),
        "sheets": sheets,
        "state": RunState(values["state"]),
        "warnings": tuple(values["warnings"] or ()),
    }
    return RunRecord(**{**from_stored(values), **converted})


def _to_planned_sheet(values: Mapping[str, Any]) -> PlannedSheet:
    """A sheet from its JSON; older versions of the journal have no index."""
    attributes: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    return PlannedSheet(**attributes)


def to_step_record(values: Mapping[Any, Any]) -> StepRecord:
    """A step from the values of its columns."""
    attributes = from_stored(values)
    planned = {name: attributes[name] for name in _PLANNED_ATTRIBUTES} | {"action": Action(values["action"])}
    planned |= {name: tuple(values[name]) for name in ("path", "destination")}
    other_names = {field.name for field in fields(StepRecord)} - {"step", "state"}
    others = {name: attributes[name] for name in other_names}
    return StepRecord(step=Step(number=values["step"], **planned), state=State(values["state"]), **others)


def to_purchase(values: Mapping[Any, Any], identical_count: int) -> Purchase:
    """A step that bought something, or may have; `identical_count`: as in `Purchase`."""
    answer = values["answer"] if isinstance(values["answer"], dict) else {}
    return Purchase(
        identity=values["identity"],
        run=values["run"],
        step=values["step"],
        outcome=derive_outcome(values["state"], values["action"]),
        promo_number=str(answer.get("promo_number") or "") if values["state"] == State.DONE else "",
        identical_count=identical_count,
    )


def to_row_record(joined_row: sa.Row[Any]) -> RowRecord:
    """A row from a join of rows and steps, whose columns are named `rows_…` and `steps_…`."""
    planned_outcome = joined_row.rows_outcome
    action = joined_row.rows_action or joined_row.steps_action or ""
    superseded_by = joined_row.steps_taken_by
    superseded_error = f"Run {superseded_by} does it instead; see its results." if superseded_by else ""
    return RowRecord(
        sheet=joined_row.rows_sheet,
        row=joined_row.rows_row,
        label=joined_row.rows_label,
        cells=tuple(joined_row.rows_cells),
        outcome=Outcome(planned_outcome) if planned_outcome else derive_outcome(joined_row.steps_state, action),
        from_results=joined_row.rows_carried,
        error=joined_row.rows_error or superseded_error or joined_row.steps_error or "",
        fix=joined_row.rows_fix or ("" if superseded_by else joined_row.steps_fix) or "",
        http_status=joined_row.steps_http_status,
        attempts=joined_row.steps_attempt or 0,
        ended_at=joined_row.steps_ended_at,
        answer=joined_row.rows_found if joined_row.rows_step is None else joined_row.steps_answer,
        step_run=joined_row.rows_step_run or "",
        step=joined_row.rows_step,
        action=action,
    )
