"""The whole way from a run to the plan that takes it back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from invoca_bulk import journal, planning, validation
from invoca_bulk.execution import outcomes
from invoca_bulk.planning import merge
from invoca_bulk.schema import ADVERTISERS, Action
from invoca_bulk.schema.issue_catalog import Problem
from invoca_bulk.service import preconditions, snapshot
from invoca_bulk.service.undo import changes, undo_notes, undo_rows, undo_sheets
from invoca_bulk.service.undo.undo_report import NotUndone, Undo, undo_source_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from invoca_bulk.config.options import Options, PlanOptions
    from invoca_bulk.config.settings import Network
    from invoca_bulk.journal import RowRecord, RunRecord, StepRecord
    from invoca_bulk.planning import PlanData, Scope, Step
    from invoca_bulk.service.undo.changes import AppliedChange, CurrentState
    from invoca_bulk.service.undo.undo_rows import Reversal
    from invoca_bulk.validation import ValidatedBook


def undo(run: str, network: Network, options: Options) -> Undo:
    """Plan to take back what a run has done; nothing is sent.

    Args:
        run: the run's id.
        network: the run's network; the API version is that of the run.
        options: where the journal is, and how to read; the choices are the undo's own.

    Raises:
        UserError: the run is not known, or is another network's.
        RunAborted: the platform's state could not be read.
    """
    place = journal.location_for(network, options.journal)
    record = journal.find_run(place, run)
    preconditions.require_run_network(record, network)
    network = replace(network, api_version=record.api_version)
    with journal.open_readonly(place, network) as book:
        assert book is not None  # noqa: S101  tells mypy that `run_of` has found the run there
        making = _UndoBuilder(record, book.steps(run), book.rows(run))
    return making.build(network, options)


class _UndoBuilder:
    """The undo of one run while it is made.

    Args:
        record: the run.
        steps: its steps as they stand.
        rows: its rows.
    """

    def __init__(self, record: RunRecord, steps: Sequence[StepRecord], rows: Sequence[RowRecord]) -> None:
        self._run_record = record
        self._step_records = {one.step.number: one for one in steps}
        self._first_row_by_step = {row.step: row for row in reversed(rows) if row.step_run == record.run}
        self._not_undone: dict[int, NotUndone] = {}
        self._already_restored_count = 0
        self._unchanged_count = 0

    def build(self, network: Network, options: Options) -> Undo:
        """Look at the platform, and plan; what the plan would refuse is told and left out, and the rest planned."""
        done = list(self._find_applied_changes())
        observed = snapshot.fetch_state(_affected_scopes(done), network, options)
        found = self._build_reversals(done, changes.CurrentState(observed, network.api_version))
        while True:
            found = self._drop_needed_advertisers(found)
            choices = undo_sheets.choose_plan_options(found)
            checked = self._validate_sheets(found, choices)
            plan = planning.build_plan(checked, observed, choices)
            refused = self._collect_refused_steps(plan, found, choices)
            if not refused:
                break
            found = [one for one in found if one.applied_change.step.number not in refused]
        no_op_notes = undo_notes.no_op_notes(
            self._run_record,
            [*self._step_records.values()],
            already_restored=self._already_restored_count,
            unchanged=self._unchanged_count,
        )
        return Undo(
            data=plan,
            validated_book=checked,
            network=network,
            options=replace(options, **vars(choices)),
            run=self._run_record.run,
            not_undone_items=tuple(self._not_undone[number] for number in sorted(self._not_undone)),
            notes=(*undo_notes.irreversible_notes(found), *no_op_notes),
        )

    # What there is to take back

    def _find_applied_changes(self) -> Iterator[AppliedChange]:
        for record in self._step_records.values():
            one = changes.classify_step(record)
            if isinstance(one, Problem):
                self._skip_step(record.step, one)
            elif one:
                yield one

    def _build_reversals(self, done: Iterable[AppliedChange], now: CurrentState) -> list[Reversal]:
        found = []
        for one in done:
            if changes.is_restored(one, now):
                self._already_restored_count += 1
                continue
            made = self._build_reversal(one, now)
            if isinstance(made, Problem):
                self._skip_step(one.step, made, object_label=undo_rows.object_label(one))
            elif made.has_changes:
                found.append(made)
            else:
                self._unchanged_count += 1
        return found

    @staticmethod
    def _build_reversal(done: AppliedChange, now: CurrentState) -> Reversal | Problem:
        one = now.find(done, done.scope)
        problem = changes.find_conflict(done, one, now)
        return problem or undo_rows.build_reversal(done, one or {}, now.version)

    def _drop_needed_advertisers(self, found: Iterable[Reversal]) -> list[Reversal]:
        """Without the advertisers that are needed by numbers which stay."""
        needed = {self._step_records[number].step.depends_on for number in self._not_undone}
        kept = []
        for one in found:
            if one.applied_change.step.number in needed:
                self._skip_step(
                    one.applied_change.step,
                    Problem(code="undo_needed"),
                    object_label=undo_rows.object_label(one.applied_change),
                )
            else:
                kept.append(one)
        return kept

    # The plan

    def _validate_sheets(self, found: Sequence[Reversal], choices: PlanOptions) -> ValidatedBook:
        loaded = undo_sheets.to_sheets(found, choices, self._run_record.api_version)
        named = [replace(one, source=undo_source_name(self._run_record.run)) for one in loaded]
        return validation.validate(named, version=self._run_record.api_version)

    def _collect_refused_steps(self, plan: PlanData, found: Sequence[Reversal], choices: PlanOptions) -> set[int]:
        """The steps of the rows that the plan refuses, each told."""
        about = {one.name: one.resource for one in plan.sheets}
        errors = plan.issues[plan.issues["level"] == "error"].dropna(subset="row")
        whose = undo_sheets.reversal_by_row(found, choices)
        refused = set()
        for name, row, *told in zip(*(errors[name] for name in ("sheet", "row", "message", "fix")), strict=True):
            one = whose[about[name], int(row)].applied_change
            refused.add(one.step.number)
            self._add_not_undone(one.step, *told, object_label=undo_rows.object_label(one))
        return refused

    # What stays

    def _skip_step(self, step: Step, problem: Problem, *, object_label: str = "") -> None:
        self._add_not_undone(step, problem.message, problem.fix, object_label=object_label)

    def _add_not_undone(self, step: Step, error: str, fix: str, *, object_label: str) -> None:
        row = self._first_row_by_step[step.number]
        self._not_undone[step.number] = NotUndone(
            step=step.number,
            sheet=self._run_record.sheets[row.sheet].name,
            row=row.row,
            action=step.action.value,
            object_label=object_label or _object_label(step),
            error=error,
            fix=fix,
        )


def _affected_scopes(done: Iterable[AppliedChange]) -> list[Scope]:
    """Where the objects of the run are and were, each once."""
    places = (place for one in done for place in (one.scope, one.origin_scope) if place is not None)
    return list(dict.fromkeys(places))


def _object_label(step: Step) -> str:
    """An object as people call it, where the journal has no state of it that the run has left."""
    before = step.snapshot or step.body or {}
    if step.resource == ADVERTISERS.name:
        return " ".join(filter(None, (merge.display_name(before), f"({step.own_id})" if step.own_id else "")))
    name = step.own_id if step.action is Action.CREATE else step.path[-1]
    return outcomes.number_of(before) or name
