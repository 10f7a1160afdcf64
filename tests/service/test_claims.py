"""A results file that people have edited: a row's claim counts as far as the journal or the platform bears it out."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import openpyxl
import pandas as pd
import pytest

import invoca_bulk as ib
from invoca_bulk import journal
from invoca_bulk.config.journal_location import resolve_journal_location
from invoca_bulk.config.network import Network
from invoca_bulk.reports.validation_report import RowsInvalid
from invoca_bulk.service import undo
from invoca_bulk.service.run_result import load_results
from invoca_bulk.web import screens
from tests.conftest import TOKEN
from tests.examples import with_row_numbers
from tests.runs import issued_numbers, outcome_counts, promo_numbers, run_options, run_sheet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from invoca_bulk.sandbox_server import Sandbox
    from invoca_bulk.service.run_result import RunResult

    Requests = Callable[..., pd.DataFrame]

STATUS, RUN, NUMBER = "result_status", "result_run", "promo_number"
RESULT_COLUMNS = [STATUS, RUN, "result_error", "result_fix", "result_http_status", "result_attempts", "result_at"]


@contextlib.contextmanager
def _numbers_left(box: Sandbox, count: int) -> Iterator[None]:
    """The platform has only so many numbers, and rejects the requests for more."""
    allocate, left = box.store.number_pool.allocate, iter([True] * count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(box.store.number_pool, "allocate", lambda body: next(left, None) and allocate(body))
        yield


@pytest.fixture
def results(box: Sandbox, network: Network, requests_frame: Requests) -> pd.DataFrame:
    """Results of 12 rows: 8 created, 2 unknown that the platform did create, 2 rejected."""
    faults: list[Any] = [None] * 8
    box.faults.change(script=[*faults, "drop_after", "drop_after"], list_lag=60.0)
    with _numbers_left(box, 10):
        finished = run_sheet(requests_frame(12), network, concurrency=1)
    box.faults.change(list_lag=0.0)
    assert outcome_counts(finished) == {"created": 8, "unknown": 2, "rejected": 2}
    assert len(issued_numbers(box)) == 10
    assert isinstance(finished.results.frame, pd.DataFrame)
    return finished.results.frame


def _done(results: pd.DataFrame) -> pd.DataFrame:
    """The rows that are done."""
    return results[results[STATUS] == "created"]


def _errors(frame: pd.DataFrame, network: Network, **options: Any) -> dict[int, str]:
    """Row to the code of the claim's error; nothing is sent."""
    with pytest.raises(RowsInvalid) as caught:
        run_sheet(frame, network, **options)
    errors = caught.value.report.errors
    return dict(zip(errors["row"], errors["code"], strict=True))


def _warnings(frame: pd.DataFrame, network: Network) -> dict[int, str]:
    """Row to the code of its warning in a plan."""
    issues = ib.plan(frame, network).issues
    return dict(zip(issues["row"], issues["code"], strict=True))


def _shown(finished: RunResult) -> list[tuple[str, str, str]]:
    """Description, number and outcome of each row."""
    return list(finished.results.frame[["description", NUMBER, STATUS]].itertuples(index=False, name=None))


def _on_platform(box: Sandbox) -> dict[str, str]:
    """Promo number to description, of all numbers that are on the platform."""
    return {
        number.promo_number: number.to_json("2022-08-01")["description"]
        for platform_network in box.store.networks.values()
        for campaign in platform_network.campaigns.values()
        for number in campaign.numbers.values()
    }


def test_untouched_results_send_the_rows_that_were_rejected(
    box: Sandbox, network: Network, results: pd.DataFrame
) -> None:
    """The rejected rows are bought, and every number is on the row of its description."""
    finished = run_sheet(results, network)
    assert outcome_counts(finished) == {"created": 12}
    assert promo_numbers(finished) == issued_numbers(box)
    assert {number: text for text, number, _ in _shown(finished)} == _on_platform(box)


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda frame: frame.drop(columns=NUMBER), id="column-deleted"),
        pytest.param(lambda frame: frame.assign(**{NUMBER: ""}), id="cells-cleared"),
        pytest.param(lambda frame: frame.assign(**{NUMBER: frame[NUMBER] + ".0"}), id="floats"),
        pytest.param(
            lambda frame: frame.assign(**{NUMBER: [f"{int(number):.3E}" for number in frame[NUMBER]]}), id="exponents"
        ),
        pytest.param(lambda frame: frame.assign(**{STATUS: "CREATED "}), id="capitals"),
        pytest.param(lambda frame: frame.drop(columns=[STATUS, NUMBER]), id="status-and-number-deleted"),
        pytest.param(lambda frame: frame.drop(columns=RUN), id="run-deleted"),
        pytest.param(lambda frame: frame.drop(columns=[RUN, NUMBER]), id="run-and-number-deleted"),
        pytest.param(lambda frame: frame.assign(**{RUN: "20200101-101500-abcdef"}), id="run-changed"),
        pytest.param(lambda frame: frame.iloc[::-1], id="rows-sorted"),
        pytest.param(lambda frame: frame.iloc[2:5], id="rows-deleted"),
        pytest.param(lambda frame: frame.assign(note="of my own"), id="column-of-ones-own"),
    ],
)
def test_numbers_come_back(
    box: Sandbox, network: Network, results: pd.DataFrame, edit: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    """What was lost or changed in spelling comes back from the journal, and nothing is bought."""
    before = issued_numbers(box)
    edited = edit(_done(results))
    finished = run_sheet(edited, network)
    assert outcome_counts(finished) == {"created": len(edited)}
    assert issued_numbers(box) == before
    assert {text: number for text, number, _ in _shown(finished)} == {
        text: number
        for text, number, _ in _done(results)[["description", NUMBER, STATUS]].itertuples(index=False)
        if text in set(edited["description"])
    }


def test_a_number_that_comes_back_is_told(network: Network, results: pd.DataFrame) -> None:
    """A warning names the number and the run it comes from."""
    plan = ib.plan(_done(results).head(1).assign(**{NUMBER: ""}), network)
    run, number = results[RUN].iloc[0], results[NUMBER].iloc[0]
    assert list(plan.issues["code"]) == ["claim_restored"]
    assert run in plan.issues["message"].iloc[0]
    assert number in plan.issues["message"].iloc[0]


def test_a_status_filled_down_is_refused(box: Sandbox, network: Network, results: pd.DataFrame) -> None:
    """The rows that are not done are named, and nothing is sent."""
    before = issued_numbers(box)
    codes = _errors(results.assign(**{STATUS: "created"}), network)
    assert codes == dict.fromkeys([10, 11, 12, 13], "claim_contradicted")
    assert issued_numbers(box) == before


_MOVED = dict.fromkeys(range(2, 9), "claim_moved")
#: Column to the codes of the rows where its texts move up by one row: 8 created, 2 unknown, 2 rejected.
SORTED = {
    "description": _MOVED | {9: "claim_moved", 11: "claim_contradicted", 13: "replaces_unsettled_row"},
    NUMBER: _MOVED | {9: "claim_repeated", 13: "claim_moved"},
    STATUS: {11: "claim_contradicted", 13: "claim_contradicted"},
}


@pytest.mark.parametrize("column", SORTED)
def test_a_column_sorted_alone_is_refused(box: Sandbox, network: Network, results: pd.DataFrame, column: str) -> None:
    """Rows whose request or number is another row's are named, and nothing is bought."""
    before = issued_numbers(box)
    texts = list(results[column])
    codes = _errors(results.assign(**{column: [*texts[1:], texts[0]]}), network)
    assert codes == SORTED[column]
    assert issued_numbers(box) == before


def test_two_numbers_swapped(network: Network, results: pd.DataFrame) -> None:
    """Both rows are named."""
    swapped = _done(results).head(3).copy()
    swapped[NUMBER] = [swapped[NUMBER].iloc[1], swapped[NUMBER].iloc[0], swapped[NUMBER].iloc[2]]
    assert _errors(swapped, network) == {2: "claim_moved", 3: "claim_moved"}


@pytest.mark.parametrize("description", ["Number 8", "Something new"], ids=["copied", "filled-down"])
def test_a_done_row_copied(box: Sandbox, network: Network, results: pd.DataFrame, description: str) -> None:
    """A copy with the number of another row is an error, whatever it asks for."""
    before = issued_numbers(box)
    last = _done(results).tail(1).assign(description=description)
    codes = _errors(with_row_numbers(pd.concat([_done(results), last])), network)
    assert codes == {10: "claim_repeated"}
    assert issued_numbers(box) == before


def test_a_new_row_filled_down_without_a_number(box: Sandbox, network: Network, results: pd.DataFrame) -> None:
    """A copy that asks for something else and shows no number is a new request."""
    new = _done(results).tail(1).assign(**{NUMBER: "", "id": "", "id_from_network": "", "description": "New"})
    sheet = with_row_numbers(pd.concat([results, new]))
    assert _warnings(sheet, network)[14] == "claim_dropped"
    finished = run_sheet(sheet, network)
    assert outcome_counts(finished) == {"created": 13}
    assert len(issued_numbers(box)) == 13
    assert _on_platform(box)[finished.results.frame[NUMBER].iloc[-1]] == "New"


def test_a_file_appended_to_itself(box: Sandbox, network: Network, results: pd.DataFrame) -> None:
    """Each row is there twice, and that is said; nothing is bought."""
    before = issued_numbers(box)
    codes = _errors(with_row_numbers(pd.concat([results, results])), network)
    assert codes == dict.fromkeys(range(14, 24), "claim_repeated")
    assert issued_numbers(box) == before


def test_a_done_row_edited(box: Sandbox, network: Network, results: pd.DataFrame) -> None:
    """The edit is told and left out of the results, which show what the platform has."""
    edited = _done(results).assign(description=["Changed", *_done(results)["description"].iloc[1:]])
    plan = ib.plan(edited, network)
    assert list(plan.issues["code"]) == ["row_edited"]
    assert "description 'Number 1' -> 'Changed'" in plan.issues["message"].iloc[0]
    finished = run_sheet(edited, network)
    assert outcome_counts(finished) == {"created": 8}
    assert {number: text for text, number, _ in _shown(finished)}.items() <= _on_platform(box).items()
    (line,) = [line for line in finished.results.warnings if "row 2" in line]
    assert "'Number 1' -> 'Changed'. The edits are not sent." in line


@pytest.mark.parametrize("is_asked", [True, False])
def test_edits_are_applied(box: Sandbox, network: Network, results: pd.DataFrame, *, is_asked: bool) -> None:
    """On a question, or with the option, the edited row is an update of its number."""
    edited = _done(results).assign(description=["Changed", *_done(results)["description"].iloc[1:]])
    questions: list[str] = []
    options: dict[str, Any] = {"apply_edits": True}
    if is_asked:
        options = {"confirm": lambda question: not questions.append(question), "yes": False}
    finished = run_sheet(edited, network, **options)
    assert outcome_counts(finished) == {"created": 7, "updated": 1}
    assert _on_platform(box)[results[NUMBER].iloc[0]] == "Changed"
    assert len(issued_numbers(box)) == 10
    assert bool(questions) is is_asked
    again = run_sheet(finished.results.frame, network)
    assert _shown(again) == _shown(finished)


def test_a_done_row_edited_and_its_status_cleared(box: Sandbox, network: Network, results: pd.DataFrame) -> None:
    """The row is an update of its number."""
    edited = _done(results).head(1).assign(description="Changed", **{STATUS: ""})
    assert outcome_counts(run_sheet(edited, network)) == {"updated": 1}
    assert _on_platform(box)[results[NUMBER].iloc[0]] == "Changed"


def test_the_campaign_of_a_done_row_edited(network: Network, results: pd.DataFrame) -> None:
    """The number is not in that campaign, and is not said to be."""
    edited = _done(results).head(1).assign(advertiser_campaign_id_from_network="C-2")
    assert _errors(edited, network) == {2: "claim_elsewhere"}
    assert _errors(edited, network, apply_edits=True) == {2: "claim_elsewhere"}


def test_an_unknown_row_edited(box: Sandbox, network: Network, results: pd.DataFrame) -> None:
    """The row is settled with what was sent, and the edit is told."""
    edited = results[results[STATUS] == "unknown"].assign(description=["Changed", "Number 10"])
    assert _warnings(edited, network) == {10: "unsettled_row_edited", 11: "unsettled_row"}
    finished = run_sheet(edited, network)
    assert outcome_counts(finished) == {"created": 2}
    assert {number: text for text, number, _ in _shown(finished)}.items() <= _on_platform(box).items()
    assert len(issued_numbers(box)) == 10


@pytest.mark.parametrize("columns", [RESULT_COLUMNS, [STATUS]], ids=["result-columns", "status"])
def test_an_unknown_row_edited_and_its_results_cleared(
    box: Sandbox, network: Network, results: pd.DataFrame, columns: list[str]
) -> None:
    """The first request may have been carried out: it has to be looked up first, or the purchase asked for."""
    edited = results[results[STATUS].isin(["created", "unknown"])].copy()
    edited.loc[10, columns] = ""
    edited.loc[10, "description"] = "Changed"
    assert _errors(edited, network) == {10: "replaces_unsettled_row"}
    assert len(issued_numbers(box)) == 10
    assert outcome_counts(run_sheet(edited, network, again=True)) == {"created": 9, "unknown": 1}
    assert len(issued_numbers(box)) == 11


@pytest.mark.parametrize("run", ["", "20200101-101500-abcdef"], ids=["deleted", "changed"])
def test_unknown_rows_without_their_run(box: Sandbox, network: Network, results: pd.DataFrame, run: str) -> None:
    """The journal finds the run by the request, and the rows get their numbers."""
    unknown = results[results[STATUS] == "unknown"].assign(**{RUN: run})
    finished = run_sheet(unknown, network)
    assert outcome_counts(finished) == {"created": 2}
    assert {number: text for text, number, _ in _shown(finished)}.items() <= _on_platform(box).items()
    assert len(issued_numbers(box)) == 10


@pytest.mark.parametrize("spelling", ["{}", "({:.3}) {:.3}-{:.4}", "{}.0"])
def test_a_number_typed_into_an_unknown_row(
    box: Sandbox, network: Network, results: pd.DataFrame, spelling: str
) -> None:
    """The number is looked up, and the row is settled."""
    number = next(number for number, text in _on_platform(box).items() if text == "Number 9")
    shown = f"({number[:3]}) {number[3:6]}-{number[6:]}" if "(" in spelling else spelling.format(number)
    unknown = results[results["description"] == "Number 9"].assign(**{NUMBER: shown})
    assert outcome_counts(run_sheet(unknown, network)) == {"unchanged": 1}
    assert len(issued_numbers(box)) == 10


def test_a_misspelt_status(network: Network, results: pd.DataFrame) -> None:
    """An outcome that there is not is an error."""
    assert _errors(_done(results).head(1).assign(**{STATUS: "craeted"}), network) == {2: "status_unknown"}


def test_results_of_another_network(box: Sandbox, network: Network, results: pd.DataFrame) -> None:
    """Nothing was done on this network, and the sentence names both."""
    box.store.add_network("5678")
    other = Network(base_url=network.base_url, network_id="5678", token=network.token)
    with pytest.raises(RowsInvalid, match=r"network 1234 at .* this is network 5678") as caught:
        run_sheet(_done(results), other)
    assert set(caught.value.report.errors["code"]) == {"claim_of_other_network"}
    assert len(issued_numbers(box)) == 10
    cleared = _done(results).assign(**dict.fromkeys([*RESULT_COLUMNS, NUMBER, "id", "id_from_network"], ""))
    assert outcome_counts(run_sheet(cleared, other)) == {"created": 8}


def test_results_of_a_run_that_was_undone(box: Sandbox, network: Network, requests_frame: Requests) -> None:
    """The numbers are gone, and the results are not taken for done."""
    first = run_sheet(requests_frame(3), network)
    plan = undo.undo(first.results.run.run, network, run_options())
    undone = run_sheet(plan, network)
    assert outcome_counts(undone) == {"deleted": 3}
    assert "and not these results" in first.results.rehearsal_note
    assert "correct" not in undone.results.rehearsal_note  # there is no sheet to correct
    with pytest.raises(RowsInvalid, match=undone.results.run.run):
        run_sheet(first.results.frame, network)
    assert outcome_counts(run_sheet(undone.results.frame, network)) == {"deleted": 3}
    assert _on_platform(box) == {}


def test_an_update_that_was_undone(box: Sandbox, network: Network, requests_frame: Requests) -> None:
    """`updated` is not said of a number that has its old text again."""
    first = run_sheet(requests_frame(1), network).results.frame
    keys = ["advertiser_id_from_network", "advertiser_campaign_id_from_network", NUMBER, "media_type"]
    second = run_sheet(first[keys].assign(description="Changed"), network)
    run_sheet(undo.undo(second.results.run.run, network, run_options()), network)
    assert _errors(second.results.frame, network) == {2: "claim_undone"}
    assert set(_on_platform(box).values()) == {"Number 1"}


def test_results_on_another_machine(box: Sandbox, network: Network, results: pd.DataFrame, tmp_path: Path) -> None:
    """Without the journal of the run, the campaign's list says whether the numbers are there."""
    elsewhere = str(tmp_path / "elsewhere")
    finished = run_sheet(_done(results), network, journal=elsewhere)
    assert outcome_counts(finished) == {"created": 8}
    assert len(issued_numbers(box)) == 10
    edited = _done(results).head(1).assign(description="Changed")
    assert outcome_counts(run_sheet(edited, network, journal=elsewhere, apply_edits=True)) == {"updated": 1}
    gone = _done(results).head(1).assign(**{NUMBER: "8005550199"})
    assert _errors(gone, network, journal=elsewhere) == {2: "claim_not_on_platform"}
    twice = with_row_numbers(pd.concat([_done(results).head(2), _done(results).head(1)]))
    assert _errors(twice, network, journal=elsewhere) == {2: "claim_repeated", 4: "claim_repeated"}


def test_results_on_another_machine_without_numbers(
    box: Sandbox, network: Network, results: pd.DataFrame, tmp_path: Path
) -> None:
    """A number that was deleted or rounded comes back by its id, and is not bought again."""
    elsewhere = str(tmp_path / "elsewhere")
    lost = _done(results).head(2).assign(**{NUMBER: ["", "8.05E+09"]})
    finished = run_sheet(lost, network, journal=elsewhere)
    assert isinstance(finished.results.frame, pd.DataFrame)
    assert list(finished.results.frame[NUMBER]) == list(_done(results).head(2)[NUMBER])
    without_id = lost.assign(id_from_network="", id="")
    with pytest.raises(RowsInvalid, match="does not say which object it is about"):
        run_sheet(without_id, network, journal=elsewhere)
    twice = with_row_numbers(pd.concat([_done(results).head(1), lost.head(1)]))
    with pytest.raises(RowsInvalid, match="Rows 2, 3 stand for the same number on the platform"):
        run_sheet(twice, network, journal=elsewhere)
    assert len(issued_numbers(box)) == 10


@pytest.mark.parametrize("run", ["", "a run of another machine"])
def test_a_later_run_does_not_contradict_the_first(
    network: Network, results: pd.DataFrame, tmp_path: Path, run: str
) -> None:
    """What a later run found `unchanged` is still `created` by a run of another machine, or by an unnamed one."""
    elsewhere = str(tmp_path / "elsewhere") if run else None
    rows = _done(results).head(2)
    options: dict[str, Any] = {"journal": elsewhere} if elsewhere else {}
    later = run_sheet(rows.assign(**dict.fromkeys(RESULT_COLUMNS, "")), network, **options)
    assert outcome_counts(later) == {"unchanged": 2}
    assert outcome_counts(run_sheet(rows.assign(**{RUN: run}), network, **options)) == {"created": 2}


def test_an_undo_that_was_undone(network: Network, requests_frame: Requests) -> None:
    """The update counts again; and a row that was undone keeps its number, without which it would buy one."""
    first = run_sheet(requests_frame(1), network).results.frame
    assert isinstance(first, pd.DataFrame)
    keys = ["advertiser_id_from_network", "advertiser_campaign_id_from_network", NUMBER, "media_type"]
    second = run_sheet(first[keys].assign(description="Changed"), network)
    undone = run_sheet(undo.undo(second.results.run.run, network, run_options()), network)
    with pytest.raises(RowsInvalid, match=r"To send it again, clear its result columns\.$"):
        run_sheet(second.results.frame, network)
    run_sheet(undo.undo(undone.results.run.run, network, run_options()), network)
    assert outcome_counts(run_sheet(second.results.frame, network)) == {"updated": 1}


def test_results_of_one_sandbox_on_another(requests_frame: Requests) -> None:
    """The rows exist on the first sandbox only."""
    with ib.sandbox(open_campaigns=True) as first:
        results = ib.run(requests_frame(2), first, progress=False)
        assert isinstance(results, pd.DataFrame)
        assert list(ib.run(results, first, progress=False)[STATUS]) == ["created"] * 2
    with ib.sandbox(open_campaigns=True, seed=7) as second, pytest.raises(RowsInvalid, match="original sheet"):
        ib.run(results, second, progress=False)


def test_results_on_ones_own_sandbox_are_corrected_there(requests_frame: Requests) -> None:
    """A rejected row is corrected in the results and bought there; nothing is bought twice."""
    with ib.sandbox() as box:
        frame = requests_frame(2, advertiser_id_from_network="A-100", advertiser_campaign_id_from_network="C-100")
        with _numbers_left(box, 1):
            first = ib.run(frame, box, progress=False, concurrency=1)
        assert isinstance(first, pd.DataFrame)
        assert sorted(first[STATUS]) == ["created", "rejected"]
        second = ib.run(first.assign(description=["Number 1", "Corrected"]), box, progress=False)
        assert list(second[STATUS]) == ["created", "created"]
        assert len(box.store.ledger) == 2


# What a run did, apart from what earlier runs had done


def test_adding_up_runs_gives_what_was_bought(box: Sandbox, network: Network, results: pd.DataFrame) -> None:
    """A later run of the results counts only what it bought itself; the rest is counted apart."""
    finished = run_sheet(results, network)
    assert finished.results.own_totals == {"created": 2}
    assert finished.results.earlier_totals == {"created": 10}
    listed = ib.runs()
    assert listed["created"].sum() == len(issued_numbers(box)) == 12
    assert list(listed["before"]) == [0, 10]


def test_closing_lines(network: Network, results: pd.DataFrame, tmp_path: Path, cli: Any) -> None:
    """The command line and the summary sheet say what this run did and what stood there before."""
    sheet, done = tmp_path / "sheet.csv", tmp_path / "done.xlsx"
    results.to_csv(sheet, index=False)
    address = {"INVOCA_BASE_URL": network.base_url, "INVOCA_NETWORK_ID": "1234", "INVOCA_API_TOKEN": TOKEN}
    ran = cli("run", sheet, "-o", done, "--yes", "--settle", "0.2", **address)
    assert "now: 2 created; before: 10 created" in ran.out
    summary = pd.read_excel(done, sheet_name="summary", header=None, engine="openpyxl").to_csv()
    assert "now: 2 created; before: 10 created" in summary
    assert "now: 2 created; before: 10 created" in cli("runs", **address).out
    again = json.loads(cli("run", done, "-o", tmp_path / "again.xlsx", "--yes", "--json", **address).out)
    assert (again["now"], again["before"]) == ({}, {"created": 12})
    record = json.loads(cli("results", again["run"], "-o", tmp_path / "later.xlsx", "--json", **address).out)
    assert (record["now"], record["before"], record["undone_by"]) == ({}, {"created": 12}, None)
    assert "now: nothing; before: 12 created" in cli("results", again["run"], "-o", tmp_path / "x.csv", **address).out


def test_counts_in_python(network: Network, results: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    """Outside of notebooks, a run prints both counts with its progress, and its frame has them."""
    frame = ib.run(results, network, settle=0.2, yes=True)
    assert isinstance(frame, pd.DataFrame)
    assert "now: 2 created; before: 10 created\n" in capsys.readouterr().err
    assert (frame.attrs["now"], frame.attrs["before"]) == ({"created": 2}, {"created": 10})
    read_again = ib.results(frame.attrs["run"])
    assert isinstance(read_again, pd.DataFrame)
    assert (read_again.attrs["now"], read_again.attrs["before"]) == ({"created": 2}, {"created": 10})
    own_index = ib.run(frame.set_axis(list("abcdefghijkl")), network, settle=0.2, yes=True, progress=False)
    assert isinstance(own_index, pd.DataFrame)
    assert "before:" not in capsys.readouterr().err
    again = ib.results(own_index.attrs["run"])
    assert isinstance(again, pd.DataFrame)
    assert again.attrs["before"] == {"created": 12}


def test_the_undo_of_an_undo(network: Network, requests_frame: Requests) -> None:
    """A run whose undo was undone is undone no longer."""
    keys = ["advertiser_id_from_network", "advertiser_campaign_id_from_network", NUMBER, "media_type"]
    first = run_sheet(requests_frame(1), network).results
    changed = run_sheet(first.frame[keys].assign(description="Changed"), network).results.run.run
    undo_run = run_sheet(undo.undo(changed, network, run_options()), network).results.run.run
    again = run_sheet(undo.undo(undo_run, network, run_options()), network).results.run.run
    assert list(ib.runs()["undone_by"]) == ["", "", again, ""]
    last = run_sheet(undo.undo(changed, network, run_options()), network).results.run.run
    assert list(ib.runs()["undone_by"]) == ["", last, again, "", ""]


def test_a_network_without_its_id_in_texts(
    box: Sandbox, requests_frame: Requests, tmp_path: Path, cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a host of its own a network is named by its address: in files, lists and errors."""
    monkeypatch.setenv("INVOCA_API_TOKEN", TOKEN)
    blank = Network(base_url=box.base_url, network_id="", token=TOKEN)
    finished = run_sheet(requests_frame(1), blank)
    run = finished.results.run.run
    summary = openpyxl.load_workbook(finished.results.save(tmp_path / "results.xlsx"))["summary"]
    assert ("network", box.base_url) in {row[:2] for row in summary.iter_rows(values_only=True)}
    assert cli("runs").out.splitlines()[1].endswith(f"  {box.base_url}")
    other = Network(base_url=box.base_url, network_id="1234", token=TOKEN)
    with pytest.raises(ib.ConfigError, match=f"belongs to the network at {box.base_url}, but the network passed is 1"):
        ib.resume(other, run)
    plan = ib.plan(requests_frame(1, description="New"), blank)
    with pytest.raises(ib.PlanError, match=f"made for the network at {box.base_url} "):
        ib.run(plan, other, yes=True)


def test_a_run_that_was_undone_says_so(network: Network, requests_frame: Requests, tmp_path: Path, cli: Any) -> None:
    """`runs`, its results and the page name the run that has undone it, and offer no second undo."""
    first = run_sheet(requests_frame(2), network).results.run.run
    second = run_sheet(undo.undo(first, network, run_options()), network).results.run.run
    assert list(ib.runs()["undone_by"]) == [second, ""]
    assert f"finished, undone by {second}" in cli("runs").out
    ib.results(first, output=tmp_path / "results.xlsx")
    assert (
        second
        in pd.read_excel(tmp_path / "results.xlsx", sheet_name="summary", header=None, engine="openpyxl").to_csv()
    )
    location = resolve_journal_location(None)
    run_summary = journal.find_run_summary(location, first)
    assert run_summary is not None
    page = screens.render_results(load_results(first, location), run_summary, "here", blocked_reason="")
    assert f"undone by {second}" in page
    assert "Plan to undo" not in page


@pytest.mark.parametrize(
    ("first", "second", "fix"),
    [("1234", "", 'network_id="1234"'), ("", "1234", "Leave the network id out")],
    ids=["left-out", "added"],
)
def test_a_network_named_in_two_ways(
    box: Sandbox, requests_frame: Requests, *, first: str, second: str, fix: str
) -> None:
    """With and without its id, a network has two journals: the other one is refused, and nothing is bought twice."""
    networks = [Network(base_url=box.base_url, network_id=text, token=TOKEN) for text in (first, second)]
    finished = run_sheet(requests_frame(2), networks[0])
    for function in (ib.plan, ib.run):
        with pytest.raises(ib.ConfigError, match=fix):
            function(requests_frame(2), networks[1])  # type: ignore[operator]
        with pytest.raises(ib.ConfigError, match=fix):
            function(finished.results.frame, networks[1])  # type: ignore[operator]
    assert outcome_counts(run_sheet(finished.results.frame, networks[0])) == {"created": 2}
    assert len(issued_numbers(box)) == 2


# Advertisers, several sheets, files


ADVERTISERS = {
    "id_from_network": ["A-1", "A-2"],
    "name": ["Acme", "Harbor"],
    "sites.1.id_from_network": ["101", "102"],
    "sites.1.name": ["Main", "Main"],
}


@pytest.mark.parametrize("suffix", ["xlsx", "csv"])
def test_results_of_advertisers(network: Network, tmp_path: Path, suffix: str) -> None:
    """Unedited results are left alone, edits are told or applied, and a filled-down status is refused."""
    path = tmp_path / f"results.{suffix}"
    finished = run_sheet(pd.DataFrame(ADVERTISERS), network)
    assert outcome_counts(finished) == {"created": 2}
    finished.results.save(path)
    assert outcome_counts(run_sheet(path, network)) == {"created": 2}
    frame = finished.results.frame
    assert isinstance(frame, pd.DataFrame)
    cleared = frame.assign(id="", object_url="")
    assert outcome_counts(run_sheet(cleared, network)) == {"created": 2}
    edited = frame.assign(name=["Acme Travel", "Harbor"])
    assert _warnings(edited, network) == {0: "row_edited"}
    assert list(run_sheet(edited, network).results.frame["name"]) == ["Acme", "Harbor"]
    assert outcome_counts(run_sheet(edited, network, apply_edits=True)) == {"updated": 1, "created": 1}


def test_an_advertiser_that_was_undone(network: Network) -> None:
    """Its results are not taken for done."""
    finished = run_sheet(pd.DataFrame(ADVERTISERS), network)
    run_sheet(undo.undo(finished.results.run.run, network, run_options()), network)
    assert _errors(finished.results.frame, network) == {0: "claim_undone", 1: "claim_undone"}


@pytest.fixture
def parts(network: Network) -> dict[str, pd.DataFrame]:
    """Results of two advertisers with a user and two sites, on three sheets."""
    owner = "advertiser_id_from_network"
    book = {
        "advertisers": pd.DataFrame({"id_from_network": ["A-1", "A-2"], "name": ["Acme", "Harbor"]}),
        "sites": pd.DataFrame(
            {owner: ["A-1", "A-1", "A-2"], "id_from_network": ["1", "2", "3"], "name": ["a", "b", "c"]}
        ),
        "users": pd.DataFrame(
            {
                owner: ["A-1", "A-2"],
                "id_from_network": ["U-1", "U-2"],
                "first_name": ["Pat", "Ana"],
                "last_name": "Lee",
                "contact_phone_number": "6175550199",
                "email_settings.1.email_address": ["pat@example.com", "ana@example.com"],
                "email_settings.1.use_for_notifications": "TRUE",
            }
        ),
    }
    return dict(run_sheet(book, network).results.frame)


def _part_errors(frames: dict[str, pd.DataFrame], network: Network) -> dict[tuple[str, int], str]:
    """Sheet and row to the code of the claim's error."""
    with pytest.raises(RowsInvalid) as caught:
        run_sheet(frames, network)
    errors = caught.value.report.errors
    return dict(zip(zip(errors["sheet"], errors["row"], strict=True), errors["code"], strict=True))


def _part_warnings(frames: dict[str, pd.DataFrame], network: Network, **options: Any) -> dict[tuple[str, int], str]:
    """Sheet and row to the code of its warning in a plan, which refuses nothing."""
    plan = ib.plan(frames, network, **options)
    assert plan.ok
    return dict(zip(zip(plan.issues["sheet"], plan.issues["row"], strict=True), plan.issues["code"], strict=True))


def test_edited_users_and_sites(box: Sandbox, network: Network, parts: dict[str, pd.DataFrame]) -> None:
    """An edit is told on its own row, and sent with the option."""
    assert _part_warnings(parts, network) == {}
    sites = parts["sites"].assign(name=["a", "B", "c"])
    assert _part_warnings({**parts, "sites": sites}, network) == {("sites", 1): "row_edited"}
    users = parts["users"].assign(first_name=["Bo", "Ana"])
    assert _part_warnings({**parts, "users": users}, network) == {("users", 0): "row_edited"}
    left = run_sheet({**parts, "users": users}, network).results.frame
    assert list(left["users"]["first_name"]) == ["Pat", "Ana"]
    sent = run_sheet({**parts, "users": users}, network, apply_edits=True).results.frame
    assert list(sent["users"][STATUS]) == ["updated", "created"]
    shown = box.store.networks[network.network_id].advertisers
    assert [shown[own_id].users[0]["first_name"] for own_id in ("A-1", "A-2")] == ["Bo", "Ana"]


@pytest.mark.parametrize(
    ("edit", "codes"),
    [
        pytest.param(
            lambda users: users.assign(id_from_network=["U-2", "U-1"]),
            {0: "claim_unfounded", 1: "claim_unfounded"},
            id="ids-swapped",
        ),
        pytest.param(
            lambda users: pd.concat([users, users.head(1)], ignore_index=True), {2: "claim_repeated"}, id="copied"
        ),
        pytest.param(
            lambda users: users.assign(**{STATUS: "craeted"}), {0: "status_unknown", 1: "status_unknown"}, id="misspelt"
        ),
        pytest.param(
            lambda users: pd.concat(
                [users, users.tail(1).assign(id_from_network="U-3", result_run="")], ignore_index=True
            ),
            {2: "claim_not_on_platform"},
            id="filled-down-without-run",
        ),
        pytest.param(
            lambda users: users.assign(id_from_network=["U-1", "U-3"], result_run=""),
            {1: "claim_not_on_platform"},
            id="another-id-without-run",
        ),
    ],
)
def test_claims_of_users_that_nothing_bears_out(
    box: Sandbox,
    network: Network,
    parts: dict[str, pd.DataFrame],
    edit: Callable[[pd.DataFrame], pd.DataFrame],
    codes: dict[int, str],
) -> None:
    """Each is an error of its row, and nothing is sent."""
    before = box.store.networks[network.network_id].advertisers["A-2"]
    errors = _part_errors({**parts, "users": edit(parts["users"])}, network)
    assert errors == {("users", row): code for row, code in codes.items()}
    assert box.store.networks[network.network_id].advertisers["A-2"] is before


def test_a_user_filled_down(box: Sandbox, network: Network, parts: dict[str, pd.DataFrame]) -> None:
    """A copy with another id is a new user, and that is said."""
    new = parts["users"].tail(1).assign(id_from_network="U-3", **{"email_settings.1.email_address": "new@example.com"})
    frames = {**parts, "users": pd.concat([parts["users"], new], ignore_index=True)}
    assert _part_warnings(frames, network) == {("users", 2): "claim_dropped"}
    assert list(run_sheet(frames, network).results.frame["users"][STATUS]) == ["created"] * 3
    users = box.store.networks[network.network_id].advertisers["A-2"].users
    assert [user["id_from_network"] for user in users] == ["U-2", "U-3"]


def test_users_on_another_machine(network: Network, parts: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    """Without the journal, the platform's list says whether a user is there, or gone."""
    elsewhere = str(tmp_path / "elsewhere")
    assert _part_warnings(parts, network, journal=elsewhere) == {}
    removal = {**parts, "users": parts["users"].assign(action=["remove", ""], **{STATUS: ["", "created"]})}
    removed = run_sheet(removal, network).results.frame
    assert list(removed["users"][STATUS]) == ["deleted", "created"]
    assert _part_warnings(removed, network, journal=elsewhere) == {}
    there_again = {**removed, "users": removed["users"].assign(id_from_network=["U-2", "U-2"], **{RUN: ""})}
    there_again["users"]["advertiser_id_from_network"] = "A-2"
    assert set(_part_errors(there_again, network).values()) == {"claim_not_on_platform"}


# Moved rows


@pytest.fixture
def moved(network: Network, requests_frame: Requests) -> pd.DataFrame:
    """Results of two numbers that were moved from C-1 to C-2."""
    bought = run_sheet(requests_frame(2), network).results.frame
    assert isinstance(bought, pd.DataFrame)
    keys = ["advertiser_id_from_network", "advertiser_campaign_id_from_network", NUMBER]
    destination = {"advertiser_id_from_network": "A-1", "advertiser_campaign_id_from_network": "C-2"}
    sheet = bought[keys].assign(**{f"destination_{name}": text for name, text in destination.items()})
    frame = run_sheet(sheet, network).results.frame
    assert isinstance(frame, pd.DataFrame)
    assert list(frame[STATUS]) == ["moved", "moved"]
    return frame


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        pytest.param({}, None, id="untouched"),
        pytest.param({NUMBER: ""}, "claim_restored", id="numbers-cleared"),
        pytest.param({RUN: ""}, "claim_restored", id="run-cleared"),
        pytest.param({"description": "x"}, "row_edited", id="edited"),
        pytest.param(
            {"destination_advertiser_campaign_id_from_network": "C-3"}, "row_edited", id="another-destination"
        ),
    ],
)
def test_moved_rows(network: Network, moved: pd.DataFrame, edit: dict[str, str], code: str | None) -> None:
    """A moved row is known by its number, is not moved again, and its edits are told."""
    edited = moved.assign(**edit)
    assert _warnings(edited, network) == ({2: code, 3: code} if code else {})
    finished = run_sheet(edited, network).results.frame
    assert finished[[NUMBER, STATUS]].to_numpy().tolist() == moved[[NUMBER, STATUS]].to_numpy().tolist()


def test_moved_rows_that_are_not_borne_out(network: Network, moved: pd.DataFrame, tmp_path: Path) -> None:
    """Copies and other campaigns are errors, also where only the platform's list is known."""
    copied = with_row_numbers(pd.concat([moved, moved.head(1)]))
    assert _errors(copied, network) == {4: "claim_repeated"}
    other = moved.assign(advertiser_campaign_id_from_network="C-9")
    assert _errors(other, network) == {2: "claim_elsewhere", 3: "claim_elsewhere"}
    elsewhere = str(tmp_path / "elsewhere")
    assert ib.plan(moved, network, journal=elsewhere).issues.empty
    wrong = moved.assign(destination_advertiser_campaign_id_from_network="C-3")
    assert _errors(wrong, network, journal=elsewhere) == dict.fromkeys([2, 3], "claim_not_on_platform")


def test_several_sheets_of_a_workbook(box: Sandbox, network: Network, requests_frame: Requests, tmp_path: Path) -> None:
    """Each sheet's rows are compared with that sheet's."""
    book = {"advertisers": pd.DataFrame(ADVERTISERS), "promo_numbers": requests_frame(2)}
    finished = run_sheet(book, network)
    path = finished.results.save(tmp_path / "results.xlsx")
    assert {name: set(frame[STATUS]) for name, frame in run_sheet(path, network).results.frame.items()} == {
        "advertisers": {"created"},
        "promo_numbers": {"created"},
    }
    frames = dict(finished.results.frame)
    frames["promo_numbers"] = frames["promo_numbers"].assign(**{NUMBER: ""})
    again = run_sheet(frames, network).results.frame
    assert sorted(again["promo_numbers"][NUMBER]) == issued_numbers(box)


def test_own_ids_and_quantities(box: Sandbox, network: Network, requests_frame: Requests) -> None:
    """Rows that are equal but for their own ids get their own numbers back, in any order."""
    frame = requests_frame(4, description="Same", id_from_network=["P-1", "P-2", "P-3", "P-4"])
    results = run_sheet(frame, network).results.frame
    numbers = dict(zip(results["id_from_network"], results[NUMBER], strict=True))
    again = run_sheet(results.iloc[::-1].assign(**{NUMBER: ""}), network).results.frame
    assert dict(zip(again["id_from_network"], again[NUMBER], strict=True)) == numbers
    several = run_sheet(requests_frame(1, description="Three", quantity="3"), network).results.frame
    again = run_sheet(several.drop(columns=NUMBER), network).results.frame
    assert sorted(again[NUMBER]) == sorted(several[NUMBER])
    assert len(issued_numbers(box)) == 7


# Rehearsals


def test_a_rehearsal_says_what_it_is(requests_frame: Requests, tmp_path: Path, cli: Any) -> None:
    """The closing lines and the file say that nothing was bought, and name the file to correct."""
    requests_frame(2).to_csv(tmp_path / "sheet.csv", index=False)
    ran = cli("run", "sheet.csv", "--sandbox", "-o", "results.xlsx")
    assert "nothing was bought" in ran.out
    assert "correct sheet.csv and not these results" in ran.out
    summary = pd.read_excel(tmp_path / "results.xlsx", sheet_name="summary", header=None, engine="openpyxl")
    assert "nothing was bought" in summary.to_csv()


def test_results_of_a_rehearsal_are_no_original(network: Network, requests_frame: Requests) -> None:
    """Where they are run again, the closing line does not name them as the sheet for the real network."""
    first = run_sheet(requests_frame(1), network).results
    assert "correct the original DataFrame and not these results" in first.rehearsal_note
    assert "correct the original sheet and not these results" in run_sheet(first.frame, network).results.rehearsal_note


def test_a_sandbox_like_an_export(box: Sandbox, network: Network, requests_frame: Requests) -> None:
    """Just the exported campaigns are known, so that a wrong id shows."""
    run_sheet(requests_frame(1), network)
    keys = ["advertiser_id_from_network", "advertiser_campaign_id_from_network"]
    export = ib.export("promo_numbers", network, campaigns=requests_frame(1)[keys])
    sheet = requests_frame(2, advertiser_campaign_id_from_network=["C-1", "C-9"])
    with ib.sandbox(like=export) as like:
        assert list(ib.plan(sheet, like).issues["code"]) == ["campaign_not_found"]
        assert list(ib.run(sheet, like, skip_invalid=True, progress=False)[STATUS]) == ["created", "invalid"]
    assert len(issued_numbers(box)) == 1


# Questions before a run


def test_a_question_names_all_that_will_be_written(network: Network) -> None:
    """Creating advertisers asks as buying does, and what is changed is named beside what is deleted."""
    users = {
        "users.1.id_from_network": ["1", "2"],
        "users.1.first_name": "Pat",
        "users.1.last_name": "Lee",
        "users.1.contact_phone_number": "6175550199",
        "users.1.email_settings.1.email_address": ["pat@example.com", "lee@example.com"],
        "users.1.email_settings.1.use_for_notifications": "TRUE",
    }
    questions: list[str] = []
    options: dict[str, Any] = {"yes": False, "confirm": lambda question: not questions.append(question)}
    run_sheet(pd.DataFrame({**ADVERTISERS, **users}), network, **options)
    assert questions[0].startswith("This creates 2 advertisers with 2 users on network 1234")
    assert "undone" not in questions[0]
    sheet = pd.DataFrame({"id_from_network": ["A-1", "A-2"], "action": ["delete", ""], "name": ["Acme", "Pier"]})
    run_sheet(sheet, network, **options)
    assert questions[1].startswith("This deletes 1 advertiser; changes 1 field on network 1234")
    assert "  deletes Acme (A-1) (index 0)" in questions[1]
    assert "name Harbor -> Pier" in questions[1]


@pytest.mark.parametrize(("typed", "is_done"), [("8", True), ("y", False)])
def test_many_deletions_want_their_count(
    box: Sandbox, network: Network, requests_frame: Requests, typed: str, *, is_done: bool
) -> None:
    """The count is typed, beside the description, the campaign and the row of each number."""
    first = run_sheet(requests_frame(8), network)
    plan = undo.undo(first.results.run.run, network, run_options())
    questions: list[str] = []
    options: dict[str, Any] = {
        "yes": False,
        "confirm": lambda _: True,
        "ask_text": lambda question: questions.append(question) or typed,
    }
    if is_done:
        run_sheet(plan, network, **options)
    else:
        with pytest.raises(ib.ConfirmationRequiredError, match="not confirmed"):
            run_sheet(plan, network, **options)
    assert questions[0].endswith("Type 8 to confirm how many are deleted")
    assert "(Number 3, A-1 / C-1, row 4)" in questions[0]
    assert len(_on_platform(box)) == (0 if is_done else 8)


def test_the_number_of_an_invalid_row_corrected(network: Network, results: pd.DataFrame) -> None:
    """A number that was typed wrongly and refused is corrected in the results, and the row is sent."""
    update = _done(results).head(1)[["advertiser_id_from_network", "advertiser_campaign_id_from_network", NUMBER]]
    wrong = pd.concat([update.assign(**{NUMBER: update[NUMBER] + "5"}), _done(results).tail(1)[update.columns]])
    refused = run_sheet(wrong.assign(description="Changed", media_type="Online: Display"), network, skip_invalid=True)
    frame = refused.results.frame
    assert list(frame[STATUS]) == ["invalid", "updated"]
    corrected = frame.assign(**{NUMBER: [update[NUMBER].iloc[0], frame[NUMBER].iloc[1]]})
    assert outcome_counts(run_sheet(corrected, network)) == {"updated": 2}
