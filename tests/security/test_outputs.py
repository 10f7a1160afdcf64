"""Output security: no formulas, private, written atomically, never over an input or through a symlink."""

from __future__ import annotations

import csv
import io
import os
import re
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openpyxl
import pandas as pd
import pytest

import invoca_bulk as ib
from invoca_bulk.errors import OutputError
from invoca_bulk.reports import files
from tests.systems import posix_only

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from invoca_bulk.config.network import Network

    ReadFiles = Callable[[Path], dict[str, bytes]]


RUNS = "=cmd|' /C calc'!A0"
STARTS = [RUNS, "+1+cmd", "-1+cmd", "@SUM(A1)", "\t=1", "\r=1", "'=1", "''=1", '=HYPERLINK("http://x")', "=1+1\n=2"]
ROW = {
    "advertiser_id_from_network": "A-1",
    "advertiser_campaign_id_from_network": "C-1",
    "description": "good",
    "media_type": "Online: Display",
}


# Formulas


def _table(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def _assert_nothing_runs(folder: Path, read_files: ReadFiles) -> None:
    """Assert that workbooks have no formula, link or macro, and CSV files no cell that a spreadsheet would run."""
    contents = read_files(folder)
    extensions = {name.rpartition(".")[2] for name in contents}
    assert {"xlsx", "csv"} <= extensions
    for name, content in contents.items():
        if "/xl/worksheets/" in name and name.endswith(".xml"):
            assert not re.search(rb"<f[ >/]|<hyperlink|<oleObject|t=\"str\"", content), name
        assert not re.search(r"xl/(vba|externalLink|connections|drawings/_rels|activeX)", name)
    for path in folder.rglob("*.csv"):
        for text in (cell for row in _table(path) for cell in row):
            assert not re.match(r"[=+\-@\t\r](?!\d+\Z)", text), (path.name, text)
            assert not re.fullmatch(r"[=\-@\t\r].*", text, re.DOTALL), (path.name, text)


def test_no_sheet_cell_is_written_as_a_formula(odd: Any, tmp_path: Path, read_files: ReadFiles) -> None:
    """Cells, unknown columns and titles that look like formulas are written as text, and read back unchanged."""
    frame = pd.DataFrame([{**ROW, "description": text.strip(), "notes": text, RUNS: text} for text in STARTS])
    wrong = frame.assign(media_type=RUNS)
    network = odd.network()
    for ending in ("xlsx", "csv"):
        ib.plan(frame, network).to_excel(tmp_path / f"plan.{ending}")
        ib.validate(wrong).to_excel(tmp_path / f"annotated.{ending}")
        output = tmp_path / f"results.{ending}"
        ib.run(frame, network, yes=True, again=True, progress=False, output=output)
        back: Any = ib.read(output)
        assert list(back[RUNS]) == STARTS
        assert list(back["notes"]) == STARTS
    _assert_nothing_runs(tmp_path, read_files)
    assert sorted(body["description"] for body in odd.posts) == sorted(text.strip() for text in STARTS * 2)


def test_no_response_is_written_as_a_formula(odd: Any, reply: Any, tmp_path: Path, read_files: ReadFiles) -> None:
    """Texts, ids and error messages of the platform that look like formulas are written as text."""
    created = {"id": RUNS, "id_from_network": RUNS, "promo_number": "+18055550100", "object_url": RUNS}
    replies = [reply(201, created), reply(403, {"message": RUNS}), reply(403, {"errors": {RUNS: [RUNS]}})]
    for ending in ("xlsx", "csv"):
        odd.replies.extend([*replies, reply(500, {"errors": {"class": RUNS, "invalid_data": RUNS}})])
        frame = pd.DataFrame([ROW] * 4)
        output = tmp_path / f"results.{ending}"
        ib.run(frame, odd.network(), yes=True, again=True, progress=False, concurrency=1, output=output)
        back: Any = ib.read(output)
        assert back["object_url"].iloc[0] == RUNS
        assert back["promo_number"].iloc[0] == "+18055550100"
        assert back["result_error"].str.contains("cmd").tolist() == [False, True, True, True]
    _assert_nothing_runs(tmp_path, read_files)


def test_export_has_no_formula_and_plans_as_unchanged(
    odd: Any, reply: Any, tmp_path: Path, read_files: ReadFiles
) -> None:
    """Platform values that look like formulas are exported as text and read back unchanged."""
    site = {"id_from_network": "1", "name": "@SUM(A1)"}
    user = {"id_from_network": "U-1", "first_name": RUNS, "last_name": "-1", "role": "Super"}
    user |= {"contact_phone_number": "8055550100", "email_settings": []}
    custom = {"channel": "+1+1", RUNS: RUNS}
    advertiser = {"id": 1, "id_from_network": "=A-1", "name": RUNS, "sites": [site], "users": [user]}
    advertiser["custom_data"] = custom
    for ending in ("xlsx", "csv"):
        path = tmp_path / f"export.{ending}"
        odd.reads.append(reply(200, [advertiser]))
        ib.export("advertisers", odd.network(), output=path)
        odd.reads.append(reply(200, [advertiser]))
        plan = ib.plan(path, odd.network())
        assert set(plan.counts) == {"unchanged"}, plan.lines()
    _assert_nothing_runs(tmp_path, read_files)
    assert RUNS in str(
        [[cell.value for cell in row] for row in openpyxl.load_workbook(tmp_path / "export.xlsx").worksheets[0]]
    )


def test_templates_have_no_formula(tmp_path: Path, read_files: ReadFiles) -> None:
    """Our only formulas are column validations, which Excel stores outside the cells."""
    for resource in ("advertisers", "promo_numbers"):
        for ending in ("xlsx", "csv"):
            ib.template(resource, tmp_path / f"{resource}.{ending}")
    _assert_nothing_runs(tmp_path, read_files)


# Destinations

#: Name of an output to the function that writes it: takes the path, the sheet and the network.
WRITERS: Mapping[str, Callable[[Path, Path, Network], object]] = {
    "annotated": lambda path, sheet, _: ib.validate(sheet).to_excel(path),
    "plan": lambda path, sheet, network: ib.plan(sheet, network).to_excel(path),
    "saved plan": lambda path, sheet, network: ib.plan(sheet, network).save(path.with_suffix(".json")),
    "results": lambda path, sheet, network: ib.run(sheet, network, yes=True, progress=False, output=path),
    "export": lambda path, _, network: ib.export("advertisers", network, output=path),
    "template": lambda path, _, __: ib.template("promo_numbers", path, force=True),
}


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    """A sheet of one request, readable by others."""
    (tmp_path / "input").mkdir()
    path = tmp_path / "input" / "sheet.csv"
    pd.DataFrame([ROW]).to_csv(path, index=False)
    path.chmod(0o644)
    return path


@posix_only
@pytest.mark.parametrize("ending", [".xlsx", ".csv"])
@pytest.mark.parametrize("name", WRITERS)
def test_outputs_are_private(sheet: Path, network: Network, name: str, ending: str) -> None:
    """Only the user can read an output, whatever the umask; no other file is left in its folder."""
    old_umask = os.umask(0)
    try:
        WRITERS[name](sheet.with_name(f"out{ending}"), sheet, network)
    finally:
        os.umask(old_umask)
    (written,) = set(sheet.parent.iterdir()) - {sheet}
    assert stat.S_IMODE(written.stat().st_mode) == 0o600


@posix_only
@pytest.mark.parametrize("target", ["existing.csv", "missing.csv", "folder"])
@pytest.mark.parametrize("name", WRITERS)
def test_no_output_follows_a_symlink(sheet: Path, network: Network, name: str, target: str) -> None:
    """The target of a symlink is never changed or created."""
    outside = sheet.parent.parent / "outside"
    (outside / "folder").mkdir(parents=True)
    (outside / "existing.csv").write_text("precious")
    link = sheet.with_name("out.json" if name == "saved plan" else "out.csv")
    link.symlink_to(outside / target)
    try:
        WRITERS[name](link, sheet, network)
    except OutputError as error:
        assert "symbolic link" in str(error)  # noqa: PT017  writing to another name is fine too
    assert link.is_symlink()
    assert sorted(path.name for path in outside.rglob("*")) == ["existing.csv", "folder"]
    assert (outside / "existing.csv").read_text() == "precious"


def _itself(sheet: Path) -> Path:
    return sheet


def _hard_link(sheet: Path) -> Path:
    sheet.with_name("hard.csv").hardlink_to(sheet)
    return sheet.with_name("hard.csv")


def _folder_link(sheet: Path) -> Path:
    (sheet.parent.parent / "linked").symlink_to(sheet.parent)
    return sheet.parent.parent / "linked" / sheet.name


def _roundabout(sheet: Path) -> Path:
    return sheet.parent / ".." / sheet.parent.name / "." / sheet.name


def _relative(sheet: Path) -> Path:
    return Path(os.path.relpath(sheet))


@pytest.mark.parametrize(
    "other_name", [_itself, _hard_link, pytest.param(_folder_link, marks=posix_only), _roundabout, _relative]
)
@pytest.mark.parametrize("name", [name for name in WRITERS if name not in {"saved plan", "template"}])
def test_no_output_overwrites_the_input(
    sheet: Path, network: Network, name: str, other_name: Callable[[Path], Path]
) -> None:
    """The input is never overwritten, whatever name the output path uses for it.

    Saved plans are left out: they end in .json, and sheets do not. Names that differ in case need no test, since the
    code asks the file system whether two paths are the same file.
    """
    before = sheet.read_bytes()
    try:
        WRITERS[name](other_name(sheet), sheet, network)
    except OutputError as error:
        assert "never overwritten" in str(error)  # noqa: PT017  writing to another name is fine too
    assert sheet.read_bytes() == before


@posix_only
def test_file_is_synced_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is written under a private temporary name in the same folder, synced, renamed, and the folder synced."""
    target, events = tmp_path / "out.txt", []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    sync, rename = os.fsync, os.replace

    def recording_sync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        events.append("folder synced" if is_folder else f"{os.fstat(descriptor).st_size} bytes synced")
        sync(descriptor)

    def recording_rename(source: Any, name: Any) -> None:
        assert Path(source).parent == Path(name).parent == tmp_path
        assert stat.S_IMODE(Path(source).stat().st_mode) == 0o600
        assert not target.exists()
        events.append("renamed")
        rename(source, name)

    monkeypatch.setattr(os, "fsync", recording_sync)
    monkeypatch.setattr(os, "replace", recording_rename)
    files.write_file(target, lambda stream: stream.write(b"hello") and None)
    assert events == ["5 bytes synced", "renamed", "folder synced"]


@posix_only
def test_symlink_created_during_the_write_is_replaced(tmp_path: Path) -> None:
    """A symlink created between the check and the rename is not followed."""
    target, outside = tmp_path / "out.txt", tmp_path / "outside.txt"
    outside.write_text("precious")

    def write(stream: Any) -> None:
        target.symlink_to(outside)
        stream.write(b"hello")

    files.write_file(target, write)
    assert (outside.read_text(), target.read_text(), target.is_symlink()) == ("precious", "hello", False)


def test_csv_cell_with_delimiters_stays_one_cell(tmp_path: Path) -> None:
    """A CSV cell with delimiters and line breaks stays one cell."""
    text = 'a,"b\r\n=1\n;=2'
    with (tmp_path / "x.csv").open("wb") as stream:
        files.write_csv(stream, ["description"], [[text]])
    content = (tmp_path / "x.csv").read_bytes().decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(content, newline="")))[1] == [text]
