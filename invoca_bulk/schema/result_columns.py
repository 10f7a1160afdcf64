"""The columns that this package itself writes beside the rows; recognized when a file is read again, and never sent."""

from __future__ import annotations

from enum import StrEnum

from invoca_bulk.schema.field_types import TEXT, normalize_text
from invoca_bulk.schema.model import Field, Role


class Outcome(StrEnum):
    """What became of a row; the closed set, and the only values of `result_status`."""

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


_OUTCOMES_BY_VALUE = {one.value: one for one in Outcome}


def parse_outcome(text: str) -> Outcome | None:
    """The outcome that a cell of `result_status` names, whatever its case: `Unknown` must not be taken for undone."""
    return _OUTCOMES_BY_VALUE.get(normalize_text(text).casefold())


#: Outcomes after which nothing is left to do.
SUCCESS_OUTCOMES = frozenset({Outcome.CREATED, Outcome.UPDATED, Outcome.MOVED, Outcome.DELETED, Outcome.UNCHANGED})

#: What each outcome means, and what to do about it; the README's table.
OUTCOME_HELP = {
    Outcome.CREATED: ("The object was created; its number and ids stand on the row.", "Nothing."),
    Outcome.UPDATED: ("The object was changed.", "Nothing."),
    Outcome.MOVED: ("The number was moved to another campaign.", "Nothing."),
    Outcome.DELETED: ("The object was deleted.", "Nothing."),
    Outcome.UNCHANGED: ("The platform already had it like that; nothing was sent.", "Nothing."),
    Outcome.INVALID: ("The row has errors; it was never sent.", "Correct the row and run the results file."),
    Outcome.REJECTED: (
        "It was refused: by the platform, or since something had changed after the plan. Nothing was changed.",
        "Correct the row and run the results file.",
    ),
    Outcome.FAILED: ("It surely did not happen, after several tries.", "Run the results file: the row is tried again."),
    Outcome.UNKNOWN: (
        "It may have happened: the request was sent, and no trustworthy answer came.",
        (
            "Run `invoca-bulk resume RUN` (RUN: result_run): it is looked up again. A row that buys is never sent "
            "again by itself."
        ),
    ),
    Outcome.NOT_SENT: (
        "The run ended before the row's turn.",
        "Run `invoca-bulk resume RUN` (RUN: result_run), or the results file: the row is done then.",
    ),
}


def _output_field(path: str, text: str) -> Field:
    return Field(path=path, field_type=TEXT, role=Role.RESULT, help=text, template_columns=0)


VALIDATION_FIELDS = (
    _output_field("validation_errors", "What is wrong with the row; rows with errors are not sent."),
    _output_field("validation_warnings", "What was cleaned, or should be looked at; the row is sent."),
)

RESULT_FIELDS = (
    _output_field("result_status", "The outcome of the row."),
    _output_field("result_error", "Why the row was not done, in the platform's words where it gave some."),
    _output_field("result_fix", "What to do about it."),
    _output_field("result_http_status", "The HTTP status of the last answer; blank when there was none."),
    _output_field("result_attempts", "How often the request was sent."),
    _output_field("result_at", "When the outcome was known: UTC, ISO 8601."),
    _output_field("result_run", "The run that gave this outcome."),
)

OUTPUT_FIELDS = VALIDATION_FIELDS + RESULT_FIELDS
