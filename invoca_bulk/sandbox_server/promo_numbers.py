"""The platform's operations on promo numbers. Each POST issues another number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from invoca_bulk.sandbox_server import request_validation
from invoca_bulk.sandbox_server.advertisers import merge_custom_data
from invoca_bulk.sandbox_server.platform_model import Campaign, CampaignKey, LedgerEntry, PromoNumber
from invoca_bulk.sandbox_server.requests import (
    BLANK_MESSAGE,
    TAKEN_MESSAGE,
    ApiRequest,
    FieldErrors,
    invalid_arguments,
    not_found,
)
from invoca_bulk.schema import PROMO_NUMBERS, Action
from invoca_bulk.schema.field_types import Json

#: Fields that are stored and returned, in addition to `custom_data`; the others only affect which number is issued.
_ECHOED_FIELDS = ("description", "media_type", "promo_type", "adwords_account_id", "hours_of_operation")
_DESTINATION_CAMPAIGN_FIELD = "destination_advertiser_campaign_id_from_network"


def read_all(call: ApiRequest) -> Json:
    """GET the collection. It never creates a campaign on first use, which would create an advertiser too."""
    if call.store.open_campaigns and _campaign_key(call) not in call.network.campaigns:
        return []
    return [number.to_json(call.version) for number in _get_campaign(call).numbers.values()]


def read(call: ApiRequest) -> Json:
    """GET one number."""
    return _get_number(call, _get_campaign(call)).to_json(call.version)


def create(call: ApiRequest) -> Json:
    """POST: issues a number, unless the client's own id is taken."""
    campaign = _get_campaign(call)
    existing = campaign.by_id.get(_own_id(call) or "")
    if existing and call.store.repeat_updates:
        return _update_number(call, campaign, existing)
    errors = _validate(call, Action.CREATE, {})
    if text := _id_error(call, existing):
        errors.setdefault("id_from_network", [text])
    if errors:
        raise invalid_arguments(errors)
    return _issue_number(call, campaign).to_json(call.version)


def update(call: ApiRequest) -> Json:
    """PUT: changes the given fields only; with a destination, moves the number."""
    campaign = _get_campaign(call)
    return _update_number(call, campaign, _get_number(call, campaign))


def delete(call: ApiRequest) -> Json:
    """DELETE: unlike for advertisers, a number that does not exist is an error."""
    campaign = _get_campaign(call)
    campaign.remove(_get_number(call, campaign))
    return {}


def read_campaigns(call: ApiRequest) -> Json:
    """GET the campaigns of an advertiser."""
    advertiser_id = call.ids["advertiser"]
    if advertiser_id not in call.network.advertisers:
        raise not_found(f"advertiser {advertiser_id}")
    return [
        {"id_from_network": key.campaign_id, "name": key.campaign_id, "status": "Approved"}
        for key in call.network.campaigns
        if key.advertiser_id == advertiser_id and key.affiliate_id is None
    ]


def read_affiliate_campaigns(call: ApiRequest) -> Json:
    """GET the affiliates' campaigns of a campaign."""
    campaign = _get_campaign(call).key
    return [
        {
            "affiliate_id_from_network": key.affiliate_id,
            "status": "Approved",
            "max_promo_numbers": call.store.campaign_allowance,
        }
        for key in call.network.campaigns
        if replace(key, affiliate_id=None) == campaign and key.affiliate_id is not None
    ]


def _get_campaign(call: ApiRequest) -> Campaign:
    key = _campaign_key(call)
    campaign = _find_campaign(call, key)
    if campaign is None:
        raise not_found(f"campaign {' / '.join(filter(None, vars(key).values()))}")
    return campaign


def _campaign_key(call: ApiRequest) -> CampaignKey:
    return CampaignKey(
        network_id=call.network.id,
        advertiser_id=call.ids["advertiser"],
        campaign_id=call.ids["campaign"],
        affiliate_id=call.ids.get("affiliate"),
    )


def _find_campaign(call: ApiRequest, key: CampaignKey) -> Campaign | None:
    campaign = call.network.campaigns.get(key)
    if campaign is None and call.store.open_campaigns:
        if key.affiliate_id is None:
            return call.store.add_campaign(key.advertiser_id, key.campaign_id, network_id=key.network_id)
        return call.store.add_affiliate(key.advertiser_id, key.campaign_id, key.affiliate_id, network_id=key.network_id)
    return campaign


def _get_number(call: ApiRequest, campaign: Campaign) -> PromoNumber:
    numbers, name = (campaign.by_id, "id_from_network") if call.uses_own_ids else (campaign.numbers, "promo_number")
    try:
        return numbers[call.ids[name]]
    except KeyError:
        raise not_found(f"promo number with {name} {call.ids[name]}") from None


def _own_id(call: ApiRequest) -> str | None:
    own_id = call.body.get("id_from_network")
    return own_id if call.uses_own_ids and isinstance(own_id, str) else None


def _validate(call: ApiRequest, action: Action, values: Mapping[str, Json]) -> FieldErrors:
    affiliate = call.ids.get("affiliate")
    context = {**values, **({"affiliate_id_from_network": affiliate} if affiliate else {})}
    return request_validation.validate(
        PROMO_NUMBERS,
        call.body,
        version=call.version,
        action=action,
        rule_context=context,
        allow_unlisted=call.store.unlisted_types,
    )


def _id_error(call: ApiRequest, existing: PromoNumber | None) -> str | None:
    own_id = call.body.get("id_from_network")
    if not call.uses_own_ids:
        return "is set by the platform here; use promo_numbers_by_id to set your own" if own_id else None
    if not own_id:
        return BLANK_MESSAGE
    return TAKEN_MESSAGE if existing else None


def _issue_number(call: ApiRequest, campaign: Campaign) -> PromoNumber:
    allowance = call.store.campaign_allowance
    if allowance is not None and campaign.issued_count >= allowance:
        raise invalid_arguments({"base": ["You've reached your promo number limit"]})
    promo_number = call.store.number_pool.allocate(call.body)
    if promo_number is None:
        raise invalid_arguments({"local_center": ["no numbers are available there"]})
    own_id = _own_id(call)
    number_id, id_from_network = _next_free_id(call, campaign)
    number = PromoNumber(
        id=number_id,
        id_from_network=own_id or id_from_network,
        promo_number=promo_number,
        values=_merge_values({"custom_data": campaign.custom_data}, call.body),
    )
    campaign.add(number)
    campaign.issued_count += 1
    body = MappingProxyType(dict(call.body))
    call.store.ledger.append(
        LedgerEntry(
            campaign=campaign.key, number=promo_number, own_id=own_id, body=body, request_number=call.request_number
        )
    )
    return number


def _next_free_id(call: ApiRequest, campaign: Campaign) -> tuple[int, str]:
    """The next of the platform's ids, as a number and as text; skips ids that a client uses as its own."""
    number_id = call.store.next_id()
    while str(number_id) in campaign.by_id:
        number_id = call.store.next_id()
    return number_id, str(number_id)


def _merge_values(old: Mapping[str, Json], body: Mapping[str, Json]) -> dict[str, Json]:
    """The fields after a write: null or an empty object removes a field."""
    written = {name: body[name] for name in _ECHOED_FIELDS if name in body}
    values = {name: value for name, value in {**old, **written}.items() if value not in (None, {}, [], "")}
    return {**values, "custom_data": merge_custom_data(old["custom_data"], body.get("custom_data"))}


def _update_number(call: ApiRequest, campaign: Campaign, number: PromoNumber) -> Json:
    errors = _validate(call, Action.UPDATE, {**number.values, "promo_number": number.promo_number})
    if call.body.get("id_from_network", number.id_from_network) != number.id_from_network:
        errors.setdefault("id_from_network", ["cannot be changed"])
    target = None if errors else _destination_campaign(call)
    if target is None and not errors and _DESTINATION_CAMPAIGN_FIELD in call.body:
        errors[_DESTINATION_CAMPAIGN_FIELD] = ["could not be found"]
    if errors:
        raise invalid_arguments(errors, extra_body=number.to_json(call.version))
    number.values = _merge_values(number.values, call.body)
    if target:
        campaign.remove(number)
        if call.store.moved_ids == "new" or number.id_from_network in target.by_id:
            number.id_from_network = _next_free_id(call, target)[1]
        target.add(number)
    return number.to_json(call.version)


def _destination_campaign(call: ApiRequest) -> Campaign | None:
    """The campaign that an update moves its number to; None if it names none or it does not exist."""
    if _DESTINATION_CAMPAIGN_FIELD not in call.body:
        return None
    key = CampaignKey(
        network_id=call.network.id,
        advertiser_id=call.body["destination_advertiser_id_from_network"],
        campaign_id=call.body[_DESTINATION_CAMPAIGN_FIELD],
        affiliate_id=call.body.get("destination_affiliate_id_from_network"),
    )
    return _find_campaign(call, key)
