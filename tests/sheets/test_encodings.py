from __future__ import annotations

import io
from typing import Any

import pytest

import invoca_bulk as ib
from invoca_bulk import errors, sheets
from invoca_bulk.cli.wording import command_words
from invoca_bulk.web.wording import page_words
from invoca_bulk.wording import word

HEADER = "description,media_type\n"


def load(source: Any, **options: Any) -> sheets.Sheet:
    (sheet,) = sheets.load(source, **options)
    return sheet


def refused(source: Any, **options: Any) -> str:
    with pytest.raises(errors.UserError) as caught:
        load(source, **options)
    return word(str(caught.value), wording=command_words)


def test_windows_1252_is_a_warning_that_shows_an_example_and_other_readings() -> None:
    """A file that is not UTF-8 is read as Windows-1252; the warning shows a text so and in other encodings."""
    loaded = load(f"{HEADER}plain,a\nCafé Zürich,b\n".encode("mac_roman").replace(b"\n", b"\r"))
    assert loaded.frame["description"].tolist() == ["plain", "CafŽ ZŸrich"]
    (issue,) = loaded.read_issues
    assert (issue.row, issue.problem.code) == (None, "encoding_assumed")
    assert "read as Windows-1252, for example 'CafŽ ZŸrich' in row 3" in issue.problem.message
    assert "'Café Zürich' if it were mac_roman" in issue.problem.message
    assert "use --encoding." in word(issue.problem.fix, wording=command_words)
    page_fix = word(issue.problem.fix, wording=page_words)
    assert "CSV UTF-8 or .xlsx" in page_fix
    assert "--" not in page_fix


@pytest.mark.parametrize("name", ["macroman", "mac_roman", "cp1251", "cp437", "latin-1", "utf-16-le", "utf-8"])
def test_a_named_encoding_is_used_without_a_warning(name: str) -> None:
    """The named encoding is used, and nothing is said."""
    text = "ж" if name == "cp1251" else "é"
    loaded = load(f"{HEADER}{text},b\n".encode(name), encoding=name)
    assert loaded.frame["description"].tolist() == [text]
    assert not loaded.read_issues


@pytest.mark.parametrize("encoding", [None, "cp1252"])
def test_a_byte_order_mark_decides(encoding: str | None) -> None:
    """A file that names its encoding itself is read in that one."""
    assert load(f"{HEADER}é,b\n".encode("utf-8-sig"), encoding=encoding).frame["description"].tolist() == ["é"]


@pytest.mark.parametrize("name", ["cp9999", "base64", "a\0b", "no such"])
def test_an_unknown_encoding_is_refused(name: str) -> None:
    """A name that Python does not know, or that is no text encoding, is refused with examples of names."""
    assert refused(f"{HEADER}a,b\n".encode(), encoding=name).startswith(f"Unknown encoding {name!r}. Use a name")


def test_a_workbook_takes_no_encoding(make: Any) -> None:
    """A workbook says itself how its texts are encoded."""
    assert "Leave out --encoding." in refused(make.xlsx([["description", "media_type"]]), encoding="cp437")


def test_a_mixed_file_is_refused_with_both_rows() -> None:
    """A file that is UTF-8 but for some bytes is refused; the rows are those that the spreadsheet shows."""
    content = f'sep=,\n{HEADER}"two\nlines é",a\n'.encode() + b"\nCaf\xe9,b\n"
    message = refused(content)
    assert "mixes two text encodings: it is not UTF-8 at row 4, 'Caf\\xe9'" in message
    assert "but it is UTF-8 at row 2, 'two\nlines é'" in message


@pytest.mark.parametrize(
    ("content", "encoding", "expected"),
    [
        pytest.param(b"Caf\x8f,b\n", None, "neither UTF-8 nor Windows-1252 at row 2, 'Caf\\x8f'", id="macroman"),
        pytest.param(b"Caf\xe9,b\n", "utf-8", "it is not utf-8 at row 2, 'Caf\\xe9'", id="named"),
        pytest.param("中文公司,b\n".encode("gbk"), None, "it is not UTF-8 at row 2", id="chinese"),
    ],
)
def test_bytes_that_fit_no_encoding_are_refused(content: bytes, encoding: str | None, expected: str) -> None:
    """The message names the row and the text around, and how it would read in other encodings."""
    message = refused(HEADER.encode() + content, encoding=encoding)
    assert expected in message
    assert "if it were mac_roman" in message
    assert "CSV UTF-8" in message


def test_validate_takes_the_encoding() -> None:
    """`encoding` goes from the door to the file."""
    source = io.BytesIO("id_from_network,name\nA-1,Café\n".encode("mac_roman"))
    report = ib.validate(source, encoding="macroman", allow_no_sites=True)
    assert report.sheet["name"].tolist() == ["Café"]  # type: ignore[union-attr]
    assert report.issues.empty
