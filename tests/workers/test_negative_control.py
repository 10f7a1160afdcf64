"""Negative control: the engine's own retries and recovery, without the journal, must fail the checker."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from killing import Crew, kill_thresholds
from machines import NETWORK_ID, TOKEN
from postgres import engine

from invoca_bulk.sandbox_server import Sandbox
from tests.crash import checker, ways
from tests.crash.checker import Asked

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.crash.checker import Figures

pytestmark = pytest.mark.slow

ROWS, KILLS, SEED = 300, 17, 1
WORKER = Path(__file__).with_name("naive_worker.py")
TIMEOUT_SECONDS = 100.0
FAULT_SETTINGS = {"seed": SEED, "stall": 0.3, "slow": 0.2, "retry_after": 0.1}


def _have_all_ended(database: str) -> bool:
    query = sa.text("SELECT count(*) FROM dbos.workflow_status WHERE status NOT IN ('SUCCESS', 'ERROR')")
    with engine(database).connect() as connection:
        return connection.execute(query).scalar_one() == 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize("rate", [0.1, 0.0], ids=["faults and kills", "kills alone"])
def test_engine_alone_buys_twice(rate: float, database: str, tmp_path: Path) -> None:
    """A step that the engine retries, or repeats after a kill, buys a second number."""
    figures = _figures(tmp_path, database, rate=rate, kills=KILLS)
    assert figures.duplicates > 0
    assert not figures.is_sound


@pytest.mark.timeout(300)
def test_engine_alone_without_faults_buys_once(database: str, tmp_path: Path) -> None:
    """The kills and faults fail the checker, not the way it counts."""
    figures = _figures(tmp_path, database, rate=0.0, kills=0)
    assert figures.is_sound, figures
    assert figures.created == ROWS


def _figures(folder: Path, database: str, *, rate: float, kills: int) -> Figures:
    with Sandbox(network_id=NETWORK_ID, open_campaigns=True, token=TOKEN, latency=0.05) as box:
        box.faults.change(rate=rate, **FAULT_SETTINGS)
        start = _make_starter(folder, database, box.base_url)
        sheet, results = folder / "sheet.csv", folder / "results.csv"
        rows = ways.plain("row", ROWS)
        assert start("enqueue", ways.written(rows, sheet)).wait(TIMEOUT_SECONDS) == 0
        seeded = random.Random(SEED)  # noqa: S311  repeatable, guards nothing
        crew = Crew(start=lambda index: start("work", f"worker-{index}"), random=seeded)
        with crew:
            for threshold in kill_thresholds(seeded, kills, ROWS * 9 // 10):
                crew.wait(lambda threshold=threshold: len(box.store.ledger) >= threshold, TIMEOUT_SECONDS)
                crew.kill()
            crew.wait(lambda: _have_all_ended(database), TIMEOUT_SECONDS)
        assert start("collect", sheet, results).wait(TIMEOUT_SECONDS) == 0
    figures = checker.check([Asked(rows=rows, results=ways.read(results))], box.store.ledger)
    print(f"{figures}; {crew.kills} kills, {box.faults.counts.total()} faults")  # noqa: T201  worth seeing
    assert crew.kills == kills
    assert not crew.exit_codes
    return figures


def _make_starter(folder: Path, database: str, base_url: str) -> Callable[..., subprocess.Popen[str]]:
    """A function that starts `naive_worker.py`; all output goes to one file."""
    environment = {
        "INVOCA_JOURNAL": database,
        "INVOCA_BASE_URL": base_url,
        "INVOCA_NETWORK_ID": NETWORK_ID,
        "INVOCA_API_TOKEN": TOKEN,
    }

    def start(*arguments: str | Path) -> subprocess.Popen[str]:
        command = [sys.executable, str(WORKER), *map(str, arguments)]
        with (folder / "output.txt").open("a") as output:
            return subprocess.Popen(
                command, env=os.environ | environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, text=True
            )

    return start
