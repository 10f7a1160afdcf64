"""Tables that are read together: the worksheets that have the names of what they hold, or a dict of DataFrames."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from invoca_bulk.errors import SheetUnreadable
from invoca_bulk.schema import RESOURCES, SHEETS
from invoca_bulk.schema.issue_catalog import Problem
from invoca_bulk.sheets import dataframes, header_detection, sheet_builder
from invoca_bulk.sheets.model import Finding, Sheet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from invoca_bulk.schema import Resource
    from invoca_bulk.sheets.header_detection import Found
    from invoca_bulk.sheets.model import Grid


# Worksheets


def of_grids(grids: Sequence[Grid], among: Sequence[Resource]) -> list[Sheet]:
    """The tables of a file.

    If two worksheets or more have the names of what they hold, these are read; else the one whose headers fit best.

    Args:
        grids: the worksheets that come into question, or the one of a CSV file.
        among: the resources that come into question, with their parts.

    Raises:
        SheetUnreadable: none can be read, two have the same name, or two fit equally well.
    """
    named = header_detection.named(grids, among)
    if len(named) > 1:
        names = {one.grid.name for one in named}
        return _by_name(named, [one for one in grids if one.name not in names], among)
    return _told_apart([_built(header_detection.choose(grids, among))])


def _by_name(named: Sequence[Found], others: Sequence[Grid], among: Sequence[Resource]) -> list[Sheet]:
    sheets = [_built_by_name(one) for one in named]
    fitting = header_detection.fitting(others, among)
    if fitting and all(one.frame.empty for one in sheets):  # a template that was left empty beside the analyst's sheet
        return _told_apart([_built(header_detection.choose(fitting, among))])
    read = _told_apart(_filled(sheets))
    _refuse_repeated(read)
    return _with_missed(read, [one.grid.name for one in named], header_detection.missed(others, among))


def _built_by_name(one: Found) -> Sheet:
    with _naming(one.grid.name):
        return _built(one)


def _built(one: Found) -> Sheet:
    resource = header_detection.resource_of(one.heading.titles, one.among)
    frame, findings = sheet_builder.build(sheet_builder.below(one.grid, one.heading), one.grid.marks, resource)
    return Sheet(frame=frame, resource=resource, source="", findings=tuple(findings), name=one.grid.name)


def _refuse_repeated(sheets: Sequence[Sheet]) -> None:
    seen: dict[str, str] = {}
    for one in sheets:
        if one.resource.name in seen:
            raise SheetUnreadable(
                f"The sheets {seen[one.resource.name]!r} and {one.name!r} are both named {one.resource.name}. "
                "Rename one of them, or say which to read with --sheet (sheet=… in Python)."
            )
        seen[one.resource.name] = one.name


def _with_missed(sheets: Sequence[Sheet], read: Sequence[str], missed: Sequence[str]) -> list[Sheet]:
    """The sheets, the first of which tells which worksheets were left out."""
    shown = ", ".join(map(repr, read))
    problems = [Problem(code="sheet_ignored", details={"value": one, "read": shown}) for one in missed]
    first, *rest = sheets
    findings = [Finding(row=None, problem=one) for one in problems]
    return [replace(first, findings=(*first.findings, *findings)), *rest]


# DataFrames


def of_frames(given: Mapping[Any, object], sheet: str | None, among: Sequence[Resource]) -> list[Sheet]:
    """DataFrames by the names of what they hold, as `sheets.read` gives them; those about other resources are left out.

    Args:
        given: name, spelt in any way, to DataFrame.
        sheet: the only one to load, by its key; None: all.
        among: the resources that come into question, with their parts.

    Raises:
        SheetUnreadable: a key is not known, two stand for the same, a value is no DataFrame or cannot be used, or there
            is none that comes into question.
    """
    if sheet is not None and sheet not in given:
        raise SheetUnreadable(f"There is no sheet {sheet!r}. The keys of the dict are: {', '.join(map(repr, given))}.")
    keys = _keys(given)
    wanted = [name for name in header_detection.tables(among) if name in keys and sheet in {None, keys[name]}]
    if not wanted:
        raise SheetUnreadable(f"The dict has no table to read. Give it one of these keys: {_listed(among)}.")
    return _told_apart(_filled([_loaded(keys[name], given[keys[name]], SHEETS[name]) for name in wanted]))


def _keys(given: Mapping[Any, object]) -> dict[str, str]:
    """The name of each table to the key that stands for it."""
    keys: dict[str, str] = {}
    every = tuple(RESOURCES.values())
    for key in given:
        found = header_detection.about(key, every) if isinstance(key, str) else None
        if not isinstance(key, str) or found is None:
            raise SheetUnreadable(f"{key!r} is no name of a table. Use these as the dict's keys: {_listed(every)}.")
        if found.name in keys:
            other = keys[found.name]
            raise SheetUnreadable(f"The keys {other!r} and {key!r} both stand for {found.name}. Keep one of them.")
        keys[found.name] = key
    return keys


def _listed(among: Sequence[Resource]) -> str:
    return ", ".join(header_detection.tables(among))


def _loaded(key: str, frame: object, resource: Resource) -> Sheet:
    with _naming(key):
        if not isinstance(frame, pd.DataFrame):
            raise SheetUnreadable(f"This is no DataFrame, but of the type {type(frame).__name__}. Give a DataFrame.")
        return replace(dataframes.load(frame, (resource,)), name=key)


# Both


def _filled(sheets: Sequence[Sheet]) -> list[Sheet]:
    """Those that have rows; all, if none has."""
    return [one for one in sheets if not one.frame.empty] or list(sheets)


def _told_apart(sheets: Sequence[Sheet]) -> list[Sheet]:
    """The sheets, without the name where nothing has to be told apart; a part's name says what it is."""
    first, *rest = sheets
    return [*sheets] if rest or first.resource.is_part else [replace(first, name="")]


@contextlib.contextmanager
def _naming(name: str) -> Iterator[None]:
    """Refusals say which of several tables they are about."""
    try:
        yield
    except SheetUnreadable as error:
        raise SheetUnreadable(f"Sheet {name!r}: {error}") from None
