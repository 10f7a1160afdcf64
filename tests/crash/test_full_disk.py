"""A disk that fills up during a run: the run stops with one sentence, and continues when there is room again."""

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
def test_full_disk(make_network: Callable[..., Any], way: str, room: int) -> None:
    """What cannot be recorded is not sent, what was sent is known, and the next run does the rest once."""
    network = make_network(WAYS[way], concurrency=4)
    rows = network.way.rows("sheet", _ROWS)
    report = network.run_job(network.job(rows, "sheet", patch=["full disk"], room=room))
    assert report["code"] == 3
    assert report["state"] == "aborted"
    assert "The journal cannot be written" in report["text"]
    assert "\n" not in report["text"]
    sent_count = len(network.ledger)
    assert (0 < sent_count < _ROWS) if room else sent_count == 0
    outcomes = [row["result_status"] for row in read(Path(report["saved"]))]
    assert outcomes.count("created") + outcomes.count("unknown") >= sent_count
    assert outcomes.count("not_sent") >= _ROWS - sent_count - 4
    network.run_to_end(rows, "sheet")
    figures = network.figures()
    assert figures.is_sound, figures
    assert (figures.created, figures.issued) == (_ROWS, _ROWS)
