"""The command line's door: one module a verb, loaded when it is needed."""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from typing import TYPE_CHECKING, NoReturn

import click

from invoca_bulk.errors import InvocaBulkError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Verb to what it does, in the order of the help; `--help` shows this without loading the verbs.
VERBS = {
    "demo": "Show everything on a sandbox: no account, nothing bought.",
    "template": "Write a workbook to fill in.",
    "validate": "Check a sheet; nothing is sent.",
    "plan": "Show what a run would do, field by field; nothing is sent.",
    "run": "Check a sheet, do what it asks for, write the results.",
    "resume": "Do what is left of a run that was interrupted.",
    "runs": "List all runs, and what became of their rows.",
    "undo": "Plan to take a run back: what it created, changed and moved.",
    "export": "Write what the platform has as a sheet.",
    "results": "Write the results of an earlier run, from the journal.",
    "app": "Open the upload page in the browser: no command line, no code.",
    "sandbox": "Serve a stand-in platform to rehearse on.",
    "lab": "Open the notebooks in JupyterLab, on a copy of yours.",
}


class _Verbs(click.Group):
    """Loads a verb's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"{__name__}.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="invoca-bulk")
def group() -> None:
    """Create and manage advertisers and promo numbers in bulk, from spreadsheets: checked, planned, and written back.

    \b
    Exit codes: 0 all done; 1 finished, some rows not done; 2 nothing was sent;
    3 aborted; 4 interrupted.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """The program. Expected errors are one sentence on standard error and an exit code, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a character shows a question mark
    try:
        sys.exit(group.main(args=arguments, standalone_mode=False) or 0)
    except InvocaBulkError as error:
        _tell(str(error), error.exit_code, arguments)
    except click.UsageError as error:
        context = f"{error.ctx.get_usage()}\n" if error.ctx else ""
        _tell(f"{context}Error: {error.format_message()}", error.exit_code, arguments)
    except click.ClickException as error:
        _tell(error.format_message(), error.exit_code, arguments)
    except (click.Abort, KeyboardInterrupt):
        # From the first request on interrupts are held, so that none gets here.
        _tell("Stopped. Nothing was sent.", 2, arguments)
    except Exception:  # noqa: BLE001  a defect of this program; exit 1 would mean that the run has finished
        traceback.print_exc()
        _tell("This is a defect of invoca-bulk; please report it with the lines above.", 3, arguments)


def _tell(sentence: str, code: int, arguments: Sequence[str] | None) -> NoReturn:
    """Say why it ended: a sentence for people, with --json an object for programs too."""
    given = sys.argv if arguments is None else arguments
    code = 1 if "--detailed-exitcode" in given else code  # of `plan`: its 2 says that there are changes
    click.echo(sentence, err=True)
    if "--json" in given:
        click.echo(json.dumps({"error": sentence, "exit_code": code}))
    sys.exit(code)
