"""The verbs of the command line: one module each, loaded when it is needed."""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from typing import TYPE_CHECKING, NoReturn

import click

from invoca_bulk.cli import COMMANDS, HELP
from invoca_bulk.errors import InvocaBulkError

if TYPE_CHECKING:
    from collections.abc import Sequence


class _LazyGroup(click.Group):
    """Loads a verb's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"invoca_bulk.cli.{cmd_name}").command
        return command

    def get_help(self, ctx: click.Context) -> str:
        del ctx
        return HELP


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="invoca-bulk")
def command_group() -> None:
    """The program: see `HELP`."""


def run_command_line(arguments: Sequence[str] | None) -> NoReturn:
    """Do what the arguments say; None: those of the program.

    Expected errors are one sentence on standard error and an exit code, never a traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a character shows a question mark
    try:
        sys.exit(command_group.main(args=arguments, standalone_mode=False) or 0)
    except InvocaBulkError as error:
        _exit_with_message(str(error), error.exit_code, arguments)
    except click.UsageError as error:
        context = f"{error.ctx.get_usage()}\n" if error.ctx else ""
        _exit_with_message(f"{context}Error: {error.format_message()}", error.exit_code, arguments)
    except click.ClickException as error:
        _exit_with_message(error.format_message(), error.exit_code, arguments)
    except (click.Abort, KeyboardInterrupt):
        # From the first request on interrupts are held, so that none gets here.
        _exit_with_message("Stopped. Nothing was sent.", 2, arguments)
    except Exception:  # noqa: BLE001  a defect of this program; exit 1 would mean that the run has finished
        traceback.print_exc()
        _exit_with_message("This is a defect of invoca-bulk; please report it with the lines above.", 3, arguments)


def _exit_with_message(sentence: str, code: int, arguments: Sequence[str] | None) -> NoReturn:
    """Say why it ended: a sentence for people, with --json an object for programs too."""
    given = sys.argv if arguments is None else arguments
    code = 1 if "--detailed-exitcode" in given else code  # of `plan`: its 2 says that there are changes
    click.echo(sentence, err=True)
    if "--json" in given:
        click.echo(json.dumps({"error": sentence, "exit_code": code}))
    sys.exit(code)
