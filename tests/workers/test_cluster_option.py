"""A run on workers, from the client to the results."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pandas as pd
import sqlalchemy as sa
from machines import until
from postgres import engine

import invoca_bulk as ib
from invoca_bulk import journal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest
    from machines import Machine

    from invoca_bulk.sandbox_server import Sandbox


def sheet(folder: Path, rows: int, text: str = "Number") -> Path:
    path = folder / "requests.csv"
    frame = pd.DataFrame({"description": [f"{text} {number}" for number in range(rows)]})
    frame.insert(0, "advertiser_id_from_network", "A-1")
    frame.insert(1, "advertiser_campaign_id_from_network", [f"C-{number % 3}" for number in range(rows)])
    frame["media_type"] = "Online: Display"
    frame.to_csv(path, index=False)
    return path


def test_two_workers_run_a_sheet(machine: Callable[..., Machine], box: Sandbox) -> None:
    """Each row gets its own number; the client shows the results, and any machine can read them."""
    client, other = machine("client"), machine("other")
    workers = [other.worker(), other.worker()]
    process = client.call("run", sheet(client.folder, 300), "-o", "results.csv", "--yes", "--cluster")
    # On a busy machine, workers may take a while to begin, and the client says so.
    assert (process.returncode, "Error" in process.stderr) == (0, False), process.stderr
    results = pd.read_csv(client.folder / "results.csv", dtype=str)
    assert set(results["result_status"]) == {"created"}
    assert sorted(results["promo_number"]) == sorted(entry.number for entry in box.store.ledger)
    assert len(box.store.ledger) == 300
    for worker in workers:
        worker.terminate()
    assert [worker.wait(timeout=30) for worker in workers] == [0, 0]
    run = results["result_run"][0]
    assert other.call("results", run, "-o", "there.csv").returncode == 0
    assert (other.folder / "there.csv").read_text() == (client.folder / "results.csv").read_text()
    third = machine("third")
    followed = third.call("resume", run, "--cluster", "-o", "late.csv", "--json")  # after it has ended
    assert followed.returncode == 0, followed.stderr
    assert json.loads(followed.stdout)["totals"] == {"created": 300}
    (third.folder / "late.csv").write_text("corrected meanwhile")
    assert third.call("resume", run, "--cluster", "-o", "late.csv").returncode == 0
    assert (third.folder / "late.csv").read_text() == "corrected meanwhile"
    assert (third.folder / "late-2.csv").exists()


def test_run_that_was_recorded_but_not_enqueued(
    machine: Callable[..., Machine], box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the client is killed before it enqueues a run, workers find the run and do it once."""
    client = machine("client")
    with monkeypatch.context() as patch:
        patch.setattr("invoca_bulk.workers.client.enqueue_run", lambda *_: None)
        options = {
            "journal": client.place,
            "cluster": True,
            "detach": True,
            "yes": True,
            "progress": False,
            "settle": 1.0,
        }
        frame = ib.run(sheet(client.folder, 20), client.network(), **options)
    assert journal.list_runs(client.place)[0].record.state == "running"
    machine("one").worker()
    machine("two").worker()
    until(lambda: journal.list_runs(client.place)[0].record.state == "finished")
    assert len(box.store.ledger) == 20
    assert journal.list_runs(client.place)[0].record.run == frame.attrs["run"]


def test_queue_may_be_dropped(machine: Callable[..., Machine], box: Sandbox) -> None:
    """While no worker runs, the queue's schema may be dropped; it is created again, and the journal has all data."""
    client, other = machine("client"), machine("other")
    first = other.worker()
    assert client.call("run", sheet(client.folder, 5), "--yes", "--cluster").returncode == 0
    first.terminate()
    assert first.wait(timeout=30) == 0
    with engine(client.database).begin() as connection:
        connection.execute(sa.text("DROP SCHEMA dbos CASCADE"))
    other.worker()
    process = client.call("run", sheet(client.folder, 5, "More"), "--yes", "--cluster")
    assert process.returncode == 0, process.stderr
    assert len(box.store.ledger) == 10


def test_run_continues_without_its_client(machine: Callable[..., Machine], box: Sandbox) -> None:
    """`--detach` returns at once, a killed client too leaves the run to the workers; `resume --cluster` follows it."""
    client = machine("client")
    process = client.call("run", sheet(client.folder, 60), "--yes", "--cluster", "--detach", "--json")
    assert process.returncode == 0, process.stderr
    assert len(box.store.ledger) == 0  # there is no worker yet
    follower = client.start("resume", "--cluster")
    machine("other").worker()
    until(lambda: len(box.store.ledger) >= 5)
    follower.kill()
    until(lambda: journal.list_runs(client.place)[0].record.state == "finished")
    assert len(box.store.ledger) == 60
    plan = ib.plan(ib.read(client.folder / "requests.csv"), client.network(), journal=client.place)
    assert "already sent by" in str(plan.summary) or plan.requests == 0
