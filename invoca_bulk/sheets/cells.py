"""The values of spreadsheet and DataFrame cells as text: one table of types."""

from __future__ import annotations

import datetime as dt
import decimal
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from invoca_bulk.issues import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: A spreadsheet keeps 15 digits of a number; from here on the last ones may have been replaced by zeros.
FIRST_LOSSY = 10**15
_KEPT_DIGITS = 15


class NoText(TypeError):
    """A value of a type that has no text form here; never leaves this package."""


def texts(values: Sequence[object]) -> tuple[list[str], dict[int, Problem]]:
    """The text of each cell of a column, and what is wrong with some, by position.

    The work is done once for each type that occurs, since most columns are all text already.

    Raises:
        NoText: a value's type is not in the table.
    """
    types = set(map(type, values))
    if types <= {str}:
        return list(values), {}  # type: ignore[arg-type]  # the line above has looked
    write = {one: _entry(_WRITERS, one) or _refuse for one in types}
    check = {one: check for one in types if (check := _entry(_CHECKS, one))}
    return [write[type(value)](value) for value in values], _problems(check, values)


def _problems(check: Mapping[type, Callable[[Any], Problem | None]], values: Sequence[object]) -> dict[int, Problem]:
    if not check:
        return {}
    found = ((at, check[type(value)](value)) for at, value in enumerate(values) if type(value) in check)
    return {at: problem for at, problem in found if problem}


def _entry(table: Mapping[type, Callable[[Any], Any]], of: type) -> Callable[[Any], Any] | None:
    """The entry of the nearest base class: a `numpy.float64` is a float, an enum of texts a text."""
    return next((table[base] for base in of.__mro__ if base in table), None)


def _refuse(value: object) -> str:
    raise NoText(type(value).__name__)


# Types to text


def _number(value: float) -> str:
    """`8051234567.0` as `8051234567`, and 15 digits of a fraction, as the spreadsheet shows it."""
    if value != value:  # noqa: PLR0124  the test for NaN: a blank cell of a column of numbers
        return ""
    return str(int(value)) if value.is_integer() else format(value, ".15g")


def _decimal(value: decimal.Decimal) -> str:
    if value.is_nan():
        return ""
    return str(int(value)) if value.is_finite() and value == int(value) else format(value, "f")


def _datetime(value: dt.datetime) -> str:
    if value.time() == dt.time():
        return value.date().isoformat()
    return value.isoformat(sep=" ", timespec="seconds")


def _time(value: dt.time) -> str:
    """The nearest second: a spreadsheet's time is a fraction of a day, and 17:45 may arrive as 17:44:59.999999."""
    seconds = (value.hour * 60 + value.minute) * 60 + value.second + round(value.microsecond / 1e6)
    return _clock(seconds)


def _duration(value: dt.timedelta) -> str:
    return _clock(round(value.total_seconds()))


def _clock(seconds: int) -> str:
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    minutes, seconds = divmod(seconds, 60)
    text = f"{sign}{minutes // 60:02}:{minutes % 60:02}"
    return f"{text}:{seconds:02}" if seconds else text


def _blank(_value: object) -> str:
    return ""


def _list(value: Sequence[object]) -> str:
    return json.dumps(list(value), ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    """A numpy value inside a list."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return _refuse(value)


_WRITERS: Mapping[type, Callable[[Any], str]] = {
    str: str.__str__,
    bool: lambda value: "TRUE" if value else "FALSE",
    np.bool_: lambda value: "TRUE" if value else "FALSE",
    int: int.__repr__,
    np.integer: lambda value: str(int(value)),
    float: _number,
    np.floating: lambda value: _number(float(value)),
    decimal.Decimal: _decimal,
    dt.datetime: _datetime,
    dt.date: dt.date.isoformat,
    dt.time: _time,
    dt.timedelta: _duration,
    list: _list,
    tuple: _list,
    np.ndarray: _list,
    type(None): _blank,
    type(pd.NaT): _blank,
    type(pd.NA): _blank,
}


# What the spreadsheet program did to a value


def _is_date(value: dt.date) -> Problem:
    write = _WRITERS[dt.datetime if isinstance(value, dt.datetime) else dt.date]
    return Problem(code="cell_date", details={"value": write(value)})


def _digits_of_float(value: float) -> Problem | None:
    """A float of this size cannot tell whether its last digits are the ones that were typed."""
    return Problem(code="cell_digits_lost") if abs(value) >= FIRST_LOSSY and value.is_integer() else None


def _digits_of_int(value: int) -> Problem | None:
    """An int is exact, so its digits were lost only if there are zeros in their place."""
    lost = abs(value) >= FIRST_LOSSY and not str(abs(value))[_KEPT_DIGITS:].strip("0")
    return Problem(code="cell_digits_lost") if lost else None


_CHECKS: Mapping[type, Callable[[Any], Problem | None]] = {
    dt.date: _is_date,
    type(pd.NaT): lambda _value: None,
    bool: lambda _value: None,
    int: _digits_of_int,
    np.integer: lambda value: _digits_of_int(int(value)),
    float: _digits_of_float,
    np.floating: lambda value: _digits_of_float(float(value)),
    decimal.Decimal: lambda value: _digits_of_int(int(value)) if value.is_finite() and value == int(value) else None,
}
