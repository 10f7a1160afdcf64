"""The library: DataFrames in, DataFrames out."""

from __future__ import annotations

import difflib
import functools
import inspect
import warnings
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import pandas as pd

from invoca_bulk import journal as journals
from invoca_bulk import sheets
from invoca_bulk.config.environment import can_prompt, is_in_kernel
from invoca_bulk.config.journal_location import resolve_journal_location
from invoca_bulk.config.network import Network, SandboxLike, resolve_network
from invoca_bulk.config.options import Options
from invoca_bulk.errors import ConfigError, OutputError
from invoca_bulk.journal import RunState
from invoca_bulk.reports import html, plan_file, results_view, templates
from invoca_bulk.reports.plan_report import Plan
from invoca_bulk.reports.results import format_time
from invoca_bulk.sandbox_server import Sandbox
from invoca_bulk.schema import DEFAULT_API_VERSION, RESOURCES
from invoca_bulk.schema.result_columns import SUCCESS_OUTCOMES, Outcome
from invoca_bulk.service import plan as planner
from invoca_bulk.service import resume as resumption
from invoca_bulk.service import run as runner
from invoca_bulk.service import undo as undo_service
from invoca_bulk.service.export import export as export_resource
from invoca_bulk.service.run_result import load_results
from invoca_bulk.wording import use_wording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from invoca_bulk.config.journal_location import JournalLocation
    from invoca_bulk.reports.results_view import ResultsView
    from invoca_bulk.reports.validation_report import Report
    from invoca_bulk.sandbox_server import Faults
    from invoca_bulk.schema import Resource
    from invoca_bulk.service.export.campaigns import CampaignSource
    from invoca_bulk.service.plan import Source
    from invoca_bulk.service.run_result import RunResult
    from invoca_bulk.service.undo import Undo
    from invoca_bulk.wording import Remedy

__all__ = [
    "Network",
    "Options",
    "export",
    "plan",
    "read",
    "results",
    "resume",
    "run",
    "runs",
    "sandbox",
    "template",
    "undo",
    "validate",
    "view",
]

_Parameters = ParamSpec("_Parameters")
_Return = TypeVar("_Return")
#: Action of a remedy to the positional arguments of its function; the other actions are commands only.
_CALL_ARGUMENTS = {
    "plan": "{}, network",
    "results": "{}",
    "resume": "network, {}",
    "run": "{}, network",
    "runs": "",
    "sandbox": "",
    "undo": "{}, network",
    "validate": "{}",
}
_RUN_COLUMNS = ("run", "state", "started", "ended", "file", "network_id", "base_url")


def _python_words(remedy: Remedy) -> str:
    """A remedy as a call, or as its keyword arguments."""
    keywords = [name if "=" in name else f"{name}=True" for name in remedy.options if not name.startswith("output=")]
    if remedy.action == "option":
        return ", ".join(keywords)
    if remedy.action not in _CALL_ARGUMENTS:
        return f"invoca-bulk {remedy.action} {remedy.run}".rstrip() + " (in a terminal)"
    arguments = _CALL_ARGUMENTS[remedy.action].format(f'"{remedy.run}"' if remedy.run else "").strip(", ")
    return f"ib.{remedy.action}({', '.join(filter(None, [arguments, *keywords]))})"


use_wording(_python_words, unless_set=True)


def _explain_unknown_arguments(function: Callable[_Parameters, _Return]) -> Callable[_Parameters, _Return]:
    """A misspelt keyword argument is a TypeError that names the nearest one; Python does so from 3.13 on."""
    known = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def checked(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Return:
        for name in kwargs:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                msg = f"{function.__name__}() got an unexpected keyword argument {name!r}.{hint}"
                raise TypeError(msg)
        return function(*args, **kwargs)

    return checked


def _resolve_network(target: object) -> Network:
    """The network that a function was given, or a sentence that says what to pass."""
    if not isinstance(target, Network | SandboxLike):
        given = "None" if target is None else f"a {type(target).__name__}, not a network"
        raise ConfigError(f"The network is {given}. Pass ib.Network(network_id=…) or a sandbox.")
    if not target.base_url:
        raise ConfigError("The sandbox has not been started. Start it: with ib.sandbox() as network: …")
    return resolve_network(target)


def _to_options(arguments: Mapping[str, Any], **more: Any) -> Options:  # noqa: ANN401  options of all types
    """The options among a function's arguments."""
    names = {field.name for field in fields(Options)}
    return Options(**{name: value for name, value in arguments.items() if name in names} | more)


@_explain_unknown_arguments
def read(
    source: Source, *, sheet: str | None = None, resource: str | None = None
) -> pd.DataFrame | dict[str, pd.DataFrame]:
    """Read a spreadsheet, CSV file or DataFrame into a DataFrame of texts.

    Args:
        source: a path, an open file, a DataFrame, or a dict of DataFrames with the keys below. The content determines
            the format, not the file extension.
        sheet: the worksheet. None: all that are named as below, or else the one whose headers match.
        resource: `promo_numbers` or `advertisers`. None: decided by the headers.

    Returns:
        A frame of text cells (blank: ""), columns as the sheet's titles, indexed by spreadsheet row number (`row`,
        int64; the first data row is 2). A row is a row of the sheet. What was noticed while reading is in `attrs` and
        is reported by `validate`.
        Of a workbook with two or more worksheets named `advertisers`, `sites`, `users` or `promo_numbers` (in any
        spelling): a dict of such frames with these keys. You can change it and validate it like a frame.

    Raises:
        UserError: the source cannot be read; the message says why and what to do.

    Example:
        >>> sheet = ib.read("requests.csv")
        >>> sheet.loc[2, "description"]
        'Radio'
    """
    frames = sheets.read(source, sheet=sheet, resource=resource)
    return html.FrameDict(frames) if isinstance(frames, dict) else frames


@_explain_unknown_arguments
def validate(
    source: Source,
    *,
    api_version: str = DEFAULT_API_VERSION,
    sheet: str | None = None,
    resource: str | None = None,
    auto_ids: bool = Options.auto_ids,
) -> Report:
    """Check every row; nothing is sent.

    Args:
        source: the result of `read`, or anything that `read` takes.
        api_version: the API version that the rows are for.
        sheet: as for `read`.
        resource: as for `read`.
        auto_ids: whether the network assigns ids to advertisers that come without one.

    Returns:
        The report: `.ok`, `.issues` and `.sheet` (frames, or dicts of them), `.to_excel("annotated.xlsx")`.

    Raises:
        UserError: the source cannot be read.

    Example:
        >>> report = ib.validate("requests.csv")
        >>> report.ok
        True
    """
    return planner.validate_sheet(source, api_version=api_version, sheet=sheet, resource=resource, auto_ids=auto_ids)


@_explain_unknown_arguments
def plan(  # noqa: PLR0913  keyword-only
    source: Source | Report,
    network: Network | SandboxLike,
    *,
    sheet: str | None = None,
    resource: str | None = None,
    nested: str = Options.nested,
    allow_removals: bool = Options.allow_removals,
    auto_ids: bool = Options.auto_ids,
    again: bool = Options.again,
    concurrency: int = Options.concurrency,
    timeout: float = Options.timeout,
    journal: str | JournalLocation | None = Options.journal,
) -> Plan:
    """Read the platform's state and say for each row what a run would do; nothing is sent.

    Args:
        source: the result of `read` or `validate`, or anything that `read` takes. Rows with errors are refused in the
            plan.
        network: a `Network`, or the sandbox of `with ib.sandbox() as network`.
        sheet: as for `read`.
        resource: as for `read`.
        nested: `merge`: users and sites that the sheet does not mention stay; `replace`: they are removed.
        allow_removals: let `replace` remove users and sites.
        auto_ids: whether the network assigns ids to advertisers that come without one.
        again: plan to buy again what earlier runs have bought.
        concurrency: maximum number of requests in flight.
        timeout: seconds to wait for a response.
        journal: where the journals are: a folder, or `postgresql://…`. None: `INVOCA_JOURNAL`, or your user state
            directory.

    Returns:
        The plan: `.rows`, `.changes` (old and new values), `.removals` and `.issues` (frames), `.summary`, `.ok`,
        `.save("plan.json")`, `.to_excel("plan.xlsx")`. `run` takes it, or the path of its saved file.

    Raises:
        UserError: you can fix it.
        RunAborted: the platform's state could not be read.

    Example:
        >>> plan = ib.plan("requests.csv", network)
        >>> plan.summary
        '1 row: 1 create; 1 request.'
    """
    options = _to_options(locals())
    return planner.plan_sheet(source, _resolve_network(network), options, sheet=sheet, resource=resource)


@_explain_unknown_arguments
def run(  # noqa: PLR0913  keyword-only
    source: Source | Report | Plan,
    network: Network | SandboxLike,
    *,
    output: str | Path | None = None,
    sheet: str | None = None,
    resource: str | None = None,
    skip_invalid: bool = Options.skip_invalid,
    nested: str = Options.nested,
    allow_removals: bool = Options.allow_removals,
    auto_ids: bool = Options.auto_ids,
    yes: bool = Options.yes,
    again: bool = Options.again,
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
    cluster: bool = Options.cluster,
    detach: bool = Options.detach,
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
        skip_invalid: send the valid rows although others have errors.
        nested: `merge`: users and sites that the sheet does not mention stay; `replace`: they are removed.
        allow_removals: let `replace` remove users and sites.
        auto_ids: whether the network assigns ids to advertisers that come without one.
        yes: do not ask before something that cannot be undone.
        again: start over instead of resuming an interrupted run, and buy again what earlier runs have bought.
        assign_ids: give each new number that has no `id_from_network` one, so that it can be looked up by it.
        resend_absent: send creates again that got no response and that the platform does not list.
        resend_unknown: send creates again whose outcome could not be determined; check the platform first.
        doubt_refusals: after a 429, check whether the number was created before retrying.
        max_new_numbers: refuse to buy more numbers than this. None: `INVOCA_MAX_NEW_NUMBERS`, or no limit.
        max_failures: stop after this many failed rows: a number, or a share such as `"5%"`. None: never.
        settle: seconds to wait before looking up a request that got no response. None: `INVOCA_SETTLE`, or 120.
        concurrency: maximum number of requests in flight.
        rate: maximum requests per second. None: no client-side limit.
        timeout: seconds to wait for a response.
        journal: as for `plan`.
        progress: show a progress bar.
        cluster: let workers execute the run, and follow it; needs a journal on PostgreSQL. The stop button then only
            stops following; the frame contains what is done so far.
        detach: with `cluster`: do not follow the run.
        confirm: asks the question before something that cannot be undone and returns the answer. None: you are asked in
            a terminal or notebook.

    Returns:
        The sheet with what the platform assigned (`promo_number`, `id`, `id_from_network`, `object_url`) and the
        `result_` columns. All cells are texts, indexed by spreadsheet row number (`row`, int64). `attrs["run"]` is the
        id of the run, `attrs["output"]` the file that was written. Of several sheets: a dict of such frames with the
        keys of `read`.

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
    options = _to_options(locals(), confirm=confirm or (_ask if can_prompt() else None))
    saved_plan = source.saved_plan if isinstance(source, Plan) else plan_file.read_if_saved_plan(source)
    if saved_plan:
        arguments = {**vars(options.plan_options), "sheet": sheet, "resource": resource}
        defaults = {**vars(Options().plan_options), "sheet": None, "resource": None}
        plan_file.reject_plan_options([name for name in arguments if arguments[name] != defaults[name]])
    run_result = runner.run_sheet(
        saved_plan or source,
        _resolve_network(network),
        options,
        output=Path(output) if output is not None else None,
        sheet=sheet,
        resource=resource,
    )
    return _present_result(run_result, options)


@_explain_unknown_arguments
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
    cluster: bool = Options.cluster,
    detach: bool = Options.detach,
) -> pd.DataFrame | dict[str, pd.DataFrame]:
    """Do what is left of a run that was interrupted, and look up its requests in doubt.

    Args:
        network: the run's network.
        run: the id of the run (`result_run` of its results). None: the latest one of the network that can be resumed.
        output: as for `run`. None: the file that the run was started with.
        resend_absent: as for `run`, like the following ones.
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
        cluster: as for `run`.
        detach: as for `run`.

    Returns:
        All rows of the run, as `run` returns them.

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
    options = _to_options(locals())
    output_path = Path(output) if output is not None else None
    run_result = resumption.resume_run(run, _resolve_network(network), options, output=output_path)
    return _present_result(run_result, options)


def _present_result(run_result: RunResult, options: Options) -> pd.DataFrame | dict[str, pd.DataFrame]:
    """The frame of a run; notes appear below a cell, or as warnings."""
    notes = [*run_result.notes, *_next_step(run_result)]
    attributes = {"run": run_result.results.run.run, "output": str(run_result.output_path or "")}
    frame_or_frames = run_result.results.frame
    for frame in _each_frame(frame_or_frames):
        frame.attrs.update(attributes)
    if is_in_kernel() and options.progress:
        html.display_below(results_view.view(frame_or_frames).to_rich_text(notes))
    else:
        _show_notes(notes, stacklevel=5)
    return frame_or_frames


def _each_frame(frames: pd.DataFrame | dict[str, pd.DataFrame]) -> Iterable[pd.DataFrame]:
    return frames.values() if isinstance(frames, dict) else [frames]


def _show_notes(notes: Sequence[str], stacklevel: int = 4) -> None:
    """Show notes, while the frames are returned.

    As warnings; below a cell as sentences, since there a warning stands between a file name and a line of code.
    """
    if is_in_kernel():
        html.display_notices(notes)
    else:
        for note in notes:
            warnings.warn(note, stacklevel=stacklevel)


def _next_step(run_result: RunResult) -> list[str]:
    """For a run that was stopped: how much is left, and the call that does it."""
    totals, record = run_result.results.totals, run_result.results.run
    if record.state is RunState.FINISHED or run_result.is_detached:
        return []
    done = sum(count for outcome, count in totals.items() if outcome in SUCCESS_OUTCOMES)
    total = sum(totals.values())
    if run_result.is_running:
        follow = f'ib.resume(network, "{record.run}", cluster=True)'
        return [f"Workers execute run {record.run}: {done:,} of {total:,} rows are done. To follow it: {follow}"]
    summary = f"Run {record.run} was {record.state}: {done:,} rows are done, {total - done:,} are left."
    if not run_result.is_resumable:
        return [summary]
    condition = " (while its sandbox is running)" if run_result.is_rehearsal else ""
    return [f'{summary} To resume it{condition}: ib.resume(network, "{record.run}")']


@_explain_unknown_arguments
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
        concurrency: maximum number of requests in flight.
        timeout: seconds to wait for a response.
        journal: as for `plan`.

    Returns:
        A plan like that of `plan`, for review and for `run`, with `.not_undone` (a frame: what stays, by its row in the
        run, and why) and `.notes` (sentences on what cannot be undone).

    Raises:
        UserError: the run is unknown, or belongs to another network.
        RunAborted: the platform's state could not be read.

    Example:
        >>> run_id = ib.run("requests.csv", network, yes=True).attrs["run"]
        >>> ib.undo(run_id, network).counts
        {'delete': 1}
    """
    return undo_service.undo(run, _resolve_network(network), _to_options(locals()))


def _ask(question: str) -> bool:
    return input(f"{question} [y/N] ").strip().casefold() in {"y", "yes"}


@_explain_unknown_arguments
def export(  # noqa: PLR0913  keyword-only
    resource: str,
    network: Network | SandboxLike,
    *,
    output: str | Path | None = None,
    campaigns: CampaignSource | None = None,
    for_migration: bool = False,
    api_version: str | None = None,
    concurrency: int = Options.concurrency,
    timeout: float = Options.timeout,
) -> pd.DataFrame | dict[str, pd.DataFrame]:
    """Read what the platform has, in the template's columns. Unedited, it plans as all unchanged. Nothing is changed.

    Args:
        resource: `advertisers`, all of them with their sites and users; or `promo_numbers`, those of some campaigns.
        network: a `Network`, or the sandbox of `with ib.sandbox() as network`.
        output: also write it to this `.xlsx` or `.csv` file. An existing file is never overwritten. In a `.csv` file,
            advertisers have their sites and users in numbered columns.
        campaigns: the campaigns whose promo numbers to read: anything that `read` takes, or a list of dicts, with the
            columns `advertiser_id_from_network`, `advertiser_campaign_id_from_network` and, for an affiliate's numbers,
            `affiliate_id_from_network`. Other columns are ignored, and each campaign is read once.
        for_migration: make it create the same in another network: the number of each row becomes its
            `source_promo_number`, and a local one asks for a number with the same area code.
        api_version: the API version. None: that of the `Network`.
        concurrency: maximum number of requests in flight.
        timeout: seconds to wait for a response.

    Returns:
        Frames of texts (blank: ""), indexed by the row numbers of the file (`row`, int64); a row is an object. Of promo
        numbers one frame; of advertisers a dict with the keys `advertisers`, `sites` and `users`. `attrs["output"]` is
        the file that was written.

    Warns:
        UserWarning: a campaign could not be read, or a value has no place in a sheet; each says what and why.

    Raises:
        UserError: you can fix it; nothing was read.
        RunAborted: the platform's state could not be read.

    Example:
        >>> frames = ib.export("advertisers", network)
        >>> list(frames)
        ['advertisers', 'sites', 'users']
    """
    target = _resolve_network(network)
    result = export_resource(
        _resource_by_name(resource),
        target if api_version is None else replace(target, api_version=api_version),
        _to_options(locals()),
        campaigns=campaigns,
        for_migration=for_migration,
        output=None if output is None else Path(output),
    )
    _show_notes(result.notes)
    for frame in result.frames.values():
        frame.attrs["output"] = str(result.output_path or "")
    frames = html.FrameDict(result.frames)
    return frames if len(frames) > 1 else frames[resource]


@_explain_unknown_arguments
def runs(*, journal: str | JournalLocation | None = Options.journal) -> pd.DataFrame:
    """All runs in the journals, oldest first. Runs on a sandbox of this process are not recorded.

    Args:
        journal: as for `plan`.

    Returns:
        A row for each run: `run` (its id), `state` (`running`, `finished`, `interrupted`, `aborted` or `closed`: later
        runs have taken over the rest), `started` and `ended` (UTC, ISO 8601; blank: not yet), `file`, `network_id`,
        `base_url` (texts), the number of rows with each outcome (int64), and `can_be_resumed` (bool).

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
        rows.append((*texts, *counts, summary.is_resumable and not summary.is_in_use))
    columns = [*_RUN_COLUMNS, *(outcome.value for outcome in Outcome), "can_be_resumed"]
    dtypes = dict.fromkeys(_RUN_COLUMNS, "str") | {outcome.value: "int64" for outcome in Outcome}
    return pd.DataFrame(rows, columns=columns).astype({**dtypes, "can_be_resumed": "bool"})


@_explain_unknown_arguments
def results(
    run: str, *, journal: str | JournalLocation | None = Options.journal
) -> pd.DataFrame | dict[str, pd.DataFrame]:
    """The results of a run as the journal has them, at any time, even while another process executes it.

    Args:
        run: the id of the run.
        journal: as for `plan`.

    Returns:
        All rows of the run, as `run` returns them.

    Raises:
        UserError: no journal there knows the run.

    Example:
        >>> ib.results("no-such-run")  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
        invoca_bulk.errors.ConfigError: No journal knows the run
    """
    frame_or_frames = load_results(run, journal).frame
    for frame in _each_frame(frame_or_frames):
        frame.attrs.update(run=run, output="")
    return frame_or_frames


@_explain_unknown_arguments
def view(results: pd.DataFrame | dict[str, pd.DataFrame]) -> ResultsView:
    """Results to look at: a chart, what each outcome means, and the rows, those that are not done first.

    Args:
        results: the result of `run`, `resume` or `results`, or what `read` returns for a results file.

    Returns:
        An object that a notebook displays and `print` prints (the chart in characters, without the rows), with
        `.to_excel("results.xlsx")`.

    Raises:
        UserError: the frame is not a results frame.

    Example:
        >>> ib.view(ib.run("requests.csv", network, yes=True)).summary
        '1 of 1 row is done.'
    """
    return results_view.view(results)


@_explain_unknown_arguments
def template(resource: str, output: str | Path, *, api_version: str = DEFAULT_API_VERSION, force: bool = False) -> Path:
    """Write a template to fill in: `.xlsx` with dropdowns and notes, or `.csv`.

    Args:
        resource: `promo_numbers`, or `advertisers` (with worksheets for their sites and users; as `.csv` all in one).
        output: the file to write.
        api_version: the API version whose columns it has.
        force: overwrite an existing file.

    Returns:
        The path.

    Raises:
        UserError: the resource is unknown, or the file exists or cannot be written.

    Example:
        >>> ib.template("promo_numbers", "new.xlsx").name
        'new.xlsx'
    """
    path = Path(output)
    if path.exists() and not force:
        raise OutputError(f"{path} exists. Choose another name, or overwrite it with force=True.")
    return templates.write_template(_resource_by_name(resource), path, version=api_version)


def _resource_by_name(name: str) -> Resource:
    if name not in RESOURCES:
        msg = f"Unknown resource {name!r}. Choose one of {', '.join(RESOURCES)}."
        raise ConfigError(msg)
    return RESOURCES[name]


@_explain_unknown_arguments
def sandbox(  # noqa: PLR0913  keyword-only
    *,
    port: int = Sandbox.port,
    network_id: str = Sandbox.network_id,
    token: str = Sandbox.token,
    open_campaigns: bool = Sandbox.open_campaigns,
    latency: float = Sandbox.latency,
    auto_ids: bool = Sandbox.auto_ids,
    repeat_updates: bool = Sandbox.repeat_updates,
    seed: int = Sandbox.seed,
    faults: str | Faults = "",
) -> Sandbox:
    """A stand-in platform on this machine that issues made-up numbers.

    Args:
        port: the port. 0: any free one.
        network_id: the id of its network.
        token: the token that it accepts.
        open_campaigns: create any campaign or affiliate on first use instead of answering 404.
        latency: seconds that each response takes.
        auto_ids: assign an id to an advertiser that comes without one.
        repeat_updates: let a second POST with an `id_from_network` that is taken update the number; else it is refused.
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
        latency=latency,
        auto_ids=auto_ids,
        repeat_updates=repeat_updates,
        seed=seed,
        faults=faults,
    )
