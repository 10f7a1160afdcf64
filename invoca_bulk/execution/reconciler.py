"""What became of purchases in doubt: looked up by their own ids, or told from the campaign's list.

In one pass at the end of a run, and not before everything that was sent has been applied, or never will be. Purchases
of other runs of this network that stand in doubt in the same campaigns are settled along with it: else their numbers
could be taken for this run's.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from invoca_bulk.errors import AuthenticationError, InvocaBulkError, RequestFailedError
from invoca_bulk.execution import matching, outcomes, preflight
from invoca_bulk.journal import State, StepTransition
from invoca_bulk.schema import OPERATIONS, PROMO_NUMBERS
from invoca_bulk.wording import remedy

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from invoca_bulk.config.options import ExecutionPolicy
    from invoca_bulk.execution.cancellation import CancelToken
    from invoca_bulk.execution.journal_writer import JournalWriter
    from invoca_bulk.execution.outcomes import StepResult
    from invoca_bulk.execution.throttle import Throttle
    from invoca_bulk.execution.workload import RunCounters, Workload
    from invoca_bulk.journal import Journal, StepRecord
    from invoca_bulk.planning import Scope
    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.transport.client import Client, Response

_LIST = OPERATIONS["list"]
_COLLECTION_BY_ID = next(one for one in PROMO_NUMBERS.collections if one.identifier_field == "id_from_network")
_RESUME_OTHER_RUN_REASON = (
    f"another run has requests in doubt in its campaign; resume that first: {remedy('resume', run='{}')}"
)
#: Seconds between two lists that have to be equal; less where the settle time is short.
_LIST_INTERVAL_SECONDS = 2.0
#: So many lists are read until two that follow each other are equal.
_MAX_LIST_READS = 6
#: An answer that began with one of these has certainly created.
_CREATED_STATUSES = frozenset({200, 201})


class Reconciler:
    """The settling of one execution.

    Args:
        client: an open client.
        journal_writer: writes to the journal, and reads from it.
        journal: the network's journal.
        work: what the execution has to do.
        policy: how long to wait, and whether what was not found is sent again.
        cancel_token: whether the run goes on.
        throttle: when requests may start.
        counters: where the user is told.
        api_version: the API version that the run uses.
        clock: the clock, seconds since the epoch.

    Attributes:
        has_unresolved: whether something of this run was left in doubt because the run stopped.
    """

    def __init__(  # noqa: PLR0913  each is a part of its own; keyword-only
        self,
        *,
        client: Client,
        journal_writer: JournalWriter,
        journal: Journal,
        work: Workload,
        policy: ExecutionPolicy,
        cancel_token: CancelToken,
        throttle: Throttle,
        counters: RunCounters,
        api_version: str,
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._journal_writer = journal_writer
        self._journal = journal
        self._work = work
        self._policy = policy
        self._cancel_token = cancel_token
        self._throttle = throttle
        self._counters = counters
        self._api_version = api_version
        self._clock = clock
        self._changed_states: dict[int, State] = {}
        self._ambiguous_steps: set[int] = set()  # steps of this run that the campaign's list did not tell
        self._resent_steps: set[int] = set()
        self._unsupported_scopes: dict[
            Scope, str
        ] = {}  # campaigns of which this API version cannot look all up, to a run
        self.has_unresolved = False

    async def reopen_absent(self) -> None:
        """What was not found when it was looked for earlier may have come since: it is in doubt again."""
        mine = await self._journal_writer.query(lambda: self._journal.unresolved_purchases(State.ABSENT))
        await self._journal_writer.write(
            *(_build_change(one, State.ABSENT, State.IN_DOUBT) for one in mine if self._is_relevant(one))
        )

    async def reconcile(self) -> Mapping[int, State]:
        """Find out what can be found out.

        Returns:
            The steps of this run whose state has become another one.
        """
        self._changed_states, self._ambiguous_steps = {}, set()
        doubted = await self._load_in_doubt()
        named = [one for one in doubted if preflight.is_identifiable(one.step)]
        early = await self._resolve_by_identity(named)
        listed = [one for one in doubted if one not in named]
        if (early or listed) and await self._wait_until_due([*early, *listed]):
            await self._resolve_by_identity(early)
            ids = {one.step.own_id for one in named if one.step.own_id}
            for scope, some in _group_by_scope(listed).items():
                if scope in self._unsupported_scopes:
                    await self._record_all_unresolved(
                        some, _RESUME_OTHER_RUN_REASON.format(self._unsupported_scopes[scope])
                    )
                else:
                    await self._resolve_by_list(scope, some, ids)
        self.has_unresolved = bool(self._cancel_token) and any(map(self._is_relevant, await self._load_in_doubt()))
        return self._changed_states

    def select_resendable(self) -> list[int]:
        """The steps of this run that were looked for just now and may be sent again.

        Without an id of their own, once: the user has agreed to one more number, not to five.
        """
        again = sorted(number for number in self._changed_states if self._is_resendable(number))
        self._resent_steps.update(again)
        return again

    def _is_resendable(self, number: int) -> bool:
        state = self._changed_states[number]
        if state is State.ABSENT and self._work.steps[number].own_id:
            return True
        if number in self._resent_steps:
            return False
        if state is State.ABSENT:
            return self._policy.resend_absent or self._policy.resend_unknown
        # The user has looked at what an earlier execution left open, and at nothing else.
        was_open = number in self._work.step_records and number in self._ambiguous_steps
        return state is State.IN_DOUBT and was_open and self._policy.resend_unknown

    async def _load_in_doubt(self) -> list[StepRecord]:
        """The purchases in doubt of the campaigns that matter to this run, those of older runs first."""
        doubted = await self._journal_writer.query(self._journal.unresolved_purchases)
        scopes = {_scope_of(one) for one in doubted if self._is_relevant(one)}
        near = [one for one in doubted if _scope_of(one) in scopes]
        self._unsupported_scopes = {_scope_of(one): one.run for one in near if not self._can_look_up(one)}
        return [one for one in near if self._can_look_up(one)]

    def _can_look_up(self, one: StepRecord) -> bool:
        """Whether its own id can be looked up: not every API version knows such ids."""
        return self._is_relevant(one) or not one.step.own_id or self._api_version >= _COLLECTION_BY_ID.since

    def _is_relevant(self, one: StepRecord) -> bool:
        return one.run == self._work.run or (one.run, one.step.number) in self._work.borrowed_steps

    # Time

    def _seconds_until_due(self, one: StepRecord) -> float:
        """Seconds until a request has been applied, or never will be; a clock that was set back makes nobody wait."""
        since = max(one.sent_at or 0.0, one.ended_at or 0.0)  # a request may be under way for long
        return min(self._policy.settle_seconds, since + self._policy.settle_seconds - self._clock())

    async def _wait_until_due(self, some: Sequence[StepRecord]) -> bool:
        """Wait until all of them are due; False: the run stops instead."""
        wait = max(map(self._seconds_until_due, some))
        if wait > 1 and not self._cancel_token:
            rows = f"{len(some):,} row{'s' if len(some) > 1 else ''}"
            self._counters.messages.append(f"Waiting {wait:.0f} s, then looking up what became of {rows} in doubt.")
        return not await self._cancel_token.wait(wait)

    # With a name of their own

    async def _resolve_by_identity(self, some: Iterable[StepRecord]) -> list[StepRecord]:
        """Look each up by its name; those that are not there, and are not due yet, are given back."""
        return [one for one in some if not await self._try_resolve_by_identity(one)]

    async def _try_resolve_by_identity(self, one: StepRecord) -> bool:
        is_due = self._seconds_until_due(one) <= 0
        if not await self._wait_for_throttle(one):
            return False
        try:
            found = await preflight.find_by_identity(self._client, _CONNECTION, one.step)
        except AuthenticationError:
            raise
        except InvocaBulkError as error:
            await self._record_unresolved(one, f"it could not be read ({error})")
            return True
        if found is not None:
            await self._record_result(one, State.DONE, outcomes.confirmed(found))
        elif is_due:
            await self._record_not_found(one)
        return found is not None or is_due

    # By list and difference

    async def _resolve_by_list(self, scope: Scope, some: Sequence[StepRecord], own_ids: Collection[str]) -> None:
        """Tell from a campaign's list which of its purchases in doubt were made."""
        try:
            listed = await self._read_stable_list(scope, some[0])
        except AuthenticationError:
            raise
        except InvocaBulkError as error:
            await self._record_all_unresolved(some, f"the numbers of its campaign could not be read ({error})")
            return
        if listed is None:
            await self._record_all_unresolved(some, "the numbers of its campaign kept changing")
            return
        some = sorted(
            some, key=lambda one: one.http_status not in _CREATED_STATUSES
        )  # what was surely created is served first
        baselines, explained = await self._journal_writer.query(lambda: self._load_known_numbers(scope, some))
        bodies = [(at, one.step.body or {}, baselines[one.run]) for at, one in enumerate(some)]
        doubted = [matching.PendingRequest(key=at, body=body, baseline=baseline) for at, body, baseline in bodies]
        others = [
            one for one in listed if one.get(_COLLECTION_BY_ID.identifier_field) not in own_ids
        ]  # those were looked up by their ids
        settled = matching.match_requests(doubted, others, explained)
        for at, found in settled.matched.items():
            await self._record_result(some[at], State.DONE, outcomes.confirmed(found))
        for at in settled.not_found:
            await self._record_not_found(some[at])
        for at, why in settled.ambiguous.items():
            await self._record_result(some[at], State.IN_DOUBT, outcomes.ambiguous(why.error, why.fix))
            if some[at].run == self._work.run and some[at].http_status not in _CREATED_STATUSES:
                self._ambiguous_steps.add(some[at].step.number)

    def _load_known_numbers(
        self, scope: Scope, some: Iterable[StepRecord]
    ) -> tuple[dict[str, frozenset[str]], set[str]]:
        """Run to what the campaign had when it began; and the numbers that answers have named since the first did."""
        runs = {one.run for one in some}
        baselines = {run: frozenset(self._journal.baselines(run).get(scope, ())) for run in runs}
        since = min(self._journal.run(run).started_at for run in runs)
        return baselines, self._journal.known_numbers(since, runs)

    async def _read_stable_list(self, scope: Scope, one: StepRecord) -> Sequence[Mapping[str, Json]] | None:
        """The campaign's numbers, once two lists that follow each other are equal; None: they never are."""
        before = None
        for _ in range(_MAX_LIST_READS):
            if not await self._wait_for_throttle(one):
                return None
            answer = await self._client.get(_CONNECTION, (*scope, PROMO_NUMBERS.name))
            items = _parse_number_list(answer)
            numbers = {outcomes.number_of(it) for it in items}
            if numbers == before:
                return items
            before = numbers
            await self._cancel_token.wait(min(_LIST_INTERVAL_SECONDS, self._policy.settle_seconds / 4))
        return None

    async def _wait_for_throttle(self, one: StepRecord) -> bool:
        return await self._throttle.acquire(_CONNECTION, preflight.health_check_path(one.step))

    # What is found goes into the journal

    async def _record_not_found(self, one: StepRecord) -> None:
        if one.http_status in _CREATED_STATUSES:
            await self._record_unresolved(one, f"the platform, which had said {one.http_status}, did not show it")
        else:
            await self._record_result(
                one, State.ABSENT, outcomes.not_found(one.step, self._policy.settle_seconds, one.error)
            )

    async def _record_all_unresolved(self, some: Iterable[StepRecord], reason: str) -> None:
        for one in () if self._cancel_token else some:
            await self._record_unresolved(one, reason)

    async def _record_unresolved(self, one: StepRecord, reason: str) -> None:
        await self._record_result(one, State.IN_DOUBT, outcomes.unresolved(one.step, reason, one.error))

    async def _record_result(self, one: StepRecord, state: State, result: StepResult) -> None:
        known: dict[str, object] = {"error": result.error, "fix": result.fix}
        if state is State.DONE:
            known |= {"ended_at": self._clock(), "http_status": result.http_status, "answer": result.answer}
        await self._journal_writer.write(_build_change(one, State.IN_DOUBT, state, **known))
        if one.run == self._work.run:
            self._changed_states[one.step.number] = state


#: The slots are free when a run settles; one of them is enough for the few requests that are in doubt.
_CONNECTION = 0


def _parse_number_list(response: Response) -> Sequence[Mapping[str, Json]]:
    """The numbers of a list.

    Raises:
        RequestFailedError: it is none.
    """
    items = response.body
    if (
        response.status == _LIST.success_status
        and isinstance(items, list)
        and all(isinstance(one, dict) for one in items)
    ):
        return items
    raise RequestFailedError(outcomes.describe_error_response(response, {}).rstrip("."))


def _scope_of(one: StepRecord) -> Scope:
    return one.step.path[:-1]


def _group_by_scope(some: Iterable[StepRecord]) -> dict[Scope, list[StepRecord]]:
    groups: dict[Scope, list[StepRecord]] = defaultdict(list)
    for one in some:
        groups[_scope_of(one)].append(one)
    return groups


def _build_change(one: StepRecord, before: State, after: State, /, **values: object) -> StepTransition:
    return StepTransition(run=one.run, step=one.step.number, from_state=before, to_state=after, values=values)
