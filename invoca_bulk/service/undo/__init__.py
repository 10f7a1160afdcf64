"""A run -> the plan that undoes it: a sheet made from the journal, planned like any other.

`changes` finds what the run did and whether the platform still has that state, `restore_cells` makes the cells that
restore an object, `undo_rows` and `undo_sheets` the rows and sheets, `undo_report` is the resulting plan, and
`undo_planner` combines them. An object is restored completely or not at all; what is not restored is reported with the
reason.
"""

from __future__ import annotations

from invoca_bulk.service.undo.undo_planner import undo
from invoca_bulk.service.undo.undo_report import Undo

__all__ = ["Undo", "undo"]
