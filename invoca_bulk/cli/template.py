"""`invoca-bulk template`: write a workbook to fill in."""

from __future__ import annotations

from pathlib import Path

import click

from invoca_bulk.cli import common
from invoca_bulk.errors import OutputError
from invoca_bulk.schema import RESOURCES


@click.command()
@click.argument("resource", type=click.Choice(list(RESOURCES)))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The file: .xlsx or .csv.")
@click.option("--force", is_flag=True, help="Write over a file that is there already.")
@common.api_version_option()
def command(resource: str, output: Path, api_version: str, *, force: bool) -> None:
    """Write a template for RESOURCE: dropdowns, notes on the headers, a few example rows."""
    from invoca_bulk import api

    if output.exists() and not force:
        msg = f"{output} is there already, and may hold your work. Choose another name, or use --force."
        raise OutputError(msg)
    path = api.template(resource, output, api_version=api_version)
    click.echo(f"Wrote {path}")
    click.echo(f"Next: fill it in, then {common.format_command(['validate', path])}")
