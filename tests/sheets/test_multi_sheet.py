"""Tables that are read together: the worksheets of a workbook, and dicts of DataFrames."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from invoca_bulk import errors, sheets
from invoca_bulk.schema import SHEET_RESOURCES

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


def told(loaded: tuple[Sheet, ...]) -> list[tuple[str, str, int]]:
    """Resource, name and number of rows of each sheet."""
    return [(one.resource.name, one.name, len(one.frame)) for one in loaded]


def ignored(loaded: tuple[Sheet, ...]) -> list[object]:
    """The worksheets that the first sheet says were left out; the others say nothing."""
    first, *rest = (
        [one.problem.details["value"] for one in sheet.read_issues if one.problem.code == "sheet_ignored"]
        for sheet in loaded
    )
    assert not any(rest)
    return first


# Worksheets

_ALL = [("advertisers", "advertisers", 2), ("sites", "sites", 1), ("users", "users", 1)]
_NUMBERS = ("promo_numbers", "promo_numbers", 1)
_TWO = [_ALL[0], _ALL[2]]

#: The tables of a workbook, what is read of it (resource, name, rows), and what is said to be left out.
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
    "our own sheets": ({**TWO, **dict.fromkeys(("issues", "Summary", "lists", "instructions"), NUMBERS)}, _TWO, []),
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
    "a flat sheet beside the advertisers": ({**TWO, "users": FLAT}, _TWO, []),
}


@pytest.mark.parametrize("case", WORKBOOKS)
def test_worksheets_with_the_names_of_what_they_hold_are_read_together(make: Any, case: str) -> None:
    """Two or more of them make one workbook; a single one, and all others, are found by their headers."""
    tables, expected, left_out = WORKBOOKS[case]
    loaded = sheets.load(make.book(**tables))
    assert told(loaded) == expected
    assert ignored(loaded) == left_out


OPTIONS: dict[str, Any] = {
    "sheet users": ({"sheet": "users"}, [("users", "users", 1)]),
    "sheet advertisers": ({"sheet": "advertisers"}, [("advertisers", "", 2)]),
    "sheet May": ({"sheet": "May"}, [("promo_numbers", "", 1)]),
    "advertisers": ({"resource": "advertisers"}, _ALL),
    "promo numbers": ({"resource": "promo_numbers"}, [("promo_numbers", "", 1)]),
    "a part of a resource": ({"sheet": "sites", "resource": "advertisers"}, [("sites", "sites", 1)]),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_what_is_asked_for_is_read_alone(make: Any, case: str) -> None:
    """A worksheet or a resource that is named is read, a resource with its parts, and nothing is missed beside it."""
    options, expected = OPTIONS[case]
    may = [row[1:] for row in NUMBERS]
    loaded = sheets.load(make.book(**FOUR, May=may), **options)
    assert told(loaded) == expected
    assert ignored(loaded) == []


def test_what_was_left_out_is_told_in_a_sentence(make: Any) -> None:
    """The warning names the sheet, what was read instead, and how to read it."""
    finding = sheets.load(make.book(**TWO, May=NUMBERS))[0].read_issues[-1]
    assert (finding.row, finding.problem.level) == (None, "warning")
    assert finding.problem.message == (
        "The sheet 'May' is not read; the sheets read from this workbook are: 'advertisers', 'users'."
    )
    assert "--sheet" in finding.problem.fix


def test_each_table_keeps_its_own_rows_and_findings(make: Any, tmp_path: Path) -> None:
    """Row numbers, marks and findings are those of each worksheet; source and path are the file's."""
    path = tmp_path / "May.xlsx"
    users = [["Users"], USERS[0], ["A-1", "#N/A"], [], ["A-1", "=1+1"]]
    path.write_bytes(make.book(advertisers=ADVERTISERS, users=users))
    advertisers, loaded = sheets.load(path)
    assert loaded.frame.index.tolist() == [3, 5]
    assert loaded.frame["id_from_network"].tolist() == ["#N/A", "#FORMULA! =1+1"]
    assert [one.problem.code for one in loaded.read_issues] == ["blank_rows"]
    assert advertisers.read_issues == ()
    assert {(one.source, one.path) for one in (advertisers, loaded)} == {("May.xlsx", path)}


def test_an_ods_is_read_alike(make: Any) -> None:
    """What is read together does not depend on the format."""
    loaded = sheets.load(make.ods_book(**FOUR, May=NUMBERS))
    assert told(loaded) == [*_ALL, _NUMBERS]
    assert ignored(loaded) == ["May"]


def test_an_untouched_sheet_of_the_same_name_does_no_harm(make: Any) -> None:
    """Of two sheets with one name, the one with rows is read."""
    assert told(sheets.load(make.book(**{"promo_numbers": NUMBERS[:1], "Promo Numbers": NUMBERS}))) == [
        ("promo_numbers", "", 1)
    ]


REFUSED: dict[str, Any] = {
    "two of a name": (
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
    "no such sheet": (TWO, {"sheet": "sites"}, "There is no sheet 'sites'. Its sheets are: 'advertisers', 'users'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_workbook_that_cannot_be_read_is_refused_in_two_sentences(make: Any, case: str, tmp_path: Path) -> None:
    """The message starts with the file, and says which worksheet is meant."""
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


#: A dict, how it is read, and what is read of it.
DICTS: dict[str, Any] = {
    "all four, in another order": (FOUR, {}, [*_ALL, _NUMBERS]),
    "other spellings": (
        {"Promo Numbers": NUMBERS, "ADVERTISERS": ADVERTISERS},
        {},
        [("advertisers", "ADVERTISERS", 2), ("promo_numbers", "Promo Numbers", 1)],
    ),
    "a resource alone": ({"advertisers": ADVERTISERS}, {}, [("advertisers", "", 2)]),
    "a part alone": ({"users": USERS}, {}, [("users", "users", 1)]),
    "no users": ({**TWO, "users": USERS[:1]}, {}, [("advertisers", "", 2)]),
    "nothing at all": ({name: rows[:1] for name, rows in TWO.items()}, {}, [(name, name, 0) for name in TWO]),
    "one of them": (FOUR, {"sheet": "users"}, [("users", "users", 1)]),
    "one resource": (FOUR, {"resource": "advertisers"}, _ALL),
}


@pytest.mark.parametrize("case", DICTS)
def test_a_dict_of_frames_is_read_like_a_workbook(case: str) -> None:
    """Keys say what the frames are about; the order is that of the work."""
    tables, options, expected = DICTS[case]
    assert told(sheets.load({name: frame(rows) for name, rows in tables.items()}, **options)) == expected


_KEYS = ", ".join(SHEET_RESOURCES)
NO_DICTS: dict[str, Any] = {
    "another key": ({"campaigns": frame(NUMBERS)}, {}, f"'campaigns' is no name of a table.*: {_KEYS}"),
    "a key that is no text": ({1: frame(NUMBERS)}, {}, f"1 is no name of a table.*: {_KEYS}"),
    "one key twice": ({"users": frame(USERS), "Users": frame(USERS)}, {}, "'users' and 'Users' both stand for users"),
    "no frames": ({}, {}, f"The dict has no table to read.*: {_KEYS}"),
    "none of the resource": ({"users": frame(USERS)}, {"resource": "promo_numbers"}, "no table.*keys: promo_numbers"),
    "rows": ({"users": USERS}, {}, "Sheet 'users': This is no DataFrame, but of the type list"),
    "a file": ({"users": "users.csv"}, {}, "Sheet 'users': This is no DataFrame, but of the type str"),
    "nothing known": ({"users": pd.DataFrame({"a": ["b"]})}, {}, "Sheet 'users': No header row.*first_name"),
    "no such sheet": (
        {"users": frame(USERS)},
        {"sheet": "sites"},
        "no sheet 'sites'. The keys of the dict are: 'users'",
    ),
}


@pytest.mark.parametrize("case", NO_DICTS)
def test_a_dict_that_cannot_be_used_is_refused_in_two_sentences(case: str) -> None:
    """Whatever somebody puts into a dict, the message says what is wrong with it, and which keys there are."""
    source, options, message = NO_DICTS[case]
    assert re.search(message, refused(source, **options))


# From a workbook into pandas and back


@pytest.fixture
def tables(make: Any) -> dict[str, pd.DataFrame]:
    """A workbook in pandas: a cell of the users is an error, a row of theirs is blank, and a sheet was left out."""
    users = [*USERS, [], ["A-1", "#N/A", "Ana"]]
    read = sheets.read(
        make.book(**{"May": NUMBERS, "Promo Numbers": NUMBERS, "Advertisers": ADVERTISERS, "Users": users})
    )
    assert isinstance(read, dict)
    return read


def test_a_workbook_is_a_dict_in_pandas(tables: dict[str, pd.DataFrame]) -> None:
    """The keys are the names of what the frames are about, in the order of the work, whatever the worksheets' names."""
    assert list(tables) == ["advertisers", "users", "promo_numbers"]
    assert tables["users"].index.tolist() == [2, 4]


def test_one_table_is_a_frame(make: Any) -> None:
    """Where one table is left, there is no dict."""
    assert isinstance(sheets.read(make.book(**{**TWO, "users": USERS[:1]})), pd.DataFrame)
    assert isinstance(sheets.read({"advertisers": frame(ADVERTISERS)}), pd.DataFrame)


def codes(loaded: tuple[Sheet, ...]) -> list[list[str]]:
    return [[finding.problem.code for finding in one.read_issues] for one in loaded]


def test_what_was_found_survives_work_in_pandas(tables: dict[str, pd.DataFrame]) -> None:
    """Marks, row numbers and findings of each table are still there after an edit; so is which one it is."""
    edited = {name: one.assign(notes="checked") for name, one in tables.items()}
    loaded = sheets.load(edited)
    assert told(loaded) == [("advertisers", "advertisers", 2), ("users", "users", 2), _NUMBERS]
    assert codes(loaded) == [["sheet_ignored"], ["blank_rows"], []]
    assert loaded[1].frame["id_from_network"].tolist() == ["U-1", "#N/A"]
    assert loaded[1].frame.index.tolist() == [2, 4]
    assert all(set(one.frame["notes"]) == {"checked"} for one in loaded)


RESOURCES_OF_FRAMES: dict[str, Any] = {
    "as it was read": ({}, "users"),
    "its own resource": ({"resource": "advertisers"}, "users"),
    "another resource": ({"resource": "promo_numbers"}, "promo_numbers"),
}


@pytest.mark.parametrize("case", RESOURCES_OF_FRAMES)
def test_a_frame_of_users_stays_one(tables: dict[str, pd.DataFrame], case: str) -> None:
    """A part's frame is known for what it is without its dict, unless another resource is asked for."""
    options, resource = RESOURCES_OF_FRAMES[case]
    (loaded,) = sheets.load(tables["users"], **options)
    assert loaded.resource.name == resource


def test_the_key_goes_before_what_was_read(tables: dict[str, pd.DataFrame]) -> None:
    """A frame that was made from another one is about what its key says."""
    sites = tables["users"].drop(columns=["first_name", "email"])
    assert told(sheets.load({"sites": sites})) == [("sites", "sites", 2)]
