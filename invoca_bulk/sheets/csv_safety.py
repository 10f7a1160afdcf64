"""Escaping of formulas in CSV cells, and its exact inverse.

A spreadsheet program runs a CSV cell that starts with `=`, `+`, `-`, `@`, a tab or a carriage return as a formula. The
writer puts an apostrophe in front of such a text, the reader removes it.

The rule, where `'*` is zero or more apostrophes:
- written: a text that starts with `'*` and one of the six characters gets one `'` in front, except a `+` followed by
  digits only (a phone number), which every program reads as a number; so does a number after one or more `'`;
- read: a text that starts with one or more `'` and one of the six characters loses one `'`, as does a number after two
  or more `'`; all others are unchanged. (`csv_cells` takes a single `'` off a number, which this writer never writes.)

So `'=1` is written as `''=1` and read back as `'=1`, `'007` as `''007`; `'tis` and `+18055550100` are never changed;
`unescape_formula(escape_formula(text)) == text` for every text.
"""

from __future__ import annotations

import re

#: A number as people type it.
NUMBER_PATTERN = r"[0-9][0-9 .,()/-]*"
_FORMULA_START = re.compile(rf"'*[=+\-@\t\r]|'+{NUMBER_PATTERN}\Z")
_ESCAPED_FORMULA = re.compile(rf"'+[=+\-@\t\r]|''+{NUMBER_PATTERN}\Z")
_PHONE_NUMBER = re.compile(r"\+[0-9]+")


def escape_formula(text: str) -> str:
    """The text, escaped so that no spreadsheet program runs it as a formula."""
    return f"'{text}" if _FORMULA_START.match(text) and not _PHONE_NUMBER.fullmatch(text) else text


def unescape_formula(text: str) -> str:
    """The inverse of `escape_formula`."""
    return text[1:] if _ESCAPED_FORMULA.match(text) else text
