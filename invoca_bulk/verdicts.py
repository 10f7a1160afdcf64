"""What an answer means for a step: the table that decides whether something was bought.

Pure: from an `Answer` or a failed call to a `Verdict`. A status that is not in the table is in doubt, since the
platform may have applied the request before it failed.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from invoca_bulk import payloads
from invoca_bulk.errors import InDoubt, NotSent
from invoca_bulk.issues import shortened
from invoca_bulk.journal import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from invoca_bulk.client import Answer
    from invoca_bulk.errors import CallFailed
    from invoca_bulk.schema.kinds import Json


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a step that was sent.

    Attributes:
        state: the state that it goes to; `pending`: it may be sent again.
        http_status: None: no answer came.
        answer: the platform's JSON; None: there was none.
        error: why it is not done, in plain words.
        fix: what to do about it.
        wait: seconds that the platform asks to wait; None: it does not say.
        stop: whether the whole run has to stop.
    """

    state: State
    http_status: int | None = None
    answer: Json = None
    error: str = ""
    fix: str = ""
    wait: float | None = None
    stop: bool = False


#: Status of a create's answer to the state of its step. Whatever is not here is in doubt.
CREATE: Mapping[int, State] = {
    200: State.DONE,
    201: State.DONE,
    400: State.REJECTED,
    401: State.PENDING,
    403: State.REJECTED,
    404: State.REJECTED,
    405: State.REJECTED,
    413: State.REJECTED,
    415: State.REJECTED,
    422: State.REJECTED,
    425: State.PENDING,
    429: State.PENDING,
}
_UNAUTHORIZED = 401

_FIXES = {
    State.REJECTED: "Correct what the platform names, then run the results file.",
    State.IN_DOUBT: "Look the number up on the platform; the row is never sent again by itself.",
    State.FAILED: "Run the results file: the row is tried again.",
}
_IN_DOUBT = "It may have been created: {reason}."


def of_answer(answer: Answer, titles: Mapping[str, str]) -> Verdict:
    """What an answer means for a create.

    Args:
        answer: the platform's answer.
        titles: path to the sheet's column title, for the fields that a 403 names.
    """
    state = CREATE.get(answer.status, State.IN_DOUBT)
    known = {"http_status": answer.status, "answer": answer.body}
    if state is State.DONE and not number_of(answer.body):
        reason = f"the platform answered {answer.status}, but the number could not be read"
        return Verdict(state=State.IN_DOUBT, error=_IN_DOUBT.format(reason=reason), fix=_FIXES[State.IN_DOUBT], **known)
    if state is State.IN_DOUBT:
        error = _IN_DOUBT.format(reason=explained(answer, titles))
        return Verdict(state=state, error=error, fix=_FIXES[state], **known)
    return Verdict(
        state=state,
        error="" if state is State.DONE else explained(answer, titles),
        fix=_FIXES.get(state, ""),
        wait=answer.retry_after,
        stop=answer.status == _UNAUTHORIZED,
        **known,
    )


def of_failure(error: CallFailed) -> Verdict:
    """What a call without a trustworthy answer means for a create."""
    if isinstance(error, NotSent):
        return Verdict(state=State.PENDING, error=f"It was not sent: {error}.")
    status = error.status if isinstance(error, InDoubt) else None
    text = _IN_DOUBT.format(reason=error)
    return Verdict(state=State.IN_DOUBT, http_status=status, error=text, fix=_FIXES[State.IN_DOUBT])


def given_before(verdict: Verdict, number: str) -> Verdict:
    """A create that was answered with a number which another row has, or which the campaign had before."""
    reason = f"the platform answered with {number}, which the campaign had before or another row has got"
    error = _IN_DOUBT.format(reason=reason)
    return replace(verdict, state=State.IN_DOUBT, error=error, fix=_FIXES[State.IN_DOUBT])


def unexpected() -> Verdict:
    """A step after whose sending something went wrong that nobody has foreseen."""
    return of_failure(InDoubt("something unexpected went wrong after it was sent"))


def given_up(verdict: Verdict, attempts: int) -> Verdict:
    """A step whose retries are used up: it surely did not happen."""
    error = f"{verdict.error.rstrip('.')}. Tried {attempts} times."
    return Verdict(state=State.FAILED, http_status=verdict.http_status, error=error, fix=_FIXES[State.FAILED])


def explained(answer: Answer, titles: Mapping[str, str]) -> str:
    """The platform's reason in one text: field errors by column title, an error handle kept for support."""
    body = answer.body if isinstance(answer.body, dict) else {}
    errors = body.get("errors")
    if isinstance(errors, dict) and "class" in errors:
        return f"{errors.get('invalid_data', '')} ({errors['class']}, {answer.status})".strip()
    if isinstance(errors, dict) and errors:
        found = payloads.field_errors(errors)
        return shortened("; ".join(f"{titles.get(path, path)}: {text}" for path, text in found.items()), 1000)
    if message := body.get("message"):
        return f"{shortened(str(message), 500)} ({answer.status})"
    if reason := answer.text or (json.dumps(answer.body, ensure_ascii=False) if answer.body else ""):
        return f"{shortened(reason, 300)} ({answer.status})"
    return f"the platform answered {answer.status} without a reason"


def number_of(body: Json) -> str:
    """The number that an answer names; empty when it names none that could be dialled."""
    number = body.get("promo_number") if isinstance(body, dict) else None
    text = str(number) if isinstance(number, str | int) and not isinstance(number, bool) else ""
    return text if re.fullmatch(r"\+?[0-9(][0-9 ().-]{4,}", text) else ""
