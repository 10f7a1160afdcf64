"""The token appears in the request header and nowhere else, whatever the platform, the program or the user does."""

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
from invoca_bulk.config.network import Network
from invoca_bulk.config.options import Options
from invoca_bulk.config.secrets import Token
from invoca_bulk.errors import ConfigError, InvocaBulkError
from invoca_bulk.transport.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pandas as pd

    Requests = Callable[..., pd.DataFrame]
    ReadFiles = Callable[[Path], dict[str, bytes]]


def post(network: Network, timeout: float = 5) -> Any:
    async def send() -> Any:
        async with Client(network, connections=1, timeout=timeout) as client:
            return await client.send(0, "POST", ("promo_numbers",), {"description": "x"})

    return asyncio.run(send())


# Logs


@pytest.mark.parametrize(
    "response",
    [
        pytest.param("HTTP/1.1 403 no {}\r\nX-Echo: {}\r\nContent-Length: 2\r\n\r\n{{}}", id="answer"),
        pytest.param("Authorization: {}\r\n\r\n", id="no-answer"),
        pytest.param("HTTP/1.1 403 no\r\nAuthorization={}\r\n\r\n", id="no-header"),
    ],
)
def test_debug_logs_do_not_contain_the_token(
    raw_server: Any, secret: str, caplog: pytest.LogCaptureFixture, response: str
) -> None:
    """With all libraries logging at DEBUG, a token echoed by the platform does not appear in any log."""
    caplog.set_level(logging.DEBUG)
    raw_server.response = response.format(secret, secret).encode()
    try:
        post(raw_server.network())
    except InvocaBulkError:
        assert response[:4] != "HTTP" or "=" in response
    assert secret.encode() in raw_server.requests[0]
    assert "receive_response_headers" in caplog.text, "or nothing was logged that could hold it"
    assert secret not in caplog.text
    assert "***" in caplog.text or "HTTP/1.1 403" not in caplog.text


def test_debug_logs_of_a_run_do_not_contain_the_token(
    odd: Any, reply: Any, requests_frame: Requests, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With plan, run and journal logging at DEBUG, the log is detailed and does not contain the token."""
    caplog.set_level(logging.DEBUG)
    odd.replies.extend(
        [reply(403, {"message": f"{secret} is not a token"}, X_Echo=secret), reply(429, {}, X_Echo=secret)]
    )
    network = Network(base_url=odd.base_url, network_id="1", token=secret)
    ib.run(requests_frame(3), network, yes=True, progress=False, first_backoff=0.01)
    assert odd.headers[-1]["Authorization"] == secret
    assert len(caplog.records) > 20
    assert secret not in caplog.text


def test_log_filters_are_removed_with_the_client(raw_server: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The log filters that mask the token are removed when the client is closed."""
    raw_server.response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    post(raw_server.network())
    loggers = [logging.getLogger(name) for name in ("httpx", "httpcore.http11", "httpcore.proxy")]
    assert [logger.filters for logger in loggers] == [[], [], []]
    del caplog


# Exceptions


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and every cause and context behind it, suppressed or not."""
    pending: list[BaseException | None] = [error]
    while pending:
        if current := pending.pop():
            yield current
            pending += [current.__cause__, current.__context__]


def _shown(error: BaseException) -> str:
    """What a traceback with local variables shows of the error chain, without the test's own variables."""
    frames = [frame for link in _chain(error) for frame, _ in traceback.walk_tb(link.__traceback__)]
    assert any(frame.f_code.co_filename.endswith("client.py") for frame in frames)
    variables = [repr(frame.f_locals) for frame in frames if frame.f_code.co_filename != __file__]
    return "\n".join([*map(repr, _chain(error)), *variables])


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


def _unreachable(odd: Any, raw_reply: Any) -> None:
    del raw_reply
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        odd.base_url = f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize("fail", [_drop, _stall, _cut, _too_large, _garbled, _unreachable])
def test_exceptions_do_not_hold_the_token(odd: Any, raw_reply: Any, secret: str, fail: Any) -> None:
    """Our exceptions do not chain httpx errors, whose `request` has the header; tracebacks with locals are clean."""
    fail(odd, raw_reply)
    with pytest.raises(InvocaBulkError) as error_info:
        post(Network(base_url=odd.base_url, network_id="1", token=secret), timeout=0.5)
    chain = list(_chain(error_info.value))
    assert {type(link).__module__ for link in chain} == {"invoca_bulk.errors"}
    assert not any(hasattr(link, "request") for link in chain)
    assert secret not in _shown(error_info.value)
    assert secret.encode() not in pickle.dumps(error_info.value)


@pytest.mark.parametrize("variable", ["ALL_PROXY", "SSL_CERT_FILE"])
def test_environment_errors_do_not_hold_the_token(monkeypatch: pytest.MonkeyPatch, secret: str, variable: str) -> None:
    """An unusable proxy or certificate file is named by its variable; its password is not shown."""
    monkeypatch.setenv(variable, "nonsense://user:proxy-password@127.0.0.1:1")
    with pytest.raises(ConfigError, match=variable) as error_info:
        Client(Network(network_id="1", token=secret), connections=1, timeout=1)
    assert [*_chain(error_info.value)] == [error_info.value]
    assert secret not in _shown(error_info.value)
    assert "proxy-password" not in str(error_info.value)


# Records


@pytest.mark.parametrize(
    "show", [repr, lambda record: repr(vars(record)), lambda record: json.dumps(vars(record), default=repr)]
)
@pytest.mark.parametrize("kind", ["network", "client", "options", "plan", "saved plan"])
def test_records_do_not_show_the_token(
    box: Any, requests_frame: Requests, kind: str, show: Callable[[Any], str]
) -> None:
    """No way of printing a record shows the token."""
    token = "the-secret-token"
    network = Network(base_url=box.base_url, network_id=box.network_id, token=token)
    plan = ib.plan(requests_frame(1), network)
    client = Client(network, connections=1, timeout=1)
    records = {
        "network": network,
        "client": client,
        "options": Options(),
        "plan": plan,
        "saved plan": plan.saved_plan,
    }
    assert token not in show(records[kind])


@pytest.mark.parametrize("pack", [pickle.dumps, copy.deepcopy, dataclasses.asdict])
def test_network_is_not_serialized(secret: str, pack: Callable[[Any], object]) -> None:
    """Pickling, copying or converting a network to a dict is refused."""
    with pytest.raises(TypeError, match="token"):
        pack(Network(network_id="1", token=secret))


def test_client_is_not_pickled(secret: str) -> None:
    """A client contains the header with the token."""
    with pytest.raises(TypeError, match="token"):
        pickle.dumps(Client(Network(network_id="1", token=secret), connections=1, timeout=1))


# Responses

ECHOES: dict[str, Callable[[str], tuple[bytes, str]]] = {
    "verbatim": lambda text: (json.dumps({"message": f"bad {text}"}).encode(), "application/json"),
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
def test_echoed_token_is_masked(odd: Any, raw_reply: Any, secret: str, case: str) -> None:
    """A 4xx response that echoes the headers, in any encoding, has the token masked by the client."""
    body, content_type = ECHOES[case](secret)
    odd.replies.append(raw_reply(status=400, body=body, headers={"Content-Type": content_type}))
    response = post(Network(base_url=odd.base_url, network_id="1", token=secret))
    shown = repr((response.body, response.text)).replace("\\x00", "")
    assert not [
        spelling for spelling in (secret, secret[:10], quote(secret, safe=""), secret.lower()) if spelling in shown
    ]


@pytest.mark.parametrize("text", ['quo"te-token', "back\\slash-token"])
def test_token_with_quote_or_backslash_is_refused(text: str) -> None:
    """JSON would escape quotes and backslashes, so that the token could not be recognized and masked."""
    with pytest.raises(ConfigError):
        Token(text)


def test_no_output_contains_the_token(  # noqa: PLR0917  an end-to-end test
    cli: Any, odd: Any, reply: Any, requests_frame: Requests, secret: str, tmp_path: Path, read_files: ReadFiles
) -> None:
    """A token echoed by the platform everywhere is in no output, journal, workbook or JSON."""
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
    output = "".join(process.out + process.err for process in runs)
    assert "is not the platform" in output
    files = read_files(tmp_path)
    assert {name.rpartition(".")[2] for name in files} >= {"xlsx", "json", "sqlite"}
    assert [name for name, content in files.items() if secret.encode() in content] == []
    assert secret not in output


# The platform's own secrets


@pytest.mark.parametrize("body", [b'{"oauth_refresh_token": "r3fresh"}', b'{"oauth_refresh_token": "r3fresh", "users'])
def test_refresh_token_in_plain_text_is_masked(odd: Any, raw_reply: Any, body: bytes) -> None:
    """JSON sent as plain text, complete or truncated, is not quoted if it contains a secret."""
    odd.replies.append(raw_reply(status=500, body=body, headers={"Content-Type": "text/plain"}))
    assert "r3fresh" not in repr(post(odd.network()))


def test_no_output_contains_refresh_tokens(box: Any, network: Network, tmp_path: Path, read_files: ReadFiles) -> None:
    """The platform's refresh tokens are in no file, frame or text of a plan, run or export."""
    import pandas as pd  # noqa: PLC0415  only this test needs it

    for own_id in ("A-1", "A-2"):
        box.store.add_advertiser(own_id)
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
    plan = ib.plan(frame, network)
    plan.save(tmp_path / "plan.json")
    shown = [repr(plan.to_json()), *plan.lines()]
    for ending in ("xlsx", "csv"):
        plan.to_excel(tmp_path / f"plan.{ending}")
        shown.append(repr(ib.export("advertisers", network, output=tmp_path / f"export.{ending}")))
    results = ib.run(plan, network, yes=True, progress=False, output=tmp_path / "results.xlsx")
    advertisers = [vars(advertiser) for advertiser in box.store.networks[box.network_id].advertisers.values()]
    secrets = {"r3fresh-of-the-sheet"} | {advertiser["values"]["oauth_refresh_token"] for advertiser in advertisers}
    secrets |= {user["oauth_refresh_token"] for advertiser in advertisers for user in advertiser["users"]}
    assert len(secrets) >= 4
    assert set(results["result_status"]) == {"updated"}
    files = read_files(tmp_path)
    assert [name for name, content in files.items() for token in secrets if token.encode() in content] == []
    assert not [token for token in secrets for text in (*shown, results.to_csv()) if token in text]
