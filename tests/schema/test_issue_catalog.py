"""The issue catalogue, and how its texts are filled."""

from __future__ import annotations

import re
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoca_bulk.schema.issue_catalog import (
    ISSUE_CODE_BY_MARKER,
    ISSUE_TYPES,
    ParseError,
    Problem,
    Unshortened,
    add_marker,
    parse_marker,
    truncate,
)

CODES = [pytest.param(code, id=code) for code in ISSUE_TYPES]


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("code", CODES)
def test_wording(code: str) -> None:
    """A message is a sentence, a fix is a sentence or the value to type, and only warnings may have no fix."""
    issue_type = ISSUE_TYPES[code]
    assert re.fullmatch(r"[a-z_]+", code)
    assert re.match(r"[A-Z{\[]|[a-z]+_", issue_type.message)  # or it starts with a column's name
    assert issue_type.message.endswith((".", "{reason}"))  # the reason of email-validator is a sentence
    assert issue_type.fix.endswith(".") or issue_type.fix in {"", "{fixed}", "{suggestion}"}
    assert issue_type.fix or issue_type.level == "warning"
    assert "  " not in issue_type.message + issue_type.fix


@pytest.mark.parametrize("code", CODES)
def test_placeholders(code: str) -> None:
    """Placeholders are plain names, without attributes or indexes."""
    assert all(
        name.isidentifier() for name in placeholders(ISSUE_TYPES[code].message) | placeholders(ISSUE_TYPES[code].fix)
    )


@given(value=st.text(), other=st.text())
def test_details_are_text(value: str, other: str) -> None:
    """The text of a cell appears in the message unchanged, including braces and percent signs."""
    problem = Problem(code="cell_cleaned", details={"value": value, "clean": other})
    assert problem.message == f"{truncate(value)!r} is read as {truncate(other)!r}."


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{}", id="empty-placeholder"),
        pytest.param("{value}", id="placeholder"),
        pytest.param("{0.__class__.__mro__}", id="attribute"),
        pytest.param("{", id="open-brace"),
        pytest.param("}}{{", id="doubled-braces"),
        pytest.param("%s %(x)d %", id="percent"),
        pytest.param("\\N{DIGIT ONE}", id="backslash"),
    ],
)
def test_placeholders_in_details(text: str) -> None:
    """A placeholder in the text of a cell is not filled."""
    problem = Problem(code="cell_error", details={"value": text})
    assert problem.message == f"The cell contains the spreadsheet error {text}."


@pytest.mark.parametrize("text", ["\u202eoops", "\u200f805", "\ud800", "a\0b", "line\nbreak"])
def test_invisible_characters_are_escaped(text: str) -> None:
    """A quoted value shows invisible and broken characters by their codes, so that a message stays on one line."""
    problem = Problem(code="cell_cleaned", details={"value": text, "clean": ""})
    assert problem.message.isprintable()


def test_long_details_are_truncated() -> None:
    """A huge cell does not give a huge message; numbers are not truncated."""
    problem = Problem(code="out_of_range", details={"value": "9" * 100_000, "minimum": 1, "maximum": "10,000"})
    assert problem.message == f"{'9' * 119}… is not between 1 and 10,000."
    assert Problem(code="blank_rows", details={"count": 10**9}).message == "Skipped blank rows: 1000000000."


def test_unshortened_details() -> None:
    """An `Unshortened` detail is not truncated: every user that would be lost is named."""
    names = ", ".join(f"user {number}" for number in range(150))
    problem = Problem(code="would_be_removed", details={"what": Unshortened(names)})
    assert problem.message.endswith(f"would lose {names}.")


@given(text=st.text(), limit=st.integers(1, 200))
def test_truncate(text: str, limit: int) -> None:
    """A text within the limit is unchanged; a longer text is cut to the limit and ends with an ellipsis."""
    short = truncate(text, limit)
    assert short == text or (len(short) == limit and short == f"{text[: limit - 1]}…")
    assert (short == text) == (len(text) <= limit) or text[limit - 1 :] == "…"


@pytest.mark.parametrize(
    "problem",
    [
        pytest.param(Problem(code="no_such_code"), id="unknown-code"),
        pytest.param(Problem(code="cell_cleaned", details={"value": "x"}), id="missing-detail"),
    ],
)
def test_programming_errors_raise(problem: Problem) -> None:
    """An unknown code or a missing detail raises an error instead of giving an incomplete message."""
    with pytest.raises(KeyError):
        _ = problem.message


def test_parse_error() -> None:
    """A ParseError carries its problem, and its text is the message."""
    error = ParseError("not_a_boolean", value="maybe")
    assert str(error) == error.problem.message == "'maybe' is neither yes nor no."
    assert (error.problem.level, error.problem.column) == ("error", None)
    assert error.problem.fix == "Type TRUE or FALSE."


@given(code=st.sampled_from(sorted(ISSUE_CODE_BY_MARKER.values())), text=st.text())
def test_markers(code: str, text: str) -> None:
    """A marked text gives its problem, keeps the text and is not marked twice; no marker is a prefix of another."""
    marked_text = add_marker(code, text)
    problem = parse_marker(marked_text)
    assert problem is not None
    assert problem.code == code
    assert marked_text.endswith(text)
    assert add_marker(code, marked_text) == marked_text
    assert not any(
        other != marker and other.startswith(marker)
        for marker in ISSUE_CODE_BY_MARKER
        for other in ISSUE_CODE_BY_MARKER
    )


@given(text=st.text(st.characters(exclude_characters="#")))
def test_no_marker(text: str) -> None:
    """A text without a marker has no problem."""
    assert parse_marker(text) is None
