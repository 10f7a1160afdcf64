"""When the next request may start: at the rate that the platform takes, and not while it only fails."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from invoca_bulk.errors import InDoubtError, NotSentError, PlatformUnavailableError
from invoca_bulk.journal import AMBIGUOUS_STATES, State
from invoca_bulk.transport import GIVE_UP_SECONDS, CircuitBreaker, RateLimiter

if TYPE_CHECKING:
    from invoca_bulk.execution.cancellation import CancelToken
    from invoca_bulk.execution.outcomes import StepResult
    from invoca_bulk.execution.rate_gate import RateGate
    from invoca_bulk.execution.workload import RunCounters
    from invoca_bulk.transport.client import Client

#: Statuses that ask for fewer requests.
_SLOW_DOWN_STATUSES = frozenset({429, 503})
_HTTP_SERVER_ERROR = 500


class Throttle:
    """The rate and the breaker of one execution, shared by its slots.

    Args:
        client: an open client.
        rate_gate: when requests may start.
        cancel_token: whether the run goes on.
        counters: where the rate is shown, and what the user is told.
    """

    def __init__(self, client: Client, rate_gate: RateGate, cancel_token: CancelToken, counters: RunCounters) -> None:
        self._client = client
        self._rate_gate = rate_gate
        self._cancel_token = cancel_token
        self._counters = counters
        self._breaker = CircuitBreaker()
        self._probe_lock = asyncio.Lock()
        self._reserve_lock = asyncio.Lock()

    async def acquire(self, connection: int, probe_path: tuple[str, ...], requests: int = 1) -> bool:
        """Wait until a request may start; False: the run stops instead.

        Args:
            connection: whose connection to use to see whether a platform that failed is well again.
            probe_path: the address, as path parts, of a list that is read for that.
            requests: how many requests follow each other without a wait.
        """
        while self._breaker.is_open and not self._cancel_token:
            async with self._probe_lock:  # one slot looks, the others wait for what it finds
                if self._breaker.is_open:
                    await self._probe(connection, probe_path)
        async with self._reserve_lock:  # one place at a time is out at the old rate when it changes
            return not await self._cancel_token.wait(await self._rate_gate.reserve(requests))

    def record_result(self, result: StepResult) -> None:
        """Learn from what a request came to."""
        now = time.monotonic()
        if (wait := result.retry_after) is not None:
            self._rate_gate.report(lambda pace, now: pace.pause(wait, now), urgent=True)
        if result.http_status in _SLOW_DOWN_STATUSES:
            self._rate_gate.report(RateLimiter.record_rejection, urgent=True)
        if _is_failure(result):
            self._breaker.record_failure(now)
        else:
            self._breaker.record_success()
            if result.http_status not in _SLOW_DOWN_STATUSES:
                self._rate_gate.report(RateLimiter.record_success)
        self._counters.rate = self._rate_gate.learned_rate and self._rate_gate.rate

    async def _probe(self, connection: int, probe_path: tuple[str, ...]) -> None:
        """See whether the platform is well again."""
        now = time.monotonic()
        if self._breaker.seconds_open(now) > GIVE_UP_SECONDS:
            minutes = GIVE_UP_SECONDS / 60
            msg = f"The platform has answered nothing but errors for {minutes:.0f} minutes; nothing more was sent."
            self._cancel_token.abort(PlatformUnavailableError(msg))
            return
        wait = self._breaker.seconds_until_probe(now)
        self._counters.messages.append(
            f"The platform fails one request after the other; looking again in {wait:.0f} s."
        )
        if await self._cancel_token.wait(wait):
            return
        self._breaker.record_probe(ok=await self._is_healthy(connection, probe_path), now=time.monotonic())

    async def _is_healthy(self, connection: int, probe_path: tuple[str, ...]) -> bool:
        try:
            answer = await self._client.send(connection, "GET", probe_path)
        except (NotSentError, InDoubtError):
            return False
        return answer.status < _HTTP_SERVER_ERROR and answer.status not in _SLOW_DOWN_STATUSES


def _is_failure(result: StepResult) -> bool:
    """Whether the platform is perhaps not well; a refusal that it explains is a good answer."""
    unsent = result.state is State.PENDING and result.http_status is None
    return unsent or result.state in AMBIGUOUS_STATES or (result.http_status or 0) >= _HTTP_SERVER_ERROR
