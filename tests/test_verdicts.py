"""What an answer means for a create: the table that decides whether something was bought."""

from __future__ import annotations

import pytest

from invoca_bulk import verdicts
from invoca_bulk.client import Answer
from invoca_bulk.errors import InDoubt, NotSent
from invoca_bulk.journal import State

NUMBER = {"id": 1, "promo_number": "8055550100"}


def _state(status: int, body: object = None) -> State:
    return verdicts.of_answer(Answer(status=status, body=body), {}).state


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
    verdict = verdicts.of_answer(Answer(status=201, body=body), {})
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
    verdict = verdicts.of_answer(Answer(status=401, body=None), {})
    assert (verdict.state, verdict.stop) == (State.PENDING, True)


@pytest.mark.parametrize("status", sorted(set(range(200, 600)) - set(verdicts.CREATE)))
def test_everything_else_is_in_doubt(status: int) -> None:
    """Whatever is not in the table may have been applied."""
    assert _state(status, NUMBER) is State.IN_DOUBT


def test_failures() -> None:
    """What surely was not sent may be sent again; all else is in doubt, with the status where it was seen."""
    assert verdicts.of_failure(NotSent("x")).state is State.PENDING
    doubt = verdicts.of_failure(InDoubt("x", status=201))
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
    assert text in verdicts.of_answer(Answer(status=status, body=body), titles).error
