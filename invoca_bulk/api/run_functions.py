"""Runs: run, resume, undo, runs, results, and the sandbox to rehearse them on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from invoca_bulk import journal as journals
from invoca_bulk.api.arguments import checked_network, passed_names, public_function, to_options
from invoca_bulk.api.notes import present_result, with_attributes
from invoca_bulk.config.environment import can_prompt
from invoca_bulk.config.journal_location import JournalLocation, resolve_journal_location
from invoca_bulk.config.network import Network, SandboxLike
from invoca_bulk.config.options import Options
from invoca_bulk.reports import files, plan_file
from invoca_bulk.reports.plan_report import Plan
from invoca_bulk.reports.results import format_time
from invoca_bulk.reports.validation_report import Report
from invoca_bulk.sandbox_server import Faults, Sandbox
from invoca_bulk.schema.outcomes import Outcome
from invoca_bulk.service import resume as resumption
from invoca_bulk.service import run as runner
from invoca_bulk.service import undo as undo_service
from invoca_bulk.service.run_result import load_results
from invoca_bulk.service.sandbox_like import read_campaigns
from invoca_bulk.service.undo import Undo
from invoca_bulk.sheets import Source

_RUN_COLUMNS = ("run", "state", "started", "ended", "file", "network_id", "base_url")


@public_function
def run(  # noqa: PLR0913  keyword-only
    source: Source | Report | Plan,
    network: Network | SandboxLike,
    *,
    output: str | Path | None = None,
    sheet: str | None = None,
    resource: str | None = None,
    encoding: str | None = None,
    skip_invalid: bool = Options.skip_invalid,
    nested: str = Options.nested,
    allow_removals: bool = Options.allow_removals,
    auto_ids: bool = Options.auto_ids,
    allow_unlisted: bool = Options.allow_unlisted,
    allow_no_sites: bool = Options.allow_no_sites,
    yes: bool = Options.yes,
    again: bool = Options.again,
    apply_edits: bool = Options.apply_edits,
    assign_ids: bool = Options.assign_ids,
    resend_absent: bool = Options.resend_absent,
    resend_unknown: bool = Options.resend_unknown,
    doubt_refusals: bool = Options.doubt_refusals,
    max_new_numbers: int | None = Options.max_new_numbers,
    max_failures: int | str | None = Options.max_failures,
    settle: float | None = Options.settle,
    concurrency: int = Options.concurrency,
    rate: float | None = Options.rate,
    timeout: float = Options.timeout,
    journal: str | JournalLocation | None = Options.journal,
    progress: bool = Options.progress,
    plain_csv: bool = Options.plain_csv,
    cluster: bool = Options.cluster,
    detach: bool = Options.detach,
    first_backoff: float = Options.first_backoff,
    confirm: Callable[[str], bool] | None = None,
) -> pd.DataFrame | dict[str, pd.DataFrame]:
    """Validate, plan and run a sheet; every number is requested once.

    In a notebook the outcomes and warnings appear below the cell (not with `progress=False`). The stop button or Ctrl-C
    sends nothing more and waits for the requests in flight; a second press abandons them.

    Args:
        source: the result of `read`, `validate` or `plan`, anything that `read` takes, or the path of a saved plan. A
            plan is run only if the platform has not changed since it was made.
        network: a `Network`, or the sandbox of `with ib.sandbox() as network`.
        output: also write the results to this `.xlsx` or `.csv` file. An existing file is never overwritten.
        sheet: as for `read`.
        resource: as for `read`.
        encoding: as for `read`.
        skip_invalid: send the valid rows although others have errors.
        nested: `merge`: users and sites that the sheet does not mention stay; `replace`: they are removed.
        allow_removals: let `replace` remove users and sites.
        auto_ids: whether the network assigns ids to advertisers that come without one.
        allow_unlisted: whether media types and promo types may be outside the published lists.
        allow_no_sites: whether advertisers may be left without a site.
        yes: do not ask before something that cannot be undone.
        again: start over instead of resuming an interrupted run, and buy again what earlier runs have bought.
        apply_edits: send rows of a results file that were done before and edited since as updates.
        assign_ids: give each new number that has no `id_from_network` one, so that it can be looked up by it.
        resend_absent: send creates again that got no response and that the platform does not list.
        resend_unknown: send creates again whose outcome could not be determined; check the platform first.
        doubt_refusals: after a 429, check whether the number was created before retrying.
        max_new_numbers: refuse to buy more numbers than this. None: `INVOCA_MAX_NEW_NUMBERS`, or no limit.
        max_failures: stop after this many failed requests: a number, or a share such as `"5%"`. None: never.
        settle: seconds to wait before looking up a request that got no response. None: `INVOCA_SETTLE`, or 120 (on a
            sandbox 0.5).
        concurrency: maximum number of requests in flight (default 8).
        rate: maximum requests per second. None: no client-side limit.
        timeout: seconds to wait for a response (default 60).
        journal: as for `plan`.
        progress: show a progress bar.
        plain_csv: write a `.csv` for programs such as `pandas.read_csv`: all cells as they are. Otherwise a text that a
            spreadsheet would run as a formula gets an apostrophe in front, which `read` removes.
        cluster: let workers execute the run, and follow it; needs a journal on PostgreSQL. The stop button then only
            stops following; the frame contains what is done so far.
        detach: with `cluster`: do not follow the run.
        first_backoff: longest wait in seconds after a row's first rejection by the rate limit; doubles each time.
        confirm: asks the question before something that cannot be undone and returns the answer. None: you are asked in
            a terminal or notebook.

    Returns:
        The sheet with what the platform assigned (`promo_number`, `id`, `id_from_network`, `object_url`) and the
        `result_` columns. All cells are texts. The index is that of your own DataFrame; of a file, and of what `read`
        gave, the spreadsheet's row number (`row`, int64). The rows that one `quantity` became share a label.
        `attrs["run"]` is the id of the run, `attrs["output"]` the file that was written, `attrs["now"]` outcome to
        number of rows that this run did, `attrs["before"]` the same of earlier runs, `attrs["undone_by"]` the run that
        has undone it. Of several sheets: a dict of such frames with the keys of `read`; the counts are of all sheets.

    Warns:
        UserWarning: the run was interrupted or aborted, with the call that resumes it; or the results were written to
            another file than `output`. The frame contains what is known.

    Raises:
        UserError: you can fix it; nothing was sent.
        RunAborted: the platform's state could not be read, or another process holds the journal; nothing was sent.

    Example:
        >>> results = ib.run("requests.csv", network, yes=True)
        >>> results.loc[2, "result_status"]
        'created'
    """
    is_asked_here = confirm is None and can_prompt()
    options = to_options(
        locals(), confirm=confirm or (_ask if is_asked_here else None), ask_text=_ask_text if is_asked_here else None
    )
    saved_plan = source.saved_plan if isinstance(source, Plan) else plan_file.read_if_saved_plan(source)
    if saved_plan:
        plan_file.reject_plan_options(passed_names())
    run_result = runner.run_sheet(
        saved_plan or source,
        checked_network(network),
        options,
        output=Path(output) if output is not None else None,
        sheet=sheet,
        resource=resource,
        encoding=encoding,
    )
    return present_result(run_result, options)


@public_function
def resume(  # noqa: PLR0913  keyword-only
    network: Network | SandboxLike,
    run: str | None = None,
    *,
    output: str | Path | None = None,
    resend_absent: bool = Options.resend_absent,
    resend_unknown: bool = Options.resend_unknown,
    doubt_refusals: bool = Options.doubt_refusals,
    max_new_numbers: int | None = Options.max_new_numbers,
    max_failures: int | str | None = Options.max_failures,
    settle: float | None = Options.settle,
    concurrency: int = Options.concurrency,
    rate: float | None = Options.rate,
    timeout: float = Options.timeout,
    journal: str | JournalLocation | None = Options.journal,
    progress: bool = Options.progress,
    plain_csv: bool = Options.plain_csv,
    cluster: bool = Options.cluster,
    detach: bool = Options.detach,
    first_backoff: float = Options.first_backoff,
) -> pd.DataFrame | dict[str, pd.DataFrame]:
    """Do what is left of a run that was interrupted, and look up its requests in doubt.

    Args:
        network: the run's network.
        run: the id of the run (`result_run` of its results). None: the latest one of the network that can be resumed.
        output: as for `run`. None: the file that the run was started with.
        resend_absent: as for `run`.
        resend_unknown: as for `run`.
        doubt_refusals: as for `run`.
        max_new_numbers: as for `run`.
        max_failures: as for `run`.
        settle: as for `run`.
        concurrency: as for `run`.
        rate: as for `run`.
        timeout: as for `run`.
        journal: as for `plan`.
        progress: as for `run`.
        plain_csv: as for `run`.
        cluster: as for `run`.
        detach: as for `run`.
        first_backoff: as for `run`.

    Returns:
        All rows of the run, as `run` returns them. Of a run of your own DataFrame, the journal has kept the labels of
        its index: whole numbers, decimals, truth values and texts as they were, others (such as dates) as text.

    Warns:
        UserWarning: as `run`.

    Raises:
        UserError: the run is unknown, or belongs to another network; nothing was sent.
        RunAborted: another process holds the journal; nothing was sent.

    Example:
        >>> ib.resume(network)  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
        invoca_bulk.errors.ConfigError: There is no run to resume. List all runs: ib.runs()
    """
    options = to_options(locals())
    output_path = Path(output) if output is not None else None
    run_result = resumption.resume_run(run, checked_network(network), options, output=output_path)
    return present_result(run_result, options)


@public_function
def undo(
    run: str,
    network: Network | SandboxLike,
    *,
    concurrency: int = Options.concurrency,
    timeout: float = Options.timeout,
    journal: str | JournalLocation | None = Options.journal,
) -> Undo:
    """Plan to undo a run; nothing is sent before you run the plan: `ib.run(ib.undo(run, network), network)`.

    Numbers and advertisers that the run created are deleted. What it changed or moved is restored, users and sites
    included, unless it has changed since. What a number cost is not refunded, and what the run deleted stays deleted.

    Args:
        run: the id of the run: `result_run` of its results.
        network: the run's network; the API version is that of the run.
        concurrency: maximum number of requests in flight (default 8).
        timeout: seconds to wait for a response (default 60).
        journal: as for `plan`.

    Returns:
        A plan like that of `plan`, for review and for `run`, with `.not_undone` (a frame: what stays, by its row or
        label in the run, and why) and `.notes` (sentences on what cannot be undone).

    Raises:
        UserError: the run is unknown, or belongs to another network.
        RunAborted: the platform's state could not be read.

    Example:
        >>> run_id = ib.run("requests.csv", network, yes=True).attrs["run"]
        >>> ib.undo(run_id, network).counts
        {'delete': 1}
    """
    return undo_service.undo(run, checked_network(network), to_options(locals()))


def _ask_text(question: str) -> str:
    return input(f"{question}: ")


def _ask(question: str) -> bool:
    return input(f"{question} [y/N] ").strip().casefold() in {"y", "yes"}


@public_function
def runs(*, journal: str | JournalLocation | None = Options.journal) -> pd.DataFrame:
    """All runs in the journals, oldest first. Runs on a sandbox of this process are not recorded.

    Args:
        journal: as for `plan`.

    Returns:
        A row for each run: `run` (its id), `state` (`running`, `finished`, `interrupted`, `aborted` or `closed`: later
        runs have taken over the rest), `started` and `ended` (UTC, ISO 8601; blank: not yet), `file`, `network_id`,
        `base_url` (texts), the number of rows that the run brought to each outcome (int64; added up, they are what was
        bought), `before` (int64: rows that earlier runs had done), `can_be_resumed` (bool), and `undone_by` (the run
        that has undone it; blank: none).

    Raises:
        UserError: the journals cannot be read.

    Example:
        >>> ib.runs().columns[:2].tolist()
        ['run', 'state']
    """
    rows = []
    for summary in journals.list_runs(resolve_journal_location(journal)):
        record = summary.record
        texts = (
            record.run,
            summary.state,
            format_time(record.started_at),
            format_time(record.ended_at),
            record.source,
            record.network_id,
            record.base_url,
        )
        counts = [summary.totals.get(outcome, 0) for outcome in Outcome]
        before = sum(summary.earlier_totals.values())
        rows.append((*texts, *counts, before, summary.is_resumable and not summary.is_in_use, summary.undone_by))
    counted = [*(outcome.value for outcome in Outcome), "before"]
    dtypes = dict.fromkeys(_RUN_COLUMNS, "str") | dict.fromkeys(counted, "int64")
    dtypes |= {"can_be_resumed": "bool", "undone_by": "str"}
    return pd.DataFrame(rows, columns=list(dtypes)).astype(dtypes)


@public_function
def results(
    run: str,
    *,
    output: str | Path | None = None,
    plain_csv: bool = Options.plain_csv,
    journal: str | JournalLocation | None = Options.journal,
) -> pd.DataFrame | dict[str, pd.DataFrame]:
    """The results of a run as the journal has them, at any time, even while another process executes it.

    Args:
        run: the id of the run.
        output: also write the results to this `.xlsx` or `.csv` file. An existing file is never overwritten.
        plain_csv: as for `run`.
        journal: as for `plan`.

    Returns:
        All rows of the run, as `resume` returns them.

    Raises:
        UserError: no journal there knows the run, or the file cannot be written.

    Example:
        >>> ib.results("no-such-run")  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
        invoca_bulk.errors.ConfigError: No journal knows the run
    """
    run_results = load_results(run, journal)
    path = "" if output is None else run_results.save(files.unused_path(Path(output)), plain_csv=plain_csv)
    return with_attributes(run_results, str(path))


@public_function
def sandbox(  # noqa: PLR0913  keyword-only
    *,
    port: int = Sandbox.port,
    network_id: str = Sandbox.network_id,
    token: str = Sandbox.token,
    open_campaigns: bool = Sandbox.open_campaigns,
    like: Source | None = None,
    latency: float = Sandbox.latency,
    auto_ids: bool = Sandbox.auto_ids,
    repeat_updates: bool = Sandbox.repeat_updates,
    unlisted_types: bool = Sandbox.unlisted_types,
    sites_required: bool = Sandbox.sites_required,
    moved_ids: str = Sandbox.moved_ids,
    performance_flags: bool = Sandbox.performance_flags,
    campaign_allowance: int | None = Sandbox.campaign_allowance,
    seed: int = Sandbox.seed,
    faults: str | Faults = "",
) -> Sandbox:
    """A stand-in platform on this machine that issues made-up numbers.

    Args:
        port: the port. 0: any free one.
        network_id: the id of its network.
        token: the token that it accepts.
        open_campaigns: create any campaign or affiliate on first use instead of answering 404.
        like: what `export` gave, or its file: just its advertisers and campaigns are there, so that a wrong id shows.
        latency: seconds that each response takes.
        auto_ids: assign an id to an advertiser that comes without one.
        repeat_updates: let a second POST with an `id_from_network` that is taken update the number; else it is refused.
        unlisted_types: accept media types and promo types outside of the published lists.
        sites_required: refuse an advertiser without a site.
        moved_ids: `new`: a moved number gets another `id_from_network`; `kept`: it keeps it.
        performance_flags: whether the performance flags are shown as they were written, or always false.
        campaign_allowance: how many numbers a campaign may ever get. None: any number.
        seed: the same seed gives the same numbers.
        faults: what goes wrong: text such as `20%` or `drop_after=5%,429=10%,limit=10`, or `Faults`.

    Returns:
        The sandbox, a context manager that serves while it is open.

    Example:
        >>> with ib.sandbox(open_campaigns=True) as network:
        ...     results = ib.run("requests.csv", network)
        >>> results.loc[2, "result_status"]
        'created'
    """
    return Sandbox(
        port=port,
        network_id=network_id,
        token=token,
        open_campaigns=open_campaigns,
        like=None if like is None else read_campaigns(like),
        latency=latency,
        auto_ids=auto_ids,
        repeat_updates=repeat_updates,
        unlisted_types=unlisted_types,
        sites_required=sites_required,
        moved_ids=moved_ids,
        performance_flags=performance_flags,
        campaign_allowance=campaign_allowance,
        seed=seed,
        faults=faults,
    )
