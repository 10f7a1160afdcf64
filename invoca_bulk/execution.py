"""Plan + client + journal -> outcomes. The only concurrent stage.

Each slot takes the next step, has its intent made durable, sends it once, and has its outcome made durable. Steps in
flight share commits: while one commit is on its way to the disk, the changes of the others gather for the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from invoca_bulk import pacing, verdicts
from invoca_bulk.client import not_authorized
from invoca_bulk.errors import CallFailed, NotAuthorized, RunAborted
from invoca_bulk.journal import DONE_OUTCOME, ENDS_AS, Change, RunState, State
from invoca_bulk.settings import FIRST_BACKOFF, MAX_ATTEMPTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from invoca_bulk.client import Client
    from invoca_bulk.errors import InvocaBulkError
    from invoca_bulk.journal import Journal
    from invoca_bulk.planning import Plan, Step
    from invoca_bulk.schema.outputs import Outcome
    from invoca_bulk.settings import Network
    from invoca_bulk.verdicts import Verdict

    _Batch = Sequence[tuple[Sequence[Change], asyncio.Future[None]]]

#: So many tries of a step that surely was not applied; then it has failed.
_TRIES = MAX_ATTEMPTS


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


class Scribe:
    """Writes changes to the journal, many in a commit, in a thread of its own.

    The journal's connection is used by one thread only, and the event loop never waits for the disk.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._waiting: list[tuple[Sequence[Change], asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def write(self, *changes: Change) -> None:
        """Return when the changes are durable.

        Raises:
            RunAborted: somebody else has touched the journal.
            sqlalchemy.exc.SQLAlchemyError: the disk is full, or the file is gone.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((changes, done))
        self._start()
        await asyncio.shield(done)

    def note(self, change: Change) -> None:
        """Have a change made durable with the next commit, without waiting for it."""
        self._waiting.append(([change], asyncio.get_running_loop().create_future()))
        self._start()

    def _start(self) -> None:
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all())

    async def _write_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            changes = [change for group, _ in batch for change in group]
            try:
                await loop.run_in_executor(self._thread, self._journal.apply, changes)
            except Exception as error:  # noqa: BLE001  it is raised again in every caller that waits
                await self._write_singly(batch, error)
            else:
                _finish(batch, None)

    async def _write_singly(self, batch: _Batch, error: Exception) -> None:
        """One change that cannot be written must not take with it the others that shared its commit."""
        loop = asyncio.get_running_loop()
        for group, done in batch:
            problem: Exception | None = error
            if len(batch) > 1:
                try:
                    await loop.run_in_executor(self._thread, self._journal.apply, group)
                    problem = None
                except Exception as single:  # noqa: BLE001  it is raised again in the caller that waits
                    problem = single
            _finish([(group, done)], problem)

    async def close(self) -> None:
        """Wait for what is being written, also when the run is being cancelled: its last commit has to end first."""
        while self._writer is not None and not self._writer.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(self._writer)
        self._thread.shutdown()


def _finish(batch: _Batch, error: Exception | None) -> None:
    for _, done in batch:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
            done.exception()  # seen, even when the step that waited was cancelled


def _stopped_by(error: Exception) -> RunAborted:
    if isinstance(error, RunAborted):
        return error
    if isinstance(error, SQLAlchemyError):
        reason = getattr(error, "orig", None) or type(error).__name__
        return RunAborted(f"The journal cannot be written ({reason}), so nothing more was sent. Is the disk full?")
    return RunAborted(f"The run stopped at an unexpected error ({type(error).__name__}: {error}).")


class Execution:
    """One execution of a plan.

    Args:
        plan: what to do.
        network: on which network, for messages.
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
        self._waiting = deque(plan.steps)
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
        """Do all steps, at most `slots` of them at once.

        Args:
            client: an open client with so many slots.
            slots: how many requests may be under way at once.

        Returns:
            How it ended. What became of each step is in the journal.
        """
        self._client = client
        try:
            async with asyncio.TaskGroup() as group:
                for slot in range(min(slots, len(self._plan.steps))):
                    group.create_task(self._work(slot))
        finally:
            await self._scribe.close()
        if not self._waiting and self._reason is RunState.INTERRUPTED:
            self._reason = RunState.FINISHED  # the interrupt came when everything was done
        return self.ended

    @property
    def ended(self) -> Ended:
        """How it stands, also when it was cancelled."""
        return Ended(state=self._reason, error=self._error, unrecorded=self._unrecorded)

    async def _work(self, slot: int) -> None:
        while self._waiting and not self._stopped.is_set():
            step = self._waiting.popleft()
            try:
                done = await self._do(step, slot)
            except Exception as error:  # noqa: BLE001  whatever it is, the others' requests under way are still awaited
                self._halt(RunState.ABORTED, _stopped_by(error))
                return
            if not done:
                self._waiting.append(step)

    async def _do(self, step: Step, slot: int) -> bool:
        """Send a step until its outcome is known; False: the run stopped before that, and nothing was applied."""
        for attempt in range(1, _TRIES + 1):
            if not await self._turn():
                return False
            verdict = await self._send(step, slot)
            if verdict.state is State.PENDING and attempt == _TRIES and not verdict.stop:
                verdict = verdicts.given_up(verdict, attempt)
            await self._record(step, verdict)
            if verdict.stop:
                self._halt(RunState.ABORTED, NotAuthorized(not_authorized(self._network)))
                return False
            if verdict.state is not State.PENDING:
                return True
            await self._back_off(verdict, attempt)
        raise AssertionError  # the last attempt is never pending

    async def _turn(self) -> bool:
        """Wait for the pace; False: the run stops instead."""
        wait = self._pace.reserve(time.monotonic())
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

    async def _send(self, step: Step, slot: int) -> Verdict:
        """Make the intent durable, send once, and say what it came to; after the intent nothing is ever raised."""

        def keep_status(status: int) -> None:  # should the body break: a 201 has certainly created
            self._scribe.note(self._change(step, State.SENT, State.SENT, http_status=status))

        await self._scribe.write(self._change(step, State.PENDING, State.SENT, sent_at=self._now()))
        try:
            answer = await self._client.send(slot, step.verb, step.path, step.body, on_status=keep_status)
            return self._judged(verdicts.of_answer(answer, self._plan.titles))
        except CallFailed as error:
            return verdicts.of_failure(error)
        except Exception:  # noqa: BLE001  what nobody has foreseen proves nothing about the platform
            return verdicts.unexpected()

    def _judged(self, verdict: Verdict) -> Verdict:
        """A number can be given once only."""
        number = verdicts.number_of(verdict.answer) if verdict.state is State.DONE else ""
        if number in self._given:
            return verdicts.given_before(verdict, number)
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
        if verdict.state is State.DONE:
            self._tally.outcomes[DONE_OUTCOME[step.action]] += 1
        elif verdict.state is not State.PENDING:
            self._tally.outcomes[ENDS_AS[verdict.state]] += 1

    def _change(self, step: Step, before: State, after: State, **values: object) -> Change:
        return Change(run=self._run, step=step.number, before=before, after=after, values=values)
