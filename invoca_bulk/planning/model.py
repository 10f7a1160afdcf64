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
    """The platform's state of one scope.

    Attributes:
        objects: the promo numbers, or the advertisers, as the platform returned them.
        refusal_reason: why the scope cannot be used, in the platform's words; empty when it can.
    """

    objects: tuple[Mapping[str, Json], ...] = ()
    refusal_reason: str = ""

    @property
    def promo_numbers(self) -> list[str]:
        """The phone numbers, verbatim."""
        return [str(record["promo_number"]) for record in self.objects if record.get("promo_number")]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One API call to make.

    Attributes:
        number: counts from 0 within the plan.
        resource: the name of the resource.
        action: what it does.
        verb: the HTTP method.
        path: the path parts after the network, not yet percent-encoded.
        body: the JSON object to send; None: no body. With a patch, the body is rebuilt from the current object just
            before it is sent.
        own_id: the id that the client chose for the object; empty: the platform chooses.
        non_idempotent: whether it must not be sent twice, since each request creates another object.
        phase: steps of a phase start when all steps of the previous phase have ended.
        depends_on: the number of the step that has to be done before this one is sent; None: no step.
        patch: what to change, as `merge.merge_patch` takes it; None: the body is sent as it is.
        snapshot: the object on the platform when the plan was made; None: there was none.
        destination: of a move: the path parts of the collection that the object moves to.
        identity: of a non-idempotent step: the same for equal requests of any run; otherwise empty.
    """

    number: int
    resource: str
    action: Action
    verb: str
    path: tuple[str, ...]
    body: Mapping[str, Json] | None
    own_id: str = ""
    non_idempotent: bool = False
    phase: int = 0
    depends_on: int | None = None
    patch: Mapping[str, Json] | None = None
    snapshot: Mapping[str, Json] | None = None
    destination: tuple[str, ...] = ()
    identity: str = ""


def step_to_dict(step: Step) -> dict[str, Json]:
    """The attributes of a step, as JSON."""
    return {field.name: getattr(step, field.name) for field in fields(Step)}


@dataclass(frozen=True, kw_only=True)
class Purchase:
    """A request of an earlier run that created, or may have created, an object; a row that asks for the same claims it.

    Attributes:
        identity: the same for equal requests.
        run: the run that sent it.
        step: its number in that run.
        outcome: `created` or `unknown`.
        promo_number: the promo number that was created; empty: none, or not known.
        identical_count: number of equal requests in its run, including this one.
    """

    identity: str
    run: str
    step: int
    outcome: Outcome
    promo_number: str
    identical_count: int = 1


@dataclass(frozen=True, kw_only=True)
class FieldChange:
    """One field that a step changes.

    Attributes:
        sheet: the index of the sheet.
        row: the row number in the spreadsheet.
        column: the field's column title in the sheet; its path if the sheet has no such column.
        part: the user or site that has the field, such as `user Jim Williams (U-2)`; empty: the object itself.
        old: as a cell would show it; empty: no value.
        new: as a cell would show it; empty: it is cleared.
    """

    sheet: int
    row: int
    column: str
    part: str
    old: str
    new: str


@dataclass(frozen=True, kw_only=True)
class Removal:
    """One user or site that a step removes.

    Attributes:
        sheet: the index of the sheet.
        row: the row number in the spreadsheet.
        part: the user or site, such as `user Jim Williams (U-2)`.
        advertiser: the advertiser, such as `Acme Tickets (A-100)`.
    """

    sheet: int
    row: int
    part: str
    advertiser: str


@dataclass(frozen=True, kw_only=True)
class PlannedSheet:
    """One sheet of a plan.

    Attributes:
        name: the worksheet's name; empty if only one was read.
        resource: the name of the resource.
        headers: the column titles of `PlannedRow.cells`.
    """

    name: str
    resource: str
    headers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PlannedRow:
    """One row of the results.

    Attributes:
        sheet: the index of the sheet.
        row: the row number in the spreadsheet; rows expanded from one `quantity` share it.
        cells: the texts of the row, in the order of its sheet's headers.
        action: `create`, `update`, `move`, `delete`, `remove`, `unchanged` or `refused`.
        object_label: the object as people refer to it; empty when it has no name yet.
        step: the number of its step; None: there is nothing to do.
        outcome: of a row without a step: `invalid`, `unchanged`, or the outcome of an earlier run.
        from_results: whether the row comes from an earlier run's results; without `prior_purchase`, its result columns
            are kept.
        prior_purchase: the request of an earlier run that did, or may have done, the same; the row has its outcome.
        assigned_values: of an unchanged row: the fields that the platform sets (`payloads.ASSIGNED_FIELDS`); None:
            there is no such object.
        error: why it is invalid.
        fix: what to do about it.
    """

    sheet: int = 0
    row: int
    cells: tuple[str, ...]
    action: str = ""
    object_label: str = ""
    step: int | None = None
    outcome: Outcome | None = None
    from_results: bool = False
    prior_purchase: Purchase | None = None
    assigned_values: Mapping[str, Json] | None = None
    error: str = ""
    fix: str = ""


@dataclass(frozen=True, kw_only=True)
class PlanData:
    """What a run will do.

    Attributes:
        resource: the resources, such as `promo_numbers` or `advertisers+promo_numbers`.
        source: the file's name.
        sheets: the sheets.
        titles: resource to path to column title, for errors of the platform; `#` stands for a user's or site's number.
        rows: the rows of the results in the order of the sheets, one row for each number of a `quantity`.
        steps: the calls, in the order of the rows.
        changes: the changed fields, in the order of the rows.
        removals: the removed users and sites.
        issues: the issues of validation and of the plan; columns `issue_catalog.ISSUE_COLUMNS`.
        resolved_purchases: purchases without a known result, with the numbers that rows show for them.
        platform_state: scope to the platform's state before the run.
        fingerprint: identifies the sheets' content; see `fingerprint_sheets`.
    """

    resource: str
    source: str
    sheets: tuple[PlannedSheet, ...]
    titles: Mapping[str, Mapping[str, str]]
    rows: tuple[PlannedRow, ...]
    steps: tuple[Step, ...]
    changes: tuple[FieldChange, ...]
    removals: tuple[Removal, ...]
    issues: pd.DataFrame
    resolved_purchases: tuple[Purchase, ...] = ()
    platform_state: Mapping[Scope, PlatformState]
    fingerprint: str

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


@dataclass(frozen=True, kw_only=True)
class SavedPlan:
    """A plan read from a plan file.

    Attributes:
        base_url: of the plan's network.
        network_id: the plan's network.
        api_version: the API version that the plan was made with.
        choices: what the user chose.
        read_arguments: the `sheet` and `resource` arguments of reading the sheet.
        source: the sheet's file name; empty for a DataFrame.
        path: the sheet's file, absolute; None if there was none.
        made_at: when the plan was made (UTC, ISO 8601).
        sheets: the sheets as read.
        rows: the planned rows; without cells if read from a file.
        steps: the planned calls.
    """

    base_url: str
    network_id: str
    api_version: str
    choices: PlanOptions
    read_arguments: Mapping[str, str | None]
    source: str
    path: Path | None
    made_at: str
    sheets: tuple[Sheet, ...]
    rows: tuple[PlannedRow, ...]
    steps: tuple[Step, ...]
