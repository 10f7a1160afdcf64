"""Detects dead workers: each live worker holds a lock in the database while it is connected."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Self

import sqlalchemy as sa

from invoca_bulk.config.journal_location import Database
from invoca_bulk.config.settings import lease_seconds
from invoca_bulk.journal.postgres import make_engine

#: Seconds for which a worker's lock must be free: after a restart of the database, no lock is held for a moment.
_GRACE_SECONDS = 5.0


class Liveness:
    """Holds this worker's lock, and finds workers that no longer hold theirs; a context manager."""

    def __init__(self, database: Database, name: str) -> None:
        self._engine = make_engine(database)
        self._name = name
        self._connection: sa.Connection | None = None
        self._silent_since: dict[str, float] = {}  # worker to when its lock was first seen free, by `time.monotonic`

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._engine.dispose()

    def close(self) -> None:
        """Release the lock."""
        if self._connection:
            self._connection.close()
        self._connection = None

    def renew(self) -> None:
        """Take the lock unless it is held, on a new connection if the old one is broken.

        May fail while another worker checks the lock; the next call takes it.
        """
        try:
            if self._connection and self._has_lock(self._connection):
                return
        except sa.exc.SQLAlchemyError:
            self.close()
        self._connection = self._connection or self._engine.connect()
        if not self._has_lock(self._connection):
            self._connection.execute(sa.select(sa.func.pg_try_advisory_lock(_lock_id(self._name))))
            self._connection.commit()

    def _has_lock(self, connection: sa.Connection) -> bool:
        query = sa.text("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted")
        lock = connection.execute(query).first()
        connection.commit()
        return lock is not None

    def dead_workers(self, names: set[str]) -> list[str]:
        """Those of these workers whose locks have been free for the grace period."""
        now = time.monotonic()
        unlocked = {name for name in names if self._is_unlocked(name)}
        self._silent_since = {name: self._silent_since.get(name, now) for name in unlocked}
        grace_seconds = min(_GRACE_SECONDS, lease_seconds())
        return [name for name, since in self._silent_since.items() if now - since >= grace_seconds]

    def _is_unlocked(self, name: str) -> bool:
        with self.claim_if_dead(name) as is_dead:
            return is_dead

    @contextlib.contextmanager
    def claim_if_dead(self, name: str) -> Iterator[bool]:
        """Whether a worker's lock is free; no other worker can claim it until the end of the block."""
        with self._engine.begin() as connection:
            yield connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(_lock_id(name)))).scalar_one()


def _lock_id(name: str) -> sa.ColumnElement[int]:
    return sa.func.hashtextextended(f"invoca-bulk worker {name}", 0)
