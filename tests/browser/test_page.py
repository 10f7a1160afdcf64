"""The page alone: what it refuses, how it looks, and who may open it."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest
from annotated_sheets import issued, numbers, sheet
from conftest import served, verb
from driver import PATIENCE, Driver
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Server, Watch
    from playwright.sync_api import Browser

    from invoca_bulk.sandbox_server import Sandbox


def test_a_wrong_token_is_told_and_the_page_goes_on(opened: Driver, box: Sandbox) -> None:
    """The platform's no is a sentence at the token; the next try is right."""
    opened.connect(box, token="not-the-token-at-all")
    opened.sees("connect", "does not accept the token")
    opened.picture("refused")
    assert "not-the-token-at-all" not in opened.page.content()
    opened.connect(box)
    opened.sees("connect", f"network {box.network_id}")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("notes.xlsx", b"PK\x03\x04 this is no workbook", "Save"),
        ("picture.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 64, "picture.png"),
        ("empty.csv", b"", "empty"),
        ("other.csv", b"name,age\nAda,36\n", "column"),
    ],
    ids=["broken workbook", "picture", "empty", "other columns"],
)
def test_a_file_that_is_no_sheet(opened: Driver, tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    """The refusal is a sentence on the page, and the next file is taken."""
    path = tmp_path / name
    path.write_bytes(content)
    opened.connect_sandbox()
    opened.upload(path)
    problem = opened.root.locator(".problem, [data-region=issues]").first
    expect(problem).to_contain_text(re.compile(sentence, re.IGNORECASE), timeout=PATIENCE)
    opened.upload(sheet(tmp_path, 3))
    opened.sees("issues", "3 rows checked")


def test_a_large_file_goes_in_pieces(opened: Driver, tmp_path: Path) -> None:
    """25 MB, more than a websocket's message: uploaded with progress, and the errors stand at the right rows."""
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


def test_templates_are_those_of_the_command_line(opened: Driver, tmp_path: Path, cli: Callable[..., Any]) -> None:
    """The download is the file that `invoca-bulk template` writes, and an upload of it has no errors."""
    opened.connect_sandbox()
    for resource in ("promo_numbers", "advertisers"):
        got = opened.download(f"Template for {resource.replace('_', ' ')}", tmp_path)
        assert cli("template", resource, "-o", tmp_path / "by-command.xlsx", "--force").code == 0
        assert got.read_bytes() == (tmp_path / "by-command.xlsx").read_bytes()
        opened.upload(got)
        opened.sees("sheet", got.name)
        opened.sees("issues", "0 have errors")


def test_by_keyboard_alone(opened: Driver, tmp_path: Path) -> None:
    """From the connection to the results with Tab, Space, Enter and typing; the focus is always to be seen."""
    keys = opened.page.keyboard

    def tab_to(what: str) -> None:
        for _ in range(40):
            keys.press("Tab")
            if re.search(what, opened.page.evaluate(_FOCUSED)):
                assert opened.page.evaluate(_OUTLINE) >= 2
                return
        pytest.fail(f"{what} cannot be reached by Tab")

    tab_to("Sandbox|Network")
    keys.press("ArrowUp" if "Network" in opened.page.evaluate(_FOCUSED) else "Space")
    tab_to("^Connect")
    keys.press("Enter")
    opened.sees("sheet", "2. Sheet")
    tab_to("The sheet to upload")
    opened.upload(sheet(tmp_path, 2))  # the system's own dialog is not the page's
    opened.sees("issues", "2 rows checked")
    expect(opened.region("issues").locator("h2")).to_be_focused(timeout=PATIENCE)
    tab_to("^Plan")
    keys.press("Enter")
    opened.sees("plan", "2 requests")
    expect(opened.region("plan").locator("h2")).to_be_focused(timeout=PATIENCE)
    tab_to("Type 2 to confirm")
    keys.type("2")
    keys.press("Enter")
    opened.sees("results", "2 of 2 rows are done")
    tab_to("Download the results")


#: What the focused element says of itself, and how wide the line around it is.
_FOCUSED = """() => {
  const one = document.activeElement;
  return one.ariaLabel || [...(one.labels || [])].map((label) => label.innerText).join(" ") || one.innerText || "";
}"""
_OUTLINE = "() => parseFloat(getComputedStyle(document.activeElement).outlineWidth)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390], ids=["wide", "narrow"])
def test_every_state_can_be_read(
    tab: Callable[..., Driver], tmp_path: Path, box: Sandbox, *, width: int, scheme: str
) -> None:
    """Wide and narrow, light and dark: nothing is wider than the window, and every text stands out from its ground."""
    view = tab(width=width, scheme=scheme)
    page = view.page

    def look(state: str) -> None:
        view.picture(state)
        assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth"), state
        assert page.evaluate(_FAINT) == [], state

    look("1-connect")
    view.root.get_by_role("radio", name="Network").check()
    look("1-network")
    view.connect(box)
    view.sees("sheet", "2. Sheet")
    look("2-sheet")
    media = ["Online: Display"] * 19 + ["Online Display"]
    view.upload(sheet(tmp_path, 20, media_type=media))
    view.sees("issues", "20 rows checked")
    look("3-check")
    view.plan()
    look("4-plan")
    view.root.get_by_label(re.compile("Leave out")).check()
    view.run(19)
    view.sees("run", "of 20")
    look("5-run")
    view.sees("results", "finished")
    look("6-results")
    assert numbers(view.download("Download the results (Excel)", tmp_path)) == issued(box)


#: Texts whose contrast with what is behind them is below 4.5 (3 for large ones).
_FAINT = """() => {
  const light = ([r, g, b]) => {
    const part = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const colour = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const ground = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const found = colour(getComputedStyle(at).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const one of document.querySelectorAll(".invoca-bulk-page *")) {
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !one.checkVisibility() || one.closest("option, style, svg")) continue;
    const style = getComputedStyle(one);
    const [first, second] = [light(colour(style.color)), light(ground(one))];
    const contrast = (Math.max(first, second) + 0.05) / (Math.min(first, second) + 0.05);
    if (contrast < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) faint.push(`${one.innerText}: ${contrast.toFixed(2)}`);
  }
  return faint;
}"""


def test_the_link_works_once(app: Server, opened: Driver, browser: Browser, watch: Watch) -> None:
    """The browser that came first stays in; another one is told how it is opened, and gets nothing."""
    other = watch.over(browser.new_page())
    answer = other.goto(app.link)
    assert answer
    assert answer.status == 403
    assert "works once" in other.content()
    other.context.close()
    opened.page.reload()
    opened.ready()


def test_strangers_get_nothing(app: Server, opened: Driver) -> None:
    """No cookie, another site's name for this machine, another site's page: no page, no kernel, no run."""
    where = app.link.partition("?")[0]
    cookies = {str(one.get("name")): str(one.get("value")) for one in opened.page.context.cookies()}
    kernel = _kernel(opened)
    with httpx.Client(base_url=where, follow_redirects=True) as stranger:
        assert stranger.get("/").status_code == 403
        assert stranger.post(f"/voila/api/shutdown/{kernel}").status_code == 403
    asks = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    asks |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    with httpx.Client(base_url=where, cookies=cookies) as known:
        assert known.get("/", headers={"Host": "evil.example"}).status_code == 403
        assert known.get("/voila/files/page.ipynb").status_code in {403, 404}
        channels = f"/api/kernels/{kernel}/channels"
        assert known.get(channels, headers=asks | {"Origin": "http://evil.example"}).status_code == 403


def _kernel(view: Driver) -> str:
    found = view.page.evaluate("() => JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId")
    return str(found)


def test_no_setting_that_lies_around_opens_it(tmp_path: Path, browser: Browser, watch: Watch) -> None:
    """Voilà's files of settings, in the current folder and the person's own, are neither heeded nor run."""
    settings = {"Voila": {"ip": "0.0.0.0", "token": "fixed"}, "VoilaConfiguration": {"file_allowlist": [".*"]}}  # noqa: S104  not heeded
    (tmp_path / ".jupyter").mkdir()
    for folder in (tmp_path, tmp_path / ".jupyter"):
        (folder / "voila.json").write_text(json.dumps(settings))
        (folder / "voila.py").write_text("open('was-run', 'w').close()")
    # Not with -m, which would take a voila.py of the current folder for Voilà itself.
    command = [str(Path(sys.executable).parent / "invoca-bulk"), "app", "--no-browser"]
    code = f"import os; os.execv({command[0]!r}, {command!r})"
    with served(["-c", code], r"http://\S+", tmp_path) as server:
        where = server.link.partition("?")[0]
        assert httpx.get(f"{where}?token=fixed", follow_redirects=True).status_code == 403
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.2:{httpx.URL(where).port}")
        page = watch.over(browser.new_page())
        page.goto(server.link)
        Driver(page=page, name="settings").ready()
        page.context.close()
    assert not (tmp_path / "was-run").exists()


def test_it_works_where_the_folder_for_temporary_files_has_a_long_name(
    tmp_path: Path, browser: Browser, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a Mac: the sockets of kernels would have names that are too long."""
    long = tmp_path / ("long-" * 12)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    with served(verb("app"), r"http://\S+", tmp_path) as server:
        page = watch.over(browser.new_page())
        page.goto(server.link)
        Driver(page=page, name="long").ready()
        page.context.close()


def test_the_browsers_command_line_does_not_show_the_link(tmp_path: Path) -> None:
    """Everybody on the machine can read that; the link is in a file that only the person can read."""
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
        seen = (tmp_path / "seen").read_text().strip()
        file = Path(seen.removeprefix("file://"))
        assert seen.startswith("file://")
        assert server.link in file.read_text()
        assert file.stat().st_mode & 0o077 == 0


def test_it_listens_on_this_machine_only(app: Server) -> None:
    """Other addresses of this machine, which other machines can reach, get no answer."""
    port = httpx.URL(app.link).port
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.2:{port}")


def test_a_kernel_without_a_page_is_ended(tmp_path: Path, browser: Browser, watch: Watch) -> None:
    """A browser that has crashed says no goodbye; its kernel is found to be idle and alone, and ended."""
    code = (
        "from invoca_bulk.web.serving import serve; serve(port=0, open_browser=False, on_ready=print, idle_seconds=2)"
    )
    with served(["-c", code], r"http://\S+", tmp_path) as server:
        page = watch.over(browser.new_page())
        page.goto(server.link)
        Driver(page=page, name="alone").ready()
        here = psutil.Process(server.process)
        assert len(_kernels(here)) == 1
        page.context.close()  # without the event by which a page that is closed ends its kernel
        deadline = time.monotonic() + 30
        while _kernels(here):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def _kernels(server: psutil.Process) -> list[psutil.Process]:
    found = []
    for one in server.children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has just ended
            found += [one] if "ipykernel_launcher" in " ".join(one.cmdline()) else []
    return found


def test_what_a_sheet_says_is_never_run(opened: Driver, tmp_path: Path) -> None:
    """Markup in a file's name, a header, a cell: shown as text, at every step."""
    bad = "<img src=x onerror=\"document.title='run'\">"
    name = "<b>sheet<b>.xlsx"
    opened.connect_sandbox()
    opened.upload(sheet(tmp_path, 2, name=name, description=bad, media_type=["Online: Display", bad], **{bad: bad}))
    opened.sees("issues", bad)
    opened.sees("sheet", name)
    opened.plan()
    opened.root.get_by_label(re.compile("Leave out")).check()
    opened.run(1)
    opened.sees("results", bad)
    assert opened.page.title() == "invoca-bulk"
    assert opened.root.locator("img").count() == 0
