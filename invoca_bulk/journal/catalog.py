"""Looking at journals from outside: which runs there are, how far they are, and who is at them; any process may."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import sqlalchemy as sa

from invoca_bulk.errors import ConfigError
from invoca_bulk.journal import db_schema
from invoca_bulk.journal.locations import handles_in
from invoca_bulk.journal.states import RunState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from invoca_bulk.config.settings import JournalLocation
    from invoca_bulk.journal.locations import JournalHandle
    from invoca_bulk.journal.owner import Owner
    from invoca_bulk.journal.records import RowRecord, RunRecord
    from invoca_bulk.journal.store import Journal
    from invoca_bulk.schema.result_columns import Outcome

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """One run of any journal in a place.

    Attributes:
        record: the run.
        totals: outcome to number of rows.
        is_in_use: whether a process is at work on its network.
        is_resumable: whether resuming it would do something.
        owner: the process that is at work on its network; None: none, or it is not known.
    """

    record: RunRecord
    totals: Mapping[Outcome, int]
    is_in_use: bool
    is_resumable: bool
    owner: Owner | None = None

    @property
    def state(self) -> str:
        """Where the run stands; `closed`: it was stopped, and later runs do what it left."""
        is_closed = self.record.state in {RunState.INTERRUPTED, RunState.ABORTED} and not self.is_resumable
        return "closed" if is_closed else self.record.state


def find_results(location: JournalLocation, run: str) -> tuple[RunRecord, list[RowRecord]]:
    """A run and its rows as they stand now, in whichever journal of a place it is; also while another process runs it.

    Raises:
        ConfigError: no journal there knows the run.
    """
    return _query_journal_of_run(
        location, run, lambda its, book: (_with_actual_state(book.run(run), is_in_use=its.is_in_use()), book.rows(run))
    )


def find_run(location: JournalLocation, run: str) -> RunRecord:
    """A run, in whichever journal of a place it is.

    Raises:
        ConfigError: no journal there knows the run.
    """
    return _query_journal_of_run(
        location, run, lambda its, book: _with_actual_state(book.run(run), is_in_use=its.is_in_use())
    )


def find_run_summary(location: JournalLocation, run: str) -> RunSummary | None:
    """A run as `list_runs` gives it; None: no journal in the folder knows it."""
    with contextlib.suppress(ConfigError):
        return _query_journal_of_run(
            location, run, lambda its, book: _summarize_run(book.run(run), its, book, is_in_use=its.is_in_use())
        )
    return None


def list_runs(location: JournalLocation) -> list[RunSummary]:
    """All runs of the journals in a place, the oldest first; also while other processes are at work."""

    def look(its: JournalHandle, book: Journal) -> list[RunSummary]:
        held, totals = its.is_in_use(), book.outcome_totals()
        return [_summarize_run(one, its, book, is_in_use=held, totals=totals.get(one.run, {})) for one in book.runs()]

    found = [one for some in _query_journals(handles_in(location), look) for one in some]
    return sorted(found, key=lambda one: one.record.started_at)


def list_active_runs(location: JournalLocation) -> list[RunSummary]:
    """The runs that processes are at work on now, the oldest first; cheap enough to be asked all the time."""

    def look(its: JournalHandle, book: Journal) -> list[RunSummary]:
        now = [one for one in book.runs() if one.state is RunState.RUNNING]
        return [_summarize_run(one, its, book, is_in_use=True) for one in now]

    held = (one for one in handles_in(location, only_with_owner=True) if one.is_in_use())
    found = [one for some in _query_journals(held, look) for one in some]
    return sorted(found, key=lambda one: one.record.started_at)


def list_incompatible_journals(location: JournalLocation) -> list[JournalHandle]:
    """The journals in a place that another version of this program has written, and that cannot be read."""
    others: list[JournalHandle] = []
    list(_query_journals(handles_in(location), lambda *_: None, others))
    return others


def request_stop(location: JournalLocation, run: str) -> str:
    """Ask the process that is at work on a run to stop softly; a second time, at once. It may be any door's.

    Returns:
        Why it could not be asked, in a sentence; empty: it was.

    Raises:
        ConfigError: no journal in the folder knows the run.
    """
    record, its = _query_journal_of_run(location, run, lambda its, book: (book.run(run), its))
    return its.request_stop(run) if record.state is RunState.RUNNING else "It is not under way any more."


def _summarize_run(
    record: RunRecord,
    handle: JournalHandle,
    book: Journal,
    *,
    is_in_use: bool,
    totals: Mapping[Outcome, int] | None = None,
) -> RunSummary:
    return RunSummary(
        record=_with_actual_state(record, is_in_use=is_in_use),
        totals=book.outcome_totals(record.run).get(record.run, {}) if totals is None else totals,
        is_in_use=is_in_use,
        is_resumable=book.is_resumable(record),
        owner=handle.find_owner() if is_in_use else None,
    )


def _with_actual_state(record: RunRecord, *, is_in_use: bool) -> RunRecord:
    """A run whose process was killed could not record that it was interrupted."""
    is_dead = record.state is RunState.RUNNING and not is_in_use
    return replace(record, state=RunState.INTERRUPTED) if is_dead else record


def _query_journal_of_run(location: JournalLocation, run: str, query: Callable[[JournalHandle, Journal], T]) -> T:
    """What the journal that knows a run says of it."""

    def known(its: JournalHandle, book: Journal) -> T | None:
        with contextlib.suppress(sa.exc.NoResultFound):
            return query(its, book)
        return None

    others: list[JournalHandle] = []
    for found in _query_journals(handles_in(location), known, others):
        if found is not None:
            return found
    unread = " Journals of another version of this program are there too, and cannot be read." if others else ""
    msg = (
        f"No journal in {location} knows the run {run!r}.{unread} "
        "A run's id stands in the column result_run of its results, and in `invoca-bulk runs`."
    )
    raise ConfigError(msg)


def _query_journals(
    handles: Iterable[JournalHandle],
    query: Callable[[JournalHandle, Journal], T],
    incompatible: list[JournalHandle] | None = None,
) -> Iterator[T]:
    """What journals say; those of another version are left out, and put into a list, those that cannot be read too."""
    for one in handles:
        try:
            with one.open_readonly() as book:
                found = query(one, book) if book else None
        except db_schema.IncompatibleVersion:
            (incompatible if incompatible is not None else []).append(one)
        except sa.exc.DatabaseError:
            continue
        else:
            if found is not None:
                yield found
