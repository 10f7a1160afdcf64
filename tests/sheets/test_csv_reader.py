from __future__ import annotations

import csv
import threading
from typing import Any

import pytest

from invoca_bulk import errors, sheets


def load(source: Any, **options: Any) -> sheets.Sheet:
    (sheet,) = sheets.load(source, **options)
    return sheet


def issue_codes(loaded: sheets.Sheet) -> list[tuple[int | None, str]]:
    return [(issue.row, issue.problem.code) for issue in loaded.read_issues]


def test_a_row_with_more_cells_than_the_header_is_marked_and_shifts_nothing() -> None:
    """A row with more cells than the header keeps the first ones in their columns, and gets a marker."""
    loaded = load(b"description,media_type\nSmith, Jones,Online: Display\nplain,Online: Email\n")
    assert loaded.frame.to_numpy().tolist() == [["#ROW! Smith", " Jones"], ["plain", "Online: Email"]]
    assert issue_codes(loaded) == [(2, "row_too_long")]
    assert loaded.read_issues[0].problem.message == "The row has 3 cells, but the header has 2."


def test_a_row_marker_is_in_the_first_column_that_is_sent() -> None:
    """The marker is never in an unknown column or a result column, and also in a blank cell."""
    loaded = load(b"notes,result_status,description,media_type\nn,failed,a,b,c\n,,,,x\n")
    assert loaded.frame.to_numpy().tolist() == [["n", "failed", "#ROW! a", "b"], ["", "", "#ROW!", ""]]
    assert issue_codes(loaded) == [(2, "row_too_long"), (3, "row_too_long")]


@pytest.mark.parametrize("row", ["a,b,,,", "a,b"])
def test_blank_cells_beyond_the_header_are_ignored(row: str) -> None:
    """Extra delimiters at the end of a row are not an error."""
    loaded = load(f"description,media_type\n{row}\n".encode())
    assert loaded.frame.to_numpy().tolist() == [["a", "b"]]
    assert not loaded.read_issues


def test_a_short_row_is_filled_with_blanks() -> None:
    """A row shorter than the header has blank cells at its end."""
    loaded = load(b"description,media_type,promo_type\na\nb,c\n")
    assert loaded.frame.to_numpy().tolist() == [["a", "", ""], ["b", "c", ""]]


def test_row_numbers_are_those_of_the_spreadsheet() -> None:
    """Blank lines count, a quoted line break does not start a row, and Excel's sep line is not a row."""
    loaded = load(b'sep=;\r\n\r\ndescription;media_type\r\n"a\r\nb";x\r\n\r\n;;\r\nc;y\r\n\r\n')
    assert loaded.frame.index.tolist() == [3, 6]
    assert loaded.frame["description"].tolist() == ["a\r\nb", "c"]
    assert loaded.read_issues[0].problem.details == {"count": 2}


def test_the_sep_line_names_the_delimiter() -> None:
    """The delimiter in Excel's sep line is used, even an unusual one."""
    loaded = load(b"sep=^\ndescription^media_type\na,b^c;d\n")
    assert loaded.frame.to_numpy().tolist() == [["a,b", "c;d"]]


def test_the_delimiter_with_most_known_columns_is_used() -> None:
    """Commas in a title do not make the comma the delimiter."""
    loaded = load(b"description;media_type;notes, remarks, and, so, on\na;b;c\n")
    assert loaded.frame.columns.tolist() == ["description", "media_type", "notes, remarks, and, so, on"]


@pytest.mark.parametrize("start", list("=+-@\t\r"))
def test_escaped_formulas_are_unescaped(start: str) -> None:
    """The apostrophe that this package's CSV files put before a formula is not part of the text."""
    loaded = load(f"""description,media_type\n"'{start}1","'plain"\n""".encode())
    assert loaded.frame.iloc[0].tolist() == [f"{start}1", "'plain"]


def test_titles_above_the_header_are_skipped() -> None:
    """The header is the row with the most known titles, not the first one."""
    loaded = load(b"Requests for May\n\nName,,\ndescription,media_type,quantity\na,b,1\n")
    assert loaded.frame.columns.tolist() == ["description", "media_type", "quantity"]
    assert loaded.frame.index.tolist() == [5]
    assert not loaded.read_issues


def test_a_header_alone_is_a_sheet_without_rows() -> None:
    """A file with a header and nothing else has no rows."""
    loaded = load(b"description,media_type")
    assert loaded.frame.shape == (0, 2)
    assert str(loaded.frame.index.dtype) == "int64"


def test_a_cell_over_the_limit_is_cut_and_marked() -> None:
    """A cell of more than 131,072 characters is cut and marked, and the other rows are read."""
    loaded = load(b"description,media_type\n" + b"x" * 131_073 + b",b\n" + b"y" * 131_072 + b",c\n")
    assert loaded.frame["description"].tolist() == ["#TOO_LONG! " + "x" * 131_061, "y" * 131_072]
    assert not loaded.read_issues


@pytest.mark.parametrize("title", ["notes", "result_error"])
def test_a_long_cell_that_is_not_sent_stays_whole(title: str) -> None:
    """Unknown columns and result columns are not changed."""
    loaded = load(f"description,media_type,{title}\na,b,{'x' * 131_073}\n".encode())
    assert loaded.frame[title].str.len().tolist() == [131_073]


@pytest.mark.parametrize("length", [1, 100_000])
def test_an_unclosed_quote_is_an_error_of_its_row(length: int) -> None:
    """A quote that is never closed swallows the rows below it, and its row is marked."""
    loaded = load(b'description,media_type\na,b\n"c,d\n' + b"e,f\n" * length)
    assert issue_codes(loaded) == [(3, "quote_unclosed")]
    assert loaded.frame.index.tolist() == [2, 3]
    assert loaded.frame["description"].iloc[1].startswith("#ROW! c,d\n")


def test_an_unclosed_quote_in_the_header_is_refused() -> None:
    """A header that swallows its rows is an error."""
    with pytest.raises(errors.UnreadableSheetError, match=r"Row 1, the header: A quote opens"):
        load(b'description,media_type,"notes\na,b,c\n')


def test_the_limit_of_the_csv_module_is_restored() -> None:
    """Reading restores the process-wide limit of csv, even if files are read at the same time."""
    old_limit = csv.field_size_limit()
    content = b"description,media_type\n" + b"x" * 200_000 + b",b\n"
    starts: list[Any] = []
    threads = [threading.Thread(target=lambda: starts.append(load(content).frame.iloc[0, 0][:12])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert starts == ["#TOO_LONG! x"] * 8
    assert csv.field_size_limit() == old_limit


@pytest.mark.parametrize("sign", ['"', "'", " ", ""])
def test_a_sep_line_without_a_delimiter_is_a_row_above_the_header(sign: str) -> None:
    """Quotes, spaces and ends of lines are no delimiters; newer versions of Python raise an error for some of them."""
    loaded = load(f"sep={sign}\r\ndescription,media_type\r\na,b\r\n".encode())
    assert loaded.frame.to_numpy().tolist() == [["a", "b"]]
    assert list(loaded.frame.index) == [3]
