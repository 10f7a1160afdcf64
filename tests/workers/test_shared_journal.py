"""The journal on PostgreSQL: commits are made once, the dead are told from the living, no password is shown."""

from __future__ import annotations

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
from invoca_bulk.config.settings import Database, Network
from invoca_bulk.errors import ConfigError, JournalLockedError, LeaseLostError, RunAborted
from invoca_bulk.journal import RunState, State, StepTransition, db_retry, leases
from invoca_bulk.journal import postgres as shared
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


def _step(number: int, **more: Any) -> Step:
    about = {"resource": "promo_numbers", "action": Action.CREATE, "verb": "POST", "path": PATH, "non_idempotent": True}
    return Step(**{"number": number, "body": {"description": f"é {number}"}, **about, **more})


def _plan(*steps: Step, rows: tuple[PlannedRow, ...] = ()) -> PlanData:
    steps = steps or (_step(0), _step(1))
    refused = PlannedRow(row=99, cells=("A-1", ""), outcome=Outcome.INVALID, error="blank", fix="fill in")
    asked = [PlannedRow(row=one.number + 2, cells=("A-1", f"é {one.number}"), step=one.number) for one in steps]
    headers = ("advertiser_id_from_network", "description")
    return PlanData(
        resource="promo_numbers",
        source="requests.csv",
        sheets=(PlannedSheet(name="", resource="promo_numbers", headers=headers),),
        titles={},
        rows=rows or (*asked, refused),
        steps=steps,
        changes=(),
        removals=(),
        issues=pd.DataFrame(),
        platform_state={SCOPE: PlatformState(objects=({"promo_number": "8005550100"},))},
        fingerprint="f" * 64,
    )


def _go(run: str, step: int, *states: State, **values: Any) -> list[StepTransition]:
    return [StepTransition(run=run, step=step, from_state=a, to_state=b, values=values) for a, b in pairwise(states)]


def _sent(open_journal: Any, run: str, step: int) -> None:
    open_journal.apply_transitions(_go(run, step, State.PENDING, State.SENT, owner=open_journal.owner_id, sent_at=open_journal.now()))


def _ask(url: str, statement: str, *, commit: bool = False) -> list[sa.Row[Any]]:
    with engine(url).connect() as db:
        level = "AUTOCOMMIT" if commit else "READ COMMITTED"
        found = db.execution_options(isolation_level=level).execute(sa.text(statement))
        return list(found) if found.returns_rows else []


def _table(name: str, network: Network = NETWORK) -> str:
    return f"{shared.schema_name(base_url=network.base_url, network_id=network.network_id)}.{name}"


@pytest.fixture(autouse=True)
def _short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the test's own process; a server that has just started gives everybody so much time anew."""
    monkeypatch.setenv("INVOCA_LEASE", "2")


@pytest.fixture
def place(database: str) -> Database:
    return Database(database)


# One network at a time


def test_a_run_comes_back_as_it_was_written(place: Database) -> None:
    """Begin, apply, end: rows, steps, totals and baselines are read back as from a file."""
    with journal.open_for_writing(place, NETWORK) as open_journal:
        run = open_journal.start_run(_plan(), NETWORK, now=1000.0)
        done = {"http_status": 201, "answer": {"promo_number": "8055550100"}, "ended_at": 1001.5}
        open_journal.apply_transitions([*_go(run, 0, State.PENDING, State.SENT), *_go(run, 0, State.SENT, State.DONE, **done)])
        open_journal.save_rate(7.5, now=1001.0)
        open_journal.end_run(run, RunState.FINISHED, now=1002.0)
    with journal.open_for_writing(place, NETWORK) as open_journal:
        rows, record = open_journal.rows(run), open_journal.run(run)
        assert open_journal.baselines(run) == {SCOPE: ["8005550100"]}
        assert open_journal.saved_rate() == 7.5
        assert [one.state for one in open_journal.steps(run)] == [State.DONE, State.PENDING]
        assert [one.promo_number for one in open_journal.purchases([PATH])] == ["8055550100"]
        assert open_journal.known_numbers(0.0, []) == {"8055550100"}
    assert [row.outcome for row in rows] == ["created", "not_sent", "invalid"]
    assert (rows[0].cells, rows[0].answer, rows[0].attempts) == (("A-1", "é 0"), {"promo_number": "8055550100"}, 1)
    assert (record.state, record.started_at, record.ended_at) == (RunState.FINISHED, 1000.0, 1002.0)
    (listed,) = journal.list_runs(place)
    assert (listed.record.run, dict(listed.totals)) == (run, {"created": 1, "not_sent": 1, "invalid": 1})
    assert (listed.is_in_use, listed.owner) == (False, None)
    assert journal.find_results(place, run)[1] == rows
    with pytest.raises(ConfigError, match="result_run"):
        journal.find_results(place, "20200101-000000-aaaaaa")


def test_a_step_is_sent_by_one_only(place: Database) -> None:
    """Exactly one row must change when a step is sent; of two owners the second stops, and its commit is undone."""
    with (
        journal.open_for_writing(place, NETWORK, exclusive=False) as one,
        journal.open_for_writing(place, NETWORK, exclusive=False) as two,
    ):
        run = one.start_run(_plan(), NETWORK, now=0.0)
        _sent(one, run, 0)
        with pytest.raises(RunAborted, match="somebody else"):
            two.apply_transitions([*_go(run, 1, State.PENDING, State.SENT), *_go(run, 0, State.PENDING, State.SENT)])
        assert [row.attempts for row in two.rows(run)] == [1, 0, 0]
        assert [step.state for step in one.steps(run)] == [State.SENT, State.PENDING]


def test_two_processes_send_each_step_once(place: Database) -> None:
    """Two owners try all steps of a run at the same moment, one by one: each step is had by one of them."""
    plan = _plan(*(_step(number) for number in range(40)))
    with (
        journal.open_for_writing(place, NETWORK, exclusive=False) as one,
        journal.open_for_writing(place, NETWORK, exclusive=False) as two,
    ):
        run = one.start_run(plan, NETWORK, now=0.0)
        start = threading.Barrier(2)

        def take(open_journal: Any) -> int:
            start.wait()
            had = 0
            for step in range(40):
                try:
                    _sent(open_journal, run, step)
                    had += 1
                except RunAborted:
                    pass
            return had

        with ThreadPoolExecutor(2) as threads:
            assert sum(threads.map(take, (one, two))) == 40
        assert [step.attempt for step in one.steps(run)] == [1] * 40
        assert {step.state for step in one.steps(run)} == {State.SENT}


def test_the_second_is_told_who_has_it(place: Database) -> None:
    """One run at a time for a network: host, process and since when; another network's goes on beside it."""
    who = rf"process {os.getpid()} on {socket.gethostname()}, since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    with journal.open_for_writing(place, NETWORK):
        for alone in (True, False):
            with (
                pytest.raises(JournalLockedError, match=who),
                journal.open_for_writing(place, NETWORK, exclusive=alone),
            ):
                pytest.fail("opened")
        with journal.open_for_writing(place, Network(base_url=NETWORK.base_url, network_id="99", token="x")):
            pass
    with (
        journal.open_for_writing(place, NETWORK, exclusive=False),
        journal.open_for_writing(place, NETWORK, exclusive=False),
        pytest.raises(JournalLockedError, match=who),
        journal.open_for_writing(place, NETWORK),
    ):
        pytest.fail("opened")
    with journal.open_for_writing(place, NETWORK):
        pass


# The dead and the living


CHILD = """
import json, sys
from invoca_bulk import journal
from invoca_bulk.errors import LeaseLostError
from invoca_bulk.journal import State, StepTransition
from invoca_bulk.config.settings import Database, Network
import os
network = Network(base_url="http://127.0.0.1:1", network_id="1234", token="x")
run = sys.argv[1]
try:
    with journal.open_for_writing(Database(os.environ["INVOCA_JOURNAL"]), network, exclusive=sys.argv[2] == "alone") as open_journal:
        if sys.argv[2] == "alone":
            open_journal.resume_run(run)
        values = {"owner": open_journal.owner_id, "sent_at": open_journal.now()}
        open_journal.apply_transitions([StepTransition(run=run, step=0, from_state=State.PENDING, to_state=State.SENT, values=values)])
        print("sent", open_journal.is_lease_valid, flush=True)
        sys.stdin.readline()
        print(open_journal.is_lease_valid, flush=True)
        done = {"answer": {"promo_number": "8055550199"}, "http_status": 201}
        try:
            open_journal.apply_transitions([StepTransition(run=run, step=0, from_state=State.SENT, to_state=State.DONE, values=done)])
            print("committed", flush=True)
        except LeaseLostError as error:
            print("lost:", error, flush=True)
        print(open_journal.is_lease_valid, flush=True)
finally:
    print("end", flush=True)
"""


@pytest.fixture
def child(database: str) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Another process that has sent step 0 of a run, and then waits for a line."""
    started: list[subprocess.Popen[str]] = []

    def start(run: str, lease: float, *, alone: bool) -> subprocess.Popen[str]:
        environment = os.environ | {"INVOCA_JOURNAL": database, "INVOCA_LEASE": str(lease)}
        command = [sys.executable, "-c", CHILD, run, "alone" if alone else "with others"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process = subprocess.Popen(command, env=environment, text=True, **pipes)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "sent True\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _begun(place: Database, *steps: Step) -> str:
    with journal.open_for_writing(place, NETWORK) as open_journal:
        return open_journal.start_run(_plan(*steps), NETWORK, now=0.0)


@pytest.mark.parametrize("alone", [True, False])
def test_what_a_killed_owner_had_sent_is_in_doubt_after_its_lease(
    place: Database, database: str, child: Callable[..., subprocess.Popen[str]], alone: Any
) -> None:
    """Before that it counts as living: its step stays sent, and the journal is held."""
    run = _begun(place)
    process = child(run, 600, alone=alone)
    process.kill()
    process.wait()
    with (
        pytest.raises(JournalLockedError, match=f"process {process.pid} on "),
        journal.open_for_writing(place, NETWORK),
    ):
        pytest.fail("opened")
    (listed,) = journal.list_runs(place)
    assert (listed.is_in_use, listed.owner and listed.owner.process, listed.state) == (True, process.pid, "running")
    with journal.open_readonly(place, NETWORK) as open_journal:
        assert open_journal is not None
        assert [(one.state, one.ended_at) for one in open_journal.steps(run)] == [(State.SENT, None), (State.PENDING, None)]
    _ask(database, f"UPDATE {_table('owners')} SET until = extract(epoch from now()) - 0.001", commit=True)  # noqa: S608
    (listed,) = journal.list_runs(place)
    assert (listed.is_in_use, listed.owner, listed.state) == (False, None, "interrupted")
    until(lambda: _is_up_for(database, 2))  # after a start of the server, everybody has the time of a lease
    with journal.open_for_writing(place, NETWORK) as open_journal:
        first, second = open_journal.steps(run)
        assert (first.state, second.state) == (State.IN_DOUBT, State.PENDING)
        assert first.sent_at is not None
        assert first.ended_at is not None
        assert first.sent_at <= first.ended_at <= open_journal.now()
        assert open_journal.run(run).state is RunState.INTERRUPTED
        assert [one.step.number for one in open_journal.unresolved_purchases()] == [0]


def _is_up_for(database: str, seconds: float) -> bool:
    query = "SELECT extract(epoch from clock_timestamp() - pg_postmaster_start_time()) AS up"
    return bool(_ask(database, query)[0].up > seconds)


def test_a_silent_owner_is_dead_when_its_lease_has_ended(
    place: Database, child: Callable[..., subprocess.Popen[str]]
) -> None:
    """Nobody has to do anything for it: whoever tries again gets the journal."""
    run = _begun(place)
    process = child(run, 2, alone=True)
    process.kill()
    process.wait()

    def take() -> bool:
        try:
            with journal.open_for_writing(place, NETWORK) as open_journal:
                return open_journal.steps(run)[0].state is State.IN_DOUBT
        except JournalLockedError:
            return False

    until(take)


def test_a_living_owners_steps_stay_sent(place: Database, child: Callable[..., subprocess.Popen[str]]) -> None:
    """Others come, die and go; what a living process has sent is its own."""
    run = _begun(place, _step(0), _step(1), _step(2))
    process = child(run, 600, alone=False)
    with journal.open_for_writing(place, NETWORK, exclusive=False) as two:
        assert two.steps(run)[0].state is State.SENT
        _sent(two, run, 1)
        with journal.open_for_writing(place, NETWORK, exclusive=False) as three:
            assert [one.state for one in three.steps(run)] == [State.SENT, State.SENT, State.PENDING]
        assert [one.state for one in two.steps(run)] == [State.SENT, State.SENT, State.PENDING]
    with journal.open_readonly(
        place, NETWORK
    ) as open_journal:  # the second has gone, and nobody will say what became of its own
        assert open_journal is not None
        assert [one.state for one in open_journal.steps(run)] == [State.SENT, State.IN_DOUBT, State.PENDING]
    out, _ = process.communicate("go\n", timeout=100)
    assert out.splitlines() == ["True", "committed", "True", "end"]


def test_who_was_taken_for_dead_can_do_nothing_more(
    place: Database, child: Callable[..., subprocess.Popen[str]]
) -> None:
    """A process that stood still for longer than its lease sends nothing, and what it tries to commit is refused."""
    run = _begun(place)
    process = child(run, 2, alone=True)
    process.send_signal(signal.SIGSTOP)

    def take() -> bool:
        try:
            with journal.open_for_writing(place, NETWORK) as open_journal:
                found = open_journal.steps(run)[0]
                return (found.state, open_journal.run(run).state) == (State.IN_DOUBT, RunState.INTERRUPTED)
        except JournalLockedError:
            return False

    until(take)
    process.send_signal(signal.SIGCONT)
    out, _ = process.communicate("go\n", timeout=100)
    may_send, told, still, end = out.splitlines()
    assert (may_send, still, end) == ("False", "False", "end")
    assert told.startswith("lost: This process was silent for more than 2 s")
    assert process.returncode == 0
    with journal.open_readonly(place, NETWORK) as open_journal:
        assert open_journal is not None
        assert (open_journal.steps(run)[0].state, open_journal.steps(run)[0].answer) == (State.IN_DOUBT, None)


@pytest.mark.parametrize("clock", ["stopwatch", "time"])
def test_whoever_slept_is_not_sure_of_its_place(monkeypatch: pytest.MonkeyPatch, clock: str) -> None:
    """By whichever clock: one stops while a laptop sleeps, the other can be set."""
    lease = leases.Lease(engine("postgresql://invoca@127.0.0.1:1/none"))
    assert not lease.is_valid  # it was never had
    with lease.record_renewal():
        pass
    assert lease.is_valid
    where = leases.time if clock == "time" else leases
    later = getattr(where, clock)() + 1.6  # of the 2 s
    monkeypatch.setattr(where, clock, lambda: later)
    assert not lease.is_valid


def test_a_run_that_goes_on_has_the_rate_that_it_is_given_then(place: Database) -> None:
    """A cap of before does not outlive the run's interruption: `resume --rate` says another one, or none."""
    with journal.open_for_writing(place, NETWORK) as open_journal:
        run = open_journal.start_run(_plan(), NETWORK, now=0.0)
        for cap, most in ((1.0, 60.0), (100.0, 5.0)):
            paces = open_journal.shared_rate_limiter(run, RateLimiter(cap, first_rate=cap))
            assert paces is not None
            waits = paces.update(lambda pace, now: [pace.reserve(now) for _ in range(20)])
            paces.close()
            assert max(waits) < most
            open_journal.end_run(run, RunState.INTERRUPTED, now=1.0)
            open_journal.resume_run(run)


# Commits that are cut


class _Cut:
    """Cuts the connection of this thread's next commit: before it is made, or after, when its answer is on its way.

    Attributes:
        count: how often it has done so.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, when: str, cut: Callable[[int], object]) -> None:
        self.count = 0
        self._left = 0
        thread, original = threading.current_thread(), PGDialect_psycopg.do_commit

        def do_commit(dialect: Any, connection: Any) -> None:
            mine = self._left and threading.current_thread() is thread  # that of the lease has connections of its own
            if mine:
                self._left -= 1
                self.count += 1
                pid = connection.dbapi_connection.info.backend_pid
                if when == "before":
                    cut(pid)
            original(dialect, connection)
            if mine and when == "after":
                cut(pid)
                connection.execute("SELECT 1")  # as if the commit itself had got no answer

        monkeypatch.setattr(PGDialect_psycopg, "do_commit", do_commit)

    def next(self, times: int = 1) -> None:
        self._left = times


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("how", ["backend", "restart"])
def test_a_commit_that_is_cut_is_made_once(
    database: str, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, when: str, how: str
) -> None:
    """Whether it was made or not when the connection was lost, in the end it was, and the next ones go on."""

    def cut(pid: int) -> None:
        if how == "restart":
            postgres.restart()
            return
        _ask(database, f"SELECT pg_terminate_backend({pid}, 10000)", commit=True)

    cutting = _Cut(monkeypatch, when, cut)
    with journal.open_for_writing(Database(database), NETWORK) as open_journal:
        cutting.next()
        run = open_journal.start_run(_plan(), NETWORK, now=1.0)
        assert [one.run for one in open_journal.runs()] == [run]
        cutting.next()
        open_journal.apply_transitions(_go(run, 0, State.PENDING, State.SENT))
        (first, second) = open_journal.steps(run)
        assert (first.state, first.attempt, second.state) == (State.SENT, 1, State.PENDING)
        cutting.next(2 if how == "backend" else 1)  # twice in a row, too
        open_journal.apply_transitions(_go(run, 1, State.PENDING, State.SENT))
        open_journal.apply_transitions(_go(run, 0, State.SENT, State.DONE, answer={"promo_number": "8055550100"}))
        assert [(one.state, one.attempt) for one in open_journal.steps(run)] == [(State.DONE, 1), (State.SENT, 1)]
        assert open_journal.is_lease_valid
    assert cutting.count == (4 if how == "backend" else 3)


def test_a_commit_cut_between_its_statements_is_made_once(place: Database, database: str) -> None:
    """Half of its statements were done when the backend died: none of them counts, and all are done again."""
    with journal.open_for_writing(place, NETWORK) as open_journal:
        run = open_journal.start_run(_plan(), NETWORK, now=1.0)
        done: list[str] = []

        def cut(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            done.append(statement)
            if statement.startswith("UPDATE steps") and len(done) < 4:
                pid = connection.connection.dbapi_connection.info.backend_pid
                _ask(database, f"SELECT pg_terminate_backend({pid}, 10000)", commit=True)

        connections = open_journal._connection.engine  # noqa: SLF001  the driver's events are what can be heard
        sa.event.listen(connections, "after_cursor_execute", cut)
        try:
            note = _go(run, 1, State.PENDING, State.PENDING, error="held back")
            open_journal.apply_transitions([*_go(run, 0, State.PENDING, State.SENT), *note])
        finally:
            sa.event.remove(connections, "after_cursor_execute", cut)
        updates = [one for one in done if one.startswith("UPDATE steps")]
        assert len(updates) >= 3  # one in vain, then both
        assert [(one.state, one.attempt, one.error) for one in open_journal.steps(run)] == [
            (State.SENT, 1, ""),
            (State.PENDING, 0, "held back"),
        ]


def test_a_commit_whose_owner_was_buried_meanwhile_is_refused(
    place: Database, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection was cut before the commit, and until it was there again others had taken over: it is not made."""

    def cut(pid: int) -> None:
        _ask(database, f"SELECT pg_terminate_backend({pid}, 10000)", commit=True)
        _ask(database, f"DELETE FROM {_table('owners')}", commit=True)  # as `_bury` does  # noqa: S608

    with journal.open_for_writing(place, NETWORK) as open_journal:
        run = open_journal.start_run(_plan(), NETWORK, now=1.0)
        cutting = _Cut(monkeypatch, "before", cut)
        cutting.next()
        with pytest.raises(LeaseLostError, match="others have taken over"):
            open_journal.apply_transitions(_go(run, 0, State.PENDING, State.SENT))
        assert not open_journal.is_lease_valid
        assert open_journal.steps(run)[0].state is State.PENDING


# What is refused


def _schemas(url: str) -> list[str]:
    return [one.nspname for one in _ask(url, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'invoca%'")]


def test_a_database_that_may_forget_commits_is_refused(place: Database, database: str) -> None:
    """`synchronous_commit = off` could forget that a number was bought; nothing is made there."""
    _ask(database, f"ALTER DATABASE {database.rpartition('/')[2]} SET synchronous_commit = off", commit=True)
    told = r"^PostgreSQL has synchronous_commit = off: .* Set synchronous_commit = on .*then try again\.$"
    with pytest.raises(ConfigError, match=told), journal.open_for_writing(place, NETWORK):
        pytest.fail("opened")
    assert _schemas(database) == []


def test_a_server_that_may_forget_everything_is_refused() -> None:
    """`fsync = off` loses what a crash of the machine finds in its memory."""
    with Postgres.started() as server:
        url = server.new_database()
        _ask(url, "ALTER SYSTEM SET fsync = off", commit=True)
        server.restart()
        told = "^PostgreSQL has fsync = off: .* Set fsync = on"
        with pytest.raises(ConfigError, match=told), journal.open_for_writing(Database(url), NETWORK):
            pytest.fail("opened")
        assert _schemas(url) == []


def _dump(url: str) -> dict[str, list[Any]]:
    """All that is in the journals' tables, and the tables themselves."""
    columns = "SELECT table_schema, table_name, column_name FROM information_schema.columns WHERE table_schema LIKE"
    found = _ask(url, f"{columns} 'invoca%' ORDER BY 1, 2, ordinal_position")
    names = sorted({f"{one.table_schema}.{one.table_name}" for one in found})
    rows = {name: _ask(url, f"SELECT t::text FROM {name} t ORDER BY 1") for name in names}  # noqa: S608  names of our own
    return {"columns": found, **rows}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE version SET version = version + 1",
        "UPDATE version SET version = 1",
        "DROP TABLE version",
        "INSERT INTO version VALUES (3)",
    ],
)
def test_a_journal_of_another_version_is_left_alone(place: Database, database: str, change: str) -> None:
    """It is refused in one sentence, for writing and for reading, and nothing in it changes."""
    run = _begun(place)
    _ask(database, f"SET search_path = {_table('').rstrip('.')}; {change}", commit=True)
    before = _dump(database)
    for alone in (True, False):
        with (
            pytest.raises(ConfigError, match="another version of this program; it was left as it is"),
            journal.open_for_writing(place, NETWORK, exclusive=alone),
        ):
            pytest.fail("opened")
    with pytest.raises(ConfigError, match="another version"), journal.open_readonly(place, NETWORK):
        pytest.fail("read")
    with pytest.raises(ConfigError, match="another version"):
        journal.find_results(place, run)
    assert journal.list_runs(place) == []
    assert len(journal.list_incompatible_journals(place)) == 1
    assert _dump(database) == before


# New ones


def test_ten_make_the_same_new_journal_at_once(place: Database, database: str) -> None:
    """Whoever comes first makes it, the others find it made; all can write, and a reader sees all of it or nothing."""
    start, made = threading.Barrier(10), threading.Event()

    def look() -> None:
        while not made.is_set():
            with journal.open_readonly(place, NETWORK) as open_journal:
                assert open_journal is None or len(open_journal.runs()) <= 10

    def come(number: int) -> str:
        start.wait()
        with journal.open_for_writing(place, NETWORK, exclusive=False) as open_journal:
            return open_journal.start_run(_plan(), NETWORK, now=float(number))

    with ThreadPoolExecutor(11) as threads:
        reader = threads.submit(look)
        try:
            runs = list(threads.map(come, range(10)))
        finally:
            made.set()
        reader.result()
    assert sorted(one.record.run for one in journal.list_runs(place)) == sorted(runs)
    assert len(_schemas(database)) == 1
    assert _ask(database, f"SELECT version FROM {_table('version')}") == [(journal.SCHEMA_VERSION,)]  # noqa: S608


def test_a_process_killed_while_it_made_the_tables_locks_nobody_out(place: Database, database: str) -> None:
    """The schema is there, or the version too, and the tables are not: the next one makes them."""
    schema = _table("").rstrip(".")
    _ask(database, f"CREATE SCHEMA {schema}", commit=True)
    assert journal.list_runs(place) == []
    with journal.open_readonly(place, NETWORK) as open_journal:
        assert open_journal is None
    with journal.open_for_writing(place, NETWORK) as open_journal:
        open_journal.start_run(_plan(), NETWORK, now=0.0)
    _ask(database, f"DROP SCHEMA {schema} CASCADE; CREATE SCHEMA {schema}", commit=True)
    _ask(database, f"CREATE TABLE {schema}.version (version INTEGER NOT NULL)", commit=True)
    _ask(database, f"INSERT INTO {schema}.version VALUES ({journal.SCHEMA_VERSION})", commit=True)  # noqa: S608
    assert journal.list_runs(place) == []
    with journal.open_for_writing(place, NETWORK) as open_journal:
        open_journal.start_run(_plan(), NETWORK, now=0.0)


def test_networks_have_schemas_of_their_own() -> None:
    """Different base URLs and networks never share a journal, however similar their names; each name is one."""
    pairs = [("https://a.b", "1"), ("https://a.b", "11"), ("https://a-b", "1"), ("http://a.b", "1")]
    pairs += [("https://a.b:1", "1"), ("https://" + "long." * 40 + "b", "1"), ("https://" + "long." * 40 + "b", "2")]
    names = {shared.schema_name(base_url=url, network_id=one) for url, one in pairs}
    assert len(names) == len(pairs)
    assert all(len(name) <= 63 and name.isidentifier() for name in names)  # longer ones are cut by PostgreSQL


# Passwords

#: What somebody may have as a password, with `%` where an address needs it.
SECRETS = ["half%2Fsecret", "half@secret", "123/half-secret", "12?half-secret", "half%40secret", "ha[lf-secret"]


def _shows(text: str, secret: str) -> bool:
    return "secret" in text or secret in text


@pytest.mark.parametrize("secret", ["the-secret", *SECRETS])
def test_a_password_is_shown_to_nobody(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address is in messages, the password is not, whatever is in it; and the server is not there."""
    monkeypatch.setattr(db_retry, "RETRY_SECONDS", 0.1)
    said: list[str] = []
    try:
        place = Database(f"postgresql://user:{secret}@127.0.0.1:1/journals")
    except ConfigError as error:  # an address that cannot be read for certain may be refused
        said.append(str(error))
        place = None
    if place is None:
        assert not _shows(said[0], secret)
        return
    said += [str(place), repr(place), f"{place}"]
    for ask in (lambda: journal.list_runs(place), lambda: journal.open_for_writing(place, NETWORK).__enter__()):
        with pytest.raises(ConfigError) as refused:
            ask()
        error: BaseException | None = refused.value
        assert "127.0.0.1" in str(error)
        while error:
            said += [str(error), repr(error)]
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert [one for one in said if _shows(one, secret)] == []
    assert place.has_password


def test_a_password_in_the_query_is_hidden_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may stand there as well."""
    monkeypatch.setattr(db_retry, "RETRY_SECONDS", 0.1)
    place = Database("postgresql://127.0.0.1:1/journals?user=someone&password=the-secret")
    assert place.has_password
    with pytest.raises(ConfigError) as refused:
        journal.list_runs(place)
    assert not _shows(f"{place} {place!r} {refused.value}", "the-secret")


def test_the_command_line_hides_the_password(machine: Callable[..., Machine]) -> None:
    """Of `runs` and `results` with a server that is not there; as a flag it is refused, for others see flags."""
    address = "postgresql://user:the-secret@127.0.0.1:1/journals"
    one = machine("one", INVOCA_JOURNAL=address)
    for command in (["runs"], ["results", "20200101-000000-aaaaaa", "-o", "there.csv"]):
        told = one.call(*command)
        assert (told.returncode, told.stdout) == (2, "")
        assert "postgresql://user@127.0.0.1:1/journals" in told.stderr
        assert "the-secret" not in told.stderr
        assert "Traceback" not in told.stderr
    told = one.call("runs", "--journal", address)
    assert (told.returncode, told.stdout) == (2, "")
    assert "INVOCA_JOURNAL" in told.stderr
    assert "the-secret" not in told.stderr


# Odd texts

ODD = {
    "NUL": "a\0b",
    "emoji": "\U0001f600 \u4e2d\u6587 e\u0301",
    "quotes": "'\"\\ %s %(x)s :x {x} $1",
    "long": "x" * 100_000,
    "controls": "".join(map(chr, range(1, 32))),
    "half a pair": "\ud800",
}


@pytest.mark.parametrize("name", ODD)
def test_odd_texts_come_back_in_what_is_json(place: Database, name: str) -> None:
    """Cells, bodies, answers and baselines are JSON: whatever a sheet or the platform has comes back as it was."""
    text = ODD[name]
    step = _step(0, body={"description": text}, patch={"values": {text: [text]}}, before={"promo_number": text})
    rows = (
        PlannedRow(row=2, cells=("A-1", text), step=0),
        PlannedRow(row=3, cells=(text,), assigned_values={"name": text}),
    )
    with journal.open_for_writing(place, NETWORK) as open_journal:
        rows = (rows[0], PlannedRow(row=3, cells=(text,), assigned_values={"name": text}, outcome=Outcome.UNCHANGED))
        run = open_journal.start_run(_plan(step, rows=rows), NETWORK, now=0.0)
        open_journal.apply_transitions(_go(run, 0, State.PENDING, State.SENT))
        open_journal.apply_transitions(
            _go(run, 0, State.SENT, State.DONE, answer={"promo_number": "8055550100", "description": text})
        )
    _, (first, second) = journal.find_results(place, run)
    assert (first.cells, first.answer["description"], second.cells) == (("A-1", text), text, (text,))
    assert second.answer == {"name": text}
    with journal.open_readonly(place, NETWORK) as open_journal:
        assert open_journal is not None
        (kept,) = open_journal.steps(run)
        assert (kept.step.body, kept.step.patch, kept.step.snapshot) == (step.body, step.patch, step.snapshot)
        assert open_journal.known_numbers(0.0, [run]) == {"8055550100"}
        assert len(open_journal.purchases([PATH])) == 1


@pytest.mark.parametrize("name", [name for name in ODD if name != "half a pair"])
def test_odd_texts_come_back_in_what_is_text(place: Database, name: str) -> None:
    """Errors, fixes and notes, as from a file; NUL, which PostgreSQL has no form for, may leave a mark."""
    text = ODD[name]
    rows = (PlannedRow(row=2, cells=("",), step=0), PlannedRow(row=3, cells=("",), outcome=Outcome.INVALID, error=text))
    with journal.open_for_writing(place, NETWORK) as open_journal:
        run = open_journal.start_run(_plan(_step(0), rows=rows), NETWORK, now=0.0)
        open_journal.apply_transitions(_go(run, 0, State.PENDING, State.SENT))
        open_journal.apply_transitions(_go(run, 0, State.SENT, State.FAILED, error=text, fix=text))
        open_journal.end_run(run, RunState.ABORTED, now=1.0, note=text)
    record, (first, second) = journal.find_results(place, run)
    for found in (first.error, first.fix, second.error, record.note):
        assert found == text or (name == "NUL" and found.startswith("a") and found.endswith("b"))


def test_a_sheet_of_odd_cells_is_run_as_from_a_file(box: Sandbox, place: Database, tmp_path: Path) -> None:
    """The same outcomes, errors and cells as with a journal in a file, whatever stands in the cells."""
    texts = [*ODD.values(), "plain"]
    base = {"advertiser_id_from_network": "A-1", "media_type": "Online: Display"}
    rows = [base | {"advertiser_campaign_id_from_network": "C-1", "description": text} for text in texts]
    rows += [base | {"advertiser_campaign_id_from_network": text[:300], "description": "x"} for text in texts]
    rows += [
        base | {"advertiser_campaign_id_from_network": "C-2", "description": "y", "media_type": text} for text in texts
    ]
    network = Network(base_url=box.base_url, network_id=NETWORK_ID, token=TOKEN)
    came = []
    for number, where in enumerate((tmp_path / "journal", place)):
        frame = pd.DataFrame(rows)
        options = {"yes": True, "skip_invalid": True, "progress": False, "settle": 0.05}
        frame["description"] = frame["description"] + f" {number}"  # the two do not take each other's numbers
        results = ib.run(frame, network, journal=where, **options)
        assert isinstance(results, pd.DataFrame)
        came.append(results)
    for column in ("result_status", "result_error", "result_fix", "media_type"):
        assert came[0][column].tolist() == came[1][column].tolist()
    counts = Counter(came[1]["result_status"])
    assert counts["created"] >= len(texts)
    assert len(box.store.ledger) == 2 * counts["created"]
    again = journal.find_results(place, came[1].attrs["run"])[1]
    assert [row.outcome for row in again] == came[1]["result_status"].tolist()
    assert json.dumps([row.cells for row in again])
