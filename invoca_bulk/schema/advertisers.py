"""Advertisers with their users and sites: every documented field, once.

Source: the page "Advertisers" of the Network Integration API, 2017-09-01, and the later versions' pages where `since`
names one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from invoca_bulk.schema import field_types
from invoca_bulk.schema.field_types import Json
from invoca_bulk.schema.issue_catalog import Problem
from invoca_bulk.schema.model import REMOVE_ACTION, SUBRESOURCE_KEY, Action, Collection, Field, Resource, Role, Rule
from invoca_bulk.schema.result_columns import OUTPUT_FIELDS

APPROVAL_STATUSES = ("Applied", "Approved", "Declined", "Suspended", "Archived")
USER_ROLES = ("Super", "Manager", "Member", "Observer")

_CREATE_OR_UPDATE = frozenset({Action.CREATE, Action.UPDATE})
_ACTIONS = (Action.CREATE, Action.UPDATE, Action.DELETE)

#: Flag to what it notifies of. The three performance reports are deprecated and always false from 2026-02-01 on, and
#: perhaps before.
_NOTIFICATIONS = {
    "notify_on_budgets": "budgets",
    "notify_on_campaign_applications": "applications to campaigns",
    "notify_on_campaign_expirations": "expiring campaigns",
    "notify_on_creative_duplication_requests": "requests to duplicate creatives",
    "notify_on_network_announcements": "network announcements",
    "notify_on_performance_notifications": "performance",
    "notify_on_monthly_campaign_performance_reports": "monthly campaign performance",
    "notify_on_weekly_campaign_performance_reports": "weekly campaign performance",
    "notify_on_call_activities": "call activities",
}
_DEPRECATED_2026 = frozenset(name for name in _NOTIFICATIONS if "performance" in name)


def _subresource_action(name: str, singular: str) -> Field:
    return Field(
        path=f"{name}.#.action",
        field_type=field_types.choice(REMOVE_ACTION, name="action"),
        role=Role.LOCAL,
        help=f"{REMOVE_ACTION}: remove the {singular} from the advertiser. Blank: add the {singular}, or change the "
        "fields that are filled in.",
        clearable=False,
    )


FIELDS = (
    Field(
        path="action",
        field_type=field_types.choice(*_ACTIONS, name="action"),
        role=Role.LOCAL,
        help="What to do with the row. Blank: update the advertiser if it exists on the platform, else create it.",
        clearable=False,
    ),
    Field(
        path="id_from_network",
        field_type=field_types.ID,
        required_on=frozenset(Action),
        help="Your network's id for the advertiser; unique in the network.",
        aliases=("advertiser_id_from_network", "advertiser_id"),
        clearable=False,
    ),
    Field(
        path="name",
        field_type=field_types.TEXT,
        required_on=_CREATE_OR_UPDATE,
        help="The advertiser's name; unique in the network.",
        aliases=("advertiser_name",),
        clearable=False,
    ),
    Field(
        path="approval_status",
        field_type=field_types.choice(*APPROVAL_STATUSES, name="approval_status"),
        default="Approved",
        help="The approval status; the platform's default is Approved.",
    ),
    Field(
        path="web_integration_phone_number",
        field_type=field_types.PHONE,
        help="The phone number for the web integration.",
    ),
    Field(
        path="default_creative_id_from_network",
        field_type=field_types.NUMERIC_ID,
        help="Your network's id for the default creative.",
    ),
    _subresource_action("sites", "site"),
    Field(
        path="sites.#.id_from_network",
        field_type=field_types.NUMERIC_ID,
        required_on=_CREATE_OR_UPDATE,
        help="The site's id (PID). An advertiser needs at least one site; the first is the default.",
        aliases=("sites.#.site_id_from_network", "sites.#.site_id", "sites.#.pid"),
        clearable=False,
    ),
    Field(path="sites.#.name", field_type=field_types.TEXT, help="The site's name."),
    _subresource_action("users", "user"),
    Field(
        path="users.#.id_from_network",
        field_type=field_types.ID,
        required_on=_CREATE_OR_UPDATE,
        help="Your network's id for the user.",
        aliases=("users.#.user_id_from_network", "users.#.user_id"),
        clearable=False,
    ),
    Field(
        path="users.#.email_settings.#.email_address",
        field_type=field_types.EMAIL,
        required_on=_CREATE_OR_UPDATE,
        help="The user's email address; for a second one, number the columns 2. [] removes it.",
        aliases=("users.#.email_address", "users.#.email"),
    ),
    Field(
        path="users.#.email_settings.#.use_for_notifications",
        field_type=field_types.BOOLEAN,
        required_on=_CREATE_OR_UPDATE,
        help="Whether notifications go to this address; at least one address per user must be TRUE.",
        clearable=False,
    ),
    Field(
        path="users.#.first_name",
        field_type=field_types.TEXT,
        required_on=_CREATE_OR_UPDATE,
        help="The user's first name.",
        clearable=False,
    ),
    Field(
        path="users.#.last_name",
        field_type=field_types.TEXT,
        required_on=_CREATE_OR_UPDATE,
        help="The user's last name.",
        clearable=False,
    ),
    Field(
        path="users.#.contact_phone_number",
        field_type=field_types.PHONE,
        required_on=_CREATE_OR_UPDATE,
        response_name="phone_number",
        help="The user's phone number: E.164, or the 10 digits of a US number.",
        aliases=("users.#.phone_number", "users.#.phone"),
        clearable=False,
    ),
    Field(
        path="users.#.contact_country_code",
        field_type=field_types.COUNTRY_CODE,
        help="The country code of contact_phone_number, such as 44, where that is written without it.",
        aliases=("users.#.country_code",),
        template_columns=0,
    ),
    Field(
        path="users.#.role",
        field_type=field_types.choice(*USER_ROLES, name="role"),
        default="Super",
        help="The user's role in this organization; the platform's default is Super.",
    ),
    *(
        Field(
            path=f"users.#.{name}",
            field_type=field_types.BOOLEAN,
            default=False,
            until="2022-08-01" if name in _DEPRECATED_2026 else None,
            may_be_kept=name in _DEPRECATED_2026,
            help=f"Whether the user is notified of {topic}; the platform's default is FALSE.",
        )
        for name, topic in _NOTIFICATIONS.items()
    ),
    Field(
        path="users.#.can_login_via_platform",
        field_type=field_types.BOOLEAN,
        read_only=True,
        since="2018-11-01",
        help="Whether the user can log in to the platform.",
    ),
    Field(
        path="users.#.oauth_refresh_token", field_type=field_types.TEXT, secret=True, help="Reserved by the platform."
    ),
    Field(
        path="custom_data.*",
        field_type=field_types.TEXT,
        help="A custom data field of your network; one column for each field, such as custom_data.channel.",
    ),
    Field(
        path="oauth_refresh_token",
        field_type=field_types.TEXT,
        secret=True,
        help="For the platform's internal use only.",
    ),
    Field(path="id", field_type=field_types.NUMERIC_ID, read_only=True, help="The platform's id for the advertiser."),
    Field(
        path="object_url",
        field_type=field_types.TEXT,
        read_only=True,
        help="The URL of the advertiser's page on the platform.",
    ),
    *OUTPUT_FIELDS,
)


def _email_settings_by_user(values: Mapping[str, Json], name: str) -> dict[str, dict[str, Json]]:
    """The values of one field of the email settings, by user (`users.2`) and path."""
    users: dict[str, dict[str, Json]] = {}
    for path, value in values.items():
        if match := re.fullmatch(rf"(users\.[0-9]+)\.email_settings\.[0-9]+\.{name}", path):
            users.setdefault(match[1], {})[path] = value
    return users


def _check_addresses_unique(values: Mapping[str, Json]) -> Iterator[Problem]:
    for addresses in _email_settings_by_user(values, "email_address").values():
        counts = Counter(address.casefold() for address in addresses.values())
        for path, address in list(addresses.items())[1:]:
            if counts[address.casefold()] > 1:
                yield Problem(code="email_repeated", column=path, details={"value": address})


def _check_notified_address(values: Mapping[str, Json]) -> Iterator[Problem]:
    notified = _email_settings_by_user(values, "use_for_notifications")
    for user, addresses in _email_settings_by_user(values, "email_address").items():
        if not any(notified.get(user, {}).values()):
            column = next(iter(addresses)).replace("email_address", "use_for_notifications")
            yield Problem(code="nobody_notified", column=column)


def _check_users_have_addresses(values: Mapping[str, Json]) -> Iterator[Problem]:
    addresses_by_user = _email_settings_by_user(values, "email_address")
    for path in values:
        match = re.fullmatch(r"(users\.[0-9]+)\.id_from_network", path)
        # The platform also shows users with a single address outside of any list.
        if match and match[1] not in addresses_by_user and f"{match[1]}.email_address" not in values:
            column = f"{match[1]}.email_settings.1.email_address"
            details = {"known": column, "action": "add or update a user", "example": ", e.g. name@example.com"}
            yield Problem(code="required", column=column, details=details)


def _check_has_site(values: Mapping[str, Json]) -> Iterator[Problem]:
    if not any(path.startswith("sites.") for path in values):
        yield Problem(code="created_without_site", column="sites.1.id_from_network")


_EMAIL_ADDRESS = "users.#.email_settings.#.email_address"
_USE_FOR_NOTIFICATIONS = "users.#.email_settings.#.use_for_notifications"

_PARENT_FIELD = Field(
    path="advertiser_id_from_network",
    field_type=field_types.ID,
    role=Role.PARENT,
    required_on=frozenset(Action),
    help="Your network's id for the advertiser that the row belongs to, as on the sheet advertisers.",
    aliases=("advertiser_id",),
    clearable=False,
)


def _make_subresource(name: str, singular: str, *examples: Mapping[str, str]) -> Resource:
    """The resource of a sheet of nested records: `users` has the fields `users.#.…`."""
    prefix = f"{name}.#."
    fields = (
        replace(
            field,
            path=field.path.removeprefix(prefix),
            aliases=tuple(alias.removeprefix(prefix) for alias in field.aliases),
        )
        for field in FIELDS
        if field.path.startswith(prefix)
    )
    return Resource(
        name=name,
        singular=singular,
        fields=(_PARENT_FIELD, *fields, *OUTPUT_FIELDS),
        path_templates=(),
        collections=(),
        identifier_field=SUBRESOURCE_KEY,
        examples=examples,
    )


SITES = _make_subresource(
    "sites",
    "site",
    {"advertiser_id_from_network": "A-500", "id_from_network": "5001", "name": "Downtown"},
    {"advertiser_id_from_network": "A-500", "id_from_network": "5002", "name": "Harbor"},
    {"advertiser_id_from_network": "A-501", "id_from_network": "5011", "name": "Main street"},
)
USERS = _make_subresource(
    "users",
    "user",
    {
        "advertiser_id_from_network": "A-500",
        "id_from_network": "U-5001",
        "email_settings.1.email_address": "chris@example.com",
        "email_settings.1.use_for_notifications": "TRUE",
        "first_name": "Chris",
        "last_name": "Dean",
        "contact_phone_number": "8055550100",
        "role": "Manager",
        "notify_on_budgets": "TRUE",
    },
    {
        "advertiser_id_from_network": "A-500",
        "id_from_network": "U-5002",
        "email_settings.1.email_address": "jim@example.com",
        "email_settings.1.use_for_notifications": "TRUE",
        "first_name": "Jim",
        "last_name": "Williams",
        "contact_phone_number": "2135550100",
        "role": "Observer",
    },
    {
        "advertiser_id_from_network": "A-501",
        "id_from_network": "U-5011",
        "email_settings.1.email_address": "ana@example.com",
        "email_settings.1.use_for_notifications": "TRUE",
        "first_name": "Ana",
        "last_name": "López",
        "contact_phone_number": "+442079460000",
    },
)

ADVERTISERS = Resource(
    name="advertisers",
    singular="advertiser",
    fields=FIELDS,
    rules=(
        Rule(fields=(_EMAIL_ADDRESS,), check=_check_addresses_unique),
        Rule(
            fields=("users.#.id_from_network", _EMAIL_ADDRESS),
            check=_check_users_have_addresses,
            needs_whole_object=True,
        ),
        Rule(fields=(_EMAIL_ADDRESS, _USE_FOR_NOTIFICATIONS), check=_check_notified_address, needs_whole_object=True),
        Rule(fields=("sites.#.id_from_network",), check=_check_has_site, needs_whole_object=True),
    ),
    path_templates=((),),
    collections=(Collection(name="advertisers", identifier_field="id_from_network"),),
    identifier_field="id_from_network",
    subresources=(SITES, USERS),
    examples=(
        {
            "id_from_network": "A-500",
            "name": "Santa Barbara Tickets",
            "approval_status": "Approved",
            "web_integration_phone_number": "8005550100",
            "custom_data.channel": "Online lead",
        },
        {"id_from_network": "A-501", "name": "Harbor & Sons"},
    ),
)
