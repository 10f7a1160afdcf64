"""What to do about objects with parts (advertisers): each record against what the platform has."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from invoca_bulk.planning import merge
from invoca_bulk.planning.display_values import by_id, shown
from invoca_bulk.planning.prior_purchases import identity_of
from invoca_bulk.schema import ADVERTISERS, PART_KEY, REMOVE, Action, paths, payloads
from invoca_bulk.schema.issue_catalog import Problem, Whole
from invoca_bulk.validation import missing, not_whole, placed, record_cell, where

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from invoca_bulk.planning.builder import Draft
    from invoca_bulk.planning.merge import Change, Merged, Removed
    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.validation import Part, Place, Record

#: Objects come before what needs them; what is deleted goes last, when nothing of the sheet needs it any more.
PHASE, DELETE_PHASE = 0, 3

#: A part's row has cells of these names too, which are not the object's own.
_PART_FIELDS = {field.path for part in ADVERTISERS.parts for field in part.fields}

_CREATES = "create an advertiser; the platform has none with this id, so the row creates it"


class ObjectPlanner:
    """Plans the records.

    Args:
        draft: the plan so far.

    Attributes:
        created: an object's id to the number of the step that creates it.
        deleted: the ids of the objects that are deleted.
        blamed: an object's id to what the rows without errors of an object that has some are told.
    """

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._version = draft.checked.version
        self.created: dict[str, int] = {}
        self.deleted: set[str] = set()
        self.blamed: dict[str, Problem] = {}

    def plan(self, record: Record) -> None:
        """Decide about one record, and so about all of its rows."""
        current = self._by_id.get(record.id)
        record = self._with_what_counts(record, current)
        problem = self._problem(record, current)
        if problem:
            self._refuse(record, [problem], current)
        elif record.action is Action.DELETE:
            self._delete(record, current)
        elif current is None:
            self._create(record)
        else:
            self._update(record, current)

    def blame(self, record: Record, culprit: Place) -> Problem:
        """What the other rows of an object are told when one of them has errors."""
        place = where(self._draft.checked.sheets, culprit)
        beside = Problem(code="row_beside_invalid", details={"part": ADVERTISERS.one, "place": place})
        self.blamed[record.id] = beside
        return beside

    def _with_what_counts(self, record: Record, current: Mapping[str, Json] | None) -> Record:
        """Of the parts that an earlier run did, those that `replace` would take away if nobody named them."""
        sets = {resource.name: (current or {}).get(resource.name) or () for resource in ADVERTISERS.parts}
        there = {(name, _id(one)) for name, some in sets.items() for one in some}
        kept = there if self._draft.choices.nested == "replace" else set()
        parts = tuple(part for part in record.parts if not part.done or (part.collection, part.id) in kept)
        return replace(record, parts=parts)

    def lacks(self, own_id: str) -> bool:
        """Whether the platform certainly has no object with an id."""
        return () in self._draft.observed and own_id not in self._by_id

    @cached_property
    def _by_id(self) -> dict[str, Mapping[str, Json]]:
        return by_id(self._draft.observed[()].objects)

    @cached_property
    def _by_name(self) -> dict[str, str]:
        return {str(one["name"]).strip(): _id(one) for one in self._draft.observed[()].objects if one.get("name")}

    def _problem(self, record: Record, current: Mapping[str, Json] | None) -> Problem | None:
        """Why the platform's state speaks against what a record asks for."""
        if record.action is Action.CREATE and current is not None:
            details = {"value": record.id, "name": current.get("name", "")}
            return Problem(code="advertiser_exists", column=PART_KEY, details=details)
        if record.action is Action.UPDATE and current is None:
            return Problem(code="advertiser_not_found", column=PART_KEY, details={"value": record.id})
        name = str(record.fields.get("name", ""))
        other = self._by_name.get(name)
        if record.action is not Action.DELETE and other is not None and other != record.id:
            return Problem(code="name_taken", column="name", details={"value": name, "other": other})
        return None

    def _refuse(self, record: Record, problems: Sequence[Problem], current: Mapping[str, Json] | None) -> None:
        """Refuse the rows that the problems are about, and with them all rows of the object."""
        found: dict[Place, list[tuple[str, Problem]]] = defaultdict(list)
        for problem in problems:
            place, path = record_cell(record, problem.column)
            is_anothers = path == problem.column and path in _PART_FIELDS and self._is_of_part(place)
            found[place].append(("" if is_anothers else path, problem))
        about = _about(record, current)
        beside = self.blame(record, min(found))
        for place in record.places:
            if place in found:
                self._draft.refuse(place, found[place], about=about)
            else:
                self._draft.invalid(place, beside, about=about)

    def _leave(self, record: Record, current: Mapping[str, Json] | None = None) -> None:
        for place in record.places:
            self._draft.leave(place, _about(record, current), None if self._is_of_part(place) else current)

    def _delete(self, record: Record, current: Mapping[str, Json] | None) -> None:
        if current is None:
            self._leave(record)
            gone = Problem(code="already_gone", details={"value": record.id})
            self._draft.warn(*record_cell(record, PART_KEY), gone)
            return
        self.deleted.add(record.id)
        step = self._draft.step(
            resource=ADVERTISERS.name,
            action=Action.DELETE,
            path=_address(current),
            body=None,
            own_id=record.id,
            phase=DELETE_PHASE,
            before=current,
        )
        for place in record.places:
            self._draft.do(place, step, about=_about(record, current))

    def _create(self, record: Record) -> None:
        flat = record.flat()
        problems = [*missing(ADVERTISERS, flat, auto_ids=self._draft.checked.auto_ids)]
        problems += [one for _, one in not_whole(ADVERTISERS, flat)]
        if problems:
            self._refuse(record, [self._in_words(record, _on_create(one)) for one in problems], None)
            return
        body = payloads.body(ADVERTISERS, flat)
        identity = "" if record.id else identity_of((ADVERTISERS.name,), body)
        if purchase := self._draft.earlier.claim(identity):
            for place in record.places:
                self._draft.stand(place, purchase)
            return
        step = self._draft.step(
            resource=ADVERTISERS.name,
            action=Action.CREATE,
            path=(ADVERTISERS.name,),
            body=body,
            own_id=record.id,
            once=not record.id,
            identity=identity,
            phase=PHASE,
        )
        if record.id:
            self.created[record.id] = step
        gone = {part.place for part in record.parts if part.remove and self._is_of_part(part.place)}
        for place in record.places:
            if place in gone:
                self._draft.leave(place, _about(record))
            else:
                self._draft.do(place, step, about=_about(record))
        names = _part_names(body)
        for path, value in flat.items():
            place, own_path = record_cell(record, path)
            part = record.part_of(path)
            name = names[part.collection, part.id] if part else ""
            self._draft.change(place, own_path, "", shown(ADVERTISERS, path, value), part=name)

    def _update(self, record: Record, current: Mapping[str, Json]) -> None:
        patch = merge.bound(ADVERTISERS, _patch(record, self._draft.choices.nested), current, self._version)
        merged = merge.apply(ADVERTISERS, patch, current, self._version)
        if not merged.is_change:
            self._leave(record, current)
        elif problem := self._forbidden(record, merged):
            self._refuse(record, [problem], current)
        elif problems := list(self._lacks(record, current, merged)):
            self._refuse(record, problems, current)
        else:
            shown = merge.cut(patch, merged)
            self._put(record, current, shown, merge.apply(ADVERTISERS, shown, current, self._version))

    def _forbidden(self, record: Record, merged: Merged) -> Problem | None:
        """The loss of users and sites that nobody asked for by name."""
        asked = {(part.collection, part.id) for part in record.parts if part.remove}
        lost = [one for one in merged.removed if (one.collection, one.id) not in asked]
        choices = self._draft.choices
        if not lost or choices.nested == "merge" or choices.allow_removals:
            return None
        return Problem(code="would_be_removed", details={"what": Whole(", ".join(map(_lost, lost)))})

    def _lacks(self, record: Record, current: Mapping[str, Json], merged: Merged) -> Iterator[Problem]:
        """What the object would lack; what it lacks already, and what is wrong with a part that stays, may stay too."""
        before = {(one.code, one.column) for one in _problems(merge.written(ADVERTISERS, current, self._version))}
        changed = {change.part for change in merged.changes} | {*merged.added}
        numbers = {(part.collection, part.id): number for number, part in record.numbered()}
        for problem in _problems({PART_KEY: record.id, **merged.body}):
            part = _part_of(problem.column or "", merged.body)
            if part is None:
                if (problem.code, problem.column) not in before:
                    yield problem
            elif part[:2] in changed and part[:2] in numbers:
                column = f"{part[0]}.{numbers[part[:2]]}.{_asked(record, part, merged.body)}"
                verb = "add" if part[:2] in merged.added else "change"
                known = {"known": column, "example": ""} if problem.code == "required" else {}
                one = Problem(code=problem.code, column=column, details={**problem.details, **known})
                yield self._in_words(record, one, verb)

    def _in_words(self, record: Record, problem: Problem, verb: str = "add") -> Problem:
        return placed(ADVERTISERS, problem, self._draft.title(*record_cell(record, problem.column)), verb)

    def _put(self, record: Record, current: Mapping[str, Json], patch: Mapping[str, Json], merged: Merged) -> None:
        step = self._draft.step(
            resource=ADVERTISERS.name,
            action=Action.UPDATE,
            path=_address(current),
            body=merged.body,
            own_id=record.id,
            phase=PHASE,
            patch=patch,
            before=current,
        )
        about = _about(record, current)
        actions = self._actions(record, merged)
        for place in record.places:
            if place in actions:
                self._draft.do(place, step, action=actions[place], about=about)
            else:
                self._draft.leave(place, about)
        self._tell(record, merged, about)
        self._warn_of_the_default(record, current, merged)

    def _actions(self, record: Record, merged: Merged) -> dict[Place, str]:
        """The rows of an update to what is done for them; one at least, so that what the step comes to is told."""
        own = {place: Action.UPDATE.value for place in record.places if not self._is_of_part(place)}
        found = _part_actions(record, merged) | own
        return found or {record.places[0]: Action.UPDATE.value}

    def _warn_of_the_default(self, record: Record, current: Mapping[str, Json], merged: Merged) -> None:
        """The first site is the default, whoever it is."""
        written = merge.written(ADVERTISERS, current, self._version)
        before, after = ([_id(one) for one in some["sites"]] for some in (written, merged.body))
        if not before or not after or before[0] == after[0]:
            return
        rows = {part.id: part.place for part in record.parts if part.remove and part.collection == "sites"}
        place = rows.get(before[0], record.places[0])
        details = {"value": before[0], "other": after[0]}
        self._draft.warn(place, "", Problem(code="default_site_changes", details=details))

    def _is_of_part(self, place: Place) -> bool:
        return self._draft.checked.sheets[place.sheet].sheet.resource.is_part

    def _tell(self, record: Record, merged: Merged, about: str) -> None:
        numbers = {(part.collection, part.id): number for number, part in record.numbered()}
        names = _part_names(merged.body)
        for change in merged.changes:
            place, path = record_cell(record, _column(change, numbers))
            pattern = f"{change.part[0]}.1.{change.path}" if change.part else change.path
            old, new = (shown(ADVERTISERS, pattern, value) for value in (change.old, change.new))
            self._draft.change(place, path, old, new, part=names.get(change.part, "") if change.part else "")
        rows = {(part.collection, part.id): part.place for part in record.parts}
        for removed in merged.removed:
            place = rows.get((removed.collection, removed.id), record.places[0])
            self._draft.remove(place, _lost(removed), about)


def _address(current: Mapping[str, Json]) -> tuple[str, str]:
    """The address of an object, by its id to the letter: a PUT to another spelling would create another object."""
    return ADVERTISERS.name, str(current[PART_KEY])


def _id(one: Mapping[str, Json]) -> str:
    """The id of an object or a part as a cell can name it; empty: it has none."""
    return str(one.get(PART_KEY) or "").strip()


def _problems(tree: Mapping[str, Json]) -> Iterator[Problem]:
    """What the platform would object to in a whole object."""
    flat = {path: value for path, value in payloads.leaves(tree) if value not in (None, "", [])}
    yield from missing(ADVERTISERS, flat, auto_ids=False)
    yield from (one for rule in ADVERTISERS.rules for one in rule.check(flat))


def _about(record: Record, current: Mapping[str, Json] | None = None) -> str:
    """An object as people call it: `Acme Tickets (A-100)`; by the platform's name, which tells a mistyped id."""
    name = (current or {}).get("name") or record.fields.get("name")
    return " ".join(filter(None, (str(name or ""), f"({record.id})" if record.id else "")))


def _patch(record: Record, nested: str) -> dict[str, Json]:
    """What a record changes, as `merging` takes it."""
    sendable = {path: value for path, value in record.fields.items() if _is_sent(path)}
    parts = [
        {"collection": part.collection, "id": part.id, "remove": part.remove, "values": dict(_sent_fields(part))}
        for part in record.parts
    ]
    return {"nested": nested, "values": sendable, "parts": parts}


def _is_sent(path: str) -> bool:
    return ADVERTISERS.by_path[paths.pattern(path)].is_sent


def _sent_fields(part: Part) -> Iterator[tuple[str, Json]]:
    for path, value in part.fields.items():
        if _is_sent(f"{part.collection}.1.{path}"):
            yield path, value


def _on_create(problem: Problem) -> Problem:
    """Say why it is required: validation could not know that the row creates."""
    if problem.code != "required":
        return problem
    return Problem(code=problem.code, column=problem.column, details={**problem.details, "action": _CREATES})


def _part_of(path: str, body: Mapping[str, Json]) -> tuple[str, str, str] | None:
    """`users.2.first_name` to the collection, the id of the part that the body has there, and the path within it."""
    collection, _, rest = path.partition(".")
    number, _, name = rest.partition(".")
    parts = body.get(collection)
    if not number.isdecimal() or not isinstance(parts, list) or int(number) > len(parts):
        return None
    return collection, _id(parts[int(number) - 1]), name


def _part_actions(record: Record, merged: Merged) -> dict[Place, str]:
    """The row of each part to what is done to it; a part that stays as it is is not there."""
    gone = {(one.collection, one.id) for one in merged.removed}
    changed = {change.part for change in merged.changes}
    actions: dict[Place, str] = {}
    for part in record.parts:
        name = (part.collection, part.id)
        if part.remove and name in gone:
            actions[part.place] = REMOVE
        elif name in merged.added:
            actions[part.place] = Action.CREATE.value
        elif name in changed:
            actions[part.place] = Action.UPDATE.value
    return actions


def _asked(record: Record, part: tuple[str, str, str], body: Mapping[str, Json]) -> str:
    """The path within a part of the body, as the part's own row numbers it."""
    collection, own_id, path = part
    values = next(one.fields for one in record.parts if (one.collection, one.id) == (collection, own_id))
    sent = next(one for one in body[collection] if _id(one) == own_id)
    return merge.entry_asked(path, sent, values)


def _column(change: Change, numbers: Mapping[tuple[str, str], int]) -> str:
    if change.part is None:
        return change.path
    return f"{change.part[0]}.{numbers.get(change.part, 0)}.{change.path}"


def _part_names(body: Mapping[str, Json]) -> dict[tuple[str, str], str]:
    """A part to what people call it: `user Jim Williams (U-2)`."""
    names = {}
    for resource in ADVERTISERS.parts:
        for part in body.get(resource.name) or ():
            own_id = _id(part)
            names[resource.name, own_id] = merge.named(resource.name, own_id, merge.called(part))
    return names


def _lost(removed: Removed) -> str:
    return merge.named(removed.collection, removed.id, removed.name)
