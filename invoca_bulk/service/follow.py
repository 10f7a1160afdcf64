"""Runs that workers execute: hand them over, follow them, and collect their results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from invoca_bulk import journal
from invoca_bulk.config.network import Network
from invoca_bulk.config.options import Options
from invoca_bulk.errors import RunAborted
from invoca_bulk.journal import RunState
from invoca_bulk.reports.results import Results
from invoca_bulk.service.execute import ReadyRun, notify
from invoca_bulk.service.kept_flags import describe_kept_flags
from invoca_bulk.service.run_result import RunResult, save_results
from invoca_bulk.workers import client
from invoca_bulk.workers.tasks import QueuedRun


def enqueue_and_follow(queued_run: QueuedRun, ready_run: ReadyRun, options: Options) -> RunResult:
    """Give a recorded run to the workers, follow it unless detached, and collect its results."""
    enqueue_and_wait(queued_run, ready_run.network, options)
    return collect_result(
        queued_run.run,
        ready_run.network,
        options,
        ready_run.output_path,
        ready_run.input_paths,
    )


def enqueue_and_wait(queued_run: QueuedRun, network: Network, options: Options) -> None:
    """Give a recorded run to the workers, once however often it is given, and follow it unless detached."""
    client.enqueue_run(network, options, queued_run)
    if not options.detach:
        client.follow_run(network, options, queued_run.run, lambda sentence: notify(options, sentence))


def collect_result(
    run_id: str,
    network: Network,
    options: Options,
    output_path: Path | None,
    input_paths: Sequence[Path] = (),
) -> RunResult:
    """What workers have done of a run so far, or what it came to; the results file is written when it has ended."""
    location = journal.location_for(network, options.journal)
    record, rows = journal.find_results(location, run_id)
    kept_flags = describe_kept_flags(record, lambda: journal.find_done_writes(location, run_id))
    run_result = RunResult(
        results=Results(run=record, rows=rows, kept_flags=kept_flags),
        error=RunAborted(record.note) if record.state is RunState.ABORTED else None,
        is_resumable=record.state in {RunState.INTERRUPTED, RunState.ABORTED},
        is_detached=options.detach,
    )
    if run_result.is_running:
        return run_result
    return save_results(run_result, output_path, input_paths, plain_csv=options.plain_csv)
