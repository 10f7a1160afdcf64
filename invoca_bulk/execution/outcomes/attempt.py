"""One attempt of a step: what its answer means, and what is read just before it and after it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from invoca_bulk.errors import InDoubtError, NotSentError
from invoca_bulk.execution.outcomes import response_policy
from invoca_bulk.execution.outcomes.error_text import describe_error_response
from invoca_bulk.journal import OUTCOME_IF_DONE, State
from invoca_bulk.schema import RESOURCES, Action
from invoca_bulk.wording import remedy

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from invoca_bulk.errors import RequestFailedError
    from invoca_bulk.planning import Step
    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.transport.client import Response


_INITIAL_ERROR_SEPARATOR = "; at first: "
_LOOKUP_SEPARATOR = " When it was looked up later, "
_LOOK_AGAIN_FIX = f"Look again: {remedy('resume')},"


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """What became of a step that was sent.

    Attributes:
        state: the state that it goes to; `pending`: it was surely not applied, and may be sent again; `sent`: it may
            have been applied, and is sent again all the same, since doing it twice is harmless.
        http_status: None: no answer came.
        answer: the platform's JSON; None: there was none.
        error: why it is not done, in plain words.
        fix: what to do about it.
        retry_after: seconds that the platform asks to wait; None: it does not say.
        aborts_run: whether the whole run has to stop.
        doubt_reason: why it may have been applied, of the attempt that may; empty: of none.
    """

    state: State
    http_status: int | None = None
    answer: Json = None
    error: str = ""
    fix: str = ""
    retry_after: float | None = None
    aborts_run: bool = False
    doubt_reason: str = ""


def classify_response(
    response: Response,
    step: Step,
    column_titles: Mapping[str, str],
    *,
    was_in_doubt: bool = False,
    treat_429_as_ambiguous: bool = False,
) -> StepResult:
    """What an answer means for a step.

    Args:
        response: the platform's answer.
        step: the step that was sent.
        column_titles: path to the sheet's column title, for the fields that a 403 names.
        was_in_doubt: whether an earlier attempt of the step may have been applied.
        treat_429_as_ambiguous: take a 429 for no proof that a create was not applied.
    """
    way = response_policy.response_policy_for(step, treat_429_as_ambiguous=treat_429_as_ambiguous)
    state = way.states_by_status.get(response.status, State.IN_DOUBT)
    if was_in_doubt and response.status in way.states_after_doubt:
        return _classify_after_doubt(response, step, way.states_after_doubt[response.status])
    known = {"http_status": response.status, "answer": response.body}
    problem = response_policy.missing_proof(step, response.body) if state is State.DONE else ""
    if problem:
        return in_doubt(step, f"the platform answered {response.status}, but {problem}", **known)
    if state is State.DONE:
        return StepResult(state=state, **known)
    reason = describe_error_response(response, column_titles, step.body)
    if state is State.IN_DOUBT:
        return in_doubt(step, reason, retry_after=response.retry_after, **known)
    fix = response_policy.rejection_fix(step, response.status) if state is State.REJECTED else ""
    stop = response.status == response_policy.HTTP_UNAUTHORIZED
    return StepResult(state=state, error=reason, fix=fix, retry_after=response.retry_after, aborts_run=stop, **known)


def classify_failure(error: RequestFailedError, step: Step) -> StepResult:
    """What a call without a trustworthy answer means for a step."""
    if isinstance(error, NotSentError):
        return StepResult(state=State.PENDING, error=f"It was not sent: {error}.")
    status = error.status if isinstance(error, InDoubtError) else None
    return in_doubt(step, str(error), http_status=status)


def not_sendable(reason: str) -> StepResult:
    """A step that cannot be sent as it is."""
    return StepResult(state=State.REJECTED, error=f"Nothing was sent. {reason}", fix=response_policy.CORRECT_ROW_FIX)


def unexpected_error(step: Step) -> StepResult:
    """A step after whose sending something went wrong that nobody has foreseen."""
    return classify_failure(InDoubtError("something unexpected went wrong after it was sent"), step)


def duplicate_number(result: StepResult, step: Step, number: str) -> StepResult:
    """A create that was answered with a number which another row has, or which the campaign had before."""
    reason = f"the platform answered with {number}, which the campaign had before or another row has got"
    return in_doubt(step, reason, http_status=result.http_status, answer=result.answer)


def _classify_after_doubt(response: Response, step: Step, state: State) -> StepResult:
    """An answer that says how an earlier attempt ended; it shows no object of the row's."""
    if state is State.DONE:
        return StepResult(state=state, http_status=response.status)
    reason = "the platform does not have it any more where it was, and it was not found where it goes"
    return in_doubt(step, reason, http_status=response.status)


def in_doubt(step: Step, reason: str, **known: Json) -> StepResult:
    """A step that may have been applied; `known` are other attributes of the verdict."""
    error = f"It may have been {OUTCOME_IF_DONE[step.action]}: {reason}."
    return StepResult(state=State.IN_DOUBT, error=error, fix=_in_doubt_fix(step), doubt_reason=reason, **known)


def still_in_doubt(result: StepResult, step: Step, earlier_result: StepResult) -> StepResult:
    """An attempt that surely did nothing, after one that may have; both reasons are told."""
    first = earlier_result.doubt_reason.rstrip(".")
    doubt = in_doubt(step, f"an earlier try had no trustworthy answer ({first}), and then: {result.error.rstrip('.')}")
    return replace(result, state=doubt.state, error=doubt.error, fix=doubt.fix, doubt_reason=first)


def _in_doubt_fix(step: Step) -> str:
    one = RESOURCES[step.resource].singular
    if step.non_idempotent:
        return f"{_LOOK_AGAIN_FIX} or look the {one} up there; it is never sent again by itself."
    return (
        f"Run the results file: looking at the {one} again, and doing it once more where that is needed, is harmless."
    )


# After the run, or a kill


def interrupted(step: Step, error: str) -> StepResult:
    """A step whose last attempt may have been applied, of an execution that ended before it was known.

    Args:
        step: the step, which may be repeated.
        error: what that execution said of it; empty: it was killed.
    """
    doubt = in_doubt(step, "the program was ended before the answer was recorded")
    return replace(doubt, error=error or doubt.error)


def not_found(step: Step, settle_seconds: float, earlier_error: str) -> StepResult:
    """A purchase in doubt that the platform does not show after the settle time."""
    first = earlier_error.rpartition(_INITIAL_ERROR_SEPARATOR)[2]
    seen = f"It was not found there after {settle_seconds:g} s" + (
        f"{_INITIAL_ERROR_SEPARATOR}{first}" if first else "."
    )
    fix = (
        f"Look the {RESOURCES[step.resource].singular} up on the platform. If it is not there, send it again: "
        f"{remedy('resume', 'resend_absent')}"
    )
    return StepResult(state=State.ABSENT, error=seen, fix="" if step.own_id else fix)


def unresolved(step: Step, reason: str, earlier_error: str) -> StepResult:
    """A purchase that stays in doubt; `invoca-bulk resume` looks again.

    Args:
        step: the step.
        reason: why it could not be told.
        earlier_error: what the run said of it at first; empty: it was killed.
    """
    first = earlier_error or in_doubt(step, "the program was ended before the answer was recorded").error
    fix = f"{_LOOK_AGAIN_FIX} or look the {RESOURCES[step.resource].singular} up there."
    return StepResult(
        state=State.IN_DOUBT, error=f"{first.split(_LOOKUP_SEPARATOR)[0]}{_LOOKUP_SEPARATOR}{reason}.", fix=fix
    )


def ambiguous(error: str, fix: str) -> StepResult:
    """A purchase that stays in doubt, since the campaign's list does not tell."""
    return StepResult(state=State.IN_DOUBT, error=error, fix=fix)


# What is read before a step is sent, and after it

_ADD_OR_REPLAN_FIX = (
    "Add it to the sheet, or make the plan again to have its removal confirmed; then run the results file."
)


def classify_preflight(response: Response, step: Step, column_titles: Mapping[str, str]) -> StepResult | None:
    """Why an object that was read just before it is written cannot be written; None: it can."""
    one, creates = RESOURCES[step.resource].singular, step.action is Action.CREATE
    odd = response_policy.describe_mismatch(step, response.body) if response.status == response_policy.HTTP_OK else ""
    there = response.status == response_policy.HTTP_OK and not odd
    if there or response.status == response_policy.HTTP_NOT_FOUND:
        if there is not creates:
            return None
        # A POST would replace all of it, and a PUT make it anew with nothing but what the sheet knows.
        since = "is there already; it was created" if there else "is not there any more; it was deleted"
        error = f"The {one} {since} since the plan was made."
        return StepResult(
            state=State.REJECTED, http_status=response.status, error=error, fix=response_policy.REPLAN_FIX
        )
    reason = odd or describe_error_response(response, column_titles).rstrip(".")
    if response_policy.IDEMPOTENT_POLICY.states_by_status.get(response.status) is State.REJECTED:
        error = f"The {one} could not be read before the change: {reason}."
        return StepResult(
            state=State.REJECTED, http_status=response.status, error=error, fix=response_policy.CORRECT_ROW_FIX
        )
    stop = response.status == response_policy.HTTP_UNAUTHORIZED
    return replace(
        preflight_failed(step, reason), http_status=response.status, retry_after=response.retry_after, aborts_run=stop
    )


def preflight_failed(step: Step, reason: str) -> StepResult:
    """A step that was not sent, because its object could not be read before."""
    error = f"It was not sent: the {RESOURCES[step.resource].singular} could not be read before the change ({reason})."
    return StepResult(state=State.PENDING, error=error)


def changed_since_plan(
    step: Step, *, added: Sequence[str], removed: Sequence[str], changed_defaults: Collection[str]
) -> StepResult:
    """A step that is not sent, since it would undo what others have done to the object since the plan was made.

    Args:
        step: the step.
        added: what would be taken away, such as `user Jim Williams (U-2)`.
        removed: what was taken away and would come back, or is needed.
        changed_defaults: what would be made the first of its set again, such as `site`.
    """
    one = RESOURCES[step.resource].singular
    clauses = [
        f"{', '.join(added)} came to the {one}" if added else "",
        f"{', '.join(removed)} {'was' if len(removed) == 1 else 'were'} removed" if removed else "",
        *(f"the default {what} was changed" for what in changed_defaults),
    ]
    text = " and ".join(filter(None, clauses))
    error = f"{text[:1].upper()}{text[1:]} since the plan was made; nothing was sent."
    return StepResult(
        state=State.REJECTED, error=error, fix=_ADD_OR_REPLAN_FIX if added else response_policy.REPLAN_FIX
    )


def deleted() -> StepResult:
    """A deletion in doubt that was done: what has its name now is another object."""
    return StepResult(state=State.DONE, http_status=response_policy.HTTP_NOT_FOUND)


def stale(step: Step) -> StepResult:
    """A step of a run that goes on, whose object somebody has changed since the plan was made."""
    error = f"The {RESOURCES[step.resource].singular} was changed since the plan was made; nothing was sent."
    return StepResult(state=State.REJECTED, error=error, fix=response_policy.REPLAN_FIX)


def confirmed(platform_object: Mapping[str, Json]) -> StepResult:
    """A step in doubt that was done after all: the object is there."""
    return StepResult(state=State.DONE, http_status=response_policy.HTTP_OK, answer=platform_object)
