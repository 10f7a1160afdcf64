"""Reversals -> the sheets that ask for them, and the reversal of each row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from invoca_bulk import sheets
from invoca_bulk.config.options import PlanOptions
from invoca_bulk.schema import PROMO_NUMBERS, RESOURCES
from invoca_bulk.service.export import export_tables
from invoca_bulk.service.undo.undo_rows import Reversal
from invoca_bulk.sheets import Sheet

if TYPE_CHECKING:
    import pandas as pd

_MERGE, _REPLACE = "merge", "replace"
_FIRST_DATA_ROW = 2


def choose_plan_options(reversals: Sequence[Reversal]) -> PlanOptions:
    """`merge`, so that the sheet has only changes; `replace`, if only that restores the order.

    Under `replace` the sheet names all users and sites, so that it removes only those that it asks to remove.
    """
    return PlanOptions(nested=_MERGE if all(reversal.keeps_order for reversal in reversals) else _REPLACE)


def to_sheets(reversals: Sequence[Reversal], plan_options: PlanOptions, version: str) -> tuple[Sheet, ...]:
    """The sheets, their rows in the order of the run; one empty sheet if there are no reversals."""
    frames: dict[str, pd.DataFrame] = {}
    for resource in RESOURCES.values():
        rows = [
            reversal.to_row(all_parts=plan_options.nested == _REPLACE)
            for reversal in reversals
            if reversal.applied_change.resource is resource
        ]
        if rows:
            frames |= export_tables.ExportTables(resource, rows, version, for_migration=False).to_frames()
    filled = {name: frame.loc[:, (frame != "").any()] for name, frame in frames.items() if len(frame)}
    return sheets.load(
        filled or export_tables.ExportTables(PROMO_NUMBERS, [], version, for_migration=False).to_frames()
    )


def reversal_by_row(reversals: Sequence[Reversal], plan_options: PlanOptions) -> dict[tuple[str, int], Reversal]:
    """(Resource name, row number) of each row of the sheets to its reversal."""
    by_resource: dict[str, list[Reversal]] = defaultdict(list)  # a reversal for each row
    for reversal in reversals:
        resource = reversal.applied_change.resource
        by_resource[resource.name].append(reversal)
        for part in resource.subresources:
            parts = reversal.part_restores[part.name].parts if part.name in reversal.part_restores else ()
            row_count = sum(plan_options.nested == _REPLACE or part_restore.is_changed for part_restore in parts)
            by_resource[part.name] += [reversal] * row_count
    return {
        (name, row): reversal
        for name, row_reversals in by_resource.items()
        for row, reversal in enumerate(row_reversals, _FIRST_DATA_ROW)
    }
