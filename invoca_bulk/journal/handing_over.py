"""What earlier runs leave to a new one when it begins: else resuming them would do it twice, or undo later changes."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

import sqlalchemy as sa

from invoca_bulk.journal.states import State
from invoca_bulk.journal.tables import STEPS
from invoca_bulk.schema import SHEETS, Action

if TYPE_CHECKING:
    from collections.abc import Iterator

    from invoca_bulk.planning import Plan, Step

#: What a step that may be repeated is about: its address, and the id of one that it creates.
_Object: TypeAlias = tuple[str, str]

_RUN = "result_run"
_COLUMNS = [STEPS.c[name] for name in ("run", "step", "identity", "once", "state", "path", "action", "own_id")]
_NEVER_TOLD = (State.SENT, State.IN_DOUBT, State.ABSENT)


def hand_over(connection: sa.Connection, run: str, plan: Plan) -> None:
    """Have a new run take what it does instead of earlier ones; within the transaction that records it.

    Taken is what was not sent yet, or may be repeated, of: the runs whose results the sheet's rows are; equal
    purchases, counted; and steps on the same objects.
    """
    followed = set(_followed(plan))
    objects = {_object(step) for step in plan.steps if not step.once}
    wanted = Counter(step.identity for step in plan.steps if step.once)
    waiting = ((STEPS.c.state == State.PENDING) | (STEPS.c.state == State.IN_DOUBT)) & (STEPS.c.taken_by == "")
    query = sa.select(*_COLUMNS).where(waiting, STEPS.c.run != run).order_by(STEPS.c.run, STEPS.c.step)
    for one in connection.execute(query).all():
        if _is_free(one) and _is_taken(one, followed, wanted, objects):
            where = (STEPS.c.run == one.run, STEPS.c.step == one.step)
            connection.execute(sa.update(STEPS).where(*where).values(taken_by=run))


def close(connection: sa.Connection, plan: Plan, now: float) -> None:
    """Record the numbers of purchases that the journal could not tell, and that the sheet's rows show.

    The user has looked them up; or the journal could not take the answer any more, and only the results have it.
    """
    for one in plan.closes:
        where = (STEPS.c.run == one.run, STEPS.c.step == one.step, STEPS.c.state.in_(_NEVER_TOLD))
        told = {"state": State.DONE, "answer": {"promo_number": one.number}, "error": "", "fix": "", "ended_at": now}
        connection.execute(sa.update(STEPS).where(*where).values(told))


def _is_free(one: sa.Row[Any]) -> bool:
    """Whether a step can be left to another run: a purchase in doubt has to be settled by its own."""
    return one.state == State.PENDING or not one.once


def _is_taken(one: sa.Row[Any], followed: set[str], wanted: Counter[str], objects: set[_Object]) -> bool:
    if one.once and wanted[one.identity] > 0:
        wanted[one.identity] -= 1
        return True
    return one.run in followed or (not one.once and _address(one.path, one.action, one.own_id) in objects)


def _object(step: Step) -> _Object:
    return _address(list(step.path), step.action, step.own_id)


def _address(path: list[str], action: str, own_id: str) -> _Object:
    return json.dumps(path), own_id if action == Action.CREATE else ""


def _followed(plan: Plan) -> Iterator[str]:
    """The runs of whose results the rows that were planned anew are."""
    places = {
        sheet: [at for at, header in enumerate(one.headers) if _is_run(one.resource, header)]
        for sheet, one in enumerate(plan.sheets)
    }
    for row in plan.rows:
        if not row.carried and not row.earlier:
            yield from (row.cells[at].strip() for at in places.get(row.sheet, ()))


def _is_run(resource: str, header: str) -> bool:
    column = SHEETS[resource].column(header)
    return column is not None and column.path == _RUN
