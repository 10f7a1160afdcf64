"""A journal and a saved plan that version 0.1.0 wrote are read, resumed and undone.

The files in `version_0_1_0` were written by that version: a run of five rows whose process was killed after two numbers
were bought and while the third request was in flight. Only the platform's address and its numbers are filled in here.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

import invoca_bulk as ib
from invoca_bulk.journal.sqlite import journal_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from invoca_bulk.sandbox_server import Sandbox

FILES = Path(__file__).parent / "version_0_1_0"
RUN = "20261130-130518-hcxkb9"
NUMBERS = "advertisers/A-1/advertiser_campaigns/C-1/promo_numbers"
DESCRIPTIONS = ["Radio", "TV", "Mail", "Print", "Web"]


@pytest.fixture
def platform() -> Iterator[Sandbox]:
    """A platform on which the three numbers of the killed run exist."""
    with ib.sandbox(open_campaigns=True) as sandbox:
        yield sandbox


@pytest.fixture
def network(platform: Sandbox) -> ib.Network:
    """Its network, as a real one: with a journal that outlives the process."""
    return ib.Network(base_url=platform.base_url, network_id=platform.network_id, token=platform.token)


@pytest.fixture
def old_journal(tmp_path: Path, platform: Sandbox) -> Path:
    """A folder with the journal of the killed run."""
    numbers = [_buy(platform, description) for description in DESCRIPTIONS[:3]]
    script = (FILES / "journal.sql").read_text(encoding="utf-8")
    for name, value in {"base_url": platform.base_url, "radio": numbers[0], "tv": numbers[1]}.items():
        script = script.replace(f"{{{name}}}", value)
    path = journal_file(tmp_path, base_url=platform.base_url, network_id=platform.network_id)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.executescript(script)
    note = {"process": 2**22 + 1, "host": "elsewhere", "since": "2026-11-30 13:05:18", "heeds": True}
    path.with_suffix(".owner").write_text(json.dumps(note))
    return tmp_path


def _buy(platform: Sandbox, description: str) -> str:
    url = f"{platform.base_url}/api/2022-08-01/{platform.network_id}/{NUMBERS}.json"
    body = {"description": description, "media_type": "Online: Search"}
    response = httpx.post(url, json=body, headers={"Authorization": platform.token})
    assert response.status_code == 201
    return str(response.json()["promo_number"])


def test_the_run_is_listed_and_read(old_journal: Path) -> None:
    """What the run had done, and what it left in doubt."""
    (row,) = ib.runs(journal=old_journal).to_dict("records")
    assert (row["run"], row["state"], row["can_be_resumed"]) == (RUN, "interrupted", True)
    assert list(ib.results(RUN, journal=old_journal)["result_status"]) == [
        "created",
        "created",
        "unknown",
        "not_sent",
        "not_sent",
    ]


def test_the_run_is_resumed(old_journal: Path, platform: Sandbox, network: ib.Network) -> None:
    """The number in doubt is found, the other two are bought, and none is bought twice."""
    results = ib.resume(network, RUN, journal=old_journal, settle=0.1, progress=False)
    assert list(results["description"]) == DESCRIPTIONS
    assert set(results["result_status"]) == {"created"}
    assert sorted(results["promo_number"]) == sorted(entry.number for entry in platform.store.ledger)
    assert len(platform.store.ledger) == 5


def test_the_run_is_undone(old_journal: Path, platform: Sandbox, network: ib.Network) -> None:
    """All that it bought is deleted, also what this version has bought for it."""
    ib.resume(network, RUN, journal=old_journal, settle=0.1, progress=False)
    undo = ib.undo(RUN, network, journal=old_journal)
    results = ib.run(undo, network, journal=old_journal, yes=True, progress=False)
    assert set(results["result_status"]) == {"deleted"}
    url = f"{platform.base_url}/api/2022-08-01/{platform.network_id}/{NUMBERS}.json"
    assert httpx.get(url, headers={"Authorization": platform.token}).json() == []


def test_the_saved_plan_is_run(tmp_path: Path, platform: Sandbox, network: ib.Network) -> None:
    """Its steps are those that this version plans for its sheet, so it runs."""
    text = (FILES / "plan.json").read_text(encoding="utf-8").replace("{base_url}", platform.base_url)
    (tmp_path / "plan.json").write_text(text, encoding="utf-8")
    results = ib.run(tmp_path / "plan.json", network, journal=tmp_path / "journal", yes=True, progress=False)
    assert set(results["result_status"]) == {"created"}
    assert len(platform.store.ledger) == 5
