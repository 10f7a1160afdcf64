"""What the page is connected with, and which journal belongs to which network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from invoca_bulk.errors import SettingInvalid
from invoca_bulk.web import sandbox

if TYPE_CHECKING:
    from invoca_bulk.config.settings import Network, Place
    from invoca_bulk.journal import RunRecord

_SANDBOX = "the sandbox (made-up numbers)"


class Places:
    """The journals that the page looks into, and the network that it has the token of.

    Args:
        journal: where the journals are.

    Attributes:
        network: the network that the page is connected with; None: none.
    """

    def __init__(self, journal: Place) -> None:
        self._journal = journal
        self.network: Network | None = None

    @property
    def all(self) -> list[Place]:
        """All places with journals: the person's, and the sandbox's."""
        known = sandbox.known()
        return [self._journal, *([Path(known.journal)] if known else [])]

    def place(self, of: Network | RunRecord) -> Place:
        """Where a network's journal is; the sandbox's goes with it."""
        known = sandbox.known()
        return Path(known.journal) if known and self.is_sandbox(of) else self._journal

    @staticmethod
    def is_sandbox(of: Network | RunRecord) -> bool:
        """Whether it is the page's own sandbox."""
        known = sandbox.known()
        return known is not None and of.base_url == known.base_url

    def name(self, of: Network | RunRecord) -> str:
        """A network as people call it."""
        return _SANDBOX if self.is_sandbox(of) else f"network {of.network_id} at {of.base_url}"

    def network_of(self, record: RunRecord) -> Network:
        """The network of a run.

        Raises:
            SettingInvalid: the page does not have its token.
        """
        known, network = sandbox.known(), self.network
        if known and self.is_sandbox(record):
            return known.network(record.api_version)
        if network and (network.base_url, network.network_id) == (record.base_url, record.network_id):
            return replace(network, api_version=record.api_version)
        raise SettingInvalid(f"To go on with this run or to undo it, connect with {self.name(record)} first.")
