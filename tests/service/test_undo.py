"""Undo over HTTP: the changes of a run are undone, and what is not undone is reported."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import invoca_bulk as ib
from invoca_bulk import journal, planning, validation
from invoca_bulk.config.journal_location import resolve_journal_location
from invoca_bulk.config.network import Network
from invoca_bulk.journal.sqlite import journal_file
from invoca_bulk.planning import Step, merge
from invoca_bulk.schema import ADVERTISERS, PROMO_NUMBERS, Action
from invoca_bulk.service.undo import undo_sheets
from invoca_bulk.service.undo.changes import AppliedChange
from invoca_bulk.service.undo.undo_rows import Reversal, build_reversal
from tests.examples import with_row_numbers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from invoca_bulk.sandbox_server import Sandbox
    from invoca_bulk.service.undo import Undo

    Edit = Callable[["Stage"], Any]

CAMPAIGN = {"advertiser_id_from_network": "A-100", "advertiser_campaign_id_from_network": "C-100"}
OTHER = CAMPAIGN | {"advertiser_campaign_id_from_network": "C-101"}
AFFILIATE = CAMPAIGN | {"affiliate_id_from_network": "F-1"}
HARBOR = {"advertiser_id_from_network": "A-200", "advertiser_campaign_id_from_network": "C-200"}
HARBOR_1 = HARBOR | {"affiliate_id_from_network": "F-1"}
HARBOR_2 = HARBOR | {"affiliate_id_from_network": "F-2"}
CAMPAIGNS = (CAMPAIGN, OTHER, AFFILIATE, HARBOR, HARBOR_1, HARBOR_2)
VERSION = "2022-08-01"
PLAIN = {"description": "Spring sale", "media_type": "Online: Display"}


def to(campaign: dict[str, str]) -> dict[str, str]:
    return {f"destination_{name}": text for name, text in campaign.items()}


def user(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id_from_network": f"U-{number}",
        "first_name": f"Ana{number}",
        "last_name": "O'Neil, jr",
        "contact_phone_number": f"805555010{number}",
        "role": "Member",
        "email_settings": [
            {"email_address": f"u{number}@example.com", "use_for_notifications": True},
            {"email_address": f"u{number}b@example.com", "use_for_notifications": False},
        ],
        **more,
    }


ADVERTISER: dict[str, Any] = {
    "id_from_network": "B-1",
    "name": "Business & Sons",
    "approval_status": "Suspended",
    "web_integration_phone_number": "8004377950",
    "sites": [{"id_from_network": "0315", "name": "first"}, {"id_from_network": "996", "name": ""}],
    "users": [user(1), user(2, notify_on_budgets=True), user(3)],
    "custom_data": {"channel": "Online lead", "a.b": "007"},
}


def _as_read(source: Any) -> Any:
    """The frames with row numbers, unless they have their own."""
    if isinstance(source, dict):
        return {name: _as_read(frame) for name, frame in source.items()}
    is_own = isinstance(source, pd.DataFrame) and source.index.name is None
    return with_row_numbers(source) if is_own else source


class Stage:
    """A sandbox network with some numbers and an advertiser, and actions on it."""

    def __init__(self, platform: Any, sandbox: Sandbox) -> None:
        self.platform = platform
        self.sandbox = sandbox
        self.network = Network(base_url=sandbox.base_url, network_id=platform.network_id, token="sandbox-token")
        self.numbers = {
            "one": self.buy(CAMPAIGN, custom_data={"store": "00123"}),
            "two": self.buy(OTHER, media_type="Google Call Extension", adwords_account_id="627-345-9815"),
            "own": self.buy(CAMPAIGN, own_id="own/1"),
            "affiliate": self.buy(AFFILIATE),
            "harbor": self.buy(HARBOR_1),
        }
        assert platform("POST", "advertisers", ADVERTISER).status_code == 201

    def buy(self, campaign: dict[str, str], own_id: str = "", **more: Any) -> str:
        body = PLAIN | more | ({"id_from_network": own_id} if own_id else {})
        response = self.platform("POST", path(campaign, by_id=bool(own_id)), body)
        assert response.status_code == 201, response.text
        return str(response.json()["promo_number"])

    def run(self, source: Any, **options: Any) -> str:
        """Run a sheet to its end; returns the run's id."""
        frame = ib.run(_as_read(source), self.network, **{"yes": True, "progress": False} | options)
        frames = frame.values() if isinstance(frame, dict) else [frame]
        statuses = [status for frame in frames for status in frame["result_status"]]
        assert not {"unknown", "failed", "invalid", "rejected", "not_sent"} & set(statuses), frame
        return str(next(iter(frames)).attrs["run"])

    def undo(self, run: str, **options: Any) -> Undo:
        return ib.undo(run, self.network, **options)

    def state(self) -> dict[str, Any]:
        """The platform's state, without what an undo cannot restore, in a canonical order."""
        advertisers = self.platform("GET", "advertisers").json()
        numbers = {
            "/".join(campaign.values()): sorted(
                (
                    {name: value for name, value in record.items() if name != "id_from_network"}
                    for record in self.platform("GET", path(campaign), version="2026-02-01").json()
                ),
                key=lambda one: one["promo_number"],
            )
            for campaign in CAMPAIGNS
        }
        return {
            "advertisers": {advertiser["id_from_network"]: _comparable(advertiser) for advertiser in advertisers},
            "numbers": numbers,
        }

    def put(self, address: str, body: Any) -> None:
        """Change an object as somebody else."""
        answer = self.platform("PUT", address, body)
        assert answer.status_code == 200, answer.text

    def advertiser(self, **changes: Any) -> None:
        """Write the current advertiser with changes, as somebody else."""
        now = self.platform("GET", "advertisers/B-1").json()
        users = [
            {**record, "contact_phone_number": record["phone_number"].replace("\u2010", "-")} for record in now["users"]
        ]
        writable = [
            {name: record[name] for name in record if name in user(1) or "notify_on" in name} for record in users
        ]
        own = {name: now[name] for name in ("name", "sites", "approval_status")}
        self.put("advertisers/B-1", own | {"users": writable} | changes)


def path(campaign: dict[str, str], number: str = "", *, by_id: bool = False) -> str:
    collection = "promo_numbers_by_id" if by_id else "promo_numbers"
    return "/".join([*PROMO_NUMBERS.scope_for(campaign), collection, *([number] if number else [])])


def _comparable(advertiser: dict[str, Any]) -> dict[str, Any]:
    users = [
        {**user, "oauth_refresh_token": "", "email_settings": sorted(user["email_settings"], key=str)}
        for user in advertiser["users"]
    ]
    return {**advertiser, "users": users}


@pytest.fixture
def stage(platform: Any, sandbox: Sandbox) -> Stage:
    return Stage(platform, sandbox)


def row(campaign: dict[str, str], number: str, **cells: str) -> pd.DataFrame:
    return pd.DataFrame([campaign | {"promo_number": number} | {_title(name): text for name, text in cells.items()}])


def _title(name: str) -> str:
    return name.replace("__", ".")


def users(*rows: dict[str, str]) -> dict[str, pd.DataFrame]:
    """Sheets that change users of the advertiser."""
    return _sheets("users", rows)


def sites(*rows: dict[str, str]) -> dict[str, pd.DataFrame]:
    return _sheets("sites", rows)


def _sheets(name: str, rows: Any) -> dict[str, pd.DataFrame]:
    parts = pd.DataFrame([{"advertiser_id_from_network": "B-1", **row} for row in rows]).fillna("")
    return {"advertisers": pd.DataFrame([{"id_from_network": "B-1"}]), name: parts}


def own(**cells: str) -> pd.DataFrame:
    return pd.DataFrame([{"id_from_network": "B-1"} | {_title(name): text for name, text in cells.items()}])


NEW_USER = {
    "id_from_network": "U-9",
    "first_name": "New",
    "last_name": "One",
    "contact_phone_number": "8055550199",
    "email_settings.1.email_address": "new@example.com",
    "email_settings.1.use_for_notifications": "TRUE",
}
_EMAIL = "email_settings.{}.email_address"
_NOTIFIED = "email_settings.{}.use_for_notifications"

#: What is run, to what the undo plans to do, and the options of the run.
EDITS: dict[str, tuple[Edit, str, dict[str, Any]]] = {
    "bought": (lambda _: pd.DataFrame([CAMPAIGN | PLAIN | {"quantity": "3"}]), "3 delete", {}),
    "bought with an own id": (
        lambda _: pd.DataFrame([AFFILIATE | PLAIN | {"id_from_network": "x y/1"}]),
        "1 delete",
        {},
    ),
    "bought and assigned ids": (lambda _: pd.DataFrame([CAMPAIGN | PLAIN]), "1 delete", {"assign_ids": True}),
    "updated": (
        lambda stage: row(CAMPAIGN, stage.numbers["one"], description="New", custom_data__store="9"),
        "1 update",
        {},
    ),
    "key added": (lambda stage: row(CAMPAIGN, stage.numbers["one"], custom_data__other="x"), "1 update", {}),
    "key taken away": (lambda stage: row(CAMPAIGN, stage.numbers["one"], custom_data__store="[]"), "1 update", {}),
    "by its own id": (
        lambda _: pd.DataFrame([CAMPAIGN | {"id_from_network": "own/1", "description": "New"}]),
        "1 update",
        {},
    ),
    "two fields that need each other": (
        lambda stage: row(OTHER, stage.numbers["two"], media_type="Offline: TV", adwords_account_id="[]"),
        "1 update",
        {},
    ),
    "moved": (lambda stage: row(CAMPAIGN, stage.numbers["one"], **to(OTHER)), "1 move", {}),
    "moved by its own id": (
        lambda _: pd.DataFrame([CAMPAIGN | {"id_from_network": "own/1"} | to(HARBOR)]),
        "1 move",
        {},
    ),
    "moved and changed": (
        lambda stage: row(CAMPAIGN, stage.numbers["one"], **to(HARBOR), description="New", custom_data__store="[]"),
        "1 move",
        {},
    ),
    "affiliate": (lambda stage: row(AFFILIATE, stage.numbers["affiliate"], description="New"), "1 update", {}),
    "moved between affiliates": (
        lambda stage: row(HARBOR_1, stage.numbers["harbor"], **to(HARBOR_2), description="New"),
        "1 move",
        {},
    ),
    "advertiser": (
        lambda _: own(name="Other", approval_status="[]", web_integration_phone_number="[]", custom_data__new="x"),
        "1 update",
        {},
    ),
    "advertiser's keys": (
        lambda _: pd.DataFrame([{"id_from_network": "B-1", "custom_data.a.b": "[]", "custom_data.channel": "TV"}]),
        "1 update",
        {},
    ),
    "new advertiser": (
        lambda _: pd.DataFrame([{"id_from_network": "N/1 ä", "name": "New", "sites.1.id_from_network": "7"}]),
        "1 delete",
        {},
    ),
    "user added": (lambda _: users(NEW_USER), "1 update, 1 remove", {}),
    "user removed": (lambda _: users({"id_from_network": "U-3", "action": "remove"}), "1 create, 1 update", {}),
    "first user removed": (
        lambda _: users({"id_from_network": "U-1", "action": "remove"}),
        "1 create, 1 update, 4 unchanged",
        {},
    ),
    "user changed": (
        lambda _: users(
            {"id_from_network": "U-2", "role": "[]", "notify_on_budgets": "FALSE", "contact_phone_number": "2125550100"}
        ),
        "2 update",
        {},
    ),
    "email added": (
        lambda _: users({"id_from_network": "U-1", _EMAIL.format(3): "c@example.com", _NOTIFIED.format(3): "TRUE"}),
        "2 update",
        {},
    ),
    "email taken away": (
        lambda _: users({"id_from_network": "U-1", _EMAIL.format(2): "[]"}),
        "2 update",
        {},
    ),
    "email replaced": (
        lambda _: users({"id_from_network": "U-1", _EMAIL.format(1): "c@example.com"}),
        "2 update",
        {},
    ),
    "emails exchanged": (
        lambda _: users({"id_from_network": "U-1", _NOTIFIED.format(1): "FALSE", _NOTIFIED.format(2): "TRUE"}),
        "2 update",
        {},
    ),
    "site added": (lambda _: sites({"id_from_network": "5", "name": "x"}), "1 update, 1 remove", {}),
    "site renamed": (lambda _: sites({"id_from_network": "0315", "name": "[]"}), "2 update", {}),
    "default site removed": (
        lambda _: sites({"id_from_network": "0315", "action": "remove"}),
        "1 create, 1 update, 4 unchanged",
        {},
    ),
    "all of it replaced": (
        lambda _: {
            "advertisers": pd.DataFrame([{"id_from_network": "B-1", "name": "Other"}]),
            "sites": pd.DataFrame([{"advertiser_id_from_network": "B-1", "id_from_network": "4"}]),
            "users": pd.DataFrame([{"advertiser_id_from_network": "B-1", **NEW_USER}]),
        },
        "5 create, 1 update, 2 remove",
        {"nested": "replace", "allow_removals": True},
    ),
    "sites turned": (
        lambda _: {
            **sites({"id_from_network": "996"}, {"id_from_network": "0315"}),
            "users": users(*({"id_from_network": f"U-{number}"} for number in (3, 2, 1)))["users"],
        },
        "1 update, 5 unchanged",
        {"nested": "replace"},
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_undo_restores_the_state(stage: Stage, name: str) -> None:
    """After a run and its undo, the platform's state is as before, whatever the run created or changed."""
    make, planned, options = EDITS[name]
    before = stage.state()
    run = stage.run(make(stage), **options)
    assert stage.state() != before
    undo = stage.undo(run)
    assert (undo.ok, undo.exit_code(), undo.not_undone.empty) == (True, 0, True)
    assert undo.summary.startswith(f"Undo of run {run}: ")
    assert f": {planned}; " in undo.summary
    stage.run(undo)
    assert stage.state() == before


# Anything, whatever it was and is, without a platform

_texts = st.sampled_from(["a", "b, c", "007", "=1+1", "é  x", "TRUE"])
_flags = st.booleans()


@st.composite
def _users(draw: Any) -> list[dict[str, Any]]:
    return [draw(_user(number)) for number in draw(st.lists(st.integers(1, 4), unique=True))]


@st.composite
def _user(draw: Any, number: int) -> dict[str, Any]:
    addresses = draw(st.lists(st.sampled_from("pqrs"), unique=True, min_size=1, max_size=3))
    listed = [
        {"email_address": f"{address}@example.com", "use_for_notifications": draw(_flags)} for address in addresses
    ]
    listed[0]["use_for_notifications"] = True
    return {
        "id_from_network": f"U-{number}",
        "first_name": draw(_texts),
        "last_name": "x",
        "phone_number": draw(st.sampled_from(["805\u2010555\u20100100", "+448081570192"])),
        "role": draw(st.sampled_from(["Super", "Member"])),
        "notify_on_budgets": draw(_flags),
        "email_settings": listed,
    }


_advertisers = st.fixed_dictionaries(
    {
        "id_from_network": st.just("A-1"),
        "name": _texts,
        "approval_status": st.sampled_from(["Approved", "Suspended"]),
        "web_integration_phone_number": st.sampled_from([None, "8005550100", "2125550100"]),
        "sites": st.lists(
            st.fixed_dictionaries({"id_from_network": st.sampled_from(["01", "2", "3"]), "name": st.just("")}),
            unique_by=lambda one: one["id_from_network"],
            min_size=1,
        ),
        "users": _users(),
        "custom_data": st.dictionaries(st.sampled_from(["k", "a.b", "K l"]), _texts),
    }
)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(before=_advertisers, now=_advertisers)
def test_any_advertiser_is_restored(before: dict[str, Any], now: dict[str, Any]) -> None:
    """For any update of an advertiser, its undo sends the previous object; users and sites keep their order."""
    sent = {name: now[name] for name in now if name not in {"id_from_network", "users", "sites"}}
    sent |= {"custom_data": before["custom_data"] | now["custom_data"]}
    step = Step(
        number=0,
        resource="advertisers",
        action=Action.UPDATE,
        verb="PUT",
        path=("advertisers", "A-1"),
        body=sent,
        snapshot=before,
    )
    change = AppliedChange(step=step, resulting_object=now, scope=(), origin_scope=())
    reversal = build_reversal(change, now, VERSION)
    assert isinstance(reversal, Reversal)
    assert reversal.has_changes == (_written(before) != _written(now))
    plan_options = undo_sheets.choose_plan_options([reversal])
    validated_book = validation.validate(undo_sheets.to_sheets([reversal], plan_options, VERSION), version=VERSION)
    plan = planning.build_plan(validated_book, {(): planning.PlatformState(objects=(now,))}, plan_options)
    assert not (plan.issues["level"] == "error").any(), plan.issues
    if plan.steps:
        body = {name: value for name, value in (plan.steps[0].body or {}).items() if value is not None}
        body["custom_data"] = {key: item for key, item in body.get("custom_data", {}).items() if item is not None}
        body["sites"] = [{name: text for name, text in site.items() if text != ""} for site in body["sites"]]
        assert _in_order(body) == _written(before)
    else:
        assert not reversal.has_changes or _same_but_for_order(before, now)


def _written(record: dict[str, Any]) -> dict[str, Any]:
    form = merge.to_comparable(ADVERTISERS, record, VERSION)
    form.pop("id_from_network")
    return _in_order({"custom_data": {}, **form})


def _in_order(form: dict[str, Any]) -> dict[str, Any]:
    listed = [{**user, "email_settings": sorted(user["email_settings"], key=str)} for user in form["users"]]
    return {**form, "users": listed}


def _same_but_for_order(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """A different order of users, or of sites after the first, needs no request."""
    old, new = (_written(record) for record in (before, now))
    assert old["sites"][0] == new["sites"][0]
    return all(sorted(old[name], key=str) == sorted(new[name], key=str) for name in ("users", "sites"))


# What has changed since


def changed_number(stage: Stage, _: str) -> None:
    stage.put(path(CAMPAIGN, stage.numbers["one"]), PLAIN | {"description": "Theirs"})


def deleted_number(stage: Stage, _: str) -> None:
    assert stage.platform("DELETE", path(CAMPAIGN, stage.numbers["one"])).status_code == 200


def changed_at_destination(stage: Stage, _: str) -> None:
    stage.put(path(OTHER, stage.numbers["one"]), PLAIN | {"description": "Theirs"})


def deleted_at_destination(stage: Stage, _: str) -> None:
    assert stage.platform("DELETE", path(OTHER, stage.numbers["one"])).status_code == 200


def moved_on(stage: Stage, _: str) -> None:
    stage.put(path(OTHER, stage.numbers["one"]), PLAIN | to(HARBOR))


def bought(run: str) -> list[str]:
    """The numbers that a run bought."""
    rows = journal.find_results(resolve_journal_location(None), run)[1]
    return [row.answer["promo_number"] for row in rows if row.action == "create" and row.answer.get("promo_number")]


def changed_new_number(stage: Stage, run: str) -> None:
    stage.put(path(CAMPAIGN, *bought(run)), PLAIN | {"custom_data": {"theirs": "x"}})


def gone_new_number(stage: Stage, run: str) -> None:
    assert stage.platform("DELETE", path(CAMPAIGN, *bought(run))).status_code == 200


def another_number(stage: Stage, run: str) -> None:
    """Delete the number, and let somebody else buy it."""
    campaigns = stage.platform.store.networks[stage.network.network_id].campaigns
    number = next(
        number
        for campaign in campaigns.values()
        for number in campaign.numbers.values()
        if number.promo_number in bought(run)
    )
    number.id += 10_000


def a_later_run(stage: Stage, _: str) -> None:
    stage.run(row(CAMPAIGN, stage.numbers["one"], description="Later"))


def gone_advertiser(stage: Stage, _: str) -> None:
    assert stage.platform("DELETE", "advertisers/B-1").status_code == 200


_UPDATE: Edit = lambda stage: row(CAMPAIGN, stage.numbers["one"], description="New")  # noqa: E731  a table's entry
_MOVE: Edit = lambda stage: row(CAMPAIGN, stage.numbers["one"], **to(OTHER))  # noqa: E731
_BUY: Edit = lambda _: pd.DataFrame([CAMPAIGN | PLAIN])  # noqa: E731
_RENAME: Edit = lambda _: own(name="Other")  # noqa: E731
DRIFTS: dict[str, tuple[Edit, Callable[[Stage, str], None], str]] = {
    "field": (_UPDATE, changed_number, "has changed since the run: description was 'New' and is 'Theirs' now."),
    "deleted": (_UPDATE, deleted_number, "was not found; it was deleted or moved after the run."),
    "a later run": (_UPDATE, a_later_run, "description was 'New' and is 'Later' now."),
    "moved and changed": (_MOVE, changed_at_destination, "description was 'Spring sale' and is 'Theirs' now."),
    "moved and deleted": (_MOVE, deleted_at_destination, "was not found"),
    "moved on": (_MOVE, moved_on, "was not found"),
    "bought and changed": (_BUY, changed_new_number, "custom_data.theirs was (blank) and is 'x' now."),
    "bought and deleted": (_BUY, gone_new_number, "was not found"),
    "bought by another": (_BUY, another_number, "has changed since the run: id was"),
    "advertiser's field": (
        _RENAME,
        lambda stage, _: stage.advertiser(approval_status="Archived"),
        "approval_status was 'Suspended' and is 'Archived' now.",
    ),
    "advertiser's user": (
        _RENAME,
        lambda stage, _: stage.advertiser(users=[user(1), user(4)]),
        "user Ana4 O'Neil, jr (U-4) was added",
    ),
    "default site": (
        _RENAME,
        lambda stage, _: stage.advertiser(sites=ADVERTISER["sites"][::-1]),
        "its users or sites are in a different order now.",
    ),
    "advertiser gone": (_RENAME, gone_advertiser, "was not found"),
    "new advertiser changed": (
        lambda _: pd.DataFrame([{"id_from_network": "N-1", "name": "New", "sites.1.id_from_network": "7"}]),
        lambda stage, _: stage.put("advertisers/N-1", {"name": "Theirs", "sites": [{"id_from_network": "7"}]}),
        "name was 'New' and is 'Theirs' now.",
    ),
}


@pytest.mark.parametrize("name", DRIFTS)
def test_changed_objects_are_not_undone(stage: Stage, name: str) -> None:
    """An object that has changed since the run is reported by its row, and nothing of it is sent."""
    make, somebody, words = DRIFTS[name]
    run = stage.run(make(stage))
    somebody(stage, run)
    state = stage.state()
    undo = stage.undo(run)
    (not_undone,) = undo.not_undone.to_dict("records")
    assert words in not_undone["error"]
    assert (not_undone["row"], bool(not_undone["object"]), bool(not_undone["fix"])) == (2, True, True)
    assert (undo.ok, undo.exit_code(), undo.requests) == (False, 2, 0)
    assert words in "\n".join(undo.lines())
    assert stage.state() == state


def test_unchanged_objects_are_undone(stage: Stage) -> None:
    """An object that has changed since does not prevent the undo of others."""
    before = stage.state()
    frame = pd.concat([_UPDATE(stage), row(OTHER, stage.numbers["two"], description="New"), _BUY(stage)]).fillna("")
    run = stage.run(frame.reset_index(drop=True))
    changed_number(stage, run)
    undo = stage.undo(run)
    assert (undo.counts, list(undo.not_undone["object"])) == ({"update": 1, "delete": 1}, [stage.numbers["one"]])
    stage.run(undo)
    after = stage.state()
    assert after["numbers"].pop("A-100/C-100") != before["numbers"].pop("A-100/C-100")
    assert after == before


@pytest.mark.parametrize(
    ("make", "there"),
    [pytest.param(_UPDATE, CAMPAIGN, id="changed"), pytest.param(_MOVE, OTHER, id="moved")],
)
def test_restored_objects_need_no_undo(stage: Stage, make: Edit, there: dict[str, str]) -> None:
    """An object that somebody has already restored is neither changed nor reported; a move changed its id."""
    run = stage.run(make(stage))
    stage.put(path(there, stage.numbers["one"]), PLAIN | (to(CAMPAIGN) if there is OTHER else {}))
    undo = stage.undo(run)
    assert (undo.ok, undo.requests) == (True, 0)
    assert undo.notes == ("Nothing to undo: 1 object already as before the run.",)


def test_a_saved_undo_runs_if_nothing_has_changed(stage: Stage, tmp_path: Path) -> None:
    """The platform must not change between the undo's plan and its run."""
    before = stage.state()
    run = stage.run(_MOVE(stage))
    saved_plan = stage.undo(run).save(tmp_path / "undo.json")
    stage.put(path(OTHER, stage.numbers["one"]), PLAIN | {"description": "Theirs"})
    with pytest.raises(ib.UserError, match="the platform has changed since the plan was made"):
        stage.run(saved_plan)
    stage.put(path(OTHER, stage.numbers["one"]), PLAIN)
    stage.run(saved_plan)
    assert stage.state() == before


# What no undo takes back


def test_deletions_are_not_undone(stage: Stage) -> None:
    """Deleted numbers and advertisers are reported by row; everything else is undone."""
    sheets = {
        "advertisers": pd.DataFrame([{"id_from_network": "B-1", "action": "delete"}]),
        "promo_numbers": pd.concat([row(CAMPAIGN, stage.numbers["one"], action="delete"), _BUY(stage)]).fillna(""),
    }
    sheets["promo_numbers"].index = pd.Index([5, 9], name="row")
    undo = stage.undo(stage.run(sheets))
    not_undone = undo.not_undone[["sheet", "row", "action", "object"]].to_numpy().tolist()
    assert not_undone == [
        ["advertisers", 2, "delete", "Business & Sons (B-1)"],
        ["promo_numbers", 5, "delete", stage.numbers["one"]],
    ]
    assert undo.not_undone["error"].str.contains("deleted objects cannot be restored").all()
    assert (undo.counts, undo.exit_code()) == ({"delete": 1}, 2)


def test_notes_on_irreversible_losses(stage: Stage) -> None:
    """Costs, tokens and ids that no undo restores are listed in notes."""
    sheets = users({"id_from_network": "U-1", "action": "remove"}) | {
        "promo_numbers": pd.concat([_BUY(stage), _BUY(stage), _MOVE(stage)]).fillna("").reset_index(drop=True)
    }
    undo = stage.undo(stage.run(sheets))
    assert undo.notes == (
        "Deletes 2 promo numbers that the run bought; the cost is not refunded.",
        "Moves 1 promo number back; each move changes the id_from_network.",
        "Recreates 1 user with new tokens (oauth_refresh_token); the old ones are lost.",
    )
    assert set(undo.notes) < set(undo.lines())
    assert "Cannot be undone: deletes 2 promo numbers." in undo.lines()


def test_steps_in_doubt_must_be_resolved_first(odd: Any, reply: Any) -> None:
    """A request in doubt is reported with the way to resolve it; a rejected one needs no undo."""
    odd.replies.extend([reply(500, {}), reply(403, {"errors": {"description": ["is odd"]}})])
    frame = ib.run(
        pd.DataFrame([CAMPAIGN | PLAIN, OTHER | PLAIN]),
        odd.network(),
        yes=True,
        progress=False,
        settle=0.01,
        concurrency=1,
    )
    run = frame.attrs["run"]
    undo = ib.undo(run, odd.network())
    (not_undone,) = undo.not_undone.to_dict("records")
    assert not_undone["row"] == 0
    assert not_undone["error"].startswith("It is uncertain whether the run did this: ")
    assert f'ib.resume(network, "{run}")' in not_undone["fix"]
    assert (undo.requests, undo.notes) == (0, ("Nothing to undo: 1 request rejected or failed.",))


HOURS = "hours_of_operation"
MONDAY = {
    f"{HOURS}.schedules.1.day_of_week": "Monday",
    f"{HOURS}.schedules.1.open_time": "08:00",
    f"{HOURS}.schedules.1.close_time": "17:00",
}
TUESDAY = {path.replace("1", "2"): text.replace("Monday", "Tuesday") for path, text in MONDAY.items()}


@pytest.mark.parametrize(
    ("before", "new"),
    [
        pytest.param({}, MONDAY | {f"{HOURS}.time_zone": "UTC"}, id="added"),
        pytest.param({}, {f"{HOURS}.open_24_7": "TRUE", f"{HOURS}.time_zone": "UTC"}, id="added-without-schedules"),
        pytest.param(MONDAY | {f"{HOURS}.time_zone": "UTC"}, TUESDAY, id="one-more-day"),
        pytest.param(MONDAY | {f"{HOURS}.time_zone": "UTC"}, {HOURS: "[]"}, id="removed"),
    ],
)
def test_hours_that_a_run_changed(stage: Stage, before: dict[str, str], new: dict[str, str]) -> None:
    """Hours that a run added are removed as a whole, and what the number had before is set anew."""
    stage.network = replace(stage.network, api_version="2026-02-01")
    if before:
        stage.run(row(CAMPAIGN, stage.numbers["one"], **before))
    state = stage.state()
    run = stage.run(row(CAMPAIGN, stage.numbers["one"], description="New", **new))
    assert stage.state() != state
    undo = stage.undo(run)
    assert undo.not_undone.empty
    stage.run(undo)
    assert stage.state() == state


def test_a_user_that_no_sheet_may_add(stage: Stage) -> None:
    """Rows that validation or the plan refuses are reported by their row in the run; everything else is undone."""
    stage.put("advertisers/B-2", ADVERTISER | {"id_from_network": "B-2", "name": "Second"})
    stored = stage.platform.store.networks[stage.network.network_id].advertisers["B-2"]
    stored.users[2]["first_name"] = ""
    removal = {"id_from_network": "U-3", "action": "remove"}
    sheets = users(removal | {"advertiser_id_from_network": "B-1"}, removal | {"advertiser_id_from_network": "B-2"})
    run = stage.run(sheets | {"advertisers": pd.DataFrame({"id_from_network": ["B-1", "B-2"]})})
    undo = stage.undo(run)
    (not_undone,) = undo.not_undone.to_dict("records")
    assert (not_undone["sheet"], not_undone["row"], not_undone["object"]) == ("advertisers", 3, "Second (B-2)")
    assert "first_name" in not_undone["error"]
    assert (undo.counts["update"], undo.requests) == (1, 1)


def test_fields_that_the_run_did_not_send_are_not_restored() -> None:
    """A change by somebody else between the run's plan and its request is kept, though the snapshot differs."""
    before = PLAIN | {"promo_number": "8055550100", "promo_type": "Local"}
    after_run = before | {"description": "New", "promo_type": "Mobile"}
    scope = PROMO_NUMBERS.scope_for(CAMPAIGN)
    body = {"description": "New", "media_type": PLAIN["media_type"]}
    request = {"verb": "PUT", "path": (*scope, "promo_numbers", "8055550100")}
    step = Step(number=0, resource="promo_numbers", action=Action.UPDATE, body=body, snapshot=before, **request)
    reversal = build_reversal(
        AppliedChange(step=step, resulting_object=after_run, scope=scope, origin_scope=scope), after_run, VERSION
    )
    assert isinstance(reversal, Reversal)
    identifiers = CAMPAIGN | {"promo_number": "8055550100", "action": "update"}
    assert reversal.to_row(all_parts=False) == identifiers | {"description": "Spring sale"}


def test_a_move_that_cannot_be_undone(stage: Stage) -> None:
    """A move from an affiliate's campaign to the advertiser's cannot be undone; the rest can."""
    move = row(AFFILIATE, stage.numbers["affiliate"], **to(OTHER))
    run = stage.run(pd.concat([move, _UPDATE(stage)]).fillna("").reset_index(drop=True))
    undo = stage.undo(run)
    (not_undone,) = undo.not_undone.to_dict("records")
    assert (not_undone["row"], not_undone["object"], undo.counts) == (2, stage.numbers["affiliate"], {"update": 1})
    assert not_undone["error"].startswith("A number can move to an affiliate campaign only from")


def test_an_advertiser_stays_for_its_numbers(box: Sandbox, network: Network) -> None:
    """Numbers are deleted before the advertiser created for them; if one is not undone, neither is the advertiser."""
    sheets = {
        "advertisers": pd.DataFrame([{"id_from_network": "N-1", "name": "New", "sites.1.id_from_network": "7"}]),
        "promo_numbers": pd.DataFrame([CAMPAIGN | PLAIN | {"advertiser_id_from_network": "N-1"}] * 2),
    }
    run = ib.run(sheets, network, yes=True, progress=False)["promo_numbers"].attrs["run"]
    undo = ib.undo(run, network)
    assert [(step.resource, step.phase) for step in sorted(undo.data.steps, key=lambda step: step.phase)] == [
        ("promo_numbers", 2),
        ("promo_numbers", 2),
        ("advertisers", 3),
    ]
    (campaign,) = (
        item for key, item in box.store.networks[box.network_id].campaigns.items() if key.advertiser_id == "N-1"
    )
    box.store.networks[box.network_id].campaigns[campaign.key].numbers.popitem()
    undo = ib.undo(run, network)
    assert undo.counts == {"delete": 1}
    assert [item.action for item in undo.not_undone_items] == ["create", "create"]
    assert "so it cannot be deleted" in undo.not_undone_items[0].error


# Which run


@pytest.mark.parametrize("version", ["2017-09-01", "2018-05-01", "2026-02-01"])
def test_versions(stage: Stage, version: str) -> None:
    """An undo uses the run's API version; it identifies numbers by phone number, which every version supports."""
    before = stage.state()
    stage.network = replace(stage.network, api_version=version)
    sheets = users(NEW_USER) | {
        "promo_numbers": pd.concat([_BUY(stage), _UPDATE(stage)]).fillna("").reset_index(drop=True)
    }
    run = stage.run(sheets)
    stage.network = replace(stage.network, api_version="2022-08-01")
    undo = stage.undo(run)
    assert undo.network.api_version == version
    stage.network = undo.network
    stage.run(undo)
    assert stage.state() == before


def test_an_undo_can_be_undone(stage: Stage) -> None:
    """An undo can be undone: its updates, moves and removals are reversed, its deletions cannot be."""
    sheets = users(NEW_USER) | {
        "promo_numbers": pd.concat([_BUY(stage), _MOVE(stage), row(OTHER, stage.numbers["two"], description="New")])
        .fillna("")
        .reset_index(drop=True)
    }
    run = stage.run(sheets)
    after = stage.state()
    numbers = bought(run)
    again = stage.undo(stage.run(stage.undo(run)))
    assert (list(again.not_undone["object"]), again.data.source[:7]) == (numbers, "undo of")
    stage.run(again)
    for value in after["numbers"].values():
        value[:] = [record for record in value if record["promo_number"] not in numbers]
    assert stage.state() == after


def test_another_network_is_refused(stage: Stage, odd: Any) -> None:
    """A run is undone on its own network only; an unknown run is an error."""
    run = stage.run(_UPDATE(stage))
    with pytest.raises(ib.UserError, match=f"run {run} belongs to network {stage.network.network_id}"):
        ib.undo(run, odd.network())
    with pytest.raises(ib.UserError, match="knows the run 'nothing'"):
        stage.undo("nothing")
    assert odd.requests == []


def test_an_unfinished_run(stage: Stage) -> None:
    """The sent part of an interrupted run can be undone; a note says that the rest would still be sent."""
    run = stage.run(pd.DataFrame([CAMPAIGN | PLAIN, OTHER | PLAIN]))
    file = journal_file(
        resolve_journal_location(None), base_url=stage.network.base_url, network_id=stage.network.network_id
    )
    with sqlite3.connect(file) as database:
        database.execute("UPDATE steps SET state = 'pending', answer = NULL WHERE step = 1")
        database.execute("UPDATE runs SET state = 'interrupted'")
    database.close()
    undo = stage.undo(run)
    assert undo.counts == {"delete": 1}
    note = f'The run has not finished: 1 request not sent yet. To send them: ib.resume(network, "{run}")'
    assert undo.notes[-1] == note


# On the command line


@pytest.fixture
def environment(stage: Stage) -> dict[str, str]:
    return {"INVOCA_API_TOKEN": "sandbox-token", "INVOCA_BASE_URL": stage.network.base_url}


def next_command(output: str) -> list[str]:
    """The arguments of the next command in the output."""
    command = re.search(r"Next: .*?invoca-bulk (.+)", output)
    assert command, output
    return shlex.split(command[1])


def test_on_the_command_line(stage: Stage, cli: Any, environment: dict[str, str], tmp_path: Path) -> None:
    """The undo is shown, saved and written; the next command executes it, and the list of runs shows it."""
    before = stage.state()
    frame = pd.concat([_UPDATE(stage), _BUY(stage), row(CAMPAIGN, stage.numbers["own"], action="delete")]).fillna("")
    run = stage.run(frame.reset_index(drop=True))
    ran = cli("undo", run, "-o", "undo.xlsx", "--save", "undo.json", **environment)
    assert (ran.code, ran.err) == (2, "")
    assert f"Undo of run {run}: 2 rows: 1 update, 1 delete; 2 requests. 1 not undone." in ran.out
    assert "description (" in ran.out
    assert f"  row 4, delete {stage.numbers['own']}: The run deleted the promo number" in ran.out
    workbook = openpyxl.load_workbook(tmp_path / "undo.xlsx")
    assert workbook.sheetnames == ["plan", "summary", "not undone"]
    assert [cell.value for cell in workbook["not undone"][2]][1:4] == ["4", "delete", stage.numbers["own"]]
    words = next_command(ran.out)
    assert words[:4] == ["run", "undo.json", "-o", "undo-results.xlsx"]
    assert words[4:] == ["--network-id", stage.network.network_id]
    ran = cli(*words, "--yes", **environment)
    assert ran.code == 0, ran.err
    gone = stage.state()["numbers"]["A-100/C-100"]
    assert gone == [
        number for number in before["numbers"]["A-100/C-100"] if number["promo_number"] != stage.numbers["own"]
    ]
    assert f"undo of {run}" in cli("runs").out


def test_as_json(stage: Stage, cli: Any, environment: dict[str, str]) -> None:
    """JSON output has the plan, what is not undone and the next command; an undo without changes is not saved."""
    run = stage.run(row(CAMPAIGN, stage.numbers["own"], action="delete"))
    ran = cli("undo", run, "--json", "--save", "undo.json", **environment)
    report = json.loads(ran.out)
    assert (ran.code, report["exit_code"], report["run"], report["requests"]) == (2, 2, run, 0)
    assert (report["saved"], report["next"], report["not_undone"][0]["row"]) == (None, None, 2)
    ran = cli("undo", run, "--save", "undo.txt", **environment)
    assert (ran.code, "does not end in .json" in ran.err) == (2, True)
