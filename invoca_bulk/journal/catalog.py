"""Looking at journals from outside: which runs there are, how far they are, and who is at them; any process may."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import sqlalchemy as sa

from invoca_bulk.errors import SettingInvalid
from invoca_bulk.journal import db_schema
from invoca_bulk.journal.locations import shelved_in
from invoca_bulk.journal.states import RunState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from invoca_bulk.config.settings import Place
    from invoca_bulk.journal.locations import Shelved
    from invoca_bulk.journal.owner import Owner
    from invoca_bulk.journal.records import RowRecord, RunRecord
    from invoca_bulk.journal.store import Journal
    from invoca_bulk.schema.result_columns import Outcome

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One run of any journal in a place.

    Attributes:
        record: the run.
        totals: outcome to number of rows.
        held: whether a process is at work on its network.
        is_open: whether resuming it would do something.
        owner: the process that is at work on its network; None: none, or it is not known.
    """

    record: RunRecord
    totals: Mapping[Outcome, int]
    held: bool
    is_open: bool
    owner: Owner | None = None

    @property
    def state(self) -> str:
        """Where the run stands; `closed`: it was stopped, and later runs do what it left."""
        is_closed = self.record.state in {RunState.INTERRUPTED, RunState.ABORTED} and not self.is_open
        return "closed" if is_closed else self.record.state


def results_of(place: Place, run: str) -> tuple[RunRecord, list[RowRecord]]:
    """A run and its rows as they stand now, in whichever journal of a place it is; also while another process runs it.

    Raises:
        SettingInvalid: no journal there knows the run.
    """
    return _first(place, run, lambda its, book: (_as_it_is(book.run(run), held=its.is_held()), book.rows(run)))


def run_of(place: Place, run: str) -> RunRecord:
    """A run, in whichever journal of a place it is.

    Raises:
        SettingInvalid: no journal there knows the run.
    """
    return _first(place, run, lambda its, book: _as_it_is(book.run(run), held=its.is_held()))


def find(place: Place, run: str) -> Listed | None:
    """A run as `listed` gives it; None: no journal in the folder knows it."""
    with contextlib.suppress(SettingInvalid):
        return _first(place, run, lambda its, book: _listed(book.run(run), its, book, held=its.is_held()))
    return None


def listed(place: Place) -> list[Listed]:
    """All runs of the journals in a place, the oldest first; also while other processes are at work."""

    def look(its: Shelved, book: Journal) -> list[Listed]:
        held, totals = its.is_held(), book.totals()
        return [_listed(one, its, book, held=held, totals=totals.get(one.run, {})) for one in book.runs()]

    found = [one for some in _looks(shelved_in(place), look) for one in some]
    return sorted(found, key=lambda one: one.record.started_at)


def running(place: Place) -> list[Listed]:
    """The runs that processes are at work on now, the oldest first; cheap enough to be asked all the time."""

    def look(its: Shelved, book: Journal) -> list[Listed]:
        now = [one for one in book.runs() if one.state is RunState.RUNNING]
        return [_listed(one, its, book, held=True) for one in now]

    held = (one for one in shelved_in(place, noted=True) if one.is_held())
    found = [one for some in _looks(held, look) for one in some]
    return sorted(found, key=lambda one: one.record.started_at)


def foreign(place: Place) -> list[Shelved]:
    """The journals in a place that another version of this program has written, and that cannot be read."""
    others: list[Shelved] = []
    list(_looks(shelved_in(place), lambda *_: None, others))
    return others


def stop(place: Place, run: str) -> str:
    """Ask the process that is at work on a run to stop softly; a second time, at once. It may be any door's.

    Returns:
        Why it could not be asked, in a sentence; empty: it was.

    Raises:
        SettingInvalid: no journal in the folder knows the run.
    """
    record, its = _first(place, run, lambda its, book: (book.run(run), its))
    return its.stop(run) if record.state is RunState.RUNNING else "It is not under way any more."


def _listed(
    record: RunRecord, its: Shelved, book: Journal, *, held: bool, totals: Mapping[Outcome, int] | None = None
) -> Listed:
    return Listed(
        record=_as_it_is(record, held=held),
        totals=book.totals(record.run).get(record.run, {}) if totals is None else totals,
        held=held,
        is_open=book.is_open(record),
        owner=its.owner() if held else None,
    )


def _as_it_is(record: RunRecord, *, held: bool) -> RunRecord:
    """A run whose process was killed could not record that it was interrupted."""
    is_dead = record.state is RunState.RUNNING and not held
    return replace(record, state=RunState.INTERRUPTED) if is_dead else record


def _first(place: Place, run: str, look: Callable[[Shelved, Journal], T]) -> T:
    """What the journal that knows a run says of it."""

    def known(its: Shelved, book: Journal) -> T | None:
        with contextlib.suppress(sa.exc.NoResultFound):
            return look(its, book)
        return None

    others: list[Shelved] = []
    for found in _looks(shelved_in(place), known, others):
        if found is not None:
            return found
    unread = " Journals of another version of this program are there too, and cannot be read." if others else ""
    msg = (
        f"No journal in {place} knows the run {run!r}.{unread} "
        "A run's id stands in the column result_run of its results, and in `invoca-bulk runs`."
    )
    raise SettingInvalid(msg)


def _looks(
    them: Iterable[Shelved], look: Callable[[Shelved, Journal], T], others: list[Shelved] | None = None
) -> Iterator[T]:
    """What journals say; those of another version are left out, and put into a list, those that cannot be read too."""
    for one in them:
        try:
            with one.readable() as book:
                found = look(one, book) if book else None
        except db_schema.OtherVersion:
            (others if others is not None else []).append(one)
        except sa.exc.DatabaseError:
            continue
        else:
            if found is not None:
                yield found
