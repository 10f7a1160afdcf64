"""The journal: commits survive, illegal transitions are impossible, and there is one owner at a time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from invoca_bulk import journal
from invoca_bulk.config.network import Network
from invoca_bulk.errors import ConfigError, JournalLockedError, RunAborted
from invoca_bulk.journal import RunState, State, StepTransition
from invoca_bulk.journal.owner import Owner
from invoca_bulk.journal.sqlite import ask_to_stop, durable_engine, journal_file
from invoca_bulk.journal.states import OUTCOME_IF_STOPPED, TRANSITIONS
from invoca_bulk.planning import PlannedRow
from invoca_bulk.schema import Action
from invoca_bulk.schema.outcomes import Outcome
from tests.journal.sample_plans import NETWORK, make_plan, make_step, transitions
from tests.systems import linux_only, posix_only

if TYPE_CHECKING:
    from collections.abc import Callable


def test_run_is_read_back_as_written(tmp_path: Path) -> None:
    """Rows, headers and outcomes are read back in the sheet's order, with unchanged texts."""
    with journal.open_for_writing(tmp_path, NETWORK) as open_journal:
        run = open_journal.start_run(make_plan(), NETWORK, now=1000.0)
        open_journal.apply_transitions(
            [
                *transitions(run, 0, State.PENDING, State.SENT),
                StepTransition(
                    run=run,
                    step=0,
                    from_state=State.SENT,
                    to_state=State.DONE,
                    values={"http_status": 201, "answer": {"promo_number": "8055550100"}, "ended_at": 1001.5},
                ),
            ]
        )
        open_journal.end_run(run, RunState.FINISHED, now=1002.0)
    with journal.open_for_writing(tmp_path, NETWORK) as open_journal:
        rows, record = open_journal.rows(run), open_journal.run(run)
    assert [row.outcome for row in rows] == ["created", "not_sent", "invalid"]
    assert [row.row for row in rows] == [2, 3, 4]
    assert rows[0].cells == ("A-1", "é 0")
    assert (rows[0].answer, rows[0].http_status, rows[0].attempts) == ({"promo_number": "8055550100"}, 201, 1)
    assert (rows[2].error, rows[2].fix) == ("blank", "fill in")
    assert (record.state, record.started_at, record.ended_at) == (RunState.FINISHED, 1000.0, 1002.0)
    assert record.sheets == make_plan().sheets


@pytest.mark.parametrize("state", [state for state in State if state is not State.DONE])
def test_every_state_has_an_outcome(state: State) -> None:
    """In whatever state a run ends, each row has exactly one outcome."""
    assert OUTCOME_IF_STOPPED[state] in Outcome


def test_transition_table_is_total() -> None:
    """Every state has its next states, and a step in doubt never becomes pending."""
    assert set(TRANSITIONS) == set(State)
    assert TRANSITIONS[State.IN_DOUBT] == {State.DONE, State.ABSENT, State.SENT}


@pytest.mark.parametrize(
    ("before", "after"),
    [(a, b) for a in State for b in State if b not in TRANSITIONS[a] and a is not b],
)
def test_illegal_transitions_are_impossible(tmp_path: Path, before: State, after: State) -> None:
    """A step cannot go from in doubt to pending, nor from done to anything."""
    with journal.open_for_writing(tmp_path, NETWORK) as open_journal:
        run = open_journal.start_run(make_plan(), NETWORK, now=0.0)
        with pytest.raises(ValueError, match="cannot go"):
            open_journal.apply_transitions([StepTransition(run=run, step=0, from_state=before, to_state=after)])


def test_step_is_sent_by_one_process_only(tmp_path: Path) -> None:
    """If a step was already sent, the second sender stops and its whole commit is rolled back."""
    with journal.open_for_writing(tmp_path, NETWORK) as open_journal:
        run = open_journal.start_run(make_plan(), NETWORK, now=0.0)
        open_journal.apply_transitions(transitions(run, 0, State.PENDING, State.SENT))
        with pytest.raises(RunAborted, match="Another process changed"):
            open_journal.apply_transitions(
                [*transitions(run, 1, State.PENDING, State.SENT), *transitions(run, 0, State.PENDING, State.SENT)]
            )
        assert [row.attempts for row in open_journal.rows(run)] == [1, 0, 0]


def test_attempts_are_counted(tmp_path: Path) -> None:
    """Sending a step adds one attempt, unless the sender sets the count; an unchanged state adds none."""
    with journal.open_for_writing(tmp_path, NETWORK) as open_journal:
        run = open_journal.start_run(make_plan(), NETWORK, now=0.0)
        held_back = StepTransition(
            run=run, step=0, from_state=State.PENDING, to_state=State.PENDING, values={"error": "held back"}
        )
        open_journal.apply_transitions([held_back, *transitions(run, 1, State.PENDING, State.SENT, State.SENT)])
        assert [row.attempts for row in open_journal.rows(run)] == [0, 1, 0]
        sent = StepTransition(run=run, step=1, from_state=State.SENT, to_state=State.SENT, values={"attempt": 4})
        open_journal.apply_transitions(
            [sent, *transitions(run, 0, State.PENDING, State.SENT, State.PENDING, State.SENT)]
        )
        assert [row.attempts for row in open_journal.rows(run)] == [2, 4, 0]
        assert open_journal.rows(run)[0].error == "held back"


@pytest.mark.parametrize(
    ("row_action", "step_action", "outcome"),
    [
        ("create", Action.UPDATE, "created"),
        ("update", Action.CREATE, "updated"),
        ("move", Action.UPDATE, "moved"),
        ("delete", Action.DELETE, "deleted"),
        ("remove", Action.UPDATE, "deleted"),
        ("unchanged", Action.UPDATE, "unchanged"),
        ("", Action.CREATE, "created"),
        ("", Action.UPDATE, "updated"),
        ("", Action.MOVE, "moved"),
        ("", Action.DELETE, "deleted"),
    ],
)
def test_outcome_depends_on_the_rows_action(tmp_path: Path, row_action: str, step_action: Action, outcome: str) -> None:
    """Several rows share a step; each row's outcome follows its own action, or else the step's."""
    row = PlannedRow(sheet=2, row=7, cells=(), action=row_action, step=0)
    with journal.open_for_writing(tmp_path, NETWORK) as open_journal:
        run = open_journal.start_run(make_plan(make_step(0, action=step_action), rows=(row,)), NETWORK, now=0.0)
        open_journal.apply_transitions(transitions(run, 0, State.PENDING, State.SENT, State.DONE))
        (record,) = open_journal.rows(run)
    assert (record.outcome, record.sheet, record.row) == (outcome, 2, 7)
    assert record.action == row_action or step_action


def test_step_is_stored_with_all_attributes(tmp_path: Path) -> None:
    """The journal has every attribute of a step that reconciling or undoing it needs."""
    step = make_step(
        0,
        action=Action.MOVE,
        verb="PUT",
        non_idempotent=False,
        phase=1,
        depends_on=3,
        patch={"nested": "merge", "values": {"name": None}, "parts": []},
        snapshot={"promo_number": "8005550100"},
        destination=("advertisers", "A-2", "promo_numbers"),
    )
    with journal.open_for_writing(tmp_path, NETWORK) as open_journal:
        open_journal.start_run(make_plan(step, make_step(1, body=None)), NETWORK, now=0.0)
    reader = sqlite3.connect(journal_file(tmp_path, base_url=NETWORK.base_url, network_id="1234"))
    reader.row_factory = sqlite3.Row
    full, minimal = (dict(row) for row in reader.execute("SELECT * FROM steps ORDER BY step"))
    reader.close()
    assert (full["resource"], full["action"], full["once"], full["phase"], full["needs"]) == (
        "promo_numbers",
        "move",
        0,
        1,
        3,
    )
    columns = ("path", "patch", "before", "destination")
    assert [json.loads(full[name]) for name in columns] == [
        list(step.path),
        step.patch,
        step.snapshot,
        list(step.destination),
    ]
    names = ("body", "patch", "before", "needs", "once")
    assert [minimal[name] for name in names] == [None, None, None, None, 1]


@pytest.mark.parametrize(
    ("non_idempotent", "state", "outcomes"),
    [
        (True, State.PENDING, []),
        (True, State.SENT, ["unknown"]),
        (True, State.DONE, ["created"]),
        (True, State.REJECTED, []),
        (False, State.SENT, []),
        (False, State.DONE, []),
    ],
)
def test_purchases_are_non_idempotent_steps(
    tmp_path: Path, non_idempotent: Any, state: State, outcomes: list[str]
) -> None:
    """A step is a purchase if it may have bought something; an idempotent step never is."""
    states = [] if state is State.PENDING else [State.SENT] if state is State.SENT else [State.SENT, state]
    with journal.open_for_writing(tmp_path, NETWORK) as open_journal:
        run = open_journal.start_run(make_plan(make_step(0, non_idempotent=non_idempotent)), NETWORK, now=0.0)
        open_journal.apply_transitions(transitions(run, 0, State.PENDING, *states))
        assert [purchase.outcome for purchase in open_journal.purchases([make_step(0).path])] == outcomes
        assert open_journal.purchases([("advertisers", "other", "promo_numbers")]) == []


# Files of other versions


def _execute(path: Path, *statements: str) -> bytes:
    """Change a journal's file; returns its content afterwards."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


VERSION_CHANGES = {
    "older": ("DROP TABLE version",),
    "newer": ("UPDATE version SET version = version + 1",),
    "emptied": ("DELETE FROM version",),
}


@pytest.mark.parametrize("name", VERSION_CHANGES)
def test_journal_of_another_version_is_left_unchanged(tmp_path: Path, name: str) -> None:
    """Opening it for writing or reading fails with a message that names the fix, and does not change it."""
    with journal.open_for_writing(tmp_path, NETWORK) as open_journal:
        run = open_journal.start_run(make_plan(), NETWORK, now=0.0)
    path = journal_file(tmp_path, base_url=NETWORK.base_url, network_id="1234")
    content = _execute(path, *VERSION_CHANGES[name])
    with (
        pytest.raises(ConfigError, match=r"another version of this program.*--journal"),
        journal.open_for_writing(tmp_path, NETWORK),
    ):
        pytest.fail("opened")
    with pytest.raises(ConfigError, match="another version"):
        journal.find_results(tmp_path, run)
    assert path.read_bytes() == content


def test_partly_created_journal_is_completed(tmp_path: Path) -> None:
    """After a process is killed while it creates the tables, the next one can use the journal."""
    path = journal_file(tmp_path, base_url=NETWORK.base_url, network_id="1234")
    _execute(path, "CREATE TABLE version (version INTEGER NOT NULL)")
    with journal.open_for_writing(tmp_path, NETWORK) as open_journal:
        open_journal.start_run(make_plan(), NETWORK, now=0.0)
    _execute(path, "DROP TABLE baselines")
    with journal.open_for_writing(tmp_path, NETWORK) as open_journal:
        open_journal.start_run(make_plan(), NETWORK, now=1.0)


def test_results_are_found_among_several_journals(tmp_path: Path) -> None:
    """A run is read from whichever journal of the folder has it, whatever other files are there."""
    (tmp_path / "a.sqlite").write_bytes(b"")
    (tmp_path / "b.sqlite").write_bytes(b"no database at all")
    with journal.open_for_writing(tmp_path, NETWORK) as open_journal:
        run = open_journal.start_run(make_plan(), NETWORK, now=0.0)
    record, rows = journal.find_results(tmp_path, run)
    assert (record.run, len(rows)) == (run, 3)
    with pytest.raises(ConfigError, match="result_run"):
        journal.find_results(tmp_path, "20200101-000000-aaaaaa")


def test_database_is_durable(tmp_path: Path) -> None:
    """WAL and FULL: NORMAL can lose the last commits in a power cut, and a lost `sent` is a number bought twice."""
    engine = durable_engine(tmp_path / "x?y=1.sqlite")
    with engine.connect() as connection:
        pragmas = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
    engine.dispose()
    assert pragmas == ["wal", 2]


@posix_only
def test_files_are_private(tmp_path: Path) -> None:
    """Other users cannot read the journal, its log or its folder."""
    folder = tmp_path / "state" / "journal"
    with journal.open_for_writing(folder, NETWORK) as open_journal:
        open_journal.start_run(make_plan(), NETWORK, now=0.0)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(modes) >= 4
    assert {name: mode for name, mode in modes.items() if mode & 0o077} == {}


def test_no_token_in_the_journal(tmp_path: Path) -> None:
    """The token is in none of the journal's files."""
    with journal.open_for_writing(tmp_path, NETWORK) as open_journal:
        open_journal.start_run(make_plan(), NETWORK, now=0.0)
        assert all(b"the-secret-token" not in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())


HOLD = """
import sys
from pathlib import Path
from invoca_bulk import journal
from invoca_bulk.config.network import Network
network = Network(base_url="http://127.0.0.1:1", network_id=sys.argv[2], token="x")
with journal.open_for_writing(Path(sys.argv[1]), network):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Any:
    """Another process that holds the journal of a network."""
    processes: list[subprocess.Popen[str]] = []

    def hold(network_id: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLD, str(tmp_path), network_id]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in processes:
        process.kill()
        process.communicate()


def test_lock_error_names_the_owner(tmp_path: Path, holder: Callable[..., Any]) -> None:
    """A network has one run at a time; another network can have its own at the same time."""
    process = holder("1234")
    with (
        pytest.raises(JournalLockedError, match=rf"process {process.pid} on .*, since 20.* UTC"),
        journal.open_for_writing(tmp_path, NETWORK),
    ):
        pytest.fail("opened")
    with journal.open_for_writing(tmp_path, Network(base_url="http://127.0.0.1:1", network_id="99", token="x")):
        pass


def test_lock_of_a_killed_owner_is_released(tmp_path: Path, holder: Callable[..., Any]) -> None:
    """The operating system releases the lock when its owner dies."""
    process = holder("1234")
    process.kill()
    process.wait()
    with journal.open_for_writing(tmp_path, NETWORK) as open_journal:
        open_journal.start_run(make_plan(), NETWORK, now=0.0)


def test_reading_while_a_run_writes(tmp_path: Path) -> None:
    """A reader sees committed changes while the owner holds the journal."""
    with journal.open_for_writing(tmp_path, NETWORK) as open_journal:
        run = open_journal.start_run(make_plan(), NETWORK, now=0.0)
        path = journal_file(tmp_path, base_url=NETWORK.base_url, network_id="1234")
        reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            open_journal.apply_transitions(transitions(run, 0, State.PENDING, State.SENT))
            assert reader.execute("SELECT state FROM steps ORDER BY step").fetchall() == [("sent",), ("pending",)]
        finally:
            reader.close()


def test_unusable_folder(tmp_path: Path) -> None:
    """The message names the folder and the flag."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="--journal"), journal.open_for_writing(tmp_path / "file", NETWORK):
        pytest.fail("opened")


def test_networks_have_separate_files(tmp_path: Path) -> None:
    """Different base URLs and networks never share a journal, however similar their names."""
    pairs = [
        ("https://a.b", "1"),
        ("https://a.b", "11"),
        ("https://a-b", "1"),
        ("http://a.b", "1"),
        ("https://a.b:1", "1"),
    ]
    files = {journal_file(tmp_path, base_url=url, network_id=network_id) for url, network_id in pairs}
    assert len(files) == len(pairs)


@posix_only
def test_existing_file_is_made_private(tmp_path: Path) -> None:
    """A file that others can access is made private; a symbolic link in its place is not followed."""
    path = journal_file(tmp_path, base_url=NETWORK.base_url, network_id="1234")
    path.touch(mode=0o666)
    path.chmod(0o666)
    with journal.open_for_writing(tmp_path, NETWORK):
        assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    target = tmp_path / "elsewhere"
    path.rename(target)
    path.symlink_to(target)
    with pytest.raises(ConfigError, match="--journal"), journal.open_for_writing(tmp_path, NETWORK):
        pytest.fail("opened")


def test_a_note_that_cannot_be_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows keeps a file that another process reads just now; the journal is closed and opened all the same."""
    with monkeypatch.context() as windows, journal.open_for_writing(tmp_path, NETWORK):
        windows.setattr(Path, "unlink", _refuse)
    (note,) = tmp_path.glob("*.owner")
    with journal.open_for_writing(tmp_path, NETWORK):
        assert note.exists()
    assert not note.exists()


def _refuse(*_: object, **__: object) -> None:
    raise PermissionError(13, "The process cannot access the file because it is being used by another process")


def test_a_request_to_stop_as_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file asks for the stop, the second time the process is ended; the file does not stop a later run."""
    ended = []
    monkeypatch.setattr(os, "kill", lambda *arguments: ended.append(arguments))
    path = journal_file(tmp_path, base_url=NETWORK.base_url, network_id=NETWORK.network_id)
    owner = Owner(process=1, host="here", since="")
    with journal.open_for_writing(tmp_path, NETWORK) as open_journal:
        assert not open_journal.is_stop_requested
        ask_to_stop(owner, path, system="nt")
        assert (open_journal.is_stop_requested, ended) == (True, [])
        ask_to_stop(owner, path, system="nt")
        assert ended == [(1, signal.SIGTERM)]
    with journal.open_for_writing(tmp_path, NETWORK) as open_journal:
        assert not open_journal.is_stop_requested


def test_batched_transitions_keep_each_steps_order(tmp_path: Path) -> None:
    """Each step's transitions are applied in order, and a status before the outcome changes nothing."""
    with journal.open_for_writing(tmp_path, NETWORK) as open_journal:
        run = open_journal.start_run(make_plan(), NETWORK, now=0.0)
        sent = [
            StepTransition(
                run=run, step=step, from_state=State.PENDING, to_state=State.SENT, values={"sent_at": 1.0, "attempt": 1}
            )
            for step in (0, 1)
        ]
        status = StepTransition(
            run=run, step=0, from_state=State.SENT, to_state=State.SENT, values={"http_status": 201}
        )
        other_status = StepTransition(
            run=run, step=1, from_state=State.SENT, to_state=State.SENT, values={"http_status": 202}
        )
        values = {"http_status": 201, "answer": {"promo_number": "8055550100"}}
        done = StepTransition(run=run, step=0, from_state=State.SENT, to_state=State.DONE, values=values)
        open_journal.apply_transitions([*sent, status, other_status, done])
        first, second = open_journal.steps(run)
    assert (first.state, first.attempt, first.http_status, first.answer) == (State.DONE, 1, 201, values["answer"])
    assert (second.state, second.attempt, second.http_status) == (State.SENT, 1, 202)


def test_conflict_rolls_back_the_whole_batch(tmp_path: Path) -> None:
    """If one step is not in the expected state, no transition of the batch is applied."""
    with journal.open_for_writing(tmp_path, NETWORK) as open_journal:
        run = open_journal.start_run(make_plan(), NETWORK, now=0.0)
        open_journal.apply_transitions(transitions(run, 1, State.PENDING, State.SENT))
        with pytest.raises(RunAborted, match="Another process changed the journal"):
            open_journal.apply_transitions(
                [*transitions(run, 0, State.PENDING, State.SENT), *transitions(run, 1, State.PENDING, State.SENT)]
            )
        assert [step.state for step in open_journal.steps(run)] == [State.PENDING, State.SENT]


# Open files


def _make_newer(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE version SET version = 1000")


def _make_garbage(path: Path) -> None:
    path.write_bytes(b"not a database" * 1_000)


@linux_only
@pytest.mark.parametrize("damage", [None, _make_newer, _make_garbage], ids=["sound", "newer", "garbage"])
def test_no_file_stays_open(tmp_path: Path, damage: Callable[[Path], None] | None) -> None:
    """Also where opening fails, each connection is closed at once: an open one locks the file on Windows."""
    with journal.open_for_writing(tmp_path, NETWORK):
        pass
    path = journal_file(tmp_path, base_url=NETWORK.base_url, network_id=NETWORK.network_id)
    if damage:
        damage(path)
    for open_journal in (
        lambda: journal.open_for_writing(tmp_path, NETWORK),
        lambda: journal.open_readonly(tmp_path, NETWORK),
    ):
        with contextlib.suppress(ConfigError, sa.exc.DatabaseError), open_journal():
            pass
    links = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert [link for link in links if link.is_relative_to(tmp_path)] == []
