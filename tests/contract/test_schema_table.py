"""The table of fields compared with lists that were transcribed by hand, to find wrong names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from invoca_bulk.schema import ADVERTISERS, API_VERSIONS, DEFAULT_API_VERSION, PROMO_NUMBERS, Action, Role

if TYPE_CHECKING:
    from invoca_bulk.schema import Collection, Resource

FIRST, LAST = "2017-09-01", None

#: Path: (JSON type, since, until, read-only).
NUMBER_FIELDS = {
    "id": (None, FIRST, LAST, True),
    "id_from_network": (str, "2018-05-01", LAST, False),
    "description": (str, FIRST, LAST, False),
    "media_type": (str, FIRST, LAST, False),
    "promo_number": (None, FIRST, LAST, True),
    "object_url": (None, FIRST, LAST, True),
    "local_center.tn_prefix": (str, FIRST, LAST, False),
    "local_center.zipcode": (str, FIRST, LAST, False),
    "local_center.city": (str, FIRST, LAST, False),
    "local_center.state": (str, FIRST, LAST, False),
    "tn_prefix_whitelist": (list, FIRST, LAST, False),
    "local_number_preferences.search_radius_miles": (int, "2018-05-01", LAST, False),
    "local_number_preferences.restrict_search_to_state": (bool, "2018-05-01", LAST, False),
    "promo_type": (str, FIRST, LAST, False),
    "promo_number_looks_like": (str, FIRST, "2022-08-01", False),
    "adwords_account_id": (str, FIRST, LAST, False),
    "custom_data.*": (str, FIRST, LAST, False),
    "hours_of_operation": (None, "2026-02-01", LAST, False),
    "hours_of_operation.open_24_7": (bool, "2026-02-01", LAST, False),
    "hours_of_operation.time_zone": (str, "2026-02-01", LAST, False),
    "hours_of_operation.schedules.#.day_of_week": (str, "2026-02-01", LAST, False),
    "hours_of_operation.schedules.#.open_time": (str, "2026-02-01", LAST, False),
    "hours_of_operation.schedules.#.close_time": (str, "2026-02-01", LAST, False),
    "destination_advertiser_id_from_network": (str, "2022-08-01", LAST, False),
    "destination_advertiser_campaign_id_from_network": (str, "2022-08-01", LAST, False),
    "destination_affiliate_id_from_network": (str, "2022-08-01", LAST, False),
}
ADVERTISER_FIELDS = {
    "id": (None, FIRST, LAST, True),
    "id_from_network": (str, FIRST, LAST, False),
    "name": (str, FIRST, LAST, False),
    "oauth_refresh_token": (str, FIRST, LAST, False),
    "approval_status": (str, FIRST, LAST, False),
    "web_integration_phone_number": (str, FIRST, LAST, False),
    "default_creative_id_from_network": (str, FIRST, LAST, False),
    "object_url": (None, FIRST, LAST, True),
    "sites.#.id_from_network": (str, FIRST, LAST, False),
    "sites.#.name": (str, FIRST, LAST, False),
    "users.#.id_from_network": (str, FIRST, LAST, False),
    "users.#.email_settings.#.email_address": (str, FIRST, LAST, False),
    "users.#.email_settings.#.use_for_notifications": (bool, FIRST, LAST, False),
    "users.#.first_name": (str, FIRST, LAST, False),
    "users.#.last_name": (str, FIRST, LAST, False),
    "users.#.contact_phone_number": (str, FIRST, LAST, False),
    "users.#.contact_country_code": (str, FIRST, LAST, False),
    "users.#.oauth_refresh_token": (str, FIRST, LAST, False),
    "users.#.role": (str, FIRST, LAST, False),
    "users.#.notify_on_budgets": (bool, FIRST, LAST, False),
    "users.#.notify_on_campaign_applications": (bool, FIRST, LAST, False),
    "users.#.notify_on_campaign_expirations": (bool, FIRST, LAST, False),
    "users.#.notify_on_creative_duplication_requests": (bool, FIRST, LAST, False),
    "users.#.notify_on_network_announcements": (bool, FIRST, LAST, False),
    "users.#.notify_on_performance_notifications": (bool, FIRST, "2022-08-01", False),
    "users.#.notify_on_monthly_campaign_performance_reports": (bool, FIRST, "2022-08-01", False),
    "users.#.notify_on_weekly_campaign_performance_reports": (bool, FIRST, "2022-08-01", False),
    "users.#.notify_on_call_activities": (bool, FIRST, LAST, False),
    "users.#.can_login_via_platform": (None, "2018-11-01", LAST, True),
    "custom_data.*": (str, FIRST, LAST, False),
}
TABLES = {"promo_numbers": (PROMO_NUMBERS, NUMBER_FIELDS), "advertisers": (ADVERTISERS, ADVERTISER_FIELDS)}
Facts = dict[str, tuple[type | None, str, str | None, bool]]

MEDIA_TYPES = [
    "Online: Content / Review Site",
    "Online: Discount / Coupon Site",
    "Online: Display",
    "Online: Email",
    "Online: Rewards / Incentive",
    "Online: Lead Form / Co Reg",
    "Online: Search",
    "Online: Social Media",
    "Online: Software",
    "Online: Other",
    "Mobile: Apps",
    "Mobile: Display",
    "Mobile: Search",
    "Mobile: SMS",
    "Mobile: Other",
    "Offline: Business Publication",
    "Offline: Call Center",
    "Offline: Direct Mail",
    "Offline: Directory",
    "Offline: Newspaper",
    "Offline: InCall Ad",
    "Offline: Magazine",
    "Offline: Outdoor",
    "Offline: Radio",
    "Offline: TV",
    "Offline: Other",
    "Google Call Extension",
]


@pytest.mark.parametrize(("resource", "facts"), TABLES.values(), ids=TABLES)
def test_fields(resource: Resource, facts: Facts) -> None:
    """The table has exactly the documented fields, with their versions."""
    body = {
        field.path: (field.since, field.until, field.read_only) for field in resource.fields if field.role is Role.BODY
    }
    assert body == {path: fact[1:] for path, fact in facts.items()}


@pytest.mark.parametrize(("resource", "facts"), TABLES.values(), ids=TABLES)
def test_json_types(resource: Resource, facts: Facts) -> None:
    """A field's text is parsed to the documented JSON type; read-only fields are skipped."""
    samples = ("Online: Display", "805", "93101", "Approved", "TRUE", "CA", "Monday", "08:00", "Super", "Local")
    samples += ("44", "627-345-9815", "Hawaii", "x@example.com", "8055550100", "words")
    for path, (json_type, *_) in facts.items():
        if json_type is not None:
            assert type(_parse_sample(resource, path, samples)) is json_type, path


def _parse_sample(resource: Resource, path: str, samples: tuple[str, ...]) -> object:
    field_type = resource.by_path[path].field_type
    for sample in samples:
        try:
            return field_type.parse_cell(sample).value
        except ValueError:
            continue
    raise AssertionError(path)


def test_media_types() -> None:
    """The 27 media types are spelt as documented, without the published list's soft hyphen."""
    assert list(PROMO_NUMBERS.by_path["media_type"].field_type.choices) == MEDIA_TYPES
    assert len(MEDIA_TYPES) == 27


CHOICES = {
    "approval_status": (ADVERTISERS, ["Applied", "Approved", "Declined", "Suspended", "Archived"]),
    "users.#.role": (ADVERTISERS, ["Super", "Manager", "Member", "Observer"]),
    "promo_type": (PROMO_NUMBERS, ["Local", "Mobile"]),
}


@pytest.mark.parametrize(("path", "resource", "choices"), [(path, *row) for path, row in CHOICES.items()], ids=CHOICES)
def test_choices(path: str, resource: Resource, choices: list[str]) -> None:
    """The choices are the documented ones."""
    assert list(resource.by_path[path].field_type.choices) == choices


REQUIRED = {
    "promo_numbers": (PROMO_NUMBERS, {"description", "media_type"}),
    "advertisers": (
        ADVERTISERS,
        {
            "id_from_network",
            "name",
            "sites.#.id_from_network",
            "users.#.id_from_network",
            "users.#.email_settings.#.email_address",
            "users.#.email_settings.#.use_for_notifications",
            "users.#.first_name",
            "users.#.last_name",
            "users.#.contact_phone_number",
        },
    ),
}


@pytest.mark.parametrize(("resource", "paths"), REQUIRED.values(), ids=REQUIRED)
def test_required_on_create(resource: Resource, paths: set[str]) -> None:
    """A create requires exactly the fields that the documentation calls required."""
    required = {
        field.path for field in resource.fields if field.role is Role.BODY and Action.CREATE in field.required_on
    }
    assert required == paths


def test_secrets() -> None:
    """The refresh tokens are the only secrets."""
    secrets = {
        (resource.name, field.path)
        for resource in (ADVERTISERS, PROMO_NUMBERS)
        for field in resource.fields
        if field.secret
    }
    assert secrets == {("advertisers", "oauth_refresh_token"), ("advertisers", "users.#.oauth_refresh_token")}


def test_response_names() -> None:
    """Only a user's phone number has another name in responses."""
    renamed = {
        field.path: field.response_name
        for resource in (ADVERTISERS, PROMO_NUMBERS)
        for field in resource.fields
        if field.response_name
    }
    assert renamed == {"users.#.contact_phone_number": "phone_number"}


def test_versions() -> None:
    """The versions are the dates of changes in the Network Integration API."""
    assert API_VERSIONS == ("2017-09-01", "2018-05-01", "2018-11-01", "2019-05-01", "2022-08-01", "2026-02-01")
    assert DEFAULT_API_VERSION == "2022-08-01"


SCOPES = {
    "advertiser campaign": (
        {"advertiser_id_from_network": "A", "advertiser_campaign_id_from_network": "C"},
        ("advertisers", "A", "advertiser_campaigns", "C"),
    ),
    "affiliate campaign": (
        {
            "advertiser_id_from_network": "A",
            "advertiser_campaign_id_from_network": "C",
            "affiliate_id_from_network": "F",
        },
        ("advertisers", "A", "advertiser_campaigns", "C", "affiliates", "F", "affiliate_campaigns"),
    ),
}


@pytest.mark.parametrize(("values", "parts"), SCOPES.values(), ids=SCOPES)
def test_scopes(values: dict[str, str], parts: tuple[str, ...]) -> None:
    """The paths above promo numbers are the documented ones."""
    assert PROMO_NUMBERS.scope_for(values) == parts


def test_collections() -> None:
    """Numbers are addressed by number, and from 2018-05-01 on by own id; advertisers are addressed by id."""
    numbers = {_facts(collection) for collection in PROMO_NUMBERS.collections}
    assert numbers == {
        ("promo_numbers", "promo_number", "2017-09-01"),
        ("promo_numbers_by_id", "id_from_network", "2018-05-01"),
    }
    assert [_facts(collection) for collection in ADVERTISERS.collections] == [
        ("advertisers", "id_from_network", "2017-09-01")
    ]


def _facts(collection: Collection) -> tuple[str, str, str]:
    return collection.name, collection.identifier_field, collection.since
