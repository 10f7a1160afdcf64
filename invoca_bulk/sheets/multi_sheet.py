"""Tables that are read together: the worksheets that have the names of what they hold, or a dict of DataFrames."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from invoca_bulk.errors import UnreadableSheetError
from invoca_bulk.schema import RESOURCES, SHEET_RESOURCES
from invoca_bulk.schema.issue_catalog import Problem
from invoca_bulk.sheets import dataframes, header_detection, sheet_builder
from invoca_bulk.sheets.model import ReadIssue, Sheet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from invoca_bulk.schema import Resource
    from invoca_bulk.sheets.header_detection import WorksheetMatch
    from invoca_bulk.sheets.model import Grid


# Worksheets


def sheets_from_grids(grids: Sequence[Grid], candidates: Sequence[Resource]) -> list[Sheet]:
    """The tables of a file.

    If two worksheets or more have the names of what they hold, these are read; else the one whose headers fit best.

    Args:
        grids: the worksheets that come into question, or the one of a CSV file.
        candidates: the resources that come into question, with their parts.

    Raises:
        UnreadableSheetError: none can be read, two have the same name, or two fit equally well.
    """
    named = header_detection.match_named_worksheets(grids, candidates)
    if len(named) > 1:
        names = {one.grid.name for one in named}
        return _build_named_sheets(named, [one for one in grids if one.name not in names], candidates)
    return _without_redundant_name([_build_sheet(header_detection.choose_worksheet(grids, candidates))])


def _build_named_sheets(
    matches: Sequence[WorksheetMatch], others: Sequence[Grid], candidates: Sequence[Resource]
) -> list[Sheet]:
    sheets = [_build_named_sheet(one) for one in matches]
    fitting = header_detection.find_readable_worksheets(others, candidates)
    if fitting and all(one.frame.empty for one in sheets):  # a template that was left empty beside the analyst's sheet
        return _without_redundant_name([_build_sheet(header_detection.choose_worksheet(fitting, candidates))])
    read = _without_redundant_name(_without_empty_sheets(sheets))
    _require_unique_resources(read)
    return _report_ignored_worksheets(
        read, [one.grid.name for one in matches], header_detection.find_ignored_worksheets(others, candidates)
    )


def _build_named_sheet(match: WorksheetMatch) -> Sheet:
    with _prefix_errors(match.grid.name):
        return _build_sheet(match)


def _build_sheet(match: WorksheetMatch) -> Sheet:
    resource = header_detection.detect_resource(match.header.titles, match.candidates)
    frame, findings = sheet_builder.build_frame(
        sheet_builder.extract_table(match.grid, match.header), match.grid.scan, resource
    )
    return Sheet(frame=frame, resource=resource, source="", read_issues=tuple(findings), name=match.grid.name)


def _require_unique_resources(sheets: Sequence[Sheet]) -> None:
    seen: dict[str, str] = {}
    for one in sheets:
        if one.resource.name in seen:
            raise UnreadableSheetError(
                f"The sheets {seen[one.resource.name]!r} and {one.name!r} are both named {one.resource.name}. "
                "Rename one of them, or say which to read with --sheet (sheet=… in Python)."
            )
        seen[one.resource.name] = one.name


def _report_ignored_worksheets(sheets: Sequence[Sheet], read: Sequence[str], ignored: Sequence[str]) -> list[Sheet]:
    """The sheets, the first of which tells which worksheets were left out."""
    shown = ", ".join(map(repr, read))
    problems = [Problem(code="sheet_ignored", details={"value": one, "read": shown}) for one in ignored]
    first, *rest = sheets
    findings = [ReadIssue(row=None, problem=one) for one in problems]
    return [replace(first, read_issues=(*first.read_issues, *findings)), *rest]


# DataFrames


def sheets_from_frames(
    frames_by_key: Mapping[Any, object], sheet: str | None, candidates: Sequence[Resource]
) -> list[Sheet]:
    """DataFrames by the names of what they hold, as `sheets.read` gives them; those about other resources are left out.

    Args:
        frames_by_key: name, spelt in any way, to DataFrame.
        sheet: the only one to load, by its key; None: all.
        candidates: the resources that come into question, with their parts.

    Raises:
        UnreadableSheetError: a key is not known, two stand for the same, a value is no DataFrame or cannot be used, or
            there is none that comes into question.
    """
    if sheet is not None and sheet not in frames_by_key:
        raise UnreadableSheetError(
            f"There is no sheet {sheet!r}. The keys of the dict are: {', '.join(map(repr, frames_by_key))}."
        )
    keys = _keys_by_table_name(frames_by_key)
    wanted = [
        name for name in header_detection.resources_by_name(candidates) if name in keys and sheet in {None, keys[name]}
    ]
    if not wanted:
        raise UnreadableSheetError(
            f"The dict has no table to read. Give it one of these keys: {_list_table_names(candidates)}."
        )
    return _without_redundant_name(
        _without_empty_sheets(
            [_load_frame(keys[name], frames_by_key[keys[name]], SHEET_RESOURCES[name]) for name in wanted]
        )
    )


def _keys_by_table_name(frames_by_key: Mapping[Any, object]) -> dict[str, str]:
    """The name of each table to the key that stands for it."""
    keys: dict[str, str] = {}
    every = tuple(RESOURCES.values())
    for key in frames_by_key:
        found = header_detection.find_resource_by_name(key, every) if isinstance(key, str) else None
        if not isinstance(key, str) or found is None:
            raise UnreadableSheetError(
                f"{key!r} is no name of a table. Use these as the dict's keys: {_list_table_names(every)}."
            )
        if found.name in keys:
            other = keys[found.name]
            raise UnreadableSheetError(f"The keys {other!r} and {key!r} both stand for {found.name}. Keep one of them.")
        keys[found.name] = key
    return keys


def _list_table_names(candidates: Sequence[Resource]) -> str:
    return ", ".join(header_detection.resources_by_name(candidates))


def _load_frame(key: str, frame: object, resource: Resource) -> Sheet:
    with _prefix_errors(key):
        if not isinstance(frame, pd.DataFrame):
            raise UnreadableSheetError(
                f"This is no DataFrame, but of the type {type(frame).__name__}. Give a DataFrame."
            )
        return replace(dataframes.to_sheet(frame, (resource,)), name=key)


# Both


def _without_empty_sheets(sheets: Sequence[Sheet]) -> list[Sheet]:
    """Those that have rows; all, if none has."""
    return [one for one in sheets if not one.frame.empty] or list(sheets)


def _without_redundant_name(sheets: Sequence[Sheet]) -> list[Sheet]:
    """The sheets, without the name where nothing has to be told apart; a part's name says what it is."""
    first, *rest = sheets
    return [*sheets] if rest or first.resource.is_subresource else [replace(first, name="")]


@contextlib.contextmanager
def _prefix_errors(name: str) -> Iterator[None]:
    """Refusals say which of several tables they are about."""
    try:
        yield
    except UnreadableSheetError as error:
        raise UnreadableSheetError(f"Sheet {name!r}: {error}") from None
