"""The benchmarks run; their figures depend on the machine and are not checked here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent


def _run(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HERE / "run.py"), *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)


@pytest.mark.timeout(300)
def test_all_benchmarks_run() -> None:
    """One command prints every figure; a benchmark fails if ours and the peers find different errors."""
    process = _run("--small")
    assert process.returncode == 0, process.stderr[-4000:]
    lines = [line.split("|")[1:-1] for line in process.stdout.splitlines() if line.startswith("|")][2:]
    figures = {label.strip(): float(ours.split()[0].replace(",", "")) for label, ours, *_ in lines}
    for text in ("workbook of", "validate ", "memory that validating", "CSV of", "`invoca-bulk --help`", "creates"):
        assert any(text in label for label in figures), text
    assert any("worker" in label for label in figures) or "left out: PostgreSQL" in process.stderr
    steps = {label.split(":")[0] for label in figures if "10 times the rows" in label}
    assert steps == {"read CSV", "read xlsx", "validate", "write CSV", "write xlsx"}
    assert [label for label, ours in figures.items() if ours < 0 or (ours == 0 and "429" not in label)] == []


def test_unknown_name_is_refused() -> None:
    """A misspelled name runs nothing; the error lists the available benchmarks."""
    process = _run("--only", "sheet")
    assert process.returncode == 1
    assert re.search(r"no benchmark 'sheet'.*sheets\.annotated_workbook", process.stderr)


def test_only_complete_figures_are_saved() -> None:
    """The figures of a small or partial run are not written to this folder's README.md."""
    assert _run("--small", "--save").returncode == 2
    assert _run("--only", "startup", "--save").returncode == 2
