"""What is read around a step: the object just before an update, and after a request in doubt what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from invoca_bulk.errors import CallFailed, InvocaBulkError
from invoca_bulk.execution import outcomes
from invoca_bulk.journal import State
from invoca_bulk.planning import merge
from invoca_bulk.schema import ADVERTISERS, OPERATIONS, PART_KEY, PROMO_NUMBERS, RESOURCES, Action, paths, payloads

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from invoca_bulk.execution.outcomes import Verdict
    from invoca_bulk.planning import Step
    from invoca_bulk.planning.merge import Merged, PartName
    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.transport.client import Answer, Client

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


def is_read_before(step: Step, *, resumed: bool = False) -> bool:
    """Whether the object is read just before it is written: what is sent replaces all of its users and sites.

    Args:
        step: the step.
        resumed: whether its plan was made for an earlier execution; others may have changed the object since.
    """
    creates = step.action is Action.CREATE and bool(step.own_id) and bool(RESOURCES[step.resource].parts)
    return creates or step.patch is not None or (resumed and step.before is not None)


def probe_of(step: Step) -> tuple[str, ...]:
    """What to read, as path parts, to see whether the platform is well; that it is not there is a good answer too."""
    return (*step.path, step.own_id) if step.action is Action.CREATE and step.own_id else step.path


async def draft(  # noqa: PLR0913  the parts of one request; keyword-only
    client: Client,
    slot: int,
    step: Step,
    *,
    titles: Mapping[str, str],
    version: str,
    doubted: bool,
    resumed: bool = False,
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
        resumed: as for `is_read_before`.

    Returns:
        The draft; or the verdict on a step that is not sent, because its object could not be read or is another one.
    """
    is_read = is_read_before(step, resumed=resumed)
    if not is_read or (doubted and step.action is Action.CREATE):
        return Draft(body=step.body)  # what a create in doubt finds there may well be its own
    try:
        path = (*step.path, step.own_id) if step.action is Action.CREATE else step.path
        answer = await client.send(slot, _READ.verb, path)
        if doubted and step.patch is None and (told := _was_done(step, answer)):
            return told
        return outcomes.of_reading(answer, step, titles) or _on_what_is_there(step, answer.body, version)
    except CallFailed as error:
        return outcomes.unread(step, str(error))
    except Exception:  # noqa: BLE001  nothing has been sent yet, whatever it is
        return outcomes.unread(step, "something unexpected went wrong")


def _on_what_is_there(step: Step, current: Mapping[str, Json], version: str) -> Draft | Verdict:
    if step.patch is not None:
        return _made_anew(step, current, version)
    is_stale = step.before is not None and _has_changed(step, current)
    return outcomes.stale(step) if is_stale else Draft(body=step.body)


def _was_done(step: Step, answer: Answer) -> Draft | Verdict | None:
    """What a look tells of a step in doubt: that it was done; what is to be sent all the same; None: neither."""
    if answer.status == outcomes.NOT_FOUND:
        return Draft(body=step.body)  # a deletion, or a move: the answer to the next attempt tells which
    if answer.status != _READ.success or not isinstance(answer.body, dict):
        return None
    ids = [one.get("id") for one in (step.before or {}, answer.body)]
    if step.action is Action.DELETE and None not in ids and ids[0] != ids[1]:
        return outcomes.gone()  # the number was given out again, and is another object
    wanted = dict(payloads.leaves(step.body or {}))
    now = dict(payloads.leaves(answer.body))
    is_done = bool(wanted) and all(now.get(path) == value for path, value in wanted.items() if path in now)
    return outcomes.found(answer.body) if step.action is Action.UPDATE and is_done else None


def _has_changed(step: Step, current: Mapping[str, Json]) -> bool:
    """Whether what can be changed of an object is not what the plan saw any more; a list may show less of it."""
    fields = RESOURCES[step.resource].by_path
    before, now = (dict(payloads.leaves(one)) for one in (step.before or {}, current))
    seen = (path for path in before if (known := fields.get(paths.pattern(path))) and known.is_sent)
    return any(before[path] != now.get(path) for path in seen)


def _made_anew(step: Step, current: Mapping[str, Json], version: str) -> Draft | Verdict:
    planned, merged = (_merged(step, one, version) for one in (step.before, current))
    came = list(_came(planned, merged))
    gone = list(_gone(step, current, planned, merged, version))
    moved = _moved(merged) - _moved(planned)
    if came or gone or moved:
        return outcomes.changed_since(step, came=came, gone=gone, moved=moved)
    return Draft(body=merged.body, before=current)


def _merged(step: Step, current: Mapping[str, Json] | None, version: str) -> Merged:
    resource, patch = RESOURCES[step.resource], step.patch or {}
    # Numbered entries mean those that the plan saw, also when an attempt before this one has changed their numbers.
    return merge.apply(resource, merge.bound(resource, patch, step.before, version), current, version)


def _came(planned: Merged, merged: Merged) -> Iterator[str]:
    """The users and sites that would go although the plan did not know them, so that nobody has agreed to it."""
    known = {(one.collection, one.id or one.name) for one in planned.removed}
    for one in merged.removed:
        name = (one.collection, one.id or one.name)
        if name not in known:
            yield merge.named(*name, one.name)


def _moved(merged: Merged) -> set[str]:
    """The sets whose first part is made another one."""
    collections = {part.name: part.one for resource in RESOURCES.values() for part in resource.parts}
    firsts = {f"{name}.1.{PART_KEY}": one for name, one in collections.items()}
    return {firsts[change.path] for change in merged.changes if change.part is None and change.path in firsts}


def _gone(step: Step, current: Mapping[str, Json], planned: Merged, merged: Merged, version: str) -> Iterator[str]:
    """What the plan changes or keeps and somebody has taken away: a change would bring half of it back.

    A set of which nobody is left is more likely to have been read wrongly than to have been emptied.
    """
    resource = RESOURCES[step.resource]
    names = _names(step.before or {}, step)
    for name in dict.fromkeys(chain(_emptied(step, current, planned), merged.added)):
        if name not in planned.added:
            yield merge.named(*name, names.get(name, ""))
    patch = merge.bound(resource, step.patch or {}, step.before, version)
    for name, address in merge.gone_entries(resource, patch, current, version):
        yield f"email address {address} of {merge.named(*name, names.get(name, ''))}"


def _emptied(step: Step, current: Mapping[str, Json], planned: Merged) -> Iterator[PartName]:
    """The parts that the plan leaves, of each set of which none is left."""
    removed = {(one.collection, one.id) for one in planned.removed}
    before, now = _names(step.before or {}, step), _names(current, step)
    for part in RESOURCES[step.resource].parts:
        kept = [name for name in before if name[0] == part.name and name not in removed]
        yield from kept if not any(name in now for name in kept) else ()


def _names(tree: Mapping[str, Json], step: Step) -> dict[PartName, str]:
    """Each part of an object to what people call it."""
    return {
        (part.name, outcomes.id_of(one)): merge.called(one)
        for part in RESOURCES[step.resource].parts
        for one in tree.get(part.name) or ()
    }


# After a request in doubt


async def looked_up(client: Client, slot: int, step: Step, verdict: Verdict, *, doubted: bool) -> Verdict:
    """A verdict, and for one in doubt what a look at the platform tells beyond it. It never raises.

    A refusal is in doubt too, if an earlier attempt may have been applied (`doubted`).
    """
    look = _LOOKS.get((step.resource, step.action))
    is_open = verdict.state is State.IN_DOUBT or (doubted and verdict.state is State.REJECTED)
    if not is_open or look is None:
        return verdict
    try:
        one = await look(client, slot, step, verdict)
    except InvocaBulkError:
        return verdict
    return verdict if one is None else outcomes.found(one)


async def _at_destination(client: Client, slot: int, step: Step, verdict: Verdict) -> Mapping[str, Json] | None:
    """The moved number, once it is no longer where it was, or may not be moved from there any more."""
    collection, key = step.path[-2:]
    number = key if collection == PROMO_NUMBERS.name else outcomes.number_of(step.before)
    is_refused = verdict.state is State.REJECTED or verdict.http_status == outcomes.NOT_FOUND
    if not is_refused or not number:
        return None
    answer = await client.get(slot, (*step.destination[:-1], PROMO_NUMBERS.name, number))
    return answer.body if answer.status == _READ.success and outcomes.number_of(answer.body) else None


async def _by_its_name(client: Client, slot: int, step: Step, _: Verdict) -> Mapping[str, Json] | None:
    return await look_for(client, slot, step) if can_be_looked_for(step) else None


def can_be_looked_for(step: Step) -> bool:
    """Whether a create that must not be sent twice has a name of its own: an own id, or the name of an advertiser."""
    return step.once and bool(step.own_id or (step.resource == ADVERTISERS.name and (step.body or {}).get("name")))


async def look_for(client: Client, slot: int, step: Step) -> Mapping[str, Json] | None:
    """The object that a create in doubt was to make, by its own name; None: there surely is none now.

    The plan found nobody who had the name: ids are unique in a campaign, names of advertisers in a network.

    Raises:
        InvocaBulkError: it could not be read.
    """
    if step.own_id:
        answer = await client.get(slot, (*step.path, step.own_id))
        if answer.status == outcomes.NOT_FOUND:
            return None
        if answer.status == _READ.success and outcomes.number_of(answer.body):
            found: Mapping[str, Json] = answer.body
            return found
    else:
        answer = await client.get(slot, step.path)
        if answer.status == _LIST.success and isinstance(answer.body, list):
            name = (step.body or {}).get("name")
            return next((one for one in answer.body if isinstance(one, dict) and one.get("name") == name), None)
    raise CallFailed(outcomes.explained(answer, {}).rstrip("."))


_Look: TypeAlias = "Callable[[Client, int, Step, Verdict], Awaitable[Mapping[str, Json] | None]]"
_LOOKS: Mapping[tuple[str, Action], _Look] = {
    (PROMO_NUMBERS.name, Action.MOVE): _at_destination,
    (ADVERTISERS.name, Action.CREATE): _by_its_name,
    (PROMO_NUMBERS.name, Action.CREATE): _by_its_name,
}
