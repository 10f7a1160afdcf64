"""Resume: do what is left of a run that was interrupted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from invoca_bulk import execution, journal
from invoca_bulk.config.journal_location import JournalLocation
from invoca_bulk.config.network import Network
from invoca_bulk.config.options import Options
from invoca_bulk.errors import ConfigError
from invoca_bulk.execution import Workload
from invoca_bulk.journal import Journal, RunRecord, RunState, State
from invoca_bulk.reports.results import format_time
from invoca_bulk.service import follow, preconditions
from invoca_bulk.service.execute import ReadyRun, execute_here, notify, record_for_workers
from invoca_bulk.service.run_result import RunResult
from invoca_bulk.wording import option, plural_of, remedy
from invoca_bulk.workers import client, tasks


def resume_run(
    run_id: str | None,
    network: Network,
    options: Options,
    *,
    output: Path | None = None,
    keep_ignoring_interrupts: bool = False,
) -> RunResult:
    """Do what is left of a run that was interrupted, and reconcile what it left in doubt.

    Without `run_id`, the network's latest run that can be resumed; without `output`, its own results file. The options
    that the plan depends on stay those of the run.
    """
    location = journal.location_for(network, options.journal)
    record = journal.find_run(location, run_id) if run_id else find_resumable_run(location, network)
    preconditions.require_run_network(record, network)
    if options.cluster and record.worker_options:
        if record.state is RunState.RUNNING:
            queued_run = tasks.QueuedRun(run=record.run, generation=tasks.generation_of(record))
            follow.enqueue_and_wait(queued_run, network, options)
        if record.state is RunState.RUNNING or not _has_work_left(record, location, network, options):
            _, rows = journal.find_results(location, record.run)
            output_path = preconditions.resolve_output_path(_resolve_output(output, record), record.sheets, rows)
            return follow.collect_result(record.run, network, options, output_path)
    if options.cluster:
        client.create_queues(network, options)
    with journal.open_for_writing(location, network) as open_journal:
        record = open_journal.run(record.run)
        ready_run = prepare_to_continue(record, network, open_journal, options, requested_output=output)
        if not options.cluster:
            return execute_here(ready_run, open_journal, options, keep_ignoring_interrupts=keep_ignoring_interrupts)
        queued_run = record_for_workers(ready_run, options)
    return follow.enqueue_and_follow(queued_run, ready_run, options)


def prepare_to_continue(
    record: RunRecord, network: Network, open_journal: Journal, options: Options, *, requested_output: Path | None
) -> ReadyRun:
    """Check that what is left of a run may be done, and tell the user that it is resumed."""
    workload = execution.workload_from_run(open_journal, record)
    preconditions.enforce_cap(workload.purchase_count, options)
    notify(options, _describe_resumed_run(record, workload))
    output_path = preconditions.resolve_output_path(
        _resolve_output(requested_output, record), record.sheets, open_journal.rows(record.run)
    )

    def reopen(worker_options: Mapping[str, Any] | None) -> Workload:
        open_journal.resume_run(record.run, worker_options)
        return workload

    return ReadyRun(
        record=reopen,
        generation=tasks.generation_of(record) + 1 if options.cluster else 0,
        network=replace(network, api_version=record.api_version),
        output_path=output_path,
        input_paths=[Path(record.source_path)] if record.source_path else [],
    )


def find_resumable_run(location: JournalLocation, network: Network | None = None) -> RunRecord:
    """The latest run that can be resumed, of any network or of this one."""
    wanted_network = (network.base_url, network.network_id) if network else None
    for summary in reversed(journal.list_runs(location)):
        if summary.is_resumable and wanted_network in {None, (summary.record.base_url, summary.record.network_id)}:
            return summary.record
    raise ConfigError(f"There is no run to resume. List all runs: {remedy('runs')}")


def _resolve_output(requested_output: Path | None, record: RunRecord) -> Path | None:
    """Where a run's results go: as requested, or where the run was started with.

    A run of workers may have been started on another machine; then the results go to the current folder.
    """
    if requested_output or not record.output:
        return requested_output
    original_path = Path(record.output)
    if original_path.parent.exists() or not record.worker_options:
        return original_path
    return Path.cwd() / original_path.name


def _has_work_left(record: RunRecord, location: JournalLocation, network: Network, options: Options) -> bool:
    """Whether resuming a run would do something."""
    if record.state is not RunState.FINISHED or options.resend_absent or options.resend_unknown:
        return True
    with journal.open_readonly(location, network) as prior_journal:
        return prior_journal is not None and prior_journal.is_resumable(record)


def _describe_resumed_run(record: RunRecord, workload: Workload) -> str:
    steps = workload.step_records.values()
    sent = sum(step.attempt > 0 for step in steps)
    in_doubt = sum(step.state is State.IN_DOUBT and not step.superseded_by for step in steps)
    superseded = sum(bool(step.superseded_by) for step in steps)
    counts = [
        f"{sent:,} of {len(workload.steps):,} requests were sent before",
        *([f"{in_doubt:,} {plural_of(in_doubt, 'is', 'are')} in doubt"] if in_doubt else []),
        *([f"{superseded:,} {plural_of(superseded, 'belongs', 'belong')} to a later run"] if superseded else []),
    ]
    return (
        f"Resuming run {record.run} of {record.source or 'a DataFrame'}, started {format_time(record.started_at)}: "
        f"{', '.join(counts)}. (To start over instead, run the sheet with {option('again')}.)"
    )
