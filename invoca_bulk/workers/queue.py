"""The queue: DBOS, on the database of the journal. Nothing else imports it.

Its workflows get ids only, for it stores what they get. It retries nothing: a step of a run that is handed out twice
finds in the journal that it was sent.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import secrets
import socket
import time
from typing import TYPE_CHECKING, TypedDict, TypeVar

import sqlalchemy as sa
from dbos import DBOS, DBOSClient

from invoca_bulk.journal.db_retry import RETRY_SECONDS
from invoca_bulk.journal.postgres import translate_errors
from invoca_bulk.workers import tasks
from invoca_bulk.workers.liveness import Liveness
from invoca_bulk.workers.tasks import FinishStatus, QueuedRun

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from dbos import EnqueueOptions, WorkflowStatus

    from invoca_bulk.config.settings import Database
    from invoca_bulk.workers.tasks import Assignment

_T = TypeVar("_T")

_APP_NAME = "invoca-bulk"
#: Of what the workflows do with their arguments: workers of another one leave them alone.
_WORKFLOW_VERSION = "1"
#: Chunks that a worker does at once for each network: the next one is under way when one comes to its end.
CHUNKS_PER_NETWORK = 2
#: Seconds between two looks at a queue, and at a chunk that is awaited; so many for each network, where there are many.
_POLL_SECONDS, _POLL_SECONDS_PER_NETWORK = 0.2, 0.04
#: Seconds between two looks for workers that have died.
_ROUND_SECONDS = 1.0
#: So many looks apart it is looked for runs that nobody hands out.
_ORPHAN_CHECK_ROUNDS = 15
#: What PostgreSQL says where waiting for it does not help.
_PERMANENT_ERRORS = (
    *("does not exist", "already exists", "authentication failed", "pg_hba.conf", "permission denied"),
    "resolve host",
)
_ACTIVE_STATUSES = frozenset({"PENDING", "ENQUEUED", "DELAYED"})
#: So many times in a row nothing may come out of handing out what is left, before the run is given up.
_MAX_IDLE_ROUNDS = 30
#: Seconds to wait before the rest is handed out again, at most.
_MAX_WAIT_SECONDS = 5.0
_ABORT_REASON = (
    "Workers could not go on with it, though they tried again and again; see what they wrote. Then resume it."
)

_assignments: Mapping[str, Assignment] = {}
_shutdown = tasks.Shutdown()


def _run_queue_name(key: str) -> str:
    """The queue of a network's runs; that of their chunks has the network's key as its name."""
    return f"{key}.runs"


@DBOS.workflow(name="conduct", max_recovery_attempts=None)
def coordinate_run(key: str, run: str, generation: int) -> None:
    """Hand out the steps of a run until none is left, then have it finished.

    Args:
        key: of the network.
        run: the run.
        generation: counts how often it was handed to workers.
    """
    in_vain, before = 0, 0
    while in_vain < _MAX_IDLE_ROUNDS:
        some = DBOS.run_step({"name": "left"}, _runnable_chunks, key, run, generation)
        handles = [DBOS.enqueue_workflow(key, run_chunk, key, run, generation, one) for one in some]
        for one in handles:
            one.get_result(polling_interval_sec=_POLL_SECONDS)
        state = "" if some else DBOS.run_step({"name": "finish"}, _finalize_run, key, run, generation)
        if state == FinishStatus.ENDED:
            return
        count = sum(map(len, some))
        is_progress = state == FinishStatus.BUSY or count not in {0, before}
        in_vain, before = (0 if is_progress else in_vain + 1), count
        if not some or in_vain:
            DBOS.sleep(min(_MAX_WAIT_SECONDS, _POLL_SECONDS * 2**in_vain))
    DBOS.run_step({"name": "give up"}, _abort_run, key, run, generation)


@DBOS.workflow(name="chunk", max_recovery_attempts=None)
def run_chunk(key: str, run: str, generation: int, steps: list[int]) -> None:
    """Do some steps of a run."""
    task = QueuedRun(run=run, generation=generation)
    _log_errors(
        run,
        None,
        lambda: tasks.process_chunk(
            _assignments[key], task, steps, concurrent_chunks=CHUNKS_PER_NETWORK, shutdown=_shutdown
        ),
    )


def _runnable_chunks(key: str, run: str, generation: int) -> list[list[int]]:
    return _log_errors(
        run, [], lambda: tasks.runnable_chunks(_assignments[key], QueuedRun(run=run, generation=generation))
    )


def _finalize_run(key: str, run: str, generation: int) -> str:
    return _log_errors(
        run,
        "",
        lambda: (
            tasks.finalize_run(_assignments[key], QueuedRun(run=run, generation=generation), shutdown=_shutdown).value
        ),
    )


def _abort_run(key: str, run: str, generation: int) -> None:
    _log_errors(
        run, None, lambda: tasks.abort_run(_assignments[key], QueuedRun(run=run, generation=generation), _ABORT_REASON)
    )


def _log_errors(run: str, fallback: _T, operation: Callable[[], _T]) -> _T:
    """What goes wrong is written by the worker, and not kept by the queue; what is left is handed out again."""
    try:
        return operation()
    except Exception as error:  # noqa: BLE001  whatever it is
        logging.getLogger(_APP_NAME).warning("Run %s: %s: %s", run, type(error).__name__, error)
        return fallback


# The client's side


def create_queues(database: Database, key: str) -> None:
    """Make the queue's tables, and the queues of a network, whether a worker was ever there or not."""
    _silence_dbos_logging()
    with translate_errors(database):
        DBOS.migrate(_dbos_url(database))
        with _open_client(database) as client:
            for name, limits in _queue_limits(key).items():
                client.register_queue(name, on_conflict="never_update", polling_interval_sec=_POLL_SECONDS, **limits)


def enqueue_run(database: Database, key: str, queued_run: QueuedRun) -> None:
    """Have workers do a run; once only, however often this is called for the same turn.

    Args:
        database: of the journal.
        key: of the network.
        queued_run: the run, recorded as one for workers.
    """
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
    """Of a queue: workflows under way at once, of all workers and of one."""

    global_concurrency: int
    worker_concurrency: int


def _queue_limits(key: str) -> Mapping[str, _QueueLimits]:
    return {_run_queue_name(key): {"global_concurrency": 1}, key: {"worker_concurrency": CHUNKS_PER_NETWORK}}


# The worker's side


class Worker:
    """A process that does what clients hand out, for some networks.

    Args:
        assignments: where it works.
    """

    def __init__(self, assignments: Sequence[Assignment]) -> None:
        self._database = assignments[0].database
        self._assignments = tasks.assignments_by_key(assignments)
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"

    def run(self, stop_event: threading.Event) -> None:
        """Work until it is stopped; then what is under way comes to its end first.

        The program has to end then by `os._exit`: threads of the queue would wait for what other workers do now.
        """
        global _assignments  # noqa: PLW0603  the queue calls workflows by name
        _assignments = self._assignments
        _silence_dbos_logging()
        with Liveness(self._database, self.name) as alive:
            with translate_errors(self._database):
                self._connect(alive, stop_event)
            for count in itertools.count():
                if stop_event.wait(_ROUND_SECONDS):
                    break
                with contextlib.suppress(Exception):  # the database is away; it is looked at again
                    alive.renew()
                    self._requeue_from_dead_workers(alive)
                    if count % _ORPHAN_CHECK_ROUNDS == 0:
                        self._requeue_orphaned_runs()
            _shutdown.request()
            while not _shutdown.is_idle:
                time.sleep(_POLL_SECONDS)

    def _connect(self, liveness: Liveness, stop_event: threading.Event) -> None:
        """Be known to the queue, as soon as the database is there: it may just be restarted."""
        until = time.monotonic() + RETRY_SECONDS
        while not stop_event.is_set():
            try:
                liveness.renew()
                self._launch()
            except sa.exc.SQLAlchemyError as error:
                if time.monotonic() > until or any(one in str(error) for one in _PERMANENT_ERRORS):
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
        polling = max(_POLL_SECONDS, _POLL_SECONDS_PER_NETWORK * len(self._assignments))
        for key in self._assignments:
            for name, limits in _queue_limits(key).items():
                DBOS.register_queue(name, on_conflict="always_update", polling_interval_sec=polling, **limits)

    def _requeue_from_dead_workers(self, liveness: Liveness) -> None:
        """What workers that have died were at is handed out again."""
        at = {str(one.executor_id) for one in _pending_workflows()} - {self.name}
        for name in liveness.dead_workers(at):
            with liveness.claim_if_dead(
                name
            ) as is_dead:  # nobody else sees to it now, or has done so since it was listed
                for one in _pending_workflows(name) if is_dead else ():
                    DBOS.resume_workflow(one.workflow_id, queue_name=one.queue_name)

    def _requeue_orphaned_runs(self) -> None:
        """A run that nothing is handed out of any more: its client was ended too early, or the queue has failed."""
        for key, post in self._assignments.items():
            task = tasks.find_active_run(post)
            status = DBOS.get_workflow_status(_workflow_id(task)) if task else None
            if task is None or (status and status.status in _ACTIVE_STATUSES):
                continue
            again = tasks.requeue_run(post, task) if status else task
            if again:
                DBOS.enqueue_workflow_with_options(_enqueue_options(key, again), key, again.run, again.generation)


def _pending_workflows(executor: str | None = None) -> list[WorkflowStatus]:
    """What workers are at; all, or one."""
    return DBOS.list_workflows(status="PENDING", executor_id=executor, load_input=False, load_output=False)


def _dbos_url(database: Database) -> str:
    """As DBOS takes it."""
    return "postgresql://" + database.reveal().partition("://")[2]


def _silence_dbos_logging() -> None:
    """DBOS writes each thing that it does, addresses among them."""
    logging.getLogger("dbos").setLevel(logging.CRITICAL)
