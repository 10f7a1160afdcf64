"""Where requests go, and what comes back: only the platform gets them, and no answer takes this machine down."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import zlib
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

import invoca_bulk as ib
from invoca_bulk import cli
from invoca_bulk.cli.group import command_group
from invoca_bulk.config.settings import SETTINGS, Network
from invoca_bulk.errors import ConfigError, InDoubtError, InvocaBulkError, NotSentError
from invoca_bulk.reports.validation_report import RowsInvalid
from invoca_bulk.transport import client
from invoca_bulk.transport.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pandas as pd

HERE = Path(__file__).parent


def send(network: Network, verb: str = "POST", *parts: str) -> Any:
    async def once() -> Any:
        async with Client(network, connections=1, timeout=5) as one:
            body = {"description": "x"} if verb in {"POST", "PUT"} else None
            return await one.send(0, verb, parts or ("promo_numbers",), body)

    return asyncio.run(once())


# To whom: plain HTTP, TLS, redirects, proxies


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost.evil.example",
        "http://localhost.",
        "http://localhost@evil.example",
        "http://127.0.0.1@evil.example",
        "http://evil.example#@127.0.0.1",
        "http://evil.example\\@127.0.0.1",
        "http://127.0.0.1\\@evil.example",
        "http://127.0.0.1%2eevil.example",
        "http://127.0.0.1\t.evil.example",
        "http://127.0.0.1\uff0eevil.example",
        "http://\u24dbocalhost",
        "http://[::1].evil.example",
        "http://[::1]evil.example",
        "http://0.0.0.0",
        "http://10.0.0.1",
        "http://2130706433.evil.example",
        "HTTP://EVIL.example",
        "hTTp://invoca.net",
        "//invoca.net",
        "file:///etc/passwd",
        "https://invoca.net\\.evil.example",
        "https://invoca.net@evil.example",
        "https://@invoca.net",
        "https://inv\u043eca.net",
        "https://inv%6fca.net",
        "https://invoca .net",
        "https://invoca.net\x00.evil.example",
        "https://[::1].evil.example",
    ],
)
def test_a_place_that_only_looks_like_one_is_refused(url: str) -> None:
    """Plain HTTP goes to this machine and nowhere else; a name that could be read in two ways goes nowhere."""
    with pytest.raises(ConfigError, match="base URL"):
        Network(network_id="1", token="t", base_url=url)


LOOPBACK, ELSEWHERE = "loopback.pem", "elsewhere.pem"


@pytest.mark.parametrize(
    ("certificate", "environment"),
    [
        pytest.param(LOOPBACK, {}, id="self-signed"),
        pytest.param(ELSEWHERE, {"SSL_CERT_FILE": str(HERE / ELSEWHERE)}, id="trusted-for-another-name"),
        pytest.param(LOOPBACK, {"SSL_CERT_FILE": str(HERE / ELSEWHERE)}, id="another-one-is-trusted"),
        pytest.param(LOOPBACK, {"SSL_CERT_FILE": ""}, id="empty-variable"),
        pytest.param(
            LOOPBACK,
            {"PYTHONHTTPSVERIFY": "0", "CURL_CA_BUNDLE": "", "REQUESTS_CA_BUNDLE": "", "HTTPX_VERIFY": "0"},
            id="variables-of-other-programs",
        ),
        pytest.param(LOOPBACK, {"INVOCA_VERIFY": "0", "INVOCA_INSECURE": "1"}, id="variables-that-look-like-ours"),
    ],
)
def test_a_certificate_that_cannot_be_verified_ends_it(
    secure: Any, monkeypatch: pytest.MonkeyPatch, certificate: str, environment: Mapping[str, str]
) -> None:
    """No byte of a request goes to a platform whose certificate is not vouched for, for its very name."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    server = secure(certificate)
    with pytest.raises(NotSentError, match="certificate cannot be verified"):
        send(server.network())
    assert server.heard == []


def test_a_certificate_can_be_added(secure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the test above: with the certificate of a company's own authority the same server is reached."""
    monkeypatch.setenv("SSL_CERT_FILE", str(HERE / LOOPBACK))
    server = secure(LOOPBACK)
    assert send(server.network()).status == 200
    assert len(server.heard) == 1


def test_there_is_no_switch() -> None:
    """Neither a setting nor a flag of any verb is about verification, and none takes the token."""
    verbs = [command_group.get_command(click.Context(command_group), verb) for verb in cli.COMMANDS]
    flags = {flag for verb in verbs if verb for one in verb.params for flag in one.opts}
    assert "--base-url" in flags
    words = ("verif", "insecure", "tls", "ssl", "cert", "trust", "redirect")
    assert [one for one in (*flags, *SETTINGS) for word in words if word in one] == []
    assert [one for one in flags if "token" in one] == ["--token-file"]


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_a_redirect_takes_nothing_along(odd: Any, wire: Any, raw_reply: Any, status: int, verb: str) -> None:
    """Neither token nor body goes where an answer points to."""
    moved = raw_reply(status=status, headers={"Location": f"http://127.0.0.1:{wire.port}/api/x.json"})
    odd.replies.append(moved)
    odd.reads.append(moved)
    assert send(odd.network(), verb, "advertisers", "A-1").status == status
    assert len(odd.requests) == 1
    assert wire.heard == []


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_no_proxy_gets_what_is_meant_for_this_machine(
    odd: Any, wire: Any, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Plain HTTP is for this machine; a proxy of the environment would read the token."""
    monkeypatch.setenv(variable, f"http://127.0.0.1:{wire.port}")
    assert send(odd.network()).status == 201
    assert wire.heard == []


# Which object: ids as parts of the address


def _short(own_id: str) -> str:
    return ascii(own_id)[:30]


IDS = {
    "a/../b": "a%2F..%2Fb",
    "../C": "..%2FC",
    "..\\C": "..%5CC",
    "%2e%2e": "%252e%252e",
    "%2F..%2F": "%252F..%252F",
    "a?x=1": "a%3Fx%3D1",
    "a#b": "a%23b",
    "a;b": "a%3Bb",
    "a b": "a%20b",
    "...": "...",
    "a\u2028b": "a%E2%80%A8b",
    "\u202eb": "%E2%80%AEb",
    "\uff0e\uff0e": "%EF%BC%8E%EF%BC%8E",
    "http://x": "http%3A%2F%2Fx",
    "@x": "%40x",
    "x.json": "x.json",
    "\U0001f600" * 1000: "%F0%9F%98%80" * 1000,
}


@pytest.mark.parametrize("own_id", IDS, ids=_short)
def test_an_id_arrives_as_one_part(odd: Any, requests_frame: Callable[..., pd.DataFrame], own_id: str) -> None:
    """From the sheet to the wire: whatever an id holds, the path has the same parts, and the id is one of them."""
    frame = requests_frame(1, advertiser_campaign_id_from_network=own_id)
    ib.run(frame, odd.network(), yes=True, progress=False)
    assert len(odd.paths) == 2
    base = "/api/2022-08-01/1234/advertisers/A-1/advertiser_campaigns"
    assert set(odd.paths) == {f"{base}/{IDS[own_id]}/promo_numbers.json"}


@pytest.mark.parametrize(
    "own_id",
    [".", "..", " .. ", "\u00a0..\u00a0", "a\x00b", "a\nb", "a\x7fb", "a\u0085b", "a\ud800b", "x" * 1001],
    ids=_short,
)
@pytest.mark.parametrize(
    "column", ["advertiser_id_from_network", "advertiser_campaign_id_from_network", "id_from_network"]
)
def test_an_id_that_would_change_the_address_is_an_error(
    odd: Any, requests_frame: Callable[..., pd.DataFrame], column: str, own_id: str
) -> None:
    """A row with such an id is refused before anything is sent."""
    with pytest.raises(RowsInvalid, match=column):
        ib.run(requests_frame(1, **{column: own_id}), odd.network(), yes=True, progress=False)
    assert odd.requests == []


@pytest.mark.parametrize("own_id", ["..", ".", "a\nb", "\ud800", "x" * 70_000], ids=_short)
def test_an_id_of_the_platform_cannot_change_it_either(odd: Any, reply: Any, own_id: str) -> None:
    """An id that the platform itself names goes the same way: to its own object, or nowhere."""
    odd.reads.append(reply(200, [{"id": 1, "id_from_network": own_id, "name": "x"}]))  # its users have to be asked for
    with contextlib.suppress(InvocaBulkError):
        ib.export("advertisers", odd.network())
    assert [path for path in odd.paths if path.count("/") != 4 and path.count("/") != 5] == []
    assert [path for _, path, _ in odd.requests if ".." in path or path == "."] == []
    assert odd.requests[0][1] == "advertisers"


@pytest.mark.parametrize("network_id", [".", "..", "%2e%2e", "1/..", "1\\2", "1#", "1\u2028", "1\x00", "\u0661", "1;2"])
def test_a_network_id_is_letters_and_digits(network_id: str) -> None:
    """It is part of every address."""
    with pytest.raises(ConfigError, match="network id"):
        Network(network_id=network_id, token="t")


def test_an_address_that_is_too_long_is_refused(requests_frame: Callable[..., pd.DataFrame]) -> None:
    """What httpx would not take is refused in our own words before a request is made."""
    del requests_frame
    with pytest.raises(ConfigError, match="changed on their way") as refused:
        Client(Network(network_id="1", token="t"), connections=0, timeout=1).url(("\U0001f600" * 1000,) * 6)
    assert len(str(refused.value)) < 300


# What comes back


def _deflated(content: bytes, times: int) -> bytes:
    for _ in range(times):
        content = gzip.compress(content)
    return content


PACKED: dict[str, tuple[str, bytes]] = {
    "twice": ("gzip, gzip", _deflated(b" " * 10**7, 2)),
    "three times": ("gzip,gzip , GZIP", _deflated(b" " * 10**7, 3)),
    "gzip in deflate": ("gzip, deflate", zlib.compress(_deflated(b" " * 10**7, 1))),
    "brotli": ("br", b"{}"),
    "zstandard": ("zstd", b"{}"),
    "unknown": ("x-own", b"{}"),
}


@pytest.mark.parametrize("case", PACKED)
@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_an_answer_packed_as_nobody_asked_is_not_unpacked(odd: Any, raw_reply: Any, verb: str, case: str) -> None:
    """1,700 bytes that were packed twice unpack to a gigabyte in one go, before any limit is looked at."""
    encoding, body = PACKED[case]
    packed = raw_reply(status=201, body=body, headers={"Content-Encoding": encoding})
    odd.replies.append(packed)
    odd.reads.append(packed)
    with pytest.raises(InDoubtError, match="could not be decompressed") as doubt:
        send(odd.network(), verb)
    assert doubt.value.status == 201
    assert odd.headers[0]["Accept-Encoding"] == "gzip, deflate"


def test_two_headers_are_as_two_packings(wire: Any) -> None:
    """Said in two headers it is the same."""
    body = _deflated(b" " * 10**7, 2)
    headers = f"Content-Encoding: gzip\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    wire.said = b"HTTP/1.1 201 Created\r\n" + headers.encode() + body
    with pytest.raises(InDoubtError, match="could not be decompressed"):
        send(wire.network())


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "identity", ""])
def test_an_answer_packed_once_is_read(odd: Any, raw_reply: Any, encoding: str) -> None:
    """The control of the tests above."""
    pack = {"gzip": gzip.compress, "deflate": zlib.compress}.get(encoding.lower(), bytes)
    odd.replies.append(raw_reply(status=201, body=pack(b'{"id": 7}'), headers={"Content-Encoding": encoding}))
    assert send(odd.network()).body == {"id": 7}


@pytest.mark.parametrize(
    ("verb", "limit"), [("POST", "MAX_ANSWER_BYTES"), ("PUT", "MAX_ANSWER_BYTES"), ("GET", "MAX_LIST_BYTES")]
)
@pytest.mark.parametrize("length", ["Transfer-Encoding: chunked", "Connection: close"])
def test_an_answer_without_an_end_is_cut_off(
    wire: Any, monkeypatch: pytest.MonkeyPatch, verb: str, limit: str, length: str
) -> None:
    """However an answer goes on for ever, it is given up at its limit, that of a list too."""
    monkeypatch.setattr(client, limit, 10**6)
    chunk = b" " * 0x8000
    part = b"8000\r\n" + chunk + b"\r\n" if "chunked" in length else chunk
    sent: list[bytes] = []

    def endless() -> Iterator[bytes]:
        yield f"HTTP/1.1 200 OK\r\n{length}\r\n\r\n".encode()
        for one in repeat(part, 10_000):
            sent.append(b"")
            yield one

    wire.said = endless()
    with pytest.raises(InDoubtError, match="too large") as doubt:
        send(wire.network(), verb)
    assert doubt.value.status == 200
    assert len(sent) < 5_000


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(b"X-%d: y\r\n", id="many"),
        pytest.param(b"%d" + b"x" * 10_000, id="one-long"),
    ],
)
def test_headers_without_an_end_are_cut_off(wire: Any, header: bytes) -> None:
    """The limit that httpcore has for headers holds: it may not be raised, or lost with another transport."""
    wire.said = (b"HTTP/1.1 200 OK\r\n" if not at else header % at for at in range(100_000))
    with pytest.raises(InDoubtError, match="broke"):
        send(wire.network())


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * 1_000_000, id="brackets"),
        pytest.param(b'{"a":' * 1_000_000, id="braces"),
        pytest.param(b"[" * 1_000_000 + b"]" * 1_000_000, id="closed"),
        pytest.param(b"1" * 1_000_000, id="digits"),
        pytest.param(b'{"a": ' + b"9" * 5_000 + b"}", id="digits-in-an-object"),
        pytest.param(b'{"a": "\xed\xa0\x80"}', id="half-a-surrogate-pair"),
        pytest.param(json.dumps({"a": 1}).encode("utf-16"), id="UTF-16"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_json_that_is_made_to_harm_is_none(odd: Any, raw_reply: Any, body: bytes) -> None:
    """What would take the parser, the journal or a file down is no answer; its status counts all the same."""
    odd.replies.append(raw_reply(status=201, body=body))
    answer = send(odd.network())
    assert (answer.status, answer.body) == (201, None)
