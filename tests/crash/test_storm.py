"""A storm of throttling and errors: every row ends, and nothing is bought twice."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.crash.driving import QUICK
from tests.crash.ways import WAYS

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

_ROWS = 2000
#: Kinds of faults and their weights: 30% throttling and 10% errors of all requests.
_STORM = {"429": 15, "429_retry_after": 15, "500_before": 2, "500_after": 2, "502_html_before": 2, "503_after": 4}


@pytest.mark.timeout(400)
def test_storm(make_network: Callable[..., Any]) -> None:
    """With 30% of the requests answered with 429 and 10% with 5xx, all 2,000 rows end and none is bought twice."""
    network = make_network(WAYS["own ids"])
    network.box.faults.change(**QUICK, rate=0.4, kinds=_STORM, seed=1)
    started_at = time.monotonic()
    network.run_to_end(network.way.rows("sheet", _ROWS), "sheet")
    figures, totals = network.figures(), network.reports[-1]["totals"]
    print(f"{time.monotonic() - started_at:.0f} s, {network.box.faults.counts}, {figures}")  # noqa: T201  shows the figures
    assert figures.is_sound, figures
    assert figures.created + totals.get("failed", 0) == _ROWS
    assert figures.created >= _ROWS - 20
