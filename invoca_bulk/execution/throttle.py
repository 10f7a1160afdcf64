"""When the next request may start: at the rate that the platform takes, and not while it only fails."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from invoca_bulk.errors import InDoubt, NotSent, PlatformUnavailable
from invoca_bulk.journal import DOUBTED, State
from invoca_bulk.transport import GIVE_UP, Breaker, Pace

if TYPE_CHECKING:
    from invoca_bulk.execution.cancellation import Stop
    from invoca_bulk.execution.outcomes import Verdict
    from invoca_bulk.execution.rate_gate import Turns
    from invoca_bulk.execution.workload import Tally
    from invoca_bulk.transport.client import Client

#: Statuses that ask for fewer requests.
_TOO_MANY = frozenset({429, 503})
_SERVER_ERROR = 500


class Steady:
    """The rate and the breaker of one execution, shared by its slots.

    Args:
        client: an open client.
        turns: when requests may start.
        stop: whether the run goes on.
        tally: where the rate is shown, and what the user is told.
    """

    def __init__(self, client: Client, turns: Turns, stop: Stop, tally: Tally) -> None:
        self._client = client
        self._turns = turns
        self._stop = stop
        self._tally = tally
        self._breaker = Breaker()
        self._probing = asyncio.Lock()
        self._one_by_one = asyncio.Lock()

    async def turn(self, slot: int, probe: tuple[str, ...], requests: int = 1) -> bool:
        """Wait until a request may start; False: the run stops instead.

        Args:
            slot: whose connection to use to see whether a platform that failed is well again.
            probe: the address, as path parts, of a list that is read for that.
            requests: how many requests follow each other without a wait.
        """
        while self._breaker.is_open and not self._stop:
            async with self._probing:  # one slot looks, the others wait for what it finds
                if self._breaker.is_open:
                    await self._probe(slot, probe)
        async with self._one_by_one:  # one place at a time is out at the old rate when it changes
            return not await self._stop.within(await self._turns.wait(requests))

    def told(self, verdict: Verdict) -> None:
        """Learn from what a request came to."""
        now = time.monotonic()
        if (wait := verdict.wait) is not None:
            self._turns.hear(lambda pace, now: pace.pause(wait, now), urgent=True)
        if verdict.http_status in _TOO_MANY:
            self._turns.hear(Pace.refused, urgent=True)
        if _is_failure(verdict):
            self._breaker.failed(now)
        else:
            self._breaker.succeeded()
            if verdict.http_status not in _TOO_MANY:
                self._turns.hear(Pace.answered)
        self._tally.rate = self._turns.learned and self._turns.rate

    async def _probe(self, slot: int, address: tuple[str, ...]) -> None:
        """See whether the platform is well again."""
        now = time.monotonic()
        if self._breaker.open_for(now) > GIVE_UP:
            msg = f"The platform has answered nothing but errors for {GIVE_UP / 60:.0f} minutes; nothing more was sent."
            self._stop.abort(PlatformUnavailable(msg))
            return
        wait = self._breaker.probe_in(now)
        self._tally.said.append(f"The platform fails one request after the other; looking again in {wait:.0f} s.")
        if await self._stop.within(wait):
            return
        self._breaker.probed(ok=await self._is_well(slot, address), now=time.monotonic())

    async def _is_well(self, slot: int, address: tuple[str, ...]) -> bool:
        try:
            answer = await self._client.send(slot, "GET", address)
        except (NotSent, InDoubt):
            return False
        return answer.status < _SERVER_ERROR and answer.status not in _TOO_MANY


def _is_failure(verdict: Verdict) -> bool:
    """Whether the platform is perhaps not well; a refusal that it explains is a good answer."""
    unsent = verdict.state is State.PENDING and verdict.http_status is None
    return unsent or verdict.state in DOUBTED or (verdict.http_status or 0) >= _SERVER_ERROR
