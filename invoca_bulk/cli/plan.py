"""`invoca-bulk plan`: what a run would do; nothing is sent."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invoca_bulk.cli import common, connection_options
from invoca_bulk.errors import ConfigError, RunAborted

if TYPE_CHECKING:
    from invoca_bulk.reports.plan_report import Plan

#: Flags of `plan` alone.
_PLAN_ONLY_PARAMETERS = ("output", "save", "detailed_exitcode", "as_json")


@click.command()
@common.file_argument()
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Write it with old and new side by side: .xlsx or .csv."
)
@click.option("--save", type=click.Path(path_type=Path), help="Keep it, to run exactly this later: a name with .json.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 0: nothing to do, 1: any error, 2: changes.")
@connection_options.plan_options()
@connection_options.network_options()
@connection_options.request_options()
@common.reading_options()
@common.json_option()
def command(
    file: Path,
    output: Path | None,
    save: Path | None,
    *,
    detailed_exitcode: bool,
    as_json: bool,
    **flags: Any,  # noqa: ANN401  what click has read
) -> None:
    """Look at the platform and say for each row of FILE what would be done: each field, old -> new. Nothing is sent.

    Rows with errors are refused in the plan; it exits with 2 when there are such, else with 0.
    """
    from invoca_bulk.config.options import Options
    from invoca_bulk.service import pipeline

    _check_output_paths(output, save, sandbox=flags["sandbox"])
    reading = {name: flags.pop(name) for name in ("sheet", "resource")}
    with connection_options.open_network(flags, auto_ids=flags["auto_ids"]) as where:
        try:
            preview = pipeline.plan_sheet(file, where, Options(**flags), **reading)
        except RunAborted as error:
            same = common.format_command(["plan", file, *common.passed_flags()])
            raise type(error)(f"{error}\nNext, when that is mended: {same}") from None
    written = _write_output(preview, output)
    kept = preview.keep(save) if save else None
    told = {"output": written and str(written), "saved": kept and str(kept), "next": _next_command(preview, file, kept)}
    if as_json:
        common.print_json(preview.to_json(detailed=detailed_exitcode) | told)
    else:
        _print_plan(preview, told)
    sys.exit(preview.exit_code(detailed=detailed_exitcode))


def _check_output_paths(output: Path | None, save: Path | None, *, sandbox: bool) -> None:
    """Before the platform is asked for anything."""
    from invoca_bulk.reports import plan_file
    from invoca_bulk.reports import save as saving

    if output:
        saving.check_output_path(output)
    if save:
        plan_file.check_plan_path(save)
    if save and sandbox:
        msg = "The plan of a rehearsal cannot be kept: its sandbox is gone when it has been made. Leave out --save."
        raise ConfigError(msg)


def _write_output(plan: Plan, output: Path | None) -> Path | None:
    from invoca_bulk.reports import files

    return plan.save(files.unused_path(output)) if output else None


def _print_plan(plan: Plan, summary: dict[str, Any]) -> None:
    for line in plan.lines():
        click.echo(line)
    for name, asked, what in (
        ("output", "output", "The plan, old and new side by side"),
        ("saved", "save", "Kept, to be run"),
    ):
        if summary[name]:
            wanted = click.get_current_context().params[asked]
            elsewhere = "" if str(wanted) == summary[name] else f" ({wanted} was there already)"
            click.echo(f"{what}: {summary[name]}{elsewhere}")
    click.echo(f"Next: {summary['next']}" if summary["next"] else "There is nothing to do.")


def _next_command(plan: Plan, file: Path, saved_path: Path | None) -> str | None:
    """What to do with the plan; None: there is nothing to do."""
    if not plan.ok:
        return f"correct {file}, then {common.format_command(['plan', file, *common.passed_flags('as_json')])}"
    if not plan.requests:
        return None
    if saved_path:
        left_out = (*connection_options.PLAN_PARAMETERS, "sheet", "resource", *_PLAN_ONLY_PARAMETERS)
        return common.format_command(["run", saved_path, *common.passed_flags(*left_out)])
    return common.format_command(["run", file, *common.passed_flags(*_PLAN_ONLY_PARAMETERS)])
