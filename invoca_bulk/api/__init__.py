"""The library: DataFrames in, DataFrames out."""

from __future__ import annotations

from invoca_bulk.api.arguments import python_words
from invoca_bulk.api.manual_functions import help  # noqa: A004  it is called as `ib.help`
from invoca_bulk.api.run_functions import results, resume, run, runs, sandbox, undo
from invoca_bulk.api.sheet_functions import export, plan, read, template, validate, view
from invoca_bulk.config.network import Network
from invoca_bulk.config.options import Options
from invoca_bulk.wording import use_wording

__all__ = [
    "Network",
    "Options",
    "export",
    "help",
    "plan",
    "read",
    "results",
    "resume",
    "run",
    "runs",
    "sandbox",
    "template",
    "undo",
    "validate",
    "view",
]

use_wording(python_words, unless_set=True)
