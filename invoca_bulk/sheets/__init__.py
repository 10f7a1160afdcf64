"""Reading spreadsheets and DataFrames: the first stage.

`loading` is the door. `sources` gets the bytes; `delimited` reads CSV and TSV; `containers`, `excel`, `xlsx_scan` and
`apart` read workbooks; `headers` finds the header row, the resource and the worksheet, `several` those that are read
together; `cells` and `table` turn cells into text; `frames` takes DataFrames, and carries what was found through them.
"""

from __future__ import annotations

from invoca_bulk.sheets.loader import Source, gc_paused, load, read
from invoca_bulk.sheets.model import ReadIssue, Sheet
from invoca_bulk.sheets.sources import MAX_FILE_BYTES

__all__ = ["MAX_FILE_BYTES", "ReadIssue", "Sheet", "Source", "gc_paused", "load", "read"]
