"""Rows -> records: what several rows, on one sheet or on several, say of one object with parts.

Three shapes come to the same: a sheet for each part, numbered columns in one row, and rows that repeat the object with
one part each. In all of them a row names its object and gives some of its fields, and each of its parts is named by the
part's own id.

A row that an earlier run did only says which object and which parts there are: its values were sent then, and sent
again they would undo what has been changed since.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from invoca_bulk.schema import PART_KEY, REMOVE, Action, Role, paths
from invoca_bulk.schema.issue_catalog import Problem
from invoca_bulk.validation.completeness import missing, not_whole, placed
from invoca_bulk.validation.issue_frame import found
from invoca_bulk.validation.model import Part, Place, Record

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from invoca_bulk.schema import Field, Resource
    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.validation.issue_frame import Found
    from invoca_bulk.validation.model import CheckedSheet

_ROWS_NAMED = 8
#: What rows name their object by, and the name: `id_from_network`; `name` or the place of the row where the network
#: gives ids.
_Key: TypeAlias = tuple[str, str | Place]


class _Cell(NamedTuple):
    """Where a value stands: its row, and the path that its column has on the row's own sheet."""

    place: Place
    path: str


@dataclass
class _Fields:
    """Values and where they come from.

    Attributes:
        refused: patterns of the fields that a cell with an error of its own should have given.
    """

    values: dict[str, Json] = field(default_factory=dict)
    cells: dict[str, _Cell] = field(default_factory=dict)
    rows: dict[_Cell, Json] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)


@dataclass(kw_only=True)
class _DraftPart(_Fields):
    place: Place
    prefix: str
    done: bool


@dataclass
class _Draft(_Fields):
    """A record while its rows are gathered."""

    own_places: list[Place] = field(default_factory=list)
    part_places: list[Place] = field(default_factory=list)
    parts: dict[tuple[str, str], _DraftPart] = field(default_factory=dict)

    @property
    def places(self) -> tuple[Place, ...]:
        return (*self.own_places, *self.part_places)


class Gathering:
    """Gathers the rows of one resource, and finds what is wrong between them.

    Args:
        resource: the resource that has parts.
        sheets: all sheets of the book.
        auto_ids: whether rows without an id are about an object that the network gives one.

    Attributes:
        found: the issues.
    """

    def __init__(self, resource: Resource, sheets: Sequence[CheckedSheet], *, auto_ids: bool) -> None:
        self.resource = resource
        self.sheets = sheets
        self.auto_ids = auto_ids
        self.found: list[Found] = []
        self._drafts: dict[_Key, _Draft] = {}
        self._order = [part.name for part in resource.parts]

    def records(self) -> tuple[Record, ...]:
        """The records of which a row is pending."""
        for number, sheet in enumerate(self.sheets):
            if sheet.sheet.resource is self.resource:
                self._take_objects(number, sheet)
            elif sheet.sheet.resource in self.resource.parts:
                self._take_parts(number, sheet)
        drafts = {key: one for key, one in self._drafts.items() if self._is_pending(one)}
        self._refuse_orphans(drafts.values())
        self._refuse_repeated_names(drafts.values())
        records = tuple(self._record(key, draft) for key, draft in drafts.items())
        for record, draft in zip(records, drafts.values(), strict=True):
            self._refuse_half_deletes(draft, Action.DELETE, self.resource.one)
            for (collection, _), part in draft.parts.items():
                self._refuse_half_deletes(part, REMOVE, self._one(collection))
            self._check(record, draft)
        return records

    def _is_pending(self, draft: _Draft) -> bool:
        return any(map(self._is_to_do, draft.places))

    # Gathering

    def _take_objects(self, number: int, sheet: CheckedSheet) -> None:
        for position in range(len(sheet.pending)):
            place = Place(number, position)
            values, refused = _counting(sheet, position), sheet.refused(position)
            key = self._key(place, values, refused)
            if key is None:
                continue  # an issue of its own
            draft = self._drafts.setdefault(key, _Draft())
            draft.own_places.append(place)
            taken = self._apart(values)
            own = self._left(place, taken.pop("", {}))
            for path, value in own.items():
                self._set(draft, path, value, _Cell(place, path))
            if not self._is_to_do(place):
                self._note_done(draft, taken, place)
                continue
            if own.keys() - {self.resource.named_by}:  # else it only says whose its user or site is
                draft.rows[_Cell(place, "action")] = own.get("action")
            parts = {prefix: self._take_part(draft, prefix, own, place) for prefix, own in taken.items()}
            for prefix, own in self._apart(dict.fromkeys(refused)).items():
                target = parts.get(prefix) or draft
                target.refused.update(paths.pattern(f"{prefix}{path}") for path in own)

    def _key(self, place: Place, values: Mapping[str, Json], refused: Collection[str]) -> _Key | None:
        """What a row names its object by; None: it does not, or not so that it could be read."""
        name = self.resource.named_by
        if name in values:
            return name, values[name]
        if name in refused or not self.auto_ids:
            return None
        return ("name", values["name"]) if "name" in values else ("", place)  # the network gives ids, names are unique

    def _take_parts(self, number: int, sheet: CheckedSheet) -> None:
        resource = sheet.sheet.resource
        (parent,) = (one.path for one in resource.fields if one.role is Role.PARENT)
        for position in range(len(sheet.pending)):
            values, place = _counting(sheet, position), Place(number, position)
            key = values.pop(parent, None)
            if key is None:
                continue  # an issue of its own
            draft = self._drafts.setdefault((self.resource.named_by, key), _Draft())
            draft.part_places.append(place)
            if not self._is_to_do(place):
                self._note_done(draft, {"": values}, place, resource.name)
                continue
            taken = self._take_part(draft, "", values, place, resource.name) if PART_KEY in values else None
            refused = (f"{resource.name}.#.{paths.pattern(path)}" for path in sheet.refused(position))
            (taken or draft).refused.update(refused)

    def _is_to_do(self, place: Place) -> bool:
        return bool(self.sheets[place.sheet].pending[place.position])

    def _left(self, place: Place, values: Mapping[str, Json]) -> dict[str, Json]:
        """What a row still says of its object itself: all, or nothing once it is done."""
        if not self._is_to_do(place):
            return {}
        # The object may be there by now, so that `create` would contradict the platform's state.
        doubted = self.sheets[place.sheet].unknown[place.position] and values.get("action") == Action.CREATE
        return {path: one for path, one in values.items() if not (doubted and path == "action")}

    @staticmethod
    def _note_done(draft: _Draft, taken: Mapping[str, Mapping[str, Json]], place: Place, collection: str = "") -> None:
        """The parts that a row which is done has left the object with."""
        for prefix, values in taken.items():
            if PART_KEY in values and values.get("action") != REMOVE:
                name = (collection or prefix.partition(".")[0], values[PART_KEY])
                part = _DraftPart(place=place, prefix=prefix, done=True, values={PART_KEY: values[PART_KEY]})
                draft.parts.setdefault(name, part)

    def _apart(self, values: Mapping[str, Json]) -> dict[str, dict[str, Json]]:
        """The values by what stands before their paths: `users.2.` for a user's; the parts in the order of their
        numbers, in which the first is the default, whatever the order of the columns.
        """  # noqa: D205  one sentence
        found: dict[str, dict[str, Json]] = defaultdict(dict)
        for path, value in values.items():
            prefix, name = self._split(path)
            found[prefix][name] = value
        return dict(sorted(found.items(), key=lambda item: self._rank(item[0])))

    def _rank(self, prefix: str) -> tuple[int, int]:
        collection, _, number = prefix.rstrip(".").partition(".")
        return (self._order.index(collection), int(number)) if prefix else (-1, 0)

    def _split(self, path: str) -> tuple[str, str]:
        """`users.2.first_name` to `users.2.` and `first_name`; a field of the object itself has no prefix."""
        for name in self._order:
            if path.startswith(f"{name}."):
                number, _, rest = path.removeprefix(f"{name}.").partition(".")
                return f"{name}.{number}.", rest
        return "", path

    def _take_part(
        self, draft: _Draft, prefix: str, values: Mapping[str, Json], place: Place, collection: str = ""
    ) -> _DraftPart | None:
        """Add what a row says of a part; None: it does not say which one."""
        collection = collection or prefix.partition(".")[0]
        own_id = values.get(PART_KEY)
        if own_id is None:
            if not self._is_refused(place, f"{prefix}{PART_KEY}"):
                details = {"part": self._one(collection), "known": self._title(place, f"{prefix}{PART_KEY}")}
                problem = Problem(code="part_without_id", details=details)
                self._add(_Cell(place, f"{prefix}{next(iter(values))}"), problem)
            return None
        name = (collection, own_id)
        if name not in draft.parts or draft.parts[name].done:
            draft.parts[name] = _DraftPart(place=place, prefix=prefix, done=False)
        part = draft.parts[name]
        part.rows[_Cell(place, f"{prefix}action")] = values.get("action")
        for path, value in values.items():
            self._set(part, path, value, _Cell(place, f"{prefix}{path}"), what=self._one(collection))
        return part

    def _set(self, fields: _Fields, path: str, value: Json, cell: _Cell, *, what: str = "") -> None:
        if path not in fields.values:
            fields.values[path], fields.cells[path] = value, cell
        elif fields.values[path] != value:
            other = fields.cells[path]
            details = {
                "value": self._shown(value),
                "other": self._shown(fields.values[path]),
                "place": self._where(other.place, self._title(other.place, other.path)),
                "part": what or self.resource.one,
            }
            self._add(cell, Problem(code="contradiction", details=details))

    def _record(self, key: _Key, draft: _Draft) -> Record:
        named_by, name = key
        named = {named_by: name} if named_by == self.resource.named_by else {}
        record = Record(
            id=str(name) if named else "",
            action=Action(draft.values["action"]) if "action" in draft.values else None,
            fields=named | {path: value for path, value in draft.values.items() if path != "action"},
            parts=tuple(sorted(_parts(draft), key=lambda part: self._order.index(part.collection))),
            places=tuple(sorted(draft.places, key=lambda place: not self._is_to_do(place))),
            cells={},
        )
        return replace(record, cells=dict(_cells(record, draft)))

    # Checking

    def _refuse_orphans(self, drafts: Iterable[_Draft]) -> None:
        """A user or a site whose advertiser has no row: nobody could see what would be changed."""
        for draft in drafts:
            for place in () if draft.own_places else draft.part_places:
                sheet = self.sheets[place.sheet]
                (parent,) = (one.path for one in sheet.sheet.resource.fields if one.role is Role.PARENT)
                details = {"value": sheet.values(place.position)[parent]}
                self._add(_Cell(place, parent), Problem(code="parent_missing", details=details))

    def _refuse_half_deletes(self, fields: _Fields, action: str, what: str) -> None:
        """What one row takes away and another one keeps: nothing is lost because of a row that was forgotten."""
        asked = [cell for cell, one in fields.rows.items() if one == action]
        for cell, one in fields.rows.items() if asked else ():
            if one is None:
                other = self._where(asked[0].place, self._title(*asked[0]))
                details = {"value": "", "other": str(action), "place": other, "part": what}
                self._add(cell, Problem(code="contradiction", details=details))

    def _refuse_repeated_names(self, drafts: Iterable[_Draft]) -> None:
        by_name: dict[str, list[_Cell]] = defaultdict(list)
        for draft in drafts:
            name = draft.values.get("name")
            if isinstance(name, str) and draft.values.get("action") != Action.DELETE:
                by_name[name].append(draft.cells["name"])
        for name, cells in by_name.items():
            rows = ", ".join(self._where(cell.place) for cell in cells[:_ROWS_NAMED])
            more = f" and {len(cells) - _ROWS_NAMED} more" if len(cells) > _ROWS_NAMED else ""
            for cell in cells if len(cells) > 1 else ():
                self._add(cell, Problem(code="duplicate_name", details={"value": name, "rows": rows + more}))

    def _check(self, record: Record, draft: _Draft) -> None:
        """The rules; on what is certainly created also those that hold for whole objects."""
        if record.action is Action.DELETE or not draft.own_places:
            return
        creates = record.action is Action.CREATE or not record.id
        for patterns, problem in self._problems(record, creates=creates):
            cell = _Cell(*record_cell(record, problem.column))
            part = record.part_of(problem.column or "")
            spoilt = draft.refused | (draft.parts[part.collection, part.id].refused if part else set())
            if not spoilt.intersection(patterns):  # a cell with an error of its own would only mislead
                self._add(cell, placed(self.resource, problem, self._title(*cell)))

    def _problems(self, record: Record, *, creates: bool) -> Iterator[tuple[Collection[str], Problem]]:
        """What is wrong with a record, each with the patterns of the fields that it came from."""
        flat = record.flat()
        for rule in self.resource.rules:
            if not rule.whole:
                yield from ((rule.fields, one) for one in rule.check(flat))
        if creates:
            for one in missing(self.resource, flat, auto_ids=self.auto_ids):
                yield (paths.pattern(one.column or ""),), one
            yield from not_whole(self.resource, flat)

    def _is_refused(self, place: Place, path: str) -> bool:
        one = self.sheets[place.sheet].by_path.get(path)
        return one is not None and bool(one.refused[one.codes[place.position]])

    # Telling

    def _one(self, collection: str) -> str:
        return next(part.one for part in self.resource.parts if part.name == collection)

    @staticmethod
    def _shown(value: Json) -> str:
        return "[]" if value in (None, []) else str(value)

    def _title(self, place: Place, path: str) -> str:
        return self.sheets[place.sheet].title(path)

    def _where(self, place: Place, title: str = "") -> str:
        """A place as the analyst sees it: `users row 5, first_name`."""
        return where(self.sheets, place) + (f", {title}" if title else "")

    def _add(self, cell: _Cell, problem: Problem) -> None:
        sheet = self.sheets[cell.place.sheet]
        if self._is_to_do(cell.place):
            title = sheet.title(cell.path)
            one = sheet.by_path.get(cell.path)
            text = one.texts[one.codes[cell.place.position]] if one else ""
            headers = list(sheet.sheet.frame.columns)
            order = headers.index(title) if title in headers else -1
            self.found.append(found(*cell.place, (order, title, text), problem))


def where(sheets: Sequence[CheckedSheet], place: Place) -> str:
    """A row as the analyst sees it: `row 5`, or `users row 5` where several sheets were read."""
    sheet = sheets[place.sheet].sheet
    return f"{sheet.name} row {sheet.frame.index[place.position]}".strip()


def record_cell(record: Record, column: str | None) -> tuple[Place, str]:
    """Where a field of a record stands, or where it belongs if no sheet has it.

    Args:
        record: the object.
        column: the path, its part numbered as in `Record.flat`.

    Returns:
        The row, and the path on the row's own sheet: the row of its part, else the object's first row.
    """
    path = column or ""
    if path in record.cells:
        return record.cells[path]
    part = record.part_of(path)
    return (part.place, part.prefix + path.split(".", 2)[2]) if part else (record.places[0], path)


def _counting(sheet: CheckedSheet, position: int) -> dict[str, Json]:
    """Path to JSON value of a row's cells that say something of the object; what an earlier run wrote does not."""
    return {path: value for path, value in sheet.changes(position).items() if _counts(sheet.by_path[path].column.field)}


def _counts(one: Field) -> bool:
    return one.is_sent or one.role in {Role.OWN, Role.PARENT}


def _parts(draft: _Draft) -> Iterator[Part]:
    for (collection, own_id), one in draft.parts.items():
        yield Part(
            collection=collection,
            id=own_id,
            remove=one.values.get("action") == REMOVE,
            done=one.done,
            fields={path: value for path, value in one.values.items() if path != "action"},
            place=one.place,
            prefix=one.prefix,
        )


def _cells(record: Record, draft: _Draft) -> Iterator[tuple[str, _Cell]]:
    yield from draft.cells.items()
    for number, part in record.numbered():
        for path, cell in draft.parts[part.collection, part.id].cells.items():
            yield f"{part.collection}.{number}.{path}", cell
