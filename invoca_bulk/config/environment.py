"""What the program runs in: a terminal, a notebook, or without anybody to answer a question."""

from __future__ import annotations

import sys
from typing import IO


def is_terminal(stream: IO[str] | None) -> bool:
    """Whether a stream is an interactive terminal. None: the stream is closed."""
    return stream is not None and not stream.closed and stream.isatty()


def is_in_kernel() -> bool:
    """Whether this runs in a notebook, where people see the output although it is not a terminal."""
    return _jupyter_kernel() is not None


def can_prompt() -> bool:
    """Whether somebody can answer a prompt: in a terminal, or in a notebook that is not run by a program."""
    kernel = _jupyter_kernel()
    return is_terminal(sys.stdin) if kernel is None else bool(getattr(kernel, "_allow_stdin", True))


def _jupyter_kernel() -> object:
    """The Jupyter kernel of this process; None where there is none."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None)
