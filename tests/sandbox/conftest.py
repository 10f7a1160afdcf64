"""A sandbox for the whole folder, and an empty network of its own for each test."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from invoca_bulk.stand_in import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from invoca_bulk.stand_in import Store

_NETWORKS = count(5000)


@dataclass(frozen=True, kw_only=True)
class Platform:
    """One network over HTTP; `path` is what follows it in the address, without `.json`."""

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
