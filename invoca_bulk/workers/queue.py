"""The queue: DBOS, on the journal's database. The only module that imports DBOS.

DBOS stores the arguments of workflows, so they are ids only. If it runs a chunk twice, the journal shows which steps
were already sent.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypedDict, TypeVar

import sqlalchemy as sa
from dbos import DBOS, DBOSClient

from invoca_bulk.config.journal_location import Database
from invoca_bulk.journal.db_retry import RETRY_SECONDS
from invoca_bulk.journal.postgres import translate_errors
from invoca_bulk.workers import tasks
from invoca_bulk.workers.liveness import Liveness
from invoca_bulk.workers.tasks import Assignment, FinishStatus, QueuedRun

if TYPE_CHECKING:
    from dbos import EnqueueOptions, WorkflowStatus

_T = TypeVar("_T")

_APP_NAME = "invoca-bulk"
#: Version of the workflows and their arguments; workers ignore workflows of another version.
_WORKFLOW_VERSION = "1"
#: Chunks that a worker processes at once per network, so that one is running while another ends.
CHUNKS_PER_NETWORK = 2
#: Seconds between two polls of a queue or an awaited chunk; with many networks, seconds per network.
_POLL_SECONDS, _POLL_SECONDS_PER_NETWORK = 0.2, 0.04
#: Seconds between two checks for dead workers.
_ROUND_SECONDS = 1.0
#: Look for orphaned runs every this many rounds.
_ORPHAN_CHECK_ROUNDS = 15
#: Parts of PostgreSQL's messages for errors that waiting does not fix.
_PERMANENT_ERRORS = (
    *("does not exist", "already exists", "authentication failed", "pg_hba.conf", "permission denied"),
    "resolve host",
)
_ACTIVE_STATUSES = frozenset({"PENDING", "ENQUEUED", "DELAYED"})
#: Rounds without progress in a row after which a run is aborted.
_MAX_IDLE_ROUNDS = 30
#: Maximum number of seconds to wait before the next round.
_MAX_WAIT_SECONDS = 5.0
_ABORT_REASON = "The workers made no progress in repeated attempts. See their logs, then resume the run."

_assignments: Mapping[str, Assignment] = {}
_shutdown = tasks.Shutdown()


def _run_queue_name(key: str) -> str:
    """The queue of a network's runs; the queue of their chunks is named by the network's key alone."""
    return f"{key}.runs"


@DBOS.workflow(name="conduct", max_recovery_attempts=None)
def coordinate_run(key: str, run: str, generation: int) -> None:
    """Enqueue the steps of a run in chunks until there are none, then finish the run."""
    idle_rounds, previous_count = 0, 0
    while idle_rounds < _MAX_IDLE_ROUNDS:
        chunks = DBOS.run_step({"name": "left"}, _runnable_chunks, key, run, generation)
        handles = [DBOS.enqueue_workflow(key, run_chunk, key, run, generation, chunk) for chunk in chunks]
        for handle in handles:
            handle.get_result(polling_interval_sec=_POLL_SECONDS)
        status = "" if chunks else DBOS.run_step({"name": "finish"}, _finalize_run, key, run, generation)
        if status == FinishStatus.ENDED:
            return
        count = sum(map(len, chunks))
        is_progress = status == FinishStatus.BUSY or count not in {0, previous_count}
        idle_rounds, previous_count = (0 if is_progress else idle_rounds + 1), count
        if not chunks or idle_rounds:
            DBOS.sleep(min(_MAX_WAIT_SECONDS, _POLL_SECONDS * 2**idle_rounds))
    DBOS.run_step({"name": "give up"}, _abort_run, key, run, generation)


@DBOS.workflow(name="chunk", max_recovery_attempts=None)
def run_chunk(key: str, run: str, generation: int, steps: list[int]) -> None:
    """Send some steps of a run, given by their numbers."""
    process = partial(tasks.process_chunk, numbers=steps, concurrent_chunks=CHUNKS_PER_NETWORK, shutdown=_shutdown)
    _run_task(key, QueuedRun(run=run, generation=generation), process, fallback=None)


def _runnable_chunks(key: str, run: str, generation: int) -> list[list[int]]:
    return _run_task(key, QueuedRun(run=run, generation=generation), tasks.runnable_chunks, fallback=[])


def _finalize_run(key: str, run: str, generation: int) -> str:
    finalize = partial(tasks.finalize_run, shutdown=_shutdown)
    status = _run_task(key, QueuedRun(run=run, generation=generation), finalize, fallback=None)
    return status.value if status else ""


def _abort_run(key: str, run: str, generation: int) -> None:
    abort = partial(tasks.abort_run, reason=_ABORT_REASON)
    _run_task(key, QueuedRun(run=run, generation=generation), abort, fallback=None)


def _run_task(key: str, queued_run: QueuedRun, task: Callable[[Assignment, QueuedRun], _T], *, fallback: _T) -> _T:
    """Run a task; log its errors instead of storing them in the queue. The coordinator repeats what failed."""
    try:
        return task(_assignments[key], queued_run)
    except Exception as error:  # noqa: BLE001  any error
        logging.getLogger(_APP_NAME).warning("Run %s: %s: %s", queued_run.run, type(error).__name__, error)
        return fallback


# The client's side


def create_queues(database: Database, key: str) -> None:
    """Create the queue's tables and a network's queues, where they are missing."""
    _silence_dbos_logging()
    with translate_errors(database):
        DBOS.migrate(_dbos_url(database))
        with _open_client(database) as client:
            for name, limits in _queue_limits(key).items():
                client.register_queue(name, on_conflict="never_update", polling_interval_sec=_POLL_SECONDS, **limits)


def enqueue_run(database: Database, key: str, queued_run: QueuedRun) -> None:
    """Enqueue a run for workers. Has no effect if it is already enqueued with the same generation."""
    _silence_dbos_logging()
    with translate_errors(database), _open_client(database) as client:
        client.enqueue(_enqueue_options(key, queued_run), key, queued_run.run, queued_run.generation)


@contextlib.contextmanager
def _open_client(database: Database) -> Iterator[DBOSClient]:
    client = DBOSClient(system_database_url=_dbos_url(database), application_name=_APP_NAME)
    try:
        yield client
    finally:
        client.destroy()


def _enqueue_options(key: str, queued_run: QueuedRun) -> EnqueueOptions:
    return {
        "workflow_name": "conduct",
        "queue_name": _run_queue_name(key),
        "workflow_id": _workflow_id(queued_run),
        "app_version": _WORKFLOW_VERSION,
    }


def _workflow_id(queued_run: QueuedRun) -> str:
    return f"{queued_run.run}.{queued_run.generation}"


class _QueueLimits(TypedDict, total=False):
    """Maximum number of concurrent workflows of a queue: of all workers, and per worker."""

    global_concurrency: int
    worker_concurrency: int


def _queue_limits(key: str) -> Mapping[str, _QueueLimits]:
    return {_run_queue_name(key): {"global_concurrency": 1}, key: {"worker_concurrency": CHUNKS_PER_NETWORK}}


# The worker's side


class Worker:
    """A process that runs enqueued workflows of some networks, all in one database."""

    def __init__(self, assignments: Sequence[Assignment]) -> None:
        self._database = assignments[0].database
        self._assignments = {tasks.network_key(assignment.network): assignment for assignment in assignments}
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"

    def run(self, stop_event: threading.Event) -> None:
        """Work until the event is set, then wait for running steps to end.

        The program must then exit with `os._exit`: the queue's threads would wait for other workers.
        """
        global _assignments  # noqa: PLW0603  the queue calls workflows by name
        _assignments = self._assignments
        _silence_dbos_logging()
        with Liveness(self._database, self.name) as liveness:
            with translate_errors(self._database):
                self._connect(liveness, stop_event)
            for round_number in itertools.count():
                if stop_event.wait(_ROUND_SECONDS):
                    break
                with contextlib.suppress(Exception):  # the database is unavailable; retried in the next round
                    liveness.renew()
                    self._requeue_from_dead_workers(liveness)
                    if round_number % _ORPHAN_CHECK_ROUNDS == 0:
                        self._requeue_orphaned_runs()
            _shutdown.request()
            while not _shutdown.is_idle:
                time.sleep(_POLL_SECONDS)

    def _connect(self, liveness: Liveness, stop_event: threading.Event) -> None:
        """Connect to the queue; retries while the database restarts."""
        deadline = time.monotonic() + RETRY_SECONDS
        while not stop_event.is_set():
            try:
                liveness.renew()
                self._launch()
            except sa.exc.SQLAlchemyError as error:
                if time.monotonic() > deadline or any(part in str(error) for part in _PERMANENT_ERRORS):
                    raise
                logging.getLogger(_APP_NAME).warning("Waiting for PostgreSQL at %s.", self._database)
                DBOS.destroy()
                stop_event.wait(_ROUND_SECONDS)
            else:
                return

    def _launch(self) -> None:
        DBOS(
            config={
                "name": _APP_NAME,
                "system_database_url": _dbos_url(self._database),
                "application_version": _WORKFLOW_VERSION,
                "executor_id": self.name,
                "console_log_level": "CRITICAL",
            }
        )
        DBOS.listen_queues([name for key in self._assignments for name in _queue_limits(key)])
        DBOS.launch()
        poll_seconds = max(_POLL_SECONDS, _POLL_SECONDS_PER_NETWORK * len(self._assignments))
        for key in self._assignments:
            for name, limits in _queue_limits(key).items():
                DBOS.register_queue(name, on_conflict="always_update", polling_interval_sec=poll_seconds, **limits)

    def _requeue_from_dead_workers(self, liveness: Liveness) -> None:
        """Enqueue the workflows of dead workers again."""
        busy_workers = {str(workflow.executor_id) for workflow in _pending_workflows()} - {self.name}
        for name in liveness.dead_workers(busy_workers):
            with liveness.claim_if_dead(name) as is_dead:
                # Listed again under the claim: another worker may have enqueued them meanwhile.
                for workflow in _pending_workflows(name) if is_dead else ():
                    DBOS.resume_workflow(workflow.workflow_id, queue_name=workflow.queue_name)

    def _requeue_orphaned_runs(self) -> None:
        """Enqueue active runs that have no coordinator: the client ended too early, or the queue lost it."""
        for key, assignment in self._assignments.items():
            active_run = tasks.find_active_run(assignment)
            status = DBOS.get_workflow_status(_workflow_id(active_run)) if active_run else None
            if active_run is None or (status and status.status in _ACTIVE_STATUSES):
                continue
            queued_run = tasks.requeue_run(assignment, active_run) if status else active_run
            if queued_run:
                options = _enqueue_options(key, queued_run)
                DBOS.enqueue_workflow_with_options(options, key, queued_run.run, queued_run.generation)


def _pending_workflows(executor: str | None = None) -> list[WorkflowStatus]:
    """The workflows that workers are running; of all workers, or of one."""
    return DBOS.list_workflows(status="PENDING", executor_id=executor, load_input=False, load_output=False)


def _dbos_url(database: Database) -> str:
    """The database's URL without a driver, as DBOS expects it."""
    return "postgresql://" + database.reveal().partition("://")[2]


def _silence_dbos_logging() -> None:
    """Keep DBOS from logging everything it does, which would show addresses."""
    logging.getLogger("dbos").setLevel(logging.CRITICAL)
