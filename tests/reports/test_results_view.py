"""How a notebook displays reports, plans, undos and results from the sandbox."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import invoca_bulk as ib
from invoca_bulk.reports import results_view
from invoca_bulk.reports.html import MAX_ROWS_SHOWN
from invoca_bulk.sandbox_server import Sandbox
from invoca_bulk.schema.outcomes import OUTCOME_HELP, Outcome
from invoca_bulk.wording import word
from tests.examples import GOOD, frame_of
from tests.html_page import Page

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from invoca_bulk.config.network import Network

    Requests = Callable[..., pd.DataFrame]

TOKEN = "the-secret-token"


def page_of(displayed: Any) -> Page:
    """The notebook display of an object."""
    return Page(displayed._repr_html_())


def count_rows(page: Page) -> int:
    """Number of table rows, without headers."""
    return len(page.of("tr")) - len(page.of("thead"))


# Reports


def test_report_shows_only_rows_with_issues() -> None:
    """The display has the counts, then each row with an issue, its coloured cell, and the message with the fix."""
    frame = frame_of({"media_type": "Online Display"}, {"description": "fine & good"}, {"description": " Spring sale"})
    page = page_of(ib.validate(frame))
    assert "3 rows checked; 2 can be sent and ask for 2 numbers; 1 has errors." in page.text
    assert "1 error 1 warning" in page.text
    assert count_rows(page) == 2
    assert "✗ Error media_type : 'Online Display' is not a valid value for" in page.text
    assert "Fix: Online: Display" in page.text
    assert "▲ Warning description :" in page.text
    assert "fine & good" not in page.text
    assert len([cell for cell in page.of("td") if cell.get("class") in {"ib-error", "ib-warning"}]) == 2


def test_report_shows_issues_of_the_sheet_first() -> None:
    """The issue of an unknown column belongs to no row."""
    page = page_of(ib.validate(frame_of({"quantity": "0", "notes": "x", "descripion": "y"})))
    assert page.text.index("Errors of the sheet") < page.text.index("Rows with errors")
    assert "header, descripion:" in page.text
    assert "Warnings of the sheet header, notes: Unknown column 'notes'" in page.text


def test_report_with_many_issues_shows_errors_first() -> None:
    """Two hundred rows are shown, and a note says where to find the others."""
    rows = [{"description": f" {number}"} for number in range(300)]
    page = page_of(ib.validate(frame_of(*rows, {"quantity": "0"})))
    assert count_rows(page) == MAX_ROWS_SHOWN
    assert '200 of 301 rows shown; all are in the workbook: report.to_excel("annotated.xlsx") .' in page.text
    assert page.text.index("✗ Error quantity") < page.text.index("▲ Warning description")


def test_report_without_issues() -> None:
    """Without issues, only the summary is shown."""
    page = page_of(ib.validate(frame_of({})))
    assert page.text == "1 row checked; 1 can be sent and asks for 1 number; 0 have errors."


def test_report_of_several_sheets() -> None:
    """With several sheets, the rows of each are shown under its name."""
    sheets = {
        "advertisers": pd.DataFrame({"id_from_network": ["A-1"], "name": ["Acme"], "approval_status": ["Nearly"]}),
        "sites": pd.DataFrame({"advertiser_id_from_network": ["A-1"], "id_from_network": [""], "name": ["Downtown"]}),
    }
    page = page_of(ib.validate(sheets))
    assert "Advertisers rows with errors or warnings" in page.text
    assert "Sites rows with errors or warnings" in page.text


# Plans


def test_plan_shows_changes_and_what_cannot_be_undone(network: Network, requests_frame: Requests) -> None:
    """Numbers to buy are listed by campaign; a new object has one line, a change both values, an unchanged row none."""
    bought = ib.run(requests_frame(2), network, yes=True, progress=False)
    assert isinstance(bought, pd.DataFrame)
    numbers = bought[["advertiser_id_from_network", "advertiser_campaign_id_from_network", "promo_number"]]
    sheet = pd.concat([numbers.assign(description=["Number 1", "Another"]), requests_frame(1, description="New one")])
    page = page_of(ib.plan(sheet.fillna("").reset_index(drop=True), network))
    assert "3 rows: 1 create, 1 update, 1 unchanged" in page.text
    assert "▲ Cannot be undone: buys 1 promo number. A-1 / C-1: 1 number to buy" in page.text
    assert "A run buys 1 promo number; changes 1 field." in page.text
    assert "description Number 2 Another" in page.text
    assert "description: New one; media_type: Online: Display" in page.text
    assert count_rows(page) == 2


def test_plan_shows_refused_rows_with_reasons(network: Network) -> None:
    """Rows refused by validation and by planning are shown above the changes."""
    rows = [{"description": ""}, {}, {"promo_number": "8005550199", "action": "delete"}]
    plan = ib.plan(frame_of(*rows), network)
    page = page_of(plan)
    refused = plan.rows[plan.rows["action"] == "refused"]
    assert list(refused["row"]) == [2, 4]
    assert "The campaign has no promo number 8005550199." in page.text
    assert page.text.index("is required to create") < page.text.index("What would be done")


def test_undo_shows_what_is_not_undone(network: Network, requests_frame: Requests) -> None:
    """The display has what is undone, what it costs, and what is not undone, with its row in the run."""
    bought = ib.run(requests_frame(2), network, yes=True, progress=False)
    assert isinstance(bought, pd.DataFrame)
    deletion = bought.iloc[:1][["advertiser_id_from_network", "advertiser_campaign_id_from_network", "promo_number"]]
    ib.run(deletion.assign(action="delete"), network, yes=True, progress=False)
    page = page_of(ib.undo(bought.attrs["run"], network))
    assert "1 row: 1 delete; 1 request. 1 not undone." in page.text
    assert "the cost is not refunded" in page.text
    assert "Not undone (row numbers of the run)" in page.text
    assert "The promo number was not found" in page.text


# Results


def results_of(**columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(columns, index=pd.RangeIndex(2, 2 + len(columns["result_status"]), name="row"))


def test_results_show_unfinished_rows_first() -> None:
    """Unfinished rows are shown with error and fix, then finished ones with their number."""
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
    table = page.text[page.text.index("Rows, unfinished first") :]
    assert table.split()[2:8] == ["first", "row", "result_status", "result_error", "result_fix", "promo_number"]
    assert "3 rejected No such media type. Correct the row. two 2 created 8005550100 one" in table
    assert "result_http_status" not in table
    assert repr(view).splitlines()[:2] == [
        "2 of 3 rows are done.",
        "  created   ██████████████████████████████  2   67%",
    ]


@pytest.mark.parametrize("outcome", [*Outcome])
def test_every_outcome_is_explained(outcome: Outcome) -> None:
    """The display has the outcome, its meaning, and the fix if there is one."""
    view = ib.view(results_of(result_status=[outcome.value]))
    meaning, advice = OUTCOME_HELP[outcome]
    assert meaning in page_of(view).text
    assert meaning in repr(view)
    assert (word(advice) in page_of(view).text) is (advice != "Nothing.")
    assert outcome in results_view.OUTCOME_STYLES


def test_rows_without_an_outcome() -> None:
    """A row added to results and a row with an unknown outcome are counted separately."""
    page = page_of(ib.view(results_of(result_status=["created", "", "perhaps"])))
    assert "1 of 3 rows are done." in page.text
    assert "no outcome 2: The row has not been run yet." in page.text


def test_results_from_a_file(box: Sandbox, requests_frame: Requests, tmp_path: Path) -> None:
    """Results from a file look like those from memory; the latter name the file."""
    frame = requests_frame(250).rename(columns={"description": "Description"})
    results = ib.run(frame, box, progress=False, output=tmp_path / "results.xlsx")
    file_results = ib.read(tmp_path / "results.xlsx")
    assert f"200 of 250 rows shown; all are in the file {tmp_path / 'results.xlsx'} ." in page_of(ib.view(results)).text
    assert "200 of 250 rows shown; all are in the DataFrame." in page_of(ib.view(file_results)).text
    assert repr(ib.view(results)) == repr(ib.view(file_results))


def test_results_of_several_sheets_are_counted_together(box: Sandbox) -> None:
    """Several sheets have one chart, and a table each under its name."""
    results = ib.run("templates/advertisers.xlsx", box, progress=False)
    page = page_of(ib.view(results))
    assert "8 of 8 rows are done." in page.text
    assert [name for name in ("Advertisers rows", "Sites rows", "Users rows") if name in page.text] == [
        *("Advertisers rows", "Sites rows", "Users rows"),
    ]
    assert "<strong>advertisers</strong>" in results._repr_html_()


@pytest.mark.parametrize(
    "source",
    [frame_of(GOOD), {"users": frame_of(GOOD)}, "results.xlsx", None],
    ids=["sheet", "dict", "path", "nothing"],
)
def test_other_sources_are_rejected(source: Any) -> None:
    """The error says what to pass."""
    with pytest.raises(ib.UserError, match=r"no result_status column\)\. Pass what a run returned"):
        ib.view(source)


def test_empty_results() -> None:
    """A sheet without rows, and one with missing values, can be displayed."""
    assert "0 of 0 rows are done." in page_of(ib.view(results_of(result_status=[]))).text
    assert "1 of 1 row is done." in page_of(ib.view(results_of(result_status=["created"]).assign(**{"1": pd.NA}))).text


# A stopped run


def interrupting(after: int) -> Callable[[Any], Any]:
    """A layer that sends Ctrl-C at request number `after`."""
    requests = []

    def layer(app: Any) -> Any:
        async def serve(scope: Any, receive: Any, send: Any) -> None:
            requests.append(scope)
            if len(requests) == after:
                signal.raise_signal(signal.SIGINT)
            await app(scope, receive, send)

        return serve

    return layer


@pytest.mark.parametrize("folder", ["", "elsewhere"], ids=["default journal", "other journal"])
def test_stopped_run_says_how_to_resume(requests_frame: Requests, tmp_path: Path, folder: str) -> None:
    """The warning has a line of Python that resumes the run as it is."""
    options: dict[str, Any] = {"journal": tmp_path / folder} if folder else {}
    with Sandbox(open_campaigns=True, token=TOKEN, latency=0.05, layers=[interrupting(6)]) as box:
        network = ib.Network(base_url=box.base_url, network_id=box.network_id, token=TOKEN)
        with pytest.warns(UserWarning, match=r"To resume it: ib\.resume") as warnings:
            results = ib.run(requests_frame(40), network, yes=True, progress=False, **options)
        assert isinstance(results, pd.DataFrame)
        done = int((results["result_status"] == "created").sum())
        assert done == len(box.store.ledger) > 0
        (sentence,) = [str(warning.message) for warning in warnings]
        assert f"was interrupted: {done} rows are done, {40 - done} are left." in sentence
        line = sentence.partition("To resume it: ")[2]
        resumed = eval(line, {"ib": ib, "network": network})  # noqa: S307  the line is what is tested
        assert set(resumed["result_status"]) == {"created"}
        assert len(box.store.ledger) == 40


def test_stopped_sandbox_run_can_be_resumed(requests_frame: Requests) -> None:
    """The warning says that its sandbox is needed, and its results can be run as well."""
    with Sandbox(open_campaigns=True, latency=0.05, layers=[interrupting(6)]) as box:
        with pytest.warns(UserWarning, match=r"To resume it \(while its sandbox is running\): ib\.resume\("):
            results = ib.run(requests_frame(60), box, progress=False)
        results = ib.run(results, box, progress=False)
        assert isinstance(results, pd.DataFrame)
        assert set(results["result_status"]) == {"created"}
        assert len(box.store.ledger) == 60


def test_displays_load_nothing(network: Network) -> None:
    """Displays have no script, link or image to load."""
    plan = ib.plan(frame_of({}, {"description": ""}), network)
    for displayed in (plan, ib.validate(frame_of({"description": ""})), ib.view(results_of(result_status=["created"]))):
        page = displayed._repr_html_()
        assert not re.search(r"<script|<link|<img|src=|href=|url\(|@import", page)
        assert set(re.findall(r"https?://[^\s\"<]+", page)) <= {"http://www.w3.org/2000/svg"}
