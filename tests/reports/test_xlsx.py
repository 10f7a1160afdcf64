"""Workbooks as openpyxl and calamine read them."""

from __future__ import annotations

import gc
import io
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openpyxl
import pytest
import python_calamine
from hypothesis import given
from hypothesis import strategies as st

from invoca_bulk.errors import OutputError
from invoca_bulk.reports import xlsx
from invoca_bulk.reports.xlsx import Cell, Dropdown, IntegerRange, Style, WorksheetSpec
from tests.systems import posix_only

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from openpyxl.worksheet.worksheet import Worksheet


def make_spec(*rows: Sequence[str | Cell], **changes: Any) -> WorksheetSpec:
    return WorksheetSpec(**({"name": "sheet", "header": ["a", "b"], "rows": rows} | changes))


def write_bytes(*specs: WorksheetSpec) -> bytes:
    stream = io.BytesIO()
    xlsx.write_workbook(stream, specs)
    return stream.getvalue()


def write_workbook(*specs: WorksheetSpec) -> openpyxl.Workbook:
    return openpyxl.load_workbook(io.BytesIO(write_bytes(*specs)))


def write_sheet(spec: WorksheetSpec) -> Worksheet:
    return write_workbook(spec).worksheets[0]


def read_texts(spec: WorksheetSpec) -> list[list[Any]]:
    """The cells as calamine reads them."""
    return python_calamine.load_workbook(io.BytesIO(write_bytes(spec))).get_sheet_by_index(0).to_python()


@pytest.fixture
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files of the test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("=1+1", id="formula"),
        pytest.param("{=1+1}", id="array-formula"),
        pytest.param("+18055550100", id="phone-number"),
        pytest.param("-5", id="minus"),
        pytest.param("@A1", id="at"),
        pytest.param("00123", id="leading-zeros"),
        pytest.param("12345678901234567890", id="many-digits"),
        pytest.param("1e5", id="exponent"),
        pytest.param("TRUE", id="boolean"),
        pytest.param("#N/A", id="error-value"),
        pytest.param("2024-01-01", id="date"),
        pytest.param("https://example.com/?a=1&b=2", id="address"),
        pytest.param("mailto:name@example.com", id="mail"),
        pytest.param("<r><t>rich</t></r>", id="rich-text"),
        pytest.param("</t></is></c><c><f>1+1</f></c>", id="xml"),
        pytest.param(" space ", id="spaces"),
        pytest.param("two\nlines", id="lines"),
        pytest.param("Zoë \U0001f600", id="not-ascii"),
    ],
)
def test_text_stays_text(text: str) -> None:
    """Whatever a text starts with, its cell is a text cell with exactly that text and the text format."""
    sheet = write_sheet(make_spec([text, Cell(text=text, style=Style.OK)]))
    for cell in sheet[2]:
        assert (cell.value, cell.data_type, cell.number_format, cell.hyperlink) == (text, "s", "@", None)


@given(rows=st.lists(st.tuples(st.text(), st.text()), max_size=5))
def test_round_trip(rows: list[tuple[str, str]]) -> None:
    """Every text that a file can hold is read back unchanged, including control characters."""
    expected = [[*(text.replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd") for text in row), "|"] for row in rows]
    cells: list[list[str | Cell]] = [[*row, Cell(text="|")] for row in rows]
    assert read_texts(make_spec(*cells, header=["a", "b", "c"])) == [["a", "b", "c"], *expected]


@pytest.mark.parametrize("text", ["a\ud800b", "a\ufffeb", "a\uffffb"])
def test_invalid_characters(text: str) -> None:
    """Characters that no file can hold are replaced visibly, in cells and in notes."""
    sheet = write_sheet(make_spec([Cell(text=text, note=text)]))
    assert sheet["A2"].value == "a\ufffdb"
    assert sheet["A2"].comment.text == "a\ufffdb"


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        pytest.param("x" * 32_767, "x" * 32_767, id="fits"),
        pytest.param("x" * 32_768, "x" * (32_767 - 23), id="one-too-many"),
        pytest.param("\U0001f600" * 16_384, "\U0001f600" * 16_372, id="two-units-each"),
        pytest.param("&" * 40_000, "&" * (32_767 - 23), id="escaped"),
    ],
)
def test_long_text(text: str, prefix: str) -> None:
    """A text over Excel's limit is cut visibly; a marker keeps the cell from being read as the full text."""
    sheet = write_sheet(make_spec([text, Cell(text=text, note=text)]))
    assert sheet["A2"].value == sheet["B2"].value
    value = sheet["A2"].value
    if len(text) == len(prefix):
        assert value == text
    else:
        assert value.startswith("#TOO_LONG! " + prefix[:16_000])
        assert value.endswith(xlsx.TRUNCATION_MARK)
        assert len(value.encode("utf-16-le")) <= 2 * 32_767
    assert sheet["B2"].comment.text == prefix + xlsx.TRUNCATION_MARK * (len(text) > len(prefix))


@pytest.mark.parametrize("style", Style)
def test_styles(style: Style) -> None:
    """Every style has a format, and a cell with that style has this format and is text."""
    cell = write_sheet(make_spec([Cell(text="x", style=style)]))["A2"]
    expected = xlsx.FORMATS[style]
    assert cell.number_format == "@"
    assert cell.font.bold == expected.get("bold", False)
    assert cell.fill.fgColor.rgb == f"FF{str(expected['bg_color'])[1:]}" if "bg_color" in expected else "00000000"


def test_blank_cells() -> None:
    """A blank cell can have a colour and a note; without them, it is not written."""
    sheet = write_sheet(make_spec(["", Cell(text="", style=Style.ERROR, note="Fill it in.")], [], ["x"]))
    assert sheet["B2"].value is None
    assert sheet["B2"].fill.fgColor.rgb == "FFFFC7CE"
    assert sheet["B2"].comment.text == "Fill it in."
    assert sheet["A4"].value == "x"
    assert b'r="A2"' not in write_bytes(make_spec([""]))


def test_notes() -> None:
    """Notes are on their cells in the header, in the first row and in later rows."""
    cell_with_note = Cell(text="x", note="one\ntwo")
    sheet = write_sheet(make_spec([cell_with_note, "y"], ["z", cell_with_note], header=[cell_with_note, "b"]))
    notes = {cell.coordinate: cell.comment.text for row in sheet for cell in row if cell.comment}
    assert notes == dict.fromkeys(["A1", "A2", "B3"], "one\ntwo")


def test_too_many_notes() -> None:
    """Beyond the limit, cells are still coloured, and the last note says where to find the other issues."""
    row = [Cell(text="x", style=Style.ERROR, note="wrong")] * 10
    sheet = write_sheet(make_spec(*[row] * 501))
    notes = [cell.comment.text for cells in sheet for cell in cells if cell.comment]
    assert len(notes) == xlsx.MAX_NOTES == 5_000
    assert set(notes[:-1]) == {"wrong"}
    assert notes[-1] == f"wrong\n\n{xlsx.NOTES_LIMIT_TEXT}"
    assert sheet["J502"].fill.fgColor.rgb == "FFFFC7CE"


def test_header() -> None:
    """The header is coloured, frozen and has filters; columns are as wide as their content."""
    long_title = "a_column_with_a_rather_long_name"
    sheet = write_sheet(make_spec(["x" * 20, "y"], ["x" * 500, "y"], header=["a", long_title]))
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("A2", "A1:B3")
    assert {cell.fill.fgColor.rgb for cell in sheet[1]} == {"FF44546A"}
    widths = [sheet.column_dimensions[letter].width for letter in "AB"]
    assert 50 < widths[0] < 60
    assert len(long_title) < widths[1] < len(long_title) + 10


def test_worksheet_that_is_not_a_table() -> None:
    """It has no frozen header and no filters, uses the specified widths, and may have rows longer than its header."""
    sheet = write_sheet(make_spec(["x", "y", "z"], header=["title"], is_table=False, widths={0: 70}))
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == (None, None)
    assert sheet.column_dimensions["A"].width == pytest.approx(70, abs=1)
    assert sheet["C2"].value == "z"


def test_empty_cells_are_text() -> None:
    """The cells below the last row are formatted as text too, so that values typed there keep leading zeros."""
    sheet = write_sheet(make_spec(["x", "y"], header=["a", "a_wider_column"]))
    assert [sheet.column_dimensions[letter].number_format for letter in "AB"] == ["@", "@"]


def test_dropdowns() -> None:
    """A dropdown can be longer than Excel's 255 characters, since its values are on a hidden worksheet."""
    long_values = tuple(f"a choice with a long text, number {number}" for number in range(100))
    dropdowns = {0: Dropdown(values=long_values), 1: Dropdown(values=("TRUE", "FALSE"), strict=False)}
    book = write_workbook(
        make_spec(["x", "y"], dropdowns=dropdowns), make_spec(["z"], name="other", dropdowns={2: dropdowns[1]})
    )
    lists = book["lists"]
    assert book.sheetnames == ["sheet", "other", "lists"]
    assert [sheet.sheet_state for sheet in book] == ["visible", "visible", "hidden"]
    rules = {str(rule.sqref): rule for sheet in book for rule in sheet.data_validations.dataValidation}
    assert rules["A2:A10001"].formula1 == "'lists'!$A$2:$A$101"
    assert rules["B2:B10001"].formula1 == rules["C2:C10001"].formula1 == "'lists'!$B$2:$B$3"
    assert rules["B2:B10001"].errorStyle == "warning"
    assert tuple(cell.value for cell in lists["A"][1:]) == long_values
    assert tuple(cell.value for cell in lists["B"][1:3]) == ("TRUE", "FALSE")


def test_no_lists_sheet() -> None:
    """Without dropdowns, there is no hidden worksheet."""
    assert write_workbook(make_spec()).sheetnames == ["sheet"]


def test_integer_ranges() -> None:
    """Whole numbers are checked by a formula that parses texts, since all cells are text."""
    (rule,) = write_sheet(
        make_spec(integer_ranges={1: IntegerRange(minimum=1, maximum=10_000)})
    ).data_validations.dataValidation
    assert (str(rule.sqref), rule.type, rule.allowBlank) == ("B2:B10001", "custom", True)
    assert rule.formula1 == "IFERROR(AND(VALUE(B2)=INT(VALUE(B2)),VALUE(B2)>=1,VALUE(B2)<=10000),FALSE)"
    assert rule.error == "Type a whole number from 1 to 10,000."


@pytest.mark.parametrize(
    ("names", "allowed"),
    [
        pytest.param(["promo_numbers", "issues"], ["promo_numbers", "issues"], id="as-they-are"),
        pytest.param(["a/b[c]:*?\\d"], ["a_b_c_____d"], id="special-characters"),
        pytest.param(["x" * 40, "x" * 40], ["x" * 31, "x" * 29 + " 2"], id="long"),
        pytest.param(["Lists", "lists", "LISTS"], ["Lists", "lists 2", "LISTS 3"], id="repeated"),
        pytest.param(["", " '' ", "History"], ["_", "_ 2", "History_"], id="not-allowed"),
        pytest.param(["'quoted'"], ["quoted"], id="apostrophes"),
        pytest.param(["\U0001f600" * 20], ["\U0001f600" * 15], id="two-units-each"),
    ],
)
def test_sheet_names(names: list[str], allowed: list[str]) -> None:
    """Names are changed to what Excel allows, and a workbook with them can be opened."""
    assert xlsx.sheet_names(names) == allowed
    assert write_workbook(*(make_spec(name=name) for name in names)).sheetnames == allowed


def test_worksheet_named_lists() -> None:
    """A worksheet may have the name of the hidden one."""
    book = write_workbook(make_spec(name="Lists", dropdowns={0: Dropdown(values=("x",))}))
    assert book.sheetnames == ["Lists", "lists 2"]
    assert book["Lists"].data_validations.dataValidation[0].formula1 == "'lists 2'!$A$2:$A$2"


class Row(list[str]):
    """A list that supports weak references."""


def test_rows_are_streamed() -> None:
    """Rows are not kept in memory: beyond the sample for the widths, one at a time is alive."""
    max_alive = 0
    references: list[weakref.ref[Row]] = []

    def rows() -> Iterator[Row]:
        nonlocal max_alive
        for number in range(1_000):
            row = Row([str(number)])
            references.append(weakref.ref(row))
            max_alive = max(max_alive, sum(1 for reference in references if reference() is not None))
            yield row

    assert len(read_texts(make_spec(rows=rows()))) == 1_001
    assert max_alive <= 102


def test_same_bytes() -> None:
    """The same worksheets give the same bytes."""
    spec = make_spec(["x", Cell(text="y", note="z")], dropdowns={0: Dropdown(values=("x",))})
    assert write_bytes(spec) == write_bytes(spec)


def test_too_many_columns() -> None:
    """Too many columns are rejected with a suggestion, not silently dropped."""
    with pytest.raises(OutputError, match=r"16,384 columns.*\.csv"):
        write_bytes(make_spec(["x"] * 16_385))


def test_too_many_rows() -> None:
    """Too many rows are rejected, not silently dropped."""
    with pytest.raises(OutputError, match="1,048,576 rows"):
        write_bytes(make_spec(rows=([] for _ in range(xlsx.MAX_ROWS))))


def test_failure_leaves_no_trace(temporary_folder: Path) -> None:
    """If the rows fail halfway, nothing is written to the target and no temporary file is left."""

    def rows() -> Iterator[list[str]]:
        yield from [["x"]] * 500
        raise ValueError("a bug")

    stream = io.BytesIO()
    with pytest.raises(ValueError, match="a bug"):
        xlsx.write_workbook(stream, [make_spec(), make_spec(rows=rows(), name="other")])
    assert stream.getvalue() == b""
    assert list(temporary_folder.iterdir()) == []


def test_success_leaves_no_trace(temporary_folder: Path) -> None:
    """No temporary file is left."""
    write_bytes(make_spec(["x"]))
    assert list(temporary_folder.iterdir()) == []


def test_no_room_for_temporary_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """If temporary files cannot be written, the operating system's error is raised, which `files` explains."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(OSError, match="none"):
        write_bytes(make_spec(["x"]))


@posix_only
@pytest.mark.usefixtures("temporary_folder")
def test_temporary_files_gone() -> None:
    """If the temporary files are missing at the end, the operating system's error is raised too."""

    def rows() -> Iterator[list[str]]:
        yield ["x"]
        for folder in Path(tempfile.gettempdir()).glob("invoca-bulk-*"):
            shutil.rmtree(folder)

    stream = io.BytesIO()
    with pytest.raises(OSError, match="invoca-bulk-"):
        xlsx.write_workbook(stream, [make_spec(rows=rows())])
    assert stream.getvalue() == b""
    gc.collect()  # unclosed files would raise a warning here
