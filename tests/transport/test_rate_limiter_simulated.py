"""The rate limiter and the circuit breaker in simulated time, against platforms with hidden limits."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest

from invoca_bulk import transport
from invoca_bulk.config.settings import MAX_ATTEMPTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Limit = Callable[[float], float]  # seconds -> requests per second
    Allows = Callable[[float], bool]

# Platforms: whether a request at a given time is accepted


def bucket(limit: Limit, seconds: float = 1.0) -> Allows:
    """A token bucket with the capacity of this many seconds, at least one request."""
    tokens, filled_at = math.inf, 0.0

    def allows(now: float) -> bool:
        nonlocal tokens, filled_at
        tokens = min(max(1.0, limit(now) * seconds), tokens + (now - filled_at) * limit(now))
        filled_at = now
        is_accepted = tokens >= 1 - 1e-9
        tokens -= is_accepted
        return is_accepted

    return allows


def strict(limit: Limit) -> Allows:
    """A minimum distance between two requests."""
    return bucket(limit, 0.0)


def fixed(limit: Limit, seconds: float = 1.0) -> Allows:
    """A maximum number in each second of the clock."""
    counts: dict[int, int] = {}

    def allows(now: float) -> bool:
        window = int(now / seconds)
        is_accepted = counts.get(window, 0) < limit(now) * seconds
        counts[window] = counts.get(window, 0) + is_accepted
        return is_accepted

    return allows


def sliding(limit: Limit) -> Allows:
    """A maximum number in any second."""
    accepted: deque[float] = deque()

    def allows(now: float) -> bool:
        while accepted and accepted[0] <= now - 1 + 1e-9:
            accepted.popleft()
        is_accepted = len(accepted) < limit(now)
        accepted.extend([now] * is_accepted)
        return is_accepted

    return allows


@dataclass
class Stormy:
    """A platform that throttles a random share of all requests and passes the others to another platform.

    Attributes:
        share: share of all requests that is throttled at random.
        platform: the other platform; None: no limit.
        seed: of the random choice.
        since, until: seconds; the period of the storm.
        random_count: number of requests throttled at random.
    """

    share: float
    platform: Allows | None = None
    seed: int = 0
    since: float = 0.0
    until: float = math.inf
    random_count: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311  a simulation

    def __call__(self, now: float) -> bool:
        if self.since <= now < self.until and self._random.random() < self.share:
            self.random_count += 1
            return False
        return self.platform is None or self.platform(now)


def constant(rate: float, later_rate: float | None = None, *, since: float = 60.0) -> Limit:
    """A limit that may change once."""
    return lambda now: rate if later_rate is None or now < since else later_rate


# The run


@dataclass
class Run:
    """The result of a simulated run: times in seconds, and the maximum attempts of a row."""

    successes: list[float] = field(default_factory=list)
    throttled: list[float] = field(default_factory=list)
    attempts: int = 1

    @property
    def seconds(self) -> float:
        return self.successes[-1]

    def throttled_share(self, since: float) -> float:
        throttled = sum(moment >= since for moment in self.throttled)
        return throttled / (throttled + sum(moment >= since for moment in self.successes))

    def per_second(self, since: float) -> float:
        return sum(moment >= since for moment in self.successes) / (self.seconds - since)


class Simulation:
    """Workers that take rows, reserve start times one at a time, send, and back off and retry when throttled."""

    def __init__(
        self, allows: Allows, limiter: transport.RateLimiter, *, latency: float, retry_after: float | None
    ) -> None:
        self.run = Run()
        self._allows = allows
        self._limiter = limiter
        self._latency = latency
        self._retry_after = retry_after
        self._events: list[tuple[float, int, str, int]] = []  # time, order, handler, attempt
        self._order = count()
        self._random = random.Random(1)  # noqa: S311  a simulation
        self._queue: deque[int] = deque()  # attempts of the rows that wait for a start time
        self._is_reserved = False

    def execute(self, rows: int, workers: int) -> Run:
        self._remaining_rows = rows
        for _ in range(workers):
            self._take_row(0.0)
        while self._events:
            now, _, handler, attempt = heapq.heappop(self._events)
            getattr(self, handler)(now, attempt)
        return self.run

    def _schedule(self, moment: float, handler: str, attempt: int) -> None:
        heapq.heappush(self._events, (moment, next(self._order), handler, attempt))

    def _take_row(self, now: float) -> None:
        if self._remaining_rows:
            self._remaining_rows -= 1
            self._enqueue(now, 1)

    def _enqueue(self, now: float, attempt: int) -> None:
        self._queue.append(attempt)
        self._reserve(now)

    def _reserve(self, now: float) -> None:
        if self._queue and not self._is_reserved:
            self._is_reserved = True
            self._schedule(now + self._limiter.reserve(now), "_start", self._queue.popleft())

    def _start(self, now: float, attempt: int) -> None:
        self._is_reserved = False
        self._reserve(now)
        self._schedule(now + self._latency / 2, "_arrive", attempt)

    def _arrive(self, now: float, attempt: int) -> None:
        self._schedule(now + self._latency / 2, "_succeed" if self._allows(now) else "_fail", attempt)

    def _succeed(self, now: float, attempt: int) -> None:
        self.run.successes.append(now)
        self.run.attempts = max(self.run.attempts, attempt)
        self._limiter.record_success(now)
        self._take_row(now)

    def _fail(self, now: float, attempt: int) -> None:
        self.run.throttled.append(now)
        self._limiter.record_rejection(now)
        if self._retry_after is not None:
            self._limiter.pause(self._retry_after, now)
        self._schedule(now + transport.backoff(attempt, self._random.random()), "_enqueue", attempt + 1)


def simulate(
    allows: Allows,
    limiter: transport.RateLimiter | None = None,
    *,
    rows: int = 2000,
    workers: int = 8,
    latency: float = 0.2,
    retry_after: float | None = None,
) -> Run:
    return Simulation(allows, limiter or transport.RateLimiter(), latency=latency, retry_after=retry_after).execute(
        rows, workers
    )


EVERY_LOAD = pytest.mark.parametrize(("workers", "latency"), [(8, 0.0), (8, 0.2), (64, 0.0), (64, 0.2)])


@EVERY_LOAD
@pytest.mark.parametrize(
    ("platform", "slower", "throttled"),
    [
        pytest.param(bucket, 1.01, 36, id="bucket"),
        pytest.param(fixed, 1.05, 36, id="fixed-window"),
        pytest.param(sliding, 1.06, 30, id="sliding-window"),
        pytest.param(strict, 1.09, 42, id="strict"),
    ],
)
def test_hidden_limit_of_10(platform: Any, slower: float, throttled: int, workers: int, latency: float) -> None:
    """2,000 rows with a hidden limit of 10/s take little more than the minimum, with little throttling."""
    limiter = transport.RateLimiter()
    run = simulate(platform(constant(10)), limiter, workers=workers, latency=latency)
    assert run.seconds <= 200 * slower
    assert len(run.throttled) <= throttled
    assert run.attempts <= MAX_ATTEMPTS
    assert limiter.learned_rate is not None
    assert 8.5 <= limiter.learned_rate <= 10.1


@pytest.mark.parametrize(("workers", "latency"), [(8, 0.0), (64, 0.0), (64, 0.2)])
@pytest.mark.parametrize(("platform", "steady_since"), [(bucket, 20), (fixed, 20), (sliding, 20), (strict, 60)])
def test_hidden_limit_of_50(platform: Any, steady_since: float, workers: int, latency: float) -> None:
    """In the steady state 90% of a limit of 50/s is used, and less than 2% of the requests are throttled."""
    run = simulate(platform(constant(50)), rows=12_000, workers=workers, latency=latency)
    assert run.per_second(steady_since) >= 45
    assert run.throttled_share(steady_since) < 0.02
    assert run.attempts <= MAX_ATTEMPTS


@pytest.mark.parametrize("platform", [bucket, fixed, sliding, strict])
def test_learned_rate_is_used_at_once(platform: Any) -> None:
    """With the rate that a run has learned, the next run does not search again."""
    earlier = transport.RateLimiter()
    simulate(platform(constant(10)), earlier)
    run = simulate(platform(constant(10)), transport.RateLimiter(learned_rate=earlier.learned_rate), rows=300)
    assert len(run.throttled) <= 5
    assert run.seconds <= 300 / 10 * 1.1


@EVERY_LOAD
@pytest.mark.parametrize(("platform", "per_second"), [(bucket, 2.9), (sliding, 2.4), (strict, 2.3)])
def test_limit_drops(platform: Any, per_second: float, workers: int, latency: float) -> None:
    """A limit that falls from 10/s to 3/s is found within seconds, without losing a row."""
    run = simulate(platform(constant(10, 3)), rows=1200, workers=workers, latency=latency)
    assert run.per_second(since=80) >= per_second
    assert sum(60 <= moment < 70 for moment in run.throttled) <= 30
    assert run.attempts <= MAX_ATTEMPTS


@EVERY_LOAD
@pytest.mark.parametrize("platform", [bucket, sliding, strict])
@pytest.mark.parametrize(("before", "after"), [(3, 10), (10, 50)])
def test_limit_rises(platform: Any, before: float, after: float, workers: int, latency: float) -> None:
    """A limit that rises is found within a minute; 8 requests in flight of 0.2 s are at most 40 per second."""
    run = simulate(
        platform(constant(before, after)), rows=60 * int(before) + 90 * int(after), workers=workers, latency=latency
    )
    possible = min(after, workers / latency if latency else math.inf)
    assert sum(moment >= 120 for moment in run.successes) / (run.seconds - 120) >= 0.6 * possible
    assert run.attempts <= MAX_ATTEMPTS


@pytest.mark.parametrize("seconds", [1, 2])
@pytest.mark.parametrize(("platform", "slower"), [(bucket, 1.15), (fixed, 1.2), (sliding, 1.2), (strict, 1.5)])
def test_retry_after(platform: Any, slower: float, seconds: float) -> None:
    """Pauses that the platform asks for are respected, and the rate does not collapse over them."""
    run = simulate(platform(constant(10)), retry_after=seconds)
    assert run.seconds <= 200 * slower
    assert len(run.throttled) <= 45


@pytest.mark.parametrize(("workers", "latency"), [(8, 0.05), (8, 4.0), (64, 0.2), (64, 4.0)])
def test_without_a_limit_the_workers_are_the_limit(workers: int, latency: float) -> None:
    """Without throttling the requests in flight are the limit, and the rate does not grow beyond use."""
    limiter = transport.RateLimiter()
    run = simulate(lambda _: True, limiter, workers=workers, latency=latency, rows=5000)
    assert limiter.rate <= max(10, workers / latency) * 4
    assert run.seconds <= 5000 / (workers / latency) * 1.1 + 4
    assert limiter.learned_rate is None


def test_cap_below_the_limit_is_never_throttled() -> None:
    """With a cap below the platform's limit nothing is throttled, and the cap is fully used."""
    run = simulate(strict(constant(10)), transport.RateLimiter(5), rows=500)
    assert not run.throttled
    assert run.seconds == pytest.approx(100, abs=1)


@pytest.mark.parametrize("workers", [8, 64])
@pytest.mark.parametrize(("share", "seconds", "longest"), [(0.03, 50, 140), (0.1, 65, 160), (0.3, 125, 345)])
def test_storm_slows_down_only_briefly(share: float, seconds: float, longest: float, workers: int) -> None:
    """If a random share of all requests is throttled, 2,000 rows usually take two minutes and never 15.

    By chance a slower rate may seem to help, so that it takes longer to see that it does not.
    """
    runs = [simulate(Stormy(share, seed=seed), workers=workers, latency=0.0) for seed in range(12)]
    assert median(run.seconds for run in runs) <= seconds
    assert max(run.seconds for run in runs) <= longest


@EVERY_LOAD
@pytest.mark.parametrize("platform", [bucket, fixed, sliding, strict])
@pytest.mark.parametrize(("share", "per_second"), [(0.03, 3.5), (0.1, 3.5), (0.3, 3)])
def test_storm_with_a_hidden_limit(
    platform: Any, share: float, per_second: float, workers: int, latency: float
) -> None:
    """In a storm the limit of 10/s is respected: on average it throttles fewer than 15% of the requests."""
    limited_shares = []
    for seed in range(3):
        stormy = Stormy(share, platform(constant(10)), seed)
        run = simulate(stormy, workers=workers, latency=latency, rows=1500)
        limited_shares.append((len(run.throttled) - stormy.random_count) / (len(run.successes) + len(run.throttled)))
        assert 1500 / run.seconds >= per_second
    assert sum(limited_shares) / len(limited_shares) < 0.15
    assert max(limited_shares) < 0.25


@EVERY_LOAD
@pytest.mark.parametrize("platform", [bucket, fixed, sliding, strict])
def test_limit_is_found_again_after_a_storm(platform: Any, workers: int, latency: float) -> None:
    """After a minute with 30% random throttling, the limit of 10/s is used, and soon respected again."""
    run = simulate(Stormy(0.3, platform(constant(10)), 3, 60, 120), workers=workers, latency=latency, rows=2500)
    assert run.per_second(125) >= 8.5
    assert run.throttled_share(180) < 0.05


# Circuit breaker


def _outcomes(share: float, seed: int) -> Iterator[bool]:
    """Whether each request has a known result."""
    generator = random.Random(seed)  # noqa: S311  a simulation
    while True:
        yield generator.random() >= share


@pytest.mark.parametrize("seed", range(5))
def test_breaker_under_random_faults(seed: int) -> None:
    """With a fifth of 2,000 requests in doubt the breaker opens only a few times, and costs seconds."""
    breaker, outcomes, now, open_count = transport.CircuitBreaker(), _outcomes(0.2, seed), 0.0, 0
    for _ in range(2000):
        breaker.record_success() if next(outcomes) else breaker.record_failure(now)
        now += 0.05
        while breaker.is_open:
            open_count += 1
            now += breaker.seconds_until_probe(now)
            breaker.record_probe(ok=next(outcomes), now=now)
    assert open_count <= 6
    assert now <= 2000 * 0.05 + 20


def test_breaker_in_an_outage() -> None:
    """In an outage of five minutes almost nothing is sent; the run continues at most 30 s after it."""
    breaker, now, failed = transport.CircuitBreaker(), 0.0, 0
    while breaker.is_open or now < 300:
        if breaker.is_open:
            now += breaker.seconds_until_probe(now)
            breaker.record_probe(ok=now >= 300, now=now)
        else:
            failed += 1
            breaker.record_failure(now)
    assert failed == 5
    assert now <= 330
    assert breaker.seconds_open(now) < transport.GIVE_UP_SECONDS
