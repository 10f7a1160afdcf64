"""XML of any legal form -> the plain form that calamine and the patterns of `xlsx_scanner` read alike.

Hardly any program writes comments, CDATA, a DOCTYPE, processing instructions, UTF-16 or an inherited `xml:space` into a
workbook. They are legal, but they hide XML from patterns, or from calamine; so they are removed before either reads it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from xml.etree import ElementTree as ET

from defusedxml.ElementTree import DefusedXMLParser

#: A tree takes ten times as much memory; the styles of a workbook, its largest such part, may have 20 MB.
MAX_TREE_BYTES = 32_000_000

_UTF16_STARTS = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")
_OTHER_ENCODING = re.compile(rb"""<\?xml[^>]*\sencoding=["'](?!utf-?8|us-ascii)""", re.IGNORECASE)
_DECLARATION_BYTES = 200
#: Where spreadsheet programs write `xml:space`; they may also write it on an element around these.
_TAGS_WITH_SPACE = tuple(b"%b xml:space=" % tag for tag in (b"<t", b":t", b"<f", b":f", b"<v", b":v"))
_SPACE_ATTRIBUTE = "{http://www.w3.org/XML/1998/namespace}space"


def to_plain(xml: bytes) -> bytes:
    """The same document in UTF-8, without comments, CDATA, DOCTYPE, processing instructions and inherited `xml:space`.

    Nearly every document has this form already, and is returned itself. ValueError for entities, and for what is no
    XML.
    """
    return _rewrite(xml) if _is_unusual(xml) else xml


def _is_unusual(xml: bytes) -> bool:
    if xml.startswith(_UTF16_STARTS) or _OTHER_ENCODING.search(xml[:_DECLARATION_BYTES]):
        return True
    start = xml.find(b"?>")
    if any(xml.find(mark[1:], start + 2) >= 0 and xml.find(mark, start + 2) >= 0 for mark in (b"<!", b"<?")):
        return True  # the search for a single character, which texts seldom have, is much faster
    return b"xml:space" in xml and xml.count(b"xml:space") > sum(map(xml.count, _TAGS_WITH_SPACE))


def _rewrite(xml: bytes) -> bytes:
    text = io.StringIO()
    parser = DefusedXMLParser(target=_PlainTarget(text.write), forbid_entities=True)
    try:
        parser.feed(xml)
        parser.close()
    except ET.ParseError as error:
        raise ValueError(str(error)) from None
    return text.getvalue().encode()


class _PlainTarget(ET.C14NWriterTarget):
    """Writes canonical XML, which has one form for all that is legal, with an inherited `xml:space` on each text."""

    def __init__(self, write: Callable[[str], object]) -> None:
        super().__init__(write)
        self._spaces = ["default"]

    def start(self, tag: str, attrs: Mapping[str, str]) -> None:
        """Write a start tag."""
        self._spaces.append(attrs.get(_SPACE_ATTRIBUTE, self._spaces[-1]))
        if tag.endswith("}t") and self._spaces[-1] == "preserve":
            attrs = {**attrs, _SPACE_ATTRIBUTE: "preserve"}
        super().start(tag, attrs)

    def end(self, tag: str) -> None:
        """Write an end tag."""
        self._spaces.pop()
        super().end(tag)

    def comment(self, _text: str) -> None:
        """Leave out a comment."""

    def pi(self, _target: str, _data: str | None = None) -> None:
        """Leave out a processing instruction."""


def parse(xml: bytes) -> ET.Element:
    """The root of a small document, without entities; ValueError if it is none, or too large for a tree."""
    if len(xml) > MAX_TREE_BYTES:
        raise ValueError(f"a part of {len(xml):,} bytes")
    try:
        return ET.fromstring(to_plain(xml))  # noqa: S314  what is plain has no DOCTYPE, hence no entities
    except ET.ParseError as error:
        raise ValueError(str(error)) from None
