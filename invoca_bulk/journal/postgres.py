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
from invoca_bulk.errors import ConfigError
from invoca_bulk.journal import db_schema
from invoca_bulk.journal.db_retry import DATABASE_NOW, retry_on_disconnect
from invoca_bulk.journal.db_schema import OWNERS, RUNS
from invoca_bulk.journal.leases import WORKER_RUNS_QUERY, Lease, lock_network, reap_expired_owners, stopwatch, to_owner
from invoca_bulk.journal.shared_rate_limiter import SharedRateLimiter
from invoca_bulk.journal.states import RunState
from invoca_bulk.journal.store import Journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from invoca_bulk.config.settings import Database, Network
    from invoca_bulk.journal.owner import Owner
    from invoca_bulk.transport import RateLimiter

_T = TypeVar("_T")

_SCHEMA_PREFIX = "invoca_"
#: Makers of tables in one database take turns.
_MIGRATION_LOCK_ID = 0x1BD0CA
#: What PostgreSQL says, to what to do about it.
_ERROR_HINTS = {
    "password": "Put the password into ~/.pgpass, or into INVOCA_JOURNAL itself.",
    "permission denied": "All of a team use one role, which may make schemas in the database.",
    "no schema has been selected": "All of a team use one role, which may make schemas in the database.",
    "already exists": "All of a team use one role, which may make schemas in the database.",
    "does not exist": "Make it first, or correct the name.",
    "too many clients": "Raise max_connections there, or let fewer workers run.",
}
#: A connection that is cut says nothing; within so many seconds that is noticed, here and there.
_CONNECT_OPTIONS = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # milliseconds
}
_SESSION_SETTINGS = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "15s",
    # What a process that was put to sleep in the middle of a transaction has locked, others get then.
    "idle_in_transaction_session_timeout": "30s",
    "lock_timeout": "45s",
}


def schema_name(*, base_url: str, network_id: str) -> str:
    """The schema of a network: the name can be read, and the hash keeps apart what the name cannot."""
    readable = re.sub(r"[^a-z0-9]+", "_", f"{urlsplit(base_url).hostname}_{network_id}".lower())[:40]
    digest = hashlib.sha256(f"{base_url}\n{network_id}".encode()).hexdigest()[:8]
    return f"{_SCHEMA_PREFIX}{readable}_{digest}"


def make_engine(database: Database, schema: str = "", *, pool_size: int = 0) -> sa.Engine:
    """Connections to a database, each of whose tables without a schema's name are in this one.

    Args:
        database: where.
        schema: of a network; empty: of none.
        pool_size: so many are not closed after use, but kept for the next.

    Raises:
        ConfigError: the driver is not installed, or the address is none.
    """
    pool = {"pool_size": pool_size, "max_overflow": -1} if pool_size else {"poolclass": sa.NullPool}
    settings = _SESSION_SETTINGS | ({"search_path": schema} if schema else {})
    options = {"options": " ".join(f"-c {name}={value}" for name, value in settings.items())}
    try:
        url = sa.make_url(database.reveal()).set(drivername="postgresql+psycopg")
        # What is sent is in no error's text.
        return sa.create_engine(url, connect_args=_CONNECT_OPTIONS | options, hide_parameters=True, **pool)
    except ModuleNotFoundError:
        msg = "A journal on PostgreSQL needs one more package: pip install 'invoca-bulk[cluster]'"
        raise ConfigError(msg) from None
    except sa.exc.ArgumentError:
        raise ConfigError(f"The address of the journal, {database}, cannot be used.") from None


@functools.cache
def _pooled_engine(database: Database, schema: str) -> sa.Engine:
    """Connections of a worker, which opens the same few journals again and again."""
    return make_engine(database, schema, pool_size=2)


@contextmanager
def translate_errors(database: Database) -> Iterator[None]:
    """What the database says, as an error that the user can do something about; it may show no password."""
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or type(error).__name__).strip().splitlines()[0]
        hint = next((told for word, told in _ERROR_HINTS.items() if word in reason), "Is PostgreSQL running there?")
        msg = f"The journal on {database} cannot be used ({database.redact(reason)}). {hint}"
        raise ConfigError(msg) from None


# Opening


@contextmanager
def open_for_writing(
    database: Database, network: Network, *, exclusive: bool, run_to_finish: str = ""
) -> Iterator[PostgresJournal]:
    """Open a network's journal for writing; this process is one of its owners until the end of the block.

    Args:
        database: where it is.
        network: whose it is.
        exclusive: whether nobody else may work on the network meanwhile; else whoever is not alone may.
        run_to_finish: a run of workers that is to be brought to its end here; alone with it.

    Raises:
        JournalLockedError: somebody works on it; the message says who, and since when.
        ConfigError: the database cannot be used.
    """
    schema = schema_name(base_url=network.base_url, network_id=network.network_id)
    is_client = exclusive and not run_to_finish
    engine = make_engine(database, schema) if is_client else _pooled_engine(database, schema)
    lease = Lease(engine)
    with ExitStack() as stack:
        if is_client or run_to_finish:
            stack.callback(engine.dispose)
        with translate_errors(database):
            connection = stack.enter_context(engine.connect())  # nobody wants to wait for a name that is misspelt
            _prepare_schema(connection, schema)
            lease.acquire(exclusive=exclusive, run_to_finish=run_to_finish)
        stack.enter_context(lease.held())
        yield PostgresJournal(connection, lease)


def _prepare_schema(connection: sa.Connection, schema: str) -> None:
    """See that what is committed there stays, and make the tables."""
    unsafe = {"fsync": "off", "synchronous_commit": "off"}
    with connection.begin():
        for name, value in unsafe.items():
            if connection.exec_driver_sql(f"SHOW {name}").scalar() == value:
                msg = (
                    f"PostgreSQL has {name} = {value}: it could forget that a number was bought, and it would be "
                    f"bought twice. Set {name} = on for this role or database, then try again."
                )
                raise ConfigError(msg)
    if _has_all_tables(connection) and not db_schema.needs_migration(connection):
        db_schema.require_current_version(connection)
        return
    connection.execute(sa.select(sa.func.pg_advisory_lock(_MIGRATION_LOCK_ID)))
    connection.commit()
    try:
        with connection.begin():
            connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
        db_schema.create_or_migrate(connection)
    finally:
        connection.rollback()
        connection.execute(sa.select(sa.func.pg_advisory_unlock(_MIGRATION_LOCK_ID)))
        connection.commit()


def _has_all_tables(connection: sa.Connection) -> bool:
    """Whether all tables are there: they come in one transaction, after that of the version."""
    with connection.begin():
        return connection.execute(sa.select(sa.func.to_regclass(OWNERS.name))).scalar() is not None


class PostgresJournal(Journal):
    """A journal that several processes write into.

    Args:
        connection: to its database.
        lease: this process' place among its owners.
    """

    def __init__(self, connection: sa.Connection, lease: Lease) -> None:
        super().__init__(connection)
        self._lease = lease
        self.owner_id = lease.owner_id
        self._clock_offset = retry_on_disconnect(self._measure_clock_offset)

    def _measure_clock_offset(self) -> float:
        """Seconds that the database's clock is ahead of this machine's stopwatch."""
        with self._connection.begin():
            before = stopwatch()
            there = float(self._connection.execute(sa.select(DATABASE_NOW)).scalar_one())
            return there - (before + stopwatch()) / 2

    def now(self) -> float:
        """Seconds since the epoch, by the database's clock; not moved by a change of this machine's."""
        return stopwatch() + self._clock_offset

    @property
    def is_lease_valid(self) -> bool:
        """Whether the lease is surely this process' still."""
        return self._lease.is_valid

    @property
    def is_stop_requested(self) -> bool:
        """Whether `PostgresHandle.request_stop` was called."""
        return self._lease.is_stop_requested

    def recover_from_crash(self) -> None:
        """Done by the lease, with those that are dead."""

    def shared_rate_limiter(self, run: str, initial: RateLimiter) -> SharedRateLimiter:
        """The rate finder of a run, in this journal."""
        return SharedRateLimiter(self._connection.engine, run, initial)

    def _read(self, operation: Callable[[sa.Connection], _T]) -> _T:
        return retry_on_disconnect(lambda: super(PostgresJournal, self)._read(operation))

    def _write(self, operation: Callable[[sa.Connection], object]) -> None:
        """Do something in one transaction, which is refused if this process was taken for dead."""
        retry_on_disconnect(partial(self._commit, operation, secrets.token_hex(8)))

    def _commit(self, operation: Callable[[sa.Connection], object], mark: str) -> None:
        with self._lease.record_renewal(), self._connection.begin():
            if self._connection.execute(self._lease.renew_statement(OWNERS.c.mark != mark, mark=mark)).rowcount:
                operation(self._connection)
                return
            # It was committed, and only its answer was lost; or else this process was taken for dead.
            if not self._connection.execute(self._lease.renew_statement(OWNERS.c.mark == mark)).rowcount:
                self._lease.raise_lost()


# Looking from outside


@dataclass(frozen=True, kw_only=True)
class PostgresHandle:
    """A network's journal in a database, to be looked into."""

    database: Database
    schema: str

    @contextmanager
    def open_readonly(self) -> Iterator[Journal | None]:
        """The journal; None: somebody is just making it."""
        engine = make_engine(self.database, self.schema)
        try:
            with engine.connect() as connection:
                if not _has_all_tables(connection):
                    yield None
                else:
                    db_schema.require_current_version(connection)
                    yield Journal(connection)
        finally:
            engine.dispose()

    def find_owner(self) -> Owner | None:
        """Who works on the network; of several, the one that has done so for longest. None: nobody does."""
        with self._begin_transaction() as db:
            living = sa.select(OWNERS).where(OWNERS.c.until >= DATABASE_NOW).order_by(OWNERS.c.since)
            found = db.execute(living).first()
        return to_owner(found) if found else None

    def is_in_use(self) -> bool:
        """Whether somebody works on the network, or workers are to."""
        with self._begin_transaction() as db:
            living = sa.select(OWNERS.c.owner).where(OWNERS.c.until >= DATABASE_NOW)
            return any(db.execute(one.limit(1)).first() for one in (living, WORKER_RUNS_QUERY))

    def request_stop(self, run: str) -> str:
        """Ask whoever is at a run to stop; why that cannot be, or nothing."""
        mine = sa.update(RUNS).where(RUNS.c.run == run, RUNS.c.state == RunState.RUNNING)
        with self._begin_transaction() as db:
            lock_network(db)
            reap_expired_owners(db, lease_seconds())
            asked = db.execute(mine.values(stopping=True)).rowcount
            if asked and not db.execute(sa.select(OWNERS.c.owner).limit(1)).first():
                db.execute(
                    mine.values(state=RunState.INTERRUPTED, ended_at=DATABASE_NOW)
                )  # nobody is there to be asked
        return "" if asked else "It is not under way any more."

    @contextmanager
    def _begin_transaction(self) -> Iterator[sa.Connection]:
        engine = make_engine(self.database, self.schema)
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()


def list_handles(database: Database) -> list[PostgresHandle]:
    """The journals in a database, by name.

    Raises:
        ConfigError: it cannot be reached.
    """
    engine = make_engine(database)
    query = sa.text("SELECT nspname FROM pg_namespace WHERE starts_with(nspname, :prefix) ORDER BY nspname")
    try:
        with translate_errors(database), engine.connect() as connection:
            names = connection.execute(query, {"prefix": _SCHEMA_PREFIX}).scalars().all()
    finally:
        engine.dispose()
    return [PostgresHandle(database=database, schema=name) for name in names]
