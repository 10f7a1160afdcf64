"""A real browser, the page as `invoca-bulk app` serves it, and a separate platform for each test."""

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

from driver import TIMEOUT, Driver

_BROWSER_NAMES = ("chromium", "chromium-browser", "google-chrome")
#: The browser's sandbox does not work for root; the browser must send no requests of its own.
_BROWSER_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
_NETWORK_NUMBERS = count(7000)


@pytest.fixture(scope="module")  # while it is open, an event loop runs in this thread
def browser() -> Iterator[Browser]:
    """This machine's Chromium."""
    path = next(filter(None, map(shutil.which, _BROWSER_NAMES)), None)
    if path is None:
        pytest.skip("needs a browser: sudo apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=_BROWSER_FLAGS)
        yield chromium
        chromium.close()


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running `invoca-bulk app` or `invoca-bulk lab`.

    Attributes:
        link: the address to open.
        folder: the current and home directory of the process.
        process: the process id.
    """

    link: str
    folder: Path
    process: int


def command_arguments(name: str) -> list[str]:
    """Python's arguments that run a command of `invoca-bulk` without opening a browser."""
    return ["-m", "invoca_bulk", name, "--no-browser"]


@contextlib.contextmanager
def served(arguments: list[str], pattern: str, folder: Path) -> Iterator[Server]:
    """Start a server with Python's `arguments`, and wait for the link that it prints."""
    command = [sys.executable, *arguments]
    log = folder / "log.txt"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, cwd=folder, env=_environment(folder)
        )
    try:
        deadline = time.monotonic() + 60
        while not (link := re.search(pattern, log.read_text())):
            assert time.monotonic() < deadline, log.read_text()
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        yield Server(link=link[0], folder=folder, process=process.pid)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _environment(home: Path) -> dict[str, str]:
    """The environment without the settings of the user who runs the tests, and with another home."""
    excluded = ("INVOCA_", "JUPYTER", "XDG_")
    environment = {name: text for name, text in os.environ.items() if not name.startswith(excluded)}
    return environment | {"HOME": str(home), "INVOCA_JOURNAL": str(home / "journal")}


@pytest.fixture(scope="module")
def app(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The served page; the browser fixture comes first, so that no server starts without a browser."""
    del browser
    with served(command_arguments("app"), r"http://\S+", tmp_path_factory.mktemp("app")) as server:
        yield server


@pytest.fixture(scope="module")
def visitor(app: Server, browser: Browser) -> Iterator[tuple[BrowserContext, str]]:
    """A browser context that has used the link, and the address that it may open from then on."""
    with contextlib.closing(browser.new_context(accept_downloads=True)) as context:
        page = context.new_page()
        assert page.goto(app.link).status == 200
        page.close()
        yield context, app.link.partition("?")[0]


@dataclass
class Watch:
    """Collects requests to other machines and script errors, for which a test fails."""

    problems: list[str]

    def observe(self, page: Page) -> Page:
        page.set_default_timeout(TIMEOUT)
        page.on("request", lambda req: None if _is_local(req.url) else self.problems.append(f"requested {req.url}"))
        page.on("pageerror", lambda error: self.problems.append(f"script error: {error}"))
        return page


def _is_local(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "http://localhost:", "ws://127.0.0.1:", "data:", "blob:", "about:"))


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Observes the pages of the test."""
    watching = Watch(problems=[])
    yield watching
    assert watching.problems == []


@pytest.fixture
def tab(
    visitor: tuple[BrowserContext, str], watch: Watch, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Driver]]:
    """Opens the page in another tab."""
    context, address = visitor
    drivers: list[Driver] = []

    def open_tab() -> Driver:
        page = watch.observe(context.new_page())
        page.set_viewport_size({"width": 1280, "height": 900})
        page.goto(address)
        name = re.sub(r"\W+", "-", request.node.name).strip("-")
        drivers.append(Driver(page=page, name=f"{name}-{len(drivers) + 1}" if drivers else name))
        return drivers[-1].ready()

    yield open_tab
    for driver in drivers:
        if not driver.page.is_closed():
            driver.picture("last")
            driver.page.close()


@pytest.fixture
def opened(tab: Callable[..., Driver]) -> Driver:
    """The page in a tab."""
    return tab()


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """A platform with a separate network and a readable ledger, slow enough for its progress to be seen."""
    number = str(next(_NETWORK_NUMBERS))
    with Sandbox(network_id=number, open_campaigns=True, token="the-secret-token", latency=0.1) as sandbox:
        yield sandbox
