"""Runs the steps of one execution: workers, attempts, and how the execution ends."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from itertools import count

from sqlalchemy.exc import SQLAlchemyError

from invoca_bulk import transport
from invoca_bulk.config.network import Network
from invoca_bulk.config.options import ExecutionPolicy
from invoca_bulk.errors import (
    AuthenticationError,
    ConfigError,
    NotSentError,
    RequestFailedError,
    StepConflictError,
    TooManyFailuresError,
)
from invoca_bulk.execution import lookup, outcomes, preflight
from invoca_bulk.execution.cancellation import CancelToken
from invoca_bulk.execution.journal_writer import JournalWriter
from invoca_bulk.execution.outcomes import StepResult
from invoca_bulk.execution.part_columns import PartColumns
from invoca_bulk.execution.preflight import PreparedRequest
from invoca_bulk.execution.rate_gate import RateGate, SharedRateGate
from invoca_bulk.execution.reconciler import Reconciler
from invoca_bulk.execution.throttle import Throttle
from invoca_bulk.execution.workload import RunCounters, RunOutcome, Workload
from invoca_bulk.journal import AMBIGUOUS_STATES, Journal, RunState, State, StepTransition, derive_outcome
from invoca_bulk.planning import Step
from invoca_bulk.schema import ADVERTISERS
from invoca_bulk.schema.outcomes import SUCCESS_OUTCOMES, Outcome
from invoca_bulk.transport.client import Client, Response, refused_token_message, unauthorized_message
from invoca_bulk.wording import setting

#: States of a step between two attempts: not applied, and possibly applied.
_RETRYABLE_STATES = frozenset({State.PENDING, State.SENT})
#: The statuses of answers that name fields.
_FIELD_ERROR_STATUSES = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY})
#: How often one execution resends creates that the client chose the id of and that were not found.
_MAX_RESEND_ROUNDS = 20
#: After so many rows, all rejected for the token's rights, the others are not sent.
_MAX_TOKEN_REFUSALS = 5
#: Seconds between two checks for a stop request from another process.
_STOP_POLL_SECONDS = 0.5
_STALLED_MESSAGE = "this process was suspended for so long that other processes may consider it dead"


class Executor:
    """One execution of a run, which the journal contains; `counters` is updated with progress and messages."""

    def __init__(  # noqa: PLR0913  separate collaborators; keyword-only
        self,
        *,
        work: Workload,
        network: Network,
        journal: Journal,
        rate_limiter: transport.RateLimiter,
        policy: ExecutionPolicy | None = None,
        counters: RunCounters,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._work = work
        self._network = network
        self._journal = journal
        self._journal_writer = JournalWriter(journal)
        shared = journal.shared_rate_limiter(work.run, rate_limiter)
        self._rate_gate = SharedRateGate(shared) if shared else RateGate(rate_limiter)
        self._policy = policy or ExecutionPolicy()
        self._counters = counters
        self._part_columns = PartColumns(journal, work.run)
        self._clock = clock
        self._client: Client
        self._throttle: Throttle
        self._states = work.step_states
        self._attempt_counts = {number: record.attempt for number, record in work.step_records.items()}
        self._assigned_numbers = set(work.baseline_numbers)
        self._not_found_steps: set[int] = set()
        self._counted_outcomes: dict[int, Outcome] = {}
        self._failure_count = 0
        self._refusal_count: int | None = 0  # first results that reject the token's rights; None: another came first
        self._unrecorded_results: dict[int, StepResult] = {}
        self._cancel_token = CancelToken()
        for number in self._states:
            self._count_outcome(work.steps[number])
        runnable = [step for step in work.steps.values() if self._is_runnable(step)]
        recounted = sum(step.number in self._counted_outcomes for step in runnable)
        counters.finished_before = sum(counters.outcomes.values()) - recounted
        self._phases = _group_by_phase(runnable)

    def _is_runnable(self, step: Step) -> bool:
        """Whether a step was never sent or is safe to repeat; purchases in doubt are reconciled first."""
        record = self._work.step_records.get(step.number)
        if record and record.superseded_by:
            return False
        if self._work.assigned_steps is not None and step.number not in self._work.assigned_steps:
            return False
        state = record.state if record else State.PENDING
        return state is State.PENDING or (state is State.IN_DOUBT and outcomes.response_policy_for(step).retryable)

    @property
    def learned_rate(self) -> float | None:
        """The rate to save for the next run, in requests per second; None: the platform never throttled."""
        return self._rate_gate.learned_rate

    def stop(self) -> None:
        """Stop sending and wait for requests in flight. Call it in the run's event loop."""
        self._cancel_token.interrupt()

    async def execute(self, client: Client, connections: int) -> RunOutcome:
        """Run all steps phase by phase, then reconcile the steps in doubt; the journal has the result of each step.

        `connections`: the maximum number of requests in flight; the client has at least as many connections.
        """
        self._bind_client(client)
        reconciler = Reconciler(
            client=client,
            journal_writer=self._journal_writer,
            journal=self._journal,
            work=self._work,
            policy=self._policy,
            cancel_token=self._cancel_token,
            throttle=self._throttle,
            counters=self._counters,
            api_version=self._network.api_version,
            clock=self._clock,
        )
        async with self._ensure_recorded():
            await reconciler.reopen_absent()
            await self._run_phases(connections)
            for _ in range(_MAX_RESEND_ROUNDS):
                self._apply_reconciled(await reconciler.reconcile())
                resendable = reconciler.select_resendable()
                if not resendable or self._cancel_token:
                    break
                self._phases = _group_by_phase([self._work.steps[number] for number in resendable])
                await self._run_phases(connections)
            else:
                self._apply_reconciled(await reconciler.reconcile())
        if self._cancel_token.state is RunState.INTERRUPTED and not any(self._phases) and not reconciler.has_unresolved:
            return replace(self.run_outcome, state=RunState.FINISHED)  # interrupted after the last step
        return self.run_outcome

    async def send_steps(self, client: Client, connections: int) -> RunOutcome:
        """Run all steps as `execute` does, and leave those in doubt to the process that reconciles the run."""
        self._bind_client(client)
        async with self._ensure_recorded():
            await self._run_phases(connections)
        return self.run_outcome

    def _bind_client(self, client: Client) -> None:
        self._client = client
        self._throttle = Throttle(client, self._rate_gate, self._cancel_token, self._counters)

    @contextlib.asynccontextmanager
    async def _ensure_recorded(self) -> AsyncIterator[None]:
        """Write all results to the journal before the block ends, whatever goes wrong in it."""
        stop_watcher = asyncio.create_task(self._watch_stop_requests())
        try:
            yield
        except Exception as error:  # noqa: BLE001  reported in the run's outcome
            self._cancel_token.abort(error)
        finally:
            stop_watcher.cancel()
            await self._journal_writer.close()
            with contextlib.suppress(Exception):  # the results are recorded already
                await self._rate_gate.close()

    async def _watch_stop_requests(self) -> None:
        """Stop the run when another process requests it."""
        while not await self._cancel_token.wait(_STOP_POLL_SECONDS):
            if self._journal.is_stop_requested:
                self._cancel_token.interrupt()

    @property
    def run_outcome(self) -> RunOutcome:
        """The current state, also valid after a cancellation."""
        return RunOutcome(
            state=self._cancel_token.state, error=self._cancel_token.error, unrecorded_results=self._unrecorded_results
        )

    async def _run_phases(self, connections: int) -> None:
        for queue in self._phases:
            async with asyncio.TaskGroup() as group:
                for connection in range(min(connections, len(queue))):
                    group.create_task(self._drain_queue(queue, connection))

    async def _drain_queue(self, queue: deque[Step], connection: int) -> None:
        while queue and not self._cancel_token:
            step = queue.popleft()
            is_blocked = step.depends_on is not None and self._states.get(step.depends_on) is not State.DONE
            try:
                done = await (self._block_step(step) if is_blocked else self._run_step(step, connection))
            except Exception as error:  # noqa: BLE001  the other workers still wait for their requests in flight
                self._cancel_token.abort(error)
                return
            if not done:
                queue.append(step)

    def _apply_reconciled(self, reconciled: Mapping[int, State]) -> None:
        """Take over the states that reconciliation has determined."""
        for number, state in reconciled.items():
            self._states[number] = state
            self._count_outcome(self._work.steps[number])

    def _count_outcome(self, step: Step) -> None:
        """Count a step under its current outcome, and no longer under the previous one."""
        if previous := self._counted_outcomes.get(step.number):
            self._counters.outcomes[previous] -= 1
        self._counted_outcomes[step.number] = derive_outcome(self._states.get(step.number, State.PENDING), step.action)
        self._counters.outcomes[self._counted_outcomes[step.number]] += 1

    async def _block_step(self, step: Step) -> bool:
        """Leave a step unsent because the step it depends on was not done."""
        assert step.depends_on is not None  # noqa: S101  for mypy: `_drain_queue` has checked it
        result = outcomes.blocked(self._work.steps[step.depends_on], self._states.get(step.depends_on))
        change = self._build_change(step, State.PENDING, State.PENDING, error=result.error, fix=result.fix)
        await self._journal_writer.write(change)
        self._count_outcome(step)
        return True

    async def _run_step(self, step: Step, connection: int) -> bool:
        """Send a step until its outcome is known; False: the run stopped first."""
        result = self._prior_result(step)
        for attempt in count(1):
            if not await self._wait_for_throttle(step, connection):
                if result.state is State.SENT:  # an earlier attempt may have been applied
                    await self._record_result(step, replace(result, state=State.IN_DOUBT))
                return False
            if not await self._record_intent(step, result):
                return True  # another process runs it
            result = await self._run_attempt(step, connection, attempt, result)
            await self._record_result(step, result)
            self._throttle.record_result(result)
            if result.aborts_run:
                self._cancel_token.abort(AuthenticationError(unauthorized_message(self._network)))
                return False
            self._stop_if_token_is_refused(result)
            if result.state not in _RETRYABLE_STATES:
                return True
            jitter = random.random()  # noqa: S311  not security-relevant
            await self._cancel_token.wait(transport.backoff(attempt, jitter, self._policy.first_backoff_seconds))
        raise AssertionError  # `count` never ends

    def _stop_if_token_is_refused(self, result: StepResult) -> None:
        """Abort the run if the platform has rejected the token's rights for all of the first rows."""
        if self._refusal_count is None or not result.refuses_token:
            self._refusal_count = None
            return
        self._refusal_count += 1
        if self._refusal_count >= _MAX_TOKEN_REFUSALS:
            self._cancel_token.abort(AuthenticationError(refused_token_message(self._network, result.error)))

    def _prior_result(self, step: Step) -> StepResult:
        """The result of the attempts of an earlier execution."""
        state = self._states.get(step.number, State.PENDING)
        if state is State.PENDING:
            return StepResult(state=state)
        record = self._work.step_records.get(step.number)
        if state is State.ABSENT:
            self._not_found_steps.add(step.number)
        return replace(outcomes.interrupted(step, record.error if record else ""), state=state)

    async def _wait_for_throttle(self, step: Step, connection: int) -> bool:
        """Wait until the step may start; False: the run stops instead."""
        is_read = preflight.needs_preflight(step, resumed=step.number in self._work.step_records)
        requests = 2 if is_read else 1  # the write has to follow the read without a wait
        return await self._throttle.acquire(connection, preflight.object_path(step), requests)

    async def _record_intent(self, step: Step, earlier_result: StepResult) -> bool:
        """Record that the step is being sent; False: another process of the run has already done so."""
        attempts = self._attempt_counts.get(step.number, 0) + 1
        values: dict[str, object] = {"sent_at": self._clock(), "attempt": attempts}
        values |= {"owner": self._journal.owner_id} if self._journal.owner_id else {}
        try:
            await self._journal_writer.write(self._build_change(step, earlier_result.state, State.SENT, **values))
        except StepConflictError:
            if self._work.assigned_steps is None:
                raise
            return False
        self._attempt_counts[step.number] = attempts
        self._states[step.number] = State.SENT
        return True

    async def _run_attempt(self, step: Step, connection: int, attempt: int, earlier_result: StepResult) -> StepResult:
        """Send a step once and classify the result; platform errors are never raised.

        `attempt` counts from 1. `earlier_result`, of the previous attempts, is `sent` if one of them may have been
        applied.
        """
        was_in_doubt = earlier_result.state in AMBIGUOUS_STATES
        request = await preflight.prepare_request(
            self._client,
            connection,
            step,
            column_titles=self._column_titles(step),
            version=self._network.api_version,
            was_in_doubt=was_in_doubt,
            resumed=step.number in self._work.step_records,
        )
        if isinstance(request, StepResult):
            return outcomes.apply_retry_policy(request, step, attempt, earlier_result)
        await self._record_actual_request(step, request, was_in_doubt=was_in_doubt)
        result = await self._send_request(step, request, connection, was_in_doubt=was_in_doubt)
        result = self._check_duplicate_number(step, result)
        may_exist = was_in_doubt or step.number in self._not_found_steps  # it may have appeared after the lookup
        sent_step = replace(step, body=request.body)
        result = await lookup.confirm_after_doubt(self._client, connection, sent_step, result, was_in_doubt=may_exist)
        return outcomes.apply_retry_policy(result, step, attempt, earlier_result)

    async def _record_actual_request(self, step: Step, request: PreparedRequest, *, was_in_doubt: bool) -> None:
        """Record the body that is sent and the object it replaces; a snapshot from before a doubt is kept."""
        values = {"body": request.body} if was_in_doubt else {"body": request.body, "before": request.snapshot}
        if request.snapshot is not None and (request.snapshot != step.snapshot or request.body != step.body):
            await self._journal_writer.write(self._build_change(step, State.SENT, State.SENT, **values))

    async def _send_request(
        self, step: Step, request: PreparedRequest, connection: int, *, was_in_doubt: bool
    ) -> StepResult:
        def record_status(status: int) -> None:  # a 201 proves the create even if its body is lost
            self._journal_writer.write_soon(self._build_change(step, State.SENT, State.SENT, http_status=status))

        def require_lease() -> None:
            if not self._journal.is_lease_valid:
                raise NotSentError(_STALLED_MESSAGE)

        try:
            response = await self._client.send(
                connection, step.verb, step.path, request.body, on_start=require_lease, on_status=record_status
            )
            return outcomes.classify_response(
                response,
                replace(step, body=request.body),
                await self._titles_for_answer(step, request, response),
                was_in_doubt=was_in_doubt,
                treat_429_as_ambiguous=self._policy.treat_429_as_ambiguous,
            )
        except ConfigError as error:  # an id that cannot be part of a URL; nothing was sent
            return outcomes.not_sendable(str(error))
        except RequestFailedError as error:
            return outcomes.classify_failure(error, step)
        except Exception:  # noqa: BLE001  the request may have been applied
            return outcomes.unexpected_error(step)

    def _column_titles(self, step: Step) -> Mapping[str, str]:
        return self._work.column_titles.get(step.resource, {})

    async def _titles_for_answer(self, step: Step, request: PreparedRequest, response: Response) -> Mapping[str, str]:
        """The column titles; for an error about an advertiser, by the numbers that the request gave to its users."""
        titles = self._column_titles(step)
        if step.resource == ADVERTISERS.name and request.body and response.status in _FIELD_ERROR_STATUSES:
            # However the rows are read, what became of the step is known.
            with contextlib.suppress(SQLAlchemyError):
                find_titles = partial(self._part_columns.titles_for, step, request.body, titles)
                return await self._journal_writer.query(find_titles)
        return titles

    def _check_duplicate_number(self, step: Step, result: StepResult) -> StepResult:
        """Doubt a create whose response names a number that another row or the campaign already has."""
        number = outcomes.number_of(result.answer) if step.non_idempotent and result.state is State.DONE else ""
        if number in self._assigned_numbers:
            return outcomes.duplicate_number(result, step, number)
        if number:
            self._assigned_numbers.add(number)
        return result

    async def _record_result(self, step: Step, result: StepResult) -> None:
        self._unrecorded_results[step.number] = result
        values = {"http_status": result.http_status, "answer": result.answer, "error": result.error, "fix": result.fix}
        change = self._build_change(step, State.SENT, result.state, ended_at=self._clock(), **values)
        await self._journal_writer.write(change)
        del self._unrecorded_results[step.number]
        self._states[step.number] = result.state
        if result.state not in _RETRYABLE_STATES:
            self._count_outcome(step)
            self._enforce_failure_limit(step)

    def _enforce_failure_limit(self, step: Step) -> None:
        """Abort the run after too many failed steps."""
        self._failure_count += self._counted_outcomes[step.number] not in SUCCESS_OUTCOMES
        limit = self._policy.max_failures
        if limit is not None and self._failure_count >= limit:
            msg = f"The run stopped after {self._failure_count:,} failed steps ({setting('max_failures')})."
            self._cancel_token.abort(TooManyFailuresError(msg))

    def _build_change(self, step: Step, from_state: State, to_state: State, /, **values: object) -> StepTransition:
        return StepTransition(
            run=self._work.run, step=step.number, from_state=from_state, to_state=to_state, values=values
        )


def _group_by_phase(steps: Iterable[Step]) -> list[deque[Step]]:
    """One queue per phase, each in plan order."""
    phases: dict[int, deque[Step]] = {}
    for step in steps:
        phases.setdefault(step.phase, deque()).append(step)
    return [phases[phase] for phase in sorted(phases)]
