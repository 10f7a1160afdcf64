"""Collecting issues, and putting them into a frame."""

from __future__ import annotations

from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from invoca_bulk.schema.issue_catalog import ISSUE_COLUMNS, truncate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from invoca_bulk.schema.issue_catalog import Problem
    from invoca_bulk.sheets import Sheet


class Issue(NamedTuple):
    """One issue, its texts made once for all the rows that share it.

    Attributes:
        sheet_index: the number of the sheet.
        position: the position of the row; -1: not in a row.
        column_position: the position of the column; -1: none.
    """

    sheet_index: int
    position: int
    column_position: int
    column: str
    level: str
    code: str
    value: str
    message: str
    fix: str


def make_issue(sheet_index: int, position: int, cell: tuple[int, str, str], problem: Problem) -> Issue:
    """An issue from a problem and its place; `cell`: the column's position and title, and the text."""
    order, column, value = cell
    texts = (column, problem.level, problem.code, truncate(value), problem.message, problem.fix)
    return Issue(sheet_index, position, order, *texts)


def build_issue_frame(issues: Iterable[Issue], sheets: Sequence[Sheet]) -> pd.DataFrame:
    """The issues in the order of sheets, rows and columns, each once; columns `issues.ISSUE_COLUMNS`."""
    told = sorted(dict.fromkeys(issues), key=itemgetter(0, 1, 2))
    numbers = [one.frame.index.to_numpy() for one in sheets]
    rows = [numbers[one.sheet_index][one.position] if one.position >= 0 else None for one in told]
    columns = {
        "sheet": pd.Series([sheets[one.sheet_index].name for one in told], dtype="str"),
        "row": pd.array(rows, dtype="Int64"),
        **{name: pd.Series(list(map(attrgetter(name), told)), dtype="str") for name in ISSUE_COLUMNS[2:]},
    }
    return pd.DataFrame(columns, columns=list(ISSUE_COLUMNS))
