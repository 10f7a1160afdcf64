"""All workers of a network share one rate limiter and the rate that it learns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from machines import until
from test_cluster_option import sheet

from invoca_bulk import journal
from invoca_bulk.transport import RateLimiter

if TYPE_CHECKING:
    from collections.abc import Callable

    from machines import Machine

    from invoca_bulk.sandbox_server import Sandbox

pytestmark = pytest.mark.slow

LIMIT = 20.0  # requests a second


def test_workers_share_a_hidden_limit(machine: Callable[..., Machine], box: Sandbox) -> None:
    """Three workers together use at least 90% of the platform's limit, and less than 2% of requests are rejected."""
    box.faults.change(limit=LIMIT)
    client = machine("client")
    workers = [machine(f"worker-{number}").worker() for number in range(3)]
    rows = 1400
    process = client.call("run", sheet(client.folder, rows), "--yes", "--cluster", "--detach")
    assert process.returncode == 0, process.stderr
    until(lambda: journal.list_runs(client.place)[0].record.state == "finished", seconds=240)
    record, results = journal.find_results(client.place, journal.list_runs(client.place)[0].record.run)
    end_times = sorted(row.ended_at or 0.0 for row in results)
    steady_times = end_times[len(end_times) // 3 :]
    assert record.state == "finished"
    assert len(box.store.ledger) == rows
    assert (len(steady_times) - 1) / (steady_times[-1] - steady_times[0]) >= 0.9 * LIMIT
    assert box.faults.counts["limit"] < 0.02 * (rows + box.faults.counts["limit"])
    assert [worker.poll() for worker in workers] == [None] * 3  # all of them ran to the end
    assert len({row.step_run for row in results}) == 1
    until(lambda: 0.8 * LIMIT < (_saved_rate(client) or 0) <= 1.1 * LIMIT)


def _saved_rate(client: Machine) -> float | None:
    with journal.open_readonly(client.place, client.network()) as open_journal:
        return open_journal.saved_rate() if open_journal else None


def test_rate_limiter_survives_serialization() -> None:
    """A rate limiter that was stored and loaded makes the same decisions as before."""
    limiter, now = RateLimiter(first_rate=10.0), 0.0
    for number in range(400):
        now += limiter.reserve(now)
        (limiter.record_rejection if number % 37 == 36 else limiter.record_success)(now)
        loaded = RateLimiter.from_json(limiter.to_json())
        assert loaded.to_json() == limiter.to_json()
        assert [RateLimiter.from_json(loaded.to_json()).reserve(now) for _ in range(2)] == [loaded.reserve(now)] * 2
    limiter.pause(5.0, now)
    assert RateLimiter.from_json(limiter.to_json()).reserve(now) >= 5.0
