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

from invoca_bulk.errors import SheetUnreadable
from invoca_bulk.sheets import file_formats, subprocess_reader, xlsx_scanner
from invoca_bulk.sheets.model import Grid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from python_calamine import CalamineWorkbook

#: Sheets of the workbooks that this package writes; they are never the one with the rows.
OWN_SHEETS = frozenset({"issues", "summary", "lists", "instructions"})
#: calamine gives up on a whole workbook that has any other.
_CALAMINE_ERRORS = frozenset({"#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"})
#: What the name of calamine's exception in another process means; any other name: a damaged file.
_APART: Mapping[str, Callable[[], SheetUnreadable]] = {
    "": file_formats.fatal,
    "MemoryError": file_formats.fatal,
    "PasswordError": file_formats.protected,
}


def grids(data: bytes, file_format: str, wanted: str | None) -> list[Grid]:
    """The worksheets that come into question: the wanted one, or all that are not this package's own.

    Raises:
        SheetUnreadable: the file is protected or damaged, or has no such worksheet.
    """
    with _refusals():
        return _scanned(data, wanted) if file_format == "xlsx" else _apart(data, wanted)


def _scanned(data: bytes, wanted: str | None) -> list[Grid]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive, python_calamine.load_workbook(io.BytesIO(data)) as book:
        names = [one.name for one in book.sheets_metadata if one.typ == SheetTypeEnum.WorkSheet]
        parts = xlsx_scanner.parts(archive)
        return _limited(_scanned_grid(archive, parts[name], book, name) for name in _candidates(names, wanted))


def _limited(grids: Iterable[Grid]) -> list[Grid]:
    """The grids, which together have no more cells than one may have: a workbook can have thousands of worksheets."""
    read, cells = [], 0
    for grid in grids:
        read.append(grid)
        cells += len(grid.rows) * len(grid.rows[0]) if grid.rows else 0
        if cells > xlsx_scanner.MAX_CELLS:
            raise file_formats.too_wide(xlsx_scanner.MAX_CELLS)
    return read


def _scanned_grid(archive: zipfile.ZipFile, part: str, book: CalamineWorkbook, name: str) -> Grid:
    marks = xlsx_scanner.marks(archive.read(part))  # before calamine: it refuses what would fill the memory
    if unknown := sorted(set(marks.errors.values()) - _CALAMINE_ERRORS):
        raise SheetUnreadable(
            f"The sheet {name!r} holds the error {unknown[0]}, which cannot be read. Correct it, or clear the cell."
        )
    return Grid(name=name, rows=book.get_sheet_by_name(name).to_python(skip_empty_area=False), marks=marks)


def _apart(data: bytes, wanted: str | None) -> list[Grid]:
    rows = dict(subprocess_reader.sheets(data))
    return [Grid(name=name, rows=rows[name]) for name in _candidates(list(rows), wanted)]


def _candidates(names: Sequence[str], wanted: str | None) -> list[str]:
    if wanted is None:
        return [name for name in names if name.casefold() not in OWN_SHEETS]
    if wanted not in names:
        raise SheetUnreadable(f"There is no sheet {wanted!r}. Its sheets are: {', '.join(map(repr, names))}.")
    return [wanted]


def _refusal_apart(name: str) -> SheetUnreadable:
    return _APART.get(name, file_formats.corrupt)()


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Whatever a parser says of a file becomes one of our own sentences."""
    try:
        yield
    except SheetUnreadable:
        raise
    except python_calamine.PasswordError:
        raise file_formats.protected() from None
    except ChildProcessError as error:
        raise _refusal_apart(str(error)) from None
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
        raise file_formats.corrupt() from None
    except BaseException as error:
        if type(error).__name__ == "PanicException":  # Rust's; it is no Exception, and cannot be imported
            raise file_formats.corrupt() from None
        raise
