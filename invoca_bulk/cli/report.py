"""What a run came to, and the exact next command: the end of the verbs that send."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from invoca_bulk.cli import common, connection_options
from invoca_bulk.schema.result_columns import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from invoca_bulk.planning import Kept
    from invoca_bulk.service.pipeline import Finished


def tell(finished: Finished, plan: Kept | None = None, *, as_json: bool) -> None:
    """Print totals, where the results are, and what to do next.

    Args:
        finished: what the run came to.
        plan: the kept plan that was run; None: it was a sheet.
        as_json: whether to print an object for programs instead.
    """
    from invoca_bulk.reports.results import totals_text

    results = finished.results
    next_command = _about_workers(finished) if finished.is_under_way else _next(finished, plan)
    for note in (*finished.notes, *(["Warnings:", *finished.unheeded] if finished.unheeded else [])):
        click.echo(note, err=True)
    if as_json:
        common.print_json(
            {
                "run": results.run.run,
                "state": results.run.state,
                "exit_code": finished.exit_code,
                "totals": results.totals,
                "output": str(finished.saved) if finished.saved else None,
                "error": " ".join(finished.notes) or None,
                "next": next_command,
            }
        )
        return
    if finished.is_under_way:
        click.echo(_so_far(finished))
    else:
        click.echo(totals_text(results.totals))
    if finished.saved:
        click.echo(f"Results: {finished.saved}")
    if next_command:
        click.echo(f"Next: {next_command}")


def _so_far(finished: Finished) -> str:
    """Of a run that workers are at: nothing has ended, so that no row is unknown or left."""
    totals, run = finished.results.totals, finished.results.run.run
    told = {outcome: count for outcome, count in totals.items() if outcome not in {Outcome.NOT_SENT, Outcome.UNKNOWN}}
    done = ", ".join(f"{count:,} {outcome.value}" for outcome, count in told.items())
    rows = f"{sum(told.values()):,} of {sum(totals.values()):,} rows so far{f' ({done})' if done else ''}"
    return f"Run {run} is at the workers, and goes on whatever becomes of this program: {rows}."


def _about_workers(finished: Finished) -> str:
    """How to follow a run that workers do."""
    flags = common.given_flags(only=("journal", "token_file"))
    return common.shown_command(["resume", finished.results.run.run, "--cluster", *flags])


def _next(finished: Finished, plan: Kept | None) -> str | None:
    """What to do about the rows that are not done."""
    outcomes, run = set(finished.results.totals), finished.results.run.run
    if finished.is_resumable and not finished.is_rehearsal:  # the sandbox of this command is gone with it
        return common.shown_command(["resume", run, *common.given_flags(only=_OF_RESUME)])
    journal = common.given_flags(only=("journal",))
    if finished.saved is None:
        stays = not click.get_current_context().params.get("sandbox")  # a rehearsal's journal goes with it
        return common.shown_command(["results", run, "-o", "results.csv", *journal]) if stays else None
    again = common.shown_command(_run_again(finished, finished.saved, plan))
    if outcomes & {Outcome.INVALID, Outcome.REJECTED}:
        return f"correct the rows that are not done in {finished.saved}, then {again}"
    if outcomes & {Outcome.FAILED, Outcome.NOT_SENT}:
        return again
    return _about_unknown(finished) if Outcome.UNKNOWN in outcomes else None


def _about_unknown(finished: Finished) -> str:
    """What to do about rows that could not be told, of this run and of those before it."""
    rows = [row for row in finished.results.rows if row.outcome is Outcome.UNKNOWN]
    runs = list(dict.fromkeys(row.step_run for row in rows if row.step_run))
    look = "look the unknown rows up on the platform; they are not sent again"
    if not runs or click.get_current_context().params.get("sandbox"):
        return f"{look}."
    flags = common.given_flags("resend_absent", only=_OF_RESUME)
    resend = "--resend-unknown" if any("--resend-unknown" in row.fix for row in rows) else "--resend-absent"
    commands = [common.shown_command(["resume", run, resend, *flags]) for run in runs]
    return "\n  ".join([f"{look} by themselves. If they are surely not there:", *commands])


def _run_again(finished: Finished, saved: Path, plan: Kept | None) -> Sequence[str | Path]:
    """The results are the sheet for the next run."""
    from invoca_bulk.reports import files

    command: list[str | Path] = ["run", saved, "-o", files.free(saved)]
    if click.get_current_context().info_name != "run":
        record = finished.results.run
        choices = connection_options.choice_flags(record.choices)
        return [*command, *connection_options.where_flags(record), *choices, *common.given_flags(only=_SHARED)]
    choices = connection_options.choice_flags(plan.choices) if plan else []
    return [*command, *choices, *common.given_flags("output", "as_json", "sheet", "again")]


#: Flags that the next command needs too; `run` and `resume` share them.
_SHARED = (
    *("token_file", "concurrency", "timeout", "rate", "settle", "max_failures", "max_new_numbers", "journal"),
    "doubt_refusals",
)
#: The same, of a run that goes on.
_OF_RESUME = (*_SHARED, "resend_absent", "cluster")
