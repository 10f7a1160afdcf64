"""Runs in processes of their own: the command line's `run` and `resume`, which no closed tab and no kernel's end stops.

Only their own standard input gets the token. Each has a folder beside the journal, with the plan, the results, and
what the process has said.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoca_bulk.config.settings import SETTINGS, TOKEN_VARIABLE, own_folder, setting_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from invoca_bulk.config.settings import Network, Place
    from invoca_bulk.journal import Listed

#: The folder of all jobs, in that of the journals, or in the user's own.
FOLDER = "page"
PLAN, RESULTS = "plan.json", "results.xlsx"
_TOLD, _SAID = "told.json", "said.txt"
_SAID_AT_MOST = 4000
#: Settings that the page's own flags replace; all others hold for a job too.
_CHOSEN = ("network_id", "base_url", "api_version", "journal")
#: How the command line begins to tell which command comes next.
_NEXT = re.compile(r"\s*\bNext\b[^:\n]*: ")


@dataclass(frozen=True, kw_only=True)
class Job:
    """A process that runs a plan, or the rest of one.

    Attributes:
        folder: its own.
        process: the process.
        run: the run that goes on; empty: a new one begins.
    """

    folder: Path
    process: subprocess.Popen[bytes]
    run: str = ""

    @property
    def ended(self) -> bool:
        """Whether the process is over."""
        return self.process.poll() is not None

    def is_at(self, one: Listed) -> bool:
        """Whether a run that is under way is the job's: by its id, by its output, or by its process."""
        owner = one.owner
        mine = owner is not None and (owner.process, owner.host) == (self.process.pid, socket.gethostname())
        return mine or one.record.run == self.run or Path(one.record.output).parent == self.folder

    def tidy(self) -> None:
        """Remove the plan, and with it the sheet, once the journal has all of it."""
        (self.folder / PLAN).unlink(missing_ok=True)

    @property
    def told(self) -> Mapping[str, Any]:
        """What the process says at its end: `run`, `error` and so on, as `--json` prints them; empty before that."""
        with contextlib.suppress(OSError, ValueError):
            found = json.loads((self.folder / _TOLD).read_text(encoding="utf-8"))
            return found if isinstance(found, dict) else {}
        return {}

    @property
    def problem(self) -> str:
        """Why it ended without a run, in the process' own words; without the command that comes next."""
        with contextlib.suppress(OSError):
            said = (self.folder / _SAID).read_text(encoding="utf-8", errors="replace")
            return _NEXT.split(str(self.told.get("error") or "") or said[-_SAID_AT_MOST:])[0].strip()
        return ""


def new_folder(journals: Place, name: str) -> Path:
    """A folder of its own for a job.

    Args:
        journals: where the journals are.
        name: what is run, for people who look into it.
    """
    readable = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:40]
    parent = own_folder(journals).absolute() / FOLDER
    for one in (parent.parent, parent):  # the mode is that of the last part only
        one.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{readable}-", dir=parent))


def start(arguments: Sequence[str], network: Network, *, folder: Path, journals: Place, run: str = "") -> Job:
    """Start the command line.

    Args:
        arguments: `run` with the plan's file or `resume` with the run's id, and flags.
        network: whose token the process gets.
        folder: the job's own, absolute.
        journals: where the journals are.
        run: the run that goes on, for the job to know.
    """
    command = [sys.executable, "-m", "invoca_bulk", *arguments, "-o", str(folder / RESULTS), "--json"]
    command += ["--token-file", "-"]
    with (folder / _TOLD).open("wb") as told, (folder / _SAID).open("wb") as said:
        process = subprocess.Popen(  # noqa: S603  our own program
            command, cwd=folder, env=_environment(journals), stdin=subprocess.PIPE, stdout=told, stderr=said, **_ALONE
        )
    assert process.stdin is not None  # noqa: S101  tells mypy what PIPE gives
    with contextlib.suppress(BrokenPipeError):  # it has ended already, and says why
        process.stdin.write(network.secret.reveal().encode())
        process.stdin.close()
    return Job(folder=folder, process=process, run=run)


#: Out of the kernel's group of processes, which is ended with the kernel.
_ALONE: Mapping[str, Any] = (
    {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    if os.name == "nt"
    else {"start_new_session": True}
)


def _environment(journals: Place) -> dict[str, str]:
    """That of this process without what the person has chosen on the page, and without a token."""
    chosen = {TOKEN_VARIABLE, *(SETTINGS[name].variable for name in _CHOSEN)}
    kept = {name: value for name, value in os.environ.items() if name not in chosen}
    # Not as a flag, which others can see: the address of a database may hold a password.
    return kept | {SETTINGS["journal"].variable: setting_of(journals)}
