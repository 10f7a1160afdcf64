"""Dotted JSON paths: `local_center.tn_prefix`, `users.1.first_name`, `custom_data.channel`.

A path names one leaf of a JSON object; lists of records are numbered from 1. In a field's pattern, `#` stands for such
a number and `*` for a key that the network chose.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping

from invoca_bulk.schema.field_types import Json

#: The object whose keys the network chooses; a dot in such a key is part of it.
CUSTOM_DATA = "custom_data"


def split(path: str) -> list[str]:
    """The parts of a path; a key below `custom_data` is one part, even if it contains dots."""
    parent, _, key = path.partition(".")
    return [parent, key] if parent == CUSTOM_DATA else path.split(".")


@functools.lru_cache(maxsize=4096)  # every row and object has the same few paths
def to_pattern(path: str) -> str:
    """The pattern of a path: `users.2.first_name` becomes `users.#.first_name`."""
    parts = split(path)
    if parts[0] == CUSTOM_DATA and len(parts) > 1:
        return f"{CUSTOM_DATA}.*"
    return ".".join("#" if part.isdecimal() else part for part in parts)


def nest(values: Mapping[str, Json]) -> dict[str, Json]:
    """Build a JSON object from its leaves.

    Numbers only order the records of a list: 1 and 3 without 2 give a list of two records.
    """
    tree: dict[str, Json] = {}
    for path, value in values.items():
        *parents, leaf = split(path)
        node = tree
        for part in parents:
            node = node.setdefault(part, {})
        node[leaf] = value
    return {key: value if key == CUSTOM_DATA else _to_lists(value) for key, value in tree.items()}


def _to_lists(node: Json) -> Json:
    if not isinstance(node, dict):
        return node
    children = {key: _to_lists(value) for key, value in node.items()}
    if children and all(key.isdecimal() for key in children):
        return [children[key] for key in sorted(children, key=int)]
    return children


def set_value(tree: dict[str, Json], path: str, value: Json) -> None:
    """Set one leaf of a JSON object in place, and keep everything beside it; missing records of a list are added."""
    *parents, leaf = split(path)
    node: Json = tree
    for part, child in zip(parents, [*parents, leaf][1:], strict=True):
        node = _child(node, part, [] if child.isdecimal() and part != CUSTOM_DATA else {})
    node[leaf] = value


def _child(node: Json, part: str, empty: Json) -> Json:
    """The container at one part of a path; `empty` takes the place of null or of what is missing."""
    if isinstance(node, list):
        node.extend({} for _ in range(int(part) - len(node)))
        return node[int(part) - 1]
    if not isinstance(node.get(part), dict | list):
        node[part] = empty
    return node[part]


def missing_paths(pattern: str, tree: Mapping[str, Json]) -> Iterator[str]:
    """The paths of a pattern's leaves that an object lacks; what is no record, or an empty list, lacks none."""
    parent, separator, subpattern = pattern.partition(".#.")
    if not separator:
        if tree.get(pattern) in (None, ""):
            yield pattern
        return
    records = tree.get(parent)
    for number, record in enumerate(records if isinstance(records, list) else (), 1):
        if isinstance(record, dict):
            yield from (f"{parent}.{number}.{path}" for path in missing_paths(subpattern, record))


def flatten(tree: Mapping[str, Json], parent: str = "") -> Iterator[tuple[str, Json]]:
    """Yield the leaves of a JSON object as (path, value), the inverse of `nest`. Lists of plain values are leaves."""
    for key, value in tree.items():
        path = f"{parent}{key}"
        if isinstance(value, dict) and value:
            yield from flatten(value, f"{path}.")
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            for number, item in enumerate(value, 1):
                yield from flatten(item, f"{path}.{number}.")
        else:
            yield path, value
