"""Values, ids and labels as a plan shows, compares and sends them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from invoca_bulk.schema import PROMO_NUMBERS, SUBRESOURCE_KEY, Resource, paths, payloads
from invoca_bulk.schema.field_types import Json
from invoca_bulk.schema.issue_catalog import Problem
from invoca_bulk.validation import strip_country_code

#: What field types raise for values that they cannot format; such values are shown verbatim.
_FORMAT_ERRORS = (TypeError, ValueError, AttributeError)


def index_by_id(objects: Sequence[Mapping[str, Json]]) -> dict[str, Mapping[str, Json]]:
    """The platform's objects by id, as a cell can name it; an exact match takes precedence over a stripped one."""
    exact = {
        str(record[SUBRESOURCE_KEY]): record for record in objects if record.get(SUBRESOURCE_KEY) not in (None, "")
    }
    return {own_id.strip(): record for own_id, record in exact.items()} | exact


def fold_ids(ids: Iterable[str]) -> dict[str, str]:
    """The ids by their form without case."""
    return {own_id.casefold(): own_id for own_id in ids}


def find_case_variant(own_id: str, platform_ids: Mapping[str, str]) -> Problem | None:
    """The warning for an id of a new object that differs only in case from one of the platform's (`fold_ids`)."""
    other = platform_ids.get(own_id.casefold(), own_id)
    details = {"value": own_id, "other": other, "place": "on the platform"}
    return Problem(code="own_id_case", details=details) if other != own_id else None


def id_text(resource: Resource, record: Mapping[str, Json]) -> str:
    """The id of an object, user or site as a cell can name it; empty when it has none."""
    value = payloads.normalize_value(resource.by_path[SUBRESOURCE_KEY], record.get(SUBRESOURCE_KEY))
    return "" if value is None else str(value)


def number_key(record: Mapping[str, Json]) -> str:
    """A promo number in one form, however the platform or a cell writes it; identifies it within its campaign."""
    field = PROMO_NUMBERS.by_path["promo_number"]
    return strip_country_code(str(payloads.normalize_value(field, record.get("promo_number"))))


def object_label(name: str, own_id: str) -> str:
    """An object as people refer to it: `Acme Tickets (A-100)`; without what is empty."""
    return " ".join(filter(None, (name, f"({own_id})" if own_id else "")))


def display_text(resource: Resource, path: str, value: Json) -> str:
    """A value as a cell would show it; empty: none."""
    if value in (None, "", []):
        return ""
    try:
        return resource.by_path[paths.to_pattern(path)].field_type.to_text(value)
    except _FORMAT_ERRORS:
        return str(value)


def update_body(values: Mapping[str, Json]) -> dict[str, Json]:
    """The JSON object of an update; list entries whose leaves are all cleared are left out."""
    cleared = {path for path, value in values.items() if value is None and "#" in paths.to_pattern(path)}
    return paths.nest({path: value for path, value in values.items() if path not in cleared})
