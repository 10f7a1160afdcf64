"""The journal's write-ahead log is cut at its end, as a power failure may leave it: a row is absent or whole.

Promised is what was synced: a `sent` that is on the disk before its request leaves. A tail that was not synced yet can
be torn anywhere, and only rows whose request had not left can be in it.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import struct
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from invoca_bulk import journal
from invoca_bulk.config.network import Network as Settings
from tests.crash.ways import WAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_ROWS = 20
_HEAD, _FRAME_HEAD = 32, 24


def _wal(network: Any) -> Path:
    journal_file: Path = network.journal
    return journal_file.with_name(f"{journal_file.name}-wal")


def _commits(wal: bytes) -> list[tuple[int, int]]:
    """Where each commit begins and ends in a log; its last frame says how many pages there are then."""
    size = _FRAME_HEAD + int(struct.unpack(">I", wal[8:12])[0])
    found, begin = [], _HEAD
    for at in range(_HEAD, len(wal) - size + 1, size):
        pages, salt = struct.unpack(">I8s", wal[at + 4 : at + 16])
        if salt != wal[16:24]:
            break
        if pages:
            found.append((begin, at + size))
            begin = at + size
    return found


def _cuts(wal: bytes) -> Iterator[int]:
    """Lengths to cut a log to: nothing, within its head, and at the border and within the frames of each commit."""
    yield from (0, 16, _HEAD)
    size = _FRAME_HEAD + int(struct.unpack(">I", wal[8:12])[0])
    for begin, end in _commits(wal):
        yield from (begin + 12, begin + size // 2, begin + size, end - size, end - 1, end)


def _killed(on: Callable[..., Any], way: str, kill: tuple[str, int]) -> Any:
    network = on(WAYS[way], concurrency=1)
    rows = network.way.rows("sheet", _ROWS)
    assert network.done(network.job(rows, "sheet", kill=kill)) is None
    return network


def _states(path: Path) -> list[tuple[str, Any, Any]]:
    """State, answer and time of sending of each step; none while the file does not have all its tables yet."""
    with closing(sqlite3.connect(path)) as book:
        assert book.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        tables = {name for (name,) in book.execute("SELECT name FROM sqlite_master")}
        if not {"runs", "steps", "rows"} <= tables:
            return []
        rows, runs = (book.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("rows", "runs"))  # noqa: S608  two names of ours
        steps = book.execute("SELECT state, answer, sent_at FROM steps ORDER BY step").fetchall()
        assert (rows, len(steps)) == (_ROWS * runs, _ROWS * runs)
        return steps


def test_a_row_is_absent_or_whole(on: Callable[..., Any], tmp_path: Path) -> None:
    """Wherever the log is cut, the journal opens, and holds the run with all its rows, or nothing of it."""
    network = _killed(on, "list, distinct", ("status after", 9))
    issued = {one.number for one in network.ledger}
    wal, steps = _wal(network).read_bytes(), 0
    where = Settings(network_id=network.network_id, base_url=network.box.base_url, token="any-token")
    assert len(_commits(wal)) > 20
    for length in sorted(set(_cuts(wal))):
        folder = tmp_path / f"cut-{length}"
        folder.mkdir()
        shutil.copy(network.journal, folder)
        (folder / _wal(network).name).write_bytes(wal[:length])
        states = _states(folder / network.journal.name)
        done = [json.loads(answer)["promo_number"] for state, answer, _ in states if state == "done"]
        assert set(done) <= issued
        assert len(set(done)) == len(done)
        assert all((sent_at is None) == (state == "pending") for state, _, sent_at in states)
        moved = sum(state != "pending" for state, _, _ in states) + len(done)
        assert moved >= steps  # a longer log knows as much as a shorter one
        steps = moved
        with journal.open_for_writing(folder, where) as book:
            assert len(book.runs()) == bool(states)
    assert steps == 9 + 8  # nine were sent, and eight of them answered


@pytest.mark.parametrize("way", ["list, sent again", "own ids"])
@pytest.mark.parametrize("cut", ["border", "in the head of a frame", "in the middle of a frame", "a byte"])
def test_a_run_goes_on_after_its_unsynced_tail_is_torn(on: Callable[..., Any], way: str, cut: str) -> None:
    """The commit of a `sent` whose request has not left yet is torn: the row is sent, and nothing is bought twice."""
    network = _killed(on, way, ("sent after", 9))
    wal = _wal(network).read_bytes()
    begin, end = _commits(wal)[-1]
    lengths = {"border": begin, "in the head of a frame": begin + 12, "in the middle of a frame": begin + 99}
    _wal(network).write_bytes(wal[: lengths.get(cut, end - 1)])
    assert sum(state == "sent" for state, _, _ in _states(network.journal)) == 0
    network.to_the_end(network.way.rows("sheet", _ROWS), "sheet")
    figures = network.figures()
    assert figures.is_sound, figures
    assert (figures.created, figures.issued) == (_ROWS, _ROWS)


@pytest.mark.parametrize("back", [2, 7, 15])
def test_what_has_survived_is_not_bought_twice(on: Callable[..., Any], back: int) -> None:
    """More is lost than a power failure can take: only rows whose `sent` is gone can be bought again."""
    network = _killed(on, "list, sent again", ("status after", 9))
    wal = _wal(network).read_bytes()
    begin, end = _commits(wal)[-back]
    _wal(network).write_bytes(wal[: (begin + end) // 2])
    states = _states(network.journal)
    gone = {f"sheet {at}" for at, (state, _, _) in enumerate(states) if state == "pending"}
    network.to_the_end(network.way.rows("sheet", _ROWS), "sheet")
    descriptions = [one.body["description"] for one in network.ledger]
    assert {one for one in descriptions if descriptions.count(one) > 1} <= gone
    assert set(descriptions) >= {f"sheet {at}" for at in range(_ROWS)} - gone
