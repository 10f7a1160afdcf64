"""The platform's object + a patch -> the whole object to send back, and what that changes.

With each write of an advertiser the platform expects all of its sites and users, and deletes those that are left out.
So an update starts from the object as the platform has it and changes what the patch names; all else is sent back.

A patch is JSON: `{"nested": "merge"|"replace", "values": {path: value}, "parts": [{"collection": "users", "id": "U-1",
"remove": false, "values": {path: value}}]}`. Null clears a value; a part's paths begin within the part, and each part
is named once. `bind_entries` adds to a part which of the platform's entries its numbers mean: `"entries"`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from invoca_bulk.schema import SHEET_RESOURCES, SUBRESOURCE_KEY, field_types, paths, payloads

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from invoca_bulk.schema import Field, Resource
    from invoca_bulk.schema.field_types import Json

#: A part: its collection (`users`) and its id within the object.
PartId = tuple[str, str]
#: An entry of a list, as the start of its paths (`email_settings.2`), to what it is known by; empty: by nothing.
EntryKeys = dict[str, str]

#: A list within a part to the leaf by which an entry of it is known; its number is only the order it was seen in.
_ENTRY_KEY_FIELDS = {"email_settings": "email_address"}
#: The collections whose first part is the default; any other order means nothing.
_COLLECTIONS_WITH_DEFAULT = frozenset({"sites"})
#: What a part is called in a sentence, from what it has of these.
_NAME_FIELDS = ("first_name", "last_name", "name")
#: Sent back to the letter: a space at the end of a user's id is part of the id, and another id is another user.
_VERBATIM_TYPES = (field_types.TEXT, field_types.ID)


@dataclass(frozen=True, kw_only=True)
class ValueChange:
    """One value that a write changes.

    Attributes:
        part: the collection and the id of the user or site that has it; None: the object itself has it. Which site is
            the default is a value of the object: `sites.1.id_from_network`.
        path: within the part; the number of an email address is the one that the sheet gave it.
        old: the JSON value that the platform has; None: none.
        new: the JSON value that it is to have; None: none. The path of an email address then stands for all its entry.
    """

    part: PartId | None
    path: str
    old: Json
    new: Json


@dataclass(frozen=True, kw_only=True)
class RemovedPart:
    """A part that a write takes away.

    Attributes:
        collection: `users` or `sites`.
        id: its `id_from_network`; empty when the platform has none.
        name: first and last name of a user, name of a site; without one, the id.
    """

    collection: str
    id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class MergeResult:
    """The object to send, and what it changes.

    Attributes:
        body: the JSON object, with the full sets of parts; without the object's own id where that is in the address.
        changes: the values that differ, those of added parts included, those of removed ones not.
        removed: the parts that are no longer there.
        added: the parts that are new.
    """

    body: Mapping[str, Json]
    changes: tuple[ValueChange, ...]
    removed: tuple[RemovedPart, ...] = ()
    added: tuple[PartId, ...] = ()

    @property
    def has_changes(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.changes or self.removed or self.added)


class _Slot(NamedTuple):
    """One place in a set of parts: what the platform has there, what the patch says of it, each None for nothing."""

    id: str
    current: Mapping[str, Json] | None
    requested: Mapping[str, Json] | None


def display_name(part: Mapping[str, Json]) -> str:
    """What people call a part: first and last name of a user, the name of a site; empty when it has none."""
    return " ".join(str(part[one]).strip() for one in _NAME_FIELDS if part.get(one))


def describe_part(collection: str, own_id: str, name: str) -> str:
    """A part in a sentence: `user Jim Williams (U-2)`; `site 996` where it has no name."""
    one = SHEET_RESOURCES[collection].singular
    return f"{one} {name} ({own_id})" if name and name != own_id else f"{one} {own_id}"


def to_writable(resource: Resource, current: Mapping[str, Json], version: str) -> dict[str, Json]:
    """The platform's object as it is sent back: all that a write can carry, under the names and in the forms for it.

    Without nulls, read-only and secret fields and those that the version does not know.
    """
    names = {part.name for part in resource.subresources}
    own = {name: value for name, value in current.items() if name not in names}
    sent = {
        path: form
        for path, field, value in payloads.flatten_known(resource, own, version)
        if _is_writable(field, version, is_new=False) and (form := _writable_value(field, value)) is not None
    }
    records = {part.name: current.get(part.name) or () for part in resource.subresources}
    parts = {
        part.name: [to_writable(part, one, version) for one in records[part.name]] for part in resource.subresources
    }
    return paths.nest(sent) | parts


def merge_patch(
    resource: Resource, patch: Mapping[str, Json], current: Mapping[str, Json] | None, version: str
) -> MergeResult:
    """Change what the patch names, and keep everything else.

    Applied to what it came to, a patch changes nothing more (one with numbered entries: if it is `bind_entries`).

    Args:
        resource: what the object is.
        patch: see the module.
        current: the object as the platform has it now; None: it is to be created.
        version: the API version of the request; what it does not know is not sent.
    """
    old = None if current is None else to_writable(resource, current, version)
    names = {part.name for part in resource.subresources}
    there = None if old is None else {key: one for key, one in old.items() if key not in {*names, SUBRESOURCE_KEY}}
    values = {path: value for path, value in patch["values"].items() if old is None or path != SUBRESOURCE_KEY}
    own = _edit_object(resource, None, there, {"values": values}, version)
    sets = [_edit_set(part, patch, (old or {}).get(part.name, ()), version) for part in resource.subresources]
    bodies = {
        part.name: one.body
        for part, one in zip(resource.subresources, sets, strict=True)
        if one.body or old is not None
    }
    return MergeResult(
        body=own.body | bodies,
        changes=(*own.changes, *(change for one in sets for change in one.changes)),
        removed=tuple(removed for one in sets for removed in one.removed),
        added=tuple(added for one in sets for added in one.added),
    )


def bind_entries(
    resource: Resource, patch: Mapping[str, Json], current: Mapping[str, Json] | None, version: str
) -> Mapping[str, Json]:
    """The patch with its numbered entries tied to those that they mean in the object as it is now.

    The second email address is another one once the first has been taken away; a bound patch, applied again or after
    somebody else's change, still means the address that the plan has shown.
    """
    old = to_writable(resource, current or {}, version)
    there = {(part.name, _part_id(part, one)): one for part in resource.subresources for one in old[part.name]}
    parts = [_bind_part(one, there.get((one["collection"], str(one["id"])), {})) for one in patch["parts"]]
    return {**patch, "parts": parts}


def minimal_patch(patch: Mapping[str, Json], merged: MergeResult) -> dict[str, Json]:
    """A bound patch with nothing but what it changes: what a sheet only repeats must not undo others' changes.

    New parts and new email addresses stay whole; under `replace` each part stays in the set, if only with its id.

    Args:
        patch: a bound one.
        merged: what it came to.
    """
    changes: dict[PartId | None, list[ValueChange]] = defaultdict(list)
    for change in merged.changes:
        changes[change.part].append(change)
    whole = {*merged.added, *((one.collection, one.id) for one in merged.removed)}
    parts = []
    for one in patch["parts"]:
        name = (one["collection"], str(one["id"]))
        if name in whole:
            parts.append(one)
        elif not one["remove"] and (changes[name] or patch["nested"] == "replace"):
            parts.append({**one, "values": _changed_values(one["values"], changes[name])})
    return {**patch, "values": _changed_values(patch["values"], changes[None]), "parts": parts}


def _changed_values(values: Mapping[str, Json], changes: Sequence[ValueChange]) -> dict[str, Json]:
    changed = {change.path for change in changes}
    added = {
        _entry_path(one.path)
        for one in changes
        if one.old is None and one.path == _entry_key_path(_entry_path(one.path))
    }
    return {path: value for path, value in values.items() if path in changed or _entry_path(path) in added}


def missing_entries(
    resource: Resource, patch: Mapping[str, Json], current: Mapping[str, Json], version: str
) -> list[tuple[PartId, str]]:
    """The email addresses that a bound patch would change and that the object, as it is now, does not have."""
    old = to_writable(resource, current, version)
    there = {
        (part.name, _part_id(part, one)): set(_entry_keys(dict(payloads.flatten_object(one))).values())
        for part in resource.subresources
        for one in old[part.name]
    }
    names = (((one["collection"], str(one["id"])), one) for one in patch["parts"] if not one["remove"])
    return [(name, known_by) for name, one in names for known_by in _missing_entry_keys(one, there.get(name))]


def _missing_entry_keys(one: Mapping[str, Json], there: set[str] | None) -> Iterator[str]:
    """What the entries that a part of a patch means are known by, where the part is there and they are not."""
    for entry, wanted in _entry_keys(one["values"]).items():
        meant = one.get("entries", {}).get(entry)
        if there is not None and meant and not _removes_entry(entry, one["values"]) and not {meant, wanted} & there:
            yield meant


# One object or part


class _EditResult(NamedTuple):
    body: dict[str, Json]
    changes: list[ValueChange]


def _edit_object(
    resource: Resource,
    name: PartId | None,
    old: Mapping[str, Json] | None,
    asked: Mapping[str, Json],
    version: str,
) -> _EditResult:
    """The object (`name` None) or part with the values that are asked for; `old` None: it is new."""
    leaves = dict(payloads.flatten_object(old or {}))
    changes = []
    for path, place, value in _locate_values(leaves, asked):
        field = resource.by_path[paths.to_pattern(path)]
        before = leaves.get(place)
        if not _is_writable(field, version, is_new=old is None) or _clears_nothing(field, before, value):
            continue
        if old is not None and _is_equal(field, before, value):
            leaves.setdefault(place, value)
        else:
            leaves[place] = value
            changes.append(ValueChange(part=name, path=path, old=before, new=value))
    return _EditResult(paths.nest(_without_removed_entries(leaves)), changes)


def _is_writable(field: Field, version: str, *, is_new: bool) -> bool:
    return (
        field.is_sent
        and field.is_known_in(version)
        and (field.applies_on_create if is_new else field.applies_on_update)
    )


def _writable_value(field: Field, value: Json) -> Json:
    form = payloads.normalize_value(field, value)
    return value if form is not None and field.field_type in _VERBATIM_TYPES else form


def _clears_nothing(field: Field, before: Json, value: Json) -> bool:
    return before is None and payloads.normalize_value(field, value) is None


def _is_equal(field: Field, before: Json, value: Json) -> bool:
    return bool(_comparison_form(field, before) == _comparison_form(field, value))


def _comparison_form(field: Field, value: Json) -> Json:
    """A value as it is compared: missing, null, blank and the platform's default are one, and a number of the USA or
    Canada has two forms.
    """  # noqa: D205  one sentence
    form = payloads.normalize_value(field, value)
    if form is None:
        return field.default
    return form.removeprefix("+1") if field.field_type is field_types.PHONE and isinstance(form, str) else form


# The parts of an object


class _SetResult(NamedTuple):
    body: list[dict[str, Json]]
    changes: list[ValueChange]
    removed: list[RemovedPart]
    added: list[PartId]


def _edit_set(part: Resource, patch: Mapping[str, Json], old: Sequence[Mapping[str, Json]], version: str) -> _SetResult:
    asked = {str(one["id"]): one for one in patch["parts"] if one["collection"] == part.name}
    slots = _SLOT_BUILDERS[patch["nested"]]([(_part_id(part, one), one) for one in old], asked)
    found = _SetResult([], [], [], [])
    for slot in slots:
        _apply_slot(found, part, slot, version)
    found.changes.extend(_default_changes(part, old, found.body))
    return found


def _default_changes(
    part: Resource, old: Sequence[Mapping[str, Json]], new: Sequence[Mapping[str, Json]]
) -> list[ValueChange]:
    """The change of which part is the default, where the old one stays."""
    before, after = ([_part_id(part, one) for one in some] for some in (old, new))
    if part.name not in _COLLECTIONS_WITH_DEFAULT or not before or before[0] not in after[1:] or before[0] == after[0]:
        return []
    return [ValueChange(part=None, path=f"{part.name}.1.{SUBRESOURCE_KEY}", old=before[0], new=after[0])]


def _merge_slots(old: list[tuple[str, Mapping[str, Json]]], asked: Mapping[str, Mapping[str, Json]]) -> Iterator[_Slot]:
    """All that the platform has, in its order (the first site is the default), and then what is new."""
    yield from (_Slot(part_id, one, asked.get(part_id)) for part_id, one in old)
    known = {part_id for part_id, _ in old}
    yield from (_Slot(part_id, None, one) for part_id, one in asked.items() if part_id not in known)


def _replace_slots(
    old: list[tuple[str, Mapping[str, Json]]], asked: Mapping[str, Mapping[str, Json]]
) -> Iterator[_Slot]:
    """What the patch names, in its order; the rest of what the platform has goes."""
    there = dict(reversed(old))  # should two have one id, the first of them stays
    yield from (_Slot(part_id, there.get(part_id), one) for part_id, one in asked.items())
    gone = ((part_id, one) for part_id, one in old if part_id not in asked or one is not there[part_id])
    yield from (_Slot(part_id, one, {"remove": True}) for part_id, one in gone)


_SLOT_BUILDERS = {"merge": _merge_slots, "replace": _replace_slots}


def _apply_slot(found: _SetResult, part: Resource, slot: _Slot, version: str) -> None:
    """Add what becomes of one place of the set."""
    name = (part.name, slot.id)
    if slot.requested is None:
        found.body.append(dict(slot.current or {}))
    elif slot.requested["remove"]:
        found.removed.extend([] if slot.current is None else [_to_removed_part(name, slot.current)])
    else:
        edited = _edit_object(part, name, slot.current, _requested_values(slot), version)
        found.body.append(edited.body)
        found.changes.extend(edited.changes)
        found.added.extend([name] if slot.current is None else [])


def _requested_values(slot: _Slot) -> dict[str, Json]:
    """What is asked for, with the id only if the part is new: one that is there keeps its own, to the letter."""
    asked = dict(slot.requested or {})
    values = {path: value for path, value in asked["values"].items() if path != SUBRESOURCE_KEY}
    return asked | {"values": {SUBRESOURCE_KEY: slot.id, **values} if slot.current is None else values}


def _to_removed_part(name: PartId, record: Mapping[str, Json]) -> RemovedPart:
    collection, part_id = name
    return RemovedPart(collection=collection, id=part_id, name=display_name(record) or part_id)


def _part_id(part: Resource, record: Mapping[str, Json]) -> str:
    """The id of a part as text; empty when it has none, which no patch can name."""
    value = payloads.normalize_value(part.by_path[SUBRESOURCE_KEY], record.get(SUBRESOURCE_KEY))
    return "" if value is None else str(value)


# The entries of a list within a part


def _locate_values(leaves: Mapping[str, Json], asked: Mapping[str, Json]) -> Iterator[tuple[str, str, Json]]:
    """Each value that is asked for as (path, path in the object, value); nothing for an entry that is gone already."""
    values = asked["values"]
    there, wanted = _entry_keys(leaves), _entry_keys(values)
    meant = asked.get("entries", _match_entries(there, wanted))
    places = {known_by: entry for entry, known_by in reversed(there.items())}  # of two that are equal, the first
    numbers = count(1 + max((int(entry.rpartition(".")[2]) for entry in there), default=0))
    targets: dict[str, str | None] = {"": ""}
    for entry, known_by in wanted.items():
        found = (places.get(known_by) if known_by else None) or places.get(meant.get(entry, ""))
        new = f"{entry.rpartition('.')[0]}.{next(numbers)}"
        targets[entry] = found or (None if _removes_entry(entry, values) else new)
    for path, value in values.items():
        entry = _entry_path(path)
        target = targets[entry]
        if target is not None and (path == _entry_key_path(entry) or not _removes_entry(entry, values)):
            yield path, f"{target}{path.removeprefix(entry)}", value


def _match_entries(there: EntryKeys, wanted: EntryKeys) -> EntryKeys:
    """Each entry of a patch to what the entry that it means is known by; empty: there is none yet.

    The one with the same address; else the one with the same number, unless another one was meant by its address.
    """
    claimed = set(filter(None, wanted.values())) & set(there.values())
    by_number = {entry: "" if there.get(entry) in claimed else there.get(entry, "") for entry in wanted}
    return {entry: known_by if known_by in claimed else by_number[entry] for entry, known_by in wanted.items()}


def _bind_part(one: Mapping[str, Json], record: Mapping[str, Json]) -> Mapping[str, Json]:
    wanted = _entry_keys(one["values"])
    if not wanted or "entries" in one:  # a patch that was cut has not all that its numbers were told by
        return one
    return {**one, "entries": _match_entries(_entry_keys(dict(payloads.flatten_object(record))), wanted)}


def _entry_path(path: str) -> str:
    """The entry that a path leads into: `email_settings.2`; empty when it is not in such a list."""
    name, _, rest = path.partition(".")
    return f"{name}.{rest.partition('.')[0]}" if name in _ENTRY_KEY_FIELDS else ""


def _entry_key_path(entry: str) -> str:
    return f"{entry}.{_ENTRY_KEY_FIELDS[entry.partition('.')[0]]}" if entry else ""


def _entry_keys(leaves: Mapping[str, Json]) -> EntryKeys:
    """Each entry of the lists to what it is known by: an email address, in any case."""
    found = dict.fromkeys(filter(None, map(_entry_path, leaves)))
    return {entry: str(leaves.get(_entry_key_path(entry)) or "").casefold() for entry in found}


def requested_entry_path(path: str, record: Mapping[str, Json], values: Mapping[str, Json]) -> str:
    """A path within a part that is sent, numbered as the values that were asked for number the same email address."""
    entry, wanted = _entry_path(path), _entry_keys(values)
    known_by = _entry_keys(dict(payloads.flatten_object(record))).get(entry)
    same = [one for one, other in wanted.items() if known_by and other == known_by]
    return path if entry in same or not same else f"{same[0]}{path.removeprefix(entry)}"


def _removes_entry(entry: str, values: Mapping[str, Json]) -> bool:
    """Whether the values clear what the entry is known by, and so all of it."""
    key = _entry_key_path(entry)
    return key in values and values[key] is None


def _without_removed_entries(leaves: Mapping[str, Json]) -> dict[str, Json]:
    return {path: value for path, value in leaves.items() if not _removes_entry(_entry_path(path), leaves)}
