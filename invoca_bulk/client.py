"""The platform's API over httpx: one request in, one answer or one of two exceptions out.

Every slot has a client of its own with a single connection: httpx' shared pool walks all its connections for each
request, so its cost grows with the square of the concurrency. HTTP/1.1 only (over HTTP/2 the transport sends a POST
again by itself), no redirects (a 307 would carry the body and the token to another host), no retries of the transport.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlsplit

import httpx
import tenacity

from invoca_bulk import pacing
from invoca_bulk.errors import InDoubt, NotAuthorized, NotSent, PlatformUnavailable, SettingInvalid
from invoca_bulk.schema import RESOURCES
from invoca_bulk.schema.kinds import id_problem
from invoca_bulk.settings import (
    CONNECT_TIMEOUT,
    IDLE_CONNECTION,
    MAX_ANSWER_BYTES,
    MAX_ATTEMPTS,
    is_loopback,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from invoca_bulk.schema.kinds import Json
    from invoca_bulk.settings import Network


class _AnswerTooLarge(Exception):
    """An answer went over `MAX_ANSWER_BYTES`."""


#: Exceptions after which surely nothing of the request itself has left, even if bytes went to a proxy.
NOTHING_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)

#: What went wrong, in plain words; the first class that fits, so the most special comes first.
WORDS: Mapping[type[Exception], str] = {
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
    _AnswerTooLarge: f"the answer is larger than {MAX_ANSWER_BYTES >> 20} MB",
    Exception: "the request failed in an unexpected way",
}

#: Leaves of the platform's answers that are secrets: they are dropped as the answer is read, and so never get further.
_SECRETS = frozenset(
    field.path.rpartition(".")[2] for one in RESOURCES.values() for field in one.fields if field.secret
)
_READ_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_UNAUTHORIZED = 401


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the platform said.

    Attributes:
        status: the HTTP status.
        body: the JSON value, without secrets; None when the answer is not JSON.
        retry_after: seconds that it asks to wait; None when it does not say.
    """

    status: int
    body: Json
    retry_after: float | None = None


class Client:
    """The API of one network; an async context manager.

    Args:
        network: where, and with which token.
        slots: how many requests may be under way at once.
        timeout: seconds to wait for an answer.
        sleep: waits between the tries of a read.
    """

    def __init__(
        self,
        network: Network,
        *,
        slots: int,
        timeout: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._sleep = sleep
        self._network = network
        self._base = f"{network.base_url}/api/{network.api_version}/{network.network_id}/"
        loopback = is_loopback(urlsplit(network.base_url).hostname or "")
        tls = ssl.create_default_context()
        self._slots = [
            httpx.AsyncClient(
                headers={"Authorization": network.secret.reveal(), "Accept": "application/json"},
                http2=False,
                follow_redirects=False,
                verify=tls,
                trust_env=not loopback,  # a proxy of the environment cannot reach this machine's own sandbox
                limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=IDLE_CONNECTION),
                timeout=httpx.Timeout(timeout, connect=min(timeout, CONNECT_TIMEOUT)),
            )
            for _ in range(slots)
        ]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for one in self._slots:
            await one.aclose()

    def url(self, parts: tuple[str, ...]) -> str:
        """The address of an object or a collection.

        Args:
            parts: the path below the network, not yet percent-encoded; ids may hold any character.

        Raises:
            SettingInvalid: a part would change the path.
        """
        for part in parts:
            if not part or id_problem(part):
                msg = f"The id {part!r} cannot be part of an address."
                raise SettingInvalid(msg)
        url = self._base + "/".join(quote(part, safe="") for part in parts) + ".json"
        if str(httpx.URL(url)) != url:
            msg = f"The ids {parts!r} would be changed on their way to the platform."
            raise SettingInvalid(msg)
        return url

    async def send(
        self,
        slot: int,
        verb: str,
        parts: tuple[str, ...],
        body: Mapping[str, Json] | None = None,
        *,
        on_status: Callable[[int], None] = lambda _: None,
    ) -> Answer:
        """Send one request, once.

        Args:
            slot: whose connection to use; a slot has one request under way at a time.
            verb: the HTTP method.
            parts: the path below the network.
            body: the JSON object.
            on_status: called as soon as the status is there, before the body is read.

        Raises:
            NotSent: surely nothing of the request reached the platform.
            InDoubt: it may have been applied.
        """
        started = False

        async def trace(event: str, _: Mapping[str, Any]) -> None:
            nonlocal started
            started = started or event.endswith("send_request_headers.started")

        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        client = self._slots[slot]
        request = client.build_request(
            verb, self.url(parts), content=content, headers=headers, extensions={"trace": trace}
        )
        try:
            response = await client.send(request, stream=True)
        except Exception as error:  # noqa: BLE001  whatever it is, what counts is whether anything was sent
            raise _failure(error, started=started) from None
        on_status(response.status_code)
        return await self._answer(response)

    async def _answer(self, response: httpx.Response) -> Answer:
        try:
            content = await _content(response)
        except Exception as error:  # noqa: BLE001  the status is there, so it is no longer a question of sending
            raise InDoubt(words(error), status=response.status_code) from None
        finally:
            await response.aclose()
        wait = pacing.retry_after(response.headers.get("Retry-After"), time.time())
        return Answer(status=response.status_code, body=_parsed(content), retry_after=wait)

    async def get(self, slot: int, parts: tuple[str, ...]) -> Answer:
        """Read something, with retries.

        Returns:
            The platform's answer, whatever its status, unless it is one of those below.

        Raises:
            NotAuthorized: the platform does not accept the token.
            PlatformUnavailable: no trustworthy answer came, after several tries.
        """
        try:
            async for attempt in tenacity.AsyncRetrying(
                retry=tenacity.retry_if_exception_type((NotSent, InDoubt, _TryAgain)),
                stop=tenacity.stop_after_attempt(MAX_ATTEMPTS),
                wait=_wait,
                sleep=self._sleep,
                reraise=True,
            ):
                with attempt:
                    answer = await self._read(slot, parts)
        except (NotSent, InDoubt, _TryAgain) as error:
            msg = (
                f"The platform at {self._network.base_url} could not be read: {error}. Nothing was changed; try again."
            )
            raise PlatformUnavailable(msg) from None
        if answer.status == _UNAUTHORIZED:
            raise NotAuthorized(not_authorized(self._network))
        return answer

    async def _read(self, slot: int, parts: tuple[str, ...]) -> Answer:
        answer = await self.send(slot, "GET", parts)
        if answer.status in _READ_AGAIN:
            raise _TryAgain(answer)
        return answer


async def _content(response: httpx.Response) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            raise _AnswerTooLarge
    return bytes(content)


class _TryAgain(Exception):
    """A read got an answer that says to come back."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"it answered {answer.status}, {MAX_ATTEMPTS} times")
        self.answer = answer


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.answer.retry_after if isinstance(error, _TryAgain) else None
    return asked if asked is not None else pacing.backoff(state.attempt_number, random.random())  # noqa: S311


def not_authorized(network: Network) -> str:
    """The sentence for a 401."""
    return (
        f"The platform does not accept the token for network {network.network_id} at {network.base_url} (401). "
        "Check the token and the network id, then run the same command again."
    )


def words(error: Exception) -> str:
    """What went wrong, in plain words; never the exception's own, which may hold the address."""
    return next(text for kind, text in WORDS.items() if isinstance(error, kind))


def _failure(error: Exception, *, started: bool) -> NotSent | InDoubt:
    if not started or isinstance(error, NOTHING_LEFT):
        return NotSent(words(error))
    return InDoubt(words(error))


def _parsed(content: bytes) -> Json:
    try:
        return json.loads(content, object_hook=_without_secrets)
    except (ValueError, RecursionError):  # HTML of whatever stands in front, a cut body, a bomb of brackets
        return None


def _without_secrets(record: dict[str, Json]) -> dict[str, Json]:
    return {key: value for key, value in record.items() if key not in _SECRETS}
