"""The kernel that the notebooks and the page run in; Jupyter's settings name the class below."""

from __future__ import annotations

import os

from jupyter_client.kernelspec import KernelSpecManager


class CurrentPythonKernelSpecManager(KernelSpecManager):
    """Offers one kernel, `python3`: the Python that runs this program.

    Without it, Jupyter would prefer a `python3` that the user has registered for another Python, which may lack this
    package.
    """

    def _kernel_dirs_default(self) -> list[str]:
        return []


#: The path of a socket file has at most about 100 characters; Jupyter's part of it takes about 65.
_MAX_IPC_FOLDER_CHARS = 35


def choose_transport(folder: str) -> str:
    """How to connect to kernels: `ipc` (socket files, which other users cannot open) where possible, else `tcp`."""
    return "ipc" if os.name != "nt" and len(folder) <= _MAX_IPC_FOLDER_CHARS else "tcp"
