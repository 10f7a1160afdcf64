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
from invoca_bulk.config.settings import FIRST_RATE
from invoca_bulk.errors import JournalHeld, NotAuthorized, PlaceLost, TooManyFailures
from invoca_bulk.journal import RunState, State
from invoca_bulk.transport.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Sequence

    from invoca_bulk.config.options import Rules
    from invoca_bulk.config.settings import Database, Network
    from invoca_bulk.execution import Ended, Work
    from invoca_bulk.journal import Journal, RunRecord

_Do: TypeAlias = "Callable[[execution.Execution, Client], Coroutine[None, None, Ended]]"

#: Steps of one chunk: a few seconds of work, so that little is done again when a worker dies.
SIZE = 50


@dataclass(frozen=True, kw_only=True)
class Post:
    """Where a worker works.

    Attributes:
        database: where the journals are.
        network: whose steps it does, with the token.
    """

    database: Database
    network: Network


@dataclass(frozen=True, kw_only=True)
class Task:
    """A run that was handed to workers.

    Attributes:
        run: its id.
        turn: counts how often it was; once it was handed out again, what was begun before is no longer wanted.
    """

    run: str
    turn: int

    def is_wanted(self, record: RunRecord) -> bool:
        """Whether it is still to be done."""
        is_mine = record.workers is not None and turn_of(record) == self.turn
        return is_mine and record.state is RunState.RUNNING and not record.stopping


class Finish(StrEnum):
    """What became of bringing a run to its end."""

    ENDED = "ended"
    BUSY = "busy"  # others are still at it
    LEFT = "left"  # something is left that can be handed out


def left(post: Post, task: Task) -> list[list[int]]:
    """The numbers of the steps that can be sent now, in chunks; empty: the rest is to be finished.

    They are those of one phase: the next phase's may depend on them.
    """
    with journal.reading(post.database, post.network) as book:
        ready = book.ready(task.run) if book and task.is_wanted(book.run(task.run)) else []
    return [ready[at : at + SIZE] for at in range(0, len(ready), SIZE)]


def do(post: Post, task: Task, numbers: Collection[int], *, share: int, leaving: Leaving) -> None:
    """Send some steps of a run; what is in doubt, or cannot be sent now, is left.

    Args:
        post: where.
        task: the run.
        numbers: of the steps.
        share: so many chunks are done at once, and share the requests that may be under way.
        leaving: told how to stop it.
    """
    try:
        with journal.opened(post.database, post.network, alone=False) as book:
            record = book.run(task.run)
            if task.is_wanted(record):
                work = execution.of_some(book, record, numbers)
                one = _One(post, book, record, work, leaving, share=share)
                _halt(book, record, one.run(lambda running, client: running.send(client, one.slots)))
    except (JournalHeld, PlaceLost):
        return  # the steps are left, and handed out again


def finish(post: Post, task: Task, *, leaving: Leaving) -> Finish:
    """Do what is left of a run, settle what is in doubt, and record that it has ended; nobody else is at it meanwhile.

    Settling takes numbers that nobody has recorded for those of steps in doubt: no answer may be on its way.
    """
    try:
        with journal.opened(post.database, post.network, end=task.run) as book:
            return _finished(post, book, task, leaving)
    except (JournalHeld, PlaceLost):
        return Finish.BUSY


def _finished(post: Post, book: Journal, task: Task, leaving: Leaving) -> Finish:
    record = book.run(task.run)
    if task.is_wanted(record):
        if book.ready(task.run):
            return Finish.LEFT
        one = _One(post, book, record, execution.of_rest(book, record), leaving)
        ended = one.run(lambda running, client: running.execute(client, one.slots))
        _halt(book, record, ended)
        if one.learned:
            book.learn(one.learned, now=book.now())
        record = book.run(task.run)
        if ended.state is not RunState.FINISHED and not record.stopping:
            return Finish.LEFT  # only this worker leaves, or has a trouble of its own
    if record.state is RunState.RUNNING and turn_of(record) == task.turn:
        stopped = RunState.ABORTED if record.note else RunState.INTERRUPTED
        is_stopped = record.stopping and bool(record.note or book.rest(task.run))
        state = stopped if is_stopped else RunState.FINISHED
        book.end(task.run, state, now=book.now(), note=record.note)
    return Finish.ENDED


def _halt(book: Journal, record: RunRecord, ended: Ended) -> None:
    """Stop all workers for what would stop each of them; one that cannot reach the platform leaves it to the others."""
    if isinstance(ended.error, (NotAuthorized, TooManyFailures)):
        whose = f" (The worker: process {os.getpid()} on {socket.gethostname()}.)"
        book.halt(record.run, f"{ended.error}{whose if isinstance(ended.error, NotAuthorized) else ''}")
    if ended.error:
        logging.getLogger("invoca-bulk").warning("Run %s: %s", record.run, ended.error)


def give_up(post: Post, task: Task, reason: str) -> None:
    """Record that a run cannot go on."""
    with journal.opened(post.database, post.network, end=task.run) as book:
        if task.is_wanted(book.run(task.run)):
            book.end(task.run, RunState.ABORTED, now=book.now(), note=reason)


def handed_out(post: Post) -> Task | None:
    """The run of a network that workers are to do; None: there is none."""
    with journal.reading(post.database, post.network) as book:
        wanted = [one for one in book.runs() if one.workers and one.state is RunState.RUNNING] if book else []
    return Task(run=wanted[-1].run, turn=turn_of(wanted[-1])) if wanted else None


def next_turn(post: Post, task: Task) -> Task | None:
    """Record that a run, of which nothing is handed out any more, is handed out again; None: it has ended meanwhile."""
    with journal.opened(post.database, post.network, alone=False) as book:
        record = book.run(task.run)
        workers = {**(record.workers or {}), "turn": task.turn + 1}
        is_wanted = task.is_wanted(record) and book.hand_out_again(task.run, workers)
    return Task(run=task.run, turn=task.turn + 1) if is_wanted else None


class Leaving:
    """How a worker that leaves stops what it is at: softly, so that each outcome is recorded."""

    def __init__(self) -> None:
        self.is_asked = False
        self._stops: set[Callable[[], None]] = set()

    def ask(self) -> None:
        """Stop all of it; what begins later is stopped at once."""
        self.is_asked = True
        for stop in list(self._stops):
            with contextlib.suppress(RuntimeError):  # it has just ended by itself
                stop()

    def begun(self, stop: Callable[[], None]) -> None:
        """Something begins that can be stopped so, from any thread."""
        self._stops.add(stop)
        if self.is_asked:
            stop()

    def ended(self, stop: Callable[[], None]) -> None:
        """It has ended."""
        self._stops.discard(stop)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._stops


class _One:
    """One execution of some steps of a run.

    Attributes:
        slots: how many requests may be under way at once.
        learned: as in `Execution`, once it has ended.
    """

    def __init__(  # noqa: PLR0913  what, where, and how much of a worker it may take
        self, post: Post, book: Journal, record: RunRecord, work: Work, leaving: Leaving, *, share: int = 1
    ) -> None:
        self._network = replace(post.network, api_version=record.api_version)
        self._options = options = options_of(record)
        self._leaving = leaving
        self.slots = max(1, -(-options.concurrency // share))
        self._running = execution.Execution(
            work=work,
            network=self._network,
            journal=book,
            pace=transport.Pace(options.rate, first=FIRST_RATE, learned=book.learned(), gently=True),
            rules=_rules(self._network, book, record, options),
            tally=execution.Tally(),
            now=book.now,
        )
        self.learned: float | None = None

    def run(self, do: _Do) -> Ended:
        ended = asyncio.run(self._run(do))
        self.learned = self._running.learned
        return ended

    async def _run(self, do: _Do) -> Ended:
        loop = asyncio.get_running_loop()

        def stop() -> None:
            loop.call_soon_threadsafe(self._running.stop)

        self._leaving.begun(stop)
        try:
            async with Client(self._network, slots=self.slots, timeout=self._options.timeout) as client:
                return await do(self._running, client)
        finally:
            self._leaving.ended(stop)


def _rules(network: Network, book: Journal, record: RunRecord, options: Options) -> Rules:
    """As for the whole run; of the steps that may fail, those are left that have not failed before."""
    if options.max_failures is None:
        return options.rules(network, 0)
    rules = options.rules(network, book.count(record.run))
    failed = book.count(record.run, State.REJECTED, State.FAILED)
    return replace(rules, max_failures=max(1, (rules.max_failures or 1) - failed))


#: Options that the workers of a run need; the others decide what is planned, or what the client shows.
_OPTIONS = (
    *("concurrency", "rate", "timeout", "settle", "max_failures", "first_backoff"),
    *("resend_absent", "resend_unknown", "doubt_refusals"),
)


def for_workers(options: Options, turn: int) -> dict[str, object]:
    """What the journal keeps of a run's options for its workers.

    Args:
        options: of the run.
        turn: counts how often it was handed to them.
    """
    return {name: getattr(options, name) for name in _OPTIONS} | {"turn": turn}


def options_of(record: RunRecord) -> Options:
    """The options of a run, as `for_workers` kept them."""
    kept = {name: value for name, value in (record.workers or {}).items() if name in _OPTIONS}
    return Options(**kept, progress=False)


def turn_of(record: RunRecord) -> int:
    """How often a run was handed to workers."""
    return int((record.workers or {}).get("turn", 0))


def posts_by_key(posts: Sequence[Post]) -> dict[str, Post]:
    """The posts of a worker, by the names of their networks' journals."""
    from invoca_bulk.journal.postgres import schema_of  # noqa: PLC0415  it needs a driver

    return {schema_of(base_url=one.network.base_url, network_id=one.network.network_id): one for one in posts}
