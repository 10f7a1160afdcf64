"""The progress bar: in a terminal, in a notebook, and silent where nobody looks."""

from __future__ import annotations

import shutil
import sys
import warnings
from typing import TYPE_CHECKING, Self

from tqdm import TqdmWarning

from invoca_bulk.config.settings import is_in_kernel, is_terminal
from invoca_bulk.schema.result_columns import SUCCESS_OUTCOMES

with warnings.catch_warnings():
    # A notebook without ipywidgets gets a terminal's bar, which is no reason for a warning of several lines.
    warnings.simplefilter("ignore", category=TqdmWarning)
    from tqdm.auto import tqdm

if TYPE_CHECKING:
    from invoca_bulk.execution import RunCounters


class ProgressBar:
    """Shows a run's tally: done, failed, rate and time left; a context manager.

    Args:
        counters: what the run counts.
        show: whether to show anything; without a terminal or a notebook nothing is shown in any case.
    """

    def __init__(self, counters: RunCounters, *, show: bool) -> None:
        self._counters = counters
        self._drawn_count = counters.finished_before
        # A terminal may report no width at all; tqdm would then draw nothing.
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
        """Have a sentence printed with the next tick: in the caller's own thread, that of a notebook's cell."""
        self._counters.messages.append(text)

    def redraw(self) -> None:
        """Draw what has changed, and say what there is to say."""
        while self._counters.messages:
            _print_above_bar(self._counters.messages.pop(0))
        outcomes = dict(self._counters.outcomes)
        ended = sum(outcomes.values())
        done = sum(count for outcome, count in outcomes.items() if outcome in SUCCESS_OUTCOMES)
        known: dict[str, object] = {"done": done, "not_done": ended - done}
        limit = {"limit": f"{self._counters.rate:.3g}/s"} if self._counters.rate else {}
        self._bar.set_postfix(known | limit, refresh=False)
        self._bar.update(max(0, ended - self._drawn_count))
        self._drawn_count = ended


def _is_visible() -> bool:
    return is_in_kernel() or is_terminal(sys.stderr)


def _print_above_bar(text: str) -> None:
    """Print a sentence without breaking the bar."""
    if _is_visible():
        # What a notebook gets on standard error is red, as if something were wrong.
        tqdm.write(text, file=sys.stdout if is_in_kernel() else sys.stderr)
