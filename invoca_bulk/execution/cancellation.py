"""Stopping a run: every worker checks the token, and the first reason to stop counts."""

from __future__ import annotations

import asyncio

from sqlalchemy.exc import SQLAlchemyError

from invoca_bulk.errors import InvocaBulkError, RunAborted
from invoca_bulk.journal import RunState


class CancelToken:
    """True once nothing more may be sent; may be set before the event loop runs."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.state = RunState.FINISHED  # how the run ended; `finished` unless something stopped it
        self.error: InvocaBulkError | None = None  # why the run was aborted; None: it was not

    def __bool__(self) -> bool:
        return self._event.is_set()

    def interrupt(self) -> None:
        """Stop the run at the user's request."""
        self._set(RunState.INTERRUPTED, None)

    def abort(self, error: Exception) -> None:
        """Stop the run because of an error."""
        self._set(RunState.ABORTED, abort_reason(error))

    def _set(self, state: RunState, error: InvocaBulkError | None) -> None:
        if not self._event.is_set():
            self.state, self.error = state, error
            self._event.set()

    async def wait(self, seconds: float) -> bool:
        """Wait this long; return early, and true, if the run stops."""
        if seconds > 0 and not self:
            try:
                async with asyncio.timeout(seconds):
                    await self._event.wait()
            except TimeoutError:
                pass
        return bool(self)


def abort_reason(error: Exception) -> RunAborted:
    """Convert an exception to the reason why the run was aborted."""
    if isinstance(error, RunAborted):
        return error
    if isinstance(error, SQLAlchemyError):
        reason = getattr(error, "orig", None) or type(error).__name__
        return RunAborted(
            f"The journal cannot be written ({reason}), so the run stopped. Check whether the disk is full."
        )
    return RunAborted(f"The run stopped because of an unexpected error ({type(error).__name__}: {error}).")
