"""The plan, from validated rows and the platform's state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invoca_bulk import planning, sheets, validation
from invoca_bulk.planning import PlatformState
from invoca_bulk.schema import DEFAULT_API_VERSION, Action
from invoca_bulk.schema.issue_catalog import ISSUE_COLUMNS, ISSUE_TYPES
from invoca_bulk.schema.outcomes import SUCCESS_OUTCOMES, Outcome
from tests.examples import GOOD, frame_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from invoca_bulk.planning import PlanData, Scope
    from invoca_bulk.validation import ValidatedBook

CAMPAIGN: Scope = ("advertisers", "A-1", "advertiser_campaigns", "C-1")
AFFILIATE = (*CAMPAIGN, "affiliates", "F-1", "affiliate_campaigns")
OWN = "id_from_network"


def check(*rows: Mapping[str, Any]) -> ValidatedBook:
    return validation.validate(sheets.load(frame_of(*rows), resource="promo_numbers"), version=DEFAULT_API_VERSION)


def plan_of(validated_book: ValidatedBook, observed: Mapping[Scope, PlatformState] | None = None) -> PlanData:
    """The plan; scopes without a given state are empty."""
    empty = {scope: PlatformState() for scope in planning.required_scopes(validated_book)}
    return planning.build_plan(validated_book, empty | dict(observed or {}))


def errors_of(plan_data: PlanData) -> pd.DataFrame:
    """The issues that keep rows from being sent."""
    return plan_data.issues[plan_data.issues["level"] == "error"]


def plan(*rows: Mapping[str, Any], observed: Mapping[Scope, PlatformState] | None = None) -> PlanData:
    return plan_of(check(*rows), observed)


# Required scopes


@pytest.mark.parametrize(
    ("rows", "scopes"),
    [
        pytest.param([], [], id="no-rows"),
        pytest.param([{}, {}], [CAMPAIGN], id="each-once"),
        pytest.param([{"affiliate_id_from_network": "F-1"}, {}], [AFFILIATE, CAMPAIGN], id="in-the-sheets-order"),
        pytest.param([{"advertiser_campaign_id_from_network": " C-1"}, {}], [CAMPAIGN], id="as-cleaned"),
        pytest.param([{"quantity": "0"}], [], id="rows-with-errors"),
        pytest.param([{"result_status": "created"}, {"result_status": "unknown"}], [], id="rows-done-earlier"),
        pytest.param([{"result_status": "rejected"}], [CAMPAIGN], id="rows-to-be-tried-again"),
        pytest.param([{"descripion": ""}], [], id="bad-header"),
    ],
)
def test_required_scopes(rows: list[dict[str, str]], scopes: list[Scope]) -> None:
    """Only the scopes in which something is created are read."""
    assert planning.required_scopes(check(*rows)) == scopes


# Steps


def test_step() -> None:
    """A row becomes one call with its path and body, without the tool's own columns."""
    plan_data = plan(
        {
            "local_center.tn_prefix": "805.0",
            "tn_prefix_whitelist": "805, 212",
            "local_number_preferences.restrict_search_to_state": "no",
            "promo_type": "[]",
            "custom_data.1": "x",
            "custom_data.a.b": "{}",
            "notes": "n",
            "id": "7",
            "quantity": "1",
            "action": "create",
            "result_status": "failed",
            "result_run": "R",
        }
    )
    (step,) = plan_data.steps
    assert (step.number, step.action, step.verb, step.own_id) == (0, Action.CREATE, "POST", "")
    assert step.path == (*CAMPAIGN, "promo_numbers")
    assert step.body == {
        "description": "Spring sale",
        "media_type": "Online: Display",
        "local_center": {"tn_prefix": "805"},
        "tn_prefix_whitelist": ["805", "212"],
        "local_number_preferences": {"restrict_search_to_state": False},
        "custom_data": {"1": "x", "a.b": "{}"},
    }


@pytest.mark.parametrize(
    ("row", "path", "own_id"),
    [
        pytest.param({}, (*CAMPAIGN, "promo_numbers"), "", id="campaign"),
        pytest.param({"affiliate_id_from_network": "F-1"}, (*AFFILIATE, "promo_numbers"), "", id="affiliate"),
        pytest.param({OWN: "X"}, (*CAMPAIGN, "promo_numbers_by_id"), "X", id="own-id"),
        pytest.param({OWN: " a/b%2F? "}, (*CAMPAIGN, "promo_numbers_by_id"), "a/b%2F?", id="odd-own-id"),
        pytest.param(
            {OWN: "007", "affiliate_id_from_network": "F-1"},
            (*AFFILIATE, "promo_numbers_by_id"),
            "007",
            id="own-id-of-affiliate",
        ),
    ],
)
def test_create_path(row: dict[str, str], path: tuple[str, ...], own_id: str) -> None:
    """A number is created in the row's campaign; one with an own id in the collection that is read by that id."""
    (step,) = plan(row).steps
    assert step.path == path
    assert step.own_id == own_id
    assert (step.body or {}).get("id_from_network", "") == own_id


@pytest.mark.parametrize(
    ("quantity", "cells"),
    [
        pytest.param("", [""], id="blank"),
        pytest.param("1", ["1"], id="one"),
        pytest.param("3", ["1", "1", "1"], id="three"),
        pytest.param("3.0", ["1", "1", "1"], id="cleaned"),
    ],
)
def test_quantity(quantity: str, cells: list[str]) -> None:
    """A quantity of 3 becomes three rows of quantity 1, one step each; a blank one stays blank."""
    plan_data = plan({"Quantity": quantity, "notes": "n"})
    index = plan_data.sheets[0].headers.index("Quantity")
    assert [row.cells[index] for row in plan_data.rows] == cells
    assert [row.step for row in plan_data.rows] == list(range(len(cells)))
    assert {row.row for row in plan_data.rows} == {2}
    assert {row.cells[-1] for row in plan_data.rows} == {"n"}
    assert plan_data.new_number_count == len(plan_data.steps) == len(cells)


def test_quantity_of_a_row_without_steps() -> None:
    """A row that is not sent keeps its quantity, so that the corrected row buys all of it."""
    plan_data = plan({"quantity": "3", "description": ""}, {"quantity": "5", "result_status": "unknown"})
    assert [row.cells[plan_data.sheets[0].headers.index("quantity")] for row in plan_data.rows] == ["3", "5"]
    assert plan_data.new_number_count == 0


# Rows without a step


@pytest.mark.parametrize("outcome", [*sorted(SUCCESS_OUTCOMES), Outcome.UNKNOWN])
@pytest.mark.parametrize("change", [str, str.upper, " {} ".format])
def test_earlier_outcome_is_kept(outcome: Outcome, change: Any) -> None:
    """A row keeps the outcome of an earlier run, whatever its cells contain."""
    plan_data = plan({"Result Status": change(outcome.value), "description": "", "media_type": "#N/A"})
    (row,) = plan_data.rows
    assert (row.outcome, row.from_results, row.step, row.error) == (outcome, True, None, "")
    assert row.cells[:4] == ("A-1", "C-1", "", "#N/A")
    assert plan_data.steps == ()


def test_invalid_row() -> None:
    """A row with errors lists all of them with a fix for each, without its warnings."""
    plan_data = plan({"media_type": "Online Display", "local_center.zipcode": "2134", "description": " x"})
    (row,) = plan_data.rows
    assert (row.outcome, row.from_results, row.step) == (Outcome.INVALID, False, None)
    assert row.error == (
        "media_type: 'Online Display' is not a valid value for 'media_type'. | "
        "local_center.zipcode: '2134' has too few digits for a zip code; Excel drops leading zeros."
    )
    assert row.fix == "media_type: Online: Display | local_center.zipcode: 02134"


def test_good_rows_among_bad_ones() -> None:
    """Bad rows do not shift the numbers of the steps."""
    plan_data = plan({}, {"quantity": "0"}, {"quantity": "2"}, {"result_status": "created"}, {})
    assert [(row.row, row.step, row.outcome) for row in plan_data.rows] == [
        (2, 0, None),
        (3, None, Outcome.INVALID),
        (4, 1, None),
        (4, 2, None),
        (5, None, Outcome.CREATED),
        (6, 3, None),
    ]
    assert [step.number for step in plan_data.steps] == [0, 1, 2, 3]


def test_bad_header() -> None:
    """With a bad header no row is sent, and each has the reason; rows that are done stay done."""
    plan_data = plan({"descripion": "x"}, {"quantity": "0"}, {"result_status": "created"})
    assert plan_data.steps == ()
    assert [row.outcome for row in plan_data.rows] == [Outcome.INVALID, Outcome.INVALID, Outcome.CREATED]
    assert plan_data.rows[0].error.startswith("descripion: Unknown column 'descripion'")
    assert plan_data.rows[1].error.startswith("quantity: 0 is not between")


def test_no_rows() -> None:
    """A sheet without rows is a plan without steps."""
    plan_data = plan()
    assert (plan_data.rows, plan_data.steps, plan_data.new_number_count) == ((), (), 0)


# Conflicts with the platform's state


def number(own_id: Any, **more: Any) -> dict[str, Any]:
    return {"id": 21, "id_from_network": own_id, "promo_number": "8005550100"} | more


THERE: dict[Scope, PlatformState] = {CAMPAIGN: PlatformState(objects=(number("4531"), number("X")))}
GONE: dict[Scope, PlatformState] = {CAMPAIGN: PlatformState(refusal_reason="Could not find C-1 (RecordNotFound, 404)")}


@pytest.mark.parametrize(
    ("row", "observed", "code", "column", "value", "text"),
    [
        pytest.param(
            {OWN: "X ", "action": "create"}, THERE, "own_id_exists", OWN, "X", "'X': 8005550100.", id="own-id"
        ),
        pytest.param(
            {}, GONE, "campaign_not_found", "", "", "Could not find C-1 (RecordNotFound, 404).", id="no-campaign"
        ),
        pytest.param({OWN: "X"}, GONE, "campaign_not_found", "", "", "Could not find", id="no-campaign-for-an-own-id"),
        pytest.param(
            {},
            {CAMPAIGN: PlatformState(refusal_reason="It is gone.")},
            "campaign_not_found",
            "",
            "",
            "does not find the campaign: It is gone.",
            id="one-full-stop",
        ),
        pytest.param(
            {},
            {CAMPAIGN: PlatformState(refusal_reason="{} %s {0}")},
            "campaign_not_found",
            "",
            "",
            "{} %s {0}.",
            id="braces",
        ),
        pytest.param(
            {OWN: "{}", "action": "create"},
            {CAMPAIGN: PlatformState(objects=(number("{}"),))},
            "own_id_exists",
            OWN,
            "{}",
            "'{}'",
            id="braces-in-id",
        ),
    ],
)
def test_refused_by_state(
    *, row: dict[str, str], observed: dict[Scope, PlatformState], code: str, column: str, value: str, text: str
) -> None:
    """A row that conflicts with the platform's state is invalid; the reason is added to the issues."""
    plan_data = plan({"description": " x"} | row, {"affiliate_id_from_network": "F-1"}, observed=observed)
    issue = errors_of(plan_data).iloc[0]
    assert len(errors_of(plan_data)) == 1
    assert (issue["row"], issue["column"], issue["level"], issue["code"]) == (2, column, "error", code)
    assert issue["value"] == value
    assert text in issue["message"]
    assert issue["message"].endswith(".")
    assert not issue["message"].endswith("..")
    assert issue["fix"] == ISSUE_TYPES[code].fix
    assert (plan_data.rows[0].outcome, plan_data.rows[0].error) == (Outcome.INVALID, issue["message"])
    assert plan_data.rows[0].fix == issue["fix"]
    assert [row.row for row in plan_data.rows if row.step is not None] == [3]


@pytest.mark.parametrize(
    "existing",
    [
        pytest.param(number("x"), id="another-case"),
        pytest.param(number("0X"), id="another-id"),
        pytest.param({"promo_number": "8005550100"}, id="no-id"),
        pytest.param(number(None), id="null"),
    ],
)
def test_own_id_is_free(existing: dict[str, Any]) -> None:
    """A number with another id does not prevent the creation."""
    assert len(plan({OWN: "X"}, {}, observed={CAMPAIGN: PlatformState(objects=(existing,))}).steps) == 2


def test_own_id_of_another_campaign() -> None:
    """An own id that another campaign uses is free."""
    plan_data = plan({OWN: "X", "affiliate_id_from_network": "F-1"}, {OWN: "Y"}, observed=THERE)
    assert len(plan_data.steps) == 2


def test_issues_of_the_plan() -> None:
    """The plan's issues are those of validation and its own, in one format, in row order."""
    validated_book = check(
        {"notes": "n"}, {OWN: "X", "action": "create"}, {"quantity": "0"}, {OWN: "4531", "action": "create"}
    )
    plan_data = plan_of(validated_book, THERE)
    assert plan_data.issues.columns.to_list() == list(ISSUE_COLUMNS)
    assert plan_data.issues.dtypes.to_dict() == validated_book.issues.dtypes.to_dict()
    assert list(zip(plan_data.issues["row"].fillna(0), plan_data.issues["code"], strict=True)) == [
        (0, "column_unknown"),
        (3, "own_id_exists"),
        (4, "out_of_range"),
        (5, "own_id_exists"),
    ]


def test_titles_of_the_sheet() -> None:
    """The plan uses the column titles of the sheet."""
    validated_book = validation.validate(
        sheets.load(pd.DataFrame([GOOD | {"Own ID": "X", "action": "create"}]), resource="promo_numbers"),
        version=DEFAULT_API_VERSION,
    )
    plan_data = plan_of(validated_book, THERE)
    assert plan_data.titles["promo_numbers"][OWN] == "Own ID"
    assert errors_of(plan_data)["column"].to_list() == ["Own ID"]


# Identity


FINGERPRINT = plan({"notes": "n"}).fingerprint


@pytest.mark.parametrize(
    ("other", "same"),
    [
        pytest.param(plan({"notes": "n"}), True, id="same"),
        pytest.param(plan({"notes": "m"}), False, id="a-cell"),
        pytest.param(plan({"notes": "n"}, {"notes": "n"}), False, id="a-row-more"),
        pytest.param(plan({"remark": "n"}), False, id="a-header"),
        pytest.param(plan({"notes": "n", "x": ""}), False, id="a-column-more"),
        pytest.param(plan({"description": "Spring sale", "notes": "n"}), True, id="named-again"),
        pytest.param(plan({"advertiser_id_from_network": "A-1C-1", "notes": "n"}), False, id="moved-between-cells"),
    ],
)
def test_fingerprint(other: PlanData, same: bool) -> None:  # noqa: FBT001  a column of the table
    """Equal content has the same fingerprint, different content a different one."""
    assert (other.fingerprint == FINGERPRINT) is same


def test_fingerprint_of_files(tmp_path: Any) -> None:
    """The file name and format do not affect the fingerprint."""
    lines = [",".join(GOOD), ",".join(GOOD.values())]
    prints = {plan({}).fingerprint}
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
        prints.add(plan_of(validation.validate(sheets.load(tmp_path / name), version=DEFAULT_API_VERSION)).fingerprint)
    assert len(prints) == 1


@pytest.mark.parametrize("text", ["\ud800", "a\0b", "a\u202e", "{}", "x" * 131_072])
def test_fingerprint_of_hostile_texts(text: str) -> None:
    """Any text in an unknown column can be fingerprinted."""
    assert len(plan({"notes": text, text[:20]: "x"}).fingerprint) == 64


# Completeness


ROWS = st.fixed_dictionaries(
    {
        "action": st.sampled_from(["", "", "create", "update", "delete", "move", "buy"]),
        "quantity": st.sampled_from(["", "1", "2", "0"]),
        OWN: st.sampled_from(["", "X", "Y", "4531", ".."]),
        "promo_number": st.sampled_from(["", "", "8005550100", "800-555-0101", "8005550102"]),
        "description": st.sampled_from(["Spring sale", "Other", ""]),
        "custom_data.a": st.sampled_from(["", "1", "[]"]),
        "affiliate_id_from_network": st.sampled_from(["", "F-1"]),
        "destination_advertiser_id_from_network": st.sampled_from(["", "", "A-1", "A-2"]),
        "destination_advertiser_campaign_id_from_network": st.sampled_from(["", "", "C-1", "C-2"]),
        "result_status": st.sampled_from(["", "", "created", "unknown", "rejected"]),
    }
)


#: The second number has no description, which every update requires.
FEW: dict[Scope, PlatformState] = {
    CAMPAIGN: PlatformState(
        objects=(
            number("X", description="Other", media_type="Online: Display", custom_data={"a": "1"}),
            number("4531", promo_number="8005550101", media_type="Online: Display"),
        )
    ),
    AFFILIATE: PlatformState(refusal_reason="Could not find F-1"),
}


@given(rows=st.lists(ROWS, max_size=10))
@settings(max_examples=150)
def test_every_row_is_planned(rows: list[dict[str, str]]) -> None:
    """Each row has either a step or an outcome; each step belongs to one row; no error row is sent.

    Nothing is requested twice: each own id is used once, and each existing number is changed by one row only.
    """
    plan_data = plan(*rows, observed=FEW)
    assert sorted({row.row for row in plan_data.rows}) == list(range(2, len(rows) + 2))
    assert [row.step for row in plan_data.rows if row.step is not None] == list(range(len(plan_data.steps)))
    assert all((row.step is None) == (row.outcome is not None) for row in plan_data.rows)
    invalid = {row.row for row in plan_data.rows if row.outcome is Outcome.INVALID}
    assert invalid == set(errors_of(plan_data)["row"].dropna())
    assert all(row.error and row.fix for row in plan_data.rows if row.row in invalid)
    creates = [step for step in plan_data.steps if step.action is Action.CREATE]
    own_ids = [(step.path, step.own_id) for step in creates if step.own_id]
    assert len(own_ids) == len(set(own_ids))
    assert not {((*CAMPAIGN, "promo_numbers_by_id"), own_id) for own_id in ("X", "4531")} & set(own_ids)
    changed_numbers = [step.snapshot["promo_number"] for step in plan_data.steps if step.snapshot]
    assert len(changed_numbers) == len(set(changed_numbers))
    assert all(step.body and {"description", "media_type"} <= step.body.keys() for step in creates)
    by_row = {row.step: row for row in plan_data.rows}
    assert all(by_row[step.number].action == step.action for step in plan_data.steps)
