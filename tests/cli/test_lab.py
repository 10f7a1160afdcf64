"""`invoca-bulk lab`: JupyterLab on a copy of the notebooks that belongs to the user."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tomllib
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
    """The user has a kernel `python3` of another Python, and a server's settings that would open it to others."""
    for variable in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    kernel = tmp_path / "JUPYTER_DATA_DIR" / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(json.dumps({"argv": ["/elsewhere/python"], "display_name": "Other", "language": "python"}))
    settings = tmp_path / "JUPYTER_CONFIG_DIR" / "jupyter_server_config.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"ServerApp": {"ip": "0.0.0.0", "open_browser": True}}))  # noqa: S104  that it is not heeded is the point
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")


@contextlib.contextmanager
def _served(tmp_path: Path, *arguments: str) -> Iterator[tuple[httpx.Client, str]]:
    """JupyterLab while it runs: a client that has its token, and what was told before it served."""
    command = [sys.executable, "-m", "invoca_bulk", "lab", "--no-browser", "--port", "0", *arguments]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        try:
            found = next(filter(None, (re.search(r"(http://\S+?)/lab\S*\?token=(\w+)", one) for one in process.stderr)))
            with httpx.Client(base_url=found[1], headers={"Authorization": f"token {found[2]}"}, timeout=30) as client:
                yield client, os.read(process.stdout.fileno(), 10_000).decode()
        finally:
            process.terminate()
            process.communicate()


def test_it_serves_a_copy_to_this_machine_alone(tmp_path: Path) -> None:
    """The notebooks are there, with the token only, on loopback, for the kernel of this very Python."""
    with _served(tmp_path) as (client, told):
        listed = client.get("/api/contents/").json()["content"]
        kernels = client.get("/api/kernelspecs").json()["kernelspecs"]
        page = client.get("/lab/tree/01_start_here.ipynb")
        stranger = httpx.get(f"{client.base_url}/api/contents/")
        with pytest.raises(httpx.ConnectError):  # it would answer here too, did it listen on all addresses
            httpx.get(f"http://127.0.0.2:{client.base_url.port}")
    assert sorted(one["name"] for one in listed) == NAMES
    assert "Copied: 01_start_here.ipynb" in told
    assert {name: one["spec"]["argv"][0] for name, one in kernels.items()} == {"python3": sys.executable}
    assert page.status_code == 200
    assert stranger.status_code == 403
    assert sorted(path.name for path in (tmp_path / "invoca-bulk-notebooks").glob("*.ipynb")) == NAMES


def test_what_the_user_has_edited_stays(tmp_path: Path) -> None:
    """A second start keeps an edited notebook and says so, and brings back one that was removed."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in NAMES[2:]:
        (folder / name).write_bytes((ROOT / "notebooks" / name).read_bytes())
    (folder / NAMES[0]).write_text("mine")
    with _served(tmp_path, "mine") as (_, told):
        assert told.splitlines() == [
            "The notebooks are in mine.",
            f"Copied: {NAMES[1]}",
            f"Not overwritten: {NAMES[0]}. To get a fresh copy, rename yours.",
        ]
    assert (folder / NAMES[0]).read_text() == "mine"
    assert (folder / NAMES[1]).read_bytes() == (ROOT / "notebooks" / NAMES[1]).read_bytes()


def test_a_port_that_is_taken_is_a_sentence(tmp_path: Path, cli: Callable[..., Any]) -> None:
    """Nothing is copied before it is clear that the server can run."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = cli("lab", "--no-browser", "--port", port)
    assert ran.code == 2
    assert ran.err.startswith(f"JupyterLab cannot listen on port {port}")
    assert not (tmp_path / "invoca-bulk-notebooks").exists()


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path, cli: Callable[..., Any]) -> None:
    """A file stands where a folder above it would have to be."""
    (tmp_path / "file").touch()
    ran = cli("lab", "--no-browser", "file/folder")
    assert ran.code == 2
    assert "Choose another folder" in ran.err


def test_without_jupyterlab_the_extra_is_named() -> None:
    """One sentence says what to install."""
    code = "import sys; sys.modules['jupyterlab'] = None; from invoca_bulk.cli import main; main(['lab'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "JupyterLab is not installed. Install it: pip install 'invoca-bulk[notebook]'\n",
    )


def test_all_notebooks_travel_in_the_wheel() -> None:
    """The build's list is the folder, and `lab` finds them where this package is installed."""
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    included = build["targets"]["wheel"]["force-include"]
    assert included == {f"notebooks/{name}": f"invoca_bulk/notebooks/{name}" for name in NAMES}
    assert [one.name for one in lab.list_notebooks()] == NAMES
