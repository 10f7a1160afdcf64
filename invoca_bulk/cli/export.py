"""`invoca-bulk export`: write what the platform has as a sheet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invoca_bulk.cli import common, connection_options
from invoca_bulk.errors import ConfigError, RunAborted
from invoca_bulk.schema import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from invoca_bulk.service.export import ExportResult

#: Flag to the column of the campaign's address that it stands for.
_CAMPAIGN_ID_COLUMNS = {
    "advertiser": "advertiser_id_from_network",
    "campaign": "advertiser_campaign_id_from_network",
    "affiliate": "affiliate_id_from_network",
}


@click.command()
@click.argument("resource", type=click.Choice(list(RESOURCES)))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The file: .xlsx or .csv.")
@click.option("--for-migration", is_flag=True, help="Make the sheet create the same in another network.")
@click.option(
    "--campaigns",
    type=click.Path(path_type=Path),
    help="Of promo numbers: a sheet that names the campaigns; the one that was run will do.",
)
@click.option("--advertiser", help="Instead of --campaigns, one campaign: the advertiser's id_from_network.")
@click.option("--campaign", help="The id_from_network of the advertiser's campaign.")
@click.option("--affiliate", help="The id_from_network of the affiliate, for an affiliate's numbers.")
@connection_options.network_options(sandbox=False)
@connection_options.request_options()
@common.json_option()
def command(resource: str, output: Path, *, for_migration: bool, as_json: bool, **flags: Any) -> None:  # noqa: ANN401
    """Write RESOURCE as the platform has it, in the template's shape; nothing is changed.

    Unedited, the file plans as all unchanged; edited, as exactly the edits. Advertisers come with sites and users:
    as .xlsx on three worksheets, as .csv in numbered columns. A file that is there already is left alone.
    """
    from invoca_bulk.config.options import Options
    from invoca_bulk.service import export

    campaigns = _campaigns_from_flags(flags)
    options = Options(**{name: flags[name] for name in connection_options.REQUEST_PARAMETERS})
    wanted: dict[str, Any] = {"campaigns": campaigns, "for_migration": for_migration, "output": output}
    with connection_options.open_network(flags) as where:
        try:
            exported = export.export(RESOURCES[resource], where, options, **wanted)
        except RunAborted as error:
            same = common.format_command(["export", resource, *common.passed_flags()])
            raise type(error)(f"{error}\nNext, when that is mended: {same}") from None
    _print_export(exported, for_migration=for_migration, as_json=as_json)
    sys.exit(0 if exported.is_complete else 1)


def _campaigns_from_flags(flags: Mapping[str, Any]) -> Path | list[Mapping[str, str]] | None:
    """The campaigns that the flags name: a file, one campaign, or none."""
    one = {column: flags[name] for name, column in _CAMPAIGN_ID_COLUMNS.items() if flags[name]}
    if flags["campaigns"] and one:
        msg = "The campaigns are named twice. Use either --campaigns, or --advertiser and --campaign."
        raise ConfigError(msg)
    if one and not (flags["advertiser"] and flags["campaign"]):
        msg = "One campaign is named by --advertiser and --campaign together. Add the one that is missing."
        raise ConfigError(msg)
    return [one] if one else flags["campaigns"]


def _print_export(exported: ExportResult, *, for_migration: bool, as_json: bool) -> None:
    rows = {name: len(frame) for name, frame in exported.frames.items()}
    next_command = _next_command(exported, for_migration=for_migration)
    if as_json:
        told = {"rows": rows, "output": str(exported.output_path), "notes": list(exported.notes)}
        common.print_json(told | {"exit_code": 0 if exported.is_complete else 1, "next": next_command})
        return
    for note in exported.notes:
        click.echo(note, err=True)
    click.echo(f"Wrote {exported.output_path}: {', '.join(f'{count:,} {name}' for name, count in rows.items())}")
    click.echo(f"Next{', with the settings of the other network' * for_migration}: {next_command}")


def _next_command(exported: ExportResult, *, for_migration: bool) -> str:
    """What the sheet is for: to be edited and planned here, or to be run in another network."""
    of_export = ("resource", "output", "for_migration", "as_json", "campaigns", *_CAMPAIGN_ID_COLUMNS)
    if for_migration:
        flags = common.passed_flags(*of_export, "network_id", "base_url", "token_file")
        return common.format_command(["run", exported.output_path or "", "-o", "results.xlsx", *flags])
    return common.format_command(["plan", exported.output_path or "", *common.passed_flags(*of_export)])
