"""A real browser, the page as `invoca-bulk app` serves it, and a platform of the test's own."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright

from invoca_bulk.sandbox_server import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

sys.path.insert(0, str(Path(__file__).parent))

from driver import PATIENCE, Driver

_NAMES = ("chromium", "chromium-browser", "google-chrome")
#: Not root's sandbox of the browser, no requests of its own to the world.
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
_NETWORKS = count(7000)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium of this machine."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("needs a browser: sudo apt-get install chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=_FLAGS)
        yield running
        running.close()


@dataclass(frozen=True, kw_only=True)
class Server:
    """`invoca-bulk app` or `invoca-bulk lab`, serving.

    Attributes:
        link: the address to open.
        folder: where it runs, and its user's home.
        process: its number.
    """

    link: str
    folder: Path
    process: int


def verb(name: str) -> list[str]:
    """The arguments of Python that run a verb of ours, without opening a browser."""
    return ["-m", "invoca_bulk", name, "--no-browser"]


@contextlib.contextmanager
def served(arguments: list[str], pattern: str, folder: Path) -> Iterator[Server]:
    """Start a server with Python, and wait for the link that it prints."""
    command = [sys.executable, *arguments]
    log = folder / "log.txt"
    with log.open("w") as told:
        process = subprocess.Popen(command, stdout=told, stderr=subprocess.STDOUT, cwd=folder, env=_environment(folder))
    try:
        deadline = time.monotonic() + 60
        while not (found := re.search(pattern, log.read_text())):
            assert time.monotonic() < deadline, log.read_text()
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        yield Server(link=found[0], folder=folder, process=process.pid)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _environment(home: Path) -> dict[str, str]:
    """Without the settings of whoever runs the tests, and with a home of its own."""
    foreign = ("INVOCA_", "JUPYTER", "XDG_")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(foreign)}
    return kept | {"HOME": str(home), "INVOCA_JOURNAL": str(home / "journal")}


@pytest.fixture(scope="module")
def app(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The page, served; the browser is asked for first, so that no server starts where there is none."""
    del browser
    with served(verb("app"), r"http://\S+", tmp_path_factory.mktemp("app")) as server:
        yield server


@pytest.fixture(scope="module")
def visitor(app: Server, browser: Browser) -> Iterator[tuple[BrowserContext, str]]:
    """The browser that has come by the link, and the address that it may open from then on."""
    with contextlib.closing(browser.new_context(accept_downloads=True)) as context:
        page = context.new_page()
        assert page.goto(app.link).status == 200
        page.close()
        yield context, app.link.partition("?")[0]


@dataclass
class Watch:
    """Fails a test for whatever a page asks of another machine, or breaks in a script."""

    seen: list[str]

    def over(self, page: Page) -> Page:
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda one: None if _is_ours(one.url) else self.seen.append(f"asked for {one.url}"))
        page.on("pageerror", lambda error: self.seen.append(f"script error: {error}"))
        return page


def _is_ours(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "http://localhost:", "ws://127.0.0.1:", "data:", "blob:", "about:"))


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Looks at every page of the test."""
    watching = Watch(seen=[])
    yield watching
    assert watching.seen == []


@pytest.fixture
def tab(
    visitor: tuple[BrowserContext, str], watch: Watch, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Driver]]:
    """Opens the page in one more tab."""
    context, address = visitor
    opened: list[Driver] = []

    def open_tab(width: int = 1280, scheme: str = "light") -> Driver:
        page = watch.over(context.new_page())
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.goto(address)
        name = re.sub(r"\W+", "-", request.node.name).strip("-")
        opened.append(Driver(page=page, name=f"{name}-{len(opened) + 1}" if opened else name))
        return opened[-1].ready()

    yield open_tab
    for one in opened:
        if not one.page.is_closed():
            one.picture("last")
            one.page.close()


@pytest.fixture
def opened(tab: Callable[..., Driver]) -> Driver:
    """The page, open in a tab."""
    return tab()


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """A platform whose ledger the test can read, with a network of the test's own, slow enough to be watched."""
    number = str(next(_NETWORKS))
    with Sandbox(network_id=number, open_campaigns=True, token="the-secret-token", latency=0.1) as sandbox:
        yield sandbox
