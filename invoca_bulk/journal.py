"""Durable record of every step: intent before the first byte, outcome after.

One SQLite file for each base URL and network, in the user's state directory. WAL with `synchronous=FULL`: a commit
that returned survives a power cut, because a lost `sent` is a number bought twice. One process writes at a time; it
holds an operating-system lock that dies with it. Others may read at any time. No token and no header is ever in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import socket
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import filelock
import sqlalchemy as sa

from invoca_bulk.errors import JournalHeld, RunAborted, SettingInvalid
from invoca_bulk.schema.outputs import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from invoca_bulk.planning import Plan
    from invoca_bulk.settings import Network


class State(StrEnum):
    """Where a step stands."""

    PENDING = "pending"
    SENT = "sent"
    IN_DOUBT = "in_doubt"
    ABSENT = "absent"
    DONE = "done"
    REJECTED = "rejected"
    FAILED = "failed"


class RunState(StrEnum):
    """Where a run stands. A `running` one whose owner is gone was interrupted."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    ABORTED = "aborted"


#: State to the states that may follow; all others are a defect of the caller.
NEXT: Mapping[State, frozenset[State]] = {
    State.PENDING: frozenset({State.SENT}),
    State.SENT: frozenset({State.DONE, State.REJECTED, State.PENDING, State.FAILED, State.IN_DOUBT}),
    State.IN_DOUBT: frozenset({State.DONE, State.ABSENT}),
    State.ABSENT: frozenset({State.PENDING}),
    State.DONE: frozenset(),
    State.REJECTED: frozenset(),
    State.FAILED: frozenset(),
}

#: Action to the outcome of a step that is done.
DONE_OUTCOME = {
    "create": Outcome.CREATED,
    "update": Outcome.UPDATED,
    "move": Outcome.MOVED,
    "delete": Outcome.DELETED,
}

#: State to the outcome if the run ends there; `done` depends on the action.
ENDS_AS = {
    State.PENDING: Outcome.NOT_SENT,
    State.SENT: Outcome.UNKNOWN,
    State.IN_DOUBT: Outcome.UNKNOWN,
    State.ABSENT: Outcome.UNKNOWN,
    State.REJECTED: Outcome.REJECTED,
    State.FAILED: Outcome.FAILED,
}

#: States of a step that has, or may have, done something on the platform.
_BOUGHT = frozenset({State.SENT, State.IN_DOUBT, State.ABSENT, State.DONE})

_METADATA = sa.MetaData()
_RUNS = sa.Table(
    "runs",
    _METADATA,
    sa.Column("run", sa.String, primary_key=True),
    sa.Column("base_url", sa.String, nullable=False),
    sa.Column("network_id", sa.String, nullable=False),
    sa.Column("api_version", sa.String, nullable=False),
    sa.Column("resource", sa.String, nullable=False),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("fingerprint", sa.String, nullable=False, index=True),
    sa.Column("headers", sa.JSON, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("started_at", sa.Float, nullable=False),
    sa.Column("ended_at", sa.Float),
    sa.Column("note", sa.String, nullable=False, default=""),
)
_STEPS = sa.Table(
    "steps",
    _METADATA,
    sa.Column("run", sa.ForeignKey("runs.run"), primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True),
    sa.Column("action", sa.String, nullable=False),
    sa.Column("verb", sa.String, nullable=False),
    sa.Column("path", sa.JSON, nullable=False),
    sa.Column("body", sa.JSON),
    sa.Column("own_id", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False, default=0),
    sa.Column("sent_at", sa.Float),
    sa.Column("ended_at", sa.Float),
    sa.Column("http_status", sa.Integer),
    sa.Column("answer", sa.JSON),
    sa.Column("error", sa.String, nullable=False, default=""),
    sa.Column("fix", sa.String, nullable=False, default=""),
)
_ROWS = sa.Table(
    "rows",
    _METADATA,
    sa.Column("run", sa.ForeignKey("runs.run"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("row", sa.Integer, nullable=False),
    sa.Column("cells", sa.JSON, nullable=False),
    sa.Column("step", sa.Integer),
    sa.Column("outcome", sa.String),
    sa.Column("carried", sa.Boolean, nullable=False),
    sa.Column("error", sa.String, nullable=False),
    sa.Column("fix", sa.String, nullable=False),
)
#: What each scope already had when the run began: what a number found later is compared with.
_BASELINES = sa.Table(
    "baselines",
    _METADATA,
    sa.Column("run", sa.ForeignKey("runs.run"), primary_key=True),
    sa.Column("scope", sa.String, primary_key=True),
    sa.Column("numbers", sa.JSON, nullable=False),
)


@dataclass(frozen=True, kw_only=True)
class Change:
    """One step goes from one state to the next; or stays, and only its values change.

    Attributes:
        run: the run's id.
        step: the step's number.
        before: the state that it must be in.
        after: the state that it goes to.
        values: other columns of the step that are set with it.
    """

    run: str
    step: int
    before: State
    after: State
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What the journal knows of a run. Times are seconds since the epoch; `ended_at` None: it has not ended."""

    run: str
    base_url: str
    network_id: str
    api_version: str
    resource: str
    source: str
    fingerprint: str
    headers: tuple[str, ...]
    state: RunState
    started_at: float
    ended_at: float | None
    note: str


@dataclass(frozen=True, kw_only=True)
class RowRecord:
    """One row of the results as the journal has it.

    `ended_at`: seconds since the epoch. `step` None: there was nothing to do.
    """

    row: int
    cells: tuple[str, ...]
    outcome: Outcome
    carried: bool
    error: str
    fix: str
    http_status: int | None
    attempts: int
    ended_at: float | None
    answer: Any
    step: int | None
    action: str


def journal_file(folder: Path, *, base_url: str, network_id: str) -> Path:
    """The journal of a network: the name can be read, and the hash keeps apart what the name cannot."""
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", urlsplit(base_url).netloc)
    digest = hashlib.sha256(f"{base_url}\n{network_id}".encode()).hexdigest()[:8]
    return folder / f"{readable}-{network_id}-{digest}.sqlite"


#: Begins the ids of runs on a sandbox, so that made-up numbers are never taken for real ones.
REHEARSAL = "sandbox-"


def new_run_id(now: float) -> str:
    """An id that sorts by time and can be typed: `20261122-164501-k3f9xy`."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    return f"{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}-" + "".join(secrets.choice(letters) for _ in range(6))


@contextmanager
def opened(folder: Path, network: Network) -> Iterator[Journal]:
    """Open a network's journal for writing; it is this process' own until the end of the block.

    Raises:
        JournalHeld: another process has it; the message says which, and since when.
        SettingInvalid: the folder cannot be used.
    """
    path = journal_file(folder, base_url=network.base_url, network_id=network.network_id)
    _prepare(folder, path)
    with _owned(path):
        engine = durable_engine(path)
        try:
            with _one_sentence(path):
                connection = engine.connect()
                book = Journal(connection)
            with connection:
                yield book
        finally:
            engine.dispose()


@contextmanager
def _one_sentence(path: Path) -> Iterator[None]:
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        reason = getattr(error, "orig", None) or type(error).__name__
        msg = f"The journal {path} cannot be used ({reason}). Name another folder with --journal."
        raise SettingInvalid(msg) from None


def _prepare(folder: Path, path: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        msg = f"The journal cannot be kept in {folder} ({error.strerror}). Name another folder with --journal."
        raise SettingInvalid(msg) from None


@contextmanager
def _owned(path: Path) -> Iterator[None]:
    lock = filelock.FileLock(path.with_suffix(".lock"), mode=0o600)
    owner = path.with_suffix(".owner")
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        msg = f"Another run works on this network: {_who(owner)}. Wait until it has ended, then try again."
        raise JournalHeld(msg) from None
    try:
        since = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
        owner.touch(mode=0o600)
        owner.write_text(json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": since}))
        yield
        owner.unlink(missing_ok=True)
    finally:
        lock.release()


def _who(owner: Path) -> str:
    try:
        note = json.loads(owner.read_text())
    except (OSError, ValueError):
        return "an unknown process"
    return f"process {note['process']} on {note['host']}, since {note['since']} UTC"


def durable_engine(path: Path) -> sa.Engine:
    """A database whose commits survive a power cut."""
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), connect_args={"check_same_thread": False})

    @sa.event.listens_for(engine, "connect")
    def _durable(connection: Any, _: object) -> None:  # noqa: ANN401  the driver's own connection
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA fullfsync=ON")  # macOS: else the drive's own cache can still lose it
        connection.execute("PRAGMA checkpoint_fullfsync=ON")

    return engine


def results_of(folder: Path, run: str) -> tuple[RunRecord, list[RowRecord]]:
    """A run and its rows as they stand now, in whichever journal of a folder it is; also while another process runs it.

    Raises:
        SettingInvalid: no journal there knows the run.
    """
    for path in sorted(folder.glob("*.sqlite")):
        engine = sa.create_engine(f"sqlite:///file:{quote(str(path))}?mode=ro&uri=true")
        try:
            with engine.connect() as connection:
                book = Journal(connection, reading=True)
                return book.run(run), book.rows(run)
        except (sa.exc.NoResultFound, sa.exc.DatabaseError):
            continue
        finally:
            engine.dispose()
    msg = f"No journal in {folder} knows the run {run!r}. A run's id stands in the column result_run of its results."
    raise SettingInvalid(msg)


class Journal:
    """A network's journal, open for writing. Not for several threads at once.

    Args:
        connection: to its database.
        reading: whether it is only looked at.
    """

    def __init__(self, connection: sa.Connection, *, reading: bool = False) -> None:
        self._connection = connection
        if not reading:
            with connection.begin():
                _METADATA.create_all(connection)

    def begin(self, plan: Plan, network: Network, *, now: float) -> str:
        """Record a run with all its rows and steps, in one transaction, before anything is sent.

        Returns:
            The run's id.
        """
        run = (REHEARSAL if network.made_up else "") + new_run_id(now)
        with self._connection.begin():
            self._connection.execute(sa.insert(_RUNS), _run_values(run, plan, network, now))
            self._insert(_STEPS, _step_values(run, plan))
            self._insert(_ROWS, _row_values(run, plan))
            self._insert(_BASELINES, _baseline_values(run, plan))
        return run

    def _insert(self, table: sa.Table, values: Sequence[Mapping[str, Any]]) -> None:
        if values:
            self._connection.execute(sa.insert(table), values)

    def apply(self, changes: Iterable[Change]) -> None:
        """Make changes durable, all in one commit.

        Raises:
            RunAborted: a step is not in the state that it must be in, so somebody else has touched the journal.
        """
        with self._connection.begin():
            for change in changes:
                self._apply(change)

    def _apply(self, change: Change) -> None:
        if change.after not in NEXT[change.before] | {change.before}:
            msg = f"A step cannot go from {change.before} to {change.after}."
            raise ValueError(msg)
        values: dict[str, Any] = {"state": change.after, **change.values}
        if change.before is State.PENDING:
            values["attempt"] = _STEPS.c.attempt + 1
        where = (_STEPS.c.run == change.run, _STEPS.c.step == change.step, _STEPS.c.state == change.before)
        if self._connection.execute(sa.update(_STEPS).where(*where).values(values)).rowcount != 1:
            msg = f"The journal of run {change.run} was changed by somebody else; nothing more is sent."
            raise RunAborted(msg)

    def end(self, run: str, state: RunState, *, now: float, note: str = "") -> None:
        """Record that a run has ended."""
        with self._connection.begin():
            values = {"state": state, "ended_at": now, "note": note}
            self._connection.execute(sa.update(_RUNS).where(_RUNS.c.run == run).values(values))

    def earlier(self, fingerprint: str) -> list[tuple[RunRecord, Mapping[State, int]]]:
        """Runs of the same content that may have bought something, oldest first, with their steps in each state."""
        query = (
            sa.select(_RUNS, _STEPS.c.state.label("step_state"), sa.func.count().label("count"))
            .join(_STEPS, _STEPS.c.run == _RUNS.c.run)
            .where(_RUNS.c.fingerprint == fingerprint)
            .group_by(_RUNS.c.run, _STEPS.c.state)
            .order_by(_RUNS.c.started_at)
        )
        found: dict[str, tuple[RunRecord, dict[State, int]]] = {}
        with self._connection.begin():
            for one in self._connection.execute(query).mappings():
                record = _run_record({name: one[name] for name in _RUNS.c.keys()})  # noqa: SIM118  columns, not a dict
                found.setdefault(record.run, (record, {}))[1][State(one["step_state"])] = one["count"]
        return [(record, counts) for record, counts in found.values() if set(counts) & _BOUGHT]

    def run(self, run: str) -> RunRecord:
        """What is known of a run."""
        with self._connection.begin():
            found = self._connection.execute(sa.select(_RUNS).where(_RUNS.c.run == run)).mappings().one()
        return _run_record(dict(found))

    def rows(self, run: str) -> list[RowRecord]:
        """The rows of a run's results, in the order of the sheet, as they stand now."""
        query = (
            sa.select(_ROWS, _STEPS)
            .set_label_style(sa.LABEL_STYLE_TABLENAME_PLUS_COL)
            .outerjoin_from(_ROWS, _STEPS, (_ROWS.c.run == _STEPS.c.run) & (_ROWS.c.step == _STEPS.c.step))
            .where(_ROWS.c.run == run)
            .order_by(_ROWS.c.position)
        )
        with self._connection.begin():
            return [_row_record(one) for one in self._connection.execute(query)]


def _run_values(run: str, plan: Plan, network: Network, now: float) -> dict[str, Any]:
    return {
        "run": run,
        "base_url": network.base_url,
        "network_id": network.network_id,
        "api_version": network.api_version,
        "resource": plan.resource,
        "source": plan.source,
        "fingerprint": plan.fingerprint,
        "headers": plan.headers,
        "state": RunState.RUNNING,
        "started_at": now,
    }


def _step_values(run: str, plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "run": run,
            "step": step.number,
            "action": step.action,
            "verb": step.verb,
            "path": step.path,
            "body": step.body,
            "own_id": step.own_id,
            "state": State.PENDING,
        }
        for step in plan.steps
    ]


def _row_values(run: str, plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "run": run,
            "position": position,
            "row": int(row.row),
            "cells": row.cells,
            "step": row.step,
            "outcome": row.outcome,
            "carried": row.carried,
            "error": row.error,
            "fix": row.fix,
        }
        for position, row in enumerate(plan.rows)
    ]


def _baseline_values(run: str, plan: Plan) -> list[dict[str, Any]]:
    return [
        {"run": run, "scope": json.dumps(scope), "numbers": observed.promo_numbers}
        for scope, observed in plan.observed.items()
    ]


def _run_record(one: Mapping[str, Any]) -> RunRecord:
    return RunRecord(**{**one, "headers": tuple(one["headers"]), "state": RunState(one["state"])})


def _row_record(one: sa.Row[Any]) -> RowRecord:
    planned = one.rows_outcome
    state = one.steps_state
    return RowRecord(
        row=one.rows_row,
        cells=tuple(one.rows_cells),
        outcome=Outcome(planned) if planned else outcome(state, one.steps_action),
        carried=one.rows_carried,
        error=one.rows_error or one.steps_error or "",
        fix=one.rows_fix or one.steps_fix or "",
        http_status=one.steps_http_status,
        attempts=one.steps_attempt or 0,
        ended_at=one.steps_ended_at,
        answer=one.steps_answer,
        step=one.rows_step,
        action=one.steps_action or "",
    )


def outcome(state: str, action: str) -> Outcome:
    """What a row comes to whose step stands in a state."""
    return DONE_OUTCOME[action] if state == State.DONE else ENDS_AS[State(state)]
