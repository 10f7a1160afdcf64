"""Small HTML of our own, for notebooks and the page: no script, nothing from elsewhere, readable in light and dark.

`markup` makes tables and sentences of the same cells that the workbooks are made of, `style` has the one style sheet,
`charts` draws how many rows came to what, `frames` shows several sheets under their names, `showing` puts something
below a notebook's cell.
"""

from __future__ import annotations

from invoca_bulk.reports.html.charts import ChartBar, chart, chart_text, legend
from invoca_bulk.reports.html.display import RichText, display_below, display_notices
from invoca_bulk.reports.html.frame_dict import FrameDict
from invoca_bulk.reports.html.markup import (
    MAX_ROWS_SHOWN,
    Html,
    badges,
    bullet_list,
    container,
    escape_text,
    heading,
    notices,
    render_backticks,
    table,
)
from invoca_bulk.reports.html.style import STYLE_SHEET

__all__ = [
    "MAX_ROWS_SHOWN",
    "STYLE_SHEET",
    "ChartBar",
    "FrameDict",
    "Html",
    "RichText",
    "badges",
    "bullet_list",
    "chart",
    "chart_text",
    "container",
    "display_below",
    "display_notices",
    "escape_text",
    "heading",
    "legend",
    "notices",
    "render_backticks",
    "table",
]
