"""The result of one attempt of a step, and of the reads before and after it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus

from invoca_bulk.errors import InDoubtError, NotSentError, RequestFailedError
from invoca_bulk.execution.outcomes import response_policy
from invoca_bulk.execution.outcomes.error_text import describe_error_response, error_class_of
from invoca_bulk.journal import OUTCOME_IF_DONE, State
from invoca_bulk.planning import Step
from invoca_bulk.schema import RESOURCES, Action
from invoca_bulk.schema.field_types import Json
from invoca_bulk.transport.client import Response
from invoca_bulk.wording import plural_of, remedy

_NOT_RECORDED_REASON = "the program ended before the response was recorded"
_INITIAL_ERROR_SEPARATOR = "; at first: "
_LOOKUP_SEPARATOR = " When it was looked up later, "
_LOOK_AGAIN_FIX = f"Look again: {remedy('resume')},"


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """The result of sending a step."""

    #: The step's next state; `pending`: it was not applied and may be sent again; `sent`: it may have been applied and
    #: is sent again anyway, because repeating it is safe.
    state: State
    http_status: int | None = None  # None: no response
    answer: Json = None  # the response's JSON
    error: str = ""  # why the step is not done
    fix: str = ""
    retry_after: float | None = None  # seconds that the platform asks to wait
    aborts_run: bool = False  # whether the whole run has to stop
    is_empty_success: bool = False  # whether the answer is a success that shows nothing, as old versions give
    refuses_token: bool = False  # whether the platform rejected the token's rights, not the row
    doubt_reason: str = ""  # why an attempt may have been applied; empty: none may have been


def classify_response(
    response: Response,
    step: Step,
    column_titles: Mapping[str, str],
    *,
    was_in_doubt: bool = False,
    treat_429_as_ambiguous: bool = False,
) -> StepResult:
    """What a response means for a step.

    `was_in_doubt`: an earlier attempt of the step may have been applied. `treat_429_as_ambiguous`: a create may have
    been applied in spite of a 429.
    """
    policy = response_policy.response_policy_for(step, treat_429_as_ambiguous=treat_429_as_ambiguous)
    if was_in_doubt and response.status in policy.states_after_doubt:
        return _classify_after_doubt(response, step, policy.states_after_doubt[response.status])
    state = policy.states_by_status.get(response.status, State.IN_DOUBT)
    values = {"http_status": response.status, "answer": response.body}
    if state is State.DONE:
        problem = response_policy.missing_proof(step, response.body)
        if problem:
            values["is_empty_success"] = response.body in (None, {})
            return in_doubt(step, f"the platform answered {response.status}, but {problem}", **values)
        return StepResult(state=state, **values)
    reason = describe_error_response(response, column_titles, step.body)
    if state is State.IN_DOUBT:
        return in_doubt(step, reason, retry_after=response.retry_after, **values)
    fix = _rejection_fix(step, response, reason) if state is State.REJECTED else ""
    values |= {"retry_after": response.retry_after, "aborts_run": response.status == HTTPStatus.UNAUTHORIZED}
    values["refuses_token"] = error_class_of(response.body) in response_policy.TOKEN_ERROR_CLASSES
    return StepResult(state=state, error=reason, fix=fix, **values)


def _rejection_fix(step: Step, response: Response, reason: str) -> str:
    return response_policy.rejection_fix(step, response.status, error_class_of(response.body), reason)


def classify_failure(error: RequestFailedError, step: Step) -> StepResult:
    """What a call without a reliable response means for a step."""
    if isinstance(error, NotSentError):
        return StepResult(state=State.PENDING, error=f"It was not sent: {error}.")
    status = error.status if isinstance(error, InDoubtError) else None
    return in_doubt(step, str(error), http_status=status)


def not_sendable(reason: str) -> StepResult:
    """A step that cannot be sent as it is."""
    return StepResult(state=State.REJECTED, error=f"Nothing was sent. {reason}", fix=response_policy.CORRECT_ROW_FIX)


def unexpected_error(step: Step) -> StepResult:
    """A step whose call failed with an unforeseen exception after it was sent."""
    return classify_failure(InDoubtError("an unexpected error occurred after it was sent"), step)


def duplicate_number(result: StepResult, step: Step, number: str) -> StepResult:
    """A create whose response names a number that another row has or the campaign already had."""
    reason = f"the platform answered with {number}, which the campaign already had or another row has"
    return in_doubt(step, reason, http_status=result.http_status, answer=result.answer)


def _classify_after_doubt(response: Response, step: Step, state: State) -> StepResult:
    """A response that shows how an earlier attempt ended; its body is not the row's object."""
    if state is State.DONE:
        return StepResult(state=state, http_status=response.status)
    reason = "the platform no longer has it in its campaign, and it was not found at its destination"
    return in_doubt(step, reason, http_status=response.status)


def in_doubt(step: Step, reason: str, **values: Json) -> StepResult:
    """A step that may have been applied; `values` are other attributes of the result."""
    error = f"It may have been {OUTCOME_IF_DONE[step.action]}: {reason}."
    return StepResult(state=State.IN_DOUBT, error=error, fix=_in_doubt_fix(step), doubt_reason=reason, **values)


def still_in_doubt(result: StepResult, step: Step, earlier_result: StepResult) -> StepResult:
    """An attempt that was not applied, after one that may have been; the error gives both reasons."""
    earlier_reason = earlier_result.doubt_reason.rstrip(".")
    last_error = result.error.rstrip(".")
    doubt = in_doubt(step, f"an earlier attempt got no reliable response ({earlier_reason}), and then: {last_error}")
    return replace(result, state=doubt.state, error=doubt.error, fix=doubt.fix, doubt_reason=earlier_reason)


def _in_doubt_fix(step: Step) -> str:
    noun = RESOURCES[step.resource].singular
    if step.non_idempotent:
        return f"{_LOOK_AGAIN_FIX} or look the {noun} up on the platform; it is never sent again automatically."
    return f"Run the results file: it checks the {noun} and repeats the change if needed, which is harmless."


# After the run, or after its process was killed


def interrupted(step: Step, error: str) -> StepResult:
    """A repeatable step of an earlier execution that ended before the result was known; no error: it was killed."""
    doubt = in_doubt(step, _NOT_RECORDED_REASON)
    return replace(doubt, error=error or doubt.error)


def not_found(step: Step, settle_seconds: float, earlier_error: str) -> StepResult:
    """A purchase in doubt that the platform does not show after the settle time."""
    initial_error = earlier_error.rpartition(_INITIAL_ERROR_SEPARATOR)[2]
    reason = f"{_INITIAL_ERROR_SEPARATOR}{initial_error}" if initial_error else "."
    error = f"It was not found on the platform after {settle_seconds:g} s{reason}"
    fix = (
        f"Look the {RESOURCES[step.resource].singular} up on the platform. If it is not there, send it again: "
        f"{remedy('resume', 'resend_absent')}"
    )
    return StepResult(state=State.ABSENT, error=error, fix="" if step.own_id else fix)


def unresolved(step: Step, reason: str, earlier_error: str) -> StepResult:
    """A purchase that stays in doubt; resuming looks again. No earlier error: the run was killed."""
    initial_error = (earlier_error or in_doubt(step, _NOT_RECORDED_REASON).error).split(_LOOKUP_SEPARATOR)[0]
    fix = f"{_LOOK_AGAIN_FIX} or look the {RESOURCES[step.resource].singular} up on the platform."
    return StepResult(state=State.IN_DOUBT, error=f"{initial_error}{_LOOKUP_SEPARATOR}{reason}.", fix=fix)


def ambiguous(error: str, fix: str) -> StepResult:
    """A purchase that stays in doubt because the campaign's list does not decide it."""
    return StepResult(state=State.IN_DOUBT, error=error, fix=fix)


_ADD_OR_REPLAN_FIX = "Add it to the sheet, or plan again and confirm its removal; then run the results file."


def classify_preflight(response: Response, step: Step, column_titles: Mapping[str, str]) -> StepResult | None:
    """Why an object that was just read cannot be written; None: it can."""
    noun, status = RESOURCES[step.resource].singular, response.status
    mismatch = response_policy.describe_mismatch(step, response.body) if status == HTTPStatus.OK else ""
    exists = status == HTTPStatus.OK and not mismatch
    if exists or status == HTTPStatus.NOT_FOUND:
        if exists is not (step.action is Action.CREATE):
            return None
        # A POST would replace the object, and a PUT would create it again with the sheet's values only.
        change = "already exists; it was created" if exists else "no longer exists; it was deleted"
        error = f"The {noun} {change} since the plan was made."
        return StepResult(state=State.REJECTED, http_status=status, error=error, fix=response_policy.REPLAN_FIX)
    reason = mismatch or describe_error_response(response, column_titles).rstrip(".")
    if response_policy.IDEMPOTENT_POLICY.states_by_status.get(status) is State.REJECTED:
        error = f"The {noun} could not be read before the change: {reason}."
        refuses_token = error_class_of(response.body) in response_policy.TOKEN_ERROR_CLASSES
        fix = response_policy.RIGHTS_FIX if refuses_token else response_policy.CORRECT_ROW_FIX
        return StepResult(state=State.REJECTED, http_status=status, error=error, fix=fix, refuses_token=refuses_token)
    result, aborts_run = preflight_failed(step, reason), status == HTTPStatus.UNAUTHORIZED
    return replace(result, http_status=status, retry_after=response.retry_after, aborts_run=aborts_run)


def preflight_failed(step: Step, reason: str) -> StepResult:
    """A step that was not sent because its object could not be read first."""
    error = f"It was not sent: the {RESOURCES[step.resource].singular} could not be read before the change ({reason})."
    return StepResult(state=State.PENDING, error=error)


def changed_since_plan(
    step: Step, *, added: Sequence[str], removed: Sequence[str], changed_defaults: Collection[str]
) -> StepResult:
    """A step that is not sent because it would revert what others have changed since the plan was made.

    It would remove the `added` users and sites, restore or need the `removed` ones, and change back the default of the
    kinds of part in `changed_defaults`, such as `site`.
    """
    noun = RESOURCES[step.resource].singular
    clauses = [
        f"{', '.join(added)} {plural_of(len(added), 'was', 'were')} added to the {noun}" if added else "",
        f"{', '.join(removed)} {plural_of(len(removed), 'was', 'were')} removed" if removed else "",
        *(f"the default {kind} was changed" for kind in changed_defaults),
    ]
    text = " and ".join(filter(None, clauses))
    error = f"{text[:1].upper()}{text[1:]} since the plan was made; nothing was sent."
    fix = _ADD_OR_REPLAN_FIX if added else response_policy.REPLAN_FIX
    return StepResult(state=State.REJECTED, error=error, fix=fix)


def deleted() -> StepResult:
    """A deletion in doubt that was done: the number now belongs to another object."""
    return StepResult(state=State.DONE, http_status=HTTPStatus.NOT_FOUND.value)


def stale(step: Step) -> StepResult:
    """A step of a resumed run whose object was changed since the plan was made."""
    error = f"The {RESOURCES[step.resource].singular} was changed since the plan was made; nothing was sent."
    return StepResult(state=State.REJECTED, error=error, fix=response_policy.REPLAN_FIX)


def confirmed(platform_object: Mapping[str, Json]) -> StepResult:
    """A step in doubt that was done: the platform has the object."""
    return StepResult(state=State.DONE, http_status=HTTPStatus.OK.value, answer=platform_object)
