"""`invoca-bulk runs`: all runs that the journals know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from invoca_bulk.cli import common

if TYPE_CHECKING:
    from invoca_bulk.journal import Listed


@click.command()
@common.journal_option()
@common.json_option()
def command(journal: str | None, *, as_json: bool) -> None:
    """List all runs, the oldest first: id, state, start, rows by outcome, file, network.

    `running`: a process is at work on it now. `interrupted` and `aborted` runs go on with `invoca-bulk resume RUN`.
    `closed`: a run was stopped, and later runs do what it left.
    """
    from invoca_bulk.config import settings
    from invoca_bulk.journal import listed

    place = settings.journal_place(journal)
    found = listed(place)
    if as_json:
        common.print_json({"runs": [_record(one) for one in found]})
    elif not found:
        click.echo(f"There are no runs in {place}.")
    else:
        _tell(found)


def _record(one: Listed) -> dict[str, object]:
    from invoca_bulk.reports.results import iso

    run = one.record
    return {
        "run": run.run,
        "state": one.state,
        "started": iso(run.started_at),
        "ended": iso(run.ended_at) or None,
        "file": run.source or None,
        "network_id": run.network_id,
        "base_url": run.base_url,
        "totals": {outcome.value: count for outcome, count in one.totals.items()},
        "can_be_resumed": one.is_open and not one.held,
    }


def _tell(found: list[Listed]) -> None:
    rows = [("run", "state", "started (UTC)", "rows", "file", "network")]
    for one in found:
        record = _record(one)
        totals = ", ".join(f"{count:,} {outcome.value}" for outcome, count in sorted(one.totals.items()))
        started = str(record["started"])[:16].replace("T", " ")
        network = f"{record['network_id']} at {record['base_url']}"
        rows.append((one.record.run, one.state, started, totals or "none", one.record.source or "a DataFrame", network))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    if waiting := [one for one in found if one.is_open and not one.held]:
        cluster = ["--cluster"] if waiting[-1].record.workers else []
        click.echo(f"Next: {common.shown_command(['resume', waiting[-1].record.run, *cluster])}")
