"""Looking at journals from outside: which runs there are, how far they are, and who is at them; any process may."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import sqlalchemy as sa

from invoca_bulk.errors import SettingInvalid
from invoca_bulk.journal import tables
from invoca_bulk.journal.files import is_held, owner_of, readable
from invoca_bulk.journal.states import RunState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from invoca_bulk.journal.book import Journal
    from invoca_bulk.journal.files import Owner
    from invoca_bulk.journal.records import RowRecord, RunRecord
    from invoca_bulk.schema.outputs import Outcome

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One run of any journal in a folder.

    Attributes:
        record: the run.
        totals: outcome to number of rows.
        held: whether a process is at work on its network.
        is_open: whether resuming it would do something.
        owner: the process that is at work on its network; None: none, or it is not known.
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
    return _first(folder, run, lambda path, book: (_as_it_is(book.run(run), held=is_held(path)), book.rows(run)))


def run_of(folder: Path, run: str) -> RunRecord:
    """A run, in whichever journal of a folder it is.

    Raises:
        SettingInvalid: no journal there knows the run.
    """
    return _first(folder, run, lambda path, book: _as_it_is(book.run(run), held=is_held(path)))


def find(folder: Path, run: str) -> Listed | None:
    """A run as `listed` gives it; None: no journal in the folder knows it."""
    with contextlib.suppress(SettingInvalid):
        return _first(folder, run, lambda *its: _listed(its[1].run(run), *its, held=is_held(its[0])))
    return None


def listed(folder: Path) -> list[Listed]:
    """All runs of the journals in a folder, the oldest first; also while other processes are at work."""

    def look(path: Path, book: Journal) -> list[Listed]:
        held, totals = is_held(path), book.totals()
        return [_listed(one, path, book, held=held, totals=totals.get(one.run, {})) for one in book.runs()]

    found = [one for some in _looks(_journals(folder), look) for one in some]
    return sorted(found, key=lambda one: one.record.started_at)


def running(folder: Path) -> list[Listed]:
    """The runs that processes are at work on now, the oldest first; cheap enough to be asked all the time."""

    def look(path: Path, book: Journal) -> list[Listed]:
        now = [one for one in book.runs() if one.state is RunState.RUNNING]
        return [_listed(one, path, book, held=True) for one in now]

    # The note of an owner is there while a journal is held, or if its holder was killed. Without one the lock itself
    # is left alone: to try it disturbs who wants it.
    noted = sorted(path.with_suffix(".sqlite") for path in folder.glob("*.owner"))
    found = [one for some in _looks(filter(is_held, noted), look) for one in some]
    return sorted(found, key=lambda one: one.record.started_at)


def foreign(folder: Path) -> list[Path]:
    """The journals in a folder that another version of this program has written, and that cannot be read."""
    others: list[Path] = []
    list(_looks(_journals(folder), lambda *_: None, others))
    return others


def stop(folder: Path, run: str) -> str:
    """Ask the process that is at work on a run to stop softly; a second time, at once. It may be any door's.

    Returns:
        Why it could not be asked, in a sentence; empty: it was.

    Raises:
        SettingInvalid: no journal in the folder knows the run.
    """
    record, path = _first(folder, run, lambda path, book: (book.run(run), path))
    owner = owner_of(path) if record.state is RunState.RUNNING and is_held(path) else None
    if owner is None:
        return "It is not under way any more."
    if owner.host != socket.gethostname():
        return f"It runs on {owner.host}, and can be stopped there only."
    if not owner.heeds:
        return f"It runs within a program (process {owner.process}) that has to stop it itself."
    with contextlib.suppress(OSError):  # it has just ended
        # Not SIGINT: what a notebook's kernel starts has that one ignored.
        os.kill(owner.process, getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))
    return ""


def _listed(
    record: RunRecord, path: Path, book: Journal, *, held: bool, totals: Mapping[Outcome, int] | None = None
) -> Listed:
    return Listed(
        record=_as_it_is(record, held=held),
        totals=book.totals(record.run).get(record.run, {}) if totals is None else totals,
        held=held,
        is_open=book.is_open(record),
        owner=owner_of(path) if held else None,
    )


def _as_it_is(record: RunRecord, *, held: bool) -> RunRecord:
    """A run whose process was killed could not record that it was interrupted."""
    is_dead = record.state is RunState.RUNNING and not held
    return replace(record, state=RunState.INTERRUPTED) if is_dead else record


def _first(folder: Path, run: str, look: Callable[[Path, Journal], T]) -> T:
    """What the journal that knows a run says of it."""

    def known(path: Path, book: Journal) -> T | None:
        with contextlib.suppress(sa.exc.NoResultFound):
            return look(path, book)
        return None

    others: list[Path] = []
    for found in _looks(_journals(folder), known, others):
        if found is not None:
            return found
    unread = " Journals of another version of this program are there too, and cannot be read." if others else ""
    msg = (
        f"No journal in {folder} knows the run {run!r}.{unread} "
        "A run's id stands in the column result_run of its results, and in `invoca-bulk runs`."
    )
    raise SettingInvalid(msg)


def _journals(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.sqlite"))


def _looks(paths: Iterable[Path], look: Callable[[Path, Journal], T], others: list[Path] | None = None) -> Iterator[T]:
    """What journals say; those of another version are left out, and put into a list, those that cannot be read too."""
    for path in paths:
        try:
            with readable(path) as book:
                found = look(path, book) if book else None
        except tables.OtherVersion:
            (others if others is not None else []).append(path)
        except sa.exc.DatabaseError:
            continue
        else:
            if found is not None:
                yield found
