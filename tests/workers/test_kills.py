"""Workers are killed and the database is restarted repeatedly: each number is bought once and is on its row."""

from __future__ import annotations

import json
import random
import sqlite3
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from forge import Forge
from killing import Crew, kill_thresholds
from machines import NETWORK_ID, TOKEN
from postgres import Postgres, engine

from invoca_bulk.journal.postgres import schema_name
from invoca_bulk.sandbox_server import Sandbox
from invoca_bulk.sandbox_server.fault_types import FAULT_TYPES
from tests.crash import checker, ways
from tests.crash.checker import Asked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from machines import Machine

pytestmark = pytest.mark.slow

ROWS, KILLS, RESTARTS = 2000, 100, 5
#: Additional kills while the run is reconciled and resumed.
RESUME_KILLS = 6
#: Maximum number of resumes: a row that is sent again may meet another fault.
MAX_RESUMES = 10
SEED = 1
#: Without faults that ask for a slower rate: the tool would obey, and the run would take minutes longer.
FAULTS = [name for name in FAULT_TYPES if not name.startswith(("429", "503"))]
#: The settle time is longer than the platform takes to finish any request after a kill.
FAULT_SETTINGS = {"rate": 0.1, "kinds": FAULTS, "seed": SEED, "stall": 0.3, "slow": 0.2, "settle_delay": 0.3}
ENVIRONMENT = {"INVOCA_LEASE": "1.5", "INVOCA_SETTLE": "1.5"}
TIMEOUT_SECONDS = 120.0


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A server for this test only, because the test restarts it."""
    with Postgres.started() as server:
        yield server


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """A sandbox where a tenth of the writes fail."""
    with Sandbox(network_id=NETWORK_ID, open_campaigns=True, token=TOKEN, latency=0.05) as sandbox:
        sandbox.faults.change(**FAULT_SETTINGS)
        yield sandbox


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run on workers.

    Attributes:
        client: the machine that started it.
        run: its id.
    """

    client: Machine
    run: str

    @property
    def schema(self) -> str:
        return schema_name(base_url=self.client.base_url, network_id=NETWORK_ID)

    @property
    def is_running(self) -> bool:
        query = sa.text(f"SELECT state FROM {self.schema}.runs WHERE run = :run")  # noqa: S608  a name of the program's
        with engine(self.client.database).connect() as connection:
            return connection.execute(query, {"run": self.run}).scalar_one() == "running"

    def outcomes(self) -> Counter[str]:
        process = self.client.call("results", self.run, "-o", f"results-{time.monotonic_ns()}.csv", "--json")
        return Counter(json.loads(process.stdout)["totals"])

    def resume(self) -> bool:
        """Resume it; returns whether that was possible: leases of killed workers must have expired."""
        process = self.client.call("resume", self.run, "--cluster", "--detach", "--resend-absent", "--json")
        assert process.returncode == 0 or "Another run is using this network" in process.stderr, process.stderr
        return process.returncode == 0

    def copy_journal(self, path: Path) -> Path:
        """Copy its journal to a file that the checker reads, with the same tables and values."""
        with engine(self.client.database).connect() as source, closing(sqlite3.connect(path)) as target:
            for table in ("runs", "steps", "rows"):
                columns = sa.inspect(source).get_columns(table, schema=self.schema)
                names = [column["name"] for column in columns]
                selected = [
                    f'"{column["name"]}"' + "::text" * isinstance(column["type"], sa.JSON) for column in columns
                ]
                rows = source.exec_driver_sql(f"SELECT {', '.join(selected)} FROM {self.schema}.{table}").all()  # noqa: S608  as above
                target.execute(f"CREATE TABLE {table} ({', '.join(names)})")
                marks = ", ".join("?" * len(names))
                target.executemany(f"INSERT INTO {table} VALUES ({marks})", [tuple(row) for row in rows])  # noqa: S608
            target.commit()
        return path


def _kill_and_restart(crew: Crew, run: Run, box: Sandbox, postgres: Postgres) -> tuple[int, int]:
    """Kill workers and restart the database; returns the number of kills during the run, and of restarts."""
    kills_during_run, restarts = 0, 0
    restart_indexes = set(crew.random.sample(range(KILLS), RESTARTS))
    # A tenth of the requests meets a fault, so not all rows are created at first.
    for index, threshold in enumerate(kill_thresholds(crew.random, KILLS, ROWS * 9 // 10)):
        crew.wait(lambda threshold=threshold: len(box.store.ledger) >= threshold, TIMEOUT_SECONDS)
        crew.pause()
        crew.kill()
        if index in restart_indexes:
            crew.pause()
            postgres.restart()
            restarts += 1
        kills_during_run += run.is_running  # once it has ended, only its user can resume it
    return kills_during_run, restarts


def _resume_until_created(crew: Crew, run: Run) -> int:
    """Resume the run until all rows are created, and kill workers meanwhile; returns the number of resumes."""
    resumes, remaining_kills = 0, RESUME_KILLS
    while True:
        while remaining_kills and run.is_running:
            crew.pause(2.0)
            crew.kill()
            remaining_kills -= 1
        crew.wait(lambda: not run.is_running, TIMEOUT_SECONDS)
        if set(run.outcomes()) == {"created"} or resumes == MAX_RESUMES:
            return resumes
        crew.wait(run.resume, TIMEOUT_SECONDS)
        resumes += 1


@pytest.mark.timeout(900)
def test_kills_and_restarts_buy_nothing_twice(
    machine: Callable[..., Machine], box: Sandbox, postgres: Postgres, tmp_path: Path
) -> None:
    """Whatever is killed or restarted, each row gets one number; no number is bought twice, and none is lost."""
    started_at = time.monotonic()
    client, other = machine("client", **ENVIRONMENT), machine("other", **ENVIRONMENT)
    rows = ways.distinct("row", ROWS * 3 // 4) + ways.alike("equal row", ROWS // 4)
    sheet = ways.written(rows, client.folder / "sheet.csv")
    process = client.call("run", sheet, "-o", "results.csv", "--yes", "--cluster", "--detach", "--json")
    assert process.returncode == 0, process.stderr
    run = Run(client=client, run=json.loads(process.stdout)["run"])
    forge = Forge(other.folder, other.process_environment())
    crew = Crew(start=lambda _: forge.worker(), random=random.Random(SEED))  # noqa: S311  repeatable, guards nothing
    with forge, crew:
        kills_during_run, restarts = _kill_and_restart(crew, run, box, postgres)
        run_seconds = time.monotonic() - started_at
        resumes = _resume_until_created(crew, run)
        crew.wait(lambda: not box.faults.pending, TIMEOUT_SECONDS)
    assert client.call("results", run.run, "-o", "end.csv").returncode == 0
    asked = Asked(rows=rows, results=ways.read(client.folder / "end.csv"), run=run.run)
    figures = checker.check([asked], box.store.ledger, run.copy_journal(tmp_path / "journal.sqlite"))
    faults = {kind: count for kind, count in box.faults.counts.items() if kind != "settle_delay"}
    print(  # noqa: T201  the figures are worth seeing
        f"{figures}; {crew.kills} kills, {kills_during_run} of {KILLS} during the first run, {restarts} restarts, "
        f"{resumes} resumes, {sum(faults.values())} faults, exit codes: {dict(crew.exit_codes)}, "
        f"{run_seconds:.0f} of {time.monotonic() - started_at:.0f} s"
    )
    assert figures.is_sound, figures
    assert (figures.created, figures.unknown, figures.issued) == (ROWS, 0, ROWS)
    assert len({row["promo_number"] for row in asked.results}) == ROWS
    assert (kills_during_run, restarts) == (KILLS, RESTARTS)
    assert crew.kills >= KILLS
    assert not crew.exit_codes
