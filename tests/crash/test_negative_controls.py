"""What must fail the checker: a harness in which the naive ways do not fail proves nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.crash.driving import killed_often
from tests.crash.ways import CONTROLS, WAYS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.crash.driving import Campaign


def _shown(name: str, came: Campaign) -> Campaign:
    print(f"{name}: {came}")  # noqa: T201  the figures are worth seeing
    return came


def test_a_plain_retry_loop_buys_twice(on: Callable[..., Any]) -> None:
    """A loop that tries again at any error buys once more what was bought without an answer."""
    came = _shown("plain loop", killed_often(on(CONTROLS["plain loop"]), total=0, rows=90))
    assert came.figures.duplicates > 0
    assert not came.figures.is_sound


def test_a_plain_loop_that_is_killed_buys_twice(on: Callable[..., Any]) -> None:
    """Without any fault, a loop that is killed starts anew and knows nothing of what it has bought."""
    came = _shown("plain loop, killed", killed_often(on(CONTROLS["plain loop"]), total=3, rows=90, rate=0))
    assert came.figures.duplicates > 0


def test_no_time_to_settle_buys_twice(on: Callable[..., Any]) -> None:
    """Sent again before the platform has done what it was asked for, a number is bought twice."""
    way = CONTROLS["settle 0"]
    kinds = ["drop_after", "502_html_after", "500_after"]
    came = _shown(way.name, killed_often(on(way), total=0, rows=60, kinds=kinds))
    assert came.figures.duplicates > 0
    longer = replace(way, options={"resend_absent": True, "settle": 1.0})
    assert killed_often(on(longer, "longer"), total=0, rows=60, kinds=kinds).figures.is_sound


def test_pending_after_a_kill_buys_twice(on: Callable[..., Any]) -> None:
    """Taking for unsent what a dead process had sent buys it once more; the same kills do no harm otherwise."""
    answered = [("post answer begun", 3), ("post answer whole", 5), ("outcome before", 4)]
    ways = {one.name: one for one in (CONTROLS["pending after a kill"], WAYS["list, distinct"])}
    figures = {}
    for name, way in ways.items():
        network = on(way, name)
        network.to_the_end(way.rows("sheet", 40), "sheet", answered)
        figures[name] = network.figures()
        assert network.killed == 3
    print(figures)  # noqa: T201  the figures are worth seeing
    assert figures["pending after a kill"].duplicates >= 3
    assert figures["list, distinct"].is_sound
