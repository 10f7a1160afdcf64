"""The system calls of a run: each `sent` is on disk before the first byte of its request is sent."""

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
_LINE = re.compile(r"^(?P<thread>\d+) +(?P<call>\w+)\((?P<arguments>.*)$")
_RESUMED = re.compile(r"^(?P<thread>\d+) +<\.\.\. (?P<call>\w+) resumed>.*$")
_SYNCS = {"fsync", "fdatasync"}


def _can_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "true"], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(
    not _can_trace(), reason="needs strace (apt-get install strace) and permission to trace"
)


class Event(NamedTuple):
    """`intent` or `post` of a row, `written`, `synced`; only `synced` is at the end of its system call."""

    kind: str
    row: int = -1


def _trace(folder: Path, job: dict[str, Any]) -> list[str]:
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    command = ["strace", "-f", "-y", "-s", "400", "-e", f"trace={_TRACED}", "-o", str(folder / "trace")]
    process = subprocess.run(
        [*command, sys.executable, str(RUNNER), str(folder / "job.json")],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return (folder / "trace").read_text(encoding="utf-8").splitlines()


class _TraceReader:
    """Reads a trace line by line. A POST is recognized by its header, which is sent before the body with the row."""

    def __init__(self, marks: str) -> None:
        self._marks = marks
        self._syncing: set[str] = set()
        self._post_indices: dict[str, int] = {}
        self.events: list[Event] = []

    def read(self, line: str) -> None:
        if end := _RESUMED.match(line):
            self._read_end(end["thread"], end["call"])
        elif start := _LINE.match(line):
            if "-wal>" in start["arguments"]:
                self._read_log_call(start["thread"], start["call"], start["arguments"])
            else:
                self._read_request_call(start["arguments"])

    def _read_end(self, thread: str, call: str) -> None:
        if call in _SYNCS and thread in self._syncing:
            self._syncing.discard(thread)
            self.events.append(Event("synced"))

    def _read_log_call(self, thread: str, call: str, arguments: str) -> None:
        if call not in _SYNCS:
            self.events.append(Event("written"))
        elif arguments.endswith("<unfinished ...>"):
            self._syncing.add(thread)
        else:
            self.events.append(Event("synced"))

    def _read_request_call(self, arguments: str) -> None:
        target = arguments.partition(",")[0]
        if self._marks in arguments:
            self.events += [Event("intent", int(row)) for row in re.findall(r"sent (\d+)", arguments)]
        elif '"POST ' in arguments:
            self._post_indices[target] = len(self.events)
            self.events.append(Event("post"))
        elif (match := re.search(r"number-(\d+)-", arguments)) and target in self._post_indices:
            self.events[self._post_indices.pop(target)] = Event("post", int(match[1]))


def _parse_trace(lines: Iterable[str], marks: str) -> list[Event]:
    """The events of a trace, in order."""
    reader = _TraceReader(marks)
    for line in lines:
        reader.read(line)
    return reader.events


def _rows_sent_early(events: Iterable[Event]) -> list[int]:
    """The rows whose request began before their commit was on disk, or without a commit."""
    stages: dict[int, str] = {}
    early = []
    for event in events:
        if event.kind == "intent":
            stages[event.row] = "intent"
        elif event.kind == "written":
            stages = {row: "written" if stage == "intent" else stage for row, stage in stages.items()}
        elif event.kind == "synced":
            stages = {row: "synced" if stage == "written" else stage for row, stage in stages.items()}
        elif stages.get(event.row) != "synced":
            early.append(event.row)
    return early


def _run(make_network: Callable[..., Any], tmp_path: Path, patch: list[str], concurrency: int) -> list[Event]:
    network = make_network(WAYS["list, distinct"], concurrency=concurrency)
    rows = [{**row, "description": f"number-{index}-"} for index, row in enumerate(network.way.rows("sheet", 12))]
    job = network.job(rows, "sheet", marks=str(tmp_path / "marks"), patch=["marks", *patch])
    events = _parse_trace(_trace(tmp_path, job), str(tmp_path / "marks"))
    assert sorted(event.row for event in events if event.kind == "post") == list(range(12))
    assert len(network.ledger) == 12
    return events


@pytest.mark.parametrize("concurrency", [1, 4])
def test_intent_is_on_disk_before_the_first_byte(
    make_network: Callable[..., Any], tmp_path: Path, concurrency: int
) -> None:
    """The write-ahead log with the `sent` is written and synced before the request's header is sent."""
    assert _rows_sent_early(_run(make_network, tmp_path, [], concurrency)) == []


def test_missing_sync_is_detected(make_network: Callable[..., Any], tmp_path: Path) -> None:
    """Without the sync, every row counts as sent too early."""
    assert sorted(_rows_sent_early(_run(make_network, tmp_path, ["no sync"], 1))) == list(range(12))
