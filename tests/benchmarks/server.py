"""A fast platform: after a delay it answers every POST with a number and every GET with an empty list.

It is written on bare sockets, since it shares the machine with the measured code, and the sandbox would be the
bottleneck. `python server.py LATENCY LIMIT` prints its port. LATENCY: seconds; LIMIT: requests per second before it
answers 429, enforced by a token bucket of a tenth of a second; 0: no limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import subprocess
import sys
import time
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_RESPONSE = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"


class Platform(asyncio.Protocol):
    """One connection; its requests are sequential."""

    latency = 0.0
    limit = 0.0
    counts: dict[int, int] = {}  # noqa: RUF012  shared by all connections
    numbers = itertools.count(1)
    _tokens, _refilled_at = 0.0, 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # always a socket transport
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = _length(head)
        if len(body) >= length:
            self._buffer = body[length:]
            response = self._respond(head, body[:length])
            asyncio.get_running_loop().call_later(self.latency, self._transport.write, response)

    def _respond(self, head: bytes, body: bytes) -> bytes:
        if head.startswith(b"GET /counts"):
            return _response(HTTPStatus.OK, Platform.counts)
        if head.startswith(b"GET"):
            return _response(HTTPStatus.OK, [])
        status = HTTPStatus.TOO_MANY_REQUESTS if self.limit and not self._admits() else HTTPStatus.CREATED
        Platform.counts[status] = Platform.counts.get(status, 0) + 1
        if status != HTTPStatus.CREATED:
            return _response(status, {"message": "too many"})
        number = next(Platform.numbers)
        created = json.loads(body) | {
            "id": number,
            "id_from_network": str(number),
            "promo_number": f"{8000000000 + number}",
        }
        return _response(HTTPStatus.CREATED, created)

    @classmethod
    def _admits(cls) -> bool:
        now = time.monotonic()
        cls._tokens = min(cls.limit / 10, cls._tokens + (now - cls._refilled_at) * cls.limit)
        cls._refilled_at = now
        if cls._tokens < 1:
            return False
        cls._tokens -= 1
        return True


def _length(head: bytes) -> int:
    lines = (line.partition(b":") for line in head.split(b"\r\n"))
    return next((int(value) for name, _, value in lines if name.lower() == b"content-length"), 0)


def _response(status: int, content: object) -> bytes:
    body = json.dumps(content).encode()
    return _RESPONSE % (status, len(body), body)


@contextlib.contextmanager
def serving(latency: float, limit: float = 0.0) -> Iterator[str]:
    """Run the server in a separate process; yields its base URL."""
    command = [sys.executable, str(Path(__file__).resolve()), str(latency), str(limit)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


async def _main() -> None:
    Platform.latency, Platform.limit = float(sys.argv[1]), float(sys.argv[2])
    server = await asyncio.get_running_loop().create_server(Platform, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(600)


if __name__ == "__main__":
    asyncio.run(_main())
