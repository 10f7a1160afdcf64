"""Requests in doubt are reconciled with the platform: found, resent, or left unknown."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx
import pandas as pd
import pytest

from invoca_bulk import journal
from invoca_bulk.config.journal_location import resolve_journal_location
from invoca_bulk.config.network import Network
from invoca_bulk.errors import ConfigError
from invoca_bulk.service.plan import fetch_and_build_plan
from tests.runs import KEY_COLUMNS, issued_numbers, outcome_counts, promo_numbers, resume_run, run_sheet, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from invoca_bulk.sandbox_server import Sandbox
    from invoca_bulk.service.run_result import RunResult

    Requests = Callable[..., pd.DataFrame]

TOKEN = "the-secret-token"


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
    finished = run_sheet(frame, versions)
    assert outcome_counts(finished) == {"created": 6}
    assert promo_numbers(finished) == issued_numbers(box)
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
    finished = run_sheet(frame, versions)
    assert outcome_counts(finished) == ({"created": 3} if has_ids else {"created": 2, "unknown": 1})
    if not has_ids:
        row = finished.results.frame.query("result_status == 'unknown'").iloc[0]
        assert "not found on the platform" in row["result_error"]
        assert "--resend-absent" in row["result_fix"]
        assert outcome_counts(resume_run(versions, finished.results.run.run)) == {"created": 2, "unknown": 1}
        again = resume_run(versions, finished.results.run.run, resend_absent=True)
        assert outcome_counts(again) == {"created": 3}
    assert len(issued_numbers(box)) == 3


def test_late_request_is_not_bought_twice(box: Any, network: Any, requests_frame: Requests) -> None:
    """A request applied after the connection broke is found: lookups wait for the settle time."""
    box.faults.change(script=["drop_after"], settle_delay=0.5)
    finished = run_sheet(requests_frame(3), network, settle=1.0, resend_absent=True)
    assert outcome_counts(finished) == {"created": 3}
    assert promo_numbers(finished) == issued_numbers(box)


def test_assigned_ids_reconcile_a_sheet_without_ids(box: Any, network: Any, requests_frame: Requests) -> None:
    """--assign-ids: equal rows whose requests or responses were lost are all bought once."""
    box.faults.change(script=["drop_before", "drop_after", "500_before", "cut"])
    finished = run_sheet(requests_frame(6, description="The same"), network, assign_ids=True)
    assert outcome_counts(finished) == {"created": 6}
    assert promo_numbers(finished) == issued_numbers(box)
    assert all(entry.own_id and entry.own_id.startswith("ib-") for entry in box.store.ledger)


def test_assigned_ids_need_a_version_that_supports_them(network: Any, requests_frame: Requests) -> None:
    """The error names the version, and nothing is sent."""
    old = Network(base_url=network.base_url, network_id="1234", token=TOKEN, api_version="2017-09-01")
    with pytest.raises(ConfigError, match="2018-05-01"):
        run_sheet(requests_frame(1), old, assign_ids=True)


def test_number_created_by_someone_else(box: Any, network: Any, requests_frame: Requests) -> None:
    """An unattributed number leaves the row unknown, and the error names the number."""
    finished = _run_while_someone_else_creates(requests_frame(1), network, box)
    assert outcome_counts(finished) == {"unknown": 1}
    assert box.store.ledger[0].number[-4:] in finished.results.frame["result_error"].iloc[0]


def _run_while_someone_else_creates(frame: pd.DataFrame, network: Network, box: Sandbox) -> RunResult:
    """Run a sheet; after planning, a foreign number is created, and the first request is lost."""
    original = fetch_and_build_plan

    def plan_and_interfere(*arguments: Any) -> Any:
        plan = original(*arguments)
        _post(network, "From someone else")
        box.faults.change(script=["drop_before"])
        return plan

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("invoca_bulk.service.run.fetch_and_build_plan", plan_and_interfere)
        return run_sheet(frame, network, concurrency=1)


def _post(network: Network, description: str) -> None:
    url = f"{network.base_url}/api/2022-08-01/1234/advertisers/A-1/advertiser_campaigns/C-1/promo_numbers.json"
    body = {"description": description, "media_type": "Online: Display"}
    assert httpx.post(url, json=body, headers={"Authorization": TOKEN}).status_code == HTTPStatus.CREATED


def test_unknown_rows_of_results_are_reconciled(box: Any, network: Any, requests_frame: Requests) -> None:
    """An unknown row is reconciled through its `result_run`, and not simply created again."""
    box.faults.change(script=["drop_after"], list_lag=1.0)
    first = run_sheet(requests_frame(3), network, settle=0.05)
    assert outcome_counts(first)["unknown"] == 1
    box.faults.change(list_lag=0.0)
    with journal.open_for_writing(resolve_journal_location(None), network) as store:  # as if killed before lookup
        (absent,) = [step for step in store.steps(first.results.run.run) if step.state is journal.State.ABSENT]
        key = {"run": absent.run, "step": absent.step.number}
        store.apply_transitions(
            [journal.StepTransition(**key, from_state=journal.State.ABSENT, to_state=journal.State.SENT)]
        )
    second = run_sheet(first.results.frame, network)
    assert outcome_counts(second) == {"created": 3}
    assert promo_numbers(second) == issued_numbers(box)


def test_late_number_is_found_before_resending(box: Any, network: Any, requests_frame: Requests) -> None:
    """A number listed only after the settle time is found by a later `resume`, even with --resend-absent."""
    box.faults.change(script=["drop_after"], list_lag=60.0)
    first = run_sheet(requests_frame(3), network)
    assert outcome_counts(first) == {"created": 2, "unknown": 1}
    box.faults.change(list_lag=0.0)
    assert outcome_counts(resume_run(network, first.results.run.run, resend_absent=True)) == {"created": 3}
    assert len(issued_numbers(box)) == 3


@pytest.mark.parametrize("script", [["429", None], ["503_before", None], ["drop_before", None]], ids=str)
def test_delete_in_doubt_is_confirmed_later(box: Any, network: Any, requests_frame: Requests, script: Any) -> None:
    """A delete whose response was lost ends as `deleted`, whatever later attempts return."""
    numbers = run_sheet(requests_frame(1), network).results.frame[KEY_COLUMNS]
    box.faults.change(script=["drop_after", *["500_before"] * 5])
    first = run_sheet(numbers.assign(action="delete"), network, concurrency=1)
    assert outcome_counts(first) == {"unknown": 1}
    box.faults.change(script=script)
    assert outcome_counts(resume_run(network, first.results.run.run)) == {"deleted": 1}


def test_unknown_row_alone_gets_no_number_of_other_rows(box: Any, network: Any, requests_frame: Requests) -> None:
    """The unknown one of several equal rows, run separately, does not get another row's number."""
    box.faults.change(script=[None, "drop_before"])
    first = run_sheet(requests_frame(3, description="The same"), network, concurrency=1)
    alone = first.results.frame.query("result_status == 'unknown'")
    assert outcome_counts(run_sheet(alone, network)) == {"unknown": 1}


def test_number_entered_by_the_user_resolves_the_row(box: Any, network: Any, requests_frame: Requests) -> None:
    """A number that the user looked up resolves the request in doubt, and nothing is resent."""
    box.faults.change(script=["drop_after"], list_lag=60.0)
    first = run_sheet(requests_frame(1), network)
    box.faults.change(list_lag=0.0)
    typed = first.results.frame.assign(promo_number=issued_numbers(box)[0])
    assert outcome_counts(run_sheet(typed, network)) == {"unchanged": 1}
    again = resume_run(network, first.results.run.run, resend_absent=True, resend_unknown=True)
    assert outcome_counts(again) == {"created": 1}
    assert len(issued_numbers(box)) == 1


def test_unresolved_row_can_be_resent_on_request(box: Any, network: Any, requests_frame: Requests) -> None:
    """--resend-unknown resends even if someone else creates numbers in the same campaign."""
    first = _run_while_someone_else_creates(requests_frame(2), network, box)
    assert outcome_counts(first) == {"created": 1, "unknown": 1}
    assert "--resend-unknown" in first.results.frame["result_fix"].iloc[0]
    finished = resume_run(network, first.results.run.run, resend_unknown=True)
    assert outcome_counts(finished) == {"created": 2}
    assert len(issued_numbers(box)) == 3


def test_clock_set_back_assigns_no_number_twice(
    box: Any, network: Any, requests_frame: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two equal rows, one of them lost, in a run that started with the clock ahead."""
    box.faults.change(script=[None, "drop_before"])
    real = time.time
    with monkeypatch.context() as patch:
        patch.setattr("invoca_bulk.journal.store.time.time", lambda: real() + 1000 if not box.store.ledger else real())
        finished = run_sheet(requests_frame(2, description="The same"), network, concurrency=1)
    assert outcome_counts(finished) == {"created": 1, "unknown": 1}


def test_number_of_another_row_resolves_nothing(box: Any, network: Any, requests_frame: Requests) -> None:
    """A number that existed before the run is not matched to a row in doubt, even if it is identical."""
    old = run_sheet(requests_frame(1, description="The same"), network, again=True).results.frame
    box.faults.change(script=["drop_after"], settle_delay=2.0)
    key_columns = ["advertiser_id_from_network", "advertiser_campaign_id_from_network", "description", "media_type"]
    sheet = pd.concat(
        [old[[*key_columns, "promo_number"]], requests_frame(1, description="The same")], ignore_index=True
    )
    first = run_sheet(sheet.fillna(""), network, again=True, settle=0.1)
    assert outcome_counts(first) == {"unchanged": 1, "unknown": 1}
    wait_for(lambda: len(box.store.ledger) == 2)
    run_sheet(first.results.frame, network)
    finished = resume_run(network, first.results.run.run)
    assert promo_numbers(finished) == issued_numbers(box)


def test_resend_absent_resends_once(box: Any, network: Any, requests_frame: Requests) -> None:
    """--resend-absent resends a row once, not again each time its response is lost."""
    box.faults.change(script=["drop_before", *["drop_after"] * 8], list_lag=60.0)
    finished = run_sheet(requests_frame(1), network, resend_absent=True)
    assert outcome_counts(finished) == {"unknown": 1}
    assert len(issued_numbers(box)) == 1


@pytest.mark.parametrize("refused", ["429", "500_before"])
def test_row_stays_in_doubt_after_a_retryable_rejection(
    box: Any, network: Any, requests_frame: Requests, refused: str
) -> None:
    """A row not found, whose second request got a retryable rejection, is looked up before a third request."""
    box.faults.change(script=["drop_after"], list_lag=60.0)
    first = run_sheet(requests_frame(1), network)
    box.faults.change(script=[refused] * 30)
    again = resume_run(network, first.results.run.run, resend_absent=True)
    assert outcome_counts(again) == {"unknown": 1}
    box.faults.change(script=[], list_lag=0.0)
    assert outcome_counts(resume_run(network, first.results.run.run, resend_absent=True)) == {"created": 1}
    assert len(issued_numbers(box)) == 1
