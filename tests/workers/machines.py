"""Simulated machines that share a journal: each has its own home folder and environment, and runs the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from invoca_bulk.config.journal_location import Database
from invoca_bulk.config.network import Network
from tests.commands import run_command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

NETWORK_ID = "4711"
TOKEN = "the-secret-token"
#: Seconds to wait for a condition, on a computer that is busy with other tests.
TIMEOUT_SECONDS = 90.0


def until(condition: Callable[[], object], seconds: float = TIMEOUT_SECONDS) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@dataclass(kw_only=True)
class Machine:
    """A simulated machine.

    Attributes:
        folder: the user's home and current directory.
        database: URL of the journals' database.
        base_url: URL of the platform.
        environment: additional environment variables.
        started: the processes started on it.
    """

    folder: Path
    database: str
    base_url: str
    environment: Mapping[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def place(self) -> Database:
        return Database(self.database)

    def network(self, version: str = "2022-08-01") -> Network:
        """The platform's network."""
        return Network(network_id=NETWORK_ID, base_url=self.base_url, token=TOKEN, api_version=version)

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start a command; its output goes to files named after the command and a serial number."""
        name = f"{arguments[0]}-{len(self.started)}"
        with (self.folder / f"{name}.out").open("w") as out, (self.folder / f"{name}.err").open("w") as err:
            command = [sys.executable, "-m", "invoca_bulk", *map(str, arguments)]
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.process_environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                text=True,
            )
        self.started.append(process)
        return process

    def worker(self) -> subprocess.Popen[str]:
        return self.start("worker")

    def call(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command and wait for its end."""
        return run_command(arguments, self.folder, self.process_environment(), timeout=TIMEOUT_SECONDS * 2)

    def process_environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("INVOCA_")}
        settings = {
            "HOME": str(self.folder),
            "INVOCA_JOURNAL": self.database,
            "INVOCA_BASE_URL": self.base_url,
            "INVOCA_NETWORK_ID": NETWORK_ID,
            "INVOCA_API_TOKEN": TOKEN,
            "INVOCA_SETTLE": "1",
            "INVOCA_LEASE": "5",
        }
        return inherited | settings | dict(self.environment)

    def end(self) -> None:
        """Kill all processes that were started here."""
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
