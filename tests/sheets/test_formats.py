from __future__ import annotations

import io
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoca_bulk import sheets
from invoca_bulk.schema.invisible import is_blank
from invoca_bulk.sheets.csv_safety import escape_formula

HEADER = ["advertiser_id_from_network", "description", "media_type", "local_center.zipcode"]
ROWS = [
    HEADER,
    ["00123", " two  spaces ", "line\nbreak", "02134"],
    ["", "", "", ""],
    ["é ü €", 'a "quote", a ; and a |', "'apostrophe", "8051234567"],
    ["1e5", "", "Online: Display", "805.0"],
]
EXPECTED = pd.DataFrame(
    [ROWS[1], *ROWS[3:]], columns=HEADER, index=pd.Index([2, 4, 5], name="row", dtype="int64"), dtype=str
)

WORKBOOKS = ["xlsx", "xlsm", "xls", "xlsb", "ods"]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
ENDS = {"LF": "\n", "CRLF": "\r\n", "CR": "\r"}


def load(source: Any, **options: Any) -> sheets.Sheet:
    (sheet,) = sheets.load(source, **options)
    return sheet


def assert_expected_sheet(loaded: sheets.Sheet) -> None:
    pd.testing.assert_frame_equal(loaded.frame, EXPECTED)
    assert [(issue.problem.code, issue.problem.details) for issue in loaded.read_issues] == [
        ("blank_rows", {"count": 1})
    ]
    assert loaded.resource.name == "promo_numbers"


@pytest.mark.parametrize("file_format", WORKBOOKS)
def test_workbooks_give_the_same_frame(make: Any, file_format: str) -> None:
    """The same content as xlsx, xlsm, xls, xlsb and ods gives the same frame."""
    assert_expected_sheet(load(getattr(make, file_format)(ROWS)))


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_delimited_text_gives_the_same_frame(make: Any, encoding: str, delimiter: str, end: str) -> None:
    """The same content as CSV in each encoding, with each delimiter and line end gives the same frame."""
    assert_expected_sheet(load(make.csv(ROWS, delimiter=DELIMITERS[delimiter], end=ENDS[end], encoding=encoding)))


@pytest.mark.parametrize("file_format", [*WORKBOOKS, "csv"])
@pytest.mark.parametrize("name", ["rows.csv", "rows.xls", "rows.xlsx", "rows.xlsm", "rows.ods", "rows.txt", "rows"])
def test_the_content_decides_not_the_extension(make: Any, tmp_path: Any, file_format: str, name: str) -> None:
    """An xlsx named .csv is read, and so is every other format under any name."""
    path = tmp_path / name
    path.write_bytes(getattr(make, file_format)(ROWS))
    loaded = load(path)
    assert_expected_sheet(loaded)
    assert loaded.source == name


SOURCES: dict[str, Any] = {
    "path as text": str,
    "path": lambda path: path,
    "bytes": lambda path: path.read_bytes(),
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "memory": lambda path: io.BytesIO(path.read_bytes()),
    "memory, text": lambda path: io.StringIO(path.read_text("utf-8")),
    "memory, text with a byte order mark": lambda path: io.StringIO("\ufeff" + path.read_text("utf-8")),
}


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_is_read(make: Any, tmp_path: Any, source: str) -> None:
    """Paths, bytes and file objects, binary or text, are read."""
    path = tmp_path / "rows.csv"
    path.write_bytes(make.csv(ROWS, end="\n"))
    assert_expected_sheet(load(SOURCES[source](path)))


def test_an_open_file_keeps_its_name(make: Any, tmp_path: Any) -> None:
    """The source of an open file is its name without the folder."""
    path = tmp_path / "rows.xlsx"
    path.write_bytes(make.xlsx(ROWS))
    with path.open("rb") as file:
        loaded = load(file)
    assert (loaded.source, loaded.path) == ("rows.xlsx", path)


def named(content: bytes, name: object) -> io.BytesIO:
    file = io.BytesIO(content)
    file.name = name  # type: ignore[attr-defined]  # as web frameworks give it
    return file


PATHS: dict[str, Any] = {
    "relative path": (lambda _: "rows.csv", True),
    "absolute path": (lambda path: path, True),
    "a name without a file": (lambda _: named(b"description,quantity\n", "May.csv"), False),
    "bytes": (lambda path: path.read_bytes(), False),
    "memory": (lambda path: io.BytesIO(path.read_bytes()), False),
    "a name that is a number": (lambda path: named(path.read_bytes(), 3), False),
    "standard input": (lambda path: named(path.read_bytes(), "<stdin>"), False),
}


@pytest.mark.parametrize("case", PATHS)
def test_the_path_is_known_if_there_is_a_file(
    make: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """A sheet knows the absolute path of its file, if it came from one."""
    build, has_path = PATHS[case]
    path = tmp_path / "rows.csv"
    path.write_bytes(make.csv(ROWS))
    monkeypatch.chdir(tmp_path)
    assert load(build(path)).path == (path if has_path else None)


_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("end", ENDS)
@given(rows=st.lists(st.lists(_texts, min_size=2, max_size=2), min_size=1, max_size=5), data=st.data())
def test_any_table_survives_any_dialect(make: Any, delimiter: str, end: str, rows: list[list[str]], data: Any) -> None:
    """Any table of texts, written as CSV in any dialect with formulas escaped, is read as the same texts."""
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    written = [[escape_formula(text) for text in row] for row in rows]
    dialect = {"delimiter": DELIMITERS[delimiter], "end": ENDS[end], "encoding": encoding}
    content = make.csv([["description", "media_type"], *written], **dialect)
    filled = {number: row for number, row in enumerate(rows, 2) if not all(map(is_blank, row))}
    frame = load(content).frame
    assert frame.to_numpy().tolist() == list(filled.values())
    assert frame.index.tolist() == list(filled)
