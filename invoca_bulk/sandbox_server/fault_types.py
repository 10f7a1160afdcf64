"""The kinds of faults, as one table: what the platform does, and what the client sees of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from invoca_bulk.sandbox_server.requests import server_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from invoca_bulk.sandbox_server.fault_middleware import Exchange

_FIRST_ERROR_HANDLE = 1228118400


class Processing(Enum):
    """What the platform does of a request that meets a fault."""

    SKIPPED = "nothing"
    UNSEEN = "all, but the client is not told"
    BEFORE_REPLY = "all, and the client sees something of its answer"


@dataclass(frozen=True, kw_only=True)
class FaultType:
    """One kind of fault.

    Attributes:
        processing: what the platform does.
        reply: what the client sees.
        help: both in words.
    """

    processing: Processing
    reply: Callable[[Exchange], Awaitable[None]]
    help: str


@dataclass(frozen=True, kw_only=True)
class RawResponse:
    """An HTTP answer.

    Attributes:
        status: the HTTP status.
        headers: names in lower case, and values.
        body: the whole body.
    """

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


async def _close_connection(exchange: Exchange) -> None:
    await exchange.close()


async def _stall(exchange: Exchange) -> None:
    await exchange.keep_silent(exchange.faults.stall)
    await exchange.close()


async def _reply_late(exchange: Exchange) -> None:
    await exchange.keep_silent(exchange.faults.slow)
    await _reply_normally(exchange)


async def _reply_normally(exchange: Exchange) -> None:
    await exchange.send_response(exchange.response)


async def _reply_half(exchange: Exchange) -> None:
    body = exchange.response.body
    await exchange.send_response(exchange.response, max_bytes=len(body) // 2)
    await exchange.close()


async def _reply_garbled(exchange: Exchange) -> None:
    """What begins with a closing bracket is JSON for nobody, and its length is as promised."""
    answer = exchange.response
    await exchange.send_response(RawResponse(status=answer.status, headers=answer.headers, body=answer.body[::-1]))


async def _reply_500(exchange: Exchange) -> None:
    refusal = server_error(_FIRST_ERROR_HANDLE + exchange.faults.counts.total())
    await exchange.send_response(_build_response(refusal.status, "application/json", json.dumps(refusal.body)))


def _html_error_reply(status: int, title: str) -> Callable[[Exchange], Awaitable[None]]:
    """The HTML page of whatever stands in front of the platform."""
    page = f"<html><head><title>{status} {title}</title></head><body><h1>{status} {title}</h1></body></html>"

    async def reply(exchange: Exchange) -> None:
        await exchange.send_response(_build_response(status, "text/html", page))

    return reply


async def _reply_429_retry_after(exchange: Exchange) -> None:
    await _reply_429(exchange, exchange.faults.retry_after)


async def _reply_over_limit(exchange: Exchange) -> None:
    await _reply_429(exchange, exchange.faults.limit_retry_after)


async def _reply_429(exchange: Exchange, wait: float | None = None) -> None:
    headers = {} if wait is None else {"retry-after": f"{wait:g}"}
    await exchange.send_response(_build_response(429, "text/plain", "Too Many Requests", headers))


def _build_response(status: int, content_type: str, text: str, more: Mapping[str, str] | None = None) -> RawResponse:
    body = text.encode()
    headers = {"content-type": content_type, "content-length": str(len(body)), **(more or {})}
    pairs = tuple((name.encode(), value.encode()) for name, value in headers.items())
    return RawResponse(status=status, headers=pairs, body=body)


def _fault_type(processing: Processing, reply: Callable[[Exchange], Awaitable[None]], text: str) -> FaultType:
    return FaultType(processing=processing, reply=reply, help=text)


_BAD_GATEWAY = _html_error_reply(502, "Bad Gateway")
_UNAVAILABLE = _html_error_reply(503, "Service Unavailable")

FAULT_TYPES: Mapping[str, FaultType] = {
    "drop_before": _fault_type(
        Processing.SKIPPED, _close_connection, "not done; the connection closes without an answer"
    ),
    "drop_after": _fault_type(Processing.UNSEEN, _close_connection, "done; the connection closes without an answer"),
    "500_before": _fault_type(Processing.SKIPPED, _reply_500, "not done; 500 with an error handle"),
    "500_after": _fault_type(Processing.UNSEEN, _reply_500, "done; 500 with an error handle"),
    "502_html_before": _fault_type(Processing.SKIPPED, _BAD_GATEWAY, "not done; 502 with a page of HTML"),
    "502_html_after": _fault_type(Processing.UNSEEN, _BAD_GATEWAY, "done; 502 with a page of HTML"),
    "503_before": _fault_type(Processing.SKIPPED, _UNAVAILABLE, "not done; 503"),
    "503_after": _fault_type(Processing.UNSEEN, _UNAVAILABLE, "done; 503"),
    "429": _fault_type(Processing.SKIPPED, _reply_429, "not done; 429 that does not say how long to wait"),
    "429_retry_after": _fault_type(Processing.SKIPPED, _reply_429_retry_after, "not done; 429 with Retry-After"),
    "stall_before": _fault_type(Processing.SKIPPED, _stall, "not done; silence, then the connection closes"),
    "stall_after": _fault_type(Processing.UNSEEN, _stall, "done; silence, then the connection closes"),
    "cut": _fault_type(
        Processing.BEFORE_REPLY, _reply_half, "done; the right answer, and the connection closes after half of its body"
    ),
    "garbled": _fault_type(
        Processing.BEFORE_REPLY, _reply_garbled, "done; the right status, and a body that is not JSON"
    ),
    "slow": _fault_type(Processing.BEFORE_REPLY, _reply_late, "done; the right answer, late"),
}
#: What happens to a request that meets none of these.
NO_FAULT = _fault_type(Processing.BEFORE_REPLY, _reply_normally, "done; the right answer")
OVER_LIMIT = _fault_type(Processing.SKIPPED, _reply_over_limit, "not done; 429")
