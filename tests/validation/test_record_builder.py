"""Advertisers come in three shapes that say the same; what is wrong is told where the spreadsheet has it."""

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
from tests.examples import OF_RECORDS, SHAPES, advertiser, book, numbered, place, repeated, site, user, written

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from invoca_bulk.validation import Record, ValidatedBook

each_shape = pytest.mark.parametrize("shape", list(SHAPES))
#: A shape, and whether it is a frame or a file.
SOURCES = [
    (shape, ending) for shape in SHAPES for ending in ("", ".xlsx", ".csv") if (shape, ending) != ("book", ".csv")
]
each_source = pytest.mark.parametrize(("shape", "ending"), SOURCES, ids=[f"{one}{ending}" for one, ending in SOURCES])


def check(source: Any, *, auto_ids: bool = False, version: str = DEFAULT_API_VERSION) -> ValidatedBook:
    return validation.validate(sheets.load(source, resource="advertisers"), version=version, auto_ids=auto_ids)


def codes(checked: ValidatedBook) -> list[str]:
    return checked.issues["code"].to_list()


def places(checked: ValidatedBook, code: str) -> list[tuple[str, int | None, str]]:
    found = checked.issues[checked.issues["code"] == code]
    rows = [None if row is pd.NA else int(row) for row in found["row"]]
    return list(zip(found["sheet"], rows, found["column"], strict=True))


def said(record: Record) -> tuple[Any, ...]:
    """What a record says, apart from where it stands."""
    parts = [(part.collection, part.id, part.is_removal, dict(part.fields)) for part in record.subrecords]
    return record.id, record.action, dict(record.fields), parts


# Three shapes of one thing


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
    """The three shapes, as frames and as files, come to the same records."""
    given = SHAPES[shape](*TWO)
    checked = check(written(given, tmp_path, ending) if ending else given)
    assert set(codes(checked)) == {"cell_cleaned", "choice_cleaned"}
    assert [said(one) for one in checked.records] == EXPECTED


@each_shape
def test_flat(shape: str) -> None:
    """A record as one object: parts numbered from 1 in their order, without what is cleared or taken away."""
    one = advertiser("A-1", approval_status="[]", sites=[site("1", action="remove"), site("2")], users=[])
    (record,) = check(SHAPES[shape](one)).records
    assert record.flat_values() == {
        "id_from_network": "A-1",
        "name": "Business A-1",
        "sites.1.id_from_network": "2",
        "sites.1.name": "Site 2",
    }
    assert record.to_json()["sites"] == [{"id_from_network": "2", "name": "Site 2"}]


@each_shape
def test_every_value_has_its_cell(shape: str) -> None:
    """For each value of a record it is known on which sheet, in which row and under which title it stands."""
    checked = check(SHAPES[shape](*TWO))
    for at, record in enumerate(checked.records):
        for path in record.flat_values():
            where, own_path = validation.locate_cell(record, path)
            one = checked.sheets[where.sheet_index]
            found = (one.sheet.name, int(one.sheet.frame.index[where.position]), one.title(own_path))
            assert found == place(shape, TWO, at, path)


def test_own_fields_may_be_repeated() -> None:
    """Rows that repeat their advertiser may repeat its fields, or leave them blank below the first."""
    once = repeated(*TWO)
    every = once.copy()
    for title in ("name", "web_integration_phone_number", "approval_status", "custom_data.channel", "action"):
        every[title] = every[title].mask(every[title] == "").groupby(every["id_from_network"]).ffill().fillna("")
    assert not every.equals(once)
    assert [said(one) for one in check(every).records] == EXPECTED


def test_rows_of_an_advertiser_need_not_stand_together() -> None:
    """Which rows belong together is told by the id, not by their order; that of the parts is the rows'."""
    frame = repeated(*TWO).iloc[[4, 2, 0, 3, 1]]
    by_id = {record.id: record for record in check(frame.reset_index(drop=True)).records}
    assert [(part.collection, part.id) for part in by_id["A-1"].subrecords] == [
        ("sites", "00315"),
        ("sites", "996"),
        ("users", "U-1"),
        ("users", "U-2"),
    ]


def test_numbers_give_the_order_and_not_the_columns() -> None:
    """The first site is the default: which is the first is told by its number, wherever its columns stand."""
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
    assert [part.id for part in record.subrecords] == ["1", "2", "3"]


def test_headers_of_the_wild() -> None:
    """Aliases name the same columns in each shape, with and without a number."""
    row = {"Advertiser ID": "A-1", "users.user_id": "U-1", "users.email": "a@example.com", "Users Phone": "8055550100"}
    flat = check(pd.DataFrame([row]))
    two = check(
        {
            "Advertisers": pd.DataFrame([{"advertiser_id_from_network": "A-1"}]),
            "USERS": pd.DataFrame(
                [{"Advertiser ID": "A-1", "user id": "U-1", "email": "a@example.com", "phone": "8055550100"}]
            ),
        }
    )
    assert [said(one) for one in flat.records] == [said(one) for one in two.records]
    assert flat.records[0].subrecords[0].fields == {
        "id_from_network": "U-1",
        EMAIL: "a@example.com",
        "contact_phone_number": "8055550100",
    }
    assert codes(flat) == codes(two) == []


def test_numbered_columns_beside_sheets() -> None:
    """A user may be begun in the advertiser's row and continued on a sheet of its own; he is one user all the same."""
    frames = book(advertiser(users=[user(first_name="", last_name="")]))
    frames["advertisers"] = frames["advertisers"].assign(
        **{"users.1.id_from_network": "U-1", "users.1.first_name": "Al"}
    )
    (record,) = check(frames).records
    assert [(part.collection, part.id) for part in record.subrecords] == [("sites", "315"), ("users", "U-1")]
    assert record.subrecords[1].fields["first_name"] == "Al"
    assert record.subrecords[1].fields["contact_phone_number"] == "8055550100"


# What is wrong, where it is


@dataclass(frozen=True, kw_only=True)
class Case:
    """One way to an issue.

    Attributes:
        at: the fields of which it is told: which advertiser, and the path within it.
        column: the title that is shown, where the sheets do not have the field.
        text: part of message or fix.
        shapes: those that have it.
        also: other codes that the same rows give.
    """

    code: str
    given: Sequence[Mapping[str, Any]]
    at: list[tuple[int, str]]
    column: str
    text: str
    shapes: tuple[str, ...]
    also: set[str]
    auto_ids: bool


def case(
    code: str,
    given: dict[str, Any] | list[dict[str, Any]],
    at: str | list[tuple[int, str]],
    text: str = "",
    *,
    column: str = "",
    shapes: tuple[str, ...] = tuple(SHAPES),
    also: tuple[str, ...] = (),
    auto_ids: bool = False,
    name: str = "",
) -> Any:
    """`at`: a path means the first advertiser."""
    one = Case(
        code=code,
        given=[given] if isinstance(given, dict) else given,
        at=[(0, at)] if isinstance(at, str) else at,
        column=column,
        text=text,
        shapes=shapes,
        also=set(also),
        auto_ids=auto_ids,
    )
    return pytest.param(one, id=f"{code}-{name}" if name else code)


def new(**more: Any) -> dict[str, Any]:
    """An advertiser that is certainly created."""
    return advertiser(action="create", **more)


def without(part: Mapping[str, str], *paths: str) -> dict[str, str]:
    """A part whose cells are blank there."""
    return {**part, **dict.fromkeys(paths, "")}


SECOND = {
    "email_settings__2__email_address": "second@example.com",
    "email_settings__2__use_for_notifications": "TRUE",
}

CASES = [
    # Values
    case("required", new(name=""), "name", "'name' is required to create. Fill", name="name"),
    *(
        case(
            "required",
            new(users=[user(), without(user("U-2", **more), path)]),
            f"users.2.{path}",
            "is required to add the user. Fill in the cell",
            also=also,
            name=path,
        )
        for path, more, also in (
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
        advertiser(users=[user(), without(user("U-2"), "id_from_network")]),
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
    case("nobody_notified", new(users=[user(email_settings__1__use_for_notifications="no")]), f"users.1.{NOTIFIED}"),
    case(
        "nobody_notified",
        new(
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
    case("no_site", new(sites=[]), "name", "or add a row to the sheet sites", column="sites.1.id_from_network"),
    case(
        "no_site",
        new(sites=[site(action="remove")], users=[]),
        "name",
        column="sites.1.id_from_network",
        shapes=("book", "numbered"),
        name="the-only-one-is-taken-away",
    ),
    case(
        "no_site",
        advertiser("", sites=[]),
        "name",
        column="sites.1.id_from_network",
        shapes=("numbered", "repeated"),
        auto_ids=True,
        name="auto-ids",
    ),
]


BY_SHAPE = [
    pytest.param(one, shape, id=f"{shape}-{case.id}")
    for case in CASES
    for (one,) in [case.values]  # noqa: PD011  a set of parameters
    for shape in one.shapes
]


@pytest.mark.parametrize(("one", "shape"), BY_SHAPE)
def test_issue(one: Case, shape: str) -> None:
    """Each problem is told with the sheet, the row and the column that the spreadsheet shows, in each shape."""
    checked = check(SHAPES[shape](*one.given), auto_ids=one.auto_ids)
    found = checked.issues[checked.issues["code"] == one.code]
    assert set(codes(checked)) == {one.code, *one.also}
    assert places(checked, one.code) == [
        (sheet, row, one.column or column)
        for sheet, row, column in (place(shape, one.given, at, path) for at, path in one.at)
    ]
    assert one.text in f"{found['message'].iloc[0]} {found['fix'].iloc[0]}"


@pytest.mark.parametrize(("one", "shape"), BY_SHAPE)
def test_sentences(one: Case, shape: str) -> None:
    """What is wrong is one sentence, what to do another or the text to type; both name columns as the sheet does."""
    checked = check(SHAPES[shape](*one.given), auto_ids=one.auto_ids)
    titles = {title for sheet in checked.sheets for title in sheet.sheet.frame.columns}
    for message, fix in checked.issues[["message", "fix"]].to_numpy():
        assert message[0] in "'[" or message[0].isupper()
        assert message.endswith(".")
        assert fix
        assert not re.search(r"[.] [A-Z]", message), "one sentence"
        named = set(re.findall(r"'((?:users|sites)[.][a-z0-9_.]+)'", message + fix))
        assert named <= titles | {one.column, *(path for _, path in one.at)}


@pytest.mark.parametrize(("one", "shape"), BY_SHAPE)
def test_one_error_holds_back_the_whole_advertiser(one: Case, shape: str) -> None:
    """Of an advertiser with an error nothing is sent, and each of its rows says which row has it."""
    checked = check(SHAPES[shape](*one.given, advertiser("A-9", sites=[site("9")], users=[])), auto_ids=one.auto_ids)
    made = planning.build_plan(checked, {(): PlatformState()})
    good = [row for row in made.rows if "A-9" in row.cells]
    assert [row.action for row in good] == ["create"] * len(good)
    bad = [row for row in made.rows if row not in good]
    named = {f"{sheet} row {row}".strip() for sheet, row, _ in places(checked, one.code)}
    errors = {(sheet, row) for sheet, row, _ in places(checked, one.code)}
    held = {str(given["id_from_network"]) for given in (one.given[at] for at, _ in one.at)}
    for row in bad:
        name = made.sheets[row.sheet].name
        if not held & set(row.cells):
            continue
        assert row.action == "refused"
        assert (name, row.row) in errors or any(f"({place})" in row.error for place in named)
        assert row.fix
    assert not [step for step in made.steps if step.own_id in held]


def codes_of(cases: list[Any]) -> set[str]:
    return {one.code for (one,) in (case.values for case in cases)}  # noqa: PD011  a set of parameters


def test_every_code_is_found() -> None:
    """Each code that takes several rows, or an advertiser with its parts, has a case here."""
    assert codes_of(CASES) | {"parent_missing", "sheet_ignored"} >= OF_RECORDS


# Sheets of their own


PARENT, OWN = "advertiser_id_from_network", "id_from_network"


def with_row(frames: dict[str, pd.DataFrame], sheet: str, **cells: str) -> dict[str, pd.DataFrame]:
    """The same book with one row more on a sheet."""
    rows = [*frames[sheet].to_dict("records"), cells]
    return frames | {sheet: pd.DataFrame(rows).fillna("")}


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
        pytest.param("users", {PARENT: "#N/A", **user("U-7")}, "cell_error", PARENT, "#N/A", id="parent-spoilt"),
        pytest.param(
            "advertisers", {OWN: "", "name": "X"}, "required", OWN, "to tell which advertiser it is", id="own-id"
        ),
    ],
)
def test_rows_of_a_book(sheet: str, cells: dict[str, str], code: str, column: str, text: str) -> None:
    """What is wrong between the sheets of a book is told on the sheet, in the row, in the column."""
    frames = with_row(book(advertiser()), sheet, **cells)
    checked = check(frames)
    assert codes(checked) == [code]
    assert places(checked, code) == [(sheet, len(frames[sheet]) + 1, column)]
    assert text in checked.issues["message"].iloc[0]


def test_parents_done_earlier_are_parents() -> None:
    """A user may be added to an advertiser whose own row an earlier run did."""
    frames = book(advertiser(result_status="updated"))
    frames["sites"]["result_status"] = "unchanged"
    checked = check(frames)
    assert codes(checked) == []
    assert [one.pending.tolist() for one in checked.sheets] == [[False], [False], [True]]
    ((own_id, action, fields, (done, left)),) = map(said, checked.records)
    assert (own_id, action, fields) == ("A-1", None, {"id_from_network": "A-1"})
    assert done == ("sites", "315", False, {"id_from_network": "315"})
    assert left == said(check(book(advertiser())).records[0])[3][1]


def test_left_out_sheet(tmp_path: Path) -> None:
    """A worksheet that looks as if it was meant, and has no name that says what it holds, is told of."""
    frames = book(advertiser()) | {"Old": book(advertiser("A-2"))["advertisers"]}
    checked = check(written(frames, tmp_path))
    assert codes(checked) == ["sheet_ignored"]
    assert "'Old' is not read" in checked.issues["message"].iloc[0]


def test_bad_header_of_any_sheet_blocks_all() -> None:
    """Where one sheet of a book has a bad header, no row of any can be trusted, and each says which header it is."""
    frames = book(advertiser())
    frames["users"] = frames["users"].rename(columns={"last_name": "lst_name"})
    checked = check(frames)
    assert places(checked, "column_misspelt") == [("users", None, "lst_name")]
    assert all(one.invalid.all() for one in checked.sheets)
    made = planning.build_plan(checked, {(): PlatformState()})
    assert {row.error.partition(".")[0] for row in made.rows} == {
        "lst_name: Unknown column 'lst_name'; it looks like a misspelling of 'last_name'"
    }


def test_examples_of_the_template() -> None:
    """The template's own rows are read as they are meant: each site and user with its advertiser."""
    frames = {
        name: pd.DataFrame(list(SHEET_RESOURCES[name].examples)).fillna("")
        for name in ("advertisers", "sites", "users")
    }
    checked = check(frames)
    assert codes(checked) == []
    assert [(one.id, [part.id for part in one.subrecords]) for one in checked.records] == [
        ("A-500", ["5001", "5002", "U-5001", "U-5002"]),
        ("A-501", ["5011", "U-5011"]),
    ]


# What cells with errors of their own do to the rules


@each_shape
@pytest.mark.parametrize(
    ("one", "code", "path"),
    [
        pytest.param(
            new(users=[user(email_settings__1__use_for_notifications="maybe")]),
            "not_a_boolean",
            f"users.1.{NOTIFIED}",
            id="who-is-notified",
        ),
        pytest.param(
            new(users=[user(email_settings__1__email_address="a@")]),
            "not_an_email",
            f"users.1.{EMAIL}",
            id="the-address",
        ),
        pytest.param(new(users=[user(first_name="#N/A")]), "cell_error", "users.1.first_name", id="a-required-field"),
        pytest.param(new(name="#REF!"), "cell_error", "name", id="the-name"),
        pytest.param(new(sites=[site("S")]), "not_digits", "sites.1.id_from_network", id="the-only-site"),
        pytest.param(new(users=[user("..")]), "not_an_id", "users.1.id_from_network", id="who-it-is"),
    ],
)
def test_rules_are_silent_about_spoilt_cells(shape: str, one: dict[str, Any], code: str, path: str) -> None:
    """A cell with an error gives that error only; that something is missing for that reason would mislead."""
    checked = check(SHAPES[shape](one))
    assert codes(checked) == [code]
    assert places(checked, code) == [place(shape, [one], 0, path)]


@each_shape
def test_a_spoilt_cell_hides_nothing_of_other_users(shape: str) -> None:
    """All problems are found at once: one user's spoilt cell does not hide what is wrong with another."""
    users = [
        user(email_settings__1__use_for_notifications="maybe"),
        user("U-2", email_settings__1__use_for_notifications="no"),
    ]
    given = new(users=users)
    checked = check(SHAPES[shape](given))
    assert places(checked, "not_a_boolean") == [place(shape, [given], 0, f"users.1.{NOTIFIED}")]
    assert places(checked, "nobody_notified") == [place(shape, [given], 0, f"users.2.{NOTIFIED}")]


# What an earlier run, and the platform, wrote


@each_shape
def test_what_is_not_sent_does_not_contradict(shape: str) -> None:
    """Outcomes, messages and what only the platform sets differ from row to row, and say nothing of the advertiser."""
    frames = SHAPES[shape](*TWO)
    for frame in frames.values() if isinstance(frames, dict) else [frames]:
        for title in ("result_status", "result_error", "validation_errors", "result_run"):
            frame[title] = [f"{title} {at}" if title != "result_status" else "rejected" for at in range(len(frame))]
    main = frames["advertisers"] if isinstance(frames, dict) else frames
    main["id"], main["object_url"] = range(len(main)), "https://example.com"
    checked = check(frames)
    assert set(codes(checked)) == {"cell_cleaned", "choice_cleaned", "read_only"}
    assert [said(one) for one in checked.records] == EXPECTED


@pytest.mark.parametrize(
    ("statuses", "pending"),
    [
        pytest.param(["updated"] * 4, 0, id="all-done"),
        pytest.param(["updated", "updated", "rejected", "updated"], 1, id="one-left"),
        pytest.param(["unknown"] * 4, 1, id="unknown"),
        pytest.param(["invalid", "", "not_sent", "failed"], 1, id="none-done"),
    ],
)
def test_rows_done_earlier(statuses: list[str], pending: int) -> None:
    """A record is there as long as one of its rows is to be done; done rows say which parts it has, and no more."""
    frame = repeated(TWO[0]).assign(result_status=statuses)
    checked = check(frame)
    done = [status == "updated" for status in statuses]
    _, _, fields, parts = EXPECTED[0]
    expected = [
        (collection, own_id, False, {"id_from_network": own_id} if is_done else values)
        for (collection, own_id, _, values), is_done in zip(parts, done, strict=True)
    ]
    own = {"id_from_network": "A-1"} if done[0] else fields
    assert [said(one)[2:] for one in checked.records] == [(own, expected)] * pending
    for record in checked.records:
        assert [part.is_done for part in record.subrecords] == done
        assert set(record.flat_values()) >= {"id_from_network"}
        assert len(list(record.numbered_subrecords())) == done.count(False)
        assert not any(done[place.position] for place in record.row_refs[: done.count(False)])


@each_shape
def test_what_a_done_row_took_away_is_no_part(shape: str) -> None:
    """A user whom an earlier run removed is no user any more; a row that adds him again is to be done."""
    removed = advertiser(sites=[], users=[user("U-1", action="remove"), user("U-2")], result_status="updated")
    frames = SHAPES[shape](removed)
    if shape == "book":
        frames["users"]["result_status"] = ["deleted", "updated"]
        frames = with_row(frames, "users", advertiser_id_from_network="A-1", id_from_network="U-1", role="Member")
    else:
        frame = frames.assign(result_status="updated")
        more = {"id_from_network": "A-1", "users.1.id_from_network": "U-1", "users.1.role": "Member"}
        frames = pd.concat([frame, pd.DataFrame([more])], ignore_index=True).fillna("")
        if shape == "repeated":
            frames["users.id_from_network"] = frames["users.id_from_network"].where(
                frames["users.1.id_from_network"] == "", "U-1"
            )
            frames = frames.drop(columns="users.1.id_from_network").rename(columns={"users.1.role": "users.role"})
    checked = check(frames)
    assert codes(checked) == []
    (record,) = checked.records
    found = {
        part.id: (part.is_removal, part.is_done, dict(part.fields))
        for part in record.subrecords
        if part.collection == "users"
    }
    assert found == {
        "U-1": (False, False, {"id_from_network": "U-1", "role": "Member"}),
        "U-2": (False, True, {"id_from_network": "U-2"}),
    }


@pytest.mark.parametrize(
    ("action", "status", "asked"),
    [
        pytest.param("create", "unknown", None, id="create-that-may-have-happened"),
        pytest.param("create", "Unknown ", None, id="other-spelling"),
        pytest.param("create", "failed", Action.CREATE, id="create-that-did-not"),
        pytest.param("update", "unknown", Action.UPDATE, id="update"),
        pytest.param("delete", "unknown", Action.DELETE, id="delete-must-not-create"),
    ],
)
@each_shape
def test_the_action_of_an_unknown_row(shape: str, action: str, status: str, asked: Action | None) -> None:
    """A create that may have happened is no create any more: the platform's state says what is to be done."""
    frames = SHAPES[shape](advertiser(action=action))
    frames = (
        {name: one.assign(result_status=status) for name, one in frames.items()}
        if isinstance(frames, dict)
        else frames.assign(result_status=status)
    )
    (record,) = check(frames).records
    assert record.action is asked


def test_a_done_row_does_not_create_again() -> None:
    """`create` on a row that an earlier run did would contradict what the platform has by now."""
    frame = repeated(advertiser(action="create")).assign(result_status=["created", "rejected"])
    (record,) = check(frame).records
    assert record.action is None


# Ids that the network gives


def test_without_an_id() -> None:
    """An advertiser without an id is an error, and the fix names the way out."""
    checked = check(numbered(advertiser("")))
    assert places(checked, "required") == [("", 2, "id_from_network")]
    assert "--auto-ids (auto_ids=True)" in checked.issues["fix"].iloc[0]
    assert checked.records == ()


def test_without_the_column_of_ids() -> None:
    """The same where the sheet has no column for it; with auto_ids none is missing."""
    frame = numbered(advertiser()).drop(columns="id_from_network")
    assert codes(check(frame)) == ["column_missing"]
    assert codes(check(frame, auto_ids=True)) == []


@pytest.mark.parametrize("shape", ["numbered", "repeated"])
def test_auto_ids(shape: str) -> None:
    """Where the network gives ids, rows without one are told apart by the advertiser's name, which is unique."""
    given = [advertiser("", name="Smith"), advertiser("", name="Jones"), advertiser("A-3")]
    frame = SHAPES[shape](*given)
    if shape == "repeated":
        frame["name"] = frame["name"].mask(frame["name"] == "").ffill()
    checked = check(frame, auto_ids=True)
    assert codes(checked) == []
    assert [(one.id, one.fields["name"], [part.id for part in one.subrecords]) for one in checked.records] == [
        ("", "Smith", ["315", "U-1"]),
        ("", "Jones", ["315", "U-1"]),
        ("A-3", "Business A-3", ["315", "U-1"]),
    ]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        pytest.param([advertiser("", name="")], ["required"], id="neither-id-nor-name"),
        pytest.param([advertiser("", name="X"), advertiser("A-2", name="X")], ["duplicate_name"] * 2, id="name-twice"),
        pytest.param([advertiser("", action="update")], ["required"], id="update"),
        pytest.param([advertiser("", action="delete")], ["required"], id="delete"),
        pytest.param([advertiser("#N/A")], ["cell_error"], id="spoilt-id"),
        pytest.param([advertiser("", users=[user(first_name="")])], ["required"], id="user-without-name"),
    ],
)
def test_auto_ids_are_for_what_is_new(given: list[dict[str, Any]], found: list[str]) -> None:
    """Only what is created can go without an id, and it needs a name; a spoilt id is not taken for none."""
    checked = check(numbered(*given), auto_ids=True)
    assert codes(checked) == found


# Doors


def test_library(tmp_path: Path) -> None:
    """A workbook is read as a dict of frames, which can be validated like the file."""
    path = written(book(*TWO), tmp_path)
    frames = ib.read(path)
    assert isinstance(frames, dict)
    assert list(frames) == ["advertisers", "sites", "users"]
    first, second = ib.validate(path), ib.validate(frames)
    pd.testing.assert_frame_equal(first.issues, second.issues)
    assert [said(one) for one in first.validated_book.records] == [said(one) for one in second.validated_book.records]


def test_every_advertiser_code_is_in_the_catalogue() -> None:
    """The list of codes that this file answers for has no code that is gone."""
    assert set(ISSUE_TYPES) >= OF_RECORDS
    assert ADVERTISERS.subresources


@pytest.mark.parametrize(
    ("advertisers", "users", "place"),
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
def test_one_row_deletes_and_another_one_keeps(
    advertisers: list[dict[str, str]], users: list[dict[str, str]], place: tuple[str, int, str]
) -> None:
    """Rows that are about the same object and do not all take it away contradict each other; nothing is lost."""
    own_site = {"advertiser_id_from_network": "A-1", "id_from_network": "315"}
    tables = {"advertisers": pd.DataFrame(advertisers), "sites": pd.DataFrame([own_site])}
    tables |= {"users": pd.DataFrame(users)} if users else {}
    checked = validation.validate(
        sheets.load({name: one.fillna("") for name, one in tables.items()}), version=DEFAULT_API_VERSION
    )
    errors = checked.issues[checked.issues["level"] == "error"]
    assert errors[["sheet", "row", "column", "code"]].to_numpy().tolist() == [[*place, "contradiction"]]
