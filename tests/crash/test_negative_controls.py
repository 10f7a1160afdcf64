"""Controls that the checker must reject: tests in which naive ways do not fail prove nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.crash.driving import run_with_kills
from tests.crash.ways import CONTROLS, WAYS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.crash.driving import KillCampaign


def _print(name: str, campaign: KillCampaign) -> KillCampaign:
    print(f"{name}: {campaign}")  # noqa: T201  shows the figures
    return campaign


def test_plain_loop_buys_twice(make_network: Callable[..., Any]) -> None:
    """A loop that retries after any error buys again what was bought without a response."""
    campaign = _print("plain loop", run_with_kills(make_network(CONTROLS["plain loop"]), total=0, rows=90))
    assert campaign.figures.duplicates > 0
    assert not campaign.figures.is_sound


def test_killed_plain_loop_buys_twice(make_network: Callable[..., Any]) -> None:
    """Even without faults, a killed loop starts again without knowing what it has bought."""
    campaign = _print(
        "plain loop, killed", run_with_kills(make_network(CONTROLS["plain loop"]), total=3, rows=90, rate=0)
    )
    assert campaign.figures.duplicates > 0


def test_no_settle_time_buys_twice(make_network: Callable[..., Any]) -> None:
    """A number is bought twice if it is resent before the platform has processed the first request."""
    way = CONTROLS["settle 0"]
    kinds = ["drop_after", "502_html_after", "500_after"]
    campaign = _print(way.name, run_with_kills(make_network(way), total=0, rows=60, kinds=kinds))
    assert campaign.figures.duplicates > 0
    longer_way = replace(way, options={"resend_absent": True, "settle": 1.0})
    assert run_with_kills(make_network(longer_way, "longer"), total=0, rows=60, kinds=kinds).figures.is_sound


def test_pending_after_a_kill_buys_twice(make_network: Callable[..., Any]) -> None:
    """Treating steps that a dead process had sent as unsent buys them again; otherwise the same kills do no harm."""
    planned = [("post answer begun", 3), ("post answer whole", 5), ("outcome before", 4)]
    ways = {way.name: way for way in (CONTROLS["pending after a kill"], WAYS["list, distinct"])}
    figures = {}
    for name, way in ways.items():
        network = make_network(way, name)
        network.run_to_end(way.rows("sheet", 40), "sheet", planned)
        figures[name] = network.figures()
        assert network.killed == 3
    print(figures)  # noqa: T201  shows the figures
    assert figures["pending after a kill"].duplicates >= 3
    assert figures["list, distinct"].is_sound
