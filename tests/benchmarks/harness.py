"""How benchmarks are measured and told: interleaved repeats, medians, ours beside the peer's, in one run.

A benchmark is a function that takes a `Size` and yields `Figure`s. Times drift from run to run; ratios hold, since ours
and the peer's take turns. Each measured piece of work runs in a process of its own, so that nothing is warm, or still
in memory, from what came before.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HERE = Path(__file__).parent


class Size(Enum):
    """How large a benchmark is: `FULL` for the figures of the README, `SMALL` to see that it works."""

    SMALL = "small"
    FULL = "full"

    def rows(self, full: int, small: int) -> int:
        """The number for this size."""
        return full if self is Size.FULL else small


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table.

    Attributes:
        what: the work.
        ours: ours.
        peer: the peer's, or what would be ideal; None: there is none.
        unit: of both.
        peer_is: who the peer is.
        better: whether more is better, or less.
        wanted: the target for the ratio ours : peer (more is better) or peer : ours (less is better); None: none.
        rows: it is the point of the growth chart for so many rows, and no line of the table; None: it is a line.
    """

    what: str
    ours: float
    peer: float | None
    unit: str
    peer_is: str
    better: str = "less"
    wanted: float | None = None
    rows: int | None = None

    @property
    def ratio(self) -> float | None:
        """How many times better than the peer."""
        if self.peer is None:
            return None
        return self.peer / self.ours if self.better == "less" else self.ours / self.peer

    @property
    def is_reached(self) -> bool:
        """Whether the target is."""
        return self.wanted is None or (self.ratio is not None and self.ratio >= self.wanted)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One piece of work in a process of its own.

    Attributes:
        seconds: what it said that it took.
        peak: the most memory that the process had, in MiB.
        before: the memory that it had when the work began, in MiB.
        result: what it gave, to compare ours with the peer's.
    """

    seconds: float
    peak: float
    before: float
    result: Any


def interleaved(
    works: Mapping[str, tuple[str, Mapping[str, Any]]], *, repeats: int
) -> dict[str, tuple[Measured, list[Measured]]]:
    """Run pieces of work in turns.

    Args:
        works: name to the work (`module:function`, a module of this folder) and its arguments, which have to be JSON.
        repeats: how often each.

    Returns:
        Name to the one of median time, and all.
    """
    runs: dict[str, list[Measured]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, (target, arguments) in works.items():
            runs[name].append(apart(target, **arguments))
    for name, some in runs.items():
        print(f"  {name}: {spread(some)}", file=sys.stderr, flush=True)
    return {name: (_median(some), some) for name, some in runs.items()}


def _median(runs: list[Measured]) -> Measured:
    return sorted(runs, key=lambda one: one.seconds)[len(runs) // 2]


def apart(target: str, /, **arguments: Any) -> Measured:
    """Run one piece of work in a process of its own."""
    command = [sys.executable, str(HERE / "harness.py"), target, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE, env=surroundings())
    if done.returncode:
        raise RuntimeError(done.stderr[-4000:])
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def surroundings() -> dict[str, str]:
    """Where work is measured: without settings that slow numpy down on some machines, and without the user's own."""
    return {name: text for name, text in os.environ.items() if not name.startswith(("INVOCA_", "OPENBLAS_"))}


def memory() -> float:
    """The most memory that this process has had, in MiB.

    Where Linux tells it: the system's own count takes in what the process that started this one had.
    """
    if peak := _status("VmHWM"):
        return peak
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1024 if sys.platform != "darwin" else 1024 * 1024)


def now_in_use() -> float:
    """The memory that this process has now, in MiB, freed memory given back first; elsewhere than on Linux its peak."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
    return _status("VmRSS") or memory()


def peak_from_here() -> Callable[[], float]:
    """Forget the peak so far; gives what tells the new one. Elsewhere than on Linux the old one stays."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return memory


def _status(name: str) -> float:
    """A figure of the process in MiB, as Linux tells it; 0: it does not."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:")), 0.0)
    return 0.0


def work(function: Callable[..., Any], **arguments: Any) -> Measured:
    """Run a piece of work here; what it gives is (seconds, result), or a result that is timed as a whole."""
    before, began = memory(), time.perf_counter()
    result = function(**arguments)
    seconds = time.perf_counter() - began
    if isinstance(result, tuple):
        seconds, result = result
    return Measured(seconds=seconds, peak=memory(), before=before, result=result)


def machine() -> str:
    """Where it was measured, without its name."""
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"


def told(figures: list[Figure]) -> str:
    """The table, as Markdown."""
    lines = ["| what | ours | peer | ratio | wanted |", "| --- | ---: | ---: | ---: | ---: |"]
    for one in (one for one in figures if one.rows is None):
        peer = "" if one.peer is None else f"{one.peer:,.4g} {one.unit} ({one.peer_is})"
        ratio = "" if one.ratio is None else f"{one.ratio:.2f}"
        wanted = "" if one.wanted is None else f"{one.wanted:g}{'' if one.is_reached else ' (missed)'}"
        lines.append(f"| {one.what} | {one.ours:,.4g} {one.unit} | {peer} | {ratio} | {wanted} |")
    return "\n".join([*lines, "", f"Measured on {machine()}; medians of interleaved repeats."])


def spread(runs: list[Measured]) -> str:
    """The range of times, to judge a median by."""
    times = [one.seconds for one in runs]
    return f"{min(times):.3g} to {max(times):.3g} s, median {statistics.median(times):.3g}"


if __name__ == "__main__":
    module, _, name = sys.argv[1].partition(":")
    sys.path.insert(0, str(HERE))
    called = getattr(__import__(module), name)
    print(json.dumps(asdict(work(called, **json.loads(sys.argv[2])))))
