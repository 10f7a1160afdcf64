"""The platform's lists: what plan and export know of its state."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from invoca_bulk import planning
from invoca_bulk.errors import InvocaBulkError, PlatformUnavailableError
from invoca_bulk.execution import outcomes
from invoca_bulk.planning import PlatformState
from invoca_bulk.schema import ADVERTISERS, OPERATIONS, SUBRESOURCE_KEY
from invoca_bulk.transport import run_sync
from invoca_bulk.transport.client import Client

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from invoca_bulk.config.options import Options
    from invoca_bulk.config.settings import Network
    from invoca_bulk.planning import Scope
    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.transport.client import Response

_T = TypeVar("_T")

_LIST_OPERATION = OPERATIONS["list"]
#: Statuses that say that a place does not exist, or is not for this caller.
_REFUSED_STATUSES = frozenset({403, 404})
_HTTP_NOT_FOUND = 404
#: The id of an advertiser that no network has.
_NONEXISTENT_ID = "invoca-bulk-looks-whether-you-are-there"


def fetch_state(scopes: Sequence[Scope], network: Network, options: Options) -> dict[Scope, PlatformState]:
    """What the platform has: one list for each scope, a few at once.

    Args:
        scopes: the scopes, each once; the one without parts is that of the advertisers.
        network: where.
        options: how many requests at once, and how long to wait for an answer.

    Returns:
        Scope to what it has, in their order; a campaign that the platform refuses is there with the reason.

    Raises:
        AuthenticationError: the platform does not accept the token.
        PlatformUnavailableError: a list could not be read.
    """
    found = run_sync.run(lambda: _fetch_lists(scopes, network, options)) if scopes else {}
    return {scope: found[scope] for scope in scopes}


def check_connection(network: Network, options: Options) -> None:
    """See that the platform is there, and takes the token: by asking for an advertiser that nobody has.

    Whether the network id is right shows with the first list that is read.

    Args:
        network: where.
        options: how long to wait for an answer.

    Raises:
        AuthenticationError: the platform does not accept the token.
        PlatformUnavailableError: what answers is not the platform, or nothing does.
    """
    answer = run_sync.run(lambda: _request_nonexistent(network, options))
    if answer.status != _HTTP_NOT_FOUND or not isinstance(answer.body, dict) or "errors" not in answer.body:
        raise PlatformUnavailableError(_unavailable_text(network, answer))


async def _request_nonexistent(network: Network, options: Options) -> Response:
    async with Client(network, connections=1, timeout=options.timeout) as client:
        return await client.get(0, (ADVERTISERS.name, _NONEXISTENT_ID))


async def _fetch_lists(scopes: Sequence[Scope], network: Network, options: Options) -> dict[Scope, PlatformState]:
    observed: dict[Scope, PlatformState] = {}

    async def read(slot: int, scope: Scope) -> None:
        observed[scope] = _parse_list(await client.get(slot, planning.list_path(scope)), scope, network)

    async def complete(slot: int, one: dict[str, Json]) -> None:
        one.update(
            _parse_advertiser(await client.get(slot, (ADVERTISERS.name, str(one[SUBRESOURCE_KEY]))), one, network)
        )

    slots = options.concurrency
    async with Client(network, connections=slots, timeout=options.timeout) as client:
        await _run_for_each(read, scopes, slots)
        await _run_for_each(complete, _incomplete_advertisers(observed.get((), PlatformState())), slots)
    return observed


async def _run_for_each(do: Callable[[int, _T], Awaitable[None]], what: Sequence[_T], slots: int) -> None:
    """Do something with each, so many at once.

    Raises:
        InvocaBulkError: the first one that was raised.
    """
    waiting = iter(what)

    async def work(slot: int) -> None:
        for one in waiting:
            await do(slot, one)

    failed: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:
            for slot in range(min(slots, len(what))):
                group.create_task(work(slot))
    except* InvocaBulkError as errors:
        failed = errors.exceptions[0]
    if failed:
        raise failed  # here, since IPython shows no error as usual that has a group in its context


def _incomplete_advertisers(listed: PlatformState) -> list[dict[str, Json]]:
    """The advertisers whose users or sites the list does not show; one without an id can be named by no sheet."""
    return [
        one
        for one in listed.objects
        if isinstance(one, dict) and outcomes.id_of(one) and outcomes.missing_collections(ADVERTISERS, one)
    ]


def _parse_advertiser(answer: Response, one: Mapping[str, Json], network: Network) -> Mapping[str, Json]:
    """An advertiser that was read by itself.

    Raises:
        PlatformUnavailableError: its users or sites are not shown there either, so that writing it would delete them.
    """
    found = answer.body if answer.status == _LIST_OPERATION.success_status and isinstance(answer.body, dict) else {}
    if outcomes.id_of(found) == outcomes.id_of(one) and not outcomes.missing_collections(ADVERTISERS, found):
        return found
    missing = " and ".join(outcomes.missing_collections(ADVERTISERS, one))
    msg = (
        f"The platform at {network.base_url} does not show the {missing} of advertiser {outcomes.id_of(one)}, so it "
        "cannot be told what an update would remove. Try again later, or ask Invoca's support."
    )
    raise PlatformUnavailableError(msg)


def _parse_list(answer: Response, scope: Scope, network: Network) -> PlatformState:
    """What a list of numbers or advertisers says.

    Raises:
        PlatformUnavailableError: it is no list, so that what stands at the base URL is not the platform, or not well.
    """
    items = answer.body
    if (
        answer.status == _LIST_OPERATION.success_status
        and isinstance(items, list)
        and all(isinstance(one, dict) for one in items)
    ):
        return PlatformState(objects=tuple(items))
    reason = outcomes.describe_error_response(answer, {})
    if answer.status in _REFUSED_STATUSES and scope:
        return PlatformState(refusal_reason=reason.rstrip("."))
    raise PlatformUnavailableError(_unavailable_text(network, answer))


def _unavailable_text(network: Network, answer: Response) -> str:
    reason = outcomes.describe_error_response(answer, {}).rstrip(".")
    return f"What answers at {network.base_url} is not the platform, or not well: {reason}. Check the base URL."
