"""What an answer means for a step: the tables that decide what was done, and what may be sent again."""

from __future__ import annotations

from typing import Any

import pytest

from invoca_bulk.config.settings import MAX_ATTEMPTS, MAX_THROTTLED_ATTEMPTS
from invoca_bulk.errors import InDoubtError, NotSentError
from invoca_bulk.execution import outcomes
from invoca_bulk.execution.outcomes import StepResult
from invoca_bulk.journal import State
from invoca_bulk.planning import Step
from invoca_bulk.schema import OPERATIONS, RESOURCES, Action
from invoca_bulk.transport.client import Response

NUMBER = {"id": 1, "promo_number": "8055550100"}


def _step(resource: str, action: Action, **more: Any) -> Step:
    about = {"number": 0, "verb": OPERATIONS[action].verb, "path": (resource, "x"), "body": None}
    return Step(**{"resource": resource, "action": action, **about, **more})


BUY = _step("promo_numbers", Action.CREATE, once=True)
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
REFUSALS = (400, 403, 404, 405, 413, 415, 422)
NOT_NOW = (401, 425, 429)


def _of(step: Step, status: int, body: Any = None, *, doubted: bool = False, wait: float | None = None) -> StepResult:
    return outcomes.classify_response(
        Response(status=status, body=body, retry_after=wait), step, {}, was_in_doubt=doubted
    )


def _state(status: int, body: object = None) -> State:
    return _of(BUY, status, body).state


@pytest.mark.parametrize("number", ["8055550100", "+18055550100", "(805) 555-0100", "805-555-0100", 8055550100])
def test_numbers_in_any_form_are_numbers(number: object) -> None:
    """However the platform writes it, a number that it names is a number that it gave."""
    assert _state(201, {"promo_number": number}) is State.DONE


@pytest.mark.parametrize("status", [200, 201])
def test_success_with_a_number_is_done(status: int) -> None:
    """Only an answer that names the number is done."""
    assert _state(status, NUMBER) is State.DONE


@pytest.mark.parametrize("body", [None, {}, [], "x", {"promo_number": ""}], ids=repr)
def test_success_without_a_number_is_in_doubt(body: object) -> None:
    """A 201 whose body cannot be read has certainly created something; it is never sent again."""
    verdict = _of(BUY, 201, body)
    assert verdict.state is State.IN_DOUBT
    assert verdict.http_status == 201


@pytest.mark.parametrize("status", [400, 403, 404, 405, 413, 415, 422])
def test_refusals_are_rejected(status: int) -> None:
    """The platform has looked at the request and said no."""
    assert _state(status) is State.REJECTED


@pytest.mark.parametrize("status", [425, 429])
def test_not_now_is_pending(status: int) -> None:
    """The request was refused unprocessed, so it may be sent again."""
    assert _state(status) is State.PENDING


def test_unauthorized_stops_the_run() -> None:
    """A wrong token is wrong for all rows; the step was surely not applied."""
    verdict = _of(BUY, 401)
    assert (verdict.state, verdict.aborts_run) == (State.PENDING, True)


@pytest.mark.parametrize("status", sorted(set(range(200, 600)) - set(outcomes.NON_IDEMPOTENT_POLICY.states_by_status)))
def test_everything_else_is_in_doubt(status: int) -> None:
    """Whatever is not in the table may have been applied."""
    assert _state(status, NUMBER) is State.IN_DOUBT


def test_failures() -> None:
    """What surely was not sent may be sent again; all else is in doubt, with the status where it was seen."""
    assert outcomes.classify_failure(NotSentError("x"), BUY).state is State.PENDING
    doubt = outcomes.classify_failure(InDoubtError("x", status=201), BUY)
    assert (doubt.state, doubt.http_status) == (State.IN_DOUBT, 201)


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
        (400, {"errors": "odd"}, '{"errors": "odd"} (400)'),
        (422, {"errors": ["too long"]}, "too long"),
        (422, {"error": "campaign is closed"}, "campaign is closed"),
        (502, None, "answered 502"),
        (403, {"errors": {"a": [{"b": 1}]}}, "a.1.b: 1"),
        (403, {"errors": {"a": None}}, "a: None"),
    ],
)
def test_reason_is_kept_in_the_sheets_words(status: int, body: object, text: str) -> None:
    """Field errors come by column title, a 500's handle is kept, and there is always a reason."""
    titles = {"description": "Text", "local_center.tn_prefix": "Area code"}
    assert text in outcomes.classify_response(Response(status=status, body=body), BUY, titles).error


def test_errors_of_users_name_the_user() -> None:
    """A nested error comes by the sheet's title where there is one, and by the id: its number is not the sheet's."""
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
        "Phone 1 (U-1): is odd; users.2.role (U-2): is odd; users.3.role: none; sites.1.name: is long; "
        "Advertiser: is taken"
    )


# What may be repeated


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("status", [200, 201])
def test_success_of_what_may_be_repeated(name: str, status: int) -> None:
    """An answer with the object is done."""
    assert _of(STEPS[name], status, {"id": 1, "id_from_network": "x", **NUMBER}).state is State.DONE


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("status", REFUSALS)
def test_refusals_of_what_may_be_repeated(name: str, status: int) -> None:
    """The platform said no: its words, and what to do about it."""
    verdict = _of(STEPS[name], status, {"message": "no"})
    assert (verdict.state, verdict.error) == (State.REJECTED, f"no ({status})")
    assert verdict.fix


@pytest.mark.parametrize("name", STEPS)
def test_not_now_of_what_may_be_repeated(name: str) -> None:
    """What was refused unprocessed may be sent again, except where nobody is let in."""
    verdicts_of = {status: _of(STEPS[name], status, wait=3.0) for status in NOT_NOW}
    assert {one.state for one in verdicts_of.values()} == {State.PENDING}
    assert {status: one.aborts_run for status, one in verdicts_of.items()} == {401: True, 425: False, 429: False}
    assert verdicts_of[429].retry_after == 3.0


@pytest.mark.parametrize("name", STEPS)
def test_everything_else_of_what_may_be_repeated_is_in_doubt(name: str) -> None:
    """Whatever is not in the table may have been applied."""
    step = STEPS[name]
    known = {200, 201, *REFUSALS, *NOT_NOW, *({204} if step.action is Action.DELETE else ())}
    assert set(outcomes.response_policy_for(step).states_by_status) == known
    assert {_of(step, status, {"id": 1}).state for status in set(range(200, 600)) - known} == {State.IN_DOUBT}


def test_only_what_is_bought_is_never_repeated() -> None:
    """Another request for a number buys another number; all the rest comes to the same when it is done twice."""
    assert not outcomes.response_policy_for(BUY).retryable
    assert not outcomes.response_policy_for(_step("advertisers", Action.CREATE, once=True)).retryable
    assert all(outcomes.response_policy_for(one).retryable for one in STEPS.values())


@pytest.mark.parametrize("body", [None, [], "x", True], ids=repr)
@pytest.mark.parametrize(
    ("name", "state"),
    [(name, State.DONE if step.action is Action.DELETE else State.IN_DOUBT) for name, step in STEPS.items()],
)
def test_success_without_an_object(name: str, state: State, body: object) -> None:
    """Half an answer proves nothing; of a deletion the status is enough."""
    assert _of(STEPS[name], 200, body).state is state


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
@pytest.mark.parametrize("once", [True, False])
def test_a_new_advertiser_has_an_id(body: object, state: State, once: Any) -> None:
    """A create that does not say which advertiser it made is in doubt."""
    assert _of(_step("advertisers", Action.CREATE, once=once), 201, body).state is state


# After an attempt in doubt


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("doubted", [False, True])
def test_gone(name: str, doubted: Any) -> None:
    """404 after a deletion in doubt is done, after a move in doubt it is to be looked up; else it is a refusal."""
    after = {Action.DELETE: State.DONE, Action.MOVE: State.IN_DOUBT} if doubted else {}
    expected = after.get(STEPS[name].action, State.REJECTED)
    verdict = _of(STEPS[name], 404, {"message": "none"}, doubted=doubted)
    assert verdict.state is expected
    assert expected is not State.DONE or (verdict.error, verdict.fix, verdict.answer) == ("", "", None)


def _after(step: Step, status: int, *, attempts: int = 1, doubted: bool = False) -> StepResult:
    done = {"message": "x", "id_from_network": "x", **({} if step.non_idempotent else NUMBER)}
    earlier = StepResult(state=State.SENT, doubt_reason="it broke off") if doubted else StepResult(state=State.PENDING)
    return outcomes.apply_retry_policy(_of(step, status, done, doubted=doubted), step, attempts, earlier)


@pytest.mark.parametrize(
    ("status", "doubted", "attempts", "state"),
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
def test_what_an_update_comes_to(status: int, doubted: Any, attempts: int, state: State) -> None:
    """It stays `sent` while it may have been applied, and fails only if no attempt can have done anything."""
    verdict = _after(STEPS["update promo_numbers"], status, attempts=attempts, doubted=doubted)
    assert verdict.state is state
    assert ("may have been updated" in verdict.error) == (state in {State.SENT, State.IN_DOUBT})
    assert ("Tried 6 times" in verdict.error) == (attempts == MAX_ATTEMPTS and status != 401)
    assert ("earlier try" in verdict.error) == (doubted and status not in {200, 500})
    assert ("(it broke off)" in verdict.error) == ("earlier try" in verdict.error)


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
def test_what_a_purchase_comes_to(status: int, attempts: int, state: State) -> None:
    """It is never `sent` again while it is in doubt."""
    assert _after(BUY, status, attempts=attempts).state is state


@pytest.mark.parametrize("name", STEPS)
def test_words_fit_the_action(name: str) -> None:
    """What may have happened is called by its name, and so is the object."""
    step = STEPS[name]
    past = {"create": "created", "update": "updated", "move": "moved", "delete": "deleted"}[step.action]
    verdict = _of(step, 502)
    assert verdict.error.startswith(f"It may have been {past}: ")
    assert f"looking at the {RESOURCES[step.resource].singular} again" in verdict.fix
    assert "is harmless" in verdict.fix
    assert "never sent again" in _of(BUY, 502).fix


def test_an_advertiser_with_campaigns() -> None:
    """The platform's own text stands on the row, and what to do about it, which cannot be done here."""
    text = "an advertiser with campaigns cannot be deleted"
    verdict = _of(STEPS["delete advertisers"], 403, {"errors": {"base": [text]}})
    assert (verdict.state, verdict.error) == (State.REJECTED, f"base: {text}")
    assert "campaigns on the platform first" in verdict.fix
    assert "cannot be deleted here" in verdict.fix
