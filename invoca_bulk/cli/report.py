"""What a run came to, and the exact next command: the end of the verbs that send."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from invoca_bulk.cli import common, connection_options
from invoca_bulk.schema.result_columns import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from invoca_bulk.planning import SavedPlan
    from invoca_bulk.service.pipeline import RunResult


def print_result(run_result: RunResult, saved_plan: SavedPlan | None = None, *, as_json: bool) -> None:
    """Print totals, where the results are, and what to do next.

    Args:
        run_result: what the run came to.
        saved_plan: the kept plan that was run; None: it was a sheet.
        as_json: whether to print an object for programs instead.
    """
    from invoca_bulk.reports.results import format_totals

    results = run_result.results
    next_command = _follow_command(run_result) if run_result.is_running else _next_command(run_result, saved_plan)
    for note in (*run_result.notes, *(["Warnings:", *run_result.ignored_input] if run_result.ignored_input else [])):
        click.echo(note, err=True)
    if as_json:
        common.print_json(
            {
                "run": results.run.run,
                "state": results.run.state,
                "exit_code": run_result.exit_code,
                "totals": results.totals,
                "output": str(run_result.output_path) if run_result.output_path else None,
                "error": " ".join(run_result.notes) or None,
                "next": next_command,
            }
        )
        return
    if run_result.is_running:
        click.echo(_describe_progress(run_result))
    else:
        click.echo(format_totals(results.totals))
    if run_result.output_path:
        click.echo(f"Results: {run_result.output_path}")
    if next_command:
        click.echo(f"Next: {next_command}")


def _describe_progress(run_result: RunResult) -> str:
    """Of a run that workers are at: nothing has ended, so that no row is unknown or left."""
    totals, run = run_result.results.totals, run_result.results.run.run
    told = {outcome: count for outcome, count in totals.items() if outcome not in {Outcome.NOT_SENT, Outcome.UNKNOWN}}
    done = ", ".join(f"{count:,} {outcome.value}" for outcome, count in told.items())
    rows = f"{sum(told.values()):,} of {sum(totals.values()):,} rows so far{f' ({done})' if done else ''}"
    return f"Run {run} is at the workers, and goes on whatever becomes of this program: {rows}."


def _follow_command(run_result: RunResult) -> str:
    """How to follow a run that workers do."""
    flags = common.passed_flags(only=("journal", "token_file"))
    return common.format_command(["resume", run_result.results.run.run, "--cluster", *flags])


def _next_command(run_result: RunResult, saved_plan: SavedPlan | None) -> str | None:
    """What to do about the rows that are not done."""
    outcomes, run = set(run_result.results.totals), run_result.results.run.run
    if run_result.is_resumable and not run_result.is_rehearsal:  # the sandbox of this command is gone with it
        return common.format_command(["resume", run, *common.passed_flags(only=_RESUME_PARAMETERS)])
    journal = common.passed_flags(only=("journal",))
    if run_result.output_path is None:
        stays = not click.get_current_context().params.get("sandbox")  # a rehearsal's journal goes with it
        return common.format_command(["results", run, "-o", "results.csv", *journal]) if stays else None
    again = common.format_command(_rerun_command(run_result, run_result.output_path, saved_plan))
    if outcomes & {Outcome.INVALID, Outcome.REJECTED}:
        return f"correct the rows that are not done in {run_result.output_path}, then {again}"
    if outcomes & {Outcome.FAILED, Outcome.NOT_SENT}:
        return again
    return _advise_on_unknown(run_result) if Outcome.UNKNOWN in outcomes else None


def _advise_on_unknown(run_result: RunResult) -> str:
    """What to do about rows that could not be told, of this run and of those before it."""
    rows = [row for row in run_result.results.rows if row.outcome is Outcome.UNKNOWN]
    runs = list(dict.fromkeys(row.step_run for row in rows if row.step_run))
    look = "look the unknown rows up on the platform; they are not sent again"
    if not runs or click.get_current_context().params.get("sandbox"):
        return f"{look}."
    flags = common.passed_flags("resend_absent", only=_RESUME_PARAMETERS)
    resend = "--resend-unknown" if any("--resend-unknown" in row.fix for row in rows) else "--resend-absent"
    commands = [common.format_command(["resume", run, resend, *flags]) for run in runs]
    return "\n  ".join([f"{look} by themselves. If they are surely not there:", *commands])


def _rerun_command(run_result: RunResult, results_path: Path, saved_plan: SavedPlan | None) -> Sequence[str | Path]:
    """The results are the sheet for the next run."""
    from invoca_bulk.reports import files

    command: list[str | Path] = ["run", results_path, "-o", files.unused_path(results_path)]
    if click.get_current_context().info_name != "run":
        record = run_result.results.run
        choices = connection_options.plan_flags(record.choices)
        return [
            *command,
            *connection_options.network_flags(record),
            *choices,
            *common.passed_flags(only=_SHARED_PARAMETERS),
        ]
    choices = connection_options.plan_flags(saved_plan.choices) if saved_plan else []
    return [*command, *choices, *common.passed_flags("output", "as_json", "sheet", "again")]


#: Flags that the next command needs too; `run` and `resume` share them.
_SHARED_PARAMETERS = (
    *("token_file", "concurrency", "timeout", "rate", "settle", "max_failures", "max_new_numbers", "journal"),
    "doubt_refusals",
)
#: The same, of a run that goes on.
_RESUME_PARAMETERS = (*_SHARED_PARAMETERS, "resend_absent", "cluster")
