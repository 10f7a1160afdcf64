"""What an execution has to do: the steps of a plan, and what the journal already knows of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain

from invoca_bulk.errors import InvocaBulkError
from invoca_bulk.execution.outcomes import StepResult
from invoca_bulk.journal import Journal, RunRecord, RunState, State, StepRecord
from invoca_bulk.planning import PlanData, Step
from invoca_bulk.schema import PROMO_NUMBERS, Action
from invoca_bulk.schema.outcomes import Outcome

#: States of a step that may be sent again after a lookup.
_RESENDABLE_STATES = frozenset({State.IN_DOUBT, State.ABSENT})


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What one execution has to do."""

    run: str
    steps: Mapping[int, Step]  # by number: all of the run, or the assigned ones and those that they depend on
    column_titles: Mapping[str, Mapping[str, str]]  # resource to path to the sheet's column title
    baseline_numbers: frozenset[str]  # promo numbers that the campaigns had when the run began
    step_records: Mapping[int, StepRecord] = field(default_factory=dict)  # steps without a record were never sent
    #: Run and step of purchases of other runs that rows of this run wait for.
    borrowed_steps: frozenset[tuple[str, int]] = frozenset()
    assigned_steps: frozenset[int] | None = None  # None: all steps of the run; else other processes run the others

    @property
    def unsent_steps(self) -> list[Step]:
        """The steps that were never sent and that no later run has taken over."""
        records = self.step_records.values()
        begun = {record.step.number for record in records if record.state is not State.PENDING or record.superseded_by}
        return [step for step in self.steps.values() if step.number not in begun]

    @property
    def purchase_count(self) -> int:
        """How many numbers are still to be bought, including those in doubt that may be sent again."""
        records = (record for record in self.step_records.values() if not record.superseded_by)
        resendable = [record.step for record in records if record.state in _RESENDABLE_STATES]
        creates = (step for step in [*self.unsent_steps, *resendable] if step.action is Action.CREATE)
        return sum(step.resource == PROMO_NUMBERS.name for step in creates)

    @property
    def step_states(self) -> dict[int, State]:
        """Step number to state, without the steps that were never sent."""
        return {
            number: record.state for number, record in self.step_records.items() if record.state is not State.PENDING
        }


def workload_from_plan(run: str, plan: PlanData) -> Workload:
    """The workload of a new run: all steps of a plan."""
    prior_purchases = (row.prior_purchase for row in plan.rows if row.prior_purchase)
    return Workload(
        run=run,
        steps={step.number: step for step in plan.steps},
        column_titles=plan.titles,
        baseline_numbers=frozenset(number for state in plan.platform_state.values() for number in state.promo_numbers),
        borrowed_steps=frozenset((purchase.run, purchase.step) for purchase in prior_purchases),
    )


def workload_from_run(journal: Journal, record: RunRecord) -> Workload:
    """The workload of a resumed run: all its steps, with what the journal knows of them."""
    step_records = journal.steps(record.run)
    return Workload(
        run=record.run,
        steps={step_record.step.number: step_record.step for step_record in step_records},
        column_titles=record.titles,
        baseline_numbers=frozenset(chain.from_iterable(journal.baselines(record.run).values())),
        step_records={step_record.step.number: step_record for step_record in step_records},
        borrowed_steps=journal.borrowed_steps(record.run),
    )


def workload_from_steps(journal: Journal, record: RunRecord, numbers: Collection[int]) -> Workload:
    """The workload of one process: some steps of a run, while other processes run the others."""
    step_records = _records_by_number(journal, record.run, numbers)
    dependencies = {step_record.step.depends_on for step_record in step_records.values()} - step_records.keys()
    step_records |= _records_by_number(journal, record.run, [number for number in dependencies if number is not None])
    steps = {number: step_record.step for number, step_record in step_records.items()}
    scopes = {step.path[:-1] for step in steps.values() if step.non_idempotent}
    return Workload(
        run=record.run,
        steps=steps,
        column_titles=record.titles,
        baseline_numbers=frozenset(chain.from_iterable(journal.baselines(record.run, scopes).values())),
        step_records=step_records,
        assigned_steps=frozenset(numbers),
    )


def _records_by_number(journal: Journal, run: str, numbers: Collection[int]) -> dict[int, StepRecord]:
    return {record.step.number: record for record in journal.steps_by_number(run, numbers)}


def workload_from_unfinished(journal: Journal, record: RunRecord) -> Workload:
    """The workload of the steps of a run that have no final state yet."""
    work = workload_from_steps(journal, record, journal.open_steps(record.run))
    return replace(work, borrowed_steps=journal.borrowed_steps(record.run))


@dataclass
class RunCounters:
    """Progress of a run, written by the run's thread and read by the progress display."""

    total: int = 0  # number of steps
    finished_before: int = 0  # number of steps that had ended before this execution began
    outcomes: Counter[Outcome] = field(default_factory=Counter)  # of steps, over all executions of the run
    rate: float | None = None  # current rate limit, in requests per second; None: no limit was met yet
    #: Sentences to show, oldest first; the display removes those that it has shown.
    messages: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class RunOutcome:
    """How a run ended."""

    state: RunState  # finished, interrupted or aborted
    error: InvocaBulkError | None = None  # why it was aborted
    unrecorded_results: Mapping[int, StepResult] = field(default_factory=dict)  # could not be written to the journal
