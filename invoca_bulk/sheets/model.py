"""The records that the modules of this package pass to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import pandas as pd

from invoca_bulk.schema import Resource
from invoca_bulk.schema.issue_catalog import Problem
from invoca_bulk.sheets.row_labels import RowLabels, number_rows

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: Whether a spreadsheet program shows a worksheet; a very hidden one is not even in the list from which it is unhidden.
Visibility: TypeAlias = Literal["visible", "hidden", "very hidden"]


@dataclass(frozen=True, kw_only=True)
class ReadIssue:
    """A problem with the sheet, a row, a column or a cell; validation turns it into an issue.

    Errors of a cell are not read issues but markers in the cell's text (`issue_catalog.ISSUE_CODE_BY_MARKER`), so that
    they survive the loss of row numbers; warnings of a cell leave its text as it is, and are read issues.
    """

    #: The number of the row in the spreadsheet. Without `column`: one cell of the row has the marker `#ROW!`, and
    #: without that marker the issue no longer applies. None: it is about the whole sheet or column.
    row: int | None
    #: The title of the column; empty: it is about the whole row or sheet. With `row` it is a warning of a cell, which
    #: applies while the cell has the text `problem.details["value"]`.
    column: str = ""
    problem: Problem


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One table of rows, as read."""

    #: Text cells; a blank cell is "" and never missing. In a column that can be sent, a cell that cannot be trusted
    #: starts with a marker (`issue_catalog.ISSUE_CODE_BY_MARKER`). The index `row` (int64) holds the row numbers of the
    #: spreadsheet; blank rows are left out. The columns are the headers, without spaces around.
    frame: pd.DataFrame
    resource: Resource  # what the rows are about; a subresource (`users`, `sites`) where there is a sheet for it
    source: str  # the file's name without its folder; empty for a DataFrame or a file object without a name
    path: Path | None = None  # absolute; None for an analyst's own DataFrame, bytes or a file object without a name
    read_issues: tuple[ReadIssue, ...]  # problems of the sheet and of whole rows
    #: The worksheet's name or the dict's key, if several are read together or a subresource alone; else empty.
    name: str = ""
    own_labels: RowLabels | None = None  # of an analyst's own DataFrame; None: the user knows the rows by their numbers
    _encoded_columns: dict[str, tuple[npt.NDArray[np.int64], list[str]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def labels(self) -> RowLabels:
        """What the user calls the rows."""
        return self.own_labels or number_rows(self.frame.index)

    def describe_row(self, number: int) -> str:
        """A row in a message: `row 5`, or `users row 5` if several sheets were read."""
        return f"{self.name} {self.labels.describe(number)}".strip()

    def encode_column(self, header: str) -> tuple[npt.NDArray[np.int64], list[str]]:
        """A column, cached: row position to the index of its text (-1: missing), and the distinct texts."""
        if header not in self._encoded_columns:
            codes, texts = pd.factorize(self.frame[header].to_numpy(dtype=object))
            self._encoded_columns[header] = codes, texts.tolist()
        return self._encoded_columns[header]


class MergedRange(NamedTuple):
    """Merged cells, the last ones included. Rows count from 1, columns from 0."""

    first_row: int
    first_column: int
    last_row: int
    last_column: int


@dataclass(frozen=True, kw_only=True)
class WorksheetScan:
    """What calamine does not report about a worksheet. Rows count from 1, columns from 0."""

    error_cells: Mapping[tuple[int, int], str] = field(default_factory=dict)  # the text of each, such as `#N/A`
    #: The formula, such as `=A1`, of each cell whose result is not stored; empty if the formula is not stored either.
    uncached_formulas: Mapping[tuple[int, int], str] = field(default_factory=dict)
    hidden_rows: frozenset[int] = frozenset()  # the numbers of the hidden rows
    hidden_columns: frozenset[int] = frozenset()
    merged_ranges: tuple[MergedRange, ...] = ()
    #: The text that the spreadsheet shows for each cell whose number format makes it another text than the value's.
    shown_texts: Mapping[tuple[int, int], str] = field(default_factory=dict)
    total_rows: frozenset[int] = frozenset()  # that the file itself marks: totals rows of tables, sums of a column
    far_cell: str = ""  # a cell, such as XFD9, so far away that only the cells at the start were read; empty: none


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The cells of one worksheet or CSV file, as stored."""

    name: str  # the worksheet's name; empty for CSV
    #: The cells; the first item is row 1 of the spreadsheet. A blank cell is "". The rows of a worksheet have equal
    #: lengths, those of a CSV file need not.
    rows: Sequence[Sequence[object]]
    visibility: Visibility = "visible"
    scan: WorksheetScan = field(default_factory=WorksheetScan)
    row_problems: Mapping[int, Problem] = field(default_factory=dict)  # row number to the problem of the whole row
    #: Row number and column, counted from 0, to the warning of a cell; its detail `value` is the cell's text.
    cell_problems: Mapping[tuple[int, int], Problem] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()  # of the whole file


def column_letters(index: int) -> str:
    """The spreadsheet's name of a column, counted from 0: A, B, …, Z, AA."""
    letters = ""
    index += 1
    while index:
        index, digit = divmod(index - 1, 26)
        letters = chr(ord("A") + digit) + letters
    return letters


def column_index(letters: str) -> int:
    """The column, counted from 0, that a spreadsheet names with these letters."""
    index = 0
    for letter in letters.upper():
        index = index * 26 + ord(letter) - ord("A") + 1
    return index - 1
