"""What earlier runs leave to a new one when it begins: else resuming them would do it twice, or undo later changes."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, TypeAlias

import sqlalchemy as sa

from invoca_bulk.journal.db_schema import BASELINES, STEPS
from invoca_bulk.journal.states import State
from invoca_bulk.schema import SHEETS, Action
from invoca_bulk.schema.result_columns import DONE, outcome_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from invoca_bulk.planning import Plan, PlannedRow, Step

#: What a step is known by: the identity of a purchase, or the address of an object and the id of one that is created.
_Key: TypeAlias = str

_COLUMNS = [STEPS.c[name] for name in ("run", "step", "identity", "once", "state", "path", "action", "own_id")]
_NEVER_TOLD = (State.SENT, State.IN_DOUBT, State.ABSENT)


def hand_over(connection: sa.Connection, run: str, plan: Plan) -> None:
    """Have a new run take what it does instead of earlier ones; within the transaction that records it.

    Taken is what was not sent yet, or may be repeated: equal purchases, counted, first of the runs whose results the
    sheet's rows are; and steps on the same objects. Where a row of a run's results was edited, so that nothing tells
    which step it was, all that this run has not sent is taken: to buy both forms of a row is worse than to send one
    too few.
    """
    waiting: dict[str, list[sa.Row[Any]]] = defaultdict(list)
    for one in connection.execute(_waiting(run)).all():
        waiting[one.run].append(one)
    left = Counter(map(_key, plan.steps))
    followed = _followed(plan)
    for other in sorted(waiting, key=lambda one: one not in followed):
        taken = _equal(waiting[other], left)
        if followed[other] > len(taken):
            taken += [one for one in waiting[other] if one.state == State.PENDING and one not in taken]
        for one in taken:
            where = (STEPS.c.run == one.run, STEPS.c.step == one.step)
            connection.execute(sa.update(STEPS).where(*where).values(taken_by=run))


def _waiting(run: str) -> sa.Select[Any]:
    """What earlier runs would still do; a purchase in doubt is settled, and so not among it."""
    may = (STEPS.c.state == State.PENDING) | ((STEPS.c.state == State.IN_DOUBT) & sa.not_(STEPS.c.once))
    return (
        sa.select(*_COLUMNS).where(may, STEPS.c.taken_by == "", STEPS.c.run != run).order_by(STEPS.c.run, STEPS.c.step)
    )


def _equal(waiting: Sequence[sa.Row[Any]], left: Counter[_Key]) -> list[sa.Row[Any]]:
    """The steps for which the new run has an equal one, each of those counted once if it is a purchase."""
    taken = []
    for one in waiting:
        key = one.identity or _address(one.path, one.action, one.own_id)
        if left[key] > 0:
            left[key] -= bool(one.once)
            taken.append(one)
    return taken


def _key(step: Step) -> _Key:
    return step.identity or _address(list(step.path), step.action, step.own_id)


def _address(path: list[str], action: str, own_id: str) -> _Key:
    return json.dumps([path, own_id if action == Action.CREATE else ""])


def _followed(plan: Plan) -> Counter[str]:
    """Run to how many rows are its results, were not done by it, and are done by this plan."""
    places = {at: _places(one.resource, one.headers) for at, one in enumerate(plan.sheets)}
    found: Counter[str] = Counter()
    for row in plan.rows:
        status, run = _told(row, places.get(row.sheet, {}))
        if run and row.step is not None and outcome_of(status) not in DONE:
            found[run] += 1
    return found


def _told(row: PlannedRow, places: Mapping[str, int]) -> Iterator[str]:
    """What a row of results says of its outcome, and of its run."""
    return (row.cells[places[name]].strip() if name in places else "" for name in ("result_status", "result_run"))


def _places(resource: str, headers: Sequence[str]) -> dict[str, int]:
    columns = ((at, SHEETS[resource].column(header)) for at, header in enumerate(headers))
    return {column.path: at for at, column in columns if column}


def close(connection: sa.Connection, plan: Plan, now: float) -> None:
    """Record the numbers of purchases that the journal could not tell, and that the sheet's rows show.

    The user has looked them up; or the journal could not take the answer any more, and only the results have it. A
    number that the campaign had before the run, or that is known to come from another step, is not believed.
    """
    for one in plan.closes:
        if one.number in _known_otherwise(connection, one.run):
            continue
        where = (STEPS.c.run == one.run, STEPS.c.step == one.step, STEPS.c.state.in_(_NEVER_TOLD))
        told = {"state": State.DONE, "answer": {"promo_number": one.number}, "error": "", "fix": "", "ended_at": now}
        connection.execute(sa.update(STEPS).where(*where).values(told))


def _known_otherwise(connection: sa.Connection, run: str) -> set[str]:
    """Numbers that were there before a run, or that steps have created, changed, moved or deleted."""
    baselines = connection.execute(sa.select(BASELINES.c.numbers).where(BASELINES.c.run == run)).scalars()
    done = connection.execute(sa.select(STEPS.c.answer, STEPS.c.before).where(STEPS.c.state == State.DONE)).all()
    objects = (one for pair in done for one in pair if isinstance(one, dict))
    return {number for numbers in baselines for number in numbers} | {str(one.get("promo_number")) for one in objects}
