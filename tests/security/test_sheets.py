"""Sheets that were made to harm: bombs, entities, macros, links."""

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
    Everything = Callable[[Path], dict[str, bytes]]

SOURCE = Path(ib.__file__).parent
ROWS = [["description", "media_type", "quantity"], ["a", "b", "1"]]
SHEET = "xl/worksheets/sheet1.xml"


def cells(source: object) -> list[list[str]]:
    (only,) = sheets.load(source)  # type: ignore[arg-type]  # bytes
    rows: list[list[str]] = only.frame.to_numpy().tolist()
    return rows


def row(xml: str) -> Callable[[bytes], bytes]:
    return lambda old: old.replace(b"</sheetData>", xml.encode() + b"</sheetData>")


# Bombs: the other kinds are refused in tests/sheets/test_refusals.py


def test_a_bomb_in_many_parts_is_refused(workbook: Workbook) -> None:
    """Parts that are small enough each, and pack as only a bomb does, are as one: 7 MB a megabyte of file."""
    parts: Mapping[str, Any] = {f"xl/media/{number}.xml": lambda _: bytes(20_000_000) for number in range(5)}
    data = workbook(ROWS, parts)
    assert len(data) < 200_000
    with pytest.raises(UnreadableSheetError, match="unpacks to 100 MB"):
        sheets.load(data)


def test_a_bomb_inside_a_file_is_not_touched(workbook: Workbook) -> None:
    """What a workbook holds besides its sheets is not unpacked, an archive in it even less."""
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
def test_two_parts_of_one_name_cannot_hide_one(workbook: Workbook, name: str, first: str) -> None:
    """The part that is looked at for cells far away is the one that is read, or the file is refused."""
    good = workbook(ROWS)
    far = workbook(ROWS, {SHEET: row('<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')})
    with zipfile.ZipFile(io.BytesIO(good)) as one, zipfile.ZipFile(io.BytesIO(far)) as other:
        parts = {part: one.read(part) for part in one.namelist()}
        contents = {"good": parts.pop(SHEET), "bad": other.read(SHEET)}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of the second one
        for part, content in parts.items():
            archive.writestr(part, content)
        archive.writestr(SHEET, contents.pop(first))
        archive.writestr(name, *contents.values())
    try:
        assert cells(file.getvalue()) == [["a", "b", "1"]]
    except UnreadableSheetError as refused:
        assert "50 million cells" in str(refused) or "damaged" in str(refused)  # noqa: PT017  either is well


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_another_encoding_cannot_hide_a_cell_far_away(workbook: Workbook, encoding: str) -> None:
    """A worksheet whose bytes cannot be searched is not read either."""
    far = row('<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')
    data = workbook(ROWS, {SHEET: lambda old: far(old).decode().replace("UTF-8", "UTF-16").encode(encoding)})
    with pytest.raises(UnreadableSheetError):
        sheets.load(data)


# Ways to show the scan another cell, or another part, than the one that is read

_GOOD, _RELATIONS, _BOOK = "xl/worksheets/good.xml", "xl/_rels/workbook.xml.rels", "xl/workbook.xml"
_FAR = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_SECOND = f'<Relationship Id="second" Type="{_OFFICE}/worksheet" Target="worksheets/good.xml"/>'.encode()
_SPACE = f'xmlns:r="{_OFFICE}"'.encode()


def _before_end(content: bytes) -> Callable[[bytes], bytes]:
    """Puts something at the end of the document's last list: the sheets, or the relations."""

    def put(old: bytes) -> bytes:
        end = b"</sheets>" if b"</sheets>" in old else b"</Relationships>"
        return old.replace(end, content + end)

    return put


def _twice_named(old: bytes) -> bytes:
    """The first relation once more, under the same id, to another part."""
    start = old.index(b"<Relationship ")
    first = old[start : old.index(b"/>", start) + 2]
    return _before_end(first.replace(b"sheet1.xml", b"good.xml"))(old)


def _out_of_sight(old: bytes) -> bytes:
    """Relations that a search for tags without a `<` inside passes over."""
    return old.replace(b"<Relationship ", b'<Relationship x="<" ')


TRICKS: dict[str, dict[str, Callable[[bytes], bytes]]] = {
    "end of a tag in an attribute": {SHEET: row('<row r="3"><c r="XFD1048576" x="/>"><v>1</v></c></row>')},
    "two references": {SHEET: row('<row r="3"><c r="A3" r="XFD1048576"><v>1</v></c></row>')},
    "start of a tag in an attribute": {SHEET: row('<row r="3"><c x="<" r="XFD1048576"><v>1</v></c></row>')},
    "CDATA": {SHEET: row('<row r="3"><c r="A3"><![CDATA[<c r="]]></c><c r="XFD1048576"><v>1</v></c></row>')},
    "comment": {SHEET: row('<row r="3"><!-- <c r="A3" --><c r="XFD1048576"><v>1</v></c></row>')},
    "relation in a comment": {
        SHEET: row(_FAR),
        _RELATIONS: lambda old: old.replace(b"</Relationships>", b"<!-- " + _twice_named(old)[-300:] + b" -->"),
    },
    "relation in a comment, the real one out of sight": {
        SHEET: row(_FAR),
        _RELATIONS: lambda old: _out_of_sight(old) + b"<!--" + old.replace(b"sheet1.xml", b"good.xml") + b"-->",
    },
    "relation twice": {SHEET: row(_FAR), _RELATIONS: _twice_named},
    "sheet twice": {
        SHEET: row(_FAR),
        _RELATIONS: _before_end(_SECOND),
        _BOOK: _before_end(b"<sheet " + _SPACE + b' name="Sheet" sheetId="7" state="visible" r:id="second"/>'),
    },
    "sheet in a comment": {
        SHEET: row(_FAR),
        _RELATIONS: _before_end(_SECOND),
        _BOOK: _before_end(b'<!--<sheet name="Sheet" r:id="second"/>-->'),
    },
    "two ids of a sheet": {
        SHEET: row(_FAR),
        _RELATIONS: _before_end(_SECOND),
        _BOOK: lambda old: old.replace(b" r:id=", b' q:id="second" r:id='),
    },
}


@pytest.mark.parametrize("trick", TRICKS)
def test_no_spelling_hides_a_cell_far_away(workbook: Workbook, trick: str) -> None:
    """What cannot be told for sure is refused: one such cell, once it is read, ends the process."""
    good = workbook(ROWS)
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        other = archive.read(SHEET)
    with pytest.raises(UnreadableSheetError, match="damaged"):
        sheets.load(workbook(ROWS, {_GOOD: lambda _: other, **TRICKS[trick]}))


def test_many_sheets_have_no_more_cells_than_one(workbook: Workbook) -> None:
    """Each of 40 sheets may have a cell in Z999999; together they would fill the memory, from a file of 25 KB."""
    numbers = range(40)
    with zipfile.ZipFile(io.BytesIO(workbook(ROWS))) as archive:
        far = row('<row r="999999"><c r="Z999999"><v>1</v></c></row>')(archive.read(SHEET))
    related = b"".join(_SECOND.replace(b"second", b"s%d" % one).replace(b"good", b"many%d" % one) for one in numbers)
    named = b"".join(b'<sheet %b name="n%d" sheetId="%d" r:id="s%d"/>' % (_SPACE, one, one + 9, one) for one in numbers)
    parts: Mapping[str, Any] = {f"xl/worksheets/many{one}.xml": lambda _: far for one in numbers}
    data = workbook(ROWS, {**parts, _RELATIONS: _before_end(related), _BOOK: _before_end(named)})
    assert len(data) < 50_000
    with pytest.raises(UnreadableSheetError, match="more than 50 million cells"):
        sheets.load(data)


@pytest.mark.parametrize("reference", ["&#88;FD1048576", "XFD&#49;048576", "xfd1048576", "$XFD$1048576"])
def test_an_escaped_reference_cannot_hide_a_cell_far_away(workbook: Workbook, reference: str) -> None:
    """However a cell's place is spelt, it does not make a table of 17,000 million cells."""
    data = workbook(ROWS, {SHEET: row(f'<row r="3"><c r="{reference}"><v>1</v></c></row>')})
    with pytest.raises(UnreadableSheetError):
        sheets.load(data)


# Entities


def _document(entity: str, url: str) -> tuple[bytes, bytes]:
    """The declaration of a bomb of a billion laughs, a file and an address; and the use of one of them."""
    bomb = "".join(f'<!ENTITY a{at} "{f"&a{at - 1};" * 10}">' for at in range(1, 10))
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
    """A billion laughs stay a few bytes, and no file or address that an entity names is opened."""
    declared, used = _document(entity, f"{odd.base_url}/api/x/1/entity")
    data = workbook(ROWS, {part: lambda old: edit(old, declared, used)})
    tracemalloc.start()
    try:
        found = repr(cells(data))
    except UnreadableSheetError as refused:
        found = str(refused)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert "root:" not in found
    assert "lollol" not in found
    assert peak < 20 * 10**6
    assert odd.paths == []


@pytest.mark.parametrize("entity", ["a9", "file", "web"])
def test_entities_of_open_document_are_not_resolved(odd: Any, entity: str) -> None:
    """The same in an ods; its process of its own does not open anything either."""
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
            names |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{one.name}" for one in node.names}
    return names


def test_no_xml_parser_is_ours() -> None:
    """What parses XML here is calamine, which knows no entities; whoever brings another parser has to think of them."""
    names = {name for path in SOURCE.rglob("*.py") for name in _imported(path)}
    parsers = ("xml.", "lxml", "openpyxl", "odf", "bs4", "xmltodict")
    assert {name for name in names if name.startswith(parsers)} == {"xml.sax.saxutils.escape"}


def test_pandas_is_safe_beside_us(workbook: Workbook) -> None:
    """`pandas.read_excel` goes through openpyxl, which heeds defusedxml where it is installed: we have it installed."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert [one for one in project["dependencies"] if one.startswith("defusedxml")]
    declared, used = _document("a9", "http://127.0.0.1:9")
    data = workbook(ROWS, {SHEET: lambda old: _in_a_cell(old, declared, used)})
    with pytest.raises(ValueError, match="could not read worksheets") as refused:
        openpyxl.load_workbook(io.BytesIO(data))
    assert isinstance(refused.value.__context__, defusedxml.EntitiesForbidden)


# Macros and links


def test_macros_and_links_are_left_behind(workbook: Workbook, odd: Any, tmp_path: Path, everything: Everything) -> None:
    """A workbook with macros, a link to another workbook and one to the web: its values are read, and nothing else.

    Nothing is fetched, and the annotated sheet has neither macros nor links nor formulas.
    """
    there = f"{odd.base_url}/api/x/1/link"
    linked = (
        '<row r="3"><c r="A3" t="str"><f>[1]Sheet!$A$1</f><v>from elsewhere</v></c>'
        f'<c r="B3" t="str"><f>WEBSERVICE("{there}")</f><v>web</v></c>'
        '<c r="C3" t="str"><f>cmd|\'/C calc\'!A0</f><v>2</v></c></row>'
    )
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/externalLinkPath"
    relation = (
        f'<Relationships><Relationship Id="rId1" Type="{kind}" Target="{there}" TargetMode="External"/></Relationships>'
    )
    parts: Mapping[str, Any] = {
        SHEET: row(linked),
        "xl/vbaProject.bin": lambda _: b"\xd0\xcf\x11\xe0 Sub AutoOpen()",
        "xl/externalLinks/externalLink1.xml": lambda _: b"<externalLink/>",
        "xl/externalLinks/_rels/externalLink1.xml.rels": lambda _: relation.encode(),
        "xl/connections.xml": lambda _: (
            f'<connections><connection><webPr url="{there}"/></connection></connections>'.encode()
        ),
    }
    path = tmp_path / "sheet.xlsm"
    path.write_bytes(workbook(ROWS, parts))
    assert cells(path) == [["a", "b", "1"], ["from elsewhere", "web", "2"]]
    (tmp_path / "out").mkdir()
    ib.validate(path).save(tmp_path / "out" / "annotated.xlsx")
    written = everything(tmp_path / "out")
    assert [name for name in written if "vba" in name or "external" in name or "connections" in name] == []
    assert [name for name, content in written.items() if b"<f>" in content or b"127.0.0.1" in content] == []
    assert odd.paths == []
