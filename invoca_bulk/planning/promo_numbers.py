"""Plans promo numbers: each row against the numbers of its campaign."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from invoca_bulk.planning.advertisers import AdvertiserPlanner
from invoca_bulk.planning.builder import PlanBuilder
from invoca_bulk.planning.display_values import display_text, find_case_variant, fold_ids, index_by_id, number_key
from invoca_bulk.planning.model import PlatformState, Purchase, Scope
from invoca_bulk.planning.number_update import NumberUpdate, find_missing_fields
from invoca_bulk.planning.prior_purchases import request_identity
from invoca_bulk.schema import PROMO_NUMBERS, Action, paths, payloads
from invoca_bulk.schema.field_types import Json
from invoca_bulk.schema.issue_catalog import Problem
from invoca_bulk.validation import RowRef, ValidatedSheet, check_whole_object, strip_country_code, to_sheet_terms

#: Promo numbers come after the advertisers that they need, and before advertisers are deleted.
NUMBER_PHASE = 1
#: Numbers are deleted after all others have been bought: if the platform reassigned a deleted number at once, it would
#: be mistaken for one that the campaign had before.
NUMBER_DELETE_PHASE = 2
_NUMBER, _OWN_ID = "promo_number", "id_from_network"
_DESTINATION_PREFIX = "destination_"
#: The field that identifies a number to the collection with that field in its path.
_COLLECTION_BY_KEY = {collection.identifier_field: collection.name for collection in PROMO_NUMBERS.collections}


def campaign_scopes(sheet: ValidatedSheet) -> Iterator[Scope]:
    """The campaigns whose numbers the plan of a sheet needs, including the destinations of moves."""
    for position in sheet.actionable.nonzero()[0]:
        values = sheet.values(position)
        yield PROMO_NUMBERS.scope_for(values)
        if destination := _destination_scope(values):
            yield destination


def unresolved_scopes(sheet: ValidatedSheet) -> Iterator[Scope]:
    """The campaigns of rows that an earlier run left `unknown`."""
    for position in (sheet.was_unknown & ~sheet.pending).nonzero()[0]:
        with contextlib.suppress(KeyError):  # the campaign's cells have been cleared since
            yield PROMO_NUMBERS.scope_for(sheet.values(position))


def _destination_scope(values: Mapping[str, Json]) -> Scope | None:
    """The campaign that a row moves its number to; None: no move."""
    destination_paths = (path for path in values if path.startswith(_DESTINATION_PREFIX))
    destination = {path.removeprefix(_DESTINATION_PREFIX): values[path] for path in destination_paths}
    return PROMO_NUMBERS.scope_for(destination) if destination else None


@dataclass(eq=False)
class _Campaign:
    """The numbers of one campaign, by phone number and by id."""

    scope: Scope
    state: PlatformState

    @cached_property
    def _by_number(self) -> dict[str, Mapping[str, Json]]:
        return {number_key(record): record for record in self.state.objects}

    @cached_property
    def _by_id(self) -> dict[str, Mapping[str, Json]]:
        return index_by_id(self.state.objects)

    @cached_property
    def folded_ids(self) -> dict[str, str]:
        """The ids of its numbers by their form without case."""
        return fold_ids(self._by_id)

    def find(self, values: Mapping[str, Json]) -> Mapping[str, Json] | None:
        """The number that a row names; None: the campaign does not have it."""
        if _NUMBER in values:
            return self._by_number.get(strip_country_code(values[_NUMBER]))
        return self._by_id.get(values.get(_OWN_ID, ""))


@dataclass(frozen=True, kw_only=True)
class _NumberRow:
    """One row to plan."""

    row_ref: RowRef
    values: Mapping[str, Json]  # path to JSON value of its cells, without blank and cleared ones
    changes: Mapping[str, Json]  # the same, with cleared cells
    action: Action | None  # the requested action; None: the plan decides

    @property
    def identifier(self) -> str:
        """The phone number or id that it names; empty: none."""
        return str(self.values.get(_NUMBER) or self.values.get(_OWN_ID, ""))


class NumberPlanner:
    """Plans the rows of the sheets of promo numbers, after `advertisers` has planned all records."""

    def __init__(self, builder: PlanBuilder, advertisers: AdvertiserPlanner) -> None:
        self._builder = builder
        self._advertisers = advertisers
        self._campaigns: dict[Scope, _Campaign] = {}
        #: `id()` of a number's record in the platform state to the first row that names the number.
        self._first_row_by_number: dict[int, RowRef] = {}
        #: Position of an `unknown` row that shows a number to the purchase that may have created it.
        self._purchase_by_position: dict[int, Purchase] = {}

    def plan_sheet(self, sheet_index: int, sheet: ValidatedSheet) -> None:
        """Plan each row of a sheet; rows with results of an earlier run come first, since they claim its purchases."""
        self._keep_earlier_results(sheet_index, sheet)
        for position, (pending, invalid) in enumerate(zip(sheet.pending, sheet.invalid, strict=True)):
            row_ref = RowRef(sheet_index, position)
            if not pending:
                continue
            if invalid:
                self._builder.mark_invalid(row_ref)
            else:
                changes = sheet.changes(position)
                values = {path: value for path, value in changes.items() if value not in (None, [])}
                action = Action(changes["action"]) if "action" in changes else None
                self._decide_row(_NumberRow(row_ref=row_ref, values=values, changes=changes, action=action))

    def _keep_earlier_results(self, sheet_index: int, sheet: ValidatedSheet) -> None:
        """Plan the rows with results of an earlier run; for `unknown` ones, the journal may have the outcome by now."""
        self._purchase_by_position = {}
        self._discard_shown_purchases(sheet)
        for position in np.flatnonzero(~sheet.pending):
            row_ref = RowRef(sheet_index, int(position))
            purchase = self._find_purchase(sheet.values(position)) if sheet.was_unknown[position] else None
            if purchase:
                self._builder.use_purchase(row_ref, purchase, from_results=True)
            else:
                self._builder.keep_result(row_ref)

    def _discard_shown_purchases(self, sheet: ValidatedSheet) -> None:
        """Assign each purchase whose number a row shows to that row, whatever else the row asks for."""
        column = sheet.by_path.get(_NUMBER)
        if column is None:
            return
        parsed_cells = {position: column.parsed_cell(position) for position in range(len(sheet.pending))}
        numbers = {position: str(cell.value) for position, cell in parsed_cells.items() if cell}
        unmatched = self._builder.prior_purchases.discard_shown(numbers.values())
        for position, number in numbers.items():
            has_result = not sheet.pending[position]
            if number not in unmatched or not (has_result or sheet.was_unknown[position]):
                continue
            # The journal could not store the response (a full disk), so that only the results have the number; or the
            # user has looked up the number of an unknown row and entered it.
            purchase = self._find_purchase(sheet.values(position))
            if purchase and has_result:
                self._builder.resolved_purchases.append(replace(purchase, promo_number=number))
            elif purchase:
                self._purchase_by_position[position] = purchase

    def _find_purchase(self, values: Mapping[str, Json]) -> Purchase | None:
        """The purchase of a row that is `unknown` in an earlier run."""
        requested = {path: value for path, value in values.items() if path not in payloads.ASSIGNED_FIELDS}
        for request_values in (values, requested):  # the id may come from the user or from the platform
            try:
                path, body, _ = _build_create_request(request_values)
            except KeyError:  # the campaign's cells have been cleared since
                return None
            identity, run = request_identity(path, body), values.get("result_run", "")
            if purchase := self._builder.prior_purchases.claim_from_run(identity, run):
                return purchase
        return None

    def _campaign_for(self, scope: Scope) -> _Campaign:
        if scope not in self._campaigns:
            self._campaigns[scope] = _Campaign(scope, self._builder.platform_state[scope])
        return self._campaigns[scope]

    def _decide_row(self, row: _NumberRow) -> None:
        campaign = self._campaign_for(PROMO_NUMBERS.scope_for(row.values))
        advertiser_id = campaign.scope[1]
        create_step = self._advertisers.create_step_by_id.get(advertiser_id)
        is_refused = advertiser_id in self._advertisers.sibling_problems and self._advertisers.is_missing(advertiser_id)
        if is_refused or (campaign.state.refusal_reason and create_step is None):
            self._refuse_campaign(row, campaign)
            return
        scope = _destination_scope(row.values)
        destination = self._campaign_for(scope) if scope and scope != campaign.scope else None
        current = campaign.find(row.values) if row.identifier else None
        # A move keeps the phone number and changes the id.
        moved_number = destination.find(row.values) if destination and _NUMBER in row.values else None
        if current is not None:
            self._plan_existing_number(row, campaign, current, destination)
        elif destination and moved_number is not None:
            self._plan_existing_number(row, destination, moved_number, None)
        else:
            self._plan_missing_number(row, campaign, create_step)

    def _refuse_campaign(self, row: _NumberRow, campaign: _Campaign, path: str = "") -> None:
        sibling_problem = self._advertisers.sibling_problems.get(campaign.scope[1])
        if sibling_problem and not path:
            self._builder.mark_refused(row.row_ref, [("", sibling_problem)], object_label=row.identifier)
        else:
            self._refuse(row, "campaign_not_found", path, text=campaign.state.refusal_reason.rstrip("."))

    def _plan_existing_number(
        self, row: _NumberRow, campaign: _Campaign, current: Mapping[str, Json], destination: _Campaign | None
    ) -> None:
        own_id = str(current.get(_OWN_ID) or "")
        is_moved = campaign.scope != PROMO_NUMBERS.scope_for(row.values)
        first_row = self._first_row_by_number.setdefault(id(current), row.row_ref)
        if row.action is Action.CREATE and self._use_prior_purchase(row):
            return
        if row.action is Action.CREATE:
            self._refuse(row, "own_id_exists", _OWN_ID, value=row.identifier, number=current.get(_NUMBER, ""))
        elif first_row != row.row_ref:
            rows = self._builder.name_rows(first_row, row.row_ref)
            path = _NUMBER if _NUMBER in row.values else _OWN_ID
            self._refuse(row, "duplicate_number", path, value=_number_label(current), rows=rows)
        elif row.values.get(_OWN_ID, own_id).strip() != own_id.strip() and not is_moved:
            self._refuse(row, "own_id_differs", _OWN_ID, value=row.values[_OWN_ID], other=own_id)
        elif row.action is Action.DELETE:
            step = self._add_step(row, campaign, current, action=Action.DELETE, body=None)
            self._builder.assign_step(row.row_ref, step, object_label=_number_label(current))
        elif destination and destination.scope[1] in self._advertisers.deleted_ids:
            path = f"{_DESTINATION_PREFIX}advertiser_id_from_network"
            self._refuse(row, "parent_deleted", path, value=destination.scope[1])
        elif destination and destination.state.refusal_reason:
            self._refuse_campaign(row, destination, f"{_DESTINATION_PREFIX}advertiser_campaign_id_from_network")
        else:
            # The number exists, so the one that the user entered is right.
            if purchase := self._purchase_by_position.get(row.row_ref.position):
                self._builder.resolved_purchases.append(replace(purchase, promo_number=str(current.get(_NUMBER))))
            self._plan_update_or_move(row, campaign, current, destination)

    def _plan_update_or_move(
        self, row: _NumberRow, campaign: _Campaign, current: Mapping[str, Json], destination: _Campaign | None
    ) -> None:
        update, label = NumberUpdate(row.changes, current), _number_label(current)
        if not update.changed_values and destination is None:
            self._builder.mark_unchanged(row.row_ref, label, current)
        elif problems := list(update.find_problems(row.values)):
            self._refuse_values(row, problems, label)
        else:
            move_values: dict[str, Json] = {}
            destination_path: tuple[str, ...] = ()
            if destination:
                move_values = {path: row.values[path] for path in row.values if path.startswith(_DESTINATION_PREFIX)}
                destination_path = (*destination.scope, _COLLECTION_BY_KEY[_NUMBER])
            action = Action.MOVE if destination else Action.UPDATE
            body = update.build_body() | move_values
            step = self._add_step(row, campaign, current, action=action, body=body, destination=destination_path)
            self._builder.assign_step(row.row_ref, step, object_label=label)
            self._add_changes(row, update, move_values)
        self._warn_unsent_values(row)

    def _warn_unsent_values(self, row: _NumberRow) -> None:
        """Warn of values that only a create sends; rows that name a phone number got the warning from validation."""
        for path in row.values if _NUMBER not in row.values else ():
            if not PROMO_NUMBERS.by_path[paths.to_pattern(path)].applies_on_update:
                details = {"known": self._builder.column_title(row.row_ref, path), "value": row.values[path]}
                self._builder.add_warning(row.row_ref, path, Problem(code="not_on_update", details=details))

    def _add_changes(self, row: _NumberRow, update: NumberUpdate, move_values: Mapping[str, Json]) -> None:
        for path, values in update.changed_values.items():
            old, new = (display_text(PROMO_NUMBERS, path, value) for value in values)
            self._builder.add_change(row.row_ref, path, old, new)
        for path, value in move_values.items():
            old = row.values.get(path.removeprefix(_DESTINATION_PREFIX), "")
            if old != value:
                self._builder.add_change(row.row_ref, path, old, value)

    def _add_step(self, row: _NumberRow, campaign: _Campaign, current: Mapping[str, Json], **attributes: object) -> int:
        """Add a step on an existing number, with the identifier that the row uses in its path."""
        key = _NUMBER if _NUMBER in row.values else _OWN_ID
        return self._builder.add_step(
            resource=PROMO_NUMBERS.name,
            path=(*campaign.scope, _COLLECTION_BY_KEY[key], str(current[key])),
            own_id=row.values.get(_OWN_ID, ""),
            phase=NUMBER_DELETE_PHASE if attributes["action"] is Action.DELETE else NUMBER_PHASE,
            snapshot=current,
            **attributes,
        )

    def _plan_missing_number(self, row: _NumberRow, campaign: _Campaign, depends_on: int | None) -> None:
        if _NUMBER in row.values:
            title = self._builder.column_title(row.row_ref, _NUMBER)
            self._refuse(row, "number_not_found", _NUMBER, value=row.identifier, known=title)
        elif row.action in {Action.UPDATE, Action.MOVE, Action.DELETE} or _destination_scope(row.values):
            self._refuse(row, "own_id_not_found", _OWN_ID, value=row.identifier)
        elif campaign.scope[1] in self._advertisers.deleted_ids:
            self._refuse(row, "parent_deleted", "advertiser_id_from_network", value=campaign.scope[1])
        elif problems := list(_find_missing_values(row.values)):
            self._refuse_values(row, problems, row.identifier)
        else:
            if warning := find_case_variant(row.values.get(_OWN_ID, ""), campaign.folded_ids):
                self._builder.add_warning(row.row_ref, _OWN_ID, warning)
            self._plan_create(row, depends_on)

    def _plan_create(self, row: _NumberRow, depends_on: int | None) -> None:
        path, body, own_id = _build_create_request(row.values)
        identity = request_identity(path, body)
        cells = self._cells_with_quantity_one(row.row_ref)
        purchases = [self._builder.prior_purchases.claim(identity) for _ in range(row.values.get("quantity", 1))]
        for purchase in purchases:
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
        for value_path, value in () if all(purchases) else row.values.items():
            if PROMO_NUMBERS.by_path[paths.to_pattern(value_path)].is_sent:
                self._builder.add_change(row.row_ref, value_path, "", display_text(PROMO_NUMBERS, value_path, value))

    def _use_prior_purchase(self, row: _NumberRow) -> bool:
        """Whether an earlier run created the same number under its id; the row then claims that purchase."""
        path, body, _ = _build_create_request(row.values)
        purchase = self._builder.prior_purchases.claim(request_identity(path, body))
        if purchase:
            self._builder.use_purchase(row.row_ref, purchase)
        return purchase is not None

    def _cells_with_quantity_one(self, row_ref: RowRef) -> tuple[str, ...]:
        """The cells of a results row, which stands for one number: quantity 1, or blank if it was."""
        cells, sheet = self._builder.cells(row_ref), self._builder.validated_book.sheets[row_ref.sheet_index]
        column = sheet.by_path.get("quantity")
        index = list(sheet.sheet.frame.columns).index(column.column.header) if column else -1
        return cells if index < 0 or not cells[index].strip() else (*cells[:index], "1", *cells[index + 1 :])

    def _refuse(self, row: _NumberRow, code: str, path: str, **details: Json) -> None:
        problem = Problem(code=code, details=details)
        self._builder.mark_refused(row.row_ref, [(path, problem)], object_label=row.identifier)

    def _refuse_values(self, row: _NumberRow, problems: Sequence[Problem], label: str) -> None:
        located = []
        for problem in problems:
            path = problem.column or ""
            title = self._builder.column_title(row.row_ref, path)
            located.append((path, to_sheet_terms(PROMO_NUMBERS, problem, title)))
        self._builder.mark_refused(row.row_ref, located, object_label=label)


def _build_create_request(values: Mapping[str, Json]) -> tuple[tuple[str, ...], dict[str, Json], str]:
    """The create request of a row: path, body and own id."""
    own_id = values.get(_OWN_ID, "")
    collection = _COLLECTION_BY_KEY[_OWN_ID if own_id else _NUMBER]
    return (*PROMO_NUMBERS.scope_for(values), collection), payloads.request_body(PROMO_NUMBERS, values), own_id


def _find_missing_values(values: Mapping[str, Json]) -> Iterator[Problem]:
    """The problems of a row that creates a number; validation does not know that it creates."""
    yield from find_missing_fields(values, "create a number (the campaign has none with this id)")
    yield from (problem for _, problem in check_whole_object(PROMO_NUMBERS, values))


def _number_label(current: Mapping[str, Json]) -> str:
    return str(current.get(_NUMBER) or current.get(_OWN_ID) or "")
