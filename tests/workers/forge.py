"""Starts workers quickly, as forks of one process that has already imported the program.

The forks do everything that `invoca-bulk worker` does; only the imports are shared.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Self


class Forge:
    """The process that is forked; a context manager.

    Args:
        folder: the workers' current directory.
        environment: the workers' environment variables.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)
        assert self._process.returncode == 0

    def worker(self) -> ForkedWorker:
        return ForkedWorker(forge=self, pid=self.request("start", 0))

    def request(self, command: str, pid: int) -> int:
        """Send a command to the process, and return its answer: a process id or an exit code."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{command} {pid}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@dataclass(frozen=True, kw_only=True)
class ForkedWorker:
    """A worker; used like `subprocess.Popen`."""

    forge: Forge
    pid: int

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)  # not reaped before `wait`, so its id is not reused

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def poll(self) -> int | None:
        code = self.forge.request("poll", self.pid)
        return None if code == _ALIVE else code

    def wait(self) -> int:
        return self.forge.request("wait", self.pid)


_ALIVE = 1000
_exit_codes: dict[int, int] = {}


def _exit_code(pid: int, options: int) -> int:
    """The exit code of a fork, as `subprocess` returns it; `_ALIVE`: it is running."""
    if pid not in _exit_codes:
        ended_pid, status = os.waitpid(pid, options)
        if not ended_pid:
            return _ALIVE
        _exit_codes[pid] = os.waitstatus_to_exitcode(status)
    return _exit_codes[pid]


def _work() -> None:
    from invoca_bulk.cli import main  # noqa: PLC0415  not where the tests import this file

    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(f"worker-{os.getpid()}.out", os.O_CREAT | os.O_WRONLY), 1)
    os.dup2(os.open(f"worker-{os.getpid()}.err", os.O_CREAT | os.O_WRONLY), 2)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115  the new ones
    main(["worker"])


def _serve() -> None:
    from invoca_bulk.cli import group, worker  # noqa: PLC0415  as above
    from invoca_bulk.workers import assignments, queue  # noqa: PLC0415

    del assignments, group, queue, worker  # imported for all forks
    for line in sys.stdin:
        command, pid = line.split()
        if command == "start":
            answer = os.fork()
            if not answer:
                _work()
                os._exit(70)
        else:
            answer = _exit_code(int(pid), os.WNOHANG if command == "poll" else 0)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
