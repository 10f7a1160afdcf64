"""HTML for notebooks and the page: no scripts, no external resources, readable in light and dark themes.

`markup` renders tables and sentences from the same cells as the workbooks, `style` has the style sheet, `charts` draws
the number of rows by outcome, `notebook` shows several sheets by name, and content below a notebook's cell.
"""

from __future__ import annotations

from invoca_bulk.reports.html.charts import ChartBar, chart, chart_text, legend
from invoca_bulk.reports.html.markup import (
    MAX_ROWS_SHOWN,
    Html,
    badges,
    bullet_list,
    container,
    heading,
    notices,
    table,
)
from invoca_bulk.reports.html.notebook import FrameDict, RichText, display_below, display_notices
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
    "follow_system_theme",
    "heading",
    "legend",
    "notices",
    "table",
]
