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
    from invoca_bulk.execution.outcomes import Verdict
    from invoca_bulk.journal import Journal, RunRecord, RunState, StepRecord
    from invoca_bulk.planning import Plan, Step
    from invoca_bulk.schema.result_columns import Outcome

#: States of a step that may be sent again once it has been looked for.
_PERHAPS = frozenset({State.IN_DOUBT, State.ABSENT})


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one execution has to do.

    Attributes:
        run: the run's id.
        steps: its steps, by their numbers: all, or those that `mine` names and those that they need.
        titles: resource to path to the sheet's column title.
        given: promo numbers that the campaigns had when the run began.
        known: step number to what the journal knows of it; a step that is not here was never sent.
        concerns: run and step of the purchases of other runs that rows of this one wait for.
        mine: the steps that this execution does, while other processes do others; None: it does all of the run.
    """

    run: str
    steps: Mapping[int, Step]
    titles: Mapping[str, Mapping[str, str]]
    given: frozenset[str]
    known: Mapping[int, StepRecord] = field(default_factory=dict)
    concerns: frozenset[tuple[str, int]] = frozenset()
    mine: frozenset[int] | None = None

    @property
    def left(self) -> list[Step]:
        """The steps that were never sent, and that no later run does instead."""
        known = self.known
        return [
            one
            for one in self.steps.values()
            if one.number not in known or (known[one.number].state is State.PENDING and not known[one.number].taken_by)
        ]

    @property
    def new_numbers(self) -> int:
        """How many numbers are still to be bought; those in doubt that may be sent again among them."""
        doubted = [one.step for one in self.known.values() if one.state in _PERHAPS and not one.taken_by]
        some = [*self.left, *doubted]
        return sum(one.resource == PROMO_NUMBERS.name and one.action is Action.CREATE for one in some)

    @property
    def states(self) -> dict[int, State]:
        """Step number to where it stands; a step that is not here was never sent."""
        return {number: one.state for number, one in self.known.items() if one.state is not State.PENDING}


def of_plan(run: str, plan: Plan) -> Work:
    """All of a plan: a run that has just begun."""
    earlier = (row.earlier for row in plan.rows if row.earlier)
    return Work(
        run=run,
        steps={one.number: one for one in plan.steps},
        titles=plan.titles,
        given=frozenset(number for one in plan.observed.values() for number in one.promo_numbers),
        concerns=frozenset((one.run, one.step) for one in earlier),
    )


def of_run(book: Journal, record: RunRecord) -> Work:
    """What is left of a run that was interrupted."""
    known = book.steps(record.run)
    return Work(
        run=record.run,
        steps={one.step.number: one.step for one in known},
        titles=record.titles,
        given=frozenset(number for numbers in book.baselines(record.run).values() for number in numbers),
        known={one.step.number: one for one in known},
        concerns=book.borrowed(record.run),
    )


def of_some(book: Journal, record: RunRecord, numbers: Collection[int]) -> Work:
    """Some steps of a run, as they stand, while other processes do others."""
    known = {one.step.number: one for one in book.steps_of(record.run, numbers)}
    needed = {one.step.needs for one in known.values() if one.step.needs is not None} - {*known}
    known |= {one.step.number: one for one in book.steps_of(record.run, needed)}
    scopes = {one.step.path[:-1] for one in known.values() if one.step.once}
    return Work(
        run=record.run,
        steps={number: one.step for number, one in known.items()},
        titles=record.titles,
        given=frozenset(number for numbers in book.baselines(record.run, scopes).values() for number in numbers),
        known=known,
        mine=frozenset(numbers),
    )


def of_rest(book: Journal, record: RunRecord) -> Work:
    """The steps of a run that have not come to their end."""
    return replace(of_some(book, record, book.rest(record.run)), concerns=book.borrowed(record.run))


@dataclass
class Tally:
    """How far a run is; written by the run's thread, read by whoever shows it.

    Attributes:
        total: how many steps there are.
        before: how many of them had come to their end before this execution began.
        outcomes: outcome to number of steps, all executions of the run together.
        rate: requests a second that are started at most; None: no limit was met yet.
        said: sentences to show, the oldest first; whoever shows them takes them out.
    """

    total: int = 0
    before: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    rate: float | None = None
    said: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run ended.

    Attributes:
        state: finished, interrupted or aborted.
        error: why it was aborted.
        unrecorded: step number to its verdict, where the journal could not take it any more.
    """

    state: RunState
    error: InvocaBulkError | None = None
    unrecorded: Mapping[int, Verdict] = field(default_factory=dict)
