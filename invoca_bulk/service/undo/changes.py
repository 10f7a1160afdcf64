"""What a run changed, and whether the platform still has that state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from invoca_bulk.execution import outcomes
from invoca_bulk.journal import State, StepRecord
from invoca_bulk.planning import PlatformState, Scope, Step, merge, plan_diff
from invoca_bulk.planning.display_values import number_key
from invoca_bulk.schema import ADVERTISERS, PROMO_NUMBERS, RESOURCES, SUBRESOURCE_KEY, Action, Resource
from invoca_bulk.schema.field_types import Json
from invoca_bulk.schema.issue_catalog import Problem, Unshortened

_UNKNOWN_STATES = frozenset({State.SENT, State.IN_DOUBT, State.ABSENT})


@dataclass(frozen=True, kw_only=True)
class AppliedChange:
    """An object that the run created, changed or moved."""

    step: Step
    resulting_object: Mapping[str, Json]  # as in the platform's response
    scope: Scope  # after the run
    origin_scope: Scope | None  # before the run; None: the object did not exist

    @property
    def resource(self) -> Resource:
        """The object's resource."""
        return RESOURCES[self.step.resource]


def classify_step(record: StepRecord) -> AppliedChange | Problem | None:
    """The change that a step made, or why it cannot be undone; None: it changed nothing."""
    step = record.step
    if record.state in _UNKNOWN_STATES:
        details = {"text": record.error.rstrip(".") or "its response was not recorded", "run": record.run}
        return Problem(code="undo_unknown", details=details)
    if record.state is not State.DONE:
        return None
    if step.action is Action.DELETE:
        return Problem(code="undo_deleted", details={"part": RESOURCES[step.resource].singular})
    if not _has_both_states(record):
        return Problem(code="undo_unseen", details={"part": RESOURCES[step.resource].singular})
    scope, origin = _find_scopes(step)
    return AppliedChange(step=step, resulting_object=record.answer, scope=scope, origin_scope=origin)


def _has_both_states(record: StepRecord) -> bool:
    """Whether the journal has the object before and after the step, from which the changes follow."""
    step, answer = record.step, record.answer
    has_before = step.action is Action.CREATE or isinstance(step.snapshot, dict)
    if step.resource == PROMO_NUMBERS.name:
        return has_before and bool(outcomes.number_of(answer))
    return has_before and bool(outcomes.id_of(answer)) and not merge.missing_collections(ADVERTISERS, answer)


def _find_scopes(step: Step) -> tuple[Scope, Scope | None]:
    """The scopes of a step's object after and before the step; advertisers have the empty scope."""
    if step.action is Action.CREATE:
        return step.path[:-1], None
    origin = step.path[:-2]
    return (step.destination[:-1] if step.action is Action.MOVE else origin), origin


class CurrentState:
    """The platform's current state, for each scope that objects of the run are or were in."""

    def __init__(self, platform_state: Mapping[Scope, PlatformState], version: str) -> None:
        self.platform_state = platform_state
        self.version = version
        self._objects_by_scope: dict[Scope, dict[str, Mapping[str, Json]]] = {}

    def find(self, change: AppliedChange, scope: Scope) -> Mapping[str, Json] | None:
        """The current object of a change; None: it is not in the scope."""
        if scope not in self._objects_by_scope:
            self._objects_by_scope[scope] = {
                _object_key(change.resource, record): record for record in self.platform_state[scope].objects
            }
        return self._objects_by_scope[scope].get(_object_key(change.resource, change.resulting_object))


def _object_key(resource: Resource, record: Mapping[str, Json]) -> str:
    return number_key(record) if resource is PROMO_NUMBERS else str(record.get(SUBRESOURCE_KEY))


def is_restored(change: AppliedChange, current_state: CurrentState) -> bool:
    """Whether the object already is as it was before the run.

    A missing number may be in any campaign: that it is missing does not mean that it was deleted.
    """
    if change.origin_scope is None:
        return change.resource is ADVERTISERS and current_state.find(change, change.scope) is None
    current = current_state.find(change, change.origin_scope)
    if current is None:
        return False
    before = _comparable_form(change, change.step.snapshot or {}, current_state.version)
    return before == _comparable_form(change, current, current_state.version)


def find_conflict(
    change: AppliedChange, current: Mapping[str, Json] | None, current_state: CurrentState
) -> Problem | None:
    """Why a change is not undone: the object has changed since the run. `current` None: it was not found."""
    if refusal := current_state.platform_state[change.scope].refusal_reason:
        return Problem(code="campaign_not_found", details={"text": refusal.rstrip(".")})
    if current is None:
        return Problem(code="undo_gone", details={"part": change.resource.singular})
    after_run = _comparable_form(change, change.resulting_object, current_state.version)
    now = _comparable_form(change, current, current_state.version)
    if after_run == now:
        return None
    differences = "; ".join(plan_diff.diff_objects(change.resource, after_run, now))
    return Problem(code="undo_changed", details={"part": change.resource.singular, "what": Unshortened(differences)})


def _comparable_form(change: AppliedChange, record: Mapping[str, Json], version: str) -> dict[str, Json]:
    """The writable values of an object, with everything sorted whose order is insignificant."""
    resource = change.resource
    form = merge.to_comparable(resource, record, version)
    if resource is PROMO_NUMBERS:
        form.pop(SUBRESOURCE_KEY, None)  # a move changes it
    if change.step.action is not Action.MOVE and record.get("id") not in (None, ""):
        form["id"] = str(record["id"])  # a number that was deleted and bought again has another one
    for part in resource.subresources:
        form[part.name] = _sorted_parts(form[part.name], keep_first=part.name == "sites")
    return form


def _sorted_parts(parts: list[dict[str, Json]], *, keep_first: bool) -> list[dict[str, Json]]:
    """The parts by id, their lists sorted; the first site stays first, since it is the default."""
    first_count = 1 if keep_first else 0
    by_id = sorted(parts[first_count:], key=lambda part: str(part.get(SUBRESOURCE_KEY)))
    return [
        {name: sorted(value, key=str) if isinstance(value, list) else value for name, value in part.items()}
        for part in [*parts[:first_count], *by_id]
    ]
