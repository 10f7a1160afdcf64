"""The page as a user sees it: elements are found by their text, and states are awaited without sleeping."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

PICTURES = Path(__file__).parent / "pictures"
#: Milliseconds to wait for a state at most, on a machine that is busy with other tests.
TIMEOUT = 60_000


@dataclass(frozen=True, kw_only=True)
class Driver:
    """One view of the page.

    Attributes:
        page: the browser's tab.
        name: prefix of the names of its pictures.
    """

    page: Page
    name: str

    @property
    def root(self) -> Locator:
        return self.page.locator(".invoca-bulk-page")

    def region(self, name: str) -> Locator:
        return self.root.locator(f"[data-region={name}]")

    def ready(self) -> Driver:
        self.root.and_(self.page.locator("[data-ready=yes]")).wait_for(timeout=TIMEOUT)
        return self

    def picture(self, state: str) -> None:
        PICTURES.mkdir(exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{self.name}-{state}.png", full_page=True)

    def press(self, text: str) -> None:
        self.root.get_by_role("button", name=text, exact=True).first.click(timeout=TIMEOUT)

    def sees(self, region: str, text: str | re.Pattern[str]) -> None:
        expect(self.region(region)).to_contain_text(text, timeout=TIMEOUT)

    # From a sheet to its results

    def connect_sandbox(self) -> None:
        self.root.get_by_role("radio", name="Sandbox").check(timeout=TIMEOUT)
        self.press("Connect")
        self.sees("connect", "To the sandbox")

    def connect(self, box: Any, token: str | None = None) -> None:
        """Connect to the test's sandbox as if it were a real network."""
        self.root.get_by_role("radio", name="Network").check(timeout=TIMEOUT)
        self.root.get_by_label("Network id", exact=True).fill(box.network_id)
        self.root.get_by_label("Base URL", exact=True).fill(box.base_url)
        self.root.get_by_label("Token", exact=True).fill(box.token if token is None else token)
        self.press("Connect")

    def upload(self, path: Path) -> None:
        self.root.locator("input[type=file]").set_input_files(path, timeout=TIMEOUT)

    def plan(self) -> None:
        self.press("Plan")
        self.sees("plan", re.compile(r"\d requests?\."))

    def run(self, count: int) -> None:
        """Confirm the number of purchases and start the run."""
        self.root.get_by_label(re.compile("Type .* to confirm")).fill(str(count), timeout=TIMEOUT)
        self.press("Buy and run")

    def download(self, button: str, folder: Path) -> Path:
        with self.page.expect_download(timeout=TIMEOUT) as caught:
            self.press(button)
        path = folder / caught.value.suggested_filename
        caught.value.save_as(path)
        return path
