"""`invoca-bulk runs`: all runs that the journals know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from invoca_bulk.cli import common

if TYPE_CHECKING:
    from invoca_bulk.journal import RunSummary


@click.command()
@common.journal_option()
@common.json_option()
def command(journal: str | None, *, as_json: bool) -> None:
    """List all runs, the oldest first: id, state, start, rows by outcome, file, network.

    `running`: a process is at work on it now. `interrupted` and `aborted` runs go on with `invoca-bulk resume RUN`.
    `closed`: a run was stopped, and later runs do what it left.
    """
    from invoca_bulk.config import settings
    from invoca_bulk.journal import list_runs

    place = settings.resolve_journal_location(journal)
    found = list_runs(place)
    if as_json:
        common.print_json({"runs": [_to_json_record(one) for one in found]})
    elif not found:
        click.echo(f"There are no runs in {place}.")
    else:
        _print_runs(found)


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
        "totals": {outcome.value: count for outcome, count in run_summary.totals.items()},
        "can_be_resumed": run_summary.is_resumable and not run_summary.is_in_use,
    }


def _print_runs(run_summaries: list[RunSummary]) -> None:
    rows = [("run", "state", "started (UTC)", "rows", "file", "network")]
    for one in run_summaries:
        record = _to_json_record(one)
        totals = ", ".join(f"{count:,} {outcome.value}" for outcome, count in sorted(one.totals.items()))
        started = str(record["started"])[:16].replace("T", " ")
        network = f"{record['network_id']} at {record['base_url']}"
        rows.append((one.record.run, one.state, started, totals or "none", one.record.source or "a DataFrame", network))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    if waiting := [one for one in run_summaries if one.is_resumable and not one.is_in_use]:
        cluster = ["--cluster"] if waiting[-1].record.worker_options else []
        click.echo(f"Next: {common.format_command(['resume', waiting[-1].record.run, *cluster])}")
