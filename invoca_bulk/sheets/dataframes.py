"""DataFrames to sheets and back; the attrs of a frame keep what was read from a file besides the cells.

`frame.attrs["invoca_bulk"]` holds plain JSON: the texts `source`, `path` and `resource` (or subresource), and
`findings`, a JSON text of lists [row, code, details, column]. It is one text because pandas copies attrs deeply at
every step. Errors of a cell are not in the attrs but in the cell's text, so that they survive the loss of attrs and row
numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from invoca_bulk.errors import UnreadableSheetError
from invoca_bulk.schema import Resource
from invoca_bulk.schema.issue_catalog import Problem
from invoca_bulk.sheets import header_detection, sheet_builder, sources
from invoca_bulk.sheets.model import ReadIssue, Sheet, WorksheetScan

ATTRS_KEY = "invoca_bulk"
_FIRST_ROW_NUMBER = 2  # below the header, as in pandas' to_excel
_MAX_ROW_NUMBER = np.iinfo("int64").max


@dataclass(frozen=True, kw_only=True)
class _FrameMetadata:
    """The attrs that `to_frame` wrote; named as in `Sheet`, except that the resource is a name."""

    source: str = ""
    path: Path | None = None
    resource: str = ""
    read_issues: tuple[ReadIssue, ...] = ()


def to_frame(sheet: Sheet) -> pd.DataFrame:
    """The frame of a sheet; source, resource and read issues are in its attrs."""
    frame = sheet.frame.copy(deep=False)
    read_issues = [
        [issue.row, issue.problem.code, dict(issue.problem.details), issue.column] for issue in sheet.read_issues
    ]
    frame.attrs[ATTRS_KEY] = {
        "source": sheet.source,
        "path": str(sheet.path or ""),
        "resource": sheet.resource.name,
        "findings": json.dumps(read_issues),
    }
    return frame


def to_sheet(frame: pd.DataFrame, candidates: Sequence[Resource]) -> Sheet:
    """A DataFrame as a sheet, with source, resource and read issues from its attrs.

    The attrs decide the resource if they name one of the candidates, or a subresource of one.
    """
    metadata = _parse_metadata(frame.attrs.get(ATTRS_KEY))
    titles = _column_titles(frame)
    index_numbers = _row_numbers(frame.index)
    named_resource = header_detection.resources_by_name(candidates).get(metadata.resource)
    resource = header_detection.detect_resource(titles, (named_resource,) if named_resource else candidates)
    read_issues = tuple(issue for issue in metadata.read_issues if issue.row is None or index_numbers is not None)
    row_numbers = range(_FIRST_ROW_NUMBER, _FIRST_ROW_NUMBER + len(frame)) if index_numbers is None else index_numbers
    sheet = Sheet(
        frame=_relabel_frame(frame, titles, row_numbers),
        resource=resource,
        source=metadata.source,
        path=metadata.path,
        read_issues=read_issues,
        name=resource.name if resource.is_subresource else "",
    )
    if (frame.dtypes == "str").all() and sheet_builder.is_normalized(sheet):
        return sheet
    columns = [frame.iloc[:, position].tolist() for position in range(len(titles))]
    table = sheet_builder.RawTable(titles=titles, columns=columns, row_numbers=row_numbers, row_problems={})
    text_frame, new_issues = sheet_builder.build_frame(table, WorksheetScan(), resource)
    return replace(sheet, frame=text_frame, read_issues=(*read_issues, *new_issues))


def _relabel_frame(frame: pd.DataFrame, titles: Sequence[str], numbers: Sequence[int]) -> pd.DataFrame:
    """The same cells with these titles and row numbers; no cell is copied."""
    relabelled = frame.copy(deep=False)
    relabelled.columns = list(titles)
    relabelled.index = pd.Index(np.asarray(numbers, dtype="int64"), name=sheet_builder.ROW_INDEX_NAME)
    relabelled.attrs = {}
    return relabelled


def _column_titles(frame: pd.DataFrame) -> list[str]:
    if frame.columns.nlevels > 1:
        raise UnreadableSheetError("The DataFrame's columns have several levels. Join them into one title each.")
    return [str(title) for title in frame.columns]


def _row_numbers(index: pd.Index) -> list[int] | None:
    """The row numbers of an index `row`; None: number the rows by position.

    None also if numbers repeat: in results, the rows that one `quantity` became share a number.
    """
    if index.names != [sheet_builder.ROW_INDEX_NAME]:
        return None
    if not pd.api.types.is_integer_dtype(index.dtype) or index.hasnans or (index > _MAX_ROW_NUMBER).any():
        raise UnreadableSheetError(
            "The DataFrame's index 'row' holds values that are not row numbers. Give it whole numbers."
        )
    return index.tolist() if index.is_unique else None


def _parse_metadata(attrs: object) -> _FrameMetadata:
    """The metadata in attrs; anything that has another form is ignored."""
    if not isinstance(attrs, dict):
        return _FrameMetadata()
    path = Path(_get_text(attrs, "path"))
    return _FrameMetadata(
        source=sources.sanitize(_get_text(attrs, "source")),
        path=path if path.is_absolute() and "\0" not in str(path) else None,
        resource=_get_text(attrs, "resource"),
        read_issues=_parse_read_issues(_get_text(attrs, "findings")),
    )


def _get_text(attrs: Mapping[str, object], name: str) -> str:
    value = attrs.get(name)
    return value if isinstance(value, str) else ""


def _parse_read_issues(text: str) -> tuple[ReadIssue, ...]:
    try:
        return tuple(_parse_read_issue(*values) for values in json.loads(text))
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError):
        return ()


def _parse_read_issue(row: int | None, code: str, details: Mapping[str, object], column: str = "") -> ReadIssue:
    """A read issue; raises one of several errors if its code is unknown or details are missing."""
    problem = Problem(code=code, details=details)
    _ = problem.message, problem.fix  # formatting them checks the details
    return ReadIssue(row=None if row is None else int(row), column=str(column), problem=problem)
