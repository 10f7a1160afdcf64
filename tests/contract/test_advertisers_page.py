"""The examples of the page "Advertisers", over real HTTP. Transcribed by hand from the page, version 2017-09-01.

The saved page lacks the email addresses and site names; the ones here are made up.
"""

from __future__ import annotations

from typing import Any

import pytest

FLAGS = {
    "notify_on_budgets": True,
    "notify_on_campaign_applications": False,
    "notify_on_campaign_expirations": False,
    "notify_on_creative_duplication_requests": True,
    "notify_on_network_announcements": True,
    "notify_on_performance_notifications": False,
    "notify_on_monthly_campaign_performance_reports": True,
    "notify_on_weekly_campaign_performance_reports": False,
    "notify_on_call_activities": True,
}
CHRIS = {
    "id_from_network": "549494858585cFUyYnFHyiYA42TrpM",
    "email_settings": [{"email_address": "chris@example.com", "use_for_notifications": True}],
    "first_name": "Chris",
    "last_name": "Dean",
    "contact_phone_number": "805-555-5555",
    "oauth_refresh_token": "556588585858585858585858858",
    "role": "Manager",
    **FLAGS,
}
JIM = {
    "id_from_network": "694940505055cFUyYnFHyiYA42TrpM",
    "email_settings": [{"email_address": "jim@example.com", "use_for_notifications": True}],
    "first_name": "Jim",
    "last_name": "Williams",
    "contact_phone_number": "2135555555",
    "oauth_refresh_token": "4222424241628298228222",
    "role": "Observer",
    **FLAGS,
}
CREATE = {
    "name": "NFL Tickets Exchange",
    "id_from_network": "cFUyYnFHy",
    "oauth_refresh_token": "7464644784457575757494930303",
    "approval_status": "Approved",
    "web_integration_phone_number": "8004377950",
    "default_creative_id_from_network": "222",
    "users": [CHRIS, JIM],
    "sites": [{"id_from_network": "315", "name": "one"}, {"id_from_network": "996", "name": "two"}],
    "custom_data": {"channel": "Offline lead"},
}
UPDATE = {
    **{name: value for name, value in CREATE.items() if name != "id_from_network"},
    "users": [CHRIS],
    "sites": [{"id_from_network": "315", "name": "one"}],
}
#: The keys of the page's response.
READ = {
    "id",
    "id_from_network",
    "web_integration_phone_number",
    "approval_status",
    "object_url",
    "sites",
    "name",
    "users",
    "default_creative_id_from_network",
    "oauth_refresh_token",
    "custom_data",
}
READ_USER = {
    "id_from_network",
    "email_settings",
    "first_name",
    "phone_number",
    "last_name",
    "role",
    "oauth_refresh_token",
    *FLAGS,
}


def test_create_with_users(platform: Any) -> None:
    """The page's create gets a 201 with everything that a GET returns."""
    answer = platform("POST", "advertisers", CREATE, "2017-09-01")
    assert answer.status_code == 201
    advertiser = answer.json()
    assert set(advertiser) == READ
    unchanged = ("name", "id_from_network", "approval_status", "web_integration_phone_number", "sites", "custom_data")
    assert {name: advertiser[name] for name in unchanged} == {name: CREATE[name] for name in unchanged}
    assert advertiser["default_creative_id_from_network"] == "222"
    assert isinstance(advertiser["id"], int)
    assert platform("GET", "advertisers/cFUyYnFHy", version="2017-09-01").json() == advertiser
    assert advertiser in platform("GET", "advertisers", version="2017-09-01").json()


def test_users_in_responses(platform: Any) -> None:
    """Responses have `contact_phone_number` as `phone_number`, with the hyphens (U+2010) that the page shows."""
    chris, jim = platform("POST", "advertisers", CREATE, "2017-09-01").json()["users"]
    assert set(chris) == set(jim) == READ_USER
    assert chris["phone_number"] == "805\u2010555\u20105555"
    assert jim["phone_number"] == "213\u2010555\u20105555"
    for sent, received in ((CHRIS, chris), (JIM, jim)):
        unchanged = set(sent) - {"contact_phone_number", "oauth_refresh_token"}
        assert {name: received[name] for name in unchanged} == {name: sent[name] for name in unchanged}


def test_update_a_user(platform: Any) -> None:
    """The page's update has no id in its body; it removes the user and the site that it omits."""
    platform("POST", "advertisers", CREATE, "2017-09-01")
    answer = platform("PUT", "advertisers/cFUyYnFHy", UPDATE, "2017-09-01")
    assert answer.status_code == 200
    assert [user["first_name"] for user in answer.json()["users"]] == ["Chris"]
    assert answer.json()["sites"] == [{"id_from_network": "315", "name": "one"}]
    assert platform("GET", "advertisers/cFUyYnFHy", version="2017-09-01").json() == answer.json()


@pytest.mark.parametrize("status", ["Applied", "Approved", "Declined", "Suspended", "Archived"])
def test_approval_statuses(platform: Any, status: str) -> None:
    """The page's five approval statuses are accepted."""
    assert platform("POST", "advertisers", {**CREATE, "approval_status": status}).json()["approval_status"] == status


@pytest.mark.parametrize("role", ["Super", "Manager", "Member", "Observer"])
def test_roles(platform: Any, role: str) -> None:
    """The page's four roles are accepted."""
    answer = platform("POST", "advertisers", {**CREATE, "users": [{**CHRIS, "role": role}]})
    assert answer.json()["users"][0]["role"] == role


def test_defaults(platform: Any) -> None:
    """Fields with a default on the page can be omitted: status Approved, role Super, all flags false."""
    first_five = ("id_from_network", "email_settings", "first_name", "last_name", "contact_phone_number")
    user = {name: CHRIS[name] for name in first_five}
    body = {"id_from_network": "x", "name": "X", "sites": [{"id_from_network": 315}], "users": [user]}
    advertiser = platform("POST", "advertisers", body).json()
    assert advertiser["approval_status"] == "Approved"
    assert advertiser["sites"][0]["id_from_network"] == "315"
    assert advertiser["users"][0]["role"] == "Super"
    assert not any(advertiser["users"][0][flag] for flag in FLAGS)


#: Version to (whether users have can_login_via_platform, whether the flags of the reports are stored).
USERS = {
    "2017-09-01": (False, True),
    "2018-05-01": (False, True),
    "2018-11-01": (True, True),
    "2019-05-01": (True, True),
    "2022-08-01": (True, True),
    "2026-02-01": (True, False),
}


@pytest.mark.parametrize(("version", "login", "stored"), [(version, *row) for version, row in USERS.items()], ids=USERS)
def test_users_by_version(platform: Any, version: str, login: bool, stored: bool) -> None:  # noqa: FBT001  a table's columns
    """`can_login_via_platform` exists from 2018-11-01 on; three flags are always false from 2026-02-01 on."""
    reports = [flag for flag in FLAGS if "performance" in flag]
    body = {**CREATE, "users": [{**CHRIS, **dict.fromkeys(FLAGS, True)}]}
    user = platform("POST", "advertisers", body, version).json()["users"][0]
    assert ("can_login_via_platform" in user) is login
    assert [user[flag] for flag in reports] == [stored] * 3
    assert all(user[flag] for flag in FLAGS if flag not in reports)
