"""The executor: creates with the journal on, against a platform that takes 50 ms, or that has a hidden limit."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pandas as pd
from harness import Figure, apart, interleaved
from server import serving

from invoca_bulk import journal
from invoca_bulk.config.options import Options
from invoca_bulk.config.settings import Network
from invoca_bulk.service import pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness import Size

LATENCY = 0.05  # seconds
LIMIT = 50.0  # requests a second
REPEATS = 3


def _requests(rows: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "advertiser_id_from_network": "A-1",
            "advertiser_campaign_id_from_network": [f"C-{number % 20}" for number in range(rows)],
            "description": [f"Number {number}" for number in range(rows)],
            "media_type": "Online: Display",
            "local_center.tn_prefix": "805",
        }
    )


def ours(address: str, rows: int, slots: int, *, rehearsal: bool = True) -> tuple[float, Any]:
    """Run a sheet with its journal on a disk; the time from the first request to the last outcome."""
    network = Network(base_url=address, network_id="1234", token="benchmark-token", rehearsal=rehearsal)
    with tempfile.TemporaryDirectory() as folder:
        options = Options(concurrency=slots, progress=False, yes=True, journal=folder)
        finished = pipeline.run_sheet(_requests(rows), network, options)
        steps = _steps(finished, network, Path(folder))
    assert finished.results.all_done, finished.results.totals
    seconds = max(one.ended_at or 0 for one in steps) - min(one.sent_at or time.time() for one in steps)
    return seconds, {"ended": sorted(one.ended_at or 0 for one in steps)}


def _steps(finished: pipeline.RunResult, network: Network, folder: Path) -> list[journal.StepRecord]:
    with journal.open_readonly(journal.location_for(network, folder), network) as book:
        assert book
        return book.steps(finished.results.run.run)


def plain_loop(address: str, rows: int, slots: int) -> tuple[float, Any]:
    """What a good user would write: one shared client, a semaphore, no journal."""
    bodies = _requests(rows)[["description", "media_type"]].to_dict("records")

    async def main() -> float:
        limits = httpx.Limits(max_connections=slots, max_keepalive_connections=slots)
        gate = asyncio.Semaphore(slots)
        async with httpx.AsyncClient(base_url=address, limits=limits, timeout=60) as client:

            async def create(body: dict[str, Any]) -> None:
                async with gate:
                    answer = await client.post("/api/2022-08-01/1234/promo_numbers.json", json=body)
                    answer.raise_for_status()
                    answer.json()

            began = time.perf_counter()
            await asyncio.gather(*map(create, bodies))
            return time.perf_counter() - began

    return asyncio.run(main()), {}


def in_flight(size: Size) -> Iterator[Figure]:
    """Creates a second at 64 and 16 in flight: against the ideal, and against the plain loop."""
    rows = size.rows(5000, 200)
    for slots, share in ((64, 0.65), (16, 0.75)):
        with serving(LATENCY) as address:
            told = {"address": address, "rows": rows, "slots": slots}
            works = {"ours": ("execute:ours", told), "loop": ("execute:plain_loop", told)}
            medians = {name: one for name, (one, _) in interleaved(works, repeats=size.rows(REPEATS, 1)).items()}
        rate, loop, ideal = rows / medians["ours"].seconds, rows / medians["loop"].seconds, slots / LATENCY
        what = f"creates, journal on, {slots} in flight, answers after 50 ms"
        yield Figure(what=what, ours=rate, peer=ideal, unit="/s", peer_is="ideal", better="more", wanted=share)
        beaten = 6 if slots == 64 else None
        yield Figure(what=what, ours=rate, peer=loop, unit="/s", peer_is="shared client", better="more", wanted=beaten)


def hidden_limit(size: Size) -> Iterator[Figure]:
    """A limit that nobody tells: how much of it is used once it is found, and what share of answers is 429."""
    rows = size.rows(2000, 100)
    with serving(LATENCY, LIMIT) as address:
        told = {"address": address, "rows": rows, "slots": 16, "rehearsal": False}
        ended = interleaved({"ours": ("execute:ours", told)}, repeats=1)["ours"][0].result["ended"]
        counts = json.load(urllib.request.urlopen(f"{address}/counts"))  # noqa: S310  our own server
    steady = ended[len(ended) // 3 :]
    rate = (len(steady) - 1) / max(0.001, steady[-1] - steady[0])
    what = "creates under a hidden limit of 50/s, once it is found"
    yield Figure(what=what, ours=rate, peer=LIMIT, unit="/s", peer_is="the limit", better="more", wanted=0.9)
    refused = 100 * counts.get("429", 0) / sum(counts.values())
    yield Figure(what="answers of 429 in that run", ours=refused, peer=2.0, unit="%", peer_is="at most", wanted=1)


def growth_of_runs(size: Size) -> Iterator[Figure]:
    """What a run costs in memory, its plan, steps and results included, for ten times the rows; no waiting."""
    few = size.rows(4_000, 100)
    with serving(0.0) as address:
        told = {
            name: {"address": address, "rows": few * times, "slots": 16} for name, times in (("few", 1), ("many", 10))
        }
        runs = {name: apart("execute:ours", **one) for name, one in told.items()}
    added = {name: max(0.1, one.peak - one.before) for name, one in runs.items()}
    what = f"memory that a run of {few * 10:,} rows adds, from sheet to results"
    yield Figure(
        what=what, ours=added["many"], peer=11 * added["few"], unit="MiB", peer_is="11 times a tenth", wanted=1
    )


BENCHMARKS = (in_flight, hidden_limit, growth_of_runs)
