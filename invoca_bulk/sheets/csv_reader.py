"""CSV and TSV from any program: delimiter, line ends and quotes."""

from __future__ import annotations

import contextlib
import csv
import io
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from invoca_bulk.schema import Resource
from invoca_bulk.schema.issue_catalog import Problem
from invoca_bulk.sheets import header_detection
from invoca_bulk.sheets.csv_cells import may_need_repair, repair_cells
from invoca_bulk.sheets.encodings import check_decoded_rows, decode
from invoca_bulk.sheets.foreign_formats import not_a_spreadsheet_error
from invoca_bulk.sheets.model import Grid

DELIMITERS = (",", ";", "\t", "|")
#: How much of the file is searched for the header.
_HEADER_SAMPLE_CHARACTERS = 1 << 20
#: A first line by which Excel names the delimiter; not a row. Quotes, spaces and ends of lines are no delimiters.
_SEP_LINE = re.compile(r'"?sep=(\t|[^\s"\'])"?(?:\r\n|\r|\n|\Z)', re.IGNORECASE)
#: What programs of DOS wrote after the last row, and where it is looked for.
_CTRL_Z, _LAST_CHARACTERS = "\x1a", 1_000
_END_OF_FILE = re.compile(r"\x1a+\Z|(?<=[\r\n])\x1a+[\r\n]*\Z")
#: Appended as a last line: if it is not a row afterwards, a quote is still open. The text has no NUL (see `read_grid`).
_END_SENTINEL = "\0"
#: How many distinct texts are remembered.
_MAX_INTERNED_TEXTS = 100_000
_FIELD_SIZE_LIMIT = 2**31 - 1
_field_size_lock = threading.Lock()


def read_grid(content: bytes | str, candidates: Sequence[Resource], encoding: str | None = None) -> Grid:
    """The records of a CSV or TSV file, numbered as a spreadsheet program shows them."""
    decoded = decode(content, encoding)
    text = _END_OF_FILE.sub("", decoded.text) if _CTRL_Z in decoded.text[-_LAST_CHARACTERS:] else decoded.text
    if "\0" in text:
        raise not_a_spreadsheet_error()
    if sep := _SEP_LINE.match(text):
        text, delimiter = text[sep.end() :], sep[1]
    else:
        delimiter = _detect_delimiter(text[:_HEADER_SAMPLE_CHARACTERS], candidates)
    grid = _parse_with_quotes(text, delimiter)
    problems = (*check_decoded_rows(decoded, grid.rows), *grid.problems)
    return replace(repair_cells(grid) if may_need_repair(text, delimiter) else grid, problems=problems)


def _detect_delimiter(sample: str, candidates: Sequence[Resource]) -> str:
    """The first one with which the header has the most known columns, then the most cells."""
    plain_sample = sample.replace("'", "")  # single quotes may be around all cells
    best, best_score = DELIMITERS[0], (0, 0)
    for delimiter in DELIMITERS:
        score = _score_delimiter(plain_sample, delimiter, candidates, min_known_count=max(best_score[0], 1))
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _score_delimiter(
    sample: str, delimiter: str, candidates: Sequence[Resource], *, min_known_count: int
) -> tuple[int, int]:
    with _unlimited_field_size():
        rows = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter, skipinitialspace=True)
        header = header_detection.find_header_row(rows, candidates, min_known_count=min_known_count)
    return (header.known_count, len(header.titles)) if header else (0, 0)


@dataclass(frozen=True, kw_only=True)
class _OtherQuotes:
    """Quotes that csv does not take for quotes by itself."""

    code: str  # of the warning
    sign: str  # without it, a text cannot have them
    pattern: str  # `{delimiter}` stands for the delimiter
    options: Mapping[str, Any]  # with which csv takes them off


_SINGLE_QUOTED_CELL = r" *+(?:'(?:[^']++|'')*+'|[0-9.+-]*+) *+"
_OTHER_QUOTES = (
    _OtherQuotes(
        code="quotes_after_space",
        sign=' "',
        pattern=r'(?s:.*?)(?:\A|{delimiter}|[\r\n]) ++"(?:[^"]++|"")*+" *+(?:{delimiter}|[\r\n]|\Z)',
        options={"skipinitialspace": True},
    ),
    _OtherQuotes(  # lines without any of these quotes, such as the header, and then all other lines
        code="quotes_single",
        sign="'",
        pattern=rf"(?:[^'\r\n]*+[\r\n]++)*+(?:{_SINGLE_QUOTED_CELL}(?:{{delimiter}}{_SINGLE_QUOTED_CELL})*+"
        r"(?:[\r\n]++|\Z))++\Z",
        options={"quotechar": "'", "skipinitialspace": True},
    ),
)


def _parse_with_quotes(text: str, delimiter: str) -> Grid:
    """The records; other quotes are taken off where this leaves no quote open."""
    grid = _parse_records(text, delimiter=delimiter)
    for quotes in _OTHER_QUOTES:
        if quotes.sign not in text:
            continue
        pattern = re.compile(quotes.pattern.replace("{delimiter}", re.escape(delimiter)))
        if pattern.match(text) and (row := _first_row_with(quotes, grid.rows)):
            other = _parse_records(text, delimiter=delimiter, **quotes.options)
            if len(other.row_problems) <= len(grid.row_problems):
                return replace(other, problems=(Problem(code=quotes.code, details={"row": row}),))
    return grid


def _first_row_with(quotes: _OtherQuotes, rows: Sequence[Sequence[object]]) -> int:
    """The number of the first row in which a cell starts with these quotes; 0: there is none."""
    start = quotes.sign.strip()
    is_spaced = quotes.sign != start
    for number, row in enumerate(rows, 1):
        if any(cell.lstrip(" ").startswith(start) and (cell[0] == " " or not is_spaced) for cell in map(str, row)):
            return number
    return 0


def _parse_records(text: str, **options: Any) -> Grid:  # noqa: ANN401  csv's options
    data = io.BytesIO(text.encode("utf-8", "surrogatepass"))  # a StringIO would need four bytes a character
    lines = io.TextIOWrapper(data, "utf-8", "surrogatepass", newline="")  # the original line ends
    with _unlimited_field_size():
        rows = list(_intern_texts(csv.reader(chain(lines, [_END_SENTINEL]), **options)))
    problems = {}
    if rows[-1] == [_END_SENTINEL]:
        rows.pop()
    else:
        rows[-1][-1] = rows[-1][-1].removesuffix(_END_SENTINEL)
        problems[len(rows)] = Problem(code="quote_unclosed")
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
