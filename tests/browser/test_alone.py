"""The page alone: from a sheet to its results, and what may go wrong on the way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from annotated_sheets import issued, left, numbers, read, sheet
from driver import PATIENCE
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from driver import Driver

    from invoca_bulk.sandbox_server import Sandbox


def test_from_a_sheet_to_its_results(opened: Driver, box: Sandbox, tmp_path: Path) -> None:
    """Errors at their rows, the annotated workbook, the plan, a typed confirmation, 100%, and results as issued."""
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
    opened.sees("results", "finished")
    opened.picture("6-results")
    results = opened.download("Download the results (Excel)", tmp_path)
    assert numbers(results) == issued(box)
    assert len(issued(box)) == 29
    frame = read(results)
    assert list(frame["description"]) == [f"Number {number + 1}" for number in range(30)]
    assert frame["result_status"].value_counts().to_dict() == {"created": 29, "invalid": 1}


def test_corrected_results_do_the_rest(opened: Driver, box: Sandbox, tmp_path: Path) -> None:
    """The results file with its bad row corrected is uploaded: one number more is bought."""
    opened.connect(box)
    opened.upload(sheet(tmp_path, 5, media_type=["Online: Display"] * 4 + ["Radio"]))
    opened.plan()
    opened.root.get_by_label(re.compile("Leave out")).check()
    opened.run(4)
    opened.sees("results", "finished")
    frame = read(opened.download("Download the results (Excel)", tmp_path))
    frame.loc[4, "media_type"] = "Offline: Radio"
    corrected = tmp_path / "corrected.xlsx"
    frame.to_excel(corrected, index=False)
    opened.upload(corrected)
    opened.sees("issues", "5 rows checked")
    opened.plan()
    opened.run(1)
    opened.sees("results", "corrected.xlsx")
    opened.sees("results", "finished")
    assert numbers(opened.download("Download the results (Excel)", tmp_path)) == issued(box)
    assert len(issued(box)) == 5


def test_stop_and_go_on(opened: Driver, box: Sandbox, tmp_path: Path) -> None:
    """Stop is soft, the last count is painted, the rest is done later; every number stands on one row."""
    box.faults.change(limit=30)
    opened.connect(box)
    opened.upload(sheet(tmp_path, 200))
    opened.plan()
    opened.run(200)
    expect(opened.region("progress")).to_contain_text(re.compile(r"[1-9]\d* done"), timeout=PATIENCE)
    opened.press("Stop")
    opened.sees("results", "interrupted")
    opened.picture("stopped")
    bought = len(issued(box))
    assert 0 < bought < 200
    opened.sees("results", re.compile(rf"{bought} of 200 rows are done"))
    expect(opened.region("progress")).to_be_hidden()
    box.faults.change(limit=None)
    opened.press("Resume this run")
    opened.sees("results", "finished")
    assert numbers(opened.download("Download the results (Excel)", tmp_path)) == issued(box)
    assert len(issued(box)) == 200


def test_a_reload_in_the_middle_finds_the_run(opened: Driver, box: Sandbox, tmp_path: Path) -> None:
    """The tab's kernel goes, the run does not: the page that comes back shows its progress, then its results."""
    box.faults.change(limit=20)
    opened.connect(box)
    opened.upload(sheet(tmp_path, 150))
    opened.plan()
    opened.run(150)
    expect(opened.region("progress")).to_contain_text(re.compile(r"[1-9]\d* done"), timeout=PATIENCE)
    opened.page.reload()
    opened.ready()
    opened.sees("run", "of 150")
    opened.picture("found-again")
    assert len(issued(box)) < 150
    box.faults.change(limit=None)
    opened.sees("results", "finished")
    opened.sees("results", "connect to network")
    assert numbers(opened.download("Download the results (Excel)", tmp_path)) == issued(box)
    assert len(issued(box)) == 150


def test_a_run_that_ended_while_the_tab_was_closed(
    opened: Driver, box: Sandbox, tmp_path: Path, tab: Callable[..., Driver]
) -> None:
    """Closed at once after the press, opened later: the results are there, and nothing is bought by anybody twice."""
    opened.connect(box)
    opened.upload(sheet(tmp_path, 20, name="closed.xlsx"))
    opened.plan()
    opened.run(20)
    opened.sees("run", "of 20")
    opened.page.close()
    again = tab()
    again.sees("results", "closed.xlsx")
    again.sees("results", "finished")
    assert numbers(again.download("Download the results (Excel)", tmp_path)) == issued(box)
    assert len(issued(box)) == 20


def test_two_tabs(opened: Driver, box: Sandbox, tmp_path: Path, tab: Callable[..., Driver]) -> None:
    """The second tab sees the run of the first; its own press for the same network is told, and buys nothing."""
    box.faults.change(limit=15)
    second = tab()
    for one, rows in ((opened, 100), (second, 7)):
        one.connect(box)
        one.upload(sheet(tmp_path, rows, name=f"sheet-{rows}.xlsx"))
        one.plan()
    opened.run(100)
    expect(opened.region("progress")).to_contain_text(re.compile(r"[1-9]\d* done"), timeout=PATIENCE)
    second.sees("run", "sheet-100.xlsx")
    second.run(7)
    second.sees("plan", "Another run is using this network")
    second.picture("told")
    box.faults.change(limit=None)
    opened.sees("results", "finished")
    assert len(issued(box)) == 100


def test_a_run_is_taken_back(opened: Driver, box: Sandbox, tmp_path: Path) -> None:
    """The plan of an undo names what it deletes, is confirmed by a tick, and leaves nothing behind."""
    opened.connect(box)
    opened.upload(sheet(tmp_path, 4))
    opened.plan()
    opened.run(4)
    opened.sees("results", "finished")
    opened.press("Plan to undo this run")
    opened.sees("plan", "deletes 4 promo numbers")
    opened.picture("undo")
    opened.root.get_by_label("Yes, do it.").check()
    opened.press("Run")
    opened.sees("results", "undo of")
    opened.sees("results", "finished")
    assert left(box) == 0
