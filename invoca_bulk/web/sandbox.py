"""The sandbox that the page offers: one for all tabs of `invoca-bulk app`, else one of the notebook's kernel."""

from __future__ import annotations

import atexit
import functools
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from invoca_bulk.config.settings import Network
from invoca_bulk.sandbox_server import Sandbox

#: Where a server tells its pages of its sandbox; nothing in it is secret, its token is anybody's.
SANDBOX_VARIABLE = "INVOCA_BULK_PAGE_SANDBOX"
#: Seconds an answer takes, so that there is something to see.
_LATENCY_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class SandboxSession:
    """A sandbox that is being served, and the folder of its own journal, which goes with it."""

    base_url: str
    network_id: str
    token: str
    journal: str

    def to_network(self, api_version: str) -> Network:
        """Its network. It is no `rehearsal` to the stages: what is bought there can be resumed and undone."""
        return Network(base_url=self.base_url, network_id=self.network_id, token=self.token, api_version=api_version)


def get_or_start_session() -> SandboxSession:
    """The server's sandbox, or one that lives as long as this process."""
    return get_session() or _own_session()


def get_session() -> SandboxSession | None:
    """The sandbox that there is already; None: nobody has wanted one yet."""
    if told := os.environ.get(SANDBOX_VARIABLE):
        return SandboxSession(**json.loads(told))
    return _own_session() if _own_session.cache_info().currsize else None


@functools.cache
def _own_session() -> SandboxSession:
    return start_session()


def start_session() -> SandboxSession:
    """Serve a sandbox until this process ends."""
    box = Sandbox(open_campaigns=True, latency=_LATENCY_SECONDS)
    folder = tempfile.TemporaryDirectory(prefix="invoca-bulk-rehearsal-")
    box.start()
    atexit.register(folder.cleanup)
    atexit.register(box.stop)
    return SandboxSession(
        base_url=box.base_url, network_id=box.network_id, token=box.token, journal=str(Path(folder.name) / "journal")
    )


def to_environment(session: SandboxSession) -> dict[str, str]:
    """The environment that tells a page of a sandbox."""
    return {SANDBOX_VARIABLE: json.dumps(asdict(session))}
