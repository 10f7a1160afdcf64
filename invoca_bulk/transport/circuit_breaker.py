"""The breaker: whether to go on creating on a platform that does nothing but fail."""

from __future__ import annotations

FAILURE_LIMIT = 5  # in a row
FIRST_PROBE_SECONDS = 1.0  # seconds after it opened
MAX_PROBE_WAIT_SECONDS = 30.0  # seconds between two probes; each wait is twice the one before
GIVE_UP_SECONDS = 600.0  # seconds without a good answer after which to stop the run


class CircuitBreaker:
    """Opens after several failures in a row; then nothing is created until a probe finds the platform well again.

    A good probe closes it at once, but a probe only reads: until a create has succeeded, one more failure opens it
    again, with the next longer wait. All times are seconds of a monotonic clock.

    Args:
        failure_limit: so many failures in a row open it.
    """

    def __init__(self, failure_limit: int = FAILURE_LIMIT) -> None:
        self._failure_limit = failure_limit
        self._open = False
        self._failure_count = 0  # since the last success
        self._opened_at: float | None = None  # for the first time since then
        self._probe_wait = FIRST_PROBE_SECONDS
        self._next_probe_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether to probe instead of creating."""
        return self._open

    def record_failure(self, now: float) -> None:
        """A request is in doubt, or the platform answered with an error of its own (5xx)."""
        self._failure_count += 1
        if self._failure_count >= self._failure_limit and not self._open:
            self._open = True
            self._opened_at = now if self._opened_at is None else self._opened_at
            self._schedule_probe(now)

    def record_success(self) -> None:
        """A request came to a known end. While it is open that tells nothing: the request was sent before."""
        if not self._open:
            self._failure_count, self._opened_at, self._probe_wait = 0, None, FIRST_PROBE_SECONDS

    def seconds_until_probe(self, now: float) -> float:
        """Seconds until the next probe; 0: it is due, or none is needed."""
        return max(0.0, self._next_probe_at - now) if self._open else 0.0

    def record_probe(self, ok: bool, now: float) -> None:  # noqa: FBT001  as callers write it: probed(ok=…, now=…)
        """What a probe found: close, or wait longer for the next one."""
        if ok:
            self._open = False
        else:
            self._schedule_probe(now)

    def seconds_open(self, now: float) -> float:
        """Seconds since it first opened without a good answer to a request ever since; 0: it did not."""
        return 0.0 if self._opened_at is None else now - self._opened_at

    def _schedule_probe(self, now: float) -> None:
        self._next_probe_at = now + self._probe_wait
        self._probe_wait = min(2 * self._probe_wait, MAX_PROBE_WAIT_SECONDS)
