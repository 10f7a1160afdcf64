"""The rate finder and the breaker against platforms with hidden limits: simulated, so that minutes take no time."""

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

    Limit = Callable[[float], float]  # seconds -> requests a second
    Allows = Callable[[float], bool]

# Platforms: whether a request at a moment is let through


def bucket(limit: Limit, seconds: float = 1.0) -> Allows:
    """A token bucket that holds so many seconds' worth, at least one request."""
    tokens, filled_at = math.inf, 0.0

    def allows(now: float) -> bool:
        nonlocal tokens, filled_at
        tokens = min(max(1.0, limit(now) * seconds), tokens + (now - filled_at) * limit(now))
        filled_at = now
        lets_through = tokens >= 1 - 1e-9
        tokens -= lets_through
        return lets_through

    return allows


def strict(limit: Limit) -> Allows:
    """No two requests may be closer than the limit says."""
    return bucket(limit, 0.0)


def fixed(limit: Limit, seconds: float = 1.0) -> Allows:
    """So many in each second of the clock."""
    counts: dict[int, int] = {}

    def allows(now: float) -> bool:
        window = int(now / seconds)
        lets_through = counts.get(window, 0) < limit(now) * seconds
        counts[window] = counts.get(window, 0) + lets_through
        return lets_through

    return allows


def sliding(limit: Limit) -> Allows:
    """So many in any second."""
    passed: deque[float] = deque()

    def allows(now: float) -> bool:
        while passed and passed[0] <= now - 1 + 1e-9:
            passed.popleft()
        lets_through = len(passed) < limit(now)
        passed.extend([now] * lets_through)
        return lets_through

    return allows


@dataclass
class Stormy:
    """A platform that refuses a share of all requests by chance; the rest is up to the platform behind.

    Attributes:
        share: of all requests that are refused.
        behind: the platform behind; None: no limit.
        since, until: seconds; when it is stormy.
        by_chance: how many requests it has refused.
    """

    share: float
    behind: Allows | None = None
    seed: int = 0
    since: float = 0.0
    until: float = math.inf
    by_chance: int = 0

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311  a simulation

    def __call__(self, now: float) -> bool:
        if self.since <= now < self.until and self._chance.random() < self.share:
            self.by_chance += 1
            return False
        return self.behind is None or self.behind(now)


def at(rate: float, then: float | None = None, *, since: float = 60.0) -> Limit:
    """A limit, and another one later."""
    return lambda now: rate if then is None or now < since else then


# The run


@dataclass
class Run:
    """What a simulated run came to: moments in seconds, and the most attempts that a row needed."""

    good: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    attempts: int = 1

    @property
    def seconds(self) -> float:
        return self.good[-1]

    def share_refused(self, since: float) -> float:
        refused, good = (sum(moment >= since for moment in one) for one in (self.refused, self.good))
        return refused / (refused + good)

    def per_second(self, since: float) -> float:
        return sum(moment >= since for moment in self.good) / (self.seconds - since)


class Simulation:
    """Slots that take rows, wait for their place one at a time, send, and after a refusal back off and come again."""

    def __init__(
        self, allows: Allows, pace: transport.RateLimiter, *, latency: float, retry_after: float | None
    ) -> None:
        self.run = Run()
        self._allows = allows
        self._pace = pace
        self._latency = latency
        self._retry_after = retry_after
        self._events: list[tuple[float, int, str, int]] = []  # moment, order, what, the row's attempt
        self._order = count()
        self._chance = random.Random(1)  # noqa: S311  a simulation
        self._queue: deque[int] = deque()  # attempts of the rows that wait for a place
        self._someone_waits = False

    def go(self, rows: int, slots: int) -> Run:
        self._left = rows
        for _ in range(slots):
            self._next(0.0)
        while self._events:
            now, _, what, attempt = heapq.heappop(self._events)
            getattr(self, what)(now, attempt)
        return self.run

    def _later(self, moment: float, what: str, attempt: int) -> None:
        heapq.heappush(self._events, (moment, next(self._order), what, attempt))

    def _next(self, now: float) -> None:
        if self._left:
            self._left -= 1
            self._want(now, 1)

    def _want(self, now: float, attempt: int) -> None:
        self._queue.append(attempt)
        self._turn(now)

    def _turn(self, now: float) -> None:
        if self._queue and not self._someone_waits:
            self._someone_waits = True
            self._later(now + self._pace.reserve(now), "_start", self._queue.popleft())

    def _start(self, now: float, attempt: int) -> None:
        self._someone_waits = False
        self._turn(now)
        self._later(now + self._latency / 2, "_arrive", attempt)

    def _arrive(self, now: float, attempt: int) -> None:
        self._later(now + self._latency / 2, "_succeed" if self._allows(now) else "_fail", attempt)

    def _succeed(self, now: float, attempt: int) -> None:
        self.run.good.append(now)
        self.run.attempts = max(self.run.attempts, attempt)
        self._pace.record_success(now)
        self._next(now)

    def _fail(self, now: float, attempt: int) -> None:
        self.run.refused.append(now)
        self._pace.record_rejection(now)
        if self._retry_after is not None:
            self._pace.pause(self._retry_after, now)
        self._later(now + transport.backoff(attempt, self._chance.random()), "_want", attempt + 1)


def simulate(
    allows: Allows,
    pace: transport.RateLimiter | None = None,
    *,
    rows: int = 2000,
    slots: int = 8,
    latency: float = 0.2,
    retry_after: float | None = None,
) -> Run:
    return Simulation(allows, pace or transport.RateLimiter(), latency=latency, retry_after=retry_after).go(rows, slots)


EVERY_LOAD = pytest.mark.parametrize(("slots", "latency"), [(8, 0.0), (8, 0.2), (64, 0.0), (64, 0.2)])


@EVERY_LOAD
@pytest.mark.parametrize(
    ("platform", "slower", "refused"),
    [
        pytest.param(bucket, 1.01, 36, id="bucket"),
        pytest.param(fixed, 1.05, 36, id="fixed-window"),
        pytest.param(sliding, 1.06, 30, id="sliding-window"),
        pytest.param(strict, 1.09, 42, id="strict"),
    ],
)
def test_hidden_limit_of_10(platform: Any, slower: float, refused: int, slots: int, latency: float) -> None:
    """2,000 rows under a hidden limit of 10/s take hardly longer than they must, with few refusals."""
    pace = transport.RateLimiter()
    run = simulate(platform(at(10)), pace, slots=slots, latency=latency)
    assert run.seconds <= 200 * slower
    assert len(run.refused) <= refused
    assert run.attempts <= MAX_ATTEMPTS
    assert pace.learned_rate is not None
    assert 8.5 <= pace.learned_rate <= 10.1


@pytest.mark.parametrize(("slots", "latency"), [(8, 0.0), (64, 0.0), (64, 0.2)])
@pytest.mark.parametrize(("platform", "settled"), [(bucket, 20), (fixed, 20), (sliding, 20), (strict, 60)])
def test_hidden_limit_of_50(platform: Any, settled: float, slots: int, latency: float) -> None:
    """In the steady state 90% of a limit of 50/s is used, with less than 2% of the answers refused."""
    run = simulate(platform(at(50)), rows=12_000, slots=slots, latency=latency)
    assert run.per_second(settled) >= 45
    assert run.share_refused(settled) < 0.02
    assert run.attempts <= MAX_ATTEMPTS


@pytest.mark.parametrize("platform", [bucket, fixed, sliding, strict])
def test_a_learned_rate_is_used_at_once(platform: Any) -> None:
    """What one run has learned spares the next one the search."""
    earlier = transport.RateLimiter()
    simulate(platform(at(10)), earlier)
    run = simulate(platform(at(10)), transport.RateLimiter(learned_rate=earlier.learned_rate), rows=300)
    assert len(run.refused) <= 5
    assert run.seconds <= 300 / 10 * 1.1


@EVERY_LOAD
@pytest.mark.parametrize(("platform", "per_second"), [(bucket, 2.9), (sliding, 2.4), (strict, 2.3)])
def test_a_limit_that_drops(platform: Any, per_second: float, slots: int, latency: float) -> None:
    """A limit that falls from 10/s to 3/s in the middle is found, within seconds and without losing a row."""
    run = simulate(platform(at(10, 3)), rows=1200, slots=slots, latency=latency)
    assert run.per_second(since=80) >= per_second
    assert sum(60 <= moment < 70 for moment in run.refused) <= 30
    assert run.attempts <= MAX_ATTEMPTS


@EVERY_LOAD
@pytest.mark.parametrize("platform", [bucket, sliding, strict])
@pytest.mark.parametrize(("before", "after"), [(3, 10), (10, 50)])
def test_a_limit_that_rises(platform: Any, before: float, after: float, slots: int, latency: float) -> None:
    """A limit that rises is found within a minute; in flight, 8 requests of 0.2 s are 40 a second at most."""
    run = simulate(platform(at(before, after)), rows=60 * int(before) + 90 * int(after), slots=slots, latency=latency)
    possible = min(after, slots / latency if latency else math.inf)
    assert sum(moment >= 120 for moment in run.good) / (run.seconds - 120) >= 0.6 * possible
    assert run.attempts <= MAX_ATTEMPTS


@pytest.mark.parametrize("seconds", [1, 2])
@pytest.mark.parametrize(("platform", "slower"), [(bucket, 1.15), (fixed, 1.2), (sliding, 1.2), (strict, 1.5)])
def test_retry_after(platform: Any, slower: float, seconds: float) -> None:
    """A platform that asks for a pause with each refusal gets it, and the rate does not collapse over the pauses."""
    run = simulate(platform(at(10)), retry_after=seconds)
    assert run.seconds <= 200 * slower
    assert len(run.refused) <= 45


@pytest.mark.parametrize(("slots", "latency"), [(8, 0.05), (8, 4.0), (64, 0.2), (64, 4.0)])
def test_without_a_limit_the_slots_are(slots: int, latency: float) -> None:
    """Where nothing is refused, the requests in flight are what limits, and the rate does not grow beyond use."""
    pace = transport.RateLimiter()
    run = simulate(lambda _: True, pace, slots=slots, latency=latency, rows=5000)
    assert pace.rate <= max(10, slots / latency) * 4
    assert run.seconds <= 5000 / (slots / latency) * 1.1 + 4
    assert pace.learned_rate is None


def test_a_cap_below_the_limit_is_never_refused() -> None:
    """Under a cap that the platform can take nothing is refused, and the cap is used up."""
    run = simulate(strict(at(10)), transport.RateLimiter(5), rows=500)
    assert not run.refused
    assert run.seconds == pytest.approx(100, abs=1)


@pytest.mark.parametrize("slots", [8, 64])
@pytest.mark.parametrize(("share", "seconds", "longest"), [(0.03, 50, 140), (0.1, 65, 160), (0.3, 125, 345)])
def test_a_storm_does_not_slow_it_down_for_long(share: float, seconds: float, longest: float, slots: int) -> None:
    """Where a share of all requests is refused by chance, 2,000 rows mostly take two minutes, and never a quarter hour.

    With bad luck a share looks as if slower helped, so that it takes longer to see that it does not.
    """
    runs = [simulate(Stormy(share, seed=seed), slots=slots, latency=0.0) for seed in range(12)]
    assert median(run.seconds for run in runs) <= seconds
    assert max(run.seconds for run in runs) <= longest


@EVERY_LOAD
@pytest.mark.parametrize("platform", [bucket, fixed, sliding, strict])
@pytest.mark.parametrize(("share", "per_second"), [(0.03, 3.5), (0.1, 3.5), (0.3, 3)])
def test_a_storm_over_a_hidden_limit(
    platform: Any, share: float, per_second: float, slots: int, latency: float
) -> None:
    """In a storm the limit of 10/s behind it is kept: on average under 15% are refused beyond those by chance."""
    beyond = []
    for seed in range(3):
        stormy = Stormy(share, platform(at(10)), seed)
        run = simulate(stormy, slots=slots, latency=latency, rows=1500)
        beyond.append((len(run.refused) - stormy.by_chance) / (len(run.good) + len(run.refused)))
        assert 1500 / run.seconds >= per_second
    assert sum(beyond) / len(beyond) < 0.15
    assert max(beyond) < 0.25


@EVERY_LOAD
@pytest.mark.parametrize("platform", [bucket, fixed, sliding, strict])
def test_after_a_storm_the_limit_is_found_again(platform: Any, slots: int, latency: float) -> None:
    """After a minute in which 30% were refused by chance, the limit of 10/s is used, and soon respected again."""
    run = simulate(Stormy(0.3, platform(at(10)), 3, 60, 120), slots=slots, latency=latency, rows=2500)
    assert run.per_second(125) >= 8.5
    assert run.share_refused(180) < 0.05


# The breaker


def _outcomes(share: float, seed: int) -> Iterator[bool]:
    """Whether each request comes to a known end."""
    chance = random.Random(seed)  # noqa: S311  a simulation
    while True:
        yield chance.random() >= share


@pytest.mark.parametrize("seed", range(5))
def test_breaker_under_random_faults(seed: int) -> None:
    """With a fifth of 2,000 requests in doubt the breaker opens a few times at most, and costs seconds."""
    breaker, outcomes, now, opened = transport.CircuitBreaker(), _outcomes(0.2, seed), 0.0, 0
    for _ in range(2000):
        breaker.record_success() if next(outcomes) else breaker.record_failure(now)
        now += 0.05
        while breaker.is_open:
            opened += 1
            now += breaker.seconds_until_probe(now)
            breaker.record_probe(ok=next(outcomes), now=now)
    assert opened <= 6
    assert now <= 2000 * 0.05 + 20


def test_breaker_in_an_outage() -> None:
    """While everything fails for five minutes hardly anything is created, and half a minute later all goes on."""
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
