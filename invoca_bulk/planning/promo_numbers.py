"""What to do about promo numbers: each row against the numbers that its campaign has."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from invoca_bulk.planning.display_values import display_text, index_by_id
from invoca_bulk.planning.number_update import NumberUpdate, find_missing_fields
from invoca_bulk.planning.prior_purchases import request_identity
from invoca_bulk.schema import PROMO_NUMBERS, Action, paths, payloads
from invoca_bulk.schema.issue_catalog import Problem
from invoca_bulk.validation import RowRef, check_whole_object, strip_country_code, to_sheet_terms

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from invoca_bulk.planning.advertisers import AdvertiserPlanner
    from invoca_bulk.planning.builder import PlanBuilder
    from invoca_bulk.planning.model import PlatformState, Purchase, Scope
    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.validation import ValidatedSheet

#: Promo numbers come after the advertisers that they need, and before those that are deleted.
NUMBER_PHASE = 1
#: Numbers are given back when all others have been bought: one that the platform gives out again at once would be taken
#: for one that the campaign had before.
NUMBER_DELETE_PHASE = 2
_NUMBER, _OWN_ID = "promo_number", "id_from_network"
_DESTINATION_PREFIX = "destination_"
#: What a number is named by to the collection that knows it by that.
_COLLECTION_BY_KEY = {one.identifier_field: one.name for one in PROMO_NUMBERS.collections}


def campaign_scopes(sheet: ValidatedSheet) -> Iterator[Scope]:
    """The campaigns whose numbers decide about a sheet's rows, those that numbers move to included."""
    for position in sheet.actionable.nonzero()[0]:
        values = sheet.values(position)
        yield PROMO_NUMBERS.scope_for(values)
        if destination := _destination_scope(values):
            yield destination


def unresolved_scopes(sheet: ValidatedSheet) -> Iterator[Scope]:
    """The campaigns of rows of which an earlier run could not tell what became of them."""
    for position in (sheet.was_unknown & ~sheet.pending).nonzero()[0]:
        with contextlib.suppress(KeyError):  # the place was blanked since
            yield PROMO_NUMBERS.scope_for(sheet.values(position))


def _destination_scope(values: Mapping[str, Json]) -> Scope | None:
    """Where a row wants its number to be; None: where it is."""
    place = {
        path.removeprefix(_DESTINATION_PREFIX): value
        for path, value in values.items()
        if path.startswith(_DESTINATION_PREFIX)
    }
    return PROMO_NUMBERS.scope_for(place) if place else None


class _Campaign:
    """The numbers of one campaign, by both of their names."""

    def __init__(self, scope: Scope, observed: PlatformState) -> None:
        self.scope = scope
        self.refusal_reason = observed.refusal_reason
        self._objects = observed.objects

    @cached_property
    def _by_number(self) -> dict[str, Mapping[str, Json]]:
        field = PROMO_NUMBERS.by_path[_NUMBER]
        return {
            strip_country_code(str(payloads.normalize_value(field, one.get(_NUMBER)))): one for one in self._objects
        }

    @cached_property
    def _by_id(self) -> dict[str, Mapping[str, Json]]:
        return index_by_id(self._objects)

    def find(self, values: Mapping[str, Json]) -> Mapping[str, Json] | None:
        """The number that a row names, if it is here."""
        if _NUMBER in values:
            return self._by_number.get(strip_country_code(values[_NUMBER]))
        return self._by_id.get(values.get(_OWN_ID, ""))


@dataclass(frozen=True, kw_only=True)
class _NumberRow:
    """One row that is to be planned.

    Attributes:
        row_ref: where it stands.
        values: path to JSON value of its filled cells, cleared ones left out.
        changes: the same with those that are to be cleared.
        action: what it asks for; None: to be decided.
    """

    row_ref: RowRef
    values: Mapping[str, Json]
    changes: Mapping[str, Json]
    action: Action | None

    @property
    def identifier(self) -> str:
        """What it names its number by; empty: nothing."""
        return str(self.values.get(_NUMBER) or self.values.get(_OWN_ID, ""))


class NumberPlanner:
    """Plans the rows of the sheets of promo numbers.

    Args:
        builder: the plan so far.
        advertisers: what the plan does to the advertisers.
    """

    def __init__(self, builder: PlanBuilder, advertisers: AdvertiserPlanner) -> None:
        self._builder = builder
        self._advertisers = advertisers
        self._campaigns: dict[Scope, _Campaign] = {}
        #: Number of the platform, by its identity in the observed state, to the first row that is about it.
        self._first_row_by_number: dict[int, RowRef] = {}
        #: Position of a row to the purchase that it could not tell, and whose number stands there now.
        self._purchase_by_position: dict[int, Purchase] = {}

    def plan_sheet(self, number: int, sheet: ValidatedSheet) -> None:
        """Decide about each row of a sheet; rows that an earlier run did come first, since they stand for purchases."""
        self._keep_earlier_results(number, sheet)
        for position, (pending, invalid) in enumerate(zip(sheet.pending, sheet.invalid, strict=True)):
            place = RowRef(number, position)
            if not pending:
                continue
            if invalid:
                self._builder.mark_invalid(place)
            else:
                changes = sheet.changes(position)
                self._decide_row(
                    _NumberRow(
                        row_ref=place,
                        values={path: value for path, value in changes.items() if value not in (None, [])},
                        changes=changes,
                        action=Action(changes["action"]) if "action" in changes else None,
                    )
                )

    def _keep_earlier_results(self, number: int, sheet: ValidatedSheet) -> None:
        """The rows of an earlier run's results; of one that it could not tell, the journal may know more by now."""
        self._purchase_by_position = {}
        self._discard_shown_purchases(sheet)
        for position in np.flatnonzero(~sheet.pending):
            place = RowRef(number, int(position))
            purchase = self._find_purchase(sheet.values(position)) if sheet.was_unknown[position] else None
            if purchase:
                self._builder.use_purchase(place, purchase, from_results=True)
            else:
                self._builder.keep_result(place)

    def _discard_shown_purchases(self, sheet: ValidatedSheet) -> None:
        """Purchases whose number stands on a row are that row's, whatever else it asks for now."""
        column = sheet.by_path.get(_NUMBER)
        if column is None:
            return
        readings = {position: column.parsed_cell(position) for position in range(len(sheet.pending))}
        numbers = {position: str(reading.value) for position, reading in readings.items() if reading}
        unnamed = self._builder.prior_purchases.discard_shown(numbers.values())
        for position, number in numbers.items():
            is_carried = not sheet.pending[position]
            # The journal could not take the answer any more (a full disk), so that only the results have the number; or
            # the user has looked an unknown one up, and typed it in.
            is_told = number not in unnamed or not (is_carried or sheet.was_unknown[position])
            purchase = None if is_told else self._find_purchase(sheet.values(position))
            if purchase and is_carried:
                self._builder.resolved_purchases.append(replace(purchase, promo_number=number))
            elif purchase:
                self._purchase_by_position[position] = purchase

    def _find_purchase(self, values: Mapping[str, Json]) -> Purchase | None:
        """The purchase of a row whose run could not tell what became of it."""
        asked = {path: value for path, value in values.items() if path not in payloads.ASSIGNED_FIELDS}
        for one in (values, asked):  # an id may be the row's own, or the platform's
            try:
                path, body, _ = _build_create_request(one)
            except KeyError:  # the place was blanked since
                return None
            if purchase := self._builder.prior_purchases.claim_from_run(
                request_identity(path, body), values.get("result_run", "")
            ):
                return purchase
        return None

    def _campaign_for(self, scope: Scope) -> _Campaign:
        if scope not in self._campaigns:
            self._campaigns[scope] = _Campaign(scope, self._builder.platform_state[scope])
        return self._campaigns[scope]

    def _decide_row(self, row: _NumberRow) -> None:
        campaign = self._campaign_for(PROMO_NUMBERS.scope_for(row.values))
        needs = self._advertisers.create_step_by_id.get(campaign.scope[1])
        advertiser = campaign.scope[1]
        refused = advertiser in self._advertisers.sibling_problems and self._advertisers.is_missing(advertiser)
        if refused or (campaign.refusal_reason and needs is None):
            self._refuse_campaign(row, campaign)
            return
        destination = self._destination_campaign(row, campaign)
        found = campaign.find(row.values) if row.identifier else None
        # A number keeps its number when it moves, and gets another id.
        there = destination.find(row.values) if destination and _NUMBER in row.values else None
        if found is not None:
            self._plan_existing_number(row, campaign, found, destination)
        elif destination and there is not None:
            self._plan_existing_number(row, destination, there, None)  # it has moved already
        else:
            self._plan_missing_number(row, campaign, needs)

    def _refuse_campaign(self, row: _NumberRow, campaign: _Campaign, path: str = "") -> None:
        beside = self._advertisers.sibling_problems.get(campaign.scope[1])
        if beside and not path:
            self._builder.mark_refused(row.row_ref, [("", beside)], object_label=row.identifier)
        else:
            self._refuse(row, "campaign_not_found", path, text=campaign.refusal_reason.rstrip("."))

    def _destination_campaign(self, row: _NumberRow, campaign: _Campaign) -> _Campaign | None:
        scope = _destination_scope(row.values)
        return self._campaign_for(scope) if scope and scope != campaign.scope else None

    # A number that the campaign has

    def _plan_existing_number(
        self, row: _NumberRow, campaign: _Campaign, found: Mapping[str, Json], destination: _Campaign | None
    ) -> None:
        own_id = str(found.get(_OWN_ID) or "")
        moved = campaign.scope != PROMO_NUMBERS.scope_for(row.values)
        first = self._first_row_by_number.setdefault(id(found), row.row_ref)
        if row.action is Action.CREATE and self._use_prior_purchase(row):
            return
        if row.action is Action.CREATE:
            self._refuse(row, "own_id_exists", _OWN_ID, value=row.identifier, number=found.get(_NUMBER, ""))
        elif first != row.row_ref:
            rows = ", ".join(str(self._builder.row_number(place)) for place in (first, row.row_ref))
            path = _NUMBER if _NUMBER in row.values else _OWN_ID
            self._refuse(row, "duplicate_number", path, value=_object_label(found), rows=rows)
        elif row.values.get(_OWN_ID, own_id).strip() != own_id.strip() and not moved:
            self._refuse(row, "own_id_differs", _OWN_ID, value=row.values[_OWN_ID], other=own_id)
        elif row.action is Action.DELETE:
            self._plan_delete(row, campaign, found)
        elif destination and destination.scope[1] in self._advertisers.deleted_ids:
            path = f"{_DESTINATION_PREFIX}advertiser_id_from_network"
            self._refuse(row, "parent_deleted", path, value=destination.scope[1])
        elif destination and destination.refusal_reason:
            self._refuse_campaign(row, destination, f"{_DESTINATION_PREFIX}advertiser_campaign_id_from_network")
        else:
            if purchase := self._purchase_by_position.get(
                row.row_ref.position
            ):  # it is there, so that the user may be believed
                self._builder.resolved_purchases.append(replace(purchase, promo_number=str(found.get(_NUMBER))))
            self._plan_update_or_move(row, campaign, found, destination)

    def _plan_delete(self, row: _NumberRow, campaign: _Campaign, found: Mapping[str, Json]) -> None:
        step = self._add_step(row, campaign, found, action=Action.DELETE, body=None)
        self._builder.assign_step(row.row_ref, step, object_label=_object_label(found))

    def _plan_update_or_move(
        self, row: _NumberRow, campaign: _Campaign, found: Mapping[str, Json], destination: _Campaign | None
    ) -> None:
        after = NumberUpdate(row.changes, found)
        if not after.changed_values and destination is None:
            self._builder.mark_unchanged(row.row_ref, _object_label(found), found)
        elif problems := list(after.find_problems(row.values)):
            self._builder.mark_refused(
                row.row_ref, [self._in_sheet_terms(row, one) for one in problems], object_label=_object_label(found)
            )
        else:
            moves = {path: value for path, value in row.values.items() if path.startswith(_DESTINATION_PREFIX)}
            body = after.build_body() | (moves if destination else {})
            action = Action.MOVE if destination else Action.UPDATE
            to = (*destination.scope, _COLLECTION_BY_KEY[_NUMBER]) if destination else ()
            step = self._add_step(row, campaign, found, action=action, body=body, destination=to)
            self._builder.assign_step(row.row_ref, step, object_label=_object_label(found))
            self._add_changes(row, after, moves if destination else {})
        self._warn_unsent_values(row)

    def _warn_unsent_values(self, row: _NumberRow) -> None:
        """Validation has done so for the rows of which it could know that their number exists."""
        for path in row.values if _NUMBER not in row.values else ():
            if not PROMO_NUMBERS.by_path[paths.to_pattern(path)].applies_on_update:
                details = {"known": self._builder.column_title(row.row_ref, path), "value": row.values[path]}
                self._builder.add_warning(row.row_ref, path, Problem(code="not_on_update", details=details))

    def _add_changes(self, row: _NumberRow, after: NumberUpdate, moves: Mapping[str, Json]) -> None:
        for path, (old, new) in after.changed_values.items():
            self._builder.add_change(
                row.row_ref, path, display_text(PROMO_NUMBERS, path, old), display_text(PROMO_NUMBERS, path, new)
            )
        for path, value in moves.items():
            old = row.values.get(path.removeprefix(_DESTINATION_PREFIX), "")
            if old != value:
                self._builder.add_change(row.row_ref, path, old, value)

    def _add_step(self, row: _NumberRow, campaign: _Campaign, found: Mapping[str, Json], **attributes: object) -> int:
        """A step on a number that exists, addressed by what the row names it by."""
        key = _NUMBER if _NUMBER in row.values else _OWN_ID
        return self._builder.add_step(
            resource=PROMO_NUMBERS.name,
            path=(*campaign.scope, _COLLECTION_BY_KEY[key], str(found[key])),
            own_id=row.values.get(_OWN_ID, ""),
            phase=NUMBER_DELETE_PHASE if attributes["action"] is Action.DELETE else NUMBER_PHASE,
            snapshot=found,
            **attributes,
        )

    # A number that it does not have

    def _plan_missing_number(self, row: _NumberRow, campaign: _Campaign, depends_on: int | None) -> None:
        if _NUMBER in row.values:
            known = self._builder.column_title(row.row_ref, _NUMBER)
            self._refuse(row, "number_not_found", _NUMBER, value=row.identifier, known=known)
        elif row.action in {Action.UPDATE, Action.MOVE, Action.DELETE} or _destination_scope(row.values):
            self._refuse(row, "own_id_not_found", _OWN_ID, value=row.identifier)
        elif campaign.scope[1] in self._advertisers.deleted_ids:
            self._refuse(row, "parent_deleted", "advertiser_id_from_network", value=campaign.scope[1])
        elif problems := list(_find_missing_values(row.values)):
            self._builder.mark_refused(
                row.row_ref, [self._in_sheet_terms(row, one) for one in problems], object_label=row.identifier
            )
        else:
            self._plan_create(row, depends_on)

    def _plan_create(self, row: _NumberRow, depends_on: int | None) -> None:
        path, body, own_id = _build_create_request(row.values)
        identity = request_identity(path, body)
        cells = self._cells_with_quantity_one(row.row_ref)
        bought = [self._builder.prior_purchases.claim(identity) for _ in range(row.values.get("quantity", 1))]
        for purchase in bought:
            if purchase:
                self._builder.use_purchase(row.row_ref, purchase)
            else:
                step = self._builder.add_step(
                    resource=PROMO_NUMBERS.name,
                    action=Action.CREATE,
                    path=path,
                    body=body,
                    own_id=own_id,
                    non_idempotent=True,
                    identity=identity,
                    phase=NUMBER_PHASE,
                    depends_on=depends_on,
                )
                self._builder.assign_step(row.row_ref, step, object_label=own_id)
            self._builder.replace_last_cells(row.row_ref, cells)
        for name, value in () if all(bought) else row.values.items():
            if PROMO_NUMBERS.by_path[paths.to_pattern(name)].is_sent:
                self._builder.add_change(row.row_ref, name, "", display_text(PROMO_NUMBERS, name, value))

    def _use_prior_purchase(self, row: _NumberRow) -> bool:
        """Whether an earlier run has created just this, under an id that is therefore taken."""
        path, body, _ = _build_create_request(row.values)
        purchase = self._builder.prior_purchases.claim(request_identity(path, body))
        if purchase:
            self._builder.use_purchase(row.row_ref, purchase)
        return purchase is not None

    def _cells_with_quantity_one(self, place: RowRef) -> tuple[str, ...]:
        """A row of the results stands for one number: its quantity is 1, or blank where it was."""
        cells, sheet = self._builder.cells(place), self._builder.validated_book.sheets[place.sheet_index]
        column = sheet.by_path.get("quantity")
        at = list(sheet.sheet.frame.columns).index(column.column.header) if column else -1
        return cells if at < 0 or not cells[at].strip() else (*cells[:at], "1", *cells[at + 1 :])

    def _refuse(self, row: _NumberRow, code: str, path: str, **details: Json) -> None:
        self._builder.mark_refused(
            row.row_ref, [(path, Problem(code=code, details=details))], object_label=row.identifier
        )

    def _in_sheet_terms(self, row: _NumberRow, problem: Problem) -> tuple[str, Problem]:
        """A problem with the path of its cell, in the words of the sheet."""
        path = problem.column or ""
        return path, to_sheet_terms(PROMO_NUMBERS, problem, self._builder.column_title(row.row_ref, path))


def _build_create_request(values: Mapping[str, Json]) -> tuple[tuple[str, ...], dict[str, Json], str]:
    """What a row that creates sends: address, body, and the id that it chose."""
    own_id = values.get(_OWN_ID, "")
    collection = _COLLECTION_BY_KEY[_OWN_ID if own_id else _NUMBER]
    return (*PROMO_NUMBERS.scope_for(values), collection), payloads.request_body(PROMO_NUMBERS, values), own_id


def _find_missing_values(values: Mapping[str, Json]) -> Iterator[Problem]:
    """What a new number lacks; validation could not know that the row creates one."""
    yield from find_missing_fields(values, "create a number (the campaign has none with this id)")
    yield from (one for _, one in check_whole_object(PROMO_NUMBERS, values))


def _object_label(found: Mapping[str, Json]) -> str:
    """A number as people call it."""
    return str(found.get(_NUMBER) or found.get(_OWN_ID) or "")
