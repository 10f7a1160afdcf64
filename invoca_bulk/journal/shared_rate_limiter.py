"""The rate finder of a run that several processes do: in the database, one of them at a time changes it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from invoca_bulk.journal.db_retry import DATABASE_NOW, retry_on_disconnect
from invoca_bulk.journal.db_schema import RATE_LIMITERS
from invoca_bulk.transport import RateLimiter

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


class SharedRateLimiter:
    """One run's rate finder. For one thread at a time.

    Args:
        engine: connections to the journal.
        run: the run.
        initial: what it begins with, unless another process has begun.
    """

    def __init__(self, engine: sa.Engine, run: str, initial: RateLimiter) -> None:
        self._engine = engine
        self._run = run
        self._initial = initial
        self._connection: sa.Connection | None = None

    def update(self, operation: Callable[[RateLimiter, float], _T]) -> _T:
        """Have something done with it, while nobody else does.

        Args:
            operation: gets the rate finder and the time, in seconds by the database's clock; done again if the
                connection is lost, so it has to change nothing else.
        """
        return retry_on_disconnect(partial(self._update_in_transaction, operation))

    def _update_in_transaction(self, operation: Callable[[RateLimiter, float], _T]) -> _T:
        if self._connection is None:
            self._connection = self._engine.connect()
            self._insert_if_missing(self._connection)
        with self._connection.begin():
            # A place that is lost in a crash of the database costs nothing.
            self._connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
            mine = RATE_LIMITERS.c.run == self._run
            pace = RateLimiter.from_json(
                self._connection.execute(sa.select(RATE_LIMITERS.c.state).where(mine).with_for_update()).scalar_one()
            )
            # In a statement of its own: what waits for a lock has read the clock before it waited.
            done = operation(pace, float(self._connection.execute(sa.select(DATABASE_NOW)).scalar_one()))
            self._connection.execute(sa.update(RATE_LIMITERS).where(mine).values(state=pace.to_json()))
            return done

    def _insert_if_missing(self, connection: sa.Connection) -> None:
        first = postgresql.insert(RATE_LIMITERS).values(run=self._run, state=self._initial.to_json())
        with connection.begin():
            connection.execute(first.on_conflict_do_nothing())

    def close(self) -> None:
        """No more is asked of it."""
        if self._connection:
            self._connection.close()
