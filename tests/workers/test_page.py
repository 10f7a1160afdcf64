"""The upload page with a shared journal: it shows runs of other machines, and they show its runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from machines import NETWORK_ID, TOKEN
from test_cluster_option import sheet

from invoca_bulk import journal
from invoca_bulk.config.journal_location import Database
from tests.web.test_web import PageUser

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest
    from machines import Machine

    from invoca_bulk.sandbox_server import Sandbox


def test_page_and_command_line_share_runs(
    machine: Callable[..., Machine], box: Sandbox, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page lists the team's runs and runs with the shared journal; its files stay on its machine."""
    other = machine("other")
    assert other.call("run", sheet(other.folder, 3, "Theirs"), "--yes", "--rate", "50").returncode == 0
    monkeypatch.setenv("INVOCA_JOURNAL", database)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    user = PageUser()
    user.does("hello")
    network = {"network_id": NETWORK_ID, "base_url": box.base_url, "api_version": "2022-08-01"}
    user.does("connect", values={"where": "network", **network, "token": TOKEN})
    user.sees("connect", "1. Connected")
    user.sees("runs", "3 created")
    user.uploads(sheet(tmp_path, 2, "Mine"))
    user.sees("issues", "2 rows checked")
    user.does("plan", values={})
    user.sees("plan", "2 requests")
    user.does("run", values={"confirmed": "2"})
    user.sees("results", ": finished.")
    assert len(box.store.ledger) == 5
    assert [sum(summary.totals.values()) for summary in journal.list_runs(Database(database))] == [3, 2]
    assert "2 created" in other.call("runs").stdout
    assert list(tmp_path.rglob("results.xlsx"))
