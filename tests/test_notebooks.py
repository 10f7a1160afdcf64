"""The notebooks run top to bottom, and are committed without outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


def _code(path: Path) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_without_outputs(path: Path) -> None:
    """No output is committed: it could hold a token, and every run would change it."""
    assert [cell for cell in _code(path) if cell["outputs"] or cell["execution_count"]] == []


def test_start_here() -> None:
    """The first notebook finds the two mistakes, mends them by their fixes, and ends with a number on each row."""
    names: dict[str, Any] = {}
    for cell in _code(NOTEBOOKS[0]):
        exec(compile("".join(cell["source"]), NOTEBOOKS[0].name, "exec"), names)  # noqa: S102  that is the test
    assert list(names["report"].errors["fix"]) == ["Online: Display", "02134"]
    assert set(names["results"]["result_status"]) == {"created"}
    assert names["results"]["promo_number"].iloc[1].startswith("805")
