"""`invoca-bulk run`: check a sheet, create what it asks for, write the results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invoca_bulk.cli import common, connection_options, report
from invoca_bulk.errors import OutputError, PlanError, RunAborted

if TYPE_CHECKING:
    from invoca_bulk.planning import SavedPlan
    from invoca_bulk.reports.validation_report import RowsInvalid

#: Flags that `plan` does not share with `run`.
_RUN_ONLY_PARAMETERS = (
    *("output", "yes", "again", "skip_invalid", "max_new_numbers", "max_failures", "rate", "journal", "as_json"),
    *connection_options.RECONCILE_PARAMETERS,
)

#: Flags that `undo` shares with `run`.
_UNDO_PARAMETERS = ("token_file", "concurrency", "timeout", "journal")


@click.command()
@common.file_argument()
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The results: .xlsx or .csv.")
@click.option("--yes", is_flag=True, help="Do not ask before what cannot be undone.")
@click.option("--again", is_flag=True, help="Start anew, and buy once more what earlier runs have bought.")
@click.option("--skip-invalid", is_flag=True, help="Send the good rows although others have errors.")
@connection_options.plan_options()
@connection_options.network_options()
@connection_options.reconcile_options()
@click.option("--assign-ids", is_flag=True, help="Give new numbers that come without an id of your own one.")
@common.setting_option("max_new_numbers", int)
@common.setting_option("max_failures")
@connection_options.request_options()
@common.setting_option("rate", float)
@common.journal_option()
@connection_options.cluster_options()
@common.reading_options()
@common.json_option()
def command(file: Path, output: Path | None, *, as_json: bool, **flags: Any) -> None:  # noqa: ANN401
    """Check FILE, do what it asks for, and write the sheet back with the outcome (and the number) on each row.

    FILE is a sheet, or a plan that `plan --save` has kept: that is run only if the platform has not changed since.
    A sheet with errors sends nothing, unless --skip-invalid is given. A sheet whose run was interrupted goes on where
    it stopped, and rows that earlier runs did are not done again. Results can be run again: only what is left is done.
    The token comes from INVOCA_API_TOKEN, --token-file, or a hidden prompt.
    """
    from invoca_bulk.reports import plan_file
    from invoca_bulk.reports.validation_report import RowsInvalid
    from invoca_bulk.service import pipeline

    output = output or common.sibling_path(file, "-results")
    reading = {name: flags.pop(name) for name in ("sheet", "resource")}
    plan = plan_file.read_if_saved_plan(file)
    if plan:
        plan_file.reject_plan_options(filter(common.was_passed, flags | reading))
    with connection_options.open_network(flags, auto_ids=flags["auto_ids"]) as where:
        try:
            options = connection_options.build_options(flags, as_json=as_json)
            finished = pipeline.run_sheet(
                plan or file, where, options, output=output, keep_ignoring_interrupts=True, **reading
            )
        except RowsInvalid as refused:
            _exit_with_row_errors(refused, file, output, plan, as_json=as_json)
        except PlanError as error:
            raise PlanError(f"{error}\nNext: {_replan_command(plan)}" if plan else str(error)) from None
        except RunAborted as error:  # before the first request: an abort in the middle comes back as finished
            same = common.format_command(["run", file, *common.passed_flags()])
            raise type(error)(f"{error}\nNothing was sent. Next, when that is mended: {same}") from None
    report.print_result(finished, plan, as_json=as_json)
    sys.exit(finished.exit_code)


def _replan_command(saved_plan: SavedPlan) -> str:
    """The command that makes a kept plan anew."""
    from invoca_bulk.service.undo import undone_run_id

    file = click.get_current_context().params["file"]
    if run := undone_run_id(saved_plan.source):
        return common.format_command(["undo", run, "--save", file, *common.passed_flags(only=_UNDO_PARAMETERS)])
    sheet = saved_plan.path or saved_plan.source
    if not sheet:
        return "plan the DataFrame again: ib.plan(frame, network).keep('plan.json')"
    reading = [text for name, value in saved_plan.read_arguments.items() if value for text in (f"--{name}", value)]
    flags = [*connection_options.plan_flags(saved_plan.choices), *reading, *common.passed_flags(*_RUN_ONLY_PARAMETERS)]
    return common.format_command(["plan", sheet, "--save", file, *flags])


def _exit_with_row_errors(
    error: RowsInvalid, file: Path, output: Path, saved_plan: SavedPlan | None, *, as_json: bool
) -> None:
    """A sheet with errors: nothing was sent, and the annotated workbook shows what to correct."""
    from invoca_bulk.reports import files

    click.echo(str(error), err=True)
    try:
        annotated: Path | None = error.report.save(files.unused_path(common.sibling_path(output, "-annotated")))
    except OutputError as problem:
        annotated = None
        click.echo(str(problem), err=True)
    same = common.format_command(["run", file, "-o", output, *common.passed_flags("output", "as_json")])
    next_command = _replan_command(saved_plan) if saved_plan else same
    if as_json:
        issues = common.issue_records(error.report.issues)
        told = {"error": str(error).splitlines()[0], "exit_code": error.exit_code, "issues": issues}
        common.print_json(told | {"annotated": str(annotated) if annotated else None, "next": next_command})
    else:
        if annotated:
            click.echo(f"The cells in question are coloured, with notes, in {annotated}", err=True)
        click.echo(f"Next: correct the sheet, then {next_command}", err=True)
    sys.exit(error.exit_code)
