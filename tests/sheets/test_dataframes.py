from __future__ import annotations

import datetime as dt
import decimal
import enum
import fractions
import io
import json
import re
import sys
import uuid
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoca_bulk import errors, sheets

if TYPE_CHECKING:
    from collections.abc import Callable

HEADER = ["description", "media_type", "quantity"]


def load(source: Any, **options: Any) -> sheets.Sheet:
    (sheet,) = sheets.load(source, **options)
    return sheet


def codes(loaded: sheets.Sheet) -> list[tuple[int | None, str]]:
    return [(issue.row, issue.problem.code) for issue in loaded.read_issues]


class Media(enum.StrEnum):
    EMAIL = "Online: Email"


VALUES = {
    "text": (" a ", " a "),
    "numpy text": (np.str_("a"), "a"),
    "enum": (Media.EMAIL, "Online: Email"),
    "int": (8051234567, "8051234567"),
    "numpy int": (np.int64(5), "5"),
    "big int, exact": (1234567890123456, "1234567890123456"),
    "big int, zeros at the end": (1234567890123450, "#DIGITS! 1234567890123450"),
    "float": (8051234567.0, "8051234567"),
    "numpy float": (np.float32(0.5), "0.5"),
    "big float": (1e15, "#DIGITS! 1000000000000000"),
    "infinity": (float("inf"), "inf"),
    "decimal": (decimal.Decimal("8051234567.00"), "8051234567"),
    "decimal fraction": (decimal.Decimal("0.10"), "0.10"),
    "big decimal": (decimal.Decimal("1E+20"), "#DIGITS! 100000000000000000000"),
    "true": (True, "TRUE"),
    "numpy false": (np.bool_(False), "FALSE"),  # noqa: FBT003  a cell
    "none": (None, ""),
    "nan": (float("nan"), ""),
    "decimal nan": (decimal.Decimal("nan"), ""),
    "NaT": (pd.NaT, ""),
    "NA": (pd.NA, ""),
    "timestamp": (pd.Timestamp("2024-03-04"), "#DATETIME! 2024-03-04"),
    "timestamp with a time": (pd.Timestamp("2024-03-04 05:06:07.9"), "#DATETIME! 2024-03-04 05:06:07"),
    "date": (dt.date(2024, 3, 4), "#DATETIME! 2024-03-04"),
    "time": (dt.time(8, 30), "08:30"),
    "just before a quarter": (dt.time(17, 44, 59, 999999), "17:45"),
    "timedelta": (pd.Timedelta(hours=8), "08:00"),
    "negative timedelta": (dt.timedelta(minutes=-90), "-01:30"),
    "list": (["805", "212"], '["805", "212"]'),
    "tuple": ((805, "é"), '[805, "é"]'),
    "array": (np.array([805, 212]), "[805, 212]"),
    "list of numpy": ([np.int64(805)], "[805]"),
}


@pytest.mark.parametrize("case", VALUES)
def test_every_value_becomes_text(case: str) -> None:
    """Each type of a DataFrame's cells has one text form, alone in its column and among texts."""
    value, text = VALUES[case]
    frame = pd.DataFrame({"description": ["x", "x"], "media_type": pd.Series(["x", value], dtype=object)})
    loaded = load(frame)
    assert loaded.frame["media_type"].tolist() == ["x", text]
    assert not loaded.read_issues


class Colour(enum.Enum):
    RED = 1


CARRIED: dict[str, tuple[Any, str]] = {
    "uuid": (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
    "enum": (Colour.RED, "Colour.RED"),
    "period": (pd.Period("2026-05"), "2026-05"),
    "path": (PurePosixPath("a/b"), "a/b"),
    "fraction": (fractions.Fraction(1, 3), "1/3"),
    "dict": ({"a": [1, "é"]}, '{"a": [1, "é"]}'),
    "dict with other keys": ({(1, 2): 3}, "{(1, 2): 3}"),
    "list of a type": ([uuid.UUID(int=7)], '["00000000-0000-0000-0000-000000000007"]'),
    "list of numpy": ([np.int64(805)], "[805]"),
    "set": ({5}, "{5}"),
    "bytes": (b"x", "b'x'"),
    "numpy duration": (np.timedelta64(8, "h"), "8 hours"),
    "interval": (pd.Interval(0, 1), "(0, 1]"),
    "date": (dt.date(2024, 3, 4), "2024-03-04"),
    "number": (8051234567.0, "8051234567"),
}


@pytest.mark.parametrize("case", CARRIED)
def test_every_type_is_carried_through(case: str) -> None:
    """In a column that is not sent, a value of any type becomes text."""
    value, text = CARRIED[case]
    frame = pd.DataFrame({"description": ["x", "y"], "my note": pd.Series([None, value], dtype=object)})
    assert load(frame).frame["my note"].tolist() == ["", text]


def test_a_foreign_value_that_fails_is_named() -> None:
    """A type whose text fails is refused as any value without one."""

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    frame = pd.DataFrame({"description": ["x"], "my note": [Broken()]})
    with pytest.raises(errors.UnreadableSheetError, match="The column 'my note' holds a value of the type Broken"):
        load(frame)


@pytest.mark.parametrize("column", ["description", "my note"])
def test_a_number_that_would_fill_the_memory_is_refused(column: str) -> None:
    """Also where it is only carried through."""
    frame = pd.DataFrame({"description": ["x"], column: [decimal.Decimal("1E+999999999")]})
    with pytest.raises(errors.UnreadableSheetError, match=r"more than 1,000 digits"):
        load(frame)


# Tables of other kinds


class Interchange:
    """A table of a library that only offers the dataframe interchange protocol."""

    def __dataframe__(self, nan_as_null: bool = False, allow_copy: bool = True) -> Any:  # noqa: FBT001, FBT002  the protocol's
        return pd.DataFrame({"description": ["a", "b"], "quantity": [1, 2]}).__dataframe__(nan_as_null, allow_copy)


class Stream:
    """A table of a library that only offers Arrow's stream."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return pa.table({"description": ["a", "b"], "quantity": [1, 2]}).__arrow_c_stream__(requested_schema)


TABLES: dict[str, Callable[[], Any]] = {
    "interchange protocol": Interchange,
    "Arrow stream": Stream,
    "Arrow table": lambda: pa.table({"description": ["a", "b"], "quantity": [1, 2]}),
    "list of dicts": lambda: [{"description": "a", "quantity": 1}, {"description": "b", "quantity": 2}],
    "tuple of dicts": lambda: ({"description": "a", "quantity": 1}, {"description": "b", "quantity": "2"}),
}


@pytest.mark.parametrize("case", TABLES)
def test_tables_of_other_kinds_are_read(case: str) -> None:
    """Alone, and in a dict of tables; their rows are labelled from 0."""
    for source in (TABLES[case](), {"promo_numbers": TABLES[case]()}):
        loaded = load(source)
        assert loaded.frame.to_dict("list") == {"description": ["a", "b"], "quantity": ["1", "2"]}
        assert [loaded.labels.describe(row) for row in loaded.frame.index] == ["index 0", "index 1"]


def test_cells_of_an_arrow_table_are_exact() -> None:
    """Blank cells, nested values and numbers beside blank ones are read as those of pandas."""
    table = pa.table({"description": ["a", None], "quantity": [1, None], "my list": [["805"], []]})
    assert load(table).frame.to_numpy().tolist() == [["a", "1", '["805"]'], ["", "", "[]"]]
    big = pa.table({"description": [10**16 + 1, None]})
    assert load(big).frame["description"].tolist()[0].startswith("#DIGITS!")


def test_pyarrow_is_asked_for_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the command that installs it."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(errors.UnreadableSheetError, match=r"a Stream of test.*pip install 'invoca-bulk\[arrow\]'"):
        load(Stream())


UNREADABLE: dict[str, tuple[Any, str]] = {
    "a series": (pd.Series(["a"], name="description"), r"This is a Series.*\.to_frame\(\)"),
    "a series in a dict": ({"users": pd.Series(["a"])}, r"Sheet 'users': This is a Series.*\.to_frame\(\)"),
    "an empty list": ([], "type list.*a list of dicts"),
    "a list of texts": (["a"], "type list.*a list of dicts"),
    "a stream without columns": (pa.chunked_array([[1, 2]]), "The ChunkedArray cannot be read as a table"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_is_no_table_is_named(case: str) -> None:
    """The message says what it is and what to give instead."""
    source, message = UNREADABLE[case]
    with pytest.raises(errors.UnreadableSheetError, match=message):
        load(source)


def test_columns_of_one_level_are_plain_columns() -> None:
    """A MultiIndex with a single level is read; several are refused with a line that works."""
    frame = pd.DataFrame([["a", 1]], columns=pd.MultiIndex.from_arrays([["description", "quantity"]]))
    assert load(frame).frame.to_dict("list") == {"description": ["a"], "quantity": ["1"]}
    frame.columns = pd.MultiIndex.from_tuples([("description", ""), ("custom_data", "x")])
    with pytest.raises(errors.UnreadableSheetError, match="several levels") as caught:
        load(frame)
    exec(str(caught.value).partition(": ")[2], {"frame": frame})  # noqa: S102  the line that the message proposes
    assert list(load(frame).frame.columns) == ["description", "custom_data.x"]


COLUMNS = {
    "floats with a blank": (pd.Series([805.0, None]), ["805", ""]),
    "nullable ints": (pd.Series([805, None], dtype="Int64"), ["805", ""]),
    "nullable booleans": (pd.Series([True, None], dtype="boolean"), ["TRUE", ""]),
    "categories": (pd.Series(["a", None], dtype="category"), ["a", ""]),
    "durations": (pd.to_timedelta(pd.Series(["8h", None])), ["08:00", ""]),
    "texts": (pd.Series(["a", None], dtype="string"), ["a", ""]),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_every_column_type_is_read(case: str) -> None:
    """Columns of any pandas type are read like their values, and a blank cell is an empty text."""
    column, texts = COLUMNS[case]
    assert load(pd.DataFrame({"description": ["x", "x"], "quantity": column})).frame["quantity"].tolist() == texts


def test_rows_of_a_built_frame_are_numbered_as_excel_would() -> None:
    """Without an index named row, rows are numbered from 2, and blank rows are skipped and counted."""
    frame = pd.DataFrame({"description": ["a", None, "b"], "quantity": [1, None, 2]}, index=[7, 7, 7])
    loaded = load(frame)
    assert loaded.frame.index.tolist() == [2, 4]
    assert loaded.frame.index.name == "row"
    assert codes(loaded) == [(None, "blank_rows")]
    assert (loaded.source, loaded.path, loaded.resource.name) == ("", None, "promo_numbers")


def test_an_index_named_row_is_kept() -> None:
    """The analyst's row numbers are kept, in any order."""
    frame = pd.DataFrame({"description": ["a", "b"]}, index=pd.Index([9, 4], name="row"))
    assert load(frame).frame.index.tolist() == [9, 4]


def test_rows_that_share_a_number_are_renumbered() -> None:
    """In results, the rows of one quantity share a number; such results can still be read."""
    frame = pd.DataFrame({"description": ["a", "b", "c"]}, index=pd.Index([5, 5, 9], name="row"))
    assert load(frame).frame.index.tolist() == [2, 3, 4]


def self_containing(value: list[Any]) -> list[Any]:
    """The list, with itself as its last item."""
    value.append(value)
    return value


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


#: Values without a text form; writing some would take a day or all memory.
NO_TEXT: dict[str, Any] = {
    "a long number": (10**5_000, "a number of more than 1,000 digits"),
    "a long negative number": (-(10**5_000), "a number of more than 1,000 digits"),
    "a long decimal": (decimal.Decimal("1E+5000"), "a number of more than 1,000 digits"),
    "a huge decimal": (decimal.Decimal("1E+999999999"), "a number of more than 1,000 digits"),
    "a tiny decimal": (decimal.Decimal("1E-999999999"), "a number of more than 1,000 digits"),
    "a list within itself": (self_containing([805]), "a list that cannot be written as JSON"),
    "lists nested too deep": (nested(100_000), "a list that cannot be written as JSON"),
    "a list with a long number": ([10**5_000], "a list that cannot be written as JSON"),
    "a list of odd records": ([{(1, 2): 3}], "a list that cannot be written as JSON"),
    "an array without a dimension": (np.array(5), "a list that cannot be written as JSON"),
    "a numpy duration": (np.timedelta64(8, "h"), "a value of the type timedelta64"),
    "a closed file": (io.BytesIO(), "a value of the type BytesIO"),
}


@pytest.mark.parametrize("case", NO_TEXT)
def test_a_value_without_a_text_form_is_refused(case: str) -> None:
    """A value of a DataFrame either has a text form, or the message says what it is."""
    value, description = NO_TEXT[case]
    frame = pd.DataFrame({"description": pd.Series(["x", value], dtype=object)})
    with pytest.raises(
        errors.UnreadableSheetError, match=f"The column 'description' holds {description}, which has no text form"
    ):
        load(frame)


def test_a_zero_of_any_exponent_is_zero() -> None:
    """A decimal zero with a huge exponent is not too long."""
    frame = pd.DataFrame({"description": [decimal.Decimal("0E+999999999")]})
    assert load(frame).frame["description"].tolist() == ["0"]


BAD = {
    "rows of text": (pd.DataFrame({"description": ["a"]}, index=pd.Index(["x"], name="row")), "whole numbers"),
    "a row without a number": (
        pd.DataFrame({"description": ["a"]}, index=pd.Index([pd.NA], dtype="Int64", name="row")),
        "whole numbers",
    ),
    "a row number that is too large": (
        pd.DataFrame({"description": ["a"]}, index=pd.Index([2**63], dtype="uint64", name="row")),
        "whole numbers",
    ),
    "several levels": (pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])), "several levels"),
    "duplicate titles": (pd.DataFrame([[1, 2]], columns=["description", "description "]), "columns A and B"),
    "no known title": (pd.DataFrame({0: ["a"]}), "No header row"),
    "a value without a text": (
        pd.DataFrame({"description": [object()]}),
        "'description' holds a value of the type object",
    ),
    "a record": (pd.DataFrame({"description": [[{1, 2}]]}), "type set"),
    "empty": (pd.DataFrame(), "No header row"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_frame_that_cannot_be_used_is_refused(case: str) -> None:
    """A DataFrame without usable titles, rows or values is refused; the message names the problem."""
    frame, message = BAD[case]
    with pytest.raises(errors.UnreadableSheetError, match=message):
        load(frame)


# The round trip through attrs


@pytest.fixture
def frame(make: Any) -> pd.DataFrame:
    """Row 2 is fine, 3 has an error, 4 a date, 5 a formula, 6 is blank, 7 is hidden."""

    def edit(sheet: Any) -> None:
        sheet.row_dimensions[7].hidden = True

    rows = [["a", "b", 1], ["c", "#N/A", 1], [dt.date(2024, 5, 1), "d", 1], ["e", "=1+1", 1], [], ["f", "g", 1]]
    file = io.BytesIO(make.xlsx([HEADER, *rows], edit=edit))
    file.name = "May.xlsx"
    return sheets.read(file)


SHEET_ISSUES = [(None, "blank_rows"), (None, "hidden_rows")]
MARKED = ["#DATE! 2024-05-01", "#N/A", "#FORMULA! =1+1"]


def marked(frame: pd.DataFrame) -> list[str]:
    """The cells with markers, by columns."""
    return [text for title in frame.columns for text in frame[title] if text.startswith("#")]


def test_a_frame_that_was_read_keeps_its_read_issues(frame: pd.DataFrame) -> None:
    """Reading a file and loading its frame gives the same sheet as loading the file."""
    loaded = load(frame)
    pd.testing.assert_frame_equal(loaded.frame, frame)
    assert marked(frame) == MARKED
    assert codes(loaded) == SHEET_ISSUES
    assert (loaded.source, loaded.resource.name) == ("May.xlsx", "promo_numbers")


def test_attrs_are_plain_json(frame: pd.DataFrame) -> None:
    """The attrs survive formats that store them as JSON, such as Parquet."""
    frame.attrs = json.loads(json.dumps(frame.attrs))
    assert codes(load(frame)) == SHEET_ISSUES


STEPS: dict[str, Any] = {
    "nothing": (lambda frame: frame, MARKED),
    "the error corrected": (lambda frame: frame.replace("#N/A", "x"), [MARKED[0], MARKED[2]]),
    "the date corrected": (lambda frame: frame.replace(MARKED[0], "May 1"), MARKED[1:]),
    "the column dropped": (lambda frame: frame.drop(columns="media_type"), MARKED[:1]),
    "the column renamed": (lambda frame: frame.rename(columns={"description": "promo_type"}), MARKED),
    "row numbers lost": (lambda frame: frame.reset_index(drop=True), MARKED),
    "attrs lost": (lambda frame: pd.DataFrame(frame.to_dict("list")), MARKED),
    "through CSV": (lambda frame: sheets.read(frame.to_csv().encode()), MARKED),
    "joined with itself": (lambda frame: pd.concat([frame, frame]).drop_duplicates(), MARKED),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_marker_stays_until_its_cell_is_changed(frame: pd.DataFrame, step: str) -> None:
    """Cells keep their markers, each once, until they are edited."""
    change, expected = STEPS[step]
    assert marked(load(change(frame)).frame) == expected


JUNK: dict[str, Any] = {
    "text": "junk",
    "a list": [1],
    "nothing": None,
    "findings that are not JSON": {"findings": "x"},
    "findings of other shapes": {"findings": '[1, "x", [], [null, "blank_rows"]]'},
    "findings with an unknown code": {"findings": '[[null, "no_such_code", {}]]'},
    "a code that is a list": {"findings": "[[null, [], {}]]"},
    "findings without details": {"findings": '[[null, "blank_rows", {}]]'},
    "details that are a number": {"findings": '[[null, "blank_rows", 3]]'},
    "an infinite row number": {"findings": '[[Infinity, "blank_rows", {"count": 1}]]'},
    "findings nested too deep": {"findings": "[" * 100_000},
    "findings that are not a text": {"findings": 3},
    "unknown resource": {"resource": "campaigns"},
    "a resource that is a list": {"resource": ["promo_numbers"]},
    "a relative path": {"path": "x.csv"},
    "a path with a NUL": {"path": "/a\0b"},
    "a source that is a number": {"source": 3},
}


@pytest.mark.parametrize("case", JUNK)
def test_attrs_that_do_not_fit_are_ignored(case: str) -> None:
    """Invalid attrs are ignored."""
    frame = pd.DataFrame({"description": ["a"]})
    frame.attrs["invoca_bulk"] = JUNK[case]
    loaded = load(frame)
    assert (loaded.source, loaded.path, loaded.read_issues) == ("", None, ())


def test_row_issues_are_kept_with_the_row_numbers() -> None:
    """A frame keeps the issues of its rows as long as its row numbers are intact."""
    frame = sheets.read(b"description,media_type\nSmith, Jones,Online: Display\nplain,Online: Email\n")
    assert codes(load(frame)) == [(2, "row_too_long")]
    assert codes(load(frame.reset_index(drop=True))) == []
    assert codes(load(pd.concat([frame, frame]))) == []


def test_rows_without_numbers_are_numbered_by_position(frame: pd.DataFrame) -> None:
    """Rows that lost their numbers are numbered as in pandas' to_excel."""
    assert load(frame.reset_index(drop=True)).frame.index.tolist() == [2, 3, 4, 5, 6]


def test_a_frame_keeps_the_path_of_its_file(tmp_path: Any) -> None:
    """Later stages know which file a frame was read from, so that they do not overwrite it."""
    path = tmp_path / "May.csv"
    path.write_bytes(b"description,quantity\na,1\n")
    assert load(sheets.read(path).assign(quantity="2")).path == path


def test_the_resource_argument_takes_precedence() -> None:
    """The argument overrides the resource in the attrs."""
    frame = sheets.read(b"id_from_network,name,description\n1,2,3\n", resource="advertisers")
    assert load(frame).resource.name == "advertisers"
    assert load(frame, resource="promo_numbers").resource.name == "promo_numbers"


@pytest.mark.parametrize("title", ["oauth_refresh_token", "users.1.oauth_refresh_token", "Oauth Refresh Token 2"])
def test_secrets_are_dropped(title: str) -> None:
    """The cells of a column with the platform's secrets are read as blank, with a warning."""
    frame = pd.DataFrame([{"id_from_network": "A-1", "name": "X", title: "556588585858"}])
    (sheet,) = sheets.load(frame, resource="advertisers")
    assert "556588585858" not in sheet.frame.to_csv()
    assert "secret_dropped" in {issue.problem.code for issue in sheet.read_issues}


TITLES = st.sampled_from(["description", "media_type", " quantity", "campaign", "token", "oauth_token", ""])
TEXTS = st.sampled_from(["", " ", "a", " a ", "#DATE! 2026-05-01", "#ROW! x", "x" * 131_073]) | st.text(max_size=3)


@given(data=st.data(), titles=st.lists(TITLES, min_size=1, max_size=4), numbered=st.booleans())
def test_the_fast_path_for_text_frames_changes_nothing(data: st.DataObject, titles: list[str], numbered: bool) -> None:  # noqa: FBT001
    """A frame of texts gives the same sheet as the same frame of objects, which is converted."""
    rows = data.draw(st.lists(st.tuples(*(TEXTS for _ in titles)), max_size=4))
    index = pd.Index(range(5, 5 + len(rows)), name="row") if numbered else None
    text_frame = pd.DataFrame(rows, columns=titles, index=index, dtype="str")
    try:
        expected = load(text_frame.astype(object))
    except errors.UnreadableSheetError as error:
        with pytest.raises(errors.UnreadableSheetError, match=re.escape(str(error))):
            load(text_frame)
        return
    loaded = load(text_frame)
    pd.testing.assert_frame_equal(loaded.frame, expected.frame)
    assert loaded.read_issues == expected.read_issues
    assert loaded.frame.attrs == {}


def test_a_sheet_does_not_change_with_its_frame(frame: pd.DataFrame) -> None:
    """Editing a frame after it was loaded does not change the sheet."""
    loaded = load(frame)
    expected = loaded.frame.copy()
    frame.iloc[0, 0] = "changed"
    frame.columns = [f"new {title}" for title in frame.columns]
    pd.testing.assert_frame_equal(loaded.frame, expected)
