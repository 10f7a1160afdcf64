"""An object as it was and as it is -> the cells that make it again what it was, and none besides. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from invoca_bulk.schema import REMOVE_ACTION, SUBRESOURCE_KEY, field_types, paths, payloads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from invoca_bulk.schema import Field, Resource
    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.service.export.object_rows import Row


class _Value(NamedTuple):
    """A value as a cell would show it; not `is_representable`: no cell can mean it."""

    text: str
    is_representable: bool


_ValuesByPath: TypeAlias = "dict[str, _Value]"

#: The list within a user, and what one of its entries is known by; its numbers mean nothing.
_LIST_FIELD, _ENTRY_KEY_FIELD = "email_settings", "email_address"


class Restore(NamedTuple):
    """What puts an object back.

    Attributes:
        cells: path to text; `[]` clears.
        unrestorable_paths: the paths that no cell can put back.
    """

    cells: Row
    unrestorable_paths: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PartRestore:
    """What puts a user or a site back.

    Attributes:
        cells: path within the part to text; the id is there in any case.
        is_changed: whether there is anything to do.
        is_recreated: whether it is not there now.
    """

    cells: Row
    is_changed: bool
    is_recreated: bool = False


class PartSetRestore(NamedTuple):
    """What puts the users or the sites of an object back.

    Attributes:
        parts: each that there was or is: first those that there were, in their order.
        keeps_order: whether they come back in their order when only those that change are named.
        unrestorable_paths: the paths that no cell can put back.
    """

    parts: tuple[PartRestore, ...]
    keeps_order: bool
    unrestorable_paths: tuple[str, ...]


def restore_fields(resource: Resource, before: Mapping[str, Json], now: Mapping[str, Json], version: str) -> Restore:
    """What puts the fields of an object itself back.

    Args:
        resource: what it is.
        before: as it was; without its parts, and without what shall stay as it is.
        now: as it is, the same.
        version: the API version that it was read with.
    """
    return _restore_differing(
        resource, _changeable_values(resource, before, version), _changeable_values(resource, now, version)
    )


def restore_parts(
    part: Resource, before: Sequence[Mapping[str, Json]], now: Sequence[Mapping[str, Json]], version: str
) -> PartSetRestore:
    """What puts the parts of one sort back; the arguments are as for `restore_fields`."""
    old, new = (_index_by_id(part, some) for some in (before, now))
    if old is None or new is None:
        return PartSetRestore((), keeps_order=True, unrestorable_paths=(f"{part.name} {SUBRESOURCE_KEY}",))
    known = {own_id: _restore_part(part, one, new.get(own_id), version) for own_id, one in old.items()}
    parts = [
        PartRestore(
            cells={SUBRESOURCE_KEY: own_id, **back.cells},
            is_changed=bool(back.cells) or own_id not in new,
            is_recreated=own_id not in new,
        )
        for own_id, back in known.items()
    ]
    gone = [own_id for own_id in new if own_id not in old]
    parts += [PartRestore(cells={SUBRESOURCE_KEY: own_id, "action": REMOVE_ACTION}, is_changed=True) for own_id in gone]
    appended = [*(own_id for own_id in new if own_id in old), *(own_id for own_id in old if own_id not in new)]
    stuck = tuple(f"{part.name} {own_id} {path}" for own_id, back in known.items() for path in back.unrestorable_paths)
    return PartSetRestore(tuple(parts), keeps_order=appended == list(old), unrestorable_paths=stuck)


def _index_by_id(part: Resource, records: Sequence[Mapping[str, Json]]) -> dict[str, Mapping[str, Json]] | None:
    """The parts by their ids as cells name them; None: not all of them can be named."""
    ids = [
        str(payloads.normalize_value(part.by_path[SUBRESOURCE_KEY], one.get(SUBRESOURCE_KEY)) or "") for one in records
    ]
    return dict(zip(ids, records, strict=True)) if all(ids) and len(set(ids)) == len(ids) else None


def _restore_part(part: Resource, before: Mapping[str, Json], now: Mapping[str, Json] | None, version: str) -> Restore:
    """What puts one part back; `now` None: it is not there any more."""
    old, new = _changeable_values(part, before, version), _changeable_values(part, now or {}, version)
    own = _restore_differing(part, _without_entries(old), _without_entries(new))
    listed = _restore_entries(_entries_by_number(old), _entries_by_number(new))
    return Restore(own.cells | listed.cells, own.unrestorable_paths + listed.unrestorable_paths)


# Values


def _changeable_values(resource: Resource, one: Mapping[str, Json], version: str) -> _ValuesByPath:
    """Path to value of all that an update can change."""
    told = payloads.to_cell_texts(resource, one, version)
    found = {path: _Value(text, is_representable=True) for path, text in told.texts.items()}
    found |= {path: _Value(str(value), is_representable=False) for path, value in told.unrepresentable}
    return {path: value for path, value in found.items() if _is_changeable(_field(resource, path))}


def _field(resource: Resource, path: str) -> Field:
    return resource.by_path[paths.to_pattern(path)]


def _is_changeable(field: Field) -> bool:
    return field.is_sent and field.applies_on_create and field.applies_on_update and field.path != SUBRESOURCE_KEY


def _restore_differing(resource: Resource, old: _ValuesByPath, new: _ValuesByPath) -> Restore:
    differing = [path for path in dict.fromkeys([*old, *new]) if old.get(path) != new.get(path)]
    cells = {
        path: text for path in differing if (text := _cell_text(_field(resource, path), old.get(path))) is not None
    }
    return Restore(cells, tuple(path for path in differing if path not in cells))


def _cell_text(field: Field, value: _Value | None) -> str | None:
    """The text that asks for a value; None: no text does."""
    if value is None:
        return field_types.CLEAR if field.clearable else None
    return value.text if value.is_representable else None


# The email addresses of a user


def _without_entries(values: _ValuesByPath) -> _ValuesByPath:
    return {path: value for path, value in values.items() if not path.startswith(f"{_LIST_FIELD}.")}


def _entries_by_number(values: _ValuesByPath) -> dict[int, _ValuesByPath]:
    """Number of an entry to leaf to value."""
    found: dict[int, _ValuesByPath] = defaultdict(dict)
    for path, value in values.items():
        name, _, rest = path.partition(".")
        if name == _LIST_FIELD:
            number, _, leaf = rest.partition(".")
            found[int(number)][leaf] = value
    return dict(found)


def _restore_entries(old: Mapping[int, _ValuesByPath], new: Mapping[int, _ValuesByPath]) -> Restore:
    """An entry that there was takes the number of the same one, or a free one; whole, if it differs."""
    numbers = {_entry_key(one): number for number, one in new.items()}
    free = count(max(new, default=0) + 1)
    wanted = {numbers.pop(_entry_key(one), 0) or next(free): one for one in old.values()}
    differing = {number: one for number, one in wanted.items() if new.get(number) != one}
    values = {
        f"{_LIST_FIELD}.{number}.{leaf}": value for number, one in differing.items() for leaf, value in one.items()
    }
    cells = {path: value.text for path, value in values.items() if value.is_representable}
    taken_away = {f"{_LIST_FIELD}.{number}.{_ENTRY_KEY_FIELD}": field_types.CLEAR for number in numbers.values()}
    return Restore(cells | taken_away, tuple(path for path in values if path not in cells))


def _entry_key(entry: _ValuesByPath) -> str:
    return entry[_ENTRY_KEY_FIELD].text.casefold() if _ENTRY_KEY_FIELD in entry else ""
