"""Each read example of both pages, exported and planned again, is unchanged. Transcribed by hand from the pages.

The email addresses are masked on the saved page; the ones here are made up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from invoca_bulk import sheets
from invoca_bulk.config.options import Options
from invoca_bulk.schema import API_VERSIONS, RESOURCES
from invoca_bulk.service import export
from invoca_bulk.service.plan import fetch_and_build_plan, validate_sheet

if TYPE_CHECKING:
    from pathlib import Path

CHRIS = {
    "id_from_network": "549494858585cFUyYnFHyiYA42TrpM",
    "email_settings": [{"email_address": "chris@example.com", "use_for_notifications": True}],
    "first_name": "Chris",
    "phone_number": "888\u2010603\u20103760",
    "last_name": "Dean",
    "role": "Manager",
    "oauth_refresh_token": "556588585858585858585858858",
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
JIM = {
    "id_from_network": "694940505055cFUyYnFHyiYA42TrpM",
    "email_settings": [{"email_address": "jim@example.com", "use_for_notifications": True}],
    "first_name": "Jim",
    "phone_number": "888\u2010603\u20103760",
    "last_name": "Williams",
    "role": "Observer",
    "oauth_refresh_token": "4222424241628298228222",
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
#: "Read all advertisers for this network"
ALL_ADVERTISERS = [
    {
        "id": 43838,
        "id_from_network": "cFUyYnFHy",
        "web_integration_phone_number": "8004377950",
        "approval_status": "Approved",
        "object_url": "",
        "sites": [{"id_from_network": "315", "name": ""}],
        "name": "NFL Tickets Exchange",
        "users": [CHRIS],
        "default_creative_id_from_network": "222",
        "oauth_refresh_token": "7464644784457575757494930303",
        "custom_data": {"channel": "Online lead"},
    }
]
#: "Read a single advertiser"
ONE_ADVERTISER = {
    "id": 43838,
    "id_from_network": "cFUyYnFHy",
    "web_integration_phone_number": "8004377950",
    "approval_status": "Approved",
    "object_url": "",
    "sites": [{"id_from_network": "315", "name": ""}, {"id_from_network": "996", "name": ""}],
    "name": "NFL Tickets Exchange",
    "users": [CHRIS, JIM],
    "default_creative_id_from_network": "222",
    "oauth_refresh_token": "7464644784457575757494930303",
    "custom_data": {"channel": "Online lead"},
}
#: The single and list reads of promo numbers, of a campaign and of an affiliate, show the same object.
HALLOWEEN = {
    "id": 21,
    "id_from_network": "4531",
    "media_type": "Online: Display",
    "description": "Halloween Promo Number 1",
    "promo_number": "8001234567",
    "object_url": "",
    "custom_data": {"channel": "Online lead"},
}
#: The responses to the creates.
TOLL_FREE = {
    "id": 12,
    "id_from_network": "12",
    "media_type": "Online: Display",
    "promo_number": "8777657743",
    "description": "Halloween Promo Number 1",
    "object_url": "",
    "custom_data": {"channel": "Online lead"},
}
LOCAL = {
    "id": 12,
    "id_from_network": "12",
    "media_type": "Online: Display",
    "promo_number": "8057657743",
    "description": "Halloween Promo Number 1",
    "object_url": "",
    "custom_data": {"channel": "Online lead"},
}
CALL_EXTENSION = {
    "id": 12,
    "id_from_network": "12",
    "media_type": "Google Call Extension",
    "promo_number": "8777657743",
    "description": "Google Call Extension Demo",
    "object_url": "",
    "custom_data": {"channel": "Online lead"},
}
#: The response to the update is "same as a GET response".
UPDATED = {**HALLOWEEN, "description": "Halloween Promo Number 1 Updated"}

CAMPAIGN = {"advertiser_id_from_network": "cFUyYnFHy", "advertiser_campaign_id_from_network": "C-1"}
AFFILIATE = {**CAMPAIGN, "affiliate_id_from_network": "F-1"}

#: Resource, campaigns, objects.
READS: dict[str, tuple[str, list[dict[str, str]] | None, list[Any]]] = {
    "all advertisers": ("advertisers", None, ALL_ADVERTISERS),
    "one advertiser": ("advertisers", None, [ONE_ADVERTISER]),
    "numbers of a campaign": ("promo_numbers", [CAMPAIGN], [HALLOWEEN]),
    "numbers of an affiliate": ("promo_numbers", [AFFILIATE], [HALLOWEEN]),
    "toll-free": ("promo_numbers", [CAMPAIGN], [TOLL_FREE]),
    "local": ("promo_numbers", [CAMPAIGN], [LOCAL]),
    "of an affiliate": ("promo_numbers", [AFFILIATE], [TOLL_FREE]),
    "call extension": ("promo_numbers", [CAMPAIGN], [CALL_EXTENSION]),
    "updated": ("promo_numbers", [CAMPAIGN], [UPDATED]),
}


@pytest.mark.parametrize("ending", [".xlsx", ".csv"])
@pytest.mark.parametrize("version", API_VERSIONS)
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_read_is_unchanged(odd: Any, reply: Any, tmp_path: Path, read: Any, version: str, ending: str) -> None:  # noqa: PLR0917  two tables of cases
    """The page's objects, exported and planned again, need no steps, in any API version."""
    name, campaigns, objects = read
    odd.reads.extend(reply(200, objects) for _ in range(2))
    network = odd.network(api_version=version)
    file = tmp_path / f"export{ending}"
    done = export.export(RESOURCES[name], network, Options(), campaigns=campaigns, output=file)
    assert done.notes == ()
    report = validate_sheet(file, api_version=version)
    assert report.issues.empty
    plan = fetch_and_build_plan(report.validated_book, network, Options())
    assert (plan.steps, plan.changes, plan.removals) == ((), (), ())
    assert {row.action for row in plan.rows} == {"unchanged"}
    assert len(odd.paths) == 2


def test_advertiser_sheet(odd: Any, reply: Any, tmp_path: Path) -> None:
    """The page's advertiser as a sheet has phone numbers in the form for writes, no tokens and no read-only fields."""
    odd.reads.append(reply(200, [ONE_ADVERTISER]))
    file = tmp_path / "export.xlsx"
    export.export(RESOURCES["advertisers"], odd.network(), Options(), output=file)
    frames = sheets.read(file)
    assert isinstance(frames, dict)
    assert list(frames["users"]["contact_phone_number"]) == ["8886033760", "8886033760"]
    assert list(frames["sites"]["id_from_network"]) == ["315", "996"]
    cells = {text for frame in frames.values() for column in frame for text in frame[column]}
    tokens = {"7464644784457575757494930303", "556588585858585858585858858", "4222424241628298228222"}
    assert cells & (tokens | {"43838"}) == set()
