"""The client: addresses, and the two exceptions that decide about money."""

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

HERE = Network(base_url="http://127.0.0.1:9", network_id="1234", token="t")


def _post(network: Network, **more: Any) -> Response:
    async def post() -> Response:
        async with Client(network, connections=1, timeout=more.pop("timeout", 5)) as client:
            return await client.send(0, "POST", ("promo_numbers",), {"description": "x"}, **more)

    return asyncio.run(post())


def _get(network: Network, waits: list[float]) -> Response:
    """Read without really waiting; the waits are noted."""

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    async def get() -> Response:
        async with Client(network, connections=1, timeout=5, sleep=wait) as client:
            return await client.get(0, ("advertisers",))

    return asyncio.run(get())


@given(st.text(min_size=1))
def test_any_id_is_one_part_of_the_path(text: str) -> None:
    """An id of any characters arrives as itself, or is refused; it never reaches another object."""
    client = Client(HERE, connections=0, timeout=1)
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
        Client(HERE, connections=0, timeout=1).url(("advertisers", part, "advertiser_campaigns"))


def test_every_exception_of_httpx_has_words() -> None:
    """The table of words is total: no transport error falls through to the words for the unexpected."""
    kinds = [kind for _, kind in inspect.getmembers(httpx, inspect.isclass) if issubclass(kind, httpx.RequestError)]
    general = {httpx.RequestError, httpx.TransportError}
    assert len(kinds) > 10
    unnamed = {kind for kind in kinds if not issubclass(kind, tuple(set(module.ERROR_TEXTS) - {Exception}))}
    assert unnamed <= general


def test_refused_connection_is_surely_not_sent() -> None:
    """Nobody listens: nothing has left."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with pytest.raises(NotSentError, match="could not be reached"):
        _post(Network(base_url=f"http://127.0.0.1:{port}", network_id="1", token="t"))


def test_dropped_connection_is_in_doubt(odd: Any, raw_reply: Any) -> None:
    """The platform read the request and closed: it may have been applied."""
    odd.replies.append(raw_reply(status=None))
    with pytest.raises(InDoubtError, match="broke"):
        _post(odd.network())
    assert len(odd.posts) == 1


def test_stall_is_in_doubt(odd: Any, raw_reply: Any) -> None:
    """No answer in time proves nothing."""
    odd.replies.append(raw_reply(status=None, stall=True))
    with pytest.raises(InDoubtError, match="in time"):
        _post(odd.network(), timeout=0.2)


def test_cut_body_is_in_doubt_with_its_status(odd: Any, raw_reply: Any) -> None:
    """A 201 with a broken body has certainly created a number; the status is told before the body is read."""
    odd.replies.append(raw_reply(status=201, body=b'{"id": 1', promised=500))
    seen: list[int] = []
    with pytest.raises(InDoubtError) as doubt:
        _post(odd.network(), on_status=seen.append)
    assert (doubt.value.status, seen) == (201, [201])


def test_garbled_encoding_is_in_doubt(odd: Any, raw_reply: Any) -> None:
    """A body that cannot be unpacked is no answer."""
    odd.replies.append(raw_reply(status=201, body=b"no gzip", headers={"Content-Encoding": "gzip"}))
    with pytest.raises(InDoubtError, match="unpacked"):
        _post(odd.network())


def test_answer_has_a_size_cap(odd: Any, raw_reply: Any) -> None:
    """A small compressed answer that unpacks to a huge one is cut off."""
    odd.replies.append(raw_reply(status=201, body=gzip.compress(b" " * 10**7), headers={"Content-Encoding": "gzip"}))
    with pytest.raises(InDoubtError, match="too large"):
        _post(odd.network())


def test_redirect_is_not_followed(odd: Any, raw_reply: Any) -> None:
    """A 307 would carry the body and the token to another host."""
    odd.replies.append(raw_reply(status=307, headers={"Location": "/elsewhere"}))
    assert _post(odd.network()).status == 307
    assert len(odd.paths) == 1


def test_token_goes_into_the_header_only(odd: Any) -> None:
    """`Authorization: <token>`, without a scheme word; not in the path, not in the body."""
    network = odd.network()
    _post(network)
    token = network.secret.reveal()
    assert odd.headers[0]["Authorization"] == token
    assert token not in odd.paths[0]
    assert token not in str(odd.posts)


def test_secrets_of_answers_are_dropped(odd: Any, reply: Callable[..., Any]) -> None:
    """`oauth_refresh_token` comes back in reads; it never gets further than the client."""
    odd.replies.append(
        reply(200, {"oauth_refresh_token": "x", "users": [{"oauth_refresh_token": "y", "role": "Super"}]})
    )
    assert _post(odd.network()).body == {"users": [{"role": "Super"}]}


def test_html_is_no_json(odd: Any, raw_reply: Any) -> None:
    """What stands in front of the platform answers in HTML."""
    odd.replies.append(raw_reply(status=502, body=b"<html>Bad Gateway</html>"))
    answer = _post(odd.network())
    assert (answer.status, answer.body) == (502, None)


def test_read_is_tried_again(odd: Any, raw_reply: Any, reply: Callable[..., Any]) -> None:
    """A read is safe to repeat: drops, 429 and 5xx are waited out, as long as the platform asks where it does."""
    waits: list[float] = []
    odd.reads.extend([raw_reply(status=None), reply(429, {}, Retry_After="7"), reply(503, {}), reply(200, [1])])
    assert _get(odd.network(), waits).body == [1]
    assert len(waits) == 3
    assert waits[1] == 7


def test_read_gives_up_with_a_sentence(odd: Any, reply: Callable[..., Any]) -> None:
    """A platform that stays broken is told as such, after a bounded number of tries."""
    odd.reads.extend([reply(500, {})] * 20)
    with pytest.raises(PlatformUnavailableError, match="could not be read: it answered 500"):
        _get(odd.network(), [])
    assert len(odd.reads) == 20 - MAX_ATTEMPTS


def test_read_with_a_wrong_token(box: Any) -> None:
    """A 401 says what to check."""
    with pytest.raises(AuthenticationError, match="token"):
        _get(Network(base_url=box.base_url, network_id=box.network_id, token="wrong"), [])


def test_no_error_holds_the_token(odd: Any, raw_reply: Any) -> None:
    """Messages and chains of exceptions are free of the token."""
    odd.replies.append(raw_reply(status=None))
    with pytest.raises(InvocaBulkError) as error:
        _post(odd.network())
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__
    assert "the-secret-token" not in repr(error.value)


def test_a_dripping_answer_comes_to_an_end(odd: Any, raw_reply: Any) -> None:
    """A byte now and then never times out by itself; the whole exchange has its time."""
    odd.replies.append(raw_reply(status=201, body=b"x" * 40, drip=0.1))
    with pytest.raises(InDoubtError, match="in time") as doubt:
        _post(odd.network(), timeout=0.6)
    assert doubt.value.status == 201


def test_a_proxy_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment that httpx cannot speak to is a setting to correct, not a traceback."""
    monkeypatch.setenv("ALL_PROXY", "nonsense://127.0.0.1:1")
    with pytest.raises(ConfigError, match="proxy"):
        Client(Network(network_id="1", token="t"), connections=1, timeout=1)
