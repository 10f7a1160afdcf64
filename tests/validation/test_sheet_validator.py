"""All problems of a sheet are found at once, each with its cell and a fix."""

from __future__ import annotations

import datetime as dt
import io
import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import invoca_bulk as ib
from invoca_bulk import sheets, validation
from invoca_bulk.api.arguments import python_words
from invoca_bulk.cli.wording import command_words
from invoca_bulk.reports.validation_report import Report
from invoca_bulk.schema import (
    API_VERSIONS,
    DEFAULT_API_VERSION,
    PROMO_NUMBERS,
    RESOURCES,
    Field,
    Resource,
    Rule,
)
from invoca_bulk.schema.field_types import FieldType, ParsedValue
from invoca_bulk.schema.invisible import strip_invisible
from invoca_bulk.schema.issue_catalog import (
    ISSUE_CODE_BY_MARKER,
    ISSUE_COLUMNS,
    ISSUE_TYPES,
    MAX_CELL_CHARACTERS,
    ParseError,
    Problem,
)
from invoca_bulk.schema.model import Collection
from invoca_bulk.schema.outcomes import SUCCESS_OUTCOMES, Outcome
from invoca_bulk.schema.payloads import SPREADSHEET_ERRORS
from invoca_bulk.web.wording import page_words
from invoca_bulk.wording import option, word
from tests.examples import GOOD, OF_CLAIMS, OF_RECORDS, OF_THE_PLAN, frame_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from invoca_bulk.validation import ValidatedBook

OLDEST, NEWEST = API_VERSIONS[0], API_VERSIONS[-1]

ADVERTISER = {"id_from_network": "A-1", "name": "Smith & Sons", "sites.1.id_from_network": "315"}


def check(source: Any, *, version: str = DEFAULT_API_VERSION, resource: str = "promo_numbers") -> ValidatedBook:
    return validation.validate(sheets.load(source, resource=resource), version=version)


def check_rows(*rows: Mapping[str, Any], version: str = DEFAULT_API_VERSION) -> ValidatedBook:
    return check(frame_of(*rows), version=version)


def codes(validated_book: ValidatedBook) -> list[str]:
    return validated_book.issues["code"].to_list()


def locations(validated_book: ValidatedBook, code: str) -> list[tuple[int | None, str]]:
    issues = validated_book.issues[validated_book.issues["code"] == code]
    rows = [None if row is pd.NA else row for row in issues["row"]]
    return list(zip(rows, issues["column"], strict=True))


def csv(*lines: str) -> bytes:
    return "\n".join([",".join(GOOD), *lines]).encode()


def xlsx(*rows: Mapping[str, Any], hidden: int = 0, hidden_column: str = "", number_format: str = "") -> bytes:
    """A workbook by openpyxl, which stores formulas without their results; `number_format`: of all cells in row 2."""
    workbook = openpyxl.Workbook()
    sheet: Any = workbook.active
    frame = frame_of(*rows)
    for row in [list(frame.columns), *frame.to_numpy().tolist()]:
        sheet.append(row)
    if hidden:
        sheet.row_dimensions[hidden].hidden = True
    if hidden_column:
        sheet.column_dimensions[hidden_column].hidden = True
    for cell in sheet[2] if number_format else ():
        cell.number_format = number_format
    file = io.BytesIO()
    workbook.save(file)
    return file.getvalue()


# Every code of the catalogue


@dataclass(frozen=True, kw_only=True)
class Case:
    """A sheet that gives an issue.

    Attributes:
        cells: row and column of each issue of the code.
        value: the cell's text in the first issue.
        text: part of message or fix.
        other_codes: other codes that the same rows give.
    """

    code: str
    source: Any
    cells: list[tuple[int | None, str]]
    value: str
    text: str
    other_codes: set[str]
    version: str
    resource: str


def case(
    code: str,
    rows: Any,
    cells: str | list[tuple[int | None, str]],
    value: str | None = None,
    text: str = "",
    *,
    other_codes: tuple[str, ...] = (),
    version: str = DEFAULT_API_VERSION,
    resource: str = "promo_numbers",
    name: str = "",
) -> Any:
    """`cells`: a column means row 2. `value` None: the cell's own text."""
    if isinstance(rows, dict):
        rows = [rows]
    source = frame_of(*rows, base=ADVERTISER if resource == "advertisers" else GOOD) if isinstance(rows, list) else rows
    if value is None:
        value = rows[0].get(cells, "") if isinstance(rows, list) and isinstance(cells, str) else ""
    issue_case = Case(
        code=code,
        source=source,
        cells=[(2, cells)] if isinstance(cells, str) else cells,
        value=value,
        text=text,
        other_codes=set(other_codes),
        version=version,
        resource=resource,
    )
    return pytest.param(issue_case, id=f"{code}-{name}" if name else code)


def codes_of(cases: list[Any]) -> set[str]:
    return {issue_case.code for (issue_case,) in (case.values for case in cases)}  # noqa: PD011  a set of parameters


ADVERTISER_ID = "advertiser_id_from_network"
CAMPAIGN_ID = "advertiser_campaign_id_from_network"
NUMBER = "promo_number"
LOCAL = "local_center.tn_prefix"
ZIP = "local_center.zipcode"
CITY = "local_center.city"
STATE = "local_center.state"
WHITELIST = "tn_prefix_whitelist"
RADIUS = "local_number_preferences.search_radius_miles"
IN_STATE = "local_number_preferences.restrict_search_to_state"
OPEN = "hours_of_operation.open_24_7"
PHONE = "users.1.contact_phone_number"
EMAIL = "users.1.email_settings.1.email_address"
GOOGLE = {"media_type": "Google Call Extension"}
TO_ADVERTISER, TO_CAMPAIGN, TO_AFFILIATE = (
    f"destination_{object_type}_id_from_network" for object_type in ("advertiser", "advertiser_campaign", "affiliate")
)


ZONE = {"hours_of_operation.time_zone": "Hawaii"}


def hours(number: int, **times: str) -> dict[str, str]:
    return ZONE | {f"hours_of_operation.schedules.{number}.{name}": text for name, text in times.items()}


def monday(number: int, start: str, end: str) -> dict[str, str]:
    return hours(number, day_of_week="Monday", open_time=start, close_time=end)


def header(name: str) -> list[tuple[int | None, str]]:
    return [(None, name)]


CASES = [
    # Headers
    case(
        "column_misspelt", {"descripion": "x"}, header("descripion"), "descripion", "Rename the column to 'description'"
    ),
    case(
        "column_misspelt", {"tn_prefix_whitlist": ""}, header("tn_prefix_whitlist"), "tn_prefix_whitlist", name="blank"
    ),
    case("column_unknown", {"notes": "x"}, header("notes"), "notes", "copied to the results"),
    case("column_unknown", {"{}": "x"}, header("{}"), "{}", "'{}'", name="braces"),
    case("column_unknown", {"custom_data.": "x"}, header("custom_data."), "custom_data.", name="custom-without-a-key"),
    case(
        "column_unknown", {"users.999999999999.name": "x"}, header("users.999999999999.name"), "users.999999999999.name"
    ),
    case("column_missing", frame_of({}).drop(columns="description"), header("description"), "", "Add the column"),
    case(
        "column_repeated",
        {LOCAL: "805", "Area Code": "805"},
        header("Area Code"),
        "Area Code",
        f"both mean {LOCAL!r}",
    ),
    case(
        "column_repeated", {"npa": "", "tn_prefix": ""}, header("tn_prefix"), "tn_prefix", "'npa'", name="two-aliases"
    ),
    case("column_repeated", {"custom_data.a": "1", "Custom Data. a": ""}, header("Custom Data. a"), "Custom Data. a"),
    case(
        "column_unsupported",
        {"promo_number_looks_like": "805"},
        "promo_number_looks_like",
        text="does not",
        version=NEWEST,
    ),
    case(
        "column_unsupported", {"id_from_network": "X"}, "id_from_network", text="2018-05-01 and later", version=OLDEST
    ),
    case(
        "column_unsupported",
        {"promo_number_looks_like": "805"},
        "promo_number_looks_like",
        version=NEWEST,
        name="ended",
    ),
    case("column_unsupported", {LOCAL: "805", RADIUS: "5"}, RADIUS, version=OLDEST, name="radius"),
    case(
        "column_unsupported",
        {NUMBER: "8005550100", TO_CAMPAIGN: "C"},
        TO_CAMPAIGN,
        version="2019-05-01",
        other_codes=("destination_incomplete",),
        name="move",
    ),
    # What the spreadsheet program did to a cell
    case("cell_error", {"description": "#N/A"}, "description", text="#N/A"),
    case("cell_error", xlsx({"description": "#REF!"}), "description", "#REF!", "Correct the formula", name="xlsx"),
    case(
        "cell_formula",
        xlsx({"custom_data.a": "=1+1"}),
        "custom_data.a",
        "#FORMULA! =1+1",
        "save it and try again",
    ),
    case("cell_date", xlsx({LOCAL: dt.date(2026, 3, 4)}), LOCAL, "#DATE! 2026-03-04", "a date (2026-03-04)"),
    case("cell_datetime", {LOCAL: dt.date(2026, 3, 4)}, LOCAL, "#DATETIME! 2026-03-04", ".dt.strftime("),
    case(
        "cell_date",
        {"id": "#date!2026-03-04"},
        "id",
        text="a date (2026-03-04)",
        other_codes=("read_only",),
        name="read-only-lowered",
    ),
    case(
        "cell_digits_lost",
        {"custom_data.a": 10**16},
        "custom_data.a",
        "#DIGITS! 10000000000000000",
        "more than 15 digits",
    ),
    case(
        "cell_too_long",
        {"custom_data.a": "x" * 131_073},
        "custom_data.a",
        "#TOO_LONG! " + "x" * 108 + "…",
        f"more than {MAX_CELL_CHARACTERS:,} characters",
    ),
    case("cell_control", {"description": "a\0b"}, "description", text="(U+0000)"),
    case("cell_control", {"description": "\ud800"}, "description", text="(U+D800)", name="surrogate"),
    case("cell_control", {"custom_data.a\0": "x"}, header("custom_data.a\0"), "custom_data.a\0", name="key"),
    case(
        "cell_control",
        {"custom_data.\ud800": ""},
        header("custom_data.\ud800"),
        "custom_data.\ud800",
        name="key-broken",
    ),
    case("row_too_long", csv("A,C,Smith, Jones,Online: Display"), ADVERTISER_ID, "#ROW! A", "has 5 cells"),
    case("quote_unclosed", csv('A,C,"d,Online: Display'), ADVERTISER_ID, "#ROW! A", "Close or remove the quote"),
    case("cell_scientific", {"id_from_network": "1.23457E+11"}, "id_from_network", text="most of its digits are lost"),
    case("cell_unwrapped", csv("'00123,C,d,Online: Display"), ADVERTISER_ID, "00123", "is read as '00123'"),
    case("cell_unwrapped", csv('="00123",C,d,Online: Display'), ADVERTISER_ID, "00123", "is read as '00123'", name="="),
    case("text_invisible", {"description": "a\u200bb"}, "description", text="U+200B ZERO WIDTH SPACE"),
    case("text_replaced", {"description": "Caf\ufffd"}, "description", text="damaged before it came here"),
    case("text_garbled", {"description": "Caf\xc3\xa9"}, "description", text="(probably 'é')"),
    case("text_missing_value", {"id_from_network": "nan"}, "id_from_network", text="for a missing value"),
    case("row_marked", csv("#ROW! A,C,Smith,Jones"), ADVERTISER_ID, "#ROW! A", "Type the row again, or delete it."),
    case(
        "cell_merged",
        csv("A,#MERGED! C-1,x,Online: Display"),
        "advertiser_campaign_id_from_network",
        "#MERGED! C-1",
        "Unmerge the cells",
    ),
    case(
        "cell_covered",
        csv("A,#COVERED! C,x,Online: Display"),
        "advertiser_campaign_id_from_network",
        "#COVERED! C",
        "Unmerge the cells",
    ),
    case(
        "id_format",
        csv("A,#FORMAT! 07,x,Online: Display"),
        "advertiser_campaign_id_from_network",
        "#FORMAT! 07",
        "changes the id",
    ),
    case("cell_format", xlsx({"description": 7}, number_format='"C-"000'), "description", "7", "shows 'C-007'"),
    case("hidden_columns", xlsx({}, hidden_column="A"), header(""), "", "Hidden columns in the spreadsheet: "),
    case("row_total", csv("Total,,,"), ADVERTISER_ID, "Total", "Delete the row."),
    case("row_example", csv('A-100,C-100,"Spring sale, newspaper",Offline: Newspaper'), "", "", "Replace it"),
    case("no_rows", csv(), [(None, "")], "", "Type or paste your rows"),
    case(
        "cell_cleaned", {"description": " Spring sale"}, "description", text="' Spring sale' is read as 'Spring sale'"
    ),
    case("cell_cleaned", {LOCAL: "805.0"}, LOCAL, text="'805.0' is read as '805'", name="point-zero"),
    case("cell_cleaned", {LOCAL: "8\u00ad05"}, LOCAL, text=r"'8\xad05' is read as '805'", name="soft-hyphen"),
    case("cell_cleaned", {ZIP: "K1A\u20100B1"}, ZIP, text="'K1A\u20100B1' is read as 'K1A 0B1'", name="dash"),
    case("cell_cleaned", {LOCAL: "805", WHITELIST: "805.0"}, WHITELIST, text="'805.0' is read as '805'", name="list"),
    # Values
    *(
        case("required", {name: blank}, name, text="Fill in the cell", name=f"{name}-{blank!a}")
        for name in GOOD
        for blank in ("", "\u00a0")
    ),
    case("not_a_choice", {"media_type": "Online Display"}, "media_type", text="Online: Display"),
    case("not_a_choice", {"promo_type": "Landline"}, "promo_type", text="Type one of: Local, Mobile.", name="few"),
    case("choice_cleaned", {"media_type": "online: display"}, "media_type", text="is read as 'Online: Display'"),
    case("choice_cleaned", {"action": "Create"}, "action", text="'Create' is read as 'create'.", name="action"),
    case("not_a_number", {"quantity": "a few"}, "quantity", text="from 1 to 10,000"),
    case("not_a_number", {"quantity": "1,5"}, "quantity", name="decimal-comma"),
    case("out_of_range", {"quantity": "0"}, "quantity", text="0 is not between 1 and 10,000"),
    case("out_of_range", {"quantity": "10001"}, "quantity", name="above"),
    case("not_a_boolean", {LOCAL: "805", IN_STATE: "maybe"}, IN_STATE, text="TRUE or FALSE"),
    case("not_an_area_code", {LOCAL: "999"}, LOCAL, text="'999'"),
    case("not_an_area_code", {LOCAL: "900"}, LOCAL, name="premium-rate"),
    case("not_an_area_code", {LOCAL: "805", WHITELIST: "805, 999"}, WHITELIST, text="'999'", name="list"),
    case("toll_free_area_code", {LOCAL: "800"}, LOCAL, text="leave all local_center columns blank"),
    case("not_area_codes", {LOCAL: "805", WHITELIST: "[805"}, WHITELIST, text='["805", "212"]'),
    case("not_area_codes", {LOCAL: "805", WHITELIST: "[" * 50_000}, WHITELIST, "[" * 119 + "…", name="deep"),
    case("not_a_zip_code", {ZIP: "Boston"}, ZIP, text="five digits"),
    case("zip_code_zero_lost", {ZIP: "2134"}, ZIP, text="02134"),
    case("zip_code_too_precise", {ZIP: "93101-1234"}, ZIP, text="93101"),
    case("not_a_state", {CITY: "Toronto", STATE: "Ontario"}, STATE, text="ON"),
    case("not_an_ads_account", {**GOOGLE, "adwords_account_id": "627"}, "adwords_account_id", text="627-345-9815"),
    case("not_digits", {"promo_number_looks_like": "80-5"}, "promo_number_looks_like", text="80561"),
    case("digits_ignored", {"promo_number_looks_like": "805619"}, "promo_number_looks_like", text="first five digits"),
    case("not_a_time", monday(1, "08:05", "17:00"), "hours_of_operation.schedules.1.open_time", version=NEWEST),
    case(
        "phone_placeholder",
        {PHONE: "1234567890", "users.1.id_from_network": ""},
        PHONE,
        text="looks like a placeholder",
        resource="advertisers",
        other_codes=("part_without_id",),
    ),
    case("not_a_phone_number", {PHONE: "5550100"}, PHONE, text="10 digits", resource="advertisers"),
    case(
        "not_a_country_code",
        {"users.1.contact_country_code": "0"},
        "users.1.contact_country_code",
        resource="advertisers",
    ),
    case("not_an_email", {EMAIL: "chris@"}, EMAIL, text="name@example.com", resource="advertisers"),
    case("not_an_id", {"affiliate_id_from_network": ".."}, "affiliate_id_from_network", text="relative path"),
    case("not_an_id", {"id_from_network": "A\tB"}, "id_from_network", text="control character", name="own-id"),
    *(
        case("required", {name: ""}, name, text=f"is required to {purpose}. Fill", name=f"{name}-words")
        for name, purpose in ((ADVERTISER_ID, "tell where the row goes"), ("media_type", "create"))
    ),
    case(
        "required",
        {"id_from_network": ""},
        "id_from_network",
        text=str(option("auto_ids")),
        resource="advertisers",
        name="id",
    ),
    case("read_only", [{"id": "21"}, {"description": "other", "id": "22"}], header("id"), "", "not sent"),
    case("cannot_clear", {"description": "[]"}, "description", text="cannot be cleared"),
    case("cannot_clear", {"quantity": "[]"}, "quantity", name="quantity"),
    case("cannot_clear", {NUMBER: "[]"}, NUMBER, name="what-names-the-number"),
    # Several columns of a row
    case("local_center_conflict", {LOCAL: "805", ZIP: "93101"}, LOCAL, text=f"{LOCAL} and {ZIP}"),
    case("city_without_state", {CITY: "Boston"}, CITY, text="Fill in local_center.state, or clear local_center.city"),
    case(
        "city_without_state", {CITY: "Boston", STATE: ""}, STATE, text="local_center.state is blank", name="state-blank"
    ),
    case("city_without_state", {CITY: "", STATE: "MA"}, CITY, "", "Fill in local_center.city", name="state-only"),
    case("no_local_center", {WHITELIST: "805"}, WHITELIST, text="toll-free number"),
    case("no_local_center", {RADIUS: "5", IN_STATE: "no"}, [(2, RADIUS), (2, IN_STATE)], "5", name="two"),
    case(
        "ads_account_media_type",
        {"adwords_account_id": "7567575756755"},
        "adwords_account_id",
        text="'Online: Display'",
    ),
    case("hours_on_affiliate", {OPEN: "TRUE", **ZONE, "affiliate_id_from_network": "F"}, OPEN, version=NEWEST),
    case(
        "schedule_incomplete",
        hours(2, open_time="08:00"),
        [(2, "hours_of_operation.schedules.2.open_time")] * 2,
        "08:00",
        "Fill in hours_of_operation.schedules.2.day_of_week",
        version=NEWEST,
        name="columns-missing",
    ),
    case(
        "schedule_incomplete",
        hours(2, day_of_week="", open_time="08:00", close_time=""),
        [(2, "hours_of_operation.schedules.2.day_of_week"), (2, "hours_of_operation.schedules.2.close_time")],
        "",
        "Fill in hours_of_operation.schedules.2.day_of_week",
        version=NEWEST,
    ),
    case("hours_incomplete", {OPEN: "TRUE"}, OPEN, "TRUE", "time_zone", version=NEWEST),
    case("hours_incomplete", ZONE, next(iter(ZONE)), "Hawaii", "schedules", version=NEWEST, name="no-schedules"),
    case("only_cleared", {"hours_of_operation": "none"}, "hours_of_operation", version=NEWEST),
    case("end_of_day", monday(1, "08:00", "24:00"), "hours_of_operation.schedules.1.close_time", version=NEWEST),
    case("spelling_uncertain", {"media_type": "Offline: In-Call Ad"}, "media_type"),
    case("version_between", {}, header(""), "", "the rules of version 2022-08-01", version="2023-10-09"),
    case(
        "schedule_backwards", monday(1, "17:00", "08:00"), "hours_of_operation.schedules.1.close_time", version=NEWEST
    ),
    case(
        "schedule_backwards",
        monday(1, "08:00", "08:00"),
        "hours_of_operation.schedules.1.close_time",
        version=NEWEST,
        name="no-time",
    ),
    case(
        "schedules_overlap",
        monday(1, "11:00", "12:00") | monday(2, "09:00", "10:00") | monday(3, "08:00", "18:00"),
        [(2, "hours_of_operation.schedules.1.open_time"), (2, "hours_of_operation.schedules.2.open_time")],
        "11:00",
        "Two schedules of Monday overlap: 08:00-18:00 and 11:00-12:00",
        version=NEWEST,
    ),
    case("destination_incomplete", {NUMBER: "8005550100", TO_ADVERTISER: "A-2"}, TO_ADVERTISER, text=TO_CAMPAIGN),
    case(
        "destination_affiliate",
        {NUMBER: "8005550100", TO_ADVERTISER: "A-2", TO_CAMPAIGN: "C-2", TO_AFFILIATE: "F-2"},
        TO_AFFILIATE,
    ),
    case("not_on_create", {TO_ADVERTISER: "A-2", TO_CAMPAIGN: "C-2"}, TO_ADVERTISER),
    *(
        case(
            "not_on_create",
            {"action": action, "id_from_network": "X", TO_ADVERTISER: "A-2", TO_CAMPAIGN: "C-2"},
            TO_ADVERTISER,
            name=action,
        )
        for action in ("create", "delete")
    ),
    case("own_id_quantity", {"id_from_network": "X", "quantity": "2"}, "quantity", text="quantity is 2"),
    case(
        "own_id_quantity",
        {NUMBER: "8005550100", "quantity": "2"},
        "quantity",
        text="clear 'promo_number'",
        name="number",
    ),
    case("names_existing", {"action": "create", NUMBER: "8005550100"}, NUMBER, text="Clear 'promo_number'"),
    *(
        case("names_nothing", {"action": action}, "action", action, f"which number to {action}", name=action)
        for action in ("update", "delete", "move")
    ),
    case(
        "move_without_destination", {"action": "move", NUMBER: "8005550100"}, "action", "move", "Fill in destination_"
    ),
    case("not_on_update", {NUMBER: "8005550100", LOCAL: "805"}, LOCAL, text="already exists"),
    case(
        "secret_dropped",
        {"oauth_refresh_token": "x"},
        header(""),
        "",
        "nobody can read the secret",
        resource="advertisers",
    ),
    # Rows against rows, and against what earlier runs did
    case(
        "duplicate_own_id",
        [{"id_from_network": "X"}] * 2,
        [(2, "id_from_network"), (3, "id_from_network")],
        "X",
        "in the same campaign: rows 2, 3.",
    ),
    case(
        "duplicate_number",
        [{NUMBER: "800-555-0100"}, {NUMBER: "+18005550100", "description": "other"}],
        [(2, NUMBER), (3, NUMBER)],
        "800-555-0100",
        "more than one row: 2, 3.",
        other_codes=("cell_cleaned",),
    ),
    case(
        "own_id_case",
        [{"id_from_network": "Acme-1"}, {"id_from_network": "ACME-1", "description": "b"}, {"id_from_network": "acme"}],
        [(2, "id_from_network"), (3, "id_from_network")],
        "Acme-1",
        "from 'ACME-1', in row 3",
    ),
    case("identical_rows", [{}, {}], [(2, ""), (3, "")], "", "Rows 2, 3 are identical"),
    case("unsettled_row", {"result_status": "unknown", "result_run": "R7"}, "result_status", text="(R7)"),
    case("status_unknown", {"result_status": "done"}, "result_status", "done"),
    case("unsettled_row", {"result_status": "Unknown"}, "result_status", "unknown", "(not named)", name="case"),
    case(
        "unsettled_row",
        {"result_status": "unknown", "result_run": " "},
        "result_status",
        text="(not named)",
        name="blank-run",
    ),
    # The whole sheet
    case(
        "encoding_assumed", csv("A,C,Café,Online: Display").decode().encode("cp1252"), header(""), "", "'Café' in row 2"
    ),
    case("quotes_after_space", csv('A, "C",d,Online: Display'), header(""), "", "in row 2"),
    case("quotes_single", csv("'A','C','d, e','Online: Display'"), header(""), "", "in row 2"),
    case(
        "blank_rows",
        csv("A,C,d,Online: Display", "", "A,C,e,Online: Display"),
        header(""),
        "",
        "Skipped blank rows: 1.",
    ),
    case(
        "hidden_rows", xlsx({}, {"description": "x"}, hidden=3), header(""), "", "Hidden rows in the spreadsheet: 1; "
    ),
]


@pytest.mark.parametrize("issue_case", CASES)
def test_issue(issue_case: Case) -> None:
    """Each issue has its cell, value, level and text, and there are no unexpected ones."""
    validated_book = check(issue_case.source, version=issue_case.version, resource=issue_case.resource)
    issues = validated_book.issues[validated_book.issues["code"] == issue_case.code]
    assert set(codes(validated_book)) == {issue_case.code, *issue_case.other_codes}
    assert locations(validated_book, issue_case.code) == issue_case.cells
    assert issues["value"].iloc[0] == issue_case.value
    assert set(issues["level"]) == {ISSUE_TYPES[issue_case.code].level}
    assert issue_case.text in f"{issues['message'].iloc[0]} {issues['fix'].iloc[0]}"


@pytest.mark.parametrize("issue_case", CASES)
def test_sentences(issue_case: Case) -> None:
    """All placeholders of a message are filled, whatever the cells hold; it ends with a period or an ellipsis."""
    for message, fix in (
        check(issue_case.source, version=issue_case.version, resource=issue_case.resource)
        .issues[["message", "fix"]]
        .to_numpy()
    ):
        assert message.endswith((".", "…"))
        assert not re.search(r"\{\w+(![ra])?\}|<\w+\.\w+:", message + fix)
        assert "  " not in message + fix


def test_every_code_is_found() -> None:
    """Every code of the catalogue has a case, so that no check can be lost unnoticed.

    Codes about several sheets are tested in `test_record_builder`, codes about the platform's state in the tests of the
    plan, and codes of an undo (`undo_…`) in the tests of undo.
    """
    elsewhere = OF_RECORDS | OF_THE_PLAN | OF_CLAIMS | {code for code in ISSUE_TYPES if code.startswith("undo_")}
    assert codes_of(CASES) | elsewhere | {"unlisted_value"} == set(ISSUE_TYPES)
    assert not codes_of(CASES) & elsewhere


#: The remedy in the words of the command line, of the library and of the page.
UNLISTED_PHRASES = {
    command_words: "--allow-unlisted",
    python_words: "allow_unlisted=True",
    page_words: "Send media types that are not in the list",
}


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        ({"media_type": " Pooling "}, "unlisted_value"),
        ({"media_type": "Online: Displays"}, "unlisted_value"),  # near a listed one
        ({"promo_type": "Fixed"}, "unlisted_value"),
        ({"promo_type": "Locals"}, "unlisted_value"),
    ],
)
def test_unlisted_values(cells: dict[str, str], code: str) -> None:
    """Outside of the published lists: an error, or with the option a warning, and the text is sent as it is."""
    loaded = sheets.load(frame_of(cells), resource="promo_numbers")
    refused = validation.validate(loaded, version=NEWEST)
    assert list(refused.issues["code"]) == ["not_a_choice"]
    message = refused.issues["message"].iloc[0]
    for words, phrase in UNLISTED_PHRASES.items():
        assert phrase in word(message, wording=words)
    allowed = validation.validate(loaded, version=NEWEST, allow_unlisted=True)
    assert list(allowed.issues[["level", "code"]].itertuples(index=False, name=None)) == [("warning", code)]
    ((name, text),) = cells.items()
    assert allowed.sheets[0].values(0)[name] == text.strip()


def test_other_choices_stay_closed() -> None:
    """The option is about media types and promo types alone."""
    loaded = sheets.load(frame_of({"action": "buy"}), resource="promo_numbers")
    assert list(validation.validate(loaded, version=NEWEST, allow_unlisted=True).issues["code"]) == ["not_a_choice"]


@pytest.mark.parametrize("text", ["Offline: InCall Ad", "Offline: In-Call Ad"])
def test_uncertain_spellings(text: str) -> None:
    """Both spellings are sent as typed; a soft hyphen is none."""
    rows = [{"media_type": text}, {"media_type": "offline: In\u00adCall ad", "description": "other"}]
    validated_book = check(frame_of(*rows))
    assert codes(validated_book) == ["spelling_uncertain"] * 2
    assert [validated_book.sheets[0].values(row)["media_type"] for row in (0, 1)] == [text, "Offline: InCall Ad"]


def test_restrict_to_state() -> None:
    """The name of older pages is an alias."""
    validated_book = check(frame_of({LOCAL: "805", "local_number_preferences.restrict_to_state": "no"}))
    assert validated_book.sheets[0].values(0)[IN_STATE] is False


# The frame of issues


def test_all_at_once() -> None:
    """All problems of all rows are found at once; issues of headers first, then by row and column."""
    validated_book = check_rows(
        {"local_center.zipcode": "2134", "quantity": "0", "notes": "x"},
        {"media_type": "", "quantity": "1"},
        {"description": " x", "media_type": "TV", "local_center.zipcode": "02134", "local_center.city": "Boston"},
    )
    assert list(
        zip(
            validated_book.issues["row"].fillna(0),
            validated_book.issues["column"],
            validated_book.issues["code"],
            strict=True,
        )
    ) == [
        (0, "notes", "column_unknown"),
        (2, "local_center.zipcode", "zip_code_zero_lost"),
        (2, "quantity", "out_of_range"),
        (3, "media_type", "required"),
        (4, "description", "cell_cleaned"),
        (4, "media_type", "not_a_choice"),
        (4, "local_center.zipcode", "local_center_conflict"),
    ]


@pytest.mark.parametrize(
    "rows", [pytest.param([], id="no-rows"), pytest.param([{}], id="good"), pytest.param([{"quantity": "0"}], id="bad")]
)
def test_issue_columns(rows: list[dict[str, str]]) -> None:
    """The frame of issues has the same columns and types for any number of issues."""
    issues = check(pd.DataFrame([GOOD | row for row in rows], columns=[*GOOD, *(rows[0] if rows else {})])).issues
    assert issues.columns.to_list() == list(ISSUE_COLUMNS)
    assert issues["row"].dtype == "Int64"
    assert all(pd.api.types.is_string_dtype(issues[name]) for name in ISSUE_COLUMNS if name != "row")


def test_issues_have_the_headers_of_the_sheet() -> None:
    """An issue names the column as written in the sheet, even if a rule over several columns found it."""
    validated_book = check(
        frame_of({"Zip": "93101", "AREA CODE": "805", "Pieces": "x"}).rename(columns={"media_type": "Media Type"})
    )
    assert locations(validated_book, "local_center_conflict") == [(2, "AREA CODE")]
    assert locations(validated_book, "column_unknown") == [(None, "Pieces")]
    assert set(codes(validated_book)) == {"local_center_conflict", "column_unknown"}


def test_issues_have_the_row_numbers_of_the_spreadsheet() -> None:
    """Issues number rows as the spreadsheet does, including blank rows."""
    validated_book = check(csv("A,C,d,TV", "", "", "A,C,,Online: Display"))
    assert locations(validated_book, "not_a_choice") == [(2, "media_type")]
    assert locations(validated_book, "required") == [(5, "description")]


def test_the_sheet_is_not_changed() -> None:
    """Validation changes no cell of any column."""
    (sheet,) = sheets.load(frame_of({"description": " x ", "notes": " y "}), resource="promo_numbers")
    original = sheet.frame.copy()
    validated_book = validation.validate([sheet], version=DEFAULT_API_VERSION)
    pd.testing.assert_frame_equal(validated_book.sheets[0].sheet.frame, original)


def test_values() -> None:
    """A row's values are cleaned and typed, without blank, cleared and invalid cells."""
    validated_book = check_rows(
        {
            "quantity": "2",
            "local_center.tn_prefix": "805.0",
            "tn_prefix_whitelist": "805, 212",
            RADIUS: "[]",
            IN_STATE: "no",
            "promo_type": "",
            "custom_data.a.b": " [x] ",
            "notes": "n",
        },
        {"quantity": "x"},
    )
    assert validated_book.sheets[0].values(0) == GOOD | {
        "quantity": 2,
        "local_center.tn_prefix": "805",
        "tn_prefix_whitelist": ["805", "212"],
        IN_STATE: False,
        "custom_data.a.b": "[x]",
    }
    assert validated_book.sheets[0].values(1) == GOOD
    assert validated_book.sheets[0].invalid.tolist() == [False, True]


def test_bad_header_blocks_all() -> None:
    """An error in a header makes all rows invalid; a warning does not."""
    assert check_rows({"descripion": "x"}, {"descripion": ""}).sheets[0].invalid.tolist() == [True, True]
    assert check_rows({"notes": "x"}).sheets[0].invalid.tolist() == [False]


# Local centers


@pytest.mark.parametrize(
    "given_columns",
    [
        pytest.param(columns, id="-".join(name.rpartition(".")[2] for name in columns) or "none")
        for count in range(5)
        for columns in itertools.combinations((LOCAL, ZIP, CITY, STATE), count)
    ],
)
def test_local_center(given_columns: tuple[str, ...]) -> None:
    """A local center is exactly one of tn_prefix, zipcode, or city with state; without it the number is toll-free."""
    texts = {LOCAL: "805", ZIP: "93101", CITY: "Santa Barbara", STATE: "CA"}
    allowed = [set(), {LOCAL}, {ZIP}, {CITY, STATE}]
    validated_book = check_rows({name: text if name in given_columns else "" for name, text in texts.items()})
    expected = [] if set(given_columns) in allowed else ["city_without_state"]
    if len({"place" if name in (CITY, STATE) else name for name in given_columns}) > 1:
        expected = ["local_center_conflict"]
    assert codes(validated_book) == expected


# Rules ignore cells with errors


@pytest.mark.parametrize(
    ("source", "code"),
    [
        pytest.param(frame_of({LOCAL: "999", ZIP: "93101"}), "not_an_area_code", id="one-of-two-centers"),
        pytest.param(frame_of({LOCAL: "#N/A", ZIP: "93101"}), "cell_error", id="error-value"),
        pytest.param(frame_of({CITY: "Toronto", STATE: "Ontario"}), "not_a_state", id="state-of-city"),
        pytest.param(frame_of({LOCAL: "#REF!", WHITELIST: "805"}), "cell_error", id="center-of-whitelist"),
        pytest.param(frame_of({"action": "buy", WHITELIST: "805"}), "not_a_choice", id="action"),
        pytest.param(
            frame_of({"media_type": "TV", "adwords_account_id": "7567575756755"}), "not_a_choice", id="media-type"
        ),
        pytest.param(frame_of({"id_from_network": "..", "quantity": "2"}), "not_an_id", id="own-id"),
        pytest.param(frame_of({"id_from_network": "X", "quantity": "0"}), "out_of_range", id="quantity"),
        pytest.param(frame_of({LOCAL: dt.date(2026, 3, 4), ZIP: "93101"}), "cell_datetime", id="date"),
        pytest.param(frame_of({"quantity": 10**16}), "cell_digits_lost", id="digits-lost"),
        pytest.param(xlsx({CITY: "Boston", STATE: '=UPPER("ma")'}), "cell_formula", id="formula-in-state"),
        pytest.param(xlsx({LOCAL: "=800+5", WHITELIST: "805"}), "cell_formula", id="formula-in-center"),
        pytest.param(xlsx({"description": "=A2"}), "cell_formula", id="formula-in-required"),
    ],
)
def test_rules_ignore_cells_with_errors(source: Any, code: str) -> None:
    """A cell with an error gives that error only; an additional error from a rule would mislead."""
    assert codes(check(source)) == [code]


def test_schedule_rules_ignore_invalid_times() -> None:
    """An invalid time is neither backwards nor missing nor overlapping."""
    validated_book = check_rows(monday(1, "17:05", "08:00") | monday(2, "07:00", "18:00"), version=NEWEST)
    assert codes(validated_book) == ["not_a_time"]


def test_a_damaged_cell_affects_only_its_row() -> None:
    """A rule that ignores a damaged cell still checks the same texts in other rows."""
    validated_book = check(
        xlsx({CITY: "Boston", STATE: "=A1"}, {CITY: "Boston", STATE: ""}, {CITY: "Boston", STATE: "MA"})
    )
    assert locations(validated_book, "cell_formula") == [(2, STATE)]
    assert locations(validated_book, "city_without_state") == [(3, STATE)]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        pytest.param({"description": dt.date(2026, 3, 4)}, ["cell_datetime"], id="sent"),
        pytest.param({"notes": dt.date(2026, 3, 4)}, ["column_unknown"], id="unknown-column"),
        pytest.param({"result_at": dt.date(2026, 3, 4)}, [], id="our-own-column"),
        pytest.param({"description": dt.date(2026, 3, 4), "result_status": "created"}, [], id="done-earlier"),
    ],
)
def test_damaged_cells_are_errors_if_sent(row: dict[str, Any], expected: list[str]) -> None:
    """A damaged cell is an error only if it would be sent."""
    assert codes(check_rows(row)) == expected


DAMAGED: dict[str, Any] = {
    "date": (xlsx({LOCAL: dt.date(2026, 5, 1)}), "cell_date", LOCAL),
    "date-in-text": (xlsx({"description": dt.date(2026, 5, 1)}), "cell_date", "description"),
    "formula": (xlsx({"quantity": "=1+1"}), "cell_formula", "quantity"),
    "digits": (xlsx({"id_from_network": 8051234567123400}), "cell_digits_lost", "id_from_network"),
    "too-long": (csv(f"A,C,{'x' * 131_073},Online: Display"), "cell_too_long", "description"),
    "shifted": (csv("A,C,Smith, Jones,Online: Display"), "row_too_long", ADVERTISER_ID),
    "shifted-and-valid": (csv("A,C,Smith,Online: Display,Online: Radio"), "row_too_long", ADVERTISER_ID),
    "shifted-and-blank": (csv(",C,Smith,Online: Display,Online: Radio"), "row_too_long", ADVERTISER_ID),
    "quote": (csv('A,C,Smith,Online: Display,"', "A,C,Jones,Online: Display"), "quote_unclosed", ADVERTISER_ID),
}
each_damage = pytest.mark.parametrize("damage", DAMAGED)
#: The code of a row problem after the row was written to a file and read again: the reason is lost.
CODE_AFTER_REREAD = {"row_too_long": "row_marked", "quote_unclosed": "row_marked"}


def read(source: Any) -> pd.DataFrame:
    frame = sheets.read(source)
    assert isinstance(frame, pd.DataFrame)
    return frame


def required_cells(validated_book: ValidatedBook) -> list[list[str]]:
    """The cells of the required columns, cut: Excel cells hold at most 32,767 characters."""
    return [[text[:30_000] for text in row] for row in validated_book.sheets[0].sheet.frame[list(GOOD)].to_numpy()]


@each_damage
@pytest.mark.parametrize("name", ["annotated.xlsx", "annotated.csv"])
def test_errors_survive_annotated_copies(damage: str, name: str, tmp_path: Path) -> None:
    """An error in a file is found in its annotated copy, and in the copy of that, in the same cell."""
    source, code, column = DAMAGED[damage]
    first = check(source)
    assert locations(first, code) == [(2, column)]
    for copy in range(2):
        source = Report(check(source)).to_excel(tmp_path / f"{copy}-{name}")
        validated_book = check(source)
        assert locations(validated_book, CODE_AFTER_REREAD.get(code, code)) == [(2, column)]
        assert codes(validated_book) == [CODE_AFTER_REREAD.get(code, code)]
        assert validated_book.sheets[0].invalid.tolist() == [True]
        assert required_cells(validated_book) == required_cells(first)


@each_damage
@pytest.mark.parametrize("name", ["results.xlsx", "results.csv"])
def test_skipped_rows_are_still_invalid_in_the_results(
    damage: str, name: str, tmp_path: Path, box: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that were skipped as invalid are still invalid when their results are run."""
    monkeypatch.chdir(tmp_path)
    source, code, _ = DAMAGED[damage]
    good = frame_of({"description": "good"})
    frame = pd.concat([read(source), sheets.load(good)[0].frame]).fillna("")
    ib.run(frame, box, skip_invalid=True, output=name)
    second_results = ib.run(name, box, skip_invalid=True)
    assert isinstance(second_results, pd.DataFrame)
    assert second_results["result_status"].tolist() == ["invalid", "created"]
    assert CODE_AFTER_REREAD.get(code, code) in codes(check(tmp_path / name))
    assert len(box.store.ledger) == 1


@each_damage
def test_overwriting_a_marker_removes_the_error(damage: str) -> None:
    """A cell or row is valid as soon as its marker is gone."""
    source, _, column = DAMAGED[damage]
    frame = read(source)
    frame[column] = {LOCAL: "805", "quantity": "2"}.get(column, "typed")
    frame["media_type"] = "Online: Display"
    assert codes(check(frame)) == []


def test_a_row_of_shifted_cells_has_one_issue() -> None:
    """The cells of a row with too many cells are not checked, and the other rows are not affected."""
    lines = csv("A,C,Smith,, Jones,TV", "A,C,Smith,TV").replace(b"media_type", b"media_type,quantity")
    validated_book = check(lines)
    assert locations(validated_book, "row_too_long") == [(2, ADVERTISER_ID)]
    assert locations(validated_book, "not_a_choice") == [(3, "media_type")]
    assert len(validated_book.issues) == 2


@pytest.mark.parametrize("marker", ISSUE_CODE_BY_MARKER)
def test_markers_in_every_spelling(marker: str) -> None:
    """A marker is recognized in any case, with any text after it and invisible characters before it; it is not sent."""
    for text in (marker, f"{marker} x", f"{marker}x", f"\u200b {marker.lower()}\u00a0{{}} x", f"{marker} {marker} x"):
        validated_book = check_rows({"description": text})
        assert codes(validated_book) == [ISSUE_CODE_BY_MARKER[marker]]
        assert "description" not in validated_book.sheets[0].values(0)
    assert codes(check_rows({"description": f"see {marker}", "result_error": marker})) == []


# Error values, [] and cleaning


@pytest.mark.parametrize("error", sorted(SPREADSHEET_ERRORS))
def test_error_values(error: str) -> None:
    """A spreadsheet's error value is an error in any column that is sent, and never sent."""
    validated_book = check_rows({"description": f" {error} ", "custom_data.a": error, "notes": error})
    assert locations(validated_book, "cell_error") == [(2, "description"), (2, "custom_data.a")]
    assert not {"description", "custom_data.a"} & validated_book.sheets[0].values(0).keys()


@pytest.mark.parametrize("text", ["#1 plumber", "# N/A", "#N/A is an error", "N/A", "#n", "\\#REF!"])
def test_texts_that_resemble_error_values(text: str) -> None:
    """A text that only resembles an error value is a text."""
    validated_book = check_rows({"description": text})
    assert codes(validated_book) == []
    assert validated_book.sheets[0].values(0)["description"] == text


CLEARABLE = [field.path for field in PROMO_NUMBERS.fields if field.clearable and field.is_known_in(DEFAULT_API_VERSION)]


@pytest.mark.parametrize("path", [path for path in CLEARABLE if PROMO_NUMBERS.by_path[path].role == "body"])
@pytest.mark.parametrize("text", ["[]", " [] "])
def test_clear(path: str, text: str) -> None:
    """`[]` clears a clearable field: the cell is valid, and a create sends nothing for it."""
    validated_book = check_rows({path.replace("*", "channel"): text})
    if PROMO_NUMBERS.by_path[path].read_only:
        assert codes(validated_book) in (["read_only"], ["cannot_clear"])
    else:
        assert codes(validated_book) == []
        assert validated_book.sheets[0].values(0) == GOOD


def test_rules_treat_cleared_cells_as_blank() -> None:
    """A cleared cell does not specify a local center."""
    assert codes(check_rows({LOCAL: "[]", ZIP: "93101", WHITELIST: "805"})) == []
    assert codes(check_rows({CITY: "Boston", STATE: "[]"})) == ["city_without_state"]


# Versions


@pytest.mark.parametrize("version", API_VERSIONS)
@pytest.mark.parametrize(
    "path", [field.path for field in PROMO_NUMBERS.fields if field.since > OLDEST or field.until is not None]
)
def test_versions(path: str, version: str) -> None:
    """A field that the version lacks is an error in rows that use it; the message names a version that has it."""
    field = PROMO_NUMBERS.by_path[path]
    column = path.replace("#", "1")
    issues = check_rows({column: ""}, {column: "1"}, version=version).issues
    unsupported = issues[issues["code"] == "column_unsupported"]
    if field.since <= version <= (field.until or NEWEST):
        assert unsupported.empty
    else:
        assert unsupported[["row", "column"]].to_numpy().tolist() == [[3, column]]
        assert version in unsupported["message"].iloc[0]
        assert field.since in unsupported["message"].iloc[0]


# Rows against rows


OWN = "id_from_network"
CAMPAIGN = "advertiser_campaign_id_from_network"


@pytest.mark.parametrize(
    ("rows", "flagged"),
    [
        pytest.param([{OWN: "X"}, {OWN: "Y"}, {OWN: "X"}], [2, 4], id="twice"),
        pytest.param([{OWN: "X"}, {OWN: "X "}], [2, 3], id="a-space-does-not-make-another-id"),
        pytest.param([{OWN: "X"}, {OWN: "X", CAMPAIGN: " C-1"}], [2, 3], id="a-space-does-not-make-another-campaign"),
        pytest.param([{OWN: "X"}, {OWN: "x"}], [], id="case-makes-another-id"),
        pytest.param([{OWN: "1"}, {OWN: "01"}], [], id="a-zero-makes-another-id"),
        pytest.param([{OWN: "X"}, {OWN: "X", CAMPAIGN: "C-2"}], [], id="other-campaign"),
        pytest.param([{OWN: "X"}, {OWN: "X", "affiliate_id_from_network": "F"}], [], id="other-affiliate"),
        pytest.param([{OWN: "X"}, {OWN: "X", "description": "other"}], [2, 3], id="other-description"),
        pytest.param([{OWN: ""}, {OWN: "\u00a0"}], [], id="blank"),
        pytest.param([{OWN: "X"}, {OWN: "X", "result_status": "created"}], [], id="done-earlier"),
        pytest.param([{OWN: ".."}, {OWN: ".."}], [2, 3], id="bad-ids"),
        pytest.param([{OWN: "{}"}, {OWN: "{}"}], [2, 3], id="braces"),
    ],
)
def test_duplicate_client_ids(rows: list[dict[str, str]], flagged: list[int]) -> None:
    """A client id may occur once in a campaign; ids are compared as they would be sent."""
    assert [row for row, _ in locations(check_rows(*rows), "duplicate_own_id")] == flagged


@pytest.mark.parametrize(
    ("rows", "row_list"),
    [
        pytest.param([{}, {"description": "x"}, {}], "2, 4", id="twice"),
        pytest.param([{}, {"description": " Spring sale"}], "2, 3", id="after-cleaning"),
        pytest.param([{"notes": "a"}, {"notes": "b"}], "2, 3", id="other-columns-do-not-count"),
        pytest.param([{}] * 12, "2, 3, 4, 5, 6, 7, 8, 9 and 4 more", id="many"),
        pytest.param([{"custom_data.a": "1"}, {"custom_data.a": ""}], None, id="custom-data-counts"),
        pytest.param([{OWN: "X"}, {OWN: "Y"}], None, id="own-ids"),
        pytest.param([{}, {"result_status": "created"}], None, id="done-earlier"),
        pytest.param([{}, {"result_status": "rejected"}], "2, 3", id="to-be-done-again"),
    ],
)
def test_identical_rows(rows: list[dict[str, str]], row_list: str | None) -> None:
    """Identical requests are allowed: each buys a number, and each gets a warning."""
    validated_book = check_rows(*rows)
    issues = validated_book.issues[validated_book.issues["code"] == "identical_rows"]
    assert set(issues["message"]) == (
        {f"Rows {row_list} are identical; each of them buys a number."} if row_list else set()
    )
    listed = [int(row) for row in re.findall("[0-9]+", row_list.partition(" and ")[0])] if row_list else []
    assert issues["row"].to_list() == (listed + list(range(10, 14)) if row_list and "more" in row_list else listed)
    assert not validated_book.sheets[0].invalid.any()


# Results sheets


@pytest.mark.parametrize("outcome", list(Outcome))
def test_earlier_outcomes(outcome: Outcome) -> None:
    """Rows that an earlier run did or whose outcome is unknown are not pending, all others are."""
    validated_book = check_rows({"result_status": outcome.value, "result_run": "R"})
    is_final = outcome in SUCCESS_OUTCOMES or outcome is Outcome.UNKNOWN
    assert validated_book.sheets[0].pending.tolist() == [not is_final]
    assert codes(validated_book) == (["unsettled_row"] if outcome is Outcome.UNKNOWN else [])


@pytest.mark.parametrize("status", ["created", " Created ", "UNKNOWN", "un\u00adknown"])
def test_rows_that_are_not_pending_are_not_checked(status: str) -> None:
    """A row that is not sent again has no errors, even if it has a number and ids."""
    validated_book = check_rows(
        {
            "Result Status": status,
            "description": "",
            "media_type": "#N/A",
            "quantity": " 0",
            LOCAL: "805",
            ZIP: "93101",
            "promo_number": "8055550100" if "created" in status.casefold() else "",
            "id": "12",
        }
    )
    assert set(codes(validated_book)) <= {"unsettled_row"}
    assert not validated_book.sheets[0].pending.any()
    assert not validated_book.sheets[0].invalid.any()


def test_result_columns_are_recognized() -> None:
    """The columns that this package writes are neither unknown nor checked when they are read again."""
    outputs = {field.path: "#N/A \0 whatever" for field in PROMO_NUMBERS.fields if field.role == "result"}
    validated_book = check_rows(outputs | {"result_status": "rejected"})
    assert codes(validated_book) == []
    assert validated_book.sheets[0].values(0).keys() >= GOOD.keys()


# Once for each distinct text


class CountingResource:
    """A resource whose field type and rule record their calls."""

    def __init__(self) -> None:
        self.parsed_texts: list[str] = []
        self.checked_values: list[tuple[Any, ...]] = []
        field_type = FieldType(name="counted", parse=self.parse)
        self.resource = Resource(
            name="counted",
            singular="counted thing",
            fields=tuple(Field(path=path, field_type=field_type, help="Counted.") for path in ("a", "b")),
            rules=(Rule(fields=("a", "b"), check=self.check_rule),),
            path_templates=((),),
            collections=(Collection(name="counted", identifier_field="a"),),
            identifier_field="number",  # no sheet has it, so that no rows are compared
        )

    def parse(self, text: str) -> ParsedValue:
        self.parsed_texts.append(text)
        if text == "bad":
            raise ParseError("not_a_boolean", value=text)
        return ParsedValue(value=text)

    def check_rule(self, values: Mapping[str, Any]) -> Iterator[Problem]:
        self.checked_values.append(tuple(values.items()))
        if values == {"a": "1", "b": "2"}:
            yield Problem(code="not_digits", column="b", details={"value": "12"})

    def check(self, frame: pd.DataFrame) -> ValidatedBook:
        sheet = sheets.Sheet(frame=frame, resource=self.resource, source="", read_issues=())
        return validation.validate([sheet], version=DEFAULT_API_VERSION)


@pytest.mark.parametrize("count", [pytest.param(100, id="small"), pytest.param(100_000, id="big")])
def test_distinct_texts_are_parsed_once(count: int) -> None:
    """In any number of rows, a text is parsed once for a column, and a combination is checked once."""
    resource = CountingResource()
    numbers = np.arange(count)
    frame = pd.DataFrame(
        {
            "a": [["1", "2", "bad"][number % 3] for number in numbers],
            "b": [["", "1", "2", "3"][number % 4] for number in numbers],
        },
        index=pd.Index(numbers + 2, name="row"),
        dtype="str",
    )
    validated_book = resource.check(frame)
    assert sorted(resource.parsed_texts) == ["1", "1", "2", "2", "3", "bad"]
    assert len(resource.checked_values) == len(set(resource.checked_values)) == 2 * 4
    bad = (numbers % 3 == 2) | ((numbers % 3 == 0) & (numbers % 4 == 2))
    assert (validated_book.sheets[0].invalid == bad).all()
    assert len(validated_book.issues[validated_book.issues["level"] == "error"]) == bad.sum()


def test_no_known_columns() -> None:
    """A sheet without known columns has warnings about unknown columns only."""
    validated_book = CountingResource().check(
        pd.DataFrame({"z": ["1", "1"]}, index=pd.Index([2, 3], name="row"), dtype="str")
    )
    assert codes(validated_book) == ["column_unknown"]
    assert validated_book.sheets[0].values(0) == {}


POOL: dict[str, list[str]] = {
    "advertiser_id_from_network": ["A-1", " A-1", "..", ""],
    "advertiser_campaign_id_from_network": ["C-1", "C-2"],
    "description": ["d", "d ", "", "#N/A", "[]", "{}", "\0"],
    "media_type": ["Online: Display", "online: display", "Google Call Extension", "TV"],
    "quantity": ["", "1", "2", "0"],
    "id_from_network": ["", "X", "Y"],
    "local_center.tn_prefix": ["", "805", "805.0", "999", "[]"],
    "local_center.zipcode": ["", "93101", "2134"],
    "local_center.city": ["", "Boston"],
    "local_center.state": ["", "MA", "Ontario"],
    "tn_prefix_whitelist": ["", "805, 212", "["],
    "adwords_account_id": ["", "627-345-9815"],
    "result_status": ["", "", "created", "unknown", "failed"],
}
SHEETS = st.lists(
    st.fixed_dictionaries({name: st.sampled_from(texts) for name, texts in POOL.items()}), min_size=1, max_size=8
)


@given(rows=SHEETS)
@settings(max_examples=30)
def test_rows_do_not_affect_each_other(rows: list[dict[str, str]]) -> None:
    """A row has the same issues in a sheet as alone, except issues that compare rows."""
    comparing_codes = {"duplicate_own_id", "identical_rows"}

    def issues(validated_book: ValidatedBook, row: int) -> list[tuple[str, ...]]:
        frame = validated_book.issues
        row_issues = frame[(frame["row"] == row).fillna(value=False) & ~frame["code"].isin(comparing_codes)]
        return [tuple(values) for values in row_issues[list(ISSUE_COLUMNS[2:])].to_numpy()]

    frame = pd.DataFrame(rows, columns=list(POOL))
    together = check(frame)
    for index in range(len(rows)):
        assert issues(together, index + 2) == issues(check(frame.iloc[[index]]), 2)


# Hostile sheets


TITLES = st.sampled_from([*POOL, "notes", "custom_data.a", "custom_data.", "Area Code", "result_run", "promo_number"])
ANY_SHEET = st.dictionaries(
    TITLES | st.text(max_size=30).map(strip_invisible).filter(bool),
    st.lists(
        st.sampled_from(sorted({text for texts in POOL.values() for text in texts})) | st.text(max_size=20),
        min_size=3,
        max_size=3,
    ),
    min_size=1,
    max_size=8,
)


@given(columns=ANY_SHEET)
@settings(max_examples=100)
def test_any_sheet(columns: dict[str, list[str]]) -> None:
    """No sheet makes validation fail, and every issue has a known code, a cell of the sheet, and its texts."""
    frame = pd.DataFrame({**columns, "quantity": ["", "1", "x"]}, index=pd.Index([2, 3, 5], name="row"), dtype="str")
    validated_book = check(frame)
    headers = {*validated_book.sheets[0].sheet.frame.columns, *PROMO_NUMBERS.by_path, ""}
    for _, row, column, level, code, _, message, fix in validated_book.issues.to_numpy():
        assert row is pd.NA or row in validated_book.sheets[0].sheet.frame.index
        assert column in headers
        assert ISSUE_TYPES[code].level == level
        assert message
        assert fix or level == "warning"


@pytest.mark.parametrize(
    "title",
    [
        pytest.param("custom_data.k{}", id="custom"),
        pytest.param("column {}", id="unknown"),
        pytest.param("hours_of_operation.schedules.{}.open_time", id="schedules"),
        pytest.param("users.{}.first_name", id="of-another-resource"),
    ],
)
def test_wide_sheets(title: str) -> None:
    """A sheet of 500 columns is checked like any other."""
    wide = pd.DataFrame([GOOD | {title.format(number): "08:00" for number in range(500)}])
    validated_book = check(wide, version=NEWEST)
    assert len(validated_book.sheets[0].columns) in {len(GOOD), len(GOOD) + 500}
    assert set(codes(validated_book)) <= {"column_unknown", "schedule_incomplete", "hours_incomplete"}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("x" * 131_072, id="huge"),
        pytest.param("\ud800" * 1_000, id="surrogates"),
        pytest.param("\0", id="nul"),
        pytest.param("\u202e\u200f805", id="right-to-left"),
        pytest.param("{} {value} {0!r} %s %(x)s", id="braces-and-percent"),
        pytest.param("[" * 131_072, id="brackets"),
        pytest.param("9" * 131_072, id="digits"),
        pytest.param("=HYPERLINK(1)", id="formula"),
    ],
)
def test_hostile_texts(text: str) -> None:
    """A hostile text is rejected or taken as a text, in every column of each resource."""
    for name, base in (("promo_numbers", GOOD), ("advertisers", ADVERTISER)):
        paths = list(RESOURCES[name].by_path)
        row = {re.sub("#", "1", path).replace("*", "key"): text for path in paths}
        issues = check(frame_of(row, base=base), version=NEWEST, resource=name).issues
        assert issues["message"].str.len().max() < 1_000
        assert issues["value"].str.len().max() <= 120


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        pytest.param([*GOOD], ["no_rows"], id="good-headers"),
        pytest.param([*GOOD, "quantity", "result_status", "result_run", OWN, LOCAL, ZIP], ["no_rows"], id="more"),
        pytest.param(["description"], ["column_missing", "column_missing", "no_rows"], id="missing"),
        pytest.param([*GOOD, "descripion"], ["no_rows", "column_misspelt"], id="misspelt"),
        pytest.param(
            [*GOOD.keys() - {"description"}, "descripion"], ["no_rows", "column_misspelt"], id="misspelt, not missing"
        ),
    ],
)
def test_no_rows(columns: list[str], expected: list[str]) -> None:
    """The headers of a sheet without rows are checked, and one sentence says that it has none."""
    validated_book = check(pd.DataFrame(columns=columns))
    assert codes(validated_book) == expected
    assert len(validated_book.sheets[0].invalid) == len(validated_book.sheets[0].pending) == 0


@pytest.mark.parametrize("status", ["done", "unknwon", "#N/A", "unknown?"])
def test_rows_with_an_invalid_status_are_errors(status: str) -> None:
    """It is unclear whether such a row was done: it is an error, not a new purchase."""
    report = ib.validate(pd.DataFrame([GOOD | {"result_status": status}]))
    assert list(report.errors["code"]) == ["status_unknown"]


def test_an_alias_of_an_existing_column_is_not_misspelt() -> None:
    """`Campaign`, a column of names, is not a misspelt header if the campaign's id has a column."""
    report = ib.validate(pd.DataFrame([GOOD | {"Campaign": "Spring"}]))
    assert list(report.issues["code"]) == ["column_unknown"]


# Rows that name a number


@pytest.mark.parametrize(
    ("row", "creates", "expected"),
    [
        pytest.param({}, True, [], id="request"),
        pytest.param({NUMBER: "8005550100"}, False, [], id="number"),
        pytest.param({OWN: "X"}, False, [], id="own-id"),
        pytest.param({OWN: "X", "action": "create"}, True, [], id="own-id-to-create"),
        pytest.param({"action": "update", OWN: "X"}, False, [], id="own-id-to-update"),
        pytest.param({"action": "delete", NUMBER: "8005550100"}, False, [], id="delete"),
        pytest.param({"action": "delte", "description": ""}, False, ["not_a_choice"], id="unreadable-action"),
    ],
)
def test_creates(row: dict[str, str], creates: bool, expected: list[str]) -> None:  # noqa: FBT001  a column of the table
    """A row counts as a purchase only if it certainly is one, and only then needs description and media type."""
    validated_book = check_rows(row)
    assert validated_book.sheets[0].is_create.tolist() == [creates]
    assert codes(validated_book) == expected
    blank = check_rows(row | {"description": "", "media_type": ""})
    assert codes(blank).count("required") == (2 if creates else 0)


@pytest.mark.parametrize(
    ("resource", "row", "pending"),
    [
        pytest.param("promo_numbers", {NUMBER: "8005550100"}, True, id="number"),
        pytest.param("promo_numbers", {NUMBER: "\u00a0"}, False, id="blank-number"),
        pytest.param("promo_numbers", {OWN: "X"}, False, id="own-id-whose-create-may-still-be-under-way"),
        pytest.param("promo_numbers", {OWN: "X", "action": "create"}, False, id="create-of-an-own-id"),
        pytest.param("promo_numbers", {OWN: "X", "action": "Update "}, True, id="update-of-an-own-id"),
        pytest.param(
            "promo_numbers",
            {OWN: "X", "action": "move", TO_ADVERTISER: "A-2", TO_CAMPAIGN: "C-2"},
            True,
            id="move-of-an-own-id",
        ),
        pytest.param("promo_numbers", {OWN: "X", "action": "delete"}, True, id="delete-of-an-own-id"),
        pytest.param("promo_numbers", {OWN: " ", "action": "delete"}, False, id="delete-of-nothing"),
        pytest.param("advertisers", {}, True, id="advertiser"),
        pytest.param("advertisers", {"id_from_network": ""}, False, id="advertiser-without-id"),
    ],
)
def test_unknown_rows_that_name_their_object(resource: str, row: dict[str, str], pending: bool) -> None:  # noqa: FBT001  a column of the table
    """A row whose outcome is unknown is pending if sending it again is harmless: if it identifies its object."""
    base = ADVERTISER if resource == "advertisers" else GOOD
    validated_book = check(frame_of({"result_status": "unknown"} | row, base=base), resource=resource)
    assert validated_book.sheets[0].pending.tolist() == [pending]
    assert ("unsettled_row" in codes(validated_book)) is not pending


def test_one_number_in_two_campaigns() -> None:
    """Only the platform knows which of two campaigns has a number: the plan rejects the other row."""
    assert codes(check_rows({NUMBER: "8005550100"}, {NUMBER: "8005550100", CAMPAIGN: "C-2"})) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param("a\nb", "not_an_id", id="a line in an id"),
        pytest.param("N-1 ", "cell_cleaned", id="a space at the end"),
        pytest.param("..", "not_an_id", id="a step in the address"),
        pytest.param("#N/A", "cell_error", id="an error"),
        pytest.param("#DATE! 2026-05-01", "cell_date", id="a mark"),
        pytest.param("N\u00a01", "cell_control", id="a space that looks like one"),
    ],
)
@pytest.mark.parametrize("index", [0, 999, 1_000, 2_499])
def test_batches_of_texts_hide_no_issue(text: str, code: str | None, index: int) -> None:
    """Texts that need no parsing are skipped in batches, but not the texts among them that need it."""
    ids = [f"N-{number:05}" for number in range(2_500)]
    ids[index] = text
    validated_book = check_rows(*({"id_from_network": client_id} for client_id in ids))
    assert codes(validated_book) == ([code] if code else [])
    assert [validated_book.sheets[0].values(row).get("id_from_network") for row in (index - 1, index - 2)] == [
        ids[index - 1],
        ids[index - 2],
    ]
