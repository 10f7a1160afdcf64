"""One execution of a plan: its slots, its attempts, and how it ends."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from invoca_bulk import pacing, verdicts
from invoca_bulk.client import not_authorized
from invoca_bulk.errors import CallFailed, NotAuthorized, RunAborted
from invoca_bulk.execution import reading
from invoca_bulk.execution.scribe import Scribe
from invoca_bulk.journal import Change, RunState, State, outcome
from invoca_bulk.settings import FIRST_BACKOFF, MAX_ATTEMPTS
from invoca_bulk.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from invoca_bulk.client import Client
    from invoca_bulk.errors import InvocaBulkError
    from invoca_bulk.execution.reading import Draft
    from invoca_bulk.journal import Journal
    from invoca_bulk.planning import Plan, Step
    from invoca_bulk.schema.outputs import Outcome
    from invoca_bulk.settings import Network

#: States of a step between two attempts: surely not applied, and perhaps applied.
_AGAIN = frozenset({State.PENDING, State.SENT})


@dataclass
class Tally:
    """How far a run is; written by the run's thread, read by whoever shows it.

    Attributes:
        total: how many steps there are.
        outcomes: outcome to number of steps.
    """

    total: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run ended.

    Attributes:
        state: finished, interrupted or aborted.
        error: why it was aborted.
        unrecorded: step number to its verdict, where the journal could not take it any more.
    """

    state: RunState
    error: InvocaBulkError | None = None
    unrecorded: Mapping[int, Verdict] = field(default_factory=dict)


class Execution:
    """One execution of a plan.

    Args:
        plan: what to do.
        network: on which network.
        journal: an open journal that holds the run.
        run: the run's id.
        pace: when requests may start.
        first_backoff: seconds to wait at most after a first refusal.
        tally: where progress is counted.
        now: the clock, seconds since the epoch.
    """

    def __init__(  # noqa: PLR0913  each is a part of its own; keyword-only
        self,
        *,
        plan: Plan,
        network: Network,
        journal: Journal,
        run: str,
        pace: pacing.Pace,
        first_backoff: float = FIRST_BACKOFF,
        tally: Tally,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._plan = plan
        self._network = network
        self._scribe = Scribe(journal)
        self._run = run
        self._pace = pace
        self._first_backoff = first_backoff
        self._tally = tally
        self._now = now
        self._client: Client
        self._phases = _by_phase(plan.steps)
        self._came_to: dict[int, State] = {}
        self._given = {number for one in plan.observed.values() for number in one.promo_numbers}
        self._unrecorded: dict[int, Verdict] = {}
        self._stopped = asyncio.Event()  # may be set before the loop runs: a stop in the first moment counts too
        self._reason = RunState.FINISHED
        self._error: InvocaBulkError | None = None

    def stop(self) -> None:
        """Send nothing more; what is under way is awaited. To be called in the run's event loop."""
        self._halt(RunState.INTERRUPTED)

    def _halt(self, reason: RunState, error: InvocaBulkError | None = None) -> None:
        if not self._stopped.is_set():
            self._reason, self._error = reason, error
            self._stopped.set()

    async def execute(self, client: Client, slots: int) -> Ended:
        """Do all steps, phase by phase, at most `slots` of them at once.

        Args:
            client: an open client with so many slots.
            slots: how many requests may be under way at once.

        Returns:
            How it ended. What became of each step is in the journal.
        """
        self._client = client
        try:
            for waiting in self._phases:
                async with asyncio.TaskGroup() as group:
                    for slot in range(min(slots, len(waiting))):
                        group.create_task(self._work(waiting, slot))
        finally:
            await self._scribe.close()
        if not any(self._phases) and self._reason is RunState.INTERRUPTED:
            self._reason = RunState.FINISHED  # the interrupt came when everything was done
        return self.ended

    @property
    def ended(self) -> Ended:
        """How it stands, also when it was cancelled."""
        return Ended(state=self._reason, error=self._error, unrecorded=self._unrecorded)

    async def _work(self, waiting: deque[Step], slot: int) -> None:
        while waiting and not self._stopped.is_set():
            step = waiting.popleft()
            try:
                done = await self._hold_back(step) if self._lacks(step) else await self._do(step, slot)
            except Exception as error:  # noqa: BLE001  whatever it is, the others' requests under way are still awaited
                self._halt(RunState.ABORTED, _stopped_by(error))
                return
            if not done:
                waiting.append(step)

    # One step

    def _lacks(self, step: Step) -> bool:
        return step.needs is not None and self._came_to.get(step.needs) is not State.DONE

    async def _hold_back(self, step: Step) -> bool:
        """Leave a step unsent, because the one that it needs was not done."""
        assert step.needs is not None  # noqa: S101  tells mypy what `_lacks` has looked at
        verdict = verdicts.held_back(self._plan.steps[step.needs], self._came_to.get(step.needs))
        told = {"error": verdict.error, "fix": verdict.fix}
        await self._scribe.write(self._change(step, State.PENDING, State.PENDING, **told))
        self._tally.outcomes[outcome(State.PENDING, step.action)] += 1
        return True

    async def _do(self, step: Step, slot: int) -> bool:
        """Send a step until its outcome is known; False: the run stopped before that."""
        verdict = Verdict(state=State.PENDING)
        for attempt in range(1, MAX_ATTEMPTS + 1):
            if not await self._turn(step):
                return await self._leave(step, verdict)
            verdict = await self._attempt(step, slot, attempt, verdict)
            await self._record(step, verdict)
            if verdict.stop:
                self._halt(RunState.ABORTED, NotAuthorized(not_authorized(self._network)))
                return False
            if verdict.state not in _AGAIN:
                return True
            await self._back_off(verdict, attempt)
        raise AssertionError  # after the last attempt a step is not sent again

    async def _leave(self, step: Step, verdict: Verdict) -> bool:
        """The run stops before the next attempt: what an earlier one may have done is in doubt."""
        if verdict.state is State.SENT:
            await self._record(step, verdicts.left(verdict))
        return False

    async def _turn(self, step: Step) -> bool:
        """Wait for the pace; False: the run stops instead."""
        requests = 2 if reading.is_read_before(step) else 1  # nothing should come between the reading and the writing
        wait = max(self._pace.reserve(time.monotonic()) for _ in range(requests))
        return not await self._stops_within(wait)

    async def _back_off(self, verdict: Verdict, attempt: int) -> None:
        """Wait after a refusal; what the platform asks for holds for all slots that have not started yet."""
        if verdict.wait is not None:
            self._pace.pause(verdict.wait, time.monotonic())
        chance = random.random()  # noqa: S311  no secret depends on it
        await self._stops_within(pacing.backoff(attempt, chance, self._first_backoff))

    async def _stops_within(self, seconds: float) -> bool:
        if seconds > 0 and not self._stopped.is_set():
            try:
                async with asyncio.timeout(seconds):
                    await self._stopped.wait()
            except TimeoutError:
                pass
        return self._stopped.is_set()

    # One attempt

    async def _attempt(self, step: Step, slot: int, attempt: int, earlier: Verdict) -> Verdict:
        """Make the intent durable, send once, and say what the step comes to; of the platform nothing is ever raised.

        Args:
            step: the step.
            slot: whose connection to use.
            attempt: counts from 1.
            earlier: what the attempts before came to: `sent` if one of them may have been applied.
        """
        doubted = earlier.state is State.SENT
        await self._scribe.write(self._change(step, earlier.state, State.SENT, sent_at=self._now(), attempt=attempt))
        version = self._network.api_version
        draft = await reading.draft(
            self._client, slot, step, titles=self._titles(step), version=version, doubted=doubted
        )
        if isinstance(draft, Verdict):
            return verdicts.after(draft, step, attempt, earlier)
        await self._keep(step, draft, doubted=doubted)
        verdict = self._judged(step, await self._send(step, draft, slot, doubted=doubted))
        verdict = await reading.looked_up(self._client, slot, step, verdict, doubted=doubted)
        return verdicts.after(verdict, step, attempt, earlier)

    async def _keep(self, step: Step, draft: Draft, *, doubted: bool) -> None:
        """Make durable what is really sent, and what was there before; what an attempt in doubt found stays."""
        found = {"body": draft.body} if doubted else {"body": draft.body, "before": draft.before}
        if draft.before is not None and (draft.before != step.before or draft.body != step.body):
            await self._scribe.write(self._change(step, State.SENT, State.SENT, **found))

    async def _send(self, step: Step, draft: Draft, slot: int, *, doubted: bool) -> Verdict:
        def keep_status(status: int) -> None:  # should the body break: a 201 has certainly created
            self._scribe.note(self._change(step, State.SENT, State.SENT, http_status=status))

        try:
            answer = await self._client.send(slot, step.verb, step.path, draft.body, on_status=keep_status)
            return verdicts.of_answer(answer, replace(step, body=draft.body), self._titles(step), doubted=doubted)
        except CallFailed as error:
            return verdicts.of_failure(error, step)
        except Exception:  # noqa: BLE001  what nobody has foreseen proves nothing about the platform
            return verdicts.unexpected(step)

    def _titles(self, step: Step) -> Mapping[str, str]:
        return self._plan.titles.get(step.resource, {})

    def _judged(self, step: Step, verdict: Verdict) -> Verdict:
        """A number can be given once only."""
        number = verdicts.number_of(verdict.answer) if step.once and verdict.state is State.DONE else ""
        if number in self._given:
            return verdicts.given_before(verdict, step, number)
        if number:
            self._given.add(number)
        return verdict

    async def _record(self, step: Step, verdict: Verdict) -> None:
        self._unrecorded[step.number] = verdict
        await self._scribe.write(
            self._change(
                step,
                State.SENT,
                verdict.state,
                ended_at=self._now(),
                http_status=verdict.http_status,
                answer=verdict.answer,
                error=verdict.error,
                fix=verdict.fix,
            )
        )
        del self._unrecorded[step.number]
        if verdict.state not in _AGAIN:
            self._came_to[step.number] = verdict.state
            self._tally.outcomes[outcome(verdict.state, step.action)] += 1

    def _change(self, step: Step, before: State, after: State, /, **values: object) -> Change:
        return Change(run=self._run, step=step.number, before=before, after=after, values=values)


def _by_phase(steps: Sequence[Step]) -> list[deque[Step]]:
    """The steps of each phase, in the plan's order."""
    return [deque(one for one in steps if one.phase == phase) for phase in sorted({one.phase for one in steps})]


def _stopped_by(error: Exception) -> RunAborted:
    if isinstance(error, RunAborted):
        return error
    if isinstance(error, SQLAlchemyError):
        reason = getattr(error, "orig", None) or type(error).__name__
        return RunAborted(f"The journal cannot be written ({reason}), so nothing more was sent. Is the disk full?")
    return RunAborted(f"The run stopped at an unexpected error ({type(error).__name__}: {error}).")
