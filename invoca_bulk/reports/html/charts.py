"""How many rows came to what: as SVG without a script, and in block characters for terminals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoca_bulk.reports.html.markup import CLASSES, Html, element, prose, text
from invoca_bulk.reports.xlsx import Style

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: Style to the class of its bar, and its colour where no style sheet is applied (GitHub drops them).
_BARS: Mapping[Style, tuple[str, str]] = {
    Style.OK: ("ib-ok-bar", "#2c8a47"),
    Style.WARNING: ("ib-warning-bar", "#b98a00"),
    Style.ERROR: ("ib-error-bar", "#cf2f41"),
}
_OTHER = ("ib-muted-bar", "#59636e")
# Pixels. So narrow that words stay readable when a telephone's width shrinks it.
_WIDTH, _LINE, _LABELS, _FIGURES = 440, 24, 104, 116
_LENGTH = _WIDTH - _LABELS - _FIGURES
_SHORTEST = 3  # a single row of ten thousand is still seen
_BLOCKS = " ▏▎▍▌▋▊▉█"
_CHARACTERS = 30


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar of a chart.

    Attributes:
        word: what it stands for.
        count: how many rows.
        style: its colour.
    """

    word: str
    count: int
    style: Style = Style.PLAIN


def chart(bars: Sequence[Bar], title: str = "Rows by outcome") -> Html:
    """Horizontal bars with words and numbers, as SVG; nothing where there are none.

    Args:
        bars: from the top down.
        title: what it shows; read out before the numbers.
    """
    if not bars:
        return Html("")
    told = "; ".join(f"{one.word}: {one.count:,} ({_share(one, bars)})" for one in bars)
    height = _LINE * len(bars)
    lines = (part for at, one in enumerate(bars) for part in _line(one, at * _LINE, bars))
    # The words are in it, for programs that read a page out; `role` makes them one picture.
    return element(
        "svg",
        element("title", text(title)),
        element("desc", text(told)),
        *lines,
        xmlns="http://www.w3.org/2000/svg",
        role="img",
        aria_label=f"{title}. {told}",
        viewBox=f"0 0 {_WIDTH} {height}",
        width=str(_WIDTH),
        height=str(height),
    )


def _line(bar: Bar, top: int, bars: Sequence[Bar]) -> Iterable[Html]:
    class_, fill = _BARS.get(bar.style, _OTHER)
    length = max(_SHORTEST, round(_LENGTH * bar.count / max(1, *(one.count for one in bars))))
    across = str(top + _LINE * 2 // 3)
    label = {"x": str(_LABELS - 8), "y": across, "text_anchor": "end", "fill": "currentColor"}
    place = {"x": str(_LABELS), "y": str(top + 4), "width": str(length), "height": str(_LINE - 8)}
    yield element("text", text(bar.word), **label)
    yield element("rect", class_=class_, fill=fill, **place)
    figures = f"{bar.count:,} ({_share(bar, bars)})"
    yield element("text", text(figures), x=str(_LABELS + length + 8), y=across, fill="currentColor")


def _share(bar: Bar, bars: Iterable[Bar]) -> str:
    """The share in percent; never 0% of something, nor 100% where there is something else."""
    total = sum(one.count for one in bars)
    share = round(100 * bar.count / total) if total else 0
    if bar.count and share == 0:
        return "<1%"
    return ">99%" if share == 100 and bar.count < total else f"{share}%"  # noqa: PLR2004  percent


def meanings(found: Sequence[tuple[Bar, str]]) -> Html:
    """The words of a chart with what each means, as `prose` takes it; nothing where there are none."""
    items = (
        element(
            "li",
            element("b", text(bar.word), class_=CLASSES[bar.style]),
            Html(f" {bar.count:,}: "),
            prose(meaning),
        )
        for bar, meaning in found
    )
    return element("ul", *items, class_="ib-lines") if found else Html("")


def chart_text(bars: Sequence[Bar]) -> str:
    """The same for a terminal: a line each; empty where there are none."""
    words, figures = (
        max((len(text) for text in texts), default=0)
        for texts in ([one.word for one in bars], [f"{one.count:,}" for one in bars])
    )
    largest = max(1, *(one.count for one in bars), 1)
    return "\n".join(
        f"  {one.word:<{words}}  {_blocks(one.count / largest):<{_CHARACTERS}}  {one.count:>{figures},}  "
        f"{_share(one, bars):>4}"
        for one in bars
    )


def _blocks(share: float) -> str:
    """A bar in eighths of a character; at least one eighth, where there is anything."""
    eighths = max(round(share * _CHARACTERS * 8), 1 if share else 0)
    whole, part = divmod(eighths, 8)
    return _BLOCKS[8] * whole + (_BLOCKS[part] if part else "")
