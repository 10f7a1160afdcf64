from __future__ import annotations

import contextlib
import io
import os
import random
import re
import struct
import zipfile
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoca_bulk import errors, sheets
from invoca_bulk.sheets import sources, subprocess_reader, workbook_formats, xlsx_scanner
from tests.systems import linux_only, posix_only

HEADER = ["description", "media_type", "quantity"]
ROWS = [HEADER, ["a", "b", "1"]]
SHEET_XML = "xl/worksheets/sheet1.xml"


def load(source: Any, **options: Any) -> sheets.Sheet:
    (sheet,) = sheets.load(source, **options)
    return sheet


def refused(source: Any, **options: Any) -> str:
    with pytest.raises(errors.UnreadableSheetError) as caught:
        load(source, **options)
    message = str(caught.value)
    assert len(re.findall(r"[.!](?: |$)", message)) >= 2, "says what is wrong, and what to do"
    return message


def with_cells(make: Any, xml: str) -> bytes:
    end = b"</sheetData>"
    return bytes(make.repacked(make.xlsx(ROWS), {SHEET_XML: lambda old: old.replace(end, xml.encode() + end)}))


def protected_xls(make: Any) -> bytes:
    """An xls with an unimportant record turned into the one that announces encryption."""
    return bytes(make.xls(ROWS).replace(b"\xe1\0\x02\0\xb0\x04", b"\x2f\0\x02\0\x01\0"))


def protected_ods(make: Any) -> bytes:
    entry = b"<manifest:file-entry><manifest:encryption-data/></manifest:file-entry></manifest:manifest>"
    edit = {"META-INF/manifest.xml": lambda old: old.replace(b"</manifest:manifest>", entry)}
    return bytes(make.repacked(make.ods(ROWS), edit))


def protected_zip(make: Any) -> bytes:
    """An xlsx with the encryption flag of its first member set, in the central directory."""
    data = bytearray(make.xlsx(ROWS))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def damaged_manifest(make: Any) -> bytes:
    """An ods whose manifest, the last member, does not unpack."""
    with zipfile.ZipFile(io.BytesIO(make.ods(ROWS))) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["META-INF/manifest.xml"] = parts.pop("META-INF/manifest.xml")
    data = bytearray(make.zipped(parts))
    offset = bytes(data).rindex(b"PK\x03\x04") + 30 + len("META-INF/manifest.xml")
    data[offset : offset + 4] = b"\xff\xff\xff\xff"
    return bytes(data)


def bomb(make: Any) -> bytes:
    """One cell of 300 MB in a file of 300 KB."""
    file = io.BytesIO(make.xlsx(ROWS))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/media/big.xml", "w") as member:
        for _ in range(300):
            member.write(bytes(1_000_000))
    return file.getvalue()


def many_parts(make: Any) -> bytes:
    """More than two gigabytes by declared sizes, in parts that are small enough each."""
    data = bytearray(make.zipped({"xl/workbook.xml": "", **{f"xl/{number}.xml": "" for number in range(45)}}))
    for entry in re.finditer(b"PK\x01\x02", bytes(data)):
        struct.pack_into("<I", data, entry.start() + 24, 48_000_000)
    return bytes(data)


def lying_size(make: Any) -> bytes:
    """A worksheet with a declared size of 64 bytes, in both headers."""
    data = bytearray(make.xlsx(ROWS))
    for signature, name_offset, size_offset in ((b"PK\x03\x04", 30, 22), (b"PK\x01\x02", 46, 24)):
        offset = data.index(signature)
        while bytes(data[offset + name_offset :]).find(SHEET_XML.encode()) != 0:
            offset = data.index(signature, offset + 1)
        struct.pack_into("<I", data, offset + size_offset, 64)
    return bytes(data)


def no_rows_part(make: Any) -> bytes:
    """A workbook whose worksheet is not in the container."""
    with zipfile.ZipFile(io.BytesIO(make.xlsx(ROWS))) as archive:
        return bytes(make.zipped({name: archive.read(name) for name in archive.namelist() if name != SHEET_XML}))


def xls_with_wrong_dimensions(make: Any) -> bytes:
    """An xls whose worksheet declares more rows than fit into memory."""
    data = make.xls(ROWS)
    offset = data.index(b"\x00\x02\x0e\x00")  # the record Dimensions
    return bytes(data[: offset + 8] + b"\xff\xff\xff\x7f" + data[offset + 12 :])


def protected(make: Any) -> bytes:
    return bytes(make.ole("EncryptionInfo", "EncryptedPackage"))


FILES: dict[str, Any] = {
    "empty": (lambda _: b"", "The file is empty"),
    "blank lines": (lambda _: b"\n\n ,, \n", "The file is empty"),
    "empty workbook": (lambda make: make.xlsx([]), "The file is empty"),
    "no known title": (lambda _: b"a,b\n1,2\n", "No header row was found.*advertiser_id_from_network"),
    "same title twice": (lambda _: b"description,quantity, description \n", "columns A and C have the same title"),
    "same title twice, xlsx": (lambda make: make.xlsx([[*HEADER, "quantity"]]), "columns C and D have the same title"),
    "values without a title": (lambda _: b"description,,quantity\na,b,1\n", "column B has values but no title"),
    "values right of the table": (lambda make: make.xlsx([HEADER, ["a", "b", 1, None, "x"]]), "column E has values"),
    "two resources fit": (lambda _: b"action,custom_data.x\ncreate,2\n", "advertisers lacks id_from_network"),
    "binary": (lambda _: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is not a spreadsheet"),
    "PDF": (lambda _: b"%PDF-1.7\n", "is not a spreadsheet"),
    "zero bytes in UTF-16": (lambda _: "description\0,b\n".encode("utf-16"), "is not a spreadsheet"),
    "zero bytes, late": (lambda _: b"description,media_type\n" * 50 + b"\0", "is not a spreadsheet"),
    "web page saved as xls": (lambda _: b"\r\n<html xmlns:x='urn'><table><tr><td>description", "web page.*[.]xlsx"),
    "a table only": (lambda _: b"<table><tr><td>description</td></tr></table>", "web page"),
    "XML spreadsheet": (lambda _: b'\xef\xbb\xbf<?xml version="1.0"?><Workbook/>', "XML document"),
    "single file web page": (lambda _: b"MIME-Version: 1.0\n", "web page"),
    "no encoding": (lambda _: b"description,media_type\n\x81\x8d,b\n", "unknown text encoding.*CSV UTF-8"),
    "broken UTF-16": (lambda _: b"\xff\xfea\0b", "unknown text encoding"),
    "protected xlsx": (protected, "protected by a password"),
    "protected xls": (protected_xls, "protected by a password"),
    "protected ods": (protected_ods, "protected by a password"),
    "protected zip": (protected_zip, "protected by a password"),
    "Word document": (lambda make: make.ole("WordDocument"), "a Word document"),
    "zip archive": (lambda make: make.zipped({"rows.json": "description"}), "a zip archive, not a spreadsheet"),
    "docx": (lambda make: make.zipped({"word/document.xml": "<w:document/>"}), "a Word document"),
    "half an xlsx": (lambda make: make.xlsx(ROWS)[:2000], "damaged or incomplete"),
    "half an xls": (lambda make: make.xls(ROWS)[:2000], "or it is incomplete"),
    "no worksheet": (no_rows_part, "damaged or incomplete"),
    "damaged manifest": (damaged_manifest, "damaged or incomplete"),
    "broken XML": (lambda make: with_cells(make, "<row r='5'><c r='A5'><v>1</c></row>"), "damaged or incomplete"),
    "xls without sheets": (lambda make: make.ole("Workbook"), "damaged or incomplete"),
    "bomb": (bomb, "unpacks to 300 MB"),
    "many parts": (many_parts, "unpacks to 2,208 MB"),
    "lying size": (lying_size, "damaged or incomplete"),
    "cell far away": (
        lambda make: with_cells(make, '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'),
        "more than 50 million cells",
    ),
    "cell far away, its row says otherwise": (
        lambda make: with_cells(make, '<row r="3"><c r="XFD1048576"><v>1</v></c></row>'),
        "more than 50 million cells",
    ),
    "cell far away, prefixed and quoted": (
        lambda make: with_cells(make, "<row r='3'><y:c s='1'\nr='XFD1048576' xmlns:y='z'><v>1</v></y:c></row>"),
        "more than 50 million cells",
    ),
    "cell far down": (
        lambda make: with_cells(make, '<row r="3"><c r="A99999999"><v>1</v></c></row>'),
        "more than 50 million cells",
    ),
    "cells without references, far apart": (
        lambda make: with_cells(make, "<row/>" * 20_000 + "<row>" + "<c><v>1</v></c>" * 16_384 + "</row>"),
        "more than 50 million cells",
    ),
    "cell far away, xlsb": (lambda make: make.far_xlsb(ROWS), "50 million cells: the cell XFD1048576 is far away"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_cannot_be_read_is_refused_in_two_sentences(make: Any, case: str) -> None:
    """The message says what is wrong with the file, and what to do; no other exception is raised."""
    build, message = FILES[case]
    assert re.search(message, refused(build(make)))


LIMITS = {"TIME_LIMIT_SECONDS": 0.01, "MEMORY_LIMIT_BYTES": 1_000_000}


@linux_only
@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("file_format", ["xls", "xlsb", "ods"])
def test_a_reader_over_its_limits_is_stopped(
    make: Any, monkeypatch: pytest.MonkeyPatch, file_format: str, limit: str
) -> None:
    """A file that takes too much time or memory is refused; the process that reads it may even crash."""
    rows = [HEADER, *([random.Random(seed).randbytes(15_000).hex()] for seed in range(100))]  # noqa: S311  test data
    monkeypatch.setattr(subprocess_reader, limit, LIMITS[limit])
    assert "damaged, or has a cell far away" in refused(getattr(make, file_format)(rows))


def test_declared_dimensions_are_not_believed(make: Any) -> None:
    """An xls that declares more rows than fit into memory is read: only its cells count."""
    assert load(xls_with_wrong_dimensions(make)).frame.to_numpy().tolist() == ROWS[1:]


def test_the_message_starts_with_the_name_of_the_file(tmp_path: Any) -> None:
    """The message of an error in a file names the file."""
    path = tmp_path / "May requests.csv"
    path.write_bytes(b"")
    assert refused(path).startswith("May requests.csv: The file is empty.")


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Any) -> None:
    """The message says what the path leads to instead of a file."""
    assert "This is a folder" in refused(tmp_path)
    assert "There is no file at" in refused(tmp_path / "none.xlsx")
    assert "cannot be read" in refused("a\0b")


def test_a_file_over_the_limit_is_refused_before_it_is_read(tmp_path: Any) -> None:
    """A file larger than the limit is not read into memory."""
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.truncate(sources.MAX_FILE_BYTES + 1)
    assert "more than 1 GiB" in refused(path)


def test_a_file_object_that_returns_none_is_refused() -> None:
    """If a file object returns no bytes, the message says how to open the file."""

    class ReadsNone:
        def read(self, _size: int) -> None:
            return None

    assert "open(path, 'rb')" in refused(ReadsNone())


def closed(path: Any) -> Any:
    with path.open("rb") as file:
        return file


UNREADABLE_FILE_OBJECTS: dict[str, Any] = {
    "closed": (closed, "cannot be read .* closed file"),
    "open for writing": (lambda path: path.open("ab"), "cannot be read"),
    "text in another encoding": (lambda path: path.open(encoding="ascii"), "cannot be read"),
    "without a size": (lambda _: SimpleNamespace(read=lambda: b""), "cannot be read"),
    "numbers": (lambda _: SimpleNamespace(read=lambda _size: 5), "cannot be read"),
}


@pytest.mark.parametrize("case", UNREADABLE_FILE_OBJECTS)
def test_a_file_object_that_cannot_be_read_is_refused(tmp_path: Any, case: str) -> None:
    """The message says what is wrong with the file object, and how to open the file."""
    build, message = UNREADABLE_FILE_OBJECTS[case]
    path = tmp_path / "rows.csv"
    path.write_bytes("description,quantity\n\u00e9,1\n".encode())
    source = build(path)
    try:
        assert re.search(f"{message}.*open\\(path, 'rb'\\)", refused(source))
    finally:
        getattr(source, "close", lambda: None)()


@posix_only
def test_devices_and_pipes_are_refused(tmp_path: Any) -> None:
    """Reading a device may never end, and a pipe may block; neither is opened."""
    os.mkfifo(tmp_path / "pipe.csv")
    assert "a device or a pipe" in refused(tmp_path / "pipe.csv")
    assert "a device or a pipe" in refused("/dev/zero")


def test_a_file_object_is_read_up_to_the_limit_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless file object is refused after one byte more than the limit."""
    sizes = []

    class Endless:
        def read(self, size: int) -> bytes:
            sizes.append(size)
            return bytes(min(size, 7))

    monkeypatch.setattr(sources, "MAX_FILE_BYTES", 100)
    assert "Split it" in refused(Endless())
    assert sizes[0] == 101
    assert sizes[-1] == 101 - 14 * 7


def test_a_file_object_with_short_reads_is_read_completely() -> None:
    """A raw file may return less than requested."""
    content = io.BytesIO(b"description,quantity\n" + b"a,1\n" * 100)

    class Slow:
        def read(self, size: int) -> bytes:
            return content.read(min(size, 7))

    assert len(load(Slow()).frame) == 100


@linux_only
def test_file_names_that_are_not_text_are_sanitized(tmp_path: Any) -> None:
    """For a file name of any bytes, source and messages can be written to any output."""
    path = tmp_path / os.fsdecode(b"\xff\n.csv")
    assert "\ufffd\ufffd.csv" in refused(path)
    refused(path).encode()
    path.write_bytes(b"description,quantity\na,1\n")
    loaded = load(path)
    assert (loaded.source, loaded.path) == ("\ufffd\ufffd.csv", path)
    assert load(sheets.read(path)).path == path
    with open(os.fsencode(path), "rb") as file:  # noqa: PTH123  such a file has bytes for its name
        assert load(file).source == loaded.source
        file.seek(0)
        assert load(file).path == path


@pytest.mark.parametrize("source", [["a"], None, 3])
def test_sources_of_a_wrong_type_are_refused(source: Any) -> None:
    """A list is neither a path nor a file."""
    assert "Pass the path of a file" in refused(source)


def test_the_error_of_a_missing_sheet_names_the_existing_ones(make: Any) -> None:
    """A wrong sheet name is an error that lists the sheets; a CSV file has none."""
    assert "The sheets are: 'Requests'" in refused(make.xlsx(ROWS), sheet="Juni")
    assert "The sheets are: 'Requests'" in refused(make.ods(ROWS), sheet="Juni")
    assert "no sheets to choose from" in refused(make.csv(ROWS), sheet="Requests")


def test_only_hidden_sheets_fit(make: Any) -> None:
    """A hidden sheet is read only if a person names it; the message says how."""
    content = make.xlsx(ROWS, edit=hide_behind_notes)
    assert re.search("Only hidden sheets have known titles: 'Requests'.*--sheet", refused(content))
    assert load(content, sheet="Requests").resource.name == "promo_numbers"


def hide_behind_notes(sheet: Any) -> None:
    sheet.sheet_state = "hidden"
    sheet.parent.active = sheet.parent.create_sheet("Notes")
    sheet.parent["Notes"].append(["soon"])


def test_an_unknown_resource_is_refused() -> None:
    """An unknown resource is a ConfigError; the message names the known ones."""
    with pytest.raises(errors.ConfigError, match="advertisers, promo_numbers"):
        load(b"", resource="campaigns")


def test_a_million_rows_are_within_the_limits() -> None:
    """A million rows of 40 columns are within the cell limit, and their results within the unpacked size."""
    assert xlsx_scanner.MAX_CELLS >= 40 * 1_048_576
    assert workbook_formats.MAX_UNPACKED_BYTES >= 1_048_576 * 20 * 70


@given(data=st.data())
def test_a_damaged_workbook_is_read_or_refused(make: Any, data: st.DataObject) -> None:
    """A worksheet with damaged bytes is read or refused; no other exception is raised."""

    def damage(xml: bytes) -> bytes:
        damaged = bytearray(xml)
        for _ in range(3):
            offset = data.draw(st.integers(0, len(xml) - 1))
            damaged[offset] = data.draw(st.sampled_from(b'0129AZae"<>/= \0\xff'))
        return bytes(damaged)

    with contextlib.suppress(errors.UnreadableSheetError):
        load(make.repacked(make.xlsx([HEADER, ["a", "#N/A", 1], ["b", "=1+1", 2]]), {SHEET_XML: damage}))
