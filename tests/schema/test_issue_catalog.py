"""The catalogue of issues, and how its sentences are filled."""

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


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("code", CODES)
def test_wording(code: str) -> None:
    """A message is a sentence of its own, a fix is one too or the value to type, and only warnings need none."""
    one = ISSUE_TYPES[code]
    assert re.fullmatch(r"[a-z_]+", code)
    assert re.match(r"[A-Z{\[]|[a-z]+_", one.message)  # or it starts with a column's name
    assert one.message.endswith((".", "{reason}"))  # the reason of email-validator is a sentence
    assert one.fix.endswith(".") or one.fix in {"", "{fixed}", "{suggestion}"}
    assert one.fix or one.level == "warning"
    assert "  " not in one.message + one.fix


@pytest.mark.parametrize("code", CODES)
def test_places(code: str) -> None:
    """The places of a text are plain names, so that no detail is looked into."""
    assert all(name.isidentifier() for name in places(ISSUE_TYPES[code].message) | places(ISSUE_TYPES[code].fix))


@given(value=st.text(), other=st.text())
def test_details_are_text(value: str, other: str) -> None:
    """Whatever a cell holds stands in the sentence as it is, braces and percent signs too."""
    problem = Problem(code="cell_cleaned", details={"value": value, "clean": other})
    assert problem.message == f"{truncate(value)!r} is read as {truncate(other)!r}."


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{}", id="empty-place"),
        pytest.param("{value}", id="place"),
        pytest.param("{0.__class__.__mro__}", id="attribute"),
        pytest.param("{", id="open-brace"),
        pytest.param("}}{{", id="doubled-braces"),
        pytest.param("%s %(x)d %", id="percent"),
        pytest.param("\\N{DIGIT ONE}", id="backslash"),
    ],
)
def test_placeholders_in_details(text: str) -> None:
    """What looks like a place in a cell is not one."""
    problem = Problem(code="cell_error", details={"value": text})
    assert problem.message == f"The cell contains the spreadsheet error {text}."


@pytest.mark.parametrize("text", ["\u202eoops", "\u200f805", "\ud800", "a\0b", "line\nbreak"])
def test_what_cannot_be_seen_is_spelt_out(text: str) -> None:
    """A quoted value shows marks, line breaks and broken characters by their codes, so that a sentence stays one."""
    problem = Problem(code="cell_cleaned", details={"value": text, "clean": ""})
    assert problem.message.isprintable()


def test_long_details_are_shortened() -> None:
    """A huge cell does not make a huge sentence; numbers stay as they are."""
    problem = Problem(code="out_of_range", details={"value": "9" * 100_000, "minimum": 1, "maximum": "10,000"})
    assert problem.message == f"{'9' * 119}… is not between 1 and 10,000."
    assert Problem(code="blank_rows", details={"count": 10**9}).message.endswith(": 1000000000.")


def test_what_would_be_lost_is_named_whole() -> None:
    """A detail that says so is not shortened: each user who would be lost is named, however many there are."""
    names = ", ".join(f"user {number}" for number in range(150))
    problem = Problem(code="would_be_removed", details={"what": Unshortened(names)})
    assert problem.message.endswith(f"would lose {names}.")


@given(text=st.text(), limit=st.integers(1, 200))
def test_shortened(text: str, limit: int) -> None:
    """A text within the limit stays; a longer one is cut to it, and says so."""
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
def test_mistakes_are_loud(problem: Problem) -> None:
    """An unknown code and a missing detail are errors of ours, and give no half sentence."""
    with pytest.raises(KeyError):
        _ = problem.message


def test_refused() -> None:
    """A refusal carries its problem, and its text is the message."""
    refused = ParseError("not_a_boolean", value="maybe")
    assert str(refused) == refused.problem.message == "'maybe' is neither yes nor no."
    assert (refused.problem.level, refused.problem.column) == ("error", None)
    assert refused.problem.fix == "Type TRUE or FALSE."


@given(code=st.sampled_from(sorted(ISSUE_CODE_BY_MARKER.values())), text=st.text())
def test_marks(code: str, text: str) -> None:
    """A marked text tells its problem, keeps what there was, and is not marked twice; no mark begins another."""
    shown = add_marker(code, text)
    problem = parse_marker(shown)
    assert problem is not None
    assert problem.code == code
    assert shown.endswith(text)
    assert add_marker(code, shown) == shown
    assert not any(
        other != mark and other.startswith(mark) for mark in ISSUE_CODE_BY_MARKER for other in ISSUE_CODE_BY_MARKER
    )


@given(text=st.text(st.characters(exclude_characters="#")))
def test_no_mark(text: str) -> None:
    """A text without a mark has no problem of one."""
    assert parse_marker(text) is None
