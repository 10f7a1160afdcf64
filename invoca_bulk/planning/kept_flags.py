"""Flags that the platform keeps as they are, whatever is sent: a write is compared with the answer to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from invoca_bulk.planning import merge
from invoca_bulk.planning.merge import PartId, ValueChange
from invoca_bulk.schema import ADVERTISERS, SHEET_RESOURCES, field_types
from invoca_bulk.schema.field_types import Json

#: Collection to the flags of its parts that the platform may keep.
_FLAGS = {part.name: [field.path for field in part.fields if field.may_be_kept] for part in ADVERTISERS.subresources}
#: A user, and the path of one of its flags.
_Flag: TypeAlias = "tuple[PartId, str]"


class KeptValues(NamedTuple):
    """The value of a flag that was sent, and the one that the platform kept."""

    sent: Json
    kept: Json


def find_kept_flags(body: Mapping[str, Json], answer: Json) -> dict[_Flag, KeptValues]:
    """The flags of a body that was sent that its answer shows otherwise; users that it does not show have none."""
    if not isinstance(answer, dict) or merge.missing_collections(ADVERTISERS, answer):
        return {}
    shown_parts = merge.parts_by_id(ADVERTISERS, answer)
    flags = {
        (part_id, path): KeptValues(_value(path, sent_part.get(path)), _value(path, shown_parts[part_id].get(path)))
        for part_id, sent_part in merge.parts_by_id(ADVERTISERS, body).items()
        if part_id in shown_parts
        for path in _FLAGS[part_id[0]]
    }
    return {flag: values for flag, values in flags.items() if values.sent != values.kept}


def asks_for_kept_flag(change: ValueChange, kept_flags: Mapping[_Flag, KeptValues]) -> bool:
    """Whether a change asks again for what was sent before, while the platform still shows what it kept."""
    values = kept_flags.get((change.part, change.path)) if change.part else None
    return values is not None and values == (_value(change.path, change.new), _value(change.path, change.old))


def flag_text(value: Json) -> str:
    """A flag as a cell shows it."""
    return field_types.BOOLEAN.to_text(bool(value))


def _value(path: str, value: Json) -> Json:
    """A flag as it is compared: the platform's default, if it is missing."""
    return merge.comparison_form(SHEET_RESOURCES["users"].by_path[path], value)
