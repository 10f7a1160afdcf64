"""The page in a notebook's cell, in JupyterLab as `invoca-bulk lab` opens it."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import pytest
from annotated_sheets import issued, numbers, sheet
from conftest import command_arguments, served
from driver import TIMEOUT, Driver
from playwright.sync_api import TimeoutError, expect  # noqa: A004  Playwright's own exception

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Server, Watch
    from playwright.sync_api import Browser

    from invoca_bulk.sandbox_server import Sandbox

pytestmark = pytest.mark.slow

NOTEBOOK = "05_upload_page.ipynb"


@pytest.fixture(scope="module")
def lab(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """JupyterLab on a copy of the notebooks."""
    del browser
    with served(command_arguments("lab"), r"http://127\.0\.0\.1\S+token=\w+", tmp_path_factory.mktemp("lab")) as server:
        yield server


@pytest.fixture
def cell(lab: Server, browser: Browser, watch: Watch, request: pytest.FixtureRequest) -> Iterator[Driver]:
    """The page in the notebook, after its cells have run."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, accept_downloads=True)
    page = watch.observe(context.new_page())
    address, _, token = lab.link.partition("?")
    folder, name = lab.folder / "invoca-bulk-notebooks", f"{request.node.name}.ipynb"
    (folder / name).write_bytes((folder / NOTEBOOK).read_bytes())  # a separate file gets a separate kernel
    page.goto(f"{re.sub('/lab.*', '', address)}/lab/tree/{name}?reset&{token}")
    view = Driver(page=page, name=re.sub(r"\W+", "-", request.node.name).strip("-"))
    try:
        _run_all(view)
        yield view
    finally:
        view.picture("last")
        context.close()


def _run_all(view: Driver) -> None:
    """Run the cell that shows the page; repeat it, because JupyterLab drops a key press that comes too early."""
    page = view.page
    first = page.locator(".jp-Notebook .jp-CodeCell").first
    first.wait_for()
    expect(page.locator(".jp-Notebook-ExecutionIndicator")).to_have_attribute("data-status", "idle", timeout=TIMEOUT)
    for _ in range(10):
        first.locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
        with contextlib.suppress(TimeoutError):  # Jupyter asks for a kernel if none is known yet
            page.get_by_role("button", name="Select Kernel").click(timeout=500)
        with contextlib.suppress(AssertionError):
            expect(first.locator(".jp-InputPrompt").first).not_to_have_text("[ ]:", timeout=3000)
            break
    view.ready()


def test_from_a_sheet_to_its_results_in_a_cell(cell: Driver, lab: Server, box: Sandbox, tmp_path: Path) -> None:
    """The page works as in `invoca-bulk app`; the notebook's file contains nothing that was typed or uploaded."""
    secret = "only-in-the-sheet"
    cell.connect(box)
    cell.upload(sheet(tmp_path, 12, name="in-a-cell.xlsx", description=f"{secret} text"))
    cell.sees("issues", "12 rows checked")
    cell.plan()
    cell.run(12)
    cell.sees("results", "in-a-cell.xlsx")
    cell.sees("results", ": finished.")
    cell.picture("results")
    assert numbers(cell.download("Download the results (Excel)", tmp_path)) == issued(box)
    assert len(issued(box)) == 12
    text = _saved(cell, lab, "test_from_a_sheet_to_its_results_in_a_cell").read_text()
    assert "widget-view" in text  # the outputs were saved too
    assert cell.page.get_by_text("Jupyter news").count() == 0  # JupyterLab does not offer to fetch news
    for hidden in (box.token, secret, "in-a-cell"):
        assert hidden not in text


def _saved(cell: Driver, lab: Server, name: str) -> Path:
    """Save the notebook with the keyboard, and return its file."""
    file = lab.folder / "invoca-bulk-notebooks" / f"{name}.ipynb"
    before = file.stat().st_mtime_ns
    cell.page.keyboard.press("Control+s")
    while file.stat().st_mtime_ns == before:
        cell.page.wait_for_timeout(50)
    return file


def test_a_reload_of_jupyterlab_shows_the_run_again(cell: Driver, lab: Server, box: Sandbox, tmp_path: Path) -> None:
    """The kernel and the page survive the reload: the cell shows the run's progress and results."""
    _saved(cell, lab, "test_a_reload_of_jupyterlab_shows_the_run_again")
    box.faults.change(limit=3)  # the run must last longer than the reload, on a busy machine too
    cell.connect(box)
    cell.upload(sheet(tmp_path, 120, name="reloaded.xlsx"))
    cell.plan()
    cell.run(120)
    expect(cell.region("progress")).to_contain_text(re.compile(r"[1-9]\d* done"), timeout=TIMEOUT)
    cell.page.reload()
    cell.ready()
    cell.sees("run", "of 120")
    box.faults.change(limit=None)
    cell.sees("results", "reloaded.xlsx")
    cell.sees("results", ": finished.")
    assert numbers(cell.download("Download the results (Excel)", tmp_path)) == issued(box)
    assert len(issued(box)) == 120


def test_a_large_file_in_a_cell(cell: Driver, tmp_path: Path) -> None:
    """A file of 25 MB passes through JupyterLab's websocket."""
    rows = 120_000
    lines = [f"A-1,C-1,Number {number} {'x' * 150},Online: Display" for number in range(rows)]
    header = "advertiser_id_from_network,advertiser_campaign_id_from_network,description,media_type"
    path = tmp_path / "large.csv"
    path.write_text("\n".join([header, *lines]))
    cell.connect_sandbox()
    cell.upload(path)
    cell.sees("issues", f"{rows:,} rows checked")
