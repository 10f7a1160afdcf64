"""One attempt of a step: what its answer means, and what is read just before it and after it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from invoca_bulk.errors import InDoubt, NotSent
from invoca_bulk.execution.outcomes import response_policy
from invoca_bulk.execution.outcomes.error_text import explained
from invoca_bulk.journal import DONE_OUTCOME, State
from invoca_bulk.schema import RESOURCES, Action

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from invoca_bulk.errors import CallFailed
    from invoca_bulk.planning import Step
    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.transport.client import Answer


_AT_FIRST = "; at first: "
_LOOKED = " When it was looked up later, "
_LOOK_AGAIN = "Look again with: invoca-bulk resume RUN (RUN: result_run),"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a step that was sent.

    Attributes:
        state: the state that it goes to; `pending`: it was surely not applied, and may be sent again; `sent`: it may
            have been applied, and is sent again all the same, since doing it twice is harmless.
        http_status: None: no answer came.
        answer: the platform's JSON; None: there was none.
        error: why it is not done, in plain words.
        fix: what to do about it.
        wait: seconds that the platform asks to wait; None: it does not say.
        stop: whether the whole run has to stop.
        doubt: why it may have been applied, of the attempt that may; empty: of none.
    """

    state: State
    http_status: int | None = None
    answer: Json = None
    error: str = ""
    fix: str = ""
    wait: float | None = None
    stop: bool = False
    doubt: str = ""


def of_answer(
    answer: Answer, step: Step, titles: Mapping[str, str], *, doubted: bool = False, strict: bool = False
) -> Verdict:
    """What an answer means for a step.

    Args:
        answer: the platform's answer.
        step: the step that was sent.
        titles: path to the sheet's column title, for the fields that a 403 names.
        doubted: whether an earlier attempt of the step may have been applied.
        strict: take a 429 for no proof that a create was not applied.
    """
    way = response_policy.way_of(step, strict=strict)
    state = way.states.get(answer.status, State.IN_DOUBT)
    if doubted and answer.status in way.after_doubt:
        return _after_doubt(answer, step, way.after_doubt[answer.status])
    known = {"http_status": answer.status, "answer": answer.body}
    problem = response_policy.unproven(step, answer.body) if state is State.DONE else ""
    if problem:
        return in_doubt(step, f"the platform answered {answer.status}, but {problem}", **known)
    if state is State.DONE:
        return Verdict(state=state, **known)
    reason = explained(answer, titles, step.body)
    if state is State.IN_DOUBT:
        return in_doubt(step, reason, wait=answer.retry_after, **known)
    fix = response_policy.refusal_fix(step, answer.status) if state is State.REJECTED else ""
    stop = answer.status == response_policy.UNAUTHORIZED
    return Verdict(state=state, error=reason, fix=fix, wait=answer.retry_after, stop=stop, **known)


def of_failure(error: CallFailed, step: Step) -> Verdict:
    """What a call without a trustworthy answer means for a step."""
    if isinstance(error, NotSent):
        return Verdict(state=State.PENDING, error=f"It was not sent: {error}.")
    status = error.status if isinstance(error, InDoubt) else None
    return in_doubt(step, str(error), http_status=status)


def unsendable(reason: str) -> Verdict:
    """A step that cannot be sent as it is."""
    return Verdict(state=State.REJECTED, error=f"Nothing was sent. {reason}", fix=response_policy.CORRECT)


def unexpected(step: Step) -> Verdict:
    """A step after whose sending something went wrong that nobody has foreseen."""
    return of_failure(InDoubt("something unexpected went wrong after it was sent"), step)


def given_before(verdict: Verdict, step: Step, number: str) -> Verdict:
    """A create that was answered with a number which another row has, or which the campaign had before."""
    reason = f"the platform answered with {number}, which the campaign had before or another row has got"
    return in_doubt(step, reason, http_status=verdict.http_status, answer=verdict.answer)


def _after_doubt(answer: Answer, step: Step, state: State) -> Verdict:
    """An answer that says how an earlier attempt ended; it shows no object of the row's."""
    if state is State.DONE:
        return Verdict(state=state, http_status=answer.status)
    reason = "the platform does not have it any more where it was, and it was not found where it goes"
    return in_doubt(step, reason, http_status=answer.status)


def in_doubt(step: Step, reason: str, **known: Json) -> Verdict:
    """A step that may have been applied; `known` are other attributes of the verdict."""
    error = f"It may have been {DONE_OUTCOME[step.action]}: {reason}."
    return Verdict(state=State.IN_DOUBT, error=error, fix=_fix_in_doubt(step), doubt=reason, **known)


def still_in_doubt(verdict: Verdict, step: Step, earlier: Verdict) -> Verdict:
    """An attempt that surely did nothing, after one that may have; both reasons are told."""
    first = earlier.doubt.rstrip(".")
    doubt = in_doubt(step, f"an earlier try had no trustworthy answer ({first}), and then: {verdict.error.rstrip('.')}")
    return replace(verdict, state=doubt.state, error=doubt.error, fix=doubt.fix, doubt=first)


def _fix_in_doubt(step: Step) -> str:
    one = RESOURCES[step.resource].one
    if step.once:
        return f"{_LOOK_AGAIN} or look the {one} up there; it is never sent again by itself."
    return (
        f"Run the results file: looking at the {one} again, and doing it once more where that is needed, is harmless."
    )


# After the run, or a kill


def interrupted(step: Step, error: str) -> Verdict:
    """A step whose last attempt may have been applied, of an execution that ended before it was known.

    Args:
        step: the step, which may be repeated.
        error: what that execution said of it; empty: it was killed.
    """
    doubt = in_doubt(step, "the program was ended before the answer was recorded")
    return replace(doubt, error=error or doubt.error)


def absent(step: Step, settle: float, error: str) -> Verdict:
    """A purchase in doubt that the platform does not show after the settle time."""
    first = error.rpartition(_AT_FIRST)[2]
    seen = f"It was not found there after {settle:g} s" + (f"{_AT_FIRST}{first}" if first else ".")
    fix = (
        f"Look the {RESOURCES[step.resource].one} up on the platform. If it is not there, send it again: "
        "invoca-bulk resume RUN --resend-absent (RUN: result_run)."
    )
    return Verdict(state=State.ABSENT, error=seen, fix="" if step.own_id else fix)


def unsettled(step: Step, reason: str, error: str) -> Verdict:
    """A purchase that stays in doubt; `invoca-bulk resume` looks again.

    Args:
        step: the step.
        reason: why it could not be told.
        error: what the run said of it at first; empty: it was killed.
    """
    first = error or in_doubt(step, "the program was ended before the answer was recorded").error
    fix = f"{_LOOK_AGAIN} or look the {RESOURCES[step.resource].one} up there."
    return Verdict(state=State.IN_DOUBT, error=f"{first.split(_LOOKED)[0]}{_LOOKED}{reason}.", fix=fix)


def undecided(error: str, fix: str) -> Verdict:
    """A purchase that stays in doubt, since the campaign's list does not tell."""
    return Verdict(state=State.IN_DOUBT, error=error, fix=fix)


# What is read before a step is sent, and after it

_ADD_OR_PLAN_AGAIN = (
    "Add it to the sheet, or make the plan again to have its removal confirmed; then run the results file."
)


def of_reading(answer: Answer, step: Step, titles: Mapping[str, str]) -> Verdict | None:
    """Why an object that was read just before it is written cannot be written; None: it can."""
    one, creates = RESOURCES[step.resource].one, step.action is Action.CREATE
    odd = response_policy.unlike(step, answer.body) if answer.status == response_policy.FOUND else ""
    there = answer.status == response_policy.FOUND and not odd
    if there or answer.status == response_policy.NOT_FOUND:
        if there is not creates:
            return None
        # A POST would replace all of it, and a PUT make it anew with nothing but what the sheet knows.
        since = "is there already; it was created" if there else "is not there any more; it was deleted"
        error = f"The {one} {since} since the plan was made."
        return Verdict(state=State.REJECTED, http_status=answer.status, error=error, fix=response_policy.PLAN_AGAIN)
    reason = odd or explained(answer, titles).rstrip(".")
    if response_policy.REPEATABLE.states.get(answer.status) is State.REJECTED:
        error = f"The {one} could not be read before the change: {reason}."
        return Verdict(state=State.REJECTED, http_status=answer.status, error=error, fix=response_policy.CORRECT)
    stop = answer.status == response_policy.UNAUTHORIZED
    return replace(unread(step, reason), http_status=answer.status, wait=answer.retry_after, stop=stop)


def unread(step: Step, reason: str) -> Verdict:
    """A step that was not sent, because its object could not be read before."""
    error = f"It was not sent: the {RESOURCES[step.resource].one} could not be read before the change ({reason})."
    return Verdict(state=State.PENDING, error=error)


def changed_since(step: Step, *, came: Sequence[str], gone: Sequence[str], moved: Collection[str]) -> Verdict:
    """A step that is not sent, since it would undo what others have done to the object since the plan was made.

    Args:
        step: the step.
        came: what would be taken away, such as `user Jim Williams (U-2)`.
        gone: what was taken away and would come back, or is needed.
        moved: what would be made the first of its set again, such as `site`.
    """
    one = RESOURCES[step.resource].one
    clauses = [
        f"{', '.join(came)} came to the {one}" if came else "",
        f"{', '.join(gone)} {'was' if len(gone) == 1 else 'were'} removed" if gone else "",
        *(f"the default {what} was changed" for what in moved),
    ]
    text = " and ".join(filter(None, clauses))
    error = f"{text[:1].upper()}{text[1:]} since the plan was made; nothing was sent."
    return Verdict(state=State.REJECTED, error=error, fix=_ADD_OR_PLAN_AGAIN if came else response_policy.PLAN_AGAIN)


def gone() -> Verdict:
    """A deletion in doubt that was done: what has its name now is another object."""
    return Verdict(state=State.DONE, http_status=response_policy.NOT_FOUND)


def stale(step: Step) -> Verdict:
    """A step of a run that goes on, whose object somebody has changed since the plan was made."""
    error = f"The {RESOURCES[step.resource].one} was changed since the plan was made; nothing was sent."
    return Verdict(state=State.REJECTED, error=error, fix=response_policy.PLAN_AGAIN)


def found(one: Mapping[str, Json]) -> Verdict:
    """A step in doubt that was done after all: the object is there."""
    return Verdict(state=State.DONE, http_status=response_policy.FOUND, answer=one)
