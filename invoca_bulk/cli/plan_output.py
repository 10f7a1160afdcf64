"""What `plan` and `undo` share: their output options, and how they write and print a plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from invoca_bulk.cli import common

if TYPE_CHECKING:
    from invoca_bulk.reports.plan_report import Plan


plan_output_options = common.compose(
    common.output_option("Write the plan with old and new values side by side, to an .xlsx or .csv file."),
    click.option(
        "--save", type=click.Path(path_type=Path), help="Save the plan to a .json file, for `invoca-bulk run`."
    ),
)


def check_output_paths(output: Path | None, save: Path | None) -> None:
    """Reject paths that cannot be written; call it before anything is requested from the platform."""
    from invoca_bulk.reports import plan_file
    from invoca_bulk.reports.save import check_output_path

    if output:
        check_output_path(output)
    if save:
        plan_file.check_plan_path(save)


def write_plan(plan: Plan, output: Path | None, save: Path | None) -> tuple[Path | None, Path | None]:
    """Write the report and the saved plan, as far as requested, to the returned paths; existing files are kept."""
    from invoca_bulk.reports import files

    output_path = plan.to_excel(files.unused_path(output)) if output else None
    return output_path, plan.save(save) if save else None


def print_plan(
    plan: Plan,
    paths: tuple[Path | None, Path | None],
    next_command: str | None,
    *,
    as_json: bool,
    detailed: bool = False,
) -> None:
    """Print the plan, its files and the next command, or one JSON object; `detailed` as for --detailed-exitcode."""
    output, saved = (path and str(path) for path in paths)
    if as_json:
        summary = {"output": output, "saved": saved, "next": next_command}
        common.print_json(plan.to_json(detailed=detailed) | summary)
        return
    click.echo("\n".join(plan.lines()))
    for parameter, label, path in (("output", "Plan", output), ("save", "Saved plan", saved)):
        if path:
            requested_path = str(click.get_current_context().params[parameter])
            reason = "" if requested_path == path else f" ({requested_path} already exists)"
            click.echo(f"{label}: {path}{reason}")
    click.echo(f"Next: {next_command}" if next_command else "There is nothing to do.")
