"""The columns that this package adds to rows; they are recognized when a file is read again, and never sent."""

from __future__ import annotations

from invoca_bulk.schema.field_types import TEXT
from invoca_bulk.schema.model import Field, Role


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
