"""The platform's operations on advertisers. Writes are idempotent and carry the full set of sites and users."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from invoca_bulk.sandbox_server import request_validation
from invoca_bulk.sandbox_server.platform_model import PERFORMANCE_FLAGS, Advertiser
from invoca_bulk.sandbox_server.requests import (
    BLANK_MESSAGE,
    TAKEN_MESSAGE,
    ApiRequest,
    FieldErrors,
    invalid_arguments,
    not_found,
)
from invoca_bulk.schema import ADVERTISERS, Action, paths
from invoca_bulk.schema.field_types import Json

#: Fields that a write may omit, to their value on a new advertiser. Sites and users cannot be omitted.
_OPTIONAL_DEFAULTS: Mapping[str, Json] = {
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
    *PERFORMANCE_FLAGS,
    "notify_on_call_activities",
)


def read_all(call: ApiRequest) -> Json:
    """GET `advertisers`."""
    return [advertiser.to_json(call.version) for advertiser in call.network.advertisers.values()]


def read(call: ApiRequest) -> Json:
    """GET one advertiser."""
    advertiser = call.network.advertisers.get(call.ids["advertiser"])
    if advertiser is None:
        raise not_found(f"advertiser {call.ids['advertiser']}")
    return advertiser.to_json(call.version)


def create(call: ApiRequest) -> Json:
    """POST: updates the advertiser if its id exists."""
    advertiser_id = call.body.get("id_from_network")
    if not advertiser_id and call.store.auto_ids:
        advertiser_id = f"auto-{call.store.next_id()}"
    return _upsert(call, advertiser_id)


def update(call: ApiRequest) -> Json:
    """PUT: creates the advertiser if it does not exist."""
    return _upsert(call, call.ids["advertiser"])


def delete(call: ApiRequest) -> Json:
    """DELETE: does nothing if the advertiser does not exist; refuses an advertiser with campaigns."""
    advertiser_id = call.ids["advertiser"]
    if call.network.campaign_counts[advertiser_id]:
        raise invalid_arguments({"base": ["an advertiser with campaigns cannot be deleted"]})
    call.network.remove_advertiser(advertiser_id)
    return {}


def _upsert(call: ApiRequest, advertiser_id: Json) -> Json:
    body = {"id_from_network": advertiser_id, **{name: value for name, value in call.body.items() if value is not None}}
    if isinstance(body.get("users"), list):
        body["users"] = [_rename_read_fields(user) if isinstance(user, dict) else user for user in body["users"]]
    old = call.network.advertisers.get(advertiser_id) if isinstance(advertiser_id, str) else None
    errors = request_validation.validate(
        ADVERTISERS,
        body,
        version=call.version,
        action=Action.UPDATE,
        rule_context=None,
        shown_patterns=_unknown_patterns(old, call.version),
    )
    errors = errors or _whole_object_errors(call, advertiser_id, body)
    if errors:
        raise invalid_arguments(errors)
    call.outcome["existed"] = old is not None
    call.network.put_advertiser(advertiser_id, _build_advertiser(call, body, old))
    return call.network.advertisers[advertiser_id].to_json(call.version)


def _rename_read_fields(user: Mapping[str, Json]) -> dict[str, Json]:
    """A user with the names under which reads and the Networks pages show two fields, in the names of a write."""
    renamed = dict(user)
    if "phone_number" in renamed:
        renamed.setdefault("contact_phone_number", renamed.pop("phone_number"))
    if "email_settings" not in renamed and "email_address" in renamed:
        renamed["email_settings"] = [{"email_address": renamed.pop("email_address"), "use_for_notifications": True}]
    return renamed


def _unknown_patterns(old: Advertiser | None, version: str) -> set[str]:
    """What an advertiser shows besides the documented fields; only a test puts that there."""
    shown = {paths.to_pattern(path) for path, _ in paths.flatten(old.to_json(version))} if old else set()
    return {pattern for pattern in shown - {"users.#.phone_number"} if pattern not in ADVERTISERS.by_path}


def _unknown_values(record: Mapping[str, Json], prefix: str = "") -> dict[str, Json]:
    """The values of a record under names that are not documented."""
    known = {field.path.removeprefix(prefix).partition(".")[0] for field in ADVERTISERS.fields}
    return {name: value for name, value in record.items() if name not in known}


def _whole_object_errors(call: ApiRequest, advertiser_id: str, body: Mapping[str, Json]) -> FieldErrors:
    """Errors in the whole object: its id, its name and its sets of sites and users."""
    errors: FieldErrors = {}
    if body["id_from_network"] != advertiser_id:
        errors["id_from_network"] = ["is not the id in the address"]
    if call.network.advertiser_ids_by_name.get(body["name"], advertiser_id) != advertiser_id:
        errors["name"] = [TAKEN_MESSAGE]
    if not body.get("sites") and call.store.sites_required:
        errors["sites"] = ["must have at least one site"]
    for path, text in _user_errors(body.get("users") or []):
        errors[path] = [text]
    return errors


def _user_errors(users: list[dict[str, Json]]) -> Iterator[tuple[str, str]]:
    id_counts = Counter(user["id_from_network"] for user in users)
    for number, user in enumerate(users, 1):
        settings = user.get("email_settings") or []
        addresses = [setting["email_address"].casefold() for setting in settings]
        if id_counts[user["id_from_network"]] > 1:
            yield f"users.{number}.id_from_network", TAKEN_MESSAGE
        if not settings:
            yield f"users.{number}.email_settings", BLANK_MESSAGE
        elif len(set(addresses)) < len(addresses):
            yield f"users.{number}.email_settings", "must not repeat an email_address"
        elif not any(setting["use_for_notifications"] for setting in settings):
            yield f"users.{number}.email_settings", "must have one with use_for_notifications true"


def _build_advertiser(call: ApiRequest, body: Mapping[str, Json], old: Advertiser | None) -> Advertiser:
    old_values = (
        old.values if old else {**_OPTIONAL_DEFAULTS, "oauth_refresh_token": call.store.new_token(), "custom_data": {}}
    )
    optional = {name: call.body.get(name, old_values[name]) for name in _OPTIONAL_DEFAULTS}
    creative = optional["default_creative_id_from_network"]
    tokens = {user["id_from_network"]: user.get("oauth_refresh_token") for user in old.users} if old else {}
    return Advertiser(
        id=old.id if old else call.store.next_id(),
        values={
            **_unknown_values(body),
            **optional,
            "id_from_network": body["id_from_network"],
            "name": body["name"],
            "approval_status": optional["approval_status"] or _OPTIONAL_DEFAULTS["approval_status"],
            "default_creative_id_from_network": None if creative is None else str(creative),
            # The id as text: an integer in the documentation's text, a string in its examples.
            "sites": [
                {
                    **_unknown_values(site, "sites.#."),
                    "id_from_network": str(site["id_from_network"]),
                    "name": site.get("name") or "",
                }
                for site in body.get("sites") or ()
            ],
            "oauth_refresh_token": old_values["oauth_refresh_token"],
            "custom_data": merge_custom_data(old_values["custom_data"], body.get("custom_data")),
        },
        users=tuple(
            _stored_user(call, user, tokens.get(user["id_from_network"]) or call.store.new_token())
            for user in body.get("users") or ()
        ),
    )


def _stored_user(call: ApiRequest, user: Mapping[str, Json], token: str) -> dict[str, Json]:
    """A user as GET returns it: the phone number has another name and the documentation's hyphens."""
    phone = re.sub(r"^(\d{3})-?(\d{3})-?(\d{4})$", "\\1\u2010\\2\u2010\\3", user["contact_phone_number"])
    return {
        **_unknown_values(user, "users.#."),
        "id_from_network": user["id_from_network"],
        "email_settings": [dict(setting) for setting in user["email_settings"]],
        "first_name": user["first_name"],
        "phone_number": phone,
        "last_name": user["last_name"],
        "role": user.get("role") or "Super",
        "oauth_refresh_token": token,
        **({"contact_country_code": code} if (code := user.get("contact_country_code")) else {}),
        **{flag: user.get(flag) or False for flag in _USER_FLAGS},
        **({} if call.store.performance_flags else dict.fromkeys(PERFORMANCE_FLAGS, False)),
    }


def merge_custom_data(old: Mapping[str, str], new: Mapping[str, str | None] | None) -> dict[str, str]:
    """Custom data after an update: keys that are not given stay, null removes a key."""
    return {key: value for key, value in {**old, **(new or {})}.items() if value is not None}
