"""The platform's state and ledger, in memory."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, InitVar, dataclass, field, replace
from itertools import count

from invoca_bulk.sandbox_server.number_pool import NumberPool
from invoca_bulk.sandbox_server.platform_model import Advertiser, Campaign, CampaignKey, LedgerEntry, SandboxNetwork

DEFAULT_NETWORK_ID = "1234"
#: The initial data of a network: advertiser id to (name, campaign id to affiliate ids).
_INITIAL_DATA: Mapping[str, tuple[str, Mapping[str, tuple[str, ...]]]] = {
    "A-100": ("Acme Tickets", {"C-100": ("F-1",), "C-101": (), "C-102": ()}),
    "A-200": ("Harbor Dental", {"C-200": ("F-1", "F-2"), "C-201": ()}),
    "A-300": ("Northwind Autos", {"C-300": ()}),
}
#: Advertiser id to campaign id to affiliate ids.
Campaigns = Mapping[str, Mapping[str, Sequence[str]]]
_FIRST_ID = 1001
_TOKEN_DIGITS = 28


@dataclass
class Store:
    """Networks with their data, and every issued number.

    Thread-safe: all methods may be called while the server runs. Hold `lock` to read or write several related things.
    The methods' `network_id` may be None: the first network.
    """

    _: KW_ONLY
    network_ids: InitVar[Iterable[str]] = (DEFAULT_NETWORK_ID,)  # each with the same few advertisers and campaigns
    like: Campaigns | None = None  # what each network has instead of these; None: these
    seed: InitVar[int] = 0  # the same seed gives the same numbers and tokens
    open_campaigns: bool = False  # create any campaign or affiliate on first use instead of answering 404
    auto_ids: bool = False  # assign an id to an advertiser that is created without `id_from_network`
    unlisted_types: bool = False  # accept media types and promo types outside of the published lists
    sites_required: bool = True  # refuse an advertiser without a site; documented so, and recorded otherwise
    moved_ids: str = "new"  # the `id_from_network` of a moved number: `new` or `kept`
    performance_flags: bool = True  # show the performance flags as they were written, where the version has them
    campaign_allowance: int | None = None  # how many numbers a campaign may ever get; None: any number
    repeat_updates: bool = False  # a POST with a taken own id updates that number; the documentation says both ways
    networks: dict[str, SandboxNetwork] = field(default_factory=dict, init=False)
    ledger: list[LedgerEntry] = field(default_factory=list, init=False)  # one entry for each issued number, in order
    request_count: int = field(default=0, init=False)  # handled requests, rejected ones included
    lock: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False)
    number_pool: NumberPool = field(init=False, repr=False)
    _id_counter: Iterator[int] = field(default_factory=lambda: count(_FIRST_ID), init=False, repr=False)

    def __post_init__(self, network_ids: Iterable[str], seed: int) -> None:
        self.number_pool = NumberPool(seed)
        self._random = random.Random(seed)  # noqa: S311  the tokens protect nothing
        for network_id in network_ids:
            self.add_network(network_id)

    def next_id(self) -> int:
        """The next of the platform's ids."""
        return next(self._id_counter)

    def new_token(self) -> str:
        """A random token for `oauth_refresh_token`."""
        return "".join(self._random.choices("0123456789", k=_TOKEN_DIGITS))

    def add_network(self, network_id: str, *, empty: bool = False) -> SandboxNetwork:
        """Add a network, with the initial advertisers unless `empty`."""
        with self.lock:
            network = self.networks.setdefault(network_id, SandboxNetwork(id=network_id))
            for advertiser_id, (name, campaigns) in () if empty else self._initial_data():
                self.add_advertiser(advertiser_id, name=name, network_id=network_id)
                for campaign_id, affiliate_ids in campaigns.items():
                    self.add_campaign(advertiser_id, campaign_id, network_id=network_id)
                    for affiliate_id in affiliate_ids:
                        self.add_affiliate(advertiser_id, campaign_id, affiliate_id, network_id=network_id)
            return network

    def _initial_data(self) -> Iterable[tuple[str, tuple[str, Mapping[str, Sequence[str]]]]]:
        if self.like is None:
            return _INITIAL_DATA.items()
        return [(advertiser_id, ("", campaigns)) for advertiser_id, campaigns in self.like.items()]

    def add_advertiser(self, advertiser_id: str, *, name: str = "", network_id: str | None = None) -> Advertiser:
        """Add an advertiser with one site and no users, unless it exists."""
        with self.lock:
            network = self._network(network_id)
            if advertiser_id not in network.advertisers:
                network.put_advertiser(advertiser_id, self._new_advertiser(advertiser_id, name))
            return network.advertisers[advertiser_id]

    def add_campaign(
        self,
        advertiser_id: str,
        campaign_id: str,
        *,
        network_id: str | None = None,
        custom_data: Mapping[str, str] | None = None,
    ) -> Campaign:
        """Add a campaign, with the default custom data of its numbers, and its advertiser if it does not exist."""
        with self.lock:
            network = self._network(network_id)
            self.add_advertiser(advertiser_id, network_id=network.id)
            key = CampaignKey(network_id=network.id, advertiser_id=advertiser_id, campaign_id=campaign_id)
            return network.add_campaign(Campaign(key=key, custom_data=dict(custom_data or {})))

    def add_affiliate(
        self, advertiser_id: str, campaign_id: str, affiliate_id: str, *, network_id: str | None = None
    ) -> Campaign:
        """Add an affiliate to a campaign, and the campaign and advertiser if they do not exist."""
        with self.lock:
            campaign = self.add_campaign(advertiser_id, campaign_id, network_id=network_id)
            key = replace(campaign.key, affiliate_id=affiliate_id)
            return self._network(network_id).add_campaign(Campaign(key=key, custom_data=campaign.custom_data))

    def _network(self, network_id: str | None) -> SandboxNetwork:
        return self.networks[next(iter(self.networks)) if network_id is None else network_id]

    def _new_advertiser(self, advertiser_id: str, name: str) -> Advertiser:
        platform_id = self.next_id()
        return Advertiser(
            id=platform_id,
            values={
                "id_from_network": advertiser_id,
                "name": name or f"Advertiser {advertiser_id}",
                "approval_status": "Approved",
                "web_integration_phone_number": None,
                "default_creative_id_from_network": None,
                "sites": [{"id_from_network": str(platform_id), "name": ""}],
                "oauth_refresh_token": self.new_token(),
                "custom_data": {},
            },
        )
