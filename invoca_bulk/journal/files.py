"""A journal's file: where it is, whose it is, and how it is opened.

It holds no token and no header. One process writes at a time, and holds an operating-system lock that dies with it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import filelock
import sqlalchemy as sa

from invoca_bulk.errors import JournalHeld, SettingInvalid
from invoca_bulk.journal import tables
from invoca_bulk.journal.book import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from invoca_bulk.journal.records import RowRecord, RunRecord
    from invoca_bulk.settings import Network


def journal_file(folder: Path, *, base_url: str, network_id: str) -> Path:
    """The journal of a network: the name can be read, and the hash keeps apart what the name cannot."""
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", urlsplit(base_url).netloc)
    digest = hashlib.sha256(f"{base_url}\n{network_id}".encode()).hexdigest()[:8]
    return folder / f"{readable}-{network_id}-{digest}.sqlite"


@contextmanager
def opened(folder: Path, network: Network) -> Iterator[Journal]:
    """Open a network's journal for writing; it is this process' own until the end of the block.

    Raises:
        JournalHeld: another process has it; the message says which, and since when.
        SettingInvalid: the folder cannot be used, or another version of this program has written the file.
    """
    path = journal_file(folder, base_url=network.base_url, network_id=network.network_id)
    _prepare(folder, path)
    with _owned(path):
        engine = durable_engine(path)
        try:
            with _one_sentence(path):
                connection = engine.connect()
                tables.prepare(connection)
            with connection:
                yield Journal(connection)
        finally:
            engine.dispose()


@contextmanager
def _one_sentence(path: Path) -> Iterator[None]:
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        reason = getattr(error, "orig", None) or type(error).__name__
        msg = f"The journal {path} cannot be used ({reason}). Name another folder with --journal."
        raise SettingInvalid(msg) from None


def _prepare(folder: Path, path: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        msg = f"The journal cannot be kept in {folder} ({error.strerror}). Name another folder with --journal."
        raise SettingInvalid(msg) from None


@contextmanager
def _owned(path: Path) -> Iterator[None]:
    lock = filelock.FileLock(path.with_suffix(".lock"), mode=0o600)
    owner = path.with_suffix(".owner")
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        msg = f"Another run works on this network: {_who(owner)}. Wait until it has ended, then try again."
        raise JournalHeld(msg) from None
    try:
        since = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
        owner.touch(mode=0o600)
        owner.write_text(json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": since}))
        yield
        owner.unlink(missing_ok=True)
    finally:
        lock.release()


def _who(owner: Path) -> str:
    try:
        note = json.loads(owner.read_text())
    except (OSError, ValueError):
        return "an unknown process"
    return f"process {note['process']} on {note['host']}, since {note['since']} UTC"


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


def results_of(folder: Path, run: str) -> tuple[RunRecord, list[RowRecord]]:
    """A run and its rows as they stand now, in whichever journal of a folder it is; also while another process runs it.

    Raises:
        SettingInvalid: no journal there knows the run.
    """
    others = False
    for path in sorted(folder.glob("*.sqlite")):
        engine = sa.create_engine(f"sqlite:///file:{quote(str(path))}?mode=ro&uri=true")
        try:
            with engine.connect() as connection:
                tables.check(connection)
                book = Journal(connection)
                return book.run(run), book.rows(run)
        except tables.OtherVersion:
            others = True
        except (sa.exc.NoResultFound, sa.exc.DatabaseError):
            continue
        finally:
            engine.dispose()
    unread = " Journals of another version of this program are there too, and cannot be read." if others else ""
    msg = (
        f"No journal in {folder} knows the run {run!r}.{unread} "
        "A run's id stands in the column result_run of its results."
    )
    raise SettingInvalid(msg)
