"""The columns that this package itself writes beside the rows; recognized when a file is read again, and never sent."""

from __future__ import annotations

from invoca_bulk.schema.kinds import TEXT
from invoca_bulk.schema.model import Field, Role


def _output(path: str, text: str) -> Field:
    return Field(path=path, kind=TEXT, role=Role.RESULT, help=text, in_template=0)


VALIDATION_FIELDS = (
    _output("validation_errors", "What is wrong with the row; rows with errors are not sent."),
    _output("validation_warnings", "What was cleaned, or should be looked at; the row is sent."),
)

RESULT_FIELDS = (
    _output("result_status", "The outcome of the row."),
    _output("result_error", "Why the row was not done, in the platform's words where it gave some."),
    _output("result_fix", "What to do about it."),
    _output("result_http_status", "The HTTP status of the last answer; blank when there was none."),
    _output("result_attempts", "How often the request was sent."),
    _output("result_at", "When the outcome was known: UTC, ISO 8601."),
    _output("result_run", "The run that gave this outcome."),
)

OUTPUT_FIELDS = VALIDATION_FIELDS + RESULT_FIELDS
