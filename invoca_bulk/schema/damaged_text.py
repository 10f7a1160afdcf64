"""Texts that a program damaged or left behind: how they look, and what a message says about them."""

from __future__ import annotations

import re

from invoca_bulk.schema.invisible import name_invisible
from invoca_bulk.schema.issue_catalog import Problem

#: How pandas, Python, SQL and JavaScript write a missing value. Somebody may be called Null, so it is no error.
MISSING_VALUE_WORDS = ("nan", "NaN", "NAN", "None", "NaT", "NULL", "Null", "null", "undefined")
_MISSING_VALUES = frozenset({*MISSING_VALUE_WORDS, "<NA>", "<null>", "(null)", r"\N"})

#: A long number as a spreadsheet shows it in a narrow column, and then saves it as CSV.
SCIENTIFIC_PATTERN = r"[1-9](?:[.,][0-9]+)?[Ee]\+[0-9]{1,3}"
_SCIENTIFIC = re.compile(SCIENTIFIC_PATTERN)

#: What Windows-1252 and MacRoman make of the second and later bytes of UTF-8.
_CONTINUATION = re.escape(bytes(range(0x80, 0xC0)).decode("cp1252", "ignore")) + "\x81\x8d\x8f\x90\x9d"
_MAC_CONTINUATION = re.escape(bytes(range(0x80, 0xC0)).decode("mac_roman"))
#: UTF-8 that was read as Windows-1252 (two bytes, three or four, several letters of Greek or Cyrillic), or as MacRoman.
_MOJIBAKE = re.compile(
    rf"[\xc2\xc3][{_CONTINUATION}]|\xe2[{_CONTINUATION}]{{2}}|\xf0\u0178[{_CONTINUATION}]{{2}}"
    rf"|\xef[\xbb\xbf][{_CONTINUATION}]|(?:[\xce-\xd1][{_CONTINUATION}]){{2,}}"
    rf"|\u221a[{_MAC_CONTINUATION}]|\u201a\xc4[{_MAC_CONTINUATION}]"
)


def is_scientific(text: str) -> bool:
    """Whether the text is a long number in its short form, such as `1.23457E+11`."""
    return _SCIENTIFIC.fullmatch(text) is not None


def find_damage(text: str) -> Problem | None:
    """The warning for a text that is sent as it is, although it does not look as somebody typed it."""
    if text in _MISSING_VALUES:
        return Problem(code="text_missing_value", details={"value": text})
    if text.isascii():
        return None
    if "\ufffd" in text:
        return Problem(code="text_replaced", details={"value": text})
    if match := _MOJIBAKE.search(text):
        return Problem(code="text_garbled", details={"value": text, "garbled": match[0], "likely": _repair(match[0])})
    if names := name_invisible(text):
        return Problem(code="text_invisible", details={"names": names})
    return None


def _repair(garbled: str) -> str:
    """What the characters were, as part of a sentence; empty if it is unclear."""
    for encoding in ("cp1252", "mac_roman"):
        try:
            return f" (probably {garbled.encode(encoding).decode()!r})"
        except UnicodeError:
            continue
    return ""
