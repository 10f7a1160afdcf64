"""The journal on PostgreSQL: steps are sent once, commits are made once, and dead owners are detected."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from machines import until
from postgres import engine, execute
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from invoca_bulk import journal
from invoca_bulk.config.journal_location import Database
from invoca_bulk.config.network import Network
from invoca_bulk.errors import ConfigError, JournalLockedError, LeaseLostError, RunAborted
from invoca_bulk.journal import RunState, State, leases
from invoca_bulk.journal.postgres import schema_name
from invoca_bulk.transport import RateLimiter
from tests.journal.sample_plans import NETWORK, PATH, SCOPE, make_plan, make_step, transitions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from postgres import Postgres

    from invoca_bulk.planning import Step


SCHEMA = schema_name(base_url=NETWORK.base_url, network_id=NETWORK.network_id)

pytestmark = pytest.mark.usefixtures("short_lease")


def _send(open_journal: Any, run: str, step: int) -> None:
    open_journal.apply_transitions(
        transitions(run, step, State.PENDING, State.SENT, owner=open_journal.owner_id, sent_at=open_journal.now())
    )


# Runs and owners


def test_run_is_read_back_as_written(location: Database) -> None:
    """Rows, steps, totals and baselines are read back as from a file."""
    with journal.open_for_writing(location, NETWORK) as open_journal:
        run = open_journal.start_run(make_plan(), NETWORK, now=1000.0)
        values = {"http_status": 201, "answer": {"promo_number": "8055550100"}, "ended_at": 1001.5}
        open_journal.apply_transitions(
            [*transitions(run, 0, State.PENDING, State.SENT), *transitions(run, 0, State.SENT, State.DONE, **values)]
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
        run = first.start_run(make_plan(), NETWORK, now=0.0)
        _send(first, run, 0)
        with pytest.raises(RunAborted, match="Another process changed"):
            second.apply_transitions(
                [*transitions(run, 1, State.PENDING, State.SENT), *transitions(run, 0, State.PENDING, State.SENT)]
            )
        assert [row.attempts for row in second.rows(run)] == [1, 0, 0]
        assert [step.state for step in first.steps(run)] == [State.SENT, State.PENDING]


def test_concurrent_owners_send_each_step_once(location: Database) -> None:
    """Two owners try to send all steps of a run at the same time; each step is sent by one of them."""
    plan = make_plan(*(make_step(number) for number in range(40)))
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
from invoca_bulk.config.journal_location import Database
from invoca_bulk.config.network import Network
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
        return open_journal.start_run(make_plan(*steps), NETWORK, now=0.0)


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
    execute(database, f"UPDATE {SCHEMA}.owners SET until = extract(epoch from now()) - 0.001", commit=True)  # noqa: S608
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
    return bool(execute(database, query)[0].up > seconds)


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
    run = _start_run(location, make_step(0), make_step(1), make_step(2))
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
        run = open_journal.start_run(make_plan(), NETWORK, now=0.0)
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
    execute(database, f"SELECT pg_terminate_backend({pid}, 10000)", commit=True)


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
        run = open_journal.start_run(make_plan(), NETWORK, now=1.0)
        assert [record.run for record in open_journal.runs()] == [run]
        disconnector.disconnect_next()
        open_journal.apply_transitions(transitions(run, 0, State.PENDING, State.SENT))
        (first, second) = open_journal.steps(run)
        assert (first.state, first.attempt, second.state) == (State.SENT, 1, State.PENDING)
        disconnector.disconnect_next(2 if how == "backend" else 1)  # twice in a row, too
        open_journal.apply_transitions(transitions(run, 1, State.PENDING, State.SENT))
        answer = {"promo_number": "8055550100"}
        open_journal.apply_transitions(transitions(run, 0, State.SENT, State.DONE, answer=answer))
        assert [(step.state, step.attempt) for step in open_journal.steps(run)] == [(State.DONE, 1), (State.SENT, 1)]
        assert open_journal.is_lease_valid
    assert disconnector.count == (4 if how == "backend" else 3)


def test_commit_disconnected_between_statements_is_made_once(location: Database, database: str) -> None:
    """If the backend dies after some of a commit's statements, they are rolled back and all are retried."""
    with journal.open_for_writing(location, NETWORK) as open_journal:
        run = open_journal.start_run(make_plan(), NETWORK, now=1.0)
        statements: list[str] = []

        def disconnect(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            statements.append(statement)
            if statement.startswith("UPDATE steps") and len(statements) < 4:
                _terminate_backend(database, connection.connection.dbapi_connection.info.backend_pid)

        journal_engine = open_journal._connection.engine  # noqa: SLF001  events are registered on the engine
        sa.event.listen(journal_engine, "after_cursor_execute", disconnect)
        try:
            held_back = transitions(run, 1, State.PENDING, State.PENDING, error="held back")
            open_journal.apply_transitions([*transitions(run, 0, State.PENDING, State.SENT), *held_back])
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
        execute(database, f"DELETE FROM {SCHEMA}.owners", commit=True)  # as `reap_expired_owners` does  # noqa: S608

    with journal.open_for_writing(location, NETWORK) as open_journal:
        run = open_journal.start_run(make_plan(), NETWORK, now=1.0)
        disconnector = _Disconnector(monkeypatch, "before", disconnect)
        disconnector.disconnect_next()
        with pytest.raises(LeaseLostError, match="others have taken over"):
            open_journal.apply_transitions(transitions(run, 0, State.PENDING, State.SENT))
        assert not open_journal.is_lease_valid
        assert open_journal.steps(run)[0].state is State.PENDING
