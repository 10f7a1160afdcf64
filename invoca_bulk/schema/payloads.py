"""Rows to JSON and back. Only this module knows which values of a row are sent in the body of a request."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from invoca_bulk.schema import Field, Resource, Role, field_types, paths
from invoca_bulk.schema.field_types import Json
from invoca_bulk.schema.invisible import name_invisible
from invoca_bulk.schema.issue_catalog import MAX_CELL_CHARACTERS, ParseError, parse_marker

_ERRORS_TEXT = """\
#BLOCKED! #BUSY! #CALC! #CONNECT! #DIV/0! #ERROR! #FIELD! #GETTING_DATA #N/A #NAME? #NULL! #NUM! #REF! #SPILL! #UNKNOWN!
#VALUE!"""
#: What spreadsheet programs show in a cell whose formula failed; such a text is an error, never a value.
#: LibreOffice numbers the others.
SPREADSHEET_ERRORS = frozenset([*_ERRORS_TEXT.split(), *(f"Err:{number}" for number in range(501, 541))])
#: Fields that the platform sets and the results show.
ASSIGNED_FIELDS = ("promo_number", "id", "id_from_network", "object_url")
#: What a field type raises for a JSON value of another type, such as an object instead of a text.
_PARSE_FAILURES = (ParseError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True, kw_only=True)
class CellTexts:
    """An object of the platform as a row of cells."""

    texts: Mapping[str, str]  # path to text; fields without a value are left out
    #: Path and JSON value of each value that no cell can hold, because its text would be read as something else or as
    #: an error.
    unrepresentable: tuple[tuple[str, Json], ...]


def request_body(resource: Resource, values: Mapping[str, Json]) -> dict[str, Json]:
    """The JSON object of a row, without this package's columns, the ids of the URL and read-only fields."""
    return paths.nest(
        {path: value for path, value in values.items() if resource.by_path[paths.to_pattern(path)].is_sent}
    )


def normalize_value(field: Field, value: Json) -> Json:
    """Convert a JSON value of the platform to the form that a sheet would send, so that the two can be compared.

    Phone numbers without punctuation, numeric ids as text, choices without soft hyphens, no spaces at the ends; None
    for null, an empty text, an empty list and an empty object. A value that no cell could hold is unchanged.
    """
    # `str` of an object would pass for a text.
    has_wrong_shape = isinstance(value, dict | list) and type(value) is not type(field.field_type.cleared_value)
    normalized = value if value is None or has_wrong_shape else _reparse(field, value)
    return None if normalized in ("", [], {}) else normalized


def _reparse(field: Field, value: Json) -> Json:
    try:
        return _parse_cached(field.field_type.parse, field.field_type.to_text(value))
    except _PARSE_FAILURES:
        return value


@functools.lru_cache(maxsize=8192)
def _parse_cached(parse: Callable[[str], field_types.ParsedValue], text: str) -> Json:
    """Parse a text; cached, because email addresses and phone numbers are slow and parsed several times in a row."""
    return parse(text).value


def flatten_object(tree: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    """Yield the leaves of an object as (path, value); the value of each key of `custom_data` is one leaf."""
    for name, value in tree.items():
        if name == paths.CUSTOM_DATA and isinstance(value, dict):
            yield from ((f"{name}.{key}", custom_value) for key, custom_value in value.items())
        else:
            yield from paths.flatten({name: value})


def flatten_known(
    resource: Resource, api_object: Mapping[str, Json], version: str
) -> Iterator[tuple[str, Field, Json]]:
    """Yield the leaves of the platform's object that an API version documents as (path, field, value), without secrets.

    The paths are those of the table: a field that is read under another name (`phone_number`) has the name under which
    it is written (`contact_phone_number`). The values are unchanged.
    """
    for path, value in flatten_object(api_object):
        field = _find_field(resource, path)
        if field and field.role is Role.BODY and not field.secret and field.is_known_in(version):
            yield _replace_last_part(path, paths.split(field.path)[-1]) if field.response_name else path, field, value


def to_cell_texts(resource: Resource, api_object: Mapping[str, Json], version: str) -> CellTexts:
    """Convert the platform's object to cells, read-only fields included; parsing them gives the same values."""
    texts: dict[str, str] = {}
    unrepresentable: list[tuple[str, Json]] = []
    for path, field, value in flatten_known(resource, api_object, version):
        normalized = normalize_value(field, value)
        if normalized is None:
            continue
        text = _to_cell_text(field, normalized)
        if text is None or not _is_valid_header(path):
            unrepresentable.append((path, value))
        else:
            texts[path] = text
    return CellTexts(texts=texts, unrepresentable=tuple(unrepresentable))


def _to_cell_text(field: Field, value: Json) -> str | None:
    """The text of a value, or None if a cell with that text would have another meaning or be an error."""
    try:
        text = field.field_type.to_text(value)
        is_restored = text.strip() != field_types.CLEAR and _parse_cached(field.field_type.parse, text) == value
    except _PARSE_FAILURES:
        return None
    clean = field_types.normalize_text(text)
    is_error = clean in SPREADSHEET_ERRORS or parse_marker(clean) or len(text) > MAX_CELL_CHARACTERS
    return text if is_restored and clean and not is_error else None


def _is_valid_header(path: str) -> bool:
    """Whether a path can be a column title: spaces around a key would be lost, control characters are rejected."""
    key = paths.split(path)[-1]
    return bool(key) and key == key.strip() and not (field_types.find_control_character(key) or name_invisible(key))


def _find_field(resource: Resource, path: str) -> Field | None:
    pattern = paths.to_pattern(path)
    renamed_fields = (
        field
        for field in resource.fields
        if field.response_name and _replace_last_part(field.path, field.response_name) == pattern
    )
    return resource.by_path.get(pattern) or next(renamed_fields, None)


def _replace_last_part(path: str, name: str) -> str:
    parent, dot, _ = path.rpartition(".")
    return f"{parent}{dot}{name}"


def assigned_texts(resource: Resource, api_object: Mapping[str, Json]) -> dict[str, str]:
    """The fields that the platform set, as cell texts: `id`, `promo_number`, `id_from_network`, `object_url`."""
    return {
        name: resource.by_path[name].field_type.to_text(api_object[name])
        for name in ASSIGNED_FIELDS
        if name in resource.by_path and api_object.get(name) is not None
    }


def flatten_errors(errors: Mapping[str, Json]) -> dict[str, str]:
    """Convert the nested field errors of a 403 to path to text: `{"local_center": {"tn_prefix": ["…"]}}`."""
    return {
        path: "; ".join(map(str, value)) if isinstance(value, list) else str(value)
        for path, value in paths.flatten(errors)
    }
