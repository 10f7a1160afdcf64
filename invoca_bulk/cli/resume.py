"""`invoca-bulk resume`: do what is left of a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from invoca_bulk.cli import common, finishing, network
from invoca_bulk.errors import RunAborted


@click.command()
@click.argument("run", required=False)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="The results; without it, where the run's were to go."
)
@network.settling_options()
@click.option(
    "--resend-unknown",
    is_flag=True,
    help="Send creates again of which it cannot be told whether they were done. Look at the platform first.",
)
@click.option(
    "--token-file", type=click.Path(path_type=Path), help="A file that holds the token; - for standard input."
)
@common.setting("max_new_numbers", int)
@network.calling_options()
@common.setting("rate", float)
@common.setting("max_failures")
@common.journal_option()
@network.cluster_options()
@common.json_option()
def command(run: str | None, output: Path | None, *, as_json: bool, token_file: Path | None, **flags: Any) -> None:  # noqa: ANN401
    """Do what is left of RUN, and look up what became of its requests in doubt.

    Without RUN: the latest run of which something is left. What was done is not done again. The network and the choices
    are those of the run; the token comes from INVOCA_API_TOKEN, --token-file, or a hidden prompt.
    """
    from invoca_bulk import pipeline, settings  # noqa: PLC0415  `--help` needs no pandas
    from invoca_bulk.journal import run_of  # noqa: PLC0415

    place = settings.journal_place(flags["journal"])
    record = run_of(place, run) if run else pipeline.latest_open(place)
    where = network.of_run(record, token_file)
    try:
        options = network.options(flags, as_json=as_json)
        finished = pipeline.resume(record.run, where, options, output=output, for_good=True)
    except RunAborted as error:
        same = common.shown_command(["resume", record.run, *common.given_flags()])
        raise type(error)(f"{error}\nNothing was sent. Next, when that is mended: {same}") from None
    finishing.tell(finished, as_json=as_json)
    sys.exit(finished.exit_code)
