"""Retries while the database is unavailable: restarted, moved or disconnected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import sqlalchemy as sa
import tenacity

_T = TypeVar("_T")

#: How long to retry, in seconds; long enough for a restart of the server.
RETRY_SECONDS = 120.0
#: Seconds since the epoch, by the database's clock.
DATABASE_NOW = sa.extract("epoch", sa.func.clock_timestamp())


def retry_on_disconnect(operation: Callable[[], _T]) -> _T:
    """Call an idempotent operation, and retry it for up to `RETRY_SECONDS` while the database is unavailable."""
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((sa.exc.OperationalError, sa.exc.InterfaceError)),
        wait=tenacity.wait_random_exponential(multiplier=0.05, max=1.0),
        stop=tenacity.stop_after_delay(RETRY_SECONDS),
        reraise=True,
    )
    return retrying(operation)


@contextmanager
def connect_once(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection; at the end of the block, all connections of the engine are closed."""
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()
