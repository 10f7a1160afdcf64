from __future__ import annotations

import pytest

from invoca_bulk.schema import field_types
from invoca_bulk.schema.damaged_text import find_damage
from invoca_bulk.schema.invisible import is_blank, name_invisible, show_invisible, strip_invisible
from invoca_bulk.schema.issue_catalog import ParseError, Problem


def code_of(text: str) -> str | None:
    problem = find_damage(text)
    return problem.code if problem else None


@pytest.mark.parametrize(
    "text",
    [
        "CafÃ©",
        "Annâ€™s",
        "Ãœber",
        "Â£5",
        "Caf√©",
        "Ann\u201aÄôs",
        "Ð\u0178Ñ\u20acÐ\xb8",
        "ð\u0178\u02dc\u20ac sale",
        "ï»¿A",
    ],
)
def test_garbled_texts(text: str) -> None:
    """UTF-8 that was read as Windows-1252 or MacRoman is noticed."""
    assert code_of(text) == "text_garbled"


@pytest.mark.parametrize(
    "text",
    ["Café", "Fête à l\u2019École", "“CAFÉ”", "SÃO PAULO", "Ünal", "Привет", "Ελλάδα", "Ñandú", "√2", "中文", "Ärzte"],
)
def test_texts_in_other_languages(text: str) -> None:
    """Letters of other languages are not taken for garbled ones."""
    assert code_of(text) is None


@pytest.mark.parametrize("field_type", [field_types.TEXT, field_types.ID])
@pytest.mark.parametrize("text", ["nan", "NaN", "None", "<NA>", "NaT", "NULL"])
def test_words_for_missing_values(text: str, field_type: field_types.FieldType) -> None:
    """They are sent as they are, with a warning, and are never passed through unparsed."""
    parsed = field_type.parse_cell(text)
    assert parsed.value == text
    assert parsed.warning
    assert parsed.warning.code == "text_missing_value"
    assert field_type.passthrough_pattern
    assert not field_type.passthrough_pattern.fullmatch(text)


@pytest.mark.parametrize(
    "text", ["Nancy", "nano", "None of these", "Nullarbor", "1E5", "12E3", "E+11", "1.5", "1.2E+12 km"]
)
def test_texts_that_only_begin_like_these(text: str) -> None:
    """Other texts are passed through."""
    assert field_types.TEXT.passthrough_pattern
    assert field_types.TEXT.passthrough_pattern.fullmatch(text) or text.startswith("E")
    assert field_types.TEXT.parse_cell(text).warning is None


@pytest.mark.parametrize("text", ["1.23457E+11", "8.05E+09", "1E+15", "8,05e+09", " 1.2E+12\u00a0"])
@pytest.mark.parametrize("name", ["TEXT", "ID", "PHONE", "NUMERIC_ID", "ADS_ACCOUNT"])
def test_numbers_in_short_form(name: str, text: str) -> None:
    """A number whose digits are lost is an error wherever digits count."""
    with pytest.raises(ParseError) as caught:
        getattr(field_types, name).parse_cell(text)
    assert caught.value.problem.code == "cell_scientific"


@pytest.mark.parametrize("name", ["ID", "PHONE", "NUMERIC_ID"])
def test_formulas_around_numbers(name: str) -> None:
    """`="…"` comes off ids and phone numbers, also in a DataFrame."""
    parsed = getattr(field_types, name).parse_cell('="8055550100"')
    assert (parsed.value, parsed.warning.code) == ("8055550100", "cell_cleaned")


INVISIBLE = [
    "\u200b",
    "\ufeff",
    "\u00ad",
    "\u200e",
    "\u202c",
    "\u2060",
    "\u3164",
    "\u2800",
    "\ufe0f",
    "\u115f",
    "\u00a0",
]


@pytest.mark.parametrize("char", INVISIBLE, ids=lambda char: f"U+{ord(char):04X}")
def test_invisible_characters(char: str) -> None:
    """Off the ends with a warning; inside an id an error; inside a text a warning that names them; alone a blank."""
    for field_type in (field_types.ID, field_types.TEXT):
        parsed = field_type.parse_cell(f"{char}A-1 {char}")
        assert parsed.value == "A-1"
        assert parsed.warning
        assert parsed.warning.code == "cell_cleaned"
    with pytest.raises(ParseError, match=f"U\\+{ord(char):04X}"):
        field_types.ID.parse_cell(f"A{char}1")
    inside = field_types.TEXT.parse_cell(f"A{char}1")
    assert inside.value == f"A{char}1"
    assert inside.warning
    assert f"U+{ord(char):04X} " in inside.warning.message
    assert is_blank(f"{char} {char}")


@pytest.mark.parametrize(
    "text", ["❤️", "A ❤️ B", "👩\u200d👩\u200d👧", "🏳️\u200d🌈 x", "1\ufe0f\u20e3", "👍🏽", "☎️ 24/7", "‼️"]
)
def test_emoji_are_fine(text: str) -> None:
    """The invisible characters of an emoji belong to it, also at the end of a text."""
    assert strip_invisible(f" {text}\u200b") == text
    assert name_invisible(text) == ""
    assert field_types.TEXT.parse_cell(text).warning is None


def test_messages_show_what_nobody_sees() -> None:
    """A character that Python prints as nothing is shown by its number."""
    assert show_invisible("\u3164A") == "<U+3164>A"
    assert "<U+2800>" in Problem(code="cell_cleaned", details={"value": "A\u2800", "clean": "A"}).message


@pytest.mark.parametrize(("text", "value"), [("1.0", True), ("0.0", False)])
def test_numbers_of_pandas_are_booleans(text: str, value: bool) -> None:  # noqa: FBT001  a case
    """`1.0` is TRUE, with the warning that numbers get."""
    parsed = field_types.BOOLEAN.parse_cell(text)
    assert parsed.value is value
    assert parsed.warning == Problem(code="cell_cleaned", details={"value": text, "clean": str(value).upper()})


@pytest.mark.parametrize("text", ["['805', '212']", "('805', '212')", "['805' '212']", "{'805', '212'}"])
def test_lists_of_python(text: str) -> None:
    """A list as Python shows it is read, with a warning."""
    parsed = field_types.AREA_CODES.parse_cell(text)
    assert parsed.value == ["805", "212"]
    assert parsed.warning == Problem(code="cell_cleaned", details={"value": text, "clean": "805, 212"})


@pytest.mark.parametrize("text", ["0000000000", "1111111111", "1234567890", "8888888888", "+19995550100"])
def test_placeholders_for_phone_numbers(text: str) -> None:
    """A number that no phone has is a warning."""
    parsed = field_types.PHONE.parse_cell(text)
    assert parsed.warning
    assert parsed.warning.code == "phone_placeholder"


@pytest.mark.parametrize("text", ["8055550100", "+448081570192", "8335158285"])
def test_phone_numbers_in_use(text: str) -> None:
    """Numbers that can be in use get no warning."""
    assert field_types.PHONE.parse_cell(text).warning is None
