"""The structure of the package: import direction, third-party libraries, import time, function length."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import invoca_bulk

SOURCE = Path(invoca_bulk.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))

#: Import levels, lowest first: a module imports from its own package and from the rows above.
LEVELS = [
    ["wording", "exit_codes", "manual"],
    ["errors"],
    ["schema"],
    ["sandbox_server", "config", "sheets"],
    ["transport", "validation"],
    ["planning"],
    ["journal"],
    ["execution"],
    ["reports"],
    ["workers"],
    ["service"],
    ["api", "web"],
    ["cli"],
    ["__main__", "__init__"],
]
LEVEL = {name: number for number, names in enumerate(LEVELS) for name in names}

#: Third-party library to the packages that may import it.
LIBRARIES = {
    "httpx": {"transport"},
    "tenacity": {"transport", "journal"},
    "sqlalchemy": {"journal", "execution", "workers"},  # execution: its exceptions only
    "dbos": {"workers"},
    "filelock": {"journal"},
    "python_calamine": {"sheets"},
    "xlrd": {"sheets"},
    "xlsxwriter": {"reports"},
    "tqdm": {"reports"},
    "click": {"cli"},
    "jupyter_client": {"web"},
    "jupyter_core": {"web", "cli"},
    "jupyter_server": {"web"},
    "anywidget": {"web"},
    "traitlets": {"web"},
    "voila": {"web"},
    "mistune": {"web"},
    "jupyterlab": {"cli"},
    "phonenumbers": {"schema", "sandbox_server"},
    "email_validator": {"schema"},
    "starlette": {"sandbox_server"},
    "uvicorn": {"sandbox_server"},
    "platformdirs": {"config"},
    "numpy": {"reports", "validation", "planning", "sheets"},
    "pandas": {"sheets", "validation", "planning", "reports", "service", "api", "cli"},
    "IPython": {"reports"},
}


def _module(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def _type_imports(tree: ast.AST) -> list[ast.AST]:
    """What stands in the blocks that only the type checker reads."""
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return [node for block in blocks for node in ast.walk(block)]


def _imports(path: Path, *, types: bool = False) -> set[str]:
    """Dotted names that a file imports; with `types` also those for the type checker only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = set() if types else {id(node) for node in _type_imports(tree)}
    names: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:  # relative: from its own package
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_every_package_has_its_level() -> None:
    """Every module is listed in `LEVELS`."""
    assert {_module(path) for path in FILES} == set(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_one_way(path: Path) -> None:
    """No module imports from its own level or above, except from its own package; nor does it for its types."""
    package = _module(path)
    inner = {name.split(".")[1] for name in _imports(path, types=True) if name.startswith("invoca_bulk.")}
    above = {name for name in inner if name != package and LEVEL.get(name, -1) >= LEVEL[package]}
    if package == "__init__":
        above = set()
    assert above == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_for_types_are_heavy(path: Path) -> None:
    """Only what is heavy, or would be a circle, is imported for the type checker alone; `cli` starts without pandas."""
    nodes = _type_imports(ast.parse(path.read_text(encoding="utf-8")))
    names = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    light = {name for name in names if name.split(".")[0] in sys.stdlib_module_names}
    if path.parent.name == "cli" or path.parent == SOURCE:  # these start before anything is imported
        light.clear()
    if _module(path) not in {"cli", "web", "__init__", "sandbox_server"}:
        light |= {name for name in names if name.startswith("invoca_bulk.")}
    assert light <= {"typing"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_libraries_are_imported_where_allowed(path: Path) -> None:
    """Only `transport` has sockets, only `journal` a database, only `sheets` and `reports` spreadsheet libraries."""
    own = {"invoca_bulk", "__future__"} | set(sys.stdlib_module_names)
    outside = {name.split(".")[0] for name in _imports(path)} - own
    assert {name for name in outside if _module(path) not in LIBRARIES.get(name, set())} == set()


def test_the_sandbox_is_independent() -> None:
    """The sandbox imports only the schema and the errors, so that it cannot share a mistake with the client."""
    inner = {
        name for path in FILES if _module(path) == "sandbox_server" for name in _imports(path) if "invoca_bulk" in name
    }
    assert {name.split(".")[1] for name in inner} <= {"sandbox_server", "schema", "errors"}


def _loaded(code: str) -> set[str]:
    process = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(process.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import invoca_bulk",
        "import invoca_bulk.cli, sys; sys.argv=['x','--help']\ntry: invoca_bulk.cli.main()\nexcept SystemExit: pass",
        "import invoca_bulk.cli\ntry: invoca_bulk.cli.main(['run', '--help'])\nexcept SystemExit: pass",
        "import invoca_bulk.cli\ntry: invoca_bulk.cli.main(['plan', '--help'])\nexcept SystemExit: pass",
    ],
    ids=["import", "help", "help of run", "help of plan"],
)
def test_heavy_libraries_are_loaded_late(code: str) -> None:
    """`import invoca_bulk` and `--help` load no pandas, httpx, spreadsheet library or server."""
    heavy = {"pandas", "numpy", "httpx", "sqlalchemy", "openpyxl", "xlsxwriter", "phonenumbers", "starlette", "uvicorn"}
    assert _loaded(code) & heavy == set()


def test_public_names_are_documented_callables() -> None:
    """Every exported name exists, is documented and is not a module: `ib.run` must stay a function."""
    for name in invoca_bulk.__all__:
        member = getattr(invoca_bulk, name)
        assert callable(member)
        assert member.__doc__
        assert importlib.util.find_spec(f"invoca_bulk.{name}") is None


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelled name fails as in any module."""
    with pytest.raises(AttributeError, match="no attribute 'rnu'"):
        _ = invoca_bulk.rnu


#: The packages that ask, show and word; all others speak in remedies.
DOORS = {"api", "cli", "web", "__init__", "__main__"}
FLAG_OR_COMMAND = re.compile(r"(?<![\w-])--[a-z][a-z-]+|invoca-bulk [a-z]+\b|\bib\.\w+|\w=(True|…)")
#: Texts that look like flags or commands, and are none: CSS variables, and the name of a worker's lock.
NOT_FOR_PEOPLE = {"reports/html/style.py", "workers/liveness.py"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_the_core_names_no_flag_and_no_command(path: Path) -> None:
    """What a person can do is a remedy, a value that each door words: a flag helps nobody on the page."""
    name = path.relative_to(SOURCE).as_posix()
    if _module(path) in DOORS or name in NOT_FOR_PEOPLE:
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]
    # A remedy's own option (`sheet=…`) is a text of its own; a sentence has spaces.
    assert [text for text in texts if " " in text and FLAG_OR_COMMAND.search(text)] == []


def test_functions_are_short() -> None:
    """No function has more than 50 lines without its docstring."""
    long_functions = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
                if lines > 50:
                    long_functions.append(f"{path.name}:{node.name} has {lines}")
    assert long_functions == []
