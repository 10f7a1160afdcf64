"""Legal but unusual forms of an xlsx are read, and the attacks that look like them are still refused."""

from __future__ import annotations

import contextlib
import io
import re
import zipfile
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from invoca_bulk import errors, sheets
from invoca_bulk.sheets import plain_xml, workbook_reader, xlsx_scanner

if TYPE_CHECKING:
    from collections.abc import Mapping

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"

HEADER = ["description", "media_type", "quantity"]
ROWS = [HEADER, ["Spring", "Online: Email", 3], ["Summer", "#N/A", "=1+1"]]
TEXTS = [["Spring", "Online: Email", "3"], ["Summer", "#N/A", "#FORMULA! =1+1"]]
SHEET, WORKBOOK, STRINGS, STYLES = (
    "xl/worksheets/sheet1.xml",
    "xl/workbook.xml",
    "xl/sharedStrings.xml",
    "xl/styles.xml",
)
RELS = "xl/_rels/workbook.xml.rels"
PARTS = [SHEET, WORKBOOK, STRINGS, STYLES, RELS]


def workbook(make: Any) -> bytes:
    """An xlsx whose first text is a shared one."""
    strings = f'<sst xmlns="{MAIN}"><si><t>Spring</t></si></sst>'
    link = f'<Relationship Id="rId77" Type="{OFFICE}/sharedStrings" Target="sharedStrings.xml"/></Relationships>'
    data = make.repacked(
        make.xlsx(ROWS),
        {
            SHEET: lambda old: re.sub(rb't="\w+">((?!</c>).)*Spring.*?</c>', b't="s"><v>0</v></c>', old),
            RELS: lambda old: re.sub(rb"<Relationship [^>]*sharedStrings[^>]*>", b"", old).replace(
                b"</Relationships>", link.encode()
            ),
        },
    )
    return bytes(renamed(make, data, {STRINGS: ""}, {STRINGS: strings}))


def renamed(make: Any, data: bytes, names: Mapping[str, str], more: Mapping[str, str] = MappingProxyType({})) -> Any:
    """The container with parts under other names; an empty name leaves a part out."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {names.get(name, name): archive.read(name) for name in archive.namelist()}
    parts.pop("", None)
    return make.zipped(parts | more)


def texts(data: bytes, **options: Any) -> list[list[str]]:
    (sheet,) = sheets.load(data, **options)
    return [[str(cell) for cell in row] for row in sheet.frame.to_numpy()]


def refused(data: bytes, **options: Any) -> str:
    with pytest.raises(errors.UnreadableSheetError) as caught:
        sheets.load(data, **options)
    return str(caught.value)


def with_row(xml: str) -> Any:
    return lambda old: old.replace(b"</sheetData>", xml.encode() + b"</sheetData>")


def into_root(xml: bytes) -> Any:
    """Put something below the root of a part."""
    return lambda old: re.sub(
        rb"(<(?:worksheet|workbook|sst|styleSheet|Relationships)[^>]*>)", rb"\1" + xml, old, count=1
    )


def before_root(xml: bytes) -> Any:
    return lambda old: re.sub(rb"<(?=[a-zA-Z])", xml + b"<", old, count=1)


def utf16(old: bytes) -> bytes:
    text = re.sub(r"<\?xml.*?\?>", "", old.decode())
    return ('<?xml version="1.0" encoding="UTF-16"?>' + text).encode("utf-16")


def latin1(old: bytes) -> bytes:
    text = re.sub(r"<\?xml.*?\?>", "", old.decode())
    return ('<?xml version="1.0" encoding="ISO-8859-1"?>' + text).encode("latin-1")


FORMS: dict[str, Any] = {
    "a comment": into_root(b'<!-- <c r="A9"><v>1</v></c> <sheet name="x"/> -->'),
    "a comment before the root": before_root(b"<!-- from a report -->"),
    "a processing instruction": into_root(b'<?x <c r="A9"><v>1</v></c>?>'),
    "a DOCTYPE": before_root(b'<!DOCTYPE x SYSTEM "file:///etc/passwd">'),
    "a DOCTYPE with elements": before_root(b"<!DOCTYPE x [<!ELEMENT x ANY>]>"),
    "UTF-16": utf16,
    "ISO-8859-1": latin1,
    "a byte order mark": lambda old: b"\xef\xbb\xbf" + old,
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("form", FORMS)
def test_legal_xml_is_read_in_every_part(make: Any, form: str, part: str) -> None:
    """Comments, DOCTYPE without entities and other encodings change nothing."""
    assert texts(make.repacked(workbook(make), {part: FORMS[form]})) == TEXTS


def bomb(depth: int) -> bytes:
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, depth))
    return f'<!DOCTYPE x [<!ENTITY a0 "lol">{entities}]>'.encode()


ATTACKS: dict[str, bytes] = {
    "an entity": b'<!DOCTYPE x [<!ENTITY a "b">]>',
    "a bomb of entities": bomb(10),
    "an external entity": b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
    "a parameter entity": b'<!DOCTYPE x [<!ENTITY % a SYSTEM "file:///etc/passwd"> %a;]>',
    "an entity after a comment": b'<!-- --><!DOCTYPE x [<!ELEMENT x ANY><!ENTITY a "b">]>',
    "an entity in a comment's end": b'<!DOCTYPE x [<!-- ]> --><!ENTITY a "b">]>',
    "an attribute of all cells": b'<!DOCTYPE worksheet [<!ATTLIST c r CDATA "XFD1048576">]>',
    "two DOCTYPEs": b"<!DOCTYPE a><!DOCTYPE b>",
    "an unclosed comment": b"<!-- ",
    "an unclosed CDATA": b"<![CDATA[ ",
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("attack", ATTACKS)
def test_entities_are_refused_in_every_part(make: Any, attack: str, part: str) -> None:
    """A DOCTYPE may declare no entities, whatever the part and its encoding."""
    for encode in (bytes, utf16):
        data = make.repacked(workbook(make), {part: lambda old, e=encode: e(before_root(ATTACKS[attack])(old))})
        assert "damaged or incomplete" in refused(data)


@pytest.mark.parametrize("encoding", ["x-none", "zlib", "cp037"])
def test_parts_in_other_encodings_than_they_say_are_refused(make: Any, encoding: str) -> None:
    """An unknown encoding, and one in which the part is not written."""
    declaration = f'<?xml version="1.0" encoding="{encoding}"?>'.encode()
    edit = {SHEET: lambda old: declaration + re.sub(rb"<\?xml.*?\?>", b"", old)}
    assert "damaged or incomplete" in refused(make.repacked(workbook(make), edit))


#: Hundreds of thousands of these take minutes or hours, if the search for the end or the cell of each begins anew.
ENDLESS = {
    "comments": "<!--",
    "CDATA": "<![CDATA[",
    "processing instructions": "<?",
    "errors": '<c r="A4" t="e">',
    "formulas in one cell": "<f/></c>",
    "sums in one cell": "<f>SUM(A1:A2)</f>",
    "values in one cell": "</is><v/>",
    "far cells": '<c r="XFD1048576">x',
}


@pytest.mark.parametrize("case", ENDLESS)
def test_what_has_no_end_is_searched_for_once(make: Any, case: str) -> None:
    """A small file of openings without ends is refused, or read, at once."""
    attack = with_row('<c r="A4">' + ENDLESS[case] * 300_000)
    data = make.repacked(make.xlsx(ROWS), {SHEET: attack})
    assert len(data) < 100_000
    with contextlib.suppress(errors.UnreadableSheetError):
        assert texts(data)[0] == TEXTS[0]


def test_formulas_of_rules_are_no_totals(make: Any) -> None:
    """A sum in a rule for the colours of cells, which is below the cells, does not make the last row a total."""
    rule = b'<extLst><ext xmlns:xm="x"><xm:f>SUM(C$2:C$2)&gt;5</xm:f></ext></extLst></worksheet>'
    data = make.repacked(
        make.xlsx([HEADER, ["Spring", "Online: Email", 3], ["Summer", "Online: Email", 4]]),
        {SHEET: lambda old: old.replace(b"</worksheet>", rule)},
    )
    assert [row[2] for row in texts(data)] == ["3", "4"]
    assert texts(data)[1][0] == "Summer"


@pytest.mark.parametrize("xml", ["<c r='A4'><v>1</v></c>", "&a;"])
def test_comments_cannot_hide_cells(make: Any, xml: str) -> None:
    """What is in a comment or CDATA is no cell for either reader."""
    row = f'<row r="4"><!--{xml}--><c r="B4" t="inlineStr"><is><t><![CDATA[{xml} & ]]>b</t></is></c></row>'
    assert texts(make.repacked(workbook(make), {SHEET: with_row(row)})) == [*TEXTS, ["", f"{xml} & b", ""]]


def test_a_far_cell_beside_a_comment_is_refused(make: Any) -> None:
    """The span of the cells is checked after the XML has its plain form."""
    row = '<row r="4"><c><!-- --><v>1</v></c><c  t="n"\nr="XFD1048576"><v>1<!-- --></v></c></row>'
    assert "the cell XFD1048576 is far away" in refused(make.repacked(workbook(make), {SHEET: with_row(row)}))


@pytest.mark.parametrize("sheet", ["Notes", None])
def test_a_far_cell_matters_on_the_wanted_sheet_only(make: Any, sheet: str | None) -> None:
    """A workbook is read although a cell is far away on another sheet; the sheet itself is refused with the address."""
    far = '<row r="90000"><c r="XFA90000" t="e"><v>#N/A</v></c></row>'
    book = make.book(May=ROWS, Notes=[["description"], ["x"]])
    data = make.repacked(book, {"xl/worksheets/sheet2.xml": with_row(far)})
    if sheet is None:
        assert texts(data) == TEXTS
    else:
        assert "the cell XFA90000 is far away" in refused(data, sheet=sheet)


def test_many_sheets_are_limited_together(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sheets that are not wanted count, too: a workbook can have thousands."""
    monkeypatch.setattr(xlsx_scanner, "MAX_CELLS", 30)
    assert "million cells" in refused(make.book(May=ROWS, **{f"Notes {n}": ROWS for n in range(4)}))


# The package


def moved(make: Any) -> bytes:
    """All parts of the workbook in other places."""
    new_names = {
        WORKBOOK: "book/main.xml",
        RELS: "book/_rels/main.xml.rels",
        SHEET: "book/one.xml",
        STRINGS: "book/sharedStrings.xml",
    }
    data = make.repacked(
        workbook(make),
        {
            "_rels/.rels": lambda old: old.replace(b"xl/workbook.xml", b"book/main.xml"),
            RELS: lambda old: old.replace(b"/xl/worksheets/sheet1.xml", b"./x/../one.xml"),
        },
    )
    return bytes(renamed(make, data, new_names))


def with_sheet(entry: str, relationship: str = "") -> dict[str, Any]:
    return {
        WORKBOOK: lambda old: old.replace(b"</sheets>", entry.encode() + b"</sheets>"),
        RELS: lambda old: old.replace(b"</Relationships>", relationship.encode() + b"</Relationships>"),
    }


def relationship(kind: str, target: str, extra: str = "") -> str:
    return f'<Relationship Id="rId99" Type="{OFFICE}/{kind}" Target="{target}" {extra}/>'


ENTRY = f'<sheet name="Other" sheetId="99" r:id="rId99" xmlns:r="{OFFICE}"/>'
WORKSHEET = relationship("worksheet", "worksheets/sheet1.xml")
PACKAGES: dict[str, Any] = {
    "the workbook elsewhere": moved,
    "no relationships of the package": lambda make: renamed(make, workbook(make), {"_rels/.rels": ""}),
    "no relationship of the shared texts": lambda make: make.repacked(
        workbook(make), {RELS: lambda old: re.sub(rb"<Relationship [^>]*sharedStrings[^>]*>", b"", old)}
    ),
    "a sheet without r:id": lambda make: make.repacked(workbook(make), with_sheet('<sheet name="x" sheetId="9"/>')),
    "a sheet without a relationship": lambda make: make.repacked(workbook(make), with_sheet(ENTRY)),
    "a sheet without a part": lambda make: make.repacked(
        workbook(make), with_sheet(ENTRY, relationship("worksheet", "worksheets/sheet9.xml"))
    ),
    "a sheet elsewhere": lambda make: make.repacked(
        workbook(make), with_sheet(ENTRY, relationship("worksheet", "http://x/y", 'TargetMode="External"'))
    ),
    "a macro sheet": lambda make: make.repacked(
        workbook(make), with_sheet(ENTRY, relationship("xlMacrosheet", "worksheets/sheet1.xml"))
    ),
    "a dialog": lambda make: make.repacked(
        workbook(make), with_sheet(ENTRY, relationship("dialogsheet", "worksheets/sheet1.xml"))
    ),
    "a chart": lambda make: make.repacked(
        workbook(make), with_sheet(ENTRY, relationship("chartsheet", "worksheets/sheet1.xml"))
    ),
    "capitals and backslashes": lambda make: renamed(
        make, workbook(make), {SHEET: "XL\\Worksheets\\Sheet1.xml", STRINGS: "xl\\SharedStrings.xml"}
    ),
}


@pytest.mark.parametrize("case", PACKAGES)
def test_unusual_packages_are_read(make: Any, case: str) -> None:
    """The workbook is found by the relationships, and what is no worksheet is left out."""
    assert texts(PACKAGES[case](make)) == TEXTS


BROKEN_PACKAGES: dict[str, Any] = {
    "two sheets of one name": with_sheet(
        ENTRY.replace("Other", "Requests"), relationship("worksheet", "worksheets/sheet1.xml")
    ),
    "two relationships of one id": with_sheet(
        ENTRY, relationship("worksheet", "a.xml") + relationship("worksheet", "b.xml")
    ),
    "no relationships": {RELS: lambda _: b"<Relationships/>"},
    "another document": {WORKBOOK: lambda _: b"<document/>"},
    "a damaged workbook": {WORKBOOK: lambda old: old[:-5]},
    "damaged styles": {STYLES: lambda old: old[:-5]},
    "a worksheet of another kind": {SHEET: lambda _: b"\x00\x01"},
}


@pytest.mark.parametrize("case", BROKEN_PACKAGES)
def test_ambiguous_packages_are_refused(make: Any, case: str) -> None:
    """A package that could be read in two ways, or in none, is refused."""
    assert "damaged or incomplete" in refused(make.repacked(workbook(make), BROKEN_PACKAGES[case]))


def test_large_parts_are_not_made_a_tree(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workbook part of gigabytes would take ten times as much memory as a tree."""
    monkeypatch.setattr(plain_xml, "MAX_TREE_BYTES", 1_000)
    data = make.repacked(workbook(make), {WORKBOOK: into_root(b" " * 1_000)})
    assert "damaged or incomplete" in refused(data)


@pytest.mark.parametrize("state", ["visible", "hidden", "veryHidden"])
@pytest.mark.parametrize("file_format", ["xlsx", "xlsm"])
def test_worksheets_know_their_visibility(make: Any, file_format: str, state: str) -> None:
    """Excel's states hidden and veryHidden come with the grid."""
    data = make.repacked(
        getattr(make, file_format)(ROWS),
        {WORKBOOK: lambda old: re.sub(rb' state="\w+"', f' state="{state}"'.encode(), old)},
    )
    (grid,) = workbook_reader.read_grids(data, "xlsx", None)
    assert grid.visibility == {"veryHidden": "very hidden"}.get(state, state)


# Texts

NEW_ERRORS = [
    "#SPILL!",
    "#CALC!",
    "#GETTING_DATA",
    "#BLOCKED!",
    "#FIELD!",
    "#UNKNOWN!",
    "#CONNECT!",
    "#BUSY!",
    "#PYTHON!",
]


@pytest.mark.parametrize("error", [*NEW_ERRORS, "#NV"])
def test_every_error_is_an_error_of_its_cell(make: Any, error: str) -> None:
    """Errors that calamine does not know leave the rest of the sheet readable, and are no value."""
    row = f'<row r="4"><c r="A4" t="inlineStr"><is><t>x</t></is></c><c r="B4" t="e"><f>A1</f><v>{error}</v></c></row>'
    data = make.repacked(workbook(make), {SHEET: with_row(row)})
    text = error if error in NEW_ERRORS[:-1] else f"#ERROR! {error}"
    assert texts(data) == [*TEXTS, ["x", text, ""]]


SPACES = {
    "on each text": ('<is><r><t xml:space="preserve">Big</t></r><r><t xml:space="preserve"> Sale</t></r></is>', bytes),
    "on the cell": ('<is xml:space="preserve"><r><t>Big</t></r><r><t> Sale</t></r></is>', bytes),
    "on the worksheet": (
        "<is><r><t>Big</t></r><r><t> Sale</t></r></is>",
        lambda old: old.replace(b"<worksheet", b'<worksheet xml:space="preserve"'),
    ),
    "on the worksheet, with a prefix": (
        "<is><r><t>Big</t></r><r><t> Sale</t></r></is>",
        lambda old: (
            re.sub(rb"<(/?)(?=\w)", rb"<\1x:", old)
            .replace(b"xmlns=", b"xmlns:x=", 1)
            .replace(b"<x:worksheet", b"<x:worksheet xml:space='preserve'")
        ),
    ),
}


@pytest.mark.parametrize("case", SPACES)
def test_inherited_spaces_are_kept(make: Any, case: str) -> None:
    """`xml:space` holds for all elements inside."""
    inline, edit = SPACES[case]
    row = f'<row r="4"><c r="A4" t="inlineStr">{inline}</c></row>'
    data = make.repacked(workbook(make), {SHEET: lambda old: edit(with_row(row)(old))})
    assert texts(data)[2] == ["Big Sale", "", ""]


def test_inherited_spaces_of_shared_texts_are_kept(make: Any) -> None:
    """The same on the part of the shared texts."""
    edit = {
        STRINGS: lambda old: old.replace(b"<sst", b'<sst xml:space="preserve"').replace(
            b"<t>Spring</t>", b"<r><t>Big</t></r><r><t> Sale</t></r>"
        )
    }
    assert texts(make.repacked(workbook(make), edit))[0][0] == "Big Sale"


INLINE_TEXTS = {
    "an empty value": '<c r="B4" t="inlineStr"><is><t>805</t></is><v/></c>',
    "an empty value with an end": '<c r="B4" t="inlineStr"><is><t>805</t></is><v></v></c>',
    "a value": '<c r="B4" t="inlineStr"><is><t>805</t></is> <v>0</v></c>',
    "a value before": '<c r="B4" t="inlineStr"><v>0</v><is><t>805</t></is></c>',
    "a style before": '<c r="B4" s="0" t="inlineStr"><is><t>805</t></is><v/></c>',
    "attributes in another order": '<c t="inlineStr" r="B4"><is><t>805</t></is><v/></c>',
    "single quotes": "<c r='B4' t='inlineStr'><is><t>805</t></is><v/></c>",
    "in the value itself": '<c r="B4" t="inlineStr"><v>805</v></c>',
    "in the value itself, with spaces": '<c r="B4" s="0" t="inlineStr"> <v xml:space="preserve">805</v> </c>',
    "a number beside a text": '<c r="B4"><is><t>7</t></is><v>805</v></c>',
    "phonetic": '<c r="B4" t="inlineStr"><is><t>805</t><rPh sb="0" eb="1"><t>x</t></rPh></is><v/></c>',
}


@pytest.mark.parametrize("case", INLINE_TEXTS)
def test_inline_texts_are_never_blank(make: Any, case: str) -> None:
    """An inline text is read although there is a `<v>` beside it."""
    data = make.repacked(workbook(make), {SHEET: with_row(f'<row r="4">{INLINE_TEXTS[case]}</row>')})
    assert texts(data)[2] == ["", "805", ""]
