"""`invoca-bulk validate`: check a sheet; nothing is sent."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invoca_bulk.cli import common
from invoca_bulk.exit_codes import ALL_DONE, NOTHING_SENT

if TYPE_CHECKING:
    from invoca_bulk.reports.validation_report import Report


@click.command()
@common.file_argument
@common.output_option("Write an annotated copy of the sheet, .xlsx or .csv.")
@common.reading_options
@common.api_version_option
@common.auto_ids_option
@common.unlisted_option
@common.no_sites_option
@common.json_option
def command(file: Path, output: Path | None, *, as_json: bool, **reading: Any) -> None:  # noqa: ANN401
    """Check every row of FILE and show each problem with its row, column and fix. Nothing is sent.

    Exits with 0 if every row can be sent, or with 2 if any row has errors.
    """
    from invoca_bulk.reports import files
    from invoca_bulk.reports.plan_report import json_records
    from invoca_bulk.service.plan import validate_sheet

    report = validate_sheet(file, **reading)
    annotated_path = report.to_excel(files.unused_path(output)) if output else None
    if as_json:
        common.print_json(
            {
                "ok": report.ok,
                "rows": report.rows,
                "invalid_rows": report.invalid_rows,
                "issues": json_records(report.issues),
                "output": str(annotated_path) if annotated_path else None,
            }
        )
    else:
        _print_report(report, file, annotated_path)
    sys.exit(ALL_DONE if report.ok else NOTHING_SENT)


def _print_report(report: Report, file: Path, annotated_path: Path | None) -> None:
    click.echo(report.summary)
    common.print_issues(report)
    if annotated_path:
        click.echo(f"Wrote {annotated_path}: cells with errors or warnings are coloured and have notes.")
    flags = common.passed_flags("output", "as_json")
    if report.ok:
        click.echo(f"Next: {common.format_command(['plan', file, *flags])}")
    elif annotated_path:
        click.echo(f"Next: correct {file}, then {common.format_command(['validate', file, *flags])}")
    else:
        output = common.sibling_path(file, "-annotated")
        click.echo(f"Next: {common.format_command(['validate', file, '-o', output, *flags])}")
