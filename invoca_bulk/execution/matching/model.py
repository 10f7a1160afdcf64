"""The records of settling: what goes in and what comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from invoca_bulk.schema.field_types import Json

S = TypeVar("S", bound="Hashable")


@dataclass(frozen=True, kw_only=True)
class Doubted(Generic[S]):
    """A request for one number that may have been carried out.

    Attributes:
        step: what the caller knows it by.
        body: the JSON object that was sent.
        baseline: the numbers that the campaign had when its run began.
        name: what a reason calls it, such as `row 5`; empty: it is only counted.
    """

    step: S
    body: Mapping[str, Json]
    baseline: frozenset[str]
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Undecided(Generic[S]):
    """Why it cannot be told what became of a step.

    Attributes:
        error: what was seen, in a sentence.
        fix: what to do about it.
        numbers: the numbers that the step may have got, as the platform writes them.
        steps: the steps in doubt that these may belong to, this one included.
    """

    error: str
    fix: str
    numbers: tuple[str, ...]
    steps: tuple[S, ...]


@dataclass(frozen=True, kw_only=True)
class Settled(Generic[S]):
    """What became of the steps in doubt of one campaign; each of them is in one of the first three.

    Attributes:
        found: step to the platform's object that it has created; no number is there twice.
        absent: the steps that have created nothing.
        open: step to why it cannot be told.
        unexplained: the numbers that nobody can account for, as the platform writes them.
    """

    found: Mapping[S, Mapping[str, Json]] = field(default_factory=dict)
    absent: tuple[S, ...] = ()
    open: Mapping[S, Undecided[S]] = field(default_factory=dict)
    unexplained: tuple[str, ...] = ()
