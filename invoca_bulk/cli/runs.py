"""`invoca-bulk runs`: list all runs in the journals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from invoca_bulk.cli import common

if TYPE_CHECKING:
    from invoca_bulk.journal import RunSummary


@click.command()
@common.journal_option
@common.json_option
def command(journal: str | None, *, as_json: bool) -> None:
    """List all runs, oldest first: id, state, start, rows by outcome, file, network.

    `running`: a process is working on it. `interrupted` and `aborted`: finish it with `invoca-bulk resume RUN`.
    `closed`: it was stopped, and later runs take care of its remaining rows.
    """
    from invoca_bulk.config.journal_location import resolve_journal_location
    from invoca_bulk.journal import list_runs

    location = resolve_journal_location(journal)
    run_summaries = list_runs(location)
    if as_json:
        common.print_json({"runs": [_to_json_record(run_summary) for run_summary in run_summaries]})
    elif not run_summaries:
        click.echo(f"There are no runs in {location}.")
    else:
        for line in format_runs(run_summaries):
            click.echo(line)
        _print_next_command(run_summaries)


def _to_json_record(run_summary: RunSummary) -> dict[str, object]:
    from invoca_bulk.reports.results import format_time

    run = run_summary.record
    return {
        "run": run.run,
        "state": run_summary.state,
        "started": format_time(run.started_at),
        "ended": format_time(run.ended_at) or None,
        "file": run.source or None,
        "network_id": run.network_id,
        "base_url": run.base_url,
        "undone_by": run_summary.undone_by or None,
        "totals": {outcome.value: count for outcome, count in run_summary.totals.items()},
        "before": {outcome.value: count for outcome, count in run_summary.earlier_totals.items()},
        "can_be_resumed": _can_be_resumed(run_summary),
    }


def _can_be_resumed(run_summary: RunSummary) -> bool:
    return run_summary.is_resumable and not run_summary.is_in_use


def format_runs(run_summaries: Sequence[RunSummary]) -> list[str]:
    """A header and a line for each run, in columns."""
    from invoca_bulk.config.network import network_address
    from invoca_bulk.reports.results import describe_run_totals, describe_state, format_time

    rows = [("run", "state", "started (UTC)", "rows", "file", "network")]
    for run_summary in run_summaries:
        run = run_summary.record
        totals = describe_run_totals(run_summary)
        started = format_time(run.started_at)[:16].replace("T", " ")
        network = network_address(run.network_id, run.base_url)
        rows.append(
            (run.run, describe_state(run_summary), started, totals or "none", run.source or "a DataFrame", network)
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _print_next_command(run_summaries: Sequence[RunSummary]) -> None:
    if resumable := list(filter(_can_be_resumed, run_summaries)):
        latest = resumable[-1].record
        cluster = ["--cluster"] if latest.worker_options else []
        click.echo(f"Next: {common.format_command(['resume', latest.run, *cluster])}")
