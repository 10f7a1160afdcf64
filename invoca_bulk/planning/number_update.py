"""An existing promo number and the row that changes it: what differs, what to send, what is wrong with the result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from invoca_bulk.planning.display_values import update_body
from invoca_bulk.schema import PROMO_NUMBERS, Action, paths, payloads
from invoca_bulk.schema.field_types import Json
from invoca_bulk.schema.issue_catalog import Problem

#: Sent whole or not at all: it is not documented whether an update keeps the leaves that it does not name.
_WHOLE_OBJECT_PATHS = (paths.CUSTOM_DATA, "hours_of_operation")


def find_missing_fields(values: Mapping[str, Json], purpose: str) -> Iterator[Problem]:
    """The missing required fields; validation does not know that they are needed. `purpose`: the end of a sentence."""
    for field in PROMO_NUMBERS.fields:
        if Action.CREATE in field.required_on and values.get(field.path) in (None, ""):
            details = {"known": field.path, "action": purpose, "example": ""}
            yield Problem(code="required", column=field.path, details=details)


class NumberUpdate:
    """The difference between a number on the platform and the row that changes it; None in `changes` clears a value."""

    def __init__(self, changes: Mapping[str, Json], current: Mapping[str, Json]) -> None:
        self._object = current
        self._requested = {path: value for path, value in changes.items() if _is_comparable(path)}
        replaced = [path for path in self._requested if path in _WHOLE_OBJECT_PATHS and self._has_parts(path)]
        for path in replaced:  # cleared, and set anew by the cells of its parts
            del self._requested[path]
        kept = {name: value for name, value in current.items() if name not in replaced}
        self._shown = dict(payloads.flatten_object(kept))
        self._current = {path: value for path, value in self._shown.items() if value not in (None, "", [])}
        #: Path to the values before and after, where the two differ.
        self.changed_values = {path: pair for path, pair in self._compare_values() if pair[0] != pair[1]}

    def _has_parts(self, parent: str) -> bool:
        return any(path.startswith(f"{parent}.") and value is not None for path, value in self._requested.items())

    def _compare_values(self) -> Iterator[tuple[str, tuple[Json, Json]]]:
        for path, value in self._requested.items():
            if path in _WHOLE_OBJECT_PATHS:  # cleared as a whole
                yield path, (self._object.get(path) or None, None)
                continue
            field = PROMO_NUMBERS.by_path[paths.to_pattern(path)]
            yield path, (payloads.normalize_value(field, self._current.get(path)), value if value != [] else None)

    def build_body(self) -> dict[str, Json]:
        """The JSON object to send: what changes, and what every update requires."""
        required = (
            field.path for field in PROMO_NUMBERS.fields if field.is_sent and Action.CREATE in field.required_on
        )
        values = {path: self._value_after_update(path) for path in required}
        values |= {path: new for path, (_, new) in self.changed_values.items()}
        for parent in _WHOLE_OBJECT_PATHS:
            if parent not in values and any(path.startswith(f"{parent}.") for path in values):
                leaves = (path for path in (*self._shown, *self._requested) if path.startswith(f"{parent}."))
                values = {path: self._value_after_update(path) for path in leaves} | values
        return update_body(values)

    def _value_after_update(self, path: str) -> Json:
        """The value after the update; verbatim as on the platform where the row does not set it."""
        return self._requested[path] if path in self._requested else self._shown.get(path)

    def find_problems(self, values: Mapping[str, Json]) -> Iterator[Problem]:
        """What is wrong with the updated number; rules that no change touches are not applied."""
        updated = {path: self._value_after_update(path) for path in (*self._current, *self._requested)} | dict(values)
        cleared = tuple(f"{path}." for path in _WHOLE_OBJECT_PATHS if path in self.changed_values)
        updated = {path: value for path, value in updated.items() if not path.startswith(cleared)}
        yield from find_missing_fields(updated, "change a number (the platform has none for this one)")
        yield from _find_broken_rules(updated, self.changed_values)


def _is_comparable(path: str) -> bool:
    """Whether a path is an updatable value of the number; its id and its destination are not."""
    field = PROMO_NUMBERS.by_path[paths.to_pattern(path)]
    return field.is_sent and field.applies_on_create and field.applies_on_update and path != "id_from_network"


def _find_broken_rules(values: Mapping[str, Json], changed_paths: Iterable[str]) -> Iterator[Problem]:
    """The errors of the rules on changed fields."""
    changed_patterns = {paths.to_pattern(path) for path in changed_paths}
    present = {path: value for path, value in values.items() if value not in (None, [])}
    for rule in PROMO_NUMBERS.rules:
        if changed_patterns.intersection(rule.fields):
            rule_values = {path: value for path, value in present.items() if paths.to_pattern(path) in rule.fields}
            yield from (problem for problem in rule.check(rule_values) if problem.level == "error")
