"""Results: the sheet with the outcome and the assigned number of each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openpyxl
import pandas as pd
import pytest

import invoca_bulk as ib
from invoca_bulk.errors import ConfirmationRequiredError, InvalidSheetError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Requests = Callable[..., pd.DataFrame]

ASSIGNED_COLUMNS = ["promo_number", "id", "id_from_network", "object_url"]
RESULT_COLUMNS = [
    "result_status",
    "result_error",
    "result_fix",
    "result_http_status",
    "result_attempts",
    "result_at",
    "result_run",
]


def test_columns(box: Any, requests_frame: Requests) -> None:
    """The sheet's columns with their titles, also unknown ones, then the assigned values, then the outcome."""
    frame = requests_frame(3, notes=["x", "=1+1", ""], **{"Custom Data.Channel": "Radio", "zip": "02134"})
    frame = frame.rename(columns={"media_type": "Media Type"})
    results = ib.run(frame, box, progress=False)
    assert list(results.columns) == [*frame.columns, *ASSIGNED_COLUMNS, *RESULT_COLUMNS]
    assert list(results.index) == [2, 3, 4]
    assert results.index.name == "row"
    for column in frame.columns:
        assert list(results[column]) == list(frame[column])
    assert results["result_at"].str.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00").all()
    assert set(results["result_attempts"]) == {"1"}
    assert set(results["result_run"]) == {results.attrs["run"]}


def test_quantity_is_expanded_in_place(box: Any, requests_frame: Requests) -> None:
    """A quantity of 3 becomes three rows of quantity 1, each with a different number."""
    frame = requests_frame(3, quantity=["", "3", "1"])
    results = ib.run(frame, box, progress=False)
    assert list(results.index) == [2, 3, 3, 3, 4]
    assert list(results["quantity"]) == ["", "1", "1", "1", "1"]
    assert results["promo_number"].nunique() == 5
    assert len(box.store.ledger) == 5


def test_identical_rows_get_a_number_each(box: Any, requests_frame: Requests) -> None:
    """Identical rows are never merged."""
    results = ib.run(requests_frame(4, description="same"), box, progress=False)
    assert sorted(results["promo_number"]) == sorted(entry.number for entry in box.store.ledger)
    assert len(box.store.ledger) == 4


def test_affiliates_and_ids(box: Any, requests_frame: Requests) -> None:
    """A row with an affiliate goes to its campaign; an id in the sheet is used, other rows are assigned one."""
    frame = requests_frame(
        2, affiliate_id_from_network=["F/1", ""], id_from_network=["", "mine #1"], local_center=["", ""]
    ).drop(columns="local_center")
    results = ib.run(frame, box, progress=False)
    assert list(results["id_from_network"])[1] == "mine #1"
    assert results["id_from_network"].iloc[0] == results["id"].iloc[0] != ""
    assert [entry.own_id for entry in box.store.ledger if entry.own_id] == ["mine #1"]


def test_existing_id_is_refused_by_the_plan(box: Any, requests_frame: Requests) -> None:
    """A row with `create` and an existing id is `invalid`, and its error names the number with that id."""
    first = ib.run(requests_frame(1, id_from_network="mine"), box, progress=False)
    frame = requests_frame(2, id_from_network=["mine", "other"], action="create")
    with pytest.raises(InvalidSheetError, match=first["promo_number"].iloc[0]):
        ib.run(frame, box, progress=False)
    assert len(box.store.ledger) == 1
    results = ib.run(frame, box, progress=False, skip_invalid=True)
    assert list(results["result_status"]) == ["invalid", "created"]


def test_unchanged_row_has_the_existing_number(box: Any, requests_frame: Requests) -> None:
    """A row whose id exists and that changes nothing sends nothing and gets the existing number."""
    frame = requests_frame(1, id_from_network="mine")
    first = ib.run(frame, box, progress=False)
    second = ib.run(frame, box, progress=False)
    assert list(second["result_status"]) == ["unchanged"]
    assert list(second["promo_number"]) == list(first["promo_number"]) == [entry.number for entry in box.store.ledger]


def test_missing_campaign_is_refused_by_the_plan(requests_frame: Requests) -> None:
    """Nothing is bought unless the campaign of every row exists."""
    with ib.sandbox() as box:
        frame = requests_frame(
            2, advertiser_id_from_network="A-100", advertiser_campaign_id_from_network=["C-100", "C-9"]
        )
        with pytest.raises(InvalidSheetError, match="does not find the campaign"):
            ib.run(frame, box, progress=False)
        assert box.store.ledger == []


def test_unknown_rows_are_never_sent_again(box: Any, requests_frame: Requests) -> None:
    """In a results sheet, an `unknown` row keeps its outcome and run; the other rows are processed."""
    frame = requests_frame(3, result_status=["unknown", "not_sent", "deleted"], result_run="20260101-000000-abcd")
    frame["promo_number"] = ["", "", "8055550100"]
    frame["validation_errors"] = "stale"
    results = ib.run(frame, box, progress=False)
    assert list(results["result_status"]) == ["unknown", "created", "deleted"]
    assert results["result_run"].iloc[0] == "20260101-000000-abcd"
    assert results["promo_number"].iloc[2] == "8055550100"
    assert "validation_errors" not in results
    assert [entry.body["description"] for entry in box.store.ledger] == ["Number 2"]


def test_finished_results_send_nothing(box: Any, requests_frame: Requests) -> None:
    """Running finished results again changes nothing and needs no confirmation."""
    first = ib.run(requests_frame(3), box, progress=False)
    second = ib.run(first, box, progress=False)
    assert len(box.store.ledger) == 3
    pd.testing.assert_frame_equal(first.astype(object), second.astype(object), check_names=True)


def test_workbook(box: Any, requests_frame: Requests, tmp_path: Path) -> None:
    """Worksheet `results` with frozen header and filter, only text cells, coloured failed rows; and a summary."""
    frame = requests_frame(4, description=["=1+1", "+1", "a", ""], notes=["00123", "@x", "", ""])
    ib.run(frame, box, progress=False, skip_invalid=True, output=tmp_path / "results.xlsx")
    book = openpyxl.load_workbook(tmp_path / "results.xlsx")
    worksheet = book["results"]
    assert worksheet.freeze_panes == "A2"
    assert worksheet.auto_filter.ref
    assert all(
        cell.data_type in {"s", "inlineStr"} for row in worksheet.iter_rows(min_row=2) for cell in row if cell.value
    )
    titles = [cell.value for cell in worksheet[1]]
    assert worksheet.cell(2, titles.index("description") + 1).value == "=1+1"
    assert worksheet.cell(2, titles.index("notes") + 1).value == "00123"
    colours = [worksheet.cell(row, titles.index("notes") + 1).fill.fgColor.rgb for row in (2, 5)]
    assert colours[0] != colours[1]
    summary = {row[0].value: row[1].value for row in book["summary"].iter_rows() if row[0].value}
    assert (summary["created"], summary["invalid"]) == ("3", "1")
    assert summary["A-1 / C-1"] == "3 created, 1 invalid"
    assert summary["network"] == f"1234 at {box.base_url}"


def test_csv_escapes_formulas(box: Any, requests_frame: Requests, tmp_path: Path) -> None:
    """A text that Excel would take for a formula is escaped in CSV and read back unchanged."""
    texts = ["=1+1", "+15551234567", "@x", "-1", "'=x"]
    ib.run(requests_frame(5, description=texts), box, progress=False, output=tmp_path / "results.csv")
    raw = (tmp_path / "results.csv").read_bytes().decode("utf-8-sig")
    assert "'=1+1" in raw
    assert list(ib.read(tmp_path / "results.csv")["description"]) == texts


def test_purchases_need_confirmation(network: Any, box: Any, requests_frame: Requests) -> None:
    """Without `yes` or a confirmation, nothing is bought; with it, everything is."""
    with pytest.raises(ConfirmationRequiredError, match="the sheet buys 3 promo numbers on network 1234"):
        ib.run(requests_frame(3), network, confirm=None, progress=False)
    questions: list[str] = []
    with pytest.raises(ConfirmationRequiredError, match="not confirmed"):
        ib.run(requests_frame(3), network, confirm=lambda text: bool(questions.append(text)), progress=False)
    assert "costs money" in questions[0]
    assert box.store.ledger == []
    assert len(ib.run(requests_frame(3), network, yes=True, progress=False)) == 3


def test_sync_call_inside_an_event_loop(box: Any, requests_frame: Requests) -> None:
    """In a notebook, an event loop is already running in the caller's thread."""
    import asyncio  # noqa: PLC0415

    async def cell() -> pd.DataFrame:
        return ib.run(requests_frame(2), box, progress=False)

    assert list(asyncio.run(cell())["result_status"]) == ["created", "created"]


def test_run_of_a_report(box: Any, requests_frame: Requests) -> None:
    """A validation report can be run, and so can its annotated DataFrame."""
    report = ib.validate(requests_frame(2))
    assert report.ok
    assert list(ib.run(report, box, progress=False)["result_status"]) == ["created", "created"]
    assert list(ib.run(report.sheet, box, progress=False)["result_status"]) == ["created", "created"]


def test_empty_sheet(box: Any, requests_frame: Requests) -> None:
    """Without rows, nothing is sent, and one sentence says so."""
    with pytest.raises(InvalidSheetError, match="There are no rows below the header") as raised:
        ib.run(requests_frame(1).iloc[:0], box, progress=False)
    assert raised.value.exit_code == 2
