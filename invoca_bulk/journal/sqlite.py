"""Journals in SQLite files: their paths, locks and owners.

One process writes at a time and holds an operating-system lock, which is released when the process dies.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import os
import re
import signal
import socket
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import filelock
import sqlalchemy as sa

from invoca_bulk.config.network import Network
from invoca_bulk.errors import ConfigError, JournalLockedError
from invoca_bulk.journal import db_schema
from invoca_bulk.journal.db_retry import connect_once
from invoca_bulk.journal.owner import Owner, locked_message
from invoca_bulk.journal.states import NOT_RUNNING
from invoca_bulk.journal.store import Journal
from invoca_bulk.journal.thread_safe_cache import thread_safe_cache
from invoca_bulk.wording import option

#: Listing runs holds each lock for a moment to see whether it is free; a writer waits for that.
_LOCK_TIMEOUT_SECONDS = 0.2


class FileJournal(Journal):
    """A network's journal in a file, opened for writing."""

    def __init__(self, connection: sa.Connection, stop_file: Path) -> None:
        super().__init__(connection)
        self._stop_file = stop_file

    @property
    def is_stop_requested(self) -> bool:
        """Whether `ask_to_stop` has left its file."""
        return self._stop_file.exists()


@thread_safe_cache
def sandbox_journal_folder(base_url: str) -> Path:
    """A temporary folder for each sandbox, deleted when this program ends."""
    prefix = f"invoca-bulk-{urlsplit(base_url).port}-"
    folder = tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
    atexit.register(folder.cleanup)
    return Path(folder.name)


def journal_file(folder: Path, *, base_url: str, network_id: str) -> Path:
    """The path of a network's journal: a readable name, and a hash that makes it unique."""
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", urlsplit(base_url).netloc)
    digest = hashlib.sha256(f"{base_url}\n{network_id}".encode()).hexdigest()[:8]
    return folder / f"{readable}-{network_id}-{digest}.sqlite"


@contextmanager
def open_for_writing(folder: Path, network: Network) -> Iterator[Journal]:
    """Open a network's journal for writing; no other process can write to it until the end of the block."""
    path = journal_file(folder, base_url=network.base_url, network_id=network.network_id)
    _create_private_file(folder, path)
    with _hold_lock(path), contextlib.ExitStack() as stack:
        with _translate_errors(path):
            connection = stack.enter_context(connect_once(durable_engine(path)))
            db_schema.create_or_migrate(connection)
        journal = FileJournal(connection, _stop_file(path))
        journal.recover_from_crash()
        yield journal


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        reason = getattr(error, "orig", None) or type(error).__name__
        msg = f"The journal {path} cannot be used ({reason}). Use another folder: {option('journal=…')}"
        raise ConfigError(msg) from None


def _create_private_file(folder: Path, path: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_private(path)
    except OSError as error:
        msg = f"The journal cannot be kept in {folder} ({error.strerror}). Use another: {option('journal=…')}"
        raise ConfigError(msg) from None


def _make_private(path: Path) -> None:
    """Create a file that only the user can access, or make an existing one so; never follows a symbolic link."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        if hasattr(os, "fchmod"):  # not on Windows
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


@contextmanager
def _hold_lock(path: Path) -> Iterator[None]:
    lock = filelock.FileLock(path.with_suffix(".lock"), mode=0o600)
    owner_file = path.with_suffix(".owner")
    try:
        lock.acquire(timeout=_LOCK_TIMEOUT_SECONDS, poll_interval=_LOCK_TIMEOUT_SECONDS / 4)
    except filelock.Timeout:
        raise JournalLockedError(locked_message(_read_owner(path))) from None
    try:
        for left_over in (owner_file, _stop_file(path)):  # by a process that was killed
            _delete_note(left_over)
        owner = Owner(
            process=os.getpid(),
            host=socket.gethostname(),
            since=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}",
            can_be_signalled=threading.current_thread() is threading.main_thread(),
        )
        owner_file.touch(mode=0o600)
        owner_file.write_text(json.dumps(db_schema.to_stored(vars(owner))))
        yield
        _delete_note(owner_file)
    finally:
        lock.release()


def _stop_file(path: Path) -> Path:
    return path.with_suffix(".stop")


def _delete_note(path: Path) -> None:
    """Delete a file beside a journal; one that another process reads just now, which Windows keeps, does no harm."""
    with contextlib.suppress(PermissionError):
        path.unlink(missing_ok=True)


def _read_owner(path: Path) -> Owner | None:
    """The process that holds a journal; None: its `.owner` file does not exist or cannot be read."""
    try:
        return Owner(**db_schema.from_stored(json.loads(path.with_suffix(".owner").read_text())))
    except (OSError, ValueError, TypeError):
        return None


#: Settings of a connection whose commits survive a power cut.
_DURABLE = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "fullfsync=ON",  # macOS: otherwise the drive's cache can lose commits
    "checkpoint_fullfsync=ON",
)


def durable_engine(path: Path) -> sa.Engine:
    """Connections to a database whose commits survive a power cut."""
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), connect_args={"check_same_thread": False})

    @sa.event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _: object) -> None:  # noqa: ANN401  the driver's own connection
        try:
            for pragma in _DURABLE:
                connection.execute(f"PRAGMA {pragma}")
        except sqlite3.Error:  # it is no database; SQLAlchemy before 2.1 would leave the file open
            connection.close()
            raise

    return engine


@dataclass(frozen=True, kw_only=True)
class SqliteHandle:
    """A network's journal in a folder, opened or not."""

    path: Path

    @contextmanager
    def open_readonly(self) -> Iterator[Journal | None]:
        """The journal; None: there is none yet. An older journal is migrated unless another process uses it.

        Raises `IncompatibleVersion`, or SQLAlchemy's `DatabaseError` if it cannot be read.
        """
        if not self.path.exists():
            yield None
            return
        with connect_once(sa.create_engine(f"sqlite:///file:{quote(str(self.path))}?mode=ro&uri=true")) as connection:
            if db_schema.is_being_created(connection):
                yield None
                return
            if db_schema.needs_migration(connection):
                self._migrate_if_unlocked()
            db_schema.require_current_version(connection)
            yield Journal(connection)

    def _migrate_if_unlocked(self) -> None:
        ignored = contextlib.suppress(JournalLockedError, OSError, sa.exc.DatabaseError)
        with ignored, _hold_lock(self.path), connect_once(durable_engine(self.path)) as connection:
            db_schema.create_or_migrate(connection)

    def find_owner(self) -> Owner | None:
        """The process that writes to it; None: there is none, or its `.owner` file cannot be read."""
        return _read_owner(self.path)

    def is_in_use(self) -> bool:
        """Whether a process uses it. Holds the lock for a moment, for which a writer waits."""
        lock = filelock.FileLock(self.path.with_suffix(".lock"), mode=0o600)
        try:
            with lock.acquire(blocking=False):
                return False
        except filelock.Timeout:
            return True
        except OSError:  # a read-only folder
            return False

    def request_stop(self, run: str) -> str:
        """Ask the process of a run to stop; returns why that is impossible, or an empty text."""
        del run  # a process has only one
        owner = self.find_owner() if self.is_in_use() else None
        if owner is None:
            return NOT_RUNNING
        if owner.host != socket.gethostname():
            return f"It runs on {owner.host} and can be stopped only there."
        if not owner.can_be_signalled:
            return f"It runs inside another program (process {owner.process}); stop it in that program."
        ask_to_stop(owner, self.path)
        return ""


def ask_to_stop(owner: Owner, path: Path, system: str = os.name) -> None:
    """Ask the owner of a journal to stop its run, the second time at once: by SIGTERM, or on Windows by a file.

    Windows has no signal for the processes of other consoles: `os.kill` ends them, which is what the second time asks.
    """
    if system == "nt" and not _stop_file(path).exists():
        _stop_file(path).touch(mode=0o600)  # every owner looks for it
        return
    with contextlib.suppress(OSError):  # it has just ended
        os.kill(owner.process, signal.SIGTERM)  # not SIGINT: processes started by a notebook's kernel ignore it


def list_handles(folder: Path) -> list[SqliteHandle]:
    """The handles of all journals in a folder, sorted by name."""
    return [SqliteHandle(path=path) for path in sorted(folder.glob("*.sqlite"))]


def list_handles_with_owner(folder: Path) -> list[SqliteHandle]:
    """The handles of journals that a process has open, or had open when it was killed, sorted by name.

    Only these have an `.owner` file. Does not try the lock, which would disturb a process that wants it.
    """
    return [SqliteHandle(path=path.with_suffix(".sqlite")) for path in sorted(folder.glob("*.owner"))]
