"""How long to wait before a request is sent again."""

from __future__ import annotations

import contextlib
import math
from email.utils import parsedate_to_datetime

from invoca_bulk.config.settings import INITIAL_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS

#: Seconds; a longer `Retry-After` is taken for a mistake, because the run would appear to hang.
MAX_RETRY_AFTER_SECONDS = 600.0


def backoff(attempt: int, jitter: float, first_seconds: float = INITIAL_BACKOFF_SECONDS) -> float:
    """Seconds to wait after a failed attempt (1, 2, …): at most `first_seconds`, doubled with each attempt.

    `jitter`: a random number in [0, 1), so that requests do not retry at the same moment.
    """
    return float(min(MAX_BACKOFF_SECONDS, first_seconds * 2 ** (attempt - 1)) * (0.5 + jitter / 2))


def retry_after(header: str | None, now: float) -> float | None:
    """Seconds that a `Retry-After` header (seconds or an HTTP date) asks for; None: it is missing or invalid.

    `now`: seconds since the epoch, to interpret a date.
    """
    seconds = _parse_seconds(header or "", now)
    return None if seconds is None or not math.isfinite(seconds) else min(max(0.0, seconds), MAX_RETRY_AFTER_SECONDS)


def _parse_seconds(header: str, now: float) -> float | None:
    with contextlib.suppress(ValueError):
        return float(header)
    with contextlib.suppress(ValueError, OverflowError, TypeError):
        return parsedate_to_datetime(header).timestamp() - now
    return None
