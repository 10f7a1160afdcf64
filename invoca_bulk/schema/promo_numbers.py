"""Promo numbers: every field of the platform's documentation, once.

Source: "Advertiser Campaign and Affiliate Campaign Promo Numbers" of the Network Integration API, 2017-09-01, and the
later versions' pages where `since` names one.
"""

from __future__ import annotations

import re
from itertools import combinations
from typing import TYPE_CHECKING

from invoca_bulk.schema import field_types
from invoca_bulk.schema.issue_catalog import Problem
from invoca_bulk.schema.model import Action, Collection, Field, Resource, Role, Rule
from invoca_bulk.schema.result_columns import OUTPUT_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from invoca_bulk.schema.field_types import Json

GOOGLE_CALL_EXTENSION = "Google Call Extension"

#: `Offline: InCall Ad` carries a soft hyphen in the published list, and `Google Call Extension` is missing from it.
MEDIA_TYPES = (
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
    GOOGLE_CALL_EXTENSION,
)
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")

_ALL_ACTIONS = frozenset(Action)
_CREATE_ONLY = frozenset({Action.CREATE})

FIELDS = (
    Field(
        path="action",
        field_type=field_types.choice(*Action, name="action"),
        role=Role.LOCAL,
        help="What the row asks for. Blank: a row with a promo_number, or with the id_from_network of a number that "
        "exists, changes that number, or moves it if there is a destination; any other row creates one.",
        clearable=False,
        template_columns=0,
    ),
    Field(
        path="quantity",
        field_type=field_types.whole_number(minimum=1, maximum=10_000),
        role=Role.LOCAL,
        help="So many numbers with these settings; blank: 1. Each is bought, and gets a row of its own in the results.",
        example="1",
        aliases=("qty", "count"),
        clearable=False,
    ),
    Field(
        path="advertiser_id_from_network",
        field_type=field_types.ID,
        role=Role.PATH,
        required_on=_ALL_ACTIONS,
        help="Your network's id of the advertiser.",
        aliases=("advertiser_id",),
        clearable=False,
    ),
    Field(
        path="advertiser_campaign_id_from_network",
        field_type=field_types.ID,
        role=Role.PATH,
        required_on=_ALL_ACTIONS,
        help="Your network's id of the advertiser's campaign.",
        aliases=("campaign_id_from_network", "advertiser_campaign_id", "campaign_id"),
        clearable=False,
    ),
    Field(
        path="affiliate_id_from_network",
        field_type=field_types.ID,
        role=Role.PATH,
        help="Your network's id of the affiliate; blank: the number belongs to the advertiser's campaign itself.",
        aliases=("affiliate_id",),
        clearable=False,
    ),
    Field(
        path="id_from_network",
        field_type=field_types.ID,
        since="2018-05-01",
        help="An id of your own for the number (own id). Blank: the platform gives one.",
        aliases=("own_id", "promo_number_id_from_network"),
        clearable=False,
    ),
    Field(
        path="description",
        field_type=field_types.TEXT,
        required_on=_CREATE_ONLY,
        help="Any text that tells you what the number is for.",
        aliases=("promo_number_description",),
        clearable=False,
    ),
    Field(
        path="media_type",
        field_type=field_types.choice(*MEDIA_TYPES, name="media_type"),
        required_on=_CREATE_ONLY,
        help="Where the number is shown.",
        aliases=("media",),
        clearable=False,
    ),
    Field(
        path="local_center.tn_prefix",
        field_type=field_types.AREA_CODE,
        applies_on_update=False,
        help="The area code of a local number. Only one of tn_prefix, zipcode, or city with state. "
        "No local center at all: a toll-free number.",
        aliases=("tn_prefix", "area_code", "npa"),
    ),
    Field(
        path="local_center.zipcode",
        field_type=field_types.ZIP_CODE,
        applies_on_update=False,
        help="The zip code near which a local number is wanted.",
        aliases=("zipcode", "zip_code", "zip", "local_center.zip"),
    ),
    Field(
        path="local_center.city",
        field_type=field_types.TEXT,
        applies_on_update=False,
        help="The city near which a local number is wanted; needs the state too.",
        aliases=("city",),
    ),
    Field(
        path="local_center.state",
        field_type=field_types.STATE,
        applies_on_update=False,
        help="Two letters: a US state or a Canadian province. Needs the city too.",
        aliases=("state",),
    ),
    Field(
        path="tn_prefix_whitelist",
        field_type=field_types.AREA_CODES,
        applies_on_update=False,
        help='The only area codes that the local number may have: 805, 212 or ["805", "212"].',
    ),
    Field(
        path="local_number_preferences.search_radius_miles",
        field_type=field_types.whole_number(minimum=0, maximum=100_000),
        applies_on_update=False,
        since="2018-05-01",
        help="How far from the local center to search, in miles; the platform's default is 240.",
        aliases=("search_radius_miles",),
    ),
    Field(
        path="local_number_preferences.restrict_search_to_state",
        field_type=field_types.BOOLEAN,
        applies_on_update=False,
        since="2018-05-01",
        help="Whether to stay in the state of the local center; the platform's default is TRUE.",
        aliases=("restrict_search_to_state",),
    ),
    Field(
        path="promo_type",
        field_type=field_types.choice("Local", "Mobile", name="promo_type"),
        help="For international campaigns that have local or mobile numbers; blank: the organization's default.",
    ),
    Field(
        path="promo_number_looks_like",
        field_type=field_types.LOOKS_LIKE,
        applies_on_update=False,
        until="2022-08-01",
        help="For international local numbers: digits that the number should start with; the first five count.",
    ),
    Field(
        path="adwords_account_id",
        field_type=field_types.ADS_ACCOUNT,
        help=f"The Google Ads client account, such as 627-345-9815. Needs the media type {GOOGLE_CALL_EXTENSION}.",
        aliases=("google_ads_account_id",),
    ),
    Field(
        path="custom_data.*",
        field_type=field_types.TEXT,
        help="A custom data field of your network: one column each, such as custom_data.channel.",
        example="Online lead",
    ),
    Field(
        path="hours_of_operation.open_24_7",
        field_type=field_types.BOOLEAN,
        since="2026-02-01",
        help="Whether calls are taken at all times. Advertiser campaigns only.",
        template_columns=0,
    ),
    Field(
        path="hours_of_operation.time_zone",
        field_type=field_types.TIME_ZONE,
        since="2026-02-01",
        help="The time zone of the schedules, by its Rails name, such as Pacific Time (US & Canada).",
        template_columns=0,
    ),
    Field(
        path="hours_of_operation.schedules.#.day_of_week",
        field_type=field_types.choice(*DAYS, name="day of the week"),
        since="2026-02-01",
        help="The day of a schedule; the columns are numbered: hours_of_operation.schedules.1.day_of_week.",
        clearable=False,
        template_columns=0,
    ),
    Field(
        path="hours_of_operation.schedules.#.open_time",
        field_type=field_types.TIME,
        since="2026-02-01",
        help="When a schedule opens: HH:MM in steps of 15 minutes.",
        clearable=False,
        template_columns=0,
    ),
    Field(
        path="hours_of_operation.schedules.#.close_time",
        field_type=field_types.TIME,
        since="2026-02-01",
        help="When a schedule closes: HH:MM in steps of 15 minutes.",
        clearable=False,
        template_columns=0,
    ),
    *(
        Field(
            path=f"destination_{name}",
            field_type=field_types.ID,
            since="2022-08-01",
            help=f"Where an existing number moves to: the {what}'s id. Not when a number is created.",
            aliases=tuple(f"destination_{alias}" for alias in aliases),
            applies_on_create=False,
            clearable=False,
            template_columns=0,
        )
        for name, what, aliases in (
            ("advertiser_id_from_network", "advertiser", ("advertiser_id",)),
            (
                "advertiser_campaign_id_from_network",
                "campaign",
                ("campaign_id_from_network", "advertiser_campaign_id", "campaign_id"),
            ),
            ("affiliate_id_from_network", "affiliate", ("affiliate_id",)),
        )
    ),
    Field(
        path="id",
        field_type=field_types.NUMERIC_ID,
        read_only=True,
        help="The platform's own id of the number.",
        template_columns=0,
    ),
    Field(
        path="promo_number",
        field_type=field_types.PHONE,
        read_only=True,
        help="The number that the platform assigned. On a row that is run, it names the number to change.",
        template_columns=0,
    ),
    Field(
        path="source_promo_number",
        field_type=field_types.TEXT,
        role=Role.LOCAL,
        help="The number that the row had in the network that it was exported from; kept, and never sent.",
        clearable=False,
        template_columns=0,
    ),
    Field(
        path="object_url",
        field_type=field_types.TEXT,
        read_only=True,
        help="The address of the number in the platform's pages.",
        template_columns=0,
    ),
    *OUTPUT_FIELDS,
)


# Rules over several columns

_LOCAL_CENTER_FIELDS = (
    "local_center.tn_prefix",
    "local_center.zipcode",
    "local_center.city",
    "local_center.state",
)


def _check_single_local_center(values: Mapping[str, Json]) -> Iterator[Problem]:
    city, state = (f"local_center.{name}" for name in ("city", "state"))
    place = [name for name in (city, state) if name in values]
    ways = [name for name in _LOCAL_CENTER_FIELDS[:2] if name in values] + [" with ".join(place)] * bool(place)
    if len(ways) > 1:
        yield Problem(code="local_center_conflict", column=ways[0], details={"given": " and ".join(ways)})
    elif len(place) == 1:
        missing = state if place[0] == city else city
        yield Problem(code="city_without_state", column=missing, details={"missing": missing, "given": place[0]})


_LOCAL_ONLY_FIELDS = (
    "tn_prefix_whitelist",
    "local_number_preferences.search_radius_miles",
    "local_number_preferences.restrict_search_to_state",
)


def _check_local_settings_have_center(values: Mapping[str, Json]) -> Iterator[Problem]:
    exists = "promo_number" in values or values.get("action", Action.CREATE) != Action.CREATE
    if exists or any(name in values for name in _LOCAL_CENTER_FIELDS):
        return
    for name in _LOCAL_ONLY_FIELDS:
        if name in values:
            yield Problem(code="no_local_center", column=name, details={"known": name})


def _check_ads_account_media_type(values: Mapping[str, Json]) -> Iterator[Problem]:
    media_type = values.get("media_type")
    if values.get("adwords_account_id") and media_type and media_type != GOOGLE_CALL_EXTENSION:
        yield Problem(code="ads_account_media_type", column="adwords_account_id", details={"value": media_type})


def _check_hours_without_affiliate(values: Mapping[str, Json]) -> Iterator[Problem]:
    hours = [name for name in values if name.startswith("hours_of_operation.")]
    if hours and "affiliate_id_from_network" in values:
        yield Problem(code="hours_on_affiliate", column=hours[0])


def _group_schedules(values: Mapping[str, Json]) -> dict[str, dict[str, str]]:
    schedules: dict[str, dict[str, str]] = {}
    for path, value in values.items():
        if match := re.fullmatch(r"(hours_of_operation\.schedules\.[0-9]+)\.(\w+)", path):
            schedules.setdefault(match[1], {})[match[2]] = value
    return schedules


def _check_schedules_complete(values: Mapping[str, Json]) -> Iterator[Problem]:
    for path, schedule in _group_schedules(values).items():
        for missing in (name for name in ("day_of_week", "open_time", "close_time") if name not in schedule):
            column = f"{path}.{missing}"
            yield Problem(code="schedule_incomplete", column=column, details={"missing": column})


def _check_schedules_order(values: Mapping[str, Json]) -> Iterator[Problem]:
    for path, schedule in _group_schedules(values).items():
        if "open_time" in schedule and "close_time" in schedule and schedule["close_time"] <= schedule["open_time"]:
            details = {"open": schedule["open_time"], "close": schedule["close_time"]}
            yield Problem(code="schedule_backwards", column=f"{path}.close_time", details=details)


def _check_schedules_overlap(values: Mapping[str, Json]) -> Iterator[Problem]:
    whole = [(path, one) for path, one in _group_schedules(values).items() if len(one) == 3]  # noqa: PLR2004  day, open, close
    whole.sort(key=lambda item: (item[1]["day_of_week"], item[1]["open_time"]))
    for (_, first), (path, second) in combinations(whole, 2):
        if first["day_of_week"] == second["day_of_week"] and second["open_time"] < first["close_time"]:
            spans = [f"{one['open_time']}-{one['close_time']}" for one in (first, second)]
            details = {"day": first["day_of_week"], "first": spans[0], "second": spans[1]}
            yield Problem(code="schedules_overlap", column=f"{path}.open_time", details=details)


_DESTINATION_FIELDS = tuple(one.path for one in FIELDS if one.path.startswith("destination_"))


def _check_destination_complete(values: Mapping[str, Json]) -> Iterator[Problem]:
    given = [name for name in _DESTINATION_FIELDS if name in values]
    for missing in _DESTINATION_FIELDS[:2]:
        if given and missing not in values:
            yield Problem(code="destination_incomplete", column=missing, details={"missing": missing})
    if _DESTINATION_FIELDS[2] in values and "affiliate_id_from_network" not in values:
        yield Problem(code="destination_affiliate", column=_DESTINATION_FIELDS[2])


_IDENTIFIER_FIELDS = ("promo_number", "id_from_network")


def _check_identifier_quantity(values: Mapping[str, Json]) -> Iterator[Problem]:
    named = [name for name in _IDENTIFIER_FIELDS if name in values]
    if values.get("quantity", 1) > 1 and named:
        details = {"value": values["quantity"], "known": named[0]}
        yield Problem(code="own_id_quantity", column="quantity", details=details)


def _check_action(values: Mapping[str, Json]) -> Iterator[Problem]:
    """What a row asks for and what it names have to go together."""
    action = values.get("action")
    named = any(name in values for name in _IDENTIFIER_FIELDS)
    destination = next((name for name in _DESTINATION_FIELDS if name in values), None)
    if action == Action.CREATE and "promo_number" in values:
        details = {"known": "promo_number", "value": values["promo_number"]}
        yield Problem(code="names_existing", column="promo_number", details=details)
    elif action not in {None, Action.CREATE} and not named:
        yield Problem(code="names_nothing", column="promo_number", details={"action": action})
    elif action == Action.MOVE and destination is None:
        yield Problem(code="move_without_destination", column=_DESTINATION_FIELDS[1])
    elif destination and (action in {Action.CREATE, Action.DELETE} or not named):
        yield Problem(code="not_on_create", column=destination, details={"known": destination})


_SCHEDULE_FIELDS = tuple(one.path for one in FIELDS if one.path.startswith("hours_of_operation.schedules."))
_HOURS_FIELDS = tuple(one.path for one in FIELDS if one.path.startswith("hours_of_operation."))

PROMO_NUMBERS = Resource(
    name="promo_numbers",
    singular="promo number",
    fields=FIELDS,
    rules=(
        Rule(fields=_LOCAL_CENTER_FIELDS, check=_check_single_local_center, presence_only=_LOCAL_CENTER_FIELDS),
        Rule(
            fields=("action", "promo_number", *_LOCAL_CENTER_FIELDS, *_LOCAL_ONLY_FIELDS),
            check=_check_local_settings_have_center,
            presence_only=("promo_number", *_LOCAL_CENTER_FIELDS, *_LOCAL_ONLY_FIELDS),
        ),
        Rule(
            fields=("media_type", "adwords_account_id"),
            check=_check_ads_account_media_type,
            presence_only=("adwords_account_id",),
        ),
        Rule(
            fields=("affiliate_id_from_network", *_HOURS_FIELDS),
            check=_check_hours_without_affiliate,
            presence_only=("affiliate_id_from_network", *_HOURS_FIELDS),
        ),
        Rule(
            fields=_SCHEDULE_FIELDS,
            check=_check_schedules_complete,
            presence_only=_SCHEDULE_FIELDS,
            needs_whole_object=True,
        ),
        Rule(fields=_SCHEDULE_FIELDS, check=_check_schedules_order),
        Rule(fields=_SCHEDULE_FIELDS, check=_check_schedules_overlap),
        Rule(
            fields=("affiliate_id_from_network", *_DESTINATION_FIELDS),
            check=_check_destination_complete,
            presence_only=("affiliate_id_from_network", *_DESTINATION_FIELDS),
        ),
        Rule(
            fields=("quantity", *_IDENTIFIER_FIELDS), check=_check_identifier_quantity, presence_only=_IDENTIFIER_FIELDS
        ),
        Rule(
            fields=("action", *_IDENTIFIER_FIELDS, *_DESTINATION_FIELDS),
            check=_check_action,
            presence_only=("id_from_network", *_DESTINATION_FIELDS),
        ),
    ),
    path_templates=(
        (
            "advertisers",
            "{advertiser_id_from_network}",
            "advertiser_campaigns",
            "{advertiser_campaign_id_from_network}",
            "affiliates",
            "{affiliate_id_from_network}",
            "affiliate_campaigns",
        ),
        (
            "advertisers",
            "{advertiser_id_from_network}",
            "advertiser_campaigns",
            "{advertiser_campaign_id_from_network}",
        ),
    ),
    collections=(
        Collection(name="promo_numbers_by_id", identifier_field="id_from_network", since="2018-05-01"),
        Collection(name="promo_numbers", identifier_field="promo_number"),
    ),
    identifier_field="promo_number",
    examples=(
        {
            "advertiser_id_from_network": "A-100",
            "advertiser_campaign_id_from_network": "C-100",
            "description": "Spring sale, newspaper",
            "media_type": "Offline: Newspaper",
            "custom_data.channel": "Offline newspaper",
        },
        {
            "quantity": "2",
            "advertiser_id_from_network": "A-100",
            "advertiser_campaign_id_from_network": "C-101",
            "description": "Santa Barbara store",
            "media_type": "Online: Display",
            "local_center.tn_prefix": "805",
            "tn_prefix_whitelist": "805",
            "custom_data.channel": "Online lead",
        },
        {
            "advertiser_id_from_network": "A-200",
            "advertiser_campaign_id_from_network": "C-200",
            "description": "Boston store",
            "media_type": "Offline: Radio",
            "local_center.zipcode": "02134",
        },
        {
            "advertiser_id_from_network": "A-200",
            "advertiser_campaign_id_from_network": "C-200",
            "affiliate_id_from_network": "F-1",
            "description": "Partner blog, Toronto",
            "media_type": "Online: Content / Review Site",
            "local_center.city": "Toronto",
            "local_center.state": "ON",
        },
        {
            "advertiser_id_from_network": "A-200",
            "advertiser_campaign_id_from_network": "C-201",
            "description": "Google Ads call extension",
            "media_type": GOOGLE_CALL_EXTENSION,
            "adwords_account_id": "627-345-9815",
        },
    ),
)
