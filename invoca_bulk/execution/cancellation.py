"""Whether a run goes on: asked by every slot, set by whoever stops it, the first reason counts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from invoca_bulk.errors import RunAborted
from invoca_bulk.journal import RunState

if TYPE_CHECKING:
    from invoca_bulk.errors import InvocaBulkError


class CancelToken:
    """Set once, when nothing more is to be sent; may be set before the loop runs.

    Attributes:
        state: how the run ended; `finished` as long as nothing stopped it.
        error: why it was aborted; None: it was not.
    """

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.state = RunState.FINISHED
        self.error: InvocaBulkError | None = None

    def __bool__(self) -> bool:
        return self._event.is_set()

    def interrupt(self) -> None:
        """The user wants it to stop."""
        self._set(RunState.INTERRUPTED, None)

    def abort(self, error: Exception) -> None:
        """It cannot go on."""
        self._set(RunState.ABORTED, abort_reason(error))

    def _set(self, state: RunState, error: InvocaBulkError | None) -> None:
        if not self._event.is_set():
            self.state, self.error = state, error
            self._event.set()

    async def wait(self, seconds: float) -> bool:
        """Wait so long; return early, and true, if the run stops."""
        if seconds > 0 and not self:
            try:
                async with asyncio.timeout(seconds):
                    await self._event.wait()
            except TimeoutError:
                pass
        return bool(self)


def abort_reason(error: Exception) -> RunAborted:
    """An exception as the reason why a run cannot go on."""
    if isinstance(error, RunAborted):
        return error
    if isinstance(error, SQLAlchemyError):
        reason = getattr(error, "orig", None) or type(error).__name__
        return RunAborted(f"The journal cannot be written ({reason}), so nothing more was sent. Is the disk full?")
    return RunAborted(f"The run stopped at an unexpected error ({type(error).__name__}: {error}).")
