"""What calamine does not report about an xlsx's worksheet, read from its XML with regular expressions over bytes.

Error cells, formulas without a stored result, hidden rows, and how far apart the cells are, which must be known before
calamine makes a dense table of them. An XML parser would take 20 times as long as the rest of the reading.
The patterns match what all known programs write; `_normalize_xml` first converts everything else to that form.
"""

from __future__ import annotations

import html
import posixpath
import re
import zipfile
from collections.abc import Iterable
from typing import TypeVar

from invoca_bulk.sheets import workbook_formats
from invoca_bulk.sheets.model import WorksheetScan, column_index, column_letters

_Key = TypeVar("_Key", str, bytes)

#: calamine makes a dense table of all cells between the first and the last; a million rows by 47 columns fit.
MAX_CELLS = 50_000_000

_ATTRIBUTE = re.compile(rb"""(?<![\w.:-])([\w.:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")

#: Hardly any sheet matches: normally all cells are written as expected, and are in A1:Z999999.
_UNUSUAL_CELL = re.compile(rb'<c(?=[\s/>])(?! r="[A-Z][0-9]{1,6}+"(?: s="[0-9]*+")?+(?: t="[a-zA-Z]*+")?+/?>)')
#: A cell that parsers may understand differently: `<c r="A1" r="XFD1048576">`. No program writes it.
_AMBIGUOUS_CELL = re.compile(
    rb"""<c(?=[\s/>])(?! r="[A-Z]+[0-9]+"(?:\s+(?!r\s*=)[\w:.-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'))*\s*/?>)"""
)
#: Comments, CDATA and declarations: they can hide XML from these patterns, or from calamine.
_HIDING_MARKUP = b"<!"

# Forms that need `_normalize_xml`; each starts with a literal, which makes the search fast.
_PREFIXED_TAG = re.compile(rb":(?:c|row|f|v|sheet|Relationship)[\s/>]")
_CELL_WITHOUT_REFERENCE = re.compile(rb'<c(?! r="[A-Z])[\s/>]')
_ROW_WITHOUT_REFERENCE = re.compile(rb'<row(?! r="[0-9])[\s/>]')
_ROW_OR_CELL_TAG = re.compile(rb"<(row|c)(\s[^<>]*?)?(/?)>")

# A cell outside A1:Z999999 that has content. The cells inside span at most 26 million.
_FILLED_CELL = rb'"[^<>]*(?<!/)>(?!</c>)'
_FAR_COLUMN = re.compile(rb'<c r="([A-Z]{2,}(?=[0-9])|[A-Z](?=[0-9]{7}))[0-9]+' + _FILLED_CELL)
_ROW_NUMBER = re.compile(rb'<c r="[A-Z]+([0-9]+)' + _FILLED_CELL)
_NEAR_COLUMN_COUNT = 26

_ERROR_TYPE_ATTRIBUTE = re.compile(rb"""t=["']e["']""")
_CELL_VALUE = re.compile(rb"<v(?:\s[^<>]*)?>([^<]*)</v>")
_FORMULA_WITHOUT_RESULT = re.compile(rb"<f(?:\s[^<>]*)?(?:/>|>([^<]*)</f>)\s*(<v\s*/>|<v>\s*</v>)?\s*</c>")
_HIDDEN_ROW = re.compile(rb"""<row r="([0-9]+)"[^<>]*\shidden=["'](?:1|true)["']""")


def find_worksheet_members(archive: zipfile.ZipFile) -> dict[str, str]:
    """Worksheet name to archive member; ValueError if the XML is ambiguous, so calamine might read another part."""
    members = {workbook_formats.normalize_member_name(name): name for name in archive.namelist()}
    targets = _to_unique_dict(
        (tag[b"Id"], workbook_formats.normalize_member_name(posixpath.join("xl", tag[b"Target"].decode())))
        for tag in _find_tags(archive.read(members["xl/_rels/workbook.xml.rels"]), b"Relationship")
    )
    names_and_members = []
    for sheet in _find_tags(archive.read(members["xl/workbook.xml"]), b"sheet"):
        (relationship_id,) = (value for name, value in sheet.items() if name.endswith(b":id"))
        names_and_members.append((html.unescape(sheet[b"name"].decode()), members.get(targets[relationship_id], "")))
    return _to_unique_dict(names_and_members)


def _to_unique_dict(pairs: Iterable[tuple[_Key, str]]) -> dict[_Key, str]:
    """The pairs as a dict; ValueError if a key repeats."""
    items = list(pairs)
    if len(dict(items)) < len(items):
        raise ValueError
    return dict(items)


def _find_tags(xml: bytes, name: bytes) -> list[dict[bytes, bytes]]:
    if _HIDING_MARKUP in xml:
        raise ValueError
    return [_parse_attributes(tag) for tag in re.findall(rb"<" + name + rb"\s([^<>]*)>", _strip_prefixes(xml))]


def _parse_attributes(tag: bytes) -> dict[bytes, bytes]:
    return {name: double or single for name, double, single in _ATTRIBUTE.findall(tag)}


def scan_worksheet(xml: bytes) -> WorksheetScan:
    """Error cells, formulas without a result and hidden rows of one worksheet.

    ValueError if the XML is ambiguous, so that the span of the cells is not known.
    """
    xml = _normalize_xml(_strip_prefixes(xml))
    is_unusual = _UNUSUAL_CELL.search(xml)
    if _HIDING_MARKUP in xml or (is_unusual and _AMBIGUOUS_CELL.search(xml)):
        raise ValueError
    if is_unusual and _count_spanned_cells(xml) > MAX_CELLS:
        raise workbook_formats.too_many_cells_error(MAX_CELLS)
    errors = (_parse_error_cell(xml, match) for match in _ERROR_TYPE_ATTRIBUTE.finditer(xml))
    formulas = (_parse_formula_cell(xml, match) for match in _FORMULA_WITHOUT_RESULT.finditer(xml))
    return WorksheetScan(
        error_cells=dict(filter(None, errors)),
        uncached_formulas=dict(filter(None, formulas)),
        hidden_rows=frozenset(map(int, _HIDDEN_ROW.findall(xml))),
    )


def _count_spanned_cells(xml: bytes) -> int:
    """The most cells that calamine's dense table can have; 0: no cell is far away."""
    columns = [column_index(letters.decode()) + 1 for letters in set(_FAR_COLUMN.findall(xml))]
    rows = map(int, set(_ROW_NUMBER.findall(xml))) if columns else ()
    return max([_NEAR_COLUMN_COUNT, *columns]) * max(rows, default=0)


def _parse_error_cell(xml: bytes, match: re.Match[bytes]) -> tuple[tuple[int, int], str] | None:
    """The position and text of an error cell; None if the attribute belongs to another element, or is text."""
    start, content = xml.rfind(b"<", 0, match.start()), xml.find(b">", match.end())
    if not xml.startswith(b"<c ", start) or b">" in xml[start : match.start()] or xml[content - 1] == ord("/"):
        return None
    value = _CELL_VALUE.search(xml, content, xml.find(b"</c>", content))
    return _cell_position(xml, start), html.unescape(value[1].decode()) if value else "#VALUE!"


def _parse_formula_cell(xml: bytes, match: re.Match[bytes]) -> tuple[tuple[int, int], str] | None:
    """The position and text of a formula without a result; None if the result is an empty text."""
    start = xml.rfind(b"<c ", 0, match.start())
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


def _normalize_xml(xml: bytes) -> bytes:
    """The same cells, each as `<c r="B7" …>` in a `<row r="7" …>`: the reference is there and comes first."""
    lacks_reference = _UNUSUAL_CELL.search(xml) and _CELL_WITHOUT_REFERENCE.search(xml)
    if lacks_reference or _ROW_WITHOUT_REFERENCE.search(xml):
        return _ROW_OR_CELL_TAG.sub(_ReferenceFiller(), xml)
    return xml


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
