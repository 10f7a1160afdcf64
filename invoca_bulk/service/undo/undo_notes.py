"""What no undo brings back, and what there is nothing to do about, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoca_bulk.journal import RunState, State
from invoca_bulk.schema import PROMO_NUMBERS, Action

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from invoca_bulk.journal import RunRecord, StepRecord
    from invoca_bulk.service.undo.undo_rows import Reversal


def lost(found: Sequence[Reversal]) -> Iterator[str]:
    """What stays lost although the objects are taken back."""
    numbers = [one for one in found if one.done.resource is PROMO_NUMBERS]
    if bought := sum(one.action is Action.DELETE for one in numbers):
        yield f"{_count(bought, 'promo number')} that the run bought will be deleted; what they cost is not given back."
    if moved := sum(one.action is Action.MOVE for one in numbers):
        told = "will move back; each move gives another id_from_network"
        yield f"{_count(moved, 'promo number')} {told}."
    if users := sum(map(_returning, found)):
        yield f"{_count(users, 'user')} will come back with new tokens (oauth_refresh_token): the old ones are gone."


def _returning(reversal: Reversal) -> int:
    """How many users come back."""
    users = reversal.sets["users"].parts if "users" in reversal.sets else ()
    return sum(one.is_returning for one in users)


def nothing_to_do(record: RunRecord, steps: Sequence[StepRecord], *, back: int, idle: int) -> Iterator[str]:
    """What of the run needs no undo.

    Args:
        record: the run.
        steps: its steps.
        back: how many objects are what they were already.
        idle: how many requests have changed nothing.
    """
    refused = sum(one.state in {State.REJECTED, State.FAILED} for one in steps)
    unsent = sum(one.state is State.PENDING and not one.taken_by for one in steps)
    told = (
        (back, "object", "as before the run already"),
        (idle, "request", "without any change"),
        (refused, "request", "refused or failed"),
    )
    if some := ", ".join(f"{_count(number, what)} {how}" for number, what, how in told if number):
        yield f"Nothing to undo: {some}."
    if unsent and record.state is not RunState.FINISHED:
        resume = f"`invoca-bulk resume {record.run}` would still send them"
        yield f"The run is not at its end: {_count(unsent, 'request')} not sent yet; {resume}."


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
