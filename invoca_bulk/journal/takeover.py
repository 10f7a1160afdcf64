"""What earlier runs leave to a new one when it begins: else resuming them would do it twice, or undo later changes."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, TypeAlias

import sqlalchemy as sa

from invoca_bulk.journal.db_schema import BASELINES, STEPS
from invoca_bulk.journal.states import State
from invoca_bulk.schema import SHEET_RESOURCES, Action
from invoca_bulk.schema.result_columns import SUCCESS_OUTCOMES, parse_outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from invoca_bulk.planning import PlanData, PlannedRow, Step

#: What a step is known by: the identity of a purchase, or the address of an object and the id of one that is created.
_StepKey: TypeAlias = str

_STEP_COLUMNS = [STEPS.c[name] for name in ("run", "step", "identity", "once", "state", "path", "action", "own_id")]
_UNRESOLVED_STATES = (State.SENT, State.IN_DOUBT, State.ABSENT)


def take_over_steps(connection: sa.Connection, run: str, plan: PlanData) -> None:
    """Have a new run take what it does instead of earlier ones; within the transaction that records it.

    Taken is what was not sent yet, or may be repeated: equal purchases, counted, first of the runs whose results the
    sheet's rows are; and steps on the same objects. Where a row of a run's results was edited, so that nothing tells
    which step it was, all that this run has not sent is taken: to buy both forms of a row is worse than to send one
    too few.
    """
    waiting: dict[str, list[sa.Row[Any]]] = defaultdict(list)
    for one in connection.execute(_select_unsent_steps(run)).all():
        waiting[one.run].append(one)
    left = Counter(map(_step_key, plan.steps))
    followed = _count_rerun_rows(plan)
    for other in sorted(waiting, key=lambda one: one not in followed):
        taken = _match_equal_steps(waiting[other], left)
        if followed[other] > len(taken):
            taken += [one for one in waiting[other] if one.state == State.PENDING and one not in taken]
        for one in taken:
            where = (STEPS.c.run == one.run, STEPS.c.step == one.step)
            connection.execute(sa.update(STEPS).where(*where).values(taken_by=run))


def _select_unsent_steps(run: str) -> sa.Select[Any]:
    """What earlier runs would still do; a purchase in doubt is settled, and so not among it."""
    may = (STEPS.c.state == State.PENDING) | ((STEPS.c.state == State.IN_DOUBT) & sa.not_(STEPS.c.once))
    return (
        sa.select(*_STEP_COLUMNS)
        .where(may, STEPS.c.taken_by == "", STEPS.c.run != run)
        .order_by(STEPS.c.run, STEPS.c.step)
    )


def _match_equal_steps(unsent_steps: Sequence[sa.Row[Any]], remaining: Counter[_StepKey]) -> list[sa.Row[Any]]:
    """The steps for which the new run has an equal one, each of those counted once if it is a purchase."""
    taken = []
    for one in unsent_steps:
        key = one.identity or _object_key(one.path, one.action, one.own_id)
        if remaining[key] > 0:
            remaining[key] -= bool(one.once)
            taken.append(one)
    return taken


def _step_key(step: Step) -> _StepKey:
    return step.identity or _object_key(list(step.path), step.action, step.own_id)


def _object_key(path: list[str], action: str, own_id: str) -> _StepKey:
    return json.dumps([path, own_id if action == Action.CREATE else ""])


def _count_rerun_rows(plan: PlanData) -> Counter[str]:
    """Run to how many rows are its results, were not done by it, and are done by this plan."""
    places = {at: _column_positions(one.resource, one.headers) for at, one in enumerate(plan.sheets)}
    found: Counter[str] = Counter()
    for row in plan.rows:
        status, run = _read_result_cells(row, places.get(row.sheet, {}))
        if run and row.step is not None and parse_outcome(status) not in SUCCESS_OUTCOMES:
            found[run] += 1
    return found


def _read_result_cells(row: PlannedRow, positions: Mapping[str, int]) -> Iterator[str]:
    """What a row of results says of its outcome, and of its run."""
    return (row.cells[positions[name]].strip() if name in positions else "" for name in ("result_status", "result_run"))


def _column_positions(resource: str, headers: Sequence[str]) -> dict[str, int]:
    columns = ((at, SHEET_RESOURCES[resource].column_for(header)) for at, header in enumerate(headers))
    return {column.path: at for at, column in columns if column}


def resolve_purchases(connection: sa.Connection, plan: PlanData, now: float) -> None:
    """Record the numbers of purchases that the journal could not tell, and that the sheet's rows show.

    The user has looked them up; or the journal could not take the answer any more, and only the results have it. A
    number that the campaign had before the run, or that is known to come from another step, is not believed.
    """
    for one in plan.resolved_purchases:
        if one.promo_number in _numbers_known_elsewhere(connection, one.run):
            continue
        where = (STEPS.c.run == one.run, STEPS.c.step == one.step, STEPS.c.state.in_(_UNRESOLVED_STATES))
        told = {
            "state": State.DONE,
            "answer": {"promo_number": one.promo_number},
            "error": "",
            "fix": "",
            "ended_at": now,
        }
        connection.execute(sa.update(STEPS).where(*where).values(told))


def _numbers_known_elsewhere(connection: sa.Connection, run: str) -> set[str]:
    """Numbers that were there before a run, or that steps have created, changed, moved or deleted."""
    baselines = connection.execute(sa.select(BASELINES.c.numbers).where(BASELINES.c.run == run)).scalars()
    done = connection.execute(sa.select(STEPS.c.answer, STEPS.c.before).where(STEPS.c.state == State.DONE)).all()
    objects = (one for pair in done for one in pair if isinstance(one, dict))
    return {number for numbers in baselines for number in numbers} | {str(one.get("promo_number")) for one in objects}
