"""What calamine does not tell about an xlsx's worksheet, read from its XML with regular expressions over bytes.

Error cells, formulas without a stored result, hidden rows, and how far apart the cells lie, which has to be known
before calamine makes a dense table of them. An XML parser would take 20 times as long as the rest of the reading.
The patterns fit what all known programs write; `_normalize_xml` first brings everything else into that form.
"""

from __future__ import annotations

import html
import posixpath
import re
from typing import TYPE_CHECKING, TypeVar

from invoca_bulk.sheets import file_formats
from invoca_bulk.sheets.model import WorksheetScan, column_index, column_letters

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Iterable

_Key = TypeVar("_Key", str, bytes)

#: calamine makes a dense table of all cells between the first and the last; a million rows by 47 columns fit.
MAX_CELLS = 50_000_000

_ATTRIBUTE = re.compile(rb"""(?<![\w.:-])([\w.:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")

#: Nearly every sheet has no hit here: all its cells are spelt as expected, and lie in A1:Z999999.
_UNUSUAL_CELL = re.compile(rb'<c(?=[\s/>])(?! r="[A-Z][0-9]{1,6}+"(?: s="[0-9]*+")?+(?: t="[a-zA-Z]*+")?+/?>)')
#: A cell that could be read as another one than it is taken for: `<c r="A1" r="XFD1048576">`. No program writes it.
_AMBIGUOUS_CELL = re.compile(
    rb"""<c(?=[\s/>])(?! r="[A-Z]+[0-9]+"(?:\s+(?!r\s*=)[\w:.-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'))*\s*/?>)"""
)
#: Comments, CDATA and declarations, which can hide what is read, or show what is not.
_HIDING_MARKUP = b"<!"

# Forms that need `_normalize_xml`; each starts with a literal, which lets the search skip ahead.
_PREFIXED_TAG = re.compile(rb":(?:c|row|f|v|sheet|Relationship)[\s/>]")
_CELL_WITHOUT_REFERENCE = re.compile(rb'<c(?! r="[A-Z])[\s/>]')
_ROW_WITHOUT_REFERENCE = re.compile(rb'<row(?! r="[0-9])[\s/>]')
_ROW_OR_CELL_TAG = re.compile(rb"<(row|c)(\s[^<>]*?)?(/?)>")

# A cell outside A1:Z999999 that has content. Those inside span 26 million cells at most.
_FILLED_CELL = rb'"[^<>]*(?<!/)>(?!</c>)'
_FAR_COLUMN = re.compile(rb'<c r="([A-Z]{2,}(?=[0-9])|[A-Z](?=[0-9]{7}))[0-9]+' + _FILLED_CELL)
_ROW_NUMBER = re.compile(rb'<c r="[A-Z]+([0-9]+)' + _FILLED_CELL)
_NEAR_COLUMN_COUNT = 26

_ERROR_TYPE_ATTRIBUTE = re.compile(rb"""t=["']e["']""")
_CELL_VALUE = re.compile(rb"<v(?:\s[^<>]*)?>([^<]*)</v>")
_FORMULA_WITHOUT_RESULT = re.compile(rb"<f(?:\s[^<>]*)?(?:/>|>([^<]*)</f>)\s*(<v\s*/>|<v>\s*</v>)?\s*</c>")
_HIDDEN_ROW = re.compile(rb"""<row r="([0-9]+)"[^<>]*\shidden=["'](?:1|true)["']""")


# Where the worksheets are


def find_worksheet_members(archive: zipfile.ZipFile) -> dict[str, str]:
    """The member of the archive that holds each worksheet, by the worksheet's name.

    Raises:
        KeyError: a part that must be there is missing.
        ValueError: calamine could take another part for the worksheet.
    """
    members = {file_formats.normalize_member_name(one): one for one in archive.namelist()}
    targets = _to_unique_dict(
        (one[b"Id"], file_formats.normalize_member_name(posixpath.join("xl", one[b"Target"].decode())))
        for one in _find_tags(archive.read(members["xl/_rels/workbook.xml.rels"]), b"Relationship")
    )
    sheets = _find_tags(archive.read(members["xl/workbook.xml"]), b"sheet")
    return _to_unique_dict(
        (html.unescape(one[b"name"].decode()), members.get(targets[_relationship_id(one)], "")) for one in sheets
    )


def _to_unique_dict(pairs: Iterable[tuple[_Key, str]]) -> dict[_Key, str]:
    found = list(pairs)
    if len(dict(found)) < len(found):
        raise ValueError
    return dict(found)


def _relationship_id(attributes: dict[bytes, bytes]) -> bytes:
    (relation,) = (value for name, value in attributes.items() if name.endswith(b":id"))
    return relation


def _find_tags(xml: bytes, name: bytes) -> list[dict[bytes, bytes]]:
    if _HIDING_MARKUP in xml:
        raise ValueError
    return [_parse_attributes(tag) for tag in re.findall(rb"<" + name + rb"\s([^<>]*)>", _strip_prefixes(xml))]


def _parse_attributes(tag: bytes) -> dict[bytes, bytes]:
    return {name: double or single for name, double, single in _ATTRIBUTE.findall(tag)}


# One worksheet


def scan_worksheet(xml: bytes) -> WorksheetScan:
    """Error cells, formulas without a result and hidden rows of one worksheet.

    Raises:
        UnreadableSheetError: its cells span more than `MAX_CELLS`.
        ValueError: it cannot be told how far they span.
    """
    xml = _normalize_xml(_strip_prefixes(xml))
    is_unusual = _UNUSUAL_CELL.search(xml)
    if _HIDING_MARKUP in xml or (is_unusual and _AMBIGUOUS_CELL.search(xml)):
        raise ValueError
    if is_unusual and _count_spanned_cells(xml) > MAX_CELLS:
        raise file_formats.too_many_cells_error(MAX_CELLS)
    return WorksheetScan(
        error_cells=dict(
            found for hit in _ERROR_TYPE_ATTRIBUTE.finditer(xml) if (found := _parse_error_cell(xml, hit))
        ),
        uncached_formulas=dict(
            found for hit in _FORMULA_WITHOUT_RESULT.finditer(xml) if (found := _parse_formula_cell(xml, hit))
        ),
        hidden_rows=frozenset(int(row) for row in _HIDDEN_ROW.findall(xml)),
    )


def _count_spanned_cells(xml: bytes) -> int:
    """How many cells calamine's dense table can have; 0: too few to count."""
    columns = [column_index(letters.decode()) + 1 for letters in set(_FAR_COLUMN.findall(xml))]
    rows = map(int, set(_ROW_NUMBER.findall(xml))) if columns else ()
    return max([_NEAR_COLUMN_COUNT, *columns]) * max(rows, default=0)


def _parse_error_cell(xml: bytes, hit: re.Match[bytes]) -> tuple[tuple[int, int], str] | None:
    """The place and text of an error cell; None when the attribute belongs to another element, or is text."""
    start, content = xml.rfind(b"<", 0, hit.start()), xml.find(b">", hit.end())
    if not xml.startswith(b"<c ", start) or b">" in xml[start : hit.start()] or xml[content - 1] == ord("/"):
        return None
    value = _CELL_VALUE.search(xml, content, xml.find(b"</c>", content))
    return _cell_position(xml, start), html.unescape(value[1].decode()) if value else "#VALUE!"


def _parse_formula_cell(xml: bytes, hit: re.Match[bytes]) -> tuple[tuple[int, int], str] | None:
    """The place and text of a formula without a result; None when the result is an empty text."""
    start = xml.rfind(b"<c ", 0, hit.start())
    kind = _parse_attributes(xml[start : hit.start()]).get(b"t")
    if kind == b"str" and hit[2]:
        return None
    return _cell_position(xml, start), f"={html.unescape(hit[1].decode())}" if hit[1] else ""


def _cell_position(xml: bytes, start: int) -> tuple[int, int]:
    return _parse_reference(xml[start + 6 : xml.find(b'"', start + 6)])  # behind `<c r="`


def _parse_reference(reference: bytes) -> tuple[int, int]:
    """Row from 1 and column from 0 of a reference such as B7."""
    letters = reference.rstrip(b"0123456789")
    return int(reference[len(letters) :]), column_index(letters.decode())


# Unusual spellings of the same XML


def _strip_prefixes(xml: bytes) -> bytes:
    return re.sub(rb"(</?)[\w.-]+:", rb"\1", xml) if _PREFIXED_TAG.search(xml) else xml


def _normalize_xml(xml: bytes) -> bytes:
    """The same cells, each as `<c r="B7" …>` in a `<row r="7" …>`: no prefixes, the reference given and in front."""
    odd = _UNUSUAL_CELL.search(xml) and _CELL_WITHOUT_REFERENCE.search(xml)
    return _ROW_OR_CELL_TAG.sub(_ReferenceFiller(), xml) if odd or _ROW_WITHOUT_REFERENCE.search(xml) else xml


class _ReferenceFiller:
    """Gives rows and cells without a reference the next one, as all programs that read them do."""

    def __init__(self) -> None:
        self.row = 0
        self.column = -1

    def __call__(self, tag: re.Match[bytes]) -> bytes:
        attributes = _parse_attributes(tag[2] or b"")
        reference = attributes.pop(b"r", b"").upper()
        reference = self._row_reference(reference) if tag[1] == b"row" else self._cell_reference(reference)
        rest = b"".join(b' %b="%b"' % one for one in attributes.items())
        return b'<%b r="%b"%b%b>' % (tag[1], reference, rest, tag[3])

    def _row_reference(self, reference: bytes) -> bytes:
        self.row, self.column = int(reference) if reference else self.row + 1, -1
        return b"%d" % self.row

    def _cell_reference(self, reference: bytes) -> bytes:
        if reference:
            self.row, self.column = _parse_reference(reference)
            return reference
        self.column += 1
        return b"%b%d" % (column_letters(self.column).encode(), self.row)
