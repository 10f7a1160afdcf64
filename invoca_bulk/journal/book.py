"""Reading and writing a journal that is open."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from invoca_bulk.errors import RunAborted
from invoca_bulk.journal import records
from invoca_bulk.journal.states import BOUGHT, NEXT, State
from invoca_bulk.journal.tables import BASELINES, ROWS, RUNS, STEPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from invoca_bulk.journal.records import Change, RowRecord, RunRecord
    from invoca_bulk.journal.states import RunState
    from invoca_bulk.planning import Plan
    from invoca_bulk.settings import Network

#: Begins the ids of runs on a sandbox, so that made-up numbers are never taken for real ones.
REHEARSAL = "sandbox-"


def new_run_id(now: float) -> str:
    """An id that sorts by time and can be typed: `20261122-164501-k3f9xy`."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    return f"{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}-" + "".join(secrets.choice(letters) for _ in range(6))


class Journal:
    """A network's journal. Not for several threads at once.

    Args:
        connection: to its database, whose tables are there.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def begin(self, plan: Plan, network: Network, *, now: float) -> str:
        """Record a run with all its rows and steps, in one transaction, before anything is sent.

        Returns:
            The run's id.
        """
        run = (REHEARSAL if network.made_up else "") + new_run_id(now)
        with self._connection.begin():
            self._connection.execute(sa.insert(RUNS), records.run_values(run, plan, network, now))
            self._insert(STEPS, records.step_values(run, plan))
            self._insert(ROWS, records.row_values(run, plan))
            self._insert(BASELINES, records.baseline_values(run, plan))
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
        if (change.before, change.after) == (State.PENDING, State.SENT):
            values.setdefault("attempt", STEPS.c.attempt + 1)
        where = (STEPS.c.run == change.run, STEPS.c.step == change.step, STEPS.c.state == change.before)
        if self._connection.execute(sa.update(STEPS).where(*where).values(values)).rowcount != 1:
            msg = f"The journal of run {change.run} was changed by somebody else; nothing more is sent."
            raise RunAborted(msg)

    def end(self, run: str, state: RunState, *, now: float, note: str = "") -> None:
        """Record that a run has ended."""
        with self._connection.begin():
            values = {"state": state, "ended_at": now, "note": note}
            self._connection.execute(sa.update(RUNS).where(RUNS.c.run == run).values(values))

    def earlier(self, fingerprint: str) -> list[tuple[RunRecord, Mapping[State, int]]]:
        """Runs of the same content that may have bought something, oldest first.

        Returns:
            Each with its steps in each state. Steps that may be repeated are not counted: doing them twice is harmless.
        """
        query = (
            sa.select(RUNS, STEPS.c.state.label("step_state"), sa.func.count().label("count"))
            .join(STEPS, STEPS.c.run == RUNS.c.run)
            .where(RUNS.c.fingerprint == fingerprint, STEPS.c.once)
            .group_by(RUNS.c.run, STEPS.c.state)
            .order_by(RUNS.c.started_at)
        )
        found: dict[str, tuple[RunRecord, dict[State, int]]] = {}
        with self._connection.begin():
            for one in self._connection.execute(query).mappings():
                record = records.run_record({name: one[name] for name in RUNS.c.keys()})  # noqa: SIM118  columns
                found.setdefault(record.run, (record, {}))[1][State(one["step_state"])] = one["count"]
        return [(record, counts) for record, counts in found.values() if set(counts) & BOUGHT]

    def run(self, run: str) -> RunRecord:
        """What is known of a run."""
        with self._connection.begin():
            found = self._connection.execute(sa.select(RUNS).where(RUNS.c.run == run)).mappings().one()
        return records.run_record(dict(found))

    def rows(self, run: str) -> list[RowRecord]:
        """The rows of a run's results, in the order of the sheet, as they stand now."""
        query = (
            sa.select(ROWS, STEPS)
            .set_label_style(sa.LABEL_STYLE_TABLENAME_PLUS_COL)
            .outerjoin_from(ROWS, STEPS, (ROWS.c.run == STEPS.c.run) & (ROWS.c.step == STEPS.c.step))
            .where(ROWS.c.run == run)
            .order_by(ROWS.c.position)
        )
        with self._connection.begin():
            return [records.row_record(one) for one in self._connection.execute(query)]
