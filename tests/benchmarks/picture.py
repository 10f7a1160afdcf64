"""The growth chart: seconds over rows, both logarithmic, as a small SVG readable on light and dark backgrounds."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness import Figure

_WIDTH, _HEIGHT = 640, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 128, 40, 48
_COLOURS = ("#2f7ed8", "#2c8a47", "#c9781b", "#cf2f41", "#8a5fd0")  # readable on white and on black
_GREY = "#808891"
_LABEL_DISTANCE = 15  # pixels

Points = dict[str, list[tuple[int, float]]]


def growth(figures: Sequence[Figure]) -> str:
    """Draw the chart of the figures that have a number of rows."""
    points: Points = {}
    for figure in figures:
        if figure.rows is not None:
            points.setdefault(figure.label, []).append((figure.rows, figure.ours))
    axes = _Axes(points)
    description = "; ".join(
        f"{step}: " + ", ".join(f"{rows:,} rows {_s(seconds)}" for rows, seconds in series)
        for step, series in points.items()
    )
    parts = [*axes.lines(), *_lines(points, axes)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        'font-family="system-ui, sans-serif" font-size="12">\n'
        f"<title>Time by number of rows</title>\n<desc>{escape(description)}</desc>\n" + "\n".join(parts) + "\n</svg>\n"
    )


class _Axes:
    """Map values to positions in the picture; powers of ten have grid lines."""

    def __init__(self, points: Points) -> None:
        rows = [count for series in points.values() for count, _ in series]
        seconds = [duration for series in points.values() for _, duration in series]
        self._x = (math.log10(min(rows)), math.log10(max(rows)))
        self._y = (math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds))))

    def x(self, rows: float) -> float:
        first, last = self._x
        return _LEFT + (math.log10(rows) - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, seconds: float) -> float:
        first, last = self._y
        return _HEIGHT - _BOTTOM - (math.log10(seconds) - first) / (last - first) * (_HEIGHT - _TOP - _BOTTOM)

    def lines(self) -> Iterator[str]:
        """The grid lines with their numbers, and the axis labels."""
        for power in range(self._y[0], self._y[1] + 1):
            y = self.y(10.0**power)
            yield _line(_LEFT, y, _WIDTH - _RIGHT, y)
            yield _text(_LEFT - 8, y + 4, _s(10.0**power), anchor="end")
        for power in range(math.ceil(self._x[0]), math.floor(self._x[1]) + 1):
            x = self.x(10.0**power)
            yield _line(x, _TOP, x, _HEIGHT - _BOTTOM)
            yield _text(x, _HEIGHT - _BOTTOM + 18, f"{10**power:,}", anchor="middle")
        yield _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 10, "rows of 12 columns", anchor="middle")
        yield _text(_LEFT, 20, "Seconds by number of rows, both logarithmic; xlsx up to 100,000 rows")


def _lines(points: Points, axes: _Axes) -> Iterator[str]:
    labels = _spread({step: axes.y(series[-1][1]) for step, series in points.items()})
    for colour, (step, series) in zip(_COLOURS, points.items(), strict=True):
        coordinates = [(axes.x(rows), axes.y(seconds)) for rows, seconds in series]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in coordinates)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in coordinates)
        yield _text(_WIDTH - _RIGHT + 10, labels[step] + 4, f"{step} {_s(series[-1][1])}", colour=colour)


def _spread(heights: Mapping[str, float]) -> dict[str, float]:
    """Label heights close to the given ones, from top to bottom, without overlaps."""
    placed: dict[str, float] = {}
    for name in sorted(heights, key=heights.__getitem__):
        placed[name] = max([heights[name], *(height + _LABEL_DISTANCE for height in placed.values())])
    return placed


def _line(x: float, y: float, to_x: float, to_y: float) -> str:
    ends = f'x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}"'
    return f'<line {ends} stroke="{_GREY}" stroke-opacity="0.35"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = _GREY) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _s(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
