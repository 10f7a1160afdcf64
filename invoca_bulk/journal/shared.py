"""Journals on PostgreSQL: one schema a network, written by processes on several machines.

Each process that writes is an owner, by name, and renews its place again and again. Whoever is silent for longer than
its lease is taken for dead: what it had sent is in doubt from then on, and it is refused should it come back. Every
commit renews the place of its owner, and is refused with it; a commit whose answer was lost with the connection is
looked up by its mark. Times are those of the database's clock.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import secrets
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import sqlalchemy as sa

from invoca_bulk.errors import JournalHeld, PlaceLost, SettingInvalid
from invoca_bulk.journal import tables
from invoca_bulk.journal.book import Journal
from invoca_bulk.journal.owners import Owner
from invoca_bulk.journal.paces import Paces
from invoca_bulk.journal.patience import CLOCK, patiently
from invoca_bulk.journal.states import RunState, State
from invoca_bulk.journal.tables import OWNERS, RUNS, STEPS
from invoca_bulk.settings import lease_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from invoca_bulk.pacing import Pace
    from invoca_bulk.settings import Database, Network

_T = TypeVar("_T")

_PREFIX = "invoca_"
#: Of the lease: so often it is renewed, and for so long after a renewal something may be sent.
_RENEWED, _SURE = 1 / 4, 3 / 4
#: Makers of tables in one database take turns.
_MAKING = 0x1BD0CA
#: A connection that is cut says nothing; within so many seconds that is noticed, here and there.
_CONNECTING = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # milliseconds
}
_SESSION = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "15s",
    # What a process that was put to sleep in the middle of a transaction has locked, others get then.
    "idle_in_transaction_session_timeout": "30s",
    "lock_timeout": "45s",
}
_UP_SINCE = sa.extract("epoch", sa.func.pg_postmaster_start_time())


def schema_of(*, base_url: str, network_id: str) -> str:
    """The schema of a network: the name can be read, and the hash keeps apart what the name cannot."""
    readable = re.sub(r"[^a-z0-9]+", "_", f"{urlsplit(base_url).hostname}_{network_id}".lower())[:40]
    digest = hashlib.sha256(f"{base_url}\n{network_id}".encode()).hexdigest()[:8]
    return f"{_PREFIX}{readable}_{digest}"


def engine_of(database: Database, schema: str = "", *, pool: type[sa.Pool] = sa.NullPool) -> sa.Engine:
    """Connections to a database, each of whose tables without a schema's name are in this one.

    Args:
        database: where.
        schema: of a network; empty: of none.
        pool: whether they are closed after use, or kept for the next.

    Raises:
        SettingInvalid: the driver is not installed, or the address is none.
    """
    settings = _SESSION | ({"search_path": schema} if schema else {})
    options = {"options": " ".join(f"-c {name}={value}" for name, value in settings.items())}
    try:
        url = sa.make_url(database.reveal()).set(drivername="postgresql+psycopg")
        # What is sent is in no error's text.
        return sa.create_engine(url, poolclass=pool, connect_args=_CONNECTING | options, hide_parameters=True)
    except ModuleNotFoundError:
        msg = "A journal on PostgreSQL needs one more package: pip install 'invoca-bulk[cluster]'"
        raise SettingInvalid(msg) from None
    except sa.exc.ArgumentError:
        raise SettingInvalid(f"The address of the journal, {database}, cannot be used.") from None


@functools.cache
def _kept_engine(database: Database, schema: str) -> sa.Engine:
    """Connections of a worker, which opens the same few journals again and again."""
    return engine_of(database, schema, pool=sa.QueuePool)


@contextmanager
def one_sentence(database: Database) -> Iterator[None]:
    """What the database says, as an error that the user can do something about; it may show no password."""
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or type(error).__name__).strip().splitlines()[0]
        msg = f"The journal on {database} cannot be used ({database.hide(reason)}). Is PostgreSQL running there?"
        raise SettingInvalid(msg) from None


# Opening


@contextmanager
def opened(database: Database, network: Network, *, alone: bool, end: str = "") -> Iterator[SharedJournal]:
    """Open a network's journal for writing; this process is one of its owners until the end of the block.

    Args:
        database: where it is.
        network: whose it is.
        alone: whether nobody else may work on the network meanwhile; else whoever is not alone may.
        end: a run of workers that is to be brought to its end here; alone with it.

    Raises:
        JournalHeld: somebody works on it; the message says who, and since when.
        SettingInvalid: the database cannot be used.
    """
    schema = schema_of(base_url=network.base_url, network_id=network.network_id)
    is_client = alone and not end
    engine = engine_of(database, schema) if is_client else _kept_engine(database, schema)
    lease = Lease(engine)
    try:
        with one_sentence(database):
            connection = engine.connect()  # nobody wants to wait for a name that is misspelt
            _prepare(connection, schema)
            lease.take(alone=alone, end=end)
        with connection, lease.kept():
            yield SharedJournal(connection, lease)
    finally:
        if is_client:
            engine.dispose()


def _prepare(connection: sa.Connection, schema: str) -> None:
    """See that what is committed there stays, and make the tables."""
    unsafe = {"fsync": "off", "synchronous_commit": "off"}
    with connection.begin():
        for name, value in unsafe.items():
            if connection.exec_driver_sql(f"SHOW {name}").scalar() == value:
                msg = (
                    f"PostgreSQL has {name} = {value}: it could forget that a number was bought, and it would be "
                    f"bought twice. Set {name} = on for this role or database, then try again."
                )
                raise SettingInvalid(msg)
    if _is_made(connection) and not tables.is_older(connection):
        tables.check(connection)
        return
    connection.execute(sa.select(sa.func.pg_advisory_lock(_MAKING)))
    connection.commit()
    try:
        with connection.begin():
            connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
        tables.prepare(connection)
    finally:
        connection.rollback()
        connection.execute(sa.select(sa.func.pg_advisory_unlock(_MAKING)))
        connection.commit()


def _is_made(connection: sa.Connection) -> bool:
    """Whether all tables are there: they come in one transaction, after that of the version."""
    with connection.begin():
        return connection.execute(sa.select(sa.func.to_regclass(OWNERS.name))).scalar() is not None


class SharedJournal(Journal):
    """A journal that several processes write into.

    Args:
        connection: to its database.
        lease: this process' place among its owners.
    """

    def __init__(self, connection: sa.Connection, lease: Lease) -> None:
        super().__init__(connection)
        self._lease = lease
        self.owner = lease.owner
        self._ahead = patiently(self._look_at_the_clock)

    def _look_at_the_clock(self) -> float:
        """Seconds that the database's clock is ahead of this machine's stopwatch."""
        with self._connection.begin():
            before = _stopwatch()
            there = float(self._connection.execute(sa.select(CLOCK)).scalar_one())
            return there - (before + _stopwatch()) / 2

    def now(self) -> float:
        """Seconds since the epoch, by the database's clock; not moved by a change of this machine's."""
        return _stopwatch() + self._ahead

    @property
    def may_send(self) -> bool:
        """Whether the lease is surely this process' still."""
        return self._lease.is_sure

    @property
    def is_stopped(self) -> bool:
        """Whether `Schema.stop` was called."""
        return self._lease.is_stopped

    def take_over(self) -> None:
        """Done by the lease, with those that are dead."""

    def paces(self, run: str, first: Pace) -> Paces:
        """The rate finder of a run, in this journal."""
        return Paces(self._connection.engine, run, first)

    def _read(self, ask: Callable[[sa.Connection], _T]) -> _T:
        return patiently(lambda: super(SharedJournal, self)._read(ask))

    def _write(self, do: Callable[[sa.Connection], object]) -> None:
        """Do something in one transaction, which is refused if this process was taken for dead."""
        patiently(partial(self._commit, do, secrets.token_hex(8)))

    def _commit(self, do: Callable[[sa.Connection], object], mark: str) -> None:
        with self._lease.renewing(), self._connection.begin():
            if self._connection.execute(self._lease.renewed(OWNERS.c.mark != mark, mark=mark)).rowcount:
                do(self._connection)
                return
            # It was committed, and only its answer was lost; or else this process was taken for dead.
            if not self._connection.execute(self._lease.renewed(OWNERS.c.mark == mark)).rowcount:
                self._lease.lose()


# Owners


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
            _take_turns(db)
            _bury(db, self._seconds)
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
            _take_turns(db)
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
        began = (_stopwatch(), time.time())
        yield
        self._since = began

    @property
    def is_sure(self) -> bool:
        """Whether nobody can have taken this process for dead, by whichever clock: one may stand still, one be set."""
        passed = max(_stopwatch() - self._since[0], time.time() - self._since[1])
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


def _stopwatch() -> float:
    """Seconds since some moment; where the system has such a clock, those that a laptop sleeps are counted too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _take_turns(db: sa.Connection) -> None:
    """Who comes, goes or is buried in one network: one after the other."""
    db.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(sa.func.current_schema()))))


def _bury(db: sa.Connection, seconds: float) -> None:
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
    at_workers = sa.select(RUNS.c.run).where(RUNS.c.state == RunState.RUNNING, RUNS.c.workers.is_not(None))
    run = db.execute(at_workers).scalars().first() if alone else None
    if run and run != end:
        msg = (
            f"Workers are at run {run} of this network. Follow it with `invoca-bulk resume {run} --cluster`, stop it "
            f"with `invoca-bulk stop {run}`, or wait until it has ended, then try again."
        )
        raise JournalHeld(msg)
    if others:
        who = _owner(others)
        raise JournalHeld(f"Another run works on this network: {who}. Wait until it has ended, then try again.")


def _owner(row: sa.Row[Any]) -> Owner:
    since = f"{datetime.fromtimestamp(row.since, UTC):%Y-%m-%d %H:%M:%S}"
    return Owner(process=row.process, host=row.host, since=since)


# Looking from outside


@dataclass(frozen=True, kw_only=True)
class Schema:
    """A network's journal in a database, to be looked into."""

    database: Database
    name: str

    @contextmanager
    def readable(self) -> Iterator[Journal | None]:
        """The journal; None: somebody is just making it."""
        engine = engine_of(self.database, self.name)
        try:
            with engine.connect() as connection:
                if not _is_made(connection):
                    yield None
                else:
                    tables.check(connection)
                    yield Journal(connection)
        finally:
            engine.dispose()

    def owner(self) -> Owner | None:
        """Who works on the network; of several, the one that has done so for longest. None: nobody does."""
        with self._looking() as db:
            living = sa.select(OWNERS).where(OWNERS.c.until >= CLOCK).order_by(OWNERS.c.since)
            found = db.execute(living).first()
        return _owner(found) if found else None

    def is_held(self) -> bool:
        """Whether somebody works on the network, or workers are to."""
        with self._looking() as db:
            living = sa.select(OWNERS.c.owner).where(OWNERS.c.until >= CLOCK)
            waiting = sa.select(RUNS.c.run).where(RUNS.c.state == RunState.RUNNING, RUNS.c.workers.is_not(None))
            return any(db.execute(one.limit(1)).first() for one in (living, waiting))

    def stop(self, run: str) -> str:
        """Ask whoever is at a run to stop; why that cannot be, or nothing."""
        mine = sa.update(RUNS).where(RUNS.c.run == run, RUNS.c.state == RunState.RUNNING)
        with self._looking() as db:
            _take_turns(db)
            _bury(db, lease_seconds())
            asked = db.execute(mine.values(stopping=True)).rowcount
            if asked and not db.execute(sa.select(OWNERS.c.owner).limit(1)).first():
                db.execute(mine.values(state=RunState.INTERRUPTED, ended_at=CLOCK))  # nobody is there to be asked
        return "" if asked else "It is not under way any more."

    @contextmanager
    def _looking(self) -> Iterator[sa.Connection]:
        engine = engine_of(self.database, self.name)
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()


def schemas(database: Database) -> list[Schema]:
    """The journals in a database, by name.

    Raises:
        SettingInvalid: it cannot be reached.
    """
    engine = engine_of(database)
    query = sa.text("SELECT nspname FROM pg_namespace WHERE starts_with(nspname, :prefix) ORDER BY nspname")
    try:
        with one_sentence(database), engine.connect() as connection:
            names = connection.execute(query, {"prefix": _PREFIX}).scalars().all()
    finally:
        engine.dispose()
    return [Schema(database=database, name=name) for name in names]
