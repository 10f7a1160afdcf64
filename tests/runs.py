"""Helpers of the tests of runs: run, resume, and look at the results."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from invoca_bulk.config.options import Options
from invoca_bulk.service import resume, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from invoca_bulk.sandbox_server import Sandbox
    from invoca_bulk.service.run_result import RunResult

SETTLE = 0.2  # seconds
KEY_COLUMNS = ["advertiser_id_from_network", "advertiser_campaign_id_from_network", "promo_number"]


def run_options(**options: Any) -> Options:
    defaults = {"yes": True, "progress": False, "concurrency": 4, "first_backoff": 0.01, "settle": SETTLE}
    return Options(**{**defaults, "say": lambda _: None, **options})


def run_sheet(source: Any, network: Any, **options: Any) -> RunResult:
    return run.run_sheet(source, network, run_options(**options))


def resume_run(network: Any, run_id: str | None = None, **options: Any) -> RunResult:
    return resume.resume_run(run_id, network, run_options(**options))


def outcome_counts(finished: RunResult) -> dict[str, int]:
    return dict(Counter(finished.results.frame["result_status"]))


def promo_numbers(finished: RunResult) -> list[str]:
    return sorted(filter(None, finished.results.frame["promo_number"]))


def issued_numbers(box: Sandbox) -> list[str]:
    return sorted(entry.number for entry in box.store.ledger)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
