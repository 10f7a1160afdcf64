"""A PostgreSQL server for the tests, a sandbox, and machines that share them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from invoca_bulk.config.journal_location import Database
from invoca_bulk.sandbox_server import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

sys.path.insert(0, str(Path(__file__).parent))

from machines import NETWORK_ID, TOKEN, Machine
from postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server on a free port of 127.0.0.1, in a temporary folder."""
    with Postgres.started() as server:
        yield server


@pytest.fixture
def database(postgres: Postgres) -> str:
    """The URL of an empty database."""
    return postgres.new_database()


@pytest.fixture
def location(database: str) -> Database:
    return Database(database)


@pytest.fixture
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease of the test's process; after a restart of the server, no owner expires for as long."""
    monkeypatch.setenv("INVOCA_LEASE", "2")


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """A sandbox whose ledger the test can read."""
    with Sandbox(network_id=NETWORK_ID, open_campaigns=True, token=TOKEN, latency=0.05) as sandbox:
        yield sandbox


@pytest.fixture
def machine(tmp_path: Path, database: str, box: Sandbox) -> Iterator[Callable[..., Machine]]:
    """Creates machines that share the database; ends their processes after the test."""
    machines: list[Machine] = []

    def make(name: str, **environment: str) -> Machine:
        folder = tmp_path / name
        folder.mkdir()
        machines.append(Machine(folder=folder, database=database, base_url=box.base_url, environment=environment))
        return machines[-1]

    yield make
    for created_machine in machines:
        created_machine.end()
