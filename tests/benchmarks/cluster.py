"""Runs on several machines: rows per second with more workers, and the cost of a row compared with a local run.

Each worker, and the client that queues the run, is a process of the command line; the benchmark starts its own
PostgreSQL. To leave out the start-up, all figures but one are of the middle half of the outcomes.
"""

from __future__ import annotations

import functools
import importlib.util
import statistics
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd
import sqlalchemy as sa
from harness import HERE, Figure
from server import serving

from invoca_bulk import journal
from invoca_bulk.config.settings import SETTINGS
from invoca_bulk.journal import RunState

sys.path.insert(0, str(HERE.parent / "workers"))
sys.path.append(str(HERE.parents[1]))  # last, so that the installed package is what runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from harness import Size
    from machines import Machine

    from invoca_bulk.journal import StepRecord

LATENCY = 0.2  # seconds
SLOTS = int(str(SETTINGS["concurrency"].default))  # concurrent requests of one worker
#: Number of workers, and concurrent requests of each; sorted, so that workers are only added.
STAGES = ((1, SLOTS), (2, SLOTS), (2, 32), (4, SLOTS))
REPEATS = 3
_NEEDS = ("pytest", "psycopg", "dbos")  # imported by the test helpers and the workers
_TICK = 0.05  # seconds between two readings of the meter
_APPLICATION_NAME = "invoca-bulk"  # names the connections of machines; those of the benchmark have no name
_LAUNCH = 2.0  # seconds between a worker's first sign of life and its first poll of the queues
_TIMEOUT = 240.0  # seconds that one run may take


@functools.cache
def _is_possible() -> bool:
    """Whether PostgreSQL and its drivers are installed; prints once what is missing."""
    if missing := [name for name in _NEEDS if not importlib.util.find_spec(name)]:
        reason = f"{' and '.join(missing)} cannot be found. Type: pip install 'invoca-bulk[test]'"
    elif not _programs():
        reason = "PostgreSQL cannot be found. Type: sudo apt-get install postgresql"
    elif not Path("/proc/self/stat").exists():
        reason = "CPU time and memory of processes can be read on Linux only."
    else:
        return True
    print(f"  left out: {reason}", file=sys.stderr, flush=True)
    return False


def _programs() -> Path | None:
    from postgres import programs  # noqa: PLC0415  it needs pytest

    return programs()


# A database and a platform, with workers and their runs


@dataclass(kw_only=True)
class Site:
    """A separate database, a platform, and the workers that use them.

    Attributes:
        folder: the parent folder of all machines.
        database: the database URL.
        platform: the base URL of the platform.
        postmaster: process id of the parent of all PostgreSQL processes.
        workers: the workers started so far.
    """

    folder: Path
    database: str
    platform: str
    postmaster: int
    workers: list[Machine] = field(default_factory=list)

    def machine(self, name: str, **environment: str) -> Machine:
        """A machine with the settings of the database and the platform, and the default lease."""
        from machines import Machine  # noqa: PLC0415  importable only once the path is set

        folder = self.folder / name
        folder.mkdir()
        environment = {"PGAPPNAME": _APPLICATION_NAME} | environment
        defaults = {"INVOCA_LEASE": str(SETTINGS["lease"].default), "INVOCA_SETTLE": str(SETTINGS["settle"].default)}
        return Machine(
            folder=folder, database=self.database, base_url=self.platform, environment=defaults | environment
        )

    def start_workers(self, count: int) -> None:
        """Start workers until `count` of them wait for work."""
        if len(self.workers) >= count:
            return
        while len(self.workers) < count:
            self.workers.append(self.machine(f"worker-{len(self.workers)}"))
            self.workers[-1].worker()
        _until(lambda: self._waiting() >= count)
        time.sleep(_LAUNCH)

    def _waiting(self) -> int:
        """The number of workers that hold their liveness lock; locks of DBOS are not counted."""
        query = sa.text(
            "SELECT count(DISTINCT a.pid) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
            "WHERE a.datname = current_database() AND a.application_name NOT LIKE 'dbos%' "
            "AND a.state = 'idle' AND l.locktype = 'advisory' AND l.granted"
        )
        with self.connected() as connection:
            return int(connection.execute(query).scalar_one())

    @property
    def worker_errors(self) -> str:
        """What the workers have written to standard error."""
        return "\n".join(
            (worker.folder / "worker-0.err").read_text(encoding="utf-8")[-2000:] for worker in self.workers
        )

    @contextmanager
    def connected(self) -> Iterator[sa.Connection]:
        """A connection for queries of the benchmark."""
        from postgres import engine  # noqa: PLC0415  as above

        with engine(self.database).connect() as connection:
            yield connection


@contextmanager
def _site(latency: float) -> Iterator[Site]:
    """A database, a platform with the given latency in seconds, and a folder; all are removed at the end."""
    from postgres import Postgres  # noqa: PLC0415  as above

    with Postgres.started() as server, serving(latency) as platform, tempfile.TemporaryDirectory() as folder:
        postmaster = (server.folder / "data" / "postmaster.pid").read_text(encoding="ascii").split()[0]
        site = Site(folder=Path(folder), database=server.new_database(), platform=platform, postmaster=int(postmaster))
        try:
            yield site
        finally:
            for worker in site.workers:
                worker.end()


def _until(condition: Callable[[], object], seconds: float = _TIMEOUT, *, pause: float = 0.1) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(pause)


def _sheet(path: Path, rows: int) -> Path:
    """Write a sheet whose rows are unique to its folder."""
    frame = pd.DataFrame({"description": [f"{path.parent.name} {number}" for number in range(rows)]})
    frame.insert(0, "advertiser_id_from_network", "A-1")
    frame.insert(1, "advertiser_campaign_id_from_network", [f"C-{number % 20}" for number in range(rows)])
    frame["media_type"] = "Online: Display"
    frame["local_center.tn_prefix"] = "805"
    frame.to_csv(path, index=False)
    return path


def _run_on_workers(site: Site, name: str, rows: int, slots: int = SLOTS) -> FinishedRun:
    """Queue the run of a sheet, and wait until it ends."""
    client = site.machine(name)
    flags = ("--yes", "--cluster", "--detach", "--concurrency", slots)
    process = client.call("run", _sheet(client.folder / "requests.csv", rows), *map(str, flags))
    assert process.returncode == 0, process.stderr
    return _ended(client, site)


def _ended(client: Machine, site: Site) -> FinishedRun:
    """Wait for the latest run of a machine to end, and return it."""
    _until(lambda: journal.list_runs(client.place)[-1].record.state is not RunState.RUNNING, pause=1.0)
    run = journal.list_runs(client.place)[-1]
    assert run.record.state is RunState.FINISHED, f"{run.record.note}\n{site.worker_errors}"
    with journal.open_readonly(client.place, client.network()) as store:
        assert store
        return FinishedRun(run=run.record.run, steps=store.steps(run.record.run))


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """A run that has ended.

    Attributes:
        run: its id.
        steps: all its steps.
    """

    run: str
    steps: Sequence[StepRecord]

    @property
    def began(self) -> float:
        """When its first request was sent, seconds since the epoch."""
        return min(step.sent_at for step in self.steps if step.sent_at)

    @property
    def steady(self) -> list[float]:
        """When the outcomes of the middle half were recorded, seconds since the epoch."""
        ended = sorted(step.ended_at for step in self.steps if step.ended_at)
        return ended[len(ended) // 4 : -(len(ended) // 4)]

    @property
    def rate(self) -> float:
        """Rows per second of the middle half."""
        return (len(self.steady) - 1) / max(0.001, self.steady[-1] - self.steady[0])


# Growth


def workers(size: Size) -> Iterator[Figure]:
    """Rows per second for each stage of workers and concurrency; and the time until the first request is sent."""
    if not _is_possible():
        return
    stages = STAGES[: size.rows(len(STAGES), 2)]
    rates: dict[tuple[int, int], list[float]] = {stage: [] for stage in stages}
    waits: list[float] = []
    for _ in range(size.rows(REPEATS, 1)):
        with _site(LATENCY) as site:
            for count, slots in stages:
                site.start_workers(count)
                done = _run_on_workers(site, f"client-{count}-{slots}", _rows(size, count, slots), slots)
                rates[count, slots].append(done.rate)
                waits.append(done.began - _queued_at(site, done.run))
    for (count, slots), measured in rates.items():
        print(f"  {count} x {slots}: {', '.join(f'{rate:.1f}' for rate in measured)} /s", file=sys.stderr, flush=True)
        label = f"creates at {count} worker{'s' if count > 1 else ''}, {slots} in flight each, answers after 200 ms"
        ideal = count * slots / LATENCY
        yield Figure(
            label=label, ours=statistics.median(measured), peer=ideal, unit="/s", peer_name="ideal", better="more"
        )
    label = "from handing a run out to its first request at a worker"
    yield Figure(label=label, ours=statistics.median(waits), peer=None, unit="s", peer_name="")


def _rows(size: Size, count: int, slots: int) -> int:
    """Rows for a run of 15 seconds at best; the rate limiter needs less than its first quarter to adapt."""
    return count * size.rows(15 * int(slots / LATENCY), 60)


def _queued_at(site: Site, run: str) -> float:
    """When a run was queued, seconds since the epoch."""
    query = sa.text("SELECT created_at FROM dbos.workflow_status WHERE workflow_uuid LIKE :run ORDER BY 1 LIMIT 1")
    with site.connected() as connection:
        return float(connection.execute(query, {"run": f"{run}.%"}).scalar_one()) / 1000


# Overhead


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The cost of a row.

    Attributes:
        wall: wall time of a row of the middle half, in milliseconds.
        own: CPU time of the sending process per row, in milliseconds.
        disk: bytes per row.
        database: CPU time of PostgreSQL per row, in milliseconds.
        connections: the maximum number of connections to PostgreSQL.
    """

    wall: float
    own: float
    disk: float
    database: float = 0.0
    connections: int = 0


def overhead(size: Size) -> Iterator[Figure]:
    """The cost of a row with one worker and with a local run, on a platform that responds immediately."""
    if not _is_possible():
        return
    rows, cluster_costs, local_costs = size.rows(4000, 100), [], []
    for _ in range(size.rows(REPEATS, 1)):
        with _site(0.0) as site:
            local_costs.append(_local_cost(site, rows))
            cluster_costs.append(_cluster_cost(site, rows))
    cluster_cost, local_cost = _median(cluster_costs), _median(local_costs)
    with_platform = f"{SLOTS} in flight, answers at once"
    for quantity, ours, peer in (
        ("time", cluster_cost.wall, local_cost.wall),
        ("CPU", cluster_cost.own, local_cost.own),
    ):
        label = f"one worker, {with_platform}: {quantity} a row"
        yield Figure(label=label, ours=ours, peer=peer, unit="ms", peer_name="the local path")
    yield Figure(
        label="PostgreSQL's CPU a row in that run", ours=cluster_cost.database, peer=None, unit="ms", peer_name=""
    )
    label = "journal and queue on PostgreSQL, on disk a row"
    yield Figure(
        label=label,
        ours=cluster_cost.disk / 1024,
        peer=local_cost.disk / 1024,
        unit="KiB",
        peer_name="the file of SQLite",
    )
    label = "connections to PostgreSQL of one worker in that run, at most"
    yield Figure(label=label, ours=cluster_cost.connections, peer=None, unit="connections", peer_name="")


def _median(costs: Sequence[Cost]) -> Cost:
    """The median of each attribute."""
    medians = {name: statistics.median(getattr(cost, name) for cost in costs) for name in vars(costs[0])}
    print("  " + ", ".join(f"{name} {value:.4g}" for name, value in medians.items()), file=sys.stderr, flush=True)
    return Cost(**medians)


def _local_cost(site: Site, rows: int) -> Cost:
    """A local run: the journal is a file, and the process that starts the run sends it."""
    machine = site.machine("local", INVOCA_JOURNAL=str(site.folder / "journal"))
    machine.database = ""
    process = machine.start("run", _sheet(machine.folder / "requests.csv", rows), "--yes", "--concurrency", str(SLOTS))
    with _Meter(own=lambda: _cpu(process.pid)) as meter:
        process.wait(timeout=_TIMEOUT)
    assert process.returncode == 0, (machine.folder / "run-0.err").read_text()
    folder = site.folder / "journal"
    (run,) = journal.list_runs(folder)
    with journal.open_readonly(folder, machine.network()) as store:
        assert store
        done = FinishedRun(run=run.record.run, steps=store.steps(run.record.run))
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    return Cost(disk=size / rows, **meter.of(done))


def _cluster_cost(site: Site, rows: int) -> Cost:
    """A run on one worker."""
    site.start_workers(1)
    (process,) = site.workers[0].started
    with (
        site.connected() as connection,
        _Meter(
            own=lambda: _cpu(process.pid),
            database=lambda: _cpu_of_all(site.postmaster),
            connections=lambda: _connections(connection),
        ) as meter,
    ):
        done = _run_on_workers(site, "client", rows)
    with site.connected() as connection:
        size = _on_disk(connection)
    connections = [
        count for moment, count in meter.readings["connections"] if done.steady[0] <= moment <= done.steady[-1]
    ]
    return Cost(disk=size / rows, connections=int(max(connections)), **meter.of(done))


def _connections(connection: sa.Connection) -> float:
    """The number of connections of the worker: those with a name, this one excluded."""
    query = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND application_name <> ''"
    )
    with connection.begin():
        return float(connection.execute(query).scalar_one())


def _on_disk(connection: sa.Connection) -> float:
    """The size of all journal and queue tables with their indexes, in bytes."""
    query = sa.text(
        "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind = 'r' AND (n.nspname = 'dbos' OR starts_with(n.nspname, 'invoca_'))"
    )
    return float(connection.execute(query).scalar_one())


class _Meter:
    """Reads probes repeatedly in a thread.

    Args:
        probes: name to the function that reads a value.

    Attributes:
        readings: name to the readings: times in seconds since the epoch, and values.
    """

    def __init__(self, **probes: Callable[[], float]) -> None:
        self._probes = probes
        self.readings: dict[str, list[tuple[float, float]]] = {name: [] for name in probes}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._ended.wait(_TICK):
            for name, read in self._probes.items():
                self.readings[name].append((time.time(), read()))

    def of(self, done: FinishedRun) -> dict[str, float]:
        """Milliseconds per row of the middle half: wall time, and each reading that is in seconds."""
        first, last, rows = done.steady[0], done.steady[-1], len(done.steady) - 1
        seconds = {
            name: self._at(name, last) - self._at(name, first) for name in self.readings if name != "connections"
        }
        return {name: 1000 * used / rows for name, used in (seconds | {"wall": last - first}).items()}

    def _at(self, name: str, moment: float) -> float:
        """The reading at a moment, interpolated."""
        times, values = zip(*self.readings[name], strict=True)
        return float(np.interp(moment, times, values))


_PER_SECOND = 100  # clock ticks in /proc, of which Linux has 100 per second


def _stat(process: int | str) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty if the process has ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _cpu(process: int) -> float:
    """The CPU time of a process in seconds; 0 if it has ended."""
    used = _stat(process)
    return (int(used[11]) + int(used[12])) / _PER_SECOND if used else 0.0


def _cpu_of_all(first: int) -> float:
    """The CPU time of a process and all its children, including ended ones, in seconds."""
    used = _stat(first)
    children = [stat for path in Path("/proc").glob("[0-9]*") if (stat := _stat(path.name)) and stat[1] == str(first)]
    return sum(map(int, used[11:15]), sum(int(stat[11]) + int(stat[12]) for stat in children)) / _PER_SECOND


BENCHMARKS = (workers, overhead)
