"""Who works on a network, whatever kind its journal is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A process that writes into a journal.

    Attributes:
        process: its number.
        host: its machine.
        since: since when it has it: UTC, ISO 8601 with a space.
        can_be_signalled: whether a signal stops its run softly; in a thread of a program of its own it would end the
            program.
    """

    process: int
    host: str
    since: str
    can_be_signalled: bool = True

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}, since {self.since} UTC"
