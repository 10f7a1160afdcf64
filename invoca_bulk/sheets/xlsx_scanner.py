"""What calamine does not report about an xlsx's worksheet, read from its XML with regular expressions over bytes.

Error cells, formulas without a stored result, hidden rows and columns, merged cells, sums, cells whose number format
shows another text, and how far apart the cells are, which must be known before calamine makes a dense table of them.
An XML parser would take 20 times as long as the rest of the reading.
The patterns match what all known programs write; everything else is first converted to that form, and calamine reads
the same converted bytes: it cannot see other cells than these patterns do.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from invoca_bulk.sheets import plain_xml
from invoca_bulk.sheets.model import MergedRange, WorksheetScan, column_index, column_letters

#: calamine makes a dense table of all cells between the first and the last; a million rows by 47 columns fit.
MAX_CELLS = 50_000_000
#: Of a worksheet that spans more, these cells are read, so that it can be told whether it is wanted at all.
_NEAR_ROWS, _NEAR_COLUMNS = 1_000, 256
_MAX_ROW_COUNT, _MAX_COLUMN_COUNT = 1_048_576, 16_384

_ATTRIBUTE = re.compile(rb"""(?<![\w.:-])([\w.:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")

#: Hardly any sheet matches: normally all cells are written as expected, and are in A1:Z999999.
_UNUSUAL_CELL = re.compile(
    rb'<c(?=[\s/>])(?! r="[A-Z][0-9]{1,6}+"(?: s="[0-9]*+")?+'
    rb'(?: t="(?:inlineStr"(?=><is>)|(?!inline)[a-zA-Z]*+"))?+/?>)'
)
#: A cell that parsers may understand differently: `<c r="A1" r="XFD1048576">`. No program writes it.
_AMBIGUOUS_CELL = re.compile(
    rb"""<c(?=[\s/>])(?! r="[A-Z]+[0-9]+"(?:\s+(?!r\s*=)[\w:.-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'))*\s*/?>)"""
)
# Forms that need `_normalize_xml`; each starts with a literal, which makes the search fast.
_PREFIXED_TAG = re.compile(rb":(?:c|row|f|v|sheet|Relationship)[\s/>]")
_CELL_WITHOUT_REFERENCE = re.compile(rb'<c(?! r="[A-Z])[\s/>]')
_ROW_WITHOUT_REFERENCE = re.compile(rb'<row(?! r="[0-9])[\s/>]')
_ROW_OR_CELL_TAG = re.compile(rb"<(row|c)(\s[^<>]*?)?(/?)>")

# A cell outside A1:Z999999 that has content. The cells inside span at most 26 million.
_FILLED_CELL = rb'"[^<>]*(?<!/)>(?!</c>)'
_FAR_COLUMN = re.compile(rb'<c r="([A-Z]{2,}(?=[0-9])|[A-Z](?=[0-9]{7}))[0-9]+' + _FILLED_CELL)
_ROW_NUMBER = re.compile(rb'<c r="[A-Z]+([0-9]+)' + _FILLED_CELL)
_FILLED_CELL_START = re.compile(rb'<c r="([A-Z]+[0-9]+)' + _FILLED_CELL)
_NEAR_COLUMN_COUNT = 26

_ERROR_TYPE_ATTRIBUTE = re.compile(rb"""t=["']e["']""")
#: calamine refuses a whole worksheet that has any other error.
_CALAMINE_ERRORS = frozenset({"#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"})
_ERROR_CELL_TYPE = re.compile(rb"""(<c [^<>]*\st=)["']e["']""")
_FORMULA_TAG = re.compile(rb"<f[\s/>]")
_CELL_VALUE = re.compile(rb"<v(?:\s[^<>]*)?>([^<]*)</v>")
#: Where a cell ends; without its end tag, at the next cell, or many such cells would take hours.
_CELL_END = re.compile(rb"</c>|<c\s")
_FORMULA_WITHOUT_RESULT = re.compile(rb"<f(?:\s[^<>]*)?(?:/>|>([^<]*)</f>)\s*(<v\s*/>|<v>\s*</v>)?\s*</c>")
_HIDDEN_ROW = re.compile(rb"""<row r="([0-9]+)"[^<>]*\s(?:hidden=["'](?:1|true)|ht=["']0(?:\.0*)?)["']""")
_COLUMN_TAG = re.compile(rb"<col\s([^<>]*?)/?>")
_ZERO_WIDTH = re.compile(rb"0(?:\.0*)?")
_MERGED_TAG = re.compile(rb"<mergeCell\s([^<>]*?)/?>")
#: A sum of cells in one column; whether it is the column of the formula's own cell is for `_find_sum_rows`.
_SUM_FORMULA = re.compile(
    rb"<f(?:\s[^<>]*)?>[^<]*?\b(?:SUM|SUBTOTAL|AGGREGATE)\((?:[0-9]+,)*\$?([A-Z]{1,3})\$?([0-9]{1,7}):\$?\1\$?([0-9]{1,7})\)"
)

# An inline text beside a `<v>`, which calamine takes for the value; and one that is in the `<v>` itself, for none.
_VALUE_AFTER_TEXT = re.compile(rb"</is>\s*<v(?:\s[^<>]*)?(?:/>|>[^<]*</v>)")
_TEXT_IN_VALUE = re.compile(rb"""inlineStr(["'][^<>]*>\s*<v(?:\s[^<>]*)?>[^<]*</v>\s*</c>)""")


@dataclass(frozen=True, kw_only=True)
class ScannedWorksheet:
    """A worksheet, and what was noticed in its XML."""

    xml: bytes  # in the form that was scanned, for calamine
    scan: WorksheetScan
    #: The number format of each cell that has one of the `formats`.
    cell_formats: Mapping[tuple[int, int], str]


def scan_worksheet(
    xml: bytes, formats: Mapping[int, str] | None = None, table_totals: Iterable[tuple[str, int]] = ()
) -> ScannedWorksheet:
    """Scan one worksheet: `formats` by the ids of styles, and the range and number of totals rows of its tables.

    ValueError if the XML is ambiguous, so that the span of the cells is not known.
    """
    xml, is_unusual = _normalize_xml(_strip_prefixes(plain_xml.to_plain(xml)))
    if is_unusual and _AMBIGUOUS_CELL.search(xml):
        raise ValueError("a cell that parsers may understand differently")
    far_cell = ""
    if is_unusual and _count_spanned_cells(xml) > MAX_CELLS:
        xml, far_cell = _split_off_far_cells(xml)
    xml = _drop_values_after_texts(_TEXT_IN_VALUE.sub(rb"str\1", xml) if is_unusual else xml)
    errors = (_parse_error_cell(xml, match) for match in _ERROR_TYPE_ATTRIBUTE.finditer(xml))
    has_formulas = _FORMULA_TAG.search(xml)  # one search is faster than the two for each kind of formula
    uncached = _with_cell_starts(xml, _FORMULA_WITHOUT_RESULT) if has_formulas else ()
    sum_rows = _find_sum_rows(xml) if has_formulas else ()
    scan = WorksheetScan(
        error_cells=dict(filter(None, errors)),
        uncached_formulas=dict(filter(None, (_parse_formula_cell(xml, *located) for located in uncached))),
        hidden_rows=frozenset(map(int, _HIDDEN_ROW.findall(xml))),
        hidden_columns=frozenset(_find_hidden_columns(xml)),
        merged_ranges=tuple(_find_merged_ranges(xml)),
        total_rows=frozenset(sum_rows).union(*map(_find_totals_rows, table_totals)),
        far_cell=far_cell,
    )
    return ScannedWorksheet(
        xml=_with_readable_errors(xml, scan), scan=scan, cell_formats=_find_cell_formats(xml, formats or {})
    )


def _with_cell_starts(xml: bytes, pattern: re.Pattern[bytes]) -> Iterator[tuple[int, re.Match[bytes]]]:
    """The matches of a pattern of which each cell has one at most, each after the start of its cell.

    The formulas of rules and charts below the cells are left out. Each byte is looked at once.
    """
    end_of_cells, position = xml.rfind(b"</sheetData>"), 0
    for match in pattern.finditer(xml, 0, end_of_cells if end_of_cells >= 0 else len(xml)):
        start = xml.rfind(b"<c ", position, match.start())
        position = match.end()
        if start >= 0:
            yield start, match


def _drop_values_after_texts(xml: bytes) -> bytes:
    """The cells with an inline text without the `<v>` after it; in a cell of another type, the `<v>` is the value."""
    pieces, position = [], 0
    for start, match in _with_cell_starts(xml, _VALUE_AFTER_TEXT):
        cell_tag = xml[start : match.start()].partition(b">")[0]
        if _parse_attributes(cell_tag).get(b"t") == b"inlineStr":
            pieces += [xml[position : match.start()], b"</is>"]
            position = match.end()
    return b"".join([*pieces, xml[position:]]) if pieces else xml


def _with_readable_errors(xml: bytes, scan: WorksheetScan) -> bytes:
    """The same worksheet, with its errors as texts if there is one that calamine does not know."""
    is_readable = _CALAMINE_ERRORS.issuperset(scan.error_cells.values())
    return xml if is_readable else _ERROR_CELL_TYPE.sub(rb'\1"str"', xml)


def _find_hidden_columns(xml: bytes) -> Iterator[int]:
    for tag in _COLUMN_TAG.findall(xml[: xml.find(b"<sheetData")]):
        attributes = _parse_attributes(tag)
        if attributes.get(b"hidden") in {b"1", b"true"} or _ZERO_WIDTH.fullmatch(attributes.get(b"width", b"")):
            yield from range(int(attributes[b"min"]) - 1, min(int(attributes[b"max"]), _MAX_COLUMN_COUNT))


def _find_merged_ranges(xml: bytes) -> Iterator[MergedRange]:
    for tag in _MERGED_TAG.findall(xml[max(xml.rfind(b"</sheetData>"), 0) :]):
        yield _parse_range(_parse_attributes(tag)[b"ref"])


def _parse_range(reference: bytes) -> MergedRange:
    first, _, last = reference.replace(b"$", b"").upper().partition(b":")
    return MergedRange(*_parse_reference(first), *_parse_reference(last or first))


def _find_sum_rows(xml: bytes) -> Iterator[int]:
    """The rows with a cell that sums cells of its own column above it."""
    for start, match in _with_cell_starts(xml, _SUM_FORMULA):
        row, column = _cell_position(xml, start)
        if column == column_index(match[1].decode()) and int(match[2]) <= int(match[3]) < row:
            yield row


def _find_totals_rows(table: tuple[str, int]) -> range:
    reference, count = table
    last_row = _parse_range(reference.encode()).last_row
    return range(max(last_row - count, 0) + 1, last_row + 1)


def _find_cell_formats(xml: bytes, formats: Mapping[int, str]) -> dict[tuple[int, int], str]:
    """The cells that have a style with one of the formats."""
    if not formats:
        return {}
    style = rb"""[^<>]*?\ss=["'](%b)["']""" % b"|".join(b"%d" % number for number in formats)
    if 0 in formats:  # also the style of cells that name none
        style = rb"(?:%b|(?![^<>]*\ss=)())" % style
    cells = re.findall(rb'<c r="([A-Z]+[0-9]+)"' + style, xml)
    return {_parse_reference(reference): formats[int(number or 0)] for reference, number, *_ in cells}


def _parse_attributes(tag: bytes) -> dict[bytes, bytes]:
    return {name: double or single for name, double, single in _ATTRIBUTE.findall(tag)}


def _count_spanned_cells(xml: bytes) -> int:
    """The most cells that calamine's dense table can have; 0: no cell is far away."""
    columns = [column_index(letters.decode()) + 1 for letters in set(_FAR_COLUMN.findall(xml))]
    rows = map(int, set(_ROW_NUMBER.findall(xml))) if columns else ()
    return max([_NEAR_COLUMN_COUNT, *columns]) * max(rows, default=0)


def _split_off_far_cells(xml: bytes) -> tuple[bytes, str]:
    """The worksheet without its far cells, and the one that is the farthest away."""
    pieces, position, far_cells = [], 0, []
    for match in _FILLED_CELL_START.finditer(xml):
        row, column = _parse_reference(match[1])
        is_after_last = match.start() >= position  # not within it: that would be no cell
        if is_after_last and (row > _NEAR_ROWS or column >= _NEAR_COLUMNS):
            far_cells.append((row * _MAX_COLUMN_COUNT + column * _MAX_ROW_COUNT, match[1].decode()))
            end = xml.find(b"</c>", match.end())
            if end < 0:
                raise ValueError("a cell without an end")
            pieces.append(xml[position : match.start()])
            position = end + len(b"</c>")
    return b"".join([*pieces, xml[position:]]), max(far_cells)[1]


def _parse_error_cell(xml: bytes, match: re.Match[bytes]) -> tuple[tuple[int, int], str] | None:
    """The position and text of an error cell; None if the attribute belongs to another element, or is text."""
    start, content = xml.rfind(b"<", 0, match.start()), xml.find(b">", match.end())
    if not xml.startswith(b"<c ", start) or b">" in xml[start : match.start()] or xml[content - 1] == ord("/"):
        return None
    end = _CELL_END.search(xml, content)
    value = _CELL_VALUE.search(xml, content, end.start() if end else len(xml))
    return _cell_position(xml, start), html.unescape(value[1].decode()) if value else "#VALUE!"


def _parse_formula_cell(xml: bytes, start: int, match: re.Match[bytes]) -> tuple[tuple[int, int], str] | None:
    """The position and text of a formula without a result; None if the result is an empty text."""
    cell_type = _parse_attributes(xml[start : match.start()]).get(b"t")
    if cell_type == b"str" and match[2]:
        return None
    return _cell_position(xml, start), f"={html.unescape(match[1].decode())}" if match[1] else ""


def _cell_position(xml: bytes, start: int) -> tuple[int, int]:
    return _parse_reference(xml[start + 6 : xml.find(b'"', start + 6)])  # after `<c r="`


def _parse_reference(reference: bytes) -> tuple[int, int]:
    """Row from 1 and column from 0 of a reference such as B7."""
    letters = reference.rstrip(b"0123456789")
    return int(reference[len(letters) :]), column_index(letters.decode())


def _strip_prefixes(xml: bytes) -> bytes:
    return re.sub(rb"(</?)[\w.-]+:", rb"\1", xml) if _PREFIXED_TAG.search(xml) else xml


def _normalize_xml(xml: bytes) -> tuple[bytes, bool]:
    """The same cells, each as `<c r="B7" …>` in a `<row r="7" …>`, and whether some are unusual nevertheless."""
    is_unusual = bool(_UNUSUAL_CELL.search(xml))
    if (is_unusual and _CELL_WITHOUT_REFERENCE.search(xml)) or _ROW_WITHOUT_REFERENCE.search(xml):
        xml = _ROW_OR_CELL_TAG.sub(_ReferenceFiller(), xml)
        return xml, bool(_UNUSUAL_CELL.search(xml))
    return xml, is_unusual


class _ReferenceFiller:
    """Gives rows and cells without a reference the next one, as spreadsheet programs do."""

    def __init__(self) -> None:
        self.row = 0
        self.column = -1

    def __call__(self, tag: re.Match[bytes]) -> bytes:
        attributes = _parse_attributes(tag[2] or b"")
        reference = attributes.pop(b"r", b"").upper()
        reference = self._row_reference(reference) if tag[1] == b"row" else self._cell_reference(reference)
        other_attributes = b"".join(b' %b="%b"' % item for item in attributes.items())
        return b'<%b r="%b"%b%b>' % (tag[1], reference, other_attributes, tag[3])

    def _row_reference(self, reference: bytes) -> bytes:
        self.row, self.column = int(reference) if reference else self.row + 1, -1
        return b"%d" % self.row

    def _cell_reference(self, reference: bytes) -> bytes:
        if reference:
            self.row, self.column = _parse_reference(reference)
            return reference
        self.column += 1
        return b"%b%d" % (column_letters(self.column).encode(), self.row)
