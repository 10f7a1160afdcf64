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

from invoca_bulk.config.settings import SETTINGS, TOKEN_ENV_VARIABLE, state_dir, to_env_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from invoca_bulk.config.settings import JournalLocation, Network
    from invoca_bulk.journal import RunSummary

#: The folder of all jobs, in that of the journals, or in the user's own.
JOBS_FOLDER_NAME = "page"
PLAN_FILE_NAME, RESULTS_FILE_NAME = "plan.json", "results.xlsx"
_REPORT_FILE_NAME, _LOG_FILE_NAME = "told.json", "said.txt"
_MAX_LOG_CHARS = 4000
#: Settings that the page's own flags replace; all others hold for a job too.
_OVERRIDDEN_SETTINGS = ("network_id", "base_url", "api_version", "journal")
#: How the command line begins to tell which command comes next.
_NEXT_COMMAND_PATTERN = re.compile(r"\s*\bNext\b[^:\n]*: ")


@dataclass(frozen=True, kw_only=True)
class Job:
    """A process that runs a plan, or the rest of one.

    Attributes:
        folder: its own.
        process: the process.
        resumed_run_id: the run that goes on; empty: a new one begins.
    """

    folder: Path
    process: subprocess.Popen[bytes]
    resumed_run_id: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether the process is over."""
        return self.process.poll() is not None

    def owns(self, run_summary: RunSummary) -> bool:
        """Whether a run that is under way is the job's: by its id, by its output, or by its process."""
        owner = run_summary.owner
        mine = owner is not None and (owner.process, owner.host) == (self.process.pid, socket.gethostname())
        return (
            mine
            or run_summary.record.run == self.resumed_run_id
            or Path(run_summary.record.output).parent == self.folder
        )

    def delete_plan(self) -> None:
        """Remove the plan, and with it the sheet, once the journal has all of it."""
        (self.folder / PLAN_FILE_NAME).unlink(missing_ok=True)

    @property
    def json_report(self) -> Mapping[str, Any]:
        """What the process reports at its end (`run`, `error` and so on), as `--json` prints it; empty before that."""
        with contextlib.suppress(OSError, ValueError):
            found = json.loads((self.folder / _REPORT_FILE_NAME).read_text(encoding="utf-8"))
            return found if isinstance(found, dict) else {}
        return {}

    @property
    def failure_reason(self) -> str:
        """Why it ended without a run, in the process' own words; without the command that comes next."""
        with contextlib.suppress(OSError):
            said = (self.folder / _LOG_FILE_NAME).read_text(encoding="utf-8", errors="replace")
            return _NEXT_COMMAND_PATTERN.split(str(self.json_report.get("error") or "") or said[-_MAX_LOG_CHARS:])[
                0
            ].strip()
        return ""


def create_job_folder(journal_location: JournalLocation, source_name: str) -> Path:
    """A folder of its own for a job.

    Args:
        journal_location: where the journals are.
        source_name: what is run, for people who look into it.
    """
    readable = re.sub(r"[^A-Za-z0-9]+", "-", source_name).strip("-")[:40]
    parent = state_dir(journal_location).absolute() / JOBS_FOLDER_NAME
    for one in (parent.parent, parent):  # the mode is that of the last part only
        one.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{readable}-", dir=parent))


def start_job(
    arguments: Sequence[str],
    network: Network,
    *,
    folder: Path,
    journal_location: JournalLocation,
    resumed_run_id: str = "",
) -> Job:
    """Start the command line.

    Args:
        arguments: `resumed_run_id` with the plan's file or `resume` with the run's id, and flags.
        network: whose token the process gets.
        folder: the job's own, absolute.
        journal_location: where the journals are.
        resumed_run_id: the run that goes on, for the job to know.
    """
    command = [sys.executable, "-m", "invoca_bulk", *arguments, "-o", str(folder / RESULTS_FILE_NAME), "--json"]
    command += ["--token-file", "-"]
    with (folder / _REPORT_FILE_NAME).open("wb") as told, (folder / _LOG_FILE_NAME).open("wb") as said:
        process = subprocess.Popen(  # noqa: S603  our own program
            command,
            cwd=folder,
            env=_job_environment(journal_location),
            stdin=subprocess.PIPE,
            stdout=told,
            stderr=said,
            **_DETACHED_PROCESS_OPTIONS,
        )
    assert process.stdin is not None  # noqa: S101  tells mypy what PIPE gives
    with contextlib.suppress(BrokenPipeError):  # it has ended already, and says why
        process.stdin.write(network.secret.reveal().encode())
        process.stdin.close()
    return Job(folder=folder, process=process, resumed_run_id=resumed_run_id)


#: Out of the kernel's group of processes, which is ended with the kernel.
_DETACHED_PROCESS_OPTIONS: Mapping[str, Any] = (
    {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    if os.name == "nt"
    else {"start_new_session": True}
)


def _job_environment(journal_location: JournalLocation) -> dict[str, str]:
    """That of this process without what the person has chosen on the page, and without a token."""
    chosen = {TOKEN_ENV_VARIABLE, *(SETTINGS[name].env_variable for name in _OVERRIDDEN_SETTINGS)}
    kept = {name: value for name, value in os.environ.items() if name not in chosen}
    # Not as a flag, which others can see: the address of a database may hold a password.
    return kept | {SETTINGS["journal"].env_variable: to_env_value(journal_location)}
