"""The sandbox's operations on promo numbers."""

from __future__ import annotations

from typing import Any

import pytest

from invoca_bulk.sandbox_server.platform_model import CampaignKey

CAMPAIGN = "advertisers/A-100/advertiser_campaigns/C-100"
AFFILIATE = f"{CAMPAIGN}/affiliates/F-1/affiliate_campaigns"
BODY = {"description": "Spring sale", "media_type": "Online: Display"}


def _create(platform: Any, campaign: str = CAMPAIGN, **fields: Any) -> dict[str, Any]:
    collection = "promo_numbers_by_id" if "id_from_network" in fields else "promo_numbers"
    answer = platform("POST", f"{campaign}/{collection}", {**BODY, **fields})
    assert answer.status_code == 201, answer.text
    number: dict[str, Any] = answer.json()
    return number


def _ledger(platform: Any) -> list[Any]:
    return [entry for entry in platform.store.ledger if entry.campaign.network_id == platform.network_id]


def test_every_post_issues_another_number(platform: Any) -> None:
    """Equal bodies give different numbers, and the ledger has each one with its body."""
    numbers = [_create(platform)["promo_number"] for _ in range(5)]
    assert len(set(numbers)) == 5
    ledger = _ledger(platform)
    assert [entry.number for entry in ledger] == numbers
    key = CampaignKey(network_id=platform.network_id, advertiser_id="A-100", campaign_id="C-100")
    assert all((entry.campaign, entry.own_id, dict(entry.body)) == (key, None, BODY) for entry in ledger)
    assert [entry.request_number for entry in ledger] == sorted({entry.request_number for entry in ledger})


def test_own_id_is_unique(platform: Any) -> None:
    """A second POST with the same own id is rejected and issues nothing; other campaigns can use the id."""
    _create(platform, id_from_network="7/a")
    answer = platform("POST", f"{CAMPAIGN}/promo_numbers_by_id", {**BODY, "id_from_network": "7/a"})
    assert (answer.status_code, answer.json()) == (403, {"errors": {"id_from_network": ["has already been taken"]}})
    _create(platform, AFFILIATE, id_from_network="7/a")
    assert [(entry.campaign.affiliate_id, entry.own_id) for entry in _ledger(platform)] == [
        (None, "7/a"),
        ("F-1", "7/a"),
    ]


def test_repeat_updates(platform: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `repeat_updates`, a second POST updates the existing number and issues none."""
    monkeypatch.setattr(platform.store, "repeat_updates", True)
    created = _create(platform, id_from_network="7")
    updated = _create(platform, id_from_network="7", description="Summer sale")
    assert updated == {**created, "description": "Summer sale"}
    assert len(_ledger(platform)) == 1


def test_collections_have_the_same_numbers(platform: Any) -> None:
    """A number created in either collection is found in both, by number and by id."""
    numbers = [_create(platform), _create(platform, id_from_network="mine")]
    for collection, name in (("promo_numbers", "promo_number"), ("promo_numbers_by_id", "id_from_network")):
        assert platform("GET", f"{CAMPAIGN}/{collection}").json() == numbers
        for number in numbers:
            assert platform("GET", f"{CAMPAIGN}/{collection}/{number[name]}").json() == number


def test_platform_ids_skip_own_ids(platform: Any) -> None:
    """The platform skips an id that a client already uses as its own id."""
    future_id = str(_create(platform)["id"] + 2)
    _create(platform, id_from_network=future_id)
    numbers = [_create(platform) for _ in range(3)]
    assert future_id not in {number["id_from_network"] for number in numbers}
    assert all(number["id_from_network"] == str(number["id"]) for number in numbers)


REFUSED = {
    "nothing": ({}, "promo_numbers", {"description", "media_type"}),
    "blank description": ({**BODY, "description": ""}, "promo_numbers", {"description"}),
    "null": ({**BODY, "media_type": None}, "promo_numbers", {"media_type"}),
    "unknown field": ({**BODY, "colour": "red"}, "promo_numbers", {"colour"}),
    "columns of this package": (
        {**BODY, "quantity": 2, "result_status": "x"},
        "promo_numbers",
        {"quantity", "result_status"},
    ),
    "dotted key": ({**BODY, "promo_type.x": "Local"}, "promo_numbers", {"promo_type"}),
    "media type in other case": ({**BODY, "media_type": "online: display"}, "promo_numbers", {"media_type"}),
    "soft hyphen": ({**BODY, "media_type": "Offline: In\u00adCall Ad"}, "promo_numbers", {"media_type"}),
    "number for a text": ({**BODY, "local_center": {"tn_prefix": 805}}, "promo_numbers", {"local_center"}),
    "text for a boolean": (
        {**BODY, "local_number_preferences": {"restrict_search_to_state": "true"}},
        "promo_numbers",
        {"local_number_preferences"},
    ),
    "list for an object": ({**BODY, "local_center": [{"tn_prefix": "805"}]}, "promo_numbers", {"local_center"}),
    "object for a list": ({**BODY, "tn_prefix_whitelist": {"1": "805"}}, "promo_numbers", {"tn_prefix_whitelist"}),
    "custom data as a list": ({**BODY, "custom_data": ["x"]}, "promo_numbers", {"custom_data"}),
    "nested custom data": ({**BODY, "custom_data": {"channel": {"a": "b"}}}, "promo_numbers", {"custom_data"}),
    "city alone": ({**BODY, "local_center": {"city": "Boston"}}, "promo_numbers", {"local_center"}),
    "two centers": (
        {**BODY, "local_center": {"tn_prefix": "805", "zipcode": "93101"}},
        "promo_numbers",
        {"local_center"},
    ),
    "read-only": ({**BODY, "id": 1, "promo_number": "8005550100"}, "promo_numbers", {"id", "promo_number"}),
    "own id where the platform sets it": ({**BODY, "id_from_network": "x"}, "promo_numbers", {"id_from_network"}),
    "no own id": (BODY, "promo_numbers_by_id", {"id_from_network"}),
    "own id as a number": ({**BODY, "id_from_network": 7}, "promo_numbers_by_id", {"id_from_network"}),
    "destination": (
        {**BODY, "destination_advertiser_id_from_network": "A-200"},
        "promo_numbers",
        {"destination_advertiser_id_from_network"},
    ),
}


@pytest.mark.parametrize(("body", "collection", "fields"), REFUSED.values(), ids=REFUSED)
def test_refused_creates(platform: Any, body: dict[str, Any], collection: str, fields: set[str]) -> None:
    """Invalid fields are rejected by name, and nothing is issued."""
    answer = platform("POST", f"{CAMPAIGN}/{collection}", body)
    assert (answer.status_code, set(answer.json()["errors"])) == (403, fields)
    assert not _ledger(platform)


def test_hours_are_for_advertiser_campaigns(platform: Any) -> None:
    """`hours_of_operation` is rejected for an affiliate campaign and returned for an advertiser campaign."""
    body = {**BODY, "hours_of_operation": {"open_24_7": True, "time_zone": "UTC"}}
    answer = platform("POST", f"{AFFILIATE}/promo_numbers", body, "2026-02-01")
    assert (answer.status_code, set(answer.json()["errors"])) == (403, {"hours_of_operation"})
    number = platform("POST", f"{CAMPAIGN}/promo_numbers", body, "2026-02-01").json()
    path = f"{CAMPAIGN}/promo_numbers/{number['promo_number']}"
    assert number["hours_of_operation"] == {"open_24_7": True, "time_zone": "UTC"}
    assert "hours_of_operation" not in platform("GET", path).json()
    assert "hours_of_operation" not in platform("PUT", path, {"hours_of_operation": {}}, "2026-02-01").json()


def _hours(*spans: tuple[str, str, str]) -> dict[str, Any]:
    names = ("day_of_week", "open_time", "close_time")
    return {
        "hours_of_operation": {"time_zone": "UTC", "schedules": [dict(zip(names, span, strict=True)) for span in spans]}
    }


HOURS = {
    "two days": (_hours(("Monday", "08:00", "12:00"), ("Tuesday", "08:00", "12:00")), 201),
    "touching": (_hours(("Monday", "08:00", "12:00"), ("Monday", "12:00", "17:45")), 201),
    "overlapping": (_hours(("Monday", "08:00", "12:15"), ("Monday", "12:00", "17:45")), 403),
    "not a quarter": (_hours(("Monday", "08:10", "12:00")), 403),
    "past midnight": (_hours(("Monday", "22:00", "02:00")), 201),
    "end of day": (_hours(("Monday", "12:00", "24:00")), 201),
    "no time zone": ({"hours_of_operation": {"open_24_7": True}}, 403),
    "no schedules": ({"hours_of_operation": {"open_24_7": False, "time_zone": "UTC"}}, 403),
    "no such day": (_hours(("monday", "08:00", "12:00")), 403),
    "IANA time zone": ({"hours_of_operation": {"time_zone": "America/Los_Angeles"}}, 403),
}


@pytest.mark.parametrize(("fields", "status"), HOURS.values(), ids=HOURS)
def test_schedules(platform: Any, fields: dict[str, Any], status: int) -> None:
    """Schedules are on quarter hours and do not overlap; time zones have Rails names."""
    answer = platform("POST", f"{CAMPAIGN}/promo_numbers", {**BODY, **fields}, "2026-02-01")
    assert answer.status_code == status
    assert status == 201 or set(answer.json()["errors"]) == {"hours_of_operation"}


def test_partial_update(platform: Any) -> None:
    """A PUT changes only the given fields and custom data keys; null removes a key."""
    number = _create(platform, custom_data={"channel": "Online lead", "shop": "1"})
    path = f"{CAMPAIGN}/promo_numbers/{number['promo_number']}"
    assert platform("PUT", path, {"description": "New"}).json() == {**number, "description": "New"}
    answer = platform("PUT", path, {"custom_data": {"shop": None, "city": "Ojai"}})
    assert answer.json()["custom_data"] == {"channel": "Online lead", "city": "Ojai"}
    assert platform("PUT", path, {}).json() == answer.json()
    assert len(_ledger(platform)) == 1


UPDATES_REFUSED = {
    "blank": ({"description": ""}, {"description"}),
    "unknown field": ({"colour": "red"}, {"colour"}),
    "another id": ({"id_from_network": "other"}, {"id_from_network"}),
    "another number": ({"promo_number": "8005550100"}, {"promo_number"}),
    "account without the media type": ({"adwords_account_id": "627-345-9815"}, {"adwords_account_id"}),
}


@pytest.mark.parametrize(("body", "fields"), UPDATES_REFUSED.values(), ids=UPDATES_REFUSED)
def test_refused_updates(platform: Any, body: dict[str, Any], fields: set[str]) -> None:
    """A rejected PUT changes nothing, and its response has the whole object in addition to `errors`."""
    number = _create(platform)
    path = f"{CAMPAIGN}/promo_numbers/{number['promo_number']}"
    answer = platform("PUT", path, body)
    assert (answer.status_code, set(answer.json()["errors"])) == (403, fields)
    assert platform("GET", path).json() == number == {k: v for k, v in answer.json().items() if k != "errors"}


def _to(*ids: str) -> dict[str, str]:
    names = ("advertiser_id_from_network", "advertiser_campaign_id_from_network", "affiliate_id_from_network")
    return {f"destination_{name}": value for name, value in zip(names, ids, strict=False)}


MOVES = {
    "campaign": (CAMPAIGN, _to("A-200", "C-201"), "advertisers/A-200/advertiser_campaigns/C-201"),
    "affiliate": (
        AFFILIATE,
        _to("A-200", "C-200", "F-2"),
        "advertisers/A-200/advertiser_campaigns/C-200/affiliates/F-2/affiliate_campaigns",
    ),
}


@pytest.mark.parametrize(("source", "body", "target"), MOVES.values(), ids=MOVES)
def test_move(platform: Any, source: str, body: dict[str, str], target: str) -> None:
    """A moved number keeps its promo number, leaves its campaign and gets a new id; its old id can be used again."""
    number = _create(platform, source, id_from_network="mine")
    moved = platform("PUT", f"{source}/promo_numbers_by_id/mine", {**body, "description": "Moved"})
    assert moved.status_code == 200
    assert moved.json()["id_from_network"] != "mine"
    moved_number = {**number, "description": "Moved", "id_from_network": moved.json()["id_from_network"]}
    assert moved.json() == moved_number
    assert platform("GET", f"{source}/promo_numbers").json() == []
    assert platform("GET", f"{target}/promo_numbers").json() == [moved_number]
    assert platform("GET", f"{source}/promo_numbers/{number['promo_number']}").status_code == 404
    _create(platform, source, id_from_network="mine")
    assert len(_ledger(platform)) == 2


MOVES_REFUSED = {
    "no campaign": (CAMPAIGN, _to("A-200")),
    "no advertiser": (CAMPAIGN, {"destination_advertiser_campaign_id_from_network": "C-201"}),
    "affiliate alone": (AFFILIATE, {"destination_affiliate_id_from_network": "F-2"}),
    "from a campaign to an affiliate": (CAMPAIGN, _to("A-200", "C-200", "F-2")),
    "campaign not found": (CAMPAIGN, _to("A-200", "C-999")),
    "affiliate not found": (AFFILIATE, _to("A-200", "C-200", "F-9")),
}


@pytest.mark.parametrize(("source", "body"), MOVES_REFUSED.values(), ids=MOVES_REFUSED)
def test_refused_moves(platform: Any, source: str, body: dict[str, str]) -> None:
    """A move needs an existing advertiser and campaign; an affiliate's number moves only to another affiliate."""
    number = _create(platform, source)
    answer = platform("PUT", f"{source}/promo_numbers/{number['promo_number']}", body)
    assert answer.status_code == 403
    assert all(name.startswith("destination_") for name in answer.json()["errors"])
    assert platform("GET", f"{source}/promo_numbers").json() == [number]


def test_delete(platform: Any) -> None:
    """A second DELETE gets 404, and the number is not issued again and stays in the ledger."""
    number = _create(platform)
    path = f"{CAMPAIGN}/promo_numbers/{number['promo_number']}"
    assert [platform("DELETE", path).status_code for _ in range(2)] == [200, 404]
    assert _create(platform)["promo_number"] != number["promo_number"]
    assert len(_ledger(platform)) == 2


def test_allowance(platform: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A campaign that has got its allowance gets no more numbers, even after one is deleted."""
    monkeypatch.setattr(platform.store, "campaign_allowance", 1)
    number = _create(platform)
    platform("DELETE", f"{CAMPAIGN}/promo_numbers/{number['promo_number']}")
    answer = platform("POST", f"{CAMPAIGN}/promo_numbers", BODY)
    assert (answer.status_code, answer.json()["errors"]) == (403, {"base": ["You've reached your promo number limit"]})


@pytest.mark.parametrize("moved_ids", ["new", "kept"])
def test_ids_of_moved_numbers(platform: Any, monkeypatch: pytest.MonkeyPatch, moved_ids: str) -> None:
    """A moved number gets another id, or keeps it."""
    monkeypatch.setattr(platform.store, "moved_ids", moved_ids)
    number = _create(platform)
    destination = {"advertiser_id_from_network": "A-200", "advertiser_campaign_id_from_network": "C-200"}
    body = {f"destination_{name}": value for name, value in destination.items()}
    moved = platform("PUT", f"{CAMPAIGN}/promo_numbers/{number['promo_number']}", body).json()
    assert (moved["id_from_network"] == number["id_from_network"]) is (moved_ids == "kept")


def test_campaigns(platform: Any) -> None:
    """The campaigns of an advertiser, and the affiliates' campaigns of a campaign, are arrays."""
    campaigns = platform("GET", "advertisers/A-100/advertiser_campaigns").json()
    assert [campaign["id_from_network"] for campaign in campaigns] == ["C-100", "C-101", "C-102"]
    affiliates = platform("GET", f"{CAMPAIGN}/affiliate_campaigns").json()
    assert [affiliate["affiliate_id_from_network"] for affiliate in affiliates] == ["F-1"]
    assert platform("GET", "advertisers/none/advertiser_campaigns").status_code == 404
