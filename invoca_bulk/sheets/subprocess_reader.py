"""Reading xls, xlsb and ods in a separate process; run as a script, it imports nothing from this package.

calamine crashes its process on some damaged xls files, and makes a dense table of gigabytes if a single cell is far
away from the others. An xlsx is scanned for that first; these formats are read in a process with a memory limit, which
may crash. It takes 0.1 s more.

In: the file, on standard input. Out: pickled, `{"sheets": [(name, rows), …]}`, or `{"error": the exception's name}`.
"""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

#: Enough for a dense table of the largest allowed size; a browser and Excel run on the same machine.
MEMORY_LIMIT_BYTES = 6 << 30
TIME_LIMIT_SECONDS = 300


def read_worksheets(data: bytes) -> list[tuple[str, list[list[object]]]]:
    """Name and rows of each worksheet.

    Raises ChildProcessError with the name of calamine's exception, or with nothing if the process crashed or timed out.
    """
    command = [sys.executable, "-P", str(Path(__file__))]
    try:
        process = subprocess.run(command, input=data, capture_output=True, timeout=TIME_LIMIT_SECONDS, check=True)  # noqa: S603  this file
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        raise ChildProcessError from None
    result = pickle.loads(process.stdout)  # noqa: S301  written by this file
    if "error" in result:
        raise ChildProcessError(result["error"])
    return list(result["sheets"])


def _limit_memory() -> None:
    """Limit this process's memory, where the system can: not on Windows, nor on macOS."""
    if sys.platform != "win32":
        import resource  # noqa: PLC0415  does not exist on Windows

        with contextlib.suppress(OSError, ValueError):  # macOS has no such limit; or a lower limit is set
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))


def _read_workbook(data: bytes) -> dict[str, Any]:
    import io  # noqa: PLC0415  in this process only

    import python_calamine  # noqa: PLC0415  in this process only

    try:
        with python_calamine.load_workbook(io.BytesIO(data)) as workbook:
            worksheet = python_calamine.SheetTypeEnum.WorkSheet
            names = [metadata.name for metadata in workbook.sheets_metadata if metadata.typ == worksheet]
            return {
                "sheets": [(name, workbook.get_sheet_by_name(name).to_python(skip_empty_area=False)) for name in names]
            }
    except BaseException as error:  # noqa: BLE001  Rust's panics are not an Exception; the caller handles all
        return {"error": type(error).__name__}


if __name__ == "__main__":
    _limit_memory()
    pickle.dump(_read_workbook(sys.stdin.buffer.read()), sys.stdout.buffer)
