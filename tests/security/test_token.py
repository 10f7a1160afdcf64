"""The token is in the header of a request and nowhere else, whatever the platform, the program or its user does."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import json
import logging
import pickle
import socket
import traceback
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

import invoca_bulk as ib
from invoca_bulk.config.options import Options
from invoca_bulk.config.settings import Network, Token
from invoca_bulk.errors import ConfigError, InvocaBulkError
from invoca_bulk.transport.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pandas as pd

    Requests = Callable[..., pd.DataFrame]
    Everything = Callable[[Path], dict[str, bytes]]


def post(network: Network, timeout: float = 5) -> Any:
    async def send() -> Any:
        async with Client(network, connections=1, timeout=timeout) as client:
            return await client.send(0, "POST", ("promo_numbers",), {"description": "x"})

    return asyncio.run(send())


# Logs


@pytest.mark.parametrize(
    "said",
    [
        pytest.param("HTTP/1.1 403 no {}\r\nX-Echo: {}\r\nContent-Length: 2\r\n\r\n{{}}", id="answer"),
        pytest.param("Authorization: {}\r\n\r\n", id="no-answer"),
        pytest.param("HTTP/1.1 403 no\r\nAuthorization={}\r\n\r\n", id="no-header"),
    ],
)
def test_a_log_of_everything_does_not_hold_the_token(
    wire: Any, secret: str, caplog: pytest.LogCaptureFixture, said: str
) -> None:
    """With all libraries logging at DEBUG, a platform that echoes the token around its answer puts it into no log."""
    caplog.set_level(logging.DEBUG)
    wire.said = said.format(secret, secret).encode()
    try:
        post(wire.network())
    except InvocaBulkError:
        assert said[:4] != "HTTP" or "=" in said
    assert secret.encode() in wire.heard[0]
    assert "receive_response_headers" in caplog.text, "or nothing was logged that could hold it"
    assert secret not in caplog.text
    assert "***" in caplog.text or "HTTP/1.1 403" not in caplog.text


def test_a_whole_run_can_be_logged(
    odd: Any, reply: Any, requests_frame: Requests, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Plan, run and journal, all at DEBUG: the log tells a lot, and not the token."""
    caplog.set_level(logging.DEBUG)
    odd.replies.extend([reply(403, {"message": f"{secret} is no token"}, X_Echo=secret), reply(429, {}, X_Echo=secret)])
    network = Network(base_url=odd.base_url, network_id="1", token=secret)
    ib.run(requests_frame(3), network, yes=True, progress=False, first_backoff=0.01)
    assert odd.headers[-1]["Authorization"] == secret
    assert len(caplog.records) > 20
    assert secret not in caplog.text


def test_other_logs_are_left_alone(wire: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What hides the token goes with the client; nothing of it stays in the process."""
    wire.said = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    post(wire.network())
    loggers = [logging.getLogger(name) for name in ("httpx", "httpcore.http11", "httpcore.proxy")]
    assert [one.filters for one in loggers] == [[], [], []]
    del caplog


# Exceptions


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all that any tool could find behind it, suppressed or not."""
    waiting: list[BaseException | None] = [error]
    while waiting:
        if one := waiting.pop():
            yield one
            waiting += [one.__cause__, one.__context__]


def _shown(error: BaseException) -> str:
    """What a traceback with local variables shows of the error and all behind it; the test's own variables left out."""
    frames = [frame for one in _chain(error) for frame, _ in traceback.walk_tb(one.__traceback__)]
    assert any(frame.f_code.co_filename.endswith("client.py") for frame in frames)
    shown = [repr(frame.f_locals) for frame in frames if frame.f_code.co_filename != __file__]
    return "\n".join([*map(repr, _chain(error)), *shown])


def _drop(odd: Any, raw_reply: Any) -> None:
    odd.replies.append(raw_reply(status=None))


def _stall(odd: Any, raw_reply: Any) -> None:
    odd.replies.append(raw_reply(status=None, stall=True))


def _cut(odd: Any, raw_reply: Any) -> None:
    odd.replies.append(raw_reply(status=201, body=b"{", promised=500))


def _too_large(odd: Any, raw_reply: Any) -> None:
    odd.replies.append(raw_reply(status=201, body=b" " * 6 * 2**20))


def _garbled(odd: Any, raw_reply: Any) -> None:
    odd.replies.append(raw_reply(status=201, body=b"no gzip", headers={"Content-Encoding": "gzip"}))


def _gone(odd: Any, raw_reply: Any) -> None:
    del raw_reply
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        odd.base_url = f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize("fail", [_drop, _stall, _cut, _too_large, _garbled, _gone])
def test_an_exception_leads_nowhere(odd: Any, raw_reply: Any, secret: str, fail: Any) -> None:
    """Behind our exceptions are none of httpx, whose `request` holds the header; a traceback with locals shows none."""
    fail(odd, raw_reply)
    with pytest.raises(InvocaBulkError) as failed:
        post(Network(base_url=odd.base_url, network_id="1", token=secret), timeout=0.5)
    chain = list(_chain(failed.value))
    assert {type(one).__module__ for one in chain} == {"invoca_bulk.errors"}
    assert not any(hasattr(one, "request") for one in chain)
    assert secret not in _shown(failed.value)
    assert secret.encode() not in pickle.dumps(failed.value)


@pytest.mark.parametrize("variable", ["ALL_PROXY", "SSL_CERT_FILE"])
def test_a_broken_environment_leads_nowhere(monkeypatch: pytest.MonkeyPatch, secret: str, variable: str) -> None:
    """A proxy or a file of certificates that cannot be used is named by its variable; its password is not shown."""
    monkeypatch.setenv(variable, "nonsense://user:proxy-password@127.0.0.1:1")
    with pytest.raises(ConfigError, match=variable) as failed:
        Client(Network(network_id="1", token=secret), connections=1, timeout=1)
    assert [*_chain(failed.value)] == [failed.value]
    assert secret not in _shown(failed.value)
    assert "proxy-password" not in str(failed.value)


# Records


@pytest.mark.parametrize("show", [repr, lambda one: repr(vars(one)), lambda one: json.dumps(vars(one), default=repr)])
@pytest.mark.parametrize("made", ["network", "client", "options", "preview", "kept"])
def test_no_record_shows_it(box: Any, requests_frame: Requests, made: str, show: Callable[[Any], str]) -> None:
    """However a record is looked at, the token is not in sight."""
    token = "the-secret-token"
    network = Network(base_url=box.base_url, network_id=box.network_id, token=token)
    preview = ib.plan(requests_frame(1), network)
    client = Client(network, connections=1, timeout=1)
    records = {
        "network": network,
        "client": client,
        "options": Options(),
        "preview": preview,
        "kept": preview.saved_plan,
    }
    assert token not in show(records[made])


@pytest.mark.parametrize("pack", [pickle.dumps, copy.deepcopy, dataclasses.asdict])
def test_a_network_is_not_packed(secret: str, pack: Callable[[Any], object]) -> None:
    """What would carry the token to another process or into a dict says that it does not."""
    with pytest.raises(TypeError, match="token"):
        pack(Network(network_id="1", token=secret))


def test_a_client_is_not_pickled(secret: str) -> None:
    """The header is in it."""
    with pytest.raises(TypeError, match="token"):
        pickle.dumps(Client(Network(network_id="1", token=secret), connections=1, timeout=1))


# Answers

ECHOES: dict[str, Callable[[str], tuple[bytes, str]]] = {
    "as it is": lambda text: (json.dumps({"message": f"bad {text}"}).encode(), "application/json"),
    "escaped slashes": lambda text: (json.dumps({"message": text}).replace("/", "\\/").encode(), "application/json"),
    "escaped throughout": lambda text: (
        ('{"message": "' + "".join(f"\\u{ord(char):04X}" for char in text) + '"}').encode(),
        "application/json",
    ),
    "in an address": lambda text: (json.dumps({"message": f"/x?{quote(text, safe='')}"}).encode(), "application/json"),
    "a field's error": lambda text: (json.dumps({"errors": {text: [text]}}).encode(), "application/json"),
    "UTF-16": lambda text: (json.dumps({"message": text}).encode("utf-16"), "application/json"),
    "plain text": lambda text: (f"headers: Authorization: {text}".encode(), "text/plain"),
    "plain text, UTF-16": lambda text: (text.encode("utf-16"), "text/plain"),
    "at the cut": lambda text: (b"x" * 290 + text.encode(), "text/plain"),
    "HTML": lambda text: (f"<html>{text}</html>".encode(), "text/html"),
}


@pytest.mark.parametrize("case", ECHOES)
def test_an_echo_is_blotted_out(odd: Any, raw_reply: Any, secret: str, case: str) -> None:
    """A 4xx that gives the headers back, in whatever spelling, does not get the token past the client."""
    body, kind = ECHOES[case](secret)
    odd.replies.append(raw_reply(status=400, body=body, headers={"Content-Type": kind}))
    answer = post(Network(base_url=odd.base_url, network_id="1", token=secret))
    told = repr((answer.body, answer.text)).replace("\\x00", "")
    assert not [one for one in (secret, secret[:10], quote(secret, safe=""), secret.lower()) if one in told]


@pytest.mark.parametrize("text", ['quo"te-token', "back\\slash-token"])
def test_a_token_that_could_not_be_found_again_is_refused(text: str) -> None:
    """No token has a quote or a backslash; JSON would spell it in a way in which it is not looked for."""
    with pytest.raises(ConfigError):
        Token(text)


def test_nothing_that_is_written_or_printed_holds_it(  # noqa: PLR0917  the parts of a whole way
    cli: Any, odd: Any, reply: Any, requests_frame: Requests, secret: str, tmp_path: Path, everything: Everything
) -> None:
    """A platform that echoes the token wherever it can: it is in no output, no journal, no workbook, no JSON."""
    requests_frame(4).to_csv(tmp_path / "sheet.csv", index=False)
    created = {"id": secret, "promo_number": "8055550100", "object_url": f"https://x/{secret}", "description": secret}
    odd.replies.extend([reply(403, {"errors": {"description": [secret]}}), reply(201, created), reply(500, [secret])])
    environment = {"INVOCA_BASE_URL": odd.base_url, "INVOCA_NETWORK_ID": "1234", "INVOCA_API_TOKEN": secret}
    runs = [
        cli("plan", "sheet.csv", "--save", "plan.json", "-o", "plan.xlsx", "--json", **environment),
        cli("run", "sheet.csv", "--yes", "--json", "--concurrency", "1", **environment),
    ]
    odd.reads.extend([reply(200, {"message": secret})] * 2)
    runs += [cli("plan", "sheet.csv", **environment), cli("run", "sheet.csv", "--yes", "--again", **environment)]
    told = "".join(one.out + one.err for one in runs)
    assert "is not the platform" in told
    files = everything(tmp_path)
    assert {name.rpartition(".")[2] for name in files} >= {"xlsx", "json", "sqlite"}
    assert [name for name, content in files.items() if secret.encode() in content] == []
    assert secret not in told


# The platform's own secrets


@pytest.mark.parametrize("body", [b'{"oauth_refresh_token": "r3fresh"}', b'{"oauth_refresh_token": "r3fresh", "users'])
def test_a_refresh_token_in_a_plain_text(odd: Any, raw_reply: Any, body: bytes) -> None:
    """JSON that calls itself plain text, whole or cut, is not quoted where it names a secret."""
    odd.replies.append(raw_reply(status=500, body=body, headers={"Content-Type": "text/plain"}))
    assert "r3fresh" not in repr(post(odd.network()))


def test_refresh_tokens_get_nowhere(box: Any, network: Network, tmp_path: Path, everything: Everything) -> None:
    """Read, planned, changed, exported: of the platform's refresh tokens none is in any file, frame or text."""
    import pandas as pd  # noqa: PLC0415  the others need no frame of their own

    for one in ("A-1", "A-2"):
        box.store.add_advertiser(one)
    body = {
        "id_from_network": "U-1",
        "first_name": "Ana",
        "last_name": "Bo",
        "role": "Super",
        "contact_phone_number": "8055550100",
    }
    mail = {"email_settings.1.email_address": "a@example.com", "email_settings.1.use_for_notifications": "true"}
    users = pd.DataFrame([{"advertiser_id_from_network": "A-1", **body, **mail}])
    frames = {
        "advertisers": pd.DataFrame({"id_from_network": ["A-1"], "oauth_refresh_token": ["r3fresh-of-the-sheet"]}),
        "users": users,
    }
    ib.run(frames, network, yes=True, progress=False)
    frame = pd.DataFrame({"id_from_network": ["A-1", "A-2"], "web_integration_phone_number": ["8005550100", "x"]})
    frame.iloc[1, 1] = "8005550101"
    preview = ib.plan(frame, network)
    preview.keep(tmp_path / "plan.json")
    shown = [repr(preview.to_json()), *preview.lines()]
    for ending in ("xlsx", "csv"):
        preview.save(tmp_path / f"plan.{ending}")
        shown.append(repr(ib.export("advertisers", network, tmp_path / f"export.{ending}")))
    results = ib.run(preview, network, yes=True, progress=False, output=tmp_path / "results.xlsx")
    kept = [vars(one) for one in box.store.networks[box.network_id].advertisers.values()]
    secrets = {"r3fresh-of-the-sheet"} | {one["values"]["oauth_refresh_token"] for one in kept}
    secrets |= {user["oauth_refresh_token"] for one in kept for user in one["users"]}
    assert len(secrets) >= 4
    assert set(results["result_status"]) == {"updated"}
    found = [name for name, content in everything(tmp_path).items() for one in secrets if one.encode() in content]
    assert found == []
    assert not [one for one in secrets for text in (*shown, results.to_csv()) if one in text]
