"""A journal's file: where it is, whose it is, and how it is opened.

It holds no token and no header. One process writes at a time, and holds an operating-system lock that dies with it.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import json
import os
import re
import signal
import socket
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import filelock
import sqlalchemy as sa

from invoca_bulk.errors import ConfigError, JournalLockedError
from invoca_bulk.journal import db_schema
from invoca_bulk.journal.owner import Owner
from invoca_bulk.journal.store import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from invoca_bulk.config.settings import Network

#: Seconds: `runs` holds a lock for an instant to see whether it is free.
_LOCK_TIMEOUT_SECONDS = 0.2


@functools.cache
def sandbox_journal_folder(base_url: str) -> Path:
    """One for each sandbox, until this program ends."""
    folder = tempfile.TemporaryDirectory(prefix=f"invoca-bulk-{urlsplit(base_url).port}-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def journal_file(folder: Path, *, base_url: str, network_id: str) -> Path:
    """The journal of a network: the name can be read, and the hash keeps apart what the name cannot."""
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", urlsplit(base_url).netloc)
    digest = hashlib.sha256(f"{base_url}\n{network_id}".encode()).hexdigest()[:8]
    return folder / f"{readable}-{network_id}-{digest}.sqlite"


@contextmanager
def open_for_writing(folder: Path, network: Network) -> Iterator[Journal]:
    """Open a network's journal for writing; it is this process' own until the end of the block.

    Raises:
        JournalLockedError: another process has it; the message says which, and since when.
        ConfigError: the folder cannot be used, or another version of this program has written the file.
    """
    path = journal_file(folder, base_url=network.base_url, network_id=network.network_id)
    _create_private_file(folder, path)
    with _hold_lock(path):
        with _translate_errors(path):
            engine = durable_engine(path)
            connection = engine.connect()
        try:
            with _translate_errors(path):
                db_schema.create_or_migrate(connection)
            with connection:
                book = Journal(connection)
                book.recover_from_crash()
                yield book
        finally:
            engine.dispose()


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        reason = getattr(error, "orig", None) or type(error).__name__
        msg = f"The journal {path} cannot be used ({reason}). Name another folder with --journal."
        raise ConfigError(msg) from None


def _create_private_file(folder: Path, path: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_private(path)
    except OSError as error:
        msg = f"The journal cannot be kept in {folder} ({error.strerror}). Name another folder with --journal."
        raise ConfigError(msg) from None


def _make_private(path: Path) -> None:
    """Make a file that only the user can read, or make it so; never through a link that somebody has put there."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        if hasattr(os, "fchmod"):  # not on Windows
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


@contextmanager
def _hold_lock(path: Path) -> Iterator[None]:
    lock = filelock.FileLock(path.with_suffix(".lock"), mode=0o600)
    owner = path.with_suffix(".owner")
    try:
        lock.acquire(timeout=_LOCK_TIMEOUT_SECONDS, poll_interval=_LOCK_TIMEOUT_SECONDS / 4)
    except filelock.Timeout:
        msg = f"Another run works on this network: {_describe_owner(path)}. Wait until it has ended, then try again."
        raise JournalLockedError(msg) from None
    try:
        owner.unlink(missing_ok=True)  # that of a process that was killed
        since = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
        heeds = threading.current_thread() is threading.main_thread()
        note = Owner(process=os.getpid(), host=socket.gethostname(), since=since, can_be_signalled=heeds)
        owner.touch(mode=0o600)
        owner.write_text(json.dumps(db_schema.to_stored(vars(note))))
        yield
        owner.unlink(missing_ok=True)
    finally:
        lock.release()


def read_owner(path: Path) -> Owner | None:
    """Who holds a journal; None: there is no note of it, or none that can be read."""
    try:
        return Owner(**db_schema.from_stored(json.loads(path.with_suffix(".owner").read_text())))
    except (OSError, ValueError, TypeError):
        return None


def _describe_owner(path: Path) -> str:
    return str(read_owner(path) or "an unknown process")


def durable_engine(path: Path) -> sa.Engine:
    """A database whose commits survive a power cut."""
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), connect_args={"check_same_thread": False})

    @sa.event.listens_for(engine, "connect")
    def _durable(connection: Any, _: object) -> None:  # noqa: ANN401  the driver's own connection
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA fullfsync=ON")  # macOS: else the drive's own cache can still lose it
        connection.execute("PRAGMA checkpoint_fullfsync=ON")

    return engine


@dataclass(frozen=True, kw_only=True)
class SqliteHandle:
    """A network's journal in a folder, to be looked into, also while another process has it."""

    path: Path

    @contextmanager
    def open_readonly(self) -> Iterator[Journal | None]:
        """The journal; None: there is none yet. One of an older version is brought to this one's, if nobody has it.

        Raises:
            IncompatibleVersion: another version of this program has written it.
            sqlalchemy.exc.DatabaseError: it cannot be read.
        """
        if not self.path.exists():
            yield None
            return
        engine = sa.create_engine(f"sqlite:///file:{quote(str(self.path))}?mode=ro&uri=true")
        try:
            with engine.connect() as connection:
                if db_schema.is_being_created(connection):
                    yield None
                    return
                if db_schema.needs_migration(connection):
                    self._migrate_if_unlocked()
                db_schema.require_current_version(connection)
                yield Journal(connection)
        finally:
            engine.dispose()

    def _migrate_if_unlocked(self) -> None:
        with contextlib.suppress(JournalLockedError, OSError, sa.exc.DatabaseError), _hold_lock(self.path):
            engine = durable_engine(self.path)
            try:
                with engine.connect() as connection:
                    db_schema.create_or_migrate(connection)
            finally:
                engine.dispose()

    def find_owner(self) -> Owner | None:
        """Who has it, as long as somebody does; None: there is no note of it that can be read."""
        return read_owner(self.path)

    def is_in_use(self) -> bool:
        """Whether a process has it; whoever wants it at this very moment tries again."""
        lock = filelock.FileLock(self.path.with_suffix(".lock"), mode=0o600)
        try:
            with lock.acquire(blocking=False):
                return False
        except filelock.Timeout:
            return True
        except OSError:  # a folder that can only be read
            return False

    def request_stop(self, run: str) -> str:
        """Ask the process that is at a run to stop; why that cannot be, or nothing."""
        del run  # a process is at one only
        owner = self.find_owner() if self.is_in_use() else None
        if owner is None:
            return "It is not under way any more."
        if owner.host != socket.gethostname():
            return f"It runs on {owner.host}, and can be stopped there only."
        if not owner.can_be_signalled:
            return f"It runs within a program (process {owner.process}) that has to stop it itself."
        with contextlib.suppress(OSError):  # it has just ended
            # Not SIGINT: what a notebook's kernel starts has that one ignored.
            os.kill(owner.process, getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))
        return ""


def list_handles(folder: Path) -> list[SqliteHandle]:
    """The journals in a folder, by name."""
    return [SqliteHandle(path=path) for path in sorted(folder.glob("*.sqlite"))]


def list_handles_with_owner(folder: Path) -> list[SqliteHandle]:
    """Those that somebody has, or had when it was killed.

    The note of an owner is there while a journal is held, or if its holder was killed. Without one the lock itself is
    left alone: to try it disturbs who wants it.
    """
    return [SqliteHandle(path=path.with_suffix(".sqlite")) for path in sorted(folder.glob("*.owner"))]
