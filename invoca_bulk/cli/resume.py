"""`invoca-bulk resume`: finish an interrupted run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from invoca_bulk.cli import common, connection_options, report


@click.command()
@click.argument("run", required=False)
@common.output_option("Results file, .xlsx or .csv. Default: the one that RUN was started with.")
@common.plain_csv_option
@connection_options.reconcile_options
@click.option(
    "--resend-unknown",
    is_flag=True,
    help="Also send creates again whose outcome could not be determined. Check the platform first.",
)
@common.token_file_option
@common.setting_option("max_new_numbers", int)
@connection_options.request_options
@common.setting_option("rate", float)
@common.setting_option("max_failures")
@common.journal_option
@connection_options.cluster_options
@common.json_option
def command(run: str | None, output: Path | None, *, as_json: bool, token_file: Path | None, **flags: Any) -> None:  # noqa: ANN401
    """Finish RUN: look up the requests that got no reliable response, and send the rows that are left.

    Without RUN, resumes the latest run that can be resumed. Completed rows are not sent again. The network and the
    plan's options are those of RUN; the token comes from --token-file, INVOCA_API_TOKEN or a hidden prompt.
    """
    from invoca_bulk.config.journal_location import resolve_journal_location
    from invoca_bulk.journal import find_run
    from invoca_bulk.service.resume import find_resumable_run, resume_run

    location = resolve_journal_location(flags["journal"])
    record = find_run(location, run) if run else find_resumable_run(location)
    network = connection_options.network_for_run(record, token_file)
    with common.show_retry_command("resume", record.run, note="Nothing was sent. "):
        options = connection_options.build_options(flags, as_json=as_json)
        run_result = resume_run(record.run, network, options, output=output, keep_ignoring_interrupts=True)
    report.print_result(run_result, as_json=as_json)
    sys.exit(run_result.exit_code)
