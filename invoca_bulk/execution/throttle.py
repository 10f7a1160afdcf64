"""When the next request may start: at the rate the platform accepts, and not while all requests fail."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus

from invoca_bulk.errors import InDoubtError, NotSentError, PlatformUnavailableError
from invoca_bulk.execution.cancellation import CancelToken
from invoca_bulk.execution.outcomes import StepResult
from invoca_bulk.execution.rate_gate import RateGate
from invoca_bulk.execution.workload import RunCounters
from invoca_bulk.journal import AMBIGUOUS_STATES, State
from invoca_bulk.transport import GIVE_UP_SECONDS, CircuitBreaker, RateLimiter
from invoca_bulk.transport.client import Client

#: Statuses that ask for fewer requests.
_SLOW_DOWN_STATUSES = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


class Throttle:
    """The rate gate and circuit breaker that all workers of an execution share."""

    def __init__(self, client: Client, rate_gate: RateGate, cancel_token: CancelToken, counters: RunCounters) -> None:
        self._client = client
        self._rate_gate = rate_gate
        self._cancel_token = cancel_token
        self._counters = counters
        self._breaker = CircuitBreaker()
        self._probe_lock = asyncio.Lock()
        self._reserve_lock = asyncio.Lock()

    async def acquire(self, connection: int, probe_path: tuple[str, ...], requests: int = 1) -> bool:
        """Wait until some requests may start, one right after the other; False: the run stops instead.

        A failing platform is probed by reading `probe_path`; a 404 is a healthy response too.
        """
        while self._breaker.is_open and not self._cancel_token:
            async with self._probe_lock:  # one worker probes, the others wait for the result
                if self._breaker.is_open:
                    await self._probe(connection, probe_path)
        async with self._reserve_lock:  # so that at most one reservation is left at the old rate when it changes
            return not await self._cancel_token.wait(await self._rate_gate.reserve(requests))

    def record_result(self, result: StepResult) -> None:
        """Adapt the rate and the circuit breaker to the result of a request."""
        if (wait := result.retry_after) is not None:
            self._rate_gate.report(lambda limiter, now: limiter.pause(wait, now), urgent=True)
        if result.http_status in _SLOW_DOWN_STATUSES:
            self._rate_gate.report(RateLimiter.record_rejection, urgent=True)
        if _is_failure(result):
            self._breaker.record_failure(time.monotonic())
        else:
            self._breaker.record_success()
            if result.http_status not in _SLOW_DOWN_STATUSES:
                self._rate_gate.report(RateLimiter.record_success)
        self._counters.rate = self._rate_gate.learned_rate and self._rate_gate.rate

    async def _probe(self, connection: int, probe_path: tuple[str, ...]) -> None:
        """Wait for the next probe, and check whether the platform has recovered."""
        now = time.monotonic()
        if self._breaker.seconds_open(now) > GIVE_UP_SECONDS:
            minutes = GIVE_UP_SECONDS / 60
            msg = f"The platform has returned only errors for {minutes:.0f} minutes, so the run stopped."
            self._cancel_token.abort(PlatformUnavailableError(msg))
            return
        wait = self._breaker.seconds_until_probe(now)
        self._counters.messages.append(f"All requests are failing; checking the platform again in {wait:.0f} s.")
        if await self._cancel_token.wait(wait):
            return
        self._breaker.record_probe(ok=await self._is_healthy(connection, probe_path), now=time.monotonic())

    async def _is_healthy(self, connection: int, probe_path: tuple[str, ...]) -> bool:
        try:
            response = await self._client.send(connection, "GET", probe_path)
        except (NotSentError, InDoubtError):
            return False
        return response.status < HTTPStatus.INTERNAL_SERVER_ERROR and response.status not in _SLOW_DOWN_STATUSES


def _is_failure(result: StepResult) -> bool:
    """Whether the platform may be down; a rejection shows that it works."""
    is_unsent = result.state is State.PENDING and result.http_status is None
    is_server_error = (result.http_status or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR
    return is_unsent or is_server_error or result.state in AMBIGUOUS_STATES
