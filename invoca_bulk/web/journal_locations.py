"""The network that the page is connected to, and which journal belongs to which network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from invoca_bulk.config.journal_location import JournalLocation
from invoca_bulk.config.network import Network, describe_network
from invoca_bulk.errors import ConfigError
from invoca_bulk.journal import RunRecord
from invoca_bulk.web import sandbox


class JournalLocations:
    """The journals that the page reads, and the network that it is connected to."""

    def __init__(self, user_location: JournalLocation) -> None:
        self._user_location = user_location
        self.network: Network | None = None

    @property
    def all_locations(self) -> list[JournalLocation]:
        """The user's journals, and the sandbox's if there is one."""
        session = sandbox.get_session()
        return [self._user_location, *([Path(session.journal)] if session else [])]

    def location_for(self, network_or_run: Network | RunRecord) -> JournalLocation:
        """Where a network's journal is; the sandbox's is deleted with the sandbox."""
        session = sandbox.get_session()
        return Path(session.journal) if session and self.is_sandbox(network_or_run) else self._user_location

    @staticmethod
    def is_sandbox(network_or_run: Network | RunRecord) -> bool:
        """Whether this is the page's own sandbox, or a run on it."""
        session = sandbox.get_session()
        return session is not None and network_or_run.base_url == session.base_url

    def display_name(self, network_or_run: Network | RunRecord) -> str:
        """The network's name on the page."""
        if self.is_sandbox(network_or_run):
            return "the sandbox (made-up numbers)"
        return describe_network(network_or_run.network_id, network_or_run.base_url)

    def network_for_run(self, record: RunRecord) -> Network:
        """The network of a run, with its token; an error if the page is not connected to it."""
        session, network = sandbox.get_session(), self.network
        if session and self.is_sandbox(record):
            return session.to_network(record.api_version)
        if network and (network.base_url, network.network_id) == (record.base_url, record.network_id):
            return replace(network, api_version=record.api_version)
        raise ConfigError(f"To resume or undo this run, connect to {self.display_name(record)} first.")
