"""ASGI middleware that injects faults: it closes connections, rejects requests, and delays or garbles responses."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from invoca_bulk.sandbox_server.fault_types import FaultType, Processing, RawResponse
from invoca_bulk.sandbox_server.faults import Faults
from invoca_bulk.sandbox_server.platform_model import LedgerEntry

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from invoca_bulk.sandbox_server.serve import Sandbox

#: Key of a connection's transport in the state of its requests; ASGI itself cannot close a connection.
TRANSPORT_KEY = "transport"


class TimedLedger(list[LedgerEntry]):
    """A ledger that also records when each number was issued."""

    def __init__(self) -> None:
        super().__init__()
        self._issue_times: list[float] = []

    def append(self, entry: LedgerEntry) -> None:
        """Record an issued number."""
        self._issue_times.append(time.monotonic())
        super().append(entry)

    def issued_within(self, seconds: float) -> set[str]:
        """The numbers that were issued within the last seconds."""
        return {entry.number for entry in self[bisect_right(self._issue_times, time.monotonic() - seconds) :]}


@dataclass(kw_only=True)
class Exchange:
    """One request that was read to its end, and the means to answer it."""

    scope: Scope
    receive: Receive  # after the body only `http.disconnect`
    send: Send
    body: bytes
    faults: Faults
    response: RawResponse = field(init=False)  # the platform's; only set for `Processing.BEFORE_REPLY`

    async def send_response(self, response: RawResponse, *, max_bytes: int | None = None) -> None:
        """Send a response, or only the first bytes of its body; has no effect if the client has disconnected."""
        await self.send({"type": "http.response.start", "status": response.status, "headers": list(response.headers)})
        await self.send(
            {"type": "http.response.body", "body": response.body[:max_bytes], "more_body": max_bytes is not None}
        )

    async def close(self) -> None:
        """Close the connection after the bytes sent so far; returns when it is closed."""
        self.scope["state"][TRANSPORT_KEY].close()
        await self._wait_for_disconnect()

    async def keep_silent(self, seconds: float) -> None:
        """Send nothing for some seconds, or until the client disconnects."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wait_for_disconnect(), seconds)

    async def _wait_for_disconnect(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass


class FaultMiddleware:
    """The middleware. While no fault is active it passes requests on unchanged."""

    def __init__(self, app: ASGIApp, sandbox: Sandbox) -> None:
        self._app = app
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, with or without a response."""
        faults = self._sandbox.faults
        if not faults.is_active:
            await self._app(scope, receive, send)
            return
        body = await _read_body(receive)
        if body is not None:
            exchange = Exchange(scope=scope, receive=receive, send=send, body=body, faults=faults)
            await self._reply(exchange, faults.next_fault(scope["method"]))

    async def _reply(self, exchange: Exchange, fault_type: FaultType) -> None:
        delay = exchange.faults.settle_delay
        if delay and fault_type.processing is Processing.UNSEEN:
            with exchange.faults.deferred():
                await fault_type.reply(exchange)
                await asyncio.sleep(delay)
                await self._call_platform(exchange)
            return
        if fault_type.processing is not Processing.SKIPPED:
            exchange.response = await self._call_platform(exchange)
        await fault_type.reply(exchange)

    async def _call_platform(self, exchange: Exchange) -> RawResponse:
        """Let the platform process the request, and return its response."""
        messages: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": exchange.body, "more_body": False}

        async def send(message: Message) -> None:
            messages.append(message)

        await self._app(exchange.scope, receive, send)
        start, *body_messages = messages
        body = b"".join(message.get("body", b"") for message in body_messages)
        response = RawResponse(status=start["status"], headers=tuple(start["headers"]), body=body)
        has_lag = exchange.scope["method"] == "GET" and exchange.faults.list_lag
        return self._hide_newest(response, exchange.faults) if has_lag else response

    def _hide_newest(self, response: RawResponse, faults: Faults) -> RawResponse:
        """Remove the numbers that are newer than `list_lag` from a list."""
        store = self._sandbox.store
        with store.lock:
            newest = store.ledger.issued_within(faults.list_lag) if isinstance(store.ledger, TimedLedger) else set()
        objects = json.loads(response.body) if newest else None
        if not isinstance(objects, list):
            return response
        visible_objects = [api_object for api_object in objects if api_object.get("promo_number") not in newest]
        if len(visible_objects) == len(objects):
            return response
        faults.record_fault("list_lag")
        body = json.dumps(visible_objects, separators=(",", ":")).encode()
        headers = dict(response.headers) | {b"content-length": str(len(body)).encode()}
        return replace(response, headers=tuple(headers.items()), body=body)


async def _read_body(receive: Receive) -> bytes | None:
    """The request's body; None if the client disconnected before its end."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)
