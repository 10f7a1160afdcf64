"""The sandbox's operations on advertisers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from invoca_bulk.sandbox_server import Sandbox

USER: dict[str, Any] = {
    "id_from_network": "u-1",
    "email_settings": [{"email_address": "ann@example.com", "use_for_notifications": True}],
    "first_name": "Ann",
    "last_name": "Lee",
    "contact_phone_number": "8055550100",
}
BODY: dict[str, Any] = {
    "id_from_network": "new",
    "name": "New & Sons",
    "sites": [{"id_from_network": "315", "name": "shop"}],
    "users": [USER],
}


def test_writes_are_idempotent(platform: Any) -> None:
    """POST of an existing advertiser updates it, PUT of a new one creates it; its id and token stay the same."""
    created = platform("PUT", "advertisers/new", BODY)
    assert created.status_code == 200
    updated = platform("POST", "advertisers", {**BODY, "approval_status": "Suspended"})
    assert updated.status_code == 200
    assert updated.json() == {**created.json(), "approval_status": "Suspended"}
    assert sum(advertiser["name"] == "New & Sons" for advertiser in platform("GET", "advertisers").json()) == 1


def test_sites_and_users_are_replaced(platform: Any) -> None:
    """A write removes the sites and users that it omits; the others keep their tokens."""
    second_user = {**USER, "id_from_network": "u-2"}
    sites = [{"id_from_network": "1"}, {"id_from_network": "2"}]
    before = platform("POST", "advertisers", {**BODY, "users": [USER, second_user], "sites": sites}).json()
    after = platform("PUT", "advertisers/new", {**BODY, "users": [second_user], "sites": sites[1:]}).json()
    assert after["users"] == before["users"][1:]
    assert after["sites"] == before["sites"][1:]
    body = {name: value for name, value in BODY.items() if name != "users"}
    assert platform("PUT", "advertisers/new", body).json()["users"] == []


def test_other_fields_stay(platform: Any) -> None:
    """Other omitted fields stay, null removes them, and custom data is merged by key."""
    extra = {"web_integration_phone_number": "8004377950", "default_creative_id_from_network": 222}
    platform("POST", "advertisers", {**BODY, **extra, "custom_data": {"channel": "a", "shop": "b"}})
    updated = platform("PUT", "advertisers/new", {**BODY, "custom_data": {"shop": None}}).json()
    assert updated["web_integration_phone_number"] == "8004377950"
    assert updated["default_creative_id_from_network"] == "222"
    assert updated["custom_data"] == {"channel": "a"}
    cleared = platform("PUT", "advertisers/new", {**BODY, "web_integration_phone_number": None}).json()
    assert cleared["web_integration_phone_number"] is None


def test_sent_tokens_are_ignored(platform: Any) -> None:
    """The platform generates `oauth_refresh_token` and ignores a sent one."""
    body = {**BODY, "oauth_refresh_token": "sent", "users": [{**USER, "oauth_refresh_token": "sent"}]}
    advertiser = platform("POST", "advertisers", body).json()
    tokens = {advertiser["oauth_refresh_token"], advertiser["users"][0]["oauth_refresh_token"]}
    assert len(tokens - {"sent", "", None}) == 2


def _user(**changes: Any) -> dict[str, Any]:
    return {**BODY, "users": [{**USER, **changes}]}


def _without(name: str) -> dict[str, Any]:
    return {**BODY, "users": [{key: value for key, value in USER.items() if key != name}]}


OFF = {"email_address": "ann@example.com", "use_for_notifications": False}
ON = USER["email_settings"][0]
FIRST_FIVE = {
    f"no {name}": (_without(name), {"users": [{name: ...}]})
    for name in ("id_from_network", "email_settings", "first_name", "last_name", "contact_phone_number")
}
REFUSED = {
    **FIRST_FIVE,
    "no id": ({**BODY, "id_from_network": ""}, {"id_from_network": ...}),
    "id as a number": ({**BODY, "id_from_network": 7}, {"id_from_network": ...}),
    "no name": ({**BODY, "name": None}, {"name": ...}),
    "name taken": ({**BODY, "name": "Acme Tickets"}, {"name": ...}),
    "no sites": ({**BODY, "sites": []}, {"sites": ...}),
    "sites left out": ({"id_from_network": "new", "name": "New"}, {"sites": ...}),
    "site without id": ({**BODY, "sites": [{"name": "shop"}]}, {"sites": [{"id_from_network": ...}]}),
    "sites as an object": ({**BODY, "sites": {"1": {"id_from_network": "1"}}}, {"sites": ...}),
    "a list of texts": ({**BODY, "users": ["Ann"]}, {"users": ...}),
    "a text": ({**BODY, "users": "Ann"}, {"users": ...}),
    "an empty record": ({**BODY, "users": [{}]}, {"users": ...}),
    "users twice": (
        {**BODY, "users": [USER, USER]},
        {"users": [{"id_from_network": ...}, {"id_from_network": ...}]},
    ),
    "no notifications": (_user(email_settings=[OFF]), {"users": [{"email_settings": ...}]}),
    "email twice": (_user(email_settings=[ON, OFF]), {"users": [{"email_settings": ...}]}),
    "email alone": (
        _user(email_settings=[{"email_address": "ann@example.com"}]),
        {"users": [{"email_settings": [{"use_for_notifications": ...}]}]},
    ),
    "not an email": (
        _user(email_settings=[{**ON, "email_address": "ann"}]),
        {"users": [{"email_settings": [{"email_address": ...}]}]},
    ),
    "typographic hyphens": (
        _user(contact_phone_number="805\u2010555\u20100100"),
        {"users": [{"contact_phone_number": ...}]},
    ),
    "no such role": (_user(role="super"), {"users": [{"role": ...}]}),
    "text for a flag": (_user(notify_on_budgets="true"), {"users": [{"notify_on_budgets": ...}]}),
    "read-only": (_user(can_login_via_platform=True), {"users": [{"can_login_via_platform": ...}]}),
    "unknown": ({**BODY, "colour": "red"}, {"colour": ...}),
}


def _names(errors: Any) -> Any:
    if isinstance(errors, list) and all(isinstance(item, dict) for item in errors):
        return [_names(item) for item in errors]
    return {name: _names(nested) for name, nested in errors.items()} if isinstance(errors, dict) else ...


@pytest.mark.parametrize(("body", "errors"), REFUSED.values(), ids=REFUSED)
def test_refused(platform: Any, body: dict[str, Any], errors: dict[str, Any]) -> None:
    """Each error is reported at its nested field, and nothing is written."""
    answer = platform("POST", "advertisers", body)
    assert answer.status_code == 403
    assert _names(answer.json()["errors"]) == errors
    assert len(platform("GET", "advertisers").json()) == 3


def test_id_must_match_the_path(platform: Any) -> None:
    """A PUT whose body has another id than the path is rejected."""
    assert set(platform("PUT", "advertisers/other", BODY).json()["errors"]) == {"id_from_network"}


def test_released_names(platform: Any) -> None:
    """A name that is released by an update or a delete can be used again."""
    platform("POST", "advertisers", BODY)
    platform("POST", "advertisers", {**BODY, "name": "Changed"})
    assert platform("POST", "advertisers", {**BODY, "id_from_network": "two"}).status_code == 201
    platform("DELETE", "advertisers/two")
    assert platform("POST", "advertisers", {**BODY, "id_from_network": "three"}).status_code == 201


def test_delete(platform: Any) -> None:
    """An advertiser with campaigns cannot be deleted; deleting another one is idempotent."""
    answer = platform("DELETE", "advertisers/A-100")
    assert (answer.status_code, list(answer.json()["errors"])) == (403, ["base"])
    platform("POST", "advertisers", BODY)
    assert [platform("DELETE", "advertisers/new").status_code for _ in range(2)] == [200, 200]
    assert platform("GET", "advertisers/new").status_code == 404


def test_ids_can_be_generated(platform: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `auto_ids`, each advertiser that is created without an id gets a unique one."""
    monkeypatch.setattr(platform.store, "auto_ids", True)
    bodies = [{"name": name, "sites": BODY["sites"]} for name in ("one", "two")]
    ids = [platform("POST", "advertisers", body).json()["id_from_network"] for body in bodies]
    assert len(set(ids)) == 2
    assert platform("GET", f"advertisers/{ids[0]}").json()["name"] == "one"


def test_networks_are_isolated(sandbox: Sandbox, platform: Any) -> None:
    """Networks neither see each other's advertisers nor conflict with them."""
    platform("POST", "advertisers", BODY)
    sandbox.store.add_network("other", empty=True)
    url = "/api/2022-08-01/other/advertisers.json"
    assert platform.http.get(url).json() == []
    assert platform.http.post(url, json=BODY).status_code == 201


def test_the_second_user(platform: Any) -> None:
    """Errors of users are an array by position, empty where a user has none."""
    settings = [{"email_address": "ann", "use_for_notifications": True}]
    second = {**USER, "id_from_network": "U-2", "email_settings": settings}
    errors = platform("POST", "advertisers", {**BODY, "users": [USER, second]}).json()["errors"]
    assert _names(errors) == {"users": [{}, {"email_settings": [{"email_address": ...}]}]}


def test_post_of_what_exists(platform: Any) -> None:
    """A POST, to the collection or to one advertiser, creates it with 201 and updates it with 200."""
    assert platform("POST", "advertisers/new", BODY).status_code == 201
    assert platform("POST", "advertisers", {**BODY, "name": "Changed"}).status_code == 200
    answer = platform("POST", "advertisers/new", BODY)
    assert (answer.status_code, answer.json()["name"]) == (200, BODY["name"])


def test_other_names_of_a_user(platform: Any) -> None:
    """A write takes the names of a read and of the Networks pages; a country code is shown again."""
    user = {name: value for name, value in USER.items() if name not in {"email_settings", "contact_phone_number"}}
    user |= {"phone_number": "2079460000", "contact_country_code": "44", "email_address": "ann@example.com"}
    (shown,) = platform("POST", "advertisers", {**BODY, "users": [user]}).json()["users"]
    assert shown["contact_country_code"] == "44"
    assert shown["email_settings"] == [{"email_address": "ann@example.com", "use_for_notifications": True}]


def test_unknown_keys_that_it_shows(platform: Any) -> None:
    """What an advertiser shows besides the documented fields can be sent back, and is lost if it is not."""
    platform("POST", "advertisers", BODY)
    network = platform.store.networks[platform.network_id]
    advertiser = network.advertisers["new"]
    users = tuple({**user, "locale": "en"} for user in advertiser.users)
    network.advertisers["new"] = replace(advertiser, values={**advertiser.values, "tier": "gold"}, users=users)
    body = {**BODY, "tier": "gold", "users": [{**USER, "locale": "en"}]}
    shown = platform("PUT", "advertisers/new", body).json()
    assert (shown["tier"], shown["users"][0]["locale"]) == ("gold", "en")
    assert "tier" not in platform("PUT", "advertisers/new", BODY).json()


def test_switches(platform: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sites may be required or not, and performance flags kept or always false."""
    assert platform("POST", "advertisers", {**BODY, "sites": []}).status_code == 403
    monkeypatch.setattr(platform.store, "sites_required", False)
    monkeypatch.setattr(platform.store, "performance_flags", False)
    body = {**BODY, "sites": [], "users": [{**USER, "notify_on_performance_notifications": True}]}
    answer = platform("POST", "advertisers", body)
    assert (answer.status_code, answer.json()["sites"]) == (201, [])
    assert answer.json()["users"][0]["notify_on_performance_notifications"] is False
