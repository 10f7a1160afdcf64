"""Reading, validating and writing a workbook: ours against pandas, openpyxl and a pydantic model a row."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import rows
from harness import Figure, apart, interleaved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness import Size

REPEATS = 3


def ours(source: str, target: str) -> tuple[float, list[object]]:
    """The annotated workbook: coloured cells, notes, and a sheet of issues."""
    import invoca_bulk  # noqa: PLC0415  it is not timed
    from invoca_bulk import api  # noqa: F401, PLC0415  as above

    rows.area_codes()  # looked up once a process; the peers have their list before they begin too
    began = time.perf_counter()
    report = invoca_bulk.validate(source)
    report.save(target)
    seconds = time.perf_counter() - began
    errors = report.errors
    return seconds, rows.digest(set(zip(errors["row"], errors["column"], strict=True)))


def annotated_workbook(size: Size) -> Iterator[Figure]:
    """Read, validate, write."""
    count = size.rows(100_000, 400)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "requests.xlsx"), Path(folder, "annotated.xlsx")
        apart("rows:write_workbook", path=str(source), rows=count)
        told = {"source": str(source), "target": str(target)}
        runs = interleaved(
            {"ours": ("sheets:ours", told), "peer": ("peers:annotate_workbook", told)},
            repeats=size.rows(REPEATS, 1),
        )
    mine, peers = runs["ours"][0], runs["peer"][0]
    rows.same(mine.result, peers.result)
    what = f"read, validate and write a workbook of {count:,} rows x 12"
    peer_is = "pandas, openpyxl, pydantic"
    yield Figure(what=what, ours=mine.seconds, peer=peers.seconds, unit="s", peer_is=peer_is, wanted=5)
    yield Figure(what="peak memory of that", ours=mine.peak, peer=peers.peak, unit="MiB", peer_is=peer_is)


BENCHMARKS = (annotated_workbook,)
