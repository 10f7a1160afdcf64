"""Interrupted runs resume, and finished rows are not repeated."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import openpyxl
import pandas as pd
import pytest

import invoca_bulk as ib
from invoca_bulk import journal
from invoca_bulk.api.notes import present_result
from invoca_bulk.cli.wording import command_words
from invoca_bulk.config.journal_location import resolve_journal_location
from invoca_bulk.config.network import Network, resolve_network
from invoca_bulk.errors import ConfigError, ConfirmationRequiredError, JournalLockedError, RunAborted
from invoca_bulk.service.run_result import load_results
from invoca_bulk.transport import run_sync
from invoca_bulk.wording import word
from tests.runs import (
    KEY_COLUMNS,
    SETTLE,
    issued_numbers,
    outcome_counts,
    promo_numbers,
    resume_run,
    run_options,
    run_sheet,
    wait_for,
)
from tests.systems import posix_only

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from invoca_bulk.sandbox_server import Sandbox
    from invoca_bulk.service.run_result import RunResult

    Requests = Callable[..., pd.DataFrame]

TOKEN = "the-secret-token"


def _interrupted_when(
    condition: Callable[[], bool], frame: pd.DataFrame | Path, network: Network, **options: Any
) -> RunResult:
    """Run, and stop gracefully as soon as the condition holds."""
    original = run_sync.run

    def run_and_stop(main: Any, **kwargs: Any) -> Any:
        if "interrupts" not in kwargs:
            return original(main, **kwargs)

        def interrupt_if_due() -> None:
            if condition() and not kwargs["interrupts"].count:
                kwargs["interrupts"].handle()
            kwargs["tick"]()

        return original(main, **{**kwargs, "tick": interrupt_if_due})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_sync, "run", run_and_stop)
        return run_sheet(frame, network, **options)


def _interrupted(frame: pd.DataFrame | Path, network: Network, box: Sandbox, after: int, **options: Any) -> RunResult:
    """Run, and stop gracefully once `after` numbers are issued; a rate limit leaves time for that."""
    box.faults.change(limit=50)
    finished = _interrupted_when(lambda: len(box.store.ledger) >= after, frame, network, rate=20.0, **options)
    box.faults.change(limit=None)
    return finished


# Resuming


def test_running_the_sheet_again_resumes_the_interrupted_run(box: Any, network: Any, requests_frame: Requests) -> None:
    """The same run continues, a message says so, and every number is on one row."""
    frame = requests_frame(30)
    first = _interrupted(frame, network, box, after=5)
    assert first.exit_code == 4
    assert 0 < outcome_counts(first)["created"] < 30
    messages: list[str] = []
    second = run_sheet(frame, network, say=messages.append)
    assert (second.results.run.run, second.exit_code) == (first.results.run.run, 0)
    assert outcome_counts(second) == {"created": 30}
    assert promo_numbers(second) == issued_numbers(box)
    assert messages[0].startswith(f"Resuming run {first.results.run.run} of a DataFrame")


def test_resume_takes_the_latest_unfinished_run(box: Any, network: Any, requests_frame: Requests) -> None:
    """Without an id, `resume` takes the latest unfinished run; without any, the error says so."""
    first = _interrupted(requests_frame(20), network, box, after=3)
    finished = resume_run(network)
    assert (finished.results.run.run, outcome_counts(finished)) == (first.results.run.run, {"created": 20})
    with pytest.raises(ConfigError, match="There is no run to resume"):
        resume_run(network)
    assert len(issued_numbers(box)) == 20


def test_again_starts_a_new_run_and_closes_the_interrupted_one(
    box: Any, network: Any, requests_frame: Requests, tmp_path: Path
) -> None:
    """Rows bought by the new run are closed in the old one: resuming it buys nothing more."""
    frame = requests_frame(20)
    first = _interrupted(frame, network, box, after=3)
    before = len(issued_numbers(box))
    second = run_sheet(frame, network, again=True)
    assert outcome_counts(second) == {"created": 20}
    assert len(issued_numbers(box)) == before + 20
    assert [run.state for run in journal.list_runs(tmp_path / "journal")] == ["closed", "finished"]
    old = resume_run(network, first.results.run.run)
    assert len(issued_numbers(box)) == before + 20
    remaining = old.results.frame[old.results.frame["result_status"] == "not_sent"]
    assert remaining["result_error"].str.contains(second.results.run.run).all()


def test_the_results_of_an_interrupted_run_close_it(box: Any, network: Any, requests_frame: Requests) -> None:
    """Running the results and then resuming the run buys each number once."""
    first = _interrupted(requests_frame(20), network, box, after=3)
    second = run_sheet(first.results.frame, network)
    assert outcome_counts(second) == {"created": 20}
    resume_run(network, first.results.run.run)
    assert promo_numbers(second) == issued_numbers(box)
    assert len(issued_numbers(box)) == 20


def test_different_options_do_not_resume(box: Any, network: Any, requests_frame: Requests) -> None:
    """A run is resumed only with the options it was started with."""
    frame = requests_frame(20)
    first = _interrupted(frame, network, box, after=3)
    before = len(issued_numbers(box))
    with pytest.raises(ConfirmationRequiredError, match=f"(?s){first.results.run.run}.*other options.*--again"):
        run_sheet(frame, network, nested="replace")
    assert len(issued_numbers(box)) == before


def test_cap_applies_to_the_remaining_rows(box: Any, network: Any, requests_frame: Requests) -> None:
    """A resumed run buys no more than the cap."""
    frame = requests_frame(20)
    first = _interrupted(frame, network, box, after=3)
    remaining = outcome_counts(first)["not_sent"]
    with pytest.raises(ConfirmationRequiredError, match="cap"):
        run_sheet(frame, network, max_new_numbers=remaining - 1)
    assert outcome_counts(run_sheet(frame, network, max_new_numbers=remaining)) == {"created": 20}


def test_run_of_another_network_is_not_resumed(box: Any, network: Any, requests_frame: Requests) -> None:
    """A run is resumed on its own network only."""
    first = _interrupted(requests_frame(20), network, box, after=3)
    other = Network(base_url=network.base_url, network_id="999", token=TOKEN)
    with pytest.raises(ConfigError, match=r"1234.*999"):
        resume_run(other, first.results.run.run)


# Rows done by earlier runs


def test_equal_rows_are_counted(box: Any, network: Any, requests_frame: Requests) -> None:
    """Of five equal rows, three of which were bought before, two are bought."""
    frame = requests_frame(5, description="The same")
    run_sheet(frame.iloc[:3], network)
    messages: list[str] = []
    finished = run_sheet(frame, network, say=messages.append)
    assert len(issued_numbers(box)) == 5
    assert outcome_counts(finished) == {"created": 5}
    assert promo_numbers(finished) == issued_numbers(box)
    assert len(set(finished.results.frame["result_run"])) == 2
    assert messages[0].startswith("Rows 2-4 were already sent by run ")


def test_quantities_are_counted(box: Any, network: Any, requests_frame: Requests) -> None:
    """A row with quantity 2 that is changed to 5 buys three more."""
    run_sheet(requests_frame(1, quantity="2"), network)
    finished = run_sheet(requests_frame(1, quantity="5"), network)
    assert (len(issued_numbers(box)), outcome_counts(finished)) == (5, {"created": 5})


def test_corrected_sheet_buys_the_corrected_rows_only(box: Any, network: Any, requests_frame: Requests) -> None:
    """Rows sent while invalid rows were skipped are recognized; with `again` they are bought once more."""
    frame = requests_frame(4)
    frame.loc[3, "media_type"] = "nonsense"
    assert outcome_counts(run_sheet(frame, network, skip_invalid=True)) == {"created": 3, "invalid": 1}
    frame.loc[3, "media_type"] = "Online: Display"
    assert outcome_counts(run_sheet(frame, network)) == {"created": 4}
    assert len(issued_numbers(box)) == 4
    run_sheet(frame, network, again=True)
    assert len(issued_numbers(box)) == 8


def test_columns_in_another_order_are_the_same_rows(box: Any, network: Any, requests_frame: Requests) -> None:
    """Neither column order nor an unknown column makes a row a different request."""
    frame = requests_frame(3)
    run_sheet(frame, network)
    other = frame[frame.columns[::-1]].assign(**{"my notes": "x"})
    with pytest.raises(ConfirmationRequiredError, match="already sent by"):
        run_sheet(other, network)
    assert len(issued_numbers(box)) == 3


def test_finished_sheet_is_refused_with_the_results_command(network: Any, requests_frame: Requests) -> None:
    """The error names the run and the command that writes its results."""
    first = run_sheet(requests_frame(2), network)
    with pytest.raises(
        ConfirmationRequiredError,
        match=rf"(?s)rows 2-3 were already sent.*2 created.*results {first.results.run.run} -o",
    ):
        run_sheet(requests_frame(2), network)


# Stopping


def test_failing_run_stops(odd: Any, reply: Any, requests_frame: Requests) -> None:
    """--max-failures: a count or a percentage; rows not sent are marked, and the run can be resumed."""
    odd.replies.extend([reply(403, {})] * 20)
    finished = run_sheet(requests_frame(20), odd.network(), max_failures="15%", concurrency=1)
    assert isinstance(finished.error, RunAborted)
    assert (finished.exit_code, outcome_counts(finished)) == (3, {"rejected": 3, "not_sent": 17})
    assert finished.is_resumable


@pytest.mark.parametrize("limit", ["0", "-1", "x", "5.5%", "%"])
def test_malformed_failure_limit_is_refused(limit: str) -> None:
    """The error shows both forms."""
    with pytest.raises(ConfigError, match="20 or 5%"):
        run_options(max_failures=limit)


def test_circuit_breaker_opens_after_repeated_failures(box: Any, network: Any, requests_frame: Requests) -> None:
    """After five consecutive failures nothing is created until a probe succeeds."""
    box.faults.change(script=["500_before"] * 5)
    finished = run_sheet(requests_frame(8), network, concurrency=1, resend_absent=True)
    assert outcome_counts(finished) == {"created": 8}
    assert len(issued_numbers(box)) == 8


def test_learned_rate_is_saved(box: Any, network: Any, requests_frame: Requests) -> None:
    """The next run starts with the learned rate."""
    box.faults.change(limit=20)
    finished = run_sheet(requests_frame(60), network, concurrency=8)
    assert outcome_counts(finished) == {"created": 60}
    with journal.open_for_writing(resolve_journal_location(None), network) as store:
        learned = store.saved_rate()
    assert learned is not None
    assert 5 < learned < 40


# Other processes


def _script(network: Network, sheet: Path) -> list[str]:
    arguments = f"base_url={network.base_url!r}, network_id='1234', token={TOKEN!r}"
    code = (
        f"import invoca_bulk as ib; ib.run({str(sheet)!r}, ib.Network({arguments}), yes=True, progress=False, "
        f"rate=3.0, settle={SETTLE}, output={str(sheet.with_suffix('.xlsx'))!r})"
    )
    return [sys.executable, "-c", code]


@posix_only
def test_killed_run_is_listed_and_resumes(
    box: Any, network: Any, requests_frame: Requests, tmp_path: Path, cli: Any
) -> None:
    """After SIGKILL `runs` lists the run, and the same sheet resumes it; before, other processes are locked out."""
    sheet = tmp_path / "sheet.csv"
    requests_frame(40).to_csv(sheet, index=False)
    process = subprocess.Popen(_script(network, sheet))
    wait_for(lambda: len(box.store.ledger) >= 2)
    with pytest.raises(JournalLockedError, match=f"process {process.pid}"):
        run_sheet(sheet, network)
    listed = cli("runs")
    assert "running" in listed.out
    process.kill()
    process.wait()
    listed = cli("runs")
    assert "interrupted" in listed.out
    assert "Next: invoca-bulk resume sandbox-" in listed.out
    folder = tmp_path / "journal"
    assert journal.find_run(folder, journal.list_runs(folder)[0].record.run).state == "interrupted"
    finished = run_sheet(sheet, network)
    assert outcome_counts(finished) == {"created": 40}
    assert promo_numbers(finished) == issued_numbers(box)


def test_resume_on_the_command_line(box: Any, network: Any, requests_frame: Requests, tmp_path: Path, cli: Any) -> None:
    """The output path and the network are those of the run."""
    sheet = tmp_path / "sheet.csv"
    requests_frame(30).to_csv(sheet, index=False)
    process = subprocess.Popen(_script(network, sheet))
    wait_for(lambda: len(box.store.ledger) >= 2)
    process.kill()
    process.wait()
    ran = cli("resume", "--json", INVOCA_API_TOKEN=TOKEN)
    assert ran.code == 0, ran.err
    written = pd.read_excel(tmp_path / "sheet.xlsx", dtype=str, engine="calamine")
    assert sorted(written["promo_number"]) == issued_numbers(box)
    assert len(issued_numbers(box)) == 30
    ran = cli("resume", INVOCA_API_TOKEN=TOKEN)
    assert (ran.code, "There is no run to resume" in ran.err) == (2, True)


def test_deleted_number_can_be_bought_again(box: Any, network: Any, requests_frame: Requests) -> None:
    """A number deleted since then does not count: the same row is bought once more without `again`."""
    first = run_sheet(requests_frame(2), network)
    gone = first.results.frame.iloc[[0]]
    run_sheet(gone[KEY_COLUMNS].assign(action="delete"), network)
    assert outcome_counts(run_sheet(requests_frame(2), network)) == {"created": 2}
    assert len(issued_numbers(box)) == 3


# Regressions: sequences of commands


def test_corrected_results_row_closes_the_old_one(box: Any, network: Any, requests_frame: Requests) -> None:
    """A `not_sent` row corrected and run from the results is not bought in its old form by `resume`."""
    first = _interrupted(requests_frame(20), network, box, after=3)
    results = first.results.frame.copy()
    row = results.index[results["result_status"] == "not_sent"][0]
    results.loc[row, "description"] = "Corrected"
    second = run_sheet(results, network)
    resume_run(network, first.results.run.run)
    assert len(issued_numbers(box)) == 20
    assert promo_numbers(second) == issued_numbers(box)


def test_resuming_an_old_run_does_not_revert_a_later_one(box: Any, network: Any, requests_frame: Requests) -> None:
    """Unsent updates that were done by running the results are not repeated over later updates."""
    numbers = run_sheet(requests_frame(12), network).results.frame[KEY_COLUMNS]
    box.faults.change(limit=20)
    first = _interrupted_updates(numbers.assign(description="A"), network, box)
    box.faults.change(limit=None)
    run_sheet(first.results.frame, network)
    assert outcome_counts(run_sheet(numbers.assign(description="C"), network)) == {"updated": 12}
    resume_run(network, first.results.run.run)
    assert _descriptions(box, network) == {"C"}


def _campaign_numbers(box: Sandbox) -> list[Any]:
    """The promo numbers of campaign C-1 on the sandbox."""
    campaigns = box.store.networks["1234"].campaigns
    return next(list(campaign.numbers.values()) for key, campaign in campaigns.items() if key.campaign_id == "C-1")


def _descriptions(box: Sandbox, network: Network) -> set[str]:
    return {number.to_json(network.api_version)["description"] for number in _campaign_numbers(box)}


def _interrupted_updates(frame: pd.DataFrame, network: Network, box: Sandbox) -> RunResult:
    finished = _interrupted_when(lambda: "A" in _descriptions(box, network), frame, network, rate=5.0, concurrency=1)
    assert outcome_counts(finished)["not_sent"] > 0
    return finished


def test_resumed_update_of_a_changed_number_is_rejected(box: Any, network: Any, requests_frame: Requests) -> None:
    """If someone changed the number since the plan, the row says so and nothing is sent."""
    numbers = run_sheet(requests_frame(12), network).results.frame[KEY_COLUMNS]
    first = _interrupted_updates(numbers.assign(description="A"), network, box)
    last = _campaign_numbers(box)[-1]
    last.values = {**last.values, "description": "By hand"}  # noqa: PD011  not a frame
    finished = resume_run(network, first.results.run.run)
    assert outcome_counts(finished) == {"updated": 11, "rejected": 1}
    assert "changed since the plan" in finished.results.frame["result_error"].iloc[-1]
    assert last.to_json(network.api_version)["description"] == "By hand"


def test_number_is_never_on_two_rows_of_a_sheet(box: Any, network: Any, requests_frame: Requests) -> None:
    """A row with a number that asks for an update keeps it; a new equal row buys another number."""
    first = run_sheet(requests_frame(1, description="a"), network).results.frame
    changed = first.assign(result_status="", description="b")
    new = requests_frame(1, description="a").reindex(columns=first.columns, fill_value="")
    finished = run_sheet(pd.concat([changed, new], ignore_index=True), network)
    assert outcome_counts(finished) == {"updated": 1, "created": 1}
    assert promo_numbers(finished) == issued_numbers(box)
    assert len(issued_numbers(box)) == 2


def test_running_some_results_rows_leaves_the_others(box: Any, network: Any, requests_frame: Requests) -> None:
    """After some of its results rows are run separately, the interrupted run still does the others."""
    first = _interrupted(requests_frame(20), network, box, after=3)
    rows = first.results.frame.query("result_status == 'not_sent'").iloc[:4]
    run_sheet(rows, network)
    resume_run(network, first.results.run.run)
    assert len(issued_numbers(box)) == 20


def test_resume_in_python(box: Any, network: Any, requests_frame: Requests) -> None:
    """`ib.resume` returns the complete frame, as `ib.run` does."""
    first = _interrupted(requests_frame(12), network, box, after=3)
    frame = ib.resume(network, progress=False, settle=SETTLE)
    assert frame.attrs["run"] == first.results.run.run
    assert sorted(frame["promo_number"]) == issued_numbers(box)


def test_warnings_about_the_sheet_stay_with_the_run(
    box: Any, network: Any, requests_frame: Requests, tmp_path: Path, cli: Any
) -> None:
    """What was warned of the file as a whole is in all later results, in the words of the door that shows them."""
    sheet = tmp_path / "sheet.csv"
    sheet.write_bytes(requests_frame(12, description="Caf\xe9", notes="x").to_csv(index=False).encode("cp1252"))
    first = _interrupted(sheet, network, box, after=3)
    encoding, column = first.results.warnings
    assert (encoding.count("Windows-1252"), column.count("'notes'")) == (1, 1)
    assert resume_run(network, first.results.run.run).results.warnings == [encoding, column]
    loaded = load_results(first.results.run.run, None)
    book = openpyxl.load_workbook(loaded.save(tmp_path / "results.xlsx"))
    assert [row[1] for row in book["summary"].iter_rows(values_only=True) if row[0] == "warning"] == [encoding, column]
    ran = cli("results", first.results.run.run, "-o", "again.csv", "--json")
    (from_command, _) = json.loads(ran.out)["warnings"]
    assert from_command == word(loaded.run.warnings[0], wording=command_words)
    assert "--encoding" in from_command
    assert f"Warnings:\n  {from_command}" in cli("results", first.results.run.run, "-o", "again.csv").err


def test_sandbox_run_is_resumed_and_undone(box: Any, requests_frame: Requests, tmp_path: Path) -> None:
    """Runs on an in-process sandbox are remembered until the program ends, not in the user's journal.

    The same sheet can be run on a sandbox any number of times.
    """
    frame = requests_frame(20)
    first = _interrupted(frame, resolve_network(box), box, after=3)
    with pytest.warns(UserWarning, match="interrupted") as warnings:
        present_result(first, run_options())
    expected = f'(while its sandbox is running): ib.resume(network, "{first.results.run.run}")'
    assert expected in str(warnings[0].message)
    finished = ib.resume(box, progress=False)
    assert isinstance(finished, pd.DataFrame)
    assert set(finished["result_status"]) == {"created"}
    assert sorted(finished["promo_number"]) == issued_numbers(box)
    undone = ib.run(ib.undo(first.results.run.run, box), box, progress=False)
    assert isinstance(undone, pd.DataFrame)
    assert set(undone["result_status"]) == {"deleted"}
    ib.run(frame, box, progress=False)
    ib.run(frame, box, progress=False)
    assert len(issued_numbers(box)) == 60
    assert not (tmp_path / "journal").exists()
