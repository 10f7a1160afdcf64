"""The progress bar for terminals and notebooks; hidden everywhere else."""

from __future__ import annotations

import shutil
import sys
import warnings
from typing import Self

from tqdm import TqdmWarning

from invoca_bulk.config.environment import is_in_kernel, is_terminal
from invoca_bulk.execution import RunCounters
from invoca_bulk.schema.outcomes import SUCCESS_OUTCOMES

with warnings.catch_warnings():
    # Without ipywidgets, a notebook gets the terminal's bar; tqdm's warning of several lines is not needed.
    warnings.simplefilter("ignore", category=TqdmWarning)
    from tqdm.auto import tqdm


class ProgressBar:
    """Context manager that shows the progress of a run: rows done and not done, rate, time left.

    Nothing is shown outside of terminals and notebooks, whatever `show` says.
    """

    def __init__(self, counters: RunCounters, *, show: bool) -> None:
        self._counters = counters
        self._drawn_count = counters.finished_before
        # A terminal may report a width of 0, with which tqdm draws nothing.
        width = None if is_in_kernel() else min(120, shutil.get_terminal_size().columns)
        is_shown = show and _is_visible()
        self._bar = tqdm(
            total=counters.total, initial=counters.finished_before, unit=" rows", disable=not is_shown, ncols=width
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.redraw()
        self._bar.close()

    def queue_message(self, text: str) -> None:
        """Print a sentence at the next redraw, in the caller's thread, so that it appears below the notebook cell."""
        self._counters.messages.append(text)

    def redraw(self) -> None:
        """Update the bar and print queued messages."""
        while self._counters.messages:
            text = self._counters.messages.pop(0)
            if _is_visible():
                # A notebook shows standard error in red, as if something were wrong.
                tqdm.write(text, file=sys.stdout if is_in_kernel() else sys.stderr)
        outcomes = dict(self._counters.outcomes)
        finished = sum(outcomes.values())
        done = sum(count for outcome, count in outcomes.items() if outcome in SUCCESS_OUTCOMES)
        figures: dict[str, object] = {"done": done, "not_done": finished - done}
        limit = {"limit": f"{self._counters.rate:.3g}/s"} if self._counters.rate else {}
        self._bar.set_postfix(figures | limit, refresh=False)
        self._bar.update(max(0, finished - self._drawn_count))
        self._drawn_count = finished


def _is_visible() -> bool:
    return is_in_kernel() or is_terminal(sys.stderr)
