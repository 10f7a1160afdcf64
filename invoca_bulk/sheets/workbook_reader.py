"""Workbooks: xlsx, xlsm, xlsb, xls and ods, through calamine.

What each format can tell: values of all of them; error cells, formulas without a stored result and hidden rows of an
xlsx and xlsm only (`xlsx_scan`). In xls, xlsb and ods calamine gives an empty text for error cells and for formulas
without a result, so they are read as blank cells there, and hidden rows are not counted.
"""

from __future__ import annotations

import contextlib
import io
import zipfile
import zlib
from typing import TYPE_CHECKING

import python_calamine
from python_calamine import SheetTypeEnum

from invoca_bulk.errors import UnreadableSheetError
from invoca_bulk.sheets import file_formats, subprocess_reader, xlsx_scanner
from invoca_bulk.sheets.model import Grid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from python_calamine import CalamineWorkbook

#: Sheets of the workbooks that this package writes; they are never the one with the rows.
GENERATED_SHEET_NAMES = frozenset({"issues", "summary", "lists", "instructions"})
#: calamine gives up on a whole workbook that has any other.
_CALAMINE_ERRORS = frozenset({"#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"})
#: What the name of calamine's exception in another process means; any other name: a damaged file.
_ERROR_BY_EXCEPTION_NAME: Mapping[str, Callable[[], UnreadableSheetError]] = {
    "": file_formats.reader_crashed_error,
    "MemoryError": file_formats.reader_crashed_error,
    "PasswordError": file_formats.password_protected_error,
}


def read_grids(data: bytes, file_format: str, sheet_name: str | None) -> list[Grid]:
    """The worksheets that come into question: the wanted one, or all that are not this package's own.

    Raises:
        UnreadableSheetError: the file is protected or damaged, or has no such worksheet.
    """
    with _translate_parser_errors():
        return _read_xlsx(data, sheet_name) if file_format == "xlsx" else _read_in_subprocess(data, sheet_name)


def _read_xlsx(data: bytes, sheet_name: str | None) -> list[Grid]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive, python_calamine.load_workbook(io.BytesIO(data)) as book:
        names = [one.name for one in book.sheets_metadata if one.typ == SheetTypeEnum.WorkSheet]
        parts = xlsx_scanner.find_worksheet_members(archive)
        return _limit_total_cells(
            _read_xlsx_grid(archive, parts[name], book, name) for name in _select_worksheets(names, sheet_name)
        )


def _limit_total_cells(grids: Iterable[Grid]) -> list[Grid]:
    """The grids, which together have no more cells than one may have: a workbook can have thousands of worksheets."""
    read, cells = [], 0
    for grid in grids:
        read.append(grid)
        cells += len(grid.rows) * len(grid.rows[0]) if grid.rows else 0
        if cells > xlsx_scanner.MAX_CELLS:
            raise file_formats.too_many_cells_error(xlsx_scanner.MAX_CELLS)
    return read


def _read_xlsx_grid(archive: zipfile.ZipFile, member: str, book: CalamineWorkbook, name: str) -> Grid:
    marks = xlsx_scanner.scan_worksheet(archive.read(member))  # before calamine: it refuses what would fill the memory
    if unknown := sorted(set(marks.error_cells.values()) - _CALAMINE_ERRORS):
        raise UnreadableSheetError(
            f"The sheet {name!r} holds the error {unknown[0]}, which cannot be read. Correct it, or clear the cell."
        )
    return Grid(name=name, rows=book.get_sheet_by_name(name).to_python(skip_empty_area=False), scan=marks)


def _read_in_subprocess(data: bytes, sheet_name: str | None) -> list[Grid]:
    rows = dict(subprocess_reader.read_worksheets(data))
    return [Grid(name=name, rows=rows[name]) for name in _select_worksheets(list(rows), sheet_name)]


def _select_worksheets(names: Sequence[str], sheet_name: str | None) -> list[str]:
    if sheet_name is None:
        return [name for name in names if name.casefold() not in GENERATED_SHEET_NAMES]
    if sheet_name not in names:
        raise UnreadableSheetError(f"There is no sheet {sheet_name!r}. Its sheets are: {', '.join(map(repr, names))}.")
    return [sheet_name]


def _subprocess_error(exception_name: str) -> UnreadableSheetError:
    return _ERROR_BY_EXCEPTION_NAME.get(exception_name, file_formats.corrupt_error)()


@contextlib.contextmanager
def _translate_parser_errors() -> Iterator[None]:
    """Whatever a parser says of a file becomes one of our own sentences."""
    try:
        yield
    except UnreadableSheetError:
        raise
    except python_calamine.PasswordError:
        raise file_formats.password_protected_error() from None
    except ChildProcessError as error:
        raise _subprocess_error(str(error)) from None
    except (
        python_calamine.CalamineError,
        zipfile.BadZipFile,
        zlib.error,
        ArithmeticError,  # a date beyond what Python can hold
        EOFError,
        LookupError,  # a part that another one names is missing
        NotImplementedError,  # a way of packing that nobody uses
        OSError,
        StopIteration,
        ValueError,
    ):
        raise file_formats.corrupt_error() from None
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # Rust's; it is no Exception, and cannot be imported
            raise file_formats.corrupt_error() from None
        raise
