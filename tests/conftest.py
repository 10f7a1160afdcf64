"""Shared fixtures: a sandbox, a platform that misbehaves on demand, sheets, and the command line."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from collections import deque
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httpx
import hypothesis
import pandas as pd
import pytest
from hypothesis import HealthCheck

from invoca_bulk.cli.wording import command_words
from invoca_bulk.config.network import Network, resolve_network
from invoca_bulk.sandbox_server import Sandbox
from invoca_bulk.wording import use_wording
from tests.commands import run_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from invoca_bulk.sandbox_server.store import Store

#: Messages are read as the command line words them; errors of the library are worded by its functions.
use_wording(command_words)
#: A shell starts background commands with Ctrl-C ignored, and so would be all processes that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
#: Speed is measured by the benchmarks; on a busy machine any example may be slow.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
#: Everyone who runs the tests gets the same examples, so that a failure is of the change at hand. New ones are searched
#: for with `pytest --hypothesis-profile=untimed` (see CONTRIBUTING).
hypothesis.settings.register_profile("same", hypothesis.settings.get_profile("untimed"), derandomize=True)
hypothesis.settings.load_profile("same")

#: The tests have pyarrow, most users have not; with it, pandas would keep texts in another way.
pd.set_option("mode.string_storage", "python")

TOKEN = "the-secret-token"
#: Folders whose files take longest; they come first, so that no core waits for the last of them.
_SLOWEST_FOLDERS = ("browser", "workers", "crash", "web", "execution", "service")


@pytest.hookimpl(optionalhook=True)  # also without pytest-xdist
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores, because many tests wait for servers and processes."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the files that take longest first."""
    names = {name: number for number, name in enumerate(_SLOWEST_FOLDERS)}
    items.sort(key=lambda item: names.get(item.path.parent.name, len(names)))


@pytest.fixture(autouse=True)
def _clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the user's journals, settings and proxies from every test."""
    for name in list(os.environ):
        if name.startswith("INVOCA_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("INVOCA_JOURNAL", str(tmp_path / "journal"))
    monkeypatch.setenv("INVOCA_SETTLE", "0.05")


@pytest.fixture
def box() -> Iterator[Sandbox]:
    """A sandbox that accepts every campaign id."""
    with Sandbox(open_campaigns=True, token=TOKEN) as sandbox:
        yield sandbox


@pytest.fixture
def network(box: Sandbox) -> Network:
    """The sandbox's network, treated as a real one: it asks before it buys, and its journal persists."""
    sandbox_network = resolve_network(box)
    return Network(base_url=sandbox_network.base_url, network_id=sandbox_network.network_id, token=TOKEN)


@pytest.fixture
def requests_frame() -> Callable[..., pd.DataFrame]:
    """Builds a frame of `count` valid requests, with row numbers as of a file; keyword arguments set columns."""

    def make(count: int, **columns: Any) -> pd.DataFrame:
        base = {
            "advertiser_id_from_network": "A-1",
            "advertiser_campaign_id_from_network": "C-1",
            "description": [f"Number {number}" for number in range(1, count + 1)],
            "media_type": "Online: Display",
        }
        return pd.DataFrame(base | columns, index=pd.RangeIndex(2, 2 + count, name="row"))

    return make


# One sandbox for the whole session; each test that uses `platform` gets its own empty network

_NETWORKS = count(5000)


@dataclass(frozen=True, kw_only=True)
class Platform:
    """One network over HTTP; `path` is the URL path below the network, without `.json`."""

    http: httpx.Client
    store: Store
    network_id: str
    version: str = "2022-08-01"

    def __call__(self, verb: str, path: str, body: Any = None, version: str = "") -> httpx.Response:
        url = f"/api/{version or self.version}/{self.network_id}/{path}.json"
        return self.http.request(verb, url, json=body)


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture(scope="session")
def http(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox.base_url, headers={"Authorization": "sandbox-token"}) as client:
        yield client


@pytest.fixture
def platform(sandbox: Sandbox, http: httpx.Client) -> Platform:
    network_id = str(next(_NETWORKS))
    sandbox.store.add_network(network_id)
    return Platform(http=http, store=sandbox.store, network_id=network_id)


# A platform that misbehaves


@dataclass
class Reply:
    """How `OddPlatform` responds to one request.

    Attributes:
        status: None: close the connection without a response.
        body: the response body, sent unchanged.
        headers: additional headers.
        promised: a wrong Content-Length to send; None: the right one.
        stall: whether to send nothing until the test ends.
        drip: seconds between two bytes of the body; 0: send it all at once.
    """

    status: int | None
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    promised: int | None = None
    stall: bool = False
    drip: float = 0.0


def _reply(status: int, content: Any, **headers: str) -> Reply:
    return Reply(status=status, body=json.dumps(content).encode(), headers=headers)


class _Handler(BaseHTTPRequestHandler):
    platform: OddPlatform
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._record(None)
        self._send(self.platform.reads.popleft() if self.platform.reads else _reply(HTTPStatus.OK, []))

    def do_POST(self) -> None:
        self.platform.posts.append(self._record(self._body()))
        number = len(self.platform.posts)
        own_id = self.platform.posts[-1].get("id_from_network") or str(number)
        created = {"id": number, "id_from_network": own_id, "promo_number": f"80555{number:05}"}
        self._send(self.platform.replies.popleft() if self.platform.replies else _reply(HTTPStatus.CREATED, created))

    def do_PUT(self) -> None:
        body = self._record(self._body())
        own_id = self.platform.requests[-1][1].rpartition("/")[2]
        updated = {"id": 1, "id_from_network": own_id, "promo_number": "8055550100", **body}
        self._send(self.platform.replies.popleft() if self.platform.replies else _reply(HTTPStatus.OK, updated))

    def do_DELETE(self) -> None:
        self._record(None)
        self._send(self.platform.replies.popleft() if self.platform.replies else _reply(HTTPStatus.OK, {}))

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _record(self, body: Any) -> Any:
        self.platform.paths.append(self.path)
        self.platform.headers.append(dict(self.headers))
        relative_path = unquote(self.path).split("/", 4)[4].removesuffix(".json")
        self.platform.requests.append((self.command, relative_path, body))
        return body

    def _send(self, reply: Reply) -> None:
        if reply.stall:
            self.platform.over.wait(30)
        if reply.status is None or reply.stall:
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(reply.promised or len(reply.body)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._write(reply)
        self.close_connection = reply.promised is not None

    def _write(self, reply: Reply) -> None:
        size = 1 if reply.drip else max(1, len(reply.body))
        for start in range(0, len(reply.body), size):
            self.wfile.write(reply.body[start : start + size])
            self.platform.over.wait(reply.drip)

    def log_message(self, *_: object) -> None:
        pass


class OddPlatform:
    """An HTTP server with scripted responses to writes (`replies`) and GETs (`reads`); the default is success.

    Attributes:
        replies: responses to the next POST, PUT and DELETE requests.
        reads: responses to the next GET requests.
        posts: the bodies of the POST requests.
        requests: verb, path below the network without `.json`, and body of every request, including GETs.
    """

    def __init__(self) -> None:
        self.replies: deque[Reply] = deque()
        self.reads: deque[Reply] = deque()
        self.posts: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.requests: list[tuple[str, str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"platform": self}))
        self.base_url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def network(self, **options: Any) -> Network:
        return Network(base_url=self.base_url, network_id="1234", token=TOKEN, **options)

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def odd() -> Iterator[OddPlatform]:
    """A platform that misbehaves."""
    platform = OddPlatform()
    yield platform
    platform.close()


@pytest.fixture
def reply() -> Callable[..., Reply]:
    """Builds a JSON reply: `reply(403, {...}, Retry_After="1")`."""
    return _reply


@pytest.fixture
def raw_reply() -> type[Reply]:
    """Builds any other reply."""
    return Reply


# The command line


@dataclass
class Ran:
    """The exit code and output of a command."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(tmp_path: Path) -> Callable[..., Ran]:
    """Runs `invoca-bulk` as a separate process in the test's folder, without a terminal."""

    def run(*arguments: object, **environment: str) -> Ran:
        process = run_command(arguments, tmp_path, {**os.environ, **environment})
        return Ran(code=process.returncode, out=process.stdout, err=process.stderr)

    return run
