"""What the platform's answers mean in all the forms that were seen: errors, and successes without a body."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import invoca_bulk as ib
from invoca_bulk.execution import lookup, outcomes
from invoca_bulk.execution.outcomes import StepResult
from invoca_bulk.journal import State
from invoca_bulk.planning import Step
from invoca_bulk.sandbox_server import Sandbox
from invoca_bulk.schema import Action
from invoca_bulk.transport.client import Client, Response
from tests.examples import GOOD

if TYPE_CHECKING:
    from collections.abc import Callable

ERRORS: dict[str, tuple[Any, str]] = {
    "error, text": ({"error": "Not now"}, "Not now (403)"),
    "error, fields": ({"error": {"name": ["is taken"]}}, "Advertiser: is taken"),
    "errors, list": ({"errors": ["Not now", "Try later"]}, "Not now; Try later (403)"),
    "errors, text": ({"errors": "Not now"}, "Not now (403)"),
    "error, class": (
        {"error": {"class": "UnauthorizedOperation", "invalid_data": "no"}},
        "no (UnauthorizedOperation, 403)",
    ),
    "users by position": (
        {"errors": {"users": [{}, {"email_settings": [{"email_address": ["is invalid"]}]}]}},
        "users Email (U-2): is invalid",
    ),
    "users by id": ({"errors": {"users": {"U-2": {"email_address": ["is invalid"]}}}}, "users Email (U-2): is invalid"),
    "a field without a column": (
        {"errors": {"users": [{"last_name": ["is too long"]}]}},
        "last_name of user U-1: is too long",
    ),
}
TITLES = {"name": "Advertiser", "users.#.email_settings.#.email_address": "users Email"}


@pytest.mark.parametrize(("body", "text"), ERRORS.values(), ids=ERRORS)
def test_error_text(body: Any, text: str) -> None:
    """Each form of an error is worded, with the sheet's title and the id of the user."""
    sent = {"users": [{"id_from_network": "U-1"}, {"id_from_network": "U-2"}]}
    assert outcomes.describe_error_response(Response(status=403, body=body), TITLES, sent) == text


def _person(own_id: str) -> dict[str, Any]:
    """A user as the platform shows one."""
    settings = [{"email_address": f"{own_id}@example.com".lower(), "use_for_notifications": True}]
    named = {"first_name": "Ana", "last_name": own_id, "phone_number": "8055550100"}
    return {"id_from_network": own_id, "email_settings": settings, **named}


def _cells(number: int, own_id: str, **more: str) -> dict[str, str]:
    """The cells of a user under a number."""
    values = {"id_from_network": own_id, "first_name": "Ana", "last_name": own_id, "contact_phone_number": "8055550100"}
    values |= {"email_address": f"{own_id}@example.com".lower(), "email_settings.1.use_for_notifications": "TRUE"}
    return {f"users.{number}.{name}": text for name, text in (values | more).items()}


#: The error in the body of an answer, with the position of the user, or its id.
REFUSALS: dict[str, Any] = {
    "position": lambda position, _: [*[{}] * position, {"email_settings": [{"email_address": ["is invalid"]}]}],
    "id": lambda _, own_id: {own_id: {"email_address": ["is invalid"]}},
}


@pytest.mark.parametrize("form", ["position", "id"])
def test_the_cell_of_a_new_user(odd: Any, reply: Any, form: str) -> None:
    """With a blank user in between, the second user of the request is the third of the sheet."""
    odd.reads.extend([reply(200, []), reply(404, {"errors": {"class": "RecordNotFound"}})])
    odd.replies.append(reply(403, {"errors": {"users": REFUSALS[form](1, "U-3")}}))
    blank = dict.fromkeys(_cells(2, "U-2"), "")
    row = {"id_from_network": "A-1", "name": "One", "sites.1.id_from_network": "1"}
    frame = pd.DataFrame([{**row, **_cells(1, "U-1"), **blank, **_cells(3, "U-3")}])
    results = ib.run(frame, odd.network(), resource="advertisers", yes=True, progress=False)
    assert list(results["result_error"]) == ["users.3.email_address (U-3): is invalid"]


@pytest.mark.parametrize("form", ["position", "id"])
@pytest.mark.parametrize(
    ("position", "own_id", "text"),
    [
        (0, "U-8", "email_settings.1.email_address of user U-8: is invalid"),
        (1, "U-9", "users.2.email_address (U-9): is invalid"),
        (2, "U-1", "users.1.email_address (U-1): is invalid"),
    ],
)
def test_the_cell_of_a_user_beside_others(
    odd: Any, reply: Any, form: str, *, position: int, own_id: str, text: str
) -> None:
    """Users of the platform come first in the request; those that the sheet does not have are named by their ids."""
    listed = {**ADVERTISER, "users": [_person("U-8"), _person("U-9")]}
    odd.reads.extend([reply(200, [listed]), reply(200, listed)])
    odd.replies.append(reply(403, {"errors": {"users": REFUSALS[form](position, own_id)}}))
    frame = pd.DataFrame([{"id_from_network": "A-1", **_cells(1, "U-1"), **_cells(2, "U-9", first_name="Bo")}])
    results = ib.run(frame, odd.network(), resource="advertisers", yes=True, progress=False)
    expected = text.removeprefix("email_settings.1.") if form == "id" else text
    assert list(results["result_error"]) == [expected]


def test_the_cell_of_a_user_with_a_row_of_its_own(odd: Any, reply: Any) -> None:
    """Where each user has a row, its cell has no number."""
    odd.reads.extend([reply(200, []), reply(404, {"errors": {"class": "RecordNotFound"}})])
    odd.replies.append(reply(403, {"errors": {"users": REFUSALS["position"](1, "")}}))
    row = {"id_from_network": "A-1", "name": "One", "sites.id_from_network": "1"}
    rows = [
        {**row, **{name.replace("users.1.", "users."): text for name, text in _cells(1, own_id).items()}}
        for own_id in ("U-1", "U-2")
    ]
    results = ib.run(pd.DataFrame(rows), odd.network(), resource="advertisers", yes=True, progress=False)
    assert list(results["result_error"]) == ["users.email_address (U-2): is invalid"] * 2


ADDRESSES = ((1, "new"), (2, "u-1"))


def test_the_cell_of_an_address(odd: Any, reply: Any) -> None:
    """The platform's first address may be the sheet's second."""
    listed = {**ADVERTISER, "users": [_person("U-1")]}
    odd.reads.extend([reply(200, [listed]), reply(200, listed)])
    errors = [{"email_settings": [{"email_address": ["is invalid"]}, {"email_address": ["is taken"]}]}]
    odd.replies.append(reply(403, {"errors": {"users": errors}}))
    cells = {f"users.1.email_settings.{number}.email_address": f"{name}@example.com" for number, name in ADDRESSES}
    cells |= {f"users.1.email_settings.{number}.use_for_notifications": "TRUE" for number in (1, 2)}
    frame = pd.DataFrame([{"id_from_network": "A-1", "users.1.id_from_network": "U-1", **cells}])
    results = ib.run(frame, odd.network(), resource="advertisers", yes=True, progress=False)
    address = "users.1.email_settings.{}.email_address (U-1): {}"
    assert list(results["result_error"]) == [f"{address.format(2, 'is invalid')}; {address.format(1, 'is taken')}"]


ADVERTISER: dict[str, Any] = {
    "id": 1,
    "id_from_network": "A-1",
    "name": "Old",
    "sites": [{"id_from_network": "1", "name": ""}],
    "users": [],
}


@pytest.mark.parametrize(("status", "body"), [(200, b""), (200, b"{}"), (200, b"null"), (201, b"null"), (204, b"")])
def test_update_without_a_body(odd: Any, reply: Any, raw_reply: Any, status: int, body: bytes) -> None:
    """A success that shows nothing is confirmed by one read, and the write is not sent again."""
    renamed = {**ADVERTISER, "name": "New"}
    odd.reads.extend([reply(200, [ADVERTISER]), reply(200, ADVERTISER), reply(200, renamed)])
    odd.replies.append(raw_reply(status=status, body=body))
    frame = pd.DataFrame([{"id_from_network": "A-1", "name": "New"}])
    results = ib.run(frame, odd.network(), resource="advertisers", yes=True, progress=False)
    assert list(results["result_status"]) == ["updated"]
    assert [verb for verb, _, _ in odd.requests] == ["GET", "GET", "PUT", "GET"]


def test_update_that_was_not_applied(odd: Any, reply: Any, raw_reply: Any) -> None:
    """If the read shows the old value, the write is repeated."""
    renamed = {**ADVERTISER, "name": "New"}
    odd.reads.extend([reply(200, [ADVERTISER]), *[reply(200, ADVERTISER)] * 3])
    odd.replies.extend([raw_reply(status=200), reply(200, renamed)])
    frame = pd.DataFrame([{"id_from_network": "A-1", "name": "New"}])
    results = ib.run(frame, odd.network(), resource="advertisers", yes=True, progress=False, first_backoff=0.01)
    assert list(results["result_status"]) == ["updated"]
    assert [verb for verb, _, _ in odd.requests].count("PUT") == 2


PAT = {"id_from_network": "U-1", "first_name": "Pat"}
LEE = {"id_from_network": "U-2", "first_name": "Lee"}
#: What was sent, and what is read afterwards.
UNAPPLIED: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "a cleared value": ("promo_numbers", {"adwords_account_id": None}, {"adwords_account_id": "627-345-9815"}),
    "a cleared custom field": ("promo_numbers", {"custom_data": {"a": None}}, {"custom_data": {"a": "b"}}),
    "cleared hours": ("promo_numbers", {"hours_of_operation": None}, {"hours_of_operation": {"time_zone": "UTC"}}),
    "a removed user": ("advertisers", {"users": [PAT]}, {"users": [PAT, LEE]}),
    "an added user": ("advertisers", {"users": [PAT, LEE]}, {"users": [PAT]}),
}


@pytest.mark.parametrize("is_applied", [False, True])
@pytest.mark.parametrize("case", UNAPPLIED)
def test_what_is_cleared_or_removed_is_looked_for_too(odd: Any, reply: Any, case: str, *, is_applied: bool) -> None:
    """A success without a body is confirmed by a read only if that lacks what was taken away."""
    resource, sent, unchanged = UNAPPLIED[case]
    shown = {name: [] if value is None else value for name, value in sent.items()} if is_applied else unchanged
    name = "8055550100" if resource == "promo_numbers" else "A-1"
    current = {**ADVERTISER, "promo_number": name, **unchanged}
    parts = {"sites": ADVERTISER["sites"]} if resource == "advertisers" else {}
    step = Step(
        number=0,
        resource=resource,
        action=Action.UPDATE,
        verb="PUT",
        path=(resource, name),
        body=parts | sent,
        snapshot=current,
    )
    odd.reads.append(reply(200, {**current, **shown}))

    async def confirm() -> StepResult:
        result = StepResult(state=State.IN_DOUBT, is_empty_success=True)
        async with Client(odd.network(), connections=1, timeout=5) as client:
            return await lookup.confirm_after_doubt(client, 0, step, result, was_in_doubt=False)

    assert (asyncio.run(confirm()).state is State.DONE) is is_applied


def _refusal(error_class: str) -> dict[str, Any]:
    return {"errors": {"class": error_class, "invalid_data": "not allowed"}}


@pytest.fixture
def buy(odd: Any) -> Callable[..., pd.DataFrame]:
    """Buys numbers on the odd platform, one at a time."""

    def run(count: int) -> pd.DataFrame:
        frame = pd.DataFrame([{**GOOD, "description": f"Number {number}"} for number in range(count)])
        results = ib.run(frame, odd.network(), yes=True, progress=False, concurrency=1)
        assert isinstance(results, pd.DataFrame)
        return results

    return run


@pytest.mark.parametrize("error_class", ["UnauthorizedOperation", "UnauthorizedAdvertiser"])
def test_token_without_rights(odd: Any, reply: Any, buy: Any, error_class: str) -> None:
    """If every row gets it, the run stops; the other rows are not sent."""
    odd.replies.extend([reply(403, _refusal(error_class))] * 8)
    with pytest.warns(UserWarning, match="token|aborted") as caught:
        results = buy(8)
    assert error_class in str(caught[0].message)
    assert "refuses what the rows ask with this token" in str(caught[0].message)
    assert list(results["result_status"]) == ["rejected"] * 5 + ["not_sent"] * 3
    assert results["result_fix"].iloc[0].startswith("The token lacks a right")
    assert len(odd.posts) == 5


def test_one_row_without_rights(odd: Any, reply: Any, buy: Any, recwarn: pytest.WarningsRecorder) -> None:
    """Where other rows are done, it is about the row's advertiser, and the run goes on."""
    created = {"id": 1, "promo_number": "8055550100"}
    odd.replies.extend([reply(201, created), *[reply(403, _refusal("UnauthorizedAdvertiser"))] * 6])
    assert list(buy(7)["result_status"]) == ["created", *["rejected"] * 6]
    assert not [warning for warning in recwarn if "token" in str(warning.message)]


def test_allowance() -> None:
    """A used-up allowance is told, with what to do."""
    with Sandbox(open_campaigns=True, campaign_allowance=1) as sandbox:
        frame = pd.DataFrame([{**GOOD, "description": f"Number {number}"} for number in range(2)])
        results = ib.run(frame, sandbox, progress=False, concurrency=1)
    assert list(results["result_status"]) == ["created", "rejected"]
    assert "promo number limit" in results["result_error"].iloc[1]
    assert "has used up its allowance of promo numbers" in results["result_fix"].iloc[1]
