"""Journals of other versions: older ones are migrated completely or not at all, all others are left unchanged."""

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
from invoca_bulk.config.network import Network
from invoca_bulk.errors import ConfigError, JournalLockedError
from invoca_bulk.journal import RunState, State, db_schema
from invoca_bulk.journal.db_schema import SCHEMA_VERSION
from invoca_bulk.journal.sqlite import journal_file
from tests.systems import posix_only

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NETWORK = Network(base_url="http://127.0.0.1:1", network_id="1234", token="the-secret-token")
RUN = "20261122-164501-k3f9xy"

#: The tables of version 3, as that version created them.
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
    parameters = [json.dumps(value) if isinstance(value, (list, dict)) else value for value in values.values()]
    names = ", ".join(f'"{name}"' for name in values)
    marks = ", ".join("?" * len(parameters))
    db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", parameters)  # noqa: S608  our own


def _insert_step(db: sqlite3.Connection, number: int, state: str, **values: Any) -> None:
    planned = {"resource": "promo_numbers", "action": "create", "verb": "POST", "path": PATH, "own_id": "", "once": 1}
    planned |= {"body": {"description": f"é {number}"}, "phase": 0, "destination": [], "identity": f"i{number}"}
    defaults = {"taken_by": "", "state": state, "attempt": int(state != "pending"), "error": "", "fix": ""}
    _insert(db, "steps", run=RUN, step=number, **planned, **(defaults | values))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A journal of version 3 with a killed run: one row is done, one is sent, one is pending, one is invalid."""
    path = journal_file(tmp_path, base_url=NETWORK.base_url, network_id=NETWORK.network_id)
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA journal_mode=WAL")
        db.executescript(VERSION_3)
        _insert(db, "version", version=3)
        run = {"api_version": "2022-08-01", "resource": "promo_numbers", "source": "requests.csv", "note": ""}
        run |= {"source_path": "", "output": "", "base_url": NETWORK.base_url, "network_id": NETWORK.network_id}
        run |= {"choices": CHOICES, "sheets": [SHEET], "titles": {}, "state": "running", "started_at": 1000.0}
        _insert(db, "runs", run=RUN, fingerprint="f" * 64, **run)
        answer = {"promo_number": "8055550100"}
        _insert_step(db, 0, "done", sent_at=1001.0, ended_at=1002.5, http_status=201, answer=answer)
        _insert_step(db, 1, "sent", sent_at=1003.0)
        _insert_step(db, 2, "pending")
        for position in range(4):
            row = {"sheet": 0, "row": position + 2, "cells": ["A-1", f"é {position}"], "action": "create"}
            row |= {"step_run": RUN, "step": position} if position < 3 else {"outcome": "invalid"}
            row |= {"error": "blank", "fix": "fill in"} if position == 3 else {"error": "", "fix": ""}
            _insert(db, "rows", run=RUN, position=position, carried=0, **row)
        _insert(db, "baselines", run=RUN, scope=json.dumps(PATH[:-1]), numbers=["8005550100"])
        _insert(db, "learned", rate=7.5, at=999.0)
    return path


def _query(path: Path, query: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return db.execute(query).fetchall()


def _content(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """The rows and columns of version 3's tables, and the names of all tables and indexes."""
    names = ("version", "learned", "runs", "baselines", "rows", "steps")
    columns = {name: [column[1] for column in _query(path, f"PRAGMA table_info({name})")] for name in names}
    rows = {name: _query(path, f"SELECT * FROM {name} ORDER BY 1, 2") for name in names[1:]}  # noqa: S608
    schema = _query(path, "SELECT name FROM sqlite_master ORDER BY name")
    version = _query(path, "SELECT version FROM version")
    return {**rows, "version": version, "schema": schema, "columns": list(columns.items())}


def _check_content(open_journal: Any) -> None:
    rows, steps, record = open_journal.rows(RUN), open_journal.steps(RUN), open_journal.run(RUN)
    assert [(row.row, row.outcome) for row in rows] == [(2, "created"), (3, "unknown"), (4, "not_sent"), (5, "invalid")]
    assert [row.cells for row in rows] == [("A-1", f"é {number}") for number in range(4)]
    assert (rows[0].answer, rows[0].http_status, rows[0].ended_at) == ({"promo_number": "8055550100"}, 201, 1002.5)
    assert (rows[3].error, rows[3].fix) == ("blank", "fill in")
    assert [(step.attempt, step.sent_at, step.step.identity) for step in steps] == [
        (1, 1001.0, "i0"),
        (1, 1003.0, "i1"),
        (0, None, "i2"),
    ]
    assert (record.source, record.fingerprint, record.started_at) == ("requests.csv", "f" * 64, 1000.0)
    assert (record.worker_options, record.is_stop_requested) == (None, False)
    assert open_journal.baselines(RUN) == {tuple(PATH[:-1]): ["8005550100"]}
    assert open_journal.saved_rate() == 7.5


def test_opening_for_writing_migrates(old: Path) -> None:
    """All its content is preserved, the sent step of the killed process is in doubt, and the run can be resumed."""
    with journal.open_for_writing(old.parent, NETWORK) as open_journal:
        _check_content(open_journal)
        assert [step.state for step in open_journal.steps(RUN)] == [State.DONE, State.IN_DOUBT, State.PENDING]
        unfinished = open_journal.find_unfinished_run("f" * 64)
        assert unfinished is not None
        assert (unfinished.run, unfinished.state) == (RUN, RunState.INTERRUPTED)
        assert [purchase.promo_number for purchase in open_journal.purchases([PATH])] == ["8055550100", ""]
        open_journal.resume_run(RUN)
        sent = journal.StepTransition(
            run=RUN, step=2, from_state=State.PENDING, to_state=State.SENT, values={"owner": ""}
        )
        open_journal.apply_transitions([sent])
    assert _query(old, "SELECT version FROM version") == [(SCHEMA_VERSION,)]
    assert _query(old, "SELECT workers, stopping FROM runs") == [(None, 0)]
    with journal.open_for_writing(old.parent, NETWORK) as open_journal:  # opened again, now migrated
        assert [step.state for step in open_journal.steps(RUN)] == [State.DONE, State.IN_DOUBT, State.IN_DOUBT]


def test_migrated_journal_has_the_schema_of_a_new_one(old: Path, tmp_path: Path) -> None:
    """A migrated journal has the same tables, columns and indexes as a new one."""
    with journal.open_for_writing(old.parent, NETWORK):
        pass
    with journal.open_for_writing(tmp_path / "new", NETWORK):
        pass
    new = tmp_path / "new" / old.name
    schemas = []
    for path in (old, new):
        names = [name for (name,) in _query(path, "SELECT name FROM sqlite_master ORDER BY name")]
        schemas.append(
            {name: sorted(column[1:4] for column in _query(path, f"PRAGMA table_info({name})")) for name in names}
        )
    assert schemas[0] == schemas[1]


@pytest.mark.parametrize("reader", ["list_runs", "find_results", "find_run", "find_run_summary", "open_readonly"])
def test_reading_migrates(old: Path, reader: str) -> None:
    """A journal that no process holds is migrated when it is read; sent steps stay sent until it is written."""
    if reader == "list_runs":
        (listed,) = journal.list_runs(old.parent)
        assert (listed.record.run, listed.state, dict(listed.totals)) == (
            RUN,
            "interrupted",
            {"created": 1, "unknown": 1, "not_sent": 1, "invalid": 1},
        )
    elif reader == "find_results":
        record, rows = journal.find_results(old.parent, RUN)
        assert (record.run, len(rows)) == (RUN, 4)
    elif reader == "find_run":
        assert journal.find_run(old.parent, RUN).state is RunState.INTERRUPTED
    elif reader == "find_run_summary":
        assert journal.find_run_summary(old.parent, RUN) is not None
    with journal.open_readonly(old.parent, NETWORK) as open_journal:
        assert open_journal is not None
        _check_content(open_journal)
        assert [step.state for step in open_journal.steps(RUN)] == [State.DONE, State.SENT, State.PENDING]
    assert _query(old, "SELECT version FROM version") == [(SCHEMA_VERSION,)]
    assert journal.list_incompatible_journals(old.parent) == []


# Interrupted migrations


@pytest.mark.parametrize("opened_for", ["writing", "reading"])
def test_failed_migration_changes_nothing(old: Path, monkeypatch: pytest.MonkeyPatch, opened_for: str) -> None:
    """A migration that fails after adding columns is rolled back, and the next one succeeds."""
    content = _content(old)
    columns = db_schema._ADDED_COLUMNS[3]  # noqa: SLF001  the repeated column makes it fail
    monkeypatch.setattr(db_schema, "_ADDED_COLUMNS", {3: (*columns, columns[0])})
    if opened_for == "writing":
        with pytest.raises(ConfigError, match="duplicate column"), journal.open_for_writing(old.parent, NETWORK):
            pytest.fail("opened")
    else:
        assert journal.list_runs(old.parent) == []
    assert _content(old) == content
    monkeypatch.undo()
    with journal.open_for_writing(old.parent, NETWORK) as open_journal:
        _check_content(open_journal)


KILLED = """
import os, signal, sys
from pathlib import Path
import sqlalchemy as sa
from invoca_bulk import journal
from invoca_bulk.config.network import Network
statement_prefix = sys.argv[2]
@sa.event.listens_for(sa.Engine, "after_cursor_execute")
def kill(connection, cursor, statement, *_):
    if statement.strip().startswith(statement_prefix):
        os.kill(os.getpid(), signal.SIGKILL)
network = Network(base_url="http://127.0.0.1:1", network_id="1234", token="x")
with journal.open_for_writing(Path(sys.argv[1]), network):
    pass
"""


@posix_only
@pytest.mark.parametrize("statement", ["ALTER TABLE runs ADD COLUMN stopping", "UPDATE version", "CREATE TABLE paces"])
def test_process_killed_in_a_migration_leaves_the_old_journal(old: Path, statement: str) -> None:
    """After SIGKILL at any statement, the file is still of version 3 with all its data, and can be opened."""
    content = _content(old)
    command = [sys.executable, "-c", KILLED, str(old.parent), statement]
    process = subprocess.run(command, check=False, timeout=100)
    assert process.returncode == -signal.SIGKILL
    assert _content(old) == content
    with journal.open_for_writing(old.parent, NETWORK) as open_journal:
        _check_content(open_journal)
        assert [step.state for step in open_journal.steps(RUN)] == [State.DONE, State.IN_DOUBT, State.PENDING]


# While a process holds it


HOLD = """
import sys
import filelock
with filelock.FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def hold() -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Another process that holds a journal's lock, like a process of the older version."""
    processes: list[subprocess.Popen[str]] = []

    def start(path: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLD, str(path.with_suffix(".lock"))]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_reading_does_not_migrate_a_locked_journal(old: Path, hold: Callable[[Path], subprocess.Popen[str]]) -> None:
    """A journal used by a run of the older version is not migrated until that run has ended."""
    process = hold(old)
    content, data = _content(old), old.read_bytes()
    assert journal.list_runs(old.parent) == []
    assert len(journal.list_incompatible_journals(old.parent)) == 1
    with pytest.raises(ConfigError, match="another version of this program"):
        journal.find_results(old.parent, RUN)
    with pytest.raises(JournalLockedError), journal.open_for_writing(old.parent, NETWORK):
        pytest.fail("opened")
    assert (_content(old), old.read_bytes()) == (content, data)
    process.kill()
    process.wait()
    assert [summary.record.run for summary in journal.list_runs(old.parent)] == [RUN]


# Versions that cannot be migrated


@pytest.mark.parametrize("version", [1, 2, SCHEMA_VERSION + 1, 1000])
def test_unsupported_version_is_left_unchanged(old: Path, version: int) -> None:
    """The error says that another version wrote it and what to do; no byte of the file changes."""
    with contextlib.closing(sqlite3.connect(old)) as db, db:
        db.execute("UPDATE version SET version = ?", [version])
        db.execute("CREATE TABLE IF NOT EXISTS of_the_future (what VARCHAR)")
    with contextlib.closing(sqlite3.connect(old, isolation_level=None)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = old.read_bytes()
    message = (
        r"^The journal .*another version of this program and is left unchanged\. Use another folder \(--journal\)\."
    )
    with pytest.raises(db_schema.IncompatibleVersion, match=message), journal.open_for_writing(old.parent, NETWORK):
        pytest.fail("opened")
    with pytest.raises(db_schema.IncompatibleVersion), journal.open_readonly(old.parent, NETWORK):
        pytest.fail("read")
    assert journal.list_runs(old.parent) == []
    assert journal.find_run_summary(old.parent, RUN) is None
    with pytest.raises(ConfigError, match="cannot be read"):
        journal.find_results(old.parent, RUN)
    assert [handle.path for handle in journal.list_incompatible_journals(old.parent)] == [old]
    assert old.read_bytes() == data


def test_migration_adds_all_missing_columns(old: Path) -> None:
    """A column missing from the migration would fail only during a run."""
    old_columns = {
        name: {column[1] for column in _query(old, f"PRAGMA table_info({name})")} for name in db_schema.METADATA.tables
    }
    missing = {
        column
        for table in db_schema.METADATA.tables.values()
        if old_columns[table.name]
        for column in table.columns
        if column.name not in old_columns[table.name]
    }
    added = {column for columns in db_schema._ADDED_COLUMNS.values() for column in columns}  # noqa: SLF001
    assert missing == added
    assert all(column.nullable or column.server_default is not None for column in missing)
