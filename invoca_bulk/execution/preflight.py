"""What is read around a step: the object just before an update, and after a request in doubt what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from invoca_bulk.errors import InvocaBulkError, RequestFailedError
from invoca_bulk.execution import outcomes
from invoca_bulk.journal import State
from invoca_bulk.planning import merge
from invoca_bulk.schema import (
    ADVERTISERS,
    OPERATIONS,
    PROMO_NUMBERS,
    RESOURCES,
    SUBRESOURCE_KEY,
    Action,
    paths,
    payloads,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from invoca_bulk.execution.outcomes import StepResult
    from invoca_bulk.planning import Step
    from invoca_bulk.planning.merge import MergeResult, PartId
    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.transport.client import Client, Response

_READ = OPERATIONS["read"]
_LIST = OPERATIONS["list"]


@dataclass(frozen=True, kw_only=True)
class PreparedRequest:
    """What a step is about to send.

    Attributes:
        body: the JSON object; None: no body.
        snapshot: the object as it was read just before; None: none was read.
    """

    body: Mapping[str, Json] | None
    snapshot: Mapping[str, Json] | None = None


def needs_preflight(step: Step, *, resumed: bool = False) -> bool:
    """Whether the object is read just before it is written: what is sent replaces all of its users and sites.

    Args:
        step: the step.
        resumed: whether its plan was made for an earlier execution; others may have changed the object since.
    """
    creates = step.action is Action.CREATE and bool(step.own_id) and bool(RESOURCES[step.resource].subresources)
    return creates or step.patch is not None or (resumed and step.snapshot is not None)


def health_check_path(step: Step) -> tuple[str, ...]:
    """What to read, as path parts, to see whether the platform is well; that it is not there is a good answer too."""
    return (*step.path, step.own_id) if step.action is Action.CREATE and step.own_id else step.path


async def prepare_request(  # noqa: PLR0913  the parts of one request; keyword-only
    client: Client,
    connection: int,
    step: Step,
    *,
    column_titles: Mapping[str, str],
    version: str,
    was_in_doubt: bool,
    resumed: bool = False,
) -> PreparedRequest | StepResult:
    """What to send: the planned body, or the step's patch applied to the object as it is now. It never raises.

    Before an object with parts is created it is seen that nobody else has created it since the plan was made.

    Args:
        client: an open client.
        connection: whose connection to use.
        step: the step.
        column_titles: path to the sheet's column title.
        version: the API version.
        was_in_doubt: whether an earlier attempt may have been applied.
        resumed: as for `needs_preflight`.

    Returns:
        The draft; or the verdict on a step that is not sent, because its object could not be read or is another one.
    """
    is_read = needs_preflight(step, resumed=resumed)
    if not is_read or (was_in_doubt and step.action is Action.CREATE):
        return PreparedRequest(body=step.body)  # what a create in doubt finds there may well be its own
    try:
        path = (*step.path, step.own_id) if step.action is Action.CREATE else step.path
        answer = await client.send(connection, _READ.verb, path)
        if was_in_doubt and step.patch is None and (told := _check_already_applied(step, answer)):
            return told
        return outcomes.classify_preflight(answer, step, column_titles) or _prepare_from_current(
            step, answer.body, version
        )
    except RequestFailedError as error:
        return outcomes.preflight_failed(step, str(error))
    except Exception:  # noqa: BLE001  nothing has been sent yet, whatever it is
        return outcomes.preflight_failed(step, "something unexpected went wrong")


def _prepare_from_current(step: Step, current: Mapping[str, Json], version: str) -> PreparedRequest | StepResult:
    if step.patch is not None:
        return _reapply_patch(step, current, version)
    is_stale = step.snapshot is not None and _has_changed(step, current)
    return outcomes.stale(step) if is_stale else PreparedRequest(body=step.body)


def _check_already_applied(step: Step, response: Response) -> PreparedRequest | StepResult | None:
    """What a look tells of a step in doubt: that it was done; what is to be sent all the same; None: neither."""
    if response.status == outcomes.HTTP_NOT_FOUND:
        return PreparedRequest(body=step.body)  # a deletion, or a move: the answer to the next attempt tells which
    if response.status != _READ.success_status or not isinstance(response.body, dict):
        return None
    ids = [one.get("id") for one in (step.snapshot or {}, response.body)]
    if step.action is Action.DELETE and None not in ids and ids[0] != ids[1]:
        return outcomes.deleted()  # the number was given out again, and is another object
    wanted = dict(payloads.flatten_object(step.body or {}))
    now = dict(payloads.flatten_object(response.body))
    is_done = bool(wanted) and all(now.get(path) == value for path, value in wanted.items() if path in now)
    return outcomes.confirmed(response.body) if step.action is Action.UPDATE and is_done else None


def _has_changed(step: Step, current: Mapping[str, Json]) -> bool:
    """Whether what can be changed of an object is not what the plan saw any more; a list may show less of it."""
    fields = RESOURCES[step.resource].by_path
    before, now = (dict(payloads.flatten_object(one)) for one in (step.snapshot or {}, current))
    seen = (path for path in before if (known := fields.get(paths.to_pattern(path))) and known.is_sent)
    return any(before[path] != now.get(path) for path in seen)


def _reapply_patch(step: Step, current: Mapping[str, Json], version: str) -> PreparedRequest | StepResult:
    planned, merged = (_merge_patch(step, one, version) for one in (step.snapshot, current))
    came = list(_unplanned_removals(planned, merged))
    gone = list(_removed_since_plan(step, current, planned, merged, version))
    moved = _changed_defaults(merged) - _changed_defaults(planned)
    if came or gone or moved:
        return outcomes.changed_since_plan(step, added=came, removed=gone, changed_defaults=moved)
    return PreparedRequest(body=merged.body, snapshot=current)


def _merge_patch(step: Step, current: Mapping[str, Json] | None, version: str) -> MergeResult:
    resource, patch = RESOURCES[step.resource], step.patch or {}
    # Numbered entries mean those that the plan saw, also when an attempt before this one has changed their numbers.
    return merge.merge_patch(resource, merge.bind_entries(resource, patch, step.snapshot, version), current, version)


def _unplanned_removals(planned: MergeResult, merged: MergeResult) -> Iterator[str]:
    """The users and sites that would go although the plan did not know them, so that nobody has agreed to it."""
    known = {(one.collection, one.id or one.name) for one in planned.removed}
    for one in merged.removed:
        name = (one.collection, one.id or one.name)
        if name not in known:
            yield merge.describe_part(*name, one.name)


def _changed_defaults(merged: MergeResult) -> set[str]:
    """The sets whose first part is made another one."""
    collections = {part.name: part.singular for resource in RESOURCES.values() for part in resource.subresources}
    firsts = {f"{name}.1.{SUBRESOURCE_KEY}": one for name, one in collections.items()}
    return {firsts[change.path] for change in merged.changes if change.part is None and change.path in firsts}


def _removed_since_plan(
    step: Step, current: Mapping[str, Json], planned: MergeResult, merged: MergeResult, version: str
) -> Iterator[str]:
    """What the plan changes or keeps and somebody has taken away: a change would bring half of it back.

    A set of which nobody is left is more likely to have been read wrongly than to have been emptied.
    """
    resource = RESOURCES[step.resource]
    names = _part_names(step.snapshot or {}, step)
    for name in dict.fromkeys(chain(_parts_of_emptied_sets(step, current, planned), merged.added)):
        if name not in planned.added:
            yield merge.describe_part(*name, names.get(name, ""))
    patch = merge.bind_entries(resource, step.patch or {}, step.snapshot, version)
    for name, address in merge.missing_entries(resource, patch, current, version):
        yield f"email address {address} of {merge.describe_part(*name, names.get(name, ''))}"


def _parts_of_emptied_sets(step: Step, current: Mapping[str, Json], planned: MergeResult) -> Iterator[PartId]:
    """The parts that the plan leaves, of each set of which none is left."""
    removed = {(one.collection, one.id) for one in planned.removed}
    before, now = _part_names(step.snapshot or {}, step), _part_names(current, step)
    for part in RESOURCES[step.resource].subresources:
        kept = [name for name in before if name[0] == part.name and name not in removed]
        yield from kept if not any(name in now for name in kept) else ()


def _part_names(tree: Mapping[str, Json], step: Step) -> dict[PartId, str]:
    """Each part of an object to what people call it."""
    return {
        (part.name, outcomes.id_of(one)): merge.display_name(one)
        for part in RESOURCES[step.resource].subresources
        for one in tree.get(part.name) or ()
    }


# After a request in doubt


async def confirm_after_doubt(
    client: Client, connection: int, step: Step, result: StepResult, *, was_in_doubt: bool
) -> StepResult:
    """A verdict, and for one in doubt what a look at the platform tells beyond it. It never raises.

    A refusal is in doubt too, if an earlier attempt may have been applied (`was_in_doubt`).
    """
    look = _LOOKUPS.get((step.resource, step.action))
    is_open = result.state is State.IN_DOUBT or (was_in_doubt and result.state is State.REJECTED)
    if not is_open or look is None:
        return result
    try:
        one = await look(client, connection, step, result)
    except InvocaBulkError:
        return result
    return result if one is None else outcomes.confirmed(one)


async def _find_moved_number(
    client: Client, connection: int, step: Step, result: StepResult
) -> Mapping[str, Json] | None:
    """The moved number, once it is no longer where it was, or may not be moved from there any more."""
    collection, key = step.path[-2:]
    number = key if collection == PROMO_NUMBERS.name else outcomes.number_of(step.snapshot)
    is_refused = result.state is State.REJECTED or result.http_status == outcomes.HTTP_NOT_FOUND
    if not is_refused or not number:
        return None
    answer = await client.get(connection, (*step.destination[:-1], PROMO_NUMBERS.name, number))
    return answer.body if answer.status == _READ.success_status and outcomes.number_of(answer.body) else None


async def _find_created(client: Client, connection: int, step: Step, _: StepResult) -> Mapping[str, Json] | None:
    return await find_by_identity(client, connection, step) if is_identifiable(step) else None


def is_identifiable(step: Step) -> bool:
    """Whether a create that must not be sent twice has a name of its own: an own id, or the name of an advertiser."""
    return step.non_idempotent and bool(
        step.own_id or (step.resource == ADVERTISERS.name and (step.body or {}).get("name"))
    )


async def find_by_identity(client: Client, connection: int, step: Step) -> Mapping[str, Json] | None:
    """The object that a create in doubt was to make, by its own name; None: there surely is none now.

    The plan found nobody who had the name: ids are unique in a campaign, names of advertisers in a network.

    Raises:
        InvocaBulkError: it could not be read.
    """
    if step.own_id:
        answer = await client.get(connection, (*step.path, step.own_id))
        if answer.status == outcomes.HTTP_NOT_FOUND:
            return None
        if answer.status == _READ.success_status and outcomes.number_of(answer.body):
            found: Mapping[str, Json] = answer.body
            return found
    else:
        answer = await client.get(connection, step.path)
        if answer.status == _LIST.success_status and isinstance(answer.body, list):
            name = (step.body or {}).get("name")
            return next((one for one in answer.body if isinstance(one, dict) and one.get("name") == name), None)
    raise RequestFailedError(outcomes.describe_error_response(answer, {}).rstrip("."))


_Lookup: TypeAlias = "Callable[[Client, int, Step, StepResult], Awaitable[Mapping[str, Json] | None]]"
_LOOKUPS: Mapping[tuple[str, Action], _Lookup] = {
    (PROMO_NUMBERS.name, Action.MOVE): _find_moved_number,
    (ADVERTISERS.name, Action.CREATE): _find_created,
    (PROMO_NUMBERS.name, Action.CREATE): _find_created,
}
