"""DataFrames to sheets and back; the attrs of a frame keep what was read from a file besides the cells.

`frame.attrs["invoca_bulk"]` holds plain JSON: the texts `source`, `path` and `resource` (or subresource), and
`findings`, a JSON text of lists [row, code, details, column]. It is one text because pandas copies attrs deeply at
every step. Errors of a cell are not in the attrs but in the cell's text, so that they survive the loss of attrs and row
numbers.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import pandas as pd

from invoca_bulk.errors import UnreadableSheetError
from invoca_bulk.schema import Resource
from invoca_bulk.schema.issue_catalog import Problem
from invoca_bulk.schema.model import fold_header
from invoca_bulk.sheets import header_detection, sheet_builder, sources
from invoca_bulk.sheets.model import ReadIssue, Sheet, WorksheetScan
from invoca_bulk.sheets.row_labels import ROW_INDEX_NAME, RowLabels, label_positions, number_rows

ATTRS_KEY = "invoca_bulk"


class ArrowTable(Protocol):
    """A table of any library that offers Arrow's stream, such as polars, pyarrow or DuckDB."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The columns."""


class InterchangeTable(Protocol):
    """A table of any library that offers the dataframe interchange protocol."""

    def __dataframe__(self, nan_as_null: bool = False, allow_copy: bool = True) -> Any:  # noqa: ANN401, FBT001, FBT002  the protocol's
        """The columns."""


#: A table in memory.
Table: TypeAlias = pd.DataFrame | ArrowTable | InterchangeTable | Sequence[Mapping[str, Any]]
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


def to_pandas(source: object) -> pd.DataFrame | None:
    """A table in memory as a DataFrame: one of any library, or a list of dicts; None: the source is something else."""
    if isinstance(source, pd.DataFrame):
        return source
    if type(source).__name__ == "Series":
        raise UnreadableSheetError("This is a Series, one column only. Turn it into a DataFrame with .to_frame().")
    if isinstance(source, list | tuple) and source and all(isinstance(row, Mapping) for row in source):
        return pd.DataFrame(list(source), dtype=object)
    for attribute, convert in _CONVERTERS.items():
        if hasattr(source, attribute):
            return _convert(source, convert)
    return None


#: Attribute of a foreign table to what makes a DataFrame of it.
_CONVERTERS: Mapping[str, Callable[[Any], pd.DataFrame]] = {
    "__arrow_c_stream__": pd.DataFrame.from_arrow,  # type: ignore[attr-defined]  # its stubs do not have it yet
    "__dataframe__": pd.api.interchange.from_dataframe,
}


def _convert(source: object, convert: Callable[[Any], pd.DataFrame]) -> pd.DataFrame:
    name = type(source).__name__
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # for authors of libraries: the interchange protocol is deprecated
            return convert(source)
    except ImportError:
        raise UnreadableSheetError(
            f"Reading a {name} of {type(source).__module__.partition('.')[0]} needs pyarrow. "
            "Install it with: pip install 'invoca-bulk[arrow]'"
        ) from None
    except Exception as error:  # noqa: BLE001  of the other library
        reason = " ".join(str(error).split()).rstrip(".")
        raise UnreadableSheetError(
            f"The {name} cannot be read as a table ({reason}). Turn it into a pandas DataFrame."
        ) from None


def to_sheet(frame: pd.DataFrame, candidates: Sequence[Resource]) -> Sheet:
    """A DataFrame as a sheet, with source, resource and read issues from its attrs.

    The attrs decide the resource if they name one of the candidates, or a subresource of one. Named levels of the
    index are the first columns.
    """
    metadata = _parse_metadata(frame.attrs.get(ATTRS_KEY))
    titles = _column_titles(frame)
    labels = _label_rows(frame.index, titles)
    frame = _to_table(frame, titles, labels)
    titles = list(frame.columns)
    named_resource = header_detection.resources_by_name(candidates).get(metadata.resource)
    resource = header_detection.detect_resource(titles, (named_resource,) if named_resource else candidates)
    sheet = Sheet(
        frame=frame,
        resource=resource,
        source=metadata.source,
        path=metadata.path,
        read_issues=tuple(issue for issue in metadata.read_issues if issue.row is None or labels.is_spreadsheet),
        name=resource.name if resource.is_subresource else "",
        own_labels=None if labels.is_spreadsheet else labels,
    )
    if (frame.dtypes == "str").all() and sheet_builder.is_normalized(sheet):
        return sheet
    table = sheet_builder.RawTable(
        titles=titles,
        columns=[frame.iloc[:, position].tolist() for position in range(len(titles))],
        row_numbers=labels.numbers.tolist(),
        row_problems={},
        date_code="cell_datetime",
    )
    text_frame, new_issues = sheet_builder.build_frame(table, WorksheetScan(), resource)
    return replace(sheet, frame=text_frame, read_issues=(*sheet.read_issues, *new_issues))


def _to_table(frame: pd.DataFrame, titles: Sequence[str], labels: RowLabels) -> pd.DataFrame:
    """The same cells below these titles, and the row numbers as the index; no cell is copied."""
    table = frame.copy(deep=False)
    table.columns = list(titles)
    for level, title in reversed(_named_levels(frame.index)):
        if title in labels.columns:
            table.insert(0, title, frame.index.get_level_values(level))
    table.index = pd.Index(labels.numbers, dtype="int64", name=ROW_INDEX_NAME)
    table.attrs = {}
    return table


def _column_titles(frame: pd.DataFrame) -> list[str]:
    if frame.columns.nlevels > 1:
        raise UnreadableSheetError(
            "The DataFrame's columns have several levels. Join them into one title each: "
            'frame.columns = [".".join(filter(None, map(str, title))) for title in frame.columns]'
        )
    return [str(title) for title in frame.columns.get_level_values(0)]


def _label_rows(index: pd.Index, titles: Sequence[str]) -> RowLabels:
    """The labels of the rows: the numbers of an index `row`, or else the index itself.

    Numbers that repeat do not tell rows apart: in results, the rows that one `quantity` became share a number.
    """
    if index.names == [ROW_INDEX_NAME]:
        if not pd.api.types.is_integer_dtype(index.dtype) or index.hasnans or (index > _MAX_ROW_NUMBER).any():
            raise UnreadableSheetError(
                "The DataFrame's index 'row' holds values that are not row numbers. Give it whole numbers."
            )
        if index.is_unique:
            return number_rows(index.astype("int64"))
    known_titles = {fold_header(title) for title in titles}
    columns = [title for _, title in _named_levels(index) if fold_header(title) not in known_titles]
    if secrets := [title for title in columns if sheet_builder.is_secret(title)]:
        raise UnreadableSheetError(
            f"The DataFrame's index {secrets[0]!r} is a secret of the platform, which is never read. "
            "Give the rows other labels, e.g. frame.index = range(len(frame))."
        )
    return label_positions(index, tuple(dict.fromkeys(columns)))


def _named_levels(index: pd.Index) -> list[tuple[int, str]]:
    """The levels of an index that have a name, each with its name; not the row numbers."""
    names = ["" if name is None else str(name) for name in index.names]
    return [(level, name) for level, name in enumerate(names) if name.strip() and name != ROW_INDEX_NAME]


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
