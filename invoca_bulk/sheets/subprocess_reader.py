"""Reading xls, xlsb and ods in a process of its own; run as a script, it imports nothing of this package.

calamine ends the whole process on some damaged xls files, and makes a dense table of gigabytes when a single cell lies
far away. An xlsx is scanned for that beforehand; for these formats a process that may die, with a limit on its memory,
does it. It takes 0.1 s more.

In: the file, on standard input. Out: pickled, `{"sheets": [(name, rows), …]}`, or `{"error": the exception's name}`.
"""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

#: A dense table of this size fits; more is not asked of a machine that also runs a browser and Excel.
MEMORY_LIMIT_BYTES = 6 << 30
TIME_LIMIT_SECONDS = 300


def read_worksheets(data: bytes) -> list[tuple[str, list[list[object]]]]:
    """Name and rows of each worksheet.

    Raises:
        ChildProcessError: the file cannot be read; the text is the name of calamine's exception, or empty.
    """
    command = [sys.executable, "-P", str(Path(__file__))]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=TIME_LIMIT_SECONDS, check=True)  # noqa: S603  our own file
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        raise ChildProcessError from None
    answer = pickle.loads(done.stdout)  # noqa: S301  from our own process
    if "error" in answer:
        raise ChildProcessError(answer["error"])
    return list(answer["sheets"])


def _limit_memory() -> None:
    try:
        import resource  # noqa: PLC0415  there is none on Windows
    except ImportError:
        return
    with contextlib.suppress(OSError, ValueError):  # macOS has no such limit, and a lower one may be set already
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))


def _read_workbook(data: bytes) -> dict[str, Any]:
    import io  # noqa: PLC0415  in this process only

    import python_calamine  # noqa: PLC0415  in this process only

    try:
        with python_calamine.load_workbook(io.BytesIO(data)) as book:
            names = [one.name for one in book.sheets_metadata if one.typ == python_calamine.SheetTypeEnum.WorkSheet]
            return {"sheets": [(name, book.get_sheet_by_name(name).to_python(skip_empty_area=False)) for name in names]}
    except BaseException as error:  # noqa: BLE001  Rust's panics are no Exception; the other side words them all
        return {"error": type(error).__name__}


if __name__ == "__main__":
    _limit_memory()
    pickle.dump(_read_workbook(sys.stdin.buffer.read()), sys.stdout.buffer)
