"""Reads and writes an open journal."""

from __future__ import annotations

import json
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

import sqlalchemy as sa

from invoca_bulk.config.network import Network
from invoca_bulk.config.settings import MAX_ATTEMPTS
from invoca_bulk.errors import StepConflictError
from invoca_bulk.journal import records
from invoca_bulk.journal.db_schema import BASELINES, RATE_LIMITERS, ROWS, RUNS, SAVED_RATES, STEPS
from invoca_bulk.journal.records import (
    RowRecord,
    RunMetadata,
    RunRecord,
    RunTotals,
    StatementKey,
    StepRecord,
    StepTransition,
)
from invoca_bulk.journal.shared_rate_limiter import SharedRateLimiter
from invoca_bulk.journal.states import MAY_HAVE_EFFECT_STATES, RunState, State, derive_outcome
from invoca_bulk.journal.takeover import resolve_purchases, take_over_steps
from invoca_bulk.planning import PlanData, PriorWrite, Purchase, Scope
from invoca_bulk.schema import ADVERTISERS, PROMO_NUMBERS, Action
from invoca_bulk.schema.outcomes import Outcome
from invoca_bulk.transport import RateLimiter

_T = TypeVar("_T")

#: Prefix of the ids of runs on a sandbox, so that sandbox numbers are never mistaken for real ones.
SANDBOX_RUN_PREFIX = "sandbox-"

#: Maximum number of values to look up in one query.
_QUERY_BATCH_SIZE = 500


def batched(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Lists of at most `size` items; `itertools.batched` needs Python 3.12."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _group_by_statement(transitions: Iterable[StepTransition]) -> Iterator[tuple[sa.Update, list[StepTransition]]]:
    """Group transitions by the statement that makes them, keeping the order of each step's transitions.

    One statement for many steps is much cheaper than many statements, and a batch has few kinds of transitions.
    """
    groups: list[tuple[StatementKey, list[StepTransition]]] = []
    last_group: dict[tuple[str, int], int] = {}  # step to the index of the group with its last transition
    for transition in _drop_overwritten(transitions):
        step = (transition.run, transition.step)
        candidates = range(last_group.get(step, 0), len(groups))
        index = next((index for index in candidates if groups[index][0] == transition.statement_key), len(groups))
        if index == len(groups):
            groups.append((transition.statement_key, []))
        groups[index][1].append(transition)
        last_group[step] = index
    return ((records.update_statement(key), group) for key, group in groups)


def _drop_overwritten(transitions: Iterable[StepTransition]) -> list[StepTransition]:
    """Drop changes of values only that a later transition of the same step overwrites, such as an earlier status."""
    reversed_needed: list[StepTransition] = []
    later_columns: dict[tuple[str, int], set[str]] = {}  # step to the columns that later transitions set
    for transition in reversed(list(transitions)):
        columns = later_columns.setdefault((transition.run, transition.step), set())
        if transition.from_state != transition.to_state or not columns.issuperset(transition.values):
            reversed_needed.append(transition)
        columns.update(transition.values)
    return reversed_needed[::-1]


def _insert(db: sa.Connection, table: sa.Table, values: Sequence[Mapping[str, Any]]) -> None:
    if values:
        db.execute(sa.insert(table), values)


class Journal:
    """A network's journal. Not thread-safe."""

    owner_id = ""  # of this writer, recorded on each step it sends; empty for a file, which has one writer at a time

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def now(self) -> float:
        """Seconds since the epoch, by the clock that all the journal's times come from."""
        return time.time()

    @property
    def is_lease_valid(self) -> bool:
        """Whether steps just recorded as sent may be sent: no other process can consider this one dead."""
        return True

    @property
    def is_stop_requested(self) -> bool:
        """Whether another process asked the run to stop."""
        return False

    def shared_rate_limiter(self, run: str, initial: RateLimiter) -> SharedRateLimiter | None:
        """The rate limiter that all processes of a run share; None: there is only one process."""
        del run, initial
        return None

    def _read(self, operation: Callable[[sa.Connection], _T]) -> _T:
        with self._connection.begin():
            return operation(self._connection)

    def _write(self, operation: Callable[[sa.Connection], object]) -> None:
        """Run an operation in one transaction."""
        with self._connection.begin():
            operation(self._connection)

    def start_run(
        self, plan: PlanData, network: Network, *, now: float, metadata: RunMetadata | None = None, run: str = ""
    ) -> str:
        """Record a run with all its rows and steps, in one transaction, before anything is sent; returns its id.

        Steps of earlier runs that it repeats are superseded (see `takeover`). `now`: seconds since the epoch.
        """
        run = run or self.generate_run_id(network, now)

        def record(db: sa.Connection) -> None:
            db.execute(sa.insert(RUNS), records.run_values(run, plan, network, metadata or RunMetadata(), now))
            _insert(db, STEPS, records.step_values(run, plan))
            _insert(db, ROWS, records.row_values(run, plan))
            _insert(db, BASELINES, records.baseline_values(run, plan))
            take_over_steps(db, run, plan)
            resolve_purchases(db, plan, now)

        self._write(record)
        return run

    @staticmethod
    def generate_run_id(network: Network, now: float) -> str:
        """An id that sorts by time (seconds since the epoch) and is easy to type: `20261122-164501-k3f9xy`."""
        prefix = SANDBOX_RUN_PREFIX if network.is_test_network else ""
        suffix = "".join(secrets.choice("abcdefghjkmnpqrstuvwxyz23456789") for _ in range(6))
        return f"{prefix}{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}-{suffix}"

    def recover_from_crash(self) -> None:
        """Mark sent steps of a dead process as in doubt, and its run as interrupted; for an exclusive owner only."""

        def recover(db: sa.Connection) -> None:
            db.execute(sa.update(STEPS).where(STEPS.c.state == State.SENT).values(state=State.IN_DOUBT))
            db.execute(sa.update(RUNS).where(RUNS.c.state == RunState.RUNNING).values(state=RunState.INTERRUPTED))

        self._write(recover)

    def resume_run(self, run: str, worker_options: Mapping[str, Any] | None = None) -> None:
        """Record that an interrupted run is running again; without worker options, this process runs it."""
        values = {"state": RunState.RUNNING, "ended_at": None, "note": "", "stopping": False, "workers": worker_options}

        def restart(db: sa.Connection) -> None:
            db.execute(sa.update(RUNS).where(RUNS.c.run == run).values(values))
            db.execute(sa.delete(RATE_LIMITERS).where(RATE_LIMITERS.c.run == run))  # it may have another rate now

        self._write(restart)

    def apply_transitions(self, transitions: Iterable[StepTransition]) -> None:
        """Make transitions durable, all in one commit.

        A `StepConflictError` means that a step is not in its `from_state`: another process changed the journal.
        """
        groups = list(_group_by_statement(transitions))

        def update(db: sa.Connection) -> None:
            for statement, group in groups:
                parameters = [transition.bind_parameters for transition in group]
                if db.execute(statement, parameters).rowcount != len(group):
                    run = group[0].run
                    raise StepConflictError(f"Another process changed the journal of run {run}; nothing more is sent.")

        self._write(update)

    def end_run(self, run: str, state: RunState, *, now: float, note: str = "") -> None:
        """Record that a run has ended, at `now` in seconds since the epoch; `note`: why it was aborted."""
        values = {"state": state, "ended_at": now, "note": note}
        self._write(lambda db: db.execute(sa.update(RUNS).where(RUNS.c.run == run).values(values)))

    def requeue_run(self, run: str, worker_options: Mapping[str, Any]) -> bool:
        """Assign a running run to workers again; returns whether that was possible."""
        is_active = (RUNS.c.run == run, RUNS.c.state == RunState.RUNNING, RUNS.c.workers.is_not(None))
        self._write(lambda db: db.execute(sa.update(RUNS).where(*is_active).values(workers=worker_options)))
        return self.run(run).worker_options == worker_options

    def request_stop(self, run: str, note: str) -> None:
        """Ask all processes of a run to stop; `note`: the reason."""
        is_active = (RUNS.c.run == run, RUNS.c.state == RunState.RUNNING, sa.not_(RUNS.c.stopping))
        self._write(lambda db: db.execute(sa.update(RUNS).where(*is_active).values(stopping=True, note=note)))

    def find_unfinished_run(self, fingerprint: str) -> RunRecord | None:
        """The latest run with the same content, if it can be resumed; None: there is none."""
        query = sa.select(RUNS).where(RUNS.c.fingerprint == fingerprint).order_by(RUNS.c.started_at.desc()).limit(1)
        row = self._read(lambda db: db.execute(query).mappings().one_or_none())
        record = records.to_run_record(dict(row)) if row else None
        return record if record and self.is_resumable(record) else None

    def is_resumable(self, record: RunRecord) -> bool:
        """Whether resuming a run would do anything."""
        # An object that was not found may have appeared since; in a finished run it is looked up only by its own id.
        unsent_states = {State.PENDING, State.ABSENT} if record.state is not RunState.FINISHED else set()
        is_open = STEPS.c.state.in_({State.SENT, State.IN_DOUBT} | unsent_states)
        has_own_id = sa.and_(STEPS.c.state == State.ABSENT, STEPS.c.own_id != "")
        conditions = (STEPS.c.run == record.run, STEPS.c.taken_by == "", is_open | has_own_id)
        query = sa.select(STEPS.c.step).where(*conditions).limit(1)
        return self._read(lambda db: db.execute(query).first() is not None)

    def purchases(self, collection_paths: Iterable[Sequence[str]]) -> list[Purchase]:
        """Purchases in collections that were or may have been made, oldest first; without numbers deleted since."""
        deleted_at = self._deletion_times()
        columns = [STEPS.c[name] for name in ("run", "step", "identity", "state", "action", "answer", "ended_at")]
        query = sa.select(*columns, RUNS.c.started_at).join(RUNS, STEPS.c.run == RUNS.c.run)
        query = query.where(STEPS.c.once, STEPS.c.state.in_(MAY_HAVE_EFFECT_STATES), STEPS.c.taken_by == "")
        steps: list[sa.RowMapping] = []
        for paths in batched(collection_paths, _QUERY_BATCH_SIZE):
            is_in_paths = sa.cast(STEPS.c.path, sa.String).in_([json.dumps(list(path)) for path in paths])
            steps += self._fetch_all(query.where(is_in_paths))
        steps.sort(key=lambda step: (step["started_at"], step["run"], step["step"]))
        identical_counts = self._count_identical({step["run"] for step in steps})
        purchases = []
        for step in steps:
            purchase = records.to_purchase(step, identical_counts[step["run"], step["identity"]])
            if not purchase.promo_number or deleted_at.get(purchase.promo_number, -1.0) < (step["ended_at"] or 0.0):
                purchases.append(purchase)
        return purchases

    def _count_identical(self, runs: Iterable[str]) -> dict[tuple[str, str], int]:
        """Run and identity to the number of equal purchases, whatever their states."""
        query = sa.select(STEPS.c.run, STEPS.c.identity, sa.func.count().label("count"))
        query = query.where(STEPS.c.once).group_by(STEPS.c.run, STEPS.c.identity)
        return {
            (row["run"], row["identity"]): row["count"]
            for batch in batched(runs, _QUERY_BATCH_SIZE)
            for row in self._fetch_all(query.where(STEPS.c.run.in_(batch)))
        }

    def _fetch_all(self, query: sa.Select[Any]) -> Sequence[sa.RowMapping]:
        return self._read(lambda db: db.execute(query).mappings().all())

    def _deletion_times(self) -> dict[str, float]:
        """Promo number to when a run of this journal last deleted it, in seconds since the epoch."""
        is_deletion = (STEPS.c.resource == PROMO_NUMBERS.name) & (STEPS.c.action == Action.DELETE)
        query = sa.select(STEPS.c.before, STEPS.c.ended_at).where(is_deletion, STEPS.c.state == State.DONE)
        query = query.order_by(STEPS.c.ended_at)
        return {str(row["before"]["promo_number"]): row["ended_at"] for row in self._fetch_all(query) if row["before"]}

    def done_writes(self, run: str) -> list[StepRecord]:
        """The steps of a run that created or updated an advertiser."""
        is_write = (STEPS.c.resource == ADVERTISERS.name, STEPS.c.body.is_not(None))
        return self._select_steps(STEPS.c.run == run, STEPS.c.state == State.DONE, *is_write)

    def last_writes(self, advertiser_ids: Iterable[str]) -> dict[str, PriorWrite]:
        """Advertiser id to the last of its creates and updates that was done."""
        is_done = (STEPS.c.resource == ADVERTISERS.name, STEPS.c.state == State.DONE, STEPS.c.body.is_not(None))
        query = sa.select(STEPS.c.own_id, STEPS.c.run, STEPS.c.body, STEPS.c.answer).where(*is_done)
        query = query.order_by(STEPS.c.ended_at)
        return {
            row["own_id"]: PriorWrite(run=row["run"], body=row["body"], answer=row["answer"])
            for batch in batched(advertiser_ids, _QUERY_BATCH_SIZE)
            for row in self._fetch_all(query.where(STEPS.c.own_id.in_(batch)))
        }

    def deletions(self) -> list[StepRecord]:
        """The steps of all runs that deleted an object."""
        return self._select_steps(STEPS.c.action == Action.DELETE, STEPS.c.state == State.DONE)

    def steps(self, run: str) -> list[StepRecord]:
        """All steps of a run."""
        return self._select_steps(STEPS.c.run == run)

    def steps_by_number(self, run: str, numbers: Iterable[int]) -> list[StepRecord]:
        """The steps of a run with these numbers, in order."""
        batches = batched(sorted(numbers), _QUERY_BATCH_SIZE)
        return [step for batch in batches for step in self._select_steps(STEPS.c.run == run, STEPS.c.step.in_(batch))]

    def runnable_steps(self, run: str) -> list[int]:
        """The numbers of the steps of a run that can be sent now: those of the first phase that has any.

        Empty while an idempotent step of an earlier phase is sent or in doubt.
        """
        required = STEPS.alias()
        is_requirement_done = sa.exists().where(
            required.c.run == run, required.c.step == STEPS.c.needs, required.c.state == State.DONE
        )
        # An idempotent step in doubt is sent again, until its attempts are used up.
        is_retryable = (STEPS.c.state == State.IN_DOUBT) & sa.not_(STEPS.c.once) & (STEPS.c.attempt < MAX_ATTEMPTS)
        is_unsent = (STEPS.c.run == run, (STEPS.c.state == State.PENDING) | is_retryable, STEPS.c.taken_by == "")
        query = sa.select(STEPS.c.phase, STEPS.c.step).where(*is_unsent, STEPS.c.needs.is_(None) | is_requirement_done)
        steps = self._fetch_all(query.order_by(STEPS.c.phase, STEPS.c.step))
        if not steps:
            return []
        phase = steps[0]["phase"]
        is_undecided = STEPS.c.state.in_([State.SENT, State.IN_DOUBT])
        is_earlier = (STEPS.c.run == run, STEPS.c.phase < phase, is_undecided, sa.not_(STEPS.c.once))
        has_earlier = bool(self._fetch_all(sa.select(STEPS.c.step).where(*is_earlier).limit(1)))
        return [] if has_earlier else [step["step"] for step in steps if step["phase"] == phase]

    def open_steps(self, run: str) -> list[int]:
        """The numbers of the steps of a run that have no final state."""
        final_states = (State.DONE, State.REJECTED, State.FAILED)
        query = sa.select(STEPS.c.step).where(STEPS.c.run == run, STEPS.c.state.not_in(final_states))
        return [step["step"] for step in self._fetch_all(query)]

    def count_steps(self, run: str, *states: State) -> int:
        """The number of steps of a run; all, or those in some states."""
        conditions = (STEPS.c.run == run, *([STEPS.c.state.in_(states)] if states else []))
        query = sa.select(sa.func.count()).select_from(STEPS).where(*conditions)
        return self._read(lambda db: db.execute(query).scalar_one())

    def borrowed_steps(self, run: str) -> frozenset[tuple[str, int]]:
        """Run and number of the steps of other runs that rows of this run refer to."""
        query = sa.select(ROWS.c.step_run, ROWS.c.step).where(ROWS.c.run == run, ROWS.c.step_run != run)
        return frozenset((row["step_run"], row["step"]) for row in self._fetch_all(query) if row["step"] is not None)

    def unresolved_purchases(self, state: State = State.IN_DOUBT) -> list[StepRecord]:
        """The purchases of all runs in a state, in doubt or not found, without superseded ones."""
        return self._select_steps(STEPS.c.once, STEPS.c.state == state, STEPS.c.taken_by == "")

    def _select_steps(self, *conditions: sa.ColumnElement[bool]) -> list[StepRecord]:
        query = sa.select(STEPS).where(*conditions).order_by(STEPS.c.run, STEPS.c.step)
        return self._read(lambda db: [records.to_step_record(row) for row in db.execute(query).mappings()])

    def baselines(self, run: str, scopes: Iterable[Scope] | None = None) -> dict[Scope, list[str]]:
        """Scope to its numbers when a run began; for all scopes, or for some."""
        query = sa.select(BASELINES.c.scope, BASELINES.c.numbers).where(BASELINES.c.run == run)
        if scopes is not None:
            query = query.where(BASELINES.c.scope.in_([json.dumps(scope) for scope in scopes]))
        return {tuple(json.loads(row["scope"])): row["numbers"] for row in self._fetch_all(query)}

    def known_numbers(self, since: float, runs: Iterable[str]) -> set[str]:
        """Promo numbers in responses to this journal's runs: created, updated or moved.

        Responses from before `since` (seconds since the epoch) count only for `runs`: the clock may have been set back
        while they ran.
        """
        is_included = (STEPS.c.ended_at >= since) | STEPS.c.run.in_(list(runs))
        conditions = (STEPS.c.resource == PROMO_NUMBERS.name, STEPS.c.state == State.DONE, is_included)
        query = sa.select(STEPS.c.answer).where(*conditions)
        answers = self._read(lambda db: db.execute(query).scalars().all())
        return {
            str(answer["promo_number"]) for answer in answers if isinstance(answer, dict) and answer.get("promo_number")
        }

    def save_rate(self, rate: float, *, now: float) -> None:
        """Save the rate that the network accepts, in requests per second; `now`: seconds since the epoch."""

        def replace_rate(db: sa.Connection) -> None:
            db.execute(sa.delete(SAVED_RATES))
            db.execute(sa.insert(SAVED_RATES).values(rate=rate, at=now))

        self._write(replace_rate)

    def saved_rate(self) -> float | None:
        """The rate that the network accepts, in requests per second; None: it never rejected a request."""
        return self._read(lambda db: db.execute(sa.select(SAVED_RATES.c.rate)).scalar_one_or_none())

    def outcome_totals(self, run: str | None = None) -> dict[str, RunTotals]:
        """Run to its totals; for one run, or for all."""
        is_earlier = ROWS.c.carried | sa.func.coalesce(ROWS.c.step_run != ROWS.c.run, sa.false())
        columns = (ROWS.c.outcome, ROWS.c.action, STEPS.c.state, STEPS.c.action.label("step_action"))
        on = (ROWS.c.step_run == STEPS.c.run) & (ROWS.c.step == STEPS.c.step)
        counted = (is_earlier.label("earlier"), sa.func.count().label("rows"))
        query = sa.select(ROWS.c.run, *columns, *counted).outerjoin_from(ROWS, STEPS, on)
        query = query.where(ROWS.c.run == run) if run else query
        totals: dict[str, RunTotals] = defaultdict(RunTotals)
        for group in self._fetch_all(query.group_by(ROWS.c.run, *columns, is_earlier)):
            action = group["action"] or group["step_action"]
            outcome = Outcome(group["outcome"]) if group["outcome"] else derive_outcome(group["state"], action)
            run_totals = totals[group["run"]]
            (run_totals.earlier if group["earlier"] else run_totals.own)[outcome] += group["rows"]
        return totals

    def undone_runs(self) -> dict[str, str]:
        """Each run that was undone to the latest run that has undone it and has not been undone itself."""
        done = sa.exists().where(STEPS.c.run == RUNS.c.run, STEPS.c.state == State.DONE)
        is_undo = RUNS.c.source.startswith(records.undo_source_name(""), autoescape=True)
        query = sa.select(RUNS.c.run, RUNS.c.source).where(is_undo, done)
        undone: dict[str, str] = {}
        for row in self._fetch_all(query.order_by(RUNS.c.started_at.desc())):  # an undo is older than its own undo
            if row["run"] not in undone:
                undone.setdefault(records.undone_run_id(row["source"]), row["run"])
        return undone

    def network_ids(self, base_url: str) -> set[str]:
        """The network ids of the runs at a base URL."""
        query = sa.select(RUNS.c.network_id).where(RUNS.c.base_url == base_url).distinct()
        return {row["network_id"] for row in self._fetch_all(query)}

    def runs(self) -> list[RunRecord]:
        """All runs, oldest first."""
        query = sa.select(RUNS).order_by(RUNS.c.started_at)
        return [records.to_run_record(dict(row)) for row in self._fetch_all(query)]

    def run(self, run: str) -> RunRecord:
        """A run by its id; SQLAlchemy's `NoResultFound` if the journal does not have it."""
        query = sa.select(RUNS).where(RUNS.c.run == run)
        return records.to_run_record(dict(self._read(lambda db: db.execute(query).mappings().one())))

    def row_positions(self, run: str) -> dict[int, list[int]]:
        """Step of a run to the positions of its rows."""
        query = sa.select(ROWS.c.step, ROWS.c.position).where(ROWS.c.run == run, ROWS.c.step_run == run)
        positions: dict[int, list[int]] = defaultdict(list)
        for row in self._fetch_all(query.order_by(ROWS.c.position)):
            positions[row["step"]].append(row["position"])
        return positions

    def row_cells(self, run: str, positions: Iterable[int]) -> list[tuple[int, list[str]]]:
        """Sheet and cells of some rows of a run."""
        query = sa.select(ROWS.c.sheet, ROWS.c.cells).where(ROWS.c.run == run)
        return [
            (row["sheet"], row["cells"])
            for batch in batched(positions, _QUERY_BATCH_SIZE)
            for row in self._fetch_all(query.where(ROWS.c.position.in_(batch)).order_by(ROWS.c.position))
        ]

    def rows(self, run: str) -> list[RowRecord]:
        """The rows of a run's results, in the order of the sheet, with their current outcomes."""
        query = (
            sa.select(ROWS, STEPS)
            .set_label_style(sa.LABEL_STYLE_TABLENAME_PLUS_COL)
            .outerjoin_from(ROWS, STEPS, (ROWS.c.step_run == STEPS.c.run) & (ROWS.c.step == STEPS.c.step))
            .where(ROWS.c.run == run)
            .order_by(ROWS.c.position)
        )
        return self._read(lambda db: [records.to_row_record(row) for row in db.execute(query)])
