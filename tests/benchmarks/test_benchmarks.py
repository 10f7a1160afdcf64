"""The benchmarks work; what they measure depends on the machine, and is not judged here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def _run(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HERE / "run.py"), *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)


@pytest.mark.timeout(300)
def test_all_of_them_work() -> None:
    """One command gives every figure, and ours finds what the peers find: a benchmark fails if it does not."""
    done = _run("--small")
    assert done.returncode == 0, done.stderr[-4000:]
    lines = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("|")][2:]
    told = {what.strip(): float(ours.split()[0].replace(",", "")) for what, ours, *_ in lines}
    for word in ("workbook of", "validate ", "memory that validating", "CSV of", "`invoca-bulk --help`", "creates"):
        assert any(word in what for what in told), word
    assert any("worker" in what for what in told) or "left out: PostgreSQL" in done.stderr
    steps = {what.split(":")[0] for what in told if "10 times the rows" in what}
    assert steps == {"read CSV", "read xlsx", "validate", "write CSV", "write xlsx"}
    assert [what for what, ours in told.items() if ours < 0 or (ours == 0 and "429" not in what)] == []


def test_an_unknown_name_is_refused() -> None:
    """A misspelt name measures nothing, and says what there is."""
    done = _run("--only", "sheet")
    assert done.returncode == 1
    assert re.search(r"no benchmark 'sheet'.*sheets\.annotated_workbook", done.stderr)


def test_only_whole_figures_are_saved() -> None:
    """The README never gets the figures of a small run, or half of them."""
    assert _run("--small", "--save").returncode == 2
    assert _run("--only", "startup", "--save").returncode == 2
