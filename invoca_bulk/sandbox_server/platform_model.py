"""The platform's data: networks, advertisers, campaigns, promo numbers, and the ledger's entries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from invoca_bulk.schema import PROMO_NUMBERS
from invoca_bulk.schema.field_types import Json

#: The base of `object_url`; `.invalid` never resolves.
_PAGES_URL = "https://sandbox.invalid"
#: Deprecated and always false from this version on.
_REPORTS_DEPRECATED_SINCE = "2026-02-01"
PERFORMANCE_FLAGS = (
    "notify_on_performance_notifications",
    "notify_on_monthly_campaign_performance_reports",
    "notify_on_weekly_campaign_performance_reports",
)
_LOGIN_SINCE = "2018-11-01"


@dataclass(frozen=True, kw_only=True)
class CampaignKey:
    """Identifies one campaign by its network's id and each object's `id_from_network`."""

    network_id: str
    advertiser_id: str
    campaign_id: str
    affiliate_id: str | None = None  # None: the advertiser campaign itself


@dataclass(frozen=True, kw_only=True)
class LedgerEntry:
    """One number that was issued, and therefore billed."""

    campaign: CampaignKey  # where it was issued; a later move does not change this
    number: str  # 10 digits
    own_id: str | None  # the client's own id for it; None: the platform assigned one
    body: Mapping[str, Json]  # of the request, without a token
    request_number: int  # from 1


@dataclass(frozen=True, kw_only=True)
class Advertiser:
    """One advertiser."""

    id: int
    values: Mapping[str, Json]  # its fields as GET returns them, without users
    users: tuple[Mapping[str, Json], ...] = ()  # its users as GET returns them, with the fields of all versions

    @property
    def name(self) -> str:
        """The name, unique in the network."""
        return str(self.values["name"])

    def to_json(self, version: str) -> dict[str, Json]:
        """The advertiser as one version of the API shows it."""
        url = f"{_PAGES_URL}/advertisers/{self.id}"
        users = [_user_to_json(user, version) for user in self.users]
        return {"id": self.id, "object_url": url, **self.values, "users": users}


def _user_to_json(user: Mapping[str, Json], version: str) -> dict[str, Json]:
    fields = dict(user)
    if version >= _REPORTS_DEPRECATED_SINCE:
        fields |= dict.fromkeys(PERFORMANCE_FLAGS, False)
    if version >= _LOGIN_SINCE:
        fields["can_login_via_platform"] = True
    return fields


@dataclass(kw_only=True)
class PromoNumber:
    """One promo number."""

    id: int
    id_from_network: str  # the client's own id, or one that the platform assigned
    promo_number: str  # 10 digits; it never changes
    values: dict[str, Json]  # as GET returns them; what only chooses the number, such as `local_center`, is not stored

    def to_json(self, version: str) -> dict[str, Json]:
        """The number as one version of the API shows it."""
        return {
            "id": self.id,
            "id_from_network": self.id_from_network,
            "promo_number": self.promo_number,
            "object_url": f"{_PAGES_URL}/promo_numbers/{self.id}",
            **{name: value for name, value in self.values.items() if version >= _SHOWN_SINCE.get(name, "")},
        }


#: Top-level name of a field to the first version that has it.
_SHOWN_SINCE = {promo_field.path.split(".")[0]: promo_field.since for promo_field in PROMO_NUMBERS.fields}


@dataclass(kw_only=True)
class Campaign:
    """One campaign and its numbers, by number and by id."""

    key: CampaignKey
    custom_data: dict[str, str] = field(default_factory=dict)  # the default custom data of its numbers
    numbers: dict[str, PromoNumber] = field(default_factory=dict)  # promo number to number, in the order of issue
    issued_count: int = 0  # numbers that it has ever got; deleting one does not give its place back
    by_id: dict[str, PromoNumber] = field(default_factory=dict)  # `id_from_network` to number

    def add(self, number: PromoNumber) -> None:
        """Add a number."""
        self.numbers[number.promo_number] = number
        self.by_id[number.id_from_network] = number

    def remove(self, number: PromoNumber) -> None:
        """Remove a number."""
        del self.numbers[number.promo_number]
        del self.by_id[number.id_from_network]


@dataclass(kw_only=True)
class SandboxNetwork:
    """One network, isolated from all others."""

    id: str
    advertisers: dict[str, Advertiser] = field(default_factory=dict)  # `id_from_network` to advertiser
    advertiser_ids_by_name: dict[str, str] = field(default_factory=dict)
    campaigns: dict[CampaignKey, Campaign] = field(default_factory=dict)
    campaign_counts: Counter[str] = field(default_factory=Counter)  # by the advertiser's `id_from_network`

    def put_advertiser(self, advertiser_id: str, advertiser: Advertiser) -> None:
        """Add or replace an advertiser."""
        self.remove_advertiser(advertiser_id)
        self.advertisers[advertiser_id] = advertiser
        self.advertiser_ids_by_name[advertiser.name] = advertiser_id

    def remove_advertiser(self, advertiser_id: str) -> None:
        """Remove an advertiser, if it exists."""
        if old := self.advertisers.pop(advertiser_id, None):
            self.advertiser_ids_by_name.pop(old.name, None)

    def add_campaign(self, campaign: Campaign) -> Campaign:
        """Add a campaign, unless it exists; returns the one with its key."""
        if campaign.key not in self.campaigns:
            self.campaigns[campaign.key] = campaign
            self.campaign_counts[campaign.key.advertiser_id] += 1
        return self.campaigns[campaign.key]
