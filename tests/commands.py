"""Runs `invoca-bulk` in processes of their own, forked from one that has imported its libraries already.

Most of what a short command takes is Python importing pandas; hundreds of tests run several commands each. The forked
process has its own arguments, folder, environment, standard streams and exit code, and ends as any other does. Where
there is no `fork`, or where libraries of the system do not survive it (macOS), a new Python is started.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ROOT = Path(__file__).resolve().parents[1]
#: What commands import on first use; their own modules come with these.
_PRELOADED = (
    "invoca_bulk.cli.group",
    *(f"invoca_bulk.cli.{name}" for name in ("export", "plan", "report", "results", "resume", "run", "runs", "undo")),
    *("invoca_bulk.api", "invoca_bulk.reports.templates", "invoca_bulk.service.export", "invoca_bulk.service.undo"),
    *("invoca_bulk.sandbox_server", "anyio._backends._asyncio", "sqlalchemy.dialects.sqlite.pysqlite"),
    *("httpcore", "invoca_bulk.sandbox_server.routes", "phonenumbers.geodata"),
)


def run_command(
    arguments: Sequence[object], folder: Path, environment: Mapping[str, str], *, timeout: float = 100
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, without a terminal."""
    words = [str(argument) for argument in arguments]
    if sys.platform != "linux":
        return subprocess.run(
            [sys.executable, "-m", "invoca_bulk", *words],
            cwd=folder,
            env={**environment, "PYTHONIOENCODING": "utf-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
            check=False,
        )
    with tempfile.TemporaryDirectory() as streams:
        code = _server().run(words, folder, environment, streams)
        out, err = ((Path(streams) / name).read_text(encoding="utf-8") for name in ("out", "err"))
    return subprocess.CompletedProcess(words, code, out, err)


class _Server:
    """The process that forks; one command at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, words: Sequence[str], folder: Path, environment: Mapping[str, str], streams: str) -> int:
        """The exit code of a command; its outputs go to the files `out` and `err` in the folder `streams`."""
        request = {"words": words, "folder": str(folder), "environment": dict(environment), "streams": streams}
        with self._lock:
            assert self._process.stdin
            assert self._process.stdout
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            return int(self._process.stdout.readline())


@cache
def _server() -> _Server:
    return _Server()


# The process that forks


def _serve() -> int:
    """Fork a child for each request; returns, in the child, the exit code of its command."""
    for name in _PRELOADED:
        importlib.import_module(name)
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(request)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()
    return 0


def _become(request: Mapping[str, Any]) -> NoReturn:
    """Turn this process into the command, as if it had just been started."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    tempfile.tempdir = None  # the parent's was computed from its environment
    flags = os.O_WRONLY | os.O_CREAT
    streams = [
        os.open(os.devnull, os.O_RDONLY),
        *(os.open(Path(request["streams"]) / name, flags) for name in ("out", "err")),
    ]
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, encoding="utf-8", closefd=False) for number, mode in enumerate("rww")
    )
    sys.argv = ["invoca-bulk", *request["words"]]
    sys.modules["invoca_bulk.cli"].main()
    sys.exit(0)


if __name__ == "__main__":
    sys.path.append(str(_ROOT))  # last, so that the installed package is what runs
    sys.exit(_serve())
