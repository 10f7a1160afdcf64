"""Reversals -> the sheets that ask for them, and whose each row is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoca_bulk import sheets
from invoca_bulk.config.options import PlanOptions
from invoca_bulk.schema import PROMO_NUMBERS, RESOURCES
from invoca_bulk.service.export import export_tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from invoca_bulk.schema import Resource
    from invoca_bulk.service.undo.undo_rows import Reversal
    from invoca_bulk.sheets import Sheet

_MERGE, _REPLACE = "merge", "replace"
_FIRST_DATA_ROW = 2


def choose_plan_options(found: Sequence[Reversal]) -> PlanOptions:
    """`merge`, so that the sheet has nothing but what changes; `replace`, where only that brings the order back.

    Under `replace` the sheet names all users and sites, so that it takes away none but those that it says.
    """
    return PlanOptions(nested=_MERGE if all(one.keeps_order for one in found) else _REPLACE)


def to_sheets(found: Sequence[Reversal], plan_options: PlanOptions, version: str) -> tuple[Sheet, ...]:
    """The sheets, their rows in the order of the run; none to do: one without rows."""
    frames: dict[str, pd.DataFrame] = {}
    for resource in RESOURCES.values():
        rows = [
            one.to_row(all_parts=_names_all_parts(plan_options))
            for one in found
            if one.applied_change.resource is resource
        ]
        if rows:
            frames |= export_tables.ExportTables(resource, rows, version, for_migration=False).to_frames()
    filled = {name: _without_blank_columns(frame) for name, frame in frames.items() if len(frame)}
    return sheets.load(
        filled or export_tables.ExportTables(PROMO_NUMBERS, [], version, for_migration=False).to_frames()
    )


def reversal_by_row(found: Sequence[Reversal], plan_options: PlanOptions) -> dict[tuple[str, int], Reversal]:
    """What a sheet is about and the number of a row, to whose row it is."""
    owned: dict[str, list[Reversal]] = {}
    for one in found:
        owned.setdefault(one.applied_change.resource.name, []).append(one)
        for part in one.applied_change.resource.subresources:
            owned.setdefault(part.name, []).extend([one] * _count_part_rows(one, part, plan_options))
    return {(name, row): one for name, some in owned.items() for row, one in enumerate(some, _FIRST_DATA_ROW)}


def _count_part_rows(one: Reversal, part: Resource, wanted: PlanOptions) -> int:
    some = one.part_restores[part.name].parts if part.name in one.part_restores else ()
    return sum(_names_all_parts(wanted) or it.is_changed for it in some)


def _names_all_parts(wanted: PlanOptions) -> bool:
    return wanted.nested == _REPLACE


def _without_blank_columns(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.loc[:, (frame != "").any()]
