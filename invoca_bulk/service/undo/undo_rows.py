"""An object of the run and what it is now -> the row that puts it back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from string import Formatter
from typing import TYPE_CHECKING

from invoca_bulk.planning import merge
from invoca_bulk.schema import ADVERTISERS, PART_KEY, PROMO_NUMBERS, Action, payloads
from invoca_bulk.schema.issue_catalog import Problem
from invoca_bulk.service.undo import restore_cells

if TYPE_CHECKING:
    from collections.abc import Mapping

    from invoca_bulk.planning import Scope
    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.service.export.object_rows import Row
    from invoca_bulk.service.undo.changes import Done
    from invoca_bulk.service.undo.restore_cells import SetBack

_NUMBER = "promo_number"
#: What the run did, to what takes it back.
_BACK: Mapping[Action, Action] = {
    Action.CREATE: Action.DELETE,
    Action.UPDATE: Action.UPDATE,
    Action.MOVE: Action.MOVE,
}


@dataclass(frozen=True, kw_only=True)
class Reversal:
    """What puts one object back.

    Attributes:
        done: the object, and what the run has done to it.
        action: what its row asks for.
        own: path to text of its row.
        sets: `users` and `sites` to what puts them back.
    """

    done: Done
    action: Action
    own: Row
    sets: Mapping[str, SetBack] = dataclasses.field(default_factory=dict)

    @property
    def is_change(self) -> bool:
        """Whether there is anything to do; an update may have changed nothing."""
        changed = any(one.is_changed for some in self.sets.values() for one in some.parts)
        fields = self.own.keys() - {*_names(self.done), "action"}
        return self.action is not Action.UPDATE or changed or not self.in_order or bool(fields)

    @property
    def in_order(self) -> bool:
        """Whether users and sites come back in their order when only those that change are named."""
        return all(one.in_order for one in self.sets.values())

    def row(self, *, whole: bool) -> Row:
        """The row, its parts numbered.

        Args:
            whole: name all users and sites of the object, in their order; else only those that change.
        """
        row = dict(self.own)
        for name, some in self.sets.items():
            for number, one in enumerate((one for one in some.parts if whole or one.is_changed), 1):
                row |= {f"{name}.{number}.{path}": text for path, text in one.cells.items()}
        return row


def about(done: Done) -> str:
    """An object as people call it: a number, or `Acme Tickets (A-100)`."""
    if done.resource is PROMO_NUMBERS:
        return str(done.left[_NUMBER])
    return f"{merge.called(done.left)} ({done.left[PART_KEY]})".strip()


def reversal(done: Done, now: Mapping[str, Json], version: str) -> Reversal | Problem:
    """What puts an object back, or why nothing can.

    Args:
        done: the object, and what the run has done to it.
        now: as it is now: what the run has left.
        version: the API version.
    """
    action = _BACK[done.step.action]
    named = _names(done) | {"action": action.value}
    if action is Action.DELETE:
        return Reversal(done=done, action=action, own=named)
    own, before = _fields(done, now), _fields(done, done.step.before or {})
    back = restore_cells.fields_back(done.resource, before, own, version)
    sets = {part.name: _set_back(done, part.name, now, version) for part in done.resource.parts}
    stuck = [*back.stuck, *(path for one in sets.values() for path in one.stuck)]
    if stuck:
        return Problem(code="undo_unheld", details={"part": done.resource.one, "what": ", ".join(stuck)})
    moves = _address(done.origin, "destination_") if action is Action.MOVE and done.origin else {}
    return Reversal(done=done, action=action, own=named | moves | back.cells, sets=sets)


def _names(done: Done) -> Row:
    """The cells that say which object a row is about."""
    if done.resource is ADVERTISERS:
        return {PART_KEY: str(done.left[PART_KEY])}
    field = done.resource.by_path[_NUMBER]
    return _address(done.scope) | {_NUMBER: field.kind.show(payloads.canonical(field, done.left[_NUMBER]))}


def _address(scope: Scope, prefix: str = "") -> Row:
    """The cells of a campaign: the scope's ids under the names that stand in the table's addresses."""
    parts = next(one for one in PROMO_NUMBERS.scopes if len(one) == len(scope))
    places = (
        (name, text) for part, text in zip(parts, scope, strict=True) for _, name, _, _ in Formatter().parse(part)
    )
    return {f"{prefix}{name}": text for name, text in places if name}


def _fields(done: Done, one: Mapping[str, Json]) -> dict[str, Json]:
    """What the run has sent of an object; the rest is not its doing, even if it changed meanwhile."""
    parts = {part.name for part in done.resource.parts}
    return {name: value for name, value in one.items() if name in (done.step.body or {}) and name not in parts}


def _set_back(done: Done, name: str, now: Mapping[str, Json], version: str) -> SetBack:
    part = next(part for part in done.resource.parts if part.name == name)
    before = (done.step.before or {}).get(name) or ()
    return restore_cells.set_back(part, before, now[name], version)
