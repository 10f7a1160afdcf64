"""Who writes into a shared journal: each process has a place there, which it renews again and again.

Whoever is silent for longer than its lease is taken for dead: what it had sent is in doubt from then on, and it is
refused should it come back.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from invoca_bulk.config.settings import lease_seconds
from invoca_bulk.errors import JournalLockedError, LeaseLostError
from invoca_bulk.journal.db_retry import DATABASE_NOW, retry_on_disconnect
from invoca_bulk.journal.db_schema import OWNERS, RUNS, STEPS
from invoca_bulk.journal.owner import Owner
from invoca_bulk.journal.states import RunState, State

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Of the lease: so often it is renewed, and for so long after a renewal something may be sent.
_RENEW_FRACTION, _VALID_FRACTION = 1 / 4, 3 / 4
#: The run of a network that workers are to do, if there is one.
WORKER_RUNS_QUERY = sa.select(RUNS.c.run).where(RUNS.c.state == RunState.RUNNING, RUNS.c.workers.is_not(None))
_SERVER_STARTED_AT = sa.extract("epoch", sa.func.pg_postmaster_start_time())


class Lease:
    """The place of a process among the owners of a journal.

    Args:
        engine: connections to the journal.

    Attributes:
        owner_id: the name of this place; another one each time.
        is_stop_requested: whether somebody elsewhere wants the run to stop.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._lease_seconds = lease_seconds()
        self.owner_id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self.is_stop_requested = False
        self._is_lost = False
        self._renewed_at = (0.0, 0.0)  # by the stopwatch, and by the clock
        self._released = threading.Event()

    def acquire(self, *, exclusive: bool, run_to_finish: str) -> None:
        """Take the place; as for `opened`.

        Raises:
            JournalLockedError: somebody else has one that does not go with it.
        """
        with self.record_renewal():
            retry_on_disconnect(
                partial(self._insert_owner, exclusive=exclusive or bool(run_to_finish), run_to_finish=run_to_finish)
            )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Renew the place in a thread of its own, and give it back in the end."""
        keeper = threading.Thread(target=self._renew_until_released, name="journal lease", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            self._released.set()
            keeper.join()
            with contextlib.suppress(sa.exc.SQLAlchemyError):  # then it ends with its lease
                retry_on_disconnect(self._release)

    def _insert_owner(self, *, exclusive: bool, run_to_finish: str) -> None:
        with self._engine.begin() as db:
            lock_network(db)
            reap_expired_owners(db, self._lease_seconds)
            _reject_other_owners(db, self.owner_id, exclusive=exclusive, run_to_finish=run_to_finish)
            if exclusive:
                _mark_orphaned_steps_in_doubt(db)
                dead = sa.update(RUNS).where(RUNS.c.state == RunState.RUNNING, RUNS.c.run != run_to_finish)
                db.execute(dead.values(state=RunState.INTERRUPTED))
            mine = {"owner": self.owner_id, "host": socket.gethostname(), "process": os.getpid(), "alone": exclusive}
            if not db.execute(sa.select(OWNERS.c.owner).where(OWNERS.c.owner == self.owner_id)).first():
                db.execute(
                    sa.insert(OWNERS).values(
                        **mine, since=DATABASE_NOW, until=DATABASE_NOW + self._lease_seconds, mark=""
                    )
                )

    def _release(self) -> None:
        with self._engine.begin() as db:
            lock_network(db)
            db.execute(sa.delete(OWNERS).where(OWNERS.c.owner == self.owner_id))
            _mark_orphaned_steps_in_doubt(db)

    def _renew_until_released(self) -> None:
        """Renew it again and again, on one connection as long as that is well."""
        while not self._released.is_set():
            with contextlib.suppress(sa.exc.SQLAlchemyError, LeaseLostError), self._engine.connect() as db:
                while not self._released.wait(min(1.0, self._lease_seconds * _RENEW_FRACTION)):
                    self._renew(db)
            self._released.wait(
                _RENEW_FRACTION
            )  # the database is away; or the place is lost, and the next commit says so

    def _renew(self, db: sa.Connection) -> None:
        asked = sa.select(RUNS.c.run).where(RUNS.c.state == RunState.RUNNING, RUNS.c.stopping)
        with self.record_renewal(), db.begin():
            if not db.execute(self.renew_statement()).rowcount:
                self.raise_lost()
            self.is_stop_requested = db.execute(asked.limit(1)).first() is not None

    def renew_statement(self, *where: sa.ColumnElement[bool], **values: object) -> sa.Update:
        """The statement that renews it; it changes no row if this process was taken for dead."""
        mine = sa.update(OWNERS).where(OWNERS.c.owner == self.owner_id, *where)
        return mine.values(until=DATABASE_NOW + self._lease_seconds, **values)

    @contextmanager
    def record_renewal(self) -> Iterator[None]:
        """Remember that it was renewed, if the block ends well: not before it began."""
        began = (stopwatch(), time.time())
        yield
        self._renewed_at = began

    @property
    def is_valid(self) -> bool:
        """Whether nobody can have taken this process for dead, by whichever clock: one may stand still, one be set."""
        passed = max(stopwatch() - self._renewed_at[0], time.time() - self._renewed_at[1])
        return not self._is_lost and passed < self._lease_seconds * _VALID_FRACTION

    def raise_lost(self) -> None:
        """This process was taken for dead.

        Raises:
            LeaseLostError: in any case.
        """
        self._is_lost = True
        msg = (
            f"This process was silent for more than {self._lease_seconds:g} s, so others have taken over what it was "
            "doing; nothing more is sent from here. `invoca-bulk runs` shows how it stands."
        )
        raise LeaseLostError(msg)


def stopwatch() -> float:
    """Seconds since some moment; where the system has such a clock, those that a laptop sleeps are counted too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def lock_network(db: sa.Connection) -> None:
    """Who comes, goes or is buried in one network: one after the other."""
    db.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(sa.func.current_schema()))))


def reap_expired_owners(db: sa.Connection, seconds: float) -> None:
    """What dead owners had sent is in doubt. After a restart of the database everybody has the time of a lease anew."""
    silent = sa.select(OWNERS.c.owner).where(OWNERS.c.until < DATABASE_NOW, _SERVER_STARTED_AT + seconds < DATABASE_NOW)
    # One that stands still in the middle of a commit is left to the next look: its session ends by itself.
    dead = sa.delete(OWNERS).where(OWNERS.c.owner.in_(silent.with_for_update(skip_locked=True)))
    if db.execute(dead).rowcount:
        _mark_orphaned_steps_in_doubt(db)


def _mark_orphaned_steps_in_doubt(db: sa.Connection) -> None:
    # Settling counts from now on: a process that only seems to be dead may have sent it until a moment ago.
    orphans = sa.update(STEPS).where(STEPS.c.state == State.SENT, STEPS.c.owner.not_in(sa.select(OWNERS.c.owner)))
    db.execute(orphans.values(state=State.IN_DOUBT, ended_at=DATABASE_NOW))


def _reject_other_owners(db: sa.Connection, owner_id: str, *, exclusive: bool, run_to_finish: str) -> None:
    where = [OWNERS.c.owner != owner_id, *([] if exclusive else [OWNERS.c.alone])]
    others = db.execute(sa.select(OWNERS).where(*where).order_by(OWNERS.c.since)).first()
    run = db.execute(WORKER_RUNS_QUERY).scalars().first() if exclusive else None
    if run and run != run_to_finish:
        msg = (
            f"Workers are at run {run} of this network. Follow it with `invoca-bulk resume {run} --cluster`, stop it "
            f"with `invoca-bulk stop {run}`, or wait until it has ended, then try again."
        )
        raise JournalLockedError(msg)
    if others:
        who = to_owner(others)
        raise JournalLockedError(f"Another run works on this network: {who}. Wait until it has ended, then try again.")


def to_owner(row: sa.Row[Any]) -> Owner:
    """A row of the owners as people are told of it."""
    since = f"{datetime.fromtimestamp(row.since, UTC):%Y-%m-%d %H:%M:%S}"
    return Owner(process=row.process, host=row.host, since=since)
