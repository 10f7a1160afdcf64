"""The table of fault types: what the platform does, and what the client sees."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING

from invoca_bulk.sandbox_server.requests import server_error

if TYPE_CHECKING:
    from invoca_bulk.sandbox_server.fault_middleware import Exchange

_FIRST_ERROR_HANDLE = 1228118400


class Processing(Enum):
    """How the platform processes a request that meets a fault."""

    SKIPPED = "not processed"
    UNSEEN = "processed, but the client does not see the response"
    BEFORE_REPLY = "processed, and the client sees some of the response"


@dataclass(frozen=True)
class FaultType:
    """One type of fault."""

    processing: Processing
    reply: Callable[[Exchange], Awaitable[None]]  # sends what the client sees
    help: str  # describes both


@dataclass(frozen=True, kw_only=True)
class RawResponse:
    """An HTTP response."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]  # names in lower case
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
    """Reverse the body: it starts with a closing bracket, so it is not JSON, but has the promised length."""
    response = exchange.response
    await exchange.send_response(replace(response, body=response.body[::-1]))


async def _reply_500(exchange: Exchange) -> None:
    error = server_error(_FIRST_ERROR_HANDLE + exchange.faults.counts.total())
    await exchange.send_response(_build_response(error.status, "application/json", json.dumps(error.body)))


def _html_error_reply(status: HTTPStatus) -> Callable[[Exchange], Awaitable[None]]:
    """Reply with the HTML page of a proxy in front of the platform."""
    title = f"{status.value} {status.phrase}"
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"

    async def reply(exchange: Exchange) -> None:
        await exchange.send_response(_build_response(status, "text/html", page))

    return reply


async def _reply_429_retry_after(exchange: Exchange) -> None:
    await _reply_429(exchange, exchange.faults.retry_after)


async def _reply_over_limit(exchange: Exchange) -> None:
    await _reply_429(exchange, exchange.faults.limit_retry_after)


async def _reply_429(exchange: Exchange, retry_after: float | None = None) -> None:
    headers = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
    status = HTTPStatus.TOO_MANY_REQUESTS
    await exchange.send_response(_build_response(status, "text/plain", status.phrase, headers))


def _build_response(
    status: HTTPStatus, content_type: str, text: str, extra_headers: Mapping[str, str] | None = None
) -> RawResponse:
    body = text.encode()
    headers = {"content-type": content_type, "content-length": str(len(body)), **(extra_headers or {})}
    pairs = tuple((name.encode(), value.encode()) for name, value in headers.items())
    return RawResponse(status=status, headers=pairs, body=body)


_BAD_GATEWAY = _html_error_reply(HTTPStatus.BAD_GATEWAY)
_UNAVAILABLE = _html_error_reply(HTTPStatus.SERVICE_UNAVAILABLE)

FAULT_TYPES: Mapping[str, FaultType] = {
    "drop_before": FaultType(
        Processing.SKIPPED, _close_connection, "not processed; the connection closes without a response"
    ),
    "drop_after": FaultType(
        Processing.UNSEEN, _close_connection, "processed; the connection closes without a response"
    ),
    "500_before": FaultType(Processing.SKIPPED, _reply_500, "not processed; 500 with an error handle"),
    "500_after": FaultType(Processing.UNSEEN, _reply_500, "processed; 500 with an error handle"),
    "502_html_before": FaultType(Processing.SKIPPED, _BAD_GATEWAY, "not processed; 502 with an HTML page"),
    "502_html_after": FaultType(Processing.UNSEEN, _BAD_GATEWAY, "processed; 502 with an HTML page"),
    "503_before": FaultType(Processing.SKIPPED, _UNAVAILABLE, "not processed; 503"),
    "503_after": FaultType(Processing.UNSEEN, _UNAVAILABLE, "processed; 503"),
    "429": FaultType(Processing.SKIPPED, _reply_429, "not processed; 429 without Retry-After"),
    "429_retry_after": FaultType(Processing.SKIPPED, _reply_429_retry_after, "not processed; 429 with Retry-After"),
    "stall_before": FaultType(Processing.SKIPPED, _stall, "not processed; silence, then the connection closes"),
    "stall_after": FaultType(Processing.UNSEEN, _stall, "processed; silence, then the connection closes"),
    "cut": FaultType(
        Processing.BEFORE_REPLY, _reply_half, "processed; the connection closes after half of the response body"
    ),
    "garbled": FaultType(
        Processing.BEFORE_REPLY, _reply_garbled, "processed; the correct status with a body that is not JSON"
    ),
    "slow": FaultType(Processing.BEFORE_REPLY, _reply_late, "processed; the correct response, late"),
}
#: A request that meets no fault.
NO_FAULT = FaultType(Processing.BEFORE_REPLY, _reply_normally, "processed; the correct response")
OVER_LIMIT = FaultType(Processing.SKIPPED, _reply_over_limit, "not processed; 429")
