"""The platform's API over httpx: one request in, one answer or one of two exceptions out.

Every slot has a client of its own with a single connection: httpx' shared pool walks all its connections for each
request, so its cost grows with the square of the concurrency. HTTP/1.1 only (over HTTP/2 the transport sends a POST
again by itself), no redirects (a 307 would carry the body and the token to another host), no retries of the transport.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import random
import ssl
import time
from collections.abc import AsyncIterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlsplit

import httpx
import tenacity

from invoca_bulk import transport
from invoca_bulk.config.network import is_loopback
from invoca_bulk.config.settings import (
    CONNECT_TIMEOUT_SECONDS,
    IDLE_CONNECTION_SECONDS,
    LIST_TIMEOUT_FACTOR,
    MAX_ATTEMPTS,
    MAX_LIST_BYTES,
    MAX_RESPONSE_BYTES,
)
from invoca_bulk.errors import AuthenticationError, ConfigError, InDoubtError, NotSentError, PlatformUnavailableError
from invoca_bulk.schema import RESOURCES
from invoca_bulk.schema.field_types import id_problem
from invoca_bulk.schema.issue_catalog import truncate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from invoca_bulk.config.network import Network
    from invoca_bulk.schema.field_types import Json


class _ResponseTooLargeError(Exception):
    """An answer went over its limit."""


#: Exceptions after which surely nothing of the request itself has left, even if bytes went to a proxy.
NOT_SENT_ERRORS = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)

#: What went wrong, in plain words; the first class that fits, so the most special comes first.
ERROR_TEXTS: Mapping[type[Exception], str] = {
    httpx.ConnectTimeout: "the platform could not be reached in time",
    httpx.ConnectError: "the platform could not be reached",
    httpx.PoolTimeout: "no connection became free in time",
    httpx.ProxyError: "the proxy refused the connection",
    httpx.ReadTimeout: "no answer came in time",
    httpx.WriteTimeout: "the request could not be sent in time",
    httpx.DecodingError: "the answer could not be unpacked",
    httpx.ProtocolError: "the connection broke before the answer was complete",
    httpx.NetworkError: "the connection broke before the answer was complete",
    httpx.UnsupportedProtocol: "the address cannot be used",
    httpx.TooManyRedirects: "the platform redirected the request",
    httpx.TimeoutException: "no answer came in time",
    _ResponseTooLargeError: "the answer is too large to be one",
    TimeoutError: "no complete answer came in time",
    Exception: "the request failed in an unexpected way",
}

#: Leaves of the platform's answers that are secrets: they are dropped as the answer is read, and so never get further.
_SECRET_FIELDS = frozenset(
    field.path.rpartition(".")[2] for one in RESOURCES.values() for field in one.fields if field.secret
)
_RETRYABLE_READ_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_HTTP_UNAUTHORIZED = 401
#: One of these makes 66 MB of a part of 64 KB at most, before the limit is looked at; others, or two, any size.
_CONTENT_ENCODINGS = frozenset({"gzip", "deflate", "identity", ""})
#: They log answers at DEBUG: headers, or a line that is none, in which the platform may echo the token.
_LOGGERS = tuple(map(logging.getLogger, ("httpx", "httpcore.http11", "httpcore.proxy")))
#: So many addresses are kept as they were parsed: a sheet creates in some hundreds of campaigns, again and again.
_URL_CACHE_SIZE = 1024
#: So many bytes of a plain text are kept.
_MAX_TEXT_BYTES = 300


@dataclass(frozen=True, kw_only=True)
class Response:
    """What the platform said.

    Attributes:
        status: the HTTP status.
        body: the JSON value, without secrets; None when the answer is not JSON.
        text: the beginning of an answer that is plain text; else empty.
        retry_after: seconds that it asks to wait; None when it does not say.
    """

    status: int
    body: Json
    text: str = ""
    retry_after: float | None = None


class Client:
    """The API of one network; an async context manager.

    Args:
        network: where, and with which token.
        connections: how many requests may be under way at once.
        timeout: seconds to wait for an answer.
        sleep: waits between the tries of a read.
    """

    def __init__(
        self,
        network: Network,
        *,
        connections: int,
        timeout: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._sleep = sleep
        self._network = network
        self._base_url = f"{network.base_url}/api/{network.api_version}/{network.network_id}/"
        self._timeout = timeout
        self._timeouts = httpx.Timeout(timeout, connect=min(timeout, CONNECT_TIMEOUT_SECONDS)).as_dict()
        self._headers = _build_headers(network)
        self._json_headers = _build_headers(network, **{"Content-Type": "application/json"})
        self._connections = _open_connections(network, connections, timeout)
        self._cached_url = functools.lru_cache(maxsize=_URL_CACHE_SIZE)(lambda parts: httpx.URL(self.url(parts)))

    async def __aenter__(self) -> Self:
        for logger in _LOGGERS:
            logger.addFilter(self._redact_log_record)
        return self

    async def __aexit__(self, *_: object) -> None:
        for one in self._connections:
            await one.aclose()
        for logger in _LOGGERS:
            logger.removeFilter(self._redact_log_record)

    def _redact_log_record(self, record: logging.LogRecord) -> bool:
        told = self._network.secret.redact(record.getMessage().encode(errors="replace"))
        record.msg, record.args = told.decode(), ()
        return True

    def url(self, path: tuple[str, ...]) -> str:
        """The address of an object or a collection.

        Args:
            path: the path below the network, not yet percent-encoded; ids may hold any character.

        Raises:
            ConfigError: a part would change the path.
        """
        for part in path:
            if not part or id_problem(part):
                msg = f"The id {part!r} cannot be part of an address."
                raise ConfigError(msg)
        url = self._base_url + "/".join(quote(part, safe="") for part in path) + ".json"
        if not _is_sent_unchanged(url):
            msg = f"The ids {truncate(repr(path))} would be changed on their way to the platform."
            raise ConfigError(msg)
        return url

    async def send(  # noqa: PLR0913  one request, and who is told of it; keyword-only
        self,
        connection: int,
        verb: str,
        path: tuple[str, ...],
        body: Mapping[str, Json] | None = None,
        *,
        on_start: Callable[[], None] = lambda: None,
        on_status: Callable[[int], None] = lambda _: None,
    ) -> Response:
        """Send one request, once.

        Args:
            connection: whose connection to use; a slot has one request under way at a time.
            verb: the HTTP method.
            path: the path below the network.
            body: the JSON object.
            on_start: called just before the first byte is sent; it may raise, and then nothing is.
            on_status: called as soon as the status is there, before the body is read.

        Raises:
            NotSentError: surely nothing of the request reached the platform.
            InDoubtError: it may have been applied.
        """
        started = False

        async def trace(event: str, _: Mapping[str, Any]) -> None:
            nonlocal started
            if not started and event.endswith("send_request_headers.started"):
                on_start()
                started = True

        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        client = self._connections[connection]
        # Not by the client, which merges addresses, headers, parameters and cookies anew for each request.
        request = httpx.Request(
            verb,
            self._cached_url(path),
            headers=self._headers if body is None else self._json_headers,
            content=content,
            extensions={"trace": trace, "timeout": self._timeouts},
        )
        status: int | None = None
        failure: NotSentError | InDoubtError | None = None
        try:
            # httpx times each read only; a platform that sends a byte a second would never come to an end.
            async with asyncio.timeout(self._timeout * (LIST_TIMEOUT_FACTOR if verb == "GET" else 1)):
                response = await client.send(request, stream=True)
                status = response.status_code
                on_status(status)
                try:
                    content = await _read_content(response, MAX_LIST_BYTES if verb == "GET" else MAX_RESPONSE_BYTES)
                finally:
                    await response.aclose()
        except Exception as error:  # noqa: BLE001  whatever it is, what counts is whether anything was sent
            failure = _build_call_error(error, started=started, status=status)
            content = b""
        if failure:  # not raised above: its context would lead to the request, and to the token in its headers
            raise failure from None
        wait = transport.retry_after(response.headers.get("Retry-After"), time.time())
        content = self._network.secret.redact(content)
        plain = response.headers.get("Content-Type", "").startswith("text/plain")
        text = _text_excerpt(content) if plain else ""
        return Response(status=response.status_code, body=_parse_json(content), text=text, retry_after=wait)

    async def get(self, connection: int, path: tuple[str, ...]) -> Response:
        """Read something, with retries.

        Returns:
            The platform's answer, whatever its status, unless it is one of those below.

        Raises:
            AuthenticationError: the platform does not accept the token.
            PlatformUnavailableError: no trustworthy answer came, after several tries.
        """
        try:
            async for attempt in tenacity.AsyncRetrying(
                retry=tenacity.retry_if_exception_type((NotSentError, InDoubtError, _RetryReadError)),
                stop=tenacity.stop_after_attempt(MAX_ATTEMPTS),
                wait=_retry_delay,
                sleep=self._sleep,
                reraise=True,
            ):
                with attempt:
                    answer = await self._read_once(connection, path)
        except (NotSentError, InDoubtError, _RetryReadError) as error:
            msg = f"The platform at {self._network.base_url} could not be read: {error}. Check the base URL."
            raise PlatformUnavailableError(msg) from None
        if answer.status == _HTTP_UNAUTHORIZED:
            raise AuthenticationError(unauthorized_message(self._network))
        return answer

    async def _read_once(self, connection: int, path: tuple[str, ...]) -> Response:
        answer = await self.send(connection, "GET", path)
        if answer.status in _RETRYABLE_READ_STATUSES:
            raise _RetryReadError(answer)
        return answer


def _open_connections(network: Network, count: int, timeout: float) -> list[httpx.AsyncClient]:
    """A client for each slot.

    Raises:
        ConfigError: the environment names certificates or a proxy that cannot be used; its context is empty, since
            the error behind it shows the proxy's password and leads to the token.
    """
    loopback = is_loopback(urlsplit(network.base_url).hostname or "")
    msg = "The certificates that the environment names cannot be read. Correct SSL_CERT_FILE, or unset it."
    with contextlib.suppress(OSError):
        tls = httpx.create_ssl_context()
        msg = "The proxy that the environment names cannot be used. Correct HTTPS_PROXY or ALL_PROXY, or unset it."
        with contextlib.suppress(ImportError, ValueError, httpx.HTTPError, httpx.InvalidURL):
            return [_open_connection(tls, timeout, trust_env=not loopback) for _ in range(count)]
    raise ConfigError(msg)


def _is_sent_unchanged(url: str) -> bool:
    """Whether an address is sent as it is; httpx refuses one that is very long."""
    try:
        return str(httpx.URL(url)) == url
    except httpx.InvalidURL:
        return False


def _build_headers(network: Network, **more: str) -> httpx.Headers:
    """The headers of each request; they show the token to nobody who looks at them."""
    told = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate", "User-Agent": "invoca-bulk", **more}
    return httpx.Headers({**told, "Authorization": network.secret.reveal()})


def _open_connection(tls: ssl.SSLContext, timeout: float, *, trust_env: bool) -> httpx.AsyncClient:
    """A client with a single connection. A proxy of the environment cannot reach this machine's own sandbox."""
    return httpx.AsyncClient(
        http2=False,
        follow_redirects=False,
        verify=tls,
        trust_env=trust_env,
        limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=IDLE_CONNECTION_SECONDS),
        timeout=httpx.Timeout(timeout, connect=min(timeout, CONNECT_TIMEOUT_SECONDS)),
    )


async def _read_content(response: httpx.Response, limit: int) -> bytes:
    content = bytearray()
    packings = [one.strip().lower() for one in response.headers.get_list("Content-Encoding", split_commas=True)]
    if len(packings) > 1 or not _CONTENT_ENCODINGS.issuperset(packings):
        raise httpx.DecodingError("packed in a way that was not asked for")
    # What is not packed is taken as it comes, without the client's layers for packings.
    chunks = response.aiter_bytes() if packings else response.stream
    assert isinstance(chunks, AsyncIterable)  # noqa: S101  tells mypy what an asynchronous client gives
    async for chunk in chunks:
        content += chunk
        if len(content) > limit:
            raise _ResponseTooLargeError
    return bytes(content)


class _RetryReadError(Exception):
    """A read got an answer that says to come back."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"it answered {response.status}, {MAX_ATTEMPTS} times")
        self.response = response


def _retry_delay(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.response.retry_after if isinstance(error, _RetryReadError) else None
    return asked if asked is not None else transport.backoff(state.attempt_number, random.random())  # noqa: S311


def unauthorized_message(network: Network) -> str:
    """The sentence for a 401."""
    return (
        f"The platform does not accept the token for network {network.network_id} at {network.base_url} (401). "
        "Check the token and the network id."
    )


def describe_error(error: Exception) -> str:
    """What went wrong, in plain words; never the exception's own, which may hold the address."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "the platform's certificate cannot be verified"
        cause = cause.__cause__ or cause.__context__
    return next(text for kind, text in ERROR_TEXTS.items() if isinstance(error, kind))


def _build_call_error(error: Exception, *, started: bool, status: int | None) -> NotSentError | InDoubtError:
    if status is None and (not started or isinstance(error, NOT_SENT_ERRORS)):
        return NotSentError(describe_error(error))
    return InDoubtError(describe_error(error), status=status)


def _parse_json(content: bytes) -> Json:
    """The JSON value, or None: HTML of whatever stands in front, a cut body, a bomb of brackets."""
    try:
        # Not from the bytes: that would take UTF-16 as well, in which nobody has looked for the token.
        value = json.loads(content.decode("utf-8-sig"), object_hook=_drop_secrets)
        # Half a surrogate pair, which JSON can name and no database or file can hold, becomes a question mark.
        sound = json.dumps(value, ensure_ascii=False).encode(errors="replace") if b"\\ud" in content.lower() else None
        return value if sound is None else json.loads(sound)
    except (ValueError, RecursionError):
        return None


def _text_excerpt(content: bytes) -> str:
    """The beginning of a plain text; empty for one in which a secret would not be found, or that names one."""
    if b"\0" in content or any(name.encode() in content for name in _SECRET_FIELDS):
        return ""
    return content[:_MAX_TEXT_BYTES].decode(errors="replace").strip()


def _drop_secrets(record: dict[str, Json]) -> dict[str, Json]:
    return {key: value for key, value in record.items() if key not in _SECRET_FIELDS}
