"""CSV and TSV from any program: encoding, delimiter, line ends and quotes."""

from __future__ import annotations

import contextlib
import csv
import io
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from invoca_bulk.errors import UnreadableSheetError
from invoca_bulk.schema import Resource
from invoca_bulk.schema.issue_catalog import Problem
from invoca_bulk.sheets import header_detection
from invoca_bulk.sheets.csv_safety import unescape_formula
from invoca_bulk.sheets.model import Grid

DELIMITERS = (",", ";", "\t", "|")
#: How much of the file is searched for the header.
_HEADER_SAMPLE_CHARACTERS = 1 << 20
_BOM_ENCODINGS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
#: How web pages and XML documents start that are named like a spreadsheet.
_MARKUP_START = re.compile(r"\s*(?:<(?:!doctype|!--|\?xml|[a-z]+[\s>/:])|mime-version:)", re.IGNORECASE)
_BINARY_SIGNATURES = (b"%PDF", b"{\\rtf")
#: A first line by which Excel names the delimiter; not a row.
_SEP_LINE = re.compile(r'"?sep=(.)"?(?:\r\n|\r|\n|\Z)', re.IGNORECASE)
#: Appended as a last line: if it is not a row afterwards, a quote is still open. The text has no NUL (see `read_grid`).
_END_SENTINEL = "\0"
#: Matches where a file may hold escaped formulas, as in this package's own CSV files.
_ESCAPED_FORMULA = re.compile(r"'[=+\-@\t\r]")
#: How many distinct texts are remembered.
_MAX_INTERNED_TEXTS = 100_000
_FIELD_SIZE_LIMIT = 2**31 - 1
_field_size_lock = threading.Lock()


def read_grid(content: bytes | str, candidates: Sequence[Resource]) -> Grid:
    """The records of a CSV or TSV file, numbered as a spreadsheet program shows them."""
    text = content.removeprefix("\ufeff") if isinstance(content, str) else decode(content)
    if "\0" in text:
        raise _not_a_spreadsheet_error()
    if _MARKUP_START.match(text):
        raise UnreadableSheetError(
            "The file is a web page or an XML document, not a spreadsheet, despite its name. "
            "Open it in Excel and save it as an Excel workbook (.xlsx)."
        )
    if sep := _SEP_LINE.match(text):
        return _parse_records(text[sep.end() :], sep[1])
    sample = text[:_HEADER_SAMPLE_CHARACTERS]
    return _parse_records(text, max(DELIMITERS, key=lambda char: _score_delimiter(sample, char, candidates)))


def decode(data: bytes) -> str:
    """The text of a file: by its byte order mark, else UTF-16 by its zero bytes, else UTF-8, else Windows-1252."""
    if data.startswith(_BINARY_SIGNATURES):
        raise _not_a_spreadsheet_error()
    for encoding in _candidate_encodings(data):
        with contextlib.suppress(UnicodeDecodeError):
            return data.decode(encoding)
    raise UnreadableSheetError(
        "The file has an unknown text encoding. Save it in Excel as 'CSV UTF-8' or as a workbook (.xlsx)."
    )


def _candidate_encodings(data: bytes) -> tuple[str, ...]:
    for bom, encoding in _BOM_ENCODINGS:
        if data.startswith(bom):
            return (encoding,)
    even, odd = data[:256:2].count(0), data[1:256:2].count(0)
    if odd and not even:
        return ("utf-16-le",)
    if even and not odd:
        return ("utf-16-be",)
    if even:
        raise _not_a_spreadsheet_error()
    return ("utf-8", "cp1252")


def _not_a_spreadsheet_error() -> UnreadableSheetError:
    return UnreadableSheetError(
        "The file is not a spreadsheet. Give an Excel workbook (.xlsx, .xlsm, .xlsb, .xls), "
        "an OpenDocument spreadsheet (.ods), CSV or TSV."
    )


def _score_delimiter(sample: str, delimiter: str, candidates: Sequence[Resource]) -> tuple[int, int]:
    """With the right delimiter, the header has the most known columns, then the most cells."""
    with _unlimited_field_size():
        rows = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
        header = header_detection.find_header_row(rows, candidates)
    return (header.known_count, len(header.titles)) if header else (0, 0)


def _parse_records(text: str, delimiter: str) -> Grid:
    data = io.BytesIO(text.encode("utf-8", "surrogatepass"))  # a StringIO would need four bytes a character
    lines = io.TextIOWrapper(data, "utf-8", "surrogatepass", newline="")  # the original line ends
    with _unlimited_field_size():
        rows = list(_intern_texts(csv.reader(chain(lines, [_END_SENTINEL]), delimiter=delimiter)))
    problems = {}
    if rows[-1] == [_END_SENTINEL]:
        rows.pop()
    else:
        rows[-1][-1] = rows[-1][-1].removesuffix(_END_SENTINEL)
        problems[len(rows)] = Problem(code="quote_unclosed")
    if _ESCAPED_FORMULA.search(text):
        rows = [[unescape_formula(cell) for cell in row] for row in rows]
    return Grid(name="", rows=rows, row_problems=problems)


def _intern_texts(rows: Iterable[list[str]]) -> Iterator[list[str]]:
    """The rows, with equal texts as one object: this halves the memory and makes later comparisons fast.

    The memory of texts is cleared when it is full: many texts that occur once would slow the lookups.
    """
    texts: dict[str, str] = {}
    for row in rows:
        yield list(map(texts.setdefault, row, row))
        if len(texts) > _MAX_INTERNED_TEXTS:
            texts.clear()


@contextlib.contextmanager
def _unlimited_field_size() -> Iterator[None]:
    """Allow cells of any length: `sheet_builder` reports cells that are too long, csv would raise.

    csv's limit is process-wide, so it is restored, and one file is read at a time.
    """
    with _field_size_lock:
        old_limit = csv.field_size_limit(_FIELD_SIZE_LIMIT)
        try:
            yield
        finally:
            csv.field_size_limit(old_limit)
