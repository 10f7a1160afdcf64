"""HTML for notebooks and the page: no scripts, no external resources, readable in light and dark themes.

`markup` renders tables and sentences from the same cells as the workbooks, `style` has the style sheet, `charts` draws
the number of rows by outcome, `frame_dict` shows several sheets by name, `below_cell` shows content below a notebook's
cell.
"""

from __future__ import annotations

from invoca_bulk.reports.html.below_cell import RichText, display_below, display_notices
from invoca_bulk.reports.html.charts import ChartBar, chart, chart_text, legend
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
from invoca_bulk.reports.html.style import STYLE_SHEET, follow_system_theme

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
    "follow_system_theme",
    "heading",
    "legend",
    "notices",
    "render_backticks",
    "table",
]
