"""The platform's API over httpx: one request in, one response or one of two exceptions out.

Each connection is a separate httpx client: httpx's shared pool walks all its connections for each request, so its cost
grows with the square of the concurrency. HTTP/1.1 only (over HTTP/2 the transport resends a POST automatically), no
redirects (a 307 would send the body and the token to another host), no retries in the transport.
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
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx
import tenacity

from invoca_bulk import transport
from invoca_bulk.config.network import Network, is_loopback
from invoca_bulk.config.settings import (
    CONNECT_TIMEOUT_SECONDS,
    IDLE_CONNECTION_SECONDS,
    LIST_TIMEOUT_FACTOR,
    MAX_ATTEMPTS,
    MAX_LIST_BYTES,
    MAX_LIST_PAGES,
    MAX_RESPONSE_BYTES,
)
from invoca_bulk.errors import AuthenticationError, ConfigError, InDoubtError, NotSentError, PlatformUnavailableError
from invoca_bulk.schema import RESOURCES
from invoca_bulk.schema.field_types import Json, id_problem
from invoca_bulk.schema.issue_catalog import truncate
from invoca_bulk.transport import pagination


class _ResponseTooLargeError(Exception):
    """A response exceeds the size limit."""


#: Exceptions that prove that nothing of the request was sent, except bytes to a proxy.
NOT_SENT_ERRORS = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)

#: Exception class to the text shown to users; the first match counts, so subclasses come first.
ERROR_TEXTS: Mapping[type[Exception], str] = {
    httpx.ConnectTimeout: "the platform could not be reached in time",
    httpx.ConnectError: "the platform could not be reached",
    httpx.PoolTimeout: "no connection became free in time",
    httpx.ProxyError: "the proxy refused the connection",
    httpx.ReadTimeout: "no response was received in time",
    httpx.WriteTimeout: "the request could not be sent in time",
    httpx.DecodingError: "the response could not be decompressed",
    httpx.ProtocolError: "the connection broke before the response was complete",
    httpx.NetworkError: "the connection broke before the response was complete",
    httpx.UnsupportedProtocol: "the URL scheme is not supported",
    httpx.TooManyRedirects: "the platform redirected the request",
    httpx.TimeoutException: "no response was received in time",
    _ResponseTooLargeError: "the response is too large",
    TimeoutError: "no complete response was received in time",
    Exception: "the request failed unexpectedly",
}

#: Keys of secrets in responses; they are dropped while the JSON is parsed.
_SECRET_FIELDS = frozenset(
    field.path.rpartition(".")[2] for resource in RESOURCES.values() for field in resource.fields if field.secret
)
_RETRYABLE_READ_STATUSES = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
#: One of these expands a 64 KB chunk to at most 66 MB before the size limit is checked; others, or two, to any size.
_CONTENT_ENCODINGS = frozenset({"gzip", "deflate", "identity", ""})
#: They log headers and malformed lines of responses at DEBUG; the platform may echo the token in them.
_LOGGERS = tuple(map(logging.getLogger, ("httpx", "httpcore.http11", "httpcore.proxy")))
#: Number of parsed URLs to cache; a sheet typically creates numbers in a few hundred campaigns.
_URL_CACHE_SIZE = 1024
#: Maximum length of the excerpt of a plain-text response.
_MAX_TEXT_BYTES = 300


@dataclass(frozen=True, kw_only=True)
class Response:
    """A response of the platform."""

    status: int
    body: Json  # without secrets; None: the response is not JSON
    text: str = ""  # the beginning of a plain-text response; otherwise empty
    retry_after: float | None = None  # seconds that the platform asks to wait; None: it does not say
    next_url: str = ""  # the next page of a list, as the header Link names it; empty: none

    @property
    def is_success(self) -> bool:
        """Whether the status is 200."""
        return self.status == HTTPStatus.OK


class Client:
    """The API of one network; an async context manager.

    `connections`: maximum number of requests in flight. `timeout`: seconds to wait for a response. `sleep`: waits
    between the attempts of a read.
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
        parts = (network.base_url, "api", network.api_version, network.network_id)
        self._base_url = "".join(f"{part}/" for part in parts if part)  # a host of the network's own needs no id
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
        for connection in self._connections:
            await connection.aclose()
        for logger in _LOGGERS:
            logger.removeFilter(self._redact_log_record)

    def _redact_log_record(self, record: logging.LogRecord) -> bool:
        message = self._network.secret.redact(record.getMessage().encode(errors="replace"))
        record.msg, record.args = message.decode(), ()
        return True

    def url(self, path: tuple[str, ...]) -> str:
        """The URL of an object or a collection, from its path below the network, not yet percent-encoded.

        Ids may contain any character; a `ConfigError` if one would change the path.
        """
        for part in path:
            if not part or id_problem(part):
                raise ConfigError(f"The id {part!r} cannot be used in a URL.")
        url = self._base_url + "/".join(quote(part, safe="") for part in path) + ".json"
        if not _is_sent_unchanged(url):
            raise ConfigError(f"The ids {truncate(repr(path))} would be altered in the URL.")
        return url

    async def send(  # noqa: PLR0913  one request and its callbacks; keyword-only
        self,
        connection: int,
        verb: str,
        path: tuple[str, ...],
        body: Mapping[str, Json] | None = None,
        *,
        query: bytes = b"",
        on_start: Callable[[], None] = lambda: None,
        on_status: Callable[[int], None] = lambda _: None,
    ) -> Response:
        """Send a request once, on a connection that carries one request at a time; `query` names a page of a list.

        `on_start`: called just before the first byte is sent; if it raises, nothing is sent. `on_status`: called with
        the status before the body is read. A `NotSentError` means that nothing of the request reached the platform, an
        `InDoubtError` that it may have been applied.
        """
        started = False

        async def trace(event: str, _: Mapping[str, Any]) -> None:
            nonlocal started
            if not started and event.endswith("send_request_headers.started"):
                on_start()
                started = True

        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        client = self._connections[connection]
        # Not built by the client, which merges URLs, headers, parameters and cookies again for each request.
        request = httpx.Request(
            verb,
            self._cached_url(path).copy_with(query=query) if query else self._cached_url(path),
            headers=self._headers if body is None else self._json_headers,
            content=content,
            extensions={"trace": trace, "timeout": self._timeouts},
        )
        status: int | None = None
        failure: NotSentError | InDoubtError | None = None
        try:
            # httpx limits each read only; a platform that sends a byte per second would never time out.
            async with asyncio.timeout(self._timeout * (LIST_TIMEOUT_FACTOR if verb == "GET" else 1)):
                response = await client.send(request, stream=True)
                status = response.status_code
                on_status(status)
                try:
                    content = await _read_content(response, MAX_LIST_BYTES if verb == "GET" else MAX_RESPONSE_BYTES)
                finally:
                    await response.aclose()
        except Exception as error:  # noqa: BLE001  what matters is whether anything was sent
            is_unsent = status is None and (not started or isinstance(error, NOT_SENT_ERRORS))
            text = describe_error(error)
            failure = NotSentError(text) if is_unsent else InDoubtError(text, status=status)
            content = b""
        if failure:  # not raised above: its context would expose the request, with the token in its headers
            raise failure from None
        wait = transport.retry_after(response.headers.get("Retry-After"), time.time())
        content = self._network.secret.redact(content)
        is_plain_text = response.headers.get("Content-Type", "").startswith("text/plain")
        text = _text_excerpt(content) if is_plain_text else ""
        return Response(
            status=response.status_code,
            body=_parse_json(content),
            text=text,
            retry_after=wait,
            next_url=response.links.get("next", {}).get("url", ""),
        )

    async def get(self, connection: int, path: tuple[str, ...]) -> Response:
        """Read an object or a whole collection, page by page if it has pages; any other status is returned as it is.

        Raises as `get_page` does, and a `PlatformUnavailableError` if a page cannot be read.
        """
        response = await self.get_page(connection, path)
        page = pagination.parse_page(response.body, response.next_url)
        if page is None or not response.is_success:
            return response
        items, queries = [*page.items], {b""}
        while page.next_url:
            query = self._page_query(path, page.next_url)
            if query in queries or len(queries) >= MAX_LIST_PAGES:
                raise self._unreadable_page("it names the same page again, or too many")
            queries.add(query)
            page_response = await self.get_page(connection, path, query)
            next_page = pagination.parse_page(page_response.body, page_response.next_url)
            if next_page is None or not page_response.is_success:
                raise self._unreadable_page(f"it answered {page_response.status} to a further page")
            page = next_page
            items += page.items
        return replace(response, body=items, next_url="")

    def _page_query(self, path: tuple[str, ...], next_url: str) -> bytes:
        """The query of a further page, which has to be of the same list: the token goes nowhere else."""
        url = self._cached_url(path)
        try:
            next_page = url.join(next_url)
        except httpx.InvalidURL:
            raise self._unreadable_page("its address cannot be read") from None
        if next_page.copy_with(query=None, fragment=None) != url or not next_page.query:
            raise self._unreadable_page("it is at another address")
        return next_page.query

    def _unreadable_page(self, reason: str) -> PlatformUnavailableError:
        msg = f"The list at {self._network.base_url} goes on, but the rest cannot be read: {reason}. Nothing was sent."
        return PlatformUnavailableError(msg)

    async def get_page(self, connection: int, path: tuple[str, ...], query: bytes = b"") -> Response:
        """Read once, with retries; the response may have any status but those of the errors.

        An `AuthenticationError` means that the platform does not accept the token, a `PlatformUnavailableError` that
        there was no reliable response in several attempts.
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
                    response = await self.send(connection, "GET", path, query=query)
                    if response.status in _RETRYABLE_READ_STATUSES:
                        raise _RetryReadError(response)  # noqa: TRY301  for the retry
        except (NotSentError, InDoubtError, _RetryReadError) as error:
            msg = f"The platform at {self._network.base_url} could not be read: {error}. Check the base URL."
            raise PlatformUnavailableError(msg) from None
        if response.status == HTTPStatus.UNAUTHORIZED:
            raise AuthenticationError(unauthorized_message(self._network))
        return response


def _open_connections(network: Network, count: int, timeout: float) -> list[httpx.AsyncClient]:
    """One httpx client per connection.

    The error for certificates or a proxy that cannot be used has no cause or context, because the original error shows
    the proxy's password and references the token.
    """
    loopback = is_loopback(urlsplit(network.base_url).hostname or "")
    msg = "The certificates set in the environment cannot be read. Correct SSL_CERT_FILE or unset it."
    with contextlib.suppress(OSError):
        tls = httpx.create_ssl_context()
        msg = "The proxy set in the environment cannot be used. Correct HTTPS_PROXY or ALL_PROXY, or unset it."
        with contextlib.suppress(ImportError, ValueError, httpx.HTTPError, httpx.InvalidURL):
            return [_open_connection(tls, timeout, trust_env=not loopback) for _ in range(count)]
    raise ConfigError(msg)


def _is_sent_unchanged(url: str) -> bool:
    """Whether httpx sends a URL as it is; httpx rejects very long ones."""
    try:
        return str(httpx.URL(url)) == url
    except httpx.InvalidURL:
        return False


def _build_headers(network: Network, **extra: str) -> httpx.Headers:
    """The headers of each request; their repr hides the token."""
    headers = {"Accept": "application/json", "Accept-Encoding": "gzip, deflate", "User-Agent": "invoca-bulk", **extra}
    return httpx.Headers({**headers, "Authorization": network.secret.reveal()})


def _open_connection(tls: ssl.SSLContext, timeout: float, *, trust_env: bool) -> httpx.AsyncClient:
    """A client with a single connection; `trust_env` is off for a local sandbox, which a proxy cannot reach."""
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
    encodings = [name.strip().lower() for name in response.headers.get_list("Content-Encoding", split_commas=True)]
    if len(encodings) > 1 or not _CONTENT_ENCODINGS.issuperset(encodings):
        raise httpx.DecodingError("a content encoding that was not requested")
    # Without an encoding the raw stream is faster than the client's decoding layers.
    chunks = response.aiter_bytes() if encodings else response.stream
    assert isinstance(chunks, AsyncIterable)  # noqa: S101  for mypy: the client is asynchronous
    async for chunk in chunks:
        content += chunk
        if len(content) > limit:
            raise _ResponseTooLargeError
    return bytes(content)


class _RetryReadError(Exception):
    """A read got a response with a retryable status."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"it answered {response.status} in {MAX_ATTEMPTS} attempts")
        self.response = response


def _retry_delay(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    wait = error.response.retry_after if isinstance(error, _RetryReadError) else None
    return wait if wait is not None else transport.backoff(state.attempt_number, random.random())  # noqa: S311


def unauthorized_message(network: Network) -> str:
    """The error message for a 401."""
    return f"The platform does not accept the token for {network.label} (401). Check the token and the network id."


def refused_token_message(network: Network, reason: str) -> str:
    """The error message for a token without the rights that all rows need."""
    return (
        f"The platform refuses what the rows ask with this token for {network.label} ({reason.rstrip('.')}). "
        "Use the token of a person who has these rights."
    )


def describe_error(error: Exception) -> str:
    """The text for an exception; never its own message, which may contain the URL."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "the platform's certificate cannot be verified"
        cause = cause.__cause__ or cause.__context__
    return next(text for kind, text in ERROR_TEXTS.items() if isinstance(error, kind))


def _parse_json(content: bytes) -> Json:
    """The JSON value; None: not JSON, such as HTML of a gateway, a truncated body or excessive nesting."""
    try:
        # Not from the bytes: that would accept UTF-16, in which the token was not redacted.
        value = json.loads(content.decode("utf-8-sig"), object_hook=_drop_secrets)
        # An unpaired surrogate, which JSON allows but no database or file can store, becomes a question mark.
        sanitized = (
            json.dumps(value, ensure_ascii=False).encode(errors="replace") if b"\\ud" in content.lower() else None
        )
        return value if sanitized is None else json.loads(sanitized)
    except (ValueError, RecursionError):
        return None


def _text_excerpt(content: bytes) -> str:
    """The beginning of a plain text; empty if it names a secret, or has NUL bytes, which defeat the redaction."""
    if b"\0" in content or any(name.encode() in content for name in _SECRET_FIELDS):
        return ""
    return content[:_MAX_TEXT_BYTES].decode(errors="replace").strip()


def _drop_secrets(record: dict[str, Json]) -> dict[str, Json]:
    return {key: value for key, value in record.items() if key not in _SECRET_FIELDS}
