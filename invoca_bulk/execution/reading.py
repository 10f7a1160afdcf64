"""What is read around a step: the object just before an update, and after a request in doubt what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from invoca_bulk import merging, verdicts
from invoca_bulk.errors import CallFailed, InvocaBulkError
from invoca_bulk.journal import State
from invoca_bulk.schema import ADVERTISERS, OPERATIONS, PROMO_NUMBERS, RESOURCES, Action

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from invoca_bulk.client import Client
    from invoca_bulk.merging import Merged, Removed
    from invoca_bulk.planning import Step
    from invoca_bulk.schema.kinds import Json
    from invoca_bulk.verdicts import Verdict

_READ = OPERATIONS["read"]
_LIST = OPERATIONS["list"]


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What a step is about to send.

    Attributes:
        body: the JSON object; None: no body.
        before: the object as it was read just before; None: none was read.
    """

    body: Mapping[str, Json] | None
    before: Mapping[str, Json] | None = None


def is_read_before(step: Step) -> bool:
    """Whether the object is read just before it is written: what is sent replaces all of its users and sites."""
    creates = step.action is Action.CREATE and bool(step.own_id) and bool(RESOURCES[step.resource].parts)
    return creates or step.patch is not None


async def draft(  # noqa: PLR0913  the parts of one request; keyword-only
    client: Client, slot: int, step: Step, *, titles: Mapping[str, str], version: str, doubted: bool
) -> Draft | Verdict:
    """What to send: the planned body, or the step's patch applied to the object as it is now. It never raises.

    Before an object with parts is created it is seen that nobody else has created it since the plan was made.

    Args:
        client: an open client.
        slot: whose connection to use.
        step: the step.
        titles: path to the sheet's column title.
        version: the API version.
        doubted: whether an earlier attempt may have been applied.

    Returns:
        The draft; or the verdict on a step that is not sent, because its object could not be read or is another one.
    """
    if not is_read_before(step) or (doubted and step.patch is None):
        return Draft(body=step.body)  # what a create in doubt finds there may well be its own
    try:
        path = step.path if step.patch is not None else (*step.path, step.own_id)
        answer = await client.send(slot, _READ.verb, path)
        if refused := verdicts.of_reading(answer, step, titles):
            return refused
        return Draft(body=step.body) if step.patch is None else _made_anew(step, answer.body, version, doubted=doubted)
    except CallFailed as error:
        return verdicts.unread(step, str(error))
    except Exception:  # noqa: BLE001  nothing has been sent yet, whatever it is
        return verdicts.unread(step, "something unexpected went wrong")


def _made_anew(step: Step, current: Mapping[str, Json], version: str, *, doubted: bool) -> Draft | Verdict:
    merged = _merged(step, current, version)
    if surprises := _surprises(step, merged, version):
        return verdicts.would_remove(step, map(_called, surprises), doubted=doubted)
    return Draft(body=merged.body, before=current)


def _merged(step: Step, current: Mapping[str, Json] | None, version: str) -> Merged:
    resource, patch = RESOURCES[step.resource], step.patch or {}
    # Numbered entries mean those that the plan saw, also when an attempt before this one has changed their numbers.
    return merging.apply(resource, merging.bound(resource, patch, step.before, version), current, version)


def _surprises(step: Step, merged: Merged, version: str) -> list[Removed]:
    """The users and sites that would go although the plan did not know them, so that nobody has agreed to it."""
    known = {_name(one) for one in _merged(step, step.before, version).removed} if merged.removed else set()
    return [one for one in merged.removed if _name(one) not in known]


def _name(one: Removed) -> tuple[str, str]:
    return (one.collection, one.id or one.name)


def _called(one: Removed) -> str:
    parts = {part.name: part.one for resource in RESOURCES.values() for part in resource.parts}
    return f"{parts[one.collection]} {one.name}" + (f" ({one.id})" if one.id != one.name else "")


# After a request in doubt


async def looked_up(client: Client, slot: int, step: Step, verdict: Verdict) -> Verdict:
    """A verdict, and for one in doubt what a look at the platform tells beyond it. It never raises."""
    look = _LOOKS.get((step.resource, step.action))
    if verdict.state is not State.IN_DOUBT or look is None:
        return verdict
    try:
        one = await look(client, slot, step, verdict)
    except InvocaBulkError:
        return verdict
    return verdict if one is None else verdicts.found(one)


async def _at_destination(client: Client, slot: int, step: Step, verdict: Verdict) -> Mapping[str, Json] | None:
    """The moved number, once it is no longer where it was."""
    collection, key = step.path[-2:]
    number = key if collection == PROMO_NUMBERS.name else verdicts.number_of(step.before)
    if verdict.http_status != verdicts.NOT_FOUND or not number:
        return None
    answer = await client.get(slot, (*step.destination[:-1], PROMO_NUMBERS.name, number))
    return answer.body if answer.status == _READ.success and verdicts.number_of(answer.body) else None


async def _by_name(client: Client, slot: int, step: Step, _: Verdict) -> Mapping[str, Json] | None:
    """The advertiser that has the name; names are unique in a network, and the plan found nobody who had it."""
    name = (step.body or {}).get("name")
    if not step.once or not name:
        return None
    answer = await client.get(slot, step.path)
    listed = answer.body if answer.status == _LIST.success and isinstance(answer.body, list) else []
    return next((one for one in listed if isinstance(one, dict) and one.get("name") == name), None)


_Look: TypeAlias = "Callable[[Client, int, Step, Verdict], Awaitable[Mapping[str, Json] | None]]"
_LOOKS: Mapping[tuple[str, Action], _Look] = {
    (PROMO_NUMBERS.name, Action.MOVE): _at_destination,
    (ADVERTISERS.name, Action.CREATE): _by_name,
}
