"""What an answer means for a step: the tables that decide whether something was done, and what may be sent again.

Pure: from an `Answer` or a failed call to a `Verdict`. A status that is in no table is in doubt, since the platform may
have applied the request before it failed.
"""

from __future__ import annotations

from invoca_bulk.execution.outcomes.attempt import (
    Verdict,
    absent,
    changed_since,
    found,
    given_before,
    gone,
    interrupted,
    of_answer,
    of_failure,
    of_reading,
    stale,
    undecided,
    unexpected,
    unread,
    unsendable,
    unsettled,
)
from invoca_bulk.execution.outcomes.error_text import explained
from invoca_bulk.execution.outcomes.response_policy import (
    DELETE,
    MOVE,
    NOT_FOUND,
    ONCE,
    REPEATABLE,
    Way,
    id_of,
    number_of,
    unlisted,
    way_of,
)
from invoca_bulk.execution.outcomes.retry_policy import after, held_back, left

__all__ = [
    "DELETE",
    "MOVE",
    "NOT_FOUND",
    "ONCE",
    "REPEATABLE",
    "Verdict",
    "Way",
    "absent",
    "after",
    "changed_since",
    "explained",
    "found",
    "given_before",
    "gone",
    "held_back",
    "id_of",
    "interrupted",
    "left",
    "number_of",
    "of_answer",
    "of_failure",
    "of_reading",
    "stale",
    "undecided",
    "unexpected",
    "unlisted",
    "unread",
    "unsendable",
    "unsettled",
    "way_of",
]
