"""Checked rows + the platform's state, as data -> plan: which calls to make, and what cannot be done.

Nothing here talks to the platform. `needed` says what state is wanted, the pipeline fetches it, `make` decides:
`objects` about advertisers with their users and sites, `numbers` about promo numbers.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from invoca_bulk.config.options import Choices
from invoca_bulk.planning import promo_numbers
from invoca_bulk.planning.advertisers import ObjectPlanner
from invoca_bulk.planning.builder import Draft
from invoca_bulk.planning.generated_ids import with_own_ids
from invoca_bulk.planning.model import (
    REFUSED,
    UNCHANGED,
    FieldChange,
    Kept,
    Observed,
    Plan,
    PlannedRow,
    PlannedSheet,
    Purchase,
    Removal,
    Scope,
    Step,
    step_values,
)
from invoca_bulk.planning.prior_purchases import Earlier, identity_of
from invoca_bulk.planning.promo_numbers import NumberPlanner
from invoca_bulk.schema import ADVERTISERS, PROMO_NUMBERS, RESOURCES, paths
from invoca_bulk.validation import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from invoca_bulk.schema import Resource
    from invoca_bulk.sheets import Sheet
    from invoca_bulk.validation import Checked, Record

__all__ = [
    "REFUSED",
    "UNCHANGED",
    "Earlier",
    "FieldChange",
    "Kept",
    "Observed",
    "Plan",
    "PlannedRow",
    "PlannedSheet",
    "Purchase",
    "Removal",
    "Scope",
    "Step",
    "collections",
    "fingerprint_of",
    "identity_of",
    "listed",
    "make",
    "needed",
    "step_values",
    "with_own_ids",
]


def fingerprint_of(sheets: Iterable[Sheet]) -> str:
    """Identifies the sheets' content: headers and cells as they were read, whatever the file is called.

    The platform's state has no part in it: a sheet is the same one when it is run again a day later.
    """
    digest = hashlib.sha256()
    for sheet in sheets:
        digest.update(json.dumps([sheet.resource.name, *sheet.frame.columns]).encode())
        for cells in zip(*(sheet.frame[header] for header in sheet.frame.columns), strict=True):
            digest.update(json.dumps(cells).encode())
    return digest.hexdigest()


def needed(checked: Checked) -> list[Scope]:
    """The scopes whose state decides about the rows, each once: one list of each is all that is read.

    The scope without parts is that of the advertisers: one list of all, instead of a read for each.
    """
    advertisers: list[Scope] = [()] if any(not checked.is_invalid(one) for one in checked.records) else []
    campaigns = (scope for _, sheet in checked.of(PROMO_NUMBERS) for scope in promo_numbers.scopes(sheet))
    return [*advertisers, *dict.fromkeys(campaigns)]


def listed(scope: Scope) -> tuple[str, ...]:
    """The address of the list of what a scope has, as path parts."""
    return (*scope, PROMO_NUMBERS.name) if scope else (ADVERTISERS.name,)


def collections(checked: Checked) -> Iterator[tuple[str, ...]]:
    """The addresses, as path parts, to which the rows send, or earlier runs have sent for them, something new."""
    unsettled = (scope for _, sheet in checked.of(PROMO_NUMBERS) for scope in promo_numbers.unsettled(sheet))
    for scope in dict.fromkeys([*needed(checked), *unsettled]):
        yield from ((*scope, one.name) for one in (PROMO_NUMBERS if scope else ADVERTISERS).collections)


def make(
    checked: Checked,
    observed: Mapping[Scope, Observed],
    choices: Choices | None = None,
    earlier: Earlier | None = None,
) -> Plan:
    """Decide what to do for each row.

    Args:
        checked: the validated sheets.
        observed: the platform's state, for each scope that `needed` gave.
        choices: what the user has decided; None: the defaults.
        earlier: what earlier runs have bought; rows that ask for the same are done already. None: nothing.

    Returns:
        The plan. Rows that the state speaks against are `invalid` in it, with the reason.
    """
    draft = Draft(checked, observed, choices or Choices(), earlier or Earlier())
    objects = ObjectPlanner(draft)
    for record in checked.records:
        if checked.is_invalid(record):
            _leave_invalid(draft, draft.undone(record), objects)
        else:
            objects.plan(draft.undone(record))
    _carry_the_rest(draft)
    rows = NumberPlanner(draft, objects)
    for number, sheet in checked.of(PROMO_NUMBERS):
        rows.plan(number, sheet)
    sheets = [one.sheet for one in checked.sheets]
    names = {sheet.resource.name for sheet in sheets}
    return Plan(
        resource="+".join(
            name for name, one in RESOURCES.items() if names & {name, *(part.name for part in one.parts)}
        ),
        source=checked.source,
        sheets=tuple(
            PlannedSheet(name=one.name, resource=one.resource.name, headers=tuple(one.frame.columns)) for one in sheets
        ),
        titles={name: dict(_titles(checked, resource)) for name, resource in RESOURCES.items()},
        rows=draft.rows(),
        steps=tuple(draft.steps),
        changes=tuple(draft.changes),
        removals=tuple(draft.removals),
        issues=draft.issues(),
        closes=tuple(draft.closes),
        observed=observed,
        fingerprint=fingerprint_of(sheets),
    )


def _titles(checked: Checked, resource: Resource) -> Iterator[tuple[str, str]]:
    """Path to the title that a resource's field has; `#` stands for the number of a part with a sheet of its own."""
    for one in checked.sheets:
        sheet = one.sheet
        if sheet.resource is resource:
            yield from ((path, column.column.header) for path, column in one.by_path.items())
        elif sheet.resource in resource.parts:
            for path, column in one.by_path.items():
                pattern = paths.pattern(f"{sheet.resource.name}.1.{path}")
                yield pattern, f"{sheet.name} {column.column.header}".strip()


def _leave_invalid(draft: Draft, record: Record, objects: ObjectPlanner) -> None:
    """None of a record's rows is done; those without errors of their own say which one has them."""
    errors = draft.rows_with_errors()
    culprit = next((place for place in record.places if place in errors), None)  # None: a header has
    beside = objects.blame(record, culprit) if culprit else None
    for place in record.places:
        draft.invalid(place, beside)


def _carry_the_rest(draft: Draft) -> None:
    """Rows of advertisers that are in no record: done before, or without an id."""
    for number, sheet in enumerate(draft.checked.sheets):
        if sheet.sheet.resource is PROMO_NUMBERS:
            continue
        for position, pending in enumerate(sheet.pending):
            place = Place(number, position)
            if draft.has(place):
                continue
            if pending:
                draft.invalid(place)
            else:
                draft.carry(place)
