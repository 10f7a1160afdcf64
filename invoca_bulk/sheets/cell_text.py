"""The values of spreadsheet and DataFrame cells as text: one table of types."""

from __future__ import annotations

import datetime as dt
import decimal
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: A spreadsheet keeps 15 digits of a number; from here on the last ones may have been replaced by zeros.
FIRST_LOSSY = 10**15
_KEPT_DIGITS = 15
#: No number of more digits is written out: Python refuses one of 4,300, and `1E+999999999` would fill the memory.
_MOST_DIGITS = 1_000
_TOO_LARGE = 10**_MOST_DIGITS


class NoText(TypeError):
    """A value that has no text form; the message names it, as part of a sentence. Never leaves this package."""


def texts(values: Sequence[object]) -> tuple[list[str], dict[int, str]]:
    """The text of each cell of a column, and the issue code of those that the spreadsheet program spoilt, by position.

    The work is done once for each type that occurs, since most columns are all text already; a list of texts is given
    back itself.

    Raises:
        NoText: a value's type is not in the table, or the value cannot be written out.
    """
    types = set(map(type, values))
    if types <= {str}:
        return values if isinstance(values, list) else list(values), {}  # type: ignore[arg-type]  # all are str
    write = {one: _entry(_WRITERS, one) or _refuse for one in types}
    check = {one: check for one in types if (check := _entry(_CHECKS, one))}
    return [write[type(value)](value) for value in values], _spoilt(check, values)


def _spoilt(check: Mapping[type, Callable[[Any], str | None]], values: Sequence[object]) -> dict[int, str]:
    if not check:
        return {}
    found = ((at, check[type(value)](value)) for at, value in enumerate(values) if type(value) in check)
    return {at: code for at, code in found if code}


def _entry(table: Mapping[type, Callable[[Any], Any]], of: type) -> Callable[[Any], Any] | None:
    """The entry of the nearest base class: a `numpy.float64` is a float, an enum of texts a text."""
    return next((table[base] for base in of.__mro__ if base in table), None)


def _refuse(value: object) -> str:
    raise NoText(f"a value of the type {type(value).__name__}")


# Types to text


def _int(value: int) -> str:
    if abs(value) >= _TOO_LARGE:
        raise NoText(f"a number of more than {_MOST_DIGITS:,} digits")
    return int.__repr__(value)


def _number(value: float) -> str:
    """`8051234567.0` as `8051234567`, and 15 digits of a fraction, as the spreadsheet shows it."""
    if value != value:  # noqa: PLR0124  the test for NaN: a blank cell of a column of numbers
        return ""
    return str(int(value)) if value.is_integer() else format(value, ".15g")


def _decimal(value: decimal.Decimal) -> str:
    if value.is_nan():
        return ""
    if value and abs(value.adjusted()) >= _MOST_DIGITS:  # before anything writes it out
        raise NoText(f"a number of more than {_MOST_DIGITS:,} digits")
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
    try:
        return json.dumps(list(value), ensure_ascii=False, default=_plain)
    except NoText:
        raise
    except (RecursionError, TypeError, ValueError):  # it contains itself, or something that JSON cannot hold
        raise NoText("a list that cannot be written as JSON") from None


def _plain(value: object) -> object:
    """A numpy value inside a list."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return _refuse(value)


_WRITERS: Mapping[type, Callable[[Any], str]] = {
    str: str.__str__,
    bool: lambda value: "TRUE" if value else "FALSE",
    np.bool_: lambda value: "TRUE" if value else "FALSE",
    int: _int,
    np.timedelta64: _refuse,  # numpy calls it an integer
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


def _digits_of_float(value: float) -> str | None:
    """A float of this size cannot tell whether its last digits are the ones that were typed."""
    return "cell_digits_lost" if abs(value) >= FIRST_LOSSY and value.is_integer() else None


def _digits_of_int(value: int) -> str | None:
    """An int is exact, so its digits were lost only if there are zeros in their place."""
    lost = abs(value) >= FIRST_LOSSY and not str(abs(value))[_KEPT_DIGITS:].strip("0")
    return "cell_digits_lost" if lost else None


def _digits_of_decimal(value: decimal.Decimal) -> str | None:
    return _digits_of_int(int(value)) if value.is_finite() and value == int(value) else None


_CHECKS: Mapping[type, Callable[[Any], str | None]] = {
    dt.date: lambda _value: "cell_date",
    type(pd.NaT): lambda _value: None,
    bool: lambda _value: None,
    int: _digits_of_int,
    np.integer: lambda value: _digits_of_int(int(value)),
    float: _digits_of_float,
    np.floating: lambda value: _digits_of_float(float(value)),
    decimal.Decimal: _digits_of_decimal,
}
