"""Journals on PostgreSQL: one schema a network, written by processes on several machines.

Every commit renews the lease of its owner, and is refused with it (see `leases`); one whose answer was lost with the
connection is looked up by its mark. Times are those of the database's clock.
"""

from __future__ import annotations

import functools
import hashlib
import re
import secrets
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import sqlalchemy as sa

from invoca_bulk.config.settings import lease_seconds
from invoca_bulk.errors import SettingInvalid
from invoca_bulk.journal import db_schema
from invoca_bulk.journal.db_retry import CLOCK, patiently
from invoca_bulk.journal.db_schema import OWNERS, RUNS
from invoca_bulk.journal.leases import AT_WORKERS, Lease, as_owner, bury, stopwatch, take_turns
from invoca_bulk.journal.shared_rate_limiter import Paces
from invoca_bulk.journal.states import RunState
from invoca_bulk.journal.store import Journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from invoca_bulk.config.settings import Database, Network
    from invoca_bulk.journal.owner import Owner
    from invoca_bulk.transport import Pace

_T = TypeVar("_T")

_PREFIX = "invoca_"
#: Makers of tables in one database take turns.
_MAKING = 0x1BD0CA
#: What PostgreSQL says, to what to do about it.
_HINTS = {
    "password": "Put the password into ~/.pgpass, or into INVOCA_JOURNAL itself.",
    "permission denied": "All of a team use one role, which may make schemas in the database.",
    "no schema has been selected": "All of a team use one role, which may make schemas in the database.",
    "already exists": "All of a team use one role, which may make schemas in the database.",
    "does not exist": "Make it first, or correct the name.",
    "too many clients": "Raise max_connections there, or let fewer workers run.",
}
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


def schema_of(*, base_url: str, network_id: str) -> str:
    """The schema of a network: the name can be read, and the hash keeps apart what the name cannot."""
    readable = re.sub(r"[^a-z0-9]+", "_", f"{urlsplit(base_url).hostname}_{network_id}".lower())[:40]
    digest = hashlib.sha256(f"{base_url}\n{network_id}".encode()).hexdigest()[:8]
    return f"{_PREFIX}{readable}_{digest}"


def engine_of(database: Database, schema: str = "", *, kept: int = 0) -> sa.Engine:
    """Connections to a database, each of whose tables without a schema's name are in this one.

    Args:
        database: where.
        schema: of a network; empty: of none.
        kept: so many are not closed after use, but kept for the next.

    Raises:
        SettingInvalid: the driver is not installed, or the address is none.
    """
    pool = {"pool_size": kept, "max_overflow": -1} if kept else {"poolclass": sa.NullPool}
    settings = _SESSION | ({"search_path": schema} if schema else {})
    options = {"options": " ".join(f"-c {name}={value}" for name, value in settings.items())}
    try:
        url = sa.make_url(database.reveal()).set(drivername="postgresql+psycopg")
        # What is sent is in no error's text.
        return sa.create_engine(url, connect_args=_CONNECTING | options, hide_parameters=True, **pool)
    except ModuleNotFoundError:
        msg = "A journal on PostgreSQL needs one more package: pip install 'invoca-bulk[cluster]'"
        raise SettingInvalid(msg) from None
    except sa.exc.ArgumentError:
        raise SettingInvalid(f"The address of the journal, {database}, cannot be used.") from None


@functools.cache
def _kept_engine(database: Database, schema: str) -> sa.Engine:
    """Connections of a worker, which opens the same few journals again and again."""
    return engine_of(database, schema, kept=2)


@contextmanager
def one_sentence(database: Database) -> Iterator[None]:
    """What the database says, as an error that the user can do something about; it may show no password."""
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or type(error).__name__).strip().splitlines()[0]
        hint = next((told for word, told in _HINTS.items() if word in reason), "Is PostgreSQL running there?")
        msg = f"The journal on {database} cannot be used ({database.hide(reason)}). {hint}"
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
    with ExitStack() as stack:
        if is_client or end:
            stack.callback(engine.dispose)
        with one_sentence(database):
            connection = stack.enter_context(engine.connect())  # nobody wants to wait for a name that is misspelt
            _prepare(connection, schema)
            lease.take(alone=alone, end=end)
        stack.enter_context(lease.kept())
        yield SharedJournal(connection, lease)


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
    if _is_made(connection) and not db_schema.is_older(connection):
        db_schema.check(connection)
        return
    connection.execute(sa.select(sa.func.pg_advisory_lock(_MAKING)))
    connection.commit()
    try:
        with connection.begin():
            connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
        db_schema.prepare(connection)
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
            before = stopwatch()
            there = float(self._connection.execute(sa.select(CLOCK)).scalar_one())
            return there - (before + stopwatch()) / 2

    def now(self) -> float:
        """Seconds since the epoch, by the database's clock; not moved by a change of this machine's."""
        return stopwatch() + self._ahead

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
                    db_schema.check(connection)
                    yield Journal(connection)
        finally:
            engine.dispose()

    def owner(self) -> Owner | None:
        """Who works on the network; of several, the one that has done so for longest. None: nobody does."""
        with self._looking() as db:
            living = sa.select(OWNERS).where(OWNERS.c.until >= CLOCK).order_by(OWNERS.c.since)
            found = db.execute(living).first()
        return as_owner(found) if found else None

    def is_held(self) -> bool:
        """Whether somebody works on the network, or workers are to."""
        with self._looking() as db:
            living = sa.select(OWNERS.c.owner).where(OWNERS.c.until >= CLOCK)
            return any(db.execute(one.limit(1)).first() for one in (living, AT_WORKERS))

    def stop(self, run: str) -> str:
        """Ask whoever is at a run to stop; why that cannot be, or nothing."""
        mine = sa.update(RUNS).where(RUNS.c.run == run, RUNS.c.state == RunState.RUNNING)
        with self._looking() as db:
            take_turns(db)
            bury(db, lease_seconds())
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
