"""The checker itself: it finds each sort of harm, and none where there is none."""

from __future__ import annotations

from typing import Any

import pytest

from invoca_bulk.sandbox_server import CampaignKey, LedgerEntry
from tests.crash import checker
from tests.crash.checker import Asked


def _row(about: str) -> dict[str, str]:
    place = {"advertiser_id_from_network": "A", "advertiser_campaign_id_from_network": "C"}
    return {**place, "affiliate_id_from_network": "", "description": about}


def _issued(number: str, about: str = "x") -> LedgerEntry:
    campaign = CampaignKey(network_id="1", advertiser_id="A", campaign_id="C")
    return LedgerEntry(campaign=campaign, number=number, own_id=None, body={"description": about}, request_number=1)


def _result(about: str, status: str = "created", number: str = "") -> dict[str, str]:
    return {**_row(about), "result_status": status, "promo_number": number}


def _checked(results: list[dict[str, str]], *issued: LedgerEntry) -> checker.Figures:
    rows = [_row(one["description"]) for one in results]
    return checker.check([Asked(rows=rows, results=results)], issued)


@pytest.mark.parametrize(
    ("results", "issued"),
    [
        ([_result("x", number="1"), _result("x", number="2")], [_issued("1"), _issued("2")]),
        ([_result("x", number="1"), _result("x", "unknown")], [_issued("1"), _issued("2")]),
        ([_result("x", "unknown")], []),
        ([_result("x", "failed"), _result("y", "rejected"), _result("z", "not_sent")], []),
        ([_result("x", "unchanged", "1")], [_issued("1")]),
    ],
    ids=["equal rows", "bought and unknown", "unknown and not bought", "not bought", "found there"],
)
def test_what_is_sound(results: Any, issued: Any) -> None:
    """Each number on one row of its request, or an unknown row for it."""
    assert _checked(results, *issued).is_sound


@pytest.mark.parametrize(
    ("results", "issued", "duplicates", "lost"),
    [
        ([_result("x", number="1")], [_issued("1"), _issued("2")], 1, 0),
        ([_result("x", "unknown")], [_issued("1"), _issued("2")], 1, 0),
        ([_result("x", "unknown"), _result("y", "unknown")], [_issued("1"), _issued("2")], 1, 0),
        ([_result("x", "not_sent")], [_issued("1")], 0, 1),
        ([_result("x", "failed"), _result("x", number="2")], [_issued("1"), _issued("2")], 0, 1),
        ([_result("x", "not_sent"), _result("y", "unknown")], [_issued("1")], 0, 1),
        ([], [_issued("1")], 1, 0),
    ],
    ids=[
        "two for one row",
        "two for an unknown row",
        "two for one of two unknown rows",
        "one for a row that was not sent",
        "one for a row that failed, of two",
        "an unknown row of another request",
        "one for no row",
    ],
)
def test_duplicates_and_lost_numbers_are_counted(results: Any, issued: Any, duplicates: int, lost: int) -> None:
    """What was bought too often is a duplicate, what was bought and is nowhere is lost; nothing is both."""
    figures = _checked(results, *issued)
    assert (figures.duplicates, figures.lost) == (duplicates, lost)
    assert not figures.is_sound


@pytest.mark.parametrize(
    ("results", "issued", "problem"),
    [
        ([_result("x", number="1"), _result("x", number="1")], [_issued("1")], "1 is on 2 rows"),
        ([_result("x", number="9")], [], "was issued for None"),
        ([_result("x", number="2"), _result("y", number="1")], [_issued("1"), _issued("2", "y")], "is on the row of"),
        ([_result("x", "")], [], "no outcome"),
        ([_result("x", "unknown", "1")], [_issued("1")], "on a row that is unknown"),
    ],
    ids=["on two rows", "made up", "exchanged", "without an outcome", "a number on an unknown row"],
)
def test_what_else_is_wrong(results: Any, issued: Any, problem: str) -> None:
    """A number that stands on the wrong row, on two, or was never issued; a row without an outcome."""
    figures = _checked(results, *issued)
    assert any(problem in one for one in figures.problems)
    assert not figures.is_sound


def test_rows_that_are_missing_are_noticed() -> None:
    """The results have a row for each number that was asked for."""
    asked = Asked(rows=[{**_row("x"), "quantity": "2"}], results=[_result("x", number="1")])
    assert "2 numbers were asked for" in checker.check([asked], [_issued("1")]).problems[0]
