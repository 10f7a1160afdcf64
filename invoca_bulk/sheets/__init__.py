"""Reading spreadsheets and DataFrames: the first stage.

`loader` is the entry point. `sources` gets the bytes; `archives` unpacks them, `foreign_formats` names what is no
spreadsheet. CSV: `csv_reader`, `encodings` for its bytes, `csv_cells` for what programs put before a text. Workbooks:
`workbook_formats` and `workbook_reader`; an xlsx with `xlsx_package`, `xlsx_scanner` and `plain_xml`, others with
`subprocess_reader` and `isolated_readers`; `number_formats` tells what cells show, `scan_problems` what that means.
`header_detection` finds the header row and the resource, `worksheet_choice` the worksheet, `multi_sheet` the worksheets
that are read together; `cell_text` and `sheet_builder` turn cells into text. `dataframes` converts DataFrames to sheets
and back, and passes read issues through their attrs; `row_labels` names their rows.
"""

from __future__ import annotations

from invoca_bulk.sheets.loader import Source, gc_paused, load, read
from invoca_bulk.sheets.model import Sheet
from invoca_bulk.sheets.sources import MAX_FILE_BYTES

__all__ = ["MAX_FILE_BYTES", "Sheet", "Source", "gc_paused", "load", "read"]
