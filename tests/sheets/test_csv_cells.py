from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from invoca_bulk import sheets
from invoca_bulk.sheets.csv_safety import escape_formula

HEADER = "id_from_network,name,notes\n"


def load(text: str) -> sheets.Sheet:
    (sheet,) = sheets.load(text.encode())
    return sheet


def problems(loaded: sheets.Sheet) -> list[tuple[Any, ...]]:
    return [(issue.row, issue.column, issue.problem.code) for issue in loaded.read_issues]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        pytest.param('="00123"', "00123", id="formula"),
        pytest.param('"=""00123"""', "00123", id="quoted-formula"),
        pytest.param('="a ""b"""', 'a "b"', id="formula-with-quotes"),
        pytest.param("'00042", "00042", id="apostrophe"),
        pytest.param("'805 555-0100", "805 555-0100", id="apostrophe-phone"),
    ],
)
def test_what_keeps_zeros_comes_off_with_a_warning(cell: str, text: str) -> None:
    """`="…"` and an apostrophe before a number come off, and the warning shows both."""
    loaded = load(f"{HEADER}{cell},Ann,x\n")
    assert loaded.frame["id_from_network"].tolist() == [text]
    assert problems(loaded) == [(2, "id_from_network", "cell_unwrapped")]
    assert loaded.read_issues[0].problem.message.endswith(f" is read as {text!r}.")


@pytest.mark.parametrize("text", ["'tis", "'90s music", "a=1", "it's", "-5", "+18055550100", "'A-1", "'1'"])
def test_other_texts_stay(text: str) -> None:
    """An apostrophe that is no mark of a number is part of the text."""
    loaded = load(f"{HEADER}A-1,{text},x\n")
    assert loaded.frame["name"].tolist() == [text]
    assert problems(loaded) == []


@pytest.mark.parametrize("text", ["=A1", '="00123"', "'00042", "''00042", "'=1", "@x", "'0"])
def test_files_of_this_package_are_read_as_they_were_written(text: str) -> None:
    """What the writer has escaped is read back exactly, and silently."""
    written = escape_formula(text).replace('"', '""')
    loaded = load(f'{HEADER}"{written}",Ann,x\n')
    assert loaded.frame["id_from_network"].tolist() == [text]
    assert problems(loaded) == []


def test_a_formula_is_an_error_in_columns_that_are_sent() -> None:
    """A formula gets the marker of one without a result; in an unknown column it stays as it is."""
    loaded = load(f'{HEADER}=A1,=CONCATENATE("a";"b"),=B1\n')
    assert loaded.frame.iloc[0].tolist() == ["#FORMULA! =A1", '#FORMULA! =CONCATENATE("a";"b")', "=B1"]


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        pytest.param('A-1, "C-1",x\n', [["A-1", "C-1", "x"]], id="space"),
        pytest.param('A-1,  "Smith, ""Jr"""  , x\n', [["A-1", 'Smith, "Jr"  ', "x"]], id="delimiter-inside"),
        pytest.param('A-1, "two\nlines", x\n', [["A-1", "two\nlines", "x"]], id="line-break-inside"),
    ],
)
def test_quotes_after_a_space_come_off(body: str, rows: list[list[str]]) -> None:
    """Spaces before quotes are left out, with one warning that names the first row."""
    loaded = load(f"{HEADER}A-0,plain,y\n{body}")
    assert loaded.frame.to_numpy().tolist() == [["A-0", "plain", "y"], *rows]
    assert problems(loaded) == [(None, "", "quotes_after_space")]
    assert "in row 3" in loaded.read_issues[0].problem.message


@pytest.mark.parametrize(
    "body",
    [
        pytest.param('A-1,"he said, ""no""",x\n', id="quotes-within-quotes"),
        pytest.param('A-1,the "best" one,x\n', id="quotes-within-a-text"),
        pytest.param('A-1, "best" one,x\n', id="a-quoted-word-first"),
        pytest.param('A-1, 5",x\n', id="inches"),
    ],
)
def test_other_quotes_stay(body: str) -> None:
    """Quotes that are not around the whole cell are part of the text."""
    loaded = load(f"{HEADER}{body}")
    assert '"' in loaded.frame["name"].iloc[0]
    assert problems(loaded) == []


@pytest.mark.parametrize("header", [HEADER, HEADER.replace(",", ";"), "'id_from_network','name','notes'\n"])
def test_single_quotes_around_every_cell_come_off(header: str) -> None:
    """Single quotes are quotes if they are around every text; numbers may be without."""
    delimiter = ";" if ";" in header else ","
    body = f"'A-1',#'Smith{delimiter} O''Hara',#7\n'A-2',#'b',#\n".replace(",#", delimiter)
    loaded = load(header + body)
    assert loaded.frame.to_numpy().tolist() == [["A-1", f"Smith{delimiter} O'Hara", "7"], ["A-2", "b", ""]]
    assert [code for _, _, code in problems(loaded)] == ["quotes_single"]


def test_single_quotes_around_some_cells_stay() -> None:
    """A text that somebody has put into single quotes keeps them."""
    loaded = load(f"{HEADER}A-1,'best',x\nA-2,plain,'y'\n")
    assert loaded.frame["name"].tolist() == ["'best'", "plain"]
    assert problems(loaded) == []


@pytest.mark.parametrize("end", ["\x1a", "\x1a\r\n", "\x1a\x1a\x1a"])
def test_the_end_of_an_old_file_is_no_row(end: str) -> None:
    """Ctrl-Z after the last row is left out."""
    pd.testing.assert_frame_equal(load(f"{HEADER}A-1,Ann,x\r\n{end}").frame, load(f"{HEADER}A-1,Ann,x\r\n").frame)


@pytest.mark.parametrize("blank", ["\u200b", "\u3164", "\u2800,\ufeff", "\u00a0", "\u2060\u00ad"])
def test_a_row_of_invisible_characters_is_blank(blank: str) -> None:
    """A row without anything visible is left out."""
    loaded = load(f"{HEADER}{blank},\nA-1,Ann,x\n")
    assert loaded.frame.index.tolist() == [3]
    assert problems(loaded) == [(None, "", "blank_rows")]


def test_titles_match_without_invisible_characters() -> None:
    """Characters at the ends of a title come off with a warning; a title matches in spite of those inside."""
    loaded = load("\u200bid_from_network\u00a0,na\u200bme\nA-1,Ann\n")
    assert loaded.frame.columns.tolist() == ["id_from_network", "na\u200bme"]
    assert problems(loaded) == [(None, "id_from_network", "cell_cleaned")]
    assert loaded.resource.name == "advertisers"
