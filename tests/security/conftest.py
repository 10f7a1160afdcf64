"""What the tests of the security list share: whatever a platform can say on the wire, and workbooks made by hand."""

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

from invoca_bulk.config.settings import Network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

#: As real ones look, with characters that JSON and addresses may escape.
SECRET = "S3cret/t0ken+of+the+tests=="


class Wire:
    """A server that answers every request with the same bytes, however little they are HTTP.

    Attributes:
        said: the bytes; an iterator's are sent until the other side has had enough.
        heard: the requests, whole.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self.said: bytes | Iterator[bytes] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
        self.heard: list[bytes] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if certificate else None
        if self._context and certificate:
            self._context.load_cert_chain(certificate)
        self._over = threading.Event()
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
                if self._over.is_set():
                    return
                plain.settimeout(5)
                with contextlib.suppress(OSError):
                    self._answer(self._context.wrap_socket(plain, server_side=True) if self._context else plain)

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            self.heard.append(_request(connection))
            for part in [self.said] if isinstance(self.said, bytes) else self.said:
                connection.sendall(part)

    def close(self) -> None:
        self._over.set()
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        self._listener.close()


def _request(connection: socket.socket) -> bytes:
    """A whole request: what is closed with a part of it unread is reset, and the answer is lost."""
    heard = b""
    while part := connection.recv(1 << 16):
        heard += part
        head, end, body = heard.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if end and len(body) >= int(length[1] if length else 0):
            break
    return heard


@pytest.fixture
def wire() -> Iterator[Wire]:
    """A platform that says whatever it likes."""
    server = Wire()
    yield server
    server.close()


@pytest.fixture
def secure() -> Iterator[Callable[[str], Wire]]:
    """Starts one over TLS, with a certificate of this folder."""
    with contextlib.ExitStack() as running:

        def start(certificate: str) -> Wire:
            server = Wire(Path(__file__).with_name(certificate))
            running.callback(server.close)
            return server

        yield start


@pytest.fixture
def secret() -> str:
    """The token of these tests."""
    return SECRET


def _workbook(rows: Sequence[Sequence[Any]]) -> bytes:
    book, file = openpyxl.Workbook(), io.BytesIO()
    sheet: Any = book.active
    for row in rows:
        sheet.append(row)
    book.save(file)
    return file.getvalue()


@pytest.fixture
def workbook() -> Callable[..., bytes]:
    """Makes an xlsx of rows, with some of its parts changed, or others added."""

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
def everything() -> Callable[[Path], dict[str, bytes]]:
    """Gives the content of every file below a folder, what is packed in workbooks unpacked."""

    def read(folder: Path) -> dict[str, bytes]:
        found = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for name in [name for name in found if name.endswith(".xlsx")]:
            with zipfile.ZipFile(io.BytesIO(found[name])) as book:
                found |= {f"{name}/{one}": book.read(one) for one in book.namelist()}
        return found

    return read
