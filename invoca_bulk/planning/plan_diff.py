"""A kept plan against the one that would be made now: what has changed since, in words."""

from __future__ import annotations

import json
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from invoca_bulk.planning import merge, step_to_dict
from invoca_bulk.schema import RESOURCES, SUBRESOURCE_KEY, payloads
from invoca_bulk.schema.issue_catalog import truncate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from invoca_bulk.planning import PlanData, PlannedRow, SavedPlan, Step
    from invoca_bulk.schema import Resource
    from invoca_bulk.schema.field_types import Json

#: What says where a step stands among the others: one more before it moves it, and changes nothing about it.
_ORDER_FIELDS = ("number", "depends_on")


class _PlannedAction(NamedTuple):
    """What a plan does about a row; the default: it does not have the row."""

    action: str = "nothing"
    object_label: str = ""
    error: str = ""
    step: Step | None = None


def diff_plans(saved_plan: SavedPlan, plan: PlanData) -> list[str]:
    """What is not as it was, each without its full stop; none: the same steps would be made.

    Args:
        saved_plan: the plan as it was.
        plan: the plan of the same sheets, as it is now. What else the platform has, such as numbers of a campaign that
            no step is about, is of no account.
    """
    if list(map(_to_comparable, saved_plan.steps)) == list(map(_to_comparable, plan.steps)):
        return []
    sheets = [one.name for one in plan.sheets]
    before, now = _actions_by_row(saved_plan.rows, saved_plan.steps), _actions_by_row(plan.rows, plan.steps)
    told: dict[str, None] = {}  # the rows of one object tell the same
    for sheet, row in dict.fromkeys([*before, *now]):
        place = f"{sheets[sheet]} row {row}".strip()
        pairs = zip_longest(before.get((sheet, row), ()), now.get((sheet, row), ()), fillvalue=_PlannedAction())
        for old, new in pairs:
            told |= dict.fromkeys(_describe_difference(place, old, new))
    return list(told) or ["the steps have another order"]


def _to_comparable(step: Step | None, without: Sequence[str] = ()) -> str:
    values = {} if step is None else step_to_dict(step)
    return json.dumps({name: value for name, value in values.items() if name not in without}, sort_keys=True)


def _actions_by_row(rows: Sequence[PlannedRow], steps: Sequence[Step]) -> dict[tuple[int, int], list[_PlannedAction]]:
    found: dict[tuple[int, int], list[_PlannedAction]] = {}
    for row in rows:
        step = None if row.step is None else steps[row.step]
        found.setdefault((row.sheet, row.row), []).append(_PlannedAction(row.action, row.object_label, row.error, step))
    return found


def _describe_difference(place: str, old: _PlannedAction, new: _PlannedAction) -> Iterator[str]:
    if _to_comparable(old.step, _ORDER_FIELDS) == _to_comparable(new.step, _ORDER_FIELDS):
        return
    about = old.object_label or new.object_label
    where = f"{place} ({about})" if about else place
    if old.step and new.step and (changes := _diff_step_objects(old.step, new.step)):
        name = f"{RESOURCES[new.step.resource].singular} {about}".strip()
        yield from (f"{name}: {change}" for change in changes)
    elif old.action != new.action:
        yield f"{where}: {old.action} in the plan, {new.action} now" + (f" ({new.error})" if new.error else "")
    else:
        yield f"{where}: what would be sent is not what it was"


# One object of the platform, before and now


def _diff_step_objects(old: Step, new: Step) -> list[str]:
    """How the object that a step is about has changed; none: it has not, or there was none."""
    if not old.snapshot or not new.snapshot or old.snapshot == new.snapshot:
        return []
    return diff_objects(RESOURCES[new.resource], old.snapshot, new.snapshot)


def diff_objects(resource: Resource, before: Mapping[str, Json], now: Mapping[str, Json]) -> list[str]:
    """How an object that has changed differs, field by field, each without its full stop."""
    parts = {part.name for part in resource.subresources}
    own = ({key: one for key, one in some.items() if key not in parts} for some in (before, now))
    told = [*_diff_values(*own)]
    for part in resource.subresources:
        told += _diff_parts(part.singular, _parts_by_id(before.get(part.name)), _parts_by_id(now.get(part.name)))
    return told or ["its users or sites have another order now"]


def _diff_parts(
    one: str, before: Mapping[str, Mapping[str, Json]], now: Mapping[str, Mapping[str, Json]]
) -> Iterator[str]:
    for own_id in dict.fromkeys([*before, *now]):
        called = merge.display_name(before.get(own_id) or now[own_id])
        name = f"{one} {called} ({own_id})" if called else f"{one} {own_id}"
        if own_id in before and own_id in now:
            yield from (f"{name}, {change}" for change in _diff_values(before[own_id], now[own_id]))
        else:
            yield f"{name} was {'removed' if own_id in before else 'added'}"


def _diff_values(before: Mapping[str, Json], now: Mapping[str, Json]) -> Iterator[str]:
    old, new = dict(payloads.flatten_object(before)), dict(payloads.flatten_object(now))
    for path in dict.fromkeys([*old, *new]):
        if old.get(path) != new.get(path):
            yield f"{path} was {_quote_value(old.get(path))} and is {_quote_value(new.get(path))} now"


def _parts_by_id(records: Json) -> dict[str, Mapping[str, Json]]:
    """Users or sites by their ids."""
    found = records if isinstance(records, list) else []
    return {str(one.get(SUBRESOURCE_KEY)): one for one in found if isinstance(one, dict)}


def _quote_value(value: Json) -> str:
    return "(blank)" if value in (None, "", []) else f"'{truncate(str(value))}'"
