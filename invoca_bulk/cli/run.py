"""`invoca-bulk run`: check a sheet, create what it asks for, write the results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invoca_bulk.cli import common, connection_options, report
from invoca_bulk.errors import OutputUnwritable, PlanUnusable, RunAborted

if TYPE_CHECKING:
    from invoca_bulk.planning import Kept
    from invoca_bulk.reports.validation_report import RowsInvalid

#: Flags that `plan` does not share with `run`.
_NOT_OF_PLAN = (
    *("output", "yes", "again", "skip_invalid", "max_new_numbers", "max_failures", "rate", "journal", "as_json"),
    *connection_options.SETTLING,
)

#: Flags that `undo` shares with `run`.
_OF_UNDO = ("token_file", "concurrency", "timeout", "journal")


@click.command()
@common.file_argument()
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The results: .xlsx or .csv.")
@click.option("--yes", is_flag=True, help="Do not ask before what cannot be undone.")
@click.option("--again", is_flag=True, help="Start anew, and buy once more what earlier runs have bought.")
@click.option("--skip-invalid", is_flag=True, help="Send the good rows although others have errors.")
@connection_options.choice_options()
@connection_options.network_options()
@connection_options.settling_options()
@click.option("--assign-ids", is_flag=True, help="Give new numbers that come without an id of your own one.")
@common.setting("max_new_numbers", int)
@common.setting("max_failures")
@connection_options.calling_options()
@common.setting("rate", float)
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

    output = output or common.beside(file, "-results")
    reading = {name: flags.pop(name) for name in ("sheet", "resource")}
    plan = plan_file.opened(file)
    if plan:
        plan_file.refuse_settled(filter(common.is_given, flags | reading))
    with connection_options.opened(flags, auto_ids=flags["auto_ids"]) as where:
        try:
            options = connection_options.options(flags, as_json=as_json)
            finished = pipeline.run(plan or file, where, options, output=output, for_good=True, **reading)
        except RowsInvalid as refused:
            _refuse(refused, file, output, plan, as_json=as_json)
        except PlanUnusable as error:
            raise PlanUnusable(f"{error}\nNext: {_plan_again(plan)}" if plan else str(error)) from None
        except RunAborted as error:  # before the first request: an abort in the middle comes back as finished
            same = common.shown_command(["run", file, *common.given_flags()])
            raise type(error)(f"{error}\nNothing was sent. Next, when that is mended: {same}") from None
    report.tell(finished, plan, as_json=as_json)
    sys.exit(finished.exit_code)


def _plan_again(plan: Kept) -> str:
    """The command that makes a kept plan anew."""
    from invoca_bulk.service.undo import run_undone

    file = click.get_current_context().params["file"]
    if run := run_undone(plan.source):
        return common.shown_command(["undo", run, "--save", file, *common.given_flags(only=_OF_UNDO)])
    sheet = plan.path or plan.source
    if not sheet:
        return "plan the DataFrame again: ib.plan(frame, network).keep('plan.json')"
    reading = [text for name, value in plan.reading.items() if value for text in (f"--{name}", value)]
    flags = [*connection_options.choice_flags(plan.choices), *reading, *common.given_flags(*_NOT_OF_PLAN)]
    return common.shown_command(["plan", sheet, "--save", file, *flags])


def _refuse(refused: RowsInvalid, file: Path, output: Path, plan: Kept | None, *, as_json: bool) -> None:
    """A sheet with errors: nothing was sent, and the annotated workbook shows what to correct."""
    from invoca_bulk.reports import files

    click.echo(str(refused), err=True)
    try:
        annotated: Path | None = refused.report.save(files.free(common.beside(output, "-annotated")))
    except OutputUnwritable as problem:
        annotated = None
        click.echo(str(problem), err=True)
    same = common.shown_command(["run", file, "-o", output, *common.given_flags("output", "as_json")])
    next_command = _plan_again(plan) if plan else same
    if as_json:
        issues = common.issue_records(refused.report.issues)
        told = {"error": str(refused).splitlines()[0], "exit_code": refused.exit_code, "issues": issues}
        common.print_json(told | {"annotated": str(annotated) if annotated else None, "next": next_command})
    else:
        if annotated:
            click.echo(f"The cells in question are coloured, with notes, in {annotated}", err=True)
        click.echo(f"Next: correct the sheet, then {next_command}", err=True)
    sys.exit(refused.exit_code)
