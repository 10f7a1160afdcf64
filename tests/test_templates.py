"""Templates hold what the table says, pass their own validation, and the committed one is up to date."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openpyxl
import pytest
from openpyxl.utils import get_column_letter

from invoca_bulk import templates
from invoca_bulk.csv_safety import restore_csv_text
from invoca_bulk.errors import OutputUnwritable
from invoca_bulk.schema import API_VERSIONS, DEFAULT_API_VERSION, PROMO_NUMBERS, RESOURCES, Action, Role
from invoca_bulk.workbook import Cell, text_of

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

    from invoca_bulk.schema import Resource

COMMITTED = Path(__file__).parents[1] / "templates" / "promo_numbers.xlsx"

every_resource = pytest.mark.parametrize("resource", RESOURCES.values(), ids=list(RESOURCES))
every_version = pytest.mark.parametrize("version", API_VERSIONS)


def header(resource: Resource, version: str = DEFAULT_API_VERSION) -> list[str]:
    return [text_of(cell) for cell in templates.template(resource, version=version)[0].header]


def opened(resource: Resource, folder: Path, **options: Any) -> openpyxl.Workbook:
    return openpyxl.load_workbook(templates.write_template(resource, folder / "template.xlsx", **options))


@every_resource
@every_version
def test_columns(resource: Resource, version: str) -> None:
    """A template has the columns that can be filled in and that the version knows, once, in the table's order."""
    columns = [resource.column(title) for title in header(resource, version)]
    fields = [column.field for column in columns if column]
    assert len(fields) == len(columns) == len(set(header(resource, version)))
    assert all(one.known_in(version) and one.role != Role.RESULT for one in fields)
    assert not any(one.read_only or one.secret for one in fields)
    order = [resource.fields.index(one) for one in fields]
    assert order == sorted(order)


def test_columns_of_promo_numbers() -> None:
    """The promo numbers' columns, as an analyst finds them."""
    assert header(PROMO_NUMBERS) == [
        "quantity",
        "advertiser_id_from_network",
        "advertiser_campaign_id_from_network",
        "affiliate_id_from_network",
        "id_from_network",
        "description",
        "media_type",
        "local_center.tn_prefix",
        "local_center.zipcode",
        "local_center.city",
        "local_center.state",
        "tn_prefix_whitelist",
        "local_number_preferences.search_radius_miles",
        "local_number_preferences.restrict_search_to_state",
        "promo_type",
        "promo_number_looks_like",
        "adwords_account_id",
        "custom_data.channel",
    ]


def test_version_decides() -> None:
    """Columns that a version does not know are not in its template."""
    assert "id_from_network" not in header(PROMO_NUMBERS, "2017-09-01")
    assert "promo_number_looks_like" not in header(PROMO_NUMBERS, "2026-02-01")


@every_resource
@every_version
def test_examples_are_valid(resource: Resource, version: str) -> None:
    """Every example row is one that validation takes without a word."""
    titles = header(resource, version)
    for row in templates.template(resource, version=version)[0].rows:
        values: dict[str, Any] = {}
        for title, cell in zip(titles, row, strict=True):
            column = resource.column(title)
            assert column
            if text_of(cell):
                reading = column.field.kind.read(text_of(cell))
                assert reading.warning is None
                values[title] = reading.value
            else:
                assert Action.CREATE not in column.field.required_on
        assert [problem for rule in resource.rules for problem in rule.check(values)] == []


def test_examples_show_every_way() -> None:
    """The examples show a toll-free number and each way to ask for a local one."""
    rows = [dict(zip(header(PROMO_NUMBERS), row, strict=True)) for row in templates.template(PROMO_NUMBERS)[0].rows]
    ways = {name for row in rows for name in row if name.startswith("local_center.") and row[name]}
    assert ways == {f"local_center.{name}" for name in ("tn_prefix", "zipcode", "city", "state")}
    assert any(not any(row[name] for name in ways) for row in rows)


def test_without_examples() -> None:
    """A template without examples has the header only."""
    assert list(templates.template(PROMO_NUMBERS, examples=False)[0].rows) == []


@every_resource
def test_header_notes(resource: Resource) -> None:
    """Each header has a note that says whether it is required and what it means, and the colour says the first too."""
    for cell in templates.template(resource)[0].header:
        assert isinstance(cell, Cell)
        column = resource.column(cell.text)
        assert column
        required = Action.CREATE in column.field.required_on
        assert cell.note.startswith("Required." if required else "Optional.")
        assert column.field.help in cell.note
        assert (cell.style.value == "required") == required


@every_resource
def test_dropdowns(resource: Resource, tmp_path: Path) -> None:
    """Each column with a closed set of values has a dropdown with all of them, on many rows."""
    book = opened(resource, tmp_path)
    sheet = book[resource.name]
    rules = {str(one.sqref): one for one in sheet.data_validations.dataValidation}
    for number, title in enumerate(header(resource), 1):
        letter = get_column_letter(number)
        column = resource.column(title)
        assert column
        if choices := column.field.kind.choices:
            rule = rules[f"{letter}2:{letter}10001"]
            assert rule.type == "list"
            cells = book["lists"][rule.formula1.split("!")[1].replace("$", "")]
            assert tuple(one.value for (one,) in cells) == choices
            assert (rule.errorStyle == "warning") == column.field.clearable  # [] can be typed where it means something
    assert book["lists"].sheet_state == "hidden"


def test_limits(tmp_path: Path) -> None:
    """Whole numbers have the limits of the table."""
    rules = opened(PROMO_NUMBERS, tmp_path)["promo_numbers"].data_validations.dataValidation
    assert {str(one.sqref): one.error for one in rules if one.type == "custom"} == {
        "A2:A10001": "Type a whole number from 1 to 10,000.",
        "M2:M10001": "Type a whole number from 0 to 100,000.",
    }


@every_resource
def test_looks(resource: Resource, tmp_path: Path) -> None:
    """The sheet to fill in comes first, its header stays in sight, and all of its cells are text."""
    book = opened(resource, tmp_path)
    assert book.sheetnames == [resource.name, "instructions", "lists"]
    sheet = book[resource.name]
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref.startswith("A1:")
    assert {one.number_format for one in sheet.column_dimensions.values()} == {"@"}
    assert {cell.number_format for row in sheet for cell in row if cell.value} == {"@"}


@every_resource
def test_instructions(resource: Resource, tmp_path: Path) -> None:
    """The instructions name every column with its help, what blank and [] mean, and the next commands."""
    sheet = opened(resource, tmp_path)["instructions"]
    rows = [[str(cell.value or "") for cell in row] for row in sheet]
    table = {row[0]: row for row in rows}
    for title in header(resource):
        column = resource.column(title)
        assert column
        assert table[title][4] == column.field.help
        assert (table[title][1] == "required") == (Action.CREATE in column.field.required_on)
    text = "\n".join(row[0] for row in rows)
    for words in ("orange", "blank", "[]", "invoca-bulk validate FILE", "invoca-bulk run FILE -o results.xlsx"):
        assert words in text


def test_every_resource_is_explained() -> None:
    """No resource lacks its lines in the instructions."""
    assert templates.ABOUT.keys() == RESOURCES.keys()


def test_csv(tmp_path: Path) -> None:
    """A CSV template has the header and the examples, as Excel reads CSV."""
    path = templates.write_template(PROMO_NUMBERS, tmp_path / "template.CSV")
    assert path.read_bytes().startswith(b"\xef\xbb\xbfquantity,")
    with path.open(encoding="utf-8-sig", newline="") as stream:
        first, *rows = ([restore_csv_text(cell) for cell in row] for row in csv.reader(stream))
    assert first == header(PROMO_NUMBERS)
    assert rows == [[text_of(cell) for cell in row] for row in templates.template(PROMO_NUMBERS)[0].rows]


@pytest.mark.parametrize("name", ["template.xls", "template.txt", "template"])
def test_other_endings(tmp_path: Path, name: str) -> None:
    """A name that says no format is refused, and nothing is written."""
    with pytest.raises(OutputUnwritable, match=r"\.xlsx or \.csv"):
        templates.write_template(PROMO_NUMBERS, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def described(sheet: Worksheet) -> dict[str, Any]:
    """All of a sheet that a user can see or bump into."""
    cells = {
        cell.coordinate: (
            cell.value,
            cell.comment and cell.comment.text,
            cell.number_format,
            cell.fill.fgColor.rgb,
            cell.font.bold,
        )
        for row in sheet
        for cell in row
    }
    rules = [(str(one.sqref), one.type, one.formula1, one.errorStyle) for one in sheet.data_validations.dataValidation]
    widths = {letter: (one.width, one.number_format) for letter, one in sheet.column_dimensions.items()}
    return {
        "cells": cells,
        "rules": rules,
        "widths": widths,
        "view": (sheet.sheet_state, sheet.freeze_panes, sheet.auto_filter.ref),
    }


def test_committed_template_is_up_to_date(tmp_path: Path) -> None:
    """The template in the repository is the one that the table gives.

    Contents are compared, not bytes, which differ between versions of XlsxWriter and zlib.
    """
    fresh, committed = opened(PROMO_NUMBERS, tmp_path), openpyxl.load_workbook(COMMITTED)
    again = "rewrite it: invoca-bulk template promo_numbers -o templates/promo_numbers.xlsx"
    assert {one.title: described(one) for one in fresh} == {one.title: described(one) for one in committed}, again


@every_resource
def test_same_bytes(resource: Resource, tmp_path: Path) -> None:
    """A template that is written twice is the same file."""
    paths = [templates.write_template(resource, tmp_path / name) for name in ("a.xlsx", "b.xlsx")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
