"""Tasks of workers: send some steps of a run, and finish the run. Each task may be executed twice."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from invoca_bulk import execution, journal, transport
from invoca_bulk.config.journal_location import Database
from invoca_bulk.config.network import Network
from invoca_bulk.config.options import ExecutionPolicy, Options
from invoca_bulk.errors import AuthenticationError, JournalLockedError, LeaseLostError, TooManyFailuresError
from invoca_bulk.execution import RunOutcome, Workload
from invoca_bulk.journal import Journal, RunRecord, RunState, State
from invoca_bulk.transport.client import Client
from invoca_bulk.transport.rate_limiter import INITIAL_RATE

_Operation: TypeAlias = "Callable[[execution.Executor, Client], Coroutine[None, None, RunOutcome]]"

#: Steps per chunk: a few seconds of work, so that little is repeated when a worker dies.
CHUNK_SIZE = 50


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """A network that a worker works for, with its token."""

    database: Database
    network: Network


@dataclass(frozen=True, kw_only=True)
class QueuedRun:
    """A run that was enqueued for workers."""

    run: str
    generation: int  # how often it was enqueued; tasks of earlier generations do nothing

    def is_active(self, record: RunRecord) -> bool:
        """Whether the recorded run is running, not asked to stop, and of this generation."""
        is_current = record.worker_options is not None and generation_of(record) == self.generation
        return is_current and record.state is RunState.RUNNING and not record.is_stop_requested


class FinishStatus(StrEnum):
    """The result of `finalize_run`."""

    ENDED = "ended"
    BUSY = "busy"  # other workers still work on the run
    STEPS_LEFT = "left"  # some steps can be enqueued again


def runnable_chunks(assignment: Assignment, queued_run: QueuedRun) -> list[list[int]]:
    """The numbers of the steps that can be sent now, in chunks; empty: the run can be finished.

    All are of one phase, because steps of the next phase may depend on them.
    """
    with journal.open_readonly(assignment.database, assignment.network) as open_journal:
        is_active = open_journal is not None and queued_run.is_active(open_journal.run(queued_run.run))
        numbers = open_journal.runnable_steps(queued_run.run) if open_journal and is_active else []
    return [numbers[start : start + CHUNK_SIZE] for start in range(0, len(numbers), CHUNK_SIZE)]


def process_chunk(
    assignment: Assignment,
    queued_run: QueuedRun,
    numbers: Collection[int],
    *,
    concurrent_chunks: int,
    shutdown: Shutdown,
) -> None:
    """Send some steps of a run; steps in doubt, or that cannot be sent now, are left.

    `concurrent_chunks`: how many chunks a worker processes at once; they share the run's concurrent requests.
    """
    try:
        with journal.open_for_writing(assignment.database, assignment.network, exclusive=False) as open_journal:
            record = open_journal.run(queued_run.run)
            if queued_run.is_active(record):
                work = execution.workload_from_steps(open_journal, record, numbers)
                worker_execution = _WorkerExecution(
                    assignment, open_journal, record, work, shutdown, concurrent_chunks=concurrent_chunks
                )
                outcome = worker_execution.run(
                    lambda executor, client: executor.send_steps(client, worker_execution.slots)
                )
                _stop_all_on_fatal_error(open_journal, record, outcome)
    except (JournalLockedError, LeaseLostError):
        return  # the coordinator enqueues the steps again


def finalize_run(assignment: Assignment, queued_run: QueuedRun, *, shutdown: Shutdown) -> FinishStatus:
    """Send the remaining steps of a run, reconcile those in doubt, and record its end, as the only process on it.

    Reconciling assigns unrecorded numbers to steps in doubt, so no other process may be waiting for a response.
    """
    try:
        with journal.open_for_writing(
            assignment.database, assignment.network, run_to_finish=queued_run.run
        ) as open_journal:
            return _finalize_in_journal(assignment, open_journal, queued_run, shutdown)
    except (JournalLockedError, LeaseLostError):
        return FinishStatus.BUSY


def _finalize_in_journal(
    assignment: Assignment, open_journal: Journal, queued_run: QueuedRun, shutdown: Shutdown
) -> FinishStatus:
    record = open_journal.run(queued_run.run)
    if queued_run.is_active(record):
        if open_journal.runnable_steps(queued_run.run):
            return FinishStatus.STEPS_LEFT
        work = execution.workload_from_unfinished(open_journal, record)
        worker_execution = _WorkerExecution(assignment, open_journal, record, work, shutdown)
        outcome = worker_execution.run(lambda executor, client: executor.execute(client, worker_execution.slots))
        _stop_all_on_fatal_error(open_journal, record, outcome)
        if worker_execution.learned_rate:
            open_journal.save_rate(worker_execution.learned_rate, now=open_journal.now())
        record = open_journal.run(queued_run.run)
        if outcome.state is not RunState.FINISHED and not record.is_stop_requested:
            return FinishStatus.STEPS_LEFT  # this worker leaves, or has a problem that others may not have
    if record.state is RunState.RUNNING and generation_of(record) == queued_run.generation:
        is_stopped = record.is_stop_requested and bool(record.note or open_journal.open_steps(queued_run.run))
        stopped_state = RunState.ABORTED if record.note else RunState.INTERRUPTED
        state = stopped_state if is_stopped else RunState.FINISHED
        open_journal.end_run(queued_run.run, state, now=open_journal.now(), note=record.note)
    return FinishStatus.ENDED


def _stop_all_on_fatal_error(open_journal: Journal, record: RunRecord, outcome: RunOutcome) -> None:
    """Stop all workers on errors that would stop each of them; if only this one cannot connect, the others continue."""
    if isinstance(outcome.error, (AuthenticationError, TooManyFailuresError)):
        note = outcome.error.text
        if isinstance(outcome.error, AuthenticationError):  # the token is this worker's
            note += f" (The worker: process {os.getpid()} on {socket.gethostname()}.)"
        open_journal.request_stop(record.run, note)
    if outcome.error:
        logging.getLogger("invoca-bulk").warning("Run %s: %s", record.run, outcome.error)


def abort_run(assignment: Assignment, queued_run: QueuedRun, reason: str) -> None:
    """Record that a run was aborted, if it is still active."""
    with journal.open_for_writing(
        assignment.database, assignment.network, run_to_finish=queued_run.run
    ) as open_journal:
        if queued_run.is_active(open_journal.run(queued_run.run)):
            open_journal.end_run(queued_run.run, RunState.ABORTED, now=open_journal.now(), note=reason)


def find_active_run(assignment: Assignment) -> QueuedRun | None:
    """The latest running run of a network that is assigned to workers; None: there is none."""
    with journal.open_readonly(assignment.database, assignment.network) as open_journal:
        runs = open_journal.runs() if open_journal else []
    active = [record for record in runs if record.worker_options and record.state is RunState.RUNNING]
    return QueuedRun(run=active[-1].run, generation=generation_of(active[-1])) if active else None


def requeue_run(assignment: Assignment, queued_run: QueuedRun) -> QueuedRun | None:
    """Record that an orphaned run is enqueued again, as the next generation; None: it is no longer active."""
    with journal.open_for_writing(assignment.database, assignment.network, exclusive=False) as open_journal:
        record = open_journal.run(queued_run.run)
        worker_options = {**(record.worker_options or {}), "turn": queued_run.generation + 1}
        is_requeued = queued_run.is_active(record) and open_journal.requeue_run(queued_run.run, worker_options)
    return QueuedRun(run=queued_run.run, generation=queued_run.generation + 1) if is_requeued else None


class Shutdown:
    """Stops the executions of a worker that leaves, gracefully, so that each outcome is recorded."""

    def __init__(self) -> None:
        self.is_requested = False
        self._stop_callbacks: set[Callable[[], None]] = set()

    def request(self) -> None:
        """Stop all executions; later ones are stopped as soon as they start."""
        self.is_requested = True
        for stop in list(self._stop_callbacks):
            with contextlib.suppress(RuntimeError):  # it has just ended
                stop()

    def register(self, stop: Callable[[], None]) -> None:
        """Register an execution that starts; `stop`: stops it, called from any thread."""
        self._stop_callbacks.add(stop)
        if self.is_requested:
            stop()

    def unregister(self, stop: Callable[[], None]) -> None:
        """Remove an execution that has ended."""
        self._stop_callbacks.discard(stop)

    @property
    def is_idle(self) -> bool:
        """Whether no execution is running."""
        return not self._stop_callbacks


class _WorkerExecution:
    """One execution of some steps of a run."""

    def __init__(  # noqa: PLR0913  an execution needs all of them
        self,
        assignment: Assignment,
        open_journal: Journal,
        record: RunRecord,
        work: Workload,
        shutdown: Shutdown,
        *,
        concurrent_chunks: int = 1,
    ) -> None:
        self._network = replace(assignment.network, api_version=record.api_version)
        self._options = options = options_from_record(record)
        self._shutdown = shutdown
        self.slots = max(1, -(-options.concurrency // concurrent_chunks))  # maximum number of concurrent requests
        self._executor = execution.Executor(
            work=work,
            network=self._network,
            journal=open_journal,
            rate_limiter=transport.RateLimiter(
                options.rate, first_rate=INITIAL_RATE, learned_rate=open_journal.saved_rate(), cautious=True
            ),
            policy=_remaining_policy(self._network, open_journal, record, options),
            counters=execution.RunCounters(),
            clock=open_journal.now,
        )
        self.learned_rate: float | None = None  # as in `Executor`, after the execution has ended

    def run(self, operation: _Operation) -> RunOutcome:
        outcome = asyncio.run(self._run_async(operation))
        self.learned_rate = self._executor.learned_rate
        return outcome

    async def _run_async(self, operation: _Operation) -> RunOutcome:
        loop = asyncio.get_running_loop()

        def stop() -> None:
            loop.call_soon_threadsafe(self._executor.stop)

        self._shutdown.register(stop)
        try:
            async with Client(self._network, connections=self.slots, timeout=self._options.timeout) as client:
                return await operation(self._executor, client)
        finally:
            self._shutdown.unregister(stop)


def _remaining_policy(network: Network, open_journal: Journal, record: RunRecord, options: Options) -> ExecutionPolicy:
    """The run's policy, with the allowed failures reduced by those that have already happened."""
    if options.max_failures is None:
        return options.execution_policy(network, 0)
    policy = options.execution_policy(network, open_journal.count_steps(record.run))
    failures = open_journal.count_steps(record.run, State.REJECTED, State.FAILED)
    return replace(policy, max_failures=max(1, (policy.max_failures or 1) - failures))


#: Options that workers need; the others only affect the plan, or what the client shows.
_WORKER_OPTION_NAMES = (
    *("concurrency", "rate", "timeout", "settle", "max_failures", "first_backoff"),
    *("resend_absent", "resend_unknown", "doubt_refusals"),
)


def worker_options(options: Options, generation: int) -> dict[str, object]:
    """The options of a run that the journal stores for its workers, and how often the run was enqueued."""
    return {name: getattr(options, name) for name in _WORKER_OPTION_NAMES} | {"turn": generation}


def options_from_record(record: RunRecord) -> Options:
    """The options of a run that `worker_options` stored."""
    options = {name: value for name, value in (record.worker_options or {}).items() if name in _WORKER_OPTION_NAMES}
    return Options(**options, progress=False)


def generation_of(record: RunRecord) -> int:
    """How often a run was enqueued for workers."""
    return int((record.worker_options or {}).get("turn", 0))


def network_key(network: Network) -> str:
    """The schema name of a network's journal, which also names its queues."""
    from invoca_bulk.journal.postgres import schema_name  # noqa: PLC0415  it needs a driver

    return schema_name(base_url=network.base_url, network_id=network.network_id)
