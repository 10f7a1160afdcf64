"""The journal's write-ahead log is truncated, as after a power failure: a row is missing or complete.

Only what was synced is guaranteed: each `sent` is on disk before its request is sent. A tail that was not synced may be
cut anywhere, and contains only rows whose request was not sent.
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
_HEADER_BYTES, _FRAME_HEADER_BYTES = 32, 24


def _wal(network: Any) -> Path:
    journal_file: Path = network.journal
    return journal_file.with_name(f"{journal_file.name}-wal")


def _commits(wal: bytes) -> list[tuple[int, int]]:
    """Start and end of each commit in a log; the last frame of a commit has a page count."""
    size = _FRAME_HEADER_BYTES + int(struct.unpack(">I", wal[8:12])[0])
    commits, begin = [], _HEADER_BYTES
    for offset in range(_HEADER_BYTES, len(wal) - size + 1, size):
        pages, salt = struct.unpack(">I8s", wal[offset + 4 : offset + 16])
        if salt != wal[16:24]:
            break
        if pages:
            commits.append((begin, offset + size))
            begin = offset + size
    return commits


def _cuts(wal: bytes) -> Iterator[int]:
    """Lengths to cut a log to: 0, within its header, and at the border and within the frames of each commit."""
    yield from (0, 16, _HEADER_BYTES)
    size = _FRAME_HEADER_BYTES + int(struct.unpack(">I", wal[8:12])[0])
    for begin, end in _commits(wal):
        yield from (begin + 12, begin + size // 2, begin + size, end - size, end - 1, end)


def _run_and_kill(make_network: Callable[..., Any], way: str, kill: tuple[str, int]) -> Any:
    network = make_network(WAYS[way], concurrency=1)
    rows = network.way.rows("sheet", _ROWS)
    assert network.run_job(network.job(rows, "sheet", kill=kill)) is None
    return network


def _states(path: Path) -> list[tuple[str, Any, Any]]:
    """State, answer and send time of each step; empty if the file does not have all its tables yet."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if not {"runs", "steps", "rows"} <= tables:
            return []
        rows, runs = (connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("rows", "runs"))  # noqa: S608  constant names
        steps = connection.execute("SELECT state, answer, sent_at FROM steps ORDER BY step").fetchall()
        assert (rows, len(steps)) == (_ROWS * runs, _ROWS * runs)
        return steps


def test_row_is_missing_or_complete(make_network: Callable[..., Any], tmp_path: Path) -> None:
    """Wherever the log is cut, the journal opens, and contains the run with all its rows or not at all."""
    network = _run_and_kill(make_network, "list, distinct", ("status after", 9))
    issued = {entry.number for entry in network.ledger}
    wal, previous_count = _wal(network).read_bytes(), 0
    settings = Settings(network_id=network.network_id, base_url=network.box.base_url, token="any-token")
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
        count = sum(state != "pending" for state, _, _ in states) + len(done)
        assert count >= previous_count  # a longer log contains at least as much as a shorter one
        previous_count = count
        with journal.open_for_writing(folder, settings) as store:
            assert len(store.runs()) == bool(states)
    assert previous_count == 9 + 8  # nine steps were sent, and eight of them are done


@pytest.mark.parametrize("way", ["list, sent again", "own ids"])
@pytest.mark.parametrize("cut", ["border", "frame header", "frame content", "last byte"])
def test_run_continues_after_its_unsynced_tail_is_cut(make_network: Callable[..., Any], way: str, cut: str) -> None:
    """If the commit of a `sent` is cut before its request was sent, the row is sent and nothing is bought twice."""
    network = _run_and_kill(make_network, way, ("sent after", 9))
    wal = _wal(network).read_bytes()
    begin, end = _commits(wal)[-1]
    lengths = {"border": begin, "frame header": begin + 12, "frame content": begin + 99}
    _wal(network).write_bytes(wal[: lengths.get(cut, end - 1)])
    assert sum(state == "sent" for state, _, _ in _states(network.journal)) == 0
    network.run_to_end(network.way.rows("sheet", _ROWS), "sheet")
    figures = network.figures()
    assert figures.is_sound, figures
    assert (figures.created, figures.issued) == (_ROWS, _ROWS)


@pytest.mark.parametrize("back", [2, 7, 15])
def test_surviving_rows_are_not_bought_twice(make_network: Callable[..., Any], back: int) -> None:
    """Even if more is lost than in a power failure, only rows whose `sent` is lost can be bought again."""
    network = _run_and_kill(make_network, "list, sent again", ("status after", 9))
    wal = _wal(network).read_bytes()
    begin, end = _commits(wal)[-back]
    _wal(network).write_bytes(wal[: (begin + end) // 2])
    states = _states(network.journal)
    lost = {f"sheet {index}" for index, (state, _, _) in enumerate(states) if state == "pending"}
    network.run_to_end(network.way.rows("sheet", _ROWS), "sheet")
    descriptions = [entry.body["description"] for entry in network.ledger]
    assert {text for text in descriptions if descriptions.count(text) > 1} <= lost
    assert set(descriptions) >= {f"sheet {index}" for index in range(_ROWS)} - lost
