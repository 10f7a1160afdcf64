"""Dates, times and durations of Excel: numbers that a number format shows as such."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from functools import lru_cache

#: The formats that a file refers to by number alone. Those from 27 to 36 and from 50 to 58 are dates of East Asia.
BUILT_IN_CODES: Mapping[int, str] = {
    0: "General",
    1: "0",
    2: "0.00",
    3: "#,##0",
    4: "#,##0.00",
    9: "0%",
    10: "0.00%",
    11: "0.00E+00",
    12: "# ?/?",
    13: "# ??/??",
    **dict.fromkeys((*range(14, 18), *range(27, 37), *range(50, 59)), "yyyy-mm-dd"),
    **dict.fromkeys((18, 19, 20, 21, 45, 47), "h:mm"),
    22: "yyyy-mm-dd h:mm",
    46: "[h]:mm:ss",
    48: "##0.0E+0",
    49: "@",
}
#: The most usual formats, which show what the cell holds.
PLAIN_CODES = frozenset({"General", "GENERAL", "0", "0.00", "#,##0", "#,##0.00", "@"})
_DAYS_BETWEEN_EPOCHS = 1_462  # of the calendar that begins in 1904
_END_OF_CALENDAR = 2_958_466
#: Excel counts a 29 February 1900, which was none, so earlier dates have another epoch.
_FIRST_DAY_AFTER_LEAP_DAY = 60
_EPOCH = dt.datetime(1899, 12, 30)  # noqa: DTZ001  spreadsheets know no time zones

#: What is no date in a format: texts, spaces, fillers, and all brackets but those of durations.
_NO_DATE = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!(?:h+|m+|s+)\])[^\]]*\]', re.IGNORECASE)
_DURATION = re.compile(r"\[[hms]+\]", re.IGNORECASE)
_DATE = re.compile(r"[ymdhs]", re.IGNORECASE)


@lru_cache(maxsize=10_000)
def find_kind(code: str) -> str:
    """Which kind of value a format shows: `date`, `duration` or `number`."""
    bare_code = _NO_DATE.sub("", code).partition(";")[0]
    if _DURATION.search(bare_code):
        return "duration"
    return "date" if _DATE.search(bare_code) else "number"


def convert(serial: float, kind: str, *, is_1904: bool) -> object:
    """The date, time or duration; the number itself if the calendar does not have it: Excel shows no date for it."""
    days = serial + _DAYS_BETWEEN_EPOCHS if is_1904 and kind == "date" else serial
    if kind == "number" or not abs(days) < _END_OF_CALENDAR or (kind == "date" and days < 0):
        return serial
    duration = dt.timedelta(milliseconds=round(days * 86_400_000))
    if kind == "duration":
        return duration
    if 0 <= serial < 1:
        return (_EPOCH + duration).time()
    moment = _EPOCH + duration + dt.timedelta(days=days < _FIRST_DAY_AFTER_LEAP_DAY)
    return moment if moment.time() != dt.time() else moment.date()
