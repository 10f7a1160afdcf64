"""Journal locations, a folder of files or a database of schemas, and how to open the journals there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from invoca_bulk.config.journal_location import Database, JournalLocation, resolve_journal_location
from invoca_bulk.config.network import Network
from invoca_bulk.journal import sqlite
from invoca_bulk.journal.owner import Owner
from invoca_bulk.journal.store import Journal


class JournalHandle(Protocol):
    """A network's journal, opened or not; implemented by `SqliteHandle` and `PostgresHandle`."""

    def open_readonly(self) -> AbstractContextManager[Journal | None]: ...  # noqa: D102

    def find_owner(self) -> Owner | None: ...  # noqa: D102

    def is_in_use(self) -> bool: ...  # noqa: D102

    def request_stop(self, run: str) -> str: ...  # noqa: D102


def location_for(network: Network, configured: str | JournalLocation | None) -> JournalLocation:
    """Where a network's journal is: as configured, or in the user's state directory.

    The journal of a sandbox is in a temporary folder, which this program deletes when it ends.
    """
    return (
        sqlite.sandbox_journal_folder(network.base_url) if network.rehearsal else resolve_journal_location(configured)
    )


@contextmanager
def open_for_writing(
    location: JournalLocation, network: Network, *, exclusive: bool = True, run_to_finish: str = ""
) -> Iterator[Journal]:
    """Open a network's journal for writing, until the end of the block.

    `exclusive`: this process must be the only one working on the network; in a folder it always is. `run_to_finish`: a
    run of workers that this process finishes; empty: none. Another process that uses the journal is a
    `JournalLockedError`.
    """
    if isinstance(location, Path):
        with sqlite.open_for_writing(location, network) as journal:
            yield journal
    else:
        from invoca_bulk.journal import postgres  # noqa: PLC0415  it needs a driver

        writing = postgres.open_for_writing(location, network, exclusive=exclusive, run_to_finish=run_to_finish)
        with writing as shared_journal:
            yield shared_journal


@contextmanager
def open_readonly(location: JournalLocation, network: Network) -> Iterator[Journal | None]:
    """Open a network's journal for reading, also while another process writes to it; None: there is none yet."""
    with handle_for(location, network).open_readonly() as journal:
        yield journal


def handle_for(location: JournalLocation, network: Network) -> JournalHandle:
    """The handle of a network's journal, whether the journal exists or not."""
    identity = {"base_url": network.base_url, "network_id": network.network_id}
    if isinstance(location, Path):
        return sqlite.SqliteHandle(path=sqlite.journal_file(location, **identity))
    from invoca_bulk.journal import postgres  # noqa: PLC0415  as above

    return postgres.PostgresHandle(database=location, schema=postgres.schema_name(**identity))


def handles_in(location: JournalLocation, *, only_with_owner: bool = False) -> Sequence[JournalHandle]:
    """The handles of all journals at a location, sorted by name.

    `only_with_owner`: skip journals in a folder that no process has open, or had open when it was killed.
    """
    if isinstance(location, Database):
        from invoca_bulk.journal import postgres  # noqa: PLC0415  as above

        return postgres.list_handles(location)
    return sqlite.list_handles_with_owner(location) if only_with_owner else sqlite.list_handles(location)
