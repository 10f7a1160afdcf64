"""Which worksheet is read, which header, and what is said about the others."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import openpyxl
import pytest

import invoca_bulk as ib
from invoca_bulk import errors, sheets

if TYPE_CHECKING:
    from pathlib import Path

HEADER = ["advertiser_id_from_network", "advertiser_campaign_id_from_network", "description", "media_type"]
ROW = ["A-1", "C-1", "Spring", "Online: Display"]
TABLE = [HEADER, ROW]
OLD = [[*HEADER, "quantity"], ["A-9", "C-9", "old", "Online: Display", 5]]
ADVERTISERS = [["id_from_network", "name"], ["A-1", "One"]]
SUMMARY = [["summary", "", ""], ["run", "R-1"], ["file", "x.xlsx"], ["description", "media_type"], ["a", "b"]]


def workbook(make: Any, tables: dict[str, list[list[Any]]], **states: str) -> bytes:
    """A workbook by openpyxl; `states`: name to the visibility of its worksheet."""
    opened = openpyxl.load_workbook(io.BytesIO(make.book(**tables)))
    for name, state in states.items():
        opened[name].sheet_state = state
    data: bytes = make.to_bytes(opened)
    return data


#: The tables, the visibility of some, the description that is read, and the code and name of those left out.
CHOICES: dict[str, Any] = {
    "hidden fits better": ({"May": TABLE, "Old": OLD}, {"Old": "hidden"}, "Spring", [("sheet_hidden", "Old")]),
    "very hidden": ({"May": TABLE, "Old": TABLE}, {"Old": "veryHidden"}, "Spring", [("sheet_hidden", "Old")]),
    "hidden comes first": ({"Old": OLD, "May": TABLE}, {"Old": "hidden"}, "Spring", [("sheet_hidden", "Old")]),
    "an archive fits better": ({"May": TABLE, "Archive": OLD}, {}, "Spring", [("sheet_ignored", "Archive")]),
    "equal": ({"May": TABLE, "June": OLD}, {}, "Spring", [("sheet_ignored", "June")]),
    "a weak table first": (
        {"Team": ADVERTISERS, "May": [[*HEADER, "quantity"], [*ROW, 1]]},
        {},
        "Spring",
        [("sheet_ignored", "Team")],
    ),
    "an empty one first": ({"Blank": TABLE[:1], "May": TABLE}, {}, "Spring", []),
    "Summary alone": ({"Summary": TABLE}, {}, "Spring", []),
    "Lists alone": ({"Lists": TABLE}, {}, "Spring", []),
    "Summary and notes": ({"Summary": TABLE, "Notes": [["x"]]}, {}, "Spring", [("sheet_ignored", "Notes")]),
    "Summary and another": ({"Summary": OLD, "May": TABLE}, {}, "Spring", [("sheet_ignored", "Summary")]),
    "our own summary": ({"summary": SUMMARY, "May": TABLE}, {}, "Spring", []),
}


@pytest.mark.parametrize("case", CHOICES)
def test_the_sheet_that_is_read(make: Any, case: str) -> None:
    """A hidden sheet or an archive is never taken silently, and each sheet that is left out is named."""
    tables, states, description, expected = CHOICES[case]
    issues = ib.validate(io.BytesIO(workbook(make, tables, **states))).issues
    (sheet,) = sheets.load(workbook(make, tables, **states))
    assert sheet.frame["description"].tolist() == [description]
    assert [(issue.problem.code, issue.problem.details["value"]) for issue in sheet.read_issues] == expected
    assert issues["code"].tolist() == [code for code, _ in expected]


def test_the_warning_reaches_the_results(make: Any, tmp_path: Path, cli: Any) -> None:
    """The terminal, the JSON and the summary of the results name the sheet that is read and the one that is not."""
    path = tmp_path / "requests.xlsx"
    path.write_bytes(workbook(make, {"May 2026": TABLE, "Archive 2019": OLD}))
    sentence = "The sheet 'Archive 2019' is not read. Read from this workbook: 'May 2026'."
    assert f"workbook: {sentence}" in cli("validate", path).out
    assert sentence in cli("validate", path, "--json").out
    assert sentence in cli("plan", path, "--sandbox", "--json").out
    assert sentence in cli("run", path, "--sandbox", "--json").out
    summary = openpyxl.load_workbook(tmp_path / "requests-results.xlsx")["summary"]
    assert any(sentence in str(text) for _, text, *_ in summary.iter_rows(values_only=True))


#: The titles of a table, all of which are matched.
TITLES = {
    "stars": ["Advertiser ID *", "*Campaign ID", "Description*", "Media Type **"],
    "words": ["Advertiser ID (required)", "Campaign ID [Required]", "Description (optional)", "Media Type (req.)"],
    "colons": ["Advertiser ID:", "Campaign ID :", "Description;", "Media Type:"],
    "quotes": ["'Advertiser ID'", '"Campaign ID"', "Description?", "Media Type (required)*:"],
}


@pytest.mark.parametrize("case", TITLES)
def test_marks_around_titles(make: Any, case: str) -> None:
    """A star, a colon, or a word that says whether a column is required is no part of its title."""
    assert ib.validate(io.BytesIO(make.xlsx([TITLES[case], ROW]))).issues.empty


def test_invisible_characters_in_titles() -> None:
    """They are left out, and a warning shows the title with and without them."""
    text = "advertiser_id_from_network\u00a0,Campaign\u00a0ID,description,media\u200b_type\nA-1,C-1,x,Online: Display\n"
    issues = ib.validate(io.BytesIO(text.encode())).issues
    assert issues["code"].tolist() == ["cell_cleaned"] * 3
    assert "'media\\u200b_type' is read as 'media_type'" in issues["message"].iloc[-1]


@pytest.mark.parametrize("above", [0, 21, 99])
def test_a_header_far_down(make: Any, above: int) -> None:
    """The header may stand below a hundred rows of notes, and the row numbers are the spreadsheet's."""
    (sheet,) = sheets.load(make.xlsx([*([f"note {row}"] for row in range(above)), *TABLE]))
    assert sheet.frame.index.tolist() == [above + 2]


#: A table, how it is read, and what the error says.
REFUSALS: dict[str, Any] = {
    "every title misspelt": (
        [["advertizer_id_from_netwrk", "advertizer_campain_id_from_network"], ["A", "C"]],
        {},
        "in 2 rows: .*Row 1 looks like a misspelt header: 'advertizer_id_from_netwrk' is close to 'advertiser_id",
    ),
    "too far down": ([*([f"note {row}"] for row in range(100)), *TABLE], {}, "in the first 100 rows: no column"),
    "the other resource": (TABLE, {"resource": "advertisers"}, "looks like promo numbers, .*resource=?.?promo_numbers"),
    "neither": ([["action", "custom_data.x"], ["create", "1"]], {}, "Neither.*advertisers lacks.*promo numbers lacks"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(make: Any, case: str) -> None:
    """The sentence says what was searched, what the sheet looks like, and what to correct."""
    rows, options, pattern = REFUSALS[case]
    with pytest.raises(errors.UnreadableSheetError) as raised:
        ib.read(io.BytesIO(make.xlsx(rows)), **options)
    assert re.search(pattern, str(raised.value))
