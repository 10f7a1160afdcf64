"""Runs that were interrupted go on; what earlier runs did is not done again; what is in doubt is settled."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

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
SETTLE = 0.2


def _options(**options: Any) -> Options:
    usual = {"yes": True, "progress": False, "concurrency": 4, "first_backoff": 0.01, "settle": SETTLE}
    return Options(**{**usual, "say": lambda _: None, **options})


def _run(source: Any, network: Any, **options: Any) -> RunResult:
    return pipeline.run_sheet(source, network, _options(**options))


def _resume(network: Any, run: str | None = None, **options: Any) -> RunResult:
    return pipeline.resume_run(run, network, _options(**options))


def _counts(finished: RunResult) -> dict[str, int]:
    return dict(Counter(finished.results.frame["result_status"]))


def _numbers(finished: RunResult) -> list[str]:
    return sorted(filter(None, finished.results.frame["promo_number"]))


def _issued(box: Sandbox) -> list[str]:
    return sorted(one.number for one in box.store.ledger)


def _interrupted(frame: pd.DataFrame, network: Network, box: Sandbox, after: int, **options: Any) -> RunResult:
    """A run that is stopped softly once so many numbers were issued; a limit gives the time for it."""
    box.faults.change(limit=50)
    with contextlib.ExitStack() as stack:
        original = run_sync.run

        def stopped(main: Any, *, interrupts: Any, soft_stop: Any, tick: Any) -> Any:
            def look() -> None:
                if len(box.store.ledger) >= after and not interrupts.count:
                    interrupts.handle()
                tick()

            return original(main, interrupts=interrupts, soft_stop=soft_stop, tick=look)

        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(
            run_sync, "run", lambda main, **told: stopped(main, **told) if "interrupts" in told else original(main)
        )
        finished = _run(frame, network, rate=20.0, **options)
    box.faults.change(limit=None)
    return finished


# Going on


def test_a_sheet_whose_run_was_interrupted_goes_on(box: Any, network: Any, requests_frame: Requests) -> None:
    """The same run does the rest, says so, and every number stands on one row."""
    frame = requests_frame(30)
    first = _interrupted(frame, network, box, after=5)
    assert first.exit_code == 4
    assert 0 < _counts(first)["created"] < 30
    told: list[str] = []
    second = _run(frame, network, say=told.append)
    assert (second.results.run.run, second.exit_code) == (first.results.run.run, 0)
    assert _counts(second) == {"created": 30}
    assert _numbers(second) == _issued(box)
    assert "goes on" in told[0]


def test_resume_takes_the_latest_run_that_is_open(box: Any, network: Any, requests_frame: Requests) -> None:
    """Without an id it is the latest one of which something is left; when nothing is left, one sentence says so."""
    first = _interrupted(requests_frame(20), network, box, after=3)
    finished = _resume(network)
    assert (finished.results.run.run, _counts(finished)) == (first.results.run.run, {"created": 20})
    with pytest.raises(ConfigError, match="Nothing is left to do"):
        _resume(network)
    assert len(_issued(box)) == 20


def test_again_starts_anew_and_closes_what_was_interrupted(
    box: Any, network: Any, requests_frame: Requests, tmp_path: Path
) -> None:
    """What the new run buys is no longer the old one's to do: to resume that buys nothing more."""
    frame = requests_frame(20)
    first = _interrupted(frame, network, box, after=3)
    before = len(_issued(box))
    second = _run(frame, network, again=True)
    assert _counts(second) == {"created": 20}
    assert len(_issued(box)) == before + 20
    assert [one.state for one in journal.list_runs(tmp_path / "journal")] == ["closed", "finished"]
    old = _resume(network, first.results.run.run)
    assert len(_issued(box)) == before + 20
    left = old.results.frame[old.results.frame["result_status"] == "not_sent"]
    assert left["result_error"].str.contains(second.results.run.run).all()


def test_the_results_of_an_interrupted_run_close_it(box: Any, network: Any, requests_frame: Requests) -> None:
    """Whoever runs the results file and then resumes the run has bought each number once."""
    first = _interrupted(requests_frame(20), network, box, after=3)
    second = _run(first.results.frame, network)
    assert _counts(second) == {"created": 20}
    _resume(network, first.results.run.run)
    assert _numbers(second) == _issued(box)
    assert len(_issued(box)) == 20


def test_other_choices_do_not_go_on(box: Any, network: Any, requests_frame: Requests) -> None:
    """A run goes on as it began, or not at all."""
    frame = requests_frame(20)
    first = _interrupted(frame, network, box, after=3)
    before = len(_issued(box))
    with pytest.raises(ConfirmationRequiredError, match=f"(?s){first.results.run.run}.*other choices.*--again"):
        _run(frame, network, nested="replace")
    assert len(_issued(box)) == before


def test_the_cap_holds_for_what_is_left(box: Any, network: Any, requests_frame: Requests) -> None:
    """A run that goes on buys no more than the cap."""
    frame = requests_frame(20)
    first = _interrupted(frame, network, box, after=3)
    left = _counts(first)["not_sent"]
    with pytest.raises(ConfirmationRequiredError, match="cap"):
        _run(frame, network, max_new_numbers=left - 1)
    assert _counts(_run(frame, network, max_new_numbers=left)) == {"created": 20}


def test_a_run_of_another_network_is_not_resumed(box: Any, network: Any, requests_frame: Requests) -> None:
    """A run goes on where it began."""
    first = _interrupted(requests_frame(20), network, box, after=3)
    other = Network(base_url=network.base_url, network_id="999", token=TOKEN)
    with pytest.raises(ConfigError, match=r"1234.*999"):
        _resume(other, first.results.run.run)


# What earlier runs did


def test_equal_rows_are_counted(box: Any, network: Any, requests_frame: Requests) -> None:
    """Of five equal rows, three of which were bought, two are left."""
    frame = requests_frame(5, description="The same")
    _run(frame.iloc[:3], network)
    told: list[str] = []
    finished = _run(frame, network, say=told.append)
    assert len(_issued(box)) == 5
    assert _counts(finished) == {"created": 5}
    assert _numbers(finished) == _issued(box)
    assert len(set(finished.results.frame["result_run"])) == 2
    assert told[0].startswith("Rows 2-4 were done already by run ")


def test_a_quantity_is_counted_too(box: Any, network: Any, requests_frame: Requests) -> None:
    """A row that asked for two and asks for five now buys three."""
    _run(requests_frame(1, quantity="2"), network)
    finished = _run(requests_frame(1, quantity="5"), network)
    assert (len(_issued(box)), _counts(finished)) == (5, {"created": 5})


def test_a_corrected_sheet_buys_the_corrected_rows_only(box: Any, network: Any, requests_frame: Requests) -> None:
    """Rows that were sent while others were skipped are known again; with `again` they are bought once more."""
    frame = requests_frame(4)
    frame.loc[1, "media_type"] = "nonsense"
    assert _counts(_run(frame, network, skip_invalid=True)) == {"created": 3, "invalid": 1}
    frame.loc[1, "media_type"] = "Online: Display"
    assert _counts(_run(frame, network)) == {"created": 4}
    assert len(_issued(box)) == 4
    _run(frame, network, again=True)
    assert len(_issued(box)) == 8


def test_columns_in_another_order_are_the_same_rows(box: Any, network: Any, requests_frame: Requests) -> None:
    """Neither the order of columns nor a column that nobody knows makes another request of a row."""
    frame = requests_frame(3)
    _run(frame, network)
    other = frame[frame.columns[::-1]].assign(**{"my notes": "x"})
    with pytest.raises(ConfirmationRequiredError, match="done already"):
        _run(other, network)
    assert len(_issued(box)) == 3


def test_a_finished_sheet_is_refused_with_its_results(network: Any, requests_frame: Requests) -> None:
    """Nothing is left: the run is named, and the command that writes its results."""
    first = _run(requests_frame(2), network)
    with pytest.raises(
        ConfirmationRequiredError, match=rf"(?s)rows 2-3 were done.*2 created.*results {first.results.run.run} -o"
    ):
        _run(requests_frame(2), network)


# Settling


@pytest.fixture(params=["2017-09-01", "2022-08-01"])
def versions(request: pytest.FixtureRequest, network: Any) -> Network:
    """By list and difference, and by own id."""
    return Network(base_url=network.base_url, network_id="1234", token=TOKEN, api_version=request.param)


@pytest.mark.parametrize("kind", ["drop_after", "500_after", "502_html_after", "503_after", "cut", "garbled"])
@pytest.mark.parametrize("same", [False, True], ids=["distinct", "identical"])
def test_what_was_created_is_found(box: Any, versions: Network, requests_frame: Requests, kind: str, same: Any) -> None:
    """A number whose answer was lost is found, and stands on its row."""
    box.faults.change(script=[None, kind, None, kind])
    ids = {} if versions.api_version < "2018" else {"id_from_network": [f"x{at}" for at in range(6)]}
    frame = requests_frame(6, **({"description": "The same"} if same else {}), **ids)
    finished = _run(frame, versions)
    assert _counts(finished) == {"created": 6}
    assert _numbers(finished) == _issued(box)
    by_description = {one.body["description"]: one.number for one in box.store.ledger}
    if not same:
        frame = finished.results.frame
        assert dict(zip(frame["description"], frame["promo_number"], strict=True)) == by_description


@pytest.mark.parametrize("kind", ["drop_before", "500_before", "503_before"])
def test_what_was_not_created_is_absent(box: Any, versions: Network, requests_frame: Requests, kind: str) -> None:
    """With an own id it is sent again by itself; without one it stays unknown until --resend-absent says so."""
    own = versions.api_version > "2018"
    box.faults.change(script=[None, kind])
    frame = requests_frame(3, **({"id_from_network": ["a", "b", "c"]} if own else {}))
    finished = _run(frame, versions)
    assert _counts(finished) == ({"created": 3} if own else {"created": 2, "unknown": 1})
    if not own:
        row = finished.results.frame.query("result_status == 'unknown'").iloc[0]
        assert "not found there" in row["result_error"]
        assert "--resend-absent" in row["result_fix"]
        assert _counts(_resume(versions, finished.results.run.run)) == {"created": 2, "unknown": 1}
        again = _resume(versions, finished.results.run.run, resend_absent=True)
        assert _counts(again) == {"created": 3}
    assert len(_issued(box)) == 3


def test_a_request_that_arrives_late_is_not_bought_twice(box: Any, network: Any, requests_frame: Requests) -> None:
    """What the platform does after the connection broke is seen, since nothing is judged before the settle time."""
    box.faults.change(script=["drop_after"], settle_delay=0.5)
    finished = _run(requests_frame(3), network, settle=1.0, resend_absent=True)
    assert _counts(finished) == {"created": 3}
    assert _numbers(finished) == _issued(box)


def test_ids_of_our_own_settle_a_sheet_without_any(box: Any, network: Any, requests_frame: Requests) -> None:
    """--assign-ids: equal rows, lost before and after, all end up bought once."""
    box.faults.change(script=["drop_before", "drop_after", "500_before", "cut"])
    finished = _run(requests_frame(6, description="The same"), network, assign_ids=True)
    assert _counts(finished) == {"created": 6}
    assert _numbers(finished) == _issued(box)
    assert all(one.own_id and one.own_id.startswith("ib-") for one in box.store.ledger)


def test_ids_of_our_own_need_a_version_that_knows_them(network: Any, requests_frame: Requests) -> None:
    """The version is named, and nothing is sent."""
    old = Network(base_url=network.base_url, network_id="1234", token=TOKEN, api_version="2017-09-01")
    with pytest.raises(ConfigError, match="2018-05-01"):
        _run(requests_frame(1), old, assign_ids=True)


def test_somebody_else_creates_there(box: Any, network: Any, requests_frame: Requests) -> None:
    """A number that nobody can account for leaves the row unknown, and says so."""
    box.faults.change(script=["drop_before"])
    frame = requests_frame(1)
    original = pipeline.fetch_and_build_plan

    def planned(*given: Any) -> Any:
        plan = original(*given)
        _post(network, frame.iloc[0]["description"] + " of somebody else")
        box.faults.change(script=["drop_before"])
        return plan

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "fetch_and_build_plan", planned)
        box.faults.change(script=[])
        finished = _run(frame, network)
    assert _counts(finished) == {"unknown": 1}
    assert box.store.ledger[0].number[-4:] in finished.results.frame["result_error"].iloc[0]


def _post(network: Network, description: str) -> None:
    import httpx  # noqa: PLC0415  here only

    url = f"{network.base_url}/api/2022-08-01/1234/advertisers/A-1/advertiser_campaigns/C-1/promo_numbers.json"
    body = {"description": description, "media_type": "Online: Display"}
    assert httpx.post(url, json=body, headers={"Authorization": TOKEN}).status_code == 201


def test_unknown_rows_of_a_results_file_are_settled(box: Any, network: Any, requests_frame: Requests) -> None:
    """A row that could not be told is settled through its `result_run`, and never simply created anew."""
    box.faults.change(script=["drop_after"], list_lag=1.0)
    first = _run(requests_frame(3), network, settle=0.05)
    assert _counts(first)["unknown"] == 1
    box.faults.change(list_lag=0.0)
    with journal.open_for_writing(
        settings.resolve_journal_location(None), network
    ) as book:  # as if it had been killed before it looked
        (absent,) = book.steps(first.results.run.run, journal.State.ABSENT)
        key = {"run": absent.run, "step": absent.step.number}
        book.apply_transitions(
            [journal.StepTransition(**key, from_state=journal.State.ABSENT, to_state=journal.State.SENT)]
        )
    second = _run(first.results.frame, network)
    assert _counts(second) == {"created": 3}
    assert _numbers(second) == _issued(box)


# Stopping


def test_a_run_that_only_fails_stops(odd: Any, reply: Any, requests_frame: Requests) -> None:
    """--max-failures: a number, or a share of the rows; what was not sent says so, and the run can go on."""
    odd.replies.extend([reply(403, {})] * 20)
    finished = _run(requests_frame(20), odd.network(), max_failures="15%", concurrency=1)
    assert isinstance(finished.error, RunAborted)
    assert (finished.exit_code, _counts(finished)) == (3, {"rejected": 3, "not_sent": 17})
    assert finished.is_resumable


@pytest.mark.parametrize("bad", ["0", "-1", "x", "5.5%", "%"])
def test_a_limit_of_failures_that_is_none(bad: str) -> None:
    """One sentence that shows both forms."""
    with pytest.raises(ConfigError, match="20 or 5%"):
        _options(max_failures=bad)


def test_a_platform_that_only_fails_is_left_alone(box: Any, network: Any, requests_frame: Requests) -> None:
    """After five failures in a row nothing is created until a probe finds it well again."""
    box.faults.change(script=["500_before"] * 5)
    finished = _run(requests_frame(8), network, concurrency=1, resend_absent=True)
    assert _counts(finished) == {"created": 8}
    assert len(_issued(box)) == 8


def test_the_rate_that_was_found_is_remembered(box: Any, network: Any, requests_frame: Requests) -> None:
    """The next run begins with it."""
    box.faults.change(limit=20)
    finished = _run(requests_frame(60), network, concurrency=8)
    assert _counts(finished) == {"created": 60}
    with journal.open_for_writing(settings.resolve_journal_location(None), network) as book:
        learned = book.saved_rate()
    assert learned is not None
    assert 5 < learned < 40


# Other processes


def _script(network: Network, sheet: Path) -> list[str]:
    where = f"base_url={network.base_url!r}, network_id='1234', token={TOKEN!r}"
    code = (
        f"import invoca_bulk as ib; ib.run({str(sheet)!r}, ib.Network({where}), yes=True, progress=False, rate=3.0, "
        f"settle={SETTLE}, output={str(sheet.with_suffix('.xlsx'))!r})"
    )
    return [sys.executable, "-c", code]


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_killed_run_goes_on_and_is_told_of(
    box: Any, network: Any, requests_frame: Requests, tmp_path: Path, cli: Any
) -> None:
    """SIGKILL in the middle: `runs` shows it, a second process is told who has it, and the same sheet goes on."""
    sheet = tmp_path / "sheet.csv"
    requests_frame(40).to_csv(sheet, index=False)
    process = subprocess.Popen(_script(network, sheet))
    _until(lambda: len(box.store.ledger) >= 2)
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


def test_resume_by_the_command_line(box: Any, network: Any, requests_frame: Requests, tmp_path: Path, cli: Any) -> None:
    """The results go where the run's were to go, and the network is the run's own."""
    sheet = tmp_path / "sheet.csv"
    requests_frame(30).to_csv(sheet, index=False)
    process = subprocess.Popen(_script(network, sheet))
    _until(lambda: len(box.store.ledger) >= 2)
    process.kill()
    process.wait()
    ran = cli("resume", "--json", INVOCA_API_TOKEN=TOKEN)
    assert ran.code == 0, ran.err
    written = pd.read_excel(tmp_path / "sheet.xlsx", dtype=str, engine="calamine")
    assert sorted(written["promo_number"]) == _issued(box)
    assert len(_issued(box)) == 30
    ran = cli("resume", INVOCA_API_TOKEN=TOKEN)
    assert (ran.code, "Nothing is left" in ran.err) == (2, True)


def test_what_was_undone_can_be_bought_again(box: Any, network: Any, requests_frame: Requests) -> None:
    """A number that was deleted since stands for nothing: the same row is bought once more, without `again`."""
    first = _run(requests_frame(2), network)
    gone = first.results.frame.iloc[[0]]
    places = ["advertiser_id_from_network", "advertiser_campaign_id_from_network", "promo_number"]
    _run(gone[places].assign(action="delete"), network)
    assert _counts(_run(requests_frame(2), network)) == {"created": 2}
    assert len(_issued(box)) == 3


# What a review found: sequences of commands


def test_what_comes_late_is_found_before_it_is_sent_again(box: Any, network: Any, requests_frame: Requests) -> None:
    """A number that appears after the settle time is found by a later `resume`, with or without --resend-absent."""
    box.faults.change(script=["drop_after"], list_lag=60.0)
    first = _run(requests_frame(3), network)
    assert _counts(first) == {"created": 2, "unknown": 1}
    box.faults.change(list_lag=0.0)
    assert _counts(_resume(network, first.results.run.run, resend_absent=True)) == {"created": 3}
    assert len(_issued(box)) == 3


def test_a_corrected_row_of_the_results_closes_the_old_one(box: Any, network: Any, requests_frame: Requests) -> None:
    """A `not_sent` row that was corrected in the results file and run is not bought in its old form by `resume`."""
    first = _interrupted(requests_frame(20), network, box, after=3)
    results = first.results.frame.copy()
    row = results.index[results["result_status"] == "not_sent"][0]
    results.loc[row, "description"] = "Corrected"
    second = _run(results, network)
    _resume(network, first.results.run.run)
    assert len(_issued(box)) == 20
    assert _numbers(second) == _issued(box)


def test_an_old_run_does_not_undo_a_later_one(box: Any, network: Any, requests_frame: Requests) -> None:
    """Updates that were not sent, and were done by the results file, are not done again over what came after."""
    places = ["advertiser_id_from_network", "advertiser_campaign_id_from_network", "promo_number"]
    numbers = _run(requests_frame(12), network).results.frame[places]
    box.faults.change(limit=20)
    first = _interrupted_updates(numbers.assign(description="A"), network)
    box.faults.change(limit=None)
    _run(first.results.frame, network)
    assert _counts(_run(numbers.assign(description="C"), network)) == {"updated": 12}
    _resume(network, first.results.run.run)
    campaign = next(one for key, one in box.store.networks["1234"].campaigns.items() if key.campaign_id == "C-1")
    assert {one.to_json(network.api_version)["description"] for one in campaign.numbers.values()} == {"C"}


def _interrupted_updates(frame: pd.DataFrame, network: Network) -> RunResult:
    original = run_sync.run

    def stopped(main: Any, **told: Any) -> Any:
        if "interrupts" not in told:
            return original(main, **told)
        end = time.monotonic() + 0.4

        def look() -> None:
            if time.monotonic() > end and not told["interrupts"].count:
                told["interrupts"].handle()

        return original(main, **{**told, "tick": look})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_sync, "run", stopped)
        finished = _run(frame, network, rate=5.0, concurrency=1)
    assert _counts(finished)["not_sent"] > 0
    return finished


def test_a_resumed_update_of_what_has_changed_is_refused(box: Any, network: Any, requests_frame: Requests) -> None:
    """Somebody has changed the number since the plan: it is told, and nothing is sent."""
    places = ["advertiser_id_from_network", "advertiser_campaign_id_from_network", "promo_number"]
    numbers = _run(requests_frame(12), network).results.frame[places]
    first = _interrupted_updates(numbers.assign(description="A"), network)
    campaign = next(one for key, one in box.store.networks["1234"].campaigns.items() if key.campaign_id == "C-1")
    last = list(campaign.numbers.values())[-1]
    last.values = {**last.values, "description": "By hand"}  # noqa: PD011  no frame's
    finished = _resume(network, first.results.run.run)
    assert _counts(finished) == {"updated": 11, "rejected": 1}
    assert "changed since the plan" in finished.results.frame["result_error"].iloc[-1]
    assert last.to_json(network.api_version)["description"] == "By hand"


@pytest.mark.parametrize("then", [["429", None], ["503_before", None], ["drop_before", None]], ids=str)
def test_a_delete_in_doubt_stays_so_until_it_is_told(
    box: Any, network: Any, requests_frame: Requests, then: Any
) -> None:
    """A delete that was done and not answered is `deleted` in the end, whatever the attempts after it came to."""
    places = ["advertiser_id_from_network", "advertiser_campaign_id_from_network", "promo_number"]
    numbers = _run(requests_frame(1), network).results.frame[places]
    box.faults.change(script=["drop_after", *["500_before"] * 5])
    first = _run(numbers.assign(action="delete"), network, concurrency=1)
    assert _counts(first) == {"unknown": 1}
    box.faults.change(script=then)
    assert _counts(_resume(network, first.results.run.run)) == {"deleted": 1}


def test_one_number_is_never_on_two_rows_of_a_sheet(box: Any, network: Any, requests_frame: Requests) -> None:
    """A row that shows a number and now asks for a change keeps it; a new equal row buys one of its own."""
    first = _run(requests_frame(1, description="a"), network).results.frame
    changed = first.assign(result_status="", description="b")
    new = requests_frame(1, description="a").reindex(columns=first.columns, fill_value="")
    finished = _run(pd.concat([changed, new], ignore_index=True), network)
    assert _counts(finished) == {"updated": 1, "created": 1}
    assert _numbers(finished) == _issued(box)
    assert len(_issued(box)) == 2


def test_an_unknown_row_by_itself_gets_no_other_rows_number(box: Any, network: Any, requests_frame: Requests) -> None:
    """Equal rows of which one is unknown, in a file of its own: it is not told the number of another."""
    box.faults.change(script=[None, "drop_before"])
    first = _run(requests_frame(3, description="The same"), network, concurrency=1)
    alone = first.results.frame.query("result_status == 'unknown'")
    assert _counts(_run(alone, network)) == {"unknown": 1}


def test_a_number_that_was_typed_in_settles_its_row(box: Any, network: Any, requests_frame: Requests) -> None:
    """The user has looked it up: the run that was in doubt is told, and nothing is left to send again."""
    box.faults.change(script=["drop_after"], list_lag=60.0)
    first = _run(requests_frame(1), network)
    box.faults.change(list_lag=0.0)
    typed = first.results.frame.assign(promo_number=_issued(box)[0])
    assert _counts(_run(typed, network)) == {"unchanged": 1}
    again = _resume(network, first.results.run.run, resend_absent=True, resend_unknown=True)
    assert _counts(again) == {"created": 1}
    assert len(_issued(box)) == 1


def test_what_cannot_be_told_can_be_sent_again_when_the_user_says_so(
    box: Any, network: Any, requests_frame: Requests
) -> None:
    """--resend-unknown: the way out when somebody else creates in the same campaign."""
    box.faults.change(script=["drop_before"])
    frame = requests_frame(2)
    original = pipeline.fetch_and_build_plan

    def planned(*given: Any) -> Any:
        plan = original(*given)
        _post(network, "Of somebody else")
        box.faults.change(script=["drop_before"])
        return plan

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "fetch_and_build_plan", planned)
        box.faults.change(script=[])
        first = _run(frame, network, concurrency=1)
    assert _counts(first) == {"created": 1, "unknown": 1}
    assert "--resend-unknown" in first.results.frame["result_fix"].iloc[0]
    finished = _resume(network, first.results.run.run, resend_unknown=True)
    assert _counts(finished) == {"created": 2}
    assert len(_issued(box)) == 3


def test_a_clock_that_was_set_back_gives_no_number_twice(
    box: Any, network: Any, requests_frame: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two equal rows, one of them lost, and a run that began by a clock ahead of time."""
    box.faults.change(script=[None, "drop_before"])
    real = time.time
    with monkeypatch.context() as patch:
        patch.setattr("invoca_bulk.journal.store.time.time", lambda: real() + 1000 if not box.store.ledger else real())
        finished = _run(requests_frame(2, description="The same"), network, concurrency=1)
    assert _counts(finished) == {"created": 1, "unknown": 1}


# What a second review found


def test_a_number_of_another_row_settles_nothing(box: Any, network: Any, requests_frame: Requests) -> None:
    """A number that the campaign had before the run is not taken for the one of a row in doubt, even if it is alike."""
    old = _run(requests_frame(1, description="The same"), network, again=True).results.frame
    box.faults.change(script=["drop_after"], settle_delay=2.0)
    places = ["advertiser_id_from_network", "advertiser_campaign_id_from_network", "description", "media_type"]
    sheet = pd.concat([old[[*places, "promo_number"]], requests_frame(1, description="The same")], ignore_index=True)
    first = _run(sheet.fillna(""), network, again=True, settle=0.1)
    assert _counts(first) == {"unchanged": 1, "unknown": 1}
    _until(lambda: len(box.store.ledger) == 2)
    _run(first.results.frame, network)
    finished = _resume(network, first.results.run.run)
    assert _numbers(finished) == _issued(box)


def test_one_consent_buys_one_number(box: Any, network: Any, requests_frame: Requests) -> None:
    """--resend-absent sends a row once more, and not again each time that its answer is lost."""
    box.faults.change(script=["drop_before", *["drop_after"] * 8], list_lag=60.0)
    finished = _run(requests_frame(1), network, resend_absent=True)
    assert _counts(finished) == {"unknown": 1}
    assert len(_issued(box)) == 1


@pytest.mark.parametrize("refused", ["429", "500_before"])
def test_doubt_outlives_a_refusal_for_now(box: Any, network: Any, requests_frame: Requests, refused: str) -> None:
    """A row that was not found, and whose second request was only put off, is still looked for before a third."""
    box.faults.change(script=["drop_after"], list_lag=60.0)
    first = _run(requests_frame(1), network)
    box.faults.change(script=[refused] * 30)
    again = _resume(network, first.results.run.run, resend_absent=True)
    assert _counts(again) == {"unknown": 1}
    box.faults.change(script=[], list_lag=0.0)
    assert _counts(_resume(network, first.results.run.run, resend_absent=True)) == {"created": 1}
    assert len(_issued(box)) == 1


def test_half_of_the_results_leaves_the_other_half(box: Any, network: Any, requests_frame: Requests) -> None:
    """Rows of an interrupted run's results in a file of their own: the run still has the others to do."""
    first = _interrupted(requests_frame(20), network, box, after=3)
    some = first.results.frame.query("result_status == 'not_sent'").iloc[:4]
    _run(some, network)
    _resume(network, first.results.run.run)
    assert len(_issued(box)) == 20


def test_resume_in_python(box: Any, network: Any, requests_frame: Requests) -> None:
    """`ib.resume` gives the whole frame, as `ib.run` does."""
    first = _interrupted(requests_frame(12), network, box, after=3)
    frame = ib.resume(None, network, progress=False, settle=SETTLE)
    assert frame.attrs["run"] == first.results.run.run
    assert sorted(frame["promo_number"]) == _issued(box)


def test_a_rehearsal_goes_on_and_is_taken_back(box: Any, requests_frame: Requests, tmp_path: Path) -> None:
    """On a sandbox of this program too: a run is remembered until the program ends, in no folder of the user's.

    The same sheet can be rehearsed again and again.
    """
    frame = requests_frame(20)
    first = _interrupted(frame, pipeline.resolve_network(box), box, after=3)
    with pytest.warns(UserWarning, match="interrupted") as told:
        api._present_result(first, _options())  # noqa: SLF001  what `ib.run` does with it
    assert f'(while its sandbox is there): ib.resume("{first.results.run.run}", network)' in str(told[0].message)
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
