"""The input and output records of matching."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from invoca_bulk.schema.field_types import Json


@dataclass(frozen=True, kw_only=True)
class PendingRequest:
    """A request for one number that may have been applied.

    Attributes:
        key: the caller's number for it.
        body: the JSON object that was sent.
        baseline: the numbers that the campaign had when its run began.
    """

    key: int
    body: Mapping[str, Json]
    baseline: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Ambiguity:
    """Why it cannot be determined whether a request was applied.

    Attributes:
        error: what was observed, as a sentence.
        fix: what to do about it.
    """

    error: str
    fix: str


@dataclass(frozen=True, kw_only=True)
class MatchResult:
    """The result of matching the requests of one campaign; each request is in exactly one of the attributes.

    Attributes:
        matched: key to the platform's object that the request created; each object occurs once.
        not_found: keys of the requests that created nothing.
        ambiguous: key to why it cannot be determined.
    """

    matched: Mapping[int, Mapping[str, Json]] = field(default_factory=dict)
    not_found: tuple[int, ...] = ()
    ambiguous: Mapping[int, Ambiguity] = field(default_factory=dict)
