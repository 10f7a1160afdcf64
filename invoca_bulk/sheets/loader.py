"""A path, a file, bytes or DataFrames -> sheets."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from invoca_bulk.errors import UnreadableSheetError
from invoca_bulk.schema import Resource
from invoca_bulk.sheets import (
    archives,
    csv_reader,
    dataframes,
    encodings,
    foreign_formats,
    header_detection,
    multi_sheet,
    sources,
    workbook_formats,
    workbook_reader,
)
from invoca_bulk.sheets.model import Grid, Sheet
from invoca_bulk.wording import option

if TYPE_CHECKING:
    import pandas as pd

#: What a sheet is read from.
Source: TypeAlias = sources.FileSource | dataframes.Table | Mapping[str, dataframes.Table]


def read(
    source: Source, *, sheet: str | None = None, resource: str | None = None, encoding: str | None = None
) -> pd.DataFrame | dict[str, pd.DataFrame]:
    """Read a spreadsheet as text, as `invoca_bulk.read` documents it; several resources: a dict by their names."""
    first, *others = load(source, sheet=sheet, resource=resource, encoding=encoding)
    if not others:
        return dataframes.to_frame(first)
    return {loaded.resource.name: dataframes.to_frame(loaded) for loaded in (first, *others)}


def load(
    source: Source, *, sheet: str | None = None, resource: str | None = None, encoding: str | None = None
) -> tuple[Sheet, ...]:
    """Read a spreadsheet, as `read` does, into sheets in the order of `schema.SHEET_RESOURCES`, one per resource."""
    encodings.check_encoding(encoding)
    candidates = header_detection.candidate_resources(resource)
    if (frame := dataframes.to_pandas(source)) is not None:
        return (dataframes.to_sheet(frame, candidates),)
    if isinstance(source, Mapping):
        return tuple(multi_sheet.sheets_from_frames(source, sheet, candidates))
    name = sources.get_file_name(source)
    try:
        with gc_paused():
            grids = _read_grids(_read_content(source, name), sheet, encoding, candidates)
            sheets = multi_sheet.sheets_from_grids(grids, candidates, is_named=sheet is not None)
    except UnreadableSheetError as error:
        raise UnreadableSheetError(f"{name}: {error}" if name else str(error)) from None
    return tuple(replace(loaded, source=name, path=sources.get_file_path(source)) for loaded in sheets)


def _read_content(source: Source, name: str) -> bytes | str:
    """The content, unpacked; files that are no spreadsheet are rejected."""
    content = sources.read_content(source)
    foreign_formats.reject_foreign_file(content, name)
    if isinstance(content, bytes) and (unpacked := archives.unpack(content)) is not content:
        foreign_formats.reject_foreign_file(unpacked, name)
        return unpacked
    return content


def _read_grids(
    content: bytes | str, sheet: str | None, encoding: str | None, candidates: Sequence[Resource]
) -> list[Grid]:
    if isinstance(content, bytes) and (file_format := workbook_formats.detect_format(content)):
        if encoding is not None:
            raise UnreadableSheetError(f"A workbook names its encoding itself. Leave out {option('encoding=…')}.")
        return workbook_reader.read_grids(content, file_format, sheet)
    if sheet is not None:
        raise UnreadableSheetError(f"A CSV file has no sheets to choose from. Leave out {option('sheet=…')}.")
    return [csv_reader.read_grid(content, candidates, encoding)]


@contextlib.contextmanager
def gc_paused() -> Iterator[None]:
    """Pause garbage collection: it would take half of the time, for millions of new lists and texts."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
