"""A kept plan against the one that would be made now: what has changed since, in words."""

from __future__ import annotations

import json
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from invoca_bulk.planning import merge, step_values
from invoca_bulk.schema import PART_KEY, RESOURCES, payloads
from invoca_bulk.schema.issue_catalog import shortened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from invoca_bulk.planning import Kept, Plan, PlannedRow, Step
    from invoca_bulk.schema import Resource
    from invoca_bulk.schema.field_types import Json

#: What says where a step stands among the others: one more before it moves it, and changes nothing about it.
_PLACES = ("number", "needs")


class _Done(NamedTuple):
    """What a plan does about a row; the default: it does not have the row."""

    action: str = "nothing"
    about: str = ""
    error: str = ""
    step: Step | None = None


def differences(kept: Kept, plan: Plan) -> list[str]:
    """What is not as it was, each without its full stop; none: the same steps would be made.

    Args:
        kept: the plan as it was.
        plan: the plan of the same sheets, as it is now. What else the platform has, such as numbers of a campaign that
            no step is about, is of no account.
    """
    if list(map(_comparable, kept.steps)) == list(map(_comparable, plan.steps)):
        return []
    sheets = [one.name for one in plan.sheets]
    before, now = _by_row(kept.rows, kept.steps), _by_row(plan.rows, plan.steps)
    told: dict[str, None] = {}  # the rows of one object tell the same
    for sheet, row in dict.fromkeys([*before, *now]):
        place = f"{sheets[sheet]} row {row}".strip()
        pairs = zip_longest(before.get((sheet, row), ()), now.get((sheet, row), ()), fillvalue=_Done())
        for old, new in pairs:
            told |= dict.fromkeys(_told(place, old, new))
    return list(told) or ["the steps have another order"]


def _comparable(step: Step | None, without: Sequence[str] = ()) -> str:
    values = {} if step is None else step_values(step)
    return json.dumps({name: value for name, value in values.items() if name not in without}, sort_keys=True)


def _by_row(rows: Sequence[PlannedRow], steps: Sequence[Step]) -> dict[tuple[int, int], list[_Done]]:
    found: dict[tuple[int, int], list[_Done]] = {}
    for row in rows:
        step = None if row.step is None else steps[row.step]
        found.setdefault((row.sheet, row.row), []).append(_Done(row.action, row.about, row.error, step))
    return found


def _told(place: str, old: _Done, new: _Done) -> Iterator[str]:
    if _comparable(old.step, _PLACES) == _comparable(new.step, _PLACES):
        return
    about = old.about or new.about
    where = f"{place} ({about})" if about else place
    if old.step and new.step and (changes := _changes(old.step, new.step)):
        name = f"{RESOURCES[new.step.resource].one} {about}".strip()
        yield from (f"{name}: {change}" for change in changes)
    elif old.action != new.action:
        yield f"{where}: {old.action} in the plan, {new.action} now" + (f" ({new.error})" if new.error else "")
    else:
        yield f"{where}: what would be sent is not what it was"


# One object of the platform, before and now


def _changes(old: Step, new: Step) -> list[str]:
    """How the object that a step is about has changed; none: it has not, or there was none."""
    if not old.before or not new.before or old.before == new.before:
        return []
    return changes(RESOURCES[new.resource], old.before, new.before)


def changes(resource: Resource, before: Mapping[str, Json], now: Mapping[str, Json]) -> list[str]:
    """How an object that has changed differs, field by field, each without its full stop."""
    parts = {part.name for part in resource.parts}
    own = ({key: one for key, one in some.items() if key not in parts} for some in (before, now))
    told = [*_changed_leaves(*own)]
    for part in resource.parts:
        told += _changed_parts(part.one, _records(before.get(part.name)), _records(now.get(part.name)))
    return told or ["its users or sites have another order now"]


def _changed_parts(
    one: str, before: Mapping[str, Mapping[str, Json]], now: Mapping[str, Mapping[str, Json]]
) -> Iterator[str]:
    for own_id in dict.fromkeys([*before, *now]):
        called = merge.called(before.get(own_id) or now[own_id])
        name = f"{one} {called} ({own_id})" if called else f"{one} {own_id}"
        if own_id in before and own_id in now:
            yield from (f"{name}, {change}" for change in _changed_leaves(before[own_id], now[own_id]))
        else:
            yield f"{name} was {'removed' if own_id in before else 'added'}"


def _changed_leaves(before: Mapping[str, Json], now: Mapping[str, Json]) -> Iterator[str]:
    old, new = dict(payloads.leaves(before)), dict(payloads.leaves(now))
    for path in dict.fromkeys([*old, *new]):
        if old.get(path) != new.get(path):
            yield f"{path} was {_shown(old.get(path))} and is {_shown(new.get(path))} now"


def _records(records: Json) -> dict[str, Mapping[str, Json]]:
    """Users or sites by their ids."""
    found = records if isinstance(records, list) else []
    return {str(one.get(PART_KEY)): one for one in found if isinstance(one, dict)}


def _shown(value: Json) -> str:
    return "(blank)" if value in (None, "", []) else f"'{shortened(str(value))}'"
