"""What is written: no formula in it, nobody else's to read, whole, and never over an input or through a link."""

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

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from invoca_bulk.config.settings import Network

    Everything = Callable[[Path], dict[str, bytes]]

posix_only = pytest.mark.skipif(os.name != "posix", reason="links and modes as POSIX has them")

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


def _assert_nothing_runs(folder: Path, everything: Everything) -> None:
    """In no workbook is a formula, a link or a macro; in no CSV file a cell that a spreadsheet program would run."""
    found = everything(folder)
    kinds = {name.rpartition(".")[2] for name in found}
    assert {"xlsx", "csv"} <= kinds
    for name, content in found.items():
        if "/xl/worksheets/" in name and name.endswith(".xml"):
            assert not re.search(rb"<f[ >/]|<hyperlink|<oleObject|t=\"str\"", content), name
        assert not re.search(r"xl/(vba|externalLink|connections|drawings/_rels|activeX)", name)
    for path in folder.rglob("*.csv"):
        for text in (cell for row in _table(path) for cell in row):
            assert not re.match(r"[=+\-@\t\r](?!\d+\Z)", text), (path.name, text)
            assert not re.fullmatch(r"[=\-@\t\r].*", text, re.DOTALL), (path.name, text)


def test_no_cell_of_a_sheet_comes_back_as_a_formula(odd: Any, tmp_path: Path, everything: Everything) -> None:
    """Cells, unknown columns and titles that start like formulas: plan, results and annotated sheet hold them as text.

    They are read again as what they were.
    """
    frame = pd.DataFrame([{**ROW, "description": text.strip(), "notes": text, RUNS: text} for text in STARTS])
    wrong = frame.assign(media_type=RUNS)
    network = odd.network()
    for ending in ("xlsx", "csv"):
        ib.plan(frame, network).save(tmp_path / f"plan.{ending}")
        ib.validate(wrong).save(tmp_path / f"annotated.{ending}")
        output = tmp_path / f"results.{ending}"
        ib.run(frame, network, yes=True, again=True, progress=False, output=output)
        back: Any = ib.read(output)
        assert list(back[RUNS]) == STARTS
        assert list(back["notes"]) == STARTS
    _assert_nothing_runs(tmp_path, everything)
    assert sorted(one["description"] for one in odd.posts) == sorted(text.strip() for text in STARTS * 2)


def test_no_answer_comes_back_as_a_formula(odd: Any, reply: Any, tmp_path: Path, everything: Everything) -> None:
    """A platform whose texts, ids and reasons start like formulas writes no formula into anybody's spreadsheet."""
    created = {"id": RUNS, "id_from_network": RUNS, "promo_number": "+18055550100", "object_url": RUNS}
    answers = [reply(201, created), reply(403, {"message": RUNS}), reply(403, {"errors": {RUNS: [RUNS]}})]
    for ending in ("xlsx", "csv"):
        odd.replies.extend([*answers, reply(500, {"errors": {"class": RUNS, "invalid_data": RUNS}})])
        frame = pd.DataFrame([ROW] * 4)
        output = tmp_path / f"results.{ending}"
        ib.run(frame, odd.network(), yes=True, again=True, progress=False, concurrency=1, output=output)
        back: Any = ib.read(output)
        assert back["object_url"].iloc[0] == RUNS
        assert back["promo_number"].iloc[0] == "+18055550100"
        assert back["result_error"].str.contains("cmd").tolist() == [False, True, True, True]
    _assert_nothing_runs(tmp_path, everything)


def test_an_export_is_no_formula_and_plans_as_unchanged(
    odd: Any, reply: Any, tmp_path: Path, everything: Everything
) -> None:
    """What the platform has, formulas and all, goes into a sheet as text and is read as the same."""
    site = {"id_from_network": "1", "name": "@SUM(A1)"}
    user = {"id_from_network": "U-1", "first_name": RUNS, "last_name": "-1", "role": "Super"}
    user |= {"contact_phone_number": "8055550100", "email_settings": []}
    custom = {"channel": "+1+1", RUNS: RUNS}
    one = {"id": 1, "id_from_network": "=A-1", "name": RUNS, "sites": [site], "users": [user], "custom_data": custom}
    for ending in ("xlsx", "csv"):
        path = tmp_path / f"export.{ending}"
        odd.reads.append(reply(200, [one]))
        ib.export("advertisers", odd.network(), path)
        odd.reads.append(reply(200, [one]))
        made = ib.plan(path, odd.network())
        assert set(made.counts) == {"unchanged"}, made.lines()
    _assert_nothing_runs(tmp_path, everything)
    assert RUNS in str(
        [[cell.value for cell in row] for row in openpyxl.load_workbook(tmp_path / "export.xlsx").worksheets[0]]
    )


def test_templates_hold_no_formula(tmp_path: Path, everything: Everything) -> None:
    """The only formulas of ours are the limits of a column, which Excel keeps outside of the cells."""
    for resource in ("advertisers", "promo_numbers"):
        for ending in ("xlsx", "csv"):
            ib.template(resource, tmp_path / f"{resource}.{ending}")
    _assert_nothing_runs(tmp_path, everything)


# Places

#: Every output to what writes it to a path; those that would write elsewhere are given back.
WRITERS: Mapping[str, Callable[[Path, Path, Network], object]] = {
    "annotated": lambda path, sheet, _: ib.validate(sheet).save(path),
    "plan": lambda path, sheet, network: ib.plan(sheet, network).save(path),
    "kept": lambda path, sheet, network: ib.plan(sheet, network).keep(path.with_suffix(".json")),
    "results": lambda path, sheet, network: ib.run(sheet, network, yes=True, progress=False, output=path),
    "export": lambda path, _, network: ib.export("advertisers", network, path),
    "template": lambda path, _, __: ib.template("promo_numbers", path),
}


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    """A sheet of one request, readable by others."""
    (tmp_path / "here").mkdir()
    path = tmp_path / "here" / "sheet.csv"
    pd.DataFrame([ROW]).to_csv(path, index=False)
    path.chmod(0o644)
    return path


@posix_only
@pytest.mark.parametrize("ending", [".xlsx", ".csv"])
@pytest.mark.parametrize("name", WRITERS)
def test_every_output_is_the_users_own(sheet: Path, network: Network, name: str, ending: str) -> None:
    """Nobody else can read what is written, whatever the umask; and nothing else is left in its folder."""
    before = os.umask(0)
    try:
        WRITERS[name](sheet.with_name(f"out{ending}"), sheet, network)
    finally:
        os.umask(before)
    (written,) = set(sheet.parent.iterdir()) - {sheet}
    assert stat.S_IMODE(written.stat().st_mode) == 0o600


@posix_only
@pytest.mark.parametrize("target", ["there.csv", "gone.csv", "folder"])
@pytest.mark.parametrize("name", WRITERS)
def test_no_output_goes_through_a_link(sheet: Path, network: Network, name: str, target: str) -> None:
    """Where a link stands, whoever made it: what it leads to stays as it was, and what is not there is not made."""
    away = sheet.parent.parent / "away"
    (away / "folder").mkdir(parents=True)
    (away / "there.csv").write_text("precious")
    link = sheet.with_name("out.json" if name == "kept" else "out.csv")
    link.symlink_to(away / target)
    try:
        WRITERS[name](link, sheet, network)
    except OutputError as refused:
        assert "symbolic link" in str(refused)  # noqa: PT017  the other way out is another name
    assert link.is_symlink()
    assert sorted(path.name for path in away.rglob("*")) == ["folder", "there.csv"]
    assert (away / "there.csv").read_text() == "precious"


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


@pytest.mark.parametrize("other_name", [_itself, _hard_link, _folder_link, _roundabout, _relative])
@pytest.mark.parametrize("name", [one for one in WRITERS if one not in {"kept", "template"}])
def test_no_output_goes_over_the_input(
    sheet: Path, network: Network, name: str, other_name: Callable[[Path], Path]
) -> None:
    """Under whatever name the input is given as the output, it stays; a kept plan ends in .json, which no sheet does.

    A file system that takes capitals for small letters tells so itself: it is asked whether two names are one file.
    """
    before = sheet.read_bytes()
    try:
        WRITERS[name](other_name(sheet), sheet, network)
    except OutputError as refused:
        assert "never overwritten" in str(refused)  # noqa: PT017  the other way out is another name
    assert sheet.read_bytes() == before


@posix_only
def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written under another name in the same folder, closed to others, synced, renamed, and the folder synced."""
    target, seen = tmp_path / "out.txt", []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    sync, rename = os.fsync, os.replace

    def noted_sync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        seen.append("folder synced" if is_folder else f"{os.fstat(descriptor).st_size} bytes synced")
        sync(descriptor)

    def noted_rename(source: Any, name: Any) -> None:
        assert Path(source).parent == Path(name).parent == tmp_path
        assert stat.S_IMODE(Path(source).stat().st_mode) == 0o600
        assert not target.exists()
        seen.append("renamed")
        rename(source, name)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "replace", noted_rename)
    files.write_file(target, lambda stream: stream.write(b"hello") and None)
    assert seen == ["5 bytes synced", "renamed", "folder synced"]


@posix_only
def test_a_link_that_comes_while_it_is_written_is_replaced(tmp_path: Path) -> None:
    """A link that somebody makes after the look, and before the rename, is not followed either."""
    target, away = tmp_path / "out.txt", tmp_path / "away.txt"
    away.write_text("precious")

    def write(stream: Any) -> None:
        target.symlink_to(away)
        stream.write(b"hello")

    files.write_file(target, write)
    assert (away.read_text(), target.read_text(), target.is_symlink()) == ("precious", "hello", False)


def test_the_text_of_a_cell_is_the_cell(tmp_path: Path) -> None:
    """A CSV cell with delimiters and line breaks stays one cell under our own delimiter."""
    text = 'a,"b\r\n=1\n;=2'
    with (tmp_path / "x.csv").open("wb") as stream:
        files.write_csv(stream, ["description"], [[text]])
    content = (tmp_path / "x.csv").read_bytes().decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(content, newline="")))[1] == [text]
