"""What must fail the checker: the engine's own retry and recovery, without the journal's compare-and-swap."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from killing import Crew, moments
from machines import NETWORK_ID, TOKEN
from postgres import engine

from invoca_bulk.sandbox_server import Sandbox
from tests.crash import checker, ways
from tests.crash.checker import Asked

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.crash.checker import Figures

ROWS, KILLS, SEED = 300, 17, 1
WORKER = Path(__file__).with_name("naive_worker.py")
PATIENCE = 100.0
QUICK = {"seed": SEED, "stall": 0.3, "slow": 0.2, "retry_after": 0.1}


def _are_done(database: str) -> bool:
    left = sa.text("SELECT count(*) FROM dbos.workflow_status WHERE status NOT IN ('SUCCESS', 'ERROR')")
    with engine(database).connect() as connection:
        return connection.execute(left).scalar_one() == 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize("rate", [0.1, 0.0], ids=["faults and kills", "kills alone"])
def test_the_engine_alone_buys_twice(rate: float, database: str, tmp_path: Path) -> None:
    """A step that the engine tries again, or does again after a kill, buys once more what was bought already."""
    figures = _figures(tmp_path, database, rate=rate, kills=KILLS)
    assert figures.duplicates > 0
    assert not figures.is_sound


@pytest.mark.timeout(300)
def test_undisturbed_the_engine_alone_buys_once(database: str, tmp_path: Path) -> None:
    """What fails the checker are the kills and the faults, not the way in which it is counted."""
    figures = _figures(tmp_path, database, rate=0.0, kills=0)
    assert figures.is_sound, figures
    assert figures.created == ROWS


def _figures(folder: Path, database: str, *, rate: float, kills: int) -> Figures:
    with Sandbox(network_id=NETWORK_ID, open_campaigns=True, token=TOKEN, latency=0.05) as box:
        box.faults.change(rate=rate, **QUICK)
        start = _starting(folder, database, box.base_url)
        sheet, results = folder / "sheet.csv", folder / "results.csv"
        rows = ways.plain("row", ROWS)
        assert start("hand-out", ways.written(rows, sheet)).wait(PATIENCE) == 0
        luck = random.Random(SEED)  # noqa: S311  repeatable, guards nothing
        crew = Crew(start=lambda place: start("work", f"worker-{place}"), luck=luck)
        with crew:
            for moment in moments(luck, kills, ROWS * 9 // 10):
                crew.wait(lambda moment=moment: len(box.store.ledger) >= moment, PATIENCE)
                crew.kill()
            crew.wait(lambda: _are_done(database), PATIENCE)
        assert start("collect", sheet, results).wait(PATIENCE) == 0
    figures = checker.check([Asked(rows=rows, results=ways.read(results))], box.store.ledger)
    print(f"{figures}; {crew.kills} kills, {box.faults.counts.total()} faults")  # noqa: T201  worth seeing
    assert crew.kills == kills
    assert not crew.fallen
    return figures


def _starting(folder: Path, database: str, base_url: str) -> Callable[..., subprocess.Popen[str]]:
    """Starts the naive worker's program; what it says goes to one file."""
    environment = {
        "INVOCA_JOURNAL": database,
        "INVOCA_BASE_URL": base_url,
        "INVOCA_NETWORK_ID": NETWORK_ID,
        "INVOCA_API_TOKEN": TOKEN,
    }

    def start(*arguments: str | Path) -> subprocess.Popen[str]:
        command = [sys.executable, str(WORKER), *map(str, arguments)]
        with (folder / "said.txt").open("a") as said:
            return subprocess.Popen(
                command, env=os.environ | environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said, text=True
            )

    return start
