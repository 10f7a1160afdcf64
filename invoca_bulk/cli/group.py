"""The click group: loads a command's module when it is needed, and turns errors into messages and exit codes."""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

from invoca_bulk.cli import COMMANDS, HELP, common
from invoca_bulk.cli.wording import command_words
from invoca_bulk.errors import InvocaBulkError
from invoca_bulk.exit_codes import ABORTED, NOTHING_SENT
from invoca_bulk.web.wording import JOB_VARIABLE, page_words
from invoca_bulk.wording import use_wording


class _LazyGroup(click.Group):
    """Imports the module `invoca_bulk.cli.NAME` when the command NAME is used."""

    def list_commands(self, _: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"invoca_bulk.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, *other_words = args
        if name not in COMMANDS:
            raise common.unknown_name_error(
                "command", name, COMMANDS, lambda nearest: [nearest, *other_words], ["--help"]
            )
        return super().resolve_command(ctx, args)

    def get_help(self, _: click.Context) -> str:
        return HELP


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="invoca-bulk")
def command_group() -> None:
    """The program; its help is `HELP`."""


def run_command_line(arguments: Sequence[str] | None) -> NoReturn:
    """Run a command and exit with its code.

    Expected errors are printed as one message on standard error, without a traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # characters that the terminal cannot show become question marks
    common.JOURNAL_FLAGS.clear()
    use_wording(page_words if JOB_VARIABLE in os.environ else command_words)
    try:
        sys.exit(command_group.main(args=arguments, standalone_mode=False) or 0)
    except InvocaBulkError as error:
        _exit_with_message(str(error), error.exit_code, arguments)
    except click.UsageError as error:
        usage = f"{error.ctx.get_usage()}\n" if error.ctx else ""
        _exit_with_message(f"{usage}Error: {error.format_message()}", error.exit_code, arguments)
    except click.ClickException as error:
        _exit_with_message(error.format_message(), error.exit_code, arguments)
    except (click.Abort, KeyboardInterrupt):
        # From the first request on, interrupts are deferred and do not get here.
        _exit_with_message("Stopped. Nothing was sent.", NOTHING_SENT, arguments)
    except Exception:  # noqa: BLE001  a bug in this program; Python's exit code 1 would mean that the run finished
        traceback.print_exc()
        _exit_with_message("This is a bug in invoca-bulk. Please report it with the lines above.", ABORTED, arguments)


def _exit_with_message(message: str, code: int, arguments: Sequence[str] | None) -> NoReturn:
    """Print a message on standard error, and with --json an object on standard output too."""
    words = sys.argv if arguments is None else arguments
    code = 1 if "--detailed-exitcode" in words else code  # `plan`, where 2 means changes
    click.echo(message, err=True)
    if "--json" in words:
        click.echo(json.dumps({"error": message, "exit_code": code}))
    sys.exit(code)
