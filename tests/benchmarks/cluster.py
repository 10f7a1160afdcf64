"""Several machines at one run: rows a second with more workers, and what a row costs beside the local path.

Each worker, and the client that hands the run out, is a process of the command line; PostgreSQL is one of the
benchmark's own. What is slow to start is left out: all figures but one are of the middle half of the outcomes.
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

sys.path.insert(0, str(HERE.parent / "cluster"))

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from harness import Size
    from machines import Machine

    from invoca_bulk.journal import StepRecord

LATENCY = 0.2  # seconds
SLOTS = int(str(SETTINGS["concurrency"].default))  # requests under way at once, of one worker
#: Workers, and the requests under way at once of each; in this order, so that workers only come.
STAGES = ((1, SLOTS), (2, SLOTS), (2, 32), (4, SLOTS))
REPEATS = 3
_NEEDS = ("pytest", "psycopg", "dbos")  # what the helpers of the tests and the workers need
_TICK = 0.05  # seconds between two looks at what processes use
_THEIRS = "invoca-bulk"  # names the connections of machines; those that look at them have no name
_LAUNCH = 2.0  # seconds that a worker takes to look at its queues, once it tells that it lives
_PATIENCE = 240.0  # seconds that one run may take


@functools.cache
def _is_possible() -> bool:
    """Whether PostgreSQL and what talks to it are installed; says once what is missing."""
    if missing := [name for name in _NEEDS if not importlib.util.find_spec(name)]:
        told = f"{' and '.join(missing)} cannot be found. Type: pip install 'invoca-bulk[test]'"
    elif not _programs():
        told = "PostgreSQL cannot be found. Type: sudo apt-get install postgresql"
    elif not Path("/proc/self/stat").exists():
        told = "what processes use is told by Linux only."
    else:
        return True
    print(f"  left out: {told}", file=sys.stderr, flush=True)
    return False


def _programs() -> Path | None:
    from postgres import programs  # noqa: PLC0415  it needs pytest

    return programs()


# A place, its workers and their runs


@dataclass(kw_only=True)
class Site:
    """A database of its own, a platform, and the workers there.

    Attributes:
        folder: of all its machines.
        database: the address.
        platform: the address.
        postmaster: the process of PostgreSQL that all others come from.
        workers: so far.
    """

    folder: Path
    database: str
    platform: str
    postmaster: int
    workers: list[Machine] = field(default_factory=list)

    def machine(self, name: str, **environment: str) -> Machine:
        """A machine that knows the database and the platform; its lease is the usual one."""
        from machines import Machine  # noqa: PLC0415  it is found only once the path is set

        folder = self.folder / name
        folder.mkdir()
        environment = {"PGAPPNAME": _THEIRS} | environment
        usual = {"INVOCA_LEASE": str(SETTINGS["lease"].default), "INVOCA_SETTLE": str(SETTINGS["settle"].default)}
        return Machine(folder=folder, database=self.database, base_url=self.platform, environment=usual | environment)

    def have(self, count: int) -> None:
        """See that there are so many workers, all of them waiting for work."""
        if len(self.workers) >= count:
            return
        while len(self.workers) < count:
            self.workers.append(self.machine(f"worker-{len(self.workers)}"))
            self.workers[-1].worker()
        _until(lambda: self._waiting() >= count)
        time.sleep(_LAUNCH)

    def _waiting(self) -> int:
        """Workers that hold the lock by which each tells that it lives; DBOS' own locks do not count."""
        held = sa.text(
            "SELECT count(DISTINCT a.pid) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
            "WHERE a.datname = current_database() AND a.application_name NOT LIKE 'dbos%' "
            "AND a.state = 'idle' AND l.locktype = 'advisory' AND l.granted"
        )
        with self.connected() as connection:
            return int(connection.execute(held).scalar_one())

    @property
    def complaints(self) -> str:
        """What the workers have written on standard error."""
        return "\n".join((one.folder / "worker-0.err").read_text(encoding="utf-8")[-2000:] for one in self.workers)

    @contextmanager
    def connected(self) -> Iterator[sa.Connection]:
        """A connection to look at the database with."""
        from postgres import engine  # noqa: PLC0415  as above

        with engine(self.database).connect() as connection:
            yield connection


@contextmanager
def _site(latency: float) -> Iterator[Site]:
    """A database, a platform that answers after a while, and a folder; all ends with the block."""
    from postgres import Postgres  # noqa: PLC0415  as above

    with Postgres.started() as server, serving(latency) as platform, tempfile.TemporaryDirectory() as folder:
        first = (server.folder / "data" / "postmaster.pid").read_text(encoding="ascii").split()[0]
        site = Site(folder=Path(folder), database=server.new_database(), platform=platform, postmaster=int(first))
        try:
            yield site
        finally:
            for one in site.workers:
                one.end()


def _until(true: Callable[[], object], seconds: float = _PATIENCE, *, pause: float = 0.1) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(pause)


def _sheet(path: Path, rows: int) -> Path:
    """Rows that no other sheet of another name has."""
    frame = pd.DataFrame({"description": [f"{path.parent.name} {number}" for number in range(rows)]})
    frame.insert(0, "advertiser_id_from_network", "A-1")
    frame.insert(1, "advertiser_campaign_id_from_network", [f"C-{number % 20}" for number in range(rows)])
    frame["media_type"] = "Online: Display"
    frame["local_center.tn_prefix"] = "805"
    frame.to_csv(path, index=False)
    return path


def _handed_out(site: Site, name: str, rows: int, slots: int = SLOTS) -> Done:
    """Hand a sheet out, and wait for its end."""
    client = site.machine(name)
    flags = ("--yes", "--cluster", "--detach", "--concurrency", slots)
    told = client.call("run", _sheet(client.folder / "requests.csv", rows), *map(str, flags))
    assert told.returncode == 0, told.stderr
    return _ended(client, site)


def _ended(client: Machine, site: Site) -> Done:
    """The run that a machine has begun last, once it has ended."""
    _until(lambda: journal.list_runs(client.place)[-1].record.state is not RunState.RUNNING, pause=1.0)
    one = journal.list_runs(client.place)[-1]
    assert one.record.state is RunState.FINISHED, f"{one.record.note}\n{site.complaints}"
    with journal.open_readonly(client.place, client.network()) as book:
        assert book
        return Done(run=one.record.run, steps=book.steps(one.record.run))


@dataclass(frozen=True, kw_only=True)
class Done:
    """A run that has ended.

    Attributes:
        run: its id.
        steps: all of them.
    """

    run: str
    steps: Sequence[StepRecord]

    @property
    def began(self) -> float:
        """When its first request was sent."""
        return min(one.sent_at for one in self.steps if one.sent_at)

    @property
    def steady(self) -> list[float]:
        """When the outcomes of the middle half came."""
        ended = sorted(one.ended_at for one in self.steps if one.ended_at)
        return ended[len(ended) // 4 : -(len(ended) // 4)]

    @property
    def rate(self) -> float:
        """Rows a second, of the middle half."""
        return (len(self.steady) - 1) / max(0.001, self.steady[-1] - self.steady[0])


# Growth


def workers(size: Size) -> Iterator[Figure]:
    """Rows a second of more and more workers, each with so many requests under way; and how soon the first is sent."""
    if not _is_possible():
        return
    stages = STAGES[: size.rows(len(STAGES), 2)]
    rates: dict[tuple[int, int], list[float]] = {stage: [] for stage in stages}
    waits: list[float] = []
    for _ in range(size.rows(REPEATS, 1)):
        with _site(LATENCY) as site:
            for count, slots in stages:
                site.have(count)
                done = _handed_out(site, f"client-{count}-{slots}", _rows(size, count, slots), slots)
                rates[count, slots].append(done.rate)
                waits.append(done.began - _asked(site, done.run))
    for (count, slots), some in rates.items():
        print(f"  {count} x {slots}: {', '.join(f'{rate:.1f}' for rate in some)} /s", file=sys.stderr, flush=True)
        what = f"creates at {count} worker{'s' if count > 1 else ''}, {slots} in flight each, answers after 200 ms"
        ideal = count * slots / LATENCY
        yield Figure(what=what, ours=statistics.median(some), peer=ideal, unit="/s", peer_is="ideal", better="more")
    what = "from handing a run out to its first request at a worker"
    yield Figure(what=what, ours=statistics.median(waits), peer=None, unit="s", peer_is="")


def _rows(size: Size, count: int, slots: int) -> int:
    """So many that a run takes a quarter of a minute, at best: the rate is found within its first quarter."""
    return count * size.rows(15 * int(slots / LATENCY), 60)


def _asked(site: Site, run: str) -> float:
    """When the queue was told of a run, seconds since the epoch."""
    query = sa.text("SELECT created_at FROM dbos.workflow_status WHERE workflow_uuid LIKE :run ORDER BY 1 LIMIT 1")
    with site.connected() as connection:
        return float(connection.execute(query, {"run": f"{run}.%"}).scalar_one()) / 1000


# Overhead


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a row of the middle half took, in milliseconds, and what all rows take on disk.

    Attributes:
        wall: time.
        own: CPU of the process that sends.
        database: CPU of PostgreSQL.
        disk: bytes a row.
        connections: to PostgreSQL, at most.
    """

    wall: float
    own: float
    disk: float
    database: float = 0.0
    connections: int = 0


def overhead(size: Size) -> Iterator[Figure]:
    """What a row costs at one worker beside the local path, against a platform that answers at once."""
    if not _is_possible():
        return
    rows, shared, alone = size.rows(4000, 100), [], []
    for _ in range(size.rows(REPEATS, 1)):
        with _site(0.0) as site:
            alone.append(_alone(site, rows))
            shared.append(_shared(site, rows))
    there, here = _median(shared), _median(alone)
    with_platform = f"{SLOTS} in flight, answers at once"
    for what, ours, peer in (("time", there.wall, here.wall), ("CPU", there.own, here.own)):
        told = f"one worker, {with_platform}: {what} a row"
        yield Figure(what=told, ours=ours, peer=peer, unit="ms", peer_is="the local path")
    yield Figure(what="PostgreSQL's CPU a row in that run", ours=there.database, peer=None, unit="ms", peer_is="")
    what = "journal and queue on PostgreSQL, on disk a row"
    yield Figure(what=what, ours=there.disk / 1024, peer=here.disk / 1024, unit="KiB", peer_is="the file of SQLite")
    what = "connections to PostgreSQL of one worker in that run, at most"
    yield Figure(what=what, ours=there.connections, peer=None, unit="connections", peer_is="")


def _median(costs: Sequence[Cost]) -> Cost:
    """Each figure's own median."""
    told = {name: statistics.median(getattr(one, name) for one in costs) for name in vars(costs[0])}
    print("  " + ", ".join(f"{name} {value:.4g}" for name, value in told.items()), file=sys.stderr, flush=True)
    return Cost(**told)


def _alone(site: Site, rows: int) -> Cost:
    """The local path: the journal is a file, and the process that began the run sends it."""
    here = site.machine("local", INVOCA_JOURNAL=str(site.folder / "journal"))
    here.database = ""
    process = here.start("run", _sheet(here.folder / "requests.csv", rows), "--yes", "--concurrency", str(SLOTS))
    with _Meter(own=lambda: _cpu(process.pid)) as meter:
        process.wait(timeout=_PATIENCE)
    assert process.returncode == 0, (here.folder / "run-0.err").read_text()
    folder = site.folder / "journal"
    (one,) = journal.list_runs(folder)
    with journal.open_readonly(folder, here.network()) as book:
        assert book
        done = Done(run=one.record.run, steps=book.steps(one.record.run))
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    return Cost(disk=size / rows, **meter.of(done))


def _shared(site: Site, rows: int) -> Cost:
    """One worker."""
    site.have(1)
    (process,) = site.workers[0].started
    with (
        site.connected() as connection,
        _Meter(
            own=lambda: _cpu(process.pid),
            database=lambda: _cpu_of_all(site.postmaster),
            connections=lambda: _connections(connection),
        ) as meter,
    ):
        done = _handed_out(site, "client", rows)
    with site.connected() as connection:
        size = _on_disk(connection)
    at_work = [count for at, count in meter.seen["connections"] if done.steady[0] <= at <= done.steady[-1]]
    return Cost(disk=size / rows, connections=int(max(at_work)), **meter.of(done))


def _connections(connection: sa.Connection) -> float:
    """Of the worker: those to its database that are not this one."""
    query = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND application_name <> ''"
    )
    with connection.begin():
        return float(connection.execute(query).scalar_one())


def _on_disk(connection: sa.Connection) -> float:
    """Bytes of all tables of the journals and of the queue, with their indexes."""
    query = sa.text(
        "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.relkind = 'r' AND (n.nspname = 'dbos' OR starts_with(n.nspname, 'invoca_'))"
    )
    return float(connection.execute(query).scalar_one())


class _Meter:
    """Looks again and again at what is used, in a thread of its own.

    Args:
        looks: name to what tells how much has been used so far, or is in use.

    Attributes:
        seen: name to the times, seconds since the epoch, with what was told then.
    """

    def __init__(self, **looks: Callable[[], float]) -> None:
        self._looks = looks
        self.seen: dict[str, list[tuple[float, float]]] = {name: [] for name in looks}
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
            for name, look in self._looks.items():
                self.seen[name].append((time.time(), look()))

    def of(self, done: Done) -> dict[str, float]:
        """Milliseconds a row, of the middle half: of time, and of what is told in seconds."""
        first, last, rows = done.steady[0], done.steady[-1], len(done.steady) - 1
        seconds = {name: self._at(name, last) - self._at(name, first) for name in self.seen if name != "connections"}
        return {name: 1000 * one / rows for name, one in (seconds | {"wall": last - first}).items()}

    def _at(self, name: str, moment: float) -> float:
        """What had been used by then."""
        times, values = zip(*self.seen[name], strict=True)
        return float(np.interp(moment, times, values))


_PER_SECOND = 100  # ticks of Linux' clock for the CPU


def _stat(process: int | str) -> list[str]:
    """Figures of a process, from its state on; empty: it has ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def _cpu(process: int) -> float:
    """Seconds of CPU that a process has used; those of it that has ended: 0."""
    used = _stat(process)
    return (int(used[11]) + int(used[12])) / _PER_SECOND if used else 0.0


def _cpu_of_all(first: int) -> float:
    """Seconds of CPU of a process and of all that it has started, those that have ended included."""
    used = _stat(first)
    children = [stat for path in Path("/proc").glob("[0-9]*") if (stat := _stat(path.name)) and stat[1] == str(first)]
    return sum(map(int, used[11:15]), sum(int(one[11]) + int(one[12]) for one in children)) / _PER_SECOND


BENCHMARKS = (workers, overhead)
