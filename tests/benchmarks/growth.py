"""Ten times the rows: at most eleven times the time and the memory, for reading, validating and writing."""

from __future__ import annotations

import gc
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rows
from harness import Figure, Size, apart, interleaved, now_in_use, peak_from_here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness import Measured

REPEATS = 3
MOST = 11  # times, for ten times the rows
MOST_IN_WORKBOOK = 100_000  # rows
FEW = 50  # rows that load all libraries before anything is measured


def read(source: str) -> tuple[float, float]:
    """A file to a frame."""
    import invoca_bulk  # noqa: PLC0415  it is not timed

    return _measured(lambda: invoca_bulk.read(source))


def validate(source: str) -> tuple[float, float]:
    """A frame to a report."""
    import invoca_bulk  # noqa: PLC0415  it is not timed

    frame = invoca_bulk.read(source)
    return _measured(lambda: invoca_bulk.validate(frame))


def write(source: str, ending: str) -> tuple[float, float]:
    """A report to the annotated file."""
    import invoca_bulk  # noqa: PLC0415  it is not timed

    report = invoca_bulk.validate(source)
    with tempfile.TemporaryDirectory() as folder:
        return _measured(lambda: report.save(Path(folder, f"annotated{ending}")))


def _warm() -> None:
    """Load what is loaded once, however many rows there are."""
    import invoca_bulk  # noqa: PLC0415  it is not timed

    report = invoca_bulk.validate(rows.frame(FEW))
    with tempfile.TemporaryDirectory() as folder:
        for ending in (".xlsx", ".csv"):
            invoca_bulk.read(report.save(Path(folder, f"annotated{ending}")))


def _measured(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds, and the memory in MiB that the work added to what the process had."""
    _warm()
    gc.collect()
    before, peak = now_in_use(), peak_from_here()
    began = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - began
    del result
    return seconds, peak() - before


#: What is done, to the work, its further arguments, the file that it takes, and how many rows it is measured to.
_STEPS: Mapping[str, tuple[str, Mapping[str, str], str, int]] = {
    "read CSV": ("growth:read", {}, ".csv", 1_000_000),
    "read xlsx": ("growth:read", {}, ".xlsx", MOST_IN_WORKBOOK),
    "validate": ("growth:validate", {}, ".csv", 1_000_000),
    "write CSV": ("growth:write", {"ending": ".csv"}, ".csv", 1_000_000),
    "write xlsx": ("growth:write", {"ending": ".xlsx"}, ".csv", MOST_IN_WORKBOOK),
}


def growth(size: Size) -> Iterator[Figure]:
    """The points of the chart, and of each step the larger of the factors between them."""
    counts = [10_000, 100_000, 1_000_000] if size is Size.FULL else [100, 1_000]
    with tempfile.TemporaryDirectory() as folder:
        apart("growth:write_files", folder=folder, counts=counts)
        for step in _STEPS:
            yield from _figures(step, _points(step, folder, counts, size.rows(REPEATS, 1)))


def write_files(folder: str, counts: list[int]) -> None:
    """The files that are read; nobody waits for a workbook of a million rows."""
    for count in counts:
        rows.write_csv(_path(folder, count, ".csv"), count)
        if count <= MOST_IN_WORKBOOK:
            rows.write_workbook(_path(folder, count, ".xlsx"), count)


def _path(folder: str, count: int, ending: str) -> str:
    return str(Path(folder, f"{count}{ending}"))


def _points(step: str, folder: str, counts: list[int], repeats: int) -> dict[int, Measured]:
    target, more, ending, most = _STEPS[step]
    works = {
        str(count): (target, {"source": _path(folder, count, ending), **more}) for count in counts if count <= most
    }
    return {int(name): median for name, (median, _) in interleaved(works, repeats=repeats).items()}


def _figures(step: str, points: Mapping[int, Measured]) -> Iterator[Figure]:
    for count, one in points.items():
        yield Figure(what=step, ours=one.seconds, peer=None, unit="s", peer_is="", rows=count)
    seconds = {count: one.seconds for count, one in points.items()}
    grown = {count: max(one.result, 1.0) for count, one in points.items()}  # a page more or less is no growth
    for word, told in (("time", seconds), ("memory", grown)):
        factors = [told[many] / told[few] * 10 * few / many for few, many in pairwise(told)]
        what = f"{step}: {word} for 10 times the rows, up to {max(told):,}"
        yield Figure(what=what, ours=max(factors), peer=MOST, unit="times", peer_is="at most", wanted=1)


BENCHMARKS = (growth,)
