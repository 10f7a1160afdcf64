"""Execute a run that is ready to begin or to continue, here or by workers."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from invoca_bulk import execution, journal, transport
from invoca_bulk.config.environment import is_in_kernel
from invoca_bulk.config.network import Network
from invoca_bulk.config.options import Options
from invoca_bulk.errors import RunAborted
from invoca_bulk.execution import RunOutcome, Workload
from invoca_bulk.execution.outcomes import StepResult
from invoca_bulk.journal import Journal, RowRecord, RunState
from invoca_bulk.reports.progress import ProgressBar
from invoca_bulk.reports.results import Results
from invoca_bulk.service.kept_flags import describe_kept_flags
from invoca_bulk.service.run_result import RunResult, save_results
from invoca_bulk.transport import run_sync
from invoca_bulk.transport.client import Client
from invoca_bulk.transport.rate_limiter import INITIAL_RATE, SANDBOX_INITIAL_RATE
from invoca_bulk.transport.run_sync import Interrupts
from invoca_bulk.wording import word
from invoca_bulk.workers import tasks


@dataclass(frozen=True, kw_only=True)
class ReadyRun:
    """A run that has passed all checks and confirmations."""

    #: Records in the journal that the run begins or continues, and gives its work; takes the options for workers, None:
    #: this process executes it.
    record: Callable[[Mapping[str, Any] | None], Workload]
    generation: int  # how often the run has been given to workers, this time included
    network: Network  # with the API version of the run
    output_path: Path | None  # None: only a frame is wanted
    input_paths: Sequence[Path]  # files that the results must not overwrite


def execute_here(
    ready_run: ReadyRun, open_journal: Journal, options: Options, *, keep_ignoring_interrupts: bool
) -> RunResult:
    """Execute a run in this process; a program that only reports its results keeps ignoring interrupts after it."""
    with run_sync.defer_interrupts(keep_ignoring=keep_ignoring_interrupts) as interrupts:
        workload = ready_run.record(None)
        run_result = execute_workload(workload, ready_run.network, open_journal, options, interrupts)
        return save_results(run_result, ready_run.output_path, ready_run.input_paths, plain_csv=options.plain_csv)


def record_for_workers(ready_run: ReadyRun, options: Options) -> tasks.QueuedRun:
    """Record a run for workers, who get it from the queue once the journal is free."""
    with run_sync.defer_interrupts():
        workload = ready_run.record(tasks.worker_options(options, generation=ready_run.generation))
        return tasks.QueuedRun(run=workload.run, generation=ready_run.generation)


def notify(options: Options, sentence: str) -> None:
    """Show the user a sentence before or during a run."""
    (options.say or _print_notice)(word(sentence))


def _print_notice(sentence: str) -> None:
    """Print to standard error; in a notebook to standard output, since it shows standard error as a failure."""
    stream = sys.stdout if is_in_kernel() else sys.stderr
    if stream is not None:  # a program without a console has none
        stream.write(f"{sentence}\n")


def execute_workload(
    workload: Workload, network: Network, open_journal: Journal, options: Options, interrupts: Interrupts
) -> RunResult:
    """Execute what is left of a run and give its results from the journal, however it ended.

    `interrupts` are those counted since the run was recorded.
    """
    counters = execution.RunCounters(total=len(workload.steps))
    executor = execution.Executor(
        work=workload,
        network=network,
        journal=open_journal,
        rate_limiter=transport.RateLimiter(
            options.rate,
            first_rate=SANDBOX_INITIAL_RATE if network.rehearsal else INITIAL_RATE,
            learned_rate=open_journal.saved_rate(),
        ),
        policy=options.execution_policy(network, len(workload.steps)),
        counters=counters,
        clock=open_journal.now,
    )
    connections = max(1, min(options.concurrency, len(workload.steps)))
    with ProgressBar(counters, show=options.progress) as progress_bar:
        run_outcome = _run_executor(executor, network, options, interrupts, progress_bar, connections=connections)
    with contextlib.suppress(Exception):  # the results say how it ended, too, and matter more
        note = run_outcome.error.text if run_outcome.error else ""
        open_journal.end_run(workload.run, run_outcome.state, now=open_journal.now(), note=note)
        if executor.learned_rate:
            open_journal.save_rate(executor.learned_rate, now=open_journal.now())
    record = replace(open_journal.run(workload.run), state=run_outcome.state)
    is_stopped = run_outcome.state is not RunState.FINISHED
    return RunResult(
        results=Results(
            run=record,
            rows=_load_rows(open_journal, workload.run, run_outcome),
            kept_flags=describe_kept_flags(record, lambda: open_journal.done_writes(workload.run)),
        ),
        error=run_outcome.error,
        is_resumable=is_stopped and open_journal.is_resumable(record),
        is_rehearsal=network.rehearsal,
    )


def _run_executor(  # noqa: PLR0913  the parts of one execution, passed on once
    executor: execution.Executor,
    network: Network,
    options: Options,
    interrupts: Interrupts,
    progress_bar: ProgressBar,
    *,
    connections: int,
) -> RunOutcome:
    async def main() -> RunOutcome:
        if interrupts.count:
            executor.stop()
        async with Client(network, connections=connections, timeout=options.timeout) as client:
            return await executor.execute(client, connections)

    def stop() -> None:
        executor.stop()
        again = "Press the button again" if is_in_kernel() else "Press Ctrl-C again"
        progress_bar.queue_message(
            f"Stopping: waiting for the requests in flight. {again} to abandon them; their rows will be unknown."
        )

    try:
        return run_sync.run(main, interrupts=interrupts, soft_stop=stop, tick=progress_bar.redraw)
    except KeyboardInterrupt:
        return replace(executor.run_outcome, state=RunState.INTERRUPTED)
    except Exception as error:  # noqa: BLE001  numbers may have been bought, so the results are written in any case
        reason = f"The run stopped at an unexpected error ({type(error).__name__}: {error})."
        return replace(executor.run_outcome, state=RunState.ABORTED, error=RunAborted(reason))


def _load_rows(open_journal: Journal, run_id: str, run_outcome: RunOutcome) -> list[RowRecord]:
    """The journal's rows, corrected by the step results that could not be recorded."""
    return [
        _apply_unrecorded(row, step_result)
        if row.step_run == run_id and (step_result := run_outcome.unrecorded_results.get(row.step or 0))
        else row
        for row in open_journal.rows(run_id)
    ]


def _apply_unrecorded(row: RowRecord, step_result: StepResult) -> RowRecord:
    values = {name: getattr(step_result, name) for name in ("error", "fix", "http_status", "answer")}
    return replace(row, outcome=journal.derive_outcome(step_result.state, row.action), **values)
