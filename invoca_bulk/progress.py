"""The progress bar: in a terminal, in a notebook, and silent where nobody looks."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

from tqdm.auto import tqdm

from invoca_bulk.schema.outputs import DONE

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
        self._shown = 0
        self._bar = tqdm(total=tally.total, unit="row", disable=not show or not _somebody_looks(), smoothing=0.1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.tick()
        self._bar.close()

    def tick(self) -> None:
        """Draw what has changed."""
        outcomes = dict(self._tally.outcomes)
        ended = sum(outcomes.values())
        done = sum(count for outcome, count in outcomes.items() if outcome in DONE)
        self._bar.set_postfix(done=done, not_done=ended - done, refresh=False)
        self._bar.update(ended - self._shown)
        self._shown = ended


def _somebody_looks() -> bool:
    return sys.stderr.isatty() or "ipykernel" in sys.modules
