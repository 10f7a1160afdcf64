"""Deliberate defects in a child process, to prove that the tests detect them."""

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
    """Recovery treats steps that a dead process had sent as unsent."""

    def recover(journal: Journal) -> None:
        with journal._connection.begin():  # noqa: SLF001  replaces the method
            sent = sa.update(STEPS).where(STEPS.c.state == State.SENT)
            journal._connection.execute(sent.values(state=State.PENDING))  # noqa: SLF001  as above
            running = sa.update(RUNS).where(RUNS.c.state == RunState.RUNNING)
            journal._connection.execute(running.values(state=RunState.INTERRUPTED))  # noqa: SLF001  as above

    kills.replace_method(Journal, "recover_from_crash", recover)


def _no_sync(_: Job) -> None:
    """The journal's commits are not synced to disk."""
    original = sqlite.durable_engine

    def unsynced_engine(path: Path) -> sa.Engine:
        engine = original(path)
        sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        return engine

    sqlite.durable_engine = unsynced_engine


def _marks(job: Job) -> None:
    """Write each `sent` to a file before its commit begins, so that a trace of system calls shows it."""
    marks = os.open(str(job["marks"]), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    original = Journal.apply_transitions

    @functools.wraps(original)
    def apply(journal: Journal, changes: Any) -> None:
        changes = list(changes)
        for change in changes:
            if (change.from_state, change.to_state) == (State.PENDING, State.SENT):
                os.write(marks, f"sent {change.step}\n".encode())
        original(journal, changes)

    kills.replace_method(Journal, "apply_transitions", apply)


def _full_disk(job: Job) -> None:
    """After the run has begun, no file can grow by more than `room` bytes, as on a full disk."""
    original = Journal.start_run

    @functools.wraps(original)
    def start_run(journal: Journal, *args: Any, **options: Any) -> str:
        run = original(journal, *args, **options)
        largest = max(path.stat().st_size for path in Path(job["journal"]).iterdir())
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest + job["room"], resource.RLIM_INFINITY))
        return run

    kills.replace_method(Journal, "start_run", start_run)


PATCHES: Mapping[str, Callable[[Job], None]] = {
    "pending after a kill": _pending_after_a_kill,
    "no sync": _no_sync,
    "marks": _marks,
    "full disk": _full_disk,
}
