"""Composes the stages for all doors: read -> validate -> plan -> execute -> results."""

from __future__ import annotations

import contextlib
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from invoca_bulk import (
    bridge,
    execution,
    fetching,
    guards,
    journal,
    pacing,
    planning,
    settings,
    sheets,
    validation,
)
from invoca_bulk.annotation import Report
from invoca_bulk.client import Client
from invoca_bulk.errors import OutputUnwritable, RunAborted
from invoca_bulk.journal import RunState
from invoca_bulk.kept import Kept
from invoca_bulk.previews import Preview
from invoca_bulk.progress import Bar
from invoca_bulk.results import Results
from invoca_bulk.schema import DEFAULT_API_VERSION
from invoca_bulk.settings import Network

if TYPE_CHECKING:
    from collections.abc import Iterator

    from invoca_bulk.bridge import Interrupts
    from invoca_bulk.errors import InvocaBulkError
    from invoca_bulk.execution import Ended
    from invoca_bulk.journal import Journal, RowRecord
    from invoca_bulk.options import Options
    from invoca_bulk.planning import Plan
    from invoca_bulk.validation import Checked
    from invoca_bulk.verdicts import Verdict

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
        unheeded: lines of text: what of the sheets was not sent, such as columns that nobody knows.
    """

    results: Results
    error: InvocaBulkError | None
    unheeded: tuple[str, ...] = ()
    saved: Path | None = None
    asked: Path | None = None
    not_saved: OutputUnwritable | None = None

    @property
    def exit_code(self) -> int:
        """0 all done; 1 some rows not done; 3 aborted; 4 interrupted."""
        ended = {RunState.ABORTED: 3, RunState.INTERRUPTED: 4}.get(self.results.run.state)
        return ended or (0 if self.results.all_done and not self.not_saved else 1)

    @property
    def notes(self) -> list[str]:
        """What the user has to be told besides the totals."""
        notes = [str(problem) for problem in (self.error, self.not_saved) if problem]
        if self.saved != self.asked:
            notes.append(f"{self.asked} could not be written; the results are at another place.")
        return notes


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
    guards.refuse_rehearsals(report, network)
    plan = make_plan(report.checked, network, options)
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
        guards.refuse_other_network(kept, network)
        options = replace(options, **asdict(kept.choices))
    report = check(source, api_version=network.api_version, auto_ids=options.auto_ids, **reading)
    guards.refuse_errors(report, skip=options.skip_invalid)
    guards.refuse_rehearsals(report, network)
    with _journal_folder(network, options) as folder, journal.opened(folder, network) as book:
        guards.refuse_repeats(report.checked, book, options)
        plan = make_plan(report.checked, network, options)
        if kept:
            guards.refuse_drift(kept, plan)
        guards.refuse_errors(Report(replace(report.checked, issues=plan.issues)), skip=options.skip_invalid)
        target = guards.prepared(output, plan)
        guards.confirm(plan, network, options)
        with bridge.interrupts_held(for_good=for_good) as interrupts:
            finished = execute(plan, network, book, options, interrupts)
            finished = replace(finished, unheeded=tuple(report.unheeded()))
            return _saved(finished, target, report) if target is not None else finished


@contextlib.contextmanager
def _journal_folder(network: Network, options: Options) -> Iterator[Path]:
    """A rehearsal's journal goes with it: its network is gone afterwards too."""
    if network.rehearsal:
        with tempfile.TemporaryDirectory(prefix="invoca-bulk-") as folder:
            yield Path(folder)
    else:
        yield settings.journal_folder(options.journal)


def make_plan(checked: Checked, network: Network, options: Options) -> Plan:
    """Look at the platform, and decide what to do for each row.

    Raises:
        NotAuthorized: the platform does not accept the token.
        PlatformUnavailable: its state could not be read.
    """
    observed = fetching.observe(planning.needed(checked), network, options)
    return planning.make(checked, observed, options.choices)


def execute(plan: Plan, network: Network, book: Journal, options: Options, interrupts: Interrupts) -> Finished:
    """Run a plan once, and give its results from the journal, however it ended."""
    run_id = book.begin(plan, network, now=time.time())
    tally = execution.Tally(total=len(plan.steps))
    with Bar(tally, show=options.progress) as bar:
        ended = _ended(plan, network, book, run_id, options, interrupts, tally, bar)
    with contextlib.suppress(Exception):  # that it has ended is told below too; its results matter more
        book.end(run_id, ended.state, now=time.time(), note=str(ended.error or ""))
    record = replace(book.run(run_id), state=ended.state)
    return Finished(results=Results(run=record, rows=_rows(book, run_id, ended)), error=ended.error)


def _ended(  # noqa: PLR0913, PLR0917  the parts of one execution, handed on once
    plan: Plan,
    network: Network,
    book: Journal,
    run_id: str,
    options: Options,
    interrupts: Interrupts,
    tally: execution.Tally,
    bar: Bar,
) -> Ended:
    slots = max(1, min(options.concurrency, len(plan.steps)))
    running = execution.Execution(
        plan=plan,
        network=network,
        journal=book,
        run=run_id,
        pace=pacing.Pace(options.rate),
        first_backoff=options.first_backoff,
        tally=tally,
    )

    async def main() -> Ended:
        if interrupts.count:
            running.stop()
        async with Client(network, slots=slots, timeout=options.timeout) as client:
            return await running.execute(client, slots)

    def stop() -> None:
        running.stop()
        bar.say("Stopping: requests under way are awaited. Ctrl-C again gives them up; their rows will be unknown.")

    try:
        return bridge.run(main, interrupts=interrupts, soft_stop=stop, tick=bar.tick)
    except KeyboardInterrupt:
        return replace(running.ended, state=RunState.INTERRUPTED)
    except Exception as error:  # noqa: BLE001  whatever it is, numbers may have been bought: the results are written
        reason = f"The run stopped at an unexpected error ({type(error).__name__}: {error})."
        return replace(running.ended, state=RunState.ABORTED, error=RunAborted(reason))


def _rows(book: Journal, run_id: str, ended: Ended) -> list[RowRecord]:
    """The journal's rows, with what it could not take any more laid over them."""
    return [
        row if row.step is None or row.step not in ended.unrecorded else _overlaid(row, ended.unrecorded[row.step])
        for row in book.rows(run_id)
    ]


def _overlaid(row: RowRecord, verdict: Verdict) -> RowRecord:
    known = {name: getattr(verdict, name) for name in ("error", "fix", "http_status", "answer")}
    return replace(row, outcome=journal.outcome(verdict.state, row.action), **known)


def results_of(run_id: str, folder: str | Path | None) -> Results:
    """The results of any run as they stand now, also of one that another process is at.

    Raises:
        SettingInvalid: no journal in the folder knows the run.
    """
    record, rows = journal.results_of(settings.journal_folder(folder), run_id)
    return Results(run=record, rows=rows)


def _saved(finished: Finished, output: Path, report: Report) -> Finished:
    inputs = [path for one in report.checked.sheets if (path := one.sheet.path)]
    try:
        saved = finished.results.save(output, not_over=inputs)
    except OutputUnwritable as error:
        return replace(finished, not_saved=error)
    return replace(finished, saved=saved, asked=output)
