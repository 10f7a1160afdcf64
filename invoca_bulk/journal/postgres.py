"""Journals on PostgreSQL: one schema per network, written by processes on several machines.

Every commit renews its owner's lease, and fails if the lease is lost (see `leases`). If the connection breaks during a
commit, the commit's mark shows whether it was made. Times are those of the database's clock.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

import sqlalchemy as sa

from invoca_bulk.config.journal_location import Database
from invoca_bulk.config.network import Network
from invoca_bulk.config.settings import lease_seconds
from invoca_bulk.errors import ConfigError
from invoca_bulk.journal import db_schema
from invoca_bulk.journal.db_retry import DATABASE_NOW, connect_once, retry_on_disconnect
from invoca_bulk.journal.db_schema import OWNERS, RUNS
from invoca_bulk.journal.leases import WORKER_RUNS_QUERY, Lease, lock_network, reap_expired_owners, stopwatch, to_owner
from invoca_bulk.journal.owner import Owner
from invoca_bulk.journal.shared_rate_limiter import SharedRateLimiter
from invoca_bulk.journal.states import NOT_RUNNING, RunState
from invoca_bulk.journal.store import Journal
from invoca_bulk.journal.thread_safe_cache import thread_safe_cache
from invoca_bulk.transport import RateLimiter

_T = TypeVar("_T")

_SCHEMA_PREFIX = "invoca_"
#: Advisory lock: in one database, one process at a time creates or migrates tables.
_MIGRATION_LOCK_ID = 0x1BD0CA
#: Part of PostgreSQL's error message, to the fix.
_ERROR_HINTS = {
    "password": "Put the password into PostgreSQL's password file, or into INVOCA_JOURNAL itself.",
    **dict.fromkeys(
        ("permission denied", "no schema has been selected", "already exists"),
        "Let the whole team use one role that may create schemas in the database.",
    ),
    "does not exist": "Create it, or correct the name.",
    "too many clients": "Raise max_connections on the server, or run fewer workers.",
}
#: Both sides notice a broken connection within seconds.
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
    # A process suspended in the middle of a transaction must not hold its locks forever.
    "idle_in_transaction_session_timeout": "30s",
    "lock_timeout": "45s",
}


def schema_name(*, base_url: str, network_id: str) -> str:
    """The schema of a network's journal: a readable name, and a hash that makes it unique."""
    readable = re.sub(r"[^a-z0-9]+", "_", f"{urlsplit(base_url).hostname}_{network_id}".lower())[:40]
    digest = hashlib.sha256(f"{base_url}\n{network_id}".encode()).hexdigest()[:8]
    return f"{_SCHEMA_PREFIX}{readable}_{digest}"


def make_engine(database: Database, schema: str = "", *, pool_size: int = 0) -> sa.Engine:
    """Connections to a database; without a schema, to PostgreSQL's default one.

    `pool_size`: how many connections stay open for reuse; 0: each is closed after use.
    """
    pool = {"pool_size": pool_size, "max_overflow": -1} if pool_size else {"poolclass": sa.NullPool}
    settings = _SESSION_SETTINGS | ({"search_path": schema} if schema else {})
    options = {"options": " ".join(f"-c {name}={value}" for name, value in settings.items())}
    try:
        url = sa.make_url(database.reveal()).set(drivername="postgresql+psycopg")
        # Keeps the values of cells and requests out of error messages.
        return sa.create_engine(url, connect_args=_CONNECT_OPTIONS | options, hide_parameters=True, **pool)
    except ModuleNotFoundError:
        msg = 'A journal on PostgreSQL needs one more package: pip install "invoca-bulk[cluster]"'
        raise ConfigError(msg) from None
    except sa.exc.ArgumentError:
        raise ConfigError(f"The address of the journal, {database}, cannot be used.") from None


@thread_safe_cache
def _pooled_engine(database: Database, schema: str) -> sa.Engine:
    """Pooled connections for a worker, which opens the same few journals repeatedly."""
    return make_engine(database, schema, pool_size=2)


@contextmanager
def translate_errors(database: Database) -> Iterator[None]:
    """Turn errors of the database into a ConfigError with a fix and without the password."""
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or type(error).__name__).strip().splitlines()[0]
        hint = next((hint for part, hint in _ERROR_HINTS.items() if part in reason), "Is PostgreSQL running there?")
        msg = f"The journal on {database} cannot be used ({database.redact(reason)}). {hint}"
        raise ConfigError(msg) from None


@contextmanager
def open_for_writing(
    database: Database, network: Network, *, exclusive: bool, run_to_finish: str = ""
) -> Iterator[PostgresJournal]:
    """Open a network's journal for writing; this process is one of its owners until the end of the block.

    The arguments are those of `locations.open_for_writing`. Without `exclusive`, other owners that are not exclusive
    may write too; a `run_to_finish` makes this process the only owner.
    """
    schema = schema_name(base_url=network.base_url, network_id=network.network_id)
    is_client = exclusive and not run_to_finish
    engine = make_engine(database, schema) if is_client else _pooled_engine(database, schema)
    lease = Lease(engine)
    with ExitStack() as stack:
        if is_client or run_to_finish:
            stack.callback(engine.dispose)
        with translate_errors(database):
            connection = stack.enter_context(engine.connect())  # not retried: a misspelt address fails at once
            _prepare_schema(connection, schema)
            lease.acquire(exclusive=exclusive, run_to_finish=run_to_finish)
        stack.enter_context(lease.held())
        yield PostgresJournal(connection, lease)


def _prepare_schema(connection: sa.Connection, schema: str) -> None:
    """Check that the server makes commits durable, and create or migrate the tables."""
    with connection.begin():
        for name in ("fsync", "synchronous_commit"):
            if connection.exec_driver_sql(f"SHOW {name}").scalar() == "off":
                raise ConfigError(
                    f"PostgreSQL has {name} = off, so it could lose the record of a purchase and a number would be "
                    f"bought twice. Set {name} = on for this role or database, then try again."
                )
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
    """Whether all tables exist: one transaction creates them, after the one that creates the version."""
    with connection.begin():
        return connection.execute(sa.select(sa.func.to_regclass(OWNERS.name))).scalar() is not None


class PostgresJournal(Journal):
    """A journal that several processes write to."""

    def __init__(self, connection: sa.Connection, lease: Lease) -> None:
        super().__init__(connection)
        self._lease = lease
        self.owner_id = lease.owner_id
        self._clock_offset = retry_on_disconnect(self._measure_clock_offset)

    def _measure_clock_offset(self) -> float:
        """Difference between the database's clock and this machine's `stopwatch`, in seconds."""
        with self._connection.begin():
            before = stopwatch()
            database_now = float(self._connection.execute(sa.select(DATABASE_NOW)).scalar_one())
            return database_now - (before + stopwatch()) / 2

    def now(self) -> float:
        """Seconds since the epoch, by the database's clock; changing this machine's clock has no effect."""
        return stopwatch() + self._clock_offset

    @property
    def is_lease_valid(self) -> bool:
        """Whether this process certainly still holds its lease."""
        return self._lease.is_valid

    @property
    def is_stop_requested(self) -> bool:
        """Whether `PostgresHandle.request_stop` was called."""
        return self._lease.is_stop_requested

    def recover_from_crash(self) -> None:
        """Does nothing: `Lease.acquire` recovers the steps of dead owners."""

    def shared_rate_limiter(self, run: str, initial: RateLimiter) -> SharedRateLimiter:
        """The rate limiter that all processes of a run share."""
        return SharedRateLimiter(self._connection.engine, run, initial)

    def _read(self, operation: Callable[[sa.Connection], _T]) -> _T:
        return retry_on_disconnect(lambda: super(PostgresJournal, self)._read(operation))

    def _write(self, operation: Callable[[sa.Connection], object]) -> None:
        """Run an operation in one transaction, which fails if the lease is lost."""
        retry_on_disconnect(partial(self._commit, operation, secrets.token_hex(8)))

    def _commit(self, operation: Callable[[sa.Connection], object], mark: str) -> None:
        with self._lease.record_renewal(), self._connection.begin():
            if self._connection.execute(self._lease.renew_statement(OWNERS.c.mark != mark, mark=mark)).rowcount:
                operation(self._connection)
                return
            # Either an earlier attempt was committed and only its confirmation was lost, or the lease is lost.
            if not self._connection.execute(self._lease.renew_statement(OWNERS.c.mark == mark)).rowcount:
                self._lease.raise_lost()


@dataclass(frozen=True, kw_only=True)
class PostgresHandle:
    """A network's journal in a database, opened or not."""

    database: Database
    schema: str

    @contextmanager
    def open_readonly(self) -> Iterator[Journal | None]:
        """The journal; None: it does not exist yet."""
        with connect_once(make_engine(self.database, self.schema)) as connection:
            if not _has_all_tables(connection):
                yield None
            else:
                db_schema.require_current_version(connection)
                yield Journal(connection)

    def find_owner(self) -> Owner | None:
        """The process that has worked on the network for longest; None: there is none."""
        with self._begin_transaction() as db:
            live_owners = sa.select(OWNERS).where(OWNERS.c.until >= DATABASE_NOW).order_by(OWNERS.c.since)
            row = db.execute(live_owners).first()
        return to_owner(row) if row else None

    def is_in_use(self) -> bool:
        """Whether a process works on the network, or a run is assigned to workers."""
        with self._begin_transaction() as db:
            live_owners = sa.select(OWNERS.c.owner).where(OWNERS.c.until >= DATABASE_NOW)
            return any(db.execute(query.limit(1)).first() for query in (live_owners, WORKER_RUNS_QUERY))

    def request_stop(self, run: str) -> str:
        """Ask all processes of a run to stop; returns why that is impossible, or an empty text."""
        update = sa.update(RUNS).where(RUNS.c.run == run, RUNS.c.state == RunState.RUNNING)
        with self._begin_transaction() as db:
            lock_network(db)
            reap_expired_owners(db, lease_seconds())
            is_running = db.execute(update.values(stopping=True)).rowcount
            if is_running and not db.execute(sa.select(OWNERS.c.owner).limit(1)).first():
                # No process would record the interruption.
                db.execute(update.values(state=RunState.INTERRUPTED, ended_at=DATABASE_NOW))
        return "" if is_running else NOT_RUNNING

    @contextmanager
    def _begin_transaction(self) -> Iterator[sa.Connection]:
        with connect_once(make_engine(self.database, self.schema)) as connection, connection.begin():
            yield connection


def list_handles(database: Database) -> list[PostgresHandle]:
    """The handles of all journals in a database, sorted by name."""
    query = sa.text("SELECT nspname FROM pg_namespace WHERE starts_with(nspname, :prefix) ORDER BY nspname")
    with translate_errors(database), connect_once(make_engine(database)) as connection:
        names = connection.execute(query, {"prefix": _SCHEMA_PREFIX}).scalars().all()
    return [PostgresHandle(database=database, schema=name) for name in names]
