"""Composes the stages for all doors: read -> validate -> plan -> execute -> results."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from invoca_bulk import execution, journal, planning, sheets, transport, validation
from invoca_bulk.config import settings
from invoca_bulk.config.settings import FIRST_RATE, REHEARSAL_RATE, Network
from invoca_bulk.errors import OutputUnwritable, RunAborted, SettingInvalid
from invoca_bulk.journal import RunState, State
from invoca_bulk.planning import Kept
from invoca_bulk.reports.plan_report import Preview
from invoca_bulk.reports.progress import Bar
from invoca_bulk.reports.results import Results, iso
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
    from invoca_bulk.config.settings import Place
    from invoca_bulk.errors import InvocaBulkError
    from invoca_bulk.execution import Ended, Work
    from invoca_bulk.execution.outcomes import Verdict
    from invoca_bulk.journal import Journal, RowRecord, RunRecord
    from invoca_bulk.planning import Plan
    from invoca_bulk.transport.run_sync import Interrupts
    from invoca_bulk.validation import Checked

#: What can be run: a file, a file object, a frame, or a dict of frames.
Source: TypeAlias = "sheets.Source"


class Target(Protocol):
    """What a run can be aimed at besides a `Network`: a sandbox."""

    base_url: str
    network_id: str
    token: str


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What a run came to.

    Attributes:
        results: what became of each row.
        error: why it was aborted; None: it was not.
        saved: the results file; None: none was asked for, or no place took it (then `not_saved` says why).
        asked: where it should have gone; another path than `saved` when that place took no file.
        not_saved: why the results file was not written.
        is_resumable: whether something is left that `resume` would do.
        is_rehearsal: whether it was one; its journal goes with this program.
        is_detached: whether nobody wanted to wait for the workers that do it.
        unheeded: lines of text: what of the sheets was not sent, such as columns that nobody knows.
    """

    results: Results
    error: InvocaBulkError | None
    unheeded: tuple[str, ...] = ()
    saved: Path | None = None
    asked: Path | None = None
    not_saved: OutputUnwritable | None = None
    is_resumable: bool = False
    is_rehearsal: bool = False
    is_detached: bool = False

    @property
    def exit_code(self) -> int:
        """0 all done, or left to workers; 1 some rows not done; 3 aborted; 4 interrupted, or not followed any more."""
        state = self.results.run.state
        if self.is_under_way and self.is_detached:
            return 0
        ended = {RunState.ABORTED: 3, RunState.INTERRUPTED: 4, RunState.RUNNING: 4}.get(state)
        return ended or (0 if self.results.all_done and not self.not_saved else 1)

    @property
    def is_under_way(self) -> bool:
        """Whether workers are still at it."""
        return self.results.run.state is RunState.RUNNING

    @property
    def notes(self) -> list[str]:
        """What the user has to be told besides the totals."""
        notes = [str(problem) for problem in (self.error, self.not_saved) if problem]
        if self.saved != self.asked:
            notes.append(f"{self.asked} could not be written; the results are at another place.")
        return notes


@dataclass(frozen=True, kw_only=True)
class _Handed:
    """A run that is recorded, for workers to do.

    Attributes:
        task: as workers know it.
        target: where its results are to go; None: only a frame is wanted.
        inputs: the files that the results must not replace.
        unheeded: as in `Finished`.
    """

    task: tasks.Task
    target: Path | None
    inputs: Sequence[Path] = ()
    unheeded: tuple[str, ...] = ()


def network_of(target: Network | Target, *, api_version: str = DEFAULT_API_VERSION) -> Network:
    """The network that a run is aimed at; a sandbox speaks every version, and is a rehearsal."""
    if isinstance(target, Network):
        return target
    where = {"base_url": target.base_url, "network_id": target.network_id, "token": target.token}
    return Network(**where, api_version=api_version, rehearsal=True)


def check(
    source: Source | Report | Kept,
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
        SheetUnreadable: it cannot be read.
    """
    if isinstance(source, Report):
        loaded = tuple(one.sheet for one in source.checked.sheets)
        if (source.checked.version, source.checked.auto_ids) == (api_version, auto_ids):
            return source
    elif isinstance(source, Kept):
        loaded = source.sheets
    else:
        loaded = sheets.load(source, sheet=sheet, resource=resource)
    with sheets.collector_paused():
        return Report(validation.validate(loaded, version=api_version, auto_ids=auto_ids))


def preview(source: Source | Report, network: Network, options: Options, **reading: str | None) -> Preview:
    """Read, validate and plan; nothing is sent, and no journal is needed.

    Args:
        source: as for `check`. What is wrong with its rows is in the plan: they are refused.
        network: where to look.
        options: how.
        reading: `sheet` and `resource`, as for `check`.

    Raises:
        UserError: the user can fix it.
        RunAborted: the platform's state could not be read.
    """
    report = check(source, api_version=network.api_version, auto_ids=options.auto_ids, **reading)
    preconditions.refuse_rehearsals(report, network)
    with _known(network, options) as book:
        plan = make_plan(report.checked, network, options, book)
    return Preview(plan=plan, checked=report.checked, network=network, options=options, reading=reading)


def run(
    source: Source | Report | Preview | Kept,
    network: Network,
    options: Options,
    *,
    output: Path | None = None,
    for_good: bool = False,
    **reading: str | None,
) -> Finished:
    """The whole way: from a sheet to its results.

    Args:
        source: as for `check`; or a plan, whose own choices then hold, and which is run only if the platform has not
            changed since.
        network: where to.
        options: how.
        output: the results file; None: only the frame is wanted. A file that is there already is left alone.
        for_good: whether interrupts stay held after the first request, as in `bridge.interrupts_held`.
        reading: `sheet` and `resource`, as for `check`.

    Raises:
        UserError: the user can fix it; nothing was sent.
        RunAborted: the platform's state could not be read, or another process holds the journal; nothing was sent.
    """
    source = source.kept if isinstance(source, Preview) else source
    kept = source if isinstance(source, Kept) else None
    if kept:
        preconditions.refuse_other_network(kept, network)
        options = replace(options, **asdict(kept.choices))
    if options.cluster:
        following.prepare(network, options)
    report = check(source, api_version=network.api_version, auto_ids=options.auto_ids, **reading)
    preconditions.refuse_errors(report, skip=options.skip_invalid)
    preconditions.refuse_rehearsals(report, network)
    with journal.opened(journal.place_of(network, options.journal), network) as book:
        content = planning.fingerprint_of(one.sheet for one in report.checked.sheets)
        unfinished = None if options.again else book.unfinished(content)
        if unfinished:
            preconditions.refuse_other_choices(unfinished, network, options)
            ended = _go_on(unfinished, network, book, options, output=output, for_good=for_good)
        else:
            ended = _begin(report, kept, network, book, options, output=output, for_good=for_good)
    return _followed(ended, network, options)


def _begin(  # noqa: PLR0913  a sheet, and how it is wanted; keyword-only
    report: Report,
    kept: Kept | None,
    network: Network,
    book: Journal,
    options: Options,
    *,
    output: Path | None,
    for_good: bool,
) -> Finished | _Handed:
    """Plan a checked sheet, and run it."""
    plan = make_plan(report.checked, network, options, None if network.rehearsal else book)
    told = preconditions.refuse_repeats(plan, options)
    if kept:
        preconditions.refuse_drift(kept, plan)
    preconditions.refuse_errors(Report(replace(report.checked, issues=plan.issues)), skip=options.skip_invalid)
    if told:
        _say(options, told)
    target = preconditions.prepared(output, plan.sheets, plan.rows)
    preconditions.confirm(plan, network, options)
    inputs = [path for one in report.checked.sheets if (path := one.sheet.path)]
    unheeded = tuple(report.unheeded())
    start = journal.Start(
        choices=options.choices,
        output=_whole_path(target),
        source_path=_whole_path(*inputs[:1]),
        workers=tasks.for_workers(options, turn=1) if options.cluster else None,
    )
    with run_sync.interrupts_held(for_good=for_good and not options.cluster) as interrupts:
        work = _begun(plan, network, book, start, assign_ids=options.assign_ids)
        if options.cluster:
            task = tasks.Task(run=work.run, turn=1)
            return _Handed(task=task, target=target, inputs=inputs, unheeded=unheeded)
        finished = execute(work, network, book, options, interrupts)
        return _saved(replace(finished, unheeded=unheeded), target, inputs)


def _followed(ended: Finished | _Handed, network: Network, options: Options) -> Finished:
    """What a run came to; one for workers is handed to them, now that they can have the journal."""
    if isinstance(ended, Finished):
        return ended
    following.hand_out(network, options, ended.task)
    if not options.detach:
        following.follow(network, options, ended.task.run, lambda sentence: _say(options, sentence))
    return _as_it_stands(ended, network, options)


def _as_it_stands(ended: _Handed, network: Network, options: Options) -> Finished:
    """What workers have done of a run so far, or what it came to."""
    record, rows = journal.results_of(journal.place_of(network, options.journal), ended.task.run)
    stopped = record.state in {RunState.INTERRUPTED, RunState.ABORTED}
    finished = Finished(
        results=Results(run=record, rows=rows),
        error=RunAborted(record.note) if record.state is RunState.ABORTED else None,
        unheeded=ended.unheeded,
        is_resumable=stopped,
        is_detached=options.detach,
    )
    return finished if finished.is_under_way else _saved(finished, ended.target, ended.inputs)


def resume(
    run_id: str | None, network: Network, options: Options, *, output: Path | None = None, for_good: bool = False
) -> Finished:
    """Do what is left of a run that was interrupted, and settle what it left in doubt.

    Args:
        run_id: the run; None: the latest one of the network of which something is left.
        network: the run's network.
        options: how; what the run itself has settled stays.
        output: as for `run`; None: where the run's results were to go.
        for_good: as for `run`.

    Raises:
        UserError: the run is not known, or is another network's; nothing was sent.
        RunAborted: another process holds the journal; nothing was sent.
    """
    place = journal.place_of(network, options.journal)
    record = journal.run_of(place, run_id) if run_id else latest_open(place, network)
    preconditions.refuse_other_run(record, network)
    if options.cluster and record.workers:
        task = tasks.Task(run=record.run, turn=tasks.turn_of(record))
        handed = _Handed(task=task, target=_target_here(output, record))
        if record.state is RunState.RUNNING:
            return _followed(handed, network, options)
        if not _is_left(record, place, network, options):
            return _as_it_stands(handed, network, options)
    if options.cluster:
        following.prepare(network, options)
    with journal.opened(place, network) as book:
        ended = _go_on(book.run(record.run), network, book, options, output=output, for_good=for_good)
    return _followed(ended, network, options)


def _target_here(output: Path | None, record: RunRecord) -> Path | None:
    """Where a run's results go: as wanted, or where they were to go; on another machine into the current folder."""
    if output or not record.output:
        return output
    meant = Path(record.output)
    return meant if meant.parent.exists() or not record.workers else Path.cwd() / meant.name


def _is_left(record: RunRecord, place: Place, network: Network, options: Options) -> bool:
    """Whether something is left of a run that resuming it would do."""
    if record.state is not RunState.FINISHED or options.resend_absent or options.resend_unknown:
        return True
    with journal.reading(place, network) as book:
        return book is not None and book.is_open(record)


def latest_open(place: Place, network: Network | None = None) -> RunRecord:
    """The latest run of which something is left.

    Args:
        place: where the journals are.
        network: whose run it has to be; None: any.

    Raises:
        SettingInvalid: there is none.
    """
    where = (network.base_url, network.network_id) if network else None
    for one in reversed(journal.listed(place)):
        if one.is_open and where in {None, (one.record.base_url, one.record.network_id)}:
            return one.record
    raise SettingInvalid("Nothing is left to do of any run. `invoca-bulk runs` shows them all.")


def _go_on(  # noqa: PLR0913  a run, and how it is wanted; keyword-only
    record: RunRecord, network: Network, book: Journal, options: Options, *, output: Path | None, for_good: bool
) -> Finished | _Handed:
    """Do what is left of a run, as it began."""
    network = replace(network, api_version=record.api_version)
    work = execution.of_run(book, record)
    preconditions.refuse_over_cap(work.new_numbers, options)
    _say(options, _goes_on(record, work))
    target = preconditions.prepared(_target_here(output, record), record.sheets, book.rows(record.run))
    inputs = [Path(record.source_path)] if record.source_path else []
    if options.cluster:
        task = tasks.Task(run=record.run, turn=tasks.turn_of(record) + 1)
        book.go_on(record.run, tasks.for_workers(options, task.turn))
        return _Handed(task=task, target=target, inputs=inputs)
    with run_sync.interrupts_held(for_good=for_good) as interrupts:
        book.go_on(record.run)
        return _saved(execute(work, network, book, options, interrupts), target, inputs)


def _goes_on(record: RunRecord, work: Work) -> str:
    name = f"Run {record.run} of {record.source or 'a DataFrame'}, begun {iso(record.started_at)},"
    known = work.known.values()
    counts = {
        f"of {len(work.steps):,} requests were sent before": sum(one.attempt > 0 for one in known),
        "are in doubt": sum(one.state is State.IN_DOUBT and not one.taken_by for one in known),
        "are a later run's": sum(bool(one.taken_by) for one in known),
    }
    told = [f"{count:,} {what}" for what, count in counts.items() if count or what.startswith("of")]
    return f"{name} goes on: {', '.join(told)}. (To start anew instead, run the sheet with --again (again=True).)"


def _begun(plan: Plan, network: Network, book: Journal, start: journal.Start, *, assign_ids: bool) -> Work:
    """Record a run that begins."""
    now = book.now()
    run_id = book.new_id(network, now)
    if assign_ids:
        plan = planning.with_own_ids(plan, run_id, network.api_version)
    book.begin(plan, network, now=now, start=start, run=run_id)
    return execution.of_plan(run_id, plan)


def _whole_path(path: Path | None = None) -> str:
    return str(path.absolute()) if path else ""


def _say(options: Options, sentence: str) -> None:
    """Tell the user something before anything is sent."""
    (options.say or _written)(sentence)


def _written(sentence: str) -> None:
    """On standard error; a notebook would show that in red, as if something were wrong."""
    stream = sys.stdout if settings.in_kernel() else sys.stderr
    if stream is not None:  # a program without a console has none
        stream.write(f"{sentence}\n")


@contextlib.contextmanager
def _known(network: Network, options: Options) -> Iterator[Journal | None]:
    """The network's journal to look into; None: there is none, or it is a rehearsal, which may be repeated freely."""
    if network.rehearsal:
        yield None
    else:
        with journal.reading(settings.journal_place(options.journal), network) as book:
            yield book


def make_plan(checked: Checked, network: Network, options: Options, book: Journal | None = None) -> Plan:
    """Look at the platform, and decide what to do for each row.

    Args:
        checked: the validated sheets.
        network: where.
        options: how.
        book: the network's journal, which knows what earlier runs have bought; None: there is none.

    Raises:
        NotAuthorized: the platform does not accept the token.
        PlatformUnavailable: its state could not be read.
    """
    scopes = planning.needed(checked)
    observed = snapshot.observe(scopes, network, options)
    purchases = book.purchases(planning.collections(checked)) if book else []
    return planning.make(checked, observed, options.choices, planning.Earlier(purchases, claims=not options.again))


def execute(work: Work, network: Network, book: Journal, options: Options, interrupts: Interrupts) -> Finished:
    """Do what is left of a run, and give its results from the journal, however it ended."""
    tally = execution.Tally(total=len(work.steps))
    learned = book.learned()
    pace = transport.Pace(options.rate, first=REHEARSAL_RATE if network.rehearsal else FIRST_RATE, learned=learned)
    running = execution.Execution(
        work=work,
        network=network,
        journal=book,
        pace=pace,
        rules=options.rules(network, len(work.steps)),
        tally=tally,
        now=book.now,
    )
    with Bar(tally, show=options.progress) as bar:
        ended = _ended(running, network, options, interrupts, bar, slots=min(options.concurrency, len(work.steps)))
    with contextlib.suppress(Exception):  # that it has ended is told below too; its results matter more
        book.end(work.run, ended.state, now=book.now(), note=str(ended.error or ""))
        if running.learned:
            book.learn(running.learned, now=book.now())
    record = replace(book.run(work.run), state=ended.state)
    results = Results(run=record, rows=_rows(book, work.run, ended))
    stopped = ended.state is not RunState.FINISHED
    return Finished(
        results=results,
        error=ended.error,
        is_resumable=stopped and book.is_open(record),
        is_rehearsal=network.rehearsal,
    )


def _ended(  # noqa: PLR0913  the parts of one execution, handed on once
    running: execution.Execution, network: Network, options: Options, interrupts: Interrupts, bar: Bar, *, slots: int
) -> Ended:
    slots = max(1, slots)

    async def main() -> Ended:
        if interrupts.count:
            running.stop()
        async with Client(network, slots=slots, timeout=options.timeout) as client:
            return await running.execute(client, slots)

    def stop() -> None:
        running.stop()
        again = "A second press of the button" if settings.in_kernel() else "Ctrl-C again"
        bar.say(f"Stopping: requests under way are awaited. {again} gives them up; their rows will be unknown.")

    try:
        return run_sync.run(main, interrupts=interrupts, soft_stop=stop, tick=bar.tick)
    except KeyboardInterrupt:
        return replace(running.ended, state=RunState.INTERRUPTED)
    except Exception as error:  # noqa: BLE001  whatever it is, numbers may have been bought: the results are written
        reason = f"The run stopped at an unexpected error ({type(error).__name__}: {error})."
        return replace(running.ended, state=RunState.ABORTED, error=RunAborted(reason))


def _rows(book: Journal, run_id: str, ended: Ended) -> list[RowRecord]:
    """The journal's rows, with what it could not take any more laid over them."""
    return [
        _overlaid(row, verdict) if row.step_run == run_id and (verdict := ended.unrecorded.get(row.step or 0)) else row
        for row in book.rows(run_id)
    ]


def _overlaid(row: RowRecord, verdict: Verdict) -> RowRecord:
    known = {name: getattr(verdict, name) for name in ("error", "fix", "http_status", "answer")}
    return replace(row, outcome=journal.outcome(verdict.state, row.action), **known)


def results_of(run_id: str, place: str | Place | None) -> Results:
    """The results of any run as they stand now, also of one that another process is at.

    Raises:
        SettingInvalid: no journal there knows the run.
    """
    record, rows = journal.results_of(settings.journal_place(place), run_id)
    return Results(run=record, rows=rows)


def _saved(finished: Finished, output: Path | None, inputs: Sequence[Path]) -> Finished:
    if output is None:
        return finished
    try:
        saved = finished.results.save(output, not_over=inputs)
    except OutputUnwritable as error:
        return replace(finished, not_saved=error)
    return replace(finished, saved=saved, asked=output)
