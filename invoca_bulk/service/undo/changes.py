"""What a run has left where, and whether the platform still has it like that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoca_bulk.execution import outcomes
from invoca_bulk.journal import State
from invoca_bulk.planning import merge, plan_diff
from invoca_bulk.schema import ADVERTISERS, PART_KEY, PROMO_NUMBERS, RESOURCES, Action, payloads
from invoca_bulk.schema.issue_catalog import Problem, Whole
from invoca_bulk.validation import national

if TYPE_CHECKING:
    from collections.abc import Mapping

    from invoca_bulk.journal import StepRecord
    from invoca_bulk.planning import Observed, Scope, Step
    from invoca_bulk.schema import Resource
    from invoca_bulk.schema.field_types import Json

_NUMBER = "promo_number"
_UNKNOWN = frozenset({State.SENT, State.IN_DOUBT, State.ABSENT})


@dataclass(frozen=True, kw_only=True)
class Done:
    """An object that the run has made, changed or moved.

    Attributes:
        step: what was done.
        left: the object as the platform answered.
        scope: where the run has left it.
        origin: where it was before; None: there was none.
    """

    step: Step
    left: Mapping[str, Json]
    scope: Scope
    origin: Scope | None

    @property
    def resource(self) -> Resource:
        """What it is."""
        return RESOURCES[self.step.resource]


def told_apart(record: StepRecord) -> Done | Problem | None:
    """What a step has done, or why that cannot be taken back; None: it has done nothing."""
    step = record.step
    if record.state in _UNKNOWN:
        details = {"text": record.error.rstrip(".") or "its answer was not recorded", "run": record.run}
        return Problem(code="undo_unknown", details=details)
    if record.state is not State.DONE:
        return None
    if step.action is Action.DELETE:
        return Problem(code="undo_deleted", details={"part": RESOURCES[step.resource].one})
    if not _is_whole(record):
        return Problem(code="undo_unseen", details={"part": RESOURCES[step.resource].one})
    scope, origin = _places(step)
    return Done(step=step, left=record.answer, scope=scope, origin=origin)


def _is_whole(record: StepRecord) -> bool:
    """Whether the journal has both states of the object, so that it can be said what the step has changed."""
    step, answer = record.step, record.answer
    known = step.action is Action.CREATE or isinstance(step.before, dict)
    if step.resource == PROMO_NUMBERS.name:
        return known and bool(outcomes.number_of(answer))
    return known and bool(outcomes.id_of(answer)) and not outcomes.unlisted(ADVERTISERS, answer)


def _places(step: Step) -> tuple[Scope, Scope | None]:
    """Where a step has left its object, and where that was before; advertisers are all in the scope without parts."""
    if step.action is Action.CREATE:
        return step.path[:-1], None
    here = step.path[:-2]
    return (step.destination[:-1] if step.action is Action.MOVE else here), here


class Now:
    """What the platform has now.

    Args:
        observed: each scope that objects of the run are or were in.
        version: the API version that it was read with.
    """

    def __init__(self, observed: Mapping[Scope, Observed], version: str) -> None:
        self.observed = observed
        self.version = version
        self._known: dict[Scope, dict[str, Mapping[str, Json]]] = {}

    def find(self, done: Done, scope: Scope) -> Mapping[str, Json] | None:
        """An object of the run as it is now, if it is in a scope."""
        if scope not in self._known:
            self._known[scope] = {_name(done.resource, one): one for one in self.observed[scope].objects}
        return self._known[scope].get(_name(done.resource, done.left))


def _name(resource: Resource, one: Mapping[str, Json]) -> str:
    """What tells an object from the others of its scope."""
    if resource is PROMO_NUMBERS:
        return national(str(payloads.canonical(resource.by_path[_NUMBER], one.get(_NUMBER))))
    return str(one.get(PART_KEY))


def is_back(done: Done, now: Now) -> bool:
    """Whether the object is what it was before the run already.

    A number that is not there any more may be anywhere: that does not mean that it was deleted.
    """
    if done.origin is None:
        return done.resource is ADVERTISERS and now.find(done, done.scope) is None
    one, before = now.find(done, done.origin), done.step.before or {}
    return one is not None and _form(done, one, now.version) == _form(done, before, now.version)


def problem(done: Done, one: Mapping[str, Json] | None, now: Now) -> Problem | None:
    """Why an object is left alone: it is not any more what the run has left.

    Args:
        done: the object as the run has left it.
        one: as it is now; None: it is not there.
        now: what else the platform has.
    """
    if refusal := now.observed[done.scope].refusal:
        return Problem(code="campaign_not_found", details={"text": refusal.rstrip(".")})
    if one is None:
        return Problem(code="undo_gone", details={"part": done.resource.one})
    left, is_now = (_form(done, it, now.version) for it in (done.left, one))
    if left == is_now:
        return None
    changes = plan_diff.changes(done.resource, left, is_now)
    return Problem(code="undo_changed", details={"part": done.resource.one, "what": Whole("; ".join(changes))})


def _form(done: Done, one: Mapping[str, Json], version: str) -> dict[str, Json]:
    """An object as two readings of it are compared: what can be written, in one form, and what order means nothing."""
    resource = done.resource
    form = merge.written(resource, one, version)
    if resource is PROMO_NUMBERS:
        form.pop(PART_KEY, None)  # a move gives it another one
    if done.step.action is not Action.MOVE and one.get("id") not in (None, ""):
        form["id"] = str(one["id"])  # of a number that was given up and had again it is another one
    for part in resource.parts:
        form[part.name] = _sorted_parts(form[part.name], first_counts=part.name == "sites")
    return form


def _sorted_parts(parts: list[dict[str, Json]], *, first_counts: bool) -> list[dict[str, Json]]:
    first, rest = (parts[:1], parts[1:]) if first_counts else ([], parts)
    return [_with_sorted_lists(one) for one in [*first, *sorted(rest, key=lambda one: str(one.get(PART_KEY)))]]


def _with_sorted_lists(part: Mapping[str, Json]) -> dict[str, Json]:
    return {name: sorted(one, key=str) if isinstance(one, list) else one for name, one in part.items()}
