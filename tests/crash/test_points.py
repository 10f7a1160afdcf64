"""Killed at each labelled point of a step, of the settling, of a run's beginning and end: nothing is bought twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.crash import kills, points
from tests.crash.ways import WAYS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.crash.ways import Way


@pytest.mark.parametrize(
    ("point", "group", "way"), points.few(), ids=[f"{point}-{group}-{way.name}" for point, group, way in points.few()]
)
def test_a_kill_at_a_labelled_point(on: Callable[..., Any], point: str, group: str, way: Way) -> None:
    """The process dies there, the next one takes it up, and in the end each row has the number issued for it."""
    network = on(way, concurrency=2)
    wanted = points.killed_at(network, point, group, seed=3)
    figures = network.figures()
    assert network.killed == wanted
    assert figures.is_sound, figures
    assert (figures.created, figures.issued) == (points.ROWS, points.ROWS)


@pytest.mark.parametrize("nth", range(1, 9))
def test_a_kill_while_the_journal_is_made(on: Callable[..., Any], nth: int) -> None:
    """The file has some of its tables: the next process makes the others, and the sheet is bought once."""
    network = on(WAYS["list, distinct"])
    network.to_the_end(network.way.rows("sheet", 3), "sheet", [(kills.TABLE, nth)])
    figures = network.figures()
    assert network.killed == 1
    assert figures.is_sound, figures
    assert (figures.created, figures.issued) == (3, 3)
