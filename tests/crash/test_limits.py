"""Unpublished rate limits: every row is created, and few requests are throttled."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.crash.ways import WAYS

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow


def _run_to_end(network: Any, rows: int) -> Any:
    network.run_to_end(network.way.rows("sheet", rows), "sheet")
    figures = network.figures()
    print(network.box.faults.counts, figures, network.reports[-1]["totals"])  # noqa: T201  shows the figures
    assert figures.is_sound, figures
    return figures


@pytest.mark.timeout(200)
def test_hidden_limit(make_network: Callable[..., Any]) -> None:
    """With 10 requests per second accepted, all rows are created with few throttled requests."""
    network = make_network(WAYS["list, distinct"])
    network.extra = {"quick": False}
    network.box.faults.change(limit=10)
    figures = _run_to_end(network, 120)
    assert figures.created == 120
    assert network.box.faults.counts["limit"] < 60


@pytest.mark.timeout(200)
def test_limit_drops(make_network: Callable[..., Any]) -> None:
    """If the limit falls from 10 requests per second to 3, all rows are created."""
    network = make_network(WAYS["list, distinct"])
    network.extra = {"quick": False}
    network.box.faults.change(limit=10)
    is_over = threading.Event()

    def drop() -> None:
        while len(network.ledger) < 50 and not is_over.wait(0.02):
            pass
        network.box.faults.change(limit=3)

    thread = threading.Thread(target=drop)
    thread.start()
    try:
        figures = _run_to_end(network, 80)
    finally:
        is_over.set()
        thread.join()
    assert figures.created == 80
    assert network.box.faults.counts["limit"] < 80
