"""Faults around the platform: an ASGI layer that breaks connections, refuses, delays and garbles as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from invoca_bulk.sandbox_server.fault_types import Answer, Work
from invoca_bulk.sandbox_server.platform_model import Issued

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from invoca_bulk.sandbox_server.fault_types import Kind
    from invoca_bulk.sandbox_server.faults import Faults
    from invoca_bulk.sandbox_server.serve import Sandbox

#: Where the server puts a connection's transport in the state of its requests: ASGI itself has no way to close one.
TRANSPORT = "transport"


class TimedLedger(list[Issued]):
    """A ledger that also knows when each number was issued."""

    def __init__(self) -> None:
        super().__init__()
        self._times: list[float] = []

    def append(self, issued: Issued) -> None:
        """Write down one more number."""
        self._times.append(time.monotonic())
        super().append(issued)

    def newest(self, seconds: float) -> set[str]:
        """The numbers that were issued within the last seconds."""
        return {one.number for one in self[bisect_right(self._times, time.monotonic() - seconds) :]}


@dataclass(kw_only=True)
class Exchange:
    """One request, read to its end, and the means to answer it or not.

    Attributes:
        scope: the request's ASGI scope.
        body: its whole body.
        faults: the settings.
        answer: what the platform answered; only where it was asked before the reply.
    """

    scope: Scope
    receive: Receive
    send: Send
    body: bytes
    faults: Faults
    answer: Answer = field(init=False)

    async def say(self, answer: Answer, *, only: int | None = None) -> None:
        """Answer; a client that is gone meanwhile does not matter.

        Args:
            answer: the answer.
            only: stop after so many bytes of its body; None: all of it.
        """
        await self.send({"type": "http.response.start", "status": answer.status, "headers": list(answer.headers)})
        await self.send({"type": "http.response.body", "body": answer.body[:only], "more_body": only is not None})

    async def close(self) -> None:
        """Close the connection, after what has been said so far; returns when it is gone."""
        self.scope["state"][TRANSPORT].close()
        await self._gone()

    async def keep_silent(self, seconds: float) -> None:
        """Say nothing for so long, or until the client is gone."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._gone(), seconds)

    async def _gone(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass


class Faulty:
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
        if not faults.on:
            await self._app(scope, receive, send)
            return
        body = await _whole_body(receive)
        if body is not None:
            exchange = Exchange(scope=scope, receive=receive, send=send, body=body, faults=faults)
            await self._replied(exchange, faults.next(scope["method"]))

    async def _replied(self, exchange: Exchange, kind: Kind) -> None:
        delay = exchange.faults.settle_delay
        if delay and kind.work is Work.ANYWAY:
            with exchange.faults.putting_off():
                await kind.reply(exchange)
                await asyncio.sleep(delay)
                await self._done(exchange)
            return
        if kind.work is not Work.NOTHING:
            exchange.answer = await self._done(exchange)
        await kind.reply(exchange)

    async def _done(self, exchange: Exchange) -> Answer:
        """Have the platform do what was asked for, and keep its answer."""
        said: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": exchange.body, "more_body": False}

        async def send(message: Message) -> None:
            said.append(message)

        await self._app(exchange.scope, receive, send)
        start, *rest = said
        body = b"".join(one.get("body", b"") for one in rest)
        answer = Answer(status=start["status"], headers=tuple(start["headers"]), body=body)
        lag = exchange.faults.list_lag if exchange.scope["method"] == "GET" else 0.0
        return self._without_newest(answer, exchange.faults) if lag else answer

    def _without_newest(self, answer: Answer, faults: Faults) -> Answer:
        """A list without the numbers that are too new for it."""
        store = self._sandbox.store
        with store.lock:
            newest = store.ledger.newest(faults.list_lag) if isinstance(store.ledger, TimedLedger) else set()
        listed = json.loads(answer.body) if newest else None
        if not isinstance(listed, list):
            return answer
        shown = [one for one in listed if one.get("promo_number") not in newest]
        if len(shown) == len(listed):
            return answer
        faults.count("list_lag")
        return _with_body(answer, json.dumps(shown, separators=(",", ":")).encode())


async def _whole_body(receive: Receive) -> bytes | None:
    """The request's body; None when the client left before its end."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _with_body(answer: Answer, body: bytes) -> Answer:
    kept = tuple(pair for pair in answer.headers if pair[0] != b"content-length")
    return replace(answer, headers=(*kept, (b"content-length", str(len(body)).encode())), body=body)
