"""The progress of a run, computed from its totals in the journal, whichever process executes it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from invoca_bulk.schema.outcomes import SUCCESS_OUTCOMES, Outcome

_RATE_WINDOW_SECONDS = 15.0  # over which the rate is measured
#: Not final while a run is under way: not sent yet, and sent without a response yet.
_PENDING_OUTCOMES = (Outcome.NOT_SENT, Outcome.UNKNOWN)
_LOOKUP_MESSAGE = (
    "All rows were sent. Rows without a reliable response are looked up at the end, once the settle time has passed."
)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is, in rows of its results."""

    total: int
    done: int
    not_done: int  # rows with any other final outcome
    in_flight: int  # sent, without a response yet
    rate: float | None  # rows per second that got a final outcome recently; None: not known yet
    message: str  # a sentence on what the run waits for; may be empty

    @property
    def completed(self) -> int:
        """Rows with a final outcome."""
        return self.done + self.not_done

    @property
    def eta_seconds(self) -> float | None:
        """Seconds until all rows are completed; None: not known, or only look-ups are left, which wait."""
        return (self.total - self.completed) / self.rate if self.rate and not self.message else None


class ProgressMeter:
    """Measures the progress of one run from its totals, which it is given again and again."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def measure(self, totals: Mapping[Outcome, int], now: float | None = None) -> Progress:
        """The progress according to totals that were read just now; `now` in seconds, None: the monotonic clock."""
        now = time.monotonic() if now is None else now
        completed = completed_totals(totals)
        completed_count = sum(completed.values())
        done = sum(count for outcome, count in completed.items() if outcome in SUCCESS_OUTCOMES)
        in_flight = totals.get(Outcome.UNKNOWN, 0)
        return Progress(
            total=sum(totals.values()),
            done=done,
            not_done=completed_count - done,
            in_flight=in_flight,
            rate=self._compute_rate(completed_count, now),
            message=_LOOKUP_MESSAGE if in_flight and not totals.get(Outcome.NOT_SENT) else "",
        )

    def _compute_rate(self, completed_count: int, now: float) -> float | None:
        self._samples.append((now, completed_count))
        while self._samples[0][0] < now - _RATE_WINDOW_SECONDS:
            self._samples.popleft()
        start, start_count = self._samples[0]
        is_known = now > start and completed_count > start_count
        return (completed_count - start_count) / (now - start) if is_known else None


def completed_totals(totals: Mapping[Outcome, int]) -> dict[Outcome, int]:
    """The totals of a run that is under way without the rows that have no final outcome yet."""
    return {outcome: count for outcome, count in totals.items() if outcome not in _PENDING_OUTCOMES}
