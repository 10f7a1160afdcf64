"""Reading and writing a journal that is open."""

from __future__ import annotations

import json
import secrets
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

from invoca_bulk.config.settings import MAX_ATTEMPTS
from invoca_bulk.errors import StepConflictError
from invoca_bulk.journal import records
from invoca_bulk.journal.db_schema import BASELINES, RATE_LIMITERS, ROWS, RUNS, SAVED_RATES, STEPS
from invoca_bulk.journal.records import RunMetadata
from invoca_bulk.journal.states import MAY_HAVE_EFFECT_STATES, RunState, State, derive_outcome
from invoca_bulk.journal.takeover import resolve_purchases, take_over_steps
from invoca_bulk.schema import PROMO_NUMBERS, Action
from invoca_bulk.schema.result_columns import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from invoca_bulk.config.settings import Network
    from invoca_bulk.journal.records import RowRecord, RunRecord, StatementKey, StepRecord, StepTransition
    from invoca_bulk.journal.shared_rate_limiter import SharedRateLimiter
    from invoca_bulk.planning import PlanData, Purchase, Scope
    from invoca_bulk.transport import RateLimiter

_T = TypeVar("_T")

#: Begins the ids of runs on a sandbox, so that made-up numbers are never taken for real ones.
SANDBOX_RUN_PREFIX = "sandbox-"

#: So many addresses in one query.
_QUERY_BATCH_SIZE = 500


def batched(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Lists of at most so many items (`itertools.batched` comes with Python 3.12)."""
    left = iter(items)
    while some := list(islice(left, size)):
        yield some


def new_run_id(now: float) -> str:
    """An id that sorts by time and can be typed: `20261122-164501-k3f9xy`."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    return f"{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}-" + "".join(secrets.choice(letters) for _ in range(6))


def _group_by_statement(transitions: Iterable[StepTransition]) -> Iterator[tuple[sa.Update, list[StepTransition]]]:
    """Changes by the statement that makes them, those of each step in their order.

    One statement for many steps costs a fraction of many statements; and a batch has few kinds of changes.
    """
    groups: list[tuple[StatementKey, list[StepTransition]]] = []
    last: dict[tuple[str, int], int] = {}  # step to the group of its last change
    for change in _drop_overwritten(transitions):
        step = (change.run, change.step)
        found = (at for at in range(last.get(step, 0), len(groups)) if groups[at][0] == change.statement_key)
        last[step] = next(found, len(groups))
        if last[step] == len(groups):
            groups.append((change.statement_key, []))
        groups[last[step]][1].append(change)
    return ((records.update_statement(kind), alike) for kind, alike in groups)


def _drop_overwritten(transitions: Iterable[StepTransition]) -> list[StepTransition]:
    """Without the notes that a later change of the same commit sets anew: a status, before the outcome that has it."""
    needed: list[StepTransition] = []
    later: dict[tuple[str, int], set[str]] = {}  # step to the columns that are set after this change
    for change in reversed(list(transitions)):
        set_later = later.setdefault((change.run, change.step), set())
        if change.from_state != change.to_state or not set_later.issuperset(change.values):
            needed.append(change)
        set_later.update(change.values)
    return needed[::-1]


def _insert(db: sa.Connection, table: sa.Table, values: Sequence[Mapping[str, Any]]) -> None:
    if values:
        db.execute(sa.insert(table), values)


class Journal:
    """A network's journal. Not for several threads at once.

    Args:
        connection: to its database, whose tables are there.

    Attributes:
        owner_id: who writes here, named on each step that is sent; empty: a file, which has one writer at a time.
    """

    owner_id = ""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def now(self) -> float:
        """Seconds since the epoch, by the clock that all its times are from."""
        return time.time()

    @property
    def is_lease_valid(self) -> bool:
        """Whether what was made durable just now may be sent: nobody else can take it for that of a dead process."""
        return True

    @property
    def is_stop_requested(self) -> bool:
        """Whether somebody elsewhere wants the run to stop."""
        return False

    def shared_rate_limiter(self, run: str, initial: RateLimiter) -> SharedRateLimiter | None:
        """The rate finder that all processes at a run share; None: there is one process only."""
        del run, initial
        return None

    def _read(self, operation: Callable[[sa.Connection], _T]) -> _T:
        with self._connection.begin():
            return operation(self._connection)

    def _write(self, operation: Callable[[sa.Connection], object]) -> None:
        """Do something in one transaction, all of it or nothing."""
        with self._connection.begin():
            operation(self._connection)

    def start_run(
        self,
        plan: PlanData,
        network: Network,
        *,
        now: float,
        metadata: RunMetadata | None = None,
        run: str | None = None,
    ) -> str:
        """Record a run with all its rows and steps, in one transaction, before anything is sent.

        What it does instead of earlier runs is no longer theirs to do.

        Args:
            plan: what to do.
            network: on which network.
            now: seconds since the epoch.
            metadata: what else to record.
            run: the id that it is to have; None: a new one.

        Returns:
            The run's id.
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
        """An id for a run on a network; that of a rehearsal says so."""
        return (SANDBOX_RUN_PREFIX if network.is_test_network else "") + new_run_id(now)

    def recover_from_crash(self) -> None:
        """What a dead process had sent is in doubt, and its run was interrupted; the caller is the only owner."""

        def doubt(db: sa.Connection) -> None:
            db.execute(sa.update(STEPS).where(STEPS.c.state == State.SENT).values(state=State.IN_DOUBT))
            running = sa.update(RUNS).where(RUNS.c.state == RunState.RUNNING)
            db.execute(running.values(state=RunState.INTERRUPTED))

        self._write(doubt)

    def resume_run(self, run: str, worker_options: Mapping[str, Any] | None = None) -> None:
        """Record that a run that was interrupted goes on.

        Args:
            run: the run.
            worker_options: how workers are to do it; None: this process does it.
        """
        values = {"state": RunState.RUNNING, "ended_at": None, "note": "", "stopping": False, "workers": worker_options}

        def begin_anew(db: sa.Connection) -> None:
            db.execute(sa.update(RUNS).where(RUNS.c.run == run).values(values))
            db.execute(
                sa.delete(RATE_LIMITERS).where(RATE_LIMITERS.c.run == run)
            )  # what it may take now is another rate

        self._write(begin_anew)

    def _update_run(self, run: str, **values: object) -> None:
        self._write(lambda db: db.execute(sa.update(RUNS).where(RUNS.c.run == run).values(values)))

    def apply_transitions(self, transitions: Iterable[StepTransition]) -> None:
        """Make changes durable, all in one commit.

        Raises:
            StepConflictError: a step is not in the state that it must be in, so somebody else has touched the journal.
        """
        groups = list(_group_by_statement(transitions))

        def make(db: sa.Connection) -> None:
            for statement, alike in groups:
                if db.execute(statement, [one.bind_parameters for one in alike]).rowcount != len(alike):
                    msg = f"The journal of run {alike[0].run} was changed by somebody else; nothing more is sent."
                    raise StepConflictError(msg)

        self._write(make)

    def end_run(self, run: str, state: RunState, *, now: float, note: str = "") -> None:
        """Record that a run has ended."""
        self._update_run(run, state=state, ended_at=now, note=note)

    def requeue_run(self, run: str, worker_options: Mapping[str, Any]) -> bool:
        """Record that workers are to do a run once more, if it is still to be done; whether it is."""
        its = (RUNS.c.run == run, RUNS.c.state == RunState.RUNNING, RUNS.c.workers.is_not(None))
        self._write(lambda db: db.execute(sa.update(RUNS).where(*its).values(workers=worker_options)))
        return self.run(run).worker_options == worker_options

    def request_stop(self, run: str, note: str) -> None:
        """Have all processes at a run stop, for a reason."""
        its = (RUNS.c.run == run, RUNS.c.state == RunState.RUNNING, sa.not_(RUNS.c.stopping))
        self._write(lambda db: db.execute(sa.update(RUNS).where(*its).values(stopping=True, note=note)))

    def find_unfinished_run(self, fingerprint: str) -> RunRecord | None:
        """The latest run of the same content, if it was interrupted or left something in doubt; None: there is none."""
        query = sa.select(RUNS).where(RUNS.c.fingerprint == fingerprint).order_by(RUNS.c.started_at.desc()).limit(1)
        found = self._read(lambda db: db.execute(query).mappings().one_or_none())
        record = records.to_run_record(dict(found)) if found else None
        return record if record and self.is_resumable(record) else None

    def is_resumable(self, record: RunRecord) -> bool:
        """Whether something is left of a run that resuming it would do."""
        # One that was not found may have come since; in a finished run nothing but its own id makes it worth a look.
        unsent = {State.PENDING, State.ABSENT} if record.state is not RunState.FINISHED else set()
        left = STEPS.c.state.in_({State.SENT, State.IN_DOUBT} | unsent)
        named = sa.and_(STEPS.c.state == State.ABSENT, STEPS.c.own_id != "")
        where = (STEPS.c.run == record.run, STEPS.c.taken_by == "", left | named)
        return self._read(lambda db: db.execute(sa.select(STEPS.c.step).where(*where).limit(1)).first() is not None)

    def purchases(self, collection_paths: Iterable[Sequence[str]]) -> list[Purchase]:
        """What has, or may have, been bought at these addresses, the oldest first; not what was deleted since.

        Args:
            collection_paths: path parts of collections.
        """
        deleted = self._deletion_times()
        columns = [STEPS.c[name] for name in ("run", "step", "identity", "state", "action", "answer", "ended_at")]
        query = sa.select(*columns, RUNS.c.started_at).join(RUNS, STEPS.c.run == RUNS.c.run)
        query = query.where(STEPS.c.once, STEPS.c.state.in_(MAY_HAVE_EFFECT_STATES), STEPS.c.taken_by == "")
        found: list[sa.RowMapping] = []
        for some in batched(collection_paths, _QUERY_BATCH_SIZE):
            where = sa.cast(STEPS.c.path, sa.String).in_([json.dumps(list(one)) for one in some])
            found += self._fetch_all(query.where(where))
        found.sort(key=lambda one: (one["started_at"], one["run"], one["step"]))
        alike = self._count_identical({one["run"] for one in found})
        pairs = (
            (records.to_purchase(one, alike[one["run"], one["identity"]]), one["ended_at"] or 0.0) for one in found
        )
        return [
            purchase
            for purchase, at in pairs
            if not purchase.promo_number or deleted.get(purchase.promo_number, -1.0) < at
        ]

    def _count_identical(self, runs: Iterable[str]) -> dict[tuple[str, str], int]:
        """Run and identity to how many equal purchases it has, whatever became of them."""
        query = sa.select(STEPS.c.run, STEPS.c.identity, sa.func.count().label("count"))
        query = query.where(STEPS.c.once).group_by(STEPS.c.run, STEPS.c.identity)
        found = [
            one
            for some in batched(runs, _QUERY_BATCH_SIZE)
            for one in self._fetch_all(query.where(STEPS.c.run.in_(some)))
        ]
        return {(one["run"], one["identity"]): one["count"] for one in found}

    def _fetch_all(self, query: sa.Select[Any]) -> Sequence[sa.RowMapping]:
        return self._read(lambda db: db.execute(query).mappings().all())

    def _deletion_times(self) -> dict[str, float]:
        """Promo number to when a run of this journal deleted it last."""
        where = (STEPS.c.resource == PROMO_NUMBERS.name, STEPS.c.action == Action.DELETE, STEPS.c.state == State.DONE)
        query = sa.select(STEPS.c.before, STEPS.c.ended_at).where(*where).order_by(STEPS.c.ended_at)
        return {str(one["before"]["promo_number"]): one["ended_at"] for one in self._fetch_all(query) if one["before"]}

    def steps(self, run: str, state: State | None = None) -> list[StepRecord]:
        """The steps of a run, as they stand now; all, or those in one state."""
        return self._select_steps(STEPS.c.run == run, *([STEPS.c.state == state] if state else []))

    def steps_by_number(self, run: str, numbers: Iterable[int]) -> list[StepRecord]:
        """Some steps of a run, by their numbers, as they stand now."""
        some = batched(sorted(numbers), _QUERY_BATCH_SIZE)
        return [one for these in some for one in self._select_steps(STEPS.c.run == run, STEPS.c.step.in_(these))]

    def runnable_steps(self, run: str) -> list[int]:
        """The steps of a run that can be sent now, by their numbers: those of the first phase that has some.

        None, as long as a step of an earlier phase is under way, or in doubt though it may be repeated.
        """
        needed = STEPS.alias()
        done = sa.exists().where(needed.c.run == run, needed.c.step == STEPS.c.needs, needed.c.state == State.DONE)
        # What may be repeated is sent again while it is in doubt; one that was tried often enough is left to the end.
        again = (STEPS.c.state == State.IN_DOUBT) & sa.not_(STEPS.c.once) & (STEPS.c.attempt < MAX_ATTEMPTS)
        free = (STEPS.c.run == run, (STEPS.c.state == State.PENDING) | again, STEPS.c.taken_by == "")
        query = sa.select(STEPS.c.phase, STEPS.c.step).where(*free, STEPS.c.needs.is_(None) | done)
        found = self._fetch_all(query.order_by(STEPS.c.phase, STEPS.c.step))
        if not found:
            return []
        first = found[0]["phase"]
        unclear = STEPS.c.state.in_([State.SENT, State.IN_DOUBT])
        earlier = (STEPS.c.run == run, STEPS.c.phase < first, unclear, sa.not_(STEPS.c.once))
        is_held = bool(self._fetch_all(sa.select(STEPS.c.step).where(*earlier).limit(1)))
        return [] if is_held else [one["step"] for one in found if one["phase"] == first]

    def open_steps(self, run: str) -> list[int]:
        """The steps of a run that have not come to their end, by their numbers."""
        ended = (State.DONE, State.REJECTED, State.FAILED)
        query = sa.select(STEPS.c.step).where(STEPS.c.run == run, STEPS.c.state.not_in(ended))
        return [one["step"] for one in self._fetch_all(query)]

    def count_steps(self, run: str, *states: State) -> int:
        """How many steps a run has; all, or those in some states."""
        where = (STEPS.c.run == run, *([STEPS.c.state.in_(states)] if states else []))
        return self._read(
            lambda db: db.execute(sa.select(sa.func.count()).select_from(STEPS).where(*where)).scalar_one()
        )

    def borrowed_steps(self, run: str) -> frozenset[tuple[str, int]]:
        """Run and number of the steps of other runs that rows of this one stand for."""
        query = sa.select(ROWS.c.step_run, ROWS.c.step).where(ROWS.c.run == run, ROWS.c.step_run != run)
        return frozenset((one["step_run"], one["step"]) for one in self._fetch_all(query) if one["step"] is not None)

    def unresolved_purchases(self, state: State = State.IN_DOUBT) -> list[StepRecord]:
        """The purchases in doubt, or not found, of all runs; not those that a later run has taken."""
        return self._select_steps(STEPS.c.once, STEPS.c.state == state, STEPS.c.taken_by == "")

    def _select_steps(self, *where: sa.ColumnElement[bool]) -> list[StepRecord]:
        query = sa.select(STEPS).where(*where).order_by(STEPS.c.run, STEPS.c.step)
        return self._read(lambda db: [records.to_step_record(one) for one in db.execute(query).mappings()])

    def baselines(self, run: str, scopes: Iterable[Scope] | None = None) -> dict[Scope, list[str]]:
        """The numbers that each scope had when a run began; of all scopes, or of some."""
        query = sa.select(BASELINES.c.scope, BASELINES.c.numbers).where(BASELINES.c.run == run)
        if scopes is not None:
            query = query.where(BASELINES.c.scope.in_([json.dumps(scope) for scope in scopes]))
        return {tuple(json.loads(one["scope"])): one["numbers"] for one in self._fetch_all(query)}

    def known_numbers(self, since: float, runs: Iterable[str]) -> set[str]:
        """The promo numbers that answers have named: created, changed or moved by this journal's runs.

        Args:
            since: of all runs, the answers since then.
            runs: of these, all answers: the clock may have been set back while they ran.
        """
        lately = (STEPS.c.ended_at >= since) | STEPS.c.run.in_(list(runs))
        where = (STEPS.c.resource == PROMO_NUMBERS.name, STEPS.c.state == State.DONE, lately)

        def numbers(db: sa.Connection) -> set[str]:
            answers = db.execute(sa.select(STEPS.c.answer).where(*where)).scalars()
            return {str(one["promo_number"]) for one in answers if isinstance(one, dict) and one.get("promo_number")}

        return self._read(numbers)

    def save_rate(self, rate: float, *, now: float) -> None:
        """Remember the rate that the network takes."""

        def remember(db: sa.Connection) -> None:
            db.execute(sa.delete(SAVED_RATES))
            db.execute(sa.insert(SAVED_RATES).values(rate=rate, at=now))

        self._write(remember)

    def saved_rate(self) -> float | None:
        """The rate that the network took, in requests a second; None: it never refused any."""
        return self._read(lambda db: db.execute(sa.select(SAVED_RATES.c.rate)).scalar_one_or_none())

    def outcome_totals(self, run: str | None = None) -> dict[str, Counter[Outcome]]:
        """Run to outcome to number of rows; of one run, or of all."""
        asked = (ROWS.c.outcome, ROWS.c.action, STEPS.c.state, STEPS.c.action.label("done"))
        on = (ROWS.c.step_run == STEPS.c.run) & (ROWS.c.step == STEPS.c.step)
        query = sa.select(ROWS.c.run, *asked, sa.func.count().label("rows")).outerjoin_from(ROWS, STEPS, on)
        query = query.where(ROWS.c.run == run) if run else query
        found: dict[str, Counter[Outcome]] = defaultdict(Counter)
        for one in self._fetch_all(query.group_by(ROWS.c.run, *asked)):
            planned = one["outcome"]
            known = Outcome(planned) if planned else derive_outcome(one["state"], one["action"] or one["done"])
            found[one["run"]][known] += one["rows"]
        return found

    def runs(self) -> list[RunRecord]:
        """All runs, the oldest first."""
        return [
            records.to_run_record(dict(one)) for one in self._fetch_all(sa.select(RUNS).order_by(RUNS.c.started_at))
        ]

    def run(self, run: str) -> RunRecord:
        """What is known of a run."""
        query = sa.select(RUNS).where(RUNS.c.run == run)
        return records.to_run_record(dict(self._read(lambda db: db.execute(query).mappings().one())))

    def rows(self, run: str) -> list[RowRecord]:
        """The rows of a run's results, in the order of the sheet, as they stand now."""
        query = (
            sa.select(ROWS, STEPS)
            .set_label_style(sa.LABEL_STYLE_TABLENAME_PLUS_COL)
            .outerjoin_from(ROWS, STEPS, (ROWS.c.step_run == STEPS.c.run) & (ROWS.c.step == STEPS.c.step))
            .where(ROWS.c.run == run)
            .order_by(ROWS.c.position)
        )
        return self._read(lambda db: [records.to_row_record(one) for one in db.execute(query)])
