"""Runs sheets in child processes that are killed, again and again, until each has come to its end."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoca_bulk.journal import journal_file
from tests.crash import checker, kills, ways
from tests.crash.checker import Asked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Self

    from invoca_bulk.sandbox_server import Sandbox
    from tests.crash.checker import Figures
    from tests.crash.ways import Row, Way

RUNNER = Path(__file__).with_name("runner.py")
KILLED = -signal.SIGKILL
_PATIENCE = 100.0
_NETWORKS = itertools.count(7000)

#: Quick ones, so that a test does not wait for faults.
#: So often somebody resumes a finished run that has unknown rows, in the ways where such rows are sent again.
_CONSENTS = 3
QUICK = {"stall": 0.05, "slow": 0.05, "retry_after": 0.02}
#: Options of all ways. The settle time is longer than anything that is still under way after a kill.
SHARED = {"settle": 0.5, "first_backoff": 0.02, "timeout": 10.0}

Kill = tuple[str, int]


class Zygote:
    """A process that has imported everything, and forks a child for each job: a start costs milliseconds."""

    def __enter__(self) -> Self:
        ours, theirs = socket.socketpair()
        self._line = Connection(ours.detach())
        self._ended: dict[int, int] = {}
        quiet = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # no threads before the forks
        self._process = subprocess.Popen(
            [sys.executable, str(RUNNER), "--serve", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=os.environ | quiet,
        )
        theirs.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()
        self._process.wait(_PATIENCE)

    def start(self, job: Mapping[str, Any]) -> int:
        """Start a job; gives the number of its process."""
        self._line.send(("start", dict(job)))
        while True:
            if (told := self._heard(_PATIENCE))[0] == "started":
                return int(told[1])

    def kill(self, process: int) -> None:
        """Kill a job from outside; one that has ended is left alone."""
        self._line.send(("kill", process))

    def is_over(self, process: int, seconds: float) -> bool:
        """Wait so long at most for a job's end."""
        end = time.monotonic() + seconds
        while process not in self._ended:
            left = end - time.monotonic()
            if left <= 0 or not self._line.poll(left):
                return process in self._ended
            self._heard(0)
        return True

    def wait(self, process: int) -> int:
        """The exit status of a job, once it has ended; negative: the signal that has killed it."""
        assert self.is_over(process, _PATIENCE), "a child process does not come to its end"
        return self._ended.pop(process)

    def _heard(self, seconds: float) -> tuple[Any, ...]:
        assert self._line.poll(seconds), "the zygote does not answer"
        told: tuple[Any, ...] = self._line.recv()
        if told[0] == "ended":
            self._ended[told[1]] = told[2]
        return told


@dataclass
class Network:
    """A network of its own on a sandbox, its journal, and the sheets that were run there.

    Attributes:
        zygote: starts the children.
        box: a sandbox that opens campaigns by itself.
        folder: where all files go.
        way: how numbers are asked for.
        options: what `Options` is given besides the way's.
        more: what a job has besides.
        killed: how many children were killed.
        reports: what each child said, the killed ones left out.
        sheets: those that have come to their end.
        network_id: its id.
    """

    zygote: Zygote
    box: Sandbox
    folder: Path
    way: Way
    options: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    killed: int = 0
    reports: list[dict[str, Any]] = field(default_factory=list)
    sheets: list[Asked] = field(default_factory=list)
    network_id: str = field(default_factory=lambda: str(next(_NETWORKS)))

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.box.store.add_network(self.network_id)

    # One child

    def job(self, rows: Sequence[Row], name: str, verb: str = "", **more: Any) -> dict[str, Any]:
        """A job for a sheet."""
        sheet = self.folder / f"{name}.csv"
        if not sheet.exists():
            ways.written(rows, sheet)
        where = {"network_id": self.network_id, "base_url": self.box.base_url, "token": self.box.token}
        job = {
            "verb": verb or self.way.verb,
            "sheet": str(sheet),
            "output": str(self.folder / f"{name}-results.csv"),
            "report": str(self.folder / f"{name}-report.json"),
            "log": str(self.folder / "log.txt"),
            "journal": str(self.folder / "journal"),
            "network": {**where, "api_version": self.way.version},
            "options": {**SHARED, **self.options, **self.way.options},
            "patch": list(self.way.patch),
            "quick": True,
        }
        return {**job, **self.more, **more}

    def done(self, job: Mapping[str, Any], outside: float | None = None) -> dict[str, Any] | None:
        """Have a job done; gives its report, or None: it was killed.

        Args:
            job: the job.
            outside: kill it after so many seconds.
        """
        report = Path(job["report"])
        report.unlink(missing_ok=True)
        process = self.zygote.start(job)
        if outside is not None and not self.zygote.is_over(process, outside):
            self.zygote.kill(process)
        status = self.zygote.wait(process)
        if status == KILLED:
            self.killed += 1
            return None
        assert status == 0, Path(job["log"]).read_text(encoding="utf-8")[-3000:]
        self.reports.append(json.loads(report.read_text(encoding="utf-8")))
        return self.reports[-1]

    # One sheet

    def to_the_end(self, rows: Sequence[Row], name: str, planned: Sequence[Kill | float] = (), seed: int = 0) -> None:
        """Run a sheet, and once more after each kill as a user would, until it has come to its end.

        Args:
            rows: of the sheet.
            name: of the sheet.
            planned: for each of the first children a point where it is killed, or seconds after which; a child that
                does not get there comes to its end.
            seed: decides whether the same sheet is run once more, or the run is resumed.
        """
        luck = random.Random(seed)  # noqa: S311  repeatable, guards nothing
        waiting = list(planned)
        verb, report, consents = "", None, _CONSENTS
        while not self._is_the_end(report, has_more=bool(waiting)):
            kill = waiting.pop(0) if waiting else None
            job = self.job(rows, name, verb, kill=kill if isinstance(kill, tuple) else None)
            report = self.done(job, outside=kill if isinstance(kill, float) else None)
            is_first = report is not None and report.get("refused") == "ConfigError"  # nothing to resume yet
            can_resume = self.way.verb == "run" and not is_first
            verb = "resume" if can_resume and luck.random() < 0.5 else ""
        assert report is not None
        # What was sent again on consent may have met a refusal: the row is still unknown, and wants one consent more.
        while self.way.settles and report.get("totals", {}).get("unknown") and consents:
            consents -= 1
            report = self.done(self.job(rows, name, "resume", run=report["run"])) or report
        told = self._told(rows, name, report)
        results = ways.read(Path(told["saved"]))
        self.sheets.append(Asked(rows=rows, results=results, run=told.get("run", "")))

    def _is_the_end(self, report: Mapping[str, Any] | None, *, has_more: bool) -> bool:
        if report is None or report.get("refused") == "ConfigError":
            return False
        if report.get("refused") == "ConfirmationRequiredError":
            return True  # all its rows were done by a run whose results were not written
        assert report.get("state") == "finished", report
        return not (report.get("is_resumable") and has_more)

    def _told(self, rows: Sequence[Row], name: str, report: dict[str, Any]) -> dict[str, Any]:
        """The report of the child that has written the results; where none has, they are asked for."""
        if "refused" not in report:
            return report
        found = re.search(r"results (\S+) -o", report["text"])
        assert found, report
        told = self.done(self.job(rows, name, "results", run=found[1]))
        assert told
        return told

    # All of it

    @property
    def journal(self) -> Path:
        """The network's journal."""
        return journal_file(self.folder / "journal", base_url=self.box.base_url, network_id=self.network_id)

    @property
    def ledger(self) -> list[Any]:
        """What was really issued in this network, once nothing is pending any more."""
        end = time.monotonic() + _PATIENCE
        while self.box.faults.pending and time.monotonic() < end:
            time.sleep(0.01)
        with self.box.store.lock:
            return [one for one in self.box.store.ledger if one.campaign.network_id == self.network_id]

    def figures(self) -> Figures:
        """Compare all sheets with the ledger and the journal."""
        journal = self.journal if self.way.verb == "run" else None
        return checker.check(self.sheets, self.ledger, journal)


def plan_kills(luck: random.Random, count: int, *, commits: int = 16, inside: bool = True) -> list[Kill | float]:
    """Kills at random moments: most of them at one of the next commits, some in a request, some from outside.

    Args:
        luck: decides.
        count: how many.
        commits: at most so many commits of the journal, or requests, pass before a kill.
        inside: whether there is a journal.
    """
    return [_kill(luck, commits) if inside else luck.uniform(0.02, 0.5) for _ in range(count)]


def _kill(luck: random.Random, commits: int) -> Kill | float:
    kind = luck.random()
    if kind < 0.6:
        return f"{kills.ANY} {luck.choice(kills.MOMENTS)}", luck.randint(1, commits)
    if kind < 0.8:
        return luck.choice([one for one in kills.REQUESTS if one.startswith("post")]), luck.randint(1, commits)
    return luck.uniform(0.02, 0.5)


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """What many kills came to.

    `faults`: kind to how many. `seconds`: all of it.
    """

    figures: Figures
    kills: int
    faults: Mapping[str, int]
    seconds: float


def killed_often(network: Network, *, total: int, rows: int, sheets: int = 1, seed: int = 1, **faults: Any) -> Campaign:
    """Run sheets with faults, until so many children were killed and so many sheets are done.

    Args:
        network: where.
        total: kills.
        rows: numbers that a sheet asks for.
        sheets: how many sheets at least.
        seed: of the kills and the faults.
        faults: what `Faults.change` is given besides; a fifth of the writes goes wrong without it.
    """
    began, luck, known = time.monotonic(), random.Random(seed), network.box.faults  # noqa: S311  repeatable
    before = Counter(known.counts)
    known.change(**{**QUICK, "rate": 0.2, "seed": seed, "settle_delay": network.way.settle_delay, **faults})
    each = max(1, round(total / sheets))
    while network.killed < total or len(network.sheets) < sheets:
        name = f"sheet {len(network.sheets) + 1}"
        some = min(each, total - network.killed)
        planned = plan_kills(luck, some, commits=max(4, rows // each), inside=network.way.verb == "run")
        network.to_the_end(network.way.rows(name, rows), name, planned, luck.randrange(10**6))
    figures = network.figures()
    known.change(rate=0)
    return Campaign(
        figures=figures,
        kills=network.killed,
        faults=Counter(known.counts) - before,
        seconds=time.monotonic() - began,
    )
