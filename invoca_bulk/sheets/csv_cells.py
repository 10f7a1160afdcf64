"""What spreadsheet programs and people put before the text of a CSV cell: `="00123"`, apostrophes, formulas.

A file of this package is read as it was written: its apostrophes come off silently (`csv_safety`), so none of its cells
begins with `=`, nor with one apostrophe and a digit.
"""

from __future__ import annotations

import re
from dataclasses import replace

from invoca_bulk.schema.issue_catalog import Problem
from invoca_bulk.sheets.csv_safety import NUMBER_PATTERN, unescape_formula
from invoca_bulk.sheets.model import Grid, WorksheetScan

#: How a repaired cell starts.
_STARTS = ("=", "'")
#: `="00123"`, which makes Excel keep the zeros, and `'00123`, by which people make a number a text.
_WRAPPED = re.compile(rf'="(?P<formula>(?:[^"]|"")*)"\s*|\'(?P<number>{NUMBER_PATTERN})', re.DOTALL)


def may_need_repair(text: str, delimiter: str) -> bool:
    """Whether any cell of a file may start like one that is repaired."""
    before = re.escape(delimiter)  # the sign comes first in the pattern, since literals are searched for quickly
    return text.startswith(_STARTS) or any(re.search(rf"{sign}(?<=[{before}\"\r\n ]{sign})", text) for sign in _STARTS)


def repair_cells(grid: Grid) -> Grid:
    """The same cells as they were meant; formulas are in the grid's scan, other repairs in its cell problems."""
    formulas: dict[tuple[int, int], str] = {}
    problems: dict[tuple[int, int], Problem] = {}
    rows = list(grid.rows)
    for index, row in enumerate(rows):
        texts = list(map(str, row))
        if not any(text.startswith(_STARTS) for text in texts):
            continue
        rows[index] = repaired_texts = list(map(_repair, texts))
        for column, (text, repaired) in enumerate(zip(texts, repaired_texts, strict=True)):
            if repaired.startswith("=") and repaired == text:
                formulas[index + 1, column] = text
            elif _WRAPPED.fullmatch(text):
                details = {"original": text, "value": repaired}
                problems[index + 1, column] = Problem(code="cell_unwrapped", details=details)
    return replace(grid, rows=rows, cell_problems=problems, scan=WorksheetScan(uncached_formulas=formulas))


def _repair(text: str) -> str:
    if match := _WRAPPED.fullmatch(text):
        return match["number"] or (match["formula"] or "").replace('""', '"')
    return unescape_formula(text)
