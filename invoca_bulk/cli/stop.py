"""`invoca-bulk stop`: stop a run."""

from __future__ import annotations

import sys

import click

from invoca_bulk.cli import common
from invoca_bulk.exit_codes import ALL_DONE, ROWS_NOT_DONE
from invoca_bulk.wording import remedy, word


@click.command()
@click.argument("run")
@common.journal_option
def command(run: str, journal: str | None) -> None:
    """Stop RUN, also on workers: nothing more is sent, and the run ends once open requests have their responses.

    Exits with 0 if the run was asked to stop, or with 1 and the reason if it cannot be.
    """
    from invoca_bulk.config.journal_location import resolve_journal_location
    from invoca_bulk.journal import request_stop

    failure_reason = request_stop(resolve_journal_location(journal), run)
    stopping = word(f"Run {run} was asked to stop. To see its state: {remedy('runs')}")
    click.echo(failure_reason or stopping, err=bool(failure_reason))
    sys.exit(ROWS_NOT_DONE if failure_reason else ALL_DONE)
