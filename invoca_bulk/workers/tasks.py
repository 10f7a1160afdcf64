"""What a worker does: some steps of a run, and in the end what is left of it. All of it may be done twice."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from invoca_bulk import execution, journal, transport
from invoca_bulk.config.options import Options
from invoca_bulk.config.settings import INITIAL_RATE
from invoca_bulk.errors import AuthenticationError, JournalLockedError, LeaseLostError, TooManyFailuresError
from invoca_bulk.journal import RunState, State
from invoca_bulk.transport.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Sequence

    from invoca_bulk.config.options import ExecutionPolicy
    from invoca_bulk.config.settings import Database, Network
    from invoca_bulk.execution import RunOutcome, Workload
    from invoca_bulk.journal import Journal, RunRecord

_Operation: TypeAlias = "Callable[[execution.Executor, Client], Coroutine[None, None, RunOutcome]]"

#: Steps of one chunk: a few seconds of work, so that little is done again when a worker dies.
CHUNK_SIZE = 50


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """Where a worker works.

    Attributes:
        database: where the journals are.
        network: whose steps it does, with the token.
    """

    database: Database
    network: Network


@dataclass(frozen=True, kw_only=True)
class QueuedRun:
    """A run that was handed to workers.

    Attributes:
        run: its id.
        generation: counts how often it was; once it was handed out again, what was begun before is no longer wanted.
    """

    run: str
    generation: int

    def is_active(self, record: RunRecord) -> bool:
        """Whether it is still to be done."""
        is_mine = record.worker_options is not None and generation_of(record) == self.generation
        return is_mine and record.state is RunState.RUNNING and not record.is_stop_requested


class FinishStatus(StrEnum):
    """What became of bringing a run to its end."""

    ENDED = "ended"
    BUSY = "busy"  # others are still at it
    STEPS_LEFT = "left"  # something is left that can be handed out


def runnable_chunks(assignment: Assignment, queued_run: QueuedRun) -> list[list[int]]:
    """The numbers of the steps that can be sent now, in chunks; empty: the rest is to be finished.

    They are those of one phase: the next phase's may depend on them.
    """
    with journal.open_readonly(assignment.database, assignment.network) as book:
        ready = book.runnable_steps(queued_run.run) if book and queued_run.is_active(book.run(queued_run.run)) else []
    return [ready[at : at + CHUNK_SIZE] for at in range(0, len(ready), CHUNK_SIZE)]


def process_chunk(
    assignment: Assignment,
    queued_run: QueuedRun,
    numbers: Collection[int],
    *,
    concurrent_chunks: int,
    shutdown: Shutdown,
) -> None:
    """Send some steps of a run; what is in doubt, or cannot be sent now, is left.

    Args:
        assignment: where.
        queued_run: the run.
        numbers: of the steps.
        concurrent_chunks: so many chunks are done at once, and share the requests that may be under way.
        shutdown: told how to stop it.
    """
    try:
        with journal.open_for_writing(assignment.database, assignment.network, exclusive=False) as book:
            record = book.run(queued_run.run)
            if queued_run.is_active(record):
                work = execution.workload_from_steps(book, record, numbers)
                one = _WorkerExecution(assignment, book, record, work, shutdown, concurrent_chunks=concurrent_chunks)
                _stop_all_on_fatal_error(
                    book, record, one.run(lambda running, client: running.send_steps(client, one.slots))
                )
    except (JournalLockedError, LeaseLostError):
        return  # the steps are left, and handed out again


def finalize_run(assignment: Assignment, queued_run: QueuedRun, *, shutdown: Shutdown) -> FinishStatus:
    """Do what is left of a run, settle what is in doubt, and record that it has ended; nobody else is at it meanwhile.

    Settling takes numbers that nobody has recorded for those of steps in doubt: no answer may be on its way.
    """
    try:
        with journal.open_for_writing(assignment.database, assignment.network, run_to_finish=queued_run.run) as book:
            return _finalize_in_journal(assignment, book, queued_run, shutdown)
    except (JournalLockedError, LeaseLostError):
        return FinishStatus.BUSY


def _finalize_in_journal(
    assignment: Assignment, book: Journal, queued_run: QueuedRun, shutdown: Shutdown
) -> FinishStatus:
    record = book.run(queued_run.run)
    if queued_run.is_active(record):
        if book.runnable_steps(queued_run.run):
            return FinishStatus.STEPS_LEFT
        one = _WorkerExecution(assignment, book, record, execution.workload_from_unfinished(book, record), shutdown)
        ended = one.run(lambda running, client: running.execute(client, one.slots))
        _stop_all_on_fatal_error(book, record, ended)
        if one.learned_rate:
            book.save_rate(one.learned_rate, now=book.now())
        record = book.run(queued_run.run)
        if ended.state is not RunState.FINISHED and not record.is_stop_requested:
            return FinishStatus.STEPS_LEFT  # only this worker leaves, or has a trouble of its own
    if record.state is RunState.RUNNING and generation_of(record) == queued_run.generation:
        stopped = RunState.ABORTED if record.note else RunState.INTERRUPTED
        is_stopped = record.is_stop_requested and bool(record.note or book.open_steps(queued_run.run))
        state = stopped if is_stopped else RunState.FINISHED
        book.end_run(queued_run.run, state, now=book.now(), note=record.note)
    return FinishStatus.ENDED


def _stop_all_on_fatal_error(book: Journal, record: RunRecord, ended: RunOutcome) -> None:
    """Stop all workers for what would stop each of them; one that cannot reach the platform leaves it to the others."""
    if isinstance(ended.error, (AuthenticationError, TooManyFailuresError)):
        whose = f" (The worker: process {os.getpid()} on {socket.gethostname()}.)"
        book.request_stop(record.run, f"{ended.error}{whose if isinstance(ended.error, AuthenticationError) else ''}")
    if ended.error:
        logging.getLogger("invoca-bulk").warning("Run %s: %s", record.run, ended.error)


def abort_run(assignment: Assignment, queued_run: QueuedRun, reason: str) -> None:
    """Record that a run cannot go on."""
    with journal.open_for_writing(assignment.database, assignment.network, run_to_finish=queued_run.run) as book:
        if queued_run.is_active(book.run(queued_run.run)):
            book.end_run(queued_run.run, RunState.ABORTED, now=book.now(), note=reason)


def find_active_run(assignment: Assignment) -> QueuedRun | None:
    """The run of a network that workers are to do; None: there is none."""
    with journal.open_readonly(assignment.database, assignment.network) as book:
        wanted = [one for one in book.runs() if one.worker_options and one.state is RunState.RUNNING] if book else []
    return QueuedRun(run=wanted[-1].run, generation=generation_of(wanted[-1])) if wanted else None


def requeue_run(assignment: Assignment, queued_run: QueuedRun) -> QueuedRun | None:
    """Record that a run, of which nothing is handed out any more, is handed out again; None: it has ended meanwhile."""
    with journal.open_for_writing(assignment.database, assignment.network, exclusive=False) as book:
        record = book.run(queued_run.run)
        workers = {**(record.worker_options or {}), "turn": queued_run.generation + 1}
        is_wanted = queued_run.is_active(record) and book.requeue_run(queued_run.run, workers)
    return QueuedRun(run=queued_run.run, generation=queued_run.generation + 1) if is_wanted else None


class Shutdown:
    """How a worker that leaves stops what it is at: softly, so that each outcome is recorded."""

    def __init__(self) -> None:
        self.is_requested = False
        self._stop_callbacks: set[Callable[[], None]] = set()

    def request(self) -> None:
        """Stop all of it; what begins later is stopped at once."""
        self.is_requested = True
        for stop in list(self._stop_callbacks):
            with contextlib.suppress(RuntimeError):  # it has just ended by itself
                stop()

    def register(self, stop: Callable[[], None]) -> None:
        """Something begins that can be stopped so, from any thread."""
        self._stop_callbacks.add(stop)
        if self.is_requested:
            stop()

    def unregister(self, stop: Callable[[], None]) -> None:
        """It has ended."""
        self._stop_callbacks.discard(stop)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._stop_callbacks


class _WorkerExecution:
    """One execution of some steps of a run.

    Attributes:
        slots: how many requests may be under way at once.
        learned_rate: as in `Executor`, once it has ended.
    """

    def __init__(  # noqa: PLR0913  what, where, and how much of a worker it may take
        self,
        assignment: Assignment,
        book: Journal,
        record: RunRecord,
        work: Workload,
        shutdown: Shutdown,
        *,
        concurrent_chunks: int = 1,
    ) -> None:
        self._network = replace(assignment.network, api_version=record.api_version)
        self._options = options = options_from_record(record)
        self._shutdown = shutdown
        self.slots = max(1, -(-options.concurrency // concurrent_chunks))
        self._execution = execution.Executor(
            work=work,
            network=self._network,
            journal=book,
            rate_limiter=transport.RateLimiter(
                options.rate, first_rate=INITIAL_RATE, learned_rate=book.saved_rate(), cautious=True
            ),
            policy=_remaining_policy(self._network, book, record, options),
            counters=execution.RunCounters(),
            clock=book.now,
        )
        self.learned_rate: float | None = None

    def run(self, operation: _Operation) -> RunOutcome:
        ended = asyncio.run(self._run_async(operation))
        self.learned_rate = self._execution.learned_rate
        return ended

    async def _run_async(self, operation: _Operation) -> RunOutcome:
        loop = asyncio.get_running_loop()

        def stop() -> None:
            loop.call_soon_threadsafe(self._execution.stop)

        self._shutdown.register(stop)
        try:
            async with Client(self._network, connections=self.slots, timeout=self._options.timeout) as client:
                return await operation(self._execution, client)
        finally:
            self._shutdown.unregister(stop)


def _remaining_policy(network: Network, book: Journal, record: RunRecord, options: Options) -> ExecutionPolicy:
    """As for the whole run; of the steps that may fail, those are left that have not failed before."""
    if options.max_failures is None:
        return options.execution_policy(network, 0)
    rules = options.execution_policy(network, book.count_steps(record.run))
    failed = book.count_steps(record.run, State.REJECTED, State.FAILED)
    return replace(rules, max_failures=max(1, (rules.max_failures or 1) - failed))


#: Options that the workers of a run need; the others decide what is planned, or what the client shows.
_WORKER_OPTION_NAMES = (
    *("concurrency", "rate", "timeout", "settle", "max_failures", "first_backoff"),
    *("resend_absent", "resend_unknown", "doubt_refusals"),
)


def worker_options(options: Options, generation: int) -> dict[str, object]:
    """What the journal keeps of a run's options for its workers.

    Args:
        options: of the run.
        generation: counts how often it was handed to them.
    """
    return {name: getattr(options, name) for name in _WORKER_OPTION_NAMES} | {"turn": generation}


def options_from_record(record: RunRecord) -> Options:
    """The options of a run, as `worker_options` kept them."""
    kept = {name: value for name, value in (record.worker_options or {}).items() if name in _WORKER_OPTION_NAMES}
    return Options(**kept, progress=False)


def generation_of(record: RunRecord) -> int:
    """How often a run was handed to workers."""
    return int((record.worker_options or {}).get("turn", 0))


def assignments_by_key(assignments: Sequence[Assignment]) -> dict[str, Assignment]:
    """The posts of a worker, by the names of their networks' journals."""
    from invoca_bulk.journal.postgres import schema_name  # noqa: PLC0415  it needs a driver

    return {schema_name(base_url=one.network.base_url, network_id=one.network.network_id): one for one in assignments}
