"""The platform's validation of a JSON object: the fields come from the table, the texts are the platform's.

The platform cleans nothing: a value that the sheet's parser would clean is an error here, so that tests catch a client
that sends cells as typed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import chain

from invoca_bulk.sandbox_server.platform_model import PERFORMANCE_FLAGS
from invoca_bulk.sandbox_server.requests import BLANK_MESSAGE, FieldErrors
from invoca_bulk.schema import Action, Field, Resource, Role, field_types, paths
from invoca_bulk.schema.field_types import Json
from invoca_bulk.schema.issue_catalog import Problem

_MALFORMED = "is not understood"
_READ_ONLY = "is read-only"
_UPDATES_ONLY = "is for updates only"
#: Used in the documentation's example, although its text forbids punctuation.
_DASHED_PHONE = re.compile(r"[0-9]{3}-[0-9]{3}-[0-9]{4}")
#: Surrounding spaces are accepted: whether the platform trims them is not documented.
_UNTRIMMED_TYPES = (field_types.TEXT, field_types.ID)
#: Deprecated but not unknown: they are accepted and have no effect.
_IGNORED_PATHS = frozenset(f"users.#.{name}" for name in PERFORMANCE_FLAGS)


def validate(  # noqa: PLR0913  keyword-only
    resource: Resource,
    body: Mapping[str, Json],
    *,
    version: str,
    action: Action,
    rule_context: Mapping[str, Json] | None,
    allow_unlisted: bool = False,
    shown_patterns: Collection[str] = (),
) -> FieldErrors:
    """Validate a body: path to error texts, empty if it is valid; only the errors in its shape if there are any.

    `rule_context` is what the rules over several fields see in addition to the body: the fields of the object and the
    ids in the address. None: skip these rules. `shown_patterns`: what the object shows besides the documented fields,
    and a write may therefore send back.
    """
    errors: FieldErrors = dict(_shape_errors(body))
    if errors:
        return errors
    for path, text in _field_problems(resource, body, version, action):
        pattern = paths.to_pattern(path)
        field = resource.by_path.get(pattern)
        if pattern in shown_patterns or (allow_unlisted and field and field.may_be_unlisted and text != _MALFORMED):
            continue
        errors.setdefault(path, []).append(text)
    required = [field for field in resource.fields if action in field.required_on and field.role is Role.BODY]
    for path in chain.from_iterable(paths.missing_paths(field.path, body) for field in required):
        errors.setdefault(path, [BLANK_MESSAGE])
    return errors if errors or rule_context is None else _rule_errors(resource, {**rule_context, **body}, action)


def _shape_errors(body: Mapping[str, Json]) -> Iterator[tuple[str, list[str]]]:
    for name, value in body.items():
        is_valid = (
            value is None or isinstance(value, dict) if name == paths.CUSTOM_DATA else _is_well_formed({name: value})
        )
        if not is_valid:
            yield name, [_MALFORMED]


def _is_well_formed(node: Json) -> bool:
    """Whether each leaf has a unique path: no dots or numbers as keys, only lists of records or of plain values."""
    if isinstance(node, dict):
        return all(
            key and "." not in key and not key.isdecimal() and _is_well_formed(value) for key, value in node.items()
        )
    if isinstance(node, list):
        return not any(map(_is_nested, node)) or all(
            isinstance(item, dict) and item and _is_well_formed(item) for item in node
        )
    return True


def _is_nested(value: Json) -> bool:
    return isinstance(value, dict | list)


def _flatten_body(body: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    for name, value in body.items():
        if name == paths.CUSTOM_DATA:
            yield from ((f"{name}.{key}", custom_value) for key, custom_value in (value or {}).items())
        elif _is_nested(value):
            yield from paths.flatten({name: value})
        else:
            yield name, value


def _field_problems(
    resource: Resource, body: Mapping[str, Json], version: str, action: Action
) -> Iterator[tuple[str, str]]:
    for path, value in _flatten_body(body):
        field = resource.by_path.get(paths.to_pattern(path))
        if field is None or field.role is not Role.BODY or not _is_known_field(field, version):
            if not _is_empty_parent(resource, path, value, version):
                yield path, f"is not a field of API version {version}"
        elif text := _field_problem(field, value, action):
            yield path, text


def _is_known_field(field: Field, version: str) -> bool:
    return field.is_known_in(version) or field.path in _IGNORED_PATHS


def _is_empty_parent(resource: Resource, path: str, value: Json, version: str) -> bool:
    parent = f"{paths.to_pattern(path)}."
    return value in (None, {}, []) and any(
        field.path.startswith(parent) and _is_known_field(field, version) for field in resource.fields
    )


def _field_problem(field: Field, value: Json, action: Action) -> str | None:
    if field.read_only:
        return _READ_ONLY
    if not field.applies_on_create and action is Action.CREATE:
        return _UPDATES_ONLY
    if value in (None, "") and not field.clearable:
        return BLANK_MESSAGE
    if value is None or value == field.field_type.cleared_value:
        return None
    if field.field_type is field_types.ONLY_CLEARED and value in ("", [], {}):
        return None
    return _value_problem(field, value)


def _value_problem(field: Field, value: Json) -> str | None:
    if field.field_type is field_types.PHONE and isinstance(value, str) and _DASHED_PHONE.fullmatch(value):
        return None
    problem = field.field_type.find_problem(value)
    if problem is None or (field.field_type in _UNTRIMMED_TYPES and problem.level == "warning"):
        return None
    return Problem(code=problem.code, details={**problem.details, "hint": ""}).message  # a platform has no remedies


def _rule_errors(resource: Resource, state: Mapping[str, Json], action: Action) -> FieldErrors:
    errors: FieldErrors = {}
    values = {path: value for path, value in _flatten_body({**state, "action": action}) if value is not None}
    patterns = {path: paths.to_pattern(path) for path in values}
    for rule in resource.rules:
        rule_values = {path: value for path, value in values.items() if patterns[path] in rule.fields}
        for problem in rule.check(rule_values) if rule_values else ():
            if problem.level == "error":
                errors.setdefault(problem.column or "base", []).append(problem.message)
    return errors
