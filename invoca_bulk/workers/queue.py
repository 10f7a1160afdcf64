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

from invoca_bulk.journal.db_retry import PATIENCE
from invoca_bulk.journal.postgres import one_sentence
from invoca_bulk.workers import tasks
from invoca_bulk.workers.liveness import Alive
from invoca_bulk.workers.tasks import Finish, Task

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from dbos import EnqueueOptions, WorkflowStatus

    from invoca_bulk.config.settings import Database
    from invoca_bulk.workers.tasks import Post

_T = TypeVar("_T")

_NAME = "invoca-bulk"
#: Of what the workflows do with their arguments: workers of another one leave them alone.
_VERSION = "1"
#: Chunks that a worker does at once for each network: the next one is under way when one comes to its end.
AT_ONCE = 2
#: Seconds between two looks at a queue, and at a chunk that is awaited; so many for each network, where there are many.
_POLLING, _POLLING_OF_ONE = 0.2, 0.04
#: Seconds between two looks for workers that have died.
_ROUND = 1.0
#: So many looks apart it is looked for runs that nobody hands out.
_ROUNDS_APART = 15
#: What PostgreSQL says where waiting for it does not help.
_FOR_GOOD = (
    *("does not exist", "already exists", "authentication failed", "pg_hba.conf", "permission denied"),
    "resolve host",
)
_UNDER_WAY = frozenset({"PENDING", "ENQUEUED", "DELAYED"})
#: So many times in a row nothing may come out of handing out what is left, before the run is given up.
_PATIENCE = 30
#: Seconds to wait before the rest is handed out again, at most.
_LONGEST_WAIT = 5.0
_DEAD = "Workers could not go on with it, though they tried again and again; see what they wrote. Then resume it."

_posts: Mapping[str, Post] = {}
_leaving = tasks.Leaving()


def _runs_of(key: str) -> str:
    """The queue of a network's runs; that of their chunks has the network's key as its name."""
    return f"{key}.runs"


@DBOS.workflow(name="conduct", max_recovery_attempts=None)
def conduct(key: str, run: str, turn: int) -> None:
    """Hand out the steps of a run until none is left, then have it finished.

    Args:
        key: of the network.
        run: the run.
        turn: counts how often it was handed to workers.
    """
    in_vain, before = 0, 0
    while in_vain < _PATIENCE:
        some = DBOS.run_step({"name": "left"}, _left, key, run, turn)
        handles = [DBOS.enqueue_workflow(key, chunk, key, run, turn, one) for one in some]
        for one in handles:
            one.get_result(polling_interval_sec=_POLLING)
        state = "" if some else DBOS.run_step({"name": "finish"}, _finish, key, run, turn)
        if state == Finish.ENDED:
            return
        count = sum(map(len, some))
        is_progress = state == Finish.BUSY or count not in {0, before}
        in_vain, before = (0 if is_progress else in_vain + 1), count
        if not some or in_vain:
            DBOS.sleep(min(_LONGEST_WAIT, _POLLING * 2**in_vain))
    DBOS.run_step({"name": "give up"}, _give_up, key, run, turn)


@DBOS.workflow(name="chunk", max_recovery_attempts=None)
def chunk(key: str, run: str, turn: int, steps: list[int]) -> None:
    """Do some steps of a run."""
    task = Task(run=run, turn=turn)
    _told(run, None, lambda: tasks.do(_posts[key], task, steps, share=AT_ONCE, leaving=_leaving))


def _left(key: str, run: str, turn: int) -> list[list[int]]:
    return _told(run, [], lambda: tasks.left(_posts[key], Task(run=run, turn=turn)))


def _finish(key: str, run: str, turn: int) -> str:
    return _told(run, "", lambda: tasks.finish(_posts[key], Task(run=run, turn=turn), leaving=_leaving).value)


def _give_up(key: str, run: str, turn: int) -> None:
    _told(run, None, lambda: tasks.give_up(_posts[key], Task(run=run, turn=turn), _DEAD))


def _told(run: str, otherwise: _T, do: Callable[[], _T]) -> _T:
    """What goes wrong is written by the worker, and not kept by the queue; what is left is handed out again."""
    try:
        return do()
    except Exception as error:  # noqa: BLE001  whatever it is
        logging.getLogger(_NAME).warning("Run %s: %s: %s", run, type(error).__name__, error)
        return otherwise


# The client's side


def prepare(database: Database, key: str) -> None:
    """Make the queue's tables, and the queues of a network, whether a worker was ever there or not."""
    _quiet()
    with one_sentence(database):
        DBOS.migrate(_url(database))
        with _client(database) as client:
            for name, limits in _queues(key).items():
                client.register_queue(name, on_conflict="never_update", polling_interval_sec=_POLLING, **limits)


def hand_out(database: Database, key: str, task: Task) -> None:
    """Have workers do a run; once only, however often this is called for the same turn.

    Args:
        database: of the journal.
        key: of the network.
        task: the run, recorded as one for workers.
    """
    _quiet()
    with one_sentence(database), _client(database) as client:
        client.enqueue(_asked(key, task), key, task.run, task.turn)


@contextlib.contextmanager
def _client(database: Database) -> Iterator[DBOSClient]:
    client = DBOSClient(system_database_url=_url(database), application_name=_NAME)
    try:
        yield client
    finally:
        client.destroy()


def _asked(key: str, task: Task) -> EnqueueOptions:
    return {
        "workflow_name": "conduct",
        "queue_name": _runs_of(key),
        "workflow_id": _id_of(task),
        "app_version": _VERSION,
    }


def _id_of(task: Task) -> str:
    return f"{task.run}.{task.turn}"


class _Limits(TypedDict, total=False):
    """Of a queue: workflows under way at once, of all workers and of one."""

    global_concurrency: int
    worker_concurrency: int


def _queues(key: str) -> Mapping[str, _Limits]:
    return {_runs_of(key): {"global_concurrency": 1}, key: {"worker_concurrency": AT_ONCE}}


# The worker's side


class Worker:
    """A process that does what clients hand out, for some networks.

    Args:
        posts: where it works.
    """

    def __init__(self, posts: Sequence[Post]) -> None:
        self._database = posts[0].database
        self._posts = tasks.posts_by_key(posts)
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"

    def serve(self, stopped: threading.Event) -> None:
        """Work until it is stopped; then what is under way comes to its end first.

        The program has to end then by `os._exit`: threads of the queue would wait for what other workers do now.
        """
        global _posts  # noqa: PLW0603  the workflows are plain functions, known to the engine by their names
        _posts = self._posts
        _quiet()
        with Alive(self._database, self.name) as alive:
            with one_sentence(self._database):
                self._begin(alive, stopped)
            for count in itertools.count():
                if stopped.wait(_ROUND):
                    break
                with contextlib.suppress(Exception):  # the database is away; it is looked at again
                    alive.renew()
                    self._take_over(alive)
                    if count % _ROUNDS_APART == 0:
                        self._find_forgotten()
            _leaving.ask()
            while not _leaving.is_idle:
                time.sleep(_POLLING)

    def _begin(self, alive: Alive, stopped: threading.Event) -> None:
        """Be known to the queue, as soon as the database is there: it may just be restarted."""
        until = time.monotonic() + PATIENCE
        while not stopped.is_set():
            try:
                alive.renew()
                self._launch()
            except sa.exc.SQLAlchemyError as error:
                if time.monotonic() > until or any(one in str(error) for one in _FOR_GOOD):
                    raise
                logging.getLogger(_NAME).warning("Waiting for PostgreSQL at %s.", self._database)
                DBOS.destroy()
                stopped.wait(_ROUND)
            else:
                return

    def _launch(self) -> None:
        DBOS(
            config={
                "name": _NAME,
                "system_database_url": _url(self._database),
                "application_version": _VERSION,
                "executor_id": self.name,
                "console_log_level": "CRITICAL",
            }
        )
        DBOS.listen_queues([name for key in self._posts for name in _queues(key)])
        DBOS.launch()
        polling = max(_POLLING, _POLLING_OF_ONE * len(self._posts))
        for key in self._posts:
            for name, limits in _queues(key).items():
                DBOS.register_queue(name, on_conflict="always_update", polling_interval_sec=polling, **limits)

    def _take_over(self, alive: Alive) -> None:
        """What workers that have died were at is handed out again."""
        at = {str(one.executor_id) for one in _pending()} - {self.name}
        for name in alive.long_silent(at):
            with alive.dead(name) as is_dead:  # nobody else sees to it now, or has done so since it was listed
                for one in _pending(name) if is_dead else ():
                    DBOS.resume_workflow(one.workflow_id, queue_name=one.queue_name)

    def _find_forgotten(self) -> None:
        """A run that nothing is handed out of any more: its client was ended too early, or the queue has failed."""
        for key, post in self._posts.items():
            task = tasks.handed_out(post)
            status = DBOS.get_workflow_status(_id_of(task)) if task else None
            if task is None or (status and status.status in _UNDER_WAY):
                continue
            again = tasks.next_turn(post, task) if status else task
            if again:
                DBOS.enqueue_workflow_with_options(_asked(key, again), key, again.run, again.turn)


def _pending(executor: str | None = None) -> list[WorkflowStatus]:
    """What workers are at; all, or one."""
    return DBOS.list_workflows(status="PENDING", executor_id=executor, load_input=False, load_output=False)


def _url(database: Database) -> str:
    """As DBOS takes it."""
    return "postgresql://" + database.reveal().partition("://")[2]


def _quiet() -> None:
    """DBOS writes each thing that it does, addresses among them."""
    logging.getLogger("dbos").setLevel(logging.CRITICAL)
