"""Interrupts during a run: Ctrl-C and SIGTERM."""

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
from tests.systems import posix_only

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TOKEN = "the-secret-token"


def _start(tmp_path: Path, box: Any, concurrency: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "invoca_bulk", "run", "many.csv", "--yes", "-o", "results.csv"]
    command += ["--concurrency", str(concurrency)]
    environment = {"INVOCA_BASE_URL": box.base_url, "INVOCA_NETWORK_ID": box.network_id, "INVOCA_API_TOKEN": box.token}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while len(box.store.ledger) < 10 and time.monotonic() < deadline:
        time.sleep(0.01)
    return process


@posix_only
def test_ctrl_c_waits_for_requests_in_flight(tmp_path: Path, requests_frame: Callable[..., pd.DataFrame]) -> None:
    """Nothing more is sent, every issued number is on its row, the other rows are `not_sent`, exit 4."""
    requests_frame(2000).to_csv(tmp_path / "many.csv", index=False)
    with Sandbox(open_campaigns=True, token=TOKEN, latency=0.05) as box:
        process = _start(tmp_path, box, concurrency=8)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 4, err
        results = pd.read_csv(tmp_path / "results.csv", dtype=str, keep_default_na=False)
        assert set(results["result_status"]) == {"created", "not_sent"}
        created = results[results["result_status"] == "created"]
        issued = {entry.body["description"]: entry.number for entry in box.store.ledger}
        assert dict(zip(created["description"], created["promo_number"], strict=True)) == issued
        assert "invoca-bulk resume sandbox-" in out


@posix_only
def test_second_ctrl_c_stops_immediately(tmp_path: Path, requests_frame: Callable[..., pd.DataFrame]) -> None:
    """Requests in flight are abandoned as `unknown`; recorded outcomes are written."""
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


@posix_only
def test_sigterm_stops_gracefully(tmp_path: Path, requests_frame: Callable[..., pd.DataFrame]) -> None:
    """SIGTERM is a graceful stop too: results are written, exit 4."""
    requests_frame(2000).to_csv(tmp_path / "many.csv", index=False)
    with Sandbox(open_campaigns=True, token=TOKEN, latency=0.05) as box:
        process = _start(tmp_path, box, concurrency=8)
        process.terminate()
        _, err = process.communicate(timeout=60)
        assert process.returncode == 4, err
        assert set(pd.read_csv(tmp_path / "results.csv", dtype=str)["result_status"]) == {"created", "not_sent"}


@posix_only
def test_burst_of_interrupts_loses_nothing(tmp_path: Path, requests_frame: Callable[..., pd.DataFrame]) -> None:
    """Repeated Ctrl-C, also while results are written: exit 4, and every row has an outcome."""
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
        issued = {entry.number for entry in box.store.ledger}
        assert set(results["promo_number"]) - {""} <= issued
        assert (results["result_status"] == "unknown").sum() <= 8


def test_interrupts_are_deferred_until_results_are_written() -> None:
    """From the first request to the written file, interrupts are counted instead of raised."""
    with run_sync.defer_interrupts() as interrupts:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert interrupts.count == 2
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_progress_error_does_not_end_the_run() -> None:
    """After a broken pipe or widget error in the progress bar, the work still completes."""

    async def work() -> str:
        await asyncio.sleep(0.3)
        return "done"

    def broken() -> None:
        raise OSError

    assert run_sync.run(work, tick=broken) == "done"


def test_second_interrupt_cancels() -> None:
    """The first interrupt requests a stop, the second cancels, a third does not disturb the cleanup."""
    events: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0.5)
            events.append("closed")

    with run_sync.defer_interrupts() as interrupts:

        def press() -> None:
            interrupts.count += interrupts.count < 5

        with pytest.raises(KeyboardInterrupt):
            run_sync.run(work, interrupts=interrupts, soft_stop=lambda: events.append("asked"), tick=press)
    assert events == ["asked", "closed"]
