"""Round trip of exports: unedited, an export plans as unchanged; with one edited cell, it plans that one change.

Tested with generated objects, in every API version, as `.xlsx` and `.csv`, through the real stages.
"""

from __future__ import annotations

from http import HTTPStatus
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from invoca_bulk import planning, sheets, validation
from invoca_bulk.planning import PlatformState
from invoca_bulk.reports import save
from invoca_bulk.schema import ADVERTISERS, API_VERSIONS, PROMO_NUMBERS, RESOURCES, SHEET_RESOURCES, field_types, paths
from invoca_bulk.schema.invisible import is_blank, name_invisible
from invoca_bulk.schema.promo_numbers import DAYS, GOOGLE_CALL_EXTENSION, MEDIA_TYPES
from invoca_bulk.service import export
from invoca_bulk.service.export import object_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from invoca_bulk.planning import PlanData, Scope
    from invoca_bulk.sandbox_server import Sandbox
    from invoca_bulk.schema import Resource

NO_SHRINK = (Phase.explicit, Phase.reuse, Phase.generate)

# Generated objects, as JSON bodies

ODD = (
    *("007", " spaces around ", "a,b", 'say "hi"', "it's", "naïve 東京 🎫", "=1+1", "-1", "+18055550100", "@x", "'=1"),
    *("#N/A", "#REF!", "[]", "#DATE! x", "#row! y", "1e5", "TRUE", "nan", "None", "2026-05-01", "805.0", "_x0041_"),
    *("two\nlines", "a\r\nb", "tab\there", " ", "\u200b", "a\u00adb", "\uffff", "a;b|c", "<b>&amp;"),
)
#: Without control characters, which the platform and this package refuse.
PRINTABLE = st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"])
TEXT = st.sampled_from(ODD) | st.text(PRINTABLE, min_size=1, max_size=12)
REQUIRED = TEXT.filter(lambda text: not is_blank(text))
IDS = st.sampled_from([*ODD, "A/1", "a?b#c%d", "..a", "0"]).filter(lambda text: "\n" not in text and "\t" not in text)
OWN_ID = (IDS | st.text(PRINTABLE, min_size=1, max_size=8)).filter(
    lambda text: text.strip() not in {".", ".."} and not name_invisible(text) and not is_blank(text)
)
KEYS = st.sampled_from(
    ["channel", "a.b", "a.1.b", "two words", "ключ", " key ", "#N/A", "name", "=x", "bad\x01", "1", ""]
)
CUSTOM_DATA = st.dictionaries(KEYS | st.text(PRINTABLE, max_size=6), TEXT | st.just(""), max_size=4)
PHONE = st.sampled_from(["8055550100", "805-555-0101", "+448081570192", "+12125550102", "2125550103"])
FLAGS = [field.path.rpartition(".")[2] for field in ADVERTISERS.fields if ".notify_on_" in field.path]


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def merged(*parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(*parts).map(lambda bodies: {name: value for body in bodies for name, value in body.items()})


def addresses(names: list[str]) -> list[dict[str, Any]]:
    """Email settings; the last address is used for notifications."""
    entries = [{"email_address": f"{name}@example.com", "use_for_notifications": False} for name in names]
    return [*entries[:-1], {**entries[-1], "use_for_notifications": True}]


EMAILS = st.lists(st.sampled_from(["ann", "Bob.b", "c+d", "o'neil"]), min_size=1, max_size=3, unique=True).map(
    addresses
)
SITE = merged(
    st.fixed_dictionaries({"id_from_network": st.sampled_from(["315", "007", "0", "12345678901234567890", 996, 315])}),
    optional(name=TEXT | st.just("") | st.none()),
)


def user_fields(version: str) -> st.SearchStrategy[dict[str, Any]]:
    flags = [name for name in FLAGS if ADVERTISERS.by_path[f"users.#.{name}"].is_known_in(version)]
    required = {"id_from_network": OWN_ID, "email_settings": EMAILS, "first_name": REQUIRED, "last_name": REQUIRED}
    return merged(
        st.fixed_dictionaries({**required, "contact_phone_number": PHONE}),
        optional(role=st.sampled_from(["Super", "Manager", "Member", "Observer"])),
        optional(**dict.fromkeys(flags, st.booleans())),
    )


def advertisers(version: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    users = st.lists(user_fields(version), max_size=5, unique_by=lambda user: user["id_from_network"])
    sites = st.lists(SITE, min_size=1, max_size=3)
    required = {"id_from_network": OWN_ID, "name": REQUIRED, "sites": sites, "users": users}
    advertiser = merged(
        st.fixed_dictionaries(required),
        optional(
            approval_status=st.sampled_from(["Applied", "Approved", "Archived"]),
            web_integration_phone_number=PHONE | st.none(),
            default_creative_id_from_network=st.sampled_from(["222", "007", 0, None]),
            custom_data=CUSTOM_DATA,
        ),
    )
    return st.lists(
        advertiser,
        min_size=1,
        max_size=3,
        unique_by=(lambda advertiser: advertiser["id_from_network"], lambda advertiser: advertiser["name"]),
    )


@st.composite
def hours(draw: st.DrawFn) -> dict[str, Any]:
    days = draw(st.lists(st.sampled_from(DAYS), max_size=3, unique=True))
    schedules = [{"day_of_week": day, "open_time": "08:00", "close_time": draw(CLOSE)} for day in days]
    open_always = draw(st.booleans()) or not schedules
    schedule_fields = {"schedules": schedules} if schedules else {}
    return {"open_24_7": open_always, "time_zone": "Pacific Time (US & Canada)", **schedule_fields}


CLOSE = st.sampled_from(["12:00", "17:45", "23:45"])
MEDIA = st.sampled_from([media_type for media_type in MEDIA_TYPES if media_type != GOOGLE_CALL_EXTENSION]).map(
    lambda media_type: {"media_type": media_type}
)
ADS = st.sampled_from(["627-345-9815", "7567575756755"]).map(
    lambda account_id: {"media_type": GOOGLE_CALL_EXTENSION, "adwords_account_id": account_id}
)


def numbers(version: str) -> st.SearchStrategy[list[tuple[str, dict[str, Any]]]]:
    """Pairs of an affiliate id (empty: none) and the body of a create request."""
    ids = {"id_from_network": OWN_ID} if version >= "2018-05-01" else {}
    optional_fields = optional(
        custom_data=CUSTOM_DATA,
        promo_type=st.sampled_from(["Local", "Mobile"]),
        local_center=st.sampled_from([{"tn_prefix": "805"}, {"city": "Boston", "state": "MA"}]),
        **ids,
    )
    body = merged(REQUIRED.map(lambda text: {"description": text}), MEDIA | ADS, optional_fields)
    with_hours = (
        merged(body, hours().map(lambda value: {"hours_of_operation": value})) if version >= "2026-02-01" else body
    )
    pair = st.tuples(st.just("F-1"), body) | st.tuples(st.just(""), with_hours)
    return st.lists(pair, min_size=1, max_size=5)


# The platform and the stages

_NETWORKS = count(700_000)


class RoundTrip:
    """One network of the sandbox, with the steps from it to a sheet and back to a plan."""

    def __init__(self, sandbox: Sandbox, http: httpx.Client, version: str) -> None:
        self.id = str(next(_NETWORKS))
        self.network = sandbox.store.add_network(self.id, empty=True)
        self.store, self.http, self.version = sandbox.store, http, version

    def call(self, verb: str, scope: Scope, body: Any = None) -> httpx.Response:
        path = "/".join(quote(part, safe="") for part in scope)
        return self.http.request(verb, f"/api/{self.version}/{self.id}/{path}.json", json=body)

    def list(self, scope: Scope) -> PlatformState:
        response = self.call("GET", planning.list_path(scope))
        assert response.status_code == HTTPStatus.OK
        return PlatformState(objects=tuple(response.json()))

    def tables(self, resource: Resource, *scopes: Scope) -> Any:
        rows = []
        for scope in scopes:
            objects = self.list(scope).objects
            rows += object_rows.to_rows(resource, objects, self.version, address_cells=_address(scope))[0]
        return export.export_tables.ExportTables(resource, rows, self.version, for_migration=False)

    def plan(self, source: Any) -> PlanData:
        loaded = sheets.load(source)  # without rows if no id of the platform can stand in a sheet
        validated_book = validation.validate(loaded, version=self.version, allow_no_rows=True)
        assert validated_book.issues[validated_book.issues["level"] == "error"].empty, validated_book.issues.to_string()
        return planning.build_plan(
            validated_book, {scope: self.list(scope) for scope in planning.required_scopes(validated_book)}
        )


def _address(scope: Scope) -> dict[str, str]:
    names = ("advertiser_id_from_network", "advertiser_campaign_id_from_network", "affiliate_id_from_network")
    return dict(zip(names, scope[1::2], strict=False))


CAMPAIGN = ("advertisers", "A-1", "advertiser_campaigns", "C-1")
AFFILIATE = (*CAMPAIGN, "affiliates", "F-1", "affiliate_campaigns")


def forms(tables: Any, folder: Path) -> Iterator[Any]:
    """The sheets saved as a workbook and as CSV, and read back."""
    for name in ("export.xlsx", "export.csv"):
        flat = name.endswith(".csv")
        yield sheets.read(save.save_worksheets(folder / name, lambda flat=flat: tables.to_worksheets(flat=flat)))


# One edit


def edits(source: Any) -> list[tuple[str, int, str, str, str]]:
    """Every possible edit of a non-key cell: sheet, row, column, text, and the new value as the plan shows it."""
    possible_edits = []
    for name, frame in (source if isinstance(source, dict) else {"": source}).items():
        resource = SHEET_RESOURCES.get(name) or RESOURCES["promo_numbers" if "description" in frame else "advertisers"]
        for row, cells in frame.iterrows():
            texts = dict(cells)
            for column in frame.columns:
                possible_edits += [(name, row, column, *edit) for edit in _edits_of(resource, column, texts)]
    return possible_edits


def _edits_of(resource: Resource, path: str, texts: dict[str, str]) -> Iterator[tuple[str, str]]:
    field, old = resource.by_path[paths.to_pattern(path)], texts[path]
    name = path.rpartition(".")[2]
    record = ".".join(path.split(".")[:2]) if path.startswith(("users.", "sites.")) else ""
    is_present = not record or texts.get(f"{record}.id_from_network")
    is_key = name.endswith("id_from_network") and name != "default_creative_id_from_network"
    if is_key or not (field.is_sent and field.applies_on_update):
        return
    if not is_present or name in _NOT_EDITED or (name in _EDITED_IF_FILLED and not old):
        return
    new = _NEW.get(name) or _NEW_BY_TYPE.get(field.field_type.name)
    if name == "media_type" and texts["adwords_account_id"]:
        return
    if field.field_type is field_types.BOOLEAN and name != "open_24_7":
        new = None if old == "TRUE" and name == "use_for_notifications" else "FALSE" if old == "TRUE" else "TRUE"
    if new and new != old:
        yield new, new
    clears = old and old != field.default  # a cleared field is read back as its default
    if (
        clears
        and field.clearable
        and field.field_type is not field_types.BOOLEAN
        and name not in {"email_address", "media_type"}
    ):
        yield "[]", ""


#: Not edited: the times of a schedule depend on each other, an account id on the media type.
_NOT_EDITED = {"open_time", "close_time", "day_of_week", "adwords_account_id", "open_24_7"}
_EDITED_IF_FILLED = {"email_address", "use_for_notifications", "time_zone"}
_NEW = {
    "media_type": "Online: Other",
    "approval_status": "Declined",
    "role": "Observer",
    "promo_type": "Mobile",
    "time_zone": "UTC",
}
_NEW_BY_TYPE = {
    "text": "edited text",
    "phone number": "9785550199",
    "email address": "edited@example.com",
    "numeric id": "98765",
}


def edited(source: Any, sheet: str, row: int, column: str, text: str) -> Any:
    frames = source if isinstance(source, dict) else {"": source}
    changed = {name: frame.copy() for name, frame in frames.items()}
    changed[sheet].loc[row, column] = text
    return changed if isinstance(source, dict) else changed[""]


def check(trip: RoundTrip, tables: Any, folder: Path, data: st.DataObject) -> None:
    for source in forms(tables, folder):
        plan = trip.plan(source)
        assert [row for row in plan.rows if row.action != "unchanged"] == []
        assert (plan.steps, plan.changes, plan.removals) == ((), (), ())
        possible_edits = edits(source)
        if not possible_edits:
            continue
        sheet, row, column, text, new = data.draw(st.sampled_from(possible_edits))
        old = (source[sheet] if sheet else source).loc[row, column]
        after = trip.plan(edited(source, sheet, row, column, text))
        assert len(after.steps) == 1
        assert after.steps[0].verb == "PUT"
        assert not after.removals
        (change,) = after.changes
        assert (change.row, change.column, change.new) == (row, column, new)
        assert after.sheets[change.sheet].resource == (sheet or after.sheets[0].resource)
        assert change.old.strip() == old or not old  # the plan shows the platform's value unchanged


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("round-trip")


@pytest.mark.parametrize("version", API_VERSIONS)
@settings(max_examples=5, phases=NO_SHRINK)
@given(data=st.data())
def test_advertisers(sandbox: Sandbox, http: Any, folder: Path, version: str, data: st.DataObject) -> None:
    """Advertisers with sites and users plan as unchanged; one edited cell plans as that change in one step."""
    trip = RoundTrip(sandbox, http, version)
    for body in data.draw(advertisers(version)):
        response = trip.call("POST", ("advertisers",), body)
        assert response.status_code == HTTPStatus.CREATED, response.text
    check(trip, trip.tables(ADVERTISERS, ()), folder, data)


@pytest.mark.parametrize("version", API_VERSIONS)
@settings(max_examples=5, phases=NO_SHRINK)
@given(data=st.data())
def test_promo_numbers(sandbox: Sandbox, http: Any, folder: Path, version: str, data: st.DataObject) -> None:
    """Promo numbers of campaigns and affiliates plan as unchanged; one edited cell as that change in one step."""
    trip = RoundTrip(sandbox, http, version)
    trip.store.add_affiliate("A-1", "C-1", "F-1", network_id=trip.id)
    for affiliate, body in data.draw(numbers(version)):
        scope = AFFILIATE if affiliate else CAMPAIGN
        collection = "promo_numbers_by_id" if "id_from_network" in body else "promo_numbers"
        response = trip.call("POST", (*scope, collection), body)
        taken = response.status_code == HTTPStatus.FORBIDDEN and response.json()["errors"] == {
            "id_from_network": ["has already been taken"]
        }
        assert response.status_code == HTTPStatus.CREATED or taken, response.text
    check(trip, trip.tables(PROMO_NUMBERS, CAMPAIGN, AFFILIATE), folder, data)
