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

from invoca_bulk.schema import REMOVE_ACTION, SUBRESOURCE_KEY, Action, Role, paths
from invoca_bulk.schema.issue_catalog import Problem
from invoca_bulk.validation.completeness import check_whole_object, find_missing_fields, to_sheet_terms
from invoca_bulk.validation.issue_frame import make_issue
from invoca_bulk.validation.model import Record, RowRef, Subrecord

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from invoca_bulk.schema import Field, Resource
    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.validation.issue_frame import Issue
    from invoca_bulk.validation.model import ValidatedSheet

_MAX_ROWS_NAMED = 8
#: What rows name their object by, and the name: `id_from_network`; `name` or the place of the row where the network
#: gives ids.
_RecordKey: TypeAlias = tuple[str, str | RowRef]


class _CellRef(NamedTuple):
    """Where a value stands: its row, and the path that its column has on the row's own sheet."""

    row_ref: RowRef
    path: str


@dataclass
class _GatheredFields:
    """Values and where they come from.

    Attributes:
        error_patterns: patterns of the fields that a cell with an error of its own should have given.
    """

    values: dict[str, Json] = field(default_factory=dict)
    cell_refs: dict[str, _CellRef] = field(default_factory=dict)
    actions: dict[_CellRef, Json] = field(default_factory=dict)
    error_patterns: set[str] = field(default_factory=set)


@dataclass(kw_only=True)
class _SubrecordDraft(_GatheredFields):
    row_ref: RowRef
    path_prefix: str
    is_done: bool


@dataclass
class _RecordDraft(_GatheredFields):
    """A record while its rows are gathered."""

    own_row_refs: list[RowRef] = field(default_factory=list)
    subrecord_row_refs: list[RowRef] = field(default_factory=list)
    subrecords: dict[tuple[str, str], _SubrecordDraft] = field(default_factory=dict)

    @property
    def row_refs(self) -> tuple[RowRef, ...]:
        return (*self.own_row_refs, *self.subrecord_row_refs)


class RecordBuilder:
    """Gathers the rows of one resource, and finds what is wrong between them.

    Args:
        resource: the resource that has parts.
        sheets: all sheets of the book.
        auto_ids: whether rows without an id are about an object that the network gives one.

    Attributes:
        issues: the issues.
    """

    def __init__(self, resource: Resource, sheets: Sequence[ValidatedSheet], *, auto_ids: bool) -> None:
        self.resource = resource
        self.sheets = sheets
        self.auto_ids = auto_ids
        self.issues: list[Issue] = []
        self._drafts: dict[_RecordKey, _RecordDraft] = {}
        self._subresource_order = [part.name for part in resource.subresources]

    def build_records(self) -> tuple[Record, ...]:
        """The records of which a row is pending."""
        for number, sheet in enumerate(self.sheets):
            if sheet.sheet.resource is self.resource:
                self._gather_object_rows(number, sheet)
            elif sheet.sheet.resource in self.resource.subresources:
                self._gather_subrecord_rows(number, sheet)
        drafts = {key: one for key, one in self._drafts.items() if self._is_pending(one)}
        self._check_orphans(drafts.values())
        self._check_duplicate_names(drafts.values())
        records = tuple(self._build_record(key, draft) for key, draft in drafts.items())
        for record, draft in zip(records, drafts.values(), strict=True):
            self._check_partial_deletes(draft, Action.DELETE, self.resource.singular)
            for (collection, _), part in draft.subrecords.items():
                self._check_partial_deletes(part, REMOVE_ACTION, self._singular(collection))
            self._check_record(record, draft)
        return records

    def _is_pending(self, draft: _RecordDraft) -> bool:
        return any(map(self._is_row_pending, draft.row_refs))

    # Gathering

    def _gather_object_rows(self, sheet_index: int, sheet: ValidatedSheet) -> None:
        for position in range(len(sheet.pending)):
            place = RowRef(sheet_index, position)
            values, refused = _relevant_values(sheet, position), sheet.error_paths(position)
            key = self._record_key(place, values, refused)
            if key is None:
                continue  # an issue of its own
            draft = self._drafts.setdefault(key, _RecordDraft())
            draft.own_row_refs.append(place)
            taken = self._group_by_prefix(values)
            own = self._pending_values(place, taken.pop("", {}))
            for path, value in own.items():
                self._set_value(draft, path, value, _CellRef(place, path))
            if not self._is_row_pending(place):
                self._add_done_subrecords(draft, taken, place)
                continue
            if own.keys() - {self.resource.identifier_field}:  # else it only says whose its user or site is
                draft.actions[_CellRef(place, "action")] = own.get("action")
            parts = {prefix: self._add_subrecord(draft, prefix, own, place) for prefix, own in taken.items()}
            for prefix, own in self._group_by_prefix(dict.fromkeys(refused)).items():
                target = parts.get(prefix) or draft
                target.error_patterns.update(paths.to_pattern(f"{prefix}{path}") for path in own)

    def _record_key(self, row_ref: RowRef, values: Mapping[str, Json], refused: Collection[str]) -> _RecordKey | None:
        """What a row names its object by; None: it does not, or not so that it could be read."""
        name = self.resource.identifier_field
        if name in values:
            return name, values[name]
        if name in refused or not self.auto_ids:
            return None
        return (
            ("name", values["name"]) if "name" in values else ("", row_ref)
        )  # the network gives ids, names are unique

    def _gather_subrecord_rows(self, sheet_index: int, sheet: ValidatedSheet) -> None:
        resource = sheet.sheet.resource
        (parent,) = (one.path for one in resource.fields if one.role is Role.PARENT)
        for position in range(len(sheet.pending)):
            values, place = _relevant_values(sheet, position), RowRef(sheet_index, position)
            key = values.pop(parent, None)
            if key is None:
                continue  # an issue of its own
            draft = self._drafts.setdefault((self.resource.identifier_field, key), _RecordDraft())
            draft.subrecord_row_refs.append(place)
            if not self._is_row_pending(place):
                self._add_done_subrecords(draft, {"": values}, place, resource.name)
                continue
            taken = self._add_subrecord(draft, "", values, place, resource.name) if SUBRESOURCE_KEY in values else None
            refused = (f"{resource.name}.#.{paths.to_pattern(path)}" for path in sheet.error_paths(position))
            (taken or draft).error_patterns.update(refused)

    def _is_row_pending(self, row_ref: RowRef) -> bool:
        return bool(self.sheets[row_ref.sheet_index].pending[row_ref.position])

    def _pending_values(self, row_ref: RowRef, values: Mapping[str, Json]) -> dict[str, Json]:
        """What a row still says of its object itself: all, or nothing once it is done."""
        if not self._is_row_pending(row_ref):
            return {}
        # The object may be there by now, so that `create` would contradict the platform's state.
        doubted = (
            self.sheets[row_ref.sheet_index].was_unknown[row_ref.position] and values.get("action") == Action.CREATE
        )
        return {path: one for path, one in values.items() if not (doubted and path == "action")}

    @staticmethod
    def _add_done_subrecords(
        draft: _RecordDraft, values_by_prefix: Mapping[str, Mapping[str, Json]], row_ref: RowRef, collection: str = ""
    ) -> None:
        """The parts that a row which is done has left the object with."""
        for prefix, values in values_by_prefix.items():
            if SUBRESOURCE_KEY in values and values.get("action") != REMOVE_ACTION:
                name = (collection or prefix.partition(".")[0], values[SUBRESOURCE_KEY])
                part = _SubrecordDraft(
                    row_ref=row_ref, path_prefix=prefix, is_done=True, values={SUBRESOURCE_KEY: values[SUBRESOURCE_KEY]}
                )
                draft.subrecords.setdefault(name, part)

    def _group_by_prefix(self, values: Mapping[str, Json]) -> dict[str, dict[str, Json]]:
        """The values by what stands before their paths: `users.2.` for a user's; the parts in the order of their
        numbers, in which the first is the default, whatever the order of the columns.
        """  # noqa: D205  one sentence
        found: dict[str, dict[str, Json]] = defaultdict(dict)
        for path, value in values.items():
            prefix, name = self._split_path(path)
            found[prefix][name] = value
        return dict(sorted(found.items(), key=lambda item: self._prefix_rank(item[0])))

    def _prefix_rank(self, prefix: str) -> tuple[int, int]:
        collection, _, number = prefix.rstrip(".").partition(".")
        return (self._subresource_order.index(collection), int(number)) if prefix else (-1, 0)

    def _split_path(self, path: str) -> tuple[str, str]:
        """`users.2.first_name` to `users.2.` and `first_name`; a field of the object itself has no prefix."""
        for name in self._subresource_order:
            if path.startswith(f"{name}."):
                number, _, rest = path.removeprefix(f"{name}.").partition(".")
                return f"{name}.{number}.", rest
        return "", path

    def _add_subrecord(
        self, draft: _RecordDraft, prefix: str, values: Mapping[str, Json], row_ref: RowRef, collection: str = ""
    ) -> _SubrecordDraft | None:
        """Add what a row says of a part; None: it does not say which one."""
        collection = collection or prefix.partition(".")[0]
        own_id = values.get(SUBRESOURCE_KEY)
        if own_id is None:
            if not self._has_cell_error(row_ref, f"{prefix}{SUBRESOURCE_KEY}"):
                details = {
                    "part": self._singular(collection),
                    "known": self._title(row_ref, f"{prefix}{SUBRESOURCE_KEY}"),
                }
                problem = Problem(code="part_without_id", details=details)
                self._add_issue(_CellRef(row_ref, f"{prefix}{next(iter(values))}"), problem)
            return None
        name = (collection, own_id)
        if name not in draft.subrecords or draft.subrecords[name].is_done:
            draft.subrecords[name] = _SubrecordDraft(row_ref=row_ref, path_prefix=prefix, is_done=False)
        part = draft.subrecords[name]
        part.actions[_CellRef(row_ref, f"{prefix}action")] = values.get("action")
        for path, value in values.items():
            self._set_value(part, path, value, _CellRef(row_ref, f"{prefix}{path}"), noun=self._singular(collection))
        return part

    def _set_value(self, fields: _GatheredFields, path: str, value: Json, cell: _CellRef, *, noun: str = "") -> None:
        if path not in fields.values:
            fields.values[path], fields.cell_refs[path] = value, cell
        elif fields.values[path] != value:
            other = fields.cell_refs[path]
            details = {
                "value": self._format_value(value),
                "other": self._format_value(fields.values[path]),
                "place": self._describe_cell(other.row_ref, self._title(other.row_ref, other.path)),
                "part": noun or self.resource.singular,
            }
            self._add_issue(cell, Problem(code="contradiction", details=details))

    def _build_record(self, key: _RecordKey, draft: _RecordDraft) -> Record:
        named_by, name = key
        named = {named_by: name} if named_by == self.resource.identifier_field else {}
        record = Record(
            id=str(name) if named else "",
            action=Action(draft.values["action"]) if "action" in draft.values else None,
            fields=named | {path: value for path, value in draft.values.items() if path != "action"},
            subrecords=tuple(
                sorted(_build_subrecords(draft), key=lambda part: self._subresource_order.index(part.collection))
            ),
            row_refs=tuple(sorted(draft.row_refs, key=lambda place: not self._is_row_pending(place))),
            cell_refs={},
        )
        return replace(record, cell_refs=dict(_iter_cell_refs(record, draft)))

    # Checking

    def _check_orphans(self, drafts: Iterable[_RecordDraft]) -> None:
        """A user or a site whose advertiser has no row: nobody could see what would be changed."""
        for draft in drafts:
            for place in () if draft.own_row_refs else draft.subrecord_row_refs:
                sheet = self.sheets[place.sheet_index]
                (parent,) = (one.path for one in sheet.sheet.resource.fields if one.role is Role.PARENT)
                details = {"value": sheet.values(place.position)[parent]}
                self._add_issue(_CellRef(place, parent), Problem(code="parent_missing", details=details))

    def _check_partial_deletes(self, fields: _GatheredFields, action: str, noun: str) -> None:
        """What one row takes away and another one keeps: nothing is lost because of a row that was forgotten."""
        asked = [cell for cell, one in fields.actions.items() if one == action]
        for cell, one in fields.actions.items() if asked else ():
            if one is None:
                other = self._describe_cell(asked[0].row_ref, self._title(*asked[0]))
                details = {"value": "", "other": str(action), "place": other, "part": noun}
                self._add_issue(cell, Problem(code="contradiction", details=details))

    def _check_duplicate_names(self, drafts: Iterable[_RecordDraft]) -> None:
        by_name: dict[str, list[_CellRef]] = defaultdict(list)
        for draft in drafts:
            name = draft.values.get("name")
            if isinstance(name, str) and draft.values.get("action") != Action.DELETE:
                by_name[name].append(draft.cell_refs["name"])
        for name, cells in by_name.items():
            rows = ", ".join(self._describe_cell(cell.row_ref) for cell in cells[:_MAX_ROWS_NAMED])
            more = f" and {len(cells) - _MAX_ROWS_NAMED} more" if len(cells) > _MAX_ROWS_NAMED else ""
            for cell in cells if len(cells) > 1 else ():
                self._add_issue(cell, Problem(code="duplicate_name", details={"value": name, "rows": rows + more}))

    def _check_record(self, record: Record, draft: _RecordDraft) -> None:
        """The rules; on what is certainly created also those that hold for whole objects."""
        if record.action is Action.DELETE or not draft.own_row_refs:
            return
        creates = record.action is Action.CREATE or not record.id
        for patterns, problem in self._find_problems(record, is_create=creates):
            cell = _CellRef(*locate_cell(record, problem.column))
            part = record.subrecord_at(problem.column or "")
            spoilt = draft.error_patterns | (
                draft.subrecords[part.collection, part.id].error_patterns if part else set()
            )
            if not spoilt.intersection(patterns):  # a cell with an error of its own would only mislead
                self._add_issue(cell, to_sheet_terms(self.resource, problem, self._title(*cell)))

    def _find_problems(self, record: Record, *, is_create: bool) -> Iterator[tuple[Collection[str], Problem]]:
        """What is wrong with a record, each with the patterns of the fields that it came from."""
        flat = record.flat_values()
        for rule in self.resource.rules:
            if not rule.needs_whole_object:
                yield from ((rule.fields, one) for one in rule.check(flat))
        if is_create:
            for one in find_missing_fields(self.resource, flat, auto_ids=self.auto_ids):
                yield (paths.to_pattern(one.column or ""),), one
            yield from check_whole_object(self.resource, flat)

    def _has_cell_error(self, row_ref: RowRef, path: str) -> bool:
        one = self.sheets[row_ref.sheet_index].by_path.get(path)
        return one is not None and bool(one.has_error[one.codes[row_ref.position]])

    # Telling

    def _singular(self, collection: str) -> str:
        return next(part.singular for part in self.resource.subresources if part.name == collection)

    @staticmethod
    def _format_value(value: Json) -> str:
        return "[]" if value in (None, []) else str(value)

    def _title(self, row_ref: RowRef, path: str) -> str:
        return self.sheets[row_ref.sheet_index].title(path)

    def _describe_cell(self, row_ref: RowRef, title: str = "") -> str:
        """A place as the analyst sees it: `users row 5, first_name`."""
        return describe_row(self.sheets, row_ref) + (f", {title}" if title else "")

    def _add_issue(self, cell: _CellRef, problem: Problem) -> None:
        sheet = self.sheets[cell.row_ref.sheet_index]
        if self._is_row_pending(cell.row_ref):
            title = sheet.title(cell.path)
            one = sheet.by_path.get(cell.path)
            text = one.texts[one.codes[cell.row_ref.position]] if one else ""
            headers = list(sheet.sheet.frame.columns)
            order = headers.index(title) if title in headers else -1
            self.issues.append(make_issue(*cell.row_ref, (order, title, text), problem))


def describe_row(sheets: Sequence[ValidatedSheet], row_ref: RowRef) -> str:
    """A row as the analyst sees it: `row 5`, or `users row 5` where several sheets were read."""
    sheet = sheets[row_ref.sheet_index].sheet
    return f"{sheet.name} row {sheet.frame.index[row_ref.position]}".strip()


def locate_cell(record: Record, column: str | None) -> tuple[RowRef, str]:
    """Where a field of a record stands, or where it belongs if no sheet has it.

    Args:
        record: the object.
        column: the path, its part numbered as in `Record.flat_values`.

    Returns:
        The row, and the path on the row's own sheet: the row of its part, else the object's first row.
    """
    path = column or ""
    if path in record.cell_refs:
        return record.cell_refs[path]
    part = record.subrecord_at(path)
    return (part.row_ref, part.path_prefix + path.split(".", 2)[2]) if part else (record.row_refs[0], path)


def _relevant_values(sheet: ValidatedSheet, position: int) -> dict[str, Json]:
    """Path to JSON value of a row's cells that say something of the object; what an earlier run wrote does not."""
    return {
        path: value for path, value in sheet.changes(position).items() if _is_relevant(sheet.by_path[path].column.field)
    }


def _is_relevant(one: Field) -> bool:
    return one.is_sent or one.role in {Role.LOCAL, Role.PARENT}


def _build_subrecords(draft: _RecordDraft) -> Iterator[Subrecord]:
    for (collection, own_id), one in draft.subrecords.items():
        yield Subrecord(
            collection=collection,
            id=own_id,
            is_removal=one.values.get("action") == REMOVE_ACTION,
            is_done=one.is_done,
            fields={path: value for path, value in one.values.items() if path != "action"},
            row_ref=one.row_ref,
            path_prefix=one.path_prefix,
        )


def _iter_cell_refs(record: Record, draft: _RecordDraft) -> Iterator[tuple[str, _CellRef]]:
    yield from draft.cell_refs.items()
    for number, part in record.numbered_subrecords():
        for path, cell in draft.subrecords[part.collection, part.id].cell_refs.items():
            yield f"{part.collection}.{number}.{path}", cell
