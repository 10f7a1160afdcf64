"""Promo numbers: every documented field, once.

Source: "Advertiser Campaign and Affiliate Campaign Promo Numbers" of the Network Integration API, 2017-09-01, and the
later versions' pages where `since` names one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations

from invoca_bulk.schema import field_types
from invoca_bulk.schema.field_types import Json
from invoca_bulk.schema.issue_catalog import Problem
from invoca_bulk.schema.model import Action, Collection, Field, Resource, Role, Rule
from invoca_bulk.schema.result_columns import OUTPUT_FIELDS

GOOGLE_CALL_EXTENSION = "Google Call Extension"

#: The published list has a soft hyphen in `Offline: InCall Ad` and lacks `Google Call Extension`.
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
#: The published list has lost a character of this media type, which may be a hyphen.
_UNCERTAIN_MEDIA_TYPES = ("Offline: InCall Ad", "Offline: In-Call Ad")
_LISTED_MEDIA_TYPE = field_types.choice(*MEDIA_TYPES, name="media_type", may_be_unlisted=True)


def _parse_media_type(text: str) -> field_types.ParsedValue:
    """A listed media type; of the uncertain spellings, the one that was typed."""
    parsed = _LISTED_MEDIA_TYPE.parse(text)
    if parsed.value not in _UNCERTAIN_MEDIA_TYPES:
        return parsed
    typed, other = _UNCERTAIN_MEDIA_TYPES
    if "-" in field_types.normalize_text(text):
        typed, other = other, typed
    warning = Problem(code="spelling_uncertain", details={"value": typed, "other": other})
    return field_types.ParsedValue(value=typed, warning=warning)


MEDIA_TYPE = replace(_LISTED_MEDIA_TYPE, parse=_parse_media_type)
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")

_ALL_ACTIONS = frozenset(Action)
_CREATE_ONLY = frozenset({Action.CREATE})

FIELDS = (
    Field(
        path="action",
        field_type=field_types.choice(*Action, name="action"),
        role=Role.LOCAL,
        help="What to do with the row. Blank: a row with the promo_number or id_from_network of an existing number "
        "updates that number, or moves it if a destination is given; any other row creates one.",
        clearable=False,
        template_columns=0,
    ),
    Field(
        path="quantity",
        field_type=field_types.whole_number(minimum=1, maximum=10_000),
        role=Role.LOCAL,
        help="How many numbers to buy with these settings; blank: 1. Each number gets its own row in the results.",
        example="1",
        aliases=("qty", "count"),
        clearable=False,
    ),
    Field(
        path="advertiser_id_from_network",
        field_type=field_types.ID,
        role=Role.PATH,
        required_on=_ALL_ACTIONS,
        help="Your network's id for the advertiser.",
        aliases=("advertiser_id",),
        clearable=False,
    ),
    Field(
        path="advertiser_campaign_id_from_network",
        field_type=field_types.ID,
        role=Role.PATH,
        required_on=_ALL_ACTIONS,
        help="Your network's id for the advertiser's campaign.",
        aliases=("campaign_id_from_network", "advertiser_campaign_id", "campaign_id"),
        clearable=False,
    ),
    Field(
        path="affiliate_id_from_network",
        field_type=field_types.ID,
        role=Role.PATH,
        help="Your network's id for the affiliate. Blank: the number belongs to the advertiser's campaign itself.",
        aliases=("affiliate_id",),
        clearable=False,
    ),
    Field(
        path="id_from_network",
        field_type=field_types.ID,
        since="2018-05-01",
        help="Your own id for the number (own id). Blank: the platform assigns one.",
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
        field_type=MEDIA_TYPE,
        may_be_unlisted=True,
        required_on=_CREATE_ONLY,
        help="The medium in which the number appears.",
        aliases=("media",),
        clearable=False,
    ),
    Field(
        path="local_center.tn_prefix",
        field_type=field_types.AREA_CODE,
        applies_on_update=False,
        help="The area code of a local number. Use only one of tn_prefix, zipcode, or city with state. "
        "All blank: a toll-free number.",
        aliases=("tn_prefix", "area_code", "npa"),
    ),
    Field(
        path="local_center.zipcode",
        field_type=field_types.ZIP_CODE,
        applies_on_update=False,
        help="The zip code near which to get a local number.",
        aliases=("zipcode", "zip_code", "zip", "local_center.zip"),
    ),
    Field(
        path="local_center.city",
        field_type=field_types.TEXT,
        applies_on_update=False,
        help="The city near which to get a local number; state is required too.",
        aliases=("city",),
    ),
    Field(
        path="local_center.state",
        field_type=field_types.STATE,
        applies_on_update=False,
        help="The two-letter code of a US state or a Canadian province; city is required too.",
        aliases=("state",),
    ),
    Field(
        path="tn_prefix_whitelist",
        field_type=field_types.AREA_CODES,
        applies_on_update=False,
        help='The only area codes allowed for the local number, such as 805, 212 or ["805", "212"].',
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
        help="Whether to search only in the state of the local center; the platform's default is TRUE.",
        aliases=("restrict_search_to_state", "local_number_preferences.restrict_to_state", "restrict_to_state"),
    ),
    Field(
        path="promo_type",
        field_type=field_types.choice("Local", "Mobile", name="promo_type", may_be_unlisted=True),
        may_be_unlisted=True,
        help="The type of number, for international campaigns that offer both. Blank: the organization's default.",
    ),
    Field(
        path="promo_number_looks_like",
        field_type=field_types.LOOKS_LIKE,
        applies_on_update=False,
        until="2022-08-01",
        help="For international local numbers: the digits to start the number with; only the first five are used.",
    ),
    Field(
        path="adwords_account_id",
        field_type=field_types.ADS_ACCOUNT,
        help=f"The Google Ads client account, such as 627-345-9815. Requires the media type {GOOGLE_CALL_EXTENSION}.",
        aliases=("google_ads_account_id",),
    ),
    Field(
        path="custom_data.*",
        field_type=field_types.TEXT,
        help="A custom data field of your network; one column for each field, such as custom_data.channel.",
        example="Online lead",
    ),
    Field(
        path="hours_of_operation",
        field_type=field_types.ONLY_CLEARED,
        since="2026-02-01",
        help="[] removes the hours of operation of an existing number; to set them, use the columns below.",
        template_columns=0,
    ),
    Field(
        path="hours_of_operation.open_24_7",
        field_type=field_types.BOOLEAN,
        since="2026-02-01",
        help="Whether calls are taken around the clock. Advertiser campaigns only.",
        template_columns=0,
    ),
    Field(
        path="hours_of_operation.time_zone",
        field_type=field_types.TIME_ZONE,
        since="2026-02-01",
        help="The time zone of the schedules: a Rails name such as Pacific Time (US & Canada).",
        clearable=False,  # required wherever there are hours; [] in hours_of_operation removes them all
        template_columns=0,
    ),
    Field(
        path="hours_of_operation.schedules.#.day_of_week",
        field_type=field_types.choice(*DAYS, name="day of the week"),
        since="2026-02-01",
        help="The day of a schedule. The columns are numbered: hours_of_operation.schedules.1.day_of_week.",
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
            help=f"Where to move an existing number: the {noun}'s id. Not for a new number.",
            aliases=tuple(f"destination_{alias}" for alias in aliases),
            applies_on_create=False,
            clearable=False,
            template_columns=0,
        )
        for name, noun, aliases in (
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
        help="The platform's id for the number.",
        template_columns=0,
    ),
    Field(
        path="promo_number",
        field_type=field_types.ASSIGNED_NUMBER,
        read_only=True,
        help="The number that the platform assigned. In an input row, it names the number to update, move or delete.",
        template_columns=0,
    ),
    Field(
        path="source_promo_number",
        field_type=field_types.TEXT,
        role=Role.LOCAL,
        help="The number that the row had in the network from which it was exported; kept for reference, never sent.",
        clearable=False,
        template_columns=0,
    ),
    Field(
        path="object_url",
        field_type=field_types.TEXT,
        read_only=True,
        help="The URL of the number's page on the platform.",
        template_columns=0,
    ),
    *OUTPUT_FIELDS,
)


_LOCAL_CENTER_FIELDS = ("local_center.tn_prefix", "local_center.zipcode", "local_center.city", "local_center.state")


def _check_single_local_center(values: Mapping[str, Json]) -> Iterator[Problem]:
    city, state = (f"local_center.{name}" for name in ("city", "state"))
    city_fields = [name for name in (city, state) if name in values]
    centers = [name for name in _LOCAL_CENTER_FIELDS[:2] if name in values]
    if city_fields:
        centers.append(" with ".join(city_fields))
    if len(centers) > 1:
        yield Problem(code="local_center_conflict", column=centers[0], details={"given": " and ".join(centers)})
    elif len(city_fields) == 1:
        missing = state if city_fields[0] == city else city
        yield Problem(code="city_without_state", column=missing, details={"missing": missing, "given": city_fields[0]})


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
    hours_field = next((name for name in values if name.startswith("hours_of_operation.")), None)
    if hours_field and "affiliate_id_from_network" in values:
        yield Problem(code="hours_on_affiliate", column=hours_field)


_MIDNIGHT = "24:00"


def _group_schedules(values: Mapping[str, Json]) -> dict[str, dict[str, str]]:
    schedules: dict[str, dict[str, str]] = {}
    for path, value in values.items():
        if match := re.fullmatch(r"(hours_of_operation\.schedules\.[0-9]+)\.(\w+)", path):
            schedules.setdefault(match[1], {})[match[2]] = value
    return schedules


def _check_hours_complete(values: Mapping[str, Json]) -> Iterator[Problem]:
    hours = {name for name in values if name.startswith("hours_of_operation.")}
    has_schedule = any(name.startswith("hours_of_operation.schedules.") for name in hours)
    if hours and "hours_of_operation.time_zone" not in hours:
        yield Problem(code="hours_incomplete", column="hours_of_operation.time_zone", details={"missing": "time_zone"})
    if hours and not has_schedule and values.get("hours_of_operation.open_24_7") is not True:
        column = "hours_of_operation.schedules.1.day_of_week"
        yield Problem(
            code="hours_incomplete", column=column, details={"missing": "schedules (unless open_24_7 is TRUE)"}
        )


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
    schedules = [item for item in _group_schedules(values).items() if len(item[1]) == 3]  # noqa: PLR2004  day, open, close
    schedules.sort(key=lambda item: (item[1]["day_of_week"], item[1]["open_time"]))
    for (_, first), (path, second) in combinations(schedules, 2):
        is_late = first["close_time"] <= first["open_time"]  # past midnight
        end = _MIDNIGHT if is_late else first["close_time"]
        if first["day_of_week"] == second["day_of_week"] and second["open_time"] < end:
            spans = [f"{schedule['open_time']}-{schedule['close_time']}" for schedule in (first, second)]
            details = {"day": first["day_of_week"], "first": spans[0], "second": spans[1]}
            yield Problem(code="schedules_overlap", column=f"{path}.open_time", details=details)


_DESTINATION_FIELDS = tuple(field.path for field in FIELDS if field.path.startswith("destination_"))


def _check_destination_complete(values: Mapping[str, Json]) -> Iterator[Problem]:
    has_destination = any(name in values for name in _DESTINATION_FIELDS)
    for missing in _DESTINATION_FIELDS[:2]:
        if has_destination and missing not in values:
            yield Problem(code="destination_incomplete", column=missing, details={"missing": missing})
    if _DESTINATION_FIELDS[2] in values and "affiliate_id_from_network" not in values:
        yield Problem(code="destination_affiliate", column=_DESTINATION_FIELDS[2])


_IDENTIFIER_FIELDS = ("promo_number", "id_from_network")


def _check_identifier_quantity(values: Mapping[str, Json]) -> Iterator[Problem]:
    identifier = next((name for name in _IDENTIFIER_FIELDS if name in values), None)
    if values.get("quantity", 1) > 1 and identifier:
        details = {"value": values["quantity"], "known": identifier}
        yield Problem(code="own_id_quantity", column="quantity", details=details)


def _check_action(values: Mapping[str, Json]) -> Iterator[Problem]:
    """A row's action must fit the number and the destination that it names."""
    action = values.get("action")
    has_identifier = any(name in values for name in _IDENTIFIER_FIELDS)
    destination = next((name for name in _DESTINATION_FIELDS if name in values), None)
    if action == Action.CREATE and "promo_number" in values:
        details = {"known": "promo_number", "value": values["promo_number"]}
        yield Problem(code="names_existing", column="promo_number", details=details)
    elif action not in {None, Action.CREATE} and not has_identifier:
        yield Problem(code="names_nothing", column="promo_number", details={"action": action})
    elif action == Action.MOVE and destination is None:
        yield Problem(code="move_without_destination", column=_DESTINATION_FIELDS[1])
    elif destination and (action in {Action.CREATE, Action.DELETE} or not has_identifier):
        yield Problem(code="not_on_create", column=destination, details={"known": destination})


_HOURS_FIELDS = tuple(field.path for field in FIELDS if field.path.startswith("hours_of_operation."))
_SCHEDULE_FIELDS = tuple(path for path in _HOURS_FIELDS if path.startswith("hours_of_operation.schedules."))
_CAMPAIGN_PATH = (
    "advertisers",
    "{advertiser_id_from_network}",
    "advertiser_campaigns",
    "{advertiser_campaign_id_from_network}",
)

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
        Rule(fields=_HOURS_FIELDS, check=_check_hours_complete, needs_whole_object=True),
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
        (*_CAMPAIGN_PATH, "affiliates", "{affiliate_id_from_network}", "affiliate_campaigns"),
        _CAMPAIGN_PATH,
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
