"""A run at the workers, from its client to its results."""

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


def test_two_workers_do_a_sheet(machine: Callable[..., Machine], box: Sandbox) -> None:
    """Each row gets a number of its own; the client shows the results, and any machine can read them."""
    client, other = machine("client"), machine("other")
    workers = [other.worker(), other.worker()]
    done = client.call("run", sheet(client.folder, 300), "-o", "results.csv", "--yes", "--cluster")
    assert (done.returncode, done.stderr) == (0, "")
    results = pd.read_csv(client.folder / "results.csv", dtype=str)
    assert set(results["result_status"]) == {"created"}
    assert sorted(results["promo_number"]) == sorted(one.number for one in box.store.ledger)
    assert len(box.store.ledger) == 300
    for one in workers:
        one.terminate()
    assert [one.wait(timeout=30) for one in workers] == [0, 0]
    run = results["result_run"][0]
    assert other.call("results", run, "-o", "there.csv").returncode == 0
    assert (other.folder / "there.csv").read_text() == (client.folder / "results.csv").read_text()
    followed = machine("third").call("resume", run, "--cluster", "-o", "late.csv", "--json")  # it has ended long since
    assert followed.returncode == 0, followed.stderr
    assert json.loads(followed.stdout)["totals"] == {"created": 300}


def test_a_run_whose_client_was_killed_before_it_was_handed_out(
    machine: Callable[..., Machine], box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is recorded and in no queue; the next worker that looks finds it, and does it once."""
    client = machine("client")
    with monkeypatch.context() as patch:
        patch.setattr("invoca_bulk.workers.client.enqueue_run", lambda *_: None)
        chosen = {
            "journal": client.place,
            "cluster": True,
            "detach": True,
            "yes": True,
            "progress": False,
            "settle": 1.0,
        }
        frame = ib.run(sheet(client.folder, 20), client.network(), **chosen)
    assert journal.list_runs(client.place)[0].record.state == "running"
    machine("one").worker()
    machine("two").worker()
    until(lambda: journal.list_runs(client.place)[0].record.state == "finished")
    assert len(box.store.ledger) == 20
    assert journal.list_runs(client.place)[0].record.run == frame.attrs["run"]


def test_the_queues_own_history_may_be_dropped(machine: Callable[..., Machine], box: Sandbox) -> None:
    """While no worker runs; the journal has all that matters, and the queue is made anew."""
    client, other = machine("client"), machine("other")
    first = other.worker()
    assert client.call("run", sheet(client.folder, 5), "--yes", "--cluster").returncode == 0
    first.terminate()
    assert first.wait(timeout=30) == 0
    with engine(client.database).begin() as connection:
        connection.execute(sa.text("DROP SCHEMA dbos CASCADE"))
    other.worker()
    done = client.call("run", sheet(client.folder, 5, "More"), "--yes", "--cluster")
    assert done.returncode == 0, done.stderr
    assert len(box.store.ledger) == 10


def test_a_client_that_is_closed_ends_nothing(machine: Callable[..., Machine], box: Sandbox) -> None:
    """`--detach` returns at once, a killed client too leaves the run to the workers; `resume --cluster` follows it."""
    client = machine("client")
    told = client.call("run", sheet(client.folder, 60), "--yes", "--cluster", "--detach", "--json")
    assert told.returncode == 0, told.stderr
    assert len(box.store.ledger) == 0  # there is no worker yet
    follower = client.start("resume", "--cluster")
    machine("other").worker()
    until(lambda: len(box.store.ledger) >= 5)
    follower.kill()
    place = client.place
    until(lambda: journal.list_runs(place)[0].record.state == "finished")
    assert len(box.store.ledger) == 60
    frame = ib.read(client.folder / "requests.csv")
    network = client.network()
    again = ib.plan(frame, network, journal=place)
    assert "done already" in str(again.summary) or again.requests == 0
