"""Fields of a dataclass that are checked whenever they are set, also from text."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Generic, TypeVar

from invoca_bulk.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from invoca_bulk.schema.field_types import Json

T = TypeVar("T")


class ValidatedField(Generic[T]):
    """A field of a dataclass that is checked whenever it is set, also from text.

    Args:
        default: what it is when it is not given, before the check.
        check: makes the value; TypeError or ValueError when it cannot.
        expected: what to give, for the error.
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
        """The value as it is kept.

        Args:
            value: what is given.
            label: what the error calls it; empty: by its name.

        Raises:
            ConfigError: it cannot be used.
        """
        try:
            return self._check(value)
        except (TypeError, ValueError):
            label = label or self._name
            raise ConfigError(f"The sandbox cannot use {value!r} as {label}. Give {self._expected}.") from None


def parse_number(value: Json, *, minimum: float = 0.0, maximum: float = math.inf) -> float:
    """A finite number, also from text, also as `20%`."""
    if isinstance(value, bool):
        raise TypeError
    percent = isinstance(value, str) and value.endswith("%")
    given = float(value.removesuffix("%")) / 100 if percent else float(value)
    if not minimum <= given <= maximum or math.isinf(given):
        raise ValueError
    return given


def parse_share(value: Json) -> float:
    """A number from 0 to 1."""
    return parse_number(value, maximum=1.0)


def parse_optional_number(value: Json) -> float | None:
    """A finite number; None stays None."""
    return None if value is None else parse_number(value)


def parse_whole_number(value: Json) -> int:
    """A whole number, also from text."""
    return int(value) if isinstance(value, str) else operator.index(value)


def parse_names(value: Json) -> Iterable[str]:
    """Names as they are, or those of a text with `+` between them."""
    return [name for name in value.split("+") if name] if isinstance(value, str) else value
