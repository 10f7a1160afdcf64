"""The breaker: whether to go on creating on a platform that does nothing but fail."""

from __future__ import annotations

FAILURES = 5  # in a row
FIRST_PROBE = 1.0  # seconds after it opened
LONGEST_WAIT = 30.0  # seconds between two probes; each wait is twice the one before
GIVE_UP = 600.0  # seconds without a good answer after which to stop the run


class Breaker:
    """Opens after several failures in a row; then nothing is created until a probe finds the platform well again.

    A good probe closes it at once, but a probe only reads: until a create has succeeded, one more failure opens it
    again, with the next longer wait. All times are seconds of a monotonic clock.

    Args:
        limit: so many failures in a row open it.
    """

    def __init__(self, limit: int = FAILURES) -> None:
        self._limit = limit
        self._open = False
        self._failures = 0  # since the last success
        self._opened_at: float | None = None  # for the first time since then
        self._wait = FIRST_PROBE
        self._probe_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether to probe instead of creating."""
        return self._open

    def failed(self, now: float) -> None:
        """A request is in doubt, or the platform answered with an error of its own (5xx)."""
        self._failures += 1
        if self._failures >= self._limit and not self._open:
            self._open = True
            self._opened_at = now if self._opened_at is None else self._opened_at
            self._postpone(now)

    def succeeded(self) -> None:
        """A request came to a known end. While it is open that tells nothing: the request was sent before."""
        if not self._open:
            self._failures, self._opened_at, self._wait = 0, None, FIRST_PROBE

    def probe_in(self, now: float) -> float:
        """Seconds until the next probe; 0: it is due, or none is needed."""
        return max(0.0, self._probe_at - now) if self._open else 0.0

    def probed(self, ok: bool, now: float) -> None:  # noqa: FBT001  as callers write it: probed(ok=…, now=…)
        """What a probe found: close, or wait longer for the next one."""
        if ok:
            self._open = False
        else:
            self._postpone(now)

    def open_for(self, now: float) -> float:
        """Seconds since it first opened without a good answer to a request ever since; 0: it did not."""
        return 0.0 if self._opened_at is None else now - self._opened_at

    def _postpone(self, now: float) -> None:
        self._probe_at = now + self._wait
        self._wait = min(2 * self._wait, LONGEST_WAIT)
