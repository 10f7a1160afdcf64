"""The platform's lists: what plan and export know of its state."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from invoca_bulk import planning
from invoca_bulk.errors import InvocaBulkError, PlatformUnavailable
from invoca_bulk.execution import outcomes
from invoca_bulk.planning import Observed
from invoca_bulk.schema import ADVERTISERS, OPERATIONS, PART_KEY
from invoca_bulk.transport import run_sync
from invoca_bulk.transport.client import Client

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from invoca_bulk.config.options import Options
    from invoca_bulk.config.settings import Network
    from invoca_bulk.planning import Scope
    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.transport.client import Answer

_T = TypeVar("_T")

_LIST = OPERATIONS["list"]
#: Statuses that say that a place does not exist, or is not for this caller.
_REFUSED = frozenset({403, 404})
_NOT_FOUND = 404
#: The id of an advertiser that no network has.
_NOBODY = "invoca-bulk-looks-whether-you-are-there"


def observe(scopes: Sequence[Scope], network: Network, options: Options) -> dict[Scope, Observed]:
    """What the platform has: one list for each scope, a few at once.

    Args:
        scopes: the scopes, each once; the one without parts is that of the advertisers.
        network: where.
        options: how many requests at once, and how long to wait for an answer.

    Returns:
        Scope to what it has, in their order; a campaign that the platform refuses is there with the reason.

    Raises:
        NotAuthorized: the platform does not accept the token.
        PlatformUnavailable: a list could not be read.
    """
    found = run_sync.run(lambda: _lists(scopes, network, options)) if scopes else {}
    return {scope: found[scope] for scope in scopes}


def check(network: Network, options: Options) -> None:
    """See that the platform is there, and takes the token: by asking for an advertiser that nobody has.

    Whether the network id is right shows with the first list that is read.

    Args:
        network: where.
        options: how long to wait for an answer.

    Raises:
        NotAuthorized: the platform does not accept the token.
        PlatformUnavailable: what answers is not the platform, or nothing does.
    """
    answer = run_sync.run(lambda: _one(network, options))
    if answer.status != _NOT_FOUND or not isinstance(answer.body, dict) or "errors" not in answer.body:
        raise PlatformUnavailable(_not_there(network, answer))


async def _one(network: Network, options: Options) -> Answer:
    async with Client(network, slots=1, timeout=options.timeout) as client:
        return await client.get(0, (ADVERTISERS.name, _NOBODY))


async def _lists(scopes: Sequence[Scope], network: Network, options: Options) -> dict[Scope, Observed]:
    observed: dict[Scope, Observed] = {}

    async def read(slot: int, scope: Scope) -> None:
        observed[scope] = _observed(await client.get(slot, planning.listed(scope)), scope, network)

    async def complete(slot: int, one: dict[str, Json]) -> None:
        one.update(_whole(await client.get(slot, (ADVERTISERS.name, str(one[PART_KEY]))), one, network))

    slots = options.concurrency
    async with Client(network, slots=slots, timeout=options.timeout) as client:
        await _each(read, scopes, slots)
        await _each(complete, _incomplete(observed.get((), Observed())), slots)
    return observed


async def _each(do: Callable[[int, _T], Awaitable[None]], what: Sequence[_T], slots: int) -> None:
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


def _incomplete(listed: Observed) -> list[dict[str, Json]]:
    """The advertisers whose users or sites the list does not show; one without an id can be named by no sheet."""
    return [
        one
        for one in listed.objects
        if isinstance(one, dict) and outcomes.id_of(one) and outcomes.unlisted(ADVERTISERS, one)
    ]


def _whole(answer: Answer, one: Mapping[str, Json], network: Network) -> Mapping[str, Json]:
    """An advertiser that was read by itself.

    Raises:
        PlatformUnavailable: its users or sites are not shown there either, so that writing it would delete them.
    """
    found = answer.body if answer.status == _LIST.success and isinstance(answer.body, dict) else {}
    if outcomes.id_of(found) == outcomes.id_of(one) and not outcomes.unlisted(ADVERTISERS, found):
        return found
    missing = " and ".join(outcomes.unlisted(ADVERTISERS, one))
    msg = (
        f"The platform at {network.base_url} does not show the {missing} of advertiser {outcomes.id_of(one)}, so it "
        "cannot be told what an update would remove. Try again later, or ask Invoca's support."
    )
    raise PlatformUnavailable(msg)


def _observed(answer: Answer, scope: Scope, network: Network) -> Observed:
    """What a list of numbers or advertisers says.

    Raises:
        PlatformUnavailable: it is no list, so that what stands at the base URL is not the platform, or not well.
    """
    items = answer.body
    if answer.status == _LIST.success and isinstance(items, list) and all(isinstance(one, dict) for one in items):
        return Observed(objects=tuple(items))
    reason = outcomes.explained(answer, {})
    if answer.status in _REFUSED and scope:
        return Observed(refusal=reason.rstrip("."))
    raise PlatformUnavailable(_not_there(network, answer))


def _not_there(network: Network, answer: Answer) -> str:
    reason = outcomes.explained(answer, {}).rstrip(".")
    return f"What answers at {network.base_url} is not the platform, or not well: {reason}. Check the base URL."
