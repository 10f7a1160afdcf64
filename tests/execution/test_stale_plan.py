"""Changes by others between plan and update: they are preserved, or the update is not sent."""

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


class Analyst:
    """Exports, plans and runs, while others write to the same sandbox."""

    def __init__(self, platform: Any, network: Network, folder: Path, interrupts: run_sync.Interrupts) -> None:
        self._platform, self._network, self._folder, self._interrupts = platform, network, folder, interrupts

    def write(self, body: dict[str, Any]) -> None:
        response = self._platform("PUT", PATH, body)
        assert response.status_code == 200, response.text

    def read(self) -> dict[str, Any]:
        current: dict[str, Any] = self._platform("GET", PATH).json()
        return current

    def export(self) -> dict[str, Any]:
        return dict(export.export(ADVERTISERS, self._network, Options(**OPTIONS)).frames)

    def plan(self, frames: Any, **options: Any) -> PlanData:
        report = validate_sheet(frames, api_version=self._network.api_version)
        assert report.ok, report.errors.to_string()
        plan = fetch_and_build_plan(report.validated_book, self._network, Options(**OPTIONS, **options))
        assert "error" not in set(plan.issues["level"]), plan.issues.to_string()
        return plan

    def run(self, plan: PlanData) -> list[Any]:
        """Run a plan; returns the result rows of the objects that it changes."""
        with journal.open_for_writing(self._folder, self._network) as store:
            work = execution.workload_from_plan(store.start_run(plan, self._network, now=time.time()), plan)
            result = execute_workload(work, self._network, store, Options(**OPTIONS), self._interrupts)
        return [row for row in result.results.rows if row.outcome != "unchanged"]


@pytest.fixture
def analyst(platform: Any, sandbox: Any, tmp_path: Path) -> Iterator[Analyst]:
    network = Network(base_url=sandbox.base_url, network_id=platform.network_id, token=sandbox.token)
    with run_sync.defer_interrupts() as interrupts:
        analyst = Analyst(platform, network, tmp_path / "journal", interrupts)
        analyst.write(ACME)
        yield analyst


def _changed(edit: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    body = copy.deepcopy(ACME)
    edit(body)
    return body


def _outcomes(rows: list[Any]) -> set[str]:
    return {row.outcome.value for row in rows}


def _part_ids(tree: dict[str, Any], collection: str) -> list[str]:
    return [part["id_from_network"] for part in tree[collection]]


#: Changes that somebody else makes between the plan and its update.
FOREIGN_CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "own value": lambda body: body.update(web_integration_phone_number="8055550199"),
    "custom data": lambda body: body["custom_data"].update(channel="Offline lead"),
    "a user's value": lambda body: body["users"][1].update(first_name="James", role="Super"),
    "a user's address": lambda body: body["users"][1]["email_settings"][0].update(email_address="new@example.com"),
    "address removed": lambda body: body["users"][1]["email_settings"].pop(),
    "user removed": lambda body: body["users"].pop(1),
    "user added": lambda body: body["users"].append(_user(4, "Lou")),
    "site removed": lambda body: body["sites"].pop(),
    "a site's name": lambda body: body["sites"][1].update(name="Pier"),
    "default changed": lambda body: body["sites"].reverse(),
    "the same user's other value": lambda body: body["users"][0].update(last_name="Long"),
}


@pytest.mark.parametrize("name", FOREIGN_CHANGES)
def test_edited_export_reverts_nothing(analyst: Analyst, name: str) -> None:
    """Of a complete export only the changed cell is sent; changes that others made meanwhile are preserved."""
    frames = analyst.export()
    frames["users"].loc[frames["users"]["id_from_network"] == "U-1", "first_name"] = "Anna"
    plan = analyst.plan(frames)
    analyst.write(_changed(FOREIGN_CHANGES[name]))
    expected = analyst.read()
    assert _outcomes(analyst.run(plan)) == {"updated"}
    after = analyst.read()
    assert after["users"][0]["first_name"] == "Anna"
    after["users"][0]["first_name"] = "Ana"
    tokens = {"oauth_refresh_token": expected["oauth_refresh_token"]}
    assert after | tokens == expected


def test_patch_with_merge(analyst: Analyst) -> None:
    """With `merge` the patch has changed values, complete new parts and removals, and nothing that is unchanged."""
    frames = analyst.export()
    users = frames["users"]
    users.loc[users["id_from_network"] == "U-2", "role"] = "Super"
    users.loc[users["id_from_network"] == "U-3", "action"] = "remove"
    advertisers = frames["advertisers"]
    advertisers.loc[advertisers["id_from_network"] == "A-7", "custom_data.channel"] = "Offline lead"
    step = analyst.plan(frames).steps[0]
    assert step.patch is not None
    assert step.patch["values"] == {"custom_data.channel": "Offline lead"}
    parts = {part["id"]: (part["remove"], part["values"]) for part in step.patch["parts"]}
    assert parts["U-2"] == (False, {"role": "Super"})
    assert parts["U-3"][0] is True
    assert set(parts) == {"U-2", "U-3"}


def test_patch_with_replace(analyst: Analyst) -> None:
    """With `replace` the patch lists every part, with its changed values only."""
    frames = analyst.export()
    frames["users"].loc[frames["users"]["id_from_network"] == "U-2", "role"] = "Super"
    step = analyst.plan(frames, nested="replace").steps[0]
    assert step.patch is not None
    parts = {part["id"]: part["values"] for part in step.patch["parts"]}
    assert parts == {"11": {}, "12": {}, "U-1": {}, "U-2": {"role": "Super"}, "U-3": {}}


def test_new_user_is_sent_completely(analyst: Analyst) -> None:
    """All cells of a new user are sent, including the id and the addresses."""
    names = {"advertiser_id_from_network": "A-7", "id_from_network": "U-9", "first_name": "Noa", "last_name": "Lee"}
    phone = {"contact_phone_number": "8055550109", "role": "Member"}
    email = {"email_settings.1.email_address": "u9@example.com", "email_settings.1.use_for_notifications": "TRUE"}
    frames = analyst.export()
    users = frames["users"].reset_index(drop=True)
    users.loc[len(users)] = {**dict.fromkeys(users.columns, ""), **names, **phone, **email}
    plan = analyst.plan({**frames, "users": users})
    analyst.write(_changed(FOREIGN_CHANGES["own value"]))
    assert _outcomes(analyst.run(plan)) == {"updated", "created"}
    after = analyst.read()
    assert after["users"][3]["email_settings"] == [{"email_address": "u9@example.com", "use_for_notifications": True}]
    assert after["web_integration_phone_number"] == "8055550199"


# Email addresses


def _second_address(frames: dict[str, Any], **cells: str) -> dict[str, Any]:
    for name, text in cells.items():
        is_jim = frames["users"]["id_from_network"] == "U-2"
        frames["users"].loc[is_jim, f"email_settings.2.{name}"] = text
    return frames


#: An edit of Jim's second address, and his addresses afterwards.
EDITS: dict[str, tuple[dict[str, str], list[tuple[str, bool]]]] = {
    "another address": ({"email_address": "x@example.com"}, [("u2@example.com", True), ("x@example.com", False)]),
    "its flag": ({"use_for_notifications": "TRUE"}, [("u2@example.com", True), ("u2b@example.com", True)]),
    "cleared": ({"email_address": "[]"}, [("u2@example.com", True)]),
}


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("is_swapped", [False, True], ids=["as planned", "in another order"])
def test_email_edit_applies_to_the_planned_address(analyst: Analyst, name: str, is_swapped: Any) -> None:
    """The number of an address refers to the plan's snapshot, even if the order has changed since."""
    cells, expected = EDITS[name]
    plan = analyst.plan(_second_address(analyst.export(), **cells))
    (part,) = plan.steps[0].patch["parts"]  # type: ignore[index]  an update has a patch
    assert set(part["values"]) == {f"email_settings.2.{path}" for path in cells}
    if is_swapped:
        analyst.write(_changed(lambda body: body["users"][1]["email_settings"].reverse()))
    assert _outcomes(analyst.run(plan)) == {"updated"}
    addresses = [
        (entry["email_address"], entry["use_for_notifications"])
        for entry in analyst.read()["users"][1]["email_settings"]
    ]
    assert (sorted(addresses) if is_swapped else addresses) == (sorted(expected) if is_swapped else expected)


@pytest.mark.parametrize("name", ["another address", "its flag"])
def test_email_edit_of_removed_address_is_not_sent(analyst: Analyst, name: str) -> None:
    """An address that somebody has removed is not restored, neither completely nor in part."""
    plan = analyst.plan(_second_address(analyst.export(), **EDITS[name][0]))
    analyst.write(_changed(FOREIGN_CHANGES["address removed"]))
    before = analyst.read()
    row, *_ = analyst.run(plan)
    assert row.outcome == "rejected"
    assert "mail address u2b@example.com of user Jim Lee (U-2) was removed since the plan was made" in row.error
    assert analyst.read() == before


def test_clearing_a_removed_address(analyst: Analyst) -> None:
    """`[]` for an address that somebody has already removed is done."""
    plan = analyst.plan(_second_address(analyst.export(), email_address="[]"))
    analyst.write(_changed(FOREIGN_CHANGES["address removed"]))
    assert _outcomes(analyst.run(plan)) == {"updated"}
    assert [entry["email_address"] for entry in analyst.read()["users"][1]["email_settings"]] == ["u2@example.com"]


# Updates that are not sent

#: The change of somebody else, the plan's `nested` option, and the error.
CONFLICTS: dict[str, tuple[Callable[[dict[str, Any]], object], str, str]] = {
    "edited user removed": (
        FOREIGN_CHANGES["user removed"],
        "merge",
        "User Jim Lee (U-2) was removed since the plan was made",
    ),
    "other user removed": (
        lambda body: body["users"].pop(),
        "replace",
        "User Kim Lee (U-3) was removed since the plan",
    ),
    "site removed": (
        FOREIGN_CHANGES["site removed"],
        "replace",
        "Site Harbor (12) was removed since the plan was made",
    ),
    "user added": (
        FOREIGN_CHANGES["user added"],
        "replace",
        "User Lou Lee (U-4) was added to the advertiser since the plan",
    ),
    "default changed": (
        FOREIGN_CHANGES["default changed"],
        "replace",
        "The default site was changed since the plan was made",
    ),
    "all users removed": (
        lambda body: body["users"].clear(),
        "merge",
        "User Ana Lee (U-1), user Jim Lee (U-2), user Kim Lee (U-3) were removed since the plan was made",
    ),
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_conflict_is_named_and_nothing_is_sent(analyst: Analyst, name: str) -> None:
    """An update never removes a user who was added since the plan, or restores one who was removed."""
    change, nested, text = CONFLICTS[name]
    frames = analyst.export()
    frames["users"].loc[frames["users"]["id_from_network"] == "U-2", "first_name"] = "James"
    plan = analyst.plan(frames, nested=nested)
    analyst.write(_changed(change))
    before = analyst.read()
    row, *_ = analyst.run(plan)
    assert (row.outcome, row.attempts) == ("rejected", 1)
    assert text in row.error
    assert "nothing was sent" in row.error
    assert "plan" in row.fix
    assert analyst.read() == before


def test_removed_users_may_be_gone_already(analyst: Analyst) -> None:
    """If the sheet removes all users and somebody else was faster, the removals are done."""
    frames = analyst.export()
    frames["users"]["action"] = "remove"
    plan = analyst.plan(frames)
    analyst.write(_changed(lambda body: body["users"].clear()))
    assert _outcomes(analyst.run(plan)) == {"updated", "deleted"}
    assert analyst.read()["users"] == []


def test_order_changed_by_others_is_preserved(analyst: Analyst) -> None:
    """Renaming the second site does not change which site is the default."""
    frames = analyst.export()
    frames["sites"].loc[frames["sites"]["id_from_network"] == "12", "name"] = "Pier"
    plan = analyst.plan(frames)
    analyst.write(_changed(FOREIGN_CHANGES["default changed"]))
    assert _outcomes(analyst.run(plan)) == {"updated"}
    assert _part_ids(analyst.read(), "sites") == ["12", "11"]
