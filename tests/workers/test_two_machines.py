"""Several people on several machines, one history: nothing is bought twice, and everybody is told how it stands."""

from __future__ import annotations

import base64
import binascii
import json
import os
import socket
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
import sqlalchemy as sa
from machines import NETWORK_ID, TOKEN, until
from postgres import engine

import invoca_bulk as ib
from invoca_bulk import journal
from invoca_bulk.config.settings import Network
from invoca_bulk.journal import RunState, State
from invoca_bulk.journal.postgres import schema_name
from invoca_bulk.sandbox_server import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from machines import Machine

#: Of the rows' descriptions: it is in the journal, on the platform, and nowhere else.
TEXT = "Zebra crossing"


def sheet(folder: Path, rows: int, text: str = TEXT) -> Path:
    """A sheet; two that ask for the same are equal, wherever they are."""
    path = folder / "requests.csv"
    frame = pd.DataFrame({"description": [f"{text} {number}" for number in range(rows)]})
    frame.insert(0, "advertiser_id_from_network", "A-1")
    frame.insert(1, "advertiser_campaign_id_from_network", [f"C-{number % 2}" for number in range(rows)])
    frame["media_type"] = "Online: Display"
    frame.to_csv(path, index=False)
    return path


def bought(box: Sandbox) -> Counter[str]:
    """Description to how many numbers were issued for it."""
    return Counter(str(one.body["description"]) for one in list(box.store.ledger))


def once_each(rows: int, text: str = TEXT) -> Counter[str]:
    return Counter(f"{text} {number}" for number in range(rows))


def handed_out(path: Path, client: Machine, network: Network | None = None, **options: Any) -> str:
    """A run that a notebook of that machine has handed to the workers, and does not follow."""
    usual = {"cluster": True, "detach": True, "yes": True, "progress": False, "settle": 1.0}
    frame = ib.run(path, network or client.network(), journal=client.place, **usual, **options)
    return str(frame.attrs["run"])


def state_of(one: Machine, run: str) -> str:
    found = journal.find_run_summary(one.place, run)
    return found.state if found else ""


# Without workers


@pytest.mark.parametrize("version", ["2022-08-01", "2017-09-01"])
def test_two_people_with_the_same_sheet(
    machine: Callable[..., Machine], box: Sandbox, tmp_path: Path, version: str
) -> None:
    """The second is told who is at it, and later which run did the rows, also where numbers have no ids of ours."""
    one, other = (machine(name, INVOCA_API_VERSION=version) for name in ("one", "other"))
    rows = 40
    first = one.start("run", sheet(one.folder, rows), "-o", "results.csv", "--yes", "--rate", "4")
    until(lambda: bought(box))
    refused = other.call("run", sheet(other.folder, rows), "-o", "results.csv", "--yes")
    assert refused.returncode == 3, refused.stderr
    assert f"Another run is using this network: process {first.pid} on {socket.gethostname()}, since " in refused.stderr
    assert "Nothing was sent." in refused.stderr
    assert first.wait(timeout=100) == 0
    results = pd.read_csv(one.folder / "results.csv", dtype=str)
    assert set(results["result_status"]) == {"created"}
    run = results["result_run"][0]
    told = other.call("run", other.folder / "requests.csv", "-o", "results.csv", "--yes")
    assert told.returncode == 2, told.stderr
    assert f"Nothing was sent: rows 2-{rows + 1} were done already by run {run} ({rows} created)" in told.stderr
    assert other.call("results", run, "-o", "theirs.csv").returncode == 0
    assert (other.folder / "theirs.csv").read_text() == (one.folder / "results.csv").read_text()
    path = sheet(other.folder, rows + 2)  # some rows more: only these are bought
    more = other.call("run", path, "-o", "more.csv", "--yes")
    assert more.returncode == 0, more.stderr
    theirs = pd.read_csv(other.folder / "more.csv", dtype=str)
    assert theirs["promo_number"].tolist()[:rows] == results["promo_number"].tolist()
    assert (theirs["result_run"] == run).sum() == rows
    assert bought(box) == once_each(rows + 2)
    assert not any(tmp_path.rglob("*.sqlite"))  # nobody has a journal of his own


def test_an_interrupted_run_goes_on_elsewhere(machine: Callable[..., Machine], box: Sandbox) -> None:
    """The sheet of a process that was killed, run on another machine: the same run goes on, and nothing twice."""
    one, other = machine("one", INVOCA_LEASE="1"), machine("other", INVOCA_LEASE="1")
    rows = 20
    first = one.start("run", sheet(one.folder, rows), "-o", "results.csv", "--yes", "--rate", "5")
    until(lambda: len(box.store.ledger) >= 3)
    first.kill()
    first.wait()
    place = other.place
    until(lambda: not journal.list_runs(place)[0].is_in_use)  # its lease has ended
    (listed,) = journal.list_runs(place)
    assert (listed.state, listed.is_resumable) == ("interrupted", True)
    again = other.call("run", sheet(other.folder, rows), "-o", "results.csv", "--yes")
    assert again.returncode == 0, again.stderr
    assert f"Run {listed.record.run} of requests.csv" in again.stderr
    assert "goes on" in again.stderr
    assert bought(box) == once_each(rows)
    results = pd.read_csv(other.folder / "results.csv", dtype=str)
    assert sorted(results["promo_number"]) == sorted(one.number for one in box.store.ledger)


def test_everything_is_seen_and_undone_from_another_machine(machine: Callable[..., Machine], box: Sandbox) -> None:
    """`runs`, `results`, `resume` and `undo`, planned and run, where the run was not."""
    one, other = machine("one"), machine("other")
    ran = one.call("run", sheet(one.folder, 4), "-o", "results.csv", "--yes", "--json")
    assert ran.returncode == 0, ran.stderr
    run = json.loads(ran.stdout)["run"]
    (listed,) = json.loads(other.call("runs", "--json").stdout)["runs"]
    assert (listed["run"], listed["state"], listed["totals"]) == (run, "finished", {"created": 4})
    assert other.call("results", run, "-o", "there.csv").returncode == 0
    assert (other.folder / "there.csv").read_text() == (one.folder / "results.csv").read_text()
    nothing = other.call("resume")
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert "Nothing is left to do" in nothing.stderr
    planned = other.call("undo", run, "--save", "undo.json")
    assert planned.returncode == 0, planned.stderr
    assert "invoca-bulk run undo.json -o undo-results.xlsx" in planned.stdout
    assert _there(box) == 4
    undone = other.call("run", "undo.json", "-o", "undone.csv", "--yes")
    assert undone.returncode == 0, undone.stderr
    assert _there(box) == 0
    assert set(pd.read_csv(other.folder / "undone.csv", dtype=str)["result_status"]) == {"deleted"}
    assert [one.state for one in journal.list_runs(one.place)] == ["finished", "finished"]


def _there(box: Sandbox) -> int:
    """Numbers that the platform has now."""
    network = box.store.networks[NETWORK_ID]
    return sum(len(campaign.numbers) for campaign in network.campaigns.values())


# With workers


CLIENT = """
import json, os, sys, warnings
import invoca_bulk as ib
from invoca_bulk.errors import InvocaBulkError
from invoca_bulk.config.settings import Network
warnings.simplefilter("ignore")
print("ready", flush=True)
for line in sys.stdin:
    path, network_id = json.loads(line)
    network = Network(network_id=network_id, base_url=os.environ["INVOCA_BASE_URL"], token=sys.argv[1])
    try:
        frame = ib.run(path, network, cluster=True, detach=True, yes=True, progress=False)
        told = {"run": frame.attrs["run"], "by": sorted(set(frame["result_run"]))}
    except InvocaBulkError as error:
        told = {"error": type(error).__name__, "text": str(error)}
    print(json.dumps(told), flush=True)
"""
ROUNDS, NETWORKS = 5, 10


@pytest.fixture
def clients(machine: Callable[..., Machine]) -> Iterator[list[subprocess.Popen[str]]]:
    """Two notebooks on two machines, so to speak: each runs the sheet that it is told of, and says what came of it."""
    started = []
    for name in ("one", "other"):
        one = machine(name)
        where = {"HOME": str(one.folder), "INVOCA_JOURNAL": one.database, "INVOCA_BASE_URL": one.base_url}
        command = [sys.executable, "-c", CLIENT, TOKEN]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        environment = os.environ | where | {"INVOCA_SETTLE": "1"}
        started.append(subprocess.Popen(command, text=True, env=environment, **pipes))
    for process in started:
        _answer(process, "ready\n")
    yield started
    for process in started:
        process.kill()
        process.communicate()


def _answer(process: subprocess.Popen[str], expected: str = "") -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert not expected or line == expected
    return line


def _tell(process: subprocess.Popen[str], *what: str) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(what) + "\n")
    process.stdin.flush()


@pytest.mark.timeout(240)
def test_the_same_sheet_started_twice_at_once(
    machine: Callable[..., Machine], clients: list[subprocess.Popen[str]], box: Sandbox, tmp_path: Path
) -> None:
    """Fifty times: one run, the other client is told by an error which it is, and each number is bought once."""
    networks = [str(6000 + number) for number in range(NETWORKS)]
    for one in networks:
        box.store.add_network(one)
    tokens = {f"INVOCA_API_TOKEN_{one}": TOKEN for one in networks}
    worker = machine("worker", INVOCA_API_TOKEN="", **tokens)
    worker.worker()
    errors: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    made: list[str] = []
    for number in range(ROUNDS):
        for network_id in networks:  # networks side by side, so that a round need not wait for that before
            text = f"Round {number} of {network_id}"
            path = sheet(tmp_path, 3, text)
            wanted.update(once_each(3, text))
            for client in clients:
                _tell(client, str(path), network_id)
            told = [json.loads(_answer(client)) for client in clients]
            made.append(_the_one_of(told, errors))
        until(lambda: not _running(worker, networks))
    assert bought(box) == wanted
    assert sorted(one.record.run for one in journal.list_runs(worker.place)) == sorted(made)
    assert {one.state for one in journal.list_runs(worker.place)} == {"finished"}
    assert set(errors) <= {"JournalLockedError", "ConfirmationRequiredError"}
    print(errors)  # noqa: T201  the figures are worth seeing


def _the_one_of(told: list[dict[str, Any]], errors: Counter[str]) -> str:
    """The run that does it; the other client got an error that names it, or its process."""
    runs = [one for one in told if "run" in one]
    assert runs, told
    for one in told:
        if "error" in one:
            errors[one["error"]] += 1
            held = "Another run is using this network: process " in one["text"]
            assert held or runs[0]["run"] in one["text"], one
            return str(runs[0]["run"])
    pytest.fail(f"both were run: {told}")


def _running(one: Machine, networks: list[str]) -> int:
    """Runs that workers are at; in one query, since it is asked all the time."""
    names = [schema_name(base_url=one.base_url, network_id=network_id) for network_id in networks]
    each = " UNION ALL ".join(f"SELECT state FROM {name}.runs" for name in names)  # noqa: S608  names of our own
    with engine(one.database).connect() as db:
        return db.execute(sa.text(f"SELECT count(*) FROM ({each}) a WHERE state = 'running'")).scalar_one()  # noqa: S608


def test_a_run_at_the_workers_is_stopped_and_resumed_from_elsewhere(
    machine: Callable[..., Machine], box: Sandbox
) -> None:
    """Nothing more is sent, what was under way is recorded, and whoever resumes it gets every number once."""
    client, other, worker = machine("client"), machine("other"), machine("worker")
    worker.worker()
    rows = 24
    path = sheet(client.folder, rows)
    run = handed_out(path, client, rate=1.0)  # so slow that it is not done before it is stopped
    until(lambda: len(box.store.ledger) >= 2)
    assert state_of(other, run) == "running"
    held = other.call("run", sheet(other.folder, 3, "Something else"), "-o", "else.csv", "--yes")
    assert held.returncode == 3
    assert f"Workers are at run {run} of this network." in held.stderr
    stopped = other.call("stop", run)
    assert (stopped.returncode, stopped.stderr) == (0, "")
    until(lambda: state_of(other, run) == "interrupted")
    until(lambda: not journal.list_runs(other.place)[0].is_in_use)
    sent = len(box.store.ledger)
    assert sent < rows
    with journal.open_readonly(other.place, other.network()) as open_journal:
        assert open_journal is not None
        states = Counter(one.state for one in open_journal.steps(run))
        assert (open_journal.run(run).state, open_journal.run(run).note) == (RunState.INTERRUPTED, "")
    assert states == {State.DONE: sent, State.PENDING: rows - sent}
    assert journal.request_stop(client.place, run) == "The run is no longer in progress."
    resumed = other.call("resume", run, "--cluster", "--rate", "50", "-o", "there.csv")
    assert resumed.returncode == 0, resumed.stderr
    results = pd.read_csv(other.folder / "there.csv", dtype=str)
    assert set(results["result_status"]) == {"created"}
    assert sorted(results["promo_number"]) == sorted(one.number for one in box.store.ledger)
    assert bought(box) == once_each(rows)
    assert state_of(client, run) == "finished"
    _check_nothing_is_told(client.database, [client, other, worker])


def test_a_run_for_workers_that_nobody_is_at_is_stopped(machine: Callable[..., Machine], box: Sandbox) -> None:
    """There is no worker: the run ends at once, and one that comes later leaves it alone, until it is resumed."""
    client, other = machine("client"), machine("other")
    run = handed_out(sheet(client.folder, 5), client)
    assert journal.request_stop(other.place, run) == ""
    assert state_of(other, run) == "interrupted"
    other.worker()
    resumed = client.call("resume", run, "-o", "results.csv")  # and without workers
    assert resumed.returncode == 0, resumed.stderr
    assert bought(box) == once_each(5)


def test_networks_side_by_side(machine: Callable[..., Machine], box: Sandbox) -> None:
    """The worker's token of one is wrong: its run is aborted with a sentence on that, and the other one finishes."""
    theirs = "another-secret-token"
    wrong = "a-wrong-secret-token"
    with Sandbox(network_id="4712", open_campaigns=True, token=theirs) as second:
        both = {f"INVOCA_BASE_URL_{NETWORK_ID}": box.base_url, "INVOCA_BASE_URL_4712": second.base_url}
        tokens = {f"INVOCA_API_TOKEN_{NETWORK_ID}": TOKEN, "INVOCA_API_TOKEN_4712": wrong}
        nobody = {"INVOCA_API_TOKEN": "", "INVOCA_NETWORK_ID": "", "INVOCA_BASE_URL": "https://127.0.0.1:1"}
        worker = machine("worker", **nobody, **both, **tokens)
        where = {"INVOCA_NETWORK_ID": "4712", "INVOCA_BASE_URL": second.base_url, "INVOCA_API_TOKEN": theirs}
        one, other = machine("one"), machine("other", **where)
        runs = []
        runs.append(handed_out(sheet(one.folder, 12), one))
        their_network = Network(network_id="4712", base_url=second.base_url, token=theirs)
        runs.append(handed_out(sheet(other.folder, 12), other, their_network))
        worker.worker()
        until(lambda: [state_of(worker, run) for run in runs] == ["finished", "aborted"])
        assert bought(box) == once_each(12)
        assert bought(second) == Counter()
        record = journal.find_run(worker.place, runs[1])
        assert "token" in record.note
        assert f"process {worker.started[0].pid} on {socket.gethostname()}" in record.note  # whose token it is
        assert "4712" in record.note or second.base_url in record.note
        listed = {one.record.run: one for one in journal.list_runs(one.place)}
        assert dict(listed[runs[1]].totals) == {"not_sent": 12}
        assert listed[runs[1]].is_resumable
        _check_nothing_is_told(worker.database, [worker, one, other], wrong, theirs)
        # Whoever has the right token goes on with it.
        again = other.call("resume", runs[1], "-o", "again.csv")
        assert again.returncode == 0, again.stderr
        assert bought(second) == once_each(12)


def _check_nothing_is_told(database: str, machines: list[Machine], *secrets: str) -> None:
    """No token and nothing of a sheet is in the tables of the queue, nor in what the programs wrote."""
    hidden = [one.encode() for one in (TOKEN, *secrets, TEXT, "media_type", "Online: Display", "A-1")]
    kept = list(_kept_by_the_queue(database))
    assert any(b"conduct" in one for one in kept)
    told = [
        path.read_bytes() for one in machines for path in one.folder.glob("*-*.*") if path.suffix in {".out", ".err"}
    ]
    assert told
    assert [(secret, one) for secret in hidden for one in [*kept, *told] if secret in one] == []
    secret_files = [
        path for one in machines for path in one.folder.rglob("*") if path.is_file() and _holds(path, hidden)
    ]
    assert {path.suffix for path in secret_files} <= {".csv"}  # the sheets and results themselves


def _holds(path: Path, hidden: list[bytes]) -> bool:
    return any(one in path.read_bytes() for one in hidden)


def _kept_by_the_queue(database: str) -> Iterator[bytes]:
    """Every value in every table of the engine's schema, as it stands there and unpacked."""
    tables = sa.text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'dbos'")
    with engine(database).connect() as db:
        names = db.execute(tables).scalars().all()
        assert "workflow_status" in names
        for name in names:
            for row in db.execute(sa.text(f'SELECT * FROM dbos."{name}"')):  # noqa: S608  a name of the database's own
                for value in row:
                    raw = value if isinstance(value, bytes) else str(value).encode()
                    yield raw
                    try:
                        yield base64.b64decode(raw, validate=True)
                    except binascii.Error:
                        continue
