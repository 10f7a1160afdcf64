"""The rate finder: when the next request may start, as long as nobody says what the platform's limit is.

The figures were found by simulation (tests/transport/test_rate_limiter_simulated.py), over limits by token bucket and
by window, and over storms: refusals by chance, whatever the rate.
"""

from __future__ import annotations

import json
import math
from collections import deque

from invoca_bulk.config.settings import INITIAL_RATE

CUT_FACTOR = 0.7  # times what was used of the rate, after a refusal
MIN_CUT_INTERVAL_SECONDS = 2.0  # seconds: refusals of what was under way together are one piece of news
MIN_RATE = 0.1  # requests a second
HOLD_SECONDS = 0.5  # seconds after a refusal in which nothing grows
INITIAL_GROWTH = 1.0  # requests a second, for each good answer, before the first refusal
CAUTIOUS_GROWTH = 0.2  # the same, where a limit has risen: by how much, nobody knows
NEAR_LIMIT_FACTOR = 0.95  # of the limit: so far the rate comes back soon
RECOVERY_PER_SECOND = 0.5  # of the limit, a second: how fast it comes back
PROBING_PER_SECOND_SQUARED = (
    0.0003  # of the limit, a second, for each second since the last cut: how fast it grows from there
)
RISEN_LIMIT_FACTOR = 1.15  # times the limit, and still no refusal: it is not the limit any more
MIN_USED_SHARE = 0.5  # of the rate: what has to be used of it for it to grow
MEASURE_SECONDS = 1.0  # seconds over which it is counted what is used
MIN_MEASURE_SECONDS = 0.5  # seconds; shorter ones do not tell how many requests a second there are
CATCH_UP_SECONDS = 0.1  # seconds: a place that was missed by less is made up for
MAX_CATCH_UP_REQUESTS = 10  # requests, in making up

# Whether slower helps
CUT_EFFECT_SECONDS = 1.0  # seconds after a cut: answers before that were sent at the rate before
MIN_ANSWERS = 10  # answers at a slower rate, to tell what share of them is refused
MIN_REFUSALS_IF_MOST = 3  # refusals: if they are most of the answers, so many are enough
TOO_MANY_REFUSED_SHARE = 0.5  # of the answers: where more are refused, slower is always right
CUTS_PER_SERIES = 3  # cuts in a row after which to see whether they helped
MIN_REFUSALS_PER_SERIES = 4  # refusals in these: fewer can be chance
HELPED_FACTOR = 0.8  # times the share of refusals before: below that, slower helped
WORSE_FACTOR = 3.0  # times the share of refusals before: above that, something else began
USUAL_SHARE_TOLERANCE = 4 / 3  # times the usual share: what is above that is surplus
SURPLUS_LIMIT = 9.0  # refusals of surplus, times the square root of the usual share: chance makes hardly more than that
TRIAL_ANSWERS = 20  # answers at a slower rate, to see whether the usual share is still usual
MAX_TRIAL_SECONDS = 5.0  # seconds


class ErrorStorm:
    """Refusals that come at any rate, like those of a platform in trouble: what share of the answers they are.

    A cut that is due to a limit ends the refusals, or nearly so. If the share of refused answers after the third of
    some cuts in a row is not clearly below that after the two before, slower does not help: that share is the usual one
    from then on, and only what goes well beyond it is news. It is looked at again after each later cut.
    """

    def __init__(self) -> None:
        self.usual_share = 0.0  # of the answers; 0: each refusal is news
        self._steps: list[tuple[int, int]] = []  # after each cut of those in a row: refusals, answers
        self.begin_step()

    def begin_step(self) -> None:
        """The rate was cut: count anew."""
        self._refusals = self._answers = 0
        self._surplus = 0.0
        self.is_on_trial = self.usual_share > 0

    def begin_series(self) -> None:
        """The next cut is not one more of a row."""
        self._steps = []

    def record_answer(self, *, refused: bool, slower: bool) -> None:
        """Count an answer, `slower` if it came at a rate below the one that was refused before."""
        self._surplus = max(0.0, self._surplus + refused - USUAL_SHARE_TOLERANCE * self.usual_share)
        if slower:
            self._answers += 1
            self._refusals += refused
        if self.is_on_trial and self._answers >= TRIAL_ANSWERS:
            self.is_on_trial = False
            self.usual_share = (
                self._current_share if self._current_share < HELPED_FACTOR * self.usual_share else self.usual_share
            )

    @property
    def is_above_usual(self) -> bool:
        """Whether more is refused than usual."""
        return self._surplus > SURPLUS_LIMIT * math.sqrt(self.usual_share)

    @property
    def is_in_series(self) -> bool:
        """Whether slower is being tried."""
        return bool(self._steps)

    @property
    def has_too_few_answers(self) -> bool:
        """Whether there are too few answers at this rate to judge it."""
        return self._answers < MIN_ANSWERS and (
            self._current_share < TOO_MANY_REFUSED_SHARE or self._refusals < MIN_REFUSALS_IF_MOST
        )

    def end_step(self) -> bool:
        """Whether the cuts helped, as far as can be told; if not, this share of refusals is the usual one."""
        if self._steps and self._current_share > WORSE_FACTOR * _refused_share(self._steps[-1:]):
            self._steps = []
        self._steps = [*self._steps[1 - CUTS_PER_SERIES :], (self._refusals, self._answers)]
        is_known = (
            len(self._steps) == CUTS_PER_SERIES
            and sum(refusals for refusals, _ in self._steps) >= MIN_REFUSALS_PER_SERIES
        )
        if (
            not is_known
            or self._current_share >= TOO_MANY_REFUSED_SHARE
            or self._current_share < HELPED_FACTOR * _refused_share(self._steps[:-1])
        ):
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
    """When the next request may start: a token bucket whose rate is found by trying.

    Until the first refusal each good answer adds a request a second, so that the rate grows e-fold in a second. A
    refusal (429, 503) multiplies by 0.7 what was really used of the rate, at most once in 2 s; and the limit is put
    between that and what came through since the last cut. The rate soon comes back to just under the limit, and goes on
    from there the faster, the longer nothing is refused. Once it is 15% above without a refusal, the limit has risen,
    and is looked for as in the beginning, but five times as slowly. A rate that is not used does not grow.

    Where cuts in a row did not help, they are taken back, and as many refusals as there were are let pass: see
    `ErrorStorm`.

    All times are seconds of a monotonic clock. A place that was handed out stays, so let only one slot at a time
    reserve and wait: else as many places as there are slots are out at the old rate when it changes.

    Args:
        max_rate: the most requests to start in a second, evenly spaced; None: no cap.
        first_rate: requests a second to begin with.
        learned_rate: what an earlier run found: begun with instead, and gone on from gently.
        cautious: grow a fifth as fast from the first: where many are under way, the first refusal is heard late.
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
        self._limit = learned_rate  # about where refusals begin; None: not known
        self._learned = learned_rate
        self._free_at = 0.0  # by the rate
        self._cap_free_at = 0.0
        self._resumes_at = 0.0
        self._had_to_wait = False
        self._refused_at = self._cut_at = -math.inf
        self._storm = ErrorStorm()
        self._uncut = (self._rate, self._limit, self._learned)  # as they were before the cuts in a row
        self._starts: deque[float] = deque()  # the last one, and those of the last second
        self._busy_since = 0.0
        self._good = 0  # answers since then:
        self._counted_since = 0.0

    def to_json(self) -> str:
        """All of it, for another process to go on from; short, since it is written with each request."""
        last = self._starts[-1] if self._starts else 0.0
        starts = [round(last - start, 4) for start in self._starts]
        return json.dumps(vars(self) | {"_storm": vars(self._storm), "_starts": starts, "_last": last})

    @classmethod
    def from_json(cls, text: str) -> RateLimiter:
        """As `to_json` gave it."""
        pace, known = cls(), json.loads(text)
        vars(pace._storm).update(known.pop("_storm"))
        last = known.pop("_last")
        vars(pace).update(known | {"_starts": deque(last - before for before in known["_starts"])})
        return pace

    @property
    def rate(self) -> float:
        """Requests a second, at present."""
        return self._rate

    @property
    def learned_rate(self) -> float | None:
        """The rate worth remembering, a bit under the limit; None: nothing was ever refused, so nothing is known."""
        has_risen = self._limit is None and self._learned is not None
        return self._rate if has_risen else self._learned

    def reserve(self, now: float) -> float:
        """Take the next place; returns the seconds until it comes up."""
        catch_up = min(CATCH_UP_SECONDS, MAX_CATCH_UP_REQUESTS / self._rate)
        place = max(now, self._free_at - catch_up)
        start = max(place, self._cap_free_at, self._resumes_at)
        if not self._starts or start - self._starts[-1] > MIN_MEASURE_SECONDS + 1 / self._rate:
            self._busy_since = start
            self._free_at = start + catch_up  # places that nobody asked for were not missed
            self._restart_counting(start)
        self._had_to_wait = place > now
        self._free_at = max(self._free_at, start) + 1 / self._rate
        self._cap_free_at = start + 1 / self._cap
        self._starts.append(start)
        self._drop_old_starts(now)
        return start - now

    def pause(self, seconds: float, now: float) -> None:
        """Let nothing that has not reserved yet start for some seconds: the platform asked for it."""
        self._resumes_at = max(self._resumes_at, now + seconds)

    def record_success(self, now: float) -> None:
        """There was a good answer: go on, perhaps faster."""
        self._good += 1
        self._storm.record_answer(refused=False, slower=self._is_slower(now))
        self._drop_old_starts(now)
        is_used = self._had_to_wait and len(self._starts) >= MIN_USED_SHARE * self._rate * MEASURE_SECONDS
        is_on_trial = self._storm.is_on_trial and now - self._cut_at < MAX_TRIAL_SECONDS
        if is_used and not is_on_trial and now - self._refused_at >= HOLD_SECONDS:
            self._rate = min(self._rate + self._growth(now), self._cap)

    def record_rejection(self, now: float) -> None:
        """There was a 429 or a 503: slow down, if there are more of them than usual and slower helps."""
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
            self._undo_cuts(now)
            return
        self._cut_rate(now)

    def _is_slower(self, now: float) -> bool:
        """Whether the rate is below the one that was refused last, and has been for a while."""
        return self._limit is not None and self._rate < self._limit and now - self._cut_at >= CUT_EFFECT_SECONDS

    def _undo_cuts(self, now: float) -> None:
        self._rate, self._limit, self._learned = self._uncut
        self._refused_at = self._cut_at = -math.inf
        self._restart_counting(now)

    def _cut_rate(self, now: float) -> None:
        used, before = self._used_rate(now), self._rate
        self._rate = min(self._cap, max(MIN_RATE, CUT_FACTOR * used))
        if self._limit is None or self._learned is None:  # what it grew by in a moment does not tell where the limit is
            self._limit = before
            self._learned = self._rate
        else:
            self._limit = max(self._rate, (used + min(used, self._success_rate(now))) / 2)
            self._learned = (self._learned + NEAR_LIMIT_FACTOR * self._limit) / 2
        self._cut_at = now
        self._storm.begin_step()
        self._restart_counting(now)

    def _growth(self, now: float) -> float:
        """What a good answer adds to the rate; as many of them come in a second as the rate says."""
        if self._limit is not None and self._rate > RISEN_LIMIT_FACTOR * self._limit:
            self._limit = None
        if self._limit is None:
            is_unknown = self._learned is None and not self._storm.usual_share  # in a storm a limit is noticed later
            return INITIAL_GROWTH if is_unknown and not self._gently else CAUTIOUS_GROWTH
        is_near = self._rate >= NEAR_LIMIT_FACTOR * self._limit
        share = PROBING_PER_SECOND_SQUARED * max(0.0, now - self._counted_since) if is_near else RECOVERY_PER_SECOND
        most = (
            INITIAL_GROWTH
            if is_near or not self._storm.is_in_series
            else NEAR_LIMIT_FACTOR * self._limit - self._rate + 1e-9
        )
        return min(most, INITIAL_GROWTH, share * self._limit / self._rate)

    def _used_rate(self, now: float) -> float:
        """Requests a second that were started lately; at least half the rate, as after a quiet time it is none."""
        self._drop_old_starts(now)
        seconds = min(MEASURE_SECONDS, now - self._busy_since)
        starts = len(self._starts) / seconds if seconds >= MIN_MEASURE_SECONDS else self._rate
        return min(self._rate, max(starts, self._rate / 2))

    def _success_rate(self, now: float) -> float:
        """Good answers a second since counting began, as there would be without those that are refused anyhow."""
        return self._good / (1 - self._storm.usual_share) / max(MIN_MEASURE_SECONDS, now - self._counted_since)

    def _restart_counting(self, moment: float) -> None:
        self._counted_since, self._good = moment, 0

    def _drop_old_starts(self, now: float) -> None:
        while len(self._starts) > 1 and self._starts[0] <= now - MEASURE_SECONDS:
            self._starts.popleft()
