"""What the text of a cell can mean."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invoca_bulk.schema import ADVERTISERS, PROMO_NUMBERS, RESOURCES, field_types
from invoca_bulk.schema.issue_catalog import ISSUE_CODE_BY_MARKER, ParseError, parse_marker
from invoca_bulk.schema.payloads import SPREADSHEET_ERRORS

if TYPE_CHECKING:
    from collections.abc import Callable

    from invoca_bulk.schema.field_types import FieldType
    from invoca_bulk.schema.issue_catalog import Problem

QUANTITY = PROMO_NUMBERS.by_path["quantity"].field_type
RADIUS = PROMO_NUMBERS.by_path["local_number_preferences.search_radius_miles"].field_type
MEDIA_TYPE = PROMO_NUMBERS.by_path["media_type"].field_type
ACTION = PROMO_NUMBERS.by_path["action"].field_type
DAY = PROMO_NUMBERS.by_path["hours_of_operation.schedules.#.day_of_week"].field_type
ROLE = ADVERTISERS.by_path["users.#.role"].field_type

#: Every kind that the table uses, once, named by the first field that has it.
KINDS = dict(
    {
        id(field.field_type): (f"{resource.name}-{field.path}", field.field_type)
        for resource in RESOURCES.values()
        for field in resource.fields
    }.values()
)


def each_of(named: dict[str, FieldType]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", [pytest.param(kind, id=name) for name, kind in named.items()])


each_kind = each_of(KINDS)

#: Once for each of some 40 kinds, so that fewer examples do.
quick = settings(deadline=None, max_examples=25)

# Values of each kind, made without the code under test

VISIBLE = st.text(alphabet=st.characters(exclude_categories=["C", "Z"]), min_size=1)
AREA_CODES_IN_USE = st.sampled_from(["201", "212", "416", "472", "604", "671", "787", "805", "939", "956"])
DIGITS = st.text(alphabet="0123456789", min_size=1, max_size=20)


def digits(pattern: str) -> st.SearchStrategy[str]:
    return st.from_regex(pattern, fullmatch=True)


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.builds("{} {}".format, VISIBLE, VISIBLE) | VISIBLE,
    "id": VISIBLE.filter(lambda text: text not in {".", "..", "[]"}),
    "numeric id": DIGITS,
    "digits": DIGITS,
    "yes or no": st.booleans(),
    "area code": AREA_CODES_IN_USE,
    "area codes": st.lists(AREA_CODES_IN_USE, min_size=1, max_size=5),
    "zip code": digits("[0-9]{5}") | digits("[A-Z][0-9][A-Z] [0-9][A-Z][0-9]"),
    "time, HH:MM": st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 15, 30, 45])),
    "phone number": digits("[2-9][0-9]{9}") | digits(r"\+44[1-9][0-9]{9}") | digits(r"\+1[2-9][0-9]{9}"),
    "email address": st.builds("{}@{}.com".format, digits("[a-z][a-z0-9]{0,9}"), digits("[a-z][a-z0-9]{0,9}")),
    "Google Ads account id": digits("[0-9]{3}-[0-9]{3}-[0-9]{4}") | digits("[0-9]{10,15}"),
    "whole number, 1 to 10,000": st.integers(1, 10_000),
    "whole number, 0 to 100,000": st.integers(0, 100_000),
}


def values_of(kind: FieldType) -> st.SearchStrategy[Any]:
    """A kind without values here fails loudly: each needs its round trip."""
    if kind.choices and kind is not field_types.BOOLEAN:
        return st.sampled_from(kind.choices)
    return VALUES[kind.name].filter(lambda value: kind.to_text(value) != field_types.CLEAR)


#: What a spreadsheet, a web page or a hand adds to a value.
NOISE = st.sampled_from([" ", "  ", "\u00a0", "\u00ad", "\u200b", "-", "\u2010", "_", ".0", ",", "(", "\n", "'", ""])


def texts_of(kind: FieldType) -> st.SearchStrategy[str]:
    """Texts that are nearly values, and any text at all."""

    def noisy(value: Any, noise: str, place: int, change: Callable[[str], str]) -> str:
        text = change(kind.to_text(value))
        at = place % (len(text) + 1)
        return f"{text[:at]}{noise}{text[at:]}"

    changes = st.sampled_from([str, str.lower, str.upper, str.swapcase])
    return st.builds(noisy, values_of(kind), NOISE, st.integers(0, 50), changes) | st.text()


@each_kind
@given(data=st.data())
@quick
def test_round_trip(kind: FieldType, data: st.DataObject) -> None:
    """A value that is shown and read again is the same value, with nothing cleaned on the way."""
    value = data.draw(values_of(kind))
    reading = kind.parse_cell(kind.to_text(value))
    assert reading.value == value
    assert type(reading.value) is type(value)
    assert reading.warning is None or reading.warning.code == "digits_ignored"


@each_kind
@given(data=st.data())
@quick
def test_json(kind: FieldType, data: st.DataObject) -> None:
    """The platform's check of a JSON value takes all that reading gives."""
    assert kind.find_problem(data.draw(values_of(kind))) is None


@each_kind
@given(data=st.data())
@quick
def test_reading_settles(kind: FieldType, data: st.DataObject) -> None:
    """What was cleaned once needs no more cleaning."""
    try:
        value = kind.parse_cell(data.draw(texts_of(kind))).value
    except ParseError:
        return
    if value not in (None, []):
        again = kind.parse_cell(kind.to_text(value))
        assert again.value == value
        assert again.warning is None or again.warning.code == "digits_ignored"


@each_of({name: kind for name, kind in KINDS.items() if kind not in (field_types.BOOLEAN, field_types.AREA_CODES)})
@given(data=st.data())
@quick
def test_nothing_is_changed_silently(kind: FieldType, data: st.DataObject) -> None:
    """A value that differs from its cell comes with a warning; `yes` for TRUE and `805,212` are other spellings."""
    text = data.draw(texts_of(kind))
    try:
        reading = kind.parse_cell(text)
    except ParseError:
        return
    if reading.value is not None and kind.to_text(reading.value) != text:
        assert reading.warning is not None


def refusal(kind: FieldType, text: str) -> Problem | None:
    try:
        kind.parse_cell(text)
    except ParseError as refused:
        return refused.problem
    return None


HOSTILE = {
    "huge": "x" * 200_000,
    "huge-digits": "9" * 200_000,
    "huge-spaces": " " * 200_000 + "x",
    "huge-commas": "805," * 50_000,
    "deep-list": "[" * 100_000,
    "deep-object": '[{"a":' * 50_000,
    "list-of-a-huge-integer": f"[{'9' * 5_000}]",
    "list-of-infinity": "[1e999, NaN]",
    "surrogate": "\ud800",
    "surrogate-inside": "A\udfffB",
    "nul": "\0",
    "nul-inside": "A\0B",
    "right-to-left": "\u202e805\u202c",
    "right-to-left-mark": "\u200f",
    "braces": "{} {0} {value!r} {x.__class__}",
    "open-brace": "{",
    "percent": "%s %(x)s %",
    "combining": "e" + "\u0301" * 10_000,
    "other-digits": "\u0668\u0660\u0665",
    "superscript": "\u00b2",
    "emoji": "\U0001f468\u200d\U0001f469",
    "formula": "=1+1",
    "dots": "..",
    "json-object": '{"a": 1}',
    "almost-clear": "[ ]",
}


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in HOSTILE.items()])
def test_hostile(text: str) -> None:
    """No text breaks any kind: it has a meaning, or is refused in a sentence of decent length."""
    for name, kind in KINDS.items():
        problem = refusal(kind, text)
        assert problem is None or (problem.message.endswith((".", "…")) and len(problem.message) < 300), name


# What is read, and as what


def read(kind: FieldType, text: str, value: Any, *, warned: bool = False) -> Any:
    return pytest.param(kind, text, value, warned, id=f"{kind.name}-{text!a}")


@pytest.mark.parametrize(
    ("kind", "text", "value", "warned"),
    [
        read(field_types.TEXT, 'Smith & Sons, "the best" O\'Hara', 'Smith & Sons, "the best" O\'Hara'),
        read(field_types.TEXT, " Spring sale\u00a0", "Spring sale", warned=True),
        read(field_types.TEXT, "two\nlines\tand a tab", "two\nlines\tand a tab"),
        read(field_types.TEXT, "in\u00adside stays", "in\u00adside stays"),
        read(field_types.TEXT, "00123", "00123"),
        read(field_types.ID, "00123", "00123"),
        read(field_types.ID, "805.0", "805.0"),
        read(field_types.ID, "a/b?c#d%2e ü", "a/b?c#d%2e ü"),
        read(field_types.ID, "...", "..."),
        read(field_types.ID, " A-100 ", "A-100", warned=True),
        read(field_types.NUMERIC_ID, "00123", "00123"),
        read(field_types.NUMERIC_ID, "222.0", "222", warned=True),
        read(MEDIA_TYPE, "Online: Display", "Online: Display"),
        read(MEDIA_TYPE, "online: display", "Online: Display", warned=True),
        read(MEDIA_TYPE, " Online:  Display ", "Online: Display", warned=True),
        read(MEDIA_TYPE, "Online:Display", "Online: Display", warned=True),
        read(MEDIA_TYPE, "Offline: In\u00adCall Ad", "Offline: InCall Ad", warned=True),
        read(MEDIA_TYPE, "Offline: In-Call Ad", "Offline: InCall Ad", warned=True),
        read(MEDIA_TYPE, "Offline: In\u2010Call Ad", "Offline: InCall Ad", warned=True),
        read(MEDIA_TYPE, "GOOGLE_CALL_EXTENSION", "Google Call Extension", warned=True),
        read(ACTION, "Create", "create", warned=True),
        read(DAY, "MONDAY", "Monday", warned=True),
        read(field_types.STATE, "CA", "CA"),
        read(field_types.STATE, "on", "ON", warned=True),
        read(field_types.STATE, "PR", "PR"),
        read(QUANTITY, "1", 1),
        read(QUANTITY, "10000", 10_000),
        read(QUANTITY, "7.0", 7, warned=True),
        read(QUANTITY, "007", 7, warned=True),
        read(QUANTITY, "1,000", 1_000, warned=True),
        read(RADIUS, "0", 0),
        *(read(field_types.BOOLEAN, word, value=True) for word in ("TRUE", "true", "Yes", "y", "1", "x", "on")),
        *(read(field_types.BOOLEAN, word, value=False) for word in ("FALSE", "False", "NO", "n", "0", "off")),
        read(field_types.AREA_CODE, "805", "805"),
        read(field_types.AREA_CODE, "805.0", "805", warned=True),
        read(field_types.AREA_CODE, "(805)", "805", warned=True),
        read(field_types.AREA_CODE, "8\u00ad05 ", "805", warned=True),
        read(field_types.AREA_CODES, "805", ["805"]),
        read(field_types.AREA_CODES, "805, 212", ["805", "212"]),
        read(field_types.AREA_CODES, "805;212|416 604", ["805", "212", "416", "604"]),
        read(field_types.AREA_CODES, '["805", "212"]', ["805", "212"]),
        read(field_types.AREA_CODES, "[805, 212]", ["805", "212"]),
        read(field_types.AREA_CODES, "805.0, 212", ["805", "212"], warned=True),
        read(field_types.AREA_CODES, '["805.0", "(212)"]', ["805", "212"], warned=True),
        read(field_types.ZIP_CODE, "02134", "02134"),
        read(field_types.ZIP_CODE, "93101.0", "93101", warned=True),
        read(field_types.ZIP_CODE, "K1A 0B1", "K1A 0B1"),
        read(field_types.ZIP_CODE, "k1a0b1", "K1A 0B1", warned=True),
        read(field_types.ZIP_CODE, "K1A\u20130B1", "K1A 0B1", warned=True),
        read(field_types.TIME, "17:45", "17:45"),
        read(field_types.TIME, "8:00", "08:00", warned=True),
        read(field_types.TIME, "23:45:00", "23:45", warned=True),
        read(field_types.TIME_ZONE, "pacific time (us & canada)", "Pacific Time (US & Canada)", warned=True),
        read(field_types.PHONE, "8055550100", "8055550100"),
        read(field_types.PHONE, "+18055550100", "+18055550100"),
        read(field_types.PHONE, "+448081570192", "+448081570192"),
        read(field_types.PHONE, "805-555-5555", "8055555555", warned=True),
        read(field_types.PHONE, "888\u2010603\u20103760", "8886033760", warned=True),
        read(field_types.PHONE, "1 (805) 555-0100", "8055550100", warned=True),
        read(field_types.PHONE, "18055550100", "8055550100", warned=True),
        read(field_types.PHONE, "8055550100.0", "8055550100", warned=True),
        read(field_types.PHONE, "+44 808 157 0192", "+448081570192", warned=True),
        read(field_types.EMAIL, "chris@example.com", "chris@example.com"),
        read(field_types.EMAIL, " chris@example.com", "chris@example.com", warned=True),
        read(field_types.ADS_ACCOUNT, "627-345-9815", "627-345-9815"),
        read(field_types.ADS_ACCOUNT, "7567575756755", "7567575756755"),
        read(field_types.ADS_ACCOUNT, "627\u2010345\u20109815", "627-345-9815", warned=True),
        read(field_types.ADS_ACCOUNT, "6273459815.0", "6273459815", warned=True),
        read(field_types.LOOKS_LIKE, "80561", "80561"),
        read(field_types.LOOKS_LIKE, "805619", "805619", warned=True),
    ],
)
def test_read(kind: FieldType, text: str, value: Any, warned: bool) -> None:  # noqa: FBT001  a column of the table
    """Each text means what an analyst meant by it, and a warning says what was cleaned."""
    reading = kind.parse_cell(text)
    assert reading.value == value
    assert type(reading.value) is type(value)
    assert (reading.warning is not None) == warned


@pytest.mark.parametrize(
    ("kind", "text", "clean"),
    [
        pytest.param(field_types.TEXT, " sale ", "sale", id="space"),
        pytest.param(field_types.PHONE, "805\u2010555\u20100100", "8055550100", id="dash"),
        pytest.param(MEDIA_TYPE, "Offline: In\u00adCall Ad", "Offline: InCall Ad", id="soft-hyphen"),
        pytest.param(field_types.AREA_CODE, "805.0", "805", id="point-zero"),
        pytest.param(field_types.AREA_CODES, "805.0, 212", "805, 212", id="point-zero-in-a-list"),
        pytest.param(QUANTITY, "1,000", "1000", id="comma"),
        pytest.param(DAY, "monday", "Monday", id="case"),
    ],
)
def test_both_are_shown(kind: FieldType, text: str, clean: str) -> None:
    """The warning of a cleaning shows the cell's text and what became of it."""
    warning = kind.parse_cell(text).warning
    assert warning is not None
    assert warning.level == "warning"
    assert warning.message == f"{text!r} is read as {clean!r}."


@pytest.mark.parametrize("text", ["[]", " [] "])
@pytest.mark.parametrize(
    "kind",
    [field_types.TEXT, field_types.ID, field_types.BOOLEAN, field_types.AREA_CODE, field_types.AREA_CODES, QUANTITY],
)
def test_clear(kind: FieldType, text: str) -> None:
    """`[]` is null for a single value and an empty list for a list."""
    assert kind.parse_cell(text) == field_types.ParsedValue(value=[] if kind is field_types.AREA_CODES else None)


# What is refused, and with which fix


def refuse(kind: FieldType, text: str, code: str, fix: str = "") -> Any:
    return pytest.param(kind, text, code, fix, id=f"{kind.name}-{ascii(text)[:40]}")


RANGE = "Type a whole number from 1 to 10,000."


@pytest.mark.parametrize(
    ("kind", "text", "code", "fix"),
    [
        refuse(field_types.TEXT, "bell\x07", "cell_control"),
        refuse(field_types.TEXT, "next\x85line", "cell_control"),
        refuse(field_types.TEXT, "\ud83d", "cell_control"),
        refuse(field_types.ID, ".", "not_an_id"),
        refuse(field_types.ID, " .. ", "not_an_id"),
        refuse(field_types.ID, "A\n100", "not_an_id"),
        refuse(field_types.ID, "A\t100", "not_an_id"),
        refuse(field_types.ID, "A\0100", "not_an_id"),
        refuse(field_types.ID, "A\ud800", "not_an_id"),
        refuse(field_types.NUMERIC_ID, "22a", "not_digits"),
        refuse(field_types.NUMERIC_ID, "-1", "not_digits"),
        refuse(field_types.NUMERIC_ID, "1.5", "not_digits"),
        refuse(field_types.NUMERIC_ID, "\u0661", "not_digits"),
        refuse(MEDIA_TYPE, "Online Display", "not_a_choice", "Online: Display"),
        refuse(MEDIA_TYPE, "Online - Display", "not_a_choice", "Online: Display"),
        refuse(MEDIA_TYPE, "Online: Displayy", "not_a_choice", "Online: Display"),
        refuse(MEDIA_TYPE, "ofline newspaper", "not_a_choice", "Offline: Newspaper"),
        refuse(MEDIA_TYPE, "Online: Content/Review", "not_a_choice", "Online: Content / Review Site"),
        refuse(MEDIA_TYPE, "billboard", "not_a_choice"),
        refuse(DAY, "Mon", "not_a_choice"),
        refuse(DAY, "Wendesday", "not_a_choice", "Wednesday"),
        refuse(ACTION, "buy", "not_a_choice", "Type one of: create, update, move, delete."),
        refuse(ROLE, "Boss", "not_a_choice", "Type one of: Super, Manager, Member, Observer."),
        refuse(field_types.STATE, "California", "not_a_state", "CA"),
        refuse(field_types.STATE, "new york", "not_a_state", "NY"),
        refuse(field_types.STATE, "Ontario", "not_a_state", "ON"),
        refuse(field_types.STATE, "ZZ", "not_a_state", "Type a code such as CA or ON."),
        refuse(QUANTITY, "0", "out_of_range", RANGE),
        refuse(QUANTITY, "-1", "out_of_range", RANGE),
        refuse(QUANTITY, "10001", "out_of_range", RANGE),
        refuse(QUANTITY, "10,001", "out_of_range", RANGE),
        refuse(QUANTITY, "1.5", "not_a_number", RANGE),
        refuse(QUANTITY, "1,5", "not_a_number", RANGE),
        refuse(QUANTITY, "2,0", "not_a_number", RANGE),
        refuse(QUANTITY, "1,00", "not_a_number", RANGE),
        refuse(QUANTITY, "1e3", "not_a_number", RANGE),
        refuse(QUANTITY, "two", "not_a_number", RANGE),
        refuse(field_types.BOOLEAN, "maybe", "not_a_boolean"),
        refuse(field_types.BOOLEAN, "2", "not_a_boolean"),
        refuse(field_types.AREA_CODE, "80", "not_an_area_code"),
        refuse(field_types.AREA_CODE, "8055", "not_an_area_code"),
        refuse(field_types.AREA_CODE, "105", "not_an_area_code"),
        refuse(field_types.AREA_CODE, "800", "toll_free_area_code"),
        refuse(field_types.AREA_CODE, "888", "toll_free_area_code"),
        refuse(field_types.AREA_CODES, "805, 999", "not_an_area_code"),
        refuse(field_types.AREA_CODES, "805, 800", "toll_free_area_code"),
        refuse(field_types.AREA_CODES, "805212", "not_an_area_code"),
        refuse(field_types.AREA_CODES, ", ;", "not_area_codes"),
        refuse(field_types.AREA_CODES, "[805, 212", "not_area_codes"),
        refuse(field_types.AREA_CODES, "[ ]", "not_area_codes"),
        refuse(field_types.AREA_CODES, "[null]", "not_area_codes"),
        refuse(field_types.AREA_CODES, "[true]", "not_area_codes"),
        refuse(field_types.AREA_CODES, "[805.0]", "not_area_codes"),
        refuse(field_types.AREA_CODES, '[["805"]]', "not_area_codes"),
        refuse(field_types.ZIP_CODE, "2134", "zip_code_zero_lost", "02134"),
        refuse(field_types.ZIP_CODE, "2134.0", "zip_code_zero_lost", "02134"),
        refuse(field_types.ZIP_CODE, "501", "zip_code_zero_lost", "00501"),
        refuse(field_types.ZIP_CODE, "93101-1234", "zip_code_too_precise", "93101"),
        refuse(field_types.ZIP_CODE, "931011234", "zip_code_too_precise", "93101"),
        refuse(field_types.ZIP_CODE, "93", "not_a_zip_code"),
        refuse(field_types.ZIP_CODE, "K1A", "not_a_zip_code"),
        refuse(field_types.ZIP_CODE, "SW1A 1AA", "not_a_zip_code"),
        refuse(field_types.TIME, "8", "not_a_time"),
        refuse(field_types.TIME, "08:10", "not_a_time"),
        refuse(field_types.TIME, "24:00", "not_a_time"),
        refuse(field_types.TIME, "12:60", "not_a_time"),
        refuse(field_types.TIME, "5:45 PM", "not_a_time"),
        refuse(field_types.TIME, "08:00:01", "not_a_time"),
        refuse(field_types.TIME_ZONE, "PST", "not_a_choice"),
        refuse(field_types.TIME_ZONE, "Pacific Time", "not_a_choice", "Pacific Time (US & Canada)"),
        refuse(field_types.TIME_ZONE, "Pacific Time US Canada", "not_a_choice", "Pacific Time (US & Canada)"),
        refuse(field_types.PHONE, "5550100", "not_a_phone_number"),
        refuse(field_types.PHONE, "805555010", "not_a_phone_number"),
        refuse(field_types.PHONE, "80555501000", "not_a_phone_number"),
        refuse(field_types.PHONE, "8055550100 ext. 7", "not_a_phone_number"),
        refuse(field_types.PHONE, "call me", "not_a_phone_number"),
        refuse(field_types.PHONE, "+999123", "not_a_phone_number"),
        refuse(field_types.EMAIL, "chris@", "not_an_email"),
        refuse(field_types.EMAIL, "Chris <chris@example.com>", "not_an_email"),
        refuse(field_types.EMAIL, "a@example.com, b@example.com", "not_an_email"),
        refuse(field_types.ADS_ACCOUNT, "627 345 9815", "not_an_ads_account"),
        refuse(field_types.ADS_ACCOUNT, "62-7345-9815", "not_an_ads_account"),
        refuse(field_types.ADS_ACCOUNT, "123456789", "not_an_ads_account"),
        refuse(field_types.LOOKS_LIKE, "805-61", "not_digits"),
    ],
)
def test_refused(kind: FieldType, text: str, code: str, fix: str) -> None:
    """Each text that means nothing is refused with its code, and what to type instead where that is known."""
    problem = refusal(kind, text)
    assert problem is not None
    assert (problem.code, problem.level) == (code, "error")
    assert problem.fix == fix or (not fix and problem.fix.endswith("."))


# Area codes, by the number plan


@pytest.mark.parametrize(
    ("codes", "region"),
    [
        pytest.param(("201", "212", "472", "805", "956"), "US", id="usa"),
        pytest.param(("204", "416", "604", "867"), "CA", id="canada"),
        pytest.param(("787", "939"), "PR", id="puerto-rico"),
        pytest.param(("671",), "GU", id="guam"),
        pytest.param(("340",), "VI", id="virgin-islands"),
        pytest.param(("684",), "AS", id="american-samoa"),
        pytest.param(("670",), "MP", id="northern-marianas"),
        pytest.param(("809",), "DO", id="dominican-republic"),
        pytest.param(("242",), "BS", id="bahamas"),
        pytest.param(("800", "833", "844", "855", "866", "877", "888"), "toll-free", id="toll-free"),
        pytest.param(("500", "521", "533", "544", "566", "577", "588"), None, id="personal"),
        pytest.param(("600", "622"), None, id="canada-without-a-place"),
        pytest.param(("900",), None, id="premium-rate"),
        pytest.param(("211", "311", "411", "911"), None, id="service-codes"),
        pytest.param(("200", "300", "370", "555", "700", "710", "960", "999"), None, id="not-in-use"),
    ],
)
def test_area_code_region(codes: tuple[str, ...], region: str | None) -> None:
    """An area code has the region of the number plan; those that stand for no place have none."""
    assert {field_types.area_code_region(code) for code in codes} == {region}


@pytest.mark.parametrize("code", ["809", "242", "876", "900", "500", "600"])
def test_no_local_numbers(code: str) -> None:
    """The Caribbean states, premium and personal numbers are no place for a local center."""
    problem = refusal(field_types.AREA_CODE, code)
    assert problem is not None
    assert problem.code == "not_an_area_code"


# Choices


CLOSED = each_of({name: kind for name, kind in KINDS.items() if kind.choices and kind is not field_types.BOOLEAN})


@CLOSED
def test_choices_differ(kind: FieldType) -> None:
    """No two choices differ in case, spaces and dashes only, so that cleaning never guesses."""
    assert [kind.parse_cell(choice.upper().replace(" ", "")).value for choice in kind.choices] == list(kind.choices)


@CLOSED
@given(text=st.text())
def test_suggestion(kind: FieldType, text: str) -> None:
    """What is suggested can be pasted, or is a sentence."""
    suggested = field_types.suggest_choice(text, kind.choices)
    assert suggested in kind.choices or suggested.endswith(".")


MEDIA = PROMO_NUMBERS.by_path["media_type"].field_type


@pytest.mark.parametrize(
    ("text", "suggested"),
    [
        pytest.param("Radio", "Offline: Radio", id="one-holds-the-word"),
        pytest.param("direct  MAIL", "Offline: Direct Mail", id="one-holds-the-words"),
        pytest.param("Display", "Type one of: Online: Display, Mobile: Display.", id="two-hold-the-word"),
        pytest.param("Online Displai", "Online: Display", id="nearly-the-whole"),
        pytest.param("Radi", "Choose a value from", id="a-part-of-a-word"),
        pytest.param("Radio Billboard", "Choose a value from", id="only-one-of-the-words"),
        pytest.param("Billboard", "Choose a value from", id="none-holds-the-word"),
        pytest.param("?!", "Choose a value from", id="no-word"),
    ],
)
def test_suggestion_by_words(text: str, suggested: str) -> None:
    """A word of a choice suggests the choices that hold it, as long as they are few."""
    found = field_types.suggest_choice(text, MEDIA.choices)
    assert found == suggested or (found.endswith(".") and found.startswith(suggested) and "Choose" in suggested)


# The platform's own check


@pytest.mark.parametrize(
    ("kind", "value", "allowed"),
    [
        pytest.param(field_types.NUMERIC_ID, 222, True, id="numeric-id-integer"),
        pytest.param(field_types.NUMERIC_ID, "222", True, id="numeric-id-text"),
        pytest.param(field_types.NUMERIC_ID, True, False, id="numeric-id-boolean"),
        pytest.param(field_types.TEXT, 5, False, id="text-integer"),
        pytest.param(field_types.TEXT, "sale ", False, id="text-with-space"),
        pytest.param(field_types.TEXT, None, False, id="text-null"),
        pytest.param(field_types.AREA_CODE, "805", True, id="area-code"),
        pytest.param(field_types.AREA_CODE, 805, False, id="area-code-integer"),
        pytest.param(field_types.AREA_CODES, ["805"], True, id="area-codes"),
        pytest.param(field_types.AREA_CODES, "805", False, id="area-codes-text"),
        pytest.param(field_types.AREA_CODES, [805], False, id="area-codes-integers"),
        pytest.param(field_types.AREA_CODES, {"a": 1}, False, id="area-codes-object"),
        pytest.param(field_types.AREA_CODES, 805, False, id="area-codes-integer"),
        pytest.param(field_types.BOOLEAN, True, True, id="boolean"),
        pytest.param(field_types.BOOLEAN, "TRUE", False, id="boolean-text"),
        pytest.param(field_types.BOOLEAN, 1, False, id="boolean-integer"),
        pytest.param(RADIUS, 240, True, id="number"),
        pytest.param(RADIUS, "240", False, id="number-text"),
        pytest.param(RADIUS, 240.0, False, id="number-float"),
        pytest.param(RADIUS, True, False, id="number-boolean"),
        pytest.param(MEDIA_TYPE, "Online: Display", True, id="choice"),
        pytest.param(MEDIA_TYPE, "online: display", False, id="choice-case"),
        pytest.param(MEDIA_TYPE, ["Online: Display"], False, id="choice-list"),
        pytest.param(field_types.PHONE, "8055550100", True, id="phone"),
        pytest.param(field_types.PHONE, 8055550100, False, id="phone-integer"),
        pytest.param(field_types.PHONE, "805-555-0100", False, id="phone-dashes"),
    ],
)
def test_problem(kind: FieldType, value: Any, allowed: bool) -> None:  # noqa: FBT001  a column of the table
    """A JSON value is taken as it is or objected to in a sentence; nothing is cleaned."""
    problem = kind.find_problem(value)
    assert (problem is None) == allowed
    assert problem is None or problem.message.endswith(".")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        pytest.param("", "", id="empty"),
        pytest.param(" \t\u00a0\u200b\u00ad\ufeff\n", "", id="nothing-to-see"),
        pytest.param(" a \n\u00a0 b ", "a b", id="spaces"),
        pytest.param("a\u2010b\u2011c\u2012d\u2013e\u2014f\u2212g", "a-b-c-d-e-f-g", id="dashes"),
        pytest.param("e\u0301", "\u00e9", id="composed"),
        pytest.param("\ud800", "\ud800", id="surrogate"),
    ],
)
def test_plain(text: str, plain: str) -> None:
    """What nobody sees is taken off, and nothing else."""
    assert field_types.normalize_text(text) == plain


@pytest.mark.parametrize("kind", [field_types.TEXT, field_types.ID], ids=lambda kind: kind.name)
@given(data=st.data())
def test_as_is(kind: FieldType, data: st.DataObject) -> None:
    """A text of a form that is taken as it is would be read as itself, without a warning."""
    assert kind.passthrough_pattern is not None
    text = data.draw(
        st.from_regex(kind.passthrough_pattern, fullmatch=True) | st.sampled_from(["0", "a" * 1_000, "A  b", "N/A"])
    )
    assert kind.passthrough_pattern.fullmatch(text)
    assert kind.parse_cell(text) == field_types.ParsedValue(value=text)
    assert not parse_marker(text)
    assert field_types.normalize_text(text)
    assert text not in SPREADSHEET_ERRORS


def test_what_is_not_taken_as_it_is() -> None:
    """Marks, errors of a spreadsheet, what clears, and what has to be cleaned or refused are always read."""
    doubtful = (
        *ISSUE_CODE_BY_MARKER,
        *SPREADSHEET_ERRORS,
        "",
        " ",
        ".",
        "..",
        field_types.CLEAR,
        " a",
        "a ",
        "a\n",
        "a\0b",
        "é",
        "a" * 1_001,
    )
    assert [
        one
        for one in doubtful
        for kind in (field_types.TEXT, field_types.ID)
        if kind.passthrough_pattern and kind.passthrough_pattern.fullmatch(one)
    ] == []


@given(st.text())
def test_plain_is_the_same_the_short_way(text: str) -> None:
    """The short way for most texts gives what the long way gives."""
    visible = unicodedata.normalize("NFC", text).translate(
        dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))
    )
    dashed = visible.translate(dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"), "-"))
    assert field_types.normalize_text(text) == re.sub(r"\s+", " ", dashed).strip()
