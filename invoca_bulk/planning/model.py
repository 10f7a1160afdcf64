"""The records of a plan."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING

from invoca_bulk.schema import PROMO_NUMBERS, Action

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from invoca_bulk.config.options import PlanOptions
    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.schema.result_columns import Outcome
    from invoca_bulk.sheets import Sheet

#: Path parts above a collection, such as `("advertisers", "A-100", "advertiser_campaigns", "C-100")`; none above the
#: advertisers themselves.
Scope = tuple[str, ...]

#: What a plan says of a row that asks for nothing new.
UNCHANGED = "unchanged"
REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class PlatformState:
    """What the platform said of one scope.

    Attributes:
        objects: what it has there, as the platform gave it: promo numbers, or advertisers.
        refusal_reason: why it cannot be used, in the platform's words; empty when it can.
    """

    objects: tuple[Mapping[str, Json], ...] = ()
    refusal_reason: str = ""

    @property
    def promo_numbers(self) -> list[str]:
        """The numbers themselves."""
        return [str(one["promo_number"]) for one in self.objects if one.get("promo_number")]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One API call to make.

    Attributes:
        number: counts from 0 within the plan.
        resource: what it is about, by its name.
        action: what it does.
        verb: the HTTP method.
        path: the parts of the address after the network, not yet percent-encoded.
        body: the JSON object to send; None: no body. Where there is a patch it is what the plan came to, and is made
            anew from the object as it is just before it is sent.
        own_id: the id that the client itself chose for the object; empty: the platform chooses.
        non_idempotent: whether it must not be sent twice, since each request makes another object.
        phase: steps of a phase begin when those of the phase before have ended.
        depends_on: the number of a step that has to be done before this one may be sent; None: of none.
        patch: what to change, as `merging.apply` takes it; None: the body is sent as it is.
        snapshot: the object as the platform showed it to the plan; None: there was none.
        destination: of a move: the parts of the address of the collection that the object is in afterwards.
        identity: of a step that must not be sent twice: the same for equal requests, of whatever run; else empty.
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
    return {one.name: getattr(step, one.name) for one in fields(Step)}


@dataclass(frozen=True, kw_only=True)
class Purchase:
    """One request of an earlier run that has, or may have, made an object; a row that asks for the same stands for it.

    Attributes:
        identity: the same for equal requests.
        run: the run that sent it.
        step: its number in that run.
        outcome: `created`, or `unknown`.
        promo_number: the promo number that came of it; empty: none, or it is not known.
        identical_count: how many equal requests its run has, this one included.
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
        sheet: the number of the sheet.
        row: the row number in the spreadsheet.
        column: the sheet's title of the field; its path where the sheet does not have it.
        part: which user or site it belongs to, such as `user Jim Williams (U-2)`; empty: to the object itself.
        old: as a cell would show it; empty: it was not there.
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
    """One user or site that is taken away.

    Attributes:
        sheet: the number of the sheet.
        row: the row number in the spreadsheet.
        part: such as `user Jim Williams (U-2)`.
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
        name: the worksheet's name; empty where only one was read.
        resource: what its rows are about, by its name.
        headers: its columns, the titles of `PlannedRow.cells`.
    """

    name: str
    resource: str
    headers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PlannedRow:
    """One row of the results.

    Attributes:
        sheet: the number of its sheet.
        row: the row number in the spreadsheet; rows with a `quantity` share it.
        cells: the texts of the row, in the order of its sheet's headers.
        action: `create`, `update`, `move`, `delete`, `remove`, `unchanged` or `refused`.
        object_label: the object, as people call it; empty when it has no name yet.
        step: the number of its step; None: there is nothing to do.
        outcome: where there is no step: `invalid`, `unchanged`, or what an earlier run made of it.
        from_results: whether the row is one of an earlier run's results; without `prior_purchase`, its result columns
            stand.
        prior_purchase: what an earlier run has done, or may have done, of just this; its outcome is the row's.
        assigned_values: of an unchanged row: what the platform itself set (`payloads.ASSIGNED_FIELDS`); None: there is
            no such object.
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
    """What a run is going to do.

    Attributes:
        resource: what it is about, such as `promo_numbers` or `advertisers+promo_numbers`.
        source: the file's name.
        sheets: the sheets.
        titles: resource to path to title, for what the platform says of a field; `#` stands for a part's number.
        rows: the rows of the results, sheet by sheet in their order, a `quantity` written out.
        steps: the calls, in the order of the rows.
        changes: the fields that they change, in the order of the rows.
        removals: the users and sites that they take away.
        issues: validation's issues and those that the platform's state adds; columns `issues.ISSUE_COLUMNS`.
        resolved_purchases: purchases that the journal could not tell, with the numbers that rows show for them.
        platform_state: scope to the platform's state before the run.
        fingerprint: identifies the sheets' content; see `fingerprint_of`.
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
        """How many numbers will be bought."""
        return self.count_steps(PROMO_NUMBERS.name, Action.CREATE)

    def count_steps(self, resource: str, action: Action) -> int:
        """How many steps do something to a resource."""
        return sum(step.resource == resource and step.action is action for step in self.steps)

    @property
    def irreversible(self) -> list[str]:
        """What cannot be undone, each as the end of a sentence: `buys 3 promo numbers`."""
        removed = Counter(one.part.split()[0] for one in self.removals)
        counts = [
            ("buys", self.new_number_count, "promo number"),
            ("deletes", self.count_steps("promo_numbers", Action.DELETE), "promo number"),
            ("deletes", self.count_steps("advertisers", Action.DELETE), "advertiser"),
            *(("removes", count, one) for one, count in removed.items()),
        ]
        return [f"{verb} {count:,} {one}{'s' if count > 1 else ''}" for verb, count, one in counts if count]


@dataclass(frozen=True, kw_only=True)
class SavedPlan:
    """A plan that was kept.

    Attributes:
        base_url: of the network that it was made for.
        network_id: that network.
        api_version: the version that it was made with.
        choices: what the user had decided.
        read_arguments: `sheet` and `resource`, as the sheet was read with.
        source: the sheet's file name; empty for a DataFrame.
        path: the sheet's file, absolute; None where there was none.
        made_at: when it was made (UTC, ISO 8601).
        sheets: what was read.
        rows: what was to become of each row; read from a file without their cells.
        steps: the calls that were to be made.
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
