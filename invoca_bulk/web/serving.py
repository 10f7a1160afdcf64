"""`invoca-bulk app`: the page on its own, served by Voilà to this machine's user only."""

from __future__ import annotations

import asyncio
import atexit
import os
import secrets
import socket
import tempfile
import webbrowser
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_core.paths import jupyter_runtime_dir
from jupyter_server.auth.decorator import allow_unauthenticated
from traitlets.config import Config
from voila.app import Voila
from voila.shutdown_kernel_handler import VoilaShutdownKernelHandler
from voila.voila_identity_provider import VoilaIdentityProvider, VoilaLoginHandler

from invoca_bulk.errors import ConfigError
from invoca_bulk.web import kernels, sandbox

if TYPE_CHECKING:
    from jupyter_server.auth.identity import User

_HERE = Path(__file__).parent
#: This package's templates and settings for Jupyter and Voilà.
_JUPYTER_FOLDER = _HERE / "jupyter"
_HOST = "127.0.0.1"
_LINK_USED_HTML = (
    "<!doctype html><title>invoca-bulk</title>"
    "<body style='font: 18px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem'>"
    "<h1>invoca-bulk</h1><p>This page opens only with its link, and the link works once. "
    "Go back to the tab where it is open, or start <code>invoca-bulk app</code> again."
)


class OneTimeTokenProvider(VoilaIdentityProvider):
    """Lets one browser in: after the first login that browser has a cookie, and the token is replaced."""

    async def get_user_token(self, handler: Any) -> User | None:  # noqa: ANN401  tornado's handler
        """The user of a request with the token; the token is then replaced."""
        user: User | None = await super().get_user_token(handler)
        if user is not None:
            self.token = secrets.token_urlsafe(32)
        return user


class _LoginForbiddenHandler(VoilaLoginHandler):
    """Replaces Voilà's form, which asks for a token that nobody knows."""

    @allow_unauthenticated
    def get(self) -> None:
        """Explain how to open the page."""
        self.set_status(403)
        self.finish(_LINK_USED_HTML)

    post = get


class _PageClosedHandler(VoilaShutdownKernelHandler):
    """Ends the kernel of a page that is closed; the message that browsers then send cannot carry the XSRF cookie."""

    def check_xsrf_cookie(self) -> None:
        """Skip the check: the login cookie is still required, and no other site's page sends it."""


class _PageServer(Voila):
    """Voilà for this one page: reachable under this machine's own names only, whatever settings files exist."""

    def load_config_file(self, *_: object, **__: object) -> None:
        """Read no settings: the user's are for other pages, and Voilà would execute those in the current folder."""

    def init_handlers(self) -> list[Any]:
        """Voilà's handlers, with `_PageClosedHandler` for pages that are closed."""
        return [
            (route[0], _PageClosedHandler, *route[2:]) if route[1] is VoilaShutdownKernelHandler else route
            for route in super().init_handlers()
        ]

    def init_settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = super().init_settings()
        settings["identity_provider"].login_handler_class = _LoginForbiddenHandler
        # Prevents DNS rebinding: a page of another site whose host name resolves to this machine.
        return settings | {"allow_remote_access": False, "local_hostnames": ["localhost"]}


def serve(*, port: int, open_browser: bool, on_ready: Callable[[str], None], idle_seconds: int = 120) -> None:
    """Serve the page until Ctrl-C, on any free port for 0; `on_ready` gets the page's address, which works once.

    A kernel without a page is ended after `idle_seconds`; runs have their own processes and continue.
    """
    port = _require_free_port(port)
    token = secrets.token_urlsafe(32)
    os.environ.update(sandbox.to_environment(sandbox.start_session()))
    # Voilà searches this package's templates before the user's own folders.
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [str(_JUPYTER_FOLDER), os.environ.get("JUPYTER_PATH")]))
    address = f"http://{_HOST}:{port}/?token={token}"
    asyncio.set_event_loop(asyncio.SelectorEventLoop())  # Windows' own cannot wait for kernels
    server = _PageServer.instance(config=_voila_config(port, token, idle_seconds))
    server.initialize([])

    def announce() -> None:
        on_ready(address)
        if open_browser:
            _open_browser(address)

    asyncio.get_event_loop().call_later(0, announce)
    server.start()


def _open_browser(address: str) -> None:
    """Open the address through a file that only the user can read; other users can see a browser's command line."""
    folder = jupyter_runtime_dir()
    Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(suffix=".html", dir=folder)
    with os.fdopen(descriptor, "w", encoding="utf-8") as page:
        page.write(f'<!doctype html><meta http-equiv="refresh" content="0;url={escape(address)}">')
    atexit.register(lambda: Path(name).unlink(missing_ok=True))
    webbrowser.open(Path(name).as_uri())


def _voila_config(port: int, token: str, idle_seconds: int) -> Config:
    return Config(
        Voila={
            "ip": _HOST,
            "port": port,
            "port_retries": 0,
            "open_browser": False,
            "notebook_path": str(_HERE / "page.ipynb"),
            "token": token,
            "identity_provider_class": OneTimeTokenProvider,
            "log_level": "ERROR",
            "tornado_settings": {"ws_ping_timeout": 30_000},  # the default exceeds the interval, which causes a warning
        },
        VoilaConfiguration={
            "template": "invoca-bulk",
            "show_tracebacks": False,
            "file_allowlist": ["^$"],
            "kernel_spec_manager_class": "invoca_bulk.web.kernels.CurrentPythonKernelSpecManager",
        },
        KernelManager={"transport": kernels.choose_transport(tempfile.gettempdir())},
        MappingKernelManager={
            "cull_idle_timeout": idle_seconds,
            "cull_interval": max(1, idle_seconds // 2),
            "cull_connected": False,
            "cull_busy": False,
        },
    )


def _require_free_port(port: int) -> int:
    """The port, or a free one for 0."""
    try:
        with socket.create_server((_HOST, port)) as listener:
            number: int = listener.getsockname()[1]
            return number
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"The page cannot be served on port {port}: {error}. Choose another one with --port, or 0 for any free one."
        ) from None
