"""The page in `invoca-bulk app`: what it rejects, how it looks, and who can open it."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
from http import HTTPStatus
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pandas as pd
import psutil
import pytest
from annotated_sheets import issued, numbers, sheet
from conftest import command_arguments, served
from driver import TIMEOUT, Driver
from playwright.sync_api import expect

from tests.systems import posix_only

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Server, Watch
    from playwright.sync_api import Browser

    from invoca_bulk.sandbox_server import Sandbox


def test_a_wrong_token_can_be_corrected(opened: Driver, box: Sandbox) -> None:
    """The rejection is shown at the form, and the next attempt succeeds."""
    opened.connect(box, token="not-the-token-at-all")
    opened.sees("connect", "does not accept the token")
    opened.picture("refused")
    assert "not-the-token-at-all" not in opened.page.content()
    opened.connect(box)
    opened.sees("connect", f"network {box.network_id}")


#: File name, content, the region of the message, and a part of it.
_UNREADABLE_FILES = (
    ("notes.xlsx", b"PK\x03\x04 this is no workbook", "sheet", "notes.xlsx: The file is damaged"),
    ("picture.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 64, "sheet", "picture.png: The file is a picture"),
    ("empty.csv", b"", "sheet", "empty.csv: The file is empty"),
    ("other.csv", b"name,age\nAda,36\n", "issues", "is missing"),
)


def test_an_unreadable_file_is_rejected(opened: Driver, tmp_path: Path) -> None:
    """Broken workbook, picture, empty file, other columns: each gets one message, and the next file is accepted."""
    opened.connect_sandbox()
    for rows, (name, content, region, sentence) in enumerate(_UNREADABLE_FILES, 3):
        path = tmp_path / name
        path.write_bytes(content)
        opened.upload(path)
        opened.sees(region, sentence)
        opened.upload(sheet(tmp_path, rows))
        opened.sees("issues", f"{rows} rows checked")


def test_a_large_file_is_uploaded_in_chunks(opened: Driver, tmp_path: Path) -> None:
    """25 MB, more than one websocket message: the upload shows its progress, and errors name the right rows."""
    rows = 130_000
    padding = "x" * 120
    lines = [f"A-1,C-{number % 50},Number {number} {padding},Online: Display" for number in range(rows)]
    lines[77_776] = f"A-1,C-1,Number 77776 {padding},Telegraph"
    header = "advertiser_id_from_network,advertiser_campaign_id_from_network,description,media_type"
    path = tmp_path / "large.csv"
    path.write_text("\n".join([header, *lines]))
    assert path.stat().st_size > 20_000_000
    opened.connect_sandbox()
    opened.upload(path)
    opened.sees("upload", re.compile(r"Uploading large.csv: \d+%"))
    opened.sees("issues", f"{rows:,} rows checked")
    opened.sees("issues", "'Telegraph' is not a valid value for")
    row = opened.region("issues").locator("tr", has_text="Telegraph")
    expect(row.locator("th").first).to_have_text("77778")


def test_templates_equal_those_of_the_command_line(opened: Driver, tmp_path: Path, cli: Callable[..., Any]) -> None:
    """The download has the sheets of `invoca-bulk template`, and no errors when uploaded.

    The sheet of instructions may name the page's controls where the command's names options.
    """
    opened.connect_sandbox()
    for resource in ("promo_numbers", "advertisers"):
        path = opened.download(f"Template for {resource.replace('_', ' ')}", tmp_path)
        assert cli("template", resource, "-o", tmp_path / "by-command.xlsx", "--force").code == 0
        downloaded, by_command = (
            pd.read_excel(file, sheet_name=None, header=None, dtype=str, engine="openpyxl")
            for file in (path, tmp_path / "by-command.xlsx")
        )
        assert downloaded.pop("instructions").shape == by_command.pop("instructions").shape
        assert downloaded.keys() == by_command.keys()
        for name, sheet_cells in downloaded.items():
            pd.testing.assert_frame_equal(sheet_cells, by_command[name])
        opened.upload(path)
        opened.sees("sheet", path.name)
        opened.sees("issues", "0 have errors")


def test_the_page_works_by_keyboard(opened: Driver, tmp_path: Path) -> None:
    """From connecting to the results with Tab, Space, Enter and typing; the focus is always visible."""
    keys = opened.page.keyboard

    def tab_to(pattern: str) -> None:
        for _ in range(40):
            keys.press("Tab")
            if re.search(pattern, opened.page.evaluate(_FOCUSED)):
                assert opened.page.evaluate(_OUTLINE) >= 2
                return
        pytest.fail(f"{pattern} cannot be reached by Tab")

    tab_to("Sandbox|Network")
    keys.press("ArrowUp" if "Network" in opened.page.evaluate(_FOCUSED) else "Space")
    tab_to("^Connect")
    keys.press("Enter")
    opened.sees("sheet", "2. Sheet")
    tab_to("The sheet to upload")
    opened.upload(sheet(tmp_path, 2))  # the file dialog belongs to the operating system
    opened.sees("issues", "2 rows checked")
    expect(opened.region("issues").locator("h2")).to_be_focused(timeout=TIMEOUT)
    tab_to("^Plan")
    keys.press("Enter")
    opened.sees("plan", "2 requests")
    expect(opened.region("plan").locator("h2")).to_be_focused(timeout=TIMEOUT)
    tab_to("Type 2 to confirm")
    keys.type("2")
    keys.press("Enter")
    opened.sees("results", "2 of 2 rows are done")
    tab_to("Download the results")


#: The focused element's label, and the width of its outline.
_FOCUSED = """() => {
  const element = document.activeElement;
  const labels = [...(element.labels || [])].map((label) => label.innerText).join(" ");
  return element.ariaLabel || labels || element.innerText || "";
}"""
_OUTLINE = "() => parseFloat(getComputedStyle(document.activeElement).outlineWidth)"


def test_every_state_is_readable(tab: Callable[..., Driver], tmp_path: Path, box: Sandbox) -> None:
    """Wide and narrow, light and dark: nothing exceeds the window's width, and all text has enough contrast."""
    view = tab()
    page = view.page

    def check(state: str) -> None:
        for (width_name, width), scheme in product((("wide", 1280), ("narrow", 390)), ("light", "dark")):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            name = f"{state}-{width_name}-{scheme}"
            view.picture(name)
            assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth"), name
            assert page.evaluate(_LOW_CONTRAST) == [], name

    check("1-connect")
    view.root.get_by_role("radio", name="Network").check()
    check("1-network")
    view.connect(box)
    view.sees("sheet", "2. Sheet")
    check("2-sheet")
    media = ["Online: Display"] * 19 + ["Online Display"]
    view.upload(sheet(tmp_path, 20, media_type=media))
    view.sees("issues", "20 rows checked")
    check("3-check")
    view.plan()
    check("4-plan")
    view.root.get_by_label(re.compile("Leave out")).check()
    view.run(19)
    view.sees("run", "of 20")
    check("5-run")
    view.sees("results", ": finished.")
    check("6-results")
    assert numbers(view.download("Download the results (Excel)", tmp_path)) == issued(box)


#: Texts whose contrast with their background is below 4.5 (3 for large texts).
_LOW_CONTRAST = """() => {
  const luminance = ([r, g, b]) => {
    const part = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const colour = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const background = (start) => {
    for (let element = start; element; element = element.parentElement) {
      const own = colour(getComputedStyle(element).backgroundColor);
      if (own.length === 3 || own[3] === 1) return own;
    }
    return [255, 255, 255];
  };
  const failures = [];
  for (const element of document.querySelectorAll(".invoca-bulk-page *")) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!hasText || !element.checkVisibility() || element.closest("option, style, svg")) continue;
    const style = getComputedStyle(element);
    const [first, second] = [luminance(colour(style.color)), luminance(background(element))];
    const contrast = (Math.max(first, second) + 0.05) / (Math.min(first, second) + 0.05);
    const minimum = parseFloat(style.fontSize) >= 24 ? 3 : 4.5;
    if (contrast < minimum) failures.push(`${element.innerText}: ${contrast.toFixed(2)}`);
  }
  return failures;
}"""


def test_the_link_works_once(app: Server, opened: Driver, browser: Browser, watch: Watch) -> None:
    """The first browser stays logged in; another one gets only an explanation."""
    other = watch.observe(browser.new_page())
    response = other.goto(app.link)
    assert response
    assert response.status == HTTPStatus.FORBIDDEN
    assert "works once" in other.content()
    other.context.close()
    opened.page.reload()
    opened.ready()


def test_other_clients_are_rejected(app: Server, opened: Driver) -> None:
    """Requests without the cookie, with another host name or from another site's page reach no page and no kernel."""
    address = app.link.partition("?")[0]
    cookies = {str(cookie.get("name")): str(cookie.get("value")) for cookie in opened.page.context.cookies()}
    kernel = _kernel(opened)
    with httpx.Client(base_url=address, follow_redirects=True) as stranger:
        assert stranger.get("/").status_code == HTTPStatus.FORBIDDEN
        assert stranger.post(f"/voila/api/shutdown/{kernel}").status_code == HTTPStatus.FORBIDDEN
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    upgrade |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    with httpx.Client(base_url=address, cookies=cookies) as client:
        assert client.get("/", headers={"Host": "evil.example"}).status_code == HTTPStatus.FORBIDDEN
        assert client.get("/voila/files/page.ipynb").status_code in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}
        channels = f"/api/kernels/{kernel}/channels"
        foreign_upgrade = upgrade | {"Origin": "http://evil.example"}
        assert client.get(channels, headers=foreign_upgrade).status_code == HTTPStatus.FORBIDDEN


def _kernel(view: Driver) -> str:
    script = "() => JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId"
    return str(view.page.evaluate(script))


def test_settings_files_are_ignored(tmp_path: Path, browser: Browser, watch: Watch) -> None:
    """Voilà's settings files in the current folder and the user's own are neither applied nor executed."""
    settings = {"Voila": {"ip": "0.0.0.0", "token": "fixed"}, "VoilaConfiguration": {"file_allowlist": [".*"]}}  # noqa: S104  ignored
    (tmp_path / ".jupyter").mkdir()
    for folder in (tmp_path, tmp_path / ".jupyter"):
        (folder / "voila.json").write_text(json.dumps(settings))
        (folder / "voila.py").write_text("open('was-run', 'w').close()")
    # Not with -m, which would import the voila.py of the current folder as Voilà.
    command = [str(Path(sys.executable).parent / "invoca-bulk"), "app", "--no-browser"]
    code = f"import os; os.execv({command[0]!r}, {command!r})"
    with served(["-c", code], r"http://\S+", tmp_path) as server:
        address = server.link.partition("?")[0]
        response = httpx.get(f"{address}?token=fixed", follow_redirects=True)
        assert response.status_code == HTTPStatus.FORBIDDEN
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.2:{httpx.URL(address).port}")
        page = watch.observe(browser.new_page())
        page.goto(server.link)
        Driver(page=page, name="settings").ready()
        page.context.close()
    assert not (tmp_path / "was-run").exists()


def test_it_works_with_a_long_path_for_temporary_files(
    tmp_path: Path, browser: Browser, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On macOS, for example, the path would be too long for the kernels' socket files."""
    long_path = tmp_path / ("long-" * 12)
    long_path.mkdir()
    monkeypatch.setenv("TMPDIR", str(long_path))
    with served(command_arguments("app"), r"http://\S+", tmp_path) as server:
        page = watch.observe(browser.new_page())
        page.goto(server.link)
        Driver(page=page, name="long").ready()
        page.context.close()


@posix_only
def test_the_browsers_command_line_does_not_show_the_link(tmp_path: Path) -> None:
    """Other users can read command lines; the link is in a file that only the user can read."""
    opener = tmp_path / "opener"
    opener.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/seen.tmp; mv {tmp_path}/seen.tmp {tmp_path}/seen\n')
    opener.chmod(0o755)
    code = (
        f"import os; os.environ['BROWSER'] = {str(opener)!r} + ' %s'\n"
        "from invoca_bulk.web.serving import serve; serve(port=0, open_browser=True, on_ready=print)"
    )
    with served(["-c", code], r"http://\S+", tmp_path) as server:
        deadline = time.monotonic() + 30
        while not (tmp_path / "seen").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        address = (tmp_path / "seen").read_text().strip()
        file = Path(address.removeprefix("file://"))
        assert address.startswith("file://")
        assert server.link in file.read_text()
        assert file.stat().st_mode & 0o077 == 0


def test_it_listens_on_this_machine_only(app: Server) -> None:
    """The machine's other addresses, which other machines can reach, do not respond."""
    port = httpx.URL(app.link).port
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.2:{port}")


@pytest.mark.slow  # waits until a kernel has been idle
def test_a_kernel_without_a_page_is_ended(tmp_path: Path, browser: Browser, watch: Watch) -> None:
    """A browser that crashed does not end its kernel; the server ends the kernel once it has been idle."""
    code = (
        "from invoca_bulk.web.serving import serve; "
        "serve(port=0, open_browser=False, on_ready=print, idle_seconds=15)"  # longer than a busy machine opens a page
    )
    with served(["-c", code], r"http://\S+", tmp_path) as server:
        page = watch.observe(browser.new_page())
        page.goto(server.link)
        Driver(page=page, name="alone").ready()
        process = psutil.Process(server.process)
        assert len(_kernels(process)) == 1
        page.context.close()  # without the event that ends the kernel of a closed page
        deadline = time.monotonic() + 60
        while _kernels(process):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def _kernels(server: psutil.Process) -> list[psutil.Process]:
    kernels = []
    for process in server.children(recursive=True):
        with contextlib.suppress(psutil.Error):  # the process has just ended
            kernels += [process] if "ipykernel_launcher" in " ".join(process.cmdline()) else []
    return kernels


def test_markup_in_a_sheet_is_shown_as_text(opened: Driver, tmp_path: Path) -> None:
    """Markup in a file name, a header or a cell is shown as text at every step."""
    markup = "<img src=x onerror=\"document.title='run'\">"
    name = "<b>sheet<b>.xlsx"
    opened.connect_sandbox()
    opened.upload(
        sheet(tmp_path, 2, name=name, description=markup, media_type=["Online: Display", markup], **{markup: markup})
    )
    opened.sees("issues", markup)
    opened.sees("sheet", name)
    opened.plan()
    opened.root.get_by_label(re.compile("Leave out")).check()
    opened.run(1)
    opened.sees("results", markup)
    assert opened.page.title() == "invoca-bulk"
    assert opened.root.locator("img").count() == 0


def test_help_opens_on_the_page(opened: Driver) -> None:
    """A link shows its topic and moves the focus there; topics that it names are links too."""
    opened.press("sandbox")
    opened.sees("help", "Rehearse on a sandbox")
    expect(opened.region("help").locator("h2")).to_be_focused(timeout=TIMEOUT)
    opened.region("help").locator("article").get_by_role("button", name="recovery", exact=True).first.click()
    opened.sees("help", "When something goes wrong")
    assert opened.region("help").locator("table").count() > 0
