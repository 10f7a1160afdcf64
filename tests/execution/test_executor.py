"""The executor against a misbehaving platform: each number is requested once, and every row has an outcome."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from invoca_bulk.config.network import Network, resolve_network
from invoca_bulk.config.options import Options
from invoca_bulk.errors import (
    AuthenticationError,
    ConfirmationRequiredError,
    InvalidSheetError,
    PlatformUnavailableError,
)
from invoca_bulk.journal.sqlite import journal_file
from invoca_bulk.sandbox_server import Sandbox
from invoca_bulk.service.run import run_sheet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd

    from invoca_bulk.service.run_result import RunResult

    Requests = Callable[..., pd.DataFrame]

TOKEN = "the-secret-token"


def _run(frame: pd.DataFrame, network: Any, **options: Any) -> RunResult:
    run_options = Options(**{"yes": True, "progress": False, "concurrency": 1, "first_backoff": 0.01} | options)
    return run_sheet(frame, network, run_options)


def _outcomes(result: RunResult) -> list[str]:
    return list(result.results.frame["result_status"])


def test_every_row_gets_its_number(box: Any, network: Any, requests_frame: Requests) -> None:
    """Each row has the number that the sandbox issued for it."""
    result = _run(requests_frame(40), network, concurrency=8)
    issued = {entry.body["description"]: entry.number for entry in box.store.ledger}
    frame = result.results.frame
    assert result.exit_code == 0
    assert len(issued) == 40
    assert dict(zip(frame["description"], frame["promo_number"], strict=True)) == issued


@pytest.mark.parametrize(
    "name",
    [
        "drop",
        "500",
        "502",
        "503",
        "408",
        "409",
        "201 without a number",
        "201 cut",
        "307",
        "204",
        "201 with a bool",
        "201 with a word",
        "201 with an absurd wait and no number",
        "500 that JSON can name and no file can hold",
    ],
)
def test_create_in_doubt_is_never_resent(
    odd: Any, reply: Any, raw_reply: Any, requests_frame: Requests, name: str
) -> None:
    """A create without a reliable response is `unknown`, and is sent once."""
    replies = {
        "drop": raw_reply(status=None),
        "500": reply(500, {"errors": {"class": "InternalServiceError", "invalid_data": "refer to error handle 42"}}),
        "502": raw_reply(status=502, body=b"<html>"),
        "503": reply(503, {}),
        "408": reply(408, {}),
        "409": reply(409, {}),
        "201 without a number": reply(201, {"id": 1}),
        "201 cut": raw_reply(status=201, body=b"{", promised=100),
        "307": raw_reply(status=307, headers={"Location": "/"}),
        "204": raw_reply(status=204),
        "201 with a bool": reply(201, {"promo_number": True}),
        "201 with a word": reply(201, {"promo_number": "soon"}),
        "201 with an absurd wait and no number": reply(201, {}, Retry_After="Mon, 01 Jan 2020 00:00:00 +9999999999999"),
        "500 that JSON can name and no file can hold": reply(500, {"errors": {"class": "\ud800", "invalid_data": "x"}}),
    }
    odd.replies.append(replies[name])
    result = _run(requests_frame(3), odd.network())
    assert _outcomes(result) == ["unknown", "created", "created"]
    assert [body["description"] for body in odd.posts] == ["Number 1", "Number 2", "Number 3"]
    assert result.exit_code == 1
    row = result.results.frame.iloc[0]
    assert "may have been created" in row["result_error"]
    assert "Look" in row["result_fix"]
    assert name != "500" or "error handle 42" in row["result_error"]
    assert row["result_http_status"] == {"drop": "", "201 without a number": "201", "201 cut": "201"}.get(
        name, name[:3]
    )


def test_rejection_uses_column_titles(odd: Any, reply: Any, requests_frame: Requests) -> None:
    """The field errors of a 403 name the columns as in the sheet."""
    odd.replies.append(reply(403, {"errors": {"media_type": ["is not allowed"], "local_center": {"state": ["odd"]}}}))
    frame = requests_frame(2).rename(columns={"media_type": "Media Type"})
    row = _run(frame, odd.network()).results.frame.iloc[0]
    assert row["result_status"] == "rejected"
    assert row["result_error"] == "Media Type: is not allowed; local_center.state: odd"


def test_throttled_create_is_resent(odd: Any, reply: Any, requests_frame: Requests) -> None:
    """After a 429 the row waits as asked, and is created."""
    odd.replies.extend([reply(429, {}, Retry_After="0.01"), reply(429, {}, Retry_After="0")])
    result = _run(requests_frame(1), odd.network())
    assert _outcomes(result) == ["created"]
    assert result.results.frame.iloc[0]["result_attempts"] == "3"


def test_permanent_throttling_ends_as_failed(
    odd: Any, reply: Any, requests_frame: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a limited number of attempts a row that was not created has failed, and says so."""
    # Few attempts, because each one makes the next wait longer.
    monkeypatch.setattr("invoca_bulk.execution.outcomes.retry_policy.MAX_THROTTLED_ATTEMPTS", 3)
    odd.replies.extend([reply(429, {}, Retry_After="0")] * 3)
    result = _run(requests_frame(2), odd.network())
    assert _outcomes(result) == ["failed", "created"]
    assert "Tried 3 times" in result.results.frame.iloc[0]["result_error"]


def test_wrong_token_stops_the_run(odd: Any, reply: Any, requests_frame: Requests) -> None:
    """After a 401 nothing more is sent and the exit code is 3; rows before it are created."""
    created = {"id": 9, "id_from_network": "9", "promo_number": "8055550199"}
    odd.replies.extend([reply(201, created), reply(401, {}), reply(201, created)])
    result = _run(requests_frame(5), odd.network())
    assert _outcomes(result) == ["created", "not_sent", "not_sent", "not_sent", "not_sent"]
    assert isinstance(result.error, AuthenticationError)
    assert result.exit_code == 3
    assert len(odd.posts) == 2


def test_intent_is_durable_before_the_request(odd: Any, requests_frame: Requests, tmp_path: Path) -> None:
    """When a request reaches the platform, another process can read in the journal that it was sent."""
    snapshots: list[list[tuple[str, int]]] = []
    path = journal_file(tmp_path / "journal", base_url=odd.base_url, network_id="1234")

    class Watching(list[Any]):
        def append(self, post: Any) -> None:
            reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
            snapshots.append(reader.execute("SELECT state, attempt FROM steps ORDER BY step").fetchall())
            reader.close()
            super().append(post)

    odd.posts = Watching()
    _run(requests_frame(3), odd.network())
    assert snapshots == [
        [("sent", 1), ("pending", 0), ("pending", 0)],
        [("done", 1), ("sent", 1), ("pending", 0)],
        [("done", 1), ("done", 1), ("sent", 1)],
    ]


def test_requests_in_flight_are_bounded(network: Any, box: Any, requests_frame: Requests) -> None:
    """Never more requests in flight than `concurrency`; each worker has one connection."""
    result = _run(requests_frame(30), network, concurrency=3)
    assert result.exit_code == 0
    assert len({entry.request_number for entry in box.store.ledger}) == 30


def test_broken_journal_stops_the_run(odd: Any, requests_frame: Requests, tmp_path: Path) -> None:
    """What cannot be recorded is not sent: after a journal error nothing more is sent."""
    path = journal_file(tmp_path / "journal", base_url=odd.base_url, network_id="1234")

    class Breaking(list[Any]):
        def append(self, post: Any) -> None:
            super().append(post)
            if len(self) == 2:
                other = sqlite3.connect(path)
                other.execute("UPDATE steps SET state = 'done' WHERE step > 1")
                other.commit()
                other.close()

    odd.posts = Breaking()
    result = _run(requests_frame(5), odd.network())
    assert len(odd.posts) == 2
    assert result.exit_code == 3
    assert "journal" in str(result.error)


@pytest.mark.parametrize(
    "body", [{"errors": {"description": ["\ud800"]}}, {"message": "\udfff"}], ids=["errors", "message"]
)
def test_unpaired_surrogate_in_a_response(odd: Any, reply: Any, requests_frame: Requests, body: Any) -> None:
    """Its row is rejected, and the rows that shared its commit keep their numbers."""
    odd.replies.extend([reply(403, body)])
    result = _run(requests_frame(12), odd.network(), concurrency=6)
    assert sorted(set(_outcomes(result))) == ["created", "rejected"]
    assert _outcomes(result).count("created") == 11


def test_token_is_redacted_in_responses(odd: Any, reply: Any, requests_frame: Requests, tmp_path: Path) -> None:
    """A token that the platform echoes in a message or an object is in no cell and no file of the journal."""
    created = {"id": TOKEN, "promo_number": "8055550100", "object_url": f"http://x/{TOKEN}"}
    odd.replies.extend([reply(403, {"message": f"bad {TOKEN}"}), reply(201, created)])
    result = _run(requests_frame(2), odd.network())
    assert TOKEN not in result.results.frame.to_csv()
    files = [path for path in (tmp_path / "journal").iterdir() if path.is_file()]
    assert files
    assert all(TOKEN.encode() not in path.read_bytes() for path in files)


def test_duplicate_number_is_in_doubt(odd: Any, reply: Any, requests_frame: Requests) -> None:
    """A create whose response names the number of another row, or one that the campaign had, is in doubt."""
    same = {"id": 1, "promo_number": "8055550100"}
    odd.reads.append(reply(200, [{"promo_number": "8055550199"}]))
    odd.replies.extend([reply(201, same), reply(201, same), reply(201, {"promo_number": "8055550199"})])
    result = _run(requests_frame(4), odd.network())
    assert _outcomes(result) == ["created", "unknown", "unknown", "created"]
    assert (
        "8055550100, which the campaign already had or another row has" in result.results.frame.iloc[1]["result_error"]
    )


@pytest.mark.parametrize("listing", [["x", None, 1], {"numbers": []}, "text"], ids=["junk", "object", "text"])
def test_invalid_list_stops_before_sending(odd: Any, reply: Any, requests_frame: Requests, listing: Any) -> None:
    """A response that is not a list of numbers gives one error about the base URL, and nothing is sent."""
    odd.reads.append(reply(200, listing))
    with pytest.raises(PlatformUnavailableError, match="is not the platform"):
        _run(requests_frame(2), odd.network())
    assert odd.posts == []


def test_list_with_numeric_ids(odd: Any, reply: Any, requests_frame: Requests) -> None:
    """An own id that exists is found, whether the list shows ids as numbers or as texts."""
    odd.reads.append(reply(200, [{"id_from_network": 7, "promo_number": "8055550100"}]))
    frame = requests_frame(2, id_from_network=["7", "8"], action="create")
    assert _outcomes(_run(frame, odd.network(), skip_invalid=True)) == ["invalid", "created"]


def test_unrecorded_result_is_on_the_row(odd: Any, requests_frame: Requests, tmp_path: Path) -> None:
    """If the journal breaks during a purchase, the number is on its row and nothing more is sent."""
    path = journal_file(tmp_path / "journal", base_url=odd.base_url, network_id="1234")

    class Breaking(list[Any]):
        def append(self, post: Any) -> None:
            super().append(post)
            other = sqlite3.connect(path)
            other.execute("UPDATE steps SET state = 'failed' WHERE step = 0")
            other.commit()
            other.close()

    odd.posts = Breaking()
    result = _run(requests_frame(3), odd.network())
    assert _outcomes(result) == ["created", "not_sent", "not_sent"]
    assert result.results.frame.iloc[0]["promo_number"] == "8055500001"
    assert result.exit_code == 3


def test_rows_that_are_not_done_have_error_and_fix(odd: Any, reply: Any, requests_frame: Requests) -> None:
    """Every row that is not done has a reason and a fix."""
    odd.replies.append(reply(401, {}))
    frame = _run(requests_frame(3), odd.network()).results.frame
    assert (frame["result_error"] != "").all()
    assert (frame["result_fix"] != "").all()


def test_same_sheet_is_not_bought_twice(network: Any, box: Any, requests_frame: Requests) -> None:
    """A sheet that was run before is refused with the run's id, unless `again` is set."""
    first = _run(requests_frame(2), network)
    with pytest.raises(ConfirmationRequiredError, match=first.results.run.run):
        _run(requests_frame(2), network)
    assert len(box.store.ledger) == 2
    _run(requests_frame(2), network, again=True)
    assert len(box.store.ledger) == 4


def test_run_that_sent_nothing_can_be_repeated(odd: Any, reply: Any, requests_frame: Requests) -> None:
    """After a wrong token the same sheet can be run as it is."""
    odd.replies.append(reply(401, {}))
    assert set(_outcomes(_run(requests_frame(2), odd.network()))) == {"not_sent"}
    assert set(_outcomes(_run(requests_frame(2), odd.network()))) == {"created"}


def test_sandbox_results_are_refused_on_a_real_network(box: Any, requests_frame: Requests) -> None:
    """Results of a sandbox are refused on a real network before any request."""
    results = _run(requests_frame(2), resolve_network(box)).results.frame
    real = Network(network_id="1234", token=TOKEN, base_url="https://invoca.invalid")
    with pytest.raises(InvalidSheetError, match="rehearsal"):
        _run(results, real)


def test_cap_from_the_environment(
    network: Any, box: Any, requests_frame: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """INVOCA_MAX_NEW_NUMBERS also applies to library calls."""
    monkeypatch.setenv("INVOCA_MAX_NEW_NUMBERS", "1")
    with pytest.raises(ConfirmationRequiredError, match="cap is 1"):
        _run(requests_frame(2), network)
    assert box.store.ledger == []


def test_sheet_identity_is_independent_of_the_platform(requests_frame: Requests) -> None:
    """If a campaign opens between two runs of a sheet, the second run buys only what is missing."""
    frame = requests_frame(
        2, advertiser_id_from_network="A-100", advertiser_campaign_id_from_network=["C-100", "C-9"], quantity=["2", "3"]
    )
    with Sandbox(token=TOKEN) as box:
        network = Network(base_url=box.base_url, network_id=box.network_id, token=TOKEN)
        assert _outcomes(_run(frame, network, skip_invalid=True)) == ["created", "created", "invalid"]
        box.store.add_campaign("A-100", "C-9")
        second = _run(frame, network, skip_invalid=True)
        assert len(box.store.ledger) == 5
        assert list(second.results.frame["promo_number"]) == [entry.number for entry in box.store.ledger]


@pytest.mark.parametrize("action", ["", "create"])
def test_sheet_with_own_ids_buys_once(box: Any, network: Any, requests_frame: Requests, action: str) -> None:
    """Run again, its rows are unchanged, or refused with the run's id if they ask for new numbers."""
    frame = requests_frame(2, id_from_network=["mine-1", "mine-2"], action=action)
    first = _run(frame, network)
    if action:
        with pytest.raises(ConfirmationRequiredError, match=first.results.run.run):
            _run(frame, network)
    else:
        assert _outcomes(_run(frame, network)) == ["unchanged", "unchanged"]
    assert len(box.store.ledger) == 2


def test_run_with_only_rejections_can_be_repeated(odd: Any, reply: Any, requests_frame: Requests) -> None:
    """A run that bought nothing does not block the same sheet."""
    odd.replies.extend([reply(403, {}), reply(403, {})])
    assert set(_outcomes(_run(requests_frame(2), odd.network()))) == {"rejected"}
    assert set(_outcomes(_run(requests_frame(2), odd.network()))) == {"created"}
