"""Workbooks as Excel, openpyxl and the project's own reader see them."""

from __future__ import annotations

import gc
import io
import os
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

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from openpyxl.worksheet.worksheet import Worksheet


def page(*rows: Sequence[str | Cell], **changes: Any) -> WorksheetSpec:
    return WorksheetSpec(**({"name": "sheet", "header": ["a", "b"], "rows": rows} | changes))


def written(*pages: WorksheetSpec) -> bytes:
    stream = io.BytesIO()
    xlsx.write_workbook(stream, pages)
    return stream.getvalue()


def opened(*pages: WorksheetSpec) -> openpyxl.Workbook:
    return openpyxl.load_workbook(io.BytesIO(written(*pages)))


def first(*pages: WorksheetSpec) -> Worksheet:
    return opened(*pages).worksheets[0]


def texts(*pages: WorksheetSpec) -> list[list[Any]]:
    """The first sheet's cells as calamine reads them."""
    return python_calamine.load_workbook(io.BytesIO(written(*pages))).get_sheet_by_index(0).to_python()


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, of the test's own."""
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
    """Whatever a text starts with, it is a text cell that shows exactly itself, formatted as text."""
    sheet = first(page([text, Cell(text=text, style=Style.OK)]))
    for cell in sheet[2]:
        assert (cell.value, cell.data_type, cell.number_format, cell.hyperlink) == (text, "s", "@", None)


@given(rows=st.lists(st.tuples(st.text(), st.text()), max_size=5))
def test_round_trip(rows: list[tuple[str, str]]) -> None:
    """Every text that a file can hold comes back as it was, control characters included."""
    marked = [[*(text.replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd") for text in row), "|"] for row in rows]
    sent: list[list[str | Cell]] = [[*row, Cell(text="|")] for row in rows]
    assert texts(page(*sent, header=["a", "b", "c"])) == [["a", "b", "c"], *marked]


@pytest.mark.parametrize("text", ["a\ud800b", "a\ufffeb", "a\uffffb"])
def test_impossible_characters(text: str) -> None:
    """What no file can hold leaves a visible mark, in cells and in notes."""
    sheet = first(page([Cell(text=text, note=text)]))
    assert sheet["A2"].value == "a\ufffdb"
    assert sheet["A2"].comment.text == "a\ufffdb"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        pytest.param("x" * 32_767, "x" * 32_767, id="fits"),
        pytest.param("x" * 32_768, "x" * (32_767 - 23), id="one-too-many"),
        pytest.param("\U0001f600" * 16_384, "\U0001f600" * 16_372, id="two-units-each"),
        pytest.param("&" * 40_000, "&" * (32_767 - 23), id="escaped"),
    ],
)
def test_long_text(text: str, kept: str) -> None:
    """A text over Excel's limit is cut visibly; a mark in front of a cell keeps it from being read as the whole."""
    sheet = first(page([text, Cell(text=text, note=text)]))
    assert sheet["A2"].value == sheet["B2"].value
    value = sheet["A2"].value
    if len(text) == len(kept):
        assert value == text
    else:
        assert value.startswith("#TOO_LONG! " + kept[:16_000])
        assert value.endswith(xlsx.TRUNCATION_MARK)
        assert len(value.encode("utf-16-le")) <= 2 * 32_767
    assert sheet["B2"].comment.text == kept + xlsx.TRUNCATION_MARK * (len(text) > len(kept))


@pytest.mark.parametrize("style", Style)
def test_styles(style: Style) -> None:
    """Every style has a format, and a cell of that style shows it and stays text."""
    cell = first(page([Cell(text="x", style=style)]))["A2"]
    wanted = xlsx.FORMATS[style]
    assert cell.number_format == "@"
    assert cell.font.bold == wanted.get("bold", False)
    assert cell.fill.fgColor.rgb == f"FF{str(wanted['bg_color'])[1:]}" if "bg_color" in wanted else "00000000"


def test_blank_cells() -> None:
    """A blank cell can have a colour and a note; one without is not written at all."""
    sheet = first(page(["", Cell(text="", style=Style.ERROR, note="Fill it in.")], [], ["x"]))
    assert sheet["B2"].value is None
    assert sheet["B2"].fill.fgColor.rgb == "FFFFC7CE"
    assert sheet["B2"].comment.text == "Fill it in."
    assert sheet["A4"].value == "x"
    assert b'r="A2"' not in written(page([""]))


def test_notes() -> None:
    """Notes stand on their cells: in the header, in the first row and in later ones."""
    noted = Cell(text="x", note="one\ntwo")
    sheet = first(page([noted, "y"], ["z", noted], header=[noted, "b"]))
    found = {cell.coordinate: cell.comment.text for row in sheet for cell in row if cell.comment}
    assert found == dict.fromkeys(["A1", "A2", "B3"], "one\ntwo")


def test_too_many_notes() -> None:
    """Beyond the cap, cells keep their colour, and the last note says where the others are."""
    row = [Cell(text="x", style=Style.ERROR, note="wrong")] * 10
    sheet = first(page(*[row] * 501))
    notes = [cell.comment.text for cells in sheet for cell in cells if cell.comment]
    assert len(notes) == xlsx.MAX_NOTES == 5_000
    assert set(notes[:-1]) == {"wrong"}
    assert notes[-1] == f"wrong\n\n{xlsx.NOTES_LIMIT_TEXT}"
    assert sheet["J502"].fill.fgColor.rgb == "FFFFC7CE"


def test_header() -> None:
    """The header is coloured, stays in sight and has filters; columns are as wide as what they hold."""
    long = "a_column_with_a_rather_long_name"
    sheet = first(page(["x" * 20, "y"], ["x" * 500, "y"], header=["a", long]))
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("A2", "A1:B3")
    assert {cell.fill.fgColor.rgb for cell in sheet[1]} == {"FF44546A"}
    widths = [sheet.column_dimensions[letter].width for letter in "AB"]
    assert 50 < widths[0] < 60
    assert len(long) < widths[1] < len(long) + 10


def test_plain_page() -> None:
    """A page that is no table has neither, takes the widths that it is given, and rows longer than its header."""
    sheet = first(page(["x", "y", "z"], header=["title"], is_table=False, widths={0: 70}))
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == (None, None)
    assert sheet.column_dimensions["A"].width == pytest.approx(70, abs=1)
    assert sheet["C2"].value == "z"


def test_empty_cells_are_text() -> None:
    """The cells below the last row are formatted as text too, so that what is typed there keeps its zeros."""
    sheet = first(page(["x", "y"], header=["a", "a_wider_column"]))
    assert [sheet.column_dimensions[letter].number_format for letter in "AB"] == ["@", "@"]


def test_dropdowns() -> None:
    """A dropdown can be longer than Excel's 255 characters: it takes its choices from a hidden sheet."""
    many = tuple(f"a choice with a long text, number {number}" for number in range(100))
    choices = {0: Dropdown(values=many), 1: Dropdown(values=("TRUE", "FALSE"), strict=False)}
    book = opened(page(["x", "y"], dropdowns=choices), page(["z"], name="other", dropdowns={2: choices[1]}))
    lists = book["lists"]
    assert book.sheetnames == ["sheet", "other", "lists"]
    assert [sheet.sheet_state for sheet in book] == ["visible", "visible", "hidden"]
    found = {str(one.sqref): one for sheet in book for one in sheet.data_validations.dataValidation}
    assert found["A2:A10001"].formula1 == "'lists'!$A$2:$A$101"
    assert found["B2:B10001"].formula1 == found["C2:C10001"].formula1 == "'lists'!$B$2:$B$3"
    assert found["B2:B10001"].errorStyle == "warning"
    assert tuple(cell.value for cell in lists["A"][1:]) == many
    assert tuple(cell.value for cell in lists["B"][1:3]) == ("TRUE", "FALSE")


def test_no_lists_sheet() -> None:
    """Without dropdowns there is no hidden sheet."""
    assert opened(page()).sheetnames == ["sheet"]


def test_limits() -> None:
    """Whole numbers are checked by a formula that reads texts, since all cells are texts."""
    (check,) = first(page(integer_ranges={1: IntegerRange(minimum=1, maximum=10_000)})).data_validations.dataValidation
    assert (str(check.sqref), check.type, check.allowBlank) == ("B2:B10001", "custom", True)
    assert check.formula1 == "IFERROR(AND(VALUE(B2)=INT(VALUE(B2)),VALUE(B2)>=1,VALUE(B2)<=10000),FALSE)"
    assert check.error == "Type a whole number from 1 to 10,000."


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
    """Names become what Excel allows, and a workbook with them can be opened."""
    assert xlsx.sheet_names(names) == allowed
    assert opened(*(page(name=name) for name in names)).sheetnames == allowed


def test_page_named_lists() -> None:
    """A page of the user's may have the name of the hidden sheet."""
    book = opened(page(name="Lists", dropdowns={0: Dropdown(values=("x",))}))
    assert book.sheetnames == ["Lists", "lists 2"]
    assert book["Lists"].data_validations.dataValidation[0].formula1 == "'lists 2'!$A$2:$A$2"


class Row(list[str]):
    """A list that can be watched."""


def test_rows_are_streamed() -> None:
    """Rows are never held: beyond the sample for the widths, one at a time is alive."""
    most = 0
    seen: list[weakref.ref[Row]] = []

    def rows() -> Iterator[Row]:
        nonlocal most
        for number in range(1_000):
            row = Row([str(number)])
            seen.append(weakref.ref(row))
            most = max(most, sum(1 for one in seen if one() is not None))
            yield row

    assert len(texts(page(rows=rows()))) == 1_001
    assert most <= 102


def test_same_bytes() -> None:
    """The same pages give the same bytes."""
    one = page(["x", Cell(text="y", note="z")], dropdowns={0: Dropdown(values=("x",))})
    assert written(one) == written(one)


def test_too_many_columns() -> None:
    """More columns than a worksheet has are refused, with the way out, and not silently dropped."""
    with pytest.raises(OutputError, match=r"16,384 columns.*\.csv"):
        written(page(["x"] * 16_385))


def test_too_many_rows() -> None:
    """More rows than a worksheet has are refused, and not silently dropped."""
    with pytest.raises(OutputError, match="1,048,576 rows"):
        written(page(rows=([] for _ in range(xlsx.MAX_ROWS))))


def test_failure_leaves_no_trace(temporary: Path) -> None:
    """When the rows fail half-way, nothing is written to the target and no temporary file is left."""

    def rows() -> Iterator[list[str]]:
        yield from [["x"]] * 500
        raise ValueError("a bug")

    stream = io.BytesIO()
    with pytest.raises(ValueError, match="a bug"):
        xlsx.write_workbook(stream, [page(), page(rows=rows(), name="other")])
    assert stream.getvalue() == b""
    assert list(temporary.iterdir()) == []


def test_success_leaves_no_trace(temporary: Path) -> None:
    """No temporary file is left."""
    written(page(["x"]))
    assert list(temporary.iterdir()) == []


def test_no_room_for_temporary_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where temporary files cannot be written, the error is the operating system's, which `files` explains."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(OSError, match="none"):
        written(page(["x"]))


@pytest.mark.skipif(os.name != "posix", reason="other systems do not remove open files")
@pytest.mark.usefixtures("temporary")
def test_temporary_files_gone() -> None:
    """When the temporary files cannot be put together at the end, the error is the operating system's too."""

    def rows() -> Iterator[list[str]]:
        yield ["x"]
        for folder in Path(tempfile.gettempdir()).glob("invoca-bulk-*"):
            shutil.rmtree(folder)

    stream = io.BytesIO()
    with pytest.raises(OSError, match="invoca-bulk-"):
        xlsx.write_workbook(stream, [page(rows=rows())])
    assert stream.getvalue() == b""
    gc.collect()  # nothing that was left open complains
