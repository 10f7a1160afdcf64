"""An object before and after a run -> the cells that restore it, and no others. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple, TypeAlias

from invoca_bulk.planning import merge
from invoca_bulk.planning.display_values import id_text
from invoca_bulk.schema import REMOVE_ACTION, SUBRESOURCE_KEY, Resource, field_types, paths, payloads
from invoca_bulk.schema.field_types import Json
from invoca_bulk.service.export.object_rows import Row


class _Value(NamedTuple):
    """A value as a cell would show it; no cell can ask for it unless `is_representable`."""

    text: str
    is_representable: bool


_ValuesByPath: TypeAlias = "dict[str, _Value]"

#: The list within a user, and the field that identifies an entry; an entry's number is only its position.
((_LIST_FIELD, _ENTRY_KEY_FIELD),) = merge.ENTRY_KEY_FIELDS.items()


class Restore(NamedTuple):
    """What restores an object."""

    cells: Row  # path to text; `[]` clears
    unrestorable_paths: tuple[str, ...]  # the paths that no cell can restore


@dataclass(frozen=True, kw_only=True)
class PartRestore:
    """What restores a user or a site."""

    cells: Row  # path within the part to text; always has the id
    is_changed: bool
    is_recreated: bool = False  # whether it does not exist now


class PartSetRestore(NamedTuple):
    """What restores the users or the sites of an object."""

    parts: tuple[PartRestore, ...]  # those before the run, in their order, then those that the run added
    keeps_order: bool  # whether naming only the changed ones restores their order
    unrestorable_paths: tuple[str, ...]


def restore_fields(resource: Resource, before: Mapping[str, Json], now: Mapping[str, Json], version: str) -> Restore:
    """What restores an object's own fields, without users and sites: the same fields before the run and now."""
    old, new = (_changeable_values(resource, record, version) for record in (before, now))
    return _restore_differing(resource, old, new)


def restore_parts(
    part: Resource, before: Sequence[Mapping[str, Json]], now: Sequence[Mapping[str, Json]], version: str
) -> PartSetRestore:
    """What restores the users, or the sites, of an object."""
    old, new = (_index_by_id(part, records) for records in (before, now))
    if old is None or new is None:
        return PartSetRestore((), keeps_order=True, unrestorable_paths=(f"{part.name} {SUBRESOURCE_KEY}",))
    restores = {own_id: _restore_part(part, record, new.get(own_id), version) for own_id, record in old.items()}
    parts = [
        PartRestore(
            cells={SUBRESOURCE_KEY: own_id, **restore.cells},
            is_changed=bool(restore.cells) or own_id not in new,
            is_recreated=own_id not in new,
        )
        for own_id, restore in restores.items()
    ]
    parts += [
        PartRestore(cells={SUBRESOURCE_KEY: own_id, "action": REMOVE_ACTION}, is_changed=True)
        for own_id in new
        if own_id not in old
    ]
    merged_order = [*(own_id for own_id in new if own_id in old), *(own_id for own_id in old if own_id not in new)]
    unrestorable = tuple(
        f"{part.name} {own_id} {path}" for own_id, restore in restores.items() for path in restore.unrestorable_paths
    )
    return PartSetRestore(tuple(parts), keeps_order=merged_order == list(old), unrestorable_paths=unrestorable)


def _index_by_id(part: Resource, records: Sequence[Mapping[str, Json]]) -> dict[str, Mapping[str, Json]] | None:
    """The parts by id, as cells name them; None: some have no id or the same one."""
    ids = [id_text(part, record) for record in records]
    return dict(zip(ids, records, strict=True)) if all(ids) and len(set(ids)) == len(ids) else None


def _restore_part(part: Resource, before: Mapping[str, Json], now: Mapping[str, Json] | None, version: str) -> Restore:
    """What restores one part; `now` None: it no longer exists."""
    old, new = _changeable_values(part, before, version), _changeable_values(part, now or {}, version)
    fields = _restore_differing(part, _without_entries(old), _without_entries(new))
    entries = _restore_entries(_entries_by_number(old), _entries_by_number(new))
    return Restore(fields.cells | entries.cells, fields.unrestorable_paths + entries.unrestorable_paths)


def _changeable_values(resource: Resource, record: Mapping[str, Json], version: str) -> _ValuesByPath:
    cells = payloads.to_cell_texts(resource, record, version)
    values = {path: _Value(text, is_representable=True) for path, text in cells.texts.items()}
    values |= {path: _Value(str(value), is_representable=False) for path, value in cells.unrepresentable}
    fields = {path: resource.by_path[paths.to_pattern(path)] for path in values}
    return {
        path: values[path]
        for path, field in fields.items()
        if field.is_sent and field.applies_on_create and field.applies_on_update and field.path != SUBRESOURCE_KEY
    }


def _restore_differing(resource: Resource, old: _ValuesByPath, new: _ValuesByPath) -> Restore:
    cells: Row = {}
    unrestorable = []
    for parent in _removable_parents(resource):
        leaves_before, leaves_now = (
            {path for path in values if path.startswith(f"{parent}.")} for values in (old, new)
        )
        if leaves_now - leaves_before:  # removed as a whole, and what it had before is set anew
            cells[parent] = field_types.CLEAR
            new = {path: value for path, value in new.items() if path not in leaves_now}
    for path in dict.fromkeys([*old, *new]):
        value = old.get(path)
        if value == new.get(path):
            continue
        if value and value.is_representable:
            cells[path] = value.text
        elif not value and resource.by_path[paths.to_pattern(path)].clearable:
            cells[path] = field_types.CLEAR
        else:
            unrestorable.append(path)
    return Restore(cells, tuple(unrestorable))


def _removable_parents(resource: Resource) -> list[str]:
    """The fields whose cell removes all fields below them, as that of hours of operation does."""
    return [
        field.path
        for field in resource.fields
        if field.clearable and any(other.path.startswith(f"{field.path}.") for other in resource.fields)
    ]


def _without_entries(values: _ValuesByPath) -> _ValuesByPath:
    return {path: value for path, value in values.items() if not path.startswith(f"{_LIST_FIELD}.")}


def _entries_by_number(values: _ValuesByPath) -> dict[int, _ValuesByPath]:
    """Entry number to leaf to value."""
    entries: dict[int, _ValuesByPath] = defaultdict(dict)
    for path, value in values.items():
        list_name, _, entry_path = path.partition(".")
        if list_name == _LIST_FIELD:
            number, _, leaf = entry_path.partition(".")
            entries[int(number)][leaf] = value
    return dict(entries)


def _restore_entries(old: Mapping[int, _ValuesByPath], new: Mapping[int, _ValuesByPath]) -> Restore:
    """Restore each old entry under the number of the entry with the same key, or a new number; whole, if it differs."""
    number_by_key = {_entry_key(entry): number for number, entry in new.items()}
    new_numbers = count(max(new, default=0) + 1)
    entries = {number_by_key.pop(_entry_key(entry), 0) or next(new_numbers): entry for entry in old.values()}
    values = {
        f"{_LIST_FIELD}.{number}.{leaf}": value
        for number, entry in entries.items()
        if new.get(number) != entry
        for leaf, value in entry.items()
    }
    cells = {path: value.text for path, value in values.items() if value.is_representable}
    removals = {f"{_LIST_FIELD}.{number}.{_ENTRY_KEY_FIELD}": field_types.CLEAR for number in number_by_key.values()}
    return Restore(cells | removals, tuple(path for path in values if path not in cells))


def _entry_key(entry: _ValuesByPath) -> str:
    return merge.entry_key(entry[_ENTRY_KEY_FIELD].text) if _ENTRY_KEY_FIELD in entry else ""
