"""A disk that fills up in the middle of a run: it stops in one sentence, and goes on when there is room again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.crash.ways import WAYS, read

if TYPE_CHECKING:
    from collections.abc import Callable

_ROWS = 60


@pytest.mark.parametrize("room", [0, 20_000, 80_000])
@pytest.mark.parametrize("way", ["list, sent again", "own ids"])
def test_a_disk_that_fills_up(on: Callable[..., Any], way: str, room: int) -> None:
    """What cannot be recorded is not sent, what was sent is known, and the next run does the rest: nothing twice."""
    network = on(WAYS[way], concurrency=4)
    rows = network.way.rows("sheet", _ROWS)
    report = network.done(network.job(rows, "sheet", patch=["full disk"], room=room))
    assert report["code"] == 3
    assert report["state"] == "aborted"
    assert "The journal cannot be written" in report["text"]
    assert "\n" not in report["text"]
    sent = len(network.ledger)
    assert (0 < sent < _ROWS) if room else sent == 0
    outcomes = [row["result_status"] for row in read(Path(report["saved"]))]
    assert outcomes.count("created") + outcomes.count("unknown") >= sent
    assert outcomes.count("not_sent") >= _ROWS - sent - 4
    network.to_the_end(rows, "sheet")
    figures = network.figures()
    assert figures.is_sound, figures
    assert (figures.created, figures.issued) == (_ROWS, _ROWS)
