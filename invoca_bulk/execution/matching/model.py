"""The records of settling: what goes in and what comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from invoca_bulk.schema.field_types import Json

S = TypeVar("S", bound="Hashable")


@dataclass(frozen=True, kw_only=True)
class PendingRequest(Generic[S]):
    """A request for one number that may have been carried out.

    Attributes:
        key: what the caller knows it by.
        body: the JSON object that was sent.
        baseline: the numbers that the campaign had when its run began.
        label: what a reason calls it, such as `row 5`; empty: it is only counted.
    """

    key: S
    body: Mapping[str, Json]
    baseline: frozenset[str]
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Ambiguity(Generic[S]):
    """Why it cannot be told what became of a step.

    Attributes:
        error: what was seen, in a sentence.
        fix: what to do about it.
        candidate_numbers: the numbers that the step may have got, as the platform writes them.
        candidate_keys: the steps in doubt that these may belong to, this one included.
    """

    error: str
    fix: str
    candidate_numbers: tuple[str, ...]
    candidate_keys: tuple[S, ...]


@dataclass(frozen=True, kw_only=True)
class MatchResult(Generic[S]):
    """What became of the steps in doubt of one campaign; each of them is in one of the first three.

    Attributes:
        matched: step to the platform's object that it has created; no number is there twice.
        not_found: the steps that have created nothing.
        ambiguous: step to why it cannot be told.
        unattributed: the numbers that nobody can account for, as the platform writes them.
    """

    matched: Mapping[S, Mapping[str, Json]] = field(default_factory=dict)
    not_found: tuple[S, ...] = ()
    ambiguous: Mapping[S, Ambiguity[S]] = field(default_factory=dict)
    unattributed: tuple[str, ...] = ()
