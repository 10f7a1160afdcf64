"""The same sheet, started twice at once on one machine: one is told who runs it, and it is bought once."""

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
    """Both reports of each pair; all pairs run at the same time, each on a network of its own."""
    jobs = [
        [one.job(one.way.rows("sheet", _ROWS), "sheet", report=str(one.folder / f"{name}.json")) for name in "ab"]
        for one in networks
    ]
    started = [(one, [one.zygote.start(job) for job in pair]) for one, pair in zip(networks, jobs, strict=True)]
    for (one, processes), pair in zip(started, jobs, strict=True):
        assert [one.zygote.wait(process) for process in processes] == [0, 0]
        yield [json.loads(Path(job["report"]).read_text(encoding="utf-8")) for job in pair]


@pytest.mark.timeout(300)
def test_the_same_sheet_started_twice_at_once(on: Callable[..., Any]) -> None:
    """Fifty times: one process finishes, the other is told by name who holds the run, and the sheet is bought once."""
    told: Counter[str] = Counter()
    for number in range(_ROUNDS):
        options = {"rate": 12.0, "concurrency": 2}  # so slow that they meet
        networks: list[Network] = [on(WAYS["list, distinct"], f"{number}-{pair}", **options) for pair in range(_PAIRS)]
        for network, reports in zip(networks, _reports(networks), strict=True):
            refused = [one for one in reports if "refused" in one]
            told.update(one["refused"] for one in refused)
            assert len(refused) == 1, reports
            assert refused[0]["refused"] == "ConfirmationRequiredError" or (
                "Another run is using this network: process " in refused[0]["text"] and refused[0]["code"] == 3
            )
            assert len(network.ledger) == _ROWS
            assert Counter(one.body["description"] for one in network.ledger).most_common(1)[0][1] == 1
    print(told)  # noqa: T201  the figures are worth seeing
    assert told["JournalLockedError"] >= _ROUNDS * _PAIRS * 0.9
