"""Validating a million rows: ours against a lazy pandera schema with the same rules; and the memory that it takes."""

from __future__ import annotations

import gc
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import rows
from harness import Figure, apart, interleaved, now_in_use, peak_from_here

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness import Size

REPEATS = 3
MIB = 1024 * 1024


def ours(path: str) -> tuple[float, dict[str, object]]:
    """Validate a frame that was read from a CSV file; the memory is that of the process, in MiB."""
    import invoca_bulk  # noqa: PLC0415  it is not timed
    from invoca_bulk import api  # noqa: F401, PLC0415  as above

    rows.area_codes()  # looked up once a process; the peers have their list before they begin too
    frame = invoca_bulk.read(path)
    gc.collect()
    before, peak = now_in_use(), peak_from_here()
    began = time.perf_counter()
    report = invoca_bulk.validate(frame)
    seconds = time.perf_counter() - began
    growth = peak() - before
    errors = report.errors
    return seconds, {
        "found": rows.digest(set(zip(errors["row"], errors["column"], strict=True))),
        "frame": int(frame.memory_usage(deep=True).sum()) / MIB,
        "growth": growth,
    }


def whole_way(path: str) -> str:
    """`invoca-bulk validate` of a CSV file, as the command line does it; gives what it says."""
    import invoca_bulk  # noqa: PLC0415  it is timed: a command loads it too

    return invoca_bulk.validate(path).summary


def validated(size: Size) -> Iterator[Figure]:
    """The time and the memory of validating, and of the whole way from a file."""
    count = size.rows(1_000_000, 2_000)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "requests.csv"))
        apart("rows:write_csv", path=path, rows=count)
        told = {"path": path}
        runs = interleaved(
            {"ours": ("validate:ours", told), "peer": ("peers:check_frame", told)}, repeats=size.rows(REPEATS, 1)
        )
        whole = apart("validate:whole_way", path=path)
    mine, peers = runs["ours"][0], runs["peer"][0]
    rows.same(mine.result["found"], peers.result)
    what = f"validate {count:,} rows x 12"
    yield Figure(what=what, ours=mine.seconds, peer=peers.seconds, unit="s", peer_is="pandera, lazy", wanted=5)
    yield Figure(
        what="memory that validating adds",
        ours=max(mine.result["growth"], 0.1),
        peer=1.5 * mine.result["frame"],
        unit="MiB",
        peer_is="at most 1.5 times the frame's own",
        wanted=1,
    )
    what = f"CSV of {count:,} rows through `validate`"
    yield Figure(what=f"{what}: time", ours=whole.seconds, peer=None, unit="s", peer_is="")
    yield Figure(what=f"{what}: peak memory", ours=whole.peak, peer=None, unit="MiB", peer_is="")


BENCHMARKS = (validated,)
