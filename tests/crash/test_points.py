"""Kills at each point of a step, of the reconciliation, and of a run's start and end: nothing is bought twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.crash import kills, points
from tests.crash.ways import WAYS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.crash.ways import Way


@pytest.mark.parametrize(
    ("point", "group", "way"),
    points.sample(),
    ids=[f"{point}-{group}-{way.name}" for point, group, way in points.sample()],
)
def test_kill_at_a_point(make_network: Callable[..., Any], point: str, group: str, way: Way) -> None:
    """After a kill the next process takes over, and each row ends with the number issued for it."""
    network = make_network(way, concurrency=2)
    expected = points.run_with_kill(network, point, group, seed=3)
    figures = network.figures()
    assert network.killed == expected
    assert figures.is_sound, figures
    assert (figures.created, figures.issued) == (points.ROWS, points.ROWS)


@pytest.mark.parametrize("nth", range(1, 9))
def test_kill_during_journal_creation(make_network: Callable[..., Any], nth: int) -> None:
    """If the file has only some of its tables, the next process creates the others, and the sheet is bought once."""
    network = make_network(WAYS["list, distinct"])
    network.run_to_end(network.way.rows("sheet", 3), "sheet", [(kills.TABLE, nth)])
    figures = network.figures()
    assert network.killed == 1
    assert figures.is_sound, figures
    assert (figures.created, figures.issued) == (3, 3)
