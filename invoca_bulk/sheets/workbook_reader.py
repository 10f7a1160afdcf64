"""Workbooks: xlsx and xlsm through calamine; xls, xlsb and ods through `isolated_readers`, in a process of their own.

Calamine reports neither error cells nor what is hidden or merged: `xlsx_scanner` reads that beside it. The others tell
all of it.
"""

from __future__ import annotations

import contextlib
import io
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import python_calamine

from invoca_bulk.errors import UnreadableSheetError
from invoca_bulk.sheets import number_formats, subprocess_reader, workbook_formats, xlsx_package, xlsx_scanner
from invoca_bulk.sheets.model import Grid, MergedRange, Visibility, WorksheetScan, column_letters
from invoca_bulk.sheets.zip_package import Package

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

#: Errors by the name of the exception in the subprocess; any other name: a damaged file.
_ERROR_BY_EXCEPTION_NAME: Mapping[str, Callable[[], UnreadableSheetError]] = {
    "": workbook_formats.reader_crashed_error,
    "MemoryError": workbook_formats.reader_crashed_error,
    "NotASpreadsheetError": workbook_formats.other_document_error,
    "PasswordError": workbook_formats.password_protected_error,
    "UnreadableTextError": workbook_formats.unreadable_text_error,
}


def read_grids(data: bytes, file_format: str, sheet_name: str | None) -> list[Grid]:
    """The worksheet with this name; None: all."""
    with _translate_parser_errors():
        if file_format == "xlsx":
            return _read_xlsx(data, sheet_name)
        return _read_isolated(data, file_format, sheet_name)


def _read_isolated(data: bytes, file_format: str, sheet_name: str | None) -> list[Grid]:
    """The grids of an xls, xlsb or ods. Of equal names the last one counts, as no program writes them."""
    worksheets = subprocess_reader.read_worksheets(data, file_format, xlsx_scanner.MAX_CELLS)
    fields = {worksheet.pop("name"): worksheet for worksheet in worksheets}
    return [_make_grid(name, **fields[name]) for name in _select_worksheets(list(fields), sheet_name)]


def _make_grid(name: str, *, rows: list[list[object]], visibility: Visibility, **scan: Any) -> Grid:  # noqa: ANN401  fields of many types
    """A grid of the fields of an `isolated_readers.worksheets.Worksheet`."""
    format_codes: dict[tuple[int, int], str] = scan.pop("format_codes")
    shown_texts: dict[tuple[int, int], str] = scan.pop("shown_texts")
    for (row, column), code in format_codes.items():
        if not number_formats.is_plain(code):
            shown = number_formats.show(code, rows[row - 1][column])
            if shown is not None:
                shown_texts[row, column] = shown
    far_row, far_column = scan.pop("far_cell") or (0, 0)
    far_cell = f"{column_letters(far_column)}{far_row}" if far_row else ""
    merged_ranges = tuple(MergedRange(*merged_range) for merged_range in scan.pop("merged_ranges"))
    filled_scan = WorksheetScan(**scan, merged_ranges=merged_ranges, shown_texts=shown_texts, far_cell=far_cell)
    return Grid(name=name, rows=rows, visibility=visibility, scan=filled_scan)


def _read_xlsx(data: bytes, sheet_name: str | None) -> list[Grid]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        package = Package(archive)
        workbook = xlsx_package.read_workbook(package)
        parts = {worksheet.name: worksheet for worksheet in workbook.worksheets}
        worksheets = [parts[name] for name in _select_worksheets(list(parts), sheet_name)]
        formats = number_formats.read_number_formats(workbook.styles)
        scanned_worksheets = [_scan_worksheet(package, worksheet, formats) for worksheet in worksheets]
    if not worksheets:
        return []
    packed = xlsx_package.pack(workbook, [scanned.xml for scanned in scanned_worksheets])
    with python_calamine.load_workbook(packed) as calamine_workbook:
        return _limit_total_cells(
            _read_xlsx_grid(worksheet, scanned, calamine_workbook.get_sheet_by_index(index))
            for index, (worksheet, scanned) in enumerate(zip(worksheets, scanned_worksheets, strict=True))
        )


def _scan_worksheet(
    package: Package, worksheet: xlsx_package.WorksheetPart, formats: Mapping[int, str]
) -> xlsx_scanner.ScannedWorksheet:
    totals = xlsx_package.find_table_totals(package, worksheet)
    return xlsx_scanner.scan_worksheet(package.read(worksheet.part), formats, totals)


def _limit_total_cells(grids: Iterable[Grid]) -> list[Grid]:
    """The grids; together they may have as many cells as one: a workbook can have thousands of worksheets."""
    grids_read, cell_count = [], 0
    for grid in grids:
        grids_read.append(grid)
        cell_count += len(grid.rows) * len(grid.rows[0]) if grid.rows else 0
        if cell_count > xlsx_scanner.MAX_CELLS:
            raise workbook_formats.too_many_cells_error(xlsx_scanner.MAX_CELLS)
    return grids_read


def _read_xlsx_grid(
    worksheet: xlsx_package.WorksheetPart, scanned: xlsx_scanner.ScannedWorksheet, sheet: CalamineSheet
) -> Grid:
    rows = sheet.to_python(skip_empty_area=False)
    shown_texts = {}
    for (row, column), code in scanned.cell_formats.items():
        if row <= len(rows) and column < len(rows[0]):
            shown = number_formats.show(code, rows[row - 1][column])
            if shown is not None:
                shown_texts[row, column] = shown
    scan = replace(scanned.scan, shown_texts=shown_texts)
    return Grid(name=worksheet.name, rows=rows, visibility=worksheet.visibility, scan=scan)


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
