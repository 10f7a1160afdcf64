"""Ctrl-C in the middle of a run."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from invoca_bulk.sandbox_server import Sandbox
from invoca_bulk.transport import run_sync

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TOKEN = "the-secret-token"


def _start(tmp_path: Path, box: Any, concurrency: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "invoca_bulk", "run", "many.csv", "--yes", "-o", "results.csv"]
    command += ["--concurrency", str(concurrency)]
    where = {"INVOCA_BASE_URL": box.base_url, "INVOCA_NETWORK_ID": box.network_id, "INVOCA_API_TOKEN": box.token}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=os.environ | where, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while len(box.store.ledger) < 10 and time.monotonic() < deadline:
        time.sleep(0.01)
    return process


def test_ctrl_c_awaits_what_is_under_way(tmp_path: Path, requests_frame: Callable[..., pd.DataFrame]) -> None:
    """Nothing more is sent, every number that was issued stands on its row, the rest is `not_sent`, exit 4."""
    requests_frame(2000).to_csv(tmp_path / "many.csv", index=False)
    with Sandbox(open_campaigns=True, token=TOKEN, latency=0.05) as box:
        process = _start(tmp_path, box, concurrency=8)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 4, err
        results = pd.read_csv(tmp_path / "results.csv", dtype=str, keep_default_na=False)
        assert set(results["result_status"]) == {"created", "not_sent"}
        created = results[results["result_status"] == "created"]
        issued = {one.body["description"]: one.number for one in box.store.ledger}
        assert dict(zip(created["description"], created["promo_number"], strict=True)) == issued
        assert "invoca-bulk resume sandbox-" in out


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path, requests_frame: Callable[..., pd.DataFrame]) -> None:
    """Requests under way are given up as `unknown`; what was recorded is written."""
    requests_frame(200).to_csv(tmp_path / "many.csv", index=False)
    with Sandbox(open_campaigns=True, token=TOKEN, latency=2.0) as box:
        process = _start(tmp_path, box, concurrency=4)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 4, err
        counts = pd.read_csv(tmp_path / "results.csv", dtype=str)["result_status"].value_counts()
        assert counts["not_sent"] > 0
        assert counts.sum() == 200


def test_a_service_that_is_stopped_stops_softly(tmp_path: Path, requests_frame: Callable[..., pd.DataFrame]) -> None:
    """SIGTERM is a soft stop too: results are written, exit 4."""
    requests_frame(2000).to_csv(tmp_path / "many.csv", index=False)
    with Sandbox(open_campaigns=True, token=TOKEN, latency=0.05) as box:
        process = _start(tmp_path, box, concurrency=8)
        process.terminate()
        _, err = process.communicate(timeout=60)
        assert process.returncode == 4, err
        assert set(pd.read_csv(tmp_path / "results.csv", dtype=str)["result_status"]) == {"created", "not_sent"}


def test_a_burst_of_interrupts_loses_nothing(tmp_path: Path, requests_frame: Callable[..., pd.DataFrame]) -> None:
    """Ctrl-C as fast as it comes, also while the results are written: exit 4, and every row has an outcome."""
    requests_frame(500).to_csv(tmp_path / "many.csv", index=False)
    with Sandbox(open_campaigns=True, token=TOKEN, latency=0.05) as box:
        process = _start(tmp_path, box, concurrency=8)
        for _ in range(200):
            process.send_signal(signal.SIGINT)
            time.sleep(0.002)
        out, err = process.communicate(timeout=60)
        assert "Nothing was sent" not in out + err
        assert process.returncode == 4, err
        results = pd.read_csv(tmp_path / "results.csv", dtype=str, keep_default_na=False)
        assert len(results) == 500
        issued = {one.number for one in box.store.ledger}
        assert set(results["promo_number"]) - {""} <= issued
        assert (results["result_status"] == "unknown").sum() <= 8


def test_interrupts_are_held_until_the_results_are_there() -> None:
    """From the first request to the written file no interrupt is raised; they are counted, and handled by the run."""
    with run_sync.defer_interrupts() as held:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert held.count == 2
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_progress_that_cannot_be_shown_ends_no_run() -> None:
    """A broken pipe or a widget's error in the bar: the work goes on to its end."""

    async def work() -> str:
        await asyncio.sleep(0.3)
        return "done"

    def broken() -> None:
        raise OSError

    assert run_sync.run(work, tick=broken) == "done"


def test_only_the_second_interrupt_cancels() -> None:
    """The first one asks softly, the second one cancels, and a third one does not disturb the closing."""
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0.5)
            seen.append("closed")

    with run_sync.defer_interrupts() as held:

        def press() -> None:
            held.count += held.count < 5

        with pytest.raises(KeyboardInterrupt):
            run_sync.run(work, interrupts=held, soft_stop=lambda: seen.append("asked"), tick=press)
    assert seen == ["asked", "closed"]
