"""The parts of an Office file and their relationships: a zip container, in which files say how they belong together."""

from __future__ import annotations

import posixpath
import re
import zipfile
from dataclasses import dataclass

from invoca_bulk.sheets import plain_xml

DEFAULT_WORKBOOK_PART = "xl/workbook.xml"
_WORKBOOK_ROOT = re.compile(rb"<(?:[\w.-]+:)?workbook[\s>]")
_ROOT_SEARCH_BYTES = 4_000


def normalize_member_name(name: str) -> str:
    """The name of a zip member for comparison; some programs write backslashes or capitals."""
    return name.replace("\\", "/").lstrip("/").lower()


@dataclass(frozen=True, kw_only=True)
class Relationship:
    """That a part refers to another one."""

    key: str  # by which the part names it
    kind: str  # the last word of its type, such as `worksheet`
    target: str  # the other part; empty: it is outside of the file


class Package:
    """The parts of an open zip container, by their normalized names."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._members = {normalize_member_name(name): name for name in archive.namelist()}

    def __contains__(self, part: str) -> bool:
        return part in self._members

    def read(self, part: str) -> bytes:
        """The content of a part; KeyError if there is none."""
        return self._archive.read(self._members[part])

    def read_relationships(self, part: str) -> list[Relationship]:
        """To which parts a part refers; an empty part: the whole package. ValueError if two have the same key."""
        folder, name = posixpath.split(part)
        member = posixpath.join(folder, "_rels", f"{name}.rels")
        if member not in self:
            return []
        elements = plain_xml.parse(self.read(member)).iterfind("{*}Relationship")
        relationships = [
            Relationship(
                key=element.get("Id", ""),
                kind=element.get("Type", "").rpartition("/")[2],
                target="" if element.get("TargetMode") == "External" else _resolve(folder, element.get("Target", "")),
            )
            for element in elements
        ]
        if len({relationship.key for relationship in relationships}) < len(relationships):
            raise ValueError("a relationship repeats")
        return relationships

    def find_workbook_part(self) -> str | None:
        """The main part of an Excel workbook in XML; None if this is another kind of file."""
        targets = [each.target for each in self.read_relationships("") if each.kind == "officeDocument"]
        part = next((target for target in targets if target in self), DEFAULT_WORKBOOK_PART)
        if part not in self:
            return None
        with self._archive.open(self._members[part]) as file:
            start = file.read(_ROOT_SEARCH_BYTES)
        return part if _WORKBOOK_ROOT.search(start.replace(b"\0", b"")) else None  # UTF-16 has NULs


def _resolve(folder: str, target: str) -> str:
    return normalize_member_name(posixpath.normpath(posixpath.join("/", folder, target.replace("\\", "/"))))
