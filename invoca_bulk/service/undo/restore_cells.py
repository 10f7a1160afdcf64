"""An object as it was and as it is -> the cells that make it again what it was, and none besides. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from invoca_bulk.schema import PART_KEY, REMOVE, field_types, paths, payloads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from invoca_bulk.schema import Field, Resource
    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.service.export.object_rows import Row


class _Value(NamedTuple):
    """A value as a cell would show it; not `held`: no cell can mean it."""

    text: str
    held: bool


_Values: TypeAlias = "dict[str, _Value]"

#: The list within a user, and what one of its entries is known by; its numbers mean nothing.
_LIST, _KNOWN_BY = "email_settings", "email_address"


class Back(NamedTuple):
    """What puts an object back.

    Attributes:
        cells: path to text; `[]` clears.
        stuck: the paths that no cell can put back.
    """

    cells: Row
    stuck: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PartBack:
    """What puts a user or a site back.

    Attributes:
        cells: path within the part to text; the id is there in any case.
        is_changed: whether there is anything to do.
        is_returning: whether it is not there now.
    """

    cells: Row
    is_changed: bool
    is_returning: bool = False


class SetBack(NamedTuple):
    """What puts the users or the sites of an object back.

    Attributes:
        parts: each that there was or is: first those that there were, in their order.
        in_order: whether they come back in their order when only those that change are named.
        stuck: the paths that no cell can put back.
    """

    parts: tuple[PartBack, ...]
    in_order: bool
    stuck: tuple[str, ...]


def fields_back(resource: Resource, before: Mapping[str, Json], now: Mapping[str, Json], version: str) -> Back:
    """What puts the fields of an object itself back.

    Args:
        resource: what it is.
        before: as it was; without its parts, and without what shall stay as it is.
        now: as it is, the same.
        version: the API version that it was read with.
    """
    return _difference(resource, _values(resource, before, version), _values(resource, now, version))


def set_back(
    part: Resource, before: Sequence[Mapping[str, Json]], now: Sequence[Mapping[str, Json]], version: str
) -> SetBack:
    """What puts the parts of one sort back; the arguments are as for `fields_back`."""
    old, new = (_by_id(part, some) for some in (before, now))
    if old is None or new is None:
        return SetBack((), in_order=True, stuck=(f"{part.name} {PART_KEY}",))
    known = {own_id: _one_back(part, one, new.get(own_id), version) for own_id, one in old.items()}
    parts = [
        PartBack(
            cells={PART_KEY: own_id, **back.cells},
            is_changed=bool(back.cells) or own_id not in new,
            is_returning=own_id not in new,
        )
        for own_id, back in known.items()
    ]
    gone = [own_id for own_id in new if own_id not in old]
    parts += [PartBack(cells={PART_KEY: own_id, "action": REMOVE}, is_changed=True) for own_id in gone]
    appended = [*(own_id for own_id in new if own_id in old), *(own_id for own_id in old if own_id not in new)]
    stuck = tuple(f"{part.name} {own_id} {path}" for own_id, back in known.items() for path in back.stuck)
    return SetBack(tuple(parts), in_order=appended == list(old), stuck=stuck)


def _by_id(part: Resource, records: Sequence[Mapping[str, Json]]) -> dict[str, Mapping[str, Json]] | None:
    """The parts by their ids as cells name them; None: not all of them can be named."""
    ids = [str(payloads.canonical(part.by_path[PART_KEY], one.get(PART_KEY)) or "") for one in records]
    return dict(zip(ids, records, strict=True)) if all(ids) and len(set(ids)) == len(ids) else None


def _one_back(part: Resource, before: Mapping[str, Json], now: Mapping[str, Json] | None, version: str) -> Back:
    """What puts one part back; `now` None: it is not there any more."""
    old, new = _values(part, before, version), _values(part, now or {}, version)
    own = _difference(part, _without_list(old), _without_list(new))
    listed = _list_back(_entries(old), _entries(new))
    return Back(own.cells | listed.cells, own.stuck + listed.stuck)


# Values


def _values(resource: Resource, one: Mapping[str, Json], version: str) -> _Values:
    """Path to value of all that an update can change."""
    told = payloads.texts(resource, one, version)
    found = {path: _Value(text, held=True) for path, text in told.texts.items()}
    found |= {path: _Value(str(value), held=False) for path, value in told.left_out}
    return {path: value for path, value in found.items() if _is_changeable(_field(resource, path))}


def _field(resource: Resource, path: str) -> Field:
    return resource.by_path[paths.pattern(path)]


def _is_changeable(field: Field) -> bool:
    return field.is_sent and field.on_create and field.on_update and field.path != PART_KEY


def _difference(resource: Resource, old: _Values, new: _Values) -> Back:
    differing = [path for path in dict.fromkeys([*old, *new]) if old.get(path) != new.get(path)]
    cells = {path: text for path in differing if (text := _cell(_field(resource, path), old.get(path))) is not None}
    return Back(cells, tuple(path for path in differing if path not in cells))


def _cell(field: Field, value: _Value | None) -> str | None:
    """The text that asks for a value; None: no text does."""
    if value is None:
        return field_types.CLEAR if field.clearable else None
    return value.text if value.held else None


# The email addresses of a user


def _without_list(values: _Values) -> _Values:
    return {path: value for path, value in values.items() if not path.startswith(f"{_LIST}.")}


def _entries(values: _Values) -> dict[int, _Values]:
    """Number of an entry to leaf to value."""
    found: dict[int, _Values] = defaultdict(dict)
    for path, value in values.items():
        name, _, rest = path.partition(".")
        if name == _LIST:
            number, _, leaf = rest.partition(".")
            found[int(number)][leaf] = value
    return dict(found)


def _list_back(old: Mapping[int, _Values], new: Mapping[int, _Values]) -> Back:
    """An entry that there was takes the number of the same one, or a free one; whole, if it differs."""
    numbers = {_known_by(one): number for number, one in new.items()}
    free = count(max(new, default=0) + 1)
    wanted = {numbers.pop(_known_by(one), 0) or next(free): one for one in old.values()}
    differing = {number: one for number, one in wanted.items() if new.get(number) != one}
    values = {f"{_LIST}.{number}.{leaf}": value for number, one in differing.items() for leaf, value in one.items()}
    cells = {path: value.text for path, value in values.items() if value.held}
    taken_away = {f"{_LIST}.{number}.{_KNOWN_BY}": field_types.CLEAR for number in numbers.values()}
    return Back(cells | taken_away, tuple(path for path in values if path not in cells))


def _known_by(entry: _Values) -> str:
    return entry[_KNOWN_BY].text.casefold() if _KNOWN_BY in entry else ""
