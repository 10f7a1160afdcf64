"""The records of a plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from invoca_bulk.config.options import PlanOptions
from invoca_bulk.schema import PROMO_NUMBERS, Action
from invoca_bulk.schema.field_types import Json
from invoca_bulk.schema.outcomes import Outcome
from invoca_bulk.sheets import Sheet
from invoca_bulk.wording import count_of

if TYPE_CHECKING:
    import pandas as pd

#: Path parts above a collection, such as `("advertisers", "A-100", "advertiser_campaigns", "C-100")`; empty for
#: advertisers.
Scope = tuple[str, ...]

#: Actions of planned rows without a step.
UNCHANGED = "unchanged"
REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class PlatformState:
    """The platform's state of one scope."""

    objects: tuple[Mapping[str, Json], ...] = ()  # the promo numbers, or the advertisers, as the platform returned them
    refusal_reason: str = ""  # why the scope cannot be used, in the platform's words; empty when it can

    @property
    def promo_numbers(self) -> list[str]:
        """The phone numbers, verbatim."""
        return [str(record["promo_number"]) for record in self.objects if record.get("promo_number")]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One API call to make."""

    number: int  # counts from 0 within the plan
    resource: str
    action: Action
    verb: str
    path: tuple[str, ...]  # the path parts after the network, not yet percent-encoded
    #: None: no body. With a patch, it is rebuilt from the current object just before it is sent.
    body: Mapping[str, Json] | None
    own_id: str = ""  # the id that the client chose for the object; empty: the platform chooses
    non_idempotent: bool = False  # it must not be sent twice, since each request creates another object
    phase: int = 0  # steps of a phase start when all steps of the previous phase have ended
    depends_on: int | None = None  # the number of the step that has to be done before this one is sent
    patch: Mapping[str, Json] | None = None  # what to change, as `merge.merge_patch` takes it
    snapshot: Mapping[str, Json] | None = None  # the object on the platform when the plan was made
    destination: tuple[str, ...] = ()  # of a move: the path parts of the collection that the object moves to
    identity: str = ""  # of a non-idempotent step: the same for equal requests of any run; otherwise empty


def step_to_dict(step: Step) -> dict[str, Json]:
    """The attributes of a step, as JSON."""
    return {field.name: getattr(step, field.name) for field in fields(Step)}


@dataclass(frozen=True, kw_only=True)
class Purchase:
    """An earlier run's request that created, or may have created, an object; a row that asks for the same claims it."""

    identity: str  # the same for equal requests
    run: str  # the run that sent it
    step: int  # its number in that run
    outcome: Outcome  # `created` or `unknown`
    promo_number: str  # empty: none was created, or it is not known
    identical_count: int = 1  # number of equal requests in its run, including this one


@dataclass(frozen=True, kw_only=True)
class PriorWrite:
    """The last write of an advertiser that an earlier run did."""

    run: str  # the run that sent it
    body: Mapping[str, Json]  # as it was sent
    answer: Json  # the platform's answer to it


@dataclass(frozen=True, kw_only=True)
class FieldChange:
    """One field that a step changes."""

    sheet: int  # the index of the sheet
    row: int  # the row number in the spreadsheet
    column: str  # the field's column title in the sheet; its path if the sheet has no such column
    part: str  # the user or site that has the field, such as `user Jim Williams (U-2)`; empty: the object itself
    old: str  # as a cell would show it; empty: no value
    new: str  # as a cell would show it; empty: it is cleared


@dataclass(frozen=True, kw_only=True)
class Removal:
    """One user or site that a step removes."""

    sheet: int  # the index of the sheet
    row: int  # the row number in the spreadsheet
    part: str  # such as `user Jim Williams (U-2)`
    advertiser: str  # such as `Acme Tickets (A-100)`


@dataclass(frozen=True, kw_only=True)
class PlannedSheet:
    """One sheet of a plan."""

    name: str  # the worksheet's name; empty if only one was read
    resource: str
    headers: tuple[str, ...]  # the column titles of `PlannedRow.cells`
    index_names: tuple[str | None, ...] = ()  # of the index of a DataFrame; empty for a spreadsheet
    index_columns: tuple[str, ...] = ()  # the headers that are levels of that index


@dataclass(frozen=True, kw_only=True)
class PlannedRow:
    """One row of the results."""

    sheet: int = 0  # the index of the sheet
    row: int  # the row number in the spreadsheet; rows expanded from one `quantity` share it
    label: Json = None  # of the row of a DataFrame, as the journal keeps it; a list for a MultiIndex
    cells: tuple[str, ...]  # the texts of the row, in the order of its sheet's headers
    action: str = ""  # `create`, `update`, `move`, `delete`, `remove`, `unchanged` or `refused`
    object_label: str = ""  # the object as people refer to it; empty when it has no name yet
    step: int | None = None  # the number of its step; None: there is nothing to do
    outcome: Outcome | None = None  # of a row without a step: `invalid`, `unchanged`, or the outcome of an earlier run
    from_results: bool = False  # of an earlier run; without `prior_purchase`, its result columns are kept
    prior_purchase: Purchase | None = None  # did, or may have done, the same; the row has its outcome
    #: Of an unchanged row: the fields that the platform sets (`payloads.ASSIGNED_FIELDS`); None: there is no such
    #: object.
    assigned_values: Mapping[str, Json] | None = None
    error: str = ""  # why it is invalid
    fix: str = ""


@dataclass(frozen=True, kw_only=True)
class PlanData:
    """What a run will do."""

    resource: str  # the resources, such as `promo_numbers` or `advertisers+promo_numbers`
    source: str  # the file's name
    sheets: tuple[PlannedSheet, ...]
    #: Resource to path to column title, for errors of the platform; `#` stands for a user's or site's number.
    titles: Mapping[str, Mapping[str, str]]
    rows: tuple[PlannedRow, ...]  # in the order of the sheets, one row for each number of a `quantity`
    steps: tuple[Step, ...]  # in the order of the rows
    changes: tuple[FieldChange, ...]  # in the order of the rows
    removals: tuple[Removal, ...]
    issues: pd.DataFrame  # of validation and of the plan; columns `issue_catalog.ISSUE_COLUMNS`
    resolved_purchases: tuple[Purchase, ...] = ()  # without a known result, with the numbers that rows show for them
    platform_state: Mapping[Scope, PlatformState]  # before the run
    fingerprint: str  # identifies the sheets' content; see `fingerprint_sheets`

    @cached_property
    def action_counts(self) -> Counter[str]:
        """Action to number of rows."""
        return Counter(row.action for row in self.rows)

    @property
    def new_number_count(self) -> int:
        """Number of promo numbers that the run buys."""
        return self.count_steps(PROMO_NUMBERS.name, Action.CREATE)

    def count_steps(self, resource: str, action: Action) -> int:
        """Number of steps with an action on a resource."""
        return sum(step.resource == resource and step.action is action for step in self.steps)

    @property
    def irreversible(self) -> list[str]:
        """What cannot be undone, each as the end of a sentence: `buys 3 promo numbers`."""
        removed = Counter(removal.part.split()[0] for removal in self.removals)
        counts = [
            ("buys", self.new_number_count, "promo number"),
            ("deletes", self.count_steps("promo_numbers", Action.DELETE), "promo number"),
            ("deletes", self.count_steps("advertisers", Action.DELETE), "advertiser"),
            *(("removes", count, noun) for noun, count in removed.items()),
        ]
        return [f"{verb} {count_of(count, noun)}" for verb, count, noun in counts if count]

    @property
    def needs_confirmation(self) -> bool:
        """Whether a person has to agree: something cannot be undone, or new advertisers would appear."""
        return bool(self.irreversible) or self.count_steps("advertisers", Action.CREATE) > 0

    @property
    def effects(self) -> list[str]:
        """All that would be written, each as the end of a sentence, what cannot be undone first."""
        created = [step for step in self.steps if (step.resource, step.action) == ("advertisers", Action.CREATE)]
        users = sum(len(step.body.get("users") or ()) for step in created if step.body)
        with_users = f" with {count_of(users, 'user')}" if users else ""
        counts = (
            ("moves", self.count_steps("promo_numbers", Action.MOVE), "promo number", ""),
            ("changes", len(self.updates), "field", ""),
            ("creates", len(created), "advertiser", with_users),
        )
        return [
            *self.irreversible,
            *(f"{verb} {count_of(count, noun)}{rest}" for verb, count, noun, rest in counts if count),
        ]

    @cached_property
    def updates(self) -> list[FieldChange]:
        """The changes of objects that exist."""
        updated = {(row.sheet, row.row) for row in self.rows if row.action in {Action.UPDATE, Action.MOVE}}
        return [change for change in self.changes if (change.sheet, change.row) in updated]


@dataclass(frozen=True, kw_only=True)
class SavedPlan:
    """A plan read from a plan file."""

    base_url: str
    network_id: str
    api_version: str
    choices: PlanOptions
    read_arguments: Mapping[str, str | None]  # the `sheet`, `resource` and `encoding` arguments of reading the sheet
    source: str  # the sheet's file name; empty for a DataFrame
    path: Path | None  # the sheet's file, absolute; None if there was none
    made_at: str  # UTC, ISO 8601
    sheets: tuple[Sheet, ...]  # as read
    rows: tuple[PlannedRow, ...]  # without cells if read from a file
    steps: tuple[Step, ...]
