"""The kernel that the notebooks and the page run in; Jupyter's servers are given this class by its name."""

from __future__ import annotations

from jupyter_client.kernelspec import KernelSpecManager


class ThisPython(KernelSpecManager):
    """Knows one kernel, `python3`, which is the Python that runs this program.

    A kernel of this name that the user has registered for another Python would be found first, and that Python may not
    have this package.
    """

    def _kernel_dirs_default(self) -> list[str]:
        return []
