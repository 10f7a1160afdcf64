"""What the readers of xls, xlsb and ods see, on files that are written here; calamine is the second reader."""

from __future__ import annotations

import datetime as dt
import io
import random
import re
import struct
from typing import Any

import pytest
import python_calamine
import xlwt  # type: ignore[import-untyped]  # it has no stubs

from invoca_bulk import errors
from invoca_bulk.sheets import cell_text, workbook_formats, workbook_reader
from invoca_bulk.sheets.model import Grid, MergedRange

HEADER = ["description", "media_type", "quantity"]
EMPTY_RESULT = b"\x03\0\0\0\0\0\xff\xff"


def read(data: bytes) -> list[Grid]:
    file_format = workbook_formats.detect_format(data)
    assert file_format in {"xls", "xlsb", "ods"}
    return workbook_reader.read_grids(data, file_format, None)


def read_one(data: bytes) -> Grid:
    (grid,) = read(data)
    return grid


def refused(data: bytes) -> str:
    with pytest.raises(errors.UnreadableSheetError) as caught:
        read(data)
    return str(caught.value)


def styled(number_format: str) -> Any:
    style = xlwt.XFStyle()
    style.num_format_str = number_format
    return style


def xls(make: Any, write: Any, *, cell_overwrite_ok: bool = True) -> bytes:
    workbook = xlwt.Workbook()
    write(workbook.add_sheet("Requests", cell_overwrite_ok=cell_overwrite_ok))
    return bytes(make.to_bytes(workbook))


# xls


def formula_xls(make: Any) -> bytes:
    """Text and a formula that was never calculated, as xlwt writes it: an empty result, no cache."""

    def write(sheet: Any) -> None:
        sheet.write(0, 0, "x")
        sheet.write(0, 1, xlwt.Formula("1+2"))

    return xls(make, write)


def patched_formula(make: Any, *, record: int = 0x06, result: bytes = EMPTY_RESULT, cache: int = 0) -> bytes:
    data = formula_xls(make)
    start = data.index(EMPTY_RESULT) - 10
    size = data[start + 2 : start + 4]
    middle = data[start + 4 : start + 10] + result + b"\0\0" + struct.pack("<I", cache)
    return data[:start] + struct.pack("<H", record) + size + middle + data[start + 24 :]


FORMULA_RECORDS = {"Excel 97": 0x06, "Excel 3": 0x206, "Excel 4": 0x406}


@pytest.mark.parametrize("record", FORMULA_RECORDS)
def test_xls_formulas_without_a_result_are_noticed(make: Any, record: str) -> None:
    """A formula that no program has calculated is no blank cell, whatever the kind of its record."""
    grid = read_one(patched_formula(make, record=FORMULA_RECORDS[record]))
    assert grid.scan.uncached_formulas == {(1, 1): ""}
    assert grid.rows == [["x", ""]]


@pytest.mark.parametrize("record", FORMULA_RECORDS)
def test_xls_formulas_with_a_result_are_read(make: Any, record: str) -> None:
    """A stored result is read, whatever the kind of the formula's record."""
    grid = read_one(patched_formula(make, record=FORMULA_RECORDS[record], result=struct.pack("<d", 3)))
    assert grid.rows == [["x", 3.0]]
    assert not grid.scan.uncached_formulas


def test_xls_empty_results_of_excel_are_blank(make: Any) -> None:
    """Excel leaves its cache beside a result, so an empty text is a result: `=IF(A1="","",A1)`."""
    grid = read_one(patched_formula(make, cache=0xFF040007))
    assert grid.rows == [["x"]]
    assert not grid.scan.uncached_formulas


@pytest.mark.parametrize(
    ("result", "value"), [(b"\x01\0\x01\0\0\0\xff\xff", True), (b"\x02\0\x2a\0\0\0\xff\xff", "#N/A")]
)
def test_xls_other_results_are_read(make: Any, result: bytes, value: object) -> None:
    """A formula may result in a truth value or an error."""
    grid = read_one(patched_formula(make, result=result))
    assert grid.rows == [["x", value]]
    assert grid.scan.error_cells == ({(1, 1): value} if isinstance(value, str) else {})


ERROR_CODES = {
    "#NULL!": 0x00,
    "#DIV/0!": 0x07,
    "#VALUE!": 0x0F,
    "#REF!": 0x17,
    "#NAME?": 0x1D,
    "#NUM!": 0x24,
    "#N/A": 0x2A,
}


def test_xls_error_cells_are_errors(make: Any) -> None:
    """Each error is told apart from a text."""

    def write(sheet: Any) -> None:
        for row, text in enumerate(ERROR_CODES):
            sheet.row(row).set_cell_error(0, ERROR_CODES[text])
            sheet.write(row, 1, text)

    scan = read_one(xls(make, write)).scan
    assert scan.error_cells == {(row, 0): text for row, text in enumerate(ERROR_CODES, 1)}


def test_xls_unknown_errors_are_errors(make: Any) -> None:
    """An error of a newer Excel is an error too."""
    data = xls(make, lambda sheet: sheet.row(0).set_cell_error(0, ERROR_CODES["#N/A"]))
    record = b"\x05\x02\x08\0\0\0\0\0"
    start = data.index(record) + len(record) + 2
    assert data[start] == 0x2A
    assert read_one(data[:start] + b"\x77" + data[start + 1 :]).scan.error_cells == {(1, 0): "#UNKNOWN!"}


def test_xls_hidden_and_merged_parts_are_seen(make: Any) -> None:
    """Hidden sheets, rows and columns, and merged cells."""
    workbook = xlwt.Workbook()
    for name, visibility in (("Requests", 0), ("Old", 1), ("Oldest", 2)):
        sheet = workbook.add_sheet(name)
        sheet.visibility = visibility
        for row in range(4):
            sheet.write(row, 0, "x")
        sheet.write_merge(1, 2, 1, 3, "merged")
        sheet.row(2).hidden = True
        sheet.col(2).hidden = True
    grids = read(make.to_bytes(workbook))
    assert [(grid.name, grid.visibility) for grid in grids] == [
        ("Requests", "visible"),
        ("Old", "hidden"),
        ("Oldest", "very hidden"),
    ]
    for grid in grids:
        assert grid.scan.hidden_rows == {3}
        assert grid.scan.hidden_columns == {2}
        assert grid.scan.merged_ranges == (MergedRange(2, 1, 3, 3),)


FORMATS: dict[str, tuple[str, object, object, str | None]] = {
    "zeros": ("00000", 42.0, 42.0, "00042"),
    "prefix": ('"C-"0000', 42.0, 42.0, "C-0042"),
    "scientific": ("0.00E+00", 8051234567.0, 8051234567.0, None),
    "grouped": ("#,##0", 1000.0, 1000.0, None),
    "date": ("yyyy-mm-dd", 45000.0, dt.date(2023, 3, 15), None),
    "date and time": ("d/m/yy h:mm", 45000.5, dt.datetime(2023, 3, 15, 12), None),  # noqa: DTZ001  as in a cell
    "time": ("h:mm", 0.5, dt.time(12), None),
    "duration": ("[h]:mm", 1.25, dt.timedelta(hours=30), None),
    "no date": ('0 "days"', 5.0, 5.0, "5 days"),
    "colour": ("[Red]0", 5.0, 5.0, None),
    "no date of the calendar": ("d/m/yy", 3_000_000.0, 3_000_000.0, None),
    "before the calendar": ("d/m/yy", -1.0, -1.0, None),
    "first days": ("d/m/yy", 59.0, dt.date(1900, 2, 28), None),
    "after the day that was none": ("d/m/yy", 61.0, dt.date(1900, 3, 1), None),
}


@pytest.mark.parametrize("case", FORMATS)
@pytest.mark.parametrize("file_format", ["xls", "xlsb"])
def test_number_formats_are_applied(make: Any, case: str, file_format: str) -> None:
    """Dates and times are such; what a format makes another text is told."""
    code, value, expected, shown = FORMATS[case]
    if file_format == "xls":
        data = xls(make, lambda sheet: sheet.write(0, 0, value, styled(code)))
    else:
        data = make.xlsb_of(make.record(5, struct.pack("<IId", 0, 1, value)), format_code=code)
    grid = read_one(data)
    assert grid.rows == [[expected]]
    assert type(grid.rows[0][0]) is type(expected)
    assert grid.scan.shown_texts == ({(1, 0): shown} if shown else {})


@pytest.mark.parametrize("length", [8_216, 8_217, 8_218, 20_000, 32_767])
@pytest.mark.parametrize("letter", ["a", "é", "\u0416"])
def test_xls_long_texts_are_whole(make: Any, letter: str, length: int) -> None:
    """A text that goes on in further records is read as a whole."""
    text = "".join(random.Random(length).choices(letter + "bcd", k=length))  # noqa: S311  test data
    assert read_one(xls(make, lambda sheet: sheet.write(0, 0, text))).rows == [[text]]


@pytest.mark.parametrize("name", ["WORKBOOK", "BOOK", "book", "Book", "workbook"])
def test_xls_streams_of_any_case_are_found(make: Any, name: str) -> None:
    """Crystal Reports writes WORKBOOK."""
    old = "Workbook".encode("utf-16-le").ljust(64, b"\0") + struct.pack("<H", 18)
    new = name.encode("utf-16-le").ljust(64, b"\0") + struct.pack("<H", 2 * len(name) + 2)
    data = make.xls([HEADER])
    assert old in data
    assert read_one(data.replace(old, new)).rows == [HEADER]


def test_xls_texts_of_16_bits_are_right_under_any_code_page(make: Any) -> None:
    """The code page is of texts of 8 bits; no NUL comes between the letters."""
    data = make.xls([["Москва Zürich"]]).replace(b"\x42\0\x02\0\xb0\x04", b"\x42\0\x02\0\xe4\x04")
    assert b"\x42\0\x02\0\xe4\x04" in data
    assert read_one(data).rows == [["Москва Zürich"]]


def test_xls_macro_sheets_are_left_out(make: Any) -> None:
    """The worksheets beside a macro sheet are read."""
    workbook = xlwt.Workbook()
    for name in ("Macros", "Requests"):
        workbook.add_sheet(name).write(0, 0, name)
    workbook.set_active_sheet(1)
    data = bytearray(make.to_bytes(workbook))
    entry = re.search(rb"\x85\0..(?s:....)(.)\0?\x06\0?Macros", bytes(data), re.DOTALL) or pytest.fail("no entry")
    data[data.index(b"\x85\0", entry.start()) + 9] = 1
    assert [grid.name for grid in read(bytes(data))] == ["Requests"]


def bof(version: int, record: int) -> bytes:
    return struct.pack("<HHHH", record, 4 if version == 2 else 6, 0, 0x10) + (b"" if version == 2 else b"\0\0")


BARE_FILES = {
    "Excel 2": bof(2, 0x09)
    + struct.pack("<HHHH3sB", 0x04, 9, 0, 0, b"\0\0\0", 1)
    + b"a"
    + struct.pack("<HHHH3sd", 0x03, 15, 0, 1, b"\0\0\0", 7),
    "Excel 3": bof(3, 0x209)
    + struct.pack("<HHHHHH", 0x204, 9, 0, 0, 0, 1)
    + b"a"
    + struct.pack("<HHHHHd", 0x203, 14, 0, 1, 0, 7),
    "Excel 4": bof(4, 0x409)
    + struct.pack("<HHHHHH", 0x204, 9, 0, 0, 0, 1)
    + b"a"
    + struct.pack("<HHHHHd", 0x203, 14, 0, 1, 0, 7),
}


@pytest.mark.parametrize("program", BARE_FILES)
def test_files_of_old_excels_are_read(program: str) -> None:
    """Before Excel 5 a file is one sheet, without a container."""
    assert read_one(BARE_FILES[program] + b"\x0a\0\0\0").rows == [["a", 7.0]]


def test_half_a_file_of_an_old_excel_is_refused() -> None:
    """A bare file that ends too early is damaged."""
    assert "damaged or incomplete" in refused(BARE_FILES["Excel 3"])


def test_xls_texts_that_xlrd_would_cut_are_refused() -> None:
    """A cell's own text that goes on in the next record is refused, not cut."""
    data = bof(4, 0x409) + struct.pack("<HHHHHH", 0x204, 9, 0, 0, 0, 3) + b"a" + struct.pack("<HH", 0x3C, 2) + b"bc"
    assert "cannot be read" in refused(data + b"\x0a\0\0\0")


# xlsb


def cell_start(column: int, style: int = 0) -> bytes:
    return struct.pack("<II", column, style)


def wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


XLSB_CELLS: dict[str, tuple[int, bytes, object]] = {
    "whole number in short form": (2, struct.pack("<i", 7 << 2 | 2), 7.0),
    "negative": (2, struct.pack("<i", -7 << 2 | 2), -7.0),
    "hundredths": (2, struct.pack("<i", 150 << 2 | 3), 1.5),
    "float in short form": (2, struct.pack("<d", 0.5)[4:], 0.5),
    "error": (3, b"\x2a", "#N/A"),
    "true": (4, b"\x01", True),
    "float": (5, struct.pack("<d", 1.25), 1.25),
    "text": (6, wide("a\nb"), "a\nb"),
    "shared text": (7, struct.pack("<I", 1), "second"),
    "rich text": (62, b"\x01" + wide("rich") + bytes(8), "rich"),
    "result, text": (8, wide("text") + bytes(6), "text"),
    "result, number": (9, struct.pack("<d", 3) + bytes(6), 3.0),
    "result, false": (10, b"\0" + bytes(6), False),
    "result, error": (11, b"\x17" + bytes(6), "#REF!"),
}


@pytest.mark.parametrize("case", XLSB_CELLS)
def test_every_cell_of_an_xlsb_is_read(make: Any, case: str) -> None:
    """Each type of record gives its value; an error is told apart from a text."""
    record_type, content, value = XLSB_CELLS[case]
    cells = make.record(record_type, cell_start(0) + content)
    grid = read_one(make.xlsb_of(cells, strings=["first", "second"]))
    assert grid.rows == [[value]]
    assert type(grid.rows[0][0]) is type(value)
    assert grid.scan.error_cells == ({(1, 0): value} if record_type in {3, 11} else {})


@pytest.mark.parametrize(("flags", "formulas"), [(0, {}), (2, {(1, 1): ""})])
def test_xlsb_formulas_without_a_result_are_noticed(make: Any, flags: int, formulas: object) -> None:
    """An empty text that is to be calculated when the file is opened is no result."""
    cells = make.record(6, cell_start(0) + wide("x"))
    cells += make.record(8, cell_start(1) + wide("") + struct.pack("<HI", flags, 0))
    assert read_one(make.xlsb_of(cells)).scan.uncached_formulas == formulas


def test_xlsb_hidden_and_merged_parts_are_seen(make: Any) -> None:
    """Hidden sheets, rows and columns, and merged cells."""
    cells = make.record(6, cell_start(3) + wide("x"))
    columns = make.record(60, struct.pack("<IIIIH", 1, 2, 2000, 0, 1))
    merges = make.record(176, struct.pack("<IIII", 0, 1, 0, 3))
    grid = read_one(make.xlsb_of(cells, before=columns, after=merges, row_flags=0x10, state=2))
    assert grid.visibility == "very hidden"
    assert grid.scan.hidden_rows == {1}
    assert grid.scan.hidden_columns == {1, 2}
    assert grid.scan.merged_ranges == (MergedRange(1, 0, 2, 3),)


def test_half_an_xlsb_is_refused(make: Any) -> None:
    """A worksheet whose end is missing is damaged, even if the zip container is whole."""
    data = make.repacked(make.xlsb([HEADER]), {"xl/worksheets/sheet1.bin": lambda old: old[:60]})
    assert "damaged or incomplete" in refused(data)


# ods

NAMESPACES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{long}:1.0"'
    for name, long in {name: name for name in ("office", "style", "table", "text")}.items() | {("draw", "drawing")}
)
CALC = 'xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"'


def ods(make: Any, rows: str, *, styles: str = "", table: str = 'table:name="S"', start: str = "") -> bytes:
    """An ods of hand-written rows, without the member `mimetype`."""
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?>{start}<office:document-content {NAMESPACES} {CALC}>'
        f"<office:automatic-styles>{styles}</office:automatic-styles><office:body><office:spreadsheet>"
        f"<table:table {table}>{rows}</table:table></office:spreadsheet></office:body></office:document-content>"
    )
    return bytes(make.zipped({"content.xml": content}))


def ods_cell(attributes: str = "", content: str = "") -> str:
    return f"<table:table-cell {attributes}>{content}</table:table-cell>"


def ods_row(*cells: str, attributes: str = "") -> str:
    return f"<table:table-row {attributes}>{''.join(cells)}</table:table-row>"


def typed(kind: str, value: str, shown: str = "") -> str:
    name = {"float": "value", "percentage": "value", "currency": "value"}.get(kind, f"{kind}-value")
    return ods_cell(f'office:value-type="{kind}" office:{name}="{value}"', f"<text:p>{shown}</text:p>")


def text_cell(content: str) -> str:
    return ods_cell('office:value-type="string"', content)


NOTE = "<office:annotation><text:p>note</text:p></office:annotation>"
DRAWING = "<draw:frame><draw:text-box><text:p>drawn</text:p></draw:text-box></draw:frame>"
ODS_CELLS: dict[str, tuple[str, object]] = {
    "float": (typed("float", "5", "5"), 5.0),
    "percentage": (typed("percentage", "0.5", "50%"), 0.5),
    "currency": (typed("currency", "5.5", "$5.50"), 5.5),
    "true": (typed("boolean", "true", "WAHR"), True),
    "date": (typed("date", "2024-03-04", "4.3."), dt.date(2024, 3, 4)),
    "moment": (
        typed("date", "2024-03-04T05:06:07.000000000", "x"),
        dt.datetime(2024, 3, 4, 5, 6, 7),  # noqa: DTZ001  as in a cell
    ),
    "date before the year 1": (typed("date", "-0044-03-15", "44 BC"), "44 BC"),
    "time": (typed("time", "PT08H00M00S", "08:00"), dt.timedelta(hours=8)),
    "duration": (typed("time", "-PT30H00M00.5S", "x"), -dt.timedelta(hours=30, seconds=0.5)),
    "text": (text_cell("<text:p>a</text:p>"), "a"),
    "text in an attribute": (typed("string", " a  b", "shown"), " a  b"),
    "paragraphs": (text_cell("<text:p>a</text:p><text:p/><text:p>b</text:p>"), "a\n\nb"),
    "tab, break, spaces": (
        text_cell('<text:p>a<text:tab/>b<text:line-break/>c<text:s text:c="3"/>d</text:p>'),
        "a\tb\nc   d",
    ),
    "pretty printed": (text_cell("\n <text:p>\n  a\n  b\n </text:p>\n"), "a b"),
    "spans and links": (text_cell("<text:p><text:span>a</text:span> <text:a>b</text:a></text:p>"), "a b"),
    "note": (text_cell(f"{NOTE}<text:p>a</text:p>"), "a"),
    "drawing": (text_cell(f"<text:p>a</text:p>{DRAWING}"), "a"),
    "table in a cell": (
        text_cell(f"<text:p>a</text:p><table:table>{ods_row(text_cell('<text:p>b</text:p>'))}</table:table>"),
        "a",
    ),
    "no type": (ods_cell("", "<text:p>a</text:p>"), "a"),
    "no value": (ods_cell('office:value-type="float"', "<text:p>5</text:p>"), "5"),
    "CDATA and a comment": (text_cell("<text:p><![CDATA[a<b]]><!-- no --></text:p>"), "a<b"),
    "result, an empty text": (ods_cell('table:formula="of:=A1" office:value-type="string" office:string-value=""'), ""),
    "result": (ods_cell('table:formula="of:=1+1" office:value-type="float" office:value="2"'), 2.0),
}


@pytest.mark.parametrize("case", ODS_CELLS)
def test_every_cell_of_an_ods_is_read(make: Any, case: str) -> None:
    """Each type of cell gives its value; notes and drawings are no part of it."""
    cell, value = ODS_CELLS[case]
    grid = read_one(ods(make, ods_row(cell, text_cell("<text:p>end</text:p>"))))
    assert grid.rows == [[value, "end"]]
    assert type(grid.rows[0][0]) is type(value)
    assert not grid.scan.error_cells
    assert not grid.scan.uncached_formulas


ODS_ERRORS: dict[str, tuple[str, str]] = {
    "LibreOffice": (
        ods_cell(
            'table:formula="of:=NA()" office:value-type="string" office:string-value="" calcext:value-type="error"',
            "<text:p>#N/A</text:p>",
        ),
        "#N/A",
    ),
    "numbered": (
        ods_cell('office:value-type="string" calcext:value-type="error"', "<text:p>Err:502</text:p>"),
        "Err:502",
    ),
    "in German": (ods_cell('calcext:value-type="error"', "<text:p>Fehler:502</text:p>"), "Err:502"),
    "translated": (ods_cell('calcext:value-type="error"', "<text:p>#NV</text:p>"), "#ERROR!"),
    "OpenOffice, as a number": (
        ods_cell('table:formula="of:=1/0" office:value-type="float" office:value="0"', "<text:p>#DIV/0!</text:p>"),
        "#DIV/0!",
    ),
    "numbered, as a number": (typed("float", "0", "Err:503"), "Err:503"),
    "as a text with a formula": (
        ods_cell('table:formula="of:=NA()" office:value-type="string"', "<text:p>#N/A</text:p>"),
        "#N/A",
    ),
}


@pytest.mark.parametrize("case", ODS_ERRORS)
def test_ods_errors_are_errors(make: Any, case: str) -> None:
    """An error is told, however a program writes it."""
    cell, text = ODS_ERRORS[case]
    assert read_one(ods(make, ods_row(cell))).scan.error_cells == {(1, 0): text}


ODS_FORMULAS = {
    "no value": ods_cell('table:formula="of:=A1"'),
    "a type without a value": ods_cell('table:formula="of:=A1" office:value-type="float"'),
    "a text without a text": ods_cell('table:formula="of:=A1" office:value-type="string"'),
}


@pytest.mark.parametrize("case", ODS_FORMULAS)
def test_ods_formulas_without_a_result_are_noticed(make: Any, case: str) -> None:
    """A formula without a stored result is no blank cell, even beyond the others."""
    grid = read_one(ods(make, ods_row(text_cell("<text:p>x</text:p>")) + ods_row(ods_cell(), ODS_FORMULAS[case])))
    assert grid.scan.uncached_formulas == {(2, 1): "=A1"}
    assert grid.rows == [["x", ""], ["", ""]]


def test_ods_repeated_and_hidden_rows_keep_their_numbers(make: Any) -> None:
    """Repeated cells and rows are as many; hidden ones are told; blank ones at the end do not count."""
    hidden = 'table:visibility="filter"'
    columns = '<table:table-column/><table:table-column table:number-columns-repeated="2" table:visibility="collapse"/>'
    rows = (
        ods_row(text_cell("<text:p>a</text:p>"), ods_cell('table:number-columns-repeated="2"'), typed("float", "1"))
        + ods_row(ods_cell('table:number-columns-repeated="16384"'), attributes='table:number-rows-repeated="2"')
        + ods_row(typed("float", "2"), attributes=f'table:number-rows-repeated="2" {hidden}')
        + '<table:table-row-group table:display="false">'
        + ods_row(ods_cell('office:value-type="float" office:value="3" table:number-columns-repeated="2"'))
        + "</table:table-row-group>"
        + ods_row(ods_cell(), attributes=f'table:number-rows-repeated="1048570" {hidden}')
    )
    grid = read_one(ods(make, columns + rows))
    assert grid.rows == [
        ["a", "", "", 1.0],
        [""] * 4,
        [""] * 4,
        [2.0, "", "", ""],
        [2.0, "", "", ""],
        [3.0, 3.0, "", ""],
    ]
    assert grid.scan.hidden_rows == {4, 5, 6}
    assert grid.scan.hidden_columns == {1, 2}


def test_ods_merged_cells_and_what_is_under_them_are_seen(make: Any) -> None:
    """The range of a merge, and a value that it hides."""
    merged = ods_cell(
        'office:value-type="float" office:value="1" table:number-columns-spanned="2" table:number-rows-spanned="2"'
    )
    covered = typed("float", "50").replace("table-cell", "covered-table-cell")
    rows = ods_row(merged, "<table:covered-table-cell/>") + ods_row(covered, "<table:covered-table-cell/>")
    grid = read_one(ods(make, rows))
    assert grid.scan.merged_ranges == (MergedRange(1, 0, 2, 1),)
    assert grid.rows == [[1.0], [50.0]]


def test_ods_hidden_sheets_are_seen(make: Any) -> None:
    """A sheet whose style says so is hidden."""
    styles = '<style:style style:name="ta2"><style:table-properties table:display="false"/></style:style>'
    table = 'table:name="S" table:style-name="ta2"'
    assert read_one(ods(make, ods_row(typed("float", "1")), styles=styles, table=table)).visibility == "hidden"
    assert read_one(ods(make, ods_row(typed("float", "1")), styles=styles)).visibility == "visible"


SHOWN = {
    "leading zeros": ("42", "00042", True),
    "prefix": ("42", "C-0042", True),
    "phone number": ("8051234567", "(805) 123-4567", True),
    "dashes": ("8051234", "805-1234", True),
    "itself": ("42", "42", False),
    "grouped": ("1234567", "1,234,567", False),
    "grouped by points": ("1234567", "1.234.567,00", False),
    "scientific": ("8051234567", "8.05E+09", False),
    "currency": ("42", "$42.00", False),
    "negative": ("-42", "-42", False),
    "negative in brackets": ("-42", "(42)", False),
    "rounded": ("41.7", "42", False),
}


@pytest.mark.parametrize("case", SHOWN)
def test_ods_numbers_that_show_another_text_are_told(make: Any, case: str) -> None:
    """What an ods shows for a number is told if somebody may take it for the value."""
    value, shown, is_told = SHOWN[case]
    scan = read_one(ods(make, ods_row(typed("float", value, shown)))).scan
    assert scan.shown_texts == ({(1, 0): shown} if is_told else {})


def test_ods_doctype_without_entities_is_read(make: Any) -> None:
    """A document type alone is harmless; tests/security has the entities."""
    assert read_one(ods(make, ods_row(typed("float", "1")), start="<!DOCTYPE x>")).rows == [[1.0]]
    with_entity = ods(make, ods_row(text_cell("<text:p>&e;</text:p>")), start='<!DOCTYPE x [<!ENTITY e "lol">]>')
    assert "damaged" in refused(with_entity)
    unknown = ods(make, ods_row(text_cell("<text:p>&e;</text:p>")), start='<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x">')
    assert "damaged" in refused(unknown)


def test_other_opendocument_files_are_no_spreadsheets(make: Any) -> None:
    """The tables of a text document are not read."""
    data = make.repacked(
        ods(make, ods_row(typed("float", "1"))),
        {"content.xml": lambda old: old.replace(b"office:spreadsheet", b"office:text")},
    )
    assert "an OpenDocument file of another kind, not a spreadsheet" in refused(data)


BOMBS = {
    "rows": ods_row(typed("float", "1"), attributes='table:number-rows-repeated="999999999"'),
    "a row far away": ods_row(attributes='table:number-rows-repeated="99999999"') + ods_row(typed("float", "1")),
    "columns": ods_row(
        ods_cell('table:number-columns-repeated="999999999" office:value-type="float" office:value="1"')
    ),
    "rows and columns": ods_row(
        ods_cell('table:number-columns-repeated="16384" office:value-type="float" office:value="1"'),
        attributes='table:number-rows-repeated="1048576"',
    ),
}


@pytest.mark.parametrize("case", BOMBS)
def test_ods_repetitions_cannot_fill_the_memory(make: Any, case: str) -> None:
    """Cells that are repeated into billions are counted before they are made."""
    try:
        grid = read_one(ods(make, BOMBS[case]))
    except errors.UnreadableSheetError as error:
        assert "far away" in str(error)  # noqa: PT017  either is fine
    else:
        assert grid.scan.far_cell
        assert len(grid.rows) <= 200


def test_ods_repeated_spaces_cannot_fill_the_memory(make: Any) -> None:
    """A count of spaces is taken only as far as a cell's text may go."""
    rows = ods_row(text_cell('<text:p>a<text:s text:c="2000000000"/></text:p>'))
    (text,) = read_one(ods(make, rows)).rows[0]
    assert isinstance(text, str)
    assert 131_072 < len(text) < 1_000_000


TO_FILL_THE_MEMORY = {
    "spaces": ods_row(text_cell("<text:p>" + '<text:s text:c="200000"/>' * 30_000 + "</text:p>")),
    "errors": ods_row(
        ods_cell('table:number-columns-repeated="12" calcext:value-type="error"', "<text:p>#N/A</text:p>"),
        attributes='table:number-rows-repeated="900000"',
    ),
}


@pytest.mark.parametrize("case", TO_FILL_THE_MEMORY)
def test_ods_small_files_cannot_fill_the_memory(make: Any, case: str) -> None:
    """Spaces of many elements, and marks of cells that are repeated, count together."""
    data = ods(make, TO_FILL_THE_MEMORY[case])
    assert len(data) < 5_000
    assert "Open it in Excel" in refused(data)


# All formats, against the second reader


def random_rows(seed: int) -> list[list[Any]]:
    generator = random.Random(seed)  # noqa: S311  test data
    makers: list[Any] = [
        lambda: "",
        lambda: "".join(generator.choices("abc XYZé€Ж0123#'&<", k=generator.randrange(1, 40))).strip() or "x",
        lambda: float(generator.randrange(-(10**9), 10**12)),
        lambda: round(generator.uniform(-1e6, 1e6), 4),
        lambda: "line\nbreak",
        lambda: "00123",
    ]
    return [[generator.choice(makers)() for _ in range(generator.randrange(1, 12))] + ["end"] for _ in range(60)]


def texts(rows: Any) -> list[list[str]]:
    trimmed = [cell_text.convert_to_texts(list(row))[0] for row in rows]
    width = max(map(len, trimmed))
    return [row + [""] * (width - len(row)) for row in trimmed]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("file_format", ["xls", "xlsb", "ods"])
def test_both_readers_agree_on_generated_workbooks(make: Any, file_format: str, seed: int) -> None:
    """Each cell of a generated workbook is what was written, and what calamine reads."""
    rows = random_rows(seed)
    data = getattr(make, file_format)(rows)
    with python_calamine.load_workbook(io.BytesIO(data)) as workbook:
        second = workbook.get_sheet_by_index(0).to_python(skip_empty_area=False)
    assert texts(read_one(data).rows) == texts(rows)
    assert texts(read_one(data).rows) == texts(second)


@pytest.mark.parametrize("seed", range(3))
def test_both_readers_agree_on_formatted_xls(make: Any, seed: int) -> None:
    """Dates, times, durations, truth values and formatted numbers are what calamine reads; errors are blank there."""
    generator = random.Random(seed)  # noqa: S311  test data
    codes = [
        "General",
        "0.00",
        "00000",
        "d/m/yy",
        "h:mm",
        "h:mm:ss",
        "[h]:mm",
        "yyyy-mm-dd h:mm",
        "#,##0",
        '"C-"0',
        "0%",
    ]
    error_cells = set()

    def write(sheet: Any) -> None:
        for row in range(80):
            for column in range(8):
                kind = generator.randrange(4)
                if kind == 0:
                    sheet.row(row).set_cell_error(column, generator.choice(list(ERROR_CODES.values())))
                    error_cells.add((row + 1, column))
                elif kind == 1:
                    sheet.write(row, column, generator.random() < 0.5)
                else:
                    number = generator.choice([generator.randrange(1, 60_000), generator.randrange(86_400) / 86_400])
                    sheet.write(row, column, number, styled(generator.choice(codes)))
            sheet.write(row, 8, "end")

    data = xls(make, write)
    grid = read_one(data)
    with python_calamine.load_workbook(io.BytesIO(data)) as workbook:
        second = texts(workbook.get_sheet_by_index(0).to_python(skip_empty_area=False))
    assert set(grid.scan.error_cells) == error_cells
    first = texts(grid.rows)
    for row, column in error_cells:
        first[row - 1][column] = ""
    assert first == second
