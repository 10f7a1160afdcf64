"""Workload + client + journal -> outcomes. The only concurrent stage.

Each worker takes the next step, records the intent durably, sends the request, and records the result durably. A
non-idempotent step is sent once and, if in doubt, reconciled at the end; an idempotent step in doubt is sent again.
"""

from __future__ import annotations

from invoca_bulk.execution.executor import Executor
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
    "RunCounters",
    "RunOutcome",
    "Workload",
    "workload_from_plan",
    "workload_from_run",
    "workload_from_steps",
    "workload_from_unfinished",
]
