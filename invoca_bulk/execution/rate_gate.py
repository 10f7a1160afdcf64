"""Whose turn it is: the rate finder of one execution, or the one that all processes at a run share."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from invoca_bulk.journal.shared_rate_limiter import SharedRateLimiter
    from invoca_bulk.transport import RateLimiter

    #: Something that happened, told to the rate finder with the time.
    RateEvent: TypeAlias = Callable[[RateLimiter, float], None]

#: Seconds: places for so long are taken at once, since each taking asks the database.
_PREFETCH_SECONDS = 0.01
#: Seconds: a place that was missed by more is not made up for.
_MAX_LATENESS_SECONDS = 0.1


class RateGate(Protocol):
    """When requests may start; hears what they come to.

    Attributes:
        rate: requests a second, at present.
        learned_rate: the rate worth remembering; None: nothing was ever refused.
    """

    @property
    def rate(self) -> float: ...  # noqa: D102

    @property
    def learned_rate(self) -> float | None: ...  # noqa: D102

    async def reserve(self, requests: int) -> float:
        """Take the next places; gives the seconds until the last of them comes up."""

    def report(self, event: RateEvent, *, urgent: bool = False) -> None:
        """Learn from what a request came to; what is urgent concerns those who wait."""

    async def close(self) -> None:
        """No more turns are taken."""


class LocalRateGate:
    """The turns of one execution.

    Args:
        rate_limiter: its rate finder.
    """

    def __init__(self, rate_limiter: RateLimiter) -> None:
        self._rate_limiter = rate_limiter

    @property
    def rate(self) -> float:
        """As in `RateGate`; so are the others."""
        return self._rate_limiter.rate

    @property
    def learned_rate(self) -> float | None:
        """See `rate`."""
        return self._rate_limiter.learned_rate

    async def reserve(self, requests: int) -> float:
        """See `rate`."""
        return max(self._rate_limiter.reserve(time.monotonic()) for _ in range(requests))

    def report(self, event: RateEvent, *, urgent: bool = False) -> None:
        """See `rate`."""
        del urgent
        event(self._rate_limiter, time.monotonic())

    async def close(self) -> None:
        """There is nothing to close."""


class SharedRateGate:
    """The turns of all processes at a run: one rate finder, in the journal; a refusal that one meets slows all.

    Args:
        shared_limiter: where it is.
    """

    def __init__(self, shared_limiter: SharedRateLimiter) -> None:
        self._shared_limiter = shared_limiter
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pace")
        self._events: list[RateEvent] = []
        self._start_times: deque[float] = deque()  # seconds of this machine's monotonic clock
        self._sync_task: asyncio.Task[None] | None = None
        self.rate = 1.0
        self.learned_rate: float | None = None

    async def reserve(self, requests: int) -> float:
        """Take places that were taken ahead, or new ones."""
        now = time.monotonic()
        while self._start_times and self._start_times[0] < now - _MAX_LATENESS_SECONDS:
            self._start_times.popleft()
        if len(self._start_times) < requests:
            await self._sync(max(requests - len(self._start_times), int(self.rate * _PREFETCH_SECONDS)))
        return max(self._start_times.popleft() for _ in range(requests)) - time.monotonic()

    def report(self, event: RateEvent, *, urgent: bool = False) -> None:
        """Tell it with the next places that are taken; what is urgent at once."""
        self._events.append(event)
        if urgent and (self._sync_task is None or self._sync_task.done()):
            self._sync_task = asyncio.create_task(self._sync(0))

    async def close(self) -> None:
        """Tell what is left to tell, and learn what all have found."""
        try:
            if self._sync_task:
                await self._sync_task
            await self._sync(0)
        finally:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._shared_limiter.close)
            self._thread.shutdown()

    async def _sync(self, reservations: int) -> None:
        news, self._events = self._events, []

        def change(pace: RateLimiter, now: float) -> tuple[Sequence[float], float, float | None]:
            for one in news:
                one(pace, now)
            return [pace.reserve(now) for _ in range(reservations)], pace.rate, pace.learned_rate

        loop = asyncio.get_running_loop()
        waits, self.rate, self.learned_rate = await loop.run_in_executor(
            self._thread, self._shared_limiter.update, change
        )
        now = time.monotonic()
        self._start_times.extend(now + wait for wait in waits)
