"""Where a step and a run can stand, what may follow, and what a row comes to."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from invoca_bulk.schema.result_columns import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping


class State(StrEnum):
    """Where a step stands."""

    PENDING = "pending"
    SENT = "sent"
    IN_DOUBT = "in_doubt"
    ABSENT = "absent"
    DONE = "done"
    REJECTED = "rejected"
    FAILED = "failed"


class RunState(StrEnum):
    """Where a run stands. A `running` one whose owner is gone was interrupted."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    ABORTED = "aborted"


#: State to the states that may follow; all others are a defect of the caller.
TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.PENDING: frozenset({State.SENT}),
    State.SENT: frozenset({State.DONE, State.REJECTED, State.PENDING, State.FAILED, State.IN_DOUBT}),
    State.IN_DOUBT: frozenset({State.DONE, State.ABSENT, State.SENT}),  # sent: again, of what may be repeated
    State.ABSENT: frozenset({State.IN_DOUBT, State.SENT}),  # looked at anew, or sent again
    State.DONE: frozenset(),
    State.REJECTED: frozenset(),
    State.FAILED: frozenset(),
}

#: What a row asks for, to its outcome when its step is done. `remove` takes a part (a user, a site) away.
OUTCOME_IF_DONE: Mapping[str, Outcome] = {
    "create": Outcome.CREATED,
    "update": Outcome.UPDATED,
    "move": Outcome.MOVED,
    "delete": Outcome.DELETED,
    "remove": Outcome.DELETED,
    "unchanged": Outcome.UNCHANGED,
}

#: State to the outcome if the run ends there; `done` depends on the action.
OUTCOME_IF_STOPPED: Mapping[State, Outcome] = {
    State.PENDING: Outcome.NOT_SENT,
    State.SENT: Outcome.UNKNOWN,
    State.IN_DOUBT: Outcome.UNKNOWN,
    State.ABSENT: Outcome.UNKNOWN,
    State.REJECTED: Outcome.REJECTED,
    State.FAILED: Outcome.FAILED,
}

#: States of a step that may have been applied, before and after the run has ended.
AMBIGUOUS_STATES = frozenset({State.SENT, State.IN_DOUBT})
#: States of a step that has, or may have, done something on the platform.
MAY_HAVE_EFFECT_STATES = frozenset({State.SENT, State.IN_DOUBT, State.ABSENT, State.DONE})


def derive_outcome(state: str, action: str) -> Outcome:
    """What a row comes to whose step stands in a state.

    Args:
        state: the step's.
        action: what the row asks for.
    """
    return OUTCOME_IF_DONE[action] if state == State.DONE else OUTCOME_IF_STOPPED[State(state)]
