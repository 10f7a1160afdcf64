from __future__ import annotations

import pytest

from invoca_bulk.sheets import number_formats

PLAIN = [
    "General",
    "@",
    "0",
    "0.00",
    "#,##0",
    "#,##0.00",
    "0.00E+00",
    "##0.0E+0",
    "m/d/yyyy",
    "[h]:mm:ss",
    "[$-409]mmmm d, yyyy",
    '"$"#,##0.00_);[Red]\\("$"#,##0.00\\)',
    '_("$"* #,##0.00_);_("$"* \\(#,##0.00\\);_("$"* "-"??_);_(@_)',
    '_-* #,##0.00\\ "€"_-;\\-* #,##0.00\\ "€"_-;_-* "-"??\\ "€"_-;_-@_-',
    "[$€-407]\\ #,##0",
    "0;-0;;@",
    "[Red]0;[Blue]-0",
    "# ?/?",
]


@pytest.mark.parametrize("code", PLAIN)
def test_common_formats_are_plain(code: str) -> None:
    """Separators, currency, decimals, dates, fractions and scientific notation show no other text."""
    assert number_formats.is_plain(code)


SHOWN = {
    "leading zeros": ("00000", 42, "00042"),
    "leading zeros of a float": ("00000", 42.0, "00042"),
    "a longer number": ("000", 12345, "12345"),
    "negative": ("00000", -42, "-00042"),
    "rounded": ("00000", 42.5, "00043"),
    "decimals": ("000.00", 4.5, "004.50"),
    "optional decimals": ('"v"0.0##', 2.5, "v2.5"),
    "a prefix": ('"C-"0000', 7, "C-0007"),
    "an escaped prefix": ("\\C\\-0000", 7, "C-0007"),
    "an unquoted prefix": ("C-0000", 7, "C-0007"),
    "a prefix of General": ('"C-"General', 7, "C-7"),
    "a prefix of a text": ('"C-"@', "07", "C-07"),
    "a prefix of a text, in its section": ('0;0;0;"C-"@', "07", "C-07"),
    "a suffix": ('0" pcs"', 3, "3 pcs"),
    "a digit in a suffix": ('0"0"', 5, "50"),
    "a social security number": ("000-00-0000", 12345678, "012-34-5678"),
    "a phone number": ("(000) 000-0000", 8055550100, "(805) 555-0100"),
    "Excel's phone number": ("[<=9999999]###-####;(###) ###-####", 8055550100, "(805) 555-0100"),
    "Excel's phone number, short": ("[<=9999999]###-####;(###) ###-####", 5550100, "555-0100"),
    "thirty decimals": ('"C"0.' + "0" * 30, 123456789012, "C123456789012." + "0" * 30),
    "thousands": ("0,", 5000, "5"),
    "thousands and separators": ('"n"#,##0', 1234567, "n1,234,567"),
    "percent": ("0%", 0.5, "50%"),
    "nothing": (";;;", 50, ""),
    "no text": (";;;", "abc", ""),
    "a word": ('"yes";;"no"', 1, "yes"),
    "a word for zero": ('"yes";;"no"', 0, "no"),
    "zero without digits": ('"C"#', 0, "C"),
}


@pytest.mark.parametrize("case", SHOWN)
def test_formats_show_another_text(case: str) -> None:
    """What a spreadsheet shows for a value."""
    code, value, shown = SHOWN[case]
    assert not number_formats.is_plain(code)
    assert number_formats.show(code, value) == shown


UNSHOWN = {
    "yes or no": ("00000", True),
    "a text without a section": ("00000", "42"),
    "a blank cell": ('"C-"@', ""),
    "too many digits": ("00000", 1e15),
    "not a number": ("00000", float("nan")),
    "a date": ('"on "m/d/yyyy', 42),
}


@pytest.mark.parametrize("case", UNSHOWN)
def test_other_values_are_shown_as_they_are(case: str) -> None:
    """A format that does not apply to a value shows the value."""
    assert number_formats.show(*UNSHOWN[case]) is None


def test_styles_name_their_formats() -> None:
    """Only the styles whose format shows another text are found, built-in formats included."""
    styles = (
        b'<styleSheet xmlns="x"><numFmts><numFmt numFmtId="164" formatCode="00000"/>'
        b'<numFmt numFmtId="165" formatCode="0.0"/></numFmts><cellStyleXfs><xf numFmtId="164"/></cellStyleXfs>'
        b'<cellXfs><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="165"/><xf numFmtId="9"/><xf/></cellXfs>'
        b"</styleSheet>"
    )
    assert number_formats.read_number_formats(styles) == {1: "00000", 3: "0%"}
    assert number_formats.read_number_formats(b"") == {}
