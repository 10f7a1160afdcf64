"""The rate limiter of a run that several processes share: stored in the database, changed by one process at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from invoca_bulk.journal.db_retry import DATABASE_NOW, retry_on_disconnect
from invoca_bulk.journal.db_schema import RATE_LIMITERS
from invoca_bulk.transport import RateLimiter

_T = TypeVar("_T")


class SharedRateLimiter:
    """One run's rate limiter; `initial` is stored unless another process has already stored one. Not thread-safe."""

    def __init__(self, engine: sa.Engine, run: str, initial: RateLimiter) -> None:
        self._engine = engine
        self._run = run
        self._initial = initial
        self._connection: sa.Connection | None = None

    def update(self, operation: Callable[[RateLimiter, float], _T]) -> _T:
        """Run an operation on the rate limiter while no other process can, store its new state and return the result.

        The operation gets the time in seconds by the database's clock. It is called again if the connection is lost, so
        it must have no other side effects.
        """
        return retry_on_disconnect(partial(self._update_in_transaction, operation))

    def _update_in_transaction(self, operation: Callable[[RateLimiter, float], _T]) -> _T:
        if self._connection is None:
            insert = postgresql.insert(RATE_LIMITERS).values(run=self._run, state=self._initial.to_json())
            with self._engine.begin() as connection:
                connection.execute(insert.on_conflict_do_nothing())
            self._connection = self._engine.connect()
        with self._connection.begin():
            # Losing the last reservation in a crash of the database does no harm.
            self._connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
            is_run = RATE_LIMITERS.c.run == self._run
            query = sa.select(RATE_LIMITERS.c.state).where(is_run).with_for_update()
            limiter = RateLimiter.from_json(self._connection.execute(query).scalar_one())
            # A separate statement: one that waits for the lock would read the clock before it waits.
            now = float(self._connection.execute(sa.select(DATABASE_NOW)).scalar_one())
            result = operation(limiter, now)
            self._connection.execute(sa.update(RATE_LIMITERS).where(is_run).values(state=limiter.to_json()))
            return result

    def close(self) -> None:
        """Close the connection."""
        if self._connection:
            self._connection.close()
