"""`invoca-bulk run`: check a sheet, send what it asks for, and write the results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from invoca_bulk.cli import common, connection_options, report
from invoca_bulk.errors import OutputError, PlanError

if TYPE_CHECKING:
    from invoca_bulk.planning import SavedPlan
    from invoca_bulk.reports.validation_report import RowsInvalid

#: Parameters that `plan` does not have.
_RUN_ONLY_PARAMETERS = (
    *("output", "plain_csv", "yes", "skip_invalid", "max_new_numbers", "max_failures", "rate", "as_json"),
    *connection_options.RECONCILE_PARAMETERS,
)


@click.command()
@common.file_argument
@common.output_option("Results file, .xlsx or .csv. Default: FILE's name with -results.xlsx.")
@common.plain_csv_option
@click.option("--yes", is_flag=True, help="Do not ask for confirmation before actions that cannot be undone.")
@common.again_option
@common.apply_edits_option
@click.option("--skip-invalid", is_flag=True, help="Send the valid rows even if others have errors.")
@connection_options.plan_options
@connection_options.network_options
@connection_options.reconcile_options
@click.option("--assign-ids", is_flag=True, help="Give each new number without an id_from_network a generated one.")
@common.setting_option("max_new_numbers", int)
@common.setting_option("max_failures")
@connection_options.request_options
@common.setting_option("rate", float)
@common.journal_option
@connection_options.cluster_options
@common.reading_options
@common.json_option
def command(file: Path, output: Path | None, *, as_json: bool, **flags: Any) -> None:  # noqa: ANN401
    """Check FILE, send what it asks for, and write the same rows back with their outcomes and assigned numbers.

    FILE is a sheet, or a plan from `plan --save`, which runs only if the platform has not changed since.

    If any row has errors, nothing is sent, unless you pass --skip-invalid. Running the same sheet again resumes an
    interrupted run, and rows that earlier runs completed are not sent again. To finish the remaining rows, correct
    them in the results file and run that file.

    The token comes from --token-file, INVOCA_API_TOKEN or a hidden prompt.
    """
    from invoca_bulk.reports import plan_file
    from invoca_bulk.reports.validation_report import RowsInvalid
    from invoca_bulk.service.run import run_sheet

    output = output or common.sibling_path(file, "-results")
    reading = {name: flags.pop(name) for name in common.READING_PARAMETERS}
    saved_plan = plan_file.read_if_saved_plan(file)
    if saved_plan:
        plan_file.reject_plan_options(filter(common.was_passed, flags | reading))
    with (
        connection_options.open_network(flags) as network,
        # Only before the first request: later aborts come back as a result.
        common.show_retry_command("run", file, note="Nothing was sent. "),
    ):
        try:
            options = connection_options.build_options(flags, as_json=as_json)
            run_result = run_sheet(
                saved_plan or file, network, options, output=output, keep_ignoring_interrupts=True, **reading
            )
        except RowsInvalid as error:
            _exit_with_row_errors(error, file, output, saved_plan, as_json=as_json)
        except PlanError as error:
            raise PlanError(f"{error}\nNext: {_replan_command(saved_plan)}" if saved_plan else str(error)) from None
    report.print_result(run_result, saved_plan, as_json=as_json)
    sys.exit(run_result.exit_code)


def _replan_command(saved_plan: SavedPlan) -> str:
    from invoca_bulk.cli import undo
    from invoca_bulk.journal import undone_run_id

    file = click.get_current_context().params["file"]
    if run := undone_run_id(saved_plan.source):
        return common.format_command(["undo", run, "--save", file, *common.passed_flags(only=undo.RUN_PARAMETERS)])
    sheet = saved_plan.path or saved_plan.source
    if not sheet:
        return "plan the DataFrame again: ib.plan(frame, network).save('plan.json')"
    reading = [word for name, value in saved_plan.read_arguments.items() if value for word in (f"--{name}", value)]
    flags = [*connection_options.plan_flags(saved_plan.choices), *reading, *common.passed_flags(*_RUN_ONLY_PARAMETERS)]
    return common.format_command(["plan", sheet, "--save", file, *flags])


def _exit_with_row_errors(
    error: RowsInvalid, file: Path, output: Path, saved_plan: SavedPlan | None, *, as_json: bool
) -> NoReturn:
    """Nothing was sent: print the errors and write an annotated workbook that shows what to correct."""
    from invoca_bulk.reports import files
    from invoca_bulk.reports.plan_report import json_records

    click.echo(str(error), err=True)
    try:
        annotated: Path | None = error.report.to_excel(files.unused_path(common.sibling_path(output, "-annotated")))
    except OutputError as output_error:
        annotated = None
        click.echo(str(output_error), err=True)
    rerun_command = common.format_command(["run", file, "-o", output, *common.passed_flags("output", "as_json")])
    next_command = _replan_command(saved_plan) if saved_plan else rerun_command
    if as_json:
        common.print_json(
            {
                "error": str(error).splitlines()[0],
                "exit_code": error.exit_code,
                "issues": json_records(error.report.issues),
                "annotated": str(annotated) if annotated else None,
                "next": next_command,
            }
        )
    else:
        if annotated:
            click.echo(f"The cells with errors are coloured and have notes in {annotated}", err=True)
        click.echo(f"Next: correct the sheet, then {next_command}", err=True)
    sys.exit(error.exit_code)
