"""Reading, validating and writing ten times the rows: at most eleven times the time and the memory."""

from __future__ import annotations

import gc
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rows
from harness import Figure, Size, current_memory, reset_peak_memory, run_interleaved, run_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness import Measured

REPEATS = 3
MAX_GROWTH = 11  # factor of time or memory for ten times the rows
MAX_WORKBOOK_ROWS = 100_000
WARM_UP_ROWS = 50  # to load all libraries before the measurement


def read(source: str) -> tuple[float, float]:
    """Read a file into a frame."""
    import invoca_bulk  # noqa: PLC0415  not timed

    return _measured(lambda: invoca_bulk.read(source))


def validate(source: str) -> tuple[float, float]:
    """Validate a frame."""
    import invoca_bulk  # noqa: PLC0415  not timed

    frame = invoca_bulk.read(source)
    return _measured(lambda: invoca_bulk.validate(frame))


def write(source: str, ending: str) -> tuple[float, float]:
    """Write a report to an annotated file."""
    import invoca_bulk  # noqa: PLC0415  not timed

    report = invoca_bulk.validate(source)
    with tempfile.TemporaryDirectory() as folder:
        return _measured(lambda: report.to_excel(Path(folder, f"annotated{ending}")))


def _warm() -> None:
    """Load everything that is loaded once, whatever the number of rows."""
    import invoca_bulk  # noqa: PLC0415  not timed

    report = invoca_bulk.validate(rows.frame(WARM_UP_ROWS))
    with tempfile.TemporaryDirectory() as folder:
        for ending in (".xlsx", ".csv"):
            invoca_bulk.read(report.to_excel(Path(folder, f"annotated{ending}")))


def _measured(task: Callable[[], Any]) -> tuple[float, float]:
    """The duration in seconds, and the memory that the task added to the process, in MiB."""
    _warm()
    gc.collect()
    before, peak = current_memory(), reset_peak_memory()
    began = time.perf_counter()
    result = task()
    seconds = time.perf_counter() - began
    del result
    return seconds, peak() - before


#: Name of a step to its function, further arguments, input file type, and maximum number of rows.
_STEPS: Mapping[str, tuple[str, Mapping[str, str], str, int]] = {
    "read CSV": ("growth:read", {}, ".csv", 1_000_000),
    "read xlsx": ("growth:read", {}, ".xlsx", MAX_WORKBOOK_ROWS),
    "validate": ("growth:validate", {}, ".csv", 1_000_000),
    "write CSV": ("growth:write", {"ending": ".csv"}, ".csv", 1_000_000),
    "write xlsx": ("growth:write", {"ending": ".xlsx"}, ".csv", MAX_WORKBOOK_ROWS),
}


def growth(size: Size) -> Iterator[Figure]:
    """The points of the chart, and for each step the largest growth factor between neighbouring points."""
    counts = [10_000, 100_000, 1_000_000] if size is Size.FULL else [100, 1_000]
    with tempfile.TemporaryDirectory() as folder:
        run_task("growth:write_files", folder=folder, counts=counts)
        for step in _STEPS:
            yield from _figures(step, _points(step, folder, counts, size.rows(REPEATS, 1)))


def write_files(folder: str, counts: list[int]) -> None:
    """Write the input files; workbooks only up to MAX_WORKBOOK_ROWS, since larger ones take too long."""
    for count in counts:
        rows.write_csv(_path(folder, count, ".csv"), count)
        if count <= MAX_WORKBOOK_ROWS:
            rows.write_workbook(_path(folder, count, ".xlsx"), count)


def _path(folder: str, count: int, ending: str) -> str:
    return str(Path(folder, f"{count}{ending}"))


def _points(step: str, folder: str, counts: list[int], repeats: int) -> dict[int, Measured]:
    target, extra_arguments, ending, max_rows = _STEPS[step]
    tasks = {
        str(count): (target, {"source": _path(folder, count, ending), **extra_arguments})
        for count in counts
        if count <= max_rows
    }
    return {int(name): median for name, (median, _) in run_interleaved(tasks, repeats=repeats).items()}


def _figures(step: str, points: Mapping[int, Measured]) -> Iterator[Figure]:
    for count, measurement in points.items():
        yield Figure(label=step, ours=measurement.seconds, peer=None, unit="s", peer_name="", rows=count)
    seconds = {count: measurement.seconds for count, measurement in points.items()}
    # at least 1 MiB: single pages are noise
    memory = {count: max(measurement.result, 1.0) for count, measurement in points.items()}
    for quantity, values in (("time", seconds), ("memory", memory)):
        factors = [values[many] / values[few] * 10 * few / many for few, many in pairwise(values)]
        label = f"{step}: {quantity} for 10 times the rows, up to {max(values):,}"
        yield Figure(label=label, ours=max(factors), peer=MAX_GROWTH, unit="times", peer_name="at most", target=1)


BENCHMARKS = (growth,)
