"""PostgreSQL from the system's packages, started for the tests, with nothing of the system's own server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Iterator

_MISSING = "needs PostgreSQL: sudo apt-get install postgresql"
_DEBIAN = Path("/usr/lib/postgresql")
_NUMBERS = count(1)


def programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`; None: they are not installed."""
    found = sorted(_DEBIAN.glob("*/bin"), key=lambda path: int(path.parent.name)) if _DEBIAN.exists() else []
    known = shutil.which("initdb")
    return found[-1] if found else Path(known).parent if known else None


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """A server.

    Attributes:
        folder: its own.
        port: on 127.0.0.1.
        programs: where its programs are.
    """

    folder: Path
    port: int
    programs: Path

    @classmethod
    @contextmanager
    def started(cls) -> Iterator[Postgres]:
        found = programs()
        if found is None:
            pytest.skip(_MISSING)
        with tempfile.TemporaryDirectory(prefix="invoca-pg-") as name, socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            server = cls(folder=Path(name), port=free.getsockname()[1], programs=found)
            if os.geteuid() == 0:  # PostgreSQL refuses to be run by root
                shutil.chown(name, "postgres", "postgres")
            server._do("initdb", "-D", name + "/data", "-A", "trust", "-U", "invoca", "--no-sync")
            free.close()
            server.start()
            try:
                yield server
            finally:
                server.stop()

    def _do(self, program: str, *arguments: str) -> None:
        as_other = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*as_other, str(self.programs / program), *arguments]
        done = subprocess.run(command, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)  # noqa: PLW1510  looked at below
        assert done.returncode == 0, done.stdout + done.stderr

    def _control(self, *arguments: str) -> None:
        self._do("pg_ctl", "-D", f"{self.folder}/data", "-l", f"{self.folder}/log", "-w", *arguments)

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=200"
        self._control("-o", options, "start")

    def stop(self) -> None:
        """At once, as when the power fails."""
        self._control("-m", "immediate", "stop")

    def restart(self) -> None:
        """At once, as when the power fails; it recovers from its log."""
        self.stop()
        self.start()

    def url(self, name: str) -> str:
        return f"postgresql://invoca@127.0.0.1:{self.port}/{name}"

    def new_database(self) -> str:
        """The address of a database that nothing is in yet."""
        name = f"journal_{next(_NUMBERS)}"
        with engine(self.url("postgres")).connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(sa.text(f"CREATE DATABASE {name}"))
        return self.url(name)


def engine(url: str) -> sa.Engine:
    """Connections, closed after use."""
    return sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)
