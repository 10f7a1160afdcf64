"""`invoca-bulk resume`: do what is left of a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from invoca_bulk.cli import common, connection_options, report
from invoca_bulk.errors import RunAborted


@click.command()
@click.argument("run", required=False)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="The results; without it, where the run's were to go."
)
@connection_options.reconcile_options()
@click.option(
    "--resend-unknown",
    is_flag=True,
    help="Send creates again of which it cannot be told whether they were done. Look at the platform first.",
)
@click.option(
    "--token-file", type=click.Path(path_type=Path), help="A file that holds the token; - for standard input."
)
@common.setting_option("max_new_numbers", int)
@connection_options.request_options()
@common.setting_option("rate", float)
@common.setting_option("max_failures")
@common.journal_option()
@connection_options.cluster_options()
@common.json_option()
def command(run: str | None, output: Path | None, *, as_json: bool, token_file: Path | None, **flags: Any) -> None:  # noqa: ANN401
    """Do what is left of RUN, and look up what became of its requests in doubt.

    Without RUN: the latest run of which something is left. What was done is not done again. The network and the choices
    are those of the run; the token comes from INVOCA_API_TOKEN, --token-file, or a hidden prompt.
    """
    from invoca_bulk.config import settings
    from invoca_bulk.journal import find_run
    from invoca_bulk.service import pipeline

    place = settings.resolve_journal_location(flags["journal"])
    record = find_run(place, run) if run else pipeline.find_resumable_run(place)
    where = connection_options.network_for_run(record, token_file)
    try:
        options = connection_options.build_options(flags, as_json=as_json)
        finished = pipeline.resume_run(record.run, where, options, output=output, keep_ignoring_interrupts=True)
    except RunAborted as error:
        same = common.format_command(["resume", record.run, *common.passed_flags()])
        raise type(error)(f"{error}\nNothing was sent. Next, when that is mended: {same}") from None
    report.print_result(finished, as_json=as_json)
    sys.exit(finished.exit_code)
