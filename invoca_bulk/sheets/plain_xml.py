"""XML of any legal form -> the plain form that calamine and the patterns of `xlsx_scanner` read alike.

Hardly any program writes comments, CDATA, a DOCTYPE, processing instructions, UTF-16 or an inherited `xml:space` into a
workbook. They are legal, but they hide XML from patterns, or from calamine; so they are removed before either reads it.
A parser would need a minute for a worksheet of 100,000 rows. No pattern has to be right about what is malformed: it
leaves a `<!`, which is refused, or what calamine refuses.
"""

from __future__ import annotations

import html
import re
from xml.etree import ElementTree as ET

#: A tree takes ten times as much memory; the styles of a workbook, its largest such part, may have 20 MB.
MAX_TREE_BYTES = 32_000_000

_UTF16_STARTS = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")
_DECLARATION = re.compile(rb"(?:\xef\xbb\xbf)?<\?xml\s[^<>]*\?>")
_TEXT_DECLARATION = re.compile(r"\ufeff?<\?xml\s[^<>]*\?>")
_ENCODING = re.compile(rb"""\sencoding=["']([\w.-]+)["']""")
_UTF8_NAMES = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
#: In content, where alone they are legal, these cannot be mistaken for anything else; inside CDATA they are text. The
#: last alternative has no end: the search for the ends of many of these would take hours.
_MARKUP = re.compile(rb"<!\[CDATA\[(.*?)\]\]>|<!--.*?-->|<\?.*?\?>|(<!\[CDATA\[|<!--|<\?)", re.DOTALL)
#: A DOCTYPE that declares nothing, or elements only: no entities, and no attributes that cells would have unseen.
_HARMLESS_DOCTYPE = re.compile(rb"""<!DOCTYPE\s[^<>\[\]]*(?:\[(?:[^<>\[\]%]|<!ELEMENT\s[^<>\[\]%]*>)*\]\s*)?>""")
#: Where spreadsheet programs write `xml:space`; they may also write it on an element around these.
_TAGS_WITH_SPACE = tuple(b"%b xml:space=" % tag for tag in (b"<t", b":t", b"<f", b":f", b"<v", b":v"))
_TEXT_WITHOUT_SPACE = re.compile(rb"(<(?:[\w.-]+:)?t)(?=[\s>])(?![^<>]*\sxml:space)")


def to_plain(xml: bytes) -> bytes:
    """The same document in UTF-8, without comments, CDATA, DOCTYPE, processing instructions and inherited `xml:space`.

    Nearly every document has this form already, and is returned itself. ValueError for entities, unknown encodings, and
    for markup that has no end.
    """
    xml = _to_utf8(xml)
    start = declaration.end() if (declaration := _DECLARATION.match(xml)) else 0
    if _has_mark(xml, b"<!", start) or _has_mark(xml, b"<?", start):
        xml = _HARMLESS_DOCTYPE.sub(b"", _MARKUP.sub(_plain_text, xml[start:]), count=1)
        if b"<!" in xml:
            raise ValueError("entities")
    if b"xml:space" in xml and xml.count(b"xml:space") > sum(map(xml.count, _TAGS_WITH_SPACE)):
        return _TEXT_WITHOUT_SPACE.sub(rb'\1 xml:space="preserve"', xml)
    return xml


def _to_utf8(xml: bytes) -> bytes:
    if xml.startswith(_UTF16_STARTS):
        encoding = "utf-16" if xml[:1] > b"<" else "utf-16-le" if xml[:1] == b"<" else "utf-16-be"
        return _TEXT_DECLARATION.sub("", xml.decode(encoding), count=1).encode()
    declaration = _DECLARATION.match(xml)
    name = _ENCODING.search(declaration[0]) if declaration else None
    if declaration is None or name is None or name[1].decode().lower() in _UTF8_NAMES:
        return xml
    try:
        return xml[declaration.end() :].decode(name[1].decode()).encode()
    except LookupError:
        raise ValueError("an unknown encoding") from None


def _has_mark(xml: bytes, mark: bytes, start: int) -> bool:
    """Whether a mark occurs: the search for its last character, which texts seldom have, is much faster."""
    return xml.find(mark[1:], start) >= 0 and xml.find(mark, start) >= 0


def _plain_text(match: re.Match[bytes]) -> bytes:
    if match[2]:
        raise ValueError("markup without an end")
    return html.escape(match[1].decode(), quote=False).encode() if match[1] else b""


def parse(xml: bytes) -> ET.Element:
    """The root of a small document, without entities; ValueError if it is none, or too large for a tree."""
    if len(xml) > MAX_TREE_BYTES:
        raise ValueError(f"a part of {len(xml):,} bytes")
    try:
        return ET.fromstring(to_plain(xml))  # noqa: S314  what is plain has no DOCTYPE, hence no entities
    except ET.ParseError as error:
        raise ValueError(str(error)) from None
