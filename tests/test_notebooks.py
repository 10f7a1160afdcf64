"""The notebooks run top to bottom in a kernel, produce the described results, and are committed without outputs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from invoca_bulk.web.kernels import CurrentPythonKernelSpecManager

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parent.parent
NOTEBOOKS = {path.stem: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
EVERY_NOTEBOOK = pytest.mark.parametrize("name", NOTEBOOKS)
PAGE = "05_upload_page"
WIDGET = "application/vnd.jupyter.widget-view+json"

#: Notebook to expressions over its variables and their expected values after a run.
EXPECTED_VALUES: Mapping[str, Mapping[str, Any]] = {
    "01_start_here": {
        "list(report.errors['fix'])": ["Online: Display", "02134"],
        "ib.validate(sheet).ok": True,
        "list(results['result_status'])": ["created"] * 3,
        "results['promo_number'].iloc[1][:3]": "805",
    },
    "02_fix_and_rerun": {
        "results['result_status'].value_counts().to_dict()": {"invalid": 6, "created": 3},
        "list(errors['code'])": [
            *("not_a_choice", "not_an_area_code", "zip_code_zero_lost"),
            *("required", "not_a_choice", "not_a_phone_number"),
        ],
        "final['result_status'].value_counts().to_dict()": {"created": 8, "updated": 1},
        "list(final['promo_number'].iloc[[0, 1, 3]]) == list(first_run)": True,
        "sorted(entry.number for entry in sandbox.store.ledger) == sorted(final['promo_number'])": True,
        "counts": {
            "requests of the second run": 6,
            "numbers that it bought": 5,
            "numbers of the first run that stayed": 3,
        },
        "list(ib.read(folder / 'results-2.xlsx')['promo_number']) == list(final['promo_number'])": True,
    },
    "03_advertisers": {
        "[list(frame['result_status']) for frame in results.values()]": [["created"] * count for count in (2, 3, 4)],
        "plan.changes[['column', 'old', 'new']].to_numpy().tolist()": [
            ["contact_phone_number", "8055550102", "8055550199"]
        ],
        "{name: len(frame) for name, frame in after.items()}": {"advertisers": 5, "sites": 6, "users": 4},
        "old_users.compare(new_users).to_numpy().tolist()": [["8055550102", "8055550199"]],
        "removal.removals['what'].tolist()": ["user Ben O'Hara (U-2)"],
        "len(sandbox.store.networks['1234'].advertisers['H-1'].users)": 3,
    },
    "04_migration": {
        "set(partial['result_status']) == {'created', 'not_sent'}": True,
        "partial.attrs['run'] == complete.attrs['run']": True,
        "list(complete['result_status'])": ["created"] * 8,
        "set(filter(None, partial['promo_number'])) <= set(complete['promo_number'])": True,
        "sorted(complete['promo_number']) == sorted(entry.number for entry in sandbox.store.ledger[8:])": True,
        "all(row['promo_number'].startswith(row['local_center.tn_prefix']) for _, row in complete.iterrows())": True,
        "list(undone['result_status'])": ["deleted"] * 8,
        "counts": {"network 1234": 8, "network 5678": 0},
        "[len(network.advertisers['A-100'].users) for network in sandbox.store.networks.values()]": [1, 1],
    },
}


def _read(name: str) -> Any:
    return nbformat.read(NOTEBOOKS[name], as_version=4)  # type: ignore[no-untyped-call]  # it has no types


def _code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder; temporary files and Jupyter settings are in other folders."""
    for variable in ("TMPDIR", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        folder = tmp_path / variable.lower()
        folder.mkdir()
        monkeypatch.setenv(variable, str(folder))
    working_folder = tmp_path / "here"
    working_folder.mkdir()
    return working_folder


def _run(notebook: Any, folder: Path) -> None:
    """Run all cells in a kernel of this Python; if a cell fails, show the kernel's output."""
    client = NotebookClient(
        notebook,
        timeout=60,
        km=AsyncKernelManager(kernel_name="python3", kernel_spec_manager=CurrentPythonKernelSpecManager()),
        resources={"metadata": {"path": str(folder)}},
    )
    problem = ""
    try:
        client.execute(cleanup_kc=True)  # else the kernel manager is left with open sockets
    except CellExecutionError as error:
        problem = str(error)
    if problem:
        pytest.fail("\n".join([problem, *_printed(notebook)]), pytrace=False)


def _printed(notebook: Any) -> list[str]:
    """What the kernel printed on both streams."""
    return [output.text for cell in _code(notebook) for output in cell.outputs if output.output_type == "stream"]


def test_each_notebook_is_tested() -> None:
    """A new notebook is added to these tests."""
    assert set(NOTEBOOKS) == {*EXPECTED_VALUES, PAGE}


@pytest.mark.parametrize("name", EXPECTED_VALUES)
def test_notebook_runs_with_the_expected_values(name: str, folder: Path, tmp_path: Path) -> None:
    """In a real kernel, top to bottom; it leaves only temporary files, and nothing in the user's journal."""
    notebook = _read(name)
    values = ", ".join(f"{expression!r}: {expression}" for expression in EXPECTED_VALUES[name])
    code = f"import json\n\nprint(json.dumps({{{values}}}, default=lambda value: value.item()))"
    notebook.cells.append(nbformat.v4.new_code_cell(code))  # type: ignore[no-untyped-call]  # it has no types
    _run(notebook, folder)
    assert json.loads(notebook.cells[-1].outputs[-1].text) == EXPECTED_VALUES[name]
    assert list(folder.iterdir()) == []
    assert not (tmp_path / "journal").exists()
    assert re.findall(r"Warning|Traceback", "\n".join(_printed(notebook))) == []


def test_page_is_shown(folder: Path) -> None:
    """The upload page's notebook ends with the page widget."""
    notebook = _read(PAGE)
    _run(notebook, folder)
    assert WIDGET in _code(notebook)[-1].outputs[-1].data


@EVERY_NOTEBOOK
def test_without_outputs(name: str) -> None:
    """No output is committed: it could hold a token, and every run would change it."""
    assert [cell for cell in _code(_read(name)) if cell.outputs or cell.execution_count] == []


@EVERY_NOTEBOOK
def test_notebook_is_portable(name: str) -> None:
    """No external URL, local path or token; stable cell ids; the generic Python kernel."""
    notebook = _read(name)
    text = "\n".join(cell.source for cell in notebook.cells)
    assert re.findall(r"\w+://|/home/|/tmp|/work|[A-Z]:\\|token=['\"]", text) == []
    assert [cell.id for cell in notebook.cells] == [f"cell-{number}" for number in range(1, len(notebook.cells) + 1)]
    assert notebook.metadata.kernelspec.name == "python3"
