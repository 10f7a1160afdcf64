"""The platform's JSON as cells, and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoca_bulk.schema import ADVERTISERS, API_VERSIONS, PROMO_NUMBERS, SHEET_RESOURCES, payloads
from invoca_bulk.schema.issue_catalog import ISSUE_CODE_BY_MARKER, MAX_CELL_CHARACTERS

USERS = SHEET_RESOURCES["users"]
VERSION = "2022-08-01"

ANSWER: dict[str, Any] = {
    "id": 43838,
    "id_from_network": "cFUyYnFHy",
    "name": "NFL Tickets Exchange",
    "object_url": "https://example.com/43838",
    "web_integration_phone_number": None,
    "default_creative_id_from_network": 222,
    "oauth_refresh_token": "7464644784457575757494930303",
    "sites": [{"id_from_network": 315, "name": ""}, {"id_from_network": "996", "name": "two"}],
    "users": [
        {
            "id_from_network": "U-1",
            "email_settings": [
                {"email_address": "chris@example.com", "use_for_notifications": True},
                {"email_address": "dean@example.com", "use_for_notifications": False},
            ],
            "first_name": "Chris",
            "phone_number": "888\u2010603\u20103760",
            "oauth_refresh_token": "556588585858585858585858858",
            "can_login_via_platform": True,
            "notify_on_performance_notifications": False,
        }
    ],
    "custom_data": {"channel": "Online lead", "a.b": "dots", "1": "number"},
    "something_new": {"x": 1},
}
CELLS = {
    "id": "43838",
    "id_from_network": "cFUyYnFHy",
    "name": "NFL Tickets Exchange",
    "object_url": "https://example.com/43838",
    "default_creative_id_from_network": "222",
    "sites.1.id_from_network": "315",
    "sites.2.id_from_network": "996",
    "sites.2.name": "two",
    "users.1.id_from_network": "U-1",
    "users.1.email_settings.1.email_address": "chris@example.com",
    "users.1.email_settings.1.use_for_notifications": "TRUE",
    "users.1.email_settings.2.email_address": "dean@example.com",
    "users.1.email_settings.2.use_for_notifications": "FALSE",
    "users.1.first_name": "Chris",
    "users.1.contact_phone_number": "8886033760",
    "users.1.can_login_via_platform": "TRUE",
    "users.1.notify_on_performance_notifications": "FALSE",
    "custom_data.channel": "Online lead",
    "custom_data.a.b": "dots",
    "custom_data.1": "number",
}
#: Version to the cells that it does not have.
UNKNOWN = {
    "2017-09-01": {"users.1.can_login_via_platform"},
    "2022-08-01": set(),
    "2026-02-01": {"users.1.notify_on_performance_notifications"},
}


def value(resource: Any, path: str, raw_value: Any, normalized: Any, name: str) -> Any:
    return pytest.param(resource.by_path[path], raw_value, normalized, id=name)


@pytest.mark.parametrize(
    ("field", "raw_value", "normalized"),
    [
        value(USERS, "contact_phone_number", "888\u2010603\u20103760", "8886033760", "hyphens"),
        value(USERS, "contact_phone_number", "805-555-5555", "8055555555", "dashes"),
        value(USERS, "contact_phone_number", "+448081570192", "+448081570192", "international"),
        value(USERS, "contact_phone_number", "extension 5", "extension 5", "no-phone-number"),
        value(ADVERTISERS, "default_creative_id_from_network", 222, "222", "integer"),
        value(ADVERTISERS, "default_creative_id_from_network", 0, "0", "zero"),
        value(ADVERTISERS, "name", " Acme ", "Acme", "spaces"),
        value(ADVERTISERS, "name", "", None, "empty"),
        value(ADVERTISERS, "name", None, None, "null"),
        value(ADVERTISERS, "name", "[]", "[]", "brackets"),
        value(ADVERTISERS, "name", "a\0b", "a\0b", "control-character"),
        value(ADVERTISERS, "name", {"a": 1}, {"a": 1}, "object"),
        value(ADVERTISERS, "name", ["a"], ["a"], "list"),
        value(ADVERTISERS, "name", [], None, "empty-list"),
        value(ADVERTISERS, "approval_status", "approved", "Approved", "choice"),
        value(ADVERTISERS, "approval_status", "Odd", "Odd", "no-choice"),
        value(PROMO_NUMBERS, "media_type", "Offline: In\u00adCall Ad", "Offline: InCall Ad", "soft-hyphen"),
        value(PROMO_NUMBERS, "tn_prefix_whitelist", ["805", "212"], ["805", "212"], "area-codes"),
        value(PROMO_NUMBERS, "tn_prefix_whitelist", [805], [805], "no-area-codes"),
        value(PROMO_NUMBERS, "tn_prefix_whitelist", [], None, "cleared-list"),
        value(USERS, "notify_on_budgets", raw_value=False, normalized=False, name="false"),
        value(USERS, "notify_on_budgets", "true", normalized=True, name="true-as-text"),
        value(USERS, "notify_on_budgets", [], None, "no-flag"),
    ],
)
def test_normalize_value(field: Any, raw_value: Any, normalized: Any) -> None:
    """A value of the platform gets the form that a sheet would send; a value that no cell could hold is unchanged."""
    assert payloads.normalize_value(field, raw_value) == normalized
    assert type(payloads.normalize_value(field, raw_value)) is type(normalized)


@pytest.mark.parametrize("version", UNKNOWN)
def test_cell_texts(version: str) -> None:
    """Cells are numbered, have the names used in writes, and contain no secrets and no fields of other versions."""
    cells = payloads.to_cell_texts(ADVERTISERS, ANSWER, version)
    assert cells.texts == {path: text for path, text in CELLS.items() if path not in UNKNOWN[version]}
    assert cells.unrepresentable == ()


def test_cell_texts_of_a_user() -> None:
    """A user has the same cells on the users sheet, without the number."""
    cells = payloads.to_cell_texts(USERS, ANSWER["users"][0], VERSION)
    prefix = "users.1."
    assert cells.texts == {path.removeprefix(prefix): text for path, text in CELLS.items() if path.startswith(prefix)}


@pytest.mark.parametrize("version", API_VERSIONS)
def test_cell_texts_of_a_promo_number(version: str) -> None:
    """A promo number has its number and ids; own id and hours only in the API versions that have them."""
    hours = {"time_zone": "UTC", "schedules": [{"day_of_week": "Monday", "open_time": "08:00", "close_time": "17:00"}]}
    answer = {"id": 5, "id_from_network": "own", "promo_number": "8004377950", "hours_of_operation": hours}
    cells = payloads.to_cell_texts(PROMO_NUMBERS, answer, version)
    assert {"id": "5", "promo_number": "8004377950"}.items() <= cells.texts.items()
    assert (cells.texts.get("id_from_network") == "own") is (version >= "2018-05-01")
    assert ("hours_of_operation.schedules.1.open_time" in cells.texts) is (version >= "2026-02-01")
    assert cells.unrepresentable == ()


@pytest.mark.parametrize(
    ("path", "raw_value"),
    [
        pytest.param("name", "[]", id="clears"),
        pytest.param("name", " [] ", id="clears-with-spaces"),
        pytest.param("name", "a\0b", id="control-character"),
        pytest.param("custom_data.a\u200bb", "x", id="key-with-an-invisible-character"),
        pytest.param("name", "#date! 3-4", id="marker-in-lower-case"),
        pytest.param("name", "x" * (MAX_CELL_CHARACTERS + 1), id="too-long"),
        pytest.param("approval_status", "Odd", id="no-choice"),
        pytest.param("web_integration_phone_number", "none", id="no-phone-number"),
        pytest.param("custom_data.channel", {"a": "b"}, id="object"),
        pytest.param("custom_data. channel", "x", id="key-with-a-space"),
        pytest.param("custom_data.", "x", id="key-without-a-name"),
        *(pytest.param("name", f"{marker} x", id=marker) for marker in ISSUE_CODE_BY_MARKER),
        *(pytest.param("name", f" {error}", id=error) for error in sorted(payloads.SPREADSHEET_ERRORS)),
    ],
)
def test_unrepresentable(path: str, raw_value: Any) -> None:
    """A value whose text would be read as something else or rejected gets no cell and is reported."""
    parent, dot, key = path.partition(".")
    cells = payloads.to_cell_texts(ADVERTISERS, {parent: {key: raw_value} if dot else raw_value}, VERSION)
    assert cells.texts == {}
    assert cells.unrepresentable == ((path, raw_value),)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
#: The top-level fields of an object, with their resources.
TOP = [
    (resource, field)
    for resource in (ADVERTISERS, PROMO_NUMBERS, *ADVERTISERS.subresources)
    for field in resource.fields
    if field.is_sent and "." not in field.path
]


@given(resource_field=st.sampled_from(TOP), raw_value=JSON, key=st.text())
def test_every_value_has_a_cell_or_is_reported(resource_field: Any, raw_value: Any, key: str) -> None:
    """Every value gets a cell that is parsed to the same value, or is reported; empty values need neither."""
    resource, field = resource_field
    cells = payloads.to_cell_texts(resource, {field.path: raw_value, "custom_data": {key: "x"}}, field.since)
    normalized = payloads.normalize_value(field, raw_value)
    if field.path in cells.texts:
        assert field.field_type.parse_cell(cells.texts[field.path]).value == normalized
    elif not isinstance(raw_value, dict | list):
        assert ((field.path, raw_value) in cells.unrepresentable) is (normalized is not None)
    assert payloads.normalize_value(field, normalized) == normalized
