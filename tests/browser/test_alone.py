"""The page in `invoca-bulk app`: from a sheet to its results, with interruptions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from annotated_sheets import existing_count, issued, numbers, read, sheet
from driver import TIMEOUT
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from driver import Driver

    from invoca_bulk.sandbox_server import Sandbox


def test_from_a_sheet_to_its_results(opened: Driver, box: Sandbox, tmp_path: Path) -> None:
    """Row errors, the annotated workbook, the plan, a typed confirmation, and results with the issued numbers."""
    media = ["Online: Display"] * 29 + ["Online Display"]
    opened.picture("1-connect")
    opened.connect(box)
    opened.sees("connect", f"network {box.network_id}")
    opened.picture("2-sheet")
    opened.upload(sheet(tmp_path, 30, media_type=media))
    opened.sees("issues", "30 rows checked")
    opened.sees("issues", "'Online Display' is not a valid value for")
    row = opened.region("issues").locator("tr", has_text="Online Display")
    expect(row.locator("th").first).to_have_text("31")
    opened.picture("3-check")
    annotated = read(opened.download("Download the annotated workbook", tmp_path))
    assert [bool(text) for text in annotated["validation_errors"]] == [False] * 29 + [True]
    opened.plan()
    opened.picture("4-plan")
    opened.root.get_by_label(re.compile("Leave out")).check()
    opened.run(28)
    opened.sees("plan", "you typed 28, but the plan buys 29")
    assert issued(box) == []
    opened.root.get_by_label(re.compile("Leave out")).check()
    opened.run(29)
    opened.sees("run", "of 30")
    opened.picture("5-run")
    opened.sees("results", ": finished.")
    opened.picture("6-results")
    results = opened.download("Download the results (Excel)", tmp_path)
    assert numbers(results) == issued(box)
    assert len(issued(box)) == 29
    frame = read(results)
    assert list(frame["description"]) == [f"Number {number + 1}" for number in range(30)]
    assert frame["result_status"].value_counts().to_dict() == {"created": 29, "invalid": 1}


def test_corrected_results_complete_the_sheet(opened: Driver, box: Sandbox, tmp_path: Path) -> None:
    """Uploading the results file with its invalid row corrected buys one more number."""
    opened.connect(box)
    opened.upload(sheet(tmp_path, 5, media_type=["Online: Display"] * 4 + ["Radio"]))
    opened.plan()
    opened.root.get_by_label(re.compile("Leave out")).check()
    opened.run(4)
    opened.sees("results", ": finished.")
    frame = read(opened.download("Download the results (Excel)", tmp_path))
    frame.loc[4, "media_type"] = "Offline: Radio"
    corrected = tmp_path / "corrected.xlsx"
    frame.to_excel(corrected, index=False)
    opened.upload(corrected)
    opened.sees("issues", "5 rows checked")
    opened.plan()
    opened.run(1)
    opened.sees("results", "corrected.xlsx")
    opened.sees("results", ": finished.")
    assert numbers(opened.download("Download the results (Excel)", tmp_path)) == issued(box)
    assert len(issued(box)) == 5


@pytest.mark.slow
def test_stop_and_resume(opened: Driver, box: Sandbox, tmp_path: Path) -> None:
    """Stop waits for open requests and shows the final count; resuming buys the rest, one number for each row."""
    box.faults.change(limit=10)
    opened.connect(box)
    opened.upload(sheet(tmp_path, 200))
    opened.plan()
    opened.run(200)
    expect(opened.region("progress")).to_contain_text(re.compile(r"[1-9]\d* done"), timeout=TIMEOUT)
    opened.press("Stop")
    opened.sees("results", ": interrupted.")
    opened.picture("stopped")
    bought = len(issued(box))
    assert 0 < bought < 200
    opened.sees("results", re.compile(rf"{bought} of 200 rows are done"))
    expect(opened.region("progress")).to_be_hidden()
    box.faults.change(limit=None)
    opened.press("Resume this run")
    opened.sees("results", ": finished.")
    assert numbers(opened.download("Download the results (Excel)", tmp_path)) == issued(box)
    assert len(issued(box)) == 200


@pytest.mark.slow
def test_a_reload_shows_the_run_again(opened: Driver, box: Sandbox, tmp_path: Path) -> None:
    """A reload ends the tab's kernel but not the run: the new page shows its progress, then its results."""
    box.faults.change(limit=8)
    opened.connect(box)
    opened.upload(sheet(tmp_path, 150))
    opened.plan()
    opened.run(150)
    expect(opened.region("progress")).to_contain_text(re.compile(r"[1-9]\d* done"), timeout=TIMEOUT)
    opened.page.reload()
    opened.ready()
    opened.sees("run", "of 150")
    opened.picture("found-again")
    assert len(issued(box)) < 150
    box.faults.change(limit=None)
    opened.sees("results", ": finished.")
    opened.sees("results", "connect to network")
    assert numbers(opened.download("Download the results (Excel)", tmp_path)) == issued(box)
    assert len(issued(box)) == 150


def test_a_run_that_ended_while_the_tab_was_closed(
    opened: Driver, box: Sandbox, tmp_path: Path, tab: Callable[..., Driver]
) -> None:
    """The tab is closed at once and opened later: the results are shown, and nothing is bought twice."""
    opened.connect(box)
    opened.upload(sheet(tmp_path, 20, name="closed.xlsx"))
    opened.plan()
    opened.run(20)
    opened.sees("run", "of 20")
    opened.page.close()
    reopened = tab()
    reopened.sees("results", "closed.xlsx")
    reopened.sees("results", ": finished.")
    assert numbers(reopened.download("Download the results (Excel)", tmp_path)) == issued(box)
    assert len(issued(box)) == 20


@pytest.mark.slow
def test_two_tabs(opened: Driver, box: Sandbox, tmp_path: Path, tab: Callable[..., Driver]) -> None:
    """The second tab sees the run of the first; its own run on the same network is rejected and buys nothing."""
    box.faults.change(limit=3)  # the first run must last until the second was rejected, on a busy machine too
    second = tab()
    for driver, rows in ((opened, 100), (second, 7)):
        driver.connect(box)
        driver.upload(sheet(tmp_path, rows, name=f"sheet-{rows}.xlsx"))
        driver.plan()
    opened.run(100)
    expect(opened.region("progress")).to_contain_text(re.compile(r"[1-9]\d* done"), timeout=TIMEOUT)
    second.sees("run", "sheet-100.xlsx")
    second.run(7)
    second.sees("plan", "Another run is using this network")
    second.picture("rejected")
    box.faults.change(limit=None)
    opened.sees("results", ": finished.")
    assert len(issued(box)) == 100


def test_a_run_is_undone(opened: Driver, box: Sandbox, tmp_path: Path) -> None:
    """The undo's plan names what it deletes, is confirmed by ticking a box, and leaves no numbers."""
    opened.connect(box)
    opened.upload(sheet(tmp_path, 4))
    opened.plan()
    opened.run(4)
    opened.sees("results", ": finished.")
    opened.press("Plan to undo this run")
    opened.sees("plan", "deletes 4 promo numbers")
    opened.picture("undo")
    opened.root.get_by_label("Yes, do it.").check()
    opened.press("Run")
    opened.sees("results", "undo of")
    opened.sees("results", ": finished.")
    assert existing_count(box) == 0
