"""The child process that runs a sheet and may be killed: `python runner.py JOB.json`, or a process that forks.

A job is a dict of JSON values:
    verb: a key of `VERBS`.
    sheet, output, report, log, journal: paths.
    network: the arguments of `Network`.
    options: the arguments of `Options`.
    run: run id for `resume` and `results`; missing: the latest one.
    kill: point and n-th time, as for `kills.plant`.
    patch: names in `patches.PATCHES`.
    quick: whether to begin at full speed.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import signal
import sys
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.append(str(Path(__file__).resolve().parents[2]))  # last, so that the installed package is what runs

from invoca_bulk.cli.wording import command_words
from invoca_bulk.config.network import Network
from invoca_bulk.config.options import Options
from invoca_bulk.errors import InvocaBulkError
from invoca_bulk.service import execute
from invoca_bulk.service.resume import resume_run
from invoca_bulk.service.run import run_sheet
from invoca_bulk.service.run_result import load_results
from invoca_bulk.wording import use_wording
from tests.crash import kills, loop, patches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from invoca_bulk.service.run_result import RunResult

    Job = Mapping[str, Any]


use_wording(command_words)


def _run(job: Job) -> dict[str, Any]:
    return _to_report(run_sheet(Path(job["sheet"]), _network(job), _options(job), output=Path(job["output"])))


def _resume(job: Job) -> dict[str, Any]:
    return _to_report(resume_run(job.get("run"), _network(job), _options(job), output=Path(job["output"])))


def _results(job: Job) -> dict[str, Any]:
    results = load_results(job["run"], job["journal"])
    return {"run": results.run.run, "state": results.run.state, "saved": str(results.save(job["output"]))}


def _network(job: Job) -> Network:
    return Network(**job["network"])


def _options(job: Job) -> Options:
    return Options(**{"yes": True, "progress": False, "journal": job["journal"], **job["options"]})


def _to_report(result: RunResult) -> dict[str, Any]:
    return {
        "run": result.results.run.run,
        "state": result.results.run.state,
        "code": result.exit_code,
        "saved": str(result.output_path) if result.output_path else None,
        "is_resumable": result.is_resumable,
        "totals": result.results.totals,
        "text": " ".join(result.notes),
    }


VERBS = {"run": _run, "resume": _resume, "results": _results, "loop": loop.buy}


def work(job: Job) -> None:
    """Run a job, and write its report."""
    point, nth = job.get("kill") or ("", 0)
    kills.plant(point, nth)
    if job["quick"]:
        execute.INITIAL_RATE = execute.SANDBOX_INITIAL_RATE  # type: ignore[attr-defined]  # there is no limit to find
    for name in job.get("patch", ()):
        patches.PATCHES[name](job)
    try:
        report = VERBS[job["verb"]](job)
    except InvocaBulkError as error:
        report = {"refused": type(error).__name__, "code": error.exit_code, "text": str(error)}
    Path(job["report"]).write_text(json.dumps(report), encoding="utf-8")


# The preloaded process

#: Modules that the package imports on first use.
_LAZY_MODULES = ("anyio._backends._asyncio", "sqlalchemy.dialects.sqlite.pysqlite")


def serve(connection: Connection) -> None:
    """Fork a child for each job, and send `("started", pid)` and `("ended", pid, status)`."""
    wakeup_reader, wakeup_writer = os.pipe()
    os.set_blocking(wakeup_writer, False)
    signal.set_wakeup_fd(wakeup_writer)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for name in _LAZY_MODULES:
        importlib.import_module(name)
    gc.freeze()
    children: set[int] = set()
    while True:
        ready = wait([connection, wakeup_reader])
        if wakeup_reader in ready:
            os.read(wakeup_reader, 4096)
            _reap(connection, children)
        if connection in ready:
            try:
                verb, argument = connection.recv()
            except EOFError:
                return
            if verb == "start":
                children.add(_fork(argument, connection))
            elif argument in children:  # not reaped yet, so the process id is not reused
                os.kill(argument, signal.SIGKILL)


def _reap(connection: Connection, children: set[int]) -> None:
    for pid in list(children):
        ended_pid, status = os.waitpid(pid, os.WNOHANG)
        if ended_pid:
            children.discard(pid)
            connection.send(("ended", pid, os.waitstatus_to_exitcode(status)))


def _fork(job: Job, connection: Connection) -> int:
    if pid := os.fork():
        connection.send(("started", pid))
        return pid
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        connection.close()
        with Path(job["log"]).open("a", encoding="utf-8") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        with contextlib.redirect_stdout(sys.stderr):
            work(job)
        code = 0
    except BaseException:  # noqa: BLE001  the child must never continue as its parent
        import traceback  # noqa: PLC0415  rarely needed

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(Connection(int(sys.argv[2])))
    else:
        work(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
