"""Reading an object just before it is written, and building the request from its current state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from itertools import chain

from invoca_bulk.errors import RequestFailedError
from invoca_bulk.execution import outcomes
from invoca_bulk.execution.outcomes import StepResult
from invoca_bulk.planning import Step, merge
from invoca_bulk.planning.merge import MergeResult, PartId
from invoca_bulk.schema import OPERATIONS, RESOURCES, SUBRESOURCE_KEY, Action, paths, payloads
from invoca_bulk.schema.field_types import Json
from invoca_bulk.transport.client import Client, Response

_READ = OPERATIONS["read"]


@dataclass(frozen=True, kw_only=True)
class PreparedRequest:
    """What a step is about to send."""

    body: Mapping[str, Json] | None
    snapshot: Mapping[str, Json] | None = None  # the object as it was just read; None: it was not read


def needs_preflight(step: Step, *, resumed: bool = False) -> bool:
    """Whether the object has to be read just before it is written, because the write replaces all its users and sites.

    `resumed`: an earlier execution began the step; others may have changed the object since it was planned.
    """
    creates = step.action is Action.CREATE and bool(step.own_id) and bool(RESOURCES[step.resource].subresources)
    return creates or step.patch is not None or (resumed and step.snapshot is not None)


def object_path(step: Step) -> tuple[str, ...]:
    """The path of the step's object; for a create without an own id, of the collection."""
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
    """Build the request: the planned body, or the step's patch applied to the object's current state. Never raises.

    A create of an object with users and sites first checks that it was not created since the plan was made. The result
    of a step means that it is not sent, because its object could not be read or has changed. `was_in_doubt`: an earlier
    attempt may have been applied.
    """
    is_read = needs_preflight(step, resumed=resumed)
    if not is_read or (was_in_doubt and step.action is Action.CREATE):
        return PreparedRequest(body=step.body)  # an object found by a create in doubt may be its own
    try:
        response = await client.send(connection, _READ.verb, object_path(step))
        if was_in_doubt and step.patch is None and (applied := _check_already_applied(step, response)):
            return applied
        return outcomes.classify_preflight(response, step, column_titles) or _prepare_from_current(
            step, response.body, version
        )
    except RequestFailedError as error:
        return outcomes.preflight_failed(step, str(error))
    except Exception:  # noqa: BLE001  whatever happened, the write was not sent
        return outcomes.preflight_failed(step, "an unexpected error occurred")


def _prepare_from_current(step: Step, current: Mapping[str, Json], version: str) -> PreparedRequest | StepResult:
    if step.patch is not None:
        return _reapply_patch(step, current, version)
    is_stale = step.snapshot is not None and _has_changed(step, current)
    return outcomes.stale(step) if is_stale else PreparedRequest(body=step.body)


def _check_already_applied(step: Step, response: Response) -> PreparedRequest | StepResult | None:
    """What the read shows of a step in doubt: a result if it was applied, a request to repeat; None: undetermined."""
    if response.status == HTTPStatus.NOT_FOUND:
        return PreparedRequest(body=step.body)  # deleted or moved; the response to the next attempt shows which
    if response.status != _READ.success_status or not isinstance(response.body, dict):
        return None
    ids = [tree.get("id") for tree in (step.snapshot or {}, response.body)]
    if step.action is Action.DELETE and None not in ids and ids[0] != ids[1]:
        return outcomes.deleted()  # the number was assigned again, to another object
    sent = dict(payloads.flatten_object(step.body or {}))
    current = dict(payloads.flatten_object(response.body))
    is_done = bool(sent) and all(current[path] == value for path, value in sent.items() if path in current)
    return outcomes.confirmed(response.body) if step.action is Action.UPDATE and is_done else None


def _has_changed(step: Step, current: Mapping[str, Json]) -> bool:
    """Whether a writable field differs from the plan's snapshot, which may lack fields that a list omits."""
    fields = RESOURCES[step.resource].by_path
    planned, current_values = (dict(payloads.flatten_object(tree)) for tree in (step.snapshot or {}, current))
    writable = (path for path in planned if (field := fields.get(paths.to_pattern(path))) and field.is_sent)
    return any(planned[path] != current_values.get(path) for path in writable)


def _reapply_patch(step: Step, current: Mapping[str, Json], version: str) -> PreparedRequest | StepResult:
    resource = RESOURCES[step.resource]
    # Entry numbers refer to the plan's snapshot, even if an earlier attempt has changed the order.
    patch = merge.bind_entries(resource, step.patch or {}, step.snapshot, version)
    planned, merged = (merge.merge_patch(resource, patch, tree, version) for tree in (step.snapshot, current))
    missing_entries = merge.missing_entries(resource, patch, current, version)
    added = list(_unplanned_removals(planned, merged))
    removed = list(_removed_since_plan(step, current, planned, merged, missing_entries))
    changed_defaults = _changed_defaults(merged) - _changed_defaults(planned)
    if added or removed or changed_defaults:
        return outcomes.changed_since_plan(step, added=added, removed=removed, changed_defaults=changed_defaults)
    return PreparedRequest(body=merged.body, snapshot=current)


def _unplanned_removals(planned: MergeResult, merged: MergeResult) -> Iterator[str]:
    """The users and sites that would be removed although the plan did not show, and nobody confirmed, their removal."""
    confirmed = {(part.collection, part.id or part.name) for part in planned.removed}
    for part in merged.removed:
        part_id = (part.collection, part.id or part.name)
        if part_id not in confirmed:
            yield merge.describe_part(*part_id, part.name)


def _changed_defaults(merged: MergeResult) -> set[str]:
    """The kinds of part, such as `site`, whose first entry (the default) changes."""
    singular_by_path = {
        f"{subresource.name}.1.{SUBRESOURCE_KEY}": subresource.singular
        for resource in RESOURCES.values()
        for subresource in resource.subresources
    }
    changed_paths = {change.path for change in merged.changes if change.part is None}
    return {singular for path, singular in singular_by_path.items() if path in changed_paths}


def _removed_since_plan(
    step: Step,
    current: Mapping[str, Json],
    planned: MergeResult,
    merged: MergeResult,
    missing_entries: Iterable[tuple[PartId, str]],
) -> Iterator[str]:
    """What the plan changes or keeps but others have removed: the update would bring half of it back.

    A collection that is now empty was probably read incompletely, so its parts are reported too.
    """
    names = _part_names(step.snapshot or {}, step)
    for part_id in dict.fromkeys(chain(_parts_of_emptied_collections(step, current, planned), merged.added)):
        if part_id not in planned.added:
            yield merge.describe_part(*part_id, names.get(part_id, ""))
    for part_id, address in missing_entries:
        yield f"email address {address} of {merge.describe_part(*part_id, names.get(part_id, ''))}"


def _parts_of_emptied_collections(step: Step, current: Mapping[str, Json], planned: MergeResult) -> Iterator[PartId]:
    """The parts that the plan keeps, of each collection in which none of them exists any more."""
    removed = {(part.collection, part.id) for part in planned.removed}
    planned_ids, current_ids = _part_names(step.snapshot or {}, step), _part_names(current, step)
    for subresource in RESOURCES[step.resource].subresources:
        kept_ids = [part_id for part_id in planned_ids if part_id[0] == subresource.name and part_id not in removed]
        if not any(part_id in current_ids for part_id in kept_ids):
            yield from kept_ids


def _part_names(tree: Mapping[str, Json], step: Step) -> dict[PartId, str]:
    """Id of each user and site of an object to its display name."""
    return {
        (subresource.name, outcomes.id_of(part)): merge.display_name(part)
        for subresource in RESOURCES[step.resource].subresources
        for part in tree.get(subresource.name) or ()
    }
