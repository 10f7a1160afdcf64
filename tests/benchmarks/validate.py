"""Validating a million rows: time against a lazy pandera schema with the same rules, and memory."""

from __future__ import annotations

import gc
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import rows
from harness import Figure, current_memory, reset_peak_memory, run_interleaved, run_task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness import Size

REPEATS = 3
MIB = 1024 * 1024


def ours(path: str) -> tuple[float, dict[str, object]]:
    """Validate a frame read from a CSV file; memory is that of the process, in MiB."""
    import invoca_bulk  # noqa: PLC0415  not timed
    from invoca_bulk import api  # noqa: F401, PLC0415  as above

    rows.area_codes()  # cached per process; the peers build their list before they are timed too
    frame = invoca_bulk.read(path)
    gc.collect()
    before, peak = current_memory(), reset_peak_memory()
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


def command(path: str) -> str:
    """Validate a CSV file as `invoca-bulk validate` does; returns the summary."""
    import invoca_bulk  # noqa: PLC0415  timed: the command loads it too

    return invoca_bulk.validate(path).summary


def validated(size: Size) -> Iterator[Figure]:
    """Time and memory of the validation alone, and of the command from the file on."""
    count = size.rows(1_000_000, 2_000)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "requests.csv"))
        run_task("rows:write_csv", path=path, rows=count)
        arguments = {"path": path}
        runs = run_interleaved(
            {"ours": ("validate:ours", arguments), "peer": ("peers:check_frame", arguments)},
            repeats=size.rows(REPEATS, 1),
        )
        command = run_task("validate:command", path=path)
    ours, peers = runs["ours"][0], runs["peer"][0]
    rows.require_same(ours.result["found"], peers.result)
    label = f"validate {count:,} rows x 12"
    yield Figure(label=label, ours=ours.seconds, peer=peers.seconds, unit="s", peer_name="pandera, lazy", target=5)
    yield Figure(
        label="memory that validating adds",
        ours=max(ours.result["growth"], 0.1),
        peer=1.5 * ours.result["frame"],
        unit="MiB",
        peer_name="at most 1.5 times the frame's own",
        target=1,
    )
    label = f"CSV of {count:,} rows through `validate`"
    yield Figure(label=f"{label}: time", ours=command.seconds, peer=None, unit="s", peer_name="")
    yield Figure(label=f"{label}: peak memory", ours=command.peak, peer=None, unit="MiB", peer_name="")


BENCHMARKS = (validated,)
