"""The circuit breaker: stops writes while the platform only fails."""

from __future__ import annotations

FAILURE_LIMIT = 5  # in a row
FIRST_PROBE_SECONDS = 1.0  # after it opened
MAX_PROBE_WAIT_SECONDS = 30.0  # between two probes; each wait is twice the previous one
GIVE_UP_SECONDS = 600.0  # without a successful response, after which the run stops


class CircuitBreaker:
    """Opens after several failures in a row; then nothing is written until a probe succeeds.

    A successful probe closes the breaker, but a probe only reads: until a write has succeeded, one more failure opens
    it again, with the next longer wait. All times are seconds of a monotonic clock.
    """

    def __init__(self) -> None:
        self.is_open = False  # whether to probe instead of writing
        self._failure_count = 0  # since the last success
        self._opened_at: float | None = None  # first opening since the last success
        self._probe_wait = FIRST_PROBE_SECONDS
        self._next_probe_at = 0.0

    def record_failure(self, now: float) -> None:
        """Record a request in doubt or with a server error (5xx)."""
        self._failure_count += 1
        if self._failure_count >= FAILURE_LIMIT and not self.is_open:
            self.is_open = True
            self._opened_at = now if self._opened_at is None else self._opened_at
            self._schedule_probe(now)

    def record_success(self) -> None:
        """Record a request with a known result; ignored while open, because the request was sent before."""
        if not self.is_open:
            self._failure_count, self._opened_at, self._probe_wait = 0, None, FIRST_PROBE_SECONDS

    def seconds_until_probe(self, now: float) -> float:
        """Seconds until the next probe; 0: it is due, or the breaker is closed."""
        return max(0.0, self._next_probe_at - now) if self.is_open else 0.0

    def record_probe(self, *, ok: bool, now: float) -> None:
        """Close the breaker after a successful probe; otherwise schedule the next one."""
        if ok:
            self.is_open = False
        else:
            self._schedule_probe(now)

    def seconds_open(self, now: float) -> float:
        """Seconds since it opened first after the last success; 0: it has not opened since."""
        return 0.0 if self._opened_at is None else now - self._opened_at

    def _schedule_probe(self, now: float) -> None:
        self._next_probe_at = now + self._probe_wait
        self._probe_wait = min(2 * self._probe_wait, MAX_PROBE_WAIT_SECONDS)
