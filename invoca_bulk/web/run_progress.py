"""Looking at runs from outside: the journal says how far they are, whichever process is at them."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoca_bulk.schema.result_columns import SUCCESS_OUTCOMES, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Seconds over which the rate is taken.
_RATE_WINDOW_SECONDS = 15.0
#: While a run is under way these are no outcomes yet: not sent so far, and sent without an answer so far.
_PENDING_OUTCOMES = (Outcome.NOT_SENT, Outcome.UNKNOWN)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is, in rows of its results.

    Attributes:
        total: all of them.
        done: those that are done.
        not_done: those that have another outcome.
        in_flight: those that were sent, and have no answer (yet).
        rate: rows a second that got an outcome lately; None: not known yet.
        message: a sentence on what is waited for; may be empty.
    """

    total: int
    done: int
    not_done: int
    in_flight: int
    rate: float | None
    message: str

    @property
    def completed(self) -> int:
        """Rows that have an outcome."""
        return self.done + self.not_done

    @property
    def eta_seconds(self) -> float | None:
        """Seconds until all rows have one; None: cannot be told, or only look-ups are left, which wait."""
        return (self.total - self.completed) / self.rate if self.rate and not self.message else None


class ProgressMeter:
    """Takes the progress of one run from its totals, again and again."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def measure(self, totals: Mapping[Outcome, int], now: float | None = None) -> Progress:
        """The progress, by totals that were read just now.

        Args:
            totals: outcome to number of rows, as the journal has them while the run is under way.
            now: the clock, seconds; None: this machine's.
        """
        now = time.monotonic() if now is None else now
        total = sum(totals.values())
        done = sum(count for outcome, count in totals.items() if outcome in SUCCESS_OUTCOMES)
        waiting = {outcome: totals.get(outcome, 0) for outcome in _PENDING_OUTCOMES}
        ended = total - sum(waiting.values())
        return Progress(
            total=total,
            done=done,
            not_done=ended - done,
            in_flight=waiting[Outcome.UNKNOWN],
            rate=self._compute_rate(ended, now),
            message=_LOOKUP_MESSAGE if waiting[Outcome.UNKNOWN] and not waiting[Outcome.NOT_SENT] else "",
        )

    def _compute_rate(self, completed: int, now: float) -> float | None:
        self._samples.append((now, completed))
        while self._samples[0][0] < now - _RATE_WINDOW_SECONDS:
            self._samples.popleft()
        since, before = self._samples[0]
        return (completed - before) / (now - since) if now > since and completed > before else None


_LOOKUP_MESSAGE = (
    "All rows were sent. Those without a trustworthy answer are looked up in the end: two minutes after they were sent."
)
