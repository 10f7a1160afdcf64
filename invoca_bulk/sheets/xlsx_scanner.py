"""What calamine does not tell about an xlsx's worksheet, read from its XML with regular expressions over bytes.

Error cells, formulas without a stored result, hidden rows, and how far apart the cells lie, which has to be known
before calamine makes a dense table of them. An XML parser would take 20 times as long as the rest of the reading.
The patterns fit what all known programs write; `_canonical` first brings everything else into that form.
"""

from __future__ import annotations

import html
import posixpath
import re
from typing import TYPE_CHECKING, TypeVar

from invoca_bulk.sheets import file_formats
from invoca_bulk.sheets.model import Marks, column_index, column_letters

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
_HIDING = b"<!"

# Forms that need `_canonical`; each starts with a literal, which lets the search skip ahead.
_PREFIXED = re.compile(rb":(?:c|row|f|v|sheet|Relationship)[\s/>]")
_ODD_CELL = re.compile(rb'<c(?! r="[A-Z])[\s/>]')
_ODD_ROW = re.compile(rb'<row(?! r="[0-9])[\s/>]')
_TAG = re.compile(rb"<(row|c)(\s[^<>]*?)?(/?)>")

# A cell outside A1:Z999999 that has content. Those inside span 26 million cells at most.
_FILLED = rb'"[^<>]*(?<!/)>(?!</c>)'
_FAR_COLUMN = re.compile(rb'<c r="([A-Z]{2,}(?=[0-9])|[A-Z](?=[0-9]{7}))[0-9]+' + _FILLED)
_ROW_NUMBER = re.compile(rb'<c r="[A-Z]+([0-9]+)' + _FILLED)
_NEAR_COLUMNS = 26

_ERROR = re.compile(rb"""t=["']e["']""")
_VALUE = re.compile(rb"<v(?:\s[^<>]*)?>([^<]*)</v>")
_NO_RESULT = re.compile(rb"<f(?:\s[^<>]*)?(?:/>|>([^<]*)</f>)\s*(<v\s*/>|<v>\s*</v>)?\s*</c>")
_HIDDEN = re.compile(rb"""<row r="([0-9]+)"[^<>]*\shidden=["'](?:1|true)["']""")


# Where the worksheets are


def parts(archive: zipfile.ZipFile) -> dict[str, str]:
    """The member of the archive that holds each worksheet, by the worksheet's name.

    Raises:
        KeyError: a part that must be there is missing.
        ValueError: calamine could take another part for the worksheet.
    """
    members = {file_formats.member_name(one): one for one in archive.namelist()}
    targets = _unique(
        (one[b"Id"], file_formats.member_name(posixpath.join("xl", one[b"Target"].decode())))
        for one in _tags(archive.read(members["xl/_rels/workbook.xml.rels"]), b"Relationship")
    )
    sheets = _tags(archive.read(members["xl/workbook.xml"]), b"sheet")
    return _unique((html.unescape(one[b"name"].decode()), members.get(targets[_relation(one)], "")) for one in sheets)


def _unique(pairs: Iterable[tuple[_Key, str]]) -> dict[_Key, str]:
    found = list(pairs)
    if len(dict(found)) < len(found):
        raise ValueError
    return dict(found)


def _relation(attributes: dict[bytes, bytes]) -> bytes:
    (relation,) = (value for name, value in attributes.items() if name.endswith(b":id"))
    return relation


def _tags(xml: bytes, name: bytes) -> list[dict[bytes, bytes]]:
    if _HIDING in xml:
        raise ValueError
    return [_attributes(tag) for tag in re.findall(rb"<" + name + rb"\s([^<>]*)>", _without_prefixes(xml))]


def _attributes(tag: bytes) -> dict[bytes, bytes]:
    return {name: double or single for name, double, single in _ATTRIBUTE.findall(tag)}


# One worksheet


def marks(xml: bytes) -> Marks:
    """Error cells, formulas without a result and hidden rows of one worksheet.

    Raises:
        SheetUnreadable: its cells span more than `MAX_CELLS`.
        ValueError: it cannot be told how far they span.
    """
    xml = _canonical(_without_prefixes(xml))
    is_unusual = _UNUSUAL_CELL.search(xml)
    if _HIDING in xml or (is_unusual and _AMBIGUOUS_CELL.search(xml)):
        raise ValueError
    if is_unusual and _span(xml) > MAX_CELLS:
        raise file_formats.too_wide(MAX_CELLS)
    return Marks(
        errors=dict(found for hit in _ERROR.finditer(xml) if (found := _error(xml, hit))),
        formulas=dict(found for hit in _NO_RESULT.finditer(xml) if (found := _formula(xml, hit))),
        hidden=frozenset(int(row) for row in _HIDDEN.findall(xml)),
    )


def _span(xml: bytes) -> int:
    """How many cells calamine's dense table can have; 0: too few to count."""
    columns = [column_index(letters.decode()) + 1 for letters in set(_FAR_COLUMN.findall(xml))]
    rows = map(int, set(_ROW_NUMBER.findall(xml))) if columns else ()
    return max([_NEAR_COLUMNS, *columns]) * max(rows, default=0)


def _error(xml: bytes, hit: re.Match[bytes]) -> tuple[tuple[int, int], str] | None:
    """The place and text of an error cell; None when the attribute belongs to another element, or is text."""
    start, content = xml.rfind(b"<", 0, hit.start()), xml.find(b">", hit.end())
    if not xml.startswith(b"<c ", start) or b">" in xml[start : hit.start()] or xml[content - 1] == ord("/"):
        return None
    value = _VALUE.search(xml, content, xml.find(b"</c>", content))
    return _cell_place(xml, start), html.unescape(value[1].decode()) if value else "#VALUE!"


def _formula(xml: bytes, hit: re.Match[bytes]) -> tuple[tuple[int, int], str] | None:
    """The place and text of a formula without a result; None when the result is an empty text."""
    start = xml.rfind(b"<c ", 0, hit.start())
    kind = _attributes(xml[start : hit.start()]).get(b"t")
    if kind == b"str" and hit[2]:
        return None
    return _cell_place(xml, start), f"={html.unescape(hit[1].decode())}" if hit[1] else ""


def _cell_place(xml: bytes, start: int) -> tuple[int, int]:
    return _place(xml[start + 6 : xml.find(b'"', start + 6)])  # behind `<c r="`


def _place(reference: bytes) -> tuple[int, int]:
    """Row from 1 and column from 0 of a reference such as B7."""
    letters = reference.rstrip(b"0123456789")
    return int(reference[len(letters) :]), column_index(letters.decode())


# Unusual spellings of the same XML


def _without_prefixes(xml: bytes) -> bytes:
    return re.sub(rb"(</?)[\w.-]+:", rb"\1", xml) if _PREFIXED.search(xml) else xml


def _canonical(xml: bytes) -> bytes:
    """The same cells, each as `<c r="B7" …>` in a `<row r="7" …>`: no prefixes, the reference given and in front."""
    odd = _UNUSUAL_CELL.search(xml) and _ODD_CELL.search(xml)
    return _TAG.sub(_Numbering(), xml) if odd or _ODD_ROW.search(xml) else xml


class _Numbering:
    """Gives rows and cells without a reference the next one, as all programs that read them do."""

    def __init__(self) -> None:
        self.row = 0
        self.column = -1

    def __call__(self, tag: re.Match[bytes]) -> bytes:
        attributes = _attributes(tag[2] or b"")
        reference = attributes.pop(b"r", b"").upper()
        reference = self._row(reference) if tag[1] == b"row" else self._cell(reference)
        rest = b"".join(b' %b="%b"' % one for one in attributes.items())
        return b'<%b r="%b"%b%b>' % (tag[1], reference, rest, tag[3])

    def _row(self, reference: bytes) -> bytes:
        self.row, self.column = int(reference) if reference else self.row + 1, -1
        return b"%d" % self.row

    def _cell(self, reference: bytes) -> bytes:
        if reference:
            self.row, self.column = _place(reference)
            return reference
        self.column += 1
        return b"%b%d" % (column_letters(self.column).encode(), self.row)
