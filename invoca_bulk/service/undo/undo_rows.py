"""A change of the run and the current object -> the row that restores it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter

from invoca_bulk.planning import Scope, merge
from invoca_bulk.planning.display_values import object_label
from invoca_bulk.schema import ADVERTISERS, PROMO_NUMBERS, SUBRESOURCE_KEY, Action, payloads
from invoca_bulk.schema.field_types import Json
from invoca_bulk.schema.issue_catalog import Problem
from invoca_bulk.service.export.object_rows import Row
from invoca_bulk.service.undo import restore_cells
from invoca_bulk.service.undo.changes import AppliedChange
from invoca_bulk.service.undo.restore_cells import PartSetRestore

_NUMBER = "promo_number"
#: The action of the run to the action that undoes it.
_REVERSE_ACTIONS = {Action.CREATE: Action.DELETE, Action.UPDATE: Action.UPDATE, Action.MOVE: Action.MOVE}


@dataclass(frozen=True, kw_only=True)
class Reversal:
    """What restores one object."""

    applied_change: AppliedChange
    action: Action  # of its row
    own_cells: Row  # path to text, without users and sites
    #: `users` and `sites` to what restores them
    part_restores: Mapping[str, PartSetRestore] = dataclasses.field(default_factory=dict)

    @property
    def has_changes(self) -> bool:
        """Whether there is anything to do; an update may have changed nothing."""
        has_changed_parts = any(part.is_changed for part_set in self.part_restores.values() for part in part_set.parts)
        fields = self.own_cells.keys() - {*_identifier_cells(self.applied_change), "action"}
        return self.action is not Action.UPDATE or has_changed_parts or not self.keeps_order or bool(fields)

    @property
    def keeps_order(self) -> bool:
        """Whether naming only the changed users and sites restores their order."""
        return all(part_set.keeps_order for part_set in self.part_restores.values())

    def to_row(self, *, all_parts: bool) -> Row:
        """The row, with numbered users and sites: all in their order, or only the changed ones."""
        row = dict(self.own_cells)
        for collection, part_set in self.part_restores.items():
            parts = [part for part in part_set.parts if all_parts or part.is_changed]
            for number, part in enumerate(parts, 1):
                row |= {f"{collection}.{number}.{path}": text for path, text in part.cells.items()}
        return row


def change_label(change: AppliedChange) -> str:
    """The label of a changed object: a phone number, or `Acme Tickets (A-100)`."""
    record = change.resulting_object
    if change.resource is PROMO_NUMBERS:
        return str(record[_NUMBER])
    return object_label(merge.display_name(record), str(record[SUBRESOURCE_KEY]))


def build_reversal(change: AppliedChange, now: Mapping[str, Json], version: str) -> Reversal | Problem:
    """What restores an object that the platform still has as the run left it (`now`), or why nothing can."""
    action = _REVERSE_ACTIONS[change.step.action]
    cells = _identifier_cells(change) | {"action": action.value}
    if action is Action.DELETE:
        return Reversal(applied_change=change, action=action, own_cells=cells)
    before = change.step.snapshot or {}
    sent_before, sent_now = (_sent_fields(change, record) for record in (before, now))
    fields = restore_cells.restore_fields(change.resource, sent_before, sent_now, version)
    part_sets = {
        part.name: restore_cells.restore_parts(part, before.get(part.name) or (), now[part.name], version)
        for part in change.resource.subresources
    }
    unrestorable = [
        *fields.unrestorable_paths,
        *(path for part_set in part_sets.values() for path in part_set.unrestorable_paths),
    ]
    if unrestorable:
        return Problem(code="undo_unheld", details={"part": change.resource.singular, "what": ", ".join(unrestorable)})
    if action is Action.MOVE and change.origin_scope:
        cells |= _campaign_cells(change.origin_scope, "destination_")
    return Reversal(applied_change=change, action=action, own_cells=cells | fields.cells, part_restores=part_sets)


def _identifier_cells(change: AppliedChange) -> Row:
    if change.resource is ADVERTISERS:
        return {SUBRESOURCE_KEY: str(change.resulting_object[SUBRESOURCE_KEY])}
    field = change.resource.by_path[_NUMBER]
    return _campaign_cells(change.scope) | {
        _NUMBER: field.field_type.to_text(payloads.normalize_value(field, change.resulting_object[_NUMBER]))
    }


def _campaign_cells(scope: Scope, prefix: str = "") -> Row:
    """The cells of a campaign: the scope's ids by the field names of the path template."""
    templates = next(template for template in PROMO_NUMBERS.path_templates if len(template) == len(scope))
    return {
        f"{prefix}{field}": text
        for template, text in zip(templates, scope, strict=True)
        for _, field, _, _ in Formatter().parse(template)
        if field
    }


def _sent_fields(change: AppliedChange, record: Mapping[str, Json]) -> dict[str, Json]:
    """The fields that the run sent; it did not change any other, even if others differ now."""
    part_names = {part.name for part in change.resource.subresources}
    return {name: record[name] for name in record if name in (change.step.body or {}) and name not in part_names}
