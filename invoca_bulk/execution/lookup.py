"""Looking up on the platform whether a step in doubt was applied."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import TypeAlias

from invoca_bulk.errors import InvocaBulkError, RequestFailedError
from invoca_bulk.execution import outcomes
from invoca_bulk.execution.outcomes import StepResult
from invoca_bulk.execution.preflight import object_path
from invoca_bulk.journal import State
from invoca_bulk.planning import Step, merge
from invoca_bulk.schema import (
    ADVERTISERS,
    API_VERSIONS,
    OPERATIONS,
    PROMO_NUMBERS,
    RESOURCES,
    Action,
    Resource,
    paths,
    payloads,
)
from invoca_bulk.schema.field_types import Json
from invoca_bulk.transport.client import Client, Response

_READ = OPERATIONS["read"]
_LIST = OPERATIONS["list"]
#: Its rules leave out the performance flags, which may be false whatever was sent.
_NEWEST_VERSION = API_VERSIONS[-1]


async def confirm_after_doubt(
    client: Client, connection: int, step: Step, result: StepResult, *, was_in_doubt: bool
) -> StepResult:
    """Look up a step in doubt, and return it as done if the platform shows its object. Never raises.

    `was_in_doubt`: an earlier attempt may have been applied; a rejection is then in doubt as well.
    """
    is_rewritable = step.action is not Action.MOVE and outcomes.response_policy_for(step).retryable
    is_readable = is_rewritable and result.is_empty_success
    find = _find_written if is_readable else _LOOKUPS.get((step.resource, step.action))
    is_open = result.state is State.IN_DOUBT or (was_in_doubt and result.state is State.REJECTED)
    if not is_open or find is None:
        return result
    try:
        platform_object = await find(client, connection, step, result)
    except InvocaBulkError:
        return result
    return result if platform_object is None else outcomes.confirmed(platform_object)


async def _find_written(client: Client, connection: int, step: Step, _: StepResult) -> Mapping[str, Json] | None:
    """The object of a write, if it shows what was sent."""
    response = await client.get(connection, object_path(step))
    if response.status != _READ.success_status or outcomes.missing_proof(step, response.body):
        return None
    return response.body if _shows_what_was_sent(RESOURCES[step.resource], response.body, step.body or {}) else None


def _shows_what_was_sent(resource: Resource, shown: Mapping[str, Json], sent: Mapping[str, Json]) -> bool:
    """Whether an object has the values that were sent, lacks those that were cleared, and has just the parts sent."""
    sent_values, shown_values = (
        dict(payloads.flatten_object(merge.to_comparable(resource, tree, _NEWEST_VERSION))) for tree in (sent, shown)
    )
    cleared = tuple(f"{path}." for path, value in payloads.flatten_object(sent) if value is None)
    is_cleared = all(
        value == resource.by_path[paths.to_pattern(path)].default
        for path, value in shown_values.items()
        if f"{path}.".startswith(cleared)
    )
    has_same_parts = merge.parts_by_id(resource, sent).keys() == merge.parts_by_id(resource, shown).keys()
    is_kept = all(shown_values[path] == value for path, value in sent_values.items() if path in shown_values)
    return is_kept and is_cleared and has_same_parts


async def _find_moved_number(
    client: Client, connection: int, step: Step, result: StepResult
) -> Mapping[str, Json] | None:
    """The number at its destination, once the source no longer has it or refuses to move it."""
    collection, key = step.path[-2:]
    number = key if collection == PROMO_NUMBERS.name else outcomes.number_of(step.snapshot)
    is_refused = result.state is State.REJECTED or result.http_status == HTTPStatus.NOT_FOUND
    if not (is_refused or result.is_empty_success) or not number:
        return None
    response = await client.get(connection, (*step.destination[:-1], PROMO_NUMBERS.name, number))
    return response.body if _is_number(response) else None


async def _find_created(client: Client, connection: int, step: Step, _: StepResult) -> Mapping[str, Json] | None:
    return await find_by_identity(client, connection, step) if is_identifiable(step) else None


def is_identifiable(step: Step) -> bool:
    """Whether a non-idempotent create can be looked up by its own id or, for an advertiser, by its name."""
    name = (step.body or {}).get("name") if step.resource == ADVERTISERS.name else ""
    return step.non_idempotent and bool(step.own_id or name)


async def find_by_identity(client: Client, connection: int, step: Step) -> Mapping[str, Json] | None:
    """The object that a create in doubt was to make, found by own id or name; None: the platform does not have it.

    The plan made sure that the identity was free: ids are unique in a campaign, names of advertisers in a network. An
    `InvocaBulkError` means that the platform could not be read.
    """
    response = await client.get(connection, object_path(step))
    if step.own_id:
        if response.status == HTTPStatus.NOT_FOUND:
            return None
        if _is_number(response):
            platform_object: Mapping[str, Json] = response.body
            return platform_object
    elif response.status == _LIST.success_status and isinstance(response.body, list):
        name = (step.body or {}).get("name")
        return next((item for item in response.body if isinstance(item, dict) and item.get("name") == name), None)
    raise RequestFailedError(outcomes.describe_error_response(response, {}).rstrip("."))


def _is_number(response: Response) -> bool:
    return response.status == _READ.success_status and bool(outcomes.number_of(response.body))


_Lookup: TypeAlias = "Callable[[Client, int, Step, StepResult], Awaitable[Mapping[str, Json] | None]]"
_LOOKUPS: Mapping[tuple[str, Action], _Lookup] = {
    (PROMO_NUMBERS.name, Action.MOVE): _find_moved_number,
    (ADVERTISERS.name, Action.CREATE): _find_created,
    (PROMO_NUMBERS.name, Action.CREATE): _find_created,
}
