"""Output whose reader has gone is dropped; the command keeps its exit code and prints no traceback."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = {"help": (["--help"], 0), "options": (["run", "--help"], 0), "no file": (["validate", "none.csv"], 2)}


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
@pytest.mark.parametrize("case", COMMANDS)
def test_a_closed_pipe(case: str, closed: str, tmp_path: Path) -> None:
    """Neither standard output nor standard error needs a reader."""
    arguments, exit_code = COMMANDS[case]
    command = [sys.executable, "-m", "invoca_bulk", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:
        reader, other = (process.stdout, process.stderr)[:: 1 if closed == "stdout" else -1]
        assert reader
        assert other
        reader.close()
        assert b"Traceback" not in other.read()
    assert process.returncode == exit_code
