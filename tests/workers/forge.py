"""Starts workers in an instant: copies of one process that has loaded the program. Most of a start is loading.

The copies are processes of their own, which do all that `invoca-bulk worker` does; only the loading is shared.
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
    """The process that is copied; a context manager.

    Args:
        folder: where the workers run.
        environment: of the workers.
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

    def worker(self) -> Forged:
        return Forged(forge=self, pid=self.asked("start", 0))

    def asked(self, what: str, pid: int) -> int:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{what} {pid}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@dataclass(frozen=True, kw_only=True)
class Forged:
    """A worker; used like a process of `subprocess`."""

    forge: Forge
    pid: int

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)  # not reaped before `wait`, so that nobody else has its number

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def poll(self) -> int | None:
        code = self.forge.asked("poll", self.pid)
        return None if code == _ALIVE else code

    def wait(self) -> int:
        return self.forge.asked("wait", self.pid)


_ALIVE = 1000
_ended: dict[int, int] = {}


def _code(pid: int, options: int) -> int:
    """The exit code of a copy, as `subprocess` gives it."""
    if pid not in _ended:
        found, status = os.waitpid(pid, options)
        if not found:
            return _ALIVE
        _ended[pid] = os.waitstatus_to_exitcode(status)
    return _ended[pid]


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

    del assignments, group, queue, worker  # loaded, for all copies
    for line in sys.stdin:
        what, pid = line.split()
        if what == "start":
            told = os.fork()
            if not told:
                _work()
                os._exit(70)
        else:
            told = _code(int(pid), os.WNOHANG if what == "poll" else 0)
        sys.stdout.write(f"{told}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
