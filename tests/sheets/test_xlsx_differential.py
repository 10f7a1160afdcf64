"""Generated workbooks give the same cells here and in openpyxl, a reader that shares no code with this one."""

from __future__ import annotations

import datetime as dt
import io
from typing import TYPE_CHECKING, Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoca_bulk.sheets import cell_text, number_formats, workbook_reader
from invoca_bulk.sheets.model import Grid, column_letters

if TYPE_CHECKING:
    from collections.abc import Callable

SHEET_XML = "xl/worksheets/sheet1.xml"
COLUMNS, ROWS = 4, 5
ERRORS = ["#N/A", "#REF!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#VALUE!"]
CODES = ["General", "0.00", "#,##0", "00000", '"C-"0000', "(000) 000-0000", "@", '"C-"@', ";;;"]

TEXTS = st.text(st.sampled_from("ab <>&\"'é€\n_x0041"), min_size=1, max_size=8).filter(
    lambda text: text == text.strip() and "_x00" not in text
)
VALUES = st.one_of(
    st.none(),
    TEXTS,
    st.sampled_from(ERRORS),
    st.integers(-(10**14), 10**14),
    st.floats(-1e9, 1e9).map(lambda value: round(value, 6)),
    st.booleans(),
    st.dates(dt.date(1950, 1, 1), dt.date(2100, 1, 1)),
    st.sampled_from(["=A1+1", "=SUM(A1:A2)"]),
)
CELLS = st.tuples(VALUES, st.sampled_from(CODES))
TABLES = st.lists(st.lists(CELLS, min_size=COLUMNS, max_size=COLUMNS), min_size=1, max_size=ROWS)
RANGES = st.tuples(st.integers(1, ROWS), st.integers(1, COLUMNS), st.integers(1, ROWS), st.integers(1, COLUMNS))


def _write(sheet: Any, table: list[list[tuple[Any, str]]]) -> None:
    for row, cells in enumerate(table, 1):
        for column, (value, code) in enumerate(cells, 1):
            cell = sheet.cell(row, column, value)
            if not isinstance(value, dt.date):
                cell.number_format = code


def _text(value: object) -> str:
    """The text of a value, as the documentation says; the values of two readers may differ in their types."""
    if value is None:
        return ""
    return cell_text.convert_to_texts([value])[0][0]


def _cell(grid: Grid, row: int, column: int) -> object:
    return grid.rows[row - 1][column - 1] if row <= len(grid.rows) and column <= len(grid.rows[0]) else ""


def _assert_same_cells(grid: Grid, sheet: Any) -> None:
    """Each cell is the same in both readers."""
    for cells in sheet.iter_rows():
        for cell in cells:
            position = (cell.row, cell.column - 1)
            if cell.data_type == "e":
                assert grid.scan.error_cells[position] == cell.value
            elif cell.data_type == "f":
                assert grid.scan.uncached_formulas[position] == cell.value
            else:
                assert position not in grid.scan.error_cells
                assert position not in grid.scan.uncached_formulas
                assert _text(_cell(grid, cell.row, cell.column)) == _text(cell.value)
                shown = number_formats.show(cell.number_format, cell.value if cell.value is not None else "")
                if number_formats.is_plain(cell.number_format) or isinstance(cell.value, dt.date):
                    assert position not in grid.scan.shown_texts
                else:
                    assert grid.scan.shown_texts.get(position) == shown


@given(table=TABLES, hidden_rows=st.sets(st.integers(1, ROWS)), hidden_columns=st.sets(st.integers(1, COLUMNS)))
def test_workbooks_of_openpyxl(
    make: Any, table: list[list[tuple[Any, str]]], hidden_rows: set[int], hidden_columns: set[int]
) -> None:
    """Every type of cell, number formats, hidden rows and columns."""
    workbook = openpyxl.Workbook()
    written: Any = workbook.active
    _write(written, table)
    for number in hidden_rows:
        written.row_dimensions[number].hidden = True
    for number in hidden_columns:
        written.column_dimensions[column_letters(number - 1)].hidden = True
    data = make.to_bytes(workbook)
    (grid,) = workbook_reader.read_grids(data, "xlsx", None)
    _assert_same_cells(grid, openpyxl.load_workbook(io.BytesIO(data)).active)
    assert grid.scan.hidden_rows == hidden_rows
    assert grid.scan.hidden_columns == {number - 1 for number in hidden_columns}


@given(table=TABLES, corners=RANGES)
def test_merged_cells_of_openpyxl(
    make: Any, table: list[list[tuple[Any, str]]], corners: tuple[int, int, int, int]
) -> None:
    """Merged ranges are where openpyxl says."""
    first_row, last_row = sorted(corners[::2])
    first_column, last_column = sorted(corners[1::2])
    workbook = openpyxl.Workbook()
    written: Any = workbook.active
    _write(written, table)
    written.merge_cells(None, first_row, first_column, last_row, last_column)
    data = make.to_bytes(workbook)
    (grid,) = workbook_reader.read_grids(data, "xlsx", None)
    second: Any = openpyxl.load_workbook(io.BytesIO(data)).active
    bounds = [(each.min_row, each.min_col - 1, each.max_row, each.max_col - 1) for each in second.merged_cells.ranges]
    assert list(grid.scan.merged_ranges) == bounds
    _assert_same_cells(grid, second)


# By hand: what openpyxl reads, but does not write


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


#: Name to the XML of a cell with a text; `{r}` is its reference.
TEXT_FORMS: dict[str, Callable[[str], str]] = {
    "inline": lambda text: f'<c r="{{r}}" t="inlineStr"><is><t xml:space="preserve">{_escape(text)}</t></is></c>',
    "rich": lambda text: (
        f'<c r="{{r}}" t="inlineStr"><is><r><t xml:space="preserve">{_escape(text[:2])}</t></r>'
        f'<r><rPr/><t xml:space="preserve">{_escape(text[2:])}</t></r></is></c>'
    ),
    "formula": lambda text: f'<c r="{{r}}" t="str"><f>A1</f><v>{_escape(text)}</v></c>',
    "CDATA": lambda text: f'<c r="{{r}}" t="inlineStr"><is><t xml:space="preserve"><![CDATA[{text}]]></t></is></c>',
    "comment": lambda text: (
        f'<c r="{{r}}" t="inlineStr"><!-- <v>1</v> --><is><t xml:space="preserve">{_escape(text)}</t></is></c>'
    ),
    "single quotes": lambda text: (
        f"<c t='inlineStr'  r='{{r}}'><is><t xml:space='preserve'>{_escape(text)}</t></is></c>"
    ),
    "references": lambda text: (
        '<c r="{r}" t="inlineStr"><is><t xml:space="preserve">'
        + "".join(f"&#{ord(character)};" for character in text)
        + "</t></is></c>"
    ),
    "blank": lambda _text: '<c r="{r}"/>',
    "number": lambda text: f'<c r="{{r}}"><v>{len(text)}</v></c>',
    "number in scientific notation": lambda text: f'<c r="{{r}}" t="n"><v>{len(text)}.5E2</v></c>',
    "result": lambda text: f'<c r="{{r}}"><f>1+1</f><v>{len(text)}</v></c>',
    "boolean": lambda _text: '<c r="{r}" t="b"><v>1</v></c>',
}
HAND_CELLS = st.tuples(st.sampled_from(sorted(TEXT_FORMS)), TEXTS)


@given(
    table=st.lists(st.lists(HAND_CELLS, min_size=1, max_size=COLUMNS), min_size=1, max_size=ROWS),
    prefix=st.sampled_from(["", "<!-- a -->", "<?a b?>"]),
    encoding=st.sampled_from(["utf-8", "utf-16"]),
)
@pytest.mark.parametrize("with_references", [True, False])
def test_workbooks_by_hand(
    make: Any, table: list[list[tuple[str, str]]], prefix: str, encoding: str, *, with_references: bool
) -> None:
    """Every form of a text's XML, with and without references, in two encodings."""
    rows = "".join(
        f'<row r="{row}">'
        + "".join(
            TEXT_FORMS[form](text).replace("{r}", f"{column_letters(column)}{row}")
            for column, (form, text) in enumerate(cells)
        )
        + "</row>"
        for row, cells in enumerate(table, 1)
    )
    if not with_references:
        rows = rows.replace(' r="', ' x="').replace(" r='", " x='")
    xml = (
        f'<?xml version="1.0" encoding="{encoding}"?>{prefix}'
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        f"<sheetData>{rows}</sheetData></worksheet>"
    )
    data = make.repacked(make.xlsx([["a"]]), {SHEET_XML: lambda _old: xml.encode(encoding)})
    (grid,) = workbook_reader.read_grids(data, "xlsx", None)
    second: Any = openpyxl.load_workbook(io.BytesIO(data), data_only=True).active
    for cells in second.iter_rows():
        for cell in cells:
            assert _text(_cell(grid, cell.row, cell.column)) == _text(cell.value)
