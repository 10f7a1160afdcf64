"""The journal: what is committed survives, illegal steps are impossible, one owner at a time."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import stat
import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from invoca_bulk import journal
from invoca_bulk.config.settings import Network
from invoca_bulk.errors import ConfigError, JournalLockedError, RunAborted
from invoca_bulk.journal import OUTCOME_IF_STOPPED, TRANSITIONS, RunState, State, StepTransition
from invoca_bulk.planning import PlanData, PlannedRow, PlannedSheet, PlatformState, Step
from invoca_bulk.schema import Action
from invoca_bulk.schema.result_columns import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NETWORK = Network(base_url="http://127.0.0.1:1", network_id="1234", token="the-secret-token")
SCOPE = ("advertisers", "A-1", "advertiser_campaigns", "C-1")


def _step(number: int, **more: Any) -> Step:
    path = (*SCOPE, "promo_numbers")
    about = {"resource": "promo_numbers", "action": Action.CREATE, "verb": "POST", "path": path, "non_idempotent": True}
    return Step(**{"number": number, "body": {"description": f"é {number}"}, **about, **more})


def _plan(*steps: Step, rows: tuple[PlannedRow, ...] = ()) -> PlanData:
    steps = steps or (_step(0), _step(1))
    asked = rows or (
        *(PlannedRow(row=one.number + 2, cells=("A-1", f"é {one.number}"), step=one.number) for one in steps),
        PlannedRow(
            row=len(steps) + 2,
            cells=("A-1", ""),
            outcome=Outcome.INVALID,
            error="blank",
            fix="fill in",
            action="refused",
        ),
    )
    headers = ("advertiser_id_from_network", "description")
    return PlanData(
        resource="promo_numbers",
        source="requests.csv",
        sheets=(PlannedSheet(name="", resource="promo_numbers", headers=headers),),
        titles={},
        rows=asked,
        steps=steps,
        changes=(),
        removals=(),
        issues=pd.DataFrame(),
        platform_state={SCOPE: PlatformState(objects=({"promo_number": "8005550100"},))},
        fingerprint="f" * 64,
    )


def _go(run: str, step: int, *states: State) -> list[StepTransition]:
    return [StepTransition(run=run, step=step, from_state=a, to_state=b) for a, b in pairwise(states)]


def test_a_run_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Rows, headers and outcomes are read back in the sheet's order, texts unchanged."""
    with journal.open_for_writing(tmp_path, NETWORK) as book:
        run = book.start_run(_plan(), NETWORK, now=1000.0)
        book.apply_transitions(
            [
                *_go(run, 0, State.PENDING, State.SENT),
                StepTransition(
                    run=run,
                    step=0,
                    from_state=State.SENT,
                    to_state=State.DONE,
                    values={"http_status": 201, "answer": {"promo_number": "8055550100"}, "ended_at": 1001.5},
                ),
            ]
        )
        book.end_run(run, RunState.FINISHED, now=1002.0)
    with journal.open_for_writing(tmp_path, NETWORK) as book:
        rows, record = book.rows(run), book.run(run)
    assert [row.outcome for row in rows] == ["created", "not_sent", "invalid"]
    assert [row.row for row in rows] == [2, 3, 4]
    assert rows[0].cells == ("A-1", "é 0")
    assert (rows[0].answer, rows[0].http_status, rows[0].attempts) == ({"promo_number": "8055550100"}, 201, 1)
    assert (rows[2].error, rows[2].fix) == ("blank", "fill in")
    assert (record.state, record.started_at, record.ended_at) == (RunState.FINISHED, 1000.0, 1002.0)
    assert record.sheets == _plan().sheets


@pytest.mark.parametrize("state", [state for state in State if state is not State.DONE])
def test_every_state_has_an_outcome(state: State) -> None:
    """Wherever a run ends, each row has exactly one outcome."""
    assert OUTCOME_IF_STOPPED[state] in Outcome


def test_the_table_of_states_is_total() -> None:
    """Every state says what may follow, and `sent` never goes back unseen."""
    assert set(TRANSITIONS) == set(State)
    assert TRANSITIONS[State.IN_DOUBT] == {State.DONE, State.ABSENT, State.SENT}


@pytest.mark.parametrize(
    ("before", "after"),
    [(a, b) for a in State for b in State if b not in TRANSITIONS[a] and a is not b],
)
def test_illegal_changes_are_impossible(tmp_path: Path, before: State, after: State) -> None:
    """A step cannot go from in doubt to pending, nor from done to anything."""
    with journal.open_for_writing(tmp_path, NETWORK) as book:
        run = book.start_run(_plan(), NETWORK, now=0.0)
        with pytest.raises(ValueError, match="cannot go"):
            book.apply_transitions([StepTransition(run=run, step=0, from_state=before, to_state=after)])


def test_a_step_is_sent_by_one_only(tmp_path: Path) -> None:
    """Exactly one row must change when a step is sent; the second sender stops, and its whole commit is undone."""
    with journal.open_for_writing(tmp_path, NETWORK) as book:
        run = book.start_run(_plan(), NETWORK, now=0.0)
        book.apply_transitions(_go(run, 0, State.PENDING, State.SENT))
        with pytest.raises(RunAborted, match="somebody else"):
            book.apply_transitions([*_go(run, 1, State.PENDING, State.SENT), *_go(run, 0, State.PENDING, State.SENT)])
        assert [row.attempts for row in book.rows(run)] == [1, 0, 0]


def test_attempts_are_counted(tmp_path: Path) -> None:
    """A step that is sent has one attempt more, unless the sender counts; one that stays as it is has no more."""
    with journal.open_for_writing(tmp_path, NETWORK) as book:
        run = book.start_run(_plan(), NETWORK, now=0.0)
        told = StepTransition(
            run=run, step=0, from_state=State.PENDING, to_state=State.PENDING, values={"error": "held back"}
        )
        book.apply_transitions([told, *_go(run, 1, State.PENDING, State.SENT, State.SENT)])
        assert [row.attempts for row in book.rows(run)] == [0, 1, 0]
        sent = StepTransition(run=run, step=1, from_state=State.SENT, to_state=State.SENT, values={"attempt": 4})
        book.apply_transitions([sent, *_go(run, 0, State.PENDING, State.SENT, State.PENDING, State.SENT)])
        assert [row.attempts for row in book.rows(run)] == [2, 4, 0]
        assert book.rows(run)[0].error == "held back"


@pytest.mark.parametrize(
    ("asked", "action", "outcome"),
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
def test_a_row_says_what_it_asked_for(tmp_path: Path, asked: str, action: Action, outcome: str) -> None:
    """One step does several rows, a user's removal among them; each has its own outcome, else that of the step."""
    row = PlannedRow(sheet=2, row=7, cells=(), action=asked, step=0)
    with journal.open_for_writing(tmp_path, NETWORK) as book:
        run = book.start_run(_plan(_step(0, action=action), rows=(row,)), NETWORK, now=0.0)
        book.apply_transitions(_go(run, 0, State.PENDING, State.SENT, State.DONE))
        (record,) = book.rows(run)
    assert (record.outcome, record.sheet, record.row) == (outcome, 2, 7)
    assert record.action == asked or action


def test_a_step_is_kept_whole(tmp_path: Path) -> None:
    """Whoever settles or undoes a step finds in the journal all that it was."""
    step = _step(
        0,
        action=Action.MOVE,
        verb="PUT",
        non_idempotent=False,
        phase=1,
        needs=3,
        patch={"nested": "merge", "values": {"name": None}, "parts": []},
        before={"promo_number": "8005550100"},
        destination=("advertisers", "A-2", "promo_numbers"),
    )
    with journal.open_for_writing(tmp_path, NETWORK) as book:
        book.start_run(_plan(step, _step(1, body=None)), NETWORK, now=0.0)
    reader = sqlite3.connect(journal.journal_file(tmp_path, base_url=NETWORK.base_url, network_id="1234"))
    reader.row_factory = sqlite3.Row
    kept, bare = (dict(one) for one in reader.execute("SELECT * FROM steps ORDER BY step"))
    reader.close()
    assert (kept["resource"], kept["action"], kept["once"], kept["phase"], kept["needs"]) == (
        "promo_numbers",
        "move",
        0,
        1,
        3,
    )
    columns = ("path", "patch", "before", "destination")
    assert [json.loads(kept[name]) for name in columns] == [
        list(step.path),
        step.patch,
        step.snapshot,
        list(step.destination),
    ]
    assert (bare["body"], bare["patch"], bare["before"], bare["needs"], bare["once"]) == (None, None, None, None, 1)


@pytest.mark.parametrize(
    ("once", "state", "told"),
    [
        (True, State.PENDING, []),
        (True, State.SENT, ["unknown"]),
        (True, State.DONE, ["created"]),
        (True, State.REJECTED, []),
        (False, State.SENT, []),
        (False, State.DONE, []),
    ],
)
def test_purchases_are_what_cannot_be_repeated(tmp_path: Path, once: Any, state: State, told: list[str]) -> None:
    """A step counts as a purchase if it may have bought something; what may be repeated never does."""
    states = [] if state is State.PENDING else [State.SENT] if state is State.SENT else [State.SENT, state]
    with journal.open_for_writing(tmp_path, NETWORK) as book:
        run = book.start_run(_plan(_step(0, non_idempotent=once)), NETWORK, now=0.0)
        book.apply_transitions(_go(run, 0, State.PENDING, *states))
        assert [one.outcome for one in book.purchases([_step(0).path])] == told
        assert book.purchases([("advertisers", "other", "promo_numbers")]) == []


# Files of other versions


def _changed(path: Path, *statements: str) -> bytes:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        for one in statements:
            other.execute(one)
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


OTHERS = {
    "older": ("DROP TABLE version",),
    "newer": ("UPDATE version SET version = version + 1",),
    "emptied": ("DELETE FROM version",),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_journal_of_another_version_is_left_alone(tmp_path: Path, name: str) -> None:
    """It is refused in one sentence that names the way out, for writing and for reading, and nothing in it changes."""
    with journal.open_for_writing(tmp_path, NETWORK) as book:
        run = book.start_run(_plan(), NETWORK, now=0.0)
    path = journal.journal_file(tmp_path, base_url=NETWORK.base_url, network_id="1234")
    before = _changed(path, *OTHERS[name])
    with (
        pytest.raises(ConfigError, match=r"another version of this program.*--journal"),
        journal.open_for_writing(tmp_path, NETWORK),
    ):
        pytest.fail("opened")
    with pytest.raises(ConfigError, match="another version"):
        journal.find_results(tmp_path, run)
    assert path.read_bytes() == before


def test_a_process_killed_while_it_made_the_tables_locks_nobody_out(tmp_path: Path) -> None:
    """A file that has only the empty table of the version is a new one; one with a version is completed."""
    path = journal.journal_file(tmp_path, base_url=NETWORK.base_url, network_id="1234")
    _changed(path, "CREATE TABLE version (version INTEGER NOT NULL)")
    with journal.open_for_writing(tmp_path, NETWORK) as book:
        book.start_run(_plan(), NETWORK, now=0.0)
    _changed(path, "DROP TABLE baselines")
    with journal.open_for_writing(tmp_path, NETWORK) as book:
        book.start_run(_plan(), NETWORK, now=1.0)


def test_results_are_found_among_several_journals(tmp_path: Path) -> None:
    """A run is read from whichever journal of the folder has it, whatever else lies there."""
    (tmp_path / "a.sqlite").write_bytes(b"")
    (tmp_path / "b.sqlite").write_bytes(b"no database at all")
    with journal.open_for_writing(tmp_path, NETWORK) as book:
        run = book.start_run(_plan(), NETWORK, now=0.0)
    record, rows = journal.find_results(tmp_path, run)
    assert (record.run, len(rows)) == (run, 3)
    with pytest.raises(ConfigError, match="result_run"):
        journal.find_results(tmp_path, "20200101-000000-aaaaaa")


def test_settings_of_the_database(tmp_path: Path) -> None:
    """WAL, and FULL: NORMAL can lose the last commits in a power cut, and a lost `sent` is a number bought twice."""
    engine = journal.durable_engine(tmp_path / "x?y=1.sqlite")
    with engine.connect() as connection:
        pragmas = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
    engine.dispose()
    assert pragmas == ["wal", 2]


def test_files_are_the_users_own(tmp_path: Path) -> None:
    """Nobody else can read the journal, its log or its folder."""
    folder = tmp_path / "state" / "journal"
    with journal.open_for_writing(folder, NETWORK) as book:
        book.start_run(_plan(), NETWORK, now=0.0)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(modes) >= 4
    assert {name: mode for name, mode in modes.items() if mode & 0o077} == {}


def test_no_token_in_the_journal(tmp_path: Path) -> None:
    """The token is in none of the journal's files."""
    with journal.open_for_writing(tmp_path, NETWORK) as book:
        book.start_run(_plan(), NETWORK, now=0.0)
        assert all(b"the-secret-token" not in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())


HOLD = """
import sys
from itertools import pairwise
from pathlib import Path
from invoca_bulk import journal
from invoca_bulk.config.settings import Network
network = Network(base_url="http://127.0.0.1:1", network_id=sys.argv[2], token="x")
with journal.open_for_writing(Path(sys.argv[1]), network):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Any:
    """Another process that holds the journal of a network."""
    held: list[subprocess.Popen[str]] = []

    def hold(network_id: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLD, str(tmp_path), network_id]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        held.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in held:
        process.kill()
        process.communicate()


def test_the_second_owner_is_told_who_and_since_when(tmp_path: Path, holder: Callable[..., Any]) -> None:
    """One run at a time for a network; another network's goes on beside it."""
    process = holder("1234")
    with (
        pytest.raises(JournalLockedError, match=rf"process {process.pid} on .*, since 20.* UTC"),
        journal.open_for_writing(tmp_path, NETWORK),
    ):
        pytest.fail("opened")
    with journal.open_for_writing(tmp_path, Network(base_url="http://127.0.0.1:1", network_id="99", token="x")):
        pass


def test_a_killed_owner_holds_nothing(tmp_path: Path, holder: Callable[..., Any]) -> None:
    """The lock dies with its owner."""
    process = holder("1234")
    process.kill()
    process.wait()
    with journal.open_for_writing(tmp_path, NETWORK) as book:
        book.start_run(_plan(), NETWORK, now=0.0)


def test_others_read_while_a_run_writes(tmp_path: Path) -> None:
    """A reader sees committed changes while the owner holds the journal."""
    with journal.open_for_writing(tmp_path, NETWORK) as book:
        run = book.start_run(_plan(), NETWORK, now=0.0)
        path = journal.journal_file(tmp_path, base_url=NETWORK.base_url, network_id="1234")
        reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            book.apply_transitions(_go(run, 0, State.PENDING, State.SENT))
            assert reader.execute("SELECT state FROM steps ORDER BY step").fetchall() == [("sent",), ("pending",)]
        finally:
            reader.close()


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    """The message names the folder and the flag."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="--journal"), journal.open_for_writing(tmp_path / "file", NETWORK):
        pytest.fail("opened")


def test_networks_have_files_of_their_own(tmp_path: Path) -> None:
    """Different base URLs and networks never share a journal, however similar their names."""
    pairs = [
        ("https://a.b", "1"),
        ("https://a.b", "11"),
        ("https://a-b", "1"),
        ("http://a.b", "1"),
        ("https://a.b:1", "1"),
    ]
    assert len({journal.journal_file(tmp_path, base_url=url, network_id=one) for url, one in pairs}) == len(pairs)


def test_a_journal_is_the_users_alone(tmp_path: Path) -> None:
    """A file that others could read is closed to them; a link in its place is not followed."""
    path = journal.journal_file(tmp_path, base_url=NETWORK.base_url, network_id="1234")
    path.touch(mode=0o666)
    path.chmod(0o666)
    with journal.open_for_writing(tmp_path, NETWORK):
        assert {one.stat().st_mode & 0o777 for one in tmp_path.iterdir()} == {0o600}
    other = tmp_path / "elsewhere"
    path.rename(other)
    path.symlink_to(other)
    with pytest.raises(ConfigError, match="--journal"), journal.open_for_writing(tmp_path, NETWORK):
        pytest.fail("opened")


def test_changes_share_a_commit_and_keep_each_steps_order(tmp_path: Path) -> None:
    """A batch of many steps: each one's changes are made in their order, and a note adds nothing to its outcome."""
    with journal.open_for_writing(tmp_path, NETWORK) as book:
        run = book.start_run(_plan(), NETWORK, now=0.0)
        sent = [
            StepTransition(
                run=run, step=step, from_state=State.PENDING, to_state=State.SENT, values={"sent_at": 1.0, "attempt": 1}
            )
            for step in (0, 1)
        ]
        note = StepTransition(run=run, step=0, from_state=State.SENT, to_state=State.SENT, values={"http_status": 201})
        kept = StepTransition(run=run, step=1, from_state=State.SENT, to_state=State.SENT, values={"http_status": 202})
        told = {"http_status": 201, "answer": {"promo_number": "8055550100"}}
        done = StepTransition(run=run, step=0, from_state=State.SENT, to_state=State.DONE, values=told)
        book.apply_transitions([*sent, note, kept, done])
        first, second = book.steps(run)
    assert (first.state, first.attempt, first.http_status, first.answer) == (State.DONE, 1, 201, told["answer"])
    assert (second.state, second.attempt, second.http_status) == (State.SENT, 1, 202)


def test_one_change_that_cannot_be_made_undoes_its_commit(tmp_path: Path) -> None:
    """A step that is not where it must be: nothing of the batch is made, whatever statement it shares."""
    with journal.open_for_writing(tmp_path, NETWORK) as book:
        run = book.start_run(_plan(), NETWORK, now=0.0)
        book.apply_transitions(_go(run, 1, State.PENDING, State.SENT))
        with pytest.raises(RunAborted, match="changed by somebody else"):
            book.apply_transitions([*_go(run, 0, State.PENDING, State.SENT), *_go(run, 1, State.PENDING, State.SENT)])
        assert [one.state for one in book.steps(run)] == [State.PENDING, State.SENT]
