"""Worksheets -> file: the extension of the name decides what is written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from invoca_bulk.errors import OutputError
from invoca_bulk.reports import files, xlsx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from invoca_bulk.reports.xlsx import WorksheetSpec


def _write_xlsx(stream: BinaryIO, worksheets: Sequence[WorksheetSpec]) -> None:
    xlsx.write_workbook(stream, worksheets)


def _write_csv(stream: BinaryIO, worksheets: Sequence[WorksheetSpec]) -> None:
    """CSV has one worksheet, the first, and neither colours nor notes."""
    first = worksheets[0]
    rows = (list(map(xlsx.cell_text, row)) for row in first.rows)
    files.write_csv(stream, list(map(xlsx.cell_text, first.header)), (row for row in rows if any(row)))


_WRITERS: Mapping[str, Callable[[BinaryIO, Sequence[WorksheetSpec]], None]] = {".xlsx": _write_xlsx, ".csv": _write_csv}


def save_worksheets(
    path: str | Path,
    make_worksheets: Callable[[], Sequence[WorksheetSpec]],
    *,
    protected_paths: Iterable[Path] = (),
    allow_fallback: bool = False,
    table_count: int = 1,
) -> Path:
    """Write worksheets as `.xlsx`, or the first of them as `.csv`.

    Args:
        path: where to.
        make_worksheets: makes the worksheets; called once for each try.
        protected_paths: files that must stay as they are.
        allow_fallback: whether to fall back to another place when this one takes no file.
        table_count: how many of the worksheets hold rows of the user's own.

    Returns:
        The file that was written.

    Raises:
        OutputError: it cannot be written, or the extension is none of these.
    """
    target = check_output_path(path, table_count=table_count)
    write = files.write_with_fallback if allow_fallback else files.write_file
    writer = _WRITERS[target.suffix.lower()]
    return write(target, lambda stream: writer(stream, make_worksheets()), protected_paths=list(protected_paths))


def resolve_output(path: str | Path, *, rows: int, columns: int, table_count: int = 1) -> Path:
    """Where results will go; to be asked before anything is bought. A file that is there already is left alone.

    Args:
        path: where they are wanted.
        rows: how many there will be, without the header.
        columns: how many there will be.
        table_count: how many worksheets with rows.

    Returns:
        The path, or with `-2`, `-3` and so on the first one that is free.

    Raises:
        OutputError: nothing can be written there, or an `.xlsx` cannot hold so much.
    """
    target = check_output_path(path, table_count=table_count)
    if not target.exists() and (problem := files.why_not_writable(target, ())):
        raise OutputError(problem)
    refuse_too_large(target, "results have", rows=rows, columns=columns)
    return files.unused_path(target) if target.exists() else target


def refuse_too_large(path: str | Path, subject: str, *, rows: int, columns: int) -> None:
    """Refuse what an `.xlsx` cannot hold before any of it is written.

    Args:
        path: where to.
        subject: what has so many, with its verb.
        rows: how many the longest worksheet has, without the header.
        columns: how many the widest one has.

    Raises:
        OutputError: it is too much.
    """
    is_workbook = Path(path).suffix.lower() == ".xlsx"
    if is_workbook and (rows >= xlsx.MAX_ROWS or columns > xlsx.MAX_COLUMNS):
        msg = f"The {subject} {rows:,} rows and {columns:,} columns, too many for a workbook. Use a name with .csv."
        raise OutputError(msg)


def check_output_path(path: str | Path, *, table_count: int = 1) -> Path:
    """The path, if its extension names a format that can be written.

    Args:
        path: where to.
        table_count: how many worksheets with rows are to be written; CSV holds one.

    Raises:
        OutputError: it does not.
    """
    target = Path(path)
    if table_count > 1 and target.suffix.lower() == ".csv":
        msg = f"{target.name!r} can hold one sheet only, and there are {table_count}. Use a name that ends in .xlsx."
        raise OutputError(msg)
    if target.suffix.lower() not in _WRITERS:
        msg = f"{target.name!r} does not end in {' or '.join(_WRITERS)}. Give the file one of these endings."
        raise OutputError(msg)
    return target
