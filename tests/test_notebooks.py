"""The notebooks run top to bottom in a kernel, end with what they tell, and are committed without outputs."""

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
STORY = pytest.mark.parametrize("name", NOTEBOOKS)
PAGE = "05_upload_page"
WIDGET = "application/vnd.jupyter.widget-view+json"

#: Notebook to expressions over its names, and what they have to be once it has run.
ENDS: Mapping[str, Mapping[str, Any]] = {
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
        "sorted(one.number for one in sandbox.store.ledger) == sorted(final['promo_number'])": True,
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
        "sorted(complete['promo_number']) == sorted(one.number for one in sandbox.store.ledger[8:])": True,
        "all(one['promo_number'].startswith(one['local_center.tn_prefix']) for _, one in complete.iterrows())": True,
        "list(undone['result_status'])": ["deleted"] * 8,
        "left": {"network 1234": 8, "network 5678": 0},
        "[len(one.advertisers['A-100'].users) for one in sandbox.store.networks.values()]": [1, 1],
    },
}


def _read(name: str) -> Any:
    return nbformat.read(NOTEBOOKS[name], as_version=4)  # type: ignore[no-untyped-call]  # it has no types


def _code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a notebook runs: an empty folder, with temporary files and the user's settings of Jupyter elsewhere."""
    for variable in ("TMPDIR", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        place = tmp_path / variable.lower()
        place.mkdir()
        monkeypatch.setenv(variable, str(place))
    here = tmp_path / "here"
    here.mkdir()
    return here


def _run(notebook: Any, folder: Path) -> None:
    """Run all cells in a kernel of this Python; the test fails with what the kernel has said."""
    client = NotebookClient(
        notebook,
        timeout=60,
        km=AsyncKernelManager(kernel_name="python3", kernel_spec_manager=CurrentPythonKernelSpecManager()),
        resources={"metadata": {"path": str(folder)}},
    )
    problem = ""
    try:
        client.execute(cleanup_kc=True)  # a manager of our own would else be left with open sockets
    except CellExecutionError as error:
        problem = str(error)
    if problem:
        pytest.fail("\n".join([problem, *_said(notebook)]), pytrace=False)


def _said(notebook: Any) -> list[str]:
    """What the kernel has printed, on both of its streams."""
    return [one.text for cell in _code(notebook) for one in cell.outputs if one.output_type == "stream"]


def test_each_notebook_has_its_test() -> None:
    """A new notebook is run before it is committed."""
    assert set(NOTEBOOKS) == {*ENDS, PAGE}


@pytest.mark.parametrize("name", ENDS)
def test_it_runs_and_ends_as_it_tells(name: str, folder: Path, tmp_path: Path) -> None:
    """In a real kernel, top to bottom; it leaves temporary files only, and nothing in the user's journal."""
    notebook = _read(name)
    values = ", ".join(f"{text!r}: {text}" for text in ENDS[name])
    question = f"import json\n\nprint(json.dumps({{{values}}}, default=lambda value: value.item()))"
    notebook.cells.append(nbformat.v4.new_code_cell(question))  # type: ignore[no-untyped-call]  # it has no types
    _run(notebook, folder)
    assert json.loads(notebook.cells[-1].outputs[-1].text) == ENDS[name]
    assert list(folder.iterdir()) == []
    assert not (tmp_path / "journal").exists()
    assert re.findall(r"Warning|Traceback", "\n".join(_said(notebook))) == []


def test_the_page_is_shown(folder: Path) -> None:
    """The upload page's notebook ends with the page: a widget."""
    notebook = _read(PAGE)
    _run(notebook, folder)
    assert WIDGET in _code(notebook)[-1].outputs[-1].data


@STORY
def test_without_outputs(name: str) -> None:
    """No output is committed: it could hold a token, and every run would change it."""
    assert [cell for cell in _code(_read(name)) if cell.outputs or cell.execution_count] == []


@STORY
def test_its_text_stays_here(name: str) -> None:
    """No address of elsewhere, no path of one machine, no token; cells keep their ids, any Python's kernel will do."""
    notebook = _read(name)
    text = "\n".join(cell.source for cell in notebook.cells)
    assert re.findall(r"\w+://|/home/|/tmp|/work|[A-Z]:\\|token=['\"]", text) == []
    assert [cell.id for cell in notebook.cells] == [f"cell-{number}" for number in range(1, len(notebook.cells) + 1)]
    assert notebook.metadata.kernelspec.name == "python3"


@STORY
def test_the_readme_names_it(name: str) -> None:
    """A reader of the manual finds each notebook."""
    assert f"`{name}`" in (ROOT / "README.md").read_text(encoding="utf-8")
