"""Reading and writing a journal that is open."""

from __future__ import annotations

import json
import secrets
from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

from invoca_bulk.errors import RunAborted
from invoca_bulk.journal import records
from invoca_bulk.journal.handing_over import close, hand_over
from invoca_bulk.journal.records import Start
from invoca_bulk.journal.states import BOUGHT, RunState, State, outcome
from invoca_bulk.journal.tables import BASELINES, LEARNED, ROWS, RUNS, STEPS
from invoca_bulk.schema import PROMO_NUMBERS, Action
from invoca_bulk.schema.outputs import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from invoca_bulk.journal.records import Change, Kind, RowRecord, RunRecord, StepRecord
    from invoca_bulk.planning import Plan, Purchase, Scope
    from invoca_bulk.settings import Network

_T = TypeVar("_T")

#: Begins the ids of runs on a sandbox, so that made-up numbers are never taken for real ones.
REHEARSAL = "sandbox-"

#: So many addresses in one query.
_AT_ONCE = 500


def batched(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Lists of at most so many items (`itertools.batched` comes with Python 3.12)."""
    left = iter(items)
    while some := list(islice(left, size)):
        yield some


def new_run_id(now: float) -> str:
    """An id that sorts by time and can be typed: `20261122-164501-k3f9xy`."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    return f"{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}-" + "".join(secrets.choice(letters) for _ in range(6))


def _alike(changes: Iterable[Change]) -> Iterator[tuple[sa.Update, list[Change]]]:
    """Changes by the statement that makes them, those of each step in their order.

    One statement for many steps costs a fraction of many statements; and a batch has few kinds of changes.
    """
    groups: list[tuple[Kind, list[Change]]] = []
    last: dict[tuple[str, int], int] = {}  # step to the group of its last change
    for change in _needed(changes):
        step = (change.run, change.step)
        found = (at for at in range(last.get(step, 0), len(groups)) if groups[at][0] == change.kind)
        last[step] = next(found, len(groups))
        if last[step] == len(groups):
            groups.append((change.kind, []))
        groups[last[step]][1].append(change)
    return ((records.update_of(kind), alike) for kind, alike in groups)


def _needed(changes: Iterable[Change]) -> list[Change]:
    """Without the notes that a later change of the same commit sets anew: a status, before the outcome that has it."""
    needed: list[Change] = []
    later: dict[tuple[str, int], set[str]] = {}  # step to the columns that are set after this change
    for change in reversed(list(changes)):
        set_later = later.setdefault((change.run, change.step), set())
        if change.before != change.after or not set_later.issuperset(change.values):
            needed.append(change)
        set_later.update(change.values)
    return needed[::-1]


class Journal:
    """A network's journal. Not for several threads at once.

    Args:
        connection: to its database, whose tables are there.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def begin(
        self, plan: Plan, network: Network, *, now: float, start: Start | None = None, run: str | None = None
    ) -> str:
        """Record a run with all its rows and steps, in one transaction, before anything is sent.

        What it does instead of earlier runs is no longer theirs to do.

        Args:
            plan: what to do.
            network: on which network.
            now: seconds since the epoch.
            start: what else to record.
            run: the id that it is to have; None: a new one.

        Returns:
            The run's id.
        """
        run = run or self.new_id(network, now)
        with self._connection.begin():
            self._connection.execute(sa.insert(RUNS), records.run_values(run, plan, network, start or Start(), now))
            self._insert(STEPS, records.step_values(run, plan))
            self._insert(ROWS, records.row_values(run, plan))
            self._insert(BASELINES, records.baseline_values(run, plan))
            hand_over(self._connection, run, plan)
            close(self._connection, plan, now)
        return run

    @staticmethod
    def new_id(network: Network, now: float) -> str:
        """An id for a run on a network; that of a rehearsal says so."""
        return (REHEARSAL if network.made_up else "") + new_run_id(now)

    def take_over(self) -> None:
        """What a dead process had sent is in doubt, and its run was interrupted; the caller is the only owner."""
        with self._connection.begin():
            sent = sa.update(STEPS).where(STEPS.c.state == State.SENT)
            self._connection.execute(sent.values(state=State.IN_DOUBT))
            running = sa.update(RUNS).where(RUNS.c.state == RunState.RUNNING)
            self._connection.execute(running.values(state=RunState.INTERRUPTED))

    def go_on(self, run: str) -> None:
        """Record that a run that was interrupted goes on."""
        with self._connection.begin():
            values = {"state": RunState.RUNNING, "ended_at": None, "note": ""}
            self._connection.execute(sa.update(RUNS).where(RUNS.c.run == run).values(values))

    def _insert(self, table: sa.Table, values: Sequence[Mapping[str, Any]]) -> None:
        if values:
            self._connection.execute(sa.insert(table), values)

    def apply(self, changes: Iterable[Change]) -> None:
        """Make changes durable, all in one commit.

        Raises:
            RunAborted: a step is not in the state that it must be in, so somebody else has touched the journal.
        """
        with self._connection.begin():
            for statement, alike in _alike(changes):
                if self._connection.execute(statement, [one.parameters for one in alike]).rowcount != len(alike):
                    msg = f"The journal of run {alike[0].run} was changed by somebody else; nothing more is sent."
                    raise RunAborted(msg)

    def end(self, run: str, state: RunState, *, now: float, note: str = "") -> None:
        """Record that a run has ended."""
        with self._connection.begin():
            values = {"state": state, "ended_at": now, "note": note}
            self._connection.execute(sa.update(RUNS).where(RUNS.c.run == run).values(values))

    def unfinished(self, fingerprint: str) -> RunRecord | None:
        """The latest run of the same content, if it was interrupted or left something in doubt; None: there is none."""
        query = sa.select(RUNS).where(RUNS.c.fingerprint == fingerprint).order_by(RUNS.c.started_at.desc()).limit(1)
        with self._connection.begin():
            found = self._connection.execute(query).mappings().one_or_none()
        record = records.run_record(dict(found)) if found else None
        return record if record and self.is_open(record) else None

    def is_open(self, record: RunRecord) -> bool:
        """Whether something is left of a run that resuming it would do."""
        # One that was not found may have come since; in a finished run nothing but its own id makes it worth a look.
        unsent = {State.PENDING, State.ABSENT} if record.state is not RunState.FINISHED else set()
        left = STEPS.c.state.in_({State.SENT, State.IN_DOUBT} | unsent)
        named = sa.and_(STEPS.c.state == State.ABSENT, STEPS.c.own_id != "")
        where = (STEPS.c.run == record.run, STEPS.c.taken_by == "", left | named)
        with self._connection.begin():
            return self._connection.execute(sa.select(STEPS.c.step).where(*where).limit(1)).first() is not None

    def purchases(self, addresses: Iterable[Sequence[str]]) -> list[Purchase]:
        """What has, or may have, been bought at these addresses, the oldest first; not what was deleted since.

        Args:
            addresses: path parts of collections.
        """
        deleted = self._deleted()
        columns = [STEPS.c[name] for name in ("run", "step", "identity", "state", "action", "answer", "ended_at")]
        query = sa.select(*columns, RUNS.c.started_at).join(RUNS, STEPS.c.run == RUNS.c.run)
        query = query.where(STEPS.c.once, STEPS.c.state.in_(BOUGHT), STEPS.c.taken_by == "")
        found: list[sa.RowMapping] = []
        with self._connection.begin():
            for some in batched(addresses, _AT_ONCE):
                where = sa.cast(STEPS.c.path, sa.String).in_([json.dumps(list(one)) for one in some])
                found += self._connection.execute(query.where(where)).mappings().all()
        found.sort(key=lambda one: (one["started_at"], one["run"], one["step"]))
        alike = self._alike({one["run"] for one in found})
        pairs = ((records.purchase(one, alike[one["run"], one["identity"]]), one["ended_at"] or 0.0) for one in found)
        return [purchase for purchase, at in pairs if not purchase.number or deleted.get(purchase.number, -1.0) < at]

    def _alike(self, runs: Iterable[str]) -> dict[tuple[str, str], int]:
        """Run and identity to how many equal purchases it has, whatever became of them."""
        query = sa.select(STEPS.c.run, STEPS.c.identity, sa.func.count().label("count"))
        query = query.where(STEPS.c.once).group_by(STEPS.c.run, STEPS.c.identity)
        found = {}
        with self._connection.begin():
            for some in batched(runs, _AT_ONCE):
                for one in self._connection.execute(query.where(STEPS.c.run.in_(some))).mappings():
                    found[one["run"], one["identity"]] = one["count"]
        return found

    def _deleted(self) -> dict[str, float]:
        """Promo number to when a run of this journal deleted it last."""
        where = (STEPS.c.resource == PROMO_NUMBERS.name, STEPS.c.action == Action.DELETE, STEPS.c.state == State.DONE)
        query = sa.select(STEPS.c.before, STEPS.c.ended_at).where(*where).order_by(STEPS.c.ended_at)
        with self._connection.begin():
            found = self._connection.execute(query).all()
        return {str(one.before["promo_number"]): one.ended_at for one in found if one.before}

    def steps(self, run: str, state: State | None = None) -> list[StepRecord]:
        """The steps of a run, as they stand now; all, or those in one state."""
        return self._steps(STEPS.c.run == run, *([STEPS.c.state == state] if state else []))

    def doubted(self, state: State = State.IN_DOUBT) -> list[StepRecord]:
        """The purchases in doubt, or not found, of all runs; not those that a later run has taken."""
        return self._steps(STEPS.c.once, STEPS.c.state == state, STEPS.c.taken_by == "")

    def _steps(self, *where: sa.ColumnElement[bool]) -> list[StepRecord]:
        query = sa.select(STEPS).where(*where).order_by(STEPS.c.run, STEPS.c.step)
        with self._connection.begin():
            return [records.step_record(one) for one in self._connection.execute(query).mappings()]

    def baselines(self, run: str) -> dict[Scope, list[str]]:
        """The numbers that each scope had when a run began."""
        query = sa.select(BASELINES.c.scope, BASELINES.c.numbers).where(BASELINES.c.run == run)
        with self._connection.begin():
            return {tuple(json.loads(one.scope)): one.numbers for one in self._connection.execute(query)}

    def known_numbers(self, since: float, runs: Iterable[str]) -> set[str]:
        """The promo numbers that answers have named: created, changed or moved by this journal's runs.

        Args:
            since: of all runs, the answers since then.
            runs: of these, all answers: the clock may have been set back while they ran.
        """
        lately = (STEPS.c.ended_at >= since) | STEPS.c.run.in_(list(runs))
        where = (STEPS.c.resource == PROMO_NUMBERS.name, STEPS.c.state == State.DONE, lately)
        with self._connection.begin():
            answers = self._connection.execute(sa.select(STEPS.c.answer).where(*where)).scalars()
            return {str(one["promo_number"]) for one in answers if isinstance(one, dict) and one.get("promo_number")}

    def learn(self, rate: float, *, now: float) -> None:
        """Remember the rate that the network takes."""
        with self._connection.begin():
            self._connection.execute(sa.delete(LEARNED))
            self._connection.execute(sa.insert(LEARNED).values(rate=rate, at=now))

    def learned(self) -> float | None:
        """The rate that the network took, in requests a second; None: it never refused any."""
        with self._connection.begin():
            return self._connection.execute(sa.select(LEARNED.c.rate)).scalar_one_or_none()

    def totals(self, run: str | None = None) -> dict[str, Counter[Outcome]]:
        """Run to outcome to number of rows; of one run, or of all."""
        asked = (ROWS.c.outcome, ROWS.c.action, STEPS.c.state, STEPS.c.action.label("done"))
        on = (ROWS.c.step_run == STEPS.c.run) & (ROWS.c.step == STEPS.c.step)
        query = sa.select(ROWS.c.run, *asked, sa.func.count().label("rows")).outerjoin_from(ROWS, STEPS, on)
        query = query.where(ROWS.c.run == run) if run else query
        found: dict[str, Counter[Outcome]] = defaultdict(Counter)
        with self._connection.begin():
            for one in self._connection.execute(query.group_by(ROWS.c.run, *asked)):
                planned = Outcome(one.outcome) if one.outcome else outcome(one.state, one.action or one.done)
                found[one.run][planned] += one.rows
        return found

    def runs(self) -> list[RunRecord]:
        """All runs, the oldest first."""
        with self._connection.begin():
            found = self._connection.execute(sa.select(RUNS).order_by(RUNS.c.started_at)).mappings()
            return [records.run_record(dict(one)) for one in found]

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
            .outerjoin_from(ROWS, STEPS, (ROWS.c.step_run == STEPS.c.run) & (ROWS.c.step == STEPS.c.step))
            .where(ROWS.c.run == run)
            .order_by(ROWS.c.position)
        )
        with self._connection.begin():
            return [records.row_record(one) for one in self._connection.execute(query)]
