"""The checker itself: it finds each kind of error, and reports none in sound results."""

from __future__ import annotations

from typing import Any

import pytest

from invoca_bulk.sandbox_server.platform_model import CampaignKey, LedgerEntry
from tests.crash import checker
from tests.crash.checker import Asked


def _row(description: str) -> dict[str, str]:
    campaign = {"advertiser_id_from_network": "A", "advertiser_campaign_id_from_network": "C"}
    return {**campaign, "affiliate_id_from_network": "", "description": description}


def _issued(number: str, description: str = "x") -> LedgerEntry:
    campaign = CampaignKey(network_id="1", advertiser_id="A", campaign_id="C")
    return LedgerEntry(
        campaign=campaign, number=number, own_id=None, body={"description": description}, request_number=1
    )


def _result(description: str, status: str = "created", number: str = "") -> dict[str, str]:
    return {**_row(description), "result_status": status, "promo_number": number}


def _check(results: list[dict[str, str]], *issued: LedgerEntry) -> checker.Figures:
    rows = [_row(result["description"]) for result in results]
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
def test_sound_results(results: Any, issued: Any) -> None:
    """Each number is on one row of its request, or there is an unknown row for it."""
    assert _check(results, *issued).is_sound


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
    """A number beyond what was requested is a duplicate, a number on no row is lost; none is both."""
    figures = _check(results, *issued)
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
    ids=["on two rows", "never issued", "exchanged", "without an outcome", "a number on an unknown row"],
)
def test_other_problems(results: Any, issued: Any, problem: str) -> None:
    """A number on the wrong row, on two rows, or never issued; a row without an outcome."""
    figures = _check(results, *issued)
    assert any(problem in text for text in figures.problems)
    assert not figures.is_sound


def test_missing_rows() -> None:
    """The results have a row for each requested number."""
    asked = Asked(rows=[{**_row("x"), "quantity": "2"}], results=[_result("x", number="1")])
    assert "2 numbers were requested" in checker.check([asked], [_issued("1")]).problems[0]
