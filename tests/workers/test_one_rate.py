"""One rate for all workers of a network, and one result of looking for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from machines import until
from test_cluster_option import sheet

from invoca_bulk import journal
from invoca_bulk.transport import RateLimiter

if TYPE_CHECKING:
    from collections.abc import Callable

    from machines import Machine

    from invoca_bulk.sandbox_server import Sandbox

LIMIT = 20.0  # requests a second


def test_a_hidden_limit_is_shared(machine: Callable[..., Machine], box: Sandbox) -> None:
    """Three workers together use at least 90% of what the platform takes, and meet few refusals."""
    box.faults.change(limit=LIMIT)
    client = machine("client")
    workers = [machine(f"worker-{number}").worker() for number in range(3)]
    rows = 1400
    told = client.call("run", sheet(client.folder, rows), "--yes", "--cluster", "--detach")
    assert told.returncode == 0, told.stderr
    until(lambda: journal.list_runs(client.place)[0].record.state == "finished", seconds=240)
    record, found = journal.find_results(client.place, journal.list_runs(client.place)[0].record.run)
    ended = sorted(row.ended_at or 0.0 for row in found)
    steady = ended[len(ended) // 3 :]
    assert record.state == "finished"
    assert len(box.store.ledger) == rows
    assert (len(steady) - 1) / (steady[-1] - steady[0]) >= 0.9 * LIMIT
    assert box.faults.counts["limit"] < 0.02 * (rows + box.faults.counts["limit"])
    assert [one.poll() for one in workers] == [None] * 3  # all of them were there to the end
    assert len({row.step_run for row in found}) == 1
    until(lambda: 0.8 * LIMIT < (_learned(client) or 0) <= 1.1 * LIMIT)


def _learned(client: Machine) -> float | None:
    with journal.open_readonly(client.place, client.network()) as open_journal:
        return open_journal.saved_rate() if open_journal else None


def test_a_pace_goes_on_in_another_process() -> None:
    """What a rate finder has found survives the way through the database: it decides the same from then on."""
    one, now = RateLimiter(first_rate=10.0), 0.0
    for number in range(400):
        now += one.reserve(now)
        (one.record_rejection if number % 37 == 36 else one.record_success)(now)
        other = RateLimiter.from_json(one.to_json())
        assert other.to_json() == one.to_json()
        assert [RateLimiter.from_json(other.to_json()).reserve(now) for _ in range(2)] == [other.reserve(now)] * 2
    one.pause(5.0, now)
    assert RateLimiter.from_json(one.to_json()).reserve(now) >= 5.0
