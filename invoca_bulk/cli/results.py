"""`invoca-bulk results`: write the results of an earlier run, from the journal."""

from __future__ import annotations

from pathlib import Path

import click

from invoca_bulk.cli import common, report


@click.command()
@click.argument("run")
@common.output_option("Results file, .xlsx or .csv.", required=True)
@common.plain_csv_option
@common.journal_option
@common.json_option
def command(run: str, output: Path, journal: str | None, *, plain_csv: bool, as_json: bool) -> None:
    """Write the current results of RUN, even while it is running.

    A row whose request is still open, or was open when the run was killed, is unknown. Runs with --sandbox leave no
    journal, so their results cannot be written again.
    """
    from invoca_bulk.reports import files, save
    from invoca_bulk.reports.results import describe_totals, format_totals
    from invoca_bulk.service.run_result import load_results

    results = load_results(run, journal)
    path = results.save(files.unused_path(save.check_output_path(output)), plain_csv=plain_csv)
    if as_json:
        common.print_json(
            {
                "run": run,
                "state": results.run.state,
                "undone_by": results.undone_by or None,
                "totals": results.totals,
                "now": results.own_totals,
                "before": results.earlier_totals,
                "output": str(path),
                "warnings": results.warnings,
            }
        )
        return
    for line in report.warning_lines(results):
        click.echo(line, err=True)
    click.echo(format_totals(results.totals))
    for line in describe_totals(results.own_totals, results.earlier_totals):
        click.echo(f"  {line}")
    if results.undone_by:
        click.echo(f"This run was undone by {results.undone_by}.")
    click.echo(f"Results: {path}")
