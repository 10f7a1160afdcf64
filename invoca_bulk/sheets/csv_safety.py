"""The guard against formulas in CSV cells, and its exact inverse.

A spreadsheet program runs a CSV cell that starts with `=`, `+`, `-`, `@`, a tab or a carriage return as a formula. The
writer puts an apostrophe in front of such a text, the reader takes it off again.

The rule, with `'*` standing for any number of apostrophes, none included:
- written: a text that starts with `'*` and then one of the six gets one `'` in front, except a `+` with nothing but
  digits behind it (a phone number), which no program can take for anything but a number;
- read: a text that starts with one `'` or more and then one of the six loses one `'`; all other texts stay.

So a text that has apostrophes of its own gets one more and loses one, `'tis` and `+18055550100` are never touched, and
`unescape_formula(safe_csv_text(text)) == text` for every text.
"""

from __future__ import annotations

import re

_FORMULA_START = re.compile(r"'*[=+\-@\t\r]")
_ESCAPED_FORMULA = re.compile(r"'+[=+\-@\t\r]")
_PHONE_NUMBER = re.compile(r"\+[0-9]+")


def escape_formula(text: str) -> str:
    """The text as it can stand in a CSV cell without being run as a formula."""
    if _FORMULA_START.match(text) and not _PHONE_NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def unescape_formula(text: str) -> str:
    """The text of a CSV cell without the guard: the inverse of `escape_formula`."""
    return text[1:] if _ESCAPED_FORMULA.match(text) else text
