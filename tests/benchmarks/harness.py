"""How benchmarks are measured and reported: interleaved repeats, medians, ours and the peer's in the same run.

A benchmark is a function that takes a `Size` and yields `Figure`s. Times drift between runs; ratios are stable, since
ours and the peer's alternate. Each task runs in a separate process, so that no cache or memory is left from earlier
tasks.
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
    """The size of a benchmark: `FULL` for the figures of this folder's README.md, `SMALL` to check that it works."""

    SMALL = "small"
    FULL = "full"

    def rows(self, full: int, small: int) -> int:
        """The number of rows for this size."""
        return full if self is Size.FULL else small


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table.

    Attributes:
        label: a description for the measured task.
        ours: our value.
        peer: the peer's value, or the ideal; None if there is none.
        unit: the unit of both values.
        peer_name: the name of the peer.
        better: "more" or "less": which values are better.
        target: the target for the ratio ours : peer ("more") or peer : ours ("less"); None if there is none.
        rows: for a point of the growth chart, its number of rows; None for a line of the table.
    """

    label: str
    ours: float
    peer: float | None
    unit: str
    peer_name: str
    better: str = "less"
    target: float | None = None
    rows: int | None = None

    @property
    def ratio(self) -> float | None:
        """How many times better ours is than the peer's; None without a peer."""
        if self.peer is None:
            return None
        return self.peer / self.ours if self.better == "less" else self.ours / self.peer

    @property
    def is_target_met(self) -> bool:
        """Whether the target is met; True without a target."""
        return self.target is None or (self.ratio is not None and self.ratio >= self.target)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The measurements of one task, run in a separate process.

    Attributes:
        seconds: its duration.
        peak: the peak memory of the process, in MiB.
        before: the peak memory of the process when the task started, in MiB.
        result: its return value, to compare ours with the peer's.
    """

    seconds: float
    peak: float
    before: float
    result: Any


def run_interleaved(
    tasks: Mapping[str, tuple[str, Mapping[str, Any]]], *, repeats: int
) -> dict[str, tuple[Measured, list[Measured]]]:
    """Run tasks in turns.

    Args:
        tasks: name to function (`module:function`, a module of this folder) and its arguments, which have to be JSON.
        repeats: how often each task is run.

    Returns:
        Name to the measurement of median time, and all measurements.
    """
    runs: dict[str, list[Measured]] = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, (target, arguments) in tasks.items():
            runs[name].append(run_task(target, **arguments))
    for name, measurements in runs.items():
        print(f"  {name}: {spread(measurements)}", file=sys.stderr, flush=True)
    return {name: (_median(measurements), measurements) for name, measurements in runs.items()}


def _median(runs: list[Measured]) -> Measured:
    return sorted(runs, key=lambda run: run.seconds)[len(runs) // 2]


def run_task(target: str, /, **arguments: Any) -> Measured:
    """Run one task in a separate process."""
    command = [sys.executable, str(HERE / "harness.py"), target, json.dumps(arguments)]
    process = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE, env=clean_environment())
    if process.returncode:
        raise RuntimeError(process.stderr[-4000:])
    return Measured(**json.loads(process.stdout.splitlines()[-1]))


def clean_environment() -> dict[str, str]:
    """The environment for tasks: without settings that slow numpy down on some machines, and without the user's."""
    return {name: text for name, text in os.environ.items() if not name.startswith(("INVOCA_", "OPENBLAS_"))}


def peak_memory() -> float:
    """The peak memory of this process, in MiB.

    From /proc on Linux, since `getrusage` includes the memory of the parent process.
    """
    if peak := _status("VmHWM"):
        return peak
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1024 if sys.platform != "darwin" else 1024 * 1024)


def current_memory() -> float:
    """The current memory of this process after a trim, in MiB; its peak on systems other than Linux."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
    return _status("VmRSS") or peak_memory()


def reset_peak_memory() -> Callable[[], float]:
    """Reset the peak memory, and return the function that reads it, in MiB. Resets on Linux only."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak_memory


def _status(name: str) -> float:
    """A memory figure of this process from /proc/self/status, in MiB; 0 if not available."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:")), 0.0)
    return 0.0


def measure(function: Callable[..., Any], **arguments: Any) -> Measured:
    """Run and measure a task in this process; it returns (seconds, result), or a result and is timed here."""
    before, began = peak_memory(), time.perf_counter()
    result = function(**arguments)
    seconds = time.perf_counter() - began
    if isinstance(result, tuple):
        seconds, result = result
    return Measured(seconds=seconds, peak=peak_memory(), before=before, result=result)


def machine() -> str:
    """Describe this machine without its name."""
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"


def markdown_table(figures: list[Figure]) -> str:
    """The table of the figures, as Markdown."""
    lines = ["| benchmark | ours | peer | ratio | target |", "| --- | ---: | ---: | ---: | ---: |"]
    for figure in (figure for figure in figures if figure.rows is None):
        peer = "" if figure.peer is None else f"{figure.peer:,.4g} {figure.unit} ({figure.peer_name})"
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        target = "" if figure.target is None else f"{figure.target:g}{'' if figure.is_target_met else ' (missed)'}"
        lines.append(f"| {figure.label} | {figure.ours:,.4g} {figure.unit} | {peer} | {ratio} | {target} |")
    return "\n".join([*lines, "", f"Measured on {machine()}; medians of interleaved repeats."])


def spread(runs: list[Measured]) -> str:
    """Describe the range of times and the median."""
    times = [run.seconds for run in runs]
    return f"{min(times):.3g} to {max(times):.3g} s, median {statistics.median(times):.3g}"


if __name__ == "__main__":
    module, _, name = sys.argv[1].partition(":")
    sys.path.insert(0, str(HERE))
    task = getattr(__import__(module), name)
    print(json.dumps(asdict(measure(task, **json.loads(sys.argv[2])))))
