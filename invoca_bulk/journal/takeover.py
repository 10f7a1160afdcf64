"""Steps that a new run takes over from earlier runs: resuming those would repeat them, or undo later changes."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa

from invoca_bulk.journal.db_schema import BASELINES, STEPS
from invoca_bulk.journal.states import State
from invoca_bulk.planning import PlanData
from invoca_bulk.schema import SHEET_RESOURCES, Action
from invoca_bulk.schema.outcomes import SUCCESS_OUTCOMES, parse_outcome

#: Equal for interchangeable steps: the identity of a purchase, or the path of an object and the id of a new one.
_StepKey: TypeAlias = str

_STEP_COLUMNS = [STEPS.c[name] for name in ("run", "step", "identity", "once", "state", "path", "action", "own_id")]
_RESULT_COLUMNS = ("result_status", "result_run")
_UNRESOLVED_STATES = (State.SENT, State.IN_DOUBT, State.ABSENT)


def take_over_steps(connection: sa.Connection, run: str, plan: PlanData) -> None:
    """Mark steps of earlier runs as superseded by a new run, in the transaction that records it.

    Takes over steps that were not sent yet or can be retried: as many purchases as the new run has equal ones, first
    from the runs whose results the sheet contains, and all steps on the same objects. If rows of a run's results were
    edited, so that their steps cannot be identified, all steps that run has not sent are taken over: buying both
    versions of a row is worse than not sending a step.
    """
    steps_by_run: dict[str, list[sa.Row[Any]]] = defaultdict(list)
    for step in connection.execute(_select_unsent_steps(run)).all():
        steps_by_run[step.run].append(step)
    remaining = Counter(step.identity or _object_key(list(step.path), step.action, step.own_id) for step in plan.steps)
    rerun_rows = _count_rerun_rows(plan)
    for other_run in sorted(steps_by_run, key=lambda other_run: other_run not in rerun_rows):
        superseded = _match_equal_steps(steps_by_run[other_run], remaining)
        if rerun_rows[other_run] > len(superseded):
            pending = (step for step in steps_by_run[other_run] if step.state == State.PENDING)
            superseded += [step for step in pending if step not in superseded]
        for step in superseded:
            is_step = (STEPS.c.run == step.run, STEPS.c.step == step.step)
            connection.execute(sa.update(STEPS).where(*is_step).values(taken_by=run))


def _select_unsent_steps(run: str) -> sa.Select[Any]:
    """Steps that resuming earlier runs would send; purchases in doubt are reconciled instead."""
    is_unsent = (STEPS.c.state == State.PENDING) | ((STEPS.c.state == State.IN_DOUBT) & sa.not_(STEPS.c.once))
    query = sa.select(*_STEP_COLUMNS).where(is_unsent, STEPS.c.taken_by == "", STEPS.c.run != run)
    return query.order_by(STEPS.c.run, STEPS.c.step)


def _match_equal_steps(unsent_steps: Sequence[sa.Row[Any]], remaining: Counter[_StepKey]) -> list[sa.Row[Any]]:
    """The steps for which the new run has an equal step; each purchase found reduces `remaining` by one."""
    matches = []
    for step in unsent_steps:
        key = step.identity or _object_key(step.path, step.action, step.own_id)
        if remaining[key] > 0:
            remaining[key] -= bool(step.once)
            matches.append(step)
    return matches


def _object_key(path: list[str], action: str, own_id: str) -> _StepKey:
    return json.dumps([path, own_id if action == Action.CREATE else ""])


def _count_rerun_rows(plan: PlanData) -> Counter[str]:
    """Run to the number of rows from its results that it did not do and this plan does."""
    positions = {number: _column_positions(sheet.resource, sheet.headers) for number, sheet in enumerate(plan.sheets)}
    counts: Counter[str] = Counter()
    for row in plan.rows:
        columns = positions.get(row.sheet, {})
        status, run = (row.cells[columns[name]].strip() if name in columns else "" for name in _RESULT_COLUMNS)
        if run and row.step is not None and parse_outcome(status) not in SUCCESS_OUTCOMES:
            counts[run] += 1
    return counts


def _column_positions(resource: str, headers: Sequence[str]) -> dict[str, int]:
    columns = ((position, SHEET_RESOURCES[resource].column_for(header)) for position, header in enumerate(headers))
    return {column.path: position for position, column in columns if column}


def resolve_purchases(connection: sa.Connection, plan: PlanData, now: float) -> None:
    """Record purchases as done whose outcome is not in the journal, but whose numbers are in the sheet.

    Either the user looked the numbers up, or the journal could not record the response and only the results file has
    it. Numbers that the campaign had before the run, or that belong to another step, are ignored.
    """
    for purchase in plan.resolved_purchases:
        if purchase.promo_number in _numbers_known_elsewhere(connection, purchase.run):
            continue
        is_step = (STEPS.c.run == purchase.run, STEPS.c.step == purchase.step, STEPS.c.state.in_(_UNRESOLVED_STATES))
        answer = {"promo_number": purchase.promo_number}
        values = {"state": State.DONE, "answer": answer, "error": "", "fix": "", "ended_at": now}
        connection.execute(sa.update(STEPS).where(*is_step).values(values))


def _numbers_known_elsewhere(connection: sa.Connection, run: str) -> set[str]:
    """Numbers that existed before a run, or that steps created, updated, moved or deleted."""
    baselines = connection.execute(sa.select(BASELINES.c.numbers).where(BASELINES.c.run == run)).scalars()
    done = connection.execute(sa.select(STEPS.c.answer, STEPS.c.before).where(STEPS.c.state == State.DONE)).all()
    objects = (value for answer_and_snapshot in done for value in answer_and_snapshot if isinstance(value, dict))
    step_numbers = {str(value.get("promo_number")) for value in objects}
    return {number for numbers in baselines for number in numbers} | step_numbers
