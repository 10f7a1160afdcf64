"""Putting something below a notebook's cell, besides the value that the cell gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoca_bulk.reports.html.markup import container, notices

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, kw_only=True, repr=False)
class RichText:
    """Something that a notebook shows as HTML, and a terminal as text.

    Attributes:
        html: a whole display.
        text: the same in words.
    """

    html: str
    text: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text


def display_below(content: RichText) -> None:
    """Show it below the cell that is running; only in a kernel, which has IPython."""
    from IPython.display import display  # noqa: PLC0415  there is none outside of a kernel

    display(content)  # type: ignore[no-untyped-call]


def display_notices(lines: Sequence[str]) -> None:
    """Show sentences that have to be looked at; nothing where there are none."""
    if lines:
        display_below(RichText(html=container(notices(lines)), text="\n".join(lines)))
