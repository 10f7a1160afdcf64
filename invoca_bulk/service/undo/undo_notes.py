"""Sentences on what an undo cannot restore, and on what needs no undo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from invoca_bulk.journal import RunRecord, RunState, State, StepRecord
from invoca_bulk.schema import PROMO_NUMBERS, Action
from invoca_bulk.service.undo.undo_rows import Reversal
from invoca_bulk.wording import count_of, remedy


def irreversible_notes(reversals: Sequence[Reversal]) -> Iterator[str]:
    """What is lost although the objects are restored."""
    action_counts = Counter(
        reversal.action for reversal in reversals if reversal.applied_change.resource is PROMO_NUMBERS
    )
    if bought_count := action_counts[Action.DELETE]:
        yield f"Deletes {count_of(bought_count, 'promo number')} that the run bought; the cost is not refunded."
    if moved_count := action_counts[Action.MOVE]:
        yield f"Moves {count_of(moved_count, 'promo number')} back; each move changes the id_from_network."
    user_sets = [reversal.part_restores["users"] for reversal in reversals if "users" in reversal.part_restores]
    if user_count := sum(user.is_recreated for users in user_sets for user in users.parts):
        yield f"Recreates {count_of(user_count, 'user')} with new tokens (oauth_refresh_token); the old ones are lost."


def no_op_notes(
    record: RunRecord, steps: Sequence[StepRecord], *, already_restored: int, unchanged: int
) -> Iterator[str]:
    """What of the run needs no undo; counts of objects that are as before, and of requests that changed nothing."""
    refused = sum(step.state in {State.REJECTED, State.FAILED} for step in steps)
    unsent = sum(step.state is State.PENDING and not step.superseded_by for step in steps)
    counts = (
        (already_restored, "object", "already as before the run"),
        (unchanged, "request", "without any change"),
        (refused, "request", "rejected or failed"),
    )
    if reasons := ", ".join(f"{count_of(count, noun)} {reason}" for count, noun, reason in counts if count):
        yield f"Nothing to undo: {reasons}."
    if unsent and record.state is not RunState.FINISHED:
        resume = remedy("resume", subject=record.run)
        yield f"The run has not finished: {count_of(unsent, 'request')} not sent yet. To send them: {resume}"
