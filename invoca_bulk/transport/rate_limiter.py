"""The rate finder: when the next request may start, as long as nobody says what the platform's limit is.

The figures were found by simulation (tests/transport/test_rate_limiter_simulated.py), over limits by token bucket and
by window, and over storms: refusals by chance, whatever the rate.
"""

from __future__ import annotations

import json
import math
from collections import deque

from invoca_bulk.config.settings import FIRST_RATE

CUT = 0.7  # times what was used of the rate, after a refusal
CUTS_APART = 2.0  # seconds: refusals of what was under way together are one piece of news
SLOWEST = 0.1  # requests a second
HOLD = 0.5  # seconds after a refusal in which nothing grows
GROWTH = 1.0  # requests a second, for each good answer, before the first refusal
GROWTH_AGAIN = 0.2  # the same, where a limit has risen: by how much, nobody knows
NEAR = 0.95  # of the limit: so far the rate comes back soon
RECOVERY = 0.5  # of the limit, a second: how fast it comes back
PROBING = 0.0003  # of the limit, a second, for each second since the last cut: how fast it grows from there
RISEN = 1.15  # times the limit, and still no refusal: it is not the limit any more
IN_USE = 0.5  # of the rate: what has to be used of it for it to grow
MEASURED = 1.0  # seconds over which it is counted what is used
TOO_SHORT = 0.5  # seconds; shorter ones do not tell how many requests a second there are
CATCH_UP = 0.1  # seconds: a place that was missed by less is made up for
MOST_AT_ONCE = 10  # requests, in making up

# Whether slower helps
SETTLED = 1.0  # seconds after a cut: answers before that were sent at the rate before
ENOUGH = 10  # answers at a slower rate, to tell what share of them is refused
SURE = 3  # refusals: if they are most of the answers, so many are enough
MOST = 0.5  # of the answers: where more are refused, slower is always right
STEPS = 3  # cuts in a row after which to see whether they helped
EVIDENCE = 4  # refusals in these: fewer can be chance
HELPED = 0.8  # times the share of refusals before: below that, slower helped
WORSE = 3.0  # times the share of refusals before: above that, something else began
TOLERANCE = 4 / 3  # times the usual share: what is above that is surplus
PATIENCE = 9.0  # refusals of surplus, times the square root of the usual share: chance makes hardly more than that
TRIAL = 20  # answers at a slower rate, to see whether the usual share is still usual
LONGEST_TRIAL = 5.0  # seconds


class Storm:
    """Refusals that come at any rate, like those of a platform in trouble: what share of the answers they are.

    A cut that is due to a limit ends the refusals, or nearly so. If the share of refused answers after the third of
    some cuts in a row is not clearly below that after the two before, slower does not help: that share is the usual one
    from then on, and only what goes well beyond it is news. It is looked at again after each later cut.
    """

    def __init__(self) -> None:
        self.usual = 0.0  # of the answers; 0: each refusal is news
        self._steps: list[tuple[int, int]] = []  # after each cut of those in a row: refusals, answers
        self.begin_step()

    def begin_step(self) -> None:
        """The rate was cut: count anew."""
        self._refusals = self._answers = 0
        self._surplus = 0.0
        self.is_on_trial = self.usual > 0

    def begin(self) -> None:
        """The next cut is not one more of a row."""
        self._steps = []

    def count(self, *, refused: bool, slower: bool) -> None:
        """Count an answer, `slower` if it came at a rate below the one that was refused before."""
        self._surplus = max(0.0, self._surplus + refused - TOLERANCE * self.usual)
        if slower:
            self._answers += 1
            self._refusals += refused
        if self.is_on_trial and self._answers >= TRIAL:
            self.is_on_trial = False
            self.usual = self._share if self._share < HELPED * self.usual else self.usual

    @property
    def is_news(self) -> bool:
        """Whether more is refused than usual."""
        return self._surplus > PATIENCE * math.sqrt(self.usual)

    @property
    def is_in_a_row(self) -> bool:
        """Whether slower is being tried."""
        return bool(self._steps)

    @property
    def is_undecided(self) -> bool:
        """Whether there are too few answers at this rate to judge it."""
        return self._answers < ENOUGH and (self._share < MOST or self._refusals < SURE)

    def end_step(self) -> bool:
        """Whether the cuts helped, as far as can be told; if not, this share of refusals is the usual one."""
        if self._steps and self._share > WORSE * _share(self._steps[-1:]):
            self._steps = []
        self._steps = [*self._steps[1 - STEPS :], (self._refusals, self._answers)]
        is_known = len(self._steps) == STEPS and sum(refusals for refusals, _ in self._steps) >= EVIDENCE
        if not is_known or self._share >= MOST or self._share < HELPED * _share(self._steps[:-1]):
            return True
        self.usual = _share(self._steps)
        self.begin_step()
        self.is_on_trial = False
        return False

    @property
    def _share(self) -> float:
        return _share([(self._refusals, self._answers)])


def _share(steps: list[tuple[int, int]]) -> float:
    return sum(refusals for refusals, _ in steps) / max(1, sum(answers for _, answers in steps))


class Pace:
    """When the next request may start: a token bucket whose rate is found by trying.

    Until the first refusal each good answer adds a request a second, so that the rate grows e-fold in a second. A
    refusal (429, 503) multiplies by 0.7 what was really used of the rate, at most once in 2 s; and the limit is put
    between that and what came through since the last cut. The rate soon comes back to just under the limit, and goes on
    from there the faster, the longer nothing is refused. Once it is 15% above without a refusal, the limit has risen,
    and is looked for as in the beginning, but five times as slowly. A rate that is not used does not grow.

    Where cuts in a row did not help, they are taken back, and as many refusals as there were are let pass: see `Storm`.

    All times are seconds of a monotonic clock. A place that was handed out stays, so let only one slot at a time
    reserve and wait: else as many places as there are slots are out at the old rate when it changes.

    Args:
        cap: the most requests to start in a second, evenly spaced; None: no cap.
        first: requests a second to begin with.
        learned: what an earlier run found: begun with instead, and gone on from gently.
        gently: grow a fifth as fast from the first: where many are under way, the first refusal is heard late.
    """

    def __init__(
        self,
        cap: float | None = None,
        *,
        first: float = FIRST_RATE,
        learned: float | None = None,
        gently: bool = False,
    ) -> None:
        self._gently = gently
        self._cap = cap or math.inf
        self._rate = min(learned or first, self._cap)
        self._limit = learned  # about where refusals begin; None: not known
        self._learned = learned
        self._free_at = 0.0  # by the rate
        self._cap_free_at = 0.0
        self._resumes_at = 0.0
        self._had_to_wait = False
        self._refused_at = self._cut_at = -math.inf
        self._storm = Storm()
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
    def from_json(cls, text: str) -> Pace:
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
    def learned(self) -> float | None:
        """The rate worth remembering, a bit under the limit; None: nothing was ever refused, so nothing is known."""
        has_risen = self._limit is None and self._learned is not None
        return self._rate if has_risen else self._learned

    def reserve(self, now: float) -> float:
        """Take the next place; returns the seconds until it comes up."""
        catch_up = min(CATCH_UP, MOST_AT_ONCE / self._rate)
        place = max(now, self._free_at - catch_up)
        start = max(place, self._cap_free_at, self._resumes_at)
        if not self._starts or start - self._starts[-1] > TOO_SHORT + 1 / self._rate:
            self._busy_since = start
            self._free_at = start + catch_up  # places that nobody asked for were not missed
            self._count_from(start)
        self._had_to_wait = place > now
        self._free_at = max(self._free_at, start) + 1 / self._rate
        self._cap_free_at = start + 1 / self._cap
        self._starts.append(start)
        self._forget(now)
        return start - now

    def pause(self, seconds: float, now: float) -> None:
        """Let nothing that has not reserved yet start for some seconds: the platform asked for it."""
        self._resumes_at = max(self._resumes_at, now + seconds)

    def answered(self, now: float) -> None:
        """There was a good answer: go on, perhaps faster."""
        self._good += 1
        self._storm.count(refused=False, slower=self._is_slower(now))
        self._forget(now)
        is_used = self._had_to_wait and len(self._starts) >= IN_USE * self._rate * MEASURED
        is_on_trial = self._storm.is_on_trial and now - self._cut_at < LONGEST_TRIAL
        if is_used and not is_on_trial and now - self._refused_at >= HOLD:
            self._rate = min(self._rate + self._growth(now), self._cap)

    def refused(self, now: float) -> None:
        """There was a 429 or a 503: slow down, if there are more of them than usual and slower helps."""
        is_slower = self._is_slower(now)
        self._storm.count(refused=True, slower=is_slower)
        if not self._storm.is_news:
            return
        self._refused_at = now
        if now - self._cut_at < CUTS_APART or (is_slower and self._storm.is_undecided):
            return
        if not is_slower:
            self._storm.begin()
            self._uncut = (self._rate, self._limit, self._learned)
        elif not self._storm.end_step():
            self._take_back(now)
            return
        self._cut(now)

    def _is_slower(self, now: float) -> bool:
        """Whether the rate is below the one that was refused last, and has been for a while."""
        return self._limit is not None and self._rate < self._limit and now - self._cut_at >= SETTLED

    def _take_back(self, now: float) -> None:
        self._rate, self._limit, self._learned = self._uncut
        self._refused_at = self._cut_at = -math.inf
        self._count_from(now)

    def _cut(self, now: float) -> None:
        used, before = self._used(now), self._rate
        self._rate = min(self._cap, max(SLOWEST, CUT * used))
        if self._limit is None or self._learned is None:  # what it grew by in a moment does not tell where the limit is
            self._limit = before
            self._learned = self._rate
        else:
            self._limit = max(self._rate, (used + min(used, self._came_through(now))) / 2)
            self._learned = (self._learned + NEAR * self._limit) / 2
        self._cut_at = now
        self._storm.begin_step()
        self._count_from(now)

    def _growth(self, now: float) -> float:
        """What a good answer adds to the rate; as many of them come in a second as the rate says."""
        if self._limit is not None and self._rate > RISEN * self._limit:
            self._limit = None
        if self._limit is None:
            is_unknown = self._learned is None and not self._storm.usual  # in a storm a limit is noticed later
            return GROWTH if is_unknown and not self._gently else GROWTH_AGAIN
        is_near = self._rate >= NEAR * self._limit
        share = PROBING * max(0.0, now - self._counted_since) if is_near else RECOVERY
        most = GROWTH if is_near or not self._storm.is_in_a_row else NEAR * self._limit - self._rate + 1e-9
        return min(most, GROWTH, share * self._limit / self._rate)

    def _used(self, now: float) -> float:
        """Requests a second that were started lately; at least half the rate, as after a quiet time it is none."""
        self._forget(now)
        seconds = min(MEASURED, now - self._busy_since)
        starts = len(self._starts) / seconds if seconds >= TOO_SHORT else self._rate
        return min(self._rate, max(starts, self._rate / 2))

    def _came_through(self, now: float) -> float:
        """Good answers a second since counting began, as there would be without those that are refused anyhow."""
        return self._good / (1 - self._storm.usual) / max(TOO_SHORT, now - self._counted_since)

    def _count_from(self, moment: float) -> None:
        self._counted_since, self._good = moment, 0

    def _forget(self, now: float) -> None:
        while len(self._starts) > 1 and self._starts[0] <= now - MEASURED:
            self._starts.popleft()
