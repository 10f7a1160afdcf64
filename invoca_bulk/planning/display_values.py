"""Fields as a plan shows and sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoca_bulk.schema import SUBRESOURCE_KEY, paths

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from invoca_bulk.schema import Resource
    from invoca_bulk.schema.field_types import Json

#: Kinds are picky about what they show; what the platform has and no kind knows is shown as it is.
_FORMAT_ERRORS = (TypeError, ValueError, AttributeError)


def index_by_id(objects: Sequence[Mapping[str, Json]]) -> dict[str, Mapping[str, Json]]:
    """The platform's objects by their ids, as a cell can name them; one that has an id to the letter goes first."""
    known = {str(one[SUBRESOURCE_KEY]): one for one in objects if one.get(SUBRESOURCE_KEY) not in (None, "")}
    return {own_id.strip(): one for own_id, one in known.items()} | known


def display_text(resource: Resource, path: str, value: Json) -> str:
    """A value as a cell would show it; empty: none."""
    if value in (None, "", []):
        return ""
    try:
        return resource.by_path[paths.to_pattern(path)].field_type.to_text(value)
    except _FORMAT_ERRORS:
        return str(value)


def update_body(values: Mapping[str, Json]) -> dict[str, Json]:
    """The JSON object of an update: a record of a list that has lost all of its leaves is left out of the list."""
    gone = {path for path, value in values.items() if value is None and _is_numbered(path)}
    return paths.nest({path: value for path, value in values.items() if path not in gone})


def _is_numbered(path: str) -> bool:
    return "#" in paths.to_pattern(path)
