"""How `run` and `resume` print a run's result and the exact next command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from invoca_bulk.cli import common, connection_options
from invoca_bulk.schema.outcomes import Outcome
from invoca_bulk.web import run_progress

if TYPE_CHECKING:
    from invoca_bulk.planning import SavedPlan
    from invoca_bulk.service.run_result import RunResult

#: Parameters of `run` and `resume` that the next command needs too.
_SHARED_PARAMETERS = (
    *("token_file", "concurrency", "timeout", "rate", "settle", "max_failures", "max_new_numbers", "journal"),
    *("doubt_refusals", "plain_csv"),
)
#: The same, where the next command is `resume`.
_RESUME_PARAMETERS = (*_SHARED_PARAMETERS, "resend_absent", "cluster")


def print_result(run_result: RunResult, saved_plan: SavedPlan | None = None, *, as_json: bool) -> None:
    """Print the totals, the path of the results and the next command, or one JSON object."""
    from invoca_bulk.reports.results import describe_totals, format_totals

    results = run_result.results
    next_command = _follow_command(run_result) if run_result.is_running else _next_command(run_result, saved_plan)
    warnings = ["Warnings:", *run_result.warnings] if run_result.warnings else []
    for note in (*run_result.notes, *warnings):
        click.echo(note, err=True)
    if as_json:
        common.print_json(
            {
                "run": results.run.run,
                "state": results.run.state,
                "exit_code": run_result.exit_code,
                "totals": results.totals,
                "now": results.own_totals,
                "before": results.earlier_totals,
                "rehearsal": results.rehearsal_note or None,
                "output": str(run_result.output_path) if run_result.output_path else None,
                "warnings": [line.strip() for line in run_result.warnings],
                "error": " ".join(run_result.notes) or None,
                "next": next_command,
            }
        )
        return
    click.echo(_describe_progress(run_result) if run_result.is_running else format_totals(results.totals))
    for line in () if run_result.is_running else describe_totals(results.own_totals, results.earlier_totals):
        click.echo(f"  {line}")
    if results.rehearsal_note:
        click.echo(results.rehearsal_note)
    if run_result.output_path:
        click.echo(f"Results: {run_result.output_path}")
    if next_command:
        click.echo(f"Next: {next_command}")


def _describe_progress(run_result: RunResult) -> str:
    """How far workers have come with a run."""
    totals, run = run_result.results.totals, run_result.results.run.run
    completed = run_progress.completed_totals(totals)
    details = ", ".join(f"{count:,} {outcome.value}" for outcome, count in completed.items())
    rows = f"{sum(completed.values()):,} of {sum(totals.values()):,} rows so far{f' ({details})' if details else ''}"
    return f"Workers continue run {run} without this program: {rows}."


def _follow_command(run_result: RunResult) -> str:
    """The command that follows a run that workers execute."""
    flags = common.passed_flags(only=("journal", "token_file"))
    return common.format_command(["resume", run_result.results.run.run, "--cluster", *flags])


def _next_command(run_result: RunResult, saved_plan: SavedPlan | None) -> str | None:
    """What to do about the rows that are not done; None: nothing."""
    parameters = click.get_current_context().params
    if parameters.get("sandbox") and parameters.get("file"):
        return _repeat_rehearsal(run_result, parameters["file"])
    outcomes, run = set(run_result.results.totals), run_result.results.run.run
    if run_result.is_resumable and not run_result.is_rehearsal:  # a rehearsal's sandbox stops with this command
        return common.format_command(["resume", run, *common.passed_flags(only=_RESUME_PARAMETERS)])
    if run_result.output_path is None:
        return common.format_command(["results", run, "-o", "results.csv", *common.passed_flags(only=("journal",))])
    rerun_command = common.format_command(_rerun_command(run_result, run_result.output_path, saved_plan))
    if outcomes & {Outcome.INVALID, Outcome.REJECTED}:
        return f"correct the rows that are not done in {run_result.output_path}, then {rerun_command}"
    if outcomes & {Outcome.FAILED, Outcome.NOT_SENT}:
        return rerun_command
    return _advise_on_unknown(run_result) if Outcome.UNKNOWN in outcomes else None


def _repeat_rehearsal(run_result: RunResult, file: Path) -> str | None:
    """The next rehearsal of the same file: the numbers of this one end with its sandbox."""
    command = common.format_command(["run", file, *common.passed_flags("as_json")])
    return None if run_result.results.all_done else f"correct {file}, then {command}"


def _advise_on_unknown(run_result: RunResult) -> str:
    """What to do about rows whose outcome is unknown, in this run and in those before it."""
    rows = [row for row in run_result.results.rows if row.outcome is Outcome.UNKNOWN]
    runs = list(dict.fromkeys(row.step_run for row in rows if row.step_run))
    advice = "look the unknown rows up on the platform; they are not sent again"
    if not runs or click.get_current_context().params.get("sandbox"):
        return f"{advice}."
    flags = common.passed_flags("resend_absent", only=_RESUME_PARAMETERS)
    fixes = " ".join(row.fix for row in rows).replace("-", "_")  # journals of version 0.1 hold the flag itself
    resend = "--resend-unknown" if "resend_unknown" in fixes else "--resend-absent"
    commands = [common.format_command(["resume", run, resend, *flags]) for run in runs]
    return "\n  ".join([f"{advice} automatically. If you are sure that they are not there:", *commands])


def _rerun_command(run_result: RunResult, results_path: Path, saved_plan: SavedPlan | None) -> Sequence[str | Path]:
    """The command that runs the results file as the next sheet."""
    from invoca_bulk.reports import files

    command: list[str | Path] = ["run", results_path, "-o", files.unused_path(results_path)]
    if click.get_current_context().info_name != "run":
        record = run_result.results.run
        return [
            *command,
            *connection_options.network_flags(record),
            *connection_options.plan_flags(record.choices),
            *common.passed_flags(only=_SHARED_PARAMETERS),
        ]
    choices = connection_options.plan_flags(saved_plan.choices) if saved_plan else []
    return [*command, *choices, *common.passed_flags("output", "as_json", "sheet", "encoding", "again")]
