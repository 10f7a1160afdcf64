"""Where the journals of networks are: files in a folder, or schemas of a database; all others need not know which."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from invoca_bulk.config.settings import Database, resolve_journal_location
from invoca_bulk.journal import sqlite

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from invoca_bulk.config.settings import JournalLocation, Network
    from invoca_bulk.journal.owner import Owner
    from invoca_bulk.journal.store import Journal


class JournalHandle(Protocol):
    """A network's journal, to be looked into from outside; `files.File` and `shared.Schema` say more."""

    def open_readonly(self) -> AbstractContextManager[Journal | None]: ...  # noqa: D102

    def find_owner(self) -> Owner | None: ...  # noqa: D102

    def is_in_use(self) -> bool: ...  # noqa: D102

    def request_stop(self, run: str) -> str: ...  # noqa: D102


def location_for(network: Network, configured: str | JournalLocation | None) -> JournalLocation:
    """Where a network's journal is: as given, or the user's own place. That of a rehearsal goes with this program."""
    return (
        sqlite.sandbox_journal_folder(network.base_url) if network.rehearsal else resolve_journal_location(configured)
    )


@contextmanager
def open_for_writing(
    location: JournalLocation, network: Network, *, exclusive: bool = True, run_to_finish: str = ""
) -> Iterator[Journal]:
    """Open a network's journal for writing, until the end of the block.

    Args:
        location: where the journals are.
        network: whose it is.
        exclusive: whether this process has to be the only one that works on the network; in a folder it always is.
        run_to_finish: a run of workers that is to be brought to its end here.

    Raises:
        JournalLockedError: another process has it; the message says which, and since when.
        ConfigError: it cannot be used, or another version of this program has written it.
    """
    if isinstance(location, Path):
        with sqlite.open_for_writing(location, network) as book:
            yield book
    else:
        from invoca_bulk.journal import postgres  # noqa: PLC0415  nobody else needs it

        with postgres.open_for_writing(
            location, network, exclusive=exclusive, run_to_finish=run_to_finish
        ) as shared_book:
            yield shared_book


@contextmanager
def open_readonly(location: JournalLocation, network: Network) -> Iterator[Journal | None]:
    """A network's journal to look into, also while another process has it; None: there is none yet."""
    with handle_for(location, network).open_readonly() as book:
        yield book


def handle_for(location: JournalLocation, network: Network) -> JournalHandle:
    """The journal of a network, whether there is one yet or not."""
    its = {"base_url": network.base_url, "network_id": network.network_id}
    if isinstance(location, Path):
        return sqlite.SqliteHandle(path=sqlite.journal_file(location, **its))
    from invoca_bulk.journal import postgres  # noqa: PLC0415  as above

    return postgres.PostgresHandle(database=location, schema=postgres.schema_name(**its))


def handles_in(location: JournalLocation, *, only_with_owner: bool = False) -> Sequence[JournalHandle]:
    """The journals in a place, by name.

    Args:
        location: where they are.
        only_with_owner: in a folder, only those that somebody has, or had when it was killed.
    """
    if isinstance(location, Database):
        from invoca_bulk.journal import postgres  # noqa: PLC0415  as above

        return postgres.list_handles(location)
    return sqlite.list_handles_with_owner(location) if only_with_owner else sqlite.list_handles(location)
