"""Validated rows and the platform's state, as data -> plan: the API calls to make, and the rows that conflict.

Nothing here talks to the platform. `required_scopes` says which state is needed, `service.snapshot` fetches it, and
`build_plan` decides: `advertisers` plans advertisers with their users and sites, `promo_numbers` plans promo numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping

from invoca_bulk.config.options import PlanOptions
from invoca_bulk.planning import promo_numbers
from invoca_bulk.planning.advertisers import AdvertiserPlanner
from invoca_bulk.planning.builder import PlanBuilder
from invoca_bulk.planning.generated_ids import assign_generated_ids
from invoca_bulk.planning.model import (
    REFUSED,
    UNCHANGED,
    FieldChange,
    PlanData,
    PlannedRow,
    PlannedSheet,
    PlatformState,
    PriorWrite,
    Purchase,
    Removal,
    SavedPlan,
    Scope,
    Step,
    step_to_dict,
)
from invoca_bulk.planning.prior_purchases import PriorPurchases
from invoca_bulk.planning.promo_numbers import NumberPlanner
from invoca_bulk.schema import ADVERTISERS, PROMO_NUMBERS, RESOURCES, Resource, paths
from invoca_bulk.sheets import Sheet
from invoca_bulk.sheets.row_labels import to_stored_names
from invoca_bulk.validation import Record, RowRef, ValidatedBook

__all__ = [
    "REFUSED",
    "UNCHANGED",
    "FieldChange",
    "PlanData",
    "PlannedRow",
    "PlannedSheet",
    "PlatformState",
    "PriorPurchases",
    "PriorWrite",
    "Purchase",
    "Removal",
    "SavedPlan",
    "Scope",
    "Step",
    "assign_generated_ids",
    "build_plan",
    "collection_paths",
    "fingerprint_sheets",
    "ids_with_flags",
    "list_path",
    "required_scopes",
    "step_to_dict",
]


def fingerprint_sheets(sheets: Iterable[Sheet]) -> str:
    """A hash of the sheets' headers and cells as read; file names and the platform's state do not affect it."""
    digest = hashlib.sha256()
    for sheet in sheets:
        digest.update(json.dumps([sheet.resource.name, *sheet.frame.columns]).encode())
        for cells in zip(*(sheet.frame[header] for header in sheet.frame.columns), strict=True):
            digest.update(json.dumps(cells).encode())
    return digest.hexdigest()


def required_scopes(validated_book: ValidatedBook) -> list[Scope]:
    """The scopes whose state the plan needs, each once; one list request reads the state of one scope.

    The empty scope stands for all advertisers: one list of all instead of a request for each.
    """
    needs_advertisers = any(not validated_book.is_invalid(record) for record in validated_book.records)
    number_sheets = validated_book.sheets_of(PROMO_NUMBERS)
    campaigns = (scope for _, sheet in number_sheets for scope in promo_numbers.campaign_scopes(sheet))
    return [*([()] if needs_advertisers else []), *dict.fromkeys(campaigns)]


def list_path(scope: Scope) -> tuple[str, ...]:
    """The path parts of the list of a scope's objects."""
    return (*scope, PROMO_NUMBERS.name) if scope else (ADVERTISERS.name,)


def collection_paths(validated_book: ValidatedBook) -> Iterator[tuple[str, ...]]:
    """The path parts of the collections in which the rows create objects, or in which earlier runs may have."""
    number_sheets = validated_book.sheets_of(PROMO_NUMBERS)
    unresolved = (scope for _, sheet in number_sheets for scope in promo_numbers.unresolved_scopes(sheet))
    for scope in dict.fromkeys([*required_scopes(validated_book), *unresolved]):
        resource = PROMO_NUMBERS if scope else ADVERTISERS
        yield from ((*scope, collection.name) for collection in resource.collections)


def ids_with_flags(validated_book: ValidatedBook) -> list[str]:
    """The ids of the advertisers whose rows set a flag that the platform may keep as it is."""
    flags = {field.path for part in ADVERTISERS.subresources for field in part.fields if field.may_be_kept}
    return [
        record.id
        for record in validated_book.records
        if record.id and any(flags & part.fields.keys() for part in record.subrecords)
    ]


def build_plan(
    validated_book: ValidatedBook,
    platform_state: Mapping[Scope, PlatformState],
    plan_options: PlanOptions | None = None,
    prior_purchases: PriorPurchases | None = None,
    prior_writes: Mapping[str, PriorWrite] | None = None,
) -> PlanData:
    """Decide what to do for each row.

    `platform_state` has each scope of `required_scopes`. Rows that ask for one of the prior purchases count as done.
    `prior_writes` has those of the advertisers of `ids_with_flags`, by id. Rows that conflict with the platform's state
    are `invalid` in the plan, with the reason.
    """
    builder = PlanBuilder(
        validated_book,
        platform_state,
        plan_options or PlanOptions(),
        prior_purchases or PriorPurchases(),
        prior_writes or {},
    )
    advertiser_planner = AdvertiserPlanner(builder)
    for record in validated_book.records:
        pending_record = builder.with_pending_rows(record)
        if validated_book.is_invalid(record):
            _mark_record_invalid(builder, pending_record, advertiser_planner)
        else:
            advertiser_planner.plan_record(pending_record)
    _decide_rows_without_record(builder)
    number_planner = NumberPlanner(builder, advertiser_planner)
    for sheet_index, sheet in validated_book.sheets_of(PROMO_NUMBERS):
        number_planner.plan_sheet(sheet_index, sheet)
    return _assemble_plan(builder)


def _assemble_plan(builder: PlanBuilder) -> PlanData:
    validated_book = builder.validated_book
    sheets = [validated_sheet.sheet for validated_sheet in validated_book.sheets]
    sheet_resources = {sheet.resource.name for sheet in sheets}
    return PlanData(
        resource="+".join(
            name
            for name, resource in RESOURCES.items()
            if sheet_resources & {name, *(part.name for part in resource.subresources)}
        ),
        source=validated_book.source,
        sheets=tuple(map(_plan_sheet, sheets)),
        titles={name: dict(_column_titles(validated_book, resource)) for name, resource in RESOURCES.items()},
        rows=builder.rows(),
        steps=tuple(builder.steps),
        changes=tuple(builder.changes),
        removals=tuple(builder.removals),
        issues=builder.issues(),
        resolved_purchases=tuple(builder.resolved_purchases),
        platform_state=builder.platform_state,
        fingerprint=fingerprint_sheets(sheets),
    )


def _plan_sheet(sheet: Sheet) -> PlannedSheet:
    labels = sheet.own_labels
    return PlannedSheet(
        name=sheet.name,
        resource=sheet.resource.name,
        headers=tuple(sheet.frame.columns),
        index_names=to_stored_names(labels.index) if labels else (),
        index_columns=labels.columns if labels else (),
    )


def _column_titles(validated_book: ValidatedBook, resource: Resource) -> Iterator[tuple[str, str]]:
    """Path to column title; `#` stands for the number of a user or site that has its own sheet."""
    for validated_sheet in validated_book.sheets:
        sheet = validated_sheet.sheet
        for path, column in validated_sheet.by_path.items():
            if sheet.resource is resource:
                yield path, column.column.header
            elif sheet.resource in resource.subresources:
                pattern = paths.to_pattern(f"{sheet.resource.name}.1.{path}")
                yield pattern, f"{sheet.name} {column.column.header}".strip()


def _mark_record_invalid(builder: PlanBuilder, record: Record, advertiser_planner: AdvertiserPlanner) -> None:
    """Mark all rows of a record invalid; rows without errors name the first row that has them."""
    rows_with_errors = builder.rows_with_errors
    culprit = next((row_ref for row_ref in record.row_refs if row_ref in rows_with_errors), None)
    # Without a culprit, the error is in a header.
    sibling_problem = advertiser_planner.mark_invalid(record, culprit) if culprit else None
    for row_ref in record.row_refs:
        builder.mark_invalid(row_ref, sibling_problem)


def _decide_rows_without_record(builder: PlanBuilder) -> None:
    """Decide the rows of advertisers that belong to no record: done before, or without an id."""
    for sheet_index, sheet in enumerate(builder.validated_book.sheets):
        if sheet.sheet.resource is PROMO_NUMBERS:
            continue
        for position, pending in enumerate(sheet.pending):
            row_ref = RowRef(sheet_index, position)
            if builder.is_decided(row_ref):
                continue
            if pending:
                builder.mark_invalid(row_ref)
            else:
                builder.keep_result(row_ref)
