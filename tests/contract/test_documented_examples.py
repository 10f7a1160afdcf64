"""The documented examples as a table of facts, over real HTTP: method, path, keys sent, status, keys shown.

Transcribed by hand: the examples of the pages "Advertisers" and "Promo Numbers" of 2017-09-01, and those of later pages
of which the method, the path and the keys are known. The values are made up.
"""

from __future__ import annotations

from typing import Any

import pytest

A, C = "advertisers/A-100", "advertisers/A-100/advertiser_campaigns/C-100"
P = f"{C}/affiliates/F-1/affiliate_campaigns"
FLAGS = {
    f"notify_on_{topic}": False
    for topic in (
        "budgets",
        "campaign_applications",
        "campaign_expirations",
        "creative_duplication_requests",
        "network_announcements",
        "performance_notifications",
        "monthly_campaign_performance_reports",
        "weekly_campaign_performance_reports",
        "call_activities",
    )
}
USER = {
    "id_from_network": "U-1",
    "email_settings": [{"email_address": "chris@example.com", "use_for_notifications": True}],
    "first_name": "Chris",
    "last_name": "Dean",
    "contact_phone_number": "805-555-5555",
    "oauth_refresh_token": "1",
    "role": "Manager",
    **FLAGS,
}
BRITISH_USER = {**USER, "contact_phone_number": "2079460000", "contact_country_code": "44"}
ADVERTISER = {
    "name": "NFL Tickets Exchange",
    "oauth_refresh_token": "2",
    "approval_status": "Approved",
    "web_integration_phone_number": "8004377950",
    "default_creative_id_from_network": "222",
    "users": [USER],
    "sites": [{"id_from_network": "315", "name": ""}],
    "custom_data": {"channel": "Offline lead"},
}
NEW = {**ADVERTISER, "id_from_network": "new"}
NUMBER = {"description": "Halloween Promo Number 1", "media_type": "Online: Display"}
LOCAL = {**NUMBER, "local_center": {"tn_prefix": "805"}, "tn_prefix_whitelist": ["805"]}
CITY = {**NUMBER, "local_center": {"city": "Santa Barbara", "state": "CA"}}
GOOGLE = {**NUMBER, "media_type": "Google Call Extension", "adwords_account_id": "7567575756755"}
HOURS = {"open_24_7": False, "time_zone": "UTC"}
HOURS |= {"schedules": [{"day_of_week": "Monday", "open_time": "08:00", "close_time": "17:00"}]}
MOVE = {
    "destination_advertiser_id_from_network": "A-200",
    "destination_advertiser_campaign_id_from_network": "C-200",
}

ADVERTISER_KEYS = {*NEW, "id", "object_url"}
NUMBER_KEYS = {"id", "id_from_network", "media_type", "promo_number", "description", "object_url", "custom_data"}

#: Name: method, path (`:number` is one that exists), body, version, status, keys of the answer or of its first item.
EXAMPLES: dict[str, tuple[str, str, Any, str, int, set[str]]] = {
    "all advertisers": ("GET", "advertisers", None, "2017-09-01", 200, ADVERTISER_KEYS),
    "one advertiser": ("GET", A, None, "2017-09-01", 200, ADVERTISER_KEYS),
    "delete an advertiser": ("DELETE", "advertisers/none", None, "2017-09-01", 200, set()),
    "create an advertiser": ("POST", "advertisers", NEW, "2017-09-01", 201, ADVERTISER_KEYS),
    "update an advertiser": ("PUT", A, ADVERTISER, "2017-09-01", 200, ADVERTISER_KEYS),
    "create at its own address": ("POST", "advertisers/new", NEW, "2022-08-01", 201, ADVERTISER_KEYS),
    "update by POST": ("POST", A, ADVERTISER, "2022-08-01", 200, ADVERTISER_KEYS),
    "user abroad": ("PUT", A, {**ADVERTISER, "users": [BRITISH_USER]}, "2022-08-01", 200, ADVERTISER_KEYS),
    "campaigns": ("GET", f"{A}/advertiser_campaigns", None, "2022-08-01", 200, {"id_from_network", "name", "status"}),
    "affiliates' campaigns": (
        "GET",
        f"{C}/affiliate_campaigns",
        None,
        "2022-08-01",
        200,
        {"affiliate_id_from_network", "status", "max_promo_numbers"},
    ),
    **{
        f"{name}, {owner}": (verb, f"{scope}/{path}", body, "2017-09-01", status, keys)
        for owner, scope in (("advertiser campaign", C), ("affiliate campaign", P))
        for name, verb, path, body, status, keys in (
            ("all numbers", "GET", "promo_numbers", None, 200, NUMBER_KEYS),
            ("one number", "GET", "promo_numbers/:number", None, 200, NUMBER_KEYS),
            ("create", "POST", "promo_numbers", NUMBER, 201, NUMBER_KEYS),
            ("update", "PUT", "promo_numbers/:number", NUMBER, 200, NUMBER_KEYS),
            ("delete", "DELETE", "promo_numbers/:number", None, 200, set()),
        )
    },
    "create, tn_prefix": ("POST", f"{C}/promo_numbers", LOCAL, "2017-09-01", 201, NUMBER_KEYS),
    "create, city and state": ("POST", f"{C}/promo_numbers", CITY, "2017-09-01", 201, NUMBER_KEYS),
    "create, Google": ("POST", f"{C}/promo_numbers", GOOGLE, "2017-09-01", 201, NUMBER_KEYS | {"adwords_account_id"}),
    "hours": (
        "PUT",
        f"{C}/promo_numbers/:number",
        {**NUMBER, "hours_of_operation": HOURS},
        "2026-02-01",
        200,
        NUMBER_KEYS | {"hours_of_operation"},
    ),
    **{
        f"hours removed by {removal!r}": (
            "PUT",
            f"{C}/promo_numbers/:number",
            {**NUMBER, "hours_of_operation": removal},
            "2026-02-01",
            200,
            NUMBER_KEYS,
        )
        for removal in (None, "", [], {})
    },
    "move": ("PUT", f"{C}/promo_numbers/:number", {**NUMBER, **MOVE}, "2022-08-01", 200, NUMBER_KEYS),
}


@pytest.mark.parametrize(("verb", "path", "body", "version", "status", "keys"), EXAMPLES.values(), ids=EXAMPLES)
def test_example(  # noqa: PLR0917  the columns of the table
    platform: Any, verb: str, path: str, body: Any, version: str, status: int, keys: set[str]
) -> None:
    """The example gets its status, and its answer has the keys that it shows."""
    scope = P if path.startswith(P) else C
    number = platform("POST", f"{scope}/promo_numbers", NUMBER).json()["promo_number"]
    answer = platform(verb, path.replace(":number", number), body, version)
    assert answer.status_code == status
    shown = answer.json()
    assert isinstance(shown, list) is (verb == "GET" and path.rpartition("/")[2] not in {":number", "A-100"})
    first = shown[0] if isinstance(shown, list) else shown
    assert keys <= set(first)
    assert bool(first) is bool(keys)
    assert ("hours_of_operation" in first) is ("hours_of_operation" in keys)
