"""The widget: shows HTML by region, receives what the user does, and transfers files in chunks.

Widget state is saved in the notebook's file, so it holds only the widget's code. User input, tokens and sheets are sent
as custom messages, which are not saved.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget

from invoca_bulk.reports.html import follow_system_theme

if TYPE_CHECKING:
    MessageHandler = Callable[[Mapping[str, Any], list[Any]], None]

_HERE = Path(__file__).parent
#: Bytes per message.
_CHUNK_BYTES = 1 << 20


class PageWidget(anywidget.AnyWidget):
    """The page as the browser shows it; elements of `page_html` with `data-region` are its regions.

    `message_handler` is called with each message (`do` is its type) and its buffers, in the kernel's main thread.
    """

    _esm = (_HERE / "page.js").read_text(encoding="utf-8")
    _css = follow_system_theme((_HERE / "page.css").read_text(encoding="utf-8"))

    def __init__(self, page_html: str, message_handler: MessageHandler) -> None:
        super().__init__()
        self._page_html = page_html
        self.regions: dict[str, str] = {}
        self._message_handler = message_handler
        self.on_msg(self._handle_message)

    def _handle_message(self, _: object, content: Mapping[str, Any], buffers: list[Any]) -> None:
        if content.get("do") == "hello":
            # Everything goes to the new view only; the others keep what is typed into them.
            view = str(content.get("view", ""))
            self.send({"do": "page", "view": view, "html": self._page_html})
            for region, html in list(self.regions.items()):
                self.send({"do": "show", "view": view, "region": region, "html": html})
        self._message_handler(content, buffers)

    def show(self, region: str, html: str, *, focus: bool = False) -> None:
        """Show HTML in a region, which empty HTML hides; unchanged HTML is not sent again."""
        if self.regions.get(region) != html or focus:
            self.regions[region] = html
            self.send({"do": "show", "region": region, "html": html, "focus": focus})

    def acknowledge_chunk(self, view: str, *, wants_more: bool) -> None:
        """Ask a view for the next chunk of its upload, or stop the upload."""
        self.send({"do": "more", "view": view, "go": wants_more})

    def send_file(self, view: str, path: Path, name: str) -> None:
        """Send a file as a download named `name` to the browser that shows a view."""
        content_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        size = path.stat().st_size
        with path.open("rb") as stream:
            for offset in range(0, max(1, size), _CHUNK_BYTES):
                is_last = offset + _CHUNK_BYTES >= size
                header = {"do": "piece", "view": view, "name": name, "type": content_type, "last": is_last}
                self.send(header, buffers=[stream.read(_CHUNK_BYTES)])
