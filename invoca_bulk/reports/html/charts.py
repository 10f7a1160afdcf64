"""How many rows came to what: as SVG without a script, and in block characters for terminals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoca_bulk.reports.html.markup import CSS_CLASSES, Html, element, escape_text, render_backticks
from invoca_bulk.reports.xlsx import Style

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: Style to the class of its bar, and its colour where no style sheet is applied (GitHub drops them).
_BAR_STYLES: Mapping[Style, tuple[str, str]] = {
    Style.OK: ("ib-ok-bar", "#2c8a47"),
    Style.WARNING: ("ib-warning-bar", "#b98a00"),
    Style.ERROR: ("ib-error-bar", "#cf2f41"),
}
_DEFAULT_BAR_STYLE = ("ib-muted-bar", "#59636e")
# Pixels. So narrow that words stay readable when a telephone's width shrinks it.
_CHART_WIDTH_PX, _LINE_HEIGHT_PX, _LABEL_WIDTH_PX, _FIGURES_WIDTH_PX = 440, 24, 104, 116
_MAX_BAR_LENGTH_PX = _CHART_WIDTH_PX - _LABEL_WIDTH_PX - _FIGURES_WIDTH_PX
_MIN_BAR_LENGTH_PX = 3  # a single row of ten thousand is still seen
_BLOCK_CHARACTERS = " ▏▎▍▌▋▊▉█"
_MAX_BAR_CHARACTERS = 30


@dataclass(frozen=True, kw_only=True)
class ChartBar:
    """One bar of a chart.

    Attributes:
        label: what it stands for.
        count: how many rows.
        style: its colour.
    """

    label: str
    count: int
    style: Style = Style.PLAIN


def chart(bars: Sequence[ChartBar], title: str = "Rows by outcome") -> Html:
    """Horizontal bars with words and numbers, as SVG; nothing where there are none.

    Args:
        bars: from the top down.
        title: what it shows; read out before the numbers.
    """
    if not bars:
        return Html("")
    told = "; ".join(f"{one.label}: {one.count:,} ({_format_share(one, bars)})" for one in bars)
    height = _LINE_HEIGHT_PX * len(bars)
    lines = (part for at, one in enumerate(bars) for part in _render_bar(one, at * _LINE_HEIGHT_PX, bars))
    # The words are in it, for programs that read a page out; `role` makes them one picture.
    return element(
        "svg",
        element("title", escape_text(title)),
        element("desc", escape_text(told)),
        *lines,
        xmlns="http://www.w3.org/2000/svg",
        role="img",
        aria_label=f"{title}. {told}",
        viewBox=f"0 0 {_CHART_WIDTH_PX} {height}",
        width=str(_CHART_WIDTH_PX),
        height=str(height),
    )


def _render_bar(bar: ChartBar, top: int, bars: Sequence[ChartBar]) -> Iterable[Html]:
    class_, fill = _BAR_STYLES.get(bar.style, _DEFAULT_BAR_STYLE)
    length = max(_MIN_BAR_LENGTH_PX, round(_MAX_BAR_LENGTH_PX * bar.count / max(1, *(one.count for one in bars))))
    across = str(top + _LINE_HEIGHT_PX * 2 // 3)
    label = {"x": str(_LABEL_WIDTH_PX - 8), "y": across, "text_anchor": "end", "fill": "currentColor"}
    place = {"x": str(_LABEL_WIDTH_PX), "y": str(top + 4), "width": str(length), "height": str(_LINE_HEIGHT_PX - 8)}
    yield element("text", escape_text(bar.label), **label)
    yield element("rect", class_=class_, fill=fill, **place)
    figures = f"{bar.count:,} ({_format_share(bar, bars)})"
    yield element("text", escape_text(figures), x=str(_LABEL_WIDTH_PX + length + 8), y=across, fill="currentColor")


def _format_share(bar: ChartBar, bars: Iterable[ChartBar]) -> str:
    """The share in percent; never 0% of something, nor 100% where there is something else."""
    total = sum(one.count for one in bars)
    share = round(100 * bar.count / total) if total else 0
    if bar.count and share == 0:
        return "<1%"
    return ">99%" if share == 100 and bar.count < total else f"{share}%"  # noqa: PLR2004  percent


def legend(entries: Sequence[tuple[ChartBar, str]]) -> Html:
    """The words of a chart with what each means, as `prose` takes it; nothing where there are none."""
    items = (
        element(
            "li",
            element("b", escape_text(bar.label), class_=CSS_CLASSES[bar.style]),
            Html(f" {bar.count:,}: "),
            render_backticks(meaning),
        )
        for bar, meaning in entries
    )
    return element("ul", *items, class_="ib-lines") if entries else Html("")


def chart_text(bars: Sequence[ChartBar]) -> str:
    """The same for a terminal: a line each; empty where there are none."""
    words, figures = (
        max((len(text) for text in texts), default=0)
        for texts in ([one.label for one in bars], [f"{one.count:,}" for one in bars])
    )
    largest = max(1, *(one.count for one in bars), 1)
    return "\n".join(
        f"  {one.label:<{words}}  {_draw_block_bar(one.count / largest):<{_MAX_BAR_CHARACTERS}}"
        f"  {one.count:>{figures},}  {_format_share(one, bars):>4}"
        for one in bars
    )


def _draw_block_bar(share: float) -> str:
    """A bar in eighths of a character; at least one eighth, where there is anything."""
    eighths = max(round(share * _MAX_BAR_CHARACTERS * 8), 1 if share else 0)
    whole, part = divmod(eighths, 8)
    return _BLOCK_CHARACTERS[8] * whole + (_BLOCK_CHARACTERS[part] if part else "")
