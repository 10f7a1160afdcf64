"""A run -> its undo: reads the journal and the platform, and plans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from invoca_bulk import journal, planning, validation
from invoca_bulk.config.network import Network
from invoca_bulk.config.options import Options, PlanOptions
from invoca_bulk.execution import outcomes
from invoca_bulk.journal import RowRecord, RunRecord, StepRecord
from invoca_bulk.planning import PlanData, Step, merge
from invoca_bulk.planning.display_values import object_label
from invoca_bulk.schema import ADVERTISERS, Action
from invoca_bulk.schema.issue_catalog import Problem
from invoca_bulk.service import preconditions, snapshot
from invoca_bulk.service.undo import changes, undo_notes, undo_rows, undo_sheets
from invoca_bulk.service.undo.changes import AppliedChange, CurrentState
from invoca_bulk.service.undo.undo_report import NotUndone, Undo
from invoca_bulk.service.undo.undo_rows import Reversal
from invoca_bulk.sheets.row_labels import from_stored
from invoca_bulk.wording import word


def undo(run: str, network: Network, options: Options) -> Undo:
    """Plan to undo what a run did, with the run's API version; nothing is sent. The plan options are ignored."""
    location = journal.location_for(network, options.journal)
    record = journal.find_run(location, run)
    preconditions.require_run_network(record, network)
    network = replace(network, api_version=record.api_version)
    with journal.open_readonly(location, network) as open_journal:
        assert open_journal is not None  # noqa: S101  tells mypy that `find_run` has found the run there
        builder = _UndoBuilder(record, open_journal.steps(run), open_journal.rows(run))
    return builder.build(network, options)


class _UndoBuilder:
    """Builds the undo of one run."""

    def __init__(self, record: RunRecord, steps: Sequence[StepRecord], rows: Sequence[RowRecord]) -> None:
        self._run_record = record
        self._step_records = {step.step.number: step for step in steps}
        self._first_row_by_step = {row.step: row for row in reversed(rows) if row.step_run == record.run}
        self._not_undone: dict[int, NotUndone] = {}
        self._already_restored_count = 0
        self._unchanged_count = 0

    def build(self, network: Network, options: Options) -> Undo:
        """Fetch the platform's state, and plan; reversals that the plan refuses are reported and left out."""
        applied_changes = list(self._find_applied_changes())
        scopes = [scope for change in applied_changes for scope in (change.scope, change.origin_scope)]
        affected_scopes = [scope for scope in dict.fromkeys(scopes) if scope is not None]
        platform_state = snapshot.fetch_state(affected_scopes, network, options)
        reversals = self._build_reversals(applied_changes, changes.CurrentState(platform_state, network.api_version))
        source = journal.undo_source_name(self._run_record.run)
        while True:
            reversals = self._drop_needed_advertisers(reversals)
            plan_options = undo_sheets.choose_plan_options(reversals)
            sheets = undo_sheets.to_sheets(reversals, plan_options, network.api_version)
            validated_book = validation.validate(
                [replace(sheet, source=source) for sheet in sheets], version=network.api_version, allow_no_rows=True
            )
            plan = planning.build_plan(validated_book, platform_state, plan_options)
            refused_steps = self._collect_refused_steps(plan, reversals, plan_options)
            if not refused_steps:
                break
            reversals = [reversal for reversal in reversals if reversal.applied_change.step.number not in refused_steps]
        no_op_notes = undo_notes.no_op_notes(
            self._run_record,
            list(self._step_records.values()),
            already_restored=self._already_restored_count,
            unchanged=self._unchanged_count,
        )
        return Undo(
            data=plan,
            validated_book=validated_book,
            network=network,
            options=replace(options, **vars(plan_options)),
            run=self._run_record.run,
            not_undone_items=tuple(self._not_undone[number] for number in sorted(self._not_undone)),
            notes=tuple(map(word, [*undo_notes.irreversible_notes(reversals), *no_op_notes])),
        )

    def _find_applied_changes(self) -> Iterator[AppliedChange]:
        for record in self._step_records.values():
            change = changes.classify_step(record)
            if isinstance(change, Problem):
                self._add_not_undone(record.step, change.message, change.fix, _step_label(record.step))
            elif change:
                yield change

    def _build_reversals(self, applied_changes: Iterable[AppliedChange], current_state: CurrentState) -> list[Reversal]:
        reversals = []
        for change in applied_changes:
            if changes.is_restored(change, current_state):
                self._already_restored_count += 1
                continue
            current = current_state.find(change, change.scope)
            reversal = changes.find_conflict(change, current, current_state) or undo_rows.build_reversal(
                change, current or {}, current_state.version
            )
            if isinstance(reversal, Problem):
                self._add_not_undone(change.step, reversal.message, reversal.fix, undo_rows.change_label(change))
            elif reversal.has_changes:
                reversals.append(reversal)
            else:
                self._unchanged_count += 1
        return reversals

    def _drop_needed_advertisers(self, reversals: Iterable[Reversal]) -> list[Reversal]:
        """Drop the advertisers that numbers which are not undone depend on."""
        needed_steps = {self._step_records[number].step.depends_on for number in self._not_undone}
        remaining = []
        for reversal in reversals:
            change = reversal.applied_change
            if change.step.number in needed_steps:
                problem = Problem(code="undo_needed")
                self._add_not_undone(change.step, problem.message, problem.fix, undo_rows.change_label(change))
            else:
                remaining.append(reversal)
        return remaining

    def _collect_refused_steps(
        self, plan: PlanData, reversals: Sequence[Reversal], plan_options: PlanOptions
    ) -> set[int]:
        """The steps of the rows that the plan refuses; each is reported as not undone."""
        resource_by_sheet = {sheet.name: sheet.resource for sheet in plan.sheets}
        errors = plan.issues[plan.issues["level"] == "error"].dropna(subset="row")
        reversals_by_row = undo_sheets.reversal_by_row(reversals, plan_options)
        refused_steps = set()
        for sheet, row, message, fix in errors[["sheet", "row", "message", "fix"]].itertuples(index=False):
            change = reversals_by_row[resource_by_sheet[sheet], int(row)].applied_change
            refused_steps.add(change.step.number)
            self._add_not_undone(change.step, message, fix, undo_rows.change_label(change))
        return refused_steps

    def _add_not_undone(self, step: Step, error: str, fix: str, object_label: str) -> None:
        row = self._first_row_by_step[step.number]
        sheet = self._run_record.sheets[row.sheet]
        self._not_undone[step.number] = NotUndone(
            sheet=sheet.name,
            row=from_stored([row.label], sheet.index_names)[0] if sheet.index_names else row.row,
            naming="index" if sheet.index_names else "row",
            action=step.action.value,
            object_label=object_label,
            error=word(error),
            fix=word(fix),
        )


def _step_label(step: Step) -> str:
    """The label of a step's object, where the journal does not have the object after the run."""
    record = step.snapshot or step.body or {}
    if step.resource == ADVERTISERS.name:
        return object_label(merge.display_name(record), step.own_id)
    return outcomes.number_of(record) or (step.own_id if step.action is Action.CREATE else step.path[-1])
