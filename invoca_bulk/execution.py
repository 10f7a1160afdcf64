"""Plan + client + journal -> outcomes. The only concurrent stage.

Each slot takes the next step, has its intent made durable, sends it once, and has its outcome made durable. Steps in
flight share commits: while one commit is on its way to the disk, the changes of the others gather for the next.
"""

from __future__ import annotations

import asyncio
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
from invoca_bulk.settings import MAX_ATTEMPTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from invoca_bulk.client import Client
    from invoca_bulk.errors import InvocaBulkError
    from invoca_bulk.journal import Journal
    from invoca_bulk.planning import Plan, Step
    from invoca_bulk.schema.outputs import Outcome
    from invoca_bulk.settings import Network
    from invoca_bulk.verdicts import Verdict

#: So many retries of a step that surely was not applied; then it has failed.
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
    """How a run ended; `error` says why it was aborted."""

    state: RunState
    error: InvocaBulkError | None = None


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
                _finish(batch, error)
            else:
                _finish(batch, None)

    async def close(self) -> None:
        """Wait for what is being written."""
        if self._writer is not None:
            await self._writer
        self._thread.shutdown()


def _finish(batch: Sequence[tuple[Sequence[Change], asyncio.Future[None]]], error: Exception | None) -> None:
    for _, done in batch:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
            done.exception()  # seen, even when the step that waited was cancelled


class Execution:
    """One execution of a plan.

    Args:
        plan: what to do.
        network: on which network, for messages.
        client: an open client.
        journal: an open journal that holds the run.
        run: the run's id.
        pace: when requests may start.
        tally: where progress is counted.
        now: the clock, seconds since the epoch.
    """

    def __init__(  # noqa: PLR0913  each is a part of its own; keyword-only
        self,
        *,
        plan: Plan,
        network: Network,
        client: Client,
        journal: Journal,
        run: str,
        pace: pacing.Pace,
        tally: Tally,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._plan = plan
        self._network = network
        self._client = client
        self._scribe = Scribe(journal)
        self._run = run
        self._pace = pace
        self._tally = tally
        self._now = now
        self._waiting = deque(plan.steps)
        self._stopped = asyncio.Event()
        self._reason = RunState.FINISHED
        self._error: InvocaBulkError | None = None

    def stop(self) -> None:
        """Send nothing more; what is under way is awaited. To be called in the run's event loop."""
        self._halt(RunState.INTERRUPTED)

    def _halt(self, reason: RunState, error: InvocaBulkError | None = None) -> None:
        if not self._stopped.is_set():
            self._reason, self._error = reason, error
            self._stopped.set()

    async def execute(self, slots: int) -> Ended:
        """Do all steps, at most `slots` of them at once.

        Returns:
            How it ended. What became of each step is in the journal.
        """
        self._tally.total = len(self._plan.steps)
        try:
            async with asyncio.TaskGroup() as group:
                for slot in range(min(slots, len(self._plan.steps))):
                    group.create_task(self._work(slot))
        finally:
            await self._scribe.close()
        left = bool(self._waiting) or self._reason is RunState.ABORTED
        return Ended(state=self._reason, error=self._error) if left else Ended(state=RunState.FINISHED)

    async def _work(self, slot: int) -> None:
        while self._waiting and not self._stopped.is_set():
            step = self._waiting.popleft()
            try:
                done = await self._do(step, slot)
            except (SQLAlchemyError, RunAborted) as error:
                # What cannot be recorded must not be sent; the others' requests under way are still awaited.
                self._halt(RunState.ABORTED, RunAborted(f"The journal cannot be written, so the run stops: {error}"))
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
        """Wait after a refusal; what the platform asks for holds for all slots."""
        if verdict.wait is not None:
            self._pace.pause(verdict.wait, time.monotonic())
        else:
            await self._stops_within(pacing.backoff(attempt, random.random()))  # noqa: S311  no secret depends on it

    async def _stops_within(self, seconds: float) -> bool:
        if seconds > 0 and not self._stopped.is_set():
            try:
                async with asyncio.timeout(seconds):
                    await self._stopped.wait()
            except TimeoutError:
                pass
        return self._stopped.is_set()

    async def _send(self, step: Step, slot: int) -> Verdict:
        def keep_status(status: int) -> None:  # should the body break: a 201 has certainly created
            self._scribe.note(self._change(step, State.SENT, State.SENT, http_status=status))

        await self._scribe.write(self._change(step, State.PENDING, State.SENT, sent_at=self._now()))
        try:
            answer = await self._client.send(slot, step.verb, step.path, step.body, on_status=keep_status)
        except CallFailed as error:
            return verdicts.of_failure(error)
        return verdicts.of_answer(answer, self._plan.titles)

    async def _record(self, step: Step, verdict: Verdict) -> None:
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
        if verdict.state is State.DONE:
            self._tally.outcomes[DONE_OUTCOME[step.action]] += 1
        elif verdict.state is not State.PENDING:
            self._tally.outcomes[ENDS_AS[verdict.state]] += 1

    def _change(self, step: Step, before: State, after: State, **values: object) -> Change:
        return Change(run=self._run, step=step.number, before=before, after=after, values=values)
