"""The platform's object + a patch -> the whole object to send back, and what that changes.

Every write of an advertiser must contain all of its sites and users: the platform deletes those that are left out. So
an update starts from the object on the platform, changes what the patch names and sends everything else back.

A patch is JSON: `{"nested": "merge"|"replace", "values": {path: value}, "parts": [{"collection": "users", "id": "U-1",
"remove": false, "values": {path: value}}]}`. Null clears a value; a part's paths are relative to the part; each part is
named once. `bind_entries` adds to a part which of the platform's list entries its numbers mean: `"entries"`.
"""

from __future__ import annotations

import copy
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

from invoca_bulk.planning.display_values import id_text
from invoca_bulk.schema import SHEET_RESOURCES, SUBRESOURCE_KEY, Field, Resource, Role, field_types, paths, payloads
from invoca_bulk.schema.field_types import Json

#: A part: its collection (`users`) and its id within the object.
PartId = tuple[str, str]
#: A list entry, as the start of its paths (`email_settings.2`), to the key that identifies it; empty: no key.
EntryKeys = dict[str, str]

#: A list within a part to the leaf that identifies an entry; an entry's number is only its position.
ENTRY_KEY_FIELDS = {"email_settings": "email_address"}
#: The collections whose first part is the default; any other order is insignificant.
_COLLECTIONS_WITH_DEFAULT = frozenset({"sites"})
#: The fields that make up a part's name.
_NAME_FIELDS = ("first_name", "last_name", "name")
#: The country code beside a user's phone number, and the field of the number.
COUNTRY_CODE = "contact_country_code"
_PHONE_FIELD = SHEET_RESOURCES["users"].by_path["contact_phone_number"]
#: Sheet's resource to the top-level names that an update never sends: read-only, secret, or for a new object only.
_UNWRITABLE_NAMES = {
    resource.name: {field.path.partition(".")[0] for field in resource.fields if field.role is Role.BODY}
    - {field.path.partition(".")[0] for field in resource.fields if field.is_sent and field.applies_on_update}
    for resource in SHEET_RESOURCES.values()
}
#: Compared verbatim: a trailing space in a user's id is part of the id, and another id is another user.
_VERBATIM_TYPES = (field_types.TEXT, field_types.ID)


@dataclass(frozen=True, kw_only=True)
class ValueChange:
    """One value that a write changes."""

    #: The collection and the id of the user or site that has the value; None: the object itself. Which site is the
    #: default is a value of the object: `sites.1.id_from_network`.
    part: PartId | None
    path: str  # within the part; an email address has the number that the sheet gives it
    old: Json  # the JSON value on the platform; None: no value
    new: Json  # the JSON value to send; None: no value. The path of an email address then stands for its whole entry


@dataclass(frozen=True, kw_only=True)
class RemovedPart:
    """A user or site that a write removes."""

    collection: str
    id: str  # its `id_from_network`; empty when it has none
    name: str  # first and last name of a user, name of a site; the id if there is no name


@dataclass(frozen=True, kw_only=True)
class MergeResult:
    """The object to send, and what it changes."""

    body: Mapping[str, Json]  # with the full sets of parts; without the object's own id where that is in the path
    changes: tuple[ValueChange, ...]  # including those of added parts, excluding those of removed ones
    removed: tuple[RemovedPart, ...] = ()
    added: tuple[PartId, ...] = ()

    @property
    def has_changes(self) -> bool:
        """Whether the write changes anything."""
        return bool(self.changes or self.removed or self.added)


def display_name(part: Mapping[str, Json]) -> str:
    """First and last name of a user, the name of any other object; empty when it has none."""
    return " ".join(str(part[field]).strip() for field in _NAME_FIELDS if part.get(field))


def describe_part(collection: str, own_id: str, name: str) -> str:
    """A part in a sentence: `user Jim Williams (U-2)`; `site 996` where it has no name."""
    noun = SHEET_RESOURCES[collection].singular
    return f"{noun} {name} ({own_id})" if name and name != own_id else f"{noun} {own_id}"


def missing_collections(resource: Resource, body: Mapping[str, Json]) -> list[str]:
    """The names of the collections, such as `users`, that a body does not have as a list of objects."""
    collections = {subresource.name: body.get(subresource.name) for subresource in resource.subresources}
    return [
        name
        for name, parts in collections.items()
        if not (isinstance(parts, list) and all(isinstance(part, dict) for part in parts))
    ]


def to_writable(resource: Resource, current: Mapping[str, Json], version: str) -> dict[str, Json]:
    """The platform's object in the form in which it is sent back: everything that was read, to the letter.

    Keys and values that the table of fields does not know are kept. Read-only and secret fields, and fields that only
    apply to a new object, are left out; a field that is written under another name is renamed.
    """
    part_names = {part.name for part in resource.subresources}
    own_fields = {name: value for name, value in current.items() if name not in part_names}
    parts = {
        part.name: [to_writable(part, record, version) for record in current.get(part.name) or ()]
        for part in resource.subresources
    }
    return _rename_fields(resource, _without_unwritable(resource, own_fields)) | parts


def _without_unwritable(resource: Resource, fields: Mapping[str, Json]) -> dict[str, Json]:
    unwritable = _UNWRITABLE_NAMES[resource.name]
    return copy.deepcopy({name: value for name, value in fields.items() if name not in unwritable})


def _rename_fields(resource: Resource, tree: dict[str, Json]) -> dict[str, Json]:
    """Give each field that is read under another name the name under which it is written."""
    for field in resource.fields:
        if field.response_name and "." not in field.path and field.response_name in tree:
            shown = tree.pop(field.response_name)
            tree.setdefault(field.path, _written_phone(shown, tree.get(COUNTRY_CODE)))
    return tree


def _written_phone(shown: Json, country_code: Json) -> Json:
    """A phone number as a write takes it: without punctuation, unless it has letters, as 1-800-GOT-JUNK has.

    Beside a country code it is a national number, which must not be read as one of the USA.
    """
    digits = re.sub(r"[\s().\-\u2010-\u2015]", "", str(shown))
    if not re.fullmatch(r"\+?[0-9]+", digits):
        return shown
    is_national = country_code not in (None, "", "1", 1)
    return digits if is_national else payloads.normalize_value(_PHONE_FIELD, shown)


def find_unkeepable(resource: Resource, current: Mapping[str, Json]) -> str:
    """What of an object no update can send back unchanged, in words; empty: nothing."""
    for part, number, record in _numbered_parts(resource, current):
        names = {_PHONE_FIELD.path, _PHONE_FIELD.response_name}
        numbers = {comparison_form(_PHONE_FIELD, record[name]) for name in names if record.get(name)}
        if part.name == "users" and len(numbers) > 1:
            label = describe_part(part.name, id_text(part, record) or f"number {number}", display_name(record))
            return f"{' and '.join(sorted(names))} of {label}, which differ"
    has_infinity = any(isinstance(value, float) and math.isinf(value) for _, value in paths.flatten(current))
    return "a number that is too large" if has_infinity else ""


def _numbered_parts(
    resource: Resource, current: Mapping[str, Json]
) -> Iterator[tuple[Resource, int, Mapping[str, Json]]]:
    for part in resource.subresources:
        for number, record in enumerate(current.get(part.name) or (), 1):
            yield part, number, record


def to_comparable(resource: Resource, current: Mapping[str, Json], version: str) -> dict[str, Json]:
    """The values of the platform's object that a write can set, in one spelling, to compare two readings of it.

    Without nulls, unknown keys, read-only and secret fields, and fields that the API version does not know.
    """
    part_names = {part.name for part in resource.subresources}
    fields = {name: value for name, value in current.items() if name not in part_names}
    values = {
        path: form
        for path, field, value in payloads.flatten_known(resource, fields, version)
        if _is_writable(field, version, is_new=False) and (form := _stripped_value(field, value)) is not None
    }
    parts = {
        part.name: [to_comparable(part, record, version) for record in current.get(part.name) or ()]
        for part in resource.subresources
    }
    return paths.nest(values) | parts


def merge_patch(
    resource: Resource, patch: Mapping[str, Json], current: Mapping[str, Json] | None, version: str
) -> MergeResult:
    """Change what the patch names, and keep everything else; without a current object, it is to be created.

    Applied to its own result, a patch changes nothing (one with numbered entries only if bound by `bind_entries`).
    Values of the patch that the API version does not know are not sent.
    """
    old = None if current is None else to_writable(resource, current, version)
    not_fields = {SUBRESOURCE_KEY, *(part.name for part in resource.subresources)}
    old_fields = None if old is None else {name: value for name, value in old.items() if name not in not_fields}
    values = {path: value for path, value in patch["values"].items() if old is None or path != SUBRESOURCE_KEY}
    edited = _edit_object(resource, None, old_fields, {"values": values}, version)
    sets = {
        part.name: _edit_set(part, patch, (old or {}).get(part.name, ()), version) for part in resource.subresources
    }
    bodies = {name: edited_set.body for name, edited_set in sets.items() if edited_set.body or old is not None}
    return MergeResult(
        body=edited.body | bodies,
        changes=(*edited.changes, *(change for edited_set in sets.values() for change in edited_set.changes)),
        removed=tuple(removed for edited_set in sets.values() for removed in edited_set.removed),
        added=tuple(added for edited_set in sets.values() for added in edited_set.added),
    )


def bind_entries(
    resource: Resource, patch: Mapping[str, Json], current: Mapping[str, Json] | None, version: str
) -> Mapping[str, Json]:
    """The patch with its numbered entries bound to the entries that they mean in the current object.

    Removing the first email address renumbers the second; a bound patch, applied again or after somebody else's change,
    still means the address that the plan has shown.
    """
    records = parts_by_id(resource, to_writable(resource, current or {}, version))
    parts = [_bind_part(part, records.get(_patch_part_id(part), {})) for part in patch["parts"]]
    return {**patch, "parts": parts}


def minimal_patch(patch: Mapping[str, Json], merged: MergeResult) -> dict[str, Json]:
    """A bound patch with nothing but its changes: what a sheet only repeats must not undo others' changes.

    New parts and new email addresses stay whole; under `replace` each part stays in the set, if only with its id.
    """
    changes: dict[PartId | None, list[ValueChange]] = defaultdict(list)
    for change in merged.changes:
        changes[change.part].append(change)
    whole_ids = {*merged.added, *((removed.collection, removed.id) for removed in merged.removed)}
    parts = []
    for part in patch["parts"]:
        part_id = _patch_part_id(part)
        if part_id in whole_ids:
            parts.append(part)
        elif not part["remove"] and (changes[part_id] or patch["nested"] == "replace"):
            parts.append({**part, "values": _changed_values(part["values"], changes[part_id])})
    return {**patch, "values": _changed_values(patch["values"], changes[None]), "parts": parts}


def _patch_part_id(part: Mapping[str, Json]) -> PartId:
    """The id of a patch's part."""
    return part["collection"], str(part["id"])


def parts_by_id(resource: Resource, tree: Mapping[str, Json]) -> dict[PartId, Mapping[str, Json]]:
    """The users and sites of an object."""
    return {
        (part.name, id_text(part, record)): record
        for part in resource.subresources
        for record in tree.get(part.name) or ()
    }


def _changed_values(values: Mapping[str, Json], changes: Sequence[ValueChange]) -> dict[str, Json]:
    changed_paths = {change.path for change in changes}
    added_entries = {
        _entry_path(change.path)
        for change in changes
        if change.old is None and change.path == _entry_key_path(_entry_path(change.path))
    }
    return {
        path: value for path, value in values.items() if path in changed_paths or _entry_path(path) in added_entries
    }


def missing_entries(
    resource: Resource, patch: Mapping[str, Json], current: Mapping[str, Json], version: str
) -> Iterator[tuple[PartId, str]]:
    """The email addresses that a bound patch changes and that the current object does not have."""
    current_keys = {
        part_id: set(_entry_keys(dict(payloads.flatten_object(record))).values())
        for part_id, record in parts_by_id(resource, to_writable(resource, current, version)).items()
    }
    for part in patch["parts"]:
        part_id = _patch_part_id(part)
        if part["remove"] or part_id not in current_keys:
            continue
        for entry, requested_key in _entry_keys(part["values"]).items():
            bound_key = part.get("entries", {}).get(entry)
            exists = bool({bound_key, requested_key} & current_keys[part_id])
            if bound_key and not exists and not _removes_entry(entry, part["values"]):
                yield part_id, bound_key


# One object or part


class _EditResult(NamedTuple):
    body: dict[str, Json]
    changes: list[ValueChange]


def _edit_object(
    resource: Resource,
    part_id: PartId | None,
    old: Mapping[str, Json] | None,
    requested: Mapping[str, Json],
    version: str,
) -> _EditResult:
    """The object (`part_id` None) or part with the requested values; `old` None: it is new."""
    leaves = dict(payloads.flatten_object(old or {}))
    changes, written = [], {}
    for path, object_path, value in _locate_values(leaves, requested):
        field = resource.by_path[paths.to_pattern(path)]
        before = leaves.get(object_path)
        clears_nothing = before is None and payloads.normalize_value(field, value) is None
        if clears_nothing or not _is_writable(field, version, is_new=old is None):
            continue
        if old is None or not _is_same_value(field, before, value, leaves.get(COUNTRY_CODE)):
            written[object_path] = value
            changes.append(ValueChange(part=part_id, path=path, old=before, new=value))
    return _EditResult(_write_values(old or {}, written), changes)


def _write_values(old: Mapping[str, Json], written: Mapping[str, Json]) -> dict[str, Json]:
    """A copy of an object with these values; a list entry whose key they clear is left out."""
    tree = copy.deepcopy(dict(old))
    for path, value in written.items():
        paths.set_value(tree, path, value)
    for name in ENTRY_KEY_FIELDS:
        entries, old_entries = tree.get(name), old.get(name)
        old_count = len(old_entries) if isinstance(old_entries, list) else 0
        if isinstance(entries, list):
            tree[name] = [
                entry
                for number, entry in enumerate(entries, 1)
                if not _removes_entry(f"{name}.{number}", written) and (entry or number <= old_count)
            ]
    return tree


def _is_writable(field: Field, version: str, *, is_new: bool) -> bool:
    applies = field.applies_on_create if is_new else field.applies_on_update
    return field.is_sent and field.is_known_in(version) and applies


def _stripped_value(field: Field, value: Json) -> Json:
    form = payloads.normalize_value(field, value)
    return value if form is not None and field.field_type in _VERBATIM_TYPES else form


def _is_same_value(field: Field, before: Json, value: Json, country_code: Json) -> bool:
    """Whether a value asks for what is there; a national number beside a country code also has an E.164 form."""
    forms = [comparison_form(field, before)]
    if field.path == _PHONE_FIELD.path and before and country_code:
        forms.append(f"+{country_code}{before}")
    return comparison_form(field, value) in forms


def comparison_form(field: Field, value: Json) -> Json:
    """A value in the form for comparison: missing, null, blank and the platform's default are equal, and so are the two
    forms of a US or Canadian phone number.
    """  # noqa: D205  one sentence
    form = payloads.normalize_value(field, value)
    if form is None:
        return field.default
    return form.removeprefix("+1") if field.field_type is field_types.PHONE and isinstance(form, str) else form


# The parts of an object


class _PartPair(NamedTuple):
    """A part on the platform and the same part in the patch; each None if it is missing."""

    id: str
    current: Mapping[str, Json] | None
    requested: Mapping[str, Json] | None


class _SetResult(NamedTuple):
    body: list[dict[str, Json]]
    changes: list[ValueChange]
    removed: list[RemovedPart]
    added: list[PartId]


def _edit_set(part: Resource, patch: Mapping[str, Json], old: Sequence[Mapping[str, Json]], version: str) -> _SetResult:
    requested = {str(record["id"]): record for record in patch["parts"] if record["collection"] == part.name}
    result = _SetResult([], [], [], [])
    for pair in _PAIRING[patch["nested"]]([(id_text(part, record), record) for record in old], requested):
        _apply_pair(result, part, pair, version)
    result.changes.extend(_default_changes(part, old, result.body))
    return result


def _default_changes(
    part: Resource, old: Sequence[Mapping[str, Json]], new: Sequence[Mapping[str, Json]]
) -> list[ValueChange]:
    """The change of the default part, where the old default is kept."""
    before, after = ([id_text(part, record) for record in records] for records in (old, new))
    if part.name not in _COLLECTIONS_WITH_DEFAULT or not before or before[0] not in after[1:] or before[0] == after[0]:
        return []
    return [ValueChange(part=None, path=f"{part.name}.1.{SUBRESOURCE_KEY}", old=before[0], new=after[0])]


def _pair_for_merge(
    old: list[tuple[str, Mapping[str, Json]]], requested: Mapping[str, Mapping[str, Json]]
) -> Iterator[_PartPair]:
    """All current parts in the platform's order (the first site is the default), then the new ones."""
    yield from (_PartPair(part_id, record, requested.get(part_id)) for part_id, record in old)
    current_ids = {part_id for part_id, _ in old}
    yield from (_PartPair(part_id, None, record) for part_id, record in requested.items() if part_id not in current_ids)


def _pair_for_replace(
    old: list[tuple[str, Mapping[str, Json]]], requested: Mapping[str, Mapping[str, Json]]
) -> Iterator[_PartPair]:
    """The parts of the patch in its order; all other current parts are removed."""
    current = dict(reversed(old))  # if two have the same id, the first is kept
    yield from (_PartPair(part_id, current.get(part_id), record) for part_id, record in requested.items())
    for part_id, record in old:
        if part_id not in requested or record is not current[part_id]:
            yield _PartPair(part_id, record, {"remove": True})


_PAIRING = {"merge": _pair_for_merge, "replace": _pair_for_replace}


def _apply_pair(result: _SetResult, part: Resource, pair: _PartPair, version: str) -> None:
    """Add the edited or removed part to the result."""
    part_id = (part.name, pair.id)
    if pair.requested is None:
        result.body.append(dict(pair.current or {}))
    elif pair.requested["remove"]:
        if pair.current is not None:
            name = display_name(pair.current) or pair.id
            result.removed.append(RemovedPart(collection=part.name, id=pair.id, name=name))
    else:
        edited = _edit_object(part, part_id, pair.current, _requested_values(pair), version)
        result.body.append(edited.body)
        result.changes.extend(edited.changes)
        result.added.extend([part_id] if pair.current is None else [])


def _requested_values(pair: _PartPair) -> dict[str, Json]:
    """The requested values, with the id only if the part is new: an existing part keeps its id verbatim."""
    requested = dict(pair.requested or {})
    values = {path: value for path, value in requested["values"].items() if path != SUBRESOURCE_KEY}
    return requested | {"values": {SUBRESOURCE_KEY: pair.id, **values} if pair.current is None else values}


# The entries of a list within a part


def _locate_values(leaves: Mapping[str, Json], requested: Mapping[str, Json]) -> Iterator[tuple[str, str, Json]]:
    """Each requested value as (path, path in the object, value); skips removals of entries that no longer exist."""
    values = requested["values"]
    current_keys, requested_keys = _entry_keys(leaves), _entry_keys(values)
    bound_keys = requested.get("entries", _match_entries(current_keys, requested_keys))
    entry_by_key = {key: entry for entry, key in reversed(current_keys.items())}  # of two equal ones, the first
    numbers = count(1 + max((int(entry.rpartition(".")[2]) for entry in current_keys), default=0))
    targets: dict[str, str | None] = {"": ""}
    for entry, key in requested_keys.items():
        existing = (entry_by_key.get(key) if key else None) or entry_by_key.get(bound_keys.get(entry, ""))
        new = f"{entry.rpartition('.')[0]}.{next(numbers)}"
        targets[entry] = existing or (None if _removes_entry(entry, values) else new)
    for path, value in values.items():
        entry = _entry_path(path)
        target = targets[entry]
        if target is not None and (path == _entry_key_path(entry) or not _removes_entry(entry, values)):
            yield path, f"{target}{path.removeprefix(entry)}", value


def _match_entries(current_keys: EntryKeys, requested_keys: EntryKeys) -> EntryKeys:
    """Each entry of a patch to the key of the current entry that it means; empty: none yet.

    The entry with the same address; else the one with the same number, unless another entry means it by its address.
    """
    claimed = set(filter(None, requested_keys.values())) & set(current_keys.values())
    by_number = {
        entry: "" if current_keys.get(entry) in claimed else current_keys.get(entry, "") for entry in requested_keys
    }
    return {entry: key if key in claimed else by_number[entry] for entry, key in requested_keys.items()}


def _bind_part(part: Mapping[str, Json], record: Mapping[str, Json]) -> Mapping[str, Json]:
    requested_keys = _entry_keys(part["values"])
    if not requested_keys or "entries" in part:  # a minimal patch lacks keys that its numbers were matched by
        return part
    return {**part, "entries": _match_entries(_entry_keys(dict(payloads.flatten_object(record))), requested_keys)}


def _entry_path(path: str) -> str:
    """The entry that a path leads into: `email_settings.2`; empty when the path is not in such a list."""
    list_name, _, path_in_list = path.partition(".")
    number = path_in_list.partition(".")[0]
    return f"{list_name}.{number}" if list_name in ENTRY_KEY_FIELDS and number.isdecimal() else ""


def _entry_key_path(entry: str) -> str:
    return f"{entry}.{ENTRY_KEY_FIELDS[entry.partition('.')[0]]}" if entry else ""


def entry_key(value: Json) -> str:
    """The key of a list entry, from its email address: case-insensitive; empty: no key."""
    return str(value or "").casefold()


def _entry_keys(leaves: Mapping[str, Json]) -> EntryKeys:
    """The keys of all list entries."""
    entries = dict.fromkeys(filter(None, map(_entry_path, leaves)))
    return {entry: entry_key(leaves.get(_entry_key_path(entry))) for entry in entries}


def requested_entry_path(path: str, record: Mapping[str, Json], values: Mapping[str, Json]) -> str:
    """A path within a sent part, with the number that the requested values give to the same email address."""
    entry = _entry_path(path)
    key = _entry_keys(dict(payloads.flatten_object(record))).get(entry)
    same_key = [requested for requested, requested_key in _entry_keys(values).items() if key and requested_key == key]
    return path if entry in same_key or not same_key else f"{same_key[0]}{path.removeprefix(entry)}"


def _removes_entry(entry: str, values: Mapping[str, Json]) -> bool:
    """Whether the values clear the entry's key, and so remove the entry."""
    key_path = _entry_key_path(entry)
    return key_path in values and values[key_path] is None
