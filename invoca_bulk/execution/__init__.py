"""Work + client + journal -> outcomes. The only concurrent stage.

Each slot takes the next step, has its intent made durable, sends it, and has its outcome made durable. A step that
makes another object with each request is sent once, and settled in the end if it is in doubt; one that may be repeated
is sent again while it is in doubt.
"""

from __future__ import annotations

from invoca_bulk.execution.executor import Execution
from invoca_bulk.execution.journal_writer import Scribe
from invoca_bulk.execution.workload import Ended, Tally, Work, of_plan, of_rest, of_run, of_some

__all__ = ["Ended", "Execution", "Scribe", "Tally", "Work", "of_plan", "of_rest", "of_run", "of_some"]
