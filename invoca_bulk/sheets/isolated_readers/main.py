"""What the process does: it reads a file from its standard input, and writes the pickled worksheets to its output."""

from __future__ import annotations

import contextlib
import gc
import pickle
import sys
from collections.abc import Callable, Mapping
from typing import Any

from . import ods, xls, xlsb
from .worksheets import CellLimit, Worksheet

_READERS: Mapping[str, Callable[[bytes, CellLimit], list[Worksheet]]] = {
    "xls": xls.read,
    "xlsb": xlsb.read,
    "ods": ods.read,
}


def main() -> None:
    """Arguments: the format, the most cells, the most bytes of memory."""
    file_format, max_cells, max_bytes = sys.argv[1:]
    _limit_memory(int(max_bytes))
    gc.disable()  # it would take much of the time, for millions of new lists and texts
    pickle.dump(_read(file_format, int(max_cells), sys.stdin.buffer.read()), sys.stdout.buffer)


def _read(file_format: str, max_cells: int, data: bytes) -> dict[str, Any]:
    try:
        worksheets = _READERS[file_format](data, CellLimit(max_cells))
        return {"worksheets": [vars(worksheet) for worksheet in worksheets]}
    except BaseException as error:  # noqa: BLE001  parsers raise anything on a damaged file; the caller handles all
        return {"error": type(error).__name__}


def _limit_memory(max_bytes: int) -> None:
    """Limit this process's memory, where the system can: not on Windows, nor on macOS."""
    if sys.platform != "win32":
        import resource  # noqa: PLC0415  does not exist on Windows

        with contextlib.suppress(OSError, ValueError):  # macOS has no such limit; or a lower limit is set
            resource.setrlimit(resource.RLIMIT_AS, (max_bytes, max_bytes))
