"""`invoca-bulk template`: write a workbook to fill in."""

from __future__ import annotations

from pathlib import Path

import click

from invoca_bulk.cli import common

_RESOURCES = ("promo_numbers",)


@click.command()
@click.argument("resource", type=click.Choice(_RESOURCES))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The file: .xlsx or .csv.")
@common.api_version_option()
def command(resource: str, output: Path, api_version: str) -> None:
    """Write a template for RESOURCE: dropdowns, notes on the headers, a few example rows."""
    from invoca_bulk import library  # noqa: PLC0415  `--help` needs no pandas

    path = library.template(resource, output, api_version=api_version)
    click.echo(f"Wrote {path}")
    click.echo(f"Next: fill it in, then {common.shown_command(['validate', path])}")
