"""Templates hold what the table says, pass their own validation, and the committed ones are up to date."""

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


def page(sheet: Resource, version: str = DEFAULT_API_VERSION) -> WorksheetSpec:
    """The page of a resource or a part."""
    [whole] = [one for one in RESOURCES.values() if sheet in (one, *one.subresources)]
    return next(one for one in templates.build_template(whole, version=version) if one.name == sheet.name)


def header(sheet: Resource, version: str = DEFAULT_API_VERSION) -> list[str]:
    return [cell_text(cell) for cell in page(sheet, version).header]


def opened(resource: Resource, folder: Path, **options: Any) -> openpyxl.Workbook:
    return openpyxl.load_workbook(templates.write_template(resource, folder / "template.xlsx", **options))


@every_sheet
@every_version
def test_columns(sheet: Resource, version: str) -> None:
    """A sheet has the columns that can be filled in and that the version knows, once, in the table's order."""
    columns = [sheet.column_for(title) for title in header(sheet, version)]
    fields = [column.field for column in columns if column]
    assert len(fields) == len(columns) == len(set(header(sheet, version)))
    assert all(one.is_known_in(version) and one.role != Role.RESULT for one in fields)
    assert not any(one.read_only or one.secret for one in fields)
    order = [sheet.fields.index(one) for one in fields]
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


def test_columns_of_advertisers() -> None:
    """The sheets of advertisers, as an analyst finds them; only the users' flags are left out here."""
    sites, users = ADVERTISERS.subresources
    assert header(ADVERTISERS) == [
        "action",
        "id_from_network",
        "name",
        "approval_status",
        "web_integration_phone_number",
        "default_creative_id_from_network",
        "custom_data.channel",
    ]
    assert header(sites) == ["advertiser_id_from_network", "action", "id_from_network", "name"]
    assert [title for title in header(users) if not title.startswith("notify_on_")] == [
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


def test_version_decides() -> None:
    """Columns that a version does not know are not in its template."""
    assert "id_from_network" not in header(PROMO_NUMBERS, "2017-09-01")
    assert "promo_number_looks_like" not in header(PROMO_NUMBERS, "2026-02-01")
    assert "notify_on_performance_notifications" not in header(ADVERTISERS.subresources[1], "2026-02-01")


def values_of(sheet: Resource, titles: Sequence[str], row: Sequence[str | Cell]) -> dict[str, Any]:
    """What the cells of an example mean; none is cleaned on the way."""
    values: dict[str, Any] = {}
    for title, cell in zip(titles, row, strict=True):
        column = sheet.column_for(title)
        assert column
        if cell_text(cell):
            reading = column.field.field_type.parse_cell(cell_text(cell))
            assert reading.warning is None
            values[column.path] = reading.value
    return values


def broken(rules: Iterable[Rule], values: dict[str, Any]) -> list[Problem]:
    """What the rules find, each of which sees its own fields only."""
    seen = [
        ({path: one for path, one in values.items() if paths.to_pattern(path) in rule.fields}, rule) for rule in rules
    ]
    return [problem for own, rule in seen for problem in rule.check(own)]


@every_sheet
@every_version
def test_examples_are_valid(sheet: Resource, version: str) -> None:
    """Every example row is one that validation takes without a word."""
    titles = header(sheet, version)
    required = {
        title for title in titles if (column := sheet.column_for(title)) and Action.CREATE in column.field.required_on
    }
    for row in page(sheet, version).rows:
        values = values_of(sheet, titles, row)
        assert required <= values.keys()
        assert broken([rule for rule in sheet.rules if not rule.needs_whole_object], values) == []


@every_resource
@every_version
def test_flat_examples_are_valid(resource: Resource, version: str, tmp_path: Path) -> None:
    """An example with all of its parts in one row keeps the rules of the whole object."""
    titles, *rows = written(templates.write_template(resource, tmp_path / "template.csv", version=version))
    assert len(rows) == len(resource.examples)
    for row in rows:
        assert broken(resource.rules, values_of(resource, titles, row)) == []


def test_examples_belong_together(tmp_path: Path) -> None:
    """Each example of a part names an advertiser of the examples, and each advertiser has a site."""
    advertisers, sites, users = sheets.load(templates.write_template(ADVERTISERS, tmp_path / "template.xlsx"))
    ids = set(advertisers.frame["id_from_network"])
    assert set(sites.frame["advertiser_id_from_network"]) == ids
    assert set(users.frame["advertiser_id_from_network"]) <= ids


def test_examples_show_every_way() -> None:
    """The examples show a toll-free number and each way to ask for a local one."""
    rows = [
        dict(zip(header(PROMO_NUMBERS), row, strict=True)) for row in templates.build_template(PROMO_NUMBERS)[0].rows
    ]
    ways = {name for row in rows for name in row if name.startswith("local_center.") and row[name]}
    assert ways == {f"local_center.{name}" for name in ("tn_prefix", "zipcode", "city", "state")}
    assert any(not any(row[name] for name in ways) for row in rows)


def test_without_examples() -> None:
    """A template without examples has the headers only."""
    for resource in RESOURCES.values():
        *tables, _ = templates.build_template(resource, examples=False)
        assert [list(one.rows) for one in tables] == [[]] * (1 + len(resource.subresources))


@every_sheet
def test_header_notes(sheet: Resource) -> None:
    """Each header has a note that says whether it is required and what it means, and the colour says the first too."""
    for cell in page(sheet).header:
        assert isinstance(cell, Cell)
        column = sheet.column_for(cell.text)
        assert column
        required = Action.CREATE in column.field.required_on
        assert cell.note.startswith("Required." if required else "Optional.")
        assert column.field.help in cell.note
        assert (cell.style.value == "required") == required


def is_dropdown(rule: Any, field: Field, lists: Worksheet) -> None:
    assert rule.type == "list"
    cells = lists[rule.formula1.split("!")[1].replace("$", "")]
    cells = cells if isinstance(cells, tuple) else ((cells,),)
    assert tuple(one.value for (one,) in cells) == field.field_type.choices
    assert (rule.errorStyle == "warning") == field.clearable  # [] can be typed where it means something


@every_resource
def test_dropdowns(resource: Resource, tmp_path: Path) -> None:
    """Each column with a closed set of values has a dropdown with all of them, on many rows."""
    book = opened(resource, tmp_path)
    for one in (resource, *resource.subresources):
        rules = {str(rule.sqref): rule for rule in book[one.name].data_validations.dataValidation}
        for number, title in enumerate(header(one), 1):
            column = one.column_for(title)
            assert column
            if column.field.field_type.choices:
                letter = get_column_letter(number)
                is_dropdown(rules[f"{letter}2:{letter}10001"], column.field, book["lists"])
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
    """The sheets to fill in come first, their headers stay in sight, and all of their cells are text."""
    book = opened(resource, tmp_path)
    names = [one.name for one in (resource, *resource.subresources)]
    assert book.sheetnames == [*names, "instructions", "lists"]
    for name in names:
        sheet = book[name]
        assert sheet.freeze_panes == "A2"
        assert sheet.auto_filter.ref.startswith("A1:")
        assert {one.number_format for one in sheet.column_dimensions.values()} == {"@"}
        assert {cell.number_format for row in sheet for cell in row if cell.value} == {"@"}


@every_resource
def test_instructions(resource: Resource, tmp_path: Path) -> None:
    """The instructions name every column of each sheet with its help, what blank and [] mean, and the next commands."""
    rows = [[str(cell.value or "") for cell in row] for row in opened(resource, tmp_path)["instructions"]]
    for one in (resource, *resource.subresources):
        for title in header(one):
            column = one.column_for(title)
            assert column
            required = "required" if Action.CREATE in column.field.required_on else ""
            assert [title, required, column.field.help] in [[row[0], row[1], row[4]] for row in rows]
    text = "\n".join(row[0] for row in rows)
    for words in ("orange", "blank", "[]", "invoca-bulk validate FILE", "invoca-bulk run FILE -o results.xlsx"):
        assert words in text


@pytest.mark.parametrize(
    "words",
    [
        "How to fill in the sheets advertisers, sites and users",
        "name their advertiser in advertiser_id_from_network",
        "that the sheets do not mention stay as they are",
        "--nested merge, the default",
        "choose remove in the column action",
        "--nested replace and --allow-removals",
        "sites.1.name, sites.2.name",
        "sites.name, users.first_name",
        "    invoca-bulk plan FILE",
    ],
)
def test_instructions_of_advertisers(words: str) -> None:
    """The instructions say how three sheets work together, what an update keeps, and how to see it beforehand."""
    page = templates.build_template(ADVERTISERS)[-1]
    assert words in "\n".join(cell_text(cell) for row in [page.header, *page.rows] for cell in row[:1])


@pytest.mark.parametrize(
    "title", ["sites.1.name", "sites.name", "users.1.email_settings.2.email_address", "users.first_name"]
)
def test_titles_of_the_instructions(title: str) -> None:
    """The titles that the instructions give as examples are known."""
    assert title in templates.TEMPLATE_TEXTS["advertisers"].rows_help
    assert ADVERTISERS.column_for(title)


def test_every_resource_is_explained() -> None:
    """No resource lacks its lines in the instructions."""
    assert templates.TEMPLATE_TEXTS.keys() == RESOURCES.keys()


def written(path: Path) -> list[list[str]]:
    """The rows of a CSV file, as Excel reads it."""
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return [[unescape_formula(cell) for cell in row] for row in csv.reader(stream)]


def test_csv(tmp_path: Path) -> None:
    """A CSV template has the header and the examples."""
    first, *rows = written(templates.write_template(PROMO_NUMBERS, tmp_path / "template.CSV"))
    assert first == header(PROMO_NUMBERS)
    assert rows == [[cell_text(cell) for cell in row] for row in page(PROMO_NUMBERS).rows]


def test_csv_of_advertisers(tmp_path: Path) -> None:
    """As CSV, sites and users stand beside their advertiser, in numbered columns, and nothing of them is lost."""
    first, *rows = written(templates.write_template(ADVERTISERS, tmp_path / "template.csv"))
    own = header(ADVERTISERS)
    parts = {
        one.name: [title for title in header(one) if title != "advertiser_id_from_network"]
        for one in ADVERTISERS.subresources
    }
    assert first == own + [f"{name}.{number}.{title}" for name in parts for number in (1, 2) for title in parts[name]]
    for title in (
        "sites.1.id_from_network",
        "sites.2.name",
        "users.1.first_name",
        "users.2.email_settings.1.email_address",
    ):
        assert title in first
    for row, example in zip(rows, ADVERTISERS.examples, strict=True):
        cells = dict(zip(first, row, strict=True))
        assert {title: cells[title] for title in example} == example
        for part in ADVERTISERS.subresources:
            children = [one for one in part.examples if one["advertiser_id_from_network"] == example["id_from_network"]]
            for number, child in enumerate(children, 1):
                assert {
                    title: cells.get(f"{part.name}.{number}.{title}", example["id_from_network"]) for title in child
                } == child
    assert [one.resource.name for one in sheets.load(tmp_path / "template.csv")] == ["advertisers"]


def test_csv_without_examples(tmp_path: Path) -> None:
    """The columns do not depend on whether there are examples."""
    full, empty = (
        written(templates.write_template(ADVERTISERS, tmp_path / f"{examples}.csv", examples=examples))
        for examples in (True, False)
    )
    assert empty == full[:1]


@pytest.mark.parametrize("name", ["template.xls", "template.txt", "template"])
def test_other_endings(tmp_path: Path, name: str) -> None:
    """A name that says no format is refused, and nothing is written."""
    with pytest.raises(OutputError, match=r"\.xlsx or \.csv"):
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


@every_resource
def test_committed_template_is_up_to_date(resource: Resource, tmp_path: Path) -> None:
    """The template in the repository is the one that the table gives.

    Contents are compared, not bytes, which differ between versions of XlsxWriter and zlib.
    """
    file = f"{resource.name}.xlsx"
    fresh, committed = opened(resource, tmp_path), openpyxl.load_workbook(COMMITTED / file)
    again = f"rewrite it: invoca-bulk template {resource.name} --force -o templates/{file}"
    assert {one.title: described(one) for one in fresh} == {one.title: described(one) for one in committed}, again


@every_resource
def test_the_command_line_has_every_template(resource: Resource, cli: Callable[..., Any], tmp_path: Path) -> None:
    """`invoca-bulk template` writes the template of each resource."""
    assert cli("template", resource.name, "-o", "new.xlsx").code == 0
    assert openpyxl.load_workbook(tmp_path / "new.xlsx").sheetnames[0] == resource.name


@every_resource
def test_same_bytes(resource: Resource, tmp_path: Path) -> None:
    """A template that is written twice is the same file."""
    paths = [templates.write_template(resource, tmp_path / name) for name in ("a.xlsx", "b.xlsx")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
