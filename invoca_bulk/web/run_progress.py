"""Looking at runs from outside: the journal says how far they are, whichever process is at them."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoca_bulk.schema.result_columns import DONE, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Seconds over which the rate is taken.
_SPAN = 15.0
#: While a run is under way these are no outcomes yet: not sent so far, and sent without an answer so far.
_OPEN = (Outcome.NOT_SENT, Outcome.UNKNOWN)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is, in rows of its results.

    Attributes:
        total: all of them.
        done: those that are done.
        not_done: those that have another outcome.
        under_way: those that were sent, and have no answer (yet).
        rate: rows a second that got an outcome lately; None: not known yet.
        said: a sentence on what is waited for; may be empty.
    """

    total: int
    done: int
    not_done: int
    under_way: int
    rate: float | None
    said: str

    @property
    def ended(self) -> int:
        """Rows that have an outcome."""
        return self.done + self.not_done

    @property
    def left(self) -> float | None:
        """Seconds until all rows have one; None: cannot be told, or only look-ups are left, which wait."""
        return (self.total - self.ended) / self.rate if self.rate and not self.said else None


class Meter:
    """Takes the progress of one run from its totals, again and again."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def read(self, totals: Mapping[Outcome, int], now: float | None = None) -> Progress:
        """The progress, by totals that were read just now.

        Args:
            totals: outcome to number of rows, as the journal has them while the run is under way.
            now: the clock, seconds; None: this machine's.
        """
        now = time.monotonic() if now is None else now
        total = sum(totals.values())
        done = sum(count for outcome, count in totals.items() if outcome in DONE)
        waiting = {outcome: totals.get(outcome, 0) for outcome in _OPEN}
        ended = total - sum(waiting.values())
        return Progress(
            total=total,
            done=done,
            not_done=ended - done,
            under_way=waiting[Outcome.UNKNOWN],
            rate=self._rate(ended, now),
            said=_LOOKED_UP if waiting[Outcome.UNKNOWN] and not waiting[Outcome.NOT_SENT] else "",
        )

    def _rate(self, ended: int, now: float) -> float | None:
        self._seen.append((now, ended))
        while self._seen[0][0] < now - _SPAN:
            self._seen.popleft()
        since, before = self._seen[0]
        return (ended - before) / (now - since) if now > since and ended > before else None


_LOOKED_UP = (
    "All rows were sent. Those without a trustworthy answer are looked up in the end: two minutes after they were sent."
)
