"""`invoca-bulk export`: write the platform's advertisers or promo numbers to a sheet."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invoca_bulk.cli import common, connection_options
from invoca_bulk.errors import ConfigError
from invoca_bulk.exit_codes import ALL_DONE, ROWS_NOT_DONE
from invoca_bulk.schema import PROMO_NUMBERS, RESOURCES

if TYPE_CHECKING:
    from invoca_bulk.service.export import ExportResult
    from invoca_bulk.service.export.campaigns import CampaignSource

#: Parameter to the column whose value it gives.
_CAMPAIGN_ID_COLUMNS = {
    "advertiser": "advertiser_id_from_network",
    "campaign": "advertiser_campaign_id_from_network",
    "affiliate": "affiliate_id_from_network",
}
#: Parameters that the next command does not have.
_EXPORT_ONLY_PARAMETERS = (
    "resource",
    "output",
    "plain_csv",
    "for_migration",
    "as_json",
    "campaigns",
    "encoding",
    *_CAMPAIGN_ID_COLUMNS,
)


@click.command()
@click.argument("resource", type=click.Choice(list(RESOURCES)))
@common.output_option("Sheet to write, .xlsx or .csv.", required=True)
@common.plain_csv_option
@click.option(
    "--for-migration", is_flag=True, help="Write a sheet that creates the same promo numbers in another network."
)
@click.option(
    "--campaigns",
    type=click.Path(path_type=Path),
    help="For promo_numbers: a sheet that lists the campaigns, such as one that you have run.",
)
@common.encoding_option
@click.option("--advertiser", help="Advertiser's id_from_network, to export one campaign instead of --campaigns.")
@click.option("--campaign", help="That campaign's id_from_network.")
@click.option("--affiliate", help="Affiliate's id_from_network, to export an affiliate's numbers.")
@connection_options.platform_options
@connection_options.request_options
@common.json_option
def command(resource: str, output: Path, *, for_migration: bool, as_json: bool, **flags: Any) -> None:  # noqa: ANN401
    """Write the platform's RESOURCE to a sheet with the template's columns. Nothing is changed.

    Edit the sheet and run it: only your edits are sent. Advertisers come with their sites and users: on three
    worksheets in .xlsx, in numbered columns in .csv. An existing file is not overwritten.

    Exits with 0, or with 1 if some campaigns could not be read.
    """
    from invoca_bulk.config.options import Options
    from invoca_bulk.service.export import export

    campaigns = _campaigns_from_flags(flags)
    options = Options(**{name: flags[name] for name in ("plain_csv", *connection_options.REQUEST_PARAMETERS)})
    with connection_options.open_network(flags) as network, common.show_retry_command("export", resource):
        result = export(
            RESOURCES[resource], network, options, campaigns=campaigns, for_migration=for_migration, output=output
        )
    exit_code = ALL_DONE if result.is_complete else ROWS_NOT_DONE
    _print_export(result, exit_code, for_migration=for_migration, as_json=as_json)
    sys.exit(exit_code)


def _campaigns_from_flags(flags: Mapping[str, Any]) -> CampaignSource | None:
    """The campaigns that the options name: a sheet, one campaign, or None."""
    campaign_ids = {column: flags[name] for name, column in _CAMPAIGN_ID_COLUMNS.items() if flags[name]}
    if flags["campaigns"] and campaign_ids:
        raise ConfigError(
            "--campaigns cannot be combined with --advertiser, --campaign or --affiliate. Use one or the other."
        )
    if campaign_ids and not (flags["advertiser"] and flags["campaign"]):
        raise ConfigError("One campaign needs both --advertiser and --campaign. Add the missing one.")
    if flags["encoding"] and not flags["campaigns"]:
        raise ConfigError("--encoding is that of the sheet of --campaigns. Name the sheet, or leave --encoding out.")
    if not flags["encoding"]:
        return [campaign_ids] if campaign_ids else flags["campaigns"]
    from invoca_bulk import sheets

    return sheets.read(flags["campaigns"], resource=PROMO_NUMBERS.name, encoding=flags["encoding"])


def _print_export(result: ExportResult, exit_code: int, *, for_migration: bool, as_json: bool) -> None:
    counts = {name: len(frame) for name, frame in result.frames.items()}
    next_command = _next_command(result, for_migration=for_migration)
    if as_json:
        summary = {"rows": counts, "output": str(result.output_path), "notes": list(result.notes)}
        common.print_json(summary | {"exit_code": exit_code, "next": next_command})
        return
    for note in result.notes:
        click.echo(note, err=True)
    click.echo(f"Wrote {result.output_path}: {', '.join(f'{count:,} {name}' for name, count in counts.items())}")
    condition = ", with the settings of the other network" if for_migration else ""
    click.echo(f"Next{condition}: {next_command}")


def _next_command(result: ExportResult, *, for_migration: bool) -> str:
    """The command that plans the edited sheet here, or that runs it in the other network."""
    if for_migration:
        flags = common.passed_flags(*_EXPORT_ONLY_PARAMETERS, "network_id", "base_url", "token_file")
        return common.format_command(["run", result.output_path or "", "-o", "results.xlsx", *flags])
    return common.format_command(["plan", result.output_path or "", *common.passed_flags(*_EXPORT_ONLY_PARAMETERS)])
