"""The kinds of faults, as one table: what the platform does, and what the client sees of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from invoca_bulk.sandbox_server.requests import crashed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from invoca_bulk.sandbox_server.fault_middleware import Exchange

_FIRST_HANDLE = 1228118400


class Work(Enum):
    """What the platform does of a request that meets a fault."""

    NOTHING = "nothing"
    ANYWAY = "all, but the client is not told"
    FIRST = "all, and the client sees something of its answer"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of fault.

    Attributes:
        work: what the platform does.
        reply: what the client sees.
        help: both in words.
    """

    work: Work
    reply: Callable[[Exchange], Awaitable[None]]
    help: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP answer.

    Attributes:
        status: the HTTP status.
        headers: names in lower case, and values.
        body: the whole body.
    """

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


async def _closed(exchange: Exchange) -> None:
    await exchange.close()


async def _silence(exchange: Exchange) -> None:
    await exchange.keep_silent(exchange.faults.stall)
    await exchange.close()


async def _late(exchange: Exchange) -> None:
    await exchange.keep_silent(exchange.faults.slow)
    await _whole(exchange)


async def _whole(exchange: Exchange) -> None:
    await exchange.say(exchange.answer)


async def _half(exchange: Exchange) -> None:
    body = exchange.answer.body
    await exchange.say(exchange.answer, only=len(body) // 2)
    await exchange.close()


async def _backwards(exchange: Exchange) -> None:
    """What begins with a closing bracket is JSON for nobody, and its length is as promised."""
    answer = exchange.answer
    await exchange.say(Answer(status=answer.status, headers=answer.headers, body=answer.body[::-1]))


async def _crash(exchange: Exchange) -> None:
    refusal = crashed(_FIRST_HANDLE + exchange.faults.counts.total())
    await exchange.say(_answer(refusal.status, "application/json", json.dumps(refusal.body)))


def _page(status: int, title: str) -> Callable[[Exchange], Awaitable[None]]:
    """The HTML page of whatever stands in front of the platform."""
    page = f"<html><head><title>{status} {title}</title></head><body><h1>{status} {title}</h1></body></html>"

    async def reply(exchange: Exchange) -> None:
        await exchange.say(_answer(status, "text/html", page))

    return reply


async def _too_many_for_now(exchange: Exchange) -> None:
    await _too_many(exchange, exchange.faults.retry_after)


async def _over_limit(exchange: Exchange) -> None:
    await _too_many(exchange, exchange.faults.limit_retry_after)


async def _too_many(exchange: Exchange, wait: float | None = None) -> None:
    headers = {} if wait is None else {"retry-after": f"{wait:g}"}
    await exchange.say(_answer(429, "text/plain", "Too Many Requests", headers))


def _answer(status: int, content_type: str, text: str, more: Mapping[str, str] | None = None) -> Answer:
    body = text.encode()
    headers = {"content-type": content_type, "content-length": str(len(body)), **(more or {})}
    pairs = tuple((name.encode(), value.encode()) for name, value in headers.items())
    return Answer(status=status, headers=pairs, body=body)


def _kind(work: Work, reply: Callable[[Exchange], Awaitable[None]], text: str) -> Kind:
    return Kind(work=work, reply=reply, help=text)


_BAD_GATEWAY = _page(502, "Bad Gateway")
_UNAVAILABLE = _page(503, "Service Unavailable")

KINDS: Mapping[str, Kind] = {
    "drop_before": _kind(Work.NOTHING, _closed, "not done; the connection closes without an answer"),
    "drop_after": _kind(Work.ANYWAY, _closed, "done; the connection closes without an answer"),
    "500_before": _kind(Work.NOTHING, _crash, "not done; 500 with an error handle"),
    "500_after": _kind(Work.ANYWAY, _crash, "done; 500 with an error handle"),
    "502_html_before": _kind(Work.NOTHING, _BAD_GATEWAY, "not done; 502 with a page of HTML"),
    "502_html_after": _kind(Work.ANYWAY, _BAD_GATEWAY, "done; 502 with a page of HTML"),
    "503_before": _kind(Work.NOTHING, _UNAVAILABLE, "not done; 503"),
    "503_after": _kind(Work.ANYWAY, _UNAVAILABLE, "done; 503"),
    "429": _kind(Work.NOTHING, _too_many, "not done; 429 that does not say how long to wait"),
    "429_retry_after": _kind(Work.NOTHING, _too_many_for_now, "not done; 429 with Retry-After"),
    "stall_before": _kind(Work.NOTHING, _silence, "not done; silence, then the connection closes"),
    "stall_after": _kind(Work.ANYWAY, _silence, "done; silence, then the connection closes"),
    "cut": _kind(Work.FIRST, _half, "done; the right answer, and the connection closes after half of its body"),
    "garbled": _kind(Work.FIRST, _backwards, "done; the right status, and a body that is not JSON"),
    "slow": _kind(Work.FIRST, _late, "done; the right answer, late"),
}
#: What happens to a request that meets none of these.
SOUND = _kind(Work.FIRST, _whole, "done; the right answer")
OVER_LIMIT = _kind(Work.NOTHING, _over_limit, "not done; 429")
