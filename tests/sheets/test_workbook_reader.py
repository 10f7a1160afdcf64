from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest

from invoca_bulk import sheets

HEADER = ["description", "media_type", "quantity"]
SHEET_XML = "xl/worksheets/sheet1.xml"


def load(source: Any, **options: Any) -> sheets.Sheet:
    (sheet,) = sheets.load(source, **options)
    return sheet


def issue_codes(loaded: sheets.Sheet) -> list[tuple[int | None, str]]:
    return [(issue.row, issue.problem.code) for issue in loaded.read_issues]


def cell(number_format: str, value: float) -> Any:
    def write(sheet: Any) -> None:
        sheet["A2"] = value
        sheet["A2"].number_format = number_format

    return write


VALUES = {
    "text that looks like a number": ("02134", "02134"),
    "whole number": (8051234567, "8051234567"),
    "fraction": (0.1 + 0.2, "0.3"),
    "negative": (-5, "-5"),
    "fifteen digits": (999_999_999_999_999, "999999999999999"),
    "sixteen digits": (1_000_000_000_000_000, "#DIGITS! 1000000000000000"),
    "true": (True, "TRUE"),
    "false": (False, "FALSE"),
    "date": (dt.date(2024, 3, 4), "#DATE! 2024-03-04"),
    "date and midnight": (dt.datetime(2024, 3, 4), "#DATE! 2024-03-04"),  # noqa: DTZ001  as in a cell
    "date and time": (dt.datetime(2024, 3, 4, 5, 6, 7), "#DATE! 2024-03-04 05:06:07"),  # noqa: DTZ001  as in a cell
    "time": (dt.time(8, 0), "08:00"),
    "time, not exact in binary": (dt.time(17, 45), "17:45"),
    "time with seconds": (dt.time(8, 0, 5), "08:00:05"),
    "duration": (dt.timedelta(hours=30), "30:00"),
    "text with spaces and lines": ("  a\nb ", "  a\nb "),
    "error": ("#N/A", "#N/A"),
    "formula without a result": ('=IF(A1<"b",1,2)', '#FORMULA! =IF(A1<"b",1,2)'),
}


@pytest.mark.parametrize("case", VALUES)
def test_every_cell_is_read_as_text(make: Any, case: str) -> None:
    """Each type of an xlsx's cells has one text form, with a marker if the value may be damaged."""
    value, text = VALUES[case]
    loaded = load(make.xlsx([HEADER, [value, "Online: Email"]]))
    assert loaded.frame["description"].tolist() == [text]
    assert not loaded.read_issues


UNTOUCHED = {
    "date": (dt.date(2024, 3, 4), "2024-03-04"),
    "sixteen digits": (1_000_000_000_000_000, "1000000000000000"),
    "error": ("#N/A", "#N/A"),
}


@pytest.mark.parametrize("title", ["notes", "result_at"])
@pytest.mark.parametrize("case", UNTOUCHED)
def test_columns_that_are_not_sent_have_no_markers(make: Any, case: str, title: str) -> None:
    """The values of unknown columns and result columns are not changed."""
    value, text = UNTOUCHED[case]
    assert load(make.xlsx([[*HEADER, title], ["a", "b", 1, value]])).frame[title].tolist() == [text]


def test_formulas_in_unknown_columns_are_marked(make: Any) -> None:
    """A formula without a result is marked in an unknown column, but not in a result column."""
    frame = load(make.xlsx([[*HEADER, "notes", "result_at"], ["a", "b", 1, "=1+1", "=1+1"]])).frame
    assert frame[["notes", "result_at"]].to_numpy().tolist() == [["#FORMULA! =1+1", ""]]


def test_a_row_of_nothing_but_a_formula_is_kept(make: Any) -> None:
    """A formula without a result is not a blank cell, even in the last row."""
    assert load(make.xlsx([HEADER, ["a"], ["", "=1+1"]])).frame.index.tolist() == [2, 3]


@pytest.mark.parametrize("file_format", ["xlsx", "xls", "xlsb", "ods"])
def test_numbers_are_written_without_a_point_zero(make: Any, file_format: str) -> None:
    """A number cell 8051234567 becomes 8051234567 in every format, and one of 16 digits is marked."""
    loaded = load(getattr(make, file_format)([HEADER, ["a", 8051234567.0, 1e15]]))
    assert loaded.frame.to_numpy().tolist() == [["a", "8051234567", "#DIGITS! 1000000000000000"]]


@pytest.mark.parametrize("error", ["#N/A", "#REF!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#VALUE!"])
def test_every_error_is_kept(make: Any, error: str) -> None:
    """An error cell is read as the error's text."""
    assert load(make.xlsx([HEADER, ["a", error, 1]])).frame["media_type"].tolist() == [error]


def test_a_formula_with_a_result_is_its_result(make: Any) -> None:
    """Stored results are read, including empty texts; only missing results are marked."""
    xml = (
        b'<row r="2"><c r="A2" t="str"><f>B1</f><v>text</v></c><c r="B2" t="str"><f>""</f><v></v></c>'
        b'<c r="C2"><f>1+1</f><v>2</v></c></row>'
        b'<row r="3"><c r="A3" t="inlineStr"><is><t>x</t></is></c><c r="B3"><f t="shared" si="0"/></c>'
        b'<c r="C3"><f>A1&amp;"&#8364;"</f><v/></c></row>'
        b'<row r="4"><c r="B4"><f>1</f></c></row></sheetData>'
    )
    data = make.repacked(make.xlsx([HEADER]), {SHEET_XML: lambda old: old.replace(b"</sheetData>", xml)})
    assert load(data).frame.to_numpy().tolist() == [
        ["text", "", "2"],
        ["x", "#FORMULA!", '#FORMULA! =A1&"\u20ac"'],
        ["", "#FORMULA! =1", ""],
    ]


def test_text_that_looks_like_markup_is_text(make: Any) -> None:
    """The scan ignores XML that is the text of a cell."""
    text = '<c r="XFD9" t="e"><v>#N/A</v></c> t="e" r="A1" <row hidden="1">'
    loaded = load(make.xlsx([HEADER, [text]]))
    assert loaded.frame["description"].tolist() == [text]
    assert not loaded.read_issues


def _hide(sheet: Any) -> None:
    for row in (2, 3, 4, 99):
        sheet.row_dimensions[row].hidden = True


def test_hidden_rows_are_read_and_counted(make: Any) -> None:
    """Hidden rows are read like any other; only those that are not blank are counted."""
    loaded = load(make.xlsx([HEADER, ["a"], [""], ["b"], ["c"]], edit=_hide))
    assert loaded.frame["description"].tolist() == ["a", "b", "c"]
    assert {issue.problem.code: issue.problem.details["count"] for issue in loaded.read_issues} == {
        "blank_rows": 1,
        "hidden_rows": 2,
    }


def prefixed(xml: bytes) -> bytes:
    return re.sub(rb"<(/?)(?=\w)", rb"<\1x:", xml).replace(b"xmlns=", b"xmlns:x=", 1)


XML_FORMS = {
    "as openpyxl writes it": bytes,
    "a namespace prefix": prefixed,
    "single quotes": lambda xml: re.sub(rb' (r|t|hidden)="(\w+)"', rb" \1='\2'", xml),
    "the reference last": lambda xml: re.sub(rb'<(c|row) (r="\w+")([^<>/]*)', rb"<\1\3 \2", xml),
    "line breaks in tags": lambda xml: xml.replace(b"<c ", b"<c\n  ").replace(b"<row ", b"<row\n "),
    "no references": lambda xml: re.sub(rb'<(c|row) r="\w+"', rb"<\1", xml),
}


@pytest.mark.parametrize("xml_form", XML_FORMS)
def test_the_scan_reads_every_form_of_the_xml(make: Any, xml_form: str) -> None:
    """Prefixes, quotes, order and missing references make no difference."""

    def edit(sheet: Any) -> None:
        sheet.row_dimensions[2].hidden = True

    data = make.xlsx([HEADER, ["a", "#N/A", 3], ["b", "c", "=1+1"]], edit=edit)
    loaded = load(make.repacked(data, {SHEET_XML: XML_FORMS[xml_form]}))
    assert loaded.frame.to_numpy().tolist() == [["a", "#N/A", "3"], ["b", "c", "#FORMULA! =1+1"]]
    assert issue_codes(loaded) == [(None, "hidden_rows")]


def test_the_table_may_start_anywhere(make: Any) -> None:
    """Row numbers are those of the spreadsheet, even after empty rows and next to an empty column."""
    rows = [[], ["", "Requests for May"], [], ["", *HEADER], ["", "a", "#REF!", 1], [], ["", "b", "c", 2]]
    loaded = load(make.xlsx(rows))
    assert loaded.frame.columns.tolist() == HEADER
    assert loaded.frame.index.tolist() == [5, 7]
    assert loaded.frame["media_type"].tolist() == ["#REF!", "c"]


def test_titles_are_stripped_and_otherwise_kept(make: Any) -> None:
    """Headers are kept except for spaces at their ends; number titles become text."""
    loaded = load(make.xlsx([[" Description ", "Media Type", 2024, None, None], ["a", "b", "c"]]))
    assert loaded.frame.columns.tolist() == ["Description", "Media Type", "2024"]


def test_blank_cells_with_a_style_far_away_are_ignored(make: Any) -> None:
    """Formatting down to the last row and out to the last column is not content."""
    xml = b'<row r="1048576"><c r="A1048576" s="0"/><c r="XFD1048576" s="0"></c></row></sheetData>'
    data = make.repacked(make.xlsx([HEADER, ["a"]]), {SHEET_XML: lambda old: old.replace(b"</sheetData>", xml)})
    assert load(data).frame.shape == (1, 3)


def test_a_wide_sheet_is_read(make: Any) -> None:
    """Columns beyond Z are read, including their errors."""
    header = [*HEADER, *(f"custom_data.c{n}" for n in range(60))]
    loaded = load(make.xlsx([header, ["a", "b", *range(60), "#N/A"]]))
    assert loaded.frame.shape == (1, 63)
    assert loaded.frame["custom_data.c59"].tolist() == ["#N/A"]


# Several sheets


REQUESTS: list[list[Any]] = [HEADER, ["a", "b", 1]]


def test_the_sheet_whose_headers_fit_is_read(make: Any) -> None:
    """Notes, and the sheets that this package writes, are ignored."""
    data = make.book(Notes=[["description"], ["x"]], **{"Q & A <1>": REQUESTS}, issues=[[*HEADER, "promo_type"], ["x"]])
    assert load(data).frame.to_numpy().tolist() == [["a", "b", "1"]]


def test_a_sheet_with_rows_is_preferred(make: Any) -> None:
    """A worksheet with rows is preferred to an empty one, e.g. of a template."""
    data = make.book(promo_numbers=[[*HEADER, "promo_type"]], advertisers=[["id_from_network", "name"], ["1", "x"]])
    assert load(data).resource.name == "advertisers"
    assert load(data, resource="promo_numbers").frame.empty


def test_a_sheet_can_be_named(make: Any) -> None:
    """A sheet that is chosen by name is read, whatever the others hold."""
    data = make.book(May=REQUESTS, June=[HEADER, ["june", "b", 1]], issues=[HEADER, ["own", "b", 1]])
    assert load(data, sheet="June").frame["description"].tolist() == ["june"]
    assert load(data, sheet="issues").frame["description"].tolist() == ["own"]
