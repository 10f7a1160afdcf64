"""The executor with idempotent steps (updates, moves, deletions, advertisers) against a misbehaving platform."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from invoca_bulk import execution, journal, transport
from invoca_bulk.config.network import Network
from invoca_bulk.config.options import ExecutionPolicy, Options
from invoca_bulk.journal.sqlite import journal_file
from invoca_bulk.planning import PlanData, PlannedRow, PlannedSheet, PlatformState, Step
from invoca_bulk.schema import OPERATIONS, Action
from invoca_bulk.service.execute import execute_workload
from invoca_bulk.transport import run_sync
from invoca_bulk.transport.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from invoca_bulk.service.run_result import RunResult

C1 = ("advertisers", "A-1", "advertiser_campaigns", "C-1", "promo_numbers")
C2 = (*C1[:3], "C-2", "promo_numbers")
NUMBER = "8055550100"
MOVED = {"id": 7, "id_from_network": "77", "promo_number": NUMBER}
ACME = {"id": 1, "id_from_network": "A-1", "name": "Acme"}


def _step(action: Action, resource: str = "promo_numbers", **overrides: Any) -> Step:
    bodies = {
        Action.UPDATE: {"description": "New"},
        Action.MOVE: {"destination": "C-2"},
        Action.CREATE: {"name": "Acme"},
    }
    path: tuple[str, ...] = (*C1, NUMBER) if resource == "promo_numbers" else ("advertisers", "A-1")
    path = path[:-1] if action is Action.CREATE else path
    defaults = {"number": 0, "verb": OPERATIONS[action].verb, "path": path, "body": bodies.get(action)}
    return Step(**{"action": action, "resource": resource, **defaults, **overrides})


UPDATE, DELETE = _step(Action.UPDATE), _step(Action.DELETE)
MOVE = _step(Action.MOVE, destination=C2)
CREATE = _step(Action.CREATE, "advertisers", body={"id_from_network": "A-1", "name": "Acme"})
PURCHASE = _step(Action.CREATE, body={"description": "d"}, non_idempotent=True)
BY_ID = (*C1[:4], "promo_numbers_by_id", "mine")


def _plan(*steps: Step, platform_state: dict[Any, PlatformState] | None = None) -> PlanData:
    return PlanData(
        resource="+".join(dict.fromkeys(step.resource for step in steps)),
        source="x.csv",
        sheets=(PlannedSheet(name="", resource=steps[0].resource, headers=("description",)),),
        titles={},
        rows=tuple(PlannedRow(row=step.number + 2, cells=("x",), step=step.number) for step in steps),
        steps=steps,
        changes=(),
        removals=(),
        issues=pd.DataFrame(),
        platform_state=platform_state or {},
        fingerprint="f" * 64,
    )


@dataclass
class Runner:
    """Runs plans, and reads their journal."""

    folder: Path
    interrupts: run_sync.Interrupts

    def __call__(self, network: Network, *steps: Step, platform_state: Any = None, **options: Any) -> RunResult:
        run_options = Options(**{"progress": False, "concurrency": 1, "first_backoff": 0.01} | options)
        with journal.open_for_writing(self.folder, network) as store:
            plan = _plan(*steps, platform_state=platform_state)
            work = execution.workload_from_plan(store.start_run(plan, network, now=time.time()), plan)
            return execute_workload(work, network, store, run_options, self.interrupts)

    def steps(self, network: Network) -> list[dict[str, Any]]:
        """The steps as another process reads them."""
        path = journal_file(self.folder, base_url=network.base_url, network_id=network.network_id)
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader:
            reader.row_factory = sqlite3.Row
            return [dict(row) for row in reader.execute("SELECT * FROM steps ORDER BY run, step")]


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    with run_sync.defer_interrupts() as interrupts:
        yield Runner(folder=tmp_path / "journal", interrupts=interrupts)


def _outcomes(result: RunResult) -> list[str]:
    return [row.outcome.value for row in result.results.rows]


def _verbs(odd: Any) -> list[str]:
    return [verb for verb, _, _ in odd.requests]


@pytest.fixture
def answer(reply: Any, raw_reply: Any) -> Callable[[int | None], Any]:
    """Creates a reply with a status; None: the connection breaks."""

    def make(status: int | None) -> Any:
        not_found = {"errors": {"class": "RecordNotFound", "invalid_data": "Could not find it"}}
        has_no_body = status in {None, 204}
        return raw_reply(status=status) if has_no_body else reply(status, not_found, Retry_After="0")

    return make


# Responses that prove nothing

DOUBTS = ("drop", "500", "502", "503", "408", "409", "307", "cut", "no object")


@pytest.fixture
def doubts(reply: Any, raw_reply: Any) -> dict[str, Any]:
    """Responses after which the step may have been applied."""
    return {
        "drop": raw_reply(status=None),
        "500": reply(500, {"errors": {"class": "InternalServiceError", "invalid_data": "refer to error handle 42"}}),
        "502": raw_reply(status=502, body=b"<html>"),
        "503": reply(503, {}, Retry_After="0.01"),
        "408": reply(408, {}),
        "409": reply(409, {}),
        "307": raw_reply(status=307, headers={"Location": "/"}),
        "cut": raw_reply(status=200, body=b"{", promised=100),
        "no object": reply(200, []),
    }


IDEMPOTENT = {"updated": UPDATE, "moved": MOVE, "created": CREATE}


@pytest.mark.parametrize("name", DOUBTS)
@pytest.mark.parametrize("outcome", IDEMPOTENT)
def test_idempotent_step_in_doubt_is_resent(
    odd: Any, runner: Runner, doubts: dict[str, Any], name: str, outcome: str
) -> None:
    """It is resent unchanged until there is a reliable response, and all attempts are counted."""
    step = IDEMPOTENT[outcome]
    odd.replies.extend([doubts[name], doubts[name]])
    result = runner(odd.network(), step)
    assert _outcomes(result) == [outcome]
    assert odd.requests == [(step.verb, "/".join(step.path), step.body)] * 3
    (row,) = result.results.rows
    assert (row.attempts, row.error, row.fix) == (3, "", "")
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        ([500] * 6, "unknown"),
        ([429] * 3, "failed"),
        ([500, 429, 429, 429, 429, 429], "unknown"),
        ([429, 429, 429, 429, 429, 500], "unknown"),
    ],
    ids=["in doubt", "never applied", "in doubt first", "in doubt last"],
)
def test_attempts_are_limited(  # noqa: PLR0917  fixtures and the table's columns
    odd: Any,
    answer: Callable[..., Any],
    runner: Runner,
    statuses: list[int],
    outcome: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After the last attempt it is `failed` if none can have been applied, otherwise `unknown`."""
    monkeypatch.setattr(
        "invoca_bulk.execution.outcomes.retry_policy.MAX_THROTTLED_ATTEMPTS", 3 if outcome == "failed" else 6
    )
    odd.replies.extend(map(answer, statuses))
    result = runner(odd.network(), UPDATE, _step(Action.UPDATE, number=1))
    assert _outcomes(result) == [outcome, "updated"]
    row = result.results.rows[0]
    assert ("It may have been updated" in row.error) == (outcome == "unknown")
    assert ("harmless" in row.fix) == (outcome == "unknown")
    assert row.error.endswith(f"Tried {len(statuses)} times.")
    assert row.attempts == len(statuses)
    assert result.exit_code == 1


def test_rejection_is_not_retried(odd: Any, reply: Any, runner: Runner) -> None:
    """A rejected step is sent once."""
    odd.replies.append(reply(403, {"errors": {"description": ["is odd"]}}))
    result = runner(odd.network(), UPDATE)
    assert _outcomes(result) == ["rejected"]
    assert result.results.rows[0].error == "description: is odd"
    assert len(odd.requests) == 1


def test_update_may_return_a_known_number(odd: Any, reply: Any, runner: Runner) -> None:
    """A number that the campaign already had puts only a purchase in doubt."""
    odd.replies.append(reply(200, MOVED))
    result = runner(odd.network(), UPDATE, platform_state={C1[:4]: PlatformState(objects=({"promo_number": NUMBER},))})
    assert _outcomes(result) == ["updated"]


def test_purchase_among_updates_is_sent_once(odd: Any, raw_reply: Any, runner: Runner) -> None:
    """A plan may contain idempotent and non-idempotent steps."""
    odd.replies.extend([raw_reply(status=None), raw_reply(status=None)])
    result = runner(odd.network(), PURCHASE, _step(Action.UPDATE, number=1))
    assert _outcomes(result) == ["unknown", "updated"]
    assert [verb for verb in _verbs(odd) if verb != "GET"] == ["POST", "PUT", "PUT"]


# Success responses that prove nothing


@pytest.mark.parametrize(
    ("step", "odd_answer"),
    [
        (UPDATE, {"status": "maintenance"}),
        (UPDATE, {"id": 7, "promo_number": ""}),
        (MOVE, {"status": "maintenance"}),
        (CREATE, {"id": 3, "id_from_network": "A-2", "name": "Acme"}),
        (CREATE, {"status": "maintenance"}),
    ],
    ids=repr,
)
def test_success_for_another_object_is_in_doubt(
    odd: Any, reply: Any, runner: Runner, step: Step, odd_answer: Any
) -> None:
    """A 200 that does not name the number or the advertiser proves nothing, so the step is resent."""
    odd.replies.extend([reply(200, odd_answer)] * 6)
    (row,) = runner(odd.network(), step).results.rows
    assert (row.outcome, row.attempts) == ("unknown", 6)
    assert "the platform answered 200, but " in row.error
    assert len([verb for verb in _verbs(odd) if verb != "GET"]) == 6


@pytest.mark.parametrize(
    ("odd_answer", "outcome"),
    [
        ({"status": "maintenance"}, "unknown"),
        ({"id": 2}, "unknown"),
        ({"id": 2, "id_from_network": "A-2"}, "unknown"),
        ({"id": 1}, "updated"),
        ({"id_from_network": "A-1"}, "updated"),
    ],
    ids=repr,
)
def test_update_response_has_to_name_its_advertiser(
    odd: Any, reply: Any, runner: Runner, odd_answer: Any, outcome: str
) -> None:
    """Either id of the advertiser is enough; ids of another advertiser are not."""
    odd.replies.extend([reply(200, odd_answer)] * 6)
    odd.reads.extend([reply(200, OLD)] * 6)
    assert _outcomes(runner(odd.network(), PATCHED)) == [outcome]


# Rejections after an attempt in doubt


@pytest.mark.parametrize("status", [400, 403, 422])
@pytest.mark.parametrize("step", [UPDATE, CREATE, DELETE], ids=["update", "create", "delete"])
def test_rejection_after_an_attempt_in_doubt(
    odd: Any, reply: Any, raw_reply: Any, runner: Runner, *, step: Step, status: int
) -> None:
    """The first attempt may have been applied: the row is `unknown`, with both reasons."""
    odd.replies.extend([raw_reply(status=502), reply(status, {"message": "is taken"})])
    (row,) = runner(odd.network(), step).results.rows
    assert (row.outcome, row.attempts) == ("unknown", 2)
    assert "It may have been" in row.error
    assert "answered 502" in row.error
    assert f"is taken ({status})" in row.error
    assert "harmless" in row.fix


def test_both_reasons_survive_throttled_attempts(odd: Any, reply: Any, raw_reply: Any, runner: Runner) -> None:
    """Throttled attempts in between hide neither the doubt nor the rejection."""
    throttled = reply(429, {"message": "busy"}, Retry_After="0")
    odd.replies.extend([raw_reply(status=502), throttled, throttled, reply(403, {"message": "is taken"})])
    (row,) = runner(odd.network(), UPDATE).results.rows
    assert row.outcome == "unknown"
    assert ("answered 502" in row.error, "is taken (403)" in row.error, "busy" in row.error) == (True, True, False)


@pytest.mark.parametrize(("is_at_destination", "outcome"), [(True, "moved"), (False, "unknown")])
def test_move_rejected_after_a_doubt(
    odd: Any, reply: Any, raw_reply: Any, runner: Runner, *, is_at_destination: Any, outcome: str
) -> None:
    """The number is looked up at its destination; if it is not found there, the move is `unknown`."""
    odd.replies.extend([raw_reply(status=None), reply(403, {"message": "not yours"})])
    odd.reads.append(reply(200, MOVED) if is_at_destination else reply(404, {}))
    (row,) = runner(odd.network(), MOVE).results.rows
    assert (row.outcome, row.attempts) == (outcome, 2)
    assert _verbs(odd) == ["PUT", "PUT", "GET"]
    assert ("not yours" in row.error) is not is_at_destination


# Deletions


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        ([200], "deleted"),
        ([204], "deleted"),
        ([500, 404], "deleted"),
        ([500, 429, 404], "deleted"),
        ([500, 200], "deleted"),
        ([404], "rejected"),
        ([429, 404], "rejected"),
        ([403], "rejected"),
    ],
    ids=str,
)
def test_deletions(odd: Any, answer: Callable[..., Any], runner: Runner, statuses: list[int], outcome: str) -> None:
    """A 404 after a deletion in doubt means deleted; otherwise it is a rejection with the platform's message."""
    odd.replies.extend(map(answer, statuses))
    (row,) = runner(odd.network(), DELETE).results.rows
    assert (row.outcome, row.attempts) == (outcome, len(statuses))
    assert ("Could not find it" in row.error) == (outcome == "rejected")
    assert bool(row.fix) == (outcome == "rejected")
    assert {body for _, _, body in odd.requests} == {None}


def test_advertiser_with_campaigns_is_not_deleted(platform: Any, sandbox: Any, runner: Runner) -> None:
    """The row has the platform's message, and a fix that names what has to be done first."""
    step = _step(Action.DELETE, "advertisers", path=("advertisers", "A-100"))
    result = runner(_network(platform, sandbox), step)
    (row,) = result.results.rows
    assert row.outcome == "rejected"
    assert "an advertiser with campaigns cannot be deleted" in row.error
    assert "campaigns on the platform first" in row.fix
    assert platform("GET", "advertisers/A-100").status_code == 200


# Moves


@pytest.mark.parametrize(
    "step",
    [MOVE, _step(Action.MOVE, path=BY_ID, destination=C2, snapshot=MOVED)],
    ids=["by number", "by own id"],
)
def test_move_in_doubt_is_looked_up(odd: Any, reply: Any, raw_reply: Any, runner: Runner, step: Step) -> None:
    """If the number is at its destination, the row has it as it is shown there."""
    odd.replies.extend([raw_reply(status=None), reply(404, {})])
    odd.reads.append(reply(200, MOVED))
    result = runner(odd.network(), step)
    (row,) = result.results.rows
    assert (row.outcome, row.answer, row.attempts, row.error) == ("moved", MOVED, 2, "")
    assert odd.requests[-1] == ("GET", "/".join((*C2, NUMBER)), None)
    assert _verbs(odd) == ["PUT", "PUT", "GET"]


@pytest.mark.parametrize("step", [MOVE, _step(Action.MOVE, path=BY_ID, destination=C2)], ids=["number", "no number"])
def test_move_of_a_number_found_nowhere_is_unknown(odd: Any, reply: Any, runner: Runner, step: Step) -> None:
    """A number that is neither at its source nor at its destination is `unknown` after all attempts."""
    odd.replies.extend([reply(500, {}), *[reply(404, {})] * 5])
    odd.reads.extend([reply(404, {})] * 5)
    (row,) = runner(odd.network(), step).results.rows
    assert (row.outcome, row.attempts) == ("unknown", 6)
    assert "It may have been moved" in row.error
    assert _verbs(odd).count("PUT") == 6


def test_move_of_a_missing_number_is_rejected(odd: Any, reply: Any, runner: Runner) -> None:
    """Without an attempt in doubt a 404 is a rejection, and nothing is looked up."""
    odd.replies.append(reply(404, {"message": "Could not find it"}))
    assert _outcomes(runner(odd.network(), MOVE)) == ["rejected"]
    assert _verbs(odd) == ["PUT"]


def test_move_in_the_sandbox(platform: Any, sandbox: Any, runner: Runner) -> None:
    """The number is at its destination, with a new id."""
    source, target = (
        f"advertisers/A-100/advertiser_campaigns/{campaign}/promo_numbers" for campaign in ("C-100", "C-101")
    )
    bought = platform("POST", source, {"description": "d", "media_type": "Online: Display"}).json()
    destination = {
        "destination_advertiser_id_from_network": "A-100",
        "destination_advertiser_campaign_id_from_network": "C-101",
    }
    path = (*source.split("/"), bought["promo_number"])
    step = _step(Action.MOVE, path=path, body=destination, snapshot=bought, destination=tuple(target.split("/")))
    (row,) = runner(_network(platform, sandbox), step).results.rows
    assert row.outcome == "moved"
    assert platform("GET", target).json() == [row.answer]
    assert row.answer["id_from_network"] != bought["id_from_network"]


# Advertisers without an own id

AUTO = _step(
    Action.CREATE, "advertisers", non_idempotent=True, body={"name": "Acme", "sites": [{"id_from_network": "1"}]}
)


@pytest.mark.parametrize("name", ["drop", "500", "no object"])
def test_new_advertiser_is_found_by_name(
    odd: Any, reply: Any, runner: Runner, doubts: dict[str, Any], name: str
) -> None:
    """Names are unique in a network, so the advertiser with the name is the one that was created."""
    odd.replies.append(doubts[name])
    odd.reads.append(reply(200, [{"id": 3, "name": "Acme 2"}, ACME]))
    (row,) = runner(odd.network(), AUTO).results.rows
    assert (row.outcome, row.answer, row.error) == ("created", ACME, "")
    assert [(verb, path) for verb, path, _ in odd.requests] == [("POST", "advertisers"), ("GET", "advertisers")]


@pytest.mark.parametrize("listing", [[], [{"name": "acme"}], {"x": 1}, None], ids=repr)
def test_new_advertiser_that_is_not_found_is_unknown(
    odd: Any, reply: Any, raw_reply: Any, runner: Runner, listing: Any
) -> None:
    """It may appear later, so it is never sent again."""
    odd.replies.append(raw_reply(status=None))
    odd.reads.append(reply(404, {}) if listing is None else reply(200, listing))
    (row,) = runner(odd.network(), AUTO).results.rows
    assert row.outcome == "unknown"
    assert "Look the advertiser up" in row.fix
    assert _verbs(odd).count("POST") == 1


# Phases


def test_phases_run_in_order(odd: Any, reply: Any, runner: Runner) -> None:
    """No step begins before all steps of the previous phase have ended, including their retries."""
    odd.replies.extend([reply(500, {}), reply(429, {}, Retry_After="0")])
    steps = [
        _step(Action.DELETE, "advertisers", number=0, phase=2),
        *(_step(Action.UPDATE, number=n, phase=1) for n in (1, 2, 3)),
        *(_step(Action.CREATE, "advertisers", number=n, body={"id_from_network": "A", "name": "N"}) for n in (4, 5, 6)),
    ]
    result = runner(odd.network(), *steps, concurrency=8)
    assert _outcomes(result) == ["deleted", *["updated"] * 3, *["created"] * 3]
    assert _verbs(odd) == ["POST"] * 5 + ["PUT"] * 3 + ["DELETE"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (403, "Its advertiser was not created, so it was not sent."),
        (429, "Its advertiser was not created, so it was not sent."),
        (500, "It is not certain that its advertiser was created, so it was not sent."),
    ],
)
def test_dependent_step_is_blocked(  # noqa: PLR0917  fixtures and the table's columns
    odd: Any, reply: Any, runner: Runner, status: int, error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number is not bought if its advertiser could not be created; other numbers are."""
    monkeypatch.setattr("invoca_bulk.execution.outcomes.retry_policy.MAX_THROTTLED_ATTEMPTS", 3)
    odd.replies.extend([reply(status, {}, Retry_After="0")] * {403: 1, 429: 3, 500: 6}[status])
    result = runner(
        odd.network(),
        CREATE,
        _step(Action.CREATE, body={"description": "1"}, number=1, non_idempotent=True, phase=1, depends_on=0),
        _step(Action.CREATE, body={"description": "2"}, number=2, non_idempotent=True, phase=1),
    )
    row = result.results.rows[1]
    assert _outcomes(result)[1:] == ["not_sent", "created"]
    assert (row.error, row.attempts) == (error, 0)
    assert "advertiser" in row.fix
    assert [body.get("description") for body in odd.posts][-1] == "2"
    assert {body.get("description") for body in odd.posts} == {None, "2"}
    assert (result.results.run.state, result.exit_code) == ("finished", 1)


def test_dependent_step_is_sent_after_its_dependency(odd: Any, runner: Runner) -> None:
    """A plan may create an advertiser and its numbers."""
    result = runner(odd.network(), CREATE, _step(Action.CREATE, number=1, non_idempotent=True, phase=1, depends_on=0))
    assert _outcomes(result) == ["created", "created"]


def test_stop_in_the_first_phase_stops_all_phases(odd: Any, reply: Any, runner: Runner) -> None:
    """After a 401 nothing of the later phases is sent."""
    odd.replies.append(reply(401, {}))
    result = runner(odd.network(), CREATE, _step(Action.UPDATE, number=1, phase=1))
    assert _outcomes(result) == ["not_sent", "not_sent"]
    assert (len(odd.requests), result.exit_code) == (1, 3)


# Stops between two attempts


def test_wrong_token_after_an_attempt_in_doubt(odd: Any, reply: Any, runner: Runner) -> None:
    """The run stops, and the row is `unknown` rather than `not_sent`."""
    odd.replies.extend([reply(500, {}), reply(401, {})])
    result = runner(odd.network(), UPDATE, _step(Action.UPDATE, number=1))
    assert _outcomes(result) == ["unknown", "not_sent"]
    assert "may have been updated" in result.results.rows[0].error
    assert result.exit_code == 3


@pytest.mark.parametrize(("status", "outcome"), [(500, "unknown"), (429, "not_sent")])
def test_interrupt_between_two_attempts(odd: Any, reply: Any, runner: Runner, status: int, outcome: str) -> None:
    """A step that may have been applied is `unknown`, another one `not_sent`; the run can be resumed."""

    class Interrupting(list[Any]):
        def append(self, request: Any) -> None:
            super().append(request)
            runner.interrupts.handle()

    odd.requests = Interrupting()
    odd.replies.append(reply(status, {}))
    result = runner(odd.network(), UPDATE, first_backoff=60.0)
    assert _outcomes(result) == [outcome]
    assert (len(odd.requests), result.exit_code) == (1, 4)
    assert runner.steps(odd.network())[0]["state"] == {"unknown": "in_doubt", "not_sent": "pending"}[outcome]


def test_abandoned_request_is_unknown(odd: Any, raw_reply: Any, runner: Runner) -> None:
    """A second interrupt cancels the request in flight, so its row is `unknown`."""

    class Interrupting(list[Any]):
        def append(self, request: Any) -> None:
            super().append(request)
            runner.interrupts.handle()
            runner.interrupts.handle()

    odd.requests = Interrupting()
    odd.replies.append(raw_reply(status=200, stall=True))
    assert _outcomes(runner(odd.network(), UPDATE)) == ["unknown"]


def test_request_of_a_killed_process_is_unknown(odd: Any, reply: Any, raw_reply: Any, tmp_path: Path) -> None:
    """The journal has the intent and the attempt, so the row does not count as never sent."""
    pd.DataFrame(
        {
            "advertiser_id_from_network": ["A-1"],
            "advertiser_campaign_id_from_network": ["C-1"],
            "promo_number": [NUMBER],
            "description": ["New"],
        }
    ).to_csv(tmp_path / "x.csv", index=False)
    odd.reads.append(reply(200, [{"promo_number": NUMBER, "description": "Old", "media_type": "Online: Display"}]))
    odd.replies.append(raw_reply(status=200, stall=True))
    command = [sys.executable, "-m", "invoca_bulk", "run", "x.csv", "--yes", "-o", "y.csv"]
    settings = {"INVOCA_BASE_URL": odd.base_url, "INVOCA_NETWORK_ID": "1234", "INVOCA_API_TOKEN": "the-secret-token"}
    with subprocess.Popen(command, cwd=tmp_path, env=os.environ | settings, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while "PUT" not in _verbs(odd) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
    (step,) = Runner(folder=tmp_path / "journal", interrupts=run_sync.Interrupts()).steps(odd.network())
    assert (step["state"], step["attempt"], step["once"]) == ("sent", 1, 0)
    _, (row,) = journal.find_results(tmp_path / "journal", step["run"])
    assert row.outcome == "unknown"


# Durable before the first byte


@pytest.fixture
def recorded(odd: Any, runner: Runner) -> list[tuple[str, Any, Any]]:
    """What another process reads in the journal when each request reaches the platform: verb, state, attempt."""
    entries: list[tuple[str, Any, Any]] = []

    class Watching(list[Any]):
        def append(self, request: Any) -> None:
            super().append(request)
            step = runner.steps(odd.network())[0]
            entries.append((request[0], step["state"], step["attempt"]))

    odd.requests = Watching()
    return entries


def test_each_attempt_is_durable_before_it_is_sent(odd: Any, reply: Any, runner: Runner, recorded: list[Any]) -> None:
    """Every attempt, including resends of a step that stays `sent`, is in the journal before its first byte."""
    odd.replies.extend([reply(429, {}, Retry_After="0"), reply(500, {}), reply(500, {})])
    runner(odd.network(), UPDATE)
    assert recorded == [("PUT", "sent", 1), ("PUT", "sent", 2), ("PUT", "sent", 3), ("PUT", "sent", 4)]


# Reading the object just before its update

OLD: dict[str, Any] = {
    "id": 1,
    "id_from_network": "A-1",
    "name": "Acme",
    "approval_status": "Approved",
    "sites": [{"id_from_network": "11", "name": "Main"}],
    "users": [
        {
            "id_from_network": "U-1",
            "email_settings": [{"email_address": "a@example.com", "use_for_notifications": True}],
            "first_name": "Ana",
            "last_name": "Lee",
            "phone_number": "805\u2010555\u20100100",
            "role": "Manager",
        }
    ],
}
RENAMED = {"nested": "merge", "values": {"name": "Acme Two"}, "parts": []}
PATCHED = _step(Action.UPDATE, "advertisers", body={"name": "Acme Two"}, patch=RENAMED, snapshot=OLD)


def test_object_is_read_before_it_is_written(odd: Any, reply: Any, runner: Runner, recorded: list[Any]) -> None:
    """The complete object is sent with one value changed; the intent is durable before the read."""
    odd.reads.append(reply(200, OLD))
    assert _outcomes(runner(odd.network(), PATCHED)) == ["updated"]
    assert recorded == [("GET", "sent", 1), ("PUT", "sent", 1)]
    assert [path for _, path, _ in odd.requests] == ["advertisers/A-1"] * 2
    body = odd.requests[1][2]
    assert (body["name"], body["sites"]) == ("Acme Two", OLD["sites"])
    assert body["users"][0]["contact_phone_number"] == "8055550100"


def test_actual_body_and_snapshot_are_durable_first(odd: Any, reply: Any, runner: Runner) -> None:
    """If the object has changed since the plan, the journal has it and the new body before the PUT."""
    fresh = {**OLD, "approval_status": "Suspended"}
    odd.reads.append(reply(200, fresh))
    recorded_steps: list[dict[str, Any]] = []

    class Watching(list[Any]):
        def append(self, request: Any) -> None:
            super().append(request)
            recorded_steps.extend(runner.steps(odd.network()))

    odd.requests = Watching()
    runner(odd.network(), PATCHED)
    assert [json.loads(step["before"]) for step in recorded_steps] == [OLD, fresh]
    assert [json.loads(step["body"]) for step in recorded_steps] == [PATCHED.body, odd.requests[1][2]]
    assert odd.requests[1][2]["approval_status"] == "Suspended"


def test_snapshot_from_before_a_doubt_is_kept(odd: Any, reply: Any, runner: Runner) -> None:
    """An update that may have been applied must not overwrite the state to which it can be undone."""
    applied = {**OLD, "name": "Acme Two"}
    odd.reads.extend([reply(200, OLD), reply(200, applied)])
    odd.replies.append(reply(500, {}))
    assert _outcomes(runner(odd.network(), PATCHED)) == ["updated"]
    (step,) = runner.steps(odd.network())
    assert json.loads(step["before"]) == OLD
    assert _verbs(odd) == ["GET", "PUT", "GET", "PUT"]
    assert step["attempt"] == 2


READ_ERROR = "It was not sent: the advertiser could not be read before the change"
#: The platform's responses to the read, the row's outcome and its error.
READS: dict[str, tuple[list[Any], str, str]] = {
    "gone": ([404], "rejected", "The advertiser no longer exists; it was deleted since the plan was made."),
    "refused": ([403], "rejected", "The advertiser could not be read before the change: Could not find it"),
    "broken": ([500] * 6, "failed", READ_ERROR),
    "dropped": ([None] * 6, "failed", READ_ERROR),
    "wrong token": ([401], "not_sent", READ_ERROR),
    "a list": ([[OLD]] * 6, "failed", READ_ERROR),
    "not an advertiser": ([{"users": "none"}] * 6, "failed", f"{READ_ERROR} (the platform's answer is not the"),
    "maintenance": ([{"status": "maintenance"}] * 6, "failed", "is not the advertiser A-1"),
    "another one": ([{**OLD, "id_from_network": "A-2"}] * 6, "failed", "is not the advertiser A-1"),
    "without users": ([{name: OLD[name] for name in OLD if name != "users"}] * 6, "failed", "has no list of its users"),
    "null users": ([{**OLD, "users": None}] * 6, "failed", "has no list of its users"),
    "odd users": ([{**OLD, "users": ["U-1"]}] * 6, "failed", "has no list of its users"),
    "without sites": ([{name: OLD[name] for name in OLD if name != "sites"}] * 6, "failed", "no list of its sites"),
    "no users": ([{**OLD, "users": []}], "rejected", "User Ana Lee (U-1) was removed since the plan was made; nothing"),
    "no sites": ([{**OLD, "sites": []}], "rejected", "Site Main (11) was removed since the plan was made; nothing"),
}


@pytest.mark.parametrize("name", READS)
def test_object_that_cannot_be_read_is_not_written(
    odd: Any, reply: Any, answer: Callable[..., Any], runner: Runner, name: str
) -> None:
    """A PUT would create a deleted object again, and remove users and sites that were not read."""
    answers, outcome, text = READS[name]
    odd.reads.extend(reply(200, item) if isinstance(item, list | dict) else answer(item) for item in answers)
    result = runner(odd.network(), PATCHED)
    (row,) = result.results.rows
    assert (row.outcome, row.attempts) == (outcome, len(answers))
    assert text in row.error
    assert row.fix or outcome == "not_sent"
    assert set(_verbs(odd)) == {"GET"}
    assert result.exit_code == (3 if outcome == "not_sent" else 1)


@pytest.mark.parametrize("body", [{"status": "maintenance"}, {**OLD, "id_from_network": "A-2"}], ids=["none", "other"])
def test_create_is_not_sent_after_an_invalid_read(odd: Any, reply: Any, runner: Runner, body: Any) -> None:
    """If it is unclear whether the advertiser exists, nothing is sent and the row is not called a duplicate."""
    step = _step(Action.CREATE, "advertisers", own_id="A-1", body={"id_from_network": "A-1", "name": "Acme"})
    odd.reads.extend([reply(200, body)] * 6)
    (row,) = runner(odd.network(), step).results.rows
    assert (row.outcome, row.attempts) == ("failed", 6)
    assert "is not the advertiser A-1" in row.error
    assert set(_verbs(odd)) == {"GET"}


def test_failed_read_is_retried(odd: Any, reply: Any, runner: Runner) -> None:
    """A failed read has changed nothing."""
    odd.reads.extend([reply(500, {}), reply(429, {}, Retry_After="0"), reply(200, OLD)])
    (row,) = runner(odd.network(), PATCHED).results.rows
    assert (row.outcome, row.attempts) == ("updated", 3)
    assert _verbs(odd) == ["GET", "GET", "GET", "PUT"]


def test_failed_read_after_an_attempt_in_doubt(odd: Any, reply: Any, runner: Runner) -> None:
    """The first attempt may have been applied, so the row is not `failed`."""
    odd.reads.extend([reply(200, OLD), *[reply(500, {})] * 5])
    odd.replies.append(reply(500, {}))
    (row,) = runner(odd.network(), PATCHED).results.rows
    assert (row.outcome, row.attempts) == ("unknown", 6)
    assert "may have been updated" in row.error


# Users and sites that were added since the plan was made

ANA = OLD["users"][0]
JIM = {**ANA, "id_from_network": "U-2", "first_name": "Jim", "last_name": "Williams"}
SITE = {"id_from_network": "12", "name": "Harbor"}
ONLY_SITE = {
    "nested": "replace",
    "values": {},
    "parts": [{"collection": "sites", "id": "11", "remove": False, "values": {}}],
}
REPLACED = _step(Action.UPDATE, "advertisers", body={}, patch=ONLY_SITE, snapshot=OLD)


def test_planned_removals_are_done(odd: Any, reply: Any, runner: Runner) -> None:
    """Users that the plan removes are removed."""
    odd.reads.append(reply(200, OLD))
    assert _outcomes(runner(odd.network(), REPLACED)) == ["updated"]
    assert odd.requests[1][2]["users"] == []


@pytest.mark.parametrize(
    ("fresh", "text"),
    [
        ({**OLD, "users": [ANA, JIM]}, "User Jim Williams (U-2) was added to the advertiser since the plan was made"),
        (
            {**OLD, "sites": [*OLD["sites"], SITE]},
            "Site Harbor (12) was added to the advertiser since the plan was made",
        ),
    ],
    ids=["user", "site"],
)
def test_added_parts_are_not_removed(odd: Any, reply: Any, runner: Runner, fresh: Any, text: str) -> None:
    """A user or site that was added since the plan is named in the error, and nothing is sent."""
    odd.reads.append(reply(200, fresh))
    (row,) = runner(odd.network(), REPLACED).results.rows
    assert row.outcome == "rejected"
    assert row.error == f"{text}; nothing was sent."
    assert "plan again" in row.fix
    assert _verbs(odd) == ["GET"]


def test_added_user_after_an_attempt_in_doubt(odd: Any, reply: Any, runner: Runner) -> None:
    """After an attempt in doubt the row does not claim that nothing was sent."""
    odd.reads.extend([reply(200, OLD), reply(200, {**OLD, "users": [JIM]})])
    odd.replies.append(reply(500, {}))
    (row,) = runner(odd.network(), REPLACED).results.rows
    assert row.outcome == "unknown"
    assert "Jim Williams" in row.error
    assert _verbs(odd) == ["GET", "PUT", "GET"]


# Against the sandbox


def _network(platform: Any, sandbox: Any) -> Network:
    return Network(base_url=sandbox.base_url, network_id=platform.network_id, token=sandbox.token)


def _user(number: int, first: str) -> dict[str, Any]:
    return {
        "id_from_network": f"U-{number}",
        "email_settings": [{"email_address": f"u{number}@example.com", "use_for_notifications": True}],
        "first_name": first,
        "last_name": "Lee",
        "contact_phone_number": f"80555501{number:02}",
    }


@pytest.fixture
def acme(platform: Any) -> Callable[..., dict[str, Any]]:
    """Writes an advertiser with a site and users outside the run, and returns its new state."""

    def write(*names: str) -> dict[str, Any]:
        users = [_user(number, name) for number, name in enumerate(names, 1)]
        body = {"name": "Acme", "sites": [{"id_from_network": "1", "name": "Main"}], "users": users}
        response = platform("PUT", "advertisers/A-7", body)
        assert response.status_code == 200, response.text
        advertiser: dict[str, Any] = response.json()
        return advertiser

    return write


def test_user_added_since_the_plan_is_preserved(
    platform: Any, sandbox: Any, runner: Runner, acme: Callable[..., dict[str, Any]]
) -> None:
    """An update changes only what its patch names; all other users stay, including new ones."""
    before = acme("Ana", "Jim")
    fresh = acme("Ana", "Jim", "Kim")
    patch = {
        "nested": "merge",
        "values": {"web_integration_phone_number": "8055550199"},
        "parts": [{"collection": "users", "id": "U-2", "remove": False, "values": {"first_name": "James"}}],
    }
    step = _step(Action.UPDATE, "advertisers", path=("advertisers", "A-7"), body={}, patch=patch, snapshot=before)
    (row,) = runner(_network(platform, sandbox), step).results.rows
    after = platform("GET", "advertisers/A-7").json()
    assert row.outcome == "updated"
    assert [user["first_name"] for user in after["users"]] == ["Ana", "James", "Kim"]
    assert after["users"][0] == fresh["users"][0]
    assert after["users"][2] == fresh["users"][2]
    assert (after["sites"], after["web_integration_phone_number"]) == (fresh["sites"], "8055550199")


def test_no_secret_is_in_the_journal(
    platform: Any, sandbox: Any, runner: Runner, acme: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """The `oauth_refresh_token` in reads of an advertiser and its users is in no column and no file of the journal."""
    acme("Ana", "Jim")
    fresh = acme("Ana", "Jim")
    tokens = [fresh["oauth_refresh_token"], *(user["oauth_refresh_token"] for user in fresh["users"])]
    assert len(set(tokens)) == 3
    before = {**OLD, "sites": [{"id_from_network": "1", "name": "Main"}]}
    step = _step(Action.UPDATE, "advertisers", path=("advertisers", "A-7"), body={}, patch=RENAMED, snapshot=before)
    network = _network(platform, sandbox)
    assert _outcomes(runner(network, step)) == ["updated"]
    (recorded_step,) = runner.steps(network)
    assert json.loads(recorded_step["before"])["users"][0]["first_name"] == "Ana"
    contents = b"".join(path.read_bytes() for path in (tmp_path / "journal").iterdir() if path.is_file())
    assert b"Acme Two" in contents
    assert [secret for secret in ["oauth_refresh_token", *tokens] if secret.encode() in contents] == []


def test_progress_counts_steps_by_their_outcome(odd: Any, reply: Any, tmp_path: Path) -> None:
    """Each step is counted once, when it has ended; blocked steps are counted too."""
    odd.replies.extend([reply(500, {}), reply(200, MOVED), reply(403, {})])
    steps = (
        UPDATE,
        _step(Action.CREATE, "advertisers", number=1),
        _step(Action.UPDATE, number=2, phase=1, depends_on=1),
    )
    counters = execution.RunCounters(total=3)
    network = odd.network()

    async def main(store: journal.Journal, plan: PlanData) -> None:
        run = store.start_run(plan, network, now=0.0)
        policy = ExecutionPolicy(first_backoff_seconds=0.01, settle_seconds=0.01)
        work = execution.workload_from_plan(run, plan)
        executor = execution.Executor(
            work=work,
            network=network,
            journal=store,
            rate_limiter=transport.RateLimiter(None),
            policy=policy,
            counters=counters,
        )
        async with Client(network, connections=1, timeout=10) as client:
            await executor.execute(client, 1)

    with journal.open_for_writing(tmp_path / "journal", network) as store:
        asyncio.run(main(store, _plan(*steps)))
    assert dict(counters.outcomes) == {"updated": 1, "rejected": 1, "not_sent": 1}
