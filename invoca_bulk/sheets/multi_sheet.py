"""Tables that are read together: worksheets named after their resources, or a dict of DataFrames."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from invoca_bulk.errors import UnreadableSheetError
from invoca_bulk.schema import RESOURCES, SHEET_RESOURCES, Resource
from invoca_bulk.sheets import dataframes, header_detection, sheet_builder, worksheet_choice
from invoca_bulk.sheets.model import Grid, Sheet
from invoca_bulk.sheets.worksheet_choice import Offer, WorksheetMatch
from invoca_bulk.wording import option


def sheets_from_grids(grids: Sequence[Grid], candidates: Sequence[Resource], *, is_named: bool) -> list[Sheet]:
    """The tables of a file: two or more worksheets named after resources, else the one whose headers fit best.

    `is_named`: a person has named the worksheet, the only one of `grids`.
    """
    offer = worksheet_choice.offer_worksheets(grids, is_named=is_named)
    matches = worksheet_choice.match_named_worksheets(offer.visible, candidates)
    if len(matches) > 1:
        return _build_named_sheets(matches, offer, candidates)
    return _build_single_sheet(offer, candidates)


def _build_named_sheets(matches: Sequence[WorksheetMatch], offer: Offer, candidates: Sequence[Resource]) -> list[Sheet]:
    sheets = []
    for match in matches:
        with _prefix_errors(match.grid.name):
            sheets.append(_build_sheet(match))
    names = {match.grid.name for match in matches}
    others = [grid for grid in offer.visible if grid.name not in names]
    readable = worksheet_choice.find_readable_worksheets(others, candidates)
    if readable and all(sheet.frame.empty for sheet in sheets):  # an empty template next to the analyst's own sheet
        return _build_single_sheet(replace(offer, visible=others), candidates)
    filled_sheets = _without_redundant_name(_without_empty_sheets(sheets))
    _require_unique_resources(filled_sheets)
    return _report_ignored_worksheets(filled_sheets, [match.grid for match in matches], offer, candidates)


def _build_single_sheet(offer: Offer, candidates: Sequence[Resource]) -> list[Sheet]:
    match = worksheet_choice.choose_worksheet(offer, candidates)
    sheets = _without_redundant_name([_build_sheet(match)])
    return _report_ignored_worksheets(sheets, [match.grid], offer, candidates)


def _build_sheet(match: WorksheetMatch) -> Sheet:
    resource = header_detection.detect_resource(match.header.titles, match.candidates)
    table = sheet_builder.extract_table(match.grid, match.header)
    frame, read_issues = sheet_builder.build_frame(table, match.grid.scan, resource)
    read_issues += sheet_builder.report_grid_problems(match.grid, match.header)
    return Sheet(frame=frame, resource=resource, source="", read_issues=tuple(read_issues), name=match.grid.name)


def _require_unique_resources(sheets: Sequence[Sheet]) -> None:
    sheet_names: dict[str, str] = {}
    for sheet in sheets:
        resource_name = sheet.resource.name
        if resource_name in sheet_names:
            raise UnreadableSheetError(
                f"The sheets {sheet_names[resource_name]!r} and {sheet.name!r} are both named {resource_name}. "
                f"Rename one of them, or say which to read with {option('sheet=…')}."
            )
        sheet_names[resource_name] = sheet.name


def _report_ignored_worksheets(
    sheets: Sequence[Sheet], read: Sequence[Grid], offer: Offer, candidates: Sequence[Resource]
) -> list[Sheet]:
    """The sheets; the first has a read issue for each worksheet that is left out."""
    read_issues = worksheet_choice.report_ignored_worksheets(offer, read, candidates)
    first, *others = sheets
    return [replace(first, read_issues=(*first.read_issues, *read_issues)), *others]


def sheets_from_frames(
    frames_by_key: Mapping[Any, object], sheet: str | None, candidates: Sequence[Resource]
) -> list[Sheet]:
    """The sheets of a dict of DataFrames, as `sheets.read` returns it: the one with the key `sheet`, or all."""
    if sheet is not None and sheet not in frames_by_key:
        raise UnreadableSheetError(
            f"There is no sheet {sheet!r}. The keys of the dict are: {', '.join(map(repr, frames_by_key))}."
        )
    keys = _keys_by_table_name(frames_by_key)
    names = [
        name for name in header_detection.resources_by_name(candidates) if name in keys and sheet in {None, keys[name]}
    ]
    if not names:
        raise UnreadableSheetError(
            f"The dict has no table to read. Give it one of these keys: {_list_table_names(candidates)}."
        )
    sheets = [_load_frame(keys[name], frames_by_key[keys[name]], SHEET_RESOURCES[name]) for name in names]
    return _without_redundant_name(_without_empty_sheets(sheets))


def _keys_by_table_name(frames_by_key: Mapping[Any, object]) -> dict[str, str]:
    """Table name to the key that names it."""
    keys: dict[str, str] = {}
    resources = tuple(RESOURCES.values())
    for key in frames_by_key:
        table = header_detection.find_resource_by_name(key, resources) if isinstance(key, str) else None
        if not isinstance(key, str) or table is None:
            raise UnreadableSheetError(
                f"{key!r} is not the name of a table. Use these keys in the dict: {_list_table_names(resources)}."
            )
        if table.name in keys:
            raise UnreadableSheetError(
                f"The keys {keys[table.name]!r} and {key!r} both mean {table.name}. Keep one of them."
            )
        keys[table.name] = key
    return keys


def _list_table_names(candidates: Sequence[Resource]) -> str:
    return ", ".join(header_detection.resources_by_name(candidates))


def _load_frame(key: str, frame: object, resource: Resource) -> Sheet:
    with _prefix_errors(key):
        table = dataframes.to_pandas(frame)
        if table is None:
            raise UnreadableSheetError(
                f"Expected a DataFrame, but the value is of the type {type(frame).__name__}. Pass a DataFrame."
            )
        return replace(dataframes.to_sheet(table, (resource,)), name=key)


def _without_empty_sheets(sheets: Sequence[Sheet]) -> list[Sheet]:
    """The sheets that have rows; all if none has."""
    return [sheet for sheet in sheets if not sheet.frame.empty] or list(sheets)


def _without_redundant_name(sheets: Sequence[Sheet]) -> list[Sheet]:
    """The sheets; a single one loses its name, unless it is a subresource."""
    first, *others = sheets
    return [*sheets] if others or first.resource.is_subresource else [replace(first, name="")]


@contextlib.contextmanager
def _prefix_errors(name: str) -> Iterator[None]:
    """Put the name of the table in front of errors."""
    try:
        yield
    except UnreadableSheetError as error:
        raise UnreadableSheetError(f"Sheet {name!r}: {error}") from None
