"""What became of purchases in doubt: looked up by their own ids, or told from the campaign's list.

In one pass at the end of a run, and not before everything that was sent has been applied, or never will be. Purchases
of other runs of this network that stand in doubt in the same campaigns are settled along with it: else their numbers
could be taken for this run's.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from invoca_bulk.errors import CallFailed, InvocaBulkError, NotAuthorized
from invoca_bulk.execution import matching, outcomes, preflight
from invoca_bulk.journal import Change, State
from invoca_bulk.schema import OPERATIONS, PROMO_NUMBERS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from invoca_bulk.config.options import Rules
    from invoca_bulk.execution.cancellation import Stop
    from invoca_bulk.execution.journal_writer import Scribe
    from invoca_bulk.execution.outcomes import Verdict
    from invoca_bulk.execution.throttle import Steady
    from invoca_bulk.execution.workload import Tally, Work
    from invoca_bulk.journal import Journal, StepRecord
    from invoca_bulk.planning import Scope
    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.transport.client import Answer, Client

_LIST = OPERATIONS["list"]
_BY_ID = next(one for one in PROMO_NUMBERS.collections if one.key == "id_from_network")
_RESUME_FIRST = "another run has requests in doubt in its campaign; resume that first: invoca-bulk resume {}"
#: Seconds between two lists that have to be equal; less where the settle time is short.
_BETWEEN_LISTS = 2.0
#: So many lists are read until two that follow each other are equal.
_MOST_LISTS = 6
#: An answer that began with one of these has certainly created.
_CREATED = frozenset({200, 201})


class Settling:
    """The settling of one execution.

    Args:
        client: an open client.
        scribe: writes to the journal, and reads from it.
        journal: the network's journal.
        work: what the execution has to do.
        rules: how long to wait, and whether what was not found is sent again.
        stop: whether the run goes on.
        steady: when requests may start.
        tally: where the user is told.
        version: the API version that the run uses.
        now: the clock, seconds since the epoch.

    Attributes:
        is_left: whether something of this run was left in doubt because the run stopped.
    """

    def __init__(  # noqa: PLR0913  each is a part of its own; keyword-only
        self,
        *,
        client: Client,
        scribe: Scribe,
        journal: Journal,
        work: Work,
        rules: Rules,
        stop: Stop,
        steady: Steady,
        tally: Tally,
        version: str,
        now: Callable[[], float],
    ) -> None:
        self._client = client
        self._scribe = scribe
        self._journal = journal
        self._work = work
        self._rules = rules
        self._stop = stop
        self._steady = steady
        self._tally = tally
        self._version = version
        self._now = now
        self._states: dict[int, State] = {}
        self._compared: set[int] = set()  # steps of this run that the campaign's list did not tell
        self._sent_again: set[int] = set()
        self._out_of_reach: dict[Scope, str] = {}  # campaigns of which this API version cannot look all up, to a run
        self.is_left = False

    async def look_anew(self) -> None:
        """What was not found when it was looked for earlier may have come since: it is in doubt again."""
        mine = await self._scribe.ask(lambda: self._journal.doubted(State.ABSENT))
        await self._scribe.write(*(_change(one, State.ABSENT, State.IN_DOUBT) for one in mine if self._matters(one)))

    async def settle(self) -> Mapping[int, State]:
        """Find out what can be found out.

        Returns:
            The steps of this run whose state has become another one.
        """
        self._states, self._compared = {}, set()
        doubted = await self._doubted()
        named = [one for one in doubted if preflight.can_be_looked_for(one.step)]
        early = await self._look_up(named)
        listed = [one for one in doubted if one not in named]
        if (early or listed) and await self._waited([*early, *listed]):
            await self._look_up(early)
            ids = {one.step.own_id for one in named if one.step.own_id}
            for scope, some in _by_scope(listed).items():
                if scope in self._out_of_reach:
                    await self._keep_all_open(some, _RESUME_FIRST.format(self._out_of_reach[scope]))
                else:
                    await self._compare(scope, some, ids)
        self.is_left = bool(self._stop) and any(map(self._matters, await self._doubted()))
        return self._states

    def to_send_again(self) -> list[int]:
        """The steps of this run that were looked for just now and may be sent again.

        Without an id of their own, once: the user has agreed to one more number, not to five.
        """
        again = sorted(number for number in self._states if self._may_be_sent_again(number))
        self._sent_again.update(again)
        return again

    def _may_be_sent_again(self, number: int) -> bool:
        state = self._states[number]
        if state is State.ABSENT and self._work.steps[number].own_id:
            return True
        if number in self._sent_again:
            return False
        if state is State.ABSENT:
            return self._rules.resend_absent or self._rules.resend_unknown
        # The user has looked at what an earlier execution left open, and at nothing else.
        was_open = number in self._work.known and number in self._compared
        return state is State.IN_DOUBT and was_open and self._rules.resend_unknown

    async def _doubted(self) -> list[StepRecord]:
        """The purchases in doubt of the campaigns that matter to this run, those of older runs first."""
        doubted = await self._scribe.ask(self._journal.doubted)
        scopes = {_scope(one) for one in doubted if self._matters(one)}
        near = [one for one in doubted if _scope(one) in scopes]
        self._out_of_reach = {_scope(one): one.run for one in near if not self._is_in_reach(one)}
        return [one for one in near if self._is_in_reach(one)]

    def _is_in_reach(self, one: StepRecord) -> bool:
        """Whether its own id can be looked up: not every API version knows such ids."""
        return self._matters(one) or not one.step.own_id or self._version >= _BY_ID.since

    def _matters(self, one: StepRecord) -> bool:
        return one.run == self._work.run or (one.run, one.step.number) in self._work.concerns

    # Time

    def _due(self, one: StepRecord) -> float:
        """Seconds until a request has been applied, or never will be; a clock that was set back makes nobody wait."""
        since = max(one.sent_at or 0.0, one.ended_at or 0.0)  # a request may be under way for long
        return min(self._rules.settle, since + self._rules.settle - self._now())

    async def _waited(self, some: Sequence[StepRecord]) -> bool:
        """Wait until all of them are due; False: the run stops instead."""
        wait = max(map(self._due, some))
        if wait > 1 and not self._stop:
            rows = f"{len(some):,} row{'s' if len(some) > 1 else ''}"
            self._tally.said.append(f"Waiting {wait:.0f} s, then looking up what became of {rows} in doubt.")
        return not await self._stop.within(wait)

    # With a name of their own

    async def _look_up(self, some: Iterable[StepRecord]) -> list[StepRecord]:
        """Look each up by its name; those that are not there, and are not due yet, are given back."""
        return [one for one in some if not await self._is_told(one)]

    async def _is_told(self, one: StepRecord) -> bool:
        is_due = self._due(one) <= 0
        if not await self._turn(one):
            return False
        try:
            found = await preflight.look_for(self._client, _SLOT, one.step)
        except NotAuthorized:
            raise
        except InvocaBulkError as error:
            await self._keep_open(one, f"it could not be read ({error})")
            return True
        if found is not None:
            await self._put(one, State.DONE, outcomes.found(found))
        elif is_due:
            await self._absent(one)
        return found is not None or is_due

    # By list and difference

    async def _compare(self, scope: Scope, some: Sequence[StepRecord], ids: Collection[str]) -> None:
        """Tell from a campaign's list which of its purchases in doubt were made."""
        try:
            listed = await self._listed(scope, some[0])
        except NotAuthorized:
            raise
        except InvocaBulkError as error:
            await self._keep_all_open(some, f"the numbers of its campaign could not be read ({error})")
            return
        if listed is None:
            await self._keep_all_open(some, "the numbers of its campaign kept changing")
            return
        some = sorted(some, key=lambda one: one.http_status not in _CREATED)  # what was surely created is served first
        baselines, explained = await self._scribe.ask(lambda: self._known(scope, some))
        bodies = [(at, one.step.body or {}, baselines[one.run]) for at, one in enumerate(some)]
        doubted = [matching.Doubted(step=at, body=body, baseline=baseline) for at, body, baseline in bodies]
        others = [one for one in listed if one.get(_BY_ID.key) not in ids]  # those were looked up by their ids
        settled = matching.settle(doubted, others, explained)
        for at, found in settled.found.items():
            await self._put(some[at], State.DONE, outcomes.found(found))
        for at in settled.absent:
            await self._absent(some[at])
        for at, why in settled.open.items():
            await self._put(some[at], State.IN_DOUBT, outcomes.undecided(why.error, why.fix))
            if some[at].run == self._work.run and some[at].http_status not in _CREATED:
                self._compared.add(some[at].step.number)

    def _known(self, scope: Scope, some: Iterable[StepRecord]) -> tuple[dict[str, frozenset[str]], set[str]]:
        """Run to what the campaign had when it began; and the numbers that answers have named since the first did."""
        runs = {one.run for one in some}
        baselines = {run: frozenset(self._journal.baselines(run).get(scope, ())) for run in runs}
        since = min(self._journal.run(run).started_at for run in runs)
        return baselines, self._journal.known_numbers(since, runs)

    async def _listed(self, scope: Scope, one: StepRecord) -> Sequence[Mapping[str, Json]] | None:
        """The campaign's numbers, once two lists that follow each other are equal; None: they never are."""
        before = None
        for _ in range(_MOST_LISTS):
            if not await self._turn(one):
                return None
            answer = await self._client.get(_SLOT, (*scope, PROMO_NUMBERS.name))
            items = _numbers(answer)
            numbers = {outcomes.number_of(it) for it in items}
            if numbers == before:
                return items
            before = numbers
            await self._stop.within(min(_BETWEEN_LISTS, self._rules.settle / 4))
        return None

    async def _turn(self, one: StepRecord) -> bool:
        return await self._steady.turn(_SLOT, preflight.probe_of(one.step))

    # What is found goes into the journal

    async def _absent(self, one: StepRecord) -> None:
        if one.http_status in _CREATED:
            await self._keep_open(one, f"the platform, which had said {one.http_status}, did not show it")
        else:
            await self._put(one, State.ABSENT, outcomes.absent(one.step, self._rules.settle, one.error))

    async def _keep_all_open(self, some: Iterable[StepRecord], reason: str) -> None:
        for one in () if self._stop else some:
            await self._keep_open(one, reason)

    async def _keep_open(self, one: StepRecord, reason: str) -> None:
        await self._put(one, State.IN_DOUBT, outcomes.unsettled(one.step, reason, one.error))

    async def _put(self, one: StepRecord, state: State, verdict: Verdict) -> None:
        known: dict[str, object] = {"error": verdict.error, "fix": verdict.fix}
        if state is State.DONE:
            known |= {"ended_at": self._now(), "http_status": verdict.http_status, "answer": verdict.answer}
        await self._scribe.write(_change(one, State.IN_DOUBT, state, **known))
        if one.run == self._work.run:
            self._states[one.step.number] = state


#: The slots are free when a run settles; one of them is enough for the few requests that are in doubt.
_SLOT = 0


def _numbers(answer: Answer) -> Sequence[Mapping[str, Json]]:
    """The numbers of a list.

    Raises:
        CallFailed: it is none.
    """
    items = answer.body
    if answer.status == _LIST.success and isinstance(items, list) and all(isinstance(one, dict) for one in items):
        return items
    raise CallFailed(outcomes.explained(answer, {}).rstrip("."))


def _scope(one: StepRecord) -> Scope:
    return one.step.path[:-1]


def _by_scope(some: Iterable[StepRecord]) -> dict[Scope, list[StepRecord]]:
    groups: dict[Scope, list[StepRecord]] = defaultdict(list)
    for one in some:
        groups[_scope(one)].append(one)
    return groups


def _change(one: StepRecord, before: State, after: State, /, **values: object) -> Change:
    return Change(run=one.run, step=one.step.number, before=before, after=after, values=values)
