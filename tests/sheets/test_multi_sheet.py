"""Tables that are read together: the worksheets of a workbook, and dicts of DataFrames."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from invoca_bulk import errors, sheets
from invoca_bulk.schema import SHEET_RESOURCES
from invoca_bulk.wording import option

if TYPE_CHECKING:
    from pathlib import Path

    from invoca_bulk.sheets import Sheet

ADVERTISERS = [["id_from_network", "name"], ["A-1", "One"], ["A-2", "Two"]]
SITES = [["advertiser_id_from_network", "id_from_network", "name"], ["A-1", "11", "Main"]]
USERS = [["advertiser_id_from_network", "id_from_network", "first_name", "email"], ["A-1", "U-1", "Jim", "j@a.org"]]
NUMBERS = [["advertiser_id", "campaign_id", "description", "media_type"], ["A-1", "C-1", "x", "Online: Email"]]
FOUR = {"promo_numbers": NUMBERS, "users": USERS, "sites": SITES, "advertisers": ADVERTISERS}
TWO = {"advertisers": ADVERTISERS, "users": USERS}
#: A flat sheet: an advertiser's rows repeat, a user each.
FLAT = [["advertiser_id_from_network", "name", "users.id_from_network", "users.first_name"], ["A-1", "One", "U-1", "J"]]


def summaries(loaded: tuple[Sheet, ...]) -> list[tuple[str, str, int]]:
    """Resource, name and number of rows of each sheet."""
    return [(sheet.resource.name, sheet.name, len(sheet.frame)) for sheet in loaded]


def ignored(loaded: tuple[Sheet, ...]) -> list[object]:
    """The ignored worksheets, which only the first sheet reports."""
    first, *others = (
        [issue.problem.details["value"] for issue in sheet.read_issues if issue.problem.code == "sheet_ignored"]
        for sheet in loaded
    )
    assert not any(others)
    return first


# Worksheets

_ALL = [("advertisers", "advertisers", 2), ("sites", "sites", 1), ("users", "users", 1)]
_NUMBERS = ("promo_numbers", "promo_numbers", 1)
_TWO = [_ALL[0], _ALL[2]]

#: The tables of a workbook, the sheets read (resource, name, rows), and the ignored worksheets.
WORKBOOKS: dict[str, Any] = {
    "all four, in another order": (FOUR, [*_ALL, _NUMBERS], []),
    "two resources": ({"promo_numbers": NUMBERS, "advertisers": ADVERTISERS}, [_ALL[0], _NUMBERS], []),
    "case, spaces and dashes": (
        {"ADVERTISERS ": ADVERTISERS, " Users": USERS, "Promo-Numbers": NUMBERS},
        [("advertisers", "ADVERTISERS ", 2), ("users", " Users", 1), ("promo_numbers", "Promo-Numbers", 1)],
        [],
    ),
    "two words": (
        {"Promo Numbers": NUMBERS, "Advertisers": ADVERTISERS},
        [("advertisers", "Advertisers", 2), ("promo_numbers", "Promo Numbers", 1)],
        [],
    ),
    "no users": ({**TWO, "users": USERS[:1]}, [("advertisers", "", 2)], []),
    "blank rows of users": ({**TWO, "users": [USERS[0], [""], ["", " "]]}, [("advertisers", "", 2)], []),
    "two of three": ({**TWO, "sites": SITES[:1]}, _TWO, []),
    "nothing filled in": (
        {name: rows[:1] for name, rows in FOUR.items()},
        [(name, name, 0) for name in ("advertisers", "sites", "users", "promo_numbers")],
        [],
    ),
    "nothing filled in, but another sheet": (
        {"advertisers": ADVERTISERS[:1], "users": USERS[:1], "May": NUMBERS},
        [("promo_numbers", "", 1)],
        [],
    ),
    "users alone": ({"users": USERS, "Notes": [["description"], ["x"]]}, [("users", "users", 1)], []),
    "users filled in alone": ({**TWO, "advertisers": ADVERTISERS[:1]}, [("users", "users", 1)], []),
    "numbers alone": ({"promo_numbers": NUMBERS}, [("promo_numbers", "", 1)], []),
    "a title above the header": (
        {"advertisers": [["Our advertisers"], [], *ADVERTISERS], "users": [["Users", "draft"], *USERS]},
        _TWO,
        [],
    ),
    "names of generated sheets": (
        {**TWO, **dict.fromkeys(("issues", "Summary", "lists", "instructions"), NUMBERS)},
        _TWO,
        ["issues", "Summary", "lists", "instructions"],
    ),
    "notes": ({**TWO, "Notes": [["description"], ["x"]], "Plan": [["soon"]], "Empty": []}, _TWO, []),
    "another sheet that fits": ({**TWO, "May": NUMBERS, "June": NUMBERS}, _TWO, ["May", "June"]),
    "another sheet that fits, empty": ({**TWO, "May": NUMBERS[:1]}, _TWO, []),
    "a known name without known titles": ({**TWO, "promo numbers": [["number"], ["805"]]}, _TWO, ["promo numbers"]),
    "a known name, blank": ({**TWO, "sites": []}, _TWO, []),
    "a known name for something else": ({**TWO, "Sites": NUMBERS}, _TWO, ["Sites"]),
    "sites with places": (
        {"sites": [[*SITES[0], "city", "state", "zipcode", "description"], [*SITES[1], "a", "b", "c", "d"]]},
        [("sites", "sites", 1)],
        [],
    ),
    "promo numbers for each site, alone": ({"Sites": NUMBERS}, [("promo_numbers", "", 1)], []),
    "a flat sheet, alone": ({"users": FLAT}, [("advertisers", "", 1)], []),
    "a flat sheet and the advertisers": ({**TWO, "users": FLAT}, _TWO, []),
}


@pytest.mark.parametrize("case", WORKBOOKS)
def test_worksheets_named_after_resources_are_read_together(make: Any, case: str) -> None:
    """Two or more such worksheets are read together; otherwise the headers decide which one is read."""
    tables, expected, expected_ignored = WORKBOOKS[case]
    loaded = sheets.load(make.book(**tables))
    assert summaries(loaded) == expected
    assert ignored(loaded) == expected_ignored


OPTIONS: dict[str, Any] = {
    "sheet users": ({"sheet": "users"}, [("users", "users", 1)], []),
    "sheet advertisers": ({"sheet": "advertisers"}, [("advertisers", "", 2)], []),
    "sheet May": ({"sheet": "May"}, [("promo_numbers", "", 1)], []),
    "advertisers": ({"resource": "advertisers"}, _ALL, []),
    "promo numbers": ({"resource": "promo_numbers"}, [("promo_numbers", "", 1)], ["May"]),
    "a subresource": ({"sheet": "sites", "resource": "advertisers"}, [("sites", "sites", 1)], []),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_a_chosen_sheet_or_resource_is_read_alone(make: Any, case: str) -> None:
    """A chosen worksheet, or a chosen resource with its subresources, is read alone; of others there is no warning."""
    options, expected, expected_ignored = OPTIONS[case]
    may = [row[1:] for row in NUMBERS]
    loaded = sheets.load(make.book(**FOUR, May=may), **options)
    assert summaries(loaded) == expected
    assert ignored(loaded) == expected_ignored


def test_the_warning_about_an_ignored_worksheet(make: Any) -> None:
    """The warning names the worksheet, what was read instead, and how to read it."""
    read_issue = sheets.load(make.book(**TWO, May=NUMBERS))[0].read_issues[-1]
    assert (read_issue.row, read_issue.problem.level) == (None, "warning")
    assert read_issue.problem.message == (
        "The sheet 'May' is not read. Read from this workbook: 'advertisers', 'users'."
    )
    assert str(option("sheet=…")) in read_issue.problem.fix


def test_each_sheet_has_its_own_rows_and_read_issues(make: Any, tmp_path: Path) -> None:
    """Row numbers, markers and read issues are those of each worksheet; source and path are the file's."""
    path = tmp_path / "May.xlsx"
    users = [["Users"], USERS[0], ["A-1", "#N/A"], [], ["A-1", "=1+1"]]
    path.write_bytes(make.book(advertisers=ADVERTISERS, users=users))
    advertiser_sheet, user_sheet = sheets.load(path)
    assert user_sheet.frame.index.tolist() == [3, 5]
    assert user_sheet.frame["id_from_network"].tolist() == ["#N/A", "#FORMULA! =1+1"]
    assert [issue.problem.code for issue in user_sheet.read_issues] == ["blank_rows"]
    assert advertiser_sheet.read_issues == ()
    assert {(sheet.source, sheet.path) for sheet in (advertiser_sheet, user_sheet)} == {("May.xlsx", path)}


def test_an_ods_is_read_like_an_xlsx(make: Any) -> None:
    """Which worksheets are read together does not depend on the format."""
    loaded = sheets.load(make.ods_book(**FOUR, May=NUMBERS))
    assert summaries(loaded) == [*_ALL, _NUMBERS]
    assert ignored(loaded) == ["May"]


def test_an_empty_sheet_of_the_same_name_is_ignored(make: Any) -> None:
    """Of two sheets with equivalent names, the one with rows is read."""
    assert summaries(sheets.load(make.book(**{"promo_numbers": NUMBERS[:1], "Promo Numbers": NUMBERS}))) == [
        ("promo_numbers", "", 1)
    ]


REFUSED: dict[str, Any] = {
    "two with the same name": (
        {"promo_numbers": NUMBERS, "Promo Numbers": NUMBERS},
        {},
        "The sheets 'promo_numbers' and 'Promo Numbers' are both named promo_numbers",
    ),
    "a title twice": (
        {**TWO, "users": [[*USERS[0], "email"], USERS[1]]},
        {},
        "Sheet 'users': The columns D and E have the same title",
    ),
    "a value without a title": ({**TWO, "users": [USERS[0], [*USERS[1], "x"]]}, {}, "Sheet 'users': The column E has"),
    "no such sheet": (TWO, {"sheet": "sites"}, "There is no sheet 'sites'. The sheets are: 'advertisers', 'users'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_workbook_that_cannot_be_read_is_refused_in_two_sentences(make: Any, case: str, tmp_path: Path) -> None:
    """The message starts with the file's name, and names the worksheet."""
    tables, options, message = REFUSED[case]
    path = tmp_path / "May.xlsx"
    path.write_bytes(make.book(**tables))
    assert re.match(f"May.xlsx: {message}", refused(path, **options))


def refused(source: Any, **options: Any) -> str:
    with pytest.raises(errors.UnreadableSheetError) as caught:
        sheets.load(source, **options)
    message = str(caught.value)
    assert len(re.findall(r"[.!](?: |$)", message)) >= 2, "says what is wrong, and what to do"
    return message


# DataFrames


def frame(rows: list[list[str]]) -> pd.DataFrame:
    return pd.DataFrame(rows[1:], columns=rows[0])


#: A dict, options of `load`, and the sheets read.
DICTS: dict[str, Any] = {
    "all four, in another order": (FOUR, {}, [*_ALL, _NUMBERS]),
    "other spellings": (
        {"Promo Numbers": NUMBERS, "ADVERTISERS": ADVERTISERS},
        {},
        [("advertisers", "ADVERTISERS", 2), ("promo_numbers", "Promo Numbers", 1)],
    ),
    "a resource alone": ({"advertisers": ADVERTISERS}, {}, [("advertisers", "", 2)]),
    "a subresource alone": ({"users": USERS}, {}, [("users", "users", 1)]),
    "no users": ({**TWO, "users": USERS[:1]}, {}, [("advertisers", "", 2)]),
    "nothing at all": ({name: rows[:1] for name, rows in TWO.items()}, {}, [(name, name, 0) for name in TWO]),
    "one of them": (FOUR, {"sheet": "users"}, [("users", "users", 1)]),
    "one resource": (FOUR, {"resource": "advertisers"}, _ALL),
}


@pytest.mark.parametrize("case", DICTS)
def test_a_dict_of_frames_is_read_like_a_workbook(case: str) -> None:
    """Keys name the resources; sheets are in the order of processing."""
    tables, options, expected = DICTS[case]
    assert summaries(sheets.load({name: frame(rows) for name, rows in tables.items()}, **options)) == expected


_KEYS = ", ".join(SHEET_RESOURCES)
NO_DICTS: dict[str, Any] = {
    "another key": ({"campaigns": frame(NUMBERS)}, {}, f"'campaigns' is not the name of a table.*: {_KEYS}"),
    "a key that is not a text": ({1: frame(NUMBERS)}, {}, f"1 is not the name of a table.*: {_KEYS}"),
    "one key twice": ({"users": frame(USERS), "Users": frame(USERS)}, {}, "'users' and 'Users' both mean users"),
    "no frames": ({}, {}, f"The dict has no table to read.*: {_KEYS}"),
    "none of the resource": ({"users": frame(USERS)}, {"resource": "promo_numbers"}, "no table.*keys: promo_numbers"),
    "rows": ({"users": USERS}, {}, "Sheet 'users': Expected a DataFrame, but the value is of the type list"),
    "a file": ({"users": "users.csv"}, {}, "Sheet 'users': Expected a DataFrame, but the value is of the type str"),
    "nothing known": ({"users": pd.DataFrame({"a": ["b"]})}, {}, "Sheet 'users': No header row.*first_name"),
    "no such sheet": (
        {"users": frame(USERS)},
        {"sheet": "sites"},
        "no sheet 'sites'. The keys of the dict are: 'users'",
    ),
}


@pytest.mark.parametrize("case", NO_DICTS)
def test_a_dict_that_cannot_be_used_is_refused_in_two_sentences(case: str) -> None:
    """The message says what is wrong with the dict, and which keys are allowed."""
    source, options, message = NO_DICTS[case]
    assert re.search(message, refused(source, **options))


# From a workbook into pandas and back


@pytest.fixture
def tables(make: Any) -> dict[str, pd.DataFrame]:
    """A workbook in pandas: the users have an error cell and a blank row, and one worksheet was ignored."""
    users = [*USERS, [], ["A-1", "#N/A", "Ana"]]
    frames = sheets.read(
        make.book(**{"May": NUMBERS, "Promo Numbers": NUMBERS, "Advertisers": ADVERTISERS, "Users": users})
    )
    assert isinstance(frames, dict)
    return frames


def test_a_workbook_is_a_dict_in_pandas(tables: dict[str, pd.DataFrame]) -> None:
    """The keys are the names of the resources, in the order of processing, not the worksheets' names."""
    assert list(tables) == ["advertisers", "users", "promo_numbers"]
    assert tables["users"].index.tolist() == [2, 4]


def test_one_table_is_a_frame(make: Any) -> None:
    """A single table is not returned in a dict."""
    assert isinstance(sheets.read(make.book(**{**TWO, "users": USERS[:1]})), pd.DataFrame)
    assert isinstance(sheets.read({"advertisers": frame(ADVERTISERS)}), pd.DataFrame)


def codes(loaded: tuple[Sheet, ...]) -> list[list[str]]:
    return [[issue.problem.code for issue in sheet.read_issues] for sheet in loaded]


def test_read_issues_survive_work_in_pandas(tables: dict[str, pd.DataFrame]) -> None:
    """An edited table keeps its resource, markers, row numbers and read issues."""
    edited = {name: table.assign(notes="checked") for name, table in tables.items()}
    loaded = sheets.load(edited)
    assert summaries(loaded) == [("advertisers", "advertisers", 2), ("users", "users", 2), _NUMBERS]
    assert codes(loaded) == [["sheet_ignored"], ["blank_rows"], []]
    assert loaded[1].frame["id_from_network"].tolist() == ["U-1", "#N/A"]
    assert loaded[1].frame.index.tolist() == [2, 4]
    assert all(set(sheet.frame["notes"]) == {"checked"} for sheet in loaded)


RESOURCES_OF_FRAMES: dict[str, Any] = {
    "as it was read": ({}, "users"),
    "its own resource": ({"resource": "advertisers"}, "users"),
    "another resource": ({"resource": "promo_numbers"}, "promo_numbers"),
}


@pytest.mark.parametrize("case", RESOURCES_OF_FRAMES)
def test_a_frame_of_users_keeps_its_resource(tables: dict[str, pd.DataFrame], case: str) -> None:
    """A subresource's frame is recognized without its dict, unless another resource is asked for."""
    options, resource = RESOURCES_OF_FRAMES[case]
    (loaded,) = sheets.load(tables["users"], **options)
    assert loaded.resource.name == resource


def test_the_key_overrides_the_attrs(tables: dict[str, pd.DataFrame]) -> None:
    """The key decides the resource of a frame that was made from another one."""
    sites = tables["users"].drop(columns=["first_name", "email"])
    assert summaries(sheets.load({"sites": sites})) == [("sites", "sites", 2)]
