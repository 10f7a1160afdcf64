"""Network security: requests go to the platform only, and no response can harm this machine."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import warnings
import zlib
from http import HTTPStatus
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

import invoca_bulk as ib
from invoca_bulk import cli
from invoca_bulk.cli.group import command_group
from invoca_bulk.config.network import Network
from invoca_bulk.config.settings import SETTINGS
from invoca_bulk.errors import ConfigError, InDoubtError, InvocaBulkError, NotSentError
from invoca_bulk.reports.validation_report import RowsInvalid
from invoca_bulk.transport import client
from invoca_bulk.transport.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pandas as pd

FOLDER = Path(__file__).parent


def send(network: Network, verb: str = "POST", *parts: str) -> Any:
    async def request() -> Any:
        async with Client(network, connections=1, timeout=5) as client:
            body = {"description": "x"} if verb in {"POST", "PUT"} else None
            return await client.send(0, verb, parts or ("promo_numbers",), body)

    return asyncio.run(request())


# Destinations: plain HTTP, TLS, redirects, proxies


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
def test_lookalike_base_url_is_refused(url: str) -> None:
    """Plain HTTP is allowed for loopback only; ambiguous host names are refused."""
    with pytest.raises(ConfigError, match="base URL"):
        Network(network_id="1", token="t", base_url=url)


LOOPBACK, ELSEWFOLDER = "loopback.pem", "elsewhere.pem"


@pytest.mark.parametrize(
    ("certificate", "environment"),
    [
        pytest.param(LOOPBACK, {}, id="self-signed"),
        pytest.param(ELSEWFOLDER, {"SSL_CERT_FILE": str(FOLDER / ELSEWFOLDER)}, id="trusted-for-another-name"),
        pytest.param(LOOPBACK, {"SSL_CERT_FILE": str(FOLDER / ELSEWFOLDER)}, id="another-one-is-trusted"),
        pytest.param(LOOPBACK, {"SSL_CERT_FILE": ""}, id="empty-variable"),
        pytest.param(
            LOOPBACK,
            {"PYTHONHTTPSVERIFY": "0", "CURL_CA_BUNDLE": "", "REQUESTS_CA_BUNDLE": "", "HTTPX_VERIFY": "0"},
            id="variables-of-other-programs",
        ),
        pytest.param(LOOPBACK, {"INVOCA_VERIFY": "0", "INVOCA_INSECURE": "1"}, id="variables-that-look-like-ours"),
    ],
)
def test_untrusted_certificate_is_refused(
    tls_server: Any, monkeypatch: pytest.MonkeyPatch, certificate: str, environment: Mapping[str, str]
) -> None:
    """No byte of a request is sent to a server without a trusted certificate for its host name."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    server = tls_server(certificate)
    with pytest.raises(NotSentError, match="certificate cannot be verified"):
        send(server.network())
    assert server.requests == []


def test_certificate_can_be_trusted(tls_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control for the test above: once its certificate is trusted, the same server is reached."""
    monkeypatch.setenv("SSL_CERT_FILE", str(FOLDER / LOOPBACK))
    server = tls_server(LOOPBACK)
    assert send(server.network()).status == HTTPStatus.OK
    assert len(server.requests) == 1


def test_no_option_disables_verification() -> None:
    """No setting or flag of any command disables verification, and no flag takes the token itself."""
    verbs = [command_group.get_command(click.Context(command_group), verb) for verb in cli.COMMANDS]
    flags = {flag for verb in verbs if verb for parameter in verb.params for flag in parameter.opts}
    assert "--base-url" in flags
    words = ("verif", "insecure", "tls", "ssl", "cert", "trust", "redirect")
    assert [name for name in (*flags, *SETTINGS) for word in words if word in name] == []
    assert [flag for flag in flags if "token" in flag] == ["--token-file"]


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_redirect_target_gets_nothing(odd: Any, raw_server: Any, raw_reply: Any, status: int, verb: str) -> None:
    """Neither the token nor the body is sent to a redirect target."""
    redirect = raw_reply(status=status, headers={"Location": f"http://127.0.0.1:{raw_server.port}/api/x.json"})
    odd.replies.append(redirect)
    odd.reads.append(redirect)
    assert send(odd.network(), verb, "advertisers", "A-1").status == status
    assert len(odd.requests) == 1
    assert raw_server.requests == []


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_no_proxy_is_used_for_loopback(
    odd: Any, raw_server: Any, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Loopback requests bypass the proxies of the environment, which could read the token."""
    monkeypatch.setenv(variable, f"http://127.0.0.1:{raw_server.port}")
    assert send(odd.network()).status == HTTPStatus.CREATED
    assert raw_server.requests == []


# Paths: ids as path segments


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
    "\uff0e\uff0e": "%EF%BC%8E%EF%BC%8E",
    "http://x": "http%3A%2F%2Fx",
    "@x": "%40x",
    "x.json": "x.json",
    "\U0001f600" * 1000: "%F0%9F%98%80" * 1000,
}


@pytest.mark.parametrize("own_id", IDS, ids=_short)
def test_id_is_one_path_segment(odd: Any, requests_frame: Callable[..., pd.DataFrame], own_id: str) -> None:
    """Whatever characters an id contains, it is sent as exactly one path segment."""
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
def test_id_that_would_change_the_path_is_an_error(
    odd: Any, requests_frame: Callable[..., pd.DataFrame], column: str, own_id: str
) -> None:
    """A row with such an id is rejected before anything is sent."""
    with pytest.raises(RowsInvalid, match=column):
        ib.run(requests_frame(1, **{column: own_id}), odd.network(), yes=True, progress=False)
    assert odd.requests == []


@pytest.mark.parametrize("own_id", ["..", ".", "a\nb", "\ud800", "x" * 70_000], ids=_short)
def test_id_from_the_platform_cannot_change_the_path(odd: Any, reply: Any, own_id: str) -> None:
    """An id returned by the platform is escaped too, or not requested."""
    odd.reads.append(
        reply(200, [{"id": 1, "id_from_network": own_id, "name": "x"}])
    )  # without users: they have to be requested
    with contextlib.suppress(InvocaBulkError), warnings.catch_warnings(action="ignore"):  # what export leaves out
        ib.export("advertisers", odd.network())
    assert [path for path in odd.paths if path.count("/") != 4 and path.count("/") != 5] == []
    assert [path for _, path, _ in odd.requests if ".." in path or path == "."] == []
    assert odd.requests[0][1] == "advertisers"


@pytest.mark.parametrize("network_id", [".", "..", "%2e%2e", "1/..", "1\\2", "1#", "1\u2028", "1\x00", "\u0661", "1;2"])
def test_network_id_is_letters_and_digits(network_id: str) -> None:
    """It is part of every URL."""
    with pytest.raises(ConfigError, match="network id"):
        Network(network_id=network_id, token="t")


def test_too_long_url_is_refused(requests_frame: Callable[..., pd.DataFrame]) -> None:
    """A URL that httpx would reject raises our own error before a request is made."""
    del requests_frame
    with pytest.raises(ConfigError, match="would be altered") as error_info:
        Client(Network(network_id="1", token="t"), connections=0, timeout=1).url(("\U0001f600" * 1000,) * 6)
    assert len(str(error_info.value)) < 300


# Responses


def _compressed(content: bytes, times: int) -> bytes:
    for _ in range(times):
        content = gzip.compress(content)
    return content


PACKED: dict[str, tuple[str, bytes]] = {
    "twice": ("gzip, gzip", _compressed(b" " * 10**7, 2)),
    "three times": ("gzip,gzip , GZIP", _compressed(b" " * 10**7, 3)),
    "gzip in deflate": ("gzip, deflate", zlib.compress(_compressed(b" " * 10**7, 1))),
    "brotli": ("br", b"{}"),
    "zstandard": ("zstd", b"{}"),
    "unknown": ("x-own", b"{}"),
}


@pytest.mark.parametrize("case", PACKED)
@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_unrequested_encoding_is_not_decompressed(odd: Any, raw_reply: Any, verb: str, case: str) -> None:
    """1,700 bytes compressed twice unpack to a gigabyte at once, before any limit is checked."""
    encoding, body = PACKED[case]
    compressed = raw_reply(status=201, body=body, headers={"Content-Encoding": encoding})
    odd.replies.append(compressed)
    odd.reads.append(compressed)
    with pytest.raises(InDoubtError, match="could not be decompressed") as error_info:
        send(odd.network(), verb)
    assert error_info.value.status == HTTPStatus.CREATED
    assert odd.headers[0]["Accept-Encoding"] == "gzip, deflate"


def test_repeated_encoding_header_is_not_decompressed(raw_server: Any) -> None:
    """Two Content-Encoding headers are the same as one with two encodings."""
    body = _compressed(b" " * 10**7, 2)
    headers = f"Content-Encoding: gzip\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    raw_server.response = b"HTTP/1.1 201 Created\r\n" + headers.encode() + body
    with pytest.raises(InDoubtError, match="could not be decompressed"):
        send(raw_server.network())


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "identity", ""])
def test_single_compression_is_read(odd: Any, raw_reply: Any, encoding: str) -> None:
    """Control for the tests above."""
    pack = {"gzip": gzip.compress, "deflate": zlib.compress}.get(encoding.lower(), bytes)
    odd.replies.append(raw_reply(status=201, body=pack(b'{"id": 7}'), headers={"Content-Encoding": encoding}))
    assert send(odd.network()).body == {"id": 7}


@pytest.mark.parametrize(
    ("verb", "limit"), [("POST", "MAX_RESPONSE_BYTES"), ("PUT", "MAX_RESPONSE_BYTES"), ("GET", "MAX_LIST_BYTES")]
)
@pytest.mark.parametrize("length", ["Transfer-Encoding: chunked", "Connection: close"])
def test_endless_response_is_cut_off(
    raw_server: Any, monkeypatch: pytest.MonkeyPatch, verb: str, limit: str, length: str
) -> None:
    """A response that never ends is abandoned at the size limit, for lists too."""
    monkeypatch.setattr(client, limit, 10**6)
    chunk = b" " * 0x8000
    part = b"8000\r\n" + chunk + b"\r\n" if "chunked" in length else chunk
    sent: list[bytes] = []

    def endless() -> Iterator[bytes]:
        yield f"HTTP/1.1 200 OK\r\n{length}\r\n\r\n".encode()
        for body_part in repeat(part, 10_000):
            sent.append(b"")
            yield body_part

    raw_server.response = endless()
    with pytest.raises(InDoubtError, match="too large") as error_info:
        send(raw_server.network(), verb)
    assert error_info.value.status == HTTPStatus.OK
    assert len(sent) < 5_000


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(b"X-%d: y\r\n", id="many"),
        pytest.param(b"%d" + b"x" * 10_000, id="one-long"),
    ],
)
def test_endless_headers_are_cut_off(raw_server: Any, header: bytes) -> None:
    """The header limit of httpcore applies: it must not be raised, or lost with another transport."""
    raw_server.response = (b"HTTP/1.1 200 OK\r\n" if not number else header % number for number in range(100_000))
    with pytest.raises(InDoubtError, match="broke"):
        send(raw_server.network())


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
def test_malicious_json_is_dropped(odd: Any, raw_reply: Any, body: bytes) -> None:
    """JSON that would crash the parser, the journal or a file is dropped; its status still counts."""
    odd.replies.append(raw_reply(status=201, body=body))
    answer = send(odd.network())
    assert (answer.status, answer.body) == (201, None)
