"""Killed at random moments where numbers have ids of their own: every row has its number in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.crash.driving import killed_often
from tests.crash.ways import BY_OWN_ID

if TYPE_CHECKING:
    from collections.abc import Callable

KILLS = 12


@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", BY_OWN_ID.values(), ids=BY_OWN_ID)
def test_with_ids_of_ones_own(on: Callable[..., Any], way: Any) -> None:
    """However often a run is killed, in the end all rows are created, each number once."""
    came = killed_often(on(way), total=KILLS, rows=150)
    print(f"{way.name}: {came}")  # noqa: T201  the figures are worth seeing
    assert came.kills == KILLS
    assert came.figures.is_sound, came
    assert (came.figures.created, came.figures.issued) == (150, 150)
