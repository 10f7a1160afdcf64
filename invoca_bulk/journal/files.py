"""A journal's file: where it is, whose it is, and how it is opened.

It holds no token and no header. One process writes at a time, and holds an operating-system lock that dies with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import socket
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

import filelock
import sqlalchemy as sa

from invoca_bulk.errors import JournalHeld, SettingInvalid
from invoca_bulk.journal import tables
from invoca_bulk.journal.book import Journal
from invoca_bulk.journal.states import RunState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from invoca_bulk.journal.records import RowRecord, RunRecord
    from invoca_bulk.schema.outputs import Outcome
    from invoca_bulk.settings import Network


T = TypeVar("T")

#: Seconds: `runs` holds a lock for an instant to see whether it is free.
_PATIENCE = 0.2


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
                book = Journal(connection)
                book.take_over()
                yield book
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
        _make_private(path)
    except OSError as error:
        msg = f"The journal cannot be kept in {folder} ({error.strerror}). Name another folder with --journal."
        raise SettingInvalid(msg) from None


def _make_private(path: Path) -> None:
    """Make a file that only the user can read, or make it so; never through a link that somebody has put there."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        if hasattr(os, "fchmod"):  # not on Windows
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


@contextmanager
def _owned(path: Path) -> Iterator[None]:
    lock = filelock.FileLock(path.with_suffix(".lock"), mode=0o600)
    owner = path.with_suffix(".owner")
    try:
        lock.acquire(timeout=_PATIENCE, poll_interval=_PATIENCE / 4)
    except filelock.Timeout:
        msg = f"Another run works on this network: {_who(path)}. Wait until it has ended, then try again."
        raise JournalHeld(msg) from None
    try:
        since = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
        note = Owner(process=os.getpid(), host=socket.gethostname(), since=since)
        owner.touch(mode=0o600)
        owner.write_text(json.dumps(vars(note)))
        yield
        owner.unlink(missing_ok=True)
    finally:
        lock.release()


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The process that holds a journal: its number, its machine, and since when (UTC, ISO 8601 with a space)."""

    process: int
    host: str
    since: str


def _owner(path: Path) -> Owner | None:
    """Who holds a journal; None: there is no note of it, or none that can be read."""
    try:
        return Owner(**json.loads(path.with_suffix(".owner").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _who(path: Path) -> str:
    owner = _owner(path)
    return f"process {owner.process} on {owner.host}, since {owner.since} UTC" if owner else "an unknown process"


def stop(folder: Path, run: str) -> bool:
    """Ask the process that is at work on a run to stop softly; a second time, at once. It may be any door's.

    Returns:
        Whether a process of this machine was asked; it is over, or another machine's, if not.

    Raises:
        SettingInvalid: no journal in the folder knows the run.
    """
    record, path = _first(folder, run, lambda path, book: (book.run(run), path))
    owner = _owner(path) if record.state is RunState.RUNNING and _is_held(path) else None
    if owner is None or owner.host != socket.gethostname():
        return False
    with contextlib.suppress(OSError):  # it has just ended
        # Not SIGINT: what a notebook's kernel starts has that one ignored.
        os.kill(owner.process, getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))
    return True


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
class Listed:
    """One run of any journal in a folder.

    Attributes:
        record: the run.
        totals: outcome to number of rows.
        held: whether a process is at work on its network.
        is_open: whether resuming it would do something.
        owner: of one that `running` gave, the process; None: not known.
    """

    record: RunRecord
    totals: Mapping[Outcome, int]
    held: bool
    is_open: bool
    owner: Owner | None = None

    @property
    def state(self) -> str:
        """Where the run stands; `closed`: it was stopped, and later runs do what it left."""
        is_closed = self.record.state in {RunState.INTERRUPTED, RunState.ABORTED} and not self.is_open
        return "closed" if is_closed else self.record.state


def results_of(folder: Path, run: str) -> tuple[RunRecord, list[RowRecord]]:
    """A run and its rows as they stand now, in whichever journal of a folder it is; also while another process runs it.

    Raises:
        SettingInvalid: no journal there knows the run.
    """
    return _first(folder, run, lambda path, book: (_as_it_is(book.run(run), held=_is_held(path)), book.rows(run)))


def run_of(folder: Path, run: str) -> RunRecord:
    """A run, in whichever journal of a folder it is.

    Raises:
        SettingInvalid: no journal there knows the run.
    """
    return _first(folder, run, lambda path, book: _as_it_is(book.run(run), held=_is_held(path)))


def _as_it_is(record: RunRecord, *, held: bool) -> RunRecord:
    """A run whose process was killed could not record that it was interrupted."""
    is_dead = record.state is RunState.RUNNING and not held
    return replace(record, state=RunState.INTERRUPTED) if is_dead else record


def _first(folder: Path, run: str, look: Callable[[Path, Journal], T]) -> T:
    """What the journal that knows a run says of it."""
    others: list[Path] = []
    for path, book in _books(folder, others):
        with contextlib.suppress(sa.exc.NoResultFound):
            return look(path, book)
    unread = " Journals of another version of this program are there too, and cannot be read." if others else ""
    msg = (
        f"No journal in {folder} knows the run {run!r}.{unread} "
        "A run's id stands in the column result_run of its results, and in `invoca-bulk runs`."
    )
    raise SettingInvalid(msg)


def listed(folder: Path) -> list[Listed]:
    """All runs of the journals in a folder, the oldest first; also while other processes are at work."""
    found = []
    for path, book in _books(folder, []):
        held = _is_held(path)
        totals = book.totals()
        found += [_listed(one, totals.get(one.run, {}), book, held=held) for one in book.runs()]
    return sorted(found, key=lambda one: one.record.started_at)


def running(folder: Path) -> list[Listed]:
    """The runs that processes are at work on now, the oldest first; cheap enough to be asked all the time."""
    found = []
    # The note is there while a journal is held, or if its holder was killed. Without one the lock itself is left
    # alone: to try it disturbs who wants it.
    held = (path for path in folder.glob("*.owner") if _is_held(path))
    for path, book in _books(folder, [], names=[path.with_suffix(".sqlite").name for path in held]):
        now = [one for one in book.runs() if one.state is RunState.RUNNING]
        told = [_listed(one, book.totals(one.run).get(one.run, {}), book, held=True) for one in now]
        found += [replace(one, owner=_owner(path)) for one in told]
    return sorted(found, key=lambda one: one.record.started_at)


def _listed(record: RunRecord, totals: Mapping[Outcome, int], book: Journal, *, held: bool) -> Listed:
    return Listed(record=_as_it_is(record, held=held), totals=totals, held=held, is_open=book.is_open(record))


@contextmanager
def reading(folder: Path, network: Network) -> Iterator[Journal | None]:
    """A network's journal to look into, also while another process has it; None: there is none yet."""
    path = journal_file(folder, base_url=network.base_url, network_id=network.network_id)
    with _readable(path) as book:
        yield book


def _books(folder: Path, others: list[Path], names: Sequence[str] | None = None) -> Iterator[tuple[Path, Journal]]:
    """The journals in a folder, all or some; those of another version are left out, and put into a list."""
    for path in sorted(folder.glob("*.sqlite")) if names is None else [folder / name for name in names]:
        with contextlib.suppress(sa.exc.DatabaseError):
            try:
                with _readable(path) as book:
                    if book:
                        yield path, book
            except tables.OtherVersion:
                others.append(path)


@contextmanager
def _readable(path: Path) -> Iterator[Journal | None]:
    if not path.exists():
        yield None
        return
    engine = sa.create_engine(f"sqlite:///file:{quote(str(path))}?mode=ro&uri=true")
    try:
        with engine.connect() as connection:
            if tables.is_empty(connection):
                yield None
            else:
                tables.check(connection)
                yield Journal(connection)
    finally:
        engine.dispose()


def _is_held(path: Path) -> bool:
    """Whether a process has a journal; whoever wants it at this very moment tries again."""
    lock = filelock.FileLock(path.with_suffix(".lock"), mode=0o600)
    try:
        with lock.acquire(blocking=False):
            return False
    except filelock.Timeout:
        return True
    except OSError:  # a folder that can only be read
        return False
