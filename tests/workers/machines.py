"""Machines that share a journal: each with a home and an environment of its own, and the program's own command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from invoca_bulk.config.settings import Database, Network

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

NETWORK_ID = "4711"
TOKEN = "the-secret-token"
#: Seconds that a state may take at most, on a machine that is busy with other tests.
PATIENCE = 90.0


def until(true: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait for a state."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@dataclass(kw_only=True)
class Machine:
    """One machine, as far as the program can tell.

    Attributes:
        folder: its user's home, and where its programs run.
        database: of the journals.
        base_url: of the platform.
        environment: what it has besides.
        started: its processes.
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
        """The platform's network, as a program on this machine names it."""
        return Network(network_id=NETWORK_ID, base_url=self.base_url, token=TOKEN, api_version=version)

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start the command line; what it says goes to files named after it and its number."""
        name = f"{arguments[0]}-{len(self.started)}"
        with (self.folder / f"{name}.out").open("w") as out, (self.folder / f"{name}.err").open("w") as err:
            command = [sys.executable, "-m", "invoca_bulk", *map(str, arguments)]
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment_of_programs(),
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
        """Have the command line do something, to its end."""
        command = [sys.executable, "-m", "invoca_bulk", *map(str, arguments)]
        return subprocess.run(  # noqa: PLW1510  tests look at the exit code
            command,
            cwd=self.folder,
            env=self.environment_of_programs(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE * 2,
        )

    def environment_of_programs(self) -> dict[str, str]:
        kept = {name: text for name, text in os.environ.items() if not name.startswith("INVOCA_")}
        mine = {
            "HOME": str(self.folder),
            "INVOCA_JOURNAL": self.database,
            "INVOCA_BASE_URL": self.base_url,
            "INVOCA_NETWORK_ID": NETWORK_ID,
            "INVOCA_API_TOKEN": TOKEN,
            "INVOCA_SETTLE": "1",
            "INVOCA_LEASE": "5",
        }
        return kept | mine | dict(self.environment)

    def end(self) -> None:
        """Nothing that was started here goes on."""
        for one in self.started:
            if one.poll() is None:
                one.send_signal(signal.SIGKILL)
            one.wait()
