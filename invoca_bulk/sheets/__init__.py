"""Reading spreadsheets and DataFrames: the first stage.

`loader` is the entry point. `sources` gets the bytes; `csv_reader` reads CSV and TSV; `workbook_formats`,
`workbook_reader`, `xlsx_scanner` and `number_formats` read workbooks, `subprocess_reader` and `isolated_readers` those
that are no xlsx; `header_detection` finds the header row, the resource and the worksheet, `multi_sheet` the worksheets
that are read together; `cell_text` and `sheet_builder` turn cells into text; `dataframes` converts DataFrames to sheets
and back, and passes read issues through their attrs.
"""

from __future__ import annotations

from invoca_bulk.sheets.loader import Source, gc_paused, load, read
from invoca_bulk.sheets.model import Sheet
from invoca_bulk.sheets.sources import MAX_FILE_BYTES

__all__ = ["MAX_FILE_BYTES", "Sheet", "Source", "gc_paused", "load", "read"]
