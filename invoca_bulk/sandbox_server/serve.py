"""Runs the sandbox in a thread of this process or in the foreground."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from invoca_bulk.errors import ConfigError
from invoca_bulk.sandbox_server.fault_middleware import TRANSPORT_KEY, FaultMiddleware, TimedLedger
from invoca_bulk.sandbox_server.faults import Faults, to_faults
from invoca_bulk.sandbox_server.store import DEFAULT_NETWORK_ID, Campaigns, Store
from invoca_bulk.sandbox_server.validated_fields import ValidatedField

if TYPE_CHECKING:
    import uvicorn

#: An ASGI application.
AsgiApp = Callable[..., Any]
Middleware = Callable[[AsgiApp], AsgiApp]

#: Whether a moved number gets another `id_from_network`.
MOVED_IDS = ("new", "kept")
_HOST = "127.0.0.1"
_BACKLOG = 2048
_POLL_SECONDS = 0.005
_TIMEOUT_SECONDS = 10.0
#: Longer than clients keep idle connections, so that the server never closes one that a client is about to reuse.
_KEEP_ALIVE_SECONDS = 75


@dataclass(kw_only=True)
class Sandbox:
    """The sandbox on this computer: a context manager that serves in a thread of this process.

    Args:
        port: the port; 0: any free port.
        network_id: the id of its network.
        token: the token that it accepts.
        open_campaigns: create any campaign or affiliate on first use instead of answering 404.
        like: advertiser id to campaign id to affiliate ids: just these are there. None: a few.
        latency: the seconds that each response takes.
        auto_ids: assign an id to an advertiser that is created without `id_from_network`.
        repeat_updates: whether a POST with an own id that is taken updates that number instead of being rejected.
        unlisted_types: accept media types and promo types outside of the published lists.
        sites_required: refuse an advertiser without a site.
        moved_ids: `new`: a moved number gets another `id_from_network`; `kept`: it keeps it.
        performance_flags: whether the performance flags are shown as they were written, or always false.
        campaign_allowance: how many numbers a campaign may ever get; None: any number.
        seed: the same seed gives the same numbers.
        faults: `Faults`, or text for `parse_faults`, such as `20%` or `drop_after=5%,429=10%,limit=10`. Default: no
            faults. Can be changed at any time.
        layers: ASGI middleware around the platform, innermost first; the faults are outside of it.

    Attributes:
        base_url: the URL of the running server; empty while it is stopped.
        store: the state, and the ledger of all issued numbers; both remain after the server stops.
    """

    port: int = 0
    network_id: str = DEFAULT_NETWORK_ID
    token: str = field(default="sandbox-token", repr=False)
    open_campaigns: bool = False
    like: Campaigns | None = None
    latency: float = 0.0
    auto_ids: bool = False
    repeat_updates: bool = False
    unlisted_types: bool = False
    sites_required: bool = True
    moved_ids: str = "new"
    performance_flags: bool = True
    campaign_allowance: int | None = None
    seed: int = 0
    faults: ValidatedField[Faults] = ValidatedField("", to_faults, "Faults, or text such as 20%")  # noqa: RUF009  a descriptor
    layers: Sequence[Middleware] = ()
    base_url: str = field(default="", init=False)
    store: Store = field(init=False, repr=False)
    _server: uvicorn.Server | None = field(default=None, init=False, repr=False)
    _thread: threading.Thread | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.moved_ids not in MOVED_IDS:
            raise ConfigError(f"Unknown moved_ids {self.moved_ids!r}. Use one of: {', '.join(MOVED_IDS)}.")
        self.store = Store(
            network_ids=(self.network_id,),
            seed=self.seed,
            open_campaigns=self.open_campaigns,
            like=self.like,
            auto_ids=self.auto_ids,
            repeat_updates=self.repeat_updates,
            unlisted_types=self.unlisted_types,
            sites_required=self.sites_required,
            moved_ids=self.moved_ids,
            performance_flags=self.performance_flags,
            campaign_allowance=self.campaign_allowance,
        )
        self.store.ledger = TimedLedger()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server; returns when it answers requests.

        Raises:
            ConfigError: the port is not available.
        """
        listener = _open_listener(self.port)
        self._server = _make_server(self._build_app())
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="sandbox", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while not self._server.started:
            if time.monotonic() > deadline:
                raise ConfigError("The sandbox did not start within 10 seconds. Try again, or try another port.")
            time.sleep(_POLL_SECONDS)
        self.base_url = f"http://{_HOST}:{listener.getsockname()[1]}"

    def stop(self) -> None:
        """Stop the server; requests in flight get no response."""
        if self._server and self._thread:
            self._server.should_exit = True
            self._thread.join(_TIMEOUT_SECONDS)
        self._server = self._thread = None
        self.base_url = ""

    def _build_app(self) -> AsgiApp:
        from invoca_bulk.sandbox_server.admin_api import AdminApi  # noqa: PLC0415  loads starlette, only for a running sandbox
        from invoca_bulk.sandbox_server.routes import Platform  # noqa: PLC0415

        app: AsgiApp = Platform(self.store, token=self.token, latency=self.latency)
        for layer in self.layers:
            app = layer(app)
        return AdminApi(FaultMiddleware(app, self), self)


def serve_forever(sandbox: Sandbox, *, on_ready: Callable[[Sandbox], None] = lambda _: None) -> None:
    """Serve in the foreground until Ctrl-C; `on_ready` is called once when the server answers requests."""
    with sandbox, contextlib.suppress(KeyboardInterrupt):
        on_ready(sandbox)
        # Short sleeps, because on Windows Ctrl-C does not interrupt an unlimited wait.
        while True:
            time.sleep(0.2)


def _open_listener(port: int) -> socket.socket:
    try:
        listener = socket.create_server((_HOST, port), backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"The sandbox cannot listen on port {port}: {error}. Choose another port, or 0 for any free one."
        ) from None
    # asyncio disables Nagle's algorithm (40 ms per response) only if the socket names its protocol.
    return socket.socket(listener.family, listener.type, socket.IPPROTO_TCP, fileno=listener.detach())


def _make_server(app: AsgiApp) -> uvicorn.Server:
    import uvicorn  # noqa: PLC0415  heavy, and only a running sandbox needs it

    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=_closable_protocol(),
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=0,
    )
    return uvicorn.Server(config)


def _closable_protocol() -> type[asyncio.Protocol]:
    """HTTP/1.1 that puts a connection's transport into the state of its requests, so that a fault can close it."""
    from uvicorn.protocols.http.h11_impl import H11Protocol  # noqa: PLC0415  only a running sandbox needs it

    class Closable(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base class
            super().connection_made(transport)
            self.app_state = {**self.app_state, TRANSPORT_KEY: transport}

    return Closable
