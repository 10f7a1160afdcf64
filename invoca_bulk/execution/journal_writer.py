"""Writes to the journal while requests are in flight.

Steps share commits: while one commit is written to disk, the changes of other steps queue up for the next.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from invoca_bulk.journal import Journal, StepTransition

if TYPE_CHECKING:
    _Batch = list[tuple[Sequence[StepTransition], asyncio.Future[None]]]

_T = TypeVar("_T")


class JournalWriter:
    """Writes changes to the journal from one background thread, many changes per commit.

    Only that thread uses the journal's connection, and the event loop never waits for the disk.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._queue: _Batch = []
        self._write_task: asyncio.Task[None] | None = None

    async def write(self, *changes: StepTransition) -> None:
        """Write changes; return when they are durable.

        Raises a `RunAborted` if another process has changed the journal, SQLAlchemy's error if the disk is full.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((changes, done))
        self._ensure_writing()
        await asyncio.shield(done)

    def write_soon(self, change: StepTransition) -> None:
        """Write a change with the next commit, without waiting for it."""
        self._queue.append(([change], asyncio.get_running_loop().create_future()))
        self._ensure_writing()

    async def query(self, read: Callable[[], _T]) -> _T:
        """Read the journal in the thread that owns its connection."""
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
            except Exception as error:  # noqa: BLE001  raised again in every waiting caller
                # With a shared journal the database is unreachable, so no change of the batch can be written.
                if self._journal.owner_id and isinstance(error, SQLAlchemyError):
                    _resolve_futures(batch, error)
                else:
                    await self._write_one_by_one(batch, error)
            else:
                _resolve_futures(batch, None)

    async def _write_one_by_one(self, batch: _Batch, error: Exception) -> None:
        """Retry each group alone: one that cannot be written must not fail the others of its commit."""
        loop = asyncio.get_running_loop()
        for group, done in batch:
            group_error: Exception | None = error
            if len(batch) > 1:
                try:
                    await loop.run_in_executor(self._thread, self._journal.apply_transitions, group)
                    group_error = None
                except Exception as retry_error:  # noqa: BLE001  raised again in the waiting caller
                    group_error = retry_error
            _resolve_futures([(group, done)], group_error)

    async def close(self) -> None:
        """Wait for pending writes, even during a cancellation: the last commit has to complete."""
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
            done.exception()  # marks it as retrieved, in case the waiting step was cancelled
