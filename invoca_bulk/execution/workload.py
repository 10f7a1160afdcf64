"""What an execution has to do: the steps of a plan, minus what the journal already knows of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from invoca_bulk.journal import State
from invoca_bulk.schema import PROMO_NUMBERS, Action

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from invoca_bulk.errors import InvocaBulkError
    from invoca_bulk.execution.outcomes import StepResult
    from invoca_bulk.journal import Journal, RunRecord, RunState, StepRecord
    from invoca_bulk.planning import PlanData, Step
    from invoca_bulk.schema.result_columns import Outcome

#: States of a step that may be sent again once it has been looked for.
_RESENDABLE_STATES = frozenset({State.IN_DOUBT, State.ABSENT})


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What one execution has to do.

    Attributes:
        run: the run's id.
        steps: its steps, by their numbers: all, or those that `assigned_steps` names and those that they need.
        column_titles: resource to path to the sheet's column title.
        baseline_numbers: promo numbers that the campaigns had when the run began.
        step_records: step number to what the journal knows of it; a step that is not here was never sent.
        borrowed_steps: run and step of the purchases of other runs that rows of this one wait for.
        assigned_steps: the steps that this execution does, while other processes do others; None: it does all of the
            run.
    """

    run: str
    steps: Mapping[int, Step]
    column_titles: Mapping[str, Mapping[str, str]]
    baseline_numbers: frozenset[str]
    step_records: Mapping[int, StepRecord] = field(default_factory=dict)
    borrowed_steps: frozenset[tuple[str, int]] = frozenset()
    assigned_steps: frozenset[int] | None = None

    @property
    def unsent_steps(self) -> list[Step]:
        """The steps that were never sent, and that no later run does instead."""
        known = self.step_records
        return [
            one
            for one in self.steps.values()
            if one.number not in known
            or (known[one.number].state is State.PENDING and not known[one.number].superseded_by)
        ]

    @property
    def purchase_count(self) -> int:
        """How many numbers are still to be bought; those in doubt that may be sent again among them."""
        doubted = [
            one.step for one in self.step_records.values() if one.state in _RESENDABLE_STATES and not one.superseded_by
        ]
        some = [*self.unsent_steps, *doubted]
        return sum(one.resource == PROMO_NUMBERS.name and one.action is Action.CREATE for one in some)

    @property
    def step_states(self) -> dict[int, State]:
        """Step number to where it stands; a step that is not here was never sent."""
        return {number: one.state for number, one in self.step_records.items() if one.state is not State.PENDING}


def workload_from_plan(run: str, plan: PlanData) -> Workload:
    """All of a plan: a run that has just begun."""
    earlier = (row.prior_purchase for row in plan.rows if row.prior_purchase)
    return Workload(
        run=run,
        steps={one.number: one for one in plan.steps},
        column_titles=plan.titles,
        baseline_numbers=frozenset(number for one in plan.platform_state.values() for number in one.promo_numbers),
        borrowed_steps=frozenset((one.run, one.step) for one in earlier),
    )


def workload_from_run(journal: Journal, record: RunRecord) -> Workload:
    """What is left of a run that was interrupted."""
    known = journal.steps(record.run)
    return Workload(
        run=record.run,
        steps={one.step.number: one.step for one in known},
        column_titles=record.titles,
        baseline_numbers=frozenset(number for numbers in journal.baselines(record.run).values() for number in numbers),
        step_records={one.step.number: one for one in known},
        borrowed_steps=journal.borrowed_steps(record.run),
    )


def workload_from_steps(journal: Journal, record: RunRecord, numbers: Collection[int]) -> Workload:
    """Some steps of a run, as they stand, while other processes do others."""
    known = {one.step.number: one for one in journal.steps_by_number(record.run, numbers)}
    needed = {one.step.depends_on for one in known.values() if one.step.depends_on is not None} - {*known}
    known |= {one.step.number: one for one in journal.steps_by_number(record.run, needed)}
    scopes = {one.step.path[:-1] for one in known.values() if one.step.non_idempotent}
    return Workload(
        run=record.run,
        steps={number: one.step for number, one in known.items()},
        column_titles=record.titles,
        baseline_numbers=frozenset(
            number for numbers in journal.baselines(record.run, scopes).values() for number in numbers
        ),
        step_records=known,
        assigned_steps=frozenset(numbers),
    )


def workload_from_unfinished(journal: Journal, record: RunRecord) -> Workload:
    """The steps of a run that have not come to their end."""
    return replace(
        workload_from_steps(journal, record, journal.open_steps(record.run)),
        borrowed_steps=journal.borrowed_steps(record.run),
    )


@dataclass
class RunCounters:
    """How far a run is; written by the run's thread, read by whoever shows it.

    Attributes:
        total: how many steps there are.
        finished_before: how many of them had come to their end before this execution began.
        outcomes: outcome to number of steps, all executions of the run together.
        rate: requests a second that are started at most; None: no limit was met yet.
        messages: sentences to show, the oldest first; whoever shows them takes them out.
    """

    total: int = 0
    finished_before: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    rate: float | None = None
    messages: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class RunOutcome:
    """How a run ended.

    Attributes:
        state: finished, interrupted or aborted.
        error: why it was aborted.
        unrecorded_results: step number to its verdict, where the journal could not take it any more.
    """

    state: RunState
    error: InvocaBulkError | None = None
    unrecorded_results: Mapping[int, StepResult] = field(default_factory=dict)
