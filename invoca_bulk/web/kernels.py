"""The kernel that the notebooks and the page run in; Jupyter's servers are given this class by its name."""

from __future__ import annotations

import os

from jupyter_client.kernelspec import KernelSpecManager


class CurrentPythonKernelSpecManager(KernelSpecManager):
    """Knows one kernel, `python3`, which is the Python that runs this program.

    A kernel of this name that the user has registered for another Python would be found first, and that Python may not
    have this package.
    """

    def _kernel_dirs_default(self) -> list[str]:
        return []


#: A socket's file has a name of 100 characters at most; below their folder Jupyter's names take some 65.
_MAX_IPC_FOLDER_CHARS = 35


def choose_transport(folder: str) -> str:
    """How kernels are talked to: by files where that can be, since nobody else on the machine can get at those.

    Args:
        folder: where the files would be.
    """
    return "ipc" if os.name != "nt" and len(folder) <= _MAX_IPC_FOLDER_CHARS else "tcp"
