"""An update sends back what was read, to the letter: it differs from it in the edited cell alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invoca_bulk.planning import merge
from invoca_bulk.planning.number_update import NumberUpdate
from invoca_bulk.schema import ADVERTISERS

VERSION = "2022-08-01"
#: What the table does not know, in shapes that no path can name.
UNKNOWN: dict[str, Any] = {
    "flag": None,
    "email_address": "flat@example.com",
    "dotted.key": {"": 1, "7": {"a.b": []}},
    "mixed": [1, {"x": None}, [], "", {}],
    "rate": 1.5,
}
#: Keys of a user that an update does not send back, each with its reason.
LEFT_OUT = {"can_login_via_platform": "read-only", "phone_number": "written as contact_phone_number"}
#: The same of an advertiser.
LEFT_OUT_OF_ADVERTISER = {"id": "read-only", "object_url": "read-only", "id_from_network": "in the address"}


def advertiser() -> dict[str, Any]:
    """As the platform shows it; spellings that no sheet would send, and unknown keys at each level."""
    user = {
        "id_from_network": " U-1 ",
        "email_settings": [{"email_address": "Ana@Example.com", "use_for_notifications": True, "verified": False}],
        "first_name": " Ana",
        "last_name": "Dean",
        "phone_number": "20 7946\u20100000",
        "contact_country_code": "44",
        "role": "super",
        "can_login_via_platform": True,
        **UNKNOWN,
    }
    return {
        "id": 7,
        "id_from_network": "A-1",
        "object_url": "https://example.com",
        "name": "Acme  Tickets",
        "approval_status": "approved",
        "web_integration_phone_number": "1-800-GOT-JUNK",
        "default_creative_id_from_network": 222,
        "sites": [{"id_from_network": 315, "name": "", **UNKNOWN}],
        "users": [user],
        "custom_data": {"a.b": "", "none": None, "7": "seven"},
        **UNKNOWN,
    }


def expected() -> dict[str, Any]:
    """The body of an update that changes nothing."""
    shown = advertiser()
    users = [
        {name: value for name, value in user.items() if name not in LEFT_OUT} | {"contact_phone_number": "2079460000"}
        for user in shown["users"]
    ]
    return {name: value for name, value in shown.items() if name not in LEFT_OUT_OF_ADVERTISER} | {"users": users}


def patch(values: dict[str, Any], *parts: dict[str, Any]) -> dict[str, Any]:
    return {"nested": "merge", "values": values, "parts": list(parts)}


def part(collection: str, own_id: str, path: str, value: Any) -> dict[str, Any]:
    return {"collection": collection, "id": own_id, "remove": False, "values": {path: value}}


EDITS = {
    "name": (patch({"name": "New"}), lambda body: body.update(name="New")),
    "phone": (
        patch({"web_integration_phone_number": "8005550100"}),
        lambda body: body.update(web_integration_phone_number="8005550100"),
    ),
    "custom data": (patch({"custom_data.a.b": "x"}), lambda body: body["custom_data"].update({"a.b": "x"})),
    "numeric key": (patch({"custom_data.9": "x"}), lambda body: body["custom_data"].update({"9": "x"})),
    "site": (patch({}, part("sites", "315", "name", "x")), lambda body: body["sites"][0].update(name="x")),
    "user": (patch({}, part("users", "U-1", "role", "Member")), lambda body: body["users"][0].update(role="Member")),
    "flag of an address": (
        patch({}, part("users", "U-1", "email_settings.1.use_for_notifications", value=False)),
        lambda body: body["users"][0]["email_settings"][0].update(use_for_notifications=False),
    ),
    "country code": (
        patch({}, part("users", "U-1", "contact_country_code", "353")),
        lambda body: body["users"][0].update(contact_country_code="353"),
    ),
}


@pytest.mark.parametrize(("change", "edit"), EDITS.values(), ids=EDITS)
def test_one_edited_cell(change: dict[str, Any], edit: Any) -> None:
    """The body is what was read, with the cell alone changed; what is left out is listed above."""
    body = expected()
    edit(body)
    merged = merge.merge_patch(ADVERTISERS, change, advertiser(), VERSION)
    assert merged.body == body
    assert len(merged.changes) == 1


def test_what_was_read_is_not_changed() -> None:
    """The object that was read stays as it is: the journal stores it as the state before the update."""
    shown = advertiser()
    merge.merge_patch(ADVERTISERS, EDITS["flag of an address"][0], shown, VERSION)
    assert shown == advertiser()


@pytest.mark.parametrize("asked", ["2079460000", "+442079460000"])
def test_the_same_number(asked: str) -> None:
    """A national number beside its country code equals its international form."""
    change = patch({}, part("users", "U-1", "contact_phone_number", asked))
    assert not merge.merge_patch(ADVERTISERS, change, advertiser(), VERSION).has_changes


@pytest.mark.parametrize(
    ("shown", "code", "written"),
    [
        pytest.param("888\u2010603\u20103760", None, "8886033760", id="documented-hyphens"),
        pytest.param("+1 888 603 3760", "1", "8886033760", id="usa"),
        pytest.param("020 7946 0000", "44", "02079460000", id="national"),
        pytest.param("1-800-GOT-JUNK", None, "1-800-GOT-JUNK", id="no-number"),
        pytest.param("ext. 5", "44", "ext. 5", id="no-number-abroad"),
        pytest.param(None, None, None, id="null"),
    ],
)
def test_phone_number(shown: str | None, code: str | None, written: str | None) -> None:
    """A user's number is written under its other name, without punctuation, never with another country."""
    user = {"id_from_network": "U-1", "phone_number": shown, "contact_country_code": code}
    record = {"id_from_network": "A-1", "users": [user], "sites": []}
    (sent,) = merge.to_writable(ADVERTISERS, record, VERSION)["users"]
    assert sent == {"id_from_network": "U-1", "contact_phone_number": written, "contact_country_code": code}


@pytest.mark.parametrize(
    ("user", "what"),
    [
        pytest.param({"phone_number": "888-603-3760", "contact_phone_number": "8886033760"}, "", id="equal"),
        pytest.param(
            {"phone_number": "888-603-3760", "contact_phone_number": "8886033761"}, "which differ", id="different"
        ),
        pytest.param({"phone_number": "8886033760", "rate": float("inf")}, "too large", id="too-large"),
    ],
)
def test_unkeepable(user: dict[str, Any], what: str) -> None:
    """What cannot be sent back as it was read is named."""
    text = merge.find_unkeepable(ADVERTISERS, {"users": [{"id_from_network": "U-1", **user}], "sites": []})
    assert what in text
    assert bool(text) is bool(what)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False, allow_infinity=False),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=6,
)
KNOWN_NAMES = {field.path.partition(".")[0] for field in ADVERTISERS.fields}
KNOWN_NAMES |= {field.path for resource in ADVERTISERS.subresources for field in resource.fields}
KNOWN_NAMES |= {"phone_number", "email_settings"}
UNKNOWN_KEYS = st.dictionaries(
    st.text(max_size=6).filter(lambda name: name not in KNOWN_NAMES), JSON_VALUES, max_size=3
)


@given(top=UNKNOWN_KEYS, users=st.lists(UNKNOWN_KEYS, min_size=1, max_size=3), sites=st.lists(UNKNOWN_KEYS, max_size=2))
@settings(deadline=None, max_examples=60)
def test_any_unknown_keys(top: dict[str, Any], users: list[dict[str, Any]], sites: list[dict[str, Any]]) -> None:
    """For any unknown keys, one edited cell is the only difference between what is read and what is sent."""
    numbered_users = [{**keys, "id_from_network": f"U-{number}", "role": "x"} for number, keys in enumerate(users)]
    numbered_sites = [{**keys, "id_from_network": str(number), "name": ""} for number, keys in enumerate(sites)]
    read = {**top, "id_from_network": "A-1", "name": "N", "users": numbered_users, "sites": numbered_sites}
    change = patch({}, part("users", "U-0", "role", "Member"))
    body = copy.deepcopy({name: value for name, value in read.items() if name != "id_from_network"})
    body["users"][0]["role"] = "Member"
    assert merge.merge_patch(ADVERTISERS, change, read, VERSION).body == body


def test_a_promo_number() -> None:
    """What an update of a number sends beside the change is to the letter: unlisted media types, whole custom data."""
    current = {
        "description": " Old ",
        "media_type": "Offline: Free Standing Insert (FSI)",
        "custom_data": {"a": "", "b": None, "c": "x"},
    }
    update = NumberUpdate({"custom_data.c": "y"}, current)
    assert update.build_body() == {**current, "custom_data": {"a": "", "b": None, "c": "y"}}
