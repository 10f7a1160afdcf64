"""Where the journals of networks are: files in a folder, or schemas of a database; all others need not know which."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from invoca_bulk.config.settings import Database, journal_place
from invoca_bulk.journal import sqlite

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from invoca_bulk.config.settings import Network, Place
    from invoca_bulk.journal.owner import Owner
    from invoca_bulk.journal.store import Journal


class Shelved(Protocol):
    """A network's journal, to be looked into from outside; `files.File` and `shared.Schema` say more."""

    def readable(self) -> AbstractContextManager[Journal | None]: ...  # noqa: D102

    def owner(self) -> Owner | None: ...  # noqa: D102

    def is_held(self) -> bool: ...  # noqa: D102

    def stop(self, run: str) -> str: ...  # noqa: D102


def place_of(network: Network, given: str | Place | None) -> Place:
    """Where a network's journal is: as given, or the user's own place. That of a rehearsal goes with this program."""
    return sqlite.rehearsal_folder(network.base_url) if network.rehearsal else journal_place(given)


@contextmanager
def opened(place: Place, network: Network, *, alone: bool = True, end: str = "") -> Iterator[Journal]:
    """Open a network's journal for writing, until the end of the block.

    Args:
        place: where the journals are.
        network: whose it is.
        alone: whether this process has to be the only one that works on the network; in a folder it always is.
        end: a run of workers that is to be brought to its end here.

    Raises:
        JournalHeld: another process has it; the message says which, and since when.
        SettingInvalid: it cannot be used, or another version of this program has written it.
    """
    if isinstance(place, Path):
        with sqlite.opened(place, network) as book:
            yield book
    else:
        from invoca_bulk.journal import postgres  # noqa: PLC0415  nobody else needs it

        with postgres.opened(place, network, alone=alone, end=end) as shared_book:
            yield shared_book


@contextmanager
def reading(place: Place, network: Network) -> Iterator[Journal | None]:
    """A network's journal to look into, also while another process has it; None: there is none yet."""
    with shelved_of(place, network).readable() as book:
        yield book


def shelved_of(place: Place, network: Network) -> Shelved:
    """The journal of a network, whether there is one yet or not."""
    its = {"base_url": network.base_url, "network_id": network.network_id}
    if isinstance(place, Path):
        return sqlite.File(path=sqlite.journal_file(place, **its))
    from invoca_bulk.journal import postgres  # noqa: PLC0415  as above

    return postgres.Schema(database=place, name=postgres.schema_of(**its))


def shelved_in(place: Place, *, noted: bool = False) -> Sequence[Shelved]:
    """The journals in a place, by name.

    Args:
        place: where they are.
        noted: in a folder, only those that somebody has, or had when it was killed.
    """
    if isinstance(place, Database):
        from invoca_bulk.journal import postgres  # noqa: PLC0415  as above

        return postgres.schemas(place)
    return sqlite.files_noted(place) if noted else sqlite.files_in(place)
