"""What the platform has, as sheets in the template's shape."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import invoca_bulk as ib
from invoca_bulk.config.network import resolve_network
from invoca_bulk.config.options import Options
from invoca_bulk.errors import (
    AuthenticationError,
    ConfigError,
    InvalidSheetError,
    OutputError,
    PlatformUnavailableError,
    UnreadableSheetError,
)
from invoca_bulk.planning import merge
from invoca_bulk.reports import templates
from invoca_bulk.schema import ADVERTISERS, API_VERSIONS, PROMO_NUMBERS, SHEET_RESOURCES, payloads
from invoca_bulk.service import export as exporting
from invoca_bulk.service.export import object_rows
from invoca_bulk.service.plan import fetch_and_build_plan, validate_sheet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from invoca_bulk.config.network import Network
    from invoca_bulk.planning import PlanData

CAMPAIGN = {"advertiser_id_from_network": "A-100", "advertiser_campaign_id_from_network": "C-100"}
AFFILIATE = {
    "advertiser_id_from_network": "A-200",
    "advertiser_campaign_id_from_network": "C-200",
    "affiliate_id_from_network": "F-1",
}
ADVERTISER: dict[str, Any] = {
    "id": 5,
    "id_from_network": "A-1",
    "name": "Acme",
    "object_url": "https://example.com/5",
    "approval_status": "Approved",
    "web_integration_phone_number": "800\u2010555\u20100100",
    "oauth_refresh_token": "7464644784457575757494930303",
    "sites": [{"id_from_network": "315", "name": "one"}, {"id_from_network": "996", "name": "two"}],
    "users": [
        {
            "id_from_network": "U-1",
            "email_settings": [{"email_address": "jim@example.com", "use_for_notifications": True}],
            "first_name": "Jim",
            "last_name": "Williams",
            "phone_number": "805\u2010555\u20100100",
            "role": "Manager",
            "oauth_refresh_token": "556588585858585858585858858",
            "can_login_via_platform": True,
            "notify_on_budgets": True,
        }
    ],
    "custom_data": {"channel": "Online lead"},
}
NUMBER: dict[str, Any] = {
    "id": 21,
    "id_from_network": "4531",
    "media_type": "Online: Display",
    "description": "Halloween",
    "promo_number": "8001234567",
    "object_url": "https://example.com/21",
    "custom_data": {"channel": "Online lead"},
}


def advertiser(**more: Any) -> dict[str, Any]:
    return copy.deepcopy({**ADVERTISER, **more})


def user(**more: Any) -> dict[str, Any]:
    return copy.deepcopy({**ADVERTISER["users"][0], **more})


def exported(resource: Any, objects: list[Any], version: str = "2022-08-01", **more: Any) -> Any:
    """The tables of the platform's objects."""
    rows, _ = object_rows.to_rows(resource, objects, version, address_cells={} if resource is ADVERTISERS else CAMPAIGN)
    return exporting.export_tables.ExportTables(resource, rows, version, **{"for_migration": False, **more})


# The shape


@pytest.mark.parametrize("version", API_VERSIONS)
@pytest.mark.parametrize("name", SHEET_RESOURCES)
def test_columns(name: str, version: str) -> None:
    """The columns are the template's, filled or not, one for each custom data key, and those of existing numbers."""
    keyed = {**ADVERTISER, "custom_data": {"store": "1", "a.b": "2"}}
    objects, resource = ([NUMBER | {"custom_data": keyed["custom_data"]}], PROMO_NUMBERS)
    if name != "promo_numbers":
        objects, resource = ([keyed, advertiser(id_from_network="A-2", name="B", custom_data={"c": "3"})], ADVERTISERS)
    keys = {"promo_numbers": ["store", "a.b"], "advertisers": ["store", "a.b", "c"]}.get(name, [])
    template = [
        record
        for record in templates.template_columns(SHEET_RESOURCES[name], version)
        if not record.startswith("custom_data.")
    ]
    frame = exported(resource, objects, version).to_frames()[name]
    is_number = name == "promo_numbers"
    moves = [f"destination_{name}" for name in AFFILIATE] if is_number and version >= "2022-08-01" else []
    asked = ["action"] * (is_number and "action" not in template)
    more = [*moves, "promo_number"] if is_number else []
    assert list(frame.columns) == [*asked, *template, *(f"custom_data.{key}" for key in keys), *more]
    assert ("id_from_network" in frame) is (name != "promo_numbers" or version >= "2018-05-01")
    assert frame.index.name == "row"
    assert list(frame.index) == list(range(2, 2 + len(frame)))
    assert {str(dtype) for dtype in frame.dtypes} == {"str"}


def test_numbered_columns() -> None:
    """There are as many column numbers as in use, at least one; those of one entry are adjacent."""
    two = [{"email_address": f"{name}@example.com", "use_for_notifications": True} for name in "ab"]
    users = exported(ADVERTISERS, [advertiser(users=[user(), user(id_from_network="U-2", email_settings=two)])])
    names = [name for name in users.to_frames()["users"] if name.startswith("email_settings.")]
    assert names == [
        f"email_settings.{number}.{name}" for number in (1, 2) for name in ("email_address", "use_for_notifications")
    ]
    none = exported(ADVERTISERS, [advertiser(users=[])]).to_frames()["users"]
    assert none.empty
    assert "email_settings.1.email_address" in none


def test_hours() -> None:
    """Hours of operation, which no template has, are exported as far as they are in use."""
    days = [{"day_of_week": day, "open_time": "08:00", "close_time": "17:00"} for day in ("Monday", "Friday")]
    hours = {"open_24_7": False, "time_zone": "UTC", "schedules": days}
    frame = exported(PROMO_NUMBERS, [{**NUMBER, "hours_of_operation": hours}], "2026-02-01").to_frames()[
        "promo_numbers"
    ]
    row = {name: frame.loc[2, name] for name in frame if name.startswith("hours_of_operation.")}
    assert row == {
        "hours_of_operation.open_24_7": "FALSE",
        "hours_of_operation.time_zone": "UTC",
        "hours_of_operation.schedules.1.day_of_week": "Monday",
        "hours_of_operation.schedules.1.open_time": "08:00",
        "hours_of_operation.schedules.1.close_time": "17:00",
        "hours_of_operation.schedules.2.day_of_week": "Friday",
        "hours_of_operation.schedules.2.open_time": "08:00",
        "hours_of_operation.schedules.2.close_time": "17:00",
    }
    assert list(row) == [name for name in frame if name in row]


def test_cells() -> None:
    """Values have the form that a sheet sends; read-only and secret fields are left out."""
    frames = exported(ADVERTISERS, [ADVERTISER]).to_frames()
    rows = {name: {item: text for item, text in frame.iloc[0].items() if text} for name, frame in frames.items()}
    assert rows == {
        "advertisers": {
            "id_from_network": "A-1",
            "name": "Acme",
            "approval_status": "Approved",
            "web_integration_phone_number": "8005550100",
            "custom_data.channel": "Online lead",
        },
        "sites": {"advertiser_id_from_network": "A-1", "id_from_network": "315", "name": "one"},
        "users": {
            "advertiser_id_from_network": "A-1",
            "id_from_network": "U-1",
            "email_settings.1.email_address": "jim@example.com",
            "email_settings.1.use_for_notifications": "TRUE",
            "first_name": "Jim",
            "last_name": "Williams",
            "contact_phone_number": "8055550100",
            "role": "Manager",
            "notify_on_budgets": "TRUE",
        },
    }


def test_flat() -> None:
    """As CSV, advertisers are one table with numbered columns, in the template's order."""
    other = advertiser(id_from_network="A-2", name="B", users=[], sites=ADVERTISER["sites"][:1])
    (page,) = exported(ADVERTISERS, [ADVERTISER, other]).to_worksheets(flat=True)
    columns = list(page.header)
    assert columns[: columns.index("sites.1.action")] == list(
        exported(ADVERTISERS, [ADVERTISER]).to_frames()["advertisers"]
    )
    starts = list(
        dict.fromkeys(".".join(column.split(".")[:2]) for column in columns if column.startswith(("sites", "users")))
    )
    assert starts == ["sites.1", "sites.2", "users.1"]
    rows = [dict(zip(columns, row, strict=True)) for row in page.rows]
    assert [row["sites.2.id_from_network"] for row in rows] == ["996", ""]
    assert [row["users.1.contact_phone_number"] for row in rows] == ["8055550100", ""]


# What no sheet can tell: it stays blank, is told, and is no change


def schedule(**more: str) -> dict[str, str]:
    return {"day_of_week": "Monday", "open_time": "08:00", "close_time": "12:00", **more}


def hours(*schedules: dict[str, str]) -> dict[str, Any]:
    return {"hours_of_operation": {"time_zone": "UTC", "schedules": list(schedules)}}


@dataclass(frozen=True, kw_only=True)
class Odd:
    """What the platform has, and what becomes of it.

    Attributes:
        has: the fields that differ from the usual object.
        told: words of the notes; none: there are none.
        edit: a cell that is edited: sheet, row, column.
        kept: JSON that the body of the edit holds.
    """

    has: dict[str, Any]
    told: tuple[str, ...] = ()
    edit: tuple[str, int, str] = ("advertisers", 2, "name")
    kept: tuple[str, ...] = ()


FIRST, LAST = ("users", 2, "first_name"), ("users", 2, "last_name")
MAIL = {"email_address": "jim@example.com", "use_for_notifications": True}
SITES = ADVERTISER["sites"]
ODD_ADVERTISERS = {
    "phone": Odd(
        has={"users": [user(phone_number="n/a")]},
        told=("contact_phone_number", "U-1 of A-1 ('n/a')"),
        edit=FIRST,
        kept=('"contact_phone_number": "n/a"',),
    ),
    "no phone": Odd(has={"users": [user(phone_number=None)]}),
    "no last name": Odd(has={"users": [user(last_name="")]}),
    "nobody notified": Odd(has={"users": [user(email_settings=[MAIL | {"use_for_notifications": False}])]}),
    "same address": Odd(
        has={"users": [user(email_settings=[MAIL, MAIL | {"email_address": "JIM@example.com"}])]},
        told=("email_settings.2.email_address", "more than once", "U-1 of A-1"),
        kept=("JIM@example.com",),
    ),
    "role": Odd(has={"users": [user(role="manager")]}, edit=LAST, kept=('"role": "manager"',)),
    "unknown role": Odd(
        has={"users": [user(role="Owner")]}, told=("role", "'Owner'"), edit=LAST, kept=('"role": "Owner"',)
    ),
    "status": Odd(has={"approval_status": "Pending"}, told=("approval_status", "A-1 ('Pending')"), kept=('"Pending"',)),
    "brackets": Odd(
        has={"custom_data": {"channel": "[]"}}, told=("custom_data.channel", "'[]'"), kept=('"channel": "[]"',)
    ),
    "error": Odd(has={"users": [user(first_name="#N/A")]}, told=("first_name", "'#N/A'"), edit=LAST, kept=('"#N/A"',)),
    "mark": Odd(
        has={"sites": [{"id_from_network": "315", "name": "#DATE! x"}]}, told=("sites, name",), kept=('"#DATE! x"',)
    ),
    "object": Odd(
        has={"custom_data": {"channel": {"a": 1}}}, told=("custom_data.channel", "{'a': 1}"), kept=('{"a": 1}',)
    ),
    "control character": Odd(
        has={"name": "a\x01b"}, told=("advertisers, name",), edit=("sites", 2, "name"), kept=('"a\\u0001b"',)
    ),
    "bad key": Odd(
        has={"custom_data": {"a\x01": "x", " b ": "y"}}, told=("A-1 ('x'), A-1 ('y')",), kept=('" b ": "y"',)
    ),
    "long": Odd(has={"sites": [{"id_from_network": "315", "name": "x" * 32_768}]}, told=("sites, name", "…")),
    "longer": Odd(has={"sites": [{"id_from_network": "315", "name": "x" * 200_000}]}, told=("sites, name",)),
    "user without id": Odd(
        has={"users": [user(id_from_network=None), user(id_from_network="U-2", phone_number="none")]},
        told=("1 user has no usable id", "Jim Williams of A-1", "U-2 of A-1 ('none')"),
        edit=LAST,
        kept=('"none"',),
    ),
    "user id": Odd(
        has={"users": [user(id_from_network="#REF!")]},
        told=("1 user has no usable id", "#REF! of A-1"),
        kept=('"#REF!"',),
    ),
    "site id": Odd(
        has={"sites": [*SITES, {"id_from_network": "x", "name": "n"}]},
        told=("1 site has no usable id", "x of A-1"),
        edit=("sites", 3, "name"),
        kept=('{"id_from_network": "x", "name": "n"}',),
    ),
    "same site twice": Odd(
        has={"sites": [*SITES, *SITES]}, told=("4 sites have no usable id", "315 of A-1"), edit=LAST
    ),
    "no sites": Odd(has={"sites": []}),
    "no users": Odd(has={"users": []}, edit=("sites", 2, "name")),
}
ODD_NUMBERS = {
    "media type": Odd(has={"media_type": "Online: Podcast"}, told=("media_type", "8001234567 ('Online: Podcast')")),
    "soft hyphen": Odd(has={"media_type": "Offline: In\u00adCall Ad"}),
    "account": Odd(
        has={"adwords_account_id": "627-345-9815"}, told=("adwords_account_id", "Google Call Extension", "8001234567")
    ),
    "no number": Odd(has={"promo_number": "12"}, told=("promo_number", "4531 ('12')")),
    "own id": Odd(has={"id_from_network": "..#\x01"}, told=("id_from_network", "8001234567")),
    "overlap": Odd(
        has=hours(schedule(), schedule(day_of_week="Friday"), schedule(open_time="09:00")),
        told=("schedules.3", "overlap"),
    ),
    "half a schedule": Odd(
        has=hours({"day_of_week": "Friday", "open_time": "08:00"}, schedule()), told=("schedules.1", "needs")
    ),
    "past midnight": Odd(has=hours(schedule(close_time="07:00")), told=()),
    "odd time": Odd(has=hours(schedule(open_time="08:07")), told=("open_time", "'08:07'", "needs")),
}


def planned(source: Any, network: Network) -> PlanData:
    report = validate_sheet(source, api_version=network.api_version)
    assert report.ok, report.errors.to_string()
    return fetch_and_build_plan(report.validated_book, network, Options())


class Trip:
    """An export from a platform with given objects, and the plan of the exported sheets."""

    def __init__(self, odd: Any, reply: Any, folder: Path) -> None:
        self._odd, self._reply = odd, reply
        self.file = folder / "export.xlsx"
        self.network = odd.network(api_version="2026-02-01")

    def export(self, resource: Any, *objects: dict[str, Any]) -> Any:
        self._odd.reads.extend(self._reply(200, list(objects)) for _ in range(3))
        campaigns = None if resource is ADVERTISERS else [CAMPAIGN]
        result = exporting.export(resource, self.network, Options(), campaigns=campaigns, output=self.file)
        assert (result.is_complete, result.output_path) == (True, self.file)
        return result

    def check(self, result: Any, case: Odd) -> dict[str, Any]:
        """Check that the export plans no change, and that an edit does; returns the edit's body."""
        assert bool(result.notes) is bool(case.told)
        assert [word for word in case.told if word not in "\n".join(result.notes)] == []
        plan = planned(self.file, self.network)
        assert ({row.action for row in plan.rows}, plan.steps) == ({"unchanged"}, ())
        (step,) = planned(self.edited(result, case.edit), self.network).steps
        assert step.verb == "PUT"
        body: dict[str, Any] = step.body
        assert [text for text in case.kept if text not in json.dumps(body)] == []
        return body

    @staticmethod
    def edited(result: Any, edit: tuple[str, int, str]) -> Any:
        frames = {name: frame.copy() for name, frame in result.frames.items()}
        sheet, row, column = edit
        frames[sheet].loc[row, column] = "edited"
        return frames


@pytest.fixture
def trip(odd: Any, reply: Any, tmp_path: Path) -> Trip:
    return Trip(odd, reply, tmp_path)


@pytest.mark.parametrize("case", ODD_ADVERTISERS.values(), ids=ODD_ADVERTISERS)
def test_odd_advertisers(trip: Trip, case: Odd) -> None:
    """A value that no cell can hold is blank and noted, plans as unchanged, and an edit of another cell keeps it."""
    there = advertiser(**case.has)
    body = trip.check(trip.export(ADVERTISERS, there), case)
    before = dict(payloads.flatten_object(merge.to_writable(ADVERTISERS, there, "2026-02-01")))
    after = {"id_from_network": "A-1", **dict(payloads.flatten_object(body))}
    assert set(before) == set(after)
    assert [after[path] for path in before if after[path] != before[path]] == ["edited"]


@pytest.mark.parametrize("case", ODD_NUMBERS.values(), ids=ODD_NUMBERS)
def test_odd_numbers(trip: Trip, case: Odd) -> None:
    """The same holds for promo numbers; their update sends only changed and required fields."""
    case = replace(case, edit=("promo_numbers", 2, "description"))
    body = trip.check(trip.export(PROMO_NUMBERS, {**NUMBER, **case.has}), case)
    media_type = case.has.get("media_type", NUMBER["media_type"])
    assert body == {"description": "edited", "media_type": media_type.replace("\u00ad", "")}  # the page's own slip


def test_objects_without_usable_ids(trip: Trip) -> None:
    """Advertisers without a usable id are left out and noted, and the others are exported."""
    result = trip.export(
        ADVERTISERS,
        advertiser(id_from_network=None, name="Nameless"),
        advertiser(),
        advertiser(id_from_network="#N/A", name="Error"),
        advertiser(id_from_network="A-2", name=" Twins"),
        advertiser(id_from_network="A-3", name="Twins"),
        advertiser(id_from_network=" A-4", name="Spaces"),
        advertiser(id_from_network="A-4", name="None"),
    )
    missing, names = result.notes
    assert "4 advertisers have no usable id" in missing
    assert "Nameless, Error, Spaces, None" in missing
    assert names.startswith("advertisers, name: left blank for A-2, A-3. The platform has the same text more than once")
    assert list(result.frames["advertisers"]["id_from_network"]) == ["A-1", "A-2", "A-3"]
    assert planned(trip.file, trip.network).steps == ()


def test_an_id_with_spaces(trip: Trip) -> None:
    """An advertiser's path has its id verbatim, though a cell loses the spaces: else a new one would be created."""
    result = trip.export(ADVERTISERS, advertiser(id_from_network=" A/1 "))
    assert (result.notes, planned(trip.file, trip.network).steps) == ((), ())
    (step,) = planned(trip.edited(result, ("advertisers", 2, "name")), trip.network).steps
    assert step.path == ("advertisers", " A/1 ")


def test_numbers_without_identifiers() -> None:
    """A number without a usable phone number or id is left out; a shared id is left blank."""
    objects = [
        {**NUMBER, "promo_number": None, "id_from_network": None},
        {**NUMBER, "promo_number": "8001234568"},
        {**NUMBER, "id_from_network": "4531 "},
    ]
    rows, omitted_values = object_rows.to_rows(PROMO_NUMBERS, objects, "2022-08-01", address_cells=CAMPAIGN)
    names = [(row["promo_number"], row.get("id_from_network")) for row in rows]
    assert names == [("8001234568", None), ("8001234567", None)]
    assert [(omitted.code, omitted.object_label, omitted.column) for omitted in omitted_values] == [
        ("unnamed", "id 21", ""),
        ("repeated", "8001234568", "id_from_network"),
        ("repeated", "8001234567", "id_from_network"),
    ]


def test_many_omissions_are_one_note(trip: Trip) -> None:
    """A thousand blank cells of one column are one note that names the first few."""
    users = [user(id_from_network=f"U-{number}", phone_number="n/a") for number in range(1000)]
    (note,) = trip.export(ADVERTISERS, advertiser(users=users)).notes
    assert note == (
        "users, contact_phone_number: left blank for "
        "U-0 of A-1 ('n/a'), U-1 of A-1 ('n/a'), U-2 of A-1 ('n/a'), U-3 of A-1 ('n/a'), U-4 of A-1 ('n/a') and "
        "995 more. No cell can hold the platform's value. A run leaves blank cells as they are on the platform."
    )


# Campaigns


def write_requests(folder: Path) -> Path:
    """A sheet with results, other headers, and several rows of one campaign."""
    path = folder / "requests.csv"
    path.write_text(
        "Advertiser ID,campaign_id,affiliate id,description,media_type,notes,result_status\n"
        "A-100,C-100,,one,Online: Display,,created\nA-100,C-100,,two,no media type,,invalid\n"
        "A-200,C-200,F-1,,,,rejected\n",
        encoding="utf-8",
    )
    return path


SOURCES: dict[str, Callable[[Path], Any]] = {
    "dicts": lambda _: [CAMPAIGN, AFFILIATE, dict(CAMPAIGN), {**CAMPAIGN, "affiliate_id_from_network": None}],
    "frame": lambda _: pd.DataFrame([CAMPAIGN, AFFILIATE]),
    "file": write_requests,
    "text": lambda folder: str(write_requests(folder)),
    "of several": lambda _: {
        "advertisers": pd.DataFrame({"id_from_network": ["A-100"]}),
        "promo_numbers": pd.DataFrame([CAMPAIGN, AFFILIATE]),
    },
}


@pytest.fixture
def filled(platform: Any) -> Any:
    """A network with a number in two of its campaigns."""
    for path in ("C-100", "C-101"):
        platform("POST", f"advertisers/A-100/advertiser_campaigns/{path}/promo_numbers", {**BODY, "description": path})
    affiliate = "advertisers/A-200/advertiser_campaigns/C-200/affiliates/F-1/affiliate_campaigns"
    platform("POST", f"{affiliate}/promo_numbers", {**BODY, "description": "F-1"})
    return platform


BODY = {"media_type": "Online: Display"}


@pytest.fixture
def target(filled: Any, sandbox: Any) -> Network:
    network: Network = resolve_network(sandbox)
    return type(network)(base_url=network.base_url, network_id=filled.network_id, token=network.token)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_campaigns(target: Network, filled: Any, tmp_path: Path, source: Callable[[Path], Any]) -> None:
    """Campaigns come from a file, a frame or dicts; other columns are ignored, and each is requested once."""
    before = filled.store.request_count
    frame = ib.export("promo_numbers", target, campaigns=source(tmp_path))
    assert filled.store.request_count == before + 2
    assert isinstance(frame, pd.DataFrame)
    assert list(frame["description"]) == ["C-100", "F-1"]
    names = [*AFFILIATE]
    assert frame[names].to_numpy().tolist() == [["A-100", "C-100", ""], ["A-200", "C-200", "F-1"]]


def test_advertisers_are_one_request(target: Network, filled: Any) -> None:
    """All advertisers of a network are one request."""
    before = filled.store.request_count
    frames = ib.export("advertisers", target)
    assert filled.store.request_count == before + 1
    assert list(frames) == ["advertisers", "sites", "users"]
    assert [len(frame) for frame in frames.values()] == [3, 3, 0]


UNUSABLE: dict[str, tuple[Any, type[Exception], str]] = {
    "nothing": (None, ConfigError, r"Which campaigns\? Name them with"),
    "no rows": ([], ConfigError, "No row names a campaign"),
    "an empty sheet": (pd.DataFrame(columns=[*CAMPAIGN]), ConfigError, "No row names a campaign"),
    "no dicts": (["C-1"], ConfigError, "must contain dicts with the keys advertiser_id_from_network"),
    "other columns": (pd.DataFrame({"colour": ["red"]}), UnreadableSheetError, "No header row was found"),
    "no campaign": (
        [{"advertiser_id_from_network": "A-1"}],
        InvalidSheetError,
        r"header, advertiser_campaign_id_from_network: The required column .* is missing\. Add",
    ),
    "a blank": (
        [CAMPAIGN, CAMPAIGN | {"advertiser_id_from_network": ""}],
        InvalidSheetError,
        "index 1, .* is required",
    ),
    "no id": (
        [CAMPAIGN | {"advertiser_campaign_id_from_network": ".."}],
        InvalidSheetError,
        r"index 0, .*: '\.\.' cannot be used as an id",
    ),
    "an error": (
        [CAMPAIGN | {"advertiser_campaign_id_from_network": "#N/A"}],
        InvalidSheetError,
        "index 0, .* error #N/A",
    ),
    "many": ([CAMPAIGN | {"advertiser_id_from_network": ".."}] * 9, InvalidSheetError, "… and 4 more"),
    "too long a row": (
        b"advertiser_id_from_network,advertiser_campaign_id_from_network\nA,C\nA,C,D\n",
        InvalidSheetError,
        "row 3: The row has 3 cells",
    ),
}


@pytest.mark.parametrize(("source", "error", "words"), UNUSABLE.values(), ids=UNUSABLE)
def test_unusable_campaigns(target: Network, filled: Any, source: Any, error: type[Exception], words: str) -> None:
    """A source without campaigns is rejected with the reason before any request."""
    before = filled.store.request_count
    with pytest.raises(error, match=words):
        ib.export("promo_numbers", target, campaigns=source)
    assert filled.store.request_count == before


def test_a_refused_campaign(target: Network, filled: Any) -> None:
    """A campaign that is not found is noted, and the others are exported."""
    unknown = CAMPAIGN | {"advertiser_campaign_id_from_network": "C-9"}
    result = exporting.export(PROMO_NUMBERS, target, Options(), campaigns=[unknown, CAMPAIGN])
    assert not result.is_complete
    (note,) = result.notes
    assert note.startswith("The numbers of A-100 / C-9 are missing: Could not find campaign")
    assert note.endswith("Check the ids of the advertiser, campaign and affiliate.")
    assert list(result.frames["promo_numbers"]["description"]) == ["C-100"]
    assert filled


# The doors


def test_library(target: Network, tmp_path: Path) -> None:
    """The library returns frames, writes a new file, and warns of what is missing."""
    path = tmp_path / "numbers.xlsx"
    path.write_text("mine")
    with pytest.warns(UserWarning, match="C-9 are missing"):
        frame = ib.export(
            "promo_numbers",
            target,
            output=path,
            campaigns=[CAMPAIGN, CAMPAIGN | {"advertiser_campaign_id_from_network": "C-9"}],
        )
    assert path.read_text() == "mine"
    assert frame.attrs["output"] == str(tmp_path / "numbers-2.xlsx")
    again = ib.read(tmp_path / "numbers-2.xlsx")
    assert again.equals(frame)
    assert list(again.index) == list(frame.index)


def test_library_with_a_sandbox() -> None:
    """A sandbox of this process is accepted instead of a network, with any API version."""
    with ib.sandbox() as box:
        old, new = (
            ib.export("promo_numbers", box, campaigns=[CAMPAIGN], api_version=version) for version in API_VERSIONS[:2]
        )
    assert "id_from_network" not in old
    assert "id_from_network" in new


REFUSED: dict[str, tuple[tuple[str, str], dict[str, Any], type[Exception], str]] = {
    "resource": (("campaigns", ""), {}, ConfigError, "Choose one of advertisers, promo_numbers"),
    "campaigns of advertisers": (("advertisers", ""), {"campaigns": [CAMPAIGN]}, ConfigError, "all advertisers"),
    "ending": (("advertisers", "x.ods"), {}, OutputError, "does not end in .xlsx or .csv"),
    "folder": (("advertisers", "no/x.csv"), {}, OutputError, "does not exist"),
    "version": (("advertisers", ""), {"api_version": "2016-01-01"}, ConfigError, "API version"),
    "concurrency": (("advertisers", ""), {"concurrency": 0}, ConfigError, "concurrency is 0, but the minimum is 1"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_library_refuses(target: Network, filled: Any, tmp_path: Path, case: Any) -> None:
    """Invalid arguments are rejected before any request."""
    (resource, name), more, error, words = case
    before = filled.store.request_count
    with pytest.raises(error, match=words):
        ib.export(resource, target, output=tmp_path / name if name else None, **more)
    assert filled.store.request_count == before


def test_no_platform(odd: Any, reply: Any) -> None:
    """A response that is not a list is an error, not a platform without advertisers."""
    odd.reads.append(reply(200, {"advertisers": []}))
    with pytest.raises(PlatformUnavailableError, match="is not the platform"):
        ib.export("advertisers", odd.network())


def test_not_authorized(target: Network) -> None:
    """A rejected token raises the same error as elsewhere."""
    wrong = type(target)(base_url=target.base_url, network_id=target.network_id, token="another-token")
    with pytest.raises(AuthenticationError):
        ib.export("advertisers", wrong)


@pytest.fixture
def export(cli: Any, target: Network) -> Callable[..., Any]:
    """Runs `invoca-bulk export` on the network."""
    environment = {"INVOCA_NETWORK_ID": target.network_id, "INVOCA_BASE_URL": target.base_url}
    return lambda *arguments: cli("export", *arguments, **environment, INVOCA_API_TOKEN="sandbox-token")


def test_cli_advertisers(export: Callable[..., Any], tmp_path: Path) -> None:
    """The command writes the workbook, reports the counts, and prints the next command."""
    ran = export("advertisers", "-o", "mine.xlsx", "--timeout", "30")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "Wrote mine.xlsx: 3 advertisers, 3 sites, 0 users",
        "Next: invoca-bulk plan mine.xlsx --timeout 30.0",
    ]
    assert list(ib.read(tmp_path / "mine.xlsx")) == ["advertisers", "sites"]


def test_cli_campaigns(export: Callable[..., Any], tmp_path: Path) -> None:
    """Campaigns come from a file; one that cannot be read is reported on standard error with exit code 1."""
    path = tmp_path / "campaigns.csv"
    pd.DataFrame([CAMPAIGN, AFFILIATE, CAMPAIGN | {"advertiser_campaign_id_from_network": "C-9"}]).to_csv(
        path, index=False
    )
    ran = export("promo_numbers", "-o", "mine.csv", "--campaigns", path)
    assert ran.code == 1
    assert "The numbers of A-100 / C-9 are missing" in ran.err
    assert ran.out.splitlines()[0] == "Wrote mine.csv: 2 promo_numbers"
    assert list(ib.read(tmp_path / "mine.csv")["description"]) == ["C-100", "F-1"]


def test_cli_campaigns_in_another_encoding(export: Callable[..., Any], tmp_path: Path) -> None:
    """The encoding of the sheet of campaigns may be named; the next command is about the exported sheet, without it."""
    campaigns = pd.DataFrame([CAMPAIGN, CAMPAIGN | {"advertiser_campaign_id_from_network": "Caf\xe9"}])
    (tmp_path / "campaigns.csv").write_bytes(campaigns.to_csv(index=False).encode("mac-roman"))
    ran = export("promo_numbers", "-o", "mine.csv", "--campaigns", "campaigns.csv", "--encoding", "macroman")
    assert ran.code == 1
    assert "The numbers of A-100 / Caf\xe9 are missing" in ran.err
    assert ran.out.splitlines()[1] == "Next: invoca-bulk plan mine.csv"


def test_cli_flags_and_json(export: Callable[..., Any], target: Network) -> None:
    """One campaign can be named by flags; with --json, the whole output is one object."""
    flags = ("--advertiser", "A-200", "--campaign", "C-200", "--affiliate", "F-1")
    ran = export("promo_numbers", "-o", "mine.xlsx", *flags, "--for-migration", "--json", "--base-url", target.base_url)
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out) == {
        "rows": {"promo_numbers": 1},
        "output": "mine.xlsx",
        "notes": [],
        "exit_code": 0,
        "next": "invoca-bulk run mine.xlsx -o results.xlsx",
    }


CLI_REFUSES = {
    "no campaigns": (("promo_numbers",), "Name them with --campaigns"),
    "both": (("promo_numbers", "--campaigns", "x.csv", "--advertiser", "A"), "cannot be combined with --advertiser"),
    "half": (("promo_numbers", "--advertiser", "A"), "both --advertiser and --campaign"),
    "affiliate alone": (("promo_numbers", "--affiliate", "F"), "both --advertiser and --campaign"),
    "of advertisers": (("advertisers", "--advertiser", "A", "--campaign", "C"), "all advertisers are exported"),
    "no file": (("promo_numbers", "--campaigns", "x.csv"), "x.csv"),
    "encoding alone": (("promo_numbers", "--encoding", "macroman"), "the sheet of --campaigns"),
}


@pytest.mark.parametrize(("arguments", "words"), CLI_REFUSES.values(), ids=CLI_REFUSES)
def test_cli_refuses(export: Callable[..., Any], arguments: tuple[str, ...], words: str) -> None:
    """An error is one sentence and exit code 2."""
    ran = export(*arguments, "-o", "mine.xlsx")
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err
    assert "Traceback" not in ran.err


def test_cli_needs_a_network(cli: Any) -> None:
    """Without a network id, the command stops and offers no rehearsal."""
    ran = cli("export", "advertisers", "-o", "x.xlsx")
    assert ran.code == 2
    assert ran.err.splitlines() == ["There is no network id. Set INVOCA_NETWORK_ID, or use --network-id."]


def test_cli_after_a_stop(export: Callable[..., Any]) -> None:
    """If the platform cannot be read, the command to repeat is printed."""
    ran = export("advertisers", "-o", "x.xlsx", "--network-id", "9999", "--for-migration")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.splitlines()[-1] == (
        "Fix the problem, then run: invoca-bulk export advertisers --output x.xlsx --for-migration --network-id 9999"
    )
