"""Reading xls, xlsb and ods in a separate process, which has a memory limit and may crash. It takes 0.1 s more.

Their parsers are made for files of known programs: a damaged file can make them fill the memory or never end.
In: the file, on standard input. Out: pickled, `{"worksheets": …}`, or `{"error": the exception's name}`.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

#: Enough for a dense table of the largest allowed size; a browser and Excel run on the same machine.
MEMORY_LIMIT_BYTES = 6 << 30
TIME_LIMIT_SECONDS = 300
#: Python that runs the readers as a package of their own: importing this one would load pandas.
_PROGRAM = "import sys; sys.path.append(sys.argv.pop(1)); from isolated_readers import main; main.main()"


def read_worksheets(data: bytes, file_format: str, max_cells: int) -> list[dict[str, Any]]:
    """The fields of each `isolated_readers.worksheets.Worksheet`.

    Raises ChildProcessError with the name of the reader's exception, or with nothing if it crashed or timed out.
    """
    arguments = (str(Path(__file__).parent), file_format, str(max_cells), str(MEMORY_LIMIT_BYTES))
    command = [sys.executable, "-P", "-c", _PROGRAM, *arguments]
    try:
        process = subprocess.run(command, input=data, capture_output=True, timeout=TIME_LIMIT_SECONDS, check=True)  # noqa: S603  our own program
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        raise ChildProcessError from None
    result = pickle.loads(process.stdout)  # noqa: S301  written by this package
    if "error" in result:
        raise ChildProcessError(result["error"])
    return list(result["worksheets"])
