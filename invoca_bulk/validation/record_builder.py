"""Rows -> records: combining the rows of one object with subrecords, from one sheet or several.

Three shapes give the same records: a sheet for each kind of subrecord, numbered columns in one row, and rows that
repeat the object with one subrecord each. In all of them a row names its object and holds some of its fields, and each
subrecord is named by its own id.

A row that an earlier run did only shows which object and subrecords exist: its values were sent then, and sending them
again would undo later changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias

from invoca_bulk.schema import REMOVE_ACTION, SUBRESOURCE_KEY, Action, Resource, Role, paths
from invoca_bulk.schema.field_types import Json
from invoca_bulk.schema.issue_catalog import Problem
from invoca_bulk.sheets.row_labels import MAX_ROWS_NAMED
from invoca_bulk.validation.completeness import (
    NO_SITE_IF_CREATED,
    NO_SITE_ON_CREATE,
    check_whole_object,
    find_missing_fields,
    to_sheet_terms,
)
from invoca_bulk.validation.issue_frame import Issue, make_issue
from invoca_bulk.validation.model import Record, RowRef, Subrecord, ValidatedSheet
from invoca_bulk.wording import join_limited

#: The field by which rows name their object, and its value: `id_from_network`, or `name` if the network assigns ids; a
#: row with neither is its own object, with its RowRef.
_RecordKey: TypeAlias = tuple[str, str | RowRef]


class _CellRef(NamedTuple):
    """The location of a value: its row, and the path of its column on the row's sheet."""

    row_ref: RowRef
    path: str


@dataclass
class _GatheredFields:
    """Values and their cells."""

    values: dict[str, Json] = field(default_factory=dict)
    cell_refs: dict[str, _CellRef] = field(default_factory=dict)
    actions: dict[_CellRef, Json] = field(default_factory=dict)
    error_patterns: set[str] = field(default_factory=set)  # of the fields whose cells have errors


@dataclass(kw_only=True)
class _SubrecordDraft(_GatheredFields):
    row_ref: RowRef
    path_prefix: str
    is_done: bool


@dataclass
class _RecordDraft(_GatheredFields):
    """A record while its rows are being combined."""

    own_row_refs: list[RowRef] = field(default_factory=list)
    subrecord_row_refs: list[RowRef] = field(default_factory=list)
    subrecords: dict[tuple[str, str], _SubrecordDraft] = field(default_factory=dict)

    @property
    def row_refs(self) -> tuple[RowRef, ...]:
        return (*self.own_row_refs, *self.subrecord_row_refs)


class RecordBuilder:
    """Combines the rows of one resource with subresources to records, and finds problems between rows (`issues`)."""

    def __init__(
        self, resource: Resource, sheets: Sequence[ValidatedSheet], *, auto_ids: bool, allow_no_sites: bool = False
    ) -> None:
        self.resource = resource
        self.sheets = sheets
        self.auto_ids = auto_ids
        self.allow_no_sites = allow_no_sites
        self.issues: list[Issue] = []
        self._drafts: dict[_RecordKey, _RecordDraft] = {}
        self._nouns = {subresource.name: subresource.singular for subresource in resource.subresources}
        self._collections = list(self._nouns)

    def build_records(self) -> tuple[Record, ...]:
        """The records that have a pending row."""
        for index, sheet in enumerate(self.sheets):
            if sheet.sheet.resource is self.resource:
                self._gather_object_rows(index, sheet)
            elif sheet.sheet.resource in self.resource.subresources:
                self._gather_subrecord_rows(index, sheet)
        drafts = {key: draft for key, draft in self._drafts.items() if any(map(self._is_row_pending, draft.row_refs))}
        self._check_orphans(drafts.values())
        self._check_duplicate_names(drafts.values())
        records = tuple(self._build_record(key, draft) for key, draft in drafts.items())
        for record, draft in zip(records, drafts.values(), strict=True):
            self._check_partial_deletes(draft, Action.DELETE, self.resource.singular)
            for (collection, _), subrecord in draft.subrecords.items():
                self._check_partial_deletes(subrecord, REMOVE_ACTION, self._nouns[collection])
            self._check_record(record, draft)
        return records

    # Combining rows

    def _gather_object_rows(self, sheet_index: int, sheet: ValidatedSheet) -> None:
        for position in range(len(sheet.pending)):
            row_ref = RowRef(sheet_index, position)
            values, error_paths = _relevant_values(sheet, position), sheet.error_paths(position)
            key = self._record_key(row_ref, values, error_paths)
            if key is None:
                continue  # the row has an issue already
            draft = self._drafts.setdefault(key, _RecordDraft())
            draft.own_row_refs.append(row_ref)
            values_by_prefix = self._group_by_prefix(values)
            own_values = self._pending_values(row_ref, values_by_prefix.pop("", {}))
            for path, value in own_values.items():
                self._set_value(draft, path, value, _CellRef(row_ref, path))
            if not self._is_row_pending(row_ref):
                self._add_done_subrecords(draft, values_by_prefix, row_ref)
                continue
            if own_values.keys() - {self.resource.identifier_field}:  # else it only names the owner of a user or site
                draft.actions[_CellRef(row_ref, "action")] = own_values.get("action")
            subrecords = {
                prefix: self._add_subrecord(draft, prefix, prefix_values, row_ref)
                for prefix, prefix_values in values_by_prefix.items()
            }
            for prefix, names in self._group_by_prefix(dict.fromkeys(error_paths)).items():
                target = subrecords.get(prefix) or draft
                target.error_patterns.update(paths.to_pattern(f"{prefix}{name}") for name in names)

    def _record_key(
        self, row_ref: RowRef, values: Mapping[str, Json], error_paths: Collection[str]
    ) -> _RecordKey | None:
        """The key of a row's object; None: the id is missing or has an error."""
        identifier = self.resource.identifier_field
        if identifier in values:
            return identifier, values[identifier]
        if identifier in error_paths or not self.auto_ids:
            return None
        return ("name", values["name"]) if "name" in values else ("", row_ref)  # names are unique

    def _gather_subrecord_rows(self, sheet_index: int, sheet: ValidatedSheet) -> None:
        resource = sheet.sheet.resource
        parent = resource.parent_field.path
        for position in range(len(sheet.pending)):
            values, row_ref = _relevant_values(sheet, position), RowRef(sheet_index, position)
            parent_id = values.pop(parent, None)
            if parent_id is None:
                continue  # the row has an issue already
            draft = self._drafts.setdefault((self.resource.identifier_field, parent_id), _RecordDraft())
            draft.subrecord_row_refs.append(row_ref)
            if not self._is_row_pending(row_ref):
                self._add_done_subrecords(draft, {"": values}, row_ref, resource.name)
                continue
            target: _GatheredFields = draft
            if SUBRESOURCE_KEY in values:
                target = self._add_subrecord(draft, "", values, row_ref, resource.name) or draft
            target.error_patterns.update(
                f"{resource.name}.#.{paths.to_pattern(path)}" for path in sheet.error_paths(position)
            )

    def _is_row_pending(self, row_ref: RowRef) -> bool:
        return bool(self.sheets[row_ref.sheet_index].pending[row_ref.position])

    def _pending_values(self, row_ref: RowRef, values: Mapping[str, Json]) -> dict[str, Json]:
        """The values of a row's object that are still to be sent; none if the row is done."""
        if not self._is_row_pending(row_ref):
            return {}
        # The object may exist by now, so that `create` would contradict the platform's state.
        may_exist = (
            self.sheets[row_ref.sheet_index].was_unknown[row_ref.position] and values.get("action") == Action.CREATE
        )
        return {path: value for path, value in values.items() if not (may_exist and path == "action")}

    @staticmethod
    def _add_done_subrecords(
        draft: _RecordDraft, values_by_prefix: Mapping[str, Mapping[str, Json]], row_ref: RowRef, collection: str = ""
    ) -> None:
        """Add the subrecords that the object has after a row that is done."""
        for prefix, values in values_by_prefix.items():
            if SUBRESOURCE_KEY in values and values.get("action") != REMOVE_ACTION:
                subrecord_id = values[SUBRESOURCE_KEY]
                subrecord = _SubrecordDraft(
                    row_ref=row_ref, path_prefix=prefix, is_done=True, values={SUBRESOURCE_KEY: subrecord_id}
                )
                draft.subrecords.setdefault((collection or prefix.partition(".")[0], subrecord_id), subrecord)

    def _group_by_prefix(self, values: Mapping[str, Json]) -> dict[str, dict[str, Json]]:
        """The values by the prefix of their paths, such as `users.2.`.

        Subrecords are in the order of their numbers, not of the columns: the first site is the default.
        """
        values_by_prefix: dict[str, dict[str, Json]] = defaultdict(dict)
        for path, value in values.items():
            prefix, name = self._split_path(path)
            values_by_prefix[prefix][name] = value
        return dict(sorted(values_by_prefix.items(), key=lambda item: self._prefix_rank(item[0])))

    def _prefix_rank(self, prefix: str) -> tuple[int, int]:
        collection, _, number = prefix.rstrip(".").partition(".")
        return (self._collections.index(collection), int(number)) if prefix else (-1, 0)

    def _split_path(self, path: str) -> tuple[str, str]:
        """`users.2.first_name` to `users.2.` and `first_name`; a field of the object itself has no prefix."""
        for collection in self._collections:
            if path.startswith(f"{collection}."):
                number, _, name = path.removeprefix(f"{collection}.").partition(".")
                return f"{collection}.{number}.", name
        return "", path

    def _add_subrecord(
        self, draft: _RecordDraft, prefix: str, values: Mapping[str, Json], row_ref: RowRef, collection: str = ""
    ) -> _SubrecordDraft | None:
        """Add a row's values of a subrecord; None: its id is missing."""
        collection = collection or prefix.partition(".")[0]
        subrecord_id = values.get(SUBRESOURCE_KEY)
        if subrecord_id is None:
            id_path = f"{prefix}{SUBRESOURCE_KEY}"
            if id_path not in self.sheets[row_ref.sheet_index].error_paths(row_ref.position):
                details = {"part": self._nouns[collection], "known": self._title(_CellRef(row_ref, id_path))}
                problem = Problem(code="part_without_id", details=details)
                self._add_issue(_CellRef(row_ref, f"{prefix}{next(iter(values))}"), problem)
            return None
        key = (collection, subrecord_id)
        if key not in draft.subrecords or draft.subrecords[key].is_done:
            draft.subrecords[key] = _SubrecordDraft(row_ref=row_ref, path_prefix=prefix, is_done=False)
        subrecord = draft.subrecords[key]
        subrecord.actions[_CellRef(row_ref, f"{prefix}action")] = values.get("action")
        noun = self._nouns[collection]
        for path, value in values.items():
            self._set_value(subrecord, path, value, _CellRef(row_ref, f"{prefix}{path}"), noun=noun)
        return subrecord

    def _set_value(self, fields: _GatheredFields, path: str, value: Json, cell: _CellRef, *, noun: str = "") -> None:
        if path not in fields.values:
            fields.values[path], fields.cell_refs[path] = value, cell
        elif fields.values[path] != value:
            details = {
                "value": _format_value(value),
                "other": _format_value(fields.values[path]),
                "place": self._describe_cell(fields.cell_refs[path]),
                "part": noun or self.resource.singular,
            }
            self._add_issue(cell, Problem(code="contradiction", details=details))

    def _build_record(self, key: _RecordKey, draft: _RecordDraft) -> Record:
        key_field, key_value = key
        has_id = key_field == self.resource.identifier_field
        record = Record(
            id=str(key_value) if has_id else "",
            action=Action(draft.values["action"]) if "action" in draft.values else None,
            fields=({key_field: key_value} if has_id else {})
            | {path: value for path, value in draft.values.items() if path != "action"},
            subrecords=tuple(
                sorted(_build_subrecords(draft), key=lambda subrecord: self._collections.index(subrecord.collection))
            ),
            row_refs=tuple(sorted(draft.row_refs, key=lambda row_ref: not self._is_row_pending(row_ref))),
            cell_refs={},
        )
        return replace(record, cell_refs=dict(_iter_cell_refs(record, draft)))

    # Checking

    def _check_orphans(self, drafts: Iterable[_RecordDraft]) -> None:
        """Report users and sites whose advertiser has no row: nobody could see which object would be changed."""
        for draft in drafts:
            for row_ref in () if draft.own_row_refs else draft.subrecord_row_refs:
                sheet = self.sheets[row_ref.sheet_index]
                parent = sheet.sheet.resource.parent_field.path
                details = {"value": sheet.values(row_ref.position)[parent]}
                self._add_issue(_CellRef(row_ref, parent), Problem(code="parent_missing", details=details))

    def _check_partial_deletes(self, fields: _GatheredFields, action: str, noun: str) -> None:
        """Report rows without an action if another row deletes the same object: the user may have forgotten a row."""
        deleting_cells = [cell for cell, cell_action in fields.actions.items() if cell_action == action]
        for cell, cell_action in fields.actions.items() if deleting_cells else ():
            if cell_action is None:
                location = self._describe_cell(deleting_cells[0])
                details = {"value": "", "other": str(action), "place": location, "part": noun}
                self._add_issue(cell, Problem(code="contradiction", details=details))

    def _check_duplicate_names(self, drafts: Iterable[_RecordDraft]) -> None:
        cells_by_name: dict[str, list[_CellRef]] = defaultdict(list)
        for draft in drafts:
            name = draft.values.get("name")
            if isinstance(name, str) and draft.values.get("action") != Action.DELETE:
                cells_by_name[name].append(draft.cell_refs["name"])
        for name, cells in cells_by_name.items():
            if len(cells) > 1:
                rows = join_limited([describe_row(self.sheets, cell.row_ref) for cell in cells], MAX_ROWS_NAMED)
                for cell in cells:
                    self._add_issue(cell, Problem(code="duplicate_name", details={"value": name, "rows": rows}))

    def _check_record(self, record: Record, draft: _RecordDraft) -> None:
        """Apply the rules; those for whole objects only if the record certainly asks for a new object."""
        if record.action is Action.DELETE or not draft.own_row_refs:
            return
        is_create = record.action is Action.CREATE or not record.id
        for patterns, problem in self._find_problems(record, is_create=is_create):
            cell = _CellRef(*locate_cell(record, problem.column))
            error_patterns = draft.error_patterns
            if subrecord := record.subrecord_at(problem.column or ""):
                error_patterns = error_patterns | draft.subrecords[subrecord.collection, subrecord.id].error_patterns
            if not error_patterns.intersection(patterns):  # the field has an error already: a second one would mislead
                self._add_issue(cell, to_sheet_terms(self.resource, problem, self._title(cell)))

    def _find_problems(self, record: Record, *, is_create: bool) -> Iterator[tuple[Collection[str], Problem]]:
        """The problems of a record, each with the patterns of the fields that it is about."""
        flat = record.flat_values()
        for rule in self.resource.rules:
            if not rule.needs_whole_object:
                yield from ((rule.fields, problem) for problem in rule.check(flat))
        if is_create:
            for problem in find_missing_fields(self.resource, flat, auto_ids=self.auto_ids):
                yield (paths.to_pattern(problem.column or ""),), problem
            for patterns, problem in check_whole_object(self.resource, flat):
                if not (self.allow_no_sites and problem.code == NO_SITE_ON_CREATE):
                    yield patterns, problem
        elif not self.allow_no_sites and record.action is None:
            yield from self._find_missing_site(record, flat)

    def _find_missing_site(self, record: Record, flat: Mapping[str, Json]) -> Iterator[tuple[Collection[str], Problem]]:
        """The warning for an object that the rows would create without a site, should the platform not have it."""
        has_sites = any(subrecord.collection == "sites" for subrecord in record.subrecords)
        lacks_fields = any(find_missing_fields(self.resource, flat, auto_ids=self.auto_ids))
        for patterns, problem in () if has_sites or lacks_fields else check_whole_object(self.resource, flat):
            if problem.code == NO_SITE_ON_CREATE:
                yield patterns, replace(problem, code=NO_SITE_IF_CREATED)

    # Reporting

    def _title(self, cell: _CellRef) -> str:
        return self.sheets[cell.row_ref.sheet_index].title(cell.path)

    def _describe_cell(self, cell: _CellRef) -> str:
        """A cell as the spreadsheet shows it: `users row 5, first_name`."""
        return f"{describe_row(self.sheets, cell.row_ref)}, {self._title(cell)}"

    def _add_issue(self, cell: _CellRef, problem: Problem) -> None:
        sheet = self.sheets[cell.row_ref.sheet_index]
        if self._is_row_pending(cell.row_ref):
            title = sheet.title(cell.path)
            column = sheet.by_path.get(cell.path)
            text = column.cell_text(cell.row_ref.position) if column else ""
            headers = list(sheet.sheet.frame.columns)
            column_position = headers.index(title) if title in headers else -1
            self.issues.append(make_issue(*cell.row_ref, (column_position, title, text), problem))


def describe_row(sheets: Sequence[ValidatedSheet], row_ref: RowRef) -> str:
    """A row as the user knows it: `row 5`, or `users row 5` if several sheets were read."""
    sheet = sheets[row_ref.sheet_index].sheet
    return sheet.describe_row(sheet.frame.index[row_ref.position])


def locate_cell(record: Record, column: str | None) -> tuple[RowRef, str]:
    """The row of a field of a record, and the path on that row's sheet; `column` is a path of `Record.flat_values`.

    If no sheet has the field: the row of its subrecord, else the object's first row.
    """
    path = column or ""
    if path in record.cell_refs:
        return record.cell_refs[path]
    if subrecord := record.subrecord_at(path):
        return subrecord.row_ref, subrecord.path_prefix + path.split(".", 2)[2]
    return record.row_refs[0], path


def _format_value(value: Json) -> str:
    return "[]" if value in (None, []) else str(value)


def _relevant_values(sheet: ValidatedSheet, position: int) -> dict[str, Json]:
    """Path to JSON value of a row's cells about the object, without columns that an earlier run wrote."""
    values = sheet.changes(position)
    for path in tuple(values):
        field = sheet.by_path[path].column.field
        if not field.is_sent and field.role not in {Role.LOCAL, Role.PARENT}:
            del values[path]
    return values


def _build_subrecords(draft: _RecordDraft) -> Iterator[Subrecord]:
    for (collection, subrecord_id), subrecord in draft.subrecords.items():
        yield Subrecord(
            collection=collection,
            id=subrecord_id,
            is_removal=subrecord.values.get("action") == REMOVE_ACTION,
            is_done=subrecord.is_done,
            fields={path: value for path, value in subrecord.values.items() if path != "action"},
            row_ref=subrecord.row_ref,
            path_prefix=subrecord.path_prefix,
        )


def _iter_cell_refs(record: Record, draft: _RecordDraft) -> Iterator[tuple[str, _CellRef]]:
    yield from draft.cell_refs.items()
    for number, subrecord in record.numbered_subrecords():
        for path, cell in draft.subrecords[subrecord.collection, subrecord.id].cell_refs.items():
            yield f"{subrecord.collection}.{number}.{path}", cell
