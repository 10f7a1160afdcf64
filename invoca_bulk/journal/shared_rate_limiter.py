"""The rate finder of a run that several processes do: in the database, one of them at a time changes it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from invoca_bulk.journal.db_retry import CLOCK, patiently
from invoca_bulk.journal.db_schema import PACES
from invoca_bulk.transport import Pace

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


class Paces:
    """One run's rate finder. For one thread at a time.

    Args:
        engine: connections to the journal.
        run: the run.
        first: what it begins with, unless another process has begun.
    """

    def __init__(self, engine: sa.Engine, run: str, first: Pace) -> None:
        self._engine = engine
        self._run = run
        self._first = first
        self._connection: sa.Connection | None = None

    def change(self, do: Callable[[Pace, float], _T]) -> _T:
        """Have something done with it, while nobody else does.

        Args:
            do: gets the rate finder and the time, in seconds by the database's clock; done again if the connection is
                lost, so it has to change nothing else.
        """
        return patiently(partial(self._changed, do))

    def _changed(self, do: Callable[[Pace, float], _T]) -> _T:
        if self._connection is None:
            self._connection = self._engine.connect()
            self._begin(self._connection)
        with self._connection.begin():
            # A place that is lost in a crash of the database costs nothing.
            self._connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
            mine = PACES.c.run == self._run
            pace = Pace.from_json(
                self._connection.execute(sa.select(PACES.c.state).where(mine).with_for_update()).scalar_one()
            )
            # In a statement of its own: what waits for a lock has read the clock before it waited.
            done = do(pace, float(self._connection.execute(sa.select(CLOCK)).scalar_one()))
            self._connection.execute(sa.update(PACES).where(mine).values(state=pace.to_json()))
            return done

    def _begin(self, connection: sa.Connection) -> None:
        first = postgresql.insert(PACES).values(run=self._run, state=self._first.to_json())
        with connection.begin():
            connection.execute(first.on_conflict_do_nothing())

    def close(self) -> None:
        """No more is asked of it."""
        if self._connection:
            self._connection.close()
