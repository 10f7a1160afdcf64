"""The same sheet, started twice at once on one machine: one process is refused, and the sheet is bought once."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.crash.ways import WAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.crash.driving import Network

_ROWS = 12
_PAIRS = 5
_ROUNDS = 10


def _reports(networks: list[Any]) -> Iterator[list[dict[str, Any]]]:
    """Both reports of each pair; all pairs run at the same time, each on a separate network."""
    jobs = [
        [
            network.job(network.way.rows("sheet", _ROWS), "sheet", report=str(network.folder / f"{name}.json"))
            for name in "ab"
        ]
        for network in networks
    ]
    started = [
        (network, [network.zygote.start(job) for job in pair]) for network, pair in zip(networks, jobs, strict=True)
    ]
    for (network, processes), pair in zip(started, jobs, strict=True):
        assert [network.zygote.wait(process) for process in processes] == [0, 0]
        yield [json.loads(Path(job["report"]).read_text(encoding="utf-8")) for job in pair]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_same_sheet_started_twice_at_once(make_network: Callable[..., Any]) -> None:
    """In 50 pairs one process finishes, the other is refused, and the sheet is bought once."""
    refusals: Counter[str] = Counter()
    for number in range(_ROUNDS):
        options = {"rate": 12.0, "concurrency": 2}  # slow enough for the runs to overlap
        networks: list[Network] = [
            make_network(WAYS["list, distinct"], f"{number}-{pair}", **options) for pair in range(_PAIRS)
        ]
        for network, reports in zip(networks, _reports(networks), strict=True):
            refused = [report for report in reports if "refused" in report]
            refusals.update(report["refused"] for report in refused)
            assert len(refused) == 1, reports
            assert refused[0]["refused"] == "ConfirmationRequiredError" or (
                "Another run is using this network: process " in refused[0]["text"] and refused[0]["code"] == 3
            )
            assert len(network.ledger) == _ROWS
            assert Counter(entry.body["description"] for entry in network.ledger).most_common(1)[0][1] == 1
    print(refusals)  # noqa: T201  shows the figures
    assert refusals["JournalLockedError"] >= _ROUNDS * _PAIRS * 0.9
