"""DataFrames that an analyst built, and the findings that travel with a frame that was read from a file.

`frame.attrs["invoca_bulk"]` holds plain JSON: `source`, `resource`, `headers` (a list of the titles) and `findings`,
a JSON text of lists [row, header, text, code, column, details]. One text, because pandas copies attrs deeply at every
step. A finding counts as long as its cell holds the text that was found; changing the cell in pandas removes it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pandas as pd

from invoca_bulk.errors import SheetUnreadable
from invoca_bulk.issues import Problem
from invoca_bulk.sheets import headers, table
from invoca_bulk.sheets.model import Finding, Marks, Sheet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ATTRS = "invoca_bulk"
_FIRST_ROW = 2  # below the header, as pandas' own to_excel places it


def carry(sheet: Sheet) -> pd.DataFrame:
    """The frame of a sheet, with all else that was read in its attrs."""
    frame = sheet.frame.copy(deep=False)
    frame.attrs[ATTRS] = {
        "source": sheet.source,
        "resource": sheet.resource.name,
        "headers": list(frame.columns),
        "findings": json.dumps([_packed(one) for one in sheet.findings]),
    }
    return frame


def _packed(finding: Finding) -> list[object]:
    problem = finding.problem
    return [finding.row, finding.header, finding.text, problem.code, problem.column, dict(problem.details)]


def _unpacked(row: int | None, header: str | None, text: str, *problem: Any) -> Finding:  # noqa: ANN401  JSON
    code, column, details = problem
    return Finding(row=row, header=header, text=text, problem=Problem(code=code, column=column, details=details))


def load(frame: pd.DataFrame, resource: str | None) -> Sheet:
    """A DataFrame as a sheet; what an earlier reading found is taken back from its attrs.

    Raises:
        SheetUnreadable: row numbers or titles cannot be used, or a value has no text.
    """
    attrs: Mapping[str, Any] = frame.attrs.get(ATTRS, {})
    carried = [_unpacked(*one) for one in json.loads(attrs.get("findings", "[]"))]
    titles = _titles(frame)
    numbers = _numbers(frame, carried)
    among = headers.resources(resource or attrs.get("resource"))
    rows = table.Table(
        titles=titles,
        columns=[frame.iloc[:, at].tolist() for at in range(len(titles))],
        numbers=numbers,
        row_problems={},
    )
    text, findings = table.build(rows, Marks(), carried)
    still = [*_still_there(text, carried, attrs.get("headers", ())), *findings]
    return Sheet(
        frame=text,
        resource=headers.resource_of(titles, among),
        source=attrs.get("source", ""),
        findings=tuple(still),
    )


def _titles(frame: pd.DataFrame) -> list[str]:
    if frame.columns.nlevels > 1:
        raise SheetUnreadable("The DataFrame's columns have several levels. Join them into one title each.")
    return [str(title) for title in frame.columns]


def _numbers(frame: pd.DataFrame, carried: Iterable[Finding]) -> list[int]:
    """The row numbers: of the index `row`, else by position."""
    if frame.index.names != [table.INDEX]:
        if any(one.row for one in carried):
            raise SheetUnreadable(
                "The DataFrame has lost the row numbers of its file, and cells with errors are known by them. "
                "Keep the index 'row' (after reset_index: frame.set_index('row'))."
            )
        return list(range(_FIRST_ROW, _FIRST_ROW + len(frame)))
    if not pd.api.types.is_integer_dtype(frame.index.dtype):
        raise SheetUnreadable(
            "The DataFrame's index 'row' holds something else than row numbers. Give it whole numbers."
        )
    if not frame.index.is_unique:
        twice = frame.index[frame.index.duplicated()][0]
        raise SheetUnreadable(
            f"The DataFrame's index 'row' holds {twice} more than once. Give each row its own number."
        )
    return [int(number) for number in frame.index]


# Which findings still hold


def _still_there(frame: pd.DataFrame, carried: Sequence[Finding], before: Sequence[str]) -> list[Finding]:
    new = [title for title in frame.columns if title not in before]
    cells = _Cells(frame)
    found = (_placed(one, cells, new) for one in carried)
    return [one for one in found if one]


class _Cells:
    """The texts of a frame by title and row; each column is looked up only if a finding needs it."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self._columns: dict[str, dict[int, str]] = {}

    def text(self, header: str, row: int) -> str | None:
        """The text of a cell; None when there is no such column or row."""
        if header not in self._columns:
            column = self._frame[header] if self.has(header) else self._frame.index[:0].to_series()
            self._columns[header] = dict(zip(column.index, column, strict=True))
        return self._columns[header].get(row)

    def has(self, header: str) -> bool:
        """Whether there is such a column."""
        return header in self._frame.columns


def _placed(finding: Finding, cells: _Cells, new: Sequence[str]) -> Finding | None:
    """The finding, if it still holds.

    A column that is gone may have been renamed: then one that was not in the file holds the text.
    """
    row, header = finding.row, finding.header
    if row is None:
        return finding
    if header is None:
        return finding if _row_unchanged(finding, cells) else None
    titles = [header] if cells.has(header) else new
    for title in titles:
        if cells.text(title, row) == finding.text:
            return Finding(row=row, header=title, text=finding.text, problem=finding.problem)
    return None


def _row_unchanged(finding: Finding, cells: _Cells) -> bool:
    """Whether the row is there and no cell of it was changed; columns that were dropped or renamed do not count."""
    before: dict[str, str] = json.loads(finding.text)
    return all(cells.text(title, finding.row or 0) == text for title, text in before.items() if cells.has(title))
