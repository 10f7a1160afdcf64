"""The executor against a platform that misbehaves: each number is requested once, and every row says what is known."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from invoca_bulk import journal
from invoca_bulk.config.network import Network, resolve_network
from invoca_bulk.config.options import Options
from invoca_bulk.errors import (
    AuthenticationError,
    ConfirmationRequiredError,
    InvalidSheetError,
    PlatformUnavailableError,
)
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
    chosen = Options(**{"yes": True, "progress": False, "concurrency": 1, "first_backoff": 0.01} | options)
    return run_sheet(frame, network, chosen)


def _outcomes(finished: RunResult) -> list[str]:
    return list(finished.results.frame["result_status"])


def test_every_row_gets_its_number(box: Any, network: Any, requests_frame: Requests) -> None:
    """The number on a row is the one that the sandbox issued for it."""
    finished = _run(requests_frame(40), network, concurrency=8)
    issued = {one.body["description"]: one.number for one in box.store.ledger}
    frame = finished.results.frame
    assert finished.exit_code == 0
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
def test_what_may_have_been_created_is_never_sent_again(
    odd: Any, reply: Any, raw_reply: Any, requests_frame: Requests, name: str
) -> None:
    """A create without a trustworthy answer is `unknown`, and has reached the platform once."""
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
    finished = _run(requests_frame(3), odd.network())
    assert _outcomes(finished) == ["unknown", "created", "created"]
    assert [one["description"] for one in odd.posts] == ["Number 1", "Number 2", "Number 3"]
    assert finished.exit_code == 1
    row = finished.results.frame.iloc[0]
    assert "may have been created" in row["result_error"]
    assert "Look" in row["result_fix"]
    assert name != "500" or "error handle 42" in row["result_error"]
    assert row["result_http_status"] == {"drop": "", "201 without a number": "201", "201 cut": "201"}.get(
        name, name[:3]
    )


def test_a_refusal_lands_on_its_row_in_the_sheets_words(odd: Any, reply: Any, requests_frame: Requests) -> None:
    """A 403's field errors name the columns as the sheet has them."""
    odd.replies.append(reply(403, {"errors": {"media_type": ["is not allowed"], "local_center": {"state": ["odd"]}}}))
    frame = requests_frame(2).rename(columns={"media_type": "Media Type"})
    row = _run(frame, odd.network()).results.frame.iloc[0]
    assert row["result_status"] == "rejected"
    assert row["result_error"] == "Media Type: is not allowed; local_center.state: odd"


def test_too_many_requests_are_sent_again(odd: Any, reply: Any, requests_frame: Requests) -> None:
    """A 429 was refused unprocessed: the row waits as asked, and is created."""
    odd.replies.extend([reply(429, {}, Retry_After="0.01"), reply(429, {}, Retry_After="0")])
    finished = _run(requests_frame(1), odd.network())
    assert _outcomes(finished) == ["created"]
    assert finished.results.frame.iloc[0]["result_attempts"] == "3"


def test_a_platform_that_always_refuses_ends_as_failed(
    odd: Any, reply: Any, requests_frame: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a bounded number of tries a row that surely was not created has failed, and says so."""
    monkeypatch.setattr(
        "invoca_bulk.execution.outcomes.retry_policy.MAX_THROTTLED_ATTEMPTS", 3
    )  # each one makes the next wait longer
    odd.replies.extend([reply(429, {}, Retry_After="0")] * 3)
    finished = _run(requests_frame(2), odd.network())
    assert _outcomes(finished) == ["failed", "created"]
    assert "Tried 3 times" in finished.results.frame.iloc[0]["result_error"]


def test_a_wrong_token_stops_the_run_at_once(odd: Any, reply: Any, requests_frame: Requests) -> None:
    """A 401 in the middle: rows before it are kept, nothing more is sent, exit 3."""
    created = {"id": 9, "id_from_network": "9", "promo_number": "8055550199"}
    odd.replies.extend([reply(201, created), reply(401, {}), reply(201, created)])
    finished = _run(requests_frame(5), odd.network())
    assert _outcomes(finished) == ["created", "not_sent", "not_sent", "not_sent", "not_sent"]
    assert isinstance(finished.error, AuthenticationError)
    assert finished.exit_code == 3
    assert len(odd.posts) == 2


def test_intent_is_durable_before_the_platform_sees_the_request(
    odd: Any, requests_frame: Requests, tmp_path: Path
) -> None:
    """Whenever a request reaches the platform, another process can read in the journal that it was sent."""
    seen: list[list[tuple[str, int]]] = []
    path = journal.journal_file(tmp_path / "journal", base_url=odd.base_url, network_id="1234")

    class Watching(list[Any]):
        def append(self, post: Any) -> None:
            reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
            seen.append(reader.execute("SELECT state, attempt FROM steps ORDER BY step").fetchall())
            reader.close()
            super().append(post)

    odd.posts = Watching()
    _run(requests_frame(3), odd.network())
    assert seen == [
        [("sent", 1), ("pending", 0), ("pending", 0)],
        [("done", 1), ("sent", 1), ("pending", 0)],
        [("done", 1), ("done", 1), ("sent", 1)],
    ]


def test_requests_in_flight_are_bounded(network: Any, box: Any, requests_frame: Requests) -> None:
    """Never more requests at once than asked for; each slot has one connection."""
    finished = _run(requests_frame(30), network, concurrency=3)
    assert finished.exit_code == 0
    assert len({one.request_number for one in box.store.ledger}) == 30


def test_a_journal_that_breaks_stops_the_run(odd: Any, requests_frame: Requests, tmp_path: Path) -> None:
    """What cannot be recorded is not sent: when the journal is gone, nothing more leaves."""
    path = journal.journal_file(tmp_path / "journal", base_url=odd.base_url, network_id="1234")

    class Breaking(list[Any]):
        def append(self, post: Any) -> None:
            super().append(post)
            if len(self) == 2:
                other = sqlite3.connect(path)
                other.execute("UPDATE steps SET state = 'done' WHERE step > 1")
                other.commit()
                other.close()

    odd.posts = Breaking()
    finished = _run(requests_frame(5), odd.network())
    assert len(odd.posts) == 2
    assert finished.exit_code == 3
    assert "journal" in str(finished.error)


@pytest.mark.parametrize(
    "body", [{"errors": {"description": ["\ud800"]}}, {"message": "\udfff"}], ids=["errors", "message"]
)
def test_text_that_no_file_can_hold_spoils_nothing(odd: Any, reply: Any, requests_frame: Requests, body: Any) -> None:
    """Half a surrogate pair in an answer: its row is rejected, the rows that shared its commit keep their numbers."""
    odd.replies.extend([reply(403, body)])
    finished = _run(requests_frame(12), odd.network(), concurrency=6)
    assert sorted(set(_outcomes(finished))) == ["created", "rejected"]
    assert _outcomes(finished).count("created") == 11


def test_the_token_is_blotted_out_of_answers(odd: Any, reply: Any, requests_frame: Requests, tmp_path: Path) -> None:
    """A platform that echoes the token in a message or an object: it is in no cell and no file of the journal."""
    created = {"id": TOKEN, "promo_number": "8055550100", "object_url": f"http://x/{TOKEN}"}
    odd.replies.extend([reply(403, {"message": f"bad {TOKEN}"}), reply(201, created)])
    finished = _run(requests_frame(2), odd.network())
    assert TOKEN not in finished.results.frame.to_csv()
    files = [path for path in (tmp_path / "journal").iterdir() if path.is_file()]
    assert files
    assert all(TOKEN.encode() not in path.read_bytes() for path in files)


def test_one_number_is_never_on_two_rows(odd: Any, reply: Any, requests_frame: Requests) -> None:
    """A platform that answers two creates with the same number, or with one that the campaign had, is not believed."""
    same = {"id": 1, "promo_number": "8055550100"}
    odd.reads.append(reply(200, [{"promo_number": "8055550199"}]))
    odd.replies.extend([reply(201, same), reply(201, same), reply(201, {"promo_number": "8055550199"})])
    finished = _run(requests_frame(4), odd.network())
    assert _outcomes(finished) == ["created", "unknown", "unknown", "created"]
    assert (
        "8055550100, which the campaign had before or another row has got"
        in finished.results.frame.iloc[1]["result_error"]
    )


@pytest.mark.parametrize("listing", [["x", None, 1], {"numbers": []}, "text"], ids=["junk", "object", "text"])
def test_a_listing_that_is_none_blames_no_row(odd: Any, reply: Any, requests_frame: Requests, listing: Any) -> None:
    """What answers is not the platform: one sentence about the base URL, and nothing is sent."""
    odd.reads.append(reply(200, listing))
    with pytest.raises(PlatformUnavailableError, match="is not the platform"):
        _run(requests_frame(2), odd.network())
    assert odd.posts == []


def test_a_listing_with_numeric_ids_is_understood(odd: Any, reply: Any, requests_frame: Requests) -> None:
    """Ids come as numbers and as texts: an own id that exists is found in both."""
    odd.reads.append(reply(200, [{"id_from_network": 7, "promo_number": "8055550100"}]))
    frame = requests_frame(2, id_from_network=["7", "8"], action="create")
    assert _outcomes(_run(frame, odd.network(), skip_invalid=True)) == ["invalid", "created"]


def test_what_the_journal_could_not_take_is_on_the_row_all_the_same(
    odd: Any, requests_frame: Requests, tmp_path: Path
) -> None:
    """The journal breaks while a number is being bought: the number stands on its row, and nothing more is sent."""
    path = journal.journal_file(tmp_path / "journal", base_url=odd.base_url, network_id="1234")

    class Breaking(list[Any]):
        def append(self, post: Any) -> None:
            super().append(post)
            other = sqlite3.connect(path)
            other.execute("UPDATE steps SET state = 'failed' WHERE step = 0")
            other.commit()
            other.close()

    odd.posts = Breaking()
    finished = _run(requests_frame(3), odd.network())
    assert _outcomes(finished) == ["created", "not_sent", "not_sent"]
    assert finished.results.frame.iloc[0]["promo_number"] == "8055500001"
    assert finished.exit_code == 3


def test_a_row_that_is_not_done_says_why(odd: Any, reply: Any, requests_frame: Requests) -> None:
    """No row ends without a reason and advice."""
    odd.replies.append(reply(401, {}))
    frame = _run(requests_frame(3), odd.network()).results.frame
    assert (frame["result_error"] != "").all()
    assert (frame["result_fix"] != "").all()


def test_the_same_sheet_is_not_bought_twice(network: Any, box: Any, requests_frame: Requests) -> None:
    """A sheet that was run before is refused with the run's id, until `again` says that it is meant."""
    first = _run(requests_frame(2), network)
    with pytest.raises(ConfirmationRequiredError, match=first.results.run.run):
        _run(requests_frame(2), network)
    assert len(box.store.ledger) == 2
    _run(requests_frame(2), network, again=True)
    assert len(box.store.ledger) == 4


def test_a_run_that_sent_nothing_stands_in_nobodys_way(odd: Any, reply: Any, requests_frame: Requests) -> None:
    """After a wrong token the same sheet can be run as it is."""
    odd.replies.append(reply(401, {}))
    assert set(_outcomes(_run(requests_frame(2), odd.network()))) == {"not_sent"}
    assert set(_outcomes(_run(requests_frame(2), odd.network()))) == {"created"}


def test_a_rehearsal_is_never_taken_for_the_real_run(box: Any, requests_frame: Requests) -> None:
    """Results of a sandbox on a real network are refused before it is even asked."""
    results = _run(requests_frame(2), resolve_network(box)).results.frame
    real = Network(network_id="1234", token=TOKEN, base_url="https://invoca.invalid")
    with pytest.raises(InvalidSheetError, match="rehearsal"):
        _run(results, real)


def test_the_cap_of_the_environment_holds_for_the_library(
    network: Any, box: Any, requests_frame: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """INVOCA_MAX_NEW_NUMBERS is a guard for every door."""
    monkeypatch.setenv("INVOCA_MAX_NEW_NUMBERS", "1")
    with pytest.raises(ConfirmationRequiredError, match="cap is 1"):
        _run(requests_frame(2), network)
    assert box.store.ledger == []


def test_a_sheet_is_the_same_whatever_the_platform_said(requests_frame: Requests) -> None:
    """A campaign that opens between two runs does not make another sheet of it: only what was not bought is."""
    frame = requests_frame(
        2, advertiser_id_from_network="A-100", advertiser_campaign_id_from_network=["C-100", "C-9"], quantity=["2", "3"]
    )
    with Sandbox(token=TOKEN) as box:
        network = Network(base_url=box.base_url, network_id=box.network_id, token=TOKEN)
        assert _outcomes(_run(frame, network, skip_invalid=True)) == ["created", "created", "invalid"]
        box.store.add_campaign("A-100", "C-9")
        again = _run(frame, network, skip_invalid=True)
        assert len(box.store.ledger) == 5
        assert list(again.results.frame["promo_number"]) == [one.number for one in box.store.ledger]


@pytest.mark.parametrize("action", ["", "create"])
def test_a_sheet_with_own_ids_buys_once(box: Any, network: Any, requests_frame: Requests, action: str) -> None:
    """Its rows are not blamed for ids that they themselves have taken; what asks for new numbers names the run."""
    frame = requests_frame(2, id_from_network=["mine-1", "mine-2"], action=action)
    first = _run(frame, network)
    if action:
        with pytest.raises(ConfirmationRequiredError, match=first.results.run.run):
            _run(frame, network)
    else:
        assert _outcomes(_run(frame, network)) == ["unchanged", "unchanged"]
    assert len(box.store.ledger) == 2


def test_a_run_that_was_only_rejected_stands_in_nobodys_way(odd: Any, reply: Any, requests_frame: Requests) -> None:
    """Nothing was bought, so nothing can be bought twice."""
    odd.replies.extend([reply(403, {}), reply(403, {})])
    assert set(_outcomes(_run(requests_frame(2), odd.network()))) == {"rejected"}
    assert set(_outcomes(_run(requests_frame(2), odd.network()))) == {"created"}
