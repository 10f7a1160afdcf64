"""A promo number as a row wants it, beside what the platform has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoca_bulk.planning.display_values import update_body
from invoca_bulk.schema import PROMO_NUMBERS, Action, paths, payloads
from invoca_bulk.schema.issue_catalog import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from invoca_bulk.schema.field_types import Json

#: What is sent whole, or not at all: it is not documented whether an update keeps the leaves that it does not name.
_WHOLE_OBJECT_PATHS = (paths.CUSTOM_DATA, "hours_of_operation")


def find_missing_fields(values: Mapping[str, Json], purpose: str) -> Iterator[Problem]:
    """The required fields that are not there; validation could not know that they are needed.

    Args:
        values: path to JSON value.
        purpose: what they are needed for, as the end of a sentence.
    """
    for field in PROMO_NUMBERS.fields:
        if Action.CREATE in field.required_on and values.get(field.path) in (None, ""):
            details = {"known": field.path, "action": purpose, "example": ""}
            yield Problem(code="required", column=field.path, details=details)


class NumberUpdate:
    """A number as a row wants it, beside what it is.

    Args:
        changes: path to JSON value of the row's cells; None: to be cleared.
        current: the number as the platform has it.

    Attributes:
        changed_values: path to its value before and after, where the two differ.
    """

    def __init__(self, changes: Mapping[str, Json], current: Mapping[str, Json]) -> None:
        self._current = {path: value for path, value in payloads.flatten_object(current) if value not in (None, "", [])}
        self._requested = {path: value for path, value in changes.items() if _is_comparable(path)}
        self.changed_values = {path: pair for path, pair in self._compare_values() if pair[0] != pair[1]}

    def _compare_values(self) -> Iterator[tuple[str, tuple[Json, Json]]]:
        for path, value in self._requested.items():
            field = PROMO_NUMBERS.by_path[paths.to_pattern(path)]
            yield path, (payloads.normalize_value(field, self._current.get(path)), value if value != [] else None)

    def build_body(self) -> dict[str, Json]:
        """The JSON object to send: what changes, and what no update can do without."""
        required = (one.path for one in PROMO_NUMBERS.fields if one.is_sent and Action.CREATE in one.required_on)
        kept = {path: self._value_after_update(path) for path in required}
        sent = kept | {path: new for path, (_, new) in self.changed_values.items()}
        for whole in _WHOLE_OBJECT_PATHS:
            if any(path.startswith(f"{whole}.") for path in sent):
                sent = self._values_below(whole) | sent
        return update_body(sent)

    def _values_below(self, parent: str) -> dict[str, Json]:
        """All leaves below a parent."""
        return {
            path: self._value_after_update(path)
            for path in (*self._current, *self._requested)
            if path.startswith(f"{parent}.")
        }

    def _value_after_update(self, path: str) -> Json:
        """The value after the update; what the platform's own is, to the letter where the row does not give one."""
        new = self._requested.get(path)
        return new if path in self._requested else self._current.get(path)

    def find_problems(self, values: Mapping[str, Json]) -> Iterator[Problem]:
        """What is wrong with the number as it would be; what the rules say of what it was before may stay."""
        given = {path: self._value_after_update(path) for path in (*self._current, *self._requested)} | dict(values)
        yield from find_missing_fields(given, "change a number (the platform has none for this one)")
        yield from _find_broken_rules(given, self.changed_values)


def _is_comparable(path: str) -> bool:
    """Whether it is a value of the number itself, and neither its name nor where it goes."""
    field = PROMO_NUMBERS.by_path[paths.to_pattern(path)]
    return field.is_sent and field.applies_on_create and field.applies_on_update and path != "id_from_network"


def _find_broken_rules(values: Mapping[str, Json], changed: Iterable[str]) -> Iterator[Problem]:
    """The errors of the rules that look at what changes."""
    touched = {paths.to_pattern(path) for path in changed}
    present = {path: value for path, value in values.items() if value not in (None, [])}
    for rule in PROMO_NUMBERS.rules:
        if touched.intersection(rule.fields):
            yield from (
                one
                for one in rule.check(
                    {path: present[path] for path in present if paths.to_pattern(path) in rule.fields}
                )
                if one.level == "error"
            )
