"""Malicious sheets: zip bombs, entities, macros, links."""

from __future__ import annotations

import ast
import io
import tomllib
import tracemalloc
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import defusedxml
import openpyxl
import pytest

import invoca_bulk as ib
from invoca_bulk import sheets
from invoca_bulk.errors import UnreadableSheetError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Workbook = Callable[..., bytes]
    ReadFiles = Callable[[Path], dict[str, bytes]]

SOURCE = Path(ib.__file__).parent
ROWS = [["description", "media_type", "quantity"], ["a", "b", "1"]]
SHEET = "xl/worksheets/sheet1.xml"


def cells(source: object) -> list[list[str]]:
    (only,) = sheets.load(source)  # type: ignore[arg-type]  # bytes
    rows: list[list[str]] = only.frame.to_numpy().tolist()
    return rows


def append_row(xml: str) -> Callable[[bytes], bytes]:
    return lambda old: old.replace(b"</sheetData>", xml.encode() + b"</sheetData>")


# Zip bombs; tests/sheets/test_refusals.py has the other kinds


def test_zip_bomb_in_many_parts_is_refused(workbook: Workbook) -> None:
    """The size and ratio limits apply to all parts together, even if each part alone is small enough."""
    parts: Mapping[str, Any] = {f"xl/media/{number}.xml": lambda _: bytes(20_000_000) for number in range(5)}
    data = workbook(ROWS, parts)
    assert len(data) < 200_000
    with pytest.raises(UnreadableSheetError, match="unpacks to 100 MB"):
        sheets.load(data)


def test_nested_zip_bomb_is_not_unpacked(workbook: Workbook) -> None:
    """Parts other than worksheets, such as embedded archives, are not unpacked."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(100):
            archive.writestr(f"{number}.xlsx", bytes(10**6))
    nested = {f"xl/embeddings/{number}.zip": lambda _: inner.getvalue() for number in range(10)}
    data = workbook(ROWS, nested)
    tracemalloc.start()
    try:
        assert cells(data) == [["a", "b", "1"]]
        assert tracemalloc.get_traced_memory()[1] < 20 * 10**6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", [SHEET, "xl/worksheets/Sheet1.xml", "xl\\worksheets\\sheet1.xml", f"/{SHEET}"])
@pytest.mark.parametrize("first", ["good", "bad"])
def test_duplicate_part_cannot_hide_a_distant_cell(workbook: Workbook, name: str, first: str) -> None:
    """The part that is scanned for distant cells is the part that is read, or the file is refused."""
    good = workbook(ROWS)
    far = workbook(ROWS, {SHEET: append_row('<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')})
    with zipfile.ZipFile(io.BytesIO(good)) as good_archive, zipfile.ZipFile(io.BytesIO(far)) as bad_archive:
        parts = {part: good_archive.read(part) for part in good_archive.namelist()}
        contents = {"good": parts.pop(SHEET), "bad": bad_archive.read(SHEET)}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns about the duplicate
        for part, content in parts.items():
            archive.writestr(part, content)
        archive.writestr(SHEET, contents.pop(first))
        archive.writestr(name, *contents.values())
    try:
        assert cells(file.getvalue()) == [["a", "b", "1"]]
    except UnreadableSheetError as error:
        assert "50 million cells" in str(error) or "damaged" in str(error)  # noqa: PT017  either error is fine


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encoding_cannot_hide_a_distant_cell(workbook: Workbook, encoding: str) -> None:
    """A worksheet whose bytes cannot be scanned is not read."""
    far = append_row('<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')
    data = workbook(ROWS, {SHEET: lambda old: far(old).decode().replace("UTF-8", "UTF-16").encode(encoding)})
    with pytest.raises(UnreadableSheetError):
        sheets.load(data)


# Ways to make the scanner see another cell, or another part, than the reader

_GOOD, _RELATIONS, _BOOK = "xl/worksheets/good.xml", "xl/_rels/workbook.xml.rels", "xl/workbook.xml"
_FAR = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_SECOND = f'<Relationship Id="second" Type="{_OFFICE}/worksheet" Target="worksheets/good.xml"/>'.encode()
_SPACE = f'xmlns:r="{_OFFICE}"'.encode()


def _before_end(content: bytes) -> Callable[[bytes], bytes]:
    """Insert `content` at the end of the document's last list: sheets or relations."""

    def put(old: bytes) -> bytes:
        end = b"</sheets>" if b"</sheets>" in old else b"</Relationships>"
        return old.replace(end, content + end)

    return put


def _duplicate_relation(old: bytes) -> bytes:
    """Repeat the first relation with the same id but another part."""
    start = old.index(b"<Relationship ")
    first = old[start : old.index(b"/>", start) + 2]
    return _before_end(first.replace(b"sheet1.xml", b"good.xml"))(old)


def _hidden_relations(old: bytes) -> bytes:
    """Hide relations from a search for tags that contain no `<`."""
    return old.replace(b"<Relationship ", b'<Relationship x="<" ')


TRICKS: dict[str, dict[str, Callable[[bytes], bytes]]] = {
    "end of a tag in an attribute": {SHEET: append_row('<row r="3"><c r="XFD1048576" x="/>"><v>1</v></c></row>')},
    "two references": {SHEET: append_row('<row r="3"><c r="A3" r="XFD1048576"><v>1</v></c></row>')},
    "start of a tag in an attribute": {SHEET: append_row('<row r="3"><c x="<" r="XFD1048576"><v>1</v></c></row>')},
    "CDATA": {SHEET: append_row('<row r="3"><c r="A3"><![CDATA[<c r="]]></c><c r="XFD1048576"><v>1</v></c></row>')},
    "comment": {SHEET: append_row('<row r="3"><!-- <c r="A3" --><c r="XFD1048576"><v>1</v></c></row>')},
    "relation in a comment": {
        SHEET: append_row(_FAR),
        _RELATIONS: lambda old: old.replace(b"</Relationships>", b"<!-- " + _duplicate_relation(old)[-300:] + b" -->"),
    },
    "relation in a comment, the real one hidden": {
        SHEET: append_row(_FAR),
        _RELATIONS: lambda old: _hidden_relations(old) + b"<!--" + old.replace(b"sheet1.xml", b"good.xml") + b"-->",
    },
    "relation twice": {SHEET: append_row(_FAR), _RELATIONS: _duplicate_relation},
    "sheet twice": {
        SHEET: append_row(_FAR),
        _RELATIONS: _before_end(_SECOND),
        _BOOK: _before_end(b"<sheet " + _SPACE + b' name="Sheet" sheetId="7" state="visible" r:id="second"/>'),
    },
    "sheet in a comment": {
        SHEET: append_row(_FAR),
        _RELATIONS: _before_end(_SECOND),
        _BOOK: _before_end(b'<!--<sheet name="Sheet" r:id="second"/>-->'),
    },
    "two ids of a sheet": {
        SHEET: append_row(_FAR),
        _RELATIONS: _before_end(_SECOND),
        _BOOK: lambda old: old.replace(b" r:id=", b' q:id="second" r:id='),
    },
}


@pytest.mark.parametrize("trick", TRICKS)
def test_xml_tricks_cannot_hide_a_distant_cell(workbook: Workbook, trick: str) -> None:
    """Ambiguous XML is refused: reading a single such cell would end the process."""
    good = workbook(ROWS)
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        worksheet = archive.read(SHEET)
    with pytest.raises(UnreadableSheetError, match=r"damaged|far away"):
        sheets.load(workbook(ROWS, {_GOOD: lambda _: worksheet, **TRICKS[trick]}))


def test_cell_limit_covers_all_sheets_together(workbook: Workbook) -> None:
    """One sheet with a cell in Z999999 is allowed; 40 of them in a file of 25 KB would fill the memory."""
    numbers = range(40)
    with zipfile.ZipFile(io.BytesIO(workbook(ROWS))) as archive:
        far = append_row('<row r="999999"><c r="Z999999"><v>1</v></c></row>')(archive.read(SHEET))
    related = b"".join(
        _SECOND.replace(b"second", b"s%d" % number).replace(b"good", b"many%d" % number) for number in numbers
    )
    named = b"".join(
        b'<sheet %b name="n%d" sheetId="%d" r:id="s%d"/>' % (_SPACE, number, number + 9, number) for number in numbers
    )
    parts: Mapping[str, Any] = {f"xl/worksheets/many{number}.xml": lambda _: far for number in numbers}
    data = workbook(ROWS, {**parts, _RELATIONS: _before_end(related), _BOOK: _before_end(named)})
    assert len(data) < 50_000
    with pytest.raises(UnreadableSheetError, match="more than 50 million cells"):
        sheets.load(data)


@pytest.mark.parametrize("reference", ["&#88;FD1048576", "XFD&#49;048576", "xfd1048576", "$XFD$1048576"])
def test_escaped_reference_cannot_hide_a_distant_cell(workbook: Workbook, reference: str) -> None:
    """However a cell reference is spelled, it does not create a table of 17 billion cells."""
    data = workbook(ROWS, {SHEET: append_row(f'<row r="3"><c r="{reference}"><v>1</v></c></row>')})
    with pytest.raises(UnreadableSheetError):
        sheets.load(data)


# Entities


def _document(entity: str, url: str) -> tuple[bytes, bytes]:
    """Declarations of a billion-laughs bomb, a file and a URL entity; and a reference to one of them."""
    bomb = "".join(f'<!ENTITY a{level} "{f"&a{level - 1};" * 10}">' for level in range(1, 10))
    entities = f'<!ENTITY a0 "lol">{bomb}<!ENTITY file SYSTEM "file:///etc/passwd"><!ENTITY web SYSTEM "{url}">'
    return f"<!DOCTYPE x [{entities}]>".encode(), f"&{entity};".encode()


def _in_a_cell(old: bytes, declared: bytes, used: bytes) -> bytes:
    inline = b'<row r="3"><c r="A3" t="inlineStr"><is><t>' + used + b"</t></is></c></row></sheetData>"
    return declared + old.replace(b"</sheetData>", inline)


def _in_an_attribute(old: bytes, declared: bytes, used: bytes) -> bytes:
    return declared + old.replace(b'<c r="A2"', b'<c x="' + used + b'" r="A2"', 1)


def _strings(_: bytes, declared: bytes, used: bytes) -> bytes:
    names = b'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" count="1" uniqueCount="1"'
    return declared + b"<sst " + names + b"><si><t>" + used + b"</t></si></sst>"


def _names(old: bytes, declared: bytes, used: bytes) -> bytes:
    return declared + old.replace(b'name="Sheet"', b'name="' + used + b'"')


@pytest.mark.parametrize("entity", ["a9", "file", "web"])
@pytest.mark.parametrize(
    ("part", "edit"),
    [
        (SHEET, _in_a_cell),
        (SHEET, _in_an_attribute),
        ("xl/sharedStrings.xml", _strings),
        ("xl/workbook.xml", _names),
        (
            "xl/_rels/workbook.xml.rels",
            lambda old, declared, used: declared + old.replace(b'Id="', b'x="' + used + b'" Id="'),
        ),
        (
            "[Content_Types].xml",
            lambda old, declared, used: declared + old.replace(b"<Default ", b'<Default x="' + used + b'" '),
        ),
    ],
    ids=["cell", "attribute", "strings", "names", "relations", "types"],
)
def test_entities_are_not_resolved(workbook: Workbook, odd: Any, part: str, edit: Any, entity: str) -> None:
    """A billion-laughs bomb is not expanded, and no file or URL in an entity is opened."""
    declared, used = _document(entity, f"{odd.base_url}/api/x/1/entity")
    data = workbook(ROWS, {part: lambda old: edit(old, declared, used)})
    tracemalloc.start()
    try:
        text = repr(cells(data))
    except UnreadableSheetError as error:
        text = str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert "root:" not in text
    assert "lollol" not in text
    assert peak < 20 * 10**6
    assert odd.paths == []


@pytest.mark.parametrize("entity", ["a9", "file", "web"])
def test_ods_entities_are_not_resolved(odd: Any, entity: str) -> None:
    """The same for ods files, which are read in a separate process."""
    declared, used = _document(entity, f"{odd.base_url}/api/x/1/entity")
    content = (
        b'<?xml version="1.0"?>'
        + declared
        + b'<office:document-content xmlns:office="o" xmlns:table="t" xmlns:text="x">'
        b'<office:body><office:spreadsheet><table:table table:name="R"><table:table-row><table:table-cell '
        b'office:value-type="string"><text:p>description</text:p></table:table-cell></table:table-row><table:table-row>'
        b'<table:table-cell office:value-type="string"><text:p>x' + used + b"</text:p></table:table-cell>"
        b"</table:table-row></table:table></office:spreadsheet></office:body></office:document-content>"
    )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", content)
    with pytest.raises(UnreadableSheetError, match="damaged"):
        sheets.load(file.getvalue())
    assert odd.paths == []


def _imported(path: Path) -> set[str]:
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    names: set[str] = set()
    for node in tree:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_package_imports_no_xml_parser() -> None:
    """Only calamine and expat parse XML, without entities. Any other parser would have to be checked."""
    names = {name for path in SOURCE.rglob("*.py") for name in _imported(path)}
    parsers = ("xml.", "lxml", "openpyxl", "odf", "bs4", "xmltodict")
    assert {name for name in names if name.startswith(parsers)} == {
        "xml.etree.ElementTree",  # small parts of an xlsx, after `plain_xml.to_plain` has refused entities
        "xml.parsers.expat",
        "xml.sax.saxutils.escape",
    }


def test_read_excel_refuses_entities(workbook: Workbook) -> None:
    """`pandas.read_excel` uses openpyxl, which refuses entities if defusedxml is installed: it is a dependency."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [dependency for dependency in project["dependencies"] if dependency.startswith("defusedxml")]
    declared, used = _document("a9", "http://127.0.0.1:9")
    data = workbook(ROWS, {SHEET: lambda old: _in_a_cell(old, declared, used)})
    with pytest.raises(ValueError, match="could not read worksheets") as error_info:
        openpyxl.load_workbook(io.BytesIO(data))
    assert isinstance(error_info.value.__context__, defusedxml.EntitiesForbidden)


# Macros and links


def test_macros_and_links_are_dropped(workbook: Workbook, odd: Any, tmp_path: Path, read_files: ReadFiles) -> None:
    """From a workbook with macros and with links to another workbook and to the web, only the values are read.

    Nothing is fetched, and the annotated sheet has no macros, links or formulas.
    """
    url = f"{odd.base_url}/api/x/1/link"
    linked = (
        '<row r="3"><c r="A3" t="str"><f>[1]Sheet!$A$1</f><v>from elsewhere</v></c>'
        f'<c r="B3" t="str"><f>WEBSERVICE("{url}")</f><v>web</v></c>'
        '<c r="C3" t="str"><f>cmd|\'/C calc\'!A0</f><v>2</v></c></row>'
    )
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/externalLinkPath"
    relation = (
        f'<Relationships><Relationship Id="rId1" Type="{kind}" Target="{url}" TargetMode="External"/></Relationships>'
    )
    parts: Mapping[str, Any] = {
        SHEET: append_row(linked),
        "xl/vbaProject.bin": lambda _: b"\xd0\xcf\x11\xe0 Sub AutoOpen()",
        "xl/externalLinks/externalLink1.xml": lambda _: b"<externalLink/>",
        "xl/externalLinks/_rels/externalLink1.xml.rels": lambda _: relation.encode(),
        "xl/connections.xml": lambda _: (
            f'<connections><connection><webPr url="{url}"/></connection></connections>'.encode()
        ),
    }
    path = tmp_path / "sheet.xlsm"
    path.write_bytes(workbook(ROWS, parts))
    assert cells(path) == [["a", "b", "1"], ["from elsewhere", "web", "2"]]
    (tmp_path / "out").mkdir()
    ib.validate(path).to_excel(tmp_path / "out" / "annotated.xlsx")
    written = read_files(tmp_path / "out")
    assert [name for name in written if "vba" in name or "external" in name or "connections" in name] == []
    assert [name for name, content in written.items() if b"<f>" in content or b"127.0.0.1" in content] == []
    assert odd.paths == []
