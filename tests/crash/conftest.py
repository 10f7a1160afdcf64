"""Fixtures of the crash tests: a preloaded process that forks children, and a sandbox."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from invoca_bulk.sandbox_server import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.crash.driving import Network, Zygote
    from tests.crash.ways import Way

#: The tests limit resources, read signals, and fork, which libraries of macOS do not survive.
collect_ignore_glob = [] if sys.platform == "linux" else ["test_*.py"]


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """Forks children with all modules already imported."""
    from tests.crash.driving import Zygote  # noqa: PLC0415  POSIX only

    with Zygote() as zygote:
        yield zygote


@pytest.fixture(scope="module")
def platform_box() -> Iterator[Sandbox]:
    """A sandbox for all tests of a file, each with a separate network."""
    with Sandbox(open_campaigns=True) as box:
        yield box


@pytest.fixture
def make_network(zygote: Zygote, platform_box: Sandbox, tmp_path: Path) -> Callable[..., Network]:
    """Creates a network without faults: `make_network(way, concurrency=2)`."""
    from tests.crash.driving import Network  # noqa: PLC0415  POSIX only

    platform_box.faults = ""

    def make(way: Way, name: str = "network", **options: Any) -> Network:
        return Network(zygote=zygote, box=platform_box, folder=tmp_path / name, way=way, options=options)

    return make
