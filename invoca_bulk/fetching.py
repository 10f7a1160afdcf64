"""The platform's lists: what plan and export know of its state."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from invoca_bulk import bridge, planning, verdicts
from invoca_bulk.client import Client
from invoca_bulk.errors import InvocaBulkError, PlatformUnavailable
from invoca_bulk.planning import Observed
from invoca_bulk.schema import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from invoca_bulk.client import Answer
    from invoca_bulk.options import Options
    from invoca_bulk.planning import Scope
    from invoca_bulk.settings import Network

_LIST = OPERATIONS["list"]
#: Statuses that say that a place does not exist, or is not for this caller.
_REFUSED = frozenset({403, 404})


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
    found = bridge.run(lambda: _lists(scopes, network, options)) if scopes else {}
    return {scope: found[scope] for scope in scopes}


async def _lists(scopes: Sequence[Scope], network: Network, options: Options) -> dict[Scope, Observed]:
    waiting = iter(scopes)
    observed: dict[Scope, Observed] = {}

    async def work(slot: int) -> None:
        for scope in waiting:
            observed[scope] = _observed(await client.get(slot, planning.listed(scope)), scope, network)

    slots = min(options.concurrency, len(scopes))
    async with Client(network, slots=slots, timeout=options.timeout) as client:
        try:
            async with asyncio.TaskGroup() as group:
                for slot in range(slots):
                    group.create_task(work(slot))
        except* InvocaBulkError as errors:
            raise errors.exceptions[0] from None
    return observed


def _observed(answer: Answer, scope: Scope, network: Network) -> Observed:
    """What a list of numbers or advertisers says.

    Raises:
        PlatformUnavailable: it is no list, so that what stands at the base URL is not the platform, or not well.
    """
    items = answer.body
    if answer.status == _LIST.success and isinstance(items, list) and all(isinstance(one, dict) for one in items):
        return Observed(objects=tuple(items))
    reason = verdicts.explained(answer, {})
    if answer.status in _REFUSED and scope:
        return Observed(refusal=reason.rstrip("."))
    msg = f"What answers at {network.base_url} is not the platform, or not well: {reason}. Check the base URL."
    raise PlatformUnavailable(msg)
