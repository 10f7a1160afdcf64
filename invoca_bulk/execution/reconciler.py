"""Reconciles purchases in doubt: looks them up by their own ids, or matches them against the campaign's list.

This happens once, at the end of a run, after everything that was sent has been applied or never will be. Purchases in
doubt of other runs in the same campaigns are included; otherwise their numbers could be attributed to this run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from invoca_bulk.config.options import ExecutionPolicy
from invoca_bulk.errors import AuthenticationError, InvocaBulkError, RequestFailedError
from invoca_bulk.execution import lookup, matching, outcomes
from invoca_bulk.execution.cancellation import CancelToken
from invoca_bulk.execution.journal_writer import JournalWriter
from invoca_bulk.execution.outcomes import StepResult
from invoca_bulk.execution.preflight import object_path
from invoca_bulk.execution.throttle import Throttle
from invoca_bulk.execution.workload import RunCounters, Workload
from invoca_bulk.journal import Journal, State, StepRecord, StepTransition
from invoca_bulk.planning import Scope
from invoca_bulk.planning.generated_ids import OWN_ID_COLLECTION
from invoca_bulk.schema import OPERATIONS, PROMO_NUMBERS
from invoca_bulk.schema.field_types import Json
from invoca_bulk.transport.client import Client, Response
from invoca_bulk.wording import count_of, remedy

_LIST = OPERATIONS["list"]
_RESUME_OTHER_RUN_REASON = (
    f"another run has requests in doubt in its campaign (resume that first: {remedy('resume', subject='{}')})"
)
#: Seconds between two reads of a list that have to be equal; less if the settle time is short.
_LIST_INTERVAL_SECONDS = 2.0
#: Maximum number of reads of a list until two consecutive ones are equal.
_MAX_LIST_READS = 6
#: A response that began with one of these proves the create.
_CREATED_STATUSES = frozenset({HTTPStatus.OK, HTTPStatus.CREATED})
#: All connections are free when a run is reconciled; one is enough for the few requests in doubt.
_CONNECTION = 0


@dataclass(kw_only=True, eq=False)
class Reconciler:
    """Reconciles the purchases in doubt of one execution."""

    client: Client
    journal_writer: JournalWriter
    journal: Journal
    work: Workload
    policy: ExecutionPolicy
    cancel_token: CancelToken
    throttle: Throttle
    counters: RunCounters
    api_version: str
    clock: Callable[[], float]
    has_unresolved: bool = False  # purchases of this run stayed in doubt because the run stopped
    _changed_states: dict[int, State] = field(default_factory=dict, init=False)
    _ambiguous_steps: set[int] = field(default_factory=set, init=False)  # of this run, undecided by the campaign's list
    _resent_steps: set[int] = field(default_factory=set, init=False)
    #: Campaign with purchases that this API version cannot look up, to the run of one of them.
    _unsupported_scopes: dict[Scope, str] = field(default_factory=dict, init=False)

    async def reopen_absent(self) -> None:
        """Put purchases that an earlier lookup did not find back in doubt: they may have appeared since."""
        absent = await self.journal_writer.query(lambda: self.journal.unresolved_purchases(State.ABSENT))
        await self.journal_writer.write(
            *(_build_change(record, State.ABSENT, State.IN_DOUBT) for record in absent if self._is_relevant(record))
        )

    async def reconcile(self) -> Mapping[int, State]:
        """Resolve the purchases in doubt as far as possible; returns the new states of this run's changed steps."""
        self._changed_states, self._ambiguous_steps = {}, set()
        in_doubt = await self._load_in_doubt()
        identifiable = [record for record in in_doubt if lookup.is_identifiable(record.step)]
        too_early = await self._resolve_by_identity(identifiable)
        anonymous = [record for record in in_doubt if record not in identifiable]
        if (too_early or anonymous) and await self._wait_until_due([*too_early, *anonymous]):
            await self._resolve_by_identity(too_early)
            own_ids = {record.step.own_id for record in identifiable if record.step.own_id}
            anonymous_by_scope: dict[Scope, list[StepRecord]] = defaultdict(list)
            for record in anonymous:
                anonymous_by_scope[_scope_of(record)].append(record)
            for scope, records in anonymous_by_scope.items():
                if scope in self._unsupported_scopes:
                    reason = _RESUME_OTHER_RUN_REASON.format(self._unsupported_scopes[scope])
                    await self._record_all_unresolved(records, reason)
                else:
                    await self._resolve_by_list(scope, records, own_ids)
        self.has_unresolved = bool(self.cancel_token) and any(map(self._is_relevant, await self._load_in_doubt()))
        return self._changed_states

    def select_resendable(self) -> list[int]:
        """The steps of this run that were just looked up and may be sent again.

        Steps without an own id are resent once: the user has agreed to one more number, not to five.
        """
        resendable = sorted(number for number in self._changed_states if self._is_resendable(number))
        self._resent_steps.update(resendable)
        return resendable

    def _is_resendable(self, number: int) -> bool:
        state = self._changed_states[number]
        if state is State.ABSENT and self.work.steps[number].own_id:
            return True
        if number in self._resent_steps:
            return False
        if state is State.ABSENT:
            return self.policy.resend_absent or self.policy.resend_unknown
        # The user has only reviewed the steps that an earlier execution left unresolved.
        was_open = number in self.work.step_records and number in self._ambiguous_steps
        return state is State.IN_DOUBT and was_open and self.policy.resend_unknown

    async def _load_in_doubt(self) -> list[StepRecord]:
        """The purchases in doubt in the campaigns of this run, those of older runs first."""
        in_doubt = await self.journal_writer.query(self.journal.unresolved_purchases)
        scopes = {_scope_of(record) for record in in_doubt if self._is_relevant(record)}
        in_scope = [record for record in in_doubt if _scope_of(record) in scopes]
        self._unsupported_scopes = {
            _scope_of(record): record.run for record in in_scope if not self._can_look_up(record)
        }
        return [record for record in in_scope if self._can_look_up(record)]

    def _can_look_up(self, record: StepRecord) -> bool:
        """Whether this API version can look up the purchase: older versions do not know own ids."""
        return self._is_relevant(record) or not record.step.own_id or self.api_version >= OWN_ID_COLLECTION.since

    def _is_relevant(self, record: StepRecord) -> bool:
        return record.run == self.work.run or (record.run, record.step.number) in self.work.borrowed_steps

    def _seconds_until_due(self, record: StepRecord) -> float:
        """Seconds until a request's settle time is over; at most that time, even if the clock was set back."""
        last_activity = max(record.sent_at or 0.0, record.ended_at or 0.0)  # a request may be in flight for long
        return min(self.policy.settle_seconds, last_activity + self.policy.settle_seconds - self.clock())

    async def _wait_until_due(self, records: Sequence[StepRecord]) -> bool:
        """Wait until all of them are due; False: the run stops instead."""
        wait = max(map(self._seconds_until_due, records))
        if wait > 1 and not self.cancel_token:
            rows = count_of(len(records), "row")
            self.counters.messages.append(f"Waiting {wait:.0f} s, then looking up {rows} in doubt.")
        return not await self.cancel_token.wait(wait)

    async def _resolve_by_identity(self, records: Iterable[StepRecord]) -> list[StepRecord]:
        """Look each up by own id or name; returns those that were not found and are not due yet."""
        return [record for record in records if not await self._try_resolve_by_identity(record)]

    async def _try_resolve_by_identity(self, record: StepRecord) -> bool:
        is_due = self._seconds_until_due(record) <= 0
        if not await self._wait_for_throttle(record):
            return False
        try:
            platform_object = await lookup.find_by_identity(self.client, _CONNECTION, record.step)
        except AuthenticationError:
            raise
        except InvocaBulkError as error:
            await self._record_unresolved(record, f"it could not be read ({error})")
            return True
        if platform_object is not None:
            await self._record_result(record, State.DONE, outcomes.confirmed(platform_object))
        elif is_due:
            await self._record_not_found(record)
        return platform_object is not None or is_due

    async def _resolve_by_list(self, scope: Scope, records: Sequence[StepRecord], own_ids: Collection[str]) -> None:
        """Determine from a campaign's list which of its purchases in doubt were made."""
        try:
            listed = await self._read_stable_list(scope, records[0])
        except AuthenticationError:
            raise
        except InvocaBulkError as error:
            await self._record_all_unresolved(records, f"the numbers of its campaign could not be read ({error})")
            return
        if listed is None:
            await self._record_all_unresolved(records, "the numbers of its campaign kept changing")
            return
        # Requests that have certainly created a number are served first.
        records = sorted(records, key=lambda record: record.http_status not in _CREATED_STATUSES)
        baselines, attributed_numbers = await self.journal_writer.query(
            lambda: self._load_known_numbers(scope, records)
        )
        pending = [
            matching.PendingRequest(key=index, body=record.step.body or {}, baseline=baselines[record.run])
            for index, record in enumerate(records)
        ]
        # Numbers with an own id were looked up by it.
        anonymous = [item for item in listed if item.get(OWN_ID_COLLECTION.identifier_field) not in own_ids]
        match = matching.match_requests(pending, anonymous, attributed_numbers)
        for index, platform_object in match.matched.items():
            await self._record_result(records[index], State.DONE, outcomes.confirmed(platform_object))
        for index in match.not_found:
            await self._record_not_found(records[index])
        for index, ambiguity in match.ambiguous.items():
            record = records[index]
            await self._record_result(record, State.IN_DOUBT, outcomes.ambiguous(ambiguity.error, ambiguity.fix))
            if record.run == self.work.run and record.http_status not in _CREATED_STATUSES:
                self._ambiguous_steps.add(record.step.number)

    def _load_known_numbers(
        self, scope: Scope, records: Iterable[StepRecord]
    ) -> tuple[dict[str, frozenset[str]], set[str]]:
        """Run to the numbers that the campaign had when it began; and those that responses have named since."""
        runs = {record.run for record in records}
        baselines = {run: frozenset(self.journal.baselines(run).get(scope, ())) for run in runs}
        since = min(self.journal.run(run).started_at for run in runs)
        return baselines, self.journal.known_numbers(since, runs)

    async def _read_stable_list(self, scope: Scope, record: StepRecord) -> Sequence[Mapping[str, Json]] | None:
        """The campaign's numbers, once two consecutive reads are equal; None: they never are, or the run stops."""
        previous = None
        for _ in range(_MAX_LIST_READS):
            if not await self._wait_for_throttle(record):
                return None
            items = _parse_number_list(await self.client.get(_CONNECTION, (*scope, PROMO_NUMBERS.name)))
            numbers = {outcomes.number_of(item) for item in items}
            if numbers == previous:
                return items
            previous = numbers
            await self.cancel_token.wait(min(_LIST_INTERVAL_SECONDS, self.policy.settle_seconds / 4))
        return None

    async def _wait_for_throttle(self, record: StepRecord) -> bool:
        return await self.throttle.acquire(_CONNECTION, object_path(record.step))

    async def _record_not_found(self, record: StepRecord) -> None:
        if record.http_status in _CREATED_STATUSES:
            reason = f"the platform did not show it, although it had responded with {record.http_status}"
            await self._record_unresolved(record, reason)
        else:
            result = outcomes.not_found(record.step, self.policy.settle_seconds, record.error)
            await self._record_result(record, State.ABSENT, result)

    async def _record_all_unresolved(self, records: Iterable[StepRecord], reason: str) -> None:
        for record in () if self.cancel_token else records:
            await self._record_unresolved(record, reason)

    async def _record_unresolved(self, record: StepRecord, reason: str) -> None:
        await self._record_result(record, State.IN_DOUBT, outcomes.unresolved(record.step, reason, record.error))

    async def _record_result(self, record: StepRecord, state: State, result: StepResult) -> None:
        values: dict[str, object] = {"error": result.error, "fix": result.fix}
        if state is State.DONE:
            values |= {"ended_at": self.clock(), "http_status": result.http_status, "answer": result.answer}
        await self.journal_writer.write(_build_change(record, State.IN_DOUBT, state, **values))
        if record.run == self.work.run:
            self._changed_states[record.step.number] = state


def _parse_number_list(response: Response) -> Sequence[Mapping[str, Json]]:
    """The numbers of a list; a `RequestFailedError` if the response is not a list of objects."""
    items = response.body
    is_list = isinstance(items, list) and all(isinstance(item, dict) for item in items)
    if response.status == _LIST.success_status and is_list:
        numbers: Sequence[Mapping[str, Json]] = items
        return numbers
    raise RequestFailedError(outcomes.describe_error_response(response, {}).rstrip("."))


def _scope_of(record: StepRecord) -> Scope:
    return record.step.path[:-1]


def _build_change(record: StepRecord, from_state: State, to_state: State, /, **values: object) -> StepTransition:
    return StepTransition(
        run=record.run, step=record.step.number, from_state=from_state, to_state=to_state, values=values
    )
