"""Runs sheets in child processes that are killed again and again, until each sheet is done."""

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

from invoca_bulk.journal.sqlite import journal_file
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
_TIMEOUT_SECONDS = 100.0
_NETWORK_IDS = itertools.count(7000)

#: How often a finished run with unknown rows is resumed, in the ways that resend such rows.
_MAX_RESUMES = 3
#: Short waits for faults, so that tests do not wait long.
QUICK = {"stall": 0.05, "slow": 0.05, "retry_after": 0.02}
#: Options of all ways. The settle time is longer than anything that is still in flight after a kill.
SHARED = {"settle": 0.5, "first_backoff": 0.02, "timeout": 10.0}

Kill = tuple[str, int]


class Zygote:
    """A process with all modules imported that forks a child for each job, in milliseconds."""

    def __enter__(self) -> Self:
        own_end, child_end = socket.socketpair()
        self._connection = Connection(own_end.detach())
        self._exit_statuses: dict[int, int] = {}
        thread_limits = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # no threads before the forks
        self._process = subprocess.Popen(
            [sys.executable, str(RUNNER), "--serve", str(child_end.fileno())],
            pass_fds=[child_end.fileno()],
            env=os.environ | thread_limits,
        )
        child_end.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._process.wait(_TIMEOUT_SECONDS)

    def start(self, job: Mapping[str, Any]) -> int:
        """Start a job; returns its process id."""
        self._connection.send(("start", dict(job)))
        while True:
            if (message := self._receive(_TIMEOUT_SECONDS))[0] == "started":
                return int(message[1])

    def kill(self, process: int) -> None:
        """Kill a job from outside, unless it has ended."""
        self._connection.send(("kill", process))

    def is_over(self, process: int, seconds: float) -> bool:
        """Wait for a job's end; returns whether it has ended in time."""
        end = time.monotonic() + seconds
        while process not in self._exit_statuses:
            remaining = end - time.monotonic()
            if remaining <= 0 or not self._connection.poll(remaining):
                return process in self._exit_statuses
            self._receive(0)
        return True

    def wait(self, process: int) -> int:
        """Wait for a job; returns its exit status, negative: the signal that killed it."""
        assert self.is_over(process, _TIMEOUT_SECONDS), "a child process does not end"
        return self._exit_statuses.pop(process)

    def _receive(self, seconds: float) -> tuple[Any, ...]:
        assert self._connection.poll(seconds), "the zygote does not answer"
        message: tuple[Any, ...] = self._connection.recv()
        if message[0] == "ended":
            self._exit_statuses[message[1]] = message[2]
        return message


@dataclass
class Network:
    """A separate network on a sandbox, with its journal and the sheets that were run there.

    Attributes:
        zygote: starts the children.
        box: a sandbox that opens campaigns automatically.
        folder: directory for all files.
        way: how numbers are requested.
        options: additional `Options`.
        extra: additional values of each job.
        killed: number of children that were killed.
        reports: the reports of the children that were not killed.
        sheets: the sheets that are done.
        network_id: its id.
    """

    zygote: Zygote
    box: Sandbox
    folder: Path
    way: Way
    options: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    killed: int = 0
    reports: list[dict[str, Any]] = field(default_factory=list)
    sheets: list[Asked] = field(default_factory=list)
    network_id: str = field(default_factory=lambda: str(next(_NETWORK_IDS)))

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.box.store.add_network(self.network_id)

    # One child

    def job(self, rows: Sequence[Row], name: str, verb: str = "", **values: Any) -> dict[str, Any]:
        """A job for a sheet, with the values that `runner` expects."""
        sheet = self.folder / f"{name}.csv"
        if not sheet.exists():
            ways.written(rows, sheet)
        network = {"network_id": self.network_id, "base_url": self.box.base_url, "token": self.box.token}
        job = {
            "verb": verb or self.way.verb,
            "sheet": str(sheet),
            "output": str(self.folder / f"{name}-results.csv"),
            "report": str(self.folder / f"{name}-report.json"),
            "log": str(self.folder / "log.txt"),
            "journal": str(self.folder / "journal"),
            "network": {**network, "api_version": self.way.version},
            "options": {**SHARED, **self.options, **self.way.options},
            "patch": list(self.way.patch),
            "quick": True,
        }
        return {**job, **self.extra, **values}

    def run_job(self, job: Mapping[str, Any], kill_after: float | None = None) -> dict[str, Any] | None:
        """Run a job; returns its report, or None: it was killed.

        Args:
            job: the job.
            kill_after: kill it from outside after this many seconds.
        """
        report = Path(job["report"])
        report.unlink(missing_ok=True)
        process = self.zygote.start(job)
        if kill_after is not None and not self.zygote.is_over(process, kill_after):
            self.zygote.kill(process)
        status = self.zygote.wait(process)
        if status == KILLED:
            self.killed += 1
            return None
        assert status == 0, Path(job["log"]).read_text(encoding="utf-8")[-3000:]
        self.reports.append(json.loads(report.read_text(encoding="utf-8")))
        return self.reports[-1]

    # One sheet

    def run_to_end(self, rows: Sequence[Row], name: str, planned: Sequence[Kill | float] = (), seed: int = 0) -> None:
        """Run a sheet, and again after each kill as a user would, until it is done.

        Args:
            rows: rows of the sheet.
            name: name of the sheet.
            planned: the point or the seconds after which each of the first children is killed; a child that does not
                get there runs to its end.
            seed: decides whether the sheet is run again or the run is resumed.
        """
        generator = random.Random(seed)  # noqa: S311  repeatable, guards nothing
        kills_left = list(planned)
        verb, report, resumes_left = "", None, _MAX_RESUMES
        while not self._is_done(report, has_kills=bool(kills_left)):
            kill = kills_left.pop(0) if kills_left else None
            job = self.job(rows, name, verb, kill=kill if isinstance(kill, tuple) else None)
            report = self.run_job(job, kill_after=kill if isinstance(kill, float) else None)
            is_first = report is not None and report.get("refused") == "ConfigError"  # nothing to resume yet
            can_resume = self.way.verb == "run" and not is_first
            verb = "resume" if can_resume and generator.random() < 0.5 else ""
        assert report is not None
        # A resent row may have met another fault: it is still unknown, and needs another resume.
        while self.way.settles and report.get("totals", {}).get("unknown") and resumes_left:
            resumes_left -= 1
            report = self.run_job(self.job(rows, name, "resume", run=report["run"])) or report
        report = self._final_report(rows, name, report)
        results = ways.read(Path(report["saved"]))
        self.sheets.append(Asked(rows=rows, results=results, run=report.get("run", "")))

    def _is_done(self, report: Mapping[str, Any] | None, *, has_kills: bool) -> bool:
        if report is None or report.get("refused") == "ConfigError":
            return False
        if report.get("refused") == "ConfirmationRequiredError":
            return True  # a run whose results were not written has done all its rows
        assert report.get("state") == "finished", report
        return not (report.get("is_resumable") and has_kills)

    def _final_report(self, rows: Sequence[Row], name: str, report: dict[str, Any]) -> dict[str, Any]:
        """The report of the child that has written the results; if none has, another child writes them."""
        if "refused" not in report:
            return report
        match = re.search(r"results (\S+) -o", report["text"])
        assert match, report
        final_report = self.run_job(self.job(rows, name, "results", run=match[1]))
        assert final_report
        return final_report

    # All sheets

    @property
    def journal(self) -> Path:
        """The network's journal."""
        return journal_file(self.folder / "journal", base_url=self.box.base_url, network_id=self.network_id)

    @property
    def ledger(self) -> list[Any]:
        """The numbers that were issued in this network, once no request is pending."""
        end = time.monotonic() + _TIMEOUT_SECONDS
        while self.box.faults.pending and time.monotonic() < end:
            time.sleep(0.01)
        with self.box.store.lock:
            return [entry for entry in self.box.store.ledger if entry.campaign.network_id == self.network_id]

    def figures(self) -> Figures:
        """Compare all sheets with the ledger and the journal."""
        journal = self.journal if self.way.verb == "run" else None
        return checker.check(self.sheets, self.ledger, journal)


def plan_kills(
    generator: random.Random, count: int, *, commits: int = 16, has_journal: bool = True
) -> list[Kill | float]:
    """Kills at random moments: most at one of the next commits, some in a request, some from outside.

    Args:
        generator: source of randomness.
        count: number of kills.
        commits: maximum number of commits, or requests, before a kill.
        has_journal: whether there is a journal.
    """
    return [_plan_kill(generator, commits) if has_journal else generator.uniform(0.02, 0.5) for _ in range(count)]


def _plan_kill(generator: random.Random, commits: int) -> Kill | float:
    kind = generator.random()
    if kind < 0.6:
        return f"{kills.ANY} {generator.choice(kills.MOMENTS)}", generator.randint(1, commits)
    if kind < 0.8:
        points = [point for point in kills.REQUESTS if point.startswith("post")]
        return generator.choice(points), generator.randint(1, commits)
    return generator.uniform(0.02, 0.5)


@dataclass(frozen=True, kw_only=True)
class KillCampaign:
    """The result of running sheets with many kills.

    Attributes:
        figures: comparison of the results with the ledger.
        kills: number of kills.
        faults: kind of fault to count.
        seconds: total duration.
    """

    figures: Figures
    kills: int
    faults: Mapping[str, int]
    seconds: float


def run_with_kills(
    network: Network, *, total: int, rows: int, sheets: int = 1, seed: int = 1, **faults: Any
) -> KillCampaign:
    """Run sheets with faults, until this many children were killed and sheets are done.

    Args:
        network: the network to run them on.
        total: number of kills.
        rows: numbers that a sheet requests.
        sheets: minimum number of sheets.
        seed: of the kills and the faults.
        faults: additional arguments of `Faults.change`; by default a fifth of the writes fails.
    """
    started_at, generator, box_faults = time.monotonic(), random.Random(seed), network.box.faults  # noqa: S311  repeatable
    counts_before = Counter(box_faults.counts)
    box_faults.change(**{**QUICK, "rate": 0.2, "seed": seed, "settle_delay": network.way.settle_delay, **faults})
    kills_per_sheet = max(1, round(total / sheets))
    while network.killed < total or len(network.sheets) < sheets:
        name = f"sheet {len(network.sheets) + 1}"
        count = min(kills_per_sheet, total - network.killed)
        commits = max(4, rows // kills_per_sheet)
        planned = plan_kills(generator, count, commits=commits, has_journal=network.way.verb == "run")
        network.run_to_end(network.way.rows(name, rows), name, planned, generator.randrange(10**6))
    figures = network.figures()
    box_faults.change(rate=0)
    return KillCampaign(
        figures=figures,
        kills=network.killed,
        faults=Counter(box_faults.counts) - counts_before,
        seconds=time.monotonic() - started_at,
    )
