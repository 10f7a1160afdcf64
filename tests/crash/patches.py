"""What is made worse in a child process on purpose, so that a test can see that it would be noticed."""

from __future__ import annotations

import functools
import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from invoca_bulk.journal import Journal, RunState, State, sqlite
from invoca_bulk.journal.db_schema import RUNS, STEPS
from tests.crash import kills

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Job = Mapping[str, Any]


def _pending_after_a_kill(_: Job) -> None:
    """What a dead process had sent is taken for unsent."""

    def take_over(book: Journal) -> None:
        with book._connection.begin():  # noqa: SLF001  the very line that is made worse
            sent = sa.update(STEPS).where(STEPS.c.state == State.SENT)
            book._connection.execute(sent.values(state=State.PENDING))  # noqa: SLF001  as above
            running = sa.update(RUNS).where(RUNS.c.state == RunState.RUNNING)
            book._connection.execute(running.values(state=RunState.INTERRUPTED))  # noqa: SLF001  as above

    kills.replaced(Journal, "recover_from_crash", take_over)


def _no_sync(_: Job) -> None:
    """The journal's commits are left to the operating system."""
    original = sqlite.durable_engine

    def loose_engine(path: Path) -> sa.Engine:
        engine = original(path)
        sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        return engine

    sqlite.durable_engine = loose_engine


def _marks(job: Job) -> None:
    """Each `sent` is told to a file before its commit begins, so that a trace of system calls shows the moment."""
    marks = os.open(str(job["marks"]), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    original = Journal.apply_transitions

    @functools.wraps(original)
    def apply(book: Journal, changes: Any) -> None:
        changes = list(changes)
        for one in changes:
            if (one.from_state, one.to_state) == (State.PENDING, State.SENT):
                os.write(marks, f"sent {one.step}\n".encode())
        original(book, changes)

    kills.replaced(Journal, "apply_transitions", apply)


def _full_disk(job: Job) -> None:
    """No file grows by more than `room` bytes once the run has begun, as if the disk were full."""
    original = Journal.start_run

    @functools.wraps(original)
    def begin(book: Journal, *args: Any, **options: Any) -> str:
        run = original(book, *args, **options)
        largest = max(path.stat().st_size for path in Path(job["journal"]).iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest + job["room"], resource.RLIM_INFINITY))
        return run

    kills.replaced(Journal, "start_run", begin)


PATCHES: Mapping[str, Callable[[Job], None]] = {
    "pending after a kill": _pending_after_a_kill,
    "no sync": _no_sync,
    "marks": _marks,
    "full disk": _full_disk,
}
