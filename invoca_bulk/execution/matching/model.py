"""The input and output records of matching."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from invoca_bulk.schema.field_types import Json


@dataclass(frozen=True, kw_only=True)
class PendingRequest:
    """A request for one number that may have been applied."""

    key: int  # the caller's number for it
    body: Mapping[str, Json]  # as it was sent
    baseline: frozenset[str]  # the numbers that the campaign had when its run began


@dataclass(frozen=True, kw_only=True)
class Ambiguity:
    """Why it cannot be determined whether a request was applied."""

    error: str  # what was observed, as a sentence
    fix: str


@dataclass(frozen=True, kw_only=True)
class MatchResult:
    """The result of matching the requests of one campaign, by key; each is in exactly one of the attributes."""

    #: The platform's object that the request created; each object occurs once.
    matched: Mapping[int, Mapping[str, Json]] = field(default_factory=dict)
    not_found: tuple[int, ...] = ()  # the requests that created nothing
    ambiguous: Mapping[int, Ambiguity] = field(default_factory=dict)
