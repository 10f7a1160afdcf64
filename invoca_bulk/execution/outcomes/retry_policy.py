"""All attempts of a step: whether it is sent again, and what it comes to in the end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from invoca_bulk.config.settings import MAX_ATTEMPTS, MAX_REFUSALS
from invoca_bulk.execution.outcomes import response_policy
from invoca_bulk.execution.outcomes.attempt import Verdict, still_in_doubt
from invoca_bulk.journal import DONE_OUTCOME, DOUBTED, State
from invoca_bulk.schema import RESOURCES

if TYPE_CHECKING:
    from invoca_bulk.planning import Step


def after(verdict: Verdict, step: Step, attempts: int, earlier: Verdict) -> Verdict:
    """What a step comes to after one attempt more.

    Args:
        verdict: what that attempt came to.
        step: the step.
        attempts: how many there were, that one included.
        earlier: what those before came to: `sent` if one of them may have been applied.

    Returns:
        The verdict with the state that the step goes to: `pending` or `sent` where it is to be sent again.
    """
    doubted = earlier.state in DOUBTED or earlier.state is State.ABSENT  # not found proves less than an answer
    if verdict.state is State.REJECTED and doubted:
        return still_in_doubt(verdict, step, earlier)  # to be told "rejected" would mean that nothing was changed
    if verdict.state is State.PENDING and doubted:
        verdict = still_in_doubt(verdict, step, earlier)
    if verdict.state is State.PENDING:
        most = MAX_REFUSALS if verdict.http_status in response_policy.FOR_NOW else MAX_ATTEMPTS
        return verdict if verdict.stop or attempts < most else _failed(verdict, attempts)
    if verdict.state is not State.IN_DOUBT or verdict.stop or not response_policy.way_of(step).again:
        return verdict
    return replace(verdict, state=State.SENT) if attempts < MAX_ATTEMPTS else _tried(verdict, attempts)


def left(verdict: Verdict) -> Verdict:
    """A step that was to be sent again when the run stopped."""
    return replace(verdict, state=State.IN_DOUBT)


def _tried(verdict: Verdict, attempts: int) -> Verdict:
    return replace(verdict, error=f"{verdict.error.rstrip('.')}. Tried {attempts} times.")


def _failed(verdict: Verdict, attempts: int) -> Verdict:
    """A step whose retries are used up: it surely did not happen."""
    error = _tried(verdict, attempts).error
    return Verdict(state=State.FAILED, http_status=verdict.http_status, error=error, fix=response_policy.TRY_AGAIN)


def held_back(needed: Step, came_to: State | None) -> Verdict:
    """A step that was not sent, because another one was not done that it needs.

    Args:
        needed: that step.
        came_to: where it stands; None: it was not sent either.
    """
    one, done = RESOURCES[needed.resource].one, DONE_OUTCOME[needed.action]
    if came_to is State.IN_DOUBT:
        error = f"It is not certain that its {one} was {done}, so it was not sent."
        return Verdict(state=State.PENDING, error=error, fix=f"Look the {one} up, then run the results file.")
    fix = f"See to the row of the {one} first, then run the results file."
    return Verdict(state=State.PENDING, error=f"Its {one} was not {done}, so it was not sent.", fix=fix)
