"""All attempts of a step: whether it is sent again, and what it comes to in the end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from invoca_bulk.config.settings import MAX_ATTEMPTS, MAX_THROTTLED_ATTEMPTS
from invoca_bulk.execution.outcomes import response_policy
from invoca_bulk.execution.outcomes.attempt import StepResult, still_in_doubt
from invoca_bulk.journal import AMBIGUOUS_STATES, OUTCOME_IF_DONE, State
from invoca_bulk.schema import RESOURCES

if TYPE_CHECKING:
    from invoca_bulk.planning import Step


def apply_retry_policy(result: StepResult, step: Step, attempts: int, earlier_result: StepResult) -> StepResult:
    """What a step comes to after one attempt more.

    Args:
        result: what that attempt came to.
        step: the step.
        attempts: how many there were, that one included.
        earlier_result: what those before came to: `sent` if one of them may have been applied.

    Returns:
        The verdict with the state that the step goes to: `pending` or `sent` where it is to be sent again.
    """
    doubted = (
        earlier_result.state in AMBIGUOUS_STATES or earlier_result.state is State.ABSENT
    )  # not found proves less than an answer
    if result.state is State.REJECTED and doubted:
        return still_in_doubt(result, step, earlier_result)  # to be told "rejected" would mean that nothing was changed
    if result.state is State.PENDING and doubted:
        result = still_in_doubt(result, step, earlier_result)
    if result.state is State.PENDING:
        most = MAX_THROTTLED_ATTEMPTS if result.http_status in response_policy.THROTTLED_STATUSES else MAX_ATTEMPTS
        return result if result.aborts_run or attempts < most else _retries_exhausted(result, attempts)
    if (
        result.state is not State.IN_DOUBT
        or result.aborts_run
        or not response_policy.response_policy_for(step).retryable
    ):
        return result
    return replace(result, state=State.SENT) if attempts < MAX_ATTEMPTS else _with_attempt_count(result, attempts)


def stopped_before_retry(result: StepResult) -> StepResult:
    """A step that was to be sent again when the run stopped."""
    return replace(result, state=State.IN_DOUBT)


def _with_attempt_count(result: StepResult, attempts: int) -> StepResult:
    return replace(result, error=f"{result.error.rstrip('.')}. Tried {attempts} times.")


def _retries_exhausted(result: StepResult, attempts: int) -> StepResult:
    """A step whose retries are used up: it surely did not happen."""
    error = _with_attempt_count(result, attempts).error
    return StepResult(state=State.FAILED, http_status=result.http_status, error=error, fix=response_policy.RETRY_FIX)


def blocked(needed_step: Step, needed_state: State | None) -> StepResult:
    """A step that was not sent, because another one was not done that it needs.

    Args:
        needed_step: that step.
        needed_state: where it stands; None: it was not sent either.
    """
    one, done = RESOURCES[needed_step.resource].singular, OUTCOME_IF_DONE[needed_step.action]
    if needed_state is State.IN_DOUBT:
        error = f"It is not certain that its {one} was {done}, so it was not sent."
        return StepResult(state=State.PENDING, error=error, fix=f"Look the {one} up, then run the results file.")
    fix = f"See to the row of the {one} first, then run the results file."
    return StepResult(state=State.PENDING, error=f"Its {one} was not {done}, so it was not sent.", fix=fix)
