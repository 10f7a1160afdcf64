"""An object of the run and what it is now -> the row that puts it back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from string import Formatter
from typing import TYPE_CHECKING

from invoca_bulk.planning import merge
from invoca_bulk.schema import ADVERTISERS, PROMO_NUMBERS, SUBRESOURCE_KEY, Action, payloads
from invoca_bulk.schema.issue_catalog import Problem
from invoca_bulk.service.undo import restore_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from invoca_bulk.planning import Scope
    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.service.export.object_rows import Row
    from invoca_bulk.service.undo.changes import AppliedChange
    from invoca_bulk.service.undo.restore_cells import PartSetRestore

_NUMBER = "promo_number"
#: What the run did, to what takes it back.
_REVERSE_ACTIONS: Mapping[Action, Action] = {
    Action.CREATE: Action.DELETE,
    Action.UPDATE: Action.UPDATE,
    Action.MOVE: Action.MOVE,
}


@dataclass(frozen=True, kw_only=True)
class Reversal:
    """What puts one object back.

    Attributes:
        applied_change: the object, and what the run has done to it.
        action: what its row asks for.
        own_cells: path to text of its row.
        part_restores: `users` and `sites` to what puts them back.
    """

    applied_change: AppliedChange
    action: Action
    own_cells: Row
    part_restores: Mapping[str, PartSetRestore] = dataclasses.field(default_factory=dict)

    @property
    def has_changes(self) -> bool:
        """Whether there is anything to do; an update may have changed nothing."""
        changed = any(one.is_changed for some in self.part_restores.values() for one in some.parts)
        fields = self.own_cells.keys() - {*_identifier_cells(self.applied_change), "action"}
        return self.action is not Action.UPDATE or changed or not self.keeps_order or bool(fields)

    @property
    def keeps_order(self) -> bool:
        """Whether users and sites come back in their order when only those that change are named."""
        return all(one.keeps_order for one in self.part_restores.values())

    def to_row(self, *, all_parts: bool) -> Row:
        """The row, its parts numbered.

        Args:
            all_parts: name all users and sites of the object, in their order; else only those that change.
        """
        row = dict(self.own_cells)
        for name, some in self.part_restores.items():
            for number, one in enumerate((one for one in some.parts if all_parts or one.is_changed), 1):
                row |= {f"{name}.{number}.{path}": text for path, text in one.cells.items()}
        return row


def object_label(done: AppliedChange) -> str:
    """An object as people call it: a number, or `Acme Tickets (A-100)`."""
    if done.resource is PROMO_NUMBERS:
        return str(done.resulting_object[_NUMBER])
    return f"{merge.display_name(done.resulting_object)} ({done.resulting_object[SUBRESOURCE_KEY]})".strip()


def build_reversal(done: AppliedChange, now: Mapping[str, Json], version: str) -> Reversal | Problem:
    """What puts an object back, or why nothing can.

    Args:
        done: the object, and what the run has done to it.
        now: as it is now: what the run has left.
        version: the API version.
    """
    action = _REVERSE_ACTIONS[done.step.action]
    named = _identifier_cells(done) | {"action": action.value}
    if action is Action.DELETE:
        return Reversal(applied_change=done, action=action, own_cells=named)
    own, before = _sent_fields(done, now), _sent_fields(done, done.step.snapshot or {})
    back = restore_cells.restore_fields(done.resource, before, own, version)
    sets = {part.name: _restore_parts_of(done, part.name, now, version) for part in done.resource.subresources}
    stuck = [*back.unrestorable_paths, *(path for one in sets.values() for path in one.unrestorable_paths)]
    if stuck:
        return Problem(code="undo_unheld", details={"part": done.resource.singular, "what": ", ".join(stuck)})
    moves = _campaign_cells(done.origin_scope, "destination_") if action is Action.MOVE and done.origin_scope else {}
    return Reversal(applied_change=done, action=action, own_cells=named | moves | back.cells, part_restores=sets)


def _identifier_cells(done: AppliedChange) -> Row:
    """The cells that say which object a row is about."""
    if done.resource is ADVERTISERS:
        return {SUBRESOURCE_KEY: str(done.resulting_object[SUBRESOURCE_KEY])}
    field = done.resource.by_path[_NUMBER]
    return _campaign_cells(done.scope) | {
        _NUMBER: field.field_type.to_text(payloads.normalize_value(field, done.resulting_object[_NUMBER]))
    }


def _campaign_cells(scope: Scope, prefix: str = "") -> Row:
    """The cells of a campaign: the scope's ids under the names that stand in the table's addresses."""
    parts = next(one for one in PROMO_NUMBERS.path_templates if len(one) == len(scope))
    places = (
        (name, text) for part, text in zip(parts, scope, strict=True) for _, name, _, _ in Formatter().parse(part)
    )
    return {f"{prefix}{name}": text for name, text in places if name}


def _sent_fields(done: AppliedChange, one: Mapping[str, Json]) -> dict[str, Json]:
    """What the run has sent of an object; the rest is not its doing, even if it changed meanwhile."""
    parts = {part.name for part in done.resource.subresources}
    return {name: value for name, value in one.items() if name in (done.step.body or {}) and name not in parts}


def _restore_parts_of(done: AppliedChange, name: str, now: Mapping[str, Json], version: str) -> PartSetRestore:
    part = next(part for part in done.resource.subresources if part.name == name)
    before = (done.step.snapshot or {}).get(name) or ()
    return restore_cells.restore_parts(part, before, now[name], version)
