"""Read-only queries over all journals: runs, progress and owners. Safe from any process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import sqlalchemy as sa

from invoca_bulk.config.journal_location import JournalLocation
from invoca_bulk.errors import ConfigError
from invoca_bulk.journal import db_schema
from invoca_bulk.journal.locations import JournalHandle, handles_in
from invoca_bulk.journal.owner import Owner
from invoca_bulk.journal.records import RowRecord, RunRecord, RunTotals, StepRecord
from invoca_bulk.journal.states import NOT_RUNNING, RunState
from invoca_bulk.journal.store import Journal
from invoca_bulk.schema.outcomes import Outcome
from invoca_bulk.wording import remedy

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """A run in one of the journals at a location."""

    record: RunRecord
    totals: Mapping[Outcome, int]  # number of rows that the run itself did, or tried to
    earlier_totals: Mapping[Outcome, int]  # number of rows that earlier runs had done
    undone_by: str = ""  # the later run that has undone it; empty: none
    is_in_use: bool  # whether a process is working on the run's network
    is_resumable: bool  # whether resuming it would do anything
    owner: Owner | None = None  # the process working on the run's network; None: there is none, or it is unknown

    @property
    def state(self) -> str:
        """State of the run; `closed`: it was stopped, and later runs do its remaining steps."""
        is_closed = self.record.state in {RunState.INTERRUPTED, RunState.ABORTED} and not self.is_resumable
        return "closed" if is_closed else self.record.state


def find_results(location: JournalLocation, run: str) -> tuple[RunRecord, list[RowRecord]]:
    """A run and the current state of its rows, from whichever journal has it; works while another process runs it."""
    return _query_journal_of_run(
        location, run, lambda handle, journal: (_read_run(handle, journal, run), journal.rows(run))
    )


def find_done_writes(location: JournalLocation, run: str) -> list[StepRecord]:
    """The steps of a run that created or updated an advertiser, from whichever journal has it."""
    return _query_journal_of_run(location, run, lambda _, journal: journal.done_writes(run))


def find_run(location: JournalLocation, run: str) -> RunRecord:
    """A run, from whichever journal at the location has it."""
    return _query_journal_of_run(location, run, lambda handle, journal: _read_run(handle, journal, run))


def find_run_summary(location: JournalLocation, run: str) -> RunSummary | None:
    """A run as `list_runs` returns it; None: no journal at the location has it."""
    with contextlib.suppress(ConfigError):
        return _query_journal_of_run(
            location,
            run,
            lambda handle, journal: _summarize_run(
                journal.run(run), handle, journal, is_in_use=handle.is_in_use(), undone=journal.undone_runs()
            ),
        )
    return None


def list_runs(location: JournalLocation) -> list[RunSummary]:
    """All runs of the journals at a location, oldest first; works while other processes are running."""

    def summarize_all(handle: JournalHandle, journal: Journal) -> list[RunSummary]:
        is_in_use, totals, undone = handle.is_in_use(), journal.outcome_totals(), journal.undone_runs()
        return [
            _summarize_run(record, handle, journal, is_in_use=is_in_use, totals=totals, undone=undone)
            for record in journal.runs()
        ]

    return _collect_summaries(handles_in(location), summarize_all)


def find_network_ids(location: JournalLocation, base_url: str) -> set[str]:
    """The network ids of all runs at a base URL; empty text: a run that named none."""
    ids_by_journal = _query_journals(handles_in(location), lambda _, journal: journal.network_ids(base_url))
    return set().union(*ids_by_journal)


def list_active_runs(location: JournalLocation) -> list[RunSummary]:
    """The runs that processes are working on now, oldest first; cheap enough to poll."""

    def summarize_active(handle: JournalHandle, journal: Journal) -> list[RunSummary]:
        running = [record for record in journal.runs() if record.state is RunState.RUNNING]
        undone = journal.undone_runs() if running else {}
        return [_summarize_run(record, handle, journal, is_in_use=True, undone=undone) for record in running]

    handles_in_use = (handle for handle in handles_in(location, only_with_owner=True) if handle.is_in_use())
    return _collect_summaries(handles_in_use, summarize_active)


def _collect_summaries(
    handles: Iterable[JournalHandle], query: Callable[[JournalHandle, Journal], list[RunSummary]]
) -> list[RunSummary]:
    summaries = [summary for summaries in _query_journals(handles, query) for summary in summaries]
    return sorted(summaries, key=lambda summary: summary.record.started_at)


def list_incompatible_journals(location: JournalLocation) -> list[JournalHandle]:
    """The journals at a location that cannot be read because another version of this program wrote them."""
    incompatible: list[JournalHandle] = []
    list(_query_journals(handles_in(location), lambda *_: None, incompatible))
    return incompatible


def request_stop(location: JournalLocation, run: str) -> str:
    """Ask the process working on a run to stop gracefully; a second request stops it at once.

    Returns why the request could not be made; empty: it was made.
    """
    record, handle = _query_journal_of_run(location, run, lambda handle, journal: (journal.run(run), handle))
    return handle.request_stop(run) if record.state is RunState.RUNNING else NOT_RUNNING


def _summarize_run(  # noqa: PLR0913  a run, and what was queried for all runs at once
    record: RunRecord,
    handle: JournalHandle,
    journal: Journal,
    *,
    is_in_use: bool,
    undone: Mapping[str, str],
    totals: Mapping[str, RunTotals] | None = None,
) -> RunSummary:
    run_totals = (journal.outcome_totals(record.run) if totals is None else totals).get(record.run, RunTotals())
    return RunSummary(
        record=_with_actual_state(record, is_in_use=is_in_use),
        totals=run_totals.own,
        earlier_totals=run_totals.earlier,
        undone_by=undone.get(record.run, ""),
        is_in_use=is_in_use,
        is_resumable=journal.is_resumable(record),
        owner=handle.find_owner() if is_in_use else None,
    )


def _read_run(handle: JournalHandle, journal: Journal, run: str) -> RunRecord:
    return _with_actual_state(journal.run(run), is_in_use=handle.is_in_use())


def _with_actual_state(record: RunRecord, *, is_in_use: bool) -> RunRecord:
    """A killed process cannot record that its run was interrupted."""
    is_dead = record.state is RunState.RUNNING and not is_in_use
    return replace(record, state=RunState.INTERRUPTED) if is_dead else record


def _query_journal_of_run(location: JournalLocation, run: str, query: Callable[[JournalHandle, Journal], T]) -> T:
    """The result of a query on the journal that has a run."""

    def query_if_found(handle: JournalHandle, journal: Journal) -> T | None:
        with contextlib.suppress(sa.exc.NoResultFound):
            return query(handle, journal)
        return None

    others: list[JournalHandle] = []
    for result in _query_journals(handles_in(location), query_if_found, others):
        return result
    unread = " Journals of another version of this program are there too, and cannot be read." if others else ""
    raise ConfigError(
        f"No journal in {location} knows the run {run!r}.{unread} "
        f"The column result_run of its results has the id of a run; to list all runs: {remedy('runs')}"
    )


def _query_journals(
    handles: Iterable[JournalHandle],
    query: Callable[[JournalHandle, Journal], T | None],
    incompatible: list[JournalHandle] | None = None,
) -> Iterator[T]:
    """The results of a query on each journal, without None.

    Journals of another version are appended to `incompatible`; those that cannot be read are skipped.
    """
    for handle in handles:
        try:
            with handle.open_readonly() as journal:
                result = query(handle, journal) if journal else None
        except db_schema.IncompatibleVersion:
            (incompatible if incompatible is not None else []).append(handle)
        except sa.exc.DatabaseError:
            continue
        else:
            if result is not None:
                yield result
