"""Work + client + journal -> outcomes. The only concurrent stage.

Each slot takes the next step, has its intent made durable, sends it, and has its outcome made durable. A step that
makes another object with each request is sent once, and settled in the end if it is in doubt; one that may be repeated
is sent again while it is in doubt.
"""

from __future__ import annotations

from invoca_bulk.execution.executor import Executor
from invoca_bulk.execution.journal_writer import JournalWriter
from invoca_bulk.execution.workload import (
    RunCounters,
    RunOutcome,
    Workload,
    workload_from_plan,
    workload_from_run,
    workload_from_steps,
    workload_from_unfinished,
)

__all__ = [
    "Executor",
    "JournalWriter",
    "RunCounters",
    "RunOutcome",
    "Workload",
    "workload_from_plan",
    "workload_from_run",
    "workload_from_steps",
    "workload_from_unfinished",
]
