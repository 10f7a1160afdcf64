"""`invoca-bulk lab`: open a copy of the notebooks in JupyterLab."""

from __future__ import annotations

import importlib
import importlib.util
import os
import socket
import warnings
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from invoca_bulk.errors import ConfigError, OutputError

_HOST = "127.0.0.1"
_FIRST_NOTEBOOK = "01_start_here.ipynb"
#: The server's settings; they override the user's own configuration of Jupyter.
_SERVER_SETTINGS = {
    "ServerApp.ip": _HOST,
    # Jupyter refuses to run as root because clients would get root's rights; here they need the token, on this machine.
    "ServerApp.allow_root": True,
    "ServerApp.kernel_spec_manager_class": "invoca_bulk.web.kernels.CurrentPythonKernelSpecManager",
    "Application.log_level": "WARN",  # the addresses to open are printed at this level too
    "LabApp.default_url": f"/lab/tree/{_FIRST_NOTEBOOK}",
    # Nothing is fetched from other machines: no news, no check for updates, no list of extensions.
    "LabApp.check_for_updates_class": "jupyterlab.handlers.announcements.NeverCheckForUpdate",
    "LabApp.extension_manager": "readonly",
}


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path("invoca-bulk-notebooks"))
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port to serve on; 0: any free port. Default: 8888, or a free one near it.",
)
@click.option("--no-browser", is_flag=True, help="Print the address without opening it.")
def command(folder: Path, port: int | None, *, no_browser: bool) -> None:
    """Copy the notebooks to FOLDER (default: invoca-bulk-notebooks) and open them in JupyterLab until Ctrl-C.

    Notebooks that already exist in FOLDER are not overwritten. All notebooks use a sandbox, where nothing is bought.
    The server accepts connections from this machine only, and only with the token in the printed address.
    """
    if not importlib.util.find_spec("jupyterlab"):
        raise ConfigError('JupyterLab is not installed. Install it: pip install "invoca-bulk[notebook]"')
    if port:
        _require_free_port(port)
    copied, not_overwritten = _copy_notebooks(folder)
    click.echo(f"The notebooks are in {folder}.")
    if copied:
        click.echo(f"Copied: {', '.join(copied)}")
    if not_overwritten:
        click.echo(f"Not overwritten: {', '.join(not_overwritten)}. To get a fresh copy, rename yours.")
    _launch_jupyterlab(folder, port, open_browser=not no_browser)


def _require_free_port(port: int) -> None:
    """Reject a port in use before the notebooks are copied; Jupyter would report it only afterwards."""
    try:
        socket.create_server((_HOST, port)).close()
    except OSError as error:
        raise ConfigError(
            f"JupyterLab cannot listen on port {port}: {error.strerror}. Choose another port, or 0 for any free one."
        ) from None


def list_notebooks() -> list[Traversable]:
    """The notebooks in the order of their names, from the installed package or from the source checkout."""
    package = resources.files("invoca_bulk")
    folders = [package / "notebooks", Path(str(package)).parent / "notebooks"]
    folder = next(folder for folder in folders if folder.is_dir())
    return sorted((file for file in folder.iterdir() if file.name.endswith(".ipynb")), key=lambda file: file.name)


def _copy_notebooks(folder: Path) -> tuple[list[str], list[str]]:
    """Copy the notebooks, and return the names of the copied ones and of those that exist with other content."""
    copied, not_overwritten = [], []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for notebook in list_notebooks():
            path = folder / notebook.name
            if not path.exists():
                path.write_bytes(notebook.read_bytes())
                copied.append(notebook.name)
            elif path.read_bytes() != notebook.read_bytes():
                not_overwritten.append(notebook.name)
    except OSError as error:
        raise OutputError(
            f"The notebooks cannot be copied to {folder} ({error.strerror}). Choose another folder."
        ) from None
    return copied, not_overwritten


def _launch_jupyterlab(folder: Path, port: int | None, *, open_browser: bool) -> None:
    from jupyter_core.paths import jupyter_runtime_dir
    from jupyterlab.labapp import LabApp

    from invoca_bulk.web import kernels

    _import_voila_silently()
    # The folder with our settings for JupyterLab's pages goes before the user's own.
    folders = [str(resources.files("invoca_bulk") / "web" / "jupyter"), os.environ.get("JUPYTER_CONFIG_PATH")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, folders))
    settings = {
        **_SERVER_SETTINGS,
        "KernelManager.transport": kernels.choose_transport(jupyter_runtime_dir()),
        "ServerApp.root_dir": folder.absolute(),
        "ServerApp.open_browser": open_browser,
    }
    if port is not None:
        settings |= {"ServerApp.port": port, "ServerApp.port_retries": 0}
    LabApp.launch_instance(argv=[f"--{name}={value}" for name, value in settings.items()])


def _import_voila_silently() -> None:
    """Import Voilà, an extension of the server, without its change of Python's warnings.

    From its import on, it would show deprecation warnings about Jupyter's own code, which the user cannot act on.
    """
    if importlib.util.find_spec("voila"):
        with warnings.catch_warnings(record=True):
            importlib.import_module("voila")
