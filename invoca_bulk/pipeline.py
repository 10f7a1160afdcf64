"""Composes the stages for all doors: read -> validate -> plan -> execute -> results."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from invoca_bulk import bridge, execution, journal, pacing, planning, saving, settings, sheets, validation, verdicts
from invoca_bulk.annotation import Report
from invoca_bulk.client import Client
from invoca_bulk.errors import (
    InvocaBulkError,
    NotConfirmed,
    OutputUnwritable,
    SheetInvalid,
)
from invoca_bulk.journal import RunState
from invoca_bulk.planning import Observed
from invoca_bulk.progress import Bar
from invoca_bulk.results import Results
from invoca_bulk.schema import DEFAULT_API_VERSION
from invoca_bulk.settings import SETTINGS, Network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd

    from invoca_bulk.client import Answer
    from invoca_bulk.execution import Ended
    from invoca_bulk.journal import Journal
    from invoca_bulk.planning import Plan, Scope
    from invoca_bulk.sheets import sources
    from invoca_bulk.validation import Checked

_FOUND = 200
_ERRORS_SHOWN = 5
_RESOURCES_THAT_RUN = frozenset({"promo_numbers"})


#: What can be run: a file, a file object, or a frame.
Source: TypeAlias = "sources.Source | pd.DataFrame"


class Target(Protocol):
    """What a run can be aimed at besides a `Network`: a sandbox."""

    base_url: str
    network_id: str
    token: str


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to run. Units and defaults stand in `settings.SETTINGS`.

    Attributes:
        skip_invalid: send the good rows although others have errors.
        yes: do not ask before numbers are bought.
        confirm: asks the user a question; None: nobody can be asked.
        journal: the folder of the journals; None: the user's own.
        progress: whether to show a progress bar.
    """

    skip_invalid: bool = False
    yes: bool = False
    confirm: Callable[[str], bool] | None = None
    max_new_numbers: int | None = None
    concurrency: int = SETTINGS["concurrency"].default
    rate: float | None = None
    timeout: float = SETTINGS["timeout"].default
    journal: str | Path | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        for name in ("max_new_numbers", "concurrency", "rate", "timeout"):
            settings.checked_number(name, getattr(self, name))


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What a run came to.

    Attributes:
        results: what became of each row.
        error: why it was aborted; None: it was not.
        saved: the results file; None: none was asked for, or no place took it (then `not_saved` says why).
        not_saved: why the results file was not written.
    """

    results: Results
    error: InvocaBulkError | None
    saved: Path | None = None
    not_saved: OutputUnwritable | None = None

    @property
    def exit_code(self) -> int:
        """0 all done; 1 some rows not done; 3 aborted; 4 interrupted."""
        ended = {RunState.ABORTED: 3, RunState.INTERRUPTED: 4}.get(self.results.run.state)
        return ended or (0 if self.results.all_done else 1)


def network_of(target: Network | Target, *, api_version: str = DEFAULT_API_VERSION) -> Network:
    """The network that a run is aimed at; a sandbox speaks every version, and is a rehearsal."""
    if isinstance(target, Network):
        return target
    where = {"base_url": target.base_url, "network_id": target.network_id, "token": target.token}
    return Network(**where, api_version=api_version, rehearsal=True)


def check(
    source: Source | Report, *, api_version: str, sheet: str | None = None, resource: str | None = None
) -> Report:
    """Read and validate.

    Args:
        source: a file, a file object or a DataFrame; a `Report` of the same version is taken as it is.
        api_version: the version of the API that the rows are meant for.
        sheet: the worksheet; None: the one whose headers fit.
        resource: `promo_numbers` or `advertisers`; None: told from the headers.

    Raises:
        SheetUnreadable: it cannot be read.
        SheetInvalid: it holds a resource that cannot be run yet.
    """
    if isinstance(source, Report):
        source = source.checked.sheet.frame if source.checked.version != api_version else source
    if isinstance(source, Report):
        return source
    loaded = sheets.load(source, sheet=sheet, resource=resource)
    if loaded.resource.name not in _RESOURCES_THAT_RUN:
        msg = f"The sheet holds {loaded.resource.name}; this version creates promo numbers only."
        raise SheetInvalid(msg)
    return Report(validation.validate(loaded, version=api_version))


def run(
    source: Source | Report,
    network: Network,
    options: Options,
    *,
    output: Path | None = None,
    **reading: str | None,
) -> Finished:
    """The whole way: from a sheet to its results.

    Args:
        source: as for `check`.
        network: where to.
        options: how.
        output: the results file; None: only the frame is wanted.
        reading: `sheet` and `resource`, as for `check`.

    Raises:
        UserError: the user can fix it; nothing was sent.
        RunAborted: the platform's state could not be read, or another process holds the journal; nothing was sent.
    """
    if output is not None:
        saving.checked_path(output)
    report = check(source, api_version=network.api_version, **reading)
    _refuse_errors(report, skip=options.skip_invalid)
    with _journal_folder(network, options) as folder, journal.opened(folder, network) as book:
        plan = make_plan(report.checked, network, options)
        _refuse_errors(Report(replace(report.checked, issues=plan.issues)), skip=options.skip_invalid)
        _confirm(plan, network, options)
        finished = execute(plan, network, book, options)
    return _saved(finished, output, source) if output is not None else finished


@contextlib.contextmanager
def _journal_folder(network: Network, options: Options) -> Iterator[Path]:
    """A rehearsal's journal goes with it: its network is gone afterwards too."""
    if network.rehearsal:
        with tempfile.TemporaryDirectory(prefix="invoca-bulk-") as folder:
            yield Path(folder)
    else:
        yield settings.journal_folder(options.journal)


def _refuse_errors(report: Report, *, skip: bool) -> None:
    """Send nothing of a sheet with errors; of one with a bad header not even when rows may be skipped.

    Raises:
        SheetInvalid: with the report.
    """
    errors = report.errors
    in_header = bool(errors["row"].isna().any())
    if errors.empty or (skip and not in_header):
        return
    rows = errors["row"].nunique()
    what = "the header has errors" if in_header else f"{rows:,} row{'s have' if rows > 1 else ' has'} errors"
    way_out = "" if in_header else ", or send the other rows with --skip-invalid (skip_invalid=True)"
    text = "\n".join([f"Nothing was sent: {what}. Correct the sheet{way_out}.", *report.lines(_ERRORS_SHOWN)])
    raise SheetInvalid(text, report=report)


def make_plan(checked: Checked, network: Network, options: Options) -> Plan:
    """Look at the platform, and decide what to do for each row.

    Raises:
        NotAuthorized: the platform does not accept the token.
        PlatformUnavailable: its state could not be read.
    """
    scopes = planning.needed(checked)
    observed = bridge.run(lambda: _observe(scopes, network, options)) if scopes else {}
    return planning.make(checked, observed)


async def _observe(scopes: Sequence[Scope], network: Network, options: Options) -> dict[Scope, Observed]:
    """One list for each scope, a few at once."""
    waiting = iter(scopes)
    observed: dict[Scope, Observed] = {}

    async def work(slot: int) -> None:
        for scope in waiting:
            observed[scope] = _observed(await client.get(slot, (*scope, "promo_numbers")))

    slots = min(options.concurrency, len(scopes))
    async with Client(network, slots=slots, timeout=options.timeout) as client:
        try:
            async with asyncio.TaskGroup() as group:
                for slot in range(slots):
                    group.create_task(work(slot))
        except* InvocaBulkError as errors:
            raise errors.exceptions[0] from None
    return observed


def _observed(answer: Answer) -> Observed:
    if answer.status == _FOUND and isinstance(answer.body, list):
        return Observed(numbers=tuple(answer.body))
    return Observed(refusal=verdicts.explained(answer, {}))


def _confirm(plan: Plan, network: Network, options: Options) -> None:
    """Count what cannot be undone, hold it against the cap, and have it confirmed.

    Raises:
        NotConfirmed: over the cap, refused, or nobody could be asked.
    """
    new, cap = plan.new_numbers, options.max_new_numbers
    if cap is not None and new > cap:
        msg = (
            f"Nothing was sent: the sheet buys {new:,} numbers, and the cap is {cap:,}. "
            "Raise --max-new-numbers (max_new_numbers=…) if that is meant."
        )
        raise NotConfirmed(msg)
    if not new or options.yes or network.rehearsal:
        return
    question = (
        f"{new:,} promo numbers will be bought on network {network.network_id} at {network.base_url}. "
        "This costs money and cannot be undone. Go on?"
    )
    if options.confirm is None:
        msg = f"Nothing was sent: {question[:-8]} Confirm it with --yes (yes=True)."
        raise NotConfirmed(msg)
    if not options.confirm(question):
        msg = "Nothing was sent: not confirmed."
        raise NotConfirmed(msg)


def execute(plan: Plan, network: Network, book: Journal, options: Options) -> Finished:
    """Run a plan once, and give its results from the journal, however it ended."""
    run_id = book.begin(plan, network, now=time.time())
    tally = execution.Tally(total=len(plan.steps))
    stop: list[Callable[[], None]] = []

    async def main() -> Ended:
        slots = max(1, min(options.concurrency, len(plan.steps)))
        async with Client(network, slots=slots, timeout=options.timeout) as client:
            running = execution.Execution(
                plan=plan,
                network=network,
                client=client,
                journal=book,
                run=run_id,
                pace=pacing.Pace(options.rate),
                tally=tally,
            )
            stop.append(running.stop)
            return await running.execute(slots)

    with Bar(tally, show=options.progress) as bar:
        try:
            ended = bridge.run(main, soft_stop=lambda: stop[0]() if stop else None, tick=bar.tick)
        except KeyboardInterrupt:
            ended = execution.Ended(state=RunState.INTERRUPTED)
    with contextlib.suppress(Exception) if ended.error else contextlib.nullcontext():
        book.end(run_id, ended.state, now=time.time(), note=str(ended.error or ""))
    return Finished(results=Results(run=book.run(run_id), rows=book.rows(run_id)), error=ended.error)


def _saved(finished: Finished, output: Path, source: Source | Report) -> Finished:
    inputs = [Path(source)] if isinstance(source, str | Path) else []
    try:
        saved = finished.results.save(output, not_over=inputs)
    except OutputUnwritable as error:
        return replace(finished, not_saved=error)
    return replace(finished, saved=saved)
