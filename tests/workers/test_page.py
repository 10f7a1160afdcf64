"""The upload page with a shared journal: its runs are seen from other machines, and theirs from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from machines import NETWORK_ID, TOKEN
from test_cluster_option import sheet
from tests.test_app import Person

from invoca_bulk import journal
from invoca_bulk.config.settings import Database

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest
    from machines import Machine

    from invoca_bulk.sandbox_server import Sandbox


def test_a_run_of_the_page_is_in_the_teams_history(
    machine: Callable[..., Machine], box: Sandbox, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its list has the runs of others, it runs with the journal of all, and what it keeps stays on its machine."""
    other = machine("other")
    assert other.call("run", sheet(other.folder, 3, "Theirs"), "--yes", "--rate", "50").returncode == 0
    monkeypatch.setenv("INVOCA_JOURNAL", database)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    person = Person()
    person.does("hello")
    where = {"network_id": NETWORK_ID, "base_url": box.base_url, "api_version": "2022-08-01"}
    person.does("connect", values={"where": "network", **where, "token": TOKEN})
    person.sees("connect", "1. Connected")
    person.sees("runs", "3 created")
    person.uploads(sheet(tmp_path, 2, "Mine"))
    person.sees("issues", "2 rows checked")
    person.does("plan", values={})
    person.sees("plan", "2 requests")
    person.does("run", values={"confirmed": "2"})
    person.sees("results", "finished")
    assert len(box.store.ledger) == 5
    assert [sum(one.totals.values()) for one in journal.list_runs(Database(database))] == [3, 2]
    assert "2 created" in other.call("runs").stdout
    assert list(tmp_path.rglob("results.xlsx"))
