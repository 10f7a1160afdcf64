"""Interrupted runs resume, finished work is not repeated, and requests in doubt are reconciled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx
import pandas as pd
import pytest

import invoca_bulk as ib
from invoca_bulk import api, journal
from invoca_bulk.config import settings
from invoca_bulk.config.options import Options
from invoca_bulk.config.settings import Network
from invoca_bulk.errors import ConfigError, ConfirmationRequiredError, JournalLockedError, RunAborted
from invoca_bulk.service import pipeline
from invoca_bulk.transport import run_sync

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from invoca_bulk.sandbox_server import Sandbox
    from invoca_bulk.service.pipeline import RunResult

    Requests = Callable[..., pd.DataFrame]

TOKEN = "the-secret-token"
SETTLE = 0.2  # seconds
KEY_COLUMNS = ["advertiser_id_from_network", "advertiser_campaign_id_from_network", "promo_number"]


def _options(**options: Any) -> Options:
    defaults = {"yes": True, "progress": False, "concurrency": 4, "first_backoff": 0.01, "settle": SETTLE}
    return Options(**{**defaults, "say": lambda _: None, **options})


def _run(source: Any, network: Any, **options: Any) -> RunResult:
    return pipeline.run_sheet(source, network, _options(**options))


def _resume(network: Any, run: str | None = None, **options: Any) -> RunResult:
    return pipeline.resume_run(run, network, _options(**options))


def _counts(finished: RunResult) -> dict[str, int]:
    return dict(Counter(finished.results.frame["result_status"]))


def _numbers(finished: RunResult) -> list[str]:
    return sorted(filter(None, finished.results.frame["promo_number"]))


def _issued(box: Sandbox) -> list[str]:
    return sorted(entry.number for entry in box.store.ledger)


def _interrupted_when(
    condition: Callable[[], bool], frame: pd.DataFrame, network: Network, **options: Any
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
        return _run(frame, network, **options)


def _interrupted(frame: pd.DataFrame, network: Network, box: Sandbox, after: int, **options: Any) -> RunResult:
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
    assert 0 < _counts(first)["created"] < 30
    messages: list[str] = []
    second = _run(frame, network, say=messages.append)
    assert (second.results.run.run, second.exit_code) == (first.results.run.run, 0)
    assert _counts(second) == {"created": 30}
    assert _numbers(second) == _issued(box)
    assert "goes on" in messages[0]


def test_resume_takes_the_latest_unfinished_run(box: Any, network: Any, requests_frame: Requests) -> None:
    """Without an id, `resume` takes the latest unfinished run; without any, the error says so."""
    first = _interrupted(requests_frame(20), network, box, after=3)
    finished = _resume(network)
    assert (finished.results.run.run, _counts(finished)) == (first.results.run.run, {"created": 20})
    with pytest.raises(ConfigError, match="Nothing is left to do"):
        _resume(network)
    assert len(_issued(box)) == 20


def test_again_starts_a_new_run_and_closes_the_interrupted_one(
    box: Any, network: Any, requests_frame: Requests, tmp_path: Path
) -> None:
    """Rows bought by the new run are closed in the old one: resuming it buys nothing more."""
    frame = requests_frame(20)
    first = _interrupted(frame, network, box, after=3)
    before = len(_issued(box))
    second = _run(frame, network, again=True)
    assert _counts(second) == {"created": 20}
    assert len(_issued(box)) == before + 20
    assert [run.state for run in journal.list_runs(tmp_path / "journal")] == ["closed", "finished"]
    old = _resume(network, first.results.run.run)
    assert len(_issued(box)) == before + 20
    remaining = old.results.frame[old.results.frame["result_status"] == "not_sent"]
    assert remaining["result_error"].str.contains(second.results.run.run).all()


def test_the_results_of_an_interrupted_run_close_it(box: Any, network: Any, requests_frame: Requests) -> None:
    """Running the results and then resuming the run buys each number once."""
    first = _interrupted(requests_frame(20), network, box, after=3)
    second = _run(first.results.frame, network)
    assert _counts(second) == {"created": 20}
    _resume(network, first.results.run.run)
    assert _numbers(second) == _issued(box)
    assert len(_issued(box)) == 20


def test_different_options_do_not_resume(box: Any, network: Any, requests_frame: Requests) -> None:
    """A run is resumed only with the options it was started with."""
    frame = requests_frame(20)
    first = _interrupted(frame, network, box, after=3)
    before = len(_issued(box))
    with pytest.raises(ConfirmationRequiredError, match=f"(?s){first.results.run.run}.*other choices.*--again"):
        _run(frame, network, nested="replace")
    assert len(_issued(box)) == before


def test_cap_applies_to_the_remaining_rows(box: Any, network: Any, requests_frame: Requests) -> None:
    """A resumed run buys no more than the cap."""
    frame = requests_frame(20)
    first = _interrupted(frame, network, box, after=3)
    remaining = _counts(first)["not_sent"]
    with pytest.raises(ConfirmationRequiredError, match="cap"):
        _run(frame, network, max_new_numbers=remaining - 1)
    assert _counts(_run(frame, network, max_new_numbers=remaining)) == {"created": 20}


def test_run_of_another_network_is_not_resumed(box: Any, network: Any, requests_frame: Requests) -> None:
    """A run is resumed on its own network only."""
    first = _interrupted(requests_frame(20), network, box, after=3)
    other = Network(base_url=network.base_url, network_id="999", token=TOKEN)
    with pytest.raises(ConfigError, match=r"1234.*999"):
        _resume(other, first.results.run.run)


# Rows done by earlier runs


def test_equal_rows_are_counted(box: Any, network: Any, requests_frame: Requests) -> None:
    """Of five equal rows, three of which were bought before, two are bought."""
    frame = requests_frame(5, description="The same")
    _run(frame.iloc[:3], network)
    messages: list[str] = []
    finished = _run(frame, network, say=messages.append)
    assert len(_issued(box)) == 5
    assert _counts(finished) == {"created": 5}
    assert _numbers(finished) == _issued(box)
    assert len(set(finished.results.frame["result_run"])) == 2
    assert messages[0].startswith("Rows 2-4 were done already by run ")


def test_quantities_are_counted(box: Any, network: Any, requests_frame: Requests) -> None:
    """A row with quantity 2 that is changed to 5 buys three more."""
    _run(requests_frame(1, quantity="2"), network)
    finished = _run(requests_frame(1, quantity="5"), network)
    assert (len(_issued(box)), _counts(finished)) == (5, {"created": 5})


def test_corrected_sheet_buys_the_corrected_rows_only(box: Any, network: Any, requests_frame: Requests) -> None:
    """Rows sent while invalid rows were skipped are recognized; with `again` they are bought once more."""
    frame = requests_frame(4)
    frame.loc[1, "media_type"] = "nonsense"
    assert _counts(_run(frame, network, skip_invalid=True)) == {"created": 3, "invalid": 1}
    frame.loc[1, "media_type"] = "Online: Display"
    assert _counts(_run(frame, network)) == {"created": 4}
    assert len(_issued(box)) == 4
    _run(frame, network, again=True)
    assert len(_issued(box)) == 8


def test_columns_in_another_order_are_the_same_rows(box: Any, network: Any, requests_frame: Requests) -> None:
    """Neither column order nor an unknown column makes a row a different request."""
    frame = requests_frame(3)
    _run(frame, network)
    other = frame[frame.columns[::-1]].assign(**{"my notes": "x"})
    with pytest.raises(ConfirmationRequiredError, match="done already"):
        _run(other, network)
    assert len(_issued(box)) == 3


def test_finished_sheet_is_refused_with_the_results_command(network: Any, requests_frame: Requests) -> None:
    """The error names the run and the command that writes its results."""
    first = _run(requests_frame(2), network)
    with pytest.raises(
        ConfirmationRequiredError, match=rf"(?s)rows 2-3 were done.*2 created.*results {first.results.run.run} -o"
    ):
        _run(requests_frame(2), network)


# Reconciling


@pytest.fixture(params=["2017-09-01", "2022-08-01"])
def versions(request: pytest.FixtureRequest, network: Any) -> Network:
    """Two API versions: one reconciles by comparing lists, the other by own id."""
    return Network(base_url=network.base_url, network_id="1234", token=TOKEN, api_version=request.param)


@pytest.mark.parametrize("fault", ["drop_after", "500_after", "502_html_after", "503_after", "cut", "garbled"])
@pytest.mark.parametrize("identical", [False, True], ids=["distinct", "identical"])
def test_created_number_is_found(
    box: Any, versions: Network, requests_frame: Requests, fault: str, identical: Any
) -> None:
    """A number whose response was lost is found and is on its row."""
    box.faults.change(script=[None, fault, None, fault])
    ids = {} if versions.api_version < "2018" else {"id_from_network": [f"x{number}" for number in range(6)]}
    frame = requests_frame(6, **({"description": "The same"} if identical else {}), **ids)
    finished = _run(frame, versions)
    assert _counts(finished) == {"created": 6}
    assert _numbers(finished) == _issued(box)
    by_description = {entry.body["description"]: entry.number for entry in box.store.ledger}
    if not identical:
        frame = finished.results.frame
        assert dict(zip(frame["description"], frame["promo_number"], strict=True)) == by_description


@pytest.mark.parametrize("fault", ["drop_before", "500_before", "503_before"])
def test_uncreated_number_is_not_found(box: Any, versions: Network, requests_frame: Requests, fault: str) -> None:
    """With an own id it is resent automatically; without one it stays unknown until --resend-absent is passed."""
    has_ids = versions.api_version > "2018"
    box.faults.change(script=[None, fault])
    frame = requests_frame(3, **({"id_from_network": ["a", "b", "c"]} if has_ids else {}))
    finished = _run(frame, versions)
    assert _counts(finished) == ({"created": 3} if has_ids else {"created": 2, "unknown": 1})
    if not has_ids:
        row = finished.results.frame.query("result_status == 'unknown'").iloc[0]
        assert "not found there" in row["result_error"]
        assert "--resend-absent" in row["result_fix"]
        assert _counts(_resume(versions, finished.results.run.run)) == {"created": 2, "unknown": 1}
        again = _resume(versions, finished.results.run.run, resend_absent=True)
        assert _counts(again) == {"created": 3}
    assert len(_issued(box)) == 3


def test_late_request_is_not_bought_twice(box: Any, network: Any, requests_frame: Requests) -> None:
    """A request applied after the connection broke is found: lookups wait for the settle time."""
    box.faults.change(script=["drop_after"], settle_delay=0.5)
    finished = _run(requests_frame(3), network, settle=1.0, resend_absent=True)
    assert _counts(finished) == {"created": 3}
    assert _numbers(finished) == _issued(box)


def test_assigned_ids_reconcile_a_sheet_without_ids(box: Any, network: Any, requests_frame: Requests) -> None:
    """--assign-ids: equal rows whose requests or responses were lost are all bought once."""
    box.faults.change(script=["drop_before", "drop_after", "500_before", "cut"])
    finished = _run(requests_frame(6, description="The same"), network, assign_ids=True)
    assert _counts(finished) == {"created": 6}
    assert _numbers(finished) == _issued(box)
    assert all(entry.own_id and entry.own_id.startswith("ib-") for entry in box.store.ledger)


def test_assigned_ids_need_a_version_that_supports_them(network: Any, requests_frame: Requests) -> None:
    """The error names the version, and nothing is sent."""
    old = Network(base_url=network.base_url, network_id="1234", token=TOKEN, api_version="2017-09-01")
    with pytest.raises(ConfigError, match="2018-05-01"):
        _run(requests_frame(1), old, assign_ids=True)


def test_number_created_by_someone_else(box: Any, network: Any, requests_frame: Requests) -> None:
    """An unattributed number leaves the row unknown, and the error names the number."""
    finished = _run_while_someone_else_creates(requests_frame(1), network, box)
    assert _counts(finished) == {"unknown": 1}
    assert box.store.ledger[0].number[-4:] in finished.results.frame["result_error"].iloc[0]


def _run_while_someone_else_creates(frame: pd.DataFrame, network: Network, box: Sandbox) -> RunResult:
    """Run a sheet; after planning, a foreign number is created, and the first request is lost."""
    original = pipeline.fetch_and_build_plan

    def plan_and_interfere(*arguments: Any) -> Any:
        plan = original(*arguments)
        _post(network, "From someone else")
        box.faults.change(script=["drop_before"])
        return plan

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "fetch_and_build_plan", plan_and_interfere)
        return _run(frame, network, concurrency=1)


def _post(network: Network, description: str) -> None:
    url = f"{network.base_url}/api/2022-08-01/1234/advertisers/A-1/advertiser_campaigns/C-1/promo_numbers.json"
    body = {"description": description, "media_type": "Online: Display"}
    assert httpx.post(url, json=body, headers={"Authorization": TOKEN}).status_code == HTTPStatus.CREATED


def test_unknown_rows_of_results_are_reconciled(box: Any, network: Any, requests_frame: Requests) -> None:
    """An unknown row is reconciled through its `result_run`, and not simply created again."""
    box.faults.change(script=["drop_after"], list_lag=1.0)
    first = _run(requests_frame(3), network, settle=0.05)
    assert _counts(first)["unknown"] == 1
    box.faults.change(list_lag=0.0)
    with journal.open_for_writing(
        settings.resolve_journal_location(None), network
    ) as store:  # as if killed before lookup
        (absent,) = store.steps(first.results.run.run, journal.State.ABSENT)
        key = {"run": absent.run, "step": absent.step.number}
        store.apply_transitions(
            [journal.StepTransition(**key, from_state=journal.State.ABSENT, to_state=journal.State.SENT)]
        )
    second = _run(first.results.frame, network)
    assert _counts(second) == {"created": 3}
    assert _numbers(second) == _issued(box)


# Stopping


def test_failing_run_stops(odd: Any, reply: Any, requests_frame: Requests) -> None:
    """--max-failures: a count or a percentage; rows not sent are marked, and the run can be resumed."""
    odd.replies.extend([reply(403, {})] * 20)
    finished = _run(requests_frame(20), odd.network(), max_failures="15%", concurrency=1)
    assert isinstance(finished.error, RunAborted)
    assert (finished.exit_code, _counts(finished)) == (3, {"rejected": 3, "not_sent": 17})
    assert finished.is_resumable


@pytest.mark.parametrize("limit", ["0", "-1", "x", "5.5%", "%"])
def test_malformed_failure_limit_is_refused(limit: str) -> None:
    """The error shows both forms."""
    with pytest.raises(ConfigError, match="20 or 5%"):
        _options(max_failures=limit)


def test_circuit_breaker_opens_after_repeated_failures(box: Any, network: Any, requests_frame: Requests) -> None:
    """After five consecutive failures nothing is created until a probe succeeds."""
    box.faults.change(script=["500_before"] * 5)
    finished = _run(requests_frame(8), network, concurrency=1, resend_absent=True)
    assert _counts(finished) == {"created": 8}
    assert len(_issued(box)) == 8


def test_learned_rate_is_saved(box: Any, network: Any, requests_frame: Requests) -> None:
    """The next run starts with the learned rate."""
    box.faults.change(limit=20)
    finished = _run(requests_frame(60), network, concurrency=8)
    assert _counts(finished) == {"created": 60}
    with journal.open_for_writing(settings.resolve_journal_location(None), network) as store:
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


def _wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_killed_run_is_listed_and_resumes(
    box: Any, network: Any, requests_frame: Requests, tmp_path: Path, cli: Any
) -> None:
    """After SIGKILL `runs` lists the run, and the same sheet resumes it; before, other processes are locked out."""
    sheet = tmp_path / "sheet.csv"
    requests_frame(40).to_csv(sheet, index=False)
    process = subprocess.Popen(_script(network, sheet))
    _wait_for(lambda: len(box.store.ledger) >= 2)
    with pytest.raises(JournalLockedError, match=f"process {process.pid}"):
        _run(sheet, network)
    listed = cli("runs")
    assert "running" in listed.out
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    listed = cli("runs")
    assert "interrupted" in listed.out
    assert "Next: invoca-bulk resume sandbox-" in listed.out
    folder = tmp_path / "journal"
    assert journal.find_run(folder, journal.list_runs(folder)[0].record.run).state == "interrupted"
    finished = _run(sheet, network)
    assert _counts(finished) == {"created": 40}
    assert _numbers(finished) == _issued(box)


def test_resume_on_the_command_line(box: Any, network: Any, requests_frame: Requests, tmp_path: Path, cli: Any) -> None:
    """The output path and the network are those of the run."""
    sheet = tmp_path / "sheet.csv"
    requests_frame(30).to_csv(sheet, index=False)
    process = subprocess.Popen(_script(network, sheet))
    _wait_for(lambda: len(box.store.ledger) >= 2)
    process.kill()
    process.wait()
    ran = cli("resume", "--json", INVOCA_API_TOKEN=TOKEN)
    assert ran.code == 0, ran.err
    written = pd.read_excel(tmp_path / "sheet.xlsx", dtype=str, engine="calamine")
    assert sorted(written["promo_number"]) == _issued(box)
    assert len(_issued(box)) == 30
    ran = cli("resume", INVOCA_API_TOKEN=TOKEN)
    assert (ran.code, "Nothing is left" in ran.err) == (2, True)


def test_deleted_number_can_be_bought_again(box: Any, network: Any, requests_frame: Requests) -> None:
    """A number deleted since then does not count: the same row is bought once more without `again`."""
    first = _run(requests_frame(2), network)
    gone = first.results.frame.iloc[[0]]
    _run(gone[KEY_COLUMNS].assign(action="delete"), network)
    assert _counts(_run(requests_frame(2), network)) == {"created": 2}
    assert len(_issued(box)) == 3


# Regressions: sequences of commands


def test_late_number_is_found_before_resending(box: Any, network: Any, requests_frame: Requests) -> None:
    """A number listed only after the settle time is found by a later `resume`, even with --resend-absent."""
    box.faults.change(script=["drop_after"], list_lag=60.0)
    first = _run(requests_frame(3), network)
    assert _counts(first) == {"created": 2, "unknown": 1}
    box.faults.change(list_lag=0.0)
    assert _counts(_resume(network, first.results.run.run, resend_absent=True)) == {"created": 3}
    assert len(_issued(box)) == 3


def test_corrected_results_row_closes_the_old_one(box: Any, network: Any, requests_frame: Requests) -> None:
    """A `not_sent` row corrected and run from the results is not bought in its old form by `resume`."""
    first = _interrupted(requests_frame(20), network, box, after=3)
    results = first.results.frame.copy()
    row = results.index[results["result_status"] == "not_sent"][0]
    results.loc[row, "description"] = "Corrected"
    second = _run(results, network)
    _resume(network, first.results.run.run)
    assert len(_issued(box)) == 20
    assert _numbers(second) == _issued(box)


def test_resuming_an_old_run_does_not_revert_a_later_one(box: Any, network: Any, requests_frame: Requests) -> None:
    """Unsent updates that were done by running the results are not repeated over later updates."""
    numbers = _run(requests_frame(12), network).results.frame[KEY_COLUMNS]
    box.faults.change(limit=20)
    first = _interrupted_updates(numbers.assign(description="A"), network, box)
    box.faults.change(limit=None)
    _run(first.results.frame, network)
    assert _counts(_run(numbers.assign(description="C"), network)) == {"updated": 12}
    _resume(network, first.results.run.run)
    assert _descriptions(box, network) == {"C"}


def _campaign_numbers(box: Sandbox) -> list[Any]:
    """The promo numbers of campaign C-1 on the sandbox."""
    campaigns = box.store.networks["1234"].campaigns
    return next(list(campaign.numbers.values()) for key, campaign in campaigns.items() if key.campaign_id == "C-1")


def _descriptions(box: Sandbox, network: Network) -> set[str]:
    return {number.to_json(network.api_version)["description"] for number in _campaign_numbers(box)}


def _interrupted_updates(frame: pd.DataFrame, network: Network, box: Sandbox) -> RunResult:
    finished = _interrupted_when(lambda: "A" in _descriptions(box, network), frame, network, rate=5.0, concurrency=1)
    assert _counts(finished)["not_sent"] > 0
    return finished


def test_resumed_update_of_a_changed_number_is_rejected(box: Any, network: Any, requests_frame: Requests) -> None:
    """If someone changed the number since the plan, the row says so and nothing is sent."""
    numbers = _run(requests_frame(12), network).results.frame[KEY_COLUMNS]
    first = _interrupted_updates(numbers.assign(description="A"), network, box)
    last = _campaign_numbers(box)[-1]
    last.values = {**last.values, "description": "By hand"}  # noqa: PD011  not a frame
    finished = _resume(network, first.results.run.run)
    assert _counts(finished) == {"updated": 11, "rejected": 1}
    assert "changed since the plan" in finished.results.frame["result_error"].iloc[-1]
    assert last.to_json(network.api_version)["description"] == "By hand"


@pytest.mark.parametrize("script", [["429", None], ["503_before", None], ["drop_before", None]], ids=str)
def test_delete_in_doubt_is_confirmed_later(box: Any, network: Any, requests_frame: Requests, script: Any) -> None:
    """A delete whose response was lost ends as `deleted`, whatever later attempts return."""
    numbers = _run(requests_frame(1), network).results.frame[KEY_COLUMNS]
    box.faults.change(script=["drop_after", *["500_before"] * 5])
    first = _run(numbers.assign(action="delete"), network, concurrency=1)
    assert _counts(first) == {"unknown": 1}
    box.faults.change(script=script)
    assert _counts(_resume(network, first.results.run.run)) == {"deleted": 1}


def test_number_is_never_on_two_rows_of_a_sheet(box: Any, network: Any, requests_frame: Requests) -> None:
    """A row with a number that asks for an update keeps it; a new equal row buys another number."""
    first = _run(requests_frame(1, description="a"), network).results.frame
    changed = first.assign(result_status="", description="b")
    new = requests_frame(1, description="a").reindex(columns=first.columns, fill_value="")
    finished = _run(pd.concat([changed, new], ignore_index=True), network)
    assert _counts(finished) == {"updated": 1, "created": 1}
    assert _numbers(finished) == _issued(box)
    assert len(_issued(box)) == 2


def test_unknown_row_alone_gets_no_number_of_other_rows(box: Any, network: Any, requests_frame: Requests) -> None:
    """The unknown one of several equal rows, run separately, does not get another row's number."""
    box.faults.change(script=[None, "drop_before"])
    first = _run(requests_frame(3, description="The same"), network, concurrency=1)
    alone = first.results.frame.query("result_status == 'unknown'")
    assert _counts(_run(alone, network)) == {"unknown": 1}


def test_number_entered_by_the_user_resolves_the_row(box: Any, network: Any, requests_frame: Requests) -> None:
    """A number that the user looked up resolves the request in doubt, and nothing is resent."""
    box.faults.change(script=["drop_after"], list_lag=60.0)
    first = _run(requests_frame(1), network)
    box.faults.change(list_lag=0.0)
    typed = first.results.frame.assign(promo_number=_issued(box)[0])
    assert _counts(_run(typed, network)) == {"unchanged": 1}
    again = _resume(network, first.results.run.run, resend_absent=True, resend_unknown=True)
    assert _counts(again) == {"created": 1}
    assert len(_issued(box)) == 1


def test_unresolved_row_can_be_resent_on_request(box: Any, network: Any, requests_frame: Requests) -> None:
    """--resend-unknown resends even if someone else creates numbers in the same campaign."""
    first = _run_while_someone_else_creates(requests_frame(2), network, box)
    assert _counts(first) == {"created": 1, "unknown": 1}
    assert "--resend-unknown" in first.results.frame["result_fix"].iloc[0]
    finished = _resume(network, first.results.run.run, resend_unknown=True)
    assert _counts(finished) == {"created": 2}
    assert len(_issued(box)) == 3


def test_clock_set_back_assigns_no_number_twice(
    box: Any, network: Any, requests_frame: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two equal rows, one of them lost, in a run that started with the clock ahead."""
    box.faults.change(script=[None, "drop_before"])
    real = time.time
    with monkeypatch.context() as patch:
        patch.setattr("invoca_bulk.journal.store.time.time", lambda: real() + 1000 if not box.store.ledger else real())
        finished = _run(requests_frame(2, description="The same"), network, concurrency=1)
    assert _counts(finished) == {"created": 1, "unknown": 1}


# More regressions


def test_number_of_another_row_resolves_nothing(box: Any, network: Any, requests_frame: Requests) -> None:
    """A number that existed before the run is not matched to a row in doubt, even if it is identical."""
    old = _run(requests_frame(1, description="The same"), network, again=True).results.frame
    box.faults.change(script=["drop_after"], settle_delay=2.0)
    key_columns = ["advertiser_id_from_network", "advertiser_campaign_id_from_network", "description", "media_type"]
    sheet = pd.concat(
        [old[[*key_columns, "promo_number"]], requests_frame(1, description="The same")], ignore_index=True
    )
    first = _run(sheet.fillna(""), network, again=True, settle=0.1)
    assert _counts(first) == {"unchanged": 1, "unknown": 1}
    _wait_for(lambda: len(box.store.ledger) == 2)
    _run(first.results.frame, network)
    finished = _resume(network, first.results.run.run)
    assert _numbers(finished) == _issued(box)


def test_resend_absent_resends_once(box: Any, network: Any, requests_frame: Requests) -> None:
    """--resend-absent resends a row once, not again each time its response is lost."""
    box.faults.change(script=["drop_before", *["drop_after"] * 8], list_lag=60.0)
    finished = _run(requests_frame(1), network, resend_absent=True)
    assert _counts(finished) == {"unknown": 1}
    assert len(_issued(box)) == 1


@pytest.mark.parametrize("refused", ["429", "500_before"])
def test_row_stays_in_doubt_after_a_retryable_rejection(
    box: Any, network: Any, requests_frame: Requests, refused: str
) -> None:
    """A row not found, whose second request got a retryable rejection, is looked up before a third request."""
    box.faults.change(script=["drop_after"], list_lag=60.0)
    first = _run(requests_frame(1), network)
    box.faults.change(script=[refused] * 30)
    again = _resume(network, first.results.run.run, resend_absent=True)
    assert _counts(again) == {"unknown": 1}
    box.faults.change(script=[], list_lag=0.0)
    assert _counts(_resume(network, first.results.run.run, resend_absent=True)) == {"created": 1}
    assert len(_issued(box)) == 1


def test_running_some_results_rows_leaves_the_others(box: Any, network: Any, requests_frame: Requests) -> None:
    """After some of its results rows are run separately, the interrupted run still does the others."""
    first = _interrupted(requests_frame(20), network, box, after=3)
    rows = first.results.frame.query("result_status == 'not_sent'").iloc[:4]
    _run(rows, network)
    _resume(network, first.results.run.run)
    assert len(_issued(box)) == 20


def test_resume_in_python(box: Any, network: Any, requests_frame: Requests) -> None:
    """`ib.resume` returns the complete frame, as `ib.run` does."""
    first = _interrupted(requests_frame(12), network, box, after=3)
    frame = ib.resume(None, network, progress=False, settle=SETTLE)
    assert frame.attrs["run"] == first.results.run.run
    assert sorted(frame["promo_number"]) == _issued(box)


def test_sandbox_run_is_resumed_and_undone(box: Any, requests_frame: Requests, tmp_path: Path) -> None:
    """Runs on an in-process sandbox are remembered until the program ends, not in the user's journal.

    The same sheet can be run on a sandbox any number of times.
    """
    frame = requests_frame(20)
    first = _interrupted(frame, pipeline.resolve_network(box), box, after=3)
    with pytest.warns(UserWarning, match="interrupted") as warnings:
        api._present_result(first, _options())  # noqa: SLF001  as `ib.run` does
    assert f'(while its sandbox is there): ib.resume("{first.results.run.run}", network)' in str(warnings[0].message)
    finished = ib.resume(None, box, progress=False)
    assert isinstance(finished, pd.DataFrame)
    assert set(finished["result_status"]) == {"created"}
    assert sorted(finished["promo_number"]) == _issued(box)
    undone = ib.run(ib.undo(first.results.run.run, box), box, progress=False)
    assert isinstance(undone, pd.DataFrame)
    assert set(undone["result_status"]) == {"deleted"}
    ib.run(frame, box, progress=False)
    ib.run(frame, box, progress=False)
    assert len(_issued(box)) == 60
    assert not (tmp_path / "journal").exists()
