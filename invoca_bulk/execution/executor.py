"""One execution: its slots, its attempts, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from invoca_bulk import transport
from invoca_bulk.config.options import ExecutionPolicy
from invoca_bulk.errors import (
    AuthenticationError,
    ConfigError,
    NotSentError,
    RequestFailedError,
    StepConflictError,
    TooManyFailuresError,
)
from invoca_bulk.execution import outcomes, preflight
from invoca_bulk.execution.cancellation import CancelToken
from invoca_bulk.execution.journal_writer import JournalWriter
from invoca_bulk.execution.outcomes import StepResult
from invoca_bulk.execution.rate_gate import LocalRateGate, SharedRateGate
from invoca_bulk.execution.reconciler import Reconciler
from invoca_bulk.execution.throttle import Throttle
from invoca_bulk.execution.workload import RunOutcome
from invoca_bulk.journal import AMBIGUOUS_STATES, RunState, State, StepTransition, derive_outcome
from invoca_bulk.schema.result_columns import SUCCESS_OUTCOMES
from invoca_bulk.transport.client import unauthorized_message
from invoca_bulk.wording import option

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from invoca_bulk.config.network import Network
    from invoca_bulk.execution.preflight import PreparedRequest
    from invoca_bulk.execution.rate_gate import RateGate
    from invoca_bulk.execution.workload import RunCounters, Workload
    from invoca_bulk.journal import Journal
    from invoca_bulk.planning import Step
    from invoca_bulk.schema.result_columns import Outcome
    from invoca_bulk.transport.client import Client

#: States of a step between two attempts: surely not applied, and perhaps applied.
_RETRYABLE_STATES = frozenset({State.PENDING, State.SENT})
#: So often creates with ids of their own that were not found are sent again within one execution.
_MAX_RESEND_ROUNDS = 20
#: Seconds between two looks whether somebody elsewhere wants the run to stop.
_STOP_POLL_SECONDS = 0.5
_STALLED_MESSAGE = "this process stood still for so long that others may take it for dead"


class Executor:
    """One execution of a run.

    Args:
        work: what to do.
        network: on which network.
        journal: an open journal that holds the run.
        rate_limiter: when requests may start.
        policy: how to go about it.
        counters: where progress is counted.
        clock: the clock, seconds since the epoch.
    """

    def __init__(  # noqa: PLR0913  each is a part of its own; keyword-only
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
        self._rate_gate: RateGate = SharedRateGate(shared) if shared else LocalRateGate(rate_limiter)
        self._policy = policy or ExecutionPolicy()
        self._counters = counters
        self._clock = clock
        self._client: Client
        self._throttle: Throttle
        self._states = work.step_states
        self._attempt_counts = {number: one.attempt for number, one in work.step_records.items()}
        self._assigned_numbers = set(work.baseline_numbers)
        self._not_found_steps: set[int] = set()
        self._counted_outcomes: dict[int, Outcome] = {}
        self._failure_count = 0
        self._unrecorded_results: dict[int, StepResult] = {}
        self._cancel_token = CancelToken()
        for number in self._states:
            self._count_outcome(work.steps[number])
        to_do = [step for step in work.steps.values() if self._is_runnable(step)]
        counters.finished_before = sum(counters.outcomes.values()) - sum(
            step.number in self._counted_outcomes for step in to_do
        )
        self._phases = _group_by_phase(to_do)

    def _is_runnable(self, step: Step) -> bool:
        """Whether a step can be sent: it never was, or may be repeated; what bought in doubt is settled first."""
        known = self._work.step_records.get(step.number)
        state = known.state if known else State.PENDING
        free = not (known and known.superseded_by) and (
            self._work.assigned_steps is None or step.number in self._work.assigned_steps
        )
        return free and (
            state is State.PENDING or (state is State.IN_DOUBT and outcomes.response_policy_for(step).retryable)
        )

    @property
    def learned_rate(self) -> float | None:
        """The rate worth remembering, in requests a second; None: nothing was ever refused."""
        return self._rate_gate.learned_rate

    def stop(self) -> None:
        """Send nothing more; what is under way is awaited. To be called in the run's event loop."""
        self._cancel_token.interrupt()

    async def execute(self, client: Client, connections: int) -> RunOutcome:
        """Do all steps, phase by phase, at most `connections` of them at once, and settle what is in doubt in the end.

        Args:
            client: an open client with so many slots.
            connections: how many requests may be under way at once.

        Returns:
            How it ended. What became of each step is in the journal.
        """
        self._bind_client(client)
        settling = Reconciler(
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
            await settling.reopen_absent()
            await self._run_phases(connections)
            for _ in range(_MAX_RESEND_ROUNDS):
                self._apply_reconciled(await settling.reconcile())
                again = settling.select_resendable()
                if not again or self._cancel_token:
                    break
                self._phases = _group_by_phase([self._work.steps[number] for number in again])
                await self._run_phases(connections)
            else:
                self._apply_reconciled(await settling.reconcile())
        if self._cancel_token.state is RunState.INTERRUPTED and not any(self._phases) and not settling.has_unresolved:
            return replace(self.run_outcome, state=RunState.FINISHED)  # the interrupt came when everything was done
        return self.run_outcome

    async def send_steps(self, client: Client, connections: int) -> RunOutcome:
        """Do all steps, and leave what is in doubt to the process that settles the run in the end.

        Args:
            client: as for `execute`.
            connections: as for `execute`.
        """
        self._bind_client(client)
        async with self._ensure_recorded():
            await self._run_phases(connections)
        return self.run_outcome

    def _bind_client(self, client: Client) -> None:
        self._client = client
        self._throttle = Throttle(client, self._rate_gate, self._cancel_token, self._counters)

    @contextlib.asynccontextmanager
    async def _ensure_recorded(self) -> AsyncIterator[None]:
        """Whatever goes wrong, what was done is recorded and told."""
        heeding = asyncio.create_task(self._watch_stop_requests()) if self._journal.owner_id else None
        try:
            yield
        except Exception as error:  # noqa: BLE001  whatever it is
            self._cancel_token.abort(error)
        finally:
            if heeding:
                heeding.cancel()
            await self._journal_writer.close()
            with contextlib.suppress(Exception):  # what the requests came to is recorded
                await self._rate_gate.close()

    async def _watch_stop_requests(self) -> None:
        """Stop when somebody elsewhere wants it."""
        while not await self._cancel_token.wait(_STOP_POLL_SECONDS):
            if self._journal.is_stop_requested:
                self._cancel_token.interrupt()

    @property
    def run_outcome(self) -> RunOutcome:
        """How it stands, also when it was cancelled."""
        return RunOutcome(
            state=self._cancel_token.state, error=self._cancel_token.error, unrecorded_results=self._unrecorded_results
        )

    async def _run_phases(self, connections: int) -> None:
        for waiting in self._phases:
            async with asyncio.TaskGroup() as group:
                for slot in range(min(connections, len(waiting))):
                    group.create_task(self._drain_queue(waiting, slot))

    async def _drain_queue(self, queue: deque[Step], connection: int) -> None:
        while queue and not self._cancel_token:
            step = queue.popleft()
            try:
                done = (
                    await self._block_step(step) if self._is_blocked(step) else await self._run_step(step, connection)
                )
            except Exception as error:  # noqa: BLE001  whatever it is, the others' requests under way are still awaited
                self._cancel_token.abort(error)
                return
            if not done:
                queue.append(step)

    def _apply_reconciled(self, reconciled: Mapping[int, State]) -> None:
        """What settling has found out about steps of this run."""
        for number, state in reconciled.items():
            self._states[number] = state
            self._count_outcome(self._work.steps[number])

    def _count_outcome(self, step: Step) -> None:
        """Count a step by what it has come to, instead of by what it had come to before."""
        if before := self._counted_outcomes.get(step.number):
            self._counters.outcomes[before] -= 1
        self._counted_outcomes[step.number] = derive_outcome(self._states.get(step.number, State.PENDING), step.action)
        self._counters.outcomes[self._counted_outcomes[step.number]] += 1

    # One step

    def _is_blocked(self, step: Step) -> bool:
        return step.depends_on is not None and self._states.get(step.depends_on) is not State.DONE

    async def _block_step(self, step: Step) -> bool:
        """Leave a step unsent, because the one that it needs was not done."""
        assert step.depends_on is not None  # noqa: S101  tells mypy what `_is_blocked` has looked at
        verdict = outcomes.blocked(self._work.steps[step.depends_on], self._states.get(step.depends_on))
        told = {"error": verdict.error, "fix": verdict.fix}
        await self._journal_writer.write(self._build_change(step, State.PENDING, State.PENDING, **told))
        self._count_outcome(step)
        return True

    async def _run_step(self, step: Step, connection: int) -> bool:
        """Send a step until its outcome is known; False: the run stopped before that."""
        verdict = self._prior_result(step)
        for attempt in count(1):
            if not await self._wait_for_throttle(step, connection):
                return await self._abandon_step(step, verdict)
            if not await self._record_intent(step, verdict):
                return True  # another process does it
            verdict = await self._run_attempt(step, connection, attempt, verdict)
            await self._record_result(step, verdict)
            self._throttle.record_result(verdict)
            if verdict.aborts_run:
                self._cancel_token.abort(AuthenticationError(unauthorized_message(self._network)))
                return False
            if verdict.state not in _RETRYABLE_STATES:
                return True
            await self._back_off(attempt)
        raise AssertionError  # the count has no end

    def _prior_result(self, step: Step) -> StepResult:
        """What the attempts of an earlier execution came to."""
        state = self._states.get(step.number, State.PENDING)
        if state is State.PENDING:
            return StepResult(state=state)
        known = self._work.step_records.get(step.number)
        verdict = outcomes.interrupted(step, known.error if known else "")
        if state is State.ABSENT:  # looked for, and not found
            self._not_found_steps.add(step.number)
        return replace(verdict, state=state)

    async def _abandon_step(self, step: Step, result: StepResult) -> bool:
        """The run stops before the next attempt: what an earlier one may have done is in doubt."""
        if result.state is State.SENT:
            await self._record_result(step, outcomes.stopped_before_retry(result))
        return False

    async def _wait_for_throttle(self, step: Step, connection: int) -> bool:
        """Wait for the pace; False: the run stops instead."""
        is_read = preflight.needs_preflight(step, resumed=step.number in self._work.step_records)
        requests = 2 if is_read else 1  # nothing should come between the reading and the writing
        return await self._throttle.acquire(connection, preflight.health_check_path(step), requests)

    async def _back_off(self, attempt: int) -> None:
        chance = random.random()  # noqa: S311  no secret depends on it
        await self._cancel_token.wait(transport.backoff(attempt, chance, self._policy.first_backoff_seconds))

    # One attempt

    async def _record_intent(self, step: Step, earlier_result: StepResult) -> bool:
        """Make durable that it is sent; False: another process at the run has done so before."""
        attempts = self._attempt_counts.get(step.number, 0) + 1
        sent: dict[str, object] = {"sent_at": self._clock(), "attempt": attempts}
        sent |= {"owner": self._journal.owner_id} if self._journal.owner_id else {}
        try:
            await self._journal_writer.write(self._build_change(step, earlier_result.state, State.SENT, **sent))
        except StepConflictError:
            if self._work.assigned_steps is None:
                raise
            return False
        self._attempt_counts[step.number] = attempts
        self._states[step.number] = State.SENT
        return True

    async def _run_attempt(self, step: Step, connection: int, attempt: int, earlier_result: StepResult) -> StepResult:
        """Send once, and say what the step comes to; of the platform nothing is ever raised.

        Args:
            step: the step.
            connection: whose connection to use.
            attempt: counts from 1.
            earlier_result: what the attempts before came to: `sent` if one of them may have been applied.
        """
        doubted = earlier_result.state in AMBIGUOUS_STATES
        version = self._network.api_version
        draft = await preflight.prepare_request(
            self._client,
            connection,
            step,
            column_titles=self._column_titles(step),
            version=version,
            was_in_doubt=doubted,
            resumed=step.number in self._work.step_records,
        )
        if isinstance(draft, StepResult):
            return outcomes.apply_retry_policy(draft, step, attempt, earlier_result)
        await self._record_actual_request(step, draft, was_in_doubt=doubted)
        verdict = self._check_duplicate_number(
            step, await self._send_request(step, draft, connection, was_in_doubt=doubted)
        )
        may_be_there = (
            doubted or step.number in self._not_found_steps
        )  # what was given up may have come late all the same
        verdict = await preflight.confirm_after_doubt(
            self._client, connection, step, verdict, was_in_doubt=may_be_there
        )
        return outcomes.apply_retry_policy(verdict, step, attempt, earlier_result)

    async def _record_actual_request(self, step: Step, request: PreparedRequest, *, was_in_doubt: bool) -> None:
        """Make durable what is really sent, and what was there before; what an attempt in doubt found stays."""
        found = {"body": request.body} if was_in_doubt else {"body": request.body, "before": request.snapshot}
        if request.snapshot is not None and (request.snapshot != step.snapshot or request.body != step.body):
            await self._journal_writer.write(self._build_change(step, State.SENT, State.SENT, **found))

    async def _send_request(
        self, step: Step, request: PreparedRequest, connection: int, *, was_in_doubt: bool
    ) -> StepResult:
        def keep_status(status: int) -> None:  # should the body break: a 201 has certainly created
            self._journal_writer.write_soon(self._build_change(step, State.SENT, State.SENT, http_status=status))

        def refuse_late() -> None:
            if not self._journal.is_lease_valid:
                raise NotSentError(_STALLED_MESSAGE)

        try:
            answer = await self._client.send(
                connection, step.verb, step.path, request.body, on_start=refuse_late, on_status=keep_status
            )
            sent = replace(step, body=request.body)
            strict = self._policy.treat_429_as_ambiguous
            return outcomes.classify_response(
                answer, sent, self._column_titles(step), was_in_doubt=was_in_doubt, treat_429_as_ambiguous=strict
            )
        except ConfigError as error:  # an id that cannot be part of an address: nothing was sent
            return outcomes.not_sendable(str(error))
        except RequestFailedError as error:
            return outcomes.classify_failure(error, step)
        except Exception:  # noqa: BLE001  what nobody has foreseen proves nothing about the platform
            return outcomes.unexpected_error(step)

    def _column_titles(self, step: Step) -> Mapping[str, str]:
        return self._work.column_titles.get(step.resource, {})

    def _check_duplicate_number(self, step: Step, result: StepResult) -> StepResult:
        """A number can be given once only."""
        number = outcomes.number_of(result.answer) if step.non_idempotent and result.state is State.DONE else ""
        if number in self._assigned_numbers:
            return outcomes.duplicate_number(result, step, number)
        if number:
            self._assigned_numbers.add(number)
        return result

    async def _record_result(self, step: Step, result: StepResult) -> None:
        self._unrecorded_results[step.number] = result
        await self._journal_writer.write(
            self._build_change(
                step,
                State.SENT,
                result.state,
                ended_at=self._clock(),
                http_status=result.http_status,
                answer=result.answer,
                error=result.error,
                fix=result.fix,
            )
        )
        del self._unrecorded_results[step.number]
        self._states[step.number] = result.state
        if result.state not in _RETRYABLE_STATES:
            self._count_outcome(step)
            self._enforce_failure_limit(step)

    def _enforce_failure_limit(self, step: Step) -> None:
        """Stop a run that only fails."""
        self._failure_count += self._counted_outcomes[step.number] not in SUCCESS_OUTCOMES
        most = self._policy.max_failures
        if most is not None and self._failure_count >= most:
            msg = f"The run stopped after {self._failure_count:,} failed steps ({option('max_failures=…')})."
            self._cancel_token.abort(TooManyFailuresError(msg))

    def _build_change(self, step: Step, before: State, after: State, /, **values: object) -> StepTransition:
        return StepTransition(run=self._work.run, step=step.number, from_state=before, to_state=after, values=values)


def _group_by_phase(steps: Iterable[Step]) -> list[deque[Step]]:
    """The steps of each phase, in the plan's order."""
    phases: dict[int, deque[Step]] = {}
    for step in steps:
        phases.setdefault(step.phase, deque()).append(step)
    return [phases[phase] for phase in sorted(phases)]
