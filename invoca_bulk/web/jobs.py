"""Runs in separate processes: `invoca-bulk run` and `resume`, which continue when the tab or the kernel closes.

A process gets the token on its standard input only. Each job has a folder next to the journal, with the plan, the
results, and the output of the process.
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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from invoca_bulk.config.journal_location import JournalLocation, state_dir, to_env_value
from invoca_bulk.config.network import Network
from invoca_bulk.config.secrets import TOKEN_ENV_VARIABLE
from invoca_bulk.config.settings import SETTINGS
from invoca_bulk.journal import RunSummary
from invoca_bulk.web.wording import JOB_VARIABLE

#: The folder of all jobs, inside the folder of the journals or the user's state directory.
JOBS_FOLDER_NAME = "page"
PLAN_FILE_NAME, RESULTS_FILE_NAME = "plan.json", "results.xlsx"
_REPORT_FILE_NAME, _LOG_FILE_NAME = "told.json", "said.txt"
_MAX_LOG_CHARS = 4000
#: Settings that the page passes to a job itself; a job takes all others from the environment.
_OVERRIDDEN_SETTINGS = ("network_id", "base_url", "api_version", "journal")
#: How the command line introduces the next command, which the page does not show.
_NEXT_COMMAND_PATTERN = re.compile(r"\s*\b(?:Next\b[^:\n]*|Fix the problem, then run): ")


@dataclass(frozen=True, kw_only=True)
class Job:
    """A process that runs a plan or resumes a run."""

    folder: Path  # the job's own
    process: subprocess.Popen[bytes]
    resumed_run_id: str = ""  # empty: a new run starts

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self.process.poll() is not None

    def owns(self, run_summary: RunSummary) -> bool:
        """Whether this job executes a running run: judged by the run's process, id or output path."""
        owner = run_summary.owner
        is_own_process = owner is not None and (owner.process, owner.host) == (self.process.pid, socket.gethostname())
        return (
            is_own_process
            or run_summary.record.run == self.resumed_run_id
            or Path(run_summary.record.output).parent == self.folder
        )

    def delete_plan(self) -> None:
        """Delete the plan, which contains the sheet, once the journal has its contents."""
        (self.folder / PLAN_FILE_NAME).unlink(missing_ok=True)

    @property
    def json_report(self) -> Mapping[str, Any]:
        """The object that `--json` prints at the end (`run`, `error` and so on); empty until then."""
        with contextlib.suppress(OSError, ValueError):
            report = json.loads((self.folder / _REPORT_FILE_NAME).read_text(encoding="utf-8"))
            return report if isinstance(report, dict) else {}
        return {}

    @property
    def failure_reason(self) -> str:
        """Why it ended without a run, as the process reported it, without the next command; empty: not known."""
        with contextlib.suppress(OSError):
            log = (self.folder / _LOG_FILE_NAME).read_text(encoding="utf-8", errors="replace")
            message = str(self.json_report.get("error") or "") or log[-_MAX_LOG_CHARS:]
            return _NEXT_COMMAND_PATTERN.split(message)[0].strip()
        return ""


def create_job_folder(journal_location: JournalLocation, source_name: str) -> Path:
    """Create the folder of a job, named after the sheet; only the user can read it."""
    readable_name = re.sub(r"[^A-Za-z0-9]+", "-", source_name).strip("-")[:40]
    parent = state_dir(journal_location).absolute() / JOBS_FOLDER_NAME
    for folder in (parent.parent, parent):  # `mkdir` sets the mode of the last folder of a path only
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{readable_name}-", dir=parent))


def start_job(
    arguments: Sequence[str],
    network: Network,
    *,
    folder: Path,
    journal_location: JournalLocation,
    resumed_run_id: str = "",
) -> Job:
    """Start `invoca-bulk run PLAN …` or `resume RUN …` in a process that outlives this one."""
    command = [sys.executable, "-m", "invoca_bulk", *arguments, "-o", str(folder / RESULTS_FILE_NAME), "--json"]
    command += ["--token-file", "-"]
    with (folder / _REPORT_FILE_NAME).open("wb") as report, (folder / _LOG_FILE_NAME).open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  this program
            command,
            cwd=folder,
            env=_job_environment(journal_location),
            stdin=subprocess.PIPE,
            stdout=report,
            stderr=log,
            **detached_process_options(),
        )
    assert process.stdin is not None  # noqa: S101  tells mypy what PIPE gives
    with contextlib.suppress(BrokenPipeError):  # the process has ended already; its log says why
        process.stdin.write(network.secret.reveal().encode())
        process.stdin.close()
    return Job(folder=folder, process=process, resumed_run_id=resumed_run_id)


def detached_process_options(system: str = os.name) -> Mapping[str, Any]:
    """The options of a process that outlives the kernel and the terminal: its own group or console."""
    if system == "nt":
        flags = (getattr(subprocess, name, 0) for name in ("CREATE_NEW_PROCESS_GROUP", "CREATE_NO_WINDOW"))
        return {"creationflags": sum(flags)}
    return {"start_new_session": True}


def _job_environment(journal_location: JournalLocation) -> dict[str, str]:
    """This process's environment without the token and without the settings that the page passes itself."""
    excluded = {TOKEN_ENV_VARIABLE, *(SETTINGS[name].env_variable for name in _OVERRIDDEN_SETTINGS)}
    environment = {name: value for name, value in os.environ.items() if name not in excluded}
    # On Windows, output to a file is otherwise not in UTF-8.
    environment |= {JOB_VARIABLE: "1", "PYTHONIOENCODING": "utf-8"}
    # Other users can see options; a database's address may contain a password.
    return environment | {SETTINGS["journal"].env_variable: to_env_value(journal_location)}
