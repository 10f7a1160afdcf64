"""The progress bar: in a terminal, in a notebook, and silent where nobody looks."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Self

from tqdm.auto import tqdm

from invoca_bulk.schema.outputs import DONE
from invoca_bulk.settings import is_terminal

if TYPE_CHECKING:
    from invoca_bulk.execution import Tally


class Bar:
    """Shows a run's tally: done, failed, rate and time left; a context manager.

    Args:
        tally: what the run counts.
        show: whether to show anything; without a terminal or a notebook nothing is shown in any case.
    """

    def __init__(self, tally: Tally, *, show: bool) -> None:
        self._tally = tally
        self._shown = tally.before
        # A terminal may report no width at all; tqdm would then draw nothing.
        width = None if _in_notebook() else min(120, shutil.get_terminal_size().columns)
        looked_at = _in_notebook() or is_terminal(sys.stderr)
        is_shown = show and looked_at
        self._bar = tqdm(total=tally.total, initial=tally.before, unit=" rows", disable=not is_shown, ncols=width)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.tick()
        self._bar.close()

    def say(self, text: str) -> None:
        """Print a sentence without breaking the bar."""
        if is_terminal(sys.stderr) or _in_notebook():
            tqdm.write(text, file=sys.stderr)

    def tick(self) -> None:
        """Draw what has changed, and say what there is to say."""
        while self._tally.said:
            self.say(self._tally.said.pop(0))
        outcomes = dict(self._tally.outcomes)
        ended = sum(outcomes.values())
        done = sum(count for outcome, count in outcomes.items() if outcome in DONE)
        known: dict[str, object] = {"done": done, "not_done": ended - done}
        limit = {"limit": f"{self._tally.rate:.3g}/s"} if self._tally.rate else {}
        self._bar.set_postfix(known | limit, refresh=False)
        self._bar.update(max(0, ended - self._shown))
        self._shown = ended


def _in_notebook() -> bool:
    return "ipykernel" in sys.modules
