"""A saved plan against the plan that would be made now: what has changed since, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import NamedTuple

from invoca_bulk.planning import PlanData, PlannedRow, SavedPlan, Step, merge, step_to_dict
from invoca_bulk.schema import RESOURCES, SUBRESOURCE_KEY, Resource, payloads
from invoca_bulk.schema.field_types import Json
from invoca_bulk.schema.issue_catalog import truncate

#: A step's position in the plan; an additional step shifts it without changing what the step does.
_ORDER_FIELDS = ("number", "depends_on")


class _PlannedAction(NamedTuple):
    """What a plan does with a row; the default: the plan does not have the row."""

    action: str = "nothing"
    object_label: str = ""
    error: str = ""
    step: Step | None = None


def diff_plans(saved_plan: SavedPlan, plan: PlanData) -> list[str]:
    """The differences, each without a full stop; none: the plans have the same steps.

    Platform state that no step is about is ignored, such as other numbers of a campaign.
    """
    if list(map(_to_comparable, saved_plan.steps)) == list(map(_to_comparable, plan.steps)):
        return []
    before, now = _actions_by_row(saved_plan.rows, saved_plan.steps), _actions_by_row(plan.rows, plan.steps)
    differences: dict[str, None] = {}  # ordered set: the rows of one object yield the same texts
    for sheet, row in dict.fromkeys([*before, *now]):
        row_label = f"{plan.sheets[sheet].name} {saved_plan.sheets[sheet].labels.describe(row)}".strip()
        pairs = zip_longest(before.get((sheet, row), ()), now.get((sheet, row), ()), fillvalue=_PlannedAction())
        for old, new in pairs:
            differences |= dict.fromkeys(_describe_difference(row_label, old, new))
    return list(differences) or ["the steps are in a different order"]


def _to_comparable(step: Step | None, without: Sequence[str] = ()) -> str:
    values = {} if step is None else step_to_dict(step)
    return json.dumps({name: value for name, value in values.items() if name not in without}, sort_keys=True)


def _actions_by_row(rows: Sequence[PlannedRow], steps: Sequence[Step]) -> dict[tuple[int, int], list[_PlannedAction]]:
    actions: dict[tuple[int, int], list[_PlannedAction]] = {}
    for row in rows:
        step = None if row.step is None else steps[row.step]
        action = _PlannedAction(row.action, row.object_label, row.error, step)
        actions.setdefault((row.sheet, row.row), []).append(action)
    return actions


def _describe_difference(row_label: str, old: _PlannedAction, new: _PlannedAction) -> Iterator[str]:
    if _to_comparable(old.step, _ORDER_FIELDS) == _to_comparable(new.step, _ORDER_FIELDS):
        return
    label = old.object_label or new.object_label
    row_and_object = f"{row_label} ({label})" if label else row_label
    before, now = (action.step.snapshot if action.step else None for action in (old, new))
    if new.step and before and now and before != now:
        resource = RESOURCES[new.step.resource]
        name = f"{resource.singular} {label}".strip()
        yield from (f"{name}: {change}" for change in diff_objects(resource, before, now))
    elif old.action != new.action:
        error = f" ({new.error})" if new.error else ""
        yield f"{row_and_object}: {old.action} in the plan, {new.action} now{error}"
    else:
        yield f"{row_and_object}: the request would be different"


def diff_objects(resource: Resource, before: Mapping[str, Json], now: Mapping[str, Json]) -> list[str]:
    """The differences of a changed object, field by field, each without a full stop."""
    part_names = {part.name for part in resource.subresources}
    fields_before, fields_now = (
        {name: value for name, value in state.items() if name not in part_names} for state in (before, now)
    )
    differences = [*_diff_values(fields_before, fields_now)]
    for part in resource.subresources:
        parts_before, parts_now = (_parts_by_id(state.get(part.name)) for state in (before, now))
        differences += _diff_parts(part.name, parts_before, parts_now)
    return differences or ["its users or sites are in a different order now"]


def _diff_parts(
    collection: str, before: Mapping[str, Mapping[str, Json]], now: Mapping[str, Mapping[str, Json]]
) -> Iterator[str]:
    for own_id in dict.fromkeys([*before, *now]):
        label = merge.describe_part(collection, own_id, merge.display_name(before.get(own_id) or now[own_id]))
        if own_id in before and own_id in now:
            yield from (f"{label}, {change}" for change in _diff_values(before[own_id], now[own_id]))
        else:
            yield f"{label} was {'removed' if own_id in before else 'added'}"


def _diff_values(before: Mapping[str, Json], now: Mapping[str, Json]) -> Iterator[str]:
    old, new = dict(payloads.flatten_object(before)), dict(payloads.flatten_object(now))
    for path in dict.fromkeys([*old, *new]):
        if old.get(path) != new.get(path):
            yield f"{path} was {_quote_value(old.get(path))} and is {_quote_value(new.get(path))} now"


def _parts_by_id(records: Json) -> dict[str, Mapping[str, Json]]:
    """Users or sites by their ids, verbatim."""
    parts = records if isinstance(records, list) else []
    return {str(part.get(SUBRESOURCE_KEY)): part for part in parts if isinstance(part, dict)}


def _quote_value(value: Json) -> str:
    return "(blank)" if value in (None, "", []) else f"'{truncate(str(value))}'"
