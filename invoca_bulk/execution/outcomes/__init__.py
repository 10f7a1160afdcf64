"""What a response means for a step: the tables that decide whether it was applied, and whether it may be resent.

Pure: from a `Response` or a failed call to a `StepResult`. A status that is in no table puts the step in doubt, because
the platform may have applied the request before it failed.
"""

from __future__ import annotations

from invoca_bulk.execution.outcomes.attempt import (
    StepResult,
    ambiguous,
    changed_since_plan,
    classify_failure,
    classify_preflight,
    classify_response,
    confirmed,
    deleted,
    duplicate_number,
    interrupted,
    not_found,
    not_sendable,
    preflight_failed,
    stale,
    unexpected_error,
    unresolved,
)
from invoca_bulk.execution.outcomes.error_text import describe_error_response
from invoca_bulk.execution.outcomes.response_policy import (
    id_of,
    missing_proof,
    number_of,
    response_policy_for,
)
from invoca_bulk.execution.outcomes.retry_policy import apply_retry_policy, blocked

__all__ = [
    "StepResult",
    "ambiguous",
    "apply_retry_policy",
    "blocked",
    "changed_since_plan",
    "classify_failure",
    "classify_preflight",
    "classify_response",
    "confirmed",
    "deleted",
    "describe_error_response",
    "duplicate_number",
    "id_of",
    "interrupted",
    "missing_proof",
    "not_found",
    "not_sendable",
    "number_of",
    "preflight_failed",
    "response_policy_for",
    "stale",
    "unexpected_error",
    "unresolved",
]
