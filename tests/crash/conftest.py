"""What the crash tests share: a warm process that forks, and a sandbox."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from invoca_bulk.sandbox_server import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.crash.driving import Network, Zygote
    from tests.crash.ways import Way

#: They fork, limit resources and read signals as POSIX has them.
collect_ignore_glob = [] if hasattr(os, "fork") else ["test_*.py"]


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """Forks children that have imported everything already."""
    from tests.crash.driving import Zygote  # noqa: PLC0415  POSIX only

    with Zygote() as warm:
        yield warm


@pytest.fixture(scope="module")
def platform_box() -> Iterator[Sandbox]:
    """A sandbox for all tests of a file, each with a network of its own."""
    with Sandbox(open_campaigns=True) as box:
        yield box


@pytest.fixture
def on(zygote: Zygote, platform_box: Sandbox, tmp_path: Path) -> Callable[..., Network]:
    """Makes a network of its own: `on(way, concurrency=2)`; nothing goes wrong there until the test says so."""
    from tests.crash.driving import Network  # noqa: PLC0415  POSIX only

    platform_box.faults = ""

    def make(way: Way, name: str = "network", **options: Any) -> Network:
        return Network(zygote=zygote, box=platform_box, folder=tmp_path / name, way=way, options=options)

    return make
