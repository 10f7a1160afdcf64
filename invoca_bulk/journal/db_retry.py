"""Waiting for a database that is away: restarted, moved, cut off for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import sqlalchemy as sa
import tenacity

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")

#: Seconds for which it is waited for: a restart takes some.
RETRY_SECONDS = 120.0
#: Seconds since the epoch, by the database's clock.
DATABASE_NOW = sa.extract("epoch", sa.func.clock_timestamp())


def retry_on_disconnect(operation: Callable[[], _T]) -> _T:
    """Do something again while the database is away; it has to be the same, however often it is done."""
    again = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((sa.exc.OperationalError, sa.exc.InterfaceError)),
        wait=tenacity.wait_random_exponential(multiplier=0.05, max=1.0),
        stop=tenacity.stop_after_delay(RETRY_SECONDS),
        reraise=True,
    )
    return again(operation)
