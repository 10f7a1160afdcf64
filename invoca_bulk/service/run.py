"""Run a sheet: validate -> plan -> confirm -> execute -> results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from invoca_bulk import execution, journal, planning, sheets
from invoca_bulk.config.network import Network
from invoca_bulk.config.options import Options
from invoca_bulk.execution import Workload
from invoca_bulk.journal import Journal
from invoca_bulk.planning import SavedPlan
from invoca_bulk.reports.plan_report import Plan
from invoca_bulk.reports.validation_report import Report
from invoca_bulk.service import follow, preconditions
from invoca_bulk.service.claims import check_claims
from invoca_bulk.service.execute import ReadyRun, execute_here, notify, record_for_workers
from invoca_bulk.service.plan import fetch_and_build_plan, validate_sheet
from invoca_bulk.service.resume import prepare_to_continue
from invoca_bulk.service.run_result import RunResult, label_rows
from invoca_bulk.workers import client


def run_sheet(
    source: sheets.Source | Report | Plan | SavedPlan,
    network: Network,
    options: Options,
    *,
    output: Path | None = None,
    keep_ignoring_interrupts: bool = False,
    **read_arguments: str | None,
) -> RunResult:
    """From a sheet to its results. The same sheet of an interrupted run resumes that run.

    A plan has its own plan options, and is run only if the platform has not changed since.
    """
    source = source.saved_plan if isinstance(source, Plan) else source
    saved_plan = source if isinstance(source, SavedPlan) else None
    if saved_plan:
        preconditions.require_plan_network(saved_plan, network)
        options = replace(options, **asdict(saved_plan.choices))
    if options.cluster:
        client.create_queues(network, options)
    report = validate_sheet(
        source,
        api_version=network.api_version,
        auto_ids=options.auto_ids,
        allow_unlisted=options.allow_unlisted,
        allow_no_sites=options.allow_no_sites,
        **read_arguments,
    )
    preconditions.require_same_network_form(network, options)
    preconditions.reject_sandbox_results(report, network)
    preconditions.reject_template_examples(report, network)
    report = check_claims(report, network, options, may_ask=True)
    preconditions.reject_invalid_rows(report, skip=options.skip_invalid)
    with journal.open_for_writing(journal.location_for(network, options.journal), network) as open_journal:
        fingerprint = planning.fingerprint_sheets(sheet.sheet for sheet in report.validated_book.sheets)
        unfinished_run = None if options.again else open_journal.find_unfinished_run(fingerprint)
        if unfinished_run:
            preconditions.require_same_plan_options(unfinished_run, network, options)
            ready_run = prepare_to_continue(unfinished_run, network, open_journal, options, requested_output=output)
        else:
            ready_run = _prepare_to_start(report, saved_plan, network, open_journal, options, requested_output=output)
        if not options.cluster:
            run_result = execute_here(
                ready_run, open_journal, options, keep_ignoring_interrupts=keep_ignoring_interrupts
            )
            return label_rows(run_result, report.validated_book)
        queued_run = record_for_workers(ready_run, options)
    return label_rows(follow.enqueue_and_follow(queued_run, ready_run, options), report.validated_book)


def _prepare_to_start(  # noqa: PLR0913  a sheet and how to run it
    report: Report,
    saved_plan: SavedPlan | None,
    network: Network,
    open_journal: Journal,
    options: Options,
    *,
    requested_output: Path | None,
) -> ReadyRun:
    """Plan a validated sheet, and have everything checked and confirmed."""
    prior_journal = None if network.rehearsal else open_journal
    plan = fetch_and_build_plan(report.validated_book, network, options, prior_journal)
    notice = preconditions.reject_already_bought(plan, report.validated_book)
    if saved_plan:
        preconditions.require_unchanged_plan(saved_plan, plan)
    report_of_plan = Report(replace(report.validated_book, issues=plan.issues))
    preconditions.reject_invalid_rows(report_of_plan, skip=options.skip_invalid)
    for sentence in filter(None, (notice, preconditions.describe_skipped_rows(report_of_plan))):
        notify(options, sentence)
    output_path = preconditions.resolve_output_path(requested_output, plan.sheets, plan.rows)
    source_sheets = [validated_sheet.sheet for validated_sheet in report.validated_book.sheets]
    preconditions.confirm_effects(plan, source_sheets, network, options)
    input_paths = [path for sheet in source_sheets if (path := sheet.path)]

    def start(worker_options: Mapping[str, Any] | None) -> Workload:
        metadata = journal.RunMetadata(
            choices=options.plan_options,
            output=str(output_path.absolute()) if output_path else "",
            source_path=str(input_paths[0].absolute()) if input_paths else "",
            worker_options=worker_options,
            warnings=tuple(report.sheet_warnings()),
        )
        now = open_journal.now()
        run_id = open_journal.generate_run_id(network, now)
        planned = planning.assign_generated_ids(plan, run_id, network.api_version) if options.assign_ids else plan
        open_journal.start_run(planned, network, now=now, metadata=metadata, run=run_id)
        return execution.workload_from_plan(run_id, planned)

    return ReadyRun(
        record=start,
        generation=1,
        network=network,
        output_path=output_path,
        input_paths=input_paths,
    )
