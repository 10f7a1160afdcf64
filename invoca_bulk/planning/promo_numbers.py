"""What to do about promo numbers: each row against the numbers that its campaign has."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from invoca_bulk.planning.display_values import by_id, shown
from invoca_bulk.planning.number_update import After, missing_fields
from invoca_bulk.planning.prior_purchases import identity_of
from invoca_bulk.schema import PROMO_NUMBERS, Action, paths, payloads
from invoca_bulk.schema.issue_catalog import Problem
from invoca_bulk.validation import Place, national, not_whole, placed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from invoca_bulk.planning.advertisers import ObjectPlanner
    from invoca_bulk.planning.builder import Draft
    from invoca_bulk.planning.model import Observed, Purchase, Scope
    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.validation import CheckedSheet

#: Promo numbers come after the advertisers that they need, and before those that are deleted.
PHASE = 1
#: Numbers are given back when all others have been bought: one that the platform gives out again at once would be taken
#: for one that the campaign had before.
DELETE_PHASE = 2
_NUMBER, _OWN_ID = "promo_number", "id_from_network"
_DESTINATION = "destination_"
#: What a number is named by to the collection that knows it by that.
_COLLECTIONS = {one.key: one.name for one in PROMO_NUMBERS.collections}


def scopes(sheet: CheckedSheet) -> Iterator[Scope]:
    """The campaigns whose numbers decide about a sheet's rows, those that numbers move to included."""
    for position in sheet.to_do.nonzero()[0]:
        values = sheet.values(position)
        yield PROMO_NUMBERS.scope(values)
        if destination := _destination(values):
            yield destination


def unsettled(sheet: CheckedSheet) -> Iterator[Scope]:
    """The campaigns of rows of which an earlier run could not tell what became of them."""
    for position in (sheet.unknown & ~sheet.pending).nonzero()[0]:
        with contextlib.suppress(KeyError):  # the place was blanked since
            yield PROMO_NUMBERS.scope(sheet.values(position))


def _destination(values: Mapping[str, Json]) -> Scope | None:
    """Where a row wants its number to be; None: where it is."""
    place = {path.removeprefix(_DESTINATION): value for path, value in values.items() if path.startswith(_DESTINATION)}
    return PROMO_NUMBERS.scope(place) if place else None


class _Campaign:
    """The numbers of one campaign, by both of their names."""

    def __init__(self, scope: Scope, observed: Observed) -> None:
        self.scope = scope
        self.refusal = observed.refusal
        self._objects = observed.objects

    @cached_property
    def _by_number(self) -> dict[str, Mapping[str, Json]]:
        field = PROMO_NUMBERS.by_path[_NUMBER]
        return {national(str(payloads.canonical(field, one.get(_NUMBER)))): one for one in self._objects}

    @cached_property
    def _by_id(self) -> dict[str, Mapping[str, Json]]:
        return by_id(self._objects)

    def find(self, values: Mapping[str, Json]) -> Mapping[str, Json] | None:
        """The number that a row names, if it is here."""
        if _NUMBER in values:
            return self._by_number.get(national(values[_NUMBER]))
        return self._by_id.get(values.get(_OWN_ID, ""))


@dataclass(frozen=True, kw_only=True)
class _Row:
    """One row that is to be planned.

    Attributes:
        place: where it stands.
        values: path to JSON value of its filled cells, cleared ones left out.
        changes: the same with those that are to be cleared.
        action: what it asks for; None: to be decided.
    """

    place: Place
    values: Mapping[str, Json]
    changes: Mapping[str, Json]
    action: Action | None

    @property
    def name(self) -> str:
        """What it names its number by; empty: nothing."""
        return str(self.values.get(_NUMBER) or self.values.get(_OWN_ID, ""))


class NumberPlanner:
    """Plans the rows of the sheets of promo numbers.

    Args:
        draft: the plan so far.
        advertisers: what the plan does to the advertisers.
    """

    def __init__(self, draft: Draft, advertisers: ObjectPlanner) -> None:
        self._draft = draft
        self._advertisers = advertisers
        self._campaigns: dict[Scope, _Campaign] = {}
        #: Number of the platform, by its identity in the observed state, to the first row that is about it.
        self._taken: dict[int, Place] = {}
        #: Position of a row to the purchase that it could not tell, and whose number stands there now.
        self._typed: dict[int, Purchase] = {}

    def plan(self, number: int, sheet: CheckedSheet) -> None:
        """Decide about each row of a sheet; rows that an earlier run did come first, since they stand for purchases."""
        self._carry(number, sheet)
        for position, (pending, invalid) in enumerate(zip(sheet.pending, sheet.invalid, strict=True)):
            place = Place(number, position)
            if not pending:
                continue
            if invalid:
                self._draft.invalid(place)
            else:
                changes = sheet.changes(position)
                self._decide(
                    _Row(
                        place=place,
                        values={path: value for path, value in changes.items() if value not in (None, [])},
                        changes=changes,
                        action=Action(changes["action"]) if "action" in changes else None,
                    )
                )

    def _carry(self, number: int, sheet: CheckedSheet) -> None:
        """The rows of an earlier run's results; of one that it could not tell, the journal may know more by now."""
        self._typed = {}
        self._pass_over_shown(sheet)
        for position in np.flatnonzero(~sheet.pending):
            place = Place(number, int(position))
            purchase = self._known_now(sheet.values(position)) if sheet.unknown[position] else None
            if purchase:
                self._draft.stand(place, purchase, carried=True)
            else:
                self._draft.carry(place)

    def _pass_over_shown(self, sheet: CheckedSheet) -> None:
        """Purchases whose number stands on a row are that row's, whatever else it asks for now."""
        column = sheet.by_path.get(_NUMBER)
        if column is None:
            return
        readings = {position: column.value(position) for position in range(len(sheet.pending))}
        numbers = {position: str(reading.value) for position, reading in readings.items() if reading}
        unnamed = self._draft.earlier.shown(numbers.values())
        for position, number in numbers.items():
            is_carried = not sheet.pending[position]
            # The journal could not take the answer any more (a full disk), so that only the results have the number; or
            # the user has looked an unknown one up, and typed it in.
            is_told = number not in unnamed or not (is_carried or sheet.unknown[position])
            purchase = None if is_told else self._known_now(sheet.values(position))
            if purchase and is_carried:
                self._draft.closes.append(replace(purchase, number=number))
            elif purchase:
                self._typed[position] = purchase

    def _known_now(self, values: Mapping[str, Json]) -> Purchase | None:
        """The purchase of a row whose run could not tell what became of it."""
        asked = {path: value for path, value in values.items() if path not in payloads.ASSIGNED}
        for one in (values, asked):  # an id may be the row's own, or the platform's
            try:
                path, body, _ = _request(one)
            except KeyError:  # the place was blanked since
                return None
            if purchase := self._draft.earlier.of_run(identity_of(path, body), values.get("result_run", "")):
                return purchase
        return None

    def _campaign(self, scope: Scope) -> _Campaign:
        if scope not in self._campaigns:
            self._campaigns[scope] = _Campaign(scope, self._draft.observed[scope])
        return self._campaigns[scope]

    def _decide(self, row: _Row) -> None:
        campaign = self._campaign(PROMO_NUMBERS.scope(row.values))
        needs = self._advertisers.created.get(campaign.scope[1])
        advertiser = campaign.scope[1]
        refused = advertiser in self._advertisers.blamed and self._advertisers.lacks(advertiser)
        if refused or (campaign.refusal and needs is None):
            self._refuse_place(row, campaign)
            return
        destination = self._moves_to(row, campaign)
        found = campaign.find(row.values) if row.name else None
        # A number keeps its number when it moves, and gets another id.
        there = destination.find(row.values) if destination and _NUMBER in row.values else None
        if found is not None:
            self._on_existing(row, campaign, found, destination)
        elif destination and there is not None:
            self._on_existing(row, destination, there, None)  # it has moved already
        else:
            self._on_missing(row, campaign, needs)

    def _refuse_place(self, row: _Row, campaign: _Campaign, path: str = "") -> None:
        beside = self._advertisers.blamed.get(campaign.scope[1])
        if beside and not path:
            self._draft.refuse(row.place, [("", beside)], about=row.name)
        else:
            self._refuse(row, "campaign_not_found", path, text=campaign.refusal.rstrip("."))

    def _moves_to(self, row: _Row, campaign: _Campaign) -> _Campaign | None:
        scope = _destination(row.values)
        return self._campaign(scope) if scope and scope != campaign.scope else None

    # A number that the campaign has

    def _on_existing(
        self, row: _Row, campaign: _Campaign, found: Mapping[str, Json], destination: _Campaign | None
    ) -> None:
        own_id = str(found.get(_OWN_ID) or "")
        moved = campaign.scope != PROMO_NUMBERS.scope(row.values)
        first = self._taken.setdefault(id(found), row.place)
        if row.action is Action.CREATE and self._is_bought(row):
            return
        if row.action is Action.CREATE:
            self._refuse(row, "own_id_exists", _OWN_ID, value=row.name, number=found.get(_NUMBER, ""))
        elif first != row.place:
            rows = ", ".join(str(self._draft.row_number(place)) for place in (first, row.place))
            path = _NUMBER if _NUMBER in row.values else _OWN_ID
            self._refuse(row, "duplicate_number", path, value=_about(found), rows=rows)
        elif row.values.get(_OWN_ID, own_id).strip() != own_id.strip() and not moved:
            self._refuse(row, "own_id_differs", _OWN_ID, value=row.values[_OWN_ID], other=own_id)
        elif row.action is Action.DELETE:
            self._delete(row, campaign, found)
        elif destination and destination.scope[1] in self._advertisers.deleted:
            path = f"{_DESTINATION}advertiser_id_from_network"
            self._refuse(row, "parent_deleted", path, value=destination.scope[1])
        elif destination and destination.refusal:
            self._refuse_place(row, destination, f"{_DESTINATION}advertiser_campaign_id_from_network")
        else:
            if purchase := self._typed.get(row.place.position):  # it is there, so that the user may be believed
                self._draft.closes.append(replace(purchase, number=str(found.get(_NUMBER))))
            self._change(row, campaign, found, destination)

    def _delete(self, row: _Row, campaign: _Campaign, found: Mapping[str, Json]) -> None:
        step = self._step(row, campaign, found, action=Action.DELETE, body=None)
        self._draft.do(row.place, step, about=_about(found))

    def _change(self, row: _Row, campaign: _Campaign, found: Mapping[str, Json], destination: _Campaign | None) -> None:
        after = After(row.changes, found)
        if not after.changed and destination is None:
            self._draft.leave(row.place, _about(found), found)
        elif problems := list(after.problems(row.values)):
            self._draft.refuse(row.place, [self._titled(row, one) for one in problems], about=_about(found))
        else:
            moves = {path: value for path, value in row.values.items() if path.startswith(_DESTINATION)}
            body = after.body() | (moves if destination else {})
            action = Action.MOVE if destination else Action.UPDATE
            to = (*destination.scope, _COLLECTIONS[_NUMBER]) if destination else ()
            step = self._step(row, campaign, found, action=action, body=body, destination=to)
            self._draft.do(row.place, step, about=_about(found))
            self._tell(row, after, moves if destination else {})
        self._warn_of_what_is_not_sent(row)

    def _warn_of_what_is_not_sent(self, row: _Row) -> None:
        """Validation has done so for the rows of which it could know that their number exists."""
        for path in row.values if _NUMBER not in row.values else ():
            if not PROMO_NUMBERS.by_path[paths.pattern(path)].on_update:
                details = {"known": self._draft.title(row.place, path), "value": row.values[path]}
                self._draft.warn(row.place, path, Problem(code="not_on_update", details=details))

    def _tell(self, row: _Row, after: After, moves: Mapping[str, Json]) -> None:
        for path, (old, new) in after.changed.items():
            self._draft.change(row.place, path, shown(PROMO_NUMBERS, path, old), shown(PROMO_NUMBERS, path, new))
        for path, value in moves.items():
            old = row.values.get(path.removeprefix(_DESTINATION), "")
            if old != value:
                self._draft.change(row.place, path, old, value)

    def _step(self, row: _Row, campaign: _Campaign, found: Mapping[str, Json], **about: object) -> int:
        """A step on a number that exists, addressed by what the row names it by."""
        key = _NUMBER if _NUMBER in row.values else _OWN_ID
        return self._draft.step(
            resource=PROMO_NUMBERS.name,
            path=(*campaign.scope, _COLLECTIONS[key], str(found[key])),
            own_id=row.values.get(_OWN_ID, ""),
            phase=DELETE_PHASE if about["action"] is Action.DELETE else PHASE,
            before=found,
            **about,
        )

    # A number that it does not have

    def _on_missing(self, row: _Row, campaign: _Campaign, needs: int | None) -> None:
        if _NUMBER in row.values:
            known = self._draft.title(row.place, _NUMBER)
            self._refuse(row, "number_not_found", _NUMBER, value=row.name, known=known)
        elif row.action in {Action.UPDATE, Action.MOVE, Action.DELETE} or _destination(row.values):
            self._refuse(row, "own_id_not_found", _OWN_ID, value=row.name)
        elif campaign.scope[1] in self._advertisers.deleted:
            self._refuse(row, "parent_deleted", "advertiser_id_from_network", value=campaign.scope[1])
        elif problems := list(_lacks(row.values)):
            self._draft.refuse(row.place, [self._titled(row, one) for one in problems], about=row.name)
        else:
            self._create(row, needs)

    def _create(self, row: _Row, needs: int | None) -> None:
        path, body, own_id = _request(row.values)
        identity = identity_of(path, body)
        cells = self._one_of(row.place)
        bought = [self._draft.earlier.claim(identity) for _ in range(row.values.get("quantity", 1))]
        for purchase in bought:
            if purchase:
                self._draft.stand(row.place, purchase)
            else:
                step = self._draft.step(
                    resource=PROMO_NUMBERS.name,
                    action=Action.CREATE,
                    path=path,
                    body=body,
                    own_id=own_id,
                    once=True,
                    identity=identity,
                    phase=PHASE,
                    needs=needs,
                )
                self._draft.do(row.place, step, about=own_id)
            self._draft.recent(row.place, cells)
        for name, value in () if all(bought) else row.values.items():
            if PROMO_NUMBERS.by_path[paths.pattern(name)].is_sent:
                self._draft.change(row.place, name, "", shown(PROMO_NUMBERS, name, value))

    def _is_bought(self, row: _Row) -> bool:
        """Whether an earlier run has created just this, under an id that is therefore taken."""
        path, body, _ = _request(row.values)
        purchase = self._draft.earlier.claim(identity_of(path, body))
        if purchase:
            self._draft.stand(row.place, purchase)
        return purchase is not None

    def _one_of(self, place: Place) -> tuple[str, ...]:
        """A row of the results stands for one number: its quantity is 1, or blank where it was."""
        cells, sheet = self._draft.cells(place), self._draft.checked.sheets[place.sheet]
        column = sheet.by_path.get("quantity")
        at = list(sheet.sheet.frame.columns).index(column.column.header) if column else -1
        return cells if at < 0 or not cells[at].strip() else (*cells[:at], "1", *cells[at + 1 :])

    def _refuse(self, row: _Row, code: str, path: str, **details: Json) -> None:
        self._draft.refuse(row.place, [(path, Problem(code=code, details=details))], about=row.name)

    def _titled(self, row: _Row, problem: Problem) -> tuple[str, Problem]:
        """A problem with the path of its cell, in the words of the sheet."""
        path = problem.column or ""
        return path, placed(PROMO_NUMBERS, problem, self._draft.title(row.place, path))


def _request(values: Mapping[str, Json]) -> tuple[tuple[str, ...], dict[str, Json], str]:
    """What a row that creates sends: address, body, and the id that it chose."""
    own_id = values.get(_OWN_ID, "")
    collection = _COLLECTIONS[_OWN_ID if own_id else _NUMBER]
    return (*PROMO_NUMBERS.scope(values), collection), payloads.body(PROMO_NUMBERS, values), own_id


def _lacks(values: Mapping[str, Json]) -> Iterator[Problem]:
    """What a new number lacks; validation could not know that the row creates one."""
    yield from missing_fields(values, "create a number (the campaign has none with this id)")
    yield from (one for _, one in not_whole(PROMO_NUMBERS, values))


def _about(found: Mapping[str, Json]) -> str:
    """A number as people call it."""
    return str(found.get(_NUMBER) or found.get(_OWN_ID) or "")
