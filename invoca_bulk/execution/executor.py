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
from invoca_bulk.config.options import Rules
from invoca_bulk.errors import CallFailed, NotAuthorized, NotSent, SettingInvalid, StepTaken, TooManyFailures
from invoca_bulk.execution import outcomes, preflight
from invoca_bulk.execution.cancellation import Stop
from invoca_bulk.execution.journal_writer import Scribe
from invoca_bulk.execution.outcomes import Verdict
from invoca_bulk.execution.rate_gate import OwnTurns, SharedTurns
from invoca_bulk.execution.reconciler import Settling
from invoca_bulk.execution.throttle import Steady
from invoca_bulk.execution.workload import Ended
from invoca_bulk.journal import DOUBTED, Change, RunState, State, outcome
from invoca_bulk.schema.result_columns import DONE
from invoca_bulk.transport.client import not_authorized

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from invoca_bulk.config.settings import Network
    from invoca_bulk.execution.preflight import Draft
    from invoca_bulk.execution.rate_gate import Turns
    from invoca_bulk.execution.workload import Tally, Work
    from invoca_bulk.journal import Journal
    from invoca_bulk.planning import Step
    from invoca_bulk.schema.result_columns import Outcome
    from invoca_bulk.transport.client import Client

#: States of a step between two attempts: surely not applied, and perhaps applied.
_AGAIN = frozenset({State.PENDING, State.SENT})
#: So often creates with ids of their own that were not found are sent again within one execution.
_ROUNDS = 20
#: Seconds between two looks whether somebody elsewhere wants the run to stop.
_HEARTBEAT = 0.5
_SILENT = "this process stood still for so long that others may take it for dead"


class Execution:
    """One execution of a run.

    Args:
        work: what to do.
        network: on which network.
        journal: an open journal that holds the run.
        pace: when requests may start.
        rules: how to go about it.
        tally: where progress is counted.
        now: the clock, seconds since the epoch.
    """

    def __init__(  # noqa: PLR0913  each is a part of its own; keyword-only
        self,
        *,
        work: Work,
        network: Network,
        journal: Journal,
        pace: transport.Pace,
        rules: Rules | None = None,
        tally: Tally,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._work = work
        self._network = network
        self._journal = journal
        self._scribe = Scribe(journal)
        shared = journal.paces(work.run, pace)
        self._turns: Turns = SharedTurns(shared) if shared else OwnTurns(pace)
        self._rules = rules or Rules()
        self._tally = tally
        self._now = now
        self._client: Client
        self._steady: Steady
        self._states = work.states
        self._attempts = {number: one.attempt for number, one in work.known.items()}
        self._given = set(work.given)
        self._given_up: set[int] = set()
        self._counted: dict[int, Outcome] = {}
        self._failures = 0
        self._unrecorded: dict[int, Verdict] = {}
        self._stop = Stop()
        for number in self._states:
            self._count(work.steps[number])
        to_do = [step for step in work.steps.values() if self._is_to_do(step)]
        tally.before = sum(tally.outcomes.values()) - sum(step.number in self._counted for step in to_do)
        self._phases = _by_phase(to_do)

    def _is_to_do(self, step: Step) -> bool:
        """Whether a step can be sent: it never was, or may be repeated; what bought in doubt is settled first."""
        known = self._work.known.get(step.number)
        state = known.state if known else State.PENDING
        free = not (known and known.taken_by) and (self._work.mine is None or step.number in self._work.mine)
        return free and (state is State.PENDING or (state is State.IN_DOUBT and outcomes.way_of(step).again))

    @property
    def learned(self) -> float | None:
        """The rate worth remembering, in requests a second; None: nothing was ever refused."""
        return self._turns.learned

    def stop(self) -> None:
        """Send nothing more; what is under way is awaited. To be called in the run's event loop."""
        self._stop.interrupt()

    async def execute(self, client: Client, slots: int) -> Ended:
        """Do all steps, phase by phase, at most `slots` of them at once, and settle what is in doubt in the end.

        Args:
            client: an open client with so many slots.
            slots: how many requests may be under way at once.

        Returns:
            How it ended. What became of each step is in the journal.
        """
        self._begin(client)
        settling = Settling(
            client=client,
            scribe=self._scribe,
            journal=self._journal,
            work=self._work,
            rules=self._rules,
            stop=self._stop,
            steady=self._steady,
            tally=self._tally,
            version=self._network.api_version,
            now=self._now,
        )
        async with self._until_the_end():
            await settling.look_anew()
            await self._send_all(slots)
            for _ in range(_ROUNDS):
                self._learn(await settling.settle())
                again = settling.to_send_again()
                if not again or self._stop:
                    break
                self._phases = _by_phase([self._work.steps[number] for number in again])
                await self._send_all(slots)
            else:
                self._learn(await settling.settle())
        if self._stop.state is RunState.INTERRUPTED and not any(self._phases) and not settling.is_left:
            return replace(self.ended, state=RunState.FINISHED)  # the interrupt came when everything was done
        return self.ended

    async def send(self, client: Client, slots: int) -> Ended:
        """Do all steps, and leave what is in doubt to the process that settles the run in the end.

        Args:
            client: as for `execute`.
            slots: as for `execute`.
        """
        self._begin(client)
        async with self._until_the_end():
            await self._send_all(slots)
        return self.ended

    def _begin(self, client: Client) -> None:
        self._client = client
        self._steady = Steady(client, self._turns, self._stop, self._tally)

    @contextlib.asynccontextmanager
    async def _until_the_end(self) -> AsyncIterator[None]:
        """Whatever goes wrong, what was done is recorded and told."""
        heeding = asyncio.create_task(self._heed()) if self._journal.owner else None
        try:
            yield
        except Exception as error:  # noqa: BLE001  whatever it is
            self._stop.abort(error)
        finally:
            if heeding:
                heeding.cancel()
            await self._scribe.close()
            with contextlib.suppress(Exception):  # what the requests came to is recorded
                await self._turns.close()

    async def _heed(self) -> None:
        """Stop when somebody elsewhere wants it."""
        while not await self._stop.within(_HEARTBEAT):
            if self._journal.is_stopped:
                self._stop.interrupt()

    @property
    def ended(self) -> Ended:
        """How it stands, also when it was cancelled."""
        return Ended(state=self._stop.state, error=self._stop.error, unrecorded=self._unrecorded)

    async def _send_all(self, slots: int) -> None:
        for waiting in self._phases:
            async with asyncio.TaskGroup() as group:
                for slot in range(min(slots, len(waiting))):
                    group.create_task(self._empty(waiting, slot))

    async def _empty(self, waiting: deque[Step], slot: int) -> None:
        while waiting and not self._stop:
            step = waiting.popleft()
            try:
                done = await self._hold_back(step) if self._lacks(step) else await self._do(step, slot)
            except Exception as error:  # noqa: BLE001  whatever it is, the others' requests under way are still awaited
                self._stop.abort(error)
                return
            if not done:
                waiting.append(step)

    def _learn(self, settled: Mapping[int, State]) -> None:
        """What settling has found out about steps of this run."""
        for number, state in settled.items():
            self._states[number] = state
            self._count(self._work.steps[number])

    def _count(self, step: Step) -> None:
        """Count a step by what it has come to, instead of by what it had come to before."""
        if before := self._counted.get(step.number):
            self._tally.outcomes[before] -= 1
        self._counted[step.number] = outcome(self._states.get(step.number, State.PENDING), step.action)
        self._tally.outcomes[self._counted[step.number]] += 1

    # One step

    def _lacks(self, step: Step) -> bool:
        return step.needs is not None and self._states.get(step.needs) is not State.DONE

    async def _hold_back(self, step: Step) -> bool:
        """Leave a step unsent, because the one that it needs was not done."""
        assert step.needs is not None  # noqa: S101  tells mypy what `_lacks` has looked at
        verdict = outcomes.held_back(self._work.steps[step.needs], self._states.get(step.needs))
        told = {"error": verdict.error, "fix": verdict.fix}
        await self._scribe.write(self._change(step, State.PENDING, State.PENDING, **told))
        self._count(step)
        return True

    async def _do(self, step: Step, slot: int) -> bool:
        """Send a step until its outcome is known; False: the run stopped before that."""
        verdict = self._so_far(step)
        for attempt in count(1):
            if not await self._turn(step, slot):
                return await self._leave(step, verdict)
            if not await self._intend(step, verdict):
                return True  # another process does it
            verdict = await self._attempt(step, slot, attempt, verdict)
            await self._record(step, verdict)
            self._steady.told(verdict)
            if verdict.stop:
                self._stop.abort(NotAuthorized(not_authorized(self._network)))
                return False
            if verdict.state not in _AGAIN:
                return True
            await self._back_off(attempt)
        raise AssertionError  # the count has no end

    def _so_far(self, step: Step) -> Verdict:
        """What the attempts of an earlier execution came to."""
        state = self._states.get(step.number, State.PENDING)
        if state is State.PENDING:
            return Verdict(state=state)
        known = self._work.known.get(step.number)
        verdict = outcomes.interrupted(step, known.error if known else "")
        if state is State.ABSENT:  # looked for, and not found
            self._given_up.add(step.number)
        return replace(verdict, state=state)

    async def _leave(self, step: Step, verdict: Verdict) -> bool:
        """The run stops before the next attempt: what an earlier one may have done is in doubt."""
        if verdict.state is State.SENT:
            await self._record(step, outcomes.left(verdict))
        return False

    async def _turn(self, step: Step, slot: int) -> bool:
        """Wait for the pace; False: the run stops instead."""
        is_read = preflight.is_read_before(step, resumed=step.number in self._work.known)
        requests = 2 if is_read else 1  # nothing should come between the reading and the writing
        return await self._steady.turn(slot, preflight.probe_of(step), requests)

    async def _back_off(self, attempt: int) -> None:
        chance = random.random()  # noqa: S311  no secret depends on it
        await self._stop.within(transport.backoff(attempt, chance, self._rules.first_backoff))

    # One attempt

    async def _intend(self, step: Step, earlier: Verdict) -> bool:
        """Make durable that it is sent; False: another process at the run has done so before."""
        attempts = self._attempts.get(step.number, 0) + 1
        sent: dict[str, object] = {"sent_at": self._now(), "attempt": attempts}
        sent |= {"owner": self._journal.owner} if self._journal.owner else {}
        try:
            await self._scribe.write(self._change(step, earlier.state, State.SENT, **sent))
        except StepTaken:
            if self._work.mine is None:
                raise
            return False
        self._attempts[step.number] = attempts
        self._states[step.number] = State.SENT
        return True

    async def _attempt(self, step: Step, slot: int, attempt: int, earlier: Verdict) -> Verdict:
        """Send once, and say what the step comes to; of the platform nothing is ever raised.

        Args:
            step: the step.
            slot: whose connection to use.
            attempt: counts from 1.
            earlier: what the attempts before came to: `sent` if one of them may have been applied.
        """
        doubted = earlier.state in DOUBTED
        version = self._network.api_version
        draft = await preflight.draft(
            self._client,
            slot,
            step,
            titles=self._titles(step),
            version=version,
            doubted=doubted,
            resumed=step.number in self._work.known,
        )
        if isinstance(draft, Verdict):
            return outcomes.after(draft, step, attempt, earlier)
        await self._keep(step, draft, doubted=doubted)
        verdict = self._judged(step, await self._send(step, draft, slot, doubted=doubted))
        may_be_there = doubted or step.number in self._given_up  # what was given up may have come late all the same
        verdict = await preflight.looked_up(self._client, slot, step, verdict, doubted=may_be_there)
        return outcomes.after(verdict, step, attempt, earlier)

    async def _keep(self, step: Step, draft: Draft, *, doubted: bool) -> None:
        """Make durable what is really sent, and what was there before; what an attempt in doubt found stays."""
        found = {"body": draft.body} if doubted else {"body": draft.body, "before": draft.before}
        if draft.before is not None and (draft.before != step.before or draft.body != step.body):
            await self._scribe.write(self._change(step, State.SENT, State.SENT, **found))

    async def _send(self, step: Step, draft: Draft, slot: int, *, doubted: bool) -> Verdict:
        def keep_status(status: int) -> None:  # should the body break: a 201 has certainly created
            self._scribe.note(self._change(step, State.SENT, State.SENT, http_status=status))

        def refuse_late() -> None:
            if not self._journal.may_send:
                raise NotSent(_SILENT)

        try:
            answer = await self._client.send(
                slot, step.verb, step.path, draft.body, on_start=refuse_late, on_status=keep_status
            )
            sent = replace(step, body=draft.body)
            strict = self._rules.doubt_refusals
            return outcomes.of_answer(answer, sent, self._titles(step), doubted=doubted, strict=strict)
        except SettingInvalid as error:  # an id that cannot be part of an address: nothing was sent
            return outcomes.unsendable(str(error))
        except CallFailed as error:
            return outcomes.of_failure(error, step)
        except Exception:  # noqa: BLE001  what nobody has foreseen proves nothing about the platform
            return outcomes.unexpected(step)

    def _titles(self, step: Step) -> Mapping[str, str]:
        return self._work.titles.get(step.resource, {})

    def _judged(self, step: Step, verdict: Verdict) -> Verdict:
        """A number can be given once only."""
        number = outcomes.number_of(verdict.answer) if step.once and verdict.state is State.DONE else ""
        if number in self._given:
            return outcomes.given_before(verdict, step, number)
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
        self._states[step.number] = verdict.state
        if verdict.state not in _AGAIN:
            self._count(step)
            self._look_at_failures(step)

    def _look_at_failures(self, step: Step) -> None:
        """Stop a run that only fails."""
        self._failures += self._counted[step.number] not in DONE
        most = self._rules.max_failures
        if most is not None and self._failures >= most:
            msg = f"--max-failures: {self._failures:,} steps were not done, so the run stopped."
            self._stop.abort(TooManyFailures(msg))

    def _change(self, step: Step, before: State, after: State, /, **values: object) -> Change:
        return Change(run=self._work.run, step=step.number, before=before, after=after, values=values)


def _by_phase(steps: Iterable[Step]) -> list[deque[Step]]:
    """The steps of each phase, in the plan's order."""
    phases: dict[int, deque[Step]] = {}
    for step in steps:
        phases.setdefault(step.phase, deque()).append(step)
    return [phases[phase] for phase in sorted(phases)]
