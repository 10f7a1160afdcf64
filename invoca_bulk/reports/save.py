"""Write worksheets to a file in the format of its extension."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from invoca_bulk.errors import OutputError
from invoca_bulk.reports import files, xlsx
from invoca_bulk.reports.xlsx import WorksheetSpec


def _write_csv(stream: BinaryIO, worksheets: Sequence[WorksheetSpec], *, plain: bool = False) -> None:
    """Write the first worksheet, without colours, notes and blank rows."""
    spec = worksheets[0]
    rows = (list(map(xlsx.cell_text, row)) for row in spec.rows)
    files.write_csv(stream, list(map(xlsx.cell_text, spec.header)), (row for row in rows if any(row)), plain=plain)


_WRITERS: Mapping[str, Callable[[BinaryIO, Sequence[WorksheetSpec]], None]] = {
    ".xlsx": xlsx.write_workbook,
    ".csv": _write_csv,
}


def save_worksheets(  # noqa: PLR0913  keyword-only
    path: str | Path,
    make_worksheets: Callable[[], Sequence[WorksheetSpec]],
    *,
    protected_paths: Iterable[Path] = (),
    allow_fallback: bool = False,
    table_count: int = 1,
    plain_csv: bool = False,
) -> Path:
    """Write worksheets as `.xlsx`, or the first one as `.csv`; with a fallback, in another folder if that fails.

    `make_worksheets` is called once per attempt; `table_count` is the number of worksheets with the user's rows;
    `plain_csv`: a `.csv` is for programs.
    """
    target = check_output_path(path, table_count=table_count)
    write = files.write_with_fallback if allow_fallback else files.write_file
    suffix = target.suffix.lower()
    writer = partial(_write_csv, plain=True) if plain_csv and suffix == ".csv" else _WRITERS[suffix]
    return write(target, lambda stream: writer(stream, make_worksheets()), protected_paths=list(protected_paths))


def resolve_output(path: str | Path, *, rows: int, columns: int, table_count: int = 1) -> Path:
    """Find the path for the results, or the first unused one (`-2`, `-3`); call it before buying anything."""
    target = check_output_path(path, table_count=table_count)
    if not target.exists() and (reason := files.why_not_writable(target, ())):
        raise OutputError(reason)
    refuse_too_large(target, "results have", rows=rows, columns=columns)
    return files.unused_path(target) if target.exists() else target


def refuse_too_large(path: str | Path, subject: str, *, rows: int, columns: int) -> None:
    """Reject data that is too large for an `.xlsx` before any of it is written; rows do not include the header.

    `subject` is what has the rows, with its verb: `results have`.
    """
    is_workbook = Path(path).suffix.lower() == ".xlsx"
    if is_workbook and (rows >= xlsx.MAX_ROWS or columns > xlsx.MAX_COLUMNS):
        msg = f"The {subject} {rows:,} rows and {columns:,} columns, too many for a workbook. Use a name with .csv."
        raise OutputError(msg)


def check_output_path(path: str | Path, *, table_count: int = 1) -> Path:
    """The path, if its extension is a supported format; `.csv` holds one worksheet."""
    target = Path(path)
    if table_count > 1 and target.suffix.lower() == ".csv":
        msg = f"{target.name!r} can hold only one sheet, but there are {table_count}. Use a name that ends in .xlsx."
        raise OutputError(msg)
    if target.suffix.lower() not in _WRITERS:
        msg = f"{target.name!r} does not end in {' or '.join(_WRITERS)}. Use one of these endings."
        raise OutputError(msg)
    return target
