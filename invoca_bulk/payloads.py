"""Rows to JSON and back. The only place that knows which of a row's values go into the body of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoca_bulk.schema import Role, paths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from invoca_bulk.schema import Resource
    from invoca_bulk.schema.kinds import Json


def body(resource: Resource, values: Mapping[str, Json]) -> dict[str, Json]:
    """The JSON object of a row.

    Args:
        resource: what the row describes.
        values: path to JSON value of the cells that are not blank.

    Returns:
        The object to send: neither our own columns nor the address' ids nor what only the platform sets.
    """
    sent = {}
    for path, value in values.items():
        field = resource.by_path[paths.pattern(path)]
        if field.role is Role.BODY and not field.read_only and not field.secret:
            sent[path] = value
    return paths.nest(sent)


def read_only_texts(resource: Resource, answer: Mapping[str, Json]) -> dict[str, str]:
    """What the platform set itself, as cell texts: `id`, `promo_number`, `id_from_network`, `object_url`."""
    return {
        name: resource.by_path[name].kind.show(answer[name])
        for name in ("id", "promo_number", "id_from_network", "object_url")
        if name in resource.by_path and answer.get(name) is not None
    }


def field_errors(errors: Mapping[str, Json]) -> dict[str, str]:
    """A 403's nested field errors as path to text: `{"local_center": {"tn_prefix": ["…"]}}` to one entry."""
    return {path: _text(value) for path, value in paths.flatten(errors)}


def _text(value: Json) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)
