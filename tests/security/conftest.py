"""Fixtures of the security tests: a server that sends raw bytes, and hand-made workbooks."""

from __future__ import annotations

import contextlib
import io
import re
import socket
import ssl
import threading
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openpyxl
import pytest

from invoca_bulk.config.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

#: Looks like a real token, with characters that JSON and URLs may escape.
SECRET = "S3cret/t0ken+of+the+tests=="


class RawServer:
    """A server that answers every request with the same bytes, valid HTTP or not.

    Attributes:
        response: the bytes to send; an iterator is sent until the client closes the connection.
        requests: the complete requests received.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self.response: bytes | Iterator[bytes] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
        self.requests: list[bytes] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if certificate else None
        if self._context and certificate:
            self._context.load_cert_chain(certificate)
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def network(self) -> Network:
        scheme = "https" if self._context else "http"
        return Network(base_url=f"{scheme}://127.0.0.1:{self.port}", network_id="1234", token=SECRET)

    def _serve(self) -> None:
        while True:
            plain, _ = self._listener.accept()
            with plain:
                if self._closing.is_set():
                    return
                plain.settimeout(5)
                with contextlib.suppress(OSError):
                    self._respond(self._context.wrap_socket(plain, server_side=True) if self._context else plain)

    def _respond(self, connection: socket.socket) -> None:
        with connection:
            self.requests.append(_request(connection))
            for chunk in [self.response] if isinstance(self.response, bytes) else self.response:
                connection.sendall(chunk)

    def close(self) -> None:
        self._closing.set()
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        self._listener.close()


def _request(connection: socket.socket) -> bytes:
    """Read a whole request: closing a socket with unread data resets it and loses the response."""
    received = b""
    while chunk := connection.recv(1 << 16):
        received += chunk
        head, end, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if end and len(body) >= int(length[1] if length else 0):
            break
    return received


@pytest.fixture
def raw_server() -> Iterator[RawServer]:
    """A platform that sends arbitrary bytes."""
    server = RawServer()
    yield server
    server.close()


@pytest.fixture
def tls_server() -> Iterator[Callable[[str], RawServer]]:
    """Starts a `RawServer` with TLS and a certificate from this folder."""
    with contextlib.ExitStack() as running:

        def start(certificate: str) -> RawServer:
            server = RawServer(Path(__file__).with_name(certificate))
            running.callback(server.close)
            return server

        yield start


@pytest.fixture
def secret() -> str:
    """The token of these tests."""
    return SECRET


def _workbook(rows: Sequence[Sequence[Any]]) -> bytes:
    workbook, file = openpyxl.Workbook(), io.BytesIO()
    sheet: Any = workbook.active
    for row in rows:
        sheet.append(row)
    workbook.save(file)
    return file.getvalue()


@pytest.fixture
def workbook() -> Callable[..., bytes]:
    """Builds an xlsx file from rows, with parts changed or added."""

    def make(rows: Sequence[Sequence[Any]], edits: Mapping[str, Callable[[bytes], bytes]] | None = None) -> bytes:
        file, edits = io.BytesIO(), edits or {}
        with (
            zipfile.ZipFile(io.BytesIO(_workbook(rows))) as old,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new,
        ):
            for name in dict.fromkeys([*old.namelist(), *edits]):
                content = old.read(name) if name in old.namelist() else b""
                new.writestr(name, edits[name](content) if name in edits else content)
        return file.getvalue()

    return make


@pytest.fixture
def read_files() -> Callable[[Path], dict[str, bytes]]:
    """Reads every file below a folder; workbooks are unpacked into their parts."""

    def read(folder: Path) -> dict[str, bytes]:
        contents = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for name in [name for name in contents if name.endswith(".xlsx")]:
            with zipfile.ZipFile(io.BytesIO(contents[name])) as archive:
                contents |= {f"{name}/{part}": archive.read(part) for part in archive.namelist()}
        return contents

    return read
