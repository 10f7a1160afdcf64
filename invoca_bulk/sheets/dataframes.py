"""DataFrames that an analyst built, and what travels with a frame that was read from a file.

`frame.attrs["invoca_bulk"]` holds plain JSON: `source`, `path` and `resource` (or a part of one), which are texts, and
`read_issues`, a JSON text of lists [row, code, details]. One text, because pandas copies attrs deeply at every step.
What is wrong with a cell is not there: it stands in the cell's text, and survives whatever becomes of attrs and row
numbers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from invoca_bulk.errors import UnreadableSheetError
from invoca_bulk.schema.issue_catalog import Problem
from invoca_bulk.sheets import header_detection, sheet_builder, sources
from invoca_bulk.sheets.model import ReadIssue, Sheet, WorksheetScan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from invoca_bulk.schema import Resource

ATTRS_KEY = "invoca_bulk"
_FIRST_ROW_NUMBER = 2  # below the header, as pandas' own to_excel places it
_MAX_ROW_NUMBER = np.iinfo("int64").max


@dataclass(frozen=True, kw_only=True)
class _FrameMetadata:
    """What an earlier reading left in the attrs; the names are those of `Sheet`; the resource is a name."""

    source: str = ""
    path: Path | None = None
    resource: str = ""
    read_issues: tuple[ReadIssue, ...] = ()


def to_frame(sheet: Sheet) -> pd.DataFrame:
    """The frame of a sheet, with all else that was read in its attrs."""
    frame = sheet.frame.copy(deep=False)
    findings = [[one.row, one.problem.code, dict(one.problem.details)] for one in sheet.read_issues]
    frame.attrs[ATTRS_KEY] = {
        "source": sheet.source,
        "path": str(sheet.path or ""),
        "resource": sheet.resource.name,
        "findings": json.dumps(findings),
    }
    return frame


def to_sheet(frame: pd.DataFrame, candidates: Sequence[Resource]) -> Sheet:
    """A DataFrame as a sheet; what an earlier reading found is taken back from its attrs.

    Args:
        frame: the rows.
        candidates: the resources that they can be about; what an earlier reading found them to be decides, if it is one
            of these or a part of one.

    Raises:
        UnreadableSheetError: row numbers or titles cannot be used, or a value cannot be turned into text.
    """
    carried = _parse_metadata(frame.attrs.get(ATTRS_KEY))
    titles = _column_titles(frame)
    numbers = _row_numbers(frame.index)
    known = header_detection.resources_by_name(candidates).get(carried.resource)
    found = header_detection.detect_resource(titles, (known,) if known else candidates)
    still = tuple(one for one in carried.read_issues if one.row is None or numbers is not None)
    places = range(_FIRST_ROW_NUMBER, _FIRST_ROW_NUMBER + len(frame)) if numbers is None else numbers
    sheet = Sheet(
        frame=_relabel_frame(frame, titles, places),
        resource=found,
        source=carried.source,
        path=carried.path,
        read_issues=still,
        name=found.name if found.is_subresource else "",
    )
    if (frame.dtypes == "str").all() and sheet_builder.is_normalized(sheet):
        return sheet
    columns = [frame.iloc[:, at].tolist() for at in range(len(titles))]
    rows = sheet_builder.RawTable(titles=titles, columns=columns, row_numbers=places, row_problems={})
    text, findings = sheet_builder.build_frame(rows, WorksheetScan(), found)
    return replace(sheet, frame=text, read_issues=(*still, *findings))


def _relabel_frame(frame: pd.DataFrame, titles: Sequence[str], numbers: Sequence[int]) -> pd.DataFrame:
    """The same cells under the titles, with the row numbers; no cell is copied."""
    placed = frame.copy(deep=False)
    placed.columns = list(titles)
    placed.index = pd.Index(np.asarray(numbers, dtype="int64"), name=sheet_builder.ROW_INDEX_NAME)
    placed.attrs = {}
    return placed


def _column_titles(frame: pd.DataFrame) -> list[str]:
    if frame.columns.nlevels > 1:
        raise UnreadableSheetError("The DataFrame's columns have several levels. Join them into one title each.")
    return [str(title) for title in frame.columns]


def _row_numbers(index: pd.Index) -> list[int] | None:
    """The row numbers of an index `row`; None: rows are numbered by their position.

    That is also so where numbers are repeated: the rows of a `quantity` share theirs in the results.
    """
    if index.names != [sheet_builder.ROW_INDEX_NAME]:
        return None
    if not pd.api.types.is_integer_dtype(index.dtype) or index.hasnans or (index > _MAX_ROW_NUMBER).any():
        raise UnreadableSheetError(
            "The DataFrame's index 'row' holds something else than row numbers. Give it whole numbers."
        )
    return index.tolist() if index.is_unique else None


# What travels in attrs


def _parse_metadata(attrs: object) -> _FrameMetadata:
    """What fits is taken; whatever else somebody put there counts for nothing."""
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
        return tuple(_parse_read_issue(*one) for one in json.loads(text))
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError):
        return ()


def _parse_read_issue(row: int | None, code: str, details: Mapping[str, object]) -> ReadIssue:
    """A finding whose sentences can be filled; anything else raises one of several errors."""
    problem = Problem(code=code, details=details)
    _ = problem.message, problem.fix
    return ReadIssue(row=None if row is None else int(row), problem=problem)
