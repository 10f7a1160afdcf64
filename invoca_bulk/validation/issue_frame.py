"""Issues, and the frame of all issues."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter, itemgetter
from typing import NamedTuple

import pandas as pd

from invoca_bulk.schema.issue_catalog import FILE_ISSUE_CODES, ISSUE_COLUMNS, Problem, truncate
from invoca_bulk.sheets import Sheet


class Issue(NamedTuple):
    """One issue; rows that share it can share its texts."""

    sheet_index: int  # from 0
    position: int  # of the row in the sheet, from 0; -1: no row
    column_position: int  # from 0; -1: no column
    column: str
    level: str
    code: str
    value: str
    message: str
    fix: str


def make_issue(sheet_index: int, position: int, cell: tuple[int, str, str], problem: Problem) -> Issue:
    """An issue from a problem and its location; `cell`: the column's position and title, and the text."""
    column_position, column, value = cell
    texts = (column, problem.level, problem.code, truncate(value), problem.message, problem.fix)
    return Issue(sheet_index, position, column_position, *texts)


def build_issue_frame(issues: Iterable[Issue], sheets: Sequence[Sheet]) -> pd.DataFrame:
    """The distinct issues by sheet, row and column; columns: `ISSUE_COLUMNS` (`row`: Int64, the others: str)."""
    sorted_issues = sorted(dict.fromkeys(issues), key=itemgetter(0, 1, 2))
    row_numbers = [sheet.frame.index.to_numpy() for sheet in sheets]
    rows = [row_numbers[issue.sheet_index][issue.position] if issue.position >= 0 else None for issue in sorted_issues]
    columns = {
        "sheet": pd.Series([_sheet_name(issue, sheets) for issue in sorted_issues], dtype="str"),
        "row": pd.array(rows, dtype="Int64"),
        **{name: pd.Series(list(map(attrgetter(name), sorted_issues)), dtype="str") for name in ISSUE_COLUMNS[2:]},
    }
    return pd.DataFrame(columns, columns=list(ISSUE_COLUMNS))


def _sheet_name(issue: Issue, sheets: Sequence[Sheet]) -> str:
    """The name of the sheet that an issue is about; empty if it is about the file."""
    return "" if issue.code in FILE_ISSUE_CODES else sheets[issue.sheet_index].name
