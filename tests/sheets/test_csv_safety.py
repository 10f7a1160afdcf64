"""Escaping of formulas in CSV, and its inverse."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoca_bulk.sheets.csv_safety import escape_formula, unescape_formula

TEXTS = st.text(alphabet=st.sampled_from("'=+-@\t\r\n 1a")) | st.text()


@given(text=TEXTS)
def test_round_trip(text: str) -> None:
    """Every text is restored exactly."""
    assert unescape_formula(escape_formula(text)) == text


@given(text=TEXTS)
def test_escaped_texts_are_not_formulas(text: str) -> None:
    """An escaped text never starts like a formula, except `+` with digits."""
    written = escape_formula(text)
    assert not written.startswith(("=", "+", "-", "@", "\t", "\r")) or (written[0] == "+" and written[1:].isdecimal())


@pytest.mark.parametrize(
    ("text", "written"),
    [
        pytest.param("", "", id="blank"),
        pytest.param("=1+1", "'=1+1", id="formula"),
        pytest.param("@SUM(A1)", "'@SUM(A1)", id="at"),
        pytest.param("-5", "'-5", id="minus"),
        pytest.param("\tx", "'\tx", id="tab"),
        pytest.param("\rx", "'\rx", id="carriage-return"),
        pytest.param("+18055550100", "+18055550100", id="phone-number"),
        pytest.param("+1 805 555 0100", "'+1 805 555 0100", id="phone-number-with-spaces"),
        pytest.param("+1+cmd|' /C calc'!A0", "'+1+cmd|' /C calc'!A0", id="formula-that-starts-like-a-phone-number"),
        pytest.param("+1\n", "'+1\n", id="line-break-after-digits"),
        pytest.param("'tis", "'tis", id="apostrophe"),
        pytest.param("'=1", "''=1", id="apostrophe-and-formula"),
        pytest.param("'+18055550100", "''+18055550100", id="apostrophe-and-phone-number"),
        pytest.param("''=1", "'''=1", id="two-apostrophes"),
        pytest.param("a=1", "a=1", id="not-at-the-start"),
    ],
)
def test_rule(text: str, written: str) -> None:
    """The rule of the module's docstring, case by case."""
    assert escape_formula(text) == written


def test_foreign_apostrophe() -> None:
    """A phone number that a person escaped by hand loses its apostrophe."""
    assert unescape_formula("'+18055550100") == "+18055550100"
