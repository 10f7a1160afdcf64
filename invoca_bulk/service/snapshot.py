"""The platform's state, as plan and export read it: its lists of advertisers and promo numbers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import TypeVar

from invoca_bulk import planning
from invoca_bulk.config.network import Network
from invoca_bulk.config.options import Options
from invoca_bulk.errors import InvocaBulkError, PlatformUnavailableError
from invoca_bulk.execution import outcomes
from invoca_bulk.planning import PlatformState, Scope, merge
from invoca_bulk.schema import ADVERTISERS, OPERATIONS, SUBRESOURCE_KEY
from invoca_bulk.schema.field_types import Json
from invoca_bulk.transport import run_sync
from invoca_bulk.transport.client import Client, Response

_T = TypeVar("_T")

_LIST_OPERATION = OPERATIONS["list"]
#: The statuses of a campaign that does not exist, or that this token may not read.
_REFUSED_STATUSES = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})
#: The id of an advertiser that no network has.
_NONEXISTENT_ID = "invoca-bulk-connection-check"


def fetch_state(scopes: Sequence[Scope], network: Network, options: Options) -> dict[Scope, PlatformState]:
    """Read one list for each scope, several at once; the empty scope is that of the advertisers.

    A campaign that the platform refuses has the reason. Any other list that cannot be read is an error.
    """
    state_by_scope = run_sync.run(lambda: _fetch_lists(scopes, network, options)) if scopes else {}
    return {scope: state_by_scope[scope] for scope in scopes}


def check_connection(network: Network, options: Options) -> None:
    """Check that the platform responds and accepts the token, by asking for an advertiser that does not exist.

    A wrong network id shows only when the first list is read.
    """

    async def request_nonexistent() -> Response:
        async with Client(network, connections=1, timeout=options.timeout) as client:
            return await client.get(0, (ADVERTISERS.name, _NONEXISTENT_ID))

    response = run_sync.run(request_nonexistent)
    is_platform = isinstance(response.body, dict) and "errors" in response.body
    if response.status != HTTPStatus.NOT_FOUND or not is_platform:
        raise PlatformUnavailableError(_unavailable_text(network, response))


async def _fetch_lists(scopes: Sequence[Scope], network: Network, options: Options) -> dict[Scope, PlatformState]:
    state_by_scope: dict[Scope, PlatformState] = {}

    async def read_list(connection: int, scope: Scope) -> None:
        response = await client.get(connection, planning.list_path(scope))
        state_by_scope[scope] = _parse_list(response, scope, network)

    async def complete(connection: int, advertiser: dict[str, Json]) -> None:
        with contextlib.suppress(PlatformUnavailableError):  # then its rows are refused, and no others
            response = await client.get(connection, (ADVERTISERS.name, str(advertiser[SUBRESOURCE_KEY])))
            advertiser.update(_parse_advertiser(response, advertiser))

    connections = options.concurrency
    async with Client(network, connections=connections, timeout=options.timeout) as client:
        await _run_for_each(read_list, scopes, connections)
        # Those that the list shows without users or sites; not those without an id, which no sheet can name.
        incomplete = [
            advertiser
            for advertiser in state_by_scope.get((), PlatformState()).objects
            if isinstance(advertiser, dict)
            and outcomes.id_of(advertiser)
            and merge.missing_collections(ADVERTISERS, advertiser)
        ]
        await _run_for_each(complete, incomplete, connections)
    return state_by_scope


async def _run_for_each(operation: Callable[[int, _T], Awaitable[None]], items: Sequence[_T], connections: int) -> None:
    """Run an operation for each item, one at a time on each connection; the first error of one is raised."""
    queue = iter(items)

    async def work(connection: int) -> None:
        for item in queue:
            await operation(connection, item)

    first_error: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            for connection in range(min(connections, len(items))):
                group.create_task(work(connection))
    except* InvocaBulkError as errors:
        first_error = errors.exceptions[0]
    if first_error:
        raise first_error  # outside of `except*`: IPython displays an error with a group in its context differently


def _parse_advertiser(response: Response, listed: Mapping[str, Json]) -> Mapping[str, Json]:
    """What an advertiser that was read on its own adds to the listed one: nothing, if it is incomplete as well."""
    is_success = response.status == _LIST_OPERATION.success_status
    advertiser = response.body if is_success and isinstance(response.body, dict) else {}
    is_same = outcomes.id_of(advertiser) == outcomes.id_of(listed)
    return advertiser if is_same and not merge.missing_collections(ADVERTISERS, advertiser) else {}


def _parse_list(response: Response, scope: Scope, network: Network) -> PlatformState:
    """The state that a list shows; if it is none, the base URL is not the platform's, or the platform is down."""
    items = response.body
    is_success = response.status == _LIST_OPERATION.success_status
    if is_success and isinstance(items, list) and all(isinstance(item, dict) for item in items):
        distinct = {json.dumps(item, sort_keys=True): item for item in items}  # pages may overlap
        return PlatformState(objects=tuple(distinct.values()))
    if response.status in _REFUSED_STATUSES and scope:
        return PlatformState(refusal_reason=outcomes.describe_error_response(response, {}).rstrip("."))
    raise PlatformUnavailableError(_unavailable_text(network, response))


def _unavailable_text(network: Network, response: Response) -> str:
    reason = outcomes.describe_error_response(response, {}).rstrip(".")
    return f"{network.base_url} is not the platform, or the platform is down: {reason}. Check the base URL."
