"""`invoca-bulk undo`: plan to take a run back; nothing is sent."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invoca_bulk.cli import common, connection_options
from invoca_bulk.errors import RunAborted

if TYPE_CHECKING:
    from invoca_bulk.journal import RunRecord
    from invoca_bulk.service.undo import Undo

#: Flags that `run` has too.
_RUN_PARAMETERS = ("token_file", *connection_options.REQUEST_PARAMETERS, "journal")


@click.command()
@click.argument("run")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Write it with old and new side by side: .xlsx or .csv."
)
@click.option("--save", type=click.Path(path_type=Path), help="Keep it, to be run: a name with .json.")
@click.option(
    "--token-file", type=click.Path(path_type=Path), help="A file that holds the token; - for standard input."
)
@connection_options.request_options()
@common.journal_option()
@common.json_option()
def command(
    run: str,
    output: Path | None,
    save: Path | None,
    *,
    token_file: Path | None,
    as_json: bool,
    **flags: Any,  # noqa: ANN401  what click has read
) -> None:
    """Look at the platform and say how RUN is taken back. Nothing is sent: `invoca-bulk run` does what --save keeps.

    Numbers and advertisers that RUN created are deleted; what it changed or moved goes back to what it was, unless it
    has changed since. What a number cost is not given back, and what RUN deleted stays deleted.
    The network is that of the run; the token comes from INVOCA_API_TOKEN, --token-file, or a hidden prompt.
    Exits with 0, or with 2 when something is not undone.
    """
    from invoca_bulk.config import settings
    from invoca_bulk.config.options import Options
    from invoca_bulk.journal import find_run
    from invoca_bulk.service import undo

    _check_output_paths(output, save)
    record = find_run(settings.resolve_journal_location(flags["journal"]), run)
    where = connection_options.network_for_run(record, token_file)
    try:
        preview = undo.undo(run, where, Options(**flags))
    except RunAborted as error:
        same = common.format_command(["undo", run, *common.passed_flags()])
        raise type(error)(f"{error}\nNext, when that is mended: {same}") from None
    written = _write_output(preview, output)
    kept = preview.keep(save) if save and preview.requests else None
    told = {
        "output": written and str(written),
        "saved": kept and str(kept),
        "next": _next_command(preview, record, kept),
    }
    if as_json:
        common.print_json(preview.to_json() | told)
    else:
        _print_undo(preview, told)
    sys.exit(preview.exit_code())


def _check_output_paths(output: Path | None, save: Path | None) -> None:
    """Before the platform is asked for anything."""
    from invoca_bulk.reports import plan_file
    from invoca_bulk.reports import save as saving

    if output:
        saving.check_output_path(output)
    if save:
        plan_file.check_plan_path(save)


def _write_output(undo_plan: Undo, output: Path | None) -> Path | None:
    from invoca_bulk.reports import files

    return undo_plan.save(files.unused_path(output)) if output else None


def _print_undo(undo_plan: Undo, summary: dict[str, Any]) -> None:
    for line in undo_plan.lines():
        click.echo(line)
    if summary["output"]:
        click.echo(f"The undo, old and new side by side: {summary['output']}")
    if summary["saved"]:
        click.echo(f"Kept, to be run: {summary['saved']}")
    click.echo(f"Next: {summary['next']}" if summary["next"] else "There is nothing to do.")


def _next_command(undo_plan: Undo, record: RunRecord, saved_path: Path | None) -> str | None:
    """What to do with it; None: there is nothing to do."""
    if not undo_plan.requests:
        return None
    if saved_path is None:
        return common.format_command(["undo", record.run, "--save", "undo.json", *common.passed_flags("as_json")])
    results = common.sibling_path(saved_path, "-results")
    flags = [*connection_options.network_flags(record), *common.passed_flags(only=_RUN_PARAMETERS)]
    return common.format_command(["run", saved_path, "-o", results, *flags])
