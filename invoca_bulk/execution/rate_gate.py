"""Whose turn it is: the rate finder of one execution, or the one that all processes at a run share."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from invoca_bulk.journal.shared_rate_limiter import Paces
    from invoca_bulk.transport import Pace

    #: Something that happened, told to the rate finder with the time.
    News: TypeAlias = Callable[[Pace, float], None]

#: Seconds: places for so long are taken at once, since each taking asks the database.
_AHEAD = 0.01
#: Seconds: a place that was missed by more is not made up for.
_MISSED = 0.1


class Turns(Protocol):
    """When requests may start; hears what they come to.

    Attributes:
        rate: requests a second, at present.
        learned: the rate worth remembering; None: nothing was ever refused.
    """

    @property
    def rate(self) -> float: ...  # noqa: D102

    @property
    def learned(self) -> float | None: ...  # noqa: D102

    async def wait(self, requests: int) -> float:
        """Take the next places; gives the seconds until the last of them comes up."""

    def hear(self, news: News, *, urgent: bool = False) -> None:
        """Learn from what a request came to; what is urgent concerns those who wait."""

    async def close(self) -> None:
        """No more turns are taken."""


class OwnTurns:
    """The turns of one execution.

    Args:
        pace: its rate finder.
    """

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    @property
    def rate(self) -> float:
        """As in `Turns`; so are the others."""
        return self._pace.rate

    @property
    def learned(self) -> float | None:
        """See `rate`."""
        return self._pace.learned

    async def wait(self, requests: int) -> float:
        """See `rate`."""
        return max(self._pace.reserve(time.monotonic()) for _ in range(requests))

    def hear(self, news: News, *, urgent: bool = False) -> None:
        """See `rate`."""
        del urgent
        news(self._pace, time.monotonic())

    async def close(self) -> None:
        """There is nothing to close."""


class SharedTurns:
    """The turns of all processes at a run: one rate finder, in the journal; a refusal that one meets slows all.

    Args:
        paces: where it is.
    """

    def __init__(self, paces: Paces) -> None:
        self._paces = paces
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pace")
        self._news: list[News] = []
        self._places: deque[float] = deque()  # seconds of this machine's monotonic clock
        self._telling: asyncio.Task[None] | None = None
        self.rate = 1.0
        self.learned: float | None = None

    async def wait(self, requests: int) -> float:
        """Take places that were taken ahead, or new ones."""
        now = time.monotonic()
        while self._places and self._places[0] < now - _MISSED:
            self._places.popleft()
        if len(self._places) < requests:
            await self._exchange(max(requests - len(self._places), int(self.rate * _AHEAD)))
        return max(self._places.popleft() for _ in range(requests)) - time.monotonic()

    def hear(self, news: News, *, urgent: bool = False) -> None:
        """Tell it with the next places that are taken; what is urgent at once."""
        self._news.append(news)
        if urgent and (self._telling is None or self._telling.done()):
            self._telling = asyncio.create_task(self._exchange(0))

    async def close(self) -> None:
        """Tell what is left to tell, and learn what all have found."""
        try:
            if self._telling:
                await self._telling
            await self._exchange(0)
        finally:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._paces.close)
            self._thread.shutdown()

    async def _exchange(self, places: int) -> None:
        news, self._news = self._news, []

        def change(pace: Pace, now: float) -> tuple[Sequence[float], float, float | None]:
            for one in news:
                one(pace, now)
            return [pace.reserve(now) for _ in range(places)], pace.rate, pace.learned

        loop = asyncio.get_running_loop()
        waits, self.rate, self.learned = await loop.run_in_executor(self._thread, self._paces.change, change)
        now = time.monotonic()
        self._places.extend(now + wait for wait in waits)
