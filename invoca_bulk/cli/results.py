"""`invoca-bulk results`: the results of an earlier run, from the journal."""

from __future__ import annotations

from pathlib import Path

import click

from invoca_bulk.cli import common


@click.command()
@click.argument("run")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The file: .xlsx or .csv.")
@common.setting("journal", click.Path(path_type=Path))
def command(run: str, output: Path, journal: Path | None) -> None:
    """Write the results of RUN as the journal has them, at any time, also while another process is at it.

    Rows whose request is under way, or was when the run was killed, are unknown.
    """
    from invoca_bulk import files, pipeline, saving  # noqa: PLC0415  `--help` needs no pandas
    from invoca_bulk.results import totals_text  # noqa: PLC0415

    results = pipeline.results_of(run, journal)
    target = files.free(saving.checked_path(output))
    click.echo(totals_text(results.totals))
    click.echo(f"Results: {results.save(target)}")
