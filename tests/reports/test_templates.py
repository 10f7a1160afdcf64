"""Templates match the table and pass validation, and the committed ones are up to date."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openpyxl
import pytest
from openpyxl.utils import get_column_letter

from invoca_bulk import sheets
from invoca_bulk.errors import OutputError
from invoca_bulk.reports import templates
from invoca_bulk.reports.xlsx import Cell, cell_text
from invoca_bulk.schema import (
    ADVERTISERS,
    API_VERSIONS,
    DEFAULT_API_VERSION,
    PROMO_NUMBERS,
    RESOURCES,
    SHEET_RESOURCES,
    Action,
    Role,
    paths,
)
from invoca_bulk.sheets.csv_safety import unescape_formula

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from openpyxl.worksheet.worksheet import Worksheet

    from invoca_bulk.reports.xlsx import WorksheetSpec
    from invoca_bulk.schema import Field, Resource, Rule
    from invoca_bulk.schema.issue_catalog import Problem

COMMITTED = Path(__file__).parents[2] / "templates"

every_resource = pytest.mark.parametrize("resource", RESOURCES.values(), ids=list(RESOURCES))
every_sheet = pytest.mark.parametrize("sheet", SHEET_RESOURCES.values(), ids=list(SHEET_RESOURCES))
every_version = pytest.mark.parametrize("version", API_VERSIONS)


def worksheet_of(sheet: Resource, version: str = DEFAULT_API_VERSION) -> WorksheetSpec:
    """The worksheet of a resource or subresource."""
    [parent] = [resource for resource in RESOURCES.values() if sheet in (resource, *resource.subresources)]
    return next(spec for spec in templates.build_template(parent, version=version) if spec.name == sheet.name)


def header_of(sheet: Resource, version: str = DEFAULT_API_VERSION) -> list[str]:
    return [cell_text(cell) for cell in worksheet_of(sheet, version).header]


def written_workbook(resource: Resource, folder: Path) -> openpyxl.Workbook:
    return openpyxl.load_workbook(templates.write_template(resource, folder / "template.xlsx"))


@every_sheet
@every_version
def test_columns(sheet: Resource, version: str) -> None:
    """A sheet has the editable columns that the version knows, once, in the order of the table."""
    columns = [sheet.column_for(title) for title in header_of(sheet, version)]
    fields = [column.field for column in columns if column]
    assert len(fields) == len(columns) == len(set(header_of(sheet, version)))
    assert all(field.is_known_in(version) and field.role != Role.RESULT for field in fields)
    assert not any(field.read_only or field.secret for field in fields)
    order = [sheet.fields.index(field) for field in fields]
    assert order == sorted(order)


def test_columns_of_promo_numbers() -> None:
    """The columns of promo numbers."""
    assert header_of(PROMO_NUMBERS) == [
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


def test_columns_of_advertisers() -> None:
    """The columns of advertisers, sites and users, except the notification flags of users."""
    sites, users = ADVERTISERS.subresources
    assert header_of(ADVERTISERS) == [
        "action",
        "id_from_network",
        "name",
        "approval_status",
        "web_integration_phone_number",
        "default_creative_id_from_network",
        "custom_data.channel",
    ]
    assert header_of(sites) == ["advertiser_id_from_network", "action", "id_from_network", "name"]
    assert [title for title in header_of(users) if not title.startswith("notify_on_")] == [
        "advertiser_id_from_network",
        "action",
        "id_from_network",
        "email_settings.1.email_address",
        "email_settings.1.use_for_notifications",
        "first_name",
        "last_name",
        "contact_phone_number",
        "role",
    ]


def test_columns_depend_on_the_version() -> None:
    """Columns that a version does not know are not in its template."""
    assert "id_from_network" not in header_of(PROMO_NUMBERS, "2017-09-01")
    assert "promo_number_looks_like" not in header_of(PROMO_NUMBERS, "2026-02-01")
    assert "notify_on_performance_notifications" not in header_of(ADVERTISERS.subresources[1], "2026-02-01")


def values_of(sheet: Resource, titles: Sequence[str], row: Sequence[str | Cell]) -> dict[str, Any]:
    """The values of an example's cells, which must parse without a warning."""
    values: dict[str, Any] = {}
    for title, cell in zip(titles, row, strict=True):
        column = sheet.column_for(title)
        assert column
        if cell_text(cell):
            parsed = column.field.field_type.parse_cell(cell_text(cell))
            assert parsed.warning is None
            values[column.path] = parsed.value
    return values


def problems_of(rules: Iterable[Rule], values: dict[str, Any]) -> list[Problem]:
    """The problems that rules find, each of which gets only its own fields."""
    return [
        problem
        for rule in rules
        for problem in rule.check(
            {path: value for path, value in values.items() if paths.to_pattern(path) in rule.fields}
        )
    ]


@every_sheet
@every_version
def test_examples_are_valid(sheet: Resource, version: str) -> None:
    """Every example row is valid without warnings."""
    titles = header_of(sheet, version)
    required = {
        title for title in titles if (column := sheet.column_for(title)) and Action.CREATE in column.field.required_on
    }
    for row in worksheet_of(sheet, version).rows:
        values = values_of(sheet, titles, row)
        assert required <= values.keys()
        assert problems_of([rule for rule in sheet.rules if not rule.needs_whole_object], values) == []


@every_resource
@every_version
def test_flat_examples_are_valid(resource: Resource, version: str, tmp_path: Path) -> None:
    """An example with its subresources in one row satisfies the rules for the whole object."""
    titles, *rows = read_csv(templates.write_template(resource, tmp_path / "template.csv", version=version))
    assert len(rows) == len(resource.examples)
    for row in rows:
        assert problems_of(resource.rules, values_of(resource, titles, row)) == []


def test_examples_belong_together(tmp_path: Path) -> None:
    """Each example site and user names an example advertiser, and each advertiser has a site."""
    advertisers, sites, users = sheets.load(templates.write_template(ADVERTISERS, tmp_path / "template.xlsx"))
    ids = set(advertisers.frame["id_from_network"])
    assert set(sites.frame["advertiser_id_from_network"]) == ids
    assert set(users.frame["advertiser_id_from_network"]) <= ids


def test_examples_show_every_number_type() -> None:
    """The examples request a toll-free number, and a local number in each possible way."""
    rows = [
        dict(zip(header_of(PROMO_NUMBERS), row, strict=True)) for row in templates.build_template(PROMO_NUMBERS)[0].rows
    ]
    local_titles = {title for row in rows for title in row if title.startswith("local_center.") and row[title]}
    assert local_titles == {f"local_center.{name}" for name in ("tn_prefix", "zipcode", "city", "state")}
    assert any(not any(row[title] for title in local_titles) for row in rows)


@every_sheet
def test_header_notes(sheet: Resource) -> None:
    """Each header has a note with its meaning and whether it is required; its colour shows the latter too."""
    for cell in worksheet_of(sheet).header:
        assert isinstance(cell, Cell)
        column = sheet.column_for(cell.text)
        assert column
        required = Action.CREATE in column.field.required_on
        assert cell.note.startswith("Required." if required else "Optional.")
        assert column.field.help in cell.note
        assert (cell.style.value == "required") == required


def assert_dropdown(rule: Any, field: Field, lists: Worksheet) -> None:
    assert rule.type == "list"
    cells = lists[rule.formula1.split("!")[1].replace("$", "")]
    cells = cells if isinstance(cells, tuple) else ((cells,),)
    assert tuple(cell.value for (cell,) in cells) == field.field_type.choices
    assert (rule.errorStyle == "warning") == field.clearable  # [] can be typed in a clearable field


@every_resource
def test_dropdowns(resource: Resource, tmp_path: Path) -> None:
    """Each column with a fixed set of values has a dropdown with all of them on 10,000 rows."""
    book = written_workbook(resource, tmp_path)
    for sheet in (resource, *resource.subresources):
        rules = {str(rule.sqref): rule for rule in book[sheet.name].data_validations.dataValidation}
        for number, title in enumerate(header_of(sheet), 1):
            column = sheet.column_for(title)
            assert column
            if column.field.field_type.choices:
                letter = get_column_letter(number)
                assert_dropdown(rules[f"{letter}2:{letter}10001"], column.field, book["lists"])
    assert book["lists"].sheet_state == "hidden"


def test_limits(tmp_path: Path) -> None:
    """Whole numbers have the limits of the table."""
    rules = written_workbook(PROMO_NUMBERS, tmp_path)["promo_numbers"].data_validations.dataValidation
    assert {str(rule.sqref): rule.error for rule in rules if rule.type == "custom"} == {
        "A2:A10001": "Type a whole number from 1 to 10,000.",
        "M2:M10001": "Type a whole number from 0 to 100,000.",
    }


@every_resource
def test_layout(resource: Resource, tmp_path: Path) -> None:
    """The sheets to fill in come first, their headers are frozen, and all their cells are text."""
    book = written_workbook(resource, tmp_path)
    names = [sheet.name for sheet in (resource, *resource.subresources)]
    assert book.sheetnames == [*names, "instructions", "lists"]
    for name in names:
        worksheet = book[name]
        assert worksheet.freeze_panes == "A2"
        assert worksheet.auto_filter.ref.startswith("A1:")
        assert {column.number_format for column in worksheet.column_dimensions.values()} == {"@"}
        assert {cell.number_format for row in worksheet for cell in row if cell.value} == {"@"}


@every_resource
def test_instructions(resource: Resource, tmp_path: Path) -> None:
    """The instructions explain every column of each sheet, blank cells and [], and name the next commands."""
    rows = [[str(cell.value or "") for cell in row] for row in written_workbook(resource, tmp_path)["instructions"]]
    for sheet in (resource, *resource.subresources):
        for title in header_of(sheet):
            column = sheet.column_for(title)
            assert column
            required = "required" if Action.CREATE in column.field.required_on else ""
            assert [title, required, column.field.help] in [[row[0], row[1], row[4]] for row in rows]
    text = "\n".join(row[0] for row in rows)
    for expected in ("orange", "blank", "[]", "invoca-bulk validate FILE", "invoca-bulk run FILE -o results.xlsx"):
        assert expected in text


@pytest.mark.parametrize(
    "expected",
    [
        "How to fill in the sheets advertisers, sites and users",
        "names its advertiser in advertiser_id_from_network",
        "that the sheets do not mention stay as they are",
        "--nested merge, the default",
        "choose remove in its column action",
        "--nested replace --allow-removals",
        "sites.1.name, sites.2.name",
        "sites.name, users.first_name",
        "    invoca-bulk plan FILE",
    ],
)
def test_instructions_of_advertisers(expected: str) -> None:
    """The instructions explain how the three sheets work together, what an update keeps, and how to plan it."""
    spec = templates.build_template(ADVERTISERS)[-1]
    assert expected in "\n".join(cell_text(cell) for row in [spec.header, *spec.rows] for cell in row[:1])


@pytest.mark.parametrize(
    "title", ["sites.1.name", "sites.name", "users.1.email_settings.2.email_address", "users.first_name"]
)
def test_titles_of_the_instructions(title: str) -> None:
    """The example titles in the instructions are known columns."""
    assert title in templates.TEMPLATE_TEXTS["advertisers"].rows_help
    assert ADVERTISERS.column_for(title)


def test_every_resource_has_instructions() -> None:
    """Every resource has texts for the instructions."""
    assert templates.TEMPLATE_TEXTS.keys() == RESOURCES.keys()


def read_csv(path: Path) -> list[list[str]]:
    """The rows of a CSV file, as Excel reads them."""
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return [[unescape_formula(cell) for cell in row] for row in csv.reader(stream)]


def test_csv(tmp_path: Path) -> None:
    """A CSV template has the header and the examples."""
    titles, *rows = read_csv(templates.write_template(PROMO_NUMBERS, tmp_path / "template.CSV"))
    assert titles == header_of(PROMO_NUMBERS)
    assert rows == [[cell_text(cell) for cell in row] for row in worksheet_of(PROMO_NUMBERS).rows]


def test_csv_of_advertisers(tmp_path: Path) -> None:
    """As CSV, sites and users are in numbered columns of their advertiser's row, and nothing is lost."""
    titles, *rows = read_csv(templates.write_template(ADVERTISERS, tmp_path / "template.csv"))
    titles_by_name = {
        subresource.name: [title for title in header_of(subresource) if title != "advertiser_id_from_network"]
        for subresource in ADVERTISERS.subresources
    }
    assert titles == header_of(ADVERTISERS) + [
        f"{name}.{number}.{title}"
        for name, child_titles in titles_by_name.items()
        for number in (1, 2)
        for title in child_titles
    ]
    for title in (
        "sites.1.id_from_network",
        "sites.2.name",
        "users.1.first_name",
        "users.2.email_settings.1.email_address",
    ):
        assert title in titles
    for row, example in zip(rows, ADVERTISERS.examples, strict=True):
        cells = dict(zip(titles, row, strict=True))
        assert {title: cells[title] for title in example} == example
        for subresource in ADVERTISERS.subresources:
            children = [
                child
                for child in subresource.examples
                if child["advertiser_id_from_network"] == example["id_from_network"]
            ]
            for number, child in enumerate(children, 1):
                assert {
                    title: cells.get(f"{subresource.name}.{number}.{title}", example["id_from_network"])
                    for title in child
                } == child
    assert [sheet.resource.name for sheet in sheets.load(tmp_path / "template.csv")] == ["advertisers"]


@pytest.mark.parametrize("name", ["template.xls", "template.txt", "template"])
def test_unsupported_extensions(tmp_path: Path, name: str) -> None:
    """An unsupported extension is rejected, and nothing is written."""
    with pytest.raises(OutputError, match=r"\.xlsx or \.csv"):
        templates.write_template(PROMO_NUMBERS, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def describe(sheet: Worksheet) -> dict[str, Any]:
    """Everything about a sheet that a user can notice."""
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
    rules = [
        (str(rule.sqref), rule.type, rule.formula1, rule.errorStyle) for rule in sheet.data_validations.dataValidation
    ]
    widths = {letter: (column.width, column.number_format) for letter, column in sheet.column_dimensions.items()}
    return {
        "cells": cells,
        "rules": rules,
        "widths": widths,
        "view": (sheet.sheet_state, sheet.freeze_panes, sheet.auto_filter.ref),
    }


@every_resource
def test_committed_template_is_up_to_date(resource: Resource, tmp_path: Path) -> None:
    """The template in the repository matches the table.

    The contents are compared, since the bytes differ between versions of XlsxWriter and zlib.
    """
    file = f"{resource.name}.xlsx"
    fresh, committed = written_workbook(resource, tmp_path), openpyxl.load_workbook(COMMITTED / file)
    hint = f"rewrite it: invoca-bulk template {resource.name} --force -o templates/{file}"
    assert {sheet.title: describe(sheet) for sheet in fresh} == {sheet.title: describe(sheet) for sheet in committed}, (
        hint
    )


@every_resource
def test_command_line_writes_every_template(resource: Resource, cli: Callable[..., Any], tmp_path: Path) -> None:
    """`invoca-bulk template` writes the template of each resource."""
    assert cli("template", resource.name, "-o", "new.xlsx").code == 0
    assert openpyxl.load_workbook(tmp_path / "new.xlsx").sheetnames[0] == resource.name


@every_resource
def test_same_bytes(resource: Resource, tmp_path: Path) -> None:
    """Writing a template twice gives the same bytes."""
    paths = [templates.write_template(resource, tmp_path / name) for name in ("a.xlsx", "b.xlsx")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
