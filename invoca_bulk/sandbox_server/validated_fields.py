"""Dataclass fields that are validated whenever they are set, also from text."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from invoca_bulk.errors import ConfigError
from invoca_bulk.schema.field_types import Json

T = TypeVar("T")


class ValidatedField(Generic[T]):
    """A dataclass field that is validated whenever it is set, also from text.

    `check` converts a value to the valid value, or raises TypeError or ValueError; `expected` describes valid values.
    """

    def __init__(self, default: Json, check: Callable[[Json], T], expected: str) -> None:
        self._default = default
        self._check = check
        self._expected = expected

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    def __get__(self, holder: object | None, _owner: type | None = None) -> T:
        value: T = self._default if holder is None else vars(holder)[self._name]
        return value

    def __set__(self, holder: object, value: Json) -> None:
        vars(holder)[self._name] = self.validate(value)

    def validate(self, value: Json, label: str = "") -> T:
        """Convert a value to the valid value; `label` names it in the error if the attribute does not."""
        try:
            return self._check(value)
        except (TypeError, ValueError):
            raise ConfigError(
                f"The sandbox cannot use {value!r} as {label or self._name}. Use {self._expected}."
            ) from None


def parse_number(value: Json, *, minimum: float = 0.0, maximum: float = math.inf) -> float:
    """A finite number, also from text such as `0.2` or `20%`."""
    if isinstance(value, bool):
        raise TypeError
    is_percentage = isinstance(value, str) and value.endswith("%")
    number = float(value.removesuffix("%")) / 100 if is_percentage else float(value)
    if not minimum <= number <= maximum or math.isinf(number):
        raise ValueError
    return number


def parse_share(value: Json) -> float:
    """A number from 0 to 1, also from text such as `0.2` or `20%`."""
    return parse_number(value, maximum=1.0)


def parse_optional_number(value: Json) -> float | None:
    """A finite number or None."""
    return None if value is None else parse_number(value)


def parse_whole_number(value: Json) -> int:
    """A whole number, also from text."""
    return int(value) if isinstance(value, str) else operator.index(value)


def parse_names(value: Json) -> Iterable[str]:
    """Names, also from text with `+` between them."""
    return [name for name in value.split("+") if name] if isinstance(value, str) else value
