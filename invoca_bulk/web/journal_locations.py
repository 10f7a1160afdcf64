"""What the page is connected with, and which journal belongs to which network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from invoca_bulk.errors import ConfigError
from invoca_bulk.web import sandbox

if TYPE_CHECKING:
    from invoca_bulk.config.settings import JournalLocation, Network
    from invoca_bulk.journal import RunRecord

_SANDBOX_DISPLAY_NAME = "the sandbox (made-up numbers)"


class JournalLocations:
    """The journals that the page looks into, and the network that it has the token of.

    Args:
        user_location: where the journals are.

    Attributes:
        network: the network that the page is connected with; None: none.
    """

    def __init__(self, user_location: JournalLocation) -> None:
        self._user_location = user_location
        self.network: Network | None = None

    @property
    def all_locations(self) -> list[JournalLocation]:
        """All places with journals: the person's, and the sandbox's."""
        known = sandbox.get_session()
        return [self._user_location, *([Path(known.journal)] if known else [])]

    def location_for(self, network_or_run: Network | RunRecord) -> JournalLocation:
        """Where a network's journal is; the sandbox's goes with it."""
        known = sandbox.get_session()
        return Path(known.journal) if known and self.is_sandbox(network_or_run) else self._user_location

    @staticmethod
    def is_sandbox(network_or_run: Network | RunRecord) -> bool:
        """Whether it is the page's own sandbox."""
        known = sandbox.get_session()
        return known is not None and network_or_run.base_url == known.base_url

    def display_name(self, network_or_run: Network | RunRecord) -> str:
        """A network as people call it."""
        return (
            _SANDBOX_DISPLAY_NAME
            if self.is_sandbox(network_or_run)
            else f"network {network_or_run.network_id} at {network_or_run.base_url}"
        )

    def network_for_run(self, record: RunRecord) -> Network:
        """The network of a run.

        Raises:
            ConfigError: the page does not have its token.
        """
        known, network = sandbox.get_session(), self.network
        if known and self.is_sandbox(record):
            return known.to_network(record.api_version)
        if network and (network.base_url, network.network_id) == (record.base_url, record.network_id):
            return replace(network, api_version=record.api_version)
        raise ConfigError(f"To go on with this run or to undo it, connect with {self.display_name(record)} first.")
