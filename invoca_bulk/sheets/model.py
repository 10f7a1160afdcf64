"""The records that the parts of reading hand to each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from invoca_bulk.schema import Resource
    from invoca_bulk.schema.issue_catalog import Problem


@dataclass(frozen=True, kw_only=True)
class ReadIssue:
    """What reading found about the sheet, or about a row that it refused; validation turns it into an issue.

    What is wrong with a cell is no finding: it stands in the cell's text (`issues.MARKS`).

    Attributes:
        row: the number of the row in the spreadsheet, a cell of which has the mark `#ROW!`; without that mark the
            finding counts no more. None: it is about the whole sheet.
        problem: what is wrong; a code of `issues.CATALOGUE`.
    """

    row: int | None
    problem: Problem


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One table of rows, as read.

    Attributes:
        frame: text cells; a blank cell is "" and never missing. In a column that can be sent, a cell that cannot be
            trusted starts with one of `issues.MARKS`. The index `row` (int64) holds the row numbers of the
            spreadsheet; blank rows are left out. The columns are the headers as written, stripped at the ends.
        resource: what the rows are about; a part (`users`, `sites`) where the workbook has a sheet of its own for it.
        name: the worksheet's name (a dict's key), where several are read together or a part alone; else empty.
        source: the file's name without its folder; empty for a DataFrame or a file object without a name.
        path: the file, absolute; None where there is none: an analyst's own DataFrame, bytes, a nameless file object.
        read_issues: what reading found besides what stands in the cells.
    """

    frame: pd.DataFrame
    resource: Resource
    source: str
    path: Path | None = None
    read_issues: tuple[ReadIssue, ...]
    name: str = ""
    _encoded_columns: dict[str, tuple[npt.NDArray[np.int64], list[str]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def encode_column(self, header: str) -> tuple[npt.NDArray[np.int64], list[str]]:
        """A column, found out once: row position to the index of its text (-1: missing), and the distinct texts."""
        if header not in self._encoded_columns:
            codes, texts = pd.factorize(self.frame[header].to_numpy(dtype=object))
            self._encoded_columns[header] = codes, texts.tolist()
        return self._encoded_columns[header]


@dataclass(frozen=True, kw_only=True)
class WorksheetScan:
    """What calamine cannot tell about a worksheet. Rows count from 1, columns from 0.

    Attributes:
        error_cells: the text of each error cell, such as `#N/A`.
        uncached_formulas: the formula of each cell whose result is not stored, such as `=A1`; empty where that is not
            stored either.
        hidden_rows: the numbers of the hidden rows.
    """

    error_cells: Mapping[tuple[int, int], str] = field(default_factory=dict)
    uncached_formulas: Mapping[tuple[int, int], str] = field(default_factory=dict)
    hidden_rows: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The cells of one worksheet, or of a CSV file, as the file has them.

    Attributes:
        name: the worksheet's name; empty for CSV.
        rows: the cells; the first one is row 1 of the spreadsheet. A blank cell is "". The rows of a worksheet are
            equally long, those of a CSV file need not be.
        scan: what was found besides the values.
        row_problems: what is wrong with a whole row, by its number.
    """

    name: str
    rows: Sequence[Sequence[object]]
    scan: WorksheetScan = field(default_factory=WorksheetScan)
    row_problems: Mapping[int, Problem] = field(default_factory=dict)


def column_letters(index: int) -> str:
    """The name that a spreadsheet gives to a column, counted from 0: A, B, …, Z, AA."""
    letters = ""
    index += 1
    while index:
        index, digit = divmod(index - 1, 26)
        letters = chr(ord("A") + digit) + letters
    return letters


def column_index(letters: str) -> int:
    """The column that a spreadsheet's letters name, counted from 0."""
    index = 0
    for letter in letters.upper():
        index = index * 26 + ord(letter) - ord("A") + 1
    return index - 1
