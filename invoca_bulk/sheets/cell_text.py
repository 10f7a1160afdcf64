"""The values of spreadsheet and DataFrame cells as text: one table of types."""

from __future__ import annotations

import datetime as dt
import decimal
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

#: A spreadsheet keeps 15 digits of a number; from here on it may have replaced the last ones by zeros.
FIRST_LOSSY_NUMBER = 10**15
_EXACT_DIGITS = 15
#: Longer numbers are rejected: Python refuses to write 4,300 digits, and `1E+999999999` would fill the memory.
_MAX_DIGITS = 1_000
_INTEGER_LIMIT = 10**_MAX_DIGITS


class NoTextFormError(TypeError):
    """A value has no text form; the message names it, as part of a sentence. Never raised outside this package."""


def convert_to_texts(values: Sequence[object], *, any_type: bool = False) -> tuple[list[str], dict[int, str]]:
    """The text of each cell of a column, and position to issue code of the cells that the spreadsheet program damaged.

    Formatters are looked up once per type. A list that holds only texts is returned itself. Raises `NoTextFormError`,
    with `any_type` only where Python itself cannot write the value.
    """
    types = set(map(type, values))
    if types <= {str}:
        return values if isinstance(values, list) else list(values), {}  # type: ignore[arg-type]  # all are str
    table, fallback = (_ANY_TYPE_FORMATTERS, _format_any) if any_type else (_FORMATTERS, _raise_no_text_form)
    formatters = {cell_type: _lookup_by_type(table, cell_type) or fallback for cell_type in types}
    checks = {cell_type: check for cell_type in types if (check := _lookup_by_type(_DAMAGE_CHECKS, cell_type))}
    return [formatters[type(value)](value) for value in values], _find_damaged_cells(checks, values)


def _find_damaged_cells(checks: Mapping[type, Callable[[Any], str | None]], values: Sequence[object]) -> dict[int, str]:
    if not checks:
        return {}
    codes = ((position, checks[type(value)](value)) for position, value in enumerate(values) if type(value) in checks)
    return {position: code for position, code in codes if code}


def _lookup_by_type(table: Mapping[type, Callable[[Any], Any]], value_type: type) -> Callable[[Any], Any] | None:
    """The entry of the nearest base class: a `numpy.float64` is a float, a `StrEnum` a text."""
    return next((table[base] for base in value_type.__mro__ if base in table), None)


def _raise_no_text_form(value: object) -> str:
    raise NoTextFormError(f"a value of the type {type(value).__name__}")


def _format_int(value: int) -> str:
    if abs(value) >= _INTEGER_LIMIT:
        raise NoTextFormError(f"a number of more than {_MAX_DIGITS:,} digits")
    return int.__repr__(value)


def _format_float(value: float) -> str:
    """`8051234567.0` as `8051234567`, and 15 digits of a fraction, as the spreadsheet shows it."""
    if value != value:  # noqa: PLR0124  NaN: a blank cell in a column of numbers
        return ""
    return str(int(value)) if value.is_integer() else format(value, ".15g")


def _format_decimal(value: decimal.Decimal) -> str:
    if value.is_nan():
        return ""
    if value and abs(value.adjusted()) >= _MAX_DIGITS:  # before `int` or `format` writes it
        raise NoTextFormError(f"a number of more than {_MAX_DIGITS:,} digits")
    return str(int(value)) if value.is_finite() and value == int(value) else format(value, "f")


def _format_datetime(value: dt.datetime) -> str:
    return value.isoformat(sep=" ", timespec="seconds") if value.time() != dt.time() else value.date().isoformat()


def _format_time(value: dt.time) -> str:
    """Rounded to seconds: a spreadsheet stores a time as a fraction of a day, so 17:45 may read as 17:44:59.999999."""
    return _format_clock((value.hour * 60 + value.minute) * 60 + value.second + round(value.microsecond / 1e6))


def _format_duration(value: dt.timedelta) -> str:
    return _format_clock(round(value.total_seconds()))


def _format_clock(seconds: int) -> str:
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    minutes, seconds = divmod(seconds, 60)
    text = f"{sign}{minutes // 60:02}:{minutes % 60:02}"
    return f"{text}:{seconds:02}" if seconds else text


def _format_blank(_value: object) -> str:
    return ""


def _format_list(value: Sequence[object]) -> str:
    try:
        return json.dumps(list(value), ensure_ascii=False, default=_numpy_to_plain)
    except NoTextFormError:
        raise
    except (RecursionError, TypeError, ValueError):  # it contains itself, or something that is not JSON
        raise NoTextFormError("a list that cannot be written as JSON") from None


def _numpy_to_plain(value: object) -> object:
    """A numpy value inside a list."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else _raise_no_text_form(value)


_FORMATTERS: Mapping[type, Callable[[Any], str]] = {
    str: str.__str__,
    bool: lambda value: "TRUE" if value else "FALSE",
    np.bool_: lambda value: "TRUE" if value else "FALSE",
    int: _format_int,
    np.timedelta64: _raise_no_text_form,  # a subclass of np.integer
    np.integer: lambda value: str(int(value)),
    float: _format_float,
    np.floating: lambda value: _format_float(float(value)),
    decimal.Decimal: _format_decimal,
    dt.datetime: _format_datetime,
    dt.date: dt.date.isoformat,
    dt.time: _format_time,
    dt.timedelta: _format_duration,
    list: _format_list,
    tuple: _format_list,
    np.ndarray: _format_list,
    type(None): _format_blank,
    type(pd.NaT): _format_blank,
    type(pd.NA): _format_blank,
}


def _format_any(value: object) -> str:
    """The text that Python gives any value, for a column that is only carried through."""
    try:
        return str(value)
    except Exception:  # noqa: BLE001  `__str__` of a foreign type
        return _raise_no_text_form(value)


def _format_record(value: object) -> str:
    """A list or dict as JSON, with the text of whatever JSON does not know."""
    try:
        return json.dumps(value, ensure_ascii=False, default=_to_plain_or_text)
    except (RecursionError, TypeError, ValueError):  # it contains itself, or its keys are not texts
        return _format_any(value)


def _to_plain_or_text(value: object) -> object:
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else _format_any(value)


#: For columns that are not sent.
_ANY_TYPE_FORMATTERS: Mapping[type, Callable[[Any], str]] = {
    **_FORMATTERS,
    np.timedelta64: _format_any,
    **dict.fromkeys((dict, list, tuple, np.ndarray), _format_record),
}


def _check_float_digits(value: float) -> str | None:
    """From this size on, a float may have lost the digits that were typed."""
    return "cell_digits_lost" if abs(value) >= FIRST_LOSSY_NUMBER and value.is_integer() else None


def _check_int_digits(value: int) -> str | None:
    """An int is exact, so digits were lost only if there are zeros in their place."""
    is_lossy = abs(value) >= FIRST_LOSSY_NUMBER and not str(abs(value))[_EXACT_DIGITS:].strip("0")
    return "cell_digits_lost" if is_lossy else None


def _check_decimal_digits(value: decimal.Decimal) -> str | None:
    return _check_int_digits(int(value)) if value.is_finite() and value == int(value) else None


_DAMAGE_CHECKS: Mapping[type, Callable[[Any], str | None]] = {
    dt.date: lambda _value: "cell_date",
    type(pd.NaT): lambda _value: None,
    bool: lambda _value: None,
    np.timedelta64: lambda _value: None,
    int: _check_int_digits,
    np.integer: lambda value: _check_int_digits(int(value)),
    float: _check_float_digits,
    np.floating: lambda value: _check_float_digits(float(value)),
    decimal.Decimal: _check_decimal_digits,
}
