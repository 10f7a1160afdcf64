"""What no undo brings back, and what there is nothing to do about, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoca_bulk.journal import RunState, State
from invoca_bulk.schema import PROMO_NUMBERS, Action

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from invoca_bulk.journal import RunRecord, StepRecord
    from invoca_bulk.service.undo.undo_rows import Reversal


def irreversible_notes(found: Sequence[Reversal]) -> Iterator[str]:
    """What stays lost although the objects are taken back."""
    numbers = [one for one in found if one.applied_change.resource is PROMO_NUMBERS]
    if bought := sum(one.action is Action.DELETE for one in numbers):
        what = _format_count(bought, "promo number")
        yield f"{what} that the run bought will be deleted; what they cost is not given back."
    if moved := sum(one.action is Action.MOVE for one in numbers):
        told = "will move back; each move gives another id_from_network"
        yield f"{_format_count(moved, 'promo number')} {told}."
    if users := sum(map(_count_recreated_users, found)):
        what = _format_count(users, "user")
        yield f"{what} will come back with new tokens (oauth_refresh_token): the old ones are gone."


def _count_recreated_users(reversal: Reversal) -> int:
    """How many users come back."""
    users = reversal.part_restores["users"].parts if "users" in reversal.part_restores else ()
    return sum(one.is_recreated for one in users)


def no_op_notes(
    record: RunRecord, steps: Sequence[StepRecord], *, already_restored: int, unchanged: int
) -> Iterator[str]:
    """What of the run needs no undo.

    Args:
        record: the run.
        steps: its steps.
        already_restored: how many objects are what they were already.
        unchanged: how many requests have changed nothing.
    """
    refused = sum(one.state in {State.REJECTED, State.FAILED} for one in steps)
    unsent = sum(one.state is State.PENDING and not one.superseded_by for one in steps)
    told = (
        (already_restored, "object", "as before the run already"),
        (unchanged, "request", "without any change"),
        (refused, "request", "refused or failed"),
    )
    if some := ", ".join(f"{_format_count(number, what)} {how}" for number, what, how in told if number):
        yield f"Nothing to undo: {some}."
    if unsent and record.state is not RunState.FINISHED:
        resume = f"`invoca-bulk resume {record.run}` would still send them"
        yield f"The run is not at its end: {_format_count(unsent, 'request')} not sent yet; {resume}."


def _format_count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
