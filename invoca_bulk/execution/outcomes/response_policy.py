"""The tables: what a status means for each way of sending, what an answer must name, and what to do about a refusal."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from invoca_bulk.journal import State
from invoca_bulk.schema import ADVERTISERS, PART_KEY, PROMO_NUMBERS, RESOURCES, Action

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from invoca_bulk.planning import Step
    from invoca_bulk.schema import Resource
    from invoca_bulk.schema.field_types import Json

FOUND = 200
UNAUTHORIZED = 401
FORBIDDEN = 403
NOT_FOUND = 404
#: Refused for now: too early, too many requests.
FOR_NOW = frozenset({425, 429})


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way of sending.

    Attributes:
        states: status of an answer to the state of its step; whatever is not here is in doubt.
        after_doubt: the same where it differs once an earlier attempt may have been applied.
        again: whether a step in doubt may be sent again.
    """

    states: Mapping[int, State]
    after_doubt: Mapping[int, State] = field(default_factory=dict)
    again: bool = True


_ANSWERS: Mapping[int, State] = {
    200: State.DONE,
    201: State.DONE,
    400: State.REJECTED,
    401: State.PENDING,
    403: State.REJECTED,
    404: State.REJECTED,
    405: State.REJECTED,
    413: State.REJECTED,
    415: State.REJECTED,
    422: State.REJECTED,
    425: State.PENDING,
    429: State.PENDING,
}
#: Each request makes another object: one in doubt is never sent again by itself.
ONCE = Way(states=_ANSWERS, again=False)
#: The same, where a refusal for now is no proof that nothing was applied.
ONCE_STRICT = Way(states={status: state for status, state in _ANSWERS.items() if status not in FOR_NOW}, again=False)
#: Doing it twice comes to the same: updates, and creates of advertisers that have their id.
REPEATABLE = Way(states=_ANSWERS)
#: What an attempt before this one has deleted is not there any more.
DELETE = Way(states={**_ANSWERS, 204: State.DONE}, after_doubt={404: State.DONE})
#: What an attempt before this one has moved is not here any more; whether it is there has to be looked up.
MOVE = Way(states=_ANSWERS, after_doubt={404: State.IN_DOUBT})

_WAYS: Mapping[Action, Way] = {
    Action.CREATE: REPEATABLE,
    Action.UPDATE: REPEATABLE,
    Action.MOVE: MOVE,
    Action.DELETE: DELETE,
}


def way_of(step: Step, *, strict: bool = False) -> Way:
    """How a step is sent; `strict`: 429 proves nothing."""
    if step.once:
        return ONCE_STRICT if strict else ONCE
    return _WAYS[step.action]


# What an answer of success has to name


def number_of(body: Json) -> str:
    """The number that an answer names; empty when it names none that could be dialled."""
    number = body.get("promo_number") if isinstance(body, dict) else None
    text = str(number) if isinstance(number, str | int) and not isinstance(number, bool) else ""
    return text if re.fullmatch(r"\+?[0-9(][0-9 ().-]{4,}", text) else ""


def id_of(tree: Json) -> str:
    """The `id_from_network` of an object or a part as a cell can name it; empty: it has none."""
    return _text(tree.get(PART_KEY)) if isinstance(tree, dict) else ""


def _text(value: Json) -> str:
    return str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _internal_id(body: Json) -> str:
    own_id = _text(body.get("id")) if isinstance(body, dict) else ""
    return "" if own_id == "0" else own_id


def _own_id(step: Step) -> str:
    """The id of the advertiser that a step is about; empty: the platform gives it."""
    if step.action is not Action.CREATE:
        return step.path[-1].strip()
    return step.own_id or id_of(step.body)


def _no_number(_: Step, body: Json) -> str:
    return "" if number_of(body) else "the number could not be read"


def _not_created(step: Step, body: Json) -> str:
    """The platform gives one id, or both; where we have chosen one it is that."""
    given, own = id_of(body), _own_id(step)
    if given and own and given != own:
        return f"that is another advertiser ({given})"
    return "" if given or _internal_id(body) else "the advertiser could not be read"


def _not_updated(step: Step, body: Json) -> str:
    """Either of the ids may be missing, or be written in another way; one of them has to be the step's."""
    known = _internal_id(step.before)
    is_own = id_of(body) == _own_id(step) or (known and _internal_id(body) == known)
    return "" if is_own else "the advertiser could not be read, or is another one"


#: Resource and action to what is wrong with an answer; nothing is asked of a deletion's.
_PROOFS: Mapping[tuple[str, Action], Callable[[Step, Json], str]] = {
    (PROMO_NUMBERS.name, Action.CREATE): _no_number,
    (PROMO_NUMBERS.name, Action.UPDATE): _no_number,
    (PROMO_NUMBERS.name, Action.MOVE): _no_number,
    (ADVERTISERS.name, Action.CREATE): _not_created,
    (ADVERTISERS.name, Action.UPDATE): _not_updated,
}


def unproven(step: Step, body: Json) -> str:
    """Why an answer of success does not prove that the step was done; empty when all is well."""
    proof = _PROOFS.get((step.resource, step.action))
    return proof(step, body) if proof else ""


def unlike(step: Step, body: Json) -> str:
    """Why what was read is not the whole object that the step is about; empty when it is.

    What is not in it would be deleted by the write that follows.
    """
    one = RESOURCES[step.resource]
    if step.resource == PROMO_NUMBERS.name:
        number = number_of(step.before)
        return (
            "" if number and number_of(body) == number else f"what the platform answered is not the {one.one} {number}"
        )
    if not isinstance(body, dict) or id_of(body) != _own_id(step):
        return f"what the platform answered is not the {one.one} {_own_id(step)}"
    missing = unlisted(one, body)
    return f"the platform's answer has no list of its {missing[0]}" if missing else ""


def unlisted(resource: Resource, body: Mapping[str, Json]) -> list[str]:
    """The names of the sets of parts that an object should have, and has not, as a list of objects."""
    sets = ((part.name, body.get(part.name)) for part in resource.parts)
    return [name for name, one in sets if not (isinstance(one, list) and all(isinstance(it, dict) for it in one))]


# What to do about a refusal

CORRECT = "Correct what the platform names, then run the results file."
_GONE = "It may have been deleted or moved since. Check the row's ids, then run the results file."
_NOTHING_TO_DELETE = "There is nothing to delete: remove the row, or correct its ids and run the results file."
TRY_AGAIN = "Run the results file: the row is tried again."
PLAN_AGAIN = "Run the results file: the plan is then made anew."
#: Refusals that the platform's words alone do not help with: resource, action and status to what to do.
_REFUSAL_FIXES: Mapping[tuple[str, Action, int], str] = {
    (ADVERTISERS.name, Action.DELETE, FORBIDDEN): "An advertiser that has campaigns cannot be deleted. Delete or move "
    "its campaigns on the platform first (they cannot be deleted here), then run the results file.",
    (ADVERTISERS.name, Action.DELETE, NOT_FOUND): _NOTHING_TO_DELETE,
    (PROMO_NUMBERS.name, Action.DELETE, NOT_FOUND): _NOTHING_TO_DELETE,
    (PROMO_NUMBERS.name, Action.UPDATE, NOT_FOUND): _GONE,
    (PROMO_NUMBERS.name, Action.MOVE, NOT_FOUND): _GONE,
}


def refusal_fix(step: Step, status: int) -> str:
    """What to do about a step that the platform refused."""
    return _REFUSAL_FIXES.get((step.resource, step.action, status), CORRECT)
