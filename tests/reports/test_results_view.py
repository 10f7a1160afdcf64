"""Reports, plans, undos and results as a notebook shows them, made on the sandbox."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import invoca_bulk as ib
from invoca_bulk.reports import results_view
from invoca_bulk.reports.html import MAX_ROWS_SHOWN
from invoca_bulk.sandbox_server import Sandbox
from invoca_bulk.schema.result_columns import OUTCOME_HELP, Outcome
from tests.examples import GOOD, frame_of
from tests.html_page import Page

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from invoca_bulk.config.settings import Network

    Requests = Callable[..., pd.DataFrame]

TOKEN = "the-secret-token"


def page_of(thing: Any) -> Page:
    """What a notebook makes of it."""
    return Page(thing._repr_html_())


def rows_of(page: Page) -> int:
    """How many rows the tables have, without their headers."""
    return len(page.of("tr")) - len(page.of("thead"))


# Reports


def test_a_report_shows_the_bad_rows_only() -> None:
    """Counts, then each row with an issue, its cell coloured, and the message with its fix beside it."""
    frame = frame_of({"media_type": "Online Display"}, {"description": "fine & good"}, {"description": " Spring sale"})
    page = page_of(ib.validate(frame))
    assert "3 rows checked; 2 can be sent and ask for 2 numbers; 1 has errors." in page.text
    assert "1 error 1 warning" in page.text
    assert rows_of(page) == 2
    assert "✗ Error media_type : 'Online Display' is not a valid value for" in page.text
    assert "Fix: Online: Display" in page.text
    assert "▲ Warning description :" in page.text
    assert "fine & good" not in page.text
    assert len([one for one in page.of("td") if one.get("class") in {"ib-error", "ib-warning"}]) == 2


def test_a_report_tells_what_is_wrong_with_the_sheet_above_its_rows() -> None:
    """A column that nobody knows has no row to stand at."""
    page = page_of(ib.validate(frame_of({"quantity": "0", "notes": "x", "descripion": "y"})))
    assert page.text.index("Errors of the sheet") < page.text.index("Rows with errors")
    assert "header, descripion:" in page.text
    assert "Warnings of the sheet header, notes: Unknown column 'notes'" in page.text


def test_a_report_of_many_issues_shows_errors_first() -> None:
    """Two hundred rows, and where the others are."""
    rows = [{"description": f" {number}"} for number in range(300)]
    page = page_of(ib.validate(frame_of(*rows, {"quantity": "0"})))
    assert rows_of(page) == MAX_ROWS_SHOWN
    assert '200 of 301 rows shown; all are in the workbook: report.save("annotated.xlsx") .' in page.text
    assert page.text.index("✗ Error quantity") < page.text.index("▲ Warning description")


def test_a_report_without_issues_is_a_sentence() -> None:
    """Nothing is wrong, and nothing is in the way."""
    page = page_of(ib.validate(frame_of({})))
    assert page.text == "1 row checked; 1 can be sent and asks for 1 number; 0 have errors."


def test_a_report_of_several_sheets_names_them() -> None:
    """A row number is not enough where there are several."""
    sheets = {
        "advertisers": pd.DataFrame({"id_from_network": ["A-1"], "name": ["Acme"], "approval_status": ["Nearly"]}),
        "sites": pd.DataFrame({"advertiser_id_from_network": ["A-1"], "id_from_network": [""], "name": ["Downtown"]}),
    }
    page = page_of(ib.validate(sheets))
    assert "Advertisers rows with errors or warnings" in page.text
    assert "Sites rows with errors or warnings" in page.text


# Plans


def test_a_plan_shows_old_and_new_and_what_cannot_be_undone(network: Network, requests_frame: Requests) -> None:
    """Numbers to buy by campaign; a new object on one line, a change with both values, what stays not at all."""
    bought = ib.run(requests_frame(2), network, yes=True, progress=False)
    assert isinstance(bought, pd.DataFrame)
    own = bought[["advertiser_id_from_network", "advertiser_campaign_id_from_network", "promo_number"]]
    sheet = pd.concat([own.assign(description=["Number 1", "Another"]), requests_frame(1, description="New one")])
    page = page_of(ib.plan(sheet.fillna("").reset_index(drop=True), network))
    assert "3 rows: 1 create, 1 update, 1 unchanged" in page.text
    assert "▲ Cannot be undone: buys 1 promo number. A-1 / C-1: 1 number to buy" in page.text
    assert "description Number 2 Another" in page.text
    assert "description: New one; media_type: Online: Display" in page.text
    assert rows_of(page) == 2


def test_a_plan_shows_every_refused_row_with_its_reason(network: Network) -> None:
    """Rows with errors of their own, and rows that the platform's state speaks against, before what would be done."""
    rows = [{"description": ""}, {}, {"promo_number": "8005550199", "action": "delete"}]
    plan = ib.plan(frame_of(*rows), network)
    page = page_of(plan)
    refused = plan.rows[plan.rows["action"] == "refused"]
    assert list(refused["row"]) == [2, 4]
    assert "The campaign has no promo number 8005550199." in page.text
    assert page.text.index("is required to create") < page.text.index("What would be done")


def test_an_undo_shows_what_stays(network: Network, requests_frame: Requests) -> None:
    """What is taken back, what it costs, and what is left as it is, by its row in the run."""
    bought = ib.run(requests_frame(2), network, yes=True, progress=False)
    assert isinstance(bought, pd.DataFrame)
    gone = bought.iloc[:1][["advertiser_id_from_network", "advertiser_campaign_id_from_network", "promo_number"]]
    ib.run(gone.assign(action="delete"), network, yes=True, progress=False)
    page = page_of(ib.undo(bought.attrs["run"], network))
    assert "1 row: 1 delete; 1 request. 1 not undone." in page.text
    assert "is not given back" in page.text
    assert "Not undone (the rows are those of the run)" in page.text
    assert "The promo number was not found" in page.text


# Results


def results_of(**columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(columns, index=pd.RangeIndex(2, 2 + len(columns["result_status"]), name="row"))


def test_results_show_what_is_not_done_first() -> None:
    """With the error and the fix beside it; then what is done, with its number."""
    frame = results_of(
        description=["one", "two", "three"],
        promo_number=["8005550100", "", "8005550101"],
        result_status=["created", "rejected", "created"],
        result_error=["", "No such media type.", ""],
        result_fix=["", "Correct the row.", ""],
        result_http_status=["201", "400", "201"],
    )
    view = ib.view(frame)
    page = page_of(view)
    assert "2 of 3 rows are done." in page.text
    table = page.text[page.text.index("Rows, those that are not done first") :]
    assert table.split()[6:12] == ["first", "row", "result_status", "result_error", "result_fix", "promo_number"]
    assert "3 rejected No such media type. Correct the row. two 2 created 8005550100 one" in table
    assert "result_http_status" not in table
    assert repr(view).splitlines()[:2] == [
        "2 of 3 rows are done.",
        "  created   ██████████████████████████████  2   67%",
    ]


@pytest.mark.parametrize("outcome", [*Outcome])
def test_every_outcome_is_explained(outcome: Outcome) -> None:
    """The word, what it means, and what to do where something is left to do."""
    view = ib.view(results_of(result_status=[outcome.value]))
    meaning, advice = OUTCOME_HELP[outcome]
    assert meaning in page_of(view).text
    assert meaning in repr(view)
    assert (advice.split("`")[0].strip() in page_of(view).text) is (advice != "Nothing.")
    assert outcome in results_view.OUTCOME_STYLES


def test_rows_that_no_run_has_seen_are_counted_apart() -> None:
    """A row that was added to results, and one whose outcome is none of ours."""
    page = page_of(ib.view(results_of(result_status=["created", "", "perhaps"])))
    assert "1 of 3 rows are done." in page.text
    assert "no outcome 2: No run has seen the row yet." in page.text


def test_results_read_back_are_shown_as_the_run_gave_them(
    box: Sandbox, requests_frame: Requests, tmp_path: Path
) -> None:
    """From a file with its own titles, and from memory: the same rows and counts, and the file is named."""
    frame = requests_frame(250).rename(columns={"description": "Description"})
    given = ib.run(frame, box, progress=False, output=tmp_path / "results.xlsx")
    back = ib.read(tmp_path / "results.xlsx")
    assert f"200 of 250 rows shown; all are in the file {tmp_path / 'results.xlsx'} ." in page_of(ib.view(given)).text
    assert "200 of 250 rows shown; all are in the DataFrame." in page_of(ib.view(back)).text
    assert repr(ib.view(given)) == repr(ib.view(back))


def test_results_of_several_sheets_are_counted_together(box: Sandbox) -> None:
    """One chart, and a table for each, under its name."""
    results = ib.run("templates/advertisers.xlsx", box, progress=False)
    page = page_of(ib.view(results))
    assert "8 of 8 rows are done." in page.text
    assert [name for name in ("Advertisers rows", "Sites rows", "Users rows") if name in page.text] == [
        *("Advertisers rows", "Sites rows", "Users rows"),
    ]
    assert "<strong>advertisers</strong>" in results._repr_html_()


@pytest.mark.parametrize(
    "thing", [frame_of(GOOD), {"users": frame_of(GOOD)}, "results.xlsx", None], ids=["sheet", "dict", "path", "nothing"]
)
def test_what_are_no_results_is_refused(thing: Any) -> None:
    """The sentence says what to give."""
    with pytest.raises(ib.UserError, match=r"there is no column result_status. Give what ib\.run"):
        ib.view(thing)


def test_empty_results_are_shown() -> None:
    """A sheet without rows, and one whose titles are no texts."""
    assert "0 of 0 rows are done." in page_of(ib.view(results_of(result_status=[]))).text
    assert "1 of 1 row is done." in page_of(ib.view(results_of(result_status=["created"]).assign(**{"1": pd.NA}))).text


# The end of a run that was stopped


def interrupting(after: int) -> Callable[[Any], Any]:
    """A layer that presses Ctrl-C with so many requests."""
    seen = []

    def layer(app: Any) -> Any:
        async def serve(scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope)
            if len(seen) == after:
                os.kill(os.getpid(), signal.SIGINT)
            await app(scope, receive, send)

        return serve

    return layer


@pytest.mark.parametrize("folder", ["", "elsewhere"], ids=["usual journal", "its own journal"])
def test_a_run_that_was_stopped_says_how_to_go_on(requests_frame: Requests, tmp_path: Path, folder: str) -> None:
    """In one sentence, with the line of Python, which does the rest as it stands."""
    options: dict[str, Any] = {"journal": tmp_path / folder} if folder else {}
    with Sandbox(open_campaigns=True, token=TOKEN, latency=0.05, layers=[interrupting(6)]) as box:
        network = ib.Network(base_url=box.base_url, network_id=box.network_id, token=TOKEN)
        with pytest.warns(UserWarning, match=r"To go on: ib\.resume") as told:
            results = ib.run(requests_frame(40), network, yes=True, progress=False, **options)
        assert isinstance(results, pd.DataFrame)
        done = int((results["result_status"] == "created").sum())
        assert done == len(box.store.ledger) > 0
        (sentence,) = [str(one.message) for one in told]
        assert f"was interrupted: {done} rows are done, {40 - done} are left." in sentence
        line = sentence.partition("To go on: ")[2]
        resumed = eval(line, {"ib": ib, "network": network})  # noqa: S307  that is the test
        assert set(resumed["result_status"]) == {"created"}
        assert len(box.store.ledger) == 40


def test_a_rehearsal_that_was_stopped_goes_on_while_its_sandbox_is_there(requests_frame: Requests) -> None:
    """The line that goes on says so, and its results can be run as well."""
    with Sandbox(open_campaigns=True, latency=0.05, layers=[interrupting(6)]) as box:
        with pytest.warns(UserWarning, match=r"To go on \(while its sandbox is there\): ib\.resume\("):
            results = ib.run(requests_frame(60), box, progress=False)
        results = ib.run(results, box, progress=False)
        assert isinstance(results, pd.DataFrame)
        assert set(results["result_status"]) == {"created"}
        assert len(box.store.ledger) == 60


def test_displays_need_nothing_from_elsewhere(network: Network) -> None:
    """No script, no address, no picture that would have to be loaded."""
    plan = ib.plan(frame_of({}, {"description": ""}), network)
    for thing in (plan, ib.validate(frame_of({"description": ""})), ib.view(results_of(result_status=["created"]))):
        page = thing._repr_html_()
        assert not re.search(r"<script|<link|<img|src=|href=|url\(|@import", page)
        assert set(re.findall(r"https?://[^\s\"<]+", page)) <= {"http://www.w3.org/2000/svg"}
