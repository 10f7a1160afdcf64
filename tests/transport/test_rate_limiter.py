"""Rates and waits, with the clock as an argument."""

from __future__ import annotations

import pytest

from invoca_bulk import transport
from invoca_bulk.config.settings import MAX_BACKOFF_SECONDS


def test_rate_is_a_cap() -> None:
    """With a rate of 10 a second, no second has more than 10 starts."""
    pace = transport.RateLimiter(10)
    waits = [pace.reserve(100.0) for _ in range(21)]
    assert waits[0] == 0
    assert waits == pytest.approx([number / 10 for number in range(21)])


def test_without_a_cap_it_begins_gently() -> None:
    """Without a cap the first requests start at the first rate, evenly: no limit is known yet."""
    pace = transport.RateLimiter(first_rate=20)
    assert [pace.reserve(5.0) for _ in range(3)] == pytest.approx([0, 0.05, 0.1])


@pytest.mark.parametrize(
    ("cap", "first", "learned", "rate"),
    [(None, 10, None, 10), (None, 10, 40, 40), (None, 10, 3, 3), (5, 10, None, 5), (5, 10, 40, 5), (50, 10, None, 10)],
)
def test_what_it_begins_with(cap: float | None, first: float, learned: float | None, rate: float) -> None:
    """It begins with what was learned, else with the first rate, and never above the cap."""
    assert transport.RateLimiter(cap, first_rate=first, learned_rate=learned).rate == rate


def test_missed_places_are_made_up_for() -> None:
    """Whoever comes a moment late does not slow down the run: its place is made up for."""
    pace = transport.RateLimiter(first_rate=100)
    late = [pace.reserve(moment) for moment in (0.0, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05)]
    assert late == pytest.approx([0, 0, 0, 0, 0, 0, 0.01])


def test_good_answers_make_it_faster_and_a_refusal_slower() -> None:
    """Each good answer adds one request a second; a refusal takes 30% away, once in two seconds, if sure."""
    pace = transport.RateLimiter()
    for _ in range(11):
        pace.reserve(0.0)
    pace.record_success(1.0)
    assert pace.rate == 11
    pace.record_rejection(1.0)
    assert pace.rate == pytest.approx(10 * 0.7)  # ten were started in the last second
    pace.record_rejection(2.9)
    assert pace.rate == pytest.approx(10 * 0.7)
    pace.record_rejection(3.1)
    assert pace.rate == pytest.approx(10 * 0.7)  # two refusals do not tell how many there are
    pace.record_rejection(3.1)
    assert pace.rate == pytest.approx(10 * 0.7 * 0.5 * 0.7)  # nothing was started lately


def _answers(pace: transport.RateLimiter, outcomes: str, now: float) -> float:
    for outcome in outcomes:
        now += pace.reserve(now)
        pace.record_success(now) if outcome == "+" else pace.record_rejection(now)
    return now


def test_cuts_that_do_not_help_are_taken_back() -> None:
    """Where every third request is refused, however slowly they come, the rate comes back to what it was, and rises."""
    pace, now, rates = transport.RateLimiter(), 0.0, []
    for _ in range(150):
        now = _answers(pace, "++-", now)
        rates.append(pace.rate)
    lowest = rates.index(min(rates))
    assert now <= 60
    assert 3 <= rates[lowest] <= 6
    assert max(rates[lowest:]) > 2 * rates[0]


def test_a_cut_that_helps_is_kept() -> None:
    """Where the refusals end with the cut, the rate stays below what was refused."""
    pace = transport.RateLimiter(learned_rate=20)
    now = _answers(pace, "+" * 40 + "-" + "+" * 200, 0.0)
    assert now >= 11
    assert pace.rate < 20


def test_an_unused_rate_does_not_grow() -> None:
    """While the requests under way are the limit, the rate stays where it is."""
    pace = transport.RateLimiter()
    for tick in range(100):
        pace.reserve(tick / 2)
        pace.record_success(tick / 2)
    assert pace.rate == 10


@pytest.mark.parametrize("cap", [None, 0.01, 0.5])
def test_it_never_stops(cap: float | None) -> None:
    """However much is refused, it goes on at a tenth of a request a second, or at the cap."""
    pace = transport.RateLimiter(cap)
    for tick in range(100):
        pace.reserve(tick * 3.0)
        pace.record_rejection(tick * 3.0)
    assert pace.rate == min(0.1, cap or 1)


def test_a_cap_is_kept_while_it_grows() -> None:
    """Good answers never lift the rate over the cap, and no second has more starts."""
    pace, now, starts = transport.RateLimiter(15), 0.0, []
    for _ in range(200):
        now += pace.reserve(now)
        starts.append(now)
        pace.record_success(now)
    assert pace.rate == 15
    assert min(later - start for start, later in zip(starts, starts[15:], strict=False)) >= 1 - 1e-9


def test_nothing_is_learned_without_a_refusal() -> None:
    """What is worth remembering is known after a refusal only; what was known before is kept until then."""
    assert transport.RateLimiter().learned_rate is None
    assert transport.RateLimiter(learned_rate=30).learned_rate == 30
    pace = transport.RateLimiter()
    pace.reserve(0.0)
    pace.record_rejection(0.1)
    assert pace.learned_rate == pytest.approx(7)


def test_unused_places_are_not_saved_up() -> None:
    """After a quiet minute there is no burst."""
    pace = transport.RateLimiter(1)
    assert pace.reserve(0.0) == 0
    assert [pace.reserve(60.0) for _ in range(3)] == [0, 1, 2]


def test_pause_holds_for_everybody() -> None:
    """After `Retry-After: 7` nothing starts for 7 seconds."""
    pace = transport.RateLimiter(None)
    pace.pause(7, now=10.0)
    assert pace.reserve(12.0) == 5


@pytest.mark.parametrize("attempt", range(1, 20))
def test_backoff_grows_and_is_capped(attempt: int) -> None:
    """The wait after an attempt doubles, spreads over half of itself, and never exceeds the cap."""
    shortest, longest = transport.backoff(attempt, 0.0), transport.backoff(attempt, 1.0)
    assert shortest == longest / 2
    assert longest == min(MAX_BACKOFF_SECONDS, 0.5 * 2 ** (attempt - 1))


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
        ("1e12", transport.MAX_RETRY_AFTER_SECONDS),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    """`Retry-After` is a number of seconds or a date; nonsense says nothing, and nobody can stop a run for a year."""
    assert transport.retry_after(header, now=100.0) == seconds


# The breaker


def _open_breaker() -> transport.CircuitBreaker:
    breaker = transport.CircuitBreaker()
    for _ in range(5):
        breaker.record_failure(100.0)
    return breaker


def test_breaker_opens_after_failures_in_a_row() -> None:
    """Five failures in a row open it; with a success in between they do not."""
    breaker = transport.CircuitBreaker()
    for outcome in "ffffsffff":
        breaker.record_failure(1.0) if outcome == "f" else breaker.record_success()
        assert not breaker.is_open
    assert breaker.seconds_until_probe(1.0) == breaker.seconds_open(1.0) == 0
    breaker.record_failure(2.0)
    assert breaker.is_open


def test_probes_become_rarer() -> None:
    """The first probe comes after a second, each further one after twice the time, up to 30 s."""
    breaker, now, waits = _open_breaker(), 100.0, []
    for _ in range(8):
        waits.append(breaker.seconds_until_probe(now))
        now += waits[-1]
        assert breaker.seconds_until_probe(now) == breaker.seconds_until_probe(now + 5) == 0
        breaker.record_probe(ok=False, now=now)
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    assert breaker.seconds_open(now) == sum(waits)


def test_a_good_probe_closes_it() -> None:
    """After a good probe and a success all is as in the beginning."""
    breaker = _open_breaker()
    breaker.record_probe(ok=False, now=101.0)
    breaker.record_probe(ok=True, now=103.0)
    assert not breaker.is_open
    breaker.record_success()
    assert breaker.seconds_open(104.0) == 0
    for _ in range(5):
        assert not breaker.is_open
        breaker.record_failure(105.0)
    assert breaker.seconds_until_probe(105.0) == 1


def test_good_probes_alone_do_not_go_on_for_ever() -> None:
    """Where reading works and creating does not, one failure opens it again, waits grow, and the time counts on."""
    breaker, now = _open_breaker(), 100.0
    for wait in (1, 2, 4, 8, 16, 30, 30):
        assert breaker.seconds_until_probe(now) == wait
        now += wait
        breaker.record_probe(ok=True, now=now)
        breaker.record_failure(now)
        assert breaker.is_open
    assert breaker.seconds_open(now) == now - 100


def test_an_old_success_does_not_close_it() -> None:
    """An answer to a request that was sent before it opened says nothing of the platform now."""
    breaker = _open_breaker()
    breaker.record_success()
    assert breaker.is_open
    assert breaker.seconds_open(103.0) == 3
