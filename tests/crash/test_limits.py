"""Limits that nobody publishes: every row is created, and few requests are refused."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.crash.ways import WAYS

if TYPE_CHECKING:
    from collections.abc import Callable


def _end(network: Any, rows: int) -> Any:
    network.to_the_end(network.way.rows("sheet", rows), "sheet")
    figures = network.figures()
    print(network.box.faults.counts, figures, network.reports[-1]["totals"])  # noqa: T201  worth seeing
    assert figures.is_sound, figures
    return figures


@pytest.mark.timeout(200)
def test_a_hidden_limit(on: Callable[..., Any]) -> None:
    """10 requests a second are let through: all rows are created, and few of them had to be asked for twice."""
    network = on(WAYS["list, distinct"])
    network.more = {"quick": False}
    network.box.faults.change(limit=10)
    figures = _end(network, 120)
    assert figures.created == 120
    assert network.box.faults.counts["limit"] < 60


@pytest.mark.timeout(200)
def test_a_limit_that_drops(on: Callable[..., Any]) -> None:
    """From 10 requests a second to 3: all rows are created."""
    network = on(WAYS["list, distinct"])
    network.more = {"quick": False}
    network.box.faults.change(limit=10)
    over = threading.Event()

    def drop() -> None:
        while len(network.ledger) < 50 and not over.wait(0.02):
            pass
        network.box.faults.change(limit=3)

    dropping = threading.Thread(target=drop)
    dropping.start()
    try:
        figures = _end(network, 80)
    finally:
        over.set()
        dropping.join()
    assert figures.created == 80
    assert network.box.faults.counts["limit"] < 80
