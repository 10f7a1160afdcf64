"""Reversals -> the sheets that ask for them, and whose each row is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoca_bulk import sheets
from invoca_bulk.config.options import Choices
from invoca_bulk.schema import PROMO_NUMBERS, RESOURCES
from invoca_bulk.service.export import export_tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from invoca_bulk.schema import Resource
    from invoca_bulk.service.undo.undo_rows import Reversal
    from invoca_bulk.sheets import Sheet

_MERGE, _REPLACE = "merge", "replace"
_FIRST_ROW = 2


def choices(found: Sequence[Reversal]) -> Choices:
    """`merge`, so that the sheet has nothing but what changes; `replace`, where only that brings the order back.

    Under `replace` the sheet names all users and sites, so that it takes away none but those that it says.
    """
    return Choices(nested=_MERGE if all(one.in_order for one in found) else _REPLACE)


def loaded(found: Sequence[Reversal], wanted: Choices, version: str) -> tuple[Sheet, ...]:
    """The sheets, their rows in the order of the run; none to do: one without rows."""
    frames: dict[str, pd.DataFrame] = {}
    for resource in RESOURCES.values():
        rows = [one.row(whole=_is_whole(wanted)) for one in found if one.done.resource is resource]
        if rows:
            frames |= export_tables.Tables(resource, rows, version, for_migration=False).frames()
    filled = {name: _without_blank_columns(frame) for name, frame in frames.items() if len(frame)}
    return sheets.load(filled or export_tables.Tables(PROMO_NUMBERS, [], version, for_migration=False).frames())


def owners(found: Sequence[Reversal], wanted: Choices) -> dict[tuple[str, int], Reversal]:
    """What a sheet is about and the number of a row, to whose row it is."""
    owned: dict[str, list[Reversal]] = {}
    for one in found:
        owned.setdefault(one.done.resource.name, []).append(one)
        for part in one.done.resource.parts:
            owned.setdefault(part.name, []).extend([one] * _count(one, part, wanted))
    return {(name, row): one for name, some in owned.items() for row, one in enumerate(some, _FIRST_ROW)}


def _count(one: Reversal, part: Resource, wanted: Choices) -> int:
    some = one.sets[part.name].parts if part.name in one.sets else ()
    return sum(_is_whole(wanted) or it.is_changed for it in some)


def _is_whole(wanted: Choices) -> bool:
    return wanted.nested == _REPLACE


def _without_blank_columns(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.loc[:, (frame != "").any()]
