"""The columns that this package adds to rows; they are recognized when a file is read again, and never sent."""

from __future__ import annotations

from enum import StrEnum

from invoca_bulk.schema.field_types import TEXT, normalize_text
from invoca_bulk.schema.model import Field, Role
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

#: Outcome to (what it means, what to do about it); the README shows this table.
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
        f"To look it up again: {remedy('resume')} A row that buys is never sent again automatically.",
    ),
    Outcome.NOT_SENT: (
        "The run ended before the row was sent.",
        f"Run the results file, or resume the run: {remedy('resume')}",
    ),
}


def _output_field(path: str, text: str) -> Field:
    return Field(path=path, field_type=TEXT, role=Role.RESULT, help=text, template_columns=0)


VALIDATION_FIELDS = (
    _output_field("validation_errors", "What is wrong with the row and how to fix it. Rows with errors are not sent."),
    _output_field("validation_warnings", "What was cleaned or needs your attention. The row is sent."),
)

RESULT_FIELDS = (
    _output_field("result_status", "The outcome of the row."),
    _output_field("result_error", "Why the row was not done, in the platform's words if it gave a reason."),
    _output_field("result_fix", "What to do about it."),
    _output_field("result_http_status", "The HTTP status of the last response. Blank: no response."),
    _output_field("result_attempts", "How many times the request was sent."),
    _output_field("result_at", "When the outcome was determined: UTC, ISO 8601."),
    _output_field("result_run", "The id of the run that produced this outcome."),
)

OUTPUT_FIELDS = VALIDATION_FIELDS + RESULT_FIELDS
