"""`invoca-bulk results`: the results of an earlier run, from the journal."""

from __future__ import annotations

from pathlib import Path

import click

from invoca_bulk.cli import common


@click.command()
@click.argument("run")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The file: .xlsx or .csv.")
@common.journal_option()
@common.json_option()
def command(run: str, output: Path, journal: str | None, *, as_json: bool) -> None:
    """Write the results of RUN as the journal has them, at any time, also while another process is at it.

    Rows whose request is under way, or was when the run was killed, are unknown. A rehearsal with --sandbox leaves no
    journal.
    """
    from invoca_bulk.reports import files, save
    from invoca_bulk.reports.results import format_totals
    from invoca_bulk.service import pipeline

    results = pipeline.load_results(run, journal)
    saved = results.save(files.unused_path(save.check_output_path(output)))
    if as_json:
        common.print_json({"run": run, "state": results.run.state, "totals": results.totals, "output": str(saved)})
        return
    click.echo(format_totals(results.totals))
    click.echo(f"Results: {saved}")
