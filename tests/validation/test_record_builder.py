"""Advertisers in three equivalent shapes of sheets; issues name the cell in the spreadsheet."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import invoca_bulk as ib
from invoca_bulk import planning, sheets, validation
from invoca_bulk.planning import PlatformState
from invoca_bulk.schema import ADVERTISERS, DEFAULT_API_VERSION, SHEET_RESOURCES, Action
from invoca_bulk.schema.issue_catalog import ISSUE_TYPES
from invoca_bulk.wording import option
from tests.examples import (
    OF_RECORDS,
    SHAPES,
    advertiser,
    book,
    numbered,
    place,
    repeated,
    site,
    user,
    with_row_numbers,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from invoca_bulk.validation import Record, ValidatedBook

each_shape = pytest.mark.parametrize("shape", list(SHAPES))
#: A shape, and whether it is a frame or a file.
SOURCES = [
    (shape, ending) for shape in SHAPES for ending in ("", ".xlsx", ".csv") if (shape, ending) != ("book", ".csv")
]
each_source = pytest.mark.parametrize(
    ("shape", "ending"), SOURCES, ids=[f"{shape}{ending}" for shape, ending in SOURCES]
)


def check(source: Any, *, auto_ids: bool = False, version: str = DEFAULT_API_VERSION) -> ValidatedBook:
    return validation.validate(sheets.load(source, resource="advertisers"), version=version, auto_ids=auto_ids)


def codes(validated_book: ValidatedBook) -> list[str]:
    return validated_book.issues["code"].to_list()


def locations(validated_book: ValidatedBook, code: str) -> list[tuple[str, int | None, str]]:
    issues = validated_book.issues[validated_book.issues["code"] == code]
    rows = [None if row is pd.NA else int(row) for row in issues["row"]]
    return list(zip(issues["sheet"], rows, issues["column"], strict=True))


def record_content(record: Record) -> tuple[Any, ...]:
    """A record without its locations."""
    subrecords = [
        (subrecord.collection, subrecord.id, subrecord.is_removal, dict(subrecord.fields))
        for subrecord in record.subrecords
    ]
    return record.id, record.action, dict(record.fields), subrecords


# Three shapes of the same advertisers


TWO = (
    advertiser(
        "A-1",
        action="update",
        name="Smith & Sons",
        web_integration_phone_number="(800) 437-7950",
        approval_status="approved",
        custom_data__channel="Online lead",
        sites=[site("00315"), site("996", name="")],
        users=[
            user("U-1", role="Manager", notify_on_budgets="yes", email_settings__2__email_address="b@example.com"),
            user("U-2", contact_phone_number="+448081570192", role="[]"),
        ],
    ),
    advertiser("A-2", sites=[site("315")], users=[]),
)
EMAIL, NOTIFIED = "email_settings.1.email_address", "email_settings.1.use_for_notifications"
EXPECTED = [
    (
        "A-1",
        Action.UPDATE,
        {
            "id_from_network": "A-1",
            "name": "Smith & Sons",
            "web_integration_phone_number": "8004377950",
            "approval_status": "Approved",
            "custom_data.channel": "Online lead",
        },
        [
            ("sites", "00315", False, {"id_from_network": "00315", "name": "Site 00315"}),
            ("sites", "996", False, {"id_from_network": "996"}),
            (
                "users",
                "U-1",
                False,
                {
                    "id_from_network": "U-1",
                    EMAIL: "u-1@example.com",
                    NOTIFIED: True,
                    "email_settings.2.email_address": "b@example.com",
                    "first_name": "Chris",
                    "last_name": "Dean U-1",
                    "contact_phone_number": "8055550100",
                    "role": "Manager",
                    "notify_on_budgets": True,
                },
            ),
            (
                "users",
                "U-2",
                False,
                {
                    "id_from_network": "U-2",
                    EMAIL: "u-2@example.com",
                    NOTIFIED: True,
                    "first_name": "Chris",
                    "last_name": "Dean U-2",
                    "contact_phone_number": "+448081570192",
                    "role": None,
                },
            ),
        ],
    ),
    (
        "A-2",
        None,
        {"id_from_network": "A-2", "name": "Business A-2"},
        [("sites", "315", False, {"id_from_network": "315", "name": "Site 315"})],
    ),
]


@each_source
def test_same_records(shape: str, ending: str, tmp_path: Path) -> None:
    """The three shapes, as frames and as files, give the same records."""
    source = SHAPES[shape](*TWO)
    validated_book = check(written(source, tmp_path, ending) if ending else source)
    assert set(codes(validated_book)) == {"cell_cleaned", "choice_cleaned"}
    assert [record_content(record) for record in validated_book.records] == EXPECTED


@each_shape
def test_flat_values(shape: str) -> None:
    """Flat values number subrecords from 1, without cleared values and removed subrecords."""
    sites = [site("1", action="remove"), site("2")]
    (record,) = check(SHAPES[shape](advertiser("A-1", approval_status="[]", sites=sites, users=[]))).records
    assert record.flat_values() == {
        "id_from_network": "A-1",
        "name": "Business A-1",
        "sites.1.id_from_network": "2",
        "sites.1.name": "Site 2",
    }
    assert record.to_json()["sites"] == [{"id_from_network": "2", "name": "Site 2"}]


@each_shape
def test_every_value_has_its_cell(shape: str) -> None:
    """The sheet, row and title of each value of a record are known."""
    validated_book = check(SHAPES[shape](*TWO))
    for index, record in enumerate(validated_book.records):
        for path in record.flat_values():
            row_ref, sheet_path = validation.locate_cell(record, path)
            sheet = validated_book.sheets[row_ref.sheet_index]
            location = (sheet.sheet.name, int(sheet.sheet.frame.index[row_ref.position]), sheet.title(sheet_path))
            assert location == place(shape, TWO, index, path)


def test_advertiser_fields_may_be_repeated() -> None:
    """Rows that repeat their advertiser may repeat its fields, or leave them blank after the first row."""
    frame = repeated(*TWO)
    filled = frame.copy()
    for title in ("name", "web_integration_phone_number", "approval_status", "custom_data.channel", "action"):
        filled[title] = filled[title].mask(filled[title] == "").groupby(filled["id_from_network"]).ffill().fillna("")
    assert not filled.equals(frame)
    assert [record_content(record) for record in check(filled).records] == EXPECTED


def test_rows_of_an_advertiser_need_not_be_adjacent() -> None:
    """Rows are combined by id, not by order; subrecords are in the order of the rows."""
    frame = repeated(*TWO).iloc[[4, 2, 0, 3, 1]]
    by_id = {record.id: record for record in check(frame.reset_index(drop=True)).records}
    assert [(subrecord.collection, subrecord.id) for subrecord in by_id["A-1"].subrecords] == [
        ("sites", "00315"),
        ("sites", "996"),
        ("users", "U-1"),
        ("users", "U-2"),
    ]


def test_subrecords_are_ordered_by_number_not_by_column() -> None:
    """The first site is the default; its number decides which one is first, not the order of the columns."""
    frame = pd.DataFrame(
        [
            {
                "id_from_network": "A-1",
                "sites.10.id_from_network": "3",
                "sites.2.id_from_network": "2",
                "Sites 1 PID": "1",
            }
        ]
    )
    (record,) = check(frame).records
    assert [subrecord.id for subrecord in record.subrecords] == ["1", "2", "3"]


def test_header_aliases() -> None:
    """Aliases name the same columns in each shape, with and without a number."""
    row = {"Advertiser ID": "A-1", "users.user_id": "U-1", "users.email": "a@example.com", "Users Phone": "8055550100"}
    single_sheet = check(pd.DataFrame([row]))
    two_sheets = check(
        {
            "Advertisers": pd.DataFrame([{"advertiser_id_from_network": "A-1"}]),
            "USERS": pd.DataFrame(
                [{"Advertiser ID": "A-1", "user id": "U-1", "email": "a@example.com", "phone": "8055550100"}]
            ),
        }
    )
    assert list(map(record_content, single_sheet.records)) == list(map(record_content, two_sheets.records))
    assert single_sheet.records[0].subrecords[0].fields == {
        "id_from_network": "U-1",
        EMAIL: "a@example.com",
        "contact_phone_number": "8055550100",
    }
    assert codes(single_sheet) == codes(two_sheets) == []


def test_numbered_columns_with_sheets() -> None:
    """Values of a user in the advertiser's row and on the sheet of users are combined."""
    frames = book(advertiser(users=[user(first_name="", last_name="")]))
    frames["advertisers"] = frames["advertisers"].assign(
        **{"users.1.id_from_network": "U-1", "users.1.first_name": "Al"}
    )
    (record,) = check(frames).records
    subrecord_ids = [(subrecord.collection, subrecord.id) for subrecord in record.subrecords]
    assert subrecord_ids == [("sites", "315"), ("users", "U-1")]
    assert record.subrecords[1].fields["first_name"] == "Al"
    assert record.subrecords[1].fields["contact_phone_number"] == "8055550100"


# Issues and their cells


@dataclass(frozen=True, kw_only=True)
class Case:
    """Advertisers that give an issue.

    Attributes:
        fields: the fields with the issue: index of the advertiser, and the path within it.
        column: the title in the issue, if the sheets do not have the field.
        text: part of message or fix.
        shapes: the shapes that give the issue.
        other_codes: other codes that the same rows give.
    """

    code: str
    advertisers: Sequence[Mapping[str, Any]]
    fields: list[tuple[int, str]]
    column: str
    text: str
    shapes: tuple[str, ...]
    other_codes: set[str]
    auto_ids: bool


def case(
    code: str,
    advertisers: dict[str, Any] | list[dict[str, Any]],
    fields: str | list[tuple[int, str]],
    text: str = "",
    *,
    column: str = "",
    shapes: tuple[str, ...] = tuple(SHAPES),
    other_codes: tuple[str, ...] = (),
    auto_ids: bool = False,
    name: str = "",
) -> Any:
    """`fields`: a path means the first advertiser."""
    issue_case = Case(
        code=code,
        advertisers=[advertisers] if isinstance(advertisers, dict) else advertisers,
        fields=[(0, fields)] if isinstance(fields, str) else fields,
        column=column,
        text=text,
        shapes=shapes,
        other_codes=set(other_codes),
        auto_ids=auto_ids,
    )
    return pytest.param(issue_case, id=f"{code}-{name}" if name else code)


def new_advertiser(**values: Any) -> dict[str, Any]:
    """An advertiser that is certainly created."""
    return advertiser(action="create", **values)


def with_blanks(subrecord: Mapping[str, str], *paths: str) -> dict[str, str]:
    """The subrecord with blank cells at these paths."""
    return {**subrecord, **dict.fromkeys(paths, "")}


SECOND = {
    "email_settings__2__email_address": "second@example.com",
    "email_settings__2__use_for_notifications": "TRUE",
}

CASES = [
    # Values
    case("required", new_advertiser(name=""), "name", "'name' is required to create. Fill", name="name"),
    *(
        case(
            "required",
            new_advertiser(users=[user(), with_blanks(user("U-2", **values), path)]),
            f"users.2.{path}",
            "is required to add the user. Fill in the cell",
            other_codes=other_codes,
            name=path,
        )
        for path, values, other_codes in (
            ("first_name", {}, ()),
            ("last_name", {}, ()),
            ("contact_phone_number", {}, ()),
            (EMAIL, {"email_settings__1__use_for_notifications": ""}, ()),
            (NOTIFIED, SECOND, ()),
        )
    ),
    case(
        "not_a_phone_number",
        advertiser(users=[user(), user("U-2", contact_phone_number="555")]),
        "users.2.contact_phone_number",
    ),
    case(
        "not_an_email",
        advertiser(users=[user(), user("U-2", email_settings__1__email_address="a@")]),
        f"users.2.{EMAIL}",
    ),
    case(
        "not_a_boolean",
        advertiser(users=[user(email_settings__1__use_for_notifications="maybe")]),
        f"users.1.{NOTIFIED}",
    ),
    case("not_a_choice", advertiser(users=[user(role="Boss")]), "users.1.role", "Super, Manager, Member, Observer"),
    case(
        "not_a_choice",
        advertiser(users=[user(action="delete")]),
        "users.1.action",
        "Type one of: remove",
        name="action",
    ),
    case("not_digits", advertiser(sites=[site("S-1")]), "sites.1.id_from_network"),
    case("not_an_id", advertiser(users=[user("..")]), "users.1.id_from_network"),
    case("cell_error", advertiser(users=[user(first_name="#N/A")]), "users.1.first_name"),
    case("cannot_clear", advertiser(users=[user(last_name="[]")]), "users.1.last_name"),
    # Rows of one advertiser
    case(
        "part_without_id",
        advertiser(users=[user(), with_blanks(user("U-2"), "id_from_network")]),
        f"users.2.{EMAIL}",
        "values for a user but no",
        shapes=("numbered", "repeated"),
        name="user",
    ),
    case(
        "contradiction",
        advertiser(users=[user(), user(first_name="Jim", last_name="Dean U-1")]),
        "users.2.first_name",
        "'Jim' contradicts 'Chris' at ",
        name="user",
    ),
    case(
        "contradiction",
        [advertiser(), advertiser(name="Other", users=[])],
        [(1, "name")],
        "'Other' contradicts 'Business A-1' at ",
        name="advertiser",
    ),
    case(
        "contradiction",
        [advertiser(action="delete"), advertiser(action="update")],
        [(1, "action")],
        "'update' contradicts 'delete' at ",
        name="action",
    ),
    case(
        "contradiction",
        [advertiser(approval_status="[]"), advertiser(approval_status="Applied")],
        [(1, "approval_status")],
        "'Applied' contradicts '[]' at ",
        name="cleared",
    ),
    case(
        "duplicate_name",
        [advertiser("A-1"), advertiser("A-2", name="Business A-1"), advertiser("A-3")],
        [(0, "name"), (1, "name")],
        "Several advertisers have the name 'Business A-1' (",
    ),
    case(
        "email_repeated",
        advertiser(users=[user(), user("U-2", email_settings__2__email_address="U-2@Example.com")]),
        "users.2.email_settings.2.email_address",
        "'U-2@Example.com' more than once",
    ),
    case(
        "nobody_notified",
        new_advertiser(users=[user(email_settings__1__use_for_notifications="no")]),
        f"users.1.{NOTIFIED}",
    ),
    case(
        "nobody_notified",
        new_advertiser(
            users=[
                user(
                    email_settings__1__use_for_notifications="no",
                    email_settings__2__email_address="b@example.com",
                    email_settings__2__use_for_notifications="no",
                )
            ]
        ),
        f"users.1.{NOTIFIED}",
        name="two",
    ),
    case(
        "created_without_site",
        new_advertiser(sites=[]),
        "name",
        "or add a row to the sheet sites",
        column="sites.1.id_from_network",
    ),
    case(
        "created_without_site",
        new_advertiser(sites=[site(action="remove")], users=[]),
        "name",
        column="sites.1.id_from_network",
        shapes=("book", "numbered"),
        name="the-only-one-is-removed",
    ),
    case(
        "maybe_without_site",
        advertiser("A-9", sites=[]),
        "name",
        "If it is new, add a site",
        column="sites.1.id_from_network",
    ),
    case(
        "created_without_site",
        advertiser("", sites=[]),
        "name",
        column="sites.1.id_from_network",
        shapes=("numbered", "repeated"),
        auto_ids=True,
        name="auto-ids",
    ),
]


BY_SHAPE = [
    pytest.param(issue_case, shape, id=f"{shape}-{case.id}")
    for case in CASES
    for (issue_case,) in [case.values]  # noqa: PD011  a set of parameters
    for shape in issue_case.shapes
]


@pytest.mark.parametrize(("issue_case", "shape"), BY_SHAPE)
def test_issue(issue_case: Case, shape: str) -> None:
    """Each issue has the sheet, row and column as the spreadsheet shows them, in each shape."""
    validated_book = check(SHAPES[shape](*issue_case.advertisers), auto_ids=issue_case.auto_ids)
    issues = validated_book.issues[validated_book.issues["code"] == issue_case.code]
    assert set(codes(validated_book)) == {issue_case.code, *issue_case.other_codes}
    assert locations(validated_book, issue_case.code) == [
        (sheet, row, issue_case.column or column)
        for sheet, row, column in (
            place(shape, issue_case.advertisers, index, path) for index, path in issue_case.fields
        )
    ]
    assert issue_case.text in f"{issues['message'].iloc[0]} {issues['fix'].iloc[0]}"


@pytest.mark.parametrize(("issue_case", "shape"), BY_SHAPE)
def test_sentences(issue_case: Case, shape: str) -> None:
    """The message is one sentence, the fix is a sentence or a text to type; both name columns as the sheet does."""
    validated_book = check(SHAPES[shape](*issue_case.advertisers), auto_ids=issue_case.auto_ids)
    titles = {title for sheet in validated_book.sheets for title in sheet.sheet.frame.columns}
    for message, fix in validated_book.issues[["message", "fix"]].to_numpy():
        assert message[0] in "'[" or message[0].isupper()
        assert message.endswith(".")
        assert fix
        assert not re.search(r"[.] [A-Z]", message), "one sentence"
        named_columns = set(re.findall(r"'((?:users|sites)[.][a-z0-9_.]+)'", message + fix))
        assert named_columns <= titles | {issue_case.column, *(path for _, path in issue_case.fields)}


@pytest.mark.parametrize(
    ("issue_case", "shape"),
    [
        param
        for param in BY_SHAPE
        for issue_case, _ in [param.values]  # noqa: PD011  a set of parameters
        if ISSUE_TYPES[issue_case.code].level == "error"
    ],
)
def test_one_error_blocks_the_whole_advertiser(issue_case: Case, shape: str) -> None:
    """Nothing is sent for an advertiser with an error, and each of its rows names the row with the error."""
    validated_book = check(
        SHAPES[shape](*issue_case.advertisers, advertiser("A-9", sites=[site("9")], users=[])),
        auto_ids=issue_case.auto_ids,
    )
    plan = planning.build_plan(validated_book, {(): PlatformState()})
    good = [row for row in plan.rows if "A-9" in row.cells]
    assert [row.action for row in good] == ["create"] * len(good)
    bad = [row for row in plan.rows if row not in good]
    descriptions = {f"{sheet} row {row}".strip() for sheet, row, _ in locations(validated_book, issue_case.code)}
    error_rows = {(sheet, row) for sheet, row, _ in locations(validated_book, issue_case.code)}
    blocked_ids = {str(issue_case.advertisers[index]["id_from_network"]) for index, _ in issue_case.fields}
    for row in bad:
        name = plan.sheets[row.sheet].name
        if not blocked_ids & set(row.cells):
            continue
        assert row.action == "refused"
        assert (name, row.row) in error_rows or any(f"({description})" in row.error for description in descriptions)
        assert row.fix
    assert not [step for step in plan.steps if step.own_id in blocked_ids]


def codes_of(cases: list[Any]) -> set[str]:
    return {issue_case.code for (issue_case,) in (case.values for case in cases)}  # noqa: PD011  a set of parameters


def test_every_code_is_found() -> None:
    """Each code about several rows, or about an advertiser with subrecords, has a case here."""
    assert codes_of(CASES) | {"parent_missing", "sheet_ignored", "sheet_hidden"} >= OF_RECORDS


# A sheet for each resource


PARENT, OWN = "advertiser_id_from_network", "id_from_network"


def with_row(frames: dict[str, pd.DataFrame], sheet: str, **cells: str) -> dict[str, pd.DataFrame]:
    """The same book with one more row on a sheet."""
    rows = [*frames[sheet].to_dict("records"), cells]
    return frames | {sheet: with_row_numbers(pd.DataFrame(rows).fillna(""))}


@pytest.mark.parametrize(
    ("sheet", "cells", "code", "column", "text"),
    [
        pytest.param(
            "users",
            {PARENT: "A-7", **user("U-7")},
            "parent_missing",
            PARENT,
            "no row for the advertiser 'A-7'",
            id="no-such-parent",
        ),
        pytest.param("sites", {PARENT: "a-1", **site("7")}, "parent_missing", PARENT, "'a-1'", id="other-case"),
        pytest.param(
            "users", {PARENT: "", **user("U-7")}, "required", PARENT, "to tell whose user it is", id="no-parent"
        ),
        pytest.param("users", {PARENT: "A-1"}, "required", OWN, "to tell which user it is", id="parent-alone"),
        pytest.param("users", {PARENT: "A-1", **user("")}, "required", OWN, "to tell which user it is", id="no-id"),
        pytest.param(
            "sites", {PARENT: "A-1", "name": "x"}, "required", OWN, "to tell which site it is", id="site-no-id"
        ),
        pytest.param(
            "users",
            {PARENT: "A-1", OWN: "U-1", "last_name": "X"},
            "contradiction",
            "last_name",
            "contradicts 'Dean U-1' at users row 2, last_name",
            id="other-last-name",
        ),
        pytest.param(
            "advertisers",
            {OWN: "A-1", "name": "X"},
            "contradiction",
            "name",
            "contradicts 'Business A-1' at advertisers row 2, name",
            id="other-name",
        ),
        pytest.param("users", {PARENT: "#N/A", **user("U-7")}, "cell_error", PARENT, "#N/A", id="parent-error"),
        pytest.param(
            "advertisers", {OWN: "", "name": "X"}, "required", OWN, "to tell which advertiser it is", id="own-id"
        ),
    ],
)
def test_rows_of_a_book(sheet: str, cells: dict[str, str], code: str, column: str, text: str) -> None:
    """Issues between the sheets of a book have the sheet, row and column."""
    frames = with_row(book(advertiser()), sheet, **cells)
    validated_book = check(frames)
    assert codes(validated_book) == [code]
    assert locations(validated_book, code) == [(sheet, len(frames[sheet]) + 1, column)]
    assert text in validated_book.issues["message"].iloc[0]


def test_done_parents() -> None:
    """A user can be added to an advertiser whose row an earlier run did."""
    frames = book(advertiser(result_status="updated"))
    frames["sites"]["result_status"] = "unchanged"
    validated_book = check(frames)
    assert codes(validated_book) == []
    assert [sheet.pending.tolist() for sheet in validated_book.sheets] == [[False], [False], [True]]
    ((advertiser_id, action, fields, (done_site, new_user)),) = map(record_content, validated_book.records)
    assert (advertiser_id, action, fields) == ("A-1", None, {"id_from_network": "A-1"})
    assert done_site == ("sites", "315", False, {"id_from_network": "315"})
    assert new_user == record_content(check(book(advertiser())).records[0])[3][1]


def test_ignored_sheet(tmp_path: Path) -> None:
    """A worksheet with known headers that is not named after a resource gives a warning."""
    frames = book(advertiser()) | {"Old": book(advertiser("A-2"))["advertisers"]}
    validated_book = check(written(frames, tmp_path))
    assert codes(validated_book) == ["sheet_ignored"]
    assert "'Old' is not read" in validated_book.issues["message"].iloc[0]


def test_bad_header_of_any_sheet_blocks_all() -> None:
    """If one sheet of a book has a bad header, all rows of all sheets are invalid, and each names the header."""
    frames = book(advertiser())
    frames["users"] = frames["users"].rename(columns={"last_name": "lst_name"})
    validated_book = check(frames)
    assert locations(validated_book, "column_misspelt") == [("users", None, "lst_name")]
    assert all(sheet.invalid.all() for sheet in validated_book.sheets)
    plan = planning.build_plan(validated_book, {(): PlatformState()})
    assert {row.error.partition(".")[0] for row in plan.rows} == {
        "lst_name: Unknown column 'lst_name'; it looks like a misspelling of 'last_name'"
    }


def test_examples_of_the_template() -> None:
    """The template's example rows are read correctly: each site and user with its advertiser."""
    frames = {
        name: pd.DataFrame(list(SHEET_RESOURCES[name].examples)).fillna("")
        for name in ("advertisers", "sites", "users")
    }
    validated_book = check(frames)
    assert set(codes(validated_book)) == {"row_example"}
    assert len(validated_book.issues) == sum(map(len, frames.values()))
    assert [(record.id, [subrecord.id for subrecord in record.subrecords]) for record in validated_book.records] == [
        ("A-500", ["5001", "5002", "U-5001", "U-5002"]),
        ("A-501", ["5011", "U-5011"]),
    ]


# Rules and cells with errors


@each_shape
@pytest.mark.parametrize(
    ("advertiser_values", "code", "path"),
    [
        pytest.param(
            new_advertiser(users=[user(email_settings__1__use_for_notifications="maybe")]),
            "not_a_boolean",
            f"users.1.{NOTIFIED}",
            id="who-is-notified",
        ),
        pytest.param(
            new_advertiser(users=[user(email_settings__1__email_address="a@")]),
            "not_an_email",
            f"users.1.{EMAIL}",
            id="the-address",
        ),
        pytest.param(
            new_advertiser(users=[user(first_name="#N/A")]), "cell_error", "users.1.first_name", id="a-required-field"
        ),
        pytest.param(new_advertiser(name="#REF!"), "cell_error", "name", id="the-name"),
        pytest.param(new_advertiser(sites=[site("S")]), "not_digits", "sites.1.id_from_network", id="the-only-site"),
        pytest.param(new_advertiser(users=[user("..")]), "not_an_id", "users.1.id_from_network", id="who-it-is"),
    ],
)
def test_rules_ignore_cells_with_errors(shape: str, advertiser_values: dict[str, Any], code: str, path: str) -> None:
    """A cell with an error gives that error only; an additional error from a rule would mislead."""
    validated_book = check(SHAPES[shape](advertiser_values))
    assert codes(validated_book) == [code]
    assert locations(validated_book, code) == [place(shape, [advertiser_values], 0, path)]


@each_shape
def test_an_error_of_one_user_hides_no_issue_of_another(shape: str) -> None:
    """All issues are found at once: one user's cell with an error does not hide another user's issues."""
    users = [
        user(email_settings__1__use_for_notifications="maybe"),
        user("U-2", email_settings__1__use_for_notifications="no"),
    ]
    advertiser_values = new_advertiser(users=users)
    validated_book = check(SHAPES[shape](advertiser_values))
    assert locations(validated_book, "not_a_boolean") == [place(shape, [advertiser_values], 0, f"users.1.{NOTIFIED}")]
    assert locations(validated_book, "nobody_notified") == [place(shape, [advertiser_values], 0, f"users.2.{NOTIFIED}")]


# Columns that an earlier run or the platform wrote


@each_shape
def test_columns_that_are_not_sent_do_not_contradict(shape: str) -> None:
    """Outcomes, messages and read-only fields may differ between the rows of an advertiser."""
    frames = SHAPES[shape](*TWO)
    for frame in frames.values() if isinstance(frames, dict) else [frames]:
        for title in ("result_status", "result_error", "validation_errors", "result_run"):
            frame[title] = [
                f"{title} {index}" if title != "result_status" else "rejected" for index in range(len(frame))
            ]
    main = frames["advertisers"] if isinstance(frames, dict) else frames
    main["id"], main["object_url"] = range(len(main)), "https://example.com"
    validated_book = check(frames)
    assert set(codes(validated_book)) == {"cell_cleaned", "choice_cleaned", "read_only"}
    assert [record_content(record) for record in validated_book.records] == EXPECTED


@pytest.mark.parametrize(
    ("statuses", "pending"),
    [
        pytest.param(["updated"] * 4, 0, id="all-done"),
        pytest.param(["updated", "updated", "rejected", "updated"], 1, id="one-left"),
        pytest.param(["unknown"] * 4, 1, id="unknown"),
        pytest.param(["invalid", "", "not_sent", "failed"], 1, id="none-done"),
    ],
)
def test_done_rows(statuses: list[str], pending: int) -> None:
    """A record exists if one of its rows is pending; done rows only show which subrecords it has."""
    frame = repeated(TWO[0]).assign(result_status=statuses)
    validated_book = check(frame)
    done = [status == "updated" for status in statuses]
    _, _, fields, subrecords = EXPECTED[0]
    expected_subrecords = [
        (collection, subrecord_id, False, {"id_from_network": subrecord_id} if is_done else values)
        for (collection, subrecord_id, _, values), is_done in zip(subrecords, done, strict=True)
    ]
    expected_fields = {"id_from_network": "A-1"} if done[0] else fields
    contents = [record_content(record)[2:] for record in validated_book.records]
    assert contents == [(expected_fields, expected_subrecords)] * pending
    for record in validated_book.records:
        assert [subrecord.is_done for subrecord in record.subrecords] == done
        assert set(record.flat_values()) >= {"id_from_network"}
        assert len(list(record.numbered_subrecords())) == done.count(False)
        assert not any(done[row_ref.position] for row_ref in record.row_refs[: done.count(False)])


@each_shape
def test_a_removed_user_can_be_added_again(shape: str) -> None:
    """A user that an earlier run removed is gone; a row that adds the user again is pending."""
    removed = advertiser(sites=[], users=[user("U-1", action="remove"), user("U-2")], result_status="updated")
    frames = SHAPES[shape](removed)
    if shape == "book":
        frames["users"]["result_status"] = ["deleted", "updated"]
        frames = with_row(frames, "users", advertiser_id_from_network="A-1", id_from_network="U-1", role="Member")
    else:
        frame = frames.assign(result_status="updated")
        new_row = {"id_from_network": "A-1", "users.1.id_from_network": "U-1", "users.1.role": "Member"}
        frames = pd.concat([frame, pd.DataFrame([new_row])], ignore_index=True).fillna("")
        if shape == "repeated":
            frames["users.id_from_network"] = frames["users.id_from_network"].where(
                frames["users.1.id_from_network"] == "", "U-1"
            )
            frames = frames.drop(columns="users.1.id_from_network").rename(columns={"users.1.role": "users.role"})
    validated_book = check(frames)
    assert codes(validated_book) == []
    (record,) = validated_book.records
    users = {
        subrecord.id: (subrecord.is_removal, subrecord.is_done, dict(subrecord.fields))
        for subrecord in record.subrecords
        if subrecord.collection == "users"
    }
    assert users == {
        "U-1": (False, False, {"id_from_network": "U-1", "role": "Member"}),
        "U-2": (False, True, {"id_from_network": "U-2"}),
    }


@pytest.mark.parametrize(
    ("action", "status", "expected"),
    [
        pytest.param("create", "unknown", None, id="create-that-may-have-happened"),
        pytest.param("create", "Unknown ", None, id="other-spelling"),
        pytest.param("create", "failed", Action.CREATE, id="create-that-did-not"),
        pytest.param("update", "unknown", Action.UPDATE, id="update"),
        pytest.param("delete", "unknown", Action.DELETE, id="delete-must-not-create"),
    ],
)
@each_shape
def test_the_action_of_an_unknown_row(shape: str, action: str, status: str, expected: Action | None) -> None:
    """For a create that may have happened, the platform's state decides what to do."""
    frames = SHAPES[shape](advertiser(action=action))
    frames = (
        {name: frame.assign(result_status=status) for name, frame in frames.items()}
        if isinstance(frames, dict)
        else frames.assign(result_status=status)
    )
    (record,) = check(frames).records
    assert record.action is expected


def test_a_done_row_does_not_create_again() -> None:
    """`create` on a row that an earlier run did would contradict the platform's state."""
    frame = repeated(advertiser(action="create")).assign(result_status=["created", "rejected"])
    (record,) = check(frame).records
    assert record.action is None


# Ids that the network assigns


def test_without_an_id() -> None:
    """An advertiser without an id is an error, and the fix names the option that allows it."""
    validated_book = check(numbered(advertiser("")))
    assert locations(validated_book, "required") == [("", 2, "id_from_network")]
    assert str(option("auto_ids")) in validated_book.issues["fix"].iloc[0]
    assert validated_book.records == ()


def test_without_the_column_of_ids() -> None:
    """A missing column of ids is an error; with auto_ids it is not."""
    frame = numbered(advertiser()).drop(columns="id_from_network")
    assert codes(check(frame)) == ["column_missing"]
    assert codes(check(frame, auto_ids=True)) == []


@pytest.mark.parametrize("shape", ["numbered", "repeated"])
def test_auto_ids(shape: str) -> None:
    """If the network assigns ids, rows without an id are combined by the advertiser's name, which is unique."""
    advertisers = [advertiser("", name="Smith"), advertiser("", name="Jones"), advertiser("A-3")]
    frame = SHAPES[shape](*advertisers)
    if shape == "repeated":
        frame["name"] = frame["name"].mask(frame["name"] == "").ffill()
    validated_book = check(frame, auto_ids=True)
    assert codes(validated_book) == []
    assert [
        (record.id, record.fields["name"], [subrecord.id for subrecord in record.subrecords])
        for record in validated_book.records
    ] == [
        ("", "Smith", ["315", "U-1"]),
        ("", "Jones", ["315", "U-1"]),
        ("A-3", "Business A-3", ["315", "U-1"]),
    ]


@pytest.mark.parametrize(
    ("advertisers", "expected"),
    [
        pytest.param([advertiser("", name="")], ["required"], id="neither-id-nor-name"),
        pytest.param([advertiser("", name="X"), advertiser("A-2", name="X")], ["duplicate_name"] * 2, id="name-twice"),
        pytest.param([advertiser("", action="update")], ["required"], id="update"),
        pytest.param([advertiser("", action="delete")], ["required"], id="delete"),
        pytest.param([advertiser("#N/A")], ["cell_error"], id="id-error"),
        pytest.param([advertiser("", users=[user(first_name="")])], ["required"], id="user-without-name"),
    ],
)
def test_auto_ids_are_for_new_advertisers(advertisers: list[dict[str, Any]], expected: list[str]) -> None:
    """Only a new advertiser may lack an id, and it needs a name; an id with an error is not a missing id."""
    validated_book = check(numbered(*advertisers), auto_ids=True)
    assert codes(validated_book) == expected


# Library


def test_library(tmp_path: Path) -> None:
    """A workbook is read as a dict of frames, which can be validated like the file."""
    path = written(book(*TWO), tmp_path)
    frames = ib.read(path)
    assert isinstance(frames, dict)
    assert list(frames) == ["advertisers", "sites", "users"]
    first, second = ib.validate(path), ib.validate(frames)
    pd.testing.assert_frame_equal(first.issues, second.issues)
    first_records, second_records = first.validated_book.records, second.validated_book.records
    assert list(map(record_content, first_records)) == list(map(record_content, second_records))


def test_every_advertiser_code_is_in_the_catalogue() -> None:
    """Every code in this file's list exists."""
    assert set(ISSUE_TYPES) >= OF_RECORDS
    assert ADVERTISERS.subresources


@pytest.mark.parametrize(
    ("advertisers", "users", "location"),
    [
        pytest.param(
            [{"id_from_network": "A-1", "action": "delete"}, {"id_from_network": "A-1", "name": "Acme"}],
            [],
            ("advertisers", 3, "action"),
            id="advertiser",
        ),
        pytest.param(
            [{"id_from_network": "A-1"}],
            [
                {"advertiser_id_from_network": "A-1", "id_from_network": "U-1", "action": "remove"},
                {"advertiser_id_from_network": "A-1", "id_from_network": "U-1", "first_name": "Jim"},
            ],
            ("users", 3, "action"),
            id="user",
        ),
    ],
)
def test_rows_that_do_not_all_delete_contradict(
    advertisers: list[dict[str, str]], users: list[dict[str, str]], location: tuple[str, int, str]
) -> None:
    """If only some rows of an object delete it, that is a contradiction, so nothing is lost by mistake."""
    site_row = {"advertiser_id_from_network": "A-1", "id_from_network": "315"}
    tables = {"advertisers": pd.DataFrame(advertisers), "sites": pd.DataFrame([site_row])}
    tables |= {"users": pd.DataFrame(users)} if users else {}
    validated_book = validation.validate(
        sheets.load({name: table.fillna("") for name, table in tables.items()}), version=DEFAULT_API_VERSION
    )
    errors = validated_book.issues[validated_book.issues["level"] == "error"]
    assert errors[["sheet", "row", "column", "code"]].to_numpy().tolist() == [[*location, "contradiction"]]
