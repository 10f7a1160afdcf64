"""The door: a path, a file, bytes or DataFrames -> sheets."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import pandas as pd

from invoca_bulk.errors import UnreadableSheetError
from invoca_bulk.sheets import (
    csv_reader,
    dataframes,
    file_formats,
    header_detection,
    multi_sheet,
    sources,
    workbook_reader,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from invoca_bulk.schema import Resource
    from invoca_bulk.sheets.model import Grid, Sheet


#: What a sheet is read from.
Source: TypeAlias = sources.FileSource | pd.DataFrame | Mapping[str, pd.DataFrame]


def read(
    source: Source, *, sheet: str | None = None, resource: str | None = None
) -> pd.DataFrame | dict[str, pd.DataFrame]:
    """Read a spreadsheet as text, for a look or for work in pandas before it is validated.

    Args:
        source: a path, an open file, the bytes of a file (xlsx, xlsm, xlsb, xls, ods, CSV or TSV; the content decides,
            not the extension), a DataFrame, or a dict of DataFrames with the keys below.
        sheet: the worksheet's name; None: all that are named as below, or else the one whose headers fit best.
        resource: `advertisers` or `promo_numbers`; None: the one that knows more of the headers.

    Returns:
        One row for each row that is not blank. The index `row` (int64) holds the row numbers of the spreadsheet, the
        columns are the headers as written, every cell is text (blank: ""). A cell that cannot be trusted, such as a
        date that Excel made of a text, starts with a mark, such as `#DATE! 2026-05-01`, and is an error until other
        text stands there. `frame.attrs["invoca_bulk"]` tells which file was read, and of blank and hidden rows.
        In xls, xlsb and ods, error cells such as #N/A are read as blank, and hidden rows are not counted.
        Of a workbook with two or more worksheets named `advertisers`, `sites`, `users` or `promo_numbers` (in any
        spelling): a dict of such frames with these keys.

    Raises:
        UnreadableSheetError: it cannot be read; the message says why and what to do.
        ConfigError: there is no such resource.
    """
    first, *rest = load(source, sheet=sheet, resource=resource)
    if not rest:
        return dataframes.to_frame(first)
    return {one.resource.name: dataframes.to_frame(one) for one in (first, *rest)}


def load(source: Source, *, sheet: str | None = None, resource: str | None = None) -> tuple[Sheet, ...]:
    """Read a spreadsheet, as `read` does, into records for the stages that follow.

    Returns:
        One sheet or more, in the order of `schema.SHEET_RESOURCES`, no two about the same.

    Raises:
        UnreadableSheetError: it cannot be read; the message starts with the file's name.
        ConfigError: there is no such resource.
    """
    among = header_detection.candidate_resources(resource)
    if isinstance(source, pd.DataFrame):
        return (dataframes.to_sheet(source, among),)
    if isinstance(source, Mapping):
        return tuple(multi_sheet.sheets_from_frames(source, sheet, among))
    name = sources.get_file_name(source)
    try:
        with gc_paused():
            found = multi_sheet.sheets_from_grids(_read_grids(sources.read_content(source), sheet, among), among)
    except UnreadableSheetError as error:
        raise UnreadableSheetError(f"{name}: {error}" if name else str(error)) from None
    return tuple(replace(one, source=name, path=sources.get_file_path(source)) for one in found)


def _read_grids(content: bytes | str, sheet: str | None, candidates: Sequence[Resource]) -> list[Grid]:
    found = file_formats.detect_format(content) if isinstance(content, bytes) else None
    if isinstance(content, bytes) and found:
        return workbook_reader.read_grids(content, found, sheet)
    if sheet is not None:
        raise UnreadableSheetError("A CSV file has no sheets to choose from. Leave out --sheet (sheet=… in Python).")
    return [csv_reader.read_grid(content, candidates)]


@contextlib.contextmanager
def gc_paused() -> Iterator[None]:
    """Keep Python's garbage collector from walking through millions of new lists and texts, half of the time else."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
