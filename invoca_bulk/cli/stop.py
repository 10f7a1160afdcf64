"""`invoca-bulk stop`: have whoever is at a run stop."""

from __future__ import annotations

import sys

import click

from invoca_bulk.cli import common


@click.command()
@click.argument("run")
@common.journal_option()
def command(run: str, journal: str | None) -> None:
    """Ask the process, or the workers, that are at RUN to stop: nothing more is sent, and what is under way is awaited.

    Exits with 0 when they were asked, and with 1 when that cannot be, with the reason.
    """
    from invoca_bulk.config import settings
    from invoca_bulk.journal import request_stop

    why_not = request_stop(settings.resolve_journal_location(journal), run)
    click.echo(why_not or f"Run {run} was asked to stop. `invoca-bulk runs` shows how it stands.", err=bool(why_not))
    sys.exit(1 if why_not else 0)
