"""Random kills of numbers with own ids: every row ends with its number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.crash.driving import run_with_kills
from tests.crash.ways import BY_OWN_ID

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

KILLS = 12


@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", BY_OWN_ID.values(), ids=BY_OWN_ID)
def test_with_own_ids(make_network: Callable[..., Any], way: Any) -> None:
    """However often a run is killed, all rows end as created, each number once."""
    campaign = run_with_kills(make_network(way), total=KILLS, rows=150)
    print(f"{way.name}: {campaign}")  # noqa: T201  shows the figures
    assert campaign.kills == KILLS
    assert campaign.figures.is_sound, campaign
    assert (campaign.figures.created, campaign.figures.issued) == (150, 150)
