"""The page's sandbox: one for all tabs of `invoca-bulk app`, or one for each notebook kernel."""

from __future__ import annotations

import atexit
import functools
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from invoca_bulk.config.network import Network
from invoca_bulk.sandbox_server import Sandbox

#: How the server of `invoca-bulk app` passes its sandbox to the pages; the sandbox's token is no secret.
SANDBOX_VARIABLE = "INVOCA_BULK_PAGE_SANDBOX"
#: Seconds before each response; without them a run would end before its progress can be seen.
_LATENCY_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class SandboxSession:
    """A running sandbox, and the folder of its journal, which is deleted with it."""

    base_url: str
    network_id: str
    token: str
    journal: str

    def to_network(self, api_version: str) -> Network:
        """The sandbox's network, not marked as `rehearsal`, so that its runs can be resumed and undone."""
        return Network(base_url=self.base_url, network_id=self.network_id, token=self.token, api_version=api_version)


def get_or_start_session() -> SandboxSession:
    """The server's sandbox, or one that runs until this process ends."""
    return get_session() or _own_session()


def get_session() -> SandboxSession | None:
    """The sandbox that is already running; None: there is none yet."""
    if session_json := os.environ.get(SANDBOX_VARIABLE):
        return SandboxSession(**json.loads(session_json))
    return _own_session() if _own_session.cache_info().currsize else None


def start_session() -> SandboxSession:
    """Serve a sandbox until this process ends."""
    sandbox_server = Sandbox(open_campaigns=True, latency=_LATENCY_SECONDS)
    # A run of the page may outlive it; Windows keeps what that has open.
    folder = tempfile.TemporaryDirectory(prefix="invoca-bulk-rehearsal-", ignore_cleanup_errors=True)
    sandbox_server.start()
    atexit.register(folder.cleanup)
    atexit.register(sandbox_server.stop)
    return SandboxSession(
        base_url=sandbox_server.base_url,
        network_id=sandbox_server.network_id,
        token=sandbox_server.token,
        journal=str(Path(folder.name) / "journal"),
    )


#: The sandbox of this process, started when it is first needed.
_own_session = functools.cache(start_session)


def to_environment(session: SandboxSession) -> dict[str, str]:
    """The environment variable from which `get_session` reads a sandbox."""
    return {SANDBOX_VARIABLE: json.dumps(asdict(session))}
