"""The command line's door: it shows the help, and loads the rest only when there is something to do."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # `typing` itself takes half as long as Python's own start
if TYPE_CHECKING:
    from collections.abc import Sequence

#: Verb to what it does, in the order of the help; `--help` shows this without loading the verbs.
COMMANDS = {
    "demo": "Show everything on a sandbox: no account, nothing bought.",
    "template": "Write a workbook to fill in.",
    "validate": "Check a sheet; nothing is sent.",
    "plan": "Show what a run would do, field by field; nothing is sent.",
    "run": "Check a sheet, do what it asks for, write the results.",
    "resume": "Do what is left of a run that was interrupted.",
    "runs": "List all runs, and what became of their rows.",
    "stop": "Have whoever is at a run stop.",
    "undo": "Plan to take a run back: what it created, changed and moved.",
    "export": "Write what the platform has as a sheet.",
    "results": "Write the results of an earlier run, from the journal.",
    "app": "Open the upload page in the browser: no command line, no code.",
    "worker": "Do what `run --cluster` hands out, on any machine.",
    "sandbox": "Serve a stand-in platform to rehearse on.",
    "lab": "Open the notebooks in JupyterLab, on a copy of yours.",
}

#: What `--help` shows; as text, since building it with click takes longer than all else that it needs.
HELP = """\
Usage: invoca-bulk [OPTIONS] COMMAND [ARGS]...

  Create and manage advertisers and promo numbers in bulk, from spreadsheets:
  checked, planned, and written back.

  Exit codes: 0 all done; 1 finished, some rows not done; 2 nothing was sent;
  3 aborted; 4 interrupted.

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Commands:
""" + "\n".join(f"  {verb:<8}  {does}" for verb, does in COMMANDS.items())


def main(arguments: Sequence[str] | None = None) -> None:
    """The program."""
    given = sys.argv[1:] if arguments is None else arguments
    if list(given) in (["--help"], ["-h"]):
        print(HELP)
        sys.exit(0)
    from invoca_bulk.cli import group

    group.run_command_line(arguments)
