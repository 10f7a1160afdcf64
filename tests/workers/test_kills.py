"""Workers are killed and the database restarted, again and again: each number is bought once, and on its row."""

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
from killing import Crew, moments
from machines import NETWORK_ID, TOKEN
from postgres import Postgres, engine

from invoca_bulk.journal.postgres import schema_name
from invoca_bulk.sandbox_server import FAULT_TYPES as ALL_KINDS
from invoca_bulk.sandbox_server import Sandbox
from tests.crash import checker, ways
from tests.crash.checker import Asked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from machines import Machine

ROWS, KILLS, RESTARTS = 2000, 100, 5
#: Kills besides, while the run settles and is resumed.
MORE_KILLS = 6
#: So often the run is resumed at most: a row that is sent again may meet the next fault.
CONSENTS = 10
SEED = 1
#: Not those that ask for a slower rate: it would be obeyed, and the run would take minutes more.
KINDS = [name for name in ALL_KINDS if not name.startswith(("429", "503"))]
#: The settle time is longer than anything that is still under way at the platform after a kill.
QUICK = {"rate": 0.1, "kinds": KINDS, "seed": SEED, "stall": 0.3, "slow": 0.2, "settle_delay": 0.3}
ENVIRONMENT = {"INVOCA_LEASE": "1.5", "INVOCA_SETTLE": "1.5"}
PATIENCE = 120.0


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A server that no other test meets: it is restarted."""
    with Postgres.started() as server:
        yield server


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """A platform where a tenth of the writes goes wrong."""
    with Sandbox(network_id=NETWORK_ID, open_campaigns=True, token=TOKEN, latency=0.05) as sandbox:
        sandbox.faults.change(**QUICK)
        yield sandbox


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run at the workers, as somebody sees it who looks into the database, and as its user does.

    Attributes:
        client: the user's machine.
        run: its id.
    """

    client: Machine
    run: str

    @property
    def schema(self) -> str:
        return schema_name(base_url=self.client.base_url, network_id=NETWORK_ID)

    @property
    def is_under_way(self) -> bool:
        asked = sa.text(f"SELECT state FROM {self.schema}.runs WHERE run = :run")  # noqa: S608  a name of the program's
        with engine(self.client.database).connect() as connection:
            return connection.execute(asked, {"run": self.run}).scalar_one() == "running"

    def outcomes(self) -> Counter[str]:
        told = self.client.call("results", self.run, "-o", f"looked-{time.monotonic_ns()}.csv", "--json")
        return Counter(json.loads(told.stdout)["totals"])

    def resumed(self) -> bool:
        """Resume it; not, as long as workers that were killed may still be taken for living ones."""
        done = self.client.call("resume", self.run, "--cluster", "--detach", "--resend-absent", "--json")
        assert done.returncode == 0 or "Another run is using this network" in done.stderr, done.stderr
        return done.returncode == 0

    def taken_out(self, path: Path) -> Path:
        """Its journal as the file that the checker reads: the same tables, and what is in them to the letter."""
        with engine(self.client.database).connect() as there, closing(sqlite3.connect(path)) as here:
            for table in ("runs", "steps", "rows"):
                columns = {it["name"]: it["type"] for it in sa.inspect(there).get_columns(table, schema=self.schema)}
                asked = [f'"{name}"' + "::text" * isinstance(kind, sa.JSON) for name, kind in columns.items()]
                found = there.exec_driver_sql(f"SELECT {', '.join(asked)} FROM {self.schema}.{table}").all()  # noqa: S608  as above
                here.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
                marks = ", ".join("?" * len(columns))
                here.executemany(f"INSERT INTO {table} VALUES ({marks})", [tuple(one) for one in found])  # noqa: S608
            here.commit()
        return path


@pytest.mark.timeout(900)
def test_killed_workers_and_restarted_databases_buy_nothing_twice(
    machine: Callable[..., Machine], box: Sandbox, postgres: Postgres, tmp_path: Path
) -> None:
    """Whatever is killed and restarted, each row gets one number, no number is bought twice and none is lost."""
    began, luck = time.monotonic(), random.Random(SEED)  # noqa: S311  repeatable, guards nothing
    client, other = machine("client", **ENVIRONMENT), machine("other", **ENVIRONMENT)
    rows = ways.distinct("row", ROWS * 3 // 4) + ways.alike("equal row", ROWS // 4)
    sheet = ways.written(rows, client.folder / "sheet.csv")
    told = client.call("run", sheet, "-o", "results.csv", "--yes", "--cluster", "--detach", "--json")
    assert told.returncode == 0, told.stderr
    run = Run(client=client, run=json.loads(told.stdout)["run"])
    forge = Forge(other.folder, other.environment_of_programs())
    crew = Crew(start=lambda _: forge.worker(), luck=luck)
    issued, met, restarts = box.store.ledger, 0, 0
    with forge, crew:
        most = ROWS * 9 // 10  # the others are left out at first: faults of a tenth of the requests
        restarted_at = set(luck.sample(range(KILLS), RESTARTS))
        for at, moment in enumerate(moments(luck, KILLS, most)):
            crew.wait(lambda moment=moment: len(issued) >= moment, PATIENCE)
            crew.pause()
            crew.kill()
            if at in restarted_at:
                crew.pause()
                postgres.restart()
                restarts += 1
            met += run.is_under_way  # once it has ended, nothing makes it go on but its user
        first = time.monotonic() - began

        resumes, planned = 0, MORE_KILLS
        while True:
            while planned and run.is_under_way:
                crew.pause(2.0)
                crew.kill()
                planned -= 1
            crew.wait(lambda: not run.is_under_way, PATIENCE)
            left = run.outcomes()
            if set(left) == {"created"} or resumes == CONSENTS:
                break
            crew.wait(run.resumed, PATIENCE)
            resumes += 1

        crew.wait(lambda: not box.faults.pending, PATIENCE)
    assert client.call("results", run.run, "-o", "end.csv").returncode == 0
    asked = Asked(rows=rows, results=ways.read(client.folder / "end.csv"), run=run.run)
    figures = checker.check([asked], issued, run.taken_out(tmp_path / "journal.sqlite"))
    faults = {kind: count for kind, count in box.faults.counts.items() if kind != "settle_delay"}
    print(  # noqa: T201  the figures are worth seeing
        f"{figures}; {crew.kills} kills, {met} of {KILLS} met the first run, {restarts} restarts, {resumes} resumes, "
        f"{sum(faults.values())} faults, ended by themselves: {dict(crew.fallen)}, "
        f"{first:.0f} of {time.monotonic() - began:.0f} s"
    )
    assert figures.is_sound, figures
    assert (figures.created, figures.unknown, figures.issued) == (ROWS, 0, ROWS)
    assert len({row["promo_number"] for row in asked.results}) == ROWS
    assert (met, restarts) == (KILLS, RESTARTS)
    assert crew.kills >= KILLS
    assert not crew.fallen
