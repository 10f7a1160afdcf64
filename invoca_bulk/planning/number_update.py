"""A promo number as a row wants it, beside what the platform has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoca_bulk.planning.display_values import sent_form
from invoca_bulk.schema import PROMO_NUMBERS, Action, paths, payloads
from invoca_bulk.schema.issue_catalog import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from invoca_bulk.schema.field_types import Json

#: What is sent whole, or not at all: it is not documented whether an update keeps the leaves that it does not name.
_WHOLES = (paths.FREE_PARENT, "hours_of_operation")


def missing_fields(values: Mapping[str, Json], purpose: str) -> Iterator[Problem]:
    """The required fields that are not there; validation could not know that they are needed.

    Args:
        values: path to JSON value.
        purpose: what they are needed for, as the end of a sentence.
    """
    for field in PROMO_NUMBERS.fields:
        if Action.CREATE in field.required_on and values.get(field.path) in (None, ""):
            details = {"known": field.path, "action": purpose, "example": ""}
            yield Problem(code="required", column=field.path, details=details)


class After:
    """A number as a row wants it, beside what it is.

    Args:
        changes: path to JSON value of the row's cells; None: to be cleared.
        found: the number as the platform has it.

    Attributes:
        changed: path to its value before and after, where the two differ.
    """

    def __init__(self, changes: Mapping[str, Json], found: Mapping[str, Json]) -> None:
        self._old = {path: value for path, value in payloads.leaves(found) if value not in (None, "", [])}
        self._new = {path: value for path, value in changes.items() if _is_comparable(path)}
        self.changed = {path: pair for path, pair in self._pairs() if pair[0] != pair[1]}

    def _pairs(self) -> Iterator[tuple[str, tuple[Json, Json]]]:
        for path, value in self._new.items():
            field = PROMO_NUMBERS.by_path[paths.pattern(path)]
            yield path, (payloads.canonical(field, self._old.get(path)), value if value != [] else None)

    def body(self) -> dict[str, Json]:
        """The JSON object to send: what changes, and what no update can do without."""
        required = (one.path for one in PROMO_NUMBERS.fields if one.is_sent and Action.CREATE in one.required_on)
        kept = {path: self._value(path) for path in required}
        sent = kept | {path: new for path, (_, new) in self.changed.items()}
        for whole in _WHOLES:
            if any(path.startswith(f"{whole}.") for path in sent):
                sent = self._with_whole(whole) | sent
        return sent_form(sent)

    def _with_whole(self, parent: str) -> dict[str, Json]:
        """All leaves below a parent."""
        return {path: self._value(path) for path in (*self._old, *self._new) if path.startswith(f"{parent}.")}

    def _value(self, path: str) -> Json:
        """The value after the update; what the platform's own is, to the letter where the row does not give one."""
        new = self._new.get(path)
        return new if path in self._new else self._old.get(path)

    def problems(self, values: Mapping[str, Json]) -> Iterator[Problem]:
        """What is wrong with the number as it would be; what the rules say of what it was before may stay."""
        given = {path: self._value(path) for path in (*self._old, *self._new)} | dict(values)
        yield from missing_fields(given, "change a number (the platform has none for this one)")
        yield from _broken(given, self.changed)


def _is_comparable(path: str) -> bool:
    """Whether it is a value of the number itself, and neither its name nor where it goes."""
    field = PROMO_NUMBERS.by_path[paths.pattern(path)]
    return field.is_sent and field.on_create and field.on_update and path != "id_from_network"


def _broken(values: Mapping[str, Json], changed: Iterable[str]) -> Iterator[Problem]:
    """The errors of the rules that look at what changes."""
    touched = {paths.pattern(path) for path in changed}
    present = {path: value for path, value in values.items() if value not in (None, [])}
    for rule in PROMO_NUMBERS.rules:
        if touched.intersection(rule.fields):
            yield from (
                one
                for one in rule.check({path: present[path] for path in present if paths.pattern(path) in rule.fields})
                if one.level == "error"
            )
