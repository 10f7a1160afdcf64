"""Rows to JSON and back. The only place that knows which of a row's values go into the body of a request."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoca_bulk.schema import Role, field_types, paths
from invoca_bulk.schema.issue_catalog import MAX_CELL_CHARACTERS, ParseError, parse_marker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from invoca_bulk.schema import Field, Resource
    from invoca_bulk.schema.field_types import Json

#: What spreadsheet programs put into a cell whose formula went wrong: as a text it is an error, never a value.
SPREADSHEET_ERRORS = frozenset(
    {
        "#BLOCKED!",
        "#BUSY!",
        "#CALC!",
        "#CONNECT!",
        "#DIV/0!",
        "#ERROR!",
        "#FIELD!",
        "#GETTING_DATA",
        "#N/A",
        "#NAME?",
        "#NULL!",
        "#NUM!",
        "#REF!",
        "#SPILL!",
        "#UNKNOWN!",
        "#VALUE!",
    }
)
#: The same few paths come with every object.
_cached_pattern = functools.lru_cache(maxsize=4096)(paths.to_pattern)
#: What the platform sets itself, and the results show.
ASSIGNED_FIELDS = ("promo_number", "id", "id_from_network", "object_url")
#: What a kind raises for a JSON value that is none of its own, such as an object where a text should be.
_PARSE_FAILURES = (ParseError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True, kw_only=True)
class CellTexts:
    """One of the platform's objects as a row of cells.

    Attributes:
        texts: path to text; what the platform has no value for is not there.
        unrepresentable: path and JSON value of what no cell can hold: its text would be read as something else, or
            refused.
    """

    texts: Mapping[str, str]
    unrepresentable: tuple[tuple[str, Json], ...]


def request_body(resource: Resource, values: Mapping[str, Json]) -> dict[str, Json]:
    """The JSON object of a row.

    Args:
        resource: what the row describes.
        values: path to JSON value of the cells that are not blank.

    Returns:
        The object to send: neither our own columns nor the address' ids nor what only the platform sets.
    """
    sent = {}
    for path, value in values.items():
        field = resource.by_path[paths.to_pattern(path)]
        if field.is_sent:
            sent[path] = value
    return paths.nest(sent)


def normalize_value(field: Field, value: Json) -> Json:
    """A JSON value of the platform as a sheet would send it, so that the two can be compared.

    Returns:
        Phone numbers without punctuation, numeric ids as text, choices without soft hyphens, no spaces at the ends;
        None for what stands for no value: null, an empty text, an empty list. A value that no cell could ask for
        stays as it is.
    """
    meant = value if _has_wrong_shape(field, value) else _reparse(field, value)
    return None if meant in ("", [], {}) else meant


def _has_wrong_shape(field: Field, value: Json) -> bool:
    """Whether a value is none of the field's kind at all; the Python form of an object would pass for a text."""
    return value is None or (isinstance(value, dict | list) and type(value) is not type(field.field_type.cleared_value))


def _reparse(field: Field, value: Json) -> Json:
    try:
        return _parse_cached(field.field_type.parse, field.field_type.to_text(value))
    except _PARSE_FAILURES:
        return value


@functools.lru_cache(maxsize=8192)
def _parse_cached(parse: Callable[[str], field_types.ParsedValue], text: str) -> Json:
    """What a text means; an address or a phone number of an object is asked for several times in a row, and is dear."""
    return parse(text).value


def flatten_object(tree: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    """The leaves of an object as (path, value); whatever stands below a key of `custom_data` is one leaf."""
    for name, value in tree.items():
        if name == paths.CUSTOM_DATA and isinstance(value, dict):
            yield from ((f"{name}.{key}", one) for key, one in value.items())
        else:
            yield from paths.flatten({name: value})


def flatten_known(
    resource: Resource, api_object: Mapping[str, Json], version: str
) -> Iterator[tuple[str, Field, Json]]:
    """The leaves of the platform's object that an API version knows, with their fields; never a secret one.

    The paths are those of the table: what is read under another name (`phone_number`) has the name that it is written
    under (`contact_phone_number`). The values are the platform's own.
    """
    for path, value in flatten_object(api_object):
        field = _find_field(resource, path)
        if field and field.role is Role.BODY and not field.secret and field.is_known_in(version):
            yield _replace_last_part(path, _last_part(field.path)) if field.response_name else path, field, value


def to_cell_texts(resource: Resource, api_object: Mapping[str, Json], version: str) -> CellTexts:
    """The platform's object as the cells of a sheet, read-only fields included; reading them gives the same values.

    Args:
        resource: what the object is; for a user or a site with a sheet of its own, the part.
        api_object: the object as the platform gave it.
        version: the API version that it was read with; fields unknown to it are passed over.
    """
    shown: dict[str, str] = {}
    left_out: list[tuple[str, Json]] = []
    for path, field, value in flatten_known(resource, api_object, version):
        meant = normalize_value(field, value)
        if meant is None:
            continue
        text = _to_cell_text(field, meant)
        if text is None or not _is_valid_header(path):
            left_out.append((path, value))
        else:
            shown[path] = text
    return CellTexts(texts=shown, unrepresentable=tuple(left_out))


def _to_cell_text(field: Field, value: Json) -> str | None:
    """The text of a value, or None when a cell with that text would not mean it: `[]` clears."""
    try:
        text = field.field_type.to_text(value)
        is_read = text.strip() != field_types.CLEAR and _parse_cached(field.field_type.parse, text) == value
    except _PARSE_FAILURES:
        return None
    return text if is_read and not _is_unreadable_text(text) else None


def _is_unreadable_text(text: str) -> bool:
    """Whether a cell with this text would be taken for a blank one, or for one that went wrong."""
    bare = field_types.normalize_text(text)
    return not bare or bare in SPREADSHEET_ERRORS or bool(parse_marker(bare)) or len(text) > MAX_CELL_CHARACTERS


def _is_valid_header(path: str) -> bool:
    """Whether a column's title can be this path: spaces around a network's own key would be lost, others be refused."""
    key = paths.split(path)[-1]
    return bool(key) and key == key.strip() and not field_types.find_control_character(key)


def _find_field(resource: Resource, path: str) -> Field | None:
    pattern = _cached_pattern(path)
    read_as = (
        one
        for one in resource.fields
        if one.response_name and _replace_last_part(one.path, one.response_name) == pattern
    )
    return resource.by_path.get(pattern) or next(read_as, None)


def _replace_last_part(path: str, name: str) -> str:
    parent, dot, _ = path.rpartition(".")
    return f"{parent}{dot}{name}"


def _last_part(path: str) -> str:
    return path.rpartition(".")[2]


def assigned_texts(resource: Resource, api_object: Mapping[str, Json]) -> dict[str, str]:
    """What the platform set itself, as cell texts: `id`, `promo_number`, `id_from_network`, `object_url`."""
    return {
        name: resource.by_path[name].field_type.to_text(api_object[name])
        for name in ASSIGNED_FIELDS
        if name in resource.by_path and api_object.get(name) is not None
    }


def flatten_errors(errors: Mapping[str, Json]) -> dict[str, str]:
    """A 403's nested field errors as path to text: `{"local_center": {"tn_prefix": ["…"]}}` to one entry."""
    return {path: _to_sentence(value) for path, value in paths.flatten(errors)}


def _to_sentence(value: Json) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)
