"""Starts PostgreSQL from the system's packages for the tests, separate from the system's own server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Iterator

_MISSING = "needs PostgreSQL on Linux: sudo apt-get install postgresql"
_DEBIAN = Path("/usr/lib/postgresql")
_NUMBERS = count(1)


def programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`; None: they are not installed, or this is not Linux."""
    if sys.platform != "linux":  # the tests of the workers fork
        return None
    folders = sorted(_DEBIAN.glob("*/bin"), key=lambda path: int(path.parent.name)) if _DEBIAN.exists() else []
    initdb = shutil.which("initdb")
    return folders[-1] if folders else Path(initdb).parent if initdb else None


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """A PostgreSQL server.

    Attributes:
        folder: its data folder's parent.
        port: its port on 127.0.0.1.
        programs: the folder of its programs.
    """

    folder: Path
    port: int
    programs: Path

    @classmethod
    @contextmanager
    def started(cls) -> Iterator[Postgres]:
        programs_folder = programs()
        if programs_folder is None:
            pytest.skip(_MISSING)
        with tempfile.TemporaryDirectory(prefix="invoca-pg-") as name, socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            server = cls(folder=Path(name), port=free.getsockname()[1], programs=programs_folder)
            if os.geteuid() == 0:  # PostgreSQL refuses to run as root
                shutil.chown(name, "postgres", "postgres")
            server._run("initdb", "-D", name + "/data", "-A", "trust", "-U", "invoca", "--no-sync")
            free.close()
            server.start()
            try:
                yield server
            finally:
                server.stop()

    def _run(self, program: str, *arguments: str) -> None:
        prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*prefix, str(self.programs / program), *arguments]
        process = subprocess.run(command, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)  # noqa: PLW1510  checked below
        assert process.returncode == 0, process.stdout + process.stderr

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", f"{self.folder}/data", "-l", f"{self.folder}/log", "-w", *arguments)

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=200"
        self._control("-o", options, "start")

    def stop(self) -> None:
        """Stop without a clean shutdown, as in a power cut."""
        self._control("-m", "immediate", "stop")

    def restart(self) -> None:
        """Restart as after a power cut; the server recovers from its log."""
        self.stop()
        self.start()

    def url(self, name: str) -> str:
        return f"postgresql://invoca@127.0.0.1:{self.port}/{name}"

    def new_database(self) -> str:
        """Create an empty database, and return its URL."""
        name = f"journal_{next(_NUMBERS)}"
        with engine(self.url("postgres")).connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(sa.text(f"CREATE DATABASE {name}"))
        return self.url(name)


def engine(url: str) -> sa.Engine:
    """Connections that are closed after use."""
    return sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), poolclass=sa.NullPool)


def execute(url: str, statement: str, *, commit: bool = False) -> list[sa.Row[Any]]:
    """Execute a statement and return its rows; `commit`: make its changes durable."""
    with engine(url).connect() as db:
        level = "AUTOCOMMIT" if commit else "READ COMMITTED"
        result = db.execution_options(isolation_level=level).execute(sa.text(statement))
        return list(result) if result.returns_rows else []
