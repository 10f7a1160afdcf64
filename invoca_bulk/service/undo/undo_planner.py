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
from invoca_bulk.service.undo.undo_report import NotUndone, Undo, source_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from invoca_bulk.config.options import Choices, Options
    from invoca_bulk.config.settings import Network
    from invoca_bulk.journal import RowRecord, RunRecord, StepRecord
    from invoca_bulk.planning import Plan, Scope, Step
    from invoca_bulk.service.undo.changes import Done, Now
    from invoca_bulk.service.undo.undo_rows import Reversal
    from invoca_bulk.validation import Checked


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
    place = journal.place_of(network, options.journal)
    record = journal.run_of(place, run)
    preconditions.refuse_other_run(record, network)
    network = replace(network, api_version=record.api_version)
    with journal.reading(place, network) as book:
        assert book is not None  # noqa: S101  tells mypy that `run_of` has found the run there
        making = _Making(record, book.steps(run), book.rows(run))
    return making.undo(network, options)


class _Making:
    """The undo of one run while it is made.

    Args:
        record: the run.
        steps: its steps as they stand.
        rows: its rows.
    """

    def __init__(self, record: RunRecord, steps: Sequence[StepRecord], rows: Sequence[RowRecord]) -> None:
        self._record = record
        self._steps = {one.step.number: one for one in steps}
        self._first_rows = {row.step: row for row in reversed(rows) if row.step_run == record.run}
        self._stays: dict[int, NotUndone] = {}
        self._back = 0
        self._idle = 0

    def undo(self, network: Network, options: Options) -> Undo:
        """Look at the platform, and plan; what the plan would refuse is told and left out, and the rest planned."""
        done = list(self._done())
        observed = snapshot.observe(_scopes(done), network, options)
        found = self._reversals(done, changes.Now(observed, network.api_version))
        while True:
            found = self._without_needed(found)
            choices = undo_sheets.choices(found)
            checked = self._checked(found, choices)
            plan = planning.make(checked, observed, choices)
            refused = self._refused(plan, found, choices)
            if not refused:
                break
            found = [one for one in found if one.done.step.number not in refused]
        idle = {"back": self._back, "idle": self._idle}
        told = undo_notes.nothing_to_do(self._record, [*self._steps.values()], **idle)
        return Undo(
            plan=plan,
            checked=checked,
            network=network,
            options=replace(options, **vars(choices)),
            run=self._record.run,
            stays=tuple(self._stays[number] for number in sorted(self._stays)),
            notes=(*undo_notes.lost(found), *told),
        )

    # What there is to take back

    def _done(self) -> Iterator[Done]:
        for record in self._steps.values():
            one = changes.told_apart(record)
            if isinstance(one, Problem):
                self._leave(record.step, one)
            elif one:
                yield one

    def _reversals(self, done: Iterable[Done], now: Now) -> list[Reversal]:
        found = []
        for one in done:
            if changes.is_back(one, now):
                self._back += 1
                continue
            made = self._reversal(one, now)
            if isinstance(made, Problem):
                self._leave(one.step, made, about=undo_rows.about(one))
            elif made.is_change:
                found.append(made)
            else:
                self._idle += 1
        return found

    @staticmethod
    def _reversal(done: Done, now: Now) -> Reversal | Problem:
        one = now.find(done, done.scope)
        problem = changes.problem(done, one, now)
        return problem or undo_rows.reversal(done, one or {}, now.version)

    def _without_needed(self, found: Iterable[Reversal]) -> list[Reversal]:
        """Without the advertisers that are needed by numbers which stay."""
        needed = {self._steps[number].step.needs for number in self._stays}
        kept = []
        for one in found:
            if one.done.step.number in needed:
                self._leave(one.done.step, Problem(code="undo_needed"), about=undo_rows.about(one.done))
            else:
                kept.append(one)
        return kept

    # The plan

    def _checked(self, found: Sequence[Reversal], choices: Choices) -> Checked:
        loaded = undo_sheets.loaded(found, choices, self._record.api_version)
        named = [replace(one, source=source_of(self._record.run)) for one in loaded]
        return validation.validate(named, version=self._record.api_version)

    def _refused(self, plan: Plan, found: Sequence[Reversal], choices: Choices) -> set[int]:
        """The steps of the rows that the plan refuses, each told."""
        about = {one.name: one.resource for one in plan.sheets}
        errors = plan.issues[plan.issues["level"] == "error"].dropna(subset="row")
        whose = undo_sheets.owners(found, choices)
        refused = set()
        for name, row, *told in zip(*(errors[name] for name in ("sheet", "row", "message", "fix")), strict=True):
            one = whose[about[name], int(row)].done
            refused.add(one.step.number)
            self._tell(one.step, *told, about=undo_rows.about(one))
        return refused

    # What stays

    def _leave(self, step: Step, problem: Problem, *, about: str = "") -> None:
        self._tell(step, problem.message, problem.fix, about=about)

    def _tell(self, step: Step, error: str, fix: str, *, about: str) -> None:
        row = self._first_rows[step.number]
        self._stays[step.number] = NotUndone(
            step=step.number,
            sheet=self._record.sheets[row.sheet].name,
            row=row.row,
            action=step.action.value,
            about=about or _about(step),
            error=error,
            fix=fix,
        )


def _scopes(done: Iterable[Done]) -> list[Scope]:
    """Where the objects of the run are and were, each once."""
    places = (place for one in done for place in (one.scope, one.origin) if place is not None)
    return list(dict.fromkeys(places))


def _about(step: Step) -> str:
    """An object as people call it, where the journal has no state of it that the run has left."""
    before = step.before or step.body or {}
    if step.resource == ADVERTISERS.name:
        return " ".join(filter(None, (merge.called(before), f"({step.own_id})" if step.own_id else "")))
    name = step.own_id if step.action is Action.CREATE else step.path[-1]
    return outcomes.number_of(before) or name
