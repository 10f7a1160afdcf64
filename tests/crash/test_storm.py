"""A storm of refusals and errors: every row comes to its end, and nothing is bought twice."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.crash.driving import QUICK
from tests.crash.ways import WAYS

if TYPE_CHECKING:
    from collections.abc import Callable

_ROWS = 2000
#: 30% and 10% of the requests.
_STORM = {"429": 15, "429_retry_after": 15, "500_before": 2, "500_after": 2, "502_html_before": 2, "503_after": 4}


@pytest.mark.timeout(400)
def test_a_storm(on: Callable[..., Any]) -> None:
    """2,000 rows, 30% of the requests answered 429 and 10% with 5xx: all rows come to an end, none is bought twice."""
    network = on(WAYS["own ids"])
    network.box.faults.change(**QUICK, rate=0.4, kinds=_STORM, seed=1)
    began = time.monotonic()
    network.to_the_end(network.way.rows("sheet", _ROWS), "sheet")
    figures, totals = network.figures(), network.reports[-1]["totals"]
    print(f"{time.monotonic() - began:.0f} s, {network.box.faults.counts}, {figures}")  # noqa: T201  worth seeing
    assert figures.is_sound, figures
    assert figures.created + totals.get("failed", 0) == _ROWS
    assert figures.created >= _ROWS - 20
