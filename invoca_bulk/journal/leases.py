"""Leases on a shared journal: each process that writes to it is registered as an owner and keeps renewing its lease.

An owner that does not renew in time is considered dead: the steps it had sent are in doubt from then on, and its
later commits are refused.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import sqlalchemy as sa

from invoca_bulk.config.settings import lease_seconds
from invoca_bulk.errors import JournalLockedError, LeaseLostError
from invoca_bulk.journal.db_retry import DATABASE_NOW, retry_on_disconnect
from invoca_bulk.journal.db_schema import OWNERS, RUNS, STEPS
from invoca_bulk.journal.owner import Owner, locked_message
from invoca_bulk.journal.states import RunState, State
from invoca_bulk.wording import remedy

#: Fractions of the lease: the interval between renewals, and how long after a renewal requests may be sent.
_RENEW_FRACTION, _VALID_FRACTION = 1 / 4, 3 / 4
#: The run of a network that is assigned to workers, if there is one.
WORKER_RUNS_QUERY = sa.select(RUNS.c.run).where(RUNS.c.state == RunState.RUNNING, RUNS.c.workers.is_not(None))
_SERVER_STARTED_AT = sa.extract("epoch", sa.func.pg_postmaster_start_time())


class Lease:
    """The registration of a process as an owner of a journal."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._lease_seconds = lease_seconds()
        self.owner_id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"  # unique for each lease
        self.is_stop_requested = False  # by another process
        self._is_lost = False
        self._renewed_at = (0.0, 0.0)  # seconds, by `stopwatch` and by `time.time`
        self._released = threading.Event()

    def acquire(self, *, exclusive: bool, run_to_finish: str) -> None:
        """Register as an owner unless another process uses the network; arguments as of `postgres.open_for_writing`."""
        with self.record_renewal():
            retry_on_disconnect(
                partial(self._insert_owner, exclusive=exclusive or bool(run_to_finish), run_to_finish=run_to_finish)
            )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Renew the lease in a background thread, and release it at the end of the block."""
        renewer = threading.Thread(target=self._renew_until_released, name="journal lease", daemon=True)
        renewer.start()
        try:
            yield
        finally:
            self._released.set()
            renewer.join()
            with contextlib.suppress(sa.exc.SQLAlchemyError):  # the lease expires anyway
                retry_on_disconnect(self._release)

    def _insert_owner(self, *, exclusive: bool, run_to_finish: str) -> None:
        with self._engine.begin() as db:
            lock_network(db)
            reap_expired_owners(db, self._lease_seconds)
            _reject_other_owners(db, self.owner_id, exclusive=exclusive, run_to_finish=run_to_finish)
            if exclusive:
                _mark_orphaned_steps_in_doubt(db)
                orphaned = sa.update(RUNS).where(RUNS.c.state == RunState.RUNNING, RUNS.c.run != run_to_finish)
                db.execute(orphaned.values(state=RunState.INTERRUPTED))
            # A retry after a lost response may find it registered already.
            if not db.execute(sa.select(OWNERS.c.owner).where(OWNERS.c.owner == self.owner_id)).first():
                owner = {"owner": self.owner_id, "host": socket.gethostname(), "process": os.getpid(), "mark": ""}
                lease = {"since": DATABASE_NOW, "until": DATABASE_NOW + self._lease_seconds, "alone": exclusive}
                db.execute(sa.insert(OWNERS).values(**owner, **lease))

    def _release(self) -> None:
        with self._engine.begin() as db:
            lock_network(db)
            db.execute(sa.delete(OWNERS).where(OWNERS.c.owner == self.owner_id))
            _mark_orphaned_steps_in_doubt(db)

    def _renew_until_released(self) -> None:
        """Renew the lease at intervals, on one connection until that fails."""
        while not self._released.is_set():
            with contextlib.suppress(sa.exc.SQLAlchemyError, LeaseLostError), self._engine.connect() as db:
                while not self._released.wait(min(1.0, self._lease_seconds * _RENEW_FRACTION)):
                    self._renew(db)
            # The database is unavailable; or the lease is lost, which the next commit reports.
            self._released.wait(_RENEW_FRACTION)

    def _renew(self, db: sa.Connection) -> None:
        stopping_runs = sa.select(RUNS.c.run).where(RUNS.c.state == RunState.RUNNING, RUNS.c.stopping)
        with self.record_renewal(), db.begin():
            if not db.execute(self.renew_statement()).rowcount:
                self.raise_lost()
            self.is_stop_requested = db.execute(stopping_runs.limit(1)).first() is not None

    def renew_statement(self, *conditions: sa.ColumnElement[bool], **values: object) -> sa.Update:
        """The statement that renews the lease and sets other values; it updates no row if the lease is lost."""
        update = sa.update(OWNERS).where(OWNERS.c.owner == self.owner_id, *conditions)
        return update.values(until=DATABASE_NOW + self._lease_seconds, **values)

    @contextmanager
    def record_renewal(self) -> Iterator[None]:
        """Record a renewal at the time when the block began, if the block succeeds."""
        started_at = (stopwatch(), time.time())
        yield
        self._renewed_at = started_at

    @property
    def is_valid(self) -> bool:
        """Whether the lease cannot have expired. Checks two clocks: one may stop in sleep, the other may be set."""
        elapsed = max(stopwatch() - self._renewed_at[0], time.time() - self._renewed_at[1])
        return not self._is_lost and elapsed < self._lease_seconds * _VALID_FRACTION

    def raise_lost(self) -> None:
        """Report that the lease is lost."""
        self._is_lost = True
        raise LeaseLostError(
            f"This process was silent for more than {self._lease_seconds:g} s, so others have taken over what it was "
            f"doing; nothing more is sent from here. To see how it continues: {remedy('runs')}"
        )


def stopwatch() -> float:
    """Seconds of a monotonic clock; includes time asleep where the system has such a clock."""
    if sys.platform == "linux":
        seconds = time.clock_gettime(time.CLOCK_BOOTTIME)
    else:
        seconds = time.monotonic()
    return seconds


def lock_network(db: sa.Connection) -> None:
    """Lock the network's owners until the end of the transaction, so that they change one at a time."""
    db.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(sa.func.current_schema()))))


def reap_expired_owners(db: sa.Connection, seconds: float) -> None:
    """Delete owners whose lease (of some seconds) has expired, and mark the steps they had sent as in doubt.

    The caller holds `lock_network`. No owner is deleted within the time of a lease after a restart of the database.
    """
    expired = sa.select(OWNERS.c.owner).where(
        OWNERS.c.until < DATABASE_NOW, _SERVER_STARTED_AT + seconds < DATABASE_NOW
    )
    # Owners that hang in the middle of a commit are skipped: the database ends their session.
    delete = sa.delete(OWNERS).where(OWNERS.c.owner.in_(expired.with_for_update(skip_locked=True)))
    if db.execute(delete).rowcount:
        _mark_orphaned_steps_in_doubt(db)


def _mark_orphaned_steps_in_doubt(db: sa.Connection) -> None:
    # The settle time starts now: a process that only seems dead may have sent the step a moment ago.
    orphans = sa.update(STEPS).where(STEPS.c.state == State.SENT, STEPS.c.owner.not_in(sa.select(OWNERS.c.owner)))
    db.execute(orphans.values(state=State.IN_DOUBT, ended_at=DATABASE_NOW))


def _reject_other_owners(db: sa.Connection, owner_id: str, *, exclusive: bool, run_to_finish: str) -> None:
    conditions = [OWNERS.c.owner != owner_id, *([] if exclusive else [OWNERS.c.alone])]
    other_owner = db.execute(sa.select(OWNERS).where(*conditions).order_by(OWNERS.c.since)).first()
    run = db.execute(WORKER_RUNS_QUERY).scalars().first() if exclusive else None
    if run and run != run_to_finish:
        raise JournalLockedError(
            f"Workers execute run {run} of this network. Follow it ({remedy('resume', 'cluster', subject=run)}), "
            f"stop it ({remedy('stop', subject=run)}), or wait until it has ended, then try again."
        )
    if other_owner:
        raise JournalLockedError(locked_message(to_owner(other_owner)))


def to_owner(row: sa.Row[Any]) -> Owner:
    """A row of the owners' table, in the form that messages use."""
    since = f"{datetime.fromtimestamp(row.since, UTC):%Y-%m-%d %H:%M:%S}"
    return Owner(process=row.process, host=row.host, since=since)
