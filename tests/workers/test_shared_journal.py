"""The journal on PostgreSQL: commits are made once, dead owners are detected, no password is shown."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
import sqlalchemy as sa
from machines import NETWORK_ID, TOKEN, until
from postgres import Postgres, engine
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

import invoca_bulk as ib
from invoca_bulk import journal
from invoca_bulk.config.journal_location import Database
from invoca_bulk.config.network import Network
from invoca_bulk.errors import ConfigError, JournalLockedError, LeaseLostError, RunAborted
from invoca_bulk.journal import RunState, State, StepTransition, db_retry, leases
from invoca_bulk.journal.postgres import schema_name
from invoca_bulk.planning import PlanData, PlannedRow, PlannedSheet, PlatformState, Step
from invoca_bulk.schema import Action
from invoca_bulk.schema.result_columns import Outcome
from invoca_bulk.transport import RateLimiter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from machines import Machine

    from invoca_bulk.sandbox_server import Sandbox

NETWORK = Network(base_url="http://127.0.0.1:1", network_id="1234", token="the-secret-token")
SCOPE = ("advertisers", "A-1", "advertiser_campaigns", "C-1")
PATH = (*SCOPE, "promo_numbers")


def _step(number: int, **attributes: Any) -> Step:
    defaults = {
        "number": number,
        "resource": "promo_numbers",
        "action": Action.CREATE,
        "verb": "POST",
        "path": PATH,
        "body": {"description": f"é {number}"},
        "non_idempotent": True,
    }
    return Step(**defaults | attributes)


def _plan(*steps: Step, rows: tuple[PlannedRow, ...] = ()) -> PlanData:
    steps = steps or (_step(0), _step(1))
    invalid = PlannedRow(row=99, cells=("A-1", ""), outcome=Outcome.INVALID, error="blank", fix="fill in")
    valid = [PlannedRow(row=step.number + 2, cells=("A-1", f"é {step.number}"), step=step.number) for step in steps]
    headers = ("advertiser_id_from_network", "description")
    return PlanData(
        resource="promo_numbers",
        source="requests.csv",
        sheets=(PlannedSheet(name="", resource="promo_numbers", headers=headers),),
        titles={},
        rows=rows or (*valid, invalid),
        steps=steps,
        changes=(),
        removals=(),
        issues=pd.DataFrame(),
        platform_state={SCOPE: PlatformState(objects=({"promo_number": "8005550100"},))},
        fingerprint="f" * 64,
    )


def _transitions(run: str, step: int, *states: State, **values: Any) -> list[StepTransition]:
    return [StepTransition(run=run, step=step, from_state=a, to_state=b, values=values) for a, b in pairwise(states)]


def _send(open_journal: Any, run: str, step: int) -> None:
    open_journal.apply_transitions(
        _transitions(run, step, State.PENDING, State.SENT, owner=open_journal.owner_id, sent_at=open_journal.now())
    )


def _execute(url: str, statement: str, *, commit: bool = False) -> list[sa.Row[Any]]:
    with engine(url).connect() as db:
        level = "AUTOCOMMIT" if commit else "READ COMMITTED"
        result = db.execution_options(isolation_level=level).execute(sa.text(statement))
        return list(result) if result.returns_rows else []


SCHEMA = schema_name(base_url=NETWORK.base_url, network_id=NETWORK.network_id)


@pytest.fixture(autouse=True)
def _short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease of the test's process; after a restart of the server, no owner expires for as long."""
    monkeypatch.setenv("INVOCA_LEASE", "2")


@pytest.fixture
def location(database: str) -> Database:
    return Database(database)


# Runs and owners


def test_run_is_read_back_as_written(location: Database) -> None:
    """Rows, steps, totals and baselines are read back as from a file."""
    with journal.open_for_writing(location, NETWORK) as open_journal:
        run = open_journal.start_run(_plan(), NETWORK, now=1000.0)
        values = {"http_status": 201, "answer": {"promo_number": "8055550100"}, "ended_at": 1001.5}
        open_journal.apply_transitions(
            [*_transitions(run, 0, State.PENDING, State.SENT), *_transitions(run, 0, State.SENT, State.DONE, **values)]
        )
        open_journal.save_rate(7.5, now=1001.0)
        open_journal.end_run(run, RunState.FINISHED, now=1002.0)
    with journal.open_for_writing(location, NETWORK) as open_journal:
        rows, record = open_journal.rows(run), open_journal.run(run)
        assert open_journal.baselines(run) == {SCOPE: ["8005550100"]}
        assert open_journal.saved_rate() == 7.5
        assert [step.state for step in open_journal.steps(run)] == [State.DONE, State.PENDING]
        assert [purchase.promo_number for purchase in open_journal.purchases([PATH])] == ["8055550100"]
        assert open_journal.known_numbers(0.0, []) == {"8055550100"}
    assert [row.outcome for row in rows] == ["created", "not_sent", "invalid"]
    assert (rows[0].cells, rows[0].answer, rows[0].attempts) == (("A-1", "é 0"), {"promo_number": "8055550100"}, 1)
    assert (record.state, record.started_at, record.ended_at) == (RunState.FINISHED, 1000.0, 1002.0)
    (listed,) = journal.list_runs(location)
    assert (listed.record.run, dict(listed.totals)) == (run, {"created": 1, "not_sent": 1, "invalid": 1})
    assert (listed.is_in_use, listed.owner) == (False, None)
    assert journal.find_results(location, run)[1] == rows
    with pytest.raises(ConfigError, match="result_run"):
        journal.find_results(location, "20200101-000000-aaaaaa")


def test_step_is_sent_by_one_process_only(location: Database) -> None:
    """If a step was already sent, the second owner stops and its whole commit is rolled back."""
    with (
        journal.open_for_writing(location, NETWORK, exclusive=False) as first,
        journal.open_for_writing(location, NETWORK, exclusive=False) as second,
    ):
        run = first.start_run(_plan(), NETWORK, now=0.0)
        _send(first, run, 0)
        with pytest.raises(RunAborted, match="Another process changed"):
            second.apply_transitions(
                [*_transitions(run, 1, State.PENDING, State.SENT), *_transitions(run, 0, State.PENDING, State.SENT)]
            )
        assert [row.attempts for row in second.rows(run)] == [1, 0, 0]
        assert [step.state for step in first.steps(run)] == [State.SENT, State.PENDING]


def test_concurrent_owners_send_each_step_once(location: Database) -> None:
    """Two owners try to send all steps of a run at the same time; each step is sent by one of them."""
    plan = _plan(*(_step(number) for number in range(40)))
    with (
        journal.open_for_writing(location, NETWORK, exclusive=False) as first,
        journal.open_for_writing(location, NETWORK, exclusive=False) as second,
    ):
        run = first.start_run(plan, NETWORK, now=0.0)
        start = threading.Barrier(2)

        def send_all(open_journal: Any) -> int:
            start.wait()
            sent = 0
            for step in range(40):
                with contextlib.suppress(RunAborted):
                    _send(open_journal, run, step)
                    sent += 1
            return sent

        with ThreadPoolExecutor(2) as threads:
            assert sum(threads.map(send_all, (first, second))) == 40
        assert [step.attempt for step in first.steps(run)] == [1] * 40
        assert {step.state for step in first.steps(run)} == {State.SENT}


def test_lock_error_names_the_owner(location: Database) -> None:
    """A network has one run at a time; the error names host, process and start. Other networks are not affected."""
    owner = rf"process {os.getpid()} on {socket.gethostname()}, since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    with journal.open_for_writing(location, NETWORK):
        for exclusive in (True, False):
            with (
                pytest.raises(JournalLockedError, match=owner),
                journal.open_for_writing(location, NETWORK, exclusive=exclusive),
            ):
                pytest.fail("opened")
        with journal.open_for_writing(location, Network(base_url=NETWORK.base_url, network_id="99", token="x")):
            pass
    with (
        journal.open_for_writing(location, NETWORK, exclusive=False),
        journal.open_for_writing(location, NETWORK, exclusive=False),
        pytest.raises(JournalLockedError, match=owner),
        journal.open_for_writing(location, NETWORK),
    ):
        pytest.fail("opened")
    with journal.open_for_writing(location, NETWORK):
        pass


# Dead and living owners


CHILD = """
import json, sys
from invoca_bulk import journal
from invoca_bulk.errors import LeaseLostError
from invoca_bulk.journal import State, StepTransition
from invoca_bulk.config.settings import Database, Network
import os
network = Network(base_url="http://127.0.0.1:1", network_id="1234", token="x")
run, exclusive = sys.argv[1], sys.argv[2] == "exclusive"

def transition(before, after, values):
    return StepTransition(run=run, step=0, from_state=before, to_state=after, values=values)

try:
    location = Database(os.environ["INVOCA_JOURNAL"])
    with journal.open_for_writing(location, network, exclusive=exclusive) as open_journal:
        if exclusive:
            open_journal.resume_run(run)
        values = {"owner": open_journal.owner_id, "sent_at": open_journal.now()}
        open_journal.apply_transitions([transition(State.PENDING, State.SENT, values)])
        print("sent", open_journal.is_lease_valid, flush=True)
        sys.stdin.readline()
        print(open_journal.is_lease_valid, flush=True)
        values = {"answer": {"promo_number": "8055550199"}, "http_status": 201}
        try:
            open_journal.apply_transitions([transition(State.SENT, State.DONE, values)])
            print("committed", flush=True)
        except LeaseLostError as error:
            print("lost:", error, flush=True)
        print(open_journal.is_lease_valid, flush=True)
finally:
    print("end", flush=True)
"""


@pytest.fixture
def child(database: str) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Another process that sends step 0 of a run, then waits for a line of input."""
    processes: list[subprocess.Popen[str]] = []

    def start(run: str, lease: float, *, exclusive: bool) -> subprocess.Popen[str]:
        environment = os.environ | {"INVOCA_JOURNAL": database, "INVOCA_LEASE": str(lease)}
        command = [sys.executable, "-c", CHILD, run, "exclusive" if exclusive else "shared"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process = subprocess.Popen(command, env=environment, text=True, **pipes)
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "sent True\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def _start_run(location: Database, *steps: Step) -> str:
    with journal.open_for_writing(location, NETWORK) as open_journal:
        return open_journal.start_run(_plan(*steps), NETWORK, now=0.0)


@pytest.mark.parametrize("exclusive", [True, False])
def test_steps_of_a_killed_owner_are_in_doubt_after_its_lease(
    location: Database, database: str, child: Callable[..., subprocess.Popen[str]], exclusive: Any
) -> None:
    """Until the lease expires, the owner counts as living: its step stays sent, and the journal is locked."""
    run = _start_run(location)
    process = child(run, 600, exclusive=exclusive)
    process.kill()
    process.wait()
    with (
        pytest.raises(JournalLockedError, match=f"process {process.pid} on "),
        journal.open_for_writing(location, NETWORK),
    ):
        pytest.fail("opened")
    (listed,) = journal.list_runs(location)
    assert (listed.is_in_use, listed.owner and listed.owner.process, listed.state) == (True, process.pid, "running")
    with journal.open_readonly(location, NETWORK) as open_journal:
        assert open_journal is not None
        assert [(step.state, step.ended_at) for step in open_journal.steps(run)] == [
            (State.SENT, None),
            (State.PENDING, None),
        ]
    _execute(database, f"UPDATE {SCHEMA}.owners SET until = extract(epoch from now()) - 0.001", commit=True)  # noqa: S608
    (listed,) = journal.list_runs(location)
    assert (listed.is_in_use, listed.owner, listed.state) == (False, None, "interrupted")
    until(lambda: _is_up_for(database, 2))  # for the time of a lease after its start, the server expires no owner
    with journal.open_for_writing(location, NETWORK) as open_journal:
        first, second = open_journal.steps(run)
        assert (first.state, second.state) == (State.IN_DOUBT, State.PENDING)
        assert first.sent_at is not None
        assert first.ended_at is not None
        assert first.sent_at <= first.ended_at <= open_journal.now()
        assert open_journal.run(run).state is RunState.INTERRUPTED
        assert [purchase.step.number for purchase in open_journal.unresolved_purchases()] == [0]


def _is_up_for(database: str, seconds: float) -> bool:
    query = "SELECT extract(epoch from clock_timestamp() - pg_postmaster_start_time()) AS up"
    return bool(_execute(database, query)[0].up > seconds)


def test_expired_lease_frees_the_journal(location: Database, child: Callable[..., subprocess.Popen[str]]) -> None:
    """Once the lease of a killed owner has expired, the next process that tries can open the journal."""
    run = _start_run(location)
    process = child(run, 2, exclusive=True)
    process.kill()
    process.wait()

    def is_in_doubt() -> bool:
        try:
            with journal.open_for_writing(location, NETWORK) as open_journal:
                return open_journal.steps(run)[0].state is State.IN_DOUBT
        except JournalLockedError:
            return False

    until(is_in_doubt)


def test_steps_of_a_living_owner_stay_sent(location: Database, child: Callable[..., subprocess.Popen[str]]) -> None:
    """Other owners that come and go do not change the steps of a living owner."""
    run = _start_run(location, _step(0), _step(1), _step(2))
    process = child(run, 600, exclusive=False)
    with journal.open_for_writing(location, NETWORK, exclusive=False) as second:
        assert second.steps(run)[0].state is State.SENT
        _send(second, run, 1)
        with journal.open_for_writing(location, NETWORK, exclusive=False) as third:
            assert [step.state for step in third.steps(run)] == [State.SENT, State.SENT, State.PENDING]
        assert [step.state for step in second.steps(run)] == [State.SENT, State.SENT, State.PENDING]
    with journal.open_readonly(location, NETWORK) as open_journal:
        assert open_journal is not None
        # The second owner left without recording the outcome of its step.
        assert [step.state for step in open_journal.steps(run)] == [State.SENT, State.IN_DOUBT, State.PENDING]
    out, _ = process.communicate("go\n", timeout=100)
    assert out.splitlines() == ["True", "committed", "True", "end"]


def test_owner_with_a_lost_lease_cannot_commit(location: Database, child: Callable[..., subprocess.Popen[str]]) -> None:
    """A process suspended for longer than its lease sends nothing, and its commits are refused."""
    run = _start_run(location)
    process = child(run, 2, exclusive=True)
    process.send_signal(signal.SIGSTOP)

    def is_interrupted() -> bool:
        try:
            with journal.open_for_writing(location, NETWORK) as open_journal:
                step = open_journal.steps(run)[0]
                return (step.state, open_journal.run(run).state) == (State.IN_DOUBT, RunState.INTERRUPTED)
        except JournalLockedError:
            return False

    until(is_interrupted)
    process.send_signal(signal.SIGCONT)
    out, _ = process.communicate("go\n", timeout=100)
    valid_before, error, valid_after, end = out.splitlines()
    assert (valid_before, valid_after, end) == ("False", "False", "end")
    assert error.startswith("lost: This process was silent for more than 2 s")
    assert process.returncode == 0
    with journal.open_readonly(location, NETWORK) as open_journal:
        assert open_journal is not None
        assert (open_journal.steps(run)[0].state, open_journal.steps(run)[0].answer) == (State.IN_DOUBT, None)


@pytest.mark.parametrize("clock", ["stopwatch", "time"])
def test_lease_expires_by_either_clock(monkeypatch: pytest.MonkeyPatch, clock: str) -> None:
    """One clock may stop while a laptop sleeps, the other can be set."""
    lease = leases.Lease(engine("postgresql://invoca@127.0.0.1:1/none"))
    assert not lease.is_valid  # it was never acquired
    with lease.record_renewal():
        pass
    assert lease.is_valid
    module = leases.time if clock == "time" else leases
    later = getattr(module, clock)() + 1.6  # of the 2 s
    monkeypatch.setattr(module, clock, lambda: later)
    assert not lease.is_valid


def test_resumed_run_uses_its_new_rate(location: Database) -> None:
    """The rate limit of an interrupted run is not kept: `resume --rate` sets another one, or none."""
    with journal.open_for_writing(location, NETWORK) as open_journal:
        run = open_journal.start_run(_plan(), NETWORK, now=0.0)
        for rate, max_wait in ((1.0, 60.0), (100.0, 5.0)):
            shared_limiter = open_journal.shared_rate_limiter(run, RateLimiter(rate, first_rate=rate))
            assert shared_limiter is not None
            waits = shared_limiter.update(lambda limiter, now: [limiter.reserve(now) for _ in range(20)])
            shared_limiter.close()
            assert max(waits) < max_wait
            open_journal.end_run(run, RunState.INTERRUPTED, now=1.0)
            open_journal.resume_run(run)


# Disconnections during commits


class _Disconnector:
    """Disconnects this thread's next commits: before they are made, or after, when the confirmation is lost.

    Attributes:
        count: number of disconnected commits.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, when: str, disconnect: Callable[[int], object]) -> None:
        self.count = 0
        self._remaining = 0
        thread, original = threading.current_thread(), PGDialect_psycopg.do_commit

        def do_commit(dialect: Any, connection: Any) -> None:
            # The lease's thread has its own connections.
            is_disconnected = self._remaining and threading.current_thread() is thread
            if is_disconnected:
                self._remaining -= 1
                self.count += 1
                pid = connection.dbapi_connection.info.backend_pid
                if when == "before":
                    disconnect(pid)
            original(dialect, connection)
            if is_disconnected and when == "after":
                disconnect(pid)
                connection.execute("SELECT 1")  # fails, as if the commit were not confirmed

        monkeypatch.setattr(PGDialect_psycopg, "do_commit", do_commit)

    def disconnect_next(self, times: int = 1) -> None:
        self._remaining = times


def _terminate_backend(database: str, pid: int) -> None:
    _execute(database, f"SELECT pg_terminate_backend({pid}, 10000)", commit=True)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("how", ["backend", "restart"])
def test_disconnected_commit_is_made_once(
    database: str, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, when: str, how: str
) -> None:
    """Whether the connection breaks before or after a commit, the commit is made once, and so are the next ones."""

    def disconnect(pid: int) -> None:
        if how == "restart":
            postgres.restart()
        else:
            _terminate_backend(database, pid)

    disconnector = _Disconnector(monkeypatch, when, disconnect)
    with journal.open_for_writing(Database(database), NETWORK) as open_journal:
        disconnector.disconnect_next()
        run = open_journal.start_run(_plan(), NETWORK, now=1.0)
        assert [record.run for record in open_journal.runs()] == [run]
        disconnector.disconnect_next()
        open_journal.apply_transitions(_transitions(run, 0, State.PENDING, State.SENT))
        (first, second) = open_journal.steps(run)
        assert (first.state, first.attempt, second.state) == (State.SENT, 1, State.PENDING)
        disconnector.disconnect_next(2 if how == "backend" else 1)  # twice in a row, too
        open_journal.apply_transitions(_transitions(run, 1, State.PENDING, State.SENT))
        answer = {"promo_number": "8055550100"}
        open_journal.apply_transitions(_transitions(run, 0, State.SENT, State.DONE, answer=answer))
        assert [(step.state, step.attempt) for step in open_journal.steps(run)] == [(State.DONE, 1), (State.SENT, 1)]
        assert open_journal.is_lease_valid
    assert disconnector.count == (4 if how == "backend" else 3)


def test_commit_disconnected_between_statements_is_made_once(location: Database, database: str) -> None:
    """If the backend dies after some of a commit's statements, they are rolled back and all are retried."""
    with journal.open_for_writing(location, NETWORK) as open_journal:
        run = open_journal.start_run(_plan(), NETWORK, now=1.0)
        statements: list[str] = []

        def disconnect(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            statements.append(statement)
            if statement.startswith("UPDATE steps") and len(statements) < 4:
                _terminate_backend(database, connection.connection.dbapi_connection.info.backend_pid)

        journal_engine = open_journal._connection.engine  # noqa: SLF001  events are registered on the engine
        sa.event.listen(journal_engine, "after_cursor_execute", disconnect)
        try:
            held_back = _transitions(run, 1, State.PENDING, State.PENDING, error="held back")
            open_journal.apply_transitions([*_transitions(run, 0, State.PENDING, State.SENT), *held_back])
        finally:
            sa.event.remove(journal_engine, "after_cursor_execute", disconnect)
        updates = [statement for statement in statements if statement.startswith("UPDATE steps")]
        assert len(updates) >= 3  # one that is rolled back, then both
        assert [(step.state, step.attempt, step.error) for step in open_journal.steps(run)] == [
            (State.SENT, 1, ""),
            (State.PENDING, 0, "held back"),
        ]


def test_commit_of_a_reaped_owner_is_refused(
    location: Database, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If an owner is reaped while its commit is disconnected, the retried commit is refused."""

    def disconnect(pid: int) -> None:
        _terminate_backend(database, pid)
        _execute(database, f"DELETE FROM {SCHEMA}.owners", commit=True)  # as `reap_expired_owners` does  # noqa: S608

    with journal.open_for_writing(location, NETWORK) as open_journal:
        run = open_journal.start_run(_plan(), NETWORK, now=1.0)
        disconnector = _Disconnector(monkeypatch, "before", disconnect)
        disconnector.disconnect_next()
        with pytest.raises(LeaseLostError, match="others have taken over"):
            open_journal.apply_transitions(_transitions(run, 0, State.PENDING, State.SENT))
        assert not open_journal.is_lease_valid
        assert open_journal.steps(run)[0].state is State.PENDING


# Refused databases


def _schemas(url: str) -> list[str]:
    return [row.nspname for row in _execute(url, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'invoca%'")]


def test_database_that_may_lose_commits_is_refused(location: Database, database: str) -> None:
    """`synchronous_commit = off` could lose the record of a purchase, so no schema is created."""
    _execute(database, f"ALTER DATABASE {database.rpartition('/')[2]} SET synchronous_commit = off", commit=True)
    message = r"^PostgreSQL has synchronous_commit = off, .* Set synchronous_commit = on .*then try again\.$"
    with pytest.raises(ConfigError, match=message), journal.open_for_writing(location, NETWORK):
        pytest.fail("opened")
    assert _schemas(database) == []


def test_server_without_fsync_is_refused() -> None:
    """`fsync = off` could lose commits if the machine crashes, so no schema is created."""
    with Postgres.started() as server:
        url = server.new_database()
        _execute(url, "ALTER SYSTEM SET fsync = off", commit=True)
        server.restart()
        message = "^PostgreSQL has fsync = off, .* Set fsync = on"
        with pytest.raises(ConfigError, match=message), journal.open_for_writing(Database(url), NETWORK):
            pytest.fail("opened")
        assert _schemas(url) == []


def _dump(url: str) -> dict[str, list[Any]]:
    """All columns and rows of the journals' tables."""
    query = "SELECT table_schema, table_name, column_name FROM information_schema.columns WHERE table_schema LIKE"
    columns = _execute(url, f"{query} 'invoca%' ORDER BY 1, 2, ordinal_position")
    names = sorted({f"{column.table_schema}.{column.table_name}" for column in columns})
    rows = {name: _execute(url, f"SELECT t::text FROM {name} t ORDER BY 1") for name in names}  # noqa: S608  our own names
    return {"columns": columns, **rows}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE version SET version = version + 1",
        "UPDATE version SET version = 1",
        "DROP TABLE version",
        "INSERT INTO version VALUES (3)",
    ],
)
def test_journal_of_another_version_is_left_unchanged(location: Database, database: str, change: str) -> None:
    """Opening it for writing or reading fails with one message, and does not change it."""
    run = _start_run(location)
    _execute(database, f"SET search_path = {SCHEMA}; {change}", commit=True)
    content = _dump(database)
    for exclusive in (True, False):
        with (
            pytest.raises(ConfigError, match="another version of this program; it was left as it is"),
            journal.open_for_writing(location, NETWORK, exclusive=exclusive),
        ):
            pytest.fail("opened")
    with pytest.raises(ConfigError, match="another version"), journal.open_readonly(location, NETWORK):
        pytest.fail("read")
    with pytest.raises(ConfigError, match="another version"):
        journal.find_results(location, run)
    assert journal.list_runs(location) == []
    assert len(journal.list_incompatible_journals(location)) == 1
    assert _dump(database) == content


# New journals


def test_concurrent_processes_create_one_journal(location: Database, database: str) -> None:
    """The first of ten processes creates the journal, and all can write; a reader sees no partly created one."""
    start, created = threading.Barrier(10), threading.Event()

    def read() -> None:
        while not created.is_set():
            with journal.open_readonly(location, NETWORK) as open_journal:
                assert open_journal is None or len(open_journal.runs()) <= 10

    def write(number: int) -> str:
        start.wait()
        with journal.open_for_writing(location, NETWORK, exclusive=False) as open_journal:
            return open_journal.start_run(_plan(), NETWORK, now=float(number))

    with ThreadPoolExecutor(11) as threads:
        reader = threads.submit(read)
        try:
            runs = list(threads.map(write, range(10)))
        finally:
            created.set()
        reader.result()
    assert sorted(summary.record.run for summary in journal.list_runs(location)) == sorted(runs)
    assert len(_schemas(database)) == 1
    assert _execute(database, f"SELECT version FROM {SCHEMA}.version") == [(journal.SCHEMA_VERSION,)]  # noqa: S608


def test_partly_created_journal_is_completed(location: Database, database: str) -> None:
    """If only the schema, or only the version's table exists, the next process creates the other tables."""
    _execute(database, f"CREATE SCHEMA {SCHEMA}", commit=True)
    assert journal.list_runs(location) == []
    with journal.open_readonly(location, NETWORK) as open_journal:
        assert open_journal is None
    with journal.open_for_writing(location, NETWORK) as open_journal:
        open_journal.start_run(_plan(), NETWORK, now=0.0)
    _execute(database, f"DROP SCHEMA {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}", commit=True)
    _execute(database, f"CREATE TABLE {SCHEMA}.version (version INTEGER NOT NULL)", commit=True)
    _execute(database, f"INSERT INTO {SCHEMA}.version VALUES ({journal.SCHEMA_VERSION})", commit=True)  # noqa: S608
    assert journal.list_runs(location) == []
    with journal.open_for_writing(location, NETWORK) as open_journal:
        open_journal.start_run(_plan(), NETWORK, now=0.0)


def test_networks_have_separate_schemas() -> None:
    """Different base URLs and networks never share a journal, however similar their names; all names are valid."""
    pairs = [("https://a.b", "1"), ("https://a.b", "11"), ("https://a-b", "1"), ("http://a.b", "1")]
    pairs += [("https://a.b:1", "1"), ("https://" + "long." * 40 + "b", "1"), ("https://" + "long." * 40 + "b", "2")]
    names = {schema_name(base_url=url, network_id=network_id) for url, network_id in pairs}
    assert len(names) == len(pairs)
    assert all(len(name) <= 63 and name.isidentifier() for name in names)  # PostgreSQL truncates longer names


# Passwords

#: Possible passwords, some of them percent-encoded.
SECRETS = ["half%2Fsecret", "half@secret", "123/half-secret", "12?half-secret", "half%40secret", "ha[lf-secret"]


def _shows(text: str, secret: str) -> bool:
    return "secret" in text or secret in text


@pytest.mark.parametrize("secret", ["the-secret", *SECRETS])
def test_password_is_never_shown(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an unreachable server, messages show the address but not the password, whatever characters it has."""
    monkeypatch.setattr(db_retry, "RETRY_SECONDS", 0.1)
    try:
        location = Database(f"postgresql://user:{secret}@127.0.0.1:1/journals")
    except ConfigError as error:  # an ambiguous address may be refused
        refusal = str(error)
    else:
        refusal = ""
    if refusal:
        assert not _shows(refusal, secret)
        return
    texts = [str(location), repr(location), f"{location}"]
    for connect in (
        lambda: journal.list_runs(location),
        lambda: journal.open_for_writing(location, NETWORK).__enter__(),
    ):
        with pytest.raises(ConfigError) as refused:
            connect()
        error: BaseException | None = refused.value
        assert "127.0.0.1" in str(error)
        while error:
            texts += [str(error), repr(error)]
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert [text for text in texts if _shows(text, secret)] == []
    assert location.has_password


def test_password_in_the_query_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """The password may also be a query parameter of the address."""
    monkeypatch.setattr(db_retry, "RETRY_SECONDS", 0.1)
    location = Database("postgresql://127.0.0.1:1/journals?user=someone&password=the-secret")
    assert location.has_password
    with pytest.raises(ConfigError) as refused:
        journal.list_runs(location)
    assert not _shows(f"{location} {location!r} {refused.value}", "the-secret")


def test_command_line_hides_the_password(machine: Callable[..., Machine]) -> None:
    """`runs` and `results` hide it if the server is unreachable; as a flag it is refused, since others can see it."""
    address = "postgresql://user:the-secret@127.0.0.1:1/journals"
    client = machine("one", INVOCA_JOURNAL=address)
    for command in (["runs"], ["results", "20200101-000000-aaaaaa", "-o", "there.csv"]):
        process = client.call(*command)
        assert (process.returncode, process.stdout) == (2, "")
        assert "postgresql://user@127.0.0.1:1/journals" in process.stderr
        assert "the-secret" not in process.stderr
        assert "Traceback" not in process.stderr
    process = client.call("runs", "--journal", address)
    assert (process.returncode, process.stdout) == (2, "")
    assert "INVOCA_JOURNAL" in process.stderr
    assert "the-secret" not in process.stderr


# Unusual texts

UNUSUAL_TEXTS = {
    "NUL": "a\0b",
    "emoji": "\U0001f600 \u4e2d\u6587 e\u0301",
    "quotes": "'\"\\ %s %(x)s :x {x} $1",
    "long": "x" * 100_000,
    "controls": "".join(map(chr, range(1, 32))),
    "lone surrogate": "\ud800",
}


@pytest.mark.parametrize("name", UNUSUAL_TEXTS)
def test_unusual_texts_in_json_columns(location: Database, name: str) -> None:
    """Cells, bodies, answers and baselines are JSON: any text from a sheet or the platform is read back unchanged."""
    text = UNUSUAL_TEXTS[name]
    step = _step(0, body={"description": text}, patch={"values": {text: [text]}}, snapshot={"promo_number": text})
    rows = (
        PlannedRow(row=2, cells=("A-1", text), step=0),
        PlannedRow(row=3, cells=(text,), assigned_values={"name": text}, outcome=Outcome.UNCHANGED),
    )
    with journal.open_for_writing(location, NETWORK) as open_journal:
        run = open_journal.start_run(_plan(step, rows=rows), NETWORK, now=0.0)
        open_journal.apply_transitions(_transitions(run, 0, State.PENDING, State.SENT))
        open_journal.apply_transitions(
            _transitions(run, 0, State.SENT, State.DONE, answer={"promo_number": "8055550100", "description": text})
        )
    _, (first, second) = journal.find_results(location, run)
    assert (first.cells, first.answer["description"], second.cells) == (("A-1", text), text, (text,))
    assert second.answer == {"name": text}
    with journal.open_readonly(location, NETWORK) as open_journal:
        assert open_journal is not None
        (record,) = open_journal.steps(run)
        assert (record.step.body, record.step.patch, record.step.snapshot) == (step.body, step.patch, step.snapshot)
        assert open_journal.known_numbers(0.0, [run]) == {"8055550100"}
        assert len(open_journal.purchases([PATH])) == 1


@pytest.mark.parametrize("name", [name for name in UNUSUAL_TEXTS if name != "lone surrogate"])
def test_unusual_texts_in_text_columns(location: Database, name: str) -> None:
    """Errors, fixes and notes are read back unchanged; NUL, which PostgreSQL cannot store, may be replaced."""
    text = UNUSUAL_TEXTS[name]
    rows = (PlannedRow(row=2, cells=("",), step=0), PlannedRow(row=3, cells=("",), outcome=Outcome.INVALID, error=text))
    with journal.open_for_writing(location, NETWORK) as open_journal:
        run = open_journal.start_run(_plan(_step(0), rows=rows), NETWORK, now=0.0)
        open_journal.apply_transitions(_transitions(run, 0, State.PENDING, State.SENT))
        open_journal.apply_transitions(_transitions(run, 0, State.SENT, State.FAILED, error=text, fix=text))
        open_journal.end_run(run, RunState.ABORTED, now=1.0, note=text)
    record, (first, second) = journal.find_results(location, run)
    for stored in (first.error, first.fix, second.error, record.note):
        assert stored == text or (name == "NUL" and stored.startswith("a") and stored.endswith("b"))


def test_unusual_cells_give_the_same_results_as_in_a_file(box: Sandbox, location: Database, tmp_path: Path) -> None:
    """Outcomes, errors and cells are the same with PostgreSQL and SQLite, whatever the cells contain."""
    texts = [*UNUSUAL_TEXTS.values(), "plain"]
    base = {"advertiser_id_from_network": "A-1", "media_type": "Online: Display"}
    rows = [base | {"advertiser_campaign_id_from_network": "C-1", "description": text} for text in texts]
    rows += [base | {"advertiser_campaign_id_from_network": text[:300], "description": "x"} for text in texts]
    rows += [
        base | {"advertiser_campaign_id_from_network": "C-2", "description": "y", "media_type": text} for text in texts
    ]
    network = Network(base_url=box.base_url, network_id=NETWORK_ID, token=TOKEN)
    all_results = []
    for number, journal_location in enumerate((tmp_path / "journal", location)):
        frame = pd.DataFrame(rows)
        options = {"yes": True, "skip_invalid": True, "progress": False, "settle": 0.05}
        frame["description"] = frame["description"] + f" {number}"  # so that no purchase of the first run is reused
        results = ib.run(frame, network, journal=journal_location, **options)
        assert isinstance(results, pd.DataFrame)
        all_results.append(results)
    file_results, database_results = all_results
    for column in ("result_status", "result_error", "result_fix", "media_type"):
        assert file_results[column].tolist() == database_results[column].tolist()
    counts = Counter(database_results["result_status"])
    assert counts["created"] >= len(texts)
    assert len(box.store.ledger) == 2 * counts["created"]
    _, rows_read = journal.find_results(location, database_results.attrs["run"])
    assert [row.outcome for row in rows_read] == database_results["result_status"].tolist()
    assert json.dumps([row.cells for row in rows_read])
