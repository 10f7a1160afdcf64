"""Advertisers: every field of the platform's documentation, once, users and sites included.

Source: the page "Advertisers" of the Network Integration API, 2017-09-01, and the later versions' pages where `since`
names one.
"""

from __future__ import annotations

from invoca_bulk.schema import kinds
from invoca_bulk.schema.model import Action, Collection, Field, Resource, Role
from invoca_bulk.schema.outputs import OUTPUT_FIELDS

APPROVAL_STATUSES = ("Applied", "Approved", "Declined", "Suspended", "Archived")
ROLES = ("Super", "Manager", "Member", "Observer")

_WRITE = frozenset({Action.CREATE, Action.UPDATE})

#: Flag to help; the three reports are deprecated, and always false, from 2026-02-01 on.
_NOTIFICATIONS = {
    "notify_on_budgets": "budgets",
    "notify_on_campaign_applications": "applications to campaigns",
    "notify_on_campaign_expirations": "campaigns that expire",
    "notify_on_creative_duplication_requests": "requests to duplicate creatives",
    "notify_on_network_announcements": "announcements of the network",
    "notify_on_performance_notifications": "performance",
    "notify_on_monthly_campaign_performance_reports": "campaign performance, monthly",
    "notify_on_weekly_campaign_performance_reports": "campaign performance, weekly",
    "notify_on_call_activities": "call activities",
}
_DEPRECATED_2026 = frozenset(name for name in _NOTIFICATIONS if "performance" in name)

FIELDS = (
    Field(
        path="action",
        kind=kinds.choice(*Action, name="action"),
        role=Role.OWN,
        help="What the row asks for. Blank: decided from the platform's state.",
        clearable=False,
    ),
    Field(
        path="id_from_network",
        kind=kinds.ID,
        required_on=frozenset(Action),
        help="Your network's id of the advertiser; unique in the network.",
        aliases=("advertiser_id_from_network", "advertiser_id"),
        clearable=False,
    ),
    Field(
        path="name",
        kind=kinds.TEXT,
        required_on=_WRITE,
        help="The advertiser's name; unique in the network.",
        aliases=("advertiser_name",),
        clearable=False,
    ),
    Field(
        path="approval_status",
        kind=kinds.choice(*APPROVAL_STATUSES, name="approval_status"),
        help="The approval status; the platform's default is Approved.",
    ),
    Field(
        path="web_integration_phone_number",
        kind=kinds.PHONE,
        help="The phone number of the web integration.",
    ),
    Field(
        path="default_creative_id_from_network",
        kind=kinds.NUMERIC_ID,
        help="Your network's id of the default creative.",
    ),
    Field(
        path="sites.#.id_from_network",
        kind=kinds.NUMERIC_ID,
        required_on=_WRITE,
        help="The site's id (PID). An advertiser has at least one site; the first is the default.",
        clearable=False,
    ),
    Field(
        path="sites.#.name",
        kind=kinds.TEXT,
        help="The site's name.",
    ),
    Field(
        path="users.#.id_from_network",
        kind=kinds.ID,
        required_on=_WRITE,
        help="Your network's id of the user.",
        clearable=False,
    ),
    Field(
        path="users.#.email_settings.#.email_address",
        kind=kinds.EMAIL,
        required_on=_WRITE,
        help="An email address of the user.",
        clearable=False,
    ),
    Field(
        path="users.#.email_settings.#.use_for_notifications",
        kind=kinds.BOOLEAN,
        required_on=_WRITE,
        help="Whether notifications go to this address; at least one address of a user needs TRUE.",
        clearable=False,
    ),
    Field(
        path="users.#.first_name",
        kind=kinds.TEXT,
        required_on=_WRITE,
        help="The user's first name.",
        clearable=False,
    ),
    Field(
        path="users.#.last_name",
        kind=kinds.TEXT,
        required_on=_WRITE,
        help="The user's last name.",
        clearable=False,
    ),
    Field(
        path="users.#.contact_phone_number",
        kind=kinds.PHONE,
        required_on=_WRITE,
        read_as="phone_number",
        help="The user's phone number: E.164, or the 10 digits of a US number.",
        clearable=False,
    ),
    Field(
        path="users.#.role",
        kind=kinds.choice(*ROLES, name="role"),
        help="The user's role in this organization; the platform's default is Super.",
    ),
    *(
        Field(
            path=f"users.#.{name}",
            kind=kinds.BOOLEAN,
            until="2022-08-01" if name in _DEPRECATED_2026 else None,
            help=f"Whether the user is notified of {what}; the platform's default is FALSE.",
        )
        for name, what in _NOTIFICATIONS.items()
    ),
    Field(
        path="users.#.can_login_via_platform",
        kind=kinds.BOOLEAN,
        read_only=True,
        since="2018-11-01",
        help="Whether the user can log in on the platform.",
    ),
    Field(
        path="users.#.oauth_refresh_token",
        kind=kinds.TEXT,
        secret=True,
        help="Reserved by the platform.",
    ),
    Field(
        path="custom_data.*",
        kind=kinds.TEXT,
        help="A custom data field of your network: one column each, such as custom_data.channel.",
    ),
    Field(
        path="oauth_refresh_token",
        kind=kinds.TEXT,
        secret=True,
        help="For internal use of the platform only.",
    ),
    Field(
        path="id",
        kind=kinds.NUMERIC_ID,
        read_only=True,
        help="The platform's own id of the advertiser.",
    ),
    Field(
        path="object_url",
        kind=kinds.TEXT,
        read_only=True,
        help="The address of the advertiser in the platform's pages.",
    ),
    *OUTPUT_FIELDS,
)

ADVERTISERS = Resource(
    name="advertisers",
    one="advertiser",
    fields=FIELDS,
    scopes=((),),
    collections=(Collection(name="advertisers", key="id_from_network"),),
)
