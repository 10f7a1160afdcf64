"""Faults around the platform: an ASGI layer that breaks connections, refuses, delays and garbles as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from invoca_bulk.sandbox_server.fault_types import Processing, RawResponse
from invoca_bulk.sandbox_server.platform_model import LedgerEntry

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from invoca_bulk.sandbox_server.fault_types import FaultType
    from invoca_bulk.sandbox_server.faults import Faults
    from invoca_bulk.sandbox_server.serve import Sandbox

#: Where the server puts a connection's transport in the state of its requests: ASGI itself has no way to close one.
TRANSPORT_KEY = "transport"


class TimedLedger(list[LedgerEntry]):
    """A ledger that also knows when each number was issued."""

    def __init__(self) -> None:
        super().__init__()
        self._issue_times: list[float] = []

    def append(self, issued: LedgerEntry) -> None:
        """Write down one more number."""
        self._issue_times.append(time.monotonic())
        super().append(issued)

    def issued_within(self, seconds: float) -> set[str]:
        """The numbers that were issued within the last seconds."""
        return {one.number for one in self[bisect_right(self._issue_times, time.monotonic() - seconds) :]}


@dataclass(kw_only=True)
class Exchange:
    """One request, read to its end, and the means to answer it or not.

    Attributes:
        scope: the request's ASGI scope.
        body: its whole body.
        faults: the settings.
        response: what the platform answered; only where it was asked before the reply.
    """

    scope: Scope
    receive: Receive
    send: Send
    body: bytes
    faults: Faults
    response: RawResponse = field(init=False)

    async def send_response(self, response: RawResponse, *, max_bytes: int | None = None) -> None:
        """Answer; a client that is gone meanwhile does not matter.

        Args:
            response: the answer.
            max_bytes: stop after so many bytes of its body; None: all of it.
        """
        await self.send({"type": "http.response.start", "status": response.status, "headers": list(response.headers)})
        await self.send(
            {"type": "http.response.body", "body": response.body[:max_bytes], "more_body": max_bytes is not None}
        )

    async def close(self) -> None:
        """Close the connection, after what has been said so far; returns when it is gone."""
        self.scope["state"][TRANSPORT_KEY].close()
        await self._wait_for_disconnect()

    async def keep_silent(self, seconds: float) -> None:
        """Say nothing for so long, or until the client is gone."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wait_for_disconnect(), seconds)

    async def _wait_for_disconnect(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass


class FaultMiddleware:
    """The layer. While nothing is on it hands each request on untouched.

    Args:
        app: the platform.
        sandbox: whose `faults` and ledger are to be heeded.
    """

    def __init__(self, app: ASGIApp, sandbox: Sandbox) -> None:
        self._app = app
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or not."""
        faults = self._sandbox.faults
        if not faults.is_active:
            await self._app(scope, receive, send)
            return
        body = await _read_body(receive)
        if body is not None:
            exchange = Exchange(scope=scope, receive=receive, send=send, body=body, faults=faults)
            await self._reply(exchange, faults.next_fault(scope["method"]))

    async def _reply(self, exchange: Exchange, kind: FaultType) -> None:
        delay = exchange.faults.settle_delay
        if delay and kind.processing is Processing.UNSEEN:
            with exchange.faults.deferred():
                await kind.reply(exchange)
                await asyncio.sleep(delay)
                await self._call_platform(exchange)
            return
        if kind.processing is not Processing.SKIPPED:
            exchange.response = await self._call_platform(exchange)
        await kind.reply(exchange)

    async def _call_platform(self, exchange: Exchange) -> RawResponse:
        """Have the platform do what was asked for, and keep its answer."""
        said: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": exchange.body, "more_body": False}

        async def send(message: Message) -> None:
            said.append(message)

        await self._app(exchange.scope, receive, send)
        start, *rest = said
        body = b"".join(one.get("body", b"") for one in rest)
        answer = RawResponse(status=start["status"], headers=tuple(start["headers"]), body=body)
        lag = exchange.faults.list_lag if exchange.scope["method"] == "GET" else 0.0
        return self._hide_newest(answer, exchange.faults) if lag else answer

    def _hide_newest(self, answer: RawResponse, faults: Faults) -> RawResponse:
        """A list without the numbers that are too new for it."""
        store = self._sandbox.store
        with store.lock:
            newest = store.ledger.issued_within(faults.list_lag) if isinstance(store.ledger, TimedLedger) else set()
        listed = json.loads(answer.body) if newest else None
        if not isinstance(listed, list):
            return answer
        shown = [one for one in listed if one.get("promo_number") not in newest]
        if len(shown) == len(listed):
            return answer
        faults.record_fault("list_lag")
        return _replace_body(answer, json.dumps(shown, separators=(",", ":")).encode())


async def _read_body(receive: Receive) -> bytes | None:
    """The request's body; None when the client left before its end."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _replace_body(answer: RawResponse, body: bytes) -> RawResponse:
    kept = tuple(pair for pair in answer.headers if pair[0] != b"content-length")
    return replace(answer, headers=(*kept, (b"content-length", str(len(body)).encode())), body=body)
