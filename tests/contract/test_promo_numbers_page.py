"""The examples of the page "Promo Numbers", over real HTTP. Transcribed by hand from the page, version 2017-09-01."""

from __future__ import annotations

from typing import Any

import pytest

CAMPAIGN = "advertisers/A-100/advertiser_campaigns/C-9/promo_numbers"
AFFILIATE = "advertisers/A-100/advertiser_campaigns/C-9/affiliates/F-9/affiliate_campaigns/promo_numbers"
DISPLAY = {"description": "Halloween Promo Number 1", "media_type": "Online: Display"}

#: Path, request body, first digits of the assigned number.
CREATES = {
    "advertiser campaign": (CAMPAIGN, DISPLAY, "8"),
    "local, tn_prefix": (
        CAMPAIGN,
        {**DISPLAY, "local_center": {"tn_prefix": "805"}, "tn_prefix_whitelist": ["805"]},
        "805",
    ),
    "local, city and state": (
        CAMPAIGN,
        {**DISPLAY, "local_center": {"city": "Santa Barbara", "state": "CA"}},
        "805",
    ),
    "affiliate campaign": (AFFILIATE, DISPLAY, "8"),
    "google call extension": (
        CAMPAIGN,
        {
            "description": "Google Call Extension Demo",
            "media_type": "Google Call Extension",
            "adwords_account_id": "7567575756755",
        },
        "8",
    ),
}


@pytest.fixture
def seeded(platform: Any) -> Any:
    """A campaign with default custom data for its numbers, as in the page's examples."""
    lead = {"channel": "Online lead"}
    platform.store.add_campaign("A-100", "C-9", network_id=platform.network_id, custom_data=lead)
    platform.store.add_affiliate("A-100", "C-9", "F-9", network_id=platform.network_id)
    return platform


@pytest.mark.parametrize(("path", "body", "starts"), CREATES.values(), ids=CREATES)
def test_create(seeded: Any, path: str, body: dict[str, Any], starts: str) -> None:
    """Each of the page's creates gets a 201 with the fields that the page shows."""
    answer = seeded("POST", path, body, "2017-09-01")
    assert answer.status_code == 201
    number = answer.json()
    assert {"id", "id_from_network", "media_type", "promo_number", "description", "object_url", "custom_data"} <= set(
        number
    )
    assert isinstance(number["id"], int)
    assert number["id_from_network"] == str(number["id"])
    assert (number["description"], number["media_type"]) == (body["description"], body["media_type"])
    assert number["custom_data"] == {"channel": "Online lead"}
    assert isinstance(number["object_url"], str)
    assert number["promo_number"].startswith(starts)
    assert len(number["promo_number"]) == 10
    assert number["promo_number"].isdecimal()
    assert not {"local_center", "tn_prefix_whitelist"} & set(number)


@pytest.mark.parametrize("path", [CAMPAIGN, AFFILIATE], ids=["advertiser campaign", "affiliate campaign"])
def test_read(seeded: Any, path: str) -> None:
    """The list has the same objects as the single read and the response to the create."""
    created = [seeded("POST", path, DISPLAY, "2017-09-01").json() for _ in range(2)]
    assert seeded("GET", path, version="2017-09-01").json() == created
    assert seeded("GET", f"{path}/{created[1]['promo_number']}", version="2017-09-01").json() == created[1]


@pytest.mark.parametrize("path", [CAMPAIGN, AFFILIATE], ids=["advertiser campaign", "affiliate campaign"])
def test_update(seeded: Any, path: str) -> None:
    """The page's update gets a 200 with the same object as a GET."""
    number = seeded("POST", path, DISPLAY, "2017-09-01").json()
    number_path = f"{path}/{number['promo_number']}"
    body = {"description": "Halloween Promo Number 1 Updated", "media_type": "Online: Display"}
    answer = seeded("PUT", number_path, body, "2017-09-01")
    assert (answer.status_code, answer.json()) == (200, {**number, **body})
    assert seeded("GET", number_path, version="2017-09-01").json() == answer.json()


def test_custom_data(seeded: Any) -> None:
    """Custom data is one object at `custom_data`, in requests and responses."""
    body = {**DISPLAY, "custom_data": {"channel": "Offline newspaper"}}
    assert seeded("POST", CAMPAIGN, body).json()["custom_data"] == {"channel": "Offline newspaper"}


#: First version, field with a value.
LATER = {
    "search radius": ("2018-05-01", {"local_number_preferences": {"search_radius_miles": 0}}),
    "restriction to the state": ("2018-05-01", {"local_number_preferences": {"restrict_search_to_state": False}}),
    "hours, always": ("2026-02-01", {"hours_of_operation": {"open_24_7": True, "time_zone": "UTC"}}),
    "hours": (
        "2026-02-01",
        {
            "hours_of_operation": {
                "time_zone": "Pacific Time (US & Canada)",
                "schedules": [{"day_of_week": "Monday", "open_time": "08:00", "close_time": "17:45"}],
            }
        },
    ),
}
_VERSIONS = ["2017-09-01", "2018-05-01", "2018-11-01", "2019-05-01", "2022-08-01", "2026-02-01"]


@pytest.mark.parametrize("version", _VERSIONS)
@pytest.mark.parametrize(("since", "fields"), LATER.values(), ids=LATER)
def test_fields_of_later_versions(seeded: Any, since: str, fields: dict[str, Any], version: str) -> None:
    """A field is accepted from its first version on, and rejected by name before."""
    body = {**DISPLAY, "local_center": {"tn_prefix": "805"}, **fields}
    answer = seeded("POST", CAMPAIGN, body, version)
    assert answer.status_code == (201 if version >= since else 403)
    assert version >= since or set(answer.json()["errors"]) == set(fields)


@pytest.mark.parametrize("version", _VERSIONS)
def test_looks_like_until_2022(seeded: Any, version: str) -> None:
    """`promo_number_looks_like` is no longer documented from 2026-02-01 on."""
    answer = seeded("POST", CAMPAIGN, {**DISPLAY, "promo_number_looks_like": "80561"}, version)
    assert answer.status_code == (403 if version == "2026-02-01" else 201)


@pytest.mark.parametrize("version", _VERSIONS)
def test_move_from_2022(seeded: Any, version: str) -> None:
    """A number moves by `destination_*` on PUT from 2022-08-01 on: same number, new `id_from_network`."""
    number = seeded("POST", CAMPAIGN, DISPLAY).json()
    body = {
        "destination_advertiser_id_from_network": "A-200",
        "destination_advertiser_campaign_id_from_network": "C-201",
    }
    answer = seeded("PUT", f"{CAMPAIGN}/{number['promo_number']}", body, version)
    assert answer.status_code == (200 if version >= "2022-08-01" else 403)
    if version >= "2022-08-01":
        assert answer.json()["promo_number"] == number["promo_number"]
        assert answer.json()["id_from_network"] != number["id_from_network"]


@pytest.mark.parametrize("account", ["627-345-9815", "7567575756755"])
def test_ads_account(seeded: Any, account: str) -> None:
    """The page's two forms of an account id are accepted, but only with `Google Call Extension`."""
    body = {"description": "d", "media_type": "Google Call Extension", "adwords_account_id": account}
    assert seeded("POST", CAMPAIGN, body).status_code == 201
    answer = seeded("POST", CAMPAIGN, {**body, "media_type": "Online: Display"})
    assert (answer.status_code, list(answer.json()["errors"])) == (403, ["adwords_account_id"])
