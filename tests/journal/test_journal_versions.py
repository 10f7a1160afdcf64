"""Journals of older and newer versions: brought to this one's shape whole or not at all, or left as they are."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from invoca_bulk import journal
from invoca_bulk.config.settings import Network
from invoca_bulk.errors import ConfigError, JournalLockedError
from invoca_bulk.journal import RunState, State, db_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NETWORK = Network(base_url="http://127.0.0.1:1", network_id="1234", token="the-secret-token")
RUN = "20261122-164501-k3f9xy"

#: The tables of version 3, as that version made them.
VERSION_3 = """
CREATE TABLE version (version INTEGER NOT NULL);
CREATE TABLE learned (rate FLOAT NOT NULL, at FLOAT NOT NULL);
CREATE TABLE runs (
    run VARCHAR NOT NULL, base_url VARCHAR NOT NULL, network_id VARCHAR NOT NULL, api_version VARCHAR NOT NULL,
    resource VARCHAR NOT NULL, source VARCHAR NOT NULL, source_path VARCHAR NOT NULL, output VARCHAR NOT NULL,
    fingerprint VARCHAR NOT NULL, choices JSON NOT NULL, sheets JSON NOT NULL, titles JSON NOT NULL,
    state VARCHAR NOT NULL, started_at FLOAT NOT NULL, ended_at FLOAT, note VARCHAR NOT NULL, PRIMARY KEY (run)
);
CREATE INDEX ix_runs_fingerprint ON runs (fingerprint);
CREATE TABLE baselines (
    run VARCHAR NOT NULL, scope VARCHAR NOT NULL, numbers JSON NOT NULL,
    PRIMARY KEY (run, scope), FOREIGN KEY(run) REFERENCES runs (run)
);
CREATE TABLE rows (
    run VARCHAR NOT NULL, position INTEGER NOT NULL, sheet INTEGER NOT NULL, "row" INTEGER NOT NULL,
    cells JSON NOT NULL, action VARCHAR NOT NULL, step_run VARCHAR, step INTEGER, outcome VARCHAR,
    carried BOOLEAN NOT NULL, found JSON, error VARCHAR NOT NULL, fix VARCHAR NOT NULL,
    PRIMARY KEY (run, position), FOREIGN KEY(run) REFERENCES runs (run)
);
CREATE TABLE steps (
    run VARCHAR NOT NULL, step INTEGER NOT NULL, resource VARCHAR NOT NULL, action VARCHAR NOT NULL,
    verb VARCHAR NOT NULL, path JSON NOT NULL, body JSON, own_id VARCHAR NOT NULL, once BOOLEAN NOT NULL,
    phase INTEGER NOT NULL, needs INTEGER, patch JSON, "before" JSON, destination JSON NOT NULL,
    identity VARCHAR NOT NULL, taken_by VARCHAR NOT NULL, state VARCHAR NOT NULL, attempt INTEGER NOT NULL,
    sent_at FLOAT, ended_at FLOAT, http_status INTEGER, answer JSON, error VARCHAR NOT NULL, fix VARCHAR NOT NULL,
    PRIMARY KEY (run, step), FOREIGN KEY(run) REFERENCES runs (run)
);
CREATE INDEX ix_steps_identity ON steps (identity);
"""
PATH = ["advertisers", "A-1", "advertiser_campaigns", "C-1", "promo_numbers"]
SHEET = {"name": "", "resource": "promo_numbers", "headers": ["advertiser_id_from_network", "description"]}
CHOICES = {"nested": "merge", "allow_removals": False, "auto_ids": False}


def _insert(db: sqlite3.Connection, table: str, **values: Any) -> None:
    texts = [json.dumps(one) if isinstance(one, (list, dict)) else one for one in values.values()]
    names = ", ".join(f'"{name}"' for name in values)
    db.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(texts))})", texts)  # noqa: S608  our own


def _step(db: sqlite3.Connection, number: int, state: str, **more: Any) -> None:
    planned = {"resource": "promo_numbers", "action": "create", "verb": "POST", "path": PATH, "own_id": "", "once": 1}
    planned |= {"body": {"description": f"é {number}"}, "phase": 0, "destination": [], "identity": f"i{number}"}
    rest = {"taken_by": "", "state": state, "attempt": int(state != "pending"), "error": "", "fix": ""}
    _insert(db, "steps", run=RUN, step=number, **planned, **(rest | more))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A journal of version 3, with a run that was killed: of its rows one is done, one under way, one not sent."""
    path = journal.journal_file(tmp_path, base_url=NETWORK.base_url, network_id=NETWORK.network_id)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA journal_mode=WAL")
        db.executescript(VERSION_3)
        _insert(db, "version", version=3)
        about = {"api_version": "2022-08-01", "resource": "promo_numbers", "source": "requests.csv", "note": ""}
        where = {"source_path": "", "output": "", "base_url": NETWORK.base_url, "network_id": NETWORK.network_id}
        more = {"choices": CHOICES, "sheets": [SHEET], "titles": {}, "state": "running", "started_at": 1000.0}
        _insert(db, "runs", run=RUN, fingerprint="f" * 64, **about, **where, **more)
        answer = {"promo_number": "8055550100"}
        _step(db, 0, "done", sent_at=1001.0, ended_at=1002.5, http_status=201, answer=answer)
        _step(db, 1, "sent", sent_at=1003.0)
        _step(db, 2, "pending")
        for position in range(4):
            its = {"step_run": RUN, "step": position} if position < 3 else {"outcome": "invalid"}
            told = {"error": "blank", "fix": "fill in"} if position == 3 else {"error": "", "fix": ""}
            planned = {"sheet": 0, "row": position + 2, "cells": ["A-1", f"é {position}"], "action": "create"}
            _insert(db, "rows", run=RUN, position=position, carried=0, **planned, **its, **told)
        _insert(db, "baselines", run=RUN, scope=json.dumps(PATH[:-1]), numbers=["8005550100"])
        _insert(db, "learned", rate=7.5, at=999.0)
    return path


def _looked(path: Path, query: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return db.execute(query).fetchall()


def _content(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All that version 3 had in its tables, and what it called them."""
    tables_of_3 = ("version", "learned", "runs", "baselines", "rows", "steps")
    columns = {name: [one[1] for one in _looked(path, f"PRAGMA table_info({name})")] for name in tables_of_3}
    found = {name: _looked(path, f"SELECT * FROM {name} ORDER BY 1, 2") for name in tables_of_3[1:]}  # noqa: S608
    schema = _looked(path, "SELECT name FROM sqlite_master ORDER BY name")
    version = _looked(path, "SELECT version FROM version")
    return {**found, "version": version, "schema": schema, "columns": list(columns.items())}


def _check_all_is_there(book: Any) -> None:
    rows, steps, record = book.rows(RUN), book.steps(RUN), book.run(RUN)
    assert [(row.row, row.outcome) for row in rows] == [(2, "created"), (3, "unknown"), (4, "not_sent"), (5, "invalid")]
    assert [row.cells for row in rows] == [("A-1", f"é {number}") for number in range(4)]
    assert (rows[0].answer, rows[0].http_status, rows[0].ended_at) == ({"promo_number": "8055550100"}, 201, 1002.5)
    assert (rows[3].error, rows[3].fix) == ("blank", "fill in")
    assert [(one.attempt, one.sent_at, one.step.identity) for one in steps] == [
        (1, 1001.0, "i0"),
        (1, 1003.0, "i1"),
        (0, None, "i2"),
    ]
    assert (record.source, record.fingerprint, record.started_at) == ("requests.csv", "f" * 64, 1000.0)
    assert (record.worker_options, record.is_stop_requested) == (None, False)
    assert book.baselines(RUN) == {tuple(PATH[:-1]): ["8005550100"]}
    assert book.saved_rate() == 7.5


def test_an_older_journal_is_brought_up_when_it_is_written(old: Path) -> None:
    """All that was in it is there, what the killed process had sent is in doubt, and the run can go on."""
    with journal.open_for_writing(old.parent, NETWORK) as book:
        _check_all_is_there(book)
        assert [one.state for one in book.steps(RUN)] == [State.DONE, State.IN_DOUBT, State.PENDING]
        unfinished = book.find_unfinished_run("f" * 64)
        assert unfinished is not None
        assert (unfinished.run, unfinished.state) == (RUN, RunState.INTERRUPTED)
        assert [one.promo_number for one in book.purchases([PATH])] == ["8055550100", ""]
        book.resume_run(RUN)
        sent = journal.StepTransition(
            run=RUN, step=2, from_state=State.PENDING, to_state=State.SENT, values={"owner": ""}
        )
        book.apply_transitions([sent])
    assert _looked(old, "SELECT version FROM version") == [(journal.SCHEMA_VERSION,)]
    assert _looked(old, "SELECT workers, stopping FROM runs") == [(None, 0)]
    with journal.open_for_writing(old.parent, NETWORK) as book:  # and once more, as one of this version
        assert [one.state for one in book.steps(RUN)] == [State.DONE, State.IN_DOUBT, State.IN_DOUBT]


def test_an_older_journal_has_the_shape_of_a_new_one(old: Path, tmp_path: Path) -> None:
    """The same tables, columns and indexes, whichever way a journal came to this version."""
    with journal.open_for_writing(old.parent, NETWORK):
        pass
    with journal.open_for_writing(tmp_path / "new", NETWORK):
        pass
    new = tmp_path / "new" / old.name
    shapes = []
    for path in (old, new):
        names = [name for (name,) in _looked(path, "SELECT name FROM sqlite_master ORDER BY name")]
        columns = {name: sorted(one[1:4] for one in _looked(path, f"PRAGMA table_info({name})")) for name in names}
        shapes.append(columns)
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("look", ["listed", "results_of", "run_of", "find", "reading"])
def test_an_older_journal_is_brought_up_when_it_is_looked_at(old: Path, look: str) -> None:
    """Nobody holds it, so whoever asks for its runs sees them; what was under way stays so until it is written."""
    if look == "listed":
        (listed,) = journal.list_runs(old.parent)
        assert (listed.record.run, listed.state, dict(listed.totals)) == (
            RUN,
            "interrupted",
            {"created": 1, "unknown": 1, "not_sent": 1, "invalid": 1},
        )
    elif look == "results_of":
        record, rows = journal.find_results(old.parent, RUN)
        assert (record.run, len(rows)) == (RUN, 4)
    elif look == "run_of":
        assert journal.find_run(old.parent, RUN).state is RunState.INTERRUPTED
    elif look == "find":
        assert journal.find_run_summary(old.parent, RUN) is not None
    with journal.open_readonly(old.parent, NETWORK) as book:
        assert book is not None
        _check_all_is_there(book)
        assert [one.state for one in book.steps(RUN)] == [State.DONE, State.SENT, State.PENDING]
    assert _looked(old, "SELECT version FROM version") == [(journal.SCHEMA_VERSION,)]
    assert journal.list_incompatible_journals(old.parent) == []


# Cut short


@pytest.mark.parametrize("door", ["opened", "listed"])
def test_a_migration_that_fails_changes_nothing(old: Path, monkeypatch: pytest.MonkeyPatch, door: str) -> None:
    """Half of the columns were added when it failed: they are gone again, and the next time it comes to its end."""
    before = _content(old)
    added = db_schema._ADDED_COLUMNS[3]  # noqa: SLF001  one more, which is there already
    monkeypatch.setattr(db_schema, "_ADDED_COLUMNS", {3: (*added, added[0])})
    if door == "opened":
        with pytest.raises(ConfigError, match="duplicate column"), journal.open_for_writing(old.parent, NETWORK):
            pytest.fail("opened")
    else:
        assert journal.list_runs(old.parent) == []
    assert _content(old) == before
    monkeypatch.undo()
    with journal.open_for_writing(old.parent, NETWORK) as book:
        _check_all_is_there(book)


KILLED = """
import os, signal, sys
from pathlib import Path
import sqlalchemy as sa
from invoca_bulk import journal
from invoca_bulk.config.settings import Network
at = sys.argv[2]
@sa.event.listens_for(sa.Engine, "after_cursor_execute")
def look(connection, cursor, statement, *_):
    if statement.strip().startswith(at):
        os.kill(os.getpid(), signal.SIGKILL)
network = Network(base_url="http://127.0.0.1:1", network_id="1234", token="x")
with journal.open_for_writing(Path(sys.argv[1]), network):
    pass
"""


@pytest.mark.parametrize("at", ["ALTER TABLE runs ADD COLUMN stopping", "UPDATE version", "CREATE TABLE paces"])
def test_a_process_killed_in_a_migration_leaves_the_old_journal(old: Path, at: str) -> None:
    """SIGKILL after any statement of it: the file is one of version 3 with all its data, and opens."""
    before = _content(old)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(old.parent), at], check=False, timeout=100)
    assert killed.returncode == -signal.SIGKILL
    assert _content(old) == before
    with journal.open_for_writing(old.parent, NETWORK) as book:
        _check_all_is_there(book)
        assert [one.state for one in book.steps(RUN)] == [State.DONE, State.IN_DOUBT, State.PENDING]


# While somebody has it


HOLD = """
import sys
import filelock
with filelock.FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def hold() -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Another process that holds a journal's lock, as one of the older version does."""
    held: list[subprocess.Popen[str]] = []

    def start(path: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLD, str(path.with_suffix(".lock"))]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        held.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in held:
        process.kill()
        process.communicate()


def test_a_reader_leaves_an_older_journal_to_its_holder(
    old: Path, hold: Callable[[Path], subprocess.Popen[str]]
) -> None:
    """A run of the older version is at it: its tables are not touched under its hands; afterwards they are."""
    process = hold(old)
    before, data = _content(old), old.read_bytes()
    assert journal.list_runs(old.parent) == []
    assert len(journal.list_incompatible_journals(old.parent)) == 1
    with pytest.raises(ConfigError, match="another version of this program"):
        journal.find_results(old.parent, RUN)
    with pytest.raises(JournalLockedError), journal.open_for_writing(old.parent, NETWORK):
        pytest.fail("opened")
    assert (_content(old), old.read_bytes()) == (before, data)
    process.kill()
    process.wait()
    assert [one.record.run for one in journal.list_runs(old.parent)] == [RUN]


# Newer ones


@pytest.mark.parametrize("version", [1, 2, journal.SCHEMA_VERSION + 1, 1000])
def test_a_journal_that_cannot_be_brought_up_is_left_byte_for_byte(old: Path, version: int) -> None:
    """One sentence says that another version wrote it, and what to do; not a byte of it changes."""
    with contextlib.closing(sqlite3.connect(old)) as db, db:
        db.execute("UPDATE version SET version = ?", [version])
        db.execute("CREATE TABLE IF NOT EXISTS of_the_future (what VARCHAR)")
    with contextlib.closing(sqlite3.connect(old, isolation_level=None)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = old.read_bytes()
    told = r"^The journal .*another version of this program; it was left as it is\. Name another folder with --journal"
    with pytest.raises(db_schema.IncompatibleVersion, match=told), journal.open_for_writing(old.parent, NETWORK):
        pytest.fail("opened")
    with pytest.raises(db_schema.IncompatibleVersion), journal.open_readonly(old.parent, NETWORK):
        pytest.fail("read")
    assert journal.list_runs(old.parent) == []
    assert journal.find_run_summary(old.parent, RUN) is None
    with pytest.raises(ConfigError, match="cannot be read"):
        journal.find_results(old.parent, RUN)
    assert [one.path for one in journal.list_incompatible_journals(old.parent)] == [old]
    assert old.read_bytes() == before


def test_the_columns_that_are_added_are_those_that_version_3_lacks(old: Path) -> None:
    """A column that a later version needs and no older journal is given would be found out in a run only."""
    has = {name: {one[1] for one in _looked(old, f"PRAGMA table_info({name})")} for name in db_schema.METADATA.tables}
    lacks = {
        column
        for table in db_schema.METADATA.tables.values()
        if has[table.name]
        for column in table.columns
        if column.name not in has[table.name]
    }
    assert lacks == set(db_schema._ADDED_COLUMNS[3])  # noqa: SLF001
    assert all(column.nullable or column.server_default is not None for column in lacks)
