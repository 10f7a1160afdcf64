"""States of steps and runs, the allowed transitions, and the outcomes of rows."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from invoca_bulk.schema.outcomes import Outcome


class State(StrEnum):
    """The state of a step."""

    PENDING = "pending"
    SENT = "sent"
    IN_DOUBT = "in_doubt"
    ABSENT = "absent"
    DONE = "done"
    REJECTED = "rejected"
    FAILED = "failed"


class RunState(StrEnum):
    """The state of a run. A `running` run without an owner was interrupted."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    ABORTED = "aborted"


#: Why a run cannot be stopped.
NOT_RUNNING = "The run is no longer in progress."

#: State to the allowed next states; any other transition is a bug in the caller.
TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.PENDING: frozenset({State.SENT}),
    State.SENT: frozenset({State.DONE, State.REJECTED, State.PENDING, State.FAILED, State.IN_DOUBT}),
    State.IN_DOUBT: frozenset({State.DONE, State.ABSENT, State.SENT}),  # sent: an idempotent step is retried
    State.ABSENT: frozenset({State.IN_DOUBT, State.SENT}),  # looked up again, or sent again
    State.DONE: frozenset(),
    State.REJECTED: frozenset(),
    State.FAILED: frozenset(),
}

#: A row's action to its outcome when its step is done. `remove` removes a subresource (a user, a site).
OUTCOME_IF_DONE: Mapping[str, Outcome] = {
    "create": Outcome.CREATED,
    "update": Outcome.UPDATED,
    "move": Outcome.MOVED,
    "delete": Outcome.DELETED,
    "remove": Outcome.DELETED,
    "unchanged": Outcome.UNCHANGED,
}

#: A step's state to its row's outcome if the run ends in it; the outcome of `done` depends on the action.
OUTCOME_IF_STOPPED: Mapping[State, Outcome] = {
    State.PENDING: Outcome.NOT_SENT,
    State.SENT: Outcome.UNKNOWN,
    State.IN_DOUBT: Outcome.UNKNOWN,
    State.ABSENT: Outcome.UNKNOWN,
    State.REJECTED: Outcome.REJECTED,
    State.FAILED: Outcome.FAILED,
}

#: States of a step whose request may have been applied, and whose outcome is not known yet.
AMBIGUOUS_STATES = frozenset({State.SENT, State.IN_DOUBT})
#: States of a step that changed something on the platform, or may have.
MAY_HAVE_EFFECT_STATES = frozenset({State.SENT, State.IN_DOUBT, State.ABSENT, State.DONE})


def derive_outcome(state: str, action: str) -> Outcome:
    """The outcome of a row from the state of its step; the row's action decides that of a done step."""
    return OUTCOME_IF_DONE[action] if state == State.DONE else OUTCOME_IF_STOPPED[State(state)]
