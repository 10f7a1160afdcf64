"""Checked rows + the platform's state, as data -> plan: which calls to make, and what cannot be done.

Nothing here talks to the platform. `required_scopes` says what state is wanted, the pipeline fetches it, `build_plan`
decides: `objects` about advertisers with their users and sites, `numbers` about promo numbers.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

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
    Purchase,
    Removal,
    SavedPlan,
    Scope,
    Step,
    step_to_dict,
)
from invoca_bulk.planning.prior_purchases import PriorPurchases, request_identity
from invoca_bulk.planning.promo_numbers import NumberPlanner
from invoca_bulk.schema import ADVERTISERS, PROMO_NUMBERS, RESOURCES, paths
from invoca_bulk.validation import RowRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from invoca_bulk.schema import Resource
    from invoca_bulk.sheets import Sheet
    from invoca_bulk.validation import Record, ValidatedBook

__all__ = [
    "REFUSED",
    "UNCHANGED",
    "FieldChange",
    "PlanData",
    "PlannedRow",
    "PlannedSheet",
    "PlatformState",
    "PriorPurchases",
    "Purchase",
    "Removal",
    "SavedPlan",
    "Scope",
    "Step",
    "assign_generated_ids",
    "build_plan",
    "collection_paths",
    "fingerprint_sheets",
    "list_path",
    "request_identity",
    "required_scopes",
    "step_to_dict",
]


def fingerprint_sheets(sheets: Iterable[Sheet]) -> str:
    """Identifies the sheets' content: headers and cells as they were read, whatever the file is called.

    The platform's state has no part in it: a sheet is the same one when it is run again a day later.
    """
    digest = hashlib.sha256()
    for sheet in sheets:
        digest.update(json.dumps([sheet.resource.name, *sheet.frame.columns]).encode())
        for cells in zip(*(sheet.frame[header] for header in sheet.frame.columns), strict=True):
            digest.update(json.dumps(cells).encode())
    return digest.hexdigest()


def required_scopes(checked: ValidatedBook) -> list[Scope]:
    """The scopes whose state decides about the rows, each once: one list of each is all that is read.

    The scope without parts is that of the advertisers: one list of all, instead of a read for each.
    """
    advertisers: list[Scope] = [()] if any(not checked.is_invalid(one) for one in checked.records) else []
    campaigns = (
        scope for _, sheet in checked.sheets_of(PROMO_NUMBERS) for scope in promo_numbers.campaign_scopes(sheet)
    )
    return [*advertisers, *dict.fromkeys(campaigns)]


def list_path(scope: Scope) -> tuple[str, ...]:
    """The address of the list of what a scope has, as path parts."""
    return (*scope, PROMO_NUMBERS.name) if scope else (ADVERTISERS.name,)


def collection_paths(checked: ValidatedBook) -> Iterator[tuple[str, ...]]:
    """The addresses, as path parts, to which the rows send, or earlier runs have sent for them, something new."""
    unsettled = (
        scope for _, sheet in checked.sheets_of(PROMO_NUMBERS) for scope in promo_numbers.unresolved_scopes(sheet)
    )
    for scope in dict.fromkeys([*required_scopes(checked), *unsettled]):
        yield from ((*scope, one.name) for one in (PROMO_NUMBERS if scope else ADVERTISERS).collections)


def build_plan(
    checked: ValidatedBook,
    platform_state: Mapping[Scope, PlatformState],
    plan_options: PlanOptions | None = None,
    prior_purchases: PriorPurchases | None = None,
) -> PlanData:
    """Decide what to do for each row.

    Args:
        checked: the validated sheets.
        platform_state: the platform's state, for each scope that `required_scopes` gave.
        plan_options: what the user has decided; None: the defaults.
        prior_purchases: what earlier runs have bought; rows that ask for the same are done already. None: nothing.

    Returns:
        The plan. Rows that the state speaks against are `invalid` in it, with the reason.
    """
    draft = PlanBuilder(checked, platform_state, plan_options or PlanOptions(), prior_purchases or PriorPurchases())
    objects = AdvertiserPlanner(draft)
    for record in checked.records:
        if checked.is_invalid(record):
            _mark_record_invalid(draft, draft.with_pending_rows(record), objects)
        else:
            objects.plan_record(draft.with_pending_rows(record))
    _decide_rows_without_record(draft)
    rows = NumberPlanner(draft, objects)
    for number, sheet in checked.sheets_of(PROMO_NUMBERS):
        rows.plan_sheet(number, sheet)
    sheets = [one.sheet for one in checked.sheets]
    names = {sheet.resource.name for sheet in sheets}
    return PlanData(
        resource="+".join(
            name for name, one in RESOURCES.items() if names & {name, *(part.name for part in one.subresources)}
        ),
        source=checked.source,
        sheets=tuple(
            PlannedSheet(name=one.name, resource=one.resource.name, headers=tuple(one.frame.columns)) for one in sheets
        ),
        titles={name: dict(_column_titles(checked, resource)) for name, resource in RESOURCES.items()},
        rows=draft.rows(),
        steps=tuple(draft.steps),
        changes=tuple(draft.changes),
        removals=tuple(draft.removals),
        issues=draft.issues(),
        resolved_purchases=tuple(draft.resolved_purchases),
        platform_state=platform_state,
        fingerprint=fingerprint_sheets(sheets),
    )


def _column_titles(checked: ValidatedBook, resource: Resource) -> Iterator[tuple[str, str]]:
    """Path to the title that a resource's field has; `#` stands for the number of a part with a sheet of its own."""
    for one in checked.sheets:
        sheet = one.sheet
        if sheet.resource is resource:
            yield from ((path, column.column.header) for path, column in one.by_path.items())
        elif sheet.resource in resource.subresources:
            for path, column in one.by_path.items():
                pattern = paths.to_pattern(f"{sheet.resource.name}.1.{path}")
                yield pattern, f"{sheet.name} {column.column.header}".strip()


def _mark_record_invalid(draft: PlanBuilder, record: Record, objects: AdvertiserPlanner) -> None:
    """None of a record's rows is done; those without errors of their own say which one has them."""
    errors = draft.rows_with_errors()
    culprit = next((place for place in record.row_refs if place in errors), None)  # None: a header has
    beside = objects.mark_invalid(record, culprit) if culprit else None
    for place in record.row_refs:
        draft.mark_invalid(place, beside)


def _decide_rows_without_record(draft: PlanBuilder) -> None:
    """Rows of advertisers that are in no record: done before, or without an id."""
    for number, sheet in enumerate(draft.validated_book.sheets):
        if sheet.sheet.resource is PROMO_NUMBERS:
            continue
        for position, pending in enumerate(sheet.pending):
            place = RowRef(number, position)
            if draft.is_decided(place):
                continue
            if pending:
                draft.mark_invalid(place)
            else:
                draft.keep_result(place)
