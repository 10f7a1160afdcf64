"""What the platform does with advertisers: idempotent, and each write carries the full set of sites and users."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from invoca_bulk.sandbox_server import request_validation
from invoca_bulk.sandbox_server.platform_model import Advertiser
from invoca_bulk.sandbox_server.requests import BLANK, TAKEN, invalid, not_found
from invoca_bulk.schema import ADVERTISERS, Action

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from invoca_bulk.sandbox_server.requests import Call, Errors
    from invoca_bulk.schema.field_types import Json

#: Fields that a write may leave out, to what they are on a new advertiser. Sites and users cannot be left out.
_OPTIONAL: Mapping[str, Json] = {
    "approval_status": "Approved",
    "web_integration_phone_number": None,
    "default_creative_id_from_network": None,
}
_USER_FLAGS = (
    "notify_on_budgets",
    "notify_on_campaign_applications",
    "notify_on_campaign_expirations",
    "notify_on_creative_duplication_requests",
    "notify_on_network_announcements",
    "notify_on_performance_notifications",
    "notify_on_monthly_campaign_performance_reports",
    "notify_on_weekly_campaign_performance_reports",
    "notify_on_call_activities",
)


def read_all(call: Call) -> Json:
    """GET `advertisers`."""
    return [one.answer(call.version) for one in call.network.advertisers.values()]


def read(call: Call) -> Json:
    """GET one."""
    return _found(call).answer(call.version)


def create(call: Call) -> Json:
    """POST: updates the advertiser when its id is there already."""
    advertiser_id = call.body.get("id_from_network")
    if not advertiser_id and call.store.auto_ids:
        advertiser_id = f"auto-{call.store.next_id()}"
    return _write(call, advertiser_id)


def update(call: Call) -> Json:
    """PUT: creates the advertiser when it is missing."""
    return _write(call, call.ids["advertiser"])


def delete(call: Call) -> Json:
    """DELETE: does nothing when it is missing; one with campaigns stays."""
    advertiser_id = call.ids["advertiser"]
    if call.network.campaign_counts[advertiser_id]:
        raise invalid({"base": ["an advertiser with campaigns cannot be deleted"]})
    call.network.remove(advertiser_id)
    return {}


def _found(call: Call) -> Advertiser:
    try:
        return call.network.advertisers[call.ids["advertiser"]]
    except KeyError:
        raise not_found(f"advertiser {call.ids['advertiser']}") from None


def _write(call: Call, advertiser_id: Json) -> Json:
    body = {"id_from_network": advertiser_id, **{name: value for name, value in call.body.items() if value is not None}}
    errors = request_validation.problems(ADVERTISERS, body, version=call.version, action=Action.UPDATE, state=None)
    errors = errors or _set_problems(call, advertiser_id, body)
    if errors:
        raise invalid(errors)
    old = call.network.advertisers.get(advertiser_id)
    call.network.put(advertiser_id, _written(call, body, old))
    return call.network.advertisers[advertiser_id].answer(call.version)


def _set_problems(call: Call, advertiser_id: str, body: Mapping[str, Json]) -> Errors:
    """What the rules over the whole set of sites and users object to."""
    errors: Errors = {}
    if body["id_from_network"] != advertiser_id:
        errors["id_from_network"] = ["is not the id in the address"]
    if call.network.names.get(body["name"], advertiser_id) != advertiser_id:
        errors["name"] = [TAKEN]
    if not body.get("sites"):
        errors["sites"] = ["must have at least one site"]
    for path, text in _user_problems(body.get("users") or []):
        errors[path] = [text]
    return errors


def _user_problems(users: list[dict[str, Json]]) -> Iterator[tuple[str, str]]:
    times = Counter(user["id_from_network"] for user in users)
    for number, user in enumerate(users, 1):
        settings = user.get("email_settings") or []
        addresses = [one["email_address"].casefold() for one in settings]
        if times[user["id_from_network"]] > 1:
            yield f"users.{number}.id_from_network", TAKEN
        if not settings:
            yield f"users.{number}.email_settings", BLANK
        elif len(set(addresses)) < len(addresses):
            yield f"users.{number}.email_settings", "must have each email_address once"
        elif not any(one["use_for_notifications"] for one in settings):
            yield f"users.{number}.email_settings", "must have one with use_for_notifications true"


def _written(call: Call, body: Mapping[str, Json], old: Advertiser | None) -> Advertiser:
    kept = old.values if old else {**_OPTIONAL, "oauth_refresh_token": call.store.new_token(), "custom_data": {}}
    optional = {name: call.body.get(name, kept[name]) for name in _OPTIONAL}
    creative = optional["default_creative_id_from_network"]
    tokens = {user["id_from_network"]: user["oauth_refresh_token"] for user in old.users} if old else {}
    return Advertiser(
        id=old.id if old else call.store.next_id(),
        values={
            **optional,
            "id_from_network": body["id_from_network"],
            "name": body["name"],
            "approval_status": optional["approval_status"] or _OPTIONAL["approval_status"],
            "default_creative_id_from_network": None if creative is None else str(creative),
            "sites": [_site(one) for one in body["sites"]],
            "oauth_refresh_token": kept["oauth_refresh_token"],
            "custom_data": merged(kept["custom_data"], body.get("custom_data")),
        },
        users=tuple(
            _user(one, tokens.get(one["id_from_network"]) or call.store.new_token()) for one in body.get("users") or ()
        ),
    )


def _site(site: Mapping[str, Json]) -> dict[str, Json]:
    """Called an integer and shown as a string in the documentation."""
    return {"id_from_network": str(site["id_from_network"]), "name": site.get("name") or ""}


def _user(user: Mapping[str, Json], token: str) -> dict[str, Json]:
    """A user as it is read: the phone number under another name, and with the documentation's hyphens."""
    phone = re.sub(r"^(\d{3})-?(\d{3})-?(\d{4})$", "\\1\u2010\\2\u2010\\3", user["contact_phone_number"])
    return {
        "id_from_network": user["id_from_network"],
        "email_settings": [dict(one) for one in user["email_settings"]],
        "first_name": user["first_name"],
        "phone_number": phone,
        "last_name": user["last_name"],
        "role": user.get("role") or "Super",
        "oauth_refresh_token": token,
        **{flag: user.get(flag) or False for flag in _USER_FLAGS},
    }


def merged(old: Mapping[str, str], new: Mapping[str, str | None] | None) -> dict[str, str]:
    """Custom data after an update: keys that are not named stay, null takes one away."""
    return {key: value for key, value in {**old, **(new or {})}.items() if value is not None}
