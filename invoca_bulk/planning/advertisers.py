"""Plans advertisers with their users and sites: each record against the platform's state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from invoca_bulk.planning import merge
from invoca_bulk.planning.builder import PlanBuilder
from invoca_bulk.planning.display_values import (
    display_text,
    find_case_variant,
    fold_ids,
    id_text,
    index_by_id,
    object_label,
)
from invoca_bulk.planning.kept_flags import asks_for_kept_flag, find_kept_flags, flag_text
from invoca_bulk.planning.merge import MergeResult, PartId, RemovedPart
from invoca_bulk.planning.prior_purchases import request_identity
from invoca_bulk.schema import ADVERTISERS, REMOVE_ACTION, SHEET_RESOURCES, SUBRESOURCE_KEY, Action, paths, payloads
from invoca_bulk.schema.field_types import Json
from invoca_bulk.schema.issue_catalog import Problem, Unshortened
from invoca_bulk.validation import (
    NO_SITE_ON_CREATE,
    Record,
    RowRef,
    check_whole_object,
    describe_row,
    find_missing_fields,
    locate_cell,
    to_sheet_terms,
)

#: Advertisers come before the numbers that need them; deletions come last, when nothing in the sheet needs them.
ADVERTISER_PHASE, ADVERTISER_DELETE_PHASE = 0, 3

#: Paths that a user's or site's row uses for its own cells.
_PART_FIELD_PATHS = {field.path for part in ADVERTISERS.subresources for field in part.fields}

_PHONE = "contact_phone_number"
_CREATE_PURPOSE = "create an advertiser; the platform has none with this id, so the row creates it"


class AdvertiserPlanner:
    """Plans the records."""

    def __init__(self, builder: PlanBuilder) -> None:
        self._builder = builder
        self._version = builder.validated_book.version
        self._nested = builder.plan_options.nested
        self.create_step_by_id: dict[str, int] = {}  # advertiser id to the step that creates it
        self.deleted_ids: set[str] = set()  # of advertisers
        #: Advertiser id to the problem of its rows without errors, where other rows have some.
        self.sibling_problems: dict[str, Problem] = {}

    def plan_record(self, record: Record) -> None:
        """Plan one record, with all of its rows."""
        current = self._by_id.get(record.id)
        # What an earlier run did is dropped; but `replace` needs the parts that exist, or it would remove them.
        needed = merge.parts_by_id(ADVERTISERS, current or {}) if self._nested == "replace" else {}
        parts = tuple(part for part in record.subrecords if not part.is_done or (part.collection, part.id) in needed)
        record = replace(record, subrecords=parts)
        problem = self._find_conflict(record, current)
        if problem:
            self._refuse(record, [problem], current)
        elif record.action is Action.DELETE:
            self._plan_delete(record, current)
        elif current is None:
            if warning := find_case_variant(record.id, self._folded_ids):
                self._builder.add_warning(*locate_cell(record, SUBRESOURCE_KEY), warning)
            self._plan_create(record)
        else:
            self._plan_update(record, current)

    def mark_invalid(self, record: Record, culprit: RowRef) -> Problem:
        """The problem for the other rows of an advertiser when one of its rows (`culprit`) has errors."""
        row_label = describe_row(self._builder.validated_book.sheets, culprit)
        sibling_problem = Problem(code="row_beside_invalid", details={"part": ADVERTISERS.singular, "place": row_label})
        self.sibling_problems[record.id] = sibling_problem
        return sibling_problem

    def is_missing(self, own_id: str) -> bool:
        """Whether the platform is known to have no advertiser with an id."""
        return () in self._builder.platform_state and own_id not in self._by_id

    @cached_property
    def _by_id(self) -> dict[str, Mapping[str, Json]]:
        return index_by_id(self._builder.platform_state[()].objects)

    @cached_property
    def _folded_ids(self) -> dict[str, str]:
        return fold_ids(self._by_id)

    @cached_property
    def _id_by_name(self) -> dict[str, str]:
        named = (advertiser for advertiser in self._builder.platform_state[()].objects if advertiser.get("name"))
        return {str(advertiser["name"]).strip(): id_text(ADVERTISERS, advertiser) for advertiser in named}

    def _find_conflict(self, record: Record, current: Mapping[str, Json] | None) -> Problem | None:
        """How a record conflicts with the platform's state."""
        if record.action is Action.CREATE and current is not None:
            details = {"value": record.id, "name": current.get("name", "")}
            return Problem(code="advertiser_exists", column=SUBRESOURCE_KEY, details=details)
        if record.action is Action.UPDATE and current is None:
            return Problem(code="advertiser_not_found", column=SUBRESOURCE_KEY, details={"value": record.id})
        name = str(record.fields.get("name", ""))
        owner_id = self._id_by_name.get(name)
        if record.action is not Action.DELETE and owner_id is not None and owner_id != record.id:
            return Problem(code="name_taken", column="name", details={"value": name, "other": owner_id})
        return None

    def _refuse(self, record: Record, problems: Sequence[Problem], current: Mapping[str, Json] | None) -> None:
        """Refuse the rows with the problems, and mark the other rows of the advertiser invalid."""
        problems_by_row: dict[RowRef, list[tuple[str, Problem]]] = defaultdict(list)
        for problem in problems:
            row_ref, path = locate_cell(record, problem.column)
            # The row's cell of that name belongs to the part, not to the advertiser.
            is_part_cell = path == problem.column and path in _PART_FIELD_PATHS and self._is_part_row(row_ref)
            problems_by_row[row_ref].append(("" if is_part_cell else path, problem))
        label = _record_label(record, current)
        sibling_problem = self.mark_invalid(record, min(problems_by_row))
        for row_ref in record.row_refs:
            if row_ref in problems_by_row:
                self._builder.mark_refused(row_ref, problems_by_row[row_ref], object_label=label)
            else:
                self._builder.mark_invalid(row_ref, sibling_problem, object_label=label)

    def _mark_unchanged(self, record: Record, current: Mapping[str, Json] | None = None) -> None:
        for row_ref in record.row_refs:
            own_object = None if self._is_part_row(row_ref) else current
            self._builder.mark_unchanged(row_ref, _record_label(record, current), own_object)

    def _plan_delete(self, record: Record, current: Mapping[str, Json] | None) -> None:
        if current is None:
            self._mark_unchanged(record)
            warning = Problem(code="already_gone", details={"value": record.id})
            self._builder.add_warning(*locate_cell(record, SUBRESOURCE_KEY), warning)
            return
        self.deleted_ids.add(record.id)
        step = self._add_step(record, current, action=Action.DELETE, body=None, phase=ADVERTISER_DELETE_PHASE)
        for row_ref in record.row_refs:
            self._builder.assign_step(row_ref, step, object_label=_record_label(record, current))

    def _add_step(self, record: Record, current: Mapping[str, Json], **attributes: object) -> int:
        """Add a step on an existing advertiser."""
        # The id verbatim: a PUT to another spelling would create another advertiser.
        path = (ADVERTISERS.name, str(current[SUBRESOURCE_KEY]))
        return self._builder.add_step(
            resource=ADVERTISERS.name, path=path, own_id=record.id, snapshot=current, **attributes
        )

    def _plan_create(self, record: Record) -> None:
        values = record.flat_values()
        problems = [*find_missing_fields(ADVERTISERS, values, auto_ids=self._builder.validated_book.auto_ids)]
        problems += [problem for _, problem in check_whole_object(ADVERTISERS, values)]
        silent_code = NO_SITE_ON_CREATE if self._builder.plan_options.allow_no_sites else ""
        warnings = [problem for problem in problems if problem.level == "warning" and problem.code != silent_code]
        problems = [problem for problem in problems if problem.level == "error"]
        if problems:
            explained = [self._in_sheet_terms(record, _explain_create(problem)) for problem in problems]
            self._refuse(record, explained, None)
            return
        for problem in warnings:
            self._builder.add_warning(*locate_cell(record, problem.column), problem)
        body = payloads.request_body(ADVERTISERS, values)
        identity = "" if record.id else request_identity((ADVERTISERS.name,), body)
        if purchase := self._builder.prior_purchases.claim(identity):
            for row_ref in record.row_refs:
                self._builder.use_purchase(row_ref, purchase)
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
        label = _record_label(record)
        removals = {part.row_ref for part in record.subrecords if part.is_removal and self._is_part_row(part.row_ref)}
        for row_ref in record.row_refs:
            if row_ref in removals:
                self._builder.mark_unchanged(row_ref, label)
            else:
                self._builder.assign_step(row_ref, step, object_label=label)
        part_labels = _part_labels(body)
        for path, value in values.items():
            row_ref, cell_path = locate_cell(record, path)
            part = record.subrecord_at(path)
            part_label = part_labels[part.collection, part.id] if part else ""
            self._builder.add_change(row_ref, cell_path, "", display_text(ADVERTISERS, path, value), part=part_label)

    def _plan_update(self, record: Record, current: Mapping[str, Json]) -> None:
        patch = merge.bind_entries(ADVERTISERS, _build_patch(record, self._nested), current, self._version)
        merged = merge.merge_patch(ADVERTISERS, patch, current, self._version)
        if not merged.has_changes or self._asks_for_kept_flags(record, merged):
            self._mark_unchanged(record, current)
        elif problem := (
            _find_unknown_parts(current) or self._find_unrequested_removals(record, merged) or _find_unkeepable(current)
        ):
            self._refuse(record, [problem], current)
        elif problems := list(self._find_new_problems(record, current, merged)):
            self._refuse(record, problems, current)
        else:
            minimal = merge.minimal_patch(patch, merged)
            merged = merge.merge_patch(ADVERTISERS, minimal, current, self._version)
            self._add_update_step(record, current, minimal, merged)

    def _asks_for_kept_flags(self, record: Record, merged: MergeResult) -> bool:
        """Whether a row changes nothing but flags that the platform has kept as they are; if so, warn of them.

        With any other change they are sent again, in case the platform takes them by then.
        """
        write = self._builder.prior_writes.get(record.id)
        if write is None or merged.added or merged.removed:
            return False
        kept_flags = find_kept_flags(write.body, write.answer)
        if not all(asks_for_kept_flag(change, kept_flags) for change in merged.changes):
            return False
        numbers = _part_numbers(record)
        for change in merged.changes:
            assert change.part  # noqa: S101  tells mypy that flags are those of users
            cell = locate_cell(record, f"{change.part[0]}.{numbers[change.part]}.{change.path}")
            details = {"value": flag_text(change.new), "other": flag_text(change.old), "run": write.run}
            self._builder.add_warning(*cell, Problem(code="flag_kept", details=details))
        return True

    def _find_unrequested_removals(self, record: Record, merged: MergeResult) -> Problem | None:
        """The removal of users and sites that no row asks to remove."""
        requested = {(part.collection, part.id) for part in record.subrecords if part.is_removal}
        unrequested = [removed for removed in merged.removed if (removed.collection, removed.id) not in requested]
        if not unrequested or self._nested == "merge" or self._builder.plan_options.allow_removals:
            return None
        labels = ", ".join(map(_removed_label, unrequested))
        return Problem(code="would_be_removed", details={"what": Unshortened(labels)})

    def _find_new_problems(self, record: Record, current: Mapping[str, Json], merged: MergeResult) -> Iterator[Problem]:
        """What is wrong with the updated object; problems that it had before, or in unchanged parts, are ignored."""
        before = merge.to_writable(ADVERTISERS, current, self._version)
        old_problems = {(problem.code, problem.column) for problem in _validate_object(before)}
        changed = {change.part for change in merged.changes} | {*merged.added}
        numbers, parts = _part_numbers(record), merge.parts_by_id(ADVERTISERS, merged.body)
        loses_sites = any(removed.collection == "sites" for removed in merged.removed) and not merged.body["sites"]
        if loses_sites and not self._builder.plan_options.allow_no_sites:
            yield Problem(code="no_site", column="sites.1.id_from_network")
        for problem in _validate_object({SUBRESOURCE_KEY: record.id, **merged.body}):
            located = _split_part_path(problem.column or "", merged.body)
            if located is None:
                if (problem.code, problem.column) not in old_problems:
                    yield problem
                continue
            part_id, part_path = located
            if part_id in changed and part_id in numbers:
                # The entry numbers of the part's own row, which may differ from those of the body.
                values = next(part.fields for part in record.subrecords if (part.collection, part.id) == part_id)
                path = merge.requested_entry_path(part_path, parts[part_id], values)
                column = f"{part_id[0]}.{numbers[part_id]}.{path}"
                verb = "add" if part_id in merged.added else "change"
                details = {"known": column, "example": ""} if problem.code == "required" else {}
                part_problem = Problem(code=problem.code, column=column, details={**problem.details, **details})
                yield self._in_sheet_terms(record, part_problem, verb)
        yield from _find_kept_country_codes(record, merged)

    def _in_sheet_terms(self, record: Record, problem: Problem, verb: str = "add") -> Problem:
        title = self._builder.column_title(*locate_cell(record, problem.column))
        return to_sheet_terms(ADVERTISERS, problem, title, verb)

    def _add_update_step(
        self, record: Record, current: Mapping[str, Json], patch: Mapping[str, Json], merged: MergeResult
    ) -> None:
        step = self._add_step(
            record, current, action=Action.UPDATE, body=merged.body, phase=ADVERTISER_PHASE, patch=patch
        )
        label = _record_label(record, current)
        own_rows = {row_ref: Action.UPDATE.value for row_ref in record.row_refs if not self._is_part_row(row_ref)}
        actions = _part_actions(record, merged) | own_rows
        if not actions:  # one row has to report the step's outcome
            actions = {record.row_refs[0]: Action.UPDATE.value}
        for row_ref in record.row_refs:
            if row_ref in actions:
                self._builder.assign_step(row_ref, step, action=actions[row_ref], object_label=label)
            else:
                self._builder.mark_unchanged(row_ref, label)
        self._add_changes(record, merged, label)
        self._warn_default_site_change(record, current, merged)

    def _warn_default_site_change(self, record: Record, current: Mapping[str, Json], merged: MergeResult) -> None:
        """Warn if another site becomes the first, which is the default."""
        writable = merge.to_writable(ADVERTISERS, current, self._version)
        before, after = ([_part_id_text("sites", site) for site in state["sites"]] for state in (writable, merged.body))
        if not before or not after or before[0] == after[0]:
            return
        rows = {part.id: part.row_ref for part in record.subrecords if part.is_removal and part.collection == "sites"}
        row_ref = rows.get(before[0], record.row_refs[0])
        details = {"value": before[0], "other": after[0]}
        self._builder.add_warning(row_ref, "", Problem(code="default_site_changes", details=details))

    def _is_part_row(self, row_ref: RowRef) -> bool:
        return self._builder.validated_book.sheets[row_ref.sheet_index].sheet.resource.is_subresource

    def _add_changes(self, record: Record, merged: MergeResult, label: str) -> None:
        numbers = _part_numbers(record)
        part_labels = _part_labels(merged.body)
        for change in merged.changes:
            column, pattern = change.path, change.path
            if change.part:
                column = f"{change.part[0]}.{numbers.get(change.part, 0)}.{change.path}"
                pattern = f"{change.part[0]}.1.{change.path}"
            row_ref, path = locate_cell(record, column)
            old, new = (display_text(ADVERTISERS, pattern, value) for value in (change.old, change.new))
            part_label = part_labels.get(change.part, "") if change.part else ""
            self._builder.add_change(row_ref, path, old, new, part=part_label)
        rows = {(part.collection, part.id): part.row_ref for part in record.subrecords}
        for removed in merged.removed:
            row_ref = rows.get((removed.collection, removed.id), record.row_refs[0])
            self._builder.add_removal(row_ref, _removed_label(removed), label)


def _part_id_text(collection: str, record: Mapping[str, Json]) -> str:
    return id_text(SHEET_RESOURCES[collection], record)


def _part_numbers(record: Record) -> dict[PartId, int]:
    """The numbers that a record's column paths use for its users and sites."""
    return {(part.collection, part.id): number for number, part in record.numbered_subrecords()}


def _find_unknown_parts(current: Mapping[str, Json]) -> Problem | None:
    """The users or sites that the platform does not show: an update would delete them."""
    missing = " and ".join(merge.missing_collections(ADVERTISERS, current))
    return Problem(code="parts_unknown", details={"what": missing}) if missing else None


def _find_unkeepable(current: Mapping[str, Json]) -> Problem | None:
    """What an update of the advertiser would change although no row asks for it."""
    text = merge.find_unkeepable(ADVERTISERS, current)
    return Problem(code="cannot_keep", details={"what": text}) if text else None


def _find_kept_country_codes(record: Record, merged: MergeResult) -> Iterator[Problem]:
    """New phone numbers beside a country code that the platform has and the sheet does not mention."""
    parts = merge.parts_by_id(ADVERTISERS, merged.body)
    changed = {(change.part, change.path): change.new for change in merged.changes}
    for part_id, number in _part_numbers(record).items():
        code = parts.get(part_id, {}).get(merge.COUNTRY_CODE)
        new = changed.get((part_id, _PHONE))
        if new and code not in (None, "") and (part_id, merge.COUNTRY_CODE) not in changed:
            column = f"{part_id[0]}.{number}.{_PHONE}"
            yield Problem(code="country_code_kept", column=column, details={"value": new, "other": code})


def _validate_object(advertiser: Mapping[str, Json]) -> Iterator[Problem]:
    """What the platform would reject in a whole advertiser."""
    values = {path: value for path, value in payloads.flatten_object(advertiser) if value not in (None, "", [], {})}
    yield from find_missing_fields(ADVERTISERS, values, auto_ids=False)
    problems = (problem for rule in ADVERTISERS.rules for problem in rule.check(values))
    yield from (problem for problem in problems if problem.level == "error")


def _record_label(record: Record, current: Mapping[str, Json] | None = None) -> str:
    """`Acme Tickets (A-100)`, preferably with the platform's name, which reveals a mistyped id."""
    return object_label(str((current or {}).get("name") or record.fields.get("name") or ""), record.id)


def _build_patch(record: Record, nested: str) -> dict[str, Json]:
    """What a record changes, as a patch for `merge`."""
    sendable = {path: value for path, value in record.fields.items() if _is_sent(path)}
    parts = []
    for part in record.subrecords:
        values = {path: value for path, value in part.fields.items() if _is_sent(f"{part.collection}.1.{path}")}
        parts.append({"collection": part.collection, "id": part.id, "remove": part.is_removal, "values": values})
    return {"nested": nested, "values": sendable, "parts": parts}


def _is_sent(path: str) -> bool:
    return ADVERTISERS.by_path[paths.to_pattern(path)].is_sent


def _explain_create(problem: Problem) -> Problem:
    """Say why a field is required: only the plan knows that the row creates an advertiser."""
    if problem.code != "required":
        return problem
    return Problem(code=problem.code, column=problem.column, details={**problem.details, "action": _CREATE_PURPOSE})


def _split_part_path(path: str, body: Mapping[str, Json]) -> tuple[PartId, str] | None:
    """`users.2.first_name` -> the body's second user, and `first_name`; None: not the path of a part."""
    collection, _, numbered_path = path.partition(".")
    number, _, part_path = numbered_path.partition(".")
    parts = body.get(collection)
    if not number.isdecimal() or not isinstance(parts, list) or int(number) > len(parts):
        return None
    return (collection, _part_id_text(collection, parts[int(number) - 1])), part_path


def _part_actions(record: Record, merged: MergeResult) -> dict[RowRef, str]:
    """Row to action of each user or site; unchanged ones are left out."""
    removed = {(part.collection, part.id) for part in merged.removed}
    changed = {change.part for change in merged.changes}
    actions: dict[RowRef, str] = {}
    for part in record.subrecords:
        part_id = (part.collection, part.id)
        if part.is_removal and part_id in removed:
            actions[part.row_ref] = REMOVE_ACTION
        elif part_id in merged.added:
            actions[part.row_ref] = Action.CREATE.value
        elif part_id in changed:
            actions[part.row_ref] = Action.UPDATE.value
    return actions


def _part_labels(advertiser: Mapping[str, Json]) -> dict[PartId, str]:
    """The labels of an advertiser's users and sites: `user Jim Williams (U-2)`."""
    return {
        part_id: merge.describe_part(*part_id, merge.display_name(record))
        for part_id, record in merge.parts_by_id(ADVERTISERS, advertiser).items()
    }


def _removed_label(removed: RemovedPart) -> str:
    return merge.describe_part(removed.collection, removed.id, removed.name)
