"""`invoca-bulk app`: the page alone, served by Voilà on this machine, for whoever has the link."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import allow_unauthenticated
from traitlets.config import Config
from voila.app import Voila
from voila.voila_identity_provider import VoilaIdentityProvider, VoilaLoginHandler

from invoca_bulk.app import rehearsal
from invoca_bulk.errors import SettingInvalid

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_server.auth.identity import User

_HERE = Path(__file__).parent
#: Of this package: where Jupyter's programs look for templates and settings.
_DATA = _HERE.parent / "jupyter"
_HOST = "127.0.0.1"
_GONE = (
    "<!doctype html><title>invoca-bulk</title><p>This page opens by its link only, and the link works once. "
    "Go back to the tab that has it open, or start <code>invoca-bulk app</code> again."
)


class OneTime(VoilaIdentityProvider):
    """A token that lets one browser in; from then on the browser has a cookie, and the token is another one."""

    async def get_user_token(self, handler: Any) -> User | None:  # noqa: ANN401  tornado's handler
        """Who comes with the token; the next one needs another."""
        user: User | None = await super().get_user_token(handler)
        if user is not None:
            self.token = secrets.token_urlsafe(32)
        return user


class _Refused(VoilaLoginHandler):
    """Instead of a form for a token that nobody knows."""

    @allow_unauthenticated
    def get(self) -> None:
        """Say how the page is opened."""
        self.set_status(403)
        self.finish(_GONE)

    post = get


class _Server(Voila):
    """Voilà for this one page: reachable under this machine's own names only."""

    def init_settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = super().init_settings()
        settings["identity_provider"].login_handler_class = _Refused
        # Another site's page could else be led here by a name of its own that is made to mean this machine.
        return settings | {"allow_remote_access": False, "local_hostnames": ["localhost"]}


def serve(*, port: int, open_browser: bool, ready: Callable[[str], None], idle: int = 120) -> None:
    """Serve the page until Ctrl-C.

    Args:
        port: the port; 0: any free one.
        open_browser: whether to open it.
        ready: called with its address, which works once.
        idle: seconds after which a kernel without a page is ended; a run has a process of its own, and goes on.

    Raises:
        SettingInvalid: the port cannot be had.
    """
    port = _free(port)
    token = secrets.token_urlsafe(32)
    os.environ.update(rehearsal.told(rehearsal.served()))
    # Where Voilà looks for the template; the person's own folders come after it.
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [str(_DATA), os.environ.get("JUPYTER_PATH")]))
    address = f"http://{_HOST}:{port}/?token={token}"
    asyncio.set_event_loop(asyncio.new_event_loop())
    server = _Server.instance(config=_config(port, token, idle))
    server.initialize([])

    def tell() -> None:
        ready(address)
        if open_browser:
            webbrowser.open(address)

    asyncio.get_event_loop().call_later(0, tell)
    server.start()


def _config(port: int, token: str, idle: int) -> Config:
    return Config(
        Voila={
            "ip": _HOST,
            "port": port,
            "port_retries": 0,
            "open_browser": False,
            "notebook_path": str(_HERE / "page.ipynb"),
            "token": token,
            "identity_provider_class": OneTime,
            "log_level": "ERROR",
        },
        VoilaConfiguration={
            "template": "invoca-bulk",
            "show_tracebacks": False,
            "file_allowlist": ["^$"],
            "kernel_spec_manager_class": "invoca_bulk.kernels.ThisPython",
        },
        KernelManager={"transport": "tcp" if os.name == "nt" else "ipc"},  # ipc: nobody else on the machine can listen
        MappingKernelManager={
            "cull_idle_timeout": idle,
            "cull_interval": max(1, idle // 2),
            "cull_connected": False,
            "cull_busy": False,
        },
    )


def _free(port: int) -> int:
    """The port, or a free one for 0.

    Raises:
        SettingInvalid: it is taken.
    """
    try:
        with socket.create_server((_HOST, port)) as listener:
            number: int = listener.getsockname()[1]
            return number
    except (OSError, OverflowError) as error:
        msg = f"The page cannot be served on port {port}: {error}. Choose another one with --port, or 0 for any."
        raise SettingInvalid(msg) from None
