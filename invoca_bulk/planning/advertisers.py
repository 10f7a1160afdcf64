"""What to do about objects with parts (advertisers): each record against what the platform has."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from invoca_bulk.planning import merge
from invoca_bulk.planning.display_values import display_text, index_by_id
from invoca_bulk.planning.prior_purchases import request_identity
from invoca_bulk.schema import ADVERTISERS, REMOVE_ACTION, SUBRESOURCE_KEY, Action, paths, payloads
from invoca_bulk.schema.issue_catalog import Problem, Unshortened
from invoca_bulk.validation import check_whole_object, describe_row, find_missing_fields, locate_cell, to_sheet_terms

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from invoca_bulk.planning.builder import PlanBuilder
    from invoca_bulk.planning.merge import MergeResult, RemovedPart, ValueChange
    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.validation import Record, RowRef, Subrecord

#: Objects come before what needs them; what is deleted goes last, when nothing of the sheet needs it any more.
ADVERTISER_PHASE, ADVERTISER_DELETE_PHASE = 0, 3

#: A part's row has cells of these names too, which are not the object's own.
_PART_FIELD_PATHS = {field.path for part in ADVERTISERS.subresources for field in part.fields}

_CREATE_PURPOSE = "create an advertiser; the platform has none with this id, so the row creates it"


class AdvertiserPlanner:
    """Plans the records.

    Args:
        builder: the plan so far.

    Attributes:
        create_step_by_id: an object's id to the number of the step that creates it.
        deleted_ids: the ids of the objects that are deleted.
        sibling_problems: an object's id to what the rows without errors of an object that has some are told.
    """

    def __init__(self, builder: PlanBuilder) -> None:
        self._builder = builder
        self._version = builder.validated_book.version
        self.create_step_by_id: dict[str, int] = {}
        self.deleted_ids: set[str] = set()
        self.sibling_problems: dict[str, Problem] = {}

    def plan_record(self, record: Record) -> None:
        """Decide about one record, and so about all of its rows."""
        current = self._by_id.get(record.id)
        record = self._drop_done_parts(record, current)
        problem = self._find_conflict(record, current)
        if problem:
            self._refuse(record, [problem], current)
        elif record.action is Action.DELETE:
            self._plan_delete(record, current)
        elif current is None:
            self._plan_create(record)
        else:
            self._plan_update(record, current)

    def mark_invalid(self, record: Record, culprit: RowRef) -> Problem:
        """What the other rows of an object are told when one of them has errors."""
        place = describe_row(self._builder.validated_book.sheets, culprit)
        beside = Problem(code="row_beside_invalid", details={"part": ADVERTISERS.singular, "place": place})
        self.sibling_problems[record.id] = beside
        return beside

    def _drop_done_parts(self, record: Record, current: Mapping[str, Json] | None) -> Record:
        """Of the parts that an earlier run did, those that `replace` would take away if nobody named them."""
        sets = {resource.name: (current or {}).get(resource.name) or () for resource in ADVERTISERS.subresources}
        there = {(name, _id_text(one)) for name, some in sets.items() for one in some}
        kept = there if self._builder.plan_options.nested == "replace" else set()
        parts = tuple(part for part in record.subrecords if not part.is_done or (part.collection, part.id) in kept)
        return replace(record, subrecords=parts)

    def is_missing(self, own_id: str) -> bool:
        """Whether the platform certainly has no object with an id."""
        return () in self._builder.platform_state and own_id not in self._by_id

    @cached_property
    def _by_id(self) -> dict[str, Mapping[str, Json]]:
        return index_by_id(self._builder.platform_state[()].objects)

    @cached_property
    def _id_by_name(self) -> dict[str, str]:
        return {
            str(one["name"]).strip(): _id_text(one)
            for one in self._builder.platform_state[()].objects
            if one.get("name")
        }

    def _find_conflict(self, record: Record, current: Mapping[str, Json] | None) -> Problem | None:
        """Why the platform's state speaks against what a record asks for."""
        if record.action is Action.CREATE and current is not None:
            details = {"value": record.id, "name": current.get("name", "")}
            return Problem(code="advertiser_exists", column=SUBRESOURCE_KEY, details=details)
        if record.action is Action.UPDATE and current is None:
            return Problem(code="advertiser_not_found", column=SUBRESOURCE_KEY, details={"value": record.id})
        name = str(record.fields.get("name", ""))
        other = self._id_by_name.get(name)
        if record.action is not Action.DELETE and other is not None and other != record.id:
            return Problem(code="name_taken", column="name", details={"value": name, "other": other})
        return None

    def _refuse(self, record: Record, problems: Sequence[Problem], current: Mapping[str, Json] | None) -> None:
        """Refuse the rows that the problems are about, and with them all rows of the object."""
        found: dict[RowRef, list[tuple[str, Problem]]] = defaultdict(list)
        for problem in problems:
            place, path = locate_cell(record, problem.column)
            is_anothers = path == problem.column and path in _PART_FIELD_PATHS and self._is_part_row(place)
            found[place].append(("" if is_anothers else path, problem))
        about = _object_label(record, current)
        beside = self.mark_invalid(record, min(found))
        for place in record.row_refs:
            if place in found:
                self._builder.mark_refused(place, found[place], object_label=about)
            else:
                self._builder.mark_invalid(place, beside, object_label=about)

    def _mark_unchanged(self, record: Record, current: Mapping[str, Json] | None = None) -> None:
        for place in record.row_refs:
            self._builder.mark_unchanged(
                place, _object_label(record, current), None if self._is_part_row(place) else current
            )

    def _plan_delete(self, record: Record, current: Mapping[str, Json] | None) -> None:
        if current is None:
            self._mark_unchanged(record)
            gone = Problem(code="already_gone", details={"value": record.id})
            self._builder.add_warning(*locate_cell(record, SUBRESOURCE_KEY), gone)
            return
        self.deleted_ids.add(record.id)
        step = self._builder.add_step(
            resource=ADVERTISERS.name,
            action=Action.DELETE,
            path=_object_path(current),
            body=None,
            own_id=record.id,
            phase=ADVERTISER_DELETE_PHASE,
            snapshot=current,
        )
        for place in record.row_refs:
            self._builder.assign_step(place, step, object_label=_object_label(record, current))

    def _plan_create(self, record: Record) -> None:
        flat = record.flat_values()
        problems = [*find_missing_fields(ADVERTISERS, flat, auto_ids=self._builder.validated_book.auto_ids)]
        problems += [one for _, one in check_whole_object(ADVERTISERS, flat)]
        if problems:
            self._refuse(record, [self._in_sheet_terms(record, _explain_create(one)) for one in problems], None)
            return
        body = payloads.request_body(ADVERTISERS, flat)
        identity = "" if record.id else request_identity((ADVERTISERS.name,), body)
        if purchase := self._builder.prior_purchases.claim(identity):
            for place in record.row_refs:
                self._builder.use_purchase(place, purchase)
            return
        step = self._builder.add_step(
            resource=ADVERTISERS.name,
            action=Action.CREATE,
            path=(ADVERTISERS.name,),
            body=body,
            own_id=record.id,
            non_idempotent=not record.id,
            identity=identity,
            phase=ADVERTISER_PHASE,
        )
        if record.id:
            self.create_step_by_id[record.id] = step
        gone = {part.row_ref for part in record.subrecords if part.is_removal and self._is_part_row(part.row_ref)}
        for place in record.row_refs:
            if place in gone:
                self._builder.mark_unchanged(place, _object_label(record))
            else:
                self._builder.assign_step(place, step, object_label=_object_label(record))
        names = _part_labels(body)
        for path, value in flat.items():
            place, own_path = locate_cell(record, path)
            part = record.subrecord_at(path)
            name = names[part.collection, part.id] if part else ""
            self._builder.add_change(place, own_path, "", display_text(ADVERTISERS, path, value), part=name)

    def _plan_update(self, record: Record, current: Mapping[str, Json]) -> None:
        patch = merge.bind_entries(
            ADVERTISERS, _build_patch(record, self._builder.plan_options.nested), current, self._version
        )
        merged = merge.merge_patch(ADVERTISERS, patch, current, self._version)
        if not merged.has_changes:
            self._mark_unchanged(record, current)
        elif problem := self._find_unrequested_removals(record, merged):
            self._refuse(record, [problem], current)
        elif problems := list(self._find_new_problems(record, current, merged)):
            self._refuse(record, problems, current)
        else:
            shown = merge.minimal_patch(patch, merged)
            self._add_update_step(record, current, shown, merge.merge_patch(ADVERTISERS, shown, current, self._version))

    def _find_unrequested_removals(self, record: Record, merged: MergeResult) -> Problem | None:
        """The loss of users and sites that nobody asked for by name."""
        asked = {(part.collection, part.id) for part in record.subrecords if part.is_removal}
        lost = [one for one in merged.removed if (one.collection, one.id) not in asked]
        choices = self._builder.plan_options
        if not lost or choices.nested == "merge" or choices.allow_removals:
            return None
        return Problem(code="would_be_removed", details={"what": Unshortened(", ".join(map(_removed_label, lost)))})

    def _find_new_problems(self, record: Record, current: Mapping[str, Json], merged: MergeResult) -> Iterator[Problem]:
        """What the object would lack; what it lacks already, and what is wrong with a part that stays, may stay too."""
        before = {
            (one.code, one.column) for one in _validate_object(merge.to_writable(ADVERTISERS, current, self._version))
        }
        changed = {change.part for change in merged.changes} | {*merged.added}
        numbers = {(part.collection, part.id): number for number, part in record.numbered_subrecords()}
        for problem in _validate_object({SUBRESOURCE_KEY: record.id, **merged.body}):
            part = _split_part_path(problem.column or "", merged.body)
            if part is None:
                if (problem.code, problem.column) not in before:
                    yield problem
            elif part[:2] in changed and part[:2] in numbers:
                column = f"{part[0]}.{numbers[part[:2]]}.{_requested_path(record, part, merged.body)}"
                verb = "add" if part[:2] in merged.added else "change"
                known = {"known": column, "example": ""} if problem.code == "required" else {}
                one = Problem(code=problem.code, column=column, details={**problem.details, **known})
                yield self._in_sheet_terms(record, one, verb)

    def _in_sheet_terms(self, record: Record, problem: Problem, verb: str = "add") -> Problem:
        return to_sheet_terms(
            ADVERTISERS, problem, self._builder.column_title(*locate_cell(record, problem.column)), verb
        )

    def _add_update_step(
        self, record: Record, current: Mapping[str, Json], patch: Mapping[str, Json], merged: MergeResult
    ) -> None:
        step = self._builder.add_step(
            resource=ADVERTISERS.name,
            action=Action.UPDATE,
            path=_object_path(current),
            body=merged.body,
            own_id=record.id,
            phase=ADVERTISER_PHASE,
            patch=patch,
            snapshot=current,
        )
        about = _object_label(record, current)
        actions = self._row_actions(record, merged)
        for place in record.row_refs:
            if place in actions:
                self._builder.assign_step(place, step, action=actions[place], object_label=about)
            else:
                self._builder.mark_unchanged(place, about)
        self._add_changes(record, merged, about)
        self._warn_default_site_change(record, current, merged)

    def _row_actions(self, record: Record, merged: MergeResult) -> dict[RowRef, str]:
        """The rows of an update to what is done for them; one at least, so that what the step comes to is told."""
        own = {place: Action.UPDATE.value for place in record.row_refs if not self._is_part_row(place)}
        found = _part_actions(record, merged) | own
        return found or {record.row_refs[0]: Action.UPDATE.value}

    def _warn_default_site_change(self, record: Record, current: Mapping[str, Json], merged: MergeResult) -> None:
        """The first site is the default, whoever it is."""
        written = merge.to_writable(ADVERTISERS, current, self._version)
        before, after = ([_id_text(one) for one in some["sites"]] for some in (written, merged.body))
        if not before or not after or before[0] == after[0]:
            return
        rows = {part.id: part.row_ref for part in record.subrecords if part.is_removal and part.collection == "sites"}
        place = rows.get(before[0], record.row_refs[0])
        details = {"value": before[0], "other": after[0]}
        self._builder.add_warning(place, "", Problem(code="default_site_changes", details=details))

    def _is_part_row(self, place: RowRef) -> bool:
        return self._builder.validated_book.sheets[place.sheet_index].sheet.resource.is_subresource

    def _add_changes(self, record: Record, merged: MergeResult, about: str) -> None:
        numbers = {(part.collection, part.id): number for number, part in record.numbered_subrecords()}
        names = _part_labels(merged.body)
        for change in merged.changes:
            place, path = locate_cell(record, _change_column(change, numbers))
            pattern = f"{change.part[0]}.1.{change.path}" if change.part else change.path
            old, new = (display_text(ADVERTISERS, pattern, value) for value in (change.old, change.new))
            self._builder.add_change(place, path, old, new, part=names.get(change.part, "") if change.part else "")
        rows = {(part.collection, part.id): part.row_ref for part in record.subrecords}
        for removed in merged.removed:
            place = rows.get((removed.collection, removed.id), record.row_refs[0])
            self._builder.add_removal(place, _removed_label(removed), about)


def _object_path(current: Mapping[str, Json]) -> tuple[str, str]:
    """The address of an object, by its id to the letter: a PUT to another spelling would create another object."""
    return ADVERTISERS.name, str(current[SUBRESOURCE_KEY])


def _id_text(one: Mapping[str, Json]) -> str:
    """The id of an object or a part as a cell can name it; empty: it has none."""
    return str(one.get(SUBRESOURCE_KEY) or "").strip()


def _validate_object(tree: Mapping[str, Json]) -> Iterator[Problem]:
    """What the platform would object to in a whole object."""
    flat = {path: value for path, value in payloads.flatten_object(tree) if value not in (None, "", [])}
    yield from find_missing_fields(ADVERTISERS, flat, auto_ids=False)
    yield from (one for rule in ADVERTISERS.rules for one in rule.check(flat))


def _object_label(record: Record, current: Mapping[str, Json] | None = None) -> str:
    """An object as people call it: `Acme Tickets (A-100)`; by the platform's name, which tells a mistyped id."""
    name = (current or {}).get("name") or record.fields.get("name")
    return " ".join(filter(None, (str(name or ""), f"({record.id})" if record.id else "")))


def _build_patch(record: Record, nested: str) -> dict[str, Json]:
    """What a record changes, as `merging` takes it."""
    sendable = {path: value for path, value in record.fields.items() if _is_sent(path)}
    parts = [
        {"collection": part.collection, "id": part.id, "remove": part.is_removal, "values": dict(_sent_fields(part))}
        for part in record.subrecords
    ]
    return {"nested": nested, "values": sendable, "parts": parts}


def _is_sent(path: str) -> bool:
    return ADVERTISERS.by_path[paths.to_pattern(path)].is_sent


def _sent_fields(part: Subrecord) -> Iterator[tuple[str, Json]]:
    for path, value in part.fields.items():
        if _is_sent(f"{part.collection}.1.{path}"):
            yield path, value


def _explain_create(problem: Problem) -> Problem:
    """Say why it is required: validation could not know that the row creates."""
    if problem.code != "required":
        return problem
    return Problem(code=problem.code, column=problem.column, details={**problem.details, "action": _CREATE_PURPOSE})


def _split_part_path(path: str, body: Mapping[str, Json]) -> tuple[str, str, str] | None:
    """`users.2.first_name` to the collection, the id of the part that the body has there, and the path within it."""
    collection, _, rest = path.partition(".")
    number, _, name = rest.partition(".")
    parts = body.get(collection)
    if not number.isdecimal() or not isinstance(parts, list) or int(number) > len(parts):
        return None
    return collection, _id_text(parts[int(number) - 1]), name


def _part_actions(record: Record, merged: MergeResult) -> dict[RowRef, str]:
    """The row of each part to what is done to it; a part that stays as it is is not there."""
    gone = {(one.collection, one.id) for one in merged.removed}
    changed = {change.part for change in merged.changes}
    actions: dict[RowRef, str] = {}
    for part in record.subrecords:
        name = (part.collection, part.id)
        if part.is_removal and name in gone:
            actions[part.row_ref] = REMOVE_ACTION
        elif name in merged.added:
            actions[part.row_ref] = Action.CREATE.value
        elif name in changed:
            actions[part.row_ref] = Action.UPDATE.value
    return actions


def _requested_path(record: Record, part: tuple[str, str, str], body: Mapping[str, Json]) -> str:
    """The path within a part of the body, as the part's own row numbers it."""
    collection, own_id, path = part
    values = next(one.fields for one in record.subrecords if (one.collection, one.id) == (collection, own_id))
    sent = next(one for one in body[collection] if _id_text(one) == own_id)
    return merge.requested_entry_path(path, sent, values)


def _change_column(change: ValueChange, numbers: Mapping[tuple[str, str], int]) -> str:
    if change.part is None:
        return change.path
    return f"{change.part[0]}.{numbers.get(change.part, 0)}.{change.path}"


def _part_labels(body: Mapping[str, Json]) -> dict[tuple[str, str], str]:
    """A part to what people call it: `user Jim Williams (U-2)`."""
    names = {}
    for resource in ADVERTISERS.subresources:
        for part in body.get(resource.name) or ():
            own_id = _id_text(part)
            names[resource.name, own_id] = merge.describe_part(resource.name, own_id, merge.display_name(part))
    return names


def _removed_label(removed: RemovedPart) -> str:
    return merge.describe_part(removed.collection, removed.id, removed.name)
