"""The client: URLs, and the two exceptions that tell whether a request may have been applied."""

from __future__ import annotations

import asyncio
import gzip
import inspect
import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoca_bulk.config.network import Network
from invoca_bulk.config.settings import MAX_ATTEMPTS
from invoca_bulk.errors import (
    AuthenticationError,
    ConfigError,
    InDoubtError,
    InvocaBulkError,
    NotSentError,
    PlatformUnavailableError,
)
from invoca_bulk.transport import client as module
from invoca_bulk.transport.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable

    from invoca_bulk.transport.client import Response

LOCAL = Network(base_url="http://127.0.0.1:9", network_id="1234", token="t")


def _post(network: Network, **options: Any) -> Response:
    async def post() -> Response:
        async with Client(network, connections=1, timeout=options.pop("timeout", 5)) as client:
            return await client.send(0, "POST", ("promo_numbers",), {"description": "x"}, **options)

    return asyncio.run(post())


def _get(network: Network, waits: list[float]) -> Response:
    """Read without waiting; the waits are recorded."""

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    async def get() -> Response:
        async with Client(network, connections=1, timeout=5, sleep=wait) as client:
            return await client.get(0, ("advertisers",))

    return asyncio.run(get())


@given(st.text(min_size=1))
def test_any_id_is_a_single_path_part(text: str) -> None:
    """An id of any characters arrives unchanged or is refused; it never addresses another object."""
    client = Client(LOCAL, connections=0, timeout=1)
    try:
        url = client.url(("advertisers", text))
    except ConfigError:
        assert text in {".", ".."} or any(
            ord(char) < 32 or 127 <= ord(char) < 160 or 0xD800 <= ord(char) < 0xE000 for char in text
        )
        return
    raw = httpx.URL(url).raw_path.decode()
    assert raw.startswith("/api/2022-08-01/1234/advertisers/")
    assert raw.count("/") == 5


@pytest.mark.parametrize("part", ["..", ".", "", "a\x00b", "a\nb"])
def test_id_that_would_change_the_path_is_refused(part: str) -> None:
    """HTTP clients collapse `/a/../b`, even percent-encoded."""
    with pytest.raises(ConfigError):
        Client(LOCAL, connections=0, timeout=1).url(("advertisers", part, "advertiser_campaigns"))


def test_every_httpx_exception_has_a_text() -> None:
    """`ERROR_TEXTS` is complete: no transport error gets the text for unexpected errors."""
    classes = [cls for _, cls in inspect.getmembers(httpx, inspect.isclass) if issubclass(cls, httpx.RequestError)]
    base_classes = {httpx.RequestError, httpx.TransportError}
    assert len(classes) > 10
    missing = {cls for cls in classes if not issubclass(cls, tuple(set(module.ERROR_TEXTS) - {Exception}))}
    assert missing <= base_classes


def test_refused_connection_is_not_sent() -> None:
    """Without a listening server nothing is sent."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with pytest.raises(NotSentError, match="could not be reached"):
        _post(Network(base_url=f"http://127.0.0.1:{port}", network_id="1", token="t"))


def test_dropped_connection_is_in_doubt(odd: Any, raw_reply: Any) -> None:
    """If the platform reads the request and closes the connection, it may have been applied."""
    odd.replies.append(raw_reply(status=None))
    with pytest.raises(InDoubtError, match="broke"):
        _post(odd.network())
    assert len(odd.posts) == 1


def test_stall_is_in_doubt(odd: Any, raw_reply: Any) -> None:
    """A timeout proves nothing."""
    odd.replies.append(raw_reply(status=None, stall=True))
    with pytest.raises(InDoubtError, match="in time"):
        _post(odd.network(), timeout=0.2)


def test_cut_body_is_in_doubt_with_its_status(odd: Any, raw_reply: Any) -> None:
    """A 201 with a broken body has created a number; `on_status` is called before the body is read."""
    odd.replies.append(raw_reply(status=201, body=b'{"id": 1', promised=500))
    statuses: list[int] = []
    with pytest.raises(InDoubtError) as doubt:
        _post(odd.network(), on_status=statuses.append)
    assert (doubt.value.status, statuses) == (201, [201])


def test_garbled_encoding_is_in_doubt(odd: Any, raw_reply: Any) -> None:
    """A body that cannot be decompressed proves nothing."""
    odd.replies.append(raw_reply(status=201, body=b"no gzip", headers={"Content-Encoding": "gzip"}))
    with pytest.raises(InDoubtError, match="decompressed"):
        _post(odd.network())


def test_response_size_is_limited(odd: Any, raw_reply: Any) -> None:
    """A small compressed response that expands to a huge one is aborted."""
    odd.replies.append(raw_reply(status=201, body=gzip.compress(b" " * 10**7), headers={"Content-Encoding": "gzip"}))
    with pytest.raises(InDoubtError, match="too large"):
        _post(odd.network())


def test_redirect_is_not_followed(odd: Any, raw_reply: Any) -> None:
    """A 307 would send the body and the token to another host."""
    odd.replies.append(raw_reply(status=307, headers={"Location": "/elsewhere"}))
    assert _post(odd.network()).status == 307
    assert len(odd.paths) == 1


def test_token_is_only_in_the_header(odd: Any) -> None:
    """`Authorization: <token>`, without a scheme word; not in the path, not in the body."""
    network = odd.network()
    _post(network)
    token = network.secret.reveal()
    assert odd.headers[0]["Authorization"] == token
    assert token not in odd.paths[0]
    assert token not in str(odd.posts)


def test_secrets_in_responses_are_dropped(odd: Any, reply: Callable[..., Any]) -> None:
    """`oauth_refresh_token` is returned by reads; the client drops it."""
    odd.replies.append(
        reply(200, {"oauth_refresh_token": "x", "users": [{"oauth_refresh_token": "y", "role": "Super"}]})
    )
    assert _post(odd.network()).body == {"users": [{"role": "Super"}]}


def test_html_response(odd: Any, raw_reply: Any) -> None:
    """A gateway in front of the platform may respond with HTML."""
    odd.replies.append(raw_reply(status=502, body=b"<html>Bad Gateway</html>"))
    response = _post(odd.network())
    assert (response.status, response.body) == (502, None)


def test_read_is_retried(odd: Any, raw_reply: Any, reply: Callable[..., Any]) -> None:
    """A read is safe to repeat: it is retried after drops, 429 and 5xx, and waits as long as the platform asks."""
    waits: list[float] = []
    odd.reads.extend([raw_reply(status=None), reply(429, {}, Retry_After="7"), reply(503, {}), reply(200, [1])])
    assert _get(odd.network(), waits).body == [1]
    assert len(waits) == 3
    assert waits[1] == 7


def test_read_gives_up(odd: Any, reply: Callable[..., Any]) -> None:
    """After a limited number of attempts the error names the platform's last status."""
    odd.reads.extend([reply(500, {})] * 20)
    with pytest.raises(PlatformUnavailableError, match="could not be read: it answered 500"):
        _get(odd.network(), [])
    assert len(odd.reads) == 20 - MAX_ATTEMPTS


def test_read_with_a_wrong_token(box: Any) -> None:
    """A 401 says what to check."""
    with pytest.raises(AuthenticationError, match="token"):
        _get(Network(base_url=box.base_url, network_id=box.network_id, token="wrong"), [])


def test_no_error_contains_the_token(odd: Any, raw_reply: Any) -> None:
    """Neither messages nor exception chains contain the token."""
    odd.replies.append(raw_reply(status=None))
    with pytest.raises(InvocaBulkError) as error:
        _post(odd.network())
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__
    assert "the-secret-token" not in repr(error.value)


def test_slow_response_times_out(odd: Any, raw_reply: Any) -> None:
    """A response that arrives byte by byte is limited by the timeout of the whole exchange."""
    odd.replies.append(raw_reply(status=201, body=b"x" * 40, drip=0.1))
    with pytest.raises(InDoubtError, match="in time") as doubt:
        _post(odd.network(), timeout=0.6)
    assert doubt.value.status == 201


def test_unusable_proxy_is_a_config_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment that httpx does not support is a setting to correct."""
    monkeypatch.setenv("ALL_PROXY", "nonsense://127.0.0.1:1")
    with pytest.raises(ConfigError, match="proxy"):
        Client(Network(network_id="1", token="t"), connections=1, timeout=1)
