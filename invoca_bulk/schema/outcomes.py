"""What can become of a row: the closed set of outcomes, what each means and what to do about it."""

from __future__ import annotations

from enum import StrEnum

from invoca_bulk.schema.field_types import normalize_text
from invoca_bulk.wording import remedy


class Outcome(StrEnum):
    """The outcome of a row: the values of `result_status`."""

    CREATED = "created"
    UPDATED = "updated"
    MOVED = "moved"
    DELETED = "deleted"
    UNCHANGED = "unchanged"
    INVALID = "invalid"
    REJECTED = "rejected"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"


_OUTCOMES_BY_VALUE = {outcome.value: outcome for outcome in Outcome}


def parse_outcome(text: str) -> Outcome | None:
    """The outcome in a cell of `result_status`, case-insensitive, so that `Unknown` is not mistaken for a new row."""
    return _OUTCOMES_BY_VALUE.get(normalize_text(text).casefold())


#: Outcomes of rows that need no further action.
SUCCESS_OUTCOMES = frozenset({Outcome.CREATED, Outcome.UPDATED, Outcome.MOVED, Outcome.DELETED, Outcome.UNCHANGED})

#: Outcome to (what it means, what to do about it); the manual shows this table.
OUTCOME_HELP = {
    Outcome.CREATED: ("The object was created; the row has its number and ids.", "Nothing."),
    Outcome.UPDATED: ("The object was changed.", "Nothing."),
    Outcome.MOVED: ("The number was moved to another campaign.", "Nothing."),
    Outcome.DELETED: ("The object was deleted.", "Nothing."),
    Outcome.UNCHANGED: ("The object already had these values; nothing was sent.", "Nothing."),
    Outcome.INVALID: ("The row has errors; it was not sent.", "Correct the row and run the results file."),
    Outcome.REJECTED: (
        "The platform rejected the row, or something had changed since the plan. Nothing was changed.",
        "Correct the row and run the results file.",
    ),
    Outcome.FAILED: (
        "Failed after several attempts. Nothing was created or changed.",
        "Run the results file: the row is tried again.",
    ),
    Outcome.UNKNOWN: (
        "The request was sent but got no reliable response, so the change may have been made.",
        f"A row that buys is never sent again automatically. To look it up again: {remedy('resume')}",
    ),
    Outcome.NOT_SENT: (
        "The run ended before the row was sent.",
        f"Run the results file, or resume the run: {remedy('resume')}",
    ),
}
