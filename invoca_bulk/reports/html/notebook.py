"""What a notebook shows: several sheets by name, and content below a cell in addition to the cell's value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoca_bulk.reports.html.markup import container, heading, notices
from invoca_bulk.wording import count_of

if TYPE_CHECKING:
    import pandas as pd


class FrameDict(dict[str, "pd.DataFrame"]):
    """Sheet name to DataFrame: a dict that differs only in how a notebook shows it."""

    def _repr_html_(self) -> str:
        """Each DataFrame as pandas shows it, under its name."""
        parts = (
            f"{container(heading(name, count_of(len(frame), 'row')))}{frame.to_html(max_rows=10, notebook=True)}"
            for name, frame in self.items()
        )
        return "".join(parts)


@dataclass(frozen=True, kw_only=True, repr=False)
class RichText:
    """Content that a notebook shows as HTML and a terminal as text."""

    html: str  # a complete display
    text: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text


def display_below(content: RichText) -> None:
    """Show it below the running cell; call it in a kernel only, since it needs IPython."""
    from IPython.display import display  # noqa: PLC0415  not installed outside of a kernel

    display(content)  # type: ignore[no-untyped-call]


def display_notices(lines: Sequence[str]) -> None:
    """Show sentences that need attention; without any, show nothing."""
    if lines:
        display_below(RichText(html=container(notices(lines)), text="\n".join(lines)))
