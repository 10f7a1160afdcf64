"""The library's door: DataFrames in, DataFrames out."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoca_bulk import sheets
from invoca_bulk.config.options import Options
from invoca_bulk.config.settings import Network, can_prompt, is_in_kernel
from invoca_bulk.errors import ConfigError
from invoca_bulk.journal import RunState
from invoca_bulk.reports import html, plan_file, results_view, templates
from invoca_bulk.reports.plan_report import Plan
from invoca_bulk.sandbox_server import Sandbox
from invoca_bulk.schema import DEFAULT_API_VERSION, RESOURCES
from invoca_bulk.schema.result_columns import SUCCESS_OUTCOMES
from invoca_bulk.service import export as exporting
from invoca_bulk.service import pipeline
from invoca_bulk.service import undo as undoing

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from invoca_bulk.reports.results_view import ResultsView
    from invoca_bulk.reports.validation_report import Report
    from invoca_bulk.schema import Resource
    from invoca_bulk.service.export.campaigns import CampaignSource
    from invoca_bulk.service.pipeline import RunResult
    from invoca_bulk.service.undo import Undo

__all__ = ["Network", "export", "plan", "read", "resume", "run", "sandbox", "template", "undo", "validate", "view"]


def read(
    source: sheets.Source, *, sheet: str | None = None, resource: str | None = None
) -> pd.DataFrame | dict[str, pd.DataFrame]:
    """Read a spreadsheet, CSV file or DataFrame into a frame of texts.

    Args:
        source: a path, an open file, a DataFrame, or a dict of DataFrames with the keys below. The content decides
            about the format, not the extension.
        sheet: the worksheet; None: all that are named as below, or else the one whose headers fit.
        resource: `promo_numbers` or `advertisers`; None: told from the headers.

    Returns:
        A frame of text cells (blank: ""), its columns under the titles of the sheet, its index `row` (int64) the row
        numbers that the spreadsheet shows. What was noticed on the way is in `attrs` and comes up in `validate`.
        Of a workbook with two or more worksheets named `advertisers`, `sites`, `users` or `promo_numbers` (in any
        spelling): a dict of such frames with these keys. A dict can be changed and validated like a frame.

    Raises:
        UserError: it cannot be read; the message says why and what to do.
    """
    frames = sheets.read(source, sheet=sheet, resource=resource)
    return html.FrameDict(frames) if isinstance(frames, dict) else frames


def validate(
    source: pipeline.Source,
    *,
    api_version: str = DEFAULT_API_VERSION,
    sheet: str | None = None,
    resource: str | None = None,
    auto_ids: bool = False,
) -> Report:
    """Check every row at once; nothing is sent.

    Args:
        source: what `read` gave, or anything that `read` takes.
        api_version: the version of the API that the rows are meant for.
        sheet: as for `read`.
        resource: as for `read`.
        auto_ids: whether the network gives ids to advertisers that come without one.

    Returns:
        The report: `.issues` and `.sheet` (frames, or dicts of them), `.ok`, `.save("annotated.xlsx")`.

    Raises:
        UserError: it cannot be read.
    """
    return pipeline.validate_sheet(source, api_version=api_version, sheet=sheet, resource=resource, auto_ids=auto_ids)


def plan(
    source: pipeline.Source | Report,
    network: Network | pipeline.SandboxLike,
    *,
    sheet: str | None = None,
    resource: str | None = None,
    **options: Any,  # noqa: ANN401  the fields of `options.Options`
) -> Plan:
    """Look at the platform and say for each row what a run would do; nothing is sent.

    Args:
        source: what `read` or `validate` gave, or anything that `read` takes. Rows with errors are refused in the plan.
        network: a `Network`, or the sandbox of `with ib.sandbox() as network`.
        sheet: as for `read`.
        resource: as for `read`.
        options: `nested`, `allow_removals`, `auto_ids`, `concurrency`, `timeout`; `invoca_bulk.config.options.Options`
            explains them.

    Returns:
        The plan: `.rows`, `.changes` (old and new), `.removals` and `.issues` (frames), `.summary`, `.ok`,
        `.save("plan.xlsx")`, `.keep("plan.json")`. `run` takes it, and its kept file.

    Raises:
        UserError: the user can fix it.
        RunAborted: the platform's state could not be read.
    """
    target = pipeline.resolve_network(network)
    return pipeline.plan_sheet(source, target, Options(**options), sheet=sheet, resource=resource)


def run(
    source: pipeline.Source | Report | Plan,
    network: Network | pipeline.SandboxLike,
    *,
    output: str | Path | None = None,
    sheet: str | None = None,
    resource: str | None = None,
    **options: Any,  # noqa: ANN401  the fields of `options.Options`
) -> pd.DataFrame | dict[str, pd.DataFrame]:
    """Validate, plan and run a sheet; every number is requested once.

    Args:
        source: what `read` or `validate` gave, or anything that `read` takes; or what `plan` gave, or the path of a
            plan that was kept. A plan is run only if the platform has not changed since.
        network: a `Network`, or the sandbox of `with ib.sandbox() as network`.
        output: write the results to this `.xlsx` or `.csv` too.
        sheet: as for `read`.
        resource: as for `read`.
        options: `nested`, `allow_removals`, `auto_ids`, `skip_invalid`, `yes`, `again`, `max_new_numbers`,
            `concurrency`, `rate`, `timeout`, `journal`, `progress`, `cluster`, `detach`;
            `invoca_bulk.config.options.Options` explains them.

    Returns:
        The sheet, with what the platform assigned (`promo_number`, `id`, `id_from_network`, `object_url`) and the
        `result_` columns; all cells are texts, the index `row` is the spreadsheet's row number. `attrs["run"]` is the
        run's id, `attrs["output"]` the file that was written. Of several sheets: a dict of such frames, with the keys
        of `read`.

    In a notebook the outcomes are shown below the cell (not with `progress=False`), and the warnings as sentences. The
    stop button, or Ctrl-C, sends nothing more and awaits what is under way; a second press gives that up too. With
    `cluster=True` workers do the run, and the stop button only ends the looking on: the frame holds what is done till
    then.

    Warns:
        UserWarning: the run was interrupted or aborted, with the line that goes on; or the results had to go to another
            place. The frame holds what is known.

    Raises:
        UserError: the user can fix it; nothing was sent.
        RunAborted: the platform's state could not be read, or the journal is held by another process.
    """
    chosen = Options(**({"confirm": _prompt_yes_no if can_prompt() else None} | options))
    target = Path(output) if output is not None else None
    made = source.saved_plan if isinstance(source, Plan) else plan_file.read_if_saved_plan(source)
    if made:
        given = {"sheet": sheet, "resource": resource}
        plan_file.reject_plan_options([*options, *(name for name, value in given.items() if value is not None)])
    where = pipeline.resolve_network(network)
    finished = pipeline.run_sheet(made or source, where, chosen, output=target, sheet=sheet, resource=resource)
    return _present_result(finished, chosen)


def resume(
    run: str | None,
    network: Network | pipeline.SandboxLike,
    *,
    output: str | Path | None = None,
    **options: Any,  # noqa: ANN401  the fields of `options.Options`
) -> pd.DataFrame | dict[str, pd.DataFrame]:
    """Do what is left of a run that was interrupted, and look up what became of its requests in doubt.

    Args:
        run: the run's id; None: the latest one of the network of which something is left.
        network: the run's network.
        output: as for `run`; None: where the run's results were to go.
        options: as for `run`, and `resend_absent`, `resend_unknown`; what the run itself has settled stays.

    Returns:
        All rows of the run, as `run` gives them.

    Warns:
        UserWarning: as `run`.

    Raises:
        UserError: the run is not known, or is another network's; nothing was sent.
        RunAborted: the journal is held by another process.
    """
    target, chosen = Path(output) if output is not None else None, Options(**options)
    return _present_result(pipeline.resume_run(run, pipeline.resolve_network(network), chosen, output=target), chosen)


def _present_result(run_result: RunResult, options: Options) -> pd.DataFrame | dict[str, pd.DataFrame]:
    """The frame of what a run came to; what has to be told besides is shown below a cell, or comes as warnings."""
    notes = [*run_result.notes, *_resume_instructions(run_result, options)]
    told = {"run": run_result.results.run.run, "output": str(run_result.output_path or "")}
    frame = run_result.results.frame
    for one in frame.values() if isinstance(frame, dict) else [frame]:
        one.attrs.update(told)
    if is_in_kernel() and options.progress:
        html.display_below(results_view.view(frame).to_rich_text(notes))
    else:
        _show_or_warn(notes, stacklevel=4)
    return frame


def _show_or_warn(notes: Sequence[str], stacklevel: int = 3) -> None:
    """Tell what has to be looked at, while the frames are returned all the same.

    As warnings; below a cell as sentences, since a warning there stands between a file's name and a line of code.
    """
    if is_in_kernel():
        html.display_notices(notes)
    else:
        for one in notes:
            warnings.warn(one, stacklevel=stacklevel)


def _resume_instructions(run_result: RunResult, options: Options) -> list[str]:
    """Of a run that was stopped: how much is left, and the line that does it."""
    totals, run = run_result.results.totals, run_result.results.run
    if run.state is RunState.FINISHED:
        return []
    done = sum(count for outcome, count in totals.items() if outcome in SUCCESS_OUTCOMES)
    if run_result.is_detached:
        return []  # nobody wanted to be told more
    if run_result.is_running:
        state = f"Run {run.run} is at the workers: {done:,} of {sum(totals.values()):,} rows are done."
        return [f'{state} To follow it: ib.resume("{run.run}", network, cluster=True)']
    state = f"Run {run.run} was {run.state}: {done:,} rows are done, {sum(totals.values()) - done:,} are left."
    if not run_result.is_resumable:
        return [state]
    journal = f", journal={str(options.journal)!r}" if options.journal else ""
    while_there = " (while its sandbox is there)" if run_result.is_rehearsal else ""
    return [f'{state} To go on{while_there}: ib.resume("{run.run}", network{journal})']


def undo(run: str, network: Network | pipeline.SandboxLike, **options: Any) -> Undo:  # noqa: ANN401  the fields of `options.Options`
    """Plan to take a run back; nothing is sent before `ib.run(ib.undo(run, network), network)`.

    Numbers and advertisers that the run created are deleted. What it changed or moved goes back to what it was, with
    users and sites, unless it has changed since. What a number cost is not given back, and what the run deleted stays
    deleted.

    Args:
        run: the run's id: `result_run` of its results.
        network: the run's network; the API version is that of the run.
        options: `journal` (the folder that the run was given), `concurrency`, `timeout`;
            `invoca_bulk.config.options.Options` explains them. What a plan depends on (`nested` and
            such) the undo chooses.

    Returns:
        A plan like that of `plan`, for review and for `run`, with `.not_undone` (a frame: what stays as it is, by its
        row in the run, and why) and `.notes` (sentences on what no undo brings back).

    Raises:
        UserError: the run is not known, or is another network's.
        RunAborted: the platform's state could not be read.
    """
    return undoing.undo(run, pipeline.resolve_network(network), Options(**options))


def _prompt_yes_no(question: str) -> bool:
    return input(f"{question} [y/N] ").strip().casefold() in {"y", "yes"}


def export(  # noqa: PLR0913  what is wanted, from where, and in which form
    resource: str,
    network: Network | pipeline.SandboxLike,
    path: str | Path | None = None,
    *,
    campaigns: CampaignSource | None = None,
    for_migration: bool = False,
    api_version: str | None = None,
    **options: Any,  # noqa: ANN401  fields of `options.Options`
) -> pd.DataFrame | dict[str, pd.DataFrame]:
    """Read what the platform has, in the template's shape: unedited it plans as all unchanged. Nothing is changed.

    Args:
        resource: `advertisers`, all of them with their sites and users, or `promo_numbers`, those of some campaigns.
        network: a `Network`, or the sandbox of `with ib.sandbox() as network`.
        path: write it to this `.xlsx` or `.csv` too; a file that is there already is left alone. As `.csv`, advertisers
            have their sites and users in numbered columns.
        campaigns: of promo numbers, where they are: anything that `read` takes, or a list of dicts, with the columns
            `advertiser_id_from_network`, `advertiser_campaign_id_from_network` and, for the numbers of an affiliate,
            `affiliate_id_from_network`. All other columns are passed over, and each campaign is read once.
        for_migration: make it create the same in another network: the number of each row becomes its
            `source_promo_number`, and a local one asks for a number with the same area code.
        api_version: the version of the API; None: that of the `Network`.
        options: `concurrency` and `timeout`; `invoca_bulk.config.options.Options` explains them.

    Returns:
        Frames of texts (blank: ""), the index `row` (int64) the row numbers of the file; a row is one object. Of promo
        numbers one frame; of advertisers a dict with the keys `advertisers`, `sites` and `users`. `attrs["output"]` is
        the file that was written.

    Warns:
        UserWarning: a campaign could not be read, or something has no place in a sheet; each says what and why.

    Raises:
        UserError: the user can fix it; nothing was read.
        RunAborted: the platform's state could not be read.
    """
    target = pipeline.resolve_network(network)
    exported = exporting.export(
        _find_resource(resource),
        target if api_version is None else replace(target, api_version=api_version),
        Options(**options),
        campaigns=campaigns,
        for_migration=for_migration,
        output=None if path is None else Path(path),
    )
    _show_or_warn(exported.notes)
    for one in exported.frames.values():
        one.attrs["output"] = str(exported.output_path or "")
    frames = html.FrameDict(exported.frames)
    return frames if len(frames) > 1 else frames[resource]


def view(results: pd.DataFrame | dict[str, pd.DataFrame]) -> ResultsView:
    """Results to be looked at: a chart, what each outcome means, and the rows, those that are not done first.

    Args:
        results: what `run` or `resume` returned, or what `read` gave of a results file.

    Returns:
        Something that a notebook shows, and that `print` prints: the chart in characters, without the rows.

    Raises:
        UserError: these are no results.
    """
    return results_view.view(results)


def template(resource: str, path: str | Path, *, api_version: str = DEFAULT_API_VERSION) -> Path:
    """Write a template to fill in: `.xlsx` with dropdowns and notes, or `.csv`.

    Args:
        resource: `promo_numbers`, or `advertisers` (with sheets for their sites and users; as `.csv` all in one).
        path: where to; a file that is there already is replaced.
        api_version: the version of the API whose columns it has.

    Returns:
        The path.

    Raises:
        UserError: the resource is not known, or the file cannot be written.
    """
    return templates.write_template(_find_resource(resource), Path(path), version=api_version)


def _find_resource(name: str) -> Resource:
    if name not in RESOURCES:
        msg = f"{name!r} is no resource. Choose one of {', '.join(RESOURCES)}."
        raise ConfigError(msg)
    return RESOURCES[name]


def sandbox(**options: Any) -> Sandbox:  # noqa: ANN401  the arguments of `Sandbox`
    """A stand-in platform on this machine: `with ib.sandbox() as network: ib.run(sheet, network)`.

    Args:
        options: `network_id`, `token`, `open_campaigns` and the others of `invoca_bulk.sandbox_server.Sandbox`.
    """
    return Sandbox(**options)
