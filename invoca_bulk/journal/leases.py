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
from invoca_bulk.errors import JournalHeld, PlaceLost
from invoca_bulk.journal.db_retry import CLOCK, patiently
from invoca_bulk.journal.db_schema import OWNERS, RUNS, STEPS
from invoca_bulk.journal.owner import Owner
from invoca_bulk.journal.states import RunState, State

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Of the lease: so often it is renewed, and for so long after a renewal something may be sent.
_RENEWED, _SURE = 1 / 4, 3 / 4
#: The run of a network that workers are to do, if there is one.
AT_WORKERS = sa.select(RUNS.c.run).where(RUNS.c.state == RunState.RUNNING, RUNS.c.workers.is_not(None))
_UP_SINCE = sa.extract("epoch", sa.func.pg_postmaster_start_time())


class Lease:
    """The place of a process among the owners of a journal.

    Args:
        engine: connections to the journal.

    Attributes:
        owner: the name of this place; another one each time.
        is_stopped: whether somebody elsewhere wants the run to stop.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._seconds = lease_seconds()
        self.owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self.is_stopped = False
        self._is_lost = False
        self._since = (0.0, 0.0)  # by the stopwatch, and by the clock
        self._ended = threading.Event()

    def take(self, *, alone: bool, end: str) -> None:
        """Take the place; as for `opened`.

        Raises:
            JournalHeld: somebody else has one that does not go with it.
        """
        with self.renewing():
            patiently(partial(self._take, alone=alone or bool(end), end=end))

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Renew the place in a thread of its own, and give it back in the end."""
        keeper = threading.Thread(target=self._keep, name="journal lease", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            self._ended.set()
            keeper.join()
            with contextlib.suppress(sa.exc.SQLAlchemyError):  # then it ends with its lease
                patiently(self._leave)

    def _take(self, *, alone: bool, end: str) -> None:
        with self._engine.begin() as db:
            take_turns(db)
            bury(db, self._seconds)
            _refuse_others(db, self.owner, alone=alone, end=end)
            if alone:
                _doubt_what_nobody_is_at(db)
                dead = sa.update(RUNS).where(RUNS.c.state == RunState.RUNNING, RUNS.c.run != end)
                db.execute(dead.values(state=RunState.INTERRUPTED))
            mine = {"owner": self.owner, "host": socket.gethostname(), "process": os.getpid(), "alone": alone}
            if not db.execute(sa.select(OWNERS.c.owner).where(OWNERS.c.owner == self.owner)).first():
                db.execute(sa.insert(OWNERS).values(**mine, since=CLOCK, until=CLOCK + self._seconds, mark=""))

    def _leave(self) -> None:
        with self._engine.begin() as db:
            take_turns(db)
            db.execute(sa.delete(OWNERS).where(OWNERS.c.owner == self.owner))
            _doubt_what_nobody_is_at(db)

    def _keep(self) -> None:
        """Renew it again and again, on one connection as long as that is well."""
        while not self._ended.is_set():
            with contextlib.suppress(sa.exc.SQLAlchemyError, PlaceLost), self._engine.connect() as db:
                while not self._ended.wait(min(1.0, self._seconds * _RENEWED)):
                    self._renew(db)
            self._ended.wait(_RENEWED)  # the database is away; or the place is lost, and the next commit says so

    def _renew(self, db: sa.Connection) -> None:
        asked = sa.select(RUNS.c.run).where(RUNS.c.state == RunState.RUNNING, RUNS.c.stopping)
        with self.renewing(), db.begin():
            if not db.execute(self.renewed()).rowcount:
                self.lose()
            self.is_stopped = db.execute(asked.limit(1)).first() is not None

    def renewed(self, *where: sa.ColumnElement[bool], **values: object) -> sa.Update:
        """The statement that renews it; it changes no row if this process was taken for dead."""
        mine = sa.update(OWNERS).where(OWNERS.c.owner == self.owner, *where)
        return mine.values(until=CLOCK + self._seconds, **values)

    @contextmanager
    def renewing(self) -> Iterator[None]:
        """Remember that it was renewed, if the block ends well: not before it began."""
        began = (stopwatch(), time.time())
        yield
        self._since = began

    @property
    def is_sure(self) -> bool:
        """Whether nobody can have taken this process for dead, by whichever clock: one may stand still, one be set."""
        passed = max(stopwatch() - self._since[0], time.time() - self._since[1])
        return not self._is_lost and passed < self._seconds * _SURE

    def lose(self) -> None:
        """This process was taken for dead.

        Raises:
            PlaceLost: in any case.
        """
        self._is_lost = True
        msg = (
            f"This process was silent for more than {self._seconds:g} s, so others have taken over what it was doing; "
            "nothing more is sent from here. `invoca-bulk runs` shows how it stands."
        )
        raise PlaceLost(msg)


def stopwatch() -> float:
    """Seconds since some moment; where the system has such a clock, those that a laptop sleeps are counted too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def take_turns(db: sa.Connection) -> None:
    """Who comes, goes or is buried in one network: one after the other."""
    db.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(sa.func.current_schema()))))


def bury(db: sa.Connection, seconds: float) -> None:
    """What dead owners had sent is in doubt. After a restart of the database everybody has the time of a lease anew."""
    silent = sa.select(OWNERS.c.owner).where(OWNERS.c.until < CLOCK, _UP_SINCE + seconds < CLOCK)
    # One that stands still in the middle of a commit is left to the next look: its session ends by itself.
    dead = sa.delete(OWNERS).where(OWNERS.c.owner.in_(silent.with_for_update(skip_locked=True)))
    if db.execute(dead).rowcount:
        _doubt_what_nobody_is_at(db)


def _doubt_what_nobody_is_at(db: sa.Connection) -> None:
    # Settling counts from now on: a process that only seems to be dead may have sent it until a moment ago.
    orphans = sa.update(STEPS).where(STEPS.c.state == State.SENT, STEPS.c.owner.not_in(sa.select(OWNERS.c.owner)))
    db.execute(orphans.values(state=State.IN_DOUBT, ended_at=CLOCK))


def _refuse_others(db: sa.Connection, owner: str, *, alone: bool, end: str) -> None:
    where = [OWNERS.c.owner != owner, *([] if alone else [OWNERS.c.alone])]
    others = db.execute(sa.select(OWNERS).where(*where).order_by(OWNERS.c.since)).first()
    run = db.execute(AT_WORKERS).scalars().first() if alone else None
    if run and run != end:
        msg = (
            f"Workers are at run {run} of this network. Follow it with `invoca-bulk resume {run} --cluster`, stop it "
            f"with `invoca-bulk stop {run}`, or wait until it has ended, then try again."
        )
        raise JournalHeld(msg)
    if others:
        who = as_owner(others)
        raise JournalHeld(f"Another run works on this network: {who}. Wait until it has ended, then try again.")


def as_owner(row: sa.Row[Any]) -> Owner:
    """A row of the owners as people are told of it."""
    since = f"{datetime.fromtimestamp(row.since, UTC):%Y-%m-%d %H:%M:%S}"
    return Owner(process=row.process, host=row.host, since=since)
