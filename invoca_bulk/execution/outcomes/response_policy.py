"""Tables: what a status means for each kind of step, what a response must name, and how to fix a rejection."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from invoca_bulk.journal import State
from invoca_bulk.planning import Step, merge
from invoca_bulk.schema import ADVERTISERS, PROMO_NUMBERS, RESOURCES, SUBRESOURCE_KEY, Action
from invoca_bulk.schema.field_types import Json

#: Refused for now, without being processed.
THROTTLED_STATUSES = frozenset({HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True, kw_only=True)
class ResponsePolicy:
    """How the responses to a kind of step are interpreted."""

    #: Response status to the step's next state; any other status puts the step in doubt.
    states_by_status: Mapping[int, State]
    states_after_doubt: Mapping[int, State] = field(default_factory=dict)  # once an attempt may have been applied
    retryable: bool = True  # whether a step in doubt may be sent again


_STATES_BY_STATUS: Mapping[int, State] = {
    HTTPStatus.OK: State.DONE,
    HTTPStatus.CREATED: State.DONE,
    HTTPStatus.NO_CONTENT: State.DONE,
    HTTPStatus.BAD_REQUEST: State.REJECTED,
    HTTPStatus.UNAUTHORIZED: State.PENDING,
    HTTPStatus.FORBIDDEN: State.REJECTED,
    HTTPStatus.NOT_FOUND: State.REJECTED,
    HTTPStatus.METHOD_NOT_ALLOWED: State.REJECTED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: State.REJECTED,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: State.REJECTED,
    HTTPStatus.UNPROCESSABLE_ENTITY: State.REJECTED,
    HTTPStatus.TOO_EARLY: State.PENDING,
    HTTPStatus.TOO_MANY_REQUESTS: State.PENDING,
}
#: Each request creates another object, so a step in doubt is never resent automatically.
NON_IDEMPOTENT_POLICY = ResponsePolicy(states_by_status=_STATES_BY_STATUS, retryable=False)
#: The same, if a throttled request may have been applied.
NON_IDEMPOTENT_POLICY_429_AMBIGUOUS = ResponsePolicy(
    states_by_status={status: state for status, state in _STATES_BY_STATUS.items() if status not in THROTTLED_STATUSES},
    retryable=False,
)
#: Sending twice is safe: updates, and creates of advertisers with an own id.
IDEMPOTENT_POLICY = ResponsePolicy(states_by_status=_STATES_BY_STATUS)
#: After a doubt a 404 means that an earlier attempt has deleted the object.
DELETE_POLICY = ResponsePolicy(
    states_by_status=_STATES_BY_STATUS,
    states_after_doubt={HTTPStatus.NOT_FOUND: State.DONE},
)
#: After a doubt a 404 means that an earlier attempt may have moved the number; its destination has to be looked up.
MOVE_POLICY = ResponsePolicy(
    states_by_status=_STATES_BY_STATUS, states_after_doubt={HTTPStatus.NOT_FOUND: State.IN_DOUBT}
)

_POLICIES_BY_ACTION: Mapping[Action, ResponsePolicy] = {
    Action.CREATE: IDEMPOTENT_POLICY,
    Action.UPDATE: IDEMPOTENT_POLICY,
    Action.MOVE: MOVE_POLICY,
    Action.DELETE: DELETE_POLICY,
}


def response_policy_for(step: Step, *, treat_429_as_ambiguous: bool = False) -> ResponsePolicy:
    """The policy for a step; `treat_429_as_ambiguous`: a throttled create may have been applied."""
    if step.non_idempotent:
        return NON_IDEMPOTENT_POLICY_429_AMBIGUOUS if treat_429_as_ambiguous else NON_IDEMPOTENT_POLICY
    return _POLICIES_BY_ACTION[step.action]


def number_of(body: Json) -> str:
    """The promo number that a response body names; empty: none that can be dialled."""
    number = body.get("promo_number") if isinstance(body, dict) else None
    text = str(number) if isinstance(number, str | int) and not isinstance(number, bool) else ""
    return text if re.fullmatch(r"\+?[0-9(][0-9 ().-]{4,}", text) else ""


def id_of(tree: Json) -> str:
    """The `id_from_network` of an object, user or site as a cell can name it; empty: it has none."""
    return _id_text(tree.get(SUBRESOURCE_KEY)) if isinstance(tree, dict) else ""


def _id_text(value: Json) -> str:
    return str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _internal_id(body: Json) -> str:
    internal_id = _id_text(body.get("id")) if isinstance(body, dict) else ""
    return "" if internal_id == "0" else internal_id


def _expected_advertiser_id(step: Step) -> str:
    """The id of the step's advertiser; empty: the platform assigns it."""
    if step.action is not Action.CREATE:
        return step.path[-1].strip()
    return step.own_id or id_of(step.body)


def _check_number(_: Step, body: Json) -> str:
    return "" if number_of(body) else "the number could not be read"


def _check_created_advertiser(step: Step, body: Json) -> str:
    """The platform returns one of the ids or both; an id that the client chose has to match."""
    actual_id, expected_id = id_of(body), _expected_advertiser_id(step)
    if actual_id and expected_id and actual_id != expected_id:
        return f"that is another advertiser ({actual_id})"
    return "" if actual_id or _internal_id(body) else "the advertiser could not be read"


def _check_updated_advertiser(step: Step, body: Json) -> str:
    """Either of the ids may be missing or written differently; one of them has to match."""
    internal_id = _internal_id(step.snapshot)
    is_same = id_of(body) == _expected_advertiser_id(step) or (internal_id and _internal_id(body) == internal_id)
    return "" if is_same else "the advertiser could not be read, or is another one"


#: Resource and action to the check of a success response; a deletion needs no proof.
_PROOF_CHECKS: Mapping[tuple[str, Action], Callable[[Step, Json], str]] = {
    (PROMO_NUMBERS.name, Action.CREATE): _check_number,
    (PROMO_NUMBERS.name, Action.UPDATE): _check_number,
    (PROMO_NUMBERS.name, Action.MOVE): _check_number,
    (ADVERTISERS.name, Action.CREATE): _check_created_advertiser,
    (ADVERTISERS.name, Action.UPDATE): _check_updated_advertiser,
}


def missing_proof(step: Step, body: Json) -> str:
    """Why a success response does not prove that the step was done; empty: it does."""
    check = _PROOF_CHECKS.get((step.resource, step.action))
    return check(step, body) if check else ""


def describe_mismatch(step: Step, body: Json) -> str:
    """Why a body that was read is not the step's complete object; empty: it is.

    The write that follows would delete whatever is missing from it.
    """
    resource = RESOURCES[step.resource]
    if step.resource == PROMO_NUMBERS.name:
        number = number_of(step.snapshot)
        is_same = bool(number) and number_of(body) == number
        return "" if is_same else f"the platform's answer is not the {resource.singular} {number}"
    expected_id = _expected_advertiser_id(step)
    if not isinstance(body, dict) or id_of(body) != expected_id:
        return f"the platform's answer is not the {resource.singular} {expected_id}"
    missing = merge.missing_collections(resource, body)
    return f"the platform's answer has no list of its {missing[0]}" if missing else ""


CORRECT_ROW_FIX = "Correct what the platform objects to, then run the results file."
_CHECK_IDS_FIX = "It may have been deleted or moved. Check the row's ids, then run the results file."
_HAS_CAMPAIGNS_FIX = (
    "An advertiser that has campaigns cannot be deleted. Delete or move its campaigns on the platform first (they "
    "cannot be deleted here), then run the results file."
)
_NOTHING_TO_DELETE_FIX = "There is nothing to delete: remove the row, or correct its ids and run the results file."
RETRY_FIX = "Run the results file: the row is tried again."
REPLAN_FIX = "Run the results file to make a new plan."
#: Resource, action and status to a fix, where the platform's message is not enough.
_REJECTION_FIXES: Mapping[tuple[str, Action, int], str] = {
    (ADVERTISERS.name, Action.DELETE, HTTPStatus.FORBIDDEN): _HAS_CAMPAIGNS_FIX,
    (ADVERTISERS.name, Action.DELETE, HTTPStatus.NOT_FOUND): _NOTHING_TO_DELETE_FIX,
    (PROMO_NUMBERS.name, Action.DELETE, HTTPStatus.NOT_FOUND): _NOTHING_TO_DELETE_FIX,
    (PROMO_NUMBERS.name, Action.UPDATE, HTTPStatus.NOT_FOUND): _CHECK_IDS_FIX,
    (PROMO_NUMBERS.name, Action.MOVE, HTTPStatus.NOT_FOUND): _CHECK_IDS_FIX,
}


RIGHTS_FIX = (
    "The token lacks a right that the row needs, or belongs to another network. Create a token as a person who may do "
    "this on the platform, then run the results file."
)
_ALLOWANCE_FIX = (
    "The campaign, or your plan, has used up its allowance of promo numbers, and deleting one does not give it back. "
    "Raise the allowance on the platform or ask Invoca's support, then run the results file."
)
#: Classes of errors that are about the token, not the row.
TOKEN_ERROR_CLASSES = frozenset({"UnauthorizedOperation", "UnauthorizedAdvertiser"})
_ALLOWANCE_PATTERN = re.compile(r"promo.?number limit", re.IGNORECASE)


def rejection_fix(step: Step, status: int, error_class: str = "", reason: str = "") -> str:
    """How to fix a step that the platform rejected, with an error of a class, or for a reason in its words."""
    if error_class in TOKEN_ERROR_CLASSES:
        return RIGHTS_FIX
    if _ALLOWANCE_PATTERN.search(reason):
        return _ALLOWANCE_FIX
    return _REJECTION_FIXES.get((step.resource, step.action, status), CORRECT_ROW_FIX)
