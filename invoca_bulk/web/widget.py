"""The widget: shows HTML by regions, hears what the person does, and moves files in pieces.

Nothing but its code is widget state, since a notebook's file keeps that. What the person types, tokens and sheets
travel as custom messages, which nothing keeps.
"""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Heard = Callable[[Mapping[str, Any], list[Any]], None]

_HERE = Path(__file__).parent
#: Bytes in one message.
_PIECE = 1 << 20


class Live(anywidget.AnyWidget):
    """The page as the browser shows it.

    Args:
        layout: the HTML of the whole page; elements with `data-region` are its regions.
        heard: called with each message (`do` says which) and its buffers, in the kernel's main thread.

    Attributes:
        regions: region to the HTML that it shows.
    """

    _esm = (_HERE / "live.js").read_text(encoding="utf-8")
    _css = (_HERE / "live.css").read_text(encoding="utf-8")

    def __init__(self, layout: str, heard: Heard) -> None:
        super().__init__()
        self._layout = layout
        self.regions: dict[str, str] = {}
        self._heard = heard
        self.on_msg(self._receive)

    def _receive(self, _: object, content: Mapping[str, Any], buffers: list[Any]) -> None:
        if content.get("do") == "hello":
            self._greet(str(content.get("view", "")))
        self._heard(content, buffers)

    def _greet(self, view: str) -> None:
        """A view that has just come gets everything; the others keep what is typed into them."""
        self.send({"do": "page", "view": view, "html": self._layout})
        for region, html in list(self.regions.items()):
            self.send({"do": "show", "view": view, "region": region, "html": html})

    def show(self, region: str, html: str, *, focus: bool = False) -> None:
        """Show HTML in a region; what is there already is not sent again.

        Args:
            region: its name.
            html: what it shows from now on; empty hides it.
            focus: lead the person to it.
        """
        if self.regions.get(region) != html or focus:
            self.regions[region] = html
            self.send({"do": "show", "region": region, "html": html, "focus": focus})

    def more(self, view: str, *, go: bool) -> None:
        """Ask a view for the next piece of its upload, or end it."""
        self.send({"do": "more", "view": view, "go": go})

    def download(self, view: str, path: Path, name: str) -> None:
        """Hand a file to the browser that a view is in, under a name."""
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        size = path.stat().st_size
        with path.open("rb") as stream:
            for at in range(0, max(1, size), _PIECE):
                about = {"do": "piece", "view": view, "name": name, "type": kind, "last": at + _PIECE >= size}
                self.send(about, buffers=[stream.read(_PIECE)])
