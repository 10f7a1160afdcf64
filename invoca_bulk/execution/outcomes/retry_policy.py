"""All attempts of a step: whether it is sent again, and its final result."""

from __future__ import annotations

from dataclasses import replace

from invoca_bulk.config.settings import MAX_ATTEMPTS, MAX_THROTTLED_ATTEMPTS
from invoca_bulk.execution.outcomes import response_policy
from invoca_bulk.execution.outcomes.attempt import StepResult, still_in_doubt
from invoca_bulk.journal import AMBIGUOUS_STATES, OUTCOME_IF_DONE, State
from invoca_bulk.planning import Step
from invoca_bulk.schema import RESOURCES


def apply_retry_policy(result: StepResult, step: Step, attempts: int, earlier_result: StepResult) -> StepResult:
    """The result of a step after one more attempt: `pending` or `sent` if it is to be sent again.

    `attempts` includes that one. `earlier_result`, of the previous ones, is `sent` if one of them may have been
    applied.
    """
    # `absent` counts as in doubt: a lookup that found nothing proves less than a response.
    was_in_doubt = earlier_result.state in AMBIGUOUS_STATES or earlier_result.state is State.ABSENT
    if result.state is State.REJECTED and was_in_doubt:
        return still_in_doubt(result, step, earlier_result)  # `rejected` would mean that nothing was changed
    if result.state is State.PENDING and was_in_doubt:
        result = still_in_doubt(result, step, earlier_result)
    if result.aborts_run:
        return result
    if result.state is State.PENDING:
        limit = MAX_THROTTLED_ATTEMPTS if result.http_status in response_policy.THROTTLED_STATUSES else MAX_ATTEMPTS
        if attempts < limit:
            return result
        error = _with_attempt_count(result, attempts).error
        fix = response_policy.RETRY_FIX
        return StepResult(state=State.FAILED, http_status=result.http_status, error=error, fix=fix)
    if result.state is State.IN_DOUBT and response_policy.response_policy_for(step).retryable:
        return replace(result, state=State.SENT) if attempts < MAX_ATTEMPTS else _with_attempt_count(result, attempts)
    return result


def _with_attempt_count(result: StepResult, attempts: int) -> StepResult:
    return replace(result, error=f"{result.error.rstrip('.')}. Tried {attempts} times.")


def blocked(needed_step: Step, needed_state: State | None) -> StepResult:
    """A step that was not sent because the step it depends on was not done; state None: that was not sent either."""
    noun, done = RESOURCES[needed_step.resource].singular, OUTCOME_IF_DONE[needed_step.action]
    if needed_state is State.IN_DOUBT:
        error = f"It is not certain that its {noun} was {done}, so it was not sent."
        return StepResult(state=State.PENDING, error=error, fix=f"Look the {noun} up, then run the results file.")
    fix = f"Fix the row of the {noun} first, then run the results file."
    return StepResult(state=State.PENDING, error=f"Its {noun} was not {done}, so it was not sent.", fix=fix)
