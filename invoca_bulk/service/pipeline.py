"""Composes the stages for all doors: read -> validate -> plan -> execute -> results."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from invoca_bulk import execution, journal, planning, sheets, transport, validation
from invoca_bulk.config import settings
from invoca_bulk.config.settings import INITIAL_RATE, SANDBOX_INITIAL_RATE, Network
from invoca_bulk.errors import ConfigError, OutputError, RunAborted
from invoca_bulk.journal import RunState, State
from invoca_bulk.planning import SavedPlan
from invoca_bulk.reports.plan_report import Plan
from invoca_bulk.reports.progress import ProgressBar
from invoca_bulk.reports.results import Results, format_time
from invoca_bulk.reports.validation_report import Report
from invoca_bulk.schema import DEFAULT_API_VERSION
from invoca_bulk.service import preconditions, snapshot
from invoca_bulk.transport import run_sync
from invoca_bulk.transport.client import Client
from invoca_bulk.workers import client as following
from invoca_bulk.workers import tasks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from invoca_bulk.config.options import Options
    from invoca_bulk.config.settings import JournalLocation
    from invoca_bulk.errors import InvocaBulkError
    from invoca_bulk.execution import RunOutcome, Workload
    from invoca_bulk.execution.outcomes import StepResult
    from invoca_bulk.journal import Journal, RowRecord, RunRecord
    from invoca_bulk.planning import PlanData
    from invoca_bulk.transport.run_sync import Interrupts
    from invoca_bulk.validation import ValidatedBook

#: What can be run: a file, a file object, a frame, or a dict of frames.
Source: TypeAlias = "sheets.Source"


class SandboxLike(Protocol):
    """What a run can be aimed at besides a `Network`: a sandbox."""

    base_url: str
    network_id: str
    token: str


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a run came to.

    Attributes:
        results: what became of each row.
        error: why it was aborted; None: it was not.
        output_path: the results file; None: none was asked for, or no place took it (then `write_error` says why).
        requested_path: where it should have gone; another path than `output_path` when that place took no file.
        write_error: why the results file was not written.
        is_resumable: whether something is left that `resume_run` would do.
        is_rehearsal: whether it was one; its journal goes with this program.
        is_detached: whether nobody wanted to wait for the workers that do it.
        ignored_input: lines of text: what of the sheets was not sent, such as columns that nobody knows.
    """

    results: Results
    error: InvocaBulkError | None
    ignored_input: tuple[str, ...] = ()
    output_path: Path | None = None
    requested_path: Path | None = None
    write_error: OutputError | None = None
    is_resumable: bool = False
    is_rehearsal: bool = False
    is_detached: bool = False

    @property
    def exit_code(self) -> int:
        """0 all done, or left to workers; 1 some rows not done; 3 aborted; 4 interrupted, or not followed any more."""
        state = self.results.run.state
        if self.is_running and self.is_detached:
            return 0
        ended = {RunState.ABORTED: 3, RunState.INTERRUPTED: 4, RunState.RUNNING: 4}.get(state)
        return ended or (0 if self.results.all_done and not self.write_error else 1)

    @property
    def is_running(self) -> bool:
        """Whether workers are still at it."""
        return self.results.run.state is RunState.RUNNING

    @property
    def notes(self) -> list[str]:
        """What the user has to be told besides the totals."""
        notes = [str(problem) for problem in (self.error, self.write_error) if problem]
        if self.output_path != self.requested_path:
            notes.append(f"{self.requested_path} could not be written; the results are at another place.")
        return notes


@dataclass(frozen=True, kw_only=True)
class _WorkerHandoff:
    """A run that is recorded, for workers to do.

    Attributes:
        task: as workers know it.
        output_path: where its results are to go; None: only a frame is wanted.
        input_paths: the files that the results must not replace.
        ignored_input: as in `RunResult`.
    """

    task: tasks.QueuedRun
    output_path: Path | None
    input_paths: Sequence[Path] = ()
    ignored_input: tuple[str, ...] = ()


def resolve_network(target: Network | SandboxLike, *, api_version: str = DEFAULT_API_VERSION) -> Network:
    """The network that a run is aimed at; a sandbox speaks every version, and is a rehearsal."""
    if isinstance(target, Network):
        return target
    where = {"base_url": target.base_url, "network_id": target.network_id, "token": target.token}
    return Network(**where, api_version=api_version, rehearsal=True)


def validate_sheet(
    source: Source | Report | SavedPlan,
    *,
    api_version: str,
    sheet: str | None = None,
    resource: str | None = None,
    auto_ids: bool = False,
) -> Report:
    """Read and validate.

    Args:
        source: a file, a file object or a DataFrame; a `Report` of the same version is taken as it is; a kept
            plan has its sheets with it.
        api_version: the version of the API that the rows are meant for.
        sheet: the worksheet; None: the one whose headers fit.
        resource: `promo_numbers` or `advertisers`; None: told from the headers.
        auto_ids: whether the network gives ids to advertisers that come without one.

    Raises:
        UnreadableSheetError: it cannot be read.
    """
    if isinstance(source, Report):
        loaded = tuple(one.sheet for one in source.validated_book.sheets)
        if (source.validated_book.version, source.validated_book.auto_ids) == (api_version, auto_ids):
            return source
    elif isinstance(source, SavedPlan):
        loaded = source.sheets
    else:
        loaded = sheets.load(source, sheet=sheet, resource=resource)
    with sheets.gc_paused():
        return Report(validation.validate(loaded, version=api_version, auto_ids=auto_ids))


def plan_sheet(source: Source | Report, network: Network, options: Options, **reading: str | None) -> Plan:
    """Read, validate and plan; nothing is sent, and no journal is needed.

    Args:
        source: as for `validate_sheet`. What is wrong with its rows is in the plan: they are refused.
        network: where to look.
        options: how.
        reading: `sheet` and `resource`, as for `validate_sheet`.

    Raises:
        UserError: the user can fix it.
        RunAborted: the platform's state could not be read.
    """
    report = validate_sheet(source, api_version=network.api_version, auto_ids=options.auto_ids, **reading)
    preconditions.reject_sandbox_results(report, network)
    with _open_prior_journal(network, options) as book:
        plan = fetch_and_build_plan(report.validated_book, network, options, book)
    return Plan(
        data=plan, validated_book=report.validated_book, network=network, options=options, read_arguments=reading
    )


def run_sheet(
    source: Source | Report | Plan | SavedPlan,
    network: Network,
    options: Options,
    *,
    output: Path | None = None,
    keep_ignoring_interrupts: bool = False,
    **reading: str | None,
) -> RunResult:
    """The whole way: from a sheet to its results.

    Args:
        source: as for `validate_sheet`; or a plan, whose own choices then hold, and which is run only if the platform
            has not changed since.
        network: where to.
        options: how.
        output: the results file; None: only the frame is wanted. A file that is there already is left alone.
        keep_ignoring_interrupts: whether interrupts stay held after the first request, as in `bridge.interrupts_held`.
        reading: `sheet` and `resource`, as for `validate_sheet`.

    Raises:
        UserError: the user can fix it; nothing was sent.
        RunAborted: the platform's state could not be read, or another process holds the journal; nothing was sent.
    """
    source = source.saved_plan if isinstance(source, Plan) else source
    kept = source if isinstance(source, SavedPlan) else None
    if kept:
        preconditions.require_plan_network(kept, network)
        options = replace(options, **asdict(kept.choices))
    if options.cluster:
        following.create_queues(network, options)
    report = validate_sheet(source, api_version=network.api_version, auto_ids=options.auto_ids, **reading)
    preconditions.reject_invalid_rows(report, skip=options.skip_invalid)
    preconditions.reject_sandbox_results(report, network)
    with journal.open_for_writing(journal.location_for(network, options.journal), network) as book:
        content = planning.fingerprint_sheets(one.sheet for one in report.validated_book.sheets)
        unfinished = None if options.again else book.find_unfinished_run(content)
        if unfinished:
            preconditions.require_same_plan_options(unfinished, network, options)
            ended = _continue_run(
                unfinished, network, book, options, output=output, keep_ignoring_interrupts=keep_ignoring_interrupts
            )
        else:
            ended = _start_run(
                report, kept, network, book, options, output=output, keep_ignoring_interrupts=keep_ignoring_interrupts
            )
    return _follow_if_handed_off(ended, network, options)


def _start_run(  # noqa: PLR0913  a sheet, and how it is wanted; keyword-only
    report: Report,
    saved_plan: SavedPlan | None,
    network: Network,
    open_journal: Journal,
    options: Options,
    *,
    output: Path | None,
    keep_ignoring_interrupts: bool,
) -> RunResult | _WorkerHandoff:
    """Plan a checked sheet, and run it."""
    plan = fetch_and_build_plan(report.validated_book, network, options, None if network.rehearsal else open_journal)
    told = preconditions.reject_already_bought(plan, options)
    if saved_plan:
        preconditions.require_unchanged_plan(saved_plan, plan)
    preconditions.reject_invalid_rows(
        Report(replace(report.validated_book, issues=plan.issues)), skip=options.skip_invalid
    )
    if told:
        _notify(options, told)
    target = preconditions.resolve_output_path(output, plan.sheets, plan.rows)
    preconditions.confirm_irreversible(plan, network, options)
    inputs = [path for one in report.validated_book.sheets if (path := one.sheet.path)]
    unheeded = tuple(report.ignored_input())
    start = journal.RunMetadata(
        choices=options.choices,
        output=_absolute_path(target),
        source_path=_absolute_path(*inputs[:1]),
        worker_options=tasks.worker_options(options, generation=1) if options.cluster else None,
    )
    with run_sync.defer_interrupts(keep_ignoring=keep_ignoring_interrupts and not options.cluster) as interrupts:
        work = _record_run(plan, network, open_journal, start, assign_ids=options.assign_ids)
        if options.cluster:
            task = tasks.QueuedRun(run=work.run, generation=1)
            return _WorkerHandoff(task=task, output_path=target, input_paths=inputs, ignored_input=unheeded)
        finished = execute_run(work, network, open_journal, options, interrupts)
        return _save_results(replace(finished, ignored_input=unheeded), target, inputs)


def _follow_if_handed_off(
    result_or_handoff: RunResult | _WorkerHandoff, network: Network, options: Options
) -> RunResult:
    """What a run came to; one for workers is handed to them, now that they can have the journal."""
    if isinstance(result_or_handoff, RunResult):
        return result_or_handoff
    following.enqueue_run(network, options, result_or_handoff.task)
    if not options.detach:
        following.follow_run(network, options, result_or_handoff.task.run, lambda sentence: _notify(options, sentence))
    return _current_result(result_or_handoff, network, options)


def _current_result(handoff: _WorkerHandoff, network: Network, options: Options) -> RunResult:
    """What workers have done of a run so far, or what it came to."""
    record, rows = journal.find_results(journal.location_for(network, options.journal), handoff.task.run)
    stopped = record.state in {RunState.INTERRUPTED, RunState.ABORTED}
    finished = RunResult(
        results=Results(run=record, rows=rows),
        error=RunAborted(record.note) if record.state is RunState.ABORTED else None,
        ignored_input=handoff.ignored_input,
        is_resumable=stopped,
        is_detached=options.detach,
    )
    return finished if finished.is_running else _save_results(finished, handoff.output_path, handoff.input_paths)


def resume_run(
    run_id: str | None,
    network: Network,
    options: Options,
    *,
    output: Path | None = None,
    keep_ignoring_interrupts: bool = False,
) -> RunResult:
    """Do what is left of a run that was interrupted, and settle what it left in doubt.

    Args:
        run_id: the run; None: the latest one of the network of which something is left.
        network: the run's network.
        options: how; what the run itself has settled stays.
        output: as for `run_sheet`; None: where the run's results were to go.
        keep_ignoring_interrupts: as for `run_sheet`.

    Raises:
        UserError: the run is not known, or is another network's; nothing was sent.
        RunAborted: another process holds the journal; nothing was sent.
    """
    place = journal.location_for(network, options.journal)
    record = journal.find_run(place, run_id) if run_id else find_resumable_run(place, network)
    preconditions.require_run_network(record, network)
    if options.cluster and record.worker_options:
        task = tasks.QueuedRun(run=record.run, generation=tasks.generation_of(record))
        handed = _WorkerHandoff(task=task, output_path=_default_output_path(output, record))
        if record.state is RunState.RUNNING:
            return _follow_if_handed_off(handed, network, options)
        if not _has_work_left(record, place, network, options):
            return _current_result(handed, network, options)
    if options.cluster:
        following.create_queues(network, options)
    with journal.open_for_writing(place, network) as book:
        ended = _continue_run(
            book.run(record.run),
            network,
            book,
            options,
            output=output,
            keep_ignoring_interrupts=keep_ignoring_interrupts,
        )
    return _follow_if_handed_off(ended, network, options)


def _default_output_path(output: Path | None, record: RunRecord) -> Path | None:
    """Where a run's results go: as wanted, or where they were to go; on another machine into the current folder."""
    if output or not record.output:
        return output
    meant = Path(record.output)
    return meant if meant.parent.exists() or not record.worker_options else Path.cwd() / meant.name


def _has_work_left(record: RunRecord, location: JournalLocation, network: Network, options: Options) -> bool:
    """Whether something is left of a run that resuming it would do."""
    if record.state is not RunState.FINISHED or options.resend_absent or options.resend_unknown:
        return True
    with journal.open_readonly(location, network) as book:
        return book is not None and book.is_resumable(record)


def find_resumable_run(location: JournalLocation, network: Network | None = None) -> RunRecord:
    """The latest run of which something is left.

    Args:
        location: where the journals are.
        network: whose run it has to be; None: any.

    Raises:
        ConfigError: there is none.
    """
    where = (network.base_url, network.network_id) if network else None
    for one in reversed(journal.list_runs(location)):
        if one.is_resumable and where in {None, (one.record.base_url, one.record.network_id)}:
            return one.record
    raise ConfigError("Nothing is left to do of any run. `invoca-bulk runs` shows them all.")


def _continue_run(  # noqa: PLR0913  a run, and how it is wanted; keyword-only
    record: RunRecord,
    network: Network,
    open_journal: Journal,
    options: Options,
    *,
    output: Path | None,
    keep_ignoring_interrupts: bool,
) -> RunResult | _WorkerHandoff:
    """Do what is left of a run, as it began."""
    network = replace(network, api_version=record.api_version)
    work = execution.workload_from_run(open_journal, record)
    preconditions.enforce_cap(work.purchase_count, options)
    _notify(options, _describe_resumed_run(record, work))
    target = preconditions.resolve_output_path(
        _default_output_path(output, record), record.sheets, open_journal.rows(record.run)
    )
    inputs = [Path(record.source_path)] if record.source_path else []
    if options.cluster:
        task = tasks.QueuedRun(run=record.run, generation=tasks.generation_of(record) + 1)
        open_journal.resume_run(record.run, tasks.worker_options(options, task.generation))
        return _WorkerHandoff(task=task, output_path=target, input_paths=inputs)
    with run_sync.defer_interrupts(keep_ignoring=keep_ignoring_interrupts) as interrupts:
        open_journal.resume_run(record.run)
        return _save_results(execute_run(work, network, open_journal, options, interrupts), target, inputs)


def _describe_resumed_run(record: RunRecord, work: Workload) -> str:
    name = f"Run {record.run} of {record.source or 'a DataFrame'}, begun {format_time(record.started_at)},"
    known = work.step_records.values()
    counts = {
        f"of {len(work.steps):,} requests were sent before": sum(one.attempt > 0 for one in known),
        "are in doubt": sum(one.state is State.IN_DOUBT and not one.superseded_by for one in known),
        "are a later run's": sum(bool(one.superseded_by) for one in known),
    }
    told = [f"{count:,} {what}" for what, count in counts.items() if count or what.startswith("of")]
    return f"{name} goes on: {', '.join(told)}. (To start anew instead, run the sheet with --again (again=True).)"


def _record_run(
    plan: PlanData, network: Network, open_journal: Journal, start: journal.RunMetadata, *, assign_ids: bool
) -> Workload:
    """Record a run that begins."""
    now = open_journal.now()
    run_id = open_journal.generate_run_id(network, now)
    if assign_ids:
        plan = planning.assign_generated_ids(plan, run_id, network.api_version)
    open_journal.start_run(plan, network, now=now, metadata=start, run=run_id)
    return execution.workload_from_plan(run_id, plan)


def _absolute_path(path: Path | None = None) -> str:
    return str(path.absolute()) if path else ""


def _notify(options: Options, sentence: str) -> None:
    """Tell the user something before anything is sent."""
    (options.say or _print_notice)(sentence)


def _print_notice(sentence: str) -> None:
    """On standard error; a notebook would show that in red, as if something were wrong."""
    stream = sys.stdout if settings.is_in_kernel() else sys.stderr
    if stream is not None:  # a program without a console has none
        stream.write(f"{sentence}\n")


@contextlib.contextmanager
def _open_prior_journal(network: Network, options: Options) -> Iterator[Journal | None]:
    """The network's journal to look into; None: there is none, or it is a rehearsal, which may be repeated freely."""
    if network.rehearsal:
        yield None
    else:
        with journal.open_readonly(settings.resolve_journal_location(options.journal), network) as book:
            yield book


def fetch_and_build_plan(
    validated: ValidatedBook, network: Network, options: Options, open_journal: Journal | None = None
) -> PlanData:
    """Look at the platform, and decide what to do for each row.

    Args:
        validated: the validated sheets.
        network: where.
        options: how.
        open_journal: the network's journal, which knows what earlier runs have bought; None: there is none.

    Raises:
        AuthenticationError: the platform does not accept the token.
        PlatformUnavailableError: its state could not be read.
    """
    scopes = planning.required_scopes(validated)
    observed = snapshot.fetch_state(scopes, network, options)
    purchases = open_journal.purchases(planning.collection_paths(validated)) if open_journal else []
    return planning.build_plan(
        validated, observed, options.choices, planning.PriorPurchases(purchases, allow_claims=not options.again)
    )


def execute_run(
    work: Workload, network: Network, open_journal: Journal, options: Options, interrupts: Interrupts
) -> RunResult:
    """Do what is left of a run, and give its results from the journal, however it ended."""
    tally = execution.RunCounters(total=len(work.steps))
    learned = open_journal.saved_rate()
    pace = transport.RateLimiter(
        options.rate, first_rate=SANDBOX_INITIAL_RATE if network.rehearsal else INITIAL_RATE, learned_rate=learned
    )
    running = execution.Executor(
        work=work,
        network=network,
        journal=open_journal,
        rate_limiter=pace,
        policy=options.execution_policy(network, len(work.steps)),
        counters=tally,
        clock=open_journal.now,
    )
    with ProgressBar(tally, show=options.progress) as bar:
        ended = _run_execution(
            running, network, options, interrupts, bar, slots=min(options.concurrency, len(work.steps))
        )
    with contextlib.suppress(Exception):  # that it has ended is told below too; its results matter more
        open_journal.end_run(work.run, ended.state, now=open_journal.now(), note=str(ended.error or ""))
        if running.learned_rate:
            open_journal.save_rate(running.learned_rate, now=open_journal.now())
    record = replace(open_journal.run(work.run), state=ended.state)
    results = Results(run=record, rows=_load_rows(open_journal, work.run, ended))
    stopped = ended.state is not RunState.FINISHED
    return RunResult(
        results=results,
        error=ended.error,
        is_resumable=stopped and open_journal.is_resumable(record),
        is_rehearsal=network.rehearsal,
    )


def _run_execution(  # noqa: PLR0913  the parts of one execution, handed on once
    active_execution: execution.Executor,
    network: Network,
    options: Options,
    interrupts: Interrupts,
    bar: ProgressBar,
    *,
    slots: int,
) -> RunOutcome:
    slots = max(1, slots)

    async def main() -> RunOutcome:
        if interrupts.count:
            active_execution.stop()
        async with Client(network, connections=slots, timeout=options.timeout) as client:
            return await active_execution.execute(client, slots)

    def stop() -> None:
        active_execution.stop()
        again = "A second press of the button" if settings.is_in_kernel() else "Ctrl-C again"
        bar.queue_message(
            f"Stopping: requests under way are awaited. {again} gives them up; their rows will be unknown."
        )

    try:
        return run_sync.run(main, interrupts=interrupts, soft_stop=stop, tick=bar.redraw)
    except KeyboardInterrupt:
        return replace(active_execution.run_outcome, state=RunState.INTERRUPTED)
    except Exception as error:  # noqa: BLE001  whatever it is, numbers may have been bought: the results are written
        reason = f"The run stopped at an unexpected error ({type(error).__name__}: {error})."
        return replace(active_execution.run_outcome, state=RunState.ABORTED, error=RunAborted(reason))


def _load_rows(open_journal: Journal, run_id: str, run_outcome: RunOutcome) -> list[RowRecord]:
    """The journal's rows, with what it could not take any more laid over them."""
    return [
        _apply_unrecorded(row, verdict)
        if row.step_run == run_id and (verdict := run_outcome.unrecorded_results.get(row.step or 0))
        else row
        for row in open_journal.rows(run_id)
    ]


def _apply_unrecorded(row: RowRecord, verdict: StepResult) -> RowRecord:
    known = {name: getattr(verdict, name) for name in ("error", "fix", "http_status", "answer")}
    return replace(row, outcome=journal.derive_outcome(verdict.state, row.action), **known)


def load_results(run_id: str, location: str | JournalLocation | None) -> Results:
    """The results of any run as they stand now, also of one that another process is at.

    Raises:
        ConfigError: no journal there knows the run.
    """
    record, rows = journal.find_results(settings.resolve_journal_location(location), run_id)
    return Results(run=record, rows=rows)


def _save_results(run_result: RunResult, requested_path: Path | None, input_paths: Sequence[Path]) -> RunResult:
    if requested_path is None:
        return run_result
    try:
        saved = run_result.results.save(requested_path, protected_paths=input_paths)
    except OutputError as error:
        return replace(run_result, write_error=error)
    return replace(run_result, output_path=saved, requested_path=requested_path)
