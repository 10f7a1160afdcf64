"""Rate limiter, backoff and circuit breaker, with the clock as an argument."""

from __future__ import annotations

import pytest

from invoca_bulk import transport
from invoca_bulk.config.settings import MAX_BACKOFF_SECONDS
from invoca_bulk.transport.backoff import MAX_RETRY_AFTER_SECONDS


def test_rate_is_a_cap() -> None:
    """With a rate of 10 a second, no second has more than 10 starts."""
    limiter = transport.RateLimiter(10)
    waits = [limiter.reserve(100.0) for _ in range(21)]
    assert waits[0] == 0
    assert waits == pytest.approx([number / 10 for number in range(21)])


def test_without_a_cap_it_begins_at_the_first_rate() -> None:
    """Without a cap the first requests start evenly at the first rate, as no limit is known yet."""
    limiter = transport.RateLimiter(first_rate=20)
    assert [limiter.reserve(5.0) for _ in range(3)] == pytest.approx([0, 0.05, 0.1])


@pytest.mark.parametrize(
    ("cap", "first", "learned", "rate"),
    [(None, 10, None, 10), (None, 10, 40, 40), (None, 10, 3, 3), (5, 10, None, 5), (5, 10, 40, 5), (50, 10, None, 10)],
)
def test_initial_rate(cap: float | None, first: float, learned: float | None, rate: float) -> None:
    """It begins at the learned rate, otherwise at the first rate, and never above the cap."""
    assert transport.RateLimiter(cap, first_rate=first, learned_rate=learned).rate == rate


def test_missed_start_times_are_made_up_for() -> None:
    """A request that reserves a moment late does not slow down the run."""
    limiter = transport.RateLimiter(first_rate=100)
    waits = [limiter.reserve(moment) for moment in (0.0, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05)]
    assert waits == pytest.approx([0, 0, 0, 0, 0, 0, 0.01])


def test_success_raises_and_throttling_lowers_the_rate() -> None:
    """Each success adds one request per second; throttling cuts 30%, at most every 2 s and with enough responses."""
    limiter = transport.RateLimiter()
    for _ in range(11):
        limiter.reserve(0.0)
    limiter.record_success(1.0)
    assert limiter.rate == 11
    limiter.record_rejection(1.0)
    assert limiter.rate == pytest.approx(10 * 0.7)  # ten were started in the last second
    limiter.record_rejection(2.9)
    assert limiter.rate == pytest.approx(10 * 0.7)
    limiter.record_rejection(3.1)
    assert limiter.rate == pytest.approx(10 * 0.7)  # two throttled responses are too few
    limiter.record_rejection(3.1)
    assert limiter.rate == pytest.approx(10 * 0.7 * 0.5 * 0.7)  # nothing was started recently


def _feed(limiter: transport.RateLimiter, responses: str, now: float) -> float:
    for response in responses:
        now += limiter.reserve(now)
        limiter.record_success(now) if response == "+" else limiter.record_rejection(now)
    return now


def test_cuts_that_do_not_help_are_undone() -> None:
    """If every third request is throttled at any rate, the rate returns to its earlier value, and rises."""
    limiter, now, rates = transport.RateLimiter(), 0.0, []
    for _ in range(150):
        now = _feed(limiter, "++-", now)
        rates.append(limiter.rate)
    lowest = rates.index(min(rates))
    assert now <= 60
    assert 3 <= rates[lowest] <= 6
    assert max(rates[lowest:]) > 2 * rates[0]


def test_a_cut_that_helps_is_kept() -> None:
    """If the throttling ends with the cut, the rate stays below the throttled one."""
    limiter = transport.RateLimiter(learned_rate=20)
    now = _feed(limiter, "+" * 40 + "-" + "+" * 200, 0.0)
    assert now >= 11
    assert limiter.rate < 20


def test_unused_rate_does_not_grow() -> None:
    """While the requests in flight are the limit, the rate does not change."""
    limiter = transport.RateLimiter()
    for tick in range(100):
        limiter.reserve(tick / 2)
        limiter.record_success(tick / 2)
    assert limiter.rate == 10


@pytest.mark.parametrize("cap", [None, 0.01, 0.5])
def test_minimum_rate(cap: float | None) -> None:
    """Whatever is throttled, the rate stays at 0.1 requests per second or at the cap."""
    limiter = transport.RateLimiter(cap)
    for tick in range(100):
        limiter.reserve(tick * 3.0)
        limiter.record_rejection(tick * 3.0)
    assert limiter.rate == min(0.1, cap or 1)


def test_cap_limits_the_growth() -> None:
    """Successes never raise the rate above the cap, and no second has more starts."""
    limiter, now, starts = transport.RateLimiter(15), 0.0, []
    for _ in range(200):
        now += limiter.reserve(now)
        starts.append(now)
        limiter.record_success(now)
    assert limiter.rate == 15
    assert min(later - start for start, later in zip(starts, starts[15:], strict=False)) >= 1 - 1e-9


def test_nothing_is_learned_without_throttling() -> None:
    """The learned rate changes only with a throttled response."""
    assert transport.RateLimiter().learned_rate is None
    assert transport.RateLimiter(learned_rate=30).learned_rate == 30
    limiter = transport.RateLimiter()
    limiter.reserve(0.0)
    limiter.record_rejection(0.1)
    assert limiter.learned_rate == pytest.approx(7)


def test_unused_start_times_are_not_saved_up() -> None:
    """There is no burst after an idle minute."""
    limiter = transport.RateLimiter(1)
    assert limiter.reserve(0.0) == 0
    assert [limiter.reserve(60.0) for _ in range(3)] == [0, 1, 2]


def test_pause_delays_all_requests() -> None:
    """After `Retry-After: 7` nothing starts for 7 seconds."""
    limiter = transport.RateLimiter(None)
    limiter.pause(7, now=10.0)
    assert limiter.reserve(12.0) == 5


@pytest.mark.parametrize("attempt", range(1, 20))
def test_backoff_grows_and_is_capped(attempt: int) -> None:
    """The maximum wait doubles with each attempt up to the cap; jitter shortens it by up to half."""
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
        ("1e12", MAX_RETRY_AFTER_SECONDS),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    """`Retry-After` is a number of seconds or a date; invalid values are ignored, and long ones are capped."""
    assert transport.retry_after(header, now=100.0) == seconds


# Circuit breaker


def _open_breaker() -> transport.CircuitBreaker:
    breaker = transport.CircuitBreaker()
    for _ in range(5):
        breaker.record_failure(100.0)
    return breaker


def test_breaker_opens_after_failures_in_a_row() -> None:
    """Five failures in a row open the breaker; a success in between resets the count."""
    breaker = transport.CircuitBreaker()
    for result in "ffffsffff":
        breaker.record_failure(1.0) if result == "f" else breaker.record_success()
        assert not breaker.is_open
    assert breaker.seconds_until_probe(1.0) == breaker.seconds_open(1.0) == 0
    breaker.record_failure(2.0)
    assert breaker.is_open


def test_probe_waits_double() -> None:
    """The first probe is due after 1 s, each further one after twice the previous wait, up to 30 s."""
    breaker, now, waits = _open_breaker(), 100.0, []
    for _ in range(8):
        waits.append(breaker.seconds_until_probe(now))
        now += waits[-1]
        assert breaker.seconds_until_probe(now) == breaker.seconds_until_probe(now + 5) == 0
        breaker.record_probe(ok=False, now=now)
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    assert breaker.seconds_open(now) == sum(waits)


def test_successful_probe_closes_the_breaker() -> None:
    """A successful probe and a success reset the breaker."""
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


def test_successful_probes_alone_do_not_reset_the_breaker() -> None:
    """If reads succeed and writes fail, one failure reopens the breaker, waits grow, and the open time continues."""
    breaker, now = _open_breaker(), 100.0
    for wait in (1, 2, 4, 8, 16, 30, 30):
        assert breaker.seconds_until_probe(now) == wait
        now += wait
        breaker.record_probe(ok=True, now=now)
        breaker.record_failure(now)
        assert breaker.is_open
    assert breaker.seconds_open(now) == now - 100


def test_success_while_open_is_ignored() -> None:
    """A response to a request that was sent before the breaker opened does not close it."""
    breaker = _open_breaker()
    breaker.record_success()
    assert breaker.is_open
    assert breaker.seconds_open(103.0) == 3
