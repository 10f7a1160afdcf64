"""The rate limiter: when the next request may start, while the platform's limit is unknown.

The constants were tuned by simulation (tests/transport/test_rate_limiter_simulated.py) with token bucket and window
limits, and with error storms: random throttling at any rate. "Throttled" is a 429 or 503 response.
"""

from __future__ import annotations

import json
import math
from collections import deque

INITIAL_RATE = 10.0  # requests per second: gentle, since no limit is published; it grows e-fold a second
SANDBOX_INITIAL_RATE = 1000.0  # requests per second: a sandbox has no limit to discover
CUT_FACTOR = 0.7  # new rate after throttling, as a share of the used rate
MIN_CUT_INTERVAL_SECONDS = 2.0  # throttled responses to requests in flight together count once
MIN_RATE = 0.1  # requests per second
HOLD_SECONDS = 0.5  # no growth for this long after a throttled response
INITIAL_GROWTH = 1.0  # requests per second, for each success before the first throttled response
CAUTIOUS_GROWTH = 0.2  # the same, after the limit has risen by an unknown amount
NEAR_LIMIT_FACTOR = 0.95  # share of the limit up to which the rate recovers fast
RECOVERY_PER_SECOND = 0.5  # share of the limit that the rate recovers per second
#: Share of the limit per second, for each second since the last cut: the growth from there on.
PROBING_PER_SECOND_SQUARED = 0.0003
RISEN_LIMIT_FACTOR = 1.15  # times the limit without throttling: the limit has risen
MIN_USED_SHARE = 0.5  # share of the rate that must be used for it to grow
MEASURE_SECONDS = 1.0  # period over which the used rate is measured
MIN_MEASURE_SECONDS = 0.5  # shorter periods do not give a reliable rate
CATCH_UP_SECONDS = 0.1  # start times missed by less than this are made up for
MAX_CATCH_UP_REQUESTS = 10

# Whether a slower rate helps
CUT_EFFECT_SECONDS = 1.0  # responses within this time after a cut were sent at the previous rate
MIN_ANSWERS = 10  # responses at a slower rate needed to measure the throttled share
MIN_REFUSALS_IF_MOST = 3  # throttled responses that suffice if most responses are throttled
TOO_MANY_REFUSED_SHARE = 0.5  # throttled share above which slowing down is always right
CUTS_PER_SERIES = 3  # cuts in a row after which their effect is judged
MIN_REFUSALS_PER_SERIES = 4  # throttled responses in a series; fewer can be chance
HELPED_FACTOR = 0.8  # times the previous throttled share: below that, slower helped
WORSE_FACTOR = 3.0  # times the previous throttled share: above that, a new problem began
USUAL_SHARE_TOLERANCE = 4 / 3  # times the usual share: throttled responses above that are surplus
SURPLUS_LIMIT = 9.0  # surplus responses, times the square root of the usual share, that chance rarely exceeds
TRIAL_ANSWERS = 20  # responses at a slower rate after which the usual share is checked again
MAX_TRIAL_SECONDS = 5.0


class ErrorStorm:
    """Detects throttling that does not depend on the rate, as of a platform in trouble, and measures its usual share.

    If the rate limit is the reason, a cut ends the throttling, or nearly so. If the throttled share after the third cut
    in a row is not clearly below that after the two previous ones, a slower rate does not help: that share becomes the
    usual one, and only throttling well above it counts. It is checked again after each later cut.
    """

    def __init__(self) -> None:
        self.usual_share = 0.0  # of all responses; 0: every throttled response counts
        self._steps: list[tuple[int, int]] = []  # throttled and all responses after each cut in a row
        self.begin_step()

    def begin_step(self) -> None:
        """Restart counting after a cut."""
        self._refusals = self._answers = 0
        self._surplus = 0.0
        self.is_on_trial = self.usual_share > 0

    def begin_series(self) -> None:
        """Start a new series of cuts."""
        self._steps = []

    def record_answer(self, *, refused: bool, slower: bool) -> None:
        """Count a response; `slower`: it was sent at a rate below the one that was throttled before."""
        self._surplus = max(0.0, self._surplus + refused - USUAL_SHARE_TOLERANCE * self.usual_share)
        if slower:
            self._answers += 1
            self._refusals += refused
        if self.is_on_trial and self._answers >= TRIAL_ANSWERS:
            self.is_on_trial = False
            if self._current_share < HELPED_FACTOR * self.usual_share:
                self.usual_share = self._current_share

    @property
    def is_above_usual(self) -> bool:
        """Whether more is throttled than usual."""
        return self._surplus > SURPLUS_LIMIT * math.sqrt(self.usual_share)

    @property
    def is_in_series(self) -> bool:
        """Whether a slower rate is being tried."""
        return bool(self._steps)

    @property
    def has_too_few_answers(self) -> bool:
        """Whether there are too few responses at this rate to judge it."""
        is_clear = self._current_share >= TOO_MANY_REFUSED_SHARE and self._refusals >= MIN_REFUSALS_IF_MOST
        return self._answers < MIN_ANSWERS and not is_clear

    def end_step(self) -> bool:
        """Whether the cuts helped or it is still unknown; if not, the current share becomes the usual one."""
        if self._steps and self._current_share > WORSE_FACTOR * _refused_share(self._steps[-1:]):
            self._steps = []
        self._steps = [*self._steps[1 - CUTS_PER_SERIES :], (self._refusals, self._answers)]
        refusals = sum(refusals for refusals, _ in self._steps)
        is_known = len(self._steps) == CUTS_PER_SERIES and refusals >= MIN_REFUSALS_PER_SERIES
        has_helped = self._current_share < HELPED_FACTOR * _refused_share(self._steps[:-1])
        if not is_known or has_helped or self._current_share >= TOO_MANY_REFUSED_SHARE:
            return True
        self.usual_share = _refused_share(self._steps)
        self.begin_step()
        self.is_on_trial = False
        return False

    @property
    def _current_share(self) -> float:
        return _refused_share([(self._refusals, self._answers)])


def _refused_share(steps: list[tuple[int, int]]) -> float:
    return sum(refusals for refusals, _ in steps) / max(1, sum(answers for _, answers in steps))


class RateLimiter:
    """Decides when requests start, and finds the platform's rate limit by trial.

    Until the first throttled response each success adds one request per second, so the rate grows e-fold per second.
    A throttled response (429, 503) sets the rate to 0.7 times the used rate, at most once in 2 s, and the estimated
    limit to between the used rate and the successes per second since the last cut. The rate recovers quickly to just
    below the limit; from there it grows the faster, the longer nothing is throttled. Once it is 15% above the limit
    without throttling, the limit has risen and is searched as in the beginning, but five times as slowly. A rate that
    is not used does not grow.

    If several cuts in a row did not help, they are undone and that share of throttled responses is accepted: see
    `ErrorStorm`.

    All times are seconds of a monotonic clock, all rates requests per second. A reserved start time does not change, so
    let only one worker at a time reserve and wait; otherwise one reservation per worker is left at the old rate when
    the rate changes.

    `max_rate` spaces requests evenly. The rate that an earlier run learned is used instead of `first_rate`, with
    careful growth. `cautious` grows a fifth as fast from the start: with many requests in flight the first throttling
    shows late.
    """

    def __init__(
        self,
        max_rate: float | None = None,
        *,
        first_rate: float = INITIAL_RATE,
        learned_rate: float | None = None,
        cautious: bool = False,
    ) -> None:
        self._gently = cautious
        self._cap = max_rate or math.inf
        self._rate = min(learned_rate or first_rate, self._cap)
        self._limit = learned_rate  # estimated rate at which throttling begins; None: unknown
        self._learned = learned_rate
        self._free_at = 0.0  # next start time that the rate allows
        self._cap_free_at = 0.0  # next start time that the cap allows
        self._resumes_at = 0.0
        self._had_to_wait = False
        self._refused_at = self._cut_at = -math.inf
        self._storm = ErrorStorm()
        self._uncut = (self._rate, self._limit, self._learned)  # values before the current series of cuts
        self._starts: deque[float] = deque()  # the last one, and all of the last second
        self._busy_since = 0.0
        self._good = 0  # successes since `_counted_since`
        self._counted_since = 0.0

    def to_json(self) -> str:
        """The complete state, for another process to continue from; short, because each request writes it."""
        last = self._starts[-1] if self._starts else 0.0
        starts = [round(last - start, 4) for start in self._starts]
        return json.dumps(vars(self) | {"_storm": vars(self._storm), "_starts": starts, "_last": last})

    @classmethod
    def from_json(cls, text: str) -> RateLimiter:
        """Restore the state that `to_json` returned."""
        limiter, values = cls(), json.loads(text)
        storm = values.pop("_storm")
        if "usual" in storm:  # written by version 0.1
            storm["usual_share"] = storm.pop("usual")
        vars(limiter._storm).update(storm)
        last = values.pop("_last")
        vars(limiter).update(values | {"_starts": deque(last - offset for offset in values["_starts"])})
        return limiter

    @property
    def rate(self) -> float:
        """Current rate, in requests per second."""
        return self._rate

    @property
    def learned_rate(self) -> float | None:
        """The rate to save for the next run, slightly below the limit; None: never throttled, so it is unknown."""
        has_risen = self._limit is None and self._learned is not None
        return self._rate if has_risen else self._learned

    def reserve(self, now: float) -> float:
        """Reserve the next start time; returns the seconds until then."""
        catch_up = min(CATCH_UP_SECONDS, MAX_CATCH_UP_REQUESTS / self._rate)
        earliest = max(now, self._free_at - catch_up)
        start = max(earliest, self._cap_free_at, self._resumes_at)
        if not self._starts or start - self._starts[-1] > MIN_MEASURE_SECONDS + 1 / self._rate:
            self._busy_since = start
            self._free_at = start + catch_up  # unused start times are not made up for
            self._restart_counting(start)
        self._had_to_wait = earliest > now
        self._free_at = max(self._free_at, start) + 1 / self._rate
        self._cap_free_at = start + 1 / self._cap
        self._starts.append(start)
        self._drop_old_starts(now)
        return start - now

    def pause(self, seconds: float, now: float) -> None:
        """Delay all further reservations by some seconds, as the platform asked."""
        self._resumes_at = max(self._resumes_at, now + seconds)

    def record_success(self, now: float) -> None:
        """Record a response that was not throttled; the rate may grow."""
        self._good += 1
        self._storm.record_answer(refused=False, slower=self._is_slower(now))
        self._drop_old_starts(now)
        is_used = self._had_to_wait and len(self._starts) >= MIN_USED_SHARE * self._rate * MEASURE_SECONDS
        is_on_trial = self._storm.is_on_trial and now - self._cut_at < MAX_TRIAL_SECONDS
        if is_used and not is_on_trial and now - self._refused_at >= HOLD_SECONDS:
            self._rate = min(self._rate + self._growth(now), self._cap)

    def record_rejection(self, now: float) -> None:
        """Record a 429 or 503; the rate falls if they are more than usual and slowing down helps."""
        is_slower = self._is_slower(now)
        self._storm.record_answer(refused=True, slower=is_slower)
        if not self._storm.is_above_usual:
            return
        self._refused_at = now
        if now - self._cut_at < MIN_CUT_INTERVAL_SECONDS or (is_slower and self._storm.has_too_few_answers):
            return
        if not is_slower:
            self._storm.begin_series()
            self._uncut = (self._rate, self._limit, self._learned)
        elif not self._storm.end_step():
            self._rate, self._limit, self._learned = self._uncut
            self._refused_at = self._cut_at = -math.inf
            self._restart_counting(now)
            return
        self._cut_rate(now)

    def _is_slower(self, now: float) -> bool:
        """Whether the rate has been below the last throttled rate for a while."""
        return self._limit is not None and self._rate < self._limit and now - self._cut_at >= CUT_EFFECT_SECONDS

    def _cut_rate(self, now: float) -> None:
        used, before = self._used_rate(now), self._rate
        self._rate = min(self._cap, max(MIN_RATE, CUT_FACTOR * used))
        if self._limit is None or self._learned is None:  # the rate may have overshot the limit
            self._limit = before
            self._learned = self._rate
        else:
            # Successes per second since counting began, corrected for the usual throttled share.
            good = self._good / (1 - self._storm.usual_share) / max(MIN_MEASURE_SECONDS, now - self._counted_since)
            self._limit = max(self._rate, (used + min(used, good)) / 2)
            self._learned = (self._learned + NEAR_LIMIT_FACTOR * self._limit) / 2
        self._cut_at = now
        self._storm.begin_step()
        self._restart_counting(now)

    def _growth(self, now: float) -> float:
        """What one success adds to the rate; about `rate` of them arrive per second."""
        if self._limit is not None and self._rate > RISEN_LIMIT_FACTOR * self._limit:
            self._limit = None
        if self._limit is None:
            is_unknown = self._learned is None and not self._storm.usual_share  # in a storm a limit is noticed later
            return INITIAL_GROWTH if is_unknown and not self._gently else CAUTIOUS_GROWTH
        is_near = self._rate >= NEAR_LIMIT_FACTOR * self._limit
        share = PROBING_PER_SECOND_SQUARED * max(0.0, now - self._counted_since) if is_near else RECOVERY_PER_SECOND
        max_growth = INITIAL_GROWTH
        if not is_near and self._storm.is_in_series:
            max_growth = min(max_growth, NEAR_LIMIT_FACTOR * self._limit - self._rate + 1e-9)
        return min(max_growth, share * self._limit / self._rate)

    def _used_rate(self, now: float) -> float:
        """Requests started per second recently; at least half the rate, because it is 0 after an idle period."""
        self._drop_old_starts(now)
        seconds = min(MEASURE_SECONDS, now - self._busy_since)
        starts = len(self._starts) / seconds if seconds >= MIN_MEASURE_SECONDS else self._rate
        return min(self._rate, max(starts, self._rate / 2))

    def _restart_counting(self, moment: float) -> None:
        self._counted_since, self._good = moment, 0

    def _drop_old_starts(self, now: float) -> None:
        while len(self._starts) > 1 and self._starts[0] <= now - MEASURE_SECONDS:
            self._starts.popleft()
