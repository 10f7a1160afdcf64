"""The door: a path, a file, bytes or a DataFrame -> a sheet."""

from __future__ import annotations

import contextlib
import gc
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from invoca_bulk.errors import SheetUnreadable
from invoca_bulk.sheets import containers, delimited, excel, frames, headers, sources, table
from invoca_bulk.sheets.model import Sheet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from invoca_bulk.schema import Resource
    from invoca_bulk.sheets.model import Grid


def read(
    source: sources.Source | pd.DataFrame, *, sheet: str | None = None, resource: str | None = None
) -> pd.DataFrame:
    """Read a spreadsheet as text, for a look or for work in pandas before it is validated.

    Args:
        source: a path, an open file, the bytes of a file, or a DataFrame: xlsx, xlsm, xlsb, xls, ods, CSV or TSV. The
            content decides, not the extension.
        sheet: the worksheet's name; None: the one whose headers fit best.
        resource: `advertisers` or `promo_numbers`; None: the one that knows more of the headers.

    Returns:
        One row for each row that is not blank. The index `row` (int64) holds the row numbers of the spreadsheet, the
        columns are the headers as written, every cell is text (blank: ""). A cell that cannot be trusted, such as a
        date that Excel made of a text, starts with a mark, such as `#DATE! 2026-05-01`, and is an error until other
        text stands there. `frame.attrs["invoca_bulk"]` tells which file was read, and of blank and hidden rows.
        In xls, xlsb and ods, error cells such as #N/A are read as blank, and hidden rows are not counted.

    Raises:
        SheetUnreadable: it cannot be read; the message says why and what to do.
        SettingInvalid: there is no such resource.
    """
    return frames.carry(load(source, sheet=sheet, resource=resource))


def load(source: sources.Source | pd.DataFrame, *, sheet: str | None = None, resource: str | None = None) -> Sheet:
    """Read a spreadsheet, as `read` does, into a record of its own for the stages that follow.

    Raises:
        SheetUnreadable: it cannot be read; the message starts with the file's name.
        SettingInvalid: there is no such resource.
    """
    among = headers.resources(resource)
    if isinstance(source, pd.DataFrame):
        return frames.load(source, resource)
    name = sources.name_of(source)
    try:
        with _collector_paused():
            content = sources.content_of(source)
            return replace(_load(content, sheet, among), source=name, path=sources.path_of(source))
    except SheetUnreadable as error:
        raise SheetUnreadable(f"{name}: {error}" if name else str(error)) from None


def _load(content: bytes | str, sheet: str | None, among: Sequence[Resource]) -> Sheet:
    grid, heading = headers.choose(_grids(content, sheet, among), among)
    resource = headers.resource_of(heading.titles, among)
    frame, findings = table.build(table.below(grid, heading), grid.marks, resource)
    return Sheet(frame=frame, resource=resource, source="", findings=tuple(findings))


def _grids(content: bytes | str, sheet: str | None, among: Sequence[Resource]) -> list[Grid]:
    found = containers.format_of(content) if isinstance(content, bytes) else None
    if isinstance(content, bytes) and found:
        return excel.grids(content, found, sheet)
    if sheet is not None:
        raise SheetUnreadable("A CSV file has no sheets to choose from. Leave out --sheet (sheet=… in Python).")
    return [delimited.grid(content, among)]


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep Python's garbage collector from walking through millions of new lists and texts, half of the time else."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
