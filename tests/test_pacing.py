"""Rates and waits, with the clock as an argument."""

from __future__ import annotations

import pytest

from invoca_bulk import pacing
from invoca_bulk.settings import MAX_BACKOFF


def test_rate_is_a_cap() -> None:
    """With a rate of 10 a second, no second has more than 10 starts."""
    pace = pacing.Pace(10)
    waits = [pace.reserve(100.0) for _ in range(21)]
    assert waits[0] == 0
    assert waits == pytest.approx([number / 10 for number in range(21)])


def test_no_rate_never_waits() -> None:
    """Without a rate every request may start at once."""
    pace = pacing.Pace(None)
    assert [pace.reserve(5.0) for _ in range(3)] == [0, 0, 0]


def test_unused_places_are_not_saved_up() -> None:
    """After a quiet minute there is no burst."""
    pace = pacing.Pace(1)
    assert pace.reserve(0.0) == 0
    assert [pace.reserve(60.0) for _ in range(3)] == [0, 1, 2]


def test_pause_holds_for_everybody() -> None:
    """After `Retry-After: 7` nothing starts for 7 seconds."""
    pace = pacing.Pace(None)
    pace.pause(7, now=10.0)
    assert pace.reserve(12.0) == 5


@pytest.mark.parametrize("attempt", range(1, 20))
def test_backoff_grows_and_is_capped(attempt: int) -> None:
    """The wait after an attempt doubles, spreads over half of itself, and never exceeds the cap."""
    shortest, longest = pacing.backoff(attempt, 0.0), pacing.backoff(attempt, 1.0)
    assert shortest == longest / 2
    assert longest == min(MAX_BACKOFF, 0.5 * 2 ** (attempt - 1))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("3", 3.0),
        ("1.5", 1.5),
        ("-4", 0.0),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("soon", None),
        ("nan", None),
        ("Mon, 01 Jan 2020 00:00:00 +99999999999999999", None),
        ("inf", None),
        ("1e12", pacing.LONGEST_PAUSE),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    """`Retry-After` is a number of seconds or a date; nonsense says nothing, and nobody can stop a run for a year."""
    assert pacing.retry_after(header, now=100.0) == seconds
