"""`invoca-bulk plan`: show what a run would do; nothing is sent."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invoca_bulk.cli import common, connection_options, plan_output
from invoca_bulk.config.options import PLAN_OPTION_NAMES
from invoca_bulk.errors import ConfigError

if TYPE_CHECKING:
    from invoca_bulk.reports.plan_report import Plan

#: Parameters that `run` does not have.
_PLAN_ONLY_PARAMETERS = ("output", "save", "detailed_exitcode", "as_json")


@click.command()
@common.file_argument
@plan_output.plan_output_options
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 0 for nothing to do, 1 for an error, 2 for changes.")
@common.again_option
@common.apply_edits_option
@connection_options.plan_options
@connection_options.network_options
@connection_options.request_options
@common.journal_option
@common.reading_options
@common.json_option
def command(
    file: Path,
    output: Path | None,
    save: Path | None,
    *,
    detailed_exitcode: bool,
    as_json: bool,
    **flags: Any,  # noqa: ANN401  the other parameters, as click has parsed them
) -> None:
    """Show what a run of FILE would do, row by row and field by field (old -> new). Nothing is sent.

    The plan compares FILE with the current state of the platform. Rows with errors are shown as refused.

    Exits with 0, or with 2 if any row is refused.
    """
    from invoca_bulk.config.options import Options
    from invoca_bulk.service.plan import plan_sheet

    plan_output.check_output_paths(output, save)
    if save and flags["sandbox"]:
        raise ConfigError("A plan made with --sandbox cannot be saved: its sandbox stops with this command.")
    reading = {name: flags.pop(name) for name in common.READING_PARAMETERS}
    with (
        connection_options.open_network(flags) as network,
        common.show_retry_command("plan", file),
    ):
        plan = plan_sheet(file, network, Options(**flags), **reading)
    paths = plan_output.write_plan(plan, output, save)
    next_command = _next_command(plan, file, saved_path=paths[1])
    plan_output.print_plan(plan, paths, next_command, as_json=as_json, detailed=detailed_exitcode)
    sys.exit(plan.exit_code(detailed=detailed_exitcode))


def _next_command(plan: Plan, file: Path, saved_path: Path | None) -> str | None:
    """The command to run next; None: there is nothing to do."""
    if not plan.ok:
        return f"correct {file}, then {common.format_command(['plan', file, *common.passed_flags('as_json')])}"
    if not plan.requests:
        return None
    if saved_path:  # the choices and how the sheet is read are part of the saved plan
        in_plan = (*PLAN_OPTION_NAMES, *common.READING_PARAMETERS, "apply_edits")
        excluded = (*in_plan, *_PLAN_ONLY_PARAMETERS)
        return common.format_command(["run", saved_path, *common.passed_flags(*excluded)])
    return common.format_command(["run", file, *common.passed_flags(*_PLAN_ONLY_PARAMETERS)])
