"""Sheets in and out: read, validate, plan, export, template, view. Nothing here changes the platform."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from invoca_bulk import sheets
from invoca_bulk.api.arguments import checked_network, public_function, to_options
from invoca_bulk.api.notes import show_notes
from invoca_bulk.config.journal_location import JournalLocation
from invoca_bulk.config.network import Network, SandboxLike
from invoca_bulk.config.options import Options
from invoca_bulk.errors import ConfigError, OutputError
from invoca_bulk.reports import html, results_view, templates
from invoca_bulk.reports.plan_report import Plan
from invoca_bulk.reports.results_view import ResultsView
from invoca_bulk.reports.validation_report import Report
from invoca_bulk.schema import DEFAULT_API_VERSION, RESOURCES, Resource
from invoca_bulk.service import plan as planner
from invoca_bulk.service.export import export as export_resource
from invoca_bulk.service.export.campaigns import CampaignSource
from invoca_bulk.sheets import Source

if TYPE_CHECKING:
    import pandas as pd


@public_function
def read(
    source: Source, *, sheet: str | None = None, resource: str | None = None, encoding: str | None = None
) -> pd.DataFrame | dict[str, pd.DataFrame]:
    """Read a spreadsheet, CSV file or DataFrame into a DataFrame of texts.

    Args:
        source: a path, an open file, a DataFrame (of pandas, or of any library that offers Arrow's stream or the
            interchange protocol), a list of dicts, or a dict of DataFrames with the keys below. The content determines
            a file's format, not its extension.
        sheet: the worksheet. None: all that are named as below, or else the one whose headers match.
        resource: `promo_numbers` or `advertisers`. None: decided by the headers.
        encoding: of a CSV file, such as `"macroman"`. None: UTF-8, UTF-16, or else Windows-1252 with a warning.

    Returns:
        A frame of text cells (blank: ""), columns as the sheet's titles, indexed by spreadsheet row number (`row`,
        int64; the first data row is 2). So is a DataFrame; its named index levels become columns. To keep its own
        index, give it to the other functions without `read`. A row is a row of the sheet. What was noticed while
        reading is in `attrs` and is reported by `validate`.
        Of a workbook with two or more worksheets named `advertisers`, `sites`, `users` or `promo_numbers` (in any
        spelling): a dict of such frames with these keys. You can change it and validate it like a frame.

    Raises:
        UserError: the source cannot be read; the message says why and what to do.

    Example:
        >>> sheet = ib.read("requests.csv")
        >>> sheet.loc[2, "description"]
        'Radio'
    """
    frames = sheets.read(source, sheet=sheet, resource=resource, encoding=encoding)
    return html.FrameDict(frames) if isinstance(frames, dict) else frames


@public_function
def validate(  # noqa: PLR0913  keyword-only
    source: Source,
    *,
    api_version: str = DEFAULT_API_VERSION,
    sheet: str | None = None,
    resource: str | None = None,
    encoding: str | None = None,
    auto_ids: bool = Options.auto_ids,
    allow_unlisted: bool = Options.allow_unlisted,
    allow_no_sites: bool = Options.allow_no_sites,
) -> Report:
    """Check every row; nothing is sent.

    Args:
        source: the result of `read`, or anything that `read` takes.
        api_version: the API version that the rows are for.
        sheet: as for `read`.
        resource: as for `read`.
        encoding: as for `read`.
        auto_ids: whether the network assigns ids to advertisers that come without one.
        allow_unlisted: whether media types and promo types may be outside the published lists.
        allow_no_sites: whether advertisers may be left without a site.

    Returns:
        The report: `.ok`, `.issues` and `.sheet` (frames, or dicts of them), `.to_excel("annotated.xlsx")`. Rows are
        named by the labels of your own DataFrame's index, which `.sheet` has too; else by the spreadsheet's row number.

    Raises:
        UserError: the source cannot be read.

    Example:
        >>> report = ib.validate("requests.csv")
        >>> report.ok
        True
    """
    return planner.validate_sheet(
        source,
        api_version=api_version,
        sheet=sheet,
        resource=resource,
        encoding=encoding,
        auto_ids=auto_ids,
        allow_unlisted=allow_unlisted,
        allow_no_sites=allow_no_sites,
    )


@public_function
def plan(  # noqa: PLR0913  keyword-only
    source: Source | Report,
    network: Network | SandboxLike,
    *,
    sheet: str | None = None,
    resource: str | None = None,
    encoding: str | None = None,
    nested: str = Options.nested,
    allow_removals: bool = Options.allow_removals,
    auto_ids: bool = Options.auto_ids,
    allow_unlisted: bool = Options.allow_unlisted,
    allow_no_sites: bool = Options.allow_no_sites,
    again: bool = Options.again,
    apply_edits: bool = Options.apply_edits,
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
        encoding: as for `read`.
        nested: `merge`: users and sites that the sheet does not mention stay; `replace`: they are removed.
        allow_removals: let `replace` remove users and sites.
        auto_ids: whether the network assigns ids to advertisers that come without one.
        allow_unlisted: whether media types and promo types may be outside the published lists.
        allow_no_sites: whether advertisers may be left without a site.
        again: plan to buy again what earlier runs have bought.
        apply_edits: plan rows of a results file that were done before and edited since as updates.
        concurrency: maximum number of requests in flight (default 8).
        timeout: seconds to wait for a response (default 60).
        journal: where the journals are: a folder, or `postgresql://…`. None: `INVOCA_JOURNAL`, or your user state
            directory.

    Returns:
        The plan: `.rows`, `.changes` (old and new values), `.removals` and `.issues` (frames), `.summary`, `.ok`,
        `.save("plan.json")`, `.to_excel("plan.xlsx")`. `run` takes it, or the path of its saved file. `.rows` has the
        index of the results of `run`.

    Raises:
        UserError: you can fix it.
        RunAborted: the platform's state could not be read.

    Example:
        >>> plan = ib.plan("requests.csv", network)
        >>> plan.summary
        '1 row: 1 create; 1 request.'
    """
    options = to_options(locals())
    return planner.plan_sheet(
        source, checked_network(network), options, sheet=sheet, resource=resource, encoding=encoding
    )


@public_function
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
    plain_csv: bool = Options.plain_csv,
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
        concurrency: maximum number of requests in flight (default 8).
        timeout: seconds to wait for a response (default 60).
        plain_csv: as for `run`.

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
    target = checked_network(network)
    result = export_resource(
        _resource_by_name(resource),
        target if api_version is None else replace(target, api_version=api_version),
        to_options(locals()),
        campaigns=campaigns,
        for_migration=for_migration,
        output=None if output is None else Path(output),
    )
    show_notes(result.notes)
    for frame in result.frames.values():
        frame.attrs["output"] = str(result.output_path or "")
    frames = html.FrameDict(result.frames)
    return frames if len(frames) > 1 else frames[resource]


@public_function
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


@public_function
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
