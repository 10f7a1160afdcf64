"""The executor: creates with the journal on, on a platform with 50 ms latency or a hidden rate limit."""

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
from harness import Figure, run_interleaved, run_task
from server import serving

from invoca_bulk import journal
from invoca_bulk.config.network import Network
from invoca_bulk.config.options import Options
from invoca_bulk.service.run import run_sheet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness import Size

    from invoca_bulk.service.run_result import RunResult

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
    """Run a sheet with its journal on disk; timed from the first request to the last outcome."""
    network = Network(base_url=address, network_id="1234", token="benchmark-token", rehearsal=rehearsal)
    with tempfile.TemporaryDirectory() as folder:
        options = Options(concurrency=slots, progress=False, yes=True, journal=folder)
        finished = run_sheet(_requests(rows), network, options)
        steps = _steps(finished, network, Path(folder))
    assert finished.results.all_done, finished.results.totals
    seconds = max(step.ended_at or 0 for step in steps) - min(step.sent_at or time.time() for step in steps)
    return seconds, {"ended": sorted(step.ended_at or 0 for step in steps)}


def _steps(finished: RunResult, network: Network, folder: Path) -> list[journal.StepRecord]:
    with journal.open_readonly(journal.location_for(network, folder), network) as store:
        assert store
        return store.steps(finished.results.run.run)


def plain_loop(address: str, rows: int, slots: int) -> tuple[float, Any]:
    """What a skilled user would write: one shared client, a semaphore, no journal."""
    bodies = _requests(rows)[["description", "media_type"]].to_dict("records")

    async def main() -> float:
        limits = httpx.Limits(max_connections=slots, max_keepalive_connections=slots)
        gate = asyncio.Semaphore(slots)
        async with httpx.AsyncClient(base_url=address, limits=limits, timeout=60) as client:

            async def create(body: dict[str, Any]) -> None:
                async with gate:
                    response = await client.post("/api/2022-08-01/1234/promo_numbers.json", json=body)
                    response.raise_for_status()
                    response.json()

            began = time.perf_counter()
            await asyncio.gather(*map(create, bodies))
            return time.perf_counter() - began

    return asyncio.run(main()), {}


def in_flight(size: Size) -> Iterator[Figure]:
    """Creates per second at 64 and 16 in flight: against the ideal, and against the plain loop."""
    rows = size.rows(5000, 200)
    for slots, share in ((64, 0.65), (16, 0.75)):
        with serving(LATENCY) as address:
            arguments = {"address": address, "rows": rows, "slots": slots}
            tasks = {"ours": ("execute:ours", arguments), "loop": ("execute:plain_loop", arguments)}
            medians = {
                name: median for name, (median, _) in run_interleaved(tasks, repeats=size.rows(REPEATS, 1)).items()
            }
        rate, loop, ideal = rows / medians["ours"].seconds, rows / medians["loop"].seconds, slots / LATENCY
        label = f"creates, journal on, {slots} in flight, answers after 50 ms"
        yield Figure(label=label, ours=rate, peer=ideal, unit="/s", peer_name="ideal", better="more", target=share)
        peer_target = 6 if slots == 64 else None
        yield Figure(
            label=label, ours=rate, peer=loop, unit="/s", peer_name="shared client", better="more", target=peer_target
        )


def hidden_limit(size: Size) -> Iterator[Figure]:
    """An unpublished rate limit: how much of it is used once it is discovered, and the share of 429 responses."""
    rows = size.rows(2000, 100)
    with serving(LATENCY, LIMIT) as address:
        arguments = {"address": address, "rows": rows, "slots": 16, "rehearsal": False}
        ended = run_interleaved({"ours": ("execute:ours", arguments)}, repeats=1)["ours"][0].result["ended"]
        counts = json.load(urllib.request.urlopen(f"{address}/counts"))  # noqa: S310  our own server
    steady = ended[len(ended) // 3 :]
    rate = (len(steady) - 1) / max(0.001, steady[-1] - steady[0])
    label = "creates under a hidden limit of 50/s, once it is found"
    yield Figure(label=label, ours=rate, peer=LIMIT, unit="/s", peer_name="the limit", better="more", target=0.9)
    refused = 100 * counts.get("429", 0) / sum(counts.values())
    yield Figure(label="answers of 429 in that run", ours=refused, peer=2.0, unit="%", peer_name="at most", target=1)


def growth_of_runs(size: Size) -> Iterator[Figure]:
    """Memory growth of a run, including plan, steps and results, for ten times the rows; without latency."""
    few = size.rows(4_000, 100)
    with serving(0.0) as address:
        arguments = {
            name: {"address": address, "rows": few * times, "slots": 16} for name, times in (("few", 1), ("many", 10))
        }
        runs = {name: run_task("execute:ours", **run) for name, run in arguments.items()}
    added = {name: max(0.1, run.peak - run.before) for name, run in runs.items()}
    label = f"memory that a run of {few * 10:,} rows adds, from sheet to results"
    yield Figure(
        label=label, ours=added["many"], peer=11 * added["few"], unit="MiB", peer_name="11 times a tenth", target=1
    )


BENCHMARKS = (in_flight, hidden_limit, growth_of_runs)
