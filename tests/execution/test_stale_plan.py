"""What others do to an advertiser between the plan and its update: it stays, or the update is not sent."""

from __future__ import annotations

import copy
import time
from typing import TYPE_CHECKING, Any

import pytest

from invoca_bulk import execution, journal
from invoca_bulk.config.network import Network
from invoca_bulk.config.options import Options
from invoca_bulk.schema import ADVERTISERS
from invoca_bulk.service import export
from invoca_bulk.service.execute import execute_workload
from invoca_bulk.service.plan import fetch_and_build_plan, validate_sheet
from invoca_bulk.transport import run_sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from invoca_bulk.planning import PlanData

OPTIONS: dict[str, Any] = {"progress": False, "concurrency": 1, "first_backoff": 0.01}
PATH = "advertisers/A-7"


def _user(number: int, first: str) -> dict[str, Any]:
    return {
        "id_from_network": f"U-{number}",
        "email_settings": [
            {"email_address": f"u{number}@example.com", "use_for_notifications": True},
            {"email_address": f"u{number}b@example.com", "use_for_notifications": False},
        ],
        "first_name": first,
        "last_name": "Lee",
        "contact_phone_number": f"80555501{number:02}",
        "role": "Manager",
    }


ACME: dict[str, Any] = {
    "name": "Acme",
    "web_integration_phone_number": "8004377950",
    "sites": [{"id_from_network": "11", "name": "Main"}, {"id_from_network": "12", "name": "Harbor"}],
    "users": [_user(1, "Ana"), _user(2, "Jim"), _user(3, "Kim")],
    "custom_data": {"channel": "Online lead"},
}


class Desk:
    """An analyst's desk: exports, plans and carries out, while others write to the same sandbox."""

    def __init__(self, platform: Any, network: Network, folder: Path, held: run_sync.Interrupts) -> None:
        self._platform, self._network, self._folder, self._held = platform, network, folder, held

    def write(self, body: dict[str, Any]) -> None:
        answer = self._platform("PUT", PATH, body)
        assert answer.status_code == 200, answer.text

    def now(self) -> dict[str, Any]:
        found: dict[str, Any] = self._platform("GET", PATH).json()
        return found

    def export(self) -> dict[str, Any]:
        return dict(export.export(ADVERTISERS, self._network, Options(**OPTIONS)).frames)

    def plan(self, frames: Any, **choices: Any) -> PlanData:
        report = validate_sheet(frames, api_version=self._network.api_version)
        assert report.ok, report.errors.to_string()
        made = fetch_and_build_plan(report.validated_book, self._network, Options(**OPTIONS, **choices))
        assert "error" not in set(made.issues["level"]), made.issues.to_string()
        return made

    def do(self, plan: PlanData) -> list[Any]:
        """The results' rows of what is changed, once the plan was carried out."""
        with journal.open_for_writing(self._folder, self._network) as book:
            work = execution.workload_from_plan(book.start_run(plan, self._network, now=time.time()), plan)
            finished = execute_workload(work, self._network, book, Options(**OPTIONS), self._held)
        return [row for row in finished.results.rows if row.outcome != "unchanged"]


@pytest.fixture
def desk(platform: Any, sandbox: Any, tmp_path: Path) -> Iterator[Desk]:
    network = Network(base_url=sandbox.base_url, network_id=platform.network_id, token=sandbox.token)
    with run_sync.defer_interrupts() as held:
        made = Desk(platform, network, tmp_path / "journal", held)
        made.write(ACME)
        yield made


def _changed(edit: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    body = copy.deepcopy(ACME)
    edit(body)
    return body


def _outcomes(rows: list[Any]) -> set[str]:
    return {row.outcome.value for row in rows}


def _named(tree: dict[str, Any], collection: str) -> list[str]:
    return [one["id_from_network"] for one in tree[collection]]


#: What somebody else does between the plan and its update.
OTHERS: dict[str, Callable[[dict[str, Any]], object]] = {
    "own value": lambda body: body.update(web_integration_phone_number="8055550199"),
    "custom data": lambda body: body["custom_data"].update(channel="Offline lead"),
    "a user's value": lambda body: body["users"][1].update(first_name="James", role="Super"),
    "a user's address": lambda body: body["users"][1]["email_settings"][0].update(email_address="new@example.com"),
    "an address less": lambda body: body["users"][1]["email_settings"].pop(),
    "a user less": lambda body: body["users"].pop(1),
    "a user more": lambda body: body["users"].append(_user(4, "Lou")),
    "a site less": lambda body: body["sites"].pop(),
    "a site's name": lambda body: body["sites"][1].update(name="Pier"),
    "another default": lambda body: body["sites"].reverse(),
    "the same user's other value": lambda body: body["users"][0].update(last_name="Long"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_an_export_with_one_changed_cell_reverts_nothing(desk: Desk, name: str) -> None:
    """Of a whole export only what was changed is sent: whatever others have changed meanwhile stays as they left it."""
    frames = desk.export()
    frames["users"].loc[frames["users"]["id_from_network"] == "U-1", "first_name"] = "Anna"
    plan = desk.plan(frames)
    desk.write(_changed(OTHERS[name]))
    expected = desk.now()
    assert _outcomes(desk.do(plan)) == {"updated"}
    after = desk.now()
    assert after["users"][0]["first_name"] == "Anna"
    after["users"][0]["first_name"] = "Ana"
    tokens = {"oauth_refresh_token": expected["oauth_refresh_token"]}
    assert after | tokens == expected


def test_the_patch_is_what_the_plan_shows(desk: Desk) -> None:
    """Under `merge`: changed values, new parts as a whole, removals, and nothing of what stays as it is."""
    frames = desk.export()
    users = frames["users"]
    users.loc[users["id_from_network"] == "U-2", "role"] = "Super"
    users.loc[users["id_from_network"] == "U-3", "action"] = "remove"
    own = frames["advertisers"]
    own.loc[own["id_from_network"] == "A-7", "custom_data.channel"] = "Offline lead"
    step = desk.plan(frames).steps[0]
    assert step.patch is not None
    assert step.patch["values"] == {"custom_data.channel": "Offline lead"}
    found = {one["id"]: (one["remove"], one["values"]) for one in step.patch["parts"]}
    assert found["U-2"] == (False, {"role": "Super"})
    assert found["U-3"][0] is True
    assert set(found) == {"U-2", "U-3"}


def test_the_patch_of_a_set(desk: Desk) -> None:
    """Under `replace` each part stays in the set, with its changed values only."""
    frames = desk.export()
    frames["users"].loc[frames["users"]["id_from_network"] == "U-2", "role"] = "Super"
    step = desk.plan(frames, nested="replace").steps[0]
    assert step.patch is not None
    found = {one["id"]: one["values"] for one in step.patch["parts"]}
    assert found == {"11": {}, "12": {}, "U-1": {}, "U-2": {"role": "Super"}, "U-3": {}}


def test_a_user_that_is_added_is_added_as_a_whole(desk: Desk) -> None:
    """All cells of a new user are sent, the id and the addresses too."""
    told = {"advertiser_id_from_network": "A-7", "id_from_network": "U-9", "first_name": "Noa", "last_name": "Lee"}
    phone = {"contact_phone_number": "8055550109", "role": "Member"}
    email = {"email_settings.1.email_address": "u9@example.com", "email_settings.1.use_for_notifications": "TRUE"}
    frames = desk.export()
    users = frames["users"].reset_index(drop=True)
    users.loc[len(users)] = {**dict.fromkeys(users.columns, ""), **told, **phone, **email}
    plan = desk.plan({**frames, "users": users})
    desk.write(_changed(OTHERS["own value"]))
    assert _outcomes(desk.do(plan)) == {"updated", "created"}
    after = desk.now()
    assert after["users"][3]["email_settings"] == [{"email_address": "u9@example.com", "use_for_notifications": True}]
    assert after["web_integration_phone_number"] == "8055550199"


# Email addresses


def _second_address(frames: dict[str, Any], **cells: str) -> dict[str, Any]:
    for name, text in cells.items():
        is_jim = frames["users"]["id_from_network"] == "U-2"
        frames["users"].loc[is_jim, f"email_settings.2.{name}"] = text
    return frames


#: The edit of Jim's second address, and his addresses afterwards.
EDITS: dict[str, tuple[dict[str, str], list[tuple[str, bool]]]] = {
    "another address": ({"email_address": "x@example.com"}, [("u2@example.com", True), ("x@example.com", False)]),
    "its flag": ({"use_for_notifications": "TRUE"}, [("u2@example.com", True), ("u2b@example.com", True)]),
    "cleared": ({"email_address": "[]"}, [("u2@example.com", True)]),
}


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("is_swapped", [False, True], ids=["as planned", "in another order"])
def test_an_email_edit_means_the_address_that_the_plan_showed(desk: Desk, name: str, is_swapped: Any) -> None:
    """The number of an address is the one that the plan saw, whatever order they have come into since."""
    cells, expected = EDITS[name]
    plan = desk.plan(_second_address(desk.export(), **cells))
    (part,) = plan.steps[0].patch["parts"]  # type: ignore[index]  an update has a patch
    assert set(part["values"]) == {f"email_settings.2.{path}" for path in cells}
    if is_swapped:
        desk.write(_changed(lambda body: body["users"][1]["email_settings"].reverse()))
    assert _outcomes(desk.do(plan)) == {"updated"}
    found = [(one["email_address"], one["use_for_notifications"]) for one in desk.now()["users"][1]["email_settings"]]
    assert (sorted(found) if is_swapped else found) == (sorted(expected) if is_swapped else expected)


@pytest.mark.parametrize("name", ["another address", "its flag"])
def test_an_email_edit_of_what_is_gone_is_not_sent(desk: Desk, name: str) -> None:
    """An address that somebody has taken away is neither brought back nor left half."""
    plan = desk.plan(_second_address(desk.export(), **EDITS[name][0]))
    desk.write(_changed(OTHERS["an address less"]))
    before = desk.now()
    row, *_ = desk.do(plan)
    assert row.outcome == "rejected"
    assert "mail address u2b@example.com of user Jim Lee (U-2) was removed since the plan was made" in row.error
    assert desk.now() == before


def test_an_address_that_is_gone_already_is_cleared(desk: Desk) -> None:
    """`[]` for an address that somebody has taken away is done."""
    plan = desk.plan(_second_address(desk.export(), email_address="[]"))
    desk.write(_changed(OTHERS["an address less"]))
    assert _outcomes(desk.do(plan)) == {"updated"}
    assert [one["email_address"] for one in desk.now()["users"][1]["email_settings"]] == ["u2@example.com"]


# What is not sent

#: What others do, what the plan is made with, and the error.
SURPRISES: dict[str, tuple[Callable[[dict[str, Any]], object], str, str]] = {
    "the user is gone": (OTHERS["a user less"], "merge", "User Jim Lee (U-2) was removed since the plan was made"),
    "another one is gone": (
        lambda body: body["users"].pop(),
        "replace",
        "User Kim Lee (U-3) was removed since the plan",
    ),
    "a site is gone": (OTHERS["a site less"], "replace", "Site Harbor (12) was removed since the plan was made"),
    "a user came": (OTHERS["a user more"], "replace", "User Lou Lee (U-4) came to the advertiser since the plan"),
    "another default": (OTHERS["another default"], "replace", "The default site was changed since the plan was made"),
    "all users are gone": (
        lambda body: body["users"].clear(),
        "merge",
        "User Ana Lee (U-1), user Jim Lee (U-2), user Kim Lee (U-3) were removed since the plan was made",
    ),
}


@pytest.mark.parametrize("name", SURPRISES)
def test_a_surprise_is_named_and_nothing_is_sent(desk: Desk, name: str) -> None:
    """What the plan has not shown is not done: who came does not go, and who was taken away does not come back."""
    others, nested, text = SURPRISES[name]
    frames = desk.export()
    frames["users"].loc[frames["users"]["id_from_network"] == "U-2", "first_name"] = "James"
    plan = desk.plan(frames, nested=nested)
    desk.write(_changed(others))
    before = desk.now()
    row, *_ = desk.do(plan)
    assert (row.outcome, row.attempts) == ("rejected", 1)
    assert text in row.error
    assert "nothing was sent" in row.error
    assert "plan" in row.fix
    assert desk.now() == before


def test_whoever_the_sheet_removes_may_be_gone(desk: Desk) -> None:
    """All users are gone because the sheet takes them all away, and somebody else was faster."""
    frames = desk.export()
    frames["users"]["action"] = "remove"
    plan = desk.plan(frames)
    desk.write(_changed(lambda body: body["users"].clear()))
    assert _outcomes(desk.do(plan)) == {"updated", "deleted"}
    assert desk.now()["users"] == []


def test_an_order_that_others_have_changed_stays(desk: Desk) -> None:
    """A new name of the second site changes nothing of which site is the default."""
    frames = desk.export()
    frames["sites"].loc[frames["sites"]["id_from_network"] == "12", "name"] = "Pier"
    plan = desk.plan(frames)
    desk.write(_changed(OTHERS["another default"]))
    assert _outcomes(desk.do(plan)) == {"updated"}
    assert _named(desk.now(), "sites") == ["12", "11"]
