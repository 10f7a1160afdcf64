"""The records that the readers fill, and the limit of their sizes."""

from __future__ import annotations

from dataclasses import dataclass, field

#: Of a worksheet that is too large, only the corner with the header is kept: it may be another one that is wanted.
_CORNER_ROWS = 200
_CORNER_COLUMNS = 1_000

Position = tuple[int, int]  # row from 1, column from 0


class PasswordError(Exception):
    """The file is encrypted."""


class NotASpreadsheetError(Exception):
    """The container holds another kind of document."""


class UnreadableTextError(Exception):
    """A text is stored in a way that cannot be decoded as a whole."""


@dataclass(kw_only=True)
class Worksheet:
    """One worksheet; all fields but the last two are those of `Grid` and `WorksheetScan`."""

    name: str
    visibility: str = "visible"
    rows: list[list[object]] = field(default_factory=list)
    error_cells: dict[Position, str] = field(default_factory=dict)
    uncached_formulas: dict[Position, str] = field(default_factory=dict)
    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: set[int] = field(default_factory=set)
    merged_ranges: list[tuple[int, int, int, int]] = field(default_factory=list)
    shown_texts: dict[Position, str] = field(default_factory=dict)
    #: The number format of each cell that may show another text than it holds.
    format_codes: dict[Position, str] = field(default_factory=dict)
    far_cell: Position | None = None  # too far away from the others: only the cells at the start were read

    def count_marks(self) -> int:
        """How many cells have something said about them."""
        return sum(map(len, (self.error_cells, self.uncached_formulas, self.shown_texts, self.merged_ranges)))


class CellLimit:
    """How many cells all worksheets together may span."""

    def __init__(self, max_cells: int) -> None:
        self.remaining = max_cells

    def close(self, worksheet: Worksheet) -> Worksheet:
        """Make all rows equally long; of a worksheet over the limit, keep the corner only."""
        marked = {*worksheet.error_cells, *worksheet.uncached_formulas}
        row_count = max([len(worksheet.rows), *(row for row, _ in marked)])
        width = max([0, *map(len, worksheet.rows), *(column + 1 for _, column in marked)])
        if worksheet.far_cell or row_count * width > self.remaining:
            worksheet.far_cell = worksheet.far_cell or (row_count, width - 1)
            return _cut_to_corner(worksheet)
        self.remaining -= row_count * width
        worksheet.rows.extend([] for _ in range(row_count - len(worksheet.rows)))
        for row in worksheet.rows:
            row.extend([""] * (width - len(row)))
        worksheet.hidden_rows = {row for row in worksheet.hidden_rows if row <= row_count}
        return worksheet


def _cut_to_corner(worksheet: Worksheet) -> Worksheet:
    """The worksheet with the cells alone among which a header may be."""
    corner = [row[:_CORNER_COLUMNS] for row in worksheet.rows[:_CORNER_ROWS]]
    width = max(map(len, corner), default=0)
    rows = [[*row, *[""] * (width - len(row))] for row in corner]
    return Worksheet(name=worksheet.name, visibility=worksheet.visibility, rows=rows, far_cell=worksheet.far_cell)


def trim(cells: list[object]) -> list[object]:
    """The cells without the blank ones at the end."""
    while cells and cells[-1] == "":
        cells.pop()
    return cells


def refuse_entity(*_declaration: object) -> None:
    """What expat calls at an XML entity: it can be a bomb, or name a file; no program writes one into a workbook."""
    raise ValueError
