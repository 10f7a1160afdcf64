from __future__ import annotations

import datetime as dt
import decimal
import enum
import io
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from invoca_bulk import errors, sheets

HEADER = ["description", "media_type", "quantity"]


def codes(loaded: sheets.Sheet) -> list[tuple[int | None, str | None, str]]:
    return [(one.row, one.header, one.problem.code) for one in loaded.findings]


class Media(enum.StrEnum):
    EMAIL = "Online: Email"


VALUES = {
    "text": (" a ", " a ", None),
    "numpy text": (np.str_("a"), "a", None),
    "enum": (Media.EMAIL, "Online: Email", None),
    "int": (8051234567, "8051234567", None),
    "numpy int": (np.int64(5), "5", None),
    "big int, exact": (1234567890123456, "1234567890123456", None),
    "big int, zeros at the end": (1234567890123450, "1234567890123450", "cell_digits_lost"),
    "float": (8051234567.0, "8051234567", None),
    "numpy float": (np.float32(0.5), "0.5", None),
    "big float": (1e15, "1000000000000000", "cell_digits_lost"),
    "infinity": (float("inf"), "inf", None),
    "decimal": (decimal.Decimal("8051234567.00"), "8051234567", None),
    "decimal fraction": (decimal.Decimal("0.10"), "0.10", None),
    "big decimal": (decimal.Decimal("1E+20"), "100000000000000000000", "cell_digits_lost"),
    "true": (True, "TRUE", None),
    "numpy false": (np.bool_(False), "FALSE", None),  # noqa: FBT003  a cell
    "none": (None, "", None),
    "nan": (float("nan"), "", None),
    "decimal nan": (decimal.Decimal("nan"), "", None),
    "NaT": (pd.NaT, "", None),
    "NA": (pd.NA, "", None),
    "timestamp": (pd.Timestamp("2024-03-04"), "2024-03-04", "cell_date"),
    "timestamp with a time": (pd.Timestamp("2024-03-04 05:06:07.9"), "2024-03-04 05:06:07", "cell_date"),
    "date": (dt.date(2024, 3, 4), "2024-03-04", "cell_date"),
    "time": (dt.time(8, 30), "08:30", None),
    "just before a quarter": (dt.time(17, 44, 59, 999999), "17:45", None),
    "timedelta": (pd.Timedelta(hours=8), "08:00", None),
    "negative timedelta": (dt.timedelta(minutes=-90), "-01:30", None),
    "list": (["805", "212"], '["805", "212"]', None),
    "tuple": ((805, "é"), '[805, "é"]', None),
    "array": (np.array([805, 212]), "[805, 212]", None),
    "list of numpy": ([np.int64(805)], "[805]", None),
}


@pytest.mark.parametrize("case", VALUES)
def test_every_value_of_an_analyst_becomes_text(case: str) -> None:
    """Each type that a DataFrame can hold has one text form, alone in its column and among texts."""
    value, text, code = VALUES[case]
    frame = pd.DataFrame({"description": ["x", "x"], "media_type": pd.Series(["x", value], dtype=object)})
    loaded = sheets.load(frame)
    assert loaded.frame["media_type"].tolist() == ["x", text]
    assert codes(loaded) == ([(3, "media_type", code)] if code else [])


COLUMNS = {
    "floats with a blank": (pd.Series([805.0, None]), ["805", ""]),
    "nullable ints": (pd.Series([805, None], dtype="Int64"), ["805", ""]),
    "nullable booleans": (pd.Series([True, None], dtype="boolean"), ["TRUE", ""]),
    "categories": (pd.Series(["a", None], dtype="category"), ["a", ""]),
    "durations": (pd.to_timedelta(pd.Series(["8h", None])), ["08:00", ""]),
    "texts": (pd.Series(["a", None], dtype="string"), ["a", ""]),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_every_kind_of_column_is_read(case: str) -> None:
    """The column types of pandas are read like the values that they hold; one blank cell changes nothing."""
    column, texts = COLUMNS[case]
    assert (
        sheets.load(pd.DataFrame({"description": ["x", "x"], "quantity": column})).frame["quantity"].tolist() == texts
    )


def test_a_frame_of_ones_own_has_the_rows_that_excel_would_show() -> None:
    """Without an index named row the rows are numbered from 2, and blank ones are skipped and counted."""
    frame = pd.DataFrame({"description": ["a", None, "b"], "quantity": [1, None, 2]}, index=[7, 7, 7])
    loaded = sheets.load(frame)
    assert loaded.frame.index.tolist() == [2, 4]
    assert loaded.frame.index.name == "row"
    assert codes(loaded) == [(None, None, "blank_rows")]
    assert (loaded.source, loaded.resource.name) == ("", "promo_numbers")


def test_an_index_named_row_is_kept() -> None:
    """Row numbers of the analyst's own are kept, in any order."""
    frame = pd.DataFrame({"description": ["a", "b"]}, index=pd.Index([9, 4], name="row"))
    assert sheets.load(frame).frame.index.tolist() == [9, 4]


BAD = {
    "duplicate rows": (
        pd.DataFrame({"description": ["a", "b"]}, index=pd.Index([2, 2], name="row")),
        "holds 2 more than",
    ),
    "rows of text": (pd.DataFrame({"description": ["a"]}, index=pd.Index(["x"], name="row")), "whole numbers"),
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
    """A DataFrame without usable titles, rows or values is refused with one sentence and what to do."""
    frame, message = BAD[case]
    with pytest.raises(errors.SheetUnreadable, match=message):
        sheets.load(frame)


# The round trip through attrs


@pytest.fixture
def frame(make: Any) -> pd.DataFrame:
    """Row 2 is fine, 3 has an error, 4 a date, 5 a formula, 7 is hidden, 6 is blank."""

    def edit(sheet: Any) -> None:
        sheet.row_dimensions[7].hidden = True

    rows = [["a", "b", 1], ["c", "#N/A", 1], [dt.date(2024, 5, 1), "d", 1], ["e", "=1+1", 1], [], ["f", "g", 1]]
    file = io.BytesIO(make.xlsx([HEADER, *rows], edit=edit))
    file.name = "May.xlsx"
    return sheets.read(file)


SHEET_FINDINGS = [(None, None, "blank_rows"), (None, None, "hidden_rows")]
CELL_FINDINGS = [(4, "description", "cell_date"), (3, "media_type", "cell_error"), (5, "media_type", "cell_formula")]


def test_a_frame_that_was_read_carries_what_was_found(frame: pd.DataFrame) -> None:
    """Reading a file and loading its frame gives the same sheet as loading the file."""
    loaded = sheets.load(frame)
    pd.testing.assert_frame_equal(loaded.frame, frame)
    assert codes(loaded) == [*CELL_FINDINGS, *SHEET_FINDINGS]
    assert (loaded.source, loaded.resource.name) == ("May.xlsx", "promo_numbers")
    assert loaded.findings[1].problem.message == "The cell holds the spreadsheet error #N/A."


def test_attrs_are_plain_json(frame: pd.DataFrame) -> None:
    """What travels in attrs survives formats that keep attrs as JSON, such as Parquet."""
    frame.attrs = json.loads(json.dumps(frame.attrs))
    assert codes(sheets.load(frame)) == [*CELL_FINDINGS, *SHEET_FINDINGS]


STEPS: dict[str, Any] = {
    "the error corrected": (lambda one: one.replace("#N/A", "x"), [CELL_FINDINGS[0], CELL_FINDINGS[2]]),
    "its row dropped": (lambda one: one.drop(index=3), [CELL_FINDINGS[0], CELL_FINDINGS[2]]),
    "other rows dropped": (lambda one: one.loc[[4, 2]], CELL_FINDINGS[:1]),
    "sorted": (lambda one: one.sort_values("description", ascending=False), CELL_FINDINGS),
    "a column added": (lambda one: one.assign(promo_type="Local"), CELL_FINDINGS),
    "the column dropped": (lambda one: one.drop(columns="media_type"), CELL_FINDINGS[:1]),
    "the column renamed": (
        lambda one: one.rename(columns={"description": "notes"}),
        [(4, "notes", "cell_date"), *CELL_FINDINGS[1:]],
    ),
    "copied": (lambda one: one.copy(), CELL_FINDINGS),
    "row numbers taken out and put back": (lambda one: one.reset_index().set_index("row"), CELL_FINDINGS),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_finding_goes_when_its_cell_is_changed(frame: pd.DataFrame, step: str) -> None:
    """After work in pandas exactly those findings are left whose cell still holds what was found."""
    change, expected = STEPS[step]
    assert codes(sheets.load(change(frame))) == [*expected, *SHEET_FINDINGS]


ROW_STEPS: dict[str, Any] = {
    "nothing changed": (lambda one: one, True),
    "a column dropped": (lambda one: one.drop(columns="media_type"), True),
    "a column renamed": (lambda one: one.rename(columns={"media_type": "media"}), True),
    "another row changed": (lambda one: one.replace("plain", "x"), True),
    "the row corrected": (lambda one: one.replace(" Jones", "Online: Display"), False),
    "the row dropped": (lambda one: one.drop(index=2), False),
}


@pytest.mark.parametrize("step", ROW_STEPS)
def test_a_shifted_row_stays_an_error_until_it_is_changed(step: str) -> None:
    """A row that was too long is an error until one of its cells is changed or it is dropped."""
    change, stays = ROW_STEPS[step]
    read = sheets.read(b"description,media_type\nSmith, Jones,Online: Display\nplain,Online: Email\n")
    assert codes(sheets.load(change(read))) == ([(2, None, "row_too_long")] if stays else [])


def test_lost_row_numbers_are_refused_where_they_are_needed(frame: pd.DataFrame) -> None:
    """Findings that can no longer be placed are not forgotten; a clean sheet needs no row numbers."""
    with pytest.raises(errors.SheetUnreadable, match="lost the row numbers"):
        sheets.load(frame.reset_index(drop=True))
    clean = sheets.read(b"description,quantity\na,1\n").reset_index(drop=True)
    assert sheets.load(clean).frame.index.tolist() == [2]


def test_a_resource_can_be_given_anew() -> None:
    """The argument goes before what was read."""
    frame = sheets.read(b"id_from_network,name,description\n1,2,3\n", resource="advertisers")
    assert sheets.load(frame).resource.name == "advertisers"
    assert sheets.load(frame, resource="promo_numbers").resource.name == "promo_numbers"
