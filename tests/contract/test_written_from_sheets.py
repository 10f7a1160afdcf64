"""A sheet sends each write example of the two pages: verb, path and JSON, as recorded by the sandbox.

The bodies are transcribed by hand from the pages, with two changes that the pages ask for: no tokens, and phone numbers
without punctuation. The saved pages lack the email addresses and site names; the ones here are made up.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import invoca_bulk as ib
from invoca_bulk.sandbox_server import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    "contact_phone_number": "8055555555",
    "role": "Manager",
    **FLAGS,
}
JIM = {
    "id_from_network": "694940505055cFUyYnFHyiYA42TrpM",
    "email_settings": [{"email_address": "jim@example.com", "use_for_notifications": True}],
    "first_name": "Jim",
    "last_name": "Williams",
    "contact_phone_number": "2135555555",
    "role": "Observer",
    **FLAGS,
}
OWN = {
    "name": "NFL Tickets Exchange",
    "approval_status": "Approved",
    "web_integration_phone_number": "8004377950",
    "default_creative_id_from_network": "222",
}
SITES = [{"id_from_network": "315", "name": "one"}, {"id_from_network": "996", "name": "two"}]
CREATE = {
    "id_from_network": "cFUyYnFHy",
    **OWN,
    "users": [CHRIS, JIM],
    "sites": SITES,
    "custom_data": {"channel": "Offline lead"},
}
#: "Update a user from advertiser": the second user and the second site are not in it.
UPDATE = {**OWN, "users": [CHRIS], "sites": SITES[:1], "custom_data": {"channel": "Offline lead"}}


def user_row(user: dict[str, Any], phone: str) -> dict[str, Any]:
    email = user["email_settings"][0]
    fields = {name: value for name, value in user.items() if name not in {"email_settings", "contact_phone_number"}}
    return {
        "advertiser_id_from_network": "cFUyYnFHy",
        **fields,
        "contact_phone_number": phone,
        "email_settings.1.email_address": email["email_address"],
        "email_settings.1.use_for_notifications": email["use_for_notifications"],
    }


ADVERTISERS = pd.DataFrame([{"id_from_network": "cFUyYnFHy", **OWN, "custom_data.channel": "Offline lead"}])
#: The phone numbers are spelt as on the page: the first one with punctuation.
USERS = pd.DataFrame([user_row(CHRIS, "805-555-5555"), user_row(JIM, "2135555555")])
SITE_ROWS = pd.DataFrame([{"advertiser_id_from_network": "cFUyYnFHy", **site} for site in SITES])
BOOK = {"advertisers": ADVERTISERS, "sites": SITE_ROWS, "users": USERS}


class Wire:
    """A sandbox that records writes as (verb, path, JSON object)."""

    def __init__(self, version: str = "2017-09-01") -> None:
        self.written: list[tuple[str, str, Any]] = []
        self.sandbox = Sandbox(open_campaigns=True, layers=(self._layer,))
        self.version = version

    def _layer(self, app: Any) -> Any:
        async def record(scope: Any, receive: Any, send: Any) -> None:
            body = b""

            async def receive_and_record() -> Any:
                nonlocal body
                message = await receive()
                body += message.get("body", b"")
                return message

            await app(scope, receive_and_record, send)
            if scope["type"] == "http" and scope["method"] != "GET":
                path = scope["path"].removeprefix("/api/").removesuffix(".json")
                self.written.append((scope["method"], path, json.loads(body) if body else None))

        return record

    def run(self, sheet: Any, **options: Any) -> list[tuple[str, str, Any]]:
        """Run a sheet; returns the writes."""
        self.written.clear()
        network = ib.Network(
            base_url=self.sandbox.base_url, network_id="1234", token="sandbox-token", api_version=self.version
        )
        ib.run(sheet, network, yes=True, progress=False, **options)
        return list(self.written)


@pytest.fixture
def wire() -> Iterator[Wire]:
    recorder = Wire()
    with recorder.sandbox:
        yield recorder


def test_create_an_advertiser_with_users(wire: Wire) -> None:
    """The page's create: POST of the whole object without tokens, with cleaned phone numbers."""
    assert wire.run(BOOK) == [("POST", "2017-09-01/1234/advertisers", CREATE)]


def test_update_a_user(wire: Wire) -> None:
    """The page's update, as a sheet that replaces the sets of sites and users."""
    wire.run(BOOK)
    changed = {**BOOK, "sites": SITE_ROWS[:1], "users": USERS[:1]}
    written = wire.run(changed, nested="replace", allow_removals=True)
    assert written == [("PUT", "2017-09-01/1234/advertisers/cFUyYnFHy", UPDATE)]


def test_update_by_removal(wire: Wire) -> None:
    """The same update, as rows that remove a user and a site."""
    wire.run(BOOK)
    removal = pd.DataFrame([{"advertiser_id_from_network": "cFUyYnFHy", "action": "remove"}])
    frames = {
        "advertisers": pd.DataFrame([{"id_from_network": "cFUyYnFHy"}]),
        "sites": removal.assign(id_from_network="996"),
        "users": removal.assign(id_from_network=JIM["id_from_network"]),
    }
    assert wire.run(frames) == [("PUT", "2017-09-01/1234/advertisers/cFUyYnFHy", UPDATE)]


def test_delete_an_advertiser(wire: Wire) -> None:
    """The page's delete, without a body."""
    wire.run(BOOK)
    sheet = pd.DataFrame([{"id_from_network": "cFUyYnFHy", "action": "delete"}])
    assert wire.run(sheet) == [("DELETE", "2017-09-01/1234/advertisers/cFUyYnFHy", None)]


CAMPAIGN = {"advertiser_id_from_network": "A-1", "advertiser_campaign_id_from_network": "C-1"}
AFFILIATE = {**CAMPAIGN, "affiliate_id_from_network": "F-1"}
AT_CAMPAIGN = "2017-09-01/1234/advertisers/A-1/advertiser_campaigns/C-1/promo_numbers"
AT_AFFILIATE = (
    "2017-09-01/1234/advertisers/A-1/advertiser_campaigns/C-1/affiliates/F-1/affiliate_campaigns/promo_numbers"
)
DISPLAY = {"description": "Halloween Promo Number 1", "media_type": "Online: Display"}

#: Row, path, body.
CREATES: dict[str, tuple[dict[str, str], str, dict[str, Any]]] = {
    "advertiser campaign": ({**CAMPAIGN, **DISPLAY}, AT_CAMPAIGN, DISPLAY),
    "local, tn_prefix": (
        {**CAMPAIGN, **DISPLAY, "local_center.tn_prefix": "805", "tn_prefix_whitelist": '["805"]'},
        AT_CAMPAIGN,
        {**DISPLAY, "local_center": {"tn_prefix": "805"}, "tn_prefix_whitelist": ["805"]},
    ),
    "local, city and state": (
        {**CAMPAIGN, **DISPLAY, "local_center.city": "Santa Barbara", "local_center.state": "CA"},
        AT_CAMPAIGN,
        {**DISPLAY, "local_center": {"city": "Santa Barbara", "state": "CA"}},
    ),
    "affiliate campaign": ({**AFFILIATE, **DISPLAY}, AT_AFFILIATE, DISPLAY),
    "google call extension": (
        {
            **CAMPAIGN,
            "description": "Google Call Extension Demo",
            "media_type": "Google Call Extension",
            "adwords_account_id": "7567575756755",
        },
        AT_CAMPAIGN,
        {
            "description": "Google Call Extension Demo",
            "media_type": "Google Call Extension",
            "adwords_account_id": "7567575756755",
        },
    ),
}


@pytest.mark.parametrize(("row", "path", "body"), CREATES.values(), ids=CREATES)
def test_create_a_promo_number(wire: Wire, row: dict[str, str], path: str, body: dict[str, Any]) -> None:
    """Each of the page's creates."""
    assert wire.run(pd.DataFrame([row])) == [("POST", path, body)]


@pytest.mark.parametrize(
    ("scope", "path"),
    [(CAMPAIGN, AT_CAMPAIGN), (AFFILIATE, AT_AFFILIATE)],
    ids=["advertiser campaign", "affiliate campaign"],
)
@pytest.mark.parametrize("verb", ["PUT", "DELETE"])
def test_change_a_promo_number(wire: Wire, scope: dict[str, str], path: str, verb: str) -> None:
    """The page's updates, with the media type that is blank in the sheet filled in, and its deletes."""
    wire.run(pd.DataFrame([{**scope, **DISPLAY}]))
    (issued,) = wire.sandbox.store.ledger
    change = {"description": "Halloween Promo Number 1 Updated"} if verb == "PUT" else {"action": "delete"}
    body = (
        {"description": "Halloween Promo Number 1 Updated", "media_type": "Online: Display"} if verb == "PUT" else None
    )
    row = {**scope, "promo_number": f"({issued.number[:3]}) {issued.number[3:]}", **change}
    assert wire.run(pd.DataFrame([row])) == [(verb, f"{path}/{issued.number}", body)]
