"""`invoca-bulk undo`: plan how to reverse a run; nothing is sent."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invoca_bulk.cli import common, connection_options, plan_output
from invoca_bulk.errors import ConfigError

if TYPE_CHECKING:
    from invoca_bulk.config.journal_location import JournalLocation
    from invoca_bulk.journal import RunRecord
    from invoca_bulk.service.undo import Undo

#: Parameters that `run` has too; `run` needs them to make the undo again.
RUN_PARAMETERS = ("token_file", *connection_options.REQUEST_PARAMETERS, "journal")
#: How many of the latest runs to show to a person who has named none.
_SHOWN_RUNS = 5


@click.command()
@click.argument("run", required=False)
@plan_output.plan_output_options
@common.token_file_option
@connection_options.request_options
@common.journal_option
@common.json_option
def command(
    run: str | None,
    output: Path | None,
    save: Path | None,
    *,
    token_file: Path | None,
    as_json: bool,
    **flags: Any,  # noqa: ANN401  the other parameters, as click has parsed them
) -> None:
    """Plan how to reverse RUN. Nothing is sent; to carry the plan out, --save it and pass it to `invoca-bulk run`.

    Numbers and advertisers that RUN created are deleted. Whatever it updated or moved gets its earlier values back,
    unless it has changed since. The cost of bought numbers is not refunded, and objects that RUN deleted cannot be
    restored.

    Without RUN, the latest runs are shown, and you are asked whether to undo the latest one of your network.

    The network is that of RUN. The token comes from --token-file, INVOCA_API_TOKEN or a hidden prompt.

    Exits with 0, or with 2 if something cannot be undone.
    """
    from invoca_bulk.config.journal_location import resolve_journal_location
    from invoca_bulk.config.options import Options
    from invoca_bulk.journal import find_run
    from invoca_bulk.service.undo import undo

    plan_output.check_output_paths(output, save)
    location = resolve_journal_location(flags["journal"])
    run = run or _choose_run(location)
    record = find_run(location, run)
    network = connection_options.network_for_run(record, token_file)
    with common.show_retry_command("undo", run):
        plan = undo(run, network, Options(**flags))
    paths = plan_output.write_plan(plan, output, save if plan.requests else None)
    plan_output.print_plan(plan, paths, _next_command(plan, record, saved_path=paths[1]), as_json=as_json)
    sys.exit(plan.exit_code())


def _choose_run(location: JournalLocation) -> str:
    """The latest run, if a person at a terminal agrees to undo it.

    Raises:
        ConfigError: nobody can be asked, or there is no run.
    """
    from invoca_bulk.cli.runs import format_runs
    from invoca_bulk.config.environment import can_prompt
    from invoca_bulk.config.network import describe_network
    from invoca_bulk.journal import list_runs

    if not can_prompt():
        command = common.format_command(["runs", *common.JOURNAL_FLAGS])
        raise ConfigError(f"Name the run to undo. See all runs: {command}")
    run_summaries = list_runs(location)
    of_network = [run_summary for run_summary in run_summaries if _is_of_own_network(run_summary.record)]
    candidates = [run_summary for run_summary in of_network if not run_summary.undone_by]
    if not candidates:
        raise ConfigError(f"There are no runs of your network in {location}.")
    for line in format_runs(run_summaries[-_SHOWN_RUNS:]):
        click.echo(line, err=True)
    latest = candidates[-1].record
    network = describe_network(latest.network_id, latest.base_url)
    question = f"Plan how to undo {latest.run}, the latest run of {network}? Nothing is sent."
    click.confirm(question, default=True, abort=True, err=True)
    return latest.run


def _is_of_own_network(record: RunRecord) -> bool:
    """Whether a run was made for the network that the environment names; without one, every run counts."""
    from invoca_bulk.config.settings import setting_from_environment

    network_id, base_url = map(setting_from_environment, ("network_id", "base_url"))
    return not network_id or (network_id, base_url) == (record.network_id, record.base_url)


def _next_command(plan: Undo, record: RunRecord, saved_path: Path | None) -> str | None:
    """The command to run next; None: there is nothing to do."""
    if not plan.requests:
        return None
    if saved_path is None:
        return common.format_command(["undo", record.run, "--save", "undo.json", *common.passed_flags("as_json")])
    results = common.sibling_path(saved_path, "-results")
    flags = [*connection_options.network_flags(record), *common.passed_flags(only=RUN_PARAMETERS)]
    return common.format_command(["run", saved_path, "-o", results, *flags])
