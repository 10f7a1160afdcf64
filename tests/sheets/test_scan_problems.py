"""What a spreadsheet shows besides the cells of a table: merged and hidden cells, number formats, totals."""

from __future__ import annotations

from typing import Any

import openpyxl
import pytest
from openpyxl.worksheet.table import Table, TableColumn

import invoca_bulk as ib
from invoca_bulk import errors, sheets

HEADER = [
    "advertiser_id_from_network",
    "advertiser_campaign_id_from_network",
    "description",
    "media_type",
    "quantity",
    "local_center.tn_prefix",
    "notes",
]
ROW = ["A-1", "C-1", "Spring", "Online: Email", 2, 805, "x"]
SHEET_XML = "xl/worksheets/sheet1.xml"


def load(make: Any, rows: list[list[Any]], edit: Any) -> sheets.Sheet:
    (sheet,) = sheets.load(make.xlsx(rows, edit=edit))
    return sheet


def marked_cells(sheet: sheets.Sheet) -> dict[tuple[int, str], str]:
    """Row number and title to the text of the cells that have a marker."""
    return {
        (int(row), title): text
        for title in sheet.frame.columns
        for row, text in sheet.frame[title].items()
        if str(text).startswith("#")
    }


def codes(sheet: sheets.Sheet) -> list[tuple[int | None, str, str]]:
    return [(issue.row, issue.column, issue.problem.code) for issue in sheet.read_issues]


# Merged cells


def merge(*ranges: str, hidden: dict[str, Any] | None = None) -> Any:
    """Merge cells as spreadsheet programs do; `hidden` are values under them, which openpyxl would remove."""

    def edit(sheet: Any) -> None:
        for cell_range in ranges:
            sheet.merge_cells(cell_range)
        for reference, value in (hidden or {}).items():
            cell = sheet[reference]
            sheet._cells[cell.row, cell.column] = openpyxl.cell.cell.Cell(sheet, cell.row, cell.column, value)  # noqa: SLF001

    return edit


def blank(*titles: str, **values: Any) -> list[Any]:
    """A row like the others, with blank cells in some columns."""
    return [values.get(title, None if title in titles else cell) for title, cell in zip(HEADER, ROW, strict=True)]


PREFIX = "local_center.tn_prefix"
MERGED: dict[str, tuple[list[list[Any]], Any, dict[tuple[int, str], str]]] = {
    "down": ([ROW, blank(PREFIX)], merge("F2:F3"), {(3, PREFIX): "#MERGED! 805"}),
    "down, over a value": (
        [ROW, ROW],
        merge("E2:E3", hidden={"E3": 50}),
        {(3, "quantity"): "#COVERED! 50 (the spreadsheet shows 2)"},
    ),
    "down, blank over a value": (
        [blank("quantity"), ROW],
        merge("E2:E3", hidden={"E3": 50}),
        {(3, "quantity"): "#COVERED! 50 (the spreadsheet shows a blank cell)"},
    ),
    "down, blank": ([blank(PREFIX), blank(PREFIX)], merge("F2:F3"), {}),
    "across": (
        [blank("media_type", "quantity")],
        merge("C2:E2"),
        {(2, "media_type"): "#MERGED! Spring", (2, "quantity"): "#MERGED! Spring"},
    ),
    "both ways": (
        [blank(PREFIX), blank("quantity", PREFIX)],
        merge("E2:F3"),
        {(2, PREFIX): "#MERGED! 2", (3, "quantity"): "#MERGED! 2", (3, PREFIX): "#MERGED! 2"},
    ),
    "a header that reaches down": (
        [blank("quantity"), ROW],
        merge("E1:E2"),
        {(2, "quantity"): "#MERGED! quantity"},
    ),
    "over blank rows": ([ROW, [], [], ROW], merge("F2:F4", "A3:D4"), {}),
    "over blank rows at the end": ([ROW], merge("F2:F9", "A3:G9"), {}),
    "in a column that is not sent": ([ROW, blank("notes")], merge("G2:G3"), {}),
    "from a sent column to one that is not": ([blank("notes")], merge("F2:G2"), {}),
    "beside the table": ([ROW, ROW], merge("J1:K3"), {}),
    "a date": (
        [ROW, blank(PREFIX)],
        lambda sheet: (sheet.merge_cells("F2:F3"), setattr(sheet["F2"], "number_format", "m/d/yyyy")),
        {(2, PREFIX): "#DATE! 1902-03-15", (3, PREFIX): "#MERGED! #DATE! 1902-03-15"},
    ),
}


@pytest.mark.parametrize("case", MERGED)
def test_merged_cells_are_errors_where_they_cover_cells(make: Any, case: str) -> None:
    """A covered cell that would be sent is an error with what the sheet shows; all other cells are left alone."""
    rows, edit, expected = MERGED[case]
    sheet = load(make, [HEADER, *rows], edit)
    assert marked_cells(sheet) == expected
    assert {code for _, _, code in codes(sheet)} <= {"blank_rows"}


def test_cells_that_are_merged_to_the_last_row_are_marked_in_the_table(make: Any) -> None:
    """A merge may reach far below the rows, and right of the columns."""
    end = b'</sheetData><mergeCells><mergeCell ref="F2:XFD1048576"/></mergeCells>'
    data = make.repacked(
        make.xlsx([HEADER, ROW, blank(PREFIX)]), {SHEET_XML: lambda old: old.replace(b"</sheetData>", end)}
    )
    (sheet,) = sheets.load(data)
    assert marked_cells(sheet) == {(3, PREFIX): "#MERGED! 805"}


def test_merged_titles_do_not_matter(make: Any) -> None:
    """A title above the table, and titles of several rows, are merged in many good files."""
    rows = [["Requests"], [], HEADER, ROW]
    sheet = load(make, rows, merge("A1:G1", "A2:G2"))
    assert sheet.frame.index.tolist() == [4]
    assert not marked_cells(sheet)


def test_a_merged_row_is_never_bought(make: Any) -> None:
    """The row with a covered cell is refused, the row that holds the value is not."""
    report = ib.validate(make.xlsx([HEADER, ROW, blank(PREFIX)], edit=merge("F2:F3")), resource="promo_numbers")
    errors_found = report.issues[report.issues["level"] == "error"]
    assert errors_found[["row", "column", "code"]].to_numpy().tolist() == [[3, PREFIX, "cell_merged"]]
    assert "'805'" in errors_found["message"].iloc[0]


@pytest.mark.parametrize("count", [5, 5_000])
def test_merged_cells_that_overlap_are_refused(make: Any, count: int) -> None:
    """No program writes them; many large ones would take hours."""
    ranges = '<mergeCell ref="A2:G1000000"/>' * count
    end = f"</sheetData><mergeCells>{ranges}</mergeCells>".encode()
    data = make.repacked(make.xlsx([HEADER, *[ROW] * 50]), {SHEET_XML: lambda old: old.replace(b"</sheetData>", end)})
    with pytest.raises(errors.UnreadableSheetError, match="damaged"):
        sheets.load(data)


# Number formats


def formatted(**formats: str) -> Any:
    """Give cells of row 2 a number format."""

    def edit(sheet: Any) -> None:
        for reference, code in formats.items():
            sheet[reference].number_format = code

    return edit


def row(**values: Any) -> list[Any]:
    return [values.get(title, cell) for title, cell in zip(HEADER, ROW, strict=True)]


FORMATS: dict[str, tuple[dict[str, Any], dict[str, str], dict[str, str], list[str]]] = {
    "an id": (
        {HEADER[0]: 42},
        {"A2": "00000"},
        {HEADER[0]: "#FORMAT! 00042 (the file holds 42)"},
        [],
    ),
    "an id with a prefix": (
        {HEADER[1]: 7},
        {"B2": '"C-"0000'},
        {HEADER[1]: "#FORMAT! C-0007 (the file holds 7)"},
        [],
    ),
    "an id that is a text": (
        {HEADER[1]: "07"},
        {"B2": '"C-"@'},
        {HEADER[1]: "#FORMAT! C-07 (the file holds 07)"},
        [],
    ),
    "an id that is hidden": (
        {HEADER[1]: 7},
        {"B2": ";;;"},
        {HEADER[1]: "#FORMAT! a blank cell (the file holds 7)"},
        [],
    ),
    "an id of all digits": ({HEADER[0]: 12345}, {"A2": "00000"}, {}, []),
    "an id in scientific notation": ({HEADER[0]: 123456789012}, {"A2": "0.00E+00"}, {}, []),
    "an id with separators": ({HEADER[0]: 12345}, {"A2": "#,##0"}, {}, []),
    "a text": ({"description": 7}, {"C2": "000"}, {}, ["description"]),
    "an area code": ({}, {"F2": "(000)"}, {}, [PREFIX]),
    "a quantity with a unit": ({}, {"E2": '0" pcs"'}, {}, []),
    "a quantity with zeros": ({}, {"E2": "000"}, {}, []),
    "a quantity with decimals": ({}, {"E2": "0.00"}, {}, []),
    "a quantity with another digit": ({}, {"E2": '0"0"'}, {}, ["quantity"]),
    "a quantity in percent": ({}, {"E2": "0%"}, {}, ["quantity"]),
    "a quantity in thousands": ({"quantity": 5000}, {"E2": "0,"}, {}, ["quantity"]),
    "a quantity that is hidden": ({}, {"E2": ";;;"}, {}, ["quantity"]),
    "a blank cell": ({PREFIX: None}, {"F2": "000000"}, {}, []),
    "a column that is not sent": ({"notes": 7}, {"G2": "000"}, {}, []),
    "an error": ({HEADER[0]: "#N/A"}, {"A2": "00000"}, {HEADER[0]: "#N/A"}, []),
}


@pytest.mark.parametrize("case", FORMATS)
def test_number_formats_that_show_another_text(make: Any, case: str) -> None:
    """An id is an error, another cell a warning, and a number is none whose digits are the same."""
    values, formats, marked, warned = FORMATS[case]
    sheet = load(make, [HEADER, row(**values)], formatted(**formats))
    assert marked_cells(sheet) == {(2, title): text for title, text in marked.items()}
    assert codes(sheet) == [(2, title, "cell_format") for title in warned]


def test_a_warning_names_both_texts(make: Any) -> None:
    """The message names what the cell holds and what it shows; the row is sent."""
    data = make.xlsx([HEADER, row(description=42)], edit=formatted(C2="00000"))
    issues = ib.validate(data).issues
    (issue,) = issues[issues["code"] == "cell_format"].itertuples()
    assert (issue.row, issue.column, issue.level) == (2, "description", "warning")
    assert "'42'" in issue.message
    assert "'00042'" in issue.message
    assert "'00042'" in issue.fix


def test_the_style_of_cells_that_name_none(make: Any) -> None:
    """Cells without a style have the first one."""
    data = make.xlsx([HEADER, row(description=42)])
    edit = {
        "xl/styles.xml": lambda old: old.replace(
            b"<cellXfs", b'<numFmts><numFmt numFmtId="164" formatCode="00000"/></numFmts><cellXfs'
        ).replace(b'<xf numFmtId="0"', b'<xf numFmtId="164"'),
        SHEET_XML: lambda old: old.replace(b' t="n"', b""),
    }
    (sheet,) = sheets.load(make.repacked(data, edit))
    assert (2, "description", "cell_format") in codes(sheet)


def test_a_secret_is_in_no_warning(make: Any) -> None:
    """The text of a secret column goes nowhere, not even into a warning."""
    rows = [["id_from_network", "name", "users.1.oauth_refresh_token"], ["A-1", "x", 4711]]
    sheet = load(make, rows, formatted(C2="000000"))
    assert "4711" not in str(sheet.read_issues)


# Hidden columns


def hide(*letters: str) -> Any:
    def edit(sheet: Any) -> None:
        for letter in letters:
            sheet.column_dimensions[letter].hidden = True

    return edit


HIDDEN: dict[str, tuple[Any, list[str]]] = {
    "one": (hide("E"), ["'quantity'"]),
    "two": (hide("E", "F"), [f"'quantity', '{PREFIX}'"]),
    "one that is not sent": (hide("G"), []),
    "one beside the table": (hide("K"), []),
}


@pytest.mark.parametrize("case", HIDDEN)
def test_hidden_columns_are_named(make: Any, case: str) -> None:
    """Hidden columns are read like any other, and a warning names those that are sent."""
    edit, names = HIDDEN[case]
    sheet = load(make, [HEADER, ROW], edit)
    problems = [issue.problem for issue in sheet.read_issues if issue.problem.code == "hidden_columns"]
    assert [problem.details["columns"] for problem in problems] == names
    assert sheet.frame["quantity"].tolist() == ["2"]


def test_a_column_of_no_width_is_hidden(make: Any) -> None:
    """Dragged to nothing, a column is as invisible as a hidden one; so is a row without a height."""
    columns = b'<cols><col min="5" max="6" width="0" customWidth="1"/></cols><sheetData>'
    edit = {SHEET_XML: lambda old: old.replace(b"<sheetData>", columns).replace(b'<row r="2"', b'<row r="2" ht="0"')}
    (sheet,) = sheets.load(make.repacked(make.xlsx([HEADER, ROW]), edit))
    assert {code for _, _, code in codes(sheet)} == {"hidden_rows", "hidden_columns"}


def test_hidden_columns_without_values_do_not_matter(make: Any) -> None:
    """Nothing is sent of a blank column."""
    assert not load(make, [HEADER, blank(PREFIX)], hide("F")).read_issues


# Totals


def total_rows(sheet: sheets.Sheet) -> list[int | None]:
    return [issue.row for issue in sheet.read_issues if issue.problem.code == "row_total"]


TOTALS = {
    "a sum": ("=SUM(E2:E3)", True),
    "a sum with dollars": ("=SUM($E$2:$E$3)", True),
    "a subtotal": ("=SUBTOTAL(109,E2:E3)", True),
    "an aggregate": ("=AGGREGATE(9,5,E2:E3)", True),
    "a sum inside": ("=ROUND(SUM(E2:E3),0)", True),
    "a sum of another column": ("=SUM(F2:F3)", False),
    "a sum across": ("=SUM(C4:D4)", False),
    "a sum below": ("=SUM(E5:E9)", False),
    "no sum": ("=E2+1", False),
    "another function": ("=DSUM(E2:E3)", False),
}


@pytest.mark.parametrize("case", TOTALS)
def test_a_sum_of_the_column_above_is_a_total(make: Any, case: str) -> None:
    """A row whose formula sums cells above it is one error of the whole row."""
    formula, is_total = TOTALS[case]
    sheet = load(make, [HEADER, ROW, ROW, row(quantity=formula)], None)
    assert total_rows(sheet) == ([4] if is_total else [])


def test_a_total_is_one_error(make: Any) -> None:
    """A total row gives one sentence, not one for each blank cell."""
    rows = [HEADER, ROW, ROW, ["Requests", None, None, None, "=SUM(E2:E3)", None, None]]
    issues = ib.validate(make.xlsx(rows)).issues
    errors_found = issues[issues["level"] == "error"]
    assert errors_found[["row", "message"]].to_numpy().tolist() == [
        [4, "The row looks like a total, not like a request."]
    ]


@pytest.mark.parametrize("action", ["create", " Create "])
def test_a_row_that_says_create_is_no_total(make: Any, action: str) -> None:
    """Who writes `create` means it."""
    rows = [[*HEADER, "action"], [*ROW, ""], [*row(quantity="=SUM(E2:E2)"), action]]
    assert total_rows(load(make, rows, None)) == []


@pytest.mark.parametrize(("count", "expected"), [(0, []), (1, [4])])
def test_the_totals_row_of_a_table_is_a_total(make: Any, count: int, expected: list[int]) -> None:
    """An Excel table says whether its last row is for totals."""

    def edit(sheet: Any) -> None:
        table = Table(displayName="Requests", ref="A1:G4", totalsRowCount=count)
        table._initialise_columns()  # noqa: SLF001  openpyxl leaves this to its users
        for column, title in zip(table.tableColumns, HEADER, strict=True):
            assert isinstance(column, TableColumn)
            column.name = title
        sheet.add_table(table)

    assert total_rows(load(make, [HEADER, ROW, ROW, ["All", None, None, None, 4, None, None]], edit)) == expected


def test_a_blank_totals_row_is_blank(make: Any) -> None:
    """A row without any text is skipped, whatever the table says."""

    def edit(sheet: Any) -> None:
        sheet.add_table(Table(displayName="Requests", ref="A1:G3", totalsRowCount=1))

    sheet = load(make, [HEADER, ROW], edit)
    assert sheet.frame.index.tolist() == [2]
    assert total_rows(sheet) == []


def test_what_was_seen_survives_a_frame(make: Any) -> None:
    """Markers and warnings are the same when a frame is validated that was read before."""
    edit = formatted(A2="00000", C2="00000")
    data = make.xlsx([HEADER, row(**{HEADER[0]: 42}, description=7), row(quantity="=SUM(E2:E2)")], edit=edit)
    expected = ib.validate(data).issues
    frame = ib.read(data)
    assert ib.validate(frame).issues.equals(expected)
    assert {"id_format", "cell_format", "row_total"} <= set(expected["code"])
