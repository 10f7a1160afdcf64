"""The command line's entry point: shows the help itself and imports the rest only to run a command."""

from __future__ import annotations

import sys

from invoca_bulk.cli.pipes import tolerate_closed_pipes
from invoca_bulk.exit_codes import ALL_DONE, EXIT_CODES

TYPE_CHECKING = False  # importing `typing` takes half as long as Python's own start
if TYPE_CHECKING:
    from collections.abc import Sequence

#: Command to what it does, in the order of the help; `--help` shows this without importing the commands.
COMMANDS = {
    "demo": "Try the tool on a sandbox: no account needed, nothing is bought.",
    "template": "Write a workbook to fill in.",
    "validate": "Check a sheet; nothing is sent.",
    "plan": "Show what a run would change, field by field; nothing is sent.",
    "run": "Check a sheet, send what it asks for, and write the results.",
    "resume": "Finish a run that was interrupted.",
    "runs": "List all runs with the outcomes of their rows.",
    "stop": "Stop a run.",
    "undo": "Plan how to reverse a run; nothing is sent.",
    "export": "Write the platform's advertisers or promo numbers to a sheet.",
    "results": "Write the results of an earlier run, from the journal.",
    "app": "Open the upload page in your browser: no commands, no code.",
    "worker": "Run a worker process for `run --cluster`.",
    "sandbox": "Serve a local stand-in for the platform, to rehearse on.",
    "lab": "Open your own copy of the notebooks in JupyterLab.",
    "help": "Show a topic of the manual, or list the topics.",
    "explain": "Explain an issue code or an outcome, with an example.",
}

#: What `--help` shows. It is plain text because having click build it takes longer than everything else it needs.
HELP = (
    """\
Usage: invoca-bulk [OPTIONS] COMMAND [ARGS]...

  Create and manage Invoca advertisers and promo numbers in bulk. Every row of
  your spreadsheet is checked and planned first, and comes back with its
  outcome.

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Exit codes:
"""
    + "\n".join(f"  {code}  {meaning}" for code, meaning in EXIT_CODES.items())
    + "\n\nCommands:\n"
    + "\n".join(f"  {command:<8}  {summary}" for command, summary in COMMANDS.items())
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    with tolerate_closed_pipes():
        if list(sys.argv[1:] if arguments is None else arguments) in ([], ["--help"], ["-h"]):
            print(HELP)
            sys.exit(ALL_DONE)
        from invoca_bulk.cli import group

        group.run_command_line(arguments)
