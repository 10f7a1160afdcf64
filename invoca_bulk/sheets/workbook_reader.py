"""Workbooks: xlsx, xlsm, xlsb, xls and ods, through calamine.

Values are read from all formats; error cells, formulas without a stored result and hidden rows from xlsx and xlsm only
(`xlsx_scanner`). In xls, xlsb and ods calamine returns an empty text for error cells and for formulas without a result,
so they are read as blank cells, and hidden rows are not counted.
"""

from __future__ import annotations

import contextlib
import io
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import python_calamine
from python_calamine import SheetTypeEnum, SheetVisibleEnum

from invoca_bulk.errors import UnreadableSheetError
from invoca_bulk.sheets import subprocess_reader, workbook_formats, xlsx_scanner
from invoca_bulk.sheets.model import Grid

if TYPE_CHECKING:
    from python_calamine import CalamineWorkbook

_VISIBILITY: Sequence[tuple[SheetVisibleEnum, Literal["visible", "hidden", "very hidden"]]] = (
    (SheetVisibleEnum.Visible, "visible"),
    (SheetVisibleEnum.Hidden, "hidden"),
    (SheetVisibleEnum.VeryHidden, "very hidden"),
)
#: calamine rejects a whole workbook that has any other error.
_CALAMINE_ERRORS = frozenset({"#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"})
#: Errors by the name of calamine's exception in the subprocess; any other name: a damaged file.
_ERROR_BY_EXCEPTION_NAME: Mapping[str, Callable[[], UnreadableSheetError]] = {
    "": workbook_formats.reader_crashed_error,
    "MemoryError": workbook_formats.reader_crashed_error,
    "PasswordError": workbook_formats.password_protected_error,
}


def read_grids(data: bytes, file_format: str, sheet_name: str | None) -> list[Grid]:
    """The worksheet with this name; None: all."""
    with _translate_parser_errors():
        if file_format == "xlsx":
            return _read_xlsx(data, sheet_name)
        rows = dict(subprocess_reader.read_worksheets(data))
        return [Grid(name=name, rows=rows[name]) for name in _select_worksheets(list(rows), sheet_name)]


def _read_xlsx(data: bytes, sheet_name: str | None) -> list[Grid]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive, python_calamine.load_workbook(io.BytesIO(data)) as workbook:
        names = [metadata.name for metadata in workbook.sheets_metadata if metadata.typ == SheetTypeEnum.WorkSheet]
        visibility = {
            metadata.name: name
            for metadata in workbook.sheets_metadata
            for visible, name in _VISIBILITY
            if metadata.visible == visible
        }
        members = xlsx_scanner.find_worksheet_members(archive)
        return _limit_total_cells(
            replace(_read_xlsx_grid(archive, members[name], workbook, name), visibility=visibility[name])
            for name in _select_worksheets(names, sheet_name)
        )


def _limit_total_cells(grids: Iterable[Grid]) -> list[Grid]:
    """The grids; together they may have as many cells as one: a workbook can have thousands of worksheets."""
    grids_read, cell_count = [], 0
    for grid in grids:
        grids_read.append(grid)
        cell_count += len(grid.rows) * len(grid.rows[0]) if grid.rows else 0
        if cell_count > xlsx_scanner.MAX_CELLS:
            raise workbook_formats.too_many_cells_error(xlsx_scanner.MAX_CELLS)
    return grids_read


def _read_xlsx_grid(archive: zipfile.ZipFile, member: str, workbook: CalamineWorkbook, name: str) -> Grid:
    scan = xlsx_scanner.scan_worksheet(archive.read(member))  # first: it rejects what would fill the memory
    if unknown := sorted(set(scan.error_cells.values()) - _CALAMINE_ERRORS):
        raise UnreadableSheetError(
            f"The sheet {name!r} holds the error {unknown[0]}, which cannot be read. Correct it, or clear the cell."
        )
    return Grid(name=name, rows=workbook.get_sheet_by_name(name).to_python(skip_empty_area=False), scan=scan)


def _select_worksheets(names: Sequence[str], sheet_name: str | None) -> list[str]:
    if sheet_name is None:
        return list(names)
    if sheet_name not in names:
        raise UnreadableSheetError(f"There is no sheet {sheet_name!r}. The sheets are: {', '.join(map(repr, names))}.")
    return [sheet_name]


@contextlib.contextmanager
def _translate_parser_errors() -> Iterator[None]:
    """Turn any error of a parser into an UnreadableSheetError."""
    try:
        yield
    except UnreadableSheetError:
        raise
    except python_calamine.PasswordError:
        raise workbook_formats.password_protected_error() from None
    except ChildProcessError as error:
        make_error = _ERROR_BY_EXCEPTION_NAME.get(str(error), workbook_formats.corrupt_error)
        raise make_error() from None
    except (
        python_calamine.CalamineError,
        zipfile.BadZipFile,
        zlib.error,
        ArithmeticError,  # a date beyond what Python can hold
        EOFError,
        LookupError,  # a part that the file refers to is missing
        NotImplementedError,  # a rare compression method
        OSError,
        StopIteration,
        ValueError,
    ):
        raise workbook_formats.corrupt_error() from None
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # Rust's; not an Exception, and not importable
            raise workbook_formats.corrupt_error() from None
        raise
