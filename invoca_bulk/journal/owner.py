"""The process that works on a network, for both kinds of journal."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A process that writes to a journal."""

    process: int  # its process id
    host: str  # its machine
    since: str  # when it opened the journal: UTC, ISO 8601 with a space
    #: Whether a signal stops its run gracefully; for a run in a thread of another program, a signal would end that
    #: program.
    can_be_signalled: bool = True

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}, since {self.since} UTC"


def locked_message(owner: Owner | None) -> str:
    """Says which process uses the network; None: it is unknown."""
    name = str(owner or "an unknown process")
    return f"Another run is using this network: {name}. Wait until it has ended, then try again."
