"""`invoca-bulk lab`: the notebooks, in JupyterLab, on a copy that belongs to the user."""

from __future__ import annotations

import importlib.util
import os
import socket
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import click

from invoca_bulk.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_HOST = "127.0.0.1"
_FIRST_NOTEBOOK = "01_start_here.ipynb"
#: The server's settings, whatever the user's own configuration of Jupyter says.
_SERVER_SETTINGS = {
    "ServerApp.ip": _HOST,
    # Jupyter refuses to run for root, lest others get root's rights; here they would need the token, on this machine.
    "ServerApp.allow_root": True,
    "ServerApp.kernel_spec_manager_class": "invoca_bulk.web.kernels.CurrentPythonKernelSpecManager",
    "Application.log_level": "WARN",  # the addresses to open are told all the same
    "LabApp.default_url": f"/lab/tree/{_FIRST_NOTEBOOK}",
    # Nothing is fetched from elsewhere: no news, no question for updates, no list of extensions.
    "LabApp.check_for_updates_class": "jupyterlab.handlers.announcements.NeverCheckForUpdate",
    "LabApp.extension_manager": "readonly",
}


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path("invoca-bulk-notebooks"))
@click.option("--port", type=click.IntRange(0, 65535), help="0: any free port. Without it, 8888 or a free one near it.")
@click.option("--no-browser", is_flag=True, help="Only print the address to open.")
def command(folder: Path, port: int | None, *, no_browser: bool) -> None:
    """Open JupyterLab on a copy of the notebooks in FOLDER (by default invoca-bulk-notebooks) until Ctrl-C.

    Notebooks that are in FOLDER already are yours, and are kept as they are. All of them use a sandbox, where nothing
    is bought. The server listens on this machine only, and asks for the token of the printed address.
    """
    if not importlib.util.find_spec("jupyterlab"):
        raise ConfigError("JupyterLab is not installed. Install it: pip install 'invoca-bulk[notebook]'")
    if port:
        _require_free_port(port)
    _print_copied(folder, *_copy_notebooks(folder))
    _launch_jupyterlab(folder, port, open_browser=not no_browser)


def _require_free_port(port: int) -> None:
    """Jupyter itself would say so among other lines, after the files were copied."""
    try:
        socket.create_server((_HOST, port)).close()
    except OSError as error:
        msg = f"JupyterLab cannot listen on port {port}: {error.strerror}. Choose another one, or 0 for any free one."
        raise ConfigError(msg) from None


def list_notebooks() -> list[Traversable]:
    """The notebooks in their order: those in the installed package, or those of the checkout that it runs from."""
    package = resources.files("invoca_bulk")
    places = [package / "notebooks", Path(str(package)).parent / "notebooks"]
    folder = next(place for place in places if place.is_dir())
    return sorted((one for one in folder.iterdir() if one.name.endswith(".ipynb")), key=lambda one: one.name)


def _copy_notebooks(folder: Path) -> tuple[list[str], list[str]]:
    """Copy the notebooks; the names of those that were, and of those that the user has in another form already."""
    copied, kept = [], []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for one in list_notebooks():
            path = folder / one.name
            if not path.exists():
                path.write_bytes(one.read_bytes())
                copied.append(one.name)
            elif path.read_bytes() != one.read_bytes():
                kept.append(one.name)
    except OSError as error:
        msg = f"The notebooks cannot be copied to {folder} ({error.strerror}). Name another folder."
        raise OutputError(msg) from None
    return copied, kept


def _print_copied(folder: Path, copied: list[str], not_overwritten: list[str]) -> None:
    click.echo(f"The notebooks are in {folder}.")
    if copied:
        click.echo(f"Copied: {', '.join(copied)}")
    if not_overwritten:
        click.echo(f"Kept as they are there: {', '.join(not_overwritten)}. Rename one to get it anew.")


def _launch_jupyterlab(folder: Path, port: int | None, *, open_browser: bool) -> None:
    from jupyter_core.paths import jupyter_runtime_dir
    from jupyterlab.labapp import LabApp

    from invoca_bulk.web import kernels

    # Where Jupyter looks for settings of the pages too; the user's own come after it.
    ours, theirs = str(resources.files("invoca_bulk") / "web" / "jupyter"), os.environ.get("JUPYTER_CONFIG_PATH")
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, [ours, theirs]))
    settings = {
        **_SERVER_SETTINGS,
        "KernelManager.transport": kernels.choose_transport(jupyter_runtime_dir()),
        "ServerApp.root_dir": folder.absolute(),
        "ServerApp.open_browser": open_browser,
    }
    if port is not None:
        settings |= {"ServerApp.port": port, "ServerApp.port_retries": 0}
    LabApp.launch_instance(argv=[f"--{name}={value}" for name, value in settings.items()])
