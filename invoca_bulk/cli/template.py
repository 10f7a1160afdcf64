"""`invoca-bulk template`: write a workbook to fill in."""

from __future__ import annotations

from pathlib import Path

import click

from invoca_bulk.cli import common
from invoca_bulk.errors import OutputError
from invoca_bulk.schema import RESOURCES


@click.command()
@click.argument("resource", type=click.Choice(list(RESOURCES)))
@common.output_option("Template file, .xlsx or .csv.", required=True)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@common.api_version_option
def command(resource: str, output: Path, api_version: str, *, force: bool) -> None:
    """Write a template for RESOURCE, with dropdowns, notes on the headers and a few example rows."""
    from invoca_bulk import api

    if output.exists() and not force:
        raise OutputError(f"{output} already exists and may contain your work. Choose another name, or use --force.")
    path = api.template(resource, output, api_version=api_version, force=True)
    click.echo(f"Wrote {path}")
    click.echo(f"Next: fill it in, then {common.format_command(['validate', path])}")
