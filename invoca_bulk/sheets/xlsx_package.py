"""The worksheets of an xlsx, and the plain xlsx that calamine reads.

calamine never gets the file itself but a small package of the parts that were scanned, at the places where it expects
them: so both see the same bytes, whatever else the file holds.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree as ET

from invoca_bulk.sheets import plain_xml
from invoca_bulk.sheets.zip_package import Package

Visibility = Literal["visible", "hidden", "very hidden"]
_VISIBILITY_BY_STATE: Mapping[str | None, Visibility] = {"hidden": "hidden", "veryHidden": "very hidden"}
_TRUE_TEXTS = frozenset({"1", "true", "on"})
_RELATIONSHIP_ID = "/relationships}id"
#: A part is in memory twice until calamine has read it; one larger than this is compressed.
_MAX_STORED_BYTES = 200_000_000

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"


@dataclass(frozen=True, kw_only=True)
class WorksheetPart:
    """A worksheet of a workbook."""

    name: str
    part: str  # the normalized name of its part
    visibility: Visibility


@dataclass(frozen=True, kw_only=True)
class WorkbookParts:
    """What a workbook consists of."""

    worksheets: Sequence[WorksheetPart]  # in the order of the workbook; no charts, dialogs and macros
    has_1904_dates: bool
    strings: bytes  # the plain XML of the shared texts, and of the styles; empty if there is no such part
    styles: bytes


def read_workbook(package: Package) -> WorkbookParts:
    """The worksheets and what they share; ValueError if names repeat, or no worksheet is left of those named."""
    main_part = package.find_workbook_part()
    if main_part is None:
        raise ValueError("no workbook")
    root = plain_xml.parse(package.read(main_part))
    relationships = package.read_relationships(main_part)
    targets = {each.key: each.target for each in relationships if each.kind == "worksheet" and each.target in package}
    other_keys = {each.key for each in relationships if each.kind != "worksheet"}
    entries = [(entry, _relationship_key(entry)) for entry in root.iterfind("{*}sheets/{*}sheet")]
    worksheets = [_to_worksheet(entry, targets[key]) for entry, key in entries if key in targets]
    if len({worksheet.name for worksheet in worksheets}) < len(worksheets):
        raise ValueError("a sheet's name repeats")
    if not worksheets and any(key not in other_keys for _, key in entries):
        raise ValueError("no sheet has a part")
    properties = root.find("{*}workbookPr")
    parts = {each.kind: each.target for each in relationships if each.target in package}
    return WorkbookParts(
        worksheets=worksheets,
        has_1904_dates=properties is not None and properties.get("date1904") in _TRUE_TEXTS,
        strings=_read_plain(package, parts.get("sharedStrings", "xl/sharedstrings.xml")),
        styles=_read_plain(package, parts.get("styles", "xl/styles.xml")),
    )


def _relationship_key(entry: ET.Element) -> str | None:
    return next((value for name, value in entry.items() if name.endswith(_RELATIONSHIP_ID)), None)


def _to_worksheet(entry: ET.Element, part: str) -> WorksheetPart:
    visibility = _VISIBILITY_BY_STATE.get(entry.get("state"), "visible")
    return WorksheetPart(name=entry.attrib["name"], part=part, visibility=visibility)


def _read_plain(package: Package, part: str) -> bytes:
    return plain_xml.to_plain(package.read(part)) if part in package else b""


def find_table_totals(package: Package, worksheet: WorksheetPart) -> list[tuple[str, int]]:
    """The range, such as `A1:E9`, and the number of totals rows at its end, of each Excel table that has such rows."""
    tables = [each.target for each in package.read_relationships(worksheet.part) if each.kind == "table"]
    roots = [plain_xml.parse(package.read(table)) for table in tables if table in package]
    return [(root.get("ref", ""), int(root.get("totalsRowCount", "0"))) for root in roots if root.get("totalsRowCount")]


def pack(workbook: WorkbookParts, worksheets: Iterable[bytes]) -> io.BytesIO:
    """An xlsx with the XML of these worksheets, which are named 1, 2, …, for calamine."""
    file = io.BytesIO()
    relationships = []
    with zipfile.ZipFile(file, "w") as archive:
        for number, xml in enumerate(worksheets, 1):
            _add_part(archive, f"xl/worksheets/sheet{number}.xml", xml)
            relationships.append(("worksheet", f"worksheets/sheet{number}.xml"))
        sheets = "".join(
            f'<sheet name="{number}" sheetId="{number}" r:id="rId{number}"/>'
            for number in range(1, len(relationships) + 1)
        )
        for kind, name, xml in (
            ("sharedStrings", "sharedStrings.xml", workbook.strings),
            ("styles", "styles.xml", workbook.styles),
        ):
            if xml:
                _add_part(archive, f"xl/{name}", xml)
                relationships.append((kind, name))
        properties = '<workbookPr date1904="1"/>' if workbook.has_1904_dates else ""
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">{properties}<sheets>{sheets}</sheets></workbook>',
        )
        archive.writestr("xl/_rels/workbook.xml.rels", _relationships_xml(relationships))
        archive.writestr("_rels/.rels", _relationships_xml([("officeDocument", "xl/workbook.xml")]))
        archive.writestr("[Content_Types].xml", f'<Types xmlns="{_PACKAGE}/content-types"/>')
    file.seek(0)
    return file


def _add_part(archive: zipfile.ZipFile, name: str, xml: bytes) -> None:
    method = zipfile.ZIP_DEFLATED if len(xml) > _MAX_STORED_BYTES else zipfile.ZIP_STORED
    archive.writestr(name, xml, method, compresslevel=1)


def _relationships_xml(relationships: Sequence[tuple[str, str]]) -> str:
    elements = "".join(
        f'<Relationship Id="rId{number}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(relationships, 1)
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{elements}</Relationships>'
