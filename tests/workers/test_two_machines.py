"""Several users on several machines share one journal: nothing is bought twice, and everyone sees all runs."""

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
from invoca_bulk.config.network import Network
from invoca_bulk.journal import RunState, State
from invoca_bulk.journal.postgres import schema_name
from invoca_bulk.sandbox_server import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from machines import Machine

#: Prefix of the rows' descriptions; it must be only in the journal and on the platform.
TEXT = "Zebra crossing"


def sheet(folder: Path, rows: int, text: str = TEXT) -> Path:
    """Write a sheet; sheets with the same arguments are equal."""
    path = folder / "requests.csv"
    frame = pd.DataFrame({"description": [f"{text} {number}" for number in range(rows)]})
    frame.insert(0, "advertiser_id_from_network", "A-1")
    frame.insert(1, "advertiser_campaign_id_from_network", [f"C-{number % 2}" for number in range(rows)])
    frame["media_type"] = "Online: Display"
    frame.to_csv(path, index=False)
    return path


def issued_counts(box: Sandbox) -> Counter[str]:
    """Description to the number of promo numbers issued for it."""
    return Counter(str(entry.body["description"]) for entry in list(box.store.ledger))


def once_each(rows: int, text: str = TEXT) -> Counter[str]:
    return Counter(f"{text} {number}" for number in range(rows))


def enqueue(path: Path, client: Machine, network: Network | None = None, **options: Any) -> str:
    """Enqueue a run for workers, as a notebook on the machine does that does not follow it; returns its id."""
    defaults = {"cluster": True, "detach": True, "yes": True, "progress": False, "settle": 1.0}
    frame = ib.run(path, network or client.network(), journal=client.place, **defaults, **options)
    return str(frame.attrs["run"])


def state_of(machine: Machine, run: str) -> str:
    summary = journal.find_run_summary(machine.place, run)
    return summary.state if summary else ""


# Without workers


@pytest.mark.slow
@pytest.mark.parametrize("version", ["2022-08-01", "2017-09-01"])
def test_two_people_with_the_same_sheet(
    machine: Callable[..., Machine], box: Sandbox, tmp_path: Path, version: str
) -> None:
    """The second user is told who runs it, and later which run did the rows, even if numbers have no own ids."""
    client, other = (machine(name, INVOCA_API_VERSION=version) for name in ("one", "other"))
    rows = 40
    first_run = client.start("run", sheet(client.folder, rows), "-o", "results.csv", "--yes", "--rate", "4")
    until(lambda: issued_counts(box))
    refused = other.call("run", sheet(other.folder, rows), "-o", "results.csv", "--yes")
    assert refused.returncode == 3, refused.stderr
    assert (
        f"Another run is using this network: process {first_run.pid} on {socket.gethostname()}, since "
        in refused.stderr
    )
    assert "Nothing was sent." in refused.stderr
    assert first_run.wait(timeout=100) == 0
    results = pd.read_csv(client.folder / "results.csv", dtype=str)
    assert set(results["result_status"]) == {"created"}
    run = results["result_run"][0]
    refused = other.call("run", other.folder / "requests.csv", "-o", "results.csv", "--yes")
    assert refused.returncode == 2, refused.stderr
    assert f"Nothing was sent: rows 2-{rows + 1} were already sent by run {run} ({rows} created)" in refused.stderr
    assert other.call("results", run, "-o", "theirs.csv").returncode == 0
    assert (other.folder / "theirs.csv").read_text() == (client.folder / "results.csv").read_text()
    path = sheet(other.folder, rows + 2)  # only the two additional rows are bought
    longer_run = other.call("run", path, "-o", "more.csv", "--yes")
    assert longer_run.returncode == 0, longer_run.stderr
    longer_results = pd.read_csv(other.folder / "more.csv", dtype=str)
    assert longer_results["promo_number"].tolist()[:rows] == results["promo_number"].tolist()
    assert (longer_results["result_run"] == run).sum() == rows
    assert issued_counts(box) == once_each(rows + 2)
    assert not any(tmp_path.rglob("*.sqlite"))  # there are no local journals


def test_interrupted_run_continues_on_another_machine(machine: Callable[..., Machine], box: Sandbox) -> None:
    """Running the sheet of a killed process on another machine resumes its run, and buys nothing twice."""
    client, other = machine("one", INVOCA_LEASE="1"), machine("other", INVOCA_LEASE="1")
    rows = 20
    first_run = client.start("run", sheet(client.folder, rows), "-o", "results.csv", "--yes", "--rate", "5")
    until(lambda: len(box.store.ledger) >= 3)
    first_run.kill()
    first_run.wait()
    until(lambda: not journal.list_runs(other.place)[0].is_in_use)  # its lease has expired
    (summary,) = journal.list_runs(other.place)
    assert (summary.state, summary.is_resumable) == ("interrupted", True)
    second_run = other.call("run", sheet(other.folder, rows), "-o", "results.csv", "--yes")
    assert second_run.returncode == 0, second_run.stderr
    assert f"Resuming run {summary.record.run} of requests.csv" in second_run.stderr
    assert issued_counts(box) == once_each(rows)
    results = pd.read_csv(other.folder / "results.csv", dtype=str)
    assert sorted(results["promo_number"]) == sorted(entry.number for entry in box.store.ledger)


def test_run_is_listed_and_undone_from_another_machine(machine: Callable[..., Machine], box: Sandbox) -> None:
    """`runs`, `results`, `resume` and `undo` work on a machine that did not run the sheet."""
    client, other = machine("one"), machine("other")
    process = client.call("run", sheet(client.folder, 4), "-o", "results.csv", "--yes", "--json")
    assert process.returncode == 0, process.stderr
    run = json.loads(process.stdout)["run"]
    (listed,) = json.loads(other.call("runs", "--json").stdout)["runs"]
    assert (listed["run"], listed["state"], listed["totals"]) == (run, "finished", {"created": 4})
    assert other.call("results", run, "-o", "there.csv").returncode == 0
    assert (other.folder / "there.csv").read_text() == (client.folder / "results.csv").read_text()
    resumed = other.call("resume")
    assert (resumed.returncode, resumed.stdout) == (2, "")
    assert "There is no run to resume" in resumed.stderr
    planned = other.call("undo", run, "--save", "undo.json")
    assert planned.returncode == 0, planned.stderr
    assert "invoca-bulk run undo.json -o undo-results.xlsx" in planned.stdout
    assert _platform_count(box) == 4
    undone = other.call("run", "undo.json", "-o", "undone.csv", "--yes")
    assert undone.returncode == 0, undone.stderr
    assert _platform_count(box) == 0
    assert set(pd.read_csv(other.folder / "undone.csv", dtype=str)["result_status"]) == {"deleted"}
    assert [summary.state for summary in journal.list_runs(client.place)] == ["finished", "finished"]


def _platform_count(box: Sandbox) -> int:
    """The number of promo numbers on the platform."""
    network = box.store.networks[NETWORK_ID]
    return sum(len(campaign.numbers) for campaign in network.campaigns.values())


# With workers


CLIENT = """
import json, os, sys, warnings
import invoca_bulk as ib
from invoca_bulk.errors import InvocaBulkError
from invoca_bulk.config.network import Network
warnings.simplefilter("ignore")
print("ready", flush=True)
for line in sys.stdin:
    path, network_id = json.loads(line)
    network = Network(network_id=network_id, base_url=os.environ["INVOCA_BASE_URL"], token=sys.argv[1])
    try:
        frame = ib.run(path, network, cluster=True, detach=True, yes=True, progress=False)
        answer = {"run": frame.attrs["run"]}
    except InvocaBulkError as error:
        answer = {"error": type(error).__name__, "text": str(error)}
    print(json.dumps(answer), flush=True)
"""
ROUNDS, NETWORKS = 5, 10


@pytest.fixture
def clients(machine: Callable[..., Machine]) -> Iterator[list[subprocess.Popen[str]]]:
    """Two clients on two machines: each runs the sheets that are sent to it, and answers with the run or the error."""
    processes = []
    for name in ("one", "other"):
        client = machine(name)
        settings = {"HOME": str(client.folder), "INVOCA_JOURNAL": client.database, "INVOCA_BASE_URL": client.base_url}
        command = [sys.executable, "-c", CLIENT, TOKEN]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        environment = os.environ | settings | {"INVOCA_SETTLE": "1"}
        processes.append(subprocess.Popen(command, text=True, env=environment, **pipes))
    for process in processes:
        _read_answer(process, "ready\n")
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def _read_answer(process: subprocess.Popen[str], expected: str = "") -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert not expected or line == expected
    return line


def _send_request(process: subprocess.Popen[str], path: Path, network_id: str) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps([str(path), network_id]) + "\n")
    process.stdin.flush()


@pytest.mark.timeout(240)
@pytest.mark.slow
def test_the_same_sheet_started_twice_at_once(
    machine: Callable[..., Machine], clients: list[subprocess.Popen[str]], box: Sandbox, tmp_path: Path
) -> None:
    """Fifty times: one client gets a run, the other an error that names it; each number is bought once."""
    networks = [str(6000 + number) for number in range(NETWORKS)]
    for network_id in networks:
        box.store.add_network(network_id)
    tokens = {f"INVOCA_API_TOKEN_{network_id}": TOKEN for network_id in networks}
    worker = machine("worker", INVOCA_API_TOKEN="", **tokens)
    worker.worker()
    errors: Counter[str] = Counter()
    expected_counts: Counter[str] = Counter()
    runs: list[str] = []
    for number in range(ROUNDS):
        for network_id in networks:  # the networks' runs overlap, so that a round takes less time
            text = f"Round {number} of {network_id}"
            path = sheet(tmp_path, 3, text)
            expected_counts.update(once_each(3, text))
            for client in clients:
                _send_request(client, path, network_id)
            answers = [json.loads(_read_answer(client)) for client in clients]
            runs.append(_only_run(answers, errors))
        until(lambda: not _count_running(worker, networks))
    assert issued_counts(box) == expected_counts
    assert sorted(summary.record.run for summary in journal.list_runs(worker.place)) == sorted(runs)
    assert {summary.state for summary in journal.list_runs(worker.place)} == {"finished"}
    assert set(errors) <= {"JournalLockedError", "ConfirmationRequiredError"}
    print(errors)  # noqa: T201  the figures are worth seeing


def _only_run(answers: list[dict[str, Any]], errors: Counter[str]) -> str:
    """The run that one client got; the other must have got an error that names the run, or its process."""
    runs = [answer["run"] for answer in answers if "run" in answer]
    assert runs, answers
    for answer in answers:
        if "error" in answer:
            errors[answer["error"]] += 1
            is_locked = "Another run is using this network: process " in answer["text"]
            assert is_locked or runs[0] in answer["text"], answer
            return str(runs[0])
    pytest.fail(f"both clients got a run: {answers}")


def _count_running(machine: Machine, networks: list[str]) -> int:
    """The number of running runs; one query for all networks, because it is polled."""
    schemas = [schema_name(base_url=machine.base_url, network_id=network_id) for network_id in networks]
    states = " UNION ALL ".join(f"SELECT state FROM {schema}.runs" for schema in schemas)  # noqa: S608  our own names
    query = sa.text(f"SELECT count(*) FROM ({states}) a WHERE state = 'running'")  # noqa: S608  as above
    with engine(machine.database).connect() as db:
        return db.execute(query).scalar_one()


def test_workers_run_is_stopped_and_resumed_from_another_machine(machine: Callable[..., Machine], box: Sandbox) -> None:
    """After a stop nothing more is sent and all outcomes are recorded; resuming it gets every number once."""
    client, other, worker = machine("client"), machine("other"), machine("worker")
    worker.worker()
    rows = 24
    path = sheet(client.folder, rows)
    run = enqueue(path, client, rate=1.0)  # slow, so that it is stopped before it is done
    until(lambda: len(box.store.ledger) >= 2)
    assert state_of(other, run) == "running"
    refused = other.call("run", sheet(other.folder, 3, "Something else"), "-o", "else.csv", "--yes")
    assert refused.returncode == 3
    assert f"Workers execute run {run} of this network." in refused.stderr
    stopped = other.call("stop", run)
    assert (stopped.returncode, stopped.stderr) == (0, "")
    until(lambda: state_of(other, run) == "interrupted")
    until(lambda: not journal.list_runs(other.place)[0].is_in_use)
    issued = len(box.store.ledger)
    assert issued < rows
    with journal.open_readonly(other.place, other.network()) as open_journal:
        assert open_journal is not None
        states = Counter(step.state for step in open_journal.steps(run))
        assert (open_journal.run(run).state, open_journal.run(run).note) == (RunState.INTERRUPTED, "")
    assert states == {State.DONE: issued, State.PENDING: rows - issued}
    assert journal.request_stop(client.place, run) == "The run is no longer in progress."
    resumed = other.call("resume", run, "--cluster", "--rate", "50", "-o", "there.csv")
    assert resumed.returncode == 0, resumed.stderr
    results = pd.read_csv(other.folder / "there.csv", dtype=str)
    assert set(results["result_status"]) == {"created"}
    assert sorted(results["promo_number"]) == sorted(entry.number for entry in box.store.ledger)
    assert issued_counts(box) == once_each(rows)
    assert state_of(client, run) == "finished"
    _check_nothing_leaks(client.database, [client, other, worker])


def test_stopping_a_run_without_workers(machine: Callable[..., Machine], box: Sandbox) -> None:
    """Without a worker, the run is interrupted immediately; a worker started later ignores it until it is resumed."""
    client, other = machine("client"), machine("other")
    run = enqueue(sheet(client.folder, 5), client)
    assert journal.request_stop(other.place, run) == ""
    assert state_of(other, run) == "interrupted"
    other.worker()
    resumed = client.call("resume", run, "-o", "results.csv")  # without workers
    assert resumed.returncode == 0, resumed.stderr
    assert issued_counts(box) == once_each(5)


def test_worker_with_a_wrong_token_for_one_network(machine: Callable[..., Machine], box: Sandbox) -> None:
    """That network's run is aborted with an error about the token; the other network's run finishes."""
    second_token = "another-secret-token"
    wrong_token = "a-wrong-secret-token"
    with Sandbox(network_id="4712", open_campaigns=True, token=second_token) as second:
        urls = {f"INVOCA_BASE_URL_{NETWORK_ID}": box.base_url, "INVOCA_BASE_URL_4712": second.base_url}
        tokens = {f"INVOCA_API_TOKEN_{NETWORK_ID}": TOKEN, "INVOCA_API_TOKEN_4712": wrong_token}
        defaults = {"INVOCA_API_TOKEN": "", "INVOCA_NETWORK_ID": "", "INVOCA_BASE_URL": "https://127.0.0.1:1"}
        worker = machine("worker", **defaults, **urls, **tokens)
        settings = {"INVOCA_NETWORK_ID": "4712", "INVOCA_BASE_URL": second.base_url, "INVOCA_API_TOKEN": second_token}
        client, other = machine("one"), machine("other", **settings)
        second_network = Network(network_id="4712", base_url=second.base_url, token=second_token)
        runs = [
            enqueue(sheet(client.folder, 12), client),
            enqueue(sheet(other.folder, 12), other, second_network),
        ]
        worker.worker()
        until(lambda: [state_of(worker, run) for run in runs] == ["finished", "aborted"])
        assert issued_counts(box) == once_each(12)
        assert issued_counts(second) == Counter()
        record = journal.find_run(worker.place, runs[1])
        assert "token" in record.note
        assert f"process {worker.started[0].pid} on {socket.gethostname()}" in record.note  # whose token it is
        assert "4712" in record.note or second.base_url in record.note
        summaries = {summary.record.run: summary for summary in journal.list_runs(client.place)}
        assert dict(summaries[runs[1]].totals) == {"not_sent": 12}
        assert summaries[runs[1]].is_resumable
        _check_nothing_leaks(worker.database, [worker, client, other], wrong_token, second_token)
        # A process with the right token can resume it.
        resumed = other.call("resume", runs[1], "-o", "again.csv")
        assert resumed.returncode == 0, resumed.stderr
        assert issued_counts(second) == once_each(12)


def _check_nothing_leaks(database: str, machines: list[Machine], *tokens: str) -> None:
    """No token and no content of a sheet is in the queue's tables, nor in the output of the programs."""
    secrets = [text.encode() for text in (TOKEN, *tokens, TEXT, "media_type", "Online: Display", "A-1")]
    queue_values = list(_queue_values(database))
    assert any(b"conduct" in value for value in queue_values)
    outputs = [
        path.read_bytes()
        for machine in machines
        for path in machine.folder.glob("*-*.*")
        if path.suffix in {".out", ".err"}
    ]
    assert outputs
    assert [(secret, text) for secret in secrets for text in [*queue_values, *outputs] if secret in text] == []
    paths = [path for machine in machines for path in machine.folder.rglob("*") if path.is_file()]
    secret_files = [path for path in paths if any(secret in path.read_bytes() for secret in secrets)]
    assert {path.suffix for path in secret_files} <= {".csv"}  # the sheets and results themselves


def _queue_values(database: str) -> Iterator[bytes]:
    """Every value in every table of the queue's schema, as stored and decoded from Base64."""
    tables = sa.text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'dbos'")
    with engine(database).connect() as db:
        names = db.execute(tables).scalars().all()
        assert "workflow_status" in names
        for name in names:
            for row in db.execute(sa.text(f'SELECT * FROM dbos."{name}"')):  # noqa: S608  a name from the database
                for value in row:
                    raw = value if isinstance(value, bytes) else str(value).encode()
                    yield raw
                    try:
                        yield base64.b64decode(raw, validate=True)
                    except binascii.Error:
                        continue
