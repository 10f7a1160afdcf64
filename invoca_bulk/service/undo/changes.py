"""What a run has left where, and whether the platform still has it like that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoca_bulk.execution import outcomes
from invoca_bulk.journal import State
from invoca_bulk.planning import merge, plan_diff
from invoca_bulk.schema import ADVERTISERS, PROMO_NUMBERS, RESOURCES, SUBRESOURCE_KEY, Action, payloads
from invoca_bulk.schema.issue_catalog import Problem, Unshortened
from invoca_bulk.validation import strip_country_code

if TYPE_CHECKING:
    from collections.abc import Mapping

    from invoca_bulk.journal import StepRecord
    from invoca_bulk.planning import PlatformState, Scope, Step
    from invoca_bulk.schema import Resource
    from invoca_bulk.schema.field_types import Json

_NUMBER = "promo_number"
_UNKNOWN_STATES = frozenset({State.SENT, State.IN_DOUBT, State.ABSENT})


@dataclass(frozen=True, kw_only=True)
class AppliedChange:
    """An object that the run has made, changed or moved.

    Attributes:
        step: what was done.
        resulting_object: the object as the platform answered.
        scope: where the run has left it.
        origin_scope: where it was before; None: there was none.
    """

    step: Step
    resulting_object: Mapping[str, Json]
    scope: Scope
    origin_scope: Scope | None

    @property
    def resource(self) -> Resource:
        """What it is."""
        return RESOURCES[self.step.resource]


def classify_step(record: StepRecord) -> AppliedChange | Problem | None:
    """What a step has done, or why that cannot be taken back; None: it has done nothing."""
    step = record.step
    if record.state in _UNKNOWN_STATES:
        details = {"text": record.error.rstrip(".") or "its answer was not recorded", "run": record.run}
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
    """Whether the journal has both states of the object, so that it can be said what the step has changed."""
    step, answer = record.step, record.answer
    known = step.action is Action.CREATE or isinstance(step.snapshot, dict)
    if step.resource == PROMO_NUMBERS.name:
        return known and bool(outcomes.number_of(answer))
    return known and bool(outcomes.id_of(answer)) and not outcomes.missing_collections(ADVERTISERS, answer)


def _find_scopes(step: Step) -> tuple[Scope, Scope | None]:
    """Where a step has left its object, and where that was before; advertisers are all in the scope without parts."""
    if step.action is Action.CREATE:
        return step.path[:-1], None
    here = step.path[:-2]
    return (step.destination[:-1] if step.action is Action.MOVE else here), here


class CurrentState:
    """What the platform has now.

    Args:
        platform_state: each scope that objects of the run are or were in.
        version: the API version that it was read with.
    """

    def __init__(self, observed: Mapping[Scope, PlatformState], version: str) -> None:
        self.platform_state = observed
        self.version = version
        self._objects_by_scope: dict[Scope, dict[str, Mapping[str, Json]]] = {}

    def find(self, done: AppliedChange, scope: Scope) -> Mapping[str, Json] | None:
        """An object of the run as it is now, if it is in a scope."""
        if scope not in self._objects_by_scope:
            self._objects_by_scope[scope] = {
                _object_key(done.resource, one): one for one in self.platform_state[scope].objects
            }
        return self._objects_by_scope[scope].get(_object_key(done.resource, done.resulting_object))


def _object_key(resource: Resource, one: Mapping[str, Json]) -> str:
    """What tells an object from the others of its scope."""
    if resource is PROMO_NUMBERS:
        return strip_country_code(str(payloads.normalize_value(resource.by_path[_NUMBER], one.get(_NUMBER))))
    return str(one.get(SUBRESOURCE_KEY))


def is_restored(done: AppliedChange, now: CurrentState) -> bool:
    """Whether the object is what it was before the run already.

    A number that is not there any more may be anywhere: that does not mean that it was deleted.
    """
    if done.origin_scope is None:
        return done.resource is ADVERTISERS and now.find(done, done.scope) is None
    one, before = now.find(done, done.origin_scope), done.step.snapshot or {}
    return one is not None and _comparable_form(done, one, now.version) == _comparable_form(done, before, now.version)


def find_conflict(done: AppliedChange, one: Mapping[str, Json] | None, now: CurrentState) -> Problem | None:
    """Why an object is left alone: it is not any more what the run has left.

    Args:
        done: the object as the run has left it.
        one: as it is now; None: it is not there.
        now: what else the platform has.
    """
    if refusal := now.platform_state[done.scope].refusal_reason:
        return Problem(code="campaign_not_found", details={"text": refusal.rstrip(".")})
    if one is None:
        return Problem(code="undo_gone", details={"part": done.resource.singular})
    left, is_now = (_comparable_form(done, it, now.version) for it in (done.resulting_object, one))
    if left == is_now:
        return None
    changes = plan_diff.diff_objects(done.resource, left, is_now)
    return Problem(
        code="undo_changed", details={"part": done.resource.singular, "what": Unshortened("; ".join(changes))}
    )


def _comparable_form(done: AppliedChange, one: Mapping[str, Json], version: str) -> dict[str, Json]:
    """An object as two readings of it are compared: what can be written, in one form, and what order means nothing."""
    resource = done.resource
    form = merge.to_writable(resource, one, version)
    if resource is PROMO_NUMBERS:
        form.pop(SUBRESOURCE_KEY, None)  # a move gives it another one
    if done.step.action is not Action.MOVE and one.get("id") not in (None, ""):
        form["id"] = str(one["id"])  # of a number that was given up and had again it is another one
    for part in resource.subresources:
        form[part.name] = _sorted_parts(form[part.name], first_counts=part.name == "sites")
    return form


def _sorted_parts(parts: list[dict[str, Json]], *, first_counts: bool) -> list[dict[str, Json]]:
    first, rest = (parts[:1], parts[1:]) if first_counts else ([], parts)
    return [_with_sorted_lists(one) for one in [*first, *sorted(rest, key=lambda one: str(one.get(SUBRESOURCE_KEY)))]]


def _with_sorted_lists(part: Mapping[str, Json]) -> dict[str, Json]:
    return {name: sorted(one, key=str) if isinstance(one, list) else one for name, one in part.items()}
