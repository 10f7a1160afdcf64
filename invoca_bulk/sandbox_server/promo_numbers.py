"""What the platform does with promo numbers: each POST issues another one."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from invoca_bulk.sandbox_server import request_validation
from invoca_bulk.sandbox_server.advertisers import merged
from invoca_bulk.sandbox_server.platform_model import CampaignKey, Issued, Number
from invoca_bulk.sandbox_server.requests import BLANK, TAKEN, invalid, not_found
from invoca_bulk.schema import PROMO_NUMBERS, Action

if TYPE_CHECKING:
    from collections.abc import Mapping

    from invoca_bulk.sandbox_server.platform_model import Campaign
    from invoca_bulk.sandbox_server.requests import Call, Errors
    from invoca_bulk.schema.field_types import Json

#: Written fields that come back, besides `custom_data`; the others only choose the number.
_ECHOED = ("description", "media_type", "promo_type", "adwords_account_id", "hours_of_operation")
_DESTINATION = "destination_advertiser_campaign_id_from_network"


def read_all(call: Call) -> Json:
    """GET the collection; where campaigns are opened on first use, a read opens none: it would create an advertiser."""
    if call.store.open_campaigns and _key(call) not in call.network.campaigns:
        return []
    return [one.answer(call.version) for one in _campaign(call).numbers.values()]


def read(call: Call) -> Json:
    """GET one."""
    return _found(call, _campaign(call)).answer(call.version)


def create(call: Call) -> Json:
    """POST: issues a number, unless the client's own id is taken."""
    campaign = _campaign(call)
    taken = campaign.by_id.get(_own_id(call) or "")
    if taken and call.store.repeat_updates:
        return _change(call, campaign, taken)
    errors = _problems(call, Action.CREATE, {})
    for path, text in _id_problems(call, taken):
        errors.setdefault(path, [text])
    if errors:
        raise invalid(errors)
    return _issue(call, campaign).answer(call.version)


def update(call: Call) -> Json:
    """PUT: changes what is given and leaves the rest; with a destination the number moves there."""
    campaign = _campaign(call)
    return _change(call, campaign, _found(call, campaign))


def delete(call: Call) -> Json:
    """DELETE: a missing one is an error, unlike an advertiser."""
    campaign = _campaign(call)
    campaign.remove(_found(call, campaign))
    return {}


def _campaign(call: Call) -> Campaign:
    key = _key(call)
    campaign = _known(call, key)
    if campaign is None:
        raise not_found(f"campaign {' / '.join(filter(None, vars(key).values()))}")
    return campaign


def _key(call: Call) -> CampaignKey:
    return CampaignKey(
        network_id=call.network.id,
        advertiser_id=call.ids["advertiser"],
        campaign_id=call.ids["campaign"],
        affiliate_id=call.ids.get("affiliate"),
    )


def _known(call: Call, key: CampaignKey) -> Campaign | None:
    campaign = call.network.campaigns.get(key)
    if campaign is None and call.store.open_campaigns:
        if key.affiliate_id is None:
            return call.store.add_campaign(key.advertiser_id, key.campaign_id, network_id=key.network_id)
        return call.store.add_affiliate(key.advertiser_id, key.campaign_id, key.affiliate_id, network_id=key.network_id)
    return campaign


def _found(call: Call, campaign: Campaign) -> Number:
    numbers, name = (campaign.by_id, "id_from_network") if call.own_ids else (campaign.numbers, "promo_number")
    try:
        return numbers[call.ids[name]]
    except KeyError:
        raise not_found(f"promo number with {name} {call.ids[name]}") from None


def _own_id(call: Call) -> str | None:
    own_id = call.body.get("id_from_network")
    return own_id if call.own_ids and isinstance(own_id, str) else None


def _problems(call: Call, action: Action, values: Mapping[str, Json]) -> Errors:
    affiliate = call.ids.get("affiliate")
    state = {**values, **({"affiliate_id_from_network": affiliate} if affiliate else {})}
    return request_validation.problems(PROMO_NUMBERS, call.body, version=call.version, action=action, state=state)


def _id_problems(call: Call, taken: Number | None) -> list[tuple[str, str]]:
    given = call.body.get("id_from_network")
    if not call.own_ids:
        return [("id_from_network", "is set by the platform here; promo_numbers_by_id takes your own")] * bool(given)
    if not given:
        return [("id_from_network", BLANK)]
    return [("id_from_network", TAKEN)] * bool(taken)


def _issue(call: Call, campaign: Campaign) -> Number:
    promo_number = call.store.pool.take(call.body)
    if promo_number is None:
        raise invalid({"local_center": ["no numbers are available there"]})
    own_id = _own_id(call)
    number_id, id_from_network = _fresh_id(call, campaign)
    number = Number(
        id=number_id,
        id_from_network=own_id or id_from_network,
        promo_number=promo_number,
        values=_values({"custom_data": campaign.custom_data}, call.body),
    )
    campaign.add(number)
    body = MappingProxyType(dict(call.body))
    call.store.ledger.append(
        Issued(campaign=campaign.key, number=promo_number, own_id=own_id, body=body, sequence=call.sequence)
    )
    return number


def _fresh_id(call: Call, campaign: Campaign) -> tuple[int, str]:
    """The platform's own id and the same as text; one whose text a client took as its own id is passed over."""
    fresh = call.store.next_id()
    while str(fresh) in campaign.by_id:
        fresh = call.store.next_id()
    return fresh, str(fresh)


def _values(old: Mapping[str, Json], body: Mapping[str, Json]) -> dict[str, Json]:
    """The fields after a write: null or an empty object takes a field away."""
    written = {name: body[name] for name in _ECHOED if name in body}
    values = {name: value for name, value in {**old, **written}.items() if value not in (None, {})}
    return {**values, "custom_data": merged(old["custom_data"], body.get("custom_data"))}


def _change(call: Call, campaign: Campaign, number: Number) -> Json:
    errors = _problems(call, Action.UPDATE, {**number.values, "promo_number": number.promo_number})
    if call.body.get("id_from_network", number.id_from_network) != number.id_from_network:
        errors.setdefault("id_from_network", ["cannot be changed"])
    target = None if errors else _destination(call)
    if target is None and not errors and _DESTINATION in call.body:
        errors[_DESTINATION] = ["could not be found"]
    if errors:
        raise invalid(errors, beside=number.answer(call.version))
    number.values = _values(number.values, call.body)
    if target:
        _move(call, number, campaign, target)
    return number.answer(call.version)


def _destination(call: Call) -> Campaign | None:
    """Where an update moves its number to; None when it names nothing, or nothing that is there."""
    if _DESTINATION not in call.body:
        return None
    key = CampaignKey(
        network_id=call.network.id,
        advertiser_id=call.body["destination_advertiser_id_from_network"],
        campaign_id=call.body[_DESTINATION],
        affiliate_id=call.body.get("destination_affiliate_id_from_network"),
    )
    return _known(call, key)


def _move(call: Call, number: Number, campaign: Campaign, target: Campaign) -> None:
    campaign.remove(number)
    number.id_from_network = _fresh_id(call, target)[1]
    target.add(number)
