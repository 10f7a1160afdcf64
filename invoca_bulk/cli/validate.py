"""`invoca-bulk validate`: check a sheet; nothing is sent."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invoca_bulk.cli import common

if TYPE_CHECKING:
    from invoca_bulk.reports.validation_report import Report


@click.command()
@common.file_argument()
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the annotated sheet: .xlsx or .csv.")
@common.reading_options()
@common.api_version_option()
@common.auto_ids_option()
@common.json_option()
def command(file: Path, output: Path | None, *, as_json: bool, **reading: Any) -> None:  # noqa: ANN401
    """Check every row of FILE at once and say what is wrong, where, and how to mend it.

    Exits with 0 when every row can be sent, with 2 when not.
    """
    from invoca_bulk.reports import files
    from invoca_bulk.service import pipeline

    report = pipeline.validate_sheet(file, **reading)
    saved = report.save(files.unused_path(output)) if output else None
    if as_json:
        common.print_json(
            {
                "ok": report.ok,
                "rows": report.rows,
                "invalid_rows": report.invalid_rows,
                "issues": common.issue_records(report.issues),
                "output": str(saved) if saved else None,
            }
        )
    else:
        _print_report(report, file, saved)
    sys.exit(0 if report.ok else 2)


def _print_report(report: Report, file: Path, annotated_path: Path | None) -> None:
    click.echo(report.summary)
    common.print_issues(report)
    if annotated_path:
        click.echo(f"Wrote {annotated_path}: the cells in question are coloured, with notes.")
    flags = common.passed_flags("output", "as_json")
    if report.ok:
        click.echo(f"Next: {common.format_command(['plan', file, *flags])}")
    elif annotated_path:
        click.echo(f"Next: correct {file}, then {common.format_command(['validate', file, *flags])}")
    else:
        annotated = common.sibling_path(file, "-annotated")
        click.echo(f"Next: {common.format_command(['validate', file, '-o', annotated, *flags])}")
