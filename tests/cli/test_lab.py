"""`invoca-bulk lab`: JupyterLab on the user's copy of the notebooks."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tomllib
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from invoca_bulk.cli import lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(autouse=True)
def _foreign_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the user a kernel `python3` of another Python, and server settings that would let others connect."""
    for variable in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    kernel = tmp_path / "JUPYTER_DATA_DIR" / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(json.dumps({"argv": ["/elsewhere/python"], "display_name": "Other", "language": "python"}))
    settings = tmp_path / "JUPYTER_CONFIG_DIR" / "jupyter_server_config.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"ServerApp": {"ip": "0.0.0.0", "open_browser": True}}))  # noqa: S104  the test shows that it is ignored
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")


def _end(process: subprocess.Popen[str]) -> None:
    """End JupyterLab, which loses a signal that comes before its event loop runs."""
    process.terminate()
    try:
        process.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def _served(tmp_path: Path, *arguments: str) -> Iterator[tuple[httpx.Client, str]]:
    """Run JupyterLab: a client with its token, and what `lab` printed before it."""
    command = [sys.executable, "-m", "invoca_bulk", "lab", "--no-browser", "--port", "0", *arguments]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        try:
            pattern = re.compile(r"(http://\S+?)/lab\S*\?token=(\w+)")
            address = next(filter(None, map(pattern.search, process.stderr)))
            headers = {"Authorization": f"token {address[2]}"}
            with httpx.Client(base_url=address[1], headers=headers, timeout=30) as client:
                yield client, os.read(process.stdout.fileno(), 10_000).decode()
        finally:
            _end(process)


def test_it_starts_without_warnings(tmp_path: Path) -> None:
    """Jupyter's own deprecation warnings are not shown: a user can do nothing about them."""
    command = [sys.executable, "-m", "invoca_bulk", "lab", "--no-browser", "--port", "0"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        try:
            lines = list(takewhile(lambda line: "?token=" not in line, process.stderr))
        finally:
            _end(process)
    assert not [line for line in lines if "Warning" in line]


def test_it_serves_a_copy_to_this_machine_only(tmp_path: Path) -> None:
    """It serves the notebooks on loopback only, only with the token, and with the kernel of this Python."""
    with _served(tmp_path) as (client, output):
        listed = client.get("/api/contents/").json()["content"]
        kernels = client.get("/api/kernelspecs").json()["kernelspecs"]
        page = client.get("/lab/tree/01_start_here.ipynb")
        stranger = httpx.get(f"{client.base_url}/api/contents/")
        with pytest.raises(httpx.ConnectError):  # it would respond here if it listened on all addresses
            httpx.get(f"http://127.0.0.2:{client.base_url.port}")
    assert sorted(entry["name"] for entry in listed) == NAMES
    assert "Copied: 01_start_here.ipynb" in output
    assert {name: kernel["spec"]["argv"][0] for name, kernel in kernels.items()} == {"python3": sys.executable}
    assert page.status_code == 200
    assert stranger.status_code == 403
    assert sorted(path.name for path in (tmp_path / "invoca-bulk-notebooks").glob("*.ipynb")) == NAMES


def test_edited_notebooks_are_not_overwritten(tmp_path: Path) -> None:
    """A second start keeps an edited notebook and says so, and copies one that was removed again."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in NAMES[2:]:
        (folder / name).write_bytes((ROOT / "notebooks" / name).read_bytes())
    (folder / NAMES[0]).write_text("mine")
    with _served(tmp_path, "mine") as (_, output):
        assert output.splitlines() == [
            "The notebooks are in mine.",
            f"Copied: {NAMES[1]}",
            f"Not overwritten: {NAMES[0]}. To get a fresh copy, rename yours.",
        ]
    assert (folder / NAMES[0]).read_text() == "mine"
    assert (folder / NAMES[1]).read_bytes() == (ROOT / "notebooks" / NAMES[1]).read_bytes()


def test_a_port_in_use_is_one_message(tmp_path: Path, cli: Callable[..., Any]) -> None:
    """Nothing is copied before the port has been checked."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = cli("lab", "--no-browser", "--port", port)
    assert ran.code == 2
    assert ran.err.startswith(f"JupyterLab cannot listen on port {port}")
    assert not (tmp_path / "invoca-bulk-notebooks").exists()


def test_a_folder_that_cannot_be_created_is_one_message(tmp_path: Path, cli: Callable[..., Any]) -> None:
    """Its parent folder is a file."""
    (tmp_path / "file").touch()
    ran = cli("lab", "--no-browser", "file/folder")
    assert ran.code == 2
    assert "Choose another folder" in ran.err


def test_without_jupyterlab_the_message_names_the_extra() -> None:
    """The message says what to install."""
    code = "import sys; sys.modules['jupyterlab'] = None; from invoca_bulk.cli import main; main(['lab'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        'JupyterLab is not installed. Install it: pip install "invoca-bulk[notebook]"\n',
    )


def test_the_wheel_contains_all_notebooks() -> None:
    """The build includes every notebook, and `lab` finds them in the installed package."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    included = build["targets"]["wheel"]["force-include"]
    assert included == {f"notebooks/{name}": f"invoca_bulk/notebooks/{name}" for name in NAMES}
    assert [notebook.name for notebook in lab.list_notebooks()] == NAMES
