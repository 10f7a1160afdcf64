from __future__ import annotations

import gzip
import io
import re
import zipfile
from typing import Any

import pytest

from invoca_bulk import errors, sheets
from invoca_bulk.sheets import sources, workbook_formats

CSV = b"description,media_type\na,b\n"
LOCK = b"\x03Ann".ljust(55) + b"\x03\0" + "Ann".ljust(54).encode("utf-16-le")


def refused(source: Any) -> str:
    with pytest.raises(errors.UnreadableSheetError) as caught:
        sheets.load(source)
    return str(caught.value)


KINDS: dict[str, tuple[bytes, str]] = {
    "sylk": (b'ID;PWXL;N;E\nC;Y1;X1;K"description"\nE\n', "a SYLK file.*save it as an Excel workbook"),
    "dif": (b'TABLE\r\n0,1\r\n"EXCEL"\r\n', "a DIF file"),
    "lock": (LOCK, "a lock that Excel.*without ~"),
    "html": (b"<html><body><table>", "a web page"),
    "html in UTF-16": ("\ufeff<table><tr>".encode("utf-16-le"), "a web page"),
    "xml spreadsheet": (
        b'<?xml version="1.0"?>\n<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet">',
        "an XML Spreadsheet 2003",
    ),
    "flat ods": (b'<?xml version="1.0"?><office:document office:mimetype="x">', "a flat OpenDocument file"),
    "mhtml": (b"From: <Saved by Blink>\nSubject: x\nMIME-Version: 1.0\n", "in one file"),
    "pdf": (b"%PDF-1.7", "a PDF document"),
    "rtf": (b"{\\rtf1\\ansi", "RTF"),
    "json": (b'{"rows": [1]}', "a JSON file"),
    "google": (b'{"url": "https://docs.google.com/open?id=1", "doc_id": "1"}', "a shortcut to a Google Sheet"),
    "url": (b"[InternetShortcut]\r\nURL=https://example.com", "a shortcut"),
    "parquet": (b"PAR1\x15\x04\x15", "a Parquet file.*read_parquet"),
    "lotus": (b"\0\0\x02\0\x06\x04\x06\0", "an old Lotus"),
    "dbase": (b"\x03\x70\x05\x01" + bytes(40), "a dBASE table"),
    "excel 4": (b"\x09\x04\x06\0\0\0\x10\0", "a workbook of Excel 2 to 5"),
    "zeros": (bytes(2_000), "nothing but zero bytes"),
    "saved response": (b"HTTP/1.1 200 OK\r\n\r\nPK\x03\x04rest", "begins only after 19 other bytes"),
    "picture": (b"\x89PNG\r\n\x1a\n", "a picture"),
    "7z": (b"7z\xbc\xaf\x27\x1c", "a compressed archive.*Unpack it"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_foreign_file_is_named_for_what_it_is(kind: str) -> None:
    """The message names the kind of the file, whatever its extension, and says what to do."""
    content, expected = KINDS[kind]
    assert re.search(expected, refused(content), re.DOTALL)


@pytest.mark.parametrize("stream", ["WordDocument", "__properties_version1.0", "Other"])
def test_an_office_document_is_named(make: Any, stream: str) -> None:
    """Documents of other programs of Office are told apart."""
    names = {"WordDocument": "a Word document", "__properties_version1.0": "an Outlook message"}
    assert names.get(stream, "an Office document") in refused(make.ole(stream))


def test_the_lock_of_a_workbook_is_known_by_its_name(tmp_path: Any) -> None:
    """A file named like a lock that is no workbook is said to be one, with the name of the workbook."""
    path = tmp_path / "~$May.xlsx"
    path.write_bytes(b"\x03Ann")
    assert "Choose 'May.xlsx'" in refused(path)


@pytest.mark.parametrize("start", ["ID;PHONE;description\n", "Table,description\n", "[x],description\n", "Note: x\n"])
def test_csv_files_that_start_like_others_are_read(start: str) -> None:
    """A CSV file is never taken for another kind because of its first title."""
    titles = "" if "description" in start else "description,media_type\n"
    assert sheets.load(f"{start}{titles}1;2;3\n".encode())


# Compressed sheets


def gzipped(*parts: bytes) -> bytes:
    return b"".join(map(gzip.compress, parts))


@pytest.mark.parametrize("case", ["gzip", "two members", "zip", "zip from a Mac", "workbook in a zip"])
def test_a_compressed_sheet_is_read(make: Any, case: str) -> None:
    """A gzip file, and a zip with one sheet in it, are read like the sheet itself."""
    files = {
        "gzip": gzipped(CSV),
        "two members": gzipped(CSV[:10], CSV[10:]),
        "zip": make.zipped({"folder/rows.csv": CSV}),
        "zip from a Mac": make.zipped({"rows.csv": CSV, "__MACOSX/._rows.csv": b"x", ".~lock.rows.csv#": b"x"}),
        "workbook in a zip": make.zipped({"May.xlsx": make.xlsx([["description", "media_type"], ["a", "b"]])}),
    }
    (sheet,) = sheets.load(files[case])
    assert sheet.frame.to_numpy().tolist() == [["a", "b"]]


@pytest.mark.parametrize("case", ["several", "none", "numbers", "nested", "cut off", "foreign inside"])
def test_other_archives_are_refused(make: Any, case: str) -> None:
    """An archive with several sheets lists them; one without a sheet, or within another, is refused."""
    content, expected = {
        "several": (make.zipped({"a.csv": CSV, "b.xlsx": b""}), "2 sheets: 'a.csv', 'b.xlsx'"),
        "none": (make.zipped({"a.png": b""}), "has no sheet in it, only: 'a.png'"),
        "numbers": (make.zipped({"Index/Document.iwa": b""}), "an Apple Numbers file"),
        "nested": (gzipped(gzipped(CSV)), "an archive within an archive"),
        "cut off": (gzipped(CSV)[:-9], "damaged or incomplete"),
        "foreign inside": (gzipped(b"%PDF-1.7"), "a PDF document"),
    }[case]
    assert expected in refused(content)


def test_a_gzip_bomb_is_refused() -> None:
    """A small file that unpacks to much more than a sheet could is refused before it fills the memory."""
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=9) as bomb:
        for _ in range(120):
            bomb.write(bytes(1_000_000))
    assert "too much for a spreadsheet of its size" in refused(file.getvalue())


def test_a_zip_bomb_that_looks_like_a_csv_is_refused() -> None:
    """The limits of workbooks hold for the sheet in a zip."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.csv", "w") as member:
        for _ in range(120):
            member.write(bytes(1_000_000))
    assert "too much for a spreadsheet of its size" in refused(file.getvalue())


def test_the_size_of_a_compressed_sheet_is_limited(monkeypatch: pytest.MonkeyPatch, make: Any) -> None:
    """What is compressed may be as large as a file, and no larger."""
    monkeypatch.setattr(sources, "MAX_FILE_BYTES", 1_000)
    content = CSV + b"x,y\n" * 1_000
    assert workbook_formats.detect_format(gzipped(content)) == "gzip"
    for compressed in (gzipped(content), make.zipped({"a.csv": content})):
        assert "Split it into smaller files" in refused(compressed)
