"""Durable record of every step: the intent before a request is sent, the outcome after. Stores no tokens or headers.

There is one journal per base URL and network. By default it is a SQLite file in the user's state directory, in WAL mode
with `synchronous=FULL`: a commit that returned survives a power cut, because a lost `sent` is a number bought twice.
One process writes at a time and holds an operating-system lock, which is released when the process dies. To share a
journal between machines, use a schema on PostgreSQL, whose writers hold leases. Any process may read at any time.
"""

from __future__ import annotations

from invoca_bulk.journal.catalog import (
    RunSummary,
    find_done_writes,
    find_network_ids,
    find_results,
    find_run,
    find_run_summary,
    list_active_runs,
    list_incompatible_journals,
    list_runs,
    request_stop,
)
from invoca_bulk.journal.locations import handle_for, location_for, open_for_writing, open_readonly
from invoca_bulk.journal.records import (
    RowRecord,
    RunMetadata,
    RunRecord,
    RunTotals,
    StepRecord,
    StepTransition,
    undo_source_name,
    undone_run_id,
)
from invoca_bulk.journal.states import AMBIGUOUS_STATES, OUTCOME_IF_DONE, RunState, State, derive_outcome
from invoca_bulk.journal.store import SANDBOX_RUN_PREFIX, Journal

__all__ = [
    "AMBIGUOUS_STATES",
    "OUTCOME_IF_DONE",
    "SANDBOX_RUN_PREFIX",
    "Journal",
    "RowRecord",
    "RunMetadata",
    "RunRecord",
    "RunState",
    "RunSummary",
    "RunTotals",
    "State",
    "StepRecord",
    "StepTransition",
    "derive_outcome",
    "find_done_writes",
    "find_network_ids",
    "find_results",
    "find_run",
    "find_run_summary",
    "handle_for",
    "list_active_runs",
    "list_incompatible_journals",
    "list_runs",
    "location_for",
    "open_for_writing",
    "open_readonly",
    "request_stop",
    "undo_source_name",
    "undone_run_id",
]
