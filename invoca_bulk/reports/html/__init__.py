"""Small HTML of our own, for notebooks and the page: no script, nothing from elsewhere, readable in light and dark.

`markup` makes tables and sentences of the same cells that the workbooks are made of, `style` has the one style sheet,
`charts` draws how many rows came to what, `frames` shows several sheets under their names, `showing` puts something
below a notebook's cell.
"""

from __future__ import annotations

from invoca_bulk.reports.html.charts import Bar, chart, chart_text, meanings
from invoca_bulk.reports.html.display import Both, note, show
from invoca_bulk.reports.html.frame_dict import Frames
from invoca_bulk.reports.html.markup import (
    MAX_SHOWN,
    Html,
    attention,
    block,
    counts,
    heading,
    prose,
    sentences,
    table,
    text,
)
from invoca_bulk.reports.html.style import STYLE

__all__ = [
    "MAX_SHOWN",
    "STYLE",
    "Bar",
    "Both",
    "Frames",
    "Html",
    "attention",
    "block",
    "chart",
    "chart_text",
    "counts",
    "heading",
    "meanings",
    "note",
    "prose",
    "sentences",
    "show",
    "table",
    "text",
]
