"""The validation report in pandas, in Excel and in a terminal."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import openpyxl
import pandas as pd
import pytest

from invoca_bulk import sheets, validation
from invoca_bulk.errors import OutputError
from invoca_bulk.reports.validation_report import Report
from invoca_bulk.reports.xlsx import FORMATS, Style
from invoca_bulk.schema import DEFAULT_API_VERSION
from tests.examples import GOOD, advertiser, book, frame_of, user

if TYPE_CHECKING:
    from pathlib import Path

    from openpyxl.worksheet.worksheet import Worksheet

VALIDATION_COLUMNS = ["validation_errors", "validation_warnings"]
COLOURS = {str(FORMATS[style]["bg_color"]).replace("#", "FF"): style.value for style in (Style.ERROR, Style.WARNING)}


def report_of(source: Any) -> Report:
    return Report(validation.validate(sheets.load(source, resource="promo_numbers"), version=DEFAULT_API_VERSION))


#: An error with a value as fix, one with a sentence, warnings, two issues in a row, a header issue, a row issue.
MIXED = frame_of(
    {"media_type": "Online Display", "local_center.zipcode": "2134", "notes": "=1+1"},
    {},
    {"description": " Spring sale"},
    {"description": "", "media_type": "online: display"},
)
CHOICE = "'Online Display' is not a valid value for 'media_type'. Fix: Online: Display"
ZERO_LOST = "'2134' has too few digits for a zip code; Excel drops leading zeros. Fix: 02134"


def sheet_of(report: Report) -> pd.DataFrame:
    """The annotated rows of the only sheet."""
    assert isinstance(report.sheet, pd.DataFrame)
    return report.sheet


@pytest.fixture
def report() -> Report:
    return report_of(MIXED)


# In pandas


def test_levels(report: Report) -> None:
    """Errors and warnings are separate, and together they are all issues."""
    assert set(report.errors["level"]) == {"error"}
    assert set(report.warnings["level"]) == {"warning"}
    assert len(report.errors) + len(report.warnings) == len(report.issues)


@pytest.mark.parametrize(
    ("row", "ok"),
    [
        pytest.param({}, True, id="good"),
        pytest.param({"description": " x"}, True, id="warning"),
        pytest.param({"quantity": "0"}, False, id="error"),
        pytest.param({"descripion": ""}, False, id="header"),
    ],
)
def test_ok(row: dict[str, str], ok: bool) -> None:  # noqa: FBT001  a column of the table
    """Errors prevent a sheet from being sent, warnings do not."""
    assert report_of(frame_of(row)).ok is ok


def test_sheet(report: Report) -> None:
    """The rows are unchanged, each with its issues in one text per level."""
    assert sheet_of(report).columns.to_list() == [*MIXED.columns, *VALIDATION_COLUMNS]
    assert sheet_of(report).index.to_list() == [2, 3, 4, 5]
    assert sheet_of(report)[MIXED.columns].to_numpy().tolist() == MIXED.to_numpy().tolist()
    assert sheet_of(report)["validation_errors"].to_list() == [
        f"media_type: {CHOICE} | local_center.zipcode: {ZERO_LOST}",
        "",
        "",
        "description: 'description' is required to create. Fill in the cell.",
    ]
    assert sheet_of(report)["validation_warnings"].to_list() == [
        "",
        "Rows 3, 4 are identical; each of them buys a number.",
        (
            "Rows 3, 4 are identical; each of them buys a number. | "
            "description: ' Spring sale' is read as 'Spring sale'."
        ),
        "media_type: 'online: display' is read as 'Online: Display'.",
    ]


def test_sheet_is_a_copy(report: Report) -> None:
    """Changes to the annotated rows do not affect the validated ones."""
    sheet = sheet_of(report)
    sheet["description"] = "changed"
    assert sheet_of(report)["description"].iloc[0] == "Spring sale"
    assert VALIDATION_COLUMNS[0] not in report.validated_book.sheets[0].sheet.frame.columns


def test_annotated_again(report: Report) -> None:
    """The columns of an earlier validation are replaced, not duplicated and not validated."""
    second_report = report_of(sheet_of(report).assign(description="Spring sale"))
    assert sheet_of(second_report).columns.to_list() == sheet_of(report).columns.to_list()
    assert sheet_of(second_report)["validation_errors"].iloc[3] == ""


# As lines


def test_lines(report: Report) -> None:
    """Lines have location, message and fix; lines beyond the limit are counted."""
    assert report.issue_lines(2) == [
        f"  row 2, media_type: {CHOICE}",
        f"  row 2, local_center.zipcode: {ZERO_LOST}",
        "  … and 1 more",
    ]
    assert len(report.issue_lines(3)) == 3
    assert report.issue_lines(3, "warning")[:2] == [
        "  header, notes: Unknown column 'notes'; it is copied to the results and not sent.",
        "  row 3: Rows 3, 4 are identical; each of them buys a number.",
    ]
    assert report_of(frame_of({})).issue_lines(5) == []


def test_lines_about_the_sheet() -> None:
    """An issue without row and column is about the sheet."""
    text = "\n".join([",".join(GOOD), ",".join(GOOD.values()), "", "A,C,d,Online: Display"])
    assert report_of(text.encode()).issue_lines(1, "warning") == ["  sheet: Skipped blank rows: 1."]


def test_repr(report: Report) -> None:
    """The repr of a report has its summary."""
    assert repr(report) == (
        "<4 rows checked; 2 can be sent and ask for 2 numbers; 2 have errors. See .issues and .sheet>"
    )


# In Excel


def save_workbook(report: Report, folder: Path) -> openpyxl.Workbook:
    return openpyxl.load_workbook(report.to_excel(folder / "annotated.xlsx"))


def row_texts(sheet: Worksheet, row: int) -> list[str]:
    return [str(cell.value or "") for cell in sheet[row]]


def cells_of(sheet: Worksheet) -> list[tuple[tuple[int, str], Any]]:
    """Each cell with its row number and header."""
    headers = row_texts(sheet, 1)
    return [
        ((number, header), cell)
        for number, row in enumerate(sheet.iter_rows(), 1)
        for header, cell in zip(headers, row, strict=True)
    ]


def levels_of(sheet: Worksheet) -> dict[tuple[int, str], str]:
    """The level of each coloured cell, except in the columns with messages."""
    colours = {key: cell.fill.fgColor.rgb for key, cell in cells_of(sheet) if key[1] not in VALIDATION_COLUMNS}
    return {key: COLOURS[colour] for key, colour in colours.items() if colour in COLOURS}


def notes_of(sheet: Worksheet) -> dict[tuple[int, str], str]:
    return {key: cell.comment.text for key, cell in cells_of(sheet) if cell.comment}


def test_workbook(report: Report, tmp_path: Path) -> None:
    """The workbook has the rows at their row numbers, coloured cells for issues, and the messages."""
    book = save_workbook(report, tmp_path)
    assert book.sheetnames == ["promo_numbers", "issues"]
    rows = book["promo_numbers"]
    assert row_texts(rows, 1) == sheet_of(report).columns.to_list()
    for row, texts in sheet_of(report).iterrows():
        assert row_texts(rows, int(str(row))) == texts.to_list()
    assert levels_of(rows) == {
        (1, "notes"): "warning",
        (2, "media_type"): "error",
        (2, "local_center.zipcode"): "error",
        (4, "description"): "warning",
        (5, "description"): "error",
        (5, "media_type"): "warning",
    }


def test_notes(report: Report, tmp_path: Path) -> None:
    """The note of a coloured cell has its message and its fix; other cells have none."""
    notes = notes_of(save_workbook(report, tmp_path)["promo_numbers"])
    assert {cell: text.partition(".")[0] for cell, text in notes.items()} == {
        (1, "notes"): "Unknown column 'notes'; it is copied to the results and not sent",
        (2, "media_type"): CHOICE.partition(".")[0],
        (2, "local_center.zipcode"): ZERO_LOST.partition(".")[0],
        (4, "description"): "' Spring sale' is read as 'Spring sale'",
        (5, "description"): "'description' is required to create",
        (5, "media_type"): "'online: display' is read as 'Online: Display'",
    }
    assert "Fix: 02134" in notes[2, "local_center.zipcode"]


def test_two_issues_in_one_cell(tmp_path: Path) -> None:
    """A cell with an error and a warning has the error colour, and its note has both."""
    report = report_of(frame_of({"local_center.tn_prefix": "805.0", "local_center.zipcode": "93101"}))
    rows = save_workbook(report, tmp_path)["promo_numbers"]
    assert levels_of(rows) == {(2, "local_center.tn_prefix"): "error"}
    (note,) = notes_of(rows).values()
    assert "'805.0' is read as '805'." in note
    assert "more than one way" in note


def test_missing_column(tmp_path: Path) -> None:
    """The issue of a missing column has no cell, but is on the issues worksheet."""
    book = save_workbook(report_of(MIXED.drop(columns="description")), tmp_path)
    assert "description" in [cell.value for cell in book["issues"]["B"]]


def test_issues_sheet(report: Report, tmp_path: Path) -> None:
    """The issues worksheet has the issues as text."""
    rows = list(save_workbook(report, tmp_path)["issues"].iter_rows(values_only=True))
    issues = report.issues.drop(columns="sheet")  # omitted for a single sheet
    assert list(rows[0]) == issues.columns.to_list()
    assert [[text or "" for text in row] for row in rows[1:]] == [
        ["" if value is pd.NA else str(value) for value in row] for row in issues.to_numpy()
    ]


def test_formulas_stay_text(report: Report, tmp_path: Path) -> None:
    """A cell that looks like a formula is text in the workbook."""
    cell = save_workbook(report, tmp_path)["promo_numbers"]["F2"]
    assert (cell.value, cell.data_type) == ("=1+1", "s")


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param([2, 3, 4, 5], id="as-written"),
        pytest.param([5, 6, 9, 12], id="blank-rows-and-title-above"),
    ],
)
def test_row_numbers_are_kept(numbers: list[int], tmp_path: Path) -> None:
    """Rows have the same row numbers in the workbook as in the issues."""
    report = report_of(MIXED.set_axis(pd.Index(numbers, name="row")))
    rows = save_workbook(report, tmp_path)["promo_numbers"]
    assert [row for row in range(2, rows.max_row + 1) if any(row_texts(rows, row))] == numbers
    assert (numbers[0], "media_type") in levels_of(rows)


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param([9, 4, 7, 2], id="sorted-in-pandas"),
        pytest.param([2, 3, 4, 2_000_000_000], id="too-large"),
        pytest.param([-1, 0, 1, 2], id="too-small"),
    ],
)
def test_rows_in_another_order(numbers: list[int], tmp_path: Path) -> None:
    """Rows whose numbers cannot be kept in a workbook are consecutive, with the right colours."""
    report = report_of(MIXED.set_axis(pd.Index(numbers, name="row")))
    rows = save_workbook(report, tmp_path)["promo_numbers"]
    assert rows.max_row == 5
    assert {cell for cell, level in levels_of(rows).items() if level == "error"} == {
        (2, "media_type"),
        (2, "local_center.zipcode"),
        (5, "description"),
    }


@pytest.mark.parametrize("name", ["annotated.xlsx", "annotated.csv"])
def test_annotated_file_read_again(name: str, tmp_path: Path) -> None:
    """Reading the annotated file gives the same cells and the same issues."""
    report = report_of(MIXED)
    second_report = report_of(report.to_excel(tmp_path / name))
    assert sheet_of(second_report).to_numpy().tolist() == sheet_of(report).to_numpy().tolist()
    pd.testing.assert_frame_equal(second_report.issues, report.issues)


@pytest.mark.parametrize("name", ["annotated.xlsx", "annotated.csv"])
@pytest.mark.parametrize(
    "source",
    [
        pytest.param(frame_of(), id="no-rows"),
        pytest.param(frame_of({}), id="no-issues"),
        pytest.param(frame_of({"descripion": "x"}), id="only-a-header"),
        pytest.param(frame_of({"notes": "\ud800", "description": "\udfff"}), id="surrogates"),
        pytest.param(frame_of({"notes": "a\x01b", "description": "\x1b"}), id="control-characters"),
        pytest.param(frame_of({"notes": "\u202e805", "b\u200f": "x"}), id="right-to-left"),
        pytest.param(frame_of({"notes": "x" * 131_072, "local_center.tn_prefix": "y" * 131_072}), id="huge"),
        pytest.param(frame_of({"{}": "%s", "custom_data.{0}": "{}"}), id="braces"),
        pytest.param(frame_of({f"column {number}": "x" for number in range(500)}), id="wide"),
        pytest.param(frame_of({"a\ud800": "x", "b\x01": "y"}), id="headers"),
    ],
)
def test_any_sheet_can_be_saved(source: pd.DataFrame, name: str, tmp_path: Path) -> None:
    """The annotated file of any sheet can be written and read."""
    (sheet,) = sheets.load(report_of(source).to_excel(tmp_path / name), resource="promo_numbers")
    assert len(sheet.frame) == len(source)


@pytest.mark.parametrize("name", ["annotated.xlsx", "annotated.csv"])
def test_nul(name: str, tmp_path: Path) -> None:
    """NUL, which no text file can hold, does not prevent a report."""
    assert report_of(frame_of({"notes": "a\0b", "description": "\0"})).to_excel(tmp_path / name).exists()


def test_too_large_sheet_is_rejected_at_once(report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sheet with too many rows for Excel is rejected before anything is written, but can be written as CSV."""
    monkeypatch.setattr("invoca_bulk.reports.xlsx.MAX_ROWS", len(report.validated_book.sheets[0].sheet.frame))
    with pytest.raises(OutputError, match=r"The sheet has 4 rows .*too many for a workbook. Use a name with .csv"):
        report.to_excel(tmp_path / "annotated.xlsx")
    assert list(tmp_path.iterdir()) == []
    assert report.to_excel(tmp_path / "annotated.csv").exists()


def test_csv(report: Report, tmp_path: Path) -> None:
    """A CSV file has the rows and their messages, and formulas are escaped."""
    path = report.to_excel(tmp_path / "annotated.csv")
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["validation_errors"] for row in rows] == sheet_of(report)["validation_errors"].to_list()
    assert rows[0]["notes"] == "'=1+1"


@pytest.mark.parametrize("name", ["annotated", "annotated.xls", "annotated.txt"])
def test_unsupported_extensions(report: Report, name: str, tmp_path: Path) -> None:
    """An unsupported extension is rejected, and no file is written."""
    with pytest.raises(OutputError, match=r"\.xlsx or \.csv"):
        report.to_excel(tmp_path / name)
    assert not list(tmp_path.glob("annotated*"))


def test_input_is_never_overwritten(report: Report, tmp_path: Path) -> None:
    """The annotated sheet never replaces the validated file."""
    path = report.to_excel(tmp_path / "requests.xlsx")
    content = path.read_bytes()
    with pytest.raises(OutputError):
        report.to_excel(path, protected_paths=[path])
    assert path.read_bytes() == content


# Several sheets


def book_of(**user_values: Any) -> dict[str, pd.DataFrame]:
    """A valid advertiser with a user that has these values, and a request for a number."""
    return book(advertiser(users=[user(**user_values)])) | {"promo_numbers": frame_of({})}


BAD_USER = "'555' is not a valid phone number."


@pytest.fixture
def book_report() -> Report:
    frames = book_of(contact_phone_number="555")
    return Report(validation.validate(sheets.load(frames), version=DEFAULT_API_VERSION))


def test_summary_of_several(book_report: Report) -> None:
    """The rows of all sheets are counted; rows of the same object as a row with errors count as errors too."""
    assert book_report.summary == ("4 rows checked; 1 can be sent and asks for 1 number; 3 have errors.")
    assert not book_report.ok


def test_summary_of_advertisers() -> None:
    """A summary without promo number rows does not mention numbers."""
    report = Report(validation.validate(sheets.load(book(advertiser())), version=DEFAULT_API_VERSION))
    assert report.summary == "3 rows checked; 3 can be sent; 0 have errors."


def test_sheets(book_report: Report) -> None:
    """Each sheet is returned under its name, with the issues of its rows."""
    frames = book_report.sheet
    assert isinstance(frames, dict)
    assert list(frames) == ["advertisers", "sites", "users", "promo_numbers"]
    assert [frame["validation_errors"].iloc[0][:22] for frame in frames.values()] == [
        "",
        "",
        "contact_phone_number: ",
        "",
    ]
    assert BAD_USER in frames["users"]["validation_errors"].iloc[0]


def test_lines_of_several(book_report: Report) -> None:
    """Lines name the sheet."""
    (line,) = book_report.issue_lines(5)
    assert line.startswith(f"  users row 2, contact_phone_number: {BAD_USER}")
    frames = book_of() | {"users": book_of()["users"].assign(notes="x")}
    report = Report(validation.validate(sheets.load(frames), version=DEFAULT_API_VERSION))
    assert report.issue_lines(5, "warning")[0].startswith("  users header, notes: ")


def test_workbook_of_several(book_report: Report, tmp_path: Path) -> None:
    """The workbook has a coloured worksheet per sheet, and the issues with their sheet."""
    book = save_workbook(book_report, tmp_path)
    assert book.sheetnames == ["advertisers", "sites", "users", "promo_numbers", "issues"]
    assert {name: levels_of(book[name]) for name in book.sheetnames[:-1]} == {
        "advertisers": {},
        "sites": {},
        "users": {(2, "contact_phone_number"): "error"},
        "promo_numbers": {},
    }
    assert [cell.value for cell in book["issues"]["A"]] == ["sheet", "users"]


def test_several_read_again(book_report: Report, tmp_path: Path) -> None:
    """Reading the annotated workbook gives the same sheets and the same issues."""
    path = book_report.to_excel(tmp_path / "annotated.xlsx")
    second_report = Report(validation.validate(sheets.load(path), version=DEFAULT_API_VERSION))
    pd.testing.assert_frame_equal(second_report.issues, book_report.issues)
    assert [validated.sheet.name for validated in second_report.validated_book.sheets] == [
        validated.sheet.name for validated in book_report.validated_book.sheets
    ]


def test_several_need_a_workbook(book_report: Report, tmp_path: Path) -> None:
    """A CSV file holds one sheet; for several sheets, the error suggests .xlsx."""
    with pytest.raises(OutputError, match=r"\.xlsx"):
        book_report.to_excel(tmp_path / "annotated.csv")
