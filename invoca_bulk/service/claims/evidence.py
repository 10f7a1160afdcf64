"""The rows of earlier runs as the journals have them, and objects as the platform lists them."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from invoca_bulk import journal
from invoca_bulk.config.network import Network
from invoca_bulk.config.options import Options
from invoca_bulk.errors import ConfigError
from invoca_bulk.journal import RowRecord, RunRecord, State, StepRecord
from invoca_bulk.planning import PlatformState, Scope, merge
from invoca_bulk.planning.display_values import id_text, number_key
from invoca_bulk.reports.results import Results
from invoca_bulk.schema import ADVERTISERS, PROMO_NUMBERS, SHEET_RESOURCES, Action, Resource, payloads
from invoca_bulk.schema.field_types import Json
from invoca_bulk.schema.outcomes import SUCCESS_OUTCOMES, Outcome, parse_outcome
from invoca_bulk.service import snapshot
from invoca_bulk.service.claims.model import NUMBER, OWN_ID, RUN, STATUS, ClaimedRow, RecordedRow, Undo

_DESTINATION_PREFIX = "destination_"
#: An object on the platform: its resource, and its number or id.
_ObjectName: TypeAlias = tuple[str, str]


@dataclass(eq=False)
class Evidence:
    """What is known about earlier runs on one network."""

    network: Network
    options: Options

    def __post_init__(self) -> None:
        self._location = journal.location_for(self.network, self.options.journal)
        self._records: dict[str, RunRecord | None] = {}
        self._rows_by_run: dict[str, dict[str, list[RecordedRow]]] = {}

    def find_run(self, run: str) -> RunRecord | None:
        """A run of any network; None: no journal here knows it."""
        if run not in self._records:
            self._records[run] = None
            with contextlib.suppress(ConfigError):
                self._records[run] = journal.find_run(self._location, run)
        return self._records[run]

    def is_here(self, record: RunRecord) -> bool:
        """Whether a run was made on this network."""
        return (record.base_url, record.network_id) == (self.network.base_url, self.network.network_id)

    def recorded_rows(self, run: str, resource: Resource) -> Sequence[RecordedRow]:
        """The rows of a run that it did itself, or tried to."""
        if run not in self._rows_by_run:
            self._rows_by_run[run] = self._load(run)
        return self._rows_by_run[run].get(resource.name, ())

    def all_recorded_rows(self, resource: Resource) -> Iterator[RecordedRow]:
        """The rows of all runs on this network, the latest run first; they are not kept, since they may be millions."""
        for record in reversed(self._runs):
            rows = self._rows_by_run.get(record.run) or self._load(record.run)
            yield from rows.get(resource.name, ())

    @cached_property
    def _runs(self) -> Sequence[RunRecord]:
        with journal.open_readonly(self._location, self.network) as open_journal:
            return open_journal.runs() if open_journal else ()

    def _load(self, run: str) -> dict[str, list[RecordedRow]]:
        """Resource of a sheet to the run's own rows."""
        record, rows = journal.find_results(self._location, run)
        undone = self._undone_objects(record)
        recorded: dict[str, list[RecordedRow]] = defaultdict(list)
        for sheet, sheet_rows, frame in Results(run=record, rows=rows).tables:
            resource = SHEET_RESOURCES[sheet.resource]
            columns = [column.path if (column := resource.column_for(title)) else title for title in frame.columns]
            for row, texts in zip(sheet_rows, frame.itertuples(index=False, name=None), strict=True):
                text_by_path = dict(zip(columns, texts, strict=True))
                if text_by_path[RUN] == record.run:
                    outcome = parse_outcome(text_by_path[STATUS]) or row.outcome
                    undo = _find_undo(resource, text_by_path, row, undone)
                    recorded[resource.name].append(
                        RecordedRow(
                            run=record.run,
                            row=row.label if sheet.index_names else row.row,
                            texts=text_by_path,
                            outcome=outcome,
                            undo=undo,
                        )
                    )
        return recorded

    def _undone_objects(self, record: RunRecord) -> dict[_ObjectName, StepRecord]:
        """The objects that later runs deleted or restored, each with the latest step that did it."""
        undos = [other for other in self._runs if journal.undone_run_id(other.source) == record.run]
        with journal.open_readonly(self._location, self.network) as open_journal:
            if open_journal is None:
                return {}
            steps = [step for step in open_journal.deletions() if step.run != record.run]
            for undo in undos:
                undone_again = self._undone_objects(undo)
                steps += [
                    step
                    for step in open_journal.steps(undo.run)
                    if step.state is State.DONE and not any(map(undone_again.__contains__, _object_names(step)))
                ]
        steps.sort(key=lambda step: step.ended_at or 0.0)
        return {name: step for step in steps for name in _object_names(step)}

    def fetch_state(self, scopes: Iterable[Scope]) -> dict[Scope, PlatformState]:
        """The platform's lists, one request each."""
        return snapshot.fetch_state(list(dict.fromkeys(scopes)), self.network, self.options)


def _object_names(step: StepRecord) -> Iterator[_ObjectName]:
    before = step.step.snapshot or {}
    if step.step.resource == PROMO_NUMBERS.name:
        yield PROMO_NUMBERS.name, number_key(before)
    else:
        yield ADVERTISERS.name, str(before.get(OWN_ID) or step.step.path[-1])


def _find_undo(
    resource: Resource, texts: dict[str, str], row: RowRecord, undone: Mapping[_ObjectName, StepRecord]
) -> Undo | None:
    """How a later run took back what a row did; None: none did."""
    if row.outcome not in SUCCESS_OUTCOMES - {Outcome.DELETED}:
        return None
    if resource is PROMO_NUMBERS:
        name = (PROMO_NUMBERS.name, number_key({NUMBER: texts.get(NUMBER, "")}))
    else:
        own_id = texts.get(resource.parent_field.path if resource.is_subresource else OWN_ID, "")
        name = (ADVERTISERS.name, own_id.strip())
    step = undone.get(name)
    if step is None or (step.ended_at or 0.0) < (row.ended_at or 0.0):
        return None
    return Undo(run=step.run, is_deletion=step.step.action is Action.DELETE)


def scope_of(resource: Resource, claimed: ClaimedRow) -> Scope | None:
    """The list in which the object of a row is, or was; None: the row does not say it."""
    if resource is not PROMO_NUMBERS:
        return ()
    values = {path: text.strip() for path, text in claimed.texts.items() if text.strip()}
    if claimed.outcome is Outcome.MOVED:
        values |= {
            path.removeprefix(_DESTINATION_PREFIX): text
            for path, text in values.items()
            if path.startswith(_DESTINATION_PREFIX)
        }
    try:
        return PROMO_NUMBERS.scope_for(values)
    except KeyError:
        return None


def find_on_platform(
    resource: Resource, claimed: ClaimedRow, state: PlatformState | None, version: str
) -> RecordedRow | None:
    """A row as the platform has its object; None: it has none, or the row does not name it.

    A number is known by its id if the row does not show it.
    """
    number = claimed.number if resource is PROMO_NUMBERS else ""
    own_id = claimed.texts.get(_id_path(resource), "").strip()
    for record in state.objects if state and (number or own_id) else ():
        is_same = number_key(record) == number if number else id_text(resource, record) == own_id
        if is_same and (not resource.is_subresource or _has_part(resource, record, claimed)):
            outcome = claimed.outcome or Outcome.UNCHANGED
            texts = payloads.to_cell_texts(resource, record, version).texts if resource is PROMO_NUMBERS else {}
            return RecordedRow(run="", row=claimed.row, texts=texts, outcome=outcome)
    return None


def _has_part(part: Resource, advertiser: Mapping[str, Json], claimed: ClaimedRow) -> bool:
    """Whether an advertiser has the user or site of a row."""
    parts = merge.parts_by_id(ADVERTISERS, {part.name: advertiser.get(part.name)})
    return (part.name, claimed.texts.get(OWN_ID, "").strip()) in parts


def _id_path(resource: Resource) -> str:
    return resource.parent_field.path if resource.is_subresource else OWN_ID
