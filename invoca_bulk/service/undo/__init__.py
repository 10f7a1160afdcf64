"""A run -> the plan that takes it back: a sheet made from the journal, planned like any other.

`since` finds what the run has done and whether the platform still has it like that, `cells` what has to stand in a row
so that an object becomes again what it was, `rows` makes the rows, `preview` is the plan with what it leaves out, and
`making` composes them. An object is put back whole or not at all; what is not put back is told, with the reason.
"""

from __future__ import annotations

from invoca_bulk.service.undo.undo_planner import undo
from invoca_bulk.service.undo.undo_report import NotUndone, Undo, undone_run_id

__all__ = ["NotUndone", "Undo", "undo", "undone_run_id"]
