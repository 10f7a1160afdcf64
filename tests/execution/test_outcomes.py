"""What a response means for a step: whether it was applied, and whether it may be resent."""

from __future__ import annotations

from typing import Any

import pytest

from invoca_bulk.config.settings import MAX_ATTEMPTS, MAX_THROTTLED_ATTEMPTS
from invoca_bulk.errors import InDoubtError, NotSentError
from invoca_bulk.execution import outcomes
from invoca_bulk.execution.outcomes import StepResult
from invoca_bulk.execution.outcomes.response_policy import NON_IDEMPOTENT_POLICY
from invoca_bulk.journal import State
from invoca_bulk.planning import Step
from invoca_bulk.schema import OPERATIONS, RESOURCES, Action
from invoca_bulk.transport.client import Response

NUMBER = {"id": 1, "promo_number": "8055550100"}


def _step(resource: str, action: Action, **overrides: Any) -> Step:
    defaults = {"number": 0, "verb": OPERATIONS[action].verb, "path": (resource, "x"), "body": None}
    return Step(**{"resource": resource, "action": action, **defaults, **overrides})


PURCHASE = _step("promo_numbers", Action.CREATE, non_idempotent=True)
STEPS = {
    f"{action} {resource}": _step(resource, action)
    for resource, action in [
        ("advertisers", Action.CREATE),
        ("advertisers", Action.UPDATE),
        ("advertisers", Action.DELETE),
        ("promo_numbers", Action.UPDATE),
        ("promo_numbers", Action.MOVE),
        ("promo_numbers", Action.DELETE),
    ]
}
REJECTIONS = (400, 403, 404, 405, 413, 415, 422)
RETRY_LATER = (401, 425, 429)


def _classify(
    step: Step, status: int, body: Any = None, *, was_in_doubt: bool = False, wait: float | None = None
) -> StepResult:
    return outcomes.classify_response(
        Response(status=status, body=body, retry_after=wait), step, {}, was_in_doubt=was_in_doubt
    )


def _state_of_purchase(status: int, body: object = None) -> State:
    return _classify(PURCHASE, status, body).state


@pytest.mark.parametrize("number", ["8055550100", "+18055550100", "(805) 555-0100", "805-555-0100", 8055550100])
def test_promo_number_formats(number: object) -> None:
    """A response proves a create, whatever format its promo number has."""
    assert _state_of_purchase(201, {"promo_number": number}) is State.DONE


@pytest.mark.parametrize("status", [200, 201])
def test_success_with_number_is_done(status: int) -> None:
    """Only a response that names the number is done."""
    assert _state_of_purchase(status, NUMBER) is State.DONE


@pytest.mark.parametrize("body", [None, {}, [], "x", {"promo_number": ""}], ids=repr)
def test_success_without_number_is_in_doubt(body: object) -> None:
    """A 201 with an unreadable body has created something; it is never sent again."""
    result = _classify(PURCHASE, 201, body)
    assert result.state is State.IN_DOUBT
    assert result.http_status == 201


@pytest.mark.parametrize("status", [400, 403, 404, 405, 413, 415, 422])
def test_rejections(status: int) -> None:
    """The platform has processed the request and rejected it."""
    assert _state_of_purchase(status) is State.REJECTED


@pytest.mark.parametrize("status", [425, 429])
def test_throttled_is_pending(status: int) -> None:
    """The request was not processed, so it may be sent again."""
    assert _state_of_purchase(status) is State.PENDING


def test_unauthorized_stops_the_run() -> None:
    """A wrong token is wrong for all rows; the step was not applied."""
    result = _classify(PURCHASE, 401)
    assert (result.state, result.aborts_run) == (State.PENDING, True)


@pytest.mark.parametrize("status", sorted(set(range(200, 600)) - set(NON_IDEMPOTENT_POLICY.states_by_status)))
def test_other_statuses_are_in_doubt(status: int) -> None:
    """A status that is not in the table may have been applied."""
    assert _state_of_purchase(status, NUMBER) is State.IN_DOUBT


def test_failed_calls() -> None:
    """What was not sent may be sent again; everything else is in doubt, with its status if there is one."""
    assert outcomes.classify_failure(NotSentError("x"), PURCHASE).state is State.PENDING
    result = outcomes.classify_failure(InDoubtError("x", status=201), PURCHASE)
    assert (result.state, result.http_status) == (State.IN_DOUBT, 201)


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (403, {"errors": {"description": ["can't be blank", "is odd"]}}, "Text: can't be blank; is odd"),
        (403, {"errors": {"local_center": {"tn_prefix": ["none left"]}}}, "Area code: none left"),
        (403, {"errors": {"base": ["no"]}, "id": 5}, "base: no"),
        (404, {"errors": {"class": "RecordNotFound", "invalid_data": "Could not find X"}}, "Could not find X"),
        (
            500,
            {"errors": {"class": "InternalServiceError", "invalid_data": "refer to error handle 1228118400"}},
            "1228118400",
        ),
        (400, {"message": "bad JSON"}, "bad JSON"),
        (400, {"errors": "odd"}, "odd (400)"),
        (422, {"errors": ["too long"]}, "too long"),
        (422, {"error": "campaign is closed"}, "campaign is closed"),
        (502, None, "answered 502"),
        (403, {"errors": {"a": [{"b": 1}]}}, "a.1.b: 1"),
        (403, {"errors": {"a": None}}, "a: None"),
    ],
)
def test_error_text_uses_column_titles(status: int, body: object, text: str) -> None:
    """Field errors have column titles, the error handle of a 500 is kept, and there is always a reason."""
    titles = {"description": "Text", "local_center.tn_prefix": "Area code"}
    assert text in outcomes.classify_response(Response(status=status, body=body), PURCHASE, titles).error


def test_errors_of_users_name_the_user() -> None:
    """A nested error has the sheet's title, if any, and the id of the user."""
    body = {"users": [{"id_from_network": "U-1"}, {"id_from_network": "U-2"}], "sites": "odd"}
    step = _step("advertisers", Action.UPDATE, body=body)
    errors = {
        "users": {"1": {"contact_phone_number": ["is odd"]}, "2": {"role": ["is odd"]}, "3": {"role": ["none"]}},
        "sites": {"1": {"name": ["is long"]}},
        "name": ["is taken"],
    }
    titles = {"users.1.contact_phone_number": "Phone 1", "name": "Advertiser"}
    error = outcomes.classify_response(Response(status=403, body={"errors": errors}), step, titles).error
    assert error == (
        "Phone 1 (U-1): is odd; role of user U-2: is odd; users.3.role: none; sites.1.name: is long; "
        "Advertiser: is taken"
    )


# Idempotent steps


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("status", [200, 201])
def test_success_of_idempotent_steps(name: str, status: int) -> None:
    """A response with the object is done."""
    assert _classify(STEPS[name], status, {"id": 1, "id_from_network": "x", **NUMBER}).state is State.DONE


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("status", REJECTIONS)
def test_rejections_of_idempotent_steps(name: str, status: int) -> None:
    """A rejection has the platform's message and a fix."""
    result = _classify(STEPS[name], status, {"message": "no"})
    assert (result.state, result.error) == (State.REJECTED, f"no ({status})")
    assert result.fix


@pytest.mark.parametrize("name", STEPS)
def test_throttling_of_idempotent_steps(name: str) -> None:
    """A throttled step may be sent again; an unauthorized one aborts the run."""
    results = {status: _classify(STEPS[name], status, wait=3.0) for status in RETRY_LATER}
    assert {result.state for result in results.values()} == {State.PENDING}
    assert {status: result.aborts_run for status, result in results.items()} == {401: True, 425: False, 429: False}
    assert results[429].retry_after == 3.0


@pytest.mark.parametrize("name", STEPS)
def test_other_statuses_of_idempotent_steps_are_in_doubt(name: str) -> None:
    """A status that is not in the table may have been applied."""
    step = STEPS[name]
    listed = {200, 201, 204, *REJECTIONS, *RETRY_LATER}
    assert set(outcomes.response_policy_for(step).states_by_status) == listed
    assert {_classify(step, status, {"id": 1}).state for status in set(range(200, 600)) - listed} == {State.IN_DOUBT}


def test_only_creates_without_id_are_not_retryable() -> None:
    """Another request for a number buys another number; all other steps are safe to repeat."""
    assert not outcomes.response_policy_for(PURCHASE).retryable
    assert not outcomes.response_policy_for(_step("advertisers", Action.CREATE, non_idempotent=True)).retryable
    assert all(outcomes.response_policy_for(step).retryable for step in STEPS.values())


@pytest.mark.parametrize("body", [None, [], "x", True], ids=repr)
@pytest.mark.parametrize(
    ("name", "state"),
    [(name, State.DONE if step.action is Action.DELETE else State.IN_DOUBT) for name, step in STEPS.items()],
)
def test_success_without_object(name: str, state: State, body: object) -> None:
    """A success without the object proves nothing, except for a deletion."""
    assert _classify(STEPS[name], 200, body).state is state


@pytest.mark.parametrize(
    ("body", "state"),
    [
        ({"id": 1}, State.DONE),
        ({"id_from_network": "A-1"}, State.DONE),
        ({"id": 1, "id_from_network": " A-1 "}, State.DONE),
        ({"id": 0, "id_from_network": ""}, State.IN_DOUBT),
        ({"id": True}, State.IN_DOUBT),
        ({"name": "Acme"}, State.IN_DOUBT),
        ({}, State.IN_DOUBT),
    ],
    ids=repr,
)
@pytest.mark.parametrize("non_idempotent", [True, False])
def test_created_advertiser_needs_an_id(body: object, state: State, non_idempotent: Any) -> None:
    """A create whose response has no advertiser id is in doubt."""
    assert _classify(_step("advertisers", Action.CREATE, non_idempotent=non_idempotent), 201, body).state is state


# After an attempt in doubt


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("was_in_doubt", [False, True])
def test_not_found(name: str, was_in_doubt: Any) -> None:
    """After a doubt a 404 means deleted, or a move to look up; otherwise it is a rejection."""
    after_doubt = {Action.DELETE: State.DONE, Action.MOVE: State.IN_DOUBT} if was_in_doubt else {}
    expected = after_doubt.get(STEPS[name].action, State.REJECTED)
    result = _classify(STEPS[name], 404, {"message": "none"}, was_in_doubt=was_in_doubt)
    assert result.state is expected
    assert expected is not State.DONE or (result.error, result.fix, result.answer) == ("", "", None)


def _apply_retry_policy(step: Step, status: int, *, attempts: int = 1, was_in_doubt: bool = False) -> StepResult:
    body = {"message": "x", "id_from_network": "x", **({} if step.non_idempotent else NUMBER)}
    earlier = (
        StepResult(state=State.SENT, doubt_reason="it broke off") if was_in_doubt else StepResult(state=State.PENDING)
    )
    return outcomes.apply_retry_policy(
        _classify(step, status, body, was_in_doubt=was_in_doubt), step, attempts, earlier
    )


@pytest.mark.parametrize(
    ("status", "was_in_doubt", "attempts", "state"),
    [
        (500, False, 1, State.SENT),
        (500, True, 2, State.SENT),
        (429, False, 1, State.PENDING),
        (429, True, 2, State.SENT),
        (500, False, MAX_ATTEMPTS, State.IN_DOUBT),
        (500, True, MAX_ATTEMPTS, State.IN_DOUBT),
        (429, False, MAX_THROTTLED_ATTEMPTS, State.FAILED),
        (429, True, MAX_ATTEMPTS, State.IN_DOUBT),
        (401, False, 1, State.PENDING),
        (401, True, 2, State.IN_DOUBT),
        (401, False, MAX_ATTEMPTS, State.PENDING),
        (403, False, 1, State.REJECTED),
        (403, True, 2, State.IN_DOUBT),
        (200, True, 2, State.DONE),
    ],
)
def test_retries_of_an_update(status: int, was_in_doubt: Any, attempts: int, state: State) -> None:
    """An update stays `sent` while it may have been applied, and fails only if no attempt can have been applied."""
    result = _apply_retry_policy(STEPS["update promo_numbers"], status, attempts=attempts, was_in_doubt=was_in_doubt)
    assert result.state is state
    assert ("may have been updated" in result.error) == (state in {State.SENT, State.IN_DOUBT})
    assert ("Tried 6 times" in result.error) == (attempts == MAX_ATTEMPTS and status != 401)
    assert ("earlier attempt" in result.error) == (was_in_doubt and status not in {200, 500})
    assert ("(it broke off)" in result.error) == ("earlier attempt" in result.error)


@pytest.mark.parametrize(
    ("status", "attempts", "state"),
    [
        (500, 1, State.IN_DOUBT),
        (429, 1, State.PENDING),
        (429, MAX_THROTTLED_ATTEMPTS, State.FAILED),
        (403, 1, State.REJECTED),
        (201, 1, State.IN_DOUBT),
    ],
)
def test_retries_of_a_purchase(status: int, attempts: int, state: State) -> None:
    """A purchase in doubt is never sent again."""
    assert _apply_retry_policy(PURCHASE, status, attempts=attempts).state is state


@pytest.mark.parametrize("name", STEPS)
def test_texts_name_action_and_object(name: str) -> None:
    """The texts of a step in doubt name the action and the object."""
    step = STEPS[name]
    past = {"create": "created", "update": "updated", "move": "moved", "delete": "deleted"}[step.action]
    result = _classify(step, 502)
    assert result.error.startswith(f"It may have been {past}: ")
    assert f"checks the {RESOURCES[step.resource].singular} " in result.fix
    assert "is harmless" in result.fix
    assert "never sent again" in _classify(PURCHASE, 502).fix


def test_advertiser_with_campaigns() -> None:
    """The row has the platform's message, and a fix that can only be done on the platform."""
    text = "an advertiser with campaigns cannot be deleted"
    result = _classify(STEPS["delete advertisers"], 403, {"errors": {"base": [text]}})
    assert (result.state, result.error) == (State.REJECTED, f"base: {text}")
    assert "campaigns on the platform first" in result.fix
    assert "cannot be deleted here" in result.fix
