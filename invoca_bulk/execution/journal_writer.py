"""Writing to the journal while requests are under way.

Steps in flight share commits: while one commit is on its way to the disk, the changes of the others gather for the
next.
"""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from invoca_bulk.journal import Journal, StepTransition

    _Batch = Sequence[tuple[Sequence[StepTransition], asyncio.Future[None]]]

_T = TypeVar("_T")


class JournalWriter:
    """Writes changes to the journal, many in a commit, in a thread of its own.

    The journal's connection is used by one thread only, and the event loop never waits for the disk.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._queue: list[tuple[Sequence[StepTransition], asyncio.Future[None]]] = []
        self._write_task: asyncio.Task[None] | None = None

    async def write(self, *changes: StepTransition) -> None:
        """Return when the changes are durable.

        Raises:
            RunAborted: somebody else has touched the journal.
            sqlalchemy.exc.SQLAlchemyError: the disk is full, or the file is gone.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((changes, done))
        self._ensure_writing()
        await asyncio.shield(done)

    def write_soon(self, change: StepTransition) -> None:
        """Have a change made durable with the next commit, without waiting for it."""
        self._queue.append(([change], asyncio.get_running_loop().create_future()))
        self._ensure_writing()

    async def query(self, read: Callable[[], _T]) -> _T:
        """Read the journal, in the thread that has its connection."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, read)

    def _ensure_writing(self) -> None:
        if self._write_task is None or self._write_task.done():
            self._write_task = asyncio.create_task(self._write_all())

    async def _write_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue:
            batch, self._queue = self._queue, []
            changes = [change for group, _ in batch for change in group]
            try:
                await loop.run_in_executor(self._thread, self._journal.apply_transitions, changes)
            except Exception as error:  # noqa: BLE001  it is raised again in every caller that waits
                if self._journal.owner_id and isinstance(
                    error, SQLAlchemyError
                ):  # the database is away, for all of them
                    _resolve_futures(batch, error)
                else:
                    await self._write_one_by_one(batch, error)
            else:
                _resolve_futures(batch, None)

    async def _write_one_by_one(self, batch: _Batch, error: Exception) -> None:
        """One change that cannot be written must not take with it the others that shared its commit."""
        loop = asyncio.get_running_loop()
        for group, done in batch:
            problem: Exception | None = error
            if len(batch) > 1:
                try:
                    await loop.run_in_executor(self._thread, self._journal.apply_transitions, group)
                    problem = None
                except Exception as single:  # noqa: BLE001  it is raised again in the caller that waits
                    problem = single
            _resolve_futures([(group, done)], problem)

    async def close(self) -> None:
        """Wait for what is being written, also when the run is being cancelled: its last commit has to end first."""
        while self._write_task is not None and not self._write_task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(self._write_task)
        self._thread.shutdown()


def _resolve_futures(batch: _Batch, error: Exception | None) -> None:
    for _, done in batch:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
            done.exception()  # seen, even when the step that waited was cancelled
