"""The system calls of a run: what is sent is on the disk before its first byte leaves."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.crash.driving import RUNNER
from tests.crash.ways import WAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

_TRACED = "fsync,fdatasync,sendto,sendmsg,write,writev,pwrite64"
_LINE = re.compile(r"^(?P<thread>\d+) +(?P<call>\w+)\((?P<rest>.*)$")
_RESUMED = re.compile(r"^(?P<thread>\d+) +<\.\.\. (?P<call>\w+) resumed>(?P<rest>.*)$")
_SYNCS = {"fsync", "fdatasync"}


def _can_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "true"], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not _can_trace(), reason="needs strace (apt-get install strace) and the right to trace")


class Event(NamedTuple):
    """`intent` and `post` (begun; with the row), `written` (begun) and `synced` (ended)."""

    what: str
    row: int = -1


def _traced(folder: Path, job: dict[str, Any]) -> list[str]:
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    command = ["strace", "-f", "-y", "-s", "400", "-e", f"trace={_TRACED}", "-o", str(folder / "trace")]
    done = subprocess.run(
        [*command, sys.executable, str(RUNNER), str(folder / "job.json")],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return (folder / "trace").read_text(encoding="utf-8").splitlines()


class _Reader:
    """Reads a trace, line by line; a POST is told by its head, which goes out before the body that names its row."""

    def __init__(self, marks: str) -> None:
        self._marks = marks
        self._syncing: set[str] = set()
        self._heads: dict[str, int] = {}
        self.found: list[Event] = []

    def read(self, line: str) -> None:
        if ended := _RESUMED.match(line):
            self._ended(ended["thread"], ended["call"])
        elif begun := _LINE.match(line):
            if "-wal>" in begun["rest"]:
                self._of_the_log(begun["thread"], begun["call"], begun["rest"])
            else:
                self._of_a_request(begun["rest"])

    def _ended(self, thread: str, call: str) -> None:
        if call in _SYNCS and thread in self._syncing:
            self._syncing.discard(thread)
            self.found.append(Event("synced"))

    def _of_the_log(self, thread: str, call: str, rest: str) -> None:
        if call not in _SYNCS:
            self.found.append(Event("written"))
        elif rest.endswith("<unfinished ...>"):
            self._syncing.add(thread)
        else:
            self.found.append(Event("synced"))

    def _of_a_request(self, rest: str) -> None:
        target = rest.partition(",")[0]
        if self._marks in rest:
            self.found += [Event("intent", int(row)) for row in re.findall(r"sent (\d+)", rest)]
        elif '"POST ' in rest:
            self._heads[target] = len(self.found)
            self.found.append(Event("post"))
        elif (named := re.search(r"number-(\d+)-", rest)) and target in self._heads:
            self.found[self._heads.pop(target)] = Event("post", int(named[1]))


def _events(lines: Iterable[str], marks: str) -> list[Event]:
    """What matters of a trace, in order."""
    reader = _Reader(marks)
    for line in lines:
        reader.read(line)
    return reader.found


def _too_early(events: Iterable[Event]) -> list[int]:
    """The rows whose request began before their commit was on the disk, and those that were sent without any."""
    stage: dict[int, str] = {}
    early = []
    for one in events:
        if one.what == "intent":
            stage[one.row] = "intent"
        elif one.what == "written":
            stage = {row: "written" if at == "intent" else at for row, at in stage.items()}
        elif one.what == "synced":
            stage = {row: "synced" if at == "written" else at for row, at in stage.items()}
        elif stage.get(one.row) != "synced":
            early.append(one.row)
    return early


def _run(on: Callable[..., Any], tmp_path: Path, patch: list[str], concurrency: int) -> list[Event]:
    network = on(WAYS["list, distinct"], concurrency=concurrency)
    rows = [{**row, "description": f"number-{at}-"} for at, row in enumerate(network.way.rows("sheet", 12))]
    job = network.job(rows, "sheet", marks=str(tmp_path / "marks"), patch=["marks", *patch])
    events = _events(_traced(tmp_path, job), str(tmp_path / "marks"))
    assert sorted(one.row for one in events if one.what == "post") == list(range(12))
    assert len(network.ledger) == 12
    return events


@pytest.mark.parametrize("concurrency", [1, 4])
def test_the_intent_is_on_the_disk_before_the_first_byte(
    on: Callable[..., Any], tmp_path: Path, concurrency: int
) -> None:
    """The write-ahead log that holds `sent` is written and synced before the request's head goes to the socket."""
    assert _too_early(_run(on, tmp_path, [], concurrency)) == []


def test_a_journal_that_is_not_synced_is_noticed(on: Callable[..., Any], tmp_path: Path) -> None:
    """Without the sync, every row is one that was sent too early."""
    assert sorted(_too_early(_run(on, tmp_path, ["no sync"], 1))) == list(range(12))
