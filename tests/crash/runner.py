"""The child process that runs a sheet and may be killed: `python runner.py JOB.json`, or a warm process that forks.

A job is a dict of JSON values:
    verb: a key of `COMMANDS`.
    sheet, output, report, log, journal: paths.
    network: the arguments of `SandboxNetwork`.
    options: those of `Options`.
    run: for `resume` and `results`; None: the latest one.
    kill: point and how often it has to be reached, as for `kills.plant`.
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

from invoca_bulk.config.network import Network
from invoca_bulk.config.options import Options
from invoca_bulk.errors import InvocaBulkError
from invoca_bulk.service import execute
from invoca_bulk.service.resume import resume_run
from invoca_bulk.service.run import run_sheet
from invoca_bulk.service.run_result import load_results
from tests.crash import kills, loop, patches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from invoca_bulk.service.run_result import RunResult

    Job = Mapping[str, Any]


def _run(job: Job) -> dict[str, Any]:
    return _told(run_sheet(Path(job["sheet"]), _network(job), _options(job), output=Path(job["output"])))


def _resume(job: Job) -> dict[str, Any]:
    return _told(resume_run(job.get("run"), _network(job), _options(job), output=Path(job["output"])))


def _results(job: Job) -> dict[str, Any]:
    results = load_results(job["run"], job["journal"])
    return {"run": results.run.run, "state": results.run.state, "saved": str(results.save(job["output"]))}


def _network(job: Job) -> Network:
    return Network(**job["network"])


def _options(job: Job) -> Options:
    return Options(**{"yes": True, "progress": False, "journal": job["journal"], **job["options"]})


def _told(finished: RunResult) -> dict[str, Any]:
    return {
        "run": finished.results.run.run,
        "state": finished.results.run.state,
        "code": finished.exit_code,
        "saved": str(finished.output_path) if finished.output_path else None,
        "is_resumable": finished.is_resumable,
        "totals": finished.results.totals,
        "text": " ".join(finished.notes),
    }


VERBS = {"run": _run, "resume": _resume, "results": _results, "loop": loop.buy}


def work(job: Job) -> None:
    """Do a job, and write what came of it into its report."""
    point, nth = job.get("kill") or ("", 0)
    kills.plant(point, nth)
    if job["quick"]:
        execute.INITIAL_RATE = execute.SANDBOX_INITIAL_RATE  # type: ignore[attr-defined]  # there is no limit to find
    for name in job.get("patch", ()):
        patches.PATCHES[name](job)
    try:
        told = VERBS[job["verb"]](job)
    except InvocaBulkError as error:
        told = {"refused": type(error).__name__, "code": error.exit_code, "text": str(error)}
    Path(job["report"]).write_text(json.dumps(told), encoding="utf-8")


# The warm process

#: What the program loads on first use.
_LATE = ("anyio._backends._asyncio", "sqlalchemy.dialects.sqlite.pysqlite")


def serve(line: Connection) -> None:
    """Fork a child for each job, and tell of its end: `("started", pid)`, `("ended", pid, status)`."""
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for name in _LATE:
        importlib.import_module(name)
    gc.freeze()
    children: set[int] = set()
    while True:
        ready = wait([line, woken])
        if woken in ready:
            os.read(woken, 4096)
            _reap(line, children)
        if line in ready:
            try:
                verb, what = line.recv()
            except EOFError:
                return
            if verb == "start":
                children.add(_forked(what, line))
            elif what in children:  # not reaped yet, so the number is nobody else's
                os.kill(what, signal.SIGKILL)


def _reap(line: Connection, children: set[int]) -> None:
    for pid in list(children):
        if (found := os.waitpid(pid, os.WNOHANG))[0]:
            children.discard(pid)
            line.send(("ended", pid, os.waitstatus_to_exitcode(found[1])))


def _forked(job: Job, line: Connection) -> int:
    if pid := os.fork():
        line.send(("started", pid))
        return pid
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        line.close()
        with Path(job["log"]).open("a", encoding="utf-8") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        with contextlib.redirect_stdout(sys.stderr):
            work(job)
        code = 0
    except BaseException:  # noqa: BLE001  the child must never go on as its parent
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
