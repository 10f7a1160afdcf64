"""How each field type parses the text of a cell."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invoca_bulk.schema import ADVERTISERS, PROMO_NUMBERS, RESOURCES, field_types
from invoca_bulk.schema.invisible import remove_invisible
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

#: Every field type in the table once, by the name of the first field that has it.
FIELD_TYPES = dict(
    {
        id(field.field_type): (f"{resource.name}-{field.path}", field.field_type)
        for resource in RESOURCES.values()
        for field in resource.fields
        if field.field_type is not field_types.ONLY_CLEARED  # it has no values
    }.values()
)


def each_of(types_by_name: dict[str, FieldType]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "field_type", [pytest.param(field_type, id=name) for name, field_type in types_by_name.items()]
    )


each_field_type = each_of(FIELD_TYPES)

#: Warnings of values that are sent as they are.
UNCHANGED = {
    *("digits_ignored", "phone_placeholder", "spelling_uncertain", "end_of_day"),
    *("text_missing_value", "text_replaced", "text_garbled", "text_invisible"),
}

#: Fewer examples, since each test runs for about 40 field types.
quick = settings(max_examples=25)

# Values of each field type, made without the code under test

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
    "country code": st.sampled_from(["1", "33", "44", "353"]),
    "Google Ads account id": digits("[0-9]{3}-[0-9]{3}-[0-9]{4}") | digits("[0-9]{10,15}"),
    "whole number, 1 to 10,000": st.integers(1, 10_000),
    "whole number, 0 to 100,000": st.integers(0, 100_000),
}


def values_of(field_type: FieldType) -> st.SearchStrategy[Any]:
    """A field type without values here fails loudly: each needs its round trip."""
    if field_type.choices and field_type is not field_types.BOOLEAN:
        return st.sampled_from(field_type.choices)
    return VALUES[field_type.name].filter(lambda value: field_type.to_text(value) != field_types.CLEAR)


#: What spreadsheets, web pages and people add to values.
NOISE = st.sampled_from([" ", "  ", "\u00a0", "\u00ad", "\u200b", "-", "\u2010", "_", ".0", ",", "(", "\n", "'", ""])


def texts_of(field_type: FieldType) -> st.SearchStrategy[str]:
    """Texts that are almost values, and any other text."""

    def noisy(value: Any, noise: str, index: int, change: Callable[[str], str]) -> str:
        text = change(field_type.to_text(value))
        position = index % (len(text) + 1)
        return f"{text[:position]}{noise}{text[position:]}"

    changes = st.sampled_from([str, str.lower, str.upper, str.swapcase])
    return st.builds(noisy, values_of(field_type), NOISE, st.integers(0, 50), changes) | st.text()


@each_field_type
@given(data=st.data())
@quick
def test_round_trip(field_type: FieldType, data: st.DataObject) -> None:
    """A value that is converted to text and parsed is the same value, without cleaning."""
    value = data.draw(values_of(field_type))
    parsed = field_type.parse_cell(field_type.to_text(value))
    assert parsed.value == value
    assert type(parsed.value) is type(value)
    assert parsed.warning is None or parsed.warning.code in UNCHANGED


@each_field_type
@given(data=st.data())
@quick
def test_json(field_type: FieldType, data: st.DataObject) -> None:
    """The check of JSON values accepts every parsed value."""
    assert field_type.find_problem(data.draw(values_of(field_type))) is None


@each_field_type
@given(data=st.data())
@quick
def test_parsing_is_idempotent(field_type: FieldType, data: st.DataObject) -> None:
    """A value that was cleaned once needs no more cleaning."""
    try:
        value = field_type.parse_cell(data.draw(texts_of(field_type))).value
    except ParseError:
        return
    if value not in (None, []):
        parsed = field_type.parse_cell(field_type.to_text(value))
        assert parsed.value == value
        assert parsed.warning is None or parsed.warning.code in UNCHANGED


@each_of(
    {
        name: field_type
        for name, field_type in FIELD_TYPES.items()
        if field_type not in (field_types.BOOLEAN, field_types.AREA_CODES)
    }
)
@given(data=st.data())
@quick
def test_every_change_gives_a_warning(field_type: FieldType, data: st.DataObject) -> None:
    """A value that differs from its cell comes with a warning; `yes` for TRUE and `805,212` are other spellings."""
    text = data.draw(texts_of(field_type))
    try:
        parsed = field_type.parse_cell(text)
    except ParseError:
        return
    if parsed.value is not None and field_type.to_text(parsed.value) != text:
        assert parsed.warning is not None


def parse_problem(field_type: FieldType, text: str) -> Problem | None:
    try:
        field_type.parse_cell(text)
    except ParseError as error:
        return error.problem
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
    """No text breaks any field type: it is parsed, or rejected with a sentence of reasonable length."""
    for name, field_type in FIELD_TYPES.items():
        problem = parse_problem(field_type, text)
        assert problem is None or (problem.message.endswith((".", "…")) and len(problem.message) < 300), name


# Accepted texts and their values


def accepted(field_type: FieldType, text: str, value: Any, *, warned: bool = False) -> Any:
    return pytest.param(field_type, text, value, warned, id=f"{field_type.name}-{text!a}")


@pytest.mark.parametrize(
    ("field_type", "text", "value", "warned"),
    [
        accepted(field_types.TEXT, 'Smith & Sons, "the best" O\'Hara', 'Smith & Sons, "the best" O\'Hara'),
        accepted(field_types.TEXT, " Spring sale\u00a0", "Spring sale", warned=True),
        accepted(field_types.TEXT, "two\nlines\tand a tab", "two\nlines\tand a tab"),
        accepted(field_types.TEXT, "in\u00adside stays", "in\u00adside stays", warned=True),
        accepted(field_types.TEXT, "00123", "00123"),
        accepted(field_types.ID, "00123", "00123"),
        accepted(field_types.ID, "805.0", "805.0"),
        accepted(field_types.ID, "a/b?c#d%2e ü", "a/b?c#d%2e ü"),
        accepted(field_types.ID, "...", "..."),
        accepted(field_types.ID, " A-100 ", "A-100", warned=True),
        accepted(field_types.NUMERIC_ID, "00123", "00123"),
        accepted(field_types.NUMERIC_ID, "222.0", "222", warned=True),
        accepted(MEDIA_TYPE, "Online: Display", "Online: Display"),
        accepted(MEDIA_TYPE, "online: display", "Online: Display", warned=True),
        accepted(MEDIA_TYPE, " Online:  Display ", "Online: Display", warned=True),
        accepted(MEDIA_TYPE, "Online:Display", "Online: Display", warned=True),
        accepted(MEDIA_TYPE, "Offline: In\u00adCall Ad", "Offline: InCall Ad", warned=True),
        accepted(MEDIA_TYPE, "Offline: In-Call Ad", "Offline: In-Call Ad", warned=True),
        accepted(MEDIA_TYPE, "Offline: In\u2010Call Ad", "Offline: In-Call Ad", warned=True),
        accepted(MEDIA_TYPE, "GOOGLE_CALL_EXTENSION", "Google Call Extension", warned=True),
        accepted(ACTION, "Create", "create", warned=True),
        accepted(DAY, "MONDAY", "Monday", warned=True),
        accepted(field_types.STATE, "CA", "CA"),
        accepted(field_types.STATE, "on", "ON", warned=True),
        accepted(field_types.STATE, "PR", "PR"),
        accepted(QUANTITY, "1", 1),
        accepted(QUANTITY, "10000", 10_000),
        accepted(QUANTITY, "7.0", 7, warned=True),
        accepted(QUANTITY, "007", 7, warned=True),
        accepted(QUANTITY, "1,000", 1_000, warned=True),
        accepted(RADIUS, "0", 0),
        *(accepted(field_types.BOOLEAN, word, value=True) for word in ("TRUE", "true", "Yes", "y", "1", "x", "on")),
        *(accepted(field_types.BOOLEAN, word, value=False) for word in ("FALSE", "False", "NO", "n", "0", "off")),
        accepted(field_types.AREA_CODE, "805", "805"),
        accepted(field_types.AREA_CODE, "805.0", "805", warned=True),
        accepted(field_types.AREA_CODE, "(805)", "805", warned=True),
        accepted(field_types.AREA_CODE, "8\u00ad05 ", "805", warned=True),
        accepted(field_types.AREA_CODES, "805", ["805"]),
        accepted(field_types.AREA_CODES, "805, 212", ["805", "212"]),
        accepted(field_types.AREA_CODES, "805;212|416 604", ["805", "212", "416", "604"]),
        accepted(field_types.AREA_CODES, '["805", "212"]', ["805", "212"]),
        accepted(field_types.AREA_CODES, "[805, 212]", ["805", "212"]),
        accepted(field_types.AREA_CODES, "805.0, 212", ["805", "212"], warned=True),
        accepted(field_types.AREA_CODES, '["805.0", "(212)"]', ["805", "212"], warned=True),
        accepted(field_types.ZIP_CODE, "02134", "02134"),
        accepted(field_types.ZIP_CODE, "93101.0", "93101", warned=True),
        accepted(field_types.ZIP_CODE, "K1A 0B1", "K1A 0B1"),
        accepted(field_types.ZIP_CODE, "k1a0b1", "K1A 0B1", warned=True),
        accepted(field_types.ZIP_CODE, "K1A\u20130B1", "K1A 0B1", warned=True),
        accepted(field_types.TIME, "17:45", "17:45"),
        accepted(field_types.TIME, "8:00", "08:00", warned=True),
        accepted(field_types.TIME, "23:45:00", "23:45", warned=True),
        accepted(field_types.TIME_ZONE, "pacific time (us & canada)", "Pacific Time (US & Canada)", warned=True),
        accepted(field_types.PHONE, "8055550100", "8055550100"),
        accepted(field_types.PHONE, "+18055550100", "+18055550100"),
        accepted(field_types.PHONE, "+448081570192", "+448081570192"),
        accepted(field_types.PHONE, "805-555-5555", "8055555555", warned=True),
        accepted(field_types.PHONE, "888\u2010603\u20103760", "8886033760", warned=True),
        accepted(field_types.PHONE, "1 (805) 555-0100", "8055550100", warned=True),
        accepted(field_types.PHONE, "18055550100", "8055550100", warned=True),
        accepted(field_types.PHONE, "8055550100.0", "8055550100", warned=True),
        accepted(field_types.PHONE, "+44 808 157 0192", "+448081570192", warned=True),
        accepted(field_types.EMAIL, "chris@example.com", "chris@example.com"),
        accepted(field_types.EMAIL, " chris@example.com", "chris@example.com", warned=True),
        accepted(field_types.ADS_ACCOUNT, "627-345-9815", "627-345-9815"),
        accepted(field_types.ADS_ACCOUNT, "7567575756755", "7567575756755"),
        accepted(field_types.ADS_ACCOUNT, "627\u2010345\u20109815", "627-345-9815", warned=True),
        accepted(field_types.ADS_ACCOUNT, "6273459815.0", "6273459815", warned=True),
        accepted(field_types.LOOKS_LIKE, "80561", "80561"),
        accepted(field_types.LOOKS_LIKE, "805619", "805619", warned=True),
    ],
)
def test_parse(field_type: FieldType, text: str, value: Any, warned: bool) -> None:  # noqa: FBT001  a column of the table
    """Each text gives the value that the analyst meant, and a warning if it was cleaned."""
    parsed = field_type.parse_cell(text)
    assert parsed.value == value
    assert type(parsed.value) is type(value)
    assert (parsed.warning is not None) == warned


@pytest.mark.parametrize(
    ("field_type", "text", "clean"),
    [
        pytest.param(field_types.TEXT, " sale ", "sale", id="space"),
        pytest.param(field_types.PHONE, "805\u2010555\u20100100", "8055550100", id="dash"),
        pytest.param(MEDIA_TYPE, "Offline: Ra\u00addio", "Offline: Radio", id="soft-hyphen"),
        pytest.param(field_types.AREA_CODE, "805.0", "805", id="point-zero"),
        pytest.param(field_types.AREA_CODES, "805.0, 212", "805, 212", id="point-zero-in-a-list"),
        pytest.param(QUANTITY, "1,000", "1000", id="comma"),
        pytest.param(DAY, "monday", "Monday", id="case"),
    ],
)
def test_warning_shows_text_and_value(field_type: FieldType, text: str, clean: str) -> None:
    """The warning about a cleaned cell shows its text and its value."""
    warning = field_type.parse_cell(text).warning
    assert warning is not None
    assert warning.level == "warning"
    assert warning.message == f"{text!r} is read as {clean!r}."


@pytest.mark.parametrize("text", ["[]", " [] "])
@pytest.mark.parametrize(
    "field_type",
    [field_types.TEXT, field_types.ID, field_types.BOOLEAN, field_types.AREA_CODE, field_types.AREA_CODES, QUANTITY],
)
def test_clear(field_type: FieldType, text: str) -> None:
    """`[]` is null for a single value and an empty list for a list."""
    assert field_type.parse_cell(text) == field_types.ParsedValue(
        value=[] if field_type is field_types.AREA_CODES else None
    )


# Rejected texts and their fixes


def rejected(field_type: FieldType, text: str, code: str, fix: str = "") -> Any:
    return pytest.param(field_type, text, code, fix, id=f"{field_type.name}-{ascii(text)[:40]}")


RANGE = "Type a whole number from 1 to 10,000."


@pytest.mark.parametrize(
    ("field_type", "text", "code", "fix"),
    [
        rejected(field_types.TEXT, "bell\x07", "cell_control"),
        rejected(field_types.TEXT, "next\x85line", "cell_control"),
        rejected(field_types.TEXT, "\ud83d", "cell_control"),
        rejected(field_types.ID, ".", "not_an_id"),
        rejected(field_types.ID, " .. ", "not_an_id"),
        rejected(field_types.ID, "A\n100", "not_an_id"),
        rejected(field_types.ID, "A\t100", "not_an_id"),
        rejected(field_types.ID, "A\0100", "not_an_id"),
        rejected(field_types.ID, "A\ud800", "not_an_id"),
        rejected(field_types.NUMERIC_ID, "22a", "not_digits"),
        rejected(field_types.NUMERIC_ID, "-1", "not_digits"),
        rejected(field_types.NUMERIC_ID, "1.5", "not_digits"),
        rejected(field_types.NUMERIC_ID, "\u0661", "not_digits"),
        rejected(MEDIA_TYPE, "Online Display", "not_a_choice", "Online: Display"),
        rejected(MEDIA_TYPE, "Online - Display", "not_a_choice", "Online: Display"),
        rejected(MEDIA_TYPE, "Online: Displayy", "not_a_choice", "Online: Display"),
        rejected(MEDIA_TYPE, "ofline newspaper", "not_a_choice", "Offline: Newspaper"),
        rejected(MEDIA_TYPE, "Online: Content/Review", "not_a_choice", "Online: Content / Review Site"),
        rejected(MEDIA_TYPE, "billboard", "not_a_choice"),
        rejected(DAY, "Mon", "not_a_choice"),
        rejected(DAY, "Wendesday", "not_a_choice", "Wednesday"),
        rejected(ACTION, "buy", "not_a_choice", "Type one of: create, update, move, delete."),
        rejected(ROLE, "Boss", "not_a_choice", "Type one of: Super, Manager, Member, Observer."),
        rejected(field_types.STATE, "California", "not_a_state", "CA"),
        rejected(field_types.STATE, "new york", "not_a_state", "NY"),
        rejected(field_types.STATE, "Ontario", "not_a_state", "ON"),
        rejected(field_types.STATE, "ZZ", "not_a_state", "Type a code such as CA or ON."),
        rejected(QUANTITY, "0", "out_of_range", RANGE),
        rejected(QUANTITY, "-1", "out_of_range", RANGE),
        rejected(QUANTITY, "10001", "out_of_range", RANGE),
        rejected(QUANTITY, "10,001", "out_of_range", RANGE),
        rejected(QUANTITY, "1.5", "not_a_number", RANGE),
        rejected(QUANTITY, "1,5", "not_a_number", RANGE),
        rejected(QUANTITY, "2,0", "not_a_number", RANGE),
        rejected(QUANTITY, "1,00", "not_a_number", RANGE),
        rejected(QUANTITY, "1e3", "not_a_number", RANGE),
        rejected(QUANTITY, "two", "not_a_number", RANGE),
        rejected(field_types.BOOLEAN, "maybe", "not_a_boolean"),
        rejected(field_types.BOOLEAN, "2", "not_a_boolean"),
        rejected(field_types.AREA_CODE, "80", "not_an_area_code"),
        rejected(field_types.AREA_CODE, "8055", "not_an_area_code"),
        rejected(field_types.AREA_CODE, "105", "not_an_area_code"),
        rejected(field_types.AREA_CODE, "800", "toll_free_area_code"),
        rejected(field_types.AREA_CODE, "888", "toll_free_area_code"),
        rejected(field_types.AREA_CODES, "805, 999", "not_an_area_code"),
        rejected(field_types.AREA_CODES, "805, 800", "toll_free_area_code"),
        rejected(field_types.AREA_CODES, "805212", "not_an_area_code"),
        rejected(field_types.AREA_CODES, ", ;", "not_area_codes"),
        rejected(field_types.AREA_CODES, "[805, 212", "not_area_codes"),
        rejected(field_types.AREA_CODES, "[ ]", "not_area_codes"),
        rejected(field_types.AREA_CODES, "[null]", "not_area_codes"),
        rejected(field_types.AREA_CODES, "[true]", "not_area_codes"),
        rejected(field_types.AREA_CODES, "[805.0]", "not_area_codes"),
        rejected(field_types.AREA_CODES, '[["805"]]', "not_area_codes"),
        rejected(field_types.ZIP_CODE, "2134", "zip_code_zero_lost", "02134"),
        rejected(field_types.ZIP_CODE, "2134.0", "zip_code_zero_lost", "02134"),
        rejected(field_types.ZIP_CODE, "501", "zip_code_zero_lost", "00501"),
        rejected(field_types.ZIP_CODE, "93101-1234", "zip_code_too_precise", "93101"),
        rejected(field_types.ZIP_CODE, "931011234", "zip_code_too_precise", "93101"),
        rejected(field_types.ZIP_CODE, "93", "not_a_zip_code"),
        rejected(field_types.ZIP_CODE, "K1A", "not_a_zip_code"),
        rejected(field_types.ZIP_CODE, "SW1A 1AA", "not_a_zip_code"),
        rejected(field_types.TIME, "8", "not_a_time"),
        rejected(field_types.TIME, "08:10", "not_a_time"),
        rejected(field_types.TIME, "24:15", "not_a_time"),
        rejected(field_types.TIME, "12:60", "not_a_time"),
        rejected(field_types.TIME, "5:45 PM", "not_a_time"),
        rejected(field_types.TIME, "08:00:01", "not_a_time"),
        rejected(field_types.TIME_ZONE, "PST", "not_a_choice"),
        rejected(field_types.TIME_ZONE, "Pacific Time", "not_a_choice", "Pacific Time (US & Canada)"),
        rejected(field_types.TIME_ZONE, "Pacific Time US Canada", "not_a_choice", "Pacific Time (US & Canada)"),
        rejected(field_types.PHONE, "5550100", "not_a_phone_number"),
        rejected(field_types.PHONE, "805555010", "not_a_phone_number"),
        rejected(field_types.PHONE, "80555501000", "not_a_phone_number"),
        rejected(field_types.PHONE, "8055550100 ext. 7", "not_a_phone_number"),
        rejected(field_types.PHONE, "call me", "not_a_phone_number"),
        rejected(field_types.PHONE, "+999123", "not_a_phone_number"),
        rejected(field_types.EMAIL, "chris@", "not_an_email"),
        rejected(field_types.EMAIL, "Chris <chris@example.com>", "not_an_email"),
        rejected(field_types.EMAIL, "a@example.com, b@example.com", "not_an_email"),
        rejected(field_types.ADS_ACCOUNT, "627 345 9815", "not_an_ads_account"),
        rejected(field_types.ADS_ACCOUNT, "62-7345-9815", "not_an_ads_account"),
        rejected(field_types.ADS_ACCOUNT, "123456789", "not_an_ads_account"),
        rejected(field_types.LOOKS_LIKE, "805-61", "not_digits"),
    ],
)
def test_reject(field_type: FieldType, text: str, code: str, fix: str) -> None:
    """Each invalid text is rejected with its code and, if known, the value to type instead."""
    problem = parse_problem(field_type, text)
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
        pytest.param(("600", "622"), None, id="canada-without-a-region"),
        pytest.param(("900",), None, id="premium-rate"),
        pytest.param(("211", "311", "411", "911"), None, id="service-codes"),
        pytest.param(("200", "300", "370", "555", "700", "710", "960", "999"), None, id="not-in-use"),
    ],
)
def test_area_code_region(codes: tuple[str, ...], region: str | None) -> None:
    """An area code has its region in the number plan; codes without a region have none."""
    assert {field_types.area_code_region(code) for code in codes} == {region}


@pytest.mark.parametrize("code", ["809", "242", "876", "900", "500", "600"])
def test_area_codes_without_local_numbers(code: str) -> None:
    """Caribbean states, premium and personal numbers cannot be a local center."""
    problem = parse_problem(field_types.AREA_CODE, code)
    assert problem is not None
    assert problem.code == "not_an_area_code"


# Choices


CLOSED = each_of(
    {
        name: field_type
        for name, field_type in FIELD_TYPES.items()
        if field_type.choices and field_type is not field_types.BOOLEAN
    }
)


@CLOSED
def test_choices_differ(field_type: FieldType) -> None:
    """No two choices differ only in case, spaces and dashes, so that cleaning never guesses."""
    assert [field_type.parse_cell(choice.upper().replace(" ", "")).value for choice in field_type.choices] == list(
        field_type.choices
    )


@CLOSED
@given(text=st.text())
def test_suggestion(field_type: FieldType, text: str) -> None:
    """A suggestion is a choice to paste, or a sentence."""
    suggested = field_types.suggest_choice(text, field_type.choices)
    assert suggested in field_type.choices or suggested.endswith(".")


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
    """A word suggests the choices that contain it if they are few."""
    suggestion = field_types.suggest_choice(text, MEDIA.choices)
    assert suggestion == suggested or (
        suggestion.endswith(".") and suggestion.startswith(suggested) and "Choose" in suggested
    )


# The check of JSON values


@pytest.mark.parametrize(
    ("field_type", "value", "allowed"),
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
def test_problem(field_type: FieldType, value: Any, allowed: bool) -> None:  # noqa: FBT001  a column of the table
    """A JSON value is accepted unchanged or rejected with a sentence; nothing is cleaned."""
    problem = field_type.find_problem(value)
    assert (problem is None) == allowed
    assert problem is None or problem.message.endswith(".")


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        pytest.param("", "", id="empty"),
        pytest.param(" \t\u00a0\u200b\u00ad\ufeff\n", "", id="only-invisible"),
        pytest.param(" a \n\u00a0 b ", "a b", id="spaces"),
        pytest.param("a\u2010b\u2011c\u2012d\u2013e\u2014f\u2212g", "a-b-c-d-e-f-g", id="dashes"),
        pytest.param("e\u0301", "\u00e9", id="composed"),
        pytest.param("\ud800", "\ud800", id="surrogate"),
    ],
)
def test_normalize_text(text: str, normalized: str) -> None:
    """Only what is invisible is removed."""
    assert field_types.normalize_text(text) == normalized


@pytest.mark.parametrize("field_type", [field_types.TEXT, field_types.ID], ids=lambda field_type: field_type.name)
@given(data=st.data())
def test_passthrough(field_type: FieldType, data: st.DataObject) -> None:
    """A text that matches the passthrough pattern is parsed as itself, without a warning."""
    assert field_type.passthrough_pattern is not None
    text = data.draw(
        st.from_regex(field_type.passthrough_pattern, fullmatch=True)
        | st.sampled_from(["0", "a" * 1_000, "A  b", "N/A"])
    )
    assert field_type.passthrough_pattern.fullmatch(text)
    assert field_type.parse_cell(text) == field_types.ParsedValue(value=text)
    assert not parse_marker(text)
    assert field_types.normalize_text(text)
    assert text not in SPREADSHEET_ERRORS


def test_no_passthrough() -> None:
    """Markers, spreadsheet errors, `[]` and texts to clean or reject are always parsed."""
    texts = (
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
        text
        for text in texts
        for field_type in (field_types.TEXT, field_types.ID)
        if field_type.passthrough_pattern and field_type.passthrough_pattern.fullmatch(text)
    ] == []


@given(st.text())
def test_normalize_text_fast_path(text: str) -> None:
    """The fast path for most texts gives the same result as the slow path."""
    visible = remove_invisible(unicodedata.normalize("NFC", text))
    dashed = visible.translate(dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"), "-"))
    assert field_types.normalize_text(text) == re.sub(r"\s+", " ", dashed).strip()
