"""The tables: what a status means for each way of sending, what an answer must name, and what to do about a refusal."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from invoca_bulk.journal import State
from invoca_bulk.schema import ADVERTISERS, PROMO_NUMBERS, RESOURCES, SUBRESOURCE_KEY, Action

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from invoca_bulk.planning import Step
    from invoca_bulk.schema import Resource
    from invoca_bulk.schema.field_types import Json

HTTP_OK = 200
HTTP_UNAUTHORIZED = 401
HTTP_FORBIDDEN = 403
HTTP_NOT_FOUND = 404
#: Refused for now: too early, too many requests.
THROTTLED_STATUSES = frozenset({425, 429})


@dataclass(frozen=True, kw_only=True)
class ResponsePolicy:
    """A way of sending.

    Attributes:
        states_by_status: status of an answer to the state of its step; whatever is not here is in doubt.
        states_after_doubt: the same where it differs once an earlier attempt may have been applied.
        retryable: whether a step in doubt may be sent again.
    """

    states_by_status: Mapping[int, State]
    states_after_doubt: Mapping[int, State] = field(default_factory=dict)
    retryable: bool = True


_STATES_BY_STATUS: Mapping[int, State] = {
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
NON_IDEMPOTENT_POLICY = ResponsePolicy(states_by_status=_STATES_BY_STATUS, retryable=False)
#: The same, where a refusal for now is no proof that nothing was applied.
NON_IDEMPOTENT_POLICY_429_AMBIGUOUS = ResponsePolicy(
    states_by_status={status: state for status, state in _STATES_BY_STATUS.items() if status not in THROTTLED_STATUSES},
    retryable=False,
)
#: Doing it twice comes to the same: updates, and creates of advertisers that have their id.
IDEMPOTENT_POLICY = ResponsePolicy(states_by_status=_STATES_BY_STATUS)
#: What an attempt before this one has deleted is not there any more.
DELETE_POLICY = ResponsePolicy(
    states_by_status={**_STATES_BY_STATUS, 204: State.DONE}, states_after_doubt={404: State.DONE}
)
#: What an attempt before this one has moved is not here any more; whether it is there has to be looked up.
MOVE_POLICY = ResponsePolicy(states_by_status=_STATES_BY_STATUS, states_after_doubt={404: State.IN_DOUBT})

_POLICIES_BY_ACTION: Mapping[Action, ResponsePolicy] = {
    Action.CREATE: IDEMPOTENT_POLICY,
    Action.UPDATE: IDEMPOTENT_POLICY,
    Action.MOVE: MOVE_POLICY,
    Action.DELETE: DELETE_POLICY,
}


def response_policy_for(step: Step, *, treat_429_as_ambiguous: bool = False) -> ResponsePolicy:
    """How a step is sent; `treat_429_as_ambiguous`: 429 proves nothing."""
    if step.non_idempotent:
        return NON_IDEMPOTENT_POLICY_429_AMBIGUOUS if treat_429_as_ambiguous else NON_IDEMPOTENT_POLICY
    return _POLICIES_BY_ACTION[step.action]


# What an answer of success has to name


def number_of(body: Json) -> str:
    """The number that an answer names; empty when it names none that could be dialled."""
    number = body.get("promo_number") if isinstance(body, dict) else None
    text = str(number) if isinstance(number, str | int) and not isinstance(number, bool) else ""
    return text if re.fullmatch(r"\+?[0-9(][0-9 ().-]{4,}", text) else ""


def id_of(tree: Json) -> str:
    """The `id_from_network` of an object or a part as a cell can name it; empty: it has none."""
    return _id_text(tree.get(SUBRESOURCE_KEY)) if isinstance(tree, dict) else ""


def _id_text(value: Json) -> str:
    return str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _internal_id(body: Json) -> str:
    own_id = _id_text(body.get("id")) if isinstance(body, dict) else ""
    return "" if own_id == "0" else own_id


def _expected_advertiser_id(step: Step) -> str:
    """The id of the advertiser that a step is about; empty: the platform gives it."""
    if step.action is not Action.CREATE:
        return step.path[-1].strip()
    return step.own_id or id_of(step.body)


def _check_number(_: Step, body: Json) -> str:
    return "" if number_of(body) else "the number could not be read"


def _check_created_advertiser(step: Step, body: Json) -> str:
    """The platform gives one id, or both; where we have chosen one it is that."""
    given, own = id_of(body), _expected_advertiser_id(step)
    if given and own and given != own:
        return f"that is another advertiser ({given})"
    return "" if given or _internal_id(body) else "the advertiser could not be read"


def _check_updated_advertiser(step: Step, body: Json) -> str:
    """Either of the ids may be missing, or be written in another way; one of them has to be the step's."""
    known = _internal_id(step.snapshot)
    is_own = id_of(body) == _expected_advertiser_id(step) or (known and _internal_id(body) == known)
    return "" if is_own else "the advertiser could not be read, or is another one"


#: Resource and action to what is wrong with an answer; nothing is asked of a deletion's.
_PROOF_CHECKS: Mapping[tuple[str, Action], Callable[[Step, Json], str]] = {
    (PROMO_NUMBERS.name, Action.CREATE): _check_number,
    (PROMO_NUMBERS.name, Action.UPDATE): _check_number,
    (PROMO_NUMBERS.name, Action.MOVE): _check_number,
    (ADVERTISERS.name, Action.CREATE): _check_created_advertiser,
    (ADVERTISERS.name, Action.UPDATE): _check_updated_advertiser,
}


def missing_proof(step: Step, body: Json) -> str:
    """Why an answer of success does not prove that the step was done; empty when all is well."""
    proof = _PROOF_CHECKS.get((step.resource, step.action))
    return proof(step, body) if proof else ""


def describe_mismatch(step: Step, body: Json) -> str:
    """Why what was read is not the whole object that the step is about; empty when it is.

    What is not in it would be deleted by the write that follows.
    """
    one = RESOURCES[step.resource]
    if step.resource == PROMO_NUMBERS.name:
        number = number_of(step.snapshot)
        return (
            ""
            if number and number_of(body) == number
            else f"what the platform answered is not the {one.singular} {number}"
        )
    if not isinstance(body, dict) or id_of(body) != _expected_advertiser_id(step):
        return f"what the platform answered is not the {one.singular} {_expected_advertiser_id(step)}"
    missing = missing_collections(one, body)
    return f"the platform's answer has no list of its {missing[0]}" if missing else ""


def missing_collections(resource: Resource, body: Mapping[str, Json]) -> list[str]:
    """The names of the sets of parts that an object should have, and has not, as a list of objects."""
    sets = ((part.name, body.get(part.name)) for part in resource.subresources)
    return [name for name, one in sets if not (isinstance(one, list) and all(isinstance(it, dict) for it in one))]


# What to do about a refusal

CORRECT_ROW_FIX = "Correct what the platform names, then run the results file."
_CHECK_IDS_FIX = "It may have been deleted or moved since. Check the row's ids, then run the results file."
_NOTHING_TO_DELETE_FIX = "There is nothing to delete: remove the row, or correct its ids and run the results file."
RETRY_FIX = "Run the results file: the row is tried again."
REPLAN_FIX = "Run the results file: the plan is then made anew."
#: Refusals that the platform's words alone do not help with: resource, action and status to what to do.
_REJECTION_FIXES: Mapping[tuple[str, Action, int], str] = {
    (
        ADVERTISERS.name,
        Action.DELETE,
        HTTP_FORBIDDEN,
    ): "An advertiser that has campaigns cannot be deleted. Delete or move "
    "its campaigns on the platform first (they cannot be deleted here), then run the results file.",
    (ADVERTISERS.name, Action.DELETE, HTTP_NOT_FOUND): _NOTHING_TO_DELETE_FIX,
    (PROMO_NUMBERS.name, Action.DELETE, HTTP_NOT_FOUND): _NOTHING_TO_DELETE_FIX,
    (PROMO_NUMBERS.name, Action.UPDATE, HTTP_NOT_FOUND): _CHECK_IDS_FIX,
    (PROMO_NUMBERS.name, Action.MOVE, HTTP_NOT_FOUND): _CHECK_IDS_FIX,
}


def rejection_fix(step: Step, status: int) -> str:
    """What to do about a step that the platform refused."""
    return _REJECTION_FIXES.get((step.resource, step.action, status), CORRECT_ROW_FIX)
