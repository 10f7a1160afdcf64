"""The number of rows by outcome: as SVG without a script, and in block characters for terminals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from invoca_bulk.reports.html.markup import CSS_CLASSES, Html, element, escape_text, render_backticks
from invoca_bulk.reports.html.style import LIGHT_COLORS
from invoca_bulk.reports.xlsx import Style

#: Style to the name of the bar's colour, which is also its class.
_BAR_COLORS: Mapping[Style, str] = {Style.OK: "ok-bar", Style.WARNING: "warning-bar", Style.ERROR: "error-bar"}
_DEFAULT_BAR_COLOR = "muted"
# Narrow, so that the text stays readable when a phone scales the chart down.
_CHART_WIDTH_PX, _LINE_HEIGHT_PX, _LABEL_WIDTH_PX, _FIGURES_WIDTH_PX = 440, 24, 104, 116
_MAX_BAR_LENGTH_PX = _CHART_WIDTH_PX - _LABEL_WIDTH_PX - _FIGURES_WIDTH_PX
_MIN_BAR_LENGTH_PX = 3  # one row in ten thousand is still visible
_BLOCK_CHARACTERS = " ▏▎▍▌▋▊▉█"
_MAX_BAR_CHARACTERS = 30


@dataclass(frozen=True, kw_only=True)
class ChartBar:
    """One bar of a chart."""

    label: str
    count: int  # number of rows
    style: Style = Style.PLAIN  # sets the colour


def chart(bars: Sequence[ChartBar]) -> Html:
    """Horizontal bars with labels and counts, as SVG, from top to bottom; empty without bars."""
    if not bars:
        return Html("")
    title = "Rows by outcome"
    description = "; ".join(f"{bar.label}: {_figures_text(bar, bars)}" for bar in bars)
    height = _LINE_HEIGHT_PX * len(bars)
    parts = (part for index, bar in enumerate(bars) for part in _render_bar(bar, index * _LINE_HEIGHT_PX, bars))
    # For screen readers; `role` presents the chart as one image.
    return element(
        "svg",
        element("title", escape_text(title)),
        element("desc", escape_text(description)),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        role="img",
        aria_label=f"{title}. {description}",
        viewBox=f"0 0 {_CHART_WIDTH_PX} {height}",
        width=str(_CHART_WIDTH_PX),
        height=str(height),
    )


def _render_bar(bar: ChartBar, top: int, bars: Sequence[ChartBar]) -> Iterable[Html]:
    color = _BAR_COLORS.get(bar.style, _DEFAULT_BAR_COLOR)
    length = max(_MIN_BAR_LENGTH_PX, round(_MAX_BAR_LENGTH_PX * bar.count / _largest_count(bars)))
    baseline = str(top + _LINE_HEIGHT_PX * 2 // 3)
    label = {"x": str(_LABEL_WIDTH_PX - 8), "y": baseline, "text_anchor": "end", "fill": "currentColor"}
    box = {"x": str(_LABEL_WIDTH_PX), "y": str(top + 4), "width": str(length), "height": str(_LINE_HEIGHT_PX - 8)}
    figures_x = str(_LABEL_WIDTH_PX + length + 8)
    yield element("text", escape_text(bar.label), **label)
    # `fill` is the colour where no style sheet is applied (GitHub drops them).
    yield element("rect", class_=f"ib-{color}", fill=LIGHT_COLORS[color], **box)
    yield element("text", escape_text(_figures_text(bar, bars)), x=figures_x, y=baseline, fill="currentColor")


def _largest_count(bars: Iterable[ChartBar]) -> int:
    """At least 1, since it is a divisor."""
    return max((1, *(bar.count for bar in bars)))


def _figures_text(bar: ChartBar, bars: Iterable[ChartBar]) -> str:
    return f"{bar.count:,} ({_format_share(bar, bars)})"


def _format_share(bar: ChartBar, bars: Iterable[ChartBar]) -> str:
    """The share in percent; 0% and 100% are only shown when exact."""
    total = sum(other.count for other in bars)
    share = round(100 * bar.count / total) if total else 0
    if bar.count and share == 0:
        return "<1%"
    return ">99%" if share == 100 and bar.count < total else f"{share}%"  # noqa: PLR2004  percent


def legend(entries: Sequence[tuple[ChartBar, str]]) -> Html:
    """Each label of a chart with its meaning, as `render_backticks` takes it; empty without entries."""
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
    """The chart for a terminal, one line per bar; empty without bars."""
    label_width = max((len(bar.label) for bar in bars), default=0)
    count_width = max((len(f"{bar.count:,}") for bar in bars), default=0)
    largest = _largest_count(bars)
    return "\n".join(
        f"  {bar.label:<{label_width}}  {_draw_block_bar(bar.count / largest):<{_MAX_BAR_CHARACTERS}}"
        f"  {bar.count:>{count_width},}  {_format_share(bar, bars):>4}"
        for bar in bars
    )


def _draw_block_bar(share: float) -> str:
    """A bar in eighths of a character; at least one eighth unless the share is 0."""
    eighths = max(round(share * _MAX_BAR_CHARACTERS * 8), 1 if share else 0)
    full_blocks, remainder = divmod(eighths, 8)
    return _BLOCK_CHARACTERS[8] * full_blocks + (_BLOCK_CHARACTERS[remainder] if remainder else "")
