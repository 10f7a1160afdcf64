"""Worksheets -> file: the extension of the name decides what is written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from invoca_bulk.errors import OutputUnwritable
from invoca_bulk.reports import files, xlsx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from invoca_bulk.reports.xlsx import Page


def _write_xlsx(stream: BinaryIO, pages: Sequence[Page]) -> None:
    xlsx.write(stream, pages)


def _write_csv(stream: BinaryIO, pages: Sequence[Page]) -> None:
    """CSV has one worksheet, the first, and neither colours nor notes."""
    first = pages[0]
    rows = (list(map(xlsx.text_of, row)) for row in first.rows)
    files.write_csv(stream, list(map(xlsx.text_of, first.header)), (row for row in rows if any(row)))


_WRITERS: Mapping[str, Callable[[BinaryIO, Sequence[Page]], None]] = {".xlsx": _write_xlsx, ".csv": _write_csv}


def save(
    path: str | Path,
    pages: Callable[[], Sequence[Page]],
    *,
    not_over: Iterable[Path] = (),
    or_elsewhere: bool = False,
    tables: int = 1,
) -> Path:
    """Write worksheets as `.xlsx`, or the first of them as `.csv`.

    Args:
        path: where to.
        pages: makes the worksheets; called once for each try.
        not_over: files that must stay as they are.
        or_elsewhere: whether to fall back to another place when this one takes no file.
        tables: how many of the worksheets hold rows of the user's own.

    Returns:
        The file that was written.

    Raises:
        OutputUnwritable: it cannot be written, or the extension is none of these.
    """
    target = checked_path(path, tables=tables)
    write = files.write_or_elsewhere if or_elsewhere else files.write_file
    writer = _WRITERS[target.suffix.lower()]
    return write(target, lambda stream: writer(stream, pages()), not_over=list(not_over))


def prepared(path: str | Path, *, rows: int, columns: int, tables: int = 1) -> Path:
    """Where results will go; to be asked before anything is bought. A file that is there already is left alone.

    Args:
        path: where they are wanted.
        rows: how many there will be, without the header.
        columns: how many there will be.
        tables: how many worksheets with rows.

    Returns:
        The path, or with `-2`, `-3` and so on the first one that is free.

    Raises:
        OutputUnwritable: nothing can be written there, or an `.xlsx` cannot hold so much.
    """
    target = checked_path(path, tables=tables)
    if not target.exists() and (problem := files.objection(target, ())):
        raise OutputUnwritable(problem)
    refuse_too_large(target, "results have", rows=rows, columns=columns)
    return files.free(target) if target.exists() else target


def refuse_too_large(path: str | Path, what: str, *, rows: int, columns: int) -> None:
    """Refuse what an `.xlsx` cannot hold before any of it is written.

    Args:
        path: where to.
        what: what has so many, with its verb.
        rows: how many the longest worksheet has, without the header.
        columns: how many the widest one has.

    Raises:
        OutputUnwritable: it is too much.
    """
    is_workbook = Path(path).suffix.lower() == ".xlsx"
    if is_workbook and (rows >= xlsx.MAX_ROWS or columns > xlsx.MAX_COLUMNS):
        msg = f"The {what} {rows:,} rows and {columns:,} columns, too many for a workbook. Use a name with .csv."
        raise OutputUnwritable(msg)


def checked_path(path: str | Path, *, tables: int = 1) -> Path:
    """The path, if its extension names a format that can be written.

    Args:
        path: where to.
        tables: how many worksheets with rows are to be written; CSV holds one.

    Raises:
        OutputUnwritable: it does not.
    """
    target = Path(path)
    if tables > 1 and target.suffix.lower() == ".csv":
        msg = f"{target.name!r} can hold one sheet only, and there are {tables}. Use a name that ends in .xlsx."
        raise OutputUnwritable(msg)
    if target.suffix.lower() not in _WRITERS:
        msg = f"{target.name!r} does not end in {' or '.join(_WRITERS)}. Give the file one of these endings."
        raise OutputUnwritable(msg)
    return target
