"""Reading, validating and writing a workbook: ours against pandas, openpyxl and one pydantic model per row."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import rows
from harness import Figure, run_interleaved, run_task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness import Size

REPEATS = 3


def ours(source: str, target: str) -> tuple[float, list[object]]:
    """Write the annotated workbook: coloured cells, notes, and a sheet of issues."""
    import invoca_bulk  # noqa: PLC0415  not timed
    from invoca_bulk import api  # noqa: F401, PLC0415  as above

    rows.area_codes()  # cached per process; the peers build their list before they are timed too
    began = time.perf_counter()
    report = invoca_bulk.validate(source)
    report.to_excel(target)
    seconds = time.perf_counter() - began
    errors = report.errors
    return seconds, rows.digest(set(zip(errors["row"], errors["column"], strict=True)))


def annotated_workbook(size: Size) -> Iterator[Figure]:
    """Read, validate and write a workbook."""
    count = size.rows(100_000, 400)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "requests.xlsx"), Path(folder, "annotated.xlsx")
        run_task("rows:write_workbook", path=str(source), rows=count)
        arguments = {"source": str(source), "target": str(target)}
        runs = run_interleaved(
            {"ours": ("sheets:ours", arguments), "peer": ("peers:annotate_workbook", arguments)},
            repeats=size.rows(REPEATS, 1),
        )
    ours, peers = runs["ours"][0], runs["peer"][0]
    rows.require_same(ours.result, peers.result)
    label = f"read, validate and write a workbook of {count:,} rows x 12"
    peer_name = "pandas, openpyxl, pydantic"
    yield Figure(label=label, ours=ours.seconds, peer=peers.seconds, unit="s", peer_name=peer_name, target=5)
    yield Figure(label="peak memory of that", ours=ours.peak, peer=peers.peak, unit="MiB", peer_name=peer_name)


BENCHMARKS = (annotated_workbook,)
