"""When a request may start: the rate limiter of one execution, or the one that all processes of a run share."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeAlias

from invoca_bulk.journal.shared_rate_limiter import SharedRateLimiter
from invoca_bulk.transport import RateLimiter

if TYPE_CHECKING:
    RateEvent: TypeAlias = Callable[[RateLimiter, float], None]

#: Seconds; start times for this period are reserved together, because each reservation queries the database.
_PREFETCH_SECONDS = 0.01
#: Seconds; start times missed by more than this are dropped.
_MAX_LATENESS_SECONDS = 0.1


class RateGate:
    """Decides when requests may start, and adapts to their results; this one for a single execution."""

    def __init__(self, rate_limiter: RateLimiter) -> None:
        self._rate_limiter = rate_limiter

    @property
    def rate(self) -> float:
        """Current rate, in requests per second."""
        return self._rate_limiter.rate

    @property
    def learned_rate(self) -> float | None:
        """The rate to save for the next run; None: the platform never throttled."""
        return self._rate_limiter.learned_rate

    async def reserve(self, requests: int) -> float:
        """Reserve start times for requests; returns the seconds until the last of them."""
        return max(self._rate_limiter.reserve(time.monotonic()) for _ in range(requests))

    def report(self, event: RateEvent, *, urgent: bool = False) -> None:
        """Record the result of a request; an urgent one affects the requests that are waiting."""
        del urgent
        event(self._rate_limiter, time.monotonic())

    async def close(self) -> None:
        """End the reservations."""


class SharedRateGate(RateGate):
    """The rate gate of all processes of a run: one rate limiter in the journal; throttling of one slows all."""

    rate = 1.0  # as of the last reservation
    learned_rate: float | None = None

    def __init__(self, shared_limiter: SharedRateLimiter) -> None:
        self._shared_limiter = shared_limiter
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rate-gate")
        self._events: list[RateEvent] = []
        self._start_times: deque[float] = deque()  # reserved; monotonic clock of this machine, seconds
        self._sync_task: asyncio.Task[None] | None = None

    async def reserve(self, requests: int) -> float:
        """Use start times that were reserved ahead, or reserve new ones."""
        now = time.monotonic()
        while self._start_times and self._start_times[0] < now - _MAX_LATENESS_SECONDS:
            self._start_times.popleft()
        if len(self._start_times) < requests:
            await self._sync(max(requests - len(self._start_times), int(self.rate * _PREFETCH_SECONDS)))
        return max(self._start_times.popleft() for _ in range(requests)) - time.monotonic()

    def report(self, event: RateEvent, *, urgent: bool = False) -> None:
        """Send the event with the next reservation, or now if it is urgent."""
        self._events.append(event)
        if urgent and (self._sync_task is None or self._sync_task.done()):
            self._sync_task = asyncio.create_task(self._sync(0))

    async def close(self) -> None:
        """Send the remaining events, read the shared rate and disconnect."""
        try:
            if self._sync_task:
                await self._sync_task
            await self._sync(0)
        finally:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._shared_limiter.close)
            self._thread.shutdown()

    async def _sync(self, reservations: int) -> None:
        events, self._events = self._events, []

        def update(limiter: RateLimiter, now: float) -> tuple[Sequence[float], float, float | None]:
            for event in events:
                event(limiter, now)
            return [limiter.reserve(now) for _ in range(reservations)], limiter.rate, limiter.learned_rate

        loop = asyncio.get_running_loop()
        waits, self.rate, self.learned_rate = await loop.run_in_executor(
            self._thread, self._shared_limiter.update, update
        )
        now = time.monotonic()
        self._start_times.extend(now + wait for wait in waits)
